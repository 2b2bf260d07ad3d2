/* The critic: against an independent float64 implementation, C51's projection at its edges, memory,
 * errors, and a small decision process whose values are known. */
#include "tests/parity/learner/golden.h"

#include "base/rng.h"
#include "learner/critic/atoms.h"
#include "learner/critic/critic.h"
#include "learner/optim/adam.h"

#include <string.h>

/* ---- atoms ---- */

static void test_golden_atoms(void **state) {
  (void)state;
  json_t *cases, *root = golden_open("atoms", &cases), *one;
  size_t i;
  json_array_foreach(cases, i, one) {
    const size_t states = golden_size(one, "states"), per = golden_size(one, "per");
    const uint32_t atoms = (uint32_t)golden_size(one, "atoms");
    const size_t cells = states * atoms;
    const float v_min = (float)golden_number(one, "v_min");
    const float v_max = (float)golden_number(one, "v_max");
    float *logits = golden_floats(one, "logits"), *first = golden_floats(one, "first");
    float *target = golden_floats(one, "target"), *mean = golden_floats(one, "mean");
    float *ret = golden_floats(one, "ret"), *disc = golden_floats(one, "disc");
    float *out = golden_unwritten(states * per * atoms);

    pmp_atoms_expect(1, states * per, atoms, v_min, v_max, logits, out);
    golden_same(one, "values", out, states * per, 1e-6);
    assert_true(out[states * per] == 999.0f);
    pmp_atoms_mean(1, states, per, atoms, logits, out);
    golden_same(one, "mean", out, cells, 1e-6);
    pmp_critic_project(states, atoms, v_min, v_max, mean, ret, disc, out);
    golden_same(one, "projected", out, cells, 1e-6);
    double loss = 999.0, mean_q = 999.0;
    pmp_atoms_loss(states, atoms, v_min, v_max, first, target, out, &loss, &mean_q);
    golden_same(one, "dlogits", out, cells, 2e-6);
    const double want = golden_number(one, "loss");
    golden_near("loss", i, loss, want, 1e-6 * fmax(1.0, want));
    free(logits);
    free(first);
    free(target);
    free(mean);
    free(ret);
    free(disc);
    free(out);
  }
  json_decref(root);
}

static void test_atoms_finite_differences(void **state) {
  (void)state;
  enum { S = 3, A = 51 };
  float logits[S * A], target[S * A], dlogits[S * A], scratch[S * A];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 31, 0);
  pmp_rng_normal_fill(&rng, logits, S * A);
  for (size_t i = 0; i < S * A; i++)
    target[i] = pmp_rng_float(&rng) / 25.0f; /* not quite 1 in sum */
  double loss, up, down, mean_q;
  pmp_atoms_loss(S, A, -1.0f, 1.0f, logits, target, dlogits, &loss, &mean_q);
  for (size_t i = 0; i < S * A; i++) {
    const float before = logits[i], h = 1.0f / 256.0f;
    logits[i] = before + h;
    const float high = logits[i];
    pmp_atoms_loss(S, A, -1.0f, 1.0f, logits, target, scratch, &up, &mean_q);
    logits[i] = before - h;
    pmp_atoms_loss(S, A, -1.0f, 1.0f, logits, target, scratch, &down, &mean_q);
    const double want = (up - down) / ((double)high - (double)logits[i]);
    logits[i] = before;
    golden_near("dlogit", i, (double)dlogits[i], want, 1e-6);
  }
}

static void test_atoms_extremes(void **state) {
  (void)state;
  /* Logits of +-1e4: a point mass, no overflow, and a gradient that is right. */
  const float logits[] = {-1e4f, 1e4f, 0.0f}, target[] = {0.0f, 0.0f, 1.0f};
  float value = 999.0f, prob[3], dlogits[3];
  double loss, mean_q;
  pmp_atoms_expect(1, 1, 3, -5.0f, 5.0f, logits, &value);
  assert_true(value == 0.0f);
  pmp_atoms_mean(1, 1, 1, 3, logits, prob);
  assert_true(prob[0] == 0.0f && prob[1] == 1.0f && prob[2] == 0.0f);
  pmp_atoms_loss(1, 3, -5.0f, 5.0f, logits, target, dlogits, &loss, &mean_q);
  assert_true(loss == 1e4 && mean_q == 0.0);
  assert_true(dlogits[0] == 0.0f && dlogits[1] == 1.0f && dlogits[2] == -1.0f);
  /* The largest number of atoms, all equal: the middle. */
  static float flat[PMP_CRITIC_ATOMS_MAX];
  pmp_atoms_expect(1, 1, PMP_CRITIC_ATOMS_MAX, 0.0f, 100.0f, flat, &value);
  assert_true(fabsf(value - 50.0f) < 1e-5f);
  /* What is not finite stays visible. */
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 3; i++) {
    const float broken[] = {0.0f, bad[i], bad[i]};
    pmp_atoms_expect(1, 1, 3, -5.0f, 5.0f, broken, &value);
    assert_true(i == 2 ? value == -5.0f : isnan(value));
  }
}

