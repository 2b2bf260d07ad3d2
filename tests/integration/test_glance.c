/* What a look at a run shows: returns of the task and of each actor, evaluations, progress, rates,
 * shares of time and of labels, warnings. */
#include "tests/support/small_run.h"

#include <math.h>

static enum pmp_err report(struct test_rpc *r, const struct pmp_number *v, uint32_t count,
                           uint64_t env_steps) {
  struct pmp_request q = {
      .verb = PMP_VERB_REPORT,
      .u.report = {.value = v, .count = count, .env_steps = env_steps, .ref_version = 3}};
  return test_rpc_call(r, &q);
}

static void episode(struct test_rpc *r, double ret) {
  const struct pmp_number v[] = {{"return", ret}, {"length", 1000}};
  assert_int_equal(report(r, v, 2, 10), PMP_OK);
}

static void look(struct small_run *s) {
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
}

/* NAN: it is not there. */
static double number(const struct small_run *s, const char *name) {
  const struct pmp_status_reply *st = &s->observer.reply.u.status;
  for (uint32_t i = 0; i < st->numbers; i++)
    if (strcmp(st->number[i].name, name) == 0) return st->number[i].value;
  return NAN;
}

static double of_actor(const struct small_run *s, const char *actor, const char *name) {
  const struct pmp_status_reply *st = &s->observer.reply.u.status;
  for (uint32_t i = 0; i < st->actors; i++) {
    if (strcmp(st->actor[i].name, actor) != 0) continue;
    for (uint32_t k = 0; k < st->actor[i].numbers; k++)
      if (strcmp(st->actor[i].number[k].name, name) == 0) return st->actor[i].number[k].value;
  }
  return NAN;
}

static void returns_are_kept_by_task_and_actor(void **state) {
  struct small_run *s = *state;
  struct test_rpc other, eval;
  look(s);
  assert_true(isnan(number(s, "return.last")));
  assert_true(isnan(number(s, "eval.return")));
  for (int i = 1; i <= 12; i++) episode(&s->actor_desk, i);
  test_rpc_open(&other, s->d.desk);
  assert_int_equal(test_rpc_hello(&other, PMP_ROLE_ACTOR, "a2", 5), PMP_OK);
  episode(&other, 100);
  test_rpc_open(&eval, s->d.desk);
  assert_int_equal(test_rpc_hello(&eval, PMP_ROLE_ACTOR, "judge", 6), PMP_OK);
  const struct pmp_number v[] = {{"eval_return", 50}, {"eval_episodes", 10}};
  assert_int_equal(report(&eval, v, 2, 4000), PMP_OK);
  look(s);
  struct test_rpc *o = &s->observer;
  assert_true(number(s, "return.last") == 100);
  assert_true(number(s, "return.mean") == (4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 100) / 10.0);
  assert_true(number(s, "return.episodes") == 13);
  assert_true(of_actor(s, "a1", "return_mean") == 7.5); /* 3 to 12 */
  assert_true(of_actor(s, "a1", "return_mean_of") == 10);
  assert_true(of_actor(s, "a1", "return_last") == 12);
  assert_true(of_actor(s, "a1", "episodes") == 12);
  assert_true(of_actor(s, "a2", "return_mean") == 100);
  assert_true(isnan(of_actor(s, "a2", "eval_last")));
  assert_true(of_actor(s, "judge", "eval_last") == 50);
  assert_true(isnan(of_actor(s, "judge", "episodes")));
  assert_true(number(s, "eval.return") == 50 && number(s, "eval.episodes") == 10);
  assert_true(number(s, "eval.env_steps") == 4000 && number(s, "eval.version") == 3);
  assert_true(number(s, "eval.age_s") >= 0);
  assert_true(number(s, "actors.sessions") == 3 && number(s, "actors.active") == 3);

  /* Another process under the same name goes on with the tally, and is one actor. */
  struct test_rpc again;
  test_rpc_open(&again, s->d.desk);
  assert_int_equal(test_rpc_hello(&again, PMP_ROLE_ACTOR, "a2", 7), PMP_OK);
  episode(&again, 50);
  look(s);
  assert_int_equal(o->reply.u.status.actors, 3);
  assert_true(of_actor(s, "a2", "episodes") == 2 && of_actor(s, "a2", "return_mean") == 75);
  test_rpc_close(&again);
  test_rpc_close(&other);
  test_rpc_close(&eval);
}

