/* The table of who labels. */
#include "daemon/labelers.h"

#include "tests/daemon/unit.h"

#include <stdio.h>
#include <string.h>

static void test_found_again_among_many(void **state) {
  (void)state;
  struct pmp_labelers l = {0};
  enum { N = 300 };
  char name[16];
  for (unsigned i = 0; i < N; i++) {
    snprintf(name, sizeof name, "p%u", i * 7919 % N);
    struct pmp_labeler *one = pmp_labelers_get(&l, name);
    assert_non_null(one);
    assert_int_equal(one->given, 0); /* a new one */
    one->given = i * 7919 % N + 1;
    one->heard_ns = i % 3 == 0 ? 0 : (int64_t)i;
  }
  assert_int_equal(l.count, N);
  for (unsigned i = 0; i < N; i++) {
    snprintf(name, sizeof name, "p%u", i);
    assert_int_equal(pmp_labelers_get(&l, name)->given, i + 1);
  }
  assert_int_equal(l.count, N);
  for (uint32_t i = 1; i < N; i++) assert_true(strcmp(l.one[i - 1].name, l.one[i].name) < 0);
  assert_int_equal(pmp_labelers_since(&l, 1), 200); /* a third were never heard */
  assert_int_equal(pmp_labelers_since(&l, 298), 2);
  assert_int_equal(pmp_labelers_since(&l, 300), 0);
  pmp_labelers_fini(&l);
  assert_int_equal(l.count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_found_again_among_many)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
