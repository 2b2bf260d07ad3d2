/* DPO and IPO: which outcomes make a pair, and the results of Azar et al. 2023 that a correct
 * implementation reproduces by training (objectives.md 6), on a table of actions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "learner/objective/objective.h"
#include "learner/objective/preference.h"
#include "learner/optim/adam.h"
#include "policy/dist/dist.h"

#define ACTIONS 5
#define PAIRS 32

/* ---------------------------------------------------------------- which pairs */

/* The pairs that DPO saw: the winner's and the loser's index, in c's signs; h is 0 in each. */
struct seen {
  double c[16];
  double pairs, loss;
};

static struct seen look(uint32_t pairs, size_t b, size_t n, const double *f, const int8_t *verdict,
                        const double *weight) {
  static const double lp[16] = {0.0};
  struct seen s = {0};
  struct pmp_objective_config config = pmp_objective_config_default();
  config.pairs = pairs;
  config.tau = 1.0;
  struct pmp_objective_in in = {.n = n,
                                .b = b,
                                .parts = 1,
                                .kl_parts = 1,
                                .lp = lp,
                                .lp_ref = lp,
                                .verdict = verdict,
                                .weight = weight,
                                .f = f};
  struct pmp_objective_out out = {.c = s.c};
  const struct pmp_objective *o = pmp_objective_find("dpo");
  o->sums(&config, &in);
  assert_int_equal(o->eval(&config, &in, &out), PMP_OK);
  s.pairs = in.pairs;
  s.loss = out.loss;
  return s;
}

static void expect(const struct seen *s, size_t n, const double *c) {
  for (size_t j = 0; j < n; j++) {
    if (fabs(s->c[j] - c[j]) > 1e-15) fail_msg("c[%zu] is %g, not %g", j, s->c[j], c[j]);
  }
}

#define EXPECT(s, ...)                                                                             \
  expect(&(s), sizeof(double[]){__VA_ARGS__} / sizeof(double), (const double[]){__VA_ARGS__})

static void test_pairs_by_evaluation(void **state) {
  (void)state;
  const int8_t none[8] = {0};
  const double f[] = {3.0, -1.0, 7.0, 2.0};
  struct seen s = look(1, 1, 4, f, none, NULL);
  assert_true(s.pairs == 1.0 && fabs(s.loss - log(2.0)) < 1e-15);
  EXPECT(s, 0.0, 0.5, -0.5, 0.0);
  s = look(2, 1, 4, f, none, NULL);
  EXPECT(s, -0.25, 0.25, -0.25, 0.25);
  s = look(9, 1, 4, f, none, NULL); /* no third pair, and no outcome twice */
  EXPECT(s, -0.25, 0.25, -0.25, 0.25);
  /* Of equal ones the earlier is the better. */
  const double equal[] = {1.0, 1.0, 1.0, 1.0, 1.0};
  s = look(2, 1, 5, equal, none, NULL);
  EXPECT(s, -0.25, -0.25, 0.0, 0.25, 0.25);
  /* What is not evaluated stands aside; one evaluation makes no pair, and no verdict is asked. */
  const double gaps[] = {NAN, 1.0, NAN, 2.0, NAN, 5.0, NAN, NAN};
  const int8_t verdict[] = {1, -1, 1, -1, 1, -1, 1, -1};
  s = look(1, 2, 8, gaps, verdict, NULL);
  assert_true(s.pairs == 1.0);
  EXPECT(s, 0.0, 0.5, 0.0, -0.5, 0.0, 0.0, 0.0, 0.0);
  /* Weight 0 is not there; a pair weighs the geometric mean. */
  const double weight[] = {1.0, 4.0, 0.0, 9.0};
  s = look(1, 1, 4, f, none, weight);
  assert_true(s.pairs == 2.0);
  EXPECT(s, -0.5, 0.5, 0.0, 0.0);
}

