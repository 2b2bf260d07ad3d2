/* Objectives in a real daemon: each trains, says so in its metrics and comes back after kill -9; a
 * loss without a minimum is noticed, held back with a reason, and costs no checkpoint. */
#include "tests/support/small_run.h"

#include <math.h>

enum { ROWS = 64 };

/* Chunks of evaluated outcomes until the learner has made `steps`. */
static void train(struct small_run *s, uint64_t *seq, double steps) {
  for (int i = 0; i < 400; i++) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    if (test_rpc_number(&s->observer, "learner.steps") >= steps ||
        strcmp(test_rpc_text(&s->observer, "state"), "paused") == 0)
      return;
    struct test_outcomes o;
    test_outcomes_draw(&o, 1000 + *seq, ROWS);
    o.version = (uint64_t)test_rpc_number(&s->observer, "learner.version");
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    const enum pmp_err err = test_rpc_append(&s->actor, *seq + 1, &c, NULL, 0);
    if (err == PMP_OK) (*seq)++;
    assert_true(err == PMP_OK || err == PMP_EBUSY);
  }
  fail_msg("no %g steps", steps);
}

static void again(struct small_run *s) {
  small_run_disconnect(s);
  test_pmpod_kill(&s->d);
  test_pmpod_start(&s->d);
  small_run_connect(s, 1);
}

static void each_objective_trains_and_resumes(void **state) {
  (void)state;
  static const char *const setting[][4] = {
      {"objective.name=boltzmann"},
      {"objective.name=mpo", "objective.eps_penalty=1e-3"},
      {"objective.name=mpo", "objective.temperature=exact", "policy.covariance=full"},
      {"objective.name=dpo", "objective.pairs=2"},
      {"objective.name=ipo", "policy.covariance=full"},
      {"objective.name=bc"},
      {"objective.kl=bc"},
      {"objective.kl_weight=state"},
      {"label.rule=value"},
      {"objective.improvement=exact", "policy.covariance=full", "objective.beta=auto",
       "learner.sampler=once"}};
  for (size_t i = 0; i < sizeof setting / sizeof setting[0]; i++) {
    struct small_run s;
    uint64_t seq = 0;
    small_run_init(&s);
    test_pmpod_set(&s.d, "checkpoint.period_steps=20");
    for (int k = 0; k < 4 && setting[i][k]; k++) test_pmpod_set(&s.d, setting[i][k]);
    small_run_start(&s);
    train(&s, &seq, 60);
    test_rpc_wait_number(&s.observer, "learner.checkpoint_step", 20, 10000);
    again(&s);
    train(&s, &seq, 120);
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    assert_true(test_rpc_number(&s.observer, "learner.guard_skipped_steps") == 0);
    small_run_fini(&s);
  }
}

/* Rejected alone without a KL: the loss falls without end. */
static void a_runaway_is_noticed(void **state) {
  (void)state;
  static const char *const guard[] = {"objective.guard=pause", "objective.guard=skip"};
  for (int g = 0; g < 2; g++) {
    struct small_run s;
    uint64_t seq = 0;
    small_run_init(&s);
    test_pmpod_set(&s.d, guard[g]);
    test_pmpod_set(&s.d, "objective.alpha=0");
    test_pmpod_set(&s.d, "objective.beta=0");
    test_pmpod_set(&s.d, "optim.lr=0.1");
    test_pmpod_set(&s.d, "learner.refresh_period=100000");
    test_pmpod_set(&s.d, "learner.samples_per_insert=32");
    test_pmpod_set(&s.d, "checkpoint.period_steps=5");
    small_run_start(&s);
    train(&s, &seq, 600);
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    const double steps = test_rpc_number(&s.observer, "learner.steps");
    if (g == 0) {
      assert_string_equal(test_rpc_text(&s.observer, "state"), "paused");
      assert_non_null(strstr(test_rpc_text(&s.observer, "reason"), "kl_max"));
      assert_true(steps > 5 && steps < 600);
    } else {
      assert_true(test_rpc_number(&s.observer, "learner.guard_skipped_rejected") > 0);
      assert_true(steps >= 600);
    }
    small_run_disconnect(&s);
    test_pmpod_stop(&s.d);
    char out[8192];
    const char *const check[] = {"--check", s.d.dir, NULL};
    assert_int_equal(test_pmpod_run(out, sizeof out, check), 0);
    test_pmpod_start(&s.d); /* the last good checkpoint is there, and it is finite */
    small_run_connect(&s, 1);
    test_rpc_wait_number(&s.observer, "learner.steps", steps, 20000); /* once it is loaded */
    small_run_fini(&s);
  }
}

