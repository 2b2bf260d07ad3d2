/* Packed weights: every place of the layout, and zeros in the rests. */
#include "tests/policy/check.h"

#include "policy/nn/pack.h"

#include <stdbool.h>
#include <string.h>

#define ROWS_MAX 128
#define ROOM (192 * ROWS_MAX)

static int64_t up(int64_t x, int64_t to) {
  return (x + to - 1) / to * to;
}

/* Blocks of columns one after the other, in them blocks of `deep` rows. */
static struct pmp_pack layout(int64_t n, int64_t k, int64_t width, int64_t deep) {
  return (struct pmp_pack){n, k, width, up(k, deep) * width, deep * width};
}

static uint16_t nearest(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void check(int64_t n, int64_t k, int64_t width) {
  static float packed[ROOM];
  static uint16_t halves[ROOM];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 9, (uint64_t)(n * 1000 + k));
  float *b = normals_new(&rng, (size_t)(n * k), 1);
  const struct pmp_pack one = layout(n, k, width, 16), two = layout(n, k, width, 32);
  const int64_t columns = up(n, width), rows = up(k, 16), pairs = up(k, 32);
  for (size_t i = 0; i < ROOM; i++) packed[i] = UNWRITTEN, halves[i] = 999;
  pmp_pack_floats(&one, b, packed);
  pmp_pack_halves(&two, b, halves);
  for (int64_t j = 0; j < columns; j++) {
    for (int64_t r = 0; r < pairs; r++) {
      const bool there = j < n && r < k;
      const float want = there ? b[r * n + j] : 0;
      const int64_t block = j / width * two.stride_n + r / 32 * two.stride_k;
      assert_int_equal(halves[block + (r % 32 / 2 * width + j % width) * 2 + r % 2],
                       there ? nearest(want) : 0);
      if (r >= rows) continue;
      const int64_t at = j / width * one.stride_n + r / 16 * one.stride_k;
      assert_true(packed[at + r % 16 * width + j % width] == want);
    }
  }
  assert_true(packed[rows * columns] == UNWRITTEN);
  assert_int_equal(halves[pairs * columns], 999);
  free(b);
}

static void every_place(void **state) {
  (void)state;
  static const int64_t ns[] = {1, 16, 51, 64, 65, 130}, ks[] = {1, 2, 16, 21, 32, 33, 67};
  for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
    for (size_t l = 0; l < sizeof ks / sizeof ks[0]; l++)
      for (int64_t width = 16; width <= PMP_PACK_WIDTH_MAX; width *= 2) check(ns[i], ks[l], width);
}

/* Rounding to even where two are as near; infinities, and NaNs whose payload would be cut off. */
static void roundings(void **state) {
  (void)state;
  static const uint32_t bits[] = {0x3f808000, 0x3f818000, 0x3f807fff, 0xbf808001,
                                  0x7f800000, 0xff800000, 0x7f800001, 0x80000000};
  static const uint16_t want[] = {0x3f80, 0x3f82, 0x3f80, 0xbf81, 0x7f80, 0xff80, 0x7fc0, 0x8000};
  enum { N = sizeof bits / sizeof bits[0] };
  float b[N];
  uint16_t packed[2 * 16 * 16];
  memcpy(b, bits, sizeof b);
  const struct pmp_pack p = layout(N, 1, 16, 32);
  pmp_pack_halves(&p, b, packed);
  for (size_t j = 0; j < N; j++) assert_int_equal(packed[2 * j], want[j]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_place), cmocka_unit_test(roundings)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
