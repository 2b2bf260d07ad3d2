/* MPO's dual variables: where their gradients vanish, what keeps them finite, the exact temperature
 * as the minimiser that Adam finds too, and a policy trained within its bounds. */
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

#define N 24
#define B 6
#define K 4

static const struct pmp_objective *mpo(void) {
  return pmp_objective_find("mpo");
}

static double softplus(double x) {
  return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double inverse_softplus(double x) {
  return x > 30.0 ? x : log(expm1(x));
}

/* B conditions of N / B outcomes, P = 2, K = 4. */
struct batch {
  struct pmp_objective_config config;
  struct pmp_objective_in in;
  struct pmp_objective_out out;
  double lp[2 * N], kl[B * K], f[N], cost[N], dual[2 + K], c[2 * N], w[B * K], ddual[2 + K];
  int8_t verdict[N];
};

static void draw(struct batch *t, struct pmp_rng *rng, double scale) {
  memset(t, 0, sizeof *t);
  t->config = pmp_objective_config_default();
  t->in = (struct pmp_objective_in){.n = N, .b = B, .parts = 2, .kl_parts = K};
  for (size_t j = 0; j < N; j++) {
    t->f[j] = scale * pmp_rng_normal(rng);
    t->cost[j] = fmax(0.0, pmp_rng_normal(rng));
    t->lp[2 * j] = pmp_rng_normal(rng);
    t->lp[2 * j + 1] = pmp_rng_normal(rng);
  }
  for (size_t k = 0; k < B * K; k++) t->kl[k] = 0.01 * pmp_rng_double(rng);
  for (size_t k = 0; k < 2 + K; k++) t->dual[k] = pmp_rng_normal(rng);
}

static void eval(struct batch *t) {
  t->in.lp = t->lp;
  t->in.kl = t->kl;
  t->in.f = t->f;
  t->in.cost = t->cost;
  t->in.dual = t->dual;
  t->in.verdict = t->verdict;
  t->out.c = t->c;
  t->out.w = t->w;
  t->out.ddual = t->ddual;
  mpo()->sums(&t->config, &t->in);
  assert_int_equal(mpo()->eval(&t->config, &t->in, &t->out), PMP_OK);
}

/* Mean KL of the weights (read from c of part 0) from the uniform ones. */
static double weights_kl(const struct batch *t) {
  double kl = 0.0;
  const double per = (double)N / (double)B;
  for (size_t j = 0; j < N; j++) {
    const double q = -t->c[2 * j] * (double)B;
    assert_true(t->c[2 * j + 1] == t->c[2 * j]); /* both parts of the likelihood */
    if (q > 0.0) kl += q * log(q * per) / (double)B;
  }
  return kl;
}

/* g by its definition. */
static double g_of(const struct batch *t, double eta) {
  double sum = 0.0;
  const size_t per = N / B;
  for (size_t x = 0; x < B; x++) {
    double top = -INFINITY, mean = 0.0;
    for (size_t j = x * per; j < (x + 1) * per; j++) top = fmax(top, t->f[j]);
    for (size_t j = x * per; j < (x + 1) * per; j++) mean += exp((t->f[j] - top) / eta);
    sum += top + eta * log(mean / (double)per);
  }
  return eta * t->config.eps + sum / (double)B;
}

/* What out->dual holds besides g. */
static double multipliers_loss(const struct batch *t) {
  double loss = 0.0;
  for (size_t k = 0; k < K; k++) {
    double kl = 0.0;
    for (size_t x = 0; x < B; x++) kl += t->kl[x * K + k] / (double)B;
    loss += softplus(t->dual[1 + k]) * ((k < 2 ? t->config.eps_mean : t->config.eps_std) - kl);
  }
  return loss;
}

static void test_exact_temperature(void **state) {
  (void)state;
  static struct batch t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 61, 0);
  for (int round = 0; round < 500; round++) {
    const double scale = pow(10.0, 8.0 * pmp_rng_double(&rng) - 4.0);
    draw(&t, &rng, scale);
    t.config.eps = pow(10.0, -4.0 * pmp_rng_double(&rng));
    t.config.eta_exact = true;
    eval(&t);
    const double g = t.out.dual - multipliers_loss(&t), kl = weights_kl(&t);
    assert_true(t.ddual[0] == 0.0);
    /* The weights' KL cannot pass ln 4, nor eps. */
    if (fabs(kl - t.config.eps) > 1e-9 * t.config.eps) {
      assert_true(kl < t.config.eps && t.config.eps > 1.0 && kl > 0.999 * log(4.0));
      continue;
    }
    /* No temperature has a lower g. */
    for (double eta = 1e-5 * scale; eta < 1e5 * scale; eta *= 1.3) {
      assert_true(g_of(&t, eta) >= g - 1e-9 * scale);
    }
    /* And Adam's variable says the same at that point: its gradient is eps - KL. */
    double low = 1e-6 * scale, high = 1e6 * scale;
    for (int i = 0; i < 200; i++) {
      const double eta = sqrt(low) * sqrt(high);
      t.config.eta_exact = false;
      t.dual[0] = inverse_softplus(eta);
      if (t.dual[0] < -17.0) break;
      eval(&t);
      if (t.ddual[0] < 0.0) {
        low = eta;
      } else {
        high = eta;
      }
    }
    if (t.dual[0] >= -17.0) assert_true(fabs(g_of(&t, low) - g) <= 1e-9 * scale);
  }
}

