/* Reports: into the history and the actors' list, once a request id however often they are sent. */
#include "tests/support/small_run.h"

static enum pmp_err report(struct test_rpc *r, uint64_t id, double value, uint64_t env_steps) {
  const struct pmp_number v = {"return", value};
  struct pmp_request q = {.verb = PMP_VERB_REPORT,
                          .u.report = {.value = &v, .count = 1, .env_steps = env_steps}};
  r->request_id = id - 1; /* the call counts on from here */
  return test_rpc_call(r, &q);
}

/* Points of actor.return once there are `least`. */
static uint32_t points(struct small_run *s, uint32_t least, double *last) {
  const char *const names[] = {"actor.return"};
  struct pmp_request h = {.verb = PMP_VERB_HISTORY, .u.history = {.name = names, .names = 1}};
  for (int waited = 0; waited < 10000; waited += 10) {
    assert_int_equal(test_rpc_call(&s->observer, &h), PMP_OK);
    const struct pmp_series *r = &s->observer.reply.u.history.series[0];
    if (r->points >= least) {
      *last = r->value[r->points - 1];
      return r->points;
    }
    test_sleep_ms(10);
  }
  fail_msg("fewer than %u points in the history", least);
  return 0;
}

static void a_resent_report_counts_once(void **state) {
  struct small_run *s = *state;
  for (int i = 0; i < 3; i++) /* the replies were lost */
    assert_int_equal(report(&s->actor_desk, 1001, 7, 50), PMP_OK);
  assert_int_equal(report(&s->actor_desk, 1002, 8, 60), PMP_OK);
  /* An older one that comes late changes nothing any more. */
  assert_int_equal(report(&s->actor_desk, 1001, 7, 50), PMP_OK);
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s->observer, "desk.reports"), 2);
  assert_int_equal((int)test_rpc_number(&s->observer, "desk.report_duplicates"), 3);
  const struct pmp_status_reply *st = &s->observer.reply.u.status;
  assert_int_equal(st->actors, 1);
  assert_int_equal(st->actor[0].env_steps, 60);
  assert_int_equal(st->actor[0].values, 1);
  assert_true(st->actor[0].value[0].value == 8);
  assert_int_equal(report(&s->actor_desk, 1003, 9, 70), PMP_OK);
  double last = 999;
  assert_int_equal(points(s, 3, &last), 3);
  assert_true(last == 9);
}

/* The id is unique within its session only: the next actor starts at 1 as well. */
static void another_session_has_its_own_ids(void **state) {
  struct small_run *s = *state;
  struct test_rpc other;
  test_rpc_open(&other, s->d.desk);
  assert_int_equal(test_rpc_hello(&other, PMP_ROLE_ACTOR, "a2", 5), PMP_OK);
  assert_int_equal(report(&other, 1003, 11, 5), PMP_OK);
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s->observer, "desk.reports"), 4);
  double last = 999;
  assert_int_equal(points(s, 4, &last), 4);
  test_rpc_close(&other);
}

/* A refused report was not counted: the same id may come again, mended. */
static void a_refused_report_may_come_again(void **state) {
  struct small_run *s = *state;
  const struct pmp_number nameless = {"", 1};
  struct pmp_request q = {.verb = PMP_VERB_REPORT, .u.report = {.value = &nameless, .count = 1}};
  s->actor_desk.request_id = 2000;
  assert_int_equal(test_rpc_call(&s->actor_desk, &q), PMP_EINVALID);
  assert_int_equal(report(&s->actor_desk, 2001, 12, 80), PMP_OK);
  double last = 999;
  assert_int_equal(points(s, 5, &last), 5);
  assert_true(last == 12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_resent_report_counts_once),
      cmocka_unit_test(another_session_has_its_own_ids),
      cmocka_unit_test(a_refused_report_may_come_again),
  };
  return cmocka_run_group_tests(tests, small_run_group_setup, small_run_group_teardown);
}
