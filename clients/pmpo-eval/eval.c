#include "clients/pmpo-eval/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is not finite, and where ---- */

static enum pmp_err no_row(const struct pmp_eval_request *q, size_t row, struct pmp_errmsg *msg) {
  const double *pi = q->pi + row * q->natural;
  const double *ref = q->ref != NULL ? q->ref + row * q->natural : pi;
  double kl[2];
  if (pmp_dist_natural_forward(&q->dist, 1, 0, pi, ref, NULL, NULL, NULL, NULL, kl) == PMP_OK)
    return PMP_OK;
  return pmp_fail(msg, PMP_ENONFINITE,
                  "KL(ref||pi) of row %zu of pi is not finite: pi must give what ref gives some "
                  "probability, and spreads must be of a size that can be divided by",
                  row);
}

static enum pmp_err no_outcome(const struct pmp_eval_request *q, size_t j, struct pmp_errmsg *msg) {
  const double *pi = q->pi + q->x[j] * q->natural, *y = q->y + j * q->dist.dim;
  const double *ref = q->ref != NULL ? q->ref + q->x[j] * q->natural : pi;
  double lp[2];
  if (pmp_dist_natural_forward(&q->dist, 1, 1, pi, ref, y, NULL, lp, NULL, NULL) != PMP_OK)
    return pmp_fail(msg, PMP_ENONFINITE,
                    "log pi(y|x) of y[%zu] is not finite: pi's row %u gives it no probability",
                    q->given[j], q->x[j]);
  if (q->objective->needs_lp_ref &&
      pmp_dist_natural_forward(&q->dist, 1, 1, pi, ref, y, NULL, NULL, lp, NULL) != PMP_OK)
    return pmp_fail(msg, PMP_ENONFINITE,
                    "log ref(y|x) of y[%zu] is not finite: ref's row %u gives it no probability",
                    q->given[j], q->x[j]);
  return PMP_OK;
}

/* The sentence for a forward pass that failed. */
static enum pmp_err explain(const struct pmp_eval_request *q, enum pmp_err err,
                            struct pmp_errmsg *msg) {
  for (size_t row = 0; err == PMP_ENONFINITE && row < q->b; row++) PMP_TRY(no_row(q, row, msg));
  for (size_t j = 0; err == PMP_ENONFINITE && j < q->n; j++) PMP_TRY(no_outcome(q, j, msg));
  if (err == PMP_ENONFINITE) return pmp_fail(msg, err, "a log-probability or a KL is not finite");
  return pmp_fail(msg, err, "the policy refuses its parameters or outcomes (%s)",
                  pmp_err_name(err));
}

static enum pmp_err check_finite(const struct pmp_eval_request *q, const struct pmp_eval_answer *a,
                                 struct pmp_errmsg *msg) {
  if (!isfinite(a->loss) || !isfinite(a->policy_term))
    return pmp_fail(msg, PMP_ENONFINITE, "the loss is not finite");
  for (uint32_t k = 0; k < a->kl_count; k++) {
    if (!isfinite(a->kl[k])) return pmp_fail(msg, PMP_ENONFINITE, "the mean KL is not finite");
  }
  for (size_t i = 0; i < q->b * q->natural; i++) {
    if (!isfinite(a->grad[i]))
      return pmp_fail(msg, PMP_ENONFINITE, "the gradient of row %zu of pi is not finite",
                      i / q->natural);
  }
  return PMP_OK;
}

/* ---- parts ---- */

static double *doubles(size_t count) {
  return calloc(count + 1, sizeof(double));
}

/* What stands beside beta: PMPO's KL term at beta 1, for every objective. */
static enum pmp_err mean_kl(const struct pmp_eval_request *q, const struct pmp_objective_in *in,
                            struct pmp_eval_answer *a) {
  const struct pmp_objective *pmpo = pmp_objective_find("pmpo");
  const bool own = strcmp(q->objective->name, "pmpo") == 0;
  const bool weighs = own || strcmp(q->objective->name, "boltzmann") == 0;
  a->kl_count = 0;
  if (in->kl == NULL && !(weighs && q->config.kl == PMP_KL_BC)) return PMP_OK;
  for (uint32_t p = 0; p < a->parts; p++) {
    struct pmp_objective_config config = q->config;
    struct pmp_objective_in batch = *in;
    struct pmp_objective_out out = {0};
    config.beta[0] = p == 0 ? 1.0 : 0.0;
    config.beta[1] = p == 1 ? 1.0 : 0.0;
    if (!weighs) config.kl = PMP_KL_EXACT;
    if (!own) config.kl_by_state = false;
    pmpo->sums(&config, &batch);
    PMP_TRY(pmpo->eval(&config, &batch, &out));
    a->kl[p] = out.kl;
  }
  a->kl_count = a->parts;
  return PMP_OK;
}

