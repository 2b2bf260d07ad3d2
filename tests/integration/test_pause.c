/* Pause: in lockstep chunks wait for their steps, settings do not, for one of them may be what
 * mends the reason; else actors are held back, but not for what they have acknowledged already. */
#include "tests/support/small_run.h"

static void lockstep_init(struct small_run *s) {
  small_run_init(s);
  test_pmpod_set(&s->d, "limits.chunk_rows=64");
  test_pmpod_set(&s->d, "run.lockstep=true");
}

static enum pmp_err append(struct small_run *s, uint64_t seq, int wait_ms) {
  struct test_outcomes o;
  test_outcomes_draw(&o, 500 + seq, 64);
  const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  return wait_ms ? test_rpc_append_wait(&s->actor, seq, &c, NULL, 0, wait_ms)
                 : test_rpc_append(&s->actor, seq, &c, NULL, 0);
}

/* Until the learner says that this setting is what it works with. */
static void expect_number(struct small_run *s, const char *name, double value) {
  double seen = 0;
  for (int waited = 0; waited < 10000; waited += 10) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    seen = test_rpc_number(&s->observer, name);
    if ((float)seen == (float)value) return;
    test_sleep_ms(10);
  }
  fail_msg("%s is %g, not %g", name, seen, value);
}

static void expect_paused(struct small_run *s) {
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  assert_string_equal(test_rpc_text(&s->observer, "state"), "paused");
}

static void settings_are_taken_while_paused(void **state) {
  (void)state;
  struct small_run s;
  lockstep_init(&s);
  small_run_start(&s);
  test_rpc_wait_number(&s.observer, "weights.version", 1, 10000);
  assert_int_equal(append(&s, 1, 10000), PMP_OK);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_PAUSE, "", ""), PMP_OK);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  const double commit = test_rpc_number(&s.observer, "learner.commit"),
               steps = test_rpc_number(&s.observer, "learner.steps"),
               version = test_rpc_number(&s.observer, "learner.version");

  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_SET, "optim.lr", "0.0625"), PMP_OK);
  expect_number(&s, "learner.lr", 0.0625);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_SET, "objective.beta", "3"), PMP_OK);
  expect_number(&s, "learner.beta_0", 3);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_REFRESH, "", ""), PMP_OK);
  expect_number(&s, "learner.version", version + 1);
  expect_number(&s, "learner.commit", commit + 3);
  expect_paused(&s);
  assert_true(test_rpc_number(&s.observer, "learner.steps") == steps);

  /* A chunk waits: committed, not acknowledged. */
  s.actor.wait_ms = 300;
  assert_int_equal(append(&s, 2, 0), PMP_ETIMEOUT);
  s.actor.wait_ms = 10000;
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_true(test_rpc_number(&s.observer, "learner.commit") == commit + 3);
  assert_true(test_rpc_number(&s.observer, "store.last_commit") == commit + 4);
  expect_paused(&s);

  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_RESUME, "", ""), PMP_OK);
  assert_int_equal(append(&s, 2, 10000), PMP_OK); /* resent: its steps are made */
  assert_true(s.actor.reply.u.append.duplicate);
  expect_number(&s, "learner.steps", steps + 4);
  small_run_fini(&s);
}

/* The guard pauses the run in the middle of a chunk; what mends it is a refresh. */
static void a_setting_mends_what_the_guard_paused(void **state) {
  (void)state;
  struct small_run s;
  lockstep_init(&s);
  test_pmpod_set(&s.d, "objective.guard=pause");
  test_pmpod_set(&s.d, "objective.kl_max=1e-6");
  test_pmpod_set(&s.d, "learner.refresh_period=0");
  test_pmpod_set(&s.d, "learner.min_size=16");
  small_run_start(&s);
  test_rpc_wait_number(&s.observer, "weights.version", 1, 10000);
  s.actor.wait_ms = 500;
  assert_int_equal(append(&s, 1, 0), PMP_ETIMEOUT); /* the second step is refused */
  s.actor.wait_ms = 10000;
  expect_number(&s, "learner.steps", 1);
  expect_paused(&s);
  for (int step = 2; step <= 3; step++) { /* 64 rows, of which min_size are free */
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    const double version = test_rpc_number(&s.observer, "learner.version");
    assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_REFRESH, "", ""), PMP_OK);
    expect_number(&s, "learner.version", version + 1);
    assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_RESUME, "", ""), PMP_OK);
    test_rpc_wait_number(&s.observer, "learner.steps", step, 10000);
  }
  small_run_fini(&s);
}

static void what_is_resent_is_not_held(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.chunk_rows=64");
  test_pmpod_set(&s.d, "limits.append_hold_ms=50");
  small_run_start(&s);
  test_rpc_wait_number(&s.observer, "weights.version", 1, 10000);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_PAUSE, "", ""), PMP_OK);
  uint64_t seq = 1;
  while (append(&s, seq, 0) == PMP_OK) assert_true(++seq < 50);
  assert_int_equal(s.actor.reply.code, PMP_EBUSY); /* the rate limiter holds */
  assert_int_equal(append(&s, seq - 1, 0), PMP_OK);
  assert_true(s.actor.reply.u.append.duplicate);
  assert_int_equal(append(&s, seq, 0), PMP_EBUSY);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_RESUME, "", ""), PMP_OK);
  assert_int_equal(append(&s, seq, 10000), PMP_OK);
  assert_false(s.actor.reply.u.append.duplicate);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(settings_are_taken_while_paused),
      cmocka_unit_test(a_setting_mends_what_the_guard_paused),
      cmocka_unit_test(what_is_resent_is_not_held),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
