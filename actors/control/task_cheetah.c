/* A planar cheetah that is paid for running forward. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>

#define RUN_SPEED 10.0 /* metres a second */
#define SETTLE_STEPS 200

struct ids {
  int torso; /* body */
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->torso = pmp_task_id(load, mjOBJ_BODY, "torso");
}

/* The drawn pose settles without control. Its first half step still uses the quantities of the
 * default pose: the suite does no forward pass in between, and the start depends on it. */
static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  const mjModel *m = p->m;
  for (int j = 0; j < (int)m->njnt; j++) {
    if (!m->jnt_limited[j]) continue;
    p->d->qpos[m->jnt_qposadr[j]] =
        pmp_draw_between(draw, m->jnt_range[2 * j], m->jnt_range[2 * j + 1]);
  }
  pmp_physics_clear_warnings(p->d);
  pmp_physics_advance(p, SETTLE_STEPS);
  p->d->time = 0.0;
  return pmp_physics_warned(p->d) ? PMP_ENONFINITE : PMP_OK;
}

static void observe(const struct pmp_physics *p, double *obs) {
  pmp_put(&obs, p->d->qpos + 1, 8);
  pmp_put(&obs, p->d->qvel, 9);
}

static double reward(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double velocity[3];
  pmp_physics_velocity(p, ids->torso, velocity);
  return pmp_tolerance(velocity[0], RUN_SPEED, INFINITY, RUN_SPEED, PMP_SIGMOID_LINEAR, 0.0);
}

static const struct pmp_task tasks[] = {
    {.name = "cheetah_run",
     .xml = "cheetah.xml",
     .substeps = 1,
     .obs_dim = 17,
     .act_dim = 6,
     .step_limit = 1000,
     .ids_size = sizeof(struct ids),
     .prepare = prepare,
     .init = init,
     .observe = observe,
     .reward = reward},
};

const struct pmp_domain pmp_domain_cheetah = {tasks, sizeof(tasks) / sizeof(tasks[0])};
