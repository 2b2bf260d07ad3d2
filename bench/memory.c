/* The daemon's resident memory for cartpole with a million rows in the learner's ring, less the
 * ring's own: after the rows came in live and some training, and again after a restart. The ring is
 * counted by the pages that it has touched, as a ring with the same rows in this process shows;
 * what it has asked for (the status' replay.bytes) is more. */
#include "bench/support/daemon.h"

enum { RUNS_MAX = 3, ROWS = 1000000, CHUNK = 1000, TRAIN_S = 3 };
static const double WAIT_S = 120.0;

/* Resident bytes of a ring with the same rows. */
static double ring_bytes(void) {
  struct pmp_trainer_config config;
  struct pmp_replay *ring = NULL;
  struct pmp_errmsg msg = {{0}};
  recipe_cartpole(&config);
  double before = daemon_memory(getpid(), "VmRSS:");
  bench_must(pmp_replay_open(&ring, &config.replay, &msg), "ring", &msg);
  recipe_fill(ring, &config, ROWS + 10 * CHUNK);
  double bytes = daemon_memory(getpid(), "VmRSS:") - before;
  pmp_replay_close(ring);
  return bytes;
}

/* What the daemon's memory is made of, in MB. */
struct memory {
  double beyond, resident, asked; /* beyond the ring; all; replay.bytes */
};

/* PMP_EINTERNAL when the ring is not full: the comparison would say nothing. */
static enum pmp_err look(const struct daemon *d, struct pmpo *desk, double ring, struct memory *m,
                         struct pmp_errmsg *msg) {
  struct daemon_status status = {.arena = {.base = NULL}};
  enum pmp_err err = daemon_wait_learner(desk, &status, WAIT_S, msg);
  sleep(TRAIN_S);
  if (err == PMP_OK) err = daemon_ask(desk, &status, msg);
  if (err == PMP_OK) {
    double rows = daemon_number(&status, "replay.trainable");
    m->resident = daemon_memory(d->pid, "VmRSS:") / 1e6;
    m->asked = daemon_number(&status, "replay.bytes") / 1e6;
    m->beyond = m->resident - fmin(ring / 1e6, m->asked);
    if (daemon_number(&status, "learner.steps") < 1.0)
      err = pmp_fail(msg, PMP_EINTERNAL, "the learner did not step");
    if (rows < 0.99 * ROWS)
      err = pmp_fail(msg, PMP_EINTERNAL, "only %.0f rows are in the ring", rows);
  }
  pmp_arena_fini(&status.arena);
  return err;
}

static enum pmp_err fill_and_look(const char *dir, bool fill, double ring, struct memory *m,
                                  struct pmp_errmsg *msg) {
  struct daemon d;
  struct pmpo *actor = NULL, *desk = NULL;
  struct recipe_rows rows;
  recipe_rows_init(&rows, 5, 1, 0);
  const char *set[DAEMON_SETS_MAX];
  int n = 0;
  for (; recipe_cartpole_settings[n] != NULL; n++) set[n] = recipe_cartpole_settings[n];
  set[n++] = "learner.min_size=900000"; /* rows before it are not held back */
  set[n++] = "learner.tolerance=1e9";
  set[n] = NULL;
  enum pmp_err err = daemon_start(&d, dir, set, -1, msg);
  if (err == PMP_OK) err = daemon_client(&d, PMP_ROLE_ACTOR, "bench", NULL, &actor, msg);
  if (err == PMP_OK) err = daemon_client(&d, PMP_ROLE_OBSERVER, "bench", NULL, &desk, msg);
  if (err == PMP_OK && fill) err = daemon_send_rows(actor, &rows, ROWS + 10 * CHUNK, CHUNK, msg);
  if (err == PMP_OK) err = look(&d, desk, ring, m, msg);
  pmpo_close(actor);
  pmpo_close(desk);
  daemon_stop(&d);
  recipe_rows_fini(&rows);
  return err;
}

int main(int argc, char **argv) {
  struct bench b;
  int code = bench_begin(&b, argc, argv, "memory",
                         "Resident memory of pmpod for cartpole with a million rows, less the "
                         "replay ring's bytes.\nGoal: at most 150 MB.");
  if (code >= 0) return code;
  const int runs = b.quick ? 1 : RUNS_MAX;
  double live[RUNS_MAX], restarted[RUNS_MAX];
  struct memory m = {0.0, 0.0, 0.0};
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = PMP_OK;
  char dir[512];
  double ring = ring_bytes();
  for (int i = 0; i < runs && err == PMP_OK; i++) {
    daemon_fresh_folder(dir, sizeof dir, "memory");
    err = fill_and_look(dir, true, ring, &m, &msg);
    live[i] = m.beyond;
    if (err == PMP_OK) err = fill_and_look(dir, false, ring, &m, &msg);
    restarted[i] = m.beyond;
    daemon_wipe(dir);
  }
  if (err != PMP_OK) {
    bench_missing(&b, "memory.live", "MB", "<=150", msg.text);
    bench_missing(&b, "memory.restarted", "MB", "<=150", msg.text);
    return 0;
  }
  bench_at_most(&b, "memory.live", bench_median(live, (size_t)runs), "MB", 150.0,
                "after rows and training");
  bench_at_most(&b, "memory.restarted", bench_median(restarted, (size_t)runs), "MB", 150.0,
                "the same after a restart, the ring filled from the store");
  bench_note(&b, "memory.resident", m.resident, "MB");
  bench_note(&b, "memory.ring_resident", ring / 1e6, "MB");
  bench_note(&b, "memory.ring_asked", m.asked, "MB");
  return 0;
}
