/* Damage: what pmp_store_check calls by name, and what reading says. */
#include "tests/store/support.h"

#include <sqlite3.h>

/* Two actors, chunks large and small, verdicts, a setting; closed. */
static int check_setup(void **state) {
  bench_setup(state);
  struct bench *b = *state;
  static char large[30000];
  for (size_t i = 0; i + 1 < sizeof large; i++) large[i] = (char)('a' + i % 23);
  b->config.compress_level = 0;
  bench_reopen(b);
  append(b, "a1", hello(b, "a1", 1), 1, "the first chunk", 10);
  append(b, "a1", 1, 2, large, 20);
  append(b, "a2", hello(b, "a2", 1), 1, "of another actor", 5);
  struct pmp_store_op v = op_verdict("p", "r", 1, 0, 4, 1, 1.0F);
  run_ok(b, &v);
  free_verdict(&v);
  struct pmp_store_op set = {.kind = PMP_OP_SETTING};
  set.u.setting = (struct pmp_store_setting){.key = "lr", .value = "1"};
  run_ok(b, &set);
  bench_close(b);
  return 0;
}

static int check_teardown(void **state) {
  struct bench *b = *state;
  b->store = NULL;
  return bench_teardown(state);
}

static void exec_sql(struct bench *b, const char *sql) {
  sqlite3 *db = NULL;
  char *why = NULL;
  assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
  assert_true(sqlite3_total_changes(db) > 0);
  sqlite3_close(db);
}

static void assert_fault(struct bench *b, const char *words) {
  struct faults f;
  uint64_t count = check_store(b->path, NULL, &f);
  assert_true(count > 0);
  if (strstr(f.text, words) == NULL) fail_msg("no \"%s\" among the faults:\n%s", words, f.text);
}

static void test_a_sound_store(void **state) {
  struct bench *b = *state;
  assert_clean(b->path, NULL);
  bench_open(b); /* and while it runs */
  assert_clean(b->path, NULL);
  append(b, "a1", 1, 3, "more", 1);
  assert_clean(b->path, NULL);
  bench_close(b);
}

struct damage {
  const char *sql, *fault;
};

static const struct damage damages[] = {
    {"UPDATE chunk_data SET data = CAST('the first Chunk' AS BLOB) WHERE id = 1",
     "chunk 1: its hash does not fit"},
    {"UPDATE chunk_data SET data = CAST('short' AS BLOB) WHERE id = 1",
     "chunk 1: 5 bytes are stored, there should be 15"},
    {"UPDATE chunk SET encoding = 1 WHERE id = 2", "chunk 2: it does not decompress"},
    {"UPDATE chunk SET encoding = 9 WHERE id = 2", "chunk 2: its encoding 9 is unknown"},
    {"DELETE FROM chunk_data WHERE id = 3", "chunk 3: its bytes are missing"},
    {"UPDATE chunk SET hash = x'00' WHERE id = 3", "chunk 3: its index columns are damaged"},
    {"DELETE FROM chunk_data WHERE id = 3; DELETE FROM chunk WHERE id = 3",
     "mark of actor a2 epoch 1: chunk 3 is missing"},
    {"DELETE FROM chunk WHERE id = 3", "chunk 3: bytes without an index row"},
    {"DELETE FROM chunk WHERE id = 1", "verdict 4: what it names in chunk is missing"},
    {"UPDATE mark SET hash = zeroblob(16) WHERE chunk = 2",
     "mark of actor a1 epoch 1: it is not that of chunk 2"},
    {"UPDATE mark SET seq = 7 WHERE chunk = 2", "the mark says 7"},
    {"UPDATE chunk SET seq = 2 WHERE id = 1", "actor a1 epoch 1: seq 2 is there 2 times"},
    {"UPDATE chunk SET seq = 5 WHERE id = 2; UPDATE mark SET seq = 5 WHERE chunk = 2",
     "from seq 1 to 5"},
    {"UPDATE chunk SET rows = 11 WHERE id = 1", "the marks count 35 rows, there are 36 and 0"},
    {"UPDATE setting SET id = 4", "commit id 4 was given 2 times"},
    {"UPDATE verdict SET row = 8", "item 1:8+4 is outside its chunk"},
    {"UPDATE verdict SET labels = x'00'", "verdict 4: its labels have 1 bytes"},
    {"UPDATE chunk SET verdicts = 0", "chunk 1: counts 0 verdicts, has 1"},
    {"INSERT INTO verdict SELECT 9, principal, 'again', chunk, row, rows, judgement, confidence, "
     "note,"
     " state, NULL, 0, labels, 0 FROM verdict",
     "verdicts of p on 1:0+4: 2 are active"},
    {"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'verdict_item'",
     "integrity: "},
    {"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, 'key', 'kex')"
     " WHERE name = 'setting'",
     "setting is not the table or index that a store has"},
};

static void test_every_fault_by_name(void **state) {
  struct bench *b = *state;
  char copy[200], command[512];
  snprintf(copy, sizeof copy, "%s/sound", b->folder);
  snprintf(command, sizeof command, "cp %s %s", b->path, copy);
  assert_int_equal(system(command), 0);
  snprintf(command, sizeof command, "cp %s %s", copy, b->path);
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    assert_int_equal(system(command), 0);
    exec_sql(b, damages[i].sql);
    assert_fault(b, damages[i].fault);
  }
  unlink(copy);
}

