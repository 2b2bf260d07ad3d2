/* Small trainers and the data they learn from, for the tests of trainer and checkpoint. */
#ifndef PMP_TESTS_LEARNER_TRAINER_WORLD_H
#define PMP_TESTS_LEARNER_TRAINER_WORLD_H

#include "learner/trainer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WORLD_OBS = 3, WORLD_ACT = 2, WORLD_ROWS = 24 };

static inline struct pmp_trainer_config world_common(uint64_t seed) {
  struct pmp_trainer_config c = {.seed = seed,
                                 .threads = 1,
                                 .label_k = 2,
                                 .label_k_rejected = 2,
                                 .label_samples = 4,
                                 .batch = 32};
  snprintf(c.objective, sizeof c.objective, "pmpo");
  c.loss = pmp_objective_config_default();
  c.loss.beta[0] = 1.0;
  c.loss.beta[1] = 20.0;
  c.guard = PMP_GUARD_OFF;
  c.kl_max = 10.0;
  c.policy_optim =
      (struct pmp_adam_config){.lr = 3e-3F, .beta1 = 0.9F, .beta2 = 0.999F, .eps = 1e-8F};
  c.critic_optim = c.dual_optim = c.policy_optim;
  c.value_samples = 3;
  c.critic_target_period = 10;
  c.refresh_period = 10;
  c.policy.dist = (struct pmp_dist){.kind = PMP_DIST_DIAG_GAUSSIAN,
                                    .dim = WORLD_ACT,
                                    .split = true,
                                    .squash_mean = true,
                                    .std_scale = 0.7213475F,
                                    .std_min = 0.01F,
                                    .low = -1.0F,
                                    .high = 1.0F};
  return c;
}

/* Trajectories judged by a critic. */
static inline struct pmp_trainer_config world_critic(uint64_t seed) {
  struct pmp_trainer_config c = world_common(seed);
  c.judge = PMP_JUDGE_CRITIC;
  c.policy.network = true;
  c.policy.obs = WORLD_OBS;
  c.policy.hidden[0] = c.policy.hidden[1] = 16;
  c.policy.hidden_count = 2;
  c.policy.first_layer_norm = true;
  c.critic = (struct pmp_critic_config){.obs = WORLD_OBS,
                                        .act = WORLD_ACT,
                                        .hidden = {32, 32},
                                        .hidden_count = 2,
                                        .first_layer_norm = true,
                                        .atoms = 11,
                                        .v_min = 0.0F,
                                        .v_max = 4.0F};
  c.replay = (struct pmp_replay_config){.shape = PMP_REPLAY_TRAJECTORIES,
                                        .obs = WORLD_OBS,
                                        .act = WORLD_ACT,
                                        .capacity = 300,
                                        .n_step = 3,
                                        .discount = 0.7F,
                                        .streams_max = 4};
  return c;
}

/* Outcomes without a condition, labelled by rule from the actor's evaluations. */
static inline struct pmp_trainer_config world_bandit(uint64_t seed) {
  struct pmp_trainer_config c = world_common(seed);
  c.judge = PMP_JUDGE_ACTOR;
  c.policy.dist.split = false;
  c.policy.dist.squash_mean = false;
  c.policy.dist.std_scale = 1.0F;
  c.policy.dist.std_min = 1e-8F;
  c.policy.init_std = 1.0F;
  c.policy.init_mean_range = 3.0F;
  c.replay =
      (struct pmp_replay_config){.shape = PMP_REPLAY_OUTCOMES, .act = WORLD_ACT, .capacity = 64};
  c.batch = 4;
  return c;
}

static inline struct pmp_trainer *world_open(const struct pmp_trainer_config *config) {
  struct pmp_trainer *t = NULL;
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmp_trainer_open(&t, config, pmp_clock_real(), &msg);
  if (err != PMP_OK) print_error("%s\n", msg.text);
  assert_int_equal(err, PMP_OK);
  return t;
}

static inline void world_hash(struct pmp_trainer *t, char out[33]) {
  pmp_trainer_hash(t, out);
}

/* Entry `commit` of a run with a critic: two environments in turn, whose reward is the nearer to 1
 * the nearer the action is to (0.5, -0.5); `policy` acts when it is given, else chance. Depends on
 * commit and policy alone. Where there is a `lens`, t is given what it makes of the observations.
 */
