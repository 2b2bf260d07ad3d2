/* What episodes and evaluations came to. */
#include "daemon/tally.h"

#include "tests/daemon/unit.h"

static void episode(struct pmp_tally *t, double ret, bool diverged) {
  const struct pmp_number v[] = {{"length", 5}, {"return", ret}, {"diverged", 1}};
  const struct pmp_report r = {.value = v, .count = diverged ? 3 : 2};
  pmp_tally_report(t, &r, 7, 1);
}

static void an_empty_one_has_no_numbers(void **state) {
  (void)state;
  const struct pmp_tally t = {0};
  uint32_t of = 999;
  assert_true(isnan(pmp_tally_mean(&t, &of)));
  assert_int_equal(of, 0);
  assert_true(isnan(pmp_tally_last(&t)));
}

static void the_mean_is_of_the_last_ten(void **state) {
  (void)state;
  struct pmp_tally t = {0};
  uint32_t of = 999;
  episode(&t, -3, false);
  assert_true(t.best == -3); /* the first one, not 0 */
  episode(&t, -5, false);
  assert_true(pmp_tally_mean(&t, &of) == -4);
  assert_int_equal(of, 2);
  for (int i = 1; i <= 23; i++) episode(&t, i, i == 4);
  assert_true(pmp_tally_mean(&t, &of) == 18.5); /* 14 to 23 */
  assert_int_equal(of, 10);
  assert_true(pmp_tally_last(&t) == 23);
  assert_int_equal(t.episodes, 25);
  assert_int_equal(t.diverged, 1);
  assert_true(t.best == 23);
  assert_int_equal(t.evaluations, 0);
}

static void an_evaluation_says_of_which_weights(void **state) {
  (void)state;
  struct pmp_tally t = {0};
  const struct pmp_number all[] = {{"eval_return", 80},
                                   {"eval_return_min", 60},
                                   {"eval_return_max", 90},
                                   {"eval_episodes", 10},
                                   {"eval_return_stderr", 2.5}};
  struct pmp_report r = {.value = all, .count = 5, .ref_version = 12, .env_steps = 5000};
  pmp_tally_report(&t, &r, 400, 77);
  assert_true(t.eval == 80 && t.eval_min == 60 && t.eval_max == 90 && t.eval_episodes == 10);
  assert_true(t.eval_stderr == 2.5);
  assert_int_equal(t.eval_version, 12);
  assert_int_equal(t.eval_env_steps, 5000);
  assert_int_equal(t.eval_step, 400);
  assert_int_equal(t.eval_ns, 77);
  const struct pmp_number bare = {"eval_return", 70};
  r = (struct pmp_report){.value = &bare, .count = 1, .ref_version = 13};
  pmp_tally_report(&t, &r, 401, 78);
  assert_true(t.eval == 70 && t.eval_best == 80);
  assert_true(isnan(t.eval_stderr) && isnan(t.eval_min) && isnan(t.eval_max) &&
              isnan(t.eval_episodes));
  assert_int_equal(t.evaluations, 2);
  assert_int_equal(t.episodes, 0);
}

static void other_numbers_change_nothing(void **state) {
  (void)state;
  struct pmp_tally t = {0};
  const struct pmp_number v[] = {{"f_mean", 3}, {"success", 1}};
  pmp_tally_report(&t, &(struct pmp_report){.value = v, .count = 2}, 1, 1);
  pmp_tally_report(&t, &(struct pmp_report){.count = 0}, 1, 1);
  assert_int_equal(t.episodes + t.evaluations, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_one_has_no_numbers),
      cmocka_unit_test(the_mean_is_of_the_last_ten),
      cmocka_unit_test(an_evaluation_says_of_which_weights),
      cmocka_unit_test(other_numbers_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
