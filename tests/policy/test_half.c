/* bfloat16 products: against float64 loops over the rounded inputs; networks on them against
 * float64 with the same roundings, gradients against float32's; the same bits every time. */
#include "tests/policy/check.h"

#include "policy/nn/net.h"

#include <string.h>

static float wide(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* To nearest even; for finite numbers. */
static uint16_t narrow(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static double rounded(double x) {
  return (double)wide(narrow((float)x));
}

/* Where the processor cannot, that has to be said, and the rest of a test is skipped. */
static void open_half(struct pmp_compute *k, int threads) {
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_compute_cpu(k, threads), PMP_OK);
  const enum pmp_err err = pmp_compute_prepare(k, PMP_PRECISION_BF16, &msg);
  if (err == PMP_OK) {
    assert_int_equal(k->precision, PMP_PRECISION_BF16);
    assert_non_null(strstr(k->name, " x bf16"));
    return;
  }
  assert_int_equal(err, PMP_EUNAVAILABLE);
  assert_non_null(strstr(msg.text, "AVX512-BF16"));
  assert_int_equal(k->precision, PMP_PRECISION_FLOAT32);
  pmp_compute_close(k);
  skip();
}

static uint16_t *halves_new(struct pmp_rng *rng, size_t n) {
  uint16_t *h = malloc((n + 1) * sizeof *h);
  assert_non_null(h);
  for (size_t i = 0; i < n; i++) h[i] = narrow((float)pmp_rng_normal(rng));
  return h;
}

static double at(const uint16_t *a, bool t, int64_t ld, int64_t i, int64_t j) {
  return (double)wide(t ? a[j * ld + i] : a[i * ld + j]);
}

static void check_product(struct pmp_compute *k, struct pmp_rng *rng, int64_t m, int64_t n,
                          int64_t inner, bool ta, bool tb, float beta) {
  const int64_t lda = (ta ? m : inner) + 3, ldb = (tb ? inner : n) + 1, ldc = n + 2;
  uint16_t *a = halves_new(rng, (size_t)(lda * ((ta ? inner : m) + 1)));
  uint16_t *b = halves_new(rng, (size_t)(ldb * ((tb ? n : inner) + 1)));
  const size_t cells = (size_t)(ldc * (m + 1));
  float *c = normals_new(rng, cells, 1), *was = floats_new(cells);
  memcpy(was, c, cells * sizeof *c);
  if (beta == 0.0f)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) c[i * ldc + j] = NAN; /* must not be read */
  assert_int_equal(k->gemm_bf16(k, ta, tb, m, n, inner, a, lda, b, ldb, beta, c, ldc), PMP_OK);
  for (int64_t i = 0; i <= m; i++)
    for (int64_t j = 0; j < ldc; j++) {
      double want = (double)was[i * ldc + j];
      if (i < m && j < n) {
        want = beta == 0.0f ? 0 : (double)beta * want;
        for (int64_t l = 0; l < inner; l++) want += at(a, ta, lda, i, l) * at(b, tb, ldb, l, j);
      }
      assert_near("c", (double)c[i * ldc + j], want, 1e-5 * (1 + sqrt((double)inner)));
    }
  free(a), free(b), free(c), free(was);
}

static void products_match_loops(void **state) {
  (void)state;
  static const int64_t shape[][3] = {{1, 1, 1}, {7, 5, 3},    {32, 17, 64},   {64, 1, 9},
                                     {0, 3, 2}, {65, 33, 1},  {130, 70, 257}, {4, 0, 2},
                                     {3, 4, 0}, {128, 64, 32}};
  struct pmp_rng rng;
  struct pmp_compute k;
  pmp_rng_init(&rng, 1, 0);
  open_half(&k, 1);
  for (size_t s = 0; s < sizeof shape / sizeof shape[0]; s++)
    for (int ways = 0; ways < 12; ways++)
      check_product(&k, &rng, shape[s][0], shape[s][1], shape[s][2], ways & 1, ways & 2,
                    ways < 4   ? 0.0f
                    : ways < 8 ? 1.0f
                               : -0.5f);
  assert_true(k.calls > 0 && k.flops > 0);
  pmp_compute_close(&k);
}

