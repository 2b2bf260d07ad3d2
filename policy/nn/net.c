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

/* Where things lie in a cache, in floats. */
struct plan {
  size_t rows;
  size_t y[PMP_NET_HIDDEN_MAX]; /* outputs of hidden layers (rows x width) */
  size_t norm, rstd; /* normalised rows of layer 1 (rows x width), 1 / their std (rows) */
  size_t group;      /* the states' part of layer 1, or its gradient (states x width) */
  size_t grad[2];    /* gradients on hidden layers, in turn (rows x widest) */
  size_t sums;       /* scratch of row kernels */
  size_t floats;
};

static size_t take(struct plan *p, size_t floats) {
  const size_t at = p->floats;
  p->floats += (floats + ALIGN - 1) / ALIGN * ALIGN;
  return at;
}

static void plan_make(const struct pmp_net *net, size_t rows, size_t states, struct plan *p) {
  const struct pmp_net_config *c = &net->config;
  size_t widest = 0, widest_sum = c->out;
  *p = (struct plan){.rows = rows};
  for (uint32_t l = 0; l < c->hidden_count; l++) {
    p->y[l] = take(p, rows * c->hidden[l]);
    if (c->hidden[l] > widest) widest = c->hidden[l];
  }
  if (widest > widest_sum) widest_sum = widest;
  if (c->first_layer_norm) {
    p->norm = take(p, rows * c->hidden[0]);
    p->rstd = take(p, rows);
  }
  if (rows != states) p->group = take(p, states * width(net, 0));
  p->grad[0] = take(p, rows * widest);
  p->grad[1] = take(p, rows * widest);
  p->sums = take(p, pmp_rows_scratch_floats(rows, widest_sum));
}

size_t pmp_net_cache_floats(const struct pmp_net *net, size_t rows, size_t states) {
  struct plan p;
  plan_make(net, rows, states, &p);
  return p.floats;
}

/* One call's arguments. */
struct call {
  const struct pmp_net *net;
  struct pmp_compute *compute;
  const float *params, *shared, *own;
  size_t states, per;
  float *cache;
  struct plan plan;
};

static enum pmp_err gemm(const struct call *k, bool ta, bool tb, size_t m, size_t n, size_t inner,
                         const float *a, const float *b, float beta, float *c) {
  return k->compute->gemm(k->compute, ta, tb, (int64_t)m, (int64_t)n, (int64_t)inner, a,
                          (int64_t)(ta ? m : inner), b, (int64_t)(tb ? inner : n), beta, c,
                          (int64_t)n);
}

/* ---- forward ---- */

/* z (rows x width) = the product of layer 1; *group = what is to be added by state, or NULL. */
static enum pmp_err first_product(const struct call *k, float *z, const float **group) {
  const struct pmp_net_config *c = &k->net->config;
  const size_t n = width(k->net, 0), rows = k->plan.rows;
  const float *w = k->params + k->net->weight[0], *w_own = w + c->in_shared * n;
  *group = NULL;
  if (k->per == 1) {
    PMP_TRY(gemm(k, false, false, rows, n, c->in_shared, k->shared, w, 0, z));
    if (c->in_own == 0) return PMP_OK;
    return gemm(k, false, false, rows, n, c->in_own, k->own, w_own, 1, z);
  }
  float *state = k->cache + k->plan.group;
  PMP_TRY(gemm(k, false, false, k->states, n, c->in_shared, k->shared, w, 0, state));
  *group = state;
  return gemm(k, false, false, rows, n, c->in_own, k->own, w_own, 0, z);
}

static void activate(const struct call *k, uint32_t layer, const float *group, float *z) {
  const struct pmp_net *net = k->net;
  const struct pmp_rows_add add = {
      .bias = k->params + net->bias[layer], .group = group, .per = k->per};
  const size_t n = width(net, layer), rows = k->plan.rows;
  if (layer == net->config.hidden_count)
    pmp_rows_bias(k->compute->threads, rows, n, &add, z);
  else if (layer == 0 && net->config.first_layer_norm)
    pmp_rows_norm_tanh(k->compute->threads, rows, n, &add, k->params + net->gain,
                       k->params + net->shift, z, k->cache + k->plan.rstd, k->cache + k->plan.y[0]);
  else
    pmp_rows_elu(k->compute->threads, rows, n, &add, z);
}

