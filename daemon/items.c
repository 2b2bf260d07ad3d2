#include "daemon/items.h"

#include "daemon/items_internal.h"

#include <stdlib.h>
#include <string.h>

#define SKIPPED_LOOK 20000 /* items, at most, on the search for one that was skipped */
#define RANDOM_TRIES 48    /* before the random order takes the next that fits */

bool pmp_items_order_named(const char *name, enum pmp_items_order *order) {
  static const char *const names[] = {"oldest", "random", "least_labelled", "most_uncertain"};
  for (int i = 0; i < 4; i++) {
    if (strcmp(name, names[i]) != 0) continue;
    *order = (enum pmp_items_order)i;
    return true;
  }
  return false;
}

enum pmp_err pmp_items_init(struct pmp_items **items, const struct pmp_items_config *config) {
  *items = NULL;
  struct pmp_items *x = calloc(1, sizeof *x);
  if (!x) return PMP_ENOMEM;
  x->config = *config;
  if (x->config.wanted == 0) x->config.wanted = 1;
  if (x->config.leases_per_person == 0) x->config.leases_per_person = 1;
  pmp_rng_init(&x->rng, config->seed, 0);
  *items = x;
  return PMP_OK;
}

void pmp_items_fini(struct pmp_items *x) {
  if (!x) return;
  for (uint32_t i = 1; i < x->items.used; i++) free(x->item[i].others);
  free(x->item);
  free(x->items.free);
  free(x->offered);
  free(x->gold);
  free(x->person);
  free(x->by_name);
  free(x->lease);
  free(x->closed);
  free(x->leases.free);
  free(x->heap);
  free(x);
}

/* ---- one item ---- */

static bool is(const struct pmp_items *x, uint32_t n, struct pmp_item_ref ref) {
  return n != 0 && x->item[n].ref.chunk == ref.chunk && x->item[n].ref.row == ref.row &&
         x->item[n].ref.rows == ref.rows;
}

static uint32_t find(const struct pmp_items *x, struct pmp_item_ref ref) {
  const uint32_t n = pmp_items_tree_before(x, ref.chunk, ref.row);
  return is(x, n, ref) ? n : 0;
}

/* Has it rows in common with an item that is open? */
static bool overlaps(const struct pmp_items *x, struct pmp_item_ref ref) {
  const uint32_t before = pmp_items_tree_before(x, ref.chunk, ref.row);
  const uint32_t after = pmp_items_tree_after(x, ref.chunk, ref.row);
  const struct item *b = &x->item[before], *a = &x->item[after];
  return (before && b->ref.chunk == ref.chunk && (uint64_t)b->ref.row + b->ref.rows > ref.row) ||
         (after && a->ref.chunk == ref.chunk && (uint64_t)ref.row + ref.rows > a->ref.row);
}

static bool saw(const struct pmp_items *x, uint32_t n, uint32_t person) {
  const struct item *item = &x->item[n];
  for (uint32_t i = 0; i < item->other; i++)
    if (item->others[i] == person) return true;
  return false;
}

static void set_bit(struct mask *m, uint32_t bit, bool on) {
  const uint64_t one = (uint64_t)1 << (bit % 64);
  if (on)
    m->word[bit / 64] |= one;
  else
    m->word[bit / 64] &= ~one;
}

/* After labels or leases changed: is it still offered? Keeps the array of the offered ones. */
static void settle(struct pmp_items *x, uint32_t n) {
  struct item *item = &x->item[n];
  const bool offered = !item->gold && item->labels + item->leases < x->config.wanted;
  set_bit(&item->own, PMP_ITEMS_BITS, !offered);
  if (offered && item->place == 0) {
    item->place = ++x->offereds;
    x->offered[item->place] = n;
  } else if (!offered && item->place != 0) {
    const uint32_t last = x->offered[x->offereds--];
    x->offered[item->place] = last;
    x->item[last].place = item->place;
    item->place = 0;
  }
  x->stats.offered = x->offereds;
  pmp_items_tree_touch(x, n);
}

/* Who has a bit: set while it has seen the item or holds a lease. Others are listed when they have
 * seen it. */
