/* A finger of two links beside a spinner: spin it, or turn its tip onto the target. */
#include "actors/control/task.h"

#include <math.h>

#define PI 3.14159265358979323846
#define SPIN_VELOCITY 15.0 /* radians a second */
#define SPIN_DAMPING 0.03
#define START_ROUNDS_MAX 1000

enum { TARGET_RADIUS = 0 }; /* param of the turn tasks, metres */

struct ids {
  int proximal, distal, proximal_velocity, distal_velocity, hinge_velocity; /* sensors */
  int tip_pos, spinner_pos, target_pos, touch_top, touch_bottom;            /* sensors */
  int hinge, cap, target;                                                   /* joint, geom, site */
};

static void look_up(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->proximal = pmp_task_id(load, mjOBJ_SENSOR, "proximal");
  ids->distal = pmp_task_id(load, mjOBJ_SENSOR, "distal");
  ids->proximal_velocity = pmp_task_id(load, mjOBJ_SENSOR, "proximal_velocity");
  ids->distal_velocity = pmp_task_id(load, mjOBJ_SENSOR, "distal_velocity");
  ids->hinge_velocity = pmp_task_id(load, mjOBJ_SENSOR, "hinge_velocity");
  ids->tip_pos = pmp_task_id(load, mjOBJ_SENSOR, "tip");
  ids->spinner_pos = pmp_task_id(load, mjOBJ_SENSOR, "spinner");
  ids->target_pos = pmp_task_id(load, mjOBJ_SENSOR, "target");
  ids->touch_top = pmp_task_held_sensor(load, "touchtop");
  ids->touch_bottom = pmp_task_held_sensor(load, "touchbottom");
  ids->hinge = pmp_task_id(load, mjOBJ_JOINT, "hinge");
  ids->cap = pmp_task_id(load, mjOBJ_GEOM, "cap1");
  ids->target = pmp_task_id(load, mjOBJ_SITE, "target");
}

static void prepare_spin(struct pmp_task_load *load) {
  const struct ids *ids = load->ids;
  look_up(load);
  if (load->missing != NULL) return;
  load->m->dof_damping[load->m->jnt_dofadr[ids->hinge]] = SPIN_DAMPING;
}

static void prepare_turn(struct pmp_task_load *load) {
  const struct ids *ids = load->ids;
  look_up(load);
  if (load->missing != NULL) return;
  load->m->site_size[3 * ids->target] = load->task->param[TARGET_RADIUS];
  pmp_task_edits(load, PMP_FIELD_SITE_POS, 3 * ids->target);
  pmp_task_edits(load, PMP_FIELD_SITE_POS, 3 * ids->target + 2);
}

static enum pmp_err init_spin(struct pmp_physics *p, const struct pmp_draw *draw) {
  return pmp_physics_draw_joints_free(p, draw, START_ROUNDS_MAX);
}

static enum pmp_err init_turn(struct pmp_physics *p, const struct pmp_draw *draw) {
  const struct ids *ids = p->ids;
  const double *hinge = p->d->xanchor + 3 * ids->hinge;
  const double *cap = p->m->geom_size + 3 * ids->cap;
  double *target = p->m->site_pos + 3 * ids->target;
  double angle = pmp_draw_between(draw, -PI, PI);
  double radius = cap[0] + cap[1] + cap[2];
  target[0] = hinge[0] + radius * sin(angle);
  target[2] = hinge[2] + radius * cos(angle);
  return pmp_physics_draw_joints_free(p, draw, START_ROUNDS_MAX);
}

/* A position sensor seen from the spinner's axis, in the plane of motion. */
static void from_spinner(const struct pmp_physics *p, int sensor, double out[2]) {
  const struct ids *ids = p->ids;
  const double *at = pmp_sensor(p, sensor), *spinner = pmp_sensor(p, ids->spinner_pos);
  out[0] = at[0] - spinner[0];
  out[1] = at[2] - spinner[2];
}

/* From the tip to the rim of the target; negative inside. */
static double distance_to_target(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double tip[2], target[2];
  from_spinner(p, ids->tip_pos, tip);
  from_spinner(p, ids->target_pos, target);
  double x = target[0] - tip[0], z = target[1] - tip[1];
  return sqrt(x * x + z * z) - p->m->site_size[3 * ids->target];
}

static void observe_spin(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  obs[0] = pmp_sensor(p, ids->proximal)[0];
  obs[1] = pmp_sensor(p, ids->distal)[0];
  from_spinner(p, ids->tip_pos, obs + 2);
  obs[4] = pmp_sensor(p, ids->proximal_velocity)[0];
  obs[5] = pmp_sensor(p, ids->distal_velocity)[0];
  obs[6] = pmp_sensor(p, ids->hinge_velocity)[0];
  obs[7] = log1p(pmp_sensor(p, ids->touch_top)[0]);
  obs[8] = log1p(pmp_sensor(p, ids->touch_bottom)[0]);
}

static void observe_turn(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  observe_spin(p, obs);
  from_spinner(p, ids->target_pos, obs + 9);
  obs[11] = distance_to_target(p);
}

static double reward_spin(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  return pmp_sensor(p, ids->hinge_velocity)[0] <= -SPIN_VELOCITY ? 1.0 : 0.0;
}

static double reward_turn(const struct pmp_physics *p) {
  return distance_to_target(p) <= 0.0 ? 1.0 : 0.0;
}

#define COMMON                                                                                     \
  .xml = "finger.xml", .substeps = 2, .act_dim = 2, .step_limit = 1000,                            \
  .ids_size = sizeof(struct ids)
#define TURN                                                                                       \
  COMMON, .obs_dim = 12, .prepare = prepare_turn, .init = init_turn, .observe = observe_turn,      \
          .reward = reward_turn

static const struct pmp_task tasks[] = {
    {.name = "finger_spin",
     COMMON,
     .obs_dim = 9,
     .prepare = prepare_spin,
     .init = init_spin,
     .observe = observe_spin,
     .reward = reward_spin},
    {.name = "finger_turn_easy", TURN, .param = {[TARGET_RADIUS] = 0.07}},
    {.name = "finger_turn_hard", TURN, .param = {[TARGET_RADIUS] = 0.03}},
};

const struct pmp_domain pmp_domain_finger = {tasks, sizeof(tasks) / sizeof(tasks[0])};
