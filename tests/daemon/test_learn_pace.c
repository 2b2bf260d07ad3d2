/* Rates, shares of time and the time left, from counters of an invented clock. */
#include "daemon/learn_pace.h"

#include "tests/daemon/unit.h"

#define SECOND INT64_C(1000000000)

/* A learner of `rate` steps a second that runs from 0 to `seconds`; looked at ten times a second.
 */
static struct pmp_pace_sample run(struct pmp_pace *p, struct pmp_pace_sample s, int seconds,
                                  uint64_t rate, bool paused) {
  for (int i = 0; i < 10 * seconds; i++) {
    s.at_ns += SECOND / 10;
    if (!paused) {
      s.run_ns += SECOND / 10;
      s.wait_ns += SECOND / 40;
      s.product_ns += SECOND / 20;
      s.steps += rate / 10;
      s.env_steps += 2 * rate / 10;
      s.rows += 3 * rate / 10;
    }
    pmp_pace_add(p, &s);
  }
  return s;
}

static bool near(double a, double b) {
  return fabs(a - b) < 1e-9 * (1 + fabs(b));
}

static void nothing_is_known_at_first(void **state) {
  (void)state;
  struct pmp_pace p = {0};
  struct pmp_pace_rates r = {999, 999, 999, 999, 999, 999, 999};
  struct pmp_pace_sample s = {.at_ns = 5 * SECOND, .steps = 70};
  pmp_pace_rates(&p, &s, 100, &r);
  assert_true(isnan(r.steps_per_s) && isnan(r.env_per_s) && isnan(r.rows_per_s));
  assert_true(isnan(r.wait_share) && isnan(r.product_share) && isnan(r.rest_share));
  assert_true(isnan(r.left_s));
  pmp_pace_add(&p, &s);
  s.at_ns += SECOND / 10;
  s.steps += 1000;
  pmp_pace_rates(&p, &s, 100000, &r);
  assert_true(isnan(r.steps_per_s) && isnan(r.left_s)); /* a tenth of a second says too little */
}

static void steady_work_is_measured_exactly(void **state) {
  (void)state;
  struct pmp_pace p = {0};
  struct pmp_pace_rates r;
  pmp_pace_add(&p, &(struct pmp_pace_sample){0});
  const struct pmp_pace_sample s = run(&p, (struct pmp_pace_sample){0}, 200, 50, false);
  pmp_pace_rates(&p, &s, 11000, &r);
  assert_true(near(r.steps_per_s, 50) && near(r.env_per_s, 100) && near(r.rows_per_s, 150));
  assert_true(near(r.wait_share, 0.25) && near(r.product_share, 0.5) && near(r.rest_share, 0.25));
  assert_true(near(r.left_s, 20)); /* 1000 steps */
  pmp_pace_rates(&p, &s, 0, &r);
  assert_true(isnan(r.left_s));
  pmp_pace_rates(&p, &s, 9000, &r);
  assert_true(r.left_s == 0);
  assert_int_equal(p.samples, 201); /* one a second, however often it is looked at */
}

static void rates_follow_within_seconds(void **state) {
  (void)state;
  struct pmp_pace p = {0};
  struct pmp_pace_rates r;
  struct pmp_pace_sample s = run(&p, (struct pmp_pace_sample){0}, 100, 50, false);
  s = run(&p, s, PMP_PACE_RECENT + 1, 200, false);
  pmp_pace_rates(&p, &s, 0, &r);
  assert_true(near(r.steps_per_s, 200));
}

static void a_pause_does_not_move_the_end(void **state) {
  (void)state;
  struct pmp_pace p = {0};
  struct pmp_pace_rates before, after;
  struct pmp_pace_sample s = run(&p, (struct pmp_pace_sample){0}, 100, 50, false);
  pmp_pace_rates(&p, &s, 10000, &before);
  s = run(&p, s, 20, 50, true);
  pmp_pace_rates(&p, &s, 10000, &after);
  assert_true(near(before.left_s, after.left_s) && near(after.left_s, 100));
  assert_true(after.steps_per_s == 0); /* while it lasts */
  assert_true(isnan(after.wait_share));
  s = run(&p, s, 600, 50, true);
  pmp_pace_rates(&p, &s, 10000, &after);
  assert_true(isnan(after.left_s)); /* what was before is forgotten */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_known_at_first),
      cmocka_unit_test(steady_work_is_measured_exactly),
      cmocka_unit_test(rates_follow_within_seconds),
      cmocka_unit_test(a_pause_does_not_move_the_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
