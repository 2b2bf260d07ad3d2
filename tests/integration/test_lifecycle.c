/* Start, stop, signals, resume, --check, and a bandit that learns from one end to the other. */
#include "tests/support/small_run.h"

#include "base/rng.h"
#include "policy/policy.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

static void feed(struct small_run *s, uint64_t *seq, int chunks) {
  for (int i = 0; i < chunks; i++) {
    struct test_outcomes o;
    test_outcomes_draw(&o, 100 + *seq, 64);
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    (*seq)++;
    assert_int_equal(test_rpc_append_wait(&s->actor, *seq, &c, NULL, 0, 10000), PMP_OK);
  }
}

static void restart(struct small_run *s, bool kill) {
  small_run_disconnect(s);
  if (kill) {
    test_pmpod_kill(&s->d);
  } else {
    test_pmpod_stop(&s->d);
  }
  test_pmpod_start(&s->d);
  small_run_connect(s, 1);
}

static void a_second_daemon_on_the_same_folder_is_refused(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  small_run_start(&s);
  char out[4096];
  const char *const argv[] = {"--dir", s.d.dir,
                              "--set", "listen.desk=tcp://127.0.0.1:0",
                              "--set", "listen.data=tcp://127.0.0.1:0",
                              NULL};
  assert_int_equal(test_pmpod_run(out, sizeof out, argv), 1);
  assert_non_null(strstr(out, "in use"));
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK); /* the first does not mind */
  uint64_t seq = 0;
  feed(&s, &seq, 1);
  small_run_fini(&s);
}

static void wrong_addresses_are_refused_at_start(void **state) {
  (void)state;
  static const struct {
    const char *desk, *say;
  } bad[] = {{"listen.desk=tcp://0.0.0.0:0", "beyond loopback"},
             {"listen.desk=tcp://*:0", "beyond loopback"},
             {"listen.desk=tls+tcp://127.0.0.1:0", "takes a certificate"},
             {"listen.desk=tcp://192.0.2.1:7447", "beyond loopback"},
             {"listen.desk=nonsense", "beyond loopback"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct test_pmpod d;
    test_pmpod_init(&d);
    char out[4096];
    const char *const argv[] = {"--dir", d.dir, "--set", bad[i].desk, NULL};
    assert_int_equal(test_pmpod_run(out, sizeof out, argv), 2);
    if (!strstr(out, bad[i].say)) fail_msg("%s: %s", bad[i].desk, out);
    test_pmpod_fini(&d);
  }
}

static void sigterm_writes_a_checkpoint_and_exits_0(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  small_run_start(&s);
  uint64_t seq = 0;
  feed(&s, &seq, 8);
  const double steps = test_rpc_wait_number(&s.observer, "learner.steps", 20, 10000);
  restart(&s, false);
  assert_true(test_rpc_wait_number(&s.observer, "learner.checkpoint_step", 0, 1000) >= 0);
  assert_true(test_rpc_wait_number(&s.observer, "learner.steps", steps, 5000) >= steps);
  assert_int_equal((int)test_rpc_number(&s.observer, "env.steps"), 512);
  /* SIGINT does the same, and so does an operator. */
  small_run_disconnect(&s);
  test_pmpod_signal(&s.d, SIGINT);
  assert_int_equal(test_pmpod_wait(&s.d), 0);
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_STOP, "", ""), PMP_OK);
  assert_int_equal(test_pmpod_wait(&s.d), 0);
  small_run_disconnect(&s);
  size_t size;
  char *log = test_file_read(s.d.log, &size);
  assert_non_null(strstr(log, "PMP-END exit=0"));
  assert_null(strstr(log, "ERROR"));
  free(log);
  small_run_fini(&s);
}

