#include "learner/reward/reward.h"

#include "learner/optim/adam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RECENT = 100, VALUES_AT_ONCE = 512 };
static const double FORGET = 0.99; /* of mean and spread, a step of one network */

struct clip {
  struct pmp_reward_clip id;
  uint32_t rows;
  int8_t label;
  float weight;
};

struct net {
  float *params, *grad, *m, *v; /* within memory */
  struct pmp_adam adam;
};

struct pmp_reward {
  struct pmp_reward_config config;
  struct pmp_net shape;
  struct net net[PMP_REWARD_NETS_MAX];
  float *memory;
  struct clip *clip; /* owned, [clips_max]: a ring, the newest before `next` */
  float *obs, *act;  /* owned, (clips_max x clip_rows x ...) */
  uint32_t count, next;
  struct pmp_arena arena;
  struct pmp_rng rng;
  struct pmp_adam_config optim;
  bool known;
  uint64_t verdicts, steps;
  double loss;
  double mean, square; /* running, of r and its square over the rows that are fitted */
  bool right[RECENT];
  uint32_t foretold;
};

static enum pmp_err check(const struct pmp_reward_config *c, struct pmp_errmsg *msg) {
  if (c->nets < 1 || c->nets > PMP_REWARD_NETS_MAX)
    return pmp_fail(msg, PMP_EINVALID, "a reward has 1 to %d networks, not %u", PMP_REWARD_NETS_MAX,
                    c->nets);
  if (c->clips_max < 2 || c->clip_rows < 1 || c->batch < 1)
    return pmp_fail(msg, PMP_EINVALID,
                    "a reward keeps at least 2 clips of at least 1 row, and fits at least 1");
  if (!(c->memory >= 0)) return pmp_fail(msg, PMP_EINVALID, "a reward's memory is at least 0");
  return PMP_OK;
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

/* Bytes of scratch: a fit's rows with their cache, or a piece of values. */
static size_t scratch(const struct pmp_reward *r) {
  const struct pmp_reward_config *c = &r->config;
  const size_t fit = (size_t)c->batch * c->clip_rows;
  const size_t ask = larger(VALUES_AT_ONCE, c->clip_rows);
  const size_t fit_floats = fit * (c->obs + c->act + 2) + pmp_net_cache_floats(&r->shape, fit, fit);
  const size_t ask_floats = ask + pmp_net_evaluate_floats(&r->shape, ask, ask);
  return larger(fit_floats, ask_floats) * sizeof(float) + (size_t)c->batch * 32 + 4096;
}

static enum pmp_err take_memory(struct pmp_reward *r) {
  const struct pmp_reward_config *c = &r->config;
  const size_t rows = (size_t)c->clips_max * c->clip_rows, n = r->shape.floats;
  r->memory = calloc(c->nets * 4 * n, sizeof *r->memory);
  r->clip = calloc(c->clips_max, sizeof *r->clip);
  r->obs = malloc((rows * c->obs + 1) * sizeof *r->obs);
  r->act = malloc((rows * c->act + 1) * sizeof *r->act);
  if (!r->memory || !r->clip || !r->obs || !r->act) return PMP_ENOMEM;
  for (uint32_t i = 0; i < c->nets; i++) {
    float *at = r->memory + (size_t)i * 4 * n;
    struct pmp_rng rng;
    r->net[i] = (struct net){.params = at, .grad = at + n, .m = at + 2 * n, .v = at + 3 * n};
    r->net[i].adam = (struct pmp_adam){.m = r->net[i].m, .v = r->net[i].v, .n = n};
    pmp_rng_init(&rng, c->seed, 0x72657761 + i);
    pmp_net_init_params(&r->shape, &rng, r->net[i].params);
  }
  return pmp_arena_init(&r->arena, scratch(r));
}

enum pmp_err pmp_reward_open(struct pmp_reward **out, const struct pmp_reward_config *config,
                             struct pmp_errmsg *msg) {
  *out = NULL;
  PMP_TRY(check(config, msg));
  struct pmp_reward *r = calloc(1, sizeof *r);
  if (!r) return pmp_fail(msg, PMP_ENOMEM, "no memory for a reward");
  r->config = *config;
  r->loss = NAN;
  struct pmp_net_config net = {.in_shared = config->obs,
                               .in_own = config->act,
                               .hidden_count = config->hidden_count,
                               .out = 1,
                               .first_layer_norm = true,
                               .out_scale = 0.1f};
  memcpy(net.hidden, config->hidden, sizeof net.hidden);
  r->optim = (struct pmp_adam_config){.lr = config->lr,
                                      .beta1 = 0.9f,
                                      .beta2 = 0.999f,
                                      .eps = 1e-8f,
                                      .weight_decay = config->weight_decay};
  enum pmp_err err = pmp_net_init(&r->shape, &net, "reward", NULL, msg);
  if (err == PMP_OK) err = pmp_adam_check(&r->optim, msg);
  if (err == PMP_OK) err = take_memory(r);
  if (err == PMP_ENOMEM) pmp_fail(msg, err, "no memory for %u clips", config->clips_max);
  pmp_rng_init(&r->rng, config->seed, 0x66697473);
  if (err != PMP_OK) {
    pmp_reward_close(r);
    return err;
  }
  *out = r;
  return PMP_OK;
}

void pmp_reward_close(struct pmp_reward *r) {
  if (!r) return;
  pmp_arena_fini(&r->arena);
  free(r->memory);
  free(r->clip);
  free(r->obs);
  free(r->act);
  free(r);
}

/* ---------------------------------------------------------------- clips */

static float *obs_of(const struct pmp_reward *r, uint32_t slot) {
  return r->obs + (size_t)slot * r->config.clip_rows * r->config.obs;
}

static float *act_of(const struct pmp_reward *r, uint32_t slot) {
  return r->act + (size_t)slot * r->config.clip_rows * r->config.act;
}

/* A withdrawn clip keeps its slot, with label 0, until it is the oldest. */
static struct clip *find(struct pmp_reward *r, struct pmp_reward_clip id) {
  for (uint32_t i = 0; i < r->count; i++) {
    if (r->clip[i].id.chunk == id.chunk && r->clip[i].id.row == id.row) return &r->clip[i];
  }
  return NULL;
}

enum pmp_err pmp_reward_judge(struct pmp_reward *r, struct pmp_compute *compute,
                              struct pmp_reward_clip id, uint32_t rows, const float *obs,
                              const float *act, int8_t label, float weight,
                              struct pmp_errmsg *msg) {
  if (rows == 0 || rows > r->config.clip_rows)
    return pmp_fail(msg, PMP_ETOOLARGE,
                    "a clip of %u rows; the reward learns from clips of 1 to %u", rows,
                    r->config.clip_rows);
  r->verdicts++;
  struct clip *known = find(r, id);
  if (known) {
    known->label = label;
    known->weight = weight;
    return PMP_OK;
  }
  if (label == 0) return PMP_OK;
  if (r->known) {
    double accept, spread;
    PMP_TRY(pmp_reward_foretell(r, compute, rows, obs, act, &accept, &spread));
    r->right[r->foretold++ % RECENT] = (accept > 0.5) == (label > 0);
  }
  const uint32_t slot = r->next;
  r->next = (r->next + 1) % r->config.clips_max;
  if (r->count < r->config.clips_max) r->count++;
  r->clip[slot] = (struct clip){.id = id, .rows = rows, .label = label, .weight = weight};
  if (r->config.obs > 0) memcpy(obs_of(r, slot), obs, (size_t)rows * r->config.obs * sizeof *obs);
  if (r->config.act > 0) memcpy(act_of(r, slot), act, (size_t)rows * r->config.act * sizeof *act);
  return PMP_OK;
}

/* ---------------------------------------------------------------- the fit */

/* A slot, the newer the likelier. */
static uint32_t draw(struct pmp_reward *r) {
  const uint32_t n = r->count;
  uint32_t age;
  if (r->config.memory > 0) { /* exponential in the age, cut off at the oldest */
    const double rate = log(2.0) / r->config.memory, u = pmp_rng_double(&r->rng);
    const double drawn = -log1p(u * expm1(-rate * n)) / rate;
    age = drawn < n ? (uint32_t)drawn : n - 1;
  } else {
    age = (uint32_t)pmp_rng_below(&r->rng, n);
  }
  return (r->next + r->config.clips_max - 1 - age) % r->config.clips_max;
}

/* One network's gradient on `batch` clips; *loss: their mean loss. Clips without a label weigh
 * nothing. */
static enum pmp_err gradient(struct pmp_reward *r, struct pmp_compute *compute, struct net *net,
                             double *loss) {
  const struct pmp_reward_config *c = &r->config;
  const size_t most = (size_t)c->batch * c->clip_rows;
  uint32_t *slot = pmp_arena_array(&r->arena, c->batch, sizeof *slot);
  float *obs = pmp_arena_array(&r->arena, most * c->obs, sizeof *obs);
  float *act = pmp_arena_array(&r->arena, most * c->act, sizeof *act);
  float *value = pmp_arena_array(&r->arena, most, sizeof *value);
  float *dvalue = pmp_arena_array(&r->arena, most, sizeof *dvalue);
  if (!slot || !obs || !act || !value || !dvalue) return PMP_ENOMEM;
  size_t rows = 0;
  for (uint32_t i = 0; i < c->batch; i++) {
    slot[i] = draw(r);
    const uint32_t n = r->clip[slot[i]].rows;
    if (c->obs > 0)
      memcpy(obs + rows * c->obs, obs_of(r, slot[i]), (size_t)n * c->obs * sizeof *obs);
    if (c->act > 0)
      memcpy(act + rows * c->act, act_of(r, slot[i]), (size_t)n * c->act * sizeof *act);
    rows += n;
  }
  float *cache =
      pmp_arena_array(&r->arena, pmp_net_cache_floats(&r->shape, rows, rows), sizeof *cache);
  if (!cache) return PMP_ENOMEM;
  const float *own = c->act > 0 ? act : NULL;
  PMP_TRY(pmp_net_forward(&r->shape, compute, net->params, obs, own, rows, 1, cache, value));
  double total = 0.0, sum = 0.0;
  for (uint32_t i = 0; i < c->batch; i++)
    total += r->clip[slot[i]].label != 0 ? (double)r->clip[slot[i]].weight : 0.0;
  size_t at = 0;
  for (uint32_t i = 0; i < c->batch; i++) {
    const struct clip *k = &r->clip[slot[i]];
    double z = 0.0;
    for (uint32_t j = 0; j < k->rows; j++) z += (double)value[at + j];
    z /= k->rows;
    /* -log sigmoid(label z), and its derivative */
    const double w = k->label != 0 && total > 0 ? (double)k->weight / total : 0.0;
    const double margin = (double)k->label * z;
    sum += w * (margin > 0 ? log1p(exp(-margin)) : -margin + log1p(exp(margin)));
    const double d = -w * (double)k->label / (1.0 + exp(margin)) / k->rows;
    for (uint32_t j = 0; j < k->rows; j++) dvalue[at + j] = (float)d;
    at += k->rows;
  }
  *loss = sum;
  double mean = 0.0, square = 0.0;
  for (size_t j = 0; j < rows; j++) {
    mean += (double)value[j] / (double)rows;
    square += (double)value[j] * (double)value[j] / (double)rows;
  }
  const double keep = r->steps == 0 ? 0.0 : FORGET;
  r->mean = keep * r->mean + (1 - keep) * mean;
  r->square = keep * r->square + (1 - keep) * square;
  memset(net->grad, 0, r->shape.floats * sizeof *net->grad);
  return pmp_net_backward(&r->shape, compute, net->params, obs, own, rows, 1, cache, dvalue,
                          net->grad, NULL, NULL);
}

static bool both_kinds(const struct pmp_reward *r) {
  bool accepted = false, rejected = false;
  for (uint32_t i = 0; i < r->count; i++) {
    accepted |= r->clip[i].label > 0;
    rejected |= r->clip[i].label < 0;
  }
  return accepted && rejected;
}

enum pmp_err pmp_reward_fit(struct pmp_reward *r, struct pmp_compute *compute, uint32_t steps,
                            struct pmp_errmsg *msg) {
  if (steps == 0 || !both_kinds(r)) return PMP_OK;
  double sum = 0.0;
  for (uint32_t s = 0; s < steps; s++) {
    for (uint32_t i = 0; i < r->config.nets; i++) {
      double loss = 0.0;
      pmp_arena_release(&r->arena, 0);
      enum pmp_err err = gradient(r, compute, &r->net[i], &loss);
      if (err == PMP_OK)
        err = pmp_adam_step(&r->net[i].adam, &r->optim, r->net[i].params, r->net[i].grad, NULL);
      if (err != PMP_OK) return pmp_fail(msg, err, "the reward's fit failed after %u steps", s);
      sum += loss;
    }
    r->steps++;
  }
  r->loss = sum / ((double)steps * r->config.nets);
  r->known = true;
  return PMP_OK;
}

/* ---------------------------------------------------------------- what it says */

bool pmp_reward_known(const struct pmp_reward *r) {
  return r->known;
}

enum pmp_err pmp_reward_values(struct pmp_reward *r, struct pmp_compute *compute, size_t n,
                               const float *obs, const float *act, float *out) {
  const struct pmp_reward_config *c = &r->config;
  if (!r->known) {
    for (size_t i = 0; i < n; i++) out[i] = 0.5f;
    return PMP_OK;
  }
  memset(out, 0, n * sizeof *out);
  for (size_t from = 0; from < n; from += VALUES_AT_ONCE) {
    const size_t rows = n - from < VALUES_AT_ONCE ? n - from : VALUES_AT_ONCE;
    pmp_arena_release(&r->arena, 0);
    float *value = pmp_arena_array(&r->arena, rows, sizeof *value);
    float *work =
        pmp_arena_array(&r->arena, pmp_net_evaluate_floats(&r->shape, rows, rows), sizeof *work);
    if (!value || !work) return PMP_ENOMEM;
    for (uint32_t i = 0; i < c->nets; i++) {
      PMP_TRY(pmp_net_evaluate(&r->shape, compute, r->net[i].params, obs + from * c->obs,
                               c->act > 0 ? act + from * c->act : NULL, rows, 1, work, value));
      for (size_t j = 0; j < rows; j++) out[from + j] += value[j];
    }
  }
  const double var = r->square - r->mean * r->mean, scale = var > 1e-12 ? sqrt(var) : 1e-6;
  for (size_t i = 0; i < n; i++)
    out[i] = (float)(1.0 / (1.0 + exp((r->mean - (double)out[i] / (double)c->nets) / scale)));
  return PMP_OK;
}

enum pmp_err pmp_reward_foretell(struct pmp_reward *r, struct pmp_compute *compute, uint32_t rows,
                                 const float *obs, const float *act, double *accept,
                                 double *spread) {
  double sum = 0.0, squares = 0.0;
  pmp_arena_release(&r->arena, 0);
  float *value = pmp_arena_array(&r->arena, rows, sizeof *value);
  float *work =
      pmp_arena_array(&r->arena, pmp_net_evaluate_floats(&r->shape, rows, rows), sizeof *work);
  if (!value || !work) return PMP_ENOMEM;
  for (uint32_t i = 0; i < r->config.nets; i++) {
    PMP_TRY(pmp_net_evaluate(&r->shape, compute, r->net[i].params, obs,
                             r->config.act > 0 ? act : NULL, rows, 1, work, value));
    double z = 0.0;
    for (uint32_t j = 0; j < rows; j++) z += (double)value[j];
    z /= rows;
    sum += z;
    squares += z * z;
  }
  const double mean = sum / r->config.nets, var = squares / r->config.nets - mean * mean;
  *accept = 1.0 / (1.0 + exp(-mean));
  *spread = var > 0 ? sqrt(var) : 0.0;
  return PMP_OK;
}

void pmp_reward_stats(const struct pmp_reward *r, struct pmp_reward_stats *out) {
  *out = (struct pmp_reward_stats){
      .verdicts = r->verdicts, .steps = r->steps, .loss = r->loss, .accuracy = NAN};
  for (uint32_t i = 0; i < r->count; i++) {
    out->accepted += r->clip[i].label > 0;
    out->rejected += r->clip[i].label < 0;
  }
  out->clips = out->accepted + out->rejected;
  const uint32_t n = r->foretold < RECENT ? r->foretold : RECENT;
  uint32_t right = 0;
  for (uint32_t i = 0; i < n; i++) right += r->right[i];
  if (n > 0) out->accuracy = (double)right / n;
}
