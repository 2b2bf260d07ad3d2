/* Objectives over pairs of outcomes of one condition, a better and a worse one (dpo, ipo): each
 * gives the loss of one pair as a function of h, the rest is here.
 *
 *   h = [log pi(y_w) - log ref(y_w)] - [log pi(y_l) - log ref(y_l)]
 *
 * Pairs of a condition: where outcomes are evaluated (f), the i-th best with the i-th worst of
 * them, of equal ones the earlier being the better; without evaluations the i-th accepted with the
 * i-th rejected in order of arrival; `pairs` of them at most, and no outcome twice. A pair weighs
 * the geometric mean of its two weights; L is the weighted mean over all pairs of the batch. A
 * condition without a pair contributes nothing and is not counted. */
#ifndef PMP_LEARNER_OBJECTIVE_PAIRS_H
#define PMP_LEARNER_OBJECTIVE_PAIRS_H

#include "learner/objective/objective.h"

/* Loss of one pair; *slope = dloss/dh. */
typedef double pmp_objective_pair_loss(double tau, double h, double *slope);

void pmp_objective_pairs_sums(const struct pmp_objective_config *config,
                              struct pmp_objective_in *in);
PMP_MUST_CHECK enum pmp_err pmp_objective_pairs_eval(const struct pmp_objective_config *config,
                                                     const struct pmp_objective_in *in,
                                                     pmp_objective_pair_loss *loss,
                                                     struct pmp_objective_out *out);
/* tau and pairs. */
PMP_MUST_CHECK enum pmp_err pmp_objective_pairs_check(const struct pmp_objective_config *config,
                                                      uint32_t parts, uint32_t kl_parts,
                                                      struct pmp_errmsg *msg);

#endif
