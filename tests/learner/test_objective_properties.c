/* What any correct objective has, for every row of the table: gradients that finite differences
 * confirm, no eye for the order of conditions, doubled data equal to doubled weight, micro-batches
 * that add up to the whole, no look at what does not count. */
#include "tests/parity/learner/objective_batch.h"

#define ROUNDS 1200
#define SEED 77

/* The objectives of the table take turns. */
static void draw(struct batch *t, uint64_t seed, size_t i) {
  size_t count = 0;
  while (pmp_objective_at(count) != NULL) count++;
  batch_draw(t, pmp_objective_at(i % count), seed, i);
}

/* The loss that c and w differentiate. */
static double policy_loss(const struct batch *t) {
  return t->out.accepted + t->out.rejected + t->out.kl;
}

static double largest(const double *a, size_t n) {
  double most = 0.0;
  for (size_t i = 0; i < n; i++) most = fmax(most, fabs(a[i]));
  return most;
}

static double central(const struct batch *t, double *at, double h, bool dual) {
  static struct batch moved;
  const ptrdiff_t offset = (const char *)at - (const char *)t;
  double side[2];
  for (int i = 0; i < 2; i++) {
    moved = *t;
    double *cell = (double *)((char *)&moved + offset);
    *cell += i == 0 ? h : -h;
    batch_eval(&moved);
    side[i] = dual ? moved.out.dual : policy_loss(&moved);
  }
  return (side[0] - side[1]) / (2.0 * h);
}

static void check_gradient(struct batch *t, double *at, const double *have, size_t n, bool dual) {
  const double most = largest(have, n);
  const double size =
      fabs(t->out.accepted) + fabs(t->out.rejected) + fabs(t->out.kl) + fabs(t->out.dual);
  for (size_t i = 0; i < n; i++) {
    if (dual && fabs(at[i] + 18.0) < 1e-2) continue; /* the kink at the floor */
    const double h = 1e-4, want = central(t, &at[i], h, dual);
    /* Two losses are subtracted; h^2 / 6 times the third derivative, at most tau^3, is left. */
    golden_near("gradient", i, have[i], want, 1e-6 * fmax(1.0, most) + 4e-15 * size / h);
  }
}

static void test_finite_differences(void **state) {
  (void)state;
  static struct batch t;
  for (size_t i = 0; i < ROUNDS; i++) {
    draw(&t, SEED, i);
    batch_eval(&t);
    check_gradient(&t, t.lp, t.c, t.in.n * t.in.parts, false);
    check_gradient(&t, t.kl, t.w, t.in.b * t.in.kl_parts, false);
    check_gradient(&t, t.dual, t.ddual, batch_duals(&t), true);
  }
}

/* Copies condition x of one batch to the end of another, outcomes backwards if asked. */
static void append(struct batch *to, const struct batch *from, uint32_t x, bool backwards) {
  const size_t parts = from->in.parts, kl_parts = from->in.kl_parts;
  for (size_t k = 0; k < from->in.n; k++) {
    const size_t j = backwards ? from->in.n - 1 - k : k, n = to->in.n;
    if (from->x_of_y[j] != x) continue;
    memcpy(&to->lp[n * parts], &from->lp[j * parts], parts * sizeof(double));
    memcpy(&to->lp_ref[n * parts], &from->lp_ref[j * parts], parts * sizeof(double));
    to->weight[n] = from->weight[j];
    to->f[n] = from->f[j];
    to->cost[n] = from->cost[j];
    to->verdict[n] = from->verdict[j];
    to->x_of_y[n] = (uint32_t)to->in.b;
    to->in.n++;
  }
  memcpy(&to->kl[to->in.b * kl_parts], &from->kl[x * kl_parts], kl_parts * sizeof(double));
  to->in.b++;
}

/* An empty batch of t's objective and configuration. */
static void start(struct batch *to, const struct batch *t) {
  *to = *t;
  to->in.n = to->in.b = 0;
  to->in.x_of_y = to->x_of_y;
}

static void own_sums(struct batch *t) {
  batch_wire(t);
  t->objective->sums(&t->config, &t->in);
}

static void same_losses(const struct batch *a, const struct batch *b) {
  const double have[] = {a->out.accepted, a->out.rejected, a->out.kl, a->out.dual};
  const double want[] = {b->out.accepted, b->out.rejected, b->out.kl, b->out.dual};
  for (size_t i = 0; i < 4; i++) {
    golden_near("loss part", i, have[i], want[i], 1e-11 * fmax(1.0, fabs(want[i])));
  }
}

