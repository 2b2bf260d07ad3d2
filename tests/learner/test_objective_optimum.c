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
#include "learner/objective/preference.h"
#include "learner/optim/adam.h"
#include "policy/dist/dist.h"

#define B_MAX 3
#define N_MAX 120
#define BINS_MAX 6
#define HEADS (B_MAX * BINS_MAX)

/* Labelled outcomes of a few conditions, each with its own row of logits. */
struct tabular {
  const char *objective;
  struct pmp_dist dist;
  struct pmp_objective_config config;
  size_t b, n;
  float ref[HEADS], y[N_MAX];
  double weight[N_MAX], f[N_MAX];
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

/* A condition's own sums. */
struct sums {
  double accepted, rejected, all, up, down; /* the last two: of w exp(+-f / eta) */
};

static struct sums sums_of(const struct tabular *t, size_t x) {
  struct sums s = {0};
  for (size_t j = 0; j < t->n; j++) {
    if (x < t->b && t->x_of_y[j] != x) continue;
    const double w = t->weight[j];
    s.accepted += t->verdict[j] == 1 ? w : 0.0;
    s.rejected += t->verdict[j] == -1 ? w : 0.0;
    s.all += w;
    s.up += w * exp(t->f[j] / t->config.eta);
    s.down += w * exp(-t->f[j] / t->config.eta);
  }
  return s;
}

/* What outcome j adds to A of its action. */
static double part_of(const struct tabular *t, size_t j, const struct sums *own,
                      const struct sums *whole) {
  const struct pmp_objective_config *c = &t->config;
  const double w = t->weight[j], b = (double)t->b;
  double part = c->kl == PMP_KL_BC ? c->beta[0] * w / whole->all : 0.0;
  if (strcmp(t->objective, "bc") == 0) return w / whole->all;
  if (strcmp(t->objective, "boltzmann") == 0) {
    part += c->alpha * w * exp(t->f[j] / c->eta) / (own->up * b);
    return part - (1.0 - c->alpha) * w * exp(-t->f[j] / c->eta) / (own->down * b);
  }
  const double pool = whole->accepted + whole->rejected;
  double accepted = whole->accepted, rejected = whole->rejected;
  if (c->averaging == PMP_AVERAGING_POOL) accepted = rejected = pool;
  if (c->kl_by_state) {
    accepted = own->accepted * b;
    rejected = own->rejected * b;
  }
  if (t->verdict[j] == 1) part += c->alpha * w / accepted;
  if (t->verdict[j] == -1) part -= (1.0 - c->alpha) * w / rejected;
  return part;
}

/* The exact KL's weight on condition x. */
static double beta_of(const struct tabular *t, size_t x) {
  if (t->config.kl == PMP_KL_BC || strcmp(t->objective, "bc") == 0) return 0.0;
  if (!t->config.kl_by_state) return t->config.beta[0] / (double)t->b;
  double mine = 0.0, all = 0.0;
  for (size_t i = 0; i < t->b; i++) {
    const struct sums own = sums_of(t, i);
    const double z = (own.accepted + 0.5) / (own.accepted + own.rejected + 1.0);
    if (i == x) mine = 1.0 / (1.0 - z);
    all += 1.0 / (1.0 - z);
  }
  return t->config.beta[0] * mine / all;
}

/* pi_v = A_v / sum A, A_v = alpha pa_v - (1 - alpha) pr_v + beta ref_v with each condition's share
 * of the two sets and of the KL. */
static void solve(struct tabular *t) {
  const size_t bins = t->dist.bins;
  const struct sums whole = sums_of(t, t->b);
  t->least = INFINITY;
  for (size_t x = 0; x < t->b; x++) {
    double *a = t->want + x * bins, ref[BINS_MAX], sum = 0.0;
    const struct sums own = sums_of(t, x);
    softmax(t->ref + x * bins, bins, ref);
    for (size_t v = 0; v < bins; v++) a[v] = beta_of(t, x) * ref[v];
    for (size_t j = 0; j < t->n; j++) {
      if (t->x_of_y[j] == x) a[(size_t)t->y[j]] += part_of(t, j, &own, &whole);
    }
    for (size_t v = 0; v < bins; v++) sum += a[v];
    for (size_t v = 0; v < bins; v++) {
      a[v] /= sum;
      t->least = fmin(t->least, sum > 0.0 ? a[v] : -1.0);
    }
  }
}

/* What is trained: PMPO with sets or pool, by state, by cloning, its Boltzmann variant, BC. */
#define VARIANTS 6

static void draw(struct tabular *t, struct pmp_rng *rng, int variant) {
  memset(t, 0, sizeof *t);
  t->objective = variant == 4 ? "boltzmann" : variant == 5 ? "bc" : "pmpo";
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
      t->weight[t->n] = 0.2 + pmp_rng_double(rng);
      t->f[t->n] = pmp_rng_normal(rng);
    }
  }
  t->config.alpha = (double[]){0.0, 0.3, 0.5, 1.0}[pmp_rng_below(rng, 4)];
  t->config.beta[0] = 0.2 + 4.0 * pmp_rng_double(rng);
  t->config.averaging = variant == 1 ? PMP_AVERAGING_POOL : PMP_AVERAGING_SETS;
  t->config.kl_by_state = variant == 2;
  t->config.kl = variant == 3 ? PMP_KL_BC : PMP_KL_EXACT;
  t->config.eta = 0.5 + 2.0 * pmp_rng_double(rng);
  assert_int_equal(pmp_objective_check(pmp_objective_find(t->objective), &t->config, 1, 1, NULL),
                   PMP_OK);
  solve(t);
}