static enum pmp_err mark(struct pmp_items *x, uint32_t n, uint32_t person, bool seen) {
  struct item *item = &x->item[n];
  if (person <= PMP_ITEMS_BITS) {
    set_bit(&item->own, pmp_items_bit(person), seen);
    return PMP_OK;
  }
  if (saw(x, n, person) == seen) return PMP_OK;
  if (seen) {
    uint32_t *grown = realloc(item->others, (item->other + 1) * sizeof *grown);
    if (!grown) return PMP_ENOMEM;
    item->others = grown;
    item->others[item->other++] = person;
    return PMP_OK;
  }
  for (uint32_t i = 0; i < item->other; i++)
    if (item->others[i] == person) item->others[i--] = item->others[--item->other];
  return PMP_OK;
}

/* Gives the lease back; the item may be offered to the person again. */
static void end_lease(struct pmp_items *x, uint32_t l) {
  const uint32_t n = x->lease[l].item, person = x->lease[l].person;
  pmp_items_lease_end(x, l);
  if (person <= PMP_ITEMS_BITS) set_bit(&x->item[n].own, pmp_items_bit(person), false);
  settle(x, n);
}

static void set_labels(struct pmp_items *x, uint32_t n, uint32_t labels) {
  if (labels == x->item[n].labels) return;
  pmp_items_tree_out(x, PMP_ITEMS_LEAST_LABELLED, n);
  x->item[n].labels = labels;
  pmp_items_tree_in(x, PMP_ITEMS_LEAST_LABELLED, n);
}

static void set_score(struct pmp_items *x, uint32_t n, float score) {
  if (x->item[n].score == score) return;
  pmp_items_tree_out(x, PMP_ITEMS_MOST_UNCERTAIN, n);
  x->item[n].score = score;
  pmp_items_tree_in(x, PMP_ITEMS_MOST_UNCERTAIN, n);
}

static void forget(struct pmp_items *x, uint32_t n) {
  while (x->item[n].lease) pmp_items_lease_end(x, x->item[n].lease);
  pmp_items_tree_erase(x, n);
  if (x->item[n].place != 0) {
    const uint32_t last = x->offered[x->offereds--], place = x->item[n].place;
    x->offered[place] = last;
    x->item[last].place = place;
  }
  if (x->item[n].gold)
    pmp_items_gold_out(x, n);
  else
    x->stats.open--;
  free(x->item[n].others);
  memset(&x->item[n], 0, sizeof x->item[n]);
  pmp_slots_give(&x->items, n);
  x->stats.offered = x->offereds;
}

/* A new open one into *n. */
static enum pmp_err insert(struct pmp_items *x, struct pmp_item_ref ref, float score,
                           uint32_t labels, uint32_t *n) {
  if (!pmp_items_room_item(x)) return PMP_ENOMEM;
  *n = pmp_slots_take(&x->items);
  x->item[*n] =
      (struct item){.ref = ref, .score = score, .labels = labels, .priority = pmp_rng_u32(&x->rng)};
  pmp_items_tree_insert(x, *n);
  x->stats.open++;
  settle(x, *n);
  return PMP_OK;
}

enum pmp_err pmp_items_add(struct pmp_items *x, struct pmp_item_ref ref, float score,
                           uint32_t labels) {
  uint32_t n;
  if (labels >= x->config.wanted || overlaps(x, ref)) return PMP_OK;
  return x->stats.open >= x->config.capacity ? PMP_ETOOLARGE : insert(x, ref, score, labels, &n);
}

enum pmp_err pmp_items_gold(struct pmp_items *x, struct pmp_item_ref ref) {
  uint32_t n = find(x, ref);
  if (n != 0 && x->item[n].gold) return PMP_OK;
  if (!pmp_items_room_gold(x)) return PMP_ENOMEM;
  if (n == 0) PMP_TRY(insert(x, ref, 0, 0, &n));
  x->gold[x->golds] = n;
  x->item[n].gold = ++x->golds;
  x->stats.gold = x->golds;
  x->stats.open--;
  settle(x, n);
  return PMP_OK;
}

