/* Products against loops in float64: both transpositions, strides, beta, empty sides. */
#include "tests/policy/check.h"

#include "policy/nn/compute.h"

#include <pthread.h>
#include <string.h>

static double at(const float *a, bool t, int64_t ld, int64_t i, int64_t j) {
  return (double)(t ? a[j * ld + i] : a[i * ld + j]);
}

static void check_product(struct pmp_compute *k, struct pmp_rng *rng, int64_t m, int64_t n,
                          int64_t inner, bool ta, bool tb, float beta) {
  /* Strides beyond the width, and cells there that must stay. */
  const int64_t lda = (ta ? m : inner) + 3, ldb = (tb ? inner : n) + 1, ldc = n + 2;
  float *a = normals_new(rng, (size_t)(lda * ((ta ? inner : m) + 1)), 1);
  float *b = normals_new(rng, (size_t)(ldb * ((tb ? n : inner) + 1)), 1);
  float *c = normals_new(rng, (size_t)(ldc * (m + 1)), 1),
        *was = floats_new((size_t)(ldc * (m + 1)));
  memcpy(was, c, (size_t)(ldc * (m + 1)) * sizeof *c);
  if (beta == 0.0f)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) c[i * ldc + j] = NAN; /* must not be read */
  assert_int_equal(k->gemm(k, ta, tb, m, n, inner, a, lda, b, ldb, beta, c, ldc), PMP_OK);
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
  static const int64_t shape[][3] = {{1, 1, 1},  {1, 128, 128}, {7, 5, 3},   {32, 17, 64},
                                     {64, 1, 9}, {1, 1, 200},   {65, 33, 1}, {130, 70, 257}};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 0);
  for (int threads = 1; threads <= TEAM; threads++) {
    struct pmp_compute k;
    assert_int_equal(pmp_compute_cpu(&k, threads), PMP_OK);
    for (size_t s = 0; s < sizeof shape / sizeof shape[0]; s++)
      for (int ways = 0; ways < 12; ways++)
        check_product(&k, &rng, shape[s][0], shape[s][1], shape[s][2], ways & 1, ways & 2,
                      ways < 4   ? 0.0f
                      : ways < 8 ? 1.0f
                                 : -0.5f);
  }
}

static void empty_sides(void **state) {
  (void)state;
  struct pmp_rng rng;
  struct pmp_compute k;
  pmp_rng_init(&rng, 2, 0);
  assert_int_equal(pmp_compute_cpu(&k, 1), PMP_OK);
  for (int zero = 1; zero < 8; zero++)
    for (int b = 0; b < 3; b++)
      check_product(&k, &rng, zero & 1 ? 0 : 4, zero & 2 ? 0 : 5, zero & 4 ? 0 : 6, false, false,
                    b == 0   ? 0.0f
                    : b == 1 ? 1.0f
                             : 0.5f);
  float c = UNWRITTEN;
  assert_int_equal(k.gemm(&k, false, false, 0, 5, 6, NULL, 6, NULL, 5, 0, NULL, 5), PMP_OK);
  assert_int_equal(k.gemm(&k, false, false, 1, 1, 0, NULL, 0, NULL, 1, 0, &c, 1), PMP_OK);
  assert_true(c == 0);
  assert_int_equal(k.gemm(&k, false, false, -1, 1, 1, &c, 1, &c, 1, 0, &c, 1), PMP_EINVALID);
}

static void counters_and_name(void **state) {
  (void)state;
  struct pmp_compute k;
  assert_int_equal(pmp_compute_cpu(&k, 0), PMP_EINVALID);
  assert_int_equal(pmp_compute_cpu(&k, -1), PMP_EINVALID);
  assert_int_equal(pmp_compute_cpu(&k, 2), PMP_OK);
  assert_int_equal(k.threads, 2);
  assert_true(strncmp(k.name, "onednn ", 7) == 0);
  assert_true(strlen(k.name) > 12);
  float a[6] = {1, 2, 3, 4, 5, 6}, c[4];
  assert_int_equal(k.gemm(&k, false, true, 2, 2, 3, a, 3, a, 3, 0, c, 2), PMP_OK);
  assert_true(c[0] == 14 && c[1] == 32 && c[2] == 32 && c[3] == 77);
  assert_int_equal(k.calls, 1);
  assert_int_equal(k.flops, 24);
  assert_int_equal(k.busy_ns, 0);
  k.timed = true;
  assert_int_equal(k.gemm(&k, false, true, 2, 2, 3, a, 3, a, 3, 0, c, 2), PMP_OK);
  assert_true(k.busy_ns > 0);
}

