/* Rows that brought labels of their own into a run that people judge: they are not open, what
 * people say of them changes nothing. */
#include "tests/support/small_run.h"

static enum pmp_err judge(struct test_rpc *r, const char *request, uint64_t chunk, uint32_t row,
                          uint32_t rows, enum pmp_judgement judgement) {
  const struct pmp_verdict v = {.request_id = request,
                                .note = "",
                                .chunk = chunk,
                                .row = row,
                                .rows = rows,
                                .judgement = judgement,
                                .confidence = 1};
  struct pmp_request q = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {&v, 1}};
  assert_int_equal(test_rpc_call(r, &q), PMP_OK);
  assert_int_equal(r->reply.u.verdicts.count, 1);
  return r->reply.u.verdicts.result[0].code;
}

static void expect_labels(struct small_run *s, int accepted, int rejected) {
  int a = -1, b = -1;
  for (int waited = 0; waited < 10000; waited += 10) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    a = (int)test_rpc_number(&s->observer, "replay.accepted");
    b = (int)test_rpc_number(&s->observer, "replay.rejected");
    if (a == accepted && b == rejected) break;
    test_sleep_ms(10);
  }
  if (a != accepted || b != rejected)
    fail_msg("%d accepted and %d rejected, not %d and %d", a, b, accepted, rejected);
  assert_int_equal((int)test_rpc_number(&s->observer, "replay.trainable"), accepted + rejected);
}

/* Entries up to the store's last have been taken: what has not changed now will not. */
static void settle(struct small_run *s) {
  for (int waited = 0; waited < 10000; waited += 10) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    if (test_rpc_number(&s->observer, "learner.commit") ==
        test_rpc_number(&s->observer, "store.last_commit"))
      return;
    test_sleep_ms(10);
  }
  fail_msg("the learner does not take the entries");
}

/* Chunk 1: eight rows that all have labels. Chunk 2: three accepted, two rejected, three open. */
static void append_both(struct small_run *s) {
  static const int8_t all[8] = {1, 1, -1, 1, 1, -1, 1, 1}, some[8] = {1, 0, -1, 1, 0, 0, -1, 1};
  for (uint64_t seq = 1; seq <= 2; seq++) {
    struct test_outcomes o;
    test_outcomes_draw(&o, seq, 8);
    memcpy(o.verdict, seq == 1 ? all : some, sizeof all);
    const struct pmp_chunk c = test_outcomes_chunk(&o, false, true);
    assert_int_equal(test_rpc_append_wait(&s->actor, seq, &c, NULL, 0, 5000), PMP_OK);
    assert_int_equal(s->actor.reply.u.append.chunk, seq);
  }
}

static void verdicts_leave_own_labels_alone(void **state) {
  (void)state;
  struct small_run s;
  struct test_rpc ann;
  small_run_init(&s);
  test_pmpod_set(&s.d, "label.judge=people");
  test_pmpod_set(&s.d, "learner.min_size=4096"); /* nothing trains */
  test_pmpod_set(&s.d, "checkpoint.period_s=0");
  small_run_start(&s);
  append_both(&s);
  expect_labels(&s, 6 + 3, 2 + 2);
  assert_int_equal((int)test_rpc_number(&s.observer, "store.open_items"), 3);
  test_rpc_open(&ann, s.d.desk);
  assert_int_equal(test_rpc_hello(&ann, PMP_ROLE_LABELER, "ann", 0), PMP_OK);

  /* All rows of the chunk have their own: refused, with the reason. */
  assert_int_equal(judge(&ann, "r1", 1, 0, 1, PMP_REJECT), PMP_ECONFLICT);
  assert_non_null(strstr(ann.reply.u.verdicts.result[0].message, "labels of their own"));
  assert_int_equal(judge(&ann, "r2", 1, 0, 8, PMP_REJECT), PMP_ECONFLICT);
  settle(&s);
  expect_labels(&s, 9, 4);

  /* A row with its own among open ones: kept, and without effect. It pays for no training either.
   */
  const double debt = test_rpc_number(&s.observer, "limiter.debt");
  assert_int_equal(judge(&ann, "r3", 2, 0, 1, PMP_REJECT), PMP_OK);
  assert_int_equal(judge(&ann, "r4", 2, 2, 2, PMP_ACCEPT), PMP_OK);
  settle(&s);
  expect_labels(&s, 9, 4);
  assert_true(test_rpc_number(&s.observer, "limiter.debt") == debt);

  /* The whole chunk: only the three open rows are judged by it. */
  assert_int_equal(judge(&ann, "r5", 2, 0, 8, PMP_REJECT), PMP_OK);
  expect_labels(&s, 9, 4 + 3);
  assert_true(test_rpc_number(&s.observer, "limiter.debt") == debt + 32);
  assert_int_equal(judge(&ann, "r6", 2, 0, 8, PMP_WITHDRAW), PMP_OK);
  expect_labels(&s, 9, 4);
  assert_int_equal(judge(&ann, "r7", 2, 0, 8, PMP_ACCEPT), PMP_OK);
  expect_labels(&s, 9 + 3, 4);

  /* The same after all of it is read from the store again. */
  for (int killed = 0; killed < 2; killed++) {
    small_run_disconnect(&s);
    test_rpc_close(&ann);
    if (killed) {
      test_pmpod_kill(&s.d);
    } else {
      test_pmpod_stop(&s.d);
    }
    test_pmpod_start(&s.d);
    small_run_connect(&s, 1);
    expect_labels(&s, 12, 4);
    test_rpc_open(&ann, s.d.desk);
    assert_int_equal(test_rpc_hello(&ann, PMP_ROLE_LABELER, "ann", 0), PMP_OK);
  }
  test_rpc_close(&ann);
  small_run_fini(&s);
}

/* Where nobody but the actor judges, people are told so. */
static void a_run_judged_by_actors_takes_no_verdicts(void **state) {
  (void)state;
  struct small_run s;
  struct test_rpc ann;
  small_run_init(&s);
  small_run_start(&s);
  append_both(&s);
  test_rpc_open(&ann, s.d.desk);
  assert_int_equal(test_rpc_hello(&ann, PMP_ROLE_LABELER, "ann", 0), PMP_OK);
  const struct pmp_verdict v = {
      .request_id = "r", .note = "", .chunk = 2, .row = 1, .rows = 1, .judgement = PMP_ACCEPT};
  struct pmp_request q = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {&v, 1}};
  assert_int_equal(test_rpc_call(&ann, &q), PMP_EUNAVAILABLE);
  assert_non_null(strstr(ann.reply.message, "label.judge"));
  settle(&s);
  assert_int_equal((int)test_rpc_number(&s.observer, "store.last_commit"), 2);
  test_rpc_close(&ann);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(verdicts_leave_own_labels_alone),
      cmocka_unit_test(a_run_judged_by_actors_takes_no_verdicts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
