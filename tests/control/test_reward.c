/* Tolerances against numbers that dm_control.utils.rewards.tolerance gives
 * (tests/parity/control/tolerance.py). */
#include "tests/control/support.h"

#include "actors/control/reward.h"

#include "tests/parity/control/data/tolerance.inc"

static void test_recorded_values(void **state) {
  (void)state;
  int count = (int)(sizeof(recorded) / sizeof(recorded[0]));
  assert_true(count > 100);
  for (int i = 0; i < count; i++) {
    double ours = pmp_tolerance(recorded[i].x, recorded[i].lower, recorded[i].upper,
                                recorded[i].margin, recorded[i].sigmoid, recorded[i].at_margin);
    if (!(fabs(ours - recorded[i].value) <= 1e-14))
      fail_msg("row %d: %.17g, not %.17g", i, ours, recorded[i].value);
  }
}

static void test_default_is_gauss_with_a_tenth(void **state) {
  (void)state;
  assert_true(fabs(pmp_tolerance_gauss(3.0, 0.0, 1.0, 2.0) - 0.1) < 1e-15);
  assert_true(pmp_tolerance_gauss(NAN, 0.0, 1.0, 0.0) == 0.0);
  assert_true(isnan(pmp_tolerance_gauss(NAN, 0.0, 1.0, 2.0)));
}

static void test_small_control(void **state) {
  (void)state;
  const double ctrl[4] = {0.0, 0.5, -1.0, 3.0};
  assert_true(fabs(pmp_small_control(ctrl, 4) - (4.0 + (1.0 + 0.75) / 4.0) / 5.0) < 1e-15);
  assert_true(pmp_small_control(ctrl, 1) == 1.0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_recorded_values),
      cmocka_unit_test(test_default_is_gauss_with_a_tenth),
      cmocka_unit_test(test_small_control),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
