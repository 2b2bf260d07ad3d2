/* The items that wait: offered once to each person, leased for a time, in four orders; and the same
 * as a plain list of everything over many random calls. */
#include "daemon/items.h"

#include "base/rng.h"
#include "tests/daemon/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pmp_items *make(uint32_t wanted, uint32_t leases) {
  struct pmp_items *x = NULL;
  const struct pmp_items_config c = {
      .wanted = wanted, .leases_per_person = leases, .capacity = 100000, .seed = 5};
  assert_int_equal(pmp_items_init(&x, &c), PMP_OK);
  return x;
}

static struct pmp_item_ref ref(uint64_t chunk, uint32_t row, uint32_t rows) {
  return (struct pmp_item_ref){.chunk = chunk, .row = row, .rows = rows};
}

static void add(struct pmp_items *x, uint64_t chunk, uint32_t row, float score, uint32_t labels) {
  assert_int_equal(pmp_items_add(x, ref(chunk, row, 1), score, labels), PMP_OK);
}

static struct pmp_items_stats stats(const struct pmp_items *x) {
  struct pmp_items_stats s;
  memset(&s, 0x99, sizeof s);
  pmp_items_stats(x, &s);
  return s;
}

/* Leases one and gives its row; 999: none. */
static uint32_t one(struct pmp_items *x, const char *who, enum pmp_items_order order,
                    int64_t until) {
  struct pmp_items_view v[64];
  /* What it has already comes first: name none of it, and look for the new one. */
  struct pmp_item_ref held[64];
  uint32_t helds = 0;
  struct pmp_items_view all[64];
  const uint32_t n = pmp_items_walk(x, 0, 0, 64, all);
  for (uint32_t i = 0; i < n; i++)
    if (pmp_items_holds(x, all[i].ref, who)) held[helds++] = all[i].ref;
  const uint32_t got = pmp_items_lease(x, who, order, held, helds, until, 1, v);
  return got ? v[0].ref.row : 999;
}

static void test_orders(void **state) {
  (void)state;
  struct pmp_items *x = make(3, 64);
  add(x, 2, 5, 0.5F, 1);
  add(x, 1, 7, -1, 2);
  add(x, 3, 1, 9, 0);
  add(x, 3, 0, 2, 1);
  assert_int_equal(one(x, "a", PMP_ITEMS_OLDEST, 10), 7);
  assert_int_equal(one(x, "a", PMP_ITEMS_OLDEST, 10), 5);
  assert_int_equal(one(x, "b", PMP_ITEMS_LEAST_LABELLED, 10), 1);
  assert_int_equal(one(x, "b", PMP_ITEMS_LEAST_LABELLED, 10), 5);
  assert_int_equal(one(x, "c", PMP_ITEMS_MOST_UNCERTAIN, 10), 1);
  assert_int_equal(one(x, "c", PMP_ITEMS_MOST_UNCERTAIN, 10), 0);
  pmp_items_score(x, ref(3, 0, 1), 100);
  assert_int_equal(one(x, "d", PMP_ITEMS_MOST_UNCERTAIN, 10), 0);
  enum pmp_items_order o = PMP_ITEMS_OLDEST;
  assert_true(pmp_items_order_named("most_uncertain", &o));
  assert_int_equal(o, PMP_ITEMS_MOST_UNCERTAIN);
  assert_false(pmp_items_order_named("newest", &o));
  pmp_items_fini(x);
}

