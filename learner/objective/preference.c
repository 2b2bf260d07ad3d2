#include "learner/objective/preference.h"

#include <math.h>

#define SUM_TOLERANCE 1e-9
#define LOGIT_EDGE 1e-6

enum pmp_err pmp_bradley_terry(size_t n, const double *winner, const double *loser,
                               const double *weight, double *loss, double *dwinner,
                               double *dloser) {
  double total = 0.0, sum = 0.0;
  for (size_t i = 0; i < n; i++) {
    const double w = weight != NULL ? weight[i] : 1.0;
    if (!(w >= 0.0 && w < INFINITY)) return PMP_EINVALID;
    total += w;
  }
  if (!(total > 0.0)) return PMP_EINVALID;
  for (size_t i = 0; i < n; i++) {
    const double w = weight != NULL ? weight[i] : 1.0, gap = winner[i] - loser[i];
    const double e = exp(-fabs(gap));
    if (!isfinite(gap)) return PMP_ENONFINITE;
    sum += w * (fmax(-gap, 0.0) + log1p(e));
    const double slope = -(gap > 0.0 ? e : 1.0) / (1.0 + e) * (w / total);
    if (dwinner != NULL) dwinner[i] = slope;
    if (dloser != NULL) dloser[i] = -slope;
  }
  *loss = sum / total;
  return PMP_OK;
}

static enum pmp_err check_distribution(const char *name, size_t n, const double *p,
                                       struct pmp_errmsg *msg) {
  double sum = 0.0;
  for (size_t y = 0; y < n; y++) {
    if (!(p[y] >= 0.0 && p[y] <= 1.0 + SUM_TOLERANCE)) {
      return pmp_fail(msg, PMP_EINVALID, "%s[%zu] is %g: it must lie in [0, 1]", name, y, p[y]);
    }
    sum += p[y];
  }
  if (fabs(sum - 1.0) > SUM_TOLERANCE) {
    return pmp_fail(msg, PMP_EINVALID, "%s sums to %.12g, not to 1", name, sum);
  }
  return PMP_OK;
}

/* Psi(p) of one entry. */
static enum pmp_err psi_of(enum pmp_psi psi, double p, bool clamp, double *out) {
  *out = p;
  if (psi == PMP_PSI_IDENTITY) return PMP_OK;
  const bool edge = p < LOGIT_EDGE || p > 1.0 - LOGIT_EDGE;
  if (edge && !clamp) return PMP_EINVALID;
  const double q = fmin(fmax(p, LOGIT_EDGE), 1.0 - LOGIT_EDGE);
  *out = log(q) - log1p(-q);
  return PMP_OK;
}

/* pi[y] = sum_y' mu_y' Psi(p(y > y')). What mu never draws is not looked at. */
static enum pmp_err expect_psi(enum pmp_psi psi, size_t n, const double *mu, const double *p,
                               bool clamp, double *pi, struct pmp_errmsg *msg) {
  for (size_t y = 0; y < n; y++) {
    pi[y] = 0.0;
    for (size_t other = 0; other < n; other++) {
      const double beats = p[y * n + other];
      double value;
      if (!(beats >= 0.0 && beats <= 1.0)) {
        return pmp_fail(msg, PMP_EINVALID, "p[%zu][%zu] is %g: it must lie in [0, 1]", y, other,
                        beats);
      }
      if (mu[other] == 0.0) continue;
      if (psi_of(psi, beats, clamp, &value) != PMP_OK) {
        return pmp_fail(msg, PMP_EINVALID,
                        "p[%zu][%zu] is %g: its logit is not bounded; ask for clamping", y, other,
                        beats);
      }
      pi[y] += mu[other] * value;
    }
  }
  return PMP_OK;
}

enum pmp_err pmp_psipo_solve(enum pmp_psi psi, size_t n, const double *ref, const double *mu,
                             const double *p, double tau, bool clamp, double *pi,
                             struct pmp_errmsg *msg) {
  if (psi != PMP_PSI_IDENTITY && psi != PMP_PSI_LOGIT) {
    return pmp_fail(msg, PMP_EINVALID, "psi %d is none", (int)psi);
  }
  if (!(tau > 0.0 && isfinite(tau))) {
    return pmp_fail(msg, PMP_EINVALID, "tau is %g: it must be finite and > 0", tau);
  }
  PMP_TRY(check_distribution("ref", n, ref, msg));
  PMP_TRY(check_distribution("mu", n, mu, msg));
  PMP_TRY(expect_psi(psi, n, mu, p, clamp, pi, msg));
  double top = -INFINITY, sum = 0.0;
  for (size_t y = 0; y < n; y++) {
    if (ref[y] > 0.0) top = fmax(top, pi[y]);
  }
  for (size_t y = 0; y < n; y++) {
    pi[y] = ref[y] > 0.0 ? ref[y] * exp((pi[y] - top) / tau) : 0.0;
    sum += pi[y];
  }
  for (size_t y = 0; y < n; y++) pi[y] /= sum;
  return PMP_OK;
}

enum pmp_err pmp_pmpo_solve(size_t n, const double *pa, const double *pr, const double *ref,
                            double alpha, double beta, double *pi, double *margin) {
  if (!(alpha >= 0.0 && alpha <= 1.0 && beta >= 0.0 && isfinite(beta))) return PMP_EINVALID;
  if (pa != NULL) PMP_TRY(check_distribution("pa", n, pa, NULL));
  if (pr != NULL) PMP_TRY(check_distribution("pr", n, pr, NULL));
  PMP_TRY(check_distribution("ref", n, ref, NULL));
  double sum = 0.0, least = INFINITY;
  for (size_t v = 0; v < n; v++) {
    double a = beta * ref[v];
    if (pa != NULL) a += alpha * pa[v];
    if (pr != NULL) a -= (1.0 - alpha) * pr[v];
    least = fmin(least, a);
    pi[v] = fmax(a, 0.0);
    sum += pi[v];
  }
  if (margin != NULL) *margin = least;
  if (!(sum > 0.0)) return PMP_EINVALID;
  for (size_t v = 0; v < n; v++) pi[v] /= sum;
  return PMP_OK;
}
