/* Rows: the plain kernels and those for this processor against float64, at widths that leave rests,
 * and bfloat16 rounding bit by bit. */
#include "tests/policy/check.h"

#include "policy/nn/rows_kernels.h"

#include <string.h>

#define WIDTH_MAX 300
static const size_t widths[] = {1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 257, WIDTH_MAX};
#define WIDTHS (sizeof widths / sizeof widths[0])

/* A row and what goes with it; one place more than any width, which must stay. */
struct row {
  float z[WIDTH_MAX + 1], bias[WIDTH_MAX], group[WIDTH_MAX], gain[WIDTH_MAX], shift[WIDTH_MAX];
};

static void fill(struct pmp_rng *rng, struct row *r, double scale) {
  for (size_t j = 0; j < WIDTH_MAX; j++) {
    r->z[j] = (float)(scale * pmp_rng_normal(rng));
    r->bias[j] = (float)pmp_rng_normal(rng);
    r->group[j] = (float)pmp_rng_normal(rng);
    r->gain[j] = (float)pmp_rng_normal(rng);
    r->shift[j] = (float)pmp_rng_normal(rng);
  }
  r->z[WIDTH_MAX] = UNWRITTEN;
}

static double elu(double x) {
  return x > 0 ? x : expm1(x);
}

static float wide(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* y is within float32's reach of want, and y16 the nearest bfloat16 of y. */
static void check_result(size_t n, const float *y, const uint16_t *y16, const double *want) {
  for (size_t j = 0; j < n; j++) {
    assert_near("y", (double)y[j], want[j], 2e-6 * (1 + fabs(want[j])));
    assert_near("y16", (double)wide(y16[j]), (double)y[j], fabs((double)y[j]) / 256 + 1e-37);
  }
}

static void check_elu(const struct pmp_row_kernels *k, struct pmp_rng *rng, size_t n, bool group) {
  struct row r;
  float y[WIDTH_MAX + 1], before[WIDTH_MAX + 1];
  uint16_t y16[WIDTH_MAX + 1], alone[WIDTH_MAX + 1];
  double want[WIDTH_MAX] = {0};
  fill(rng, &r, 3);
  const struct pmp_row_added a = {r.bias, group ? r.group : NULL};
  for (size_t j = 0; j < n; j++)
    want[j] = elu((double)(r.z[j] + (group ? r.group[j] + r.bias[j] : r.bias[j])));
  memcpy(before, r.z, sizeof before);
  y[n] = UNWRITTEN, y16[n] = alone[n] = 999;
  k->elu(n, a, r.z, y, y16);
  assert_memory_equal(before, r.z, sizeof before);
  check_result(n, y, y16, want);
  k->elu(n, a, r.z, NULL, alone);
  assert_memory_equal(alone, y16, sizeof *y16 * (n + 1));
  memcpy(r.z, before, sizeof before);
  k->elu(n, a, r.z, r.z, NULL); /* in place */
  assert_memory_equal(r.z, y, n * sizeof *y);
  assert_true(y[n] == UNWRITTEN && y16[n] == 999 && r.z[n] == before[n]);
}

static void check_norm(const struct pmp_row_kernels *k, struct pmp_rng *rng, size_t n, bool group,
                       bool is_elu) {
  struct row r;
  float y[WIDTH_MAX + 1], z[WIDTH_MAX + 1], last;
  uint16_t y16[WIDTH_MAX + 1];
  double want[WIDTH_MAX] = {0}, sum = 0, square = 0;
  fill(rng, &r, 20);
  last = r.z[n];
  const struct pmp_row_added a = {r.bias, group ? r.group : NULL};
  for (size_t j = 0; j < n; j++) {
    z[j] = r.z[j] + (group ? r.group[j] + r.bias[j] : r.bias[j]);
    sum += (double)z[j], square += (double)z[j] * (double)z[j];
  }
  const struct pmp_row_moments m = k->add(n, a, r.z);
  assert_memory_equal(z, r.z, n * sizeof *z);
  assert_near("sum", m.sum, sum, 1e-12 * square + 1e-12);
  assert_near("square", m.square, square, 1e-12 * square);
  const struct pmp_row_scaled s = {0.25f, 0.0625f, r.gain, r.shift};
  for (size_t j = 0; j < n; j++) {
    const double x = ((double)z[j] - 0.25) * 0.0625;
    const double v = x * (double)r.gain[j] + (double)r.shift[j];
    want[j] = is_elu ? elu(v) : tanh(v);
  }
  y[n] = UNWRITTEN, y16[n] = 999;
  k->norm(n, &s, r.z, false, is_elu, y, y16);
  check_result(n, y, y16, want);
  memset(y, 0, n * sizeof *y);
  k->norm(n, &s, r.z, true, is_elu, y, NULL);
  check_result(n, y, y16, want);
  for (size_t j = 0; j < n; j++) assert_true(r.z[j] == (z[j] - 0.25f) * 0.0625f);
  assert_true(y[n] == UNWRITTEN && y16[n] == 999 && r.z[n] == last);
}

static void check_kernels(const struct pmp_row_kernels *k) {
  struct pmp_rng rng;
  pmp_rng_init(&rng, 5, 0);
  for (size_t i = 0; i < WIDTHS; i++)
    for (int way = 0; way < 4; way++) {
      check_elu(k, &rng, widths[i], way & 1);
      check_norm(k, &rng, widths[i], way & 1, way & 2);
    }
}

/* What float64 cannot say: numbers that are none, and beyond every bound. */
static void check_edges(const struct pmp_row_kernels *k) {
  const float zeros[8] = {0}, ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  const float edge[8] = {NAN, -NAN, INFINITY, -INFINITY, -3e38f, 3e38f, -0.0f, -1e-30f};
  const struct pmp_row_scaled s = {0, 1, ones, zeros};
  float x[8], y[8];
  memcpy(x, edge, sizeof x);
  k->elu(8, (struct pmp_row_added){zeros, NULL}, x, y, NULL);
  assert_true(isnan(y[0]) && isnan(y[1]) && y[2] == INFINITY && y[3] == -1 && y[4] == -1);
  assert_true(y[5] == 3e38f && y[6] == 0 && fabsf(y[7] + 1e-30f) < 1e-36f);
  k->norm(8, &s, x, false, false, y, NULL);
  assert_true(isnan(y[0]) && isnan(y[1]) && y[2] == 1 && y[3] == -1 && y[4] == -1);
  assert_true(y[5] == 1 && y[6] == 0 && fabsf(y[7] + 1e-30f) < 1e-36f);
}

static void check_rounding(const struct pmp_row_kernels *k) {
  static const struct {
    uint32_t bits;
    uint16_t want;
  } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81},
               {0x3f818000, 0x3f82}, {0x3f817fff, 0x3f81}, {0xbf818000, 0xbf82},
               {0x7f7fffff, 0x7f80}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80},
               {0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x00800000, 0x0080}};
  enum { CASES = sizeof cases / sizeof cases[0], COPIES = 3 };
  float x[CASES * COPIES], none[2] = {NAN, -NAN};
  uint16_t y[CASES * COPIES], nan16[2];
  for (size_t i = 0; i < CASES * COPIES; i++) memcpy(&x[i], &cases[i % CASES].bits, sizeof x[i]);
  k->round(CASES * COPIES, x, y);
  for (size_t i = 0; i < CASES * COPIES; i++) assert_int_equal(y[i], cases[i % CASES].want);
  const uint32_t full = 0x7fffffff; /* rounding up would make it -0 */
  memcpy(&none[1], &full, sizeof full);
  k->round(2, none, nan16);
  assert_true(isnan(wide(nan16[0])) && isnan(wide(nan16[1])));
}

static void plain_kernels(void **state) {
  (void)state;
  check_kernels(&pmp_row_kernels_plain);
  check_edges(&pmp_row_kernels_plain);
  check_rounding(&pmp_row_kernels_plain);
}

static void avx512_kernels(void **state) {
  (void)state;
  const struct pmp_row_kernels *k = pmp_row_kernels_avx512();
  if (k == NULL) skip();
  check_kernels(k);
  check_edges(k);
  check_rounding(k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_kernels),
      cmocka_unit_test(avx512_kernels),
  };
  return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
