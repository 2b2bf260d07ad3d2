/* Families on natural parameters in float64: against definitions and finite differences over a wide
 * sweep, at the edges, and in agreement with what heads say. */
#include "tests/policy/dist_truth.h"

#include <float.h>

static struct pmp_dist family(size_t which, uint32_t dim) {
  struct pmp_dist d = {.kind = PMP_DIST_DIAG_GAUSSIAN,
                       .dim = dim,
                       .std_scale = 1,
                       .std_min = 1e-8f,
                       .low = -1,
                       .high = 1};
  if (which >= 3) d.kind = PMP_DIST_GAUSSIAN;
  if (which == 5) {
    d.kind = PMP_DIST_CATEGORICAL;
    d.bins = 7;
  }
  d.split = which == 1 || which == 2 || which == 4;
  d.per_dim = which == 2;
  return d;
}
enum { FAMILIES = 6 };

/* Natural parameters of no head: scales from 10^-spread to 10^spread. */
static void scatter(const struct truth_batch *t, double spread, struct pmp_rng *rng) {
  const size_t n = t->d->dim;
  for (size_t x = 0; x < t->b; x++) {
    double *pi = t->pi + x * t->m, *ref = t->pi_ref + x * t->m;
    const double scale = pow(10, spread * (2 * pmp_rng_double(rng) - 1));
    for (size_t i = 0; i < t->m; i++) {
      pi[i] = scale * pmp_rng_normal(rng);
      ref[i] = pi[i] + 0.5 * scale * pmp_rng_normal(rng);
      /* Mild correlations: the definitions invert C, which is L squared. */
      if (i >= n && t->d->kind == PMP_DIST_GAUSSIAN) pi[i] *= 0.3, ref[i] *= 0.3;
    }
    for (size_t i = 0; i < n && t->d->kind != PMP_DIST_CATEGORICAL; i++) {
      const size_t at = n + (t->d->kind == PMP_DIST_GAUSSIAN ? i * n + i : i);
      pi[at] = scale * exp(0.5 * pmp_rng_normal(rng));
      ref[at] = pi[at] * exp(0.5 * pmp_rng_normal(rng));
    }
    for (size_t j = 0; j < t->n && t->d->kind != PMP_DIST_CATEGORICAL; j++)
      for (size_t i = 0; i < n && truth_x_of(t, j) == x; i++)
        t->wide_y[j * n + i] = ref[i] + 1.5 * scale * pmp_rng_normal(rng);
  }
}

struct results {
  double *lp, *lp_ref, *kl, *dpi;
};

static struct results results_new(const struct truth_batch *t) {
  return (struct results){doubles_new(t->n * t->p), doubles_new(t->n * t->p),
                          doubles_new(t->b * t->k), doubles_new(t->b * t->m)};
}

static void results_free(struct results *r) {
  free(r->lp), free(r->lp_ref), free(r->kl), free(r->dpi);
}

static void evaluate(const struct truth_batch *t, const struct results *r) {
  assert_int_equal(pmp_dist_natural_forward(t->d, t->b, t->n, t->pi, t->pi_ref, t->wide_y,
                                            t->x_of_y, r->lp, r->lp_ref, r->kl),
                   PMP_OK);
  assert_int_equal(pmp_dist_natural_backward(t->d, t->b, t->n, t->pi, t->pi_ref, t->wide_y,
                                             t->x_of_y, t->c, t->w, r->dpi),
                   PMP_OK);
}

