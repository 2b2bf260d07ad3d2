/* The categorical: independent dimensions of bins, a logit each.
 *
 * A dimension's logits are read from memory once: a sweep for the log-sum-exps and the KL, then a
 * second one for the gradient, which finds them in cache. A logit of -INFINITY is probability 0.
 *
 * Long rows of a head take their exponentials in float32, which is three times as fast: differences
 * and sums stay float64, and what cancels (pi - ref, and 1 - pi of an outcome) is formed so that it
 * keeps its digits. Everything else is float64. */
#include "policy/dist/family.h"

#include "policy/nn/math.h"

/* Logits between two looks at the running maximum, and at the outcomes. */
#define BLOCK 1024
/* Heads of more bins take their exponentials in float32. */
#define SHORT 256
/* Of such, how near pi is to ref when float32 no longer tells their log-sum-exps apart: variance of
 * the difference of their logits. Below it the row is read again in float64, or, very near and
 * without a bin apart, the second cumulant says all. */
#define NEAR_VARIANCE 1e-4
#define CUMULANT_VARIANCE 4e-6
#define CUMULANT_RANGE 0.005f
/* Partial sums, so that a sum is some vectors', added up in fixed order. More than 16, so that gcc
 * vectorises the loops over them before it unrolls them. */
#define LANES 32

PMP_INLINE double fold(const double acc[LANES]) {
  double four[4] = {0};
  for (size_t l = 0; l < LANES; l += 4)
    for (size_t i = 0; i < 4; i++) four[i] += acc[l + i];
  return (four[0] + four[2]) + (four[1] + four[3]);
}

/* `wide`, a constant wherever these are inlined: float64, else float32. */
PMP_INLINE double load(const void *x, bool wide, size_t v) {
  return wide ? ((const double *)x)[v] : (double)((const float *)x)[v];
}

PMP_INLINE const void *from(const void *x, bool wide, size_t v) {
  return wide ? (const void *)((const double *)x + v) : (const void *)((const float *)x + v);
}

PMP_INLINE float fold_most(float lane[LANES]) {
  for (size_t half = LANES / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; l++) lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
  return lane[0];
}

PMP_INLINE double block_max(const void *z, bool wide, size_t n) {
  if (wide) {
    const double *x = z;
    double lane[LANES];
    for (size_t l = 0; l < LANES; l++) lane[l] = x[l];
    for (size_t v = LANES; v < n; v += LANES)
      for (size_t l = 0; l < LANES; l++) lane[l] = x[v + l] > lane[l] ? x[v + l] : lane[l];
    for (size_t half = LANES / 2; half > 0; half /= 2)
      for (size_t l = 0; l < half; l++)
        lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
    return lane[0];
  }
  const float *x = z;
  float lane[LANES];
  for (size_t l = 0; l < LANES; l++) lane[l] = x[l];
  for (size_t v = LANES; v < n; v += LANES)
    for (size_t l = 0; l < LANES; l++) lane[l] = x[v + l] > lane[l] ? x[v + l] : lane[l];
  for (size_t half = LANES / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; l++) lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
  return (double)lane[0];
}

/* One sweep over the logits of a dimension: the largest so far, and sums relative to it. */
struct sweep {
  double max; /* at least -FLT_MAX, also where nothing is likely yet */
  double sum; /* of exp(z - max) */
  double gap; /* of exp(z - max) (z - other) */
  /* Long rows only: of exp(z - max) (z - other)^2, and the ends of z - other. */
  double square;
  float least, most;
};

static const struct sweep fresh = {.max = -FLT_MAX, .least = INFINITY, .most = -INFINITY};

static void sweep_raise(struct sweep *s, double max) {
  if (!(max > s->max)) return;
  const double shrink = pmp_math_exp_neg(s->max - max);
  s->sum *= shrink;
  s->gap *= shrink;
  s->square *= shrink;
  s->max = max;
}

/* n logits, a multiple of LANES. A NaN or +INFINITY makes the sum NaN; a logit that is not
 * -INFINITY over an `other` that is, the gap infinite or NaN. */