static void test_pairs_by_verdict(void **state) {
  (void)state;
  const int8_t verdict[] = {-1, 1, 0, 1, -1, -1, 1, 1};
  struct seen s = look(2, 2, 8, NULL, verdict, NULL);
  assert_true(s.pairs == 3.0);
  const double sixth = 0.5 / 3.0;
  EXPECT(s, sixth, -sixth, 0.0, 0.0, sixth, sixth, -sixth, -sixth);
  s = look(1, 1, 8, NULL, verdict, NULL);
  EXPECT(s, 0.5, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
  s = look(4, 1, 8, NULL, verdict, NULL);
  assert_true(s.pairs == 3.0);
  /* A condition of one verdict has no pair and is not counted. */
  const int8_t some[] = {1, 1, 1, -1};
  s = look(1, 2, 4, NULL, some, NULL);
  assert_true(s.pairs == 1.0);
  EXPECT(s, 0.0, 0.0, -0.5, 0.5);
  const int8_t all[] = {1, 1, 0, 1};
  s = look(1, 2, 4, NULL, all, NULL);
  assert_true(s.pairs == 0.0 && s.loss == 0.0);
  EXPECT(s, 0.0, 0.0, 0.0, 0.0);
}

/* A group at the limit, i-th best with i-th worst, against a sort. */
static void test_large_group(void **state) {
  (void)state;
  enum { M = 4096 };
  static double f[M], c[M], lp[M];
  static int8_t verdict[M];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 41, 0);
  for (size_t j = 0; j < M; j++) f[j] = (double)pmp_rng_below(&rng, 50);
  struct pmp_objective_config config = pmp_objective_config_default();
  config.pairs = 20;
  struct pmp_objective_in in = {.n = M,
                                .b = 1,
                                .parts = 1,
                                .kl_parts = 1,
                                .lp = lp,
                                .lp_ref = lp,
                                .verdict = verdict,
                                .f = f};
  struct pmp_objective_out out = {.c = c};
  const struct pmp_objective *o = pmp_objective_find("ipo");
  o->sums(&config, &in);
  assert_int_equal(o->eval(&config, &in, &out), PMP_OK);
  assert_true(in.pairs == 20.0);
  for (size_t j = 0; j < M; j++) {
    size_t before = 0;
    for (size_t i = 0; i < M; i++) before += f[i] > f[j] || (f[i] == f[j] && i < j);
    assert_true((c[j] < 0.0) == (before < 20));
    assert_true((c[j] > 0.0) == (before >= M - 20));
  }
}

/* log(1 + exp(-z)) far from 0, and its slope. */
static void test_stable(void **state) {
  (void)state;
  const int8_t verdict[] = {1, -1};
  const double ref[] = {0.0, 0.0}, apart[] = {1e-300, 1.0, 40.0, 800.0, 1e6};
  struct pmp_objective_config config = pmp_objective_config_default();
  config.tau = 1.0;
  const struct pmp_objective *o = pmp_objective_find("dpo");
  for (size_t i = 0; i < 5; i++) {
    double lp[] = {-apart[i], 0.0}, c[2];
    struct pmp_objective_in in = {
        .n = 2, .b = 1, .parts = 1, .kl_parts = 1, .lp = lp, .lp_ref = ref, .verdict = verdict};
    struct pmp_objective_out out = {.c = c};
    o->sums(&config, &in);
    assert_int_equal(o->eval(&config, &in, &out), PMP_OK);
    const double lost = apart[i] > 1.0 ? apart[i] + exp(-apart[i]) : log(1.0 + exp(apart[i]));
    assert_true(fabs(out.loss - lost) <= 1e-15 * lost);
    assert_true(fabs(c[0] + 1.0 / (1.0 + exp(-apart[i]))) < 1e-15);
    lp[0] = apart[i];
    assert_int_equal(o->eval(&config, &in, &out), PMP_OK);
    const double won = apart[i] > 30.0 ? exp(-apart[i]) : log(1.0 + exp(-apart[i]));
    assert_true(fabs(out.loss - won) <= 1e-15 * (won + 1e-15));
    assert_true(c[0] <= 0.0 && c[1] == -c[0]);
  }
}

/* ---------------------------------------------------------------- training */

/* Winners and losers among a few actions, each pair a condition with a copy of the one policy. */
struct table {
  uint32_t actions;
  size_t pairs;
  uint32_t winner[PAIRS], loser[PAIRS];
  double weight[PAIRS];
  float ref[ACTIONS], head[ACTIONS];
};

