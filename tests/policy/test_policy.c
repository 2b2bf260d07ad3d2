/* A policy from its description to gradients on its parameters, and the description as JSON. */
#include "tests/policy/check.h"

#include "policy/policy.h"

#include <string.h>

static struct pmp_policy_spec control_spec(void) {
  return (struct pmp_policy_spec){.dist = {.kind = PMP_DIST_DIAG_GAUSSIAN,
                                           .dim = 2,
                                           .split = true,
                                           .squash_mean = true,
                                           .std_scale = 0.72134752f,
                                           .std_min = 0.01f,
                                           .low = -1,
                                           .high = 1},
                                  .obs = 5,
                                  .network = true,
                                  .hidden = {12, 9},
                                  .hidden_count = 2,
                                  .first_layer_norm = true,
                                  .init_std = 0.3f};
}

static struct pmp_policy_spec bandit_spec(void) {
  return (struct pmp_policy_spec){.dist = {.kind = PMP_DIST_DIAG_GAUSSIAN,
                                           .dim = 10,
                                           .std_scale = 1,
                                           .std_min = 1e-8f,
                                           .low = -5,
                                           .high = 5},
                                  .init_std = 1,
                                  .init_mean_range = 3};
}

static struct pmp_policy_spec full_spec(void) {
  struct pmp_policy_spec s = bandit_spec();
  s.dist.kind = PMP_DIST_GAUSSIAN, s.dist.dim = 3;
  return s;
}

static struct pmp_policy_spec full_network_spec(void) {
  struct pmp_policy_spec s = control_spec();
  s.dist.kind = PMP_DIST_GAUSSIAN;
  return s;
}

static struct pmp_policy_spec bins_spec(void) {
  struct pmp_policy_spec s = control_spec();
  s.dist =
      (struct pmp_dist){.kind = PMP_DIST_CATEGORICAL, .dim = 2, .bins = 7, .low = -1, .high = 1};
  return s;
}

static struct pmp_policy_spec table_spec(void) {
  return (struct pmp_policy_spec){
      .dist = {.kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = 3, .low = 0, .high = 2}};
}

/* ---- end to end: sum c lp + sum w kl as a function of the parameters ---- */

enum { B = 6, M = 4, OBS = 5 };

struct world {
  struct pmp_policy policy;
  struct pmp_compute compute;
  float *params, *ref_head, *x, *y, *cache, *head;
  double *c, *w, *lp, *kl;
};

static void world_make(struct world *t, const struct pmp_policy_spec *spec, struct pmp_rng *rng) {
  assert_int_equal(pmp_policy_init(&t->policy, spec, NULL), PMP_OK);
  assert_int_equal(pmp_compute_cpu(&t->compute, 1), PMP_OK);
  const struct pmp_policy *p = &t->policy;
  t->params = floats_new(p->manifest.floats);
  pmp_policy_init_params(p, rng, t->params);
  for (size_t i = 0; i < p->manifest.floats; i++) t->params[i] += 0.1f * (float)pmp_rng_normal(rng);
  t->x = normals_new(rng, B * OBS, 1);
  t->cache = floats_new(pmp_policy_cache_floats(p, B));
  t->head = floats_new(B * p->head), t->ref_head = floats_new(B * p->head);
  t->y = floats_new((size_t)B * M * spec->dist.dim);
  t->c = normal_doubles_new(rng, (size_t)B * M * pmp_dist_parts(&spec->dist), 1);
  t->w = normal_doubles_new(rng, (size_t)B * pmp_dist_kl_parts(&spec->dist), 1);
  t->lp = doubles_new((size_t)B * M * 2), t->kl = doubles_new((size_t)B * 4);
  const float *x = spec->obs ? t->x : NULL;
  assert_int_equal(pmp_policy_forward(p, &t->compute, t->params, B, x, t->cache, t->ref_head),
                   PMP_OK);
  for (size_t i = 0; i < B * p->head; i++) t->ref_head[i] += 0.3f * (float)pmp_rng_normal(rng);
  assert_int_equal(pmp_dist_sample(&spec->dist, B, M, t->ref_head, rng, t->y), PMP_OK);
}

