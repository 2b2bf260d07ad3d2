/* Hello, sequences, epochs, groups, counters, compression, lock, identity and migration of the
 * store. */
#include "tests/store/support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/wait.h>

static void test_hello_gives_epochs(void **state) {
  struct bench *b = *state;
  assert_int_equal(hello(b, "a1", 1), 1);
  assert_int_equal(hello(b, "a1", 1), 1);
  assert_int_equal(hello(b, "a1", 2), 2);
  assert_int_equal(hello(b, "other", 2), 1);
  struct pmp_store_op fenced = op_hello("a1", 1);
  run_fails(b, &fenced, PMP_ECONFLICT, "replaced by a newer one (epoch 2)");
  struct pmp_store_op nameless = op_hello("", 1);
  run_fails(b, &nameless, PMP_EINVALID, "1 to 64 bytes");
  bench_reopen(b);
  assert_int_equal(hello(b, "a1", 2), 2);
  assert_int_equal(hello(b, "a1", 3), 3);
  run_fails(b, &fenced, PMP_ECONFLICT, "epoch 3");
}

static void test_hello_tells_what_is_there(void **state) {
  struct bench *b = *state;
  uint32_t epoch = hello(b, "a1", 1);
  struct pmp_store_op first = op_append("a1", epoch, 1, "chunk one", 10);
  first.u.append.state = "state one";
  first.u.append.state_bytes = 9;
  run_ok(b, &first);
  append(b, "a1", epoch, 2, "chunk two", 5);
  struct pmp_store_op op = op_hello("a1", 1);
  run_ok(b, &op);
  assert_int_equal(op.u.hello.last_seq, 2);
  assert_int_equal(op.u.hello.rows, 15);
  assert_int_equal(op.u.hello.last_chunk, 2);
  assert_int_equal(op.u.hello.last_commit, 2);
  assert_int_equal(op.u.hello.state_bytes, 9);
  assert_memory_equal(op.u.hello.state, "state one", 9);
  free(op.u.hello.state);
  /* The next instance continues from there: rows and state of the name, seq of its own. */
  op = op_hello("a1", 2);
  run_ok(b, &op);
  assert_int_equal(op.u.hello.epoch, 2);
  assert_int_equal(op.u.hello.last_seq, 0);
  assert_int_equal(op.u.hello.rows, 15);
  assert_int_equal(op.u.hello.last_chunk, 2);
  assert_memory_equal(op.u.hello.state, "state one", 9);
  free(op.u.hello.state);
  op = op_hello("new", 1);
  run_ok(b, &op);
  assert_int_equal(op.u.hello.rows, 0);
  assert_int_equal(op.u.hello.last_chunk, 0);
  assert_null(op.u.hello.state);
}

static void test_every_rule_of_a_sequence(void **state) {
  struct bench *b = *state;
  struct pmp_store_op op = op_append("a1", 1, 1, "x", 1);
  run_fails(b, &op, PMP_ECONFLICT, "say hello first");
  uint32_t epoch = hello(b, "a1", 1);
  op = op_append("a1", epoch, 0, "x", 1);
  run_fails(b, &op, PMP_EINVALID, "seq starts at 1");
  op = op_append("a1", epoch, 2, "x", 1);
  run_fails(b, &op, PMP_ECONFLICT, "leaves a gap, 1 is expected");
  assert_int_equal(op.u.append.expected_seq, 1);
  op = op_append("a1", epoch, 1, "one", 3);
  op.u.append.ack_version = 17;
  run_ok(b, &op);
  assert_int_equal(op.u.append.chunk, 1);
  assert_int_equal(op.u.append.commit, 1);
  assert_false(op.u.append.duplicate);
  /* The same again: the same acknowledgement, nothing counted. */
  op = op_append("a1", epoch, 1, "one", 3);
  run_ok(b, &op);
  assert_true(op.u.append.duplicate);
  assert_int_equal(op.u.append.chunk, 1);
  assert_int_equal(op.u.append.commit, 1);
  assert_int_equal(op.u.append.ack_version, 17);
  assert_int_equal(stats(b).rows, 3);
  op = op_append("a1", epoch, 1, "One", 3);
  run_fails(b, &op, PMP_ECONFLICT, "other content");
  assert_int_equal(op.u.append.expected_seq, 0);
  append(b, "a1", epoch, 2, "two", 1);
  op = op_append("a1", epoch, 1, "one", 3);
  run_fails(b, &op, PMP_ECONFLICT, "stale, the last is 2");
  assert_int_equal(op.u.append.expected_seq, 0);
  op = op_append("a1", epoch, 4, "four", 1);
  run_fails(b, &op, PMP_ECONFLICT, "3 is expected");
  assert_int_equal(op.u.append.expected_seq, 3);
  assert_int_equal(append(b, "a1", epoch, 3, "three", 1), 3);
  assert_int_equal(stats(b).rows, 5);
  assert_int_equal(stats(b).refused, 6);
}

