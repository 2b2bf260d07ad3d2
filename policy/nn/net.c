#include "policy/nn/net.h"

#include "policy/nn/rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH_MAX 65536u
#define ALIGN 16 /* floats: what the parts of a cache start at */
/* The standard deviation of a standard normal cut at 2. */
#define TRUNCATED_STD 0.87962566103423978

static uint32_t layers(const struct pmp_net *net) {
  return net->config.hidden_count + 1;
}

static size_t width(const struct pmp_net *net, uint32_t layer) {
  return layer < net->config.hidden_count ? net->config.hidden[layer] : net->config.out;
}

static size_t inputs(const struct pmp_net *net, uint32_t layer) {
  return layer == 0 ? (size_t)net->config.in_shared + net->config.in_own : width(net, layer - 1);
}

/* ---- building ---- */

static enum pmp_err check(const struct pmp_net_config *c, struct pmp_errmsg *msg) {
  if (c->hidden_count > PMP_NET_HIDDEN_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%u hidden layers: at most %d are possible", c->hidden_count,
                    PMP_NET_HIDDEN_MAX);
  if (c->in_shared > WIDTH_MAX || c->in_own > WIDTH_MAX || c->in_shared + c->in_own == 0)
    return pmp_fail(msg, PMP_EINVALID, "a network with %u and %u inputs", c->in_shared, c->in_own);
  for (uint32_t l = 0; l < c->hidden_count; l++)
    if (c->hidden[l] == 0 || c->hidden[l] > WIDTH_MAX)
      return pmp_fail(msg, PMP_EINVALID, "hidden layer %u has %u units: 1 to %u are possible", l,
                      c->hidden[l], WIDTH_MAX);
  if (c->out == 0 || c->out > (1u << 24))
    return pmp_fail(msg, PMP_EINVALID, "a network with %u outputs", c->out);
  if (c->first_layer_norm && c->hidden_count == 0)
    return pmp_fail(msg, PMP_EINVALID, "LayerNorm needs a hidden layer");
  if (!(c->out_scale > 0) || !isfinite(c->out_scale))
    return pmp_fail(msg, PMP_EINVALID, "out_scale %g is not above 0", (double)c->out_scale);
  return PMP_OK;
}

struct builder {
  struct pmp_manifest *manifest; /* nullable */
  const char *prefix;
  size_t floats; /* so far, from the net's start */
};

static enum pmp_err add_view(struct builder *b, const char *part, uint32_t rank,
                             const uint32_t *shape, size_t *offset, struct pmp_errmsg *msg) {
  char name[2 * PMP_VIEW_NAME_MAX];
  *offset = b->floats;
  b->floats += (size_t)shape[0] * (rank == 2 ? shape[1] : 1);
  if (b->manifest == NULL) return PMP_OK;
  const int length = snprintf(name, sizeof name, "%s/%s", b->prefix, part);
  if (length < 0 || (size_t)length >= PMP_VIEW_NAME_MAX)
    return pmp_fail(msg, PMP_EINVALID, "the parameter name \"%s/%s\" is too long", b->prefix, part);
  const enum pmp_err err = pmp_manifest_add(b->manifest, name, rank, shape, NULL);
  if (err != PMP_OK) return pmp_fail(msg, err, "the parameter \"%s\" cannot be added", name);
  return PMP_OK;
}

static enum pmp_err add_layer(struct pmp_net *net, struct builder *b, uint32_t layer,
                              struct pmp_errmsg *msg) {
  const uint32_t shape[2] = {(uint32_t)inputs(net, layer), (uint32_t)width(net, layer)};
  char part[32];
  snprintf(part, sizeof part, "linear_%u/weight", layer);
  PMP_TRY(add_view(b, part, 2, shape, &net->weight[layer], msg));
  snprintf(part, sizeof part, "linear_%u/bias", layer);
  PMP_TRY(add_view(b, part, 1, shape + 1, &net->bias[layer], msg));
  if (layer > 0 || !net->config.first_layer_norm) return PMP_OK;
  PMP_TRY(add_view(b, "layer_norm/gain", 1, shape + 1, &net->gain, msg));
  return add_view(b, "layer_norm/shift", 1, shape + 1, &net->shift, msg);
}

