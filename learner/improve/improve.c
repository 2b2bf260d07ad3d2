#include "learner/improve/improve.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* State: sums of weights of accepted and of rejected, then for each of the two the sums of z and of
 * z z' (diagonal: z^2; categorical: weights an action). */
enum { ACCEPTED, REJECTED, HEADER };

#define LOG_ZERO (-69.0775527898) /* ln 1e-30: what a probability of 0 is written as */

static bool is_full(const struct pmp_improve_config *c) {
  return c->kind == PMP_IMPROVE_GAUSSIAN;
}

static size_t moments(const struct pmp_improve_config *c) {
  if (c->kind == PMP_IMPROVE_CATEGORICAL) return c->dim;
  return (size_t)c->dim * (is_full(c) ? c->dim + 1 : 2);
}

size_t pmp_improve_natural(const struct pmp_improve_config *c) {
  return moments(c);
}

size_t pmp_improve_doubles(const struct pmp_improve_config *c) {
  return HEADER + 2 * moments(c);
}

enum pmp_err pmp_improve_check(const struct pmp_improve_config *c, struct pmp_errmsg *msg) {
  const bool table = c->kind == PMP_IMPROVE_CATEGORICAL;
  if (c->kind < PMP_IMPROVE_DIAG_GAUSSIAN || c->kind > PMP_IMPROVE_CATEGORICAL)
    return pmp_fail(msg, PMP_EINVALID, "no closed form of kind %d", (int)c->kind);
  if (c->dim < 1 || (is_full(c) && c->dim > PMP_IMPROVE_DIM_MAX))
    return pmp_fail(msg, PMP_EINVALID, "%u dimensions: 1 to %d are possible", c->dim,
                    PMP_IMPROVE_DIM_MAX);
  if (!(c->alpha >= 0 && c->alpha <= 1))
    return pmp_fail(msg, PMP_EINVALID, "alpha is %g: it must lie in [0, 1]", c->alpha);
  const double least = fmin(c->beta_mean, table ? c->beta_mean : c->beta_cov);
  if (!(least >= 0) || !isfinite(c->beta_mean) || !isfinite(c->beta_cov))
    return pmp_fail(msg, PMP_EINVALID, "a beta is %g: it must be finite and >= 0", least);
  if (!table && !(c->eigen_min > 0 && c->eigen_min <= 1 && c->eigen_max >= 1))
    return pmp_fail(msg, PMP_EINVALID, "eigenvalues are kept in [%g, %g]: it must hold 1",
                    c->eigen_min, c->eigen_max);
  return PMP_OK;
}

void pmp_improve_init(const struct pmp_improve_config *c, double *state) {
  memset(state, 0, pmp_improve_doubles(c) * sizeof *state);
}

/* z = L^-1 (y - m), or (y - m) / s. */
static void whiten(const struct pmp_improve_config *c, const double *natural, const double *y,
                   double *z) {
  const size_t dim = c->dim;
  const double *scale = natural + dim;
  for (size_t i = 0; i < dim; i++) {
    double v = y[i] - natural[i];
    for (size_t k = 0; is_full(c) && k < i; k++) v -= scale[i * dim + k] * z[k];
    z[i] = v / (is_full(c) ? scale[i * dim + i] : scale[i]);
  }
}

static bool valid(const struct pmp_improve_config *c, size_t n, const double *y,
                  const int8_t *verdict, const double *weight, enum pmp_err *err) {
  const bool table = c->kind == PMP_IMPROVE_CATEGORICAL;
  for (size_t j = 0; j < n; j++) {
    *err = PMP_EINVALID;
    if (verdict[j] < -1 || verdict[j] > 1) return false;
    if (weight != NULL && !(weight[j] >= 0 && isfinite(weight[j]))) return false;
    if (table && !(y[j] >= 0 && y[j] < (double)c->dim && y[j] == floor(y[j]))) return false;
    *err = PMP_ENONFINITE;
    for (size_t i = 0; !table && i < c->dim; i++)
      if (!isfinite(y[j * c->dim + i])) return false;
  }
  return true;
}