static void test_epochs_fence_older_instances(void **state) {
  struct bench *b = *state;
  uint32_t old = hello(b, "a1", 1);
  append(b, "a1", old, 1, "one", 1);
  struct pmp_store_op early = op_append("a1", 2, 1, "x", 1);
  run_fails(b, &early, PMP_ECONFLICT, "never given out");
  uint32_t now = hello(b, "a1", 2);
  struct pmp_store_op zombie = op_append("a1", old, 2, "two", 1);
  run_fails(b, &zombie, PMP_ECONFLICT, "epoch 1 is fenced");
  /* Not even what it had sent before. */
  zombie = op_append("a1", old, 1, "one", 1);
  run_fails(b, &zombie, PMP_ECONFLICT, "fenced");
  assert_int_equal(append(b, "a1", now, 1, "one", 1), 2);
  bench_reopen(b);
  run_fails(b, &zombie, PMP_ECONFLICT, "fenced");
  struct pmp_store_op again = op_append("a1", now, 1, "one", 1);
  run_ok(b, &again);
  assert_true(again.u.append.duplicate);
  assert_int_equal(again.u.append.chunk, 2);
}

static void test_bad_chunks_are_refused(void **state) {
  struct bench *b = *state;
  uint32_t epoch = hello(b, "a1", 1);
  struct pmp_store_op op = op_append("a1", epoch, 1, "x", 0);
  run_fails(b, &op, PMP_EINVALID, "at least one row");
  op = op_append("a1", epoch, 1, "", 1);
  run_fails(b, &op, PMP_EINVALID, "empty");
  op = op_append("a1", epoch, 1, "x", 2);
  op.u.append.labelled = 3;
  run_fails(b, &op, PMP_EINVALID, "cannot have 3 labels");
  op = op_append("a1", epoch, 1, "x", 1);
  memset(op.u.append.name, 'n', sizeof op.u.append.name);
  run_fails(b, &op, PMP_EINVALID, "name");
  op = (struct pmp_store_op){.kind = (enum pmp_store_kind)77};
  run_fails(b, &op, PMP_EINVALID, "no operation 77");
  assert_int_equal(append(b, "a1", epoch, 1, "x", 1), 1);
}

struct counted {
  struct pmp_store_op op;
  atomic_int *order;
  int place; /* in which it was done */
};

static void count_done(struct pmp_store_op *op) {
  struct counted *c = op->ctx;
  c->place = atomic_fetch_add(c->order, 1);
}

/* Many at once become groups; one that is refused does not take its neighbours with it, and a
 * repetition inside a group is one too. */
static void test_groups_keep_order_and_neighbours(void **state) {
  enum { N = 200 };
  struct bench *b = *state;
  static struct counted c[N];
  static char text[N][32];
  atomic_int order = 0;
  uint32_t epoch = hello(b, "a1", 1);
  uint64_t before = stats(b).commits;
  for (int i = 0; i < N; i++) {
    uint64_t seq = (uint64_t)(i / 2 + 1);
    snprintf(text[i], sizeof text[i], "chunk %d", i / 2);
    bool bad = i % 10 == 7;
    c[i] = (struct counted){.op = op_append("a1", epoch, bad ? seq + 5 : seq, text[i], 1),
                            .order = &order};
    c[i].op.done = count_done;
    c[i].op.ctx = &c[i];
    assert_int_equal(pmp_store_submit(b->store, &c[i].op), PMP_OK);
  }
  struct pmp_store_op barrier = {.kind = PMP_OP_BARRIER};
  run_ok(b, &barrier);
  assert_int_equal(atomic_load(&order), N);
  for (int i = 0; i < N; i++) {
    assert_int_equal(c[i].place, i);
    assert_int_equal(c[i].op.err, i % 10 == 7 ? PMP_ECONFLICT : PMP_OK);
    if (i % 10 == 7) continue;
    assert_int_equal(c[i].op.u.append.duplicate, i % 2 == 1);
    assert_int_equal(c[i].op.u.append.chunk, i / 2 + 1);
  }
  assert_int_equal(stats(b).rows, N / 2);
  assert_true(stats(b).commits - before < N);
  assert_int_equal(stats(b).queue, 0);
  assert_true(stats(b).queue_peak >= 1);
  assert_clean(b->path, NULL);
}

