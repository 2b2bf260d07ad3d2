/* Families of distributions: values against float64 definitions, gradients against central
 * differences of those, and what must hold whatever the numbers. */
#include "tests/policy/dist_truth.h"

#include <float.h>

#define DIM 3
#define BINS 5

static const struct pmp_dist control = {.kind = PMP_DIST_DIAG_GAUSSIAN,
                                        .dim = DIM,
                                        .squash_mean = true,
                                        .std_scale = 0.72134752f,
                                        .std_min = 0.01f,
                                        .low = -1,
                                        .high = 1};
static const struct pmp_dist bandit = {.kind = PMP_DIST_DIAG_GAUSSIAN,
                                       .dim = DIM,
                                       .std_scale = 1,
                                       .std_min = 1e-8f,
                                       .low = -5,
                                       .high = 5};
static const struct pmp_dist bins = {
    .kind = PMP_DIST_CATEGORICAL, .dim = DIM, .bins = BINS, .low = -1, .high = 1};
static const struct pmp_dist full = {
    .kind = PMP_DIST_GAUSSIAN, .dim = DIM, .std_scale = 1, .std_min = 1e-8f, .low = -5, .high = 5};

static struct pmp_dist squashed(struct pmp_dist d) {
  d.squash_mean = true;
  return d;
}

static struct pmp_dist split(struct pmp_dist d, bool per_dim) {
  d.split = true;
  d.per_dim = per_dim;
  return d;
}

static void check_values(const struct truth_batch *t, const double *lp, const double *lp_ref,
                         const double *kl) {
  /* Long rows of logits take their exponentials in float32. */
  const bool coarse = t->d->kind == PMP_DIST_CATEGORICAL && t->d->bins > 256;
  const double lp_tolerance = coarse ? 1e-7 : 1e-12, kl_tolerance = coarse ? 1e-6 : 1e-11;
  for (size_t j = 0; j < t->n; j++)
    for (uint32_t p = 0; p < t->p; p++) {
      const double *pi = t->pi + truth_x_of(t, j) * t->m,
                   *ref = t->pi_ref + truth_x_of(t, j) * t->m;
      const double want = truth_lp(t->d, pi, ref, t->wide_y + j * t->d->dim, p);
      const double want_ref = truth_lp(t->d, ref, ref, t->wide_y + j * t->d->dim, p);
      assert_close_doubles("lp", lp + j * t->p + p, &want, 1, lp_tolerance, 1);
      assert_close_doubles("lp_ref", lp_ref + j * t->p + p, &want_ref, 1, lp_tolerance, 1);
    }
  for (size_t x = 0; x < t->b; x++) {
    double want[2 * TRUTH_DIM_MAX];
    truth_kl(t->d, t->pi + x * t->m, t->pi_ref + x * t->m, want);
    assert_close_doubles("kl", kl + x * t->k, want, t->k, kl_tolerance, 1);
  }
}

/* Forward, backward and both at once against the definitions. */
static void check_batch(const struct truth_batch *t) {
  const size_t lps = t->n * t->p, kls = t->b * t->k, hs = t->b * t->h;
  double *lp = doubles_new(lps), *lp_ref = doubles_new(lps), *kl = doubles_new(kls);
  double *lp2 = doubles_new(lps), *lp_ref2 = doubles_new(lps), *kl2 = doubles_new(kls);
  float *dhead = floats_new(hs), *dhead2 = floats_new(hs);
  assert_int_equal(
      pmp_dist_forward(t->d, t->b, t->n, t->head, t->ref, t->y, t->x_of_y, lp, lp_ref, kl), PMP_OK);
  check_values(t, lp, lp_ref, kl);
  assert_int_equal(
      pmp_dist_backward(t->d, t->b, t->n, t->head, t->ref, t->y, t->x_of_y, t->c, t->w, dhead),
      PMP_OK);
  double *want = truth_head_gradient(t, 1e-3);
  const bool coarse = t->d->kind == PMP_DIST_CATEGORICAL && t->d->bins > 256;
  assert_close("dhead", dhead, want, hs, coarse ? 2e-6 : 2e-7, 1e-2);
  assert_int_equal(pmp_dist_fused(t->d, t->b, t->n, t->head, t->ref, t->y, t->x_of_y, t->c, t->w,
                                  lp2, lp_ref2, kl2, dhead2),
                   PMP_OK);
  assert_memory_equal(lp, lp2, lps * sizeof *lp);
  assert_memory_equal(lp_ref, lp_ref2, lps * sizeof *lp);
  assert_memory_equal(kl, kl2, kls * sizeof *kl);
  assert_memory_equal(dhead, dhead2, hs * sizeof *dhead);
  /* In the head's own memory, and without the outputs. */
  memcpy(dhead2, t->head, hs * sizeof *dhead);
  assert_int_equal(pmp_dist_fused(t->d, t->b, t->n, dhead2, t->ref, t->y, t->x_of_y, t->c, t->w,
                                  NULL, NULL, NULL, dhead2),
                   PMP_OK);
  assert_memory_equal(dhead, dhead2, hs * sizeof *dhead);
  free(lp), free(lp_ref), free(kl), free(lp2), free(lp_ref2), free(kl2), free(dhead);
  free(dhead2), free(want);
}

