/* The functions of policy/nn/math.h and base/math.h against libm in a wider type, over the range of
 * each. */
#include "tests/policy/check.h"

#include "policy/nn/math.h"

#include <float.h>

/* |got - want| in units in the last place of float32 at want. */
static double ulps(float got, double want) {
  if (!isfinite(want)) return (double)got == want ? 0 : INFINITY;
  const double least = ldexp(1, -149), unit = want == 0 ? least : ldexp(1, ilogb(want) - 23);
  return fabs((double)got - want) / fmax(unit, least);
}

/* Every 1009th float32 from 0 up, and what surrounds each power of two: to `call` with both signs.
 */
static void sweep(void (*call)(float, double *), double *worst) {
  for (uint32_t bits = 0; bits < 0x7f800000u; bits += 1009) {
    call(pmp_math_float(bits), worst);
    call(-pmp_math_float(bits), worst);
  }
  for (int e = -149; e < 128; e++) {
    const float x = ldexpf(1, e), around[3] = {nextafterf(x, 0), x, nextafterf(x, INFINITY)};
    for (int i = 0; i < 3; i++) {
      call(around[i], worst);
      call(-around[i], worst);
    }
  }
}

static void try_tanh(float x, double *worst) {
  const float got = pmp_math_tanh(x);
  assert_true(fabsf(got) <= 1);
  assert_true(signbit(got) == signbit(x));
  *worst = fmax(*worst, ulps(got, tanh((double)x)));
}

static void tanh_is_accurate(void **state) {
  (void)state;
  double worst = 0;
  sweep(try_tanh, &worst);
  assert_in_range((uintmax_t)(worst * 1000), 1, 3500);
  assert_true(pmp_math_tanh(INFINITY) == 1);
  assert_true(pmp_math_tanh(-INFINITY) == -1);
  assert_true(isnan(pmp_math_tanh(NAN)));
}

static void try_elu(float x, double *worst) {
  const float got = pmp_math_elu(x);
  if (x > 0) assert_true(got == x);
  assert_true(got == got); /* fmax would pass over it */
  *worst = fmax(*worst, ulps(got, x > 0 ? (double)x : expm1((double)x)));
}

static void elu_is_accurate(void **state) {
  (void)state;
  double worst = 0;
  sweep(try_elu, &worst);
  assert_in_range((uintmax_t)(worst * 1000), 1, 2500);
  assert_true(pmp_math_elu(-INFINITY) == -1);
  assert_true(pmp_math_elu(INFINITY) == INFINITY);
  assert_true(isnan(pmp_math_elu(NAN)));
  assert_true(isnan(pmp_math_elu(-(float)NAN)));
}

static double ulps64(double got, long double want) {
  if (want == 0) return got == 0 ? 0 : INFINITY;
  return (double)(fabsl((long double)got - want) / ldexpl(1, ilogbl(want) - 52));
}

/* The larger, or NaN if one is. */
static double worse(double a, double b) {
  return isnan(a) || a >= b ? a : b;
}

/* Some error there must be, else nothing was compared. */
static void assert_worst(double worst, double limit) {
  if (!(worst > 0 && worst <= limit))
    fail_msg("off by %g units in the last place, allowed %g", worst, limit);
}

static void exp_is_accurate(void **state) {
  (void)state;
  double worst = 0;
  for (double x = 0; x > -707.9; x -= 1.234567e-3)
    worst = worse(worst, ulps64(pmp_math_exp_neg(x), expl(x)));
  for (double x = 1; x > 1e-300; x /= 1.9)
    worst = worse(worst, ulps64(pmp_math_exp_neg(-x), expl(-x)));
  assert_worst(worst, 1.0);
  assert_true(pmp_math_exp_neg(0) == 1);
  assert_true(pmp_math_exp_neg(-0.0) == 1);
  assert_true(pmp_math_exp_neg(-708.5) == 0);
  assert_true(pmp_math_exp_neg(-1e300) == 0);
  assert_true(pmp_math_exp_neg(-INFINITY) == 0);
  assert_true(isnan(pmp_math_exp_neg(NAN)));
}

static void expf_is_accurate(void **state) {
  (void)state;
  double worst = 0;
  for (uint32_t bits = 0; bits <= pmp_math_bits(87); bits += 1009) {
    const float x = -pmp_math_float(bits);
    worst = worse(worst, ulps(pmp_math_exp_negf(x), exp((double)x)));
  }
  assert_worst(worst, 1.5);
  assert_true(pmp_math_exp_negf(0) == 1);
  assert_true(pmp_math_exp_negf(-87) > 0);
  assert_true(pmp_math_exp_negf(-87.75f) == 0);
  assert_true(pmp_math_exp_negf(-INFINITY) == 0);
  assert_true(isnan(pmp_math_exp_negf(NAN)));
}

/* Everywhere, densely about 1 where the logarithm is small, and about sqrt(1/2), where the exponent
 * changes. */
static void log_is_accurate(void **state) {
  (void)state;
  double worst = 0;
  for (double x = DBL_MIN; x < DBL_MAX / 2; x *= 1.00123)
    worst = worse(worst, ulps64(pmp_math_log(x), logl(x)));
  for (double x = 0.5; x < 2; x += 1.2345e-6)
    worst = worse(worst, ulps64(pmp_math_log(x), logl(x)));
  for (double d = 0.3; d > DBL_EPSILON; d /= 1.01) {
    worst = worse(worst, ulps64(pmp_math_log(1 - d), logl(1 - d)));
    worst = worse(worst, ulps64(pmp_math_log(1 + d), logl(1 + d)));
    worst = worse(worst, ulps64(pmp_math_log(sqrt(0.5) * (1 - d)), logl(sqrt(0.5) * (1 - d))));
    worst = worse(worst, ulps64(pmp_math_log(sqrt(0.5) * (1 + d)), logl(sqrt(0.5) * (1 + d))));
  }
  assert_worst(worst, 1.0);
  assert_true(pmp_math_log(1) == 0);
  assert_true(ulps64(pmp_math_log(DBL_MAX), logl(DBL_MAX)) <= 1);
  assert_true(isnan(pmp_math_log(NAN)));
  assert_true(isnan(pmp_math_log(INFINITY)));
}

