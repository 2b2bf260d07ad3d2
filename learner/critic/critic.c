#include "learner/critic/critic.h"

#include "learner/critic/atoms.h"

#include <math.h>
#include <string.h>

/* Evaluations run in chunks of about this many rows, so that heads need room for a chunk only; a
 * fixed number, because the order of sums must not depend on the machine. */
#define CHUNK_ROWS 8192
#define CHUNK_STATES 16 /* chunks are multiples of this, which suits the vectors of atoms.c */

static size_t chunk_states(size_t states, size_t per) {
  const size_t most = CHUNK_ROWS / per / CHUNK_STATES * CHUNK_STATES;
  if (most == 0) return states < CHUNK_STATES ? states : CHUNK_STATES;
  return states < most ? states : most;
}

enum pmp_err pmp_critic_init(struct pmp_critic *q, const struct pmp_critic_config *config,
                             struct pmp_errmsg *msg) {
  memset(q, 0, sizeof *q);
  if (config->obs == 0) return pmp_fail(msg, PMP_EINVALID, "a critic needs an observation");
  if (config->atoms == 0 || config->atoms > PMP_CRITIC_ATOMS_MAX) {
    return pmp_fail(msg, PMP_EINVALID, "%u atoms: 1 (scalar) to %d are possible", config->atoms,
                    PMP_CRITIC_ATOMS_MAX);
  }
  if (config->atoms > 1 &&
      !(isfinite(config->v_min) && isfinite(config->v_max) && config->v_min < config->v_max)) {
    return pmp_fail(msg, PMP_EINVALID, "atoms on [%g, %g]: v_min must be below v_max",
                    (double)config->v_min, (double)config->v_max);
  }
  if (config->count > PMP_CRITIC_COUNT_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%u critics: 1 or %d are possible", config->count,
                    PMP_CRITIC_COUNT_MAX);
  q->config = *config;
  q->config.count = config->count > 0 ? config->count : 1;
  struct pmp_net_config net = {
      .in_shared = config->obs,
      .in_own = config->act,
      .hidden_count = config->hidden_count,
      .out = config->atoms,
      .first_layer_norm = config->first_layer_norm,
      .layer_norm_all = config->layer_norm_all,
      .out_scale = 1.0f,
  };
  memcpy(net.hidden, config->hidden, sizeof net.hidden);
  PMP_TRY(pmp_net_init(&q->net, &net, "critic", &q->manifest, msg));
  if (q->config.count == 1) return PMP_OK;
  struct pmp_net second; /* as the first, but for its names */
  return pmp_net_init(&second, &net, "critic_2", &q->manifest, msg);
}

void pmp_critic_init_params(const struct pmp_critic *q, struct pmp_rng *rng, float *params) {
  for (uint32_t k = 0; k < q->config.count; k++)
    pmp_net_init_params(&q->net, rng, params + k * q->net.floats);
}

static bool all_finite(const float *x, size_t n) {
  unsigned bad = 0;
  for (size_t i = 0; i < n; i++) bad |= (unsigned)!(fabsf(x[i]) < INFINITY);
  return bad == 0;
}

/* head (count*per x atoms) of the states first..first+count. */
static enum pmp_err forward_chunk(const struct pmp_critic *q, struct pmp_compute *compute,
                                  const float *params, size_t first, size_t count, size_t per,
                                  const float *obs, const float *action, float *cache,
                                  float *head) {
  const float *own = q->config.act > 0 ? action + first * per * q->config.act : NULL;
  return pmp_net_evaluate(&q->net, compute, params, obs + first * q->config.obs, own, count, per,
                          cache, head);
}

/* What an evaluation of a chunk needs. */
struct scratch {
  float *cache, *head; /* head (rows x atoms) */
  float *other;        /* the second network's head, and values (rows) of both; NULL without it */
  float *value[PMP_CRITIC_COUNT_MAX];
};

static enum pmp_err scratch_take(const struct pmp_critic *q, struct pmp_arena *arena, size_t states,
                                 size_t per, struct scratch *s) {
  const size_t rows = states * per, atoms = q->config.atoms;
  const size_t twice = q->config.count > 1 ? rows : 0;
  s->cache = pmp_arena_array(arena, pmp_net_evaluate_floats(&q->net, rows, states), sizeof(float));
  s->head = pmp_arena_array(arena, rows * atoms, sizeof(float));
  if (s->cache == NULL || s->head == NULL) return PMP_ENOMEM;
  if (twice == 0) return PMP_OK;
  s->other = pmp_arena_array(arena, twice * atoms, sizeof(float));
  s->value[0] = pmp_arena_array(arena, twice, sizeof(float));
  s->value[1] = pmp_arena_array(arena, twice, sizeof(float));
  return s->other != NULL && s->value[0] != NULL && s->value[1] != NULL ? PMP_OK : PMP_ENOMEM;
}

