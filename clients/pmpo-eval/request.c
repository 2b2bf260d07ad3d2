#include "clients/pmpo-eval/request.h"

#include "clients/pmpo-eval/field.h"
#include "clients/pmpo-eval/request_parts.h"
#include "clients/pmpo-eval/tensor.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OBJECTIVES_MAX 16

static const char *const fields[] = {
    "objective", "policy",  "alpha",     "beta",  "beta_mean", "beta_std", "tau", "eta",
    "averaging", "kl",      "kl_weight", "parts", "pairs",     "pi",       "ref", "x",
    "y",         "verdict", "weight",    "f",     "id",        NULL};
static const char *const policies[] = {"diag_gaussian", "gaussian", "categorical", NULL};
static const enum pmp_dist_kind kinds[] = {PMP_DIST_DIAG_GAUSSIAN, PMP_DIST_GAUSSIAN,
                                           PMP_DIST_CATEGORICAL};

/* ---- the objective and its settings ---- */

const char *pmp_eval_objective(size_t i) {
  const struct pmp_objective *o;
  for (size_t at = 0; (o = pmp_objective_at(at)) != NULL; at++) {
    if (o->duals == NULL && i-- == 0) return o->name;
  }
  return NULL;
}

static enum pmp_err read_objective(struct pmp_eval_request *q, json_t *line,
                                   struct pmp_errmsg *msg) {
  const char *names[OBJECTIVES_MAX + 1] = {NULL};
  for (size_t i = 0; i < OBJECTIVES_MAX; i++) names[i] = pmp_eval_objective(i);
  int which = -1;
  PMP_TRY(pmp_field_word(line, "objective", names, &which, msg));
  if (which < 0)
    return pmp_fail(msg, PMP_EINVALID, "objective is missing: say pmpo, dpo, ipo, ...");
  q->objective = pmp_objective_find(names[which]);
  which = -1;
  PMP_TRY(pmp_field_word(line, "policy", policies, &which, msg));
  if (which < 0)
    return pmp_fail(msg, PMP_EINVALID,
                    "policy is missing: it must be diag_gaussian, gaussian or categorical");
  q->dist.kind = kinds[which];
  return PMP_OK;
}

static enum pmp_err read_words(struct pmp_eval_request *q, json_t *line, struct pmp_errmsg *msg) {
  static const char *const averagings[] = {"sets", "pool", NULL};
  static const char *const kls[] = {"exact", "bc", NULL};
  static const char *const weights[] = {"uniform", "state", NULL};
  static const char *const parts[] = {"joint", "split", NULL};
  int averaging = 0, kl = 0, weight = 0, part = -1;
  PMP_TRY(pmp_field_word(line, "averaging", averagings, &averaging, msg));
  PMP_TRY(pmp_field_word(line, "kl", kls, &kl, msg));
  PMP_TRY(pmp_field_word(line, "kl_weight", weights, &weight, msg));
  PMP_TRY(pmp_field_word(line, "parts", parts, &part, msg));
  q->config.averaging = averaging == 0 ? PMP_AVERAGING_SETS : PMP_AVERAGING_POOL;
  q->config.kl = kl == 0 ? PMP_KL_EXACT : PMP_KL_BC;
  q->config.kl_by_state = weight == 1;
  /* Two weights on the KL select the split loss, as in the daemon's configuration. */
  const bool two = pmp_field(line, "beta_mean") != NULL || pmp_field(line, "beta_std") != NULL;
  if (two && part == 0)
    return pmp_fail(
        msg, PMP_EINVALID,
        "beta_mean and beta_std are for parts \"split\": give beta, or leave parts out");
  q->dist.split = part == 1 || two;
  if (q->dist.split && q->dist.kind == PMP_DIST_CATEGORICAL)
    return pmp_fail(
        msg, PMP_EINVALID,
        "a categorical policy has no spread to split off: leave out parts, beta_mean and "
        "beta_std");
  if (q->dist.split && q->objective->joint_only)
    return pmp_fail(msg, PMP_EINVALID,
                    "%s takes the joint likelihood: leave out parts, beta_mean and beta_std",
                    q->objective->name);
  return PMP_OK;
}

