/* PMPO (Abdolmaleki et al. 2024, eq. 10; objectives.md 1):
 *   L = - alpha mean_a log pi + (1 - alpha) mean_r log pi + beta mean_x KL(ref||pi).
 *
 * With kl_by_state (second version of the paper, Sec. 3.2) the means are taken per condition and
 * averaged over all conditions, one without accepted outcomes adding 0; with n_a, n_r a condition's
 * sums of weights, k_x = 1 / (1 - Z_x) = (n_a + n_r + 1) / (n_r + 1/2) and beta k_x / mean(k)
 * weighs its KL. */
#include "learner/objective/group.h"
#include "learner/objective/terms.h"

#include <math.h>

#define K_UNLABELLED 2.0 /* k of a condition without verdicts */

/* A condition's sums of weights. */
struct mass {
  double accepted, rejected, all;
};

static struct mass mass_of(const struct pmp_objective_in *in, const struct pmp_objective_group *g) {
  struct mass m = {0};
  for (size_t j = g->first; j < g->last; j++) {
    const double w = pmp_objective_weight(in, j);
    m.accepted += in->verdict[j] > 0 ? w : 0.0;
    m.rejected += in->verdict[j] < 0 ? w : 0.0;
    m.all += w;
  }
  return m;
}

static double k_of(struct mass m) {
  return (m.accepted + m.rejected + 1.0) / (m.rejected + 0.5);
}

static void sums(const struct pmp_objective_config *config, struct pmp_objective_in *in) {
  pmp_objective_own_sums(config, in);
  if (!config->kl_by_state) return;
  double seen = 0.0;
  for (struct pmp_objective_group g = {0}; pmp_objective_next_group(in, &g);) {
    in->k += k_of(mass_of(in, &g));
    seen += 1.0;
  }
  in->k += K_UNLABELLED * ((double)in->b - seen);
}

/* What multiplies w_j of a condition of mass m. */
static struct pmp_objective_scale state_scale(const struct pmp_objective_config *config,
                                              const struct pmp_objective_in *in, struct mass m) {
  struct pmp_objective_scale scale = {0};
  if (in->accepted > 0.0 && m.accepted > 0.0) {
    scale.accepted = -config->alpha / (m.accepted * in->conditions);
  }
  if (in->rejected > 0.0 && m.rejected > 0.0) {
    scale.rejected = (1.0 - config->alpha) / (m.rejected * in->conditions);
  }
  return scale;
}

/* One condition's weight on its KL, `beta` given: what stands for beta / B. */
static double state_beta(const struct pmp_objective_in *in, double beta, double k) {
  return in->k > 0.0 ? beta * (k / in->k) : 0.0;
}

/* w of one condition, and its share of the KL term. */
static double state_kl(const struct pmp_objective_config *config, const struct pmp_objective_in *in,
                       size_t x, double k, double *w) {
  double term = 0.0;
  for (uint32_t i = 0; i < in->kl_parts; i++) {
    const double b = state_beta(in, config->beta[pmp_objective_kl_part(in, i)], k);
    if (w != NULL) w[x * in->kl_parts + i] = b;
    if (b > 0.0) term += in->kl != NULL ? b * in->kl[x * in->kl_parts + i] : NAN;
  }
  return term;
}

static void eval_by_state(const struct pmp_objective_config *config,
                          const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  size_t next = 0; /* conditions before this one are done */
  for (struct pmp_objective_group g = {0}; pmp_objective_next_group(in, &g);) {
    const struct mass m = mass_of(in, &g);
    const struct pmp_objective_scale scale = state_scale(config, in, m);
    for (size_t j = g.first; j < g.last; j++) {
      const double w = pmp_objective_weight(in, j);
      if (in->verdict[j] > 0) {
        out->accepted += pmp_objective_add_share(in, j, scale.accepted * w, out->c);
      } else if (in->verdict[j] < 0) {
        out->rejected += pmp_objective_add_share(in, j, scale.rejected * w, out->c);
      }
    }
    for (; next < g.x; next++) out->kl += state_kl(config, in, next, K_UNLABELLED, out->w);
    out->kl += state_kl(config, in, g.x, k_of(m), out->w);
    next = g.x + 1;
  }
  for (; next < in->b; next++) out->kl += state_kl(config, in, next, K_UNLABELLED, out->w);
}

