/* Nearest names: distances known from the literature and by hand, order, ties, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "base/nearest.h"

#include <string.h>

static void test_distances(void **state) {
  (void)state;
  const struct {
    const char *a, *b;
    size_t distance;
  } pairs[] = {{"", "", 0},
               {"", "abc", 3},
               {"kitten", "kitten", 0},
               {"kitten", "sitting", 3},
               {"sunday", "saturday", 3},
               {"intention", "execution", 5},
               {"flaw", "lawn", 2},
               {"ab", "ba", 1},
               {"learner.bacth", "learner.batch", 1},
               {"Walk", "walk", 0},
               {"ca", "abc", 3}};
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    assert_int_equal(pmp_nearest_distance(pairs[i].a, pairs[i].b), pairs[i].distance);
    assert_int_equal(pmp_nearest_distance(pairs[i].b, pairs[i].a), pairs[i].distance);
  }
}

static void test_long_names_are_cut(void **state) {
  (void)state;
  char a[4 * PMP_NEAREST_NAME_MAX], b[4 * PMP_NEAREST_NAME_MAX];
  memset(a, 'a', sizeof a);
  memset(b, 'a', sizeof b);
  a[sizeof a - 1] = b[sizeof b - 1] = '\0';
  b[PMP_NEAREST_NAME_MAX] = 'b';
  assert_int_equal(pmp_nearest_distance(a, b), 0);
  b[PMP_NEAREST_NAME_MAX - 1] = 'b';
  assert_int_equal(pmp_nearest_distance(a, b), 1);
  assert_int_equal(pmp_nearest_distance(a, ""), PMP_NEAREST_NAME_MAX);
}

/* All of them in any order: the nearest are kept in order, of equal ones the first offered. */
static void test_the_nearest_are_kept(void **state) {
  (void)state;
  const char *const names[] = {"run", "runs", "ran", "walk", "rung", "runner", "swim"};
  struct pmp_nearest n;
  memset(&n, 0x99, sizeof n);
  pmp_nearest_init(&n, "runs", 3, SIZE_MAX);
  assert_int_equal(n.count, 0);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) pmp_nearest_offer(&n, i, names[i]);
  assert_int_equal(n.count, 3);
  const size_t index[] = {1, 0, 4}, distance[] = {0, 1, 1};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(n.index[i], index[i]);
    assert_int_equal(n.distance[i], distance[i]);
  }
  pmp_nearest_init(&n, "runs", 3, SIZE_MAX);
  for (size_t i = sizeof names / sizeof names[0]; i-- > 0;) pmp_nearest_offer(&n, i, names[i]);
  assert_int_equal(n.index[0], 1);
  assert_int_equal(n.index[1], 4); /* before "run", which is as near */
  assert_int_equal(n.index[2], 0);
}

/* What was not typed to its end is meant first, however much is missing. */
static void test_beginnings_are_near(void **state) {
  (void)state;
  struct pmp_nearest n;
  pmp_nearest_init(&n, "cart", 2, SIZE_MAX);
  pmp_nearest_offer(&n, 0, "card");
  pmp_nearest_offer(&n, 1, "cartpole_swingup");
  assert_int_equal(n.index[0], 1);
  assert_int_equal(n.distance[0], 0);
  assert_int_equal(n.index[1], 0);
  pmp_nearest_init(&n, "ca", 1, 3);
  pmp_nearest_offer(&n, 1, "cartpole_swingup"); /* two letters begin too much */
  assert_int_equal(n.count, 0);
}

static void test_far_ones_are_not(void **state) {
  (void)state;
  struct pmp_nearest n;
  pmp_nearest_init(&n, "learner.bach", 1, 3);
  pmp_nearest_offer(&n, 0, "store.segment_mb");
  assert_int_equal(n.count, 0);
  pmp_nearest_offer(&n, 1, "learner.beach"); /* 1 */
  pmp_nearest_offer(&n, 2, "learner.batch"); /* 1, too late */
  assert_int_equal(n.count, 1);
  assert_int_equal(n.index[0], 1);
  pmp_nearest_init(&n, "abc", 1, 3);
  pmp_nearest_offer(&n, 7, "xyz"); /* 3 is far already */
  assert_int_equal(n.count, 0);
  pmp_nearest_offer(&n, 8, "xyc");
  assert_int_equal(n.count, 1);
  assert_int_equal(n.index[0], 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_distances),
      cmocka_unit_test(test_long_names_are_cut),
      cmocka_unit_test(test_the_nearest_are_kept),
      cmocka_unit_test(test_beginnings_are_near),
      cmocka_unit_test(test_far_ones_are_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