PMP_INLINE void sweep_block(struct sweep *s, const void *z, const void *other, bool wide,
                            size_t n) {
  sweep_raise(s, block_max(z, wide, n));
  const double top = s->max;
  double sum[LANES] = {0}, gap[LANES] = {0};
  for (size_t v = 0; v < n; v += LANES)
    for (size_t l = 0; l < LANES; l++) {
      const double logit = load(z, wide, v + l), e = pmp_math_exp_neg(logit - top);
      sum[l] += e;
      if (other) gap[l] += logit == -INFINITY ? 0 : e * (logit - load(other, wide, v + l));
    }
  s->sum += fold(sum);
  if (other) s->gap += fold(gap);
}

/* The same with exponentials in float32. */
PMP_INLINE void sweep_long(struct sweep *s, const float *z, const float *other, size_t n) {
  sweep_raise(s, block_max(z, false, n));
  const float top = (float)s->max;
  double sum[LANES] = {0}, gap[LANES] = {0}, square[LANES] = {0};
  float most[LANES], less[LANES]; /* of z - other and other - z */
  for (size_t l = 0; l < LANES; l++) most[l] = less[l] = -INFINITY;
  for (size_t v = 0; v < n; v += LANES)
    for (size_t l = 0; l < LANES; l++) {
      const float logit = z[v + l];
      const double e = (double)pmp_math_exp_negf(logit - top);
      sum[l] += e;
      if (other) {
        const float d = logit - other[v + l]; /* NaN where both are -INFINITY: not counted */
        const double apart = (double)logit - (double)other[v + l];
        const double g = logit == -INFINITY ? 0 : e * apart;
        gap[l] += g;
        square[l] += logit == -INFINITY ? 0 : g * apart;
        most[l] = d > most[l] ? d : most[l];
        less[l] = -d > less[l] ? -d : less[l];
      }
    }
  s->sum += fold(sum);
  if (other) {
    s->gap += fold(gap);
    s->square += fold(square);
    const float high = fold_most(most), low = -fold_most(less);
    s->most = high > s->most ? high : s->most;
    s->least = low < s->least ? low : s->least;
  }
}

/* A row's last logits, filled up to a multiple of LANES with such as add nothing. */
struct tail {
  union {
    float f32[BLOCK];
    double f64[BLOCK];
  } at;
};

PMP_INLINE const void *padded(struct tail *t, const void *z, bool wide, size_t n) {
  const size_t whole = (n + LANES - 1) / LANES * LANES;
  for (size_t v = 0; v < whole; v++) {
    if (wide)
      t->at.f64[v] = v < n ? ((const double *)z)[v] : -INFINITY;
    else
      t->at.f32[v] = v < n ? ((const float *)z)[v] : -INFINITY;
  }
  return &t->at;
}

/* re is NULL: ref is not read; gap: ref's gap is wanted. */
PMP_INLINE void sweep_row(const void *z, const void *ref, bool wide, bool narrow, uint32_t bins,
                          bool gap, struct sweep *pi, struct sweep *re) {
  struct tail tail[2];
  for (size_t v = 0; v < bins; v += BLOCK) {
    size_t n = bins - v < BLOCK ? bins - v : BLOCK;
    const void *p = from(z, wide, v), *q = re ? from(ref, wide, v) : NULL;
    if (n % LANES != 0) {
      p = padded(&tail[0], p, wide, n);
      if (re) q = padded(&tail[1], q, wide, n);
      n = (n + LANES - 1) / LANES * LANES;
    }
    if (narrow) {
      sweep_long(pi, p, NULL, n);
      if (re && gap)
        sweep_long(re, q, p, n);
      else if (re)
        sweep_long(re, q, NULL, n);
    } else {
      sweep_block(pi, p, NULL, wide, n);
      if (re && gap)
        sweep_block(re, q, p, wide, n);
      else if (re)
        sweep_block(re, q, NULL, wide, n);
    }
  }
}

PMP_CLONES static void sweep_f32(const float *z, const float *ref, uint32_t bins, bool gap,
                                 struct sweep *pi, struct sweep *re) {
  if (bins > SHORT)
    sweep_row(z, ref, false, true, bins, gap, pi, re);
  else
    sweep_row(z, ref, false, false, bins, gap, pi, re);
}

/* Exponentials in float64, however long the row. */
PMP_CLONES static void sweep_f32_exact(const float *z, const float *ref, uint32_t bins, bool gap,
                                       struct sweep *pi, struct sweep *re) {
  sweep_row(z, ref, false, false, bins, gap, pi, re);
}

PMP_CLONES static void sweep_f64(const double *z, const double *ref, uint32_t bins, bool gap,
                                 struct sweep *pi, struct sweep *re) {
  sweep_row(z, ref, true, false, bins, gap, pi, re);
}

