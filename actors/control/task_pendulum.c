/* A pendulum whose motor is too weak to lift it at once. */
#include "actors/control/reward.h"
#include "actors/control/task.h"

#include <math.h>

#define PI 3.14159265358979323846
#define UPRIGHT_DEGREES 8.0

struct ids {
  int pole; /* body */
};

static void prepare(struct pmp_task_load *load) {
  struct ids *ids = load->ids;
  ids->pole = pmp_task_id(load, mjOBJ_BODY, "pole");
}

static enum pmp_err init(struct pmp_physics *p, const struct pmp_draw *draw) {
  p->d->qpos[0] = pmp_draw_between(draw, -PI, PI);
  return PMP_OK;
}

static void observe(const struct pmp_physics *p, double *obs) {
  const struct ids *ids = p->ids;
  const double *mat = pmp_body_mat(p, ids->pole);
  obs[0] = mat[PMP_ZZ];
  obs[1] = mat[PMP_XZ];
  obs[2] = p->d->qvel[0];
}

static double reward(const struct pmp_physics *p) {
  const struct ids *ids = p->ids;
  double lowest = cos(UPRIGHT_DEGREES * PI / 180.0);
  return pmp_tolerance_gauss(pmp_body_mat(p, ids->pole)[PMP_ZZ], lowest, 1.0, 0.0);
}

static const struct pmp_task tasks[] = {
    {.name = "pendulum_swingup",
     .xml = "pendulum.xml",
     .substeps = 1,
     .obs_dim = 3,
     .act_dim = 1,
     .step_limit = 1000,
     .ids_size = sizeof(struct ids),
     .prepare = prepare,
     .init = init,
     .observe = observe,
     .reward = reward},
};

const struct pmp_domain pmp_domain_pendulum = {tasks, sizeof(tasks) / sizeof(tasks[0])};
