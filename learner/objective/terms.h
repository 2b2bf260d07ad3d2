/* What the objectives of this folder share: the check of a batch, weighted sums of
 * log-probabilities, the KL term. */
#ifndef PMP_LEARNER_OBJECTIVE_TERMS_H
#define PMP_LEARNER_OBJECTIVE_TERMS_H

#include "learner/objective/objective.h"

/* The rows of objective.c's table, one file each. */
extern const struct pmp_objective pmp_objective_pmpo;
extern const struct pmp_objective pmp_objective_bc;

/* All denominators that there are: what `sums` is for an objective without ones of its own. */
void pmp_objective_own_sums(const struct pmp_objective_config *config, struct pmp_objective_in *in);

/* c of one outcome is the scale of its verdict times its weight. */
struct pmp_objective_scale {
  double rejected, unlabelled, accepted;
};

/* PMP_EINVALID for shapes, verdicts, weights or denominators that cannot be. */
PMP_MUST_CHECK enum pmp_err pmp_objective_in_check(const struct pmp_objective_in *in);

/* Of the signs of PMPO: -alpha / N_a and (1 - alpha) / N_r, or both over N_a + N_r; 0 for an empty
 * set. */
struct pmp_objective_scale pmp_objective_pmpo_scale(const struct pmp_objective_config *config,
                                                    const struct pmp_objective_in *in);
/* c (N x P) = scale of the verdict times the weight, the same for every part. */
void pmp_objective_fill_c(const struct pmp_objective_in *in, struct pmp_objective_scale scale,
                          float *c);
/* sum_j w_j sum_p lp[j,p] over outcomes of one verdict; NaN without lp. */
double pmp_objective_sum_lp(const struct pmp_objective_in *in, int verdict);
/* Writes w (nullable) and returns beta . mean KL; NaN without kl, 0 when every beta is. */
double pmp_objective_kl_term(const struct pmp_objective_config *config,
                             const struct pmp_objective_in *in, float *w);
/* PMP_ENONFINITE when a part that could be computed from `in` is not finite. */
PMP_MUST_CHECK enum pmp_err pmp_objective_out_check(const struct pmp_objective_in *in,
                                                    const struct pmp_objective_out *out);

#endif
