/* The trainer's step: reproducible, learning, and harmless when it fails. */
#include "learner/trainer_state.h"
#include "tests/learner/trainer_world.h"

static void run_critic(uint64_t seed, int steps, char hash[33]) {
  struct pmp_trainer_config config = world_critic(seed);
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  uint64_t commit = 0;
  for (int i = 0; i < steps; i++) {
    if (i % 4 == 0) {
      world_rows(t, t, ++commit);
      world_rows(t, t, ++commit);
    }
    world_step(t, &m);
  }
  world_hash(t, hash);
  pmp_trainer_close(t);
}

static void test_same_seed_same_bits(void **state) {
  (void)state;
  char a[33], b[33], c[33];
  run_critic(5, 60, a);
  run_critic(5, 60, b);
  run_critic(6, 60, c);
  assert_string_equal(a, b);
  assert_string_not_equal(a, c);
}

/* The reference's actions come nearer to the rewarded one, and the critic's loss falls. */
static void test_learns_with_critic(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_critic(2);
  config.critic_optim.lr = 1e-2F;
  config.policy_optim.lr = 1e-2F;
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  double first = 0.0, last = 0.0;
  for (uint64_t i = 1; i <= 1500; i++) {
    if (i <= 10 || i % 3 == 0) world_rows(t, t, i);
    if (i <= 10) continue;
    world_step(t, &m);
    if (i == 20) first = m.critic_loss;
    last = m.critic_loss;
    assert_true(isfinite(m.loss) && isfinite(m.kl[0]) && isfinite(m.kl[1]) &&
                isfinite(m.grad_norm) && isfinite(m.entropy));
    assert_true(m.std > 0.0 && m.kl[0] >= 0.0 && m.q_mean > 0.0 && m.q_mean < 4.0);
    assert_true(m.accepted == 64.0 && m.rejected == 64.0 && m.unlabelled == 0.0);
  }
  assert_true(last < first);
  float obs[8 * WORLD_OBS], head[8 * 4], mean[8 * WORLD_ACT], cache[16384];
  struct pmp_rng rng;
  const struct pmp_policy *p = pmp_trainer_policy(t);
  pmp_rng_init(&rng, 3, 3);
  pmp_rng_normal_fill(&rng, obs, 8 * WORLD_OBS);
  assert_int_equal(
      pmp_policy_forward(p, pmp_trainer_compute(t), pmp_trainer_ref(t), 8, obs, cache, head),
      PMP_OK);
  assert_int_equal(pmp_dist_mode(&p->spec.dist, 8, head, mean), PMP_OK);
  double off = 0.0;
  for (int i = 0; i < 8; i++)
    off += fabs((double)mean[2 * i] - 0.5) + fabs((double)mean[2 * i + 1] + 0.5);
  assert_true(off / 16.0 < 0.25);
  pmp_trainer_close(t);
}

/* Values of the actions that the step judges, found again: the batch and the noise are drawn as it
 * draws them, first the actions of the bootstrap, then those to judge. */
static double *judged_values(struct pmp_trainer *t, struct pmp_arena *arena, size_t *groups) {
  const struct pmp_trainer_config *c = &t->config;
  const struct pmp_dist *dist = &c->policy.dist;
  struct pmp_trainer_counters now = t->counters;
  struct pmp_batch batch;
  assert_int_equal(pmp_replay_draw(t->replay, &now.batch_rng, c->batch, now.version, arena, &batch),
                   PMP_OK);
  const size_t b = batch.b, per = c->label_samples;
  float *cache = pmp_arena_array(arena, pmp_policy_cache_floats(&t->policy, b), sizeof *cache);
  float *head = pmp_arena_array(arena, b * t->policy.head, sizeof *head);
  float *boot_head = pmp_arena_array(arena, b * t->policy.head, sizeof *boot_head);
  float *act = pmp_arena_array(arena, b * 16 * dist->dim, sizeof *act);
  float *value = pmp_arena_array(arena, b * per, sizeof *value);
  double *wide = pmp_arena_array(arena, b * per, sizeof *wide);
  const float *ref = pmp_trainer_ref(t);
  assert_true(wide != NULL && per <= 16 && c->value_samples <= 16);
  assert_int_equal(
      pmp_policy_forward(&t->policy, &t->compute, ref, b, batch.boot_obs, cache, boot_head),
      PMP_OK);
  assert_int_equal(pmp_policy_forward(&t->policy, &t->compute, ref, b, batch.obs, cache, head),
                   PMP_OK);
  assert_int_equal(pmp_dist_sample(dist, b, c->value_samples, boot_head, &now.action_rng, act),
                   PMP_OK);
  assert_int_equal(pmp_dist_sample(dist, b, per, head, &now.action_rng, act), PMP_OK);
  pmp_dist_action(dist, b * per, act, act);
  assert_int_equal(pmp_critic_values(&t->critic, &t->compute, t->buffer[PMP_BUFFER_CRITIC], b, per,
                                     batch.obs, act, arena, value),
                   PMP_OK);
  for (size_t j = 0; j < b * per; j++) wide[j] = (double)value[j];
  *groups = b;
  return wide;
}

