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

struct pmp_objective_config {
  float alpha;   /* [0,1]: 1 accept-only, 0 reject-only */
  float beta[2]; /* >= 0: weight of KL part 0 (joint, or the mean's) and 1 (the spread's); [1] only
                    when P == 2 */
  enum pmp_averaging averaging;
  /* Pool: one mean over all labelled samples, s = -alpha / 1 - alpha (objectives.md 1). */
};

/* One (micro-)batch. Denominators are given, not computed, so that micro-batches and several
 * learners can add them up first; pmp_objective_sums computes this batch's own. */
struct pmp_objective_in {
  size_t n, b; /* N outcomes, B conditions */
  uint32_t parts, kl_parts;
  /* (N x P) log pi(y|x). NULL allowed when the objective's needs_lp is false: loss parts that need
   * it are then NaN. */
  const float *lp;
  const float *lp_ref;   /* (N x P) log ref(y|x); NULL when not needed */
  const float *kl;       /* (B x K) exact KL(ref||pi); NULL allowed like lp */
  const int8_t *verdict; /* (N) 1 accepted, -1 rejected, 0 unlabelled */
  const float *weight;   /* (N) >= 0; NULL: ones */
  const float *f;        /* (N) evaluations; NULL when not known */
  /* (N) condition of each outcome, non-decreasing; NULL: N/B outcomes each, in order. */
  const uint32_t *x_of_y;
  /* Denominators. A set whose sum is 0 is empty: it contributes 0, and verdicts that name it all
   * the same are left out (so a caller drops the rejected term by saying 0). Its weight is not
   * handed to the other set. */
  double accepted, rejected; /* sums of weights over the whole batch */
  double conditions;         /* number of conditions over the whole batch */
  double outcomes; /* bc: sum of weights of all outcomes over the whole batch; 0: this batch is the
                      whole one */
};

struct pmp_objective_out {
  double loss;     /* the sum of the three below */
  double accepted; /* - alpha mean log pi over accepted (all parts summed) */
  double rejected; /* + (1 - alpha) mean log pi over rejected */
  double kl;       /* beta . mean KL */
  float *c;        /* (N x P), caller's memory, overwritten; NULL: not wanted */
  float *w;        /* (B x K), caller's memory, overwritten: dL/dkl; NULL: not wanted */
};

/* Outcomes with coefficient 0 (unlabelled, of an empty set, of weight 0) are not read from lp.
 * `eval` answers PMP_EINVALID for a shape, verdict or weight that cannot be (nothing is written),
 * PMP_ENONFINITE when a loss part that could be computed is not finite (everything is written: the
 * guard looks at the parts). */
struct pmp_objective {
  const char *name;
  bool needs_lp; /* c depends on pi: lp must be there before c is known */
  /* Writes this batch's own share of every denominator into `in`; shares of micro-batches and of
   * several learners are added up before eval. Reads n, b, verdict, weight, f and x_of_y. */
  void (*sums)(const struct pmp_objective_config *config, struct pmp_objective_in *in);
  enum pmp_err (*eval)(const struct pmp_objective_config *config, const struct pmp_objective_in *in,
                       struct pmp_objective_out *out);
};

/* "pmpo", "bc"; NULL when unknown. */
const struct pmp_objective *pmp_objective_find(const char *name);
/* The i-th of the table, NULL past the end. */
const struct pmp_objective *pmp_objective_at(size_t i);
PMP_MUST_CHECK enum pmp_err pmp_objective_check(const struct pmp_objective_config *config,
                                                uint32_t parts, struct pmp_errmsg *msg);
/* This batch's own denominators. */
void pmp_objective_sums(size_t n, const int8_t *verdict, const float *weight, double *accepted,
                        double *rejected);

/* Needs n, b, verdict, weight, x_of_y and the denominators. The min runs over this micro-batch's
 * conditions. min over conditions x of beta - B [ (1-alpha) n_r(x)/N_r - alpha n_a(x)/N_a ]
 * (objectives.md 1, with weights for counts; the smaller beta of the split loss): below 0 the
 * batch's loss has no finite minimum. */
double pmp_objective_kl_margin(const struct pmp_objective_config *config,
                               const struct pmp_objective_in *in);
/* beta: auto = 1.1 (1 - alpha) / P_r, P_r the share of rejected among all outcomes drawn and shown;
 * 0 when alpha is 1. rejected_share is kept above 1e-3. */
float pmp_objective_beta_auto(float alpha, double rejected_share);

#endif
