/* Networks: forward against float64 loops, every gradient against central differences of those
 * loops. */
#include "tests/policy/check.h"

#include "policy/nn/net.h"

#include <string.h>

/* A case: a configuration, states and rows per state. */
struct shape {
  struct pmp_net_config config;
  size_t states, per;
};

static const struct shape shapes[] = {
    {{.in_shared = 5,
      .in_own = 1,
      .hidden = {16, 24},
      .hidden_count = 2,
      .out = 7,
      .first_layer_norm = true,
      .out_scale = 1},
     6,
     4},
    {{.in_shared = 5,
      .in_own = 2,
      .hidden = {33, 17, 9},
      .hidden_count = 3,
      .out = 3,
      .first_layer_norm = true,
      .out_scale = 1},
     13,
     1},
    {{.in_shared = 5,
      .in_own = 2,
      .hidden = {33, 17, 40},
      .hidden_count = 3,
      .out = 3,
      .first_layer_norm = true,
      .layer_norm_all = true,
      .out_scale = 1},
     7,
     3},
    {{.in_shared = 4, .hidden = {19, 40}, .hidden_count = 2, .out = 5, .out_scale = 1}, 70, 1},
    {{.in_shared = 4, .in_own = 3, .hidden = {70}, .hidden_count = 1, .out = 2, .out_scale = 1},
     3,
     45},
    {{.in_shared = 3,
      .hidden = {8},
      .hidden_count = 1,
      .out = 2,
      .first_layer_norm = true,
      .out_scale = 1},
     4,
     3},
    {{.in_own = 3, .hidden = {8}, .hidden_count = 1, .out = 2, .out_scale = 1}, 4, 2},
    {{.in_shared = 3, .in_own = 2, .out = 4, .out_scale = 1}, 5, 2},
    {{.in_shared = 1, .hidden = {1}, .hidden_count = 1, .out = 1, .out_scale = 1}, 1, 1},
};
#define SHAPES (sizeof shapes / sizeof shapes[0])
#define WIDE 128

/* The definition in float64, one row. z is scratch. */
static void reference_row(const struct pmp_net *net, const double *params, const double *in,
                          double *out) {
  const struct pmp_net_config *c = &net->config;
  double a[WIDE], z[WIDE];
  size_t width = (size_t)c->in_shared + c->in_own;
  memcpy(a, in, width * sizeof *a);
  for (uint32_t l = 0; l <= c->hidden_count; l++) {
    const size_t n = l < c->hidden_count ? c->hidden[l] : c->out;
    double mean = 0, var = 0;
    for (size_t j = 0; j < n; j++) {
      z[j] = params[net->bias[l] + j];
      for (size_t i = 0; i < width; i++) z[j] += a[i] * params[net->weight[l] + i * n + j];
      mean += z[j] / (double)n;
    }
    for (size_t j = 0; j < n; j++) var += (z[j] - mean) * (z[j] - mean) / (double)n;
    for (size_t j = 0; j < n; j++) {
      if (l == c->hidden_count) {
        a[j] = z[j];
        continue;
      }
      const bool norm = l == 0 ? c->first_layer_norm : c->layer_norm_all;
      const double *gain = params + net->norm[l], *shift = gain + n;
      const double x = norm ? (z[j] - mean) / sqrt(var + 1e-5) * gain[j] + shift[j] : z[j];
      a[j] = l == 0 && norm ? tanh(x) : x > 0 ? x : expm1(x);
    }
    width = n;
  }
  memcpy(out, a, width * sizeof *a);
}

/* Everything of one case in float64: params, shared, own side by side in `v`, so that one index
 * runs over all that can be differentiated by. */
struct problem {
  struct pmp_net net;
  size_t states, per, rows, params, shared, own, variables;
  double *v, *dout;
};