static void values_and_gradients(void **state) {
  (void)state;
  const struct pmp_dist family[] = {control, split(control, false), split(control, true),
                                    bandit,  split(bandit, false),  split(bandit, true),
                                    full,    split(full, false),    squashed(full),
                                    bins};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 0);
  for (size_t f = 0; f < sizeof family / sizeof family[0]; f++) {
    for (int layout = 0; layout < 3; layout++) {
      struct truth_batch t;
      truth_batch_make(&t, &family[f], 7, layout == 0 ? 21 : 30, 0.3, &rng);
      if (layout > 0) {
        t.x_of_y = calloc(t.n, sizeof *t.x_of_y);
        for (size_t j = 0; j < t.n; j++)
          /* Rising with a condition that has none, or in any order. */
          t.x_of_y[j] = layout == 1 ? (uint32_t)(j / 6 + (j >= 12)) : (uint32_t)(j * 5 % 7);
      }
      check_batch(&t);
      truth_batch_free(&t);
    }
  }
}

static void large_vocabulary(void **state) {
  (void)state;
  const struct pmp_dist d = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = 1003, .low = 0, .high = 1};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 2, 0);
  struct truth_batch t;
  truth_batch_make(&t, &d, 2, 6, 0.3, &rng);
  /* A maximum that comes late makes the running sums shrink. */
  t.head[700] = 30, t.ref[900] = 25, t.y[0] = 1002, t.y[1] = 700;
  truth_batch_widen(&t);
  check_batch(&t);
  truth_batch_free(&t);
}

/* Long rows of logits, whose exponentials are float32, against float64 on the same numbers: far
 * apart, all but equal, equal but for a shift, certain of the outcome, huge, with zeros. */
static void long_rows(void **state) {
  (void)state;
  enum { BIG = 5003, REGIMES = 8 };
  const struct pmp_dist d = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = BIG, .low = 0, .high = 1};
  static const float scales[REGIMES] = {1, 1, 3, 3, 3, 3000, 30, 3};
  static const float aparts[REGIMES] = {1, 1e-2f, 2e-3f, 1e-5f, 1e-3f, 3000, 10, 1};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 13, 0);
  for (size_t k = 0; k < 5 * REGIMES; k++) {
    const size_t regime = k % REGIMES;
    struct truth_batch t;
    truth_batch_make(&t, &d, 2, 6, (double)aparts[regime], &rng);
    for (size_t i = 0; i < (size_t)2 * BIG; i++) {
      const float noise = t.ref[i] - t.head[i];
      t.head[i] *= scales[regime];
      t.ref[i] = t.head[i] + noise;
      if (regime == 4) t.ref[i] += 100;
      if (regime == 7 && i % 11 == 0) t.ref[i] = -INFINITY;
      if (regime == 7 && i % 22 == 0) t.head[i] = -INFINITY;
    }
    /* The first condition's outcomes pull, the second has a KL alone. */
    for (size_t j = 0; j < 6; j++) {
      t.y[j] = (float)(22 * pmp_rng_below(&rng, BIG / 22) + 1 + j);
      if (j >= 3) t.c[j] = 0;
    }
    if (regime == 6) t.head[(size_t)t.y[0]] = 60;
    truth_batch_widen(&t);
    double lp[6], kl[2], want_lp[6], want_kl[2], *want = doubles_new((size_t)2 * BIG);
    float *dhead = floats_new((size_t)2 * BIG);
    assert_int_equal(
        pmp_dist_fused(&d, 2, 6, t.head, t.ref, t.y, NULL, t.c, t.w, lp, NULL, kl, dhead), PMP_OK);
    assert_int_equal(
        pmp_dist_natural_forward(&d, 2, 6, t.pi, t.pi_ref, t.wide_y, NULL, want_lp, NULL, want_kl),
        PMP_OK);
    assert_int_equal(
        pmp_dist_natural_backward(&d, 2, 6, t.pi, t.pi_ref, t.wide_y, NULL, t.c, t.w, want),
        PMP_OK);
    assert_close_doubles("lp", lp, want_lp, 6, 1e-7, 1);
    assert_close_doubles("kl", kl, want_kl, 2, 1e-6, 1);
    for (size_t x = 0; x < 2; x++) {
      const double most = largest(want + x * BIG, BIG);
      for (size_t v = x * BIG; v < (x + 1) * BIG; v++) {
        if (!(fabs((double)dhead[v] - want[v]) <= 5e-6 * most))
          fail_msg("regime %zu: dhead[%zu] %.9g, expected %.9g, largest %g", regime, v,
                   (double)dhead[v], want[v], most);
        if (t.head[v] == -INFINITY) assert_true(dhead[v] == 0);
      }
    }
    free(want), free(dhead);
    truth_batch_free(&t);
  }
}