/* A backend opened by one thread and used by another, and the same bits whenever asked. */
struct used {
  struct pmp_compute k;
  float *a, *b, *c;
  enum pmp_err err;
};
enum { SIDE = 200 };

static void *use(void *arg) {
  struct used *u = arg;
  u->err = u->k.gemm(&u->k, false, false, SIDE, SIDE, SIDE, u->a, SIDE, u->b, SIDE, 0, u->c, SIDE);
  return NULL;
}

static void same_bits_from_any_thread(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 0);
  const size_t n = (size_t)SIDE * SIDE;
  struct used u = {.a = normals_new(&rng, n, 1), .b = normals_new(&rng, n, 1), .c = floats_new(n)};
  float *first = floats_new(n);
  for (int threads = 1; threads <= TEAM; threads++) {
    assert_int_equal(pmp_compute_cpu(&u.k, threads), PMP_OK);
    use(&u);
    assert_int_equal(u.err, PMP_OK);
    memcpy(first, u.c, n * sizeof *first);
    for (int round = 0; round < 3; round++) {
      pthread_t thread;
      for (size_t i = 0; i < n; i++) u.c[i] = UNWRITTEN;
      assert_int_equal(pthread_create(&thread, NULL, use, &u), 0);
      pthread_join(thread, NULL);
      assert_int_equal(u.err, PMP_OK);
      assert_memory_equal(u.c, first, n * sizeof *first);
    }
  }
  free(u.a), free(u.b), free(u.c), free(first);
}

/* The same with the right side packed, and any number of rows after that. */
static void packed_products_match_loops(void **state) {
  (void)state;
  static const int64_t shape[][3] = {{160, 51, 256}, {7, 5, 3},      {32, 17, 64},
                                     {65, 33, 1},    {130, 70, 257}, {161, 512, 21}};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 4, 0);
  struct pmp_compute k;
  assert_int_equal(pmp_compute_cpu(&k, 1), PMP_OK);
  assert_int_equal(pmp_compute_prepare(&k, PMP_PRECISION_FLOAT32, NULL), PMP_OK);
  for (size_t s = 0; k.pack != NULL && s < sizeof shape / sizeof shape[0]; s++) {
    const int64_t n = shape[s][1], inner = shape[s][2];
    float *b = normals_new(&rng, (size_t)(inner * n), 1);
    float *packed = floats_new(pmp_compute_packed_floats(n, inner));
    const enum pmp_err err = k.pack(&k, shape[s][0], n, inner, b, packed);
    for (int64_t m = shape[s][0]; err == PMP_OK && m > 0; m -= 59) {
      float *a = normals_new(&rng, (size_t)(m * inner), 1), *c = floats_new((size_t)(m * n) + 1);
      assert_int_equal(k.gemm_packed(&k, m, n, inner, a, packed, c), PMP_OK);
      for (int64_t i = 0; i < m * n; i++) {
        double want = 0;
        for (int64_t l = 0; l < inner; l++)
          want += (double)a[i / n * inner + l] * (double)b[l * n + i % n];
        assert_near("c", (double)c[i], want, 1e-5 * (1 + sqrt((double)inner)));
      }
      assert_true(c[m * n] == UNWRITTEN);
      free(a), free(c);
    }
    if (err != PMP_OK) assert_int_equal(err, PMP_EUNAVAILABLE);
    free(b), free(packed);
  }
  float x = 1;
  if (k.pack != NULL) assert_int_equal(k.gemm_packed(&k, 1, 999, 1, &x, &x, &x), PMP_EINVALID);
  pmp_compute_close(&k);
  assert_null(k.pack);
  pmp_compute_close(&k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_match_loops),        cmocka_unit_test(empty_sides),
      cmocka_unit_test(packed_products_match_loops), cmocka_unit_test(counters_and_name),
      cmocka_unit_test(same_bits_from_any_thread),
  };
  return cmocka_run_group_tests_name("compute", tests, NULL, NULL);
}
