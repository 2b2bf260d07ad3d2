/* A whole learner step at the size that papers use for a humanoid against the same mathematics in
 * JAX (one jitted step) and PyTorch (eager), on one core and on two, in turns. From the same
 * parameters, batches and noise the peers must come to the same numbers first.
 *
 * Our steps draw their rows from a ring of 100,000 and make their noise; the peers are given both.
 */
#include "bench/support/daemon.h"
#include "bench/support/learner_case.h"
#include "bench/support/peer_process.h"

enum { ROUNDS_MAX = 11, RING_ROWS = 100000, THREADS_MAX = 2, WARM = 5 };
enum { JAX, TORCH, PEERS };
static const double GOAL[PEERS] = {1.7, 2.0}, APART_MAX = 1e-4;
static const char *const PEER[PEERS] = {"jax", "torch"};

/* Our ways to step. The first is the one that peers are compared with number by number. */
enum { FLOAT32, WAYS };
static const char *const WAY[WAYS] = {""};

/* Seconds a step, by round: the clock's, and those of all threads on their cores. */
struct timing {
  double wall[ROUNDS_MAX], busy[ROUNDS_MAX];
};

/* One number of threads. */
struct turn {
  int threads, rounds;
  struct pmp_trainer *trainer[WAYS];
  struct peer_process peer[PEERS];
  double flops; /* of a step's products */
  struct timing ours[WAYS], theirs[PEERS];
};

/* ---------------------------------------------------------------- one number of threads */

/* This process on the first cores that it may use, as the peers do. */
static void pin(const cpu_set_t *allowed, int threads) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (size_t core = 0; core < CPU_SETSIZE && CPU_COUNT(&set) < threads; core++)
    if (CPU_ISSET(core, allowed)) CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) abort();
}

static double busy_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct peer_seconds steps(struct pmp_trainer *t, int count) {
  struct pmp_step_metrics m;
  struct pmp_errmsg msg = {{0}};
  bool refreshed;
  const int64_t start = bench_now();
  const double busy = busy_seconds();
  for (int i = 0; i < count; i++)
    bench_must(pmp_trainer_step(t, &m, &refreshed, &msg), "step", &msg);
  return (struct peer_seconds){bench_seconds(start), busy_seconds() - busy};
}

static void turn_open(struct turn *t, const char *folder) {
  struct pmp_trainer_config config;
  char threads[16];
  recipe_humanoid(&config);
  config.threads = t->threads;
  for (int w = 0; w < WAYS; w++) {
    t->trainer[w] = recipe_open(&config, pmp_clock_real(), RING_ROWS);
    if (w == FLOAT32) case_save(t->trainer[w], folder);
    uint64_t flops = pmp_trainer_compute(t->trainer[w])->flops;
    steps(t->trainer[w], 1);
    t->flops = (double)(pmp_trainer_compute(t->trainer[w])->flops - flops);
    steps(t->trainer[w], WARM);
  }
  snprintf(threads, sizeof threads, "%d", t->threads);
  for (int p = 0; p < PEERS; p++) {
    const char *const args[] = {folder, PEER[p], threads, NULL};
    if (peer_process_start(&t->peer[p], PEER[p], "learner_peers.py", args))
      peer_process_run(&t->peer[p], WARM);
  }
}

static void keep(struct timing *to, int round, struct peer_seconds took, int each) {
  usleep(20000); /* threads that wait for more work wait actively for a while */
  to->wall[round] = took.wall / each;
  to->busy[round] = took.busy / each;
}

static void turn_play(struct turn *t, int each) {
  for (int i = 0; i < t->rounds; i++) {
    for (int w = 0; w < WAYS; w++) keep(&t->ours[w], i, steps(t->trainer[w], each), each);
    for (int p = 0; p < PEERS; p++)
      keep(&t->theirs[p], i, peer_process_run(&t->peer[p], each), each);
  }
}

static void turn_close(struct turn *t) {
  for (int p = 0; p < PEERS; p++) peer_process_stop(&t->peer[p]);
  for (int w = 0; w < WAYS; w++) pmp_trainer_close(t->trainer[w]);
}

/* ---------------------------------------------------------------- figures */

static double ratio_of(const double *theirs, const double *ours, int rounds) {
  double ratio[ROUNDS_MAX];
  for (int i = 0; i < rounds; i++) ratio[i] = theirs[i] / ours[i];
  return bench_median(ratio, (size_t)rounds);
}

