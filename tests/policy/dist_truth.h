/* What families of distributions are by definition, in float64 and without any care for speed, on
 * natural parameters; and batches to hold the families' code against them. Full covariances go
 * through C = L L' and elimination, not through triangular solves. */
#ifndef PMP_TESTS_POLICY_DIST_TRUTH_H
#define PMP_TESTS_POLICY_DIST_TRUTH_H

#include "tests/policy/check.h"

#include "policy/dist/dist.h"

#include <string.h>

#define TRUTH_DIM_MAX 12

/* ---- heads to natural parameters ---- */

static inline void truth_natural(const struct pmp_dist *d, const double *head, double *out) {
  const size_t n = d->dim;
  if (d->kind == PMP_DIST_CATEGORICAL) {
    memcpy(out, head, n * d->bins * sizeof *out);
    return;
  }
  for (size_t i = 0; i < n; i++) out[i] = d->squash_mean ? tanh(head[i]) : head[i];
  const double *raw = head + n;
  for (size_t i = 0; i < n; i++) {
    if (d->kind == PMP_DIST_DIAG_GAUSSIAN) {
      out[n + i] = log1p(exp(raw[i])) * (double)d->std_scale + (double)d->std_min;
      continue;
    }
    for (size_t k = 0; k < n; k++) {
      const double v = k <= i ? *raw++ : 0;
      out[n + i * n + k] = k == i ? log1p(exp(v)) * (double)d->std_scale + (double)d->std_min : v;
    }
  }
}

/* ---- gaussians: mean and covariance ---- */

struct truth_normal {
  size_t n;
  double mean[TRUTH_DIM_MAX], c[TRUTH_DIM_MAX][TRUTH_DIM_MAX];
};

static inline struct truth_normal truth_normal(const struct pmp_dist *d, const double *natural) {
  struct truth_normal t = {.n = d->dim};
  assert_true(t.n <= TRUTH_DIM_MAX);
  const double *l = natural + t.n;
  for (size_t i = 0; i < t.n; i++) {
    t.mean[i] = natural[i];
    for (size_t k = 0; k < t.n; k++)
      if (d->kind == PMP_DIST_DIAG_GAUSSIAN)
        t.c[i][k] = i == k ? l[i] * l[i] : 0;
      else
        for (size_t j = 0; j <= i && j <= k; j++) t.c[i][k] += l[i * t.n + j] * l[k * t.n + j];
  }
  return t;
}

/* x = C^-1 x; ln det C. */
static inline double truth_solve(const struct truth_normal *t, double *x) {
  struct truth_normal m = *t;
  double log_det = 0;
  for (size_t i = 0; i < m.n; i++) {
    log_det += log(m.c[i][i]); /* C is positive definite: no pivots needed */
    for (size_t r = i + 1; r < m.n; r++) {
      const double f = m.c[r][i] / m.c[i][i];
      for (size_t k = i; k < m.n; k++) m.c[r][k] -= f * m.c[i][k];
      x[r] -= f * x[i];
    }
  }
  for (size_t i = m.n; i-- > 0;) {
    for (size_t k = i + 1; k < m.n; k++) x[i] -= m.c[i][k] * x[k];
    x[i] /= m.c[i][i];
  }
  return log_det;
}

/* ln N(y; mean, c of spread) */
static inline double truth_log_normal(const double *y, const struct truth_normal *mean,
                                      const struct truth_normal *spread) {
  double x[TRUTH_DIM_MAX], square = 0;
  for (size_t i = 0; i < mean->n; i++) x[i] = y[i] - mean->mean[i];
  const double log_det = truth_solve(spread, x);
  for (size_t i = 0; i < mean->n; i++) square += x[i] * (y[i] - mean->mean[i]);
  return -0.5 * (square + log_det + (double)mean->n * log(2 * acos(-1.0)));
}

/* (m_ref - m)' C^-1 (m_ref - m) / 2 */
static inline double truth_kl_mean(const struct truth_normal *pi, const struct truth_normal *ref,
                                   const struct truth_normal *spread) {
  double x[TRUTH_DIM_MAX], sum = 0;
  for (size_t i = 0; i < pi->n; i++) x[i] = ref->mean[i] - pi->mean[i];
  truth_solve(spread, x);
  for (size_t i = 0; i < pi->n; i++) sum += x[i] * (ref->mean[i] - pi->mean[i]) / 2;
  return sum;
}