/* Is b below a? A NaN counts as lowest, so that it is seen. */
static bool is_lower(float b, float a) {
  return !(a <= b) && !isnan(a);
}

enum pmp_err pmp_critic_values(const struct pmp_critic *q, struct pmp_compute *compute,
                               const float *params, size_t states, size_t per, const float *obs,
                               const float *action, struct pmp_arena *arena, float *values) {
  const struct pmp_critic_config *c = &q->config;
  if (states == 0 || per == 0) return PMP_OK;
  const size_t chunk = chunk_states(states, per), mark = pmp_arena_mark(arena);
  struct scratch s = {0};
  enum pmp_err err = scratch_take(q, arena, chunk, per, &s);
  if (err != PMP_OK) goto out;
  for (size_t first = 0; first < states; first += chunk) {
    const size_t count = states - first < chunk ? states - first : chunk;
    float *lowest = values + first * per;
    for (uint32_t k = 0; k < c->count; k++) {
      float *v = k == 0 ? lowest : s.value[k];
      float *head = c->atoms > 1 ? s.head : v;
      err = forward_chunk(q, compute, params + k * q->net.floats, first, count, per, obs, action,
                          s.cache, head);
      if (err != PMP_OK) goto out;
      if (c->atoms > 1)
        pmp_atoms_expect(compute->threads, count * per, c->atoms, c->v_min, c->v_max, head, v);
      for (size_t i = 0; k > 0 && i < count * per; i++)
        if (is_lower(v[i], lowest[i])) lowest[i] = v[i];
    }
  }
  if (!all_finite(values, states * per)) err = PMP_ENONFINITE;
out:
  pmp_arena_release(arena, mark);
  return err;
}

/* target (count) = ret + disc * mean over the state's rows of head. */
static void scalar_target(size_t count, size_t per, const float *head, const float *ret,
                          const float *disc, float *target) {
  for (size_t s = 0; s < count; s++) {
    double sum = 0.0;
    for (size_t i = 0; i < per; i++) sum += (double)head[s * per + i];
    target[s] = (float)((double)ret[s] + (double)disc[s] * (sum / (double)per));
  }
}

/* Rows of s->head whose value is the higher one give way to the second network's. */
static void keep_lower(const struct pmp_critic *q, int threads, size_t rows, struct scratch *s) {
  const struct pmp_critic_config *c = &q->config;
  const float *a = s->head, *b = s->other;
  if (c->atoms > 1) {
    pmp_atoms_expect(threads, rows, c->atoms, c->v_min, c->v_max, s->head, s->value[0]);
    pmp_atoms_expect(threads, rows, c->atoms, c->v_min, c->v_max, s->other, s->value[1]);
    a = s->value[0];
    b = s->value[1];
  }
  for (size_t i = 0; i < rows; i++)
    if (is_lower(b[i], a[i]))
      memcpy(s->head + i * c->atoms, s->other + i * c->atoms, c->atoms * sizeof(float));
}

/* s->head (count*per x atoms): of two networks the lower one's, action by action. */
static enum pmp_err lower_heads(const struct pmp_critic *q, struct pmp_compute *compute,
                                const float *params, size_t first, size_t count, size_t per,
                                const float *obs, const float *action, struct scratch *s) {
  PMP_TRY(forward_chunk(q, compute, params, first, count, per, obs, action, s->cache, s->head));
  if (q->config.count == 1) return PMP_OK;
  PMP_TRY(forward_chunk(q, compute, params + q->net.floats, first, count, per, obs, action,
                        s->cache, s->other));
  keep_lower(q, compute->threads, count * per, s);
  return PMP_OK;
}

enum pmp_err pmp_critic_target(const struct pmp_critic *q, struct pmp_compute *compute,
                               const float *target_params, size_t states, size_t per,
                               const float *boot_obs, const float *boot_action, const float *ret,
                               const float *disc, struct pmp_arena *arena, float *target) {
  const struct pmp_critic_config *c = &q->config;
  if (states == 0) return PMP_OK;
  if (per == 0) return PMP_EINVALID;
  if (!all_finite(ret, states) || !all_finite(disc, states)) return PMP_ENONFINITE;
  const size_t chunk = chunk_states(states, per), mark = pmp_arena_mark(arena);
  struct scratch s = {0};
  enum pmp_err err = scratch_take(q, arena, chunk, per, &s);
  float *prob = pmp_arena_array(arena, chunk * c->atoms, sizeof *prob);
  if (prob == NULL) err = PMP_ENOMEM;
  if (err != PMP_OK) goto out;
  for (size_t first = 0; first < states; first += chunk) {
    const size_t count = states - first < chunk ? states - first : chunk;
    float *t = target + first * c->atoms;
    err = lower_heads(q, compute, target_params, first, count, per, boot_obs, boot_action, &s);
    if (err != PMP_OK) goto out;
    if (c->atoms > 1) {
      pmp_atoms_mean(compute->threads, count, per, c->atoms, s.head, prob);
      pmp_critic_project(count, c->atoms, c->v_min, c->v_max, prob, ret + first, disc + first, t);
    } else {
      scalar_target(count, per, s.head, ret + first, disc + first, t);
    }
  }
  if (!all_finite(target, states * c->atoms)) err = PMP_ENONFINITE;
out:
  pmp_arena_release(arena, mark);
  return err;
}

