#include "actors/control/pairs.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Whether the contacts of two bodies are looked for: not those of parent and child, unless the
 * parent is the world. Bodies welded together count as one. */
static bool bodies_meet(const mjModel *m, int b1, int b2) {
  int w1 = m->body_weldid[b1], w2 = m->body_weldid[b2];
  if (w1 == w2) return false;
  if (w1 == 0 || w2 == 0 || (m->opt.disableflags & mjDSBL_FILTERPARENT)) return true;
  return w1 != m->body_weldid[m->body_parentid[w2]] && w2 != m->body_weldid[m->body_parentid[w1]];
}

static bool geoms_meet(const mjModel *m, int g1, int g2) {
  return (m->geom_contype[g1] & m->geom_conaffinity[g2]) != 0 ||
         (m->geom_contype[g2] & m->geom_conaffinity[g1]) != 0;
}

/* Whether a contact's parameters are both geoms' own, so that nothing has to be mixed but friction
 * and dimension, where the larger one counts. */
static bool plain(const mjModel *m, int g1, int g2) {
  return memcmp(m->geom_solref + g1 * mjNREF, m->geom_solref + g2 * mjNREF,
                mjNREF * sizeof(mjtNum)) == 0 &&
         memcmp(m->geom_solimp + g1 * mjNIMP, m->geom_solimp + g2 * mjNIMP,
                mjNIMP * sizeof(mjtNum)) == 0 &&
         m->geom_priority[g1] == m->geom_priority[g2] && m->geom_solmix[g1] == m->geom_solmix[g2] &&
         m->geom_solmix[g1] > 0.0 && m->geom_margin[g1] == 0.0 && m->geom_margin[g2] == 0.0 &&
         m->geom_gap[g1] == 0.0 && m->geom_gap[g2] == 0.0;
}

static void add(struct pmp_pairs *p, const mjModel *m, int g1, int g2, int signature) {
  const int k = p->count++;
  const mjtNum *f1 = m->geom_friction + 3 * g1, *f2 = m->geom_friction + 3 * g2;
  mjtNum *friction = p->friction + 5 * k;
  bool turn = m->geom_type[g1] > m->geom_type[g2]; /* the simpler shape comes first */
  p->geom1[k] = turn ? g2 : g1;
  p->geom2[k] = turn ? g1 : g2;
  p->signature[k] = signature;
  p->dim[k] = m->geom_condim[g1] > m->geom_condim[g2] ? m->geom_condim[g1] : m->geom_condim[g2];
  memcpy(p->solref + k * mjNREF, m->geom_solref + g1 * mjNREF, mjNREF * sizeof(mjtNum));
  memcpy(p->solimp + k * mjNIMP, m->geom_solimp + g1 * mjNIMP, mjNIMP * sizeof(mjtNum));
  friction[0] = friction[1] = fmax(f1[0], f2[0]);
  friction[2] = fmax(f1[1], f2[1]);
  friction[3] = friction[4] = fmax(f1[2], f2[2]);
}

/* False: there is a pair that does not fit. */
static bool add_bodies(struct pmp_pairs *p, const mjModel *m, int b1, int b2) {
  for (int i = 0; i < m->body_geomnum[b1]; i++) {
    for (int j = 0; j < m->body_geomnum[b2]; j++) {
      int g1 = m->body_geomadr[b1] + i, g2 = m->body_geomadr[b2] + j;
      if (!geoms_meet(m, g1, g2)) continue;
      if (!plain(m, g1, g2) || p->count == PMP_PAIRS_MAX) return false;
      add(p, m, g1, g2, b1 * (1 << 16) + b2);
    }
  }
  return true;
}

struct pmp_pairs *pmp_pairs_create(const mjModel *m) {
  const int refused = mjDSBL_CONTACT | mjDSBL_CONSTRAINT;
  if (m->npair != 0 || m->nexclude != 0 || m->nflex != 0 || m->nbody > PMP_PAIRS_BODIES_MAX ||
      (m->opt.disableflags & refused) != 0 || (m->opt.enableflags & mjENBL_OVERRIDE) != 0)
    return NULL;
  struct pmp_pairs *p = calloc(1, sizeof(*p));
  bool fits = p != NULL;
  for (int b1 = 0; fits && b1 < (int)m->nbody; b1++)
    for (int b2 = b1 + 1; fits && b2 < (int)m->nbody; b2++)
      if (bodies_meet(m, b1, b2)) fits = add_bodies(p, m, b1, b2);
  if (fits && p->count > 0) return p;
  free(p);
  return NULL;
}

void pmp_pairs_free(struct pmp_pairs *p) {
  free(p);
}

/* MuJoCo's headers know no const arrays; a step only reads these. */
static void *unconst(const void *array) {
  return (void *)(uintptr_t)array;
}

void pmp_pairs_apply(const struct pmp_pairs *p, mjModel *view) {
  view->npair = p->count;
  view->pair_dim = unconst(p->dim);
  view->pair_geom1 = unconst(p->geom1);
  view->pair_geom2 = unconst(p->geom2);
  view->pair_signature = unconst(p->signature);
  view->pair_solref = unconst(p->solref);
  view->pair_solreffriction = unconst(p->zeros);
  view->pair_solimp = unconst(p->solimp);
  view->pair_margin = unconst(p->zeros);
  view->pair_gap = unconst(p->zeros);
  view->pair_adhesion = unconst(p->zeros);
  view->pair_friction = unconst(p->friction);
  view->body_contype = unconst(p->none);
  view->body_conaffinity = unconst(p->none);
}