/* Objectives that take whole likelihoods are those over pairs. */
static bool is_of_pairs(const struct batch *t) {
  return t->objective->joint_only;
}

/* Conditions backwards, and (but for pairs, which know an order of arrival) their outcomes too. */
static void test_permutation(void **state) {
  (void)state;
  static struct batch t, other;
  for (size_t i = 0; i < ROUNDS; i++) {
    draw(&t, SEED + 1, i);
    batch_eval(&t);
    start(&other, &t);
    const bool inner = !is_of_pairs(&t);
    for (uint32_t x = (uint32_t)t.in.b; x-- > 0;) append(&other, &t, x, inner);
    own_sums(&other);
    batch_eval(&other);
    same_losses(&other, &t);
    const double c_most = largest(t.c, t.in.n * t.in.parts);
    for (size_t j = 0; inner && j < t.in.n * t.in.parts; j += t.in.parts) {
      golden_near("c", j, other.c[j], t.c[t.in.n * t.in.parts - t.in.parts - j], 1e-12 * c_most);
    }
    for (size_t k = 0; k < batch_duals(&t); k++) {
      golden_near("ddual", k, other.ddual[k], t.ddual[k], 1e-11 * fmax(1.0, fabs(t.ddual[k])));
    }
    if (strcmp(t.objective->name, "pmpo") == 0) {
      golden_near("margin", i, pmp_objective_kl_margin(&other.config, &other.in),
                  pmp_objective_kl_margin(&t.config, &t.in), 1e-9);
    }
  }
}

/* The whole batch twice is the batch: every term is a mean. */
static void test_everything_twice(void **state) {
  (void)state;
  static struct batch t, twice;
  for (size_t i = 0; i < ROUNDS; i++) {
    draw(&t, SEED + 2, i);
    batch_eval(&t);
    start(&twice, &t);
    for (uint32_t x = 0; x < 2 * t.in.b; x++) append(&twice, &t, x % (uint32_t)t.in.b, false);
    own_sums(&twice);
    batch_eval(&twice);
    same_losses(&twice, &t);
    const size_t cs = t.in.n * t.in.parts;
    for (size_t k = 0; k < 2 * cs; k++) {
      golden_near("c", k, 2.0 * twice.c[k], t.c[k % cs], 1e-12 * largest(t.c, cs));
    }
    for (size_t k = 0; k < batch_duals(&t); k++) {
      golden_near("ddual", k, twice.ddual[k], t.ddual[k], 1e-11 * fmax(1.0, fabs(t.ddual[k])));
    }
  }
}

/* Each outcome twice is each weight doubled where outcomes count one by one; a condition twice is
 * its weights doubled where pairs do. */
static void test_duplicates(void **state) {
  (void)state;
  static struct batch t, once, twice;
  for (size_t i = 0; i < ROUNDS; i++) {
    draw(&t, SEED + 3, i);
    const bool pairs = is_of_pairs(&t);
    start(&once, &t);
    start(&twice, &t);
    for (uint32_t x = 0; x < t.in.b; x++) append(&once, &t, x, false);
    for (uint32_t x = 0; x < t.in.b; x++) {
      append(&twice, &t, x, false);
      if (x != 0) continue;
      append(&twice, &t, x, false);
      if (pairs) continue;
      twice.in.b--; /* the second copy belongs to the same condition */
      for (size_t j = 0; j < twice.in.n; j++) twice.x_of_y[j] = 0;
    }
    once.in.weight = once.weight;
    for (size_t j = 0; j < t.in.n && t.x_of_y[j] == 0; j++) once.weight[j] *= 2.0;
    own_sums(&once);
    own_sums(&twice);
    batch_eval(&once);
    batch_eval(&twice);
    same_losses(&twice, &once);
  }
}

/* Conditions [from, to) of t with the whole batch's denominators; *share: their own. */
static void cut(const struct batch *t, struct batch *part, uint32_t from, uint32_t to,
                struct pmp_objective_in *share) {
  start(part, t);
  for (uint32_t x = from; x < to; x++) append(part, t, x, false);
  batch_wire(part);
  *share = part->in;
  t->objective->sums(&t->config, share);
}

