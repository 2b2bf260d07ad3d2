#include "learner/objective/terms.h"

#include <math.h>

#define LANES 8 /* sums run in this many interleaved lanes, added in order at the end */

static bool is_sum(double x) {
  return isfinite(x) && x >= 0.0;
}

static bool rows_are_valid(const struct pmp_objective_in *in) {
  unsigned bad = 0;
  for (size_t j = 0; j < in->n; j++)
    bad |= (unsigned)((in->verdict[j] < -1) | (in->verdict[j] > 1));
  if (in->weight != NULL) {
    for (size_t j = 0; j < in->n; j++) {
      bad |= (unsigned)!((in->weight[j] >= 0.0) & (in->weight[j] < INFINITY));
    }
  }
  return bad == 0;
}

static double sum_weights(const struct pmp_objective_in *in) {
  double sum = 0.0;
  for (size_t j = 0; j < in->n; j++) sum += in->weight != NULL ? in->weight[j] : 1.0;
  return sum;
}

void pmp_objective_own_sums(const struct pmp_objective_config *config,
                            struct pmp_objective_in *in) {
  (void)config;
  pmp_objective_sums(in->n, in->verdict, in->weight, &in->accepted, &in->rejected);
  in->conditions = (double)in->b;
  in->outcomes = sum_weights(in);
  in->judged = in->pairs = in->k = 0.0;
}

bool pmp_objective_parts_fit(uint32_t parts, uint32_t kl_parts) {
  if (parts == 1) return kl_parts == 1;
  return parts == 2 && kl_parts >= 2 && kl_parts % 2 == 0;
}

enum pmp_err pmp_objective_check_pmpo(const struct pmp_objective_config *config, uint32_t parts,
                                      struct pmp_errmsg *msg) {
  if (!(config->alpha >= 0.0 && config->alpha <= 1.0)) {
    return pmp_fail(msg, PMP_EINVALID, "alpha is %g: it must lie in [0, 1]", config->alpha);
  }
  for (uint32_t p = 0; p < parts; p++) {
    if (!(config->beta[p] >= 0.0 && isfinite(config->beta[p]))) {
      return pmp_fail(msg, PMP_EINVALID, "beta of part %u is %g: it must be finite and >= 0", p,
                      config->beta[p]);
    }
  }
  if (config->kl != PMP_KL_EXACT && config->kl != PMP_KL_BC) {
    return pmp_fail(msg, PMP_EINVALID, "kl %d is none", (int)config->kl);
  }
  return PMP_OK;
}

enum pmp_err pmp_objective_in_check(const struct pmp_objective_in *in) {
  if (!pmp_objective_parts_fit(in->parts, in->kl_parts)) return PMP_EINVALID;
  if (in->b == 0 && in->n > 0) return PMP_EINVALID;
  if (in->x_of_y == NULL && in->b > 0 && in->n % in->b != 0) return PMP_EINVALID;
  if (in->n > 0 && in->verdict == NULL) return PMP_EINVALID;
  if (!is_sum(in->accepted) || !is_sum(in->rejected) || !is_sum(in->outcomes)) return PMP_EINVALID;
  if (!is_sum(in->judged) || !is_sum(in->pairs) || !is_sum(in->k)) return PMP_EINVALID;
  if (!isfinite(in->conditions) || in->conditions < (double)in->b) return PMP_EINVALID;
  return rows_are_valid(in) ? PMP_OK : PMP_EINVALID;
}

struct pmp_objective_scale pmp_objective_pmpo_scale(const struct pmp_objective_config *config,
                                                    const struct pmp_objective_in *in) {
  const double alpha = config->alpha;
  const double pool = in->accepted + in->rejected;
  const bool sets = config->averaging == PMP_AVERAGING_SETS;
  struct pmp_objective_scale scale = {0};
  if (in->accepted > 0.0) scale.accepted = -alpha / (sets ? in->accepted : pool);
  if (in->rejected > 0.0) scale.rejected = (1.0 - alpha) / (sets ? in->rejected : pool);
  return scale;
}

void pmp_objective_fill_c(const struct pmp_objective_in *in, struct pmp_objective_scale scale,
                          double *c) {
  for (size_t j = 0; j < in->n; j++) {
    const double w = in->weight != NULL ? in->weight[j] : 1.0;
    double s = scale.unlabelled;
    s = in->verdict[j] > 0 ? scale.accepted : s;
    s = in->verdict[j] < 0 ? scale.rejected : s;
    for (uint32_t p = 0; p < in->parts; p++) c[j * in->parts + p] = s * w;
  }
}

