#include "learner/objective/objective.h"

#include "learner/objective/terms.h"

#include <math.h>
#include <string.h>

/* One row a line; a new one goes to the end. */
/* clang-format off */
static const struct pmp_objective *const table[] = {
    &pmp_objective_pmpo,
    &pmp_objective_boltzmann,
    &pmp_objective_mpo,
    &pmp_objective_dpo,
    &pmp_objective_ipo,
    &pmp_objective_bc,
};
/* clang-format on */

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

enum pmp_err pmp_objective_check(const struct pmp_objective *objective,
                                 const struct pmp_objective_config *config, uint32_t parts,
                                 uint32_t kl_parts, struct pmp_errmsg *msg) {
  if (parts < 1 || parts > 2) {
    return pmp_fail(msg, PMP_EINVALID, "%u likelihood parts: there are 1 or 2", parts);
  }
  if (!pmp_objective_parts_fit(parts, kl_parts)) {
    return pmp_fail(msg, PMP_EINVALID, "%u KL parts do not go with %u likelihood parts", kl_parts,
                    parts);
  }
  if (objective->joint_only && parts != 1) {
    return pmp_fail(msg, PMP_EINVALID,
                    "%s compares whole likelihoods: beta_mean and beta_std must be left at joint",
                    objective->name);
  }
  if (objective->check == NULL) return PMP_OK;
  return objective->check(config, parts, kl_parts, msg);
}

struct pmp_objective_config pmp_objective_config_default(void) {
  return (struct pmp_objective_config){.alpha = 0.5,
                                       .beta = {0.5, 0.5},
                                       .averaging = PMP_AVERAGING_SETS,
                                       .kl = PMP_KL_EXACT,
                                       .eta = 1.0,
                                       .tau = 0.1,
                                       .pairs = 1,
                                       .eps = 0.1,
                                       .eps_mean = 2.5e-3,
                                       .eps_std = 1e-6};
}

void pmp_objective_sums(size_t n, const int8_t *verdict, const double *weight, double *accepted,
                        double *rejected) {
  double a = 0.0, r = 0.0;
  for (size_t j = 0; j < n; j++) {
    const double w = weight != NULL ? weight[j] : 1.0;
    a += verdict[j] > 0 ? w : 0.0;
    r += verdict[j] < 0 ? w : 0.0;
  }
  *accepted = a;
  *rejected = r;
}

double pmp_objective_beta_auto(double alpha, double rejected_share) {
  if (alpha >= 1.0) return 0.0;
  return 1.1 * (1.0 - alpha) / fmax(rejected_share, 1e-3);
}
