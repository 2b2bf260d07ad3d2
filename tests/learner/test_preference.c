/* Closed forms of preference.h: by hand, against optimality conditions, and at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "learner/objective/preference.h"

#define N 8

static void near(double have, double want, double tolerance) {
  if (!(fabs(have - want) <= tolerance)) fail_msg("%.15g, not %.15g", have, want);
}

static void draw_distribution(struct pmp_rng *rng, size_t n, double *p) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += p[i] = 0.02 + pmp_rng_double(rng);
  for (size_t i = 0; i < n; i++) p[i] /= sum;
}

/* ---------------------------------------------------------------- Bradley-Terry */

static double loss_of(size_t n, const double *winner, const double *loser, const double *weight) {
  double loss = 999.0;
  assert_int_equal(pmp_bradley_terry(n, winner, loser, weight, &loss, NULL, NULL), PMP_OK);
  return loss;
}

static void test_bradley_terry(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 51, 0);
  for (int round = 0; round < 300; round++) {
    double winner[N], loser[N], weight[N], up[N + 1], down[N + 1], want = 0.0, total = 0.0, loss;
    const size_t n = 1 + pmp_rng_below(&rng, N);
    const bool weighted = round % 2 == 1;
    for (size_t i = 0; i <= N; i++) up[i] = down[i] = 999.0;
    for (size_t i = 0; i < n; i++) {
      winner[i] = 3.0 * pmp_rng_normal(&rng);
      loser[i] = 3.0 * pmp_rng_normal(&rng);
      weight[i] = weighted ? pmp_rng_double(&rng) : 1.0;
      want -= weight[i] * log(1.0 / (1.0 + exp(loser[i] - winner[i])));
      total += weight[i];
    }
    const double *w = weighted ? weight : NULL;
    assert_int_equal(pmp_bradley_terry(n, winner, loser, w, &loss, up, down), PMP_OK);
    near(loss, want / total, 1e-13 * (1.0 + want / total));
    for (size_t i = 0; i < n; i++) {
      const double h = 1e-5, at = winner[i];
      winner[i] = at + h;
      const double more = loss_of(n, winner, loser, w);
      winner[i] = at - h;
      near(up[i], (more - loss_of(n, winner, loser, w)) / (2.0 * h), 1e-9);
      winner[i] = at;
      assert_true(down[i] == -up[i]);
    }
    assert_true(up[n] == 999.0 && down[n] == 999.0);
  }
}

/* Rewards trained on all preferences of a Bradley-Terry model are the model's, up to a constant. */
static void test_bradley_terry_recovers_rewards(void **state) {
  (void)state;
  const double reward[4] = {0.0, 1.0, -0.5, 2.0};
  double r[4] = {0.0}, winner[12], loser[12], weight[12], up[12], down[12], loss;
  size_t first[12], second[12], n = 0;
  for (size_t i = 0; i < 4; i++) {
    for (size_t j = 0; j < 4; j++) {
      if (i == j) continue;
      first[n] = i;
      second[n] = j;
      weight[n++] = 1.0 / (1.0 + exp(reward[j] - reward[i]));
    }
  }
  for (int s = 0; s < 2000; s++) {
    for (size_t i = 0; i < n; i++) {
      winner[i] = r[first[i]];
      loser[i] = r[second[i]];
    }
    assert_int_equal(pmp_bradley_terry(n, winner, loser, weight, &loss, up, down), PMP_OK);
    for (size_t i = 0; i < n; i++) {
      r[first[i]] -= 3.0 * up[i];
      r[second[i]] -= 3.0 * down[i];
    }
  }
  for (size_t i = 1; i < 4; i++) near(r[i] - r[0], reward[i], 1e-9);
}

