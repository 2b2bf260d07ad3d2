/* Manifests and the hash over parameters. */
#include "tests/policy/check.h"

#include "policy/params.h"

#include <string.h>

static struct pmp_manifest two(const char *first, const char *second, uint32_t rows) {
  struct pmp_manifest m = {0};
  const uint32_t matrix[2] = {rows, 3}, vector = 4;
  size_t offset;
  assert_int_equal(pmp_manifest_add(&m, first, 2, matrix, &offset), PMP_OK);
  assert_int_equal(offset, 0);
  assert_int_equal(pmp_manifest_add(&m, second, 1, &vector, &offset), PMP_OK);
  assert_int_equal(offset, (size_t)rows * 3);
  assert_int_equal(m.floats, (size_t)rows * 3 + 4);
  return m;
}

static void views_follow_each_other(void **state) {
  (void)state;
  const struct pmp_manifest m = two("a/weight", "a/bias", 2);
  const struct pmp_view *v = pmp_manifest_find(&m, "a/bias");
  assert_non_null(v);
  assert_int_equal(v->offset, 6);
  assert_int_equal(v->count, 4);
  assert_int_equal(v->rank, 1);
  assert_int_equal(v->shape[0], 4);
  assert_null(pmp_manifest_find(&m, "a"));
  assert_null(pmp_manifest_find(&m, "a/bias2"));
}

static void wrong_views_are_refused(void **state) {
  (void)state;
  struct pmp_manifest m = two("a", "b", 2);
  const struct pmp_manifest before = m;
  const uint32_t one = 1, zero = 0, huge[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
  const uint32_t five[5] = {1, 1, 1, 1, 1};
  size_t offset = 999;
  char name[PMP_VIEW_NAME_MAX + 1];
  memset(name, 'n', sizeof name);
  name[PMP_VIEW_NAME_MAX] = '\0';
  assert_int_equal(pmp_manifest_add(&m, name, 1, &one, &offset), PMP_EINVALID);
  assert_int_equal(pmp_manifest_add(&m, "", 1, &one, &offset), PMP_EINVALID);
  assert_int_equal(pmp_manifest_add(&m, "b", 1, &one, &offset), PMP_EINVALID);
  assert_int_equal(pmp_manifest_add(&m, "c", 0, &one, &offset), PMP_EINVALID);
  assert_int_equal(pmp_manifest_add(&m, "c", 5, five, &offset), PMP_EINVALID);
  assert_int_equal(pmp_manifest_add(&m, "c", 1, &zero, &offset), PMP_EINVALID);
  assert_int_equal(pmp_manifest_add(&m, "c", 2, huge, &offset), PMP_ETOOLARGE);
  assert_int_equal(pmp_manifest_add(&m, "c", 4, huge, &offset), PMP_ETOOLARGE);
  assert_memory_equal(&m, &before, sizeof m);
  assert_int_equal(offset, 999);
  name[PMP_VIEW_NAME_MAX - 1] = '\0'; /* the longest that fits */
  assert_int_equal(pmp_manifest_add(&m, name, 1, &one, NULL), PMP_OK);
  while (m.views < PMP_VIEWS_MAX) {
    snprintf(name, sizeof name, "v%u", m.views);
    assert_int_equal(pmp_manifest_add(&m, name, 1, &one, NULL), PMP_OK);
  }
  assert_int_equal(pmp_manifest_add(&m, "last", 1, &one, NULL), PMP_ETOOLARGE);
}

static void manifests_match_or_say_why(void **state) {
  (void)state;
  const struct pmp_manifest m = two("a", "b", 2), same = two("a", "b", 2);
  const struct pmp_manifest name = two("a", "c", 2), shape = two("a", "b", 5);
  struct pmp_manifest more = same, less = same;
  const uint32_t one = 1;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_manifest_add(&more, "z", 1, &one, NULL), PMP_OK);
  less.views--;
  assert_int_equal(pmp_manifest_match(&m, &same, &msg), PMP_OK);
  assert_int_equal(pmp_manifest_match(&m, &name, &msg), PMP_ECONFLICT);
  assert_non_null(strstr(msg.text, "\"c\" (4), expected \"b\" (4)"));
  assert_int_equal(pmp_manifest_match(&m, &shape, &msg), PMP_ECONFLICT);
  assert_non_null(strstr(msg.text, "\"a\" (5x3), expected \"a\" (2x3)"));
  assert_int_equal(pmp_manifest_match(&m, &more, &msg), PMP_ECONFLICT);
  assert_non_null(strstr(msg.text, "unexpected \"z\""));
  assert_int_equal(pmp_manifest_match(&m, &less, &msg), PMP_ECONFLICT);
  assert_non_null(strstr(msg.text, "missing \"b\""));
  assert_int_equal(pmp_manifest_match(&m, &less, NULL), PMP_ECONFLICT);
}

static void hash_sees_every_bit(void **state) {
  (void)state;
  const struct pmp_manifest m = two("a", "b", 2), name = two("a", "c", 2);
  const struct pmp_manifest moved = two("ab", "c", 2);
  struct pmp_manifest shape = m;
  shape.view[0].shape[0] = 3, shape.view[0].shape[1] = 2;
  float params[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  char want[33], got[33];
  memset(want, 'x', sizeof want);
  pmp_params_hash(&m, params, want);
  assert_int_equal(strlen(want), 32);
  assert_int_equal(strspn(want, "0123456789abcdef"), 32);
  pmp_params_hash(&m, params, got);
  assert_string_equal(got, want);
  const struct pmp_manifest *other[] = {&name, &moved, &shape};
  for (size_t i = 0; i < 3; i++) {
    pmp_params_hash(other[i], params, got);
    assert_string_not_equal(got, want);
  }
  for (size_t i = 0; i < 320; i++) {
    uint32_t word;
    memcpy(&word, &params[i / 32], sizeof word);
    word ^= 1u << i % 32;
    memcpy(&params[i / 32], &word, sizeof word);
    pmp_params_hash(&m, params, got);
    assert_string_not_equal(got, want);
    word ^= 1u << i % 32;
    memcpy(&params[i / 32], &word, sizeof word);
  }
  pmp_params_hash(&m, params, got);
  assert_string_equal(got, want);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(views_follow_each_other),
      cmocka_unit_test(wrong_views_are_refused),
      cmocka_unit_test(manifests_match_or_say_why),
      cmocka_unit_test(hash_sees_every_bit),
  };
  return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}
