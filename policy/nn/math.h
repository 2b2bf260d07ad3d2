/* exp and its kin as plain arithmetic, so that loops over them vectorise: no branches, no tables,
 * no calls.
 *
 * Coefficients are minimax fits on |r| <= ln(2)/2 (Remez, weighted for relative error). NaN gives
 * NaN. The same bits on every instruction set, as long as products and sums are not contracted
 * (-ffp-contract=off). */
#ifndef PMP_POLICY_NN_MATH_H
#define PMP_POLICY_NN_MATH_H

#include "base/math.h"

#include <math.h>

/* exp(x) = scale (1 + q) for -87 <= x <= 0, scale a power of two, q within 0.42 of 0: returns q. */
PMP_INLINE float pmp_math_exp_parts(float x, float *scale) {
  const float round =
      12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
  const float shifted = x * 1.44269504f + round;
  const float n = shifted - round;
  /* ln 2 in two parts; n times the first is exact. */
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.394642344e-3f;
  p = p * r + 8.366571367e-3f;
  p = p * r + 4.166628252e-2f;
  p = p * r + 1.666654312e-1f;
  p = p * r + 5.000000062e-1f;
  *scale = pmp_math_float((pmp_math_bits(shifted) + 127u) << 23);
  return r * r * p + r;
}

/* exp(x) - 1 for x <= 0 (at most 1.5 units in the last place). */
PMP_INLINE float pmp_math_expm1_neg(float x) {
  float scale;
  const float q = pmp_math_exp_parts(x < -87.0f ? -87.0f : x, &scale);
  return scale * q + (scale - 1.0f);
}

/* exp(x) in float32 for x <= 0 (at most 1 unit in the last place; 0 below -87.7). */
PMP_INLINE float pmp_math_exp_negf(float x) {
  const float round = 12582912.0f; /* as above */
  x = x < -88.0f ? -88.0f : x;     /* of which 2^n is 0 */
  const float shifted = x * 1.44269504f + round;
  const float n = shifted - round;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.394642344e-3f;
  p = p * r + 8.366571367e-3f;
  p = p * r + 4.166628252e-2f;
  p = p * r + 1.666654312e-1f;
  p = p * r + 5.000000062e-1f;
  const float q = r * r * p + r;
  const float scale = pmp_math_float((pmp_math_bits(shifted) + 127u) << 23); /* 2^n */
  return scale + scale * q;
}

/* 2^y - 1 for -127 <= y <= 0. */
PMP_INLINE float pmp_math_exp2m1_neg(float y) {
  const float round = 12582912.0f; /* as above */
  const float shifted = y + round;
  const float f = y - (shifted - round);
  float p = 1.540351223e-4f;
  p = p * f + 1.339073526e-3f;
  p = p * f + 9.618237615e-3f;
  p = p * f + 5.550357327e-2f;
  p = p * f + 2.402264923e-1f;
  p = p * f + 6.931471825e-1f;
  const float scale = pmp_math_float((pmp_math_bits(shifted) + 127u) << 23);
  return scale * (f * p) + (scale - 1.0f);
}

/* exp(-2 |x|) - 1. */
PMP_INLINE float pmp_math_tanh_part(float x) {
  const float a = pmp_math_float(pmp_math_bits(x) & 0x7fffffffu);
  return pmp_math_exp2m1_neg((a > 44.0f ? 44.0f : a) * -2.88539008f);
}

/* |y| with the sign of x. */
PMP_INLINE float pmp_math_sign_of(float y, float x) {
  return pmp_math_float((pmp_math_bits(y) & 0x7fffffffu) | (pmp_math_bits(x) & 0x80000000u));
}

/* tanh(x) (at most 3.5 units in the last place). */
PMP_INLINE float pmp_math_tanh(float x) {
  const float t = pmp_math_tanh_part(x);
  return pmp_math_sign_of(t / (2.0f + t), x);
}

/* ELU: x above 0, exp(x) - 1 below (at most 2.5 units in the last place). */
PMP_INLINE float pmp_math_elu(float x) {
  /* The lesser integer is the lesser magnitude of two numbers below 0; what comes of others is not
   * used. */
  const int32_t bits = (int32_t)pmp_math_bits(x * 1.44269504f), least = (int32_t)0xc2fe0000u;
  const float e = pmp_math_exp2m1_neg(pmp_math_float((uint32_t)(bits < least ? bits : least)));
  return x < 0.0f ? e : x; /* NaN stays */
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
  const double scale = pmp_math_double((pmp_math_bits64(shifted) + 1023u) << 52); /* 2^n */
  const double e = scale + scale * (r * r * p + r);
  return x < -708.0 ? 0.0 : e;
}

/* ln(1 + x) in float64 for 0 <= x <= 1 (at most 1.5 units in the last place).
 *
 * s = x / (2 + x): ln(1 + x) = 2 atanh(s) = x - x^2 / 2 + s (x^2 / 2 + s^2 P(s^2)). */
PMP_INLINE double pmp_math_log1p_unit(double x) {
  const double half = 0.5 * x * x;
  const double s = x / (2.0 + x), z = s * s;
  double p = 1.7015495177184090e-1;
  p = p * z + 8.3419958004162756e-2;
  p = p * z + 1.2105596687377809e-1;
  p = p * z + 1.3301042877775410e-1;
  p = p * z + 1.5386554063292993e-1;
  p = p * z + 1.8181744227614299e-1;
  p = p * z + 2.2222223960377530e-1;
  p = p * z + 2.8571428548015454e-1;
  p = p * z + 4.0000000000155894e-1;
  p = p * z + 6.6666666666666308e-1;
  return x - (half - s * (half + z * p));
}

/* ln(1 + exp(x)) in float64, for every x (at most 2.5 units in the last place; 0 below -708). */
PMP_INLINE double pmp_math_softplus(double x) {
  return (x < 0.0 ? 0.0 : x) + pmp_math_log1p_unit(pmp_math_exp_neg(-fabs(x)));
}

/* Its derivative 1 / (1 + exp(-x)), for every x (at most 2.5 units in the last place; 0 below
 * -708). A loop over both computes the exponential once. */
PMP_INLINE double pmp_math_sigmoid(double x) {
  const double e = pmp_math_exp_neg(-fabs(x));
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

#endif
