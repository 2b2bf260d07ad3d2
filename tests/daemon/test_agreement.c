/* Agreement among labelers, against numbers that other programs computed. */
#include "daemon/agreement.h"

#include "tests/daemon/unit.h"

#include <math.h>

struct golden {
  uint32_t items, raters;
  const char *said; /* (items x raters): '.' not rated */
  uint64_t compared;
  double raw, fleiss, alpha;
  struct {
    uint32_t a, b;
    uint64_t items;
    double raw, kappa;
  } pair[16];
};

#include "tests/daemon/agreement_golden.h"

enum { RATINGS_MAX = 4096, RATERS_MAX = 8 };

static size_t ratings_of(const struct golden *g, struct pmp_rating *out) {
  size_t n = 0;
  for (uint32_t i = 0; i < g->items; i++) {
    for (uint32_t k = 0; k < g->raters; k++) {
      const char c = g->said[i * g->raters + k];
      if (c != '.') out[n++] = (struct pmp_rating){i, k, c == '1'};
    }
  }
  return n;
}

static void near(const char *what, double got, double want) {
  if (!(fabs(got - want) <= 1e-12)) fail_msg("%s: %.17g, not %.17g", what, got, want);
}

static void test_as_others_compute_it(void **state) {
  (void)state;
  static struct pmp_rating rating[RATINGS_MAX];
  static struct pmp_pair_table table[RATERS_MAX * RATERS_MAX];
  for (size_t c = 0; c < sizeof golden / sizeof golden[0]; c++) {
    const struct golden *g = &golden[c];
    const size_t n = ratings_of(g, rating);
    struct pmp_agreement a;
    memset(&a, 0x99, sizeof a);
    pmp_agreement_all(rating, n, &a);
    assert_int_equal(a.items, g->compared);
    assert_int_equal(a.ratings, n);
    assert_true(a.fleiss_known && a.alpha_known);
    near("raw", a.raw, g->raw);
    near("fleiss", a.fleiss, g->fleiss);
    near("alpha", a.alpha, g->alpha);
    memset(table, 0x99, sizeof table);
    pmp_agreement_tables(rating, n, g->raters, table);
    for (uint32_t k = 0; k < g->raters * (g->raters - 1) / 2; k++) {
      const struct pmp_pair_agreement p =
          pmp_agreement_pair(&table[g->pair[k].a * g->raters + g->pair[k].b]);
      assert_int_equal(p.items, g->pair[k].items);
      near("raw of two", p.raw, g->pair[k].raw);
      assert_true(p.kappa_known);
      near("kappa of two", p.kappa, g->pair[k].kappa);
    }
  }
}

static void test_what_is_not_known(void **state) {
  (void)state;
  struct pmp_agreement a;
  memset(&a, 0x99, sizeof a);
  pmp_agreement_all(NULL, 0, &a);
  assert_int_equal(a.items, 0);
  assert_int_equal(a.pairs, 0);
  assert_false(a.fleiss_known || a.alpha_known);
  /* One label alone: no chance to agree by chance. */
  const struct pmp_rating same[] = {{0, 0, true}, {0, 1, true}, {1, 0, true}, {1, 1, true}};
  pmp_agreement_all(same, 4, &a);
  assert_int_equal(a.items, 2);
  assert_true(a.raw == 1);
  assert_false(a.fleiss_known || a.alpha_known);
  struct pmp_pair_table table[4];
  pmp_agreement_tables(same, 4, 2, table);
  struct pmp_pair_agreement p = pmp_agreement_pair(&table[1]);
  assert_int_equal(p.items, 2);
  assert_true(p.raw == 1);
  assert_false(p.kappa_known);
  p = pmp_agreement_pair(&table[2]); /* of the other half */
  assert_int_equal(p.items, 0);
  /* Nobody rated what another rated. */
  const struct pmp_rating apart[] = {{0, 0, true}, {1, 1, false}};
  pmp_agreement_all(apart, 2, &a);
  assert_int_equal(a.items, 0);
  assert_int_equal(a.ratings, 2);
  assert_false(a.fleiss_known || a.alpha_known);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_as_others_compute_it),
      cmocka_unit_test(test_what_is_not_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
