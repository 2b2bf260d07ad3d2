#include "experiments/stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t n, double share) {
  const double at = share * (double)(n - 1);
  const size_t low = (size_t)at, high = low + 1 < n ? low + 1 : low;
  const double rest = at - (double)low;
  /* Not low + rest * (high - low): of two infinities that would be NaN. */
  return rest > 0.0 ? (1.0 - rest) * sorted[low] + rest * sorted[high] : sorted[low];
}

struct pmp_band pmp_band_of(double *v, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (isnan(v[i])) v[i] = INFINITY;
  }
  qsort(v, n, sizeof *v, compare);
  return (struct pmp_band){.p10 = quantile(v, n, 0.1),
                           .median = quantile(v, n, 0.5),
                           .p90 = quantile(v, n, 0.9),
                           .best = v[0],
                           .worst = v[n - 1],
                           .n = n};
}
