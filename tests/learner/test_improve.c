/* The closed form against its own definition (the split loss is stationary there), against sums
 * done by hand, under maps of the outcomes, at the edges; and what the rule with memory reaches. */
#include "base/rng.h"
#include "learner/improve/improve.h"
#include "learner/improve/matrix.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DIM_MAX = 6, NATURAL_MAX = DIM_MAX + DIM_MAX * DIM_MAX, STATE_MAX = 400, MANY = 24 };

static struct pmp_improve_config plain(enum pmp_improve_kind kind, uint32_t dim, double alpha,
                                       double beta_mean, double beta_cov) {
  return (struct pmp_improve_config){.kind = kind,
                                     .rule = PMP_IMPROVE_PLAIN,
                                     .dim = dim,
                                     .alpha = alpha,
                                     .beta_mean = beta_mean,
                                     .beta_cov = beta_cov,
                                     .eigen_min = 1e-6,
                                     .eigen_max = 1e6};
}

/* An empty state with 999 after its end. */
static void begin(const struct pmp_improve_config *c, double *state) {
  for (int i = 0; i < STATE_MAX; i++) state[i] = 999;
  assert_int_equal(pmp_improve_check(c, NULL), PMP_OK);
  assert_true(pmp_improve_doubles(c) < STATE_MAX);
  pmp_improve_init(c, state);
}

static void ended(const struct pmp_improve_config *c, const double *state) {
  for (size_t i = pmp_improve_doubles(c); i < STATE_MAX; i++) assert_true(state[i] == 999);
}

static void random_policy(struct pmp_rng *rng, const struct pmp_improve_config *c,
                          double *natural) {
  const size_t n = c->dim;
  memset(natural, 0, pmp_improve_natural(c) * sizeof *natural);
  for (size_t i = 0; i < n; i++) {
    natural[i] = 3 * pmp_rng_normal(rng);
    double spread = exp(pmp_rng_normal(rng));
    if (c->kind == PMP_IMPROVE_DIAG_GAUSSIAN) natural[n + i] = spread;
    if (c->kind != PMP_IMPROVE_GAUSSIAN) continue;
    for (size_t k = 0; k < i; k++) natural[n + i * n + k] = pmp_rng_normal(rng);
    natural[n + i * n + i] = spread;
  }
}

static void draw(struct pmp_rng *rng, const struct pmp_improve_config *c, const double *natural,
                 size_t count, double *y) {
  const size_t n = c->dim;
  for (size_t j = 0; j < count; j++) {
    double z[DIM_MAX];
    for (size_t i = 0; i < n; i++) {
      z[i] = pmp_rng_normal(rng);
      y[j * n + i] = natural[i];
      if (c->kind == PMP_IMPROVE_DIAG_GAUSSIAN) y[j * n + i] += natural[n + i] * z[i];
      for (size_t k = 0; c->kind == PMP_IMPROVE_GAUSSIAN && k <= i; k++)
        y[j * n + i] += natural[n + i * n + k] * z[k];
    }
  }
}

static void near(double a, double b, double tolerance, const char *what) {
  if (fabs(a - b) <= tolerance * fmax(1, fmax(fabs(a), fabs(b)))) return;
  fail_msg("%s: %.17g is not %.17g", what, a, b);
}

/* C = L L' (n x n) of a policy of either Gaussian kind. */
static void covariance(const struct pmp_improve_config *c, const double *natural, double *out) {
  const size_t n = c->dim;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++) {
      double sum =
          i == k && c->kind == PMP_IMPROVE_DIAG_GAUSSIAN ? natural[n + i] * natural[n + i] : 0;
      for (size_t e = 0; c->kind == PMP_IMPROVE_GAUSSIAN && e < n; e++)
        sum += natural[n + i * n + e] * natural[n + k * n + e];
      out[i * n + k] = sum;
    }
}

/* ---------------------------------------------------------------- the definition */

/* ln N(y; m, C) in two dimensions, by the inverse written out. c: C11, C12, C22. */
static double log_normal2(const double *y, const double *m, const double *c) {
  const double det = c[0] * c[2] - c[1] * c[1], a = y[0] - m[0], b = y[1] - m[1];
  return -log(6.283185307179586) - 0.5 * log(det) -
         0.5 * (c[2] * a * a - 2 * c[1] * a * b + c[0] * b * b) / det;
}

/* KL(N(m0, c0) || N(m, c)) in two dimensions. */
static double kl2(const double *m0, const double *c0, const double *m, const double *c) {
  const double det = c[0] * c[2] - c[1] * c[1], det0 = c0[0] * c0[2] - c0[1] * c0[1];
  const double a = m[0] - m0[0], b = m[1] - m0[1];
  const double trace = (c[2] * c0[0] - 2 * c[1] * c0[1] + c[0] * c0[2]) / det;
  return 0.5 *
         (trace + (c[2] * a * a - 2 * c[1] * a * b + c[0] * b * b) / det - 2 + log(det / det0));
}

struct world2 {
  double alpha, beta_mean, beta_cov, ref[2], cov[3];
  double y[MANY * 2], weight[MANY];
  int8_t verdict[MANY];
};

/* The split loss of objectives.md 1: mean with the reference's covariance, covariance about the
 * reference's mean. */
static double loss2(const struct world2 *w, const double *m, const double *c) {
  double term[2][2] = {{0}}, sum[2] = {0};
  for (int j = 0; j < MANY; j++) {
    if (w->verdict[j] == 0) continue;
    const int set = w->verdict[j] > 0 ? 0 : 1;
    sum[set] += w->weight[j];
    term[set][0] += w->weight[j] * log_normal2(w->y + 2 * j, m, w->cov);
    term[set][1] += w->weight[j] * log_normal2(w->y + 2 * j, w->ref, c);
  }
  double loss =
      w->beta_mean * kl2(w->ref, w->cov, m, w->cov) + w->beta_cov * kl2(w->ref, w->cov, w->ref, c);
  if (sum[0] > 0) loss -= w->alpha * (term[0][0] + term[0][1]) / sum[0];
  if (sum[1] > 0) loss += (1 - w->alpha) * (term[1][0] + term[1][1]) / sum[1];
  return loss;
}

