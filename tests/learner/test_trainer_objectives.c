/* The trainer with every objective, label rule and kind of improvement: they learn, they resume to
 * the bit, and their metrics say what the batch was. */
#include "learner/checkpoint.h"
#include "learner/trainer_state.h"
#include "tests/learner/trainer_world.h"

#include <stdlib.h>
#include <unistd.h>

/* ---------------------------------------------------------------- configurations */

static const char *const NAME[] = {"pmpo", "boltzmann", "mpo", "dpo", "ipo", "bc"};
enum { NAMES = 6 };

static void choose(struct pmp_trainer_config *c, const char *name) {
  snprintf(c->objective, sizeof c->objective, "%s", name);
  const bool pairs = strcmp(name, "dpo") == 0 || strcmp(name, "ipo") == 0;
  if (pairs) c->policy.dist.split = false;
  if (strcmp(name, "mpo") == 0 && c->policy.dist.kind == PMP_DIST_DIAG_GAUSSIAN)
    c->policy.dist.split = c->policy.dist.per_dim = true;
  c->loss.tau = 1.0;
  c->loss.pairs = 2;
  c->loss.eps_penalty = c->policy.dist.kind == PMP_DIST_CATEGORICAL ? 0.0 : 1e-3;
  c->loss.eps_std = 1e-3;
}

static struct pmp_trainer_config value_world(uint64_t seed) {
  struct pmp_trainer_config c = world_bandit(seed);
  c.label_rule = PMP_LABEL_VALUE;
  c.critic = (struct pmp_critic_config){.obs = 1, .hidden = {16}, .hidden_count = 1, .atoms = 1};
  return c;
}

static struct pmp_trainer_config exact_world(uint64_t seed, enum pmp_improve_rule rule) {
  struct pmp_trainer_config c = world_bandit(seed);
  c.improvement = PMP_IMPROVEMENT_EXACT;
  c.improve = (struct pmp_improve_config){.rule = rule, .eigen_min = 0.1, .eigen_max = 4.0};
  c.policy.dist.kind = PMP_DIST_GAUSSIAN;
  c.policy.dist.split = true;
  c.loss.beta[0] = 0.5;
  c.loss.beta[1] = 2.0;
  c.replay.sampler = PMP_SAMPLER_ONCE;
  c.refresh_period = 25;
  return c;
}

/* ---------------------------------------------------------------- learning */

static double distance(struct pmp_trainer *t) {
  const float *pi = pmp_trainer_pi(t);
  return sqrt((double)(pi[0] * pi[0] + pi[1] * pi[1]));
}

/* Every objective that reads verdicts or evaluations brings a bandit's mean nearer to the optimum;
 * bc alone stays about where its data is. */
static void test_bandit_by_every_objective(void **state) {
  (void)state;
  for (int i = 0; i < NAMES; i++) {
    struct pmp_trainer_config config = world_bandit(4);
    choose(&config, NAME[i]);
    config.policy_optim.lr = 1e-2F;
    config.loss.beta[0] = config.loss.beta[1] = 0.5;
    config.refresh_period = 50;
    config.replay.sampler = PMP_SAMPLER_ONCE;
    struct pmp_trainer *t = world_open(&config);
    struct pmp_step_metrics m;
    const double before = distance(t);
    assert_true(before > 1.0);
    for (uint64_t step = 1; step <= 1500; step++) {
      world_outcomes(t, step, false);
      world_step(t, &m);
      assert_true(isfinite(m.loss) && isfinite(m.grad_norm) && !m.skipped_step);
      assert_true(isfinite(m.kl_margin) == (i == 0));
      assert_true(isfinite(m.loss_dual) == (strcmp(NAME[i], "mpo") == 0));
    }
    if (strcmp(NAME[i], "bc") != 0 && !(distance(t) < 0.5 * before)) {
      print_error("%s: from %g to %g\n", NAME[i], before, distance(t));
      fail();
    }
    pmp_trainer_close(t);
  }
}

static void test_critic_by_every_objective(void **state) {
  (void)state;
  for (int i = 0; i < NAMES; i++) {
    for (int bins = 0; bins < 2; bins++) {
      struct pmp_trainer_config config = world_critic(3);
      if (bins)
        config.policy.dist = (struct pmp_dist){
            .kind = PMP_DIST_CATEGORICAL, .dim = WORLD_ACT, .bins = 5, .low = -1.0F, .high = 1.0F};
      choose(&config, NAME[i]);
      config.kl_rows = i % 2 == 0 ? 7 : 0;
      struct pmp_trainer *t = world_open(&config);
      struct pmp_step_metrics m;
      for (uint64_t commit = 1; commit <= 8; commit++) world_rows(t, t, commit);
      for (int step = 0; step < 30; step++) {
        world_step(t, &m);
        assert_true(isfinite(m.loss) && !m.skipped_step);
      }
      pmp_trainer_close(t);
    }
  }
}

