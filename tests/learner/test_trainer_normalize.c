/* Normalised observations: the moments are those of the batches, they move at a refresh and at no
 * other time, and everything sees the observation through the same ones. */
#include "learner/trainer_state.h"
#include "tests/learner/trainer_world.h"

/* Observations of very different sizes, far from 0. */
static void spread(void *ctx, float *obs, size_t rows) {
  (void)ctx;
  for (size_t r = 0; r < rows; r++) {
    obs[r * WORLD_OBS] = 1000.0F + 0.1F * obs[r * WORLD_OBS];
    obs[r * WORLD_OBS + 1] = 500.0F * obs[r * WORLD_OBS + 1];
    obs[r * WORLD_OBS + 2] = 3.0F; /* never changes */
  }
}

static struct pmp_trainer_config normalized(uint64_t seed) {
  struct pmp_trainer_config c = world_critic(seed);
  c.policy.normalize = true;
  c.policy_optim.weight_decay = 0.1F; /* must not reach what is not trained */
  return c;
}

/* What the coming step will draw: a draw changes nothing but the generator. */
static void foresee(struct pmp_trainer *t, struct pmp_arena *arena, struct pmp_batch *batch) {
  struct pmp_rng rng = t->counters.batch_rng;
  pmp_arena_release(arena, 0);
  assert_int_equal(
      pmp_replay_draw(t->replay, &rng, t->config.batch, pmp_trainer_version(t), arena, batch),
      PMP_OK);
}

static void test_moments_of_batches(void **state) {
  (void)state;
  enum { STEPS = 25, SEEN_MAX = STEPS * 32 };
  static float seen[SEEN_MAX][WORLD_OBS];
  struct pmp_trainer_config config = normalized(3);
  struct pmp_trainer *t = world_open(&config);
  struct pmp_arena arena;
  struct pmp_step_metrics m;
  struct pmp_batch batch;
  size_t n = 0;
  const size_t first = t->policy.trained, floats = t->floats[PMP_BUFFER_PI];
  assert_int_equal(floats - first, 2 * WORLD_OBS);
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  for (uint64_t commit = 1; commit <= 6; commit++) world_rows_by(t, t, commit, spread, NULL);
  for (int step = 1; step <= STEPS; step++) {
    float before[2 * WORLD_OBS];
    memcpy(before, pmp_trainer_pi(t) + first, sizeof before);
    foresee(t, &arena, &batch);
    memcpy(seen[n], batch.obs, batch.b * sizeof seen[0]);
    n += batch.b;
    world_step(t, &m);
    const float *pi = pmp_trainer_pi(t) + first;
    assert_memory_equal(pi, pmp_trainer_ref(t) + first, sizeof before);
    for (size_t i = first; i < floats; i++) assert_true(t->pi_grad[i] == 0.0F);
    if (step % 10 != 0) {
      assert_memory_equal(pi, before, sizeof before);
      continue;
    }
    for (size_t i = 0; i < WORLD_OBS; i++) {
      double mean = 0.0, var = 0.0;
      for (size_t r = 0; r < n; r++) mean += (double)seen[r][i] / (double)n;
      for (size_t r = 0; r < n; r++)
        var += ((double)seen[r][i] - mean) * ((double)seen[r][i] - mean) / (double)n;
      assert_true(pi[i] == (float)mean ||
                  fabs((double)pi[i] - mean) < 1e-6 * fabs(mean)); /* the order of sums */
      assert_true(fabs((double)pi[WORLD_OBS + i] * sqrt(var + 1e-6) - 1.0) < 1e-6);
    }
  }
  assert_true(pmp_trainer_pi(t)[first + 2] == 3.0F); /* and scale is finite */
  pmp_arena_fini(&arena);
  pmp_trainer_close(t);
}

static void through(void *ctx, float *obs, size_t rows) {
  const struct pmp_trainer *t = ctx;
  spread(NULL, obs, rows);
  pmp_policy_normalize(pmp_trainer_policy(t), pmp_trainer_ref(t), rows, obs, obs);
}

/* b becomes a as it is, without normalisation of its own. */
static void copy_state(const struct pmp_trainer *a, struct pmp_trainer *b) {
  for (int id = 0; id < PMP_BUFFERS; id++) {
    assert_true(b->floats[id] == a->floats[id] || id <= PMP_BUFFER_PI_V);
    memcpy(b->buffer[id], a->buffer[id], b->floats[id] * sizeof(float));
  }
  b->pi_adam.step = a->pi_adam.step;
  b->critic_adam.step = a->critic_adam.step;
  b->counters = a->counters;
}

/* Policy, reference and critic, bootstraps included, learn from a raw observation what a trainer
 * without normalisation learns from the normalised one, to the bit. */
static void test_everything_sees_the_same(void **state) {
  (void)state;
  for (int kl_rows = 0; kl_rows <= 7; kl_rows += 7) {
    struct pmp_trainer_config config = normalized(4);
    config.kl_rows = (uint32_t)kl_rows;
    struct pmp_trainer *a = world_open(&config);
    config.policy.normalize = false;
    struct pmp_trainer *b = world_open(&config);
    struct pmp_step_metrics m, n;
    for (uint64_t commit = 1; commit <= 6; commit++) world_rows_by(a, NULL, commit, spread, NULL);
    for (int step = 0; step < 10; step++) world_step(a, &m);
    assert_int_equal(pmp_trainer_version(a), 2);
    assert_true(pmp_trainer_ref(a)[a->policy.scale] > 5.0F);
    for (uint64_t commit = 1; commit <= 6; commit++) world_rows_by(b, NULL, commit, through, a);
    copy_state(a, b);
    for (int step = 0; step < 9; step++) {
      world_step(a, &m);
      world_step(b, &n);
      assert_true(m.loss == n.loss && m.critic_loss == n.critic_loss && m.kl[0] == n.kl[0]);
      assert_memory_equal(a->buffer[PMP_BUFFER_CRITIC], b->buffer[PMP_BUFFER_CRITIC],
                          b->floats[PMP_BUFFER_CRITIC] * sizeof(float));
      assert_memory_equal(a->buffer[PMP_BUFFER_PI], b->buffer[PMP_BUFFER_PI],
                          b->floats[PMP_BUFFER_PI] * sizeof(float));
    }
    pmp_trainer_close(a);
    pmp_trainer_close(b);
  }
}