/* Held appends and long polls do not keep the daemon from ending. */
static void it_stops_while_calls_are_held(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.append_hold_ms=10000");
  test_pmpod_set(&s.d, "limits.chunk_rows=64");
  small_run_start(&s);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_PAUSE, "", ""), PMP_OK);
  s.actor.wait_ms = 300;
  enum pmp_err err = PMP_OK;
  for (uint64_t seq = 1; err == PMP_OK && seq < 50; seq++) {
    struct test_outcomes o;
    test_outcomes_draw(&o, seq, 64);
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    err = test_rpc_append(&s.actor, seq, &c, NULL, 0);
  }
  assert_int_equal(err, PMP_ETIMEOUT); /* it is held */
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "ingest.held"), 1);
  struct pmp_request q = {.verb = PMP_VERB_WEIGHTS,
                          .u.weights = {.newer_than = UINT64_MAX, .wait_ms = 30000}};
  s.watcher.wait_ms = 100;
  assert_int_equal(test_rpc_call(&s.watcher, &q), PMP_ETIMEOUT);
  test_pmpod_stop(&s.d);
  small_run_fini(&s);
}

static void the_log_may_go_away(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  int fd[2];
  assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
  snprintf(s.d.log, sizeof s.d.log, "/dev/fd/%d", fd[1]);
  test_pmpod_start(&s.d);
  close(fd[0]);
  close(fd[1]);
  small_run_connect(&s, 1); /* hello is logged */
  uint64_t seq = 0;
  feed(&s, &seq, 2);
  test_pmpod_signal(&s.d, SIGTERM);
  assert_int_equal(test_pmpod_wait(&s.d), 0);
  small_run_fini(&s);
}

static void a_resumed_run_goes_on_from_its_checkpoint(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  small_run_start(&s);
  uint64_t seq = 0;
  feed(&s, &seq, 6);
  test_rpc_wait_number(&s.observer, "learner.steps", 15, 10000);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_CHECKPOINT, "", ""), PMP_OK);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  const double saved = test_rpc_number(&s.observer, "learner.checkpoint_step");
  assert_true(saved >= 15);
  feed(&s, &seq, 4);
  restart(&s, true);
  test_rpc_wait_number(&s.observer, "learner.steps", saved, 10000);
  assert_int_equal(seq, 10);
  test_rpc_wait_number(&s.observer, "replay.trainable", 640, 10000);
  assert_int_equal((int)test_rpc_number(&s.observer, "store.rows"), 640);
  assert_int_equal((int)test_rpc_number(&s.observer, "env.steps"), 640);
  feed(&s, &seq, 4); /* D grew by what was committed since: it goes on */
  test_rpc_wait_number(&s.observer, "learner.steps", saved + 10, 10000);
  small_run_fini(&s);
}

static void sighup_reads_the_live_settings_again(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  s.d.sets = 0;
  snprintf(s.d.config, sizeof s.d.config, "%s/pmpod.yaml", s.d.root);
  static const char one[] = "learner:\n  batch: 16\n  min_size: 32\n  capacity: 4096\noptim:\n  "
                            "lr: 0.01\ncritic:\n  lr: 0.1\n";
  static const char two[] = "learner:\n  batch: 64\n  min_size: 32\n  capacity: 4096\n  "
                            "refresh_period: 7\noptim:\n  lr: 0.02\n"
                            "critic:\n  lr: 0.1\n";
  test_file_write(s.d.config, one, sizeof one - 1);
  test_pmpod_set(&s.d, "objective.alpha=0.75"); /* the command line stays above the file */
  small_run_start(&s);
  test_file_write(s.d.config, two, sizeof two - 1);
  test_pmpod_signal(&s.d, SIGHUP);
  test_rpc_wait_number(&s.observer, "learner.lr", 0.0199, 5000);
  for (int waited = 0;; waited += 10) {
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    if (test_rpc_number(&s.observer, "learner.refresh_period") == 7) break;
    assert_true(waited < 5000);
    test_sleep_ms(10);
  }
  assert_true(test_rpc_number(&s.observer, "learner.alpha") == 0.75);
  assert_true(test_rpc_number(&s.observer, "learner.beta_0") == 0.5); /* nobody touched it */
  /* A word is its number, whoever says it. */
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_SET, "objective.beta", "0.25"),
                   PMP_OK);
  test_rpc_wait_number(&s.observer, "learner.beta_0", 0.25, 5000);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_SET, "objective.beta", "papers"),
                   PMP_OK);
  assert_true(test_rpc_wait_number(&s.observer, "learner.beta_0", 0.5, 5000) == 0.5);
  static const char broken[] = "learner:\n  bath: 64\n";
  test_file_write(s.d.config, broken, sizeof broken - 1);
  test_pmpod_signal(&s.d, SIGHUP);
  size_t size;
  char *log = NULL;
  for (int waited = 0; waited < 5000; waited += 20) {
    free(log);
    log = test_file_read(s.d.log, &size);
    if (strstr(log, "bath")) break;
    test_sleep_ms(20);
  }
  assert_non_null(strstr(log, "bath"));
  assert_non_null(strstr(log, "learner.batch")); /* needs a restart */
  free(log);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  small_run_fini(&s);
}

