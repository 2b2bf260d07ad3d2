/* Forward, backward and evaluation of a network, a chunk of rows at a time. */
#include "policy/nn/net_layout.h"
#include "policy/nn/rows.h"

#include <omp.h>

#define ALIGN 16 /* floats: what the parts of a cache start at */

/* States are taken a chunk at a time through all layers, so that what one layer writes is still
 * near when the next reads it, and so that gradients on hidden layers need room for one chunk only.
 * The sizes do not depend on the machine or the number of threads: they are part of the order of
 * sums. */
#define CHUNK_ROWS 1280
#define PACKED_ROWS 16        /* of weights: fewer gain nothing by being packed */
#define EVALUATE_FLOATS 81920 /* of a hidden layer: what a chunk of an evaluation has */
#define TEAM_MAX 16           /* threads that evaluate chunks of their own */

/* ---- where things lie ---- */

/* Where things lie in a cache, in floats. Parts marked 16 hold bfloat16, for backends that multiply
 * it; others never touch them. */
struct plan {
  size_t states, rows; /* of a chunk; the last may have fewer */
  size_t chunks;
  /* What the parts have room for. It depends on the number of states only by being no larger, so
   * that a cache for many states holds any call with fewer. */
  size_t room_states, room_rows;
  /* Shared by all chunks: */
  size_t group;     /* the states' part of layer 1, or its gradient (states x width) */
  size_t grad[2];   /* gradients on hidden layers, in turn (rows x widest) */
  size_t grad16;    /* the one that goes into products (rows x widest, or x out) */
  size_t sums;      /* scratch of row kernels */
  size_t weights16; /* all parameters */
  size_t packed[PMP_NET_HIDDEN_MAX + 1]; /* of an evaluation: weights of each layer */
  size_t saved; /* the first chunk's part of what backward needs, or of an evaluation the first of
                   the places where chunks are worked on */
  /* Within a chunk's part: */
  size_t y[PMP_NET_HIDDEN_MAX],
      y16[PMP_NET_HIDDEN_MAX]; /* outputs of hidden layers (rows x width) */
  size_t norm[PMP_NET_HIDDEN_MAX], rstd[PMP_NET_HIDDEN_MAX]; /* normalised rows (rows x width), 1 /
                                                                their std (rows) */
  size_t shared16, own16;                                    /* inputs */
  size_t saved_each;                                         /* size of a chunk's part */
};

static size_t take(size_t *total, size_t floats) {
  const size_t at = *total;
  *total += (floats + ALIGN - 1) / ALIGN * ALIGN;
  return at;
}

static size_t take16(size_t *total, size_t count) {
  return take(total, (count + 1) / 2);
}

static size_t widest(const struct pmp_net *net) {
  size_t most = 0;
  for (uint32_t l = 0; l < net->config.hidden_count; l++)
    if (net->config.hidden[l] > most) most = net->config.hidden[l];
  return most;
}

static void divide(size_t states, size_t per, size_t rows, bool even, struct plan *p) {
  const size_t most = rows / per > 0 ? rows / per : 1;
  *p = (struct plan){.chunks = (states + most - 1) / most};
  if (even && p->chunks > 1) p->chunks += p->chunks % 2; /* two threads have as much to do */
  p->states = (states + p->chunks - 1) / p->chunks;
  p->chunks = (states + p->states - 1) / p->states; /* of few states one may be left with none */
  p->rows = p->states * per;
  p->room_states = states < most ? states : most;
  p->room_rows = p->room_states * per;
}

/* What a chunk leaves for its backward. */
static void plan_saved(const struct pmp_net *net, struct plan *p) {
  const struct pmp_net_config *c = &net->config;
  for (uint32_t l = 0; l < c->hidden_count; l++) {
    p->y[l] = take(&p->saved_each, p->room_rows * c->hidden[l]);
    p->y16[l] = take16(&p->saved_each, p->room_rows * c->hidden[l]);
    if (!pmp_net_has_norm(net, l)) continue;
    p->norm[l] = take(&p->saved_each, p->room_rows * c->hidden[l]);
    p->rstd[l] = take(&p->saved_each, p->room_rows);
  }
  p->shared16 = take16(&p->saved_each, p->room_states * c->in_shared);
  p->own16 = take16(&p->saved_each, p->room_rows * c->in_own);
}