static void flip(struct bench *b, long at, int bits) {
  FILE *f = fopen(b->path, "r+b");
  assert_non_null(f);
  fseek(f, at, SEEK_SET);
  int c = fgetc(f);
  fseek(f, at, SEEK_SET);
  fputc(c ^ bits, f);
  fclose(f);
}

static long size_of(struct bench *b) {
  FILE *f = fopen(b->path, "rb");
  fseek(f, 0, SEEK_END);
  long size = ftell(f);
  fclose(f);
  return size;
}

/* One bit in the middle of the large chunk's bytes: the check and the reader name the chunk, a
 * verdict on it is refused, the rest of the store works. */
static long find_in_file(struct bench *b, const char *text) {
  long size = size_of(b), found = -1;
  char *all = malloc((size_t)size);
  FILE *f = fopen(b->path, "rb");
  assert_int_equal(fread(all, 1, (size_t)size, f), size);
  fclose(f);
  for (long i = 0; i + (long)strlen(text) < size && found < 0; i++)
    if (memcmp(all + i, text, strlen(text)) == 0) found = i;
  free(all);
  assert_true(found >= 0);
  return found;
}

static enum pmp_err skip_entry(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  uint64_t *count = ctx;
  (void)e;
  (void)msg;
  (*count)++;
  return PMP_OK;
}

static void test_a_flipped_bit_in_a_chunk(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  flip(b, find_in_file(b, "the first chunk") + 3, 0x10);
  assert_fault(b, "chunk 1: its hash does not fit");
  bench_open(b);
  struct pmp_reader *r = NULL;
  uint64_t count = 0;
  assert_int_equal(pmp_reader_open(&r, b->path, NULL, &msg), PMP_OK);
  assert_int_equal(pmp_reader_entries(r, 2, 3, skip_entry, &count, &msg), PMP_OK);
  assert_int_equal(count, 2);
  assert_int_equal(pmp_reader_entries(r, 0, 9, skip_entry, &count, &msg), PMP_ECORRUPT);
  assert_non_null(strstr(msg.text, "chunk 1"));
  pmp_reader_close(r);
  struct pmp_store_op v = op_verdict("q", "r", 1, 0, 1, 1, 1.0F);
  run_fails(b, &v, PMP_ECORRUPT, "chunk 1");
  assert_null(v.u.verdict.data);
  assert_int_equal(append(b, "a1", 1, 3, "the rest works", 1), 6);
  assert_int_equal(stats(b).health, PMP_STORE_HEALTHY);
  bench_close(b);
}

/* Bits anywhere in the file: whatever they hit, nothing crashes, and what is read is what was
 * written, or refused. */
static void test_flipped_bits_anywhere(void **state) {
  struct bench *b = *state;
  char copy[200], command[512];
  uint32_t x = 11;
  int noticed = 0;
  snprintf(copy, sizeof copy, "%s/sound", b->folder);
  snprintf(command, sizeof command, "cp %s %s", b->path, copy);
  assert_int_equal(system(command), 0);
  snprintf(command, sizeof command, "cp %s %s", copy, b->path);
  long size = size_of(b);
  for (int round = 0; round < 60; round++) {
    struct faults f = {{0}};
    struct pmp_errmsg msg = {{0}};
    uint64_t count = 0;
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 8; i++) {
      x = x * 1664525U + 1013904223U;
      flip(b, (long)((x >> 4) % (uint32_t)size), 1 << (x & 7));
    }
    enum pmp_err err = pmp_store_check(b->path, NULL, collect_fault, &f, &count, &msg);
    noticed += err != PMP_OK || count > 0;
    struct pmp_reader *r = NULL;
    if (pmp_reader_open(&r, b->path, NULL, &msg) != PMP_OK) continue;
    (void)!pmp_reader_entries(r, 0, UINT64_MAX, skip_entry, &count, &msg);
    pmp_reader_close(r);
  }
  assert_true(noticed > 20); /* the others hit free room */
  unlink(copy);
}

static void test_a_truncated_file(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(truncate(b->path, size_of(b) / 2), 0);
  assert_fault(b, "malformed");
  assert_int_equal(truncate(b->path, 100), 0);
  uint64_t count = 0;
  struct faults f = {{0}};
  enum pmp_err err = pmp_store_check(b->path, NULL, collect_fault, &f, &count, &msg);
  assert_true(err != PMP_OK || count > 0);
  assert_int_equal(pmp_store_open(&b->store, &b->config, &msg), PMP_ECORRUPT);
}

static void test_other_files(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  uint64_t count = 999;
  assert_true(pmp_store_check("/nowhere/store.db", NULL, NULL, NULL, &count, &msg) != PMP_OK);
  assert_int_equal(count, 0);
  assert_true(msg.text[0] != '\0');
  FILE *f = fopen(b->path, "wb");
  for (int i = 0; i < 3000; i++) fputs("no database ", f);
  fclose(f);
  assert_fault(b, "not a database");
  unlink(b->path);
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  assert_fault(b, "another program");
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, check_setup, check_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_STORE(test_a_sound_store),
      WITH_STORE(test_every_fault_by_name),
      WITH_STORE(test_a_flipped_bit_in_a_chunk),
      WITH_STORE(test_flipped_bits_anywhere),
      WITH_STORE(test_a_truncated_file),
      WITH_STORE(test_other_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
