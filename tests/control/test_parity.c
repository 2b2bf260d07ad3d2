/* Every task against trajectories and starts recorded from dm_control
 * (tests/parity/control/record.py). */
#include "tests/control/support.h"

#define SEEDS 6
#define STARTS_EACH 2

static void read_recorded(struct pmp_recording *r, const char *task, const char *suffix) {
  char name[64];
  snprintf(name, sizeof(name), "%s%s", task, suffix);
  recorded_replay(r, name);
}

/* States bit for bit; numbers derived from them within the last bits of libm. */
static void check_trajectories(const struct pmp_env_model *em) {
  const char *name = em->load.task->name;
  struct pmp_errmsg msg = {{0}};
  struct pmp_recording r;
  struct pmp_deviations dev;
  memset(&dev, 0xff, sizeof(dev)); /* NaN */
  read_recorded(&r, name, ".bin");
  assert_true(r.steps >= 200);
  ASSERT_OK(pmp_recording_run(&r, em, &dev, &msg));
  print_message("%-24s qpos %g qvel %g observation %.1e reward %.1e\n", name, dev.qpos.absolute,
                dev.qvel.absolute, dev.observation.absolute, dev.reward.absolute);
  assert_true(dev.qpos.absolute == 0.0 && dev.qpos.relative == 0.0);
  assert_true(dev.qvel.absolute == 0.0 && dev.qvel.relative == 0.0);
  assert_true(dev.observation.absolute <= 1e-12);
  assert_true(dev.reward.absolute <= 1e-12);
  pmp_recording_free(&r);
}

static double cell(const struct pmp_env *env, const double *edit) {
  int count;
  mjtNum *cells = pmp_field_cells(env->p.m, (enum pmp_field)edit[0], &count);
  assert_true(edit[1] < count);
  return cells[(int)edit[1]];
}

/* Angles that go through libm (manipulator) may differ in the last bit: `within` is 0 for all
 * others. */
static void check_start(struct pmp_env *env, const struct pmp_recording *r,
                        const struct pmp_recording_episode *ep, double within) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_deviation state = {0}, obs = {0}, edits = {0};
  ASSERT_OK(pmp_env_reset(env, NULL, &msg));
  pmp_deviation_add(&state, env->p.d->qpos, ep->qpos, r->nq);
  pmp_deviation_add(&state, env->p.d->qvel, ep->qvel, r->nv);
  pmp_deviation_add(&obs, env->obs, ep->obs, r->obs_dim);
  for (int i = 0; i < ep->edit_count; i++) {
    double ours = cell(env, ep->edits + 3 * i);
    pmp_deviation_add(&edits, &ours, ep->edits + 3 * i + 2, 1);
  }
  if (state.absolute > within || edits.absolute > within || obs.absolute > 1e-12)
    fail_msg("%s: start off by %g (state), %g (model), %g (observation)", env->p.task->name,
             state.absolute, edits.absolute, obs.absolute);
}

static void check_starts(const struct pmp_env_model *em) {
  const char *name = em->load.task->name;
  const double within = strncmp(name, "manipulator", 11) == 0 ? 1e-15 : 0.0;
  const struct pmp_env_options options = {.seed = 1};
  struct pmp_errmsg msg = {{0}};
  struct pmp_recording r;
  read_recorded(&r, name, ".starts.bin");
  assert_int_equal(r.episodes, SEEDS * STARTS_EACH);
  for (uint32_t seed = 0; seed < SEEDS; seed++) {
    struct numpy_random random;
    struct pmp_env *env = NULL;
    numpy_seed(&random, seed);
    const struct pmp_draw draw = numpy_draw(&random);
    ASSERT_OK(pmp_env_create(&env, em, &options, &msg));
    pmp_env_set_draw(env, &draw);
    for (uint32_t e = 0; e < STARTS_EACH; e++)
      check_start(env, &r, &r.episode[STARTS_EACH * seed + e], within);
    pmp_env_free(env);
  }
  pmp_recording_free(&r);
}

static void test_all_tasks(void **state) {
  (void)state;
  for (size_t i = 0; i < pmp_task_count(); i++) {
    struct pmp_env_model em;
    load_task(&em, pmp_task_at(i)->name);
    check_trajectories(&em);
    check_starts(&em);
    pmp_env_model_free(&em);
  }
}

/* The numbers that the generator's description gives. */
static void test_numpy_generator(void **state) {
  (void)state;
  struct numpy_random r;
  numpy_seed(&r, 7);
  assert_true(numpy_uniform(&r) == 0.07630828937395717);
  assert_true(numpy_uniform(&r) == 0.7799187922401146);
  assert_true(numpy_normal(&r) == 1.690525703800356);
  assert_true(numpy_normal(&r) == -0.4659373705408328);
  assert_true(numpy_normal(&r) == 0.0328201636785844);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numpy_generator),
      cmocka_unit_test(test_all_tasks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
