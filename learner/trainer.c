#include "learner/trainer.h"

#include "learner/trainer_state.h"

#include <xxhash.h>

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Streams of the seed's generator. */
enum { STREAM_POLICY = 1, STREAM_CRITIC = 2, STREAM_BATCH = 3, STREAM_ACTION = 4 };

/* Limits on one step's memory. */
enum { BATCH_MAX = 1 << 20, SAMPLES_MAX = 1024, VERSION_ROWS_MAX = 1 << 16 };

/* ---------------------------------------------------------------- configuration */

bool pmp_trainer_has_critic(const struct pmp_trainer_config *c) {
  return c->judge == PMP_JUDGE_CRITIC;
}

/* Outcomes without a verdict train the KL: where it is estimated from them, or rows are drawn for
 * it alone. */
static bool keeps_unlabelled(const struct pmp_trainer_config *c) {
  return c->replay.shape == PMP_REPLAY_OUTCOMES &&
         (c->loss.kl == PMP_KL_BC || c->kl_rows > 0 || strcmp(c->objective, "bc") == 0);
}

bool pmp_trainer_has_value(const struct pmp_trainer_config *c) {
  return c->judge == PMP_JUDGE_ACTOR && c->label_rule == PMP_LABEL_VALUE;
}

struct pmp_improve_config pmp_trainer_improve(const struct pmp_trainer_config *c) {
  static const enum pmp_improve_kind kind[] = {[PMP_DIST_DIAG_GAUSSIAN] = PMP_IMPROVE_DIAG_GAUSSIAN,
                                               [PMP_DIST_CATEGORICAL] = PMP_IMPROVE_CATEGORICAL,
                                               [PMP_DIST_GAUSSIAN] = PMP_IMPROVE_GAUSSIAN};
  const struct pmp_dist *dist = &c->policy.dist;
  struct pmp_improve_config improve = c->improve;
  improve.kind = kind[dist->kind];
  improve.dim = dist->kind == PMP_DIST_CATEGORICAL ? dist->bins : dist->dim;
  improve.alpha = c->loss.alpha;
  improve.beta_mean = c->beta_auto ? PMP_IMPROVE_AUTO : c->loss.beta[0];
  improve.beta_cov = c->beta_auto ? PMP_IMPROVE_AUTO : c->loss.beta[1];
  improve.resolution = 1e-6; /* outcomes are float32 */
  return improve;
}

static enum pmp_err check_judge(const struct pmp_trainer_config *c, struct pmp_errmsg *msg) {
  bool critic = c->judge == PMP_JUDGE_CRITIC;
  if (c->judge > PMP_JUDGE_PEOPLE) return pmp_fail(msg, PMP_EINVALID, "no such judge");
  if (critic != (c->replay.shape == PMP_REPLAY_TRAJECTORIES))
    return pmp_fail(msg, PMP_EINVALID,
                    "a critic judges trajectories, actors and people judge outcomes");
  if (c->label_rule > PMP_LABEL_VALUE) return pmp_fail(msg, PMP_EINVALID, "no such label rule");
  if (c->label_rule == PMP_LABEL_VALUE && c->judge == PMP_JUDGE_PEOPLE)
    return pmp_fail(msg, PMP_EINVALID, "label rule \"value\" reads evaluations: people give none");
  if (c->label_rule == PMP_LABEL_TOP_K && c->label_k < 1 && c->label_k_rejected < 1)
    return pmp_fail(msg, PMP_EINVALID, "label k must be at least 1");
  if (pmp_trainer_has_value(c)) {
    if (c->critic.act != 0 || c->critic.atoms != 1 ||
        c->critic.obs != (c->policy.obs > 0 ? c->policy.obs : 1))
      return pmp_fail(msg, PMP_EINVALID, "the value function's sizes are not the policy's");
    return pmp_adam_check(&c->critic_optim, msg);
  }
  if (!critic) return PMP_OK;
  if (c->label_samples < 2 || c->label_samples > SAMPLES_MAX)
    return pmp_fail(msg, PMP_EINVALID, "label samples %u is not in 2..%d", c->label_samples,
                    SAMPLES_MAX);
  if (c->value_samples < 1 || c->value_samples > SAMPLES_MAX)
    return pmp_fail(msg, PMP_EINVALID, "value samples %u is not in 1..%d", c->value_samples,
                    SAMPLES_MAX);
  if (c->critic_target_period < 1)
    return pmp_fail(msg, PMP_EINVALID, "critic target period must be at least 1");
  if (c->critic.obs != c->policy.obs || c->critic.act != c->policy.dist.dim)
    return pmp_fail(msg, PMP_EINVALID, "the critic's sizes are not the policy's");
  return pmp_adam_check(&c->critic_optim, msg);
}