enum pmp_err pmp_improve_add(const struct pmp_improve_config *c, double *state,
                             const double *natural, size_t n, const double *y,
                             const int8_t *verdict, const double *weight) {
  enum pmp_err err;
  double z[PMP_IMPROVE_DIM_MAX];
  if (!valid(c, n, y, verdict, weight, &err)) return err;
  for (size_t j = 0; j < n; j++) {
    const double w = weight != NULL ? weight[j] : 1;
    if (verdict[j] == 0 || w == 0) continue;
    const int set = verdict[j] > 0 ? ACCEPTED : REJECTED;
    double *sums = state + HEADER + (size_t)set * moments(c);
    state[set] += w;
    if (c->kind == PMP_IMPROVE_CATEGORICAL) {
      sums[(size_t)y[j]] += w;
      continue;
    }
    const size_t dim = c->dim;
    whiten(c, natural, y + j * dim, z);
    for (size_t i = 0; i < dim; i++) {
      sums[i] += w * z[i];
      if (!is_full(c)) sums[dim + i] += w * z[i] * z[i];
      for (size_t k = 0; is_full(c) && k < dim; k++) sums[dim + i * dim + k] += w * z[i] * z[k];
    }
  }
  return PMP_OK;
}

/* The bracket's eigenvalues into [low, high]: cyclic Jacobi on a symmetric matrix a (n x n), v its
 * eigenvectors; both are overwritten, a with the clipped matrix. */
static void clip_eigen(size_t n, double *a, double *v, double low, double high) {
  for (size_t i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
  for (int sweep = 0; sweep < 60; sweep++) {
    double off = 0;
    for (size_t p = 0; p < n; p++)
      for (size_t q = p + 1; q < n; q++) off += a[p * n + q] * a[p * n + q];
    if (off < 1e-28) break;
    for (size_t p = 0; p < n; p++) {
      for (size_t q = p + 1; q < n; q++) {
        if (a[p * n + q] == 0) continue;
        const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
        const double t = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1));
        const double c = 1 / sqrt(t * t + 1), s = t * c;
        for (size_t k = 0; k < n; k++) {
          const double x = a[k * n + p], y = a[k * n + q];
          a[k * n + p] = c * x - s * y;
          a[k * n + q] = s * x + c * y;
        }
        for (size_t k = 0; k < n; k++) {
          const double x = a[p * n + k], y = a[q * n + k], e = v[k * n + p], f = v[k * n + q];
          a[p * n + k] = c * x - s * y;
          a[q * n + k] = s * x + c * y;
          v[k * n + p] = c * e - s * f;
          v[k * n + q] = s * e + c * f;
        }
      }
    }
  }
  double value[PMP_IMPROVE_DIM_MAX];
  for (size_t i = 0; i < n; i++) value[i] = fmin(fmax(a[i * n + i], low), high);
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++) {
      a[i * n + k] = 0;
      for (size_t e = 0; e < n; e++) a[i * n + k] += v[i * n + e] * value[e] * v[k * n + e];
    }
}

/* Lower Cholesky factor of a (n x n) in place. */
static bool factor(size_t n, double *a) {
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k <= i; k++) {
      double v = a[i * n + k];
      for (size_t e = 0; e < k; e++) v -= a[i * n + e] * a[k * n + e];
      if (i == k && !(v > 0)) return false;
      a[i * n + k] = i == k ? sqrt(v) : v / a[k * n + k];
    }
  return true;
}

