/* Families of distributions: values against float64 definitions, gradients against central
 * differences of those, and what must hold whatever the numbers. */
#include "tests/policy/check.h"

#include "policy/dist/dist.h"

#include <float.h>
#include <string.h>

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

static struct pmp_dist split(struct pmp_dist d, bool per_dim) {
  d.split = true;
  d.per_dim = per_dim;
  return d;
}

/* ---- the definitions in float64 ---- */

static double mean_of(const struct pmp_dist *d, const double *head, size_t i) {
  return d->squash_mean ? tanh(head[i]) : head[i];
}

static double std_of(const struct pmp_dist *d, const double *head, size_t i) {
  return log1p(exp(head[d->dim + i])) * (double)d->std_scale + (double)d->std_min;
}

static double log_normal(double y, double m, double s) {
  return -0.5 * (y - m) * (y - m) / (s * s) - log(s) - 0.5 * log(2 * acos(-1.0));
}

/* log of the sum of exponentials of dimension i's logits */
static double log_sum(const struct pmp_dist *d, const double *head, size_t i) {
  const double *z = head + i * d->bins;
  double max = z[0], sum = 0;
  for (size_t v = 0; v < d->bins; v++) max = fmax(max, z[v]);
  for (size_t v = 0; v < d->bins; v++) sum += exp(z[v] - max);
  return max + log(sum);
}

static double lp_want(const struct pmp_dist *d, const double *head, const double *ref,
                      const float *y, uint32_t part) {
  double lp = 0;
  for (size_t i = 0; i < d->dim; i++) {
    if (d->kind == PMP_DIST_CATEGORICAL)
      lp += head[i * d->bins + (size_t)y[i]] - log_sum(d, head, i);
    else
      lp += log_normal((double)y[i], mean_of(d, d->split && part == 1 ? ref : head, i),
                       std_of(d, d->split && part == 0 ? ref : head, i));
  }
  return lp;
}

static void kl_want(const struct pmp_dist *d, const double *head, const double *ref, double *kl) {
  for (uint32_t k = 0; k < pmp_dist_kl_parts(d); k++) kl[k] = 0;
  for (size_t i = 0; i < d->dim; i++) {
    if (d->kind == PMP_DIST_CATEGORICAL) {
      const double l = log_sum(d, head, i), lr = log_sum(d, ref, i);
      for (size_t v = i * d->bins; v < (i + 1) * d->bins; v++)
        kl[0] += exp(ref[v] - lr) * ((ref[v] - lr) - (head[v] - l));
      continue;
    }
    const double m = mean_of(d, head, i), s = std_of(d, head, i);
    const double mr = mean_of(d, ref, i), sr = std_of(d, ref, i);
    const double spread = log(s / sr) + sr * sr / (2 * s * s) - 0.5;
    const size_t at = d->per_dim ? i : 0;
    if (d->split) {
      kl[at] += (mr - m) * (mr - m) / (2 * sr * sr);
      kl[d->per_dim ? d->dim + i : 1] += spread;
    } else {
      kl[0] += spread + (mr - m) * (mr - m) / (2 * s * s);
    }
  }
}

/* ---- a batch ---- */

struct batch {
  const struct pmp_dist *d;
  size_t b, n, h;
  uint32_t p, k;
  float *head, *ref, *y, *c, *w;
  uint32_t *x_of_y; /* NULL: equal shares */
};

static size_t x_of(const struct batch *t, size_t j) {
  return t->x_of_y ? t->x_of_y[j] : j / (t->n / t->b);
}

static void batch_make(struct batch *t, const struct pmp_dist *d, size_t b, size_t n,
                       struct pmp_rng *rng) {
  *t = (struct batch){.d = d, .b = b, .n = n, .h = pmp_dist_head(d)};
  t->p = pmp_dist_parts(d), t->k = pmp_dist_kl_parts(d);
  t->head = normals_new(rng, b * t->h, 1), t->ref = floats_new(b * t->h);
  for (size_t i = 0; i < b * t->h; i++) t->ref[i] = t->head[i] + 0.3f * (float)pmp_rng_normal(rng);
  t->y = normals_new(rng, n * d->dim, 1);
  if (d->kind == PMP_DIST_CATEGORICAL)
    for (size_t i = 0; i < n * d->dim; i++) t->y[i] = (float)pmp_rng_below(rng, d->bins);
  t->c = normals_new(rng, n * t->p, 1), t->w = normals_new(rng, b * t->k, 1);
}

static void batch_free(struct batch *t) {
  free(t->head), free(t->ref), free(t->y), free(t->c), free(t->w), free(t->x_of_y);
}

