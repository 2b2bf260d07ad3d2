/* Objectives: log-probabilities, KLs, verdicts and denominators in; parts of the loss and the
 * coefficients c = dL/dlp, b = dL/dkl out. An objective never sees a distribution's parameters.
 *
 * Pure functions over arrays: no I/O, no allocation, no clock; any thread. N outcomes, B
 * conditions, P likelihood parts, K KL parts (see policy/dist/dist.h). Adding an objective is one
 * file and one row in objective.c's table. */
#ifndef PMP_LEARNER_OBJECTIVE_OBJECTIVE_H
#define PMP_LEARNER_OBJECTIVE_OBJECTIVE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pmp_averaging { PMP_AVERAGING_SETS = 0, PMP_AVERAGING_POOL = 1 };

enum pmp_kl_kind {
  PMP_KL_EXACT = 0,
  PMP_KL_BC = 1 /* - mean log pi over all outcomes, whatever their verdicts: the KL up to a constant
                   when they were drawn from ref (objectives.md 2); `kl` is not read then */
};

struct pmp_objective_config {
  double alpha;   /* [0,1]: 1 accept-only, 0 reject-only */
  double beta[2]; /* >= 0: weight of KL part 0 (joint, or the mean's) and 1 (the spread's); [1] only
                     when P == 2 */
  /* pmpo. Pool: one mean over all labelled samples, s = -alpha / 1 - alpha (objectives.md 1). */
  enum pmp_averaging averaging;
  enum pmp_kl_kind kl; /* pmpo, boltzmann */
  /* pmpo: b_x = beta k_x / mean(k), k_x = 1 / (1 - Z_x), Z_x = (n_a + 1/2) / (n_a + n_r + 1); the
   * means over accepted and rejected then are per condition, averaged over conditions. Needs
   * averaging sets and kl exact. */
  bool kl_by_state;
  double eta;     /* > 0: boltzmann's temperature */
  double tau;     /* > 0: dpo, ipo */
  uint32_t pairs; /* dpo, ipo: pairs a condition: the best with the worst, the second best with the
                     second worst, ... */
  /* mpo: bound on the weights' KL, bounds per part of the KL for mean and spread (categorical:
   * mean), bound on the penalty's weights (0: no penalty). */
  double eps, eps_mean, eps_std, eps_penalty;
  /* mpo: solve the temperatures' duals on the batch that eval is given (each micro-batch its own)
   * instead of learning them. */
  bool eta_exact;
};

/* One (micro-)batch. Denominators are given, not computed, so that micro-batches and several
 * learners can add them up first; `sums` computes this batch's own. */
struct pmp_objective_in {
  size_t n, b; /* N outcomes, B conditions */
  uint32_t parts, kl_parts;
  /* (N x P) log pi(y|x). NULL allowed when the objective's needs_lp is false: loss parts that need
   * it are then NaN. */
  const double *lp;
  const double *lp_ref;  /* (N x P) log ref(y|x); NULL when needs_lp_ref is false */
  const double *kl;      /* (B x K) exact KL(ref||pi); NULL allowed like lp */
  const int8_t *verdict; /* (N) 1 accepted, -1 rejected, 0 unlabelled */
  const double *weight;  /* (N) >= 0; NULL: ones */
  const double *f;       /* (N) evaluations, NaN where not known; NULL: none is */
  const double *cost;    /* (N) >= 0, |y - clip(y)|^2; read by mpo with eps_penalty > 0 only */
  /* (N) condition of each outcome, non-decreasing; NULL: N/B outcomes each, in order. */
  const uint32_t *x_of_y;
  /* (duals) what the objective learns beside the policy; NULL when it has none. */
  const double *dual;
  /* Denominators. A set whose sum is 0 is empty: it contributes 0, and verdicts that name it all
   * the same are left out (so a caller drops the rejected term by saying 0). Its weight is not
   * handed to the other set. */
  double accepted, rejected; /* sums of weights over the whole batch (boltzmann: both `judged`) */
  double conditions;         /* number of conditions over the whole batch */
  double outcomes; /* sum of weights of all outcomes over the whole batch; 0: this batch is the
                      whole one */
  double judged;   /* boltzmann, mpo: conditions with an evaluation, over the whole batch */
  double pairs;    /* dpo, ipo: sum of the pairs' weights over the whole batch */
  double k;        /* kl_by_state: sum of k_x over the whole batch; > 0 */
};

