/* Objectives as functions over arrays: golden numbers, finite differences, and the properties that
 * any correct implementation has. */
#include "tests/parity/learner/golden.h"

#include "base/rng.h"
#include "learner/objective/objective.h"

#include <string.h>

#define N_MAX 256
#define B_MAX 64
#define K_MAX 6

/* A batch with its memory and what an objective made of it. */
struct batch {
  struct pmp_objective_config config;
  struct pmp_objective_in in;
  struct pmp_objective_out out;
  double lp[2 * N_MAX], kl[B_MAX * K_MAX], weight[N_MAX], c[2 * N_MAX + 1], w[B_MAX * K_MAX + 1];
  int8_t verdict[N_MAX];
  uint32_t x_of_y[N_MAX];
};

static void wire(struct batch *t) {
  t->in.lp = t->lp;
  t->in.kl = t->kl;
  t->in.verdict = t->verdict;
  if (t->in.weight != NULL) t->in.weight = t->weight;
  if (t->in.x_of_y != NULL) t->in.x_of_y = t->x_of_y;
  t->out.c = t->c;
  t->out.w = t->w;
}

static void own_denominators(struct batch *t) {
  pmp_objective_sums(t->in.n, t->verdict, t->in.weight, &t->in.accepted, &t->in.rejected);
  t->in.conditions = (double)t->in.b;
}

static enum pmp_err run(const char *name, struct batch *t) {
  const struct pmp_objective *o = pmp_objective_find(name);
  assert_non_null(o);
  for (size_t i = 0; i < 2 * N_MAX + 1; i++) t->c[i] = 999.0;
  for (size_t i = 0; i < B_MAX * K_MAX + 1; i++) t->w[i] = 999.0;
  t->out.loss = t->out.accepted = t->out.rejected = t->out.kl = 999.0;
  wire(t);
  const enum pmp_err err = o->eval(&t->config, &t->in, &t->out);
  if (err != PMP_EINVALID) {
    for (size_t i = 0; i < t->in.n * t->in.parts; i++) assert_true(t->c[i] < 999.0);
    for (size_t i = 0; i < t->in.b * t->in.kl_parts; i++) assert_true(t->w[i] < 999.0);
  }
  assert_true(t->c[t->in.n * t->in.parts] == 999.0);
  assert_true(t->w[t->in.b * t->in.kl_parts] == 999.0);
  return err;
}

static void must(const char *name, struct batch *t) {
  assert_int_equal(run(name, t), PMP_OK);
}

/* Any batch: parts 1 or 2, ragged or not, weighted or not, all three verdicts. */
static void draw(struct batch *t, struct pmp_rng *rng) {
  memset(t, 0, sizeof *t);
  t->in.parts = 1 + (uint32_t)pmp_rng_below(rng, 2);
  t->in.kl_parts = t->in.parts == 1 ? 1 : 2 * (1 + (uint32_t)pmp_rng_below(rng, 3));
  t->in.b = 2 + pmp_rng_below(rng, 10);
  const bool ragged = pmp_rng_below(rng, 2) == 1;
  for (size_t x = 0; x < t->in.b; x++) {
    const size_t count = ragged ? pmp_rng_below(rng, 5) : 4;
    for (size_t i = 0; i < count; i++) t->x_of_y[t->in.n++] = (uint32_t)x;
  }
  if (ragged) t->in.x_of_y = t->x_of_y;
  if (pmp_rng_below(rng, 2) == 1) t->in.weight = t->weight;
  for (size_t j = 0; j < t->in.n; j++) {
    t->verdict[j] = (int8_t)((int)pmp_rng_below(rng, 3) - 1);
    t->weight[j] = pmp_rng_double(rng) * 2.0;
  }
  for (size_t i = 0; i < 2 * N_MAX; i++) t->lp[i] = pmp_rng_normal(rng);
  for (size_t i = 0; i < B_MAX * K_MAX; i++) t->kl[i] = 3.0 * pmp_rng_double(rng);
  t->config.alpha = pmp_rng_double(rng);
  t->config.beta[0] = 3.0 * pmp_rng_double(rng);
  t->config.beta[1] = 100.0 * pmp_rng_double(rng);
  t->config.averaging = pmp_rng_below(rng, 2) == 1 ? PMP_AVERAGING_POOL : PMP_AVERAGING_SETS;
  own_denominators(t);
}

