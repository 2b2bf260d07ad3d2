/* The gaussian of full covariance C = L L'. Lower triangles are packed row by row: row i starts at
 * i (i + 1) / 2.
 *
 * In units of pi, z = L^-1 (y - m), v = L^-1 (m_ref - m), A = L^-1 L_ref:
 *   log N = -|z|^2 / 2 - sum ln L_ii - D/2 ln 2 pi
 *   KL(ref || pi) = |v|^2 / 2 + sum_i [ (A_ii^2 - 1) / 2 - ln A_ii ] + sum_{i > k} A_ik^2 / 2
 * and with u = L^-T z: d log N / dm = u, d log N / dL = lower part of L^-T (z z' - I);
 * d KL / dm = -L^-T v, d KL / dL = -(lower part of L^-T (A A' + v v' - I)). L^-T is upper
 * triangular, so that only the lower part of the symmetric matrix is ever needed. */
#include "policy/dist/family.h"

#include "policy/nn/math.h"

#define LANES 4

PMP_INLINE const double *row_of(const double *lower, size_t i) {
  return lower + PMP_DIST_TRIANGLE(i);
}

PMP_INLINE double dot(const double *a, const double *b, size_t n) {
  double acc[LANES] = {0};
  size_t k = 0;
  for (; k + LANES <= n; k += LANES)
    for (size_t l = 0; l < LANES; l++) acc[l] += a[k + l] * b[k + l];
  for (size_t l = 0; k < n; k++, l++) acc[l] += a[k] * b[k];
  return (acc[0] + acc[2]) + (acc[1] + acc[3]);
}

PMP_INLINE void add_scaled(double *restrict a, double by, const double *restrict b, size_t n) {
  for (size_t k = 0; k < n; k++) a[k] += by * b[k];
}

/* x = L^-1 x */
PMP_CLONES static void solve(size_t n, const double *lower, double *x) {
  for (size_t i = 0; i < n; i++) {
    const double *l = row_of(lower, i);
    x[i] = (x[i] - dot(l, x, i)) / l[i];
  }
}

/* x = L^-T x */
PMP_CLONES static void solve_transposed(size_t n, const double *lower, double *x) {
  for (size_t i = n; i-- > 0;) {
    const double *l = row_of(lower, i);
    x[i] /= l[i];
    add_scaled(x, -x[i], l, i);
  }
}

/* A = L^-1 A of a lower triangle A. */
PMP_CLONES static void solve_lower(size_t n, const double *lower, double *a) {
  for (size_t i = 0; i < n; i++) {
    const double *l = row_of(lower, i);
    double *out = a + PMP_DIST_TRIANGLE(i);
    for (size_t j = 0; j < i; j++) add_scaled(out, -l[j], row_of(a, j), j + 1);
    for (size_t k = 0; k <= i; k++) out[k] /= l[i];
  }
}

/* Lower part of L^-T G, of which the lower part is given, in its place. */
PMP_CLONES static void solve_gradient(size_t n, const double *lower, double *g) {
  for (size_t i = n; i-- > 0;) {
    double *x = g + PMP_DIST_TRIANGLE(i);
    const double *l = row_of(lower, i);
    for (size_t k = 0; k <= i; k++) x[k] /= l[i];
    for (size_t j = 0; j < i; j++) add_scaled(g + PMP_DIST_TRIANGLE(j), -l[j], x, j + 1);
  }
}

/* Lower part of G += by x x'. */
PMP_CLONES static void add_outer(size_t n, double by, const double *x, double *g) {
  for (size_t i = 0; i < n; i++) add_scaled(g + PMP_DIST_TRIANGLE(i), by * x[i], x, i + 1);
}

/* Lower part of G -= by A A'. */
PMP_CLONES static void take_square(size_t n, double by, const double *a, double *g) {
  for (size_t i = 0; i < n; i++) {
    double *out = g + PMP_DIST_TRIANGLE(i);
    for (size_t k = 0; k <= i; k++) out[k] -= by * dot(row_of(a, i), row_of(a, k), k + 1);
  }
}

static double log_diagonal(size_t n, const double *lower) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += log(lower[PMP_DIST_TRIANGLE(i + 1) - 1]);
  return sum;
}

/* What is summed over outcomes. */
struct sums {
  double *mean;   /* (D) c z; split: c (y - m) */
  double *square; /* lower triangle: c z z' */
  double c;       /* of the spread's part */
};

struct side {
  const struct pmp_chol *at;
  double log_diagonal;
};

/* z = L^-1 (y - mean); -|z|^2 / 2 - sum ln L_ii - constant */
static double fit(const struct pmp_dist *d, struct pmp_dist_in y, const double *mean,
                  const struct side *spread, double *z) {
  double sum = 0;
  for (size_t i = 0; i < d->dim; i++) z[i] = pmp_dist_at(y, i) - mean[i];
  solve(d->dim, spread->at->lower, z);
  for (size_t i = 0; i < d->dim; i++) sum += z[i] * z[i];
  return -0.5 * sum - spread->log_diagonal - 0.5 * PMP_DIST_LN_2PI * d->dim;
}