/* V of a bandit learns the mean evaluation of the reference, and splits outcomes about it. */
static void test_value_rule(void **state) {
  (void)state;
  struct pmp_trainer_config config = value_world(6);
  config.refresh_period = 0;
  config.policy_optim.lr = 1e-12F;
  config.critic_optim.lr = 1e-2F;
  config.batch = 32;
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  double accepted = 0.0, loss = 0.0, mean = 0.0;
  const float *ref = pmp_trainer_ref(t);
  const double want = -(double)(ref[0] * ref[0] + ref[1] * ref[1]) - 2.0; /* E f, std 1 */
  for (uint64_t i = 1; i <= 1500; i++) {
    world_outcomes(t, i, false);
    if (i < 16) continue;
    world_step(t, &m);
    assert_true(m.accepted + m.rejected >= 32.0 && m.unlabelled == 0.0);
    if (i <= 1000) continue;
    accepted += m.accepted_share / 500.0;
    mean += m.q_mean / 500.0;
    loss += m.critic_loss / 500.0;
  }
  assert_true(fabs(mean - want) < 0.25 * fabs(want));
  assert_true(accepted > 0.3 && accepted < 0.7);
  assert_true(loss > 0.0);
  pmp_trainer_close(t);
  struct pmp_trainer_config critic = world_critic(2);
  critic.label_rule = PMP_LABEL_VALUE;
  t = world_open(&critic);
  for (uint64_t commit = 1; commit <= 8; commit++) world_rows(t, t, commit);
  world_step(t, &m);
  assert_true(m.unlabelled == 0.0 && m.accepted + m.rejected == 128.0);
  assert_true(m.accepted > 0.0 && m.rejected > 0.0);
  pmp_trainer_close(t);
}

/* The closed form finds the optimum of a sphere, far nearer than Adam's lr lets it. */
static void test_exact_improvement(void **state) {
  (void)state;
  const enum pmp_improve_rule rules[] = {PMP_IMPROVE_PLAIN, PMP_IMPROVE_PATHS};
  for (int r = 0; r < 2; r++) {
    struct pmp_trainer_config config = exact_world(4, rules[r]);
    struct pmp_trainer *t = world_open(&config);
    struct pmp_step_metrics m;
    uint64_t improved = 0;
    for (uint64_t i = 1; i <= 2500; i++) {
      world_outcomes(t, i, false);
      world_step(t, &m);
      improved += m.improved;
      assert_int_equal(m.improved, i % 25 == 0);
    }
    assert_int_equal(improved, 100);
    if (!(distance(t) < 1e-4)) print_error("rule %d: distance %g\n", r, distance(t));
    assert_true(distance(t) < 1e-4);
    pmp_trainer_close(t);
  }
}