static void test_adam_finds_the_temperature(void **state) {
  (void)state;
  static struct batch t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 62, 0);
  for (int round = 0; round < 10; round++) {
    draw(&t, &rng, 3.0);
    t.config.eps_penalty = 0.05;
    t.config.eta_exact = true;
    eval(&t);
    double exact[2 * N];
    memcpy(exact, t.c, sizeof exact);
    t.config.eta_exact = false;
    float dual[2 + K], ddual[2 + K], m[2 + K] = {0.0f}, v[2 + K] = {0.0f};
    mpo()->dual_init(&t.config, 2, K, dual);
    struct pmp_adam adam = {m, v, 2, 0};
    struct pmp_adam_config config = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    for (int s = 0; s < 6000; s++) {
      for (size_t k = 0; k < 2; k++) t.dual[k] = (double)dual[k];
      eval(&t);
      for (size_t k = 0; k < 2; k++) ddual[k] = (float)t.ddual[k];
      config.lr = s < 4000 ? 1e-2f : 1e-3f;
      assert_int_equal(pmp_adam_step(&adam, &config, dual, ddual, NULL), PMP_OK);
    }
    for (size_t j = 0; j < 2 * N; j++) assert_true(fabs(t.c[j] - exact[j]) < 1e-4);
  }
}

/* Evaluations and costs add up to two sets of weights. */
static void test_penalty(void **state) {
  (void)state;
  static struct batch t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 63, 0);
  draw(&t, &rng, 1.0);
  double plain[2 * N];
  eval(&t);
  memcpy(plain, t.c, sizeof plain);
  assert_int_equal(mpo()->duals(&t.config, 2, K), 1 + K);
  t.config.eps_penalty = 1e-3;
  assert_int_equal(mpo()->duals(&t.config, 2, K), 2 + K);
  eval(&t);
  const double eta = softplus(t.dual[1]);
  for (size_t x = 0; x < B; x++) {
    double sum = 0.0;
    for (size_t j = x * 4; j < x * 4 + 4; j++) sum += exp(-t.cost[j] / eta);
    for (size_t j = x * 4; j < x * 4 + 4; j++) {
      const double want = plain[2 * j] - exp(-t.cost[j] / eta) / sum / (double)B;
      assert_true(fabs(t.c[2 * j] - want) < 1e-14);
    }
  }
  t.in.cost = NULL; /* asked for and missing */
  assert_int_equal(mpo()->eval(&t.config, &t.in, &t.out), PMP_EINVALID);
  t.in.cost = t.cost;
  t.cost[3] = -1e-3;
  assert_int_equal(mpo()->eval(&t.config, &t.in, &t.out), PMP_EINVALID);
  t.cost[3] = INFINITY;
  assert_int_equal(mpo()->eval(&t.config, &t.in, &t.out), PMP_ENONFINITE);
}

