/* The policy's gradient of a step: forward, objective, backward, with the guard between. */
#include "learner/trainer_work.h"

#include <math.h>
#include <string.h>

struct pass {
  float *head, *cache, *dhead;
  double *lp, *lp_ref, *kl, *c, *b, *ddual, *dual;
  struct pmp_objective_config loss;
  struct pmp_objective_in in;
};

static enum pmp_err pass_init(struct pmp_trainer *t, const struct pmp_trainer_work *w,
                              struct pass *p) {
  const struct pmp_dist *dist = &t->config.policy.dist;
  size_t b = w->b, n = w->n, parts = pmp_dist_parts(dist), kl_parts = pmp_dist_kl_parts(dist);
  *p =
      (struct pass){.head = pmp_trainer_floats(t, b * t->policy.head),
                    .dhead = pmp_trainer_floats(t, b * t->policy.head),
                    .cache = pmp_trainer_floats(t, pmp_policy_cache_floats(&t->policy, b)),
                    .lp = pmp_trainer_doubles(t, n * parts),
                    .lp_ref = t->objective->needs_lp_ref ? pmp_trainer_doubles(t, n * parts) : NULL,
                    .c = pmp_trainer_doubles(t, n * parts),
                    .kl = pmp_trainer_doubles(t, b * kl_parts),
                    .b = pmp_trainer_doubles(t, b * kl_parts),
                    .ddual = pmp_trainer_doubles(t, t->floats[PMP_BUFFER_DUAL]),
                    .dual = pmp_trainer_doubles(t, t->floats[PMP_BUFFER_DUAL]),
                    .loss = t->config.loss};
  if (p->head == NULL || p->dhead == NULL || p->cache == NULL || p->lp == NULL || p->c == NULL ||
      p->kl == NULL || p->b == NULL || p->ddual == NULL || p->dual == NULL ||
      (t->objective->needs_lp_ref && p->lp_ref == NULL))
    return PMP_ENOMEM;
  if (t->config.beta_auto) {
    double share = t->counters.shown > 0.0 ? t->counters.rejected / t->counters.shown : 0.0;
    p->loss.beta[0] = p->loss.beta[1] = pmp_objective_beta_auto(p->loss.alpha, share);
  }
  for (size_t i = 0; i < t->floats[PMP_BUFFER_DUAL]; i++)
    p->dual[i] = (double)t->buffer[PMP_BUFFER_DUAL][i];
  p->in = (struct pmp_objective_in){.n = n,
                                    .b = b,
                                    .parts = (uint32_t)parts,
                                    .kl_parts = (uint32_t)kl_parts,
                                    .lp = p->lp,
                                    .lp_ref = p->lp_ref,
                                    .kl = p->kl,
                                    .verdict = w->verdict,
                                    .weight = w->weight,
                                    .f = w->f,
                                    .cost = w->cost,
                                    .x_of_y = w->x_of_y,
                                    .dual = p->dual};
  t->objective->sums(&p->loss, &p->in);
  return PMP_OK;
}

bool pmp_trainer_informs(const struct pmp_trainer *t, const struct pmp_objective_in *in) {
  const struct pmp_objective_config *loss = &t->config.loss;
  if (t->objective->needs_f) return in->judged > 0.0;
  if (t->objective->pairs) return in->pairs > 0.0;
  if (strcmp(t->objective->name, "pmpo") != 0 || loss->kl == PMP_KL_BC) return in->outcomes > 0.0;
  return (loss->alpha > 0.0 && in->accepted > 0.0) || (loss->alpha < 1.0 && in->rejected > 0.0);
}

/* Leaves the rejected out: their set is said to be empty, which keeps everything else as it is. In
 * one pool the denominator stays, and the verdicts go. */
static void drop_rejected(const struct pmp_trainer *t, const struct pmp_trainer_work *w,
                          struct pass *p, struct pmp_step_metrics *m) {
  const bool pool =
      p->loss.averaging == PMP_AVERAGING_POOL && strcmp(t->objective->name, "pmpo") == 0;
  for (size_t j = 0; pool && j < w->n; j++) {
    if (w->verdict[j] < 0) w->verdict[j] = 0;
  }
  if (!pool) p->in.rejected = 0.0;
  m->skipped_rejected = true;
}

