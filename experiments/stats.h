/* Medians and bands over seeds. Pure; any thread. */
#ifndef PMP_EXPERIMENTS_STATS_H
#define PMP_EXPERIMENTS_STATS_H

#include <stddef.h>

struct pmp_band {
  double p10, median, p90, best, worst; /* worst: the largest; NaN counts as infinitely large */
  size_t n;
};

/* Sorts v[n], n >= 1. Between two values the quantile is interpolated. */
struct pmp_band pmp_band_of(double *v, size_t n);

#endif