double pmp_objective_sum_lp(const struct pmp_objective_in *in, int verdict) {
  if (in->lp == NULL) return in->n == 0 ? 0.0 : NAN;
  double lane[LANES] = {0};
  for (size_t j = 0; j < in->n; j++) {
    const double w = in->weight != NULL ? in->weight[j] : 1.0;
    double lp = 0.0;
    for (uint32_t p = 0; p < in->parts; p++) lp += in->lp[j * in->parts + p];
    /* Chosen, not multiplied by 0: a log-probability nobody asked about may be infinite. */
    lane[j % LANES] += (in->verdict[j] == verdict) & (w > 0.0) ? w * lp : 0.0;
  }
  double sum = 0.0;
  for (size_t i = 0; i < LANES; i++) sum += lane[i];
  return sum;
}

double pmp_objective_add_share(const struct pmp_objective_in *in, size_t j, double share,
                               double *c) {
  if (share == 0.0) return 0.0;
  double lp = 0.0;
  for (uint32_t p = 0; p < in->parts; p++) {
    if (c != NULL) c[j * in->parts + p] += share;
    lp += in->lp != NULL ? in->lp[j * in->parts + p] : NAN;
  }
  return share * lp;
}

double pmp_objective_outcomes(const struct pmp_objective_in *in) {
  return in->outcomes > 0.0 ? in->outcomes : sum_weights(in);
}

double pmp_objective_clone_term(const struct pmp_objective_in *in, const double scale[2],
                                double *c) {
  const double outcomes = pmp_objective_outcomes(in);
  if (!(outcomes > 0.0)) return 0.0;
  double term = 0.0;
  for (uint32_t p = 0; p < in->parts; p++) {
    if (scale[p] == 0.0) continue;
    const double s = -scale[p] / outcomes;
    double lane[LANES] = {0}, sum = 0.0;
    for (size_t j = 0; j < in->n; j++) {
      const double w = in->weight != NULL ? in->weight[j] : 1.0;
      if (c != NULL) c[j * in->parts + p] += s * w;
      const double lp = in->lp != NULL ? in->lp[j * in->parts + p] : NAN;
      lane[j % LANES] += w > 0.0 ? w * lp : 0.0;
    }
    for (size_t i = 0; i < LANES; i++) sum += lane[i];
    term += s * sum;
  }
  return term;
}

static void fill_zeros(double *out, size_t n) {
  for (size_t i = 0; out != NULL && i < n; i++) out[i] = 0.0;
}

static double exact_kl_term(const struct pmp_objective_config *config,
                            const struct pmp_objective_in *in, double *w) {
  if (w != NULL) {
    for (size_t x = 0; x < in->b; x++) {
      for (uint32_t k = 0; k < in->kl_parts; k++) {
        w[x * in->kl_parts + k] = config->beta[pmp_objective_kl_part(in, k)] / in->conditions;
      }
    }
  }
  double sum[2] = {0.0, 0.0};
  const bool wanted[2] = {config->beta[0] > 0.0, in->parts == 2 && config->beta[1] > 0.0};
  if (in->b == 0 || (!wanted[0] && !wanted[1])) return 0.0;
  if (in->kl == NULL) return NAN;
  for (size_t x = 0; x < in->b; x++) {
    for (uint32_t k = 0; k < in->kl_parts; k++) {
      sum[pmp_objective_kl_part(in, k)] += in->kl[x * in->kl_parts + k];
    }
  }
  double term = 0.0;
  for (size_t p = 0; p < 2; p++) {
    if (wanted[p]) term += config->beta[p] * (sum[p] / in->conditions);
  }
  return term;
}

double pmp_objective_kl_term(const struct pmp_objective_config *config,
                             const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  if (config->kl == PMP_KL_EXACT) return exact_kl_term(config, in, out->w);
  fill_zeros(out->w, in->b * in->kl_parts);
  return pmp_objective_clone_term(in, config->beta, out->c);
}

void pmp_objective_clear_loss(struct pmp_objective_out *out) {
  out->loss = out->accepted = out->rejected = out->kl = out->dual = 0.0;
}

void pmp_objective_clear(const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  fill_zeros(out->c, in->n * in->parts);
  fill_zeros(out->w, in->b * in->kl_parts);
  pmp_objective_clear_loss(out);
}

enum pmp_err pmp_objective_out_check(const struct pmp_objective_config *config,
                                     const struct pmp_objective_in *in,
                                     const struct pmp_objective_out *out) {
  if (in->lp != NULL && (!isfinite(out->accepted) || !isfinite(out->rejected))) {
    return PMP_ENONFINITE;
  }
  if (!isfinite(out->dual)) return PMP_ENONFINITE;
  const double *read = config->kl == PMP_KL_BC ? in->lp : in->kl;
  return read != NULL && !isfinite(out->kl) ? PMP_ENONFINITE : PMP_OK;
}