static void test_bradley_terry_edges(void **state) {
  (void)state;
  const double high = 1e4, low = -1e4, none = 0.0, below = -1.0, nan = NAN, inf = INFINITY;
  double loss, up, down;
  near(loss_of(1, &low, &high, NULL), 2e4, 0.0);
  near(loss_of(1, &high, &low, NULL), 0.0, 0.0);
  assert_int_equal(pmp_bradley_terry(1, &low, &high, NULL, &loss, &up, &down), PMP_OK);
  assert_true(up == -1.0 && down == 1.0);
  assert_int_equal(pmp_bradley_terry(1, &high, &low, &none, &loss, &up, &down), PMP_EINVALID);
  assert_int_equal(pmp_bradley_terry(1, &high, &low, &below, &loss, &up, &down), PMP_EINVALID);
  assert_int_equal(pmp_bradley_terry(1, &high, &low, &nan, &loss, &up, &down), PMP_EINVALID);
  assert_int_equal(pmp_bradley_terry(0, NULL, NULL, NULL, &loss, NULL, NULL), PMP_EINVALID);
  assert_int_equal(pmp_bradley_terry(1, &nan, &low, NULL, &loss, &up, &down), PMP_ENONFINITE);
  assert_int_equal(pmp_bradley_terry(1, &high, &inf, NULL, &loss, &up, &down), PMP_ENONFINITE);
}

/* ---------------------------------------------------------------- PsiPO */

/* pi maximises sum_y pi_y E[Psi] - tau KL(pi||ref): there E[Psi]_y - tau ln(pi_y/ref_y) is the same
 * for every y. */
static void test_psipo_is_optimal(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 52, 0);
  for (int round = 0; round < 1000; round++) {
    double ref[N], mu[N], p[N * N], pi[N + 1], level = NAN, sum = 0.0;
    const size_t n = 1 + pmp_rng_below(&rng, N);
    const enum pmp_psi psi = round % 2 == 0 ? PMP_PSI_IDENTITY : PMP_PSI_LOGIT;
    const double tau = 0.01 + 3.0 * pmp_rng_double(&rng);
    draw_distribution(&rng, n, ref);
    draw_distribution(&rng, n, mu);
    for (size_t i = 0; i < n * n; i++) p[i] = 1e-3 + 0.998 * pmp_rng_double(&rng);
    for (size_t i = 0; i <= N; i++) pi[i] = 999.0;
    assert_int_equal(pmp_psipo_solve(psi, n, ref, mu, p, tau, false, pi, NULL), PMP_OK);
    for (size_t y = 0; y < n; y++) {
      double gain = 0.0;
      for (size_t z = 0; z < n; z++) {
        const double q = p[y * n + z];
        gain += mu[z] * (psi == PMP_PSI_LOGIT ? log(q / (1.0 - q)) : q);
      }
      sum += pi[y];
      if (pi[y] < 1e-280) continue; /* ln of what is barely a number */
      const double here = gain - tau * log(pi[y] / ref[y]);
      if (!isnan(level)) near(here, level, 1e-9);
      level = here;
    }
    near(sum, 1.0, 1e-12);
    assert_true(!isnan(level) && pi[n] == 999.0);
  }
}

/* Two actions of which the first always wins: identity bounded, logit not (Azar et al., Sec. 5.3).
 */
