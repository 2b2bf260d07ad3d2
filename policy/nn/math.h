/* exp and its kin as plain arithmetic, so that loops over them vectorise: no branches, no tables,
 * no calls.
 *
 * Coefficients are minimax fits on |r| <= ln(2)/2 (Remez, weighted for relative error). NaN gives
 * NaN. The same bits on every instruction set, as long as products and sums are not contracted
 * (-ffp-contract=off). */
#ifndef PMP_POLICY_NN_MATH_H
#define PMP_POLICY_NN_MATH_H

#include "policy/nn/simd.h"

#include <stdint.h>

PMP_INLINE uint32_t pmp_math_bits(float x) {
  const union {
    float f;
    uint32_t u;
  } v = {.f = x};
  return v.u;
}

PMP_INLINE float pmp_math_float(uint32_t bits) {
  const union {
    uint32_t u;
    float f;
  } v = {.u = bits};
  return v.f;
}

/* exp(x) - 1 for x <= 0 (at most 1.5 units in the last place). */
PMP_INLINE float pmp_math_expm1_neg(float x) {
  const float round =
      12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
  x = x < -87.0f ? -87.0f : x;
  const float shifted = x * 1.44269504f + round;
  const float n = shifted - round;
  /* ln 2 in two parts; n times the first is exact. */
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.394642344e-3f;
  p = p * r + 8.366571367e-3f;
  p = p * r + 4.166628252e-2f;
  p = p * r + 1.666654312e-1f;
  p = p * r + 5.000000062e-1f;
  const float q = r * r * p + r;
  const float scale = pmp_math_float((pmp_math_bits(shifted) + 127u) << 23); /* 2^n */
  return scale * q + (scale - 1.0f);
}

/* tanh(x) (at most 2.5 units in the last place). */
PMP_INLINE float pmp_math_tanh(float x) {
  const uint32_t sign = pmp_math_bits(x) & 0x80000000u;
  const float a = pmp_math_float(pmp_math_bits(x) ^ sign);
  const float t = pmp_math_expm1_neg(-2.0f * a);
  return pmp_math_float((pmp_math_bits(t / (2.0f + t)) & 0x7fffffffu) | sign);
}

/* ELU: x above 0, exp(x) - 1 below. */
PMP_INLINE float pmp_math_elu(float x) {
  const float e = pmp_math_expm1_neg(x > 0.0f ? 0.0f : x);
  return x > 0.0f ? x : e;
}

/* exp(x) in float64 for x <= 0 (at most 1 unit in the last place; 0 below -708). */
PMP_INLINE double pmp_math_exp_neg(double x) {
  const double round = 6755399441055744.0; /* 1.5 * 2^52 */
  const double y = x < -708.0 ? -708.0 : x;
  const double shifted = y * 1.4426950408889634 + round;
  const double n = shifted - round;
  const double r = (y - n * 0x1.62e42fefa3800p-1) - n * 5.4979230187083711747e-14;
  double p = 2.5117602577278966296e-8;
  p = p * r + 2.7630856159268587701e-7;
  p = p * r + 2.7557217221441729146e-6;
  p = p * r + 2.4801491260754501885e-5;
  p = p * r + 1.984126991619804236e-4;
  p = p * r + 1.3888888945573481089e-3;
  p = p * r + 8.3333333333078523516e-3;
  p = p * r + 4.1666666666521854412e-2;
  p = p * r + 1.6666666666666697821e-1;
  p = p * r + 5.0000000000000117896e-1;
  const union {
    double d;
    uint64_t u;
  } bits = {.d = shifted};
  const union {
    uint64_t u;
    double d;
  } scale = {.u = (bits.u + 1023u) << 52};
  const double e = scale.d + scale.d * (r * r * p + r);
  return x < -708.0 ? 0.0 : e;
}

#endif
