/* The power cuts of test_store_power.c, 300 of them over several seeds, half of them with
 * failing writes and syncs before. */
#include "tests/fault/store_power.h"

static void test_nothing_acknowledged_is_lost(void **state) {
  static struct power p;
  uint64_t cuts = cuts_wanted(300);
  (void)state;
  for (uint64_t done = 0, seed = seed_wanted() + 100; done < cuts; done += 50, seed++) {
    run_cuts(&p, "FULL", seed % 2 == 0, cuts - done < 50 ? cuts - done : 50, seed);
    if (p.loss[0] != '\0') fail_msg("seed %d, after cut %d: %s", (int)seed, (int)p.cuts, p.loss);
  }
}

static void test_less_syncing_is_caught_whatever_the_seed(void **state) {
  static struct power p;
  (void)state;
  for (uint64_t seed = seed_wanted() + 200; seed < seed_wanted() + 210; seed++) {
    run_cuts(&p, "OFF", false, 20, seed);
    assert_string_not_equal(p.loss, "");
    run_cuts(&p, "NORMAL", false, 20, seed);
    assert_string_not_equal(p.loss, "");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_acknowledged_is_lost),
      cmocka_unit_test(test_less_syncing_is_caught_whatever_the_seed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
