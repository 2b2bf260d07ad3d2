#include "policy/dist/dist.h"

#include "policy/dist/family.h"

#define TOGETHER_MAX 32

static bool is_gaussian(const struct pmp_dist *d) {
  return d->kind == PMP_DIST_DIAG_GAUSSIAN || d->kind == PMP_DIST_GAUSSIAN;
}

static enum pmp_err check_gaussian(const struct pmp_dist *d, struct pmp_errmsg *msg) {
  if (d->per_dim && (!d->split || d->kind == PMP_DIST_GAUSSIAN))
    return pmp_fail(msg, PMP_EINVALID,
                    "a KL per dimension needs mean and spread apart, and no full covariance");
  if (!(d->std_scale > 0 && d->std_scale <= FLT_MAX))
    return pmp_fail(msg, PMP_EINVALID, "std_scale %g is not above 0", (double)d->std_scale);
  if (!(d->std_min > 0 && d->std_min <= FLT_MAX))
    return pmp_fail(msg, PMP_EINVALID, "std_min %g is not above 0", (double)d->std_min);
  return PMP_OK;
}

static enum pmp_err check_categorical(const struct pmp_dist *d, struct pmp_errmsg *msg) {
  if (d->bins < 2 || d->bins > PMP_DIST_BINS_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%u bins: 2 to %u are possible", d->bins, PMP_DIST_BINS_MAX);
  if (d->split || d->per_dim)
    return pmp_fail(msg, PMP_EINVALID, "only a Gaussian has its mean and spread apart");
  return PMP_OK;
}

enum pmp_err pmp_dist_check(const struct pmp_dist *d, struct pmp_errmsg *msg) {
  const uint32_t most = d->kind == PMP_DIST_GAUSSIAN ? PMP_DIST_CHOL_DIM_MAX : PMP_DIST_DIM_MAX;
  if (!is_gaussian(d) && d->kind != PMP_DIST_CATEGORICAL)
    return pmp_fail(msg, PMP_EINVALID, "no policy family %d", (int)d->kind);
  if (d->dim < 1 || d->dim > most)
    return pmp_fail(msg, PMP_EINVALID, "%u action dimensions: 1 to %u are possible", d->dim, most);
  PMP_TRY(is_gaussian(d) ? check_gaussian(d, msg) : check_categorical(d, msg));
  if (!(d->low < d->high) || !isfinite(d->low) || !isfinite(d->high))
    return pmp_fail(msg, PMP_EINVALID, "actions from %g to %g", (double)d->low, (double)d->high);
  return PMP_OK;
}

size_t pmp_dist_head(const struct pmp_dist *d) {
  switch (d->kind) {
  case PMP_DIST_CATEGORICAL:
    return (size_t)d->dim * d->bins;
  case PMP_DIST_GAUSSIAN:
    return d->dim + PMP_DIST_TRIANGLE((size_t)d->dim);
  case PMP_DIST_DIAG_GAUSSIAN:
    break;
  }
  return 2 * (size_t)d->dim;
}

size_t pmp_dist_natural(const struct pmp_dist *d) {
  return d->kind == PMP_DIST_GAUSSIAN ? (size_t)d->dim * (d->dim + 1) : pmp_dist_head(d);
}

uint32_t pmp_dist_parts(const struct pmp_dist *d) {
  return d->split ? 2 : 1;
}

uint32_t pmp_dist_kl_parts(const struct pmp_dist *d) {
  return d->per_dim ? 2 * d->dim : pmp_dist_parts(d);
}

/* ---- one batch ---- */

/* How a batch's outcomes lie. */
struct layout {
  const uint32_t *x_of_y; /* NULL: equal shares in order */
  size_t share;
  bool sorted;
};

static enum pmp_err layout_of(size_t b, size_t n, const uint32_t *x_of_y, struct layout *l) {
  *l = (struct layout){.x_of_y = x_of_y, .sorted = true};
  if (n == 0) return PMP_OK;
  if (b == 0) return PMP_EINVALID;
  if (x_of_y == NULL) {
    l->share = n / b;
    return n % b == 0 ? PMP_OK : PMP_EINVALID;
  }
  for (size_t j = 0; j < n; j++) {
    if (x_of_y[j] >= b) return PMP_EINVALID;
    if (j > 0 && x_of_y[j] < x_of_y[j - 1]) l->sorted = false;
  }
  return PMP_OK;
}

/* The range of condition x; `first`: where that of x - 1 ended. */
static void range_next(const struct layout *l, size_t n, size_t x, size_t first,
                       struct pmp_dist_range *r) {
  *r = (struct pmp_dist_range){.x = x, .first = first, .last = first};
  if (l->x_of_y == NULL) {
    r->last = first + l->share;
  } else if (l->sorted) {
    while (r->last < n && l->x_of_y[r->last] == x) r->last++;
  } else {
    *r = (struct pmp_dist_range){.x = x, .last = n, .x_of_y = l->x_of_y};
  }
}

/* The arguments of a public function: heads and their gradient when f32, natural parameters when
 * f64. */
struct batch {
  const struct pmp_dist *d;
  size_t b, n;
  struct pmp_dist_in pi, ref, y;
  const uint32_t *x_of_y;
  const double *c, *w;
  double *lp, *lp_ref, *kl;
  struct pmp_dist_out dpi;
};

/* Some conditions' numbers. */
struct condition {
  struct pmp_dist_in pi, ref;
  struct pmp_dist_out dpi;
};

static enum pmp_err diag_conditions(const struct pmp_dist *d, size_t rows,
                                    const struct pmp_dist_seam *s, const struct condition *x) {
  double space[8 * PMP_DIST_DIM_MAX];
  const size_t n = rows * pmp_dist_padded(d->dim);
  /* pi and ref lie one after the other, as pmp_head_diag has them. */
  const struct pmp_diag pi = {space, space + 2 * n}, ref = {space + n, space + 3 * n};
  const struct pmp_diag grad = {space + 4 * n, space + 5 * n};
  const struct pmp_diag slope = {space + 6 * n, space + 7 * n};
  const bool backward = x->dpi.f32 || x->dpi.f64;
  if (x->pi.f64) {
    PMP_TRY(pmp_natural_diag(d, rows, x->pi.f64, &pi));
    PMP_TRY(pmp_natural_diag(d, rows, x->ref.f64, &ref));
  } else {
    PMP_TRY(pmp_head_diag(d, rows, x->pi.f32, x->ref.f32, &pi, backward ? &slope : NULL));
  }
  PMP_TRY(pmp_diag_rows(d, rows, s, &pi, &ref, backward ? &grad : NULL));
  if (!backward) return PMP_OK;
  return x->dpi.f64 ? pmp_natural_diag_back(d, rows, &grad, x->dpi.f64)
                    : pmp_head_diag_back(d, rows, &grad, &slope, x->dpi.f32);
}

static enum pmp_err chol_condition(const struct pmp_dist *d, const struct pmp_dist_seam *s,
                                   const struct condition *x) {
  double space[5 * PMP_DIST_CHOL_DIM_MAX + 3 * PMP_DIST_TRIANGLE(PMP_DIST_CHOL_DIM_MAX)];
  const size_t p = pmp_dist_padded(d->dim), row = p + PMP_DIST_TRIANGLE((size_t)d->dim);
  const struct pmp_chol pi = {space, space + p}, ref = {space + row, space + row + p};
  const struct pmp_chol grad = {space + 2 * row, space + 2 * row + p};
  const struct pmp_diag slope = {space + 3 * row, space + 3 * row + p};
  const bool backward = x->dpi.f32 || x->dpi.f64;
  if (x->pi.f64) {
    PMP_TRY(pmp_natural_chol(d, x->ref.f64, &ref));
    PMP_TRY(pmp_natural_chol(d, x->pi.f64, &pi));
  } else {
    PMP_TRY(pmp_head_chol(d, x->ref.f32, &ref, NULL));
    PMP_TRY(pmp_head_chol(d, x->pi.f32, &pi, backward ? &slope : NULL));
  }
  PMP_TRY(pmp_chol_row(d, s, &pi, &ref, backward ? &grad : NULL));
  if (!backward) return PMP_OK;
  return x->dpi.f64 ? pmp_natural_chol_back(d, &grad, x->dpi.f64)
                    : pmp_head_chol_back(d, &grad, &slope, x->dpi.f32);
}

static enum pmp_err run(const struct batch *t) {
  const struct pmp_dist *d = t->d;
  const size_t k = pmp_dist_kl_parts(d), h = t->pi.f64 ? pmp_dist_natural(d) : pmp_dist_head(d);
  const size_t together = d->kind == PMP_DIST_DIAG_GAUSSIAN ? pmp_diag_together(d->dim) : 1;
  struct pmp_dist_range range[TOGETHER_MAX] = {{0}};
  struct layout l;
  PMP_TRY(layout_of(t->b, t->n, t->x_of_y, &l));
  struct pmp_dist_seam s = {.range = range, .y = t->y, .lp = t->lp, .lp_ref = t->lp_ref, .c = t->c};
  size_t last = 0;
  for (size_t x = 0; x < t->b; x += together) {
    const size_t rows = t->b - x < together ? t->b - x : together;
    for (size_t r = 0; r < rows; r++) {
      range_next(&l, t->n, x + r, last, &range[r]);
      last = range[r].last;
    }
    const struct condition at = {
        .pi = pmp_dist_from(t->pi, x * h),
        .ref = pmp_dist_from(t->ref, x * h),
        .dpi = {t->dpi.f32 ? t->dpi.f32 + x * h : NULL, t->dpi.f64 ? t->dpi.f64 + x * h : NULL}};
    s.kl = t->kl ? t->kl + x * k : NULL;
    s.w = t->w ? t->w + x * k : NULL;
    switch (d->kind) {
    case PMP_DIST_DIAG_GAUSSIAN:
      PMP_TRY(diag_conditions(d, rows, &s, &at));
      break;
    case PMP_DIST_GAUSSIAN:
      PMP_TRY(chol_condition(d, &s, &at));
      break;
    case PMP_DIST_CATEGORICAL:
      PMP_TRY(pmp_categorical_row(d, &s, at.pi, at.ref, at.dpi));
      break;
    }
  }
  return PMP_OK;
}

static struct batch heads(const struct pmp_dist *d, size_t b, size_t n, const float *head,
                          const float *ref_head, const float *y, const uint32_t *x_of_y) {
  return (struct batch){.d = d,
                        .b = b,
                        .n = n,
                        .pi = {.f32 = head},
                        .ref = {.f32 = ref_head},
                        .y = {.f32 = y},
                        .x_of_y = x_of_y};
}

enum pmp_err pmp_dist_forward(const struct pmp_dist *d, size_t b, size_t n, const float *head,
                              const float *ref_head, const float *y, const uint32_t *x_of_y,
                              double *lp, double *lp_ref, double *kl) {
  struct batch t = heads(d, b, n, head, ref_head, y, x_of_y);
  t.lp = lp, t.lp_ref = lp_ref, t.kl = kl;
  return run(&t);
}

enum pmp_err pmp_dist_backward(const struct pmp_dist *d, size_t b, size_t n, const float *head,
                               const float *ref_head, const float *y, const uint32_t *x_of_y,
                               const double *c, const double *w, float *dhead) {
  struct batch t = heads(d, b, n, head, ref_head, y, x_of_y);
  t.c = c, t.w = w, t.dpi.f32 = dhead;
  return run(&t);
}

enum pmp_err pmp_dist_fused(const struct pmp_dist *d, size_t b, size_t n, const float *head,
                            const float *ref_head, const float *y, const uint32_t *x_of_y,
                            const double *c, const double *w, double *lp, double *lp_ref,
                            double *kl, float *dhead) {
  struct batch t = heads(d, b, n, head, ref_head, y, x_of_y);
  t.lp = lp, t.lp_ref = lp_ref, t.kl = kl;
  t.c = c, t.w = w, t.dpi.f32 = dhead;
  return run(&t);
}

static struct batch naturals(const struct pmp_dist *d, size_t b, size_t n, const double *pi,
                             const double *ref, const double *y, const uint32_t *x_of_y) {
  return (struct batch){.d = d,
                        .b = b,
                        .n = n,
                        .pi = {.f64 = pi},
                        .ref = {.f64 = ref},
                        .y = {.f64 = y},
                        .x_of_y = x_of_y};
}

enum pmp_err pmp_dist_natural_forward(const struct pmp_dist *d, size_t b, size_t n,
                                      const double *pi, const double *ref, const double *y,
                                      const uint32_t *x_of_y, double *lp, double *lp_ref,
                                      double *kl) {
  struct batch t = naturals(d, b, n, pi, ref, y, x_of_y);
  t.lp = lp, t.lp_ref = lp_ref, t.kl = kl;
  return run(&t);
}

enum pmp_err pmp_dist_natural_backward(const struct pmp_dist *d, size_t b, size_t n,
                                       const double *pi, const double *ref, const double *y,
                                       const uint32_t *x_of_y, const double *c, const double *w,
                                       double *dpi) {
  struct batch t = naturals(d, b, n, pi, ref, y, x_of_y);
  t.c = c, t.w = w, t.dpi.f64 = dpi;
  return run(&t);
}