static void test_queue_pushes_back(void **state) {
  struct bench *b = *state;
  bench_close(b);
  b->config.queue_capacity = 1;
  bench_open(b);
  atomic_int order = 0;
  static struct counted c[5000];
  int taken = 0, refused = 0;
  for (int i = 0; i < 5000; i++) {
    c[taken] = (struct counted){.op = op_hello("a1", 1), .order = &order};
    c[taken].op.done = count_done;
    c[taken].op.ctx = &c[taken];
    enum pmp_err err = pmp_store_submit(b->store, &c[taken].op);
    assert_true(err == PMP_OK || err == PMP_EBUSY);
    if (err == PMP_OK) taken++;
    if (err == PMP_EBUSY) refused++;
  }
  assert_true(refused > 0);
  assert_int_equal(stats(b).refused, refused);
  bench_close(b);
  assert_int_equal(atomic_load(&order), taken);
  bench_open(b);
}

static void test_counters(void **state) {
  struct bench *b = *state;
  uint32_t epoch = hello(b, "a1", 1);
  struct pmp_store_op op = op_append("a1", epoch, 1, "labelled", 4);
  op.u.append.labelled = 4;
  run_ok(b, &op);
  append(b, "a1", epoch, 2, "to judge", 10);
  op = op_verdict("p", "r1", 2, 0, 3, 1, 1.0F);
  run_ok(b, &op);
  free_verdict(&op);
  for (int round = 0; round < 2; round++) {
    struct pmp_store_stats s = stats(b);
    assert_int_equal(s.health, PMP_STORE_HEALTHY);
    assert_string_equal(s.reason, "");
    assert_int_equal(s.rows, 14);
    assert_int_equal(s.rows_total, 14);
    assert_int_equal(s.chunks, 2);
    assert_int_equal(s.chunks_total, 2);
    assert_int_equal(s.bytes, 16);
    assert_int_equal(s.labelled_rows, 4);
    assert_int_equal(s.open_items_rows, 7);
    assert_int_equal(s.last_commit, 3);
    assert_int_equal(s.deleted_rows, 0);
    bench_reopen(b);
  }
  /* The processor's clock may be coarse: work until it shows. */
  while (pmp_store_cpu_ns(b->store) <= 0) hello(b, "a1", 1);
}

/* Compressible bytes take less room, others are kept as they are; both come back as sent. */
struct wanted {
  const char *text[2];
  int seen;
};

static enum pmp_err compare_entry(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct wanted *w = ctx;
  (void)msg;
  assert_int_equal(e->kind, PMP_ENTRY_CHUNK);
  assert_int_equal(e->bytes, strlen(w->text[w->seen]));
  assert_memory_equal(e->data, w->text[w->seen], e->bytes);
  w->seen++;
  return PMP_OK;
}

static void test_compression_is_invisible(void **state) {
  enum { N = 20000 };
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  char *even = malloc(N + 1), *noise = malloc(N + 1);
  uint32_t x = 1;
  for (int i = 0; i < N; i++) {
    x = x * 1664525U + 1013904223U;
    even[i] = (char)('a' + i % 7);
    noise[i] = (char)((x >> 24) % 255 + 1);
  }
  even[N] = noise[N] = '\0';
  uint32_t epoch = hello(b, "a1", 1);
  append(b, "a1", epoch, 1, even, 1);
  uint64_t packed = stats(b).bytes;
  assert_true(packed < N / 8);
  append(b, "a1", epoch, 2, noise, 1);
  assert_int_equal(stats(b).bytes - packed, N);
  struct pmp_reader *r = NULL;
  assert_int_equal(pmp_reader_open(&r, b->path, NULL, &msg), PMP_OK);
  struct wanted w = {.text = {even, noise}};
  assert_int_equal(pmp_reader_entries(r, 0, UINT64_MAX, compare_entry, &w, &msg), PMP_OK);
  assert_int_equal(w.seen, 2);
  pmp_reader_close(r);
  assert_clean(b->path, NULL);
  free(even);
  free(noise);
}