/* ---- projection ---- */

static void check_project(uint32_t atoms, float v_min, float v_max, const float *prob, float ret,
                          float disc, const float *want) {
  float out[16];
  for (size_t i = 0; i < 16; i++) out[i] = 999.0f;
  pmp_critic_project(1, atoms, v_min, v_max, prob, &ret, &disc, out);
  for (size_t i = 0; i < atoms; i++) golden_near("atom", i, (double)out[i], (double)want[i], 1e-7);
  assert_true(out[atoms] == 999.0f);
}

static void test_projection_edges(void **state) {
  (void)state;
  const float p[5] = {0.1f, 0.2f, 0.3f, 0.25f, 0.15f}; /* on 0, 1, 2, 3, 4 */
  check_project(5, 0.0f, 4.0f, p, 0.0f, 1.0f, p);      /* nothing moves */
  check_project(5, 0.0f, 4.0f, p, 1.0f, 1.0f, (const float[]){0.0f, 0.1f, 0.2f, 0.3f, 0.4f});
  check_project(5, 0.0f, 4.0f, p, -1.0f, 1.0f, (const float[]){0.3f, 0.3f, 0.25f, 0.15f, 0.0f});
  check_project(5, 0.0f, 4.0f, p, 100.0f, 1.0f, (const float[]){0.0f, 0.0f, 0.0f, 0.0f, 1.0f});
  check_project(5, 0.0f, 4.0f, p, -100.0f, 1.0f, (const float[]){1.0f, 0.0f, 0.0f, 0.0f, 0.0f});
  /* After termination all mass is at the return: between two atoms, on one, on the ends, beyond. */
  check_project(5, 0.0f, 4.0f, p, 2.25f, 0.0f, (const float[]){0.0f, 0.0f, 0.75f, 0.25f, 0.0f});
  check_project(5, 0.0f, 4.0f, p, 3.0f, 0.0f, (const float[]){0.0f, 0.0f, 0.0f, 1.0f, 0.0f});
  check_project(5, 0.0f, 4.0f, p, 0.0f, 0.0f, (const float[]){1.0f, 0.0f, 0.0f, 0.0f, 0.0f});
  check_project(5, 0.0f, 4.0f, p, 4.0f, 0.0f, (const float[]){0.0f, 0.0f, 0.0f, 0.0f, 1.0f});
  check_project(5, 0.0f, 4.0f, p, 5.0f, 0.0f, (const float[]){0.0f, 0.0f, 0.0f, 0.0f, 1.0f});
  /* Half the discount: two old atoms on each new one. */
  check_project(5, 0.0f, 4.0f, p, 0.0f, 0.5f, (const float[]){0.2f, 0.525f, 0.275f, 0.0f, 0.0f});
}

static void test_projection_properties(void **state) {
  (void)state;
  enum { A = 51 };
  struct pmp_rng rng;
  pmp_rng_init(&rng, 32, 0);
  for (int round = 0; round < 200; round++) {
    const float v_min = (float)pmp_rng_normal(&rng), v_max = v_min + 1.0f + pmp_rng_float(&rng);
    float prob[A], out[A], again[A];
    double sum = 0.0, mass = 0.0, mean = 0.0, moved = 0.0;
    for (size_t i = 0; i < A; i++) sum += (double)(prob[i] = pmp_rng_float(&rng));
    for (size_t i = 0; i < A; i++) prob[i] = (float)((double)prob[i] / sum);
    const double step = ((double)v_max - (double)v_min) / (A - 1);
    /* Inside the range, so that nothing is clipped: the projection keeps mass and mean. */
    const float disc = pmp_rng_float(&rng);
    const double room = ((double)v_max - (double)v_min) * (1.0 - (double)disc);
    const float ret =
        (float)((double)v_min * (1.0 - (double)disc) + room * (0.01 + 0.98 * pmp_rng_double(&rng)));
    pmp_critic_project(1, A, v_min, v_max, prob, &ret, &disc, out);
    for (size_t i = 0; i < A; i++) {
      assert_true(out[i] >= 0.0f);
      mass += (double)out[i];
      moved += (double)out[i] * ((double)v_min + step * (double)i);
      mean += (double)prob[i] * ((double)v_min + step * (double)i);
    }
    golden_near("mass", 0, mass, 1.0, 1e-6);
    golden_near("mean", 0, moved, (double)ret + (double)disc * mean, 3e-6);
    /* Unmoved means unmoved to the bit, whatever the range. */
    const float zero = 0.0f, one = 1.0f;
    pmp_critic_project(1, A, v_min, v_max, prob, &zero, &one, again);
    assert_memory_equal(again, prob, sizeof prob);
  }
}

