/* Thousands of points against JAX in float64: tests/parity/policy/points.f64, made by
 * make_points.py beside it, which says what its two numbers a point are. Inputs are made here by
 * the same formulas. */
#include "tests/policy/check.h"

#include "policy/dist/dist.h"

#include <stdbool.h>
#include <string.h>

enum { POINTS = 600, OUTCOMES = 2, SETS = 21, SIZE_MAX_OF_SETS = 301, KL_MAX = 6 };
enum { HEAD, REF, Y, C, E, W, R, SCALE };

struct set {
  size_t number;
  bool natural;
  struct pmp_dist d;
  size_t size, parts, kl_parts;
};

/* One point's inputs, in float64; those of heads are float32 numbers. */
struct point {
  double pi[SIZE_MAX_OF_SETS], ref[SIZE_MAX_OF_SETS], y[OUTCOMES * 3];
  double c[OUTCOMES * 2], e[OUTCOMES * 2], w[KL_MAX], r[SIZE_MAX_OF_SETS];
};

static double uniform(const struct set *s, size_t point, uint64_t stream, size_t i) {
  uint64_t z = (uint64_t)s->number << 48 | stream << 40;
  z = z + ((uint64_t)point << 16) + i;
  z = (z + 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  z = z ^ z >> 31;
  return (double)(z >> 40) * 0x1p-24;
}

static void fill(const struct set *s, size_t point, uint64_t stream, size_t n, double *out) {
  for (size_t i = 0; i < n; i++) out[i] = 2 * uniform(s, point, stream, i) - 1;
}

static double narrowed(double x) {
  return (double)(float)x;
}

static void head_inputs(const struct set *s, size_t i, struct point *p) {
  const bool bins = s->d.kind == PMP_DIST_CATEGORICAL;
  const size_t kind = bins ? 2 : s->d.kind == PMP_DIST_GAUSSIAN;
  static const double scales[3][4] = {{2, 2, 12, 0.125}, {2, 2, 5, 0.125}, {3, 3, 1e4, 30}};
  static const double aparts[3][4] = {
      {0.5, 0x1p-13, 1, 3}, {0.5, 0x1p-13, 1, 3}, {1, 0x1p-13, 1e4, 30}};
  for (size_t k = 0; k < s->size; k++) {
    p->pi[k] = narrowed(scales[kind][i % 4] * p->pi[k]);
    p->ref[k] = narrowed(p->pi[k] + aparts[kind][i % 4] * p->ref[k]);
    if (bins && i % 8 == 4 && k % s->d.bins % 7 == 3) p->ref[k] = -INFINITY;
  }
  for (size_t k = 0; k < OUTCOMES * s->d.dim; k++) {
    p->y[k] = bins ? floor((p->y[k] + 1) / 2 * s->d.bins) : narrowed(3 * p->y[k]);
    if (bins && (size_t)p->y[k] % 7 == 3) p->y[k] = 0;
  }
}

static void natural_inputs(const struct set *s, size_t i, struct point *p) {
  static const double aparts[4] = {0.5, 0x1p-13, 0.5, 2};
  const size_t dim = s->d.dim, stride = s->d.kind == PMP_DIST_GAUSSIAN ? dim + 1 : 1;
  const double power = floor(53 * uniform(s, i, SCALE, 0)) - 26;
  const double scale = i % 4 == 2 ? exp2(power) : 1, apart = aparts[i % 4];
  for (size_t k = 0; k < s->size; k++) {
    const double h = p->pi[k], n = p->ref[k];
    p->pi[k] = scale * h;
    p->ref[k] = scale * (h + apart * n);
    if (k >= dim && (k - dim) % stride == 0) {
      p->pi[k] = scale * (1.25 + h);
      p->ref[k] = p->pi[k] * (1 + fmin(apart, 0.5) * n);
    } else if (k >= dim && s->d.kind == PMP_DIST_GAUSSIAN && (k - dim) % dim > (k - dim) / dim) {
      p->pi[k] = p->ref[k] = NAN; /* above the diagonal: not read */
    }
  }
  for (size_t k = 0; k < OUTCOMES * dim; k++) p->y[k] *= 3 * scale;
}

static void inputs(const struct set *s, size_t i, struct point *p) {
  fill(s, i, HEAD, s->size, p->pi);
  fill(s, i, REF, s->size, p->ref);
  fill(s, i, Y, OUTCOMES * s->d.dim, p->y);
  fill(s, i, C, OUTCOMES * s->parts, p->c);
  fill(s, i, E, OUTCOMES * s->parts, p->e);
  fill(s, i, W, s->kl_parts, p->w);
  fill(s, i, R, s->size, p->r);
  if (s->natural && s->d.kind != PMP_DIST_CATEGORICAL)
    natural_inputs(s, i, p);
  else
    head_inputs(s, i, p);
}

/* ---- our side ---- */

static void narrow_all(const double *x, size_t n, float *out) {
  for (size_t k = 0; k < n; k++) out[k] = (float)x[k];
}

static void evaluate(const struct set *s, const struct point *p, double *lp, double *lp_ref,
                     double *kl, double *gradient) {
  const struct pmp_dist *d = &s->d;
  if (s->natural) {
    assert_int_equal(
        pmp_dist_natural_forward(d, 1, OUTCOMES, p->pi, p->ref, p->y, NULL, lp, lp_ref, kl),
        PMP_OK);
    assert_int_equal(
        pmp_dist_natural_backward(d, 1, OUTCOMES, p->pi, p->ref, p->y, NULL, p->c, p->w, gradient),
        PMP_OK);
    return;
  }
  float pi[SIZE_MAX_OF_SETS], ref[SIZE_MAX_OF_SETS], y[OUTCOMES * 3], dhead[SIZE_MAX_OF_SETS];
  float again[SIZE_MAX_OF_SETS];
  narrow_all(p->pi, s->size, pi);
  narrow_all(p->ref, s->size, ref);
  narrow_all(p->y, OUTCOMES * d->dim, y);
  assert_int_equal(pmp_dist_forward(d, 1, OUTCOMES, pi, ref, y, NULL, lp, lp_ref, kl), PMP_OK);
  assert_int_equal(pmp_dist_backward(d, 1, OUTCOMES, pi, ref, y, NULL, p->c, p->w, again), PMP_OK);
  assert_int_equal(
      pmp_dist_fused(d, 1, OUTCOMES, pi, ref, y, NULL, p->c, p->w, lp, lp_ref, kl, dhead), PMP_OK);
  for (size_t k = 0; k < s->size; k++) {
    assert_true(dhead[k] == again[k]);
    gradient[k] = (double)dhead[k];
  }
}

/* The largest errors of a set, in units of what they may be. */
struct worst {
  double value, slope;
};

static void check_point(const struct set *s, size_t i, const double want[2], struct worst *worst) {
  struct point p;
  double lp[OUTCOMES * 2], lp_ref[OUTCOMES * 2], kl[KL_MAX], gradient[SIZE_MAX_OF_SETS];
  inputs(s, i, &p);
  evaluate(s, &p, lp, lp_ref, kl, gradient);
  double value = 0, size = 1, slope = 0, sum_r = 0, weights = 0;
  for (size_t k = 0; k < OUTCOMES * s->parts; k++) {
    value += p.c[k] * lp[k] + p.e[k] * lp_ref[k];
    size += fabs(p.c[k] * lp[k]) + fabs(p.e[k] * lp_ref[k]);
    weights += fabs(p.c[k]);
  }
  for (size_t k = 0; k < s->kl_parts; k++) {
    value += p.w[k] * kl[k];
    size += fabs(p.w[k] * kl[k]);
    weights += fabs(p.w[k]);
  }
  for (size_t k = 0; k < s->size; k++) {
    slope += p.r[k] * gradient[k];
    sum_r += fabs(p.r[k]);
  }
  /* Heads' gradients are float32; everything else is float64. */
  const double tolerance = s->natural ? 1e-10 : 1e-7;
  /* But for long rows of logits. */
  const double value_tolerance = !s->natural && s->d.bins > 256 ? 1e-7 : 1e-10;
  /* Where all is likely that counts, 1 - pi has the rounding errors of 1, there as here. */
  const double rounding = s->d.kind == PMP_DIST_CATEGORICAL ? 1e-15 * weights : 0;
  const double most = fmax(largest(gradient, s->size), rounding / tolerance);
  worst->value = fmax(worst->value, fabs(value - want[0]) / size);
  worst->slope = fmax(worst->slope, fabs(slope - want[1]) / (most * sum_r));
  if (!(fabs(value - want[0]) <= value_tolerance * size))
    fail_msg("set %zu, point %zu: value %.17g, expected %.17g", s->number, i, value, want[0]);
  if (!(fabs(slope - want[1]) <= tolerance * most * sum_r))
    fail_msg("set %zu, point %zu: slope %.17g, expected %.17g, largest %g", s->number, i, slope,
             want[1], most);
}

/* ---- the sets, in the file's order ---- */

static struct set set_of(size_t number) {
  const bool natural = number >= 13;
  const size_t in = natural ? number - 13 : number, gaussians = natural ? 5 : 10;
  struct set s = {.number = number, .natural = natural};
  if (in < gaussians) {
    const size_t part = in % 5;
    s.d = (struct pmp_dist){.kind = part < 3 ? PMP_DIST_DIAG_GAUSSIAN : PMP_DIST_GAUSSIAN,
                            .dim = 3,
                            .split = part == 1 || part == 2 || part == 4,
                            .per_dim = part == 2,
                            .squash_mean = in >= 5,
                            .std_scale = 0.75f,
                            .std_min = 0x1p-20f};
  } else {
    static const uint32_t dims[3] = {1, 2, 1}, bins[3] = {3, 5, 301};
    s.d = (struct pmp_dist){
        .kind = PMP_DIST_CATEGORICAL, .dim = dims[in - gaussians], .bins = bins[in - gaussians]};
  }
  s.d.low = -1, s.d.high = 1;
  s.size = natural ? pmp_dist_natural(&s.d) : pmp_dist_head(&s.d);
  s.parts = pmp_dist_parts(&s.d), s.kl_parts = pmp_dist_kl_parts(&s.d);
  return s;
}

static void points(void **state) {
  (void)state;
  static double want[SETS][POINTS][2];
  const char *source = getenv("PMP_SOURCE");
  char path[4096];
  snprintf(path, sizeof path, "%s/tests/parity/policy/points.f64", source ? source : ".");
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fread(want, 1, sizeof want, file), sizeof want);
  assert_int_equal(fgetc(file), EOF);
  fclose(file);
  for (size_t k = 0; k < SETS; k++) {
    const struct set s = set_of(k);
    struct worst worst = {0};
    assert_int_equal(pmp_dist_check(&s.d, NULL), PMP_OK);
    for (size_t i = 0; i < POINTS; i++) check_point(&s, i, want[k][i], &worst);
    print_message("set %zu: values within %.1e, slopes within %.1e\n", k, worst.value, worst.slope);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(points)};
  return cmocka_run_group_tests_name("policy points", tests, NULL, NULL);
}