/* One dimension of one condition. */
struct dimension {
  const struct pmp_dist *d;
  const struct pmp_dist_seam *s;
  uint32_t i;
  size_t at; /* of its first logit */
  double lse, ref_lse;
  double c, w; /* sum of the outcomes' coefficients; weight of the KL */
};

static bool bin_of(const struct dimension *m, size_t j, size_t *bin) {
  const double y = pmp_dist_at(m->s->y, j * m->d->dim + m->i);
  if (!(y >= 0 && y < (double)m->d->bins)) return false;
  *bin = (size_t)y;
  return (double)*bin == y;
}

/* own[v - first] = the coefficients of the outcomes that are bin v, for a block of n bins; false:
 * there are none. Bins are known to be some. */
static bool own_coefficients(const struct dimension *m, size_t first, size_t n, double *own) {
  const struct pmp_dist_range *r = m->s->range;
  bool any = false;
  if (m->s->c == NULL) return false;
  for (size_t j = r->first; j < r->last; j++) {
    size_t bin;
    if (!pmp_dist_has(r, j) || !bin_of(m, j, &bin) || bin < first || bin - first >= n) continue;
    if (!any)
      for (size_t v = 0; v < n; v++) own[v] = 0;
    any = true;
    own[bin - first] += m->s->c[j];
  }
  return any;
}

/* dz[v] = own[v] - c pi_v + w (pi_v - ref_v). dz may be z. */
PMP_INLINE void gradient_block(const struct dimension *m, const void *z, const void *ref,
                               const double *own, bool wide, size_t n, void *dz) {
  const double lse = m->lse, ref_lse = m->ref_lse, c = m->c, w = m->w;
  PMP_DIST_APART
  for (size_t v = 0; v < n; v++) {
    const double pi = load(z, wide, v) - lse, re = ref ? load(ref, wide, v) - ref_lse : 0;
    /* Rounding may leave a logarithm a hair above 0, which does the exponential no harm. */
    const double p = pmp_math_exp_neg(pi), q = ref ? pmp_math_exp_neg(re) : 0;
    const double g = (own ? own[v] : 0) + ((ref ? w * (p - q) : 0) - c * p);
    if (wide)
      ((double *)dz)[v] = g;
    else
      ((float *)dz)[v] = (float)g;
  }
}

/* The same without outcomes, exponentials in float32: of the larger of pi and ref, and of how far
 * apart they are, so that pi - ref keeps its digits where they are close. */
PMP_INLINE void gradient_long(const struct dimension *m, const float *z, const float *ref, size_t n,
                              float *dz) {
  const float high = (float)m->lse, low = (float)(m->lse - (double)high);
  const float ref_high = (float)m->ref_lse, ref_low = (float)(m->ref_lse - (double)ref_high);
  const double apart = m->lse - m->ref_lse;
  const float c = (float)m->c, w = (float)m->w;
  PMP_DIST_APART
  for (size_t v = 0; v < n; v++) {
    const float pi = (z[v] - high) - low;
    if (ref == NULL) {
      dz[v] = -c * pmp_math_exp_negf(pi);
      continue;
    }
    const float re = (ref[v] - ref_high) - ref_low;
    const float most = pmp_math_exp_negf(pi > re ? pi : re);
    const float d = (float)(((double)z[v] - (double)ref[v]) - apart), far = -fabsf(d);
    /* -|pi - ref|; d is NaN where both are 0, and so this 0. */
    const float less = most * pmp_math_expm1_neg(far > -80 ? far : -80);
    const float gap = pmp_math_float(pmp_math_bits(less) ^ (~pmp_math_bits(d) & 0x80000000u));
    dz[v] = w * gap - c * (most + (gap < 0 ? gap : 0));
  }
}

PMP_INLINE void gradient_row(const struct dimension *m, const void *z, const void *ref, bool wide,
                             void *dz) {
  double own[BLOCK];
  for (size_t v = 0; v < m->d->bins; v += BLOCK) {
    const size_t n = m->d->bins - v < BLOCK ? m->d->bins - v : BLOCK;
    const bool any = own_coefficients(m, v, n, own);
    const void *p = from(z, wide, v), *q = ref ? from(ref, wide, v) : NULL;
    void *out = wide ? (void *)((double *)dz + v) : (void *)((float *)dz + v);
    if (!wide && m->d->bins > SHORT && !any) {
      if (ref)
        gradient_long(m, p, q, n, out);
      else
        gradient_long(m, p, NULL, n, out);
    } else if (any && ref)
      gradient_block(m, p, q, own, wide, n, out);
    else if (any)
      gradient_block(m, p, NULL, own, wide, n, out);
    else if (ref)
      gradient_block(m, p, q, NULL, wide, n, out);
    else
      gradient_block(m, p, NULL, NULL, wide, n, out);
  }
}

