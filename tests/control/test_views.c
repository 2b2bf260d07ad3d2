/* What a control step leaves out must not show: beside a bare mj_step loop on the whole model. */
#include "actors/control/views.h"
#include "tests/control/support.h"

enum { STEPS = 150 };

/* A whole model in the same state. */
struct bare {
  mjModel *m; /* not owned */
  mjData *d;
};

static void random_action(struct pmp_rng *rng, double *action, int n) {
  for (int i = 0; i < n; i++) action[i] = 2.0 * (double)pmp_rng_float(rng) - 1.0;
}

/* The suite's order of things, with everything computed. */
static void whole_step(const struct bare *b, const struct pmp_task *task, const double *action) {
  memcpy(b->d->ctrl, action, (size_t)task->act_dim * sizeof(double));
  for (int i = 0; i < task->substeps; i++) mj_step(b->m, b->d);
}

/* Observation and reward that the task makes of the whole model's data. */
static void whole_outcome(const struct pmp_env *env, const struct bare *b, double *obs,
                          double *reward) {
  struct pmp_physics p = env->p;
  mjData *seen = mj_copyData(NULL, b->m, b->d);
  mj_step1(b->m, seen);
  p.d = seen;
  env->p.task->observe(&p, obs);
  *reward = env->p.task->reward(&p);
  mj_deleteData(seen);
}

static void check_same(const struct pmp_env *env, const struct bare *b, double reward) {
  double obs[PMP_TASK_OBS_MAX], expected;
  for (int i = 0; i < PMP_TASK_OBS_MAX; i++) obs[i] = 999.0;
  assert_memory_equal(env->p.d->qpos, b->d->qpos, (size_t)b->m->nq * sizeof(double));
  assert_memory_equal(env->p.d->qvel, b->d->qvel, (size_t)b->m->nv * sizeof(double));
  whole_outcome(env, b, obs, &expected);
  assert_memory_equal(env->obs, obs, (size_t)env->p.task->obs_dim * sizeof(double));
  assert_true(fabs(reward - expected) <= 1e-15);
}

static void check_task(const char *name, uint64_t seed) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_model em;
  struct pmp_env *env = NULL;
  struct pmp_env_result result;
  struct pmp_rng rng;
  double action[PMP_TASK_ACT_MAX];
  load_task(&em, name);
  const struct pmp_env_options options = {.seed = seed};
  ASSERT_OK(pmp_env_create(&env, &em, &options, &msg));
  ASSERT_OK(pmp_env_reset(env, NULL, &msg));
  const struct bare b = {.m = env->p.m, .d = mj_copyData(NULL, env->p.m, env->p.d)};
  pmp_rng_init(&rng, seed, 1);
  for (int t = 0; t < STEPS; t++) {
    random_action(&rng, action, env->p.task->act_dim);
    ASSERT_OK(pmp_env_step_f64(env, action, &result, &msg));
    assert_false(result.diverged);
    whole_step(&b, env->p.task, action);
    check_same(env, &b, result.reward);
  }
  mj_deleteData(b.d);
  pmp_env_free(env);
  pmp_env_model_free(&em);
}

static void test_steps_equal_the_whole_models(void **state) {
  (void)state;
  for (size_t i = 0; i < pmp_task_count(); i++) check_task(pmp_task_at(i)->name, 3 + i);
}

/* So that the test above is one of them. */
static void test_shortcuts_are_taken(void **state) {
  (void)state;
  static const struct {
    const char *task;
    int pairs;
    bool fluid;
  } cases[] = {{"walker_walk", 7, false},      {"cheetah_run", 27, false},
               {"finger_spin", 15, false},     {"humanoid_run", 0, false}, /* mixed parameters */
               {"cartpole_balance", 0, false}, {"swimmer_swimmer6", 0, true},
               {"fish_swim", 0, true}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    struct pmp_env_model em;
    load_task(&em, cases[i].task);
    const struct pmp_pairs *pairs = em.shortcuts.pairs;
    assert_int_equal(pairs != NULL ? pairs->count : 0, cases[i].pairs);
    assert_int_equal(em.views->inner.npair, cases[i].pairs);
    assert_true((em.shortcuts.fluid != NULL) == cases[i].fluid);
    assert_true((em.views->fluid != NULL) == cases[i].fluid);
    assert_true(em.load.m->npair == 0 && em.views->passive.npair == 0);
    pmp_env_model_free(&em);
  }
}

/* It stands in for a sensor. */
static void test_velocity_is_the_sensors(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_model em;
  struct pmp_env *env = NULL;
  struct pmp_env_result result;
  struct pmp_rng rng;
  double action[PMP_TASK_ACT_MAX], velocity[3] = {999.0, 999.0, 999.0}, fastest = 0.0;
  load_task(&em, "humanoid_run");
  const struct pmp_env_options options = {.seed = 1};
  const int torso = mj_name2id(em.load.m, mjOBJ_BODY, "torso");
  const int sensor = mj_name2id(em.load.m, mjOBJ_SENSOR, "torso_subtreelinvel");
  ASSERT_OK(pmp_env_create(&env, &em, &options, &msg));
  ASSERT_OK(pmp_env_reset(env, NULL, &msg));
  pmp_rng_init(&rng, 4, 0);
  for (int t = 0; t < 50; t++) {
    random_action(&rng, action, env->p.task->act_dim);
    ASSERT_OK(pmp_env_step_f64(env, action, &result, &msg));
    pmp_physics_velocity(&env->p, torso, velocity);
    for (int k = 0; k < 3; k++) {
      assert_true(fabs(velocity[k] - pmp_sensor(&env->p, sensor)[k]) <= 1e-14);
      fastest = fmax(fastest, fabs(velocity[k]));
    }
  }
  assert_true(fastest > 0.5);
  pmp_env_free(env);
  pmp_env_model_free(&em);
}

/* An environment's own cells: written in one, they stay as they were in the other and in the model
 * of both. */
static void test_forks_keep_apart(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_model em;
  struct pmp_env *a = NULL, *b = NULL;
  const struct pmp_env_options options = {.seed = 1, .own_model = true};
  load_task(&em, "swimmer_swimmer6");
  ASSERT_OK(pmp_env_create(&a, &em, &options, &msg));
  ASSERT_OK(pmp_env_create(&b, &em, &options, &msg));
  for (int f = 0; f < PMP_FIELD_COUNT; f++) {
    int count[3];
    mjtNum *cells[3] = {pmp_field_cells(a->p.m, (enum pmp_field)f, &count[0]),
                        pmp_field_cells(b->p.m, (enum pmp_field)f, &count[1]),
                        pmp_field_cells(em.load.m, (enum pmp_field)f, &count[2])};
    assert_true(count[0] == count[1] && count[0] == count[2]);
    for (int i = 0; i < count[0]; i++) {
      const double before = cells[2][i];
      assert_true(cells[0][i] == before && cells[1][i] == before);
      cells[0][i] = 999.0;
      assert_true(cells[1][i] == before && cells[2][i] == before);
    }
  }
  pmp_env_free(a);
  pmp_env_free(b);
  pmp_env_model_free(&em);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_steps_equal_the_whole_models),
      cmocka_unit_test(test_shortcuts_are_taken),
      cmocka_unit_test(test_velocity_is_the_sensors),
      cmocka_unit_test(test_forks_keep_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
