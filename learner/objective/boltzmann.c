/* PMPO with known evaluations (Abdolmaleki et al. 2024, eq. 5 and appendix "Final update rule";
 * objectives.md 1, "Boltzmann variants"):
 *
 *   q_j = softmax_j(f_j / eta), t_j = softmax_j(-f_j / eta) over the outcomes of a condition
 *   L = - alpha mean_x sum_j q_j log pi + (1 - alpha) mean_x sum_j t_j log pi + beta mean_x KL
 *
 * The first two means run over the conditions with evaluations, the KL's over all. Weights multiply
 * the exponentials. Every judged condition has mass 1 in either set, so `sums` says `judged` for
 * accepted and rejected; a caller that denies one of them drops its term. */
#include "learner/objective/group.h"
#include "learner/objective/terms.h"

#include <math.h>

static void sums(const struct pmp_objective_config *config, struct pmp_objective_in *in) {
  pmp_objective_own_sums(config, in);
  in->judged = pmp_objective_count_judged(in);
  in->accepted = in->rejected = in->judged;
}

/* Adds scale sum_x sum_j softmax_j(slope f_j) log pi(y_j) to the loss, and its part to c. */
static double set_term(const struct pmp_objective_in *in, double slope, double scale, double *c) {
  double term = 0.0;
  struct pmp_objective_tilt t;
  for (struct pmp_objective_group g = {0}; pmp_objective_next_group(in, &g);) {
    if (!pmp_objective_tilt(in, &g, in->f, slope, &t)) continue;
    for (size_t j = g.first; j < g.last; j++) {
      term += pmp_objective_add_share(in, j, scale * pmp_objective_tilt_share(in, &t, j), c);
    }
  }
  return term;
}

static enum pmp_err eval(const struct pmp_objective_config *config,
                         const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  PMP_TRY(pmp_objective_in_check(in));
  PMP_TRY(pmp_objective_groups_check(in));
  if (in->n > 0 && in->f == NULL) return PMP_EINVALID;
  pmp_objective_clear(in, out);
  const double alpha = config->alpha, slope = 1.0 / config->eta;
  if (in->judged > 0.0 && in->accepted > 0.0 && alpha > 0.0) {
    out->accepted = set_term(in, slope, -alpha / in->judged, out->c);
  }
  if (in->judged > 0.0 && in->rejected > 0.0 && alpha < 1.0) {
    out->rejected = set_term(in, -slope, (1.0 - alpha) / in->judged, out->c);
  }
  out->kl = pmp_objective_kl_term(config, in, out);
  out->loss = out->accepted + out->rejected + out->kl;
  return pmp_objective_out_check(config, in, out);
}

static enum pmp_err check(const struct pmp_objective_config *config, uint32_t parts,
                          uint32_t kl_parts, struct pmp_errmsg *msg) {
  (void)kl_parts;
  PMP_TRY(pmp_objective_check_pmpo(config, parts, msg));
  if (!(config->eta > 0.0 && isfinite(config->eta) && isfinite(1.0 / config->eta))) {
    return pmp_fail(msg, PMP_EINVALID, "eta is %g: it must be finite and > 0", config->eta);
  }
  return PMP_OK;
}

const struct pmp_objective pmp_objective_boltzmann = {
    .name = "boltzmann",
    .summary = "PMPO with weights exp(f/eta) and exp(-f/eta) instead of verdicts",
    .needs_f = true,
    .sums = sums,
    .eval = eval,
    .check = check,
};