static void check_shares(const struct pmp_objective_in *whole,
                         const struct pmp_objective_in share[2]) {
  const double want[] = {whole->accepted, whole->rejected, whole->conditions, whole->outcomes,
                         whole->judged,   whole->pairs,    whole->k};
  const double have[2][7] = {{share[0].accepted, share[0].rejected, share[0].conditions,
                              share[0].outcomes, share[0].judged, share[0].pairs, share[0].k},
                             {share[1].accepted, share[1].rejected, share[1].conditions,
                              share[1].outcomes, share[1].judged, share[1].pairs, share[1].k}};
  for (size_t i = 0; i < 7; i++) {
    golden_near("denominator", i, have[0][i] + have[1][i], want[i], 1e-12 * fmax(1.0, want[i]));
  }
}

/* Coefficients of a micro-batch are those of the whole, to the last bit. */
static void test_micro_batches(void **state) {
  (void)state;
  static struct batch t, part[2];
  size_t seen = 0;
  for (size_t i = 0; i < ROUNDS; i++) {
    draw(&t, SEED + 4, i);
    if (t.in.b < 2) continue;
    t.config.eta_exact = false; /* is solved on what is given */
    own_sums(&t);
    batch_eval(&t);
    const uint32_t at = 1 + (uint32_t)(i % (t.in.b - 1));
    struct pmp_objective_in share[2];
    cut(&t, &part[0], 0, at, &share[0]);
    cut(&t, &part[1], at, (uint32_t)t.in.b, &share[1]);
    check_shares(&t.in, share);
    /* Of outcomes, 0 says that this batch is the whole one: such a batch has no micro-batches. */
    if (t.in.outcomes == 0.0) continue;
    batch_eval(&part[0]);
    batch_eval(&part[1]);
    const double whole[] = {t.out.accepted, t.out.rejected, t.out.kl, t.out.dual};
    const double sum[] = {part[0].out.accepted + part[1].out.accepted,
                          part[0].out.rejected + part[1].out.rejected,
                          part[0].out.kl + part[1].out.kl, part[0].out.dual + part[1].out.dual};
    for (size_t k = 0; k < 4; k++) {
      golden_near("loss part", k, sum[k], whole[k], 1e-11 * fmax(1.0, fabs(whole[k])));
    }
    const size_t cs = part[0].in.n * t.in.parts, ws = at * t.in.kl_parts;
    assert_memory_equal(part[0].c, t.c, cs * sizeof(double));
    assert_memory_equal(part[1].c, t.c + cs, part[1].in.n * t.in.parts * sizeof(double));
    assert_memory_equal(part[0].w, t.w, ws * sizeof(double));
    assert_memory_equal(part[1].w, t.w + ws, (t.in.b - at) * t.in.kl_parts * sizeof(double));
    for (size_t k = 0; k < batch_duals(&t); k++) {
      golden_near("ddual", k, part[0].ddual[k] + part[1].ddual[k], t.ddual[k],
                  1e-11 * fmax(1.0, fabs(t.ddual[k])));
    }
    seen++;
  }
  assert_true(seen > ROUNDS / 2);
}

/* What has coefficient 0 may have probability 0, too; and nobody has to ask for c and w. */
static void test_not_read(void **state) {
  (void)state;
  static struct batch t, blind;
  size_t hidden = 0;
  for (size_t i = 0; i < ROUNDS; i++) {
    draw(&t, SEED + 5, i);
    t.config.kl = PMP_KL_EXACT; /* with cloning a rejected outcome's two terms may cancel, */
    if (strcmp(t.objective->name, "boltzmann") == 0) {
      t.config.alpha = (double)(i % 4 / 2); /* and with equal evaluations these two */
    }
    /* Small enough that no pair's slope is rounded to 0. */
    for (size_t k = 0; k < 2 * BATCH_ROWS; k++) t.lp[k] *= 0.01, t.lp_ref[k] *= 0.01;
    batch_eval(&t);
    blind = t;
    for (size_t k = 0; k < t.in.n * t.in.parts; k++) {
      if (t.c[k] != 0.0) continue;
      blind.lp[k] = k % 2 == 0 ? -INFINITY : NAN;
      blind.lp_ref[k] = NAN;
      hidden++;
    }
    batch_eval(&blind);
    same_losses(&blind, &t);
    assert_memory_equal(blind.c, t.c, t.in.n * t.in.parts * sizeof(double));
    blind.out.c = blind.out.w = blind.out.ddual = NULL;
    assert_int_equal(t.objective->eval(&blind.config, &blind.in, &blind.out), PMP_OK);
    same_losses(&blind, &t);
  }
  assert_true(hidden > ROUNDS);
}

