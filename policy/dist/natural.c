/* Natural parameters as the caller's float64 arrays hold them: read, checked, made of heads and
 * turned into heads. */
#include "policy/dist/family.h"

#include <string.h>

#define TINY 1e-30 /* the least softplus that init_head asks for */

/* Within these, products of three, ratios and reciprocals of squares stay in float64. */
#define STD_MIN 1e-100
#define STD_MAX 1e100

static enum pmp_err check_std(double std) {
  if (!isfinite(std)) return PMP_ENONFINITE;
  return std >= STD_MIN && std <= STD_MAX ? PMP_OK : PMP_EINVALID;
}

static enum pmp_err read_mean(const struct pmp_dist *d, const double *natural, double *mean) {
  for (size_t i = 0; i < d->dim; i++)
    if (!pmp_dist_keep(natural[i], &mean[i])) return PMP_ENONFINITE;
  for (size_t i = d->dim; i < pmp_dist_padded(d->dim); i++) mean[i] = 0;
  return PMP_OK;
}

enum pmp_err pmp_natural_diag(const struct pmp_dist *d, size_t rows, const double *natural,
                              const struct pmp_diag *out) {
  const size_t dim = d->dim, p = pmp_dist_padded(dim);
  for (size_t r = 0; r < rows; r++) {
    const double *from = natural + 2 * r * dim;
    double *std = out->std + r * p;
    PMP_TRY(read_mean(d, from, out->mean + r * p));
    for (size_t i = 0; i < dim; i++) {
      std[i] = from[dim + i];
      PMP_TRY(check_std(std[i]));
    }
    for (size_t i = dim; i < p; i++) std[i] = 1;
  }
  return PMP_OK;
}

enum pmp_err pmp_natural_chol(const struct pmp_dist *d, const double *natural,
                              const struct pmp_chol *out) {
  const size_t n = d->dim;
  PMP_TRY(read_mean(d, natural, out->mean));
  for (size_t i = 0, at = 0; i < n; i++) {
    const double *row = natural + n + i * n;
    for (size_t k = 0; k <= i; k++, at++)
      if (!pmp_dist_keep(row[k], &out->lower[at])) return PMP_ENONFINITE;
    PMP_TRY(check_std(row[i]));
  }
  return PMP_OK;
}

enum pmp_err pmp_natural_diag_back(const struct pmp_dist *d, size_t rows,
                                   const struct pmp_diag *grad, double *dpi) {
  const size_t dim = d->dim, p = pmp_dist_padded(dim);
  bool finite = true;
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < dim; i++) {
      finite &= pmp_dist_keep(grad->mean[r * p + i], &dpi[2 * r * dim + i]);
      finite &= pmp_dist_keep(grad->std[r * p + i], &dpi[(2 * r + 1) * dim + i]);
    }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

enum pmp_err pmp_natural_chol_back(const struct pmp_dist *d, const struct pmp_chol *grad,
                                   double *dpi) {
  const size_t n = d->dim;
  bool finite = true;
  for (size_t i = 0; i < n; i++) finite &= pmp_dist_keep(grad->mean[i], &dpi[i]);
  for (size_t i = 0, at = 0; i < n; i++)
    for (size_t k = 0; k < n; k++)
      finite &= pmp_dist_keep(k <= i ? grad->lower[at++] : 0, &dpi[n + i * n + k]);
  return finite ? PMP_OK : PMP_ENONFINITE;
}

/* ---- heads to natural parameters ---- */

static enum pmp_err diag_of_head(const struct pmp_dist *d, const float *head, double *natural) {
  double space[2 * PMP_DIST_DIM_MAX];
  const struct pmp_diag pi = {space, space + pmp_dist_padded(d->dim)};
  PMP_TRY(pmp_head_diag(d, 1, head, NULL, &pi, NULL));
  memcpy(natural, pi.mean, d->dim * sizeof *natural);
  memcpy(natural + d->dim, pi.std, d->dim * sizeof *natural);
  return PMP_OK;
}

static enum pmp_err chol_of_head(const struct pmp_dist *d, const float *head, double *natural) {
  double space[PMP_DIST_CHOL_DIM_MAX + PMP_DIST_TRIANGLE(PMP_DIST_CHOL_DIM_MAX)];
  const struct pmp_chol pi = {space, space + pmp_dist_padded(d->dim)};
  PMP_TRY(pmp_head_chol(d, head, &pi, NULL));
  return pmp_natural_chol_back(d, &pi, natural);
}

