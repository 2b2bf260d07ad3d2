/* Cart and pole: balance it, or swing it up first. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#define PI 3.14159265358979323846

enum { CART_POS = 0, POLE_ANGLE = 1, POLE_VEL = 1 }; /* in qpos and qvel */

struct ids {
  int pole; /* body */
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->pole = pmp_task_id(load, mjOBJ_BODY, "pole_1");
}

static void draw_velocities(struct pmp_physics *p, const struct pmp_draw *draw) {
  for (int i = 0; i < 2; i++) p->d->qvel[i] = 0.01 * pmp_draw_normal(draw);
}

static enum pmp_err init_balance(struct pmp_physics *p, const struct pmp_draw *draw) {
  p->d->qpos[CART_POS] = pmp_draw_between(draw, -0.1, 0.1);
  p->d->qpos[POLE_ANGLE] = pmp_draw_between(draw, -0.034, 0.034);
  draw_velocities(p, draw);
  return PMP_OK;
}

static enum pmp_err init_swingup(struct pmp_physics *p, const struct pmp_draw *draw) {
  p->d->qpos[CART_POS] = 0.01 * pmp_draw_normal(draw);
  p->d->qpos[POLE_ANGLE] = PI + 0.01 * pmp_draw_normal(draw);
  draw_velocities(p, draw);
  return PMP_OK;
}

static void observe(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  const double *mat = pmp_body_mat(p, ids->pole);
  obs[0] = p->d->qpos[CART_POS];
  obs[1] = mat[PMP_ZZ];
  obs[2] = mat[PMP_XZ];
  obs[3] = p->d->qvel[0];
  obs[4] = p->d->qvel[1];
}

static double reward_smooth(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double upright = (pmp_body_mat(p, ids->pole)[PMP_ZZ] + 1.0) / 2.0;
  double centered = (1.0 + pmp_tolerance_gauss(p->d->qpos[CART_POS], 0.0, 0.0, 2.0)) / 2.0;
  double still = (1.0 + pmp_tolerance_gauss(p->d->qvel[POLE_VEL], 0.0, 0.0, 5.0)) / 2.0;
  return upright * pmp_small_control(p->d->ctrl, 1) * still * centered;
}

static double reward_sparse(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double centered = pmp_tolerance_gauss(p->d->qpos[CART_POS], -0.25, 0.25, 0.0);
  double upright = pmp_tolerance_gauss(pmp_body_mat(p, ids->pole)[PMP_ZZ], 0.995, 1.0, 0.0);
  return centered * upright;
}

#define COMMON                                                                                     \
  .xml = "cartpole.xml", .substeps = 1, .obs_dim = 5, .act_dim = 1, .step_limit = 1000,            \
  .ids_size = sizeof(struct ids), .prepare = prepare, .observe = observe

static const struct pmp_task tasks[] = {
    {.name = "cartpole_balance", COMMON, .init = init_balance, .reward = reward_smooth},
    {.name = "cartpole_balance_sparse", COMMON, .init = init_balance, .reward = reward_sparse},
    {.name = "cartpole_swingup", COMMON, .init = init_swingup, .reward = reward_smooth},
    {.name = "cartpole_swingup_sparse", COMMON, .init = init_swingup, .reward = reward_sparse},
};

const struct pmp_domain pmp_domain_cartpole = {tasks, sizeof(tasks) / sizeof(tasks[0])};