/* c and w of an objective that does not need them are the same without log-probabilities. */
static void test_without_lp(void **state) {
  (void)state;
  static struct batch t, blind;
  for (size_t i = 0; i < ROUNDS; i++) {
    draw(&t, SEED + 6, i);
    batch_eval(&t);
    blind = t;
    batch_wire(&blind);
    blind.in.lp = NULL;
    blind.in.kl = NULL;
    if (t.in.n == 0) continue;
    const enum pmp_err err = t.objective->eval(&blind.config, &blind.in, &blind.out);
    if (t.objective->needs_lp) {
      assert_int_equal(err, PMP_EINVALID);
      assert_true(blind.c[0] == 999.0 && blind.w[0] == 999.0 && blind.out.loss == 999.0);
      continue;
    }
    assert_int_equal(err, PMP_OK);
    assert_memory_equal(blind.c, t.c, sizeof t.c);
    assert_memory_equal(blind.w, t.w, sizeof t.w);
    if (largest(t.c, t.in.n * t.in.parts) > 0.0) assert_true(isnan(blind.out.loss));
  }
}

static enum pmp_err eval_of(struct batch *t) {
  batch_wire(t);
  return t->objective->eval(&t->config, &t->in, &t->out);
}

/* A missing array, a condition out of order or range, a denominator that is none. */
static void test_refusals(void **state) {
  (void)state;
  static struct batch t, bad;
  for (size_t i = 0; i < ROUNDS; i++) {
    draw(&t, SEED + 7, i);
    if (t.in.n < 2) continue;
    bad = t;
    bad.verdict[1] = 2;
    assert_int_equal(eval_of(&bad), PMP_EINVALID);
    double *const sums[] = {&bad.in.accepted, &bad.in.rejected, &bad.in.outcomes,
                            &bad.in.judged,   &bad.in.pairs,    &bad.in.k};
    for (size_t k = 0; k < 6; k++) {
      bad = t;
      *sums[k] = k % 2 == 0 ? -1.0 : (double)NAN;
      assert_int_equal(eval_of(&bad), PMP_EINVALID);
    }
    bad = t;
    bad.in.conditions -= 1.0;
    assert_int_equal(eval_of(&bad), PMP_EINVALID);
    const char *name = t.objective->name;
    const bool by_group = t.config.kl_by_state || strcmp(name, "pmpo") != 0;
    if (by_group && strcmp(name, "bc") != 0 && t.in.b > 1) {
      bad = t;
      bad.in.x_of_y = bad.x_of_y;
      bad.x_of_y[0] = 1;
      bad.x_of_y[1] = 0;
      assert_int_equal(eval_of(&bad), PMP_EINVALID);
      bad.x_of_y[bad.in.n - 1] = (uint32_t)bad.in.b;
      assert_int_equal(eval_of(&bad), PMP_EINVALID);
      assert_true(bad.c[0] == 999.0 && bad.out.loss == 999.0);
    }
    if (t.objective->needs_f) {
      bad = t;
      bad.f[1] = -INFINITY;
      assert_int_equal(eval_of(&bad), PMP_ENONFINITE);
      assert_true(bad.c[0] == 999.0);
      bad.in.f = NULL;
      batch_wire(&bad);
      assert_int_equal(bad.objective->eval(&bad.config, &bad.in, &bad.out), PMP_EINVALID);
    }
  }
}

/* Nothing judged, nothing paired, no outcomes, no conditions: 0, and the KL where there is one. */
static void test_empty(void **state) {
  (void)state;
  static struct batch t;
  for (size_t i = 0; i < 60; i++) {
    draw(&t, SEED + 8, i);
    t.in.n = 0;
    own_sums(&t);
    batch_eval(&t);
    assert_true(t.out.accepted == 0.0 && t.out.rejected == 0.0);
    t.in.b = 0;
    own_sums(&t);
    batch_eval(&t);
    assert_true(t.out.loss == 0.0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_finite_differences),
      cmocka_unit_test(test_permutation),
      cmocka_unit_test(test_everything_twice),
      cmocka_unit_test(test_duplicates),
      cmocka_unit_test(test_micro_batches),
      cmocka_unit_test(test_not_read),
      cmocka_unit_test(test_without_lp),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_empty),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
