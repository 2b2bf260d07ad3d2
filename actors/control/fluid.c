#include "actors/control/fluid.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool drag_only(const mjModel *m) {
  if (!(m->opt.density > 0.0) || m->opt.viscosity != 0.0 || m->opt.integrator != mjINT_EULER)
    return false;
  for (int k = 0; k < 3; k++)
    if (m->opt.wind[k] != 0.0) return false;
  for (int i = 0; i < (int)m->ngeom; i++)
    if (m->geom_fluid[i * mjNFLUID] > 0.0) return false;
  return true;
}

/* What the velocities' squares are multiplied with. */
static void factors(const mjModel *m, int body, mjtNum drag[6]) {
  const mjtNum *inertia = m->body_inertia + 3 * body;
  mjtNum box[3];
  for (int k = 0; k < 3; k++) {
    mjtNum others = inertia[(k + 1) % 3] + inertia[(k + 2) % 3] - inertia[k];
    if (k == 1) others = inertia[0] + inertia[2] - inertia[1]; /* the order of the sum counts */
    box[k] = sqrt(fmax(mjMINVAL, others) / m->body_mass[body] * 6.0);
  }
  for (int k = 0; k < 3; k++) {
    const mjtNum a = box[k == 0 ? 1 : 0], b = box[k == 2 ? 1 : 2];
    drag[k] = m->opt.density * box[k] * (a * a * a * a + b * b * b * b);
    drag[3 + k] = 0.5 * m->opt.density * a * b;
  }
}

struct pmp_fluid *pmp_fluid_create(const mjModel *m) {
  if (!drag_only(m)) return NULL;
  struct pmp_fluid *f = calloc(1, sizeof(*f));
  if (f == NULL) return NULL;
  f->body = calloc((size_t)m->nbody, sizeof(*f->body));
  f->drag = calloc((size_t)m->nbody, sizeof(*f->drag));
  if (f->body == NULL || f->drag == NULL) {
    pmp_fluid_free(f);
    return NULL;
  }
  for (int i = 1; i < (int)m->nbody; i++) {
    if (m->body_mass[i] < mjMINVAL) continue;
    factors(m, i, f->drag[f->count]);
    f->body[f->count++] = i;
  }
  return f;
}

void pmp_fluid_free(struct pmp_fluid *f) {
  if (f == NULL) return;
  free(f->body);
  free(f->drag);
  free(f);
}

static void rotate(mjtNum out[3], const mjtNum mat[9], const mjtNum v[3]) {
  for (int k = 0; k < 3; k++)
    out[k] = mat[3 * k] * v[0] + mat[3 * k + 1] * v[1] + mat[3 * k + 2] * v[2];
}

/* Adds what a force and a torque at the centre of mass of a body do to the dofs of its chain. */
static void add_body(const mjModel *m, mjData *d, int body, const mjtNum torque[3],
                     const mjtNum force[3]) {
  const mjtNum *at = d->xipos + 3 * body, *com = d->subtree_com + 3 * m->body_rootid[body];
  const mjtNum r[3] = {at[0] - com[0], at[1] - com[1], at[2] - com[2]};
  while (body > 0 && m->body_dofnum[body] == 0) body = m->body_parentid[body];
  if (body == 0) return;
  for (int i = m->body_dofadr[body] + m->body_dofnum[body] - 1; i >= 0; i = m->dof_parentid[i]) {
    const mjtNum *w = d->cdof + 6 * i, *v = w + 3;
    const mjtNum p[3] = {v[0] + (w[1] * r[2] - w[2] * r[1]), v[1] + (w[2] * r[0] - w[0] * r[2]),
                         v[2] + (w[0] * r[1] - w[1] * r[0])};
    d->qfrc_fluid[i] += p[0] * force[0] + p[1] * force[1] + p[2] * force[2];
    d->qfrc_fluid[i] += w[0] * torque[0] + w[1] * torque[1] + w[2] * torque[2];
  }
}

void pmp_fluid_add(const struct pmp_fluid *f, const mjModel *m, mjData *d) {
  memset(d->qfrc_fluid, 0, (size_t)m->nv * sizeof(mjtNum));
  for (int k = 0; k < f->count; k++) {
    const int body = f->body[k];
    const mjtNum *drag = f->drag[k], *mat = d->ximat + 9 * body;
    mjtNum v[6], local[6], torque[3], force[3];
    mj_objectVelocity(m, d, mjOBJ_BODY, body, v, 1);
    for (int i = 0; i < 3; i++) local[i] = -(drag[i] * fabs(v[i]) * v[i] / 64.0);
    for (int i = 3; i < 6; i++) local[i] = -(drag[i] * fabs(v[i]) * v[i]);
    rotate(torque, mat, local);
    rotate(force, mat, local + 3);
    add_body(m, d, body, torque, force);
  }
  for (int i = 0; i < (int)m->nv; i++) d->qfrc_passive[i] += d->qfrc_fluid[i];
}
