/* The gaussian of independent dimensions.
 *
 * Loops run over padded dimensions, whole vectors that need no rest; none of the arrays overlap,
 * which is what PMP_DIST_APART says. */
#include "policy/dist/family.h"

#include "policy/nn/math.h"

#define LANES PMP_DIST_PAD
#define ROWS_MAX 32

/* What outcomes and KLs read, per condition and dimension, padded. */
struct work {
  double *inv;           /* 1 / std */
  double *ref_inv;       /* 1 / ref's std; where it is needed */
  double *mean_inv;      /* one of them: what the mean's part is measured in */
  double *excess;        /* ref's std / std - 1, exactly 0 where they are equal */
  double *gap;           /* (ref's mean - mean) mean_inv */
  double *mean, *spread; /* sums over outcomes of c z and of c (z^2 - 1) */
  double *a, *b;         /* scratch */
  /* Sums of logarithms of stds, per condition; where they are needed. */
  double log_std[ROWS_MAX], ref_log_std[ROWS_MAX];
};

PMP_INLINE double total(size_t p, const double *x) {
  double acc[LANES] = {0};
  for (size_t i = 0; i < p; i += LANES)
    for (size_t l = 0; l < LANES; l++) acc[l] += x[i + l];
  return ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
}

/* Sums of logarithms, one for the product of TOGETHER stds. */
PMP_INLINE void total_logs(size_t rows, size_t p, const double *x, double *space, double *out) {
  enum { TOGETHER = 3 }; /* stds lie between 1e-100 and 1e100 */
  const size_t each = (p + TOGETHER * LANES - 1) / (TOGETHER * LANES) * LANES;
  for (size_t r = 0; r < rows; r++, x += p)
    for (size_t i = 0, n = r * each; i < p; i += TOGETHER * LANES, n += LANES) {
      const size_t last = p - i < TOGETHER * LANES ? p : i + TOGETHER * LANES;
      double product[LANES];
      for (size_t l = 0; l < LANES; l++) product[l] = x[i + l];
      for (size_t k = i + LANES; k < last; k += LANES)
        for (size_t l = 0; l < LANES; l++) product[l] *= x[k + l];
      for (size_t l = 0; l < LANES; l++) space[n + l] = product[l];
    }
  PMP_DIST_APART
  for (size_t i = 0; i < rows * each; i++) space[i] = pmp_math_log(space[i]);
  for (size_t r = 0; r < rows; r++) out[r] = total(each, space + r * each);
}

PMP_INLINE void prepare(const struct pmp_dist *d, const struct pmp_dist_seam *s, size_t rows,
                        const struct pmp_diag *pi, const struct pmp_diag *ref, struct work *w) {
  const size_t p = pmp_dist_padded(d->dim), n = rows * p;
  const double *mean = pi->mean, *std = pi->std, *ref_mean = ref->mean, *ref_std = ref->std;
  double *inv = w->inv, *ref_inv = w->ref_inv, *excess = w->excess, *gap = w->gap;
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) {
    inv[i] = 1 / std[i];
    excess[i] = (ref_std[i] - std[i]) * inv[i];
  }
  if (d->split || s->lp_ref) {
    PMP_DIST_APART
    for (size_t i = 0; i < n; i++) ref_inv[i] = 1 / ref_std[i];
  }
  w->mean_inv = d->split ? ref_inv : inv;
  const double *mean_inv = w->mean_inv;
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) gap[i] = (ref_mean[i] - mean[i]) * mean_inv[i];
  const bool kl = s->kl && !d->per_dim;
  if (s->lp || kl) total_logs(rows, p, std, w->a, w->log_std);
  if (s->lp_ref || kl || (s->lp && d->split)) total_logs(rows, p, ref_std, w->a, w->ref_log_std);
}

/* objectives.md 1 and 2: kl = ln(s/s_ref) + s_ref^2/(2 s^2) - 1/2 of the spread and gap^2 / 2 of
 * the mean. */
