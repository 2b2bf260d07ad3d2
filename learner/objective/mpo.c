/* MPO (Abdolmaleki et al. 2018; objectives.md 3) with its three kinds of dual variables.
 *
 * E-step, over the outcomes of a condition (w_j: weights):
 *   q_j ~ w_j exp(f_j / eta),   g(eta) = eta eps + eta mean_x log mean_j exp(f_j / eta)
 * and, for eps_penalty > 0, a second set q' from -cost with its own temperature and eps_penalty.
 * M-step: L = - mean_x sum_j (q_j + q'_j) log pi(y_j|x), the same for every part of the likelihood,
 * with the KL held below its bounds by a multiplier a_k for each of its K parts:
 *   a_k (eps_k - stop(mean_x KL_k)) + stop(a_k) mean_x KL_k.
 *
 * Dual variables, all through softplus: [temperature, the penalty's temperature if there is one, K
 * multipliers]. Below FLOOR a variable counts as FLOOR and its loss rises again with slope 1, so
 * that no optimiser carries it off. With eta_exact the temperatures are the minimisers of g on the
 * batch that eval is given (a micro-batch gets its own) and their variables get no gradient.
 *
 * out->accepted: the likelihood; out->kl: the multipliers' sum; out->dual: g and the multipliers'
 * own losses, whose value stops no gradient in loss as a function of kl (w does). */
#include "learner/objective/group.h"
#include "learner/objective/terms.h"

#include <math.h>

#define FLOOR (-18.0) /* softplus: 1.5e-8 */
#define START_TEMPERATURE 10.0f
#define START_MEAN 10.0f
#define START_STD 1000.0f
#define SOLVE_MAX 200 /* steps of the safeguarded Newton method; bisection alone takes 60 */

/* A dual variable's value, and what its gradient is multiplied with. */
struct dual {
  double raw, value, slope;
  bool low;
};

static struct dual dual_of(double raw) {
  const bool low = raw < FLOOR;
  const double d = low ? FLOOR : raw, e = exp(-fabs(d));
  return (struct dual){.raw = raw,
                       .value = fmax(d, 0.0) + log1p(e),
                       .slope = (d > 0.0 ? 1.0 : e) / (1.0 + e),
                       .low = low};
}

/* Adds the loss of a dual variable to *loss and returns its gradient. share: this micro-batch's
 * part of the batch. */
static double dual_loss(const struct dual *d, double value, double dvalue, double share,
                        double *loss) {
  *loss += value;
  if (!d->low) return dvalue * d->slope;
  *loss += (FLOOR - d->raw) * share;
  return -share;
}

/* Evaluations, and the direction that is good. */
struct aim {
  const double *value;
  double sign, eps;
};

/* Mean KL(q || w) over the judged conditions at a temperature; *down = - dKL / dlog(eta). */
static double kl_at(const struct pmp_objective_in *in, const struct aim *aim, double eta,
                    double judged, double *down) {
  double kl = 0.0;
  *down = 0.0;
  struct pmp_objective_tilt t;
  for (struct pmp_objective_group g = {0}; pmp_objective_next_group(in, &g);) {
    if (!pmp_objective_tilt(in, &g, aim->value, aim->sign / eta, &t)) continue;
    kl += (t.mean - log(t.sum / t.weight)) / judged;
    *down += fmax(t.square - t.mean * t.mean, 0.0) / judged;
  }
  return kl;
}

static double widest(const struct pmp_objective_in *in, const struct aim *aim) {
  double width = 0.0;
  struct pmp_objective_tilt up, down;
  for (struct pmp_objective_group g = {0}; pmp_objective_next_group(in, &g);) {
    if (!pmp_objective_tilt(in, &g, aim->value, 1.0, &up)) continue;
    (void)pmp_objective_tilt(in, &g, aim->value, -1.0, &down);
    width = fmax(width, up.top - down.top);
  }
  return width;
}

/* The temperature that minimises g: where the weights' mean KL is eps, since dg/deta = eps - KL and
 * KL falls with eta. The lowest temperature when they never get that far (equal evaluations, say).
 */
