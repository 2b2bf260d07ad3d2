/* Heads of gaussians: mean = tanh(mean_raw) or mean_raw, std = softplus(std_raw) * std_scale +
 * std_min, and their derivatives. */
#include "policy/dist/family.h"

#include "policy/nn/math.h"

#define ROOM PMP_DIST_DIM_MAX /* dimensions of several rows at once */

PMP_CLONES static bool all_finite(const float *x, size_t n) {
  unsigned bad = 0;
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) bad |= (pmp_math_bits(x[i]) & 0x7f800000u) == 0x7f800000u;
  return bad == 0;
}

/* out[p] = x[n] and zeros */
PMP_INLINE void widen(const float *x, size_t n, size_t p, double *out) {
  PMP_DIST_APART
  for (size_t i = 0; i < p; i++) out[i] = i < n ? (double)x[i] : 0;
}

PMP_CLONES static void widen_row(const float *x, size_t n, size_t p, double *out) {
  widen(x, n, p, out);
}

/* The steps below work on n numbers of any rows, in place; e[i] is exp(-2 |mean_raw|) or
 * exp(-|std_raw|). Long loops over one simple thing each keep the processor busy where one over
 * everything would wait for its own results. */
PMP_INLINE void exponentials(size_t n, double by, const double *raw, double *e) {
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) e[i] = pmp_math_exp_neg(by * fabs(raw[i]));
}

/* `slope` is wanted of the first m numbers. */
PMP_INLINE void squash(size_t n, size_t m, const double *e, double *mean, double *slope) {
  PMP_DIST_APART
  for (size_t i = 0; i < m; i++) {
    const double inv = 1 / (1 + e[i]);
    slope[i] = 4 * e[i] * inv * inv; /* keeps its digits where 1 - tanh^2 has none left */
  }
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) mean[i] = copysign((1 - e[i]) / (1 + e[i]), mean[i]);
}

PMP_INLINE void stretch(size_t n, size_t m, double scale, double least, const double *e,
                        double *std, double *slope) {
  PMP_DIST_APART
  for (size_t i = 0; i < m; i++) slope[i] = (std[i] < 0 ? e[i] : 1) / (1 + e[i]) * scale;
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++)
    std[i] = ((std[i] < 0 ? 0 : std[i]) + pmp_math_log1p_unit(e[i])) * scale + least;
}

/* n widened raw numbers to what they say, and the derivatives of the first m. */
PMP_CLONES static void moments(const struct pmp_dist *d, size_t n, const struct pmp_diag *out,
                               size_t m, const struct pmp_diag *slope) {
  double e[2 * ROOM];
  exponentials(n, -1, out->std, e);
  stretch(n, m, (double)d->std_scale, (double)d->std_min, e, out->std, m ? slope->std : NULL);
  if (d->squash_mean) {
    exponentials(n, -2, out->mean, e);
    squash(n, m, e, out->mean, m ? slope->mean : NULL);
  } else {
    for (size_t i = 0; i < m; i++) slope->mean[i] = 1;
  }
}

/* Rows of dim numbers, one after the other, to padded ones. */
PMP_CLONES static void spread(size_t rows, size_t dim, const double *from, double pad, double *to) {
  const size_t p = pmp_dist_padded(dim);
  for (size_t r = 0; r < rows; r++) {
    PMP_DIST_APART
    for (size_t i = 0; i < p; i++) to[r * p + i] = i < dim ? from[r * dim + i] : pad;
  }
}

/* Heads to raw numbers without padding: few dimensions of many rows are long loops then. */
PMP_CLONES static void widen_rows(size_t rows, size_t dim, const float *head, double *mean,
                                  double *std) {
  for (size_t r = 0; r < rows; r++) {
    widen(head + 2 * r * dim, dim, dim, mean + r * dim);
    widen(head + (2 * r + 1) * dim, dim, dim, std + r * dim);
  }
}

