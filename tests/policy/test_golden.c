/* Against JAX in float64: tests/parity/policy/golden.json, made by make_golden.py beside it. */
#include "tests/policy/check.h"

#include "policy/policy.h"

#include <jansson.h>
#include <string.h>

static json_t *load(void) {
  const char *source = getenv("PMP_SOURCE");
  char path[4096];
  json_error_t error;
  snprintf(path, sizeof path, "%s/tests/parity/policy/golden.json", source ? source : ".");
  json_t *root = json_load_file(path, 0, &error);
  if (!root) fail_msg("%s: %s", path, error.text);
  return root;
}

static const json_t *get(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  if (!value) fail_msg("no \"%s\"", key);
  return value;
}

static size_t get_size(const json_t *object, const char *key) {
  return (size_t)json_integer_value(get(object, key));
}

/* Numbers of a list, which must have n of them. */
static double *get_wide(const json_t *object, const char *key, size_t n) {
  const json_t *list = get(object, key);
  assert_int_equal(json_array_size(list), n);
  double *out = calloc(n + 1, sizeof *out);
  assert_non_null(out);
  for (size_t i = 0; i < n; i++) out[i] = json_number_value(json_array_get(list, i));
  return out;
}

static void compare_doubles(const json_t *want, const char *key, const double *got, size_t n,
                            double tolerance) {
  double *numbers = get_wide(want, key, n);
  assert_close_doubles(key, got, numbers, n, tolerance, largest(numbers, n));
  free(numbers);
}

static float *get_floats(const json_t *object, const char *key, size_t n) {
  double *wide = get_wide(object, key, n);
  float *out = floats_new(n);
  for (size_t i = 0; i < n; i++) out[i] = (float)wide[i];
  free(wide);
  return out;
}

/* Errors are relative to the largest number of the list, as those of a float32 computation are. */
static void compare(const json_t *want, const char *key, const float *got, size_t n,
                    double tolerance) {
  double *numbers = get_wide(want, key, n);
  assert_close(key, got, numbers, n, tolerance, largest(numbers, n));
  free(numbers);
}

/* ---- networks ---- */

static void check_net(const json_t *g) {
  struct pmp_net_config config = {.in_shared = (uint32_t)get_size(g, "in_shared"),
                                  .in_own = (uint32_t)get_size(g, "in_own"),
                                  .out = (uint32_t)get_size(g, "out"),
                                  .first_layer_norm = json_is_true(get(g, "norm")),
                                  .layer_norm_all = json_is_true(json_object_get(g, "norm_all")),
                                  .out_scale = 1};
  const json_t *hidden = get(g, "hidden"), *want = get(g, "want");
  config.hidden_count = (uint32_t)json_array_size(hidden);
  for (uint32_t i = 0; i < config.hidden_count; i++)
    config.hidden[i] = (uint32_t)json_integer_value(json_array_get(hidden, i));
  const size_t states = get_size(g, "states"), per = get_size(g, "per"), rows = states * per;
  const size_t n_shared = states * config.in_shared, n_own = rows * config.in_own;
  struct pmp_net net;
  struct pmp_compute compute;
  assert_int_equal(pmp_net_init(&net, &config, "t", NULL, NULL), PMP_OK);
  assert_int_equal(pmp_compute_cpu(&compute, 1), PMP_OK);
  float *params = get_floats(g, "params", net.floats), *dparams = floats_new(net.floats);
  float *shared = get_floats(g, "shared", n_shared), *dshared = floats_new(n_shared);
  float *own = get_floats(g, "own", n_own), *down = floats_new(n_own);
  float *dout = get_floats(g, "dout", rows * config.out), *out = floats_new(rows * config.out);
  float *cache = floats_new(pmp_net_cache_floats(&net, rows, states));
  memset(dparams, 0, net.floats * sizeof *dparams);
  const float *given = config.in_own ? own : NULL;
  assert_int_equal(pmp_net_forward(&net, &compute, params, shared, given, states, per, cache, out),
                   PMP_OK);
  assert_int_equal(pmp_net_backward(&net, &compute, params, shared, given, states, per, cache, dout,
                                    dparams, dshared, config.in_own ? down : NULL),
                   PMP_OK);
  compare(want, "out", out, rows * config.out, 2e-6);
  compare(want, "dparams", dparams, net.floats, 2e-6);
  compare(want, "dshared", dshared, n_shared, 2e-6);
  compare(want, "down", down, n_own, 2e-6);
  free(params), free(dparams), free(shared), free(dshared), free(own), free(down);
  free(dout), free(out), free(cache);
}

/* ---- distributions ---- */

static struct pmp_dist get_dist(const json_t *g) {
  const bool categorical = strcmp(json_string_value(get(g, "kind")), "categorical") == 0;
  return (struct pmp_dist){
      .kind = categorical ? PMP_DIST_CATEGORICAL : PMP_DIST_DIAG_GAUSSIAN,
      .dim = (uint32_t)get_size(g, "dim"),
      .bins = (uint32_t)get_size(g, "bins"),
      .split = json_is_true(get(g, "split")),
      .per_dim = json_is_true(get(g, "per_dim")),
      .squash_mean = json_is_true(get(g, "squash_mean")),
      .std_scale = (float)json_number_value(get(g, "std_scale")),
      .std_min = (float)json_number_value(get(g, "std_min")),
      .low = -1,
      .high = 1,
  };
}

