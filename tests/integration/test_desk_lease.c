/* Leases: what a person is shown, that nobody is asked twice, that leases end with time and with
 * the daemon, and verdicts do not. */
#include "tests/support/small_run.h"

#include <math.h>

static void desk_init(struct small_run *s) {
  small_run_init(s);
  test_pmpod_set(&s->d, "label.judge=people");
  test_pmpod_set(&s->d, "learner.min_size=16");
}

static void person(struct small_run *s, struct test_rpc *r, const char *name) {
  test_rpc_open(r, s->d.desk);
  assert_int_equal(test_rpc_hello(r, PMP_ROLE_LABELER, name, 0), PMP_OK);
}

static const struct pmp_lease_reply *lease_code(struct test_rpc *r, const struct pmp_lease *l,
                                                enum pmp_err code) {
  struct pmp_request q = {.verb = PMP_VERB_LEASE, .u.lease = *l};
  if (!q.u.lease.order) q.u.lease.order = "";
  const enum pmp_err err = test_rpc_call(r, &q);
  if (err != code)
    fail_msg("lease: %s: %s", pmp_err_name(err), err == PMP_OK ? "" : r->reply.message);
  return &r->reply.u.lease;
}

static const struct pmp_lease_reply *lease(struct test_rpc *r, uint32_t count, const char *order) {
  const struct pmp_lease l = {.count = count, .order = order};
  return lease_code(r, &l, PMP_OK);
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

static enum pmp_err judge(struct test_rpc *r, const char *request, struct pmp_item_ref item,
                          enum pmp_judgement judgement) {
  const struct pmp_verdict_result v = say(r, request, item, judgement);
  return v.code;
}

/* 8 rows: an item of two with texts, one with a picture, one of three rows; row 7 is no item. */
static uint64_t append_items(struct small_run *s, uint64_t seq, struct test_outcomes *o) {
  static const unsigned char png[] = {0x89, 'P', 'N', 'G', 0, 1, 2};
  static const struct pmp_media texts[] = {{"prompt", "text/plain", "why?", 4},
                                           {"completion", "text/plain", "because \xc3\xa4", 10}},
                                picture[] = {{"clip", "image/png", png, sizeof png}};
  static const struct pmp_item item[] = {
      {0, 2, 0.5F, texts, 2}, {2, 1, 2.5F, picture, 1}, {4, 3, -1, NULL, 0}};
  test_outcomes_draw(o, 40 + seq, 8);
  struct pmp_chunk c = test_outcomes_chunk(o, false, false);
  c.item = item;
  c.items = 3;
  assert_int_equal(test_rpc_append_wait(&s->actor, seq, &c, NULL, 0, 5000), PMP_OK);
  return s->actor.reply.u.append.chunk;
}

static uint64_t append_rows(struct small_run *s, uint64_t seq, uint32_t rows) {
  struct test_outcomes o;
  test_outcomes_draw(&o, 40 + seq, rows);
  const struct pmp_chunk c = test_outcomes_chunk(&o, false, false);
  assert_int_equal(test_rpc_append_wait(&s->actor, seq, &c, NULL, 0, 5000), PMP_OK);
  return s->actor.reply.u.append.chunk;
}

static void what_a_person_is_shown(void **state) {
  (void)state;
  struct small_run s;
  desk_init(&s);
  test_pmpod_set(&s.d, "desk.render=color");
  small_run_start(&s);
  struct test_rpc ann;
  person(&s, &ann, "ann");
  assert_int_equal(lease(&ann, 4, "")->items, 0);
  struct test_outcomes o;
  const uint64_t chunk = append_items(&s, 1, &o);
  const struct pmp_lease_reply *r = lease(&ann, 4, "most_uncertain");
  assert_int_equal(r->items, 3);
  assert_int_equal(r->waiting, 0);
  assert_string_equal(r->render, "color");
  assert_int_equal(r->judged, 0);
  const struct pmp_leased_item *i = &r->item[0];
  assert_int_equal(i->item.chunk, chunk);
  assert_int_equal(i->item.row, 2);
  assert_true(i->score == 2.5F);
  assert_int_equal(i->medias, 1);
  assert_string_equal(i->media[0].type, "image/png");
  assert_int_equal(i->media[0].bytes, 7);
  assert_string_equal(i->actor, "a1");
  assert_true(i->lease_ms > 100000 && i->lease_ms <= 120000);
  i = &r->item[1];
  assert_int_equal(i->item.row, 0);
  assert_int_equal(i->item.rows, 2);
  assert_int_equal(i->medias, 2);
  assert_string_equal(i->media[1].name, "completion");
  assert_memory_equal(i->media[1].data, "because \xc3\xa4", 10);
  assert_int_equal(i->outcome.rank, 2);
  assert_int_equal(i->outcome.shape[0], 2);
  assert_int_equal(i->outcome.shape[1], 2);
  assert_memory_equal(i->outcome.data, o.y[0], 4 * sizeof(float));
  i = &r->item[2];
  assert_int_equal(i->item.row, 4);
  assert_int_equal(i->item.rows, 3);
  assert_int_equal(i->medias, 0);
  assert_memory_equal(i->outcome.data, o.y[4], 6 * sizeof(float));
  /* Asked again without a word of what it has, it gets the same once more. */
  r = lease(&ann, 2, "");
  assert_int_equal(r->items, 2);
  assert_int_equal(r->item[0].item.row, 2);
  assert_int_equal(judge(&ann, "q1", r->item[0].item, PMP_ACCEPT), PMP_OK);
  r = lease(&ann, 9, "");
  assert_int_equal(r->items, 2);
  assert_int_equal(r->judged, 1);
  const struct pmp_lease bad = {.count = 1, .order = "newest"};
  lease_code(&ann, &bad, PMP_EINVALID);
  test_rpc_close(&ann);
  small_run_fini(&s);
}

static void leases_are_held_given_back_and_lost(void **state) {
  (void)state;
  struct small_run s;
  desk_init(&s);
  test_pmpod_set(&s.d, "desk.leases=3");
  small_run_start(&s);
  struct test_rpc ann, bob;
  person(&s, &ann, "ann");
  person(&s, &bob, "bob");
  append_rows(&s, 1, 8);
  const struct pmp_lease_reply *r = lease(&ann, 8, "");
  assert_int_equal(r->items, 3); /* as many as one may hold */
  assert_int_equal(r->waiting, 5);
  struct pmp_item_ref mine[3];
  for (int i = 0; i < 3; i++) mine[i] = r->item[i].item;
  assert_int_equal(r->item[0].item.row, 0);
  r = lease(&bob, 2, "oldest");
  assert_int_equal(r->item[0].item.row, 3); /* nobody else's */
  /* One given back, one held; a third that bob closes without a lease is lost. */
  assert_int_equal(judge(&bob, "b1", mine[2], PMP_REJECT), PMP_OK);
  const struct pmp_lease again = {
      .count = 1, .order = "", .held = mine, .helds = 3, .release = mine, .releases = 1};
  r = lease_code(&ann, &again, PMP_OK);
  assert_int_equal(r->losts, 2);
  assert_int_equal(r->lost[0].row, 0);
  assert_int_equal(r->lost[1].row, 2);
  assert_int_equal(r->items, 1);
  assert_int_equal(r->item[0].item.row, 0); /* the oldest that is free */
  /* What bob had closed first takes ann's word as surplus. */
  const struct pmp_verdict_result v = say(&ann, "a1", mine[2], PMP_ACCEPT);
  assert_int_equal(v.code, PMP_OK);
  assert_true(v.surplus);
  /* An undone verdict can be given once more. */
  assert_int_equal(judge(&bob, "b2", mine[2], PMP_WITHDRAW), PMP_OK);
  const struct pmp_lease most = {.count = 3, .order = ""};
  r = lease_code(&bob, &most, PMP_OK);
  assert_int_equal(r->items, 3);
  bool offered = false;
  for (uint32_t i = 0; i < r->items; i++) offered |= r->item[i].item.row == mine[2].row;
  assert_true(offered);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.open"), 8);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.leased"), 5);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.labelers"), 2);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.surplus"), 1);
  test_rpc_close(&ann);
  test_rpc_close(&bob);
  small_run_fini(&s);
}