/* Until the optimum exists and no probability in it is below 2%. */
static void draw_bounded(struct tabular *t, struct pmp_rng *rng, int variant) {
  do draw(t, rng, variant);
  while (!(t->least >= 0.02));
}

/* dhead of the whole loss at head; returns the batch's kl_margin. */
static double gradient(const struct tabular *t, const float *head, float *dhead, double *mean_kl) {
  static double lp[N_MAX], kl[B_MAX], c[N_MAX], w[B_MAX];
  struct pmp_objective_in in = {.n = t->n,
                                .b = t->b,
                                .parts = 1,
                                .kl_parts = 1,
                                .lp = lp,
                                .kl = kl,
                                .verdict = t->verdict,
                                .weight = t->weight,
                                .f = t->f,
                                .x_of_y = t->x_of_y};
  struct pmp_objective_out out = {.c = c, .w = w};
  const struct pmp_objective *objective = pmp_objective_find(t->objective);
  objective->sums(&t->config, &in);
  assert_int_equal(
      pmp_dist_forward(&t->dist, t->b, t->n, head, t->ref, t->y, t->x_of_y, lp, NULL, kl), PMP_OK);
  assert_int_equal(objective->eval(&t->config, &in, &out), PMP_OK);
  assert_int_equal(
      pmp_dist_backward(&t->dist, t->b, t->n, head, t->ref, t->y, t->x_of_y, c, w, dhead), PMP_OK);
  *mean_kl = 0.0;
  for (size_t x = 0; x < t->b; x++) *mean_kl += kl[x] / (double)t->b;
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
  for (int round = 0; round < 20 * VARIANTS; round++) {
    draw_bounded(&t, &rng, round % VARIANTS);
    by_alpha[t.config.alpha >= 1.0 ? 2 : t.config.alpha > 0.0 ? 1 : 0]++;
    const double worst = train(&t, 1500);
    if (!(worst < 1e-3)) {
      fail_msg("variant %d, round %d: %g from the optimum", round % VARIANTS, round, worst);
    }
  }
  for (int i = 0; i < 3; i++) assert_true(by_alpha[i] > 0);
}

static void test_gradient_vanishes_at_the_optimum(void **state) {
  (void)state;
  static struct tabular t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 22, 0);
  for (int round = 0; round < 250 * VARIANTS; round++) {
    draw_bounded(&t, &rng, round % VARIANTS);
    float head[HEADS], dhead[HEADS];
    double kl = 0.0;
    const size_t heads = t.b * t.dist.bins;
    for (size_t i = 0; i < heads; i++) head[i] = (float)log(t.want[i]) + 0.5f;
    for (size_t i = 0; i < heads; i++) dhead[i] = 999.0f;
    const double margin = gradient(&t, head, dhead, &kl);
    for (size_t i = 0; i < heads; i++) assert_true(fabsf(dhead[i]) < 2e-6f);
    /* Necessary for an optimum of PMPO. */
    if (strcmp(t.objective, "pmpo") == 0) assert_true(margin > 0.0);
    head[0] += 0.1f;
    (void)gradient(&t, head, dhead, &kl);
    assert_true(dhead[0] > 1e-5f);
  }
}

