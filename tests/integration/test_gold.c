/* Gold: an operator says what the truth of an item is; people get such items among the others and
 * cannot tell; what they say of them measures them, trains nothing, and outlives the daemon. */
#include "tests/support/small_run.h"

#define ROWS 80 /* of the open chunk */
#define GOLD 40 /* rows of the gold one, all of it: even ones are accepts */

static void people_init(struct small_run *s) {
  small_run_init(s);
  test_pmpod_set(&s->d, "label.judge=people");
  test_pmpod_set(&s->d, "learner.min_size=16");
  test_pmpod_set(&s->d, "desk.gold_share=0.3");
}

static void person(struct small_run *s, struct test_rpc *r, const char *name) {
  test_rpc_open(r, s->d.desk);
  assert_int_equal(test_rpc_hello(r, PMP_ROLE_LABELER, name, 0), PMP_OK);
}

static uint64_t append(struct small_run *s, uint64_t seq, uint32_t rows) {
  struct test_outcomes o;
  test_outcomes_draw(&o, 40 + seq, rows);
  const struct pmp_chunk c = test_outcomes_chunk(&o, false, false);
  const enum pmp_err err = test_rpc_append_wait(&s->actor, seq, &c, NULL, 0, 5000);
  if (err != PMP_OK) fail_msg("append: %s: %s", pmp_err_name(err), s->actor.reply.message);
  return s->actor.reply.u.append.chunk;
}

static enum pmp_err gold(struct small_run *s, uint64_t chunk, uint32_t row, const char *truth) {
  char item[32];
  snprintf(item, sizeof item, "%llu:%u", (unsigned long long)chunk, row);
  return test_rpc_control(&s->operator_, PMP_CONTROL_GOLD, item, truth);
}

static struct pmp_verdict_result say(struct test_rpc *r, const char *request,
                                     struct pmp_item_ref item, enum pmp_judgement judgement) {
  const struct pmp_verdict v = {.request_id = request,
                                .note = "",
                                .chunk = item.chunk,
                                .row = item.row,
                                .rows = item.rows,
                                .judgement = judgement,
                                .confidence = 1};
  struct pmp_request q = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {&v, 1}};
  assert_int_equal(test_rpc_call(r, &q), PMP_OK);
  assert_int_equal(r->reply.u.verdicts.count, 1);
  return r->reply.u.verdicts.result[0];
}

static const struct pmp_review_reply *review(struct small_run *s, enum pmp_subject subject) {
  struct pmp_request q = {.verb = PMP_VERB_REVIEW, .u.review = {.subject = subject, .who = ""}};
  assert_int_equal(test_rpc_call(&s->observer, &q), PMP_OK);
  return &s->observer.reply.u.review;
}

struct judged { /* by one person */
  uint32_t gold, right, others;
  bool seen[2][ROWS];
};

/* Judges so many one by one: gold rightly, but for every fourth row of it. */
static void judge(struct test_rpc *r, const char *name, uint64_t gold_chunk, int count,
                  struct judged *j) {
  for (int i = 0; i < count; i++) {
    struct pmp_request q = {.verb = PMP_VERB_LEASE, .u.lease = {.count = 1, .order = ""}};
    assert_int_equal(test_rpc_call(r, &q), PMP_OK);
    const struct pmp_lease_reply *l = &r->reply.u.lease;
    assert_int_equal(l->items, 1);
    const struct pmp_item_ref item = l->item[0].item;
    const bool is_gold = item.chunk == gold_chunk;
    assert_int_equal(l->item[0].labels, 0);
    assert_true(l->item[0].score == 0);
    assert_false(j->seen[is_gold][item.row]);
    j->seen[is_gold][item.row] = true;
    const bool wrong = is_gold && item.row % 4 == 0;
    char request[64];
    snprintf(request, sizeof request, "%s-%llu-%u", name, (unsigned long long)item.chunk, item.row);
    const struct pmp_verdict_result v =
        say(r, request, item, (item.row % 2 == 0) != wrong ? PMP_ACCEPT : PMP_REJECT);
    assert_int_equal(v.code, PMP_OK);
    assert_false(v.surplus); /* nobody who labels is told */
    j->gold += is_gold;
    j->right += is_gold && !wrong;
    j->others += !is_gold;
  }
}

