/* report, history, status, events, control. */
#include "tests/support/small_run.h"

#include <math.h>

static void feed(struct small_run *s, uint64_t *seq, int chunks) {
  for (int i = 0; i < chunks; i++) {
    struct test_outcomes o;
    test_outcomes_draw(&o, 100 + *seq, 64);
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    (*seq)++;
    assert_int_equal(test_rpc_append_wait(&s->actor, *seq, &c, NULL, 0, 10000), PMP_OK);
  }
}

static void reports_are_in_the_history_once(void **state) {
  struct small_run *s = *state;
  const struct pmp_number value[] = {{"return", 12.5}, {"length", 100}};
  struct pmp_request q = {.verb = PMP_VERB_REPORT};
  q.u.report = (struct pmp_report){.value = value, .count = 2, .ref_version = 3, .env_steps = 4444};
  assert_int_equal(test_rpc_call(&s->actor_desk, &q), PMP_OK);
  s->actor_desk.request_id--; /* the reply was lost: the same request once more */
  assert_int_equal(test_rpc_call(&s->actor_desk, &q), PMP_OK);
  assert_int_equal(test_rpc_call(&s->actor_desk, &q), PMP_OK); /* another one that says the same */

  const char *const names[] = {"actor.return", "actor.length", "no.such"};
  struct pmp_request h = {.verb = PMP_VERB_HISTORY};
  h.u.history = (struct pmp_history){.name = names, .names = 3};
  for (int waited = 0;; waited += 10) { /* on disk with the next commit */
    assert_int_equal(test_rpc_call(&s->observer, &h), PMP_OK);
    if (s->observer.reply.u.history.series[0].points >= 2 || waited > 5000) break;
    test_sleep_ms(10);
  }
  const struct pmp_history_reply *r = &s->observer.reply.u.history;
  assert_int_equal(r->count, 3);
  assert_string_equal(r->series[0].name, "actor.return");
  assert_int_equal(r->series[0].points, 2);
  assert_true(r->series[0].value[0] == 12.5 && r->series[0].value[1] == 12.5);
  assert_int_equal(r->series[1].points, 2);
  assert_true(r->series[1].value[0] == 100);
  assert_int_equal(r->series[2].points, 0);

  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  const struct pmp_status_reply *st = &s->observer.reply.u.status;
  const struct pmp_actor_status *a = NULL;
  for (uint32_t i = 0; i < st->actors; i++) {
    if (strcmp(st->actor[i].name, "a1") == 0) a = &st->actor[i];
  }
  assert_non_null(a);
  assert_int_equal(a->env_steps, 4444);
  assert_int_equal(a->ref_version, 3);
  assert_int_equal(a->values, 2);
  assert_true(a->value[0].value == 12.5);
}

static void bad_reports_are_refused(void **state) {
  struct small_run *s = *state;
  char name[60];
  memset(name, 'x', sizeof name);
  name[41] = '\0';
  struct pmp_number value[17];
  for (int i = 0; i < 17; i++) value[i] = (struct pmp_number){"n", 1};
  struct pmp_request q = {.verb = PMP_VERB_REPORT, .u.report = {.value = value, .count = 17}};
  assert_int_equal(test_rpc_call(&s->actor_desk, &q), PMP_ETOOLARGE);
  value[0].name = name;
  q.u.report.count = 1;
  assert_int_equal(test_rpc_call(&s->actor_desk, &q), PMP_EINVALID);
  value[0].name = "";
  assert_int_equal(test_rpc_call(&s->actor_desk, &q), PMP_EINVALID);
}