static void check_values(const struct truth_batch *t, const struct results *r) {
  for (size_t j = 0; j < t->n; j++)
    for (uint32_t p = 0; p < t->p; p++) {
      const double *pi = t->pi + truth_x_of(t, j) * t->m,
                   *ref = t->pi_ref + truth_x_of(t, j) * t->m;
      const double want = truth_lp(t->d, pi, ref, t->wide_y + j * t->d->dim, p);
      const double want_ref = truth_lp(t->d, ref, ref, t->wide_y + j * t->d->dim, p);
      assert_close_doubles("lp", r->lp + j * t->p + p, &want, 1, 1e-10, 1);
      assert_close_doubles("lp_ref", r->lp_ref + j * t->p + p, &want_ref, 1, 1e-10, 1);
    }
  for (size_t x = 0; x < t->b; x++) {
    double want[2 * TRUTH_DIM_MAX];
    truth_kl(t->d, t->pi + x * t->m, t->pi_ref + x * t->m, want);
    assert_close_doubles("kl", r->kl + x * t->k, want, t->k, 1e-10, 1);
    for (uint32_t k = 0; k < t->k; k++) assert_true(r->kl[x * t->k + k] >= 0);
  }
}

/* Each condition's gradient is held to its own largest entry. */
static void check_gradient(const struct truth_batch *t, const struct results *r, double tolerance) {
  for (size_t x = 0; x < t->b; x++) {
    /* Steps that suit this condition's scale: that of its spread. */
    const double scale = t->d->kind == PMP_DIST_CATEGORICAL ? 1 : fabs(t->pi[x * t->m + t->d->dim]);
    struct truth_batch one = *t;
    double f[4], want[TRUTH_DIM_MAX * (TRUTH_DIM_MAX + 1)], pi[TRUTH_DIM_MAX * (TRUTH_DIM_MAX + 1)];
    for (size_t i = 0; i < t->m; i++) {
      memcpy(pi, t->pi + x * t->m, t->m * sizeof *pi);
      for (int k = 0; k < 4; k++) {
        pi[i] = t->pi[x * t->m + i] + truth_steps()[k] * 1e-3 * scale;
        f[k] = truth_loss(&one, x, pi);
      }
      want[i] = truth_slope(f, 1e-3 * scale);
    }
    const double most = largest(want, t->m);
    for (size_t i = 0; i < t->m; i++)
      assert_near("gradient", r->dpi[x * t->m + i], want[i], tolerance * most);
  }
}

static void sweep(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 0);
  for (size_t f = 0; f < FAMILIES; f++)
    for (int round = 0; round < 300; round++) {
      const struct pmp_dist d = family(f, 1 + (uint32_t)pmp_rng_below(&rng, round % 10 ? 4 : 12));
      struct truth_batch t;
      truth_batch_make(&t, &d, 4, 12, 0.3, &rng);
      scatter(&t, f == 5 ? 1 : 7, &rng);
      if (round % 3 == 1) {
        t.x_of_y = calloc(t.n, sizeof *t.x_of_y);
        for (size_t j = 0; j < t.n; j++) t.x_of_y[j] = (uint32_t)pmp_rng_below(&rng, t.b);
        scatter(&t, f == 5 ? 1 : 7, &rng);
      }
      struct results r = results_new(&t);
      evaluate(&t, &r);
      check_values(&t, &r);
      if (round % 3 < 2) check_gradient(&t, &r, 1e-7);
      results_free(&r);
      truth_batch_free(&t);
    }
}