/* [tr(C^-1 C_ref) - D + ln det C - ln det C_ref] / 2 */
static inline double truth_kl_spread(const struct truth_normal *pi,
                                     const struct truth_normal *ref) {
  double trace = 0, log_det = 0, ref_log_det = 0;
  for (size_t k = 0; k < pi->n; k++) {
    double x[TRUTH_DIM_MAX], any[TRUTH_DIM_MAX] = {0};
    for (size_t i = 0; i < pi->n; i++) x[i] = ref->c[i][k];
    log_det = truth_solve(pi, x);
    ref_log_det = truth_solve(ref, any);
    trace += x[k];
  }
  return 0.5 * (trace - (double)pi->n + log_det - ref_log_det);
}

/* ---- categoricals ---- */

/* log of the sum of exponentials of dimension i's logits */
static inline double truth_log_sum(const struct pmp_dist *d, const double *logits, size_t i) {
  const double *z = logits + i * d->bins;
  double max = z[0], sum = 0;
  for (size_t v = 0; v < d->bins; v++) max = fmax(max, z[v]);
  for (size_t v = 0; v < d->bins; v++) sum += exp(z[v] - max);
  return max + log(sum);
}

static inline double truth_kl_categorical(const struct pmp_dist *d, const double *pi,
                                          const double *ref) {
  double kl = 0;
  for (size_t i = 0; i < d->dim; i++) {
    const double l = truth_log_sum(d, pi, i), lr = truth_log_sum(d, ref, i);
    for (size_t v = i * d->bins; v < (i + 1) * d->bins; v++)
      if (ref[v] != -INFINITY) kl += exp(ref[v] - lr) * ((ref[v] - lr) - (pi[v] - l));
  }
  return kl;
}

/* ---- any family ---- */

static inline double truth_lp(const struct pmp_dist *d, const double *pi, const double *ref,
                              const double *y, uint32_t part) {
  if (d->kind == PMP_DIST_CATEGORICAL) {
    double lp = 0;
    for (size_t i = 0; i < d->dim; i++)
      lp += pi[i * d->bins + (size_t)y[i]] - truth_log_sum(d, pi, i);
    return lp;
  }
  const struct truth_normal one = truth_normal(d, pi), two = truth_normal(d, ref);
  return truth_log_normal(y, d->split && part == 1 ? &two : &one,
                          d->split && part == 0 ? &two : &one);
}

static inline void truth_kl(const struct pmp_dist *d, const double *pi, const double *ref,
                            double *kl) {
  if (d->kind == PMP_DIST_CATEGORICAL) {
    kl[0] = truth_kl_categorical(d, pi, ref);
    return;
  }
  const struct truth_normal one = truth_normal(d, pi), two = truth_normal(d, ref);
  if (d->per_dim) {
    for (size_t i = 0; i < d->dim; i++) {
      struct truth_normal a = {.n = 1, .mean = {one.mean[i]}, .c = {{one.c[i][i]}}};
      struct truth_normal b = {.n = 1, .mean = {two.mean[i]}, .c = {{two.c[i][i]}}};
      kl[i] = truth_kl_mean(&a, &b, &b);
      kl[d->dim + i] = truth_kl_spread(&a, &b);
    }
    return;
  }
  const double spread = truth_kl_spread(&one, &two);
  kl[0] = truth_kl_mean(&one, &two, d->split ? &two : &one) + (d->split ? 0 : spread);
  if (d->split) kl[1] = spread;
}

/* ---- a batch ---- */

struct truth_batch {
  const struct pmp_dist *d;
  size_t b, n, h, m; /* floats of a head, doubles of natural parameters */
  uint32_t p, k;
  float *head, *ref, *y;
  double *pi, *pi_ref, *wide_y; /* the same, natural */
  double *c, *w;
  uint32_t *x_of_y; /* NULL: equal shares */
};

static inline size_t truth_x_of(const struct truth_batch *t, size_t j) {
  return t->x_of_y ? t->x_of_y[j] : j / (t->n / t->b);
}

static inline double *truth_widened(const float *x, size_t n) {
  double *out = doubles_new(n);
  for (size_t i = 0; i < n; i++) out[i] = (double)x[i];
  return out;
}