/* Both are arrays of n logits. */
static enum pmp_err check_logits(const float *head, size_t bins) {
  bool any = false;
  for (size_t v = 0; v < bins; v++) {
    if (!isfinite(head[v]) && head[v] != -INFINITY) return PMP_ENONFINITE;
    any |= head[v] != -INFINITY;
  }
  return any ? PMP_OK : PMP_ENONFINITE;
}

static enum pmp_err logits_of_head(const struct pmp_dist *d, const float *head, double *natural) {
  for (size_t i = 0; i < d->dim; i++) PMP_TRY(check_logits(head + i * d->bins, d->bins));
  for (size_t i = 0; i < (size_t)d->dim * d->bins; i++) natural[i] = (double)head[i];
  return PMP_OK;
}

enum pmp_err pmp_dist_to_natural(const struct pmp_dist *d, size_t b, const float *head,
                                 double *natural) {
  const size_t h = pmp_dist_head(d), n = pmp_dist_natural(d);
  for (size_t x = 0; x < b; x++) {
    const float *from = head + x * h;
    double *to = natural + x * n;
    switch (d->kind) {
    case PMP_DIST_DIAG_GAUSSIAN:
      PMP_TRY(diag_of_head(d, from, to));
      break;
    case PMP_DIST_GAUSSIAN:
      PMP_TRY(chol_of_head(d, from, to));
      break;
    case PMP_DIST_CATEGORICAL:
      PMP_TRY(logits_of_head(d, from, to));
      break;
    }
  }
  return PMP_OK;
}

/* ---- and back ---- */

static enum pmp_err raw_of(double value, double raw, float *out) {
  if (!isfinite(value)) return PMP_ENONFINITE;
  if (isnan(raw)) return PMP_EINVALID;
  return pmp_dist_narrow(raw, out) ? PMP_OK : PMP_ENONFINITE;
}

static enum pmp_err head_of_gaussian(const struct pmp_dist *d, const double *natural, float *head) {
  const size_t n = d->dim;
  const bool full = d->kind == PMP_DIST_GAUSSIAN;
  float *out = head + n;
  for (size_t i = 0; i < n; i++)
    PMP_TRY(raw_of(natural[i], pmp_head_mean_raw(d, natural[i]), &head[i]));
  for (size_t i = 0; i < n; i++) {
    const double *row = full ? natural + n + i * n : natural + n, std = row[i];
    for (size_t k = 0; full && k < i; k++)
      if (!pmp_dist_narrow(row[k], out++)) return PMP_ENONFINITE;
    PMP_TRY(raw_of(std, pmp_head_std_raw(d, std), out++));
  }
  return PMP_OK;
}

enum pmp_err pmp_dist_from_natural(const struct pmp_dist *d, size_t b, const double *natural,
                                   float *head) {
  const size_t h = pmp_dist_head(d), n = pmp_dist_natural(d);
  for (size_t x = 0; x < b; x++) {
    const double *from = natural + x * n;
    float *to = head + x * h;
    if (d->kind != PMP_DIST_CATEGORICAL) {
      PMP_TRY(head_of_gaussian(d, from, to));
      continue;
    }
    for (size_t i = 0; i < h; i++)
      if (!pmp_dist_narrow(from[i], &to[i]) && from[i] != -INFINITY) return PMP_ENONFINITE;
    for (size_t i = 0; i < d->dim; i++) PMP_TRY(check_logits(to + i * d->bins, d->bins));
  }
  return PMP_OK;
}

void pmp_dist_init_head(const struct pmp_dist *d, const float *mean, float std, float *head) {
  memset(head, 0, pmp_dist_head(d) * sizeof *head);
  if (d->kind == PMP_DIST_CATEGORICAL) return;
  const double most = 1 - 1e-7, least = (double)d->std_min + TINY * (double)d->std_scale;
  double raw = pmp_head_std_raw(d, fmax((double)std, least));
  if (isnan(raw)) raw = log(TINY); /* what was added is lost beside std_min */
  for (uint32_t i = 0; i < d->dim; i++) {
    const double m = mean ? (double)mean[i] : 0;
    head[i] = (float)pmp_head_mean_raw(d, d->squash_mean ? fmin(fmax(m, -most), most) : m);
    const size_t at = d->kind == PMP_DIST_GAUSSIAN ? PMP_DIST_TRIANGLE((size_t)i + 1) - 1 : i;
    head[d->dim + at] = (float)raw;
  }
}
