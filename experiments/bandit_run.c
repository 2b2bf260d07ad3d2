#include "experiments/bandit_run.h"

#include "learner/label/label.h"

#include <math.h>
#include <string.h>

/* The learner's stream for first parameters (learner/trainer.c). */
enum { STREAM_POLICY = 1 };
/* f travels as float32 between actor and daemon; what is larger is as bad as this. */
#define VALUE_MAX 1e30
/* Small enough that neither 1e-29 nor Rosenbrock's valley is held up by it. */
#define STD_MIN 1e-8F
#define STD_MIN_EXACT 1e-30F

/* ---------------------------------------------------------------- methods */

#define PMPO(a, b)                                                                                 \
  { .alpha = (a), .beta = {(b), (b)}, .averaging = PMP_AVERAGING_SETS, .eta = 1.0 }
#define DPO(t)                                                                                     \
  { .alpha = 0.5, .averaging = PMP_AVERAGING_SETS, .tau = (t), .pairs = 1 }

/* Betas of the papers by the kind of feedback; exact ones as experiments.md 1. DPO twice: with the
 * tau of the papers' bandits, and with the one that they needed for Gaussian policies. */
static const struct pmp_bandit_method methods[] = {
    {.name = "AR", .title = "PMPO-AR", .objective = "pmpo", .label_k = 2, .loss = PMPO(0.5, 0.5)},
    {.name = "A", .title = "PMPO-A", .objective = "pmpo", .label_k = 2, .loss = PMPO(1.0, 0.0)},
    {.name = "R", .title = "PMPO-R", .objective = "pmpo", .label_k = 2, .loss = PMPO(0.0, 2.0)},
    {.name = "DPO", .title = "DPO, tau 0.1", .objective = "dpo", .label_k = 1, .loss = DPO(0.1)},
    {.name = "DPO-20", .title = "DPO, tau 20", .objective = "dpo", .label_k = 1, .loss = DPO(20.0)},
    {.name = "BW",
     .title = "PMPO best/worst",
     .objective = "pmpo",
     .label_k = 1,
     .loss = PMPO(0.5, 0.5)},
    {.name = "boltzmann",
     .title = "Boltzmann",
     .objective = "boltzmann",
     .label_k = 2,
     .loss = PMPO(0.5, 0.5)},
    {.name = "exact-AR",
     .title = "exact AR",
     .exact = true,
     .label_k = 2,
     .alpha = 0.5,
     .beta_mean = 0.5,
     .beta_cov = 2.0},
    {.name = "exact-R",
     .title = "exact R",
     .exact = true,
     .label_k = 2,
     .alpha = 0.0,
     .beta_mean = 1.5,
     .beta_cov = 4.0},
    {.name = "paths-AR", .title = "exact AR, paths", .exact = true, .paths = true, .alpha = 0.5},
    {.name = "paths-R", .title = "exact R, paths", .exact = true, .paths = true, .alpha = 0.0},
};

const struct pmp_bandit_method *pmp_bandit_method_at(size_t i) {
  return i < sizeof methods / sizeof methods[0] ? &methods[i] : NULL;
}

const struct pmp_bandit_method *pmp_bandit_method_find(const char *name) {
  for (size_t i = 0; pmp_bandit_method_at(i) != NULL; i++) {
    if (strcmp(methods[i].name, name) == 0) return &methods[i];
  }
  return NULL;
}

void pmp_bandit_run_defaults(struct pmp_bandit_run_config *config,
                             const struct pmp_function *function,
                             const struct pmp_bandit_method *method, uint32_t dim, uint64_t seed) {
  *config = (struct pmp_bandit_run_config){
      .function = function,
      .method = *method,
      .dim = dim,
      .samples = 4,
      .accepted = method->label_k,
      .rejected = method->label_k,
      /* experiments.md 1: the closed form has its step at the refresh alone, and in few dimensions
       * 100 outcomes say enough. */
      .refresh_period = method->exact && dim <= 2 ? 25 : 100,
      .lr = 0.01F,
      .init_std = 1.0F,
      .init_mean_range = 3.0F,
      .std_min = method->exact ? STD_MIN_EXACT : STD_MIN,
      .seed = seed,
  };
  if (!method->paths) return;
  struct pmp_improve_config improve;
  struct pmp_improve_groups groups;
  pmp_improve_recommend(PMP_IMPROVE_GAUSSIAN, dim, method->alpha, &improve, &groups);
  config->samples = groups.size;
  config->accepted = groups.accepted;
  config->rejected = groups.rejected;
  config->refresh_period = 1; /* one group a reference */
}

