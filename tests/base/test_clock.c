/* The real clock moves on; the fake one stands until a test moves it. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static void test_real_clock_never_goes_back_and_is_no_guess(void **state) {
  (void)state;
  struct pmp_clock clock = pmp_clock_real();
  int64_t before = pmp_clock_mono(&clock);
  for (int i = 0; i < 1000; i++) {
    int64_t now = pmp_clock_mono(&clock);
    assert_true(now >= before);
    before = now;
  }
  time_t low = time(NULL);
  int64_t wall = pmp_clock_wall(&clock);
  time_t high = time(NULL);
  assert_true(wall / 1000000000 >= low && wall / 1000000000 <= high);
}

static void test_fake_clock_says_what_it_is_told(void **state) {
  (void)state;
  struct pmp_clock_fake hands = {.mono_ns = 999, .wall_ns = -999};
  struct pmp_clock clock = pmp_clock_fake(&hands);
  assert_int_equal(pmp_clock_mono(&clock), 999);
  assert_int_equal(pmp_clock_wall(&clock), -999);
  hands.mono_ns = 5;
  hands.wall_ns = 6;
  assert_int_equal(pmp_clock_mono(&clock), 5);
  assert_int_equal(pmp_clock_wall(&clock), 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_real_clock_never_goes_back_and_is_no_guess),
      cmocka_unit_test(test_fake_clock_says_what_it_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
