/* One learner step: a batch, heads of the reference, verdicts, the objective through the policy,
 * the optimisers.
 *
 * Nothing that outlives the step is changed before every gradient of it is known to be finite. */
#include "base/simd.h"
#include "learner/trainer_work.h"

#include <math.h>
#include <string.h>

static bool has_critic(const struct pmp_trainer *t) {
  return pmp_trainer_has_critic(&t->config);
}

void pmp_trainer_lap(const struct pmp_trainer *t, struct pmp_trainer_work *w, int64_t *into) {
  int64_t now = pmp_clock_mono(&t->clock);
  *into += now - w->time;
  w->time = now;
}

float *pmp_trainer_floats(struct pmp_trainer *t, size_t count) {
  return pmp_arena_array(&t->arena, count, sizeof(float));
}

double *pmp_trainer_doubles(struct pmp_trainer *t, size_t count) {
  return pmp_arena_array(&t->arena, count, sizeof(double));
}

PMP_CLONES bool pmp_trainer_all_finite(const float *x, size_t n) {
  unsigned bad = 0;
  for (size_t i = 0; i < n; i++) bad |= (unsigned)!(fabsf(x[i]) < INFINITY);
  return bad == 0;
}

/* ---------------------------------------------------------------- data */

/* x: conditions of the batch, of the further rows, and the observations to bootstrap from, in one
 * array, so that the reference sees them in one pass. */
static enum pmp_err gather_conditions(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                      const struct pmp_batch *extra) {
  size_t obs = t->config.policy.obs, boot = has_critic(t) ? w->batch.b : 0;
  w->x = w->batch.obs;
  if (obs == 0 || (extra->b == 0 && boot == 0)) return PMP_OK;
  float *x = pmp_trainer_floats(t, (w->b + boot) * obs);
  if (x == NULL) return PMP_ENOMEM;
  memcpy(x, w->batch.obs, w->batch.b * obs * sizeof *x);
  if (extra->b > 0) memcpy(x + w->batch.b * obs, extra->obs, extra->b * obs * sizeof *x);
  if (boot > 0) memcpy(x + w->b * obs, w->batch.boot_obs, boot * obs * sizeof *x);
  w->x = x;
  return PMP_OK;
}

/* seen: what reference and critic make of x, with the reference's statistics. */
static enum pmp_err normalize(struct pmp_trainer *t, struct pmp_trainer_work *w) {
  const size_t rows = w->b + (has_critic(t) ? w->batch.b : 0);
  const bool values = has_critic(t) || pmp_trainer_has_value(&t->config);
  w->seen = w->x;
  if (!t->config.policy.normalize || !values) return PMP_OK;
  float *seen = pmp_trainer_floats(t, rows * t->config.policy.obs);
  if (seen == NULL) return PMP_ENOMEM;
  pmp_policy_normalize(&t->policy, t->buffer[PMP_BUFFER_REF], rows, w->x, seen);
  w->seen = seen;
  return PMP_OK;
}

static enum pmp_err draw(struct pmp_trainer *t, struct pmp_trainer_work *w) {
  struct pmp_batch extra = {0};
  struct pmp_rng *rng = &t->counters.batch_rng;
  uint64_t version = t->counters.version;
  PMP_TRY(pmp_replay_draw(t->replay, rng, t->config.batch, version, &t->arena, &w->batch));
  if (t->config.kl_rows > 0) /* never with the sampler that consumes */
    PMP_TRY(pmp_replay_draw(t->replay, rng, t->config.kl_rows, version, &t->arena, &extra));
  w->b = w->batch.b + extra.b;
  PMP_TRY(gather_conditions(t, w, &extra));
  return normalize(t, w);
}

static enum pmp_err ask_reference(struct pmp_trainer *t, struct pmp_trainer_work *w) {
  size_t rows = w->b + (has_critic(t) ? w->batch.b : 0);
  w->ref_head = pmp_trainer_floats(t, rows * t->policy.head);
  size_t mark = pmp_arena_mark(&t->arena);
  float *cache = pmp_trainer_floats(t, pmp_policy_cache_floats(&t->policy, rows));
  if (w->ref_head == NULL || cache == NULL) return PMP_ENOMEM;
  enum pmp_err err = pmp_policy_forward(&t->policy, &t->compute, t->buffer[PMP_BUFFER_REF], rows,
                                        w->x, cache, w->ref_head);
  pmp_arena_release(&t->arena, mark);
  return err;
}

/* ---------------------------------------------------------------- the step */

static void mean_row(const struct pmp_trainer *t, const struct pmp_trainer_work *w,
                     struct pmp_step_metrics *m) {
  double staleness = 0.0, ret = 0.0;
  for (size_t j = 0; j < w->batch.n; j++) {
    if (w->batch.version[j] < t->counters.version)
      staleness += (double)(t->counters.version - w->batch.version[j]);
  }
  m->staleness = staleness / (double)w->batch.n;
  if (w->batch.ret == NULL) return;
  for (size_t j = 0; j < w->batch.b; j++) ret += (double)w->batch.ret[j];
  m->return_n = ret / (double)w->batch.b;
}