enum pmp_err pmp_items_ungold(struct pmp_items *x, struct pmp_item_ref ref, uint32_t labels) {
  const uint32_t n = find(x, ref);
  if (n == 0 || !x->item[n].gold) return PMP_OK;
  if (labels >= x->config.wanted) {
    forget(x, n);
    return PMP_OK;
  }
  pmp_items_gold_out(x, n);
  x->stats.open++;
  set_labels(x, n, labels);
  settle(x, n);
  return PMP_OK;
}

bool pmp_items_is_gold(const struct pmp_items *x, struct pmp_item_ref ref) {
  const uint32_t n = find(x, ref);
  return n != 0 && x->item[n].gold != 0;
}

enum pmp_err pmp_items_seen(struct pmp_items *x, struct pmp_item_ref ref, const char *person) {
  const uint32_t n = find(x, ref);
  if (n == 0) return PMP_OK;
  const uint32_t p = pmp_items_person(x, person);
  if (p == 0) return PMP_ENOMEM;
  const uint32_t l = pmp_items_lease_of(x, n, p);
  if (l) end_lease(x, l);
  PMP_TRY(mark(x, n, p, true));
  settle(x, n);
  return PMP_OK;
}

/* A withdrawal opens again what labels have closed, and nothing else: neither rows that are no item
 * nor what was dropped. Of what was closed the last PMP_ITEMS_CLOSED are known; older ones open
 * again at the next start. */
static void remember_closed(struct pmp_items *x, struct pmp_item_ref ref) {
  if (!x->closed) x->closed = calloc(PMP_ITEMS_CLOSED, sizeof *x->closed);
  if (!x->closed) return; /* then it opens again at the next start */
  x->closed[x->closeds++ % PMP_ITEMS_CLOSED] = ref;
}

static enum pmp_err reopen(struct pmp_items *x, struct pmp_item_ref ref, uint32_t labels) {
  const uint64_t kept = x->closeds < PMP_ITEMS_CLOSED ? x->closeds : PMP_ITEMS_CLOSED;
  for (uint64_t back = 1; x->closed && back <= kept; back++) {
    struct pmp_item_ref *c = &x->closed[(x->closeds - back) % PMP_ITEMS_CLOSED];
    if (c->chunk != ref.chunk || c->row != ref.row || c->rows != ref.rows) continue;
    if (labels < x->config.wanted) *c = (struct pmp_item_ref){0};
    return pmp_items_add(x, ref, 0, labels);
  }
  return PMP_OK;
}

enum pmp_err pmp_items_judged(struct pmp_items *x, struct pmp_item_ref ref, const char *person,
                              enum pmp_judgement judgement, uint32_t labels_now) {
  const uint32_t n = find(x, ref);
  if (n == 0) return judgement == PMP_WITHDRAW ? reopen(x, ref, labels_now) : PMP_OK;
  const uint32_t p = pmp_items_person(x, person);
  if (p == 0) return PMP_ENOMEM;
  const uint32_t l = pmp_items_lease_of(x, n, p);
  if (l) end_lease(x, l);
  const bool gold = x->item[n].gold != 0;
  if (labels_now >= x->config.wanted && !gold) {
    remember_closed(x, ref);
    forget(x, n);
    return PMP_OK;
  }
  if (!gold) set_labels(x, n, labels_now);
  PMP_TRY(mark(x, n, p, judgement != PMP_WITHDRAW));
  settle(x, n);
  return PMP_OK;
}

bool pmp_items_has_seen(const struct pmp_items *x, struct pmp_item_ref ref, const char *person) {
  const uint32_t n = find(x, ref), p = n ? pmp_items_person_find(x, person) : 0;
  if (p == 0) return false;
  if (p > PMP_ITEMS_BITS) return saw(x, n, p);
  return pmp_mask_has(&x->item[n].own, pmp_items_bit(p)) && pmp_items_lease_of(x, n, p) == 0;
}

void pmp_items_drop_chunk(struct pmp_items *x, uint64_t chunk) {
  for (;;) {
    const uint32_t n = pmp_items_tree_after(x, chunk, 0);
    if (n == 0 || x->item[n].ref.chunk != chunk) return;
    forget(x, n);
    x->stats.dropped++;
  }
}