static void copy_doubles(double *to, const json_t *one, const char *key) {
  double *from = golden_doubles(one, key);
  memcpy(to, from, golden_count(one, key) * sizeof *to);
  free(from);
}

static void load(struct batch *t, const json_t *one) {
  memset(t, 0, sizeof *t);
  t->in.n = golden_size(one, "n");
  t->in.b = golden_size(one, "b");
  t->in.parts = (uint32_t)golden_size(one, "parts");
  t->in.kl_parts = (uint32_t)golden_size(one, "kl_parts");
  t->config.alpha = (double)golden_number(one, "alpha");
  copy_doubles(t->config.beta, one, "beta");
  const char *averaging = json_string_value(json_object_get(one, "averaging"));
  t->config.averaging = strcmp(averaging, "pool") == 0 ? PMP_AVERAGING_POOL : PMP_AVERAGING_SETS;
  copy_doubles(t->lp, one, "lp");
  copy_doubles(t->kl, one, "kl");
  double *verdict = golden_doubles(one, "verdict"), *x = golden_doubles(one, "x");
  double *weight = golden_doubles(one, "weight");
  for (size_t j = 0; j < t->in.n; j++) {
    t->verdict[j] = (int8_t)verdict[j];
    if (x != NULL) t->x_of_y[j] = (uint32_t)x[j];
    if (weight != NULL) t->weight[j] = weight[j];
  }
  if (x != NULL) t->in.x_of_y = t->x_of_y;
  if (weight != NULL) t->in.weight = t->weight;
  free(verdict);
  free(x);
  free(weight);
  own_denominators(t);
}

static void test_golden(void **state) {
  (void)state;
  static struct batch t;
  json_t *cases, *root = golden_open("objective", &cases), *one;
  size_t i;
  json_array_foreach(cases, i, one) {
    load(&t, one);
    must("pmpo", &t);
    double *terms = golden_doubles(one, "terms");
    const double have[] = {t.out.accepted, t.out.rejected, t.out.kl};
    for (size_t k = 0; k < 3; k++) {
      golden_near("term", i, have[k], terms[k], 1e-6 * fmax(1.0, fabs(have[k])));
    }
    assert_true(t.out.loss == t.out.accepted + t.out.rejected + t.out.kl);
    free(terms);
    golden_same64(one, "c", t.c, t.in.n * t.in.parts, 1e-6);
    golden_same64(one, "w", t.w, t.in.b * t.in.kl_parts, 1e-6);
    const double margin = golden_number(one, "margin");
    golden_near("margin", i, pmp_objective_kl_margin(&t.config, &t.in), margin,
                1e-6 * fmax(1.0, fabs(margin)));
    must("bc", &t);
    golden_near("bc_loss", i, t.out.loss, golden_number(one, "bc_loss"), 1e-5);
    golden_same64(one, "bc_c", t.c, t.in.n * t.in.parts, 1e-6);
    for (size_t k = 0; k < t.in.b * t.in.kl_parts; k++) assert_true(t.w[k] == 0.0);
  }
  json_decref(root);
}

/* The loss is linear in lp and kl, so a difference over a whole unit has no truncation error. */
static void test_finite_differences(void **state) {
  (void)state;
  static struct batch t, moved;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 11, 0);
  const char *const names[] = {"pmpo", "bc"};
  for (int round = 0; round < 60; round++) {
    draw(&t, &rng);
    must(names[round % 2], &t);
    const size_t cs = t.in.n * t.in.parts, ws = t.in.b * t.in.kl_parts;
    for (size_t i = 0; i < cs + ws; i++) {
      moved = t;
      double *at = i < cs ? &moved.lp[i] : &moved.kl[i - cs];
      const double before = *at;
      *at += 1.0;
      const double step = *at - before;
      must(names[round % 2], &moved);
      const double want = (moved.out.loss - t.out.loss) / step;
      const double have = (double)(i < cs ? t.c[i] : t.w[i - cs]);
      golden_near("gradient", i, have, want, 1e-6 * fmax(1.0, fabs(want)));
    }
  }
}