static void mean_kl(const struct pmp_trainer *t, const struct pmp_trainer_work *w,
                    const struct pass *p, struct pmp_step_metrics *m) {
  size_t k = p->in.kl_parts, first = p->in.parts == 1 ? k : k / 2;
  double sum[2] = {0.0, 0.0};
  for (size_t x = 0; x < w->b; x++) {
    for (size_t i = 0; i < k; i++) sum[i >= first] += p->kl[x * k + i];
  }
  m->kl[0] = sum[0] / (double)w->b;
  if (t->config.policy.dist.split) m->kl[1] = sum[1] / (double)w->b;
}

void pmp_trainer_describe(struct pmp_trainer *t, size_t b, const float *head,
                          struct pmp_step_metrics *m) {
  const struct pmp_dist *dist = &t->config.policy.dist;
  size_t mark = pmp_arena_mark(&t->arena);
  float *out = pmp_trainer_floats(t, b * dist->dim);
  double sum = 0.0;
  if (out != NULL && pmp_dist_entropy(dist, b, head, out) == PMP_OK) {
    for (size_t x = 0; x < b; x++) sum += (double)out[x];
    m->entropy = sum / (double)b;
  }
  if (out != NULL && pmp_dist_moments(dist, b, head, NULL, out) == PMP_OK) {
    sum = 0.0;
    for (size_t i = 0; i < b * dist->dim; i++) sum += (double)out[i];
    m->std = sum / (double)(b * dist->dim);
  }
  pmp_arena_release(&t->arena, mark);
}

bool pmp_trainer_has_sets(const struct pmp_trainer *t) {
  return strcmp(t->objective->name, "pmpo") == 0 || strcmp(t->objective->name, "boltzmann") == 0;
}

/* The guard on the distance: over kl_max the rejected are left out (skip) or the step is refused
 * (pause). Objectives that do not push away from rejected outcomes by themselves may go as far from
 * the reference as their own terms let them, but for pause. */
static enum pmp_err guard_kl(const struct pmp_trainer *t, const struct pmp_trainer_work *w,
                             struct pass *p, struct pmp_step_metrics *m, struct pmp_errmsg *msg) {
  double kl = m->kl[0] + (t->config.policy.dist.split ? m->kl[1] : 0.0);
  if (t->config.guard == PMP_GUARD_OFF || kl <= t->config.kl_max) return PMP_OK;
  if (t->config.guard == PMP_GUARD_PAUSE)
    return pmp_fail(msg, PMP_ENONFINITE, "the mean KL(ref||pi) is %g, above kl_max %g", kl,
                    t->config.kl_max);
  if (pmp_trainer_has_sets(t) && p->in.rejected > 0.0) drop_rejected(t, w, p, m);
  return PMP_OK;
}

/* What the losses' parts came to. */
static void note_losses(struct pmp_trainer *t, const struct pmp_objective_out *out,
                        struct pmp_step_metrics *m) {
  m->loss = out->loss;
  m->loss_accepted = out->accepted;
  m->loss_rejected = out->rejected;
  m->loss_kl = out->kl;
  if (t->floats[PMP_BUFFER_DUAL] > 0) m->loss_dual = out->dual;
  m->temperature = out->temperature;
}

static void note_pi(struct pmp_trainer *t, const struct pmp_trainer_work *w, const struct pass *p,
                    struct pmp_step_metrics *m) {
  mean_kl(t, w, p, m);
  if (strcmp(t->objective->name, "pmpo") == 0)
    m->kl_margin = pmp_objective_kl_margin(&p->loss, &p->in);
  pmp_trainer_describe(t, w->b, p->head, m);
}