static void test_q_statistics(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_critic(3);
  config.label_samples = 5;
  struct pmp_trainer *t = world_open(&config);
  struct pmp_arena arena;
  struct pmp_step_metrics m;
  assert_int_equal(pmp_arena_init(&arena, 1 << 22), PMP_OK);
  for (uint64_t i = 1; i <= 6; i++) world_rows(t, t, i);
  for (int step = 0; step < 20; step++) {
    size_t groups = 0;
    pmp_arena_release(&arena, 0);
    const double *q = judged_values(t, &arena, &groups);
    double variance = 0.0, least = INFINITY, most = -INFINITY;
    for (size_t x = 0; x < groups; x++) {
      double sum = 0.0, squares = 0.0;
      for (size_t a = 0; a < 5; a++) {
        sum += q[5 * x + a];
        squares += q[5 * x + a] * q[5 * x + a];
        least = fmin(least, q[5 * x + a]);
        most = fmax(most, q[5 * x + a]);
      }
      variance += (squares - sum * sum / 5.0) / 5.0;
    }
    m.q_std = m.q_min = m.q_max = 999.0;
    world_step(t, &m);
    const double std = sqrt(variance / (double)groups);
    assert_true(std > 1e-4 && fabs(m.q_std - std) < 1e-6);
    assert_true(fabs(m.q_min - least) < 1e-5 && fabs(m.q_max - most) < 1e-5);
  }
  pmp_arena_fini(&arena);
  pmp_trainer_close(t);
}

static double bandit_distance(struct pmp_trainer *t) {
  const float *pi = pmp_trainer_pi(t);
  return sqrt((double)(pi[0] * pi[0] + pi[1] * pi[1]));
}

static void test_learns_from_evaluations(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_bandit(4);
  config.loss.beta[0] = 0.5F;
  config.policy_optim.lr = 1e-2F;
  config.refresh_period = 100;
  config.replay.sampler = PMP_SAMPLER_ONCE;
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  double before = bandit_distance(t);
  for (uint64_t i = 1; i <= 1500; i++) {
    world_outcomes(t, i, false);
    world_step(t, &m);
    assert_true(m.accepted == 2.0 && m.rejected == 2.0);
  }
  assert_true(before > 1.0);
  assert_true(bandit_distance(t) < 0.3);
  assert_int_equal(pmp_trainer_version(t), 16);
  pmp_trainer_close(t);
}

/* Step 1 of a bandit against the formulas of PMPO, in double and by hand: pi is ref, so every KL is
 * 0. */