/* ---------------------------------------------------------------- life */

static enum pmp_err check(const struct pmp_bandit_run_config *c, struct pmp_errmsg *msg) {
  if (c->dim < 1 || c->dim > PMP_BANDIT_RUN_DIM_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%u dimensions: 1 to %d are possible", c->dim,
                    PMP_BANDIT_RUN_DIM_MAX);
  if (c->samples < 2 || c->samples > PMP_BANDIT_RUN_SAMPLES_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%u outcomes a step: 2 to %d are possible", c->samples,
                    PMP_BANDIT_RUN_SAMPLES_MAX);
  if (c->accepted > c->samples / 2 || c->rejected > c->samples / 2)
    return pmp_fail(msg, PMP_EINVALID, "%u accepted and %u rejected of %u: at most half of each",
                    c->accepted, c->rejected, c->samples);
  if (c->refresh_period < 1)
    return pmp_fail(msg, PMP_EINVALID, "the reference needs a period of at least 1");
  return PMP_OK;
}

static enum pmp_err make_policy(struct pmp_bandit_run *r, struct pmp_errmsg *msg) {
  const struct pmp_bandit_run_config *c = &r->config;
  const bool exact = c->method.exact;
  const struct pmp_policy_spec spec = {
      .dist = {.kind = exact ? PMP_DIST_GAUSSIAN : PMP_DIST_DIAG_GAUSSIAN,
               .dim = c->dim,
               .std_scale = 1.0F,
               .std_min = c->std_min,
               .low = -PMP_BANDIT_RUN_BOX,
               .high = PMP_BANDIT_RUN_BOX},
      .init_std = c->init_std,
      .init_mean_range = c->init_mean_range};
  return pmp_policy_init(&r->policy, &spec, msg);
}

static enum pmp_err make_method(struct pmp_bandit_run *r, struct pmp_errmsg *msg) {
  const struct pmp_bandit_run_config *c = &r->config;
  if (c->method.paths) {
    struct pmp_improve_groups groups;
    pmp_improve_recommend(PMP_IMPROVE_GAUSSIAN, c->dim, c->method.alpha, &r->improve, &groups);
    if (c->resolution > 0.0) r->improve.resolution = c->resolution;
    return pmp_improve_check(&r->improve, msg);
  }
  if (c->method.exact) {
    r->improve = (struct pmp_improve_config){.kind = PMP_IMPROVE_GAUSSIAN,
                                             .rule = PMP_IMPROVE_PLAIN,
                                             .dim = c->dim,
                                             .alpha = c->method.alpha,
                                             .beta_mean = c->method.beta_mean,
                                             .beta_cov = c->method.beta_cov,
                                             .eigen_min = 0.1,
                                             .eigen_max = 4.0,
                                             .resolution = c->resolution};
    return pmp_improve_check(&r->improve, msg);
  }
  r->objective = pmp_objective_find(c->method.objective);
  if (r->objective == NULL)
    return pmp_fail(msg, PMP_EUNAVAILABLE, "there is no objective %s", c->method.objective);
  r->adam_config =
      (struct pmp_adam_config){.lr = c->lr, .beta1 = 0.9F, .beta2 = 0.999F, .eps = 1e-8F};
  PMP_TRY(pmp_objective_check(r->objective, &c->method.loss, 1, 1, msg));
  return pmp_adam_check(&r->adam_config, msg);
}

static enum pmp_err allocate(struct pmp_bandit_run *r) {
  const size_t h = r->policy.head, n = r->config.samples, d = r->config.dim;
  const size_t naturals = r->config.method.exact ? pmp_improve_natural(&r->improve) : 0;
  const size_t memory = r->config.method.exact ? pmp_improve_doubles(&r->improve) : 0;
  const size_t bytes = 5 * h * sizeof(float) + (2 * n * d + n) * sizeof(float) +
                       (d + n * d + 4 * n + 2 + naturals + memory) * sizeof(double) + 2 * n +
                       20 * 64;
  PMP_TRY(pmp_arena_init(&r->arena, bytes));
  struct pmp_arena *a = &r->arena;
  r->head = pmp_arena_zeroed(a, h, sizeof(float));
  r->ref = pmp_arena_zeroed(a, h, sizeof(float));
  r->dhead = pmp_arena_zeroed(a, h, sizeof(float));
  r->adam = (struct pmp_adam){.m = pmp_arena_zeroed(a, h, sizeof(float)),
                              .v = pmp_arena_zeroed(a, h, sizeof(float)),
                              .n = h};
  r->y = pmp_arena_zeroed(a, n * d, sizeof(float));
  r->action = pmp_arena_zeroed(a, n * d, sizeof(float));
  r->f32 = pmp_arena_zeroed(a, n, sizeof(float));
  r->x = pmp_arena_zeroed(a, d, sizeof(double));
  r->y64 = pmp_arena_zeroed(a, n * d, sizeof(double));
  r->f = pmp_arena_zeroed(a, n, sizeof(double));
  r->lp = pmp_arena_zeroed(a, n, sizeof(double));
  r->lp_ref = pmp_arena_zeroed(a, n, sizeof(double));
  r->c = pmp_arena_zeroed(a, n, sizeof(double));
  r->kl = pmp_arena_zeroed(a, 1, sizeof(double));
  r->w = pmp_arena_zeroed(a, 1, sizeof(double));
  r->natural = pmp_arena_zeroed(a, naturals, sizeof(double));
  r->state = pmp_arena_zeroed(a, memory, sizeof(double));
  r->verdict = pmp_arena_zeroed(a, n, sizeof(int8_t));
  return r->state != NULL ? PMP_OK : PMP_ENOMEM;
}