/* Whole conditions change places. */
static void test_permutation(void **state) {
  (void)state;
  static struct batch t, other;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 12, 0);
  for (int round = 0; round < 100; round++) {
    draw(&t, &rng);
    other = t;
    /* Condition x becomes B-1-x: outcomes and KLs read backwards. */
    for (size_t j = 0; j < t.in.n; j++) {
      const size_t i = t.in.n - 1 - j;
      other.verdict[j] = t.verdict[i];
      other.weight[j] = t.weight[i];
      other.x_of_y[j] = (uint32_t)t.in.b - 1 - t.x_of_y[i];
      memcpy(&other.lp[j * t.in.parts], &t.lp[i * t.in.parts], t.in.parts * sizeof(double));
    }
    for (size_t x = 0; x < t.in.b; x++) {
      memcpy(&other.kl[x * t.in.kl_parts], &t.kl[(t.in.b - 1 - x) * t.in.kl_parts],
             t.in.kl_parts * sizeof(double));
    }
    must("pmpo", &t);
    wire(&other);
    own_denominators(&other);
    must("pmpo", &other);
    golden_near("loss", 0, other.out.loss, t.out.loss, 1e-12 * fmax(1.0, fabs(t.out.loss)));
    for (size_t j = 0; j < t.in.n * t.in.parts; j += t.in.parts) {
      const double want = t.c[(t.in.n * t.in.parts) - t.in.parts - j];
      golden_near("c", j, other.c[j], want, 1e-6 * fabs(want));
    }
    golden_near("margin", 0, pmp_objective_kl_margin(&other.config, &other.in),
                pmp_objective_kl_margin(&t.config, &t.in), 1e-9);
  }
}

static void test_duplicates_equal_weight(void **state) {
  (void)state;
  static struct batch once, twice;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 13, 0);
  for (int round = 0; round < 100; round++) {
    draw(&once, &rng);
    /* Outcome 0 twice, against weight 2. */
    twice = once;
    if (once.in.n == 0) continue;
    once.in.weight = once.weight;
    twice.in.weight = NULL;
    for (size_t j = 0; j < once.in.n; j++) once.weight[j] = j == 0 ? 2.0 : 1.0;
    const size_t parts = once.in.parts;
    twice.in.n++;
    twice.in.x_of_y = twice.x_of_y;
    memmove(&twice.verdict[1], &once.verdict[0], once.in.n);
    memmove(&twice.x_of_y[1], &once.x_of_y[0], once.in.n * sizeof(uint32_t));
    memmove(&twice.lp[parts], &once.lp[0], once.in.n * parts * sizeof(double));
    wire(&once);
    wire(&twice);
    own_denominators(&once);
    own_denominators(&twice);
    must("pmpo", &once);
    must("pmpo", &twice);
    golden_near("loss", 0, twice.out.loss, once.out.loss, 1e-12 * fmax(1.0, fabs(once.out.loss)));
    golden_near("c", 0, twice.c[0] + twice.c[parts], once.c[0], 1e-7);
    golden_near("margin", 0, pmp_objective_kl_margin(&twice.config, &twice.in),
                pmp_objective_kl_margin(&once.config, &once.in), 1e-9);
    must("bc", &once);
    must("bc", &twice);
    golden_near("bc", 0, twice.out.loss, once.out.loss, 1e-12 * fmax(1.0, fabs(once.out.loss)));
  }
}

