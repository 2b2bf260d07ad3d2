/* Heads of gaussians: mean = tanh(mean_raw) or mean_raw, std = softplus(std_raw) * std_scale +
 * std_min, and their derivatives. */
#include "policy/dist/family.h"

#include "policy/nn/math.h"

/* out[p] = x[n] and zeros; other than 0 when one of them is not finite. */
PMP_CLONES static unsigned widen(const float *x, size_t n, size_t p, double *out) {
  unsigned bad = 0;
  for (size_t i = 0; i < n; i++) {
    bad |= (pmp_math_bits(x[i]) & 0x7f800000u) == 0x7f800000u;
    out[i] = (double)x[i];
  }
  for (size_t i = n; i < p; i++) out[i] = 0;
  return bad;
}

/* In place. */
PMP_CLONES static void squash(size_t p, double *restrict mean, double *restrict slope) {
  for (size_t i = 0; i < p; i++) {
    const double e = pmp_math_exp_neg(-2 * fabs(mean[i])), inv = 1 / (1 + e);
    mean[i] = copysign((1 - e) * inv, mean[i]);
    slope[i] = 4 * e * inv * inv; /* keeps its digits where 1 - tanh^2 has none left */
  }
}

PMP_CLONES static void stretch(size_t p, double scale, double least, double *restrict std,
                               double *restrict slope) {
  for (size_t i = 0; i < p; i++) {
    slope[i] = pmp_math_sigmoid(std[i]) * scale;
    std[i] = pmp_math_softplus(std[i]) * scale + least;
  }
}

/* Raw numbers in out's arrays to what they say. */
static void moments(const struct pmp_dist *d, const struct pmp_diag *out,
                    const struct pmp_diag *slope) {
  const size_t p = pmp_dist_padded(d->dim);
  if (d->squash_mean)
    squash(p, out->mean, slope->mean);
  else
    for (size_t i = 0; i < p; i++) slope->mean[i] = 1;
  stretch(p, (double)d->std_scale, (double)d->std_min, out->std, slope->std);
  for (size_t i = d->dim; i < p; i++) out->std[i] = 1;
}

enum pmp_err pmp_head_diag(const struct pmp_dist *d, const float *head, const struct pmp_diag *out,
                           const struct pmp_diag *slope) {
  const size_t p = pmp_dist_padded(d->dim);
  unsigned bad = widen(head, d->dim, p, out->mean);
  bad |= widen(head + d->dim, d->dim, p, out->std);
  if (bad) return PMP_ENONFINITE;
  moments(d, out, slope);
  return PMP_OK;
}

enum pmp_err pmp_head_chol(const struct pmp_dist *d, const float *head, const struct pmp_chol *out,
                           const struct pmp_diag *slope) {
  const size_t dim = d->dim, p = pmp_dist_padded(dim), n = PMP_DIST_TRIANGLE(dim);
  double diagonal[PMP_DIST_CHOL_DIM_MAX];
  unsigned bad = widen(head, dim, p, out->mean);
  bad |= widen(head + dim, n, n, out->lower);
  if (bad) return PMP_ENONFINITE;
  for (size_t i = 0; i < p; i++)
    diagonal[i] = i < dim ? out->lower[PMP_DIST_TRIANGLE(i + 1) - 1] : 0;
  moments(d, &(struct pmp_diag){out->mean, diagonal}, slope);
  for (size_t i = 0; i < dim; i++) out->lower[PMP_DIST_TRIANGLE(i + 1) - 1] = diagonal[i];
  return PMP_OK;
}

/* out[i] = float32 of grad[i] slope[i]; other than 0 when one of them is not finite. */
PMP_CLONES static unsigned chain(size_t n, const double *grad, const double *slope, float *out) {
  unsigned bad = 0;
  for (size_t i = 0; i < n; i++) {
    const float g = (float)(grad[i] * slope[i]);
    bad |= (pmp_math_bits(g) & 0x7f800000u) == 0x7f800000u;
    out[i] = g;
  }
  return bad;
}

enum pmp_err pmp_head_diag_back(const struct pmp_dist *d, const struct pmp_diag *grad,
                                const struct pmp_diag *slope, float *dhead) {
  unsigned bad = chain(d->dim, grad->mean, slope->mean, dhead);
  bad |= chain(d->dim, grad->std, slope->std, dhead + d->dim);
  return bad ? PMP_ENONFINITE : PMP_OK;
}

enum pmp_err pmp_head_chol_back(const struct pmp_dist *d, const struct pmp_chol *grad,
                                const struct pmp_diag *slope, float *dhead) {
  bool finite = chain(d->dim, grad->mean, slope->mean, dhead) == 0;
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