static void append_all(struct small_run *s, uint64_t chunks) {
  for (uint64_t seq = 1; seq <= chunks; seq++) {
    struct test_outcomes o;
    test_outcomes_draw(&o, 40 + seq, 64);
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    const enum pmp_err err = test_rpc_append_wait(&s->actor, seq, &c, NULL, 0, 10000);
    if (err == PMP_EUNAVAILABLE) return; /* complete */
    assert_int_equal(err, PMP_OK);
  }
}

/* Waits until the number is there. */
static double wait_for(struct small_run *s, const char *name) {
  for (int waited = 0; waited < 20000; waited += 20) {
    look(s);
    const double v = number(s, name);
    if (!isnan(v)) return v;
    test_sleep_ms(20);
  }
  fail_msg("%s does not come", name);
  return NAN;
}

static void shares_and_progress(void **state) {
  struct small_run *s = *state;
  struct test_rpc *o = &s->observer;
  append_all(s, 3); /* 192 rows, 32 of them free: ten steps of 16 of the forty */
  test_rpc_wait_number(o, "learner.steps", 10, 20000);
  wait_for(s, "learner.wait_share"); /* after a second or so */
  const double wait = number(s, "learner.wait_share"),
               products = number(s, "learner.product_share"),
               rest = number(s, "learner.rest_share");
  assert_true(wait >= 0 && products >= 0 && rest >= 0);
  assert_true(fabs(wait + products + rest - 1) < 1e-9);
  assert_true(number(s, "learner.run_s") >= number(s, "learner.wait_s"));
  assert_true(number(s, "run.max_steps") == 40);
  assert_true(number(s, "run.progress") == number(s, "learner.steps") / 40);
  assert_true(number(s, "limiter.achieved") >= 1); /* the tolerance may let it run ahead */
  wait_for(s, "labels.accepted_share");
  const double labels = number(s, "labels.accepted_share") + number(s, "labels.rejected_share") +
                        number(s, "labels.unlabelled_share");
  assert_true(fabs(labels - 1) < 1e-12);
  assert_true(number(s, "learner.steps_per_s") >= 0);
  assert_true(number(s, "env.steps_per_s") >= 0);
}

static void warnings_come_and_are_counted(void **state) {
  struct small_run *s = *state;
  look(s);
  assert_string_equal(test_rpc_text(&s->observer, "warnings"), "");
  assert_true(number(s, "run.warnings") == 0);
  const struct pmp_number nameless = {"", 1};
  assert_int_equal(report(&s->actor_desk, &nameless, 1, 0), PMP_EINVALID);
  const struct pmp_number v[] = {{"return", 3}, {"diverged", 1}};
  assert_int_equal(report(&s->actor_desk, v, 2, 0), PMP_OK);
  look(s);
  assert_true(number(s, "run.warnings") == 2);
  assert_non_null(strstr(test_rpc_text(&s->observer, "warnings"), "1 requests"));
  assert_non_null(strstr(test_rpc_text(&s->observer, "warnings"), "diverged"));
}

static int setup(void **state) {
  struct small_run *s = test_malloc(sizeof *s);
  *state = s;
  small_run_init(s);
  test_pmpod_set(&s->d, "run.max_steps=40");
  test_pmpod_set(&s->d, "limits.chunk_rows=64");
  small_run_start(s);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(returns_are_kept_by_task_and_actor),
      cmocka_unit_test(shares_and_progress),
      cmocka_unit_test(warnings_come_and_are_counted),
  };
  return cmocka_run_group_tests(tests, setup, small_run_group_teardown);
}