static enum pmp_err read_betas(struct pmp_eval_request *q, json_t *line, struct pmp_errmsg *msg) {
  const bool one = pmp_field(line, "beta") != NULL;
  const bool mean = pmp_field(line, "beta_mean") != NULL, std = pmp_field(line, "beta_std") != NULL;
  double *beta = q->config.beta;
  if (one && (mean || std))
    return pmp_fail(msg, PMP_EINVALID,
                    "beta is given beside beta_mean or beta_std: give it alone, "
                    "or the two without it");
  if (mean != std)
    return pmp_fail(msg, PMP_EINVALID, "%s is given without %s: give both",
                    mean ? "beta_mean" : "beta_std", mean ? "beta_std" : "beta_mean");
  beta[0] = 0.5;
  PMP_TRY(pmp_field_number(line, "beta", 0.0, DBL_MAX, "0 or above", &beta[0], msg));
  beta[1] = beta[0];
  PMP_TRY(pmp_field_number(line, "beta_mean", 0.0, DBL_MAX, "0 or above", &beta[0], msg));
  return pmp_field_number(line, "beta_std", 0.0, DBL_MAX, "0 or above", &beta[1], msg);
}

static enum pmp_err read_settings(struct pmp_eval_request *q, json_t *line,
                                  struct pmp_errmsg *msg) {
  struct pmp_objective_config *c = &q->config;
  *c = pmp_objective_config_default();
  c->alpha = 0.5;
  c->tau = 0.1;
  c->eta = 1.0;
  PMP_TRY(read_words(q, line, msg));
  PMP_TRY(read_betas(q, line, msg));
  PMP_TRY(pmp_field_number(line, "alpha", 0.0, 1.0, "from 0 to 1", &c->alpha, msg));
  PMP_TRY(pmp_field_number(line, "tau", DBL_TRUE_MIN, DBL_MAX, "above 0", &c->tau, msg));
  PMP_TRY(pmp_field_number(line, "eta", DBL_TRUE_MIN, DBL_MAX, "above 0", &c->eta, msg));
  double pairs = 1.0;
  PMP_TRY(pmp_field_number(line, "pairs", 1.0, 2.0, "1 or 2", &pairs, msg));
  if (pairs != 1.0 && pairs != 2.0)
    return pmp_fail(msg, PMP_EINVALID, "pairs is %g: it must be 1 or 2", pairs);
  c->pairs = (uint32_t)pairs;
  return pmp_objective_check(q->objective, c, q->dist.split ? 2 : 1, q->dist.split ? 2 : 1, msg);
}

/* ---- what an objective cannot do without ---- */

/* What the outcomes of one condition offer to a pairwise objective; those of weight 0 offer
 * nothing.
 */
struct offer {
  size_t all, accepted, rejected;
  double best[2], worst[2]; /* f: the two largest, the two smallest */
};

static void offer_add(struct offer *o, int verdict, double f) {
  o->all++;
  o->accepted += verdict > 0;
  o->rejected += verdict < 0;
  const double runner_up = fmin(f, o->best[0]), runner_down = fmax(f, o->worst[0]);
  o->best[0] = fmax(f, o->best[0]);
  o->best[1] = fmax(runner_up, o->best[1]);
  o->worst[0] = fmin(f, o->worst[0]);
  o->worst[1] = fmin(runner_down, o->worst[1]);
}

static enum pmp_err check_offer(const struct pmp_eval_request *q, const struct offer *o, size_t row,
                                struct pmp_errmsg *msg) {
  const size_t pairs = q->config.pairs;
  const char *name = q->objective->name;
  if (q->f == NULL && (o->accepted != pairs || o->rejected != pairs))
    return pmp_fail(msg, PMP_EINVALID,
                    "row %zu of pi has %zu accepted and %zu rejected outcomes: without f, %s with "
                    "pairs %zu wants %zu of each",
                    row, o->accepted, o->rejected, name, pairs, pairs);
  if (q->f == NULL) return PMP_OK;
  if (o->all < 2 * pairs)
    return pmp_fail(msg, PMP_EINVALID,
                    "row %zu of pi has %zu outcomes: %s with pairs %zu compares %zu by their f",
                    row, o->all, name, pairs, 2 * pairs);
  if (!(o->best[pairs - 1] > o->worst[pairs - 1]))
    return pmp_fail(msg, PMP_EINVALID,
                    "row %zu of pi: f of the %sbest outcome equals that of the %sworst, so neither "
                    "is preferred",
                    row, pairs == 2 ? "second " : "", pairs == 2 ? "second " : "");
  return PMP_OK;
}

