/* What the objectives of this folder share: the check of a batch, weighted sums of
 * log-probabilities, the KL term. */
#ifndef PMP_LEARNER_OBJECTIVE_TERMS_H
#define PMP_LEARNER_OBJECTIVE_TERMS_H

#include "learner/objective/objective.h"

/* The rows of objective.c's table, one file each. */
extern const struct pmp_objective pmp_objective_pmpo;
extern const struct pmp_objective pmp_objective_boltzmann;
extern const struct pmp_objective pmp_objective_mpo;
extern const struct pmp_objective pmp_objective_dpo;
extern const struct pmp_objective pmp_objective_ipo;
extern const struct pmp_objective pmp_objective_bc;

/* The denominators that every objective has, and 0 for the rest: `sums` of an objective without
 * ones of its own. */
void pmp_objective_own_sums(const struct pmp_objective_config *config, struct pmp_objective_in *in);

/* Whether K KL parts go with P likelihood parts. */
bool pmp_objective_parts_fit(uint32_t parts, uint32_t kl_parts);
/* alpha, beta and kl. */
PMP_MUST_CHECK enum pmp_err pmp_objective_check_pmpo(const struct pmp_objective_config *config,
                                                     uint32_t parts, struct pmp_errmsg *msg);

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
                          double *c);
/* sum_j w_j sum_p lp[j,p] over outcomes of one verdict; NaN without lp. */
double pmp_objective_sum_lp(const struct pmp_objective_in *in, int verdict);
/* Adds `share` to c of outcome j, every part (c may be NULL), and returns share sum_p lp[j,p]: 0
 * when share is, NaN without lp. */
double pmp_objective_add_share(const struct pmp_objective_in *in, size_t j, double share,
                               double *c);
/* in->outcomes, or this batch's own when that is 0. */
double pmp_objective_outcomes(const struct pmp_objective_in *in);
/* - sum_p scale[p] mean_j lp[j,p] over all outcomes; adds its part to c (may be NULL). Parts of
 * scale 0 are not read. */
double pmp_objective_clone_term(const struct pmp_objective_in *in, const double scale[2],
                                double *c);
/* Which beta (0 or 1) a KL part goes with. */
static inline uint32_t pmp_objective_kl_part(const struct pmp_objective_in *in, uint32_t k) {
  return in->parts == 2 && k >= in->kl_parts / 2 ? 1 : 0;
}
/* Returns beta . mean KL, or what stands for it under PMP_KL_BC; adds to out->c, overwrites out->w
 * (either may be NULL). NaN without kl (lp), 0 when every beta is. */
double pmp_objective_kl_term(const struct pmp_objective_config *config,
                             const struct pmp_objective_in *in, struct pmp_objective_out *out);
/* Zeros in the parts of the loss; and in c and w too. */
void pmp_objective_clear_loss(struct pmp_objective_out *out);
void pmp_objective_clear(const struct pmp_objective_in *in, struct pmp_objective_out *out);
/* PMP_ENONFINITE when a part that could be computed from `in` is not finite. */
PMP_MUST_CHECK enum pmp_err pmp_objective_out_check(const struct pmp_objective_config *config,
                                                    const struct pmp_objective_in *in,
                                                    const struct pmp_objective_out *out);

#endif