static enum pmp_err table_step(const struct pmp_improve_config *c, const double *state,
                               const double a, const double r, double *natural) {
  double top = -INFINITY, sum = 0, total = 0;
  for (size_t i = 0; i < c->dim; i++) top = fmax(top, natural[i]);
  for (size_t i = 0; i < c->dim; i++) sum += exp(natural[i] - top);
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < c->dim; i++) {
      const double ref = exp(natural[i] - top) / sum;
      const double v =
          fmax(a * state[HEADER + i] - r * state[HEADER + c->dim + i] + c->beta_mean * ref, 0);
      if (pass == 0) total += v;
      if (pass == 1) natural[i] = v > 0 ? fmax(log(v / total), LOG_ZERO) : LOG_ZERO;
    }
    if (!(total > 0) || !isfinite(total)) return PMP_ENONFINITE;
  }
  return PMP_OK;
}

static enum pmp_err gaussian_step(const struct pmp_improve_config *c, const double *state, double a,
                                  double r, double *natural) {
  const size_t n = c->dim;
  const double d = c->alpha * (a > 0) - (1 - c->alpha) * (r > 0);
  const double *sa = state + HEADER, *sr = sa + moments(c);
  static _Thread_local double bracket[PMP_IMPROVE_DIM_MAX * PMP_IMPROVE_DIM_MAX];
  static _Thread_local double vectors[PMP_IMPROVE_DIM_MAX * PMP_IMPROVE_DIM_MAX];
  double dz[PMP_IMPROVE_DIM_MAX];
  double *scale = natural + n;
  for (size_t i = 0; i < n; i++) dz[i] = (a * sa[i] - r * sr[i]) / (d + c->beta_mean);
  for (size_t i = 0; i < n; i++) {
    if (!is_full(c)) {
      natural[i] += scale[i] * dz[i];
      const double b = (a * sa[n + i] - r * sr[n + i] + c->beta_cov) / (d + c->beta_cov);
      scale[i] *= sqrt(fmin(fmax(b, c->eigen_min), c->eigen_max));
      continue;
    }
    for (size_t k = 0; k <= i; k++) natural[i] += scale[i * n + k] * dz[k];
    for (size_t k = 0; k < n; k++)
      bracket[i * n + k] =
          (a * sa[n + i * n + k] - r * sr[n + i * n + k] + (i == k ? c->beta_cov : 0)) /
          (d + c->beta_cov);
  }
  if (!is_full(c)) return PMP_OK;
  clip_eigen(n, bracket, vectors, c->eigen_min, c->eigen_max);
  if (!factor(n, bracket)) return PMP_ENONFINITE;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k <= i; k++) {
      double v = 0;
      for (size_t e = k; e <= i; e++) v += scale[i * n + e] * bracket[e * n + k];
      vectors[i * n + k] = v;
    }
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k <= i; k++) scale[i * n + k] = vectors[i * n + k];
  return PMP_OK;
}

enum pmp_err pmp_improve_step(const struct pmp_improve_config *c, double *state, double *natural,
                              struct pmp_errmsg *msg) {
  const double na = c->alpha > 0 ? state[ACCEPTED] : 0, nr = c->alpha < 1 ? state[REJECTED] : 0;
  if (!(na > 0) && !(nr > 0)) return pmp_fail(msg, PMP_EBUSY, "no outcomes to improve by");
  const double d = c->alpha * (na > 0) - (1 - c->alpha) * (nr > 0);
  if (c->kind != PMP_IMPROVE_CATEGORICAL && !(d + fmin(c->beta_mean, c->beta_cov) > 0))
    return pmp_fail(msg, PMP_EUNAVAILABLE,
                    "alpha [accepted] - (1 - alpha) [rejected] + beta is %g: it must be above 0",
                    d + fmin(c->beta_mean, c->beta_cov));
  const double a = na > 0 ? c->alpha / na : 0, r = nr > 0 ? (1 - c->alpha) / nr : 0;
  enum pmp_err err = c->kind == PMP_IMPROVE_CATEGORICAL ? table_step(c, state, a, r, natural)
                                                        : gaussian_step(c, state, a, r, natural);
  if (err == PMP_OK) pmp_improve_init(c, state);
  return err == PMP_OK ? err : pmp_fail(msg, err, "the closed form gave no finite policy");
}
