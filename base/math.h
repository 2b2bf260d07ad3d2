/* Logarithm, sine and cosine as plain arithmetic, so that loops over them vectorise: no branches,
 * no tables, no calls.
 *
 * Coefficients are minimax fits (Remez, weighted for relative error). The same bits on every
 * instruction set, as long as products and sums are not contracted (-ffp-contract=off). */
#ifndef PMP_BASE_MATH_H
#define PMP_BASE_MATH_H

#include "base/simd.h"

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

PMP_INLINE uint64_t pmp_math_bits64(double x) {
  const union {
    double d;
    uint64_t u;
  } v = {.d = x};
  return v.u;
}

PMP_INLINE double pmp_math_double(uint64_t bits) {
  const union {
    uint64_t u;
    double d;
  } v = {.u = bits};
  return v.d;
}

/* ln(x) in float64 for finite normal x > 0 (at most 1 unit in the last place); NaN and infinity
 * give NaN.
 *
 * x = 2^k m with m in [sqrt(1/2), sqrt(2)), f = m - 1, s = f / (2 + f):
 * ln(m) = 2 atanh(s) = f - f^2 / 2 + s (f^2 / 2 + s^2 P(s^2)). */
PMP_INLINE double pmp_math_log(double x) {
  const uint64_t one = 0x3ff0000000000000, least = 0x3fe6a09e667f3bcd; /* 1 and sqrt(1/2) */
  const uint64_t shifted = pmp_math_bits64(x) + (one - least);
  const double m = pmp_math_double((shifted & 0x000fffffffffffff) + least);
  /* The exponent, put in the low bits of 2^52: no instruction turns 64-bit integers to double. */
  const double k = pmp_math_double(shifted >> 52 | 0x4330000000000000) - (0x1p52 + 1023.0);
  const double f = m - 1.0, half = 0.5 * f * f;
  const double s = f / (2.0 + f), z = s * s;
  double p = 1.4795465361354441e-1;
  p = p * z + 1.5314101141271072e-1;
  p = p * z + 1.8183562234455283e-1;
  p = p * z + 2.2222198616546485e-1;
  p = p * z + 2.8571428741928750e-1;
  p = p * z + 3.9999999999416951e-1;
  p = p * z + 6.6666666666667340e-1;
  /* ln 2 in two parts; k times the first is exact. */
  const double low = s * (half + z * p) + k * 5.4979230187083711747e-14;
  return k * 0x1.62e42fefa3800p-1 - ((half - low) - f) + (x - x);
}

/* ln(x) in float32 for finite normal x > 0 (at most 1 unit in the last place); NaN and infinity
 * give NaN. ln(1 + f) = f - f^2 / 2 + f^3 P(f). */
PMP_INLINE float pmp_math_logf(float x) {
  const uint32_t one = 0x3f800000, least = 0x3f3504f3; /* 1 and sqrt(1/2) */
  const uint32_t shifted = pmp_math_bits(x) + (one - least);
  const float k = (float)((int32_t)(shifted >> 23) - 127);
  const float f = pmp_math_float((shifted & 0x007fffff) + least) - 1.0f, z = f * f;
  float p = -7.634765655e-2f;
  p = p * f + 1.276173592e-1f;
  p = p * f - 1.316015124e-1f;
  p = p * f + 1.420173049e-1f;
  p = p * f - 1.662335843e-1f;
  p = p * f + 2.000122815e-1f;
  p = p * f - 2.500082254e-1f;
  p = p * f + 3.333333135e-1f;
  /* ln 2 in two parts; k times the first is exact. */
  const float low = f * z * p + k * -2.12194440e-4f;
  return k * 0.693359375f + (f + (low - 0.5f * z)) + (x - x);
}

/* Sine and cosine of 2 pi turn / 2^32 in float32 (at most 2.5 units in the last place). The nearest
 * quarter is taken off exactly; what is left, t in [-1/8, 1/8], goes into
 * sin(2 pi t) = t P(t^2) and cos(2 pi t) = 1 + t^2 Q(t^2). */
PMP_INLINE void pmp_math_sincos_turnf(uint32_t turn, float *sine, float *cosine) {
  const uint32_t quarter = (turn + 0x20000000) >> 30;
  const float t = (float)(int32_t)(turn - (quarter << 30)) * 0x1p-32f, z = t * t;
  float p = -7.677492523e1f;
  p = p * z + 8.162562561e1f;
  p = p * z - 4.134186554e1f;
  p = (p * z + 6.283185482f) * t;
  float q = 5.862104797e1f;
  q = q * z - 8.542452240e1f;
  q = q * z + 6.493914795e1f;
  q = (q * z - 1.973920822e1f) * z + 1.0f;
  const float s = quarter & 1 ? q : p, c = quarter & 1 ? p : q;
  *sine = pmp_math_float(pmp_math_bits(s) ^ (quarter & 2) << 30);
  *cosine = pmp_math_float(pmp_math_bits(c) ^ ((quarter + 1) & 2) << 30);
}

/* Sine and cosine of 2 pi (turn / 2^32 + rest) in float64, 0 <= rest < 2^-32 (at most 2 units in
 * the last place); as above. */
PMP_INLINE void pmp_math_sincos_turn(uint32_t turn, double rest, double *sine, double *cosine) {
  const uint32_t quarter = (turn + 0x20000000) >> 30;
  const double t = (double)(int32_t)(turn - (quarter << 30)) * 0x1p-32 + rest, z = t * t;
  double p = 3.7489483255247915;
  p = p * z - 1.5092305104947455e1;
  p = p * z + 4.2058658653085132e1;
  p = p * z - 7.6705859490882816e1;
  p = p * z + 8.1605249275168916e1;
  p = p * z - 4.1341702240398597e1;
  p = (p * z + 6.2831853071795862) * t;
  double q = -1.6883002469897419;
  q = q * z + 7.9026292885718448;
  q = q * z - 2.6426241132122740e1;
  q = q * z + 6.0244641227235562e1;
  q = q * z - 8.5456817205989253e1;
  q = q * z + 6.4939394022666676e1;
  q = (q * z - 1.9739208802178716e1) * z + 1.0;
  const double s = quarter & 1 ? q : p, c = quarter & 1 ? p : q;
  *sine = pmp_math_double(pmp_math_bits64(s) ^ (uint64_t)(quarter & 2) << 62);
  *cosine = pmp_math_double(pmp_math_bits64(c) ^ (uint64_t)((quarter + 1) & 2) << 62);
}

#endif