static void test_loss_by_hand(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_bandit(9);
  config.loss.alpha = 0.25F;
  struct pmp_trainer *t = world_open(&config);
  struct pmp_arena arena;
  struct pmp_batch b;
  struct pmp_rng rng;
  struct pmp_step_metrics m;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  world_outcomes(t, 1, true);
  pmp_rng_init(&rng, 1, 1);
  assert_int_equal(pmp_replay_sample(pmp_trainer_replay(t), &rng, 4, 0, &arena, &b), PMP_OK);
  double sum[2] = {0.0, 0.0}, weight[2] = {0.0, 0.0};
  const float *pi = pmp_trainer_pi(t);
  for (size_t j = 0; j < 4; j++) {
    double lp = 0.0;
    for (int d = 0; d < 2; d++) {
      double s = log1p(exp((double)pi[2 + d])) + 1e-8,
             z = ((double)b.act[2 * j + (size_t)d] - (double)pi[d]) / s;
      lp += -0.5 * z * z - log(s) - 0.91893853320467274178;
    }
    sum[b.verdict[j] < 0] += (double)b.weight[j] * lp;
    weight[b.verdict[j] < 0] += (double)b.weight[j];
  }
  world_step(t, &m);
  assert_true(fabs(m.loss_accepted + 0.25 * sum[0] / weight[0]) < 1e-5);
  assert_true(fabs(m.loss_rejected - 0.75 * sum[1] / weight[1]) < 1e-5);
  assert_true(fabs(m.loss_kl) < 1e-6 && fabs(m.kl[0]) < 1e-6);
  assert_true(fabs(m.loss - m.loss_accepted - m.loss_rejected - m.loss_kl) < 1e-9);
  assert_true(isnan(m.kl[1]) && isnan(m.critic_loss) && isnan(m.return_n));
  assert_true(isnan(m.q_mean) && isnan(m.q_std) && isnan(m.q_min) && isnan(m.q_max));
  assert_true(fabs(m.std - 1.0) < 1e-5);
  pmp_arena_fini(&arena);
  pmp_trainer_close(t);
}

static void test_refresh_and_target(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_critic(1);
  config.refresh_period = 7;
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  struct pmp_errmsg msg;
  size_t bytes = pmp_trainer_policy(t)->manifest.floats * sizeof(float);
  for (uint64_t i = 1; i <= 5; i++) world_rows(t, NULL, i);
  for (int i = 1; i <= 21; i++) {
    bool refreshed = false;
    assert_int_equal(pmp_trainer_step(t, &m, &refreshed, &msg), PMP_OK);
    assert_int_equal(refreshed, i % 7 == 0);
    assert_int_equal(memcmp(pmp_trainer_pi(t), pmp_trainer_ref(t), bytes) == 0, i % 7 == 0);
    bool same = memcmp(t->buffer[PMP_BUFFER_TARGET], t->buffer[PMP_BUFFER_CRITIC],
                       t->floats[PMP_BUFFER_CRITIC] * sizeof(float)) == 0;
    assert_int_equal(same, i % 10 == 0);
  }
  assert_int_equal(pmp_trainer_version(t), 4);
  assert_int_equal(pmp_trainer_steps(t), 21);
  assert_true(m.staleness ==
              2.0); /* the last step was made under version 3, its rows are of version 1 */
  struct pmp_trainer_live live;
  pmp_trainer_live_get(t, &live);
  live.refresh_period = 0;
  assert_int_equal(pmp_trainer_live_set(t, &live, &msg), PMP_OK);
  for (int i = 0; i < 14; i++) world_step(t, &m);
  assert_int_equal(pmp_trainer_version(t), 4);
  pmp_trainer_refresh(t);
  assert_int_equal(pmp_trainer_version(t), 5);
  assert_memory_equal(pmp_trainer_pi(t), pmp_trainer_ref(t), bytes);
  live.alpha = 1.5F;
  assert_int_equal(pmp_trainer_live_set(t, &live, &msg), PMP_EINVALID);
  live.alpha = 0.5F;
  live.lr = NAN;
  assert_int_equal(pmp_trainer_live_set(t, &live, &msg), PMP_EINVALID);
  pmp_trainer_close(t);
}

/* ---------------------------------------------------------------- guard and failures */

/* A ring in which every row's observation makes the networks overflow. */
static struct pmp_trainer *poisoned(enum pmp_guard guard) {
  struct pmp_trainer_config config = world_critic(3);
  config.guard = guard;
  struct pmp_trainer *t = world_open(&config);
  float obs[20 * WORLD_OBS], act[20 * WORLD_ACT] = {0}, reward[20] = {0}, discount[20];
  uint32_t env[20] = {0}, episode[20] = {0}, step[20], trainable = 0;
  uint8_t flags[20] = {0};
  for (uint32_t k = 0; k < 4; k++) {
    for (uint32_t i = 0; i < 20; i++) {
      step[i] = k * 20 + i;
      discount[i] = 1.0F;
      for (int d = 0; d < WORLD_OBS; d++) obs[i * WORLD_OBS + (uint32_t)d] = INFINITY;
    }
    struct pmp_replay_rows rows = {.chunk = k + 1,
                                   .commit = k + 1,
                                   .rows = 20,
                                   .obs = obs,
                                   .act = act,
                                   .env = env,
                                   .episode = episode,
                                   .t = step,
                                   .reward = reward,
                                   .discount = discount,
                                   .flags = flags};
    assert_int_equal(pmp_replay_add(pmp_trainer_replay(t), &rows, &trainable, NULL), PMP_OK);
  }
  return t;
}

