/* Rows without fused multiply-adds, vectorised by the compiler: the same bits on every instruction
 * set. */
#include "policy/nn/math.h"
#include "policy/nn/rows_kernels.h"

/* Partial sums along a row. More than 16, so that gcc vectorises the loops over them before it
 * unrolls them. */
#define LANES 32
/* Before a loop whose arrays do not overlap, or are the same place by place: no need to find out.
 */
#if defined(__GNUC__) && !defined(__clang__)
#define PMP_ROWS_APART _Pragma("GCC ivdep")
#else
#define PMP_ROWS_APART
#endif

PMP_INLINE uint16_t rounded(float x) {
  const uint32_t bits = pmp_math_bits(x), up = bits + 0x7fffu + (bits >> 16 & 1u);
  return (uint16_t)((x == x ? up : bits | 0x400000u) >> 16);
}

PMP_CLONES static void round_row(size_t n, const float *restrict x, uint16_t *restrict y16) {
  for (size_t j = 0; j < n; j++) y16[j] = rounded(x[j]);
}

PMP_CLONES static void elu_to(size_t n, struct pmp_row_added a, const float *z, float *y) {
  const float *restrict bias = a.bias, *restrict group = a.group;
  if (group) {
    PMP_ROWS_APART
    for (size_t j = 0; j < n; j++) y[j] = pmp_math_elu(z[j] + (group[j] + bias[j]));
  } else {
    PMP_ROWS_APART
    for (size_t j = 0; j < n; j++) y[j] = pmp_math_elu(z[j] + bias[j]);
  }
}

static void elu_row(size_t n, struct pmp_row_added a, float *z, float *y, uint16_t *y16) {
  float *out = y ? y : z;
  elu_to(n, a, z, out);
  if (y16) round_row(n, out, y16);
}

PMP_INLINE double fold(const double acc[LANES]) {
  double part[8];
  for (size_t i = 0; i < 8; i++) part[i] = (acc[i] + acc[16 + i]) + (acc[8 + i] + acc[24 + i]);
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

PMP_CLONES static struct pmp_row_moments add_row(size_t n, struct pmp_row_added a,
                                                 float *restrict row) {
  const float *restrict bias = a.bias, *restrict group = a.group;
  double sum[LANES] = {0}, square[LANES] = {0};
  size_t j = 0;
  for (; j + LANES <= n; j += LANES) {
    if (group)
      for (size_t l = 0; l < LANES; l++) row[j + l] += group[j + l] + bias[j + l];
    else
      for (size_t l = 0; l < LANES; l++) row[j + l] += bias[j + l];
    for (size_t l = 0; l < LANES; l++) sum[l] += (double)row[j + l];
    for (size_t l = 0; l < LANES; l++) square[l] += (double)row[j + l] * (double)row[j + l];
  }
  for (size_t l = 0; j < n; j++, l++) {
    row[j] += group ? group[j] + bias[j] : bias[j];
    sum[l] += (double)row[j];
    square[l] += (double)row[j] * (double)row[j];
  }
  return (struct pmp_row_moments){fold(sum), fold(square)};
}

PMP_INLINE void norm_all(size_t n, const struct pmp_row_scaled *s, float *z, bool keep, bool elu,
                         float *y) {
  const float *restrict gain = s->gain, *restrict shift = s->shift;
  const float mean = s->mean, rstd = s->rstd;
  PMP_ROWS_APART
  for (size_t j = 0; j < n; j++) {
    const float x = (z[j] - mean) * rstd, v = x * gain[j] + shift[j];
    if (keep) z[j] = x;
    y[j] = elu ? pmp_math_elu(v) : pmp_math_tanh(v);
  }
}

PMP_CLONES static void norm_to(size_t n, const struct pmp_row_scaled *s, float *z, bool keep,
                               bool elu, float *y) {
  if (elu)
    norm_all(n, s, z, keep, true, y);
  else if (keep)
    norm_all(n, s, z, true, false, y);
  else
    norm_all(n, s, z, false, false, y);
}

static void norm_row(size_t n, const struct pmp_row_scaled *s, float *z, bool keep, bool elu,
                     float *y, uint16_t *y16) {
  float *out = y ? y : z;
  norm_to(n, s, z, keep, elu, out);
  if (y16) round_row(n, out, y16);
}

static void round_all(size_t n, const float *x, uint16_t *y16) {
  round_row(n, x, y16);
}

static struct pmp_row_moments add_all(size_t n, struct pmp_row_added a, float *z) {
  return add_row(n, a, z);
}

const struct pmp_row_kernels pmp_row_kernels_plain = {
    .elu = elu_row, .add = add_all, .norm = norm_row, .round = round_all};
