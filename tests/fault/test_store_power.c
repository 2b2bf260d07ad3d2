/* Power cuts under the store: nothing acknowledged is lost, nothing is there twice; and the test
 * has eyes: with less syncing it sees losses. PMP_CUTS and PMP_SEED say how many and which. */
#include "tests/fault/store_power.h"

static void test_nothing_acknowledged_is_lost(void **state) {
  static struct power p;
  (void)state;
  run_cuts(&p, "FULL", false, cuts_wanted(20), seed_wanted());
  if (p.loss[0] != '\0') fail_msg("after cut %d: %s", (int)p.cuts, p.loss);
}

/* A sync failed, the store went on by itself, and then the power went. */
static void test_failed_syncs_and_then_a_cut(void **state) {
  static struct power p;
  (void)state;
  run_cuts(&p, "FULL", true, cuts_wanted(20), seed_wanted() + 50);
  if (p.loss[0] != '\0') fail_msg("after cut %d: %s", (int)p.cuts, p.loss);
  assert_true(p.faults_hit > 0);
}

static void test_a_store_that_never_syncs_is_caught(void **state) {
  static struct power p;
  (void)state;
  run_cuts(&p, "OFF", false, 20, seed_wanted());
  assert_string_not_equal(p.loss, "");
}

static void test_a_store_that_syncs_only_its_checkpoints_is_caught(void **state) {
  static struct power p;
  (void)state;
  run_cuts(&p, "NORMAL", false, 20, seed_wanted());
  assert_string_not_equal(p.loss, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_acknowledged_is_lost),
      cmocka_unit_test(test_failed_syncs_and_then_a_cut),
      cmocka_unit_test(test_a_store_that_never_syncs_is_caught),
      cmocka_unit_test(test_a_store_that_syncs_only_its_checkpoints_is_caught),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