static void plan_make(const struct pmp_net *net, size_t states, size_t per, struct plan *p) {
  const size_t most = widest(net), out = net->config.out, wide = most > out ? most : out;
  divide(states, per, CHUNK_ROWS, false, p);
  plan_saved(net, p);
  size_t common = 0;
  if (per > 1) p->group = take(&common, p->room_states * pmp_net_width(net, 0));
  p->grad[0] = take(&common, p->room_rows * most);
  p->grad[1] = take(&common, p->room_rows * most);
  p->grad16 = take16(&common, p->room_rows * wide);
  p->sums = take(&common, pmp_rows_scratch_floats(p->room_rows, wide));
  p->weights16 = take16(&common, net->floats);
  p->saved = common;
}

size_t pmp_net_cache_floats(const struct pmp_net *net, size_t rows, size_t states) {
  struct plan p;
  if (rows == 0 || states == 0) return 0;
  plan_make(net, states, rows / states, &p);
  return p.saved + p.chunks * p.saved_each;
}

/* Rows of layer `layer`'s weights that an evaluation multiplies chunk by chunk: not the states'
 * part of the first where states have several rows. */
static size_t packed_rows(const struct pmp_net *net, uint32_t layer, size_t per) {
  return layer == 0 && per > 1 ? net->config.in_own : pmp_net_inputs(net, layer);
}

/* For an evaluation nothing is saved: a place has room for what two hidden layers give, y[0] and
 * y[1] in turn, or y16[0]. There is one for each thread that may have a chunk. */
static size_t plan_evaluate(const struct pmp_net *net, size_t states, size_t per, struct plan *p) {
  const size_t most = widest(net);
  size_t total = 0;
  divide(states, per, most > 0 ? EVALUATE_FLOATS / most + 1 : CHUNK_ROWS, true, p);
  if (per > 1) p->group = take(&total, states * pmp_net_width(net, 0));
  p->y[0] = take(&p->saved_each, p->room_rows * most);
  p->y[1] = take(&p->saved_each, p->room_rows * most);
  p->y16[0] = take16(&p->saved_each, p->room_rows * most);
  p->own16 = take16(&p->saved_each, p->room_rows * net->config.in_own);
  p->weights16 = take16(&total, net->floats);
  p->shared16 = take16(&total, states * net->config.in_shared);
  for (uint32_t l = 0; p->chunks > 1 && l < pmp_net_layers(net); l++)
    p->packed[l] = take(&total, pmp_compute_packed_floats((int64_t)pmp_net_width(net, l),
                                                          (int64_t)packed_rows(net, l, per)));
  p->saved = total;
  return total + (p->chunks < TEAM_MAX ? p->chunks : TEAM_MAX) * p->saved_each;
}

size_t pmp_net_evaluate_floats(const struct pmp_net *net, size_t rows, size_t states) {
  struct plan p;
  return rows == 0 || states == 0 ? 0 : plan_evaluate(net, states, rows / states, &p);
}

/* ---- a chunk of a call ---- */

/* What goes into a product: float32, or bfloat16 where the backend multiplies that. */
struct operand {
  const float *f;
  const uint16_t *h;
};

struct chunk {
  const struct pmp_net *net;
  struct pmp_compute *compute;
  const struct plan *plan;
  const float *params;
  const uint16_t *weights; /* params, rounded; NULL when the backend multiplies float32 */
  struct operand shared, own;
  size_t first, states, per, rows; /* first: of all states */
  float *common, *saved;
  const float *packed[PMP_NET_HIDDEN_MAX + 1]; /* of an evaluation: a layer's weights, or NULL */
};

static uint16_t *half_at(float *floats, size_t at) {
  return (uint16_t *)(void *)(floats + at);
}

static bool is_half(const struct pmp_compute *compute) {
  return compute->precision == PMP_PRECISION_BF16;
}

/* `count` floats as an operand; `room` is where they go when they must be rounded. */
static struct operand operand_of(const struct pmp_compute *compute, const float *x, size_t count,
                                 uint16_t *room) {
  if (!is_half(compute) || count == 0) return (struct operand){.f = x};
  pmp_rows_round(compute->threads, count, x, room);
  return (struct operand){x, room};
}

static struct operand operand_from(struct operand x, size_t at) {
  return (struct operand){x.f ? x.f + at : NULL, x.h ? x.h + at : NULL};
}

