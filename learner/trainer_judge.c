/* Verdicts of a step's outcomes: by the critic, by the rows themselves, by a rule over their
 * evaluations. */
#include "learner/trainer_work.h"

#include <math.h>
#include <string.h>

/* The running share of rejected forgets over about a thousand steps. */
static const double SHARE_DECAY = 0.999;

/* ---------------------------------------------------------------- learned values */

/* Gradient of the critic's loss on the batch, towards the target network at actions of the
 * reference. */
static enum pmp_err learn_critic(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                 struct pmp_step_metrics *m) {
  const struct pmp_trainer_config *c = &t->config;
  const struct pmp_dist *dist = &c->policy.dist;
  struct pmp_batch *batch = &w->batch;
  size_t b = batch->b, per = c->value_samples, mark = pmp_arena_mark(&t->arena);
  float *action = pmp_trainer_floats(t, b * per * dist->dim);
  float *target = pmp_trainer_floats(t, b * c->critic.atoms);
  if (action == NULL || target == NULL) return PMP_ENOMEM;
  PMP_TRY(pmp_dist_sample(dist, b, per, w->ref_head + w->b * t->policy.head,
                          &t->counters.action_rng, action));
  pmp_dist_action(dist, b * per, action, action);
  pmp_trainer_lap(t, w, &t->times.reference);
  pmp_dist_action(dist, b, batch->act, batch->act);
  if (t->reward != NULL) PMP_TRY(t->reward(t->reward_ctx, b, batch->obs, batch->act, batch->ret));
  PMP_TRY(pmp_critic_target(&t->critic, &t->compute, t->buffer[PMP_BUFFER_TARGET], b, per,
                            w->seen + w->b * c->policy.obs, action, batch->ret, batch->disc,
                            &t->arena, target));
  pmp_trainer_lap(t, w, &t->times.target);
  memset(t->critic_grad, 0, t->floats[PMP_BUFFER_CRITIC] * sizeof(float));
  PMP_TRY(pmp_critic_loss(&t->critic, &t->compute, t->buffer[PMP_BUFFER_CRITIC], b, w->seen,
                          batch->act, target, &t->arena, t->critic_grad, &m->critic_loss,
                          &m->q_mean));
  pmp_arena_release(&t->arena, mark);
  pmp_trainer_lap(t, w, &t->times.critic);
  return PMP_OK;
}

/* Conditions as V reads them: a constant where there is none. */
static const float *value_inputs(struct pmp_trainer *t, const struct pmp_trainer_work *w) {
  if (t->config.policy.obs > 0) return w->seen;
  float *one = pmp_trainer_floats(t, w->batch.b);
  for (size_t x = 0; one != NULL && x < w->batch.b; x++) one[x] = 1.0F;
  return one;
}

/* Gradient of V's loss: each evaluated outcome of the batch pulls V at its condition. */
static enum pmp_err learn_value(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                struct pmp_step_metrics *m) {
  const struct pmp_batch *batch = &w->batch;
  const size_t obs = t->config.critic.obs, mark = pmp_arena_mark(&t->arena);
  const float *in = value_inputs(t, w);
  float *x = pmp_trainer_floats(t, batch->n * obs), *target = pmp_trainer_floats(t, batch->n);
  if (in == NULL || x == NULL || target == NULL) return PMP_ENOMEM;
  size_t n = 0;
  for (size_t j = 0; j < batch->n; j++) {
    if (!isfinite(batch->f[j])) continue;
    memcpy(x + n * obs, in + batch->x_of_y[j] * obs, obs * sizeof *x);
    target[n++] = batch->f[j];
  }
  memset(t->critic_grad, 0, t->floats[PMP_BUFFER_CRITIC] * sizeof(float));
  enum pmp_err err = PMP_OK;
  if (n > 0)
    err = pmp_critic_loss(&t->critic, &t->compute, t->buffer[PMP_BUFFER_CRITIC], n, x, NULL, target,
                          &t->arena, t->critic_grad, &m->critic_loss, &m->q_mean);
  pmp_arena_release(&t->arena, mark);
  pmp_trainer_lap(t, w, &t->times.critic);
  return err;
}

enum pmp_err pmp_trainer_learn_values(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                      struct pmp_step_metrics *m) {
  if (pmp_trainer_has_critic(&t->config)) return learn_critic(t, w, m);
  return pmp_trainer_has_value(&t->config) ? learn_value(t, w, m) : PMP_OK;
}

/* ---------------------------------------------------------------- what objectives read beside
 * verdicts */

static enum pmp_err widen(struct pmp_trainer *t, size_t n, const float *x, const double **out) {
  double *wide = pmp_trainer_doubles(t, n);
  if (wide == NULL) return PMP_ENOMEM;
  for (size_t j = 0; j < n; j++) wide[j] = (double)x[j];
  *out = wide;
  return PMP_OK;
}

