/* What every benchmark shares: its command line, the lines it prints, time, medians, random bytes.
 *
 * One program, one thread prints. A figure is a line `name value unit goal holds`, followed by the
 * reason when it does not hold or could not be measured; with --json one object a line. A program
 * exits 0 when it printed its figures, whether they hold or not: holding is what the lines say. */
#ifndef PMP_BENCH_BENCH_H
#define PMP_BENCH_BENCH_H

#include "base/clock.h"
#include "base/err.h"
#include "base/rng.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bench {
  const char *name; /* of the program's first figure */
  bool json, quick; /* quick: fewer and shorter runs, for a look */
};

/* Reads the command line. -1: go on; else the exit code. */
static inline int bench_begin(struct bench *b, int argc, char **argv, const char *name,
                              const char *about) {
  static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                          {"quick", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  *b = (struct bench){.name = name};
  for (int ch; (ch = getopt_long(argc, argv, "jqh", options, NULL)) != -1;) {
    switch (ch) {
    case 'j':
      b->json = true;
      break;
    case 'q':
      b->quick = true;
      break;
    case 'h':
      printf("usage: bench_%s [--json] [--quick]\n%s\n", name, about);
      return 0;
    default:
      fprintf(stderr, "bench_%s: see bench_%s --help\n", name, name);
      return 2;
    }
  }
  if (optind == argc) return -1;
  fprintf(stderr, "bench_%s: unexpected argument \"%s\"\n", name, argv[optind]);
  return 2;
}

/* ---------------------------------------------------------------- lines */

/* value NaN: not measured. goal "-": the figure is there to be known. */
static inline void bench_line(const struct bench *b, const char *name, double value,
                              const char *unit, const char *goal, bool holds, const char *reason) {
  if (!b->json) {
    char text[32] = "-";
    if (isfinite(value)) snprintf(text, sizeof text, "%.6g", value);
    printf("%s %s %s %s %s%s%s\n", name, text, unit, goal, holds ? "true" : "false",
           reason[0] != 0 ? " " : "", reason);
  } else {
    json_t *line = json_pack("{s:s, s:o, s:s, s:s, s:b, s:s}", "name", name, "value",
                             isfinite(value) ? json_real(value) : json_null(), "unit", unit, "goal",
                             goal, "holds", (int)holds, "reason", reason);
    if (line == NULL) abort();
    json_dumpf(line, stdout, JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(line);
  }
  fflush(stdout);
}

static inline void bench_note(const struct bench *b, const char *name, double value,
                              const char *unit) {
  bench_line(b, name, value, unit, "-", true, "");
}

static inline void bench_goal(const struct bench *b, const char *name, double value,
                              const char *unit, bool at_least, double bound, const char *why) {
  char goal[40];
  snprintf(goal, sizeof goal, "%s%.10g", at_least ? ">=" : "<=", bound);
  bool holds = at_least ? value >= bound : value <= bound;
  bench_line(b, name, value, unit, goal, holds, holds ? "" : why);
}
/* `why`: said when the goal is missed. */
static inline void bench_at_least(const struct bench *b, const char *name, double value,
                                  const char *unit, double bound, const char *why) {
  bench_goal(b, name, value, unit, true, bound, why);
}
static inline void bench_at_most(const struct bench *b, const char *name, double value,
                                 const char *unit, double bound, const char *why) {
  bench_goal(b, name, value, unit, false, bound, why);
}

static inline void bench_missing(const struct bench *b, const char *name, const char *unit,
                                 const char *goal, const char *reason) {
  bench_line(b, name, NAN, unit, goal, false, reason);
}

/* ---------------------------------------------------------------- numbers */

static inline int64_t bench_now(void) {
  struct pmp_clock clock = pmp_clock_real();
  return pmp_clock_mono(&clock);
}

static inline double bench_seconds(int64_t since_ns) {
  return (double)(bench_now() - since_ns) / 1e9;
}

/* Time that this thread spent on a core: what others do on the machine in between does not count.
 * A call into the kernel: not for anything short. */
static inline double bench_cpu_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int bench_compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts v[n]. */
static inline double bench_percentile(double *v, size_t n, double share) {
  if (n == 0) return NAN;
  qsort(v, n, sizeof *v, bench_compare);
  size_t rank = (size_t)ceil(share * (double)n);
  return v[rank > 0 ? rank - 1 : 0];
}

/* Sorts v[n]. */
static inline double bench_median(double *v, size_t n) {
  if (n == 0) return NAN;
  qsort(v, n, sizeof *v, bench_compare);
  return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2.0;
}

static inline void *bench_need(size_t count, size_t size) {
  void *memory = calloc(count > 0 ? count : 1, size);
  if (memory == NULL) abort();
  return memory;
}

/* Floats of random bits, finite: nothing that a compressor could save. */
static inline void bench_random_bits(struct pmp_rng *rng, float *out, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint32_t bits = pmp_rng_u32(rng);
    if ((bits & 0x7f800000u) == 0x7f800000u) bits &= ~0x00800000u;
    memcpy(out + i, &bits, sizeof bits);
  }
}

/* Uniform in [-1, 1). */
static inline void bench_random_unit(struct pmp_rng *rng, float *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = 2.0F * pmp_rng_float(rng) - 1.0F;
}

/* ---------------------------------------------------------------- ends */

static inline void bench_fail(const char *what, const struct pmp_errmsg *msg) {
  fprintf(stderr, "bench: %s: %s\n", what, msg->text);
  exit(1);
}

static inline void bench_must(enum pmp_err err, const char *what, const struct pmp_errmsg *msg) {
  if (err != PMP_OK) bench_fail(what, msg);
}

/* The program's own folder. */
static inline void bench_bin(char *out, size_t size) {
  char *self = realpath("/proc/self/exe", NULL);
  snprintf(out, size, "%s", self != NULL ? self : "./bench");
  free(self);
  char *slash = strrchr(out, '/');
  if (slash != NULL) *slash = 0;
}

#endif
