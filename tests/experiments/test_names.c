/* Lists of names with commas between: what is in them, and what is in none. */
#include "experiments/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static const char *colour(size_t i) {
  static const char *const name[] = {"red", "green", "darkred"};
  return i < 3 ? name[i] : NULL;
}

static void whole_words_are_listed(void **state) {
  (void)state;
  assert_true(pmp_names_listed(NULL, "red"));
  assert_true(pmp_names_listed("green,red", "red"));
  assert_true(pmp_names_listed("red", "red"));
  assert_false(pmp_names_listed("darkred", "red"));
  assert_false(pmp_names_listed("re,reds,", "red"));
  assert_false(pmp_names_listed("", "red"));
}

static void every_unknown_word_is_named(void **state) {
  (void)state;
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_names_check("c", NULL, colour, &msg), PMP_OK);
  assert_int_equal(pmp_names_check("c", "red,darkred,red", colour, &msg), PMP_OK);
  assert_int_equal(pmp_names_check("c", "blue,red,,gree", colour, &msg), PMP_EINVALID);
  assert_string_equal(msg.text,
                      "--c: there is no \"blue\", \"\", \"gree\"; there are red, green, darkred");
  assert_int_equal(pmp_names_check("c", "", colour, &msg), PMP_EINVALID);
}

static void long_lists_are_cut(void **state) {
  (void)state;
  char list[4000], few[8];
  struct pmp_errmsg msg = {{0}};
  memset(list, 'x', sizeof list - 1);
  list[sizeof list - 1] = '\0';
  for (size_t i = 100; i < sizeof list - 1; i += 100) list[i] = ',';
  assert_int_equal(pmp_names_check("c", list, colour, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "; there are red, green, darkred"));
  memset(few, 9, sizeof few);
  pmp_names_join(colour, few, sizeof few);
  assert_string_equal(few, "red, gr");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_words_are_listed),
      cmocka_unit_test(every_unknown_word_is_named),
      cmocka_unit_test(long_lists_are_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