static void test_labels_and_leases_leave_room(void **state) {
  (void)state;
  struct pmp_items *x = make(2, 64);
  add(x, 1, 0, 0, 0);
  assert_int_equal(stats(x).offered, 1);
  assert_int_equal(one(x, "a", PMP_ITEMS_OLDEST, 100), 0);
  assert_int_equal(one(x, "a", PMP_ITEMS_OLDEST, 100), 999); /* it has it */
  assert_int_equal(one(x, "b", PMP_ITEMS_OLDEST, 200), 0);
  assert_int_equal(stats(x).offered, 0);
  assert_int_equal(one(x, "c", PMP_ITEMS_OLDEST, 100), 999);
  assert_int_equal(pmp_items_expire(x, 99), 0);
  assert_int_equal(pmp_items_expire(x, 100), 1);
  assert_false(pmp_items_holds(x, ref(1, 0, 1), "a"));
  assert_true(pmp_items_holds(x, ref(1, 0, 1), "b"));
  assert_int_equal(one(x, "c", PMP_ITEMS_OLDEST, 300), 0);
  assert_int_equal(pmp_items_judged(x, ref(1, 0, 1), "b", PMP_ACCEPT, 1), PMP_OK);
  assert_int_equal(stats(x).leased, 1);
  assert_int_equal(one(x, "a", PMP_ITEMS_OLDEST, 300), 999); /* one label and one lease */
  assert_true(pmp_items_release(x, ref(1, 0, 1), "c"));
  assert_false(pmp_items_release(x, ref(1, 0, 1), "c"));
  assert_int_equal(one(x, "b", PMP_ITEMS_OLDEST, 300), 999); /* has judged */
  assert_int_equal(one(x, "a", PMP_ITEMS_OLDEST, 300), 0);
  assert_true(pmp_items_renew(x, ref(1, 0, 1), "a", 400));
  assert_int_equal(pmp_items_expire(x, 399), 0);
  /* Somebody without a lease closes it: the lease is lost. */
  assert_int_equal(pmp_items_judged(x, ref(1, 0, 1), "d", PMP_REJECT, 2), PMP_OK);
  assert_int_equal(stats(x).open, 0);
  assert_int_equal(stats(x).leased, 0);
  assert_false(pmp_items_renew(x, ref(1, 0, 1), "a", 500));
  pmp_items_fini(x);
}

static void test_withdrawing_opens_again(void **state) {
  (void)state;
  struct pmp_items *x = make(1, 64);
  add(x, 4, 2, 3, 0);
  assert_int_equal(one(x, "a", PMP_ITEMS_OLDEST, 9), 2);
  assert_int_equal(pmp_items_judged(x, ref(4, 2, 1), "a", PMP_ACCEPT, 1), PMP_OK);
  assert_int_equal(stats(x).open, 0);
  assert_int_equal(pmp_items_judged(x, ref(4, 2, 1), "a", PMP_WITHDRAW, 0), PMP_OK);
  assert_int_equal(pmp_items_seen(x, ref(4, 2, 1), "b"), PMP_OK); /* it skipped it once */
  assert_int_equal(stats(x).open, 1);
  assert_int_equal(one(x, "b", PMP_ITEMS_RANDOM, 9), 999);
  assert_int_equal(one(x, "a", PMP_ITEMS_RANDOM, 9), 2);
  /* A skip is no label, and is not offered twice. */
  assert_int_equal(pmp_items_judged(x, ref(4, 2, 1), "a", PMP_SKIP, 0), PMP_OK);
  assert_int_equal(one(x, "a", PMP_ITEMS_OLDEST, 9), 999);
  assert_int_equal(one(x, "c", PMP_ITEMS_OLDEST, 9), 2);
  pmp_items_drop_chunk(x, 4);
  assert_int_equal(stats(x).open, 0);
  assert_int_equal(stats(x).leased, 0);
  assert_int_equal(stats(x).dropped, 1);
  pmp_items_fini(x);
}