/* |y - clip(y)|^2, which mpo's penalty keeps small. */
static enum pmp_err price(struct pmp_trainer *t, struct pmp_trainer_work *w) {
  const struct pmp_dist *dist = &t->config.policy.dist;
  if (!(t->config.loss.eps_penalty > 0.0) || dist->kind == PMP_DIST_CATEGORICAL) return PMP_OK;
  double *cost = pmp_trainer_doubles(t, w->n);
  if (cost == NULL) return PMP_ENOMEM;
  for (size_t j = 0; j < w->n; j++) {
    cost[j] = 0.0;
    for (size_t i = 0; i < dist->dim; i++) {
      const float y = w->y[j * dist->dim + i];
      const double beyond = (double)(y < dist->low    ? dist->low - y
                                     : y > dist->high ? y - dist->high
                                                      : 0.0F);
      cost[j] += beyond * beyond;
    }
  }
  w->cost = cost;
  return PMP_OK;
}

/* ---------------------------------------------------------------- judge critic */

/* What actions are ranked by is multiplied in float32, whatever else is: values of actions at one
 * state differ by less than bfloat16 rounds. */
static enum pmp_err values_to_rank(struct pmp_trainer *t, size_t b, size_t per, const float *x,
                                   const float *action, float *value) {
  struct pmp_compute *compute = &t->compute;
  struct pmp_compute exact;
  if (compute->precision != PMP_PRECISION_FLOAT32) {
    exact = *compute;
    exact.precision = PMP_PRECISION_FLOAT32;
    exact.pack = NULL;
    exact.gemm_packed = NULL;
    exact.worker = NULL;
    compute = &exact;
  }
  const enum pmp_err err = pmp_critic_values(&t->critic, compute, t->buffer[PMP_BUFFER_CRITIC], b,
                                             per, x, action, &t->arena, value);
  if (compute == &exact) {
    t->compute.calls = exact.calls;
    t->compute.flops = exact.flops;
    t->compute.busy_ns = exact.busy_ns;
  }
  return err;
}

/* Mean value of further actions of the reference: V(x) of label rule value. */
static enum pmp_err baseline_of(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                float *baseline) {
  const struct pmp_trainer_config *c = &t->config;
  const struct pmp_dist *dist = &c->policy.dist;
  const size_t b = w->batch.b, per = c->value_samples, mark = pmp_arena_mark(&t->arena);
  float *action = pmp_trainer_floats(t, b * per * dist->dim);
  float *value = pmp_trainer_floats(t, b * per);
  if (action == NULL || value == NULL) return PMP_ENOMEM;
  PMP_TRY(pmp_dist_sample(dist, b, per, w->ref_head, &t->counters.action_rng, action));
  pmp_dist_action(dist, b * per, action, action);
  PMP_TRY(values_to_rank(t, b, per, w->seen, action, value));
  for (size_t x = 0; x < b; x++) {
    double sum = 0.0;
    for (size_t j = 0; j < per; j++) sum += (double)value[x * per + j];
    baseline[x] = (float)(sum / (double)per);
  }
  pmp_arena_release(&t->arena, mark);
  return PMP_OK;
}

static void describe_values(size_t b, size_t per, const float *value, struct pmp_step_metrics *m) {
  double variance = 0.0, least = (double)value[0], greatest = least;
  for (size_t x = 0; x < b; x++) {
    const float *v = value + x * per;
    double mean = 0.0, squares = 0.0;
    for (size_t j = 0; j < per; j++) mean += (double)v[j] / (double)per;
    for (size_t j = 0; j < per; j++) {
      const double off = (double)v[j] - mean;
      squares += off * off;
      least = fmin(least, (double)v[j]);
      greatest = fmax(greatest, (double)v[j]);
    }
    variance += squares / (double)per;
  }
  m->q_std = sqrt(variance / (double)b);
  m->q_min = least;
  m->q_max = greatest;
}

/* Outcomes of the reference at the batch's conditions, judged by the critic as it is before this
 * step's update. */