/* More shapes than are kept prepared, twice. */
static void any_number_of_shapes(void **state) {
  (void)state;
  struct pmp_rng rng;
  struct pmp_compute k;
  pmp_rng_init(&rng, 2, 0);
  open_half(&k, 1);
  for (int round = 0; round < 2; round++)
    for (int64_t m = 1; m <= 500; m++) check_product(&k, &rng, m % 7 + 1, m, 2, false, false, 0);
  pmp_compute_close(&k);
}

/* ---- networks ---- */

enum { STATES = 37, PER = 3, ROWS = STATES * PER, OUT = 5 };
static const struct pmp_net_config shape = {.in_shared = 6,
                                            .in_own = 3,
                                            .hidden = {48, 33, 20},
                                            .hidden_count = 3,
                                            .out = OUT,
                                            .first_layer_norm = true,
                                            .layer_norm_all = true,
                                            .out_scale = 1};

struct world {
  struct pmp_net net;
  float *params, *shared, *own, *dout;
};

static void world_make(struct world *w) {
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 0);
  assert_int_equal(pmp_net_init(&w->net, &shape, "t", NULL, NULL), PMP_OK);
  w->params = floats_new(w->net.floats);
  pmp_net_init_params(&w->net, &rng, w->params);
  for (size_t i = 0; i < w->net.floats; i++) w->params[i] += 0.1f * (float)pmp_rng_normal(&rng);
  w->shared = normals_new(&rng, STATES * 6, 1);
  w->own = normals_new(&rng, ROWS * 3, 1);
  w->dout = normals_new(&rng, ROWS * OUT, 1);
}

static void world_free(struct world *w) {
  free(w->params), free(w->shared), free(w->own), free(w->dout);
}

/* out, dparams, dshared, down one after the other. */
enum { MORE = ROWS * OUT + STATES * 6 + ROWS * 3 };
static float *run(const struct world *w, struct pmp_compute *k) {
  float *result = floats_new(MORE + w->net.floats), *dparams = result + ROWS * OUT;
  float *cache = floats_new(pmp_net_cache_floats(&w->net, ROWS, STATES));
  memset(dparams, 0, w->net.floats * sizeof *dparams);
  float *dshared = dparams + w->net.floats, *down = dshared + STATES * 6;
  assert_int_equal(
      pmp_net_forward(&w->net, k, w->params, w->shared, w->own, STATES, PER, cache, result),
      PMP_OK);
  assert_int_equal(pmp_net_backward(&w->net, k, w->params, w->shared, w->own, STATES, PER, cache,
                                    w->dout, dparams, dshared, down),
                   PMP_OK);
  free(cache);
  return result;
}

/* One row in float64, with what goes into products rounded. */
static void reference_row(const struct world *w, size_t r, double *out) {
  const struct pmp_net *net = &w->net;
  double a[64], z[64];
  size_t width = 9;
  for (size_t i = 0; i < 6; i++) a[i] = (double)w->shared[r / PER * 6 + i];
  for (size_t i = 0; i < 3; i++) a[6 + i] = (double)w->own[r * 3 + i];
  for (uint32_t l = 0; l <= 3; l++) {
    const size_t n = l < 3 ? shape.hidden[l] : OUT;
    double mean = 0, var = 0;
    for (size_t j = 0; j < n; j++) {
      z[j] = (double)w->params[net->bias[l] + j];
      for (size_t i = 0; i < width; i++)
        z[j] += rounded(a[i]) * rounded((double)w->params[net->weight[l] + i * n + j]);
      mean += z[j] / (double)n;
    }
    for (size_t j = 0; j < n; j++) var += (z[j] - mean) * (z[j] - mean) / (double)n;
    for (size_t j = 0; j < n && l < 3; j++) {
      const float *gain = w->params + net->norm[l];
      const double x = (z[j] - mean) / sqrt(var + 1e-5) * (double)gain[j] + (double)gain[n + j];
      z[j] = l == 0 ? tanh(x) : x > 0 ? x : expm1(x);
    }
    memcpy(a, z, n * sizeof *a);
    width = n;
  }
  memcpy(out, a, OUT * sizeof *out);
}