static const struct pmp_labeler_record *record(const struct pmp_review_reply *r, const char *who) {
  for (uint32_t i = 0; i < r->labelers; i++)
    if (strcmp(r->labeler[i].who, who) == 0) return &r->labeler[i];
  fail_msg("no labeler %s", who);
  return NULL;
}

static void assert_record(struct small_run *s, const char *who, const struct judged *j) {
  const struct pmp_labeler_record *l = record(review(s, PMP_SUBJECT_LABELERS), who);
  assert_int_equal(l->gold, j->gold);
  assert_int_equal(l->gold_right, j->right);
  assert_int_equal(l->surplus, j->gold);
  assert_int_equal(l->accepts + l->rejects, j->others);
}

static void people_are_measured(void **state) {
  (void)state;
  struct small_run s;
  people_init(&s);
  small_run_start(&s);
  const uint64_t truth = append(&s, 1, GOLD), open = append(&s, 2, ROWS);
  for (uint32_t row = 0; row < GOLD; row++)
    assert_int_equal(gold(&s, truth, row, row % 2 == 0 ? "accept" : "reject"), PMP_OK);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.gold"), GOLD);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.open"), ROWS);
  assert_int_equal(review(&s, PMP_SUBJECT_ITEMS)->items, ROWS);
  for (uint32_t i = 0; i < ROWS; i++)
    assert_int_equal(s.observer.reply.u.review.item[i].item.chunk, open);

  struct test_rpc ann, bob;
  struct judged by_ann = {0}, by_bob = {0};
  person(&s, &ann, "ann");
  person(&s, &bob, "bob");
  judge(&ann, "ann", truth, 50, &by_ann);
  assert_true(by_ann.gold >= 13 && by_ann.gold <= 17);
  judge(&bob, "bob", truth, 20, &by_bob);
  assert_true(by_bob.gold >= 4 && by_bob.gold <= 8);
  assert_record(&s, "local:ann", &by_ann);
  assert_record(&s, "local:bob", &by_bob);
  test_rpc_wait_number(&s.observer, "replay.trainable", by_ann.others + by_bob.others, 5000);
  assert_int_equal((int)test_rpc_number(&s.observer, "replay.trainable"),
                   by_ann.others + by_bob.others);

  small_run_disconnect(&s);
  test_rpc_close(&ann);
  test_rpc_close(&bob);
  test_pmpod_kill(&s.d);
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  const struct pmp_review_reply *r = review(&s, PMP_SUBJECT_GOLD);
  assert_int_equal(r->verdicts, GOLD);
  for (uint32_t i = 0; i < GOLD; i++) {
    assert_int_equal(r->verdict[i].item.row, i);
    assert_int_equal(r->verdict[i].judgement, i % 2 == 0 ? PMP_ACCEPT : PMP_REJECT);
    assert_string_equal(r->verdict[i].who, "local:boss");
  }
  assert_record(&s, "local:ann", &by_ann);
  person(&s, &ann, "ann");
  judge(&ann, "ann", truth, 20, &by_ann); /* nothing twice */
  assert_record(&s, "local:ann", &by_ann);
  assert_true(by_ann.gold >= 17);
  test_rpc_close(&ann);
  small_run_fini(&s);
}

