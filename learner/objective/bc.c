/* Behaviour cloning (objectives.md 3): L = - mean log pi(y|x) over all outcomes, whatever their
 * verdicts. alpha, beta and averaging are not used; the whole loss is in out->accepted. */
#include "learner/objective/terms.h"

static enum pmp_err eval(const struct pmp_objective_config *config,
                         const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  PMP_TRY(pmp_objective_in_check(in));
  struct pmp_objective_in own = *in;
  pmp_objective_own_sums(config, &own);
  const double outcomes = in->outcomes > 0.0 ? in->outcomes : own.outcomes;
  const double s = outcomes > 0.0 ? -1.0 / outcomes : 0.0;
  const struct pmp_objective_scale scale = {s, s, s};
  if (out->c != NULL) pmp_objective_fill_c(in, scale, out->c);
  if (out->w != NULL) {
    for (size_t i = 0; i < in->b * in->kl_parts; i++) out->w[i] = 0.0f;
  }
  out->accepted = 0.0;
  if (s != 0.0) {
    for (int verdict = -1; verdict <= 1; verdict++) {
      out->accepted += s * pmp_objective_sum_lp(in, verdict);
    }
  }
  out->rejected = 0.0;
  out->kl = 0.0;
  out->loss = out->accepted;
  return pmp_objective_out_check(in, out);
}

const struct pmp_objective pmp_objective_bc = {
    .name = "bc", .needs_lp = false, .sums = pmp_objective_own_sums, .eval = eval};