static void test_projection_nonfinite(void **state) {
  (void)state;
  const float prob[4] = {0.5f, 0.5f, 0.5f, 0.5f}, bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 3; i++) {
    float out[4] = {999.0f, 999.0f, 999.0f, 999.0f};
    const float ret[2] = {bad[i], 0.0f}, disc[2] = {1.0f, 1.0f};
    pmp_critic_project(2, 2, 0.0f, 1.0f, prob, ret, disc, out);
    assert_true(isnan(out[0]) && isnan(out[1]) && out[2] == 0.5f && out[3] == 0.5f);
    pmp_critic_project(2, 2, 0.0f, 1.0f, prob, disc, ret, out);
    assert_true(isnan(out[0]) && isnan(out[1]));
  }
}

/* Bellemare et al. 2017, eq. 7 as it stands: every old atom gives every new one what the triangle
 * about the new one says. */
static void project_by_kernel(uint32_t atoms, double v_min, double v_max, const float *prob,
                              double ret, double disc, double *out) {
  const double step = (v_max - v_min) / (double)(atoms - 1);
  for (uint32_t j = 0; j < atoms; j++) {
    out[j] = 0.0;
    for (uint32_t i = 0; i < atoms; i++) {
      const double z = ret + disc * (v_min + step * (double)i);
      const double kept = fmin(fmax(z, v_min), v_max);
      const double off = fabs(kept - (v_min + step * (double)j)) / step;
      out[j] += (double)prob[i] * fmin(fmax(1.0 - off, 0.0), 1.0);
    }
  }
}

static void test_projection_by_kernel(void **state) {
  (void)state;
  enum { A = 51 };
  struct pmp_rng rng;
  pmp_rng_init(&rng, 35, 0);
  const uint32_t sizes[] = {2, 3, 11, A};
  const float discs[] = {0.0f, 0.95f, 1.0f, 0.5f, 1.5f};
  for (int round = 0; round < 400; round++) {
    const uint32_t atoms = sizes[round % 4];
    const float v_min = -150.0f + 300.0f * pmp_rng_float(&rng);
    const float v_max = v_min + (round % 3 == 0 ? 1e-2f : 300.0f);
    const float step = (v_max - v_min) / (float)(atoms - 1), disc = discs[round / 4 % 5];
    /* On an atom, on either end, just beyond it, and anywhere around. */
    const float at[] = {
        v_min,        v_max,
        v_min + step, v_max + 0.25f * step,
        v_min - 1e6f, v_min + (v_max - v_min) * (3.0f * pmp_rng_float(&rng) - 1.0f)};
    const float ret = at[round % 6];
    float prob[A], out[A + 1];
    double want[A], sum = 0.0;
    for (size_t i = 0; i < atoms; i++) sum += (double)(prob[i] = pmp_rng_float(&rng));
    for (size_t i = 0; i < atoms; i++) prob[i] = (float)((double)prob[i] / sum);
    for (size_t i = 0; i < A + 1; i++) out[i] = 999.0f;
    pmp_critic_project(1, atoms, v_min, v_max, prob, &ret, &disc, out);
    project_by_kernel(atoms, (double)v_min, (double)v_max, prob, (double)ret, (double)disc, want);
    for (size_t i = 0; i < atoms; i++) golden_near("kernel", i, (double)out[i], want[i], 1e-6);
    assert_true(out[atoms] == 999.0f);
  }
}

/* ---- the whole critic ---- */

struct rig {
  struct pmp_critic q;
  struct pmp_compute compute;
  struct pmp_arena arena;
  float *params, *grad;
};

static void rig_open(struct rig *r, const struct pmp_critic_config *config, size_t states,
                     size_t per) {
  struct pmp_errmsg msg;
  memset(r, 0, sizeof *r);
  if (pmp_critic_init(&r->q, config, &msg) != PMP_OK) fail_msg("%s", msg.text);
  assert_int_equal(pmp_compute_cpu(&r->compute, 1), PMP_OK);
  assert_int_equal(pmp_arena_init(&r->arena, pmp_critic_scratch(&r->q, states, per)), PMP_OK);
  /* NaNs: scratch must not be read unwritten. */
  memset(pmp_arena_alloc(&r->arena, r->arena.capacity), 0xff, r->arena.capacity);
  pmp_arena_release(&r->arena, 0);
  struct pmp_rng rng;
  pmp_rng_init(&rng, 5, 0);
  r->params = golden_unwritten(r->q.manifest.floats);
  r->grad = calloc(r->q.manifest.floats, sizeof(float));
  assert_non_null(r->grad);
  pmp_critic_init_params(&r->q, &rng, r->params);
}

static void rig_close(struct rig *r) {
  assert_int_equal(r->arena.used, 0);
  pmp_arena_fini(&r->arena);
  free(r->params);
  free(r->grad);
}

