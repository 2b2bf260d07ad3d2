/* PMPO (Abdolmaleki et al. 2024, eq. 10; objectives.md 1):
 *   L = - alpha mean_a log pi + (1 - alpha) mean_r log pi + beta mean_x KL(ref||pi). */
#include "learner/objective/terms.h"

static enum pmp_err eval(const struct pmp_objective_config *config,
                         const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  PMP_TRY(pmp_objective_in_check(in));
  const struct pmp_objective_scale scale = pmp_objective_pmpo_scale(config, in);
  if (out->c != NULL) pmp_objective_fill_c(in, scale, out->c);
  /* A term of weight 0 is 0, whatever its log-probabilities are. */
  out->accepted = scale.accepted != 0.0 ? scale.accepted * pmp_objective_sum_lp(in, 1) : 0.0;
  out->rejected = scale.rejected != 0.0 ? scale.rejected * pmp_objective_sum_lp(in, -1) : 0.0;
  out->kl = pmp_objective_kl_term(config, in, out->w);
  out->loss = out->accepted + out->rejected + out->kl;
  return pmp_objective_out_check(in, out);
}

const struct pmp_objective pmp_objective_pmpo = {
    .name = "pmpo", .needs_lp = false, .sums = pmp_objective_own_sums, .eval = eval};
