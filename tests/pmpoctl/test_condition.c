/* Conditions: what is understood, and when they hold. */
#include "clients/pmpoctl/condition.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_parse(void **state) {
  (void)state;
  struct pmp_condition c;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_condition_parse_text(&c, "actor.eval_return >= 800", 10, &msg), PMP_OK);
  assert_string_equal(c.name, "actor.eval_return");
  assert_int_equal(c.compare, PMP_AT_LEAST);
  assert_true(c.value == 800);
  assert_int_equal(c.mean, 10);
  assert_true(isnan(c.current));
  assert_int_equal(pmp_condition_parse_text(&c, "state = paused", 1, &msg), PMP_OK);
  assert_int_equal(pmp_condition_parse(&c, "x", "==", "-1.5e3", 1, &msg), PMP_OK);
  assert_true(c.compare == PMP_EQUAL && c.value == -1500);
}

static void test_refuses(void **state) {
  (void)state;
  static const struct {
    const char *text;
    uint32_t mean;
  } bad[] = {{"", 1},          {"a >= ", 1}, {"a>=5", 1},     {"a >= 5 6", 1}, {"a => 5", 1},
             {"a >= five", 1}, {"a = b", 2}, {"a >= nan", 1}, {"a >= 5", 0},   {"a >= 5", 1001}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct pmp_condition c;
    struct pmp_errmsg msg = {{0}};
    assert_int_equal(pmp_condition_parse_text(&c, bad[i].text, bad[i].mean, &msg), PMP_EINVALID);
    assert_true(msg.text[0] != '\0');
  }
}

static void test_holds(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool below, equal, above;
  } all[] = {{"x < 5", true, false, false}, {"x <= 5", true, true, false},
             {"x = 5", false, true, false}, {"x != 5", true, false, true},
             {"x >= 5", false, true, true}, {"x > 5", false, false, true}};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    struct pmp_condition c;
    assert_int_equal(pmp_condition_parse_text(&c, all[i].text, 1, NULL), PMP_OK);
    assert_int_equal(pmp_condition_holds(&c, 4), all[i].below);
    assert_int_equal(pmp_condition_holds(&c, 5), all[i].equal);
    assert_int_equal(pmp_condition_holds(&c, 6), all[i].above);
    assert_false(pmp_condition_holds(&c, (double)NAN));
  }
}

static void test_mean_is_of_the_last_points(void **state) {
  (void)state;
  const double v[] = {1000, 1, 2, 3};
  assert_true(pmp_condition_mean(v, 4, 3) == 2);
  assert_true(pmp_condition_mean(v, 4, 1) == 3);
  assert_true(isnan(pmp_condition_mean(v, 2, 3)));
  assert_true(isnan(pmp_condition_mean(v, 0, 0)));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_refuses),
                                     cmocka_unit_test(test_holds),
                                     cmocka_unit_test(test_mean_is_of_the_last_points)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
