/* Numbers of the reference over restarts: they never go back, and rows keep their age although the
 * numbers jump. */
#include "tests/support/small_run.h"

#include <sqlite3.h>

/* Chunk `seq`, drawn by reference `version`. */
static void append_of(struct small_run *s, uint64_t seq, uint32_t rows, uint64_t version) {
  struct test_outcomes o;
  test_outcomes_draw(&o, 300 + seq, rows);
  o.version = version;
  const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  const enum pmp_err err = test_rpc_append_wait(&s->actor, seq, &c, NULL, 0, 10000);
  if (err != PMP_OK) fail_msg("chunk %d: %s", (int)seq, s->actor.reply.message);
}

/* Newest version that is out. */
static uint64_t newest(struct small_run *s) {
  struct pmp_request q = {.verb = PMP_VERB_WEIGHTS, .u.weights = {.length = 1024}};
  assert_int_equal(test_rpc_call(&s->watcher, &q), PMP_OK);
  assert_int_equal(s->watcher.reply.u.weights.data.size, 4 * sizeof(float));
  return s->watcher.reply.u.weights.version;
}

static void expect_gone(struct small_run *s, uint64_t version) {
  struct pmp_request q = {.verb = PMP_VERB_WEIGHTS, .u.weights = {.version = version}};
  if (test_rpc_call(&s->watcher, &q) != PMP_ENOTFOUND)
    fail_msg("version %d is given to other weights", (int)version);
}

/* The number that the learner of the daemon that runs began with: by the time that somebody asks,
 * it may have gone on. */
static uint64_t begun_with(struct small_run *s) {
  static const char words[] = "PMP-LEARN-READY version=";
  test_rpc_wait_number(&s->observer, "weights.version", 1, 10000);
  char *log = test_file_read(s->d.log, NULL), *last = NULL;
  assert_non_null(log);
  for (char *at = log; (at = strstr(at, words)); at += sizeof words - 1) last = at;
  assert_non_null(last);
  const uint64_t version = strtoull(last + sizeof words - 1, NULL, 10);
  free(log);
  return version;
}

static void end(struct small_run *s, bool killed) {
  small_run_disconnect(s);
  if (killed) {
    test_pmpod_kill(&s->d);
  } else {
    test_pmpod_stop(&s->d);
  }
}

/* As a lockstep run of an earlier build left it: no numbers were reserved. */
static void forget_reservations(const struct test_pmpod *d) {
  char path[400];
  sqlite3 *db = NULL;
  snprintf(path, sizeof path, "%s/store.db", d->dir);
  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
  static const char sql[] = "DELETE FROM counter WHERE key = 'reserved_version'";
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_changes(db), 1);
  sqlite3_close(db);
}

/* A run made in lockstep, where numbers are not waited for, that goes on without. */
static void lockstep_is_left(bool killed) {
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.chunk_rows=64");
  test_pmpod_set(&s.d, "learner.refresh_period=2");
  test_pmpod_set(&s.d, "checkpoint.period_s=0");
  test_pmpod_set(&s.d, "run.lockstep=true");
  small_run_start(&s);
  for (uint64_t seq = 1; seq <= 6; seq++) append_of(&s, seq, 64, 1);
  const uint64_t last = newest(&s);
  assert_true(last >= 10);
  end(&s, killed);
  if (!killed) forget_reservations(&s.d);

  s.d.set[s.d.sets - 1] = "run.lockstep=false";
  test_pmpod_start(&s.d);
  small_run_connect(&s, 2);
  const uint64_t first = begun_with(&s);
  assert_true(newest(&s) >= first);
  if (first <= last) fail_msg("version %d after the restart, %d before it", (int)first, (int)last);
  for (uint64_t version = 1; version <= last; version++) expect_gone(&s, version);
  append_of(&s, 1, 64, first);
  test_rpc_wait_number(&s.observer, "weights.version", (double)first + 1, 10000);
  const uint64_t then = newest(&s);
  end(&s, true);
  test_pmpod_start(&s.d); /* and on, without lockstep */
  small_run_connect(&s, 3);
  assert_true(begun_with(&s) > then);
  small_run_fini(&s);
}

static void versions_go_on_when_lockstep_is_left(void **state) {
  (void)state;
  lockstep_is_left(false);
}

static void versions_go_on_when_lockstep_is_left_after_a_kill(void **state) {
  (void)state;
  lockstep_is_left(true);
}

static void refresh(struct small_run *s) {
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  const double before = test_rpc_number(&s->observer, "learner.version");
  assert_int_equal(test_rpc_control(&s->operator_, PMP_CONTROL_REFRESH, "", ""), PMP_OK);
  test_rpc_wait_number(&s->observer, "learner.version", before + 1, 10000);
}

static void expect_trainable(struct small_run *s, int rows) {
  int seen = -1;
  for (int waited = 0; waited <= 10000; waited += 10) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    const char *now = test_rpc_text(&s->observer, "state");
    seen = (int)test_rpc_number(&s->observer, "replay.trainable");
    if (seen == rows && strcmp(now, "loading") != 0) return;
    test_sleep_ms(10);
  }
  fail_msg("%d rows are trainable, %d should be", seen, rows);
}

/* Versions 1 to 4 are out, rows of each age are in, 3 refreshes outdate; nothing trains. */
static void rows_of_all_ages(struct small_run *s) {
  small_run_init(s);
  test_pmpod_set(&s->d, "learner.min_size=4096");
  test_pmpod_set(&s->d, "learner.refresh_period=0");
  test_pmpod_set(&s->d, "learner.max_staleness=2");
  test_pmpod_set(&s->d, "checkpoint.period_s=0");
  small_run_start(s);
  test_rpc_wait_number(&s->observer, "weights.version", 1, 10000);
  append_of(s, 1, 64, 1);
  for (int i = 0; i < 3; i++) refresh(s);
  append_of(s, 2, 32, 3);
  append_of(s, 3, 16, 4);
  append_of(s, 4, 8, 1); /* outdated when it comes */
  expect_trainable(s, 48);
}

static void expect_ages(struct small_run *s) {
  expect_trainable(s, 48); /* ages 1 and 0 */
  refresh(s);
  expect_trainable(s, 48); /* 2 and 1 */
  refresh(s);
  expect_trainable(s, 16); /* 2 */
  refresh(s);
  expect_trainable(s, 0);
}

static void rows_keep_their_age(bool killed, int restarts) {
  struct small_run s;
  rows_of_all_ages(&s);
  for (int i = 0; i < restarts; i++) {
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    const double version = test_rpc_number(&s.observer, "learner.version");
    end(&s, killed);
    test_pmpod_start(&s.d);
    small_run_connect(&s, (uint8_t)(2 + i));
    test_rpc_wait_number(&s.observer, "learner.version", version + 3,
                         10000); /* else there was no jump, and nothing is tested */
    expect_trainable(&s, 48);
  }
  expect_ages(&s);
  small_run_fini(&s);
}

static void rows_keep_their_age_over_a_stop(void **state) {
  (void)state;
  rows_keep_their_age(false, 1);
  rows_keep_their_age(false, 3);
}

/* The checkpoint is of version 1; versions 2 to 4 are lived through again. */
static void rows_keep_their_age_over_a_kill(void **state) {
  (void)state;
  rows_keep_their_age(true, 1);
  rows_keep_their_age(true, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(versions_go_on_when_lockstep_is_left),
      cmocka_unit_test(versions_go_on_when_lockstep_is_left_after_a_kill),
      cmocka_unit_test(rows_keep_their_age_over_a_stop),
      cmocka_unit_test(rows_keep_their_age_over_a_kill),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