enum pmp_err pmp_head_diag(const struct pmp_dist *d, size_t rows, const float *head,
                           const float *ref_head, const struct pmp_diag *out,
                           const struct pmp_diag *slope) {
  double space[4 * ROOM], slopes[2 * ROOM];
  const size_t dim = d->dim, n = rows * dim, all = ref_head ? 2 * rows : rows;
  const struct pmp_diag raw = {space, space + 2 * ROOM}, by = {slopes, slopes + ROOM};
  if (!all_finite(head, 2 * n) || (ref_head && !all_finite(ref_head, 2 * n))) return PMP_ENONFINITE;
  widen_rows(rows, dim, head, raw.mean, raw.std);
  if (ref_head) widen_rows(rows, dim, ref_head, raw.mean + n, raw.std + n);
  moments(d, all * dim, &raw, slope ? n : 0, &by);
  spread(all, dim, raw.mean, 0, out->mean);
  spread(all, dim, raw.std, 1, out->std);
  if (slope == NULL) return PMP_OK;
  spread(rows, dim, by.mean, 1, slope->mean);
  spread(rows, dim, by.std, 1, slope->std);
  return PMP_OK;
}

enum pmp_err pmp_head_chol(const struct pmp_dist *d, const float *head, const struct pmp_chol *out,
                           const struct pmp_diag *slope) {
  const size_t dim = d->dim, p = pmp_dist_padded(dim);
  double diagonal[PMP_DIST_CHOL_DIM_MAX];
  const struct pmp_diag both = {out->mean, diagonal};
  if (!all_finite(head, dim + PMP_DIST_TRIANGLE(dim))) return PMP_ENONFINITE;
  widen_row(head, dim, p, out->mean);
  widen_row(head + dim, PMP_DIST_TRIANGLE(dim), PMP_DIST_TRIANGLE(dim), out->lower);
  for (size_t i = 0; i < p; i++)
    diagonal[i] = i < dim ? out->lower[PMP_DIST_TRIANGLE(i + 1) - 1] : 0;
  moments(d, p, &both, slope ? p : 0, slope);
  for (size_t i = 0; i < dim; i++) out->lower[PMP_DIST_TRIANGLE(i + 1) - 1] = diagonal[i];
  return PMP_OK;
}

/* out[i] = float32 of grad[i] slope[i]; other than 0 when one of them is not finite. */
PMP_INLINE unsigned chain(size_t n, const double *grad, const double *slope, float *out) {
  unsigned bad = 0;
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) {
    const float g = (float)(grad[i] * slope[i]);
    bad |= (pmp_math_bits(g) & 0x7f800000u) == 0x7f800000u;
    out[i] = g;
  }
  return bad;
}

PMP_CLONES static unsigned chain_rows(const struct pmp_dist *d, size_t rows,
                                      const struct pmp_diag *grad, const struct pmp_diag *slope,
                                      float *dhead) {
  const size_t dim = d->dim, p = pmp_dist_padded(dim);
  unsigned bad = 0;
  for (size_t r = 0; r < rows; r++) {
    float *out = dhead + 2 * r * dim;
    bad |= chain(dim, grad->mean + r * p, slope->mean + r * p, out);
    bad |= chain(dim, grad->std + r * p, slope->std + r * p, out + dim);
  }
  return bad;
}

PMP_CLONES static unsigned chain_row(size_t n, const double *grad, const double *slope,
                                     float *out) {
  return chain(n, grad, slope, out);
}

enum pmp_err pmp_head_diag_back(const struct pmp_dist *d, size_t rows, const struct pmp_diag *grad,
                                const struct pmp_diag *slope, float *dhead) {
  return chain_rows(d, rows, grad, slope, dhead) ? PMP_ENONFINITE : PMP_OK;
}

enum pmp_err pmp_head_chol_back(const struct pmp_dist *d, const struct pmp_chol *grad,
                                const struct pmp_diag *slope, float *dhead) {
  bool finite = chain_row(d->dim, grad->mean, slope->mean, dhead) == 0;
  float *out = dhead + d->dim;
  for (size_t i = 0, at = 0; i < d->dim; i++) {
    for (size_t k = 0; k < i; k++, at++) finite &= pmp_dist_narrow(grad->lower[at], &out[at]);
    finite &= pmp_dist_narrow(grad->lower[at] * slope->std[i], &out[at]);
    at++;
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

double pmp_head_mean_raw(const struct pmp_dist *d, double mean) {
  if (!d->squash_mean) return mean;
  return fabs(mean) < 1 ? atanh(mean) : NAN;
}

double pmp_head_std_raw(const struct pmp_dist *d, double std) {
  const double t = (std - (double)d->std_min) / (double)d->std_scale;
  /* softplus^-1(t) = t + ln(1 - exp(-t)) */
  return t > 0 ? t + log(-expm1(-t)) : NAN;
}