static struct operand weight(const struct chunk *k, size_t at) {
  return operand_from((struct operand){k->params, k->weights}, at);
}

static enum pmp_err multiply(const struct chunk *k, bool ta, bool tb, size_t m, size_t n,
                             size_t inner, struct operand a, struct operand b, float beta,
                             float *c) {
  const int64_t lda = (int64_t)(ta ? m : inner), ldb = (int64_t)(tb ? inner : n);
  if (k->weights)
    return k->compute->gemm_bf16(k->compute, ta, tb, (int64_t)m, (int64_t)n, (int64_t)inner, a.h,
                                 lda, b.h, ldb, beta, c, (int64_t)n);
  return k->compute->gemm(k->compute, ta, tb, (int64_t)m, (int64_t)n, (int64_t)inner, a.f, lda, b.f,
                          ldb, beta, c, (int64_t)n);
}

/* Chunk `i` of `states` states, in the place-th part of the cache. */
static void chunk_set(struct chunk *k, size_t i, size_t place, size_t states, float *cache) {
  k->first = i * k->plan->states;
  k->states = states - k->first < k->plan->states ? states - k->first : k->plan->states;
  k->rows = k->states * k->per;
  k->common = cache;
  k->saved = cache + k->plan->saved + place * k->plan->saved_each;
}

/* Its inputs; rounded ones are there already when it was forward's. */
static void chunk_inputs(struct chunk *k, const float *shared, const float *own, bool backward) {
  const struct pmp_net_config *c = &k->net->config;
  const size_t states = k->states * c->in_shared, rows = k->rows * c->in_own;
  uint16_t *shared16 = half_at(k->saved, k->plan->shared16);
  uint16_t *own16 = half_at(k->saved, k->plan->own16);
  const float *x = c->in_shared ? shared + k->first * c->in_shared : NULL;
  const float *y = c->in_own ? own + k->first * k->per * c->in_own : NULL;
  if (backward) {
    k->shared = (struct operand){x, shared16};
    k->own = (struct operand){y, own16};
    return;
  }
  k->shared = operand_of(k->compute, x, states, shared16);
  k->own = operand_of(k->compute, y, rows, own16);
}

/* ---- forward ---- */

/* z (rows x width) = the product of layer 1; *group = what is to be added by state, or NULL. */
static enum pmp_err first_product(const struct chunk *k, float *z, const float **group) {
  const struct pmp_net_config *c = &k->net->config;
  const size_t n = pmp_net_width(k->net, 0), at = k->net->weight[0];
  const struct operand w = weight(k, at), w_own = weight(k, at + c->in_shared * n);
  *group = NULL;
  if (k->per == 1) {
    PMP_TRY(multiply(k, false, false, k->rows, n, c->in_shared, k->shared, w, 0, z));
    if (c->in_own == 0) return PMP_OK;
    return multiply(k, false, false, k->rows, n, c->in_own, k->own, w_own, 1, z);
  }
  float *state = k->common + k->plan->group;
  PMP_TRY(multiply(k, false, false, k->states, n, c->in_shared, k->shared, w, 0, state));
  *group = state;
  return multiply(k, false, false, k->rows, n, c->in_own, k->own, w_own, 0, z);
}

/* What a layer makes of its product z; rstd NULL: nothing is kept. */
static void activate(const struct chunk *k, uint32_t layer, const float *group, float *z,
                     float *rstd, float *y, uint16_t *y16) {
  const struct pmp_net *net = k->net;
  const struct pmp_rows_add add = {
      .bias = k->params + net->bias[layer], .group = group, .per = k->per};
  const size_t n = pmp_net_width(net, layer);
  const int threads = k->compute->threads;
  if (layer == net->config.hidden_count) {
    pmp_rows_bias(threads, k->rows, n, &add, z);
  } else if (pmp_net_has_norm(net, layer)) {
    const float *gain = k->params + net->norm[layer];
    const struct pmp_rows_norm norm = {gain, gain + n, layer > 0};
    pmp_rows_norm(threads, k->rows, n, &add, &norm, z, rstd, y, y16);
  } else {
    pmp_rows_elu(threads, k->rows, n, &add, z, y, y16);
  }
}

/* What hidden layer `layer` gave. */
static struct operand output(const struct chunk *k, uint32_t layer) {
  return (struct operand){k->saved + k->plan->y[layer], half_at(k->saved, k->plan->y16[layer])};
}