enum pmp_err pmp_net_forward(const struct pmp_net *net, struct pmp_compute *compute,
                             const float *params, const float *shared, const float *own,
                             size_t states, size_t per, float *cache, float *out) {
  struct call k = {.net = net,
                   .compute = compute,
                   .params = params,
                   .shared = shared,
                   .own = own,
                   .states = states,
                   .per = per,
                   .cache = cache};
  if (states == 0 || per == 0) return PMP_OK;
  plan_make(net, states * per, states, &k.plan);
  for (uint32_t l = 0; l < layers(net); l++) {
    const bool last = l == net->config.hidden_count;
    float *z = last                                     ? out
               : l == 0 && net->config.first_layer_norm ? cache + k.plan.norm
                                                        : cache + k.plan.y[l];
    const float *group = NULL;
    if (l == 0)
      PMP_TRY(first_product(&k, z, &group));
    else
      PMP_TRY(gemm(&k, false, false, k.plan.rows, width(net, l), inputs(net, l),
                   cache + k.plan.y[l - 1], params + net->weight[l], 0, z));
    activate(&k, l, group, z);
  }
  return PMP_OK;
}

/* ---- backward ---- */

/* g (rows x width): the gradient on hidden layer's output becomes that on its product. */
static void deactivate(const struct call *k, uint32_t layer, float *g, float *dparams) {
  const struct pmp_net *net = k->net;
  const size_t n = width(net, layer), rows = k->plan.rows;
  const float *y = k->cache + k->plan.y[layer];
  float *sums = k->cache + k->plan.sums, *dbias = dparams ? dparams + net->bias[layer] : NULL;
  if (layer == 0 && net->config.first_layer_norm)
    pmp_rows_norm_tanh_back(k->compute->threads, rows, n, k->cache + k->plan.norm,
                            k->cache + k->plan.rstd, y, k->params + net->gain, g, sums, dbias,
                            dparams ? dparams + net->gain : NULL,
                            dparams ? dparams + net->shift : NULL);
  else
    pmp_rows_elu_back(k->compute->threads, rows, n, y, g, sums, dbias);
}

/* From g, the gradient on layer 1's product, to its weights and to the inputs. */
static enum pmp_err first_back(const struct call *k, const float *g, float *dparams, float *dshared,
                               float *down) {
  const struct pmp_net_config *c = &k->net->config;
  const size_t n = width(k->net, 0), rows = k->plan.rows, own_at = c->in_shared * n;
  const float *w = k->params + k->net->weight[0];
  float *dw = dparams ? dparams + k->net->weight[0] : NULL;
  if (dw && c->in_own) PMP_TRY(gemm(k, true, false, c->in_own, n, rows, k->own, g, 1, dw + own_at));
  if (down && c->in_own) PMP_TRY(gemm(k, false, true, rows, c->in_own, n, g, w + own_at, 0, down));
  if (c->in_shared == 0) return PMP_OK;
  if (k->per > 1 && (dw || dshared)) {
    float *grouped = k->cache + k->plan.group;
    pmp_rows_group(k->compute->threads, k->states, k->per, n, g, grouped);
    g = grouped;
  }
  if (dw) PMP_TRY(gemm(k, true, false, c->in_shared, n, k->states, k->shared, g, 1, dw));
  if (dshared) PMP_TRY(gemm(k, false, true, k->states, c->in_shared, n, g, w, 0, dshared));
  return PMP_OK;
}

enum pmp_err pmp_net_backward(const struct pmp_net *net, struct pmp_compute *compute,
                              const float *params, const float *shared, const float *own,
                              size_t states, size_t per, float *cache, const float *dout,
                              float *dparams, float *dshared, float *down) {
  struct call k = {.net = net,
                   .compute = compute,
                   .params = params,
                   .shared = shared,
                   .own = own,
                   .states = states,
                   .per = per,
                   .cache = cache};
  if (states == 0 || per == 0) return PMP_OK;
  plan_make(net, states * per, states, &k.plan);
  const size_t rows = k.plan.rows;
  const float *g = dout;
  if (dparams)
    pmp_rows_sum(compute->threads, rows, net->config.out, dout, cache + k.plan.sums,
                 dparams + net->bias[net->config.hidden_count]);
  for (uint32_t l = net->config.hidden_count; l > 0; l--) {
    const size_t n = width(net, l), in = inputs(net, l);
    float *next = cache + k.plan.grad[l % 2];
    if (dparams)
      PMP_TRY(gemm(&k, true, false, in, n, rows, cache + k.plan.y[l - 1], g, 1,
                   dparams + net->weight[l]));
    PMP_TRY(gemm(&k, false, true, rows, in, n, g, params + net->weight[l], 0, next));
    deactivate(&k, l - 1, next, dparams);
    g = next;
  }
  return first_back(&k, g, dparams, dshared, down);
}
