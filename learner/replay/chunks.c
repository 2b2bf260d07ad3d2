/* Which chunks the ring still needs: counted entries in commit order, and the way from (chunk, row)
 * to a position. */
#include "learner/replay/ring.h"

#include <assert.h>

static uint32_t bucket_of(const struct pmp_replay *r, uint64_t chunk) {
  return (uint32_t)(chunk * 0x9E3779B97F4A7C15u >> 32) & (r->buckets - 1);
}

uint32_t pmp_ring_chunk_open(struct pmp_replay *r, uint64_t chunk, uint64_t commit) {
  uint32_t slot = r->chunk_free;
  if (slot != PMP_NONE) {
    r->chunk_free = r->chunk[slot].next;
  } else {
    assert(r->chunk_used < r->chunk_slots);
    slot = r->chunk_used++;
  }
  struct pmp_ring_chunk *c = &r->chunk[slot];
  *c = (struct pmp_ring_chunk){.chunk = chunk,
                               .commit = commit,
                               .live = 1,
                               .prev = r->chunk_newest,
                               .next = PMP_NONE,
                               .hash_next = PMP_NONE};
  if (r->chunk_newest == PMP_NONE)
    r->chunk_oldest = slot;
  else
    r->chunk[r->chunk_newest].next = slot;
  r->chunk_newest = slot;
  if (r->buckets != 0) {
    uint32_t *bucket = &r->chunk_bucket[bucket_of(r, chunk)];
    c->hash_next = *bucket == 0 ? PMP_NONE : *bucket - 1;
    *bucket = slot + 1;
  }
  return slot;
}

void pmp_ring_chunk_hold(struct pmp_replay *r, uint32_t slot) {
  r->chunk[slot].live++;
}

static void unhash(struct pmp_replay *r, uint32_t slot) {
  const struct pmp_ring_chunk *c = &r->chunk[slot];
  uint32_t *bucket = &r->chunk_bucket[bucket_of(r, c->chunk)];
  if (*bucket == slot + 1) {
    *bucket = c->hash_next == PMP_NONE ? 0 : c->hash_next + 1;
    return;
  }
  uint32_t at = *bucket - 1;
  while (r->chunk[at].hash_next != slot) at = r->chunk[at].hash_next;
  r->chunk[at].hash_next = c->hash_next;
}

void pmp_ring_chunk_drop(struct pmp_replay *r, uint32_t slot) {
  struct pmp_ring_chunk *c = &r->chunk[slot];
  assert(c->live > 0);
  if (--c->live > 0) return;
  if (c->prev == PMP_NONE)
    r->chunk_oldest = c->next;
  else
    r->chunk[c->prev].next = c->next;
  if (c->next == PMP_NONE)
    r->chunk_newest = c->prev;
  else
    r->chunk[c->next].prev = c->prev;
  if (r->buckets != 0) unhash(r, slot);
  c->next = r->chunk_free;
  r->chunk_free = slot;
}

/* A call's rows lie side by side in the deque with rising row numbers (some left out): a binary
 * search. */
static bool find_in_chunk(const struct pmp_replay *r, const struct pmp_ring_chunk *c, uint32_t row,
                          uint64_t *position) {
  uint64_t low = c->first > r->front ? c->first : r->front, high = c->first + c->rows;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    uint32_t found = r->row_of[pmp_ring_slot(r, middle)];
    if (found == row) {
      *position = middle;
      return true;
    }
    if (found < row)
      low = middle + 1;
    else
      high = middle;
  }
  return false;
}

bool pmp_ring_find(const struct pmp_replay *r, struct pmp_row_id id, uint64_t *position) {
  if (r->buckets == 0) return false;
  uint32_t at = r->chunk_bucket[bucket_of(r, id.chunk)];
  for (at = at == 0 ? PMP_NONE : at - 1; at != PMP_NONE; at = r->chunk[at].hash_next) {
    if (r->chunk[at].chunk == id.chunk && find_in_chunk(r, &r->chunk[at], id.row, position))
      return true;
  }
  return false;
}
