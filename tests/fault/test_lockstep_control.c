/* Lockstep with physics, trajectories and a critic: `pmpo-actor control` on cartpole, small
 * networks. */
#include "tests/fault/lockstep.h"

enum { ROWS = 4096, KILLS = 10 };

static pid_t start_actor(const char *url, const char *log) {
  char program[512], suite[600];
  const char *deps = getenv("PMP_DEPS");
  if (!deps) fail_msg("PMP_DEPS is not set: run by ctest, or set it to where the task models are");
  snprintf(suite, sizeof suite, "%s/share/dm_control/suite", deps);
  const char *const argv[] = {test_bin("pmpo-actor", program),
                              "control",
                              "--connect",
                              url,
                              "--task",
                              "cartpole_swingup",
                              "--envs",
                              "2",
                              "--chunk-rows",
                              "64",
                              "--max-env-steps",
                              "4032",
                              "--wait",
                              "60",
                              "--suite",
                              suite,
                              NULL};
  return test_spawn(program, argv, log);
}

static const char *const set[] = {"run.lockstep=true",
                                  "run.seed=3",
                                  "spec.task=cartpole_swingup",
                                  "spec.shape=trajectories",
                                  "spec.observation=[5]",
                                  "spec.action_dim=1",
                                  "label.judge=critic",
                                  "policy.hidden=[16, 16]",
                                  "critic.hidden=[16, 16]",
                                  "critic.atoms=11",
                                  "critic.value_samples=3",
                                  "critic.target_period=20",
                                  "objective.beta_mean=1",
                                  "objective.beta_std=50",
                                  "learner.batch=32",
                                  "learner.min_size=200",
                                  "learner.capacity=1500",
                                  "learner.samples_per_insert=5",
                                  "learner.refresh_period=25",
                                  "limits.chunk_rows=64",
                                  "checkpoint.period_steps=41",
                                  "checkpoint.period_s=0",
                                  "checkpoint.keep=2",
                                  "store.capacity_rows=100000",
                                  NULL};
static const struct lockstep_plan plan = {
    .set = set, .start_actor = start_actor, .rows = ROWS, .kills = KILLS};

static int first_run(void **state) {
  return lockstep_setup(state, &plan);
}

static void two_runs_are_bit_identical(void **state) {
  const struct lockstep_outcome *first = *state;
  assert_true(first->step > 400);
  lockstep_again(first, &plan, 0);
}

static void a_run_that_is_killed_again_and_again_is_bit_identical(void **state) {
  lockstep_again(*state, &plan, (uint64_t)getpid());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_runs_are_bit_identical),
      cmocka_unit_test(a_run_that_is_killed_again_and_again_is_bit_identical),
  };
  return cmocka_run_group_tests(tests, first_run, lockstep_teardown);
}
