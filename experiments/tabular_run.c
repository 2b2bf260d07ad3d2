#include "experiments/tabular_run.h"

#include "learner/objective/preference.h"

#include <math.h>
#include <string.h>

enum { STREAM_BATCH = 3, A = 0, B = 1, C = 2 };

static const struct pmp_tabular_data data_sets[] = {
    {"D1", "D1 = {(a,b), (b,c), (a,c)}", 3, 3, {A, B, A}, {B, C, C}},
    {"D3", "D3 = {(a,b), (b,a)}", 3, 2, {A, B}, {B, A}},
    {"D3'", "D3' = {(a,b), (b,a), (a,c), (b,c)}", 3, 4, {A, B, A, B}, {B, A, C, C}},
    {"two", "two actions, {(a,b)}", 2, 1, {A}, {B}},
};

const struct pmp_tabular_data *pmp_tabular_data_at(size_t i) {
  return i < sizeof data_sets / sizeof data_sets[0] ? &data_sets[i] : NULL;
}

const struct pmp_tabular_data *pmp_tabular_data_find(const char *name) {
  for (size_t i = 0; pmp_tabular_data_at(i) != NULL; i++) {
    if (strcmp(data_sets[i].name, name) == 0) return &data_sets[i];
  }
  return NULL;
}

/* ---------------------------------------------------------------- a run */

enum pmp_err pmp_tabular_run_init(struct pmp_tabular_run *r,
                                  const struct pmp_tabular_config *config, struct pmp_errmsg *msg) {
  *r = (struct pmp_tabular_run){.config = *config};
  const uint32_t n = config->data->actions;
  if (config->batch < 1 || config->batch > PMP_TABULAR_BATCH_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%u pairs a step: 1 to %d are possible", config->batch,
                    PMP_TABULAR_BATCH_MAX);
  r->objective = pmp_objective_find(config->objective);
  if (r->objective == NULL)
    return pmp_fail(msg, PMP_EUNAVAILABLE, "there is no objective %s", config->objective);
  r->dist = (struct pmp_dist){
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = n, .low = 0.0F, .high = (float)(n - 1)};
  r->loss = pmp_objective_config_default();
  r->loss.tau = config->strength;
  r->loss.beta[0] = r->loss.beta[1] = config->strength;
  r->loss.pairs = 1;
  r->adam_config =
      (struct pmp_adam_config){.lr = config->lr, .beta1 = 0.9F, .beta2 = 0.999F, .eps = 1e-8F};
  r->adam = (struct pmp_adam){.m = r->m, .v = r->v, .n = n};
  pmp_rng_init(&r->rng, config->seed, STREAM_BATCH);
  PMP_TRY(pmp_dist_check(&r->dist, msg));
  PMP_TRY(pmp_objective_check(r->objective, &r->loss, 1, 1, msg));
  return pmp_adam_check(&r->adam_config, msg);
}

/* Pairs with replacement: each is a condition with a better and a worse outcome. */
static void draw(struct pmp_tabular_run *r) {
  const struct pmp_tabular_data *data = r->config.data;
  for (uint32_t x = 0; x < r->config.batch; x++) {
    const uint64_t pair = pmp_rng_below(&r->rng, data->pairs);
    const uint32_t win = 2 * x, lose = 2 * x + 1;
    r->y[win] = (float)data->winner[pair];
    r->y[lose] = (float)data->loser[pair];
    r->f[win] = r->verdict[win] = 1;
    r->f[lose] = 0;
    r->verdict[lose] = -1;
    memcpy(r->heads + (size_t)x * data->actions, r->head, data->actions * sizeof(float));
  }
}

static enum pmp_err learn(struct pmp_tabular_run *r) {
  const uint32_t b = r->config.batch, n = 2 * b, actions = r->config.data->actions;
  struct pmp_objective_in in = {.n = n,
                                .b = b,
                                .parts = 1,
                                .kl_parts = 1,
                                .lp = r->lp,
                                .lp_ref = r->lp_ref,
                                .kl = r->kl,
                                .verdict = r->verdict,
                                .f = r->f};
  struct pmp_objective_out out = {.c = r->c, .w = r->w};
  PMP_TRY(pmp_dist_forward(&r->dist, b, n, r->heads, r->refs, r->y, NULL, r->lp, r->lp_ref, r->kl));
  r->objective->sums(&r->loss, &in);
  PMP_TRY(r->objective->eval(&r->loss, &in, &out));
  PMP_TRY(pmp_dist_backward(&r->dist, b, n, r->heads, r->refs, r->y, NULL, r->c, r->w, r->dheads));
  for (uint32_t i = 0; i < actions; i++) {
    double sum = 0.0;
    for (uint32_t x = 0; x < b; x++) sum += (double)r->dheads[x * actions + i];
    r->grad[i] = (float)sum;
  }
  return pmp_adam_step(&r->adam, &r->adam_config, r->head, r->grad, NULL);
}

