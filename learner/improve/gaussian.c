/* The closed form for Gaussians, and the memory on top of it (docs/exact-improvement.md). In the
 * units of z the reference is N(0, I), and so is every path when verdicts say nothing. */
#include "learner/improve/matrix.h"
#include "learner/improve/state.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { SCALE = 0, SHAPE = 1 };

/* How far one step goes. */
struct rates {
  double mean;     /* 1 / (d + beta_mean) */
  double cov;      /* 1 / (d + beta_cov + gamma), gamma the weight of the shape path */
  double shape;    /* gamma cov */
  double decay[2]; /* of each path at a step */
  double damping;  /* of the scale */
};

static struct rates rates_of(const struct pmp_improve_config *c, const struct pmp_improve_sets *s) {
  const double n = (double)c->dim, e = s->effective;
  const bool paths = c->rule == PMP_IMPROVE_PATHS;
  /* A diagonal has D numbers to learn, a full covariance D (D + 1) / 2. */
  const double easier = c->kind == PMP_IMPROVE_DIAG_GAUSSIAN ? (n + 2) / 3 : 1;
  struct rates r = {0};
  if (paths) {
    r.decay[SCALE] = fmin(0.6 * (e + 2) / (e + n + 5), 0.9);
    r.damping = 0.5 * (1 + 2 * fmax(0, sqrt(fmax(e - 1, 0) / (n + 1)) - 1) + r.decay[SCALE]);
    r.decay[SHAPE] = 0.7 * (4 + e / n) / (n + 4 + 2 * e / n);
    r.shape = fmin(2.2 * easier / ((n + 1.3) * (n + 1.3) + e), 0.3);
  }
  r.mean = c->beta_mean == PMP_IMPROVE_AUTO ? 1 : 1 / (s->d + c->beta_mean);
  r.cov = c->beta_cov == PMP_IMPROVE_AUTO
              ? fmin(2 * e * easier / ((n + 2) * (n + 2) + 2 * e * easier), 0.5)
              : (1 - r.shape) / (s->d + c->beta_cov);
  return r;
}

/* Paths after a step, and what follows from them. */
struct memory {
  double path[2][PMP_IMPROVE_DIM_MAX];
  double start;      /* PMP_IMPROVE_START after the step */
  double shape_kept; /* weight of I in place of what the halted shape path lacks */
  double stretch;    /* factor on all spreads */
};

/* u (D): the signed mean of z. */
static void remember(const struct pmp_improve_config *c, const struct pmp_improve_sets *s,
                     const struct rates *r, const struct pmp_improve_view *state, const double *u,
                     struct memory *m) {
  const double n = (double)c->dim, decay = r->decay[SCALE], slow = r->decay[SHAPE];
  const double unit = sqrt(s->effective);
  m->stretch = 1;
  m->start = state->header[PMP_IMPROVE_START];
  m->shape_kept = 0;
  memset(m->path, 0, sizeof m->path);
  if (c->rule != PMP_IMPROVE_PATHS) return;
  double length = 0;
  for (size_t i = 0; i < c->dim; i++) {
    double x = (1 - decay) * state->path[SCALE][i] + sqrt(decay * (2 - decay)) * unit * u[i];
    m->path[SCALE][i] = x;
    length += x * x;
  }
  m->start *= (1 - decay) * (1 - decay);
  /* Length of a standard normal vector, on average. */
  const double usual = sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
  m->stretch = exp(fmin(decay / r->damping * (sqrt(length) / usual - 1), 1));
  /* While the scale still grows fast, the shape path would learn the growth as a direction. */
  const bool growing = sqrt(length / (1 - m->start)) >= (1.4 + 2 / (n + 1)) * usual;
  for (size_t i = 0; i < c->dim; i++)
    m->path[SHAPE][i] =
        (1 - slow) * state->path[SHAPE][i] + (growing ? 0 : sqrt(slow * (2 - slow)) * unit * u[i]);
  m->shape_kept = growing ? slow * (2 - slow) : 0;
}

static void signed_mean(const struct pmp_improve_config *c, const struct pmp_improve_sets *s,
                        const struct pmp_improve_view *state, double *u) {
  for (size_t i = 0; i < c->dim; i++)
    u[i] = s->share[0] * s->weight[0] * state->first[0][i] -
           s->share[1] * s->weight[1] * state->first[1][i];
}

/* Entry of the bracket: I + cov [alpha (E_a - I) - (1 - alpha) (E_r - I)] + shape (p p' - I), which
 * is [alpha E_a - (1 - alpha) E_r + beta I + gamma p p'] / (d + beta + gamma). */
static double bracket(const struct pmp_improve_sets *s, const struct rates *r,
                      const struct pmp_improve_view *state, const struct memory *m, size_t at,
                      size_t i, size_t k) {
  const double one = i == k ? 1 : 0;
  const double moment = s->share[0] * s->weight[0] * state->second[0][at] -
                        s->share[1] * s->weight[1] * state->second[1][at];
  const double path = m->path[SHAPE][i] * m->path[SHAPE][k] + m->shape_kept * one;
  return one + r->cov * (moment - s->d * one) + r->shape * (path - one);
}

/* ---------------------------------------------------------------- full covariance */

static void mirror(size_t n, double *a) {
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < i; k++) a[k * n + i] = a[i * n + k];
}

/* a = sum_e f(w_e) v_e v_e'. */
static void assemble(size_t n, const double *w, const double *v, double *a) {
  memset(a, 0, n * n * sizeof *a);
  for (size_t e = 0; e < n; e++) {
    const double *row = v + e * n;
    for (size_t i = 0; i < n; i++) {
      const double x = w[e] * row[i];
      for (size_t k = 0; k < n; k++) a[i * n + k] += x * row[k];
    }
  }
}

