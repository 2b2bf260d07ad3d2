/* Policy families: what a head (a network's output, or free parameters) says about outcomes, and
 * the way from "coefficients on log-probabilities, weights on the exact KL" back to a gradient on
 * the head.
 *
 * The seam between objective and policy: an objective sees lp, lp_ref and kl and answers with c =
 * dL/dlp and b = dL/dkl; it never sees a head. Pure functions over arrays: no I/O, no allocation,
 * no clock; any thread. B conditions, N outcomes, D action dimensions, H head size, P likelihood
 * parts, K KL parts. float32 in and out, float64 inside sums.
 *
 * Families:
 *  - diag_gaussian: head = (mean_raw[D], std_raw[D]); mean = tanh(mean_raw) if squash_mean else
 * mean_raw; std = softplus(std_raw) * std_scale + std_min. y are raw samples (not clipped).
 *  - gaussian (full covariance C = L L', D <= PMP_DIST_CHOL_DIM_MAX): head = (mean_raw[D], the
 * lower triangle of L row by row, D (D + 1) / 2); the diagonal of L as std above, entries below it
 * as they are.
 *  - categorical: head = logits[D][bins], dimensions independent; y holds bin indices as floats. D
 * = 1 without a network is the tabular softmax over `bins` actions. A logit of -INFINITY is
 * probability 0.
 *
 * Parts (gaussians): joint, P = 1: log N(y; m, s). Split, P = 2 (objectives.md 1, "Mean and
 * spread apart"): lp[.,0] = log N(y; m, s_ref), lp[.,1] = log N(y; m_ref, s); kl[.,0] = sum_d
 * (m_ref-m)^2 / (2 s_ref^2), kl[.,1] = sum_d [ln(s/s_ref) + s_ref^2/(2 s^2) - 1/2]. Per dimension,
 * K = 2 D: kl[., d] the mean's, kl[., D+d] the spread's. Otherwise K = P. lp_ref[., p] is log
 * ref(y|x) for every part. Direction of the KL is always ref || pi. With full covariance: KL_mean =
 * |L_ref^-1 (m_ref
 * - m)|^2 / 2, KL_spread = [|L^-1 L_ref|_F^2 - D] / 2 + sum_i ln(L_ii / L_ref,ii); no per_dim.
 *
 * The mathematics is float64 on natural parameters (family.h), once for heads and for the natural
 * functions below; heads are widened as they are read and gradients rounded to float32 at the end.
 */
#ifndef PMP_POLICY_DIST_DIST_H
#define PMP_POLICY_DIST_DIST_H

#include "base/err.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pmp_dist_kind { PMP_DIST_DIAG_GAUSSIAN = 1, PMP_DIST_CATEGORICAL = 2, PMP_DIST_GAUSSIAN = 3 };

#define PMP_DIST_CHOL_DIM_MAX 256

struct pmp_dist {
  enum pmp_dist_kind kind;
  uint32_t dim;  /* D, 1..4096 */
  uint32_t bins; /* categorical: 2..2^20 */
  bool split;    /* P = 2 (gaussians only) */
  bool per_dim;  /* K = 2 D (diag_gaussian with split only) */
  bool squash_mean;
  float std_scale, std_min; /* 0.5/ln 2 and 0.01 for control; 1 and 1e-8 for bandits */
  float low, high; /* box of the action: clip (gaussian) or ends of linspace (categorical) */
};

/* PMP_EINVALID with the reason. */
PMP_MUST_CHECK enum pmp_err pmp_dist_check(const struct pmp_dist *d, struct pmp_errmsg *msg);
size_t pmp_dist_head(const struct pmp_dist *d);       /* H */
uint32_t pmp_dist_parts(const struct pmp_dist *d);    /* P */
uint32_t pmp_dist_kl_parts(const struct pmp_dist *d); /* K */

/* head, ref_head (B x H), y (N x D), x_of_y (N; NULL: outcome j belongs to condition j / (N / B))
 * -> lp, lp_ref (N x P), kl (B x K); each output may be NULL. PMP_ENONFINITE when an input or a
 * result is not finite (probability 0 in ref contributes 0 to the KL; an outcome of probability 0
 * under pi is an error); PMP_EINVALID for a bin index that is none, x_of_y out of range, or N that
 * is no multiple of B without x_of_y. N may be 0. Fast when x_of_y never falls; in any other order
 * each condition looks at all N. Uses stack by D: at most 0.6 MB, 0.9 MB with full covariance. */
