#include "policy/dist/dist.h"

#include "policy/dist/family.h"

#include <float.h>
#include <string.h>

enum pmp_err pmp_dist_check(const struct pmp_dist *d, struct pmp_errmsg *msg) {
  const bool gaussian = d->kind == PMP_DIST_DIAG_GAUSSIAN;
  if (!gaussian && d->kind != PMP_DIST_CATEGORICAL)
    return pmp_fail(msg, PMP_EINVALID, "no policy family %d", (int)d->kind);
  if (d->dim < 1 || d->dim > PMP_DIST_DIM_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%u action dimensions: 1 to %d are possible", d->dim,
                    PMP_DIST_DIM_MAX);
  if (!gaussian && (d->bins < 2 || d->bins > PMP_DIST_BINS_MAX))
    return pmp_fail(msg, PMP_EINVALID, "%u bins: 2 to %u are possible", d->bins, PMP_DIST_BINS_MAX);
  if (d->split && !gaussian)
    return pmp_fail(msg, PMP_EINVALID, "only a Gaussian has its mean and spread apart");
  if (d->per_dim && !d->split)
    return pmp_fail(msg, PMP_EINVALID, "a KL per dimension needs mean and spread apart");
  if (gaussian && !(d->std_scale > 0 && d->std_scale <= FLT_MAX))
    return pmp_fail(msg, PMP_EINVALID, "std_scale %g is not above 0", (double)d->std_scale);
  if (gaussian && !(d->std_min > 0 && d->std_min <= FLT_MAX))
    return pmp_fail(msg, PMP_EINVALID, "std_min %g is not above 0", (double)d->std_min);
  if (!(d->low < d->high) || !isfinite(d->low) || !isfinite(d->high))
    return pmp_fail(msg, PMP_EINVALID, "actions from %g to %g", (double)d->low, (double)d->high);
  return PMP_OK;
}

size_t pmp_dist_head(const struct pmp_dist *d) {
  return (size_t)d->dim * (d->kind == PMP_DIST_CATEGORICAL ? d->bins : 2);
}

uint32_t pmp_dist_parts(const struct pmp_dist *d) {
  return d->split ? 2 : 1;
}

uint32_t pmp_dist_kl_parts(const struct pmp_dist *d) {
  return d->per_dim ? 2 * d->dim : pmp_dist_parts(d);
}

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

/* The range of condition x; `r` is that of x - 1. */
static void range_next(const struct layout *l, size_t n, size_t x, struct pmp_dist_range *r) {
  r->x = x;
  r->x_of_y = NULL;
  r->first = r->last;
  if (l->x_of_y == NULL) {
    r->last = r->first + l->share;
  } else if (l->sorted) {
    while (r->last < n && l->x_of_y[r->last] == x) r->last++;
  } else {
    r->x_of_y = l->x_of_y;
    r->first = 0;
    r->last = n;
  }
}

enum pmp_err pmp_dist_forward(const struct pmp_dist *d, size_t b, size_t n, const float *head,
                              const float *ref_head, const float *y, const uint32_t *x_of_y,
                              float *lp, float *lp_ref, float *kl) {
  const size_t h = pmp_dist_head(d), k = pmp_dist_kl_parts(d);
  struct layout l;
  PMP_TRY(layout_of(b, n, x_of_y, &l));
  struct pmp_dist_range r = {0};
  for (size_t x = 0; x < b; x++) {
    range_next(&l, n, x, &r);
    const struct pmp_dist_row row = {.head = head + x * h,
                                     .ref_head = ref_head + x * h,
                                     .y = y,
                                     .lp = lp,
                                     .lp_ref = lp_ref,
                                     .kl = kl ? kl + x * k : NULL};
    PMP_TRY(d->kind == PMP_DIST_CATEGORICAL ? pmp_categorical_forward(d, &r, &row)
                                            : pmp_gaussian_forward(d, &r, &row));
  }
  return PMP_OK;
}