/* Turns a byte of a file. */
static void damage(const char *path, double where) {
  size_t size;
  char *data = test_file_read(path, &size);
  assert_non_null(data);
  assert_true(size > 0);
  data[(size_t)((double)(size - 1) * where)] ^= 0x40;
  test_file_write(path, data, size);
  free(data);
}

static float spoiled(float x) {
  unsigned char bytes[4];
  memcpy(bytes, &x, 4);
  bytes[0] ^= 0x40;
  memcpy(&x, bytes, 4);
  return x;
}

/* Turns the first byte of a value, wherever in the file it is; turns it back when given the turned
 * one. */
static void damage_value(const char *path, const void *value, size_t bytes) {
  size_t size;
  char *data = test_file_read(path, &size);
  assert_non_null(data);
  unsigned char old[16];
  memcpy(old, value, bytes);
  int found = 0;
  for (char *at = data; (at = memmem(at, size - (size_t)(at - data), old, bytes)); found++)
    at[0] ^= 0x40;
  assert_true(found > 0); /* a free page may hold a copy */
  test_file_write(path, data, size);
  free(data);
}

/* Newest checkpoint's folder. */
static void newest_checkpoint(const struct test_pmpod *d, char out[900]) {
  char path[400], best[300] = "";
  snprintf(path, sizeof path, "%s/checkpoints", d->dir);
  DIR *dir = opendir(path);
  assert_non_null(dir);
  for (struct dirent *e; (e = readdir(dir));) {
    if (strncmp(e->d_name, "step-", 5) == 0 && strcmp(e->d_name, best) > 0)
      snprintf(best, sizeof best, "%s", e->d_name);
  }
  closedir(dir);
  assert_true(best[0] != '\0');
  snprintf(out, 900, "%s/%s", path, best);
}

static void expect_clean(const char *const *argv) {
  char out[8192];
  if (test_pmpod_run(out, sizeof out, argv) != 0) fail_msg("%s", out);
}

/* An event of this kind is in the audit, its detail a JSON object with this text in it. */
static void expect_json_event(struct small_run *s, const char *kind, const char *key,
                              const char *part) {
  struct pmp_request q = {.verb = PMP_VERB_EVENTS, .u.events = {.after = UINT64_MAX, .count = 100}};
  for (int waited = 0; waited < 5000; waited += 20) {
    assert_int_equal(test_rpc_call(&s->observer, &q), PMP_OK);
    const struct pmp_events_reply *e = &s->observer.reply.u.events;
    for (uint32_t i = 0; i < e->count; i++) {
      if (strcmp(e->event[i].kind, kind) != 0) continue;
      json_t *detail = json_loads(e->event[i].detail, 0, NULL);
      assert_true(json_is_object(detail));
      const char *value = json_string_value(json_object_get(detail, key));
      assert_non_null(value);
      assert_non_null(strstr(value, part));
      json_decref(detail);
      return;
    }
    test_sleep_ms(20);
  }
  fail_msg("no event %s", kind);
}