enum pmp_err pmp_bandit_run_init(struct pmp_bandit_run *r,
                                 const struct pmp_bandit_run_config *config,
                                 struct pmp_errmsg *msg) {
  *r = (struct pmp_bandit_run){.config = *config, .best = INFINITY};
  PMP_TRY(check(config, msg));
  PMP_TRY(make_policy(r, msg));
  PMP_TRY(make_method(r, msg));
  if (allocate(r) != PMP_OK) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  struct pmp_rng first;
  pmp_rng_init(&first, config->seed, STREAM_POLICY);
  pmp_policy_init_params(&r->policy, &first, r->head);
  memcpy(r->ref, r->head, r->policy.head * sizeof *r->ref);
  pmp_rng_init(&r->rng, config->seed, PMP_BANDIT_RUN_STREAM);
  if (!config->method.exact) return PMP_OK;
  pmp_improve_init(&r->improve, r->state);
  const enum pmp_err err = pmp_dist_to_natural(&r->policy.spec.dist, 1, r->head, r->natural);
  return err == PMP_OK ? err : pmp_fail(msg, err, "the first policy has no natural parameters");
}

void pmp_bandit_run_fini(struct pmp_bandit_run *r) {
  pmp_arena_fini(&r->arena);
}

/* ---------------------------------------------------------------- a step */

/* The function at an outcome, clipped to the box. */
static double evaluate(struct pmp_bandit_run *r, const float *y, float *action) {
  const uint32_t d = r->config.dim;
  pmp_dist_action(&r->policy.spec.dist, 1, y, action);
  for (uint32_t i = 0; i < d; i++) r->x[i] = (double)action[i];
  const double value = r->config.function->value(r->x, d);
  return value < VALUE_MAX ? value : VALUE_MAX;
}

/* Outcomes of the reference and their verdicts. */
static enum pmp_err judge(struct pmp_bandit_run *r) {
  const struct pmp_bandit_run_config *c = &r->config;
  PMP_TRY(pmp_dist_sample(&r->policy.spec.dist, 1, c->samples, r->ref, &r->rng, r->y));
  for (uint32_t j = 0; j < c->samples; j++) {
    const double value = evaluate(r, r->y + (size_t)j * c->dim, r->action + (size_t)j * c->dim);
    if (value < r->best) r->best = value;
    r->f32[j] = (float)-value;
    r->f[j] = (double)r->f32[j];
  }
  return pmp_label_groups(PMP_LABEL_TOP_K, 1, c->samples, c->accepted, c->rejected, r->f32, NULL,
                          r->verdict);
}

static enum pmp_err descend(struct pmp_bandit_run *r) {
  const struct pmp_bandit_run_config *c = &r->config;
  const struct pmp_dist *dist = &r->policy.spec.dist;
  const size_t n = c->samples;
  struct pmp_objective_in in = {
      .n = n, .b = 1, .parts = 1, .kl_parts = 1, .verdict = r->verdict, .f = r->f};
  struct pmp_objective_out out = {.c = r->c, .w = r->w};
  r->objective->sums(&c->method.loss, &in);
  if (r->objective->needs_lp) {
    in.lp = r->lp;
    in.lp_ref = r->lp_ref;
    in.kl = r->kl;
    PMP_TRY(pmp_dist_forward(dist, 1, n, r->head, r->ref, r->y, NULL, r->lp, r->lp_ref, r->kl));
  }
  PMP_TRY(r->objective->eval(&c->method.loss, &in, &out));
  PMP_TRY(pmp_dist_backward(dist, 1, n, r->head, r->ref, r->y, NULL, r->c, r->w, r->dhead));
  return pmp_adam_step(&r->adam, &r->adam_config, r->head, r->dhead, NULL);
}

