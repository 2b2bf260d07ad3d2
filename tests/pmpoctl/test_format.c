/* Numbers, times, details and tables as people see them. */
#include "clients/pmpoctl/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef const char *format(double v, char out[PMP_FORMAT_MAX]);

struct sample {
  format *f;
  double v;
  const char *want;
};

static const struct sample samples[] = {
    {pmp_format_count, 0, "0"},
    {pmp_format_count, 999, "999"},
    {pmp_format_count, 1000, "1,000"},
    {pmp_format_count, -1234567, "-1,234,567"},
    {pmp_format_count, 9999999, "9,999,999"},
    {pmp_format_count, 12345678, "12.3 M"},
    {pmp_format_count, 999.6e6, "1.00 G"},
    {pmp_format_count, 1.5, "1.500"},
    {pmp_format_real, 0, "0"},
    {pmp_format_real, 812.43, "812.4"},
    {pmp_format_real, 0.00123, "0.0012"},
    {pmp_format_real, 1.2e-7, "1.20e-07"},
    {pmp_format_real, -3.14159, "-3.142"},
    {pmp_format_rate, 0.25, "0.2/s"},
    {pmp_format_rate, 2412.4, "2,412/s"},
    {pmp_format_bytes, 0, "0 B"},
    {pmp_format_bytes, 999, "999 B"},
    {pmp_format_bytes, 1000, "1.00 kB"},
    {pmp_format_bytes, 12.34e6, "12.3 MB"},
    {pmp_format_bytes, 999.9e6, "1.00 GB"},
    {pmp_format_seconds, 0.0124, "12 ms"},
    {pmp_format_seconds, 1, "1.0 s"},
    {pmp_format_seconds, 59.99, "1 min 00 s"},
    {pmp_format_seconds, 123, "2 min 03 s"},
    {pmp_format_seconds, 3 * 3600 + 4 * 60, "3 h 04 min"},
    {pmp_format_seconds, 2 * 86400 + 5 * 3600, "2 d 05 h"},
    {pmp_format_clock, 63.9, "01:03"},
    {pmp_format_clock, 3723, "1:02:03"},
};

static void test_numbers(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
    char out[PMP_FORMAT_MAX];
    memset(out, '9', sizeof out);
    assert_string_equal(samples[i].f(samples[i].v, out), samples[i].want);
    assert_ptr_equal(samples[i].f(samples[i].v, out), out);
  }
}

static void test_named_uses_the_unit_in_the_name(void **state) {
  (void)state;
  char out[PMP_FORMAT_MAX];
  assert_string_equal(pmp_format_named("store.bytes", 2048, out), "2.05 kB");
  assert_string_equal(pmp_format_named("process.uptime_s", 123, out), "2 min 03 s");
  assert_string_equal(pmp_format_named("idle_ms", 250, out), "250 ms");
  assert_string_equal(pmp_format_named("learner.steps_per_s", 301.2, out), "301/s");
  assert_string_equal(pmp_format_named("learner.kl", 0.25, out), "0.2500");
  assert_string_equal(pmp_format_named("learner.steps", 1234, out), "1,234");
}

static void test_detail(void **state) {
  (void)state;
  char out[64];
  pmp_format_detail("{\"key\":\"optim.lr\",\"old\":\"1\",\"step\":12,\"x\":0.5,\"done\":\"set\"}",
                    out, sizeof out);
  assert_string_equal(out, "key optim.lr, old 1, step 12, x 0.5");
  pmp_format_detail("not json", out, sizeof out);
  assert_string_equal(out, "not json");
  pmp_format_detail("{}", out, sizeof out);
  assert_string_equal(out, "");
  char small[8];
  memset(small, '9', sizeof small);
  pmp_format_detail("{\"key\":\"a long value\"}", small, sizeof small);
  assert_string_equal(small, "key a l");
}

static char *printed(const struct pmp_table *t) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(out);
  pmp_table_print(t, out);
  assert_int_equal(fclose(out), 0);
  return text;
}

static void test_table_aligns(void **state) {
  (void)state;
  struct pmp_table t;
  pmp_table_init(&t, "name|>rows|note");
  for (int i = 0; i < 40; i++) { /* more than the first allocation holds */
    assert_true(pmp_table_row(&t));
    pmp_table_set(&t, 0, i == 0 ? "a" : "bcdef");
    pmp_table_set(&t, 1, i == 0 ? "12,345" : "1");
    pmp_table_set(&t, 2, "x");
    pmp_table_set(&t, 3, "no such column");
  }
  char *text = printed(&t);
  const char *const want = "name     rows  note\na      12,345  x\nbcdef       1  x\n";
  assert_memory_equal(text, want, strlen(want));
  assert_int_equal(t.rows, 41);
  free(text);
  pmp_table_fini(&t);
  pmp_table_fini(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers), cmocka_unit_test(test_named_uses_the_unit_in_the_name),
      cmocka_unit_test(test_detail), cmocka_unit_test(test_table_aligns)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