static enum pmp_err objective_and_gradient(const struct pmp_eval_request *q, const double *ref,
                                           double *kl, double *w, struct pmp_eval_answer *a,
                                           struct pmp_errmsg *msg) {
  struct pmp_objective_in in = {.n = q->n,
                                .b = q->b,
                                .parts = a->parts,
                                .kl_parts = a->parts,
                                .lp = a->lp,
                                .lp_ref = a->lp_ref,
                                .kl = kl,
                                .verdict = q->verdict,
                                .weight = q->weight,
                                .f = q->f,
                                .x_of_y = q->x};
  struct pmp_objective_out out = {.c = a->c, .w = w};
  q->objective->sums(&q->config, &in);
  enum pmp_err err = q->objective->eval(&q->config, &in, &out);
  if (err == PMP_ENONFINITE) return pmp_fail(msg, err, "the loss is not finite");
  if (err != PMP_OK)
    return pmp_fail(msg, err, "%s refuses these outcomes (%s)", q->objective->name,
                    pmp_err_name(err));
  a->loss = out.loss;
  a->policy_term = out.accepted + out.rejected;
  const bool pmpo = strcmp(q->objective->name, "pmpo") == 0;
  a->kl_margin = pmpo ? pmp_objective_kl_margin(&q->config, &in) : NAN;
  err = mean_kl(q, &in, a);
  if (err != PMP_OK) return pmp_fail(msg, err, "the mean KL is not finite");
  err = pmp_dist_natural_backward(&q->dist, q->b, q->n, q->pi, ref, q->y, q->x, a->c, w, a->grad);
  if (err != PMP_OK)
    return pmp_fail(msg, err, "the gradient cannot be computed (%s)", pmp_err_name(err));
  return check_finite(q, a, msg);
}

enum pmp_err pmp_eval_answer_make(struct pmp_eval_answer *a, const struct pmp_eval_request *q,
                                  struct pmp_errmsg *msg) {
  memset(a, 0, sizeof *a);
  a->parts = pmp_dist_parts(&q->dist);
  const size_t per_row = pmp_dist_kl_parts(&q->dist);
  const double *ref = q->ref != NULL ? q->ref : q->pi;
  double *kl = doubles(q->b * per_row), *w = doubles(q->b * per_row);
  /* An outcome that ref rules out is no fault of an objective that does not ask. */
  const bool reads_ref = q->objective->needs_lp_ref;
  enum pmp_err err = PMP_OK;
  a->grad = doubles(q->b * q->natural);
  a->lp = doubles(q->n * a->parts);
  a->lp_ref = reads_ref ? doubles(q->n * a->parts) : NULL;
  a->c = doubles(q->n * a->parts);
  if (!kl || !w || !a->grad || !a->lp || !a->c || (reads_ref && !a->lp_ref)) {
    err = pmp_fail(msg, PMP_ENOMEM, "no memory for %zu rows and %zu outcomes", q->b, q->n);
    goto out;
  }
  if (q->ref == NULL) {
    free(kl);
    kl = NULL;
  }
  err =
      pmp_dist_natural_forward(&q->dist, q->b, q->n, q->pi, ref, q->y, q->x, a->lp, a->lp_ref, kl);
  if (err != PMP_OK) {
    err = explain(q, err, msg);
    goto out;
  }
  err = objective_and_gradient(q, ref, kl, w, a, msg);
out:
  free(kl);
  free(w);
  if (err != PMP_OK) pmp_eval_answer_fini(a);
  return err;
}

void pmp_eval_answer_fini(struct pmp_eval_answer *a) {
  free(a->grad);
  free(a->lp);
  free(a->lp_ref);
  free(a->c);
  memset(a, 0, sizeof *a);
}