/* Keeps the outcomes for the next refresh. */
static enum pmp_err gather(struct pmp_bandit_run *r) {
  const size_t n = r->config.samples;
  for (size_t i = 0; i < n * r->config.dim; i++) r->y64[i] = (double)r->y[i];
  return pmp_improve_add(&r->improve, r->state, r->natural, n, r->y64, r->verdict, NULL);
}

/* Can float32 outcomes say this policy? Where a spread is lost in the digits of its mean, rounding
 * is what would be judged. */
static bool can_be_drawn(const struct pmp_bandit_run *r) {
  const uint32_t d = r->config.dim;
  const double *mean = r->natural, *chol = r->natural + d;
  for (uint32_t i = 0; i < d; i++) {
    if (!(chol[i * d + i] > fabs(mean[i]) * 0x1p-22)) return false;
  }
  return true;
}

/* Spreads no smaller than a head can say. */
static void keep_above_least(struct pmp_bandit_run *r) {
  const uint32_t d = r->config.dim;
  const double least = (double)r->config.std_min * (1.0 + 1e-6);
  double *chol = r->natural + d;
  for (uint32_t i = 0; i < d; i++) chol[i * d + i] = fmax(chol[i * d + i], least);
}

/* The closed form over all outcomes of this reference. The policy stays when none of them has the
 * sign that it needs. */
static enum pmp_err improve(struct pmp_bandit_run *r, struct pmp_errmsg *msg) {
  const struct pmp_dist *dist = &r->policy.spec.dist;
  const bool floors = r->config.resolution > 0.0;
  const enum pmp_err err = pmp_improve_step(&r->improve, r->state, r->natural, msg);
  if (err == PMP_EBUSY || (floors && err != PMP_OK)) return PMP_OK;
  PMP_TRY(err);
  if (floors) keep_above_least(r);
  const bool lost = !floors && !can_be_drawn(r);
  const bool stays = lost || pmp_dist_from_natural(dist, 1, r->natural, r->dhead) != PMP_OK;
  r->rests = stays && !floors;
  if (!stays) memcpy(r->head, r->dhead, r->policy.head * sizeof *r->head);
  /* The head is float32, and what outcomes are drawn from: so it is what the next ones are held
   * against. */
  return pmp_dist_to_natural(dist, 1, r->head, r->natural);
}

static enum pmp_err learn(struct pmp_bandit_run *r, bool due, struct pmp_errmsg *msg) {
  if (r->rests) return PMP_OK;
  PMP_TRY(judge(r));
  if (!r->config.method.exact) return descend(r);
  PMP_TRY(gather(r));
  return due ? improve(r, msg) : PMP_OK;
}

enum pmp_err pmp_bandit_run_step(struct pmp_bandit_run *r, struct pmp_errmsg *msg) {
  const bool due = (r->step + 1) % r->config.refresh_period == 0;
  const enum pmp_err err = learn(r, due, msg);
  if (err == PMP_ENONFINITE)
    r->skipped++;
  else if (err != PMP_OK)
    return pmp_fail(msg, err, "step %llu: %s", (unsigned long long)r->step + 1, pmp_err_name(err));
  r->step++;
  r->evaluations += r->config.samples;
  if (due) memcpy(r->ref, r->head, r->policy.head * sizeof *r->ref);
  return PMP_OK;
}

double pmp_bandit_run_f_mean(struct pmp_bandit_run *r) {
  float mean[PMP_BANDIT_RUN_DIM_MAX];
  if (pmp_dist_mode(&r->policy.spec.dist, 1, r->head, mean) != PMP_OK) return NAN;
  return evaluate(r, mean, mean);
}

void pmp_bandit_run_shape(struct pmp_bandit_run *r, double *distance, double *std) {
  float mean[PMP_BANDIT_RUN_DIM_MAX], spread[PMP_BANDIT_RUN_DIM_MAX];
  double far = NAN, sum = NAN;
  if (pmp_dist_moments(&r->policy.spec.dist, 1, r->head, mean, spread) == PMP_OK) {
    far = sum = 0.0;
    for (uint32_t i = 0; i < r->config.dim; i++) {
      far = fmax(far, fabs((double)mean[i]));
      sum += (double)spread[i];
    }
  }
  if (distance != NULL) *distance = far;
  if (std != NULL) *std = sum / r->config.dim;
}