/* Conditions [from, to) of t, with t's denominators. */
static void cut(const struct batch *t, struct batch *part, size_t from, size_t to) {
  size_t first = 0, last = 0;
  for (size_t j = 0; j < t->in.n; j++) {
    first += t->x_of_y[j] < from;
    last += t->x_of_y[j] < to;
  }
  *part = *t;
  part->in.n = last - first;
  part->in.b = to - from;
  part->in.x_of_y = part->x_of_y;
  memcpy(part->verdict, t->verdict + first, part->in.n);
  memcpy(part->weight, t->weight + first, part->in.n * sizeof(double));
  memcpy(part->lp, t->lp + first * t->in.parts, part->in.n * t->in.parts * sizeof(double));
  memcpy(part->kl, t->kl + from * t->in.kl_parts, part->in.b * t->in.kl_parts * sizeof(double));
  for (size_t j = 0; j < part->in.n; j++) {
    part->x_of_y[j] = t->x_of_y[first + j] - (uint32_t)from;
  }
}

/* Shares of the denominators, as a learner of micro-batches adds them up. */
static void check_sums(const char *name, const struct batch *t, const struct batch part[2]) {
  struct pmp_objective_in whole = t->in, share[2] = {part[0].in, part[1].in};
  const struct pmp_objective *o = pmp_objective_find(name);
  o->sums(&t->config, &whole);
  for (size_t i = 0; i < 2; i++) o->sums(&t->config, &share[i]);
  golden_near("accepted", 0, share[0].accepted + share[1].accepted, t->in.accepted, 1e-12);
  golden_near("rejected", 0, share[0].rejected + share[1].rejected, t->in.rejected, 1e-12);
  golden_near("outcomes", 0, share[0].outcomes + share[1].outcomes, t->in.outcomes, 1e-12);
  assert_true(share[0].conditions + share[1].conditions == t->in.conditions);
  assert_true(whole.conditions == t->in.conditions && whole.accepted == t->in.accepted);
}

static void test_micro_batches(void **state) {
  (void)state;
  static struct batch t, part[2];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 14, 0);
  const char *const names[] = {"pmpo", "bc"};
  for (int round = 0; round < 100; round++) {
    const char *name = names[round % 2];
    draw(&t, &rng);
    for (size_t j = 0; j < t.in.n; j++) {
      t.in.outcomes += t.in.weight != NULL ? t.weight[j] : 1.0;
    }
    const size_t at = 1 + pmp_rng_below(&rng, t.in.b - 1);
    cut(&t, &part[0], 0, at);
    cut(&t, &part[1], at, t.in.b);
    must(name, &t);
    must(name, &part[0]);
    must(name, &part[1]);
    check_sums(name, &t, part);
    golden_near("loss", 0, part[0].out.loss + part[1].out.loss, t.out.loss,
                1e-12 * fmax(1.0, fabs(t.out.loss)));
    const size_t cs = part[0].in.n * t.in.parts, ws = at * t.in.kl_parts;
    assert_memory_equal(part[0].c, t.c, cs * sizeof(double));
    assert_memory_equal(part[1].c, t.c + cs, part[1].in.n * t.in.parts * sizeof(double));
    assert_memory_equal(part[0].w, t.w, ws * sizeof(double));
    assert_memory_equal(part[1].w, t.w + ws, (t.in.b - at) * t.in.kl_parts * sizeof(double));
    golden_near("margin", 0,
                fmin(pmp_objective_kl_margin(&part[0].config, &part[0].in),
                     pmp_objective_kl_margin(&part[1].config, &part[1].in)),
                pmp_objective_kl_margin(&t.config, &t.in), 1e-12);
  }
}

/* One condition, two outcomes: (1, -1), alpha 1/4, beta 2 and 30. Numbers by hand. */
static struct batch by_hand(uint32_t parts, uint32_t kl_parts) {
  struct batch t;
  memset(&t, 0, sizeof t);
  t.config = (struct pmp_objective_config){.alpha = 0.25, .beta = {2.0, 30.0}};
  t.in.n = 2;
  t.in.b = 1;
  t.in.parts = parts;
  t.in.kl_parts = kl_parts;
  for (size_t i = 0; i < 4; i++) t.lp[i] = -1.0 - (double)i;
  for (size_t i = 0; i < 6; i++) t.kl[i] = 0.5;
  t.verdict[0] = 1;
  t.verdict[1] = -1;
  own_denominators(&t);
  wire(&t);
  return t;
}