/* Gradient of the chosen pairs' loss on the one row of logits. */
static void gradient(const struct table *t, const char *name, double tau, size_t n,
                     const size_t *chosen, float *dhead) {
  const struct pmp_dist dist = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = t->actions, .low = -1.0f, .high = 1.0f};
  static float heads[PAIRS * ACTIONS], refs[PAIRS * ACTIONS], dheads[PAIRS * ACTIONS], y[2 * PAIRS];
  static double lp[2 * PAIRS], lp_ref[2 * PAIRS], kl[PAIRS], c[2 * PAIRS], w[PAIRS];
  static double weight[2 * PAIRS];
  static int8_t verdict[2 * PAIRS];
  for (size_t i = 0; i < n; i++) {
    const size_t pair = chosen != NULL ? chosen[i] : i;
    memcpy(heads + i * t->actions, t->head, t->actions * sizeof(float));
    memcpy(refs + i * t->actions, t->ref, t->actions * sizeof(float));
    y[2 * i] = (float)t->winner[pair];
    y[2 * i + 1] = (float)t->loser[pair];
    weight[2 * i] = weight[2 * i + 1] = t->weight[pair];
    verdict[2 * i] = 1;
    verdict[2 * i + 1] = -1;
  }
  struct pmp_objective_config config = pmp_objective_config_default();
  config.tau = tau;
  struct pmp_objective_in in = {.n = 2 * n,
                                .b = n,
                                .parts = 1,
                                .kl_parts = 1,
                                .lp = lp,
                                .lp_ref = lp_ref,
                                .kl = kl,
                                .verdict = verdict,
                                .weight = weight};
  struct pmp_objective_out out = {.c = c, .w = w};
  const struct pmp_objective *o = pmp_objective_find(name);
  o->sums(&config, &in);
  assert_int_equal(pmp_dist_forward(&dist, n, 2 * n, heads, refs, y, NULL, lp, lp_ref, kl), PMP_OK);
  assert_int_equal(o->eval(&config, &in, &out), PMP_OK);
  assert_int_equal(pmp_dist_backward(&dist, n, 2 * n, heads, refs, y, NULL, c, w, dheads), PMP_OK);
  for (size_t v = 0; v < t->actions; v++) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)dheads[i * t->actions + v];
    dhead[v] = (float)sum;
  }
}

/* Adam from ref. batch 0: all pairs in each step. lr 0.01; for IPO, which has a place to come to
 * rest, it falls to nothing in the last third. */
static void train(struct table *t, const char *name, double tau, size_t batch, int steps,
                  struct pmp_rng *rng) {
  float m[ACTIONS] = {0.0f}, v[ACTIONS] = {0.0f}, dhead[ACTIONS];
  struct pmp_adam adam = {m, v, t->actions, 0};
  const bool rests = strcmp(name, "ipo") == 0;
  struct pmp_adam_config config = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
  memcpy(t->head, t->ref, sizeof t->head);
  for (int s = 0; s < steps; s++) {
    size_t chosen[PAIRS];
    for (size_t i = 0; i < batch; i++) chosen[i] = pmp_rng_below(rng, t->pairs);
    gradient(t, name, tau, batch > 0 ? batch : t->pairs, batch > 0 ? chosen : NULL, dhead);
    config.lr = 0.01f;
    if (rests) config.lr *= fminf(1.0f, 3.0f * (1.0f - (float)s / (float)steps));
    assert_int_equal(pmp_adam_step(&adam, &config, t->head, dhead, NULL), PMP_OK);
  }
}

static double share(const struct table *t, uint32_t action) {
  double sum = 0.0;
  for (size_t v = 0; v < t->actions; v++) {
    sum += exp((double)t->head[v] - (double)t->head[action]);
  }
  return 1.0 / sum;
}

static double apart(const struct table *t, uint32_t i, uint32_t j) {
  return (double)t->head[i] - (double)t->head[j];
}

static void must_near(const char *what, double tau, double have, double want, double tolerance) {
  if (!(fabs(have - want) <= tolerance)) {
    fail_msg("%s at tau %g: %g, not %g", what, tau, have, want);
  }
}

static void test_two_actions(void **state) {
  (void)state;
  static struct table t = {.actions = 2, .pairs = 1, .winner = {0}, .loser = {1}, .weight = {1.0}};
  const double tau[] = {0.1, 0.5, 1.0, 5.0};
  for (size_t i = 0; i < 4; i++) {
    train(&t, "ipo", tau[i], 0, 3000, NULL);
    must_near("IPO pi(y1)", tau[i], share(&t, 0), 1.0 / (1.0 + exp(-0.5 / tau[i])), 1e-4);
    train(&t, "dpo", tau[i], 0, 3000, NULL);
    const double early = share(&t, 0);
    train(&t, "dpo", tau[i], 0, 18000, NULL);
    if (!(early > 0.85 && share(&t, 0) > early && share(&t, 0) > 0.95)) {
      fail_msg("DPO at tau %g: %g, then %g", tau[i], early, share(&t, 0));
    }
  }
}

