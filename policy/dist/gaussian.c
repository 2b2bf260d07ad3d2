#include "policy/dist/family.h"

#define LN_2PI 1.8378770664093454836
#define TINY 1e-30 /* the least softplus that init_head asks for */

/* mean = tanh(mean_raw) or mean_raw, std = softplus(std_raw) * std_scale + std_min, and their
 * derivatives. */
struct moment {
  double mean, std, dmean, dstd;
};

static bool moment_of(const struct pmp_dist *d, const float *head, size_t i, struct moment *out) {
  const double mean_raw = (double)head[i], std_raw = (double)head[d->dim + i];
  if (!isfinite(mean_raw) || !isfinite(std_raw)) return false;
  if (d->squash_mean) {
    /* tanh' = 4 e / (1 + e)^2 with e = exp(-2 |x|) keeps its digits where 1 - tanh^2 has none left.
     */
    const double t = expm1(-2 * fabs(mean_raw)), e = t > -0.5 ? 1 + t : exp(-2 * fabs(mean_raw));
    out->mean = copysign(-t / (2 + t), mean_raw);
    out->dmean = 4 * e / ((1 + e) * (1 + e));
  } else {
    out->mean = mean_raw;
    out->dmean = 1;
  }
  const double e = exp(-fabs(std_raw));
  out->std = (fmax(std_raw, 0) + log1p(e)) * (double)d->std_scale + (double)d->std_min;
  out->dstd = (std_raw >= 0 ? 1 : e) / (1 + e) * (double)d->std_scale;
  return true;
}

/* One condition, per dimension: what its outcomes and its KL read. */
struct gaussian {
  double mean[PMP_DIST_DIM_MAX], inv[PMP_DIST_DIM_MAX];         /* 1 / std */
  double dmean[PMP_DIST_DIM_MAX], dstd[PMP_DIST_DIM_MAX];       /* derivatives by the head */
  double ref_mean[PMP_DIST_DIM_MAX], ref_inv[PMP_DIST_DIM_MAX]; /* of the reference */
  double log_std, ref_log_std; /* sums over dimensions, where an output needs them */
};

/* Both KL parts of one dimension: of the mean (in units of `std_of_mean`) and of the spread,
 * objectives.md 1 and 2. */
static void kl_of(const struct moment *pi, const struct moment *ref, double std_of_mean,
                  double *mean, double *spread) {
  const double z = (ref->mean - pi->mean) / std_of_mean, ratio = ref->std / pi->std;
  *mean = z * z / 2;
  /* ln(s/s_ref) + s_ref^2/(2 s^2) - 1/2, never below 0 but for rounding. */
  *spread = pmp_dist_clamp(0.5 * (ratio - 1) * (ratio + 1) - log(ratio));
}

