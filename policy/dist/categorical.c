#include "policy/dist/family.h"

#include "policy/nn/math.h"

/* Logits between two looks at the running maximum; their exponentials stay in cache. */
#define BLOCK 256
#define LANES 8 /* partial sums, so that a sum is one vector's, added up in fixed order */

PMP_INLINE double fold(const double acc[LANES]) {
  return ((acc[0] + acc[1]) + (acc[2] + acc[3])) + ((acc[4] + acc[5]) + (acc[6] + acc[7]));
}

PMP_CLONES static float block_max(const float *z, size_t n) {
  float lane[LANES], max;
  for (size_t l = 0; l < LANES; l++) lane[l] = z[0];
  size_t v = 0;
  for (; v + LANES <= n; v += LANES)
    for (size_t l = 0; l < LANES; l++) lane[l] = z[v + l] > lane[l] ? z[v + l] : lane[l];
  for (; v < n; v++) lane[0] = z[v] > lane[0] ? z[v] : lane[0];
  max = lane[0];
  for (size_t l = 1; l < LANES; l++) max = lane[l] > max ? lane[l] : max;
  return max;
}

/* e[v] = exp(z[v] - max); their sum, NaN when a logit is not finite. */
PMP_CLONES static double block_exp(const float *z, size_t n, double max, double *e) {
  double acc[LANES] = {0};
  for (size_t v = 0; v < n; v++)
    e[v] = pmp_math_exp_neg((double)z[v] - max) + (double)(z[v] - z[v]); /* inf - inf is NaN */
  size_t v = 0;
  for (; v + LANES <= n; v += LANES)
    for (size_t l = 0; l < LANES; l++) acc[l] += e[v + l];
  for (size_t l = 0; v < n; v++, l++) acc[l] += e[v];
  return fold(acc);
}

/* sum e[v] (z[v] - other[v]) */
PMP_CLONES static double block_gap(const float *z, const float *other, const double *e, size_t n) {
  double acc[LANES] = {0};
  size_t v = 0;
  for (; v + LANES <= n; v += LANES)
    for (size_t l = 0; l < LANES; l++)
      acc[l] += e[v + l] * ((double)z[v + l] - (double)other[v + l]);
  for (size_t l = 0; v < n; v++, l++) acc[l] += e[v] * ((double)z[v] - (double)other[v]);
  return fold(acc);
}

/* One sweep over the logits of a dimension: the largest so far, and sums relative to it. */
struct sweep {
  double max;
  double sum; /* of exp(z - max) */
  double gap; /* of exp(z - max) (z - other) */
};

static void sweep_block(struct sweep *s, const float *z, const float *other, size_t n) {
  double e[BLOCK];
  const double max = (double)block_max(z, n);
  if (max > s->max) {
    const double shrink = pmp_math_exp_neg(s->max - max);
    s->sum *= shrink;
    s->gap *= shrink;
    s->max = max;
  }
  s->sum += block_exp(z, n, s->max, e);
  if (other) s->gap += block_gap(z, other, e, n);
}

/* log-sum-exp of one dimension's logits under pi and under ref. */
struct dimension {
  double lse, ref_lse;
};

/* Reads the logits of pi and ref once; *kl is KL(ref || pi) of this dimension. */
static enum pmp_err prepare(const float *z, const float *ref, uint32_t bins, struct dimension *out,
                            double *kl) {
  struct sweep pi = {.max = (double)z[0]}, re = {.max = (double)ref[0]};
  for (size_t v = 0; v < bins; v += BLOCK) {
    const size_t n = bins - v < BLOCK ? bins - v : BLOCK;
    sweep_block(&pi, z + v, NULL, n);
    sweep_block(&re, ref + v, kl ? z + v : NULL, n);
  }
  out->lse = pi.max + log(pi.sum);
  out->ref_lse = re.max + log(re.sum);
  /* sum_v ref_v (ln ref_v - ln pi_v), never below 0 but for rounding */
  if (kl) *kl = pmp_dist_clamp(re.gap / re.sum + (out->lse - out->ref_lse));
  /* A NaN or an infinity among the logits leaves its trace in one of these. */
  return isfinite(out->lse) && isfinite(out->ref_lse) && (!kl || isfinite(*kl)) ? PMP_OK
                                                                                : PMP_ENONFINITE;
}

