/* Rows with AVX-512's fused multiply-add: half the instructions of the plain version. */
#include "policy/nn/rows_kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define BASE "avx512f,avx512dq,avx512bw,avx512vl"
#define WIDE __attribute__((target(BASE)))
#define HALF __attribute__((target(BASE ",avx512bf16")))
#define STEP static inline __attribute__((always_inline, target(BASE)))

/* ---- 16 numbers ---- */

STEP __m512 splat(float x) {
  return _mm512_set1_ps(x);
}

/* Several times 16 numbers go through a chain of operations side by side: one alone would wait for
 * each of its results. */
#define SIDE 4
#define EACH for (size_t i = 0; i < SIDE; i++)

struct side {
  __m512 v[SIDE];
};

/* 2^y - 1 for -126 <= y <= 0; coefficients as in math.h. */
STEP struct side exp2m1(struct side y) {
  const __m512 round = splat(12582912.0f);
  struct side f, p, scale;
  EACH scale.v[i] = _mm512_add_ps(y.v[i], round);
  EACH f.v[i] = _mm512_sub_ps(y.v[i], _mm512_sub_ps(scale.v[i], round));
  EACH p.v[i] = _mm512_fmadd_ps(splat(1.540351223e-4f), f.v[i], splat(1.339073526e-3f));
  EACH p.v[i] = _mm512_fmadd_ps(p.v[i], f.v[i], splat(9.618237615e-3f));
  EACH p.v[i] = _mm512_fmadd_ps(p.v[i], f.v[i], splat(5.550357327e-2f));
  EACH p.v[i] = _mm512_fmadd_ps(p.v[i], f.v[i], splat(2.402264923e-1f));
  EACH p.v[i] = _mm512_fmadd_ps(p.v[i], f.v[i], splat(6.931471825e-1f));
  EACH scale.v[i] = _mm512_castsi512_ps(_mm512_slli_epi32(
      _mm512_add_epi32(_mm512_castps_si512(scale.v[i]), _mm512_set1_epi32(127)), 23));
  EACH p.v[i] = _mm512_fmadd_ps(_mm512_mul_ps(scale.v[i], f.v[i]), p.v[i],
                                _mm512_sub_ps(scale.v[i], splat(1)));
  return p;
}

STEP struct side tanh16(struct side x) {
  const __m512 sign = splat(-0.0f);
  struct side t;
  /* Of two numbers of which one is NaN the minimum is the second. */
  EACH t.v[i] = _mm512_mul_ps(_mm512_min_ps(splat(43.5f), _mm512_andnot_ps(sign, x.v[i])),
                              splat(-2.88539008f));
  t = exp2m1(t);
  EACH t.v[i] = _mm512_div_ps(t.v[i], _mm512_add_ps(t.v[i], splat(2)));
  /* |y| with x's sign: bits of y where the mask is 0, of x where it is 1. */
  EACH t.v[i] = _mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(_mm512_castps_si512(sign), _mm512_castps_si512(x.v[i]),
                                _mm512_castps_si512(_mm512_andnot_ps(sign, t.v[i])), 0xca));
  return t;
}

STEP struct side elu16(struct side x) {
  struct side y;
  EACH y.v[i] = _mm512_max_ps(splat(-126), _mm512_mul_ps(x.v[i], splat(1.44269504f)));
  y = exp2m1(y);
  EACH {
    const __mmask16 below = _mm512_cmp_ps_mask(x.v[i], _mm512_setzero_ps(), _CMP_LT_OQ);
    y.v[i] = _mm512_mask_mov_ps(x.v[i], below, y.v[i]); /* NaN stays */
  }
  return y;
}

/* SIDE times 16 numbers from j on of a row, or the fewer that are left there. */
struct part {
  size_t j;
  bool full;
  __mmask16 mask[SIDE];
};

STEP __mmask16 mask_of(size_t left) {
  return (__mmask16)(left >= 16 ? 0xffffu : (1u << left) - 1u);
}

STEP struct part part_of(size_t n, size_t j) {
  struct part p = {j, n - j >= 16 * SIDE, {0}};
  size_t left = n - j;
  EACH {
    p.mask[i] = mask_of(left);
    left -= left >= 16 ? 16 : left;
  }
  return p;
}

STEP struct part full_at(size_t j) {
  struct part p = {j, true, {0}};
  EACH p.mask[i] = 0xffff;
  return p;
}

STEP struct side load(const float *row, struct part p) {
  struct side x;
  EACH x.v[i] = p.full ? _mm512_loadu_ps(row + p.j + 16 * i)
                       : _mm512_maskz_loadu_ps(p.mask[i], row + p.j + 16 * i);
  return x;
}

