/* Judged by people: rows without a label wait, a verdict makes them trainable, and all of it
 * outlives the daemon. */
#include "tests/support/small_run.h"

static void people_init(struct small_run *s) {
  small_run_init(s);
  test_pmpod_set(&s->d, "label.judge=people");
  test_pmpod_set(&s->d, "limits.open_items=100");
  test_pmpod_set(&s->d, "learner.min_size=16");
}

struct say {
  const char *request;
  uint64_t chunk;
  uint32_t row, rows;
  enum pmp_judgement judgement;
  float confidence;
};

static const struct pmp_verdict_result *judge(struct test_rpc *r, const struct say *say,
                                              uint32_t count) {
  struct pmp_verdict v[16];
  assert_true(count <= 16);
  for (uint32_t i = 0; i < count; i++) {
    v[i] = (struct pmp_verdict){.request_id = say[i].request,
                                .note = "",
                                .chunk = say[i].chunk,
                                .row = say[i].row,
                                .rows = say[i].rows,
                                .judgement = say[i].judgement,
                                .confidence = say[i].confidence};
  }
  struct pmp_request q = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {v, count}};
  assert_int_equal(test_rpc_call(r, &q), PMP_OK);
  assert_int_equal(r->reply.u.verdicts.count, count);
  return r->reply.u.verdicts.result;
}

static uint64_t append_unlabelled(struct small_run *s, uint64_t seq, uint32_t rows) {
  struct test_outcomes o;
  test_outcomes_draw(&o, 40 + seq, rows);
  const struct pmp_chunk c = test_outcomes_chunk(&o, false, false);
  assert_int_equal(test_rpc_append_wait(&s->actor, seq, &c, NULL, 0, 5000), PMP_OK);
  return s->actor.reply.u.append.chunk;
}

static void judged_rows_become_trainable(void **state) {
  (void)state;
  struct small_run s;
  people_init(&s);
  test_pmpod_set(&s.d, "desk.labels_wanted=2");
  small_run_start(&s);
  struct test_rpc ann, bob;
  test_rpc_open(&ann, s.d.desk);
  test_rpc_open(&bob, s.d.desk);
  assert_int_equal(test_rpc_hello(&ann, PMP_ROLE_LABELER, "ann", 0), PMP_OK);
  assert_int_equal(test_rpc_hello(&bob, PMP_ROLE_LABELER, "bob", 0), PMP_OK);
  const uint64_t chunk = append_unlabelled(&s, 1, 24);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "store.open_items"), 24);
  assert_int_equal((int)test_rpc_number(&s.observer, "replay.trainable"), 0);

  const struct say first[] = {
      {"r1", chunk, 0, 8, PMP_ACCEPT, 1},     {"r2", chunk, 8, 8, PMP_REJECT, 0.5f},
      {"r3", chunk, 16, 1, PMP_SKIP, 1},      {"r4", chunk, 24, 1, PMP_ACCEPT, 1},
      {"r5", chunk + 7, 0, 1, PMP_ACCEPT, 1}, {"r6", chunk, 20, 9, PMP_ACCEPT, 1}};
  const struct pmp_verdict_result *r = judge(&ann, first, 6);
  assert_int_equal(r[0].code, PMP_OK);
  assert_int_equal(r[1].code, PMP_OK);
  assert_int_equal(r[2].code, PMP_OK);
  assert_int_not_equal(r[3].code, PMP_OK); /* no such row */
  assert_int_not_equal(r[4].code, PMP_OK); /* no such chunk */
  assert_int_not_equal(r[5].code, PMP_OK); /* beyond its end */
  test_rpc_wait_number(&s.observer, "replay.trainable", 16, 5000);
  assert_int_equal((int)test_rpc_number(&s.observer, "replay.accepted"), 8);
  assert_int_equal((int)test_rpc_number(&s.observer, "replay.rejected"), 8);
  assert_true(test_rpc_number(&s.observer, "store.open_items") <= 8);

  r = judge(&ann, first, 1); /* the reply was lost */
  assert_int_equal(r[0].code, PMP_OK);
  assert_true(r[0].duplicate);
  struct say altered = first[0];
  altered.judgement = PMP_REJECT;
  r = judge(&ann, &altered, 1); /* the same request with other content */
  assert_int_equal(r[0].code, PMP_ECONFLICT);
  const struct say again = {"r7", chunk, 0, 8, PMP_REJECT, 1};
  r = judge(&ann, &again, 1);
  assert_int_equal(r[0].code, PMP_OK);
  assert_true(r[0].replaced);
  const struct say by_bob = {"r1", chunk, 0, 8, PMP_ACCEPT, 1}; /* another person's r1 */
  r = judge(&bob, &by_bob, 1);
  assert_int_equal(r[0].code, PMP_OK);
  assert_false(r[0].duplicate);
  for (int waited = 0;; waited += 10) { /* reject + accept: not trainable any more */
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    if (test_rpc_number(&s.observer, "replay.trainable") == 8) break;
    if (waited > 5000)
      fail_msg("%g rows trainable, not 8", test_rpc_number(&s.observer, "replay.trainable"));
    test_sleep_ms(10);
  }
  const struct say back = {"r8", chunk, 0, 8, PMP_WITHDRAW, 1};
  r = judge(&ann, &back, 1);
  assert_int_equal(r[0].code, PMP_OK);
  test_rpc_wait_number(&s.observer, "replay.trainable", 16, 5000);
  assert_int_equal((int)test_rpc_number(&s.observer, "replay.accepted"), 8);
  test_rpc_wait_number(&s.observer, "learner.steps", 1,
                       5000); /* 16 rows, 32 for a verdict: it learns */

  /* All of it is there after a kill. */
  small_run_disconnect(&s);
  test_rpc_close(&ann);
  test_rpc_close(&bob);
  test_pmpod_kill(&s.d);
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  test_rpc_wait_number(&s.observer, "replay.trainable", 16, 10000);
  assert_int_equal((int)test_rpc_number(&s.observer, "replay.accepted"), 8);
  assert_int_equal((int)test_rpc_number(&s.observer, "replay.rejected"), 8);
  small_run_fini(&s);
}