static void leases_end_with_time(void **state) {
  (void)state;
  struct small_run s;
  desk_init(&s);
  small_run_start(&s);
  struct test_rpc ann, bob;
  person(&s, &ann, "ann");
  person(&s, &bob, "bob");
  append_rows(&s, 1, 4);
  const struct pmp_lease brief = {.count = 4, .seconds = 1, .order = ""};
  assert_int_equal(lease_code(&ann, &brief, PMP_OK)->items, 4);
  assert_int_equal(lease(&bob, 4, "")->items, 0);
  test_rpc_wait_number(&s.observer, "desk.expired", 4, 10000);
  assert_int_equal(lease(&bob, 4, "")->items, 4);
  test_rpc_close(&ann);
  test_rpc_close(&bob);
  small_run_fini(&s);
}

/* Everybody judges what is leased to them until nothing is left; nobody sees an item twice. */
/* One person who skips does not stop a run that has no other: what was skipped makes room. */
static void skipped_items_make_room(void **state) {
  (void)state;
  struct small_run s;
  desk_init(&s);
  test_pmpod_set(&s.d, "limits.open_items=8");
  small_run_start(&s);
  struct test_rpc ann;
  person(&s, &ann, "ann");
  struct test_outcomes o;
  test_outcomes_draw(&o, 3, 4);
  const struct pmp_chunk more = test_outcomes_chunk(&o, false, false);
  append_rows(&s, 1, 8);
  assert_int_equal(test_rpc_append(&s.actor, 2, &more, NULL, 0), PMP_EBUSY);
  const struct pmp_lease_reply *r = lease(&ann, 4, "oldest");
  struct pmp_item_ref item[4];
  assert_int_equal(r->items, 4);
  for (uint32_t i = 0; i < 4; i++) item[i] = r->item[i].item;
  assert_int_equal(judge(&ann, "s0", item[0], PMP_SKIP), PMP_OK);
  assert_int_equal(judge(&ann, "s1", item[1], PMP_SKIP), PMP_OK);
  assert_int_equal(judge(&ann, "s2", item[2], PMP_ACCEPT), PMP_OK); /* closed: room for one */
  assert_int_equal(test_rpc_append(&s.actor, 2, &more, NULL, 0), PMP_EBUSY);
  assert_int_equal(judge(&ann, "s3", item[3], PMP_SKIP), PMP_OK);
  assert_int_equal(test_rpc_append_wait(&s.actor, 2, &more, NULL, 0, 5000), PMP_OK);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.open"), 8);
  assert_int_equal(lease(&ann, 64, "")->items, 8); /* none of the skipped */
  test_rpc_close(&ann);
  small_run_fini(&s);
}

