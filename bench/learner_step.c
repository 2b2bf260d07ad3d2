/* A whole learner step at the size that papers use for a humanoid against the same mathematics in
 * JAX (one jitted step) and PyTorch (eager), on one core and on two, in turns. From the same
 * parameters, batches and noise the peers must come to the same numbers first.
 *
 * The same with bfloat16 products (parameters, gradients and sums in float32) against JAX's
 * float32, and what the core's multiply-adds alone would allow, measured in the same rounds.
 *
 * Our steps draw their rows from a ring of 100,000 and make their noise; the peers are given both.
 */
#include "bench/support/daemon.h"
#include "bench/support/learner_case.h"
#include "bench/support/peak.h"
#include "bench/support/peer_process.h"

enum { ROUNDS_MAX = 11, RING_ROWS = 100000, THREADS_MAX = 2, WARM = 5 };
enum { JAX, TORCH, PEERS };
static const double GOAL[PEERS] = {1.7, 2.0}, APART_MAX = 1e-4;
static const char *const PEER[PEERS] = {"jax", "torch"};

/* Our ways to step. The first is the one that peers are compared with number by number; the second
 * must come near its losses. */
enum { FLOAT32, BF16, WAYS };
static const char *const WAY[WAYS] = {"", "bf16"};
static const double BF16_APART_MAX = 1e-2, BF16_GOAL = 3.0, BF16_GOAL_TILES = 5.0;

/* Seconds a step, by round: the clock's, and those of all threads on their cores. */
struct timing {
  double wall[ROUNDS_MAX], busy[ROUNDS_MAX];
};

/* One number of threads. */
struct turn {
  int threads, rounds;
  struct pmp_trainer *trainer[WAYS]; /* NULL: this processor cannot */
  struct case_said said[WAYS];       /* by the first steps */
  struct peer_process peer[PEERS];
  double flops; /* of a step's products */
  struct timing ours[WAYS], theirs[PEERS];
  double peak[WAYS][ROUNDS_MAX]; /* FLOP/s of a core that does nothing else, or NaN */
};

/* The ratios that the goals are about, the least of all numbers of threads; NaN: not known. */
struct least {
  double peer[PEERS], bf16;
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

/* Can bfloat16 be multiplied here? If not, why. */
static bool bf16_there(struct pmp_errmsg *why) {
  struct pmp_compute probe = {0};
  const bool there = pmp_compute_cpu(&probe, 1) == PMP_OK &&
                     pmp_compute_prepare(&probe, PMP_PRECISION_BF16, why) == PMP_OK;
  pmp_compute_close(&probe);
  return there;
}

/* 5 times where the processor has tiles (AMX), 3 times where it has AVX512-BF16. */
static double bf16_goal(void) {
#if defined(__x86_64__) && !defined(__clang__) /* clang 14 does not know the name */
  if (__builtin_cpu_supports("amx-bf16")) return BF16_GOAL_TILES;
#endif
  return BF16_GOAL;
}

static void way_open(struct turn *t, int way, const char *folder) {
  struct pmp_trainer_config config;
  recipe_humanoid(&config);
  config.threads = t->threads;
  config.precision = way == BF16 ? PMP_PRECISION_BF16 : PMP_PRECISION_FLOAT32;
  struct pmp_trainer *trainer = t->trainer[way] = recipe_open(&config, pmp_clock_real(), RING_ROWS);
  if (way == FLOAT32)
    case_save(trainer, folder, &t->said[way]);
  else
    for (int i = 0; i < CASE_CHECKS; i++) case_step(trainer, t->said[way].step[i]);
  const uint64_t flops = pmp_trainer_compute(trainer)->flops;
  steps(trainer, 1);
  t->flops = (double)(pmp_trainer_compute(trainer)->flops - flops);
  steps(trainer, WARM);
}

static void turn_open(struct turn *t, const char *folder) {
  struct pmp_errmsg why;
  char threads[16];
  way_open(t, FLOAT32, folder);
  if (bf16_there(&why)) way_open(t, BF16, folder);
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
    for (int w = 0; w < WAYS; w++) {
      if (t->trainer[w] != NULL) keep(&t->ours[w], i, steps(t->trainer[w], each), each);
      t->peak[w][i] = peak_measure(w == BF16);
    }
    for (int p = 0; p < PEERS; p++)
      keep(&t->theirs[p], i, peer_process_run(&t->peer[p], each), each);
  }
}