/* Every gradient of the step. */
static enum pmp_err compute_gradients(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                      struct pmp_step_metrics *m, struct pmp_errmsg *msg) {
  PMP_TRY(ask_reference(t, w));
  pmp_trainer_lap(t, w, &t->times.reference);
  PMP_TRY(pmp_trainer_learn_values(t, w, m));
  PMP_TRY(pmp_trainer_judge(t, w, m));
  pmp_trainer_lap(t, w, &t->times.label);
  size_t mark = pmp_arena_mark(&t->arena);
  if (t->config.improvement == PMP_IMPROVEMENT_EXACT)
    return PMP_OK; /* collected when all is well */
  enum pmp_err err = pmp_trainer_learn_policy(t, w, false, m, msg);
  if (err == PMP_ENONFINITE && t->config.guard == PMP_GUARD_SKIP && !m->skipped_rejected &&
      pmp_trainer_has_sets(t)) {
    pmp_arena_release(&t->arena, mark);
    err = pmp_trainer_learn_policy(t, w, true, m, msg);
  }
  pmp_trainer_lap(t, w, &t->times.policy);
  return err;
}

/* With the learning rate that this step has. */
static struct pmp_adam_config optim_now(const struct pmp_trainer *t,
                                        const struct pmp_adam_config *config) {
  struct pmp_adam_config now = *config;
  const uint64_t steps = t->config.decay_steps, step = t->counters.step;
  if (steps == 0) return now;
  const double share = step < steps ? (double)step / (double)steps : 1.0;
  now.lr = (float)((double)config->lr * (1.0 - share * (1.0 - t->config.decay_to)));
  return now;
}

static enum pmp_err apply_gradients(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                    struct pmp_step_metrics *m) {
  size_t pi = t->floats[PMP_BUFFER_PI], critic = t->floats[PMP_BUFFER_CRITIC];
  size_t dual = t->floats[PMP_BUFFER_DUAL];
  const bool exact = t->config.improvement == PMP_IMPROVEMENT_EXACT;
  const struct pmp_adam_config policy_optim = optim_now(t, &t->config.policy_optim);
  const struct pmp_adam_config critic_optim = optim_now(t, &t->config.critic_optim);
  if (t->reduce != NULL) {
    if (critic > 0) t->reduce(t->reduce_ctx, t->critic_grad, critic);
    if (dual > 0) t->reduce(t->reduce_ctx, t->dual_grad, dual);
    if (!exact) t->reduce(t->reduce_ctx, t->pi_grad, pi);
  }
  /* All of them before the first is applied. */
  double norm = 0.0, dual_norm = 0.0, critic_norm = 0.0;
  PMP_TRY(pmp_adam_measure(&critic_optim, critic, t->critic_grad, &critic_norm));
  PMP_TRY(pmp_adam_measure(&t->config.dual_optim, dual, t->dual_grad, &dual_norm));
  if (!exact) PMP_TRY(pmp_adam_measure(&policy_optim, pi, t->pi_grad, &norm));
  if (exact) PMP_TRY(pmp_trainer_collect(t, w, m));
  if (critic > 0) {
    pmp_adam_apply_by(t->config.threads, &t->critic_adam, &critic_optim,
                      t->buffer[PMP_BUFFER_CRITIC], t->critic_grad, critic_norm);
    m->critic_grad_norm = critic_norm;
  }
  if (exact) return PMP_OK;
  if (dual > 0)
    pmp_adam_apply(&t->dual_adam, &t->config.dual_optim, t->buffer[PMP_BUFFER_DUAL], t->dual_grad,
                   dual_norm);
  pmp_adam_apply_by(t->config.threads, &t->pi_adam, &policy_optim, t->buffer[PMP_BUFFER_PI],
                    t->pi_grad, norm);
  m->grad_norm = norm;
  return PMP_OK;
}

static void finish_step(struct pmp_trainer *t, const struct pmp_trainer_work *w,
                        struct pmp_step_metrics *m, bool *refreshed) {
  uint64_t step = ++t->counters.step;
  pmp_trainer_moments_add(t, w->b, w->x);
  pmp_replay_consume(t->replay); /* only now: a step that was refused keeps its rows */
  size_t critic = t->floats[PMP_BUFFER_CRITIC];
  if (has_critic(t) && step % t->config.critic_target_period == 0)
    memcpy(t->buffer[PMP_BUFFER_TARGET], t->buffer[PMP_BUFFER_CRITIC], critic * sizeof(float));
  *refreshed = t->config.refresh_period > 0 && step % t->config.refresh_period == 0;
  if (*refreshed) {
    m->improved = pmp_trainer_improve_now(t);
    pmp_trainer_refresh(t);
  }
  t->times.steps++;
}