static inline void world_rows_by(struct pmp_trainer *t, const struct pmp_trainer *policy,
                                 uint64_t commit, void (*lens)(void *ctx, float *obs, size_t rows),
                                 void *ctx) {
  float obs[WORLD_ROWS][WORLD_OBS], act[WORLD_ROWS][WORLD_ACT], reward[WORLD_ROWS],
      discount[WORLD_ROWS];
  uint32_t env[WORLD_ROWS], episode[WORLD_ROWS], step[WORLD_ROWS], trainable = 0;
  uint64_t version[WORLD_ROWS];
  uint8_t flags[WORLD_ROWS];
  struct pmp_errmsg msg;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 77, commit);
  for (uint32_t i = 0; i < WORLD_ROWS; i++) {
    uint64_t row = (commit - 1) * (WORLD_ROWS / 2) + i / 2; /* of this environment */
    env[i] = i % 2;
    episode[i] = (uint32_t)(row / 9);
    step[i] = (uint32_t)(row % 9);
    flags[i] = (uint8_t)((step[i] == 0 ? PMP_ROW_FIRST : 0) | (step[i] == 8 ? PMP_ROW_LAST : 0));
    version[i] = 1;
    discount[i] = step[i] == 7 && episode[i] % 2 == 1 ? 0.0F : 1.0F;
    pmp_rng_normal_fill(&rng, obs[i], WORLD_OBS);
    for (int d = 0; d < WORLD_ACT; d++) act[i][d] = 2.0F * pmp_rng_float(&rng) - 1.0F;
  }
  if (policy != NULL) {
    float head[WORLD_ROWS * 16 * WORLD_ACT], cache[16384];
    const struct pmp_policy *p = pmp_trainer_policy(policy);
    assert_true(pmp_policy_cache_floats(p, WORLD_ROWS) <= sizeof cache / sizeof *cache);
    assert_true(WORLD_ROWS * p->head <= sizeof head / sizeof *head);
    struct pmp_compute *compute = pmp_trainer_compute(t);
    assert_int_equal(pmp_policy_forward(p, compute, pmp_trainer_ref(policy), WORLD_ROWS, &obs[0][0],
                                        cache, head),
                     PMP_OK);
    assert_int_equal(pmp_dist_sample(&p->spec.dist, WORLD_ROWS, 1, head, &rng, &act[0][0]), PMP_OK);
  }
  for (uint32_t i = 0; i < WORLD_ROWS; i++) {
    float a = fminf(fmaxf(act[i][0], -1.0F), 1.0F) - 0.5F,
          b = fminf(fmaxf(act[i][1], -1.0F), 1.0F) + 0.5F;
    reward[i] = fmaxf(1.0F - a * a - b * b, 0.0F);
  }
  if (lens != NULL) lens(ctx, &obs[0][0], WORLD_ROWS);
  struct pmp_replay_rows rows = {.chunk = commit,
                                 .commit = commit,
                                 .stream = 1,
                                 .rows = WORLD_ROWS,
                                 .obs = &obs[0][0],
                                 .act = &act[0][0],
                                 .ref_version = version,
                                 .env = env,
                                 .episode = episode,
                                 .t = step,
                                 .reward = reward,
                                 .discount = discount,
                                 .flags = flags};
  assert_int_equal(pmp_replay_add(pmp_trainer_replay(t), &rows, &trainable, &msg), PMP_OK);
}

static inline void world_rows(struct pmp_trainer *t, const struct pmp_trainer *policy,
                              uint64_t commit) {
  world_rows_by(t, policy, commit, NULL, NULL);
}

/* Entry `commit` of a bandit: four outcomes around the reference's mean, with f = -|y|^2. */
static inline void world_outcomes(struct pmp_trainer *t, uint64_t commit, bool with_verdict) {
  float act[4][WORLD_ACT], f[4], head[8 * WORLD_ACT];
  const uint32_t group[4] = {0, 0, 0, 0};
  const int8_t verdict[4] = {1, -1, 1, -1};
  const float weight[4] = {1.0F, 0.5F, 0.25F, 1.0F};
  uint64_t version[4];
  uint32_t trainable = 0;
  struct pmp_errmsg msg;
  struct pmp_rng rng;
  const struct pmp_policy *p = pmp_trainer_policy(t);
  pmp_rng_init(&rng, 78, commit);
  assert_int_equal(
      pmp_policy_forward(p, pmp_trainer_compute(t), pmp_trainer_ref(t), 1, NULL, NULL, head),
      PMP_OK);
  assert_int_equal(pmp_dist_sample(&p->spec.dist, 1, 4, head, &rng, &act[0][0]), PMP_OK);
  for (int i = 0; i < 4; i++) version[i] = pmp_trainer_version(t);
  for (int i = 0; i < 4; i++) f[i] = -(act[i][0] * act[i][0] + act[i][1] * act[i][1]);
  struct pmp_replay_rows rows = {.chunk = commit,
                                 .commit = commit,
                                 .rows = 4,
                                 .act = &act[0][0],
                                 .group = group,
                                 .f = f,
                                 .verdict = with_verdict ? verdict : NULL,
                                 .weight = with_verdict ? weight : NULL,
                                 .ref_version = version};
  assert_int_equal(pmp_replay_add(pmp_trainer_replay(t), &rows, &trainable, &msg), PMP_OK);
  assert_int_equal(trainable, 4);
}

static inline void world_step(struct pmp_trainer *t, struct pmp_step_metrics *m) {
  struct pmp_errmsg msg;
  bool refreshed;
  enum pmp_err err = pmp_trainer_step(t, m, &refreshed, &msg);
  if (err != PMP_OK) print_error("%s\n", msg.text);
  assert_int_equal(err, PMP_OK);
}

#endif