PMP_CLONES static void gradient_f32(const struct dimension *m, const float *z, const float *ref,
                                    float *dz) {
  gradient_row(m, z, ref, false, dz);
}

PMP_CLONES static void gradient_f64(const struct dimension *m, const double *z, const double *ref,
                                    double *dz) {
  gradient_row(m, z, ref, true, dz);
}

/* The outcomes' log-probabilities in this dimension, added to those of earlier ones. */
static enum pmp_err add_outcomes(const struct dimension *m, struct pmp_dist_in pi,
                                 struct pmp_dist_in ref) {
  const struct pmp_dist_seam *s = m->s;
  for (size_t j = s->range->first; j < s->range->last; j++) {
    size_t bin;
    if (!pmp_dist_has(s->range, j)) continue;
    if (!bin_of(m, j, &bin)) return PMP_EINVALID;
    const double lp = pmp_dist_at(pi, m->at + bin) - m->lse;
    if (!isfinite(lp)) return PMP_ENONFINITE;
    if (s->lp) s->lp[j] = m->i == 0 ? lp : s->lp[j] + lp;
    if (s->lp_ref) {
      const double lp_ref = pmp_dist_at(ref, m->at + bin) - m->ref_lse;
      if (!isfinite(lp_ref)) return PMP_ENONFINITE;
      s->lp_ref[j] = m->i == 0 ? lp_ref : s->lp_ref[j] + lp_ref;
    }
  }
  return PMP_OK;
}

static bool is_long(const struct pmp_dist *d, struct pmp_dist_in pi) {
  return pi.f32 && d->bins > SHORT;
}

/* Of the difference of two rows' logits, under the first. */
static double variance_of(const struct sweep *s) {
  const double mean = s->gap / s->sum;
  return s->square / s->sum - mean * mean;
}

static enum pmp_err dimension_row(struct dimension *m, struct pmp_dist_in pi,
                                  struct pmp_dist_in ref, struct pmp_dist_out dpi, double *kl) {
  struct sweep one = fresh, two = fresh;
  const bool gap = m->s->kl || m->w != 0, refs = gap || m->s->lp_ref;
  const struct pmp_dist_in z = pmp_dist_from(pi, m->at), zr = pmp_dist_from(ref, m->at);
  if (pi.f64)
    sweep_f64(z.f64, zr.f64, m->d->bins, gap, &one, refs ? &two : NULL);
  else
    sweep_f32(z.f32, zr.f32, m->d->bins, gap, &one, refs ? &two : NULL);
  const double spread = gap ? variance_of(&two) : INFINITY;
  const bool near = is_long(m->d, pi) && spread < NEAR_VARIANCE;
  const bool cumulant = near && spread < CUMULANT_VARIANCE &&
                        two.most - two.least < CUMULANT_RANGE &&
                        fabs(two.gap) < two.sum; /* far from 0 the variance loses digits */
  if (near && !cumulant) {
    one = two = fresh;
    sweep_f32_exact(z.f32, zr.f32, m->d->bins, gap, &one, &two);
  }
  /* A logit that is none leaves its trace here. */
  m->lse = one.max + log(one.sum);
  m->ref_lse = refs ? two.max + log(two.sum) : 0;
  if (!isfinite(m->lse) || !isfinite(m->ref_lse)) return PMP_ENONFINITE;
  if (gap) {
    /* sum_v ref_v (ln ref_v - ln pi_v), never below 0 but for rounding */
    const double mean = two.gap / two.sum;
    double here = pmp_dist_clamp(mean + (m->lse - m->ref_lse));
    if (!isfinite(here)) return PMP_ENONFINITE;
    if (cumulant) {
      /* The second cumulant then says the KL, and with it the log-sum-exp. */
      here = pmp_dist_clamp(spread / 2);
      m->ref_lse = m->lse + mean - here;
    }
    *kl += here;
  }
  PMP_TRY(add_outcomes(m, pi, ref));
  if (dpi.f64)
    gradient_f64(m, z.f64, m->w != 0 ? zr.f64 : NULL, dpi.f64 + m->at);
  else if (dpi.f32)
    gradient_f32(m, z.f32, m->w != 0 ? zr.f32 : NULL, dpi.f32 + m->at);
  return PMP_OK;
}