/* D1 = {(a,b),(b,c),(a,c)}, batches of 9 drawn with replacement, 18000 steps. */
static void test_d1(void **state) {
  (void)state;
  static struct table t = {
      .actions = 3, .pairs = 3, .winner = {0, 1, 0}, .loser = {1, 2, 2}, .weight = {1.0, 1.0, 1.0}};
  const double tau[] = {0.1, 0.5, 1.0, 5.0};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 42, 0);
  for (size_t i = 0; i < 4; i++) {
    const double step = 1.0 / (3.0 * tau[i]);
    train(&t, "ipo", tau[i], 0, 18000, &rng);
    must_near("IPO a - b", tau[i], apart(&t, 0, 1), step, 1e-3);
    must_near("IPO b - c", tau[i], apart(&t, 1, 2), step, 1e-3);
    train(&t, "ipo", tau[i], 9, 18000, &rng);
    must_near("IPO a - b, sampled", tau[i], apart(&t, 0, 1), step, 0.05 * step);
    must_near("IPO b - c, sampled", tau[i], apart(&t, 1, 2), step, 0.05 * step);
    train(&t, "dpo", tau[i], 9, 18000, &rng);
    if (!(share(&t, 0) >= 0.95)) fail_msg("DPO pi(a) at tau %g: %g", tau[i], share(&t, 0));
  }
}

/* D3 = {(a,b),(b,a)} as printed: no pairwise loss moves c. */
static void test_d3_as_printed(void **state) {
  (void)state;
  static struct table t = {
      .actions = 3, .pairs = 2, .winner = {0, 1}, .loser = {1, 0}, .weight = {1.0, 1.0}};
  const char *const names[] = {"dpo", "ipo"};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 43, 0);
  for (size_t i = 0; i < 2; i++) {
    for (int round = 0; round < 100; round++) {
      float dhead[3] = {999.0f, 999.0f, 999.0f};
      for (size_t v = 0; v < 3; v++) t.head[v] = 4.0f * pmp_rng_float(&rng);
      gradient(&t, names[i], 0.5, 2, NULL, dhead);
      assert_true(fabsf(dhead[2]) < 1e-7f && fabsf(dhead[0]) > 1e-4f);
    }
    train(&t, names[i], 0.5, 0, 3000, NULL);
    must_near("pi(c)", 0.5, share(&t, 2), 1.0 / 3.0, 1e-6);
  }
}

/* D3' = {(a,b),(b,a),(a,c),(b,c)}: c never wins. */
static void test_d3_amended(void **state) {
  (void)state;
  static struct table t = {.actions = 3,
                           .pairs = 4,
                           .winner = {0, 1, 0, 1},
                           .loser = {1, 0, 2, 2},
                           .weight = {1.0, 1.0, 1.0, 1.0}};
  const double tau[] = {0.1, 1.0, 5.0}, left[] = {0.003, 0.233, 0.311};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 44, 0);
  for (size_t i = 0; i < 3; i++) {
    train(&t, "dpo", tau[i], 9, 18000, &rng);
    if (!(share(&t, 2) < 0.03)) fail_msg("DPO pi(c) at tau %g: %g", tau[i], share(&t, 2));
    train(&t, "ipo", tau[i], 0, 6000, &rng);
    must_near("IPO a - b", tau[i], apart(&t, 0, 1), 0.0, 1e-3);
    must_near("IPO a - c", tau[i], apart(&t, 0, 2), 0.5 / tau[i], 1e-3);
    must_near("IPO pi(c)", tau[i], share(&t, 2), left[i], 6e-4);
  }
}

/* ---------------------------------------------------------------- exact solutions */

struct preference {
  double ref[ACTIONS], mu[ACTIONS], p[ACTIONS * ACTIONS], pi[ACTIONS];
};

/* Every ordered pair, weighing as often as it is drawn and won. */
static void draw(struct table *t, struct preference *q, struct pmp_rng *rng, bool by_reward) {
  const size_t n = 2 + pmp_rng_below(rng, ACTIONS - 1);
  double reward[ACTIONS], ref = 0.0, mu = 0.0;
  memset(t, 0, sizeof *t);
  t->actions = (uint32_t)n;
  for (size_t v = 0; v < n; v++) {
    t->ref[v] = (float)pmp_rng_normal(rng);
    reward[v] = pmp_rng_normal(rng);
    ref += q->ref[v] = exp((double)t->ref[v]);
    mu += q->mu[v] = 0.1 + pmp_rng_double(rng);
  }
  for (size_t v = 0; v < n; v++) {
    q->ref[v] /= ref;
    q->mu[v] /= mu;
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j <= i; j++) {
      const double any = pmp_rng_double(rng), logit = reward[i] - reward[j];
      q->p[i * n + j] = i == j ? 0.5 : by_reward ? 1.0 / (1.0 + exp(-logit)) : any;
      q->p[j * n + i] = 1.0 - q->p[i * n + j];
    }
  }
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t j = 0; j < n; j++) {
      if (i == j) continue;
      t->winner[t->pairs] = i;
      t->loser[t->pairs] = j;
      t->weight[t->pairs++] = q->mu[i] * q->mu[j] * q->p[i * n + j];
    }
  }
}