enum pmp_err pmp_net_init(struct pmp_net *net, const struct pmp_net_config *config,
                          const char *prefix, struct pmp_manifest *manifest,
                          struct pmp_errmsg *msg) {
  *net = (struct pmp_net){0};
  PMP_TRY(check(config, msg));
  net->config = *config;
  struct builder b = {.manifest = manifest, .prefix = prefix};
  const uint32_t views = manifest ? manifest->views : 0;
  const size_t floats = manifest ? manifest->floats : 0;
  for (uint32_t l = 0; l < layers(net); l++) {
    const enum pmp_err err = add_layer(net, &b, l, msg);
    if (err == PMP_OK) continue;
    if (manifest) {
      manifest->views = views;
      manifest->floats = floats;
    }
    return err;
  }
  net->floats = b.floats;
  return PMP_OK;
}

static double truncated_normal(struct pmp_rng *rng) {
  for (;;) {
    const double z = pmp_rng_normal(rng);
    if (fabs(z) <= 2) return z;
  }
}

void pmp_net_init_params(const struct pmp_net *net, struct pmp_rng *rng, float *params) {
  memset(params, 0, net->floats * sizeof *params);
  for (uint32_t l = 0; l < layers(net); l++) {
    const bool last = l == net->config.hidden_count;
    const double scale = last ? (double)net->config.out_scale : 1;
    const double std = sqrt(scale / (double)inputs(net, l)) / TRUNCATED_STD;
    float *weight = params + net->weight[l];
    for (size_t i = 0; i < inputs(net, l) * width(net, l); i++)
      weight[i] = (float)(std * truncated_normal(rng));
  }
  if (net->config.first_layer_norm)
    for (size_t j = 0; j < width(net, 0); j++) params[net->gain + j] = 1;
}

/* ---- the cache ---- */

/* States are taken a chunk at a time through all layers, so that what one layer writes is still
 * near when the next reads it, and so that gradients on hidden layers need room for one chunk only.
 * The size does not depend on the machine or the number of threads: it is part of the order of
 * sums. */
#define CHUNK_ROWS 1280

/* Where things lie in a cache, in floats. */
struct plan {
  size_t states, rows; /* of a chunk; the last may have fewer */
  size_t chunks;
  /* Shared by all chunks: */
  size_t group;   /* the states' part of layer 1, or its gradient (states x width) */
  size_t grad[2]; /* gradients on hidden layers, in turn (rows x widest) */
  size_t sums;    /* scratch of row kernels */
  size_t saved;   /* the first chunk's part of what backward needs */
  /* Within a chunk's part: */
  size_t y[PMP_NET_HIDDEN_MAX]; /* outputs of hidden layers (rows x width) */
  size_t norm, rstd; /* normalised rows of layer 1 (rows x width), 1 / their std (rows) */
  size_t saved_each; /* size of a chunk's part */
};

static size_t take(size_t *total, size_t floats) {
  const size_t at = *total;
  *total += (floats + ALIGN - 1) / ALIGN * ALIGN;
  return at;
}

static void plan_make(const struct pmp_net *net, size_t states, size_t per, struct plan *p) {
  const struct pmp_net_config *c = &net->config;
  const size_t most = CHUNK_ROWS / per > 0 ? CHUNK_ROWS / per : 1;
  size_t widest = 0, common = 0;
  *p = (struct plan){.chunks = (states + most - 1) / most};
  p->states = (states + p->chunks - 1) / p->chunks;
  p->rows = p->states * per;
  for (uint32_t l = 0; l < c->hidden_count; l++) {
    p->y[l] = take(&p->saved_each, p->rows * c->hidden[l]);
    if (c->hidden[l] > widest) widest = c->hidden[l];
  }
  if (c->first_layer_norm) {
    p->norm = take(&p->saved_each, p->rows * c->hidden[0]);
    p->rstd = take(&p->saved_each, p->rows);
  }
  if (per > 1) p->group = take(&common, p->states * width(net, 0));
  p->grad[0] = take(&common, p->rows * widest);
  p->grad[1] = take(&common, p->rows * widest);
  p->sums = take(&common, pmp_rows_scratch_floats(p->rows, widest > c->out ? widest : c->out));
  p->saved = common;
}

size_t pmp_net_cache_floats(const struct pmp_net *net, size_t rows, size_t states) {
  struct plan p;
  if (rows == 0 || states == 0) return 0;
  plan_make(net, states, rows / states, &p);
  return p.saved + p.chunks * p.saved_each;
}