static enum pmp_err chunk_forward(const struct chunk *k, float *out) {
  const struct pmp_net *net = k->net;
  const uint32_t last = net->config.hidden_count;
  for (uint32_t l = 0; l <= last; l++) {
    const float *group = NULL;
    const bool norm = pmp_net_has_norm(net, l);
    float *y = l < last ? k->saved + k->plan->y[l] : out + k->first * k->per * net->config.out;
    float *z = norm ? k->saved + k->plan->norm[l] : y;
    if (l == 0)
      PMP_TRY(first_product(k, z, &group));
    else
      PMP_TRY(multiply(k, false, false, k->rows, pmp_net_width(net, l), pmp_net_inputs(net, l),
                       output(k, l - 1), weight(k, net->weight[l]), 0, z));
    activate(k, l, group, z, norm ? k->saved + k->plan->rstd[l] : NULL, y,
             k->weights && l < last ? half_at(k->saved, k->plan->y16[l]) : NULL);
  }
  return PMP_OK;
}

static const uint16_t *weights_of(const struct pmp_net *net, const struct pmp_compute *compute,
                                  const float *params, uint16_t *room) {
  return operand_of(compute, params, net->floats, room).h;
}

enum pmp_err pmp_net_forward(const struct pmp_net *net, struct pmp_compute *compute,
                             const float *params, const float *shared, const float *own,
                             size_t states, size_t per, float *cache, float *out) {
  struct plan plan;
  struct chunk k = {.net = net, .compute = compute, .plan = &plan, .params = params, .per = per};
  if (states == 0 || per == 0) return PMP_OK;
  plan_make(net, states, per, &plan);
  k.weights = weights_of(net, compute, params, half_at(cache, plan.weights16));
  for (size_t i = 0; i < plan.chunks; i++) {
    chunk_set(&k, i, i, states, cache);
    chunk_inputs(&k, shared, own, false);
    PMP_TRY(chunk_forward(&k, out));
  }
  return PMP_OK;
}

/* ---- evaluation ---- */

/* Weights as products want them: packed where several chunks read them and the backend packs, else
 * rounded where it multiplies bfloat16. */
static enum pmp_err evaluate_weights(struct chunk *k, float *scratch) {
  const struct pmp_net *net = k->net;
  struct pmp_compute *compute = k->compute;
  uint16_t *rounded = is_half(compute) ? half_at(scratch, k->plan->weights16) : NULL;
  k->weights = rounded;
  for (uint32_t l = 0; l < pmp_net_layers(net); l++) {
    const size_t n = pmp_net_width(net, l), rows = packed_rows(net, l, k->per);
    const size_t first = (pmp_net_inputs(net, l) - rows) * n, at = net->weight[l];
    /* With one row a state the first product is in two parts where there are own inputs. */
    const bool whole = l > 0 || k->per > 1 || net->config.in_own == 0;
    if (k->plan->chunks > 1 && compute->pack && whole && rows >= PACKED_ROWS) {
      float *room = scratch + k->plan->packed[l];
      const enum pmp_err err = compute->pack(compute, (int64_t)k->plan->rows, (int64_t)n,
                                             (int64_t)rows, k->params + at + first, room);
      if (err == PMP_OK)
        k->packed[l] = room;
      else if (err != PMP_EUNAVAILABLE)
        return err;
    }
    const size_t left = k->packed[l] ? first : first + rows * n;
    if (rounded) pmp_rows_round(compute->threads, left, k->params + at, rounded + at);
  }
  return PMP_OK;
}

/* z = x times layer `layer`'s weights, or their packed part. */
static enum pmp_err evaluate_product(const struct chunk *k, uint32_t layer, struct operand x,
                                     float *z) {
  const size_t n = pmp_net_width(k->net, layer), in = packed_rows(k->net, layer, k->per);
  const size_t first = (pmp_net_inputs(k->net, layer) - in) * n;
  if (k->packed[layer])
    return k->compute->gemm_packed(k->compute, (int64_t)k->rows, (int64_t)n, (int64_t)in,
                                   k->weights ? (const void *)x.h : x.f, k->packed[layer], z);
  return multiply(k, false, false, k->rows, n, in, x, weight(k, k->net->weight[layer] + first), 0,
                  z);
}

