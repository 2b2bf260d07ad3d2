#include "actors/control/reward.h"

#include <math.h>

#define PI 3.14159265358979323846

/* Fall-off at distance d >= 0, in margins. */
static double sigmoid_value(double d, enum pmp_sigmoid sigmoid, double v) {
  double x;
  switch (sigmoid) {
  case PMP_SIGMOID_GAUSSIAN:
    x = d * sqrt(-2.0 * log(v));
    return exp(-0.5 * x * x);
  case PMP_SIGMOID_HYPERBOLIC:
    return 1.0 / cosh(d * acosh(1.0 / v));
  case PMP_SIGMOID_LONG_TAIL:
    x = d * sqrt(1.0 / v - 1.0);
    return 1.0 / (x * x + 1.0);
  case PMP_SIGMOID_RECIPROCAL:
    return 1.0 / (d * (1.0 / v - 1.0) + 1.0);
  case PMP_SIGMOID_COSINE:
    x = d * acos(2.0 * v - 1.0) / PI;
    return x < 1.0 ? (1.0 + cos(PI * x)) / 2.0 : 0.0;
  case PMP_SIGMOID_LINEAR:
    x = d * (1.0 - v);
    return x < 1.0 ? 1.0 - x : 0.0;
  case PMP_SIGMOID_QUADRATIC:
    x = d * sqrt(1.0 - v);
    return x < 1.0 ? 1.0 - x * x : 0.0;
  case PMP_SIGMOID_TANH_SQUARED:
    x = tanh(d * atanh(sqrt(1.0 - v)));
    return 1.0 - x * x;
  }
  return 0.0;
}

double pmp_tolerance(double x, double lower, double upper, double margin, enum pmp_sigmoid sigmoid,
                     double value_at_margin) {
  if (lower <= x && x <= upper) return 1.0;
  if (margin == 0.0) return 0.0;
  double d = (x < lower ? lower - x : x - upper) / margin;
  return sigmoid_value(d, sigmoid, value_at_margin);
}

double pmp_tolerance_gauss(double x, double lower, double upper, double margin) {
  static const double factor = -2.302585092994046; /* log(0.1): exp(factor) is 0.1 at the margin */
  if (lower <= x && x <= upper) return 1.0;
  if (margin == 0.0) return 0.0;
  double d = (x < lower ? lower - x : x - upper) / margin;
  return exp(factor * d * d);
}

double pmp_small_control(const double *ctrl, int n) {
  double sum = 0.0;
  for (int i = 0; i < n; i++) sum += fmax(0.0, 1.0 - ctrl[i] * ctrl[i]);
  return (4.0 + sum / n) / 5.0;
}