static uint64_t open_now(struct small_run *s) {
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  return (uint64_t)test_rpc_number(&s->observer, "desk.open");
}

/* What is taken back opens the item it closed, and nothing that is no item; a request that is sent
 * again changes nothing that came after it; labels of one person are one label. */
static void verdicts_open_and_close_items_only(void **state) {
  (void)state;
  struct small_run s;
  desk_init(&s);
  test_pmpod_set(&s.d, "desk.labels_wanted=2");
  small_run_start(&s);
  struct test_rpc ann, bob;
  person(&s, &ann, "ann");
  person(&s, &bob, "bob");
  struct test_outcomes o;
  const uint64_t chunk = append_items(&s, 1, &o); /* 0+2, 2+1, 4+3 */
  const struct pmp_item_ref wide = {chunk, 4, 4}, wider = {chunk, 3, 5}, none = {chunk, 5, 1};
  assert_int_equal(open_now(&s), 3);
  assert_int_equal(judge(&ann, "n1", none, PMP_ACCEPT), PMP_OK);
  assert_int_equal(judge(&ann, "n2", none, PMP_WITHDRAW), PMP_OK);
  assert_int_equal(open_now(&s), 3); /* 5+1 is none */

  assert_int_equal(judge(&ann, "w1", wide, PMP_ACCEPT), PMP_OK);
  assert_int_equal(judge(&ann, "w2", wider, PMP_ACCEPT), PMP_OK);
  assert_int_equal(open_now(&s), 3); /* two of ann's, and two people are wanted */
  assert_int_equal(judge(&bob, "w1", wide, PMP_ACCEPT), PMP_OK);
  assert_int_equal(open_now(&s), 2);

  const struct pmp_item_ref first = {chunk, 0, 2};
  assert_int_equal(judge(&ann, "f1", first, PMP_ACCEPT), PMP_OK);
  assert_int_equal(judge(&bob, "f1", first, PMP_ACCEPT), PMP_OK);
  assert_int_equal(open_now(&s), 1);
  assert_int_equal(judge(&ann, "f2", first, PMP_WITHDRAW), PMP_OK);
  assert_int_equal(open_now(&s), 2);
  assert_int_equal(judge(&ann, "f3", first, PMP_REJECT), PMP_OK);
  assert_int_equal(open_now(&s), 1);
  assert_true(say(&ann, "f2", first, PMP_WITHDRAW).duplicate); /* its reply was lost */
  assert_int_equal(open_now(&s), 1);
  assert_int_equal(lease(&ann, 8, "")->items, 1); /* 2+1 alone */
  test_rpc_close(&ann);
  test_rpc_close(&bob);
  small_run_fini(&s);
}

