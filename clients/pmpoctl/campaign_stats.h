/* Means over seeds with stratified bootstrap intervals. Pure but for the generator; any thread. */
#ifndef PMP_PMPOCTL_CAMPAIGN_STATS_H
#define PMP_PMPOCTL_CAMPAIGN_STATS_H

#include "base/rng.h"

#include <stddef.h>
#include <stdint.h>

#define PMP_BOOTSTRAP_RESAMPLES 10000

/* Values of one stratum (the seeds of one task). */
struct pmp_stratum {
  const double *value; /* (n) */
  uint32_t n;          /* >= 1 */
};

struct pmp_interval {
  double mean; /* of the strata's means */
  /* Percentile intervals of the resampled mean: each stratum is drawn again from itself with
   * replacement. NAN when no stratum has more than one value. */
  double low80, high80, low95, high95;
};

/* scratch[PMP_BOOTSTRAP_RESAMPLES]. The same seed and stream give the same interval. strata >= 1.
 */
struct pmp_interval pmp_bootstrap(const struct pmp_stratum *stratum, uint32_t strata, uint64_t seed,
                                  uint64_t stream, double *scratch);

/* Of sorted[n], n >= 1, interpolated between neighbours; share in [0, 1]. */
double pmp_quantile(const double *sorted, size_t n, double share);
void pmp_sort(double *v, size_t n);

#endif