/* Between the flat parameters and the file's arrays. */
static void load_params(const struct pmp_net *net, const json_t *tree, float *params) {
  for (uint32_t layer = 0; layer <= net->config.hidden_count; layer++) {
    const json_t *w = json_array_get(json_object_get(tree, "weight"), layer);
    const json_t *b = json_array_get(json_object_get(tree, "bias"), layer);
    float *values = golden_array(w);
    memcpy(params + net->weight[layer], values, json_array_size(w) * sizeof(float));
    free(values);
    values = golden_array(b);
    memcpy(params + net->bias[layer], values, json_array_size(b) * sizeof(float));
    free(values);
  }
  if (!net->config.first_layer_norm) return;
  float *gain = golden_floats(tree, "gain"), *shift = golden_floats(tree, "shift");
  memcpy(params + net->gain, gain, net->config.hidden[0] * sizeof(float));
  memcpy(params + net->shift, shift, net->config.hidden[0] * sizeof(float));
  free(gain);
  free(shift);
}

static void check_golden_critic(const json_t *one, size_t i) {
  struct rig r;
  const size_t states = golden_size(one, "states"), per = golden_size(one, "per");
  const json_t *norm = json_object_get(one, "norm"), *hidden = json_object_get(one, "hidden");
  struct pmp_critic_config config = {
      .obs = (uint32_t)golden_size(one, "obs_n"),
      .act = (uint32_t)golden_size(one, "act_n"),
      .hidden_count = (uint32_t)json_array_size(hidden),
      .first_layer_norm = json_is_true(norm),
      .atoms = (uint32_t)golden_size(one, "atoms"),
      .v_min = (float)golden_number(one, "v_min"),
      .v_max = (float)golden_number(one, "v_max"),
  };
  for (uint32_t l = 0; l < config.hidden_count; l++) {
    config.hidden[l] = (uint32_t)json_real_value(json_array_get(hidden, l));
  }
  rig_open(&r, &config, states, per);
  load_params(&r.q.net, json_object_get(one, "params"), r.params);
  float *obs = golden_floats(one, "obs"), *act = golden_floats(one, "act");
  float *ret = golden_floats(one, "ret"), *disc = golden_floats(one, "disc");
  float *first = golden_floats(one, "first"), *target = golden_floats(one, "target");
  float *out = golden_unwritten(states * per * config.atoms);
  float *want = calloc(r.q.manifest.floats, sizeof(float));
  assert_non_null(want);

  assert_int_equal(
      pmp_critic_values(&r.q, &r.compute, r.params, states, per, obs, act, &r.arena, out), PMP_OK);
  golden_same(one, "values", out, states * per, 3e-6);
  assert_true(out[states * per] == 999.0f);
  assert_int_equal(pmp_critic_target(&r.q, &r.compute, r.params, states, per, obs, act, ret, disc,
                                     &r.arena, out),
                   PMP_OK);
  golden_same(one, "boot", out, states * config.atoms, 3e-6);
  double loss = 999.0, mean_q = 999.0;
  assert_int_equal(pmp_critic_loss(&r.q, &r.compute, r.params, states, obs, first, target, &r.arena,
                                   r.grad, &loss, &mean_q),
                   PMP_OK);
  golden_near("loss", i, loss, golden_number(one, "loss"), 3e-6);
  golden_near("mean_q", i, mean_q, golden_number(one, "mean_q"), 3e-6);
  load_params(&r.q.net, json_object_get(one, "grad"), want);
  double largest = 0.0;
  for (size_t k = 0; k < r.q.manifest.floats; k++) largest = fmax(largest, fabs((double)want[k]));
  for (size_t k = 0; k < r.q.manifest.floats; k++) {
    golden_near("gradient", k, (double)r.grad[k], (double)want[k], 1e-5 * largest);
  }
  free(obs);
  free(act);
  free(ret);
  free(disc);
  free(first);
  free(target);
  free(out);
  free(want);
  rig_close(&r);
}

static void test_golden_critic(void **state) {
  (void)state;
  json_t *cases, *root = golden_open("critic", &cases), *one;
  size_t i;
  json_array_foreach(cases, i, one) check_golden_critic(one, i);
  json_decref(root);
}

static const struct pmp_critic_config usual = {.obs = 6,
                                               .act = 3,
                                               .hidden = {32, 16},
                                               .hidden_count = 2,
                                               .first_layer_norm = true,
                                               .atoms = 51,
                                               .v_min = -10.0f,
                                               .v_max = 10.0f};

/* Many states are evaluated in chunks: the same as one state at a time, and within the promised
 * scratch. */
