/* Philox against the vectors published with it (Random123's known answers), and what is drawn from
 * it. */
#include "base/rng.h"

#include "base/math.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_published_vectors(void **state) {
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], out[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    uint32_t out[4] = {999, 999, 999, 999};
    pmp_rng_philox(known[i].counter, known[i].key, out);
    assert_memory_equal(out, known[i].out, sizeof out);
  }
}

static void test_words_come_block_by_block(void **state) {
  (void)state;
  struct pmp_rng r;
  pmp_rng_init(&r, 0x299f31d0a4093822U, 0x0370734413198a2eU);
  for (uint32_t block = 0; block < 3; block++) {
    const uint32_t counter[4] = {block, 0, 0x13198a2e, 0x03707344};
    const uint32_t key[2] = {0xa4093822, 0x299f31d0};
    uint32_t expected[4];
    pmp_rng_philox(counter, key, expected);
    for (int i = 0; i < 4; i++) assert_int_equal(pmp_rng_u32(&r), expected[i]);
  }
}

static void test_low_counter_words_carry_and_streams_stay_apart(void **state) {
  (void)state;
  struct pmp_rng r;
  pmp_rng_init(&r, 1, 2);
  r.counter[0] = 0xffffffff;
  r.counter[1] = 0xffffffff;
  (void)pmp_rng_u32(&r);
  assert_int_equal(r.counter[0], 0);
  assert_int_equal(r.counter[1], 0);
  assert_int_equal(r.counter[2], 2);
  assert_int_equal(r.counter[3], 0);
  r.counter[0] = 0xffffffff;
  r.used = 4;
  (void)pmp_rng_u32(&r);
  assert_int_equal(r.counter[1], 1);
}

static void test_a_copy_goes_on_alike(void **state) {
  (void)state;
  struct pmp_rng r, copy;
  pmp_rng_init(&r, 42, 0);
  for (int skipped = 0; skipped < 9; skipped++) {
    (void)pmp_rng_u32(&r);
    copy = r;
    struct pmp_rng ahead = r;
    for (int i = 0; i < 20; i++) assert_int_equal(pmp_rng_u64(&ahead), pmp_rng_u64(&copy));
  }
  assert_int_equal(r.reserved, 0);
}

static void test_seeds_and_streams_differ(void **state) {
  (void)state;
  struct pmp_rng a, b, c;
  pmp_rng_init(&a, 7, 0);
  pmp_rng_init(&b, 7, 1);
  pmp_rng_init(&c, 8, 0);
  uint64_t x = pmp_rng_u64(&a), y = pmp_rng_u64(&b), z = pmp_rng_u64(&c);
  assert_true(x != y && x != z && y != z);
}

static void test_uniforms_stay_in_range_and_centre(void **state) {
  (void)state;
  enum { N = 100000 };
  struct pmp_rng r;
  pmp_rng_init(&r, 3, 0);
  double sum = 0.0, sum_float = 0.0;
  for (int i = 0; i < N; i++) {
    double d = pmp_rng_double(&r);
    float f = pmp_rng_float(&r);
    assert_true(d >= 0.0 && d < 1.0);
    assert_true(f >= 0.0F && f < 1.0F);
    sum += d;
    sum_float += (double)f;
  }
  /* Standard error of the mean: sqrt(1/12/N) = 0.0009; five of them. */
  assert_true(fabs(sum / N - 0.5) < 0.0046);
  assert_true(fabs(sum_float / N - 0.5) < 0.0046);
}

static void test_below_is_even_over_its_range(void **state) {
  (void)state;
  enum { SIDES = 6, N = 60000 };
  struct pmp_rng r;
  int hits[SIDES] = {0};
  pmp_rng_init(&r, 5, 0);
  for (int i = 0; i < N; i++) {
    uint64_t face = pmp_rng_below(&r, SIDES);
    assert_true(face < SIDES);
    hits[face]++;
  }
  double chi2 = 0.0;
  for (int i = 0; i < SIDES; i++) chi2 += pow(hits[i] - N / (double)SIDES, 2) / (N / (double)SIDES);
  assert_true(chi2 < 25.7); /* 5 degrees of freedom, p = 1e-4 */
  assert_int_equal(pmp_rng_below(&r, 1), 0);
}

