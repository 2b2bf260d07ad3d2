/* A bandit run inside the process: it is its seed, it draws what the actor would draw, its first
 * steps are those of an independent float64 computation, and every method goes where it says. */
#include "actors/runtime/session.h"
#include "experiments/bandit_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void open_run(struct pmp_bandit_run *r, const char *function, const char *method,
                     uint32_t dim, uint64_t seed) {
  const struct pmp_function *f = NULL;
  struct pmp_bandit_run_config config;
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_function_find(function, &f, &msg), PMP_OK);
  pmp_bandit_run_defaults(&config, f, pmp_bandit_method_find(method), dim, seed);
  if (pmp_bandit_run_init(r, &config, &msg) != PMP_OK) fail_msg("%s", msg.text);
}

static void steps(struct pmp_bandit_run *r, uint64_t n) {
  struct pmp_errmsg msg = {{0}};
  for (uint64_t i = 0; i < n; i++) {
    if (pmp_bandit_run_step(r, &msg) != PMP_OK) fail_msg("%s", msg.text);
  }
}

static double played(const char *function, const char *method, uint32_t dim, uint64_t seed,
                     uint64_t n) {
  struct pmp_bandit_run r;
  open_run(&r, function, method, dim, seed);
  steps(&r, n);
  const double value = pmp_bandit_run_f_mean(&r);
  assert_int_equal(r.step, n);
  assert_int_equal(r.evaluations, r.config.samples * n);
  pmp_bandit_run_fini(&r);
  return value;
}

static void a_run_is_its_seed(void **state) {
  (void)state;
  for (size_t i = 0; pmp_bandit_method_at(i) != NULL; i++) {
    const char *method = pmp_bandit_method_at(i)->name;
    const double first = played("schwefel", method, 3, 7, 300);
    assert_true(first == played("schwefel", method, 3, 7, 300));
    assert_true(first != played("schwefel", method, 3, 8, 300));
  }
}

static void outcomes_are_those_that_the_actor_draws(void **state) {
  (void)state;
  assert_true(PMP_BANDIT_RUN_STREAM == pmp_session_stream("bandit", 0, 2, 0));
}

/* ---- one step of PMPO in float64, by its formulas ---- */

enum { D = 2, M = 4 };