static void random_world2(struct pmp_rng *rng, struct world2 *w, double *natural,
                          struct pmp_improve_config *c) {
  *w = (struct world2){.alpha = pmp_rng_double(rng)};
  w->beta_mean = 2 + pmp_rng_double(rng);
  w->beta_cov = 8 + 4 * pmp_rng_double(rng);
  *c = plain(PMP_IMPROVE_GAUSSIAN, 2, w->alpha, w->beta_mean, w->beta_cov);
  random_policy(rng, c, natural);
  draw(rng, c, natural, MANY, w->y);
  for (int j = 0; j < MANY; j++) {
    w->verdict[j] = (int8_t)((int)pmp_rng_below(rng, 3) - 1);
    w->weight[j] = pmp_rng_double(rng);
  }
  double full[4];
  covariance(c, natural, full);
  memcpy(w->ref, natural, sizeof w->ref);
  memcpy(w->cov, (double[]){full[0], full[1], full[3]}, sizeof w->cov);
}

/* loss2 at the policy (m, C = l l') moved by h along direction i of five, in units of l. */
static double loss_along(const struct world2 *w, const double *m, const double *l, int i,
                         double h) {
  const double e[3] = {i == 2, i == 3, i == 4}; /* of l (I + h E) l' */
  double at[2] = {m[0], m[1]};
  if (i == 0) at[0] += h * l[0];
  if (i <= 1) at[1] += h * (i == 0 ? l[2] : l[3]);
  const double c11 = 1 + h * e[0], c12 = h * e[1], c22 = 1 + h * e[2];
  const double c[3] = {l[0] * l[0] * c11, l[0] * (l[2] * c11 + l[3] * c12),
                       l[2] * l[2] * c11 + 2 * l[2] * l[3] * c12 + l[3] * l[3] * c22};
  return loss2(w, at, c);
}

/* Central differences of the loss vanish at the step's result and not at the reference. */
static void test_plain_step_is_the_minimiser(void **unused) {
  (void)unused;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 0);
  for (int round = 0; round < 50; round++) {
    struct world2 w;
    struct pmp_improve_config c;
    double ref[6], natural[6], state[STATE_MAX], before = 0;
    random_world2(&rng, &w, ref, &c);
    memcpy(natural, ref, sizeof ref);
    begin(&c, state);
    assert_int_equal(pmp_improve_add(&c, state, natural, MANY, w.y, w.verdict, w.weight), PMP_OK);
    assert_int_equal(pmp_improve_step(&c, state, natural, NULL), PMP_OK);
    ended(&c, state);
    const double h = 1e-4;
    for (int i = 0; i < 5; i++) {
      near((loss_along(&w, natural, natural + 2, i, h) -
            loss_along(&w, natural, natural + 2, i, -h)) /
               (2 * h),
           0, 1e-5, "gradient at the minimum");
      before = fmax(before,
                    fabs(loss_along(&w, ref, ref + 2, i, h) - loss_along(&w, ref, ref + 2, i, -h)) /
                        (2 * h));
    }
    assert_true(before > 1e-2);
    assert_true(loss_along(&w, natural, natural + 2, 0, 0) < loss_along(&w, ref, ref + 2, 0, 0));
  }
}

/* objectives.md 7 by hand for one dimension, of both Gaussian kinds, clipped too. */
static void test_plain_step_by_hand(void **unused) {
  (void)unused;
  const double y[5] = {2, 6, 0, -4, 100}; /* z of N(2, 2^2): 0, 2, -1, -3 */
  const int8_t verdict[5] = {1, 1, -1, -1, 0};
  for (int kind = PMP_IMPROVE_DIAG_GAUSSIAN; kind <= PMP_IMPROVE_GAUSSIAN; kind++) {
    struct pmp_improve_config c = plain((enum pmp_improve_kind)kind, 1, 0.5, 0.5, 2);
    double state[STATE_MAX], natural[2] = {2, 2};
    begin(&c, state);
    assert_int_equal(pmp_improve_add(&c, state, natural, 5, y, verdict, NULL), PMP_OK);
    assert_int_equal(pmp_improve_count(state), 5);
    assert_int_equal(pmp_improve_step(&c, state, natural, NULL), PMP_OK);
    assert_int_equal(pmp_improve_count(state), 0);
    /* u = (1 - -2) / 2 = 1.5 over 0.5; bracket (2 / 2 - 5 / 2 + 2) / 2 = 0.25 */
    near(natural[0], 2 + 2 * 3, 1e-15, "mean");
    near(natural[1], 2 * 0.5, 1e-15, "spread");
    c.eigen_min = 0.64;
    natural[0] = natural[1] = 2;
    assert_int_equal(pmp_improve_add(&c, state, natural, 5, y, verdict, NULL), PMP_OK);
    assert_int_equal(pmp_improve_step(&c, state, natural, NULL), PMP_OK);
    near(natural[1], 2 * 0.8, 1e-15, "clipped spread");
    ended(&c, state);
  }
}

