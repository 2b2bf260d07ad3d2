#include "learner/objective/objective.h"

#include "learner/objective/terms.h"

#include <math.h>
#include <string.h>

static const struct pmp_objective *const table[] = {
    &pmp_objective_pmpo,
    &pmp_objective_bc,
};

#define TABLE_COUNT (sizeof table / sizeof table[0])

const struct pmp_objective *pmp_objective_find(const char *name) {
  for (size_t i = 0; i < TABLE_COUNT; i++) {
    if (strcmp(table[i]->name, name) == 0) return table[i];
  }
  return NULL;
}

const struct pmp_objective *pmp_objective_at(size_t i) {
  return i < TABLE_COUNT ? table[i] : NULL;
}

enum pmp_err pmp_objective_check(const struct pmp_objective_config *config, uint32_t parts,
                                 struct pmp_errmsg *msg) {
  if (!(config->alpha >= 0.0f && config->alpha <= 1.0f)) {
    return pmp_fail(msg, PMP_EINVALID, "alpha is %g: it must lie in [0, 1]", (double)config->alpha);
  }
  if (parts < 1 || parts > 2) {
    return pmp_fail(msg, PMP_EINVALID, "%u likelihood parts: there are 1 or 2", parts);
  }
  for (uint32_t p = 0; p < parts; p++) {
    if (!(config->beta[p] >= 0.0f && isfinite(config->beta[p]))) {
      return pmp_fail(msg, PMP_EINVALID, "beta of part %u is %g: it must be finite and >= 0", p,
                      (double)config->beta[p]);
    }
  }
  if (config->averaging != PMP_AVERAGING_SETS && config->averaging != PMP_AVERAGING_POOL) {
    return pmp_fail(msg, PMP_EINVALID, "averaging %d is none", (int)config->averaging);
  }
  return PMP_OK;
}

void pmp_objective_sums(size_t n, const int8_t *verdict, const float *weight, double *accepted,
                        double *rejected) {
  double a = 0.0, r = 0.0;
  for (size_t j = 0; j < n; j++) {
    const double w = weight != NULL ? (double)weight[j] : 1.0;
    a += verdict[j] > 0 ? w : 0.0;
    r += verdict[j] < 0 ? w : 0.0;
  }
  *accepted = a;
  *rejected = r;
}

double pmp_objective_kl_margin(const struct pmp_objective_config *config,
                               const struct pmp_objective_in *in) {
  const struct pmp_objective_scale scale = pmp_objective_pmpo_scale(config, in);
  double beta = (double)config->beta[0];
  if (in->parts == 2) beta = fmin(beta, (double)config->beta[1]);

  /* The bracket of a condition is the sum of its outcomes' coefficients. */
  double worst = -INFINITY;
  size_t seen = 0; /* conditions with at least one outcome */
  const size_t per = in->b > 0 ? in->n / in->b : 0;
  for (size_t j = 0; j < in->n;) {
    const size_t x = in->x_of_y != NULL ? in->x_of_y[j] : j / per;
    double bracket = 0.0;
    for (; j < in->n && (in->x_of_y != NULL ? in->x_of_y[j] : j / per) == x; j++) {
      const double w = in->weight != NULL ? (double)in->weight[j] : 1.0;
      if (in->verdict[j] > 0) bracket += scale.accepted * w;
      if (in->verdict[j] < 0) bracket += scale.rejected * w;
    }
    seen++;
    worst = fmax(worst, bracket);
  }
  if (seen < in->b || seen == 0) worst = fmax(worst, 0.0);
  return beta - in->conditions * worst;
}

float pmp_objective_beta_auto(float alpha, double rejected_share) {
  if (alpha >= 1.0f) return 0.0f;
  return (float)(1.1 * (1.0 - (double)alpha) / fmax(rejected_share, 1e-3));
}