/* A number that lies between two bfloat16 may be rounded the other way: one part in 256 of one of
 * many summands. */
static void networks_match_float64(void **state) {
  (void)state;
  struct world w;
  struct pmp_compute k;
  open_half(&k, 1);
  world_make(&w);
  float *result = run(&w, &k), *again = floats_new(ROWS * OUT);
  float *scratch = floats_new(pmp_net_evaluate_floats(&w.net, ROWS, STATES));
  assert_int_equal(
      pmp_net_evaluate(&w.net, &k, w.params, w.shared, w.own, STATES, PER, scratch, again), PMP_OK);
  double worst = 0, sum = 0;
  for (size_t r = 0; r < ROWS; r++) {
    double want[OUT];
    reference_row(&w, r, want);
    for (size_t j = 0; j < OUT; j++) {
      worst = fmax(worst, fabs((double)result[r * OUT + j] - want[j]));
      worst = fmax(worst, fabs((double)again[r * OUT + j] - want[j]));
      sum += want[j] * want[j];
    }
  }
  assert_near("outputs", worst / sqrt(sum / (ROWS * OUT)), 0, 5e-3);
  free(result), free(again), free(scratch);
  world_free(&w);
  pmp_compute_close(&k);
}

/* Chunks whose weights are packed: the roundings are the same. */
static void evaluations_match_forwards(void **state) {
  (void)state;
  enum { MANY = 40, EACH = 20, ALL = MANY * EACH };
  const struct pmp_net_config config = {.in_shared = 19,
                                        .in_own = 17,
                                        .hidden = {512, 300},
                                        .hidden_count = 2,
                                        .out = OUT,
                                        .first_layer_norm = true,
                                        .out_scale = 1};
  struct pmp_net net;
  struct pmp_compute k;
  struct pmp_rng rng;
  open_half(&k, 1);
  pmp_rng_init(&rng, 8, 0);
  assert_int_equal(pmp_net_init(&net, &config, "t", NULL, NULL), PMP_OK);
  float *params = floats_new(net.floats), *out = floats_new(ALL * OUT);
  pmp_net_init_params(&net, &rng, params);
  float *shared = normals_new(&rng, MANY * 19, 1), *own = normals_new(&rng, ALL * 17, 1);
  float *again = floats_new(ALL * OUT), *cache = floats_new(pmp_net_cache_floats(&net, ALL, MANY));
  float *scratch = floats_new(pmp_net_evaluate_floats(&net, ALL, MANY));
  assert_int_equal(pmp_net_forward(&net, &k, params, shared, own, MANY, EACH, cache, out), PMP_OK);
  assert_int_equal(pmp_net_evaluate(&net, &k, params, shared, own, MANY, EACH, scratch, again),
                   PMP_OK);
  double gap = 0, size = 0;
  for (size_t i = 0; i < ALL * OUT; i++) {
    gap = fmax(gap, fabs((double)out[i] - (double)again[i]));
    size = fmax(size, fabs((double)out[i]));
  }
  assert_near("largest gap", gap / size, 0, 1e-3);
  free(params), free(out), free(shared), free(own), free(again), free(cache), free(scratch);
  pmp_compute_close(&k);
}

