/* Adam and AdamW: against float64, clipping, bit-equality, refusals. */
#include "tests/parity/learner/golden.h"

#include "base/rng.h"
#include "learner/optim/adam.h"

#include <string.h>

#define N 10007 /* several blocks and a tail */

static const struct pmp_adam_config usual = {
    .lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};

static struct pmp_adam_config golden_config(const json_t *one) {
  return (struct pmp_adam_config){
      .lr = (float)golden_number(one, "lr"),
      .beta1 = (float)golden_number(one, "beta1"),
      .beta2 = (float)golden_number(one, "beta2"),
      .eps = (float)golden_number(one, "eps"),
      .weight_decay = (float)golden_number(one, "decay"),
      .clip_norm = (float)golden_number(one, "clip"),
  };
}

static void test_golden(void **state) {
  (void)state;
  json_t *cases, *root = golden_open("adam", &cases), *one;
  size_t i, clipped = 0, decayed = 0;
  json_array_foreach(cases, i, one) {
    const struct pmp_adam_config config = golden_config(one);
    const size_t n = golden_size(one, "n"), steps = golden_size(one, "steps");
    float *params = golden_floats(one, "start"), *grads = golden_floats(one, "grads");
    float *norms = golden_floats(one, "norms");
    struct pmp_adam adam = {calloc(n, sizeof(float)), calloc(n, sizeof(float)), n, 0};
    for (size_t t = 0; t < steps; t++) {
      double norm = 999.0;
      assert_int_equal(pmp_adam_step(&adam, &config, params, grads + t * n, &norm), PMP_OK);
      golden_near("norm", t, norm, (double)norms[t], 1e-6 * (double)norms[t]);
      clipped += config.clip_norm > 0.0f && norm > (double)config.clip_norm;
    }
    decayed += config.weight_decay > 0.0f;
    assert_int_equal(adam.step, steps);
    golden_same(one, "end", params, n, 2e-6);
    golden_same(one, "m", adam.m, n, 1e-6);
    golden_same(one, "v", adam.v, n, 1e-6);
    free(adam.m);
    free(adam.v);
    free(params);
    free(grads);
    free(norms);
  }
  assert_true(clipped > 0 && decayed > 0);
  json_decref(root);
}

/* After one step from zero state every parameter has moved by lr, whatever the gradient's size:
 * bias correction. */
static void test_first_step(void **state) {
  (void)state;
  float params[4] = {0.0f}, grad[4] = {1e-3f, -5.0f, 300.0f, 0.0f}, m[4] = {0.0f}, v[4] = {0.0f};
  struct pmp_adam adam = {m, v, 4, 0};
  assert_int_equal(pmp_adam_step(&adam, &usual, params, grad, NULL), PMP_OK);
  const float want[4] = {-1e-2f, 1e-2f, -1e-2f, 0.0f};
  for (size_t i = 0; i < 4; i++) assert_true(fabsf(params[i] - want[i]) < 1e-6f);
}

/* A late step: the corrections are 1 to rounding, nothing overflows or underflows. */
static void test_late_step(void **state) {
  (void)state;
  float params[1] = {0.0f}, grad[1] = {2.0f}, m[1] = {2.0f}, v[1] = {4.0f};
  struct pmp_adam adam = {m, v, 1, UINT64_C(1) << 40};
  assert_int_equal(pmp_adam_step(&adam, &usual, params, grad, NULL), PMP_OK);
  assert_true(fabsf(params[0] + 1e-2f) < 1e-7f);
  assert_int_equal(adam.step, (UINT64_C(1) << 40) + 1);
}

struct big {
  float params[N], grad[N], m[N], v[N];
};

static void fill(struct big *b, uint64_t seed) {
  struct pmp_rng rng;
  memset(b, 0, sizeof *b);
  pmp_rng_init(&rng, seed, 0);
  pmp_rng_normal_fill(&rng, b->params, N);
  pmp_rng_normal_fill(&rng, b->grad, N);
}

static void test_norm_and_clip(void **state) {
  (void)state;
  static struct big b, before;
  struct pmp_adam_config config = usual;
  fill(&b, 1);
  before = b;
  double want = 0.0, norm = 999.0, after = 0.0;
  for (size_t i = 0; i < N; i++) want += (double)b.grad[i] * (double)b.grad[i];
  want = sqrt(want);
  struct pmp_adam adam = {b.m, b.v, N, 0};
  config.clip_norm = (float)(want * 1.01);
  assert_int_equal(pmp_adam_step(&adam, &config, b.params, b.grad, &norm), PMP_OK);
  assert_true(fabs(norm - want) <= 1e-13 * want);
  assert_memory_equal(b.grad, before.grad, sizeof b.grad);
  config.clip_norm = 0.5f;
  assert_int_equal(pmp_adam_step(&adam, &config, b.params, b.grad, &norm), PMP_OK);
  for (size_t i = 0; i < N; i++) after += (double)b.grad[i] * (double)b.grad[i];
  assert_true(fabs(sqrt(after) - 0.5) < 1e-6);
  assert_true(fabs(norm - want) <= 1e-13 * want);
}

/* Same inputs, same bits; and a parameter's update depends on its own history only, wherever it
 * lies in the buffer. */