/* Accepted along (1, 1), rejected along (1, -1): eigenvectors are known, values are clipped. */
static void test_eigenvalues_are_clipped(void **unused) {
  (void)unused;
  struct pmp_improve_config c = plain(PMP_IMPROVE_GAUSSIAN, 2, 0.5, 1, 1);
  c.eigen_min = 0.1;
  c.eigen_max = 4;
  const double y[8] = {4, 4, -4, -4, 4, -4, -4, 4}; /* z z' = 16 (1, +-1)(1, +-1)' */
  const int8_t verdict[4] = {1, 1, -1, -1};
  double state[STATE_MAX], natural[6] = {0, 0, 1, 0, 0, 1}, cov[4];
  begin(&c, state);
  assert_int_equal(pmp_improve_add(&c, state, natural, 4, y, verdict, NULL), PMP_OK);
  assert_int_equal(pmp_improve_step(&c, state, natural, NULL), PMP_OK);
  covariance(&c, natural, cov); /* bracket: 17 along (1, 1), -15 along (1, -1) */
  near(cov[0] + cov[1], 4, 1e-14, "along (1, 1)");
  near(cov[0] - cov[1], 0.1, 1e-14, "along (1, -1)");
  near(cov[0], cov[3], 1e-14, "symmetry");
  assert_true(natural[3] == 0); /* above the diagonal */
  near(natural[0], 0, 1e-15, "mean");
}

/* ---------------------------------------------------------------- invariance */

/* A Gaussian's outcomes mapped by y -> A y + b, step by step: the policy is the mapped one. */
static void same_under_a_map(struct pmp_improve_config c, uint64_t seed, int steps) {
  const size_t n = c.dim;
  struct pmp_rng rng;
  pmp_rng_init(&rng, seed, 0);
  double natural[2][NATURAL_MAX], state[2][STATE_MAX], map[NATURAL_MAX] = {0}, b[DIM_MAX];
  for (size_t i = 0; i < n; i++) {
    b[i] = pmp_rng_normal(&rng);
    for (size_t k = 0; k < n; k++) /* a diagonal stays diagonal under scaling only */
      if (c.kind == PMP_IMPROVE_GAUSSIAN || i == k)
        map[i * n + k] = 0.3 * pmp_rng_normal(&rng) + (i == k ? 2 : 0);
  }
  random_policy(&rng, &c, natural[0]);
  double cov[2][DIM_MAX * DIM_MAX], image[DIM_MAX * DIM_MAX] = {0};
  covariance(&c, natural[0], cov[0]);
  for (size_t i = 0; i < n * n; i++)
    for (size_t e = 0; e < n * n; e++)
      image[i] += map[i / n * n + e / n] * cov[0][e] * map[i % n * n + e % n];
  for (size_t i = 0; i < n; i++) {
    natural[1][i] = b[i];
    for (size_t k = 0; k < n; k++) natural[1][i] += map[i * n + k] * natural[0][k];
    if (c.kind == PMP_IMPROVE_DIAG_GAUSSIAN) natural[1][n + i] = sqrt(image[i * n + i]);
  }
  if (c.kind == PMP_IMPROVE_GAUSSIAN)
    assert_int_equal(pmp_matrix_cholesky(n, image, natural[1] + n), PMP_OK);
  begin(&c, state[0]);
  begin(&c, state[1]);
  for (int t = 0; t < steps; t++) {
    double y[2][MANY * DIM_MAX];
    int8_t verdict[MANY];
    draw(&rng, &c, natural[0], MANY, y[0]);
    for (size_t j = 0; j < MANY; j++) {
      verdict[j] = (int8_t)(y[0][j * n] > natural[0][0] ? 1 : -1);
      for (size_t i = 0; i < n; i++) {
        y[1][j * n + i] = b[i];
        for (size_t k = 0; k < n; k++) y[1][j * n + i] += map[i * n + k] * y[0][j * n + k];
      }
    }
    for (int s = 0; s < 2; s++) {
      assert_int_equal(pmp_improve_add(&c, state[s], natural[s], MANY, y[s], verdict, NULL),
                       PMP_OK);
      assert_int_equal(pmp_improve_step(&c, state[s], natural[s], NULL), PMP_OK);
    }
  }
  covariance(&c, natural[0], cov[0]);
  covariance(&c, natural[1], cov[1]);
  double largest = 0;
  for (size_t i = 0; i < n * n; i++) largest = fmax(largest, fabs(cov[1][i]));
  for (size_t i = 0; i < n; i++) {
    double mean = b[i];
    for (size_t k = 0; k < n; k++) mean += map[i * n + k] * natural[0][k];
    near(natural[1][i], mean, 1e-7, "mapped mean");
    for (size_t k = 0; k < n; k++) {
      double sum = 0;
      for (size_t e = 0; e < n * n; e++) sum += map[i * n + e / n] * cov[0][e] * map[k * n + e % n];
      near(cov[1][i * n + k] / largest, sum / largest, 1e-6, "mapped covariance");
    }
  }
}

static void test_maps_of_outcomes_change_nothing(void **unused) {
  (void)unused;
  for (uint64_t seed = 0; seed < 10; seed++)
    for (int kind = PMP_IMPROVE_DIAG_GAUSSIAN; kind <= PMP_IMPROVE_GAUSSIAN; kind++) {
      struct pmp_improve_config c = plain((enum pmp_improve_kind)kind, 4, 0.5, 1, 4);
      struct pmp_improve_groups groups;
      same_under_a_map(c, seed, 10);
      pmp_improve_recommend((enum pmp_improve_kind)kind, 4, 0.5 * (double)(seed % 3), &c, &groups);
      c.resolution = 0;
      same_under_a_map(c, seed, 30);
    }
}

/* One step on MANY outcomes taken in the given order, in calls of the given size. */
static void one_step(const struct pmp_improve_config *c, const double *y, const int8_t *verdict,
                     const double *weight, const size_t *order, size_t count, size_t at_once,
                     double *natural) {
  double state[STATE_MAX], block[MANY * 2 * DIM_MAX], w[MANY * 2];
  int8_t v[MANY * 2];
  const size_t n = c->kind == PMP_IMPROVE_CATEGORICAL ? 1 : c->dim;
  for (size_t j = 0; j < count; j++) {
    memcpy(block + j * n, y + order[j] * n, n * sizeof *y);
    v[j] = verdict[order[j]];
    w[j] = weight != NULL ? weight[order[j]] : 1;
  }
  begin(c, state);
  for (size_t j = 0; j < count; j += at_once) {
    const size_t take = count - j < at_once ? count - j : at_once;
    assert_int_equal(pmp_improve_add(c, state, natural, take, block + j * n, v + j, w + j), PMP_OK);
  }
  assert_int_equal(pmp_improve_step(c, state, natural, NULL), PMP_OK);
  ended(c, state);
}