/* One chunk of a call. */
struct chunk {
  const struct pmp_net *net;
  struct pmp_compute *compute;
  const struct plan *plan;
  const float *params, *shared, *own;
  size_t first, states, per, rows; /* first: of all states */
  float *common, *saved;
};

/* Chunk `i` of `states` states. */
static void chunk_set(struct chunk *k, size_t i, size_t states, const float *shared,
                      const float *own, float *cache) {
  const struct pmp_net_config *c = &k->net->config;
  const size_t first = i * k->plan->states, rest = states - first;
  k->first = first;
  k->states = rest < k->plan->states ? rest : k->plan->states;
  k->rows = k->states * k->per;
  k->shared = c->in_shared ? shared + first * c->in_shared : NULL;
  k->own = c->in_own ? own + first * k->per * c->in_own : NULL;
  k->common = cache;
  k->saved = cache + k->plan->saved + i * k->plan->saved_each;
}

static enum pmp_err gemm(const struct chunk *k, bool ta, bool tb, size_t m, size_t n, size_t inner,
                         const float *a, const float *b, float beta, float *c) {
  return k->compute->gemm(k->compute, ta, tb, (int64_t)m, (int64_t)n, (int64_t)inner, a,
                          (int64_t)(ta ? m : inner), b, (int64_t)(tb ? inner : n), beta, c,
                          (int64_t)n);
}

/* ---- forward ---- */

/* z (rows x width) = the product of layer 1; *group = what is to be added by state, or NULL. */
static enum pmp_err first_product(const struct chunk *k, float *z, const float **group) {
  const struct pmp_net_config *c = &k->net->config;
  const size_t n = width(k->net, 0);
  const float *w = k->params + k->net->weight[0], *w_own = w + c->in_shared * n;
  *group = NULL;
  if (k->per == 1) {
    PMP_TRY(gemm(k, false, false, k->rows, n, c->in_shared, k->shared, w, 0, z));
    if (c->in_own == 0) return PMP_OK;
    return gemm(k, false, false, k->rows, n, c->in_own, k->own, w_own, 1, z);
  }
  float *state = k->common + k->plan->group;
  PMP_TRY(gemm(k, false, false, k->states, n, c->in_shared, k->shared, w, 0, state));
  *group = state;
  return gemm(k, false, false, k->rows, n, c->in_own, k->own, w_own, 0, z);
}

static void activate(const struct chunk *k, uint32_t layer, const float *group, float *z) {
  const struct pmp_net *net = k->net;
  const struct pmp_rows_add add = {
      .bias = k->params + net->bias[layer], .group = group, .per = k->per};
  const size_t n = width(net, layer);
  const int threads = k->compute->threads;
  if (layer == net->config.hidden_count)
    pmp_rows_bias(threads, k->rows, n, &add, z);
  else if (layer == 0 && net->config.first_layer_norm)
    pmp_rows_norm_tanh(threads, k->rows, n, &add, k->params + net->gain, k->params + net->shift, z,
                       k->saved + k->plan->rstd, k->saved + k->plan->y[0]);
  else
    pmp_rows_elu(threads, k->rows, n, &add, z);
}

static enum pmp_err chunk_forward(const struct chunk *k, float *out) {
  const struct pmp_net *net = k->net;
  for (uint32_t l = 0; l < layers(net); l++) {
    const float *group = NULL;
    float *z = k->saved + k->plan->y[l < net->config.hidden_count ? l : 0];
    if (l == net->config.hidden_count)
      z = out + k->first * k->per * net->config.out;
    else if (l == 0 && net->config.first_layer_norm)
      z = k->saved + k->plan->norm;
    if (l == 0)
      PMP_TRY(first_product(k, z, &group));
    else
      PMP_TRY(gemm(k, false, false, k->rows, width(net, l), inputs(net, l),
                   k->saved + k->plan->y[l - 1], k->params + net->weight[l], 0, z));
    activate(k, l, group, z);
  }
  return PMP_OK;
}

enum pmp_err pmp_net_forward(const struct pmp_net *net, struct pmp_compute *compute,
                             const float *params, const float *shared, const float *own,
                             size_t states, size_t per, float *cache, float *out) {
  struct plan plan;
  struct chunk k = {.net = net, .compute = compute, .plan = &plan, .params = params, .per = per};
  if (states == 0 || per == 0) return PMP_OK;
  plan_make(net, states, per, &plan);
  for (size_t i = 0; i < plan.chunks; i++) {
    chunk_set(&k, i, states, shared, own, cache);
    PMP_TRY(chunk_forward(&k, out));
  }
  return PMP_OK;
}