static void check_dist(const json_t *g) {
  const struct pmp_dist d = get_dist(get(g, "dist"));
  const json_t *want = get(g, "want");
  assert_int_equal(pmp_dist_check(&d, NULL), PMP_OK);
  const size_t b = get_size(g, "b"), n = b * get_size(g, "m"), h = pmp_dist_head(&d);
  const size_t p = pmp_dist_parts(&d), k = pmp_dist_kl_parts(&d);
  float *head = get_floats(g, "head", b * h), *ref = get_floats(g, "ref", b * h);
  float *y = get_floats(g, "y", n * d.dim), *dhead = floats_new(b * h), *entropy = floats_new(b);
  double *c = get_wide(g, "c", n * p), *w = get_wide(g, "w", b * k), *lp = doubles_new(n * p);
  double *lp_ref = doubles_new(n * p), *kl = doubles_new(b * k);
  assert_int_equal(pmp_dist_forward(&d, b, n, head, ref, y, NULL, lp, lp_ref, kl), PMP_OK);
  assert_int_equal(pmp_dist_backward(&d, b, n, head, ref, y, NULL, c, w, dhead), PMP_OK);
  assert_int_equal(pmp_dist_entropy(&d, b, head, entropy), PMP_OK);
  compare_doubles(want, "lp", lp, n * p, 2e-7);
  compare_doubles(want, "lp_ref", lp_ref, n * p, 2e-7);
  compare_doubles(want, "kl", kl, b * k, 2e-7);
  compare(want, "entropy", entropy, b, 2e-7);
  compare(want, "dhead", dhead, b * h, 2e-7);
  free(head), free(ref), free(y), free(c), free(w), free(lp), free(lp_ref), free(kl);
  free(dhead), free(entropy);
}

/* ---- policies ---- */

static void check_policy(const json_t *g) {
  struct pmp_policy_spec spec;
  struct pmp_policy p;
  struct pmp_compute compute;
  char *text = json_dumps(get(g, "spec"), 0);
  assert_int_equal(pmp_policy_spec_from_json(&spec, text, strlen(text), NULL), PMP_OK);
  assert_int_equal(pmp_policy_init(&p, &spec, NULL), PMP_OK);
  assert_int_equal(pmp_compute_cpu(&compute, 1), PMP_OK);
  const size_t b = get_size(g, "b"), n = b * get_size(g, "m"), floats = p.manifest.floats;
  const size_t cs = n * pmp_dist_parts(&spec.dist), ws = b * pmp_dist_kl_parts(&spec.dist);
  float *params = get_floats(g, "params", floats),
        *ref_params = get_floats(g, "ref_params", floats);
  float *x = get_floats(g, "x", b * spec.obs), *y = get_floats(g, "y", n * spec.dist.dim);
  double *c = get_wide(g, "c", cs), *w = get_wide(g, "w", ws), *lp = doubles_new(cs);
  double *kl = doubles_new(ws), sum = 0;
  float *head = floats_new(b * p.head), *ref_head = floats_new(b * p.head);
  float *dhead = floats_new(b * p.head), *dparams = floats_new(floats);
  float *cache = floats_new(pmp_policy_cache_floats(&p, b));
  memset(dparams, 0, floats * sizeof *dparams);
  assert_int_equal(pmp_policy_forward(&p, &compute, ref_params, b, x, cache, ref_head), PMP_OK);
  assert_int_equal(pmp_policy_forward(&p, &compute, params, b, x, cache, head), PMP_OK);
  assert_int_equal(pmp_dist_forward(&spec.dist, b, n, head, ref_head, y, NULL, lp, NULL, kl),
                   PMP_OK);
  assert_int_equal(pmp_dist_backward(&spec.dist, b, n, head, ref_head, y, NULL, c, w, dhead),
                   PMP_OK);
  assert_int_equal(pmp_policy_backward(&p, &compute, params, b, x, cache, dhead, dparams), PMP_OK);
  for (size_t i = 0; i < cs; i++) sum += c[i] * lp[i];
  for (size_t i = 0; i < ws; i++) sum += w[i] * kl[i];
  compare_doubles(get(g, "want"), "loss", &sum, 1, 1e-5);
  compare(get(g, "want"), "dparams", dparams, floats, 1e-5);
  free(text), free(params), free(ref_params), free(x), free(y), free(c), free(w), free(head);
  free(ref_head), free(dhead), free(dparams), free(cache), free(lp), free(kl);
}

static void each(const char *key, size_t n, void (*check)(const json_t *)) {
  json_t *root = load();
  const json_t *list = get(root, key);
  assert_int_equal(json_array_size(list), n);
  for (size_t i = 0; i < n; i++) {
    print_message("%s[%zu]\n", key, i);
    check(json_array_get(list, i));
  }
  json_decref(root);
}

static void networks(void **state) {
  (void)state;
  each("nets", 4, check_net);
}

static void distributions(void **state) {
  (void)state;
  each("dists", 5, check_dist);
}

static void policies(void **state) {
  (void)state;
  each("policies", 3, check_policy);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(networks),
      cmocka_unit_test(distributions),
      cmocka_unit_test(policies),
  };
  return cmocka_run_group_tests_name("policy golden", tests, NULL, NULL);
}