static double *widened(const float *x, size_t n) {
  double *out = calloc(n + 1, sizeof *out);
  assert_non_null(out);
  for (size_t i = 0; i < n; i++) out[i] = (double)x[i];
  return out;
}

/* sum c lp + sum w kl */
static double loss(const struct batch *t, const double *head, const double *ref) {
  double total = 0, kl[2 * DIM + 1];
  for (size_t j = 0; j < t->n; j++)
    for (uint32_t p = 0; p < t->p; p++)
      total +=
          (double)t->c[j * t->p + p] *
          lp_want(t->d, head + x_of(t, j) * t->h, ref + x_of(t, j) * t->h, t->y + j * t->d->dim, p);
  for (size_t x = 0; x < t->b; x++) {
    kl_want(t->d, head + x * t->h, ref + x * t->h, kl);
    for (uint32_t k = 0; k < t->k; k++) total += (double)t->w[x * t->k + k] * kl[k];
  }
  return total;
}

static void check_batch(struct batch *t) {
  double *head = widened(t->head, t->b * t->h), *ref = widened(t->ref, t->b * t->h);
  float *lp = floats_new(t->n * t->p), *lp_ref = floats_new(t->n * t->p);
  float *kl = floats_new(t->b * t->k), *dhead = floats_new(t->b * t->h);
  assert_int_equal(
      pmp_dist_forward(t->d, t->b, t->n, t->head, t->ref, t->y, t->x_of_y, lp, lp_ref, kl), PMP_OK);
  for (size_t j = 0; j < t->n; j++)
    for (uint32_t p = 0; p < t->p; p++) {
      const double *h = head + x_of(t, j) * t->h, *r = ref + x_of(t, j) * t->h;
      const double want = lp_want(t->d, h, r, t->y + j * t->d->dim, p);
      const double want_ref = lp_want(t->d, r, r, t->y + j * t->d->dim, p);
      assert_close("lp", lp + j * t->p + p, &want, 1, 1e-6, 1);
      assert_close("lp_ref", lp_ref + j * t->p + p, &want_ref, 1, 1e-6, 1);
    }
  for (size_t x = 0; x < t->b; x++) {
    double want[2 * DIM + 1];
    kl_want(t->d, head + x * t->h, ref + x * t->h, want);
    assert_close("kl", kl + x * t->k, want, t->k, 1e-6, 1e-6);
  }

  double *want = calloc(t->b * t->h, sizeof *want);
  for (size_t i = 0; i < t->b * t->h; i++) {
    const double at = head[i], step = 1e-5;
    head[i] = at + step;
    const double up = loss(t, head, ref);
    head[i] = at - step;
    want[i] = (up - loss(t, head, ref)) / (2 * step);
    head[i] = at;
  }
  assert_int_equal(
      pmp_dist_backward(t->d, t->b, t->n, t->head, t->ref, t->y, t->x_of_y, t->c, t->w, dhead),
      PMP_OK);
  assert_close("dhead", dhead, want, t->b * t->h, 1e-5, 1e-4);
  free(head), free(ref), free(lp), free(lp_ref), free(kl), free(dhead), free(want);
}

static void values_and_gradients(void **state) {
  (void)state;
  const struct pmp_dist family[] = {control, split(control, false), split(control, true),
                                    bandit,  split(bandit, false),  split(bandit, true),
                                    bins};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 0);
  for (size_t f = 0; f < sizeof family / sizeof family[0]; f++) {
    for (int layout = 0; layout < 3; layout++) {
      struct batch t;
      batch_make(&t, &family[f], 7, layout == 0 ? 21 : 30, &rng);
      if (layout > 0) {
        t.x_of_y = calloc(t.n, sizeof *t.x_of_y);
        for (size_t j = 0; j < t.n; j++)
          /* Rising with a condition that has none, or in any order. */
          t.x_of_y[j] = layout == 1 ? (uint32_t)(j / 6 + (j >= 12)) : (uint32_t)(j * 5 % 7);
      }
      check_batch(&t);
      batch_free(&t);
    }
  }
}

static void large_vocabulary(void **state) {
  (void)state;
  const struct pmp_dist d = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = 1003, .low = 0, .high = 1};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 2, 0);
  struct batch t;
  batch_make(&t, &d, 2, 6, &rng);
  /* A maximum that comes late makes the running sums shrink. */
  t.head[700] = 30, t.ref[900] = 25, t.y[0] = 1002, t.y[1] = 700;
  check_batch(&t);
  batch_free(&t);
}