enum pmp_err pmp_tabular_run_step(struct pmp_tabular_run *r, struct pmp_errmsg *msg) {
  draw(r);
  const enum pmp_err err = learn(r);
  if (err != PMP_OK)
    return pmp_fail(msg, err, "step %llu: %s", (unsigned long long)r->step + 1, pmp_err_name(err));
  r->step++;
  return PMP_OK;
}

void pmp_tabular_run_probabilities(const struct pmp_tabular_run *r, double *pi) {
  const uint32_t n = r->config.data->actions;
  double top = -INFINITY, sum = 0.0;
  for (uint32_t i = 0; i < n; i++) top = fmax(top, (double)r->head[i]);
  for (uint32_t i = 0; i < n; i++) sum += pi[i] = exp((double)r->head[i] - top);
  for (uint32_t i = 0; i < n; i++) pi[i] /= sum;
}

/* ---------------------------------------------------------------- closed forms */

/* p (n x n): the share of preferences of i over j among those that speak of both; 1/2 of an action
 * with itself. */
static enum pmp_err preferences(const struct pmp_tabular_data *data, double *p,
                                struct pmp_errmsg *msg) {
  const uint32_t n = data->actions;
  double count[PMP_TABULAR_ACTIONS_MAX * PMP_TABULAR_ACTIONS_MAX] = {0};
  for (uint32_t k = 0; k < data->pairs; k++) count[data->winner[k] * n + data->loser[k]] += 1.0;
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t j = 0; j < n; j++) {
      const double both = count[i * n + j] + count[j * n + i];
      if (i != j && both == 0.0)
        return pmp_fail(msg, PMP_EUNAVAILABLE, "no preference speaks of %c and %c", 'a' + (int)i,
                        'a' + (int)j);
      p[i * n + j] = i == j ? 0.5 : count[i * n + j] / both;
    }
  }
  return PMP_OK;
}

static enum pmp_err closed_ipo(const struct pmp_tabular_data *data, double tau, double *pi,
                               struct pmp_errmsg *msg) {
  double p[PMP_TABULAR_ACTIONS_MAX * PMP_TABULAR_ACTIONS_MAX], even[PMP_TABULAR_ACTIONS_MAX];
  PMP_TRY(preferences(data, p, msg));
  for (uint32_t i = 0; i < data->actions; i++) even[i] = 1.0 / data->actions;
  return pmp_psipo_solve(PMP_PSI_IDENTITY, data->actions, even, even, p, tau, false, pi, msg);
}

static enum pmp_err closed_pmpo(const struct pmp_tabular_data *data, double beta, double *pi,
                                struct pmp_errmsg *msg) {
  const uint32_t n = data->actions;
  double won[PMP_TABULAR_ACTIONS_MAX] = {0}, lost[PMP_TABULAR_ACTIONS_MAX] = {0};
  double even[PMP_TABULAR_ACTIONS_MAX], margin;
  for (uint32_t k = 0; k < data->pairs; k++) {
    won[data->winner[k]] += 1.0 / data->pairs;
    lost[data->loser[k]] += 1.0 / data->pairs;
  }
  for (uint32_t i = 0; i < n; i++) even[i] = 1.0 / n;
  PMP_TRY(pmp_pmpo_solve(n, won, lost, even, 0.5, beta, pi, &margin));
  if (margin >= 0.0) return PMP_OK;
  return pmp_fail(msg, PMP_EUNAVAILABLE, "no finite minimum: the least A is %.3f", margin);
}

enum pmp_err pmp_tabular_closed_form(const struct pmp_tabular_data *data, const char *objective,
                                     double strength, double *pi, struct pmp_errmsg *msg) {
  if (strcmp(objective, "ipo") == 0) return closed_ipo(data, strength, pi, msg);
  if (strcmp(objective, "pmpo") == 0) return closed_pmpo(data, strength, pi, msg);
  return pmp_fail(msg, PMP_EUNAVAILABLE, "DPO has no closed form here");
}