/* sum(dout * out), and the outputs where wanted. */
static double reference_loss(const struct problem *p, double *out) {
  const struct pmp_net_config *c = &p->net.config;
  double loss = 0, in[WIDE], y[WIDE];
  for (size_t r = 0; r < p->rows; r++) {
    memcpy(in, p->v + p->params + r / p->per * c->in_shared, c->in_shared * sizeof *in);
    memcpy(in + c->in_shared, p->v + p->params + p->shared + r * c->in_own, c->in_own * sizeof *in);
    reference_row(&p->net, p->v, in, y);
    for (size_t j = 0; j < c->out; j++) loss += p->dout[r * c->out + j] * y[j];
    if (out) memcpy(out + r * c->out, y, c->out * sizeof *y);
  }
  return loss;
}

static double *problem_make(struct problem *p, const struct shape *s, struct pmp_rng *rng) {
  *p = (struct problem){.states = s->states, .per = s->per, .rows = s->states * s->per};
  assert_int_equal(pmp_net_init(&p->net, &s->config, "t", NULL, NULL), PMP_OK);
  p->params = p->net.floats;
  p->shared = p->states * s->config.in_shared;
  p->own = p->rows * s->config.in_own;
  p->variables = p->params + p->shared + p->own;
  p->v = calloc(p->variables, sizeof *p->v);
  p->dout = calloc(p->rows * s->config.out, sizeof *p->dout);
  assert_non_null(p->v);
  assert_non_null(p->dout);
  float *params = floats_new(p->params);
  pmp_net_init_params(&p->net, rng, params);
  /* Values that float32 holds exactly; biases, gains and shifts moved off 0 and 1. */
  for (size_t i = 0; i < p->variables; i++)
    p->v[i] = i < p->params ? (double)(params[i] + 0.1f * (float)pmp_rng_normal(rng))
                            : (double)(float)pmp_rng_normal(rng);
  for (size_t i = 0; i < p->params; i++) p->v[i] = (double)(float)p->v[i];
  for (size_t i = 0; i < p->rows * s->config.out; i++)
    p->dout[i] = (double)(float)pmp_rng_normal(rng);
  free(params);
  double *gradient = calloc(p->variables, sizeof *gradient);
  assert_non_null(gradient);
  const double h = 1e-5;
  for (size_t i = 0; i < p->variables; i++) {
    const double at = p->v[i];
    p->v[i] = at + h;
    const double up = reference_loss(p, NULL);
    p->v[i] = at - h;
    gradient[i] = (up - reference_loss(p, NULL)) / (2 * h);
    p->v[i] = at;
  }
  return gradient;
}

static float *narrowed(const double *v, size_t n) {
  float *f = floats_new(n);
  for (size_t i = 0; i < n; i++) f[i] = (float)v[i];
  return f;
}

static void check_shape(const struct shape *s, int threads, struct pmp_rng *rng) {
  struct problem p;
  double *gradient = problem_make(&p, s, rng);
  struct pmp_compute compute;
  assert_int_equal(pmp_compute_cpu(&compute, threads), PMP_OK);
  const size_t outs = p.rows * s->config.out;
  double *want = calloc(outs, sizeof *want);
  reference_loss(&p, want);
  float *params = narrowed(p.v, p.params), *shared = narrowed(p.v + p.params, p.shared);
  float *own = narrowed(p.v + p.params + p.shared, p.own), *dout = narrowed(p.dout, outs);
  float *cache = floats_new(pmp_net_cache_floats(&p.net, p.rows, p.states));
  float *out = floats_new(outs), *dparams = floats_new(p.params);
  float *dshared = floats_new(p.shared), *down = floats_new(p.own);
  const float *own_given = s->config.in_own ? own : NULL;

  assert_int_equal(
      pmp_net_forward(&p.net, &compute, params, shared, own_given, p.states, p.per, cache, out),
      PMP_OK);
  assert_close("out", out, want, outs, 1e-5, largest(want, outs));
  float *again = floats_new(outs);
  float *scratch = floats_new(pmp_net_evaluate_floats(&p.net, p.rows, p.states));
  assert_int_equal(pmp_net_evaluate(&p.net, &compute, params, shared, own_given, p.states, p.per,
                                    scratch, again),
                   PMP_OK);
  assert_close("evaluated", again, want, outs, 1e-5, largest(want, outs));
  free(again), free(scratch);

  /* Gradients on parameters are added: start from 2. */
  for (size_t i = 0; i < p.params; i++) dparams[i] = 2;
  assert_int_equal(pmp_net_backward(&p.net, &compute, params, shared, own_given, p.states, p.per,
                                    cache, dout, dparams, dshared, down),
                   PMP_OK);
  const double scale = largest(gradient, p.params);
  for (size_t i = 0; i < p.params; i++) dparams[i] -= 2;
  assert_close("dparams", dparams, gradient, p.params, 1e-5, scale + 2);
  assert_close("dshared", dshared, gradient + p.params, p.shared, 1e-5,
               largest(gradient + p.params, p.shared));
  assert_close("down", down, gradient + p.params + p.shared, p.own, 1e-5,
               largest(gradient + p.params + p.shared, p.own));
  for (size_t i = 0; i < outs; i++) assert_true(dout[i] == (float)p.dout[i]);

  free(gradient), free(want), free(params), free(shared), free(own), free(dout), free(cache);
  free(out), free(dparams), free(dshared), free(down), free(p.v), free(p.dout);
}