static enum pmp_err judge_by_critic(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                    struct pmp_step_metrics *m) {
  const struct pmp_trainer_config *c = &t->config;
  const struct pmp_dist *dist = &c->policy.dist;
  const bool by_value = c->label_rule == PMP_LABEL_VALUE;
  size_t b = w->batch.b, per = c->label_samples, n = b * per;
  w->n = n;
  w->y = pmp_trainer_floats(t, n * dist->dim);
  w->verdict = pmp_arena_array(&t->arena, n, sizeof *w->verdict);
  float *action = pmp_trainer_floats(t, n * dist->dim), *value = pmp_trainer_floats(t, n);
  float *baseline = by_value ? pmp_trainer_floats(t, b) : NULL;
  if (w->y == NULL || w->verdict == NULL || action == NULL || value == NULL ||
      (by_value && baseline == NULL))
    return PMP_ENOMEM;
  PMP_TRY(pmp_dist_sample(dist, b, per, w->ref_head, &t->counters.action_rng, w->y));
  pmp_dist_action(dist, n, w->y, action);
  PMP_TRY(values_to_rank(t, b, per, w->seen, action, value));
  if (by_value) PMP_TRY(baseline_of(t, w, baseline));
  PMP_TRY(pmp_label_groups(c->label_rule, b, per, c->label_k, c->label_k_rejected, value, baseline,
                           w->verdict));
  describe_values(b, per, value, m);
  PMP_TRY(widen(t, n, value, &w->f));
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

/* Outcomes without a verdict: at least as good as V says of their condition, before this step's
 * update? */
static enum pmp_err judge_by_value(struct pmp_trainer *t, struct pmp_trainer_work *w) {
  struct pmp_batch *batch = &w->batch;
  const size_t mark = pmp_arena_mark(&t->arena);
  const float *in = value_inputs(t, w);
  float *value = pmp_trainer_floats(t, batch->b);
  if (in == NULL || value == NULL) return PMP_ENOMEM;
  PMP_TRY(pmp_critic_values(&t->critic, &t->compute, t->buffer[PMP_BUFFER_CRITIC], batch->b, 1, in,
                            NULL, &t->arena, value));
  for (size_t j = 0; j < batch->n; j++) {
    if (!is_unjudged(batch, j, j + 1)) continue;
    PMP_TRY(pmp_label_groups(PMP_LABEL_VALUE, 1, 1, 1, 1, batch->f + j, value + batch->x_of_y[j],
                             batch->verdict + j));
  }
  pmp_arena_release(&t->arena, mark);
  return PMP_OK;
}

/* The rows' own verdicts; a group of an actor that has evaluations and no verdict is labelled by
 * the rule. */
static enum pmp_err judge_by_rows(struct pmp_trainer *t, struct pmp_trainer_work *w) {
  const struct pmp_trainer_config *c = &t->config;
  struct pmp_batch *batch = &w->batch;
  w->n = batch->n;
  w->y = batch->act;
  w->x_of_y = batch->x_of_y;
  w->verdict = batch->verdict;
  PMP_TRY(widen(t, batch->n, batch->weight, &w->weight));
  if (c->judge != PMP_JUDGE_ACTOR) return PMP_OK; /* people's verdicts outrank evaluations */
  PMP_TRY(widen(t, batch->n, batch->f, &w->f));
  if (pmp_trainer_has_value(c)) return judge_by_value(t, w);
  for (size_t first = 0, end; first < batch->n; first = end) {
    for (end = first + 1; end < batch->n && batch->x_of_y[end] == batch->x_of_y[first];) end++;
    if (!is_unjudged(batch, first, end)) continue;
    PMP_TRY(pmp_label_groups(c->label_rule, 1, end - first, c->label_k, c->label_k_rejected,
                             batch->f + first, NULL, w->verdict + first));
  }
  return PMP_OK;
}

/* ---------------------------------------------------------------- counts */

/* One set's sums of weights. */
struct set {
  double count, sum, squares;
};

static double effective(const struct set *s) {
  return s->squares > 0.0 ? s->sum * s->sum / s->squares : 0.0;
}

static void count_verdicts(struct pmp_trainer *t, const struct pmp_trainer_work *w,
                           struct pmp_step_metrics *m) {
  struct set set[3] = {{0}};
  for (size_t j = 0; j < w->n; j++) {
    struct set *s = &set[w->verdict[j] + 1];
    const double weight = w->weight != NULL ? w->weight[j] : 1.0;
    s->count += 1.0;
    s->sum += weight;
    s->squares += weight * weight;
  }
  const double labelled = set[2].count + set[0].count;
  m->accepted = set[2].count;
  m->rejected = set[0].count;
  m->unlabelled = set[1].count;
  if (labelled > 0.0) m->accepted_share = m->accepted / labelled;
  m->ess_accepted = effective(&set[2]);
  m->ess_rejected = effective(&set[0]);
  m->empty_accepted = set[2].sum > 0.0 ? 0.0 : 1.0;
  m->empty_rejected = set[0].sum > 0.0 ? 0.0 : 1.0;
  t->counters.shown = SHARE_DECAY * t->counters.shown + (double)w->n;
  t->counters.rejected = SHARE_DECAY * t->counters.rejected + m->rejected;
}

enum pmp_err pmp_trainer_judge(struct pmp_trainer *t, struct pmp_trainer_work *w,
                               struct pmp_step_metrics *m) {
  PMP_TRY(pmp_trainer_has_critic(&t->config) ? judge_by_critic(t, w, m) : judge_by_rows(t, w));
  PMP_TRY(price(t, w));
  count_verdicts(t, w, m);
  return PMP_OK;
}
