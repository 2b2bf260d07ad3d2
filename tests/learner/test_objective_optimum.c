/* Objective, policy family and optimiser together: PMPO's optima in closed form (objectives.md 6
 * and 7), where gradients vanish and where training ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "learner/objective/objective.h"
#include "learner/optim/adam.h"
#include "policy/dist/dist.h"

#define B_MAX 3
#define N_MAX 120
#define BINS_MAX 6
#define HEADS (B_MAX * BINS_MAX)

/* Labelled outcomes of a few conditions, each with its own row of logits. */
struct tabular {
  struct pmp_dist dist;
  struct pmp_objective_config config;
  size_t b, n;
  float ref[HEADS], y[N_MAX], weight[N_MAX];
  uint32_t x_of_y[N_MAX];
  int8_t verdict[N_MAX];
  double want[HEADS]; /* the optimum's probabilities */
  double least;       /* smallest A_v, relative to its condition's sum */
};

static void softmax(const float *logits, size_t n, double *out) {
  double max = -INFINITY, sum = 0.0;
  for (size_t i = 0; i < n; i++) max = fmax(max, (double)logits[i]);
  for (size_t i = 0; i < n; i++) sum += out[i] = exp((double)logits[i] - max);
  for (size_t i = 0; i < n; i++) out[i] /= sum;
}

/* A_v = alpha pa_v - (1 - alpha) pr_v + beta ref_v, each condition's share of the two sets and of
 * the KL. */
static void solve(struct tabular *t) {
  const size_t bins = t->dist.bins;
  double accepted = 0.0, rejected = 0.0;
  for (size_t j = 0; j < t->n; j++) {
    if (t->verdict[j] == 1) accepted += (double)t->weight[j];
    if (t->verdict[j] == -1) rejected += (double)t->weight[j];
  }
  const double alpha = (double)t->config.alpha, beta = (double)t->config.beta[0];
  const bool pool = t->config.averaging == PMP_AVERAGING_POOL;
  const double all = accepted + rejected;
  t->least = INFINITY;
  for (size_t x = 0; x < t->b; x++) {
    double *a = t->want + x * bins, ref[BINS_MAX], sum = 0.0;
    softmax(t->ref + x * bins, bins, ref);
    for (size_t v = 0; v < bins; v++) a[v] = beta * ref[v] / (double)t->b;
    for (size_t j = 0; j < t->n; j++) {
      if (t->x_of_y[j] != x) continue;
      const size_t v = (size_t)t->y[j];
      const double w = (double)t->weight[j];
      if (t->verdict[j] == 1) a[v] += alpha * w / (pool ? all : accepted);
      if (t->verdict[j] == -1) a[v] -= (1.0 - alpha) * w / (pool ? all : rejected);
    }
    for (size_t v = 0; v < bins; v++) sum += a[v];
    for (size_t v = 0; v < bins; v++) {
      a[v] /= sum;
      t->least = fmin(t->least, sum > 0.0 ? a[v] : -1.0);
    }
  }
}

static void draw(struct tabular *t, struct pmp_rng *rng) {
  memset(t, 0, sizeof *t);
  t->b = 1 + pmp_rng_below(rng, B_MAX);
  t->dist = (struct pmp_dist){.kind = PMP_DIST_CATEGORICAL, .dim = 1, .low = -1.0f, .high = 1.0f};
  t->dist.bins = 2 + (uint32_t)pmp_rng_below(rng, BINS_MAX - 1);
  for (size_t i = 0; i < HEADS; i++) t->ref[i] = (float)(0.7 * pmp_rng_normal(rng));
  for (size_t x = 0; x < t->b; x++) {
    const size_t count = 5 + pmp_rng_below(rng, N_MAX / B_MAX - 5);
    for (size_t i = 0; i < count; i++, t->n++) {
      t->x_of_y[t->n] = (uint32_t)x;
      t->y[t->n] = (float)pmp_rng_below(rng, t->dist.bins);
      t->verdict[t->n] = (int8_t)((int)pmp_rng_below(rng, 3) - 1);
      t->weight[t->n] = 0.2f + pmp_rng_float(rng);
    }
  }
  t->config.alpha = (float[]){0.0f, 0.3f, 0.5f, 1.0f}[pmp_rng_below(rng, 4)];
  t->config.beta[0] = 0.2f + 4.0f * pmp_rng_float(rng);
  t->config.averaging = pmp_rng_below(rng, 2) == 1 ? PMP_AVERAGING_POOL : PMP_AVERAGING_SETS;
  solve(t);
}

