/* A planar hopper on one leg: stand on it, or hop forward. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>

#define STAND_HEIGHT 0.6 /* metres between foot and torso */
#define STAND_HEIGHT_MAX 2.0
#define HOP_SPEED 2.0 /* metres a second */

struct ids {
  int torso, foot;         /* bodies */
  int velocity, toe, heel; /* sensors; velocity: to hop */
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->torso = pmp_task_id(load, mjOBJ_BODY, "torso");
  ids->foot = pmp_task_id(load, mjOBJ_BODY, "foot");
  ids->toe = pmp_task_held_sensor(load, "touch_toe");
  ids->heel = pmp_task_held_sensor(load, "touch_heel");
}

static void prepare_hop(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  prepare(load);
  ids->velocity = pmp_task_id(load, mjOBJ_SENSOR, "torso_subtreelinvel");
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  pmp_physics_draw_joints(p, draw);
  return PMP_OK;
}

static void observe(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  pmp_put(&obs, p->d->qpos + 1, 6);
  pmp_put(&obs, p->d->qvel, 7);
  obs[0] = log1p(pmp_sensor(p, ids->toe)[0]);
  obs[1] = log1p(pmp_sensor(p, ids->heel)[0]);
}

static double standing(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double height = p->d->xipos[3 * ids->torso + 2] - p->d->xipos[3 * ids->foot + 2];
  return pmp_tolerance_gauss(height, STAND_HEIGHT, STAND_HEIGHT_MAX, 0.0);
}

static double reward_stand(const struct pmp_physics *p) {
  return standing(p) * pmp_small_control(p->d->ctrl, p->task->act_dim);
}

static double reward_hop(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  return standing(p) * pmp_tolerance(pmp_sensor(p, ids->velocity)[0], HOP_SPEED, INFINITY,
                                     HOP_SPEED / 2.0, PMP_SIGMOID_LINEAR, 0.5);
}

#define COMMON                                                                                     \
  .xml = "hopper.xml", .substeps = 4, .obs_dim = 15, .act_dim = 4, .step_limit = 1000,             \
  .ids_size = sizeof(struct ids), .init = init, .observe = observe

static const struct pmp_task tasks[] = {
    {.name = "hopper_stand", COMMON, .prepare = prepare, .reward = reward_stand},
    {.name = "hopper_hop", COMMON, .prepare = prepare_hop, .reward = reward_hop},
};

const struct pmp_domain pmp_domain_hopper = {tasks, sizeof(tasks) / sizeof(tasks[0])};