static void test_failed_step_changes_nothing(void **state) {
  (void)state;
  const enum pmp_guard guards[] = {PMP_GUARD_OFF, PMP_GUARD_PAUSE};
  for (int g = 0; g < 2; g++) {
    struct pmp_trainer *t = poisoned(guards[g]);
    struct pmp_step_metrics m;
    struct pmp_errmsg msg = {{0}};
    bool refreshed;
    char before[33], after[33];
    world_hash(t, before);
    assert_int_equal(pmp_trainer_step(t, &m, &refreshed, &msg), PMP_ENONFINITE);
    assert_true(msg.text[0] != 0);
    world_hash(t, after);
    assert_string_equal(before, after);
    pmp_trainer_close(t);
  }
}

static void test_skipped_step_counts(void **state) {
  (void)state;
  struct pmp_trainer *t = poisoned(PMP_GUARD_SKIP);
  struct pmp_step_metrics m;
  size_t bytes = pmp_trainer_policy(t)->manifest.floats * sizeof(float);
  world_step(t, &m);
  assert_true(m.skipped_step);
  assert_int_equal(pmp_trainer_steps(t), 1);
  assert_memory_equal(pmp_trainer_pi(t), pmp_trainer_ref(t), bytes);
  pmp_trainer_close(t);
}

static void test_too_little_data(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_critic(3);
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  struct pmp_errmsg msg;
  bool refreshed = true;
  char before[33], after[33];
  world_rows(t, NULL, 1);
  world_hash(t, before);
  assert_int_equal(pmp_trainer_step(t, &m, &refreshed, &msg), PMP_EBUSY);
  assert_false(refreshed);
  world_hash(t, after);
  assert_string_equal(before, after);
  pmp_trainer_close(t);
}

/* Over kl_max: "skip" leaves the rejected term out, "pause" refuses, "off" goes on. */
static void test_guard_on_kl(void **state) {
  (void)state;
  const enum pmp_guard guards[] = {PMP_GUARD_OFF, PMP_GUARD_SKIP, PMP_GUARD_PAUSE};
  for (int g = 0; g < 3; g++) {
    struct pmp_trainer_config config = world_critic(8);
    config.guard = guards[g];
    config.kl_max = 1e-7;
    config.refresh_period = 0;
    struct pmp_trainer *t = world_open(&config);
    struct pmp_step_metrics m;
    struct pmp_errmsg msg;
    bool refreshed;
    for (uint64_t i = 1; i <= 5; i++) world_rows(t, NULL, i);
    world_step(t, &m); /* pi is ref: the KL is 0 */
    assert_false(m.skipped_rejected);
    char before[33], after[33];
    world_hash(t, before);
    enum pmp_err err = pmp_trainer_step(t, &m, &refreshed, &msg);
    world_hash(t, after);
    assert_int_equal(err, guards[g] == PMP_GUARD_PAUSE ? PMP_ENONFINITE : PMP_OK);
    assert_int_equal(strcmp(before, after) == 0, guards[g] == PMP_GUARD_PAUSE);
    assert_int_equal(m.skipped_rejected, guards[g] == PMP_GUARD_SKIP);
    assert_false(m.skipped_step);
    if (guards[g] == PMP_GUARD_SKIP) assert_true(m.loss_rejected == 0.0 && m.rejected == 64.0);
    if (guards[g] == PMP_GUARD_OFF) assert_true(m.loss_rejected != 0.0);
    pmp_trainer_close(t);
  }
}

/* beta: auto follows the share of rejected: half of all gives 1.1, and the KL's weight shows in the
 * loss. */
static void test_beta_auto(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_bandit(3);
  config.beta_auto = true;
  config.refresh_period = 0;
  config.policy_optim.lr = 0.05F;
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  for (uint64_t i = 1; i <= 10; i++) world_outcomes(t, i, false);
  for (int i = 0; i < 5; i++) world_step(t, &m);
  assert_true(m.kl[0] > 1e-4);
  assert_true(fabs(m.loss_kl / m.kl[0] - 1.1) < 1e-4);
  pmp_trainer_close(t);
}