static void null_outputs_and_weights(void **state) {
  (void)state;
  const struct pmp_dist family[] = {control, split(control, true), bins};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 0);
  for (size_t f = 0; f < 3; f++) {
    struct batch t;
    batch_make(&t, &family[f], 4, 8, &rng);
    float *lp = floats_new(t.n * t.p), *kl = floats_new(t.b * t.k);
    float *all = floats_new(t.b * t.h), *c_only = floats_new(t.b * t.h);
    float *w_only = floats_new(t.b * t.h), *none = floats_new(t.b * t.h);
    assert_int_equal(pmp_dist_forward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, NULL, NULL, NULL),
                     PMP_OK);
    assert_int_equal(pmp_dist_forward(t.d, t.b, t.n, t.head, t.ref, t.y, NULL, lp, NULL, NULL),
                     PMP_OK);
    assert_int_equal(pmp_dist_forward(t.d, t.b, 0, t.head, t.ref, NULL, NULL, NULL, NULL, kl),
                     PMP_OK);
    for (size_t i = 0; i < t.n * t.p; i++) assert_true(lp[i] != UNWRITTEN);
    for (size_t i = 0; i < t.b * t.k; i++) assert_true(kl[i] != UNWRITTEN);
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
    batch_free(&t);
  }
}

/* KL >= 0 for any heads, exactly 0 with no gradient where pi is ref. */
static void kl_is_a_divergence(void **state) {
  (void)state;
  const struct pmp_dist family[] = {control, split(control, false), split(control, true),
                                    bandit,  split(bandit, true),   bins};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 4, 0);
  for (size_t f = 0; f < sizeof family / sizeof family[0]; f++) {
    for (int round = 0; round < 200; round++) {
      struct batch t;
      batch_make(&t, &family[f], 5, 5, &rng);
      /* From far apart to a few bits apart. */
      const double apart = 5 * pow(10, -0.04 * round);
      float *kl = floats_new(t.b * t.k), *dhead = floats_new(t.b * t.h);
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
      batch_free(&t);
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
  struct batch t;
  batch_make(&t, &d, 1, 300, &rng);
  float lp[300], dhead[300];
  double sum = 0;
  for (size_t v = 0; v < 300; v++) t.y[v] = (float)v;
  assert_int_equal(pmp_dist_forward(&d, 1, 300, t.head, t.ref, t.y, NULL, lp, NULL, NULL), PMP_OK);
  for (size_t v = 0; v < 300; v++) {
    t.c[v] = expf(lp[v]);
    sum += exp((double)lp[v]);
  }
  assert_near("sum of pi", sum, 1, 1e-6);
  assert_int_equal(pmp_dist_backward(&d, 1, 300, t.head, t.ref, t.y, NULL, t.c, NULL, dhead),
                   PMP_OK);
  for (size_t v = 0; v < 300; v++) assert_near("gradient", (double)dhead[v], 0, 1e-7);
  batch_free(&t);
}

static void extremes_stay_finite(void **state) {
  (void)state;
  struct pmp_dist d = bandit;
  d.dim = 1;
  /* std of 1e-8 (raw far below 0), 20 stds out. */
  float head[2] = {0, -200}, ref[2] = {0, -200}, y = 2e-7f, lp, lp_ref, kl, dhead[2], c = 1, w = 1;
  assert_int_equal(pmp_dist_forward(&d, 1, 1, head, ref, &y, NULL, &lp, &lp_ref, &kl), PMP_OK);
  assert_near("lp", (double)lp, -200 + log(1e8) - 0.5 * log(2 * acos(-1.0)), 2e-4);
  assert_true(kl == 0);
  assert_int_equal(pmp_dist_backward(&d, 1, 1, head, ref, &y, NULL, &c, &w, dhead), PMP_OK);
  assert_near("dmean", (double)dhead[0] / 2e9, 1, 1e-5);
  /* A spread that the head sets a thousand times narrower than the reference. */
  head[1] = -16, ref[1] = -9;
  assert_int_equal(pmp_dist_forward(&d, 1, 1, head, ref, &y, NULL, &lp, &lp_ref, &kl), PMP_OK);
  const double s = log1p(exp(-16)) + 1e-8, sr = log1p(exp(-9)) + 1e-8;
  assert_near("kl", (double)kl / (log(s / sr) + sr * sr / (2 * s * s) - 0.5), 1, 1e-6);
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
  assert_near("lp", (double)lp, -2e4 - log(2), 1e-2);
  assert_near("lp_ref", (double)lp_ref, -2e4, 1e-2);
  assert_near("kl", (double)kl, log(2), 1e-6);
  assert_int_equal(pmp_dist_backward(&k, 1, 1, z, zr, &one, NULL, &c, &w, dz), PMP_OK);
  assert_near("dz0", (double)dz[0], -0.5 + (0.5 - 1), 1e-6);
  assert_near("dz1", (double)dz[1], 1, 1e-6);
  assert_near("dz2", (double)dz[2], -0.5 + 0.5, 1e-6);
  assert_int_equal(pmp_dist_forward(&k, 1, 0, zr, z, NULL, NULL, NULL, NULL, &kl), PMP_OK);
  assert_near("kl", (double)kl, 1e4, 1);
}

static void what_is_not_finite_is_refused(void **state) {
  (void)state;
  const float bad[] = {NAN, INFINITY, -INFINITY};
  const struct pmp_dist family[] = {control, split(bandit, true), bins};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 6, 0);
  for (size_t f = 0; f < 3; f++) {
    struct batch t;
    batch_make(&t, &family[f], 3, 6, &rng);
    float *lp = floats_new(t.n * t.p), *lp_ref = floats_new(t.n * t.p);
    float *kl = floats_new(t.b * t.k), *dhead = floats_new(t.b * t.h), y[3 * DIM], entropy[3];
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
    batch_free(&t);
  }
  /* Finite inputs whose result float32 cannot hold. */
  const float head[2 * DIM] = {0, 0, 0, -200, 0, 0};
  const float y[DIM] = {3e38f, 0, 0};
  float lp;
  assert_int_equal(pmp_dist_forward(&bandit, 1, 1, head, head, y, NULL, &lp, NULL, NULL),
                   PMP_ENONFINITE);
}

