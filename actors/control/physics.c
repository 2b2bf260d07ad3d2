#include "actors/control/physics.h"

#include "actors/control/views.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

struct guard {
  jmp_buf back;
  char text[256];
  struct guard *outer;
};

/* MuJoCo's hooks take no context, so the innermost guard of a thread has to be found from here. */
static _Thread_local struct guard *innermost;

static void on_error(const char *text) {
  struct guard *g = innermost;
  if (g == NULL)
    abort(); /* our bug: MuJoCo was entered without a guard, and the hook must not return */
  snprintf(g->text, sizeof(g->text), "%s", text);
  longjmp(g->back, 1);
}

/* Numerical warnings are read from the data's counters; the texts have no reader. */
static void on_warning(const char *text) {
  (void)text;
}

void pmp_physics_hooks_install(void) {
  mju_user_error = on_error;
  mju_user_warning = on_warning;
}

enum pmp_err pmp_physics_guard(void (*fn)(void *arg), void *arg, struct pmp_errmsg *msg) {
  struct guard g;
  g.text[0] = '\0';
  g.outer = innermost;
  innermost = &g;
  if (setjmp(g.back) != 0) {
    innermost = g.outer;
    return pmp_fail(msg, PMP_EINTERNAL, "MuJoCo: %s", g.text);
  }
  fn(arg);
  innermost = g.outer;
  return PMP_OK;
}

void pmp_physics_forward_passive(struct pmp_physics *p) {
  mj_forward(&p->views->passive, p->d);
}

/* The first half of a physics step: positions and velocities. */
static void begin_step(const struct pmp_physics *p, const mjModel *view) {
  mj_step1(view, p->d);
  if (p->views->fluid != NULL) pmp_fluid_add(p->views->fluid, p->m, p->d);
}

/* What is left of it then. */
static void finish_step(const struct pmp_physics *p, const mjModel *view) {
  if (view->opt.integrator != mjINT_RK4) {
    mj_step2(view, p->d);
    return;
  }
  mj_forwardSkip(view, p->d, mjSTAGE_VEL, 1); /* mj_step2 knows no Runge-Kutta */
  mj_checkAcc(view, p->d);
  mj_RungeKutta(view, p->d, 4);
}

static void whole_step(const struct pmp_physics *p, const mjModel *view) {
  if (p->views->fluid == NULL) {
    mj_step(view, p->d);
    return;
  }
  begin_step(p, view);
  finish_step(p, view);
}

void pmp_physics_advance(struct pmp_physics *p, int substeps) {
  const struct pmp_views *v = p->views;
  /* The second half of a step comes first, so that a control step ends with fresh positions and
   * velocities. Sensors of acceleration keep what the last physics step found at its start. */
  finish_step(p, substeps > 1 ? &v->inner : &v->held);
  for (int i = 1; i < substeps; i++) whole_step(p, i < substeps - 1 ? &v->inner : &v->held);
  begin_step(p, &v->last);
}

bool pmp_physics_warned(const mjData *d) {
  for (int i = 0; i < mjNWARNING; i++)
    if (d->warning[i].number != 0) return true;
  return false;
}

void pmp_physics_clear_warnings(mjData *d) {
  memset(d->warning, 0, sizeof(d->warning));
}

void pmp_physics_draw_joints(struct pmp_physics *p, const struct pmp_draw *draw) {
  const mjModel *m = p->m;
  for (int j = 0; j < (int)m->njnt; j++) {
    double *q = p->d->qpos + m->jnt_qposadr[j];
    int type = m->jnt_type[j];
    if (type == mjJNT_FREE) {
      double norm = 0.0;
      for (int i = 3; i < 7; i++) {
        q[i] = pmp_draw_unit(draw);
        norm += q[i] * q[i];
      }
      norm = sqrt(norm);
      for (int i = 3; i < 7; i++) q[i] /= norm;
    } else if (m->jnt_limited[j]) {
      q[0] = pmp_draw_between(draw, m->jnt_range[2 * j], m->jnt_range[2 * j + 1]);
    } else if (type == mjJNT_HINGE) {
      q[0] = pmp_draw_between(draw, -PI, PI);
    }
  }
}

enum pmp_err pmp_physics_draw_joints_free(struct pmp_physics *p, const struct pmp_draw *draw,
                                          int rounds_max) {
  for (int round = 0; round < rounds_max; round++) {
    pmp_physics_draw_joints(p, draw);
    pmp_physics_forward_passive(p);
    if (p->d->ncon == 0) return PMP_OK;
  }
  return PMP_EINTERNAL;
}

void pmp_physics_velocity(const struct pmp_physics *p, int root, double out[3]) {
  const mjModel *m = p->m;
  const mjData *d = p->d;
  double sum[3] = {0.0, 0.0, 0.0};
  for (int b = root; b < (int)m->nbody; b++) {
    if (m->body_rootid[b] != root) continue;
    /* cvel is of the point of the body that passes through the tree's centre of mass. */
    const double *w = d->cvel + 6 * b, *v = w + 3, *at = d->xipos + 3 * b;
    const double *com = d->subtree_com + 3 * root;
    const double r[3] = {at[0] - com[0], at[1] - com[1], at[2] - com[2]};
    sum[0] += m->body_mass[b] * (v[0] + w[1] * r[2] - w[2] * r[1]);
    sum[1] += m->body_mass[b] * (v[1] + w[2] * r[0] - w[0] * r[2]);
    sum[2] += m->body_mass[b] * (v[2] + w[0] * r[1] - w[1] * r[0]);
  }
  for (int k = 0; k < 3; k++) out[k] = sum[k] / m->body_subtreemass[root];
}

double pmp_distance(const double a[3], const double b[3]) {
  double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
  return sqrt(x * x + y * y + z * z);
}

void pmp_rotate_into(double out[3], const double mat[9], const double v[3]) {
  for (int k = 0; k < 3; k++) out[k] = v[0] * mat[k] + v[1] * mat[3 + k] + v[2] * mat[6 + k];
}

void pmp_put(double **at, const double *v, int n) {
  memcpy(*at, v, (size_t)n * sizeof(double));
  *at += n;
}
