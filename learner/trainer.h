/* The trainer: policy, reference, critic, their optimisers, the replay ring and the random numbers,
 * and the step that joins them. Everything that a resume must restore is in here or handed to the
 * checkpoint by the caller.
 *
 * Owned by the learner's thread; no other thread touches it. No clock but the one it is given (for
 * time shares only), no I/O but checkpoints through base/fs.h. Does not know the store, the wire or
 * the rate limiter. */
#ifndef PMP_LEARNER_TRAINER_H
#define PMP_LEARNER_TRAINER_H

#include "base/clock.h"
#include "base/fs.h"
#include "learner/critic/critic.h"
#include "learner/improve/improve.h"
#include "learner/label/label.h"
#include "learner/objective/objective.h"
#include "learner/optim/adam.h"
#include "learner/replay/replay.h"
#include "policy/policy.h"

enum pmp_judge { PMP_JUDGE_ACTOR = 0, PMP_JUDGE_CRITIC = 1, PMP_JUDGE_PEOPLE = 2 };
/* How the policy follows its verdicts: by the objective's gradient, or, without a network, by the
 * closed form once a reference (learner/improve). */
enum pmp_improvement { PMP_IMPROVEMENT_GRADIENT = 0, PMP_IMPROVEMENT_EXACT = 1 };
enum pmp_guard { PMP_GUARD_OFF = 0, PMP_GUARD_SKIP = 1, PMP_GUARD_PAUSE = 2 };

struct pmp_trainer_config {
  uint64_t seed;
  int threads;                  /* of the products */
  enum pmp_precision precision; /* what those multiply; all else is float32 */
  /* normalize: running mean and variance of the observations of all batches, which pi, ref and the
   * critic (with ref's) take over at each refresh. Several learners each have their own. */
  struct pmp_policy_spec policy;
  enum pmp_judge judge;
  /* labels: judge critic (and actor, when f is there and no verdict) */
  enum pmp_label_rule label_rule;
  uint32_t label_k, label_k_rejected, label_samples; /* top_k's: 2, 2 of 4 */
  char objective[32];
  struct pmp_objective_config loss;
  enum pmp_improvement improvement;
  struct pmp_improve_config improve; /* improvement exact; kind, dim and alpha are set by open */
  bool beta_auto;
  enum pmp_guard guard;
  double kl_max; /* nats, 10 */
  struct pmp_adam_config policy_optim, critic_optim, dual_optim;
  /* The learning rates of policy and critic fall in a straight line, over so many steps, to this
   * share of what they are set to, and stay there. 0 steps: they stay as they are. */
  uint64_t decay_steps;
  double decay_to; /* (0, 1] */
  /* Judge critic: Q(x, a). Judge actor with label rule value: V(x), learned from f; act 0, one
   * atom, and obs 1 (a constant) where there is no condition. */
  struct pmp_critic_config critic;
  uint32_t value_samples;        /* actions of the reference for the bootstrap, 20 */
  uint32_t critic_target_period; /* steps, 100 */
  uint32_t refresh_period;       /* steps, 0: never by itself */
  uint32_t batch;                /* rows */
  uint32_t kl_rows;              /* further unlabelled rows for the KL only */
  struct pmp_replay_config
      replay; /* evaluated_trainable and unlabelled_trainable are set by open */
};

/* Settings that may change while running. */
struct pmp_trainer_live {
  float lr, critic_lr;
  double alpha, beta[2];
  uint32_t refresh_period;
};

/* What one step says of itself; averaged by the caller. NaN where it does not apply. */
struct pmp_step_metrics {
  double loss, loss_accepted, loss_rejected, loss_kl, loss_dual;
  double kl[2];                          /* mean KL(ref||pi) by part (joint: [0]) */
  double kl_margin, entropy, std;        /* std: mean of the gaussian's */
  double accepted, rejected, unlabelled; /* outcomes in this step's batch */
  double accepted_share;                 /* of the labelled */
  double ess_accepted, ess_rejected;     /* effective sample sizes (sum w)^2 / sum w^2 */
  double empty_accepted, empty_rejected; /* 1 when the batch has none of them, else 0 */
  double temperature;                    /* mpo: eta */
  double informative; /* 1 when the batch had something that the objective learns from (a pair, an
                         evaluation, a verdict that alpha reads), else 0 */
  double grad_norm, critic_loss, critic_grad_norm, q_mean, staleness, return_n;
  /* Judge critic, of the values that the verdicts rest on: the spread over a condition's actions,
   * sqrt(mean_x var_a Q(x, a)), and the least and the greatest of the batch. */
  double q_std, q_min, q_max;
  bool skipped_rejected, skipped_step; /* the guard's doing */
  bool improved;                       /* the closed form moved the policy in this step */
  bool guard_pause; /* guard "pause" fired: the step was not made, the run should pause */
  uint64_t rows;    /* rows drawn, what the rate limiter pays: set by every step that drew a batch,
                       made or skipped */
};

