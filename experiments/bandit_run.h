/* One bandit run inside the process, through the modules that the daemon's learner uses: outcomes
 * drawn from the reference, judged by a function's value, one step on them, the reference refreshed
 * every so many steps.
 *
 * A run is its configuration: the same numbers on every machine whose compiler keeps the project's
 * rules. With the random streams of the daemon and of the actor "bandit" it is step for step what
 * `pmpod` with `run.lockstep` makes of the same settings. One thread a run; no allocation after
 * init; knows no files. */
#ifndef PMP_EXPERIMENTS_BANDIT_RUN_H
#define PMP_EXPERIMENTS_BANDIT_RUN_H

#include "actors/bandit/function.h"
#include "base/arena.h"
#include "base/rng.h"
#include "learner/improve/improve.h"
#include "learner/objective/objective.h"
#include "learner/optim/adam.h"
#include "policy/policy.h"

#include <stdbool.h>

#define PMP_BANDIT_RUN_DIM_MAX 64
#define PMP_BANDIT_RUN_SAMPLES_MAX 64
/* The stream that an actor named "bandit" draws its outcomes from (pmp_session_stream). */
#define PMP_BANDIT_RUN_STREAM 0x1cb8609cafd91664ULL
/* The actor's box, so wide that it is none: outcomes beyond it are evaluated at its edge. */
#define PMP_BANDIT_RUN_BOX 1e6F

/* How a policy is improved by its judged outcomes. */
struct pmp_bandit_method {
  const char *name;  /* "AR", for files and command lines */
  const char *title; /* for figures and tables */
  bool exact;        /* closed form at each refresh (learner/improve), full covariance */
  bool paths; /* exact: with memory, and the groups that go with it (pmp_improve_recommend) */
  const char *objective;             /* gradient: its name */
  struct pmp_objective_config loss;  /* gradient */
  uint32_t label_k;                  /* best k accepted, worst k rejected; not paths */
  double alpha, beta_mean, beta_cov; /* exact */
};

struct pmp_bandit_run_config {
  const struct pmp_function *function;
  struct pmp_bandit_method method;
  uint32_t dim;                /* 1..PMP_BANDIT_RUN_DIM_MAX */
  uint32_t samples;            /* outcomes a step: 4 */
  uint32_t accepted, rejected; /* the best and the worst of them: 2, 2 */
  uint32_t refresh_period;     /* steps: 100 */
  float lr;                    /* 0.01 */
  float init_std;              /* 1 */
  float init_mean_range;       /* 3: the mean starts uniform in [-3, 3] */
  float std_min;               /* added to the spread */
  /* exact: as pmp_improve_config's; what falls below it or std_min is kept there, as the daemon
   * does. 0: the run rests where float32 outcomes cannot say a smaller spread. */
  double resolution;
  uint64_t seed;
};

struct pmp_bandit_run {
  struct pmp_bandit_run_config config;
  struct pmp_policy policy;
  const struct pmp_objective *objective; /* NULL: exact */
  struct pmp_improve_config improve;
  struct pmp_adam_config adam_config;
  struct pmp_adam adam;
  struct pmp_rng rng;
  struct pmp_arena arena;    /* all arrays below */
  float *head, *ref, *dhead; /* H */
  float *y, *action, *f32;   /* samples x dim, same, samples */
  double *x, *y64;           /* dim; exact: samples x dim */
  double *f, *lp, *lp_ref;   /* samples */
  double *c, *kl, *w;        /* samples, 1, 1 */
  int8_t *verdict;           /* samples */
  double *natural, *state;   /* exact: the policy in float64, the improvement's memory */
  uint64_t step, evaluations;
  uint64_t skipped; /* steps left out because a number was not finite */
  double best;      /* least value seen */
  bool rests;       /* exact: float32 has no smaller spread about this mean; the policy stays */
};

/* The table of methods; NULL past the end. */
const struct pmp_bandit_method *pmp_bandit_method_at(size_t i);
const struct pmp_bandit_method *pmp_bandit_method_find(const char *name);

/* The spec's settings (experiments.md 1) for this function, dimension and method. */
void pmp_bandit_run_defaults(struct pmp_bandit_run_config *config,
                             const struct pmp_function *function,
                             const struct pmp_bandit_method *method, uint32_t dim, uint64_t seed);
/* PMP_EINVALID with the reason, PMP_EUNAVAILABLE (the objective is not there), PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_bandit_run_init(struct pmp_bandit_run *r,
                                                const struct pmp_bandit_run_config *config,
                                                struct pmp_errmsg *msg);
void pmp_bandit_run_fini(struct pmp_bandit_run *r); /* safe on a zeroed struct */
/* Outcomes, verdicts, one step; the reference when it is due. A step whose numbers are not finite
 * leaves the policy as it was and counts in `skipped`. */
PMP_MUST_CHECK enum pmp_err pmp_bandit_run_step(struct pmp_bandit_run *r, struct pmp_errmsg *msg);
/* The function at the policy's mean (clipped to the box, as the actor reports it). */
double pmp_bandit_run_f_mean(struct pmp_bandit_run *r);
/* The largest |mean| and the mean over dimensions of the spread; either may be NULL. */
void pmp_bandit_run_shape(struct pmp_bandit_run *r, double *distance, double *std);

#endif