PMP_INLINE bool divergences_each(const struct pmp_dist *d, size_t rows, const struct pmp_diag *pi,
                                 const struct pmp_diag *ref, const struct work *w, double *kl) {
  const size_t p = pmp_dist_padded(d->dim), n = rows * p;
  const double *gap = w->gap, *excess = w->excess, *std = pi->std, *ref_std = ref->std;
  double *a = w->a, *b = w->b;
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) {
    const double e = excess[i], log_ratio = pmp_math_log(ref_std[i]) - pmp_math_log(std[i]);
    const double spread = 0.5 * (e * (e + 2)) - log_ratio;
    a[i] = 0.5 * gap[i] * gap[i];
    b[i] = spread < 0 ? 0 : spread; /* but for rounding it never is */
  }
  bool finite = true;
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < d->dim; i++) {
      finite &= pmp_dist_keep(a[r * p + i], &kl[2 * r * d->dim + i]);
      finite &= pmp_dist_keep(b[r * p + i], &kl[(2 * r + 1) * d->dim + i]);
    }
  return finite;
}

PMP_INLINE bool divergences(const struct pmp_dist *d, size_t rows, const struct work *w,
                            double *kl) {
  const size_t p = pmp_dist_padded(d->dim), n = rows * p;
  const double *gap = w->gap, *excess = w->excess;
  double *a = w->a, *b = w->b;
  bool finite = true;
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) {
    a[i] = gap[i] * gap[i];
    b[i] = excess[i] * (excess[i] + 2);
  }
  for (size_t r = 0; r < rows; r++) {
    const double mean = 0.5 * total(p, a + r * p), logs = w->ref_log_std[r] - w->log_std[r];
    const double spread = pmp_dist_clamp(0.5 * total(p, b + r * p) - logs);
    if (d->split) {
      finite &= pmp_dist_keep(mean, &kl[2 * r]);
      finite &= pmp_dist_keep(spread, &kl[2 * r + 1]);
    } else {
      finite &= pmp_dist_keep(mean + spread, &kl[r]);
    }
  }
  return finite;
}

/* The KLs' share of the sums, in units of 1 / std as theirs. */
PMP_INLINE void add_divergences(const struct pmp_dist *d, size_t rows, const struct work *w,
                                const double *weight) {
  const size_t dim = d->dim, p = pmp_dist_padded(dim), n = rows * p;
  const double *gap = w->gap, *excess = w->excess;
  double *a = w->a, *b = w->b, *mean = w->mean, *spread = w->spread;
  const double joint = d->split ? 0 : 1;
  for (size_t r = 0; r < rows; r++, weight += pmp_dist_kl_parts(d))
    for (size_t i = 0; i < p; i++) {
      const bool real = !d->per_dim || i < dim;
      a[r * p + i] = real ? weight[d->per_dim ? i : 0] : 0;
      b[r * p + i] = real ? weight[d->per_dim ? dim + i : d->split] : 0;
    }
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) {
    mean[i] -= a[i] * gap[i];
    spread[i] -= b[i] * (excess[i] * (excess[i] + 2) + joint * (gap[i] * gap[i]));
  }
}

/* One outcome of the condition whose numbers start at `at`: -|z|^2 / 2 with z = (y - mean) inv.
 * Adds c z to by_mean and c' (z^2 - 1) to by_spread unless they are NULL. */
PMP_INLINE double fit(size_t p, const double *y, const double *mean, const double *inv,
                      double *square, double c_mean, double *by_mean, double c_spread,
                      double *by_spread) {
  PMP_DIST_APART
  for (size_t i = 0; i < p; i++) {
    const double z = (y[i] - mean[i]) * inv[i], zz = z * z;
    square[i] = zz;
    if (by_mean) by_mean[i] += c_mean * z;
    if (by_spread) by_spread[i] += c_spread * (zz - 1);
  }
  return -0.5 * total(p, square);
}

