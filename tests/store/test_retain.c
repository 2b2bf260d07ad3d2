/* Retention: what leaves, what never does, and what a store says that cannot get smaller. */
#include "tests/store/support.h"

#define ROWS 10

static void keep(struct bench *b, uint64_t window, const uint64_t *first, uint32_t count) {
  static struct pmp_store_checkpoint_row row[8];
  memset(row, 0, sizeof row);
  for (uint32_t i = 0; i < count; i++) {
    row[i].step = i;
    row[i].commit = row[i].first_commit = first[i];
    snprintf(row[i].path, sizeof row[i].path, "checkpoint-%u", i);
    snprintf(row[i].hash, sizeof row[i].hash, "%032x", i);
  }
  struct pmp_store_op op = {.kind = PMP_OP_CHECKPOINT};
  op.u.checkpoint =
      (struct pmp_store_checkpoint){.row = row, .count = count, .window_commit = window};
  run_ok(b, &op);
}

static int retain_setup(void **state) {
  struct bench *b = malloc(sizeof *b);
  if (b == NULL) return -1;
  bench_make(b);
  b->config.capacity_rows = 10 * ROWS;
  bench_open(b);
  assert_int_equal(hello(b, "a1", 1), 1);
  *state = b;
  return 0;
}

static void fill(struct bench *b, uint64_t from, uint64_t to) {
  char text[32];
  for (uint64_t seq = from; seq <= to; seq++) {
    snprintf(text, sizeof text, "chunk %d", (int)seq);
    append(b, "a1", 1, seq, text, ROWS);
  }
}

struct ids {
  uint64_t id[256];
  uint32_t count;
};

static enum pmp_err note_chunk(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct ids *ids = ctx;
  (void)msg;
  if (e->kind == PMP_ENTRY_CHUNK) ids->id[ids->count++] = e->chunk;
  return PMP_OK;
}

static struct ids kept(struct bench *b) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *r = NULL;
  struct ids ids = {.count = 0};
  assert_int_equal(pmp_reader_open(&r, b->path, NULL, &msg), PMP_OK);
  assert_int_equal(pmp_reader_entries(r, 0, UINT64_MAX, note_chunk, &ids, &msg), PMP_OK);
  pmp_reader_close(r);
  return ids;
}

static void test_the_oldest_leave(void **state) {
  struct bench *b = *state;
  keep(b, UINT64_MAX, NULL, 0);
  fill(b, 1, 30);
  append(b, "a1", 1, 31, "the last", 1);
  struct ids ids = kept(b);
  assert_true(ids.count >= 10 && ids.count <= 12);
  for (uint32_t i = 0; i < ids.count; i++) assert_int_equal(ids.id[i], 31 - ids.count + 1 + i);
  struct pmp_store_stats s = stats(b);
  assert_int_equal(s.rows_total, 301);
  assert_int_equal(s.chunks_total, 31);
  assert_int_equal(s.rows + s.deleted_rows, 301);
  assert_int_equal(s.health, PMP_STORE_HEALTHY);
  assert_clean(b->path, NULL);
  bench_reopen(b);
  assert_int_equal(stats(b).rows_total, 301);
  assert_int_equal(stats(b).last_commit, 31);
  /* Repetition is still recognised, whatever has left. */
  struct pmp_store_op again = op_append("a1", 1, 31, "the last", 1);
  run_ok(b, &again);
  assert_true(again.u.append.duplicate);
  assert_int_equal(hello(b, "a1", 1), 1);
  assert_clean(b->path, NULL);
}

static void test_every_chunk_may_leave(void **state) {
  struct bench *b = *state;
  keep(b, UINT64_MAX, NULL, 0);
  append(b, "a1", 1, 1, "large", 50 * ROWS);
  struct pmp_store_op barrier = {.kind = PMP_OP_BARRIER};
  run_ok(b, &barrier);
  assert_int_equal(stats(b).chunks, 0);
  bench_reopen(b);
  struct pmp_store_op again = op_append("a1", 1, 1, "large", 50 * ROWS);
  run_ok(b, &again);
  assert_true(again.u.append.duplicate);
  assert_int_equal(again.u.append.chunk, 1);
  /* Ids are never given twice. */
  assert_int_equal(append(b, "a1", 1, 2, "next", 1), 2);
  assert_clean(b->path, NULL);
}