static enum pmp_err check_batch(const struct pmp_trainer_config *c, struct pmp_errmsg *msg) {
  if (c->batch < 1 || c->batch > BATCH_MAX || c->kl_rows > BATCH_MAX)
    return pmp_fail(msg, PMP_EINVALID, "batch %u or kl_rows %u is not in 1..%d", c->batch,
                    c->kl_rows, BATCH_MAX);
  if (c->replay.obs != c->policy.obs || c->replay.act != c->policy.dist.dim)
    return pmp_fail(msg, PMP_EINVALID, "the replay's sizes are not the policy's");
  if (c->replay.capacity < c->batch)
    return pmp_fail(msg, PMP_EINVALID, "the replay's capacity is below the batch");
  if (c->replay.sampler == PMP_SAMPLER_VERSION && c->replay.capacity > VERSION_ROWS_MAX)
    return pmp_fail(msg, PMP_EINVALID,
                    "sampler \"version\" steps on all rows of a reference: capacity at most %d",
                    VERSION_ROWS_MAX);
  if (c->kl_rows == 0) return PMP_OK;
  if (c->replay.sampler != PMP_SAMPLER_UNIFORM)
    return pmp_fail(msg, PMP_EINVALID, "kl_rows needs the uniform sampler");
  return PMP_OK;
}

static enum pmp_err check_improvement(const struct pmp_trainer_config *c, struct pmp_errmsg *msg) {
  if (c->improvement > PMP_IMPROVEMENT_EXACT)
    return pmp_fail(msg, PMP_EINVALID, "no such improvement");
  if (c->improvement == PMP_IMPROVEMENT_GRADIENT) return PMP_OK;
  if (c->policy.network)
    return pmp_fail(msg, PMP_EINVALID,
                    "improvement exact has a closed form for policies without a network only");
  if (c->policy.dist.kind == PMP_DIST_CATEGORICAL && c->policy.dist.dim != 1)
    return pmp_fail(msg, PMP_EINVALID,
                    "improvement exact of bins has a closed form for one action dimension only");
  if (c->policy.dist.squash_mean)
    return pmp_fail(msg, PMP_EINVALID, "improvement exact needs a mean that is not squashed");
  if (strcmp(c->objective, "pmpo") != 0)
    return pmp_fail(msg, PMP_EINVALID, "improvement exact is of the objective pmpo, not \"%.31s\"",
                    c->objective);
  if (c->judge == PMP_JUDGE_CRITIC || c->replay.sampler != PMP_SAMPLER_ONCE)
    return pmp_fail(msg, PMP_EINVALID,
                    "improvement exact counts each outcome once: it needs the sampler \"once\"");
  if (c->loss.averaging != PMP_AVERAGING_SETS || c->loss.kl != PMP_KL_EXACT || c->loss.kl_by_state)
    return pmp_fail(msg, PMP_EINVALID,
                    "improvement exact is of averaging sets and the exact KL of uniform weight");
  struct pmp_improve_config improve = pmp_trainer_improve(c);
  if (c->beta_auto && improve.rule == PMP_IMPROVE_PLAIN && improve.kind != PMP_IMPROVE_CATEGORICAL)
    return pmp_fail(msg, PMP_EINVALID,
                    "objective.beta: auto goes with improvement_rule paths; plain needs a number");
  PMP_TRY(pmp_improve_check(&improve, msg));
  const double least = 1.0 - 2.0 * c->loss.alpha, beta = fmin(improve.beta_mean, improve.beta_cov);
  if (improve.kind != PMP_IMPROVE_CATEGORICAL && beta >= 0.0 && !(beta > least))
    return pmp_fail(msg, PMP_EINVALID,
                    "improvement exact with alpha %g needs every beta above %g (one is %g)",
                    c->loss.alpha, least, beta);
  return PMP_OK;
}