static void world_free(struct world *t) {
  free(t->params), free(t->ref_head), free(t->x), free(t->y), free(t->c), free(t->w);
  free(t->cache), free(t->head), free(t->lp), free(t->kl);
}

static double world_loss(struct world *t) {
  const struct pmp_dist *d = &t->policy.spec.dist;
  double loss = 0;
  assert_int_equal(pmp_policy_forward(&t->policy, &t->compute, t->params, B,
                                      t->policy.spec.obs ? t->x : NULL, t->cache, t->head),
                   PMP_OK);
  assert_int_equal(
      pmp_dist_forward(d, B, B * M, t->head, t->ref_head, t->y, NULL, t->lp, NULL, t->kl), PMP_OK);
  for (size_t j = 0; j < (size_t)B * M * pmp_dist_parts(d); j++) loss += t->c[j] * t->lp[j];
  for (size_t j = 0; j < (size_t)B * pmp_dist_kl_parts(d); j++) loss += t->w[j] * t->kl[j];
  return loss;
}

/* Each layer of this is tested to 1e-5 against float64 elsewhere; here it is whether they are
 * joined rightly, so the wide central differences of a float32 computation are good enough. */
static void gradients_end_to_end(void **state) {
  (void)state;
  const struct pmp_policy_spec spec[] = {control_spec(), bandit_spec(), full_network_spec(),
                                         full_spec(),    bins_spec(),   table_spec()};
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 0);
  for (size_t s = 0; s < sizeof spec / sizeof spec[0]; s++) {
    struct world t;
    world_make(&t, &spec[s], &rng);
    const size_t n = t.policy.manifest.floats;
    float *dhead = floats_new(B * t.policy.head), *dparams = floats_new(n);
    double *want = calloc(n, sizeof *want);
    world_loss(&t);
    for (size_t i = 0; i < n; i++) dparams[i] = 0.5f;
    assert_int_equal(
        pmp_dist_backward(&spec[s].dist, B, B * M, t.head, t.ref_head, t.y, NULL, t.c, t.w, dhead),
        PMP_OK);
    assert_int_equal(pmp_policy_backward(&t.policy, &t.compute, t.params, B,
                                         spec[s].obs ? t.x : NULL, t.cache, dhead, dparams),
                     PMP_OK);
    for (size_t i = 0; i < n; i++) {
      const float at = t.params[i], up = at + 4e-3f, down = at - 4e-3f;
      t.params[i] = up;
      const double high = world_loss(&t);
      t.params[i] = down;
      want[i] = (high - world_loss(&t)) / ((double)up - (double)down);
      t.params[i] = at;
      dparams[i] -= 0.5f;
    }
    assert_true(largest(want, n) > 0.1);
    assert_close("dparams", dparams, want, n, 1e-3, largest(want, n));
    free(dhead), free(dparams), free(want);
    world_free(&t);
  }
}

/* ---- initial parameters ---- */

/* A policy that normalises is the plain one of what pmp_policy_normalize makes of x, forward and
 * backward, and has two more views that get no gradient. */