static void test_chunks(void **state) {
  (void)state;
  enum { S = 300, PER = 20 };
  static float obs[S * 6], act[S * PER * 3], values[S * PER + 1], single[PER];
  static float target[S * 51 + 1], alone[51], ret[S], disc[S];
  struct rig r;
  struct pmp_rng rng;
  rig_open(&r, &usual, S, PER);
  pmp_rng_init(&rng, 33, 0);
  pmp_rng_normal_fill(&rng, obs, S * 6);
  pmp_rng_normal_fill(&rng, act, S * PER * 3);
  pmp_rng_normal_fill(&rng, ret, S);
  for (size_t i = 0; i < S * PER + 1; i++) values[i] = 999.0f;
  for (size_t i = 0; i < S * 51 + 1; i++) target[i] = 999.0f;
  for (size_t i = 0; i < S; i++) disc[i] = 0.95f;
  assert_int_equal(
      pmp_critic_values(&r.q, &r.compute, r.params, S, PER, obs, act, &r.arena, values), PMP_OK);
  assert_int_equal(
      pmp_critic_target(&r.q, &r.compute, r.params, S, PER, obs, act, ret, disc, &r.arena, target),
      PMP_OK);
  assert_true(values[S * PER] == 999.0f && target[S * 51] == 999.0f);
  for (size_t s = 0; s < S; s++) {
    const float *a = act + s * PER * 3;
    assert_int_equal(
        pmp_critic_values(&r.q, &r.compute, r.params, 1, PER, obs + s * 6, a, &r.arena, single),
        PMP_OK);
    assert_int_equal(pmp_critic_target(&r.q, &r.compute, r.params, 1, PER, obs + s * 6, a, ret + s,
                                       disc + s, &r.arena, alone),
                     PMP_OK);
    for (size_t i = 0; i < PER; i++) assert_true(fabsf(values[s * PER + i] - single[i]) < 1e-4f);
    for (size_t i = 0; i < 51; i++) assert_true(fabsf(target[s * 51 + i] - alone[i]) < 1e-5f);
  }
  rig_close(&r);
}

/* The number of threads changes no bit. */
static void test_threads(void **state) {
  (void)state;
  enum { S = 70, PER = 20, A = 51 };
  static float logits[S * PER * A], one[S * A], three[S * A], v_one[S * PER], v_three[S * PER];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 34, 0);
  pmp_rng_normal_fill(&rng, logits, S * PER * A);
  for (size_t i = 0; i < S * A; i++) three[i] = 999.0f;
  for (size_t i = 0; i < S * PER; i++) v_three[i] = 999.0f;
  pmp_atoms_mean(1, S, PER, A, logits, one);
  pmp_atoms_mean(3, S, PER, A, logits, three);
  assert_memory_equal(one, three, sizeof one);
  pmp_atoms_expect(1, S * PER, A, 0.0f, 100.0f, logits, v_one);
  pmp_atoms_expect(3, S * PER, A, 0.0f, 100.0f, logits, v_three);
  assert_memory_equal(v_one, v_three, sizeof v_one);
}

/* ---- two critics ---- */

enum { T_S = 37, T_PER = 5, T_A = 11 };
struct pair {
  float obs[T_S * 6], act[T_S * T_PER * 3], first[T_S * 3], ret[T_S], disc[T_S], target[T_S * T_A];
};

/* Target of one state by the definition: softmax and expectation of every (critic, action), the
 * lower one's distribution averaged, the projection by its kernel. */
static void target_by_hand(const struct pmp_critic_config *c, const float *head[2], size_t state,
                           double ret, double disc, double *out) {
  float prob[T_A] = {0};
  double mean[T_A] = {0}, scalar = 0.0;
  const double step = ((double)c->v_max - (double)c->v_min) / (double)(T_A - 1);
  for (size_t i = 0; i < T_PER; i++) {
    double p[2][T_A], value[2] = {0.0, 0.0};
    for (size_t k = 0; k < 2; k++) {
      const float *row = head[k] + (state * T_PER + i) * c->atoms;
      double sum = 0.0;
      for (size_t j = 0; j < c->atoms; j++) sum += exp((double)row[j]);
      for (size_t j = 0; j < c->atoms; j++) p[k][j] = exp((double)row[j]) / sum;
      for (size_t j = 0; j < c->atoms; j++)
        value[k] += p[k][j] * ((double)c->v_min + step * (double)j);
      if (c->atoms == 1) value[k] = (double)row[0];
    }
    const size_t low = value[1] < value[0];
    scalar += value[low] / T_PER;
    for (size_t j = 0; j < c->atoms; j++) mean[j] += p[low][j] / T_PER;
  }
  for (size_t j = 0; j < c->atoms; j++) prob[j] = (float)mean[j];
  if (c->atoms == 1)
    out[0] = ret + disc * scalar;
  else
    project_by_kernel(T_A, (double)c->v_min, (double)c->v_max, prob, ret, disc, out);
}

/* What one of the two does alone, by a critic of one network with its parameters. */
struct alone {
  float *head, *value, *grad;
  double loss, mean_q;
};

