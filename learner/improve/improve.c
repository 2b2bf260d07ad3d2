#include "learner/improve/improve.h"

#include "learner/improve/matrix.h"
#include "learner/improve/state.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* What a probability of 0 is written as: ln 1e-30, far below what is ever drawn, and finite. */
#define LOGIT_FLOOR (-69.07755278982137)

static bool is_full(const struct pmp_improve_config *c) {
  return c->kind == PMP_IMPROVE_GAUSSIAN;
}

static bool is_table(const struct pmp_improve_config *c) {
  return c->kind == PMP_IMPROVE_CATEGORICAL;
}

/* ---------------------------------------------------------------- settings */

void pmp_improve_recommend(enum pmp_improve_kind kind, uint32_t dim, double alpha,
                           struct pmp_improve_config *config, struct pmp_improve_groups *groups) {
  const bool table = kind == PMP_IMPROVE_CATEGORICAL;
  *config = (struct pmp_improve_config){.kind = kind,
                                        .rule = table ? PMP_IMPROVE_PLAIN : PMP_IMPROVE_PATHS,
                                        .dim = dim,
                                        .alpha = alpha,
                                        .beta_mean = PMP_IMPROVE_AUTO,
                                        .beta_cov = PMP_IMPROVE_AUTO,
                                        .eigen_min = 0.1,
                                        .eigen_max = 4,
                                        .resolution = 1e-14};
  if (table) {
    *groups = (struct pmp_improve_groups){4, alpha > 0 ? 2 : 0, alpha < 1 ? 2 : 0};
    return;
  }
  const uint32_t size = 2 * (4 + (uint32_t)(3 * log((double)dim)));
  const bool both = alpha > 0 && alpha < 1;
  const uint32_t best = size / (both ? 5 : 4), worst = size * (both ? 4 : 3) / 10;
  *groups = (struct pmp_improve_groups){.size = size,
                                        .accepted = alpha > 0 ? (best > 0 ? best : 1) : 0,
                                        .rejected = alpha < 1 ? worst : 0};
}

static enum pmp_err check_beta(const struct pmp_improve_config *c, double beta, const char *name,
                               struct pmp_errmsg *msg) {
  const bool automatic = is_table(c) || c->rule == PMP_IMPROVE_PATHS;
  if (automatic && beta == PMP_IMPROVE_AUTO) return PMP_OK;
  if (beta >= 0 && isfinite(beta)) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "%s is %g: it must be finite and >= 0", name, beta);
}

enum pmp_err pmp_improve_check(const struct pmp_improve_config *c, struct pmp_errmsg *msg) {
  if (c->kind < PMP_IMPROVE_DIAG_GAUSSIAN || c->kind > PMP_IMPROVE_CATEGORICAL)
    return pmp_fail(msg, PMP_EINVALID, "no closed form of kind %d", (int)c->kind);
  if (c->rule != PMP_IMPROVE_PLAIN && c->rule != PMP_IMPROVE_PATHS)
    return pmp_fail(msg, PMP_EINVALID, "no rule %d of improvement", (int)c->rule);
  const uint32_t most = is_table(c) ? PMP_IMPROVE_ACTIONS_MAX : PMP_IMPROVE_DIM_MAX;
  if (c->dim < 1 || c->dim > most)
    return pmp_fail(msg, PMP_EINVALID, "%u %s: 1 to %u are possible", c->dim,
                    is_table(c) ? "actions" : "dimensions", most);
  if (!(c->alpha >= 0 && c->alpha <= 1))
    return pmp_fail(msg, PMP_EINVALID, "alpha is %g: it must lie in [0, 1]", c->alpha);
  PMP_TRY(check_beta(c, c->beta_mean, is_table(c) ? "beta" : "beta_mean", msg));
  if (is_table(c)) return PMP_OK;
  PMP_TRY(check_beta(c, c->beta_cov, "beta_cov", msg));
  if (!(c->eigen_min > 0 && c->eigen_min <= 1 && c->eigen_max >= 1 && isfinite(c->eigen_max)))
    return pmp_fail(msg, PMP_EINVALID, "eigenvalues are kept in [%g, %g]: it must hold 1",
                    c->eigen_min, c->eigen_max);
  if (!(c->resolution >= 0 && c->resolution < 1))
    return pmp_fail(msg, PMP_EINVALID, "the resolution is %g: it must lie in [0, 1)",
                    c->resolution);
  return PMP_OK;
}

/* ---------------------------------------------------------------- state */

static size_t second_moments(const struct pmp_improve_config *c) {
  if (is_table(c)) return 0;
  return is_full(c) ? (size_t)c->dim * c->dim : c->dim;
}

size_t pmp_improve_natural(const struct pmp_improve_config *c) {
  return c->dim + second_moments(c);
}

struct pmp_improve_view pmp_improve_view(const struct pmp_improve_config *c, double *state) {
  const size_t dim = c->dim, m = second_moments(c);
  struct pmp_improve_view v = {.header = state};
  v.first[0] = state + PMP_IMPROVE_HEADER;
  v.first[1] = v.first[0] + dim;
  v.second[0] = v.first[1] + dim;
  v.second[1] = v.second[0] + m;
  v.path[0] = v.second[1] + m;
  v.path[1] = v.path[0] + (is_table(c) ? 0 : dim);
  v.scratch = v.path[1] + (is_table(c) ? 0 : dim);
  return v;
}

