#include "clients/pmpoctl/campaign_stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void pmp_sort(double *v, size_t n) {
  qsort(v, n, sizeof *v, compare);
}

double pmp_quantile(const double *sorted, size_t n, double share) {
  const double at = share * (double)(n - 1);
  const size_t low = (size_t)at, high = low + 1 < n ? low + 1 : low;
  return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

static double resampled(const struct pmp_stratum *s, struct pmp_rng *rng) {
  double sum = 0;
  for (uint32_t i = 0; i < s->n; i++) sum += s->value[pmp_rng_below(rng, s->n)];
  return sum / s->n;
}

struct pmp_interval pmp_bootstrap(const struct pmp_stratum *stratum, uint32_t strata, uint64_t seed,
                                  uint64_t stream, double *scratch) {
  struct pmp_interval out = {0, NAN, NAN, NAN, NAN};
  struct pmp_rng rng;
  uint32_t most = 0;
  for (uint32_t s = 0; s < strata; s++) {
    double sum = 0;
    for (uint32_t i = 0; i < stratum[s].n; i++) sum += stratum[s].value[i];
    out.mean += sum / stratum[s].n / strata;
    if (stratum[s].n > most) most = stratum[s].n;
  }
  if (most < 2) return out;
  pmp_rng_init(&rng, seed, stream);
  for (uint32_t r = 0; r < PMP_BOOTSTRAP_RESAMPLES; r++) {
    double sum = 0;
    for (uint32_t s = 0; s < strata; s++) sum += resampled(&stratum[s], &rng);
    scratch[r] = sum / strata;
  }
  pmp_sort(scratch, PMP_BOOTSTRAP_RESAMPLES);
  out.low80 = pmp_quantile(scratch, PMP_BOOTSTRAP_RESAMPLES, 0.1);
  out.high80 = pmp_quantile(scratch, PMP_BOOTSTRAP_RESAMPLES, 0.9);
  out.low95 = pmp_quantile(scratch, PMP_BOOTSTRAP_RESAMPLES, 0.025);
  out.high95 = pmp_quantile(scratch, PMP_BOOTSTRAP_RESAMPLES, 0.975);
  return out;
}