/* Until the optimum exists and no probability in it is below 2%. */
static void draw_bounded(struct tabular *t, struct pmp_rng *rng) {
  do draw(t, rng);
  while (!(t->least >= 0.02));
}

/* dhead of the whole loss at head; returns the batch's kl_margin. */
static double gradient(const struct tabular *t, const float *head, float *dhead, double *mean_kl) {
  static float lp[N_MAX], kl[B_MAX], c[N_MAX], w[B_MAX];
  struct pmp_objective_in in = {.n = t->n,
                                .b = t->b,
                                .parts = 1,
                                .kl_parts = 1,
                                .lp = lp,
                                .kl = kl,
                                .verdict = t->verdict,
                                .weight = t->weight,
                                .x_of_y = t->x_of_y,
                                .conditions = (double)t->b};
  struct pmp_objective_out out = {.c = c, .w = w};
  pmp_objective_sums(t->n, t->verdict, t->weight, &in.accepted, &in.rejected);
  assert_int_equal(
      pmp_dist_forward(&t->dist, t->b, t->n, head, t->ref, t->y, t->x_of_y, lp, NULL, kl), PMP_OK);
  assert_int_equal(pmp_objective_find("pmpo")->eval(&t->config, &in, &out), PMP_OK);
  assert_int_equal(
      pmp_dist_backward(&t->dist, t->b, t->n, head, t->ref, t->y, t->x_of_y, c, w, dhead), PMP_OK);
  *mean_kl = 0.0;
  for (size_t x = 0; x < t->b; x++) *mean_kl += (double)kl[x] / (double)t->b;
  return pmp_objective_kl_margin(&t->config, &in);
}

/* Largest difference between the trained policy and the closed form. */
static double train(const struct tabular *t, int steps) {
  const size_t heads = t->b * t->dist.bins;
  float head[HEADS], dhead[HEADS], m[HEADS] = {0.0f}, v[HEADS] = {0.0f};
  struct pmp_adam_config config = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
  struct pmp_adam adam = {m, v, heads, 0};
  double kl = 0.0, worst = 0.0;
  memcpy(head, t->ref, sizeof head);
  for (int s = 0; s < steps; s++) {
    config.lr = 0.02f * (1.0f - 0.99f * (float)s / (float)steps);
    (void)gradient(t, head, dhead, &kl);
    assert_int_equal(pmp_adam_step(&adam, &config, head, dhead, NULL), PMP_OK);
  }
  for (size_t x = 0; x < t->b; x++) {
    double pi[BINS_MAX];
    softmax(head + x * t->dist.bins, t->dist.bins, pi);
    for (size_t i = 0; i < t->dist.bins; i++) {
      assert_true(isfinite(pi[i])); /* fmax would pass over a NaN */
      worst = fmax(worst, fabs(pi[i] - t->want[x * t->dist.bins + i]));
    }
  }
  return worst;
}

static void test_training_reaches_the_optimum(void **state) {
  (void)state;
  static struct tabular t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 21, 0);
  int by_alpha[3] = {0};
  for (int round = 0; round < 40; round++) {
    draw_bounded(&t, &rng);
    by_alpha[t.config.alpha >= 1.0f ? 2 : t.config.alpha > 0.0f ? 1 : 0]++;
    const double worst = train(&t, 1500);
    if (!(worst < 1e-3)) fail_msg("round %d: %g from the optimum", round, worst);
  }
  for (int i = 0; i < 3; i++) assert_true(by_alpha[i] > 0);
}

static void test_gradient_vanishes_at_the_optimum(void **state) {
  (void)state;
  static struct tabular t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 22, 0);
  for (int round = 0; round < 500; round++) {
    draw_bounded(&t, &rng);
    float head[HEADS], dhead[HEADS];
    double kl = 0.0;
    const size_t heads = t.b * t.dist.bins;
    for (size_t i = 0; i < heads; i++) head[i] = (float)log(t.want[i]) + 0.5f;
    for (size_t i = 0; i < heads; i++) dhead[i] = 999.0f;
    const double margin = gradient(&t, head, dhead, &kl);
    for (size_t i = 0; i < heads; i++) assert_true(fabsf(dhead[i]) < 2e-6f);
    assert_true(margin > 0.0); /* necessary for an optimum */
    head[0] += 0.1f;
    (void)gradient(&t, head, dhead, &kl);
    assert_true(dhead[0] > 1e-5f);
  }
}

/* Half rejected, accepted ones without weight (alpha 0): at beta 0 the policy runs away, at beta:
 * auto it has an optimum and gets there. */