size_t pmp_improve_doubles(const struct pmp_improve_config *c) {
  const size_t dim = c->dim, m = second_moments(c);
  if (is_table(c)) return PMP_IMPROVE_HEADER + 2 * dim;
  return PMP_IMPROVE_HEADER + 4 * dim + 2 * m + (is_full(c) ? 3 * m : 0);
}

void pmp_improve_init(const struct pmp_improve_config *c, double *state) {
  memset(state, 0, pmp_improve_doubles(c) * sizeof *state);
  state[PMP_IMPROVE_START] = 1;
}

size_t pmp_improve_count(const double *state) {
  return (size_t)state[PMP_IMPROVE_COUNT];
}

/* The outcomes; paths stay. */
static void forget(const struct pmp_improve_config *c, const struct pmp_improve_view *v) {
  memset(v->header, 0, PMP_IMPROVE_START * sizeof *v->header);
  memset(v->first[0], 0, 2 * (c->dim + second_moments(c)) * sizeof *v->first[0]);
}

/* ---------------------------------------------------------------- add */

/* Is `natural` a policy? */
static bool is_policy(const struct pmp_improve_config *c, const double *natural) {
  const size_t dim = c->dim;
  double top = -INFINITY;
  for (size_t i = 0; i < dim; i++) {
    if (is_table(c) ? isnan(natural[i]) || natural[i] == INFINITY : !isfinite(natural[i]))
      return false;
    top = fmax(top, natural[i]);
  }
  if (is_table(c)) return isfinite(top);
  const double *scale = natural + dim;
  for (size_t i = 0; i < second_moments(c); i++)
    if (!isfinite(scale[i])) return false;
  for (size_t i = 0; i < dim; i++)
    if (!(scale[is_full(c) ? i * dim + i : i] > 0)) return false;
  return true;
}

/* z = L^-1 (y - m). False when it is not finite, or too large to be squared. */
static bool whiten(const struct pmp_improve_config *c, const double *natural, const double *y,
                   double *z) {
  const size_t dim = c->dim;
  const double *scale = natural + dim;
  double sum = 0;
  for (size_t i = 0; i < dim; i++) z[i] = y[i] - natural[i];
  if (is_full(c)) pmp_matrix_solve_lower(dim, scale, z);
  for (size_t i = 0; i < dim; i++) {
    if (!is_full(c)) z[i] /= scale[i];
    sum += z[i] * z[i];
  }
  return isfinite(sum);
}

static enum pmp_err check_outcome(const struct pmp_improve_config *c, const double *natural,
                                  const double *y, int8_t verdict, double weight) {
  double z[PMP_IMPROVE_DIM_MAX];
  if (verdict < -1 || verdict > 1) return PMP_EINVALID;
  if (isnan(weight) || isinf(weight)) return PMP_ENONFINITE;
  if (weight < 0) return PMP_EINVALID;
  if (!is_table(c)) return whiten(c, natural, y, z) ? PMP_OK : PMP_ENONFINITE;
  if (!isfinite(y[0])) return PMP_ENONFINITE;
  return y[0] >= 0 && y[0] < (double)c->dim && y[0] == floor(y[0]) ? PMP_OK : PMP_EINVALID;
}

static void add_outcome(const struct pmp_improve_config *c, const struct pmp_improve_view *v,
                        const double *natural, const double *y, int set, double w) {
  const size_t dim = c->dim;
  double z[PMP_IMPROVE_DIM_MAX];
  v->header[PMP_IMPROVE_WEIGHT + set] += w;
  v->header[PMP_IMPROVE_WEIGHT2 + set] += w * w;
  if (is_table(c)) {
    v->first[set][(size_t)y[0]] += w;
    return;
  }
  whiten(c, natural, y, z);
  for (size_t i = 0; i < dim; i++) {
    v->first[set][i] += w * z[i];
    if (is_full(c))
      for (size_t k = 0; k <= i; k++) v->second[set][i * dim + k] += w * z[i] * z[k];
    else
      v->second[set][i] += w * z[i] * z[i];
  }
}

enum pmp_err pmp_improve_add(const struct pmp_improve_config *c, double *state,
                             const double *natural, size_t n, const double *y,
                             const int8_t *verdict, const double *weight) {
  const size_t stride = is_table(c) ? 1 : c->dim;
  const struct pmp_improve_view v = pmp_improve_view(c, state);
  if (!is_policy(c, natural)) return PMP_EINVALID;
  for (size_t j = 0; j < n; j++)
    PMP_TRY(check_outcome(c, natural, y + j * stride, verdict[j], weight != NULL ? weight[j] : 1));
  for (size_t j = 0; j < n; j++) {
    const double w = weight != NULL ? weight[j] : 1;
    const int set = verdict[j] > 0 ? PMP_IMPROVE_ACCEPTED : PMP_IMPROVE_REJECTED;
    v.header[PMP_IMPROVE_COUNT] += 1;
    v.header[PMP_IMPROVE_REJECTS] += verdict[j] < 0 ? 1 : 0;
    if (verdict[j] != 0 && w > 0) add_outcome(c, &v, natural, y + j * stride, set, w);
  }
  return PMP_OK;
}