static enum pmp_err eval(const struct pmp_objective_config *config,
                         const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  PMP_TRY(pmp_objective_in_check(in));
  if (config->kl_by_state) {
    if (in->b > 0 && !(in->k > 0.0)) return PMP_EINVALID;
    PMP_TRY(pmp_objective_groups_check(in));
    pmp_objective_clear(in, out);
    eval_by_state(config, in, out);
  } else {
    pmp_objective_clear_loss(out);
    const struct pmp_objective_scale scale = pmp_objective_pmpo_scale(config, in);
    if (out->c != NULL) pmp_objective_fill_c(in, scale, out->c);
    /* A term of weight 0 is 0, whatever its log-probabilities are. */
    if (scale.accepted != 0.0) out->accepted = scale.accepted * pmp_objective_sum_lp(in, 1);
    if (scale.rejected != 0.0) out->rejected = scale.rejected * pmp_objective_sum_lp(in, -1);
    out->kl = pmp_objective_kl_term(config, in, out);
  }
  out->loss = out->accepted + out->rejected + out->kl;
  return pmp_objective_out_check(config, in, out);
}

double pmp_objective_kl_margin(const struct pmp_objective_config *config,
                               const struct pmp_objective_in *in) {
  const struct pmp_objective_scale whole = pmp_objective_pmpo_scale(config, in);
  const double outcomes = pmp_objective_outcomes(in);
  const double beta = in->parts == 2 ? fmin(config->beta[0], config->beta[1]) : config->beta[0];
  const double conditions = in->conditions;
  double least = INFINITY;
  size_t seen = 0;
  for (struct pmp_objective_group g = {0}; pmp_objective_next_group(in, &g); seen++) {
    const struct mass m = mass_of(in, &g);
    const struct pmp_objective_scale scale =
        config->kl_by_state ? state_scale(config, in, m) : whole;
    double b = beta;
    if (config->kl_by_state) b = conditions * state_beta(in, beta, k_of(m));
    if (config->kl == PMP_KL_BC) b = outcomes > 0.0 ? beta * conditions * (m.all / outcomes) : 0.0;
    /* The bracket of a condition is the sum of its outcomes' coefficients. */
    const double bracket = scale.accepted * m.accepted + scale.rejected * m.rejected;
    least = fmin(least, b - conditions * bracket);
  }
  if (seen == 0) return beta;
  if (seen < in->b && config->kl == PMP_KL_EXACT) {
    least =
        fmin(least, config->kl_by_state ? conditions * state_beta(in, beta, K_UNLABELLED) : beta);
  }
  return least;
}

static enum pmp_err check(const struct pmp_objective_config *config, uint32_t parts,
                          uint32_t kl_parts, struct pmp_errmsg *msg) {
  (void)kl_parts;
  PMP_TRY(pmp_objective_check_pmpo(config, parts, msg));
  if (config->averaging != PMP_AVERAGING_SETS && config->averaging != PMP_AVERAGING_POOL) {
    return pmp_fail(msg, PMP_EINVALID, "averaging %d is none", (int)config->averaging);
  }
  if (config->kl_by_state && config->averaging != PMP_AVERAGING_SETS) {
    return pmp_fail(msg, PMP_EINVALID,
                    "kl_weight state takes its means per condition: it needs averaging sets");
  }
  if (config->kl_by_state && config->kl != PMP_KL_EXACT) {
    return pmp_fail(msg, PMP_EINVALID, "kl_weight state needs kl exact");
  }
  return PMP_OK;
}

const struct pmp_objective pmp_objective_pmpo = {
    .name = "pmpo",
    .summary = "accepted outcomes more likely, rejected ones less, close to the reference",
    .sums = sums,
    .eval = eval,
    .check = check,
};
