/* A ball on a string below a cup: catch it. */
#include "actors/control/task.h"

#include <math.h>

#define START_ROUNDS_MAX 1000

struct ids {
  int ball_x, ball_z; /* in qpos */
  int ball, target;   /* body, site */
  int ball_geom;
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->ball_x = pmp_task_qpos(load, "ball_x");
  ids->ball_z = pmp_task_qpos(load, "ball_z");
  ids->ball = pmp_task_id(load, mjOBJ_BODY, "ball");
  ids->target = pmp_task_id(load, mjOBJ_SITE, "target");
  ids->ball_geom = pmp_task_id(load, mjOBJ_GEOM, "ball");
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  const struct ids *ids = p->ids;
  for (int round = 0; round < START_ROUNDS_MAX; round++) {
    p->d->qpos[ids->ball_x] = pmp_draw_between(draw, -0.2, 0.2);
    p->d->qpos[ids->ball_z] = pmp_draw_between(draw, 0.2, 0.5);
    pmp_physics_forward_passive(p);
    if (p->d->ncon == 0) return PMP_OK;
  }
  return PMP_EINTERNAL;
}

static void observe(const struct pmp_physics *p, double *obs) {
  pmp_put(&obs, p->d->qpos, 4);
  pmp_put(&obs, p->d->qvel, 4);
}

static double reward(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  const double *target = pmp_site_pos(p, ids->target), *ball = pmp_body_pos(p, ids->ball);
  double radius = p->m->geom_size[3 * ids->ball_geom];
  for (int axis = 0; axis <= 2; axis += 2)
    if (!(fabs(target[axis] - ball[axis]) < p->m->site_size[3 * ids->target + axis] - radius))
      return 0.0;
  return 1.0;
}

static const struct pmp_task tasks[] = {
    {.name = "ball_in_cup_catch",
     .xml = "ball_in_cup.xml",
     .substeps = 10,
     .obs_dim = 8,
     .act_dim = 2,
     .step_limit = 1000,
     .ids_size = sizeof(struct ids),
     .prepare = prepare,
     .init = init,
     .observe = observe,
     .reward = reward},
};

const struct pmp_domain pmp_domain_ball_in_cup = {tasks, sizeof(tasks) / sizeof(tasks[0])};
