/* An environment as a flat row of bytes, and back.
 *
 * Everything that the future of an episode depends on: positions, velocities, the solver's warm
 * start, time, control, the sensors that a step leaves behind, the model's edited cells, counters,
 * the generator. All else is derived again by the first half of a physics step. */
#include "actors/control/env.h"

#include <math.h>
#include <string.h>

#define STATE_VERSION 1u

struct header {
  uint32_t version;
  uint32_t size; /* bytes, header included */
  char task[PMP_TASK_NAME_MAX];
  uint64_t episode;
  uint64_t diverged;
  struct pmp_rng rng;
  int32_t step;
  uint32_t done;
};
_Static_assert(sizeof(struct header) == 4 + 4 + PMP_TASK_NAME_MAX + 8 + 8 + 48 + 4 + 4,
               "the header has no padding");

/* Runs of numbers behind the header: what an episode is made of, then what outlives it. */
struct span {
  double *v;
  int n;
};
#define SPANS_MAX (5 + PMP_TASK_HELD_MAX + PMP_TASK_EDITS_MAX)

static int physics_spans(const struct pmp_env *env, struct span *spans) {
  const mjModel *m = env->p.m;
  mjData *d = env->p.d;
  int n = 0;
  spans[n++] = (struct span){&d->time, 1};
  spans[n++] = (struct span){d->qpos, (int)m->nq};
  spans[n++] = (struct span){d->qvel, (int)m->nv};
  spans[n++] = (struct span){d->qacc_warmstart, (int)m->nv};
  spans[n++] = (struct span){d->ctrl, (int)m->nu};
  for (int i = 0; i < env->model->load.held_count; i++)
    spans[n++] = (struct span){&d->sensordata[env->model->load.held[i]], 1};
  return n;
}

static int edit_spans(const struct pmp_env *env, struct span *spans) {
  const struct pmp_task_load *load = &env->model->load;
  for (int i = 0; i < load->edit_count; i++) {
    int count;
    mjtNum *cells = pmp_field_cells(env->p.m, load->edits[i].field, &count);
    spans[i] = (struct span){&cells[load->edits[i].index], 1};
  }
  return load->edit_count;
}

static size_t physics_bytes(const struct pmp_env_model *em) {
  const mjModel *m = em->load.m;
  return ((size_t)(1 + m->nq + 2 * m->nv + m->nu) + (size_t)em->load.held_count) * sizeof(double);
}

size_t pmp_env_state_size(const struct pmp_env_model *em) {
  return sizeof(struct header) + physics_bytes(em) + (size_t)em->load.edit_count * sizeof(double);
}

static void spans_read(const struct span *spans, int count, const unsigned char *from) {
  for (int i = 0; i < count; i++) {
    memcpy(spans[i].v, from, (size_t)spans[i].n * sizeof(double));
    from += (size_t)spans[i].n * sizeof(double);
  }
}

static void spans_write(const struct span *spans, int count, unsigned char *to) {
  for (int i = 0; i < count; i++) {
    memcpy(to, spans[i].v, (size_t)spans[i].n * sizeof(double));
    to += (size_t)spans[i].n * sizeof(double);
  }
}

void pmp_env_save(const struct pmp_env *env, void *state) {
  struct span spans[SPANS_MAX];
  struct header h = {.version = STATE_VERSION,
                     .size = (uint32_t)pmp_env_state_size(env->model),
                     .episode = env->episode,
                     .diverged = env->diverged,
                     .rng = env->rng,
                     .step = env->step,
                     .done = env->done};
  unsigned char *physics = (unsigned char *)state + sizeof(h);
  strncpy(h.task, env->p.task->name, sizeof(h.task) - 1);
  memset(state, 0, h.size);
  memcpy(state, &h, sizeof(h));
  /* Between episodes the physics is of no use, and after a breakdown it may hold NaN: it stays
   * zero. */
  if (!env->done) spans_write(spans, physics_spans(env, spans), physics);
  spans_write(spans, edit_spans(env, spans), physics + physics_bytes(env->model));
}

static enum pmp_err check_state(const struct pmp_env *env, const struct header *h,
                                const unsigned char *state, size_t size, struct pmp_errmsg *msg) {
  const struct pmp_task *task = env->p.task;
  if (h->version != STATE_VERSION || h->size != size)
    return pmp_fail(msg, PMP_EINVALID, "not a saved environment: version %u, %u bytes in %zu",
                    h->version, h->size, size);
  if (strncmp(h->task, task->name, sizeof(h->task)) != 0)
    return pmp_fail(msg, PMP_EINVALID, "a saved environment of task %.31s, not of %s", h->task,
                    task->name);
  if (h->done > 1 || h->step < 0 || h->step > task->step_limit || h->rng.used > 4 ||
      (h->done == 0 && h->step == task->step_limit))
    return pmp_fail(msg, PMP_EINVALID, "saved environment of %s: counters out of range",
                    task->name);
  for (size_t at = sizeof(*h); at < size; at += sizeof(double)) {
    double v;
    memcpy(&v, state + at, sizeof(v));
    if (!isfinite(v))
      return pmp_fail(msg, PMP_EINVALID, "saved environment of %s: a number is not finite",
                      task->name);
  }
  return PMP_OK;
}

struct restore_call {
  struct pmp_env *env;
  const unsigned char *physics;
  bool usable;
};

static void restore_physics(void *arg) {
  struct restore_call *call = arg;
  struct pmp_physics *p = &call->env->p;
  struct span spans[SPANS_MAX];
  int count = physics_spans(call->env, spans);
  mj_resetData(p->m, p->d);
  spans_read(spans, count, call->physics);
  mj_step1(p->m, p->d);
  spans_read(spans, count, call->physics); /* again, for the sensors */
  call->usable = !pmp_physics_warned(p->d) && pmp_env_observe(call->env);
}

enum pmp_err pmp_env_restore(struct pmp_env *env, const void *state, size_t size,
                             struct pmp_errmsg *msg) {
  const unsigned char *bytes = state;
  struct span spans[SPANS_MAX];
  struct header h;
  if (size != pmp_env_state_size(env->model))
    return pmp_fail(msg, PMP_EINVALID, "a saved environment of %s has %zu bytes, not %zu",
                    env->p.task->name, pmp_env_state_size(env->model), size);
  memcpy(&h, bytes, sizeof(h));
  PMP_TRY(check_state(env, &h, bytes, size, msg));
  env->done = true;
  spans_read(spans, edit_spans(env, spans), bytes + sizeof(h) + physics_bytes(env->model));
  if (!h.done) {
    struct restore_call call = {.env = env, .physics = bytes + sizeof(h), .usable = false};
    PMP_TRY(pmp_physics_guard(restore_physics, &call, msg));
    if (!call.usable)
      return pmp_fail(msg, PMP_EINVALID, "saved environment of %s: not a physical state",
                      env->p.task->name);
  }
  env->episode = h.episode;
  env->diverged = h.diverged;
  env->rng = h.rng;
  env->step = h.step;
  env->done = h.done == 1;
  return PMP_OK;
}