static double solve(const struct pmp_objective_in *in, const struct aim *aim) {
  const double judged = pmp_objective_count_judged(in);
  double down, low = dual_of(FLOOR).value;
  /* KL <= width^2 / (8 eta^2): the variance of something in an interval. */
  double high = widest(in, aim) / sqrt(8.0 * aim->eps);
  if (!(high > low) || kl_at(in, aim, low, judged, &down) <= aim->eps) return low;
  double eta = high;
  for (int i = 0; i < SOLVE_MAX && high > low * (1.0 + 1e-15); i++) {
    const double kl = kl_at(in, aim, eta, judged, &down);
    if (kl > aim->eps) {
      low = eta;
    } else {
      high = eta;
    }
    /* Newton on log KL as a function of log eta, which is nearly straight; the middle when that
     * leaves the bracket. */
    const double next = kl > 0.0 ? eta * exp(log(kl / aim->eps) * kl / down) : NAN;
    const double before = eta;
    eta = next > low && next < high ? next : sqrt(low) * sqrt(high);
    if (fabs(eta - before) <= 1e-15 * before) break;
  }
  return eta;
}

/* One set of weights: its likelihood into out->accepted and c, its dual's loss into out->dual.
 * Returns the gradient of the temperature's variable. */
static double weigh(const struct pmp_objective_config *config, const struct pmp_objective_in *in,
                    const struct aim *aim, double raw, struct pmp_objective_out *out) {
  if (!(in->judged > 0.0)) return 0.0;
  const struct dual d = dual_of(raw);
  const double eta = config->eta_exact ? solve(in, aim) : d.value;
  if (aim->sign > 0.0) out->temperature = eta;
  double loss = 0.0, dloss = 0.0, own = 0.0;
  struct pmp_objective_tilt t;
  for (struct pmp_objective_group g = {0}; pmp_objective_next_group(in, &g);) {
    if (!pmp_objective_tilt(in, &g, aim->value, aim->sign / eta, &t)) continue;
    const double log_mean = log(t.sum / t.weight);
    loss += (eta * (aim->eps + log_mean) + aim->sign * t.top) / in->judged;
    dloss += (aim->eps + log_mean - t.mean) / in->judged;
    own += 1.0;
    for (size_t j = g.first; j < g.last; j++) {
      const double q = pmp_objective_tilt_share(in, &t, j);
      out->accepted += pmp_objective_add_share(in, j, -q / in->judged, out->c);
    }
  }
  if (!config->eta_exact) return dual_loss(&d, loss, dloss, own / in->judged, &out->dual);
  out->dual += loss;
  return 0.0;
}

static void hold_kl(const struct pmp_objective_config *config, const struct pmp_objective_in *in,
                    const double *dual, struct pmp_objective_out *out, double *ddual) {
  if (in->b == 0) {
    for (uint32_t k = 0; ddual != NULL && k < in->kl_parts; k++) ddual[k] = 0.0;
    return;
  }
  const double share = (double)in->b / in->conditions;
  for (uint32_t k = 0; k < in->kl_parts; k++) {
    const struct dual a = dual_of(dual[k]);
    const double eps = pmp_objective_kl_part(in, k) == 0 ? config->eps_mean : config->eps_std;
    double kl = 0.0;
    for (size_t x = 0; x < in->b; x++) {
      kl += in->kl[x * in->kl_parts + k];
      if (out->w != NULL) out->w[x * in->kl_parts + k] = a.value / in->conditions;
    }
    kl /= in->conditions;
    out->kl += a.value * kl;
    const double slack = eps * share - kl;
    const double d = dual_loss(&a, a.value * slack, slack, share, &out->dual);
    if (ddual != NULL) ddual[k] = d;
  }
}

static size_t duals(const struct pmp_objective_config *config, uint32_t parts, uint32_t kl_parts) {
  (void)parts;
  return (config->eps_penalty > 0.0 ? 2u : 1u) + (size_t)kl_parts;
}

