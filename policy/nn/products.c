#include "policy/nn/products.h"

#include "policy/nn/pack.h"

#include <oneapi/dnnl/dnnl.h>

#include <stdlib.h>
#include <string.h>

#define PLACES 512     /* for products, a power of 2; all are given up when 3 in 4 are taken */
#define LAYOUTS_MAX 64 /* of packed operands */

struct prepared {
  struct pmp_product shape;
  bool packed;                /* b has the layout of (n, k, half) */
  dnnl_primitive_t primitive; /* NULL: a free place */
  dnnl_memory_t a, b, c;
};

/* How operands of n columns and k rows are packed. */
struct layout {
  int64_t n, k;
  bool half;
  dnnl_memory_desc_t desc;
  bool known; /* pack says how */
  struct pmp_pack pack;
  dnnl_primitive_t reorder; /* otherwise: from dense float32 */
  dnnl_memory_t from, to;
};

struct pmp_products {
  const struct pmp_products *packs; /* whose layouts count: another's, or itself */
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  size_t taken, layouts;
  struct prepared place[PLACES];
  struct layout layout[LAYOUTS_MAX];
};

static bool ok(dnnl_status_t status) {
  return status == dnnl_success;
}

static void forget(struct prepared *p) {
  if (p->primitive) dnnl_primitive_destroy(p->primitive);
  if (p->a) dnnl_memory_destroy(p->a);
  if (p->b) dnnl_memory_destroy(p->b);
  if (p->c) dnnl_memory_destroy(p->c);
  *p = (struct prepared){.primitive = NULL};
}

static void forget_layout(struct layout *l) {
  if (l->reorder) dnnl_primitive_destroy(l->reorder);
  if (l->from) dnnl_memory_destroy(l->from);
  if (l->to) dnnl_memory_destroy(l->to);
  *l = (struct layout){.reorder = NULL};
}

enum pmp_err pmp_products_open(struct pmp_products **products, const struct pmp_products *packs) {
  struct pmp_products *own = *products = calloc(1, sizeof *own);
  if (own == NULL) return PMP_ENOMEM;
  own->packs = packs ? packs : own;
  if (ok(dnnl_engine_create(&own->engine, dnnl_cpu, 0)) &&
      ok(dnnl_stream_create(&own->stream, own->engine, dnnl_stream_default_flags)))
    return PMP_OK;
  pmp_products_close(own);
  *products = NULL;
  return PMP_EINTERNAL;
}

void pmp_products_close(struct pmp_products *own) {
  if (own == NULL) return;
  for (size_t i = 0; i < PLACES; i++) forget(&own->place[i]);
  for (size_t i = 0; i < own->layouts; i++) forget_layout(&own->layout[i]);
  if (own->stream) dnnl_stream_destroy(own->stream);
  if (own->engine) dnnl_engine_destroy(own->engine);
  free(own);
}

/* ---- preparing ---- */

static bool describe(dnnl_memory_desc_t *d, bool turned, int64_t rows, int64_t columns, int64_t ld,
                     dnnl_data_type_t type) {
  const dnnl_dims_t dims = {rows, columns}, strides = {turned ? 1 : ld, turned ? ld : 1};
  return ok(dnnl_memory_desc_init_by_strides(d, 2, dims, type, strides));
}

/* The primitive, or its description alone. */
static bool make_product(const struct pmp_products *own, const dnnl_memory_desc_t d[3], float beta,
                         dnnl_primitive_desc_t *desc, dnnl_primitive_t *out) {
  dnnl_matmul_desc_t what;
  dnnl_primitive_attr_t attr = NULL;
  dnnl_post_ops_t ops = NULL;
  bool good = ok(dnnl_matmul_desc_init(&what, &d[0], &d[1], NULL, &d[2])) &&
              ok(dnnl_primitive_attr_create(&attr));
  if (good && beta != 0.0f)
    good = ok(dnnl_post_ops_create(&ops)) && ok(dnnl_post_ops_append_sum(ops, beta)) &&
           ok(dnnl_primitive_attr_set_post_ops(attr, ops));
  good = good && ok(dnnl_primitive_desc_create(desc, &what, attr, own->engine, NULL));
  if (good && out) good = ok(dnnl_primitive_create(out, *desc));
  if (ops) dnnl_post_ops_destroy(ops);
  if (attr) dnnl_primitive_attr_destroy(attr);
  return good;
}

static bool hold(const struct pmp_products *own, const dnnl_memory_desc_t *d, dnnl_memory_t *out) {
  return ok(dnnl_memory_create(out, d, own->engine, DNNL_MEMORY_NONE));
}

