/* The rules of protocol.md, "Rate limiting", one by one. */
#include "daemon/limiter.h"

#include "tests/daemon/unit.h"

static double debt(struct pmp_limiter *l) {
  struct pmp_limiter_state s;
  pmp_limiter_get(l, &s);
  return s.d;
}

static double reserved(struct pmp_limiter *l) {
  struct pmp_limiter_state s;
  pmp_limiter_get(l, &s);
  return s.reserved;
}

/* spi 4, tolerance 100, min_size 20, batch 10. */
static void start(struct pmp_limiter *l, bool lockstep, bool people) {
  pmp_limiter_init(l, 4, 100, 20, 10, lockstep, people);
}

static void rows_up_to_min_size_are_free(void **state) {
  (void)state;
  struct pmp_limiter l;
  start(&l, false, false);
  pmp_limiter_arrive(&l, 15, NAN);
  assert_true(debt(&l) == 0);
  pmp_limiter_arrive(&l, 10, NAN); /* 5 of them are beyond min_size */
  assert_true(debt(&l) == 20);
  pmp_limiter_arrive(&l, 3, NAN);
  assert_true(debt(&l) == 32);
  pmp_limiter_stepped(&l, 10);
  assert_true(debt(&l) == 22);
  pmp_limiter_fini(&l);
}

static void an_append_is_admitted_by_one_of_three_reasons(void **state) {
  (void)state;
  struct pmp_limiter l;
  start(&l, false, false);
  assert_true(pmp_limiter_admit(&l, 1000)); /* fewer than need rows are trainable */
  assert_true(reserved(&l) == 4000);
  pmp_limiter_trainable(&l, 19);
  assert_true(pmp_limiter_admit(&l, 1));
  pmp_limiter_trainable(&l, 20);
  assert_false(pmp_limiter_admit(&l, 1)); /* D + reserved is far beyond the tolerance */
  assert_true(pmp_limiter_admit(&l, 0));  /* brings no trainable rows */
  pmp_limiter_release(&l, 1001);
  assert_true(reserved(&l) == 0);
  assert_true(pmp_limiter_admit(&l, 25)); /* 100 <= 100 */
  assert_false(pmp_limiter_admit(&l, 1));
  pmp_limiter_release(&l, 25); /* the commit failed */
  assert_true(pmp_limiter_admit(&l, 1));
  pmp_limiter_release(&l, 1);
  pmp_limiter_arrive(&l, 20, NAN);
  pmp_limiter_arrive(&l, 15, NAN); /* D = 60 */
  assert_true(pmp_limiter_admit(&l, 10));
  assert_false(pmp_limiter_admit(&l, 1));
  pmp_limiter_fini(&l);
}

static void need_is_the_larger_of_min_size_and_batch(void **state) {
  (void)state;
  struct pmp_limiter l;
  pmp_limiter_init(&l, 1, 100, 5, 50, false, false);
  pmp_limiter_trainable(&l, 49);
  assert_false(pmp_limiter_may_step(&l));
  pmp_limiter_trainable(&l, 50);
  assert_true(pmp_limiter_may_step(&l));
  pmp_limiter_fini(&l);
  pmp_limiter_init(&l, 1, 100, 60, 50, false, false);
  pmp_limiter_trainable(&l, 59);
  assert_false(pmp_limiter_may_step(&l));
  pmp_limiter_trainable(&l, 60);
  assert_true(pmp_limiter_may_step(&l));
  pmp_limiter_fini(&l);
}

static void the_learner_may_run_ahead_by_the_tolerance(void **state) {
  (void)state;
  struct pmp_limiter l;
  start(&l, false, false);
  pmp_limiter_trainable(&l, 20);
  int steps = 0;
  while (pmp_limiter_may_step(&l) && steps < 1000) {
    pmp_limiter_stepped(&l, 10);
    steps++;
  }
  assert_int_equal(steps, 10); /* D - 10 >= -100 holds ten times from 0 on */
  assert_true(debt(&l) == -100);
  pmp_limiter_arrive(&l, 22, NAN); /* 2 beyond min_size: 8 rows */
  assert_false(pmp_limiter_may_step(&l));
  pmp_limiter_arrive(&l, 1, NAN);
  assert_true(pmp_limiter_may_step(&l));
  pmp_limiter_fini(&l);
}

static void in_lockstep_the_tolerance_is_unused(void **state) {
  (void)state;
  struct pmp_limiter l;
  start(&l, true, false);
  pmp_limiter_trainable(&l, 1000);
  assert_false(pmp_limiter_may_step(&l)); /* D = 0 < batch */
  assert_true(pmp_limiter_admit(&l, 1000000));
  pmp_limiter_release(&l, 1000000);
  pmp_limiter_arrive(&l, 22, NAN);
  assert_false(pmp_limiter_may_step(&l)); /* D = 8 */
  pmp_limiter_arrive(&l, 1, NAN);
  assert_true(pmp_limiter_may_step(&l)); /* D = 12 */
  pmp_limiter_stepped(&l, 10);
  assert_false(pmp_limiter_may_step(&l));
  pmp_limiter_fini(&l);
}

static void people_pay_from_the_first_verdict_on(void **state) {
  (void)state;
  struct pmp_limiter l;
  start(&l, false, true);
  pmp_limiter_trainable(&l, 1000);
  assert_false(pmp_limiter_may_step(&l)); /* nobody has judged: not fitted for ever */
  pmp_limiter_arrive(&l, 1, 32);
  assert_true(debt(&l) == 32); /* min_size gives nothing away here */
  int steps = 0;
  for (; pmp_limiter_may_step(&l); steps++) pmp_limiter_stepped(&l, 10);
  assert_int_equal(steps, 3);
  pmp_limiter_fini(&l);
}

