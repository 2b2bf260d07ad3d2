/* Behaviour cloning (objectives.md 3): L = - mean log pi(y|x) over all outcomes, whatever their
 * verdicts. The whole loss is in out->accepted. */
#include "learner/objective/terms.h"

static enum pmp_err eval(const struct pmp_objective_config *config,
                         const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  PMP_TRY(pmp_objective_in_check(in));
  pmp_objective_clear(in, out);
  const double one[2] = {1.0, 1.0};
  out->accepted = pmp_objective_clone_term(in, one, out->c);
  out->loss = out->accepted;
  return pmp_objective_out_check(config, in, out);
}

const struct pmp_objective pmp_objective_bc = {
    .name = "bc",
    .summary = "behaviour cloning: the likelihood of every outcome",
    .sums = pmp_objective_own_sums,
    .eval = eval,
};