/* *loss = mean 1/2 (q - target)^2, dhead its gradient. */
static void scalar_loss(size_t states, const float *head, const float *target, float *dhead,
                        double *loss, double *mean_q) {
  double sum = 0.0, sum_q = 0.0;
  for (size_t s = 0; s < states; s++) {
    const double error = (double)head[s] - (double)target[s];
    sum += 0.5 * error * error;
    sum_q += (double)head[s];
    dhead[s] = (float)(error / (double)states);
  }
  *loss = sum / (double)states;
  *mean_q = sum_q / (double)states;
}

enum pmp_err pmp_critic_loss(const struct pmp_critic *q, struct pmp_compute *compute,
                             const float *params, size_t states, const float *obs,
                             const float *action, const float *target, struct pmp_arena *arena,
                             float *dparams, double *loss, double *mean_q) {
  const struct pmp_critic_config *c = &q->config;
  if (states == 0) return PMP_EINVALID;
  const size_t mark = pmp_arena_mark(arena), heads = states * c->atoms;
  const float *own = c->act > 0 ? action : NULL;
  float *cache[PMP_CRITIC_COUNT_MAX] = {0}, *dhead[PMP_CRITIC_COUNT_MAX] = {0};
  float *head = pmp_arena_array(arena, heads, sizeof *head);
  double one = 0.0, value = 0.0, sum = 0.0, sum_q = 0.0;
  enum pmp_err err = head != NULL ? PMP_OK : PMP_ENOMEM;
  for (uint32_t k = 0; err == PMP_OK && k < c->count; k++) {
    cache[k] = pmp_arena_array(arena, pmp_net_cache_floats(&q->net, states, states), sizeof(float));
    dhead[k] = pmp_arena_array(arena, heads, sizeof(float));
    if (cache[k] == NULL || dhead[k] == NULL) err = PMP_ENOMEM;
  }
  for (uint32_t k = 0; err == PMP_OK && k < c->count; k++) {
    err = pmp_net_forward(&q->net, compute, params + k * q->net.floats, obs, own, states, 1,
                          cache[k], head);
    if (err != PMP_OK) break;
    if (c->atoms > 1) {
      pmp_atoms_loss(states, c->atoms, c->v_min, c->v_max, head, target, dhead[k], &one, &value);
    } else {
      scalar_loss(states, head, target, dhead[k], &one, &value);
    }
    sum += one;
    sum_q += value;
    if (!isfinite(one) || !all_finite(dhead[k], heads)) err = PMP_ENONFINITE;
  }
  *loss = sum / c->count;
  if (mean_q != NULL) *mean_q = sum_q / c->count;
  for (uint32_t k = 0; err == PMP_OK && k < c->count; k++)
    err = pmp_net_backward(&q->net, compute, params + k * q->net.floats, obs, own, states, 1,
                           cache[k], dhead[k], dparams + k * q->net.floats, NULL, NULL);
  pmp_arena_release(arena, mark);
  return err;
}

/* What the arena takes for `floats`: whole cache lines. */
static size_t block_bytes(size_t floats) {
  return (floats * sizeof(float) + 127) / 64 * 64;
}

size_t pmp_critic_scratch(const struct pmp_critic *q, size_t states, size_t per) {
  const size_t atoms = q->config.atoms, count = q->config.count;
  const size_t chunk = per > 0 ? chunk_states(states, per) : 0, rows = chunk * per;
  const size_t eval = block_bytes(pmp_net_evaluate_floats(&q->net, rows, chunk)) +
                      count * block_bytes(rows * atoms) + block_bytes(chunk * atoms) +
                      (count > 1 ? count * block_bytes(rows) : 0);
  const size_t cache = block_bytes(pmp_net_cache_floats(&q->net, states, states));
  const size_t loss = count * (cache + block_bytes(states * atoms)) + block_bytes(states * atoms);
  return eval > loss ? eval : loss;
}