static enum pmp_err unknown_objective(const char *name, struct pmp_errmsg *msg) {
  char all[160] = "";
  const struct pmp_objective *o;
  for (size_t i = 0, used = 0; (o = pmp_objective_at(i)) != NULL && used < sizeof all; i++)
    used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "", o->name);
  return pmp_fail(msg, PMP_EINVALID, "objective.name: there is no \"%.31s\"; there are %s", name,
                  all);
}

static enum pmp_err check_objective(const struct pmp_trainer_config *c, struct pmp_errmsg *msg) {
  const struct pmp_objective *objective = memchr(c->objective, 0, sizeof c->objective) != NULL
                                              ? pmp_objective_find(c->objective)
                                              : NULL;
  if (objective == NULL) return unknown_objective(c->objective, msg);
  const struct pmp_dist *dist = &c->policy.dist;
  PMP_TRY(
      pmp_objective_check(objective, &c->loss, pmp_dist_parts(dist), pmp_dist_kl_parts(dist), msg));
  if (objective->needs_f && c->judge == PMP_JUDGE_PEOPLE)
    return pmp_fail(msg, PMP_EINVALID, "objective %s reads evaluations: people give none",
                    objective->name);
  if (strcmp(objective->name, "mpo") == 0 && c->loss.eps_penalty > 0.0 &&
      dist->kind == PMP_DIST_CATEGORICAL)
    return pmp_fail(msg, PMP_EINVALID,
                    "eps_penalty keeps a gaussian in its box: bins never leave it");
  return objective->duals != NULL ? pmp_adam_check(&c->dual_optim, msg) : PMP_OK;
}

enum pmp_err pmp_trainer_check(const struct pmp_trainer_config *c, struct pmp_errmsg *msg) {
  struct pmp_policy policy;
  struct pmp_critic critic;
  PMP_TRY(pmp_policy_init(&policy, &c->policy, msg));
  PMP_TRY(check_judge(c, msg));
  if (pmp_trainer_has_critic(c) || pmp_trainer_has_value(c))
    PMP_TRY(pmp_critic_init(&critic, &c->critic, msg));
  PMP_TRY(check_batch(c, msg));
  PMP_TRY(check_objective(c, msg));
  PMP_TRY(check_improvement(c, msg));
  PMP_TRY(pmp_adam_check(&c->policy_optim, msg));
  if (c->decay_steps > 0 && !(c->decay_to > 0.0 && c->decay_to <= 1.0))
    return pmp_fail(msg, PMP_EINVALID, "decay_to must be above 0 and at most 1");
  if (c->guard > PMP_GUARD_PAUSE) return pmp_fail(msg, PMP_EINVALID, "no such guard");
  if (c->guard != PMP_GUARD_OFF && !(c->kl_max > 0.0))
    return pmp_fail(msg, PMP_EINVALID, "kl_max must be above 0");
  if (c->threads < 1) return pmp_fail(msg, PMP_EINVALID, "threads must be at least 1");
  if (pmp_replay_bytes(&c->replay) == 0) {
    struct pmp_replay *none;
    return pmp_replay_open(&none, &c->replay, msg); /* says what is wrong */
  }
  return PMP_OK;
}