static void gradients_match_differences(void **state) {
  (void)state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 7, 0);
  for (size_t i = 0; i < SHAPES; i++) {
    print_message("shape %zu\n", i);
    check_shape(&shapes[i], 1, &rng);
    check_shape(&shapes[i], TEAM, &rng);
  }
}

/* Large enough that row kernels use their team. */
static void threads_change_no_bit(void **state) {
  (void)state;
  const struct pmp_net_config config = {.in_shared = 6,
                                        .in_own = 2,
                                        .hidden = {96, 80},
                                        .hidden_count = 2,
                                        .out = 33,
                                        .first_layer_norm = true,
                                        .out_scale = 1};
  const size_t states = 150, per = 4, rows = states * per;
  struct pmp_net net;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 0);
  assert_int_equal(pmp_net_init(&net, &config, "t", NULL, NULL), PMP_OK);
  float *params = floats_new(net.floats);
  pmp_net_init_params(&net, &rng, params);
  float *shared = normals_new(&rng, states * 6, 1), *own = normals_new(&rng, rows * 2, 1);
  float *dout = normals_new(&rng, rows * 33, 1);
  float *cache = floats_new(pmp_net_cache_floats(&net, rows, states));
  float *result[3];
  const size_t floats = rows * 33 + net.floats + states * 6 + rows * 2;
  for (int run = 0; run < 3; run++) {
    struct pmp_compute compute;
    assert_int_equal(pmp_compute_cpu(&compute, run == 2 ? 1 : TEAM), PMP_OK);
    float *r = result[run] = floats_new(floats), *dparams = r + rows * 33;
    memset(dparams, 0, net.floats * sizeof *dparams);
    assert_int_equal(pmp_net_forward(&net, &compute, params, shared, own, states, per, cache, r),
                     PMP_OK);
    assert_int_equal(pmp_net_backward(&net, &compute, params, shared, own, states, per, cache, dout,
                                      dparams, dparams + net.floats,
                                      dparams + net.floats + states * 6),
                     PMP_OK);
  }
  assert_memory_equal(result[0], result[1], floats * sizeof(float));
  /* Products may be cut differently by another number of threads; all else may not. */
  for (size_t i = 0; i < floats; i++)
    assert_near("one thread", (double)result[2][i], (double)result[0][i],
                2e-4 * (1 + fabs((double)result[0][i])));
  for (int run = 0; run < 3; run++) free(result[run]);
  free(params), free(shared), free(own), free(dout), free(cache);
}

/* More rows than are taken at once, in a number that does not divide: the same as state by state.
 */