/* Any order and any batches give the same; an outcome twice is one of twice the weight. */
static void test_order_batches_and_weights(void **unused) {
  (void)unused;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 0);
  for (int round = 0; round < 30; round++) {
    const int kind = 1 + round % 3;
    struct pmp_improve_config c = plain((enum pmp_improve_kind)kind, 4, 0.4, 1, 6);
    double start[NATURAL_MAX], got[3][NATURAL_MAX], y[MANY * DIM_MAX], weight[MANY];
    int8_t verdict[MANY];
    size_t order[MANY], back[MANY], twice[MANY + 1];
    random_policy(&rng, &c, start);
    if (kind != PMP_IMPROVE_CATEGORICAL) draw(&rng, &c, start, MANY, y);
    for (size_t j = 0; j < MANY; j++) {
      if (kind == PMP_IMPROVE_CATEGORICAL) y[j] = (double)pmp_rng_below(&rng, 4);
      verdict[j] = (int8_t)((int)pmp_rng_below(&rng, 3) - 1);
      weight[j] = j == 7 ? 2 : 1;
      order[j] = twice[j] = j;
      back[j] = MANY - 1 - j;
    }
    twice[MANY] = 7;
    verdict[0] = 1;
    verdict[1] = -1;
    for (int i = 0; i < 3; i++) memcpy(got[i], start, sizeof start);
    one_step(&c, y, verdict, weight, order, MANY, MANY, got[0]);
    one_step(&c, y, verdict, weight, back, MANY, 5, got[1]);
    one_step(&c, y, verdict, NULL, twice, MANY + 1, 1, got[2]);
    for (size_t i = 0; i < pmp_improve_natural(&c); i++) {
      near(got[1][i], got[0][i], 1e-12, "another order");
      near(got[2][i], got[0][i], 1e-12, "one outcome twice");
    }
    assert_memory_not_equal(got[0], start, pmp_improve_natural(&c) * sizeof *start);
  }
}

/* ---------------------------------------------------------------- edges */

static const double EDGE_Y[4] = {1, 2, -1, 0.5};

/* One step in one dimension from N(0, 1). */
static enum pmp_err edge(struct pmp_improve_config c, const int8_t *verdict, double *natural,
                         struct pmp_errmsg *msg) {
  double state[STATE_MAX], before[STATE_MAX];
  natural[0] = 0;
  natural[1] = 1;
  begin(&c, state);
  assert_int_equal(pmp_improve_add(&c, state, natural, 4, EDGE_Y, verdict, NULL), PMP_OK);
  memcpy(before, state, sizeof state);
  const enum pmp_err err = pmp_improve_step(&c, state, natural, msg);
  if (err == PMP_OK) return err;
  assert_memory_equal(before, state, sizeof state);
  assert_true(natural[0] == 0 && natural[1] == 1);
  assert_true(msg->text[0] != 0);
  return err;
}

static void test_empty_sets(void **unused) {
  (void)unused;
  static const int8_t ACCEPTED[4] = {1, 1, 0, 0}, REJECTED[4] = {0, 0, -1, -1}, NOTHING[4] = {0};
  struct pmp_errmsg msg = {{0}};
  double got[2];
  for (int kind = PMP_IMPROVE_DIAG_GAUSSIAN; kind <= PMP_IMPROVE_GAUSSIAN; kind++)
    for (int rule = PMP_IMPROVE_PLAIN; rule <= PMP_IMPROVE_PATHS; rule++) {
      struct pmp_improve_config c = plain((enum pmp_improve_kind)kind, 1, 0.5, 1, 9);
      c.rule = (enum pmp_improve_rule)rule;
      msg.text[0] = 0;
      assert_int_equal(edge(c, NOTHING, got, &msg), PMP_EBUSY);
      /* the weight of an empty set is not handed to the other: d = 0.5, -0.5 */
      assert_int_equal(edge(c, ACCEPTED, got, &msg), PMP_OK);
      near(got[0], 0.5 * 1.5 / 1.5, 1e-15, "accepted alone");
      assert_int_equal(edge(c, REJECTED, got, &msg), PMP_OK);
      near(got[0], -0.5 * -0.25 / 0.5, 1e-15, "rejected alone");
      c.alpha = 1;
      assert_int_equal(edge(c, REJECTED, got, &msg), PMP_EBUSY);
      assert_int_equal(edge(c, ACCEPTED, got, &msg), PMP_OK);
      c.alpha = 0;
      assert_int_equal(edge(c, ACCEPTED, got, &msg), PMP_EBUSY);
    }
}

