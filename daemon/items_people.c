/* People by name, and their leases: in lists by item and by person, and in a heap by their end. */
#include "daemon/items_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arrays that grow ---- */

uint32_t pmp_slots_take(struct slots *s) {
  if (s->frees > 0) return s->free[--s->frees];
  return s->used < s->room ? s->used++ : 0;
}

void pmp_slots_give(struct slots *s, uint32_t slot) {
  s->free[s->frees++] = slot;
}

static bool grow(void **array, size_t size, uint32_t room) {
  void *grown = realloc(*array, size * room);
  if (grown) *array = grown;
  return grown != NULL;
}

static uint32_t more(const struct slots *s) {
  return s->room == 0 ? 64 : s->room > UINT32_MAX / 2 ? 0 : 2 * s->room;
}

bool pmp_items_room_item(struct pmp_items *x) {
  struct slots *s = &x->items;
  if (s->frees > 0 || s->used < s->room) return true;
  const uint32_t room = more(s);
  if (room == 0 || !grow((void **)&x->item, sizeof *x->item, room) ||
      !grow((void **)&s->free, sizeof *s->free, room) ||
      !grow((void **)&x->offered, sizeof *x->offered, room))
    return false;
  if (s->used == 0) s->used = 1;
  s->room = room;
  return true;
}

bool pmp_items_room_lease(struct pmp_items *x) {
  struct slots *s = &x->leases;
  if (s->frees > 0 || s->used < s->room) return true;
  const uint32_t room = more(s);
  if (room == 0 || !grow((void **)&x->lease, sizeof *x->lease, room) ||
      !grow((void **)&s->free, sizeof *s->free, room) ||
      !grow((void **)&x->heap, sizeof *x->heap, room))
    return false;
  if (s->used == 0) s->used = 1;
  s->room = room;
  return true;
}

/* ---- people ---- */

/* Where the name is or would be. */
static uint32_t place_of(const struct pmp_items *x, const char *name, bool *there) {
  uint32_t low = 0, high = x->persons;
  *there = false;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    const int c = strcmp(x->person[x->by_name[middle]].name, name);
    if (c == 0) {
      *there = true;
      return middle;
    }
    if (c < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

uint32_t pmp_items_person_find(const struct pmp_items *x, const char *name) {
  bool there;
  const uint32_t at = place_of(x, name, &there);
  return there ? x->by_name[at] : 0;
}

uint32_t pmp_items_person(struct pmp_items *x, const char *name) {
  bool there;
  const uint32_t at = place_of(x, name, &there);
  if (there) return x->by_name[at];
  if (x->persons + 1 >= x->person_room) {
    const uint32_t room = x->person_room == 0 ? 16 : 2 * x->person_room;
    if (!grow((void **)&x->person, sizeof *x->person, room) ||
        !grow((void **)&x->by_name, sizeof *x->by_name, room))
      return 0;
    x->person_room = room;
  }
  memmove(&x->by_name[at + 1], &x->by_name[at], (x->persons - at) * sizeof *x->by_name);
  const uint32_t person = ++x->persons;
  x->by_name[at] = person;
  x->person[person] = (struct person){.lease = 0};
  snprintf(x->person[person].name, sizeof x->person[person].name, "%s", name);
  return person;
}

/* ---- the heap ---- */

static void put(struct pmp_items *x, uint32_t at, uint32_t lease) {
  x->heap[at] = lease;
  x->lease[lease].heap = at;
}

static bool earlier(const struct pmp_items *x, uint32_t a, uint32_t b) {
  return x->lease[a].until_ns < x->lease[b].until_ns;
}

static void sift(struct pmp_items *x, uint32_t at) {
  const uint32_t lease = x->heap[at];
  while (at > 1 && earlier(x, lease, x->heap[at / 2])) {
    put(x, at, x->heap[at / 2]);
    at /= 2;
  }
  for (uint32_t child; (child = 2 * at) <= x->heaps; at = child) {
    if (child < x->heaps && earlier(x, x->heap[child + 1], x->heap[child])) child++;
    if (!earlier(x, x->heap[child], lease)) break;
    put(x, at, x->heap[child]);
  }
  put(x, at, lease);
}

/* ---- leases ---- */

uint32_t pmp_items_lease_of(const struct pmp_items *x, uint32_t item, uint32_t person) {
  uint32_t l = x->item[item].lease;
  while (l && x->lease[l].person != person) l = x->lease[l].item_next;
  return l;
}

uint32_t pmp_items_lease_add(struct pmp_items *x, uint32_t item, uint32_t person,
                             int64_t until_ns) {
  if (!pmp_items_room_lease(x)) return 0;
  const uint32_t l = pmp_slots_take(&x->leases);
  struct item *of = &x->item[item];
  struct person *by = &x->person[person];
  x->lease[l] = (struct lease){.item = item,
                               .person = person,
                               .until_ns = until_ns,
                               .item_next = of->lease,
                               .person_next = by->lease};
  if (of->lease) x->lease[of->lease].item_before = l;
  if (by->lease) x->lease[by->lease].person_before = l;
  of->lease = by->lease = l;
  of->leases++;
  by->leases++;
  x->stats.leased++;
  put(x, ++x->heaps, l);
  sift(x, x->heaps);
  return l;
}

void pmp_items_lease_end(struct pmp_items *x, uint32_t l) {
  const struct lease gone = x->lease[l];
  struct item *of = &x->item[gone.item];
  struct person *by = &x->person[gone.person];
  if (gone.item_before)
    x->lease[gone.item_before].item_next = gone.item_next;
  else
    of->lease = gone.item_next;
  if (gone.item_next) x->lease[gone.item_next].item_before = gone.item_before;
  if (gone.person_before)
    x->lease[gone.person_before].person_next = gone.person_next;
  else
    by->lease = gone.person_next;
  if (gone.person_next) x->lease[gone.person_next].person_before = gone.person_before;
  of->leases--;
  by->leases--;
  x->stats.leased--;
  const uint32_t last = x->heap[x->heaps--];
  if (last != l) {
    put(x, gone.heap, last);
    sift(x, gone.heap);
  }
  pmp_slots_give(&x->leases, l);
}

void pmp_items_lease_until(struct pmp_items *x, uint32_t l, int64_t until_ns) {
  x->lease[l].until_ns = until_ns;
  sift(x, x->lease[l].heap);
}