size_t pmp_trainer_conditions_max(const struct pmp_trainer_config *c) {
  size_t rows = c->replay.sampler == PMP_SAMPLER_VERSION ? c->replay.capacity : c->batch;
  return rows + c->kl_rows;
}

size_t pmp_trainer_outcomes_max(const struct pmp_trainer_config *c) {
  if (c->judge == PMP_JUDGE_CRITIC) return pmp_trainer_conditions_max(c) * c->label_samples;
  return pmp_trainer_conditions_max(c) + PMP_REPLAY_GROUP_MAX;
}

/* ---------------------------------------------------------------- life */

static bool allocate(struct pmp_trainer *t) {
  size_t pi = t->policy.manifest.floats, critic = t->critic.manifest.floats;
  size_t dual = t->dual_manifest.floats;
  for (int id = 0; id < PMP_BUFFERS; id++)
    t->floats[id] = pmp_trainer_buffer_manifest(t, (enum pmp_trainer_buffer_id)id)->floats;
  size_t bytes = (5 * pi + 5 * critic + 4 * dual) * sizeof(float) + (PMP_BUFFERS + 5) * 64 +
                 (t->improve_doubles + t->moments_doubles) * sizeof(double);
  if (pmp_arena_init(&t->params, bytes) != PMP_OK) return false;
  if (pmp_arena_init(&t->arena, pmp_trainer_scratch(t)) != PMP_OK) return false;
  bool ok = true;
  for (int id = 0; id < PMP_BUFFERS; id++) {
    t->buffer[id] = pmp_arena_zeroed(&t->params, t->floats[id], sizeof(float));
    ok = ok && t->buffer[id] != NULL;
  }
  t->pi_grad = pmp_arena_zeroed(&t->params, pi, sizeof(float));
  t->critic_grad = pmp_arena_zeroed(&t->params, critic, sizeof(float));
  t->dual_grad = pmp_arena_zeroed(&t->params, dual, sizeof(float));
  t->improve = pmp_arena_zeroed(&t->params, t->improve_doubles, sizeof(double));
  t->moments = pmp_arena_zeroed(&t->params, t->moments_doubles, sizeof(double));
  return ok && t->pi_grad != NULL && t->critic_grad != NULL && t->dual_grad != NULL &&
         t->improve != NULL && t->moments != NULL;
}

/* Initial parameters and generators. */
static void seed_state(struct pmp_trainer *t) {
  struct pmp_rng rng;
  uint64_t seed = t->config.seed;
  pmp_rng_init(&rng, seed, STREAM_POLICY);
  pmp_policy_init_params(&t->policy, &rng, t->buffer[PMP_BUFFER_PI]);
  memcpy(t->buffer[PMP_BUFFER_REF], t->buffer[PMP_BUFFER_PI],
         t->floats[PMP_BUFFER_PI] * sizeof(float));
  if (t->floats[PMP_BUFFER_CRITIC] > 0) {
    pmp_rng_init(&rng, seed, STREAM_CRITIC);
    pmp_critic_init_params(&t->critic, &rng, t->buffer[PMP_BUFFER_CRITIC]);
    memcpy(t->buffer[PMP_BUFFER_TARGET], t->buffer[PMP_BUFFER_CRITIC],
           t->floats[PMP_BUFFER_CRITIC] * sizeof(float));
  }
  t->pi_adam = (struct pmp_adam){t->buffer[PMP_BUFFER_PI_M], t->buffer[PMP_BUFFER_PI_V],
                                 t->policy.trained, 0};
  t->critic_adam = (struct pmp_adam){t->buffer[PMP_BUFFER_CRITIC_M], t->buffer[PMP_BUFFER_CRITIC_V],
                                     t->floats[PMP_BUFFER_CRITIC], 0};
  t->dual_adam = (struct pmp_adam){t->buffer[PMP_BUFFER_DUAL_M], t->buffer[PMP_BUFFER_DUAL_V],
                                   t->floats[PMP_BUFFER_DUAL], 0};
  if (t->floats[PMP_BUFFER_DUAL] > 0)
    t->objective->dual_init(&t->config.loss, pmp_dist_parts(&t->config.policy.dist),
                            pmp_dist_kl_parts(&t->config.policy.dist), t->buffer[PMP_BUFFER_DUAL]);
  if (t->improve_doubles > 0) {
    const struct pmp_improve_config improve = pmp_trainer_improve(&t->config);
    pmp_improve_init(&improve, t->improve);
  }
  t->counters = (struct pmp_trainer_counters){.version = 1};
  pmp_rng_init(&t->counters.batch_rng, seed, STREAM_BATCH);
  pmp_rng_init(&t->counters.action_rng, seed, STREAM_ACTION);
}