/* ---- backward ---- */

/* g (rows x width): the gradient on hidden layer's output becomes that on its product. */
static void deactivate(const struct chunk *k, uint32_t layer, float *g, float *dparams) {
  const struct pmp_net *net = k->net;
  const size_t n = width(net, layer);
  const int threads = k->compute->threads;
  const float *y = k->saved + k->plan->y[layer];
  float *sums = k->common + k->plan->sums, *dbias = dparams ? dparams + net->bias[layer] : NULL;
  if (layer == 0 && net->config.first_layer_norm)
    pmp_rows_norm_tanh_back(threads, k->rows, n, k->saved + k->plan->norm, k->saved + k->plan->rstd,
                            y, k->params + net->gain, g, sums, dbias,
                            dparams ? dparams + net->gain : NULL,
                            dparams ? dparams + net->shift : NULL);
  else
    pmp_rows_elu_back(threads, k->rows, n, y, g, sums, dbias);
}

/* From g, the gradient on layer 1's product, to its weights and to the inputs. */
static enum pmp_err first_back(const struct chunk *k, const float *g, float *dparams,
                               float *dshared, float *down) {
  const struct pmp_net_config *c = &k->net->config;
  const size_t n = width(k->net, 0), own_at = c->in_shared * n;
  const float *w = k->params + k->net->weight[0];
  float *dw = dparams ? dparams + k->net->weight[0] : NULL;
  if (dw && c->in_own)
    PMP_TRY(gemm(k, true, false, c->in_own, n, k->rows, k->own, g, 1, dw + own_at));
  if (down && c->in_own)
    PMP_TRY(gemm(k, false, true, k->rows, c->in_own, n, g, w + own_at, 0,
                 down + k->first * k->per * c->in_own));
  if (c->in_shared == 0) return PMP_OK;
  if (k->per > 1 && (dw || dshared)) {
    float *grouped = k->common + k->plan->group;
    pmp_rows_group(k->compute->threads, k->states, k->per, n, g, grouped);
    g = grouped;
  }
  if (dw) PMP_TRY(gemm(k, true, false, c->in_shared, n, k->states, k->shared, g, 1, dw));
  if (dshared)
    PMP_TRY(gemm(k, false, true, k->states, c->in_shared, n, g, w, 0,
                 dshared + k->first * c->in_shared));
  return PMP_OK;
}

static enum pmp_err chunk_backward(const struct chunk *k, const float *dout, float *dparams,
                                   float *dshared, float *down) {
  const struct pmp_net *net = k->net;
  const float *g = dout + k->first * k->per * net->config.out;
  if (dparams)
    pmp_rows_sum(k->compute->threads, k->rows, net->config.out, g, k->common + k->plan->sums,
                 dparams + net->bias[net->config.hidden_count]);
  for (uint32_t l = net->config.hidden_count; l > 0; l--) {
    const size_t n = width(net, l), in = inputs(net, l);
    float *next = k->common + k->plan->grad[l % 2];
    if (dparams)
      PMP_TRY(gemm(k, true, false, in, n, k->rows, k->saved + k->plan->y[l - 1], g, 1,
                   dparams + net->weight[l]));
    PMP_TRY(gemm(k, false, true, k->rows, in, n, g, k->params + net->weight[l], 0, next));
    deactivate(k, l - 1, next, dparams);
    g = next;
  }
  return first_back(k, g, dparams, dshared, down);
}

enum pmp_err pmp_net_backward(const struct pmp_net *net, struct pmp_compute *compute,
                              const float *params, const float *shared, const float *own,
                              size_t states, size_t per, float *cache, const float *dout,
                              float *dparams, float *dshared, float *down) {
  struct plan plan;
  struct chunk k = {.net = net, .compute = compute, .plan = &plan, .params = params, .per = per};
  if (states == 0 || per == 0) return PMP_OK;
  plan_make(net, states, per, &plan);
  for (size_t i = 0; i < plan.chunks; i++) {
    chunk_set(&k, i, states, shared, own, cache);
    PMP_TRY(chunk_backward(&k, dout, dparams, dshared, down));
  }
  return PMP_OK;
}
