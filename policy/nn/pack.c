#include "policy/nn/pack.h"

#include "base/math.h"
#include "base/simd.h"

#include <stddef.h>
#include <string.h>

#define ROWS 16           /* of a block; of bfloat16 pairs of rows */
#define TEAM_FLOATS 32768 /* less is done before a team has woken */

PMP_INLINE uint32_t rounded(float x) {
  const uint32_t bits = pmp_math_bits(x), up = bits + 0x7fffu + (bits >> 16 & 1u);
  return (x == x ? up : bits | 0x400000u) >> 16;
}

/* Columns of the block at column j that are there. */
static size_t columns(const struct pmp_pack *p, int64_t j) {
  const int64_t left = p->n - j;
  return (size_t)(left < p->width ? left : p->width);
}

/* Row r of every block of columns: b is read along its rows, which lie together. */
static void row_floats(const struct pmp_pack *p, int64_t r, const float *b, float *to) {
  const size_t all = (size_t)p->width;
  to += r / ROWS * p->stride_k + r % ROWS * p->width;
  for (int64_t j = 0; j < p->n; j += p->width, to += p->stride_n) {
    const size_t count = r < p->k ? columns(p, j) : 0;
    if (count > 0) memcpy(to, b + r * p->n + j, count * sizeof *to);
    if (count < all) memset(to + count, 0, (all - count) * sizeof *to);
  }
}

/* The lower half of each of `to` from a, the upper one from b. */
PMP_CLONES static void pair(size_t n, const float *restrict a, const float *restrict b,
                            uint32_t *restrict to) {
  for (size_t j = 0; j < n; j++) to[j] = rounded(a[j]) | rounded(b[j]) << 16;
}

/* The same for rows 2 r and 2 r + 1. */
static void row_halves(const struct pmp_pack *p, int64_t r, const float *b, uint32_t *to) {
  static const float none[PMP_PACK_WIDTH_MAX];
  const size_t all = (size_t)p->width;
  to += r / ROWS * (p->stride_k / 2) + r % ROWS * p->width;
  for (int64_t j = 0; j < p->n; j += p->width, to += p->stride_n / 2) {
    const float *first = b + 2 * r * p->n + j;
    const size_t count = 2 * r < p->k ? columns(p, j) : 0;
    if (count > 0) pair(count, first, 2 * r + 1 < p->k ? first + p->n : none, to);
    if (count < all) memset(to + count, 0, (all - count) * sizeof *to);
  }
}

static int64_t up(int64_t x) {
  return (x + ROWS - 1) / ROWS * ROWS;
}

void pmp_pack_floats(const struct pmp_pack *p, const float *b, float *packed) {
#pragma omp parallel for schedule(static) if (p->n * p->k >= TEAM_FLOATS)
  for (int64_t r = 0; r < up(p->k); r++) row_floats(p, r, b, packed);
}

void pmp_pack_halves(const struct pmp_pack *p, const float *b, uint16_t *packed) {
  uint32_t *pairs = (uint32_t *)(void *)packed;
#pragma omp parallel for schedule(static) if (p->n * p->k >= TEAM_FLOATS)
  for (int64_t r = 0; r < up((p->k + 1) / 2); r++) row_halves(p, r, b, pairs);
}