static void test_empty_sets(void **state) {
  (void)state;
  struct batch t = by_hand(1, 1);
  t.verdict[1] = 0; /* nothing rejected: the accepted keep their alpha */
  own_denominators(&t);
  must("pmpo", &t);
  assert_true(t.out.accepted == 0.25 && t.out.rejected == 0.0);
  assert_true(t.c[0] == -0.25 && t.c[1] == 0.0);
  t.verdict[0] = 0; /* nothing labelled: the KL alone */
  own_denominators(&t);
  must("pmpo", &t);
  assert_true(t.out.loss == 1.0 && t.c[0] == 0.0 && t.w[0] == 2.0);
  assert_true(pmp_objective_kl_margin(&t.config, &t.in) == 2.0);
  t.in.n = 0;
  must("pmpo", &t);
  assert_true(t.out.loss == 1.0);
  t.in.b = 0;
  t.in.conditions = 0.0;
  must("pmpo", &t);
  assert_true(t.out.loss == 0.0);
  must("bc", &t);
  assert_true(t.out.loss == 0.0);
}

/* A caller drops the rejected term by denying its denominator. */
static void test_denied_set(void **state) {
  (void)state;
  struct batch t = by_hand(1, 1);
  t.lp[1] = -INFINITY;
  assert_int_equal(run("pmpo", &t), PMP_ENONFINITE);
  assert_true(t.out.accepted == 0.25);
  t.in.rejected = 0.0;
  must("pmpo", &t);
  assert_true(t.c[1] == 0.0 && t.out.rejected == 0.0 && t.out.loss == 1.25);
}

static void test_split_parts(void **state) {
  (void)state;
  struct batch t = by_hand(2, 6);
  must("pmpo", &t);
  for (size_t i = 0; i < 2; i++) assert_true(t.c[i] == -0.25 && t.c[2 + i] == 0.75);
  for (size_t k = 0; k < 6; k++) assert_true(t.w[k] == (k < 3 ? 2.0 : 30.0));
  assert_true(t.out.accepted == 0.25 * 3.0 && t.out.rejected == -0.75 * 7.0);
  assert_true(t.out.kl == 2.0 * 1.5 + 30.0 * 1.5);
  /* The smaller beta counts. */
  assert_true(pmp_objective_kl_margin(&t.config, &t.in) == 2.0 - 0.5);
  t = by_hand(2, 2);
  must("pmpo", &t);
  assert_true(t.w[0] == 2.0 && t.w[1] == 30.0);
}

static void test_without_lp(void **state) {
  (void)state;
  struct batch t = by_hand(1, 1), blind = t;
  must("pmpo", &t);
  wire(&blind);
  blind.in.lp = NULL;
  blind.in.kl = NULL;
  const struct pmp_objective *o = pmp_objective_find("pmpo");
  assert_false(o->needs_lp);
  assert_int_equal(o->eval(&blind.config, &blind.in, &blind.out), PMP_OK);
  assert_memory_equal(blind.c, t.c, 2 * sizeof(double));
  assert_memory_equal(blind.w, t.w, sizeof(double));
  assert_true(isnan(blind.out.loss) && isnan(blind.out.accepted) && isnan(blind.out.kl));
  /* And the parts alone, once the log-probabilities are there. */
  blind.in.lp = blind.lp;
  blind.in.kl = blind.kl;
  blind.out.c = blind.out.w = NULL;
  assert_int_equal(o->eval(&blind.config, &blind.in, &blind.out), PMP_OK);
  assert_true(blind.out.loss == t.out.loss);
}

