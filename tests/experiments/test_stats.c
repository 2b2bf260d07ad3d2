/* Quantiles against numpy.quantile (linear), and what is not a number. */
#include "experiments/stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void near(double got, double want) {
  if (!(fabs(got - want) <= 1e-15 * (1.0 + fabs(want)))) fail_msg("%.17g, not %.17g", got, want);
}

static void quantiles_are_those_of_numpy(void **state) {
  (void)state;
  double odd[] = {9, 1, 4, 7, 2}, even[] = {3, 1, 4, 1.5, 9, 2.6}, one[] = {42};
  struct pmp_band b = pmp_band_of(odd, 5);
  near(b.p10, 1.4);
  near(b.median, 4);
  near(b.p90, 8.2);
  near(b.best, 1);
  near(b.worst, 9);
  b = pmp_band_of(even, 6);
  near(b.p10, 1.25);
  near(b.median, 2.8);
  near(b.p90, 6.5);
  b = pmp_band_of(one, 1);
  near(b.p10, 42);
  near(b.p90, 42);
}

static void what_is_no_number_is_worst(void **state) {
  (void)state;
  double v[] = {NAN, 1, 2, 3, 4}, two[] = {INFINITY, INFINITY};
  struct pmp_band b = pmp_band_of(v, 5);
  near(b.best, 1);
  near(b.median, 3);
  assert_true(isinf(b.worst));
  b = pmp_band_of(two, 2);
  assert_true(isinf(b.median));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(quantiles_are_those_of_numpy),
                                     cmocka_unit_test(what_is_no_number_is_worst)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