static void null_outputs_and_weights(void **state) {
  (void)state;
  const struct pmp_dist family[] = {control, split(control, true), bins, full};
  const size_t families = sizeof family / sizeof family[0];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 0);
  for (size_t f = 0; f < families; f++) {
    struct truth_batch t;
    truth_batch_make(&t, &family[f], 4, 8, 0.3, &rng);
    double *lp = doubles_new(t.n * t.p), *kl = doubles_new(t.b * t.k);
    float *all = floats_new(t.b * t.h), *c_only = floats_new(t.b * t.h);
    float *w_only = floats_new(t.b * t.h), *none = floats_new(t.b * t.h);
    assert_int_equal(pmp_dist_forward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, NULL, NULL, NULL),
                     PMP_OK);
    assert_int_equal(pmp_dist_forward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, lp, NULL, NULL),
                     PMP_OK);
    assert_int_equal(pmp_dist_forward(t.d, t.b, 0, t.head, t.ref, NULL, NULL, NULL, NULL, kl),
                     PMP_OK);
    for (size_t i = 0; i < t.n * t.p; i++) assert_true(lp[i] != (double)UNWRITTEN);
    for (size_t i = 0; i < t.b * t.k; i++) assert_true(kl[i] != (double)UNWRITTEN);
    assert_int_equal(pmp_dist_backward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, t.c, t.w, all),
                     PMP_OK);
    assert_int_equal(pmp_dist_backward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, t.c, NULL, c_only),
                     PMP_OK);
    assert_int_equal(pmp_dist_backward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, NULL, t.w, w_only),
                     PMP_OK);
    assert_int_equal(pmp_dist_backward(t.d, t.b, 0, t.head, t.ref, NULL, NULL, NULL, NULL, none),
                     PMP_OK);
    for (size_t i = 0; i < t.b * t.h; i++) {
      assert_near("sum", (double)c_only[i] + (double)w_only[i], (double)all[i],
                  1e-6 * (1 + fabs((double)all[i])));
      assert_true(none[i] == 0);
    }
    free(lp), free(kl), free(all), free(c_only), free(w_only), free(none);
    truth_batch_free(&t);
  }
}

/* KL >= 0 for any heads, exactly 0 with no gradient where pi is ref. */
static void kl_is_a_divergence(void **state) {
  (void)state;
  const struct pmp_dist family[] = {control, split(control, false), split(control, true),
                                    bandit,  split(bandit, true),   bins,
                                    full,    split(full, false)};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 4, 0);
  for (size_t f = 0; f < sizeof family / sizeof family[0]; f++) {
    for (int round = 0; round < 200; round++) {
      struct truth_batch t;
      truth_batch_make(&t, &family[f], 5, 5, 0.3, &rng);
      /* From far apart to a few bits apart. */
      const double apart = 5 * pow(10, -0.04 * round);
      double *kl = doubles_new(t.b * t.k);
      float *dhead = floats_new(t.b * t.h);
      for (size_t i = 0; i < t.b * t.h; i++)
        t.head[i] = t.ref[i] + (float)(apart * pmp_rng_normal(&rng));
      assert_int_equal(pmp_dist_forward(t.d, t.b, 0, t.head, t.ref, NULL, NULL, NULL, NULL, kl),
                       PMP_OK);
      for (size_t i = 0; i < t.b * t.k; i++) assert_true(kl[i] >= 0);

      assert_int_equal(pmp_dist_forward(t.d, t.b, 0, t.ref, t.ref, NULL, NULL, NULL, NULL, kl),
                       PMP_OK);
      for (size_t i = 0; i < t.b * t.k; i++) assert_true(kl[i] == 0);
      assert_int_equal(pmp_dist_backward(t.d, t.b, 0, t.ref, t.ref, NULL, NULL, NULL, t.w, dhead),
                       PMP_OK);
      for (size_t i = 0; i < t.b * t.h; i++) assert_true(dhead[i] == 0);
      free(kl), free(dhead);
      truth_batch_free(&t);
    }
  }
}

/* The sum over all outcomes of pi(y) is 1 and of its gradient (c = pi) is 0. */
static void probabilities_sum_to_one(void **state) {
  (void)state;
  const struct pmp_dist d = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = 300, .low = 0, .high = 1};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 5, 0);
  struct truth_batch t;
  truth_batch_make(&t, &d, 1, 300, 0.3, &rng);
  double lp[300];
  float dhead[300];
  double sum = 0;
  for (size_t v = 0; v < 300; v++) t.y[v] = (float)v;
  assert_int_equal(pmp_dist_forward(&d, 1, 300, t.head, t.ref, t.y, NULL, lp, NULL, NULL), PMP_OK);
  for (size_t v = 0; v < 300; v++) {
    t.c[v] = exp(lp[v]);
    sum += t.c[v];
  }
  assert_near("sum of pi", sum, 1, 1e-6);
  assert_int_equal(pmp_dist_backward(&d, 1, 300, t.head, t.ref, t.y, NULL, t.c, NULL, dhead),
                   PMP_OK);
  for (size_t v = 0; v < 300; v++) assert_near("gradient", (double)dhead[v], 0, 1e-7);
  truth_batch_free(&t);
}

