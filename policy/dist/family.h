/* What a family of distributions offers to dist.c; inside policy/dist only.
 *
 * A family works on one condition at a time, in float64 on natural parameters: its `row` function
 * is the one place where its mathematics stands, for heads and for natural parameters, forward,
 * backward and both at once. Heads of gaussians become natural parameters in head.c; logits are
 * natural already and are widened as they are read. */
#ifndef PMP_POLICY_DIST_FAMILY_H
#define PMP_POLICY_DIST_FAMILY_H

#include "policy/dist/dist.h"

#include <float.h>
#include <math.h>

#define PMP_DIST_DIM_MAX 4096
#define PMP_DIST_BINS_MAX (1u << 20)
/* Rows of dimensions are padded to whole vectors with mean 0 and std 1, which add nothing. */
#define PMP_DIST_PAD 8
/* Before a loop whose arrays do not overlap, or are the same place by place: no need to find out.
 */
#if defined(__GNUC__) && !defined(__clang__)
#define PMP_DIST_APART _Pragma("GCC ivdep")
#else
#define PMP_DIST_APART
#endif
#define PMP_DIST_TRIANGLE(n) ((n) * ((n) + 1) / 2)
#define PMP_DIST_LN_2PI 1.8378770664093454836

/* Numbers of a caller: f32 or f64 is set. */
struct pmp_dist_in {
  const float *f32;
  const double *f64;
};
struct pmp_dist_out {
  float *f32;
  double *f64;
};

static inline bool pmp_dist_given(struct pmp_dist_in x) {
  return x.f32 || x.f64;
}

static inline double pmp_dist_at(struct pmp_dist_in x, size_t i) {
  return x.f64 ? x.f64[i] : (double)x.f32[i];
}

static inline struct pmp_dist_in pmp_dist_from(struct pmp_dist_in x, size_t i) {
  return (struct pmp_dist_in){x.f32 ? x.f32 + i : NULL, x.f64 ? x.f64 + i : NULL};
}

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

/* The same for a result that stays float64. */
static inline bool pmp_dist_keep(double value, double *out) {
  *out = value;
  return isfinite(value);
}

/* What is never below 0 but for rounding. Unlike fmax it keeps a NaN. */
static inline double pmp_dist_clamp(double value) {
  return value < 0 ? 0 : value;
}

static inline size_t pmp_dist_padded(size_t dim) {
  return (dim + PMP_DIST_PAD - 1) / PMP_DIST_PAD * PMP_DIST_PAD;
}

/* What stands on the objective's side of some conditions in a row. Arrays over outcomes are whole;
 * range, kl and w are of the first condition; any of them may be NULL (y only when no condition has
 * outcomes). */
struct pmp_dist_seam {
  const struct pmp_dist_range *range;
  struct pmp_dist_in y;
  double *lp, *lp_ref, *kl;
  const double *c, *w;
};

/* Gaussians of independent dimensions: mean and std, padded, condition after condition. */
struct pmp_diag {
  double *mean, *std;
};

/* Conditions that are worked on together, so that loops are long: as many as have 256 dimensions
 * in all. */
static inline size_t pmp_diag_together(size_t dim) {
  const size_t rows = 256 / pmp_dist_padded(dim);
  return rows > 0 ? rows : 1;
}

/* Writes what `s` asks for, of at most pmp_diag_together(dim) conditions; overwrites the gradient
 * by pi's mean and std unless `grad` is NULL. */
enum pmp_err pmp_diag_rows(const struct pmp_dist *d, size_t rows, const struct pmp_dist_seam *s,
                           const struct pmp_diag *pi, const struct pmp_diag *ref,
                           const struct pmp_diag *grad);

/* One gaussian of full covariance: mean (D) and the lower triangle of L, packed row by row. */
struct pmp_chol {
  double *mean, *lower;
};

/* One condition, as pmp_diag_rows; uses up ref->lower. */
enum pmp_err pmp_chol_row(const struct pmp_dist *d, const struct pmp_dist_seam *s,
                          const struct pmp_chol *pi, const struct pmp_chol *ref,
                          const struct pmp_chol *grad);
/* y (D) of z (D) in place: mean + L z. */
bool pmp_chol_colour(uint32_t dim, const struct pmp_chol *pi, float *y);

/* One condition. pi, ref: its logits; overwrites dpi unless it is NULL. pi, ref, y and dpi are all
 * f32 or all f64; dpi may be pi's memory. */
enum pmp_err pmp_categorical_row(const struct pmp_dist *d, const struct pmp_dist_seam *s,
                                 struct pmp_dist_in pi, struct pmp_dist_in ref,
                                 struct pmp_dist_out dpi);
enum pmp_err pmp_categorical_sample(const struct pmp_dist *d, size_t b, size_t m, const float *head,
                                    struct pmp_rng *rng, float *y);
enum pmp_err pmp_categorical_entropy(const struct pmp_dist *d, const float *head, float *entropy);
enum pmp_err pmp_categorical_mode(const struct pmp_dist *d, const float *head, float *y);

/* ---- heads of gaussians (head.c) ---- */

/* What the heads of some conditions say, those of ref_head after them (NULL: none); `slope`: the
 * derivatives by the first ones' own numbers, unless NULL. */
enum pmp_err pmp_head_diag(const struct pmp_dist *d, size_t rows, const float *head,
                           const float *ref_head, const struct pmp_diag *out,
                           const struct pmp_diag *slope);
/* One condition of full covariance; slope: of the mean and of L's diagonal. Means are padded. */
enum pmp_err pmp_head_chol(const struct pmp_dist *d, const float *head, const struct pmp_chol *out,
                           const struct pmp_diag *slope);
/* dhead of a gradient by mean and std, or by mean and L. */
enum pmp_err pmp_head_diag_back(const struct pmp_dist *d, size_t rows, const struct pmp_diag *grad,
                                const struct pmp_diag *slope, float *dhead);
enum pmp_err pmp_head_chol_back(const struct pmp_dist *d, const struct pmp_chol *grad,
                                const struct pmp_diag *slope, float *dhead);
/* The head's number for a mean or a std; NAN when it has none. */
double pmp_head_mean_raw(const struct pmp_dist *d, double mean);
double pmp_head_std_raw(const struct pmp_dist *d, double std);

/* ---- natural parameters of gaussians (natural.c) ---- */

/* Checked copies of a caller's. */
enum pmp_err pmp_natural_diag(const struct pmp_dist *d, size_t rows, const double *natural,
                              const struct pmp_diag *out);
enum pmp_err pmp_natural_chol(const struct pmp_dist *d, const double *natural,
                              const struct pmp_chol *out);
/* And back, with zeros above the diagonal. */
enum pmp_err pmp_natural_diag_back(const struct pmp_dist *d, size_t rows,
                                   const struct pmp_diag *grad, double *dpi);
enum pmp_err pmp_natural_chol_back(const struct pmp_dist *d, const struct pmp_chol *grad,
                                   double *dpi);

#endif