static void test_bounds(void **state) {
  (void)state;
  struct pmp_items *x = NULL;
  const struct pmp_items_config c = {.wanted = 1, .leases_per_person = 2, .capacity = 3};
  assert_int_equal(pmp_items_init(&x, &c), PMP_OK);
  assert_int_equal(pmp_items_add(x, ref(1, 0, 4), 0, 0), PMP_OK);
  assert_int_equal(pmp_items_add(x, ref(1, 0, 4), 0, 0), PMP_OK); /* known */
  assert_int_equal(pmp_items_add(x, ref(1, 3, 2), 0, 0), PMP_OK); /* shares a row */
  assert_int_equal(pmp_items_add(x, ref(1, 9, 1), 0, 1), PMP_OK); /* has what is wanted */
  assert_int_equal(stats(x).open, 1);
  assert_int_equal(pmp_items_add(x, ref(1, 4, 4), 0, 0), PMP_OK);
  assert_int_equal(pmp_items_add(x, ref(2, 0, 4), 0, 0), PMP_OK);
  assert_int_equal(pmp_items_add(x, ref(2, 4, 4), 0, 0), PMP_ETOOLARGE);
  struct pmp_items_view v[4];
  assert_int_equal(pmp_items_lease(x, "a", PMP_ITEMS_OLDEST, NULL, 0, 9, 4, v), 2);
  /* Asked again, it has the same ones back, and renewed. */
  memset(v, 0x99, sizeof v);
  assert_int_equal(pmp_items_lease(x, "a", PMP_ITEMS_RANDOM, NULL, 0, 20, 4, v), 2);
  assert_int_equal(v[0].ref.row, 0);
  assert_int_equal(v[1].ref.row, 4);
  assert_true(v[1].until_ns == 20);
  assert_int_equal(pmp_items_expire(x, 19), 0);
  const struct pmp_item_ref held[] = {v[0].ref};
  assert_int_equal(pmp_items_lease(x, "a", PMP_ITEMS_RANDOM, held, 1, 30, 4, v), 1);
  assert_int_equal(v[0].ref.row, 4);
  assert_int_equal(pmp_items_walk(x, 1, 0, 4, v), 2); /* past 1:0 */
  assert_int_equal(v[0].ref.row, 4);
  assert_int_equal(v[0].leases, 1);
  assert_int_equal(v[1].ref.chunk, 2);
  assert_int_equal(pmp_items_walk(x, 1, UINT32_MAX, 4, v), 1);
  pmp_items_fini(x);
}

/* ---- against a list of everything ------------------------------------------------------------ */

enum { CHUNKS = 12, ROWS = 8, ALL = CHUNKS * ROWS, PEOPLE = 200 };

struct plain {
  bool open, ever;
  struct pmp_item_ref ref;
  float score;
  uint32_t labels;
  int64_t lease[PEOPLE]; /* its end, 0: none */
  bool seen[PEOPLE];
};

struct model {
  struct plain item[ALL];
  uint32_t wanted, leases_max;
};

static uint32_t leases_of(const struct plain *p) {
  uint32_t n = 0;
  for (int i = 0; i < PEOPLE; i++) n += p->lease[i] != 0;
  return n;
}

static uint32_t leases_by(const struct model *m, uint32_t who) {
  uint32_t n = 0;
  for (int i = 0; i < ALL; i++) n += m->item[i].lease[who] != 0;
  return n;
}

static bool offered(const struct model *m, const struct plain *p, uint32_t who) {
  return p->open && p->labels + leases_of(p) < m->wanted && !p->seen[who] && p->lease[who] == 0;
}

static bool before(const struct plain *a, const struct plain *b, enum pmp_items_order order) {
  if (order == PMP_ITEMS_LEAST_LABELLED && a->labels != b->labels) return a->labels < b->labels;
  if (order == PMP_ITEMS_MOST_UNCERTAIN && a->score != b->score) return a->score > b->score;
  return a < b; /* the list is in order of chunk and row */
}

static struct plain *best(struct model *m, uint32_t who, enum pmp_items_order order) {
  struct plain *found = NULL;
  for (int i = 0; i < ALL; i++) {
    struct plain *p = &m->item[i];
    if (offered(m, p, who) && (!found || before(p, found, order))) found = p;
  }
  return found;
}

static struct plain *at(struct model *m, struct pmp_item_ref r) {
  return &m->item[(r.chunk - 1) * ROWS + r.row];
}

static void name_of(uint32_t who, char out[16]) {
  snprintf(out, 16, "p%u", who);
}

static void lease_both(struct pmp_items *x, struct model *m, struct pmp_rng *rng, uint32_t who,
                       int64_t until) {
  const enum pmp_items_order order = (enum pmp_items_order)pmp_rng_below(rng, 4);
  char name[16];
  name_of(who, name);
  struct pmp_item_ref held[ALL];
  struct pmp_items_view v[ALL];
  uint32_t helds = 0;
  for (int i = 0; i < ALL; i++)
    if (m->item[i].lease[who] && pmp_rng_below(rng, 2)) held[helds++] = m->item[i].ref;
  const uint32_t max = (uint32_t)pmp_rng_below(rng, 5), own = leases_by(m, who) - helds;
  const uint32_t got = pmp_items_lease(x, name, order, held, helds, until, max, v);
  assert_true(got <= max);
  uint32_t i = 0;
  for (; i < got && i < own; i++) { /* what it had and did not name */
    struct plain *p = at(m, v[i].ref);
    assert_true(p->lease[who] != 0);
    for (uint32_t h = 0; h < helds; h++)
      assert_true(held[h].chunk != v[i].ref.chunk || held[h].row != v[i].ref.row);
    p->lease[who] = until;
  }
  for (; i < max && leases_by(m, who) < m->leases_max; i++) {
    struct plain *p = best(m, who, order);
    if (!p) break;
    assert_true(i < got);
    if (order == PMP_ITEMS_RANDOM) p = at(m, v[i].ref);
    assert_true(offered(m, p, who));
    assert_int_equal(v[i].ref.chunk, p->ref.chunk);
    assert_int_equal(v[i].ref.row, p->ref.row);
    assert_int_equal(v[i].labels, p->labels);
    assert_true(v[i].score == p->score && v[i].until_ns == until);
    p->lease[who] = until;
  }
  assert_int_equal(i, got);
}