/* What heads say and what their natural parameters say. */
static void heads_agree(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 2, 0);
  for (size_t f = 0; f < FAMILIES; f++)
    for (int round = 0; round < 300; round++) {
      struct pmp_dist d = family(f, 1 + (uint32_t)pmp_rng_below(&rng, 11));
      d.squash_mean = round % 2 == 1 && f < 5;
      struct truth_batch t;
      truth_batch_make(&t, &d, 3, 6, 0.5, &rng);
      struct results r = results_new(&t), h = results_new(&t);
      double *natural = doubles_new(t.b * t.m);
      assert_int_equal(pmp_dist_to_natural(&d, t.b, t.head, natural), PMP_OK);
      assert_close_doubles("natural", natural, t.pi, t.b * t.m, 4e-15, 1);
      evaluate(&t, &r);
      float *dhead = floats_new(t.b * t.h);
      assert_int_equal(pmp_dist_fused(&d, t.b, t.n, t.head, t.ref, t.y, NULL, t.c, t.w, h.lp,
                                      h.lp_ref, h.kl, dhead),
                       PMP_OK);
      assert_close_doubles("lp", h.lp, r.lp, t.n * t.p, 1e-12, 1);
      assert_close_doubles("lp_ref", h.lp_ref, r.lp_ref, t.n * t.p, 1e-12, 1);
      assert_close_doubles("kl", h.kl, r.kl, t.b * t.k, 1e-12, 1);
      const double most = largest(r.dpi, t.b * t.m);
      for (size_t x = 0; x < t.b; x++)
        for (size_t i = 0; i < t.h; i++) {
          /* The chain rule by hand. */
          const size_t n = d.dim, q = i < n ? 0 : i - n;
          const double raw = (double)t.head[x * t.h + i];
          double slope = 1;
          size_t at = i, row = 0, column = q;
          for (; d.kind == PMP_DIST_GAUSSIAN && i >= n && column > row; row++) column -= row + 1;
          if (d.kind == PMP_DIST_GAUSSIAN && i >= n) at = n + row * n + column;
          if (d.squash_mean && i < n) slope = 1 / (cosh(raw) * cosh(raw));
          if (d.kind != PMP_DIST_CATEGORICAL && i >= n &&
              (d.kind == PMP_DIST_DIAG_GAUSSIAN || row == column))
            slope = 1 / (1 + exp(-raw));
          assert_near("dhead", (double)dhead[x * t.h + i], r.dpi[x * t.m + at] * slope,
                      1e-7 * most);
        }
      free(dhead), free(natural);
      results_free(&r), results_free(&h);
      truth_batch_free(&t);
    }
}

/* KL >= 0, and exactly 0 with a gradient of exactly 0 where pi is ref. */
static void kl_is_a_divergence(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 0);
  for (size_t f = 0; f < FAMILIES; f++)
    for (int round = 0; round < 300; round++) {
      const struct pmp_dist d = family(f, 1 + (uint32_t)pmp_rng_below(&rng, 12));
      struct truth_batch t;
      truth_batch_make(&t, &d, 3, 0, 0, &rng);
      scatter(&t, 8, &rng);
      struct results r = results_new(&t);
      /* From far apart to a few bits apart. */
      const double apart = pow(10, -0.05 * round);
      for (size_t i = 0; i < t.b * t.m; i++) t.pi[i] += apart * (t.pi_ref[i] - t.pi[i]);
      memcpy(t.pi_ref, round % 2 ? t.pi : t.pi_ref, t.b * t.m * sizeof *t.pi);
      evaluate(&t, &r);
      for (size_t i = 0; i < t.b * t.k; i++) {
        assert_true(r.kl[i] >= 0);
        if (round % 2) assert_true(r.kl[i] == 0);
      }
      for (size_t i = 0; round % 2 && i < t.b * t.m; i++) assert_true(r.dpi[i] == 0);
      results_free(&r);
      truth_batch_free(&t);
    }
}

/* A set of outcomes twice is twice the coefficients; a set in another order is the same but for
 * rounding. */
static void outcomes_add_up(void **state) {
  (void)state;
  enum { N = 40 };
  struct pmp_rng rng;
  pmp_rng_init(&rng, 4, 0);
  for (size_t f = 0; f < FAMILIES; f++) {
    const struct pmp_dist d = family(f, 5);
    struct truth_batch t;
    truth_batch_make(&t, &d, 1, N, 0.3, &rng);
    double *twice = doubles_new((size_t)2 * N * d.dim), *c = doubles_new((size_t)2 * N * t.p);
    double *one = doubles_new(t.m), *two = doubles_new(t.m);
    for (size_t j = 0; j < 2 * N; j++) {
      const size_t from = j < N ? j : 2 * N - 1 - j;
      memcpy(twice + j * d.dim, t.wide_y + from * d.dim, d.dim * sizeof *twice);
      for (size_t p = 0; p < t.p; p++) c[j * t.p + p] = t.c[from * t.p + p] / 2;
    }
    assert_int_equal(
        pmp_dist_natural_backward(&d, 1, N, t.pi, t.pi_ref, t.wide_y, NULL, t.c, t.w, one), PMP_OK);
    assert_int_equal(
        pmp_dist_natural_backward(&d, 1, 2 * N, t.pi, t.pi_ref, twice, NULL, c, t.w, two), PMP_OK);
    assert_close_doubles("gradient", two, one, t.m, 1e-12, largest(one, t.m));
    free(twice), free(c), free(one), free(two);
    truth_batch_free(&t);
  }
}