static void what_is_gold_is_an_item_and_an_operators_to_say(void **state) {
  (void)state;
  struct small_run s;
  people_init(&s);
  small_run_start(&s);
  const uint64_t chunk = append(&s, 1, 8);
  struct test_rpc *op = &s.operator_;
  assert_int_equal(test_rpc_control(&s.observer, PMP_CONTROL_GOLD, "1:0", "accept"),
                   PMP_EFORBIDDEN);
  assert_int_equal(test_rpc_control(op, PMP_CONTROL_GOLD, "1:0+2", "accept"), PMP_EINVALID);
  assert_non_null(strstr(op->reply.message, "none of its chunk's items"));
  assert_int_equal(test_rpc_control(op, PMP_CONTROL_GOLD, "77:0", "accept"), PMP_ENOTFOUND);
  assert_int_equal(test_rpc_control(op, PMP_CONTROL_GOLD, "1:8", "accept"), PMP_EINVALID);
  assert_int_equal(test_rpc_control(op, PMP_CONTROL_GOLD, "1;8", "accept"), PMP_EINVALID);
  assert_int_equal(test_rpc_control(op, PMP_CONTROL_GOLD, "1:0", "maybe"), PMP_EINVALID);
  assert_int_equal(test_rpc_control(op, PMP_CONTROL_GOLD, "1:0", "none"), PMP_ENOTFOUND);
  assert_int_equal(test_rpc_control(op, PMP_CONTROL_GOLD, "", "none"), PMP_EINVALID);

  /* One that ann has judged already is not given to ann, and opens again without truth. */
  struct test_rpc ann;
  person(&s, &ann, "ann");
  const struct pmp_item_ref first = {chunk, 0, 1}, second = {chunk, 1, 1};
  assert_int_equal(say(&ann, "a0", first, PMP_ACCEPT).code, PMP_OK);
  assert_int_equal(gold(&s, chunk, 0, "reject"), PMP_OK);
  assert_string_equal(op->reply.u.control.detail,
                      "{\"item\":\"1:0\",\"judgement\":\"reject\",\"before\":\"none\"}");
  assert_int_equal(gold(&s, chunk, 1, "accept"), PMP_OK);
  struct test_rpc bob;
  person(&s, &bob, "bob");
  assert_int_equal(say(&bob, "b1", second, PMP_REJECT).code, PMP_OK);
  const struct pmp_review_reply *r = review(&s, PMP_SUBJECT_LABELERS);
  assert_int_equal(record(r, "local:ann")->gold, 1);
  assert_int_equal(record(r, "local:ann")->gold_right, 0);
  assert_int_equal(record(r, "local:bob")->gold, 1);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.open"), 6);
  assert_int_equal(gold(&s, chunk, 0, "none"), PMP_OK);
  assert_int_equal(gold(&s, chunk, 1, "none"), PMP_OK);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.open"), 7);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.gold"), 0);
  assert_int_equal(record(review(&s, PMP_SUBJECT_LABELERS), "local:ann")->gold, 0);
  test_rpc_close(&ann);
  test_rpc_close(&bob);
  small_run_fini(&s);

  small_run_init(&s); /* judged by its actors */
  small_run_start(&s);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_GOLD, "1:0", "accept"),
                   PMP_EUNAVAILABLE);
  small_run_fini(&s);
}

/* Retention deletes what nobody judged: its items wait no more, and new ones have their place. */
static void items_leave_with_their_chunk(void **state) {
  (void)state;
  struct small_run s;
  people_init(&s);
  test_pmpod_set(&s.d, "learner.capacity=500");
  test_pmpod_set(&s.d, "store.capacity_rows=1000");
  test_pmpod_set(&s.d, "checkpoint.period_s=1");
  small_run_start(&s);
  const uint64_t truth = append(&s, 1, 64);
  assert_int_equal(gold(&s, truth, 3, "accept"), PMP_OK);
  for (uint64_t seq = 2; seq <= 40; seq++) {
    append(&s, seq, 64);
    assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_CHECKPOINT, "", ""), PMP_OK);
  }
  double open = 0;
  for (int waited = 0; waited < 20000; waited += 100) {
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    open = test_rpc_number(&s.observer, "desk.open");
    if (open <= 1000) break;
    test_sleep_ms(100);
  }
  assert_true(open <= 1000);
  assert_true(test_rpc_number(&s.observer, "desk.dropped") >= 39 * 64 - 1000);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.gold"), 1);
  /* What is left is there to be shown. */
  struct test_rpc ann;
  person(&s, &ann, "ann");
  struct pmp_request q = {.verb = PMP_VERB_LEASE, .u.lease = {.count = 8, .order = "oldest"}};
  assert_int_equal(test_rpc_call(&ann, &q), PMP_OK);
  assert_int_equal(ann.reply.u.lease.items, 8);
  test_rpc_close(&ann);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(people_are_measured),
      cmocka_unit_test(what_is_gold_is_an_item_and_an_operators_to_say),
      cmocka_unit_test(items_leave_with_their_chunk),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
