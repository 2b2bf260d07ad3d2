/* One random batch for any objective, edges among them: empty conditions, weights and evaluations
 * that are missing or equal, one-sided verdicts. make_objective.py draws the same ones. */
#ifndef PMP_TESTS_PARITY_LEARNER_OBJECTIVE_BATCH_H
#define PMP_TESTS_PARITY_LEARNER_OBJECTIVE_BATCH_H

#include "tests/parity/learner/golden.h"

#include "base/rng.h"
#include "learner/objective/objective.h"

#include <string.h>

#define BATCH_N 40 /* outcomes drawn at most; arrays hold three times as many, for doubling */
#define BATCH_B 5
#define BATCH_K 6
#define BATCH_D (2 + BATCH_K)
#define BATCH_ROWS (3 * BATCH_N)
#define BATCH_CONDITIONS (3 * BATCH_B)

struct batch {
  const struct pmp_objective *objective;
  struct pmp_objective_config config;
  struct pmp_objective_in in;
  struct pmp_objective_out out;
  double lp[2 * BATCH_ROWS], lp_ref[2 * BATCH_ROWS], kl[BATCH_CONDITIONS * BATCH_K], dual[BATCH_D];
  double weight[BATCH_ROWS], f[BATCH_ROWS], cost[BATCH_ROWS];
  int8_t verdict[BATCH_ROWS];
  uint32_t x_of_y[BATCH_ROWS];
  double along_c[2 * BATCH_ROWS], along_w[BATCH_CONDITIONS * BATCH_K], along_d[BATCH_D];
  double c[2 * BATCH_ROWS], w[BATCH_CONDITIONS * BATCH_K], ddual[BATCH_D];
};

static inline double batch_pick(struct pmp_rng *r, size_t n, const double *values) {
  return values[pmp_rng_below(r, n)];
}

#define PICK(r, ...)                                                                               \
  batch_pick(r, sizeof(double[]){__VA_ARGS__} / sizeof(double), (const double[]){__VA_ARGS__})

static inline void batch_draw_shape(struct batch *t, struct pmp_rng *r, bool joint) {
  t->in.parts = t->in.kl_parts = 1;
  if (!joint && pmp_rng_below(r, 2) == 1) {
    t->in.parts = 2;
    t->in.kl_parts = 2 * (1 + (uint32_t)pmp_rng_below(r, 3));
  }
  t->in.b = 1 + pmp_rng_below(r, 5);
  const bool ragged = pmp_rng_below(r, 2) == 1;
  const size_t per = 1 + pmp_rng_below(r, 6);
  for (size_t x = 0; x < t->in.b; x++) {
    const size_t count = ragged ? pmp_rng_below(r, 8) : per;
    for (size_t i = 0; i < count; i++) t->x_of_y[t->in.n++] = (uint32_t)x;
  }
  t->in.x_of_y = ragged ? t->x_of_y : NULL;
}

static inline void batch_draw_rows(struct batch *t, struct pmp_rng *r) {
  const bool weighted = pmp_rng_below(r, 2) == 1;
  const uint64_t verdicts = pmp_rng_below(r, 4), grades = pmp_rng_below(r, 5);
  const double scale_f = PICK(r, 0.01, 1.0, 100.0), scale_lp = PICK(r, 1.0, 10.0, 1000.0);
  const double scale_kl = PICK(r, 0.01, 1.0, 100.0);
  for (size_t j = 0; j < t->in.n; j++) {
    const double w = pmp_rng_double(r);
    const int v = (int)pmp_rng_below(r, 3) - 1;
    const double f = pmp_rng_double(r), grade = (double)pmp_rng_below(r, 4);
    const double cost = pmp_rng_double(r);
    t->weight[j] = weighted ? (w < 0.1 ? 0.0 : 2.0 * w) : 1.0;
    t->verdict[j] = (int8_t)(verdicts == 0 && v < 0 ? 0 : verdicts == 1 && v > 0 ? 0 : v);
    const double by_grade[] = {(f - 0.5) * scale_f, grade * scale_f, grade == 0.0 ? (double)NAN : f,
                               0.25, (double)NAN};
    t->f[j] = by_grade[grades];
    t->cost[j] = fmax(cost - 0.5, 0.0) * scale_f;
  }
  t->in.weight = weighted ? t->weight : NULL;
  t->in.f = t->objective->needs_f || pmp_rng_below(r, 2) == 1 ? t->f : NULL;
  for (size_t i = 0; i < t->in.n * t->in.parts; i++) t->lp[i] = -scale_lp * pmp_rng_double(r);
  for (size_t i = 0; i < t->in.n * t->in.parts; i++) t->lp_ref[i] = -scale_lp * pmp_rng_double(r);
  for (size_t i = 0; i < t->in.b * t->in.kl_parts; i++) t->kl[i] = scale_kl * pmp_rng_double(r);
}