static struct alone run_alone(const struct pmp_critic_config *config, const float *params,
                              const struct pair *d) {
  struct pmp_critic_config single = *config;
  struct rig r;
  single.count = 1;
  rig_open(&r, &single, T_S, T_PER);
  const size_t n = r.q.net.floats, rows = T_S * T_PER;
  struct alone a = {.head = golden_unwritten(rows * config->atoms),
                    .value = golden_unwritten(rows),
                    .grad = golden_unwritten(n)};
  float *cache = aligned_alloc(64, (pmp_net_cache_floats(&r.q.net, rows, T_S) * 4 + 63) / 64 * 64);
  assert_non_null(cache);
  assert_int_equal(
      pmp_net_forward(&r.q.net, &r.compute, params, d->obs, d->act, T_S, T_PER, cache, a.head),
      PMP_OK);
  assert_int_equal(
      pmp_critic_values(&r.q, &r.compute, params, T_S, T_PER, d->obs, d->act, &r.arena, a.value),
      PMP_OK);
  assert_int_equal(pmp_critic_loss(&r.q, &r.compute, params, T_S, d->obs, d->first, d->target,
                                   &r.arena, r.grad, &a.loss, &a.mean_q),
                   PMP_OK);
  memcpy(a.grad, r.grad, n * sizeof(float));
  free(cache);
  rig_close(&r);
  return a;
}

static void check_two(uint32_t atoms) {
  struct pmp_critic_config config = usual;
  struct rig r;
  static struct pair d;
  struct pmp_rng rng;
  config.count = 2;
  config.atoms = atoms;
  rig_open(&r, &config, T_S, T_PER);
  const size_t n = r.q.net.floats, rows = T_S * T_PER;
  assert_int_equal(r.q.manifest.floats, 2 * n);
  assert_non_null(pmp_manifest_find(&r.q.manifest, "critic_2/layer_norm/gain"));
  assert_true(memcmp(r.params, r.params + n, n * sizeof(float)) != 0); /* independent */
  pmp_rng_init(&rng, 36, atoms);
  pmp_rng_normal_fill(&rng, d.obs, T_S * 6);
  pmp_rng_normal_fill(&rng, d.act, rows * 3);
  pmp_rng_normal_fill(&rng, d.first, T_S * 3);
  pmp_rng_normal_fill(&rng, d.ret, T_S);
  for (size_t i = 0; i < T_S; i++) d.disc[i] = i % 4 == 0 ? 0.0f : 0.95f;
  float *value = golden_unwritten(rows), *target = golden_unwritten(T_S * atoms);
  assert_int_equal(pmp_critic_target(&r.q, &r.compute, r.params, T_S, T_PER, d.obs, d.act, d.ret,
                                     d.disc, &r.arena, target),
                   PMP_OK);
  memcpy(d.target, target, T_S * atoms * sizeof(float));
  assert_int_equal(
      pmp_critic_values(&r.q, &r.compute, r.params, T_S, T_PER, d.obs, d.act, &r.arena, value),
      PMP_OK);
  double loss = 999.0, mean_q = 999.0;
  assert_int_equal(pmp_critic_loss(&r.q, &r.compute, r.params, T_S, d.obs, d.first, d.target,
                                   &r.arena, r.grad, &loss, &mean_q),
                   PMP_OK);
  struct alone a[2] = {run_alone(&config, r.params, &d), run_alone(&config, r.params + n, &d)};
  size_t second = 0;
  for (size_t i = 0; i < rows; i++) {
    second += a[1].value[i] < a[0].value[i];
    assert_true(value[i] == fminf(a[0].value[i], a[1].value[i]));
  }
  assert_true(second > 0 && second < rows && value[rows] == 999.0f);
  const float *heads[2] = {a[0].head, a[1].head};
  for (size_t s = 0; s < T_S; s++) {
    double want[T_A];
    target_by_hand(&config, heads, s, (double)d.ret[s], (double)d.disc[s], want);
    for (size_t j = 0; j < atoms; j++)
      golden_near("target", s, (double)target[s * atoms + j], want[j], 2e-6);
  }
  assert_true(loss == (a[0].loss + a[1].loss) / 2.0 && mean_q == (a[0].mean_q + a[1].mean_q) / 2.0);
  assert_memory_equal(r.grad, a[0].grad, n * sizeof(float));
  assert_memory_equal(r.grad + n, a[1].grad, n * sizeof(float));
  for (size_t k = 0; k < 2; k++) free(a[k].head), free(a[k].value), free(a[k].grad);
  free(value);
  free(target);
  rig_close(&r);
}

static void test_two_critics(void **state) {
  (void)state;
  check_two(1);
  check_two(T_A);
}