static void check_names_what_is_damaged(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  small_run_start(&s);
  uint64_t seq = 0;
  feed(&s, &seq, 40);
  test_rpc_wait_number(&s.observer, "learner.steps", 100, 10000);
  char out[8192], path[1000], file[1100];
  const char *const argv[] = {"--check", s.d.dir, NULL}, *const json[] = {"--check", s.d.dir,
                                                                          "--json", NULL};
  expect_clean(argv); /* while it runs */
  small_run_disconnect(&s);
  test_pmpod_stop(&s.d);
  assert_int_equal(test_pmpod_run(out, sizeof out, argv), 0);
  assert_non_null(strstr(out, "0 faults"));

  newest_checkpoint(&s.d, path);
  snprintf(file, sizeof file, "%s/state.safetensors", path);
  damage(file, 0.9);
  assert_int_equal(test_pmpod_run(out, sizeof out, argv), 1);
  assert_non_null(strstr(out, "state.safetensors"));
  assert_non_null(strstr(out, strrchr(path, '/') + 1));
  damage(file, 0.9); /* turned back */
  expect_clean(argv);
  snprintf(file, sizeof file, "%s/manifest.json", path);
  damage(file, 0.5);
  assert_int_equal(test_pmpod_run(out, sizeof out, json), 1);
  assert_non_null(strstr(out, "\"faults\":1"));
  assert_non_null(strstr(out, "manifest"));

  /* The daemon takes the one before and says so. */
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  test_rpc_wait_number(&s.observer, "learner.version", 1, 5000);
  size_t size;
  char *log = test_file_read(s.d.log, &size);
  assert_non_null(strstr(log, "PMP-CHECKPOINT-BAD"));
  free(log);
  expect_json_event(&s, "checkpoint_bad", "reason", "manifest");
  small_run_disconnect(&s);
  test_pmpod_stop(&s.d);

  if (access(file, F_OK) == 0) damage(file, 0.5);
  expect_clean(argv);

  snprintf(file, sizeof file, "%s/store.db", s.d.dir);
  for (uint64_t i = 0; i < 40; i += 13) { /* a number of a sample */
    struct test_outcomes o;
    test_outcomes_draw(&o, 100 + i, 64);
    damage_value(file, &o.y[50], sizeof o.y[50]);
    assert_int_equal(test_pmpod_run(out, sizeof out, argv), 1);
    char chunk[40];
    snprintf(chunk, sizeof chunk, "chunk %d", (int)i + 1);
    if (!strstr(out, chunk)) fail_msg("%s is not named: %s", chunk, out);
    o.y[50][0] = spoiled(o.y[50][0]);
    damage_value(file, &o.y[50], sizeof o.y[50]);
  }
  expect_clean(argv);
  truncate(file, 8192) == 0 ? (void)0 : fail();
  assert_int_equal(test_pmpod_run(out, sizeof out, argv), 1);
  const char *const nothing[] = {"--check", s.d.root, NULL};
  assert_int_equal(test_pmpod_run(out, sizeof out, nothing), 2);
  small_run_fini(&s);
}

/* Rows of the store's table of checkpoints. */
static int checkpoint_rows(const struct test_pmpod *d, sqlite3_int64 *first_commit) {
  char path[400];
  sqlite3 *db = NULL;
  sqlite3_stmt *row = NULL;
  snprintf(path, sizeof path, "%s/store.db", d->dir);
  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  sqlite3_busy_timeout(db, 5000);
  static const char sql[] = "SELECT count(*), min(first_commit) FROM checkpoint";
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(row), SQLITE_ROW);
  const int count = sqlite3_column_int(row, 0);
  *first_commit = sqlite3_column_int64(row, 1);
  sqlite3_finalize(row);
  sqlite3_close(db);
  return count;
}

/* The table of checkpoints holds back retention; when that fills the store, a new checkpoint takes
 * the oldest one's place. */