static void judge_both(struct pmp_items *x, struct model *m, struct pmp_rng *rng, uint32_t who) {
  struct plain *p = &m->item[pmp_rng_below(rng, ALL)];
  if (!p->ever) return;
  char name[16];
  name_of(who, name);
  const enum pmp_judgement j = (enum pmp_judgement)(1 + pmp_rng_below(rng, 4));
  uint32_t labels = p->labels;
  if (j == PMP_WITHDRAW) {
    if (labels == 0) return;
    labels--;
  } else if (j != PMP_SKIP && labels < m->wanted) {
    labels++;
  }
  assert_int_equal(pmp_items_judged(x, p->ref, name, j, labels), PMP_OK);
  if (!p->open && j != PMP_WITHDRAW) return;
  const bool was = p->open;
  p->labels = labels;
  p->lease[who] = 0;
  if (labels >= m->wanted) {
    p->open = false;
    memset(p->lease, 0, sizeof p->lease);
    memset(p->seen, 0, sizeof p->seen);
    return;
  }
  if (!was) p->score = 0;
  p->open = true;
  p->seen[who] = j != PMP_WITHDRAW;
}

static void compare(const struct pmp_items *x, const struct model *m) {
  struct pmp_items_view v[ALL + 1];
  uint32_t n = 0, open = 0, out = 0, leased = 0;
  const uint32_t got = pmp_items_walk(x, 0, 0, ALL + 1, v);
  for (int i = 0; i < ALL; i++) {
    const struct plain *p = &m->item[i];
    if (!p->open) continue;
    assert_true(n < got);
    assert_int_equal(v[n].ref.chunk, p->ref.chunk);
    assert_int_equal(v[n].ref.row, p->ref.row);
    assert_int_equal(v[n].labels, p->labels);
    assert_int_equal(v[n].leases, leases_of(p));
    n++;
    open++;
    out += p->labels + leases_of(p) < m->wanted;
    leased += leases_of(p);
  }
  assert_int_equal(n, got);
  const struct pmp_items_stats s = stats(x);
  assert_int_equal(s.open, open);
  assert_int_equal(s.offered, out);
  assert_int_equal(s.leased, leased);
}

static void step(struct pmp_items *x, struct model *m, struct pmp_rng *rng, int64_t now) {
  const uint32_t who = (uint32_t)pmp_rng_below(rng, PEOPLE);
  char name[16];
  name_of(who, name);
  struct plain *p = &m->item[pmp_rng_below(rng, ALL)];
  switch (pmp_rng_below(rng, 10)) {
  case 0: {
    const float score = (float)pmp_rng_below(rng, 4);
    const uint32_t labels = (uint32_t)pmp_rng_below(rng, m->wanted);
    if (p->ever) break;
    assert_int_equal(pmp_items_add(x, p->ref, score, labels), PMP_OK);
    p->open = p->ever = true;
    p->score = score;
    p->labels = labels;
    break;
  }
  case 1:
    assert_int_equal(pmp_items_release(x, p->ref, name), p->lease[who] != 0);
    p->lease[who] = 0;
    break;
  case 2:
    assert_int_equal(pmp_items_renew(x, p->ref, name, now + 90), p->lease[who] != 0);
    if (p->lease[who]) p->lease[who] = now + 90;
    break;
  case 3:
    assert_int_equal(pmp_items_seen(x, p->ref, name), PMP_OK);
    if (p->open) {
      p->seen[who] = true;
      p->lease[who] = 0;
    }
    break;
  case 4:
    if (pmp_rng_below(rng, 40) != 0) break;
    pmp_items_drop_chunk(x, p->ref.chunk);
    for (uint32_t i = 0; i < ROWS; i++) {
      struct plain *gone = &m->item[(p->ref.chunk - 1) * ROWS + i];
      const struct pmp_item_ref r = gone->ref;
      *gone = (struct plain){.ref = r};
    }
    break;
  case 5:
    pmp_items_score(x, p->ref, (float)(now % 7));
    if (p->open) p->score = (float)(now % 7);
    break;
  case 6:
    judge_both(x, m, rng, who);
    break;
  default:
    lease_both(x, m, rng, who, now + 1 + (int64_t)pmp_rng_below(rng, 200));
  }
}

