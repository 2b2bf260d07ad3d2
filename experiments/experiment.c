#include "experiments/experiment.h"

#include <string.h>

static const struct pmp_experiment *const table[] = {
    &pmp_experiment_bandits, &pmp_experiment_beta_sweep, &pmp_experiment_ipo};

const struct pmp_experiment *pmp_experiment_at(size_t i) {
  return i < sizeof table / sizeof table[0] ? table[i] : NULL;
}

const struct pmp_experiment *pmp_experiment_find(const char *name) {
  for (size_t i = 0; pmp_experiment_at(i) != NULL; i++) {
    if (strcmp(table[i]->name, name) == 0) return table[i];
  }
  return NULL;
}
