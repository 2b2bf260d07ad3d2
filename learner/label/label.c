#include "learner/label/label.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* How many of the group come before outcome j in the order best first, earlier first among equals.
 * Counting is quadratic, which for the groups that occur (4 to 20) beats a sort and needs no
 * memory. */
static size_t rank_of(const float *f, size_t m, size_t j) {
  size_t before = 0;
  for (size_t i = 0; i < j; i++) before += f[i] >= f[j];
  for (size_t i = j + 1; i < m; i++) before += f[i] > f[j];
  return before;
}

static void label_top_k(const float *f, size_t m, size_t best, size_t worst, int8_t *verdict) {
  const size_t wanted = best + worst;
  if (wanted > m || m == 1) {
    best = m * best / wanted;
    worst = m * worst / wanted;
    if (m == 1) best = worst = 0;
  }
  for (size_t j = 0; j < m; j++) {
    const size_t rank = rank_of(f, m, j);
    verdict[j] = 0;
    if (rank < best) verdict[j] = 1;
    if (rank >= m - worst) verdict[j] = -1;
  }
}

static double mean_of(const float *f, size_t m) {
  double sum = 0.0;
  for (size_t j = 0; j < m; j++) sum += (double)f[j];
  return sum / (double)m;
}

static double median_of(const float *f, size_t m) {
  double low = 0.0, high = 0.0;
  for (size_t j = 0; j < m; j++) {
    const size_t rank = rank_of(f, m, j);
    if (rank == (m - 1) / 2) high = (double)f[j];
    if (rank == m / 2) low = (double)f[j];
  }
  return low + (high - low) / 2.0;
}

static void label_at_least(const float *f, size_t m, double baseline, int8_t *verdict) {
  for (size_t j = 0; j < m; j++) verdict[j] = (double)f[j] >= baseline ? 1 : -1;
}

static bool all_finite(const float *x, size_t n) {
  bool finite = true;
  for (size_t i = 0; i < n; i++) finite &= isfinite(x[i]) != 0;
  return finite;
}

enum pmp_err pmp_label_groups(enum pmp_label_rule rule, size_t groups, size_t m, uint32_t k,
                              uint32_t k_rejected, const float *f, const float *baseline,
                              int8_t *verdict) {
  if (m == 0 || m > PMP_LABEL_GROUP_MAX) return PMP_EINVALID;
  if (rule < PMP_LABEL_TOP_K || rule > PMP_LABEL_VALUE) return PMP_EINVALID;
  if (rule == PMP_LABEL_TOP_K && k == 0 && k_rejected == 0) return PMP_EINVALID;
  if (rule == PMP_LABEL_VALUE && baseline == NULL && groups > 0) return PMP_EINVALID;
  if (!all_finite(f, groups * m) || (rule == PMP_LABEL_VALUE && !all_finite(baseline, groups))) {
    memset(verdict, 0, groups * m * sizeof *verdict);
    return PMP_ENONFINITE;
  }
  for (size_t g = 0; g < groups; g++) {
    const float *fg = f + g * m;
    int8_t *vg = verdict + g * m;
    switch (rule) {
    case PMP_LABEL_TOP_K:
      label_top_k(fg, m, k, k_rejected, vg);
      break;
    case PMP_LABEL_MEAN:
      label_at_least(fg, m, mean_of(fg, m), vg);
      break;
    case PMP_LABEL_MEDIAN:
      label_at_least(fg, m, median_of(fg, m), vg);
      break;
    case PMP_LABEL_VALUE:
      label_at_least(fg, m, (double)baseline[g], vg);
      break;
    }
  }
  return PMP_OK;
}
