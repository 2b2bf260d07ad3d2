/* Random draws as an interface: the product plugs in its counter-based generator, the parity tests
 * the generator of the reference implementation. */
#ifndef PMP_CONTROL_DRAW_H
#define PMP_CONTROL_DRAW_H

#include "base/rng.h"

struct pmp_draw {
  double (*uniform)(void *ctx); /* [0,1) */
  double (*normal)(void *ctx);  /* mean 0, variance 1 */
  void *ctx;                    /* not owned */
};

/* Draws from *rng, which must outlive the result. */
struct pmp_draw pmp_draw_from_rng(struct pmp_rng *rng);

/* One uniform of [0,1). */
double pmp_draw_unit(const struct pmp_draw *draw);
/* low + (high - low) u. */
double pmp_draw_between(const struct pmp_draw *draw, double low, double high);
double pmp_draw_normal(const struct pmp_draw *draw);
/* out[n] standard normals divided by their Euclidean norm. */
void pmp_draw_direction(const struct pmp_draw *draw, double *out, int n);

#endif