static void test_nothing_leaves_before_the_learner_spoke(void **state) {
  struct bench *b = *state;
  fill(b, 1, 12);
  struct ids ids = kept(b);
  assert_int_equal(ids.count, 12);
  assert_int_equal(stats(b).blocker, PMP_STORE_BLOCKER_WINDOW);
  assert_int_equal(stats(b).health, PMP_STORE_HEALTHY);
}

static void test_what_the_window_needs_stays(void **state) {
  struct bench *b = *state;
  keep(b, 5, NULL, 0);
  fill(b, 1, 15);
  assert_int_equal(kept(b).id[0], 5);
  fill(b, 16, 17); /* up to a quarter over the capacity */
  assert_int_equal(kept(b).id[0], 5);
  struct pmp_store_op op = op_append("a1", 1, 18, "no room", ROWS);
  run_fails(b, &op, PMP_ENOSPC, "the learner still needs what is left");
  assert_int_equal(stats(b).health, PMP_STORE_FULL);
  assert_int_equal(stats(b).blocker, PMP_STORE_BLOCKER_WINDOW);
  assert_non_null(strstr(stats(b).reason, "over its capacity"));
  /* Other operations go on, and so does repetition. */
  assert_int_equal(hello(b, "a2", 1), 1);
  struct pmp_store_op again = op_append("a1", 1, 17, "chunk 17", ROWS);
  run_ok(b, &again);
  assert_true(again.u.append.duplicate);
  /* The window moves: everything goes on by itself. */
  keep(b, 12, NULL, 0);
  append(b, "a1", 1, 18, "room", ROWS);
  assert_int_equal(stats(b).health, PMP_STORE_HEALTHY);
  assert_string_equal(stats(b).reason, "");
  assert_int_equal(kept(b).id[0] > 5, 1);
  assert_clean(b->path, NULL);
}

static void test_what_a_checkpoint_needs_stays(void **state) {
  struct bench *b = *state;
  static const uint64_t first[] = {4, 8};
  keep(b, 11, first, 2);
  fill(b, 1, 16);
  assert_int_equal(kept(b).id[0], 4);
  struct pmp_store_op op = op_append("a1", 1, 17, "no room", ROWS);
  run_fails(b, &op, PMP_ENOSPC, "a kept checkpoint still needs what is left");
  assert_int_equal(stats(b).blocker, PMP_STORE_BLOCKER_CHECKPOINT);
  keep(b, 11, first + 1, 1);
  append(b, "a1", 1, 17, "room", ROWS);
  assert_true(kept(b).id[0] > 4 && kept(b).id[0] <= 8);
  /* A new list replaces the old one. */
  keep(b, 17, NULL, 0);
  fill(b, 18, 22);
  assert_true(kept(b).id[0] >= 12);
}

static void test_judged_chunks_stay(void **state) {
  struct bench *b = *state;
  keep(b, UINT64_MAX, NULL, 0);
  fill(b, 1, 5);
  /* One that counts, one withdrawn again, one skipped: a person's words are never deleted. */
  static const struct {
    uint64_t chunk;
    int judgement;
  } said[] = {{2, 1}, {3, 1}, {3, 4}, {5, 3}};
  for (int i = 0; i < 4; i++) {
    char request[16];
    snprintf(request, sizeof request, "r%d", i);
    struct pmp_store_op v = op_verdict("p", request, said[i].chunk, 0, 1, said[i].judgement, 1.0F);
    run_ok(b, &v);
    free_verdict(&v);
  }
  fill(b, 6, 40);
  struct ids ids = kept(b);
  assert_int_equal(ids.id[0], 2);
  assert_int_equal(ids.id[1], 3);
  assert_int_equal(ids.id[2], 5);
  assert_true(ids.id[3] > 30);
  assert_clean(b->path, NULL);
  bench_reopen(b);
  assert_int_equal(stats(b).rows_total, 400);
}