static void test_nonfinite(void **state) {
  (void)state;
  struct batch t = by_hand(1, 1);
  t.kl[0] = NAN;
  assert_int_equal(run("pmpo", &t), PMP_ENONFINITE);
  t.config.beta[0] = 0.0; /* not asked for, not looked at */
  must("pmpo", &t);
  t = by_hand(1, 1);
  t.lp[1] = -INFINITY;
  t.verdict[1] = 0;
  own_denominators(&t);
  must("pmpo", &t);
  assert_int_equal(run("bc", &t), PMP_ENONFINITE);
  t.in.weight = t.weight;
  t.weight[0] = 1.0;
  t.weight[1] = 0.0;
  own_denominators(&t);
  must("bc", &t);
  assert_true(t.out.loss == 1.0);
}

static void test_refusals(void **state) {
  (void)state;
  struct batch t = by_hand(1, 1);
  t.verdict[0] = 2;
  assert_int_equal(run("pmpo", &t), PMP_EINVALID);
  const double bad[] = {-1.0, NAN, INFINITY};
  for (size_t i = 0; i < 3; i++) {
    t = by_hand(1, 1);
    t.in.weight = t.weight;
    t.weight[1] = bad[i];
    assert_int_equal(run("pmpo", &t), PMP_EINVALID);
    assert_int_equal(run("bc", &t), PMP_EINVALID);
  }
  t = by_hand(1, 2);
  assert_int_equal(run("pmpo", &t), PMP_EINVALID);
  t = by_hand(2, 5);
  assert_int_equal(run("pmpo", &t), PMP_EINVALID);
  t = by_hand(1, 1);
  t.in.conditions = 0.0;
  assert_int_equal(run("pmpo", &t), PMP_EINVALID);
  t = by_hand(1, 1);
  t.in.accepted = -1.0;
  assert_int_equal(run("pmpo", &t), PMP_EINVALID);
  t = by_hand(1, 1);
  t.in.b = 3;
  t.in.conditions = 3.0;
  assert_int_equal(run("pmpo", &t), PMP_EINVALID);
}

/* With half rejected the papers' reject-only beta 2 is the bound in the population; over four
 * samples, two of them rejected in each of two conditions, it is B (1-alpha) n_r(x) / N_r = 1; at
 * beta 0 the loss runs away. */
static void test_margin(void **state) {
  (void)state;
  struct batch t;
  memset(&t, 0, sizeof t);
  t.in.n = 8;
  t.in.b = 2;
  t.in.parts = t.in.kl_parts = 1;
  for (size_t j = 0; j < 8; j++) t.verdict[j] = j % 2 == 0 ? 1 : -1;
  own_denominators(&t);
  wire(&t);
  t.config.alpha = 0.0;
  assert_true(pmp_objective_kl_margin(&t.config, &t.in) == -1.0);
  t.config.beta[0] = 2.0;
  assert_true(pmp_objective_kl_margin(&t.config, &t.in) == 1.0);
  t.config.alpha = 0.5;
  t.config.beta[0] = 0.5;
  assert_true(pmp_objective_kl_margin(&t.config, &t.in) == 0.5);
  /* All rejected samples in one condition: B times as dangerous there. */
  for (size_t j = 0; j < 8; j++) t.verdict[j] = j < 4 ? -1 : 1;
  assert_true(pmp_objective_kl_margin(&t.config, &t.in) == 0.5 - 2.0 * 0.5);
  t.config.averaging = PMP_AVERAGING_POOL;
  assert_true(pmp_objective_kl_margin(&t.config, &t.in) == 0.5 - 2.0 * 0.25);
}

static void test_beta_auto(void **state) {
  (void)state;
  assert_true(pmp_objective_beta_auto(1.0, 0.5) == 0.0);
  assert_true(fabs(pmp_objective_beta_auto(0.5, 0.5) - 1.1) < 1e-6);
  assert_true(fabs(pmp_objective_beta_auto(0.0, 0.5) - 2.2) < 1e-6);
  assert_true(fabs(pmp_objective_beta_auto(0.0, 1.0) - 1.1) < 1e-6);
  assert_true(fabs(pmp_objective_beta_auto(0.0, 0.0) - 1100.0) < 1e-2);
  assert_true(fabs(pmp_objective_beta_auto(0.0, 1e-3) - 1100.0) < 1e-2);
}