static void normalises_what_it_sees(void **state) {
  (void)state;
  struct pmp_policy_spec spec = control_spec();
  struct world plain, t;
  struct pmp_rng rng;
  spec.normalize = true;
  pmp_rng_init(&rng, 2, 0);
  world_make(&t, &spec, &rng);
  pmp_rng_init(&rng, 2, 0);
  spec.normalize = false;
  world_make(&plain, &spec, &rng);
  const struct pmp_policy *p = &t.policy;
  const size_t n = plain.policy.manifest.floats, all = p->manifest.floats, heads = B * p->head;
  const struct pmp_view *mean = pmp_manifest_find(&p->manifest, "policy/observation/mean");
  const struct pmp_view *scale = pmp_manifest_find(&p->manifest, "policy/observation/scale");
  assert_true(mean != NULL && scale != NULL);
  assert_true(mean->offset == n && scale->offset == n + OBS && all == n + 2 * OBS);
  assert_true(p->trained == n && plain.policy.trained == n);
  memcpy(t.params, plain.params, n * sizeof(float));
  for (size_t i = 0; i < OBS; i++) {
    t.params[n + i] = 3.0f * (float)i;
    t.params[n + OBS + i] = i == 1 ? 1e3f : 0.5f; /* one is beyond the bound */
  }
  float seen[B * OBS + 1];
  seen[B * OBS] = 999.0f;
  pmp_policy_normalize(p, t.params, B, t.x, seen);
  assert_true(seen[B * OBS] == 999.0f);
  for (size_t i = 0; i < B * OBS; i++) {
    const float z = (t.x[i] - 3.0f * (float)(i % OBS)) * (i % OBS == 1 ? 1e3f : 0.5f);
    assert_true(seen[i] == fminf(fmaxf(z, -10.0f), 10.0f));
    if (i % OBS == 1) assert_true(fabsf(seen[i]) == 10.0f);
  }
  memcpy(plain.x, seen, B * OBS * sizeof(float));
  float *grad = floats_new(all), *want = floats_new(n), *dhead = normals_new(&rng, heads, 1);
  memset(grad, 0, all * sizeof(float));
  memset(want, 0, n * sizeof(float));
  assert_int_equal(pmp_policy_forward(p, &t.compute, t.params, B, t.x, t.cache, t.head), PMP_OK);
  assert_int_equal(pmp_policy_forward(&plain.policy, &plain.compute, plain.params, B, plain.x,
                                      plain.cache, plain.head),
                   PMP_OK);
  assert_memory_equal(t.head, plain.head, heads * sizeof(float));
  assert_int_equal(pmp_policy_backward(p, &t.compute, t.params, B, t.x, t.cache, dhead, grad),
                   PMP_OK);
  assert_int_equal(pmp_policy_backward(&plain.policy, &plain.compute, plain.params, B, plain.x,
                                       plain.cache, dhead, want),
                   PMP_OK);
  assert_memory_equal(grad, want, n * sizeof(float));
  for (size_t i = n; i < all; i++) assert_true(grad[i] == 0.0f);
  /* It starts as one that does nothing, but for the bound. */
  pmp_policy_init_params(p, &rng, t.params);
  for (size_t i = 0; i < OBS; i++) assert_true(t.params[n + i] == 0.0f);
  for (size_t i = 0; i < OBS; i++) assert_true(t.params[n + OBS + i] == 1.0f);
  const float odd[OBS] = {NAN, 20.0f, -20.0f, 9.5f, INFINITY};
  pmp_policy_normalize(p, t.params, 1, odd, seen);
  assert_true(isnan(seen[0]) && seen[1] == 10.0f && seen[2] == -10.0f && seen[3] == 9.5f);
  spec = bandit_spec();
  spec.normalize = true;
  assert_int_equal(pmp_policy_init(&t.policy, &spec, NULL), PMP_EINVALID);
  free(grad), free(want), free(dhead);
  world_free(&t);
  world_free(&plain);
}

