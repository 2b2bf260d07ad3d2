/* The two learners that figures are measured on: the one of the cartpole demonstration, and one of
 * the size that papers use for a humanoid. In process, as a trainer with a ring of random rows.
 *
 * Belongs to the thread that opened it. Knows nothing of the daemon. */
#ifndef PMP_BENCH_RECIPES_H
#define PMP_BENCH_RECIPES_H

#include "bench/bench.h"
#include "learner/trainer.h"

static inline void recipe_common(struct pmp_trainer_config *t) {
  *t = (struct pmp_trainer_config){.seed = 1, .threads = 1};
  t->judge = PMP_JUDGE_CRITIC;
  t->label_k = t->label_k_rejected = 2;
  t->label_samples = 4;
  snprintf(t->objective, sizeof t->objective, "pmpo");
  t->loss = (struct pmp_objective_config){.alpha = 0.5F, .beta = {1.0F, 100.0F}};
  t->guard = PMP_GUARD_SKIP;
  t->kl_max = 10.0;
  t->policy_optim =
      (struct pmp_adam_config){.lr = 1e-3F, .beta1 = 0.9F, .beta2 = 0.999F, .eps = 1e-8F};
  t->critic_optim = t->policy_optim;
  t->critic_target_period = 100;
  t->refresh_period = 100;
  t->batch = 256;
  t->policy.network = t->policy.first_layer_norm = t->critic.first_layer_norm = true;
  t->policy.dist = (struct pmp_dist){.kind = PMP_DIST_DIAG_GAUSSIAN,
                                     .split = true,
                                     .squash_mean = true,
                                     .std_scale = 0.721347520444481703F,
                                     .std_min = 0.01F,
                                     .low = -1.0F,
                                     .high = 1.0F};
  t->policy.init_std = 0.5F;
  t->critic.atoms = 51;
  t->critic.v_max = 100.0F;
  t->replay = (struct pmp_replay_config){.shape = PMP_REPLAY_TRAJECTORIES,
                                         .capacity = 1000000,
                                         .n_step = 5,
                                         .discount = 0.99F,
                                         .streams_max = 4096};
}

static inline void recipe_sizes(struct pmp_trainer_config *t, uint32_t obs, uint32_t act) {
  t->policy.obs = t->critic.obs = t->replay.obs = obs;
  t->policy.dist.dim = t->critic.act = t->replay.act = act;
}

static inline void recipe_widths(uint32_t *to, uint32_t *count, uint32_t a, uint32_t b,
                                 uint32_t c) {
  to[0] = a;
  to[1] = b;
  to[2] = c;
  *count = c > 0 ? 3 : 2;
}

/* cartpole_swingup: 5 observations, 1 action, policy 128-128, critic 256-256. */
static inline void recipe_cartpole(struct pmp_trainer_config *t) {
  recipe_common(t);
  recipe_sizes(t, 5, 1);
  recipe_widths(t->policy.hidden, &t->policy.hidden_count, 128, 128, 0);
  recipe_widths(t->critic.hidden, &t->critic.hidden_count, 256, 256, 0);
  t->batch = 128;
  t->value_samples = 1;
  t->policy.init_std = 1.0F;
  t->policy_optim.lr = t->critic_optim.lr = 2e-3F;
}

/* humanoid: 67 observations, 21 actions, policy 256-256-256, critic 512-512-256, 20 actions for a
 * value. */
static inline void recipe_humanoid(struct pmp_trainer_config *t) {
  recipe_common(t);
  recipe_sizes(t, 67, 21);
  recipe_widths(t->policy.hidden, &t->policy.hidden_count, 256, 256, 256);
  recipe_widths(t->critic.hidden, &t->critic.hidden_count, 512, 512, 256);
  t->value_samples = 20;
}

/* The daemon's settings for the same (KEY=VALUE, NULL at the end). */
static const char *const recipe_cartpole_settings[] = {"spec.shape=trajectories",
                                                       "spec.observation=[5]",
                                                       "spec.action_dim=1",
                                                       "label.judge=critic",
                                                       "policy.hidden=[128, 128]",
                                                       "critic.hidden=[256, 256]",
                                                       "critic.value_samples=1",
                                                       "critic.lr=2e-3",
                                                       "optim.lr=2e-3",
                                                       "objective.beta_mean=1",
                                                       "objective.beta_std=100",
                                                       "learner.batch=128",
                                                       "policy.init_std=1",
                                                       NULL};