static void test_second_opener_is_refused(void **state) {
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_store *second = (struct pmp_store *)b;
  assert_int_equal(pmp_store_open(&second, &b->config, &msg), PMP_EBUSY);
  assert_null(second);
  assert_non_null(strstr(msg.text, "in use by another process"));
  bench_close(b);
  int pipe_fd[2];
  assert_int_equal(pipe(pipe_fd), 0);
  pid_t child = fork();
  if (child == 0) { /* holds it until it is killed */
    enum pmp_err err = pmp_store_open(&b->store, &b->config, &msg);
    uint32_t epoch = err == PMP_OK ? hello(b, "a1", 1) : 0;
    if (epoch == 1 && append(b, "a1", 1, 1, "from the child", 2) == 1 &&
        write(pipe_fd[1], "o", 1) == 1)
      pause();
    _exit(1);
  }
  char c = 0;
  assert_int_equal(read(pipe_fd[0], &c, 1), 1);
  assert_int_equal(pmp_store_open(&second, &b->config, &msg), PMP_EBUSY);
  char pid[32];
  snprintf(pid, sizeof pid, "pid %ld", (long)child);
  assert_non_null(strstr(msg.text, pid));
  kill(child, SIGKILL);
  assert_int_equal(waitpid(child, NULL, 0), child);
  assert_clean(b->path, NULL); /* as it was left, with its log */
  bench_open(b);
  assert_int_equal(stats(b).rows, 2);
  close(pipe_fd[0]);
  close(pipe_fd[1]);
}

static void test_keys_are_set_once(void **state) {
  struct bench *b = *state;
  char value[8] = "later";
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_store_meta_default(b->store, "run_id", value, sizeof value, &msg), PMP_OK);
  assert_string_equal(value, "later");
  snprintf(value, sizeof value, "now");
  assert_int_equal(pmp_store_meta_default(b->store, "run_id", value, sizeof value, &msg), PMP_OK);
  assert_string_equal(value, "later");
  assert_int_equal(pmp_store_meta_default(b->store, "run_id", value, 3, &msg), PMP_ETOOLARGE);
  bench_reopen(b);
  snprintf(value, sizeof value, "now");
  assert_int_equal(pmp_store_meta_default(b->store, "run_id", value, sizeof value, &msg), PMP_OK);
  assert_string_equal(value, "later");
  pmp_store_close(NULL);
}

static void exec_sql(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  char *why = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
  sqlite3_close(db);
}

static int64_t query_number(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  sqlite3_stmt *row = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(row), SQLITE_ROW);
  int64_t value = sqlite3_column_int64(row, 0);
  sqlite3_finalize(row);
  sqlite3_close(db);
  return value;
}

static void refuse_open(struct bench *b, enum pmp_err err, const char *words) {
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_store_open(&b->store, &b->config, &msg), err);
  if (strstr(msg.text, words) == NULL) fail_msg("no \"%s\" in: %s", words, msg.text);
  assert_null(b->store);
}

static void test_only_our_files_are_opened(void **state) {
  struct bench *b = *state;
  assert_int_equal(query_number(b->path, "PRAGMA application_id"), PMP_STORE_APPLICATION_ID);
  assert_int_equal(query_number(b->path, "PRAGMA user_version"), 5);
  assert_int_equal(query_number(b->path, "PRAGMA auto_vacuum"), 2);
  bench_close(b);
  exec_sql(b->path, "PRAGMA user_version=6");
  refuse_open(b, PMP_EUNAVAILABLE, "schema version 6; this build knows versions up to 5");
  exec_sql(b->path, "PRAGMA user_version=5; PRAGMA application_id=12");
  refuse_open(b, PMP_ECORRUPT, "another program");
  unlink(b->path);
  FILE *f = fopen(b->path, "wb");
  for (int i = 0; i < 3000; i++) fputs("no database ", f);
  fclose(f);
  refuse_open(b, PMP_ECORRUPT, "not a database");
  unlink(b->path);
  bench_open(b);
  bench_close(b);
  b->config.path = "/nowhere/at/all/store.db";
  refuse_open(b, PMP_ENOTFOUND, "/nowhere/at/all");
  b->config.path = b->path;
  bench_open(b);
}

