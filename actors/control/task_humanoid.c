/* A humanoid: stand, walk or run in any direction. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>

#define JOINTS 21 /* hinges, behind the free joint of the root */
#define NQ 28
#define NV 27
#define STAND_HEIGHT 1.4 /* metres */
#define START_ROUNDS_MAX 10000

enum { SPEED = 0 }; /* param: metres a second; 0: stand still */

struct ids {
  int head, torso; /* bodies */
  int limb[4];     /* bodies: hand and foot on the left, then on the right */
  int velocity;    /* sensor */
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->head = pmp_task_id(load, mjOBJ_BODY, "head");
  ids->torso = pmp_task_id(load, mjOBJ_BODY, "torso");
  ids->limb[0] = pmp_task_id(load, mjOBJ_BODY, "left_hand");
  ids->limb[1] = pmp_task_id(load, mjOBJ_BODY, "left_foot");
  ids->limb[2] = pmp_task_id(load, mjOBJ_BODY, "right_hand");
  ids->limb[3] = pmp_task_id(load, mjOBJ_BODY, "right_foot");
  ids->velocity = pmp_task_id(load, mjOBJ_SENSOR, "torso_subtreelinvel");
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  return pmp_physics_draw_joints_free(p, draw, START_ROUNDS_MAX);
}

static void observe(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  const double *mat = pmp_body_mat(p, ids->torso), *torso = pmp_body_pos(p, ids->torso);
  pmp_put(&obs, p->d->qpos + 7, JOINTS);
  pmp_put(&obs, pmp_body_pos(p, ids->head) + 2, 1);
  for (int i = 0; i < 4; i++) {
    const double *limb = pmp_body_pos(p, ids->limb[i]);
    const double from_torso[3] = {limb[0] - torso[0], limb[1] - torso[1], limb[2] - torso[2]};
    pmp_rotate_into(obs, mat, from_torso);
    obs += 3;
  }
  pmp_put(&obs, mat + PMP_ZX, 3);
  pmp_put(&obs, pmp_sensor(p, ids->velocity), 3);
  pmp_put(&obs, p->d->qvel, NV);
}

static void observe_pure_state(const struct pmp_physics *p, double *obs) {
  pmp_put(&obs, p->d->qpos, NQ);
  pmp_put(&obs, p->d->qvel, NV);
}

static double reward(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  const double *v = pmp_sensor(p, ids->velocity);
  double speed = p->task->param[SPEED];
  double standing = pmp_tolerance_gauss(pmp_body_pos(p, ids->head)[2], STAND_HEIGHT, INFINITY,
                                        STAND_HEIGHT / 4.0);
  double upright = pmp_tolerance(pmp_body_mat(p, ids->torso)[PMP_ZZ], 0.9, INFINITY, 1.9,
                                 PMP_SIGMOID_LINEAR, 0.0);
  double posture = pmp_small_control(p->d->ctrl, p->task->act_dim) * (standing * upright);
  if (speed == 0.0) {
    double still_x = pmp_tolerance_gauss(v[0], 0.0, 0.0, 2.0);
    double still_y = pmp_tolerance_gauss(v[1], 0.0, 0.0, 2.0);
    return posture * (still_x + still_y) / 2.0;
  }
  double move = pmp_tolerance(sqrt(v[0] * v[0] + v[1] * v[1]), speed, INFINITY, speed,
                              PMP_SIGMOID_LINEAR, 0.0);
  return posture * (5.0 * move + 1.0) / 6.0;
}

#define COMMON                                                                                     \
  .xml = "humanoid.xml", .substeps = 5, .act_dim = JOINTS, .step_limit = 1000,                     \
  .ids_size = sizeof(struct ids), .prepare = prepare, .init = init, .reward = reward
#define FEATURES .obs_dim = 67, .observe = observe

static const struct pmp_task tasks[] = {
    {.name = "humanoid_stand", COMMON, FEATURES, .param = {[SPEED] = 0.0}},
    {.name = "humanoid_walk", COMMON, FEATURES, .param = {[SPEED] = 1.0}},
    {.name = "humanoid_run", COMMON, FEATURES, .param = {[SPEED] = 10.0}},
    {.name = "humanoid_run_pure_state",
     COMMON,
     .obs_dim = NQ + NV,
     .observe = observe_pure_state,
     .param = {[SPEED] = 10.0}},
};

const struct pmp_domain pmp_domain_humanoid = {tasks, sizeof(tasks) / sizeof(tasks[0])};
