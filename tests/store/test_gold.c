/* Gold: an item's truth is kept with its chunk and with who said it; verdicts on it are surplus;
 * and which chunks retention deleted is told once. */
#include "tests/store/support.h"

#include <sqlite3.h>

static struct pmp_store_op op_gold(uint64_t chunk, uint32_t row, uint32_t rows, int judgement) {
  struct pmp_store_op op = {.kind = PMP_OP_GOLD};
  op.u.gold = (struct pmp_store_gold){.chunk = chunk,
                                      .row = row,
                                      .rows = rows,
                                      .judgement = judgement,
                                      .who = "boss",
                                      .before = 999,
                                      .labels_now = 999,
                                      .judges = 999};
  return op;
}

static void gold(struct bench *b, uint64_t chunk, uint32_t row, uint32_t rows, int judgement,
                 int before) {
  struct pmp_store_op op = op_gold(chunk, row, rows, judgement);
  run_ok(b, &op);
  assert_int_equal(op.u.gold.before, before);
  free(op.u.gold.judge);
}

struct list {
  struct pmp_reader_gold gold[8];
  uint32_t count;
};

static enum pmp_err on_gold(void *ctx, const struct pmp_reader_gold *g) {
  struct list *l = ctx;
  assert_string_equal(g->who, "boss");
  l->gold[l->count++] = *g;
  return PMP_OK;
}

static struct list listed(struct bench *b, uint64_t after) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *r = NULL;
  struct list l = {.count = 0};
  assert_int_equal(pmp_reader_open(&r, b->path, NULL, &msg), PMP_OK);
  assert_int_equal(pmp_reader_gold(r, after, 8, on_gold, &l, &msg), PMP_OK);
  pmp_reader_close(r);
  return l;
}

static enum pmp_err count_events(void *ctx, const struct pmp_reader_event *e) {
  if (strcmp(e->kind, "gold") == 0) {
    assert_string_equal(e->who, "boss");
    snprintf(ctx, 128, "%s", e->detail);
  }
  return PMP_OK;
}

static void test_gold_is_kept_changed_and_dropped(void **state) {
  struct bench *b = *state;
  hello(b, "a1", 1);
  const uint64_t chunk = append(b, "a1", 1, 1, "eight rows", 8);
  gold(b, chunk, 2, 1, 1, 0);
  gold(b, chunk, 4, 3, 2, 0);
  gold(b, chunk, 2, 1, 2, 1);
  bench_reopen(b);
  struct list l = listed(b, 0);
  assert_int_equal(l.count, 2);
  assert_int_equal(l.gold[0].row, 2);
  assert_int_equal(l.gold[0].judgement, 2);
  assert_int_equal(l.gold[1].rows, 3);
  assert_int_equal(listed(b, l.gold[0].id).count, 1);
  gold(b, chunk, 2, 1, 0, 2);
  assert_int_equal(listed(b, 0).count, 1);

  struct pmp_store_op bad = op_gold(chunk, 2, 1, 0);
  run_fails(b, &bad, PMP_ENOTFOUND, "is not gold");
  bad = op_gold(chunk, 5, 1, 1);
  run_fails(b, &bad, PMP_ECONFLICT, "gold in another item");
  bad = op_gold(chunk, 7, 2, 1);
  run_fails(b, &bad, PMP_EINVALID, "outside its chunk");
  bad = op_gold(77, 0, 1, 1);
  run_fails(b, &bad, PMP_ENOTFOUND, "no chunk 77");
  bad = op_gold(chunk, 0, 1, 3);
  run_fails(b, &bad, PMP_EINVALID, "accept, reject or none");

  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *r = NULL;
  char detail[128] = "";
  assert_int_equal(pmp_reader_open(&r, b->path, NULL, &msg), PMP_OK);
  assert_int_equal(pmp_reader_events(r, 0, 100, false, count_events, detail, &msg), PMP_OK);
  pmp_reader_close(r);
  assert_string_equal(detail, "{\"item\":\"1:2+1\",\"judgement\":\"none\",\"before\":\"reject\"}");
  assert_clean(b->path, NULL);
}

static struct pmp_store_verdict say(struct bench *b, const char *who, const char *request,
                                    uint32_t row, uint32_t rows, int judgement) {
  struct pmp_store_op op = op_verdict(who, request, 1, row, rows, judgement, 1.0F);
  op.u.verdict.wanted = 1;
  op.u.verdict.leased = true;
  op.u.verdict.gold = true;
  run_ok(b, &op);
  free_verdict(&op);
  return op.u.verdict;
}