static double softplus(double x) {
  return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* The loss of objectives.md 1 at this head: accepted and rejected weigh alpha / 2 and
 * (1 - alpha) / 2. */
static double loss(const double *head, const double *ref, const float *y, const int8_t *verdict,
                   double alpha, double beta) {
  double sum = 0;
  for (int j = 0; j < M; j++) {
    double lp = 0;
    for (int i = 0; i < D; i++) {
      const double s = softplus(head[D + i]) + 1e-8, z = ((double)y[j * D + i] - head[i]) / s;
      lp += -0.5 * z * z - log(s);
    }
    sum += verdict[j] > 0 ? -alpha / 2 * lp : (1 - alpha) / 2 * lp;
  }
  for (int i = 0; i < D; i++) {
    const double s = softplus(head[D + i]) + 1e-8, t = softplus(ref[D + i]) + 1e-8;
    const double apart = ref[i] - head[i];
    sum += beta * (log(s / t) + (t * t + apart * apart) / (2 * s * s) - 0.5);
  }
  return sum;
}

static void gradient(const double *head, const double *ref, const float *y, const int8_t *verdict,
                     double alpha, double beta, double *g) {
  for (int i = 0; i < 2 * D; i++) {
    double up[2 * D], down[2 * D];
    const double h = 1e-5;
    memcpy(up, head, sizeof up);
    memcpy(down, head, sizeof down);
    up[i] += h;
    down[i] -= h;
    g[i] = (loss(up, ref, y, verdict, alpha, beta) - loss(down, ref, y, verdict, alpha, beta)) /
           (2 * h);
  }
}

/* Follows a run for some steps: outcomes and verdicts are the run's, the rest is computed here. */
static void steps_are_those_of_the_formulas(void **state) {
  (void)state;
  static const char *const method[] = {"AR", "A", "R"};
  static const double alpha[] = {0.5, 1, 0}, beta[] = {0.5, 0, 2};
  for (int k = 0; k < 3; k++) {
    struct pmp_bandit_run r;
    double head[2 * D], ref[2 * D], m[2 * D] = {0}, v[2 * D] = {0}, g[2 * D];
    open_run(&r, "rosenbrock", method[k], D, 3);
    for (int i = 0; i < 2 * D; i++) head[i] = ref[i] = (double)r.head[i];
    for (int t = 1; t <= 120; t++) {
      steps(&r, 1);
      gradient(head, ref, r.y, r.verdict, alpha[k], beta[k], g);
      for (int i = 0; i < 2 * D; i++) {
        m[i] = 0.9 * m[i] + 0.1 * g[i];
        v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
        head[i] -= 0.01 * (m[i] / (1 - pow(0.9, t))) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
        assert_true(fabs(head[i] - (double)r.head[i]) < 2e-4);
      }
      if (t == 100) memcpy(ref, head, sizeof ref);
      assert_true(fabs(ref[0] - (double)r.ref[0]) < 2e-4);
    }
    pmp_bandit_run_fini(&r);
  }
}

/* The two best of a group are accepted, the two worst rejected. */
static void verdicts_follow_the_function(void **state) {
  (void)state;
  struct pmp_bandit_run r;
  open_run(&r, "sphere", "AR", D, 5);
  for (int t = 0; t < 50; t++) {
    double worst_accepted = 0, best_rejected = INFINITY;
    int accepted = 0, rejected = 0;
    steps(&r, 1);
    for (int j = 0; j < M; j++) {
      const double a = (double)r.y[j * D], b = (double)r.y[j * D + 1], f = a * a + b * b;
      if (r.verdict[j] > 0) worst_accepted = fmax(worst_accepted, f);
      if (r.verdict[j] < 0) best_rejected = fmin(best_rejected, f);
      accepted += r.verdict[j] > 0;
      rejected += r.verdict[j] < 0;
    }
    assert_int_equal(accepted, 2);
    assert_int_equal(rejected, 2);
    assert_true(worst_accepted <= best_rejected * (1 + 1e-6));
  }
  pmp_bandit_run_fini(&r);
}

/* With memory the numbers accepted and rejected differ: still the best and the worst. */
static void uneven_groups_are_labelled_by_rank(void **state) {
  (void)state;
  static const char *const method[] = {"paths-AR", "paths-R"};
  for (int k = 0; k < 2; k++) {
    struct pmp_bandit_run r;
    open_run(&r, "sphere", method[k], 10, 5);
    for (int t = 0; t < 30; t++) {
      uint32_t accepted = 0, rejected = 0;
      steps(&r, 1);
      for (uint32_t j = 0; j < r.config.samples; j++) {
        uint32_t better = 0;
        for (uint32_t i = 0; i < r.config.samples; i++) better += r.f32[i] > r.f32[j];
        accepted += r.verdict[j] > 0;
        rejected += r.verdict[j] < 0;
        assert_int_equal(r.verdict[j] > 0, better < r.config.accepted);
        assert_int_equal(r.verdict[j] < 0, better >= r.config.samples - r.config.rejected);
      }
      assert_int_equal(accepted, r.config.accepted);
      assert_int_equal(rejected, r.config.rejected);
    }
    assert_int_not_equal(r.config.accepted, r.config.rejected);
    pmp_bandit_run_fini(&r);
  }
}

static void rejected_alone_without_the_kl_run_away(void **state) {
  (void)state;
  struct pmp_bandit_run r;
  struct pmp_errmsg msg = {{0}};
  struct pmp_bandit_run_config config;
  double distance = 0;
  open_run(&r, "sphere", "R", 2, 1);
  config = r.config;
  const double first = pmp_bandit_run_f_mean(&r);
  pmp_bandit_run_fini(&r);
  config.method.loss.beta[0] = 0;
  assert_int_equal(pmp_bandit_run_init(&r, &config, &msg), PMP_OK);
  steps(&r, 3000);
  pmp_bandit_run_shape(&r, &distance, NULL);
  assert_true(pmp_bandit_run_f_mean(&r) > 50 * first);
  assert_true(distance > 10);
  pmp_bandit_run_fini(&r);
}

static void the_closed_form_gets_far(void **state) {
  (void)state;
  for (uint32_t i = 0; i < pmp_function_count(); i++) {
    const char *function = pmp_function_at(i)->name;
    const double value = played(function, "exact-AR", 2, 2, 5000);
    const double paths = played(function, "paths-AR", 2, 2, 600);
    if (!(value < 1e-9 && paths < 1e-9)) fail_msg("%s: %g, %g", function, value, paths);
  }
}

/* With the daemon's resolution a run goes on at the floor, its spread neither below the least nor
 * lost in the digits of its mean; without, it rests. */
static void a_resolution_is_a_floor(void **state) {
  (void)state;
  static const char *const method[] = {"paths-AR", "exact-AR"};
  for (int k = 0; k < 2; k++) {
    for (int floors = 0; floors < 2; floors++) {
      struct pmp_bandit_run r;
      struct pmp_errmsg msg = {{0}};
      float mean[2] = {999, 999}, std[2] = {999, 999};
      open_run(&r, "rosenbrock", method[k], 2, 1);
      struct pmp_bandit_run_config config = r.config;
      pmp_bandit_run_fini(&r);
      config.resolution = floors ? 1e-6 : 0;
      if (floors) config.std_min = 1e-7F;
      assert_int_equal(pmp_bandit_run_init(&r, &config, &msg), PMP_OK);
      steps(&r, 8000);
      assert_int_equal(pmp_dist_moments(&r.policy.spec.dist, 1, r.head, mean, std), PMP_OK);
      assert_int_equal(r.rests, !floors);
      for (int i = 0; floors && i < 2; i++)
        assert_true((double)std[i] >= 0.99e-6 * fabs((double)mean[i]) && (double)std[i] >= 1e-7);
      assert_true(pmp_bandit_run_f_mean(&r) < 1e-8);
      pmp_bandit_run_fini(&r);
    }
  }
}

static void what_cannot_be_is_refused(void **state) {
  (void)state;
  struct pmp_bandit_run r;
  struct pmp_errmsg msg = {{0}};
  open_run(&r, "sphere", "AR", 2, 1);
  struct pmp_bandit_run_config config = r.config;
  pmp_bandit_run_fini(&r);
  struct pmp_bandit_run_config bad[5] = {config, config, config, config, config};
  bad[0].dim = 0;
  bad[1].samples = 1;
  bad[2].refresh_period = 0;
  bad[3].lr = 0;
  bad[4].method.objective = "nothing";
  for (int i = 0; i < 5; i++) {
    assert_int_not_equal(pmp_bandit_run_init(&r, &bad[i], &msg), PMP_OK);
    assert_true(msg.text[0] != 0);
    pmp_bandit_run_fini(&r);
    msg.text[0] = 0;
  }
  assert_null(pmp_bandit_method_find("nothing"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_run_is_its_seed),
      cmocka_unit_test(outcomes_are_those_that_the_actor_draws),
      cmocka_unit_test(steps_are_those_of_the_formulas),
      cmocka_unit_test(verdicts_follow_the_function),
      cmocka_unit_test(uneven_groups_are_labelled_by_rank),
      cmocka_unit_test(rejected_alone_without_the_kl_run_away),
      cmocka_unit_test(the_closed_form_gets_far),
      cmocka_unit_test(a_resolution_is_a_floor),
      cmocka_unit_test(what_cannot_be_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