static void logf_is_accurate(void **state) {
  (void)state;
  double worst = 0;
  for (uint32_t bits = pmp_math_bits(FLT_MIN); bits < 0x7f800000u; bits += 1009)
    worst =
        worse(worst, ulps(pmp_math_logf(pmp_math_float(bits)), log((double)pmp_math_float(bits))));
  for (uint32_t near = 1; near < 1u << 20; near++) {
    const float below = pmp_math_float(0x3f800000 - near),
                above = pmp_math_float(0x3f800000 + near);
    worst = worse(worst, ulps(pmp_math_logf(below), log((double)below)));
    worst = worse(worst, ulps(pmp_math_logf(above), log((double)above)));
  }
  assert_worst(worst, 1.0);
  assert_true(pmp_math_logf(1) == 0);
  assert_true(isnan(pmp_math_logf(NAN)));
  assert_true(isnan(pmp_math_logf(INFINITY)));
}

static void softplus_and_sigmoid_are_accurate(void **state) {
  (void)state;
  double of_log = 0, of_plus = 0, of_slope = 0;
  for (double x = 0; x <= 1; x += 1.2345e-6)
    of_log = worse(of_log, ulps64(pmp_math_log1p_unit(x), log1pl(x)));
  for (double x = 1; x > 1e-300; x /= 1.01)
    of_log = worse(of_log, ulps64(pmp_math_log1p_unit(x), log1pl(x)));
  for (double x = -707; x < 707; x += fabs(x) < 40 ? 1.2345e-4 : 1.2345e-3) {
    const long double e = expl(-fabsl(x));
    of_plus = worse(of_plus, ulps64(pmp_math_softplus(x), fmaxl(x, 0) + log1pl(e)));
    of_slope = worse(of_slope, ulps64(pmp_math_sigmoid(x), (x < 0 ? e : 1) / (1 + e)));
  }
  assert_worst(of_log, 1.5);
  assert_worst(of_plus, 2.5);
  assert_worst(of_slope, 2.5);
  assert_true(pmp_math_softplus(1e4) == 1e4 && pmp_math_sigmoid(1e4) == 1);
  assert_true(pmp_math_softplus(-1e4) == 0 && pmp_math_sigmoid(-1e4) == 0);
  assert_true(pmp_math_softplus(INFINITY) == INFINITY && pmp_math_sigmoid(INFINITY) == 1);
  assert_true(pmp_math_softplus(-INFINITY) == 0 && pmp_math_sigmoid(-INFINITY) == 0);
  assert_true(isnan(pmp_math_softplus(NAN)) && isnan(pmp_math_sigmoid(NAN)));
  assert_true(pmp_math_sigmoid(0) == 0.5);
}

/* The nearest quarter is taken off in integers, so that the reference is accurate near the axes. */
static void reference_sincos(uint32_t turn, long double rest, long double *s, long double *c) {
  const uint32_t quarter = (turn + 0x20000000) >> 30;
  const long double part = (long double)(int32_t)(turn - (quarter << 30)) * 0x1p-32L + rest;
  const long double angle = 2 * acosl(-1) * part;
  const long double sine = sinl(angle), cosine = cosl(angle);
  *s = quarter % 2 ? cosine : sine;
  *c = quarter % 2 ? sine : cosine;
  if (quarter % 4 >= 2) *s = -*s;
  if (quarter % 4 == 1 || quarter % 4 == 2) *c = -*c;
}

static void try_turn(uint32_t turn, double rest, double *worstf, double *worst) {
  float sf = UNWRITTEN, cf = UNWRITTEN;
  double s = 999, c = 999;
  long double sine, cosine;
  pmp_math_sincos_turnf(turn, &sf, &cf);
  reference_sincos(turn, 0, &sine, &cosine);
  *worstf = worse(*worstf, worse(ulps(sf, (double)sine), ulps(cf, (double)cosine)));
  pmp_math_sincos_turn(turn, rest, &s, &c);
  reference_sincos(turn, rest, &sine, &cosine);
  *worst = worse(*worst, worse(ulps64(s, sine), ulps64(c, cosine)));
}

static void sincos_is_accurate(void **state) {
  (void)state;
  double worstf = 0, worst = 0;
  for (uint64_t turn = 0; turn < 1ull << 32; turn += 12347) {
    try_turn((uint32_t)turn, 0, &worstf, &worst);
    try_turn((uint32_t)turn, (double)(turn % 0x1fffff) * 0x1p-53, &worstf, &worst);
  }
  for (uint32_t eighth = 0; eighth < 8; eighth++)
    for (uint32_t near = 0; near < 100; near++)
      try_turn((eighth << 29) + near - 50, 0x1.8p-33, &worstf, &worst);
  assert_worst(worstf, 2.5);
  assert_worst(worst, 2.0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tanh_is_accurate),
      cmocka_unit_test(elu_is_accurate),
      cmocka_unit_test(exp_is_accurate),
      cmocka_unit_test(expf_is_accurate),
      cmocka_unit_test(log_is_accurate),
      cmocka_unit_test(logf_is_accurate),
      cmocka_unit_test(softplus_and_sigmoid_are_accurate),
      cmocka_unit_test(sincos_is_accurate),
  };
  return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