static void turn_close(struct turn *t) {
  for (int p = 0; p < PEERS; p++) peer_process_stop(&t->peer[p]);
  for (int w = 0; w < WAYS; w++)
    if (t->trainer[w] != NULL) pmp_trainer_close(t->trainer[w]);
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

/* How near a step comes to what its cores can multiply and add at most, by their own time; and the
 * ratio to JAX that nothing but this would allow. */
static void note_peak(const struct bench *b, const struct turn *t, int way) {
  double peak[ROUNDS_MAX], share[ROUNDS_MAX], most[ROUNDS_MAX];
  for (int i = 0; i < t->rounds; i++) {
    peak[i] = t->peak[way][i];
    share[i] = t->flops / t->ours[way].busy[i] / peak[i];
    most[i] = t->theirs[JAX].busy[i] * peak[i] / t->flops;
  }
  const size_t rounds = (size_t)t->rounds;
  if (!isfinite(peak[0])) return;
  note(b, WAY[way], "peak", t->threads, bench_median(peak, rounds) / 1e9, "GFLOP/s_a_core");
  note(b, WAY[way], "peak_share", t->threads, bench_median(share, rounds), "ratio");
  if (isfinite(most[0]))
    note(b, WAY[way], "jax_at_peak", t->threads, bench_median(most, rounds), "ratio");
}

/* bfloat16 against JAX's float32; NaN when it is not known. */
static double report_bf16(const struct bench *b, struct turn *t) {
  struct pmp_errmsg why = {{0}};
  char name[64], apart[64], goal[24];
  snprintf(name, sizeof name, "learner_step.bf16_%d", t->threads);
  snprintf(apart, sizeof apart, "learner_step.bf16_apart_%d", t->threads);
  snprintf(goal, sizeof goal, ">=%g", bf16_goal());
  if (t->trainer[BF16] == NULL) {
    bf16_there(&why);
    bench_missing(b, name, "ratio", goal, why.text);
    return NAN;
  }
  bench_at_most(b, apart, case_losses_apart(&t->said[FLOAT32], &t->said[BF16]), "relative",
                BF16_APART_MAX, "losses of the first steps, against float32's");
  if (t->peer[JAX].said.reason[0] != 0) {
    bench_missing(b, name, "ratio", goal, t->peer[JAX].said.reason);
    return NAN;
  }
  const double ratio = ratio_of(t->theirs[JAX].wall, t->ours[BF16].wall, t->rounds);
  bench_at_least(b, name, ratio, "ratio", bf16_goal(),
                 "bf16_jax_at_peak_N is what the core's multiply-adds alone would allow");
  note(b, WAY[BF16], "by_core", t->threads,
       ratio_of(t->theirs[JAX].busy, t->ours[BF16].busy, t->rounds), "ratio");
  return ratio;
}

static double lesser(double a, double b) {
  return isnan(a) || isnan(b) ? NAN : fmin(a, b);
}

static void report_turn(const struct bench *b, struct turn *t, struct least *least) {
  for (int w = 0; w < WAYS; w++) {
    if (t->trainer[w] == NULL) continue;
    note_rate(b, t, WAY[w], &t->ours[w]);
    note_peak(b, t, w);
  }
  for (int p = 0; p < PEERS; p++) least->peer[p] = lesser(least->peer[p], report_peer(b, t, p));
  least->bf16 = lesser(least->bf16, report_bf16(b, t));
}

static void report_one(const struct bench *b, const char *who, double least, double at_least) {
  char name[64], goal[24];
  snprintf(name, sizeof name, "learner_step.%s", who);
  snprintf(goal, sizeof goal, ">=%g", at_least);
  if (isnan(least))
    bench_missing(b, name, "ratio", goal, "not known for each number of threads, see above");
  else
    bench_at_least(b, name, least, "ratio", at_least, "the least of those above");
}

int main(int argc, char **argv) {
  struct bench b;
  cpu_set_t allowed;
  char folder[512];
  struct least least = {{INFINITY, INFINITY}, INFINITY};
  int code = bench_begin(&b, argc, argv, "learner_step",
                         "A humanoid's learner step against JAX (jit) and PyTorch (eager) on 1 and "
                         "2 cores.\nGoals: 1.7 times JAX and twice PyTorch in the same run, the "
                         "same numbers to 1e-4;\nwith bf16 products 3 times JAX's float32, 5 "
                         "times where the processor has AMX.");
  if (code >= 0) return code;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) abort();
  const int cores = CPU_COUNT(&allowed);
  daemon_fresh_folder(folder, sizeof folder, "learner_step");
  for (int threads = 1; threads <= THREADS_MAX && threads <= cores; threads++) {
    struct turn t = {.threads = threads, .rounds = b.quick ? 3 : ROUNDS_MAX};
    pin(&allowed, threads);
    turn_open(&t, folder);
    turn_play(&t, b.quick ? 5 : 10);
    report_turn(&b, &t, &least);
    turn_close(&t);
  }
  if (cores < THREADS_MAX) least = (struct least){{NAN, NAN}, NAN};
  for (int p = 0; p < PEERS; p++) report_one(&b, PEER[p], least.peer[p], GOAL[p]);
  report_one(&b, WAY[BF16], least.bf16, bf16_goal());
  daemon_wipe(folder);
  return 0;
}
