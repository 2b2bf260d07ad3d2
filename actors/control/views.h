/* Models that share the arrays of another one. An environment's own, with cells that its starts
 * change. And a model as the parts of a control step see it: headers of their own, each leaving out
 * what nobody reads afterwards. Positions, velocities and what the task observes come
 * out with the same bits as with the whole model.
 *
 * Immutable after creation, shared by threads; the model outlives its views, and what is written to
 * the model's arrays holds for them too. Knows nothing of environments. */
#ifndef PMP_CONTROL_VIEWS_H
#define PMP_CONTROL_VIEWS_H

#include "actors/control/fluid.h"
#include "actors/control/pairs.h"
#include "actors/control/task.h"

#include <mujoco/mujoco.h>

/* What a loaded model allows to be computed otherwise; members are owned and NULL where it does
 * not.
 */
struct pmp_shortcuts {
  struct pmp_pairs *pairs;
  struct pmp_fluid *fluid;
};

struct pmp_views {
  /* Not owned. Not NULL: inner, held and last know no medium; its forces are added after positions
   * and velocities. */
  const struct pmp_fluid *fluid;
  mjModel passive; /* whole, but without actuation: starts are made with it */
  mjModel inner;   /* physics steps inside a control step: no sensors, no places to look at */
  mjModel held;    /* the last one of them: as inner, with the sensors of acceleration that the task
                      reads */
  mjModel last;    /* positions and velocities at the end: places, and the other sensors that the
                      task reads */
  int held_stage[PMP_TASK_SENSORS_MAX]; /* sensor_needstage of held and of last */
  int last_stage[PMP_TASK_SENSORS_MAX];
};

/* A model on the arrays of m, but for the fields that an edit may change: those are its own, and
 * start as m's. For free(), not for mj_deleteModel. NULL: no memory. */
mjModel *pmp_model_fork(const mjModel *m);

void pmp_shortcuts_init(struct pmp_shortcuts *s, const mjModel *m);
/* Safe on a zeroed struct. */
void pmp_shortcuts_fini(struct pmp_shortcuts *s);

/* NULL: no memory. `m` is load->m or a fork of it; `shortcuts`, of load->m, outlive the views. */
struct pmp_views *pmp_views_create(const mjModel *m, const struct pmp_task_load *load,
                                   const struct pmp_shortcuts *shortcuts);
/* NULL is fine. */
void pmp_views_free(struct pmp_views *v);

#endif
