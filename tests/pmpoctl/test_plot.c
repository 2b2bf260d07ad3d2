/* The script for gnuplot: what a logarithmic scale shows, and what it refuses. */
#include "clients/pmpoctl/plot.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t steps[] = {1, 2, 3, 4};
static const int64_t wall[] = {10, 20, 30, 40};

static struct pmp_series series(const double *value) {
  return (struct pmp_series){.name = "learner.kl",
                             .step = steps,
                             .env_steps = steps,
                             .wall_ns = wall,
                             .value = value,
                             .points = 4};
}

static void script(const struct pmp_plot *p, const struct pmp_series *s, char *out, size_t size) {
  FILE *f = tmpfile();
  assert_non_null(f);
  assert_true(pmp_plot_script(p, s, 1, f));
  rewind(f);
  out[fread(out, 1, size - 1, f)] = '\0';
  fclose(f);
}

static void what_is_not_above_0_is_a_gap(void **state) {
  (void)state;
  const double value[] = {0.5, 0, -3, 8};
  const struct pmp_series s = series(value);
  struct pmp_plot p = {.title = "", .panels = 1, .mean = 2, .line = (double)NAN, .log = true};
  char text[8192];
  script(&p, &s, text, sizeof text);
  assert_non_null(strstr(text, "set logscale y"));
  assert_non_null(strstr(text, " 0.5 0.5\n"));
  assert_non_null(strstr(text, " NaN 0.25\n")); /* the mean has one: 0.5 and 0 */
  assert_non_null(strstr(text, " NaN NaN\n"));
  assert_non_null(strstr(text, " 8 2.5\n"));
  assert_true(pmp_plot_hidden(&s, 1) == 2);
  p.log = false;
  script(&p, &s, text, sizeof text);
  assert_null(strstr(text, "logscale"));
  assert_null(strstr(text, "NaN"));
  assert_non_null(strstr(text, " -3 -1.5\n"));
}

static void nothing_above_0_is_no_picture(void **state) {
  (void)state;
  const double value[] = {-0.5, 0, -3, -8};
  const struct pmp_series s = series(value);
  const struct pmp_plot p = {.title = "", .panels = 1, .mean = 1, .line = (double)NAN, .log = true};
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_plot_png(&p, &s, 1, "/nowhere/picture.png", &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "above 0"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_not_above_0_is_a_gap),
                                     cmocka_unit_test(nothing_above_0_is_no_picture)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