/* ---- edges ---- */

static void narrow_and_wide(void **state) {
  (void)state;
  const struct pmp_dist d = family(0, 1), q = family(3, 1);
  const double stds[] = {1e-100, 1e-8, 1, 1e8, 1e100};
  for (size_t i = 0; i < 5; i++)
    for (size_t k = 0; k < 5; k++) {
      const double s = stds[i], sr = stds[k], c = 1, y = s * 3;
      const double pi[2] = {0, s}, ref[2] = {0, sr};
      double lp, kl, grad[2], lp2, kl2, grad2[2];
      const double ratio = sr / s, want = log(s) - log(sr) + 0.5 * ratio * ratio - 0.5;
      const enum pmp_err expected = isfinite(want) ? PMP_OK : PMP_ENONFINITE;
      assert_int_equal(pmp_dist_natural_forward(&d, 1, 1, pi, ref, &y, NULL, &lp, NULL, &kl),
                       expected);
      assert_int_equal(pmp_dist_natural_forward(&q, 1, 1, pi, ref, &y, NULL, &lp2, NULL, &kl2),
                       expected);
      if (expected != PMP_OK) continue;
      assert_near("kl", kl, want, 1e-13 * (1 + want));
      assert_near("kl", kl2, want, 1e-13 * (1 + want));
      assert_near("lp", lp, -4.5 - log(s) - 0.5 * log(2 * acos(-1.0)), 1e-12);
      assert_near("lp", lp2, lp, 1e-12);
      assert_int_equal(pmp_dist_natural_backward(&d, 1, 1, pi, ref, &y, NULL, &c, NULL, grad),
                       PMP_OK);
      assert_int_equal(pmp_dist_natural_backward(&q, 1, 1, pi, ref, &y, NULL, &c, NULL, grad2),
                       PMP_OK);
      assert_near("dmean", grad[0] * s, 3, 1e-13);
      assert_near("dstd", grad[1] * s, 8, 1e-13);
      assert_near("dmean", grad2[0] * s, 3, 1e-13);
      assert_near("dstd", grad2[1] * s, 8, 1e-13);
    }
}

/* A covariance whose directions differ by 1e8 and are nearly parallel. */
static void ill_conditioned(void **state) {
  (void)state;
  const struct pmp_dist d = family(3, 2);
  const double pi[6] = {0, 0, 1, 0, 1 - 1e-8, 1e-8}, ref[6] = {0, 0, 1, 0, 1, 2e-8}, y[2] = {1, 1};
  double lp, kl;
  assert_int_equal(pmp_dist_natural_forward(&d, 1, 1, pi, ref, y, NULL, &lp, NULL, &kl), PMP_OK);
  /* z = (1, 1); A = (1, 0; 1, 2) */
  assert_near("lp", lp, -1 + log(1e8) - log(2 * acos(-1.0)), 1e-6);
  assert_near("kl", kl, (1 + 1 + 4 - 2) / 2.0 - log(2), 1e-6);
}

