/* Exact improvement: PMPO's minimiser over all outcomes of one reference, in closed form, for
 * policies without a network (objectives.md 7): a Gaussian with full or diagonal covariance, or one
 * categorical table. docs/exact-improvement.md has the mathematics.
 *
 * Outcomes of the current reference are added as they come; `step` then moves the policy, which is
 * the next reference, and forgets them (the rule with memory keeps its paths). The whole state is a
 * flat array of float64, so that a checkpoint can keep it; the order of additions does not matter
 * beyond rounding. Pure functions over arrays: no I/O, no allocation, no clock; any thread, one at
 * a time per state. */
#ifndef PMP_LEARNER_IMPROVE_IMPROVE_H
#define PMP_LEARNER_IMPROVE_IMPROVE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define PMP_IMPROVE_DIM_MAX 256         /* of a Gaussian */
#define PMP_IMPROVE_ACTIONS_MAX 1048576 /* of a table */
/* A beta from the outcomes of each step (docs/exact-improvement.md): of Gaussians with PATHS, and
 * of tables. */
#define PMP_IMPROVE_AUTO (-1.0)

enum pmp_improve_kind {
  PMP_IMPROVE_DIAG_GAUSSIAN = 1, /* natural: mean[D], std[D] */
  PMP_IMPROVE_GAUSSIAN,          /* natural: mean[D], chol[D x D], row-major, zeros above */
  PMP_IMPROVE_CATEGORICAL        /* natural: logits[D] (D actions); -INFINITY: probability 0 */
};

enum pmp_improve_rule {
  PMP_IMPROVE_PLAIN = 0, /* objectives.md 7 as printed: no memory between references */
  PMP_IMPROVE_PATHS      /* Gaussians: the same step, with two paths over the references; tables: as
                            plain */
};

struct pmp_improve_config {
  enum pmp_improve_kind kind;
  enum pmp_improve_rule rule;
  uint32_t dim;                /* D; categorical: number of actions */
  double alpha;                /* [0,1] */
  double beta_mean, beta_cov;  /* >= 0 or PMP_IMPROVE_AUTO; categorical: beta_mean alone */
  double eigen_min, eigen_max; /* kept range of the eigenvalues of the bracket; 0.1 and 4 */
  /* Relative accuracy of the y that are added (1e-14 for float64 as drawn here, 1e-6 for float32):
   * no entry of std or of chol's diagonal falls below resolution |mean|, where z would be rounding
   * alone. 0: no such floor. */
  double resolution;
};

/* How to draw and judge: groups of `size` outcomes, the best `accepted` and the worst `rejected` of
 * each judged, the others left unlabelled; one such group a reference. */
struct pmp_improve_groups {
  uint32_t size, accepted, rejected;
};

/* The settings to begin with: for a Gaussian the rule with paths, for a table the plain one; and
 * the groups that go with them. Any other number of outcomes a reference works too; small is
 * better. alpha: 0.5 both, 1 accepted alone, 0 rejected alone. */
void pmp_improve_recommend(enum pmp_improve_kind kind, uint32_t dim, double alpha,
                           struct pmp_improve_config *config, struct pmp_improve_groups *groups);
/* PMP_EINVALID with the reason. */
PMP_MUST_CHECK enum pmp_err pmp_improve_check(const struct pmp_improve_config *config,
                                              struct pmp_errmsg *msg);
/* float64 of natural parameters, and of a state. */
size_t pmp_improve_natural(const struct pmp_improve_config *config);
size_t pmp_improve_doubles(const struct pmp_improve_config *config);
/* An empty state: no outcomes, no memory. */
void pmp_improve_init(const struct pmp_improve_config *config, double *state);
/* Adds n outcomes y (n x D; categorical: n indices) of the reference `natural`, judged 1, -1 or 0
 * (0 is counted only), with weights >= 0 (n; NULL: ones). PMP_EINVALID (a verdict, weight, index or
 * the reference is none), PMP_ENONFINITE: state unchanged. */
PMP_MUST_CHECK enum pmp_err pmp_improve_add(const struct pmp_improve_config *config, double *state,
                                            const double *natural, size_t n, const double *y,
                                            const int8_t *verdict, const double *weight);
/* Outcomes added since the last step, whatever their verdicts. */
size_t pmp_improve_count(const double *state);
/* One improvement of `natural` in place; the outcomes are forgotten. PMP_EBUSY when there are none
 * to improve by (of the signs that alpha asks for); PMP_EUNAVAILABLE when d + beta <= 0;
 * PMP_ENONFINITE, also when a spread falls below what float64 can say; PMP_EINVALID when `natural`
 * is no policy. On failure natural and state are unchanged. */
PMP_MUST_CHECK enum pmp_err pmp_improve_step(const struct pmp_improve_config *config, double *state,
                                             double *natural, struct pmp_errmsg *msg);

#endif