static void test_reject_only(void **state) {
  (void)state;
  static struct tabular t;
  memset(&t, 0, sizeof t);
  t.b = 1;
  t.n = 12;
  t.dist = (struct pmp_dist){
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = 3, .low = -1.0f, .high = 1.0f};
  for (size_t j = 0; j < t.n; j++) {
    t.y[j] = (float)(j % 3);
    t.weight[j] = 1.0f;
    t.verdict[j] = j % 3 == 0 ? 1 : j < 9 ? -1 : 1; /* all six rejected are actions 1 and 2 */
  }
  float head[HEADS] = {0.0f}, dhead[HEADS];
  double kl = 0.0;
  assert_true(gradient(&t, head, dhead, &kl) < 0.0);
  for (int s = 0; s < 400; s++) {
    (void)gradient(&t, head, dhead, &kl);
    for (size_t i = 0; i < 3; i++) head[i] -= dhead[i];
  }
  assert_true(kl > 50.0);
  t.config.beta[0] = pmp_objective_beta_auto(0.0f, 0.5);
  solve(&t);
  assert_true(t.least > 0.0);
  memset(head, 0, sizeof head);
  assert_true(gradient(&t, head, dhead, &kl) > 0.0);
  assert_true(train(&t, 1500) < 1e-3);
}

static float inverse_softplus(double x) {
  return (float)log(expm1(x));
}

/* The Gaussian's parts apart (objectives.md 7, one dimension at a time): mean with the reference's
 * spread, spread about the reference's mean; both gradients vanish at the signed moments. */
static void test_gaussian_split(void **state) {
  (void)state;
  enum { D = 3, N = 40 };
  const struct pmp_dist dist = {.kind = PMP_DIST_DIAG_GAUSSIAN,
                                .dim = D,
                                .split = true,
                                .std_scale = 1.0f,
                                .std_min = 1e-8f,
                                .low = -1.0f,
                                .high = 1.0f};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 23, 0);
  for (int round = 0; round < 50; round++) {
    float ref[2 * D], head[2 * D], dhead[2 * D], y[N * D], lp[2 * N], kl[2], c[2 * N], w[2];
    int8_t verdict[N];
    for (size_t d = 0; d < D; d++) {
      ref[d] = (float)pmp_rng_normal(&rng);
      ref[D + d] = inverse_softplus(0.3 + pmp_rng_double(&rng));
    }
    assert_int_equal(pmp_dist_sample(&dist, 1, N, ref, &rng, y), PMP_OK);
    for (size_t j = 0; j < N; j++) verdict[j] = y[j * D] + y[j * D + 1] > ref[0] + ref[1] ? 1 : -1;
    verdict[0] = 1;
    verdict[1] = -1;
    const struct pmp_objective_config config = {.alpha = 0.4f, .beta = {3.0f, 20.0f}};
    struct pmp_objective_in in = {.n = N,
                                  .b = 1,
                                  .parts = 2,
                                  .kl_parts = 2,
                                  .lp = lp,
                                  .kl = kl,
                                  .verdict = verdict,
                                  .conditions = 1.0};
    struct pmp_objective_out out = {.c = c, .w = w};
    pmp_objective_sums(N, verdict, NULL, &in.accepted, &in.rejected);
    const double alpha = (double)config.alpha, gap = alpha - (1.0 - alpha);
    for (size_t d = 0; d < D; d++) {
      const double s = log1p(exp((double)ref[D + d]));
      double first = 0.0, second = 20.0 * s * s;
      for (size_t j = 0; j < N; j++) {
        const double z = (double)y[j * D + d] - (double)ref[d];
        const double sign = verdict[j] > 0 ? alpha / in.accepted : -(1.0 - alpha) / in.rejected;
        first += sign * z;
        second += sign * z * z;
      }
      head[d] = (float)((double)ref[d] + first / (gap + 3.0));
      assert_true(second > 0.0);
      head[D + d] = inverse_softplus(sqrt(second / (gap + 20.0)));
    }
    assert_int_equal(pmp_dist_forward(&dist, 1, N, head, ref, y, NULL, lp, NULL, kl), PMP_OK);
    assert_int_equal(pmp_objective_find("pmpo")->eval(&config, &in, &out), PMP_OK);
    assert_int_equal(pmp_dist_backward(&dist, 1, N, head, ref, y, NULL, c, w, dhead), PMP_OK);
    for (size_t i = 0; i < 2 * D; i++) assert_true(fabsf(dhead[i]) < 2e-5f);
    assert_true(out.kl > 0.0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_training_reaches_the_optimum),
      cmocka_unit_test(test_gradient_vanishes_at_the_optimum),
      cmocka_unit_test(test_reject_only),
      cmocka_unit_test(test_gaussian_split),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