static void test_kl_rows(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_critic(3);
  config.kl_rows = 24;
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  for (uint64_t i = 1; i <= 5; i++) world_rows(t, NULL, i);
  for (int i = 0; i < 30; i++) world_step(t, &m);
  assert_true(m.accepted == 64.0 && isfinite(m.loss_kl));
  pmp_trainer_close(t);
}

static void count_reductions(void *ctx, float *buffer, size_t n) {
  (void)buffer;
  *(size_t *)ctx += n;
}

static void test_reduce_hook(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_critic(3);
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  struct pmp_critic q;
  size_t floats = 0;
  assert_int_equal(pmp_critic_init(&q, &config.critic, NULL), PMP_OK);
  for (uint64_t i = 1; i <= 5; i++) world_rows(t, NULL, i);
  pmp_trainer_set_reduce(t, count_reductions, &floats);
  world_step(t, &m);
  assert_int_equal(floats, q.manifest.floats + pmp_trainer_policy(t)->manifest.floats);
  pmp_trainer_close(t);
}

/* A decay is what setting both learning rates before each step would do. */
static void test_learning_rates_decay(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_critic(4), falling = config;
  falling.decay_steps = 4;
  falling.decay_to = 0.25;
  struct pmp_trainer *by_hand = world_open(&config), *by_itself = world_open(&falling);
  struct pmp_step_metrics m;
  struct pmp_errmsg msg;
  for (uint64_t i = 1; i <= 5; i++) {
    world_rows(by_hand, NULL, i);
    world_rows(by_itself, NULL, i);
  }
  const size_t bytes = pmp_trainer_policy(by_hand)->manifest.floats * sizeof(float);
  for (int step = 0; step < 7; step++) {
    const double left = step < 4 ? 1.0 - 0.75 * step / 4.0 : 0.25;
    struct pmp_trainer_live live;
    pmp_trainer_live_get(by_hand, &live);
    live.lr = live.critic_lr = (float)((double)config.policy_optim.lr * left);
    assert_int_equal(pmp_trainer_live_set(by_hand, &live, &msg), PMP_OK);
    world_step(by_hand, &m);
    world_step(by_itself, &m);
    assert_memory_equal(pmp_trainer_pi(by_hand), pmp_trainer_pi(by_itself), bytes);
  }
  pmp_trainer_close(by_hand);
  pmp_trainer_close(by_itself);
  falling.decay_to = 0.0;
  assert_int_equal(pmp_trainer_check(&falling, &msg), PMP_EINVALID);
}

/* ---------------------------------------------------------------- configurations */

/* Every family, sampler and size of a step fits the scratch that was set aside for it. */
static void test_scratch_suffices(void **state) {
  (void)state;
  for (uint32_t k = 0; k < 48; k++) {
    struct pmp_trainer_config config = k % 2 == 0 ? world_critic(k) : world_bandit(k);
    struct pmp_dist *dist = &config.policy.dist;
    if (k % 3 == 1)
      *dist = (struct pmp_dist){
          .kind = PMP_DIST_CATEGORICAL, .dim = WORLD_ACT, .bins = 5, .low = -1.0F, .high = 1.0F};
    if (k % 3 == 2 && k % 2 == 0) dist->per_dim = true;
    if (k % 3 == 1) config.policy.init_std = config.policy.init_mean_range = 0.0F;
    config.critic.atoms = k % 4 == 0 ? 1 : 11;
    config.value_samples = 1 + k % 7;
    config.label_samples = 2 + k % 5;
    config.kl_rows = k % 5 == 0 ? 9 : 0;
    config.replay.unlabelled_trainable = k % 5 == 0;
    config.batch = 1 + k % 40;
    if (k % 2 == 1 && k % 5 != 0) config.replay.sampler = (enum pmp_sampler)(k / 2 % 3);
    struct pmp_trainer *t = world_open(&config);
    struct pmp_step_metrics m;
    struct pmp_errmsg msg;
    bool refreshed;
    for (uint64_t i = 1; i <= 12; i++) {
      if (k % 2 == 0)
        world_rows(t, t, i);
      else
        world_outcomes(t, i, i % 2 == 0);
    }
    for (int i = 0; i < 3; i++) {
      enum pmp_err err = pmp_trainer_step(t, &m, &refreshed, &msg);
      if (err != PMP_OK && err != PMP_EBUSY) print_error("case %u: %s\n", k, msg.text);
      assert_true(err == PMP_OK || err == PMP_EBUSY);
    }
    pmp_trainer_close(t);
  }
}