/* A file of version 1, written by hand: what it holds is there after the steps that it lacks, and
 * they work. */
static const char version_1[] =
    "PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE counter(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE actor(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE actor_state(actor INTEGER PRIMARY KEY REFERENCES actor(id), chunk INTEGER NOT "
    "NULL,"
    " state BLOB NOT NULL) STRICT;"
    "CREATE TABLE mark(actor INTEGER NOT NULL REFERENCES actor(id), epoch INTEGER NOT NULL,"
    " instance BLOB NOT NULL CHECK(length(instance) = 16), seq INTEGER NOT NULL DEFAULT 0, hash "
    "BLOB,"
    " chunk INTEGER NOT NULL DEFAULT 0, ack_version INTEGER NOT NULL DEFAULT 0,"
    " rows INTEGER NOT NULL DEFAULT 0, chunks INTEGER NOT NULL DEFAULT 0, wall_ns INTEGER NOT NULL,"
    " PRIMARY KEY(actor, epoch), UNIQUE(actor, instance)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE chunk(id INTEGER PRIMARY KEY, actor INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, rows INTEGER NOT NULL CHECK(rows > 0),"
    " labelled INTEGER NOT NULL CHECK(labelled BETWEEN 0 AND rows), shape INTEGER NOT NULL,"
    " source INTEGER NOT NULL, version_min INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " stored INTEGER NOT NULL, encoding INTEGER NOT NULL, hash BLOB NOT NULL, wall_ns INTEGER NOT "
    "NULL,"
    " FOREIGN KEY(actor, epoch) REFERENCES mark(actor, epoch)) STRICT;"
    "CREATE TABLE chunk_data(id INTEGER PRIMARY KEY REFERENCES chunk(id), data BLOB NOT NULL) "
    "STRICT;"
    "INSERT INTO meta VALUES('run_id', 'old run');"
    "INSERT INTO actor VALUES(1, 'a1');"
    /* XXH3-128 of the five bytes below, as `xxhsum -H2` prints it. */
    "INSERT INTO mark VALUES(1, 1, x'01010101010101010101010101010101', 1,"
    " x'b5e9c1ad071b3e7fc779cfaa5e523818', 7, 3, 2, 1, 5);"
    "INSERT INTO chunk VALUES(7, 1, 1, 1, 2, 0, 1, 1, 0, 5, 5, 0,"
    " x'b5e9c1ad071b3e7fc779cfaa5e523818', 5);"
    "INSERT INTO chunk_data VALUES(7, CAST('hello' AS BLOB));"
    "PRAGMA application_id=0x706d706f; PRAGMA user_version=1;";

static void test_an_older_file_is_brought_forward(void **state) {
  struct bench *b = *state;
  char value[32] = "new run";
  struct pmp_errmsg msg = {{0}};
  bench_close(b);
  unlink(b->path);
  exec_sql(b->path, version_1);
  bench_open(b);
  assert_int_equal(query_number(b->path, "PRAGMA user_version"), 5);
  assert_int_equal(stats(b).rows, 2);
  assert_int_equal(stats(b).last_commit, 7);
  assert_int_equal(pmp_store_meta_default(b->store, "run_id", value, sizeof value, &msg), PMP_OK);
  assert_string_equal(value, "old run");
  struct pmp_store_op again = op_append("a1", hello(b, "a1", 1), 1, "hello", 2);
  run_ok(b, &again);
  assert_true(again.u.append.duplicate);
  assert_int_equal(again.u.append.chunk, 7);
  assert_int_equal(again.u.append.ack_version, 3);
  struct pmp_store_op verdict = op_verdict("p", "r", 7, 0, 1, 1, 1.0F);
  run_ok(b, &verdict);
  assert_int_equal(verdict.u.verdict.commit, 8);
  assert_int_equal(verdict.u.verdict.labels, 1);
  assert_memory_equal(verdict.u.verdict.data, "hello", 5);
  free_verdict(&verdict);
  assert_clean(b->path, NULL);
}