static enum pmp_err gaussian_prepare(const struct pmp_dist *d, const struct pmp_dist_row *row,
                                     struct gaussian *g) {
  double kl[2] = {0, 0};
  bool finite = true;
  g->log_std = g->ref_log_std = 0;
  const bool logs = row->lp || row->lp_ref;
  for (uint32_t i = 0; i < d->dim; i++) {
    struct moment pi, ref;
    if (!moment_of(d, row->head, i, &pi) || !moment_of(d, row->ref_head, i, &ref))
      return PMP_ENONFINITE;
    g->mean[i] = pi.mean;
    g->inv[i] = 1 / pi.std;
    g->ref_mean[i] = ref.mean;
    g->ref_inv[i] = 1 / ref.std;
    g->dmean[i] = pi.dmean;
    g->dstd[i] = pi.dstd;
    if (logs) {
      g->log_std += log(pi.std);
      g->ref_log_std += log(ref.std);
    }
    if (row->kl) {
      double mean, spread;
      kl_of(&pi, &ref, d->split ? ref.std : pi.std, &mean, &spread);
      if (d->per_dim) {
        finite &= pmp_dist_narrow(mean, &row->kl[i]);
        finite &= pmp_dist_narrow(spread, &row->kl[d->dim + i]);
      }
      kl[0] += mean;
      kl[1] += spread;
    }
  }
  if (row->kl && !d->per_dim) {
    finite &= pmp_dist_narrow(d->split ? kl[0] : kl[0] + kl[1], &row->kl[0]);
    if (d->split) finite &= pmp_dist_narrow(kl[1], &row->kl[1]);
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

static double squares(uint32_t dim, const float *y, const double *mean, const double *inv) {
  double sum = 0;
  for (uint32_t i = 0; i < dim; i++) {
    const double z = ((double)y[i] - mean[i]) * inv[i];
    sum += z * z;
  }
  return sum;
}

enum pmp_err pmp_gaussian_forward(const struct pmp_dist *d, const struct pmp_dist_range *r,
                                  const struct pmp_dist_row *row) {
  struct gaussian g;
  PMP_TRY(gaussian_prepare(d, row, &g));
  const double constant = 0.5 * LN_2PI * d->dim;
  bool finite = true;
  for (size_t j = r->first; j < r->last; j++) {
    if (!pmp_dist_has(r, j)) continue;
    const float *y = row->y + j * d->dim;
    if (row->lp && !d->split) {
      const double joint = squares(d->dim, y, g.mean, g.inv);
      finite &= pmp_dist_narrow(-0.5 * joint - g.log_std - constant, &row->lp[j]);
    } else if (row->lp) {
      const double mean = squares(d->dim, y, g.mean, g.ref_inv);
      const double spread = squares(d->dim, y, g.ref_mean, g.inv);
      finite &= pmp_dist_narrow(-0.5 * mean - g.ref_log_std - constant, &row->lp[2 * j]);
      finite &= pmp_dist_narrow(-0.5 * spread - g.log_std - constant, &row->lp[2 * j + 1]);
    }
    if (row->lp_ref) {
      const double ref = squares(d->dim, y, g.ref_mean, g.ref_inv);
      float *out = row->lp_ref + j * (d->split ? 2 : 1);
      finite &= pmp_dist_narrow(-0.5 * ref - g.ref_log_std - constant, &out[0]);
      if (d->split) out[1] = out[0];
    }
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

/* Sums over a condition's outcomes, per dimension: of c z with the z that the mean's part sees, of
 * c (z^2 - 1) with the z that the spread's part sees. */
struct sums {
  double mean[PMP_DIST_DIM_MAX], spread[PMP_DIST_DIM_MAX];
};

static void sum_outcomes(const struct pmp_dist *d, const struct pmp_dist_range *r,
                         const struct pmp_dist_row *row, const struct gaussian *g, struct sums *s) {
  const uint32_t parts = d->split ? 2 : 1;
  const double *mean_inv = d->split ? g->ref_inv : g->inv;
  const double *spread_mean = d->split ? g->ref_mean : g->mean;
  for (uint32_t i = 0; i < d->dim; i++) s->mean[i] = s->spread[i] = 0;
  if (row->c == NULL) return;
  for (size_t j = r->first; j < r->last; j++) {
    if (!pmp_dist_has(r, j)) continue;
    const float *y = row->y + j * d->dim;
    const double c_mean = (double)row->c[j * parts],
                 c_spread = (double)row->c[j * parts + parts - 1];
    for (uint32_t i = 0; i < d->dim; i++) {
      const double z_mean = ((double)y[i] - g->mean[i]) * mean_inv[i];
      const double z_spread = ((double)y[i] - spread_mean[i]) * g->inv[i];
      s->mean[i] += c_mean * z_mean;
      s->spread[i] += c_spread * (z_spread * z_spread - 1);
    }
  }
}

enum pmp_err pmp_gaussian_backward(const struct pmp_dist *d, const struct pmp_dist_range *r,
                                   const struct pmp_dist_row *row) {
  struct gaussian g;
  struct sums s;
  PMP_TRY(gaussian_prepare(d, row, &g));
  sum_outcomes(d, r, row, &g, &s);
  bool finite = true;
  for (uint32_t i = 0; i < d->dim; i++) {
    const double inv = g.inv[i], ref_inv = g.ref_inv[i], dm = g.mean[i] - g.ref_mean[i];
    const double mean_inv = d->split ? ref_inv : inv;
    /* lp = -z^2/2 - ln s: d/dm = z/s, d/ds = (z^2 - 1)/s. */
    double dmean = s.mean[i] * mean_inv, dstd = s.spread[i] * inv;
    if (row->w) {
      const uint32_t parts = d->split ? 2 : 1;
      const double w_mean = (double)row->w[d->per_dim ? i : 0];
      const double w_spread = (double)row->w[d->per_dim ? d->dim + i : parts - 1];
      const double ratio = inv / ref_inv;
      dmean += w_mean * dm * mean_inv * mean_inv;
      /* kl = ln(s/s_ref) + s_ref^2/(2 s^2) - 1/2 [+ dm^2/(2 s^2) when joint]: d/ds. */
      dstd += w_spread * (1 - ratio) * (1 + ratio) * inv;
      if (!d->split) dstd -= w_spread * dm * dm * inv * inv * inv;
    }
    finite &= pmp_dist_narrow(dmean * g.dmean[i], &row->dhead[i]);
    finite &= pmp_dist_narrow(dstd * g.dstd[i], &row->dhead[d->dim + i]);
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

enum pmp_err pmp_gaussian_sample(const struct pmp_dist *d, size_t b, size_t m, const float *head,
                                 struct pmp_rng *rng, float *y) {
  const size_t h = pmp_dist_head(d);
  bool finite = true;
  pmp_rng_normal_fill(rng, y, b * m * d->dim);
  for (size_t x = 0; x < b; x++) {
    float *group = y + x * m * d->dim;
    for (uint32_t i = 0; i < d->dim; i++) {
      struct moment pi;
      if (!moment_of(d, head + x * h, i, &pi)) return PMP_ENONFINITE;
      for (size_t j = 0; j < m; j++) {
        float *v = &group[j * d->dim + i];
        finite &= pmp_dist_narrow(pi.mean + pi.std * (double)*v, v);
      }
    }
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

enum pmp_err pmp_gaussian_entropy(const struct pmp_dist *d, const float *head, float *entropy) {
  double sum = 0.5 * (LN_2PI + 1) * d->dim;
  for (uint32_t i = 0; i < d->dim; i++) {
    struct moment pi;
    if (!moment_of(d, head, i, &pi)) return PMP_ENONFINITE;
    sum += log(pi.std);
  }
  return pmp_dist_narrow(sum, entropy) ? PMP_OK : PMP_ENONFINITE;
}

enum pmp_err pmp_gaussian_moments(const struct pmp_dist *d, const float *head, float *mean,
                                  float *std) {
  bool finite = true;
  for (uint32_t i = 0; i < d->dim; i++) {
    struct moment pi;
    if (!moment_of(d, head, i, &pi)) return PMP_ENONFINITE;
    if (mean) finite &= pmp_dist_narrow(pi.mean, &mean[i]);
    if (std) finite &= pmp_dist_narrow(pi.std, &std[i]);
  }
  return finite ? PMP_OK : PMP_ENONFINITE;
}

void pmp_gaussian_init_head(const struct pmp_dist *d, const float *mean, float std, float *head) {
  const double t = fmax(TINY, ((double)std - (double)d->std_min) / (double)d->std_scale);
  /* softplus^-1(t) = t + ln(1 - exp(-t)) */
  const double std_raw = t + log(-expm1(-t));
  for (uint32_t i = 0; i < d->dim; i++) {
    const double v = mean ? (double)mean[i] : 0;
    head[i] = (float)(d->squash_mean ? atanh(fmin(fmax(v, -1 + 1e-7), 1 - 1e-7)) : v);
    head[d->dim + i] = (float)std_raw;
  }
}
