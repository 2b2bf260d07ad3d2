/* Labels from evaluations: ties, edges, and against a stable sort in another language. */
#include "tests/parity/learner/golden.h"

#include "base/rng.h"
#include "learner/label/label.h"

#include <string.h>

static void check_label(enum pmp_label_rule rule, size_t m, uint32_t k, const float *f,
                        const float *baseline, const int *want) {
  int8_t verdict[64];
  memset(verdict, 99, sizeof verdict);
  assert_int_equal(pmp_label_groups(rule, 1, m, k, k, f, baseline, verdict), PMP_OK);
  for (size_t j = 0; j < m; j++) {
    if (verdict[j] != want[j]) fail_msg("rule %d outcome %zu: %d", (int)rule, j, verdict[j]);
  }
  assert_int_equal(verdict[m], 99);
}

static void test_top_k(void **state) {
  (void)state;
  const float f[] = {3.0f, -1.0f, 7.0f, 2.0f};
  check_label(PMP_LABEL_TOP_K, 4, 2, f, NULL, (const int[]){1, -1, 1, -1});
  check_label(PMP_LABEL_TOP_K, 4, 1, f, NULL, (const int[]){0, -1, 1, 0});
  /* Fewer than 2k: half of each, the middle one of three unlabelled; one outcome says nothing. */
  check_label(PMP_LABEL_TOP_K, 3, 2, f, NULL, (const int[]){0, -1, 1});
  check_label(PMP_LABEL_TOP_K, 2, 5, f, NULL, (const int[]){1, -1});
  check_label(PMP_LABEL_TOP_K, 1, 2, f, NULL, (const int[]){0});
}

/* As many accepted as rejected is one case of many. */
static void test_unequal_top_k(void **state) {
  (void)state;
  const float f[] = {3.0f, -1.0f, 7.0f, 2.0f, 0.0f, 9.0f};
  static const struct {
    uint32_t k, rejected;
    size_t m;
    int want[6];
  } c[] = {{1, 3, 6, {0, -1, 0, -1, -1, 1}},
           {3, 0, 6, {1, 0, 1, 0, 0, 1}},
           {0, 2, 6, {0, -1, 0, 0, -1, 0}},
           {2, 6, 4, {-1, -1, 1, -1}},
           {2, 4, 6, {-1, -1, 1, -1, -1, 1}},
           {1, 0, 1, {0}},
           {0, 1, 1, {0}}};
  for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
    int8_t verdict[6];
    assert_int_equal(
        pmp_label_groups(PMP_LABEL_TOP_K, 1, c[i].m, c[i].k, c[i].rejected, f, NULL, verdict),
        PMP_OK);
    for (size_t j = 0; j < c[i].m; j++) {
      if (verdict[j] != c[i].want[j]) fail_msg("case %zu outcome %zu: %d", i, j, verdict[j]);
    }
  }
}

static void test_ties(void **state) {
  (void)state;
  const float same[] = {5.0f, 5.0f, 5.0f, 5.0f, 5.0f};
  check_label(PMP_LABEL_TOP_K, 4, 2, same, NULL, (const int[]){1, 1, -1, -1});
  check_label(PMP_LABEL_TOP_K, 5, 2, same, NULL, (const int[]){1, 1, 0, -1, -1});
  check_label(PMP_LABEL_MEAN, 5, 2, same, NULL, (const int[]){1, 1, 1, 1, 1});
  check_label(PMP_LABEL_MEDIAN, 5, 2, same, NULL, (const int[]){1, 1, 1, 1, 1});
  /* A tie across the boundary: the earlier of the equal ones is accepted. */
  const float edge[] = {0.0f, 1.0f, 0.0f, -0.0f};
  check_label(PMP_LABEL_TOP_K, 4, 2, edge, NULL, (const int[]){1, 1, -1, -1});
}

static void test_baselines(void **state) {
  (void)state;
  const float f[] = {0.0f, 10.0f, 1.0f, 2.0f};
  check_label(PMP_LABEL_MEAN, 4, 0, f, NULL, (const int[]){-1, 1, -1, -1});
  check_label(PMP_LABEL_MEDIAN, 4, 0, f, NULL, (const int[]){-1, 1, -1, 1});
  check_label(PMP_LABEL_MEDIAN, 3, 0, f, NULL, (const int[]){-1, 1, 1});
  const float zero = 0.0f, two = 2.0f;
  check_label(PMP_LABEL_VALUE, 4, 0, f, &zero, (const int[]){1, 1, 1, 1});
  check_label(PMP_LABEL_VALUE, 4, 0, f, &two, (const int[]){-1, 1, -1, 1});
  check_label(PMP_LABEL_MEAN, 1, 0, f, NULL, (const int[]){1});
  check_label(PMP_LABEL_MEDIAN, 1, 0, f, NULL, (const int[]){1});
}