static void many_categories(void **state) {
  (void)state;
  enum { BINS = 100000 };
  const struct pmp_dist d = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = BINS, .low = 0, .high = 1};
  double *pi = doubles_new(BINS), *ref = doubles_new(BINS), *dpi = doubles_new(BINS), lp, kl;
  for (size_t v = 0; v < BINS; v++) {
    pi[v] = 20000.0 * (double)v / (BINS - 1) - 10000;
    ref[v] = -pi[v];
  }
  const double y = 0, c = 1, w = 1;
  assert_int_equal(pmp_dist_natural_forward(&d, 1, 1, pi, ref, &y, NULL, &lp, NULL, &kl), PMP_OK);
  /* A geometric series of ratio exp(-step). */
  const double step = 20000.0 / (BINS - 1), lse = 1e4 - log1p(-exp(-step));
  assert_near("lp", lp, -1e4 - lse, 1e-8);
  assert_near("kl", kl, 2e4 - 2 * exp(-step) / (1 - exp(-step)) * step, 1e-7);
  assert_int_equal(pmp_dist_natural_backward(&d, 1, 1, pi, ref, &y, NULL, &c, &w, dpi), PMP_OK);
  const double most = 1 - exp(-step);
  assert_near("first", dpi[0], 1 - most, 1e-12);
  /* The last: -pi + (pi - 0). */
  assert_near("last", dpi[BINS - 1], 0, 1e-12);
  double sum = 0;
  for (size_t v = 0; v < BINS; v++) sum += dpi[v];
  assert_near("sum", sum, 0, 1e-9);
  free(pi), free(ref), free(dpi);
}

static void largest_sizes(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 5, 0);
  const struct pmp_dist sizes[] = {family(0, 4096), family(2, 4093), family(3, 256),
                                   family(4, 253)};
  for (size_t f = 0; f < 4; f++) {
    const struct pmp_dist *d = &sizes[f];
    const size_t h = pmp_dist_head(d), p = pmp_dist_parts(d), k = pmp_dist_kl_parts(d);
    float *head = normals_new(&rng, h, 0.05), *y = normals_new(&rng, d->dim, 1);
    float *dhead = floats_new(h);
    double *lp = doubles_new(p), *kl = doubles_new(k), *c = normal_doubles_new(&rng, p, 1);
    double *w = normal_doubles_new(&rng, k, 1), *natural = doubles_new(pmp_dist_natural(d));
    float *back = floats_new(h);
    assert_int_equal(pmp_dist_fused(d, 1, 1, head, head, y, NULL, c, w, lp, NULL, kl, dhead),
                     PMP_OK);
    assert_true(isfinite(lp[0]) && kl[0] == 0);
    for (size_t i = 0; i < h; i++) assert_true(isfinite(dhead[i]) && dhead[i] != UNWRITTEN);
    assert_int_equal(pmp_dist_sample(d, 1, 1, head, &rng, y), PMP_OK);
    assert_int_equal(pmp_dist_to_natural(d, 1, head, natural), PMP_OK);
    assert_int_equal(pmp_dist_from_natural(d, 1, natural, back), PMP_OK);
    for (size_t i = 0; i < h; i++)
      assert_near("back", (double)back[i], (double)head[i], 3e-7 * (1 + fabs((double)head[i])));
    free(head), free(y), free(dhead), free(lp), free(kl), free(c), free(w), free(natural);
    free(back);
  }
}

/* ---- to heads and back, refusals ---- */

static void there_and_back(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 6, 0);
  for (size_t f = 0; f < FAMILIES; f++)
    for (int squash = 0; squash < 2; squash++) {
      struct pmp_dist d = family(f, 4);
      d.squash_mean = squash && f < 5;
      d.std_scale = 0.7f, d.std_min = 0.01f;
      struct truth_batch t;
      truth_batch_make(&t, &d, 50, 0, 0, &rng);
      float *head = floats_new(t.b * t.h);
      double *natural = doubles_new(t.b * t.m);
      assert_int_equal(pmp_dist_from_natural(&d, t.b, t.pi, head), PMP_OK);
      double *want = truth_widened(t.head, t.b * t.h);
      assert_close("head", head, want, t.b * t.h, 2e-6, 0.1);
      assert_int_equal(pmp_dist_to_natural(&d, t.b, head, natural), PMP_OK);
      assert_close_doubles("natural", natural, t.pi, t.b * t.m, 2e-7, 1);
      free(head), free(natural), free(want);
      truth_batch_free(&t);
    }
}

