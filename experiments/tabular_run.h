/* One run over a table of actions: preferences drawn from a small data set, a softmax over free
 * logits, DPO, IPO or PMPO (IPO Sec. 5.4; objectives.md 6), and the closed forms that it is held
 * against.
 *
 * One thread a run; no allocation; knows no files. */
#ifndef PMP_EXPERIMENTS_TABULAR_RUN_H
#define PMP_EXPERIMENTS_TABULAR_RUN_H

#include "base/rng.h"
#include "learner/objective/objective.h"
#include "learner/optim/adam.h"
#include "policy/dist/dist.h"

#define PMP_TABULAR_ACTIONS_MAX 8
#define PMP_TABULAR_PAIRS_MAX 16
#define PMP_TABULAR_BATCH_MAX 64

struct pmp_tabular_data {
  const char *name;  /* "D1" */
  const char *title; /* "D1 = {(a,b), (b,c), (a,c)}" */
  uint32_t actions, pairs;
  uint8_t winner[PMP_TABULAR_PAIRS_MAX], loser[PMP_TABULAR_PAIRS_MAX];
};

struct pmp_tabular_config {
  const struct pmp_tabular_data *data;
  const char *objective; /* "dpo", "ipo", "pmpo" */
  double strength;       /* tau of DPO and IPO, beta of PMPO */
  uint32_t batch;        /* pairs a step, drawn with replacement: 9 */
  float lr;              /* 0.01 */
  uint64_t seed;
};

struct pmp_tabular_run {
  struct pmp_tabular_config config;
  struct pmp_dist dist;
  const struct pmp_objective *objective;
  struct pmp_objective_config loss;
  struct pmp_adam_config adam_config;
  struct pmp_adam adam;
  struct pmp_rng rng;
  uint64_t step;
  float head[PMP_TABULAR_ACTIONS_MAX], grad[PMP_TABULAR_ACTIONS_MAX];
  float m[PMP_TABULAR_ACTIONS_MAX], v[PMP_TABULAR_ACTIONS_MAX];
  /* by pair of the batch: conditions are copies of the one that there is */
  float heads[PMP_TABULAR_BATCH_MAX * PMP_TABULAR_ACTIONS_MAX];
  float refs[PMP_TABULAR_BATCH_MAX * PMP_TABULAR_ACTIONS_MAX];
  float dheads[PMP_TABULAR_BATCH_MAX * PMP_TABULAR_ACTIONS_MAX];
  float y[2 * PMP_TABULAR_BATCH_MAX];
  double f[2 * PMP_TABULAR_BATCH_MAX], c[2 * PMP_TABULAR_BATCH_MAX];
  double lp[2 * PMP_TABULAR_BATCH_MAX], lp_ref[2 * PMP_TABULAR_BATCH_MAX];
  double kl[PMP_TABULAR_BATCH_MAX], w[PMP_TABULAR_BATCH_MAX];
  int8_t verdict[2 * PMP_TABULAR_BATCH_MAX];
};

/* D1, D3 as printed, D3', and the two actions of IPO Sec. 5.3.1; NULL past the end. */
const struct pmp_tabular_data *pmp_tabular_data_at(size_t i);
const struct pmp_tabular_data *pmp_tabular_data_find(const char *name);

PMP_MUST_CHECK enum pmp_err pmp_tabular_run_init(struct pmp_tabular_run *r,
                                                 const struct pmp_tabular_config *config,
                                                 struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_tabular_run_step(struct pmp_tabular_run *r, struct pmp_errmsg *msg);
/* pi (actions). */
void pmp_tabular_run_probabilities(const struct pmp_tabular_run *r, double *pi);

/* Where the run ends when its loss has a finite minimum: IPO's by PsiPO with the identity (uniform
 * reference and opponents), PMPO's from the distributions of winners and losers. PMP_EUNAVAILABLE
 * with the reason: none is known (DPO), or there is none (a pair of actions that no preference
 * speaks of; PMPO below the least beta). */
PMP_MUST_CHECK enum pmp_err pmp_tabular_closed_form(const struct pmp_tabular_data *data,
                                                    const char *objective, double strength,
                                                    double *pi, struct pmp_errmsg *msg);

#endif