enum { RECIPE_CHUNK = 1000, RECIPE_EPISODE = 1000 };

/* Random rows of whole episodes, in chunks, as an actor would send them. */
struct recipe_rows {
  uint32_t obs, act, rows; /* rows: of the chunk that is there now */
  uint32_t env, episode, next_t;
  float *x, *y, *reward, *discount;
  uint32_t *envs, *episodes, *t;
  uint8_t *flags;
  uint64_t *version;
  struct pmp_rng rng;
};

static inline void recipe_rows_init(struct recipe_rows *r, uint32_t obs, uint32_t act,
                                    uint32_t env) {
  const size_t n = RECIPE_CHUNK;
  *r = (struct recipe_rows){.obs = obs, .act = act, .env = env};
  r->x = bench_need(n * obs, sizeof *r->x);
  r->y = bench_need(n * act, sizeof *r->y);
  r->reward = bench_need(n, sizeof *r->reward);
  r->discount = bench_need(n, sizeof *r->discount);
  r->envs = bench_need(n, sizeof *r->envs);
  r->episodes = bench_need(n, sizeof *r->episodes);
  r->t = bench_need(n, sizeof *r->t);
  r->flags = bench_need(n, sizeof *r->flags);
  r->version = bench_need(n, sizeof *r->version);
  pmp_rng_init(&r->rng, 7, env);
}

static inline void recipe_rows_fini(struct recipe_rows *r) {
  void *owned[] = {r->x,        r->y, r->reward, r->discount, r->envs,
                   r->episodes, r->t, r->flags,  r->version};
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
}

/* The next `rows` (at most RECIPE_CHUNK) of the stream: an episode is RECIPE_EPISODE steps and the
 * observation that ends it. */
static inline void recipe_rows_next(struct recipe_rows *r, uint32_t rows) {
  r->rows = rows;
  bench_random_unit(&r->rng, r->x, (size_t)rows * r->obs);
  bench_random_unit(&r->rng, r->y, (size_t)rows * r->act);
  for (uint32_t i = 0; i < rows; i++) {
    bool last = r->next_t == RECIPE_EPISODE;
    r->envs[i] = r->env;
    r->episodes[i] = r->episode;
    r->t[i] = r->next_t;
    r->reward[i] = last ? 0.0F : pmp_rng_float(&r->rng);
    r->discount[i] = 1.0F;
    r->flags[i] = r->next_t == 0 ? PMP_ROW_FIRST : last ? PMP_ROW_LAST | PMP_ROW_TRUNCATED : 0;
    r->next_t = last ? 0 : r->next_t + 1;
    if (last) r->episode++;
  }
}

/* At least `rows` rows into a ring. */
static inline void recipe_fill(struct pmp_replay *ring, const struct pmp_trainer_config *config,
                               uint64_t rows) {
  struct pmp_errmsg msg = {{0}};
  struct recipe_rows r;
  recipe_rows_init(&r, config->replay.obs, config->replay.act, 0);
  for (uint64_t chunk = 1; (chunk - 1) * RECIPE_CHUNK < rows; chunk++) {
    uint32_t trainable = 0;
    recipe_rows_next(&r, RECIPE_CHUNK);
    struct pmp_replay_rows in = {.chunk = chunk,
                                 .commit = chunk,
                                 .rows = r.rows,
                                 .obs = r.x,
                                 .act = r.y,
                                 .ref_version = r.version,
                                 .env = r.envs,
                                 .episode = r.episodes,
                                 .t = r.t,
                                 .reward = r.reward,
                                 .discount = r.discount,
                                 .flags = r.flags};
    bench_must(pmp_replay_add(ring, &in, &trainable, &msg), "rows", &msg);
  }
  recipe_rows_fini(&r);
}

/* Opens a trainer whose ring holds about `rows` rows. */
static inline struct pmp_trainer *recipe_open(const struct pmp_trainer_config *config,
                                              struct pmp_clock clock, uint64_t rows) {
  struct pmp_trainer *t = NULL;
  struct pmp_errmsg msg = {{0}};
  bench_must(pmp_trainer_open(&t, config, clock, &msg), "trainer", &msg);
  recipe_fill(pmp_trainer_replay(t), config, rows);
  return t;
}

#endif