/* ---------------------------------------------------------------- step */

static struct pmp_improve_sets sets_of(const struct pmp_improve_config *c,
                                       const struct pmp_improve_view *v) {
  const double share[2] = {c->alpha, 1 - c->alpha};
  struct pmp_improve_sets s = {{0, 0}, {0, 0}, 0, 0};
  double scatter = 0; /* variance of the signed mean when verdicts say nothing */
  for (int i = 0; i < 2; i++) {
    const double w = v->header[PMP_IMPROVE_WEIGHT + i];
    if (!(w > 0) || !(share[i] > 0)) continue;
    s.share[i] = share[i];
    s.weight[i] = 1 / w;
    scatter += share[i] * share[i] * v->header[PMP_IMPROVE_WEIGHT2 + i] / (w * w);
  }
  s.d = s.share[PMP_IMPROVE_ACCEPTED] - s.share[PMP_IMPROVE_REJECTED];
  s.effective = 1 / scatter;
  return s;
}

/* pi_v = max(A_v, 0) / sum, A = alpha pa - (1 - alpha) pr + beta ref (objectives.md 6). */
static enum pmp_err step_table(const struct pmp_improve_config *c, const struct pmp_improve_sets *s,
                               const struct pmp_improve_view *v, double beta, double *natural,
                               struct pmp_errmsg *msg) {
  double top = -INFINITY, sum = 0, total = 0;
  const double a = s->share[0] * s->weight[0], r = s->share[1] * s->weight[1];
  for (size_t i = 0; i < c->dim; i++) top = fmax(top, natural[i]);
  for (size_t i = 0; i < c->dim; i++) sum += exp(natural[i] - top);
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < c->dim; i++) {
      const double ref = exp(natural[i] - top) / sum;
      const double mix = fmax(a * v->first[0][i] - r * v->first[1][i] + beta * ref, 0);
      if (pass == 0) total += mix;
      if (pass == 1) natural[i] = mix > 0 ? fmax(log(mix / total), LOGIT_FLOOR) : LOGIT_FLOOR;
    }
    if (!(total > 0) || !isfinite(total))
      return pmp_fail(msg, PMP_ENONFINITE, "the closed form has a sum of %g", total);
  }
  return PMP_OK;
}

/* 1.1 (1 - alpha) / P_r, P_r the share of rejected among all outcomes of this reference. */
static double table_beta(const struct pmp_improve_config *c, const struct pmp_improve_sets *s,
                         const struct pmp_improve_view *v) {
  if (c->beta_mean != PMP_IMPROVE_AUTO) return c->beta_mean;
  const double rejected = v->header[PMP_IMPROVE_REJECTS];
  return rejected > 0 ? 1.1 * s->share[1] * v->header[PMP_IMPROVE_COUNT] / rejected : 0;
}

static enum pmp_err refuse(double d, double beta, const char *name, struct pmp_errmsg *msg) {
  return pmp_fail(msg, PMP_EUNAVAILABLE,
                  "alpha [accepted] - (1 - alpha) [rejected] + %s is %g: above 0 there is an "
                  "optimum, elsewhere none",
                  name, d + beta);
}

enum pmp_err pmp_improve_step(const struct pmp_improve_config *c, double *state, double *natural,
                              struct pmp_errmsg *msg) {
  const struct pmp_improve_view v = pmp_improve_view(c, state);
  const struct pmp_improve_sets s = sets_of(c, &v);
  if (!is_policy(c, natural)) return pmp_fail(msg, PMP_EINVALID, "the reference is no policy");
  if (s.weight[0] + s.weight[1] <= 0)
    return pmp_fail(msg, PMP_EBUSY, "no outcomes to improve by, of %zu", pmp_improve_count(state));
  if (!isfinite(s.effective) || !(s.effective > 0))
    return pmp_fail(msg, PMP_ENONFINITE, "the weights of the outcomes have no finite sum");
  const double beta = is_table(c) ? table_beta(c, &s, &v) : c->beta_mean;
  if (beta != PMP_IMPROVE_AUTO && !(s.d + beta > 0))
    return refuse(s.d, beta, is_table(c) ? "beta" : "beta_mean", msg);
  if (!is_table(c) && c->beta_cov != PMP_IMPROVE_AUTO && !(s.d + c->beta_cov > 0))
    return refuse(s.d, c->beta_cov, "beta_cov", msg);
  enum pmp_err err = is_table(c)  ? step_table(c, &s, &v, beta, natural, msg)
                     : is_full(c) ? pmp_improve_step_full(c, &s, &v, natural, msg)
                                  : pmp_improve_step_diag(c, &s, &v, natural, msg);
  if (err == PMP_OK) forget(c, &v);
  return err;
}