static inline void batch_draw_config(struct pmp_objective_config *c, struct pmp_rng *r) {
  const double any = pmp_rng_double(r);
  c->alpha = PICK(r, 0.0, 0.25, 0.5, any, 1.0);
  for (size_t p = 0; p < 2; p++) c->beta[p] = PICK(r, 0.0, 0.3, 0.5, 2.0, 100.0);
  c->averaging = pmp_rng_below(r, 2) == 1 ? PMP_AVERAGING_POOL : PMP_AVERAGING_SETS;
  c->kl = pmp_rng_below(r, 3) == 2 ? PMP_KL_BC : PMP_KL_EXACT;
  c->kl_by_state =
      pmp_rng_below(r, 2) == 1 && c->averaging == PMP_AVERAGING_SETS && c->kl == PMP_KL_EXACT;
  c->eta = PICK(r, 0.01, 0.5, 10.0);
  c->tau = PICK(r, 0.01, 0.1, 1.0, 5.0);
  c->pairs = 1 + (uint32_t)pmp_rng_below(r, 3);
  c->eps = PICK(r, 0.001, 0.1, 0.5);
  c->eps_mean = PICK(r, 0.0025, 0.1);
  c->eps_std = PICK(r, 1e-6, 0.01);
  c->eps_penalty = PICK(r, 0.0, 0.001, 0.1);
  c->eta_exact = pmp_rng_below(r, 3) == 0;
}

/* Points `in` to the arrays that are there, and `out` too; everything that eval writes says 999. */
static inline void batch_wire(struct batch *t) {
  t->in.lp = t->lp;
  t->in.lp_ref = t->lp_ref;
  t->in.kl = t->kl;
  t->in.dual = t->dual;
  t->in.cost = t->cost;
  t->in.verdict = t->verdict;
  if (t->in.x_of_y != NULL) t->in.x_of_y = t->x_of_y;
  if (t->in.weight != NULL) t->in.weight = t->weight;
  if (t->in.f != NULL) t->in.f = t->f;
  for (size_t k = 0; k < 2 * BATCH_ROWS; k++) t->c[k] = 999.0;
  for (size_t k = 0; k < BATCH_CONDITIONS * BATCH_K; k++) t->w[k] = 999.0;
  for (size_t k = 0; k < BATCH_D; k++) t->ddual[k] = 999.0;
  t->out = (struct pmp_objective_out){.loss = 999.0,
                                      .accepted = 999.0,
                                      .rejected = 999.0,
                                      .kl = 999.0,
                                      .dual = 999.0,
                                      .c = t->c,
                                      .w = t->w,
                                      .ddual = t->ddual};
}

/* Batch i of a seed for an objective, wired, with its own denominators. */
static inline void batch_draw(struct batch *t, const struct pmp_objective *objective, uint64_t seed,
                              size_t i) {
  struct pmp_rng r;
  pmp_rng_init(&r, seed, i);
  memset(t, 0, sizeof *t);
  t->objective = objective;
  batch_draw_shape(t, &r, t->objective->joint_only);
  batch_draw_rows(t, &r);
  batch_draw_config(&t->config, &r);
  const size_t cs = t->in.n * t->in.parts, ws = t->in.b * t->in.kl_parts, ds = 2 + t->in.kl_parts;
  for (size_t k = 0; k < ds; k++) t->dual[k] = 24.0 * pmp_rng_double(&r) - 20.0;
  for (size_t k = 0; k < cs; k++) t->along_c[k] = 2.0 * pmp_rng_double(&r) - 1.0;
  for (size_t k = 0; k < ws; k++) t->along_w[k] = 2.0 * pmp_rng_double(&r) - 1.0;
  for (size_t k = 0; k < ds; k++) t->along_d[k] = 2.0 * pmp_rng_double(&r) - 1.0;
  batch_wire(t);
  t->objective->sums(&t->config, &t->in);
}

static inline size_t batch_duals(const struct batch *t) {
  if (t->objective->duals == NULL) return 0;
  return t->objective->duals(&t->config, t->in.parts, t->in.kl_parts);
}

/* eval, which must succeed, write every cell and none beyond. */
static inline void batch_eval(struct batch *t) {
  batch_wire(t);
  assert_int_equal(t->objective->eval(&t->config, &t->in, &t->out), PMP_OK);
  const size_t cs = t->in.n * t->in.parts, ws = t->in.b * t->in.kl_parts, ds = batch_duals(t);
  const struct {
    const double *at;
    size_t used, all;
  } array[] = {
      {t->c, cs, 2 * BATCH_ROWS}, {t->w, ws, BATCH_CONDITIONS * BATCH_K}, {t->ddual, ds, BATCH_D}};
  for (size_t i = 0; i < 3; i++) {
    for (size_t k = 0; k < array[i].all; k++) {
      assert_true((array[i].at[k] == 999.0) == (k >= array[i].used)); /* NaN counts as written */
    }
  }
  const double sum = t->out.accepted + t->out.rejected + t->out.kl + t->out.dual;
  assert_true(fabs(t->out.loss - sum) <= 1e-12 * fmax(1.0, fabs(sum)));
}

#endif