static void metrics_follow_the_steps(void **state) {
  struct small_run *s = *state;
  uint64_t seq = 0;
  feed(s, &seq, 8);
  test_rpc_wait_number(&s->observer, "learner.steps", 20, 20000);
  struct pmp_request h = {.verb = PMP_VERB_HISTORY};
  bool known = false;
  for (int waited = 0; !known && waited < 5000; waited += 20) {
    assert_int_equal(test_rpc_call(&s->observer, &h), PMP_OK); /* without names: which there are */
    const struct pmp_history_reply *r = &s->observer.reply.u.history;
    for (uint32_t i = 0; i < r->count; i++) {
      known |= strcmp(r->series[i].name, "learner.loss") == 0;
      assert_int_equal(r->series[i].points, 0);
    }
    if (!known) test_sleep_ms(20);
  }
  assert_true(known);
  const char *const names[] = {"learner.loss"};
  h.u.history = (struct pmp_history){.name = names, .names = 1};
  assert_int_equal(test_rpc_call(&s->observer, &h), PMP_OK);
  const struct pmp_series *all = &s->observer.reply.u.history.series[0];
  assert_true(all->points >= 1);
  for (uint32_t i = 1; i < all->points; i++) assert_true(all->step[i] > all->step[i - 1]);
  const uint64_t last = all->step[all->points - 1];
  h.u.history.step_from = last;
  assert_int_equal(test_rpc_call(&s->observer, &h), PMP_OK);
  assert_true(s->observer.reply.u.history.series[0].points >= 1);
  assert_true(s->observer.reply.u.history.series[0].step[0] >= last);
  h.u.history = (struct pmp_history){.name = names, .names = 1, .points_max = 1};
  assert_int_equal(test_rpc_call(&s->observer, &h), PMP_OK);
  assert_true(s->observer.reply.u.history.series[0].points <= 2);
}

static void status_names_no_number_twice(void **state) {
  struct small_run *s = *state;
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  const struct pmp_status_reply *st = &s->observer.reply.u.status;
  for (uint32_t i = 0; i < st->numbers; i++) {
    assert_true(isfinite(st->number[i].value));
    for (uint32_t k = 0; k < i; k++) {
      if (strcmp(st->number[i].name, st->number[k].name) == 0)
        fail_msg("%s is there twice", st->number[i].name);
    }
  }
  assert_string_equal(test_rpc_text(&s->observer, "desk_url"), s->d.desk);
}

/* The event of this kind by this person, newest first; malloc'd detail, NULL when there is none. */
static char *event_detail(struct small_run *s, const char *kind, const char *who) {
  struct pmp_request q = {.verb = PMP_VERB_EVENTS, .u.events = {.after = UINT64_MAX, .count = 200}};
  assert_int_equal(test_rpc_call(&s->observer, &q), PMP_OK);
  const struct pmp_events_reply *e = &s->observer.reply.u.events;
  for (uint32_t i = 0; i < e->count; i++) {
    if (strcmp(e->event[i].kind, kind) == 0 && strcmp(e->event[i].who, who) == 0)
      return strdup(e->event[i].detail);
  }
  return NULL;
}

static void expect_event(struct small_run *s, const char *kind, const char *who, const char *a,
                         const char *b) {
  char *detail = NULL;
  for (int waited = 0; !detail && waited < 5000; waited += 10) {
    detail = event_detail(s, kind, who);
    if (!detail) test_sleep_ms(10);
  }
  if (!detail) fail_msg("no event %s by %s", kind, who);
  if (!strstr(detail, a) || !strstr(detail, b))
    fail_msg("event %s: %s lacks %s or %s", kind, detail, a, b);
  free(detail);
}

static void every_change_is_an_event(void **state) {
  struct small_run *s = *state;
  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_SET, "optim.lr", "0.002"), PMP_OK);
  assert_non_null(strstr(s->operator_.reply.u.control.detail, "0.01"));
  assert_non_null(strstr(s->operator_.reply.u.control.detail, "0.002"));
  expect_event(s, "setting", "local:boss", "0.01", "0.002");
  test_rpc_wait_number(&s->observer, "learner.lr", 0.0019, 5000);
  for (int waited = 0; waited < 5000;
       waited += 10) { /* it was higher before: wait for it to fall */
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    if (test_rpc_number(&s->observer, "learner.lr") < 0.0021) break;
    test_sleep_ms(10);
  }
  assert_true(fabs(test_rpc_number(&s->observer, "learner.lr") - 0.002) < 1e-6);

  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_PAUSE, "", ""), PMP_OK);
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  assert_string_equal(test_rpc_text(&s->observer, "state"), "paused");
  expect_event(s, "pause", "local:boss", "step", "");
  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_RESUME, "", ""), PMP_OK);
  expect_event(s, "resume", "local:boss", "step", "");
  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_CHECKPOINT, "", ""), PMP_OK);
  assert_non_null(strstr(s->operator_.reply.u.control.detail, "step"));
  expect_event(s, "checkpoint", "local:boss", "step", "");
  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_REFRESH, "", ""), PMP_OK);
  expect_event(s, "setting", "local:boss", "", "");
  expect_event(s, "start", "daemon", "", "");
}