/* d + beta <= 0 has no minimum. */
static void test_unbounded_is_refused(void **unused) {
  (void)unused;
  static const int8_t VERDICT[4] = {1, 0, -1, -1};
  struct pmp_errmsg msg = {{0}};
  double got[2];
  for (int kind = PMP_IMPROVE_DIAG_GAUSSIAN; kind <= PMP_IMPROVE_GAUSSIAN; kind++)
    for (int rule = PMP_IMPROVE_PLAIN; rule <= PMP_IMPROVE_PATHS; rule++) {
      struct pmp_improve_config c = plain((enum pmp_improve_kind)kind, 1, 0, 1, 3);
      c.rule = (enum pmp_improve_rule)rule;
      assert_int_equal(edge(c, VERDICT, got, &msg), PMP_EUNAVAILABLE);
      c = plain((enum pmp_improve_kind)kind, 1, 0, 3, 1);
      assert_int_equal(edge(c, VERDICT, got, &msg), PMP_EUNAVAILABLE);
      c = plain((enum pmp_improve_kind)kind, 1, 0, 1.01, 1.01);
      assert_int_equal(edge(c, VERDICT, got, &msg), PMP_OK);
      c = plain((enum pmp_improve_kind)kind, 1, 0.5, 0, 1);
      assert_int_equal(edge(c, VERDICT, got, &msg), PMP_EUNAVAILABLE);
      c = plain((enum pmp_improve_kind)kind, 1, 1, 0, 0);
      assert_int_equal(edge(c, VERDICT, got, &msg), PMP_OK);
    }
  struct pmp_improve_config table = plain(PMP_IMPROVE_CATEGORICAL, 3, 0, 1, 0);
  const double y[2] = {0, 1};
  double state[STATE_MAX], logits[3] = {0};
  begin(&table, state);
  assert_int_equal(pmp_improve_add(&table, state, logits, 2, y, VERDICT + 2, NULL), PMP_OK);
  assert_int_equal(pmp_improve_step(&table, state, logits, &msg), PMP_EUNAVAILABLE);
  assert_true(logits[0] == 0 && logits[1] == 0 && logits[2] == 0);
}

static void refused(const struct pmp_improve_config *c, const double *natural, const double *y,
                    int8_t verdict, double weight, enum pmp_err expected) {
  double state[STATE_MAX], before[STATE_MAX];
  const double ys[4] = {0, 1, y[0], y[1]};
  const int8_t verdicts[2] = {1, verdict};
  const double weights[2] = {1, weight};
  const size_t stride = c->kind == PMP_IMPROVE_CATEGORICAL ? 1 : 2;
  begin(c, state);
  memcpy(before, state, sizeof state);
  assert_int_equal(pmp_improve_add(c, state, natural, 2, ys + 2 - stride, verdicts, weights),
                   expected);
  assert_memory_equal(before, state, sizeof state);
}

static void test_bad_input_changes_nothing(void **unused) {
  (void)unused;
  const double ok[2] = {0, 1}, full[6] = {0, 0, 1, 0, 0.5, 1}, diag[4] = {0, 0, 1, 1};
  for (int kind = PMP_IMPROVE_DIAG_GAUSSIAN; kind <= PMP_IMPROVE_GAUSSIAN; kind++) {
    const struct pmp_improve_config c = plain((enum pmp_improve_kind)kind, 2, 0.5, 1, 4);
    const double *natural = kind == PMP_IMPROVE_GAUSSIAN ? full : diag;
    refused(&c, natural, (double[]){NAN, 0}, 1, 1, PMP_ENONFINITE);
    refused(&c, natural, (double[]){0, INFINITY}, 0, 1, PMP_ENONFINITE);
    refused(&c, natural, (double[]){1e200, 0}, 1, 1, PMP_ENONFINITE); /* its square is none */
    refused(&c, natural, ok, 2, 1, PMP_EINVALID);
    refused(&c, natural, ok, -2, 1, PMP_EINVALID);
    refused(&c, natural, ok, 1, -1, PMP_EINVALID);
    refused(&c, natural, ok, 1, NAN, PMP_ENONFINITE);
    refused(&c, natural, ok, 1, INFINITY, PMP_ENONFINITE);
    for (int i = 0; i < 2 + (kind == PMP_IMPROVE_GAUSSIAN ? 4 : 2); i++) {
      double bad[6];
      memcpy(bad, natural, (kind == PMP_IMPROVE_GAUSSIAN ? 6 : 4) * sizeof *bad);
      bad[i] = NAN;
      refused(&c, bad, ok, 1, 1, PMP_EINVALID);
    }
    double flat[6];
    memcpy(flat, natural, (kind == PMP_IMPROVE_GAUSSIAN ? 6 : 4) * sizeof *flat);
    flat[2] = 0;
    refused(&c, flat, ok, 1, 1, PMP_EINVALID);
  }
  const struct pmp_improve_config table = plain(PMP_IMPROVE_CATEGORICAL, 3, 0.5, 1, 0);
  const double logits[3] = {0}, none[3] = {-INFINITY, -INFINITY, -INFINITY};
  refused(&table, logits, (double[]){3, 0}, 1, 1, PMP_EINVALID);
  refused(&table, logits, (double[]){-1, 0}, 1, 1, PMP_EINVALID);
  refused(&table, logits, (double[]){0.5, 0}, 1, 1, PMP_EINVALID);
  refused(&table, logits, (double[]){NAN, 0}, 1, 1, PMP_ENONFINITE);
  refused(&table, none, ok, 1, 1, PMP_EINVALID);
}

/* What overflows is an error that leaves everything as it was. */
static void test_overflow_changes_nothing(void **unused) {
  (void)unused;
  for (int kind = PMP_IMPROVE_DIAG_GAUSSIAN; kind <= PMP_IMPROVE_GAUSSIAN; kind++)
    for (int rule = PMP_IMPROVE_PLAIN; rule <= PMP_IMPROVE_PATHS; rule++) {
      struct pmp_improve_config c = plain((enum pmp_improve_kind)kind, 1, 0, 2, 9);
      c.rule = (enum pmp_improve_rule)rule;
      const double y = 0.5e308;
      double state[STATE_MAX], before[STATE_MAX], natural[2] = {-1.2e308, 1e308};
      begin(&c, state);
      assert_int_equal(pmp_improve_add(&c, state, natural, 1, &y, (int8_t[]){-1}, NULL), PMP_OK);
      memcpy(before, state, sizeof state);
      assert_int_equal(pmp_improve_step(&c, state, natural, NULL), PMP_ENONFINITE);
      assert_memory_equal(before, state, sizeof state);
      assert_true(natural[0] == -1.2e308 && natural[1] == 1e308);
    }
}

