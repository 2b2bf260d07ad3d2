/* The gaussian of independent dimensions. */
#include "policy/dist/family.h"

#include "policy/nn/math.h"

#define LANES PMP_DIST_PAD

/* What outcomes and KLs read, per dimension, padded. */
struct work {
  double *mean_inv;      /* 1 / std that the mean's part is measured in */
  double *inv;           /* 1 / std */
  double *ref_inv;       /* 1 / ref's std */
  double *ratio;         /* ref's std / std */
  double *gap;           /* (ref's mean - mean) mean_inv */
  double *a, *b;         /* of one outcome or KL */
  double *mean, *spread; /* sums over outcomes of c z and of c (z^2 - 1) */
  double log_std, ref_log_std;
};

PMP_INLINE double total(size_t p, const double *x) {
  double acc[LANES] = {0};
  for (size_t i = 0; i < p; i += LANES)
    for (size_t l = 0; l < LANES; l++) acc[l] += x[i + l];
  return ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
}

PMP_INLINE double total_log(size_t p, const double *restrict x, double *restrict space) {
  for (size_t i = 0; i < p; i++) space[i] = pmp_math_log(x[i]);
  return total(p, space);
}

/* objectives.md 1 and 2: kl = ln(s/s_ref) + s_ref^2/(2 s^2) - 1/2 of the spread and gap^2 / 2 of
 * the mean. */
PMP_INLINE bool divergences(const struct pmp_dist *d, size_t p, const struct work *w, double *kl) {
  for (size_t i = 0; i < p; i++) w->a[i] = 0.5 * w->gap[i] * w->gap[i];
  for (size_t i = 0; i < p; i++) {
    const double r = w->ratio[i], spread = 0.5 * (r - 1) * (r + 1) - pmp_math_log(r);
    w->b[i] = spread < 0 ? 0 : spread; /* but for rounding it never is */
  }
  const double mean = total(p, w->a), spread = total(p, w->b);
  if (d->per_dim) {
    for (size_t i = 0; i < d->dim; i++) kl[i] = w->a[i];
    for (size_t i = 0; i < d->dim; i++) kl[d->dim + i] = w->b[i];
  } else {
    kl[0] = d->split ? mean : mean + spread;
    if (d->split) kl[1] = spread;
  }
  return isfinite(mean) && isfinite(spread);
}

/* -|z|^2 / 2 with z = (y - mean) inv, left in `z`. */
PMP_INLINE double fit(size_t p, const double *restrict y, const double *restrict mean,
                      const double *restrict inv, double *restrict z, double *restrict space) {
  for (size_t i = 0; i < p; i++) {
    z[i] = (y[i] - mean[i]) * inv[i];
    space[i] = z[i] * z[i];
  }
  return -0.5 * total(p, space);
}

/* One outcome j, already in y (padded): its log-probabilities, and its share of the sums when
 * `grad`. */
PMP_INLINE bool outcome(const struct pmp_dist *d, const struct pmp_dist_seam *s, size_t j, size_t p,
                        const struct pmp_diag *pi, const struct pmp_diag *ref, const struct work *w,
                        const double *y, double *z, bool grad) {
  const double constant = 0.5 * PMP_DIST_LN_2PI * d->dim;
  const size_t parts = d->split ? 2 : 1;
  const double *c = s->c ? s->c + j * parts : NULL;
  bool finite = true;
  if (s->lp || grad) {
    const double lp = fit(p, y, pi->mean, w->mean_inv, z, w->a);
    if (s->lp)
      finite &= pmp_dist_keep(lp - (d->split ? w->ref_log_std : w->log_std) - constant,
                              &s->lp[j * parts]);
    if (grad)
      for (size_t i = 0; i < p; i++) w->mean[i] += c[0] * z[i];
    if (d->split) {
      const double spread = fit(p, y, ref->mean, w->inv, z, w->a);
      if (s->lp) finite &= pmp_dist_keep(spread - w->log_std - constant, &s->lp[2 * j + 1]);
    }
    if (grad)
      for (size_t i = 0; i < p; i++) w->spread[i] += c[parts - 1] * (w->a[i] - 1);
  }
  if (s->lp_ref) {
    const double lp = fit(p, y, ref->mean, w->ref_inv, z, w->a);
    for (size_t k = 0; k < parts; k++)
      finite &= pmp_dist_keep(lp - w->ref_log_std - constant, &s->lp_ref[j * parts + k]);
  }
  return finite;
}

