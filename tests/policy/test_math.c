/* exp, tanh and ELU of policy/nn/math.h against libm in float64, over all of float32's range. */
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
  assert_in_range((uintmax_t)(worst * 1000), 1, 2500);
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
  assert_in_range((uintmax_t)(worst * 1000), 1, 1500);
  assert_true(pmp_math_elu(-INFINITY) == -1);
  assert_true(pmp_math_elu(INFINITY) == INFINITY);
  assert_true(isnan(pmp_math_elu(NAN)));
  assert_true(isnan(pmp_math_elu(-(float)NAN)));
}

static void exp_is_accurate(void **state) {
  (void)state;
  double worst = 0;
  for (double x = 0; x > -707.9; x -= 1.234567e-3) {
    const double want = exp(x), got = pmp_math_exp_neg(x);
    assert_true(got == got);
    worst = fmax(worst, fabs(got - want) / ldexp(1, ilogb(want) - 52));
  }
  for (double x = 1; x > 1e-300; x /= 1.9) {
    const double want = exp(-x), got = pmp_math_exp_neg(-x);
    assert_true(got == got);
    worst = fmax(worst, fabs(got - want) / ldexp(1, ilogb(want) - 52));
  }
  assert_in_range((uintmax_t)(worst * 1000), 1, 1500);
  assert_true(pmp_math_exp_neg(0) == 1);
  assert_true(pmp_math_exp_neg(-0.0) == 1);
  assert_true(pmp_math_exp_neg(-708.5) == 0);
  assert_true(pmp_math_exp_neg(-1e300) == 0);
  assert_true(pmp_math_exp_neg(-INFINITY) == 0);
  assert_true(isnan(pmp_math_exp_neg(NAN)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tanh_is_accurate),
      cmocka_unit_test(elu_is_accurate),
      cmocka_unit_test(exp_is_accurate),
  };
  return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