static void test_a_store_full_of_verdicts_says_so(void **state) {
  struct bench *b = *state;
  struct pmp_store_op v;
  uint64_t seq = 0;
  for (; seq < 40; seq++) { /* the learner needs the newest until it is judged */
    char request[16], text[16];
    snprintf(request, sizeof request, "r%d", (int)seq);
    snprintf(text, sizeof text, "chunk %d", (int)seq);
    keep(b, stats(b).last_commit + 1, NULL, 0);
    struct pmp_store_op op = op_append("a1", 1, seq + 1, text, ROWS);
    enum pmp_err err = pmp_store_run(b->store, &op);
    if (err == PMP_ENOSPC) break;
    assert_int_equal(err, PMP_OK);
    v = op_verdict("p", request, op.u.append.chunk, 0, 1, 1, 1.0F);
    run_ok(b, &v);
    free_verdict(&v);
  }
  assert_int_equal(seq, 13); /* over 1.25 times the capacity */
  struct pmp_store_op op = op_append("a1", 1, seq + 1, "no room", ROWS);
  run_fails(b, &op, PMP_ENOSPC, "people's verdicts");
  assert_int_equal(stats(b).blocker, PMP_STORE_BLOCKER_VERDICTS);
  assert_int_equal(stats(b).health, PMP_STORE_FULL);
  /* Verdicts are still taken. */
  v = op_verdict("q", "r", 1, 0, 1, 2, 1.0F);
  run_ok(b, &v);
  free_verdict(&v);
}

static void test_bytes_count_too(void **state) {
  struct bench *b = *state;
  static char text[2][40000];
  bench_close(b);
  b->config.capacity_rows = 0;
  b->config.capacity_bytes = 200000;
  b->config.compress_level = 0;
  bench_open(b);
  keep(b, UINT64_MAX, NULL, 0);
  for (uint64_t seq = 1; seq <= 30; seq++) {
    memset(text[0], 'a' + (int)seq % 20, sizeof text[0] - 1);
    append(b, "a1", 1, seq, text[0], 1);
  }
  assert_true(stats(b).bytes <= 200000 + sizeof text[0]);
  assert_true(stats(b).chunks >= 5 && stats(b).chunks <= 6);
  assert_clean(b->path, NULL);
}

/* A capacity made smaller: the store shrinks in portions while nobody asks for anything, and gives
 * the room back. */
static void test_a_smaller_capacity_shrinks_the_file(void **state) {
  struct bench *b = *state;
  static char text[100000];
  bench_close(b);
  b->config.capacity_rows = 0;
  b->config.compress_level = 0;
  bench_open(b);
  for (uint64_t seq = 1; seq <= 150; seq++) {
    memset(text, 'a' + (int)seq % 20, sizeof text - 1);
    append(b, "a1", 1, seq, text, 1);
  }
  bench_close(b);
  b->config.capacity_rows = 5;
  bench_open(b);
  struct pmp_store_op op = {.kind = PMP_OP_CHECKPOINT};
  op.u.checkpoint.window_commit = UINT64_MAX;
  run_ok(b, &op);
  while (stats(b).rows > 5) usleep(1000);
  long size = 1L << 30;
  while (size > 9000000) { /* of 15 MB; some free room is kept */
    usleep(1000);
    FILE *f = fopen(b->path, "rb");
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    fclose(f);
  }
  assert_clean(b->path, NULL);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, retain_setup, bench_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_STORE(test_the_oldest_leave),
      WITH_STORE(test_every_chunk_may_leave),
      WITH_STORE(test_nothing_leaves_before_the_learner_spoke),
      WITH_STORE(test_what_the_window_needs_stays),
      WITH_STORE(test_what_a_checkpoint_needs_stays),
      WITH_STORE(test_judged_chunks_stay),
      WITH_STORE(test_a_store_full_of_verdicts_says_so),
      WITH_STORE(test_bytes_count_too),
      WITH_STORE(test_a_smaller_capacity_shrinks_the_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
