/* Gold items: which of them a person is given, and when. */
#include "daemon/items_internal.h"

#include <stdlib.h>

/* A person's gold stays this near to its share, so that a few leases measure already; in between it
 * comes by chance, so that nobody can count it out. */
#define DUE_MAX 2.0
#define DUE_MIN (-1.0)

bool pmp_items_room_gold(struct pmp_items *x) {
  if (x->golds < x->gold_room) return true;
  const uint32_t room = x->gold_room == 0 ? 64 : 2 * x->gold_room;
  uint32_t *grown = realloc(x->gold, room * sizeof *grown);
  if (!grown) return false;
  x->gold = grown;
  x->gold_room = room;
  return true;
}

void pmp_items_gold_out(struct pmp_items *x, uint32_t n) {
  const uint32_t place = x->item[n].gold - 1, last = x->gold[--x->golds];
  x->gold[place] = last;
  x->item[last].gold = place + 1;
  x->item[n].gold = 0;
  x->stats.gold = x->golds;
}

/* One that the person has neither seen nor holds, by chance; 0: none. */
static uint32_t any(struct pmp_items *x, uint32_t person) {
  const uint32_t from = (uint32_t)pmp_rng_below(&x->rng, x->golds);
  for (uint32_t i = 0; i < x->golds; i++) {
    const uint32_t n = x->gold[(from + i) % x->golds];
    if (pmp_items_new_to(x, n, person)) return n;
  }
  return 0;
}

uint32_t pmp_items_gold_next(struct pmp_items *x, uint32_t person) {
  const double share = x->config.gold_share;
  if (!(share > 0) || x->golds == 0) return 0;
  double *due = &x->person[person].gold_due;
  *due += share;
  if (*due > DUE_MAX) *due = DUE_MAX;
  const bool now = *due >= DUE_MAX || (*due > DUE_MIN && pmp_rng_double(&x->rng) < share);
  const uint32_t n = now ? any(x, person) : 0;
  if (n != 0) *due -= 1;
  return n;
}