static void test_table(void **state) {
  (void)state;
  const char *const names[] = {"pmpo", "boltzmann", "mpo", "dpo", "ipo", "bc"};
  for (size_t i = 0; i < 6; i++) assert_non_null(pmp_objective_find(names[i]));
  size_t count = 0;
  for (const struct pmp_objective *o; (o = pmp_objective_at(count)) != NULL; count++) {
    assert_ptr_equal(pmp_objective_find(o->name), o);
    assert_true(o->summary != NULL && strlen(o->summary) > 10);
    assert_non_null(o->sums);
    assert_true((o->duals == NULL) == (o->dual_init == NULL));
  }
  assert_true(count >= 6);
  assert_null(pmp_objective_find("pmp"));
  assert_null(pmp_objective_find(""));
}

/* A default with one field changed, and who reads that field. */
static void refuse(const char *const *readers, const char *word, struct pmp_objective_config bad) {
  const struct pmp_objective *o;
  for (size_t i = 0; (o = pmp_objective_at(i)) != NULL; i++) {
    const uint32_t parts = o->joint_only ? 1 : 2;
    bool reads = false;
    for (size_t k = 0; readers[k] != NULL; k++) reads |= strcmp(readers[k], o->name) == 0;
    struct pmp_errmsg msg = {""};
    assert_int_equal(pmp_objective_check(o, &bad, parts, parts, &msg),
                     reads ? PMP_EINVALID : PMP_OK);
    if (reads && strstr(msg.text, word) == NULL)
      fail_msg("\"%s\" does not name %s", msg.text, word);
  }
}

static void test_check(void **state) {
  (void)state;
  const char *const pmpo[] = {"pmpo", NULL}, *const boltzmann[] = {"boltzmann", NULL};
  const char *const both[] = {"pmpo", "boltzmann", NULL}, *const mpo[] = {"mpo", NULL};
  const char *const pairs[] = {"dpo", "ipo", NULL}, *const nobody[] = {NULL};
  const double wrong[] = {-1.0, NAN, INFINITY};
  const struct pmp_objective_config good = pmp_objective_config_default();
  refuse(nobody, "", good);
  for (size_t i = 0; i < 3; i++) {
    struct pmp_objective_config bad = good;
    bad.alpha = wrong[i];
    refuse(both, "alpha", bad);
    for (size_t p = 0; p < 2; p++) {
      bad = good;
      bad.beta[p] = wrong[i];
      refuse(both, "beta", bad);
    }
    bad = good;
    bad.eta = wrong[i];
    refuse(boltzmann, "eta", bad);
    bad = good;
    bad.tau = wrong[i];
    refuse(pairs, "tau", bad);
    double *const bounds[] = {&bad.eps, &bad.eps_mean, &bad.eps_std, &bad.eps_penalty};
    const char *const names[] = {"eps ", "eps_mean", "eps_std", "eps_penalty"};
    for (size_t k = 0; k < 4; k++) {
      bad = good;
      *bounds[k] = wrong[i];
      refuse(mpo, names[k], bad);
    }
  }
  struct pmp_objective_config bad = good;
  bad.alpha = 1.5;
  refuse(both, "alpha", bad);
  bad = good;
  bad.averaging = (enum pmp_averaging)9;
  refuse(pmpo, "averaging", bad);
  bad = good;
  bad.kl = (enum pmp_kl_kind)9;
  refuse(both, "kl", bad);
  bad = good;
  bad.pairs = 0;
  refuse(pairs, "pairs", bad);
  bad = good;
  bad.tau = 0.0;
  refuse(pairs, "tau", bad);
  bad = good;
  bad.eta = 0.0;
  refuse(boltzmann, "eta", bad);
}