/* Costs and dual variables are numbers. */
static enum pmp_err numbers_check(const struct pmp_objective_config *config,
                                  const struct pmp_objective_in *in) {
  if (config->eps_penalty > 0.0) {
    if (in->n > 0 && in->cost == NULL) return PMP_EINVALID;
    for (size_t j = 0; j < in->n; j++) {
      if (!pmp_objective_is_judged(in, j)) continue;
      if (!isfinite(in->cost[j])) return PMP_ENONFINITE;
      if (in->cost[j] < 0.0) return PMP_EINVALID;
    }
  }
  for (size_t i = 0; i < duals(config, in->parts, in->kl_parts); i++) {
    if (!isfinite(in->dual[i])) return PMP_ENONFINITE;
  }
  return PMP_OK;
}

static enum pmp_err eval(const struct pmp_objective_config *config,
                         const struct pmp_objective_in *in, struct pmp_objective_out *out) {
  PMP_TRY(pmp_objective_in_check(in));
  PMP_TRY(pmp_objective_groups_check(in));
  if (in->n > 0 && (in->f == NULL || in->lp == NULL)) return PMP_EINVALID;
  if (in->dual == NULL || (in->b > 0 && in->kl == NULL)) return PMP_EINVALID;
  PMP_TRY(numbers_check(config, in));
  pmp_objective_clear(in, out);
  double *ddual = out->ddual;
  const struct aim aim = {.value = in->f, .sign = 1.0, .eps = config->eps};
  double d = weigh(config, in, &aim, in->dual[0], out);
  size_t next = 0;
  if (ddual != NULL) ddual[next] = d;
  next++;
  if (config->eps_penalty > 0.0) {
    const struct aim avoid = {.value = in->cost, .sign = -1.0, .eps = config->eps_penalty};
    d = weigh(config, in, &avoid, in->dual[next], out);
    if (ddual != NULL) ddual[next] = d;
    next++;
  }
  hold_kl(config, in, in->dual + next, out, ddual != NULL ? ddual + next : NULL);
  out->loss = out->accepted + out->kl + out->dual;
  return pmp_objective_out_check(config, in, out);
}

static void sums(const struct pmp_objective_config *config, struct pmp_objective_in *in) {
  pmp_objective_own_sums(config, in);
  in->judged = pmp_objective_count_judged(in);
}

static enum pmp_err check(const struct pmp_objective_config *config, uint32_t parts,
                          uint32_t kl_parts, struct pmp_errmsg *msg) {
  (void)kl_parts;
  const struct {
    const char *name;
    double value;
    bool read;
  } bound[] = {{"eps", config->eps, true},
               {"eps_mean", config->eps_mean, true},
               {"eps_std", config->eps_std, parts == 2},
               {"eps_penalty", config->eps_penalty, config->eps_penalty != 0.0}};
  for (size_t i = 0; i < sizeof bound / sizeof bound[0]; i++) {
    if (bound[i].read && !(bound[i].value > 0.0 && isfinite(bound[i].value))) {
      return pmp_fail(msg, PMP_EINVALID, "%s is %g: it must be finite and > 0", bound[i].name,
                      bound[i].value);
    }
  }
  return PMP_OK;
}

static void dual_init(const struct pmp_objective_config *config, uint32_t parts, uint32_t kl_parts,
                      float *dual) {
  const size_t temperatures = duals(config, parts, kl_parts) - kl_parts;
  for (size_t i = 0; i < temperatures; i++) dual[i] = START_TEMPERATURE;
  for (uint32_t k = 0; k < kl_parts; k++) {
    dual[temperatures + k] = parts == 2 && k >= kl_parts / 2 ? START_STD : START_MEAN;
  }
}

const struct pmp_objective pmp_objective_mpo = {
    .name = "mpo",
    .summary = "weights exp(f/eta) with a learned temperature, KL held below a bound",
    .needs_lp = true,
    .needs_f = true,
    .sums = sums,
    .eval = eval,
    .check = check,
    .duals = duals,
    .dual_init = dual_init,
};