/* A reject-only run gets the papers' beta when none is given. */
static void beta_follows_the_feedback(void **state) {
  (void)state;
  static const char *const alpha[] = {"objective.alpha=0", "objective.alpha=0.5",
                                      "objective.alpha=1"};
  const double want[] = {2.0, 0.5, 0.0};
  for (int i = 0; i < 3; i++) {
    struct small_run s;
    small_run_init(&s);
    test_pmpod_set(&s.d, alpha[i]);
    small_run_start(&s);
    assert_true(test_rpc_wait_number(&s.observer, "learner.beta_0", want[i], 5000) == want[i]);
    small_run_fini(&s);
  }
}

/* A run that found its beta itself takes the number that it is given at its next start. */
static void beta_after_auto_is_the_configured_one(void **state) {
  (void)state;
  struct small_run s;
  uint64_t seq = 0;
  small_run_init(&s);
  const int at = s.d.sets;
  test_pmpod_set(&s.d, "objective.beta=auto");
  small_run_start(&s);
  train(&s, &seq, 30);
  small_run_disconnect(&s);
  test_pmpod_stop(&s.d);
  s.d.set[at] = "objective.beta=0.75";
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  assert_true(test_rpc_wait_number(&s.observer, "learner.beta_0", 0.75, 5000) == 0.75);
  assert_true(test_rpc_number(&s.observer, "learner.steps") >= 30);
  small_run_fini(&s);
}

/* Steps for nothing are not silent: rows of one group each give dpo no pair. */
static void nothing_to_learn_from_is_said(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "objective.name=dpo");
  test_pmpod_set(&s.d, "objective.alpha=0.3"); /* which dpo does not read */
  small_run_start(&s);
  struct test_outcomes o;
  test_outcomes_draw(&o, 5, ROWS);
  for (uint32_t i = 0; i < ROWS; i++) o.group[i] = i;
  struct pmp_chunk c = test_outcomes_chunk(&o, false, true);
  c.groups = ROWS;
  assert_int_equal(test_rpc_append_wait(&s.actor, 1, &c, NULL, 0, 10000), PMP_OK);
  test_rpc_wait_number(&s.observer, "learner.steps", 2, 10000);
  test_sleep_ms(200);
  size_t size;
  char *log = test_file_read(s.d.log, &size);
  assert_non_null(strstr(log, "PMP-LEARN-NOTHING"));
  assert_non_null(strstr(log, "no pair in any batch"));
  assert_non_null(strstr(log, "PMP-CONFIG-REMARK key=objective.alpha"));
  free(log);
  small_run_fini(&s);
}

static void what_does_not_go_together_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *set[3], *say;
  } bad[] = {{{"objective.name=dpo", "objective.beta_mean=1", "objective.beta_std=1"}, "dpo"},
             {{"objective.name=mpos"}, "boltzmann, mpo"},
             {{"objective.improvement=exact", "objective.name=bc"}, "exact"},
             {{"objective.improvement=exact", "spec.observation=[3]"}, "network"},
             {{"objective.kl_weight=state", "objective.kl=bc"}, "kl_weight"},
             {{"label.judge=people", "objective.name=boltzmann"}, "people"},
             {{"policy.covariance=full", "spec.action_dim=300"}, "256"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct test_pmpod d;
    test_pmpod_init(&d);
    char out[4096];
    const char *argv[12] = {"--dir", d.dir};
    int n = 2;
    for (int k = 0; k < 3 && bad[i].set[k]; k++) argv[n++] = "--set", argv[n++] = bad[i].set[k];
    assert_int_equal(test_pmpod_run(out, sizeof out, argv), 2);
    if (!strstr(out, bad[i].say)) fail_msg("%s: %s", bad[i].set[0], out);
    test_pmpod_fini(&d);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_objective_trains_and_resumes),
                                     cmocka_unit_test(a_runaway_is_noticed),
                                     cmocka_unit_test(beta_follows_the_feedback),
                                     cmocka_unit_test(beta_after_auto_is_the_configured_one),
                                     cmocka_unit_test(nothing_to_learn_from_is_said),
                                     cmocka_unit_test(what_does_not_go_together_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