/* Parts that do not go together, and objectives that take whole likelihoods only. */
static void test_check_parts(void **state) {
  (void)state;
  const struct pmp_objective_config config = pmp_objective_config_default();
  const uint32_t shapes[][2] = {{0, 0}, {1, 2}, {1, 0}, {2, 1}, {2, 3}, {3, 3}};
  struct pmp_errmsg msg;
  const struct pmp_objective *o;
  for (size_t i = 0; (o = pmp_objective_at(i)) != NULL; i++) {
    assert_int_equal(pmp_objective_check(o, &config, 1, 1, NULL), PMP_OK);
    for (size_t k = 0; k < 6; k++) {
      assert_int_equal(pmp_objective_check(o, &config, shapes[k][0], shapes[k][1], &msg),
                       PMP_EINVALID);
    }
    if (strcmp(o->name, "dpo") == 0 || strcmp(o->name, "ipo") == 0) assert_true(o->joint_only);
    assert_int_equal(pmp_objective_check(o, &config, 2, 6, &msg),
                     o->joint_only ? PMP_EINVALID : PMP_OK);
  }
  /* What one part has no use for is not looked at. */
  struct pmp_objective_config loose = config;
  loose.beta[1] = NAN;
  loose.eps_std = NAN;
  assert_int_equal(pmp_objective_check(pmp_objective_find("pmpo"), &loose, 1, 1, &msg), PMP_OK);
  assert_int_equal(pmp_objective_check(pmp_objective_find("mpo"), &loose, 1, 1, &msg), PMP_OK);
}

static void test_kl_by_state(void **state) {
  (void)state;
  const struct pmp_objective *o = pmp_objective_find("pmpo");
  struct pmp_objective_config config = pmp_objective_config_default();
  struct pmp_errmsg msg;
  config.kl_by_state = true;
  assert_int_equal(pmp_objective_check(o, &config, 1, 1, &msg), PMP_OK);
  config.averaging = PMP_AVERAGING_POOL;
  assert_int_equal(pmp_objective_check(o, &config, 1, 1, &msg), PMP_EINVALID);
  config.averaging = PMP_AVERAGING_SETS;
  config.kl = PMP_KL_BC;
  assert_int_equal(pmp_objective_check(o, &config, 1, 1, &msg), PMP_EINVALID);
  config.kl = PMP_KL_EXACT;
  /* Two conditions: 2 accepted and 1 rejected, Z = 5/8, k = 8/3; nothing labelled, k = 2. */
  struct batch t;
  memset(&t, 0, sizeof t);
  t.config = config;
  t.config.beta[0] = 0.7;
  t.in.n = 6;
  t.in.b = 2;
  t.in.parts = t.in.kl_parts = 1;
  t.verdict[0] = t.verdict[1] = 1;
  t.verdict[2] = -1;
  wire(&t);
  assert_int_equal(run("pmpo", &t), PMP_EINVALID); /* without its sum of k, no KL weight is known */
  o->sums(&t.config, &t.in);
  assert_true(fabs(t.in.k - (8.0 / 3.0 + 2.0)) < 1e-15);
  must("pmpo", &t);
  assert_true(fabs(t.w[0] - 0.7 * 4.0 / 7.0) < 1e-15 && fabs(t.w[1] - 0.7 * 3.0 / 7.0) < 1e-15);
  const double c[] = {-0.125, -0.125, 0.25, 0.0, 0.0, 0.0};
  for (size_t j = 0; j < 6; j++) assert_true(fabs(t.c[j] - c[j]) < 1e-15);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_golden),        cmocka_unit_test(test_finite_differences),
      cmocka_unit_test(test_permutation),   cmocka_unit_test(test_duplicates_equal_weight),
      cmocka_unit_test(test_micro_batches), cmocka_unit_test(test_empty_sets),
      cmocka_unit_test(test_denied_set),    cmocka_unit_test(test_split_parts),
      cmocka_unit_test(test_without_lp),    cmocka_unit_test(test_nonfinite),
      cmocka_unit_test(test_refusals),      cmocka_unit_test(test_margin),
      cmocka_unit_test(test_beta_auto),     cmocka_unit_test(test_table),
      cmocka_unit_test(test_check),         cmocka_unit_test(test_check_parts),
      cmocka_unit_test(test_kl_by_state),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
