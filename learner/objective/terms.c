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
      bad |= (unsigned)!((in->weight[j] >= 0.0f) & (in->weight[j] < INFINITY));
    }
  }
  return bad == 0;
}

void pmp_objective_own_sums(const struct pmp_objective_config *config,
                            struct pmp_objective_in *in) {
  (void)config;
  pmp_objective_sums(in->n, in->verdict, in->weight, &in->accepted, &in->rejected);
  in->conditions = (double)in->b;
  in->outcomes = 0.0;
  for (size_t j = 0; j < in->n; j++) {
    in->outcomes += in->weight != NULL ? (double)in->weight[j] : 1.0;
  }
}

enum pmp_err pmp_objective_in_check(const struct pmp_objective_in *in) {
  const bool kl_parts =
      in->kl_parts == in->parts || (in->parts == 2 && in->kl_parts >= 2 && in->kl_parts % 2 == 0);
  if (in->parts < 1 || in->parts > 2 || !kl_parts) return PMP_EINVALID;
  if (in->b == 0 && in->n > 0) return PMP_EINVALID;
  if (in->x_of_y == NULL && in->b > 0 && in->n % in->b != 0) return PMP_EINVALID;
  if (in->n > 0 && in->verdict == NULL) return PMP_EINVALID;
  if (!is_sum(in->accepted) || !is_sum(in->rejected) || !is_sum(in->outcomes)) return PMP_EINVALID;
  if (!isfinite(in->conditions) || in->conditions < (double)in->b) return PMP_EINVALID;
  return rows_are_valid(in) ? PMP_OK : PMP_EINVALID;
}

struct pmp_objective_scale pmp_objective_pmpo_scale(const struct pmp_objective_config *config,
                                                    const struct pmp_objective_in *in) {
  const double alpha = (double)config->alpha;
  const double pool = in->accepted + in->rejected;
  const bool sets = config->averaging == PMP_AVERAGING_SETS;
  struct pmp_objective_scale scale = {0};
  if (in->accepted > 0.0) scale.accepted = -alpha / (sets ? in->accepted : pool);
  if (in->rejected > 0.0) scale.rejected = (1.0 - alpha) / (sets ? in->rejected : pool);
  return scale;
}

void pmp_objective_fill_c(const struct pmp_objective_in *in, struct pmp_objective_scale scale,
                          float *c) {
  for (size_t j = 0; j < in->n; j++) {
    const double w = in->weight != NULL ? (double)in->weight[j] : 1.0;
    double s = scale.unlabelled;
    s = in->verdict[j] > 0 ? scale.accepted : s;
    s = in->verdict[j] < 0 ? scale.rejected : s;
    for (uint32_t p = 0; p < in->parts; p++) c[j * in->parts + p] = (float)(s * w);
  }
}

double pmp_objective_sum_lp(const struct pmp_objective_in *in, int verdict) {
  if (in->lp == NULL) return in->n == 0 ? 0.0 : NAN;
  double lane[LANES] = {0};
  for (size_t j = 0; j < in->n; j++) {
    const double w = in->weight != NULL ? (double)in->weight[j] : 1.0;
    double lp = 0.0;
    for (uint32_t p = 0; p < in->parts; p++) lp += (double)in->lp[j * in->parts + p];
    /* Chosen, not multiplied by 0: a log-probability nobody asked about may be infinite. */
    lane[j % LANES] += (in->verdict[j] == verdict) & (w > 0.0) ? w * lp : 0.0;
  }
  double sum = 0.0;
  for (size_t i = 0; i < LANES; i++) sum += lane[i];
  return sum;
}

double pmp_objective_kl_term(const struct pmp_objective_config *config,
                             const struct pmp_objective_in *in, float *w) {
  const uint32_t half = in->parts == 2 ? in->kl_parts / 2 : in->kl_parts;
  if (w != NULL) {
    for (size_t x = 0; x < in->b; x++) {
      for (uint32_t k = 0; k < in->kl_parts; k++) {
        w[x * in->kl_parts + k] = (float)((double)config->beta[k < half ? 0 : 1] / in->conditions);
      }
    }
  }
  double sum[2] = {0.0, 0.0};
  const bool wanted[2] = {config->beta[0] > 0.0f, in->parts == 2 && config->beta[1] > 0.0f};
  if (in->b == 0 || (!wanted[0] && !wanted[1])) return 0.0;
  if (in->kl == NULL) return NAN;
  for (size_t x = 0; x < in->b; x++) {
    for (uint32_t k = 0; k < in->kl_parts; k++) {
      sum[k < half ? 0 : 1] += (double)in->kl[x * in->kl_parts + k];
    }
  }
  double term = 0.0;
  for (size_t p = 0; p < 2; p++) {
    if (wanted[p]) term += (double)config->beta[p] * (sum[p] / in->conditions);
  }
  return term;
}

enum pmp_err pmp_objective_out_check(const struct pmp_objective_in *in,
                                     const struct pmp_objective_out *out) {
  if (in->lp != NULL && (!isfinite(out->accepted) || !isfinite(out->rejected))) {
    return PMP_ENONFINITE;
  }
  return in->kl != NULL && !isfinite(out->kl) ? PMP_ENONFINITE : PMP_OK;
}