/* Nothing to improve by: all unlabelled leave the policy where it is. */
static void test_exact_without_verdicts(void **state) {
  (void)state;
  struct pmp_trainer_config config = exact_world(4, PMP_IMPROVE_PLAIN);
  config.refresh_period = 1;
  struct pmp_trainer *t = world_open(&config);
  const float act[8] = {0.5F, 1.0F, 0.25F, -1.0F, 0.0F, 2.0F, 1.0F, 1.0F};
  const uint64_t version[4] = {1, 1, 1, 1};
  const float f[4] = {1.0F, 2.0F, 3.0F, 4.0F}; /* groups of one: top_k says nothing */
  struct pmp_replay_rows rows = {
      .chunk = 1, .commit = 1, .rows = 4, .act = act, .f = f, .ref_version = version};
  struct pmp_step_metrics m;
  uint32_t trainable = 0;
  float before[5];
  memcpy(before, pmp_trainer_pi(t), sizeof before);
  assert_int_equal(pmp_replay_add(pmp_trainer_replay(t), &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(trainable, 4);
  world_step(t, &m);
  assert_true(m.unlabelled == 4.0 && m.empty_accepted == 1.0 && m.empty_rejected == 1.0);
  assert_false(m.improved);
  assert_memory_equal(before, pmp_trainer_pi(t), sizeof before);
  assert_int_equal(pmp_trainer_version(t), 2);
  pmp_trainer_close(t);
}

/* ---------------------------------------------------------------- metrics */

/* n single outcomes with verdicts and weights, all of them one batch. */
static void step_on(const int8_t *verdict, const float *weight, uint32_t n,
                    struct pmp_step_metrics *m) {
  struct pmp_trainer_config config = world_bandit(8);
  config.replay.sampler = PMP_SAMPLER_ONCE;
  config.batch = n;
  config.loss.kl = PMP_KL_BC;
  struct pmp_trainer *t = world_open(&config);
  float act[64 * WORLD_ACT];
  struct pmp_rng rng;
  uint32_t trainable = 0;
  pmp_rng_init(&rng, 1, 2);
  pmp_rng_normal_fill(&rng, act, n * WORLD_ACT);
  struct pmp_replay_rows rows = {
      .chunk = 1, .commit = 1, .rows = n, .act = act, .verdict = verdict, .weight = weight};
  assert_int_equal(pmp_replay_add(pmp_trainer_replay(t), &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(trainable, n);
  world_step(t, m);
  assert_true(isfinite(m->loss) && !m->skipped_step);
  pmp_trainer_close(t);
}

static void test_batch_metrics(void **state) {
  (void)state;
  struct pmp_step_metrics m;
  int8_t verdict[20];
  float weight[20];
  for (int i = 0; i < 20; i++) verdict[i] = 1, weight[i] = 1.0F;
  step_on(verdict, NULL, 20, &m);
  assert_true(m.accepted_share == 1.0 && m.empty_accepted == 0.0 && m.empty_rejected == 1.0);
  assert_true(m.ess_accepted == 20.0 && m.ess_rejected == 0.0);
  for (int i = 0; i < 20; i++) verdict[i] = -1;
  step_on(verdict, NULL, 20, &m);
  assert_true(m.accepted_share == 0.0 && m.empty_accepted == 1.0 && m.ess_rejected == 20.0);
  verdict[7] = 1; /* 5 % accepted */
  step_on(verdict, NULL, 20, &m);
  assert_true(m.accepted_share == 0.05 && m.ess_accepted == 1.0 && m.ess_rejected == 19.0);
  weight[0] = 3.0F; /* (3 + 18)^2 / (9 + 18) */
  step_on(verdict, weight, 20, &m);
  assert_true(fabs(m.ess_rejected - 21.0 * 21.0 / 27.0) < 1e-9);
  for (int i = 0; i < 20; i++) verdict[i] = 0;
  step_on(verdict, NULL, 20, &m);
  assert_true(isnan(m.accepted_share) && m.unlabelled == 20.0 && m.ess_accepted == 0.0);
  verdict[0] = -1; /* a group of 1 */
  step_on(verdict, NULL, 1, &m);
  assert_true(m.rejected == 1.0 && m.accepted_share == 0.0);
}

/* Unlabelled rows are kept where something trains on them, and only there. */
static void test_unlabelled_rows(void **state) {
  (void)state;
  const float act[2] = {0.0F, 1.0F};
  const struct pmp_replay_rows rows = {.chunk = 1, .commit = 1, .rows = 1, .act = act};
  for (int i = 0; i < 4; i++) {
    struct pmp_trainer_config config = world_bandit(8);
    if (i == 1) config.loss.kl = PMP_KL_BC;
    if (i == 2) config.kl_rows = 3;
    if (i == 3) choose(&config, "bc");
    struct pmp_trainer *t = world_open(&config);
    uint32_t trainable = 999;
    assert_int_equal(pmp_replay_add(pmp_trainer_replay(t), &rows, &trainable, NULL), PMP_OK);
    assert_int_equal(trainable, i > 0);
    pmp_trainer_close(t);
  }
}

/* ---------------------------------------------------------------- runaway */

/* Rejected alone, beta 0: pi runs away between refreshes, and the guard says so and keeps the
 * numbers finite. With beta above 2 nothing fires. */
static void test_runaway_is_noticed(void **state) {
  (void)state;
  for (int safe = 0; safe < 2; safe++) {
    struct pmp_trainer_config config = world_bandit(12);
    config.loss.alpha = 0.0;
    config.loss.beta[0] = safe ? 2.5 : 0.0;
    config.guard = PMP_GUARD_SKIP;
    config.policy_optim.lr = 0.02F;
    config.refresh_period = 2000;
    config.batch = 32;
    struct pmp_trainer *t = world_open(&config);
    struct pmp_step_metrics m;
    uint64_t fired = 0;
    for (uint64_t i = 1; i <= 16; i++) world_outcomes(t, i, false);
    for (int i = 0; i < 1500; i++) {
      world_step(t, &m);
      fired += m.skipped_rejected;
      assert_true(safe ? m.kl_margin > 0.0 : m.kl_margin < 0.0);
    }
    assert_int_equal(fired > 0, !safe);
    for (size_t i = 0; i < 4; i++) assert_true(isfinite(pmp_trainer_pi(t)[i]));
    pmp_trainer_close(t);
  }
}

/* Over kl_max the rejected are left out, and nothing else changes: the KL keeps its weight, with
 * weights by state too, and boltzmann loses its second set under either averaging. */
static void test_guard_leaves_the_rest(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    struct pmp_trainer_config config = world_bandit(12);
    choose(&config, i < 2 ? "pmpo" : "boltzmann");
    config.loss.kl_by_state = i == 1;
    config.loss.averaging = i == 3 ? PMP_AVERAGING_POOL : PMP_AVERAGING_SETS;
    config.guard = PMP_GUARD_SKIP;
    config.kl_max = 1e-9;
    config.refresh_period = 0;
    config.batch = 4;
    struct pmp_trainer *t = world_open(&config);
    struct pmp_step_metrics m;
    world_outcomes(t, 1, false);
    world_step(t, &m);
    assert_true(!m.skipped_rejected && m.loss_rejected != 0.0);
    world_step(t, &m);
    assert_true(m.skipped_rejected && !m.skipped_step && m.loss_rejected == 0.0);
    assert_true(m.loss_accepted != 0.0 && m.kl[0] > 1e-9);
    if (!(fabs(m.loss_kl / (config.loss.beta[0] * m.kl[0]) - 1.0) < 1e-9))
      fail_msg("case %d: %g of %g", i, m.loss_kl, m.kl[0]);
    pmp_trainer_close(t);
  }
}

/* An outcome so far off that the gradient's square overflows float32 is a step that is not made,
 * not parameters that never move again. */
static void test_outlier(void **state) {
  (void)state;
  for (int guard = 0; guard < 2; guard++) {
    struct pmp_trainer_config config = world_bandit(4);
    config.guard = guard ? PMP_GUARD_SKIP : PMP_GUARD_OFF;
    config.kl_max = 1e9;
    config.batch = 1;
    config.replay.sampler = PMP_SAMPLER_ONCE;
    struct pmp_trainer *t = world_open(&config);
    const float act[2] = {1e10F, 0.0F};
    const int8_t verdict[1] = {1};
    const struct pmp_replay_rows rows = {
        .chunk = 1, .commit = 1, .rows = 1, .act = act, .verdict = verdict};
    struct pmp_step_metrics m;
    struct pmp_errmsg msg;
    uint32_t trainable;
    bool refreshed;
    float before[4];
    memcpy(before, pmp_trainer_pi(t), sizeof before);
    assert_int_equal(pmp_replay_add(pmp_trainer_replay(t), &rows, &trainable, NULL), PMP_OK);
    assert_int_equal(pmp_trainer_step(t, &m, &refreshed, &msg), guard ? PMP_OK : PMP_ENONFINITE);
    assert_int_equal(m.skipped_step, guard);
    assert_memory_equal(before, pmp_trainer_pi(t), sizeof before);
    if (guard) {
      world_outcomes(t, 2, true);
      world_step(t, &m);
      for (int i = 0; i < 4; i++) assert_true(pmp_trainer_pi(t)[i] != before[i]);
    }
    pmp_trainer_close(t);
  }
}

/* A spread that would fall to std_min stays there, and the mean still follows. */
static void test_exact_at_the_least_spread(void **state) {
  (void)state;
  for (int full = 0; full < 2; full++) {
    struct pmp_trainer_config config = exact_world(4, PMP_IMPROVE_PLAIN);
    config.policy.dist.kind = full ? PMP_DIST_GAUSSIAN : PMP_DIST_DIAG_GAUSSIAN;
    config.policy.dist.std_min = 0.01F;
    struct pmp_trainer *t = world_open(&config);
    struct pmp_step_metrics m;
    for (uint64_t i = 1; i <= 2500; i++) {
      world_outcomes(t, i, false);
      world_step(t, &m);
      assert_int_equal(m.improved, i % 25 == 0);
    }
    float std[WORLD_ACT];
    assert_int_equal(pmp_dist_moments(&config.policy.dist, 1, pmp_trainer_pi(t), NULL, std),
                     PMP_OK);
    assert_true(std[0] >= 0.01F && std[0] < 0.0101F && distance(t) < 0.01);
    pmp_trainer_close(t);
  }
}

static void count_refused(const struct pmp_trainer_config *config) {
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_trainer_check(config, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "exact"));
}

static void test_exact_refusals(void **state) {
  (void)state;
  const struct pmp_trainer_config good = exact_world(1, PMP_IMPROVE_PATHS);
  assert_int_equal(pmp_trainer_check(&good, NULL), PMP_OK);
  struct pmp_trainer_config c = good;
  c.replay.sampler = PMP_SAMPLER_UNIFORM, count_refused(&c);
  c = good, c.loss.averaging = PMP_AVERAGING_POOL, count_refused(&c);
  c = good, c.loss.kl = PMP_KL_BC, count_refused(&c);
  c = good, c.loss.alpha = 0.0, count_refused(&c); /* d + beta_mean is -0.5 */
  c = good, choose(&c, "bc"), count_refused(&c);
}

/* ---------------------------------------------------------------- resuming */

static void remove_folder(const char *path) {
  const struct pmp_fs *fs = pmp_fs_real();
  char(*names)[PMP_FS_NAME_MAX] = NULL, file[600];
  size_t count = 0;
  if (fs->list(fs->self, path, &names, &count, NULL) != PMP_OK) {
    unlink(path);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    snprintf(file, sizeof file, "%s/%s", path, names[i]);
    remove_folder(file);
  }
  free(names);
  rmdir(path);
}

/* A run that is taken up from its checkpoint at `cut` ends with the bits of the one that went on.
 */
static void resume(const struct pmp_trainer_config *config, uint64_t cut) {
  char dir[64] = "/tmp/pmp_objectives_XXXXXX", want[33], got[33], *context = NULL;
  struct pmp_checkpoint_info info;
  struct pmp_step_metrics m;
  struct pmp_errmsg msg = {{0}};
  assert_non_null(mkdtemp(dir));
  struct pmp_trainer *a = world_open(config), *b = world_open(config);
  for (uint64_t i = 1; i <= 40; i++) {
    world_outcomes(a, i, false);
    world_step(a, &m);
    if (i == cut)
      assert_int_equal(pmp_checkpoint_save(pmp_fs_real(), dir, a, "{}", &info, &msg), PMP_OK);
  }
  enum pmp_err err = pmp_checkpoint_load(pmp_fs_real(), dir, b, &context, &info, NULL, NULL, &msg);
  if (err != PMP_OK) print_error("%s\n", msg.text);
  assert_int_equal(err, PMP_OK);
  for (uint64_t i = cut + 1; i <= 40; i++) {
    world_outcomes(b, i, false);
    world_step(b, &m);
  }
  world_hash(a, want);
  world_hash(b, got);
  assert_string_equal(want, got);
  free(context);
  pmp_trainer_close(a);
  pmp_trainer_close(b);
  remove_folder(dir);
}

static void test_resumed_is_uninterrupted(void **state) {
  (void)state;
  for (int i = 0; i < NAMES; i++) {
    struct pmp_trainer_config config = world_bandit(5);
    choose(&config, NAME[i]);
    config.replay.sampler = PMP_SAMPLER_ONCE;
    resume(&config, 13);
  }
  struct pmp_trainer_config config = value_world(5);
  config.replay.sampler = PMP_SAMPLER_ONCE;
  resume(&config, 21);
  config = exact_world(5, PMP_IMPROVE_PATHS);
  config.refresh_period = 7;
  resume(&config, 17);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_bandit_by_every_objective),
                                     cmocka_unit_test(test_critic_by_every_objective),
                                     cmocka_unit_test(test_value_rule),
                                     cmocka_unit_test(test_exact_improvement),
                                     cmocka_unit_test(test_exact_without_verdicts),
                                     cmocka_unit_test(test_batch_metrics),
                                     cmocka_unit_test(test_unlabelled_rows),
                                     cmocka_unit_test(test_runaway_is_noticed),
                                     cmocka_unit_test(test_guard_leaves_the_rest),
                                     cmocka_unit_test(test_outlier),
                                     cmocka_unit_test(test_exact_at_the_least_spread),
                                     cmocka_unit_test(test_exact_refusals),
                                     cmocka_unit_test(test_resumed_is_uninterrupted)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
