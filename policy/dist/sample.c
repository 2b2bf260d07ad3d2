/* What is asked of one policy alone: draws, its mode, its moments, its entropy; and what an outcome
 * is to the environment. */
#include "policy/dist/family.h"

/* ---- gaussians of independent dimensions: as many conditions at a time as diag.c takes ---- */

static size_t some(const struct pmp_dist *d, size_t x, size_t b) {
  const size_t together = pmp_diag_together(d->dim);
  return b - x < together ? b - x : together;
}

static enum pmp_err diag_sample(const struct pmp_dist *d, size_t b, size_t m, const float *head,
                                float *y) {
  double space[2 * PMP_DIST_DIM_MAX];
  const size_t dim = d->dim, p = pmp_dist_padded(dim);
  bool finite = true;
  for (size_t x = 0, rows; x < b; x += rows) {
    rows = some(d, x, b);
    const struct pmp_diag pi = {space, space + rows * p};
    PMP_TRY(pmp_head_diag(d, rows, head + 2 * x * dim, NULL, &pi, NULL));
    for (size_t j = 0; j < rows * m; j++)
      for (size_t i = 0, at = j / m * p; i < dim; i++) {
        float *v = &y[(x * m + j) * dim + i];
        finite &= pmp_dist_narrow(pi.mean[at + i] + pi.std[at + i] * (double)*v, v);
      }
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

/* Mean and std (B x D); entropy (B). Any may be NULL. */
static enum pmp_err diag_moments(const struct pmp_dist *d, size_t b, const float *head, float *mean,
                                 float *std, float *entropy) {
  double space[2 * PMP_DIST_DIM_MAX];
  const size_t dim = d->dim, p = pmp_dist_padded(dim);
  const double constant = 0.5 * (PMP_DIST_LN_2PI + 1) * (double)dim;
  bool finite = true;
  for (size_t x = 0, rows; x < b; x += rows) {
    rows = some(d, x, b);
    const struct pmp_diag pi = {space, space + rows * p};
    PMP_TRY(pmp_head_diag(d, rows, head + 2 * x * dim, NULL, &pi, NULL));
    for (size_t r = 0; r < rows; r++) {
      double sum = constant;
      for (size_t i = 0; i < dim; i++) {
        if (mean) finite &= pmp_dist_narrow(pi.mean[r * p + i], &mean[(x + r) * dim + i]);
        if (std) finite &= pmp_dist_narrow(pi.std[r * p + i], &std[(x + r) * dim + i]);
        if (entropy) sum += log(pi.std[r * p + i]);
      }
      if (entropy) finite &= pmp_dist_narrow(sum, &entropy[x + r]);
    }
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

/* ---- gaussians of full covariance: one condition ---- */

#define CHOL_SPACE (PMP_DIST_CHOL_DIM_MAX + PMP_DIST_TRIANGLE(PMP_DIST_CHOL_DIM_MAX))

static enum pmp_err chol_sample(const struct pmp_dist *d, size_t m, const float *head, float *y) {
  double space[CHOL_SPACE];
  const struct pmp_chol pi = {space, space + pmp_dist_padded(d->dim)};
  bool finite = true;
  PMP_TRY(pmp_head_chol(d, head, &pi, NULL));
  for (size_t j = 0; j < m; j++) finite &= pmp_chol_colour(d->dim, &pi, y + j * d->dim);
  return finite ? PMP_OK : PMP_ENONFINITE;
}

static enum pmp_err chol_moments(const struct pmp_dist *d, const float *head, float *mean,
                                 float *std, double *log_std) {
  double space[CHOL_SPACE];
  const struct pmp_chol pi = {space, space + pmp_dist_padded(d->dim)};
  bool finite = true;
  PMP_TRY(pmp_head_chol(d, head, &pi, NULL));
  for (size_t i = 0; i < d->dim; i++) {
    const double *l = pi.lower + PMP_DIST_TRIANGLE(i);
    double sum = 0;
    for (size_t k = 0; k <= i; k++) sum += l[k] * l[k];
    if (mean) finite &= pmp_dist_narrow(pi.mean[i], &mean[i]);
    if (std) finite &= pmp_dist_narrow(sqrt(sum), &std[i]);
    if (log_std) *log_std += log(l[i]);
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

/* As diag_moments. */
static enum pmp_err gaussian_moments(const struct pmp_dist *d, size_t b, const float *head,
                                     float *mean, float *std, float *entropy) {
  if (d->kind == PMP_DIST_DIAG_GAUSSIAN) return diag_moments(d, b, head, mean, std, entropy);
  for (size_t x = 0; x < b; x++) {
    double sum = 0.5 * (PMP_DIST_LN_2PI + 1) * d->dim;
    PMP_TRY(chol_moments(d, head + x * pmp_dist_head(d), mean ? mean + x * d->dim : NULL,
                         std ? std + x * d->dim : NULL, &sum));
    if (entropy && !pmp_dist_narrow(sum, &entropy[x])) return PMP_ENONFINITE;
  }
  return PMP_OK;
}

/* ---- batches ---- */

enum pmp_err pmp_dist_sample(const struct pmp_dist *d, size_t b, size_t m, const float *head,
                             struct pmp_rng *rng, float *y) {
  const size_t h = pmp_dist_head(d), group = m * d->dim;
  if (d->kind == PMP_DIST_CATEGORICAL) return pmp_categorical_sample(d, b, m, head, rng, y);
  pmp_rng_normal_fill(rng, y, b * group);
  if (d->kind == PMP_DIST_DIAG_GAUSSIAN) return diag_sample(d, b, m, head, y);
  for (size_t x = 0; x < b; x++) PMP_TRY(chol_sample(d, m, head + x * h, y + x * group));
  return PMP_OK;
}

enum pmp_err pmp_dist_mode(const struct pmp_dist *d, size_t b, const float *head, float *y) {
  const size_t h = pmp_dist_head(d);
  if (d->kind != PMP_DIST_CATEGORICAL) return gaussian_moments(d, b, head, y, NULL, NULL);
  for (size_t x = 0; x < b; x++) PMP_TRY(pmp_categorical_mode(d, head + x * h, y + x * d->dim));
  return PMP_OK;
}

enum pmp_err pmp_dist_entropy(const struct pmp_dist *d, size_t b, const float *head,
                              float *entropy) {
  const size_t h = pmp_dist_head(d);
  if (d->kind != PMP_DIST_CATEGORICAL) return gaussian_moments(d, b, head, NULL, NULL, entropy);
  for (size_t x = 0; x < b; x++) PMP_TRY(pmp_categorical_entropy(d, head + x * h, &entropy[x]));
  return PMP_OK;
}

enum pmp_err pmp_dist_moments(const struct pmp_dist *d, size_t b, const float *head, float *mean,
                              float *std) {
  if (d->kind == PMP_DIST_CATEGORICAL) return PMP_EUNAVAILABLE;
  return gaussian_moments(d, b, head, mean, std, NULL);
}

void pmp_dist_action(const struct pmp_dist *d, size_t n, const float *y, float *action) {
  const size_t count = n * d->dim;
  if (d->kind != PMP_DIST_CATEGORICAL) {
    for (size_t i = 0; i < count; i++) {
      const float v = y[i] < d->low ? d->low : y[i];
      action[i] = v > d->high ? d->high : v;
    }
    return;
  }
  const double low = (double)d->low, step = ((double)d->high - low) / (double)(d->bins - 1);
  for (size_t i = 0; i < count; i++)
    action[i] = y[i] >= (float)(d->bins - 1) ? d->high : (float)(low + step * (double)y[i]);
}