struct pmp_objective_out {
  double loss;     /* the sum of the four below */
  double accepted; /* - alpha mean log pi over accepted (all parts summed); objectives without the
                      two sets put their whole policy term here */
  double rejected; /* + (1 - alpha) mean log pi over rejected */
  double kl;       /* beta . mean KL, or what stands for it */
  double dual;     /* loss of the dual variables alone (mpo): c and w do not differentiate it */
  double temperature; /* mpo: what f was divided by; others leave it as it is */
  double *c;          /* (N x P), caller's memory, overwritten: dL/dlp; NULL: not wanted */
  double *w;          /* (B x K), caller's memory, overwritten: dL/dkl; NULL: not wanted */
  double *ddual;      /* (duals), caller's memory, overwritten: dL/d dual; NULL: not wanted */
};

/* Outcomes that no term counts (unlabelled, of an empty set, of weight 0, in no pair) are not read
 * from lp. `eval` answers PMP_EINVALID for a shape, verdict or weight that cannot be or an array
 * that is missing (nothing is written), PMP_ENONFINITE when f, cost or a dual variable is not
 * finite (nothing is written), or when a loss part that could be computed is not (everything is
 * written: the guard looks at the parts). */
struct pmp_objective {
  const char *name;
  const char *summary; /* one line, for people */
  bool needs_lp;       /* c or ddual depend on pi: lp and kl must be there */
  bool needs_lp_ref;   /* lp_ref is read */
  bool needs_f;        /* f is read and must be there */
  bool joint_only;     /* P must be 1 */
  bool pairs;          /* learns from pairs of outcomes of one condition (pairs.h): reads lp_ref,
                          tau and pairs, and f or the verdicts; callers that have all of a batch
                          may refuse conditions without a pair */
  /* Writes this batch's own share of every denominator into `in`; shares of micro-batches and of
   * several learners are added up before eval. Reads n, b, verdict, weight, f and x_of_y. */
  void (*sums)(const struct pmp_objective_config *config, struct pmp_objective_in *in);
  enum pmp_err (*eval)(const struct pmp_objective_config *config, const struct pmp_objective_in *in,
                       struct pmp_objective_out *out);
  /* What is wrong with the fields that this objective reads; called by pmp_objective_check. NULL:
   * it reads none. */
  enum pmp_err (*check)(const struct pmp_objective_config *config, uint32_t parts,
                        uint32_t kl_parts, struct pmp_errmsg *msg);
  /* Number of dual variables and their start; NULL: none. They are unconstrained (softplus inside)
   * and minimised by the caller's Adam. */
  size_t (*duals)(const struct pmp_objective_config *config, uint32_t parts, uint32_t kl_parts);
  void (*dual_init)(const struct pmp_objective_config *config, uint32_t parts, uint32_t kl_parts,
                    float *dual);
};

/* "pmpo", "boltzmann", "mpo", "dpo", "ipo", "bc"; NULL when unknown. */
const struct pmp_objective *pmp_objective_find(const char *name);
/* The i-th of the table, NULL past the end. */
const struct pmp_objective *pmp_objective_at(size_t i);
/* PMP_EINVALID with the reason: the parts, and those fields that `objective` reads. */
PMP_MUST_CHECK enum pmp_err pmp_objective_check(const struct pmp_objective *objective,
                                                const struct pmp_objective_config *config,
                                                uint32_t parts, uint32_t kl_parts,
                                                struct pmp_errmsg *msg);
/* alpha 0.5, beta 0.5, averaging sets, the exact KL, eta 1, tau 0.1, one pair, eps 0.1, eps_mean
 * 2.5e-3, eps_std 1e-6, no penalty, a learned temperature. */
struct pmp_objective_config pmp_objective_config_default(void);
/* This batch's own denominators. */
void pmp_objective_sums(size_t n, const int8_t *verdict, const double *weight, double *accepted,
                        double *rejected);

/* PMPO's distance from unboundedness: min over conditions x of
 *   beta - B [ (1-alpha) n_r(x)/N_r - alpha n_a(x)/N_a ]
 * (objectives.md 1, with weights for counts; the smaller beta of the split loss). Below 0 the
 * batch's loss has no finite minimum. With kl_by_state beta is b_x and the bracket (1-alpha)
 * [n_r(x) > 0] - alpha [n_a(x) > 0]; under PMP_KL_BC beta counts by the condition's share of all
 * outcomes, and conditions without outcomes are left out. Needs n, b, verdict, weight, x_of_y and
 * the denominators; the min runs over this micro-batch's conditions. */
double pmp_objective_kl_margin(const struct pmp_objective_config *config,
                               const struct pmp_objective_in *in);
/* beta: auto = 1.1 (1 - alpha) / P_r, P_r the share of rejected among all outcomes drawn and shown;
 * 0 when alpha is 1. rejected_share is kept above 1e-3. */
double pmp_objective_beta_auto(double alpha, double rejected_share);

#endif
