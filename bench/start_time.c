/* How long pmpod takes from its start to the first answered status: in an empty folder, and in one
 * with a million rows of cartpole; there also until the learner has them in memory. The large
 * folder is made once and kept. */
#include "bench/support/daemon.h"

enum { RUNS_MAX = 15, LARGE_RUNS_MAX = 5, ROWS = 1000000, CHUNK = 64, ACTORS = 4 };
static const double WAIT_S = 120.0;

/* Seconds until the first answered status, and until the learner has everything that is stored. */
static enum pmp_err start_once(const char *dir, double *serving, double *ready, double *rows,
                               struct pmp_errmsg *msg) {
  struct daemon d;
  struct daemon_status status = {.arena = {.base = NULL}};
  struct pmpo *desk = NULL;
  enum pmp_err err = daemon_start(&d, dir, recipe_cartpole_settings, -1, msg);
  if (err == PMP_OK) err = daemon_client(&d, PMP_ROLE_OBSERVER, "bench", NULL, &desk, msg);
  if (err == PMP_OK) err = daemon_ask(desk, &status, msg);
  if (err == PMP_OK) *serving = bench_seconds(d.forked_ns);
  if (err == PMP_OK) err = daemon_wait_learner(desk, &status, WAIT_S, msg);
  if (err == PMP_OK) {
    *ready = bench_seconds(d.forked_ns);
    *rows = daemon_number(&status, "replay.trainable");
  }
  pmpo_close(desk);
  daemon_stop(&d);
  pmp_arena_fini(&status.arena);
  return err;
}

/* ---------------------------------------------------------------- the large folder */

/* Chunks as small as actors send them, from several at once. */
static enum pmp_err send_all(const struct daemon *d, struct pmp_errmsg *msg) {
  struct pmpo *actor[ACTORS] = {NULL};
  struct recipe_rows rows[ACTORS];
  enum pmp_err err = PMP_OK;
  for (uint32_t i = 0; i < ACTORS; i++) {
    char name[24];
    snprintf(name, sizeof name, "bench-%u", i);
    recipe_rows_init(&rows[i], 5, 1, i);
    if (err == PMP_OK) err = daemon_client(d, PMP_ROLE_ACTOR, name, NULL, &actor[i], msg);
  }
  for (uint32_t sent = 0; sent < ROWS + 10000 && err == PMP_OK; sent += ACTORS * CHUNK) {
    for (int i = 0; i < ACTORS && err == PMP_OK; i++) {
      recipe_rows_next(&rows[i], CHUNK);
      struct pmp_chunk c = daemon_trajectories(&rows[i]);
      err = pmpo_append(actor[i], &c, (struct pmp_bytes){0}, msg);
    }
  }
  for (int i = 0; i < ACTORS; i++) {
    if (err == PMP_OK) err = pmpo_flush(actor[i], 60000, msg);
    pmpo_close(actor[i]);
    recipe_rows_fini(&rows[i]);
  }
  return err;
}

static enum pmp_err fill(const char *dir, struct pmp_errmsg *msg) {
  struct daemon d;
  struct daemon_status status = {.arena = {.base = NULL}};
  struct pmpo *desk = NULL;
  const char *set[DAEMON_SETS_MAX];
  int n = 0;
  for (; recipe_cartpole_settings[n] != NULL; n++) set[n] = recipe_cartpole_settings[n];
  set[n++] = "learner.samples_per_insert=0";
  set[n] = NULL;
  enum pmp_err err = daemon_start(&d, dir, set, -1, msg);
  if (err == PMP_OK) err = daemon_client(&d, PMP_ROLE_OBSERVER, "bench", NULL, &desk, msg);
  if (err == PMP_OK) err = send_all(&d, msg);
  if (err == PMP_OK) err = daemon_wait_learner(desk, &status, WAIT_S, msg);
  pmpo_close(desk);
  daemon_stop(&d);
  pmp_arena_fini(&status.arena);
  return err;
}

/* A folder with at least a million rows that this pmpod can open. */
static enum pmp_err large_folder(char *dir, size_t size, struct pmp_errmsg *msg) {
  double serving, ready, rows = 0.0;
  daemon_folder(dir, size, "rows-1e6-by-64");
  if (start_once(dir, &serving, &ready, &rows, msg) == PMP_OK && rows > 0.99 * ROWS) return PMP_OK;
  daemon_fresh_folder(dir, size, "rows-1e6-by-64");
  PMP_TRY(fill(dir, msg));
  PMP_TRY(start_once(dir, &serving, &ready, &rows, msg));
  if (rows > 0.99 * ROWS) return PMP_OK;
  return pmp_fail(msg, PMP_EINTERNAL, "%.0f rows are in the ring, there should be %d", rows, ROWS);
}

/* ---------------------------------------------------------------- figures */

static void empty(const struct bench *b) {
  const int runs = b->quick ? 5 : RUNS_MAX;
  double serving[RUNS_MAX], ready[RUNS_MAX], rows;
  struct pmp_errmsg msg = {{0}};
  char dir[512];
  for (int i = 0; i < runs; i++) {
    daemon_fresh_folder(dir, sizeof dir, "start_time");
    if (start_once(dir, &serving[i], &ready[i], &rows, &msg) != PMP_OK) {
      bench_missing(b, "start_time.empty", "s", "<=0.2", msg.text);
      daemon_wipe(dir);
      return;
    }
  }
  daemon_wipe(dir);
  bench_at_most(b, "start_time.empty", bench_median(serving, (size_t)runs), "s", 0.2,
                "from fork to the first answered status");
  bench_note(b, "start_time.empty_ready", bench_median(ready, (size_t)runs), "s");
}

static void large(const struct bench *b) {
  const int runs = b->quick ? 3 : LARGE_RUNS_MAX;
  double serving[LARGE_RUNS_MAX], ready[LARGE_RUNS_MAX], rows;
  struct pmp_errmsg msg = {{0}};
  char dir[512];
  enum pmp_err err = large_folder(dir, sizeof dir, &msg);
  for (int i = 0; i < runs && err == PMP_OK; i++) {
    err = start_once(dir, &serving[i], &ready[i], &rows, &msg);
    if (err == PMP_OK && rows < 0.99 * ROWS)
      err = pmp_fail(&msg, PMP_EINTERNAL, "only %.0f rows are in the ring", rows);
  }
  if (err != PMP_OK) {
    bench_missing(b, "start_time.rows_1e6", "s", "<=3", msg.text);
    bench_missing(b, "start_time.rows_1e6_ready", "s", "<=3", msg.text);
    return;
  }
  bench_note(b, "start_time.rows", rows, "rows");
  bench_at_most(b, "start_time.rows_1e6", bench_median(serving, (size_t)runs), "s", 3.0,
                "from fork to the first answered status");
  bench_at_most(b, "start_time.rows_1e6_ready", bench_median(ready, (size_t)runs), "s", 3.0,
                "from fork until the learner has every row in memory");
}

int main(int argc, char **argv) {
  struct bench b;
  int code = bench_begin(&b, argc, argv, "start_time",
                         "From pmpod's start to its first answered status, on an empty store and "
                         "with a million rows.\nGoals: 0.2 s and 3 s; the latter also until the "
                         "learner has all rows in memory.");
  if (code >= 0) return code;
  empty(&b);
  large(&b);
  return 0;
}
