/* One learner step: a batch, heads of the reference, verdicts, the objective through the policy,
 * the optimisers.
 *
 * Nothing that outlives the step is changed before every gradient of it is known to be finite. */
#include "learner/trainer_state.h"

#include <math.h>
#include <string.h>

/* The running share of rejected forgets over about a thousand steps. */
static const double SHARE_DECAY = 0.999;

/* What a step works on; arrays in the arena. Conditions: those of the batch, then further ones for
 * the KL only. */
struct work {
  struct pmp_batch batch;
  size_t b, n;     /* all conditions; outcomes that the objective sees */
  const float *x;  /* (b x obs), with a critic followed by the batch's bootstrap observations; NULL:
                      no condition */
  float *ref_head; /* as many rows as x */
  float *y;        /* (n x D) */
  const uint32_t *x_of_y; /* (n); NULL: n / b each */
  int8_t *verdict;        /* (n) */
  const float *weight;    /* (n); NULL: ones */
  int64_t time;           /* of the last lap */
};

static bool has_critic(const struct pmp_trainer *t) {
  return t->config.judge == PMP_JUDGE_CRITIC;
}

static void lap(const struct pmp_trainer *t, struct work *w, int64_t *into) {
  int64_t now = pmp_clock_mono(&t->clock);
  *into += now - w->time;
  w->time = now;
}

static float *floats(struct pmp_trainer *t, size_t count) {
  return pmp_arena_array(&t->arena, count, sizeof(float));
}

static bool all_finite(const float *x, size_t n) {
  unsigned bad = 0;
  for (size_t i = 0; i < n; i++) bad |= (unsigned)!(fabsf(x[i]) < INFINITY);
  return bad == 0;
}

/* ---------------------------------------------------------------- data */

/* x: conditions of the batch, of the further rows, and the observations to bootstrap from, in one
 * array, so that the reference sees them in one pass. */
static enum pmp_err gather_conditions(struct pmp_trainer *t, struct work *w,
                                      const struct pmp_batch *extra) {
  size_t obs = t->config.policy.obs, boot = has_critic(t) ? w->batch.b : 0;
  w->x = w->batch.obs;
  if (obs == 0 || (extra->b == 0 && boot == 0)) return PMP_OK;
  float *x = floats(t, (w->b + boot) * obs);
  if (x == NULL) return PMP_ENOMEM;
  memcpy(x, w->batch.obs, w->batch.b * obs * sizeof *x);
  if (extra->b > 0) memcpy(x + w->batch.b * obs, extra->obs, extra->b * obs * sizeof *x);
  if (boot > 0) memcpy(x + w->b * obs, w->batch.boot_obs, boot * obs * sizeof *x);
  w->x = x;
  return PMP_OK;
}

static enum pmp_err draw(struct pmp_trainer *t, struct work *w) {
  struct pmp_batch extra = {0};
  struct pmp_rng *rng = &t->counters.batch_rng;
  uint64_t version = t->counters.version;
  PMP_TRY(pmp_replay_sample(t->replay, rng, t->config.batch, version, &t->arena, &w->batch));
  if (t->config.kl_rows > 0)
    PMP_TRY(pmp_replay_sample(t->replay, rng, t->config.kl_rows, version, &t->arena, &extra));
  w->b = w->batch.b + extra.b;
  return gather_conditions(t, w, &extra);
}

static enum pmp_err ask_reference(struct pmp_trainer *t, struct work *w) {
  size_t rows = w->b + (has_critic(t) ? w->batch.b : 0);
  w->ref_head = floats(t, rows * t->policy.head);
  size_t mark = pmp_arena_mark(&t->arena);
  float *cache = floats(t, pmp_policy_cache_floats(&t->policy, rows));
  if (w->ref_head == NULL || cache == NULL) return PMP_ENOMEM;
  enum pmp_err err = pmp_policy_forward(&t->policy, &t->compute, t->buffer[PMP_BUFFER_REF], rows,
                                        w->x, cache, w->ref_head);
  pmp_arena_release(&t->arena, mark);
  return err;
}

/* ---------------------------------------------------------------- critic */

/* Gradient of the critic's loss on the batch, towards the target network at actions of the
 * reference. */