static void network_starts_as_told(void **state) {
  (void)state;
  struct pmp_policy_spec spec = control_spec();
  struct pmp_policy p;
  struct pmp_compute compute;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 2, 0);
  assert_int_equal(pmp_compute_cpu(&compute, 1), PMP_OK);
  const float stds[] = {0.3f, 0};
  for (int k = 0; k < 2; k++) {
    spec.init_std = stds[k];
    spec.hidden[0] = spec.hidden[1] = 64;
    assert_int_equal(pmp_policy_init(&p, &spec, NULL), PMP_OK);
    float *params = floats_new(p.manifest.floats), *x = normals_new(&rng, 100 * OBS, 1);
    float *cache = floats_new(pmp_policy_cache_floats(&p, 100)), *head = floats_new(100 * p.head);
    float mean[200], std[200];
    pmp_policy_init_params(&p, &rng, params);
    assert_int_equal(pmp_policy_forward(&p, &compute, params, 100, x, cache, head), PMP_OK);
    assert_int_equal(pmp_dist_moments(&spec.dist, 100, head, mean, std), PMP_OK);
    /* softplus(0) 0.5 / ln 2 + 0.01 when nothing is said; the head's weights are a tenth as wide as
     * others. */
    for (int i = 0; i < 200; i++) {
      assert_near("std", (double)std[i], k == 0 ? 0.3 : 0.51, 0.15);
      assert_near("mean", (double)mean[i], 0, 0.4);
    }
    const float *bias = params + p.net.bias[2];
    assert_true(bias[0] == 0 && bias[1] == 0);
    float only[4] = {0, 0, bias[2], bias[3]};
    assert_int_equal(pmp_dist_moments(&spec.dist, 1, only, mean, std), PMP_OK);
    assert_near("std of biases", (double)std[1], k == 0 ? 0.3 : 0.51, 1e-6);
    free(params), free(x), free(cache), free(head);
  }
}

static void free_parameters_start_as_told(void **state) {
  (void)state;
  const struct pmp_policy_spec spec = bandit_spec();
  struct pmp_policy p;
  struct pmp_rng rng;
  assert_int_equal(pmp_policy_init(&p, &spec, NULL), PMP_OK);
  assert_int_equal(p.manifest.floats, 20);
  assert_non_null(pmp_manifest_find(&p.manifest, "policy/mean_raw"));
  assert_int_equal(pmp_manifest_find(&p.manifest, "policy/std_raw")->offset, 10);
  double low = 9, high = -9, sum = 0;
  for (uint64_t seed = 0; seed < 200; seed++) {
    float params[20], mean[10], std[10], head[60];
    pmp_rng_init(&rng, seed, 0);
    pmp_policy_init_params(&p, &rng, params);
    assert_int_equal(pmp_policy_forward(&p, NULL, params, 3, NULL, NULL, head), PMP_OK);
    for (int i = 0; i < 3; i++) assert_memory_equal(head + 20 * i, params, sizeof params);
    assert_int_equal(pmp_dist_moments(&spec.dist, 1, params, mean, std), PMP_OK);
    for (int i = 0; i < 10; i++) {
      assert_near("std", (double)std[i], 1, 1e-6);
      low = fmin(low, (double)mean[i]), high = fmax(high, (double)mean[i]), sum += (double)mean[i];
    }
  }
  assert_near("lowest", low, -3, 0.02);
  assert_near("highest", high, 3, 0.02);
  assert_near("mean", sum / 2000, 0, 5 * sqrt(3.0 / 2000));

  const struct pmp_policy_spec full = full_spec();
  float chol[3 + 6], moments[2 * 3];
  assert_int_equal(pmp_policy_init(&p, &full, NULL), PMP_OK);
  assert_int_equal(p.manifest.floats, 9);
  assert_int_equal(pmp_manifest_find(&p.manifest, "policy/chol_raw")->offset, 3);
  assert_null(pmp_manifest_find(&p.manifest, "policy/std_raw"));
  pmp_policy_init_params(&p, &rng, chol);
  assert_int_equal(pmp_dist_moments(&full.dist, 1, chol, moments, moments + 3), PMP_OK);
  for (int i = 0; i < 3; i++) {
    assert_near("std", (double)moments[3 + i], 1, 1e-6);
    assert_true(fabsf(chol[i]) <= 3 && chol[i] != 0);
  }
  assert_true(chol[4] == 0 && chol[6] == 0 && chol[7] == 0);

  const struct pmp_policy_spec table = table_spec();
  float logits[3] = {9, 9, 9};
  assert_int_equal(pmp_policy_init(&p, &table, NULL), PMP_OK);
  assert_int_equal(p.manifest.floats, 3);
  pmp_policy_init_params(&p, &rng, logits);
  for (int i = 0; i < 3; i++) assert_true(logits[i] == 0);
  assert_int_equal(pmp_policy_cache_floats(&p, 100), 0);
}

