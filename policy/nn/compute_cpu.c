#include "policy/nn/compute.h"

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

/* ---- bfloat16 ---- */

/* A product that was prepared: oneDNN takes some microseconds to look one up, of which a small
 * network's step would feel every one. */
struct shape {
  int64_t m, n, k, lda, ldb, ldc;
  float beta;
  int32_t turned; /* 1: ta, 2: tb */
};
struct prepared {
  struct shape shape;
  dnnl_primitive_t primitive; /* NULL: a free place */
  dnnl_memory_t a, b, c;
};

#define PREPARED_MAX 512 /* places, a power of 2; all are given up when 3 in 4 are taken */

struct backend {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  size_t taken;
  struct prepared places[PREPARED_MAX];
};

static void forget(struct backend *own) {
  for (size_t i = 0; i < PREPARED_MAX; i++) {
    struct prepared *p = &own->places[i];
    if (p->primitive == NULL) continue;
    dnnl_primitive_destroy(p->primitive);
    dnnl_memory_destroy(p->a);
    dnnl_memory_destroy(p->b);
    dnnl_memory_destroy(p->c);
    *p = (struct prepared){0};
  }
  own->taken = 0;
}

static bool describe(dnnl_memory_desc_t *d, bool turned, int64_t rows, int64_t columns, int64_t ld,
                     dnnl_data_type_t type) {
  const dnnl_dims_t dims = {rows, columns}, strides = {turned ? 1 : ld, turned ? ld : 1};
  return dnnl_memory_desc_init_by_strides(d, 2, dims, type, strides) == dnnl_success;
}

static bool make_primitive(const struct backend *own, const struct shape *s,
                           const dnnl_memory_desc_t d[3], dnnl_primitive_t *out) {
  dnnl_matmul_desc_t what;
  dnnl_primitive_attr_t attr = NULL;
  dnnl_post_ops_t ops = NULL;
  dnnl_primitive_desc_t desc = NULL;
  bool ok = dnnl_matmul_desc_init(&what, &d[0], &d[1], NULL, &d[2]) == dnnl_success &&
            dnnl_primitive_attr_create(&attr) == dnnl_success;
  if (ok && s->beta != 0.0f)
    ok = dnnl_post_ops_create(&ops) == dnnl_success &&
         dnnl_post_ops_append_sum(ops, s->beta) == dnnl_success &&
         dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success;
  ok = ok && dnnl_primitive_desc_create(&desc, &what, attr, own->engine, NULL) == dnnl_success &&
       dnnl_primitive_create(out, desc) == dnnl_success;
  if (desc) dnnl_primitive_desc_destroy(desc);
  if (ops) dnnl_post_ops_destroy(ops);
  if (attr) dnnl_primitive_attr_destroy(attr);
  return ok;
}

static bool prepare(const struct backend *own, const struct shape *s, struct prepared *p) {
  dnnl_memory_desc_t d[3];
  *p = (struct prepared){.shape = *s};
  if (!describe(&d[0], s->turned & 1, s->m, s->k, s->lda, dnnl_bf16) ||
      !describe(&d[1], s->turned & 2, s->k, s->n, s->ldb, dnnl_bf16) ||
      !describe(&d[2], false, s->m, s->n, s->ldc, dnnl_f32))
    return false;
  if (dnnl_memory_create(&p->a, &d[0], own->engine, DNNL_MEMORY_NONE) == dnnl_success &&
      dnnl_memory_create(&p->b, &d[1], own->engine, DNNL_MEMORY_NONE) == dnnl_success &&
      dnnl_memory_create(&p->c, &d[2], own->engine, DNNL_MEMORY_NONE) == dnnl_success &&
      make_primitive(own, s, d, &p->primitive))
    return true;
  if (p->a) dnnl_memory_destroy(p->a);
  if (p->b) dnnl_memory_destroy(p->b);
  if (p->c) dnnl_memory_destroy(p->c);
  *p = (struct prepared){0};
  return false;
}

static size_t place_of(const struct shape *s) {
  uint64_t h = (uint64_t)s->m * 0x9e3779b97f4a7c15u;
  h = (h ^ (uint64_t)s->n) * 0x9e3779b97f4a7c15u;
  h = (h ^ (uint64_t)s->k) * 0x9e3779b97f4a7c15u;
  h = (h ^ (uint64_t)s->turned) * 0x9e3779b97f4a7c15u;
  return (size_t)(h >> 40) % PREPARED_MAX;
}

