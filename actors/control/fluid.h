/* Drag of a medium on every body, taken as a box with the body's inertia: MuJoCo's fluid forces of
 * that model, dof by dof along each body's chain instead of by whole Jacobians, with the same bits.
 *
 * F_i = -rho/2 b_j b_k |v_i| v_i and T_i = -rho/64 b_i (b_j^4 + b_k^4) |w_i| w_i in the axes of the
 * body's inertia; b its box' sides, v and w its velocities there. (MuJoCo's documentation,
 * Computation: Fluid forces.)
 *
 * Immutable after creation; knows nothing of tasks. */
#ifndef PMP_CONTROL_FLUID_H
#define PMP_CONTROL_FLUID_H

#include <mujoco/mujoco.h>

struct pmp_fluid {
  int count;         /* bodies with a mass */
  int *body;         /* owned, (count) */
  mjtNum (*drag)[6]; /* owned, (count x 6): factors of torque, then force */
};

/* NULL: no memory, or a model whose forces are not these alone (no medium, viscosity, wind, shapes
 * of geoms, an integrator that wants derivatives of them). */
struct pmp_fluid *pmp_fluid_create(const mjModel *m);
/* NULL is fine. */
void pmp_fluid_free(struct pmp_fluid *f);
/* Fills d->qfrc_fluid and adds it to d->qfrc_passive, where a model without a medium has computed
 * velocities. */
void pmp_fluid_add(const struct pmp_fluid *f, const mjModel *m, mjData *d);

#endif