enum pmp_err pmp_categorical_row(const struct pmp_dist *d, const struct pmp_dist_seam *s,
                                 struct pmp_dist_in pi, struct pmp_dist_in ref,
                                 struct pmp_dist_out dpi) {
  struct dimension m = {.d = d, .s = s};
  double kl = 0, bound = 0;
  if (dpi.f32 || dpi.f64) {
    m.w = s->w ? s->w[0] : 0;
    bound = fabs(m.w);
    for (size_t j = s->range->first; s->c && j < s->range->last; j++) {
      if (!pmp_dist_has(s->range, j)) continue;
      m.c += s->c[j];
      bound += fabs(s->c[j]);
    }
    /* No entry of the gradient is larger than this. */
    if (!(bound <= (dpi.f32 ? (double)FLT_MAX : DBL_MAX))) return PMP_ENONFINITE;
  }
  for (m.i = 0; m.i < d->dim; m.i++, m.at += d->bins) PMP_TRY(dimension_row(&m, pi, ref, dpi, &kl));
  if (s->kl && !pmp_dist_keep(kl, s->kl)) return PMP_ENONFINITE;
  for (size_t j = s->range->first; j < s->range->last; j++) {
    if (!pmp_dist_has(s->range, j)) continue;
    if ((s->lp && !isfinite(s->lp[j])) || (s->lp_ref && !isfinite(s->lp_ref[j])))
      return PMP_ENONFINITE;
  }
  return PMP_OK;
}

/* ---- sampling, mode, entropy ---- */

/* e[v] = exp(z[v] - max) */
PMP_CLONES static void block_exp(const float *z, size_t n, double max, double *e) {
  for (size_t v = 0; v < n; v++) e[v] = pmp_math_exp_neg((double)z[v] - max);
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
      struct sweep s = fresh;
      sweep_f32(z, NULL, d->bins, false, &s, NULL);
      if (!(s.sum > 0)) return PMP_ENONFINITE;
      if (d->bins <= BLOCK) block_exp(z, d->bins, s.max, e);
      for (size_t j = 0; j < m; j++)
        y[(x * m + j) * d->dim + i] = (float)draw(z, d->bins, &s, pmp_rng_double(rng), e);
    }
  }
  return PMP_OK;
}

/* ln sum exp(z) - sum pi z, as the gap to logits of 0. */
PMP_CLONES static double dimension_entropy(const float *z, uint32_t bins) {
  const float zero[BLOCK] = {0};
  struct tail tail;
  struct sweep s = fresh;
  for (size_t v = 0; v < bins; v += BLOCK) {
    const size_t n = bins - v < BLOCK ? bins - v : BLOCK;
    if (n % LANES == 0)
      sweep_block(&s, z + v, zero, false, n);
    else
      sweep_block(&s, padded(&tail, z + v, false, n), zero, false, (n + LANES - 1) / LANES * LANES);
  }
  return pmp_dist_clamp(s.max + log(s.sum) - s.gap / s.sum);
}

enum pmp_err pmp_categorical_entropy(const struct pmp_dist *d, const float *head, float *entropy) {
  double sum = 0;
  for (uint32_t i = 0; i < d->dim; i++)
    sum += dimension_entropy(head + (size_t)i * d->bins, d->bins);
  return pmp_dist_narrow(sum, entropy) ? PMP_OK : PMP_ENONFINITE;
}

enum pmp_err pmp_categorical_mode(const struct pmp_dist *d, const float *head, float *y) {
  for (uint32_t i = 0; i < d->dim; i++) {
    const float *z = head + (size_t)i * d->bins;
    uint32_t best = 0;
    for (uint32_t v = 0; v < d->bins; v++) {
      if (!isfinite(z[v]) && z[v] != -INFINITY) return PMP_ENONFINITE;
      if (z[v] > z[best]) best = v;
    }
    if (z[best] == -INFINITY) return PMP_ENONFINITE;
    y[i] = (float)best;
  }
  return PMP_OK;
}
