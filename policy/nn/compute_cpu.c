#include "policy/nn/compute.h"

#include "policy/nn/products.h"

#include <oneapi/dnnl/dnnl.h>

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What a product with k == 0 is. */
static void scale(int64_t m, int64_t n, float beta, float *c, int64_t ldc) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0.0f ? 0.0f : beta * c[i * ldc + j];
}

/* OpenMP keeps these settings for each calling thread, and whoever opened the backend may have
 * handed it on. */
static void set_team(int threads) {
  if (omp_get_max_threads() != threads) omp_set_num_threads(threads);
  if (omp_get_dynamic()) omp_set_dynamic(0);
}

static void count(struct pmp_compute *self, int64_t m, int64_t n, int64_t k, int64_t start) {
  self->calls++;
  self->flops += 2 * (uint64_t)m * (uint64_t)n * (uint64_t)k;
  if (self->timed) self->busy_ns += now_ns() - start;
}

static enum pmp_err cpu_gemm(struct pmp_compute *self, bool ta, bool tb, int64_t m, int64_t n,
                             int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                             float beta, float *c, int64_t ldc) {
  if (m < 0 || n < 0 || k < 0) return PMP_EINVALID;
  if (m == 0 || n == 0) return PMP_OK;
  const int64_t start = self->timed ? now_ns() : 0;
  dnnl_status_t status = dnnl_success;
  if (k == 0) {
    scale(m, n, beta, c, ldc);
  } else {
    set_team(self->threads);
    status =
        dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
  }
  count(self, m, n, k, start);
  return status == dnnl_success ? PMP_OK : PMP_EINTERNAL;
}

/* ---- what takes preparation: bfloat16, packed weights ---- */

static enum pmp_err cpu_gemm_bf16(struct pmp_compute *self, bool ta, bool tb, int64_t m, int64_t n,
                                  int64_t k, const uint16_t *a, int64_t lda, const uint16_t *b,
                                  int64_t ldb, float beta, float *c, int64_t ldc) {
  if (m < 0 || n < 0 || k < 0) return PMP_EINVALID;
  if (m == 0 || n == 0) return PMP_OK;
  const int64_t start = self->timed ? now_ns() : 0;
  const struct pmp_product p = {.m = m,
                                .n = n,
                                .k = k,
                                .lda = lda,
                                .ldb = ldb,
                                .ldc = ldc,
                                .beta = beta,
                                .ta = ta,
                                .tb = tb,
                                .half = true};
  enum pmp_err err = PMP_OK;
  set_team(self->threads);
  if (k == 0)
    scale(m, n, beta, c, ldc);
  else
    err = pmp_products_run(self->self, &p, a, b, c);
  count(self, m, n, k, start);
  return err;
}

static enum pmp_err cpu_pack(struct pmp_compute *self, int64_t m, int64_t n, int64_t k,
                             const float *b, float *packed) {
  if (m <= 0 || n <= 0 || k <= 0) return PMP_EUNAVAILABLE;
  const int64_t start = self->timed ? now_ns() : 0;
  set_team(self->threads);
  const enum pmp_err err =
      pmp_products_pack(self->self, m, n, k, self->precision == PMP_PRECISION_BF16, b, packed);
  if (self->timed) self->busy_ns += now_ns() - start;
  return err;
}

static enum pmp_err cpu_gemm_packed(struct pmp_compute *self, int64_t m, int64_t n, int64_t k,
                                    const void *a, const float *packed, float *c) {
  if (m <= 0 || n <= 0 || k <= 0) return PMP_EINVALID;
  const int64_t start = self->timed ? now_ns() : 0;
  set_team(self->threads);
  const enum pmp_err err = pmp_products_run_packed(
      self->self, m, n, k, self->precision == PMP_PRECISION_BF16, a, packed, c);
  count(self, m, n, k, start);
  return err;
}

static bool has_isa(dnnl_cpu_isa_t isa) {
  return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)isa) == (unsigned)isa;
}

/* Several threads: a backend for each, over the packed weights of c's. */
static enum pmp_err open_workers(struct pmp_compute *c) {
  if (c->threads == 1) return PMP_OK;
  c->worker = calloc((size_t)c->threads, sizeof *c->worker);
  if (c->worker == NULL) return PMP_ENOMEM;
  for (int i = 0; i < c->threads; i++) {
    struct pmp_products *products = NULL;
    PMP_TRY(pmp_products_open(&products, c->self));
    c->worker[i] = *c;
    c->worker[i].self = products;
    c->worker[i].threads = 1;
    c->worker[i].pack = NULL; /* what they have not packed they cannot free */
    c->worker[i].worker = NULL;
  }
  return PMP_OK;
}