static void a_new_ratio_affects_later_rows_only(void **state) {
  (void)state;
  struct pmp_limiter l;
  start(&l, false, false);
  pmp_limiter_trainable(&l, 20);
  pmp_limiter_arrive(&l, 30, NAN);
  assert_true(debt(&l) == 40);
  assert_true(pmp_limiter_admit(&l, 10)); /* on its way while the ratio changes */
  pmp_limiter_set_spi(&l, 1, 50);
  assert_true(debt(&l) == 40);
  assert_true(reserved(&l) == 10);
  assert_false(pmp_limiter_admit(&l, 1)); /* 40 + 10 + 1 > 50 */
  pmp_limiter_arrive(&l, 10, NAN);
  pmp_limiter_release(&l, 10);
  assert_true(debt(&l) == 50);
  assert_true(reserved(&l) == 0); /* nothing is left over from the old ratio, up or down */
  assert_true(pmp_limiter_admit(&l, 0));
  pmp_limiter_set_spi(&l, 8, 800);
  assert_true(pmp_limiter_admit(&l, 10));
  pmp_limiter_set_spi(&l, 16, 800);
  pmp_limiter_release(&l, 10);
  assert_true(reserved(&l) == 0);
  pmp_limiter_fini(&l);
}

static void without_a_limit_nothing_is_owed_either_way(void **state) {
  (void)state;
  struct pmp_limiter l;
  pmp_limiter_init(&l, 4, INFINITY, 20, 10, false, false);
  assert_true(pmp_limiter_admit(&l, 1000000));
  pmp_limiter_trainable(&l, 19);
  assert_false(pmp_limiter_may_step(&l)); /* min_size holds as ever */
  pmp_limiter_trainable(&l, 20);
  pmp_limiter_arrive(&l, 1000000, NAN);
  pmp_limiter_release(&l, 1000000);
  assert_true(pmp_limiter_admit(&l, 1000000));
  for (int i = 0; i < 1000000; i++) {
    if (!pmp_limiter_may_step(&l)) fail_msg("step %d is held back", i);
    pmp_limiter_stepped(&l, 10);
  }
  assert_true(debt(&l) == 0); /* a later start with a limit begins even */
  pmp_limiter_init(&l, 4, INFINITY, 20, 10, true, false);
  pmp_limiter_trainable(&l, 1000);
  assert_false(pmp_limiter_may_step(&l)); /* lockstep keeps its own rule */
  pmp_limiter_arrive(&l, 23, NAN);
  assert_true(debt(&l) == 12);
  pmp_limiter_init(&l, 4, INFINITY, 20, 10, false, true);
  pmp_limiter_trainable(&l, 1000);
  assert_false(pmp_limiter_may_step(&l)); /* and so do people */
  pmp_limiter_fini(&l);
}

static void a_checkpoint_brings_it_back(void **state) {
  (void)state;
  struct pmp_limiter l;
  start(&l, false, false);
  pmp_limiter_restore(&l, -37.5, 2, 400, 12345);
  struct pmp_limiter_state s;
  pmp_limiter_get(&l, &s);
  assert_true(s.d == -37.5 && s.spi == 2);
  assert_int_equal(s.arrived, 12345);
  pmp_limiter_arrive(&l, 10, NAN); /* committed since: long beyond min_size */
  assert_true(debt(&l) == -17.5);
  pmp_limiter_trainable(&l, 20);
  assert_true(
      pmp_limiter_admit(&l, 208)); /* the tolerance that goes with the ratio: -17.5 + 416 <= 400 */
  assert_false(pmp_limiter_admit(&l, 1));
  pmp_limiter_fini(&l);
}

static double achieved(struct pmp_limiter *l) {
  struct pmp_limiter_state s;
  pmp_limiter_get(l, &s);
  return s.achieved;
}

static void what_was_achieved_is_counted(void **state) {
  (void)state;
  struct pmp_limiter l;
  start(&l, false, false);
  assert_true(isnan(achieved(&l)));
  pmp_limiter_arrive(&l, 20, NAN); /* free */
  pmp_limiter_stepped(&l, 10);     /* paid by the tolerance: of no insert */
  assert_true(isnan(achieved(&l)));
  pmp_limiter_arrive(&l, 10, NAN);
  assert_true(achieved(&l) == 0);
  for (int i = 0; i < 3; i++) pmp_limiter_stepped(&l, 10);
  assert_true(achieved(&l) == 3);
  pmp_limiter_set_spi(&l, 100, 1000);
  assert_true(achieved(&l) == 3); /* of the rows, whatever was asked for */
  pmp_limiter_fini(&l);
  start(&l, false, true);
  pmp_limiter_arrive(&l, 100, 0);
  pmp_limiter_stepped(&l, 10);
  assert_true(isnan(achieved(&l))); /* verdicts pay, not rows */
  pmp_limiter_fini(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_up_to_min_size_are_free),
      cmocka_unit_test(an_append_is_admitted_by_one_of_three_reasons),
      cmocka_unit_test(need_is_the_larger_of_min_size_and_batch),
      cmocka_unit_test(the_learner_may_run_ahead_by_the_tolerance),
      cmocka_unit_test(in_lockstep_the_tolerance_is_unused),
      cmocka_unit_test(people_pay_from_the_first_verdict_on),
      cmocka_unit_test(a_new_ratio_affects_later_rows_only),
      cmocka_unit_test(without_a_limit_nothing_is_owed_either_way),
      cmocka_unit_test(a_checkpoint_brings_it_back),
      cmocka_unit_test(what_was_achieved_is_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