static enum pmp_err learn_values(struct pmp_trainer *t, struct work *w,
                                 struct pmp_step_metrics *m) {
  const struct pmp_trainer_config *c = &t->config;
  const struct pmp_dist *dist = &c->policy.dist;
  struct pmp_batch *batch = &w->batch;
  size_t b = batch->b, per = c->value_samples, mark = pmp_arena_mark(&t->arena);
  float *action = floats(t, b * per * dist->dim), *target = floats(t, b * c->critic.atoms);
  if (action == NULL || target == NULL) return PMP_ENOMEM;
  PMP_TRY(pmp_dist_sample(dist, b, per, w->ref_head + w->b * t->policy.head,
                          &t->counters.action_rng, action));
  pmp_dist_action(dist, b * per, action, action);
  lap(t, w, &t->times.reference);
  PMP_TRY(pmp_critic_target(&t->critic, &t->compute, t->buffer[PMP_BUFFER_TARGET], b, per,
                            w->x + w->b * c->policy.obs, action, batch->ret, batch->disc, &t->arena,
                            target));
  lap(t, w, &t->times.target);
  pmp_dist_action(dist, b, batch->act, batch->act);
  memset(t->critic_grad, 0, t->floats[PMP_BUFFER_CRITIC] * sizeof(float));
  PMP_TRY(pmp_critic_loss(&t->critic, &t->compute, t->buffer[PMP_BUFFER_CRITIC], b, batch->obs,
                          batch->act, target, &t->arena, t->critic_grad, &m->critic_loss,
                          &m->q_mean));
  pmp_arena_release(&t->arena, mark);
  lap(t, w, &t->times.critic);
  return PMP_OK;
}

/* Outcomes of the reference at the batch's conditions, judged by the critic as it is before this
 * step's update. */
static enum pmp_err judge_by_critic(struct pmp_trainer *t, struct work *w) {
  const struct pmp_trainer_config *c = &t->config;
  const struct pmp_dist *dist = &c->policy.dist;
  size_t b = w->batch.b, per = c->label_samples, n = b * per;
  w->n = n;
  w->y = floats(t, n * dist->dim);
  w->verdict = pmp_arena_array(&t->arena, n, sizeof *w->verdict);
  float *action = floats(t, n * dist->dim), *value = floats(t, n);
  if (w->y == NULL || w->verdict == NULL || action == NULL || value == NULL) return PMP_ENOMEM;
  PMP_TRY(pmp_dist_sample(dist, b, per, w->ref_head, &t->counters.action_rng, w->y));
  pmp_dist_action(dist, n, w->y, action);
  PMP_TRY(pmp_critic_values(&t->critic, &t->compute, t->buffer[PMP_BUFFER_CRITIC], b, per,
                            w->batch.obs, action, &t->arena, value));
  PMP_TRY(pmp_label_groups(c->label_rule, b, per, c->label_k, value, NULL, w->verdict));
  if (w->b == b) return PMP_OK;
  uint32_t *x_of_y = pmp_arena_array(&t->arena, n, sizeof *x_of_y);
  if (x_of_y == NULL) return PMP_ENOMEM;
  for (size_t j = 0; j < n; j++) x_of_y[j] = (uint32_t)(j / per);
  w->x_of_y = x_of_y;
  return PMP_OK;
}

/* ---------------------------------------------------------------- verdicts of rows */

static bool is_unjudged(const struct pmp_batch *batch, size_t first, size_t end) {
  for (size_t j = first; j < end; j++) {
    if (batch->verdict[j] != 0 || !isfinite(batch->f[j])) return false;
  }
  return true;
}

/* The rows' own verdicts; a group of an actor that has evaluations and no verdict is labelled by
 * the rule. */
static enum pmp_err judge_by_rows(struct pmp_trainer *t, struct work *w) {
  const struct pmp_trainer_config *c = &t->config;
  struct pmp_batch *batch = &w->batch;
  w->n = batch->n;
  w->y = batch->act;
  w->x_of_y = batch->x_of_y;
  w->verdict = batch->verdict;
  w->weight = batch->weight;
  if (c->judge != PMP_JUDGE_ACTOR) return PMP_OK;
  for (size_t first = 0, end; first < batch->n; first = end) {
    for (end = first + 1; end < batch->n && batch->x_of_y[end] == batch->x_of_y[first];) end++;
    if (!is_unjudged(batch, first, end)) continue;
    PMP_TRY(pmp_label_groups(c->label_rule, 1, end - first, c->label_k, batch->f + first, NULL,
                             w->verdict + first));
  }
  return PMP_OK;
}

