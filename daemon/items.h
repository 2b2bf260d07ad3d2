/* The items that wait for people, and who has leased which.
 *
 * An item is rows of a chunk that are judged as one. It is open while it has fewer accepts and
 * rejects than wanted; an open item is offered to a person who has not judged or skipped it, while
 * its labels and live leases together are fewer than wanted. Leases live here alone and end by the
 * time that is passed in; what was judged is the store's to remember.
 *
 * A gold item (one whose truth is known) is never open: whoever has not judged it yet may be given
 * it in an open one's place, and it takes any number of labels.
 *
 * Plain memory, bounded by the configuration, no clock, no input or output: loop thread only. Every
 * call but init, fini and the walks is O(log items) an item, and a lease of gold O(gold items). */
#ifndef PMP_DAEMON_ITEMS_H
#define PMP_DAEMON_ITEMS_H

#include "base/err.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pmp_items_order {
  PMP_ITEMS_OLDEST,         /* in order of commit */
  PMP_ITEMS_RANDOM,         /* uniformly among the offered */
  PMP_ITEMS_LEAST_LABELLED, /* fewest labels, then oldest */
  PMP_ITEMS_MOST_UNCERTAIN  /* largest score, then oldest */
};
/* "oldest", "random", "least_labelled", "most_uncertain"; false: another word. */
bool pmp_items_order_named(const char *name, enum pmp_items_order *order);

struct pmp_items_config {
  uint32_t wanted;            /* labels an item, of different people; at least 1 */
  uint32_t leases_per_person; /* live ones; at least 1 */
  uint64_t capacity;          /* open items; memory grows with what is there, up to this */
  uint64_t seed;              /* of the random order, and of where gold is */
  double gold_share; /* of a person's leases, in [0, 1): gold, while there is gold for it */
};

struct pmp_items; /* opaque */

struct pmp_items_view { /* of one item */
  struct pmp_item_ref ref;
  uint32_t labels, leases;
  float score;
  int64_t until_ns; /* of the lease that was asked about */
};

struct pmp_items_stats {
  uint64_t open;    /* items */
  uint64_t offered; /* of them, to somebody: labels and leases leave room */
  uint64_t leased;  /* live leases */
  uint64_t gold;    /* items whose truth is known, in none of the above but for their leases */
  uint64_t leases_total, expired, released, dropped, gold_leases;
};

PMP_MUST_CHECK enum pmp_err pmp_items_init(struct pmp_items **items,
                                           const struct pmp_items_config *config);
void pmp_items_fini(struct pmp_items *items); /* NULL is fine */

/* A committed item with `labels` accepts and rejects so far. Nothing happens when it is known or
 * has what is wanted. PMP_ETOOLARGE: capacity; PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_items_add(struct pmp_items *items, struct pmp_item_ref ref,
                                          float score, uint32_t labels);
/* Its truth is known: it is open no more, and gold from now on. Whoever has seen it when it was
 * open has, and leases go on. When it is leased it shows the score and the labels of the open item
 * in whose place it is. */
PMP_MUST_CHECK enum pmp_err pmp_items_gold(struct pmp_items *items, struct pmp_item_ref ref);
/* It is gold no more, and open again if it has fewer than wanted labels; who has seen it has. */
PMP_MUST_CHECK enum pmp_err pmp_items_ungold(struct pmp_items *items, struct pmp_item_ref ref,
                                             uint32_t labels);
bool pmp_items_is_gold(const struct pmp_items *items, struct pmp_item_ref ref);
/* The person is not offered the item again: it judged or skipped it (at start-up from the store,
 * later by pmp_items_judged). Nothing happens when the item is neither open nor gold. */
PMP_MUST_CHECK enum pmp_err pmp_items_seen(struct pmp_items *items, struct pmp_item_ref ref,
                                           const char *person);
/* A verdict is committed, and the item has labels_now accepts and rejects. Ends the person's lease;
 * closes the item when it has what is wanted, opens it again (at score 0 when it had been closed)
 * when it has not. A withdrawal offers it to the person again. Gold stays what it is. */
PMP_MUST_CHECK enum pmp_err pmp_items_judged(struct pmp_items *items, struct pmp_item_ref ref,
                                             const char *person, enum pmp_judgement judgement,
                                             uint32_t labels_now);
/* The chunk is gone from the store: its items are forgotten. */
void pmp_items_drop_chunk(struct pmp_items *items, uint64_t chunk);
/* Has the person judged or skipped the open item? */
bool pmp_items_has_seen(const struct pmp_items *items, struct pmp_item_ref ref, const char *person);
/* Forgets the oldest item without a label and without a lease; false: there is none. */
bool pmp_items_drop_oldest(struct pmp_items *items);
/* The same of those that somebody has skipped; looks at some 20,000 items at most. */
bool pmp_items_drop_skipped(struct pmp_items *items);
/* Another score; nothing happens when it is neither open nor gold. */
void pmp_items_score(struct pmp_items *items, struct pmp_item_ref ref, float score);

/* Leases up to `max` items to the person until until_ns into out[max]; returns how many. The
 * person's own live leases that are not among held[helds] come first, renewed. */
uint32_t pmp_items_lease(struct pmp_items *items, const char *person, enum pmp_items_order order,
                         const struct pmp_item_ref *held, uint32_t helds, int64_t until_ns,
                         uint32_t max, struct pmp_items_view *out);
/* Prolongs a live lease; false: the person has none on it. */
bool pmp_items_renew(struct pmp_items *items, struct pmp_item_ref ref, const char *person,
                     int64_t until_ns);
/* Gives back; false: the person has none on it. */
bool pmp_items_release(struct pmp_items *items, struct pmp_item_ref ref, const char *person);
/* Does the person hold a live lease on exactly this item? */
bool pmp_items_holds(const struct pmp_items *items, struct pmp_item_ref ref, const char *person);
/* Ends leases with until_ns <= now_ns; returns how many. */
uint32_t pmp_items_expire(struct pmp_items *items, int64_t now_ns);

/* Open items in order of commit from the first past (chunk, row) on, at most max into out; returns
 * how many. */
uint32_t pmp_items_walk(const struct pmp_items *items, uint64_t chunk, uint32_t row, uint32_t max,
                        struct pmp_items_view *out);
/* Open items, the largest score first, at most max into out; returns how many. */
uint32_t pmp_items_top(const struct pmp_items *items, uint32_t max, struct pmp_items_view *out);
void pmp_items_stats(const struct pmp_items *items, struct pmp_items_stats *out);

#endif
