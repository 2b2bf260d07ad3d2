#include "actors/bandit/function.h"

#include <math.h>
#include <string.h>

/* i / (n - 1), the place of a coordinate; 0 in one dimension. */
static double place(uint32_t i, uint32_t n) {
  return n > 1 ? (double)i / (double)(n - 1) : 0;
}

/* sum_i x_i^2 */
static double sphere(const double *x, uint32_t n) {
  double sum = 0;
  for (uint32_t i = 0; i < n; i++) sum += x[i] * x[i];
  return sum;
}

/* sum_{i < n} 100 (x_i^2 - x_{i+1})^2 + (x_i - 1)^2 */
static double rosenbrock(const double *x, uint32_t n) {
  double sum = 0;
  for (uint32_t i = 0; i + 1 < n; i++) {
    double curve = x[i] * x[i] - x[i + 1], rest = x[i] - 1;
    sum += 100 * curve * curve + rest * rest;
  }
  return sum;
}

/* sum_i (sum_{j <= i} x_j)^2 */
static double schwefel(const double *x, uint32_t n) {
  double sum = 0, partial = 0;
  for (uint32_t i = 0; i < n; i++) {
    partial += x[i];
    sum += partial * partial;
  }
  return sum;
}

/* x_1^2 + sum_{i > 1} (1000 x_i)^2 */
static double cigar(const double *x, uint32_t n) {
  double sum = x[0] * x[0];
  for (uint32_t i = 1; i < n; i++) sum += 1e6 * x[i] * x[i];
  return sum;
}

/* sum_i |x_i|^(2 + 10 (i-1)/(n-1)) */
static double diffpow(const double *x, uint32_t n) {
  double sum = 0;
  for (uint32_t i = 0; i < n; i++) sum += pow(fabs(x[i]), 2 + 10 * place(i, n));
  return sum;
}

/* sum_i (1000^((i-1)/(n-1)) x_i)^2 */
static double elli(const double *x, uint32_t n) {
  double sum = 0;
  for (uint32_t i = 0; i < n; i++) {
    double scaled = pow(1000, place(i, n)) * x[i];
    sum += scaled * scaled;
  }
  return sum;
}

static const struct pmp_function functions[] = {
    {"sphere", sphere}, {"rosenbrock", rosenbrock}, {"schwefel", schwefel},
    {"cigar", cigar},   {"diffpow", diffpow},       {"elli", elli},
};

uint32_t pmp_function_count(void) {
  return sizeof functions / sizeof functions[0];
}

const struct pmp_function *pmp_function_at(uint32_t i) {
  return &functions[i];
}

enum pmp_err pmp_function_find(const char *name, const struct pmp_function **out,
                               struct pmp_errmsg *msg) {
  for (uint32_t i = 0; i < pmp_function_count(); i++) {
    if (strcmp(functions[i].name, name) != 0) continue;
    *out = &functions[i];
    return PMP_OK;
  }
  return pmp_fail(
      msg, PMP_ENOTFOUND,
      "no function '%.64s'; there are sphere, rosenbrock, schwefel, cigar, diffpow, elli", name);
}