/* The public closed form says what this file's own does. */
static void test_pmpo_solve(void **state) {
  (void)state;
  static struct tabular t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 26, 0);
  for (int round = 0; round < 100; round++) {
    do draw_bounded(&t, &rng, 0);
    while (t.b != 1);
    double pa[BINS_MAX] = {0.0}, pr[BINS_MAX] = {0.0}, ref[BINS_MAX], pi[BINS_MAX], margin = 0.0;
    const struct sums s = sums_of(&t, 0);
    softmax(t.ref, t.dist.bins, ref);
    for (size_t j = 0; j < t.n; j++) {
      if (t.verdict[j] == 1) pa[(size_t)t.y[j]] += t.weight[j] / s.accepted;
      if (t.verdict[j] == -1) pr[(size_t)t.y[j]] += t.weight[j] / s.rejected;
    }
    assert_int_equal(pmp_pmpo_solve(t.dist.bins, s.accepted > 0.0 ? pa : NULL,
                                    s.rejected > 0.0 ? pr : NULL, ref, t.config.alpha,
                                    t.config.beta[0], pi, &margin),
                     PMP_OK);
    assert_true(margin > 0.0);
    for (size_t v = 0; v < t.dist.bins; v++) assert_true(fabs(pi[v] - t.want[v]) < 1e-12);
  }
}

/* Half rejected, accepted ones without weight (alpha 0): at beta 0 the policy runs away, at beta:
 * auto it has an optimum and gets there. */