/* Sizes of what is kept beside the policy: by the objective, the closed form, normalisation. */
static enum pmp_err size_extras(struct pmp_trainer *t, struct pmp_errmsg *msg) {
  const struct pmp_trainer_config *c = &t->config;
  const struct pmp_dist *dist = &c->policy.dist;
  size_t offset, duals = 0;
  if (t->objective->duals != NULL)
    duals = t->objective->duals(&c->loss, pmp_dist_parts(dist), pmp_dist_kl_parts(dist));
  const uint32_t shape = (uint32_t)duals;
  if (duals > 0 &&
      pmp_manifest_add(&t->dual_manifest, "objective/dual", 1, &shape, &offset) != PMP_OK)
    return pmp_fail(msg, PMP_EINVALID, "%zu dual variables are too many", duals);
  if (c->improvement == PMP_IMPROVEMENT_EXACT) {
    const struct pmp_improve_config improve = pmp_trainer_improve(c);
    t->improve_doubles = pmp_improve_doubles(&improve);
  }
  if (c->policy.normalize) t->moments_doubles = 1 + 2 * (size_t)c->policy.obs;
  return PMP_OK;
}

enum pmp_err pmp_trainer_open(struct pmp_trainer **out, const struct pmp_trainer_config *config,
                              struct pmp_clock clock, struct pmp_errmsg *msg) {
  *out = NULL;
  PMP_TRY(pmp_trainer_check(config, msg));
  struct pmp_trainer *t = calloc(1, sizeof *t);
  if (t == NULL) return pmp_fail(msg, PMP_ENOMEM, "trainer: out of memory");
  t->config = *config;
  t->config.replay.evaluated_trainable = config->judge == PMP_JUDGE_ACTOR;
  t->config.replay.unlabelled_trainable = keeps_unlabelled(config);
  t->clock = clock;
  t->objective = pmp_objective_find(config->objective);
  enum pmp_err err = pmp_policy_init(&t->policy, &config->policy, msg);
  if (err == PMP_OK && (pmp_trainer_has_critic(config) || pmp_trainer_has_value(config)))
    err = pmp_critic_init(&t->critic, &config->critic, msg);
  if (err == PMP_OK) err = size_extras(t, msg);
  if (err == PMP_OK) err = pmp_compute_cpu(&t->compute, config->threads);
  if (err == PMP_OK) err = pmp_compute_prepare(&t->compute, config->precision, msg);
  if (err == PMP_OK) err = pmp_replay_open(&t->replay, &t->config.replay, msg);
  if (err == PMP_OK && !allocate(t))
    err = pmp_fail(msg, PMP_ENOMEM,
                   "trainer: no memory for parameters and a step's scratch (%zu bytes)",
                   pmp_trainer_scratch(t));
  if (err != PMP_OK) {
    pmp_trainer_close(t);
    return err;
  }
  seed_state(t);
  *out = t;
  return PMP_OK;
}

