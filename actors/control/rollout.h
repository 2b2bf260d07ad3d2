/* Rows of trajectories: environments acting with the reference, chunk after chunk, and the bytes
 * from which another process goes on exactly there.
 *
 * A chunk ends with a whole step of all environments, so that between chunks nothing is pending.
 * One thread. */
#ifndef PMP_CONTROL_ROLLOUT_H
#define PMP_CONTROL_ROLLOUT_H

#include "actors/control/batch.h"
#include "actors/runtime/rows.h"
#include "actors/runtime/session.h"

struct pmp_rollout_config {
  const struct pmp_env_model *model;
  const struct pmp_spec *spec; /* of the run */
  const char *name;            /* the actor's: part of the seeds */
  uint32_t envs, threads;
  uint32_t chunk_rows; /* most rows of a chunk, >= 2 envs */
  uint64_t seed, salt; /* salt: see pmp_session_rng */
  /* Correlation of a Gaussian's noise from one step of an episode to the next, in [0, 1): each
   * action alone is still a draw from the reference, a whole episode explores further. 0:
   * independent. */
  float noise_correlation;
  /* Nullable: called before each step of a single environment, with the row that it will fill. */
  enum pmp_err (*before)(void *ctx, struct pmp_env *env, uint32_t row, uint64_t env_steps,
                         struct pmp_errmsg *msg);
  void *ctx;
};

/* An episode that has ended. */
struct pmp_episode {
  double ret;      /* sum of rewards */
  uint32_t length; /* control steps */
  bool diverged;
};

struct pmp_rollout {
  struct pmp_env_batch batch;
  struct pmp_rows rows;
  struct pmp_rng rng; /* of the actions */
  uint64_t seed;
  uint64_t env_steps; /* since the actor's first start */
  double *ret;        /* owned, (envs): rewards of the running episodes */
  float *y, *action;  /* owned, (envs x act): raw outcomes, and what the environments get */
  float noise_correlation;
  float *noise, *mean,
      *std; /* owned, (envs x act): with a correlation; noise is part of the state */
  struct pmp_episode *finished; /* owned, (chunk_rows): episodes that ended in this chunk */
  uint32_t finished_count;
  enum pmp_err (*before)(void *ctx, struct pmp_env *env, uint32_t row, uint64_t env_steps,
                         struct pmp_errmsg *msg);
  void *ctx;
};

/* Starts every environment's first episode. PMP_EINVALID, PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_rollout_init(struct pmp_rollout *r,
                                             const struct pmp_rollout_config *config,
                                             struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_rollout_fini(struct pmp_rollout *r);
/* Fills r->rows with as many whole steps as fit for certain; forgets what was finished before.
 * PMP_ECLOSED when the session stops in between. */
PMP_MUST_CHECK enum pmp_err pmp_rollout_collect(struct pmp_rollout *r,
                                                struct pmp_actor_session *session,
                                                struct pmp_errmsg *msg);

/* Bytes of the state, the same for all states of this configuration. */
size_t pmp_rollout_state_size(const struct pmp_rollout *r);
/* Writes state[pmp_rollout_state_size]. */
void pmp_rollout_save(const struct pmp_rollout *r, void *state);
/* Goes on where the state was saved. PMP_EINVALID when it is of another task, number of
 * environments or seed; then the rollout is as it was, or must be thrown away (*broken). */
PMP_MUST_CHECK enum pmp_err pmp_rollout_restore(struct pmp_rollout *r, const void *state,
                                                size_t size, bool *broken, struct pmp_errmsg *msg);

#endif