static void test_like_a_list_of_everything(void **state) {
  (void)state;
  for (uint32_t wanted = 1; wanted <= 4; wanted++) {
    struct pmp_items *x = make(wanted, 6);
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->wanted = wanted;
    m->leases_max = 6;
    for (uint32_t i = 0; i < ALL; i++) m->item[i].ref = ref(1 + i / ROWS, i % ROWS, 1);
    struct pmp_rng rng;
    pmp_rng_init(&rng, wanted, 3);
    for (int64_t now = 1; now < 6000; now++) {
      step(x, m, &rng, now);
      uint32_t ended = 0;
      for (int i = 0; i < ALL; i++)
        for (int k = 0; k < PEOPLE; k++)
          if (m->item[i].lease[k] && m->item[i].lease[k] <= now) {
            m->item[i].lease[k] = 0;
            ended++;
          }
      assert_int_equal(pmp_items_expire(x, now), ended);
      if (now % 8 == 0) compare(x, m);
    }
    free(m);
    pmp_items_fini(x);
  }
}

static void test_random_is_uniform(void **state) {
  (void)state;
  struct pmp_items *x = make(1, 1);
  enum { N = 10, DRAWS = 20000 };
  int count[N] = {0};
  for (uint32_t i = 0; i < N; i++) add(x, 1, i, 0, 0);
  for (int i = 0; i < DRAWS; i++) {
    struct pmp_items_view v;
    assert_int_equal(pmp_items_lease(x, "a", PMP_ITEMS_RANDOM, NULL, 0, 5, 1, &v), 1);
    count[v.ref.row]++;
    assert_true(pmp_items_release(x, v.ref, "a"));
  }
  for (int i = 0; i < N; i++) { /* six standard deviations: sqrt(20000 * 0.09) = 42 */
    if (count[i] < DRAWS / N - 255 || count[i] > DRAWS / N + 255)
      fail_msg("row %d came %d times of %d", i, count[i], DRAWS);
  }
  pmp_items_fini(x);
}

static struct pmp_items *make_gold(uint32_t wanted, double share, uint64_t seed) {
  struct pmp_items *x = NULL;
  const struct pmp_items_config c = {.wanted = wanted,
                                     .leases_per_person = 4,
                                     .capacity = 100000,
                                     .seed = seed,
                                     .gold_share = share};
  assert_int_equal(pmp_items_init(&x, &c), PMP_OK);
  return x;
}

/* Leases one after another and judges; returns how many were gold, each a new one. */
static uint32_t judge_some(struct pmp_items *x, const char *who, uint32_t count, bool seen[64]) {
  uint32_t gold = 0;
  for (uint32_t i = 0; i < count; i++) {
    struct pmp_items_view v;
    assert_int_equal(pmp_items_lease(x, who, (enum pmp_items_order)(i % 4), NULL, 0, 9, 1, &v), 1);
    assert_int_equal(v.labels, 0);
    assert_true(v.score == 3);
    if (pmp_items_is_gold(x, v.ref)) {
      gold++;
      assert_false(seen[v.ref.row]);
      seen[v.ref.row] = true;
    }
    assert_int_equal(pmp_items_judged(x, v.ref, who, PMP_ACCEPT, 1), PMP_OK);
  }
  return gold;
}

