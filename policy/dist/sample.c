/* What is asked of one policy alone: draws, its mode, its moments, its entropy; and what an outcome
 * is to the environment. */
#include "policy/dist/family.h"

/* ---- one condition ---- */

static enum pmp_err diag_sample(const struct pmp_dist *d, size_t m, const float *head, float *y) {
  double space[2 * PMP_DIST_DIM_MAX];
  const struct pmp_diag pi = {space, space + pmp_dist_padded(d->dim)};
  bool finite = true;
  PMP_TRY(pmp_head_diag(d, 1, head, NULL, &pi, NULL));
  for (size_t j = 0; j < m; j++)
    for (size_t i = 0; i < d->dim; i++) {
      float *v = &y[j * d->dim + i];
      finite &= pmp_dist_narrow(pi.mean[i] + pi.std[i] * (double)*v, v);
    }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

/* Mean and std (D); the logarithms of std, or of L's diagonal, summed. Any may be NULL. */
static enum pmp_err diag_moments(const struct pmp_dist *d, const float *head, float *mean,
                                 float *std, double *log_std) {
  double space[2 * PMP_DIST_DIM_MAX];
  const struct pmp_diag pi = {space, space + pmp_dist_padded(d->dim)};
  bool finite = true;
  PMP_TRY(pmp_head_diag(d, 1, head, NULL, &pi, NULL));
  for (size_t i = 0; i < d->dim; i++) {
    if (mean) finite &= pmp_dist_narrow(pi.mean[i], &mean[i]);
    if (std) finite &= pmp_dist_narrow(pi.std[i], &std[i]);
    if (log_std) *log_std += log(pi.std[i]);
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

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

static enum pmp_err gaussian_moments(const struct pmp_dist *d, const float *head, float *mean,
                                     float *std, double *log_std) {
  return d->kind == PMP_DIST_GAUSSIAN ? chol_moments(d, head, mean, std, log_std)
                                      : diag_moments(d, head, mean, std, log_std);
}

/* ---- batches ---- */

enum pmp_err pmp_dist_sample(const struct pmp_dist *d, size_t b, size_t m, const float *head,
                             struct pmp_rng *rng, float *y) {
  const size_t h = pmp_dist_head(d), group = m * d->dim;
  if (d->kind == PMP_DIST_CATEGORICAL) return pmp_categorical_sample(d, b, m, head, rng, y);
  pmp_rng_normal_fill(rng, y, b * group);
  for (size_t x = 0; x < b; x++)
    PMP_TRY(d->kind == PMP_DIST_GAUSSIAN ? chol_sample(d, m, head + x * h, y + x * group)
                                         : diag_sample(d, m, head + x * h, y + x * group));
  return PMP_OK;
}

enum pmp_err pmp_dist_mode(const struct pmp_dist *d, size_t b, const float *head, float *y) {
  const size_t h = pmp_dist_head(d);
  for (size_t x = 0; x < b; x++)
    PMP_TRY(d->kind == PMP_DIST_CATEGORICAL
                ? pmp_categorical_mode(d, head + x * h, y + x * d->dim)
                : gaussian_moments(d, head + x * h, y + x * d->dim, NULL, NULL));
  return PMP_OK;
}

enum pmp_err pmp_dist_entropy(const struct pmp_dist *d, size_t b, const float *head,
                              float *entropy) {
  const size_t h = pmp_dist_head(d);
  for (size_t x = 0; x < b; x++) {
    double sum = 0.5 * (PMP_DIST_LN_2PI + 1) * d->dim;
    if (d->kind == PMP_DIST_CATEGORICAL) {
      PMP_TRY(pmp_categorical_entropy(d, head + x * h, &entropy[x]));
      continue;
    }
    PMP_TRY(gaussian_moments(d, head + x * h, NULL, NULL, &sum));
    if (!pmp_dist_narrow(sum, &entropy[x])) return PMP_ENONFINITE;
  }
  return PMP_OK;
}

enum pmp_err pmp_dist_moments(const struct pmp_dist *d, size_t b, const float *head, float *mean,
                              float *std) {
  const size_t h = pmp_dist_head(d);
  if (d->kind == PMP_DIST_CATEGORICAL) return PMP_EUNAVAILABLE;
  for (size_t x = 0; x < b; x++)
    PMP_TRY(gaussian_moments(d, head + x * h, mean ? mean + x * d->dim : NULL,
                             std ? std + x * d->dim : NULL, NULL));
  return PMP_OK;
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
