/* What the tests of pmpo-eval share: asking a line, and numbers out of an answer. */
#ifndef PMP_TESTS_EVAL_ASK_H
#define PMP_TESTS_EVAL_ASK_H

#include "clients/pmpo-eval/line.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The answer to a line that is written with ' for ". */
static inline json_t *ask_verbose(const char *line, bool verbose, bool *failed) {
  char *text = strdup(line);
  assert_non_null(text);
  for (char *c = text; *c != '\0'; c++)
    if (*c == '\'') *c = '"';
  json_t *answer = pmp_eval_line(text, strlen(text), verbose, failed);
  free(text);
  assert_non_null(answer);
  return answer;
}

/* The same for one that must be answered. */
static inline json_t *ask(const char *line) {
  bool failed = true;
  json_t *answer = ask_verbose(line, false, &failed);
  if (failed) fail_msg("%s\n-> %s", line, json_string_value(json_object_get(answer, "error")));
  return answer;
}

static inline json_t *ask_json(const json_t *line) {
  char *text = pmp_eval_text(line);
  json_t *answer = ask(text);
  free(text);
  return answer;
}

static inline double number_at(const json_t *answer, const char *name) {
  const json_t *value = json_object_get(answer, name);
  if (!json_is_real(value)) fail_msg("\"%s\" is no number", name);
  return json_number_value(value);
}

/* Every number below `value`, in order, into out (at most `room`); their count. */
static inline size_t numbers_of(const json_t *value, double *out, size_t room) {
  if (json_is_number(value)) {
    assert_true(room > 0);
    *out = json_number_value(value);
    return 1;
  }
  size_t used = 0;
  for (size_t i = 0; i < json_array_size(value); i++)
    used += numbers_of(json_array_get(value, i), out + used, room - used);
  return used;
}

static inline double largest_of(const double *values, size_t n) {
  double largest = 0.0;
  for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(values[i]));
  return largest;
}

/* Two nested lists of the same shape agree within tolerance times max(1, the largest entry). */
static inline double compare_lists(const char *name, const json_t *got, const json_t *want,
                                   double tolerance) {
  enum { ROOM = 4096 };
  static double a[ROOM], b[ROOM];
  for (size_t i = 0; i < ROOM; i++) a[i] = b[i] = 999.0;
  const size_t n = numbers_of(got, a, ROOM), m = numbers_of(want, b, ROOM);
  assert_int_equal(n, m);
  assert_true(n > 0);
  const double scale = fmax(1.0, largest_of(b, n));
  double worst = 0.0;
  for (size_t i = 0; i < n; i++) {
    const double error = fabs(a[i] - b[i]) / scale;
    if (!(error <= tolerance))
      fail_msg("%s, entry %zu: %.17g, not %.17g (error %.2g)", name, i, a[i], b[i], error);
    worst = fmax(worst, error);
  }
  return worst;
}

/* Whole answers: loss, policy_term, kl (number, list or null) and every part of the gradient. */
static inline double compare_answers(const char *what, json_t *got, json_t *want,
                                     double tolerance) {
  static const char *const names[] = {"loss", "policy_term", "kl"};
  double worst = 0.0;
  for (size_t i = 0; i < 3; i++) {
    const json_t *a = json_object_get(got, names[i]), *b = json_object_get(want, names[i]);
    assert_non_null(a);
    if (json_is_null(b) != json_is_null(a) || json_is_array(b) != json_is_array(a))
      fail_msg("%s: %s is of another kind", what, names[i]);
    if (!json_is_null(b)) worst = fmax(worst, compare_lists(names[i], a, b, tolerance));
  }
  const char *key;
  json_t *part;
  assert_int_equal(json_object_size(json_object_get(got, "grad")),
                   json_object_size(json_object_get(want, "grad")));
  json_object_foreach(json_object_get(want, "grad"), key, part) {
    worst = fmax(worst, compare_lists(key, json_object_get(json_object_get(got, "grad"), key), part,
                                      tolerance));
  }
  return worst;
}

/* The golden lines: {"in": question, "out": answer, "edge": true where a number is extreme}. */
typedef void golden_visit(size_t number, json_t *line, void *context);

static inline void visit_golden(golden_visit *visit, void *context) {
  const char *source = getenv("PMP_SOURCE");
  char path[4096], *text = NULL;
  size_t room = 0, number = 0;
  snprintf(path, sizeof path, "%s/tests/parity/eval/golden.jsonl", source ? source : ".");
  FILE *in = fopen(path, "r");
  if (in == NULL) fail_msg("%s cannot be opened", path);
  while (getline(&text, &room, in) > 0) {
    json_t *line = json_loads(text, 0, NULL);
    assert_non_null(line);
    visit(++number, line, context);
    json_decref(line);
  }
  assert_true(number >= 70);
  free(text);
  fclose(in);
}

#endif
