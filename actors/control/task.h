/* The control suite as one table: what a task is, and where to find it.
 *
 * Constant data; any thread. A domain is one file, task_<domain>.c, that fills a `struct
 * pmp_domain` and is named once in task.c. Tasks know MuJoCo and nothing of networks, policies or
 * the daemon. */
#ifndef PMP_CONTROL_TASK_H
#define PMP_CONTROL_TASK_H

#include "actors/control/draw.h"
#include "actors/control/physics.h"
#include "base/err.h"

#include <mujoco/mujoco.h>
#include <stddef.h>
#include <stdint.h>

#define PMP_TASK_NAME_MAX 32    /* bytes, NUL included */
#define PMP_TASK_EDITS_MAX 8    /* model cells that one task's starts may change */
#define PMP_TASK_HELD_MAX 8     /* acceleration sensors that one task observes */
#define PMP_TASK_SENSORS_MAX 64 /* of a model: their ids are bits */
#define PMP_TASK_OBS_MAX 128
#define PMP_TASK_ACT_MAX 32

/* Arrays of a model whose cells a start may change. The numbers are those of the replay file
 * format. */
enum pmp_field {
  PMP_FIELD_BODY_POS = 0,
  PMP_FIELD_BODY_QUAT,
  PMP_FIELD_GEOM_POS,
  PMP_FIELD_GEOM_SIZE,
  PMP_FIELD_SITE_POS,
  PMP_FIELD_SITE_SIZE,
  PMP_FIELD_DOF_DAMPING,
  PMP_FIELD_WRAP_PRM,
  PMP_FIELD_LIGHT_POS,
  PMP_FIELD_COUNT
};

/* One cell: m-><field>[index]. */
struct pmp_edit {
  enum pmp_field field;
  int index;
};

/* What a task's prepare works on, once for each loaded model. */
struct pmp_task_load {
  const struct pmp_task *task;
  mjModel *m; /* may be changed: the change holds for every environment */
  void *ids;  /* zeroed, task->ids_size bytes, the task's own struct */
  struct pmp_edit
      edits[PMP_TASK_EDITS_MAX]; /* cells that init changes: each environment gets its own model */
  int edit_count;
  int held[PMP_TASK_HELD_MAX]; /* cells of sensordata that only a whole step refreshes and observe
                                  reads (touch) */
  int held_count;
  uint64_t sensors;    /* a bit for each sensor id that observe or reward reads; only these are kept
                          up in a step */
  const char *missing; /* first name that the model does not have, or NULL */
};

struct pmp_task {
  const char *name; /* "cartpole_swingup" */
  const char *xml;  /* file in the suite's folder */
  int substeps;     /* physics steps in a control step */
  int obs_dim;
  int act_dim;     /* actions are in [-1, 1] */
  int step_limit;  /* control steps in an episode */
  size_t ids_size; /* of the struct behind pmp_physics.ids; 0: none */
  double param[2]; /* what tells tasks of one domain apart; meaning is the domain's */
  /* Builds the model where the XML alone is not it; NULL: mj_loadXML. Returns NULL and fills
   * error[size] on failure. */
  mjModel *(*compile)(const struct pmp_task *task, const char *path, char *error, int size);
  /* Looks names up, sets constants of the model, declares edits; NULL: nothing to do. */
  void (*prepare)(struct pmp_task_load *load);
  /* Draws a start into qpos, qvel and the declared edits, after a reset and a passive forward.
   * PMP_ENONFINITE: the physics diverged, draw again. */
  enum pmp_err (*init)(struct pmp_physics *p, const struct pmp_draw *draw);
  /* Fills obs[obs_dim]. */
  void (*observe)(const struct pmp_physics *p, double *obs);
  double (*reward)(const struct pmp_physics *p);
};

struct pmp_domain {
  const struct pmp_task *tasks; /* [count] */
  size_t count;
};

/* The task of this name. PMP_ENOTFOUND, with the nearest names in msg. */
PMP_MUST_CHECK enum pmp_err pmp_task_find(const char *name, const struct pmp_task **out,
                                          struct pmp_errmsg *msg);
/* Number of tasks, and task i < count in a fixed order. */
size_t pmp_task_count(void);
const struct pmp_task *pmp_task_at(size_t i);

/* For prepare: the id of a named thing; a missing one is remembered in load->missing and gives 0
 * (the load then fails; do not write through such an id). A sensor looked up is one that the task
 * reads.
 * `name` must be a literal. */
int pmp_task_id(struct pmp_task_load *load, mjtObj type, const char *name);
/* For prepare: the address of a joint in qpos / in qvel. */
int pmp_task_qpos(struct pmp_task_load *load, const char *joint);
int pmp_task_qvel(struct pmp_task_load *load, const char *joint);
/* For prepare: declares that init writes m-><field>[index]. */
void pmp_task_edits(struct pmp_task_load *load, enum pmp_field field, int index);
/* For prepare: the id of a one-number sensor whose value stems from inside the last step, so that a
 * saved environment must bring it along. */
int pmp_task_held_sensor(struct pmp_task_load *load, const char *name);
/* For prepare: the task reads this sensor, which it did not look up by name. */
void pmp_task_reads_sensor(struct pmp_task_load *load, int sensor);
/* The cells of a field and their number; and where the model keeps the address of the first. NULL
 * and 0 when there is no such field. */
mjtNum *pmp_field_cells(mjModel *m, enum pmp_field field, int *count);
mjtNum **pmp_field_array(mjModel *m, enum pmp_field field, int *count);

#endif