static void test_bits(void **state) {
  (void)state;
  static struct big a, b, shifted;
  fill(&a, 2);
  fill(&b, 2);
  fill(&shifted, 2);
  struct pmp_adam one = {a.m, a.v, N, 0}, two = {b.m, b.v, N, 0};
  struct pmp_adam three = {shifted.m + 5, shifted.v + 5, N - 5, 0};
  for (int t = 0; t < 3; t++) {
    assert_int_equal(pmp_adam_step(&one, &usual, a.params, a.grad, NULL), PMP_OK);
    assert_int_equal(pmp_adam_step(&two, &usual, b.params, b.grad, NULL), PMP_OK);
    assert_int_equal(pmp_adam_step(&three, &usual, shifted.params + 5, shifted.grad + 5, NULL),
                     PMP_OK);
  }
  assert_memory_equal(a.params, b.params, sizeof a.params);
  assert_memory_equal(a.m, b.m, sizeof a.m);
  assert_memory_equal(a.v, b.v, sizeof a.v);
  assert_memory_equal(a.params + 5, shifted.params + 5, (N - 5) * sizeof(float));
  assert_memory_equal(a.v + 5, shifted.v + 5, (N - 5) * sizeof(float));
}

/* One where the thread sanitizer would see races inside libgomp, which is not built for it. */
#ifdef __SANITIZE_THREAD__
#define TEAM 1
#else
#define TEAM 3
#endif

/* Who updates which part makes no difference. */
static void test_threads(void **state) {
  (void)state;
  enum { MANY = 100001 };
  struct pmp_rng rng;
  float *all[2][4]; /* m, v, params, grad */
  for (int way = 0; way < 2; way++) {
    pmp_rng_init(&rng, 3, 0);
    for (int i = 0; i < 4; i++) {
      all[way][i] = calloc(MANY, sizeof(float));
      assert_non_null(all[way][i]);
      if (i >= 2) pmp_rng_normal_fill(&rng, all[way][i], MANY);
    }
    struct pmp_adam adam = {all[way][0], all[way][1], MANY, 0};
    for (int t = 0; t < 2; t++)
      pmp_adam_apply_by(way == 0 ? 1 : TEAM, &adam, &usual, all[way][2], all[way][3], 1);
  }
  for (int i = 0; i < 4; i++) {
    assert_memory_equal(all[0][i], all[1][i], MANY * sizeof(float));
    free(all[0][i]), free(all[1][i]);
  }
}

static void test_nonfinite_changes_nothing(void **state) {
  (void)state;
  static struct big b, before;
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 3; i++) {
    fill(&b, 4);
    b.grad[N - 1 - i * 4000] = bad[i];
    before = b;
    struct pmp_adam adam = {b.m, b.v, N, 7};
    struct pmp_adam_config config = usual;
    config.clip_norm = 1.0f;
    double norm = 0.0;
    assert_int_equal(pmp_adam_step(&adam, &config, b.params, b.grad, &norm), PMP_ENONFINITE);
    assert_true(!isfinite(norm));
    assert_memory_equal(&b, &before, sizeof b);
    assert_int_equal(adam.step, 7);
  }
}

/* What float32 cannot square would freeze its parameter for ever; clipping helps first. */
static void test_too_large_changes_nothing(void **state) {
  (void)state;
  float params[2] = {1.0f, 2.0f}, m[2] = {0.0f}, v[2] = {0.0f}, grad[2] = {1.0f, -2e19f};
  struct pmp_adam adam = {m, v, 2, 0};
  struct pmp_adam_config config = usual;
  config.clip_norm = 0.0f;
  assert_int_equal(pmp_adam_step(&adam, &config, params, grad, NULL), PMP_ENONFINITE);
  assert_true(params[0] == 1.0f && params[1] == 2.0f && m[1] == 0.0f && v[1] == 0.0f);
  assert_int_equal(adam.step, 0);
  config.clip_norm = 1.0f;
  assert_int_equal(pmp_adam_step(&adam, &config, params, grad, NULL), PMP_OK);
  assert_true(params[1] > 2.0f && isfinite(v[1]));
}

/* A convex bowl with very different curvatures: Adam gets to its bottom. */
static void test_descends(void **state) {
  (void)state;
  float params[3] = {3.0f, -2.0f, 1.0f}, m[3] = {0.0f}, v[3] = {0.0f};
  const float curvature[3] = {1e-2f, 1.0f, 100.0f};
  struct pmp_adam adam = {m, v, 3, 0};
  for (int t = 0; t < 3000; t++) {
    float grad[3];
    for (size_t i = 0; i < 3; i++) grad[i] = curvature[i] * (params[i] - 0.5f);
    assert_int_equal(pmp_adam_step(&adam, &usual, params, grad, NULL), PMP_OK);
  }
  for (size_t i = 0; i < 3; i++) assert_true(fabsf(params[i] - 0.5f) < 1e-3f);
}

static void test_check(void **state) {
  (void)state;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_adam_check(&usual, &msg), PMP_OK);
  struct pmp_adam_config wrong[] = {usual, usual, usual, usual, usual, usual, usual, usual};
  wrong[0].lr = 0.0f;
  wrong[1].lr = NAN;
  wrong[2].beta1 = 1.0f;
  wrong[3].beta2 = -0.1f;
  wrong[4].eps = 0.0f;
  wrong[5].weight_decay = -1.0f;
  wrong[6].clip_norm = INFINITY;
  wrong[7].beta1 = NAN;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    msg.text[0] = '\0';
    assert_int_equal(pmp_adam_check(&wrong[i], &msg), PMP_EINVALID);
    assert_true(msg.text[0] != '\0');
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_golden),
      cmocka_unit_test(test_first_step),
      cmocka_unit_test(test_late_step),
      cmocka_unit_test(test_norm_and_clip),
      cmocka_unit_test(test_bits),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_nonfinite_changes_nothing),
      cmocka_unit_test(test_too_large_changes_nothing),
      cmocka_unit_test(test_descends),
      cmocka_unit_test(test_check),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
