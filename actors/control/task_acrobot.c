/* A double pendulum with a motor at its elbow only: bring the tip up to the target. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#define PI 3.14159265358979323846

enum { MARGIN = 0 }; /* param: how far from the target there is still a reward, metres */

struct ids {
  int upper, lower; /* bodies */
  int target, tip;  /* sites */
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->upper = pmp_task_id(load, mjOBJ_BODY, "upper_arm");
  ids->lower = pmp_task_id(load, mjOBJ_BODY, "lower_arm");
  ids->target = pmp_task_id(load, mjOBJ_SITE, "target");
  ids->tip = pmp_task_id(load, mjOBJ_SITE, "tip");
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  for (int i = 0; i < 2; i++) p->d->qpos[i] = pmp_draw_between(draw, -PI, PI);
  return PMP_OK;
}

static void observe(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  const double *upper = pmp_body_mat(p, ids->upper), *lower = pmp_body_mat(p, ids->lower);
  obs[0] = upper[PMP_XZ];
  obs[1] = lower[PMP_XZ];
  obs[2] = upper[PMP_ZZ];
  obs[3] = lower[PMP_ZZ];
  obs[4] = p->d->qvel[0];
  obs[5] = p->d->qvel[1];
}

static double reward(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double distance = pmp_distance(pmp_site_pos(p, ids->target), pmp_site_pos(p, ids->tip));
  double radius = p->m->site_size[3 * ids->target];
  return pmp_tolerance_gauss(distance, 0.0, radius, p->task->param[MARGIN]);
}

#define COMMON                                                                                     \
  .xml = "acrobot.xml", .substeps = 1, .obs_dim = 6, .act_dim = 1, .step_limit = 1000,             \
  .ids_size = sizeof(struct ids), .prepare = prepare, .init = init, .observe = observe,            \
  .reward = reward

static const struct pmp_task tasks[] = {
    {.name = "acrobot_swingup", COMMON, .param = {[MARGIN] = 1.0}},
    {.name = "acrobot_swingup_sparse", COMMON, .param = {[MARGIN] = 0.0}},
};

const struct pmp_domain pmp_domain_acrobot = {tasks, sizeof(tasks) / sizeof(tasks[0])};