static void no_head_says_it(void **state) {
  (void)state;
  struct pmp_dist d = family(0, 1);
  d.squash_mean = true, d.std_min = 0.01f;
  const double bad[][2] = {{1, 1}, {-1.5, 1}, {0, (double)0.01f}, {0, -1}};
  float head[2];
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(pmp_dist_from_natural(&d, 1, bad[i], head), PMP_EINVALID);
  const double worse[][2] = {{NAN, 1}, {0, INFINITY}, {0, NAN}, {INFINITY, 1}, {0, 1e300}};
  for (size_t i = 0; i < 5; i++)
    assert_int_equal(pmp_dist_from_natural(&d, 1, worse[i], head), PMP_ENONFINITE);
  d = family(5, 1);
  double logits[7] = {0, -INFINITY, 1, -1e5, 1e5, 0, 0}, again[7];
  float z[7];
  assert_int_equal(pmp_dist_from_natural(&d, 1, logits, z), PMP_OK);
  assert_int_equal(pmp_dist_to_natural(&d, 1, z, again), PMP_OK);
  assert_memory_equal(logits, again, sizeof again);
  logits[3] = 1e300;
  assert_int_equal(pmp_dist_from_natural(&d, 1, logits, z), PMP_ENONFINITE);
  for (size_t i = 0; i < 7; i++) logits[i] = z[i] = -INFINITY;
  assert_int_equal(pmp_dist_from_natural(&d, 1, logits, z), PMP_ENONFINITE);
  assert_int_equal(pmp_dist_to_natural(&d, 1, z, again), PMP_ENONFINITE);
}

static void refusals(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 7, 0);
  for (size_t f = 0; f < FAMILIES; f++) {
    const struct pmp_dist d = family(f, 3);
    struct truth_batch t;
    truth_batch_make(&t, &d, 2, 4, 0.3, &rng);
    struct results r = results_new(&t);
    for (size_t k = 0; k < 4; k++) {
      double *array[] = {t.pi, t.pi_ref, t.wide_y, t.c}, *at = &array[k][2];
      const double was = *at;
      *at = NAN;
      const enum pmp_err want = k == 2 && f == 5 ? PMP_EINVALID : PMP_ENONFINITE;
      if (k < 3)
        assert_int_equal(pmp_dist_natural_forward(&d, t.b, t.n, t.pi, t.pi_ref, t.wide_y, NULL,
                                                  r.lp, r.lp_ref, r.kl),
                         want);
      assert_int_equal(
          pmp_dist_natural_backward(&d, t.b, t.n, t.pi, t.pi_ref, t.wide_y, NULL, t.c, t.w, r.dpi),
          want);
      *at = was;
    }
    for (size_t k = 0; k < 6 && f < 5; k++) {
      double *at = &(k % 2 ? t.pi : t.pi_ref)[t.m + 3];
      const double was = *at;
      *at = k < 2 ? 0 : k < 4 ? -1 : k < 5 ? 0.9e-100 : 1.1e100;
      assert_int_equal(pmp_dist_natural_forward(&d, t.b, t.n, t.pi, t.pi_ref, t.wide_y, NULL, r.lp,
                                                r.lp_ref, r.kl),
                       PMP_EINVALID);
      *at = was;
    }
    /* What lies above the diagonal is not read, and has no gradient. */
    if (d.kind == PMP_DIST_GAUSSIAN) {
      t.pi[3 + 1] = NAN;
      evaluate(&t, &r);
      assert_true(r.dpi[3 + 1] == 0 && r.dpi[3 + 2] == 0 && r.dpi[3 + 5] == 0);
    }
    results_free(&r);
    truth_batch_free(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sweep),
      cmocka_unit_test(heads_agree),
      cmocka_unit_test(kl_is_a_divergence),
      cmocka_unit_test(outcomes_add_up),
      cmocka_unit_test(narrow_and_wide),
      cmocka_unit_test(ill_conditioned),
      cmocka_unit_test(many_categories),
      cmocka_unit_test(largest_sizes),
      cmocka_unit_test(there_and_back),
      cmocka_unit_test(no_head_says_it),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests_name("natural", tests, NULL, NULL);
}