static void test_gold_is_a_share_of_what_each_person_gets(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 40; seed++) {
    struct pmp_items *x = make_gold(1, 0.3, seed);
    for (uint32_t row = 0; row < 400; row++) add(x, 7, row, 3, 0);
    for (uint32_t row = 0; row < 60; row++)
      assert_int_equal(pmp_items_gold(x, ref(row % 2 ? 3 : 9, row, 1)), PMP_OK);
    const struct pmp_items_stats s = stats(x);
    assert_int_equal(s.open, 400);
    assert_int_equal(s.offered, 400);
    assert_int_equal(s.gold, 60);
    bool ann[64] = {false}, bob[64] = {false};
    const uint32_t gold = judge_some(x, "ann", 50, ann);
    assert_true(gold >= 13 && gold <= 17); /* 0.3 * 50, give or take 2 */
    const uint32_t more = judge_some(x, "bob", 100, bob);
    assert_true(more >= 28 && more <= 32);
    assert_int_equal(stats(x).gold_leases, gold + more);
    assert_int_equal(stats(x).gold, 60);
    pmp_items_fini(x);
  }
}

static void test_gold_is_never_open(void **state) {
  (void)state;
  struct pmp_items *x = make_gold(2, 0.9, 1);
  struct pmp_items_view v[8];
  add(x, 1, 0, 1, 0);
  add(x, 1, 1, 2, 1);
  assert_int_equal(pmp_items_gold(x, ref(1, 1, 1)), PMP_OK);
  assert_int_equal(pmp_items_gold(x, ref(1, 1, 1)), PMP_OK);
  assert_int_equal(pmp_items_gold(x, ref(0, 5, 3)), PMP_OK);
  add(x, 0, 6, 1, 0); /* its rows are gold */
  assert_int_equal(pmp_items_walk(x, 0, 0, 8, v), 1);
  assert_int_equal(pmp_items_top(x, 8, v), 1);
  assert_int_equal(v[0].ref.row, 0);
  assert_int_equal(stats(x).open, 1);
  /* Nothing else is to be had: gold alone is not given. */
  assert_int_equal(pmp_items_judged(x, ref(1, 0, 1), "ann", PMP_REJECT, 1), PMP_OK);
  for (int i = 0; i < 20; i++)
    assert_int_equal(pmp_items_lease(x, "ann", PMP_ITEMS_OLDEST, NULL, 0, 9, 4, v), 0);
  /* It stays when much is said of it, and when room is made. */
  for (int i = 0; i < 5; i++) {
    char who[8];
    snprintf(who, sizeof who, "p%d", i);
    assert_int_equal(pmp_items_judged(x, ref(0, 5, 3), who, PMP_ACCEPT, (uint32_t)i), PMP_OK);
  }
  assert_int_equal(pmp_items_judged(x, ref(0, 5, 3), "p1", PMP_WITHDRAW, 4), PMP_OK);
  while (pmp_items_drop_oldest(x)) {
  }
  assert_int_equal(stats(x).gold, 2);
  /* No more: the one has its labels, the other is open for who has not seen it. */
  assert_int_equal(pmp_items_ungold(x, ref(0, 5, 3), 4), PMP_OK);
  assert_int_equal(stats(x).gold, 1);
  assert_int_equal(pmp_items_seen(x, ref(1, 1, 1), "ann"), PMP_OK);
  assert_int_equal(pmp_items_ungold(x, ref(1, 1, 1), 1), PMP_OK);
  assert_int_equal(pmp_items_ungold(x, ref(1, 1, 1), 1), PMP_OK);
  assert_int_equal(stats(x).gold, 0);
  assert_int_equal(pmp_items_lease(x, "ann", PMP_ITEMS_OLDEST, NULL, 0, 9, 4, v), 0);
  assert_int_equal(pmp_items_lease(x, "dee", PMP_ITEMS_MOST_UNCERTAIN, NULL, 0, 9, 4, v),
                   stats(x).open);
  assert_int_equal(v[0].ref.row, 1);
  assert_int_equal(v[0].labels, 1);
  pmp_items_fini(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_orders),
      cmocka_unit_test(test_labels_and_leases_leave_room),
      cmocka_unit_test(test_withdrawing_opens_again),
      cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_like_a_list_of_everything),
      cmocka_unit_test(test_random_is_uniform),
      cmocka_unit_test(test_gold_is_a_share_of_what_each_person_gets),
      cmocka_unit_test(test_gold_is_never_open),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