static void test_psipo_by_hand(void **state) {
  (void)state;
  const double half[] = {0.5, 0.5}, p[] = {0.5, 1.0, 0.0, 0.5};
  double pi[2];
  struct pmp_errmsg msg = {""};
  for (double tau = 0.1; tau < 10.0; tau *= 3.0) {
    assert_int_equal(pmp_psipo_solve(PMP_PSI_IDENTITY, 2, half, half, p, tau, false, pi, &msg),
                     PMP_OK);
    near(pi[0], 1.0 / (1.0 + exp(-0.5 / tau)), 1e-15);
  }
  assert_int_equal(pmp_psipo_solve(PMP_PSI_LOGIT, 2, half, half, p, 1.0, false, pi, &msg),
                   PMP_EINVALID);
  assert_non_null(strstr(msg.text, "p[0][1]"));
  assert_int_equal(pmp_psipo_solve(PMP_PSI_LOGIT, 2, half, half, p, 1.0, true, pi, &msg), PMP_OK);
  near(pi[0], 1.0 / (1.0 + exp(-log((1.0 - 1e-6) / 1e-6))), 1e-12);
  /* At the edge itself the logit is taken, and what mu never draws is not asked for. */
  const double edge[] = {0.5, 1.0 - 1e-6, 1e-6, 0.5}, first[] = {1.0, 0.0};
  assert_int_equal(pmp_psipo_solve(PMP_PSI_LOGIT, 2, half, half, edge, 1.0, false, pi, &msg),
                   PMP_OK);
  const double apart[] = {0.5, 1.0, 0.25, 0.5};
  assert_int_equal(pmp_psipo_solve(PMP_PSI_LOGIT, 2, half, first, apart, 1.0, false, pi, &msg),
                   PMP_OK);
  near(pi[1], 0.25, 1e-15);
  /* What the reference cannot do, the solution does not; a small tau overflows nothing. */
  assert_int_equal(pmp_psipo_solve(PMP_PSI_IDENTITY, 2, first, half, p, 1e-300, false, pi, &msg),
                   PMP_OK);
  assert_true(pi[0] == 1.0 && pi[1] == 0.0);
}

static void test_psipo_refusals(void **state) {
  (void)state;
  const double half[] = {0.5, 0.5}, p[] = {0.5, 0.6, 0.4, 0.5};
  const double sum[] = {0.5, 0.6}, below[] = {-0.5, 1.5}, nan[] = {NAN, 0.5};
  const double *const wrong[] = {sum, below, nan};
  double pi[2], bad[4];
  struct pmp_errmsg msg;
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(pmp_psipo_solve(PMP_PSI_IDENTITY, 2, wrong[i], half, p, 1.0, true, pi, &msg),
                     PMP_EINVALID);
    assert_non_null(strstr(msg.text, "ref"));
    assert_int_equal(pmp_psipo_solve(PMP_PSI_IDENTITY, 2, half, wrong[i], p, 1.0, true, pi, &msg),
                     PMP_EINVALID);
    assert_non_null(strstr(msg.text, "mu"));
  }
  const double outside[] = {-0.1, 1.1, NAN};
  for (size_t i = 0; i < 3; i++) {
    memcpy(bad, p, sizeof p);
    bad[2] = outside[i];
    assert_int_equal(pmp_psipo_solve(PMP_PSI_LOGIT, 2, half, half, bad, 1.0, true, pi, &msg),
                     PMP_EINVALID);
    assert_non_null(strstr(msg.text, "p[1][0]"));
  }
  const double tau[] = {0.0, -1.0, NAN, INFINITY};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(pmp_psipo_solve(PMP_PSI_LOGIT, 2, half, half, p, tau[i], true, pi, NULL),
                     PMP_EINVALID);
  }
  assert_int_equal(pmp_psipo_solve((enum pmp_psi)7, 2, half, half, p, 1.0, true, pi, NULL),
                   PMP_EINVALID);
}

/* ---------------------------------------------------------------- PMPO over a table */

static double pmpo_loss(size_t n, const double *pa, const double *pr, const double *ref,
                        double alpha, double beta, const double *pi) {
  double loss = 0.0;
  for (size_t v = 0; v < n; v++) {
    const double a = alpha * pa[v] - (1.0 - alpha) * pr[v] + beta * ref[v];
    if (a != 0.0) loss -= a * log(pi[v]);
  }
  return loss;
}

