/* DPO (Rafailov et al. 2023; objectives.md 3): - log sigmoid(tau h) of each pair. */
#include "learner/objective/pairs.h"
#include "learner/objective/terms.h"

#include <math.h>

/* - log sigmoid(z) = log(1 + exp(-z)), without an exponential that overflows. */
static double loss(double tau, double h, double *slope) {
  const double z = tau * h, e = exp(-fabs(z));
  *slope = -tau * (z > 0.0 ? e : 1.0) / (1.0 + e);
  return fmax(-z, 0.0) + log1p(e);
}

static enum pmp_err eval(const struct pmp_objective_config *config,
                         const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  return pmp_objective_pairs_eval(config, in, loss, out);
}

const struct pmp_objective pmp_objective_dpo = {
    .name = "dpo",
    .summary = "pairs of a better and a worse outcome, logistic loss",
    .needs_lp = true,
    .needs_lp_ref = true,
    .joint_only = true,
    .pairs = true,
    .sums = pmp_objective_pairs_sums,
    .eval = eval,
    .check = pmp_objective_pairs_check,
};
