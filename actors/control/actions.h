/* Where actions come from when nothing is learned from what they do: weights that a daemon serves,
 * weights in an exported file, chance, or no action at all.
 *
 * Owned by one thread. */
#ifndef PMP_CONTROL_ACTIONS_H
#define PMP_CONTROL_ACTIONS_H

#include "actors/control/task.h"
#include "clients/libpmpo-policy/pmpo_policy.h"

enum pmp_actions_kind {
  PMP_ACTIONS_SERVED,
  PMP_ACTIONS_FILE,
  PMP_ACTIONS_RANDOM, /* uniform in [-1, 1] */
  PMP_ACTIONS_ZERO
};

struct pmp_actions_config {
  enum pmp_actions_kind kind;
  struct pmpo_policy *served; /* SERVED: what the daemon gives; outlives the actions */
  const char *path;           /* FILE: safetensors as `pmpoctl export` writes them */
  const struct pmp_task *task;
  uint32_t rows_max; /* observations at once */
  bool sample;       /* drawn from the policy, not its mode */
  struct pmp_rng rng;
};

struct pmp_actions {
  struct pmp_actions_config config;
  struct pmp_policy model; /* FILE */
  struct pmp_compute compute;
  float *params, *cache, *head; /* owned; FILE */
  float *y;                     /* owned, (rows_max x act): outcomes before they are clipped */
  uint64_t version, learner_step;
};

/* PMP_ENOTFOUND, PMP_ECORRUPT, PMP_ECONFLICT (a policy of other sizes than the task's), PMP_ENOMEM.
 */
PMP_MUST_CHECK enum pmp_err pmp_actions_init(struct pmp_actions *a,
                                             const struct pmp_actions_config *config,
                                             struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_actions_fini(struct pmp_actions *a);
/* action (rows x act), as the environment takes them, of observation (rows x obs). */
PMP_MUST_CHECK enum pmp_err pmp_actions_next(struct pmp_actions *a, uint32_t rows,
                                             const float *observation, float *action,
                                             struct pmp_errmsg *msg);
/* Version of the weights in use, 0 for none; the learner's step that made them. */
uint64_t pmp_actions_version(const struct pmp_actions *a, uint64_t *learner_step);

/* PMP_ECONFLICT when a policy does not take the task's observations or give its actions. `whose`
 * begins the sentence. */
PMP_MUST_CHECK enum pmp_err pmp_actions_fit(const struct pmp_policy *p, const struct pmp_task *task,
                                            const char *whose, struct pmp_errmsg *msg);

#endif