/* The log-probabilities of outcome j of condition r, and its share of the sums when `sums`. */
PMP_INLINE bool outcome(const struct pmp_dist *d, const struct pmp_dist_seam *s, size_t j, size_t r,
                        const struct pmp_diag *pi, const struct pmp_diag *ref, const struct work *w,
                        const double *y, bool sums) {
  const size_t p = pmp_dist_padded(d->dim), at = r * p;
  const double constant = 0.5 * PMP_DIST_LN_2PI * d->dim;
  const double *inv = w->inv + at, *ref_inv = w->ref_inv + at;
  double *mean = w->mean + at, *spread = w->spread + at, *space = w->a;
  bool finite = true;
  if (d->split && (s->lp || sums)) {
    double one, two;
    if (sums) {
      one = fit(p, y, pi->mean + at, ref_inv, space, s->c[2 * j], mean, 0, NULL);
      two = fit(p, y, ref->mean + at, inv, space, 0, NULL, s->c[2 * j + 1], spread);
    } else {
      one = fit(p, y, pi->mean + at, ref_inv, space, 0, NULL, 0, NULL);
      two = fit(p, y, ref->mean + at, inv, space, 0, NULL, 0, NULL);
    }
    if (s->lp) {
      finite &= pmp_dist_keep(one - w->ref_log_std[r] - constant, &s->lp[2 * j]);
      finite &= pmp_dist_keep(two - w->log_std[r] - constant, &s->lp[2 * j + 1]);
    }
  } else if (s->lp || sums) {
    const double lp = sums ? fit(p, y, pi->mean + at, inv, space, s->c[j], mean, s->c[j], spread)
                           : fit(p, y, pi->mean + at, inv, space, 0, NULL, 0, NULL);
    if (s->lp) finite &= pmp_dist_keep(lp - w->log_std[r] - constant, &s->lp[j]);
  }
  if (s->lp_ref) {
    const double lp = fit(p, y, ref->mean + at, ref_inv, space, 0, NULL, 0, NULL);
    const size_t parts = d->split ? 2 : 1;
    for (size_t k = 0; k < parts; k++)
      finite &= pmp_dist_keep(lp - w->ref_log_std[r] - constant, &s->lp_ref[j * parts + k]);
  }
  return finite;
}

PMP_INLINE void read_y(struct pmp_dist_in y, size_t at, size_t dim, size_t p, double *out) {
  if (y.f64) {
    const double *from = y.f64 + at;
    PMP_DIST_APART
    for (size_t i = 0; i < p; i++) out[i] = i < dim ? from[i] : 0;
  } else {
    const float *from = y.f32 + at;
    PMP_DIST_APART
    for (size_t i = 0; i < p; i++) out[i] = i < dim ? (double)from[i] : 0;
  }
}

PMP_CLONES static bool all(const struct pmp_dist *d, size_t rows, const struct pmp_dist_seam *s,
                           const struct pmp_diag *pi, const struct pmp_diag *ref,
                           const struct pmp_diag *grad, struct work *w, double *y) {
  const size_t dim = d->dim, p = pmp_dist_padded(dim), n = rows * p;
  const bool sums = grad && s->c;
  bool finite = true;
  prepare(d, s, rows, pi, ref, w);
  if (s->kl)
    finite &=
        d->per_dim ? divergences_each(d, rows, pi, ref, w, s->kl) : divergences(d, rows, w, s->kl);
  if (grad)
    for (size_t i = 0; i < n; i++) w->mean[i] = w->spread[i] = 0;
  for (size_t r = 0; r < rows; r++) {
    const struct pmp_dist_range *range = &s->range[r];
    for (size_t j = range->first; j < range->last; j++) {
      if (!pmp_dist_has(range, j)) continue;
      read_y(s->y, j * dim, dim, p, y);
      finite &= outcome(d, s, j, r, pi, ref, w, y, sums);
    }
  }
  if (grad == NULL) return finite;
  if (s->w) add_divergences(d, rows, w, s->w);
  const double *mean = w->mean, *spread = w->spread, *mean_inv = w->mean_inv, *inv = w->inv;
  double *dmean = grad->mean, *dstd = grad->std;
  PMP_DIST_APART
  for (size_t i = 0; i < n; i++) {
    dmean[i] = mean[i] * mean_inv[i];
    dstd[i] = spread[i] * inv[i];
  }
  return finite;
}

enum pmp_err pmp_diag_rows(const struct pmp_dist *d, size_t rows, const struct pmp_dist_seam *s,
                           const struct pmp_diag *pi, const struct pmp_diag *ref,
                           const struct pmp_diag *grad) {
  double space[9 * PMP_DIST_DIM_MAX], *at = space;
  const size_t n = rows * pmp_dist_padded(d->dim);
  struct work w;
  double *y,
      **array[] = {&w.inv, &w.ref_inv, &w.excess, &w.gap, &w.mean, &w.spread, &w.a, &w.b, &y};
  for (size_t i = 0; i < sizeof array / sizeof array[0]; i++, at += n) *array[i] = at;
  return all(d, rows, s, pi, ref, grad, &w, y) ? PMP_OK : PMP_ENONFINITE;
}
