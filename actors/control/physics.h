/* What a task sees of MuJoCo: a model, its data, and the ids it looked up; and the one place where
 * MuJoCo's warnings and errors are caught.
 *
 * A `struct pmp_physics` belongs to one thread at a time; a model may be shared by many of them as
 * long as nobody edits it. */
#ifndef PMP_CONTROL_PHYSICS_H
#define PMP_CONTROL_PHYSICS_H

#include "actors/control/draw.h"
#include "base/err.h"

#include <mujoco/mujoco.h>
#include <stdbool.h>

struct pmp_task;
struct pmp_views; /* a model as the parts of a control step see it: views.h */

struct pmp_physics {
  const struct pmp_task *task;
  mjModel *m;              /* only a task's init may write to it */
  struct pmp_views *views; /* of m; read only */
  mjData *d;
  const void *ids; /* the task's own struct, filled by its prepare; shared, read only */
};

/* Columns of a body's row-major rotation matrix, xmat + 9 * body: first letter the world's axis,
 * second the body's. */
enum { PMP_XX, PMP_XY, PMP_XZ, PMP_YX, PMP_YY, PMP_YZ, PMP_ZX, PMP_ZY, PMP_ZZ };

/* Makes MuJoCo silent (no stderr, no log file) and its errors catchable. Sets process-wide hooks of
 * the library: call it before other threads use MuJoCo. Calling it again changes nothing. */
void pmp_physics_hooks_install(void);

/* Runs fn(arg); an error inside MuJoCo ends fn at once and is returned as PMP_EINTERNAL with its
 * text. The data that fn worked on must then be reset. Any thread; may be nested. */
PMP_MUST_CHECK enum pmp_err pmp_physics_guard(void (*fn)(void *arg), void *arg,
                                              struct pmp_errmsg *msg);

/* mj_forward without actuation: what the suite calls after every change of the start state. */
void pmp_physics_forward_passive(struct pmp_physics *p);
/* One control step of `substeps` with p->d->ctrl, after which positions, velocities and what the
 * task's rewards and observations derive from them are current. Energies, cameras, lights and the
 * other sensors are not. */
void pmp_physics_advance(struct pmp_physics *p, int substeps);
/* true when MuJoCo counted a numerical warning since the counters were cleared. */
bool pmp_physics_warned(const mjData *d);
void pmp_physics_clear_warnings(mjData *d);

/* Draws every limited hinge or slide in its range, every free hinge in [-pi, pi), a free joint's
 * orientation; joint by joint in id order. Ball joints are not handled: no task has one. */
void pmp_physics_draw_joints(struct pmp_physics *p, const struct pmp_draw *draw);
/* The same again and again until nothing touches, at most `rounds_max` times (then PMP_EINTERNAL).
 */
PMP_MUST_CHECK enum pmp_err
pmp_physics_draw_joints_free(struct pmp_physics *p, const struct pmp_draw *draw, int rounds_max);

/* Position and rotation of a body, position of a geom or site, first value of a sensor. */
static inline const double *pmp_body_pos(const struct pmp_physics *p, int body) {
  return p->d->xpos + 3 * body;
}
static inline const double *pmp_body_mat(const struct pmp_physics *p, int body) {
  return p->d->xmat + 9 * body;
}
static inline const double *pmp_geom_pos(const struct pmp_physics *p, int geom) {
  return p->d->geom_xpos + 3 * geom;
}
static inline const double *pmp_site_pos(const struct pmp_physics *p, int site) {
  return p->d->site_xpos + 3 * site;
}
static inline const double *pmp_sensor(const struct pmp_physics *p, int sensor) {
  return p->d->sensordata + p->m->sensor_adr[sensor];
}
/* Velocity of the centre of mass of the tree whose root is body `root`, a child of the world: what
 * MuJoCo's sensor subtreelinvel measures, at a third of its cost. */
void pmp_physics_velocity(const struct pmp_physics *p, int root, double out[3]);
/* |a - b| of two points in space. */
double pmp_distance(const double a[3], const double b[3]);
/* out = R^T v for a row-major 3 x 3 rotation: v seen from the body. */
void pmp_rotate_into(double out[3], const double mat[9], const double v[3]);
/* Appends v[n] at *at and moves it. */
void pmp_put(double **at, const double *v, int n);

#endif