static void what_may_not_change_is_told(void **state) {
  struct small_run *s = *state;
  static const struct {
    const char *key, *value, *say;
  } bad[] = {{"learner.batch", "32", "cannot change"},
             {"optim.lr", "-1", "range"},
             {"optim.lr", "nan", "number"},
             {"optim.lr", "fast", "number"},
             {"optim.lr", "", "number"},
             {"optim.lrr", "1", "optim.lr"},
             {"objective.beta", "auto", "switch"},
             {"objective.beta_mean", "1", "switch"},
             {"critic.lr", "0.1", "critic"},
             {"@refresh", "", "no key"},
             {"", "", "key"},
             {"learner.refresh_period", "1.5", "whole"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    const enum pmp_err err =
        test_rpc_control(&s->operator_, PMP_CONTROL_SET, bad[i].key, bad[i].value);
    if (err != PMP_EINVALID) fail_msg("%s=%s: %s", bad[i].key, bad[i].value, pmp_err_name(err));
    if (!strstr(s->operator_.reply.message, bad[i].say)) {
      fail_msg("%s=%s: \"%s\" does not say %s", bad[i].key, bad[i].value,
               s->operator_.reply.message, bad[i].say);
    }
  }
  char key[200];
  memset(key, 'k', sizeof key);
  key[199] = '\0';
  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_SET, key, "1"), PMP_EINVALID);
  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_SET, "optim.lr", key), PMP_EINVALID);
  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_NONE, "", ""), PMP_EINVALID);
}

/* The ratio may go up and down while the run goes on. */
static void the_ratio_can_be_changed_live(void **state) {
  struct small_run *s = *state;
  assert_int_equal(
      test_rpc_control(&s->operator_, PMP_CONTROL_SET, "learner.samples_per_insert", "20"), PMP_OK);
  for (int waited = 0;; waited += 10) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    if (test_rpc_number(&s->observer, "limiter.samples_per_insert") == 20) break;
    assert_true(waited < 5000);
    test_sleep_ms(10);
  }
  const double steps = test_rpc_number(&s->observer, "learner.steps");
  struct test_rpc r;
  test_rpc_open(&r, s->d.data);
  assert_int_equal(test_rpc_hello(&r, PMP_ROLE_ACTOR, "second", 1), PMP_OK);
  for (uint64_t seq = 1; seq <= 8; seq++) { /* 512 rows, 20 times each, 16 a step */
    struct test_outcomes o;
    test_outcomes_draw(&o, 900 + seq, 64);
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    assert_int_equal(test_rpc_append_wait(&r, seq, &c, NULL, 0, 10000), PMP_OK);
  }
  test_rpc_wait_number(&s->observer, "learner.steps", steps + 600, 20000);
  assert_int_equal(
      test_rpc_control(&s->operator_, PMP_CONTROL_SET, "learner.samples_per_insert", "1"), PMP_OK);
  for (uint64_t seq = 9; seq <= 12; seq++) {
    struct test_outcomes o;
    test_outcomes_draw(&o, 900 + seq, 64);
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    assert_int_equal(test_rpc_append_wait(&r, seq, &c, NULL, 0, 10000), PMP_OK);
  }
  for (int waited = 0;; waited += 10) { /* nothing stays reserved for rows that have come */
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    if (test_rpc_number(&s->observer, "limiter.reserved") == 0) break;
    if (waited > 5000)
      fail_msg("%g stay reserved", test_rpc_number(&s->observer, "limiter.reserved"));
    test_sleep_ms(10);
  }
  test_rpc_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reports_are_in_the_history_once),
      cmocka_unit_test(bad_reports_are_refused),
      cmocka_unit_test(metrics_follow_the_steps),
      cmocka_unit_test(status_names_no_number_twice),
      cmocka_unit_test(every_change_is_an_event),
      cmocka_unit_test(what_may_not_change_is_told),
      cmocka_unit_test(the_ratio_can_be_changed_live),
  };
  return cmocka_run_group_tests(tests, small_run_group_setup, small_run_group_teardown);
}