static void extremes_stay_finite(void **state) {
  (void)state;
  struct pmp_dist d = bandit;
  d.dim = 1;
  /* std of 1e-8 (raw far below 0), 20 stds out. */
  float head[2] = {0, -200}, ref[2] = {0, -200}, y = 2e-7f, dhead[2];
  double lp, lp_ref, kl, c = 1, w = 1;
  assert_int_equal(pmp_dist_forward(&d, 1, 1, head, ref, &y, NULL, &lp, &lp_ref, &kl), PMP_OK);
  assert_near("lp", lp, -200 + log(1e8) - 0.5 * log(2 * acos(-1.0)), 2e-4);
  assert_true(kl == 0);
  assert_int_equal(pmp_dist_backward(&d, 1, 1, head, ref, &y, NULL, &c, &w, dhead), PMP_OK);
  assert_near("dmean", (double)dhead[0] / 2e9, 1, 1e-5);
  /* A spread that the head sets a thousand times narrower than the reference. */
  head[1] = -16, ref[1] = -9;
  assert_int_equal(pmp_dist_forward(&d, 1, 1, head, ref, &y, NULL, &lp, &lp_ref, &kl), PMP_OK);
  const double s = log1p(exp(-16)) + 1e-8, sr = log1p(exp(-9)) + 1e-8;
  assert_near("kl", kl / (log(s / sr) + sr * sr / (2 * s * s) - 0.5), 1, 1e-6);
  /* A squashed mean at its end keeps a gradient. */
  struct pmp_dist q = control;
  q.dim = 1;
  head[0] = 15, head[1] = 0, y = 0;
  assert_int_equal(pmp_dist_backward(&q, 1, 1, head, head, &y, NULL, &c, NULL, dhead), PMP_OK);
  assert_true(dhead[0] < 0);
  assert_near("dtanh", (double)dhead[0] / (-4 * exp(-30) / (0.51 * 0.51)), 1, 1e-5);
  /* Logits of +-1e4: a probability of 0 in ref adds nothing; a likely one that pi has not costs
   * 2e4. */
  struct pmp_dist k = bins;
  k.dim = 1, k.bins = 3;
  const float z[3] = {1e4f, -1e4f, 1e4f}, zr[3] = {1e4f, -1e4f, -1e4f}, one = 1;
  float dz[3];
  assert_int_equal(pmp_dist_forward(&k, 1, 1, z, zr, &one, NULL, &lp, &lp_ref, &kl), PMP_OK);
  assert_near("lp", lp, -2e4 - log(2), 1e-2);
  assert_near("lp_ref", lp_ref, -2e4, 1e-2);
  assert_near("kl", kl, log(2), 1e-6);
  assert_int_equal(pmp_dist_backward(&k, 1, 1, z, zr, &one, NULL, &c, &w, dz), PMP_OK);
  assert_near("dz0", (double)dz[0], -0.5 + (0.5 - 1), 1e-6);
  assert_near("dz1", (double)dz[1], 1, 1e-6);
  assert_near("dz2", (double)dz[2], -0.5 + 0.5, 1e-6);
  assert_int_equal(pmp_dist_forward(&k, 1, 0, zr, z, NULL, NULL, NULL, NULL, &kl), PMP_OK);
  assert_near("kl", kl, 1e4, 1);
}

static void what_is_not_finite_is_refused(void **state) {
  (void)state;
  const struct pmp_dist family[] = {control, split(bandit, true), full, bins};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 6, 0);
  for (size_t f = 0; f < 4; f++) {
    /* A logit may be -INFINITY. */
    const float bad[] = {NAN, INFINITY, f < 3 ? -INFINITY : NAN};
    struct truth_batch t;
    truth_batch_make(&t, &family[f], 3, 6, 0.3, &rng);
    double *lp = doubles_new(t.n * t.p), *lp_ref = doubles_new(t.n * t.p);
    double *kl = doubles_new(t.b * t.k);
    float *dhead = floats_new(t.b * t.h), y[3 * DIM], entropy[3];
    for (size_t k = 0; k < 9; k++) {
      struct pmp_rng copy = rng;
      float *array = k % 3 == 0 ? t.head : k % 3 == 1 ? t.ref : t.y;
      const size_t at = pmp_rng_below(&rng, k % 3 == 2 ? t.n * DIM : t.b * t.h);
      const float was = array[at];
      const enum pmp_err want =
          k % 3 == 2 && t.d->kind == PMP_DIST_CATEGORICAL ? PMP_EINVALID : PMP_ENONFINITE;
      array[at] = bad[k / 3];
      assert_int_equal(pmp_dist_forward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, lp, lp_ref, kl),
                       want);
      assert_int_equal(pmp_dist_forward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, lp, lp_ref, NULL),
                       want);
      assert_int_equal(pmp_dist_backward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, t.c, t.w, dhead),
                       want);
      if (k % 3 == 0) {
        assert_int_equal(pmp_dist_sample(t.d, t.b, 1, t.head, &copy, y), PMP_ENONFINITE);
        assert_int_equal(pmp_dist_mode(t.d, t.b, t.head, y), PMP_ENONFINITE);
        assert_int_equal(pmp_dist_entropy(t.d, t.b, t.head, entropy), PMP_ENONFINITE);
      }
      array[at] = was;
    }
    t.c[2] = NAN;
    assert_int_equal(pmp_dist_backward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, t.c, t.w, dhead),
                     PMP_ENONFINITE);
    t.c[2] = 1, t.w[1] = INFINITY;
    assert_int_equal(pmp_dist_backward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, t.c, t.w, dhead),
                     PMP_ENONFINITE);
    free(lp), free(lp_ref), free(kl), free(dhead);
    truth_batch_free(&t);
  }
  /* Finite inputs whose gradient float32 cannot hold. */
  const float head[2 * DIM] = {0, 0, 0, -200, 0, 0};
  const float y[DIM] = {3e38f, 0, 0};
  float dhead[2 * DIM];
  const double c = 1;
  assert_int_equal(pmp_dist_backward(&bandit, 1, 1, head, head, y, NULL, &c, NULL, dhead),
                   PMP_ENONFINITE);
}