static bool same_shape(const struct shape *a, const struct shape *b) {
  return a->m == b->m && a->n == b->n && a->k == b->k && a->lda == b->lda && a->ldb == b->ldb &&
         a->ldc == b->ldc && a->beta == b->beta && a->turned == b->turned;
}

static const struct prepared *prepared_for(struct backend *own, const struct shape *s) {
  size_t i = place_of(s);
  for (; own->places[i].primitive != NULL; i = (i + 1) % PREPARED_MAX)
    if (same_shape(&own->places[i].shape, s)) return &own->places[i];
  if (own->taken >= PREPARED_MAX / 4 * 3) {
    forget(own);
    i = place_of(s);
  }
  if (!prepare(own, s, &own->places[i])) return NULL;
  own->taken++;
  return &own->places[i];
}

/* oneDNN's handles are not const; a and b are only read. */
static bool point(dnnl_memory_t memory, const void *at) {
  union {
    const void *read;
    void *any;
  } handle = {.read = at};
  return dnnl_memory_set_data_handle(memory, handle.any) == dnnl_success;
}

static enum pmp_err cpu_gemm_bf16(struct pmp_compute *self, bool ta, bool tb, int64_t m, int64_t n,
                                  int64_t k, const uint16_t *a, int64_t lda, const uint16_t *b,
                                  int64_t ldb, float beta, float *c, int64_t ldc) {
  if (m < 0 || n < 0 || k < 0) return PMP_EINVALID;
  if (m == 0 || n == 0) return PMP_OK;
  const int64_t start = self->timed ? now_ns() : 0;
  bool ok = true;
  if (k == 0) {
    scale(m, n, beta, c, ldc);
  } else {
    struct backend *own = self->self;
    const struct shape s = {m, n, k, lda, ldb, ldc, beta, (ta ? 1 : 0) | (tb ? 2 : 0)};
    set_team(self->threads); /* before: what is prepared is for so many threads */
    const struct prepared *p = prepared_for(own, &s);
    ok = p != NULL && point(p->a, a) && point(p->b, b) && point(p->c, c);
    if (ok) {
      const dnnl_exec_arg_t args[] = {
          {DNNL_ARG_SRC, p->a}, {DNNL_ARG_WEIGHTS, p->b}, {DNNL_ARG_DST, p->c}};
      ok = dnnl_primitive_execute(p->primitive, own->stream, 3, args) == dnnl_success &&
           dnnl_stream_wait(own->stream) == dnnl_success;
    }
  }
  count(self, m, n, k, start);
  return ok ? PMP_OK : PMP_EINTERNAL;
}

static void backend_free(struct backend *own) {
  if (own == NULL) return;
  forget(own);
  if (own->stream) dnnl_stream_destroy(own->stream);
  if (own->engine) dnnl_engine_destroy(own->engine);
  free(own);
}

static bool multiplies_bf16(void) {
  const unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
  return (isa & (unsigned)dnnl_cpu_isa_avx512_core_bf16) == (unsigned)dnnl_cpu_isa_avx512_core_bf16;
}

enum pmp_err pmp_compute_set_precision(struct pmp_compute *c, enum pmp_precision precision,
                                       struct pmp_errmsg *msg) {
  if (precision == PMP_PRECISION_FLOAT32) return PMP_OK;
  if (precision != PMP_PRECISION_BF16)
    return pmp_fail(msg, PMP_EINVALID, "precision %d is none", (int)precision);
  if (!multiplies_bf16())
    return pmp_fail(msg, PMP_EUNAVAILABLE,
                    "this processor (%s) does not multiply bf16: it takes AVX512-BF16 or AMX",
                    c->name);
  struct backend *own = calloc(1, sizeof *own);
  if (own == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for bf16 products");
  if (dnnl_engine_create(&own->engine, dnnl_cpu, 0) != dnnl_success ||
      dnnl_stream_create(&own->stream, own->engine, dnnl_stream_default_flags) != dnnl_success) {
    backend_free(own);
    return pmp_fail(msg, PMP_EINTERNAL, "oneDNN refuses an engine for bf16 products");
  }
  c->self = own;
  c->precision = precision;
  c->gemm_bf16 = cpu_gemm_bf16;
  const size_t length = strlen(c->name);
  snprintf(c->name + length, sizeof c->name - length, " x bf16");
  return PMP_OK;
}

void pmp_compute_close(struct pmp_compute *c) {
  if (c->gemm_bf16 != cpu_gemm_bf16) return; /* nothing is held, or somebody stands between */
  backend_free(c->self);
  c->self = NULL;
  c->gemm_bf16 = NULL;
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
