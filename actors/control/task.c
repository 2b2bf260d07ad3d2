#include "actors/control/task.h"

#include "base/nearest.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Every domain, in the order in which tasks are listed. */
#define DOMAINS(X)                                                                                 \
  X(cartpole)                                                                                      \
  X(acrobot)                                                                                       \
  X(reacher)                                                                                       \
  X(manipulator)                                                                                   \
  X(cheetah)                                                                                       \
  X(humanoid)                                                                                      \
  X(walker)                                                                                        \
  X(hopper)                                                                                        \
  X(finger)                                                                                        \
  X(ball_in_cup)                                                                                   \
  X(pendulum)                                                                                      \
  X(point_mass)                                                                                    \
  X(fish)                                                                                          \
  X(swimmer)

#define DECLARE(name) extern const struct pmp_domain pmp_domain_##name;
DOMAINS(DECLARE)

#define ENTRY(name) &pmp_domain_##name,
static const struct pmp_domain *const domains[] = {DOMAINS(ENTRY)};

#define NEAREST_COUNT 3

size_t pmp_task_count(void) {
  size_t n = 0;
  for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) n += domains[i]->count;
  return n;
}

const struct pmp_task *pmp_task_at(size_t i) {
  for (size_t k = 0; k < sizeof(domains) / sizeof(domains[0]); k++) {
    if (i < domains[k]->count) return &domains[k]->tasks[i];
    i -= domains[k]->count;
  }
  return NULL;
}

/* The nearest names, best first, as "a, b, c". */
static void nearest_names(const char *name, char *text, size_t size) {
  struct pmp_nearest n;
  size_t used = 0;
  pmp_nearest_init(&n, name, NEAREST_COUNT, SIZE_MAX);
  for (size_t i = 0; i < pmp_task_count(); i++) pmp_nearest_offer(&n, i, pmp_task_at(i)->name);
  text[0] = '\0';
  for (size_t k = 0; k < n.count && used < size; k++) {
    int written = snprintf(text + used, size - used, "%s%s", k > 0 ? ", " : "",
                           pmp_task_at(n.index[k])->name);
    used += written > 0 ? (size_t)written : 0;
  }
}

enum pmp_err pmp_task_find(const char *name, const struct pmp_task **out, struct pmp_errmsg *msg) {
  for (size_t i = 0; i < pmp_task_count(); i++) {
    const struct pmp_task *task = pmp_task_at(i);
    if (strcmp(task->name, name) == 0) {
      *out = task;
      return PMP_OK;
    }
  }
  char near[NEAREST_COUNT * (PMP_TASK_NAME_MAX + 2)];
  nearest_names(name, near, sizeof(near));
  return pmp_fail(msg, PMP_ENOTFOUND, "no control task \"%.64s\"; the nearest are: %s", name, near);
}

int pmp_task_id(struct pmp_task_load *load, mjtObj type, const char *name) {
  int id = mj_name2id(load->m, (int)type, name);
  if (id >= 0 && type == mjOBJ_SENSOR) pmp_task_reads_sensor(load, id);
  if (id >= 0) return id;
  if (load->missing == NULL) load->missing = name;
  return 0;
}

int pmp_task_qpos(struct pmp_task_load *load, const char *joint) {
  int id = pmp_task_id(load, mjOBJ_JOINT, joint);
  return load->missing == NULL ? load->m->jnt_qposadr[id] : 0;
}

int pmp_task_qvel(struct pmp_task_load *load, const char *joint) {
  int id = pmp_task_id(load, mjOBJ_JOINT, joint);
  return load->missing == NULL ? load->m->jnt_dofadr[id] : 0;
}

void pmp_task_edits(struct pmp_task_load *load, enum pmp_field field, int index) {
  assert(load->edit_count < PMP_TASK_EDITS_MAX);
  load->edits[load->edit_count++] = (struct pmp_edit){field, index};
}

int pmp_task_held_sensor(struct pmp_task_load *load, const char *name) {
  int id = pmp_task_id(load, mjOBJ_SENSOR, name);
  assert(load->held_count < PMP_TASK_HELD_MAX);
  load->held[load->held_count++] = load->missing == NULL ? load->m->sensor_adr[id] : 0;
  return id;
}

void pmp_task_reads_sensor(struct pmp_task_load *load, int sensor) {
  if (sensor < PMP_TASK_SENSORS_MAX) load->sensors |= UINT64_C(1) << sensor;
}

mjtNum **pmp_field_array(mjModel *m, enum pmp_field field, int *count) {
  switch (field) {
  case PMP_FIELD_BODY_POS:
    *count = 3 * (int)m->nbody;
    return &m->body_pos;
  case PMP_FIELD_BODY_QUAT:
    *count = 4 * (int)m->nbody;
    return &m->body_quat;
  case PMP_FIELD_GEOM_POS:
    *count = 3 * (int)m->ngeom;
    return &m->geom_pos;
  case PMP_FIELD_GEOM_SIZE:
    *count = 3 * (int)m->ngeom;
    return &m->geom_size;
  case PMP_FIELD_SITE_POS:
    *count = 3 * (int)m->nsite;
    return &m->site_pos;
  case PMP_FIELD_SITE_SIZE:
    *count = 3 * (int)m->nsite;
    return &m->site_size;
  case PMP_FIELD_DOF_DAMPING:
    *count = (int)m->nv;
    return &m->dof_damping;
  case PMP_FIELD_WRAP_PRM:
    *count = (int)m->nwrap;
    return &m->wrap_prm;
  case PMP_FIELD_LIGHT_POS:
    *count = 3 * (int)m->nlight;
    return &m->light_pos;
  case PMP_FIELD_COUNT:
    break;
  }
  *count = 0;
  return NULL;
}

mjtNum *pmp_field_cells(mjModel *m, enum pmp_field field, int *count) {
  mjtNum **array = pmp_field_array(m, field, count);
  return array != NULL ? *array : NULL;
}