static void close_workers(struct pmp_compute *c) {
  for (int i = 0; c->worker != NULL && i < c->threads; i++) pmp_products_close(c->worker[i].self);
  free(c->worker);
  c->worker = NULL;
}

void pmp_compute_divide(struct pmp_compute *c, int workers) {
  for (int i = 0; i < workers; i++) {
    c->worker[i].timed = c->timed;
    c->worker[i].calls = c->worker[i].flops = 0;
    c->worker[i].busy_ns = 0;
  }
}

void pmp_compute_join(struct pmp_compute *c, int workers) {
  int64_t busy = 0;
  for (int i = 0; i < workers; i++) {
    c->calls += c->worker[i].calls;
    c->flops += c->worker[i].flops;
    busy += c->worker[i].busy_ns;
  }
  c->busy_ns += busy / workers;
}

enum pmp_err pmp_compute_prepare(struct pmp_compute *c, enum pmp_precision precision,
                                 struct pmp_errmsg *msg) {
  if (precision != PMP_PRECISION_FLOAT32 && precision != PMP_PRECISION_BF16)
    return pmp_fail(msg, PMP_EINVALID, "precision %d is none", (int)precision);
  const bool half = precision == PMP_PRECISION_BF16;
  if (half && !has_isa(dnnl_cpu_isa_avx512_core_bf16))
    return pmp_fail(msg, PMP_EUNAVAILABLE,
                    "this processor (%s) does not multiply bf16: it takes AVX512-BF16 or AMX",
                    c->name);
  if (!half && !has_isa(dnnl_cpu_isa_avx512_core)) return PMP_OK; /* packing brings nothing */
  struct pmp_products *products = NULL;
  enum pmp_err err = pmp_products_open(&products, NULL);
  if (err != PMP_OK) return pmp_fail(msg, err, "oneDNN cannot prepare products");
  c->self = products;
  c->precision = precision;
  c->pack = cpu_pack;
  c->gemm_packed = cpu_gemm_packed;
  if (half) {
    const size_t length = strlen(c->name);
    c->gemm_bf16 = cpu_gemm_bf16;
    snprintf(c->name + length, sizeof c->name - length, " x bf16");
  }
  err = open_workers(c);
  if (err == PMP_OK) return PMP_OK;
  pmp_compute_close(c);
  return pmp_fail(msg, err, "oneDNN cannot prepare products for %d threads", c->threads);
}

void pmp_compute_close(struct pmp_compute *c) {
  if (c->pack != cpu_pack) return; /* nothing is held, or somebody stands between */
  close_workers(c);
  pmp_products_close(c->self);
  c->self = NULL;
  c->pack = NULL;
  c->gemm_packed = NULL;
  c->gemm_bf16 = NULL;
}

size_t pmp_compute_packed_floats(int64_t n, int64_t k) {
  return pmp_products_packed_floats(n, k);
}

static const char *isa_name(dnnl_cpu_isa_t isa) {
  switch (isa) {
  case dnnl_cpu_isa_sse41:
    return "sse41";
  case dnnl_cpu_isa_avx:
    return "avx";
  case dnnl_cpu_isa_avx2:
    return "avx2";
  case dnnl_cpu_isa_avx2_vnni:
    return "avx2_vnni";
  case dnnl_cpu_isa_avx512_core:
    return "avx512_core";
  case dnnl_cpu_isa_avx512_core_vnni:
    return "avx512_core_vnni";
  case dnnl_cpu_isa_avx512_core_bf16:
    return "avx512_core_bf16";
  case dnnl_cpu_isa_avx512_core_amx:
    return "avx512_core_amx";
  default:
    return NULL;
  }
}

enum pmp_err pmp_compute_cpu(struct pmp_compute *c, int threads) {
  if (threads < 1 || threads > 1024) return PMP_EINVALID;
  *c = (struct pmp_compute){.gemm = cpu_gemm, .threads = threads};
  const dnnl_version_t *v = dnnl_version();
  const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
  const char *name = isa_name(isa);
  if (name)
    snprintf(c->name, sizeof c->name, "onednn %d.%d.%d %s", v->major, v->minor, v->patch, name);
  else
    snprintf(c->name, sizeof c->name, "onednn %d.%d.%d isa_%#x", v->major, v->minor, v->patch,
             (unsigned)isa);
  return PMP_OK;
}
