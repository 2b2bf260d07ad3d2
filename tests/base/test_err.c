/* Names, formatting and errno mapping of base/err. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_wire_codes_keep_their_numbers(void **state) {
  (void)state;
  assert_int_equal(PMP_OK, 0);
  assert_int_equal(PMP_EINVALID, 1);
  assert_int_equal(PMP_EUNAUTHENTICATED, 2);
  assert_int_equal(PMP_EFORBIDDEN, 3);
  assert_int_equal(PMP_ENOTFOUND, 4);
  assert_int_equal(PMP_ECONFLICT, 5);
  assert_int_equal(PMP_EBUSY, 6);
  assert_int_equal(PMP_ETOOLARGE, 7);
  assert_int_equal(PMP_EUNAVAILABLE, 8);
  assert_int_equal(PMP_EINTERNAL, 9);
}

static void test_every_code_has_its_own_name(void **state) {
  (void)state;
  for (int a = 0; a < PMP_ERR_COUNT; a++) {
    const char *name = pmp_err_name((enum pmp_err)a);
    assert_non_null(name);
    assert_string_not_equal(name, "unknown");
    for (int b = 0; b < a; b++) assert_string_not_equal(name, pmp_err_name((enum pmp_err)b));
  }
  assert_string_equal(pmp_err_name(PMP_ECONFLICT), "conflict");
  assert_string_equal(pmp_err_name(PMP_ERR_COUNT), "unknown");
  assert_string_equal(pmp_err_name((enum pmp_err) - 1), "unknown");
}

static void test_fail_formats_and_returns_the_code(void **state) {
  (void)state;
  struct pmp_errmsg msg;
  memset(&msg, 'x', sizeof msg);
  assert_int_equal(pmp_fail(&msg, PMP_EBUSY, "row %u of %s", 7U, "chunk"), PMP_EBUSY);
  assert_string_equal(msg.text, "row 7 of chunk");
  assert_int_equal(pmp_fail(NULL, PMP_EIO, "nobody reads this"), PMP_EIO);
}

static void test_fail_cuts_a_long_sentence(void **state) {
  (void)state;
  struct pmp_errmsg msg;
  memset(&msg, 'x', sizeof msg);
  char longer[2 * sizeof msg.text];
  memset(longer, 'a', sizeof longer);
  longer[sizeof longer - 1] = '\0';
  assert_int_equal(pmp_fail(&msg, PMP_EINVALID, "%s", longer), PMP_EINVALID);
  assert_int_equal(strlen(msg.text), sizeof msg.text - 1);
}

static void test_errno_becomes_a_code(void **state) {
  (void)state;
  assert_int_equal(pmp_err_from_errno(ENOSPC), PMP_ENOSPC);
  assert_int_equal(pmp_err_from_errno(EDQUOT), PMP_ENOSPC);
  assert_int_equal(pmp_err_from_errno(ENOMEM), PMP_ENOMEM);
  assert_int_equal(pmp_err_from_errno(ENOENT), PMP_ENOTFOUND);
  assert_int_equal(pmp_err_from_errno(EACCES), PMP_EIO);
}

static enum pmp_err try_it(enum pmp_err inner, int *after) {
  PMP_TRY(inner);
  *after = 1;
  return PMP_OK;
}

static void test_try_leaves_on_failure_only(void **state) {
  (void)state;
  int after = 0;
  assert_int_equal(try_it(PMP_ECLOSED, &after), PMP_ECLOSED);
  assert_int_equal(after, 0);
  assert_int_equal(try_it(PMP_OK, &after), PMP_OK);
  assert_int_equal(after, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_wire_codes_keep_their_numbers),
      cmocka_unit_test(test_every_code_has_its_own_name),
      cmocka_unit_test(test_fail_formats_and_returns_the_code),
      cmocka_unit_test(test_fail_cuts_a_long_sentence),
      cmocka_unit_test(test_errno_becomes_a_code),
      cmocka_unit_test(test_try_leaves_on_failure_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