/* A NaN of either critic is seen, not hidden behind the other's lower value. */
static void test_two_nonfinite(void **state) {
  (void)state;
  enum { S = 4, PER = 2 };
  float obs[S * 6] = {0.0f}, act[S * PER * 3] = {0.0f}, out[S * 51], zero[S] = {0.0f};
  float one[S] = {1.0f, 1.0f, 1.0f, 1.0f}, target[S * 51] = {0.0f};
  for (int i = 0; i < 4; i++) {
    struct pmp_critic_config config = usual;
    struct rig r;
    double loss;
    config.count = 2;
    config.atoms = i / 2 ? 51 : 1;
    rig_open(&r, &config, S, PER);
    const size_t n = r.q.net.floats;
    r.params[r.q.net.bias[2] + (size_t)(i % 2) * n] = NAN;
    r.params[r.q.net.bias[2] + (size_t)(1 - i % 2) * n] = -5.0f;
    assert_int_equal(pmp_critic_values(&r.q, &r.compute, r.params, S, PER, obs, act, &r.arena, out),
                     PMP_ENONFINITE);
    assert_int_equal(
        pmp_critic_target(&r.q, &r.compute, r.params, S, PER, obs, act, zero, one, &r.arena, out),
        PMP_ENONFINITE);
    assert_int_equal(pmp_critic_loss(&r.q, &r.compute, r.params, S, obs, act, target, &r.arena,
                                     r.grad, &loss, NULL),
                     PMP_ENONFINITE);
    for (size_t k = 0; k < 2 * n; k++) assert_true(r.grad[k] == 0.0f);
    rig_close(&r);
  }
}

static void test_too_little_memory(void **state) {
  (void)state;
  enum { S = 8, PER = 4 };
  float obs[S * 6] = {0.0f}, act[S * PER * 3] = {0.0f}, out[S * 51], ret[S] = {0.0f};
  struct rig r;
  double loss;
  rig_open(&r, &usual, S, PER);
  r.arena.capacity = 4096;
  assert_int_equal(pmp_critic_values(&r.q, &r.compute, r.params, S, PER, obs, act, &r.arena, out),
                   PMP_ENOMEM);
  assert_int_equal(
      pmp_critic_target(&r.q, &r.compute, r.params, S, PER, obs, act, ret, ret, &r.arena, out),
      PMP_ENOMEM);
  assert_int_equal(
      pmp_critic_loss(&r.q, &r.compute, r.params, S, obs, act, out, &r.arena, r.grad, &loss, NULL),
      PMP_ENOMEM);
  rig_close(&r);
}

static void test_nonfinite(void **state) {
  (void)state;
  enum { S = 4, PER = 2 };
  float obs[S * 6] = {0.0f}, act[S * PER * 3] = {0.0f}, out[S * 51], ret[S] = {0.0f};
  float target[S * 51] = {0.0f};
  double loss;
  for (uint32_t atoms = 1; atoms <= 51; atoms += 50) {
    struct pmp_critic_config config = usual;
    struct rig r;
    config.atoms = atoms;
    rig_open(&r, &config, S, PER);
    float bad[S] = {0.0f, NAN, 0.0f, 0.0f};
    assert_int_equal(
        pmp_critic_target(&r.q, &r.compute, r.params, S, PER, obs, act, bad, ret, &r.arena, out),
        PMP_ENONFINITE);
    assert_int_equal(
        pmp_critic_target(&r.q, &r.compute, r.params, S, PER, obs, act, ret, bad, &r.arena, out),
        PMP_ENONFINITE);
    target[atoms] = NAN;
    assert_int_equal(pmp_critic_loss(&r.q, &r.compute, r.params, S, obs, act, target, &r.arena,
                                     r.grad, &loss, NULL),
                     PMP_ENONFINITE);
    target[atoms] = 0.0f;
    r.params[r.q.net.bias[2]] = NAN;
    assert_int_equal(pmp_critic_values(&r.q, &r.compute, r.params, S, PER, obs, act, &r.arena, out),
                     PMP_ENONFINITE);
    assert_int_equal(
        pmp_critic_target(&r.q, &r.compute, r.params, S, PER, obs, act, ret, ret, &r.arena, out),
        PMP_ENONFINITE);
    assert_int_equal(pmp_critic_loss(&r.q, &r.compute, r.params, S, obs, act, target, &r.arena,
                                     r.grad, &loss, NULL),
                     PMP_ENONFINITE);
    /* A logit of minus infinity has a finite gradient and an undefined loss. */
    r.params[r.q.net.bias[2]] = -INFINITY;
    assert_int_equal(pmp_critic_loss(&r.q, &r.compute, r.params, S, obs, act, target, &r.arena,
                                     r.grad, &loss, NULL),
                     PMP_ENONFINITE);
    for (size_t i = 0; i < r.q.manifest.floats; i++) assert_true(r.grad[i] == 0.0f);
    rig_close(&r);
  }
}

static void test_init(void **state) {
  (void)state;
  struct pmp_errmsg msg;
  struct pmp_critic q;
  assert_int_equal(pmp_critic_init(&q, &usual, &msg), PMP_OK);
  assert_non_null(pmp_manifest_find(&q.manifest, "critic/linear_0/weight"));
  struct pmp_critic_config wrong[] = {usual, usual, usual, usual, usual, usual};
  wrong[0].obs = 0;
  wrong[1].atoms = 0;
  wrong[2].atoms = PMP_CRITIC_ATOMS_MAX + 1;
  wrong[3].v_max = wrong[3].v_min;
  wrong[4].v_min = NAN;
  wrong[5].count = 3;
  for (size_t i = 0; i < 6; i++) {
    msg.text[0] = '\0';
    assert_int_equal(pmp_critic_init(&q, &wrong[i], &msg), PMP_EINVALID);
    assert_true(msg.text[0] != '\0');
  }
}