PMP_MUST_CHECK enum pmp_err pmp_dist_forward(const struct pmp_dist *d, size_t b, size_t n,
                                             const float *head, const float *ref_head,
                                             const float *y, const uint32_t *x_of_y, double *lp,
                                             double *lp_ref, double *kl);
/* Overwrites dhead (B x H) with sum_j c_j dlp_j/dhead + sum_x b_x dkl_x/dhead. c (N x P), w (B x
 * K); either may be NULL (zeros). Same inputs as forward. */
PMP_MUST_CHECK enum pmp_err pmp_dist_backward(const struct pmp_dist *d, size_t b, size_t n,
                                              const float *head, const float *ref_head,
                                              const float *y, const uint32_t *x_of_y,
                                              const double *c, const double *w, float *dhead);
/* Forward and backward in one, for objectives whose c and w do not depend on pi: each head is read
 * from memory once. lp, lp_ref, kl may be NULL; dhead is overwritten, and may be head itself: the
 * gradient then takes its place. Rows are independent: callers may give blocks of conditions to
 * threads. */
PMP_MUST_CHECK enum pmp_err pmp_dist_fused(const struct pmp_dist *d, size_t b, size_t n,
                                           const float *head, const float *ref_head, const float *y,
                                           const uint32_t *x_of_y, const double *c, const double *w,
                                           double *lp, double *lp_ref, double *kl, float *dhead);
/* y (B*M x D): M draws for each condition, condition-major; outcome j belongs to condition j / M.
 */
PMP_MUST_CHECK enum pmp_err pmp_dist_sample(const struct pmp_dist *d, size_t b, size_t m,
                                            const float *head, struct pmp_rng *rng, float *y);
/* y (B x D): the mean, or the likeliest bin (lowest index on ties). */
PMP_MUST_CHECK enum pmp_err pmp_dist_mode(const struct pmp_dist *d, size_t b, const float *head,
                                          float *y);
/* entropy (B), in nats. */
PMP_MUST_CHECK enum pmp_err pmp_dist_entropy(const struct pmp_dist *d, size_t b, const float *head,
                                             float *entropy);
/* Gaussians: mean and std (B x D each, either may be NULL; with full covariance the square root of
 * C's diagonal); PMP_EUNAVAILABLE for the other families. */
PMP_MUST_CHECK enum pmp_err pmp_dist_moments(const struct pmp_dist *d, size_t b, const float *head,
                                             float *mean, float *std);
/* Outcomes (N x D) to what the environment and the critic get (N x D): clipped to [low, high], or
 * the bin's value. y and action may be the same array. */
void pmp_dist_action(const struct pmp_dist *d, size_t n, const float *y, float *action);
/* Head of a policy without a network that says mean `mean` (D; NULL: zeros) and std `std`, or equal
 * logits. */
void pmp_dist_init_head(const struct pmp_dist *d, const float *mean, float std, float *head);

/* The same on natural parameters in float64, for numbers that someone has on paper, for exact
 * improvement and for tests. Natural parameters of a condition: diag_gaussian mean[D], std[D];
 * gaussian mean[D], L[D x D] row-major (lower triangle; above it not read, its gradient 0);
 * categorical logits[D][bins]. split and per_dim hold; squash_mean, std_scale and std_min do not.
 * Errors as above; a std, or an entry of L's diagonal, outside [1e-100, 1e100] is PMP_EINVALID. */
size_t pmp_dist_natural(const struct pmp_dist *d); /* float64 a condition */
PMP_MUST_CHECK enum pmp_err pmp_dist_natural_forward(const struct pmp_dist *d, size_t b, size_t n,
                                                     const double *pi, const double *ref,
                                                     const double *y, const uint32_t *x_of_y,
                                                     double *lp, double *lp_ref, double *kl);
/* Overwrites dpi (B x natural). */
PMP_MUST_CHECK enum pmp_err pmp_dist_natural_backward(const struct pmp_dist *d, size_t b, size_t n,
                                                      const double *pi, const double *ref,
                                                      const double *y, const uint32_t *x_of_y,
                                                      const double *c, const double *w,
                                                      double *dpi);
/* Heads (B x H) to natural parameters (B x natural), and back as near as float32 heads can say
 * (PMP_EINVALID when a mean lies outside tanh's range, or a std at or below std_min). */
PMP_MUST_CHECK enum pmp_err pmp_dist_to_natural(const struct pmp_dist *d, size_t b,
                                                const float *head, double *natural);
PMP_MUST_CHECK enum pmp_err pmp_dist_from_natural(const struct pmp_dist *d, size_t b,
                                                  const double *natural, float *head);

#endif
