/* A planar arm of two links: touch the target with the finger. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>

#define PI 3.14159265358979323846

enum { TARGET_RADIUS = 0 }; /* param, metres */

struct ids {
  int target, finger; /* geoms */
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->target = pmp_task_id(load, mjOBJ_GEOM, "target");
  ids->finger = pmp_task_id(load, mjOBJ_GEOM, "finger");
  if (load->missing != NULL) return;
  load->m->geom_size[3 * ids->target] = load->task->param[TARGET_RADIUS];
  pmp_task_edits(load, PMP_FIELD_GEOM_POS, 3 * ids->target);
  pmp_task_edits(load, PMP_FIELD_GEOM_POS, 3 * ids->target + 1);
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  const struct ids *ids = p->ids;
  double *target = p->m->geom_pos + 3 * ids->target;
  pmp_physics_draw_joints(p, draw);
  double angle = pmp_draw_between(draw, 0.0, 2.0 * PI);
  double radius = pmp_draw_between(draw, 0.05, 0.20);
  target[0] = radius * sin(angle);
  target[1] = radius * cos(angle);
  return PMP_OK;
}

static void to_target(const struct pmp_physics *p, double out[2]) {
  const struct ids *ids = p->ids;
  const double *target = pmp_geom_pos(p, ids->target), *finger = pmp_geom_pos(p, ids->finger);
  out[0] = target[0] - finger[0];
  out[1] = target[1] - finger[1];
}

static void observe(const struct pmp_physics *p, double *obs) {
  pmp_put(&obs, p->d->qpos, 2);
  to_target(p, obs);
  obs += 2;
  pmp_put(&obs, p->d->qvel, 2);
}

static double reward(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double v[2];
  to_target(p, v);
  double radii = p->m->geom_size[3 * ids->target] + p->m->geom_size[3 * ids->finger];
  return pmp_tolerance_gauss(sqrt(v[0] * v[0] + v[1] * v[1]), 0.0, radii, 0.0);
}

#define COMMON                                                                                     \
  .xml = "reacher.xml", .substeps = 1, .obs_dim = 6, .act_dim = 2, .step_limit = 1000,             \
  .ids_size = sizeof(struct ids), .prepare = prepare, .init = init, .observe = observe,            \
  .reward = reward

static const struct pmp_task tasks[] = {
    {.name = "reacher_easy", COMMON, .param = {[TARGET_RADIUS] = 0.05}},
    {.name = "reacher_hard", COMMON, .param = {[TARGET_RADIUS] = 0.015}},
};

const struct pmp_domain pmp_domain_reacher = {tasks, sizeof(tasks) / sizeof(tasks[0])};