/* PsiPO with the identity is IPO's minimiser for any p; with the logit it is DPO's where p comes
 * from rewards. */
static void test_psipo(void **state) {
  (void)state;
  static struct table t;
  static struct preference q;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 45, 0);
  for (int round = 0; round < 300; round++) {
    const bool logit = round % 2 == 1;
    const double tau = 0.2 + 2.0 * pmp_rng_double(&rng);
    draw(&t, &q, &rng, logit);
    assert_int_equal(pmp_psipo_solve(logit ? PMP_PSI_LOGIT : PMP_PSI_IDENTITY, t.actions, q.ref,
                                     q.mu, q.p, tau, false, q.pi, NULL),
                     PMP_OK);
    float dhead[ACTIONS];
    for (size_t v = 0; v < t.actions; v++) t.head[v] = (float)log(q.pi[v]);
    gradient(&t, logit ? "dpo" : "ipo", tau, t.pairs, NULL, dhead);
    for (size_t v = 0; v < t.actions; v++) assert_true(fabsf(dhead[v]) < 5e-6f);
    t.head[0] += 0.3f;
    gradient(&t, logit ? "dpo" : "ipo", tau, t.pairs, NULL, dhead);
    assert_true(dhead[0] > 1e-4f);
    if (round >= 24) continue;
    train(&t, logit ? "dpo" : "ipo", tau, 0, 4000, NULL);
    for (uint32_t v = 0; v < t.actions; v++) {
      must_near(logit ? "DPO's pi" : "IPO's pi", tau, share(&t, v), q.pi[v], 1e-3);
    }
  }
}

/* tau (h - 1/(2 tau))^2 = -h + tau h^2 + const: PMPO's policy term at alpha 1/2 is one half of the
 * linear part of tau times IPO's. */
static void test_link(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 46, 0);
  for (int round = 0; round < 200; round++) {
    const double tau = 0.05 + 3.0 * pmp_rng_double(&rng);
    double lp[8], ref[8], by_pmpo[8], by_ipo[8], h[4], square = 0.0;
    int8_t verdict[8];
    for (size_t j = 0; j < 8; j++) {
      lp[j] = pmp_rng_normal(&rng);
      ref[j] = pmp_rng_normal(&rng);
      verdict[j] = j % 2 == 0 ? 1 : -1;
    }
    struct pmp_objective_config config = pmp_objective_config_default();
    config.tau = tau;
    config.beta[0] = 0.0;
    struct pmp_objective_in in = {
        .n = 8, .b = 4, .parts = 1, .kl_parts = 1, .lp = lp, .lp_ref = ref, .verdict = verdict};
    struct pmp_objective_out pmpo = {.c = by_pmpo}, ipo = {.c = by_ipo}, base = {0};
    pmp_objective_find("ipo")->sums(&config, &in);
    assert_int_equal(pmp_objective_find("pmpo")->eval(&config, &in, &pmpo), PMP_OK);
    assert_int_equal(pmp_objective_find("ipo")->eval(&config, &in, &ipo), PMP_OK);
    in.lp = ref; /* the constant of PMPO's term */
    assert_int_equal(pmp_objective_find("pmpo")->eval(&config, &in, &base), PMP_OK);
    for (size_t x = 0; x < 4; x++) {
      h[x] = lp[2 * x] - ref[2 * x] - lp[2 * x + 1] + ref[2 * x + 1];
      square += h[x] * h[x] / 4.0;
      const double linear = tau * by_ipo[2 * x] - 2.0 * tau * h[x] / 4.0;
      assert_true(fabs(by_pmpo[2 * x] - 0.5 * linear) < 1e-12);
      assert_true(by_pmpo[2 * x + 1] == -by_pmpo[2 * x]);
    }
    const double linear = tau * ipo.loss - tau * square - 0.25 / tau;
    assert_true(fabs(pmpo.loss - base.loss - 0.5 * linear) < 1e-9);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pairs_by_evaluation),
      cmocka_unit_test(test_pairs_by_verdict),
      cmocka_unit_test(test_large_group),
      cmocka_unit_test(test_stable),
      cmocka_unit_test(test_two_actions),
      cmocka_unit_test(test_d1),
      cmocka_unit_test(test_d3_as_printed),
      cmocka_unit_test(test_d3_amended),
      cmocka_unit_test(test_psipo),
      cmocka_unit_test(test_link),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