/* `packed` (nullable): b's layout. */
static bool prepare(const struct pmp_products *own, const struct pmp_product *s,
                    const dnnl_memory_desc_t *packed, struct prepared *p) {
  const dnnl_data_type_t type = s->half ? dnnl_bf16 : dnnl_f32;
  dnnl_memory_desc_t d[3];
  dnnl_primitive_desc_t desc = NULL;
  *p = (struct prepared){.shape = *s, .packed = packed != NULL};
  bool good = describe(&d[0], s->ta, s->m, s->k, s->lda, type) &&
              describe(&d[1], s->tb, s->k, s->n, s->ldb, type) &&
              describe(&d[2], false, s->m, s->n, s->ldc, dnnl_f32);
  if (packed) d[1] = *packed;
  good = good && hold(own, &d[0], &p->a) && hold(own, &d[1], &p->b) && hold(own, &d[2], &p->c) &&
         make_product(own, d, s->beta, &desc, &p->primitive);
  if (desc) dnnl_primitive_desc_destroy(desc);
  if (!good) forget(p);
  return good;
}

static uint64_t stir(uint64_t h, int64_t x) {
  return (h ^ (uint64_t)x) * 0x9e3779b97f4a7c15u;
}

static size_t place_of(const struct pmp_product *s, bool packed) {
  const int64_t way = (s->ta ? 1 : 0) | (s->tb ? 2 : 0) | (s->half ? 4 : 0) | (packed ? 8 : 0);
  return (size_t)(stir(stir(stir(stir(0, s->m), s->n), s->k), way) >> 40) % PLACES;
}

static bool same(const struct pmp_product *a, const struct pmp_product *b) {
  return a->m == b->m && a->n == b->n && a->k == b->k && a->lda == b->lda && a->ldb == b->ldb &&
         a->ldc == b->ldc && a->beta == b->beta && a->ta == b->ta && a->tb == b->tb &&
         a->half == b->half;
}

static const struct prepared *find(struct pmp_products *own, const struct pmp_product *s,
                                   const dnnl_memory_desc_t *packed) {
  size_t i = place_of(s, packed != NULL);
  for (; own->place[i].primitive != NULL; i = (i + 1) % PLACES)
    if (own->place[i].packed == (packed != NULL) && same(&own->place[i].shape, s))
      return &own->place[i];
  if (own->taken >= PLACES / 4 * 3) {
    for (size_t k = 0; k < PLACES; k++) forget(&own->place[k]);
    own->taken = 0;
    i = place_of(s, packed != NULL);
  }
  if (!prepare(own, s, packed, &own->place[i])) return NULL;
  own->taken++;
  return &own->place[i];
}

/* ---- running ---- */

/* oneDNN's handles are not const; operands are only read. */
static bool point(dnnl_memory_t memory, const void *at) {
  union {
    const void *read;
    void *any;
  } handle = {.read = at};
  return ok(dnnl_memory_set_data_handle(memory, handle.any));
}

static enum pmp_err run(struct pmp_products *own, const struct prepared *p, const void *a,
                        const void *b, float *c) {
  if (p == NULL || !point(p->a, a) || !point(p->b, b) || !point(p->c, c)) return PMP_EINTERNAL;
  const dnnl_exec_arg_t args[] = {
      {DNNL_ARG_SRC, p->a}, {DNNL_ARG_WEIGHTS, p->b}, {DNNL_ARG_DST, p->c}};
  return ok(dnnl_primitive_execute(p->primitive, own->stream, 3, args)) &&
                 ok(dnnl_stream_wait(own->stream))
             ? PMP_OK
             : PMP_EINTERNAL;
}

enum pmp_err pmp_products_run(struct pmp_products *own, const struct pmp_product *p, const void *a,
                              const void *b, float *c) {
  return run(own, find(own, p, NULL), a, b, c);
}

/* ---- packed operands ---- */

size_t pmp_products_packed_floats(int64_t n, int64_t k) {
  return (size_t)((n + 63) / 64 * 64) * (size_t)((k + 31) / 32 * 32);
}

static struct pmp_product dense(int64_t m, int64_t n, int64_t k, bool half) {
  return (struct pmp_product){.m = m, .n = n, .k = k, .lda = k, .ldb = n, .ldc = n, .half = half};
}

static const struct layout *layout_find(const struct pmp_products *own, int64_t n, int64_t k,
                                        bool half) {
  for (size_t i = 0; i < own->layouts; i++)
    if (own->layout[i].n == n && own->layout[i].k == k && own->layout[i].half == half)
      return &own->layout[i];
  return NULL;
}

