/* A swimmer of 6 or 15 links in the plane: bring the nose to the target. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>
#include <stdio.h>

#define WIDE_BOX 2.0 /* half side of where the target lies, metres */
#define NEAR_BOX 0.3 /* the same, once in five */

enum { BODIES = 0 }; /* param: links, head included */

struct ids {
  int head;         /* body */
  int nose, target; /* geoms */
  int velocity;     /* in sensordata: six numbers a link */
  int light;        /* shines on the target: display only */
};

/* The elements of one more link, named after its number, behind the last one. */
static mjsBody *add_link(mjSpec *spec, mjsBody *last, int i, double range) {
  const double offset[3] = {0.0, 0.1, 0.0};
  char name[32];
  mjsBody *body = mjs_addBody(last, NULL);
  if (body == NULL) return NULL;
  snprintf(name, sizeof(name), "segment_%d", i);
  mjs_setName(body->element, name);
  for (int k = 0; k < 3; k++) body->pos[k] = offset[k];

  snprintf(name, sizeof(name), "visual_%d", i);
  mjs_setName(mjs_addGeom(body, mjs_findDefault(spec, "visual"))->element, name);
  snprintf(name, sizeof(name), "inertial_%d", i);
  mjs_setName(mjs_addGeom(body, mjs_findDefault(spec, "inertial"))->element, name);

  const mjsDefault *inherited = mjs_findDefault(spec, "swimmer");
  snprintf(name, sizeof(name), "site_%d", i);
  mjs_setName(mjs_addSite(body, inherited)->element, name);
  snprintf(name, sizeof(name), "joint_%d", i);
  mjsJoint *joint = mjs_addJoint(body, inherited);
  mjs_setName(joint->element, name);
  joint->range[0] = -range;
  joint->range[1] = range;
  return body;
}

static void add_motor(mjSpec *spec, int i) {
  char name[32];
  mjsActuator *motor = mjs_addActuator(spec, mjs_getSpecDefault(spec));
  snprintf(name, sizeof(name), "motor_%d", i);
  mjs_setName(motor->element, name);
  mjs_setToMotor(motor);
  snprintf(name, sizeof(name), "joint_%d", i);
  mjs_setString(motor->target, name);
  motor->trntype = mjTRN_JOINT;
}

static void add_sensor(mjSpec *spec, mjtSensor type, const char *prefix, int i) {
  char name[32];
  mjsSensor *sensor = mjs_addSensor(spec);
  snprintf(name, sizeof(name), "%s_%d", prefix, i);
  mjs_setName(sensor->element, name);
  sensor->type = type;
  sensor->objtype = mjOBJ_SITE;
  snprintf(name, sizeof(name), "site_%d", i);
  mjs_setString(sensor->objname, name);
}

/* The XML holds the head only. The cameras that follow a longer swimmer stand further away. */
static void scale_cameras(mjSpec *spec, double scale) {
  static const char *const names[] = {"tracking1", "tracking2"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    mjsElement *element = mjs_findElement(spec, mjOBJ_CAMERA, names[i]);
    mjsCamera *camera = element != NULL ? mjs_asCamera(element) : NULL;
    for (int k = 0; camera != NULL && k < 3; k++) camera->pos[k] *= scale;
  }
}

static mjModel *compile(const struct pmp_task *task, const char *path, char *error, int size) {
  int bodies = (int)task->param[BODIES];
  mjModel *m = NULL;
  mjSpec *spec = mj_parseXML(path, NULL, error, size);
  if (spec == NULL) return NULL;
  mjsBody *last = mjs_findBody(spec, "head");
  for (int i = 0; i < bodies - 1 && last != NULL; i++) {
    last = add_link(spec, last, i, 360.0 / bodies);
    add_motor(spec, i);
    add_sensor(spec, mjSENS_VELOCIMETER, "velocimeter", i);
    add_sensor(spec, mjSENS_GYRO, "gyro", i);
  }
  scale_cameras(spec, bodies / 6.0);
  if (last != NULL) m = mj_compile(spec, NULL);
  if (m == NULL) snprintf(error, (size_t)size, "%s", last != NULL ? mjs_getError(spec) : "no head");
  mj_deleteSpec(spec);
  return m;
}

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->light = pmp_task_id(load, mjOBJ_LIGHT, "target_light");
  ids->head = pmp_task_id(load, mjOBJ_BODY, "head");
  ids->nose = pmp_task_id(load, mjOBJ_GEOM, "nose");
  ids->target = pmp_task_id(load, mjOBJ_GEOM, "target");
  int first = pmp_task_id(load, mjOBJ_SENSOR, "head_vel"); /* from here on to the last link's */
  for (int i = first; i < (int)load->m->nsensor; i++) pmp_task_reads_sensor(load, i);
  if (load->missing == NULL) ids->velocity = load->m->sensor_adr[first];
  for (int k = 0; k < 2; k++) {
    pmp_task_edits(load, PMP_FIELD_GEOM_POS, 3 * ids->target + k);
    pmp_task_edits(load, PMP_FIELD_LIGHT_POS, 3 * ids->light + k);
  }
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  const struct ids *ids = p->ids;
  double *target = p->m->geom_pos + 3 * ids->target;
  double *light = p->m->light_pos + 3 * ids->light;
  pmp_physics_draw_joints(p, draw);
  double box = pmp_draw_unit(draw) < 0.2 ? NEAR_BOX : WIDE_BOX;
  for (int k = 0; k < 2; k++) target[k] = light[k] = pmp_draw_between(draw, -box, box);
  return PMP_OK;
}

/* The target seen from the head, in the plane. */
static void nose_to_target(const struct pmp_physics *p, double out[2]) {
  const struct ids *ids = p->ids;
  const double *target = pmp_geom_pos(p, ids->target), *nose = pmp_geom_pos(p, ids->nose);
  const double v[3] = {target[0] - nose[0], target[1] - nose[1], target[2] - nose[2]};
  double seen[3];
  pmp_rotate_into(seen, pmp_body_mat(p, ids->head), v);
  out[0] = seen[0];
  out[1] = seen[1];
}

static void observe(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  int bodies = (int)p->task->param[BODIES];
  const double *velocity = p->d->sensordata + ids->velocity;
  pmp_put(&obs, p->d->qpos + 3, bodies - 1);
  nose_to_target(p, obs);
  obs += 2;
  for (int b = 0; b < bodies; b++, velocity += 6) {
    pmp_put(&obs, velocity, 2);
    pmp_put(&obs, velocity + 5, 1);
  }
}

static double reward(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double radius = p->m->geom_size[3 * ids->target], v[2];
  nose_to_target(p, v);
  return pmp_tolerance(sqrt(v[0] * v[0] + v[1] * v[1]), 0.0, radius, 5.0 * radius,
                       PMP_SIGMOID_LONG_TAIL, 0.1);
}

#define COMMON                                                                                     \
  .xml = "swimmer.xml", .substeps = 15, .step_limit = 1000, .ids_size = sizeof(struct ids),        \
  .compile = compile, .prepare = prepare, .init = init, .observe = observe, .reward = reward
#define LINKS(n) .obs_dim = (n)-1 + 2 + 3 * (n), .act_dim = (n)-1, .param = {[BODIES] = (n)}

static const struct pmp_task tasks[] = {
    {.name = "swimmer_swimmer6", COMMON, LINKS(6)},
    {.name = "swimmer_swimmer15", COMMON, LINKS(15)},
};

const struct pmp_domain pmp_domain_swimmer = {tasks, sizeof(tasks) / sizeof(tasks[0])};