/* p->dhead in two passes over the heads, with the guard and the objective between. */
static enum pmp_err learn_apart(struct pmp_trainer *t, struct pmp_trainer_work *w, struct pass *p,
                                struct pmp_step_metrics *m, struct pmp_errmsg *msg) {
  const struct pmp_dist *dist = &t->config.policy.dist;
  p->in.lp = p->lp;
  p->in.kl = p->kl;
  PMP_TRY(pmp_dist_forward(dist, w->b, w->n, p->head, w->ref_head, w->y, w->x_of_y, p->lp,
                           p->lp_ref, p->kl));
  note_pi(t, w, p, m);
  PMP_TRY(guard_kl(t, w, p, m, msg));
  struct pmp_objective_out out = {.temperature = NAN, .c = p->c, .w = p->b, .ddual = p->ddual};
  PMP_TRY(t->objective->eval(&p->loss, &p->in, &out));
  note_losses(t, &out, m);
  return pmp_dist_backward(dist, w->b, w->n, p->head, w->ref_head, w->y, w->x_of_y, p->c, p->b,
                           p->dhead);
}

/* The same in one, for objectives whose coefficients do not depend on pi. *done false: the guard
 * wants other coefficients, or something is not finite, and learn_apart finds out in its order. */
static enum pmp_err learn_at_once(struct pmp_trainer *t, struct pmp_trainer_work *w, struct pass *p,
                                  struct pmp_step_metrics *m, bool *done) {
  const struct pmp_trainer_config *c = &t->config;
  struct pmp_objective_out out = {.temperature = NAN, .c = p->c, .w = p->b, .ddual = p->ddual};
  *done = false;
  p->in.lp = p->in.kl = NULL;
  PMP_TRY(t->objective->eval(&p->loss, &p->in, &out));
  if (pmp_dist_fused(&c->policy.dist, w->b, w->n, p->head, w->ref_head, w->y, w->x_of_y, p->c, p->b,
                     p->lp, p->lp_ref, p->kl, p->dhead) != PMP_OK)
    return PMP_OK;
  mean_kl(t, w, p, m);
  if (c->guard != PMP_GUARD_OFF &&
      !(m->kl[0] + (c->policy.dist.split ? m->kl[1] : 0.0) <= c->kl_max))
    return PMP_OK;
  p->in.lp = p->lp;
  p->in.kl = p->kl;
  note_pi(t, w, p, m);
  out = (struct pmp_objective_out){.temperature = NAN}; /* the losses alone */
  PMP_TRY(t->objective->eval(&p->loss, &p->in, &out));
  note_losses(t, &out, m);
  *done = true;
  return PMP_OK;
}

enum pmp_err pmp_trainer_learn_policy(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                      bool without, struct pmp_step_metrics *m,
                                      struct pmp_errmsg *msg) {
  const float *pi = t->buffer[PMP_BUFFER_PI];
  const size_t duals = t->floats[PMP_BUFFER_DUAL];
  bool done = false;
  struct pass p;
  PMP_TRY(pass_init(t, w, &p));
  m->informative = pmp_trainer_informs(t, &p.in);
  if (without) drop_rejected(t, w, &p, m);
  PMP_TRY(pmp_policy_forward(&t->policy, &t->compute, pi, w->b, w->x, p.cache, p.head));
  if (!t->objective->needs_lp) PMP_TRY(learn_at_once(t, w, &p, m, &done));
  if (!done) PMP_TRY(learn_apart(t, w, &p, m, msg));
  for (size_t i = 0; i < duals; i++) t->dual_grad[i] = (float)p.ddual[i];
  memset(t->pi_grad, 0, t->floats[PMP_BUFFER_PI] * sizeof(float));
  PMP_TRY(
      pmp_policy_backward(&t->policy, &t->compute, pi, w->b, w->x, p.cache, p.dhead, t->pi_grad));
  return pmp_trainer_all_finite(t->pi_grad, t->floats[PMP_BUFFER_PI]) &&
                 pmp_trainer_all_finite(t->dual_grad, duals)
             ? PMP_OK
             : PMP_ENONFINITE;
}
