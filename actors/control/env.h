/* Environments of the control suite: the loaded model of a task, and any number of independent
 * environments on it.
 *
 * A model is immutable after loading and may be shared by threads; an environment belongs to one
 * thread at a time. Nothing here blocks (loading reads files). Step, reset, save and restore
 * allocate nothing. Actions are not clipped: MuJoCo clips the force, the reward sees the raw
 * action, as in dm_control. */
#ifndef PMP_CONTROL_ENV_H
#define PMP_CONTROL_ENV_H

#include "actors/control/physics.h"
#include "actors/control/task.h"
#include "actors/control/views.h"
#include "base/err.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmp_env_model {
  struct pmp_task_load load;      /* load.m and load.ids are owned */
  struct pmp_shortcuts shortcuts; /* of load.m */
  struct pmp_views *views;        /* owned, of load.m */
};

/* Loads `task` from the suite's folder (holding cartpole.xml ... and common/). PMP_ENOTFOUND,
 * PMP_EINVALID (not the model that the task expects), PMP_EUNAVAILABLE (another MuJoCo),
 * PMP_ENOMEM. Call the first time before other threads use MuJoCo. */
PMP_MUST_CHECK enum pmp_err pmp_env_model_load(struct pmp_env_model *em,
                                               const struct pmp_task *task, const char *suite_dir,
                                               struct pmp_errmsg *msg);
/* Safe on a zeroed struct and after a failed load. Every environment of it must be gone. */
void pmp_env_model_free(struct pmp_env_model *em);

struct pmp_env_options {
  uint64_t seed;   /* of the start states */
  uint64_t stream; /* another stream for each environment of a seed */
  bool own_model;  /* cells of its own in the model, even if the task's starts do not change it */
};

struct pmp_env {
  const struct pmp_env_model *model; /* not owned */
  struct pmp_physics p;              /* p.d is owned; p.m and p.views too when owns_model */
  bool owns_model;
  struct pmp_rng rng;   /* of the start states */
  struct pmp_draw draw; /* what starts draw from: rng unless pmp_env_set_draw */
  double *obs;          /* owned, [obs_dim]: the last observation, always finite */
  double *next_obs;     /* owned, [obs_dim] */
  uint64_t episode;     /* starts so far; the running episode's number, from 1 */
  uint64_t diverged;    /* episodes or starts that the physics ended */
  int step;             /* control steps done in the episode */
  bool done;            /* no episode is running: reset first (also before the first reset) */
};

struct pmp_env_result {
  double reward; /* finite; 0 when diverged */
  bool done;     /* the episode is over. By the time limit (a truncation: bootstrap from the
                    observation) unless diverged */
  bool diverged; /* the physics broke down: the step has no outcome; obs stays the one before it */
};

/* PMP_ENOMEM, PMP_EINTERNAL. *out is NULL on failure. */
PMP_MUST_CHECK enum pmp_err pmp_env_create(struct pmp_env **out, const struct pmp_env_model *em,
                                           const struct pmp_env_options *options,
                                           struct pmp_errmsg *msg);
/* NULL is fine. */
void pmp_env_free(struct pmp_env *env);

/* Draws starts from `draw` instead of the environment's own generator. Such a generator is not
 * saved. */
void pmp_env_set_draw(struct pmp_env *env, const struct pmp_draw *draw);

/* Starts the next episode. obs[obs_dim] receives the first observation (NULL: only env->obs).
 * PMP_ENONFINITE when one start after the other diverges, PMP_EINTERNAL on an error in MuJoCo. */
PMP_MUST_CHECK enum pmp_err pmp_env_reset(struct pmp_env *env, float *obs, struct pmp_errmsg *msg);
/* The same from a given state qpos[nq], qvel[nv] instead of a drawn one. */
PMP_MUST_CHECK enum pmp_err pmp_env_reset_to(struct pmp_env *env, const double *qpos,
                                             const double *qvel, float *obs,
                                             struct pmp_errmsg *msg);
/* One control step with action[act_dim]. PMP_EINVALID when no episode is running; PMP_EINTERNAL on
 * an error in MuJoCo (the episode is then over). A divergence is a result, not an error. */
PMP_MUST_CHECK enum pmp_err pmp_env_step(struct pmp_env *env, const float *action, float *obs,
                                         struct pmp_env_result *result, struct pmp_errmsg *msg);
/* The same in double precision; the observation is in env->obs. */
PMP_MUST_CHECK enum pmp_err pmp_env_step_f64(struct pmp_env *env, const double *action,
                                             struct pmp_env_result *result, struct pmp_errmsg *msg);
/* Refreshes env->obs from the current physics; false, and env->obs as it was, when a number in the
 * state or the observation is not finite or beyond what MuJoCo accepts. */
bool pmp_env_observe(struct pmp_env *env);
/* env->obs as float. */
void pmp_env_obs_f32(const struct pmp_env *env, float *obs);

/* Bytes of a saved environment; the same for all environments of a model, on every machine. */
size_t pmp_env_state_size(const struct pmp_env_model *em);
/* Writes state[pmp_env_state_size]. An environment restored from it, in this process or another one
 * with the same libraries and processor model, continues bit for bit as this one does. */
void pmp_env_save(const struct pmp_env *env, void *state);
/* PMP_EINVALID when the bytes are not a state of this task, PMP_EINTERNAL on an error in MuJoCo;
 * the environment must then be reset. */
PMP_MUST_CHECK enum pmp_err pmp_env_restore(struct pmp_env *env, const void *state, size_t size,
                                            struct pmp_errmsg *msg);

#endif