/* Every condition has its pairs: best and worst f, or the accepted and the rejected. */
static enum pmp_err check_pairs(const struct pmp_eval_request *q, struct pmp_errmsg *msg) {
  size_t j = 0;
  for (size_t row = 0; row < q->b; row++) {
    struct offer o = {.best = {-INFINITY, -INFINITY}, .worst = {INFINITY, INFINITY}};
    for (; j < q->n && q->x[j] == row; j++) {
      if (q->weight != NULL && !(q->weight[j] > 0.0)) continue;
      offer_add(&o, q->verdict[j], q->f != NULL ? q->f[j] : 0.0);
    }
    PMP_TRY(check_offer(q, &o, row, msg));
  }
  return PMP_OK;
}

static enum pmp_err check_needs(const struct pmp_eval_request *q, json_t *line,
                                struct pmp_errmsg *msg) {
  const char *name = q->objective->name;
  const bool verdict = pmp_field(line, "verdict") != NULL;
  const bool pairs = q->objective->pairs;
  const bool pmpo = strcmp(name, "pmpo") == 0;
  const bool weighs_kl = pmpo || strcmp(name, "boltzmann") == 0;
  const bool beta = q->config.beta[0] > 0.0 || (q->dist.split && q->config.beta[1] > 0.0);
  if (pmpo && !verdict && q->n > 0)
    return pmp_fail(msg, PMP_EINVALID, "verdict is missing: pmpo reads 1, -1 or 0 for each y");
  if (q->objective->needs_f && q->f == NULL)
    return pmp_fail(msg, PMP_EINVALID, "f is missing: %s weighs outcomes by it", name);
  if (pairs && !verdict && q->f == NULL)
    return pmp_fail(msg, PMP_EINVALID, "f or verdict is missing: %s takes its pairs from one",
                    name);
  if (q->ref == NULL && (q->objective->needs_lp_ref || q->dist.split))
    return pmp_fail(msg, PMP_EINVALID, "ref is missing: %s reads it",
                    q->dist.split ? "the split loss" : name);
  if (q->ref == NULL && weighs_kl && beta && q->config.kl == PMP_KL_EXACT)
    return pmp_fail(msg, PMP_EINVALID,
                    "ref is missing: a beta above 0 weighs KL(ref||pi) (say beta 0, or kl \"bc\")");
  return pairs ? check_pairs(q, msg) : PMP_OK;
}

enum pmp_err pmp_eval_request_read(struct pmp_eval_request *q, json_t *line,
                                   struct pmp_errmsg *msg) {
  memset(q, 0, sizeof *q);
  q->dist.std_scale = 1.0f; /* of heads, which natural parameters pass by */
  q->dist.std_min = 1e-8f;
  q->dist.low = -1.0f;
  q->dist.high = 1.0f;
  enum pmp_err err = PMP_OK;
  if (!json_is_object(line))
    return pmp_fail(msg, PMP_EINVALID, "the line is %s: it must be a JSON object",
                    pmp_tensor_kind(line));
  if ((err = pmp_field_known(line, "", fields, msg)) != PMP_OK ||
      (err = read_objective(q, line, msg)) != PMP_OK ||
      (err = read_settings(q, line, msg)) != PMP_OK ||
      (err = pmp_eval_request_policies(q, line, msg)) != PMP_OK ||
      (err = pmp_eval_request_outcomes(q, line, msg)) != PMP_OK ||
      (err = check_needs(q, line, msg)) != PMP_OK)
    pmp_eval_request_fini(q);
  return err;
}

void pmp_eval_request_fini(struct pmp_eval_request *q) {
  free(q->pi);
  free(q->ref);
  free(q->y);
  free(q->x);
  free(q->verdict);
  free(q->weight);
  free(q->f);
  free(q->given);
  memset(q, 0, sizeof *q);
}