static void test_groups_are_apart(void **state) {
  (void)state;
  const float f[] = {1.0f, 2.0f, 20.0f, 10.0f, -5.0f, -4.0f}, base[] = {1.5f, 20.0f, -9.0f};
  int8_t verdict[6];
  assert_int_equal(pmp_label_groups(PMP_LABEL_TOP_K, 3, 2, 1, 1, f, NULL, verdict), PMP_OK);
  assert_memory_equal(verdict, ((const int8_t[]){-1, 1, 1, -1, -1, 1}), 6);
  assert_int_equal(pmp_label_groups(PMP_LABEL_VALUE, 3, 2, 1, 1, f, base, verdict), PMP_OK);
  assert_memory_equal(verdict, ((const int8_t[]){-1, 1, 1, -1, 1, 1}), 6);
}

static void test_refusals(void **state) {
  (void)state;
  float f[8] = {0.0f}, base[2] = {0.0f, 0.0f};
  int8_t verdict[8];
  const enum pmp_label_rule rules[] = {PMP_LABEL_TOP_K, PMP_LABEL_MEAN, PMP_LABEL_MEDIAN,
                                       PMP_LABEL_VALUE};
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t r = 0; r < 4; r++) {
    for (size_t i = 0; i < 3; i++) {
      f[7] = bad[i];
      memset(verdict, 99, sizeof verdict);
      assert_int_equal(pmp_label_groups(rules[r], 2, 4, 1, 1, f, base, verdict), PMP_ENONFINITE);
      for (size_t j = 0; j < 8; j++) assert_int_equal(verdict[j], 0);
    }
  }
  f[7] = 0.0f;
  base[1] = NAN;
  assert_int_equal(pmp_label_groups(PMP_LABEL_VALUE, 2, 4, 1, 1, f, base, verdict), PMP_ENONFINITE);
  assert_int_equal(pmp_label_groups(PMP_LABEL_VALUE, 2, 4, 1, 1, f, NULL, verdict), PMP_EINVALID);
  assert_int_equal(pmp_label_groups(PMP_LABEL_TOP_K, 2, 4, 0, 0, f, NULL, verdict), PMP_EINVALID);
  assert_int_equal(pmp_label_groups(PMP_LABEL_MEAN, 2, 0, 1, 1, f, NULL, verdict), PMP_EINVALID);
  assert_int_equal(
      pmp_label_groups(PMP_LABEL_MEAN, 0, PMP_LABEL_GROUP_MAX + 1, 1, 1, f, NULL, verdict),
      PMP_EINVALID);
  assert_int_equal(pmp_label_groups((enum pmp_label_rule)7, 2, 4, 1, 1, f, base, verdict),
                   PMP_EINVALID);
}

static void test_largest_group(void **state) {
  (void)state;
  static float f[PMP_LABEL_GROUP_MAX];
  static int8_t verdict[PMP_LABEL_GROUP_MAX];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 0);
  pmp_rng_normal_fill(&rng, f, PMP_LABEL_GROUP_MAX);
  assert_int_equal(
      pmp_label_groups(PMP_LABEL_TOP_K, 1, PMP_LABEL_GROUP_MAX, 100, 100, f, NULL, verdict),
      PMP_OK);
  size_t accepted = 0, rejected = 0;
  float least_accepted = INFINITY, most_rejected = -INFINITY;
  for (size_t j = 0; j < PMP_LABEL_GROUP_MAX; j++) {
    accepted += verdict[j] > 0;
    rejected += verdict[j] < 0;
    if (verdict[j] > 0) least_accepted = fminf(least_accepted, f[j]);
    if (verdict[j] < 0) most_rejected = fmaxf(most_rejected, f[j]);
  }
  assert_int_equal(accepted, 100);
  assert_int_equal(rejected, 100);
  for (size_t j = 0; j < PMP_LABEL_GROUP_MAX; j++) {
    if (verdict[j] == 0) assert_true(f[j] <= least_accepted && f[j] >= most_rejected);
  }
}

static void check_golden(const json_t *one, const char *key, enum pmp_label_rule rule) {
  float *f = golden_floats(one, "f"), *want = golden_floats(one, key);
  const float value = (float)golden_number(one, "value");
  int verdict[64];
  for (size_t j = 0; j < golden_count(one, "f"); j++) verdict[j] = (int)want[j];
  check_label(rule, golden_count(one, "f"), (uint32_t)golden_number(one, "k"), f, &value, verdict);
  free(f);
  free(want);
}

static void test_golden(void **state) {
  (void)state;
  json_t *cases, *root = golden_open("label", &cases), *one;
  size_t i;
  json_array_foreach(cases, i, one) {
    check_golden(one, "top_k", PMP_LABEL_TOP_K);
    check_golden(one, "at_mean", PMP_LABEL_MEAN);
    check_golden(one, "at_median", PMP_LABEL_MEDIAN);
    check_golden(one, "at_value", PMP_LABEL_VALUE);
  }
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_top_k),
      cmocka_unit_test(test_unequal_top_k),
      cmocka_unit_test(test_ties),
      cmocka_unit_test(test_baselines),
      cmocka_unit_test(test_groups_are_apart),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_largest_group),
      cmocka_unit_test(test_golden),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