void pmp_trainer_close(struct pmp_trainer *t) {
  if (t == NULL) return;
  pmp_replay_close(t->replay);
  pmp_compute_close(&t->compute);
  pmp_arena_fini(&t->params);
  pmp_arena_fini(&t->arena);
  free(t);
}

/* ---------------------------------------------------------------- access */

struct pmp_replay *pmp_trainer_replay(struct pmp_trainer *t) {
  return t->replay;
}
const struct pmp_policy *pmp_trainer_policy(const struct pmp_trainer *t) {
  return &t->policy;
}
const float *pmp_trainer_pi(const struct pmp_trainer *t) {
  return t->buffer[PMP_BUFFER_PI];
}
const float *pmp_trainer_ref(const struct pmp_trainer *t) {
  return t->buffer[PMP_BUFFER_REF];
}
struct pmp_compute *pmp_trainer_compute(struct pmp_trainer *t) {
  return &t->compute;
}
uint64_t pmp_trainer_steps(const struct pmp_trainer *t) {
  return t->counters.step;
}
uint64_t pmp_trainer_version(const struct pmp_trainer *t) {
  return t->counters.version;
}
void pmp_trainer_times(const struct pmp_trainer *t, struct pmp_trainer_times *out) {
  *out = t->times;
}

void pmp_trainer_set_version(struct pmp_trainer *t, uint64_t version) {
  uint64_t dropped;
  t->counters.version = version;
  pmp_replay_refresh(t->replay, version, &dropped);
}

void pmp_trainer_refresh(struct pmp_trainer *t) {
  (void)pmp_trainer_improve_now(t);
  pmp_trainer_moments_use(t);
  memcpy(t->buffer[PMP_BUFFER_REF], t->buffer[PMP_BUFFER_PI],
         t->floats[PMP_BUFFER_PI] * sizeof(float));
  pmp_trainer_set_version(t, t->counters.version + 1);
}

void pmp_trainer_set_reduce(struct pmp_trainer *t,
                            void (*reduce)(void *ctx, float *buffer, size_t n), void *ctx) {
  t->reduce = reduce;
  t->reduce_ctx = ctx;
}

void pmp_trainer_set_reward(struct pmp_trainer *t,
                            enum pmp_err (*reward)(void *ctx, size_t n, const float *obs,
                                                   const float *act, float *out),
                            void *ctx) {
  t->reward = reward;
  t->reward_ctx = ctx;
}

void pmp_trainer_live_get(const struct pmp_trainer *t, struct pmp_trainer_live *live) {
  const struct pmp_trainer_config *c = &t->config;
  *live = (struct pmp_trainer_live){.lr = c->policy_optim.lr,
                                    .critic_lr = c->critic_optim.lr,
                                    .alpha = c->loss.alpha,
                                    .beta = {c->loss.beta[0], c->loss.beta[1]},
                                    .refresh_period = c->refresh_period};
}

enum pmp_err pmp_trainer_live_set(struct pmp_trainer *t, const struct pmp_trainer_live *live,
                                  struct pmp_errmsg *msg) {
  struct pmp_trainer_config c = t->config;
  c.policy_optim.lr = live->lr;
  c.critic_optim.lr = live->critic_lr;
  c.loss.alpha = live->alpha;
  c.loss.beta[0] = live->beta[0];
  c.loss.beta[1] = live->beta[1];
  c.refresh_period = live->refresh_period;
  PMP_TRY(pmp_trainer_check(&c, msg));
  t->config = c;
  return PMP_OK;
}

/* ---------------------------------------------------------------- what a resume restores */

const char *pmp_trainer_buffer_name(enum pmp_trainer_buffer_id id) {
  static const char *const name[PMP_BUFFERS] = {
      "pi",     "ref",         "pi.adam_m",     "pi.adam_v",
      "critic", "target",      "critic.adam_m", "critic.adam_v",
      "dual",   "dual.adam_m", "dual.adam_v"};
  return name[id];
}