static void test_below_is_even_where_rejection_matters(void **state) {
  (void)state;
  /* With n = 3 * 2^62 a plain high word would give results divisible by 3 half of the time. */
  enum { N = 30000 };
  const uint64_t n = UINT64_C(3) << 62;
  struct pmp_rng r;
  int hits[3] = {0};
  pmp_rng_init(&r, 6, 0);
  for (int i = 0; i < N; i++) {
    uint64_t value = pmp_rng_below(&r, n);
    assert_true(value < n);
    hits[value % 3]++;
  }
  for (int i = 0; i < 3; i++) assert_true(fabs(hits[i] - N / 3.0) < 410.0); /* 5 standard errors */
}

/* Mean, variance, skewness and kurtosis of a standard normal, within five standard errors. */
static void check_normal(const double *x, int n) {
  double m1 = 0.0, m2 = 0.0, m3 = 0.0, m4 = 0.0;
  for (int i = 0; i < n; i++) {
    assert_true(isfinite(x[i]));
    m1 += x[i];
    m2 += x[i] * x[i];
    m3 += x[i] * x[i] * x[i];
    m4 += x[i] * x[i] * x[i] * x[i];
  }
  double root = sqrt((double)n);
  assert_true(fabs(m1 / n) < 5.0 / root);
  assert_true(fabs(m2 / n - 1.0) < 5.0 * sqrt(2.0) / root);
  assert_true(fabs(m3 / n) < 5.0 * sqrt(15.0) / root);
  assert_true(fabs(m4 / n - 3.0) < 5.0 * sqrt(96.0) / root);
}

static int equal_share(double x, int shares) {
  const int share = (int)(shares * 0.5 * erfc(-x / sqrt(2.0)));
  return share < shares ? share : shares - 1;
}

/* How normals fall into 256 shares of equal probability, and neighbours into 16 x 16: 255
 * degrees of freedom, p = 1e-4. */
static void check_shares(const double *x, int n) {
  static int alone[256], pairs[256];
  memset(alone, 0, sizeof alone);
  memset(pairs, 0, sizeof pairs);
  for (int i = 0; i < n; i++) alone[equal_share(x[i], 256)]++;
  for (int i = 0; i < n; i += 2) pairs[16 * equal_share(x[i], 16) + equal_share(x[i + 1], 16)]++;
  double chi2 = 0.0, chi2_pairs = 0.0;
  for (int i = 0; i < 256; i++) {
    chi2 += pow(alone[i] - n / 256.0, 2) / (n / 256.0);
    chi2_pairs += pow(pairs[i] - n / 512.0, 2) / (n / 512.0);
  }
  assert_true(chi2 < 347.7);
  assert_true(chi2_pairs < 347.7);
}

static void test_normals_are_normal(void **state) {
  (void)state;
  enum { N = 1000000 };
  static double x[N];
  static float filled[N];
  struct pmp_rng r;
  pmp_rng_init(&r, 11, 0);
  for (int i = 0; i < N; i++) x[i] = pmp_rng_normal(&r);
  check_normal(x, N);
  check_shares(x, N);
  pmp_rng_normal_fill(&r, filled, N);
  for (int i = 0; i < N; i++) x[i] = (double)filled[i];
  check_normal(x, N);
  check_shares(x, N);
  pmp_rng_normal_fill64(&r, x, N);
  check_normal(x, N);
  check_shares(x, N);
}

static void test_a_normal_uses_two_uniforms(void **state) {
  (void)state;
  struct pmp_rng r, copy;
  pmp_rng_init(&r, 12, 0);
  copy = r;
  (void)pmp_rng_normal(&r);
  (void)pmp_rng_double(&copy);
  (void)pmp_rng_double(&copy);
  assert_memory_equal(&r, &copy, sizeof r);
}

/* Angles of a turn's 2^32 (or 2^53) parts, the nearest quarter taken off, so that the reference is
 * accurate near the axes. */
static void circle(double turn, double radius, double out[2]) {
  const double quarter = floor(4.0 * turn + 0.5), angle = 2.0 * acos(-1.0) * (turn - quarter / 4);
  const double c = radius * cos(angle), s = radius * sin(angle);
  const double quarters[5][2] = {{c, s}, {-s, c}, {-c, -s}, {s, -c}, {c, s}};
  memcpy(out, quarters[(int)quarter], sizeof quarters[0]);
}