PMP_INLINE void read_y(struct pmp_dist_in y, size_t at, size_t dim, double *out) {
  if (y.f64)
    for (size_t i = 0; i < dim; i++) out[i] = y.f64[at + i];
  else
    for (size_t i = 0; i < dim; i++) out[i] = (double)y.f32[at + i];
}

/* The KL's share of the sums, in units of 1 / std as theirs. */
PMP_INLINE void add_divergences(const struct pmp_dist *d, size_t p, const struct work *w,
                                const double *weight) {
  if (!d->per_dim) {
    const double mean = weight[0], spread = weight[d->split ? 1 : 0];
    for (size_t i = 0; i < p; i++) w->a[i] = mean;
    for (size_t i = 0; i < p; i++) w->b[i] = spread;
  } else {
    for (size_t i = 0; i < p; i++) w->a[i] = i < d->dim ? weight[i] : 0;
    for (size_t i = 0; i < p; i++) w->b[i] = i < d->dim ? weight[d->dim + i] : 0;
  }
  for (size_t i = 0; i < p; i++) w->mean[i] -= w->a[i] * w->gap[i];
  for (size_t i = 0; i < p; i++) {
    const double r = w->ratio[i], joint = d->split ? 0 : w->gap[i] * w->gap[i];
    w->spread[i] -= w->b[i] * ((r - 1) * (r + 1) + joint);
  }
}

PMP_CLONES static bool row(const struct pmp_dist *d, const struct pmp_dist_seam *s,
                           const struct pmp_diag *pi, const struct pmp_diag *ref,
                           const struct pmp_diag *grad, struct work *w, double *y, double *z) {
  const size_t p = pmp_dist_padded(d->dim);
  const bool sums = grad && s->c;
  bool finite = true;
  for (size_t i = 0; i < p; i++) {
    w->inv[i] = 1 / pi->std[i];
    w->ref_inv[i] = 1 / ref->std[i];
    w->ratio[i] = ref->std[i] / pi->std[i];
    w->mean[i] = w->spread[i] = 0;
  }
  w->mean_inv = d->split ? w->ref_inv : w->inv;
  for (size_t i = 0; i < p; i++) w->gap[i] = (ref->mean[i] - pi->mean[i]) * w->mean_inv[i];
  if (s->lp) w->log_std = total_log(p, pi->std, w->a);
  if (s->lp_ref || (s->lp && d->split)) w->ref_log_std = total_log(p, ref->std, w->a);
  if (s->kl) finite &= divergences(d, p, w, s->kl);
  for (size_t i = d->dim; i < p; i++) y[i] = 0;
  for (size_t j = s->range.first; j < s->range.last; j++) {
    if (!pmp_dist_has(&s->range, j)) continue;
    read_y(s->y, j * d->dim, d->dim, y);
    finite &= outcome(d, s, j, p, pi, ref, w, y, z, sums);
  }
  if (grad == NULL) return finite;
  if (s->w) add_divergences(d, p, w, s->w);
  for (size_t i = 0; i < p; i++) {
    grad->mean[i] = w->mean[i] * w->mean_inv[i];
    grad->std[i] = w->spread[i] * w->inv[i];
  }
  return finite;
}

enum pmp_err pmp_diag_row(const struct pmp_dist *d, const struct pmp_dist_seam *s,
                          const struct pmp_diag *pi, const struct pmp_diag *ref,
                          const struct pmp_diag *grad) {
  double space[10 * PMP_DIST_DIM_MAX], *at = space;
  const size_t p = pmp_dist_padded(d->dim);
  struct work w = {.log_std = 0};
  double *y, *z,
      **array[] = {&w.inv, &w.ref_inv, &w.ratio, &w.gap, &w.a, &w.b, &w.mean, &w.spread, &y, &z};
  for (size_t i = 0; i < sizeof array / sizeof array[0]; i++, at += p) *array[i] = at;
  return row(d, s, pi, ref, grad, &w, y, z) ? PMP_OK : PMP_ENONFINITE;
}
