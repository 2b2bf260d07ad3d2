/* The pairs of geoms of a model that may touch, written out as MuJoCo's predefined pairs: where
 * there are few, looking at each is cheaper than first finding out which are near. The contacts are
 * the same, in the same order, with the same bits.
 *
 * Immutable after creation; knows nothing of tasks. */
#ifndef PMP_CONTROL_PAIRS_H
#define PMP_CONTROL_PAIRS_H

#include <mujoco/mujoco.h>

enum { PMP_PAIRS_MAX = 32, PMP_PAIRS_BODIES_MAX = 64 };

struct pmp_pairs {
  int count;
  int dim[PMP_PAIRS_MAX], geom1[PMP_PAIRS_MAX], geom2[PMP_PAIRS_MAX], signature[PMP_PAIRS_MAX];
  mjtNum solref[PMP_PAIRS_MAX * mjNREF], solimp[PMP_PAIRS_MAX * mjNIMP];
  mjtNum friction[PMP_PAIRS_MAX * 5];
  mjtNum zeros[PMP_PAIRS_MAX * mjNREF]; /* of what these models leave at zero */
  int none[PMP_PAIRS_BODIES_MAX];       /* what a body touches otherwise */
};

/* NULL: no memory, too many pairs to gain by it, or a model whose pairs cannot be told from its
 * geoms (margins, mixed solver parameters, pairs or exclusions of its own). */
struct pmp_pairs *pmp_pairs_create(const mjModel *m);
/* NULL is fine. */
void pmp_pairs_free(struct pmp_pairs *p);
/* Makes a header on the arrays of a model with these geoms use the pairs, and nothing else. */
void pmp_pairs_apply(const struct pmp_pairs *p, mjModel *view);

#endif