/* A logit of -INFINITY is a probability of 0: as if the bin were not there. */
static void masked_logits(void **state) {
  (void)state;
  enum { BIG = 700 };
  const struct pmp_dist d = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = BIG, .low = 0, .high = 1};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 12, 0);
  struct truth_batch t;
  truth_batch_make(&t, &d, 2, 6, 0.3, &rng);
  for (size_t v = 0; v < BIG; v++) {
    /* Whole blocks, and here and there; ref has 0 in more bins than pi. */
    const bool both = v < 300 || v % 3 == 0;
    for (size_t x = 0; x < 2; x++) {
      if (both) t.head[x * BIG + v] = -INFINITY;
      if (both || v % 5 == 0) t.ref[x * BIG + v] = -INFINITY;
    }
  }
  for (size_t j = 0; j < 6; j++) t.y[j] = (float)(301 + 3 * (j + 1) * 5); /* of both */
  truth_batch_widen(&t);
  double lp[6], lp_ref[6], kl[2];
  float dz[2 * BIG], entropy[2], mode[2], *y = floats_new(2 * 2000);
  assert_int_equal(pmp_dist_fused(&d, 2, 6, t.head, t.ref, t.y, NULL, t.c, t.w, lp, lp_ref, kl, dz),
                   PMP_OK);
  check_values(&t, lp, lp_ref, kl);
  for (size_t x = 0; x < 2; x++) {
    double sum = 0;
    for (size_t v = 0; v < BIG; v++) {
      if (t.head[x * BIG + v] == -INFINITY) assert_true(dz[x * BIG + v] == 0);
      sum += (double)dz[x * BIG + v];
    }
    assert_near("sum of the gradient", sum, 0, 1e-6);
  }
  assert_int_equal(pmp_dist_entropy(&d, 2, t.head, entropy), PMP_OK);
  for (size_t x = 0; x < 2; x++) {
    double want = 0;
    const double l = truth_log_sum(&d, t.pi + x * BIG, 0);
    for (size_t v = x * BIG; v < (x + 1) * BIG; v++)
      if (t.pi[v] != -INFINITY) want -= exp(t.pi[v] - l) * (t.pi[v] - l);
    assert_near("entropy", (double)entropy[x], want, 1e-6);
  }
  assert_int_equal(pmp_dist_mode(&d, 2, t.head, mode), PMP_OK);
  assert_int_equal(pmp_dist_sample(&d, 2, 2000, t.head, &rng, y), PMP_OK);
  for (size_t x = 0; x < 2; x++) {
    assert_true(isfinite(t.head[x * BIG + (size_t)mode[x]]));
    for (size_t j = 0; j < 2000; j++)
      assert_true(isfinite(t.head[x * BIG + (size_t)y[x * 2000 + j]]));
  }
  /* The KL is infinite where pi has 0 and ref has not, however little that is. */
  t.ref[3] = -1e4f;
  const struct pmp_dist *f = &d;
  assert_int_equal(pmp_dist_forward(f, 2, 6, t.head, t.ref, t.y, NULL, lp, NULL, kl),
                   PMP_ENONFINITE);
  assert_int_equal(pmp_dist_forward(f, 2, 6, t.head, t.ref, t.y, NULL, lp, lp_ref, NULL), PMP_OK);
  assert_int_equal(pmp_dist_backward(f, 2, 6, t.head, t.ref, t.y, NULL, t.c, t.w, dz),
                   PMP_ENONFINITE);
  assert_int_equal(pmp_dist_backward(f, 2, 6, t.head, t.ref, t.y, NULL, t.c, NULL, dz), PMP_OK);
  t.ref[3] = -INFINITY;
  /* An outcome that cannot be. */
  t.y[2] = 3;
  assert_int_equal(pmp_dist_forward(f, 2, 6, t.head, t.ref, t.y, NULL, lp, NULL, NULL),
                   PMP_ENONFINITE);
  assert_int_equal(pmp_dist_backward(f, 2, 6, t.head, t.ref, t.y, NULL, t.c, t.w, dz),
                   PMP_ENONFINITE);
  /* Or could not, under ref. */
  t.y[2] = 305;
  assert_int_equal(pmp_dist_forward(f, 2, 6, t.head, t.ref, t.y, NULL, lp, NULL, kl), PMP_OK);
  assert_int_equal(pmp_dist_forward(f, 2, 6, t.head, t.ref, t.y, NULL, NULL, lp_ref, NULL),
                   PMP_ENONFINITE);
  /* Nothing at all is no distribution. */
  for (size_t v = 0; v < BIG; v++) t.head[v] = -INFINITY;
  assert_int_equal(pmp_dist_forward(f, 2, 0, t.head, t.ref, NULL, NULL, NULL, NULL, kl),
                   PMP_ENONFINITE);
  assert_int_equal(pmp_dist_mode(f, 2, t.head, mode), PMP_ENONFINITE);
  assert_int_equal(pmp_dist_sample(f, 2, 1, t.head, &rng, y), PMP_ENONFINITE);
  assert_int_equal(pmp_dist_entropy(f, 2, t.head, entropy), PMP_ENONFINITE);
  free(y);
  truth_batch_free(&t);
}