static void wrong_indices_are_refused(void **state) {
  (void)state;
  const float head[2 * DIM * BINS] = {0}, wrong[] = {-1, 0.5f, BINS, 1e10f};
  float y[2 * DIM] = {0}, lp[2], dhead[2 * DIM * BINS], c[2] = {1, 1};
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
      double wide[2 * DIM], sum[5] = {0};
      for (size_t j = 0; j < 2 * DIM; j++) wide[j] = (double)head[x * 2 * DIM + j];
      assert_near("mean", (double)mean[at], mean_of(&control, wide, i), 1e-7);
      assert_near("std", (double)std[at], std_of(&control, wide, i), 1e-7);
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
  const struct pmp_dist family[] = {control, bandit, bins};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 10, 0);
  float *y = floats_new((size_t)M * DIM), *lp = floats_new(M);
  for (size_t f = 0; f < 3; f++) {
    const size_t h = pmp_dist_head(&family[f]);
    float *head = normals_new(&rng, h, 0.5), entropy;
    assert_int_equal(pmp_dist_entropy(&family[f], 1, head, &entropy), PMP_OK);
    assert_int_equal(pmp_dist_sample(&family[f], 1, M, head, &rng, y), PMP_OK);
    assert_int_equal(pmp_dist_forward(&family[f], 1, M, head, head, y, NULL, lp, NULL, NULL),
                     PMP_OK);
    double mean = 0, squares = 0;
    for (size_t j = 0; j < M; j++) {
      mean -= (double)lp[j] / M;
      squares += (double)lp[j] * (double)lp[j] / M;
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
  const struct pmp_dist good[] = {control, bandit, bins, split(control, true)};
  for (size_t i = 0; i < 4; i++) assert_int_equal(pmp_dist_check(&good[i], &msg), PMP_OK);
  struct pmp_dist d[12];
  for (int i = 0; i < 12; i++) d[i] = i < 8 ? control : bins;
  d[0].kind = (enum pmp_dist_kind)9, d[1].dim = 0, d[2].dim = 4097, d[3].per_dim = true;
  d[4].std_scale = 0, d[5].std_min = NAN, d[6].low = 1, d[7].high = INFINITY;
  d[8].bins = 1, d[9].bins = (1u << 20) + 1, d[10].split = true, d[11].low = NAN;
  for (int i = 0; i < 12; i++) {
    msg.text[0] = '\0';
    assert_int_equal(pmp_dist_check(&d[i], &msg), PMP_EINVALID);
    assert_true(msg.text[0] != '\0');
  }
  const struct pmp_dist both = split(control, false), each = split(control, true);
  assert_int_equal(pmp_dist_head(&control), 2 * DIM);
  assert_int_equal(pmp_dist_head(&bins), DIM * BINS);
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
      cmocka_unit_test(null_outputs_and_weights),
      cmocka_unit_test(kl_is_a_divergence),
      cmocka_unit_test(probabilities_sum_to_one),
      cmocka_unit_test(extremes_stay_finite),
      cmocka_unit_test(what_is_not_finite_is_refused),
      cmocka_unit_test(wrong_indices_are_refused),
      cmocka_unit_test(gaussian_samples),
      cmocka_unit_test(categorical_samples),
      cmocka_unit_test(entropies),
      cmocka_unit_test(modes_and_actions),
      cmocka_unit_test(initial_heads),
      cmocka_unit_test(checks),
  };
  return cmocka_run_group_tests_name("dist", tests, NULL, NULL);
}
