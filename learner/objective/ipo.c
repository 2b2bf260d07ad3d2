/* IPO (Azar et al. 2023, eq. 17; objectives.md 3): (h - 1 / (2 tau))^2 of each pair. */
#include "learner/objective/pairs.h"
#include "learner/objective/terms.h"

static double loss(double tau, double h, double *slope) {
  const double gap = h - 0.5 / tau;
  *slope = 2.0 * gap;
  return gap * gap;
}

static enum pmp_err eval(const struct pmp_objective_config *config,
                         const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  return pmp_objective_pairs_eval(config, in, loss, out);
}

const struct pmp_objective pmp_objective_ipo = {
    .name = "ipo",
    .summary = "pairs of a better and a worse outcome, squared distance from a margin",
    .needs_lp = true,
    .needs_lp_ref = true,
    .joint_only = true,
    .pairs = true,
    .sums = pmp_objective_pairs_sums,
    .eval = eval,
    .check = pmp_objective_pairs_check,
};