static void wrong_indices_are_refused(void **state) {
  (void)state;
  const float head[2 * DIM * BINS] = {0}, wrong[] = {-1, 0.5f, BINS, 1e10f};
  float y[2 * DIM] = {0}, dhead[2 * DIM * BINS];
  double lp[2], c[2] = {1, 1};
  for (size_t i = 0; i < 4; i++) {
    y[4] = wrong[i];
    assert_int_equal(pmp_dist_forward(&bins, 2, 2, head, head, y, NULL, lp, NULL, NULL),
                     PMP_EINVALID);
    assert_int_equal(pmp_dist_backward(&bins, 2, 2, head, head, y, NULL, c, NULL, dhead),
                     PMP_EINVALID);
  }
  y[4] = 0;
  const uint32_t beyond[2] = {0, 2};
  assert_int_equal(pmp_dist_forward(&bins, 2, 2, head, head, y, beyond, lp, NULL, NULL),
                   PMP_EINVALID);
  assert_int_equal(pmp_dist_backward(&bins, 2, 2, head, head, y, beyond, c, NULL, dhead),
                   PMP_EINVALID);
  /* Three outcomes cannot be shared equally by two conditions. */
  assert_int_equal(pmp_dist_forward(&bins, 2, 3, head, head, y, NULL, lp, NULL, NULL),
                   PMP_EINVALID);
}

static void gaussian_samples(void **state) {
  (void)state;
  enum { M = 60000 };
  const float head[2 * 2 * DIM] = {0.3f, -0.8f, 0.1f, 0.5f, -1, 0, 2, -0.2f, 0, 1, -3, 0.4f};
  float *y = floats_new((size_t)2 * M * DIM), mean[2 * DIM], std[2 * DIM], mode[2 * DIM];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 8, 0);
  assert_int_equal(pmp_dist_sample(&control, 2, M, head, &rng, y), PMP_OK);
  assert_int_equal(pmp_dist_moments(&control, 2, head, mean, std), PMP_OK);
  assert_int_equal(pmp_dist_mode(&control, 2, head, mode), PMP_OK);
  for (size_t x = 0; x < 2; x++)
    for (size_t i = 0; i < DIM; i++) {
      const size_t at = x * DIM + i;
      double wide[2 * DIM], natural[2 * DIM], sum[5] = {0};
      for (size_t j = 0; j < 2 * DIM; j++) wide[j] = (double)head[x * 2 * DIM + j];
      truth_natural(&control, wide, natural);
      assert_near("mean", (double)mean[at], natural[i], 1e-7);
      assert_near("std", (double)std[at], natural[DIM + i], 1e-7);
      assert_true(mode[at] == mean[at]);
      for (size_t j = 0; j < M; j++) {
        const double z = ((double)y[(x * M + j) * DIM + i] - (double)mean[at]) / (double)std[at];
        for (int power = 1; power <= 4; power++) sum[power] += pow(z, power) / M;
      }
      /* Five standard errors of each moment. */
      assert_near("z", sum[1], 0, 5 * sqrt(1.0 / M));
      assert_near("z^2", sum[2], 1, 5 * sqrt(2.0 / M));
      assert_near("z^3", sum[3], 0, 5 * sqrt(15.0 / M));
      assert_near("z^4", sum[4], 3, 5 * sqrt(96.0 / M));
    }
  free(y);
}

/* Mean and covariance of draws from a full covariance. */
static void correlated_samples(void **state) {
  (void)state;
  enum { M = 60000 };
  const float head[3 + 6] = {0.3f, -4, 2, 0.2f, -1.5f, -1, 0.7f, 2, -0.4f};
  float *y = floats_new((size_t)M * DIM), mean[DIM], std[DIM];
  double wide[9], natural[DIM + DIM * DIM];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 11, 0);
  assert_int_equal(pmp_dist_sample(&full, 1, M, head, &rng, y), PMP_OK);
  assert_int_equal(pmp_dist_moments(&full, 1, head, mean, std), PMP_OK);
  for (size_t i = 0; i < 9; i++) wide[i] = (double)head[i];
  truth_natural(&full, wide, natural);
  const struct truth_normal t = truth_normal(&full, natural);
  for (size_t i = 0; i < DIM; i++) {
    assert_near("mean", (double)mean[i], t.mean[i], 1e-7);
    assert_near("std", (double)std[i], sqrt(t.c[i][i]), 1e-6);
    double sum = 0;
    for (size_t j = 0; j < M; j++) sum += (double)y[j * DIM + i] / M;
    assert_near("sample mean", sum, t.mean[i], 5 * sqrt(t.c[i][i] / M));
    for (size_t k = 0; k < DIM; k++) {
      double product = 0;
      for (size_t j = 0; j < M; j++)
        product += ((double)y[j * DIM + i] - t.mean[i]) * ((double)y[j * DIM + k] - t.mean[k]) / M;
      const double variance = t.c[i][i] * t.c[k][k] + t.c[i][k] * t.c[i][k];
      assert_near("sample covariance", product, t.c[i][k], 5 * sqrt(variance / M));
    }
  }
  free(y);
}