/* a_k (eps_k - stop(KL_k)) + stop(a_k) KL_k: over its bound a multiplier grows, below it falls. */
static void test_multipliers(void **state) {
  (void)state;
  static struct batch t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 64, 0);
  draw(&t, &rng, 1.0);
  t.config.eps_mean = 0.004;
  t.config.eps_std = 0.003;
  for (size_t x = 0; x < B; x++) {
    const double kl[] = {0.005, 0.001, 0.004, 0.003};
    memcpy(&t.kl[x * K], kl, sizeof kl);
  }
  eval(&t);
  assert_true(t.ddual[1] < 0.0 && t.ddual[2] > 0.0 && t.ddual[3] < 0.0);
  assert_true(fabs(t.ddual[4]) < 1e-18);
  double held = 0.0;
  for (size_t k = 0; k < K; k++) {
    const double a = softplus(t.dual[1 + k]);
    held += a * t.kl[k];
    for (size_t x = 0; x < B; x++) assert_true(fabs(t.w[x * K + k] - a / (double)B) < 1e-15);
  }
  assert_true(fabs(t.out.kl - held) < 1e-15);
}

/* Equal evaluations: every weight the same, the temperature falls to its floor and no further. */
static void test_floor(void **state) {
  (void)state;
  static struct batch t;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 65, 0);
  draw(&t, &rng, 1.0);
  for (size_t j = 0; j < N; j++) t.f[j] = -7.0;
  float dual[1] = {-17.0f}, ddual[1], m[1] = {0.0f}, v[1] = {0.0f};
  struct pmp_adam adam = {m, v, 1, 0};
  const struct pmp_adam_config config = {.lr = 0.1f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
  for (int s = 0; s < 3000; s++) {
    t.dual[0] = (double)dual[0];
    eval(&t);
    for (size_t j = 0; j < 2 * N; j++) assert_true(fabs(t.c[j] + 1.0 / (double)N) < 1e-15);
    ddual[0] = (float)t.ddual[0];
    assert_int_equal(pmp_adam_step(&adam, &config, dual, ddual, NULL), PMP_OK);
  }
  if (!(dual[0] > -20.0f && dual[0] < -14.0f)) fail_msg("the variable is %g", (double)dual[0]);
  /* Far below, there is a way back that softplus alone would not show. */
  for (size_t k = 0; k < 1 + K; k++) t.dual[k] = -1e6;
  eval(&t);
  for (size_t k = 0; k < 1 + K; k++) assert_true(t.ddual[k] == -1.0);
  t.config.eta_exact = true;
  eval(&t);
  assert_true(t.ddual[0] == 0.0 && isfinite(t.out.loss));
  /* The largest temperatures and multipliers that anyone has are numbers. */
  t.config.eta_exact = false;
  for (size_t k = 0; k < 1 + K; k++) t.dual[k] = 1e30;
  eval(&t);
  assert_true(isfinite(t.out.loss));
  for (size_t k = 0; k < 1 + K; k++) {
    t.dual[k] = k % 2 == 0 ? (double)NAN : INFINITY;
    assert_int_equal(mpo()->eval(&t.config, &t.in, &t.out), PMP_ENONFINITE);
    t.dual[k] = 0.0;
  }
}

