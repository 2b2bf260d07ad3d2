/* What work costs as there is more of it: a learner's step by the batch's size, by the rows in its
 * ring, and a daemon by its actors. */
#include "bench/support/crowd.h"
#include "bench/support/curve.h"

enum { SIZES = 5, ROUNDS_MAX = 7, BATCH_RING = 20000, WARM = 3 };

/* One sort of work at its sizes. */
struct scale {
  const char *name; /* of a size: "batch" in "scaling.batch_256" */
  int sizes, rounds;
  const char *label[SIZES];
  double x[SIZES];
  double value[SIZES][ROUNDS_MAX], ratio[SIZES][ROUNDS_MAX]; /* ratio: to size `base` */
  int base;
};

static int64_t core_ns(void *ctx) {
  (void)ctx;
  return (int64_t)(bench_cpu_seconds() * 1e9);
}

static int64_t no_wall(void *ctx) {
  (void)ctx;
  return 0;
}

/* Time of this thread on its core: what others do on the machine does not count. */
static struct pmp_clock core_clock(void) {
  return (struct pmp_clock){core_ns, no_wall, NULL};
}

/* Seconds on the core for `count` steps. */
static double steps(struct pmp_trainer *t, int count) {
  struct pmp_step_metrics m;
  struct pmp_errmsg msg = {{0}};
  bool refreshed;
  const double start = bench_cpu_seconds();
  for (int i = 0; i < count; i++)
    bench_must(pmp_trainer_step(t, &m, &refreshed, &msg), "step", &msg);
  return bench_cpu_seconds() - start;
}

/* s: nullable. */
static void take_ratios(struct scale *s, int round) {
  for (int i = 0; s != NULL && i < s->sizes; i++)
    s->ratio[i][round] = s->value[i][round] / s->value[s->base][round];
}

/* Values and, but for the base, ratios; a goal on them where `bound` is not NaN. */
static void report(const struct bench *b, struct curve *curve, struct scale *s, const char *what,
                   const char *unit, bool at_least, double bound, const char *why) {
  char name[96], base[48];
  snprintf(base, sizeof base, "of_%s", s->label[s->base]);
  for (int i = 0; i < s->sizes; i++) {
    const double value = bench_median(s->value[i], (size_t)s->rounds);
    const double ratio = bench_median(s->ratio[i], (size_t)s->rounds);
    snprintf(name, sizeof name, "scaling.%s_%s.%s", s->name, s->label[i], what);
    bench_note(b, name, value, unit);
    snprintf(name, sizeof name, "%s %s", s->name, what);
    curve_point(curve, name, s->x[i], value, unit);
    if (i == s->base) continue;
    snprintf(name, sizeof name, "scaling.%s_%s.%s_%s", s->name, s->label[i], what, base);
    if (isnan(bound) || i < s->base)
      bench_note(b, name, ratio, "ratio");
    else
      bench_goal(b, name, ratio, "ratio", at_least, bound, why);
  }
}

/* ---------------------------------------------------------------- batch */

/* Every turn has the same number of rows. */
static void measure_batch(const struct bench *b, struct curve *curve) {
  struct scale s = {.name = "batch",
                    .sizes = 5,
                    .rounds = b->quick ? 3 : ROUNDS_MAX,
                    .label = {"256", "512", "1024", "2048", "4096"},
                    .x = {256, 512, 1024, 2048, 4096}};
  struct pmp_trainer *t[SIZES];
  for (int i = 0; i < s.sizes; i++) {
    struct pmp_trainer_config config;
    recipe_humanoid(&config);
    config.batch = (uint32_t)s.x[i];
    t[i] = recipe_open(&config, core_clock(), BATCH_RING);
    steps(t[i], 1);
  }
  for (int r = 0; r < s.rounds; r++) {
    for (int i = 0; i < s.sizes; i++)
      s.value[i][r] = steps(t[i], (int)(s.x[s.sizes - 1] / s.x[i])) / s.x[s.sizes - 1] * 1e6;
    take_ratios(&s, r);
  }
  report(b, curve, &s, "row", "us", false, 1.1, "a row costs more in a larger batch");
  for (int i = 0; i < s.sizes; i++) pmp_trainer_close(t[i]);
}

