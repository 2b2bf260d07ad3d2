/* What the files of the item index share: items.c (what happens to an item), items_tree.c (the
 * orders), items_gold.c (whose truth is known) and items_people.c (names and leases).
 *
 * Slots are numbers into arrays that grow; 0 is none. Every open item is in three treaps, one an
 * order. Each person has a bit while there are bits left; a treap's node knows which bits are set
 * in all of its subtree, where a set bit means "not for this person": it has seen the item, holds a
 * lease on it, or nobody is to get it. The first item for a person is then one way down. Who has no
 * bit of its own walks along the items that are offered at all. */
#ifndef PMP_DAEMON_ITEMS_INTERNAL_H
#define PMP_DAEMON_ITEMS_INTERNAL_H

#include "base/rng.h"
#include "daemon/items.h"

#define PMP_ITEMS_ORDERS 3 /* oldest, least labelled, most uncertain: random has an array */
#define PMP_ITEMS_WORDS 2
#define PMP_ITEMS_CLOSED 65536
#define PMP_ITEMS_BITS                                                                             \
  (64 * PMP_ITEMS_WORDS - 1) /* people with a bit; the last one is nobody's                        \
                              */
#define PMP_ITEMS_NAME_MAX 65

struct mask {
  uint64_t word[PMP_ITEMS_WORDS];
};

struct link { /* of one treap */
  uint32_t left, right;
  struct mask all; /* set in every item of the subtree */
};

struct item {
  struct pmp_item_ref ref;
  float score;
  uint32_t priority;
  uint32_t labels, leases;
  uint32_t lease; /* first of its leases */
  uint32_t place; /* in the array of offered ones, 0: is not */
  uint32_t gold;  /* 1 + its place in the array of gold ones, 0: is not */
  struct link link[PMP_ITEMS_ORDERS];
  struct mask own;  /* not for these; the last bit: not for anybody */
  uint32_t *others; /* owned, [other]: people without a bit who have seen it */
  uint32_t other;
};

struct person {
  char name[PMP_ITEMS_NAME_MAX];
  uint32_t lease; /* first of its leases */
  uint32_t leases;
  double gold_due; /* share of its leases so far that should have been gold and were not */
};

struct lease {
  uint32_t item, person;
  int64_t until_ns;
  bool held;                           /* by who asks, while it is asked */
  uint32_t heap;                       /* its place there */
  uint32_t item_next, item_before;     /* of the same item */
  uint32_t person_next, person_before; /* of the same person, newest first */
};

struct slots { /* which of an array's are free */
  uint32_t *free;
  uint32_t frees, used, room; /* used: slots ever given out, 0 included */
};

struct pmp_items {
  struct pmp_item_ref *closed; /* owned, [PMP_ITEMS_CLOSED]: a ring of what labels closed */
  uint64_t closeds;            /* ever */
  struct pmp_items_config config;
  struct item *item; /* owned, [items.room] */
  struct slots items;
  uint32_t root[PMP_ITEMS_ORDERS];
  uint32_t *offered; /* owned, [items.room]: from 1 on */
  uint32_t offereds;
  uint32_t *gold; /* owned, [gold_room] */
  uint32_t golds, gold_room;
  struct person *person; /* owned, [person_room], from 1 on */
  uint32_t *by_name;     /* owned, [person_room]: sorted, from 0 on */
  uint32_t persons, person_room;
  struct lease *lease; /* owned, [leases.room] */
  struct slots leases;
  uint32_t *heap; /* owned, [leases.room], from 1 on: the earliest end first */
  uint32_t heaps;
  struct pmp_rng rng;
  struct pmp_items_stats stats;
};

/* ---- masks ---- */

static inline bool pmp_mask_has(const struct mask *m, uint32_t bit) {
  return (m->word[bit / 64] >> (bit % 64)) & 1;
}

/* ---- items_tree.c ---- */

/* The bit that says whether an item is not for this person: its own, or nobody's. */
uint32_t pmp_items_bit(uint32_t person);
void pmp_items_tree_insert(struct pmp_items *x, uint32_t n);
void pmp_items_tree_erase(struct pmp_items *x, uint32_t n);
/* One order: before and after its key changed. */
void pmp_items_tree_out(struct pmp_items *x, int order, uint32_t n);
void pmp_items_tree_in(struct pmp_items *x, int order, uint32_t n);
/* The item's own mask changed. */
void pmp_items_tree_touch(struct pmp_items *x, uint32_t n);
/* First item in this order without the bit, after `n` (0: of all); 0: none. */
uint32_t pmp_items_tree_first(const struct pmp_items *x, int order, uint32_t bit, uint32_t n);
/* The item at or before (chunk, row), and the one at or after it; 0: none. */
uint32_t pmp_items_tree_before(const struct pmp_items *x, uint64_t chunk, uint32_t row);
uint32_t pmp_items_tree_after(const struct pmp_items *x, uint64_t chunk, uint32_t row);

/* ---- items.c ---- */

/* It has neither seen the item nor holds a lease on it. */
bool pmp_items_new_to(const struct pmp_items *x, uint32_t n, uint32_t person);

/* ---- items_gold.c ---- */

/* Room for one more gold item; false: no memory. */
bool pmp_items_room_gold(struct pmp_items *x);
/* Out of the array; what it becomes is the caller's to settle. */
void pmp_items_gold_out(struct pmp_items *x, uint32_t n);
/* Should the person's next lease be gold, and which one? 0: an open one. */
uint32_t pmp_items_gold_next(struct pmp_items *x, uint32_t person);

/* ---- items_people.c ---- */

/* A slot of an array that slots grows with `grow`; 0: no memory. */
uint32_t pmp_slots_take(struct slots *s);
void pmp_slots_give(struct slots *s, uint32_t slot);
/* Makes room for one more in each array; false: no memory. */
bool pmp_items_room_item(struct pmp_items *x);
bool pmp_items_room_lease(struct pmp_items *x);
/* The person's number; 0: unknown. */
uint32_t pmp_items_person_find(const struct pmp_items *x, const char *name);
/* The same, made when unknown; 0: no memory. */
uint32_t pmp_items_person(struct pmp_items *x, const char *name);
/* The person's lease on the item, 0: none. */
uint32_t pmp_items_lease_of(const struct pmp_items *x, uint32_t item, uint32_t person);
/* A lease more or less; the item's mask and places are the caller's to settle. 0: no memory. */
uint32_t pmp_items_lease_add(struct pmp_items *x, uint32_t item, uint32_t person, int64_t until_ns);
void pmp_items_lease_end(struct pmp_items *x, uint32_t lease);
void pmp_items_lease_until(struct pmp_items *x, uint32_t lease, int64_t until_ns);

#endif
