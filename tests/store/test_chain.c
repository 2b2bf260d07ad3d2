/* The audit log as a chain: verdicts and settings are in it, what is in it stays, and whoever
 * changes it all the same is found out. */
#include "auth/chain.h"
#include "tests/store/support.h"

#include <sqlite3.h>

static int run_sql(struct bench *b, const char *sql, char *why, size_t size) {
  sqlite3 *db = NULL;
  char *text = NULL;
  assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
  const int rc = sqlite3_exec(db, sql, NULL, NULL, &text);
  if (why) snprintf(why, size, "%s", text ? text : "");
  sqlite3_free(text);
  sqlite3_close(db);
  return rc;
}

static void add_event(struct bench *b, const char *kind) {
  struct pmp_store_op op = {.kind = PMP_OP_EVENT};
  op.u.event = (struct pmp_store_event){.who = "w", .kind = kind, .detail = "{}"};
  run_ok(b, &op);
}

struct seen {
  bool parts; /* not all events from the first on: the chain cannot be followed */
  uint8_t hash[PMP_CHAIN_BYTES];
  uint64_t count, chained, last;
  char kinds[512], last_detail[512], last_who[80];
};

static enum pmp_err see(void *ctx, const struct pmp_reader_event *e) {
  struct seen *s = ctx;
  s->count++;
  s->last = e->id;
  snprintf(s->kinds + strlen(s->kinds), sizeof s->kinds - strlen(s->kinds), "%s ", e->kind);
  snprintf(s->last_detail, sizeof s->last_detail, "%s", e->detail);
  snprintf(s->last_who, sizeof s->last_who, "%s", e->who);
  if (!e->hash || s->parts) return PMP_OK;
  s->chained++;
  pmp_chain_next(s->hash, e->id, e->wall_ns, e->who, e->kind, e->detail);
  assert_memory_equal(s->hash, e->hash, PMP_CHAIN_BYTES);
  return PMP_OK;
}

static void look(struct bench *b, bool all, uint64_t after, uint32_t max, struct seen *s) {
  struct pmp_reader *r = NULL;
  struct pmp_errmsg msg = {{0}};
  memset(s, 0, sizeof *s);
  s->parts = !all || after != 0;
  assert_int_equal(pmp_reader_open(&r, b->path, NULL, &msg), PMP_OK);
  assert_int_equal(pmp_reader_events(r, after, max, all, see, s, &msg), PMP_OK);
  pmp_reader_close(r);
}

static void verdicts_and_settings_are_links_of_it(void **state) {
  struct bench *b = *state;
  append(b, "a", hello(b, "a", 1), 1, "chunk", 10);
  add_event(b, "start");
  struct pmp_store_op v = op_verdict("ada", "r\"1", 1, 2, 3, 1, 0.9F);
  run_ok(b, &v);
  free_verdict(&v);
  struct seen s;
  look(b, true, 0, 100, &s);
  assert_string_equal(s.kinds, "start verdict ");
  assert_string_equal(s.last_who, "ada");
  assert_string_equal(s.last_detail,
                      "{\"commit\":2,\"item\":\"1:2+3\",\"judgement\":\"accept\","
                      "\"confidence\":0.9,\"request\":\"r\\\"1\",\"state\":\"active\","
                      "\"replaces\":null}");
  run_ok(b, &v); /* the same request: no other verdict, no event */
  assert_true(v.u.verdict.duplicate);
  free_verdict(&v);
  v = op_verdict("ada", "r2", 1, 2, 3, 2, 1.0F);
  run_ok(b, &v);
  free_verdict(&v);
  look(b, true, 0, 100, &s);
  assert_string_equal(s.kinds, "start verdict verdict ");
  assert_non_null(strstr(s.last_detail, "\"judgement\":\"reject\""));
  assert_non_null(strstr(s.last_detail, "\"replaces\":2"));
  v = op_verdict("ada", "r3", 1, 2, 3, 4, 0);
  run_ok(b, &v);
  free_verdict(&v);
  struct pmp_store_op set = {.kind = PMP_OP_SETTING};
  set.u.setting = (struct pmp_store_setting){.key = "lr", .value = "1", .who = "op"};
  run_ok(b, &set);
  bench_reopen(b); /* goes on where it was */
  add_event(b, "start");
  look(b, true, 0, 100, &s);
  assert_string_equal(s.kinds, "start verdict verdict verdict setting start ");
  assert_int_equal(s.chained, 6);
  look(b, false, UINT64_MAX, 2, &s); /* the newest but verdicts */
  assert_int_equal(s.count, 2);
  look(b, false, 0, 100, &s);
  assert_int_equal(s.count, 3);
  assert_clean(b->path, NULL);
}

static void an_event_stays_as_it_is(void **state) {
  struct bench *b = *state;
  char why[128];
  add_event(b, "one");
  add_event(b, "two");
  assert_int_not_equal(run_sql(b, "UPDATE event SET who = 'x'", why, sizeof why), SQLITE_OK);
  assert_non_null(strstr(why, "never changed"));
  assert_int_not_equal(run_sql(b, "DELETE FROM event WHERE id = 1", why, sizeof why), SQLITE_OK);
  assert_non_null(strstr(why, "never deleted"));
  struct seen s;
  look(b, true, 0, 10, &s);
  assert_int_equal(s.chained, 2);
}