/* Chi-squared of counts against probabilities. */
static double chi_squared(const float *head, size_t n_bins, const float *y, size_t stride,
                          size_t n) {
  double sum = 0, chi = 0, *count = calloc(n_bins, sizeof *count);
  for (size_t v = 0; v < n_bins; v++) sum += exp((double)head[v]);
  for (size_t j = 0; j < n; j++) count[(size_t)y[j * stride]]++;
  for (size_t v = 0; v < n_bins; v++) {
    const double want = exp((double)head[v]) / sum * (double)n;
    chi += (count[v] - want) * (count[v] - want) / want;
  }
  free(count);
  return chi;
}

static void categorical_samples(void **state) {
  (void)state;
  enum { M = 20000 };
  struct pmp_rng rng;
  pmp_rng_init(&rng, 9, 0);
  const uint32_t sizes[] = {2, 11, 600}; /* the last is more than one block */
  for (size_t k = 0; k < 3; k++) {
    const struct pmp_dist d = {
        .kind = PMP_DIST_CATEGORICAL, .dim = 2, .bins = sizes[k], .low = -1, .high = 1};
    const size_t h = pmp_dist_head(&d);
    float *head = normals_new(&rng, 2 * h, 0.7), *y = floats_new((size_t)2 * M * 2);
    assert_int_equal(pmp_dist_sample(&d, 2, M, head, &rng, y), PMP_OK);
    for (size_t x = 0; x < 2; x++)
      for (size_t i = 0; i < 2; i++) {
        const double freedom = sizes[k] - 1;
        const double chi =
            chi_squared(head + x * h + i * sizes[k], sizes[k], y + x * M * 2 + i, 2, M);
        assert_near("chi^2", (chi - freedom) / sqrt(2 * freedom), 0, 5.5);
      }
    free(head), free(y);
  }
  /* A bin of probability 0 is never drawn, a sure one always. */
  const struct pmp_dist d = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = 4, .low = -1, .high = 1};
  const float head[4] = {-1e4f, 0, -1e4f, -1e4f};
  float y[500];
  assert_int_equal(pmp_dist_sample(&d, 1, 500, head, &rng, y), PMP_OK);
  for (size_t j = 0; j < 500; j++) assert_true(y[j] == 1);
}

static void entropies(void **state) {
  (void)state;
  enum { M = 40000 };
  const struct pmp_dist family[] = {control, bandit, bins, full};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 10, 0);
  float *y = floats_new((size_t)M * DIM);
  double *lp = doubles_new(M);
  for (size_t f = 0; f < 4; f++) {
    const size_t h = pmp_dist_head(&family[f]);
    float *head = normals_new(&rng, h, 0.5), entropy;
    assert_int_equal(pmp_dist_entropy(&family[f], 1, head, &entropy), PMP_OK);
    assert_int_equal(pmp_dist_sample(&family[f], 1, M, head, &rng, y), PMP_OK);
    assert_int_equal(pmp_dist_forward(&family[f], 1, M, head, head, y, NULL, lp, NULL, NULL),
                     PMP_OK);
    double mean = 0, squares = 0;
    for (size_t j = 0; j < M; j++) {
      mean -= lp[j] / M;
      squares += lp[j] * lp[j] / M;
    }
    /* Entropy is the mean of -lp. */
    assert_near("entropy", mean, (double)entropy, 5 * sqrt((squares - mean * mean) / M));
    free(head);
  }
  const float equal[DIM * BINS] = {0};
  float entropy;
  assert_int_equal(pmp_dist_entropy(&bins, 1, equal, &entropy), PMP_OK);
  assert_near("equal", (double)entropy, DIM * log(BINS), 1e-6);
  free(y), free(lp);
}

static void modes_and_actions(void **state) {
  (void)state;
  const float z[DIM * BINS] = {0, 2, 1, 2, 0, 5, 5, 5, 5, 5, -3, -2, -1, -2, -1};
  float mode[DIM], mean[DIM], std[DIM];
  assert_int_equal(pmp_dist_mode(&bins, 1, z, mode), PMP_OK);
  assert_true(mode[0] == 1 && mode[1] == 0 && mode[2] == 2);
  assert_int_equal(pmp_dist_moments(&bins, 1, z, mean, std), PMP_EUNAVAILABLE);

  struct pmp_dist d = bins;
  d.dim = 1, d.bins = 11;
  float index[11], action[11];
  for (int i = 0; i < 11; i++) index[i] = (float)i;
  pmp_dist_action(&d, 11, index, action);
  const double want[11] = {-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1};
  for (int i = 0; i < 11; i++) assert_near("bin", (double)action[i], want[i], 3e-8);
  assert_true(action[0] == -1 && action[10] == 1);

  float y[6] = {-3, -1, -0.5f, 0.25f, 1, 7};
  pmp_dist_action(&control, 2, y, y);
  const float clipped[6] = {-1, -1, -0.5f, 0.25f, 1, 1};
  assert_memory_equal(y, clipped, sizeof y);
}