static void label_all(struct test_rpc *r, const char *name, int people_seen[64], int *count,
                      int at_most) {
  for (int i = 0; i < at_most; i++) {
    const struct pmp_lease_reply *l = lease(r, 1, "random");
    if (l->items == 0) return;
    const struct pmp_item_ref item = l->item[0].item;
    char request[64];
    snprintf(request, sizeof request, "%s-%u", name, item.row);
    if (people_seen[item.row]++ != 0) fail_msg("%s was asked twice about %u", name, item.row);
    assert_int_equal(judge(r, request, item,
                           item.row % 5 == 0   ? PMP_SKIP
                           : item.row % 2 == 0 ? PMP_ACCEPT
                                               : PMP_REJECT),
                     PMP_OK);
    (*count)++;
  }
}

static void killed_in_the_middle(void **state) {
  (void)state;
  struct small_run s;
  desk_init(&s);
  test_pmpod_set(&s.d, "desk.labels_wanted=2");
  small_run_start(&s);
  static const char *const name[] = {"ann", "bob", "cem"};
  struct test_rpc r[3];
  int seen[3][64] = {{0}}, count[3] = {0};
  append_rows(&s, 1, 32);
  for (int i = 0; i < 3; i++) {
    person(&s, &r[i], name[i]);
    label_all(&r[i], name[i], seen[i], &count[i], 7 + i);
    assert_int_equal(lease(&r[i], 2, "")->items, 2); /* these die with the daemon */
  }
  small_run_disconnect(&s);
  for (int i = 0; i < 3; i++) test_rpc_close(&r[i]);
  test_pmpod_kill(&s.d);
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.leased"), 0);
  assert_int_equal((int)test_rpc_number(&s.observer, "desk.labelers"), 3);
  for (int i = 0; i < 3; i++) {
    person(&s, &r[i], name[i]);
    /* A verdict whose reply was lost with the daemon is known when it comes again. */
    for (uint32_t row = 0; row < 32; row++) {
      if (!seen[i][row]) continue;
      char request[64];
      snprintf(request, sizeof request, "%s-%u", name[i], row);
      const struct pmp_verdict_result v = say(&r[i], request, (struct pmp_item_ref){1, row, 1},
                                              row % 5 == 0   ? PMP_SKIP
                                              : row % 2 == 0 ? PMP_ACCEPT
                                                             : PMP_REJECT);
      assert_int_equal(v.code, PMP_OK);
      assert_true(v.duplicate);
      break;
    }
  }
  for (int i = 0; i < 3; i++) label_all(&r[i], name[i], seen[i], &count[i], 64);
  /* Each item has its two labels, but those that everybody skips. */
  struct pmp_request q = {.verb = PMP_VERB_REVIEW,
                          .u.review = {.subject = PMP_SUBJECT_LABELERS, .who = ""}};
  assert_int_equal(test_rpc_call(&s.observer, &q), PMP_OK);
  const struct pmp_review_reply *l = &s.observer.reply.u.review;
  assert_int_equal(l->labelers, 3);
  uint64_t labels = 0, skips = 0;
  for (uint32_t i = 0; i < 3; i++) {
    labels += l->labeler[i].accepts + l->labeler[i].rejects;
    skips += l->labeler[i].skips;
    assert_int_equal(l->labeler[i].surplus, 0);
    assert_true(l->labeler[i].pairs == 0 || l->labeler[i].agreement == 1);
  }
  assert_int_equal(labels, 2 * (32 - 7));
  assert_int_equal(skips, 3 * 7);
  assert_int_equal(labels + skips, count[0] + count[1] + count[2]);
  q.u.review.subject = PMP_SUBJECT_ITEMS;
  assert_int_equal(test_rpc_call(&s.observer, &q), PMP_OK);
  l = &s.observer.reply.u.review;
  assert_int_equal(l->items, 7);
  for (uint32_t i = 0; i < 7; i++) {
    assert_int_equal(l->item[i].item.row, 5 * i);
    assert_int_equal(l->item[i].labels, 0);
  }
  q.u.review.subject = PMP_SUBJECT_AGREEMENT;
  assert_int_equal(test_rpc_call(&s.observer, &q), PMP_OK);
  l = &s.observer.reply.u.review;
  assert_true(l->numbers >= 5);
  assert_string_equal(l->number[0].name, "items");
  assert_true(l->number[0].value == 25);
  for (uint32_t i = 0; i < l->pairs; i++) assert_true(l->pair[i].raw == 1);
  for (int i = 0; i < 3; i++) test_rpc_close(&r[i]);
  small_run_fini(&s);
}

