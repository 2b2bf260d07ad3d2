#include "actors/control/env.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 4096
#define STARTS_MAX 16 /* diverging starts in a row that are drawn again */

struct load_call {
  struct pmp_env_model *em;
  const char *path;
  char error[256];
};

static void load_physics(void *arg) {
  struct load_call *call = arg;
  struct pmp_task_load *load = &call->em->load;
  const struct pmp_task *task = load->task;
  int size = (int)sizeof(call->error);
  load->m = task->compile != NULL ? task->compile(task, call->path, call->error, size)
                                  : mj_loadXML(call->path, NULL, call->error, size);
  if (load->m != NULL && task->prepare != NULL) task->prepare(load);
}

static enum pmp_err check_model(const struct pmp_task_load *load, struct pmp_errmsg *msg) {
  const struct pmp_task *task = load->task;
  const mjModel *m = load->m;
  if (load->missing != NULL)
    return pmp_fail(msg, PMP_EINVALID, "%s has no \"%s\", which task %s needs", task->xml,
                    load->missing, task->name);
  if (m->nu != task->act_dim || m->na != 0)
    return pmp_fail(msg, PMP_EINVALID,
                    "%s has %d actuators with %d states; task %s needs %d with 0", task->xml,
                    (int)m->nu, (int)m->na, task->name, task->act_dim);
  if (m->nsensor > PMP_TASK_SENSORS_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%s has %d sensors, more than %d", task->xml,
                    (int)m->nsensor, PMP_TASK_SENSORS_MAX);
  assert(task->obs_dim <= PMP_TASK_OBS_MAX && task->act_dim <= PMP_TASK_ACT_MAX);
  return PMP_OK;
}

enum pmp_err pmp_env_model_load(struct pmp_env_model *em, const struct pmp_task *task,
                                const char *suite_dir, struct pmp_errmsg *msg) {
  enum pmp_err err = PMP_OK;
  char path[PATH_SIZE];
  struct load_call call = {.em = em, .path = path};
  memset(em, 0, sizeof(*em));
  em->load.task = task;
  if (mj_version() != mjVERSION_HEADER)
    return pmp_fail(msg, PMP_EUNAVAILABLE, "MuJoCo %d is loaded, but this program is built for %d",
                    mj_version(), mjVERSION_HEADER);
  if (snprintf(path, sizeof(path), "%s/%s", suite_dir, task->xml) >= (int)sizeof(path))
    return pmp_fail(msg, PMP_EINVALID, "the suite's path is longer than %d bytes", PATH_SIZE);
  pmp_physics_hooks_install();
  em->load.ids = calloc(1, task->ids_size + 1);
  if (em->load.ids == NULL) {
    err = pmp_fail(msg, PMP_ENOMEM, "no memory for task %s", task->name);
    goto out;
  }
  err = pmp_physics_guard(load_physics, &call, msg);
  if (err != PMP_OK) goto out;
  if (em->load.m == NULL) {
    err = pmp_fail(msg, PMP_ENOTFOUND, "cannot load %.256s: %s", path, call.error);
    goto out;
  }
  err = check_model(&em->load, msg);
  if (err != PMP_OK) goto out;
  pmp_shortcuts_init(&em->shortcuts, em->load.m);
  em->views = pmp_views_create(em->load.m, &em->load, &em->shortcuts);
  if (em->views == NULL) err = pmp_fail(msg, PMP_ENOMEM, "no memory for task %s", task->name);
out:
  if (err != PMP_OK) pmp_env_model_free(em);
  return err;
}

void pmp_env_model_free(struct pmp_env_model *em) {
  pmp_views_free(em->views);
  pmp_shortcuts_fini(&em->shortcuts);
  free(em->load.ids);
  mj_deleteModel(em->load.m);
  memset(em, 0, sizeof(*em));
}

static void make_physics(void *arg) {
  struct pmp_env *env = arg;
  env->p.d = mj_makeData(env->p.m);
}

enum pmp_err pmp_env_create(struct pmp_env **out, const struct pmp_env_model *em,
                            const struct pmp_env_options *options, struct pmp_errmsg *msg) {
  const struct pmp_task *task = em->load.task;
  enum pmp_err err = PMP_ENOMEM;
  *out = NULL;
  struct pmp_env *env = calloc(1, sizeof(*env));
  if (env == NULL) goto out;
  env->model = em;
  env->owns_model = options->own_model || em->load.edit_count > 0;
  env->done = true;
  env->p = (struct pmp_physics){.task = task, .ids = em->load.ids};
  env->p.m = env->owns_model ? pmp_model_fork(em->load.m) : em->load.m;
  pmp_rng_init(&env->rng, options->seed, options->stream);
  env->draw = pmp_draw_from_rng(&env->rng);
  env->obs = calloc((size_t)task->obs_dim, sizeof(double));
  env->next_obs = calloc((size_t)task->obs_dim, sizeof(double));
  if (env->p.m == NULL || env->obs == NULL || env->next_obs == NULL) goto out;
  err = pmp_physics_guard(make_physics, env, msg);
  if (err != PMP_OK) goto out;
  if (env->p.d != NULL)
    env->p.views =
        env->owns_model ? pmp_views_create(env->p.m, &em->load, &em->shortcuts) : em->views;
  if (env->p.views == NULL) err = PMP_ENOMEM;
out:
  if (err == PMP_OK) {
    *out = env;
    return PMP_OK;
  }
  pmp_env_free(env);
  return err == PMP_ENOMEM ? pmp_fail(msg, err, "no memory for an environment of %s", task->name)
                           : err;
}

void pmp_env_free(struct pmp_env *env) {
  if (env == NULL) return;
  mj_deleteData(env->p.d);
  if (env->owns_model) {
    pmp_views_free(env->p.views);
    free(env->p.m);
  }
  free(env->obs);
  free(env->next_obs);
  free(env);
}