static void test_settings_are_checked(void **unused) {
  (void)unused;
  struct pmp_errmsg msg;
  const struct pmp_improve_config good = plain(PMP_IMPROVE_GAUSSIAN, 3, 0.5, 1, 1);
  struct pmp_improve_config bad[14];
  for (int i = 0; i < 14; i++) bad[i] = good;
  bad[0].kind = (enum pmp_improve_kind)0;
  bad[1].kind = (enum pmp_improve_kind)4;
  bad[2].rule = (enum pmp_improve_rule)2;
  bad[3].dim = 0;
  bad[4].dim = PMP_IMPROVE_DIM_MAX + 1;
  bad[5].alpha = 1.01;
  bad[6].alpha = NAN;
  bad[7].beta_mean = -0.5;
  bad[8].beta_cov = INFINITY;
  bad[9].beta_mean = PMP_IMPROVE_AUTO; /* plain has no rule for it */
  bad[10].eigen_min = 0;
  bad[11].eigen_max = 0.5;
  bad[12].eigen_min = 1.5;
  bad[13].resolution = 1;
  assert_int_equal(pmp_improve_check(&good, NULL), PMP_OK);
  for (int i = 0; i < 14; i++) {
    msg.text[0] = 0;
    assert_int_equal(pmp_improve_check(&bad[i], &msg), PMP_EINVALID);
    assert_true(msg.text[0] != 0);
  }
}

/* ---------------------------------------------------------------- tables */

static void test_table_is_the_closed_form(void **unused) {
  (void)unused;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 5, 0);
  int zeros = 0;
  for (int round = 0; round < 200; round++) {
    enum { ACTIONS = 5 };
    const double alpha = pmp_rng_double(&rng);
    const bool automatic = round % 4 == 0;
    struct pmp_improve_config c =
        plain(PMP_IMPROVE_CATEGORICAL, ACTIONS, alpha,
              automatic ? PMP_IMPROVE_AUTO : 1.2 + pmp_rng_double(&rng), 0);
    double logits[ACTIONS], state[STATE_MAX], y[MANY], ref[ACTIONS], sum = 0, total = 0;
    int8_t verdict[MANY];
    double count[2] = {0}, by[2][ACTIONS] = {{0}}, a[ACTIONS];
    for (int v = 0; v < ACTIONS; v++) logits[v] = pmp_rng_normal(&rng) + 700;
    if (round % 3 == 0) logits[2] = -INFINITY;
    for (int v = 0; v < ACTIONS; v++) sum += ref[v] = exp(logits[v] - 700);
    for (int j = 0; j < MANY; j++) {
      y[j] = (double)pmp_rng_below(&rng, ACTIONS);
      verdict[j] = (int8_t)(j < 2 ? 2 * j - 1 : (int)pmp_rng_below(&rng, 3) - 1);
      if (verdict[j] == 0) continue;
      count[verdict[j] < 0] += 1;
      by[verdict[j] < 0][(int)y[j]] += 1;
    }
    const double beta = automatic ? 1.1 * (1 - alpha) * MANY / count[1] : c.beta_mean;
    for (int v = 0; v < ACTIONS; v++) {
      a[v] = alpha * by[0][v] / count[0] - (1 - alpha) * by[1][v] / count[1] + beta * ref[v] / sum;
      total += fmax(a[v], 0);
    }
    begin(&c, state);
    assert_int_equal(pmp_improve_add(&c, state, logits, MANY, y, verdict, NULL), PMP_OK);
    assert_int_equal(pmp_improve_step(&c, state, logits, NULL), PMP_OK);
    ended(&c, state);
    for (int v = 0; v < ACTIONS; v++) {
      if (a[v] < 1e-12) zeros++;
      if (a[v] < 1e-12)
        assert_true(logits[v] <= log(1e-12) && logits[v] >= log(1e-30) - 1e-9);
      else
        near(logits[v], log(a[v] / total), 1e-11, "log of a probability");
    }
  }
  assert_true(zeros > 10);
}

/* ---------------------------------------------------------------- memory */

/* The rule with memory in one dimension, written out for three accepted and two rejected. */
struct by_hand {
  double mean, std, scale_path, shape_path, settled;
};

static void step_by_hand(struct by_hand *p, const double *z, double beta_mean, double beta_cov) {
  const double u = 0.5 * (z[0] + z[1] + z[2]) / 3 - 0.5 * (z[3] + z[4]) / 2;
  const double second =
      0.5 * (z[0] * z[0] + z[1] * z[1] + z[2] * z[2]) / 3 - 0.5 * (z[3] * z[3] + z[4] * z[4]) / 2;
  const double e = 1 / (0.25 / 3 + 0.25 / 2);
  const double fast = 0.6 * (e + 2) / (e + 6), slow = 0.7 * (4 + e) / (5 + 2 * e);
  const double damping = 0.5 * (1 + 2 * fmax(0, sqrt((e - 1) / 2) - 1) + fast);
  const double usual = 1 - 1.0 / 4 + 1.0 / 21;
  p->scale_path = (1 - fast) * p->scale_path + sqrt(fast * (2 - fast) * e) * u;
  p->settled = 1 - (1 - p->settled) * (1 - fast) * (1 - fast);
  const int growing = fabs(p->scale_path) / sqrt(p->settled) >= 2.4 * usual;
  p->shape_path = (1 - slow) * p->shape_path + (growing ? 0 : sqrt(slow * (2 - slow) * e) * u);
  const double kept = growing ? slow * (2 - slow) : 0, share = 2.2 / (2.3 * 2.3 + e);
  /* the closed form with a third set, of the shape path, of weight gamma */
  const double gamma = share * beta_cov / (1 - share);
  const double b =
      (second + beta_cov + gamma * (p->shape_path * p->shape_path + kept)) / (beta_cov + gamma);
  p->mean += p->std * u / beta_mean;
  p->std *= sqrt(b) * exp(fmin(1, fast / damping * (fabs(p->scale_path) / usual - 1)));
  p->shape_path /= sqrt(b);
}