/* ---- a decision process that can be solved by hand ---- */

/* States 0, 1, 2; action +1 goes right, -1 stays. Staying pays 0, leaving 0 pays 1, leaving 1 pays
 * 2, leaving 2 pays 3 and ends. The policy tosses a coin, discount 0.9. */
enum { CHAIN = 3 };

static void solve_chain(double q[CHAIN][2]) {
  double v = 0.0;
  for (size_t s = CHAIN; s-- > 0;) {
    const double leave = (double)(s + 1) + 0.9 * v;
    v = 0.5 * leave / (1.0 - 0.5 * 0.9); /* v = (stay + leave) / 2, stay = 0.9 v */
    q[s][0] = 0.9 * v;
    q[s][1] = leave;
  }
}

static double chain_error(uint32_t atoms, int steps) {
  enum { ROWS = 2 * CHAIN };
  const struct pmp_critic_config config = {.obs = CHAIN,
                                           .act = 1,
                                           .hidden = {24, 24},
                                           .hidden_count = 2,
                                           .first_layer_norm = true,
                                           .atoms = atoms,
                                           .v_min = 0.0f,
                                           .v_max = 10.0f};
  float obs[ROWS * CHAIN] = {0}, boot[ROWS * CHAIN] = {0}, act[ROWS], both[ROWS * 2], ret[ROWS];
  float disc[ROWS], target[ROWS * 51], values[ROWS];
  for (size_t i = 0; i < ROWS; i++) {
    const size_t s = i / 2, leaves = i % 2, next = s + leaves;
    obs[i * CHAIN + s] = 1.0f;
    boot[i * CHAIN + next % CHAIN] = 1.0f;
    act[i] = both[i * 2 + 1] = leaves ? 1.0f : -1.0f;
    both[i * 2] = -both[i * 2 + 1];
    ret[i] = leaves ? (float)(s + 1) : 0.0f;
    disc[i] = next < CHAIN ? 0.9f : 0.0f;
  }
  struct rig r;
  rig_open(&r, &config, ROWS, 2);
  const size_t n = r.q.manifest.floats;
  float *old = malloc(n * sizeof *old), *m = calloc(n, sizeof *m), *v = calloc(n, sizeof *v);
  struct pmp_adam adam = {m, v, n, 0};
  struct pmp_adam_config optim = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
  double loss = 0.0, worst = 0.0, want[CHAIN][2];
  for (int t = 0; t < steps; t++) {
    if (t % 50 == 0) memcpy(old, r.params, n * sizeof *old);
    optim.lr = t < steps * 3 / 4 ? 5e-3f : 5e-4f;
    memset(r.grad, 0, n * sizeof(float));
    assert_int_equal(
        pmp_critic_target(&r.q, &r.compute, old, ROWS, 2, boot, both, ret, disc, &r.arena, target),
        PMP_OK);
    assert_int_equal(pmp_critic_loss(&r.q, &r.compute, r.params, ROWS, obs, act, target, &r.arena,
                                     r.grad, &loss, NULL),
                     PMP_OK);
    assert_int_equal(pmp_adam_step(&adam, &optim, r.params, r.grad, NULL), PMP_OK);
  }
  assert_int_equal(
      pmp_critic_values(&r.q, &r.compute, r.params, ROWS, 1, obs, act, &r.arena, values), PMP_OK);
  solve_chain(want);
  for (size_t i = 0; i < ROWS; i++) {
    assert_true(isfinite(values[i])); /* fmax would pass over a NaN */
    worst = fmax(worst, fabs((double)values[i] - want[i / 2][i % 2]));
  }
  free(old);
  free(m);
  free(v);
  rig_close(&r);
  return worst;
}

static void test_learns_known_values(void **state) {
  (void)state;
  assert_true(chain_error(1, 0) > 1.0); /* it did not know them before */
  assert_true(chain_error(1, 2500) < 0.02);
  assert_true(chain_error(51, 2500) < 0.02);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_golden_atoms),
      cmocka_unit_test(test_atoms_finite_differences),
      cmocka_unit_test(test_atoms_extremes),
      cmocka_unit_test(test_projection_edges),
      cmocka_unit_test(test_projection_properties),
      cmocka_unit_test(test_projection_nonfinite),
      cmocka_unit_test(test_projection_by_kernel),
      cmocka_unit_test(test_golden_critic),
      cmocka_unit_test(test_chunks),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_two_critics),
      cmocka_unit_test(test_two_nonfinite),
      cmocka_unit_test(test_too_little_memory),
      cmocka_unit_test(test_nonfinite),
      cmocka_unit_test(test_init),
      cmocka_unit_test(test_learns_known_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