/* The pair that the next words of r make, by libm and, bit by bit, by the same arithmetic without
 * vectors. */
static void next_pair(struct pmp_rng *r, double near[2], float same[2]) {
  const float u = (float)(((double)pmp_rng_u32(r) + 1.0) * 0x1p-32);
  const uint32_t v = pmp_rng_u32(r);
  circle(v * 0x1p-32, sqrt(-2.0 * log((double)u)), near);
  const float radius = sqrtf(-2.0F * pmp_math_logf(u));
  pmp_math_sincos_turnf(v, &same[1], &same[0]);
  same[0] *= radius;
  same[1] *= radius;
}

static void next_pair64(struct pmp_rng *r, double near[2], double same[2]) {
  const double u = 1.0 - pmp_rng_double(r);
  const uint64_t v = pmp_rng_u64(r) >> 11;
  circle((double)v * 0x1p-53, sqrt(-2.0 * log(u)), near);
  const double radius = sqrt(-2.0 * pmp_math_log(u));
  pmp_math_sincos_turn((uint32_t)(v >> 21), (double)(v & 0x1fffff) * 0x1p-53, &same[1], &same[0]);
  same[0] *= radius;
  same[1] *= radius;
}

static void check_near(double got, double want, double units, int bits) {
  assert_true(fabs(got - want) <= units * ldexp(1.0, want == 0.0 ? 0 : ilogb(want) + 1 - bits));
}

enum { FILL_MAX = 200 };

static void check_fill(struct pmp_rng r, size_t n) {
  struct pmp_rng copy = r;
  float out[FILL_MAX + 1], same[2];
  double near[2];
  for (size_t i = 0; i <= FILL_MAX; i++) out[i] = 999.0F;
  pmp_rng_normal_fill(&r, out, n);
  for (size_t i = 0; i < n; i++) {
    if (i % 2 == 0) next_pair(&copy, near, same);
    assert_memory_equal(&out[i], &same[i % 2], sizeof same[0]);
    check_near((double)out[i], near[i % 2], 4.0, 24);
  }
  for (size_t i = n; i <= FILL_MAX; i++) assert_true(out[i] == 999.0F);
  assert_memory_equal(&r, &copy, sizeof r);
}

static void check_fill64(struct pmp_rng r, size_t n) {
  struct pmp_rng copy = r;
  double out[FILL_MAX + 1], same[2], near[2];
  for (size_t i = 0; i <= FILL_MAX; i++) out[i] = 999.0;
  pmp_rng_normal_fill64(&r, out, n);
  for (size_t i = 0; i < n; i++) {
    if (i % 2 == 0) next_pair64(&copy, near, same);
    assert_memory_equal(&out[i], &same[i % 2], sizeof same[0]);
    check_near(out[i], near[i % 2], 5.0, 53); /* near is a float64, too */
  }
  for (size_t i = n; i <= FILL_MAX; i++) assert_true(out[i] == 999.0);
  assert_memory_equal(&r, &copy, sizeof r);
}

/* From every place in a block, for any n, and where the counter's low word overflows. */
static void test_fill_is_what_word_by_word_gives(void **state) {
  (void)state;
  struct pmp_rng r;
  pmp_rng_init(&r, 0x123456789abcdefU, 0xfedcba9876543210U);
  for (int carry = 0; carry < 2; carry++) {
    if (carry) r.counter[0] = 0xfffffffb;
    for (int place = 0; place < 5; place++) {
      for (size_t n = 0; n <= FILL_MAX; n++) {
        check_fill(r, n);
        check_fill64(r, n);
      }
      (void)pmp_rng_u32(&r);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_published_vectors),
      cmocka_unit_test(test_words_come_block_by_block),
      cmocka_unit_test(test_low_counter_words_carry_and_streams_stay_apart),
      cmocka_unit_test(test_a_copy_goes_on_alike),
      cmocka_unit_test(test_seeds_and_streams_differ),
      cmocka_unit_test(test_uniforms_stay_in_range_and_centre),
      cmocka_unit_test(test_below_is_even_over_its_range),
      cmocka_unit_test(test_below_is_even_where_rejection_matters),
      cmocka_unit_test(test_normals_are_normal),
      cmocka_unit_test(test_a_normal_uses_two_uniforms),
      cmocka_unit_test(test_fill_is_what_word_by_word_gives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