/* Outcomes with a condition: accepted about sin(x) with x far from 0, by top_k or against V. */
static void condition_rows(struct pmp_trainer *t, uint64_t commit) {
  enum { GROUPS = 4, EACH = 4, N = GROUPS * EACH };
  float obs[N], act[N], f[N];
  uint32_t group[N], trainable = 0;
  uint64_t version[N];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 79, commit);
  for (uint32_t i = 0; i < N; i++) {
    group[i] = i / EACH;
    if (i % EACH == 0)
      obs[i] = 4000.0F + 100.0F * (2.0F * pmp_rng_float(&rng) - 1.0F);
    else
      obs[i] = obs[i - 1];
    act[i] = 2.0F * pmp_rng_float(&rng) - 1.0F;
    const float off = act[i] - sinf((obs[i] - 4000.0F) / 50.0F);
    f[i] = -off * off;
    version[i] = pmp_trainer_version(t);
  }
  struct pmp_replay_rows rows = {.chunk = commit,
                                 .commit = commit,
                                 .rows = N,
                                 .obs = obs,
                                 .act = act,
                                 .group = group,
                                 .f = f,
                                 .ref_version = version};
  assert_int_equal(pmp_replay_add(pmp_trainer_replay(t), &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(trainable, N);
}

/* Distance of the mean from sin((x - 4000) / 50) at 9 places. */
static double sine_error(struct pmp_trainer *t) {
  float x[9], head[18], mean[9], cache[16384];
  double error = 0.0;
  const struct pmp_policy *p = pmp_trainer_policy(t);
  for (int i = 0; i < 9; i++) x[i] = 3920.0F + 20.0F * (float)i;
  assert_true(pmp_policy_cache_floats(p, 9) <= sizeof cache / sizeof *cache);
  assert_int_equal(pmp_policy_forward(p, &t->compute, pmp_trainer_ref(t), 9, x, cache, head),
                   PMP_OK);
  assert_int_equal(pmp_dist_mode(&p->spec.dist, 9, head, mean), PMP_OK);
  for (int i = 0; i < 9; i++)
    error += fabs((double)mean[i] - sin(((double)x[i] - 4000.0) / 50.0)) / 9.0;
  return error;
}

static void test_learns_plain_conditions(void **state) {
  (void)state;
  for (int value = 0; value < 2; value++) {
    double error[2];
    for (int on = 0; on < 2; on++) {
      struct pmp_trainer_config c = world_common(5);
      c.judge = PMP_JUDGE_ACTOR;
      c.policy.network = true;
      c.policy.obs = 1;
      c.policy.dist.dim = 1;
      c.policy.hidden[0] = c.policy.hidden[1] = 24;
      c.policy.hidden_count = 2;
      c.policy.normalize = on == 1;
      c.loss.beta[0] = c.loss.beta[1] = 0.5;
      c.policy_optim.lr = c.critic_optim.lr = 5e-3F;
      c.refresh_period = 20;
      c.label_rule = value ? PMP_LABEL_VALUE : PMP_LABEL_TOP_K;
      c.critic =
          (struct pmp_critic_config){.obs = 1, .hidden = {24, 24}, .hidden_count = 2, .atoms = 1};
      c.replay = (struct pmp_replay_config){
          .shape = PMP_REPLAY_OUTCOMES, .obs = 1, .act = 1, .capacity = 4000};
      struct pmp_trainer *t = world_open(&c);
      struct pmp_step_metrics m;
      for (uint64_t commit = 1; commit <= 100; commit++) condition_rows(t, commit);
      for (int step = 0; step < 1500; step++) {
        world_step(t, &m);
        assert_true(isfinite(m.loss) && !m.skipped_step);
      }
      error[on] = sine_error(t);
      pmp_trainer_close(t);
    }
    if (!(error[1] < 0.45 && error[1] < 0.6 * error[0]))
      fail_msg("rule %d: error %g with, %g without", value, error[1], error[0]);
  }
}

/* A step that was refused adds nothing to the moments. */
static void test_refused_step_adds_nothing(void **state) {
  (void)state;
  struct pmp_trainer_config config = normalized(6);
  struct pmp_trainer *t = world_open(&config);
  struct pmp_step_metrics m;
  struct pmp_errmsg msg;
  bool refreshed;
  char before[33], after[33];
  for (uint64_t commit = 1; commit <= 4; commit++) world_rows_by(t, t, commit, spread, NULL);
  world_step(t, &m);
  assert_true(t->moments[0] == 32.0);
  t->buffer[PMP_BUFFER_CRITIC][0] = NAN;
  world_hash(t, before);
  assert_int_equal(pmp_trainer_step(t, &m, &refreshed, &msg), PMP_ENONFINITE);
  world_hash(t, after);
  assert_string_equal(before, after);
  t->moments[1] += 1.0;
  world_hash(t, after);
  assert_string_not_equal(before, after);
  pmp_trainer_close(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_moments_of_batches),
                                     cmocka_unit_test(test_everything_sees_the_same),
                                     cmocka_unit_test(test_learns_plain_conditions),
                                     cmocka_unit_test(test_refused_step_adds_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