static void test_verdicts_on_gold_measure_and_do_not_train(void **state) {
  struct bench *b = *state;
  hello(b, "a1", 1);
  const uint64_t chunk = append(b, "a1", 1, 1, "eight rows", 8);
  struct pmp_store_verdict v = say(b, "ann", "a0", 0, 1, 1); /* before it was gold */
  assert_true(!v.surplus && !v.gold && v.labels == 1);
  gold(b, chunk, 0, 1, 1, 0);
  gold(b, chunk, 1, 1, 2, 0);
  struct pmp_store_op again = op_gold(chunk, 0, 1, 1);
  run_ok(b, &again);
  assert_int_equal(again.u.gold.labels_now, 1);
  assert_int_equal(again.u.gold.judges, 1);
  assert_string_equal(again.u.gold.judge[0], "ann");
  free(again.u.gold.judge);

  v = say(b, "bob", "b0", 0, 1, 2);
  assert_true(v.surplus && v.gold && v.labels == 0 && v.labels_now == 1);
  v = say(b, "bob", "b1", 1, 1, 2);
  assert_true(v.surplus && v.gold && v.labels == 0 && v.labels_now == 0);
  v = say(b, "bob", "b1", 1, 1, 2); /* sent again */
  assert_true(v.duplicate && v.surplus && v.gold);
  v = say(b, "bob", "b2", 0, 4, 1); /* rows of gold among others */
  assert_true(v.surplus && v.gold && v.labels == 0);
  v = say(b, "bob", "b3", 2, 2, 1); /* none of it */
  assert_true(!v.surplus && !v.gold && v.labels == 2);
  v = say(b, "bob", "b4", 1, 1, 3); /* a skip trains nothing anywhere */
  assert_true(v.gold && v.labels == 0);
  /* What trained before may be changed and taken back by who said it. */
  v = say(b, "ann", "a1", 0, 1, 2);
  assert_true(!v.surplus && v.replaced && v.labels == 1);
  v = say(b, "ann", "a2", 0, 1, 4);
  assert_true(v.labels == 1 && v.labels_now == 0);
  v = say(b, "ann", "a3", 0, 1, 1);
  assert_true(v.surplus && v.labels == 0);
  /* Gold no more, an item is as any other. */
  gold(b, chunk, 1, 1, 0, 2);
  v = say(b, "cem", "c0", 1, 1, 1);
  assert_true(!v.surplus && !v.gold && v.labels == 1);
  assert_clean(b->path, NULL);
}

static void test_a_store_of_version_4_gets_it(void **state) {
  struct bench *b = *state;
  hello(b, "a1", 1);
  append(b, "a1", 1, 1, "two rows", 2);
  bench_close(b);
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "DROP TABLE gold; PRAGMA user_version=4", NULL, NULL, NULL),
                   SQLITE_OK);
  sqlite3_close(db);
  bench_open(b);
  gold(b, 1, 0, 1, 1, 0);
  assert_int_equal(listed(b, 0).count, 1);
  assert_clean(b->path, NULL);
}

static void test_retention_leaves_gold_and_tells_what_it_deleted(void **state) {
  struct bench *b = *state;
  bench_close(b);
  b->config.capacity_rows = 100;
  b->config.deleted_max = 16;
  bench_open(b);
  hello(b, "a1", 1);
  struct pmp_store_op keep = {.kind = PMP_OP_CHECKPOINT};
  keep.u.checkpoint.window_commit = UINT64_MAX;
  run_ok(b, &keep);
  char text[32];
  for (uint64_t seq = 1; seq <= 20; seq++) {
    snprintf(text, sizeof text, "chunk %d", (int)seq);
    append(b, "a1", 1, seq, text, 10);
    if (seq == 3) gold(b, 3, 4, 1, 1, 0);
  }
  append(b, "a1", 1, 21, "the last", 1);
  uint64_t gone[16];
  memset(gone, 0x99, sizeof gone);
  const uint32_t count = pmp_store_deleted(b->store, gone, 4);
  assert_int_equal(count, 4);
  assert_int_equal(gone[0], 1);
  assert_int_equal(gone[1], 2);
  assert_int_equal(gone[2], 4);
  assert_int_equal(gone[3], 5);
  const uint32_t rest = pmp_store_deleted(b->store, gone, 16);
  assert_true(rest >= 4 && rest <= 12);
  assert_int_equal(gone[0], 6);
  assert_int_equal(pmp_store_deleted(b->store, gone, 16), 0);
  /* Nobody asks: those beyond deleted_max are not told, and nothing else happens. */
  for (uint64_t seq = 22; seq <= 60; seq++) {
    snprintf(text, sizeof text, "chunk %d", (int)seq);
    append(b, "a1", 1, seq, text, 10);
  }
  assert_int_equal(pmp_store_deleted(b->store, gone, 16), 16);
  assert_int_equal(pmp_store_deleted(b->store, gone, 16), 0);
  assert_int_equal(listed(b, 0).count, 1);
  assert_clean(b->path, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_gold_is_kept_changed_and_dropped, bench_setup,
                                      bench_teardown),
      cmocka_unit_test_setup_teardown(test_verdicts_on_gold_measure_and_do_not_train, bench_setup,
                                      bench_teardown),
      cmocka_unit_test_setup_teardown(test_a_store_of_version_4_gets_it, bench_setup,
                                      bench_teardown),
      cmocka_unit_test_setup_teardown(test_retention_leaves_gold_and_tells_what_it_deleted,
                                      bench_setup, bench_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
