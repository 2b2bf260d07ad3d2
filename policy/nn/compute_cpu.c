#include "policy/nn/compute.h"

#include <oneapi/dnnl/dnnl.h>

#include <omp.h>
#include <stdio.h>
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
    /* OpenMP keeps these settings for each calling thread, and whoever opened the backend may have
     * handed it on. */
    if (omp_get_max_threads() != self->threads) omp_set_num_threads(self->threads);
    if (omp_get_dynamic()) omp_set_dynamic(0);
    status =
        dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
  }
  self->calls++;
  self->flops += 2 * (uint64_t)m * (uint64_t)n * (uint64_t)k;
  if (self->timed) self->busy_ns += now_ns() - start;
  return status == dnnl_success ? PMP_OK : PMP_EINTERNAL;
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