static void large_batches_are_seamless(void **state) {
  (void)state;
  const struct pmp_net_config config = {.in_shared = 3,
                                        .in_own = 2,
                                        .hidden = {20, 12},
                                        .hidden_count = 2,
                                        .out = 5,
                                        .first_layer_norm = true,
                                        .out_scale = 1};
  enum { STATES = 1003, PER = 4, ROWS = STATES * PER };
  struct pmp_net net;
  struct pmp_compute compute;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 5, 0);
  assert_int_equal(pmp_compute_cpu(&compute, 1), PMP_OK);
  assert_int_equal(pmp_net_init(&net, &config, "t", NULL, NULL), PMP_OK);
  float *params = normals_new(&rng, net.floats, 0.4), *shared = normals_new(&rng, STATES * 3, 1);
  float *own = normals_new(&rng, ROWS * 2, 1), *dout = normals_new(&rng, ROWS * 5, 1);
  float *result[2], *dparams[2];
  const size_t all = ROWS * 5 + STATES * 3 + ROWS * 2;
  for (int run = 0; run < 2; run++) {
    const size_t step = run == 0 ? STATES : 1;
    float *cache = floats_new(pmp_net_cache_floats(&net, step * PER, step));
    float *out = result[run] = floats_new(all), *dshared = out + ROWS * 5;
    float *down = dshared + STATES * 3;
    dparams[run] = floats_new(net.floats);
    memset(dparams[run], 0, net.floats * sizeof(float));
    for (size_t s = 0; s < STATES; s += step) {
      const size_t r = s * PER;
      assert_int_equal(pmp_net_forward(&net, &compute, params, shared + s * 3, own + r * 2, step,
                                       PER, cache, out + r * 5),
                       PMP_OK);
      assert_int_equal(pmp_net_backward(&net, &compute, params, shared + s * 3, own + r * 2, step,
                                        PER, cache, dout + r * 5, dparams[run], dshared + s * 3,
                                        down + r * 2),
                       PMP_OK);
    }
    free(cache);
  }
  for (size_t i = 0; i < all; i++)
    assert_near("row", (double)result[0][i], (double)result[1][i],
                2e-5 * (1 + fabs((double)result[1][i])));
  for (size_t i = 0; i < net.floats; i++)
    assert_near("dparams", (double)dparams[0][i], (double)dparams[1][i],
                1e-3 + 1e-5 * fabs((double)dparams[1][i]));
  for (int run = 0; run < 2; run++) free(result[run]), free(dparams[run]);
  free(params), free(shared), free(own), free(dout);
}

/* Evaluations of many chunks, with weights packed and not, give what the forward gives. */
static void evaluations_in_chunks(void **state) {
  (void)state;
  static const size_t pers[] = {1, 20};
  for (int way = 0; way < 8; way++) {
    const size_t per = pers[way & 1], states = 811 / per, rows = states * per;
    const struct pmp_net_config config = {.in_shared = 19,
                                          .in_own = way & 2 ? 0 : 17,
                                          .hidden = {512, 300},
                                          .hidden_count = 2,
                                          .out = 51,
                                          .first_layer_norm = true,
                                          .out_scale = 1};
    struct pmp_net net;
    struct pmp_compute compute;
    struct pmp_rng rng;
    pmp_rng_init(&rng, 6, (uint64_t)way);
    assert_int_equal(pmp_compute_cpu(&compute, 1), PMP_OK);
    if (way & 4)
      assert_int_equal(pmp_compute_prepare(&compute, PMP_PRECISION_FLOAT32, NULL), PMP_OK);
    assert_int_equal(pmp_net_init(&net, &config, "t", NULL, NULL), PMP_OK);
    float *params = floats_new(net.floats), *out = floats_new(rows * 51);
    pmp_net_init_params(&net, &rng, params);
    float *shared = normals_new(&rng, states * 19, 1), *own = normals_new(&rng, rows * 17, 1);
    float *again = floats_new(rows * 51 + 1);
    float *cache = floats_new(pmp_net_cache_floats(&net, rows, states));
    float *scratch = floats_new(pmp_net_evaluate_floats(&net, rows, states));
    const float *given = config.in_own ? own : NULL;
    assert_int_equal(
        pmp_net_forward(&net, &compute, params, shared, given, states, per, cache, out), PMP_OK);
    assert_int_equal(
        pmp_net_evaluate(&net, &compute, params, shared, given, states, per, scratch, again),
        PMP_OK);
    for (size_t i = 0; i < rows * 51; i++)
      assert_near("out", (double)again[i], (double)out[i], 1e-5 * (1 + fabs((double)out[i])));
    assert_true(again[rows * 51] == UNWRITTEN);
    free(params), free(out), free(shared), free(own), free(again), free(cache), free(scratch);
    pmp_compute_close(&compute);
  }
}

