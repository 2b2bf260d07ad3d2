/* Many environments of one task, stepped together; the work may be split over threads.
 *
 * Owned by one thread, which takes part in the work. What comes out does not depend on the number
 * of threads. A step allocates nothing; with one thread it takes no lock either. */
#ifndef PMP_CONTROL_BATCH_H
#define PMP_CONTROL_BATCH_H

#include "actors/control/env.h"

#include <stdint.h>

struct pmp_env_batch_config {
  const struct pmp_env_model *model; /* outlives the batch */
  uint32_t envs;                     /* >= 1 */
  uint32_t threads;                  /* 1..envs */
  uint64_t seed;
  const uint64_t *stream; /* (envs): of the start states */
};

struct pmp_env_batch_crew; /* the other threads */

struct pmp_env_batch {
  uint32_t envs, obs, act; /* counts; floats of an observation and of an action */
  const struct pmp_task *task;
  struct pmp_env **env;            /* owned, (envs) */
  float *observation;              /* owned, (envs x obs): the last observations */
  struct pmp_env_result *result;   /* owned, (envs): of the last step */
  struct pmp_env_batch_crew *crew; /* owned; NULL with one thread */
};

/* PMP_EINVALID, PMP_ENOMEM. Environments are not started: reset them. */
PMP_MUST_CHECK enum pmp_err pmp_env_batch_init(struct pmp_env_batch *b,
                                               const struct pmp_env_batch_config *config,
                                               struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_env_batch_fini(struct pmp_env_batch *b);
/* Starts the next episode of environment i. Errors as pmp_env_reset. */
PMP_MUST_CHECK enum pmp_err pmp_env_batch_reset(struct pmp_env_batch *b, uint32_t i,
                                                struct pmp_errmsg *msg);
/* One control step of every environment whose episode runs, with action (envs x act); the others
 * are left alone. An environment that breaks down with an error in MuJoCo counts as diverged.
 * PMP_EINTERNAL. */
PMP_MUST_CHECK enum pmp_err pmp_env_batch_step(struct pmp_env_batch *b, const float *action,
                                               struct pmp_errmsg *msg);

#endif