/* Natural parameters and outcomes from heads and float outcomes. */
static inline void truth_batch_widen(struct truth_batch *t) {
  double *head = truth_widened(t->head, t->b * t->h), *ref = truth_widened(t->ref, t->b * t->h);
  for (size_t x = 0; x < t->b; x++) {
    truth_natural(t->d, head + x * t->h, t->pi + x * t->m);
    truth_natural(t->d, ref + x * t->h, t->pi_ref + x * t->m);
  }
  for (size_t i = 0; i < t->n * t->d->dim; i++) t->wide_y[i] = (double)t->y[i];
  free(head), free(ref);
}

static inline void truth_batch_make(struct truth_batch *t, const struct pmp_dist *d, size_t b,
                                    size_t n, double apart, struct pmp_rng *rng) {
  *t =
      (struct truth_batch){.d = d, .b = b, .n = n, .h = pmp_dist_head(d), .m = pmp_dist_natural(d)};
  t->p = pmp_dist_parts(d), t->k = pmp_dist_kl_parts(d);
  t->head = normals_new(rng, b * t->h, 1), t->ref = floats_new(b * t->h);
  for (size_t i = 0; i < b * t->h; i++)
    t->ref[i] = t->head[i] + (float)(apart * pmp_rng_normal(rng));
  t->y = normals_new(rng, n * d->dim, 1);
  if (d->kind == PMP_DIST_CATEGORICAL)
    for (size_t i = 0; i < n * d->dim; i++) t->y[i] = (float)pmp_rng_below(rng, d->bins);
  t->c = normal_doubles_new(rng, n * t->p, 1), t->w = normal_doubles_new(rng, b * t->k, 1);
  t->pi = doubles_new(b * t->m), t->pi_ref = doubles_new(b * t->m);
  t->wide_y = doubles_new(n * d->dim);
  truth_batch_widen(t);
}

static inline void truth_batch_free(struct truth_batch *t) {
  free(t->head), free(t->ref), free(t->y), free(t->c), free(t->w), free(t->x_of_y);
  free(t->pi), free(t->pi_ref), free(t->wide_y);
}

/* One condition's share of sum c lp + sum w kl. */
static inline double truth_loss(const struct truth_batch *t, size_t x, const double *pi) {
  const double *ref = t->pi_ref + x * t->m;
  double total = 0, kl[2 * TRUTH_DIM_MAX];
  for (size_t j = 0; j < t->n; j++)
    for (uint32_t p = 0; truth_x_of(t, j) == x && p < t->p; p++)
      total += t->c[j * t->p + p] * truth_lp(t->d, pi, ref, t->wide_y + j * t->d->dim, p);
  truth_kl(t->d, pi, ref, kl);
  for (uint32_t k = 0; k < t->k; k++) total += t->w[x * t->k + k] * kl[k];
  return total;
}

/* Central differences of fourth order at four steps: the error is about 1e-12 of the loss. */
static inline double truth_slope(const double f[4], double step) {
  return (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * step);
}

static inline const double *truth_steps(void) {
  static const double steps[4] = {-2, -1, 1, 2};
  return steps;
}

/* The gradient by every natural parameter (B x m). */
static inline double *truth_gradient(const struct truth_batch *t, double step) {
  double *out = doubles_new(t->b * t->m), *pi = doubles_new(t->m), f[4];
  for (size_t x = 0; x < t->b; x++)
    for (size_t i = 0; i < t->m; i++) {
      memcpy(pi, t->pi + x * t->m, t->m * sizeof *pi);
      for (int k = 0; k < 4; k++) {
        pi[i] = t->pi[x * t->m + i] + truth_steps()[k] * step;
        f[k] = truth_loss(t, x, pi);
      }
      out[x * t->m + i] = truth_slope(f, step);
    }
  free(pi);
  return out;
}

/* The gradient by every number of the heads (B x h). */
static inline double *truth_head_gradient(const struct truth_batch *t, double step) {
  double *out = doubles_new(t->b * t->h), *pi = doubles_new(t->m), f[4];
  double *head = truth_widened(t->head, t->b * t->h);
  for (size_t x = 0; x < t->b; x++)
    for (size_t i = 0; i < t->h; i++) {
      double *at = head + x * t->h + i;
      const double was = *at;
      for (int k = 0; k < 4; k++) {
        *at = was + truth_steps()[k] * step;
        truth_natural(t->d, head + x * t->h, pi);
        f[k] = truth_loss(t, x, pi);
      }
      *at = was;
      out[x * t->h + i] = truth_slope(f, step);
    }
  free(pi), free(head);
  return out;
}

#endif