static void test_reject_only(void **state) {
  (void)state;
  static struct tabular t;
  memset(&t, 0, sizeof t);
  t.objective = "pmpo";
  t.b = 1;
  t.n = 12;
  t.dist = (struct pmp_dist){
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = 3, .low = -1.0f, .high = 1.0f};
  for (size_t j = 0; j < t.n; j++) {
    t.y[j] = (float)(j % 3);
    t.weight[j] = 1.0;
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
  t.config.beta[0] = pmp_objective_beta_auto(0.0, 0.5);
  solve(&t);
  assert_true(t.least > 0.0);
  memset(head, 0, sizeof head);
  assert_true(gradient(&t, head, dhead, &kl) > 0.0);
  assert_true(train(&t, 1500) < 1e-3);
}

/* With half of what is drawn rejected, reject-only converges for beta above 2 whatever the data,
 * and runs away for beta 0 (objectives.md 6): actions drawn from the uniform reference, of which
 * the worse half is rejected. */
static void test_reject_only_bound(void **state) {
  (void)state;
  static struct tabular t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 24, 0);
  for (int round = 0; round < 20; round++) {
    memset(&t, 0, sizeof t);
    t.objective = "pmpo";
    t.b = 1;
    t.dist = (struct pmp_dist){
        .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = 4, .low = -1.0f, .high = 1.0f};
    const size_t worse = pmp_rng_below(&rng, 3), other = worse + 1;
    for (t.n = 0; t.n < 40; t.n++) { /* each action as often as ref draws it */
      t.y[t.n] = (float)(t.n % 4);
      t.weight[t.n] = 1.0;
      t.verdict[t.n] = t.n % 4 == worse || t.n % 4 == other ? -1 : 1;
    }
    t.config = pmp_objective_config_default();
    t.config.alpha = 0.0;
    t.config.beta[0] = 2.05 + 2.0 * pmp_rng_double(&rng);
    solve(&t);
    assert_true(t.least > 0.0 && train(&t, 1500) < 2e-3);
    t.config.beta[0] = 0.0;
    float head[HEADS] = {0.0f}, dhead[HEADS];
    double kl = 0.0;
    assert_true(gradient(&t, head, dhead, &kl) < 0.0);
    for (int s = 0; s < 400; s++) {
      (void)gradient(&t, head, dhead, &kl);
      for (size_t i = 0; i < 4; i++) head[i] -= dhead[i];
    }
    assert_true(kl > 20.0);
  }
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
    float ref[2 * D], head[2 * D], dhead[2 * D], y[N * D];
    double lp[2 * N], kl[2], c[2 * N], w[2];
    int8_t verdict[N];
    for (size_t d = 0; d < D; d++) {
      ref[d] = (float)pmp_rng_normal(&rng);
      ref[D + d] = inverse_softplus(0.3 + pmp_rng_double(&rng));
    }
    assert_int_equal(pmp_dist_sample(&dist, 1, N, ref, &rng, y), PMP_OK);
    for (size_t j = 0; j < N; j++) verdict[j] = y[j * D] + y[j * D + 1] > ref[0] + ref[1] ? 1 : -1;
    verdict[0] = 1;
    verdict[1] = -1;
    const struct pmp_objective_config config = {.alpha = 0.4, .beta = {3.0, 20.0}};
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
    const double alpha = config.alpha, gap = alpha - (1.0 - alpha);
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

/* The joint Gaussian: the optimum has the signed mixture's mean and variances. Trained there from
 * the reference. */
static void test_gaussian_joint(void **state) {
  (void)state;
  enum { D = 2, N = 40 };
  const struct pmp_dist dist = {.kind = PMP_DIST_DIAG_GAUSSIAN,
                                .dim = D,
                                .std_scale = 1.0f,
                                .std_min = 1e-8f,
                                .low = -1.0f,
                                .high = 1.0f};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 25, 0);
  for (int round = 0; round < 12; round++) {
    float ref[2 * D], head[2 * D], dhead[2 * D], y[N * D], m[2 * D] = {0.0f}, v[2 * D] = {0.0f};
    double lp[N], kl[1], c[N], w[1];
    int8_t verdict[N];
    for (size_t d = 0; d < D; d++) {
      ref[d] = (float)pmp_rng_normal(&rng);
      ref[D + d] = inverse_softplus(0.3 + pmp_rng_double(&rng));
    }
    assert_int_equal(pmp_dist_sample(&dist, 1, N, ref, &rng, y), PMP_OK);
    for (size_t j = 0; j < N; j++) verdict[j] = j % 2 == 0 ? 1 : -1;
    struct pmp_objective_config config = pmp_objective_config_default();
    config.alpha = (double[]){0.0, 0.5, 0.7}[round % 3];
    config.beta[0] = 3.0 + 2.0 * pmp_rng_double(&rng);
    struct pmp_objective_in in = {
        .n = N, .b = 1, .parts = 1, .kl_parts = 1, .lp = lp, .kl = kl, .verdict = verdict};
    struct pmp_objective_out out = {.c = c, .w = w};
    pmp_objective_find("pmpo")->sums(&config, &in);
    struct pmp_adam adam = {m, v, 2 * D, 0};
    struct pmp_adam_config optim = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    memcpy(head, ref, sizeof head);
    for (int s = 0; s < 3000; s++) {
      optim.lr = 0.01f * (1.0f - 0.99f * (float)s / 3000.0f);
      assert_int_equal(pmp_dist_forward(&dist, 1, N, head, ref, y, NULL, lp, NULL, kl), PMP_OK);
      assert_int_equal(pmp_objective_find("pmpo")->eval(&config, &in, &out), PMP_OK);
      assert_int_equal(pmp_dist_backward(&dist, 1, N, head, ref, y, NULL, c, w, dhead), PMP_OK);
      assert_int_equal(pmp_adam_step(&adam, &optim, head, dhead, NULL), PMP_OK);
    }
    const double alpha = config.alpha, beta = config.beta[0], all = 2.0 * alpha - 1.0 + beta;
    for (size_t d = 0; d < D; d++) {
      const double mean = (double)ref[d], s = log1p(exp((double)ref[D + d]));
      double first = beta * mean, second = beta * (s * s + mean * mean);
      for (size_t j = 0; j < N; j++) {
        const double at = (double)y[j * D + d];
        const double sign = verdict[j] > 0 ? alpha / in.accepted : -(1.0 - alpha) / in.rejected;
        first += sign * at;
        second += sign * at * at;
      }
      const double centre = first / all, variance = second / all - centre * centre;
      assert_true(variance > 0.0);
      assert_true(fabs((double)head[d] - centre) < 2e-3);
      assert_true(fabs(log1p(exp((double)head[D + d])) - sqrt(variance)) < 2e-3);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_training_reaches_the_optimum),
      cmocka_unit_test(test_gradient_vanishes_at_the_optimum),
      cmocka_unit_test(test_pmpo_solve),
      cmocka_unit_test(test_reject_only),
      cmocka_unit_test(test_reject_only_bound),
      cmocka_unit_test(test_gaussian_split),
      cmocka_unit_test(test_gaussian_joint),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