static void test_paths_by_hand(void **unused) {
  (void)unused;
  static const int8_t VERDICT[5] = {1, 1, 1, -1, -1};
  for (int kind = PMP_IMPROVE_DIAG_GAUSSIAN; kind <= PMP_IMPROVE_GAUSSIAN; kind++) {
    struct pmp_improve_config c = plain((enum pmp_improve_kind)kind, 1, 0.5, 0.8, 9);
    struct by_hand expected = {.mean = -3, .std = 0.5};
    double natural[2] = {-3, 0.5}, state[STATE_MAX];
    c.rule = PMP_IMPROVE_PATHS;
    begin(&c, state);
    for (int t = 0; t < 12; t++) { /* all to one side at first: the path grows */
      double z[5] = {1, 0.5, 2, -1, -0.5}, y[5];
      for (int j = 0; j < 5; j++) z[j] = t < 5 ? z[j] : sin(3 * t + j);
      for (int j = 0; j < 5; j++) y[j] = natural[0] + natural[1] * z[j];
      assert_int_equal(pmp_improve_add(&c, state, natural, 5, y, VERDICT, NULL), PMP_OK);
      assert_int_equal(pmp_improve_step(&c, state, natural, NULL), PMP_OK);
      step_by_hand(&expected, z, 0.8, 9);
      near(natural[0], expected.mean, 1e-11, "mean");
      near(natural[1], expected.std, 1e-11, "spread");
    }
  }
}

/* A run on f(y) = |y - at|^2 with the recommended settings; |mean - at|^2 after it. */
static double sphere(enum pmp_improve_kind kind, uint32_t dim, double alpha, double at, int steps,
                     uint64_t seed) {
  struct pmp_improve_config c;
  struct pmp_improve_groups groups;
  struct pmp_rng rng;
  double natural[NATURAL_MAX] = {0}, state[STATE_MAX], y[MANY * DIM_MAX], f[MANY];
  pmp_improve_recommend(kind, dim, alpha, &c, &groups);
  assert_true(groups.size <= MANY && groups.accepted + groups.rejected <= groups.size);
  begin(&c, state);
  pmp_rng_init(&rng, seed, 0);
  for (uint32_t i = 0; i < dim; i++) {
    natural[i] = at + 6 * pmp_rng_double(&rng) - 3;
    natural[dim + (kind == PMP_IMPROVE_GAUSSIAN ? i * dim + i : i)] = 1;
  }
  for (int t = 0; t < steps; t++) {
    int8_t verdict[MANY];
    draw(&rng, &c, natural, groups.size, y);
    for (uint32_t j = 0; j < groups.size; j++) {
      f[j] = 0;
      for (uint32_t i = 0; i < dim; i++) f[j] += pow(y[j * dim + i] - at, 2);
    }
    for (uint32_t j = 0; j < groups.size; j++) {
      uint32_t better = 0;
      for (uint32_t k = 0; k < groups.size; k++) better += f[k] < f[j] || (f[k] == f[j] && k < j);
      verdict[j] = better < groups.accepted ? 1 : better >= groups.size - groups.rejected ? -1 : 0;
    }
    assert_int_equal(pmp_improve_add(&c, state, natural, groups.size, y, verdict, NULL), PMP_OK);
    assert_int_equal(pmp_improve_step(&c, state, natural, NULL), PMP_OK);
  }
  ended(&c, state);
  double sum = 0;
  for (uint32_t i = 0; i < dim; i++) sum += pow(natural[i] - at, 2);
  return sum;
}

static void test_recommended_settings_converge(void **unused) {
  (void)unused;
  for (uint64_t seed = 0; seed < 5; seed++)
    for (int kind = PMP_IMPROVE_DIAG_GAUSSIAN; kind <= PMP_IMPROVE_GAUSSIAN; kind++)
      for (int a = 0; a < 3; a++) {
        const double reached = sphere((enum pmp_improve_kind)kind, 5, 0.5 * a, 0, 600, seed);
        if (!(reached < 1e-9)) fail_msg("kind %d alpha %g: %g", kind, 0.5 * a, reached);
      }
}

/* Long after the last digit is found the policy stays there. */
static void test_a_finished_policy_stays(void **unused) {
  (void)unused;
  for (int kind = PMP_IMPROVE_DIAG_GAUSSIAN; kind <= PMP_IMPROVE_GAUSSIAN; kind++)
    for (uint32_t dim = 1; dim < 4; dim++)
      for (int a = 0; a < 3; a++)
        assert_true(sphere((enum pmp_improve_kind)kind, dim, 0.5 * a, 1, 4000, 9) < 1e-16);
}

/* ln of the spread after 200 steps by verdicts that say nothing. */
static double spread_by_noise(double alpha, uint64_t seed) {
  struct pmp_improve_config c;
  struct pmp_improve_groups groups;
  struct pmp_rng rng;
  double natural[NATURAL_MAX] = {0}, state[STATE_MAX], y[MANY * DIM_MAX], volume = 0;
  int8_t verdict[MANY] = {0};
  pmp_improve_recommend(PMP_IMPROVE_GAUSSIAN, DIM_MAX, alpha, &c, &groups);
  for (uint32_t j = 0; j < groups.accepted; j++) verdict[j] = 1;
  for (uint32_t j = 0; j < groups.rejected; j++) verdict[groups.size - 1 - j] = -1;
  for (int i = 0; i < DIM_MAX; i++) natural[DIM_MAX + i * DIM_MAX + i] = 1;
  begin(&c, state);
  pmp_rng_init(&rng, seed, 0);
  for (int t = 0; t < 200; t++) {
    draw(&rng, &c, natural, groups.size, y);
    assert_int_equal(pmp_improve_add(&c, state, natural, groups.size, y, verdict, NULL), PMP_OK);
    assert_int_equal(pmp_improve_step(&c, state, natural, NULL), PMP_OK);
  }
  for (int i = 0; i < DIM_MAX; i++) volume += log(natural[DIM_MAX + i * DIM_MAX + i]) / DIM_MAX;
  return volume;
}