static void test_start(void **state) {
  (void)state;
  struct pmp_objective_config config = pmp_objective_config_default();
  float dual[4] = {999.0f, 999.0f, 999.0f, 999.0f};
  assert_int_equal(mpo()->duals(&config, 1, 1), 2);
  mpo()->dual_init(&config, 1, 1, dual);
  assert_true(dual[0] == 10.0f && dual[1] == 10.0f && dual[2] == 999.0f);
  config.eps_penalty = 1e-3;
  assert_int_equal(mpo()->duals(&config, 2, 2), 4);
  mpo()->dual_init(&config, 2, 2, dual);
  assert_true(dual[0] == 10.0f && dual[1] == 10.0f && dual[2] == 10.0f && dual[3] == 1000.0f);
}

/* A table of actions, all tried once: policy and dual variables trained together end with the
 * weights eps and the policy eps_mean away from the uniform reference, between it and the weights.
 */
static void test_training_stays_within_bounds(void **state) {
  (void)state;
  enum { A = 4 };
  const struct pmp_dist dist = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = A, .low = -1.0f, .high = 1.0f};
  const float ref[A] = {0.0f}, y[A] = {0.0f, 1.0f, 2.0f, 3.0f};
  const double f[A] = {0.3, 1.0, 0.0, 0.6};
  const int8_t verdict[A] = {0};
  struct pmp_objective_config config = pmp_objective_config_default();
  config.eps = 0.1;
  config.eps_mean = 0.02;
  float all[A + 2] = {0.0f}, grad[A + 2], m[A + 2] = {0.0f}, v[A + 2] = {0.0f};
  mpo()->dual_init(&config, 1, 1, all + A);
  struct pmp_adam adam = {m, v, A + 2, 0};
  struct pmp_adam_config optim = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
  double lp[A], kl[1], c[A], w[1], dual[2], ddual[2];
  struct pmp_objective_in in = {.n = A,
                                .b = 1,
                                .parts = 1,
                                .kl_parts = 1,
                                .lp = lp,
                                .kl = kl,
                                .verdict = verdict,
                                .f = f,
                                .dual = dual};
  struct pmp_objective_out out = {.c = c, .w = w, .ddual = ddual};
  mpo()->sums(&config, &in);
  for (int s = 0; s < 20000; s++) {
    for (size_t k = 0; k < 2; k++) dual[k] = (double)all[A + k];
    assert_int_equal(pmp_dist_forward(&dist, 1, A, all, ref, y, NULL, lp, NULL, kl), PMP_OK);
    assert_int_equal(mpo()->eval(&config, &in, &out), PMP_OK);
    assert_int_equal(pmp_dist_backward(&dist, 1, A, all, ref, y, NULL, c, w, grad), PMP_OK);
    for (size_t k = 0; k < 2; k++) grad[A + k] = (float)ddual[k];
    optim.lr = s < 15000 ? 1e-2f : 1e-3f;
    assert_int_equal(pmp_adam_step(&adam, &optim, all, grad, NULL), PMP_OK);
  }
  double weights = 0.0;
  for (size_t j = 0; j < A; j++) weights += -c[j] * log(-c[j] * (double)A);
  if (!(fabs(weights - 0.1) < 1e-4)) fail_msg("the weights' KL is %g", weights);
  if (!(fabs(kl[0] - 0.02) < 1e-4)) fail_msg("the policy's KL is %g", kl[0]);
  /* The M-step's optimum: pi = (q + a ref) / (1 + a). */
  const double a = softplus(dual[1]);
  for (size_t j = 0; j < A; j++) {
    const double want = (-c[j] + a * 0.25) / (1.0 + a);
    assert_true(fabs(exp(lp[j]) - want) < 1e-3);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exact_temperature),
      cmocka_unit_test(test_adam_finds_the_temperature),
      cmocka_unit_test(test_penalty),
      cmocka_unit_test(test_multipliers),
      cmocka_unit_test(test_floor),
      cmocka_unit_test(test_start),
      cmocka_unit_test(test_training_stays_within_bounds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