static void a_full_store_makes_room(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "learner.capacity=500");
  test_pmpod_set(&s.d, "store.capacity_rows=1000");
  test_pmpod_set(&s.d, "checkpoint.period_s=0");
  test_pmpod_set(&s.d, "checkpoint.keep=1");
  small_run_start(&s);
  uint64_t seq = 0;
  sqlite3_int64 needed = 0;
  feed(&s, &seq, 10);
  assert_int_equal(checkpoint_rows(&s.d, &needed), 1);
  assert_int_equal(needed, 1); /* of the checkpoint at the start */
  while (seq < 24) {           /* 1536 rows; what is refused meanwhile is sent again */
    struct test_outcomes o;
    test_outcomes_draw(&o, 100 + seq, 64);
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    enum pmp_err err = PMP_EUNAVAILABLE;
    for (int waited = 0; err == PMP_EUNAVAILABLE && waited < 20000; waited += 50) {
      err = test_rpc_append_wait(&s.actor, seq + 1, &c, NULL, 0, 10000);
      if (err == PMP_EUNAVAILABLE) test_sleep_ms(50);
    }
    if (err != PMP_OK) fail_msg("chunk %d: %s", (int)seq + 1, s.actor.reply.message);
    seq++;
  }
  assert_int_equal(checkpoint_rows(&s.d, &needed), 1);
  assert_true(needed > 1);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_true(test_rpc_number(&s.observer, "store.deleted_rows") > 0);
  const double kept = test_rpc_number(&s.observer, "store.rows");
  if (kept > 1250) fail_msg("%g rows are kept, 1000 and a quarter are allowed", kept);
  const double rows = test_rpc_number(&s.observer, "store.rows_total");
  assert_true(rows == 1536);
  restart(&s, true); /* what is left is enough to resume */
  test_rpc_wait_number(&s.observer, "replay.trainable", 500, 10000);
  small_run_fini(&s);
}

static void a_store_of_another_kind_is_refused(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  small_run_start(&s);
  small_run_disconnect(&s);
  test_pmpod_stop(&s.d);
  test_pmpod_set(&s.d, "spec.action_dim=3");
  int status = 0;
  assert_false(test_pmpod_try(&s.d, &status));
  assert_int_equal(WEXITSTATUS(status), 1);
  size_t size;
  char *log = test_file_read(s.d.log, &size);
  assert_non_null(strstr(log, "another kind of samples"));
  free(log);
  small_run_fini(&s);
}

/* Samples of the reference, judged by top_k over f = -|y - target|^2, make the mean go to the
 * target. */
static void a_bandit_learns(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "learner.samples_per_insert=8");
  test_pmpod_set(&s.d, "learner.refresh_period=20");
  test_pmpod_set(&s.d, "learner.max_staleness=4");
  test_pmpod_set(&s.d, "policy.init_std=1");
  test_pmpod_set(&s.d, "optim.lr=0.02");
  test_pmpod_set(&s.d, "run.seed=5");
  small_run_start(&s);
  test_rpc_wait_number(&s.observer, "weights.version", 1, 5000);
  static const float target[2] = {1.5f, -2.0f};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 17, 0);
  struct pmp_policy policy;
  double first = 0, last = 0;
  for (uint64_t seq = 1; seq <= 150; seq++) {
    struct pmp_request q = {.verb = PMP_VERB_WEIGHTS, .u.weights = {.length = 1024}};
    assert_int_equal(test_rpc_call(&s.actor, &q), PMP_OK);
    const struct pmp_weights_reply *w = &s.actor.reply.u.weights;
    if (seq == 1) {
      struct pmp_policy_spec spec;
      assert_int_equal(pmp_policy_spec_from_json(&spec, w->policy, strlen(w->policy), NULL),
                       PMP_OK);
      assert_int_equal(pmp_policy_init(&policy, &spec, NULL), PMP_OK);
    }
    float params[4], mean[2];
    assert_int_equal(w->data.size, sizeof params);
    memcpy(params, w->data.data, sizeof params);
    struct test_outcomes o;
    test_outcomes_draw(&o, 1, 32);
    o.version = w->version;
    assert_int_equal(pmp_dist_sample(&policy.spec.dist, 1, 32, params, &rng, &o.y[0][0]), PMP_OK);
    for (int i = 0; i < 32; i++) {
      const float a = o.y[i][0] - target[0], b = o.y[i][1] - target[1];
      o.f[i] = -(a * a + b * b);
    }
    assert_int_equal(pmp_dist_mode(&policy.spec.dist, 1, params, mean), PMP_OK);
    last = pow(mean[0] - target[0], 2) + pow(mean[1] - target[1], 2);
    if (seq == 1) first = last;
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    assert_int_equal(test_rpc_append_wait(&s.actor, seq, &c, NULL, 0, 10000), PMP_OK);
  }
  if (!(last < 0.05 * first))
    fail_msg("squared distance %g at the start, %g at the end", first, last);
  small_run_fini(&s);
}

