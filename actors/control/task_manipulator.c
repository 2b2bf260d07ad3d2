/* A planar arm with a hand: bring a ball or a peg to a place, or insert it there. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#define PI 3.14159265358979323846
#define CLOSE 0.01 /* metres */
#define ARM_JOINTS 8
#define START_ROUNDS_MAX 10000
#define IN_HAND_SHARE 0.1
#define IN_TARGET_SHARE 0.1

enum { PEG = 0, INSERT = 1 }; /* param: flags */

/* In the order of the observation, which is not the order in qpos. */
static const char *const arm_names[ARM_JOINTS] = {"arm_root",  "arm_shoulder", "arm_elbow",
                                                  "arm_wrist", "finger",       "fingertip",
                                                  "thumb",     "thumbtip"};
enum { FINGER = 4, THUMB = 6 };

static const char *const touch_names[5] = {"palm_touch", "finger_touch", "thumb_touch",
                                           "fingertip_touch", "thumbtip_touch"};

struct ids {
  int arm[ARM_JOINTS];          /* joints */
  int touch[5];                 /* sensors */
  int qpos[3], qvel[3];         /* of the object: x, z, y */
  int hand, object, target;     /* bodies */
  int receptacle;               /* body; 0: none */
  int grasp, pinch;             /* sites of the hand */
  int object_site, target_site; /* sites */
  int object_tip, target_tip;   /* sites of the peg */
  int peg_grasp, peg_pinch;     /* sites of the peg */
};

/* The XML holds both objects and both receptacles; a task keeps its own. */
static mjModel *compile(const struct pmp_task *task, const char *path, char *error, int size) {
  static const struct {
    const char *name;
    bool peg, receptacle;
  } props[] = {{"ball", false, false}, {"target_ball", false, false}, {"cup", false, true},
               {"peg", true, false},   {"target_peg", true, false},   {"slot", true, true}};
  bool peg = task->param[PEG] != 0.0, insert = task->param[INSERT] != 0.0;
  mjModel *m = NULL;
  mjSpec *spec = mj_parseXML(path, NULL, error, size);
  if (spec == NULL) return NULL;
  for (size_t i = 0; i < sizeof(props) / sizeof(props[0]); i++) {
    if (props[i].peg == peg && (insert || !props[i].receptacle)) continue;
    mjsBody *body = mjs_findBody(spec, props[i].name);
    if (body == NULL || mjs_delete(spec, body->element) != 0) {
      snprintf(error, (size_t)size, "cannot take body %s out", props[i].name);
      goto out;
    }
  }
  m = mj_compile(spec, NULL);
  if (m == NULL) snprintf(error, (size_t)size, "%s", mjs_getError(spec));
out:
  mj_deleteSpec(spec);
  return m;
}

static void declare_pose_edits(struct pmp_task_load *load, int body) {
  pmp_task_edits(load, PMP_FIELD_BODY_POS, 3 * body);
  pmp_task_edits(load, PMP_FIELD_BODY_POS, 3 * body + 2);
  pmp_task_edits(load, PMP_FIELD_BODY_QUAT, 4 * body);
  pmp_task_edits(load, PMP_FIELD_BODY_QUAT, 4 * body + 2);
}

static void look_up_object(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  bool peg = load->task->param[PEG] != 0.0;
  const char *const joints[2][3] = {{"ball_x", "ball_z", "ball_y"}, {"peg_x", "peg_z", "peg_y"}};
  for (int i = 0; i < 3; i++) {
    ids->qpos[i] = pmp_task_qpos(load, joints[peg][i]);
    ids->qvel[i] = pmp_task_qvel(load, joints[peg][i]);
  }
  ids->object = pmp_task_id(load, mjOBJ_BODY, peg ? "peg" : "ball");
  ids->target = pmp_task_id(load, mjOBJ_BODY, peg ? "target_peg" : "target_ball");
  ids->object_site = pmp_task_id(load, mjOBJ_SITE, peg ? "peg" : "ball");
  ids->target_site = pmp_task_id(load, mjOBJ_SITE, peg ? "target_peg" : "target_ball");
  declare_pose_edits(load, ids->target);
  if (load->task->param[INSERT] != 0.0) {
    ids->receptacle = pmp_task_id(load, mjOBJ_BODY, peg ? "slot" : "cup");
    declare_pose_edits(load, ids->receptacle);
  }
  if (!peg) return;
  ids->object_tip = pmp_task_id(load, mjOBJ_SITE, "peg_tip");
  ids->target_tip = pmp_task_id(load, mjOBJ_SITE, "target_peg_tip");
  ids->peg_grasp = pmp_task_id(load, mjOBJ_SITE, "peg_grasp");
  ids->peg_pinch = pmp_task_id(load, mjOBJ_SITE, "peg_pinch");
}

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  for (int i = 0; i < ARM_JOINTS; i++) ids->arm[i] = pmp_task_id(load, mjOBJ_JOINT, arm_names[i]);
  for (int i = 0; i < 5; i++) ids->touch[i] = pmp_task_held_sensor(load, touch_names[i]);
  ids->hand = pmp_task_id(load, mjOBJ_BODY, "hand");
  ids->grasp = pmp_task_id(load, mjOBJ_SITE, "grasp");
  ids->pinch = pmp_task_id(load, mjOBJ_SITE, "pinch");
  look_up_object(load);
}

struct pose {
  double x, z, angle;
};