static bool bin_of(float y, uint32_t bins, size_t *bin) {
  if (!(y >= 0 && y < (float)bins)) return false;
  *bin = (size_t)y;
  return (float)*bin == y;
}

enum pmp_err pmp_categorical_forward(const struct pmp_dist *d, const struct pmp_dist_range *r,
                                     const struct pmp_dist_row *row) {
  struct dimension dim[PMP_DIST_DIM_MAX];
  double kl = 0;
  for (uint32_t i = 0; i < d->dim; i++) {
    const size_t at = (size_t)i * d->bins;
    double part = 0;
    PMP_TRY(prepare(row->head + at, row->ref_head + at, d->bins, &dim[i], row->kl ? &part : NULL));
    kl += part;
  }
  bool finite = row->kl == NULL || pmp_dist_narrow(kl, row->kl);
  for (size_t j = r->first; j < r->last; j++) {
    if (!pmp_dist_has(r, j)) continue;
    double lp = 0, lp_ref = 0;
    for (uint32_t i = 0; i < d->dim; i++) {
      const size_t at = (size_t)i * d->bins;
      size_t bin;
      if (!bin_of(row->y[j * d->dim + i], d->bins, &bin)) return PMP_EINVALID;
      lp += (double)row->head[at + bin] - dim[i].lse;
      lp_ref += (double)row->ref_head[at + bin] - dim[i].ref_lse;
    }
    if (row->lp) finite &= pmp_dist_narrow(lp, &row->lp[j]);
    if (row->lp_ref) finite &= pmp_dist_narrow(lp_ref, &row->lp_ref[j]);
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

/* dz[v] = own[v] - c pi_v + w (pi_v - ref_v): own is the sum of the coefficients of outcome v, c
 * that of all. */
PMP_CLONES static void block_gradient(const float *z, const float *ref, size_t n,
                                      const struct dimension *d, const double *own, double c,
                                      double w, float *dz) {
  for (size_t v = 0; v < n; v++) {
    const double pi = (double)z[v] - d->lse, re = (double)ref[v] - d->ref_lse;
    /* Rounding may leave a logarithm a hair above 0, which the exponential does not take. */
    const double p = pmp_math_exp_neg(pi > 0 ? 0 : pi), q = pmp_math_exp_neg(re > 0 ? 0 : re);
    dz[v] = (float)(own[v] + (w * (p - q) - c * p));
  }
}

/* own[v - first] += the coefficients of the outcomes that are bin v in dimension i, for one block
 * of bins. */
static enum pmp_err add_outcomes(const struct pmp_dist *d, const struct pmp_dist_range *r,
                                 const struct pmp_dist_row *row, uint32_t i, uint32_t first,
                                 double own[BLOCK]) {
  if (row->c == NULL) return PMP_OK;
  for (size_t j = r->first; j < r->last; j++) {
    size_t bin;
    if (!pmp_dist_has(r, j)) continue;
    if (!bin_of(row->y[j * d->dim + i], d->bins, &bin)) return PMP_EINVALID;
    if (bin >= first && bin - first < BLOCK) own[bin - first] += (double)row->c[j];
  }
  return PMP_OK;
}

enum pmp_err pmp_categorical_backward(const struct pmp_dist *d, const struct pmp_dist_range *r,
                                      const struct pmp_dist_row *row) {
  const double w = row->w ? (double)row->w[0] : 0;
  double c = 0;
  for (size_t j = r->first; row->c && j < r->last; j++)
    if (pmp_dist_has(r, j)) c += (double)row->c[j];
  if (!isfinite(c) || !isfinite(w)) return PMP_ENONFINITE;

  for (uint32_t i = 0; i < d->dim; i++) {
    const size_t at = (size_t)i * d->bins;
    const float *z = row->head + at, *ref = row->ref_head + at;
    struct dimension dim;
    PMP_TRY(prepare(z, ref, d->bins, &dim, NULL));
    for (uint32_t v = 0; v < d->bins; v += BLOCK) {
      const uint32_t n = d->bins - v < BLOCK ? d->bins - v : BLOCK;
      double own[BLOCK] = {0};
      PMP_TRY(add_outcomes(d, r, row, i, v, own));
      block_gradient(z + v, ref + v, n, &dim, own, c, w, row->dhead + at + v);
    }
    for (size_t v = 0; v < d->bins; v++)
      if (!isfinite(row->dhead[at + v])) return PMP_ENONFINITE;
  }
  return PMP_OK;
}

/* The first bin whose cumulative probability passes u, of logits whose exponentials sum to exp(max)
 * * sum. e holds the exponentials already when all bins are one block. */
static uint32_t draw(const float *z, uint32_t bins, const struct sweep *s, double u,
                     double e[BLOCK]) {
  double cumulative = 0;
  uint32_t last = 0;
  for (uint32_t v = 0; v < bins; v += BLOCK) {
    const uint32_t n = bins - v < BLOCK ? bins - v : BLOCK;
    if (bins > BLOCK) block_exp(z + v, n, s->max, e);
    for (uint32_t i = 0; i < n; i++) {
      cumulative += e[i];
      if (e[i] > 0) last = v + i;
      if (cumulative > u * s->sum) return v + i;
    }
  }
  return last; /* u within rounding of 1 */
}

enum pmp_err pmp_categorical_sample(const struct pmp_dist *d, size_t b, size_t m, const float *head,
                                    struct pmp_rng *rng, float *y) {
  for (size_t x = 0; x < b; x++) {
    for (uint32_t i = 0; i < d->dim; i++) {
      const float *z = head + (x * d->dim + i) * d->bins;
      double e[BLOCK];
      struct sweep s = {.max = (double)z[0]};
      for (size_t v = 0; v < d->bins; v += BLOCK)
        sweep_block(&s, z + v, NULL, d->bins - v < BLOCK ? d->bins - v : BLOCK);
      if (!isfinite(s.max) || !isfinite(s.sum)) return PMP_ENONFINITE;
      if (d->bins <= BLOCK) block_exp(z, d->bins, s.max, e);
      for (size_t j = 0; j < m; j++)
        y[(x * m + j) * d->dim + i] = (float)draw(z, d->bins, &s, pmp_rng_double(rng), e);
    }
  }
  return PMP_OK;
}

enum pmp_err pmp_categorical_entropy(const struct pmp_dist *d, const float *head, float *entropy) {
  const float zero[BLOCK] = {0};
  double sum = 0;
  for (uint32_t i = 0; i < d->dim; i++) {
    const float *z = head + (size_t)i * d->bins;
    struct sweep s = {.max = (double)z[0]};
    for (size_t v = 0; v < d->bins; v += BLOCK)
      sweep_block(&s, z + v, zero, d->bins - v < BLOCK ? d->bins - v : BLOCK);
    sum += pmp_dist_clamp(s.max + log(s.sum) - s.gap / s.sum);
  }
  return pmp_dist_narrow(sum, entropy) ? PMP_OK : PMP_ENONFINITE;
}

enum pmp_err pmp_categorical_mode(const struct pmp_dist *d, const float *head, float *y) {
  for (uint32_t i = 0; i < d->dim; i++) {
    const float *z = head + (size_t)i * d->bins;
    uint32_t best = 0;
    for (uint32_t v = 0; v < d->bins; v++) {
      if (!isfinite(z[v])) return PMP_ENONFINITE;
      if (z[v] > z[best]) best = v;
    }
    y[i] = (float)best;
  }
  return PMP_OK;
}