/* ---------------------------------------------------------------- replay */

static void open_rings(struct scale *s, struct pmp_trainer **t) {
  for (int i = 0; i < s->sizes; i++) {
    struct pmp_trainer_config config;
    recipe_cartpole(&config);
    config.replay.capacity = (size_t)s->x[i];
    t[i] = recipe_open(&config, core_clock(), (uint64_t)s->x[i] + RECIPE_EPISODE);
    steps(t[i], WARM);
  }
}

static double free_bytes(void) {
  return (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

/* Bytes of all rings at once. */
static double rings_bytes(const struct scale *s) {
  struct pmp_trainer_config config;
  double bytes = 0.0;
  recipe_cartpole(&config);
  for (int i = 0; i < s->sizes; i++) {
    config.replay.capacity = (size_t)s->x[i];
    bytes += (double)pmp_replay_bytes(&config.replay);
  }
  return bytes;
}

static void measure_replay(const struct bench *b, struct curve *curve) {
  struct scale step = {.name = "replay",
                       .sizes = b->quick ? 3 : 4,
                       .rounds = b->quick ? 3 : ROUNDS_MAX,
                       .label = {"1e4", "1e5", "1e6", "1e7"},
                       .x = {1e4, 1e5, 1e6, 1e7}};
  struct scale draw = step;
  struct pmp_trainer *t[SIZES];
  const int each = 100;
  if (free_bytes() < 1.2 * rings_bytes(&step)) {
    bench_missing(b, "scaling.replay", "ratio", "<=1.1", "the rings do not fit the free memory");
    return;
  }
  open_rings(&step, t);
  for (int r = 0; r < step.rounds; r++) {
    for (int i = 0; i < step.sizes; i++) {
      struct pmp_trainer_times from, to;
      pmp_trainer_times(t[i], &from);
      step.value[i][r] = steps(t[i], each) / each * 1e6;
      pmp_trainer_times(t[i], &to);
      draw.value[i][r] = (double)(to.sample - from.sample) / (each * 128);
    }
    take_ratios(&step, r);
    take_ratios(&draw, r);
  }
  report(b, curve, &draw, "draw_row", "ns", false, NAN, "");
  report(b, curve, &step, "step", "us", false, 1.1, "draw_row says what its draws take");
  for (int i = 0; i < step.sizes; i++) pmp_trainer_close(t[i]);
}

/* ---------------------------------------------------------------- actors */

static const struct scale ACTORS = {.sizes = 3, .label = {"1", "4", "16"}, .x = {1, 4, 16}};

/* What is to be known of a crowd by its size; all but rows are nullable. */
struct crowd_scales {
  struct scale *rows, *steps, *by_core, *share;
};

static void take(struct scale *s, int size, int round, double value) {
  if (s != NULL) s->value[size][round] = value;
}

static enum pmp_err play(struct crowd *c, enum crowd_kind kind, double seconds,
                         const struct crowd_scales *s, struct pmp_errmsg *msg) {
  struct crowd_rates rates;
  for (int r = 0; r < s->rows->rounds; r++) {
    for (int i = 0; i < s->rows->sizes; i++) {
      PMP_TRY(crowd_play(c, kind, (int)s->rows->x[i], seconds, &rates, msg));
      take(s->rows, i, r, rates.rows);
      take(s->steps, i, r, rates.steps);
      take(s->by_core, i, r, rates.by_core);
      take(s->share, i, r, rates.least_share);
    }
    take_ratios(s->rows, r);
    take_ratios(s->steps, r);
    take_ratios(s->by_core, r);
    take_ratios(s->share, r);
  }
  return PMP_OK;
}

static struct scale by_actors(const struct bench *b, const char *name, int base) {
  struct scale s = ACTORS;
  s.name = name;
  s.rounds = b->quick ? 1 : 3;
  s.base = base;
  return s;
}

/* The learner rests and takes nothing of the machine: what the daemon takes in. */
static void measure_intake(const struct bench *b, struct curve *curve) {
  static const char *const extra[] = {"learner.samples_per_insert=0", NULL};
  static struct crowd c = {.chunk_rows = "256"};
  struct pmp_errmsg msg = {{0}};
  struct scale clients = by_actors(b, "clients", 1), share = by_actors(b, "clients", 0);
  struct scale programs = by_actors(b, "actors", 1);
  const double seconds = b->quick ? 1.0 : 2.5;
  const struct crowd_scales of_clients = {.rows = &clients, .share = &share};
  const struct crowd_scales of_programs = {.rows = &programs};
  enum pmp_err err = crowd_open(&c, "scaling_intake", extra, &msg);
  if (err == PMP_OK) err = daemon_control(c.operator_, PMP_CONTROL_PAUSE, &msg);
  if (err == PMP_OK) err = play(&c, CROWD_CLIENTS, seconds, &of_clients, &msg);
  if (err == PMP_OK) err = play(&c, CROWD_PROGRAMS, seconds, &of_programs, &msg);
  if (err == PMP_OK) {
    report(b, curve, &clients, "rows", "rows/s", true, 0.9, "more clients bring less in all");
    report(b, curve, &share, "least_share", "of_mean", true, 0.5, "some wait while others send");
    report(b, curve, &programs, "env_steps", "rows/s", true, 0.9, "more actors bring less in all");
  } else {
    bench_missing(b, "scaling.clients_16.rows_of_4", "ratio", ">=0.9", msg.text);
    bench_missing(b, "scaling.clients_16.least_share_of_1", "ratio", ">=0.5", msg.text);
    bench_missing(b, "scaling.actors_16.env_steps_of_4", "ratio", ">=0.9", msg.text);
  }
  crowd_close(&c);
}

/* The learner sets the pace: does it keep it when more actors wait for it? Chunks are small, so
 * that each of many has its turn in a while. */
static void measure_learning(const struct bench *b, struct curve *curve) {
  static const char *const extra[] = {"learner.samples_per_insert=32", NULL};
  static struct crowd c = {.chunk_rows = "32"};
  struct pmp_errmsg msg = {{0}};
  struct scale rows = by_actors(b, "learning", 0), made = rows, busy = rows;
  const struct crowd_scales scales = {.rows = &rows, .steps = &made, .by_core = &busy};
  enum pmp_err err = crowd_open(&c, "scaling_learning", extra, &msg);
  if (err == PMP_OK) err = play(&c, CROWD_PROGRAMS, b->quick ? 2.0 : 5.0, &scales, &msg);
  if (err == PMP_OK) {
    report(b, curve, &rows, "env_steps", "rows/s", true, NAN, "");
    report(b, curve, &busy, "steps_by_core", "steps/s", true, NAN, "");
    report(b, curve, &made, "steps", "steps/s", true, 0.9, "the learner makes fewer steps");
  } else {
    bench_missing(b, "scaling.learning_16.steps_of_1", "ratio", ">=0.9", msg.text);
  }
  crowd_close(&c);
}

int main(int argc, char **argv) {
  static const struct curve_panel panel[] = {
      {"A learner step, a row of the batch", "rows of the batch", "us a row", {"batch row"}},
      {"Drawing a row", "rows in the ring", "ns a row", {"replay draw_row"}},
      {"Rows taken", "actors", "rows/s", {"clients rows", "actors env_steps"}}};
  struct bench b;
  struct curve curve;
  int code = bench_begin(&b, argc, argv, "scaling",
                         "What a learner step costs by batch (256 to 4096) and ring (1e4 to 1e7 "
                         "rows), and what a daemon\ntakes from 1, 4 and 16 actors. A table and a "
                         "figure stay in the work folder.");
  if (code >= 0) return code;
  curve_open(&curve, "scaling");
  measure_batch(&b, &curve);
  measure_replay(&b, &curve);
  measure_intake(&b, &curve);
  measure_learning(&b, &curve);
  curve_close(&curve, panel, (int)(sizeof panel / sizeof panel[0]));
  return 0;
}
