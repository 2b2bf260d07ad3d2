/* What a family of distributions offers to dist.c; inside policy/dist only.
 *
 * A family works on one condition at a time: `prepare` reads a head and its reference into a row,
 * everything else reads the row. float64 throughout; results go to the caller's float32 arrays
 * through pmp_dist_narrow. */
#ifndef PMP_POLICY_DIST_FAMILY_H
#define PMP_POLICY_DIST_FAMILY_H

#include "policy/dist/dist.h"

#include <math.h>

#define PMP_DIST_DIM_MAX 4096
#define PMP_DIST_BINS_MAX (1u << 20)

/* The outcomes of one condition: all j in [first, last) with x_of_y[j] == x (all of them when
 * x_of_y is NULL). */
struct pmp_dist_range {
  size_t first, last, x;
  const uint32_t *x_of_y;
};

static inline bool pmp_dist_has(const struct pmp_dist_range *r, size_t j) {
  return r->x_of_y == NULL || r->x_of_y[j] == r->x;
}

/* float32 of a result; a value that is none or too large for float32 is the error. */
static inline bool pmp_dist_narrow(double value, float *out) {
  *out = (float)value;
  return isfinite(*out);
}

/* What is never below 0 but for rounding. Unlike fmax it keeps a NaN. */
static inline double pmp_dist_clamp(double value) {
  return value < 0 ? 0 : value;
}

/* The arguments of pmp_dist_forward and pmp_dist_backward for one condition: arrays over outcomes
 * are whole, heads and KLs are the condition's row. */
struct pmp_dist_row {
  const float *head, *ref_head, *y;
  float *lp, *lp_ref, *kl;
  const float *c, *w;
  float *dhead;
};

enum pmp_err pmp_gaussian_forward(const struct pmp_dist *d, const struct pmp_dist_range *r,
                                  const struct pmp_dist_row *row);
enum pmp_err pmp_gaussian_backward(const struct pmp_dist *d, const struct pmp_dist_range *r,
                                   const struct pmp_dist_row *row);
enum pmp_err pmp_gaussian_sample(const struct pmp_dist *d, size_t b, size_t m, const float *head,
                                 struct pmp_rng *rng, float *y);
enum pmp_err pmp_gaussian_entropy(const struct pmp_dist *d, const float *head, float *entropy);
enum pmp_err pmp_gaussian_moments(const struct pmp_dist *d, const float *head, float *mean,
                                  float *std);
void pmp_gaussian_init_head(const struct pmp_dist *d, const float *mean, float std, float *head);

enum pmp_err pmp_categorical_forward(const struct pmp_dist *d, const struct pmp_dist_range *r,
                                     const struct pmp_dist_row *row);
enum pmp_err pmp_categorical_backward(const struct pmp_dist *d, const struct pmp_dist_range *r,
                                      const struct pmp_dist_row *row);
enum pmp_err pmp_categorical_sample(const struct pmp_dist *d, size_t b, size_t m, const float *head,
                                    struct pmp_rng *rng, float *y);
enum pmp_err pmp_categorical_entropy(const struct pmp_dist *d, const float *head, float *entropy);
enum pmp_err pmp_categorical_mode(const struct pmp_dist *d, const float *head, float *y);

#endif