/* What oneDNN would choose for products of m rows. */
static bool choose(const struct pmp_products *own, int64_t m, struct layout *l) {
  const dnnl_data_type_t type = l->half ? dnnl_bf16 : dnnl_f32;
  const dnnl_dims_t dims = {l->k, l->n};
  dnnl_memory_desc_t d[3];
  dnnl_primitive_desc_t desc = NULL;
  const bool good = describe(&d[0], false, m, l->k, l->k, type) &&
                    ok(dnnl_memory_desc_init_by_tag(&d[1], 2, dims, type, dnnl_format_tag_any)) &&
                    describe(&d[2], false, m, l->n, l->n, dnnl_f32) &&
                    make_product(own, d, 0, &desc, NULL);
  if (good) l->desc = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
  if (desc) dnnl_primitive_desc_destroy(desc);
  return good && dnnl_memory_desc_get_size(&l->desc) <=
                     pmp_products_packed_floats(l->n, l->k) * sizeof(float);
}

static int64_t up(int64_t x, int64_t to) {
  return (x + to - 1) / to * to;
}

/* Is it the layout of pack.h? */
static bool recognise(struct layout *l) {
  const dnnl_memory_desc_t *d = &l->desc;
  const dnnl_blocking_desc_t *b = &d->format_desc.blocking;
  if (d->format_kind != dnnl_blocked || d->offset0 != 0 || d->extra.flags != 0 ||
      b->inner_nblks != (l->half ? 3 : 2) || b->inner_idxs[0] != 0 || b->inner_blks[0] != 16 ||
      b->inner_idxs[1] != 1 || b->inner_blks[1] > PMP_PACK_WIDTH_MAX)
    return false;
  if (l->half && (b->inner_idxs[2] != 0 || b->inner_blks[2] != 2)) return false;
  if (d->padded_dims[0] != up(l->k, l->half ? 32 : 16) ||
      d->padded_dims[1] != up(l->n, b->inner_blks[1]))
    return false;
  l->pack = (struct pmp_pack){l->n, l->k, b->inner_blks[1], b->strides[1], b->strides[0]};
  return true;
}

static bool layout_make(struct pmp_products *own, int64_t m, struct layout *l) {
  dnnl_memory_desc_t from;
  dnnl_primitive_desc_t desc = NULL;
  if (!choose(own, m, l)) return false;
  l->known = recognise(l);
  if (l->known) return true;
  const bool good = describe(&from, false, l->k, l->n, l->n, dnnl_f32) &&
                    hold(own, &from, &l->from) && hold(own, &l->desc, &l->to) &&
                    ok(dnnl_reorder_primitive_desc_create(&desc, &from, own->engine, &l->desc,
                                                          own->engine, NULL)) &&
                    ok(dnnl_primitive_create(&l->reorder, desc));
  if (desc) dnnl_primitive_desc_destroy(desc);
  if (!good) forget_layout(l);
  return good;
}

enum pmp_err pmp_products_pack(struct pmp_products *own, int64_t m, int64_t n, int64_t k, bool half,
                               const float *b, float *packed) {
  const struct layout *l = layout_find(own, n, k, half);
  if (l == NULL) {
    if (own->layouts == LAYOUTS_MAX) return PMP_EUNAVAILABLE;
    struct layout *made = &own->layout[own->layouts];
    *made = (struct layout){.n = n, .k = k, .half = half};
    if (!layout_make(own, m, made)) return PMP_EUNAVAILABLE;
    own->layouts++;
    l = made;
  }
  if (l->known) {
    if (half)
      pmp_pack_halves(&l->pack, b, (uint16_t *)(void *)packed);
    else
      pmp_pack_floats(&l->pack, b, packed);
    return PMP_OK;
  }
  if (!point(l->from, b) || !point(l->to, packed)) return PMP_EINTERNAL;
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, l->from}, {DNNL_ARG_TO, l->to}};
  return ok(dnnl_primitive_execute(l->reorder, own->stream, 2, args)) &&
                 ok(dnnl_stream_wait(own->stream))
             ? PMP_OK
             : PMP_EINTERNAL;
}

enum pmp_err pmp_products_run_packed(struct pmp_products *own, int64_t m, int64_t n, int64_t k,
                                     bool half, const void *a, const float *packed, float *c) {
  const struct layout *l = layout_find(own->packs, n, k, half);
  const struct pmp_product s = dense(m, n, k, half);
  return l == NULL ? PMP_EINVALID : run(own, find(own, &s, &l->desc), a, packed, c);
}