/* The spread wanders then; what it loses on the way is a small part of what a step can gain. */
static void test_noise_does_not_drift(void **unused) {
  (void)unused;
  for (int a = 0; a < 3; a++) {
    double sum = 0;
    for (uint64_t seed = 0; seed < 40; seed++) sum += spread_by_noise(0.5 * a, seed) / 40;
    if (!(fabs(sum) < 4)) fail_msg("alpha %g: log spread %g after 200 steps", 0.5 * a, sum);
  }
}

/* The state is all there is: a copy of it goes the same way, bit for bit. */
static void test_a_copied_state_goes_on(void **unused) {
  (void)unused;
  struct pmp_improve_config c;
  struct pmp_improve_groups groups;
  struct pmp_rng rng;
  double natural[2][NATURAL_MAX] = {{0}}, state[2][STATE_MAX], y[MANY * DIM_MAX];
  const int8_t verdict[6] = {1, 1, 0, -1, -1, -1};
  pmp_improve_recommend(PMP_IMPROVE_GAUSSIAN, 4, 0.5, &c, &groups);
  pmp_rng_init(&rng, 2, 0);
  begin(&c, state[0]);
  random_policy(&rng, &c, natural[0]);
  for (int t = 0; t < 20; t++) {
    if (t == 10) {
      memcpy(state[1], state[0], sizeof state[0]);
      memcpy(natural[1], natural[0], sizeof natural[0]);
    }
    draw(&rng, &c, natural[0], 6, y);
    for (int s = 0; s < (t < 10 ? 1 : 2); s++) {
      assert_int_equal(pmp_improve_add(&c, state[s], natural[s], 6, y, verdict, NULL), PMP_OK);
      assert_int_equal(pmp_improve_step(&c, state[s], natural[s], NULL), PMP_OK);
    }
  }
  assert_memory_equal(state[0], state[1], sizeof state[0]);
  assert_memory_equal(natural[0], natural[1], sizeof natural[0]);
  pmp_improve_init(&c, state[1]);
  assert_memory_not_equal(state[0], state[1], pmp_improve_doubles(&c) * sizeof(double)); /* paths */
}

/* ---------------------------------------------------------------- matrices */

static void test_matrices(void **unused) {
  (void)unused;
  enum { N = 40 };
  struct pmp_rng rng;
  double *a = calloc(5 * N * N + N, sizeof *a);
  assert_non_null(a);
  double *copy = a + N * N, *v = copy + N * N, *l = v + N * N, *ll = l + N * N, *w = ll + N * N;
  pmp_rng_init(&rng, 7, 0);
  for (int i = 0; i < N; i++)
    for (int k = 0; k <= i; k++) a[i * N + k] = a[k * N + i] = pmp_rng_normal(&rng) + (i == k) * 20;
  memcpy(copy, a, N * N * sizeof *a);
  assert_int_equal(pmp_matrix_eigen(N, copy, w, v), PMP_OK);
  assert_int_equal(pmp_matrix_cholesky(N, a, l), PMP_OK);
  for (int i = 0; i < N; i++)
    for (int k = 0; k < N; k++) {
      double sum = 0, dot = 0, square = 0;
      for (int e = 0; e < N; e++) {
        sum += w[e] * v[e * N + i] * v[e * N + k];
        dot += v[i * N + e] * v[k * N + e];
        square += l[i * N + e] * l[k * N + e];
      }
      near(sum, a[i * N + k], 1e-12, "eigenvectors");
      near(dot, i == k, 1e-13, "orthonormal");
      near(square, a[i * N + k], 1e-13, "Cholesky");
      if (k > i) assert_true(l[i * N + k] == 0);
    }
  pmp_matrix_lower_product(N, l, l, ll);
  double x[N], y[N];
  for (int i = 0; i < N; i++) x[i] = y[i] = pmp_rng_normal(&rng);
  pmp_matrix_solve_lower(N, ll, x);
  pmp_matrix_solve_lower(N, l, y);
  pmp_matrix_solve_lower(N, l, y);
  for (int i = 0; i < N; i++) near(x[i], y[i], 1e-12, "solve");
  a[5 * N + 5] = -1;
  assert_int_equal(pmp_matrix_cholesky(N, a, l), PMP_ENONFINITE);
  a[5 * N + 4] = a[4 * N + 5] = NAN;
  assert_int_equal(pmp_matrix_eigen(N, a, w, v), PMP_ENONFINITE);
  free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain_step_is_the_minimiser),
                                     cmocka_unit_test(test_plain_step_by_hand),
                                     cmocka_unit_test(test_eigenvalues_are_clipped),
                                     cmocka_unit_test(test_maps_of_outcomes_change_nothing),
                                     cmocka_unit_test(test_order_batches_and_weights),
                                     cmocka_unit_test(test_empty_sets),
                                     cmocka_unit_test(test_unbounded_is_refused),
                                     cmocka_unit_test(test_bad_input_changes_nothing),
                                     cmocka_unit_test(test_overflow_changes_nothing),
                                     cmocka_unit_test(test_settings_are_checked),
                                     cmocka_unit_test(test_table_is_the_closed_form),
                                     cmocka_unit_test(test_paths_by_hand),
                                     cmocka_unit_test(test_recommended_settings_converge),
                                     cmocka_unit_test(test_a_finished_policy_stays),
                                     cmocka_unit_test(test_noise_does_not_drift),
                                     cmocka_unit_test(test_a_copied_state_goes_on),
                                     cmocka_unit_test(test_matrices)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
