/* A fish in water: keep upright, or swim to the target. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>

#define FINS 7 /* joints of tail and fins, behind the free joint of the root */
#define NV 13

struct ids {
  int torso;         /* body */
  int mouth, target; /* geoms */
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->torso = pmp_task_id(load, mjOBJ_BODY, "torso");
  ids->mouth = pmp_task_id(load, mjOBJ_GEOM, "mouth");
  ids->target = pmp_task_id(load, mjOBJ_GEOM, "target");
}

static void prepare_swim(struct pmp_task_load *load) {
  const struct ids *ids = load->ids;
  prepare(load);
  for (int i = 0; i < 3; i++) pmp_task_edits(load, PMP_FIELD_GEOM_POS, 3 * ids->target + i);
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  pmp_draw_direction(draw, p->d->qpos + 3, 4);
  for (int i = 7; i < 7 + FINS; i++) p->d->qpos[i] = pmp_draw_between(draw, -0.2, 0.2);
  return PMP_OK;
}

static enum pmp_err init_swim(struct pmp_physics *p, const struct pmp_draw *draw) {
  const struct ids *ids = p->ids;
  double *target = p->m->geom_pos + 3 * ids->target;
  PMP_TRY(init(p, draw));
  target[0] = pmp_draw_between(draw, -0.4, 0.4);
  target[1] = pmp_draw_between(draw, -0.4, 0.4);
  target[2] = pmp_draw_between(draw, 0.1, 0.3);
  return PMP_OK;
}

/* The target seen from the mouth. */
static void mouth_to_target(const struct pmp_physics *p, double out[3]) {
  const struct ids *ids = p->ids;
  const double *target = pmp_geom_pos(p, ids->target), *mouth = pmp_geom_pos(p, ids->mouth);
  const double v[3] = {target[0] - mouth[0], target[1] - mouth[1], target[2] - mouth[2]};
  pmp_rotate_into(out, p->d->geom_xmat + 9 * ids->mouth, v);
}

static double upright(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  return pmp_body_mat(p, ids->torso)[PMP_ZZ];
}

static void observe(const struct pmp_physics *p, double *obs) {
  pmp_put(&obs, p->d->qpos + 7, FINS);
  *obs++ = upright(p);
  pmp_put(&obs, p->d->qvel, NV);
}

static void observe_swim(const struct pmp_physics *p, double *obs) {
  pmp_put(&obs, p->d->qpos + 7, FINS);
  *obs++ = upright(p);
  mouth_to_target(p, obs);
  obs += 3;
  pmp_put(&obs, p->d->qvel, NV);
}

static double reward(const struct pmp_physics *p) {
  return pmp_tolerance_gauss(upright(p), 1.0, 1.0, 1.0);
}

static double reward_swim(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double v[3];
  double radii = p->m->geom_size[3 * ids->mouth] + p->m->geom_size[3 * ids->target];
  mouth_to_target(p, v);
  double distance = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  double near = pmp_tolerance_gauss(distance, 0.0, radii, 2.0 * radii);
  return (7.0 * near + 0.5 * (upright(p) + 1.0)) / 8.0;
}

#define COMMON                                                                                     \
  .xml = "fish.xml", .substeps = 10, .act_dim = 5, .step_limit = 1000,                             \
  .ids_size = sizeof(struct ids)

static const struct pmp_task tasks[] = {
    {.name = "fish_upright",
     COMMON,
     .obs_dim = 21,
     .prepare = prepare,
     .init = init,
     .observe = observe,
     .reward = reward},
    {.name = "fish_swim",
     COMMON,
     .obs_dim = 24,
     .prepare = prepare_swim,
     .init = init_swim,
     .observe = observe_swim,
     .reward = reward_swim},
};

const struct pmp_domain pmp_domain_fish = {tasks, sizeof(tasks) / sizeof(tasks[0])};
