#include "actors/control/views.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Whether forces pull at joints only, directly or by fixed tendons. */
static bool joints_only(const mjModel *m) {
  for (int i = 0; i < (int)m->nwrap; i++)
    if (m->wrap_type[i] != mjWRAP_JOINT) return false;
  for (int i = 0; i < (int)m->nactuator; i++)
    if (m->actuator_trntype[i] != mjTRN_JOINT && m->actuator_trntype[i] != mjTRN_TENDON)
      return false;
  return m->neq == 0 && m->nplugin == 0 && m->nflex == 0;
}

/* Whether the physics needs to know where geoms are. */
static bool geoms_matter(const mjModel *m) {
  if (!(m->opt.disableflags & (mjDSBL_CONTACT | mjDSBL_CONSTRAINT)) || !joints_only(m)) return true;
  for (int i = 0; i < (int)m->ngeom; i++)
    if (m->geom_fluid[i * mjNFLUID] > 0.0) return true;
  return false;
}

/* Keeps the sensors of `load` whose stage is ACC, or those whose is not. */
static void keep_sensors(mjModel *view, int *stage, const struct pmp_task_load *load,
                         bool acceleration) {
  const mjModel *m = load->m;
  bool any = false;
  assert(m->nsensor <= PMP_TASK_SENSORS_MAX);
  for (int i = 0; i < (int)m->nsensor; i++) {
    bool wanted =
        (load->sensors >> i & 1) != 0 && (m->sensor_needstage[i] == mjSTAGE_ACC) == acceleration;
    stage[i] = wanted ? m->sensor_needstage[i] : mjSTAGE_NONE;
    any |= wanted;
  }
  view->sensor_needstage = stage;
  if (any)
    view->opt.disableflags &= ~mjDSBL_SENSOR;
  else
    view->opt.disableflags |= mjDSBL_SENSOR;
}

mjModel *pmp_model_fork(const mjModel *m) {
  mjModel whole = *m;
  int count[PMP_FIELD_COUNT];
  size_t cells = 0;
  for (int f = 0; f < PMP_FIELD_COUNT; f++) {
    pmp_field_array(&whole, (enum pmp_field)f, &count[f]);
    cells += (size_t)count[f];
  }
  mjModel *fork = malloc(sizeof(*fork) + cells * sizeof(mjtNum));
  if (fork == NULL) return NULL;
  *fork = *m;
  mjtNum *at = (mjtNum *)(fork + 1);
  for (int f = 0; f < PMP_FIELD_COUNT; f++) {
    mjtNum **array = pmp_field_array(fork, (enum pmp_field)f, &count[f]);
    if (count[f] > 0) memcpy(at, *array, (size_t)count[f] * sizeof(mjtNum));
    *array = at;
    at += count[f];
  }
  return fork;
}

void pmp_shortcuts_init(struct pmp_shortcuts *s, const mjModel *m) {
  s->pairs = pmp_pairs_create(m);
  s->fluid = pmp_fluid_create(m);
}

void pmp_shortcuts_fini(struct pmp_shortcuts *s) {
  pmp_pairs_free(s->pairs);
  pmp_fluid_free(s->fluid);
  *s = (struct pmp_shortcuts){NULL, NULL};
}

struct pmp_views *pmp_views_create(const mjModel *m, const struct pmp_task_load *load,
                                   const struct pmp_shortcuts *shortcuts) {
  struct pmp_views *v = malloc(sizeof(*v));
  if (v == NULL) return NULL;
  v->passive = *m;
  v->passive.opt.disableflags |= mjDSBL_ACTUATION;
  v->last = *m;
  v->last.opt.enableflags &= ~mjENBL_ENERGY;
  v->last.ncam = v->last.nlight = 0;
  /* Boxes around geoms before the geoms themselves: for so few it costs more than it saves. The
   * contacts and their order are the same. */
  v->last.opt.disableflags |= mjDSBL_MIDPHASE;
  /* Islands are sets of trees that are solved apart. One tree can only be solved whole: finding
   * that out, and moving its numbers there and back, is left out. */
  if (m->ntree == 1) v->last.opt.disableflags |= mjDSBL_ISLAND;
  v->fluid = shortcuts->fluid;
  if (v->fluid != NULL) v->last.opt.density = 0.0;
  if (shortcuts->pairs != NULL) pmp_pairs_apply(shortcuts->pairs, &v->last);
  v->held = v->last;
  if (!geoms_matter(m)) v->held.ngeom = 0;
  v->inner = v->held;
  v->inner.opt.disableflags |= mjDSBL_SENSOR;
  keep_sensors(&v->held, v->held_stage, load, true);
  keep_sensors(&v->last, v->last_stage, load, false);
  if (joints_only(m)) v->inner.nsite = 0;
  if (joints_only(m) && (v->held.opt.disableflags & mjDSBL_SENSOR)) v->held.nsite = 0;
  return v;
}

void pmp_views_free(struct pmp_views *v) {
  free(v);
}