static void draw_arm(struct pmp_physics *p, const struct pmp_draw *draw) {
  const struct ids *ids = p->ids;
  const mjModel *m = p->m;
  for (int i = 0; i < ARM_JOINTS; i++) {
    int j = ids->arm[i];
    double low = m->jnt_limited[j] ? m->jnt_range[2 * j] : -PI;
    double high = m->jnt_limited[j] ? m->jnt_range[2 * j + 1] : PI;
    p->d->qpos[m->jnt_qposadr[j]] = pmp_draw_between(draw, low, high);
  }
  p->d->qpos[m->jnt_qposadr[ids->arm[FINGER]]] = p->d->qpos[m->jnt_qposadr[ids->arm[THUMB]]];
}

static void place_body(mjModel *m, int body, const struct pose *pose) {
  m->body_pos[3 * body] = pose->x;
  m->body_pos[3 * body + 2] = pose->z;
  m->body_quat[4 * body] = cos(pose->angle / 2.0);
  m->body_quat[4 * body + 2] = sin(pose->angle / 2.0);
}

static struct pose draw_target(struct pmp_physics *p, const struct pmp_draw *draw) {
  const struct ids *ids = p->ids;
  struct pose target;
  target.x = pmp_draw_between(draw, -0.4, 0.4);
  target.z = pmp_draw_between(draw, 0.1, 0.4);
  double turn = ids->receptacle != 0 ? PI / 3.0 : PI;
  target.angle = pmp_draw_between(draw, -turn, turn);
  if (ids->receptacle != 0) place_body(p->m, ids->receptacle, &target);
  place_body(p->m, ids->target, &target);
  return target;
}

static void draw_object(struct pmp_physics *p, const struct pmp_draw *draw, struct pose object) {
  const struct ids *ids = p->ids;
  double u = pmp_draw_unit(draw);
  if (u < IN_HAND_SHARE) {
    pmp_physics_forward_passive(p);
    const double *at = pmp_site_pos(p, ids->grasp), *mat = p->d->site_xmat + 9 * ids->grasp;
    object = (struct pose){at[0], at[2], PI - atan2(mat[PMP_ZX], mat[PMP_XX])};
  } else if (u >= IN_HAND_SHARE + IN_TARGET_SHARE) {
    object.x = pmp_draw_between(draw, -0.5, 0.5);
    object.z = pmp_draw_between(draw, 0.0, 0.7);
    object.angle = pmp_draw_between(draw, 0.0, 2.0 * PI);
    p->d->qvel[ids->qvel[0]] = pmp_draw_between(draw, -5.0, 5.0);
  } /* else: in the target, where it was put */
  p->d->qpos[ids->qpos[0]] = object.x;
  p->d->qpos[ids->qpos[1]] = object.z;
  p->d->qpos[ids->qpos[2]] = object.angle;
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  for (int round = 0; round < START_ROUNDS_MAX; round++) {
    draw_arm(p, draw);
    draw_object(p, draw, draw_target(p, draw));
    pmp_physics_forward_passive(p);
    if (p->d->ncon == 0) return PMP_OK;
  }
  return PMP_EINTERNAL;
}

/* Position and orientation of a body in the plane. */
static void put_pose(double **at, const struct pmp_physics *p, int body) {
  const double *pos = pmp_body_pos(p, body), *quat = p->d->xquat + 4 * body;
  const double pose[4] = {pos[0], pos[2], quat[0], quat[2]};
  pmp_put(at, pose, 4);
}

static void observe(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  const mjModel *m = p->m;
  for (int i = 0; i < ARM_JOINTS; i++) {
    double angle = p->d->qpos[m->jnt_qposadr[ids->arm[i]]];
    *obs++ = sin(angle);
    *obs++ = cos(angle);
  }
  for (int i = 0; i < ARM_JOINTS; i++) *obs++ = p->d->qvel[m->jnt_dofadr[ids->arm[i]]];
  for (int i = 0; i < 5; i++) *obs++ = log1p(pmp_sensor(p, ids->touch[i])[0]);
  put_pose(&obs, p, ids->hand);
  put_pose(&obs, p, ids->object);
  for (int i = 0; i < 3; i++) *obs++ = p->d->qvel[ids->qvel[i]];
  put_pose(&obs, p, ids->target);
}

static double closeness(const struct pmp_physics *p, int site, int other) {
  double distance = pmp_distance(pmp_site_pos(p, site), pmp_site_pos(p, other));
  return pmp_tolerance_gauss(distance, 0.0, CLOSE, 2.0 * CLOSE);
}

static double reward_ball(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  return closeness(p, ids->object_site, ids->target_site);
}

static double reward_peg(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double grasping =
      (closeness(p, ids->peg_grasp, ids->grasp) + closeness(p, ids->peg_pinch, ids->pinch)) / 2.0;
  double bringing = (closeness(p, ids->object_site, ids->target_site) +
                     closeness(p, ids->target_tip, ids->object_tip)) /
                    2.0;
  return fmax(bringing, grasping / 3.0);
}

#define COMMON                                                                                     \
  .xml = "manipulator.xml", .substeps = 10, .obs_dim = 44, .act_dim = 5, .step_limit = 1000,       \
  .ids_size = sizeof(struct ids), .compile = compile, .prepare = prepare, .init = init,            \
  .observe = observe

static const struct pmp_task tasks[] = {
    {.name = "manipulator_bring_ball", COMMON, .reward = reward_ball},
    {.name = "manipulator_bring_peg", COMMON, .reward = reward_peg, .param = {[PEG] = 1.0}},
    {.name = "manipulator_insert_ball", COMMON, .reward = reward_ball, .param = {[INSERT] = 1.0}},
    {.name = "manipulator_insert_peg",
     COMMON,
     .reward = reward_peg,
     .param = {[PEG] = 1.0, [INSERT] = 1.0}},
};

const struct pmp_domain pmp_domain_manipulator = {tasks, sizeof(tasks) / sizeof(tasks[0])};