static void wrong_specs_are_refused(void **state) {
  (void)state;
  struct pmp_policy_spec s[13];
  for (int i = 0; i < 13; i++) s[i] = i < 7 ? control_spec() : bandit_spec();
  s[0].obs = 0, s[1].obs = UINT32_MAX, s[2].init_std = 0.01f, s[3].init_std = NAN;
  s[4].hidden_count = PMP_NET_HIDDEN_MAX + 1, s[5].dist.dim = 0, s[6].hidden[1] = 0;
  s[7].obs = 3, s[8].init_std = 0, s[9].init_mean_range = -1, s[10].hidden_count = 1;
  s[11].dist.squash_mean = true, s[12].first_layer_norm = true;
  for (int i = 0; i < 13; i++) {
    struct pmp_policy p;
    struct pmp_errmsg msg = {""};
    assert_int_equal(pmp_policy_init(&p, &s[i], &msg), PMP_EINVALID);
    assert_true(msg.text[0] != '\0');
  }
}

/* ---- JSON ---- */

static void assert_spec_equal(const struct pmp_policy_spec *a, const struct pmp_policy_spec *b) {
  assert_int_equal(a->dist.kind, b->dist.kind);
  assert_int_equal(a->dist.dim, b->dist.dim);
  assert_int_equal(a->dist.bins, b->dist.bins);
  assert_int_equal(a->dist.split, b->dist.split);
  assert_int_equal(a->dist.per_dim, b->dist.per_dim);
  assert_int_equal(a->dist.squash_mean, b->dist.squash_mean);
  assert_true(a->dist.std_scale == b->dist.std_scale && a->dist.std_min == b->dist.std_min);
  assert_true(a->dist.low == b->dist.low && a->dist.high == b->dist.high);
  assert_int_equal(a->obs, b->obs);
  assert_int_equal(a->network, b->network);
  assert_int_equal(a->hidden_count, b->hidden_count);
  for (uint32_t i = 0; i < a->hidden_count; i++) assert_int_equal(a->hidden[i], b->hidden[i]);
  assert_int_equal(a->first_layer_norm, b->first_layer_norm);
  assert_int_equal(a->normalize, b->normalize);
  assert_int_equal(a->layer_norm_all, b->layer_norm_all);
  assert_true(a->init_std == b->init_std && a->init_mean_range == b->init_mean_range);
}

static void json_round_trip(void **state) {
  (void)state;
  struct pmp_policy_spec spec[] = {control_spec(), bandit_spec(),       bins_spec(),
                                   table_spec(),   full_network_spec(), control_spec()};
  spec[5].normalize = spec[5].layer_norm_all = spec[4].layer_norm_all = true;
  spec[0].init_std = 0.1f + 1e-8f;
  spec[0].dist.std_min = nextafterf(0.01f, 1); /* the last bit must come back */
  for (int i = 0; i < 6; i++) {
    char *json, *again;
    struct pmp_policy_spec back;
    assert_int_equal(pmp_policy_spec_to_json(&spec[i], &json), PMP_OK);
    assert_int_equal(pmp_policy_spec_from_json(&back, json, strlen(json), NULL), PMP_OK);
    assert_spec_equal(&spec[i], &back);
    assert_int_equal(pmp_policy_spec_to_json(&back, &again), PMP_OK);
    assert_string_equal(json, again);
    free(json), free(again);
  }
}