static void what_was_said_is_listed(void **state) {
  (void)state;
  struct small_run s;
  desk_init(&s);
  small_run_start(&s);
  struct test_rpc ann;
  person(&s, &ann, "ann");
  struct test_outcomes o;
  append_items(&s, 1, &o);
  const struct pmp_lease_reply *r = lease(&ann, 3, "");
  const struct pmp_item_ref first = r->item[0].item;
  assert_int_equal(judge(&ann, "one", first, PMP_ACCEPT), PMP_OK);
  assert_int_equal(judge(&ann, "two", first, PMP_WITHDRAW), PMP_OK);
  struct pmp_request q = {.verb = PMP_VERB_REVIEW,
                          .u.review = {.subject = PMP_SUBJECT_VERDICTS, .who = "local:ann"}};
  assert_int_equal(test_rpc_call(&ann, &q), PMP_EFORBIDDEN);
  q.session = (struct pmp_bytes){NULL, 0}; /* it was filled in */
  assert_int_equal(test_rpc_call(&s.observer, &q), PMP_OK);
  const struct pmp_review_reply *v = &s.observer.reply.u.review;
  assert_int_equal(v->verdicts, 2);
  assert_string_equal(v->verdict[0].who, "local:ann");
  assert_int_equal(v->verdict[0].state, 4);
  assert_int_equal(v->verdict[0].judgement, PMP_ACCEPT);
  assert_int_equal(v->verdict[0].medias, 2);
  assert_memory_equal(v->verdict[0].media[0].data, "why?", 4);
  assert_int_equal(v->verdict[1].judgement, PMP_WITHDRAW);
  q.u.review.after = v->verdict[0].id;
  assert_int_equal(test_rpc_call(&s.observer, &q), PMP_OK);
  assert_int_equal(s.observer.reply.u.review.verdicts, 1);
  q.u.review.who = "local:bob";
  assert_int_equal(test_rpc_call(&s.observer, &q), PMP_OK);
  assert_int_equal(s.observer.reply.u.review.verdicts, 0);
  test_rpc_close(&ann);
  small_run_fini(&s);
}

static void quotas_and_other_runs(void **state) {
  (void)state;
  struct small_run s;
  desk_init(&s);
  test_pmpod_set(&s.d, "desk.quota=3");
  small_run_start(&s);
  struct test_rpc ann;
  person(&s, &ann, "ann");
  append_rows(&s, 1, 8);
  const struct pmp_lease_reply *r = lease(&ann, 8, "");
  assert_int_equal(r->items, 3);
  assert_int_equal(r->quota, 3);
  struct pmp_item_ref item[3];
  for (int i = 0; i < 3; i++) item[i] = r->item[i].item;
  assert_int_equal(judge(&ann, "1", item[0], PMP_ACCEPT), PMP_OK);
  assert_int_equal(judge(&ann, "2", item[1], PMP_SKIP), PMP_OK);
  assert_int_equal(judge(&ann, "3", item[2], PMP_REJECT), PMP_OK);
  assert_int_equal(judge(&ann, "4", (struct pmp_item_ref){1, 7, 1}, PMP_REJECT), PMP_EFORBIDDEN);
  assert_int_equal(judge(&ann, "3", item[2], PMP_REJECT), PMP_OK); /* the reply was lost */
  assert_int_equal(judge(&ann, "5", item[2], PMP_WITHDRAW), PMP_OK);
  const struct pmp_lease more = {.count = 1, .order = ""};
  lease_code(&ann, &more, PMP_EFORBIDDEN);
  assert_non_null(strstr(ann.reply.message, "desk.quota"));
  test_rpc_close(&ann);
  small_run_fini(&s);

  small_run_init(&s); /* judged by its actors */
  small_run_start(&s);
  person(&s, &ann, "ann");
  lease_code(&ann, &more, PMP_EUNAVAILABLE);
  assert_non_null(strstr(ann.reply.message, "label.judge"));
  test_rpc_close(&ann);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_a_person_is_shown),
      cmocka_unit_test(leases_are_held_given_back_and_lost),
      cmocka_unit_test(leases_end_with_time),
      cmocka_unit_test(skipped_items_make_room),
      cmocka_unit_test(verdicts_open_and_close_items_only),
      cmocka_unit_test(killed_in_the_middle),
      cmocka_unit_test(what_was_said_is_listed),
      cmocka_unit_test(quotas_and_other_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