/* The wall clock jumps by a day on every second look; nothing hangs on it. */
static void wall_clock_jumps_change_nothing(void **state) {
  (void)state;
  static const char library[] = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
  skip(); /* a sanitizer's library must be the first one */
#endif
  if (access(library, R_OK) != 0) skip();
  struct small_run s;
  small_run_init(&s);
  char file[400];
  snprintf(file, sizeof file, "%s/faketime", s.d.root);
  test_file_write(file, "+0", 2);
  setenv("FAKETIME_TIMESTAMP_FILE", file, 1);
  setenv("FAKETIME_NO_CACHE", "1", 1);
  setenv("DONT_FAKE_MONOTONIC", "1", 1);
  s.d.preload = library;
  small_run_start(&s);
  uint64_t seq = 0;
  static const char *const jump[] = {"+40d", "-400d", "+0", "-1d"};
  for (int i = 0; i < 4; i++) {
    test_file_write(file, jump[i], strlen(jump[i]));
    feed(&s, &seq, 4);
    test_rpc_wait_number(&s.observer, "learner.steps", (double)seq * 64 / 16 - 8, 10000);
    const struct pmp_number v = {"return", 1};
    struct pmp_request q = {.verb = PMP_VERB_REPORT, .u.report = {.value = &v, .count = 1}};
    assert_int_equal(test_rpc_call(&s.actor_desk, &q), PMP_OK);
  }
  /* History keeps the order of steps, whatever the clock said. */
  const char *const names[] = {"actor.return"};
  struct pmp_request h = {.verb = PMP_VERB_HISTORY, .u.history = {.name = names, .names = 1}};
  for (int waited = 0; waited < 5000; waited += 10) {
    assert_int_equal(test_rpc_call(&s.observer, &h), PMP_OK);
    if (s.observer.reply.u.history.series[0].points >= 4) break;
    test_sleep_ms(10);
  }
  const struct pmp_series *r = &s.observer.reply.u.history.series[0];
  assert_int_equal(r->points, 4);
  bool jumped = false;
  for (uint32_t i = 1; i < r->points; i++) {
    assert_true(r->step[i] >= r->step[i - 1]);
    jumped |= r->wall_ns[i] < r->wall_ns[i - 1];
  }
  assert_true(jumped); /* else the test tests nothing */
  assert_int_equal(test_rpc_status(&s.observer),
                   PMP_OK); /* sessions and leases are on the other clock */
  small_run_disconnect(&s);
  test_pmpod_stop(&s.d);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_second_daemon_on_the_same_folder_is_refused),
      cmocka_unit_test(wrong_addresses_are_refused_at_start),
      cmocka_unit_test(sigterm_writes_a_checkpoint_and_exits_0),
      cmocka_unit_test(it_stops_while_calls_are_held),
      cmocka_unit_test(the_log_may_go_away),
      cmocka_unit_test(a_resumed_run_goes_on_from_its_checkpoint),
      cmocka_unit_test(sighup_reads_the_live_settings_again),
      cmocka_unit_test(check_names_what_is_damaged),
      cmocka_unit_test(a_full_store_makes_room),
      cmocka_unit_test(a_store_of_another_kind_is_refused),
      cmocka_unit_test(a_bandit_learns),
      cmocka_unit_test(wall_clock_jumps_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