STEP void store(float *row, struct part p, struct side x) {
  EACH {
    if (p.full)
      _mm512_storeu_ps(row + p.j + 16 * i, x.v[i]);
    else
      _mm512_mask_storeu_ps(row + p.j + 16 * i, p.mask[i], x.v[i]);
  }
}

STEP struct side added(struct pmp_row_added a, struct part p) {
  struct side bias = load(a.bias, p);
  if (a.group == NULL) return bias;
  const struct side group = load(a.group, p);
  EACH bias.v[i] = _mm512_add_ps(group.v[i], bias.v[i]);
  return bias;
}

/* ---- rows ---- */

STEP struct side elu_at(struct pmp_row_added a, const float *z, struct part p) {
  struct side x = load(z, p);
  const struct side add = added(a, p);
  EACH x.v[i] = _mm512_add_ps(x.v[i], add.v[i]);
  return elu16(x);
}

STEP struct side norm_at(const struct pmp_row_scaled *s, float *z, struct part p, bool keep,
                         bool elu) {
  const struct side gain = load(s->gain, p), shift = load(s->shift, p);
  struct side x = load(z, p);
  EACH x.v[i] = _mm512_mul_ps(_mm512_sub_ps(x.v[i], splat(s->mean)), splat(s->rstd));
  if (keep) store(z, p, x);
  EACH x.v[i] = _mm512_fmadd_ps(x.v[i], gain.v[i], shift.v[i]);
  return elu ? elu16(x) : tanh16(x);
}

#define AT_ONCE (16 * SIDE)

WIDE static void elu_wide(size_t n, struct pmp_row_added a, const float *z, float *y) {
  size_t j = 0;
  for (; j + AT_ONCE <= n; j += AT_ONCE) store(y, full_at(j), elu_at(a, z, full_at(j)));
  if (j < n) store(y, part_of(n, j), elu_at(a, z, part_of(n, j)));
}

STEP void norm_all(size_t n, const struct pmp_row_scaled *s, float *z, bool keep, bool elu,
                   float *y) {
  size_t j = 0;
  for (; j + AT_ONCE <= n; j += AT_ONCE) store(y, full_at(j), norm_at(s, z, full_at(j), keep, elu));
  if (j < n) store(y, part_of(n, j), norm_at(s, z, part_of(n, j), keep, elu));
}

WIDE static void norm_wide(size_t n, const struct pmp_row_scaled *s, float *z, bool keep, bool elu,
                           float *y) {
  if (elu)
    norm_all(n, s, z, keep, true, y);
  else if (keep)
    norm_all(n, s, z, true, false, y);
  else
    norm_all(n, s, z, false, false, y);
}

/* Sums in float64: of the lower and the upper half of 16 numbers. */
struct sums {
  __m512d sum[2], square[2];
};

/* 16 numbers, or those in the mask. */
STEP void add_at(struct pmp_row_added a, float *z, size_t j, __mmask16 mask, struct sums *s) {
  const __m512 bias = _mm512_maskz_loadu_ps(mask, a.bias + j);
  const __m512 both =
      a.group ? _mm512_add_ps(_mm512_maskz_loadu_ps(mask, a.group + j), bias) : bias;
  const __m512 x = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, z + j), both);
  const __m512d d[2] = {_mm512_cvtps_pd(_mm512_castps512_ps256(x)),
                        _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))};
  _mm512_mask_storeu_ps(z + j, mask, x);
  for (int i = 0; i < 2; i++) s->sum[i] = _mm512_add_pd(s->sum[i], d[i]);
  for (int i = 0; i < 2; i++) s->square[i] = _mm512_fmadd_pd(d[i], d[i], s->square[i]);
}

STEP double total(__m512d a, __m512d b, __m512d c, __m512d d) {
  return _mm512_reduce_add_pd(_mm512_add_pd(_mm512_add_pd(a, b), _mm512_add_pd(c, d)));
}

WIDE static struct pmp_row_moments add_wide(size_t n, struct pmp_row_added a, float *z) {
  const __m512d zero = _mm512_setzero_pd();
  struct sums s = {{zero, zero}, {zero, zero}}, t = s; /* two, which need not wait for each other */
  size_t j = 0;
  for (; j + 32 <= n; j += 32) {
    add_at(a, z, j, 0xffff, &s);
    add_at(a, z, j + 16, 0xffff, &t);
  }
  for (; j < n; j += 16) add_at(a, z, j, mask_of(n - j), &s);
  return (struct pmp_row_moments){total(s.sum[0], s.sum[1], t.sum[0], t.sum[1]),
                                  total(s.square[0], s.square[1], t.square[0], t.square[1])};
}

