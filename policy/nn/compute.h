/* Products of matrices, behind one table of functions: everything in pmpod that multiplies matrices
 * is handed a `struct pmp_compute`. A second backend (another library, a GPU) is a second file
 * beside compute_cpu.c.
 *
 * Owned by one thread at a time (the learner's, or an actor's). Knows nothing of layers or
 * policies. */
#ifndef PMP_POLICY_NN_COMPUTE_H
#define PMP_POLICY_NN_COMPUTE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* What products read; all of them accumulate and answer in float32. */
enum pmp_precision { PMP_PRECISION_FLOAT32 = 0, PMP_PRECISION_BF16 = 1 };

struct pmp_compute {
  void *self;                   /* the backend's own */
  enum pmp_precision precision; /* what the networks shall multiply */
  /* c(m x n) = op(a) op(b) + beta * c, row major, float32 with the backend's accumulation.
   * op(a) is m x k: a is (m x k) with row stride lda, or (k x m) when ta; op(b) is k x n: b is (k x
   * n), or (n x k) when tb. m, n or k == 0 is allowed (k == 0 scales c). Blocks. PMP_EINTERNAL when
   * the backend refuses. */
  enum pmp_err (*gemm)(struct pmp_compute *self, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                       const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                       float *c, int64_t ldc);
  /* The same of bfloat16 (the upper half of a float32's bits), c and sums float32; NULL unless
   * precision is PMP_PRECISION_BF16. */
  enum pmp_err (*gemm_bf16)(struct pmp_compute *self, bool ta, bool tb, int64_t m, int64_t n,
                            int64_t k, const uint16_t *a, int64_t lda, const uint16_t *b,
                            int64_t ldb, float beta, float *c, int64_t ldc);
  /* NULL where there is nothing to gain. pack: b (k x n, dense, float32), which several products of
   * about m rows will read, laid out and rounded for them; `packed` has
   * pmp_compute_packed_floats(n, k) floats, 64-byte aligned. PMP_EUNAVAILABLE: use the ones above.
   * gemm_packed: c (m x n) = a (m x k) b, all dense, a as precision says. */
  enum pmp_err (*pack)(struct pmp_compute *self, int64_t m, int64_t n, int64_t k, const float *b,
                       float *packed);
  enum pmp_err (*gemm_packed)(struct pmp_compute *self, int64_t m, int64_t n, int64_t k,
                              const void *a, const float *packed, float *c);
  /* [threads] backends of one thread each, for work that is divided before it is multiplied: their
   * gemm_packed reads what this one packed. One thread at a time each. NULL: there are none. */
  struct pmp_compute *worker;
  uint64_t calls;  /* products so far */
  uint64_t flops;  /* 2 m n k summed */
  int64_t busy_ns; /* time inside gemm, monotonic; only counted when `timed` */
  bool timed;
  int threads;   /* what the backend was opened with */
  char name[96]; /* "onednn 2.6.3 avx512_core_bf16", for results and fingerprints; " x bf16" after
                    it when that is multiplied */
};

/* oneDNN on the CPU with `threads` OpenMP threads (>= 1) for the calling thread's products. Turns
 * OMP_DYNAMIC off. PMP_EINVALID. Same inputs, thread count, processor and library give the same
 * bits. */
PMP_MUST_CHECK enum pmp_err pmp_compute_cpu(struct pmp_compute *c, int threads);
/* Once, after pmp_compute_cpu: what it multiplies from now on, and packing (with workers, when
 * there are several threads) where the processor gains by it. bf16 is refused with PMP_EUNAVAILABLE
 * and a sentence where the processor has no instruction for it (AVX512-BF16 or AMX). PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_compute_prepare(struct pmp_compute *c, enum pmp_precision precision,
                                                struct pmp_errmsg *msg);
size_t pmp_compute_packed_floats(int64_t n, int64_t k);
/* Before `workers` workers work, and after it: their counters become c's. */
void pmp_compute_divide(struct pmp_compute *c, int workers);
void pmp_compute_join(struct pmp_compute *c, int workers);
/* Frees what prepare took; fine without it and on a zeroed struct. */
void pmp_compute_close(struct pmp_compute *c);

#endif