static void open_items_are_bounded(void **state) {
  (void)state;
  struct small_run s;
  people_init(&s);
  small_run_start(&s);
  append_unlabelled(&s, 1, 64);
  append_unlabelled(&s, 2, 36);
  struct test_outcomes o;
  test_outcomes_draw(&o, 77, 4);
  const struct pmp_chunk bare = test_outcomes_chunk(&o, false, false),
                         judged = test_outcomes_chunk(&o, false, true);
  assert_int_equal(test_rpc_append(&s.actor, 3, &bare, NULL, 0), PMP_EBUSY);
  assert_true(s.actor.reply.retry_after_ms > 0);
  assert_int_equal(test_rpc_append(&s.actor, 3, &judged, NULL, 0),
                   PMP_OK); /* nobody has to judge these */
  struct test_rpc ann;
  test_rpc_open(&ann, s.d.desk);
  assert_int_equal(test_rpc_hello(&ann, PMP_ROLE_LABELER, "ann", 0), PMP_OK);
  const struct say four = {"x", 1, 0, 4, PMP_ACCEPT, 1};
  assert_int_equal(judge(&ann, &four, 1)[0].code, PMP_OK);
  assert_int_equal(test_rpc_append(&s.actor, 4, &bare, NULL, 0), PMP_OK);
  test_rpc_close(&ann);
  small_run_fini(&s);
}

static void bad_verdicts_are_told_why(void **state) {
  (void)state;
  struct small_run s;
  people_init(&s);
  small_run_start(&s);
  append_unlabelled(&s, 1, 8);
  struct test_rpc ann;
  test_rpc_open(&ann, s.d.desk);
  assert_int_equal(test_rpc_hello(&ann, PMP_ROLE_LABELER, "ann", 0), PMP_OK);
  char name[80];
  memset(name, 'r', sizeof name);
  name[70] = '\0';
  const struct say bad[] = {{"", 1, 0, 1, PMP_ACCEPT, 1},
                            {name, 1, 0, 1, PMP_ACCEPT, 1},
                            {"w", 1, 0, 1, PMP_WITHDRAW, 1}};
  const struct pmp_verdict_result *r = judge(&ann, bad, 3);
  assert_int_equal(r[0].code, PMP_EINVALID);
  assert_int_equal(r[1].code, PMP_EINVALID);
  assert_int_not_equal(r[2].code, PMP_OK); /* nothing to withdraw */
  for (int i = 0; i < 3; i++) assert_true(strlen(r[i].message) > 5);
  struct pmp_request q = {.verb = PMP_VERB_VERDICTS};
  assert_int_equal(test_rpc_call(&ann, &q), PMP_EINVALID); /* none at all */
  test_rpc_close(&ann);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(judged_rows_become_trainable),
      cmocka_unit_test(open_items_are_bounded),
      cmocka_unit_test(bad_verdicts_are_told_why),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