/* Layer 1's product of a chunk; where states have several rows theirs is in `group` already. */
static enum pmp_err evaluate_first(const struct chunk *k, float *z, const float **group) {
  if (k->per > 1) {
    *group = k->common + k->plan->group + k->first * pmp_net_width(k->net, 0);
    return evaluate_product(k, 0, k->own, z);
  }
  if (k->net->config.in_own > 0) return first_product(k, z, group);
  return evaluate_product(k, 0, k->shared, z);
}

static enum pmp_err chunk_evaluate(const struct chunk *k, float *out) {
  const struct pmp_net *net = k->net;
  const uint32_t last = net->config.hidden_count;
  const float *x = NULL;
  uint16_t *x16 = half_at(k->saved, k->plan->y16[0]);
  for (uint32_t l = 0; l <= last; l++) {
    const float *group = NULL;
    float *z = l < last ? k->saved + k->plan->y[l % 2] : out + k->first * k->per * net->config.out;
    if (l == 0)
      PMP_TRY(evaluate_first(k, z, &group));
    else
      PMP_TRY(evaluate_product(k, l, (struct operand){x, x16}, z));
    if (k->weights && l < last)
      activate(k, l, group, z, NULL, NULL, x16);
    else
      activate(k, l, group, z, NULL, z, NULL);
    x = z;
  }
  return PMP_OK;
}

/* What all chunks of an evaluation have in common. */
struct evaluation {
  struct chunk chunk; /* but for which one it is */
  struct operand all; /* states */
  const float *own;
  size_t states;
  float *scratch, *out;
};

/* Chunk i in a place of its own. */
static enum pmp_err evaluate_chunk(const struct evaluation *e, size_t i, size_t place,
                                   struct pmp_compute *compute) {
  struct chunk k = e->chunk;
  const struct pmp_net_config *c = &k.net->config;
  chunk_set(&k, i, place, e->states, e->scratch);
  k.compute = compute;
  const float *rows = c->in_own ? e->own + k.first * k.per * c->in_own : NULL;
  k.shared = operand_from(e->all, k.first * c->in_shared);
  k.own = operand_of(compute, rows, k.rows * c->in_own, half_at(k.saved, k.plan->own16));
  return chunk_evaluate(&k, e->out);
}

/* All of them, each by one thread where the backend has workers: within a chunk nobody waits for
 * anybody. */
static enum pmp_err evaluate_chunks(const struct evaluation *e) {
  struct pmp_compute *compute = e->chunk.compute;
  const size_t chunks = e->chunk.plan->chunks;
  const size_t most = chunks < TEAM_MAX ? chunks : TEAM_MAX;
  enum pmp_err failed = PMP_OK;
  if (compute->worker == NULL || chunks == 1) {
    for (size_t i = 0; i < chunks; i++) PMP_TRY(evaluate_chunk(e, i, 0, compute));
    return PMP_OK;
  }
  const int team = (size_t)compute->threads < most ? compute->threads : (int)most;
  pmp_compute_divide(compute, team);
#pragma omp parallel for schedule(dynamic) num_threads(team)
  for (size_t i = 0; i < chunks; i++) {
    const size_t place = (size_t)omp_get_thread_num();
    const enum pmp_err err = evaluate_chunk(e, i, place, &compute->worker[place]);
    if (err != PMP_OK) {
#pragma omp atomic write
      failed = err;
    }
  }
  pmp_compute_join(compute, team);
  return failed;
}

enum pmp_err pmp_net_evaluate(const struct pmp_net *net, struct pmp_compute *compute,
                              const float *params, const float *shared, const float *own,
                              size_t states, size_t per, float *scratch, float *out) {
  const struct pmp_net_config *c = &net->config;
  struct plan plan;
  struct chunk k = {.net = net, .compute = compute, .plan = &plan, .params = params, .per = per};
  if (states == 0 || per == 0) return PMP_OK;
  plan_evaluate(net, states, per, &plan);
  PMP_TRY(evaluate_weights(&k, scratch));
  const struct operand all =
      operand_of(compute, shared, states * c->in_shared, half_at(scratch, plan.shared16));
  if (per > 1)
    PMP_TRY(multiply(&k, false, false, states, pmp_net_width(net, 0), c->in_shared, all,
                     weight(&k, net->weight[0]), 0, scratch + plan.group));
  return evaluate_chunks(&(struct evaluation){k, all, own, states, scratch, out});
}