static const char table_json[] =
    "{\"dist\":{\"bins\":3,\"dim\":1,\"high\":2.0,\"kind\":\"categorical\",\"low\":0.0,"
    "\"per_dim\":false,\"split\":false,\"squash_mean\":false,\"std_min\":0.0,\"std_scale\":0.0},"
    "\"first_layer_norm\":false,\"hidden\":[],\"init_mean_range\":0.0,\"init_std\":0.0,"
    "\"network\":false,\"obs\":0}";

static void json_is_as_written_down(void **state) {
  (void)state;
  const struct pmp_policy_spec spec = table_spec();
  char *json;
  assert_int_equal(pmp_policy_spec_to_json(&spec, &json), PMP_OK);
  assert_string_equal(json, table_json);
  free(json);
}

/* table_json with `what` in place of `was`. */
static enum pmp_err parse_changed(const char *was, const char *what, struct pmp_errmsg *msg) {
  char text[1024];
  const char *at = strstr(table_json, was);
  assert_non_null(at);
  snprintf(text, sizeof text, "%.*s%s%s", (int)(at - table_json), table_json, what,
           at + strlen(was));
  struct pmp_policy_spec spec;
  return pmp_policy_spec_from_json(&spec, text, strlen(text), msg);
}

static void wrong_json_is_refused(void **state) {
  (void)state;
  static const char *const change[][2] = {
      {"\"obs\":0", "\"obs\":0,\"more\":1"},
      {"\"bins\":3", "\"bins\":3,\"more\":1"},
      {",\"obs\":0", ""},
      {"\"bins\":3,", ""},
      {"\"obs\":0", "\"obs\":-1"},
      {"\"obs\":0", "\"obs\":0,\"normalize\":1"},
      {"\"obs\":0", "\"obs\":0,\"normalize\":true,\"more\":1"},
      {"\"obs\":0", "\"obs\":0,\"layer_norm_all\":\"yes\""},
      {"\"obs\":0", "\"obs\":4294967296"},
      {"\"obs\":0", "\"obs\":0.5"},
      {"\"obs\":0", "\"obs\":\"0\""},
      {"\"obs\":0", "\"obs\":0,\"obs\":0"},
      {"\"high\":2.0", "\"high\":1e39"},
      {"\"high\":2.0", "\"high\":null"},
      {"\"split\":false", "\"split\":0"},
      {"categorical", "mixture"},
      {"\"categorical\"", "1"},
      {"\"hidden\":[]", "\"hidden\":[1.5]"},
      {"\"hidden\":[]", "\"hidden\":[1,1,1,1,1,1,1,1,1]"},
      {"\"hidden\":[]", "\"hidden\":{}"},
      {"{\"dist\"", "[{\"dist\""},
      {"\"network\":false", "\"network\":false}"},
  };
  struct pmp_errmsg msg;
  assert_int_equal(parse_changed("\"high\":2.0", "\"high\":2", NULL), PMP_OK);
  for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
    msg.text[0] = '\0';
    const enum pmp_err err = parse_changed(change[i][0], change[i][1], &msg);
    if (err != PMP_EINVALID) fail_msg("case %zu: %d", i, (int)err);
    assert_true(msg.text[0] != '\0');
  }
  struct pmp_policy_spec spec;
  for (size_t size = 0; size < sizeof table_json - 1; size++)
    assert_int_equal(pmp_policy_spec_from_json(&spec, table_json, size, NULL), PMP_EINVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_end_to_end),    cmocka_unit_test(normalises_what_it_sees),
      cmocka_unit_test(network_starts_as_told),  cmocka_unit_test(free_parameters_start_as_told),
      cmocka_unit_test(wrong_specs_are_refused), cmocka_unit_test(json_round_trip),
      cmocka_unit_test(json_is_as_written_down), cmocka_unit_test(wrong_json_is_refused),
  };
  return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
