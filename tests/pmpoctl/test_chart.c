/* The curve's dots: where they fall, what is cut off, and what a cell prints. */
#include "clients/pmpoctl/chart.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_corners(void **state) {
  (void)state;
  struct pmp_chart c;
  char out[PMP_CHART_CELL];
  assert_true(pmp_chart_init(&c, 3, 2));
  pmp_chart_range(&c, 10, 20, -1, 1);
  pmp_chart_dot(&c, 10, 1);
  pmp_chart_dot(&c, 20, -1);
  assert_int_equal(c.cell[0], 0x01); /* upper left dot of the upper left cell */
  assert_int_equal(c.cell[5], 0x80); /* lower right dot of the lower right cell */
  assert_string_equal(pmp_chart_text(&c, 0, 0, true, out), "\xe2\xa0\x81");
  assert_string_equal(pmp_chart_text(&c, 1, 2, true, out), "\xe2\xa2\x80");
  assert_string_equal(pmp_chart_text(&c, 0, 1, true, out), " ");
  assert_string_equal(pmp_chart_text(&c, 0, 0, false, out), "'");
  assert_string_equal(pmp_chart_text(&c, 1, 2, false, out), ".");
  pmp_chart_fini(&c);
  pmp_chart_fini(&c);
}

static void test_outside_is_cut_off(void **state) {
  (void)state;
  struct pmp_chart c;
  const double x[] = {-1e6, 1e6}, y[] = {0.5, 0.5};
  assert_true(pmp_chart_init(&c, 8, 2));
  pmp_chart_dot(&c, 2, 0.5);
  pmp_chart_dot(&c, 0.5, -3);
  pmp_chart_dot(&c, (double)NAN, 0.5);
  for (int i = 0; i < 16; i++) assert_int_equal(c.cell[i], 0);
  pmp_chart_line(&c, x, y, 2); /* crosses the whole grid; its length costs nothing */
  for (int i = 0; i < 8; i++) assert_true((c.cell[i] | c.cell[8 + i]) != 0);
  pmp_chart_fini(&c);
}

static void test_a_line_has_no_holes(void **state) {
  (void)state;
  struct pmp_chart c;
  const double x[] = {0, 1}, y[] = {0, 1};
  assert_true(pmp_chart_init(&c, 10, 10));
  pmp_chart_line(&c, x, y, 2);
  for (int row = 0; row < 10; row++) {
    int in_row = 0;
    for (int k = 0; k < 10; k++) in_row += c.cell[row * 10 + k] != 0;
    assert_true(in_row >= 1);
    assert_true(c.cell[row * 10 + 9 - row] != 0);
  }
  pmp_chart_fini(&c);
}

static void test_a_gap_stays_a_gap(void **state) {
  (void)state;
  struct pmp_chart c;
  const double x[] = {0, 0.5, 1}, y[] = {0, (double)NAN, 0};
  assert_true(pmp_chart_init(&c, 9, 1));
  pmp_chart_line(&c, x, y, 3);
  assert_true(c.cell[0] != 0 && c.cell[8] != 0);
  for (int i = 1; i < 8; i++) assert_int_equal(c.cell[i], 0);
  pmp_chart_fini(&c);
}

static void test_nice_ranges(void **state) {
  (void)state;
  const double in[][2] = {{0, 812}, {-0.013, 0.4}, {5, 5}, {0, 0}, {97, 103}};
  for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
    double lo = in[i][0], hi = in[i][1];
    pmp_chart_nice(&lo, &hi);
    assert_true(lo <= in[i][0] && hi >= in[i][1] && hi > lo);
    assert_true(hi - lo <= 2.5 * fmax(in[i][1] - in[i][0], 1));
  }
  double lo = 0, hi = 812;
  pmp_chart_nice(&lo, &hi);
  assert_true(lo == 0 && hi == 1000);
}

static void test_a_log_scale_leaves_gaps(void **state) {
  (void)state;
  const double y[] = {0.02, 0, 30, -1, (double)NAN, 100};
  double out[6] = {999, 999, 999, 999, 999, 999}, lo = 999, hi = 999;
  assert_int_equal((int)pmp_chart_log(y, 6, out, &lo, &hi), 3);
  assert_true(lo == -2 && hi == 2);
  assert_true(fabs(out[0] - log10(0.02)) < 1e-12 && out[5] == 2);
  assert_true(isnan(out[1]) && isnan(out[3]) && isnan(out[4]));
  const double none[] = {0, -2};
  assert_int_equal((int)pmp_chart_log(none, 2, out, &lo, &hi), 2);
  assert_true(lo == 0 && hi == 0);
  double one[] = {10}; /* a range of a single power still has a height; in place */
  assert_int_equal((int)pmp_chart_log(one, 1, one, &lo, &hi), 0);
  assert_true(one[0] == 1 && lo == 1 && hi == 2);
}

static void test_refuses_no_cells(void **state) {
  (void)state;
  struct pmp_chart c;
  assert_false(pmp_chart_init(&c, 0, 5));
  assert_false(pmp_chart_init(&c, 5, -1));
  assert_null(c.cell);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_corners),
                                     cmocka_unit_test(test_outside_is_cut_off),
                                     cmocka_unit_test(test_a_line_has_no_holes),
                                     cmocka_unit_test(test_a_gap_stays_a_gap),
                                     cmocka_unit_test(test_nice_ranges),
                                     cmocka_unit_test(test_a_log_scale_leaves_gaps),
                                     cmocka_unit_test(test_refuses_no_cells)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
