/* Every objective at thousands of random batches against JAX and SciPy in float64
 * (tests/parity/learner/make_objective.py). */
#include "tests/parity/learner/objective_batch.h"

/* a . b against a golden product, within 1e-9 of the largest entry of a. */
static void same_product(const char *what, size_t i, size_t n, const double *a, const double *b,
                         const json_t *want) {
  double sum = 0.0, largest = 0.0;
  for (size_t k = 0; k < n; k++) {
    sum += a[k] * b[k];
    largest = fmax(largest, fabs(a[k]));
  }
  const double golden = json_number_value(want);
  golden_near(what, i, sum, golden, 1e-9 * largest + 1e-11 * fabs(golden));
}

static void test_parity(void **state) {
  (void)state;
  static struct batch t;
  static const char *const names[] = {"pmpo", "boltzmann", "mpo", "dpo", "ipo", "bc"};
  const char *const terms[] = {"accepted", "rejected", "kl", "dual"};
  json_t *rows, *root = golden_open_file("objective.json", "objective", &rows), *row;
  const uint64_t seed = (uint64_t)golden_number(root, "seed");
  size_t i, count = 0;
  json_array_foreach(rows, i, row) {
    const struct pmp_objective *objective = pmp_objective_find(names[i % 6]);
    assert_non_null(objective);
    batch_draw(&t, objective, seed, i);
    const size_t cs = t.in.n * t.in.parts, ws = t.in.b * t.in.kl_parts, ds = batch_duals(&t);
    assert_int_equal(pmp_objective_check(t.objective, &t.config, t.in.parts, t.in.kl_parts, NULL),
                     PMP_OK);
    batch_eval(&t);
    const double have[] = {t.out.accepted, t.out.rejected, t.out.kl, t.out.dual};
    for (size_t k = 0; k < 4; k++) {
      const double want = json_number_value(json_array_get(row, k));
      golden_near(terms[k], i, have[k], want, 1e-9 * fmax(1.0, fabs(want)));
    }
    if (strcmp(t.objective->name, "pmpo") == 0) {
      const double want = json_number_value(json_array_get(row, 4));
      golden_near("margin", i, pmp_objective_kl_margin(&t.config, &t.in), want,
                  1e-9 * fmax(1.0, fabs(want)));
    }
    same_product("c", i, cs, t.c, t.along_c, json_array_get(row, 5));
    same_product("w", i, ws, t.w, t.along_w, json_array_get(row, 6));
    same_product("ddual", i, ds, t.ddual, t.along_d, json_array_get(row, 7));
    count++;
  }
  assert_true(count >= 2000);
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_parity)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