/* Who evaluates which chunk makes no difference, and all products are counted. */
static void evaluate_by_several(enum pmp_precision precision) {
  enum { MANY = 100, EACH = 20, ALL = MANY * EACH, THREADS = TEAM > 1 ? 3 : 1 };
  const struct pmp_net_config config = {.in_shared = 19,
                                        .in_own = 17,
                                        .hidden = {512, 300},
                                        .hidden_count = 2,
                                        .out = OUT,
                                        .first_layer_norm = true,
                                        .out_scale = 1};
  struct pmp_net net;
  struct pmp_rng rng;
  struct pmp_compute k[THREADS];
  float *out[THREADS];
  pmp_rng_init(&rng, 8, 0);
  assert_int_equal(pmp_net_init(&net, &config, "t", NULL, NULL), PMP_OK);
  float *params = floats_new(net.floats);
  pmp_net_init_params(&net, &rng, params);
  float *shared = normals_new(&rng, MANY * 19, 1), *own = normals_new(&rng, ALL * 17, 1);
  float *scratch = floats_new(pmp_net_evaluate_floats(&net, ALL, MANY));
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(pmp_compute_cpu(&k[i], i + 1), PMP_OK);
    assert_int_equal(pmp_compute_prepare(&k[i], precision, NULL), PMP_OK);
    out[i] = floats_new(ALL * OUT);
    for (int again = 0; again < 2; again++)
      assert_int_equal(
          pmp_net_evaluate(&net, &k[i], params, shared, own, MANY, EACH, scratch, out[i]), PMP_OK);
    assert_memory_equal(out[i], out[0], ALL * OUT * sizeof *out[i]);
    assert_int_equal(k[i].flops, k[0].flops);
    assert_int_equal(k[i].calls, k[0].calls);
  }
  for (int i = 0; i < THREADS; i++) {
    free(out[i]);
    pmp_compute_close(&k[i]);
  }
  free(params), free(shared), free(own), free(scratch);
}

static void float32_by_several_threads(void **state) {
  (void)state;
  evaluate_by_several(PMP_PRECISION_FLOAT32);
}

static void bf16_by_several_threads(void **state) {
  (void)state;
  struct pmp_compute k;
  open_half(&k, 1); /* or there is none here */
  pmp_compute_close(&k);
  evaluate_by_several(PMP_PRECISION_BF16);
}

static double apart(const float *a, const float *b, size_t n) {
  double gap = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    gap += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    size += (double)b[i] * (double)b[i];
  }
  return sqrt(gap / size);
}

static void gradients_are_near_float32s(void **state) {
  (void)state;
  struct world w;
  struct pmp_compute half, full;
  open_half(&half, 1);
  assert_int_equal(pmp_compute_cpu(&full, 1), PMP_OK);
  world_make(&w);
  float *a = run(&w, &half), *b = run(&w, &full);
  const size_t params = w.net.floats;
  const float *da = a + ROWS * OUT, *db = b + ROWS * OUT;
  const double gap[3] = {apart(da, db, params), apart(da + params, db + params, STATES * 6),
                         apart(da + params + STATES * 6, db + params + STATES * 6, ROWS * 3)};
  for (int i = 0; i < 3; i++) {
    assert_true(gap[i] > 1e-4); /* else nothing was rounded */
    assert_near("gradient", gap[i], 0, 2e-2);
  }
  free(a), free(b);
  world_free(&w);
  pmp_compute_close(&half);
}

static void the_same_bits_every_time(void **state) {
  (void)state;
  struct world w;
  world_make(&w);
  for (int threads = 1; threads <= TEAM; threads++) {
    float *result[2];
    for (int i = 0; i < 2; i++) {
      struct pmp_compute k;
      open_half(&k, threads);
      result[i] = run(&w, &k);
      pmp_compute_close(&k);
    }
    assert_memory_equal(result[0], result[1], (MORE + w.net.floats) * sizeof(float));
    free(result[0]), free(result[1]);
  }
  world_free(&w);
}

static void unknown_precisions_are_refused(void **state) {
  (void)state;
  struct pmp_compute k;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_compute_cpu(&k, 1), PMP_OK);
  assert_int_equal(pmp_compute_prepare(&k, PMP_PRECISION_FLOAT32, &msg), PMP_OK);
  assert_null(k.gemm_bf16);
  assert_int_equal(pmp_compute_prepare(&k, (enum pmp_precision)7, &msg), PMP_EINVALID);
  pmp_compute_close(&k);
  k = (struct pmp_compute){0};
  pmp_compute_close(&k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_match_loops),
      cmocka_unit_test(any_number_of_shapes),
      cmocka_unit_test(networks_match_float64),
      cmocka_unit_test(evaluations_match_forwards),
      cmocka_unit_test(float32_by_several_threads),
      cmocka_unit_test(bf16_by_several_threads),
      cmocka_unit_test(gradients_are_near_float32s),
      cmocka_unit_test(the_same_bits_every_time),
      cmocka_unit_test(unknown_precisions_are_refused),
  };
  return cmocka_run_group_tests_name("half", tests, NULL, NULL);
}
