/* The lines of numbers: what is there is said, what is not is left out. */
#include "clients/pmpoctl/summary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct given {
  const char *name;
  double value;
};

static double number(const void *ctx, const char *name) {
  for (const struct given *g = ctx; g->name; g++)
    if (strcmp(g->name, name) == 0) return g->value;
  return (double)NAN;
}

static void print(const struct given *given, char *out, size_t size) {
  FILE *f = tmpfile();
  assert_non_null(f);
  pmp_summary_print(number, given, f);
  rewind(f);
  out[fread(out, 1, size - 1, f)] = '\0';
  fclose(f);
}

static void lines_say_what_is_there(void **state) {
  (void)state;
  char out[2048];
  const struct given given[] = {{"run.progress", 0.45},
                                {"run.max_steps", 20000},
                                {"run.left_s", 100},
                                {"return.mean_of", 3},
                                {"return.mean", 12.5},
                                {"learner.loss_accepted", -0.5},
                                {"labels.accepted_share", 0.012},
                                {"learner.wait_share", 0},
                                {"store.refused", 0},
                                {"ingest.held", 2},
                                {NULL, 0}};
  print(given, out, sizeof out);
  assert_string_equal(out, "  progress     45 % of 20,000 learner steps, 1 min 40 s left\n"
                           "  return       mean of 3: 12.50\n"
                           "  loss         accepted -0.5000\n"
                           "  labels       accepted 1.2 %\n"
                           "  inserts      appends held 2\n"
                           "  time         waiting for data 0 %\n");
}

static void value_is(enum pmp_summary_unit unit, double v, const char *text) {
  char out[PMP_FORMAT_MAX];
  assert_string_equal(pmp_summary_value(unit, v, out), text);
}

static void values_say_no_more_than_they_know(void **state) {
  (void)state;
  value_is(PMP_UNIT_SHARE, 1, "100 %");
  value_is(PMP_UNIT_SHARE, 0.998, "99 %"); /* not done yet */
  value_is(PMP_UNIT_SHARE, 0.994, "99 %");
  value_is(PMP_UNIT_SHARE, 0.0123, "1.2 %");
  value_is(PMP_UNIT_ERROR, 0.06221, "0.062");
  value_is(PMP_UNIT_ERROR, 3.94, "3.9");
  value_is(PMP_UNIT_ERROR, 9.96, "10");
  value_is(PMP_UNIT_ERROR, 123.4, "123");
  value_is(PMP_UNIT_ERROR, 0, "0");
  value_is(PMP_UNIT_SPAN, 0.175, "0 s");
  value_is(PMP_UNIT_SPAN, 59.4, "59 s");
  value_is(PMP_UNIT_SPAN, 59.6, "1 min 00 s");
}

static void the_range_of_q_stands_with_its_mean(void **state) {
  (void)state;
  char out[256];
  const struct given given[] = {{"learner.q_mean", 63.3},
                                {"learner.q_std", 0.7794},
                                {"learner.q_min", 19.85},
                                {"learner.q_max", 95.48},
                                {NULL, 0}};
  print(given, out, sizeof out);
  assert_string_equal(out,
                      "  critic       Q 63.30 in 19.85 to 95.48, spread over actions 0.7794\n");
}

static void nothing_is_no_line(void **state) {
  (void)state;
  char out[64];
  const struct given given[] = {{"some.other", 3}, {"learner.loss", (double)INFINITY}, {NULL, 0}};
  print(given, out, sizeof out);
  assert_string_equal(out, "");
}

/* One that needs the number before it does not stick to another line's words. */
static void a_joined_part_stands_alone_too(void **state) {
  (void)state;
  char out[256];
  const struct given given[] = {{"run.max_steps", 20000}, {NULL, 0}};
  print(given, out, sizeof out);
  assert_string_equal(out, "  progress     of 20,000 learner steps\n");
}

static void names_and_heads_fit(void **state) {
  (void)state;
  size_t count = 0;
  const struct pmp_summary_line *line = pmp_summary_lines(&count);
  const struct given big[] = {{NULL, 0}};
  assert_true(count >= 10);
  for (size_t i = 0; i < count; i++) {
    struct pmp_summary_piece piece[PMP_SUMMARY_PARTS];
    assert_in_range(strlen(line[i].head), 1, 11);
    assert_int_equal((int)pmp_summary_pieces(&line[i], number, big, piece), 0);
    for (size_t k = 0; k < PMP_SUMMARY_PARTS && line[i].part[k].name; k++) {
      assert_true(strlen(line[i].part[k].before) < sizeof piece[0].before);
      assert_true(strlen(line[i].part[k].after) < sizeof piece[0].after);
      for (size_t j = 0; j < k; j++)
        assert_string_not_equal(line[i].part[j].name, line[i].part[k].name);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(lines_say_what_is_there),
                                     cmocka_unit_test(values_say_no_more_than_they_know),
                                     cmocka_unit_test(the_range_of_q_stands_with_its_mean),
                                     cmocka_unit_test(nothing_is_no_line),
                                     cmocka_unit_test(a_joined_part_stands_alone_too),
                                     cmocka_unit_test(names_and_heads_fit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