struct pmp_trainer; /* opaque */

/* Are values learned beside the policy: the critic's Q, or the V of label rule value? */
bool pmp_trainer_has_critic(const struct pmp_trainer_config *config);
bool pmp_trainer_has_value(const struct pmp_trainer_config *config);

PMP_MUST_CHECK enum pmp_err pmp_trainer_open(struct pmp_trainer **t,
                                             const struct pmp_trainer_config *config,
                                             struct pmp_clock clock, struct pmp_errmsg *msg);
void pmp_trainer_close(struct pmp_trainer *t);
/* Says what would be wrong with a configuration, and where; the same check that open does. */
PMP_MUST_CHECK enum pmp_err pmp_trainer_check(const struct pmp_trainer_config *config,
                                              struct pmp_errmsg *msg);

struct pmp_replay *pmp_trainer_replay(struct pmp_trainer *t);
const struct pmp_policy *pmp_trainer_policy(const struct pmp_trainer *t);
const float *pmp_trainer_pi(const struct pmp_trainer *t);  /* [manifest.floats] */
const float *pmp_trainer_ref(const struct pmp_trainer *t); /* [manifest.floats] */
struct pmp_compute *pmp_trainer_compute(struct pmp_trainer *t);
uint64_t pmp_trainer_steps(const struct pmp_trainer *t);
uint64_t pmp_trainer_version(const struct pmp_trainer *t); /* of the reference */
void pmp_trainer_set_version(struct pmp_trainer *t,
                             uint64_t version); /* outside lockstep, after a resume */
void pmp_trainer_live_get(const struct pmp_trainer *t, struct pmp_trainer_live *live);
PMP_MUST_CHECK enum pmp_err pmp_trainer_live_set(struct pmp_trainer *t,
                                                 const struct pmp_trainer_live *live,
                                                 struct pmp_errmsg *msg);

/* Where the steps' time went so far, in ns of the clock given to open. */
struct pmp_trainer_times {
  int64_t sample;    /* rows from the ring */
  int64_t reference; /* its heads and actions */
  int64_t target;    /* the critic's targets */
  int64_t critic;    /* its loss and gradient */
  int64_t label;     /* values of the actions to judge, verdicts */
  int64_t policy;    /* forward, objective, backward */
  int64_t optimiser; /* Adam, refreshes */
  uint64_t steps;
};
void pmp_trainer_times(const struct pmp_trainer *t, struct pmp_trainer_times *out);

/* One learner step. *refreshed: the reference took over the policy (version went up by one).
 * PMP_EBUSY when the ring has too little data; PMP_ENONFINITE when the guard is "pause" or off and
 * something became non-finite, or the guard is "pause" and the mean KL passed kl_max: parameters,
 * generators and counters are as before the step. With "skip" a step always counts, and is the same
 * on a resume. */
PMP_MUST_CHECK enum pmp_err pmp_trainer_step(struct pmp_trainer *t, struct pmp_step_metrics *m,
                                             bool *refreshed, struct pmp_errmsg *msg);
/* ref <- pi now, with the moments of observations in both (improvement exact: after its step, when
 * there is something to improve by); version
 * + 1. */
void pmp_trainer_refresh(struct pmp_trainer *t);
/* Several learners: called with each gradient before the optimiser. NULL (default): identity. */
void pmp_trainer_set_reduce(struct pmp_trainer *t,
                            void (*reduce)(void *ctx, float *buffer, size_t n), void *ctx);

/* Rewards learned from people in place of the actors': called in each step with the batch's n
 * observations (n x obs) and actions as the environment gets them (n x act); out (n) becomes the
 * rewards. Needs n-step returns of one step. NULL (default): the rewards that rows brought. */
void pmp_trainer_set_reward(struct pmp_trainer *t,
                            enum pmp_err (*reward)(void *ctx, size_t n, const float *obs,
                                                   const float *act, float *out),
                            void *ctx);

/* Fingerprint of what bit-equality depends on: processor model, thread count, library versions,
 * hash of fixed products in the run's shapes and of exp and tanh. Hex. */
void pmp_trainer_fingerprint(struct pmp_trainer *t, char out[65]);
/* Hash of everything that a resume restores: parameters, reference, critic, optimisers, generator,
 * counters. Two runs are bit-identical when it agrees. */
void pmp_trainer_hash(struct pmp_trainer *t, char out[33]);

#endif
