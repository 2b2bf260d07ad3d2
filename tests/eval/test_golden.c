/* pmpo-eval against JAX in float64 (tests/parity/eval/golden.jsonl, made by make_golden.py beside
 * it), against finite differences of its own loss, and against itself with outcomes in another
 * order. */
#include "tests/eval/ask.h"

#define GOLDEN_TOLERANCE 1e-11
#define ORDER_TOLERANCE 1e-12
#define DIFFERENCE_TOLERANCE 1e-8
#define STEP 1e-3 /* of the five-point formula: its error is of the fourth order */

static void check_line(size_t number, json_t *line, void *context) {
  double *worst = context;
  char what[32];
  snprintf(what, sizeof what, "line %zu", number);
  json_t *got = ask_json(json_object_get(line, "in"));
  *worst = fmax(*worst, compare_answers(what, got, json_object_get(line, "out"), GOLDEN_TOLERANCE));
  json_decref(got);
}

static void test_golden_lines(void **state) {
  (void)state;
  double worst = 0.0;
  visit_golden(check_line, &worst);
  print_message("largest error against the golden answers: %.2g\n", worst);
}

/* ---- finite differences ---- */

/* d loss / d entry of one number inside the line. */
static double difference(json_t *line, json_t *list, size_t i) {
  static const double at[] = {-2.0, -1.0, 1.0, 2.0},
                      weight[] = {1.0 / 12.0, -8.0 / 12.0, 8.0 / 12.0, -1.0 / 12.0};
  const double centre = json_number_value(json_array_get(list, i));
  const double step = STEP * fmin(1.0, fmax(fabs(centre), 0.1));
  double sum = 0.0;
  for (size_t k = 0; k < 4; k++) {
    json_array_set_new(list, i, json_real(centre + at[k] * step));
    json_t *answer = ask_json(line);
    sum += weight[k] * number_at(answer, "loss");
    json_decref(answer);
  }
  json_array_set_new(list, i, json_real(centre));
  return sum / step;
}

struct differences {
  size_t entries;
  double worst;
};

static void check_entries(json_t *line, json_t *numbers, const json_t *grad, double scale,
                          bool lower, size_t row, struct differences *d) {
  if (json_is_array(json_array_get(numbers, 0))) {
    for (size_t i = 0; i < json_array_size(numbers); i++)
      check_entries(line, json_array_get(numbers, i), json_array_get(grad, i), scale, lower, i, d);
    return;
  }
  for (size_t i = 0; i < json_array_size(numbers); i++) {
    const double got = json_number_value(json_array_get(grad, i));
    if (lower && i > row) {
      assert_true(got == 0.0);
      continue;
    }
    const double error = fabs(got - difference(line, numbers, i)) / scale;
    if (!(error <= DIFFERENCE_TOLERANCE)) {
      char *text = pmp_eval_text(line);
      print_message("%s\n", text);
      free(text);
      fail_msg("entry %zu of row %zu: gradient %.12g, differs by %.2g of the largest", i, row, got,
               error);
    }
    d->entries++;
    d->worst = fmax(d->worst, error);
  }
}

static void check_gradient(size_t number, json_t *line, void *context) {
  (void)number;
  if (json_is_true(json_object_get(line, "edge"))) return;
  json_t *in = json_object_get(line, "in"), *grad;
  json_t *answer = ask_json(in);
  const char *key;
  double values[4096];
  double scale = 1.0;
  json_object_foreach(json_object_get(answer, "grad"), key, grad) {
    scale = fmax(scale, largest_of(values, numbers_of(grad, values, 4096)));
  }
  json_object_foreach(json_object_get(answer, "grad"), key, grad) {
    check_entries(in, json_object_get(json_object_get(in, "pi"), key), grad, scale,
                  strcmp(key, "chol") == 0, 0, context);
  }
  json_decref(answer);
}

static void test_finite_differences(void **state) {
  (void)state;
  struct differences d = {0};
  visit_golden(check_gradient, &d);
  assert_true(d.entries > 500);
  print_message("%zu entries, largest difference: %.2g\n", d.entries, d.worst);
}

/* ---- order ---- */

/* Entry i becomes what a stride without a common factor finds. */
static void shuffle(json_t *list) {
  const size_t n = json_array_size(list), stride = n % 7 == 0 ? 11 : 7;
  json_t *old = json_copy(list);
  for (size_t i = 0; i < n; i++)
    json_array_set(list, i, json_array_get(old, n - 1 - i * stride % n));
  json_decref(old);
}

static void check_order(size_t number, json_t *line, void *context) {
  static const char *const columns[] = {"x", "y", "verdict", "weight", "f"};
  size_t *checked = context;
  json_t *in = json_object_get(line, "in");
  if (json_object_get(in, "x") == NULL) return;
  json_t *before = ask_json(in);
  for (size_t i = 0; i < 5; i++) shuffle(json_object_get(in, columns[i]));
  char what[32];
  snprintf(what, sizeof what, "line %zu", number);
  json_t *after = ask_json(in);
  (void)compare_answers(what, after, before, ORDER_TOLERANCE);
  json_decref(before);
  json_decref(after);
  ++*checked;
}

static void test_order_of_outcomes_is_free(void **state) {
  (void)state;
  size_t checked = 0;
  visit_golden(check_order, &checked);
  assert_true(checked > 60);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_lines),
                                     cmocka_unit_test(test_finite_differences),
                                     cmocka_unit_test(test_order_of_outcomes_is_free)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