struct tampering {
  const char *sql, *fault;
};

static void whoever_changes_it_is_found_out(void **state) {
  static const struct tampering cases[] = {
      {"UPDATE event SET detail = '{\"a\":1}' WHERE id = 2", "event 2: it, or its place"},
      {"UPDATE event SET who = 'eve' WHERE id = 1", "event 1: it, or its place"},
      {"UPDATE event SET wall_ns = wall_ns + 1 WHERE id = 3", "event 3: it, or its place"},
      {"DELETE FROM event WHERE id = 2", "event 3: events before it are missing"},
      {"DELETE FROM event WHERE id = 1", "event 2: events before it are missing"},
      {"UPDATE event SET hash = NULL WHERE id = 2", "event 2: it has no hash"},
      {"UPDATE event SET hash = zeroblob(32) WHERE id = 3", "event 3: it, or its place"},
      {"UPDATE event SET hash = NULL", "event 1: it has no hash"},
      {"UPDATE event SET detail = detail || char(0) || 'more' WHERE id = 2",
       "event 2: a text with a NUL"},
      {"UPDATE verdict SET judgement = 2", "verdict 2: it is not what its event tells"},
      {"UPDATE verdict SET principal = 'eve'", "verdict 2: it is not what its event tells"},
      {"DELETE FROM verdict", "1 verdicts that events tell of are not there"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    void *made = NULL;
    assert_int_equal(bench_setup(&made), 0);
    struct bench *b = made;
    for (int n = 0; n < 4; n++) add_event(b, "e");
    append(b, "a", hello(b, "a", 1), 1, "chunk", 10);
    struct pmp_store_op v = op_verdict("ada", "r1", 1, 2, 3, 1, 0.9F);
    run_ok(b, &v);
    free_verdict(&v);
    bench_close(b);
    assert_clean(b->path, NULL);
    char sql[512];
    snprintf(sql, sizeof sql, "DROP TRIGGER event_stays; DROP TRIGGER event_is_kept; %s",
             cases[i].sql);
    assert_int_equal(run_sql(b, sql, NULL, 0), SQLITE_OK);
    struct faults f;
    assert_true(check_store(b->path, NULL, &f) > 0);
    if (!strstr(f.text, cases[i].fault)) fail_msg("no \"%s\" in:\n%s", cases[i].fault, f.text);
    bench_teardown(&made);
  }
}

/* A store of version 3 with events, made from a new one. */
static void events_of_an_older_store_have_no_hash(void **state) {
  struct bench *b = *state;
  bench_close(b);
  assert_int_equal(run_sql(b,
                           "DROP TABLE gold; DROP TRIGGER event_stays; DROP TRIGGER event_is_kept;"
                           "DROP INDEX event_other; ALTER TABLE event DROP COLUMN hash;"
                           "INSERT INTO event(wall_ns, who, kind, detail) VALUES"
                           " (5, 'daemon', 'start', '{}'), (6, 'op', 'pause', '{}');"
                           "PRAGMA user_version = 3;",
                           NULL, 0),
                   SQLITE_OK);
  bench_open(b);
  add_event(b, "new");
  bench_reopen(b);
  add_event(b, "newer");
  struct seen s;
  look(b, true, 0, 100, &s);
  assert_string_equal(s.kinds, "start pause new newer ");
  assert_int_equal(s.chained, 2);
  assert_clean(b->path, NULL);
}

/* A transaction that fails takes its links back. */
static void a_refused_operation_leaves_no_link(void **state) {
  struct bench *b = *state;
  add_event(b, "one");
  struct pmp_store_op bad = {.kind = PMP_OP_EVENT};
  bad.u.event = (struct pmp_store_event){.who = "w", .kind = "k", .detail = "no object"};
  assert_int_equal(pmp_store_run(b->store, &bad), PMP_EINVALID);
  struct pmp_store_op v = op_verdict("ada", "r", 77, 0, 1, 1, 1.0F);
  assert_int_equal(pmp_store_run(b->store, &v), PMP_ENOTFOUND);
  add_event(b, "two");
  struct seen s;
  look(b, true, 0, 100, &s);
  assert_string_equal(s.kinds, "one two ");
  assert_int_equal(s.chained, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(verdicts_and_settings_are_links_of_it, bench_setup,
                                      bench_teardown),
      cmocka_unit_test_setup_teardown(an_event_stays_as_it_is, bench_setup, bench_teardown),
      cmocka_unit_test(whoever_changes_it_is_found_out),
      cmocka_unit_test_setup_teardown(events_of_an_older_store_have_no_hash, bench_setup,
                                      bench_teardown),
      cmocka_unit_test_setup_teardown(a_refused_operation_leaves_no_link, bench_setup,
                                      bench_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