enum pmp_err pmp_dist_backward(const struct pmp_dist *d, size_t b, size_t n, const float *head,
                               const float *ref_head, const float *y, const uint32_t *x_of_y,
                               const float *c, const float *w, float *dhead) {
  const size_t h = pmp_dist_head(d), k = pmp_dist_kl_parts(d);
  struct layout l;
  PMP_TRY(layout_of(b, n, x_of_y, &l));
  struct pmp_dist_range r = {0};
  for (size_t x = 0; x < b; x++) {
    range_next(&l, n, x, &r);
    const struct pmp_dist_row row = {.head = head + x * h,
                                     .ref_head = ref_head + x * h,
                                     .y = y,
                                     .c = c,
                                     .w = w ? w + x * k : NULL,
                                     .dhead = dhead + x * h};
    PMP_TRY(d->kind == PMP_DIST_CATEGORICAL ? pmp_categorical_backward(d, &r, &row)
                                            : pmp_gaussian_backward(d, &r, &row));
  }
  return PMP_OK;
}

enum pmp_err pmp_dist_sample(const struct pmp_dist *d, size_t b, size_t m, const float *head,
                             struct pmp_rng *rng, float *y) {
  return d->kind == PMP_DIST_CATEGORICAL ? pmp_categorical_sample(d, b, m, head, rng, y)
                                         : pmp_gaussian_sample(d, b, m, head, rng, y);
}

enum pmp_err pmp_dist_mode(const struct pmp_dist *d, size_t b, const float *head, float *y) {
  const size_t h = pmp_dist_head(d);
  for (size_t x = 0; x < b; x++)
    PMP_TRY(d->kind == PMP_DIST_CATEGORICAL
                ? pmp_categorical_mode(d, head + x * h, y + x * d->dim)
                : pmp_gaussian_moments(d, head + x * h, y + x * d->dim, NULL));
  return PMP_OK;
}

enum pmp_err pmp_dist_entropy(const struct pmp_dist *d, size_t b, const float *head,
                              float *entropy) {
  const size_t h = pmp_dist_head(d);
  for (size_t x = 0; x < b; x++)
    PMP_TRY(d->kind == PMP_DIST_CATEGORICAL ? pmp_categorical_entropy(d, head + x * h, entropy + x)
                                            : pmp_gaussian_entropy(d, head + x * h, entropy + x));
  return PMP_OK;
}

enum pmp_err pmp_dist_moments(const struct pmp_dist *d, size_t b, const float *head, float *mean,
                              float *std) {
  const size_t h = pmp_dist_head(d);
  if (d->kind != PMP_DIST_DIAG_GAUSSIAN) return PMP_EUNAVAILABLE;
  for (size_t x = 0; x < b; x++)
    PMP_TRY(pmp_gaussian_moments(d, head + x * h, mean ? mean + x * d->dim : NULL,
                                 std ? std + x * d->dim : NULL));
  return PMP_OK;
}

void pmp_dist_action(const struct pmp_dist *d, size_t n, const float *y, float *action) {
  const size_t count = n * d->dim;
  if (d->kind == PMP_DIST_DIAG_GAUSSIAN) {
    for (size_t i = 0; i < count; i++) {
      const float v = y[i] < d->low ? d->low : y[i];
      action[i] = v > d->high ? d->high : v;
    }
    return;
  }
  const double low = (double)d->low, step = ((double)d->high - low) / (double)(d->bins - 1);
  for (size_t i = 0; i < count; i++)
    action[i] = y[i] >= (float)(d->bins - 1) ? d->high : (float)(low + step * (double)y[i]);
}

void pmp_dist_init_head(const struct pmp_dist *d, const float *mean, float std, float *head) {
  if (d->kind == PMP_DIST_CATEGORICAL)
    memset(head, 0, pmp_dist_head(d) * sizeof *head);
  else
    pmp_gaussian_init_head(d, mean, std, head);
}
