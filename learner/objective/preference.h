/* Preferences in closed form: Bradley-Terry rewards, and PsiPO's exact solutions over a table of
 * actions (Azar et al. 2023), which tests and experiments hold learned policies against.
 *
 * Pure functions over arrays of float64: no I/O, no allocation, no clock; any thread. */
#ifndef PMP_LEARNER_OBJECTIVE_PREFERENCE_H
#define PMP_LEARNER_OBJECTIVE_PREFERENCE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Bradley-Terry (IPO eq. 2): *loss = weighted mean of - log sigmoid(winner - loser) over n pairs of
 * rewards; dwinner, dloser (n; may be NULL) its gradient. weight (n; NULL: ones). PMP_EINVALID: no
 * weight at all or one below 0; PMP_ENONFINITE: a reward is not finite. */
PMP_MUST_CHECK enum pmp_err pmp_bradley_terry(size_t n, const double *winner, const double *loser,
                                              const double *weight, double *loss, double *dwinner,
                                              double *dloser);

enum pmp_psi {
  PMP_PSI_IDENTITY, /* IPO eq. 9 */
  PMP_PSI_LOGIT     /* eq. 7: RLHF and DPO; p outside [1e-6, 1 - 1e-6] is an error, or clamped */
};

/* pi_y ~ ref_y exp( sum_y' mu_y' Psi(p(y > y')) / tau ) over n actions. ref, mu (n; each sums to 1
 * within 1e-9), p (n x n, row beats column, in [0, 1]), tau > 0; pi (n). PMP_EINVALID with what and
 * where; msg may be NULL. */
PMP_MUST_CHECK enum pmp_err pmp_psipo_solve(enum pmp_psi psi, size_t n, const double *ref,
                                            const double *mu, const double *p, double tau,
                                            bool clamp, double *pi, struct pmp_errmsg *msg);

/* PMPO's optimum over a table (objectives.md 6): A = alpha pa - (1 - alpha) pr + beta ref;
 * pi = max(A, 0) / sum max(A, 0). pa, pr (n; the distributions of the two sets, NULL: empty set).
 * *margin (nullable) = min A: below 0 the loss has no finite minimum. PMP_EINVALID when no A is
 * above 0. */
PMP_MUST_CHECK enum pmp_err pmp_pmpo_solve(size_t n, const double *pa, const double *pr,
                                           const double *ref, double alpha, double beta, double *pi,
                                           double *margin);

#endif