/* The oldest that nobody has labelled or leased, of those that somebody has seen (skipped, that is)
 * or of all; 0: none among the first `look`. */
static uint32_t oldest_idle(const struct pmp_items *x, bool skipped, uint64_t look) {
  static const struct mask nothing = {{0}};
  uint32_t n = pmp_items_tree_after(x, 0, 0);
  for (; n != 0 && look > 0; look--) {
    const struct item *item = &x->item[n];
    const bool seen = item->other > 0 || memcmp(&item->own, &nothing, sizeof nothing) != 0;
    const bool idle = item->labels == 0 && item->leases == 0 && !item->gold;
    if (idle && (seen || !skipped)) return n;
    const struct pmp_item_ref ref = item->ref;
    n = ref.row == UINT32_MAX ? pmp_items_tree_after(x, ref.chunk + 1, 0)
                              : pmp_items_tree_after(x, ref.chunk, ref.row + 1);
  }
  return 0;
}

static bool drop(struct pmp_items *x, uint32_t n) {
  if (n == 0) return false;
  forget(x, n);
  x->stats.dropped++;
  return true;
}

bool pmp_items_drop_oldest(struct pmp_items *x) {
  return drop(x, oldest_idle(x, false, UINT64_MAX));
}

bool pmp_items_drop_skipped(struct pmp_items *x) {
  return drop(x, oldest_idle(x, true, SKIPPED_LOOK));
}

void pmp_items_score(struct pmp_items *x, struct pmp_item_ref ref, float score) {
  const uint32_t n = find(x, ref);
  if (n != 0) set_score(x, n, score);
}

/* ---- leases ---- */

bool pmp_items_new_to(const struct pmp_items *x, uint32_t n, uint32_t person) {
  if (person <= PMP_ITEMS_BITS) return !pmp_mask_has(&x->item[n].own, pmp_items_bit(person));
  return !saw(x, n, person) && pmp_items_lease_of(x, n, person) == 0;
}

/* May the person have it? */
static bool fits(const struct pmp_items *x, uint32_t n, uint32_t person) {
  return x->item[n].place != 0 && pmp_items_new_to(x, n, person);
}

/* The first in this order that fits, after `n` (0: of all). */
static uint32_t first_fit(const struct pmp_items *x, enum pmp_items_order order, uint32_t person,
                          uint32_t n) {
  const uint32_t bit = pmp_items_bit(person);
  do n = pmp_items_tree_first(x, (int)order, bit, n);
  while (n != 0 && !fits(x, n, person));
  return n;
}

/* Uniform while a good part of what is offered fits; else the next after a uniform place. */
static uint32_t any_fit(struct pmp_items *x, uint32_t person) {
  uint32_t n = 0;
  for (int i = 0; x->offereds > 0 && i < RANDOM_TRIES; i++) {
    n = x->offered[1 + pmp_rng_below(&x->rng, x->offereds)];
    if (fits(x, n, person)) return n;
  }
  const uint32_t after = n ? first_fit(x, PMP_ITEMS_OLDEST, person, n) : 0;
  return after ? after : first_fit(x, PMP_ITEMS_OLDEST, person, 0);
}

static void view_of(const struct pmp_items *x, uint32_t n, uint32_t l, struct pmp_items_view *out) {
  const struct item *item = &x->item[n];
  *out = (struct pmp_items_view){.ref = item->ref,
                                 .labels = item->labels,
                                 .leases = item->leases,
                                 .score = item->score,
                                 .until_ns = l ? x->lease[l].until_ns : 0};
}

/* What the person has and does not name, oldest lease first. */
static uint32_t lease_again(struct pmp_items *x, uint32_t person, const struct pmp_item_ref *held,
                            uint32_t helds, int64_t until_ns, uint32_t max,
                            struct pmp_items_view *out) {
  for (uint32_t i = 0; i < helds; i++) {
    const uint32_t n = find(x, held[i]), l = n ? pmp_items_lease_of(x, n, person) : 0;
    if (l) x->lease[l].held = true;
  }
  uint32_t count = 0, l = x->person[person].lease;
  while (l && x->lease[l].person_next) l = x->lease[l].person_next;
  for (; l; l = x->lease[l].person_before) {
    const bool again = !x->lease[l].held && count < max;
    x->lease[l].held = false;
    if (!again) continue;
    pmp_items_lease_until(x, l, until_ns);
    view_of(x, x->lease[l].item, l, &out[count++]);
  }
  return count;
}