/* ---- with bfloat16 ---- */

#define HALF_STEP static inline __attribute__((always_inline, target(BASE ",avx512bf16")))

HALF_STEP void put16(uint16_t *to, struct part p, struct side x) {
  EACH {
    const __m256i half = (__m256i)_mm512_cvtneps_pbh(x.v[i]);
    if (p.full)
      _mm256_storeu_si256((__m256i *)(void *)(to + p.j + 16 * i), half);
    else
      _mm256_mask_storeu_epi16(to + p.j + 16 * i, p.mask[i], half);
  }
}

HALF static void round_half(size_t n, const float *x, uint16_t *y16) {
  size_t j = 0;
  for (; j + AT_ONCE <= n; j += AT_ONCE) put16(y16, full_at(j), load(x, full_at(j)));
  if (j < n) put16(y16, part_of(n, j), load(x, part_of(n, j)));
}

HALF_STEP void elu_half_at(struct pmp_row_added a, const float *z, struct part p, float *y,
                           uint16_t *y16) {
  const struct side v = elu_at(a, z, p);
  if (y) store(y, p, v);
  put16(y16, p, v);
}

HALF static void elu_half(size_t n, struct pmp_row_added a, const float *z, float *y,
                          uint16_t *y16) {
  size_t j = 0;
  for (; j + AT_ONCE <= n; j += AT_ONCE) elu_half_at(a, z, full_at(j), y, y16);
  if (j < n) elu_half_at(a, z, part_of(n, j), y, y16);
}

HALF_STEP void norm_half_at(const struct pmp_row_scaled *s, float *z, struct part p, bool keep,
                            bool elu, float *y, uint16_t *y16) {
  const struct side v = norm_at(s, z, p, keep, elu);
  if (y) store(y, p, v);
  put16(y16, p, v);
}

HALF_STEP void norm_half_all(size_t n, const struct pmp_row_scaled *s, float *z, bool keep,
                             bool elu, float *y, uint16_t *y16) {
  size_t j = 0;
  for (; j + AT_ONCE <= n; j += AT_ONCE) norm_half_at(s, z, full_at(j), keep, elu, y, y16);
  if (j < n) norm_half_at(s, z, part_of(n, j), keep, elu, y, y16);
}

HALF static void norm_half(size_t n, const struct pmp_row_scaled *s, float *z, bool keep, bool elu,
                           float *y, uint16_t *y16) {
  if (elu)
    norm_half_all(n, s, z, keep, true, y, y16);
  else if (keep)
    norm_half_all(n, s, z, true, false, y, y16);
  else
    norm_half_all(n, s, z, false, false, y, y16);
}

/* ---- the tables: without and with the instruction that rounds ---- */

static void elu_row(size_t n, struct pmp_row_added a, float *z, float *y, uint16_t *y16) {
  float *out = y ? y : z;
  elu_wide(n, a, z, out);
  if (y16) pmp_row_kernels_plain.round(n, out, y16);
}

static void norm_row(size_t n, const struct pmp_row_scaled *s, float *z, bool keep, bool elu,
                     float *y, uint16_t *y16) {
  float *out = y ? y : z;
  norm_wide(n, s, z, keep, elu, out);
  if (y16) pmp_row_kernels_plain.round(n, out, y16);
}

static void elu_row_half(size_t n, struct pmp_row_added a, float *z, float *y, uint16_t *y16) {
  if (y16)
    elu_half(n, a, z, y, y16);
  else
    elu_wide(n, a, z, y);
}

static void norm_row_half(size_t n, const struct pmp_row_scaled *s, float *z, bool keep, bool elu,
                          float *y, uint16_t *y16) {
  if (y16)
    norm_half(n, s, z, keep, elu, y, y16);
  else
    norm_wide(n, s, z, keep, elu, y);
}

static void round_plainly(size_t n, const float *x, uint16_t *y16) {
  pmp_row_kernels_plain.round(n, x, y16);
}

static const struct pmp_row_kernels
    wide = {.elu = elu_row, .add = add_wide, .norm = norm_row, .round = round_plainly},
    with_half = {.elu = elu_row_half, .add = add_wide, .norm = norm_row_half, .round = round_half};

const struct pmp_row_kernels *pmp_row_kernels_avx512(void) {
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
    return NULL;
  return __builtin_cpu_supports("avx512bf16") ? &with_half : &wide;
}

#else

const struct pmp_row_kernels *pmp_row_kernels_avx512(void) {
  return NULL;
}

#endif
