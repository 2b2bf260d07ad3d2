/* What the parts of `pmpo-actor control` share: the command line as read, the task's model, and the
 * session with a daemon where there is one.
 *
 * Belongs to the actor's main thread. */
#ifndef PMP_CONTROL_COMMAND_H
#define PMP_CONTROL_COMMAND_H

#include "actors/control/actions.h"
#include "actors/control/env.h"
#include "actors/runtime/session.h"

#define PMP_CONTROL_KIND "control"

/* Of the random streams of an actor; never changed, since stored states continue them. */
enum pmp_control_purpose {
  PMP_CONTROL_STARTS_EVALUATED = 3,
  PMP_CONTROL_SAMPLES = 4,
  PMP_CONTROL_STARTS_SHOWN = 5
};

struct pmp_control_command {
  struct pmp_actor_options common;
  const char *task_name, *suite, *policy, *weights, *replay, *render, *size, *camera;
  uint32_t envs, threads, chunk_rows, episodes;
  uint64_t max_env_steps;
  uint32_t clip_steps, clip_every;
  bool list, json, evaluate, once, sample, clip_blind;
  double period, noise_correlation, seconds, fps;
  /* What the command line says, understood. */
  enum pmp_actions_kind acting; /* of --evaluate and --render */
  enum pmp_which which;
  uint32_t width, height;
  const struct pmp_task *task;
  struct pmp_env_model model;
  struct pmp_actor_session session; /* without a daemon: stop, log and seed alone */
};

/* Acts with the reference and sends what comes of it. */
PMP_MUST_CHECK enum pmp_err pmp_control_act(struct pmp_control_command *c, struct pmp_errmsg *msg);
/* --evaluate. */
PMP_MUST_CHECK enum pmp_err pmp_control_evaluate(struct pmp_control_command *c,
                                                 struct pmp_errmsg *msg);
/* --render. */
PMP_MUST_CHECK enum pmp_err pmp_control_render(struct pmp_control_command *c,
                                               struct pmp_errmsg *msg);

/* Environments of one evaluation. */
uint32_t pmp_control_evaluation_envs(const struct pmp_control_command *c);
/* The actions that the command line asks for, for `rows` environments at once. */
PMP_MUST_CHECK enum pmp_err pmp_control_actions(struct pmp_control_command *c, uint32_t rows,
                                                struct pmp_actions *a, struct pmp_errmsg *msg);
/* Where the weights come from a daemon: newer ones than those in use. PMP_ECLOSED when stopped. */
PMP_MUST_CHECK enum pmp_err pmp_control_fetch(struct pmp_control_command *c,
                                              struct pmp_errmsg *msg);

#endif