uint32_t pmp_items_lease(struct pmp_items *x, const char *person, enum pmp_items_order order,
                         const struct pmp_item_ref *held, uint32_t helds, int64_t until_ns,
                         uint32_t max, struct pmp_items_view *out) {
  const uint32_t p = pmp_items_person(x, person);
  if (p == 0) return 0;
  uint32_t count = lease_again(x, p, held, helds, until_ns, max, out);
  while (count < max && x->person[p].leases < x->config.leases_per_person) {
    uint32_t n = order == PMP_ITEMS_RANDOM ? any_fit(x, p) : first_fit(x, order, p, 0);
    const uint32_t gold = n ? pmp_items_gold_next(x, p) : 0; /* alone it would be known for gold */
    if (gold) {
      set_score(x, gold, x->item[n].score);
      set_labels(x, gold, x->item[n].labels);
      n = gold;
    }
    const uint32_t l = n ? pmp_items_lease_add(x, n, p, until_ns) : 0;
    if (l == 0) break;
    if (p <= PMP_ITEMS_BITS) set_bit(&x->item[n].own, pmp_items_bit(p), true);
    settle(x, n);
    x->stats.leases_total++;
    x->stats.gold_leases += gold != 0;
    view_of(x, n, l, &out[count++]);
  }
  return count;
}

/* The person's lease on the item, 0: none. */
static uint32_t lease_on(const struct pmp_items *x, struct pmp_item_ref ref, const char *person) {
  const uint32_t n = find(x, ref), p = n ? pmp_items_person_find(x, person) : 0;
  return p ? pmp_items_lease_of(x, n, p) : 0;
}

bool pmp_items_renew(struct pmp_items *x, struct pmp_item_ref ref, const char *person,
                     int64_t until_ns) {
  const uint32_t l = lease_on(x, ref, person);
  if (l) pmp_items_lease_until(x, l, until_ns);
  return l != 0;
}

bool pmp_items_release(struct pmp_items *x, struct pmp_item_ref ref, const char *person) {
  const uint32_t l = lease_on(x, ref, person);
  if (l == 0) return false;
  end_lease(x, l);
  x->stats.released++;
  return true;
}

bool pmp_items_holds(const struct pmp_items *x, struct pmp_item_ref ref, const char *person) {
  return lease_on(x, ref, person) != 0;
}

uint32_t pmp_items_expire(struct pmp_items *x, int64_t now_ns) {
  uint32_t count = 0;
  for (; x->heaps > 0 && x->lease[x->heap[1]].until_ns <= now_ns; count++) end_lease(x, x->heap[1]);
  x->stats.expired += count;
  return count;
}

uint32_t pmp_items_walk(const struct pmp_items *x, uint64_t chunk, uint32_t row, uint32_t max,
                        struct pmp_items_view *out) {
  uint32_t count = 0;
  while (count < max) {
    if (++row == 0) chunk++;
    const uint32_t n = pmp_items_tree_after(x, chunk, row);
    if (n == 0) break;
    if (!x->item[n].gold) view_of(x, n, 0, &out[count++]);
    chunk = x->item[n].ref.chunk;
    row = x->item[n].ref.row;
  }
  return count;
}

uint32_t pmp_items_top(const struct pmp_items *x, uint32_t max, struct pmp_items_view *out) {
  uint32_t count = 0, n = 0;
  while (count < max &&
         (n = pmp_items_tree_first(x, PMP_ITEMS_MOST_UNCERTAIN, pmp_items_bit(0), n)) != 0)
    view_of(x, n, 0, &out[count++]);
  return count;
}

void pmp_items_stats(const struct pmp_items *x, struct pmp_items_stats *out) {
  *out = x->stats;
}
