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

struct pmp_compute {
  void *self; /* the backend's own, NULL for the CPU */
  /* c(m x n) = op(a) op(b) + beta * c, row major, float32 with the backend's accumulation.
   * op(a) is m x k: a is (m x k) with row stride lda, or (k x m) when ta; op(b) is k x n: b is (k x
   * n), or (n x k) when tb. m, n or k == 0 is allowed (k == 0 scales c). Blocks. PMP_EINTERNAL when
   * the backend refuses. */
  enum pmp_err (*gemm)(struct pmp_compute *self, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                       const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                       float *c, int64_t ldc);
  uint64_t calls;  /* products so far */
  uint64_t flops;  /* 2 m n k summed */
  int64_t busy_ns; /* time inside gemm, monotonic; only counted when `timed` */
  bool timed;
  int threads;   /* what the backend was opened with */
  char name[96]; /* "onednn 2.6.3 avx512_core_bf16", for results and fingerprints */
};

/* oneDNN on the CPU with `threads` OpenMP threads (>= 1) for the calling thread's products. Turns
 * OMP_DYNAMIC off. PMP_EINVALID. Same inputs, thread count, processor and library give the same
 * bits. */
PMP_MUST_CHECK enum pmp_err pmp_compute_cpu(struct pmp_compute *c, int threads);

#endif