static bool outcome(const struct pmp_dist *d, const struct pmp_dist_seam *s, size_t j,
                    const struct side *pi, const struct side *ref, struct sums *sums) {
  const size_t n = d->dim, parts = d->split ? 2 : 1;
  const struct pmp_dist_in y = pmp_dist_from(s->y, j * n);
  const double *c = s->c && sums ? s->c + j * parts : NULL;
  double z[PMP_DIST_CHOL_DIM_MAX];
  bool finite = true;
  if (d->split && s->lp) finite &= pmp_dist_keep(fit(d, y, pi->at->mean, ref, z), &s->lp[2 * j]);
  if (d->split && c)
    for (size_t i = 0; i < n; i++) sums->mean[i] += c[0] * (pmp_dist_at(y, i) - pi->at->mean[i]);
  if (s->lp || c) {
    const double lp = fit(d, y, d->split ? ref->at->mean : pi->at->mean, pi, z);
    if (s->lp) finite &= pmp_dist_keep(lp, &s->lp[j * parts + parts - 1]);
  }
  if (c) {
    if (!d->split) add_scaled(sums->mean, c[0], z, n);
    add_outer(n, c[parts - 1], z, sums->square);
    sums->c += c[parts - 1];
  }
  if (s->lp_ref) {
    const double lp = fit(d, y, ref->at->mean, ref, z);
    for (size_t k = 0; k < parts; k++) finite &= pmp_dist_keep(lp, &s->lp_ref[j * parts + k]);
  }
  return finite;
}

/* The KL parts of `a` = A and `gap` (v, or L_ref^-1 (m_ref - m) when split). */
static bool divergences(const struct pmp_dist *d, const double *a, const double *gap, double *kl) {
  double mean = 0, spread = 0;
  for (size_t i = 0; i < d->dim; i++) {
    const double *r = row_of(a, i);
    spread += pmp_dist_clamp(0.5 * (r[i] - 1) * (r[i] + 1) - log(r[i])) + 0.5 * dot(r, r, i);
    mean += 0.5 * gap[i] * gap[i];
  }
  kl[0] = d->split ? mean : mean + spread;
  if (d->split) kl[1] = spread;
  return isfinite(mean) && isfinite(spread);
}

/* Adds the KLs' share to the sums; `a` and `gap` as above. */
static void add_divergences(const struct pmp_dist *d, const double *a, const double *gap,
                            const double *w, struct sums *sums) {
  const size_t n = d->dim;
  const double spread = w[d->split ? 1 : 0];
  take_square(n, spread, a, sums->square);
  if (!d->split) {
    add_outer(n, -spread, gap, sums->square);
    add_scaled(sums->mean, -spread, gap, n);
  }
  sums->c -= spread;
}

/* The gradient by the mean when split: L_ref^-T L_ref^-1 of sum c (y - m) - w (m_ref - m). */
static void finish_split_mean(size_t n, const struct pmp_chol *pi, const struct pmp_chol *ref,
                              const double *w, double *mean) {
  for (size_t i = 0; w && i < n; i++) mean[i] -= w[0] * (ref->mean[i] - pi->mean[i]);
  solve(n, ref->lower, mean);
  solve_transposed(n, ref->lower, mean);
}

static void finish(const struct pmp_dist *d, const struct pmp_chol *pi, struct sums *sums) {
  for (size_t i = 0; i < d->dim; i++) sums->square[PMP_DIST_TRIANGLE(i + 1) - 1] -= sums->c;
  solve_gradient(d->dim, pi->lower, sums->square);
  if (!d->split) solve_transposed(d->dim, pi->lower, sums->mean);
}

enum pmp_err pmp_chol_row(const struct pmp_dist *d, const struct pmp_dist_seam *s,
                          const struct pmp_chol *pi, const struct pmp_chol *ref,
                          const struct pmp_chol *grad) {
  const size_t n = d->dim, triangle = PMP_DIST_TRIANGLE(n);
  const struct side one = {pi, s->lp ? log_diagonal(n, pi->lower) : 0};
  const struct side two = {ref, s->lp || s->lp_ref ? log_diagonal(n, ref->lower) : 0};
  struct sums sums = {0};
  bool finite = true;
  if (grad) {
    sums = (struct sums){grad->mean, grad->lower, 0};
    for (size_t i = 0; i < n; i++) grad->mean[i] = 0;
    for (size_t i = 0; i < triangle; i++) grad->lower[i] = 0;
  }
  for (size_t j = s->range->first; j < s->range->last; j++)
    if (pmp_dist_has(s->range, j)) finite &= outcome(d, s, j, &one, &two, grad ? &sums : NULL);

  const double *w = grad ? s->w : NULL;
  if (grad && d->split) finish_split_mean(n, pi, ref, w, grad->mean);
  if (s->kl || w) {
    double gap[PMP_DIST_CHOL_DIM_MAX];
    for (size_t i = 0; i < n; i++) gap[i] = ref->mean[i] - pi->mean[i];
    solve(n, d->split ? ref->lower : pi->lower, gap);
    solve_lower(n, pi->lower, ref->lower); /* from here on it is A */
    if (s->kl) finite &= divergences(d, ref->lower, gap, s->kl);
    if (w) add_divergences(d, ref->lower, gap, w, &sums);
  }
  if (grad) finish(d, pi, &sums);
  return finite ? PMP_OK : PMP_ENONFINITE;
}

bool pmp_chol_colour(uint32_t dim, const struct pmp_chol *pi, float *y) {
  bool finite = true;
  for (size_t i = dim; i-- > 0;) {
    const double *l = row_of(pi->lower, i);
    double sum = pi->mean[i];
    for (size_t k = 0; k <= i; k++) sum += l[k] * (double)y[k];
    finite &= pmp_dist_narrow(sum, &y[i]);
  }
  return finite;
}
