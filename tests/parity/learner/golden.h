/* Reading golden.json and objective.json in a cmocka test. Every call fails the test when the file
 * is not what make_golden.py or make_objective.py writes. */
#ifndef PMP_TESTS_PARITY_LEARNER_GOLDEN_H
#define PMP_TESTS_PARITY_LEARNER_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A whole file of this folder (json_decref it); *section: the array of one kind of case. */
static inline json_t *golden_open_file(const char *file, const char *kind, json_t **section) {
  const char *source = getenv("PMP_SOURCE");
  char path[512];
  snprintf(path, sizeof path, "%s/tests/parity/learner/%s", source != NULL ? source : ".", file);
  json_error_t error;
  json_t *root = json_load_file(path, JSON_DECODE_INT_AS_REAL, &error);
  if (root == NULL) fail_msg("%s: %s", path, error.text);
  *section = json_object_get(root, kind);
  assert_true(json_is_array(*section));
  assert_true(json_array_size(*section) > 0);
  return root;
}

static inline json_t *golden_open(const char *kind, json_t **section) {
  return golden_open_file("golden.json", kind, section);
}

static inline double golden_number(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_real(value)) fail_msg("%s is no number", key);
  return json_real_value(value);
}

static inline size_t golden_size(const json_t *object, const char *key) {
  return (size_t)golden_number(object, key);
}

static inline size_t golden_count(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_array(value)) fail_msg("%s is no array", key);
  return json_array_size(value);
}

/* malloc'd, at least one float. */
static inline float *golden_array(const json_t *array) {
  assert_true(json_is_array(array));
  const size_t n = json_array_size(array);
  float *out = malloc((n + 1) * sizeof *out);
  assert_non_null(out);
  for (size_t i = 0; i < n; i++) out[i] = (float)json_real_value(json_array_get(array, i));
  return out;
}

/* NULL where the file says null. */
static inline float *golden_floats(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  if (value == NULL) fail_msg("%s is missing", key);
  return json_is_null(value) ? NULL : golden_array(value);
}

/* The same in float64. */
static inline double *golden_doubles(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  if (value == NULL) fail_msg("%s is missing", key);
  if (json_is_null(value)) return NULL;
  assert_true(json_is_array(value));
  const size_t n = json_array_size(value);
  double *out = malloc((n + 1) * sizeof *out);
  assert_non_null(out);
  for (size_t i = 0; i < n; i++) out[i] = json_real_value(json_array_get(value, i));
  return out;
}

static inline void golden_near(const char *what, size_t at, double have, double want,
                               double tolerance) {
  if (!(fabs(have - want) <= tolerance)) {
    fail_msg("%s %zu: %.9g, golden %.9g, more than %g apart", what, at, have, want, tolerance);
  }
}

/* have[n] against object[key]: n numbers, within tolerance * the array's largest entry (at least
 * 1e-3). */
static inline void golden_same64(const json_t *object, const char *key, const double *have,
                                 size_t n, double tolerance) {
  assert_int_equal(golden_count(object, key), n);
  const json_t *array = json_object_get(object, key);
  double largest = 1e-3;
  for (size_t i = 0; i < n; i++) {
    largest = fmax(largest, fabs(json_real_value(json_array_get(array, i))));
  }
  for (size_t i = 0; i < n; i++) {
    golden_near(key, i, have[i], json_real_value(json_array_get(array, i)), tolerance * largest);
  }
}

/* The same for float32. */
static inline void golden_same(const json_t *object, const char *key, const float *have, size_t n,
                               double tolerance) {
  double *wide = malloc((n + 1) * sizeof *wide);
  assert_non_null(wide);
  for (size_t i = 0; i < n; i++) wide[i] = (double)have[i];
  golden_same64(object, key, wide, n, tolerance);
  free(wide);
}

/* n floats of 999, so that a cell nobody writes shows. */
static inline float *golden_unwritten(size_t n) {
  float *out = malloc((n + 1) * sizeof *out);
  assert_non_null(out);
  for (size_t i = 0; i < n + 1; i++) out[i] = 999.0f;
  return out;
}

#endif
