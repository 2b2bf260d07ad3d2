#include "actors/control/draw.h"

#include <math.h>

static double rng_uniform(void *ctx) {
  return pmp_rng_double(ctx);
}

static double rng_normal(void *ctx) {
  return pmp_rng_normal(ctx);
}

struct pmp_draw pmp_draw_from_rng(struct pmp_rng *rng) {
  return (struct pmp_draw){.uniform = rng_uniform, .normal = rng_normal, .ctx = rng};
}

double pmp_draw_unit(const struct pmp_draw *draw) {
  return draw->uniform(draw->ctx);
}

double pmp_draw_between(const struct pmp_draw *draw, double low, double high) {
  return low + (high - low) * pmp_draw_unit(draw);
}

double pmp_draw_normal(const struct pmp_draw *draw) {
  return draw->normal(draw->ctx);
}

void pmp_draw_direction(const struct pmp_draw *draw, double *out, int n) {
  double sum = 0.0;
  for (int i = 0; i < n; i++) {
    out[i] = pmp_draw_normal(draw);
    sum += out[i] * out[i];
  }
  double norm = sqrt(sum);
  for (int i = 0; i < n; i++) out[i] /= norm;
}
