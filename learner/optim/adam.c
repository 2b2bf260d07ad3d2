#include "learner/optim/adam.h"

#include "policy/nn/simd.h"

#include <math.h>
#include <stdbool.h>

/* Sums run in fixed lanes and blocks, so that every instruction set gives the same bits. */
#define LANES 16
#define BLOCK 4096        /* floats a partial sum */
#define SHARE 16384       /* floats that a thread takes at once */
#define TEAM_FLOATS 65536 /* fewer are done before a team has woken */

enum pmp_err pmp_adam_check(const struct pmp_adam_config *c, struct pmp_errmsg *msg) {
  if (!(c->lr > 0.0f && isfinite(c->lr))) {
    return pmp_fail(msg, PMP_EINVALID, "lr is %g: it must be finite and > 0", (double)c->lr);
  }
  if (!(c->beta1 >= 0.0f && c->beta1 < 1.0f) || !(c->beta2 >= 0.0f && c->beta2 < 1.0f)) {
    return pmp_fail(msg, PMP_EINVALID, "beta1 %g, beta2 %g: both must lie in [0, 1)",
                    (double)c->beta1, (double)c->beta2);
  }
  if (!(c->eps > 0.0f && isfinite(c->eps))) {
    return pmp_fail(msg, PMP_EINVALID, "eps is %g: it must be finite and > 0", (double)c->eps);
  }
  if (!(c->weight_decay >= 0.0f && isfinite(c->weight_decay))) {
    return pmp_fail(msg, PMP_EINVALID, "weight_decay is %g: it must be finite and >= 0",
                    (double)c->weight_decay);
  }
  if (!(c->clip_norm >= 0.0f && isfinite(c->clip_norm))) {
    return pmp_fail(msg, PMP_EINVALID, "clip_norm is %g: it must be finite and >= 0",
                    (double)c->clip_norm);
  }
  return PMP_OK;
}

/* Squares summed over one block of at most BLOCK floats. */
PMP_CLONES static double block_square(const float *x, size_t n) {
  double lane[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    for (size_t l = 0; l < LANES; l++) lane[l] += (double)x[i + l] * (double)x[i + l];
  }
  for (size_t l = 0; i < n; i++, l++) lane[l] += (double)x[i] * (double)x[i];
  double sum = 0.0;
  for (size_t l = 0; l < LANES; l++) sum += lane[l];
  return sum;
}

static double global_norm(const float *x, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i += BLOCK) sum += block_square(x + i, n - i < BLOCK ? n - i : BLOCK);
  return sqrt(sum);
}

PMP_CLONES static void scale(float *x, size_t n, float by) {
  for (size_t i = 0; i < n; i++) x[i] *= by;
}

/* Is every entry, times `by`, one that float32 can square? */
static bool squares_fit(const float *x, size_t n, float by) {
  for (size_t i = 0; i < n; i++)
    if (!(fabsf(x[i] * by) < PMP_ADAM_ENTRY_MAX)) return false;
  return true;
}

static bool is_clipped(const struct pmp_adam_config *config, double norm) {
  return config->clip_norm > 0.0f && norm > (double)config->clip_norm;
}

static float clip_scale(const struct pmp_adam_config *config, double norm) {
  return is_clipped(config, norm) ? (float)((double)config->clip_norm / norm) : 1.0f;
}

struct step {
  float beta1, beta2, rest1, rest2; /* rest: 1 - beta */
  float rate;                       /* lr / (1 - beta1^t) */
  float inv_root;                   /* 1 / sqrt(1 - beta2^t) */
  float eps;
  float keep; /* 1 - lr * weight_decay */
};

/* m <- b1 m + (1-b1) g; v <- b2 v + (1-b2) g^2; p <- keep p - rate m / (sqrt(v) inv_root + eps). */
PMP_CLONES static void update(const struct step *s, size_t n, const float *restrict g,
                              float *restrict m, float *restrict v, float *restrict p) {
  const struct step k = *s;
  for (size_t i = 0; i < n; i++) {
    const float gi = g[i];
    const float mi = k.beta1 * m[i] + k.rest1 * gi;
    const float vi = k.beta2 * v[i] + k.rest2 * (gi * gi);
    m[i] = mi;
    v[i] = vi;
    p[i] = k.keep * p[i] - k.rate * mi / (sqrtf(vi) * k.inv_root + k.eps);
  }
}

enum pmp_err pmp_adam_measure(const struct pmp_adam_config *config, size_t n, const float *grad,
                              double *norm) {
  *norm = global_norm(grad, n);
  if (!isfinite(*norm)) return PMP_ENONFINITE;
  /* A square that is infinite would stay in v, and its parameter would never move again. The norm
   * says at once that there is none. */
  const double left = is_clipped(config, *norm) ? (double)config->clip_norm : *norm;
  if (left < (double)PMP_ADAM_ENTRY_MAX) return PMP_OK;
  return squares_fit(grad, n, clip_scale(config, *norm)) ? PMP_OK : PMP_ENONFINITE;
}

void pmp_adam_apply(struct pmp_adam *a, const struct pmp_adam_config *config, float *params,
                    float *grad, double norm) {
  pmp_adam_apply_by(1, a, config, params, grad, norm);
}

void pmp_adam_apply_by(int threads, struct pmp_adam *a, const struct pmp_adam_config *config,
                       float *params, float *grad, double norm) {
  if (is_clipped(config, norm)) scale(grad, a->n, clip_scale(config, norm));
  a->step++;
  const double t = (double)a->step, lr = (double)config->lr;
  const double beta1 = (double)config->beta1, beta2 = (double)config->beta2;
  const struct step s = {
      .beta1 = config->beta1,
      .beta2 = config->beta2,
      .rest1 = (float)(1.0 - beta1),
      .rest2 = (float)(1.0 - beta2),
      .rate = (float)(lr / (1.0 - pow(beta1, t))),
      .inv_root = (float)(1.0 / sqrt(1.0 - pow(beta2, t))),
      .eps = config->eps,
      .keep = (float)(1.0 - lr * (double)config->weight_decay),
  };
  const size_t n = a->n;
  const int team = n >= TEAM_FLOATS ? threads : 1;
#pragma omp parallel for schedule(static) num_threads(team) if (team > 1)
  for (size_t i = 0; i < n; i += SHARE)
    update(&s, n - i < SHARE ? n - i : SHARE, grad + i, a->m + i, a->v + i, params + i);
}

enum pmp_err pmp_adam_step(struct pmp_adam *a, const struct pmp_adam_config *config, float *params,
                           float *grad, double *norm) {
  double size;
  const enum pmp_err err = pmp_adam_measure(config, a->n, grad, &size);
  if (norm != NULL) *norm = size;
  if (err == PMP_OK) pmp_adam_apply(a, config, params, grad, size);
  return err;
}