static void count_verdicts(struct pmp_trainer *t, const struct work *w,
                           struct pmp_step_metrics *m) {
  size_t accepted = 0, rejected = 0;
  for (size_t j = 0; j < w->n; j++) {
    accepted += w->verdict[j] > 0;
    rejected += w->verdict[j] < 0;
  }
  m->accepted = (double)accepted;
  m->rejected = (double)rejected;
  m->unlabelled = (double)(w->n - accepted - rejected);
  t->counters.shown = SHARE_DECAY * t->counters.shown + (double)w->n;
  t->counters.rejected = SHARE_DECAY * t->counters.rejected + (double)rejected;
}

/* ---------------------------------------------------------------- policy */

struct pass {
  float *head, *cache, *lp, *lp_ref, *kl, *c, *b, *dhead;
  struct pmp_objective_config loss;
  struct pmp_objective_in in;
};

static enum pmp_err pass_init(struct pmp_trainer *t, const struct work *w, struct pass *p) {
  const struct pmp_dist *dist = &t->config.policy.dist;
  size_t b = w->b, n = w->n, parts = pmp_dist_parts(dist), kl_parts = pmp_dist_kl_parts(dist);
  *p = (struct pass){.head = floats(t, b * t->policy.head),
                     .dhead = floats(t, b * t->policy.head),
                     .cache = floats(t, pmp_policy_cache_floats(&t->policy, b)),
                     .lp = floats(t, n * parts),
                     .lp_ref = t->objective->needs_lp ? floats(t, n * parts) : NULL,
                     .c = floats(t, n * parts),
                     .kl = floats(t, b * kl_parts),
                     .b = floats(t, b * kl_parts),
                     .loss = t->config.loss};
  if (p->head == NULL || p->dhead == NULL || p->cache == NULL || p->lp == NULL || p->c == NULL ||
      p->kl == NULL || p->b == NULL || (t->objective->needs_lp && p->lp_ref == NULL))
    return PMP_ENOMEM;
  if (t->config.beta_auto) {
    double share = t->counters.shown > 0.0 ? t->counters.rejected / t->counters.shown : 0.0;
    p->loss.beta[0] = p->loss.beta[1] = pmp_objective_beta_auto(p->loss.alpha, share);
  }
  p->in = (struct pmp_objective_in){.n = n,
                                    .b = b,
                                    .parts = (uint32_t)parts,
                                    .kl_parts = (uint32_t)kl_parts,
                                    .lp = p->lp,
                                    .lp_ref = p->lp_ref,
                                    .kl = p->kl,
                                    .verdict = w->verdict,
                                    .weight = w->weight,
                                    .x_of_y = w->x_of_y,
                                    .conditions = (double)b};
  return PMP_OK;
}

static void drop_rejected(const struct work *w, struct pass *p, struct pmp_step_metrics *m) {
  for (size_t j = 0; j < w->n; j++) {
    if (w->verdict[j] < 0) w->verdict[j] = 0;
  }
  /* One pool: its denominator stays, only the rejected terms are left out. */
  if (p->loss.averaging == PMP_AVERAGING_SETS) p->in.rejected = 0.0;
  m->skipped_rejected = true;
}

static void mean_kl(const struct pmp_trainer *t, const struct work *w, const struct pass *p,
                    struct pmp_step_metrics *m) {
  size_t k = p->in.kl_parts, first = p->in.parts == 1 ? k : k / 2;
  double sum[2] = {0.0, 0.0};
  for (size_t x = 0; x < w->b; x++) {
    for (size_t i = 0; i < k; i++) sum[i >= first] += (double)p->kl[x * k + i];
  }
  m->kl[0] = sum[0] / (double)w->b;
  if (t->config.policy.dist.split) m->kl[1] = sum[1] / (double)w->b;
}

static void describe_policy(struct pmp_trainer *t, const struct work *w, const struct pass *p,
                            struct pmp_step_metrics *m) {
  const struct pmp_dist *dist = &t->config.policy.dist;
  size_t mark = pmp_arena_mark(&t->arena), b = w->b;
  float *out = floats(t, b * dist->dim);
  double sum = 0.0;
  if (out != NULL && pmp_dist_entropy(dist, b, p->head, out) == PMP_OK) {
    for (size_t x = 0; x < b; x++) sum += (double)out[x];
    m->entropy = sum / (double)b;
  }
  if (out != NULL && pmp_dist_moments(dist, b, p->head, NULL, out) == PMP_OK) {
    sum = 0.0;
    for (size_t i = 0; i < b * dist->dim; i++) sum += (double)out[i];
    m->std = sum / (double)(b * dist->dim);
  }
  pmp_arena_release(&t->arena, mark);
}

