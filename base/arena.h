/* A bump allocator with a hard cap: a step's or a message's scratch memory.
 *
 * One thread at a time. Blocks are aligned to 64 bytes (a cache line, and what vector loads like).
 */
#ifndef PMP_BASE_ARENA_H
#define PMP_BASE_ARENA_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct pmp_arena {
  unsigned char *base; /* owned when `owned` */
  size_t capacity;     /* bytes */
  size_t used;         /* bytes */
  size_t peak;         /* largest `used` seen, bytes */
  bool owned;
};

/* Allocates `capacity` bytes from the heap. PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_arena_init(struct pmp_arena *a, size_t capacity);
/* Safe on a zeroed struct. */
void pmp_arena_fini(struct pmp_arena *a);
/* n bytes, 64-byte aligned, not cleared; NULL when the cap would be passed. n == 0 gives a valid
 * pointer. */
void *pmp_arena_alloc(struct pmp_arena *a, size_t n);
/* The same for count * size with an overflow check. */
void *pmp_arena_array(struct pmp_arena *a, size_t count, size_t size);
/* The same, cleared to zero. */
void *pmp_arena_zeroed(struct pmp_arena *a, size_t count, size_t size);
/* A position to return to, and the return to it: everything allocated since is gone. */
size_t pmp_arena_mark(const struct pmp_arena *a);
void pmp_arena_release(struct pmp_arena *a, size_t mark);

#endif
