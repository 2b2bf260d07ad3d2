/* A point mass in the plane: go to the target. In the hard task each motor pulls along a drawn
 * direction. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>

struct ids {
  int target, mass; /* geoms */
};

static void prepare_easy(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->target = pmp_task_id(load, mjOBJ_GEOM, "target");
  ids->mass = pmp_task_id(load, mjOBJ_GEOM, "pointmass");
}

static void prepare_hard(struct pmp_task_load *load) {
  prepare_easy(load);
  for (int i = 0; i < 4; i++) pmp_task_edits(load, PMP_FIELD_WRAP_PRM, i);
}

static enum pmp_err init_easy(struct pmp_physics *p, const struct pmp_draw *draw) {
  pmp_physics_draw_joints(p, draw);
  return PMP_OK;
}

static enum pmp_err init_hard(struct pmp_physics *p, const struct pmp_draw *draw) {
  double *first = p->m->wrap_prm, *second = p->m->wrap_prm + 2;
  pmp_physics_draw_joints(p, draw);
  pmp_draw_direction(draw, first, 2);
  do pmp_draw_direction(draw, second, 2);
  while (fabs(first[0] * second[0] + first[1] * second[1]) > 0.9); /* nearly parallel */
  return PMP_OK;
}

static void observe(const struct pmp_physics *p, double *obs) {
  pmp_put(&obs, p->d->qpos, 2);
  pmp_put(&obs, p->d->qvel, 2);
}

static double reward(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double radius = p->m->geom_size[3 * ids->target];
  double distance = pmp_distance(pmp_geom_pos(p, ids->target), pmp_geom_pos(p, ids->mass));
  double near = pmp_tolerance_gauss(distance, 0.0, radius, radius);
  return near * pmp_small_control(p->d->ctrl, p->task->act_dim);
}

#define COMMON                                                                                     \
  .xml = "point_mass.xml", .substeps = 1, .obs_dim = 4, .act_dim = 2, .step_limit = 1000,          \
  .ids_size = sizeof(struct ids), .observe = observe, .reward = reward

static const struct pmp_task tasks[] = {
    {.name = "point_mass_easy", COMMON, .prepare = prepare_easy, .init = init_easy},
    {.name = "point_mass_hard", COMMON, .prepare = prepare_hard, .init = init_hard},
};

const struct pmp_domain pmp_domain_point_mass = {tasks, sizeof(tasks) / sizeof(tasks[0])};