void pmp_env_set_draw(struct pmp_env *env, const struct pmp_draw *draw) {
  env->draw = *draw;
}

void pmp_env_obs_f32(const struct pmp_env *env, float *obs) {
  for (int i = 0; i < env->p.task->obs_dim; i++) obs[i] = (float)env->obs[i];
}

/* Whether every number is one that MuJoCo itself would accept in a state. */
static bool all_sane(const double *v, int n) {
  for (int i = 0; i < n; i++)
    if (!(fabs(v[i]) <= mjMAXVAL)) return false;
  return true;
}

bool pmp_env_observe(struct pmp_env *env) {
  const mjModel *m = env->p.m;
  const mjData *d = env->p.d;
  if (!all_sane(d->qpos, (int)m->nq) || !all_sane(d->qvel, (int)m->nv)) return false;
  env->p.task->observe(&env->p, env->next_obs);
  if (!all_sane(env->next_obs, env->p.task->obs_dim)) return false;
  double *old = env->obs;
  env->obs = env->next_obs;
  env->next_obs = old;
  return true;
}

struct reset_call {
  struct pmp_env *env;
  const double *qpos; /* NULL: draw a start */
  const double *qvel;
  enum pmp_err err;
};

static void reset_physics(void *arg) {
  struct reset_call *call = arg;
  struct pmp_physics *p = &call->env->p;
  mj_resetData(p->m, p->d);
  pmp_physics_forward_passive(p);
  if (call->qpos != NULL) {
    memcpy(p->d->qpos, call->qpos, (size_t)p->m->nq * sizeof(double));
    memcpy(p->d->qvel, call->qvel, (size_t)p->m->nv * sizeof(double));
  } else {
    call->err = p->task->init(p, &call->env->draw);
    if (call->err != PMP_OK) return;
  }
  pmp_physics_forward_passive(p);
  /* What the suite swallows inside a reset must not end the first step. */
  pmp_physics_clear_warnings(p->d);
  if (!pmp_env_observe(call->env)) call->err = PMP_ENONFINITE;
}

static enum pmp_err reset_with(struct reset_call *call, float *obs, struct pmp_errmsg *msg) {
  struct pmp_env *env = call->env;
  int tries = call->qpos != NULL ? 1 : STARTS_MAX;
  env->done = true;
  for (int i = 0; i < tries; i++) {
    call->err = PMP_OK;
    PMP_TRY(pmp_physics_guard(reset_physics, call, msg));
    if (call->err != PMP_ENONFINITE) break;
    env->diverged++;
  }
  if (call->err != PMP_OK)
    return pmp_fail(msg, call->err, "%s: no usable start state after %d tries", env->p.task->name,
                    tries);
  env->episode++;
  env->step = 0;
  env->done = false;
  if (obs != NULL) pmp_env_obs_f32(env, obs);
  return PMP_OK;
}

enum pmp_err pmp_env_reset(struct pmp_env *env, float *obs, struct pmp_errmsg *msg) {
  struct reset_call call = {.env = env};
  return reset_with(&call, obs, msg);
}

enum pmp_err pmp_env_reset_to(struct pmp_env *env, const double *qpos, const double *qvel,
                              float *obs, struct pmp_errmsg *msg) {
  struct reset_call call = {.env = env, .qpos = qpos, .qvel = qvel};
  return reset_with(&call, obs, msg);
}

struct step_call {
  struct pmp_env *env;
  struct pmp_env_result *result;
};

static void step_physics(void *arg) {
  struct step_call *call = arg;
  struct pmp_env *env = call->env;
  struct pmp_physics *p = &env->p;
  pmp_physics_advance(p, p->task->substeps);
  if (pmp_physics_warned(p->d)) return;
  double reward = p->task->reward(p);
  if (!isfinite(reward) || !pmp_env_observe(env)) return;
  *call->result = (struct pmp_env_result){.reward = reward, .done = false, .diverged = false};
}

/* One step with the control that is already in place. */
static enum pmp_err step_with_ctrl(struct pmp_env *env, struct pmp_env_result *result,
                                   struct pmp_errmsg *msg) {
  struct step_call call = {.env = env, .result = result};
  *result = (struct pmp_env_result){.reward = 0.0, .done = true, .diverged = true};
  enum pmp_err err = pmp_physics_guard(step_physics, &call, msg);
  if (err != PMP_OK || result->diverged) {
    env->diverged++;
    env->done = true;
    return err;
  }
  env->step++;
  env->done = env->step >= env->p.task->step_limit;
  result->done = env->done;
  return PMP_OK;
}

static enum pmp_err no_episode(const struct pmp_env *env, struct pmp_errmsg *msg) {
  return pmp_fail(msg, PMP_EINVALID, "%s: a step without a running episode", env->p.task->name);
}

enum pmp_err pmp_env_step(struct pmp_env *env, const float *action, float *obs,
                          struct pmp_env_result *result, struct pmp_errmsg *msg) {
  if (env->done) return no_episode(env, msg);
  for (int i = 0; i < env->p.task->act_dim; i++) env->p.d->ctrl[i] = (double)action[i];
  PMP_TRY(step_with_ctrl(env, result, msg));
  if (obs != NULL) pmp_env_obs_f32(env, obs);
  return PMP_OK;
}

enum pmp_err pmp_env_step_f64(struct pmp_env *env, const double *action,
                              struct pmp_env_result *result, struct pmp_errmsg *msg) {
  if (env->done) return no_episode(env, msg);
  memcpy(env->p.d->ctrl, action, (size_t)env->p.task->act_dim * sizeof(double));
  return step_with_ctrl(env, result, msg);
}
