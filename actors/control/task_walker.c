/* A planar walker on two legs: stand, walk or run. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>

#define STAND_HEIGHT 1.2 /* metres */

enum { SPEED = 0 }; /* param: metres a second; 0: stand */

struct ids {
  int torso;    /* body */
  int velocity; /* sensor, of the tasks with a speed */
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->torso = pmp_task_id(load, mjOBJ_BODY, "torso");
  if (load->task->param[SPEED] == 0.0) return;
  ids->velocity = pmp_task_id(load, mjOBJ_SENSOR, "torso_subtreelinvel");
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  pmp_physics_draw_joints(p, draw);
  return PMP_OK;
}

static void observe(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  for (int body = 1; body <= 7; body++) {
    const double *mat = pmp_body_mat(p, body);
    pmp_put(&obs, mat + PMP_XX, 1);
    pmp_put(&obs, mat + PMP_XZ, 1);
  }
  pmp_put(&obs, pmp_body_pos(p, ids->torso) + 2, 1);
  pmp_put(&obs, p->d->qvel, 9);
}

static double reward(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double speed = p->task->param[SPEED];
  double standing = pmp_tolerance_gauss(pmp_body_pos(p, ids->torso)[2], STAND_HEIGHT, INFINITY,
                                        STAND_HEIGHT / 2.0);
  double upright = (1.0 + pmp_body_mat(p, ids->torso)[PMP_ZZ]) / 2.0;
  double posture = (3.0 * standing + upright) / 4.0;
  if (speed == 0.0) return posture;
  double move = pmp_tolerance(pmp_sensor(p, ids->velocity)[0], speed, INFINITY, speed / 2.0,
                              PMP_SIGMOID_LINEAR, 0.5);
  return posture * (5.0 * move + 1.0) / 6.0;
}

#define COMMON                                                                                     \
  .xml = "walker.xml", .substeps = 10, .obs_dim = 24, .act_dim = 6, .step_limit = 1000,            \
  .ids_size = sizeof(struct ids), .prepare = prepare, .init = init, .observe = observe,            \
  .reward = reward

static const struct pmp_task tasks[] = {
    {.name = "walker_stand", COMMON, .param = {[SPEED] = 0.0}},
    {.name = "walker_walk", COMMON, .param = {[SPEED] = 1.0}},
    {.name = "walker_run", COMMON, .param = {[SPEED] = 8.0}},
};

const struct pmp_domain pmp_domain_walker = {tasks, sizeof(tasks) / sizeof(tasks[0])};