static void expect_refused(const struct pmp_trainer_config *config, enum pmp_err want) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_trainer *t = NULL;
  assert_int_equal(pmp_trainer_check(config, &msg), want);
  assert_true(msg.text[0] != 0);
  assert_int_equal(pmp_trainer_open(&t, config, pmp_clock_real(), &msg), want);
  assert_null(t);
}

static void test_refused_configurations(void **state) {
  (void)state;
  struct pmp_trainer_config good = world_critic(1), c;
  assert_int_equal(pmp_trainer_check(&good, NULL), PMP_OK);
  c = good, c.label_rule = (enum pmp_label_rule)9, expect_refused(&c, PMP_EINVALID);
  c = good, c.judge = PMP_JUDGE_ACTOR, expect_refused(&c, PMP_EINVALID);
  c = good, c.batch = 0, expect_refused(&c, PMP_EINVALID);
  c = good, c.batch = 301, expect_refused(&c, PMP_EINVALID);
  c = good, c.label_samples = 1, expect_refused(&c, PMP_EINVALID);
  c = good, c.value_samples = 0, expect_refused(&c, PMP_EINVALID);
  c = good, c.critic.obs = 4, expect_refused(&c, PMP_EINVALID);
  c = good, c.replay.act = 1, expect_refused(&c, PMP_EINVALID);
  c = good, c.replay.n_step = 0, expect_refused(&c, PMP_EINVALID);
  c = good, c.objective[0] = 'x', expect_refused(&c, PMP_EINVALID);
  c = good, c.loss.alpha = 2.0F, expect_refused(&c, PMP_EINVALID);
  c = good, c.policy_optim.lr = 0.0F, expect_refused(&c, PMP_EINVALID);
  c = good, c.guard = PMP_GUARD_SKIP, c.kl_max = 0.0, expect_refused(&c, PMP_EINVALID);
  c = good, c.threads = 0, expect_refused(&c, PMP_EINVALID);
  c = world_bandit(1), c.kl_rows = 3, c.replay.sampler = PMP_SAMPLER_ONCE;
  expect_refused(&c, PMP_EINVALID);
  c = good, c.improvement = PMP_IMPROVEMENT_EXACT, expect_refused(&c, PMP_EINVALID);
  c = world_bandit(1), c.label_rule = PMP_LABEL_VALUE, expect_refused(&c, PMP_EINVALID);
}

static void test_fingerprint(void **state) {
  (void)state;
  struct pmp_trainer_config config = world_critic(1);
  struct pmp_trainer *a = world_open(&config), *b = world_open(&config);
  config.critic.hidden[0] = 24;
  struct pmp_trainer *c = world_open(&config);
  char x[65], y[65], z[65], before[33], after[33];
  world_hash(a, before);
  pmp_trainer_fingerprint(a, x);
  pmp_trainer_fingerprint(b, y);
  pmp_trainer_fingerprint(c, z);
  world_hash(a, after);
  assert_string_equal(before, after);
  assert_int_equal(strlen(x), 64);
  assert_string_equal(x, y);
  assert_string_not_equal(x, z);
  pmp_trainer_close(a);
  pmp_trainer_close(b);
  pmp_trainer_close(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_seed_same_bits),
                                     cmocka_unit_test(test_learns_with_critic),
                                     cmocka_unit_test(test_q_statistics),
                                     cmocka_unit_test(test_learns_from_evaluations),
                                     cmocka_unit_test(test_loss_by_hand),
                                     cmocka_unit_test(test_refresh_and_target),
                                     cmocka_unit_test(test_failed_step_changes_nothing),
                                     cmocka_unit_test(test_skipped_step_counts),
                                     cmocka_unit_test(test_too_little_data),
                                     cmocka_unit_test(test_guard_on_kl),
                                     cmocka_unit_test(test_beta_auto),
                                     cmocka_unit_test(test_kl_rows),
                                     cmocka_unit_test(test_reduce_hook),
                                     cmocka_unit_test(test_learning_rates_decay),
                                     cmocka_unit_test(test_scratch_suffices),
                                     cmocka_unit_test(test_refused_configurations),
                                     cmocka_unit_test(test_fingerprint)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