/* Carries the paths over to the units of the new reference, whose L is L R with R R' = B. The scale
 * path keeps its length, turned as little as B^1/2 allows: R^-1 B^1/2 p, which does not depend on
 * the coordinates of y. The shape path keeps its place in the space of y: R^-1 p. */
static void carry(size_t n, const double *w, const double *v, const double *r, struct memory *m) {
  double p[PMP_IMPROVE_DIM_MAX] = {0};
  for (size_t e = 0; e < n; e++) {
    double along = 0;
    for (size_t i = 0; i < n; i++) along += v[e * n + i] * m->path[SCALE][i];
    along *= sqrt(w[e]);
    for (size_t i = 0; i < n; i++) p[i] += along * v[e * n + i];
  }
  memcpy(m->path[SCALE], p, n * sizeof *p);
  pmp_matrix_solve_lower(n, r, m->path[SCALE]);
  pmp_matrix_solve_lower(n, r, m->path[SHAPE]);
}

/* mean (D), chol (D x D): the candidate. */
static bool sound(size_t n, const double *mean, const double *chol) {
  for (size_t i = 0; i < n; i++) {
    if (!isfinite(mean[i]) || !(chol[i * n + i] >= DBL_MIN)) return false;
    for (size_t k = 0; k <= i; k++)
      if (!isfinite(chol[i * n + k])) return false;
  }
  return true;
}

static void commit(const struct pmp_improve_config *c, const struct memory *m,
                   const struct pmp_improve_view *state) {
  if (c->rule != PMP_IMPROVE_PATHS) return;
  state->header[PMP_IMPROVE_START] = m->start;
  for (int p = 0; p < 2; p++) memcpy(state->path[p], m->path[p], c->dim * sizeof(double));
}

static enum pmp_err lost(struct pmp_errmsg *msg) {
  return pmp_fail(msg, PMP_ENONFINITE,
                  "the closed form gave no finite policy with a spread above 0");
}

enum pmp_err pmp_improve_step_full(const struct pmp_improve_config *c,
                                   const struct pmp_improve_sets *s,
                                   const struct pmp_improve_view *state, double *natural,
                                   struct pmp_errmsg *msg) {
  const size_t n = c->dim;
  double *b = state->scratch, *v = b + n * n, *r = v + n * n, *chol = natural + n;
  double u[PMP_IMPROVE_DIM_MAX] = {0}, mean[PMP_IMPROVE_DIM_MAX], w[PMP_IMPROVE_DIM_MAX];
  const struct rates rate = rates_of(c, s);
  struct memory m;
  signed_mean(c, s, state, u);
  remember(c, s, &rate, state, u, &m);
  for (size_t i = 0; i < n; i++) {
    double move = 0;
    for (size_t k = 0; k <= i; k++) {
      move += chol[i * n + k] * u[k];
      b[i * n + k] = bracket(s, &rate, state, &m, i * n + k, i, k);
    }
    mean[i] = natural[i] + rate.mean * move;
  }
  mirror(n, b);
  enum pmp_err err = pmp_matrix_eigen(n, b, w, v);
  if (err != PMP_OK) goto out;
  for (size_t i = 0; i < n; i++) w[i] = fmin(fmax(w[i], c->eigen_min), c->eigen_max);
  assemble(n, w, v, b);
  err = pmp_matrix_cholesky(n, b, r);
  if (err != PMP_OK) goto out;
  carry(n, w, v, r, &m);
  pmp_matrix_lower_product(n, chol, r, b);
  double largest = 0;
  for (size_t i = 0; i < n * n; i++) b[i] *= m.stretch;
  for (size_t i = 0; i < n; i++) {
    largest = fmax(largest, fabs(mean[i])); /* of what z_i is solved from */
    b[i * n + i] = fmax(b[i * n + i], c->resolution * largest);
  }
  if (!sound(n, mean, b)) err = PMP_ENONFINITE;
  if (err != PMP_OK) goto out;
  memcpy(natural, mean, n * sizeof *mean);
  memcpy(chol, b, n * n * sizeof *b);
  commit(c, &m, state);
out:
  memset(state->scratch, 0, 3 * n * n * sizeof *state->scratch);
  return err == PMP_OK ? err : lost(msg);
}

/* ---------------------------------------------------------------- diagonal */

enum pmp_err pmp_improve_step_diag(const struct pmp_improve_config *c,
                                   const struct pmp_improve_sets *s,
                                   const struct pmp_improve_view *state, double *natural,
                                   struct pmp_errmsg *msg) {
  const size_t n = c->dim;
  double u[PMP_IMPROVE_DIM_MAX] = {0}, mean[PMP_IMPROVE_DIM_MAX], std[PMP_IMPROVE_DIM_MAX];
  const struct rates rate = rates_of(c, s);
  struct memory m;
  signed_mean(c, s, state, u);
  remember(c, s, &rate, state, u, &m);
  for (size_t i = 0; i < n; i++) {
    const double raw = bracket(s, &rate, state, &m, i, i, i);
    const double root = sqrt(fmin(fmax(raw, c->eigen_min), c->eigen_max));
    mean[i] = natural[i] + rate.mean * natural[n + i] * u[i];
    std[i] = fmax(natural[n + i] * root * m.stretch, c->resolution * fabs(mean[i]));
    m.path[SHAPE][i] /= root;
    if (!isfinite(raw) || !isfinite(mean[i]) || !isfinite(std[i]) || !(std[i] >= DBL_MIN))
      return lost(msg);
  }
  memcpy(natural, mean, n * sizeof *mean);
  memcpy(natural + n, std, n * sizeof *std);
  commit(c, &m, state);
  return PMP_OK;
}
