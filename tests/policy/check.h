/* What the tests of policy/ share: comparing arrays, filling them. */
#ifndef PMP_TESTS_POLICY_CHECK_H
#define PMP_TESTS_POLICY_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"

#include <math.h>
#include <stdio.h>

#define UNWRITTEN 999.0f

/* Threads of a team: one where the thread sanitizer would see races inside libgomp, which is not
 * built for it. */
#ifdef __SANITIZE_THREAD__
#define TEAM 1
#else
#define TEAM 2
#endif

/* n floats, 64-byte aligned as an arena's, all UNWRITTEN; the caller frees. */
static inline float *floats_new(size_t n) {
  float *f = aligned_alloc(64, (n * sizeof *f + 64) / 64 * 64);
  assert_non_null(f);
  for (size_t i = 0; i < n; i++) f[i] = UNWRITTEN;
  return f;
}

static inline float *normals_new(struct pmp_rng *rng, size_t n, double scale) {
  float *f = floats_new(n);
  for (size_t i = 0; i < n; i++) f[i] = (float)(scale * pmp_rng_normal(rng));
  return f;
}

/* n doubles, all UNWRITTEN; the caller frees. */
static inline double *doubles_new(size_t n) {
  double *d = malloc((n + 1) * sizeof *d);
  assert_non_null(d);
  for (size_t i = 0; i < n; i++) d[i] = (double)UNWRITTEN;
  return d;
}

static inline double *normal_doubles_new(struct pmp_rng *rng, size_t n, double scale) {
  double *d = doubles_new(n);
  for (size_t i = 0; i < n; i++) d[i] = scale * pmp_rng_normal(rng);
  return d;
}

/* Fails unless |got - want| <= tolerance * (|want| + floor) everywhere. */
static inline void assert_close(const char *what, const float *got, const double *want, size_t n,
                                double tolerance, double floor) {
  for (size_t i = 0; i < n; i++) {
    const double error = fabs((double)got[i] - want[i]);
    if (error <= tolerance * (fabs(want[i]) + floor)) continue;
    fail_msg("%s[%zu]: %.9g, expected %.9g", what, i, (double)got[i], want[i]);
  }
}

static inline void assert_close_doubles(const char *what, const double *got, const double *want,
                                        size_t n, double tolerance, double floor) {
  for (size_t i = 0; i < n; i++) {
    if (fabs(got[i] - want[i]) <= tolerance * (fabs(want[i]) + floor)) continue;
    fail_msg("%s[%zu]: %.17g, expected %.17g", what, i, got[i], want[i]);
  }
}

static inline void assert_near(const char *what, double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance))
    fail_msg("%s: %.9g, expected %.9g within %g", what, got, want, tolerance);
}

/* The largest magnitude: what the errors of a float32 computation are relative to. */
static inline double largest(const double *x, size_t n) {
  double max = 0;
  for (size_t i = 0; i < n; i++) max = fmax(max, fabs(x[i]));
  return max;
}

#endif