static void initial_heads(void **state) {
  (void)state;
  const struct pmp_dist family[] = {control, bandit};
  const float wanted[DIM] = {-0.9f, 0, 0.4f}, stds[] = {0.02f, 0.5f, 30};
  for (size_t f = 0; f < 2; f++)
    for (size_t s = 0; s < 3; s++) {
      float head[2 * DIM], mean[DIM], std[DIM];
      pmp_dist_init_head(&family[f], wanted, stds[s], head);
      assert_int_equal(pmp_dist_moments(&family[f], 1, head, mean, std), PMP_OK);
      for (size_t i = 0; i < DIM; i++) {
        assert_near("mean", (double)mean[i], (double)wanted[i], 2e-7);
        assert_near("std", (double)std[i] / (double)stds[s], 1, 1e-5);
      }
      pmp_dist_init_head(&family[f], NULL, stds[s], head);
      for (size_t i = 0; i < DIM; i++) assert_true(head[i] == 0);
    }
  float whole[DIM + 6], mean[DIM], std[DIM];
  memset(whole, 1, sizeof whole);
  pmp_dist_init_head(&full, wanted, 0.5f, whole);
  assert_int_equal(pmp_dist_moments(&full, 1, whole, mean, std), PMP_OK);
  for (size_t i = 0; i < DIM; i++) {
    assert_true(mean[i] == wanted[i]);
    assert_near("std", (double)std[i], 0.5, 1e-6);
  }
  assert_true(whole[4] == 0 && whole[6] == 0 && whole[7] == 0);
  float head[DIM * BINS];
  memset(head, 1, sizeof head);
  pmp_dist_init_head(&bins, NULL, 1, head);
  for (size_t i = 0; i < DIM * BINS; i++) assert_true(head[i] == 0);
  /* Asked for less than the family can say: the least, and finite. */
  pmp_dist_init_head(&control, (const float[DIM]){1, -1, 0}, 0.001f, head);
  for (size_t i = 0; i < 2 * DIM; i++) assert_true(isfinite(head[i]));
}

static void checks(void **state) {
  (void)state;
  struct pmp_errmsg msg;
  const struct pmp_dist good[] = {control, bandit, bins, split(control, true), split(full, false)};
  for (size_t i = 0; i < 5; i++) assert_int_equal(pmp_dist_check(&good[i], &msg), PMP_OK);
  struct pmp_dist d[15];
  for (int i = 0; i < 15; i++) d[i] = i < 8 ? control : i < 12 ? bins : full;
  d[0].kind = (enum pmp_dist_kind)9, d[1].dim = 0, d[2].dim = 4097, d[3].per_dim = true;
  d[4].std_scale = 0, d[5].std_min = NAN, d[6].low = 1, d[7].high = INFINITY;
  d[8].bins = 1, d[9].bins = (1u << 20) + 1, d[10].split = true, d[11].low = NAN;
  d[12].dim = PMP_DIST_CHOL_DIM_MAX + 1, d[13].split = d[13].per_dim = true, d[14].std_min = 0;
  for (int i = 0; i < 15; i++) {
    msg.text[0] = '\0';
    assert_int_equal(pmp_dist_check(&d[i], &msg), PMP_EINVALID);
    assert_true(msg.text[0] != '\0');
  }
  const struct pmp_dist both = split(control, false), each = split(control, true);
  assert_int_equal(pmp_dist_head(&control), 2 * DIM);
  assert_int_equal(pmp_dist_head(&bins), DIM * BINS);
  assert_int_equal(pmp_dist_head(&full), DIM + 6);
  assert_int_equal(pmp_dist_natural(&full), DIM + DIM * DIM);
  assert_int_equal(pmp_dist_natural(&control), 2 * DIM);
  assert_int_equal(pmp_dist_parts(&both), 2);
  assert_int_equal(pmp_dist_kl_parts(&both), 2);
  assert_int_equal(pmp_dist_parts(&each), 2);
  assert_int_equal(pmp_dist_kl_parts(&each), 2 * DIM);
  assert_int_equal(pmp_dist_kl_parts(&bins), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_and_gradients),
      cmocka_unit_test(large_vocabulary),
      cmocka_unit_test(long_rows),
      cmocka_unit_test(null_outputs_and_weights),
      cmocka_unit_test(kl_is_a_divergence),
      cmocka_unit_test(probabilities_sum_to_one),
      cmocka_unit_test(extremes_stay_finite),
      cmocka_unit_test(what_is_not_finite_is_refused),
      cmocka_unit_test(masked_logits),
      cmocka_unit_test(wrong_indices_are_refused),
      cmocka_unit_test(gaussian_samples),
      cmocka_unit_test(correlated_samples),
      cmocka_unit_test(categorical_samples),
      cmocka_unit_test(entropies),
      cmocka_unit_test(modes_and_actions),
      cmocka_unit_test(initial_heads),
      cmocka_unit_test(checks),
  };
  return cmocka_run_group_tests_name("dist", tests, NULL, NULL);
}