static void nothing_in_nothing_out(void **state) {
  (void)state;
  struct pmp_net net;
  struct pmp_compute compute;
  assert_int_equal(pmp_compute_cpu(&compute, 1), PMP_OK);
  assert_int_equal(pmp_net_init(&net, &shapes[0].config, "t", NULL, NULL), PMP_OK);
  float *params = floats_new(net.floats), *dparams = floats_new(net.floats);
  assert_int_equal(pmp_net_forward(&net, &compute, params, NULL, NULL, 0, 4, NULL, NULL), PMP_OK);
  assert_int_equal(
      pmp_net_backward(&net, &compute, params, NULL, NULL, 0, 4, NULL, NULL, dparams, NULL, NULL),
      PMP_OK);
  for (size_t i = 0; i < net.floats; i++) assert_true(dparams[i] == UNWRITTEN);
  free(params), free(dparams);
}

static void manifest_names_every_float(void **state) {
  (void)state;
  struct pmp_manifest m = {0};
  struct pmp_net net;
  size_t first;
  const uint32_t five = 5;
  assert_int_equal(pmp_manifest_add(&m, "before", 1, &five, &first), PMP_OK);
  assert_int_equal(pmp_net_init(&net, &shapes[1].config, "critic", &m, NULL), PMP_OK);
  assert_int_equal(m.floats, 5 + net.floats);
  assert_int_equal(m.views, 1 + 2 * 4 + 2);
  const struct pmp_view *v = pmp_manifest_find(&m, "critic/linear_0/weight");
  assert_non_null(v);
  assert_int_equal(v->rank, 2);
  assert_int_equal(v->shape[0], 7);
  assert_int_equal(v->shape[1], 33);
  assert_int_equal(v->offset, 5 + net.weight[0]);
  v = pmp_manifest_find(&m, "critic/layer_norm/gain");
  assert_non_null(v);
  assert_int_equal(v->offset, 5 + net.gain);
  v = pmp_manifest_find(&m, "critic/linear_3/bias");
  assert_non_null(v);
  assert_int_equal(v->offset + v->count, m.floats);
  /* A second net of the same name fails and leaves the manifest as it was. */
  const struct pmp_manifest before = m;
  assert_int_equal(pmp_net_init(&net, &shapes[1].config, "critic", &m, NULL), PMP_EINVALID);
  assert_int_equal(m.views, before.views);
  assert_int_equal(m.floats, before.floats);
}

static void every_layer_norm_has_its_names(void **state) {
  (void)state;
  struct pmp_manifest m = {0};
  struct pmp_net net;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 0);
  const struct pmp_net_config config = {.in_shared = 3,
                                        .hidden = {8, 7, 6},
                                        .hidden_count = 3,
                                        .out = 2,
                                        .first_layer_norm = true,
                                        .layer_norm_all = true,
                                        .out_scale = 1};
  assert_int_equal(pmp_net_init(&net, &config, "t", &m, NULL), PMP_OK);
  assert_int_equal(m.floats, net.floats);
  assert_int_equal(m.views, 2 * 4 + 2 * 3);
  static const char *const name[] = {"t/layer_norm", "t/layer_norm_1", "t/layer_norm_2"};
  float *params = floats_new(net.floats);
  pmp_net_init_params(&net, &rng, params);
  for (uint32_t l = 0; l < 3; l++) {
    char gain[40], shift[40];
    snprintf(gain, sizeof gain, "%s/gain", name[l]);
    snprintf(shift, sizeof shift, "%s/shift", name[l]);
    const struct pmp_view *g = pmp_manifest_find(&m, gain), *b = pmp_manifest_find(&m, shift);
    assert_non_null(g);
    assert_non_null(b);
    assert_int_equal(g->offset, net.norm[l]);
    assert_int_equal(b->offset, net.norm[l] + config.hidden[l]);
    for (size_t j = 0; j < config.hidden[l]; j++) {
      assert_true(params[g->offset + j] == 1);
      assert_true(params[b->offset + j] == 0);
    }
  }
  free(params);
}