/* An empty file, and one of which only the first page was made. */
static void test_an_empty_file_becomes_a_store(void **state) {
  struct bench *b = *state;
  bench_close(b);
  unlink(b->path);
  fclose(fopen(b->path, "wb"));
  bench_open(b);
  assert_int_equal(append(b, "a1", hello(b, "a1", 1), 1, "x", 1), 1);
  bench_close(b);
  unlink(b->path);
  exec_sql(b->path,
           "PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL");
  bench_open(b);
  assert_int_equal(append(b, "a1", hello(b, "a1", 1), 1, "x", 1), 1);
  assert_clean(b->path, NULL);
}

struct sender {
  struct bench *b;
  char name[16];
  int chunks;
};

static void *send_chunks(void *arg) {
  struct sender *s = arg;
  char text[32];
  uint32_t epoch = hello(s->b, s->name, 1);
  for (int i = 1; i <= s->chunks; i++) {
    snprintf(text, sizeof text, "%s %d", s->name, i);
    append(s->b, s->name, epoch, (uint64_t)i, text, 2);
  }
  return NULL;
}

static enum pmp_err count_entry(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  uint64_t *last = ctx;
  (void)msg;
  assert_true(e->commit > *last);
  *last = e->commit;
  return PMP_OK;
}

/* Several senders and a reader beside them. */
static void test_many_threads(void **state) {
  enum { SENDERS = 4, CHUNKS = 100 };
  struct bench *b = *state;
  struct pmp_errmsg msg = {{0}};
  pthread_t thread[SENDERS];
  struct sender s[SENDERS];
  for (int i = 0; i < SENDERS; i++) {
    s[i] = (struct sender){.b = b, .chunks = CHUNKS};
    snprintf(s[i].name, sizeof s[i].name, "a%d", i);
    assert_int_equal(pthread_create(&thread[i], NULL, send_chunks, &s[i]), 0);
  }
  struct pmp_reader *r = NULL;
  assert_int_equal(pmp_reader_open(&r, b->path, NULL, &msg), PMP_OK);
  for (int i = 0; i < 5; i++) {
    uint64_t last = 0;
    assert_int_equal(pmp_reader_entries(r, 0, UINT64_MAX, count_entry, &last, &msg), PMP_OK);
    (void)stats(b);
  }
  for (int i = 0; i < SENDERS; i++) pthread_join(thread[i], NULL);
  uint64_t last = 0;
  assert_int_equal(pmp_reader_entries(r, 0, UINT64_MAX, count_entry, &last, &msg), PMP_OK);
  assert_int_equal(last, SENDERS * CHUNKS);
  pmp_reader_close(r);
  assert_int_equal(stats(b).rows, SENDERS * CHUNKS * 2);
  assert_clean(b->path, NULL);
}

/* The log is copied into the database while work goes on, and begins anew. */
static void test_the_log_stays_small(void **state) {
  struct bench *b = *state;
  static char text[20000];
  char log[200];
  bench_close(b);
  b->config.log_bytes_max = 200000;
  b->config.compress_level = 0;
  bench_open(b);
  uint32_t epoch = hello(b, "a1", 1);
  long largest = 0;
  snprintf(log, sizeof log, "%s-wal", b->path);
  for (int seq = 1; seq <= 300; seq++) {
    memset(text, 'a' + seq % 20, sizeof text - 1);
    append(b, "a1", epoch, (uint64_t)seq, text, 1);
    FILE *f = fopen(log, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    if (ftell(f) > largest) largest = ftell(f);
    fclose(f);
  }
  assert_true(largest > 100000);
  assert_true(largest < 500000); /* of 6 MB */
  assert_clean(b->path, NULL);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, bench_setup, bench_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_STORE(test_hello_gives_epochs),
      WITH_STORE(test_hello_tells_what_is_there),
      WITH_STORE(test_every_rule_of_a_sequence),
      WITH_STORE(test_epochs_fence_older_instances),
      WITH_STORE(test_bad_chunks_are_refused),
      WITH_STORE(test_groups_keep_order_and_neighbours),
      WITH_STORE(test_queue_pushes_back),
      WITH_STORE(test_counters),
      WITH_STORE(test_compression_is_invisible),
      WITH_STORE(test_second_opener_is_refused),
      WITH_STORE(test_keys_are_set_once),
      WITH_STORE(test_only_our_files_are_opened),
      WITH_STORE(test_an_older_file_is_brought_forward),
      WITH_STORE(test_an_empty_file_becomes_a_store),
      WITH_STORE(test_many_threads),
      WITH_STORE(test_the_log_stays_small),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