const struct pmp_manifest *pmp_trainer_buffer_manifest(const struct pmp_trainer *t,
                                                       enum pmp_trainer_buffer_id id) {
  if (id >= PMP_BUFFER_DUAL) return &t->dual_manifest;
  return id < PMP_BUFFER_CRITIC ? &t->policy.manifest : &t->critic.manifest;
}

static uint64_t word_of(double x) {
  uint64_t word;
  memcpy(&word, &x, sizeof word);
  return word;
}

static double double_of(uint64_t word) {
  double x;
  memcpy(&x, &word, sizeof x);
  return x;
}

static_assert(sizeof(struct pmp_rng) == 6 * sizeof(uint64_t), "a generator is six words");

void pmp_trainer_pack(const struct pmp_trainer *t, uint64_t w[PMP_TRAINER_WORDS]) {
  const struct pmp_trainer_counters *c = &t->counters;
  const struct pmp_trainer_config *g = &t->config;
  w[0] = c->step;
  w[1] = c->version;
  w[2] = t->pi_adam.step;
  w[3] = t->critic_adam.step;
  memcpy(w + 4, &c->batch_rng, sizeof c->batch_rng);
  memcpy(w + 10, &c->action_rng, sizeof c->action_rng);
  w[16] = word_of(c->shown);
  w[17] = word_of(c->rejected);
  w[18] = word_of((double)g->policy_optim.lr);
  w[19] = word_of((double)g->critic_optim.lr);
  w[20] = word_of(g->loss.alpha);
  w[21] = word_of(g->beta_auto ? NAN : g->loss.beta[0]); /* auto: nobody's choice */
  w[22] = word_of(g->beta_auto ? NAN : g->loss.beta[1]);
  w[23] = g->refresh_period;
  w[24] = t->dual_adam.step;
}

void pmp_trainer_unpack(struct pmp_trainer *t, const uint64_t w[PMP_TRAINER_WORDS]) {
  struct pmp_trainer_counters *c = &t->counters;
  struct pmp_trainer_config *g = &t->config;
  c->step = w[0];
  c->version = w[1];
  t->pi_adam.step = w[2];
  t->critic_adam.step = w[3];
  memcpy(&c->batch_rng, w + 4, sizeof c->batch_rng);
  memcpy(&c->action_rng, w + 10, sizeof c->action_rng);
  c->shown = double_of(w[16]);
  c->rejected = double_of(w[17]);
  g->policy_optim.lr = (float)double_of(w[18]);
  g->critic_optim.lr = (float)double_of(w[19]);
  g->loss.alpha = double_of(w[20]);
  const double beta[2] = {double_of(w[21]), double_of(w[22])};
  for (int i = 0; i < 2; i++)
    if (!isnan(beta[i])) g->loss.beta[i] = beta[i];
  g->refresh_period = (uint32_t)w[23];
  t->dual_adam.step = w[24];
}

void pmp_trainer_hash(struct pmp_trainer *t, char out[33]) {
  XXH3_state_t *state = XXH3_createState();
  assert(state != NULL);
  XXH3_128bits_reset(state);
  for (int id = 0; id < PMP_BUFFERS; id++)
    XXH3_128bits_update(state, t->buffer[id], t->floats[id] * sizeof(float));
  XXH3_128bits_update(state, t->improve, t->improve_doubles * sizeof(double));
  XXH3_128bits_update(state, t->moments, t->moments_doubles * sizeof(double));
  uint64_t words[PMP_TRAINER_WORDS + 2];
  struct pmp_replay_stats stats;
  pmp_replay_stats(t->replay, &stats);
  pmp_trainer_pack(t, words);
  words[PMP_TRAINER_WORDS] = stats.became_trainable;
  words[PMP_TRAINER_WORDS + 1] = pmp_replay_consumed(t->replay);
  XXH3_128bits_update(state, words, sizeof words);
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
}