static void initial_weights_are_truncated_normals(void **state) {
  (void)state;
  const struct pmp_net_config config = {.in_shared = 90,
                                        .in_own = 10,
                                        .hidden = {400},
                                        .hidden_count = 1,
                                        .out = 100,
                                        .first_layer_norm = true,
                                        .out_scale = 1e-2f};
  struct pmp_net net;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 11, 0);
  assert_int_equal(pmp_net_init(&net, &config, "t", NULL, NULL), PMP_OK);
  float *params = floats_new(net.floats);
  pmp_net_init_params(&net, &rng, params);
  const double want[2] = {sqrt(1.0 / 100), sqrt(1e-2 / 400)};
  for (int l = 0; l < 2; l++) {
    double sum = 0, squares = 0, most = 0;
    const double n = 40000;
    for (size_t i = 0; i < 40000; i++) {
      const double w = (double)params[net.weight[l] + i];
      sum += w, squares += w * w, most = fmax(most, fabs(w));
    }
    assert_near("mean", sum / n / want[l], 0, 0.025);
    assert_near("std", sqrt(squares / n) / want[l], 1, 0.015);
    assert_near("cut", most / want[l], 2 / 0.87962566103423978, 0.01);
  }
  for (size_t j = 0; j < 400; j++) {
    assert_true(params[net.bias[0] + j] == 0);
    assert_true(params[net.gain + j] == 1);
    assert_true(params[net.shift + j] == 0);
  }
  free(params);
}

static void wrong_configurations_are_refused(void **state) {
  (void)state;
  struct pmp_net net;
  struct pmp_errmsg msg;
  const struct pmp_net_config good = shapes[0].config;
  assert_int_equal(pmp_net_init(&net, &good, "t", NULL, &msg), PMP_OK);
  struct pmp_net_config c[8];
  for (int i = 0; i < 8; i++) c[i] = good;
  c[0].in_shared = c[0].in_own = 0;
  c[1].hidden_count = PMP_NET_HIDDEN_MAX + 1;
  c[2].hidden[1] = 0;
  c[3].out = 0;
  c[4].hidden_count = 0; /* with LayerNorm */
  c[5].out_scale = NAN;
  c[6].in_shared = UINT32_MAX; /* would wrap to few inputs */
  c[7].layer_norm_all = true;
  c[7].first_layer_norm = false;
  for (int i = 0; i < 8; i++) {
    msg.text[0] = '\0';
    assert_int_equal(pmp_net_init(&net, &c[i], "t", NULL, &msg), PMP_EINVALID);
    assert_true(msg.text[0] != '\0');
  }
}

/* A cache made for many states holds every call with fewer. */
static void caches_grow_with_the_batch(void **state) {
  (void)state;
  static const uint32_t widths[] = {32, 64, 256};
  for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
    const struct pmp_net_config config = {.in_shared = 17,
                                          .in_own = 6,
                                          .hidden = {widths[w], widths[w]},
                                          .hidden_count = 2,
                                          .out = 51,
                                          .first_layer_norm = true,
                                          .out_scale = 1};
    struct pmp_net net;
    assert_int_equal(pmp_net_init(&net, &config, "t", NULL, NULL), PMP_OK);
    for (size_t per = 1; per <= 20; per += 19) {
      for (size_t states = 1; states < 3000; states++) {
        assert_true(pmp_net_cache_floats(&net, states * per, states) <=
                    pmp_net_cache_floats(&net, (states + 1) * per, states + 1));
        assert_true(pmp_net_evaluate_floats(&net, states * per, states) <=
                    pmp_net_evaluate_floats(&net, (states + 1) * per, states + 1));
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_match_differences),
      cmocka_unit_test(threads_change_no_bit),
      cmocka_unit_test(large_batches_are_seamless),
      cmocka_unit_test(caches_grow_with_the_batch),
      cmocka_unit_test(evaluations_in_chunks),
      cmocka_unit_test(nothing_in_nothing_out),
      cmocka_unit_test(manifest_names_every_float),
      cmocka_unit_test(every_layer_norm_has_its_names),
      cmocka_unit_test(initial_weights_are_truncated_normals),
      cmocka_unit_test(wrong_configurations_are_refused),
  };
  return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