/* The guard on the distance: over kl_max the rejected are left out (skip) or the step is refused
 * (pause). */
static enum pmp_err guard_kl(const struct pmp_trainer *t, const struct work *w, struct pass *p,
                             struct pmp_step_metrics *m, struct pmp_errmsg *msg) {
  double kl = m->kl[0] + (t->config.policy.dist.split ? m->kl[1] : 0.0);
  if (t->config.guard == PMP_GUARD_OFF || kl <= t->config.kl_max) return PMP_OK;
  if (t->config.guard == PMP_GUARD_PAUSE)
    return pmp_fail(msg, PMP_ENONFINITE, "the mean KL(ref||pi) is %g, above kl_max %g", kl,
                    t->config.kl_max);
  if (p->in.rejected > 0.0) drop_rejected(w, p, m);
  return PMP_OK;
}

/* pi's gradient on this step's verdicts into pi_grad. `without`: leave the rejected out from the
 * start. */
static enum pmp_err learn_policy(struct pmp_trainer *t, struct work *w, bool without,
                                 struct pmp_step_metrics *m, struct pmp_errmsg *msg) {
  const struct pmp_dist *dist = &t->config.policy.dist;
  const float *pi = t->buffer[PMP_BUFFER_PI];
  struct pass p;
  PMP_TRY(pass_init(t, w, &p));
  pmp_objective_sums(w->n, w->verdict, w->weight, &p.in.accepted, &p.in.rejected);
  if (without) drop_rejected(w, &p, m);
  PMP_TRY(pmp_policy_forward(&t->policy, &t->compute, pi, w->b, w->x, p.cache, p.head));
  PMP_TRY(pmp_dist_forward(dist, w->b, w->n, p.head, w->ref_head, w->y, w->x_of_y, p.lp, p.lp_ref,
                           p.kl));
  mean_kl(t, w, &p, m);
  m->kl_margin = pmp_objective_kl_margin(&p.loss, &p.in);
  describe_policy(t, w, &p, m);
  PMP_TRY(guard_kl(t, w, &p, m, msg));
  struct pmp_objective_out out = {.c = p.c, .w = p.b};
  PMP_TRY(t->objective->eval(&p.loss, &p.in, &out));
  m->loss = out.loss;
  m->loss_accepted = out.accepted;
  m->loss_rejected = out.rejected;
  m->loss_kl = out.kl;
  PMP_TRY(
      pmp_dist_backward(dist, w->b, w->n, p.head, w->ref_head, w->y, w->x_of_y, p.c, p.b, p.dhead));
  memset(t->pi_grad, 0, t->floats[PMP_BUFFER_PI] * sizeof(float));
  PMP_TRY(
      pmp_policy_backward(&t->policy, &t->compute, pi, w->b, w->x, p.cache, p.dhead, t->pi_grad));
  return all_finite(t->pi_grad, t->floats[PMP_BUFFER_PI]) ? PMP_OK : PMP_ENONFINITE;
}

/* ---------------------------------------------------------------- the step */