static void metrics_clear(struct pmp_step_metrics *m) {
  *m = (struct pmp_step_metrics){.loss = NAN,
                                 .loss_accepted = NAN,
                                 .loss_rejected = NAN,
                                 .loss_kl = NAN,
                                 .loss_dual = NAN,
                                 .kl = {NAN, NAN},
                                 .kl_margin = NAN,
                                 .entropy = NAN,
                                 .std = NAN,
                                 .accepted = NAN,
                                 .rejected = NAN,
                                 .unlabelled = NAN,
                                 .accepted_share = NAN,
                                 .ess_accepted = NAN,
                                 .ess_rejected = NAN,
                                 .empty_accepted = NAN,
                                 .empty_rejected = NAN,
                                 .temperature = NAN,
                                 .informative = NAN,
                                 .grad_norm = NAN,
                                 .critic_loss = NAN,
                                 .critic_grad_norm = NAN,
                                 .q_mean = NAN,
                                 .staleness = NAN,
                                 .return_n = NAN,
                                 .q_std = NAN,
                                 .q_min = NAN,
                                 .q_max = NAN};
}

enum pmp_err pmp_trainer_step(struct pmp_trainer *t, struct pmp_step_metrics *m, bool *refreshed,
                              struct pmp_errmsg *msg) {
  struct pmp_trainer_work w = {.time = pmp_clock_mono(&t->clock)};
  struct pmp_trainer_counters before = t->counters;
  if (msg != NULL) msg->text[0] = 0;
  *refreshed = false;
  metrics_clear(m);
  pmp_arena_release(&t->arena, 0);
  enum pmp_err err = draw(t, &w);
  if (err != PMP_OK) {
    t->counters = before;
    return err == PMP_EBUSY ? pmp_fail(msg, err, "the ring has too little data for a batch of %u",
                                       t->config.batch)
                            : pmp_fail(msg, err, "a batch could not be drawn");
  }
  m->rows = w.batch.n;
  mean_row(t, &w, m);
  pmp_trainer_lap(t, &w, &t->times.sample);
  err = compute_gradients(t, &w, m, msg);
  if (err == PMP_OK) err = apply_gradients(t, &w, m);
  if (err == PMP_ENONFINITE && t->config.guard == PMP_GUARD_SKIP) {
    m->skipped_step = true;
    err = PMP_OK;
  }
  if (err != PMP_OK) {
    t->counters = before;
    if (msg != NULL && msg->text[0] != 0) return err;
    return pmp_fail(msg, err, "step %llu: %s", (unsigned long long)t->counters.step + 1,
                    err == PMP_ENONFINITE ? "a number became NaN or infinite" : pmp_err_name(err));
  }
  finish_step(t, &w, m, refreshed);
  pmp_trainer_lap(t, &w, &t->times.optimiser);
  return PMP_OK;
}

/* ---------------------------------------------------------------- memory */

static size_t block(size_t count, size_t size) {
  return count * size + 64;
}

size_t pmp_trainer_scratch(const struct pmp_trainer *t) {
  const struct pmp_trainer_config *c = &t->config;
  const size_t b = pmp_trainer_conditions_max(c), n = pmp_trainer_outcomes_max(c);
  const size_t f = sizeof(float), g = sizeof(double), duals = t->dual_manifest.floats;
  size_t dim = c->policy.dist.dim, head = t->policy.head, parts = pmp_dist_parts(&c->policy.dist);
  size_t kl_parts = pmp_dist_kl_parts(&c->policy.dist), rows = 2 * b;
  size_t bytes =
      pmp_replay_scratch(&c->replay, c->batch) + pmp_replay_scratch(&c->replay, c->kl_rows);
  bytes += block(rows * c->policy.obs, f) + block(rows * head, f);  /* x, ref_head */
  if (c->policy.normalize) bytes += block(rows * c->policy.obs, f); /* seen */
  bytes += 2 * block(n * dim, f) + block(n, 1) + block(n, f) + block(n, f) +
           3 * block(n, g); /* y, action, verdict, value, x_of_y; weight, f, cost */
  bytes += 2 * block(b * head, f) + 3 * block(n * parts, g) + 2 * block(b * kl_parts, g) +
           2 * block(duals, g) + block(b * dim, f); /* a pass */
  bytes += block(pmp_policy_cache_floats(&t->policy, rows), f);
  if (pmp_trainer_has_critic(c)) {
    size_t learn = pmp_critic_scratch(&t->critic, c->batch, c->value_samples);
    size_t label = pmp_critic_scratch(&t->critic, c->batch, c->label_samples);
    bytes += learn > label ? learn : label;
    bytes += block(b * c->value_samples * dim, f) + block(b * c->critic.atoms, f) +
             block(b * c->value_samples, f) + block(b, f); /* actions, target, baseline */
  }
  if (pmp_trainer_has_value(c))
    bytes += pmp_critic_scratch(&t->critic, n, 1) + block(n * c->critic.obs, f) + block(n, f) +
             2 * block(b, f);
  if (c->improvement == PMP_IMPROVEMENT_EXACT)
    bytes += block(t->improve_doubles, g) + 2 * block(pmp_dist_natural(&c->policy.dist), g) +
             block(n * dim, g) + block(n, g) + block(n, 1) + block(head, f);
  return bytes + 4096;
}