static void note(const struct bench *b, const char *who, const char *what, int threads,
                 double value, const char *unit) {
  char name[64];
  snprintf(name, sizeof name, "learner_step.%s%s%s_%d", who, who[0] != 0 ? "_" : "", what, threads);
  bench_note(b, name, value, unit);
}

static void note_rate(const struct bench *b, const struct turn *t, const char *who,
                      const struct timing *times) {
  double wall[ROUNDS_MAX];
  memcpy(wall, times->wall, sizeof wall);
  const double seconds = bench_median(wall, (size_t)t->rounds);
  note(b, who, "rate", t->threads, 1 / seconds, "steps/s");
  note(b, who, "gflops", t->threads, t->flops / seconds / 1e9, "GFLOP/s");
}

/* The ratio to one peer; NaN when it is not known or not comparable. */
static double report_peer(const struct bench *b, struct turn *t, int p) {
  const struct peer_process *peer = &t->peer[p];
  const struct timing *ours = &t->ours[FLOAT32], *theirs = &t->theirs[p];
  char name[64], apart[64], goal[24], reason[400];
  snprintf(name, sizeof name, "learner_step.%s_%d", PEER[p], t->threads);
  snprintf(apart, sizeof apart, "learner_step.%s_apart_%d", PEER[p], t->threads);
  snprintf(goal, sizeof goal, ">=%g", GOAL[p]);
  if (peer->said.reason[0] != 0) {
    bench_missing(b, name, "ratio", goal, peer->said.reason);
    return NAN;
  }
  bench_at_most(b, apart, peer->said.value, "relative", APART_MAX, peer->rest);
  if (!(peer->said.value <= APART_MAX)) {
    snprintf(reason, sizeof reason, "it computes something else: %.200s", peer->rest);
    bench_missing(b, name, "ratio", goal, reason);
    return NAN;
  }
  const double ratio = ratio_of(theirs->wall, ours->wall, t->rounds);
  bench_at_least(b, name, ratio, "ratio", GOAL[p], "PEER_rate_N and rate_N are the two sides");
  note(b, PEER[p], "by_core", t->threads, ratio_of(theirs->busy, ours->busy, t->rounds), "ratio");
  note_rate(b, t, PEER[p], theirs);
  return ratio;
}

static void report_turn(const struct bench *b, struct turn *t, double least[PEERS]) {
  for (int w = 0; w < WAYS; w++) note_rate(b, t, WAY[w], &t->ours[w]);
  for (int p = 0; p < PEERS; p++) {
    const double ratio = report_peer(b, t, p);
    least[p] = isnan(least[p]) || isnan(ratio) ? NAN : fmin(least[p], ratio);
  }
}

static void report_least(const struct bench *b, const double least[PEERS]) {
  char name[64], goal[24];
  for (int p = 0; p < PEERS; p++) {
    snprintf(name, sizeof name, "learner_step.%s", PEER[p]);
    snprintf(goal, sizeof goal, ">=%g", GOAL[p]);
    if (isnan(least[p]))
      bench_missing(b, name, "ratio", goal, "not known for each number of threads, see above");
    else
      bench_at_least(b, name, least[p], "ratio", GOAL[p], "the least of those above");
  }
}

int main(int argc, char **argv) {
  struct bench b;
  cpu_set_t allowed;
  char folder[512];
  double least[PEERS] = {INFINITY, INFINITY};
  int code = bench_begin(&b, argc, argv, "learner_step",
                         "A humanoid's learner step against JAX (jit) and PyTorch (eager) on 1 and "
                         "2 cores.\nGoals: 1.7 times JAX and twice PyTorch in the same run, the "
                         "same numbers to 1e-4.");
  if (code >= 0) return code;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) abort();
  const int cores = CPU_COUNT(&allowed);
  daemon_fresh_folder(folder, sizeof folder, "learner_step");
  for (int threads = 1; threads <= THREADS_MAX && threads <= cores; threads++) {
    struct turn t = {.threads = threads, .rounds = b.quick ? 3 : ROUNDS_MAX};
    pin(&allowed, threads);
    turn_open(&t, folder);
    turn_play(&t, b.quick ? 5 : 10);
    report_turn(&b, &t, least);
    turn_close(&t);
  }
  for (int p = 0; p < PEERS && cores < THREADS_MAX; p++) least[p] = NAN;
  report_least(&b, least);
  daemon_wipe(folder);
  return 0;
}