/* ---- backward ---- */

/* g (rows x width): the gradient on hidden layer's output becomes that on its product. */
static struct operand deactivate(const struct chunk *k, uint32_t layer, float *g, float *dparams) {
  const struct pmp_net *net = k->net;
  const size_t n = pmp_net_width(net, layer);
  const int threads = k->compute->threads;
  const float *y = k->saved + k->plan->y[layer];
  float *sums = k->common + k->plan->sums, *dbias = dparams ? dparams + net->bias[layer] : NULL;
  uint16_t *g16 = k->weights ? half_at(k->common, k->plan->grad16) : NULL;
  if (pmp_net_has_norm(net, layer)) {
    const float *gain = k->params + net->norm[layer];
    const struct pmp_rows_norm norm = {gain, gain + n, layer > 0};
    float *dgain = dparams ? dparams + net->norm[layer] : NULL;
    pmp_rows_norm_back(threads, k->rows, n, &norm, k->saved + k->plan->norm[layer],
                       k->saved + k->plan->rstd[layer], y, g, g16, sums, dbias, dgain,
                       dgain ? dgain + n : NULL);
  } else {
    pmp_rows_elu_back(threads, k->rows, n, y, g, g16, sums, dbias);
  }
  return (struct operand){g, g16};
}

/* From g, the gradient on layer 1's product, to its weights and to the inputs. */
static enum pmp_err first_back(const struct chunk *k, struct operand g, float *dparams,
                               float *dshared, float *down) {
  const struct pmp_net_config *c = &k->net->config;
  const size_t n = pmp_net_width(k->net, 0), at = k->net->weight[0], own = at + c->in_shared * n;
  float *dw = dparams ? dparams + at : NULL;
  if (dw && c->in_own)
    PMP_TRY(multiply(k, true, false, c->in_own, n, k->rows, k->own, g, 1, dparams + own));
  if (down && c->in_own)
    PMP_TRY(multiply(k, false, true, k->rows, c->in_own, n, g, weight(k, own), 0,
                     down + k->first * k->per * c->in_own));
  if (c->in_shared == 0) return PMP_OK;
  if (k->per > 1 && (dw || dshared)) {
    float *grouped = k->common + k->plan->group;
    pmp_rows_group(k->compute->threads, k->states, k->per, n, g.f, grouped);
    g = operand_of(k->compute, grouped, k->states * n, half_at(k->common, k->plan->grad16));
  }
  if (dw) PMP_TRY(multiply(k, true, false, c->in_shared, n, k->states, k->shared, g, 1, dw));
  if (dshared)
    PMP_TRY(multiply(k, false, true, k->states, c->in_shared, n, g, weight(k, at), 0,
                     dshared + k->first * c->in_shared));
  return PMP_OK;
}

static enum pmp_err chunk_backward(const struct chunk *k, const float *dout, float *dparams,
                                   float *dshared, float *down) {
  const struct pmp_net *net = k->net;
  const size_t out = net->config.out;
  dout += k->first * k->per * out;
  if (dparams)
    pmp_rows_sum(k->compute->threads, k->rows, out, dout, k->common + k->plan->sums,
                 dparams + net->bias[net->config.hidden_count]);
  struct operand g =
      operand_of(k->compute, dout, k->rows * out, half_at(k->common, k->plan->grad16));
  for (uint32_t l = net->config.hidden_count; l > 0; l--) {
    const size_t n = pmp_net_width(net, l), in = pmp_net_inputs(net, l);
    float *next = k->common + k->plan->grad[l % 2];
    if (dparams)
      PMP_TRY(multiply(k, true, false, in, n, k->rows, output(k, l - 1), g, 1,
                       dparams + net->weight[l]));
    PMP_TRY(multiply(k, false, true, k->rows, in, n, g, weight(k, net->weight[l]), 0, next));
    g = deactivate(k, l - 1, next, dparams);
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
  if (is_half(compute)) k.weights = half_at(cache, plan.weights16); /* forward's */
  for (size_t i = 0; i < plan.chunks; i++) {
    chunk_set(&k, i, i, states, cache);
    chunk_inputs(&k, shared, own, true);
    PMP_TRY(chunk_backward(&k, dout, dparams, dshared, down));
  }
  return PMP_OK;
}