static void mean_row(const struct pmp_trainer *t, const struct work *w,
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
static enum pmp_err compute_gradients(struct pmp_trainer *t, struct work *w,
                                      struct pmp_step_metrics *m, struct pmp_errmsg *msg) {
  PMP_TRY(ask_reference(t, w));
  lap(t, w, &t->times.reference);
  if (has_critic(t)) PMP_TRY(learn_values(t, w, m));
  PMP_TRY(has_critic(t) ? judge_by_critic(t, w) : judge_by_rows(t, w));
  count_verdicts(t, w, m);
  lap(t, w, &t->times.label);
  size_t mark = pmp_arena_mark(&t->arena);
  enum pmp_err err = learn_policy(t, w, false, m, msg);
  if (err == PMP_ENONFINITE && t->config.guard == PMP_GUARD_SKIP && !m->skipped_rejected &&
      m->rejected > 0.0) {
    pmp_arena_release(&t->arena, mark);
    err = learn_policy(t, w, true, m, msg);
  }
  lap(t, w, &t->times.policy);
  return err;
}

static enum pmp_err apply_gradients(struct pmp_trainer *t, struct pmp_step_metrics *m) {
  size_t pi = t->floats[PMP_BUFFER_PI], critic = t->floats[PMP_BUFFER_CRITIC];
  if (t->reduce != NULL) {
    if (critic > 0) t->reduce(t->reduce_ctx, t->critic_grad, critic);
    t->reduce(t->reduce_ctx, t->pi_grad, pi);
  }
  if (!all_finite(t->pi_grad, pi)) return PMP_ENONFINITE;
  if (critic > 0)
    PMP_TRY(pmp_adam_step(&t->critic_adam, &t->config.critic_optim, t->buffer[PMP_BUFFER_CRITIC],
                          t->critic_grad, &m->critic_grad_norm));
  return pmp_adam_step(&t->pi_adam, &t->config.policy_optim, t->buffer[PMP_BUFFER_PI], t->pi_grad,
                       &m->grad_norm);
}

static void finish_step(struct pmp_trainer *t, bool *refreshed) {
  uint64_t step = ++t->counters.step;
  size_t critic = t->floats[PMP_BUFFER_CRITIC];
  if (critic > 0 && step % t->config.critic_target_period == 0)
    memcpy(t->buffer[PMP_BUFFER_TARGET], t->buffer[PMP_BUFFER_CRITIC], critic * sizeof(float));
  *refreshed = t->config.refresh_period > 0 && step % t->config.refresh_period == 0;
  if (*refreshed) pmp_trainer_refresh(t);
  t->times.steps++;
}

static void metrics_clear(struct pmp_step_metrics *m) {
  *m = (struct pmp_step_metrics){.loss = NAN,
                                 .loss_accepted = NAN,
                                 .loss_rejected = NAN,
                                 .loss_kl = NAN,
                                 .kl = {NAN, NAN},
                                 .kl_margin = NAN,
                                 .entropy = NAN,
                                 .std = NAN,
                                 .accepted = NAN,
                                 .rejected = NAN,
                                 .unlabelled = NAN,
                                 .grad_norm = NAN,
                                 .critic_loss = NAN,
                                 .critic_grad_norm = NAN,
                                 .q_mean = NAN,
                                 .staleness = NAN,
                                 .return_n = NAN};
}

enum pmp_err pmp_trainer_step(struct pmp_trainer *t, struct pmp_step_metrics *m, bool *refreshed,
                              struct pmp_errmsg *msg) {
  struct work w = {.time = pmp_clock_mono(&t->clock)};
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
  lap(t, &w, &t->times.sample);
  err = compute_gradients(t, &w, m, msg);
  if (err == PMP_OK) err = apply_gradients(t, m);
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
  finish_step(t, refreshed);
  lap(t, &w, &t->times.optimiser);
  return PMP_OK;
}

/* ---------------------------------------------------------------- memory */

static size_t block(size_t count, size_t size) {
  return count * size + 64;
}

size_t pmp_trainer_scratch(const struct pmp_trainer *t) {
  const struct pmp_trainer_config *c = &t->config;
  size_t b = pmp_trainer_conditions_max(c), n = pmp_trainer_outcomes_max(c), f = sizeof(float);
  size_t dim = c->policy.dist.dim, head = t->policy.head, parts = pmp_dist_parts(&c->policy.dist);
  size_t kl_parts = pmp_dist_kl_parts(&c->policy.dist), rows = 2 * b;
  size_t bytes =
      pmp_replay_scratch(&c->replay, c->batch) + pmp_replay_scratch(&c->replay, c->kl_rows);
  bytes += block(rows * c->policy.obs, f) + block(rows * head, f); /* x, ref_head */
  bytes += 2 * block(n * dim, f) + block(n, 1) + block(n, f) +
           block(n, f); /* y, action, verdict, value, x_of_y */
  bytes += 2 * block(b * head, f) + 3 * block(n * parts, f) + 2 * block(b * kl_parts, f) +
           block(b * dim, f); /* a pass */
  bytes += block(pmp_policy_cache_floats(&t->policy, rows), f);
  if (c->judge == PMP_JUDGE_CRITIC) {
    size_t learn = pmp_critic_scratch(&t->critic, c->batch, c->value_samples);
    size_t label = pmp_critic_scratch(&t->critic, c->batch, c->label_samples);
    bytes += learn > label ? learn : label;
    bytes += block(b * c->value_samples * dim, f) +
             block(b * c->critic.atoms, f); /* bootstrap actions, target */
  }
  return bytes + 4096;
}