/* Where every A is above 0, no other distribution has a lower loss. */
static void test_pmpo_is_optimal(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 53, 0);
  int bounded = 0;
  for (int round = 0; round < 1000; round++) {
    double pa[N], pr[N], ref[N], pi[N + 1], other[N], sum = 0.0, margin = 999.0;
    const size_t n = 2 + pmp_rng_below(&rng, N - 1);
    const double alpha = pmp_rng_double(&rng), beta = 3.0 * pmp_rng_double(&rng);
    draw_distribution(&rng, n, pa);
    draw_distribution(&rng, n, pr);
    draw_distribution(&rng, n, ref);
    for (size_t i = 0; i <= N; i++) pi[i] = 999.0;
    const enum pmp_err err = pmp_pmpo_solve(n, pa, pr, ref, alpha, beta, pi, &margin);
    if (err == PMP_EINVALID) {
      assert_true(margin <= 0.0);
      continue;
    }
    for (size_t v = 0; v < n; v++) sum += pi[v];
    near(sum, 1.0, 1e-12);
    assert_true(pi[n] == 999.0);
    if (!(margin > 0.0)) continue;
    bounded++;
    const double least = pmpo_loss(n, pa, pr, ref, alpha, beta, pi);
    for (int k = 0; k < 20; k++) {
      draw_distribution(&rng, n, other);
      assert_true(pmpo_loss(n, pa, pr, ref, alpha, beta, other) >= least - 1e-12);
    }
  }
  assert_true(bounded > 300);
}

static void test_pmpo_by_hand(void **state) {
  (void)state;
  const double pa[] = {1.0, 0.0, 0.0}, pr[] = {0.0, 0.0, 1.0}, ref[] = {0.5, 0.25, 0.25};
  double pi[3], margin;
  /* A = (1.5, 0.5, 0) */
  assert_int_equal(pmp_pmpo_solve(3, pa, pr, ref, 0.5, 2.0, pi, &margin), PMP_OK);
  assert_true(margin == 0.0 && pi[2] == 0.0);
  near(pi[0], 0.75, 1e-15);
  /* A = (1, 0.25, -0.25): taken for 0, and said. */
  assert_int_equal(pmp_pmpo_solve(3, pa, pr, ref, 0.5, 1.0, pi, &margin), PMP_OK);
  assert_true(margin == -0.25 && pi[2] == 0.0);
  near(pi[1], 0.2, 1e-15);
  /* Empty sets hand nothing over: nothing labelled is the reference. */
  assert_int_equal(pmp_pmpo_solve(3, NULL, NULL, ref, 0.3, 0.7, pi, NULL), PMP_OK);
  for (size_t v = 0; v < 3; v++) near(pi[v], ref[v], 1e-15);
  assert_int_equal(pmp_pmpo_solve(3, pa, NULL, ref, 0.5, 1.0, pi, NULL), PMP_OK);
  near(pi[0], 2.0 / 3.0, 1e-15);
  /* Nothing but the rejected. */
  assert_int_equal(pmp_pmpo_solve(3, NULL, pr, ref, 0.5, 0.0, pi, &margin), PMP_EINVALID);
  assert_true(margin == -0.5);
  assert_int_equal(pmp_pmpo_solve(3, pa, pr, ref, 1.5, 1.0, pi, NULL), PMP_EINVALID);
  assert_int_equal(pmp_pmpo_solve(3, pa, pr, ref, NAN, 1.0, pi, NULL), PMP_EINVALID);
  assert_int_equal(pmp_pmpo_solve(3, pa, pr, ref, 0.5, -1.0, pi, NULL), PMP_EINVALID);
  assert_int_equal(pmp_pmpo_solve(3, pa, pr, ref, 0.5, INFINITY, pi, NULL), PMP_EINVALID);
  const double more[] = {0.9, 0.9, 0.9};
  assert_int_equal(pmp_pmpo_solve(3, more, pr, ref, 0.5, 1.0, pi, NULL), PMP_EINVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bradley_terry),
      cmocka_unit_test(test_bradley_terry_recovers_rewards),
      cmocka_unit_test(test_bradley_terry_edges),
      cmocka_unit_test(test_psipo_is_optimal),
      cmocka_unit_test(test_psipo_by_hand),
      cmocka_unit_test(test_psipo_refusals),
      cmocka_unit_test(test_pmpo_is_optimal),
      cmocka_unit_test(test_pmpo_by_hand),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
