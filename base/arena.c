#include "base/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

/* Under the address sanitizer what is not given out is poisoned, so that it sees a block's end; but
 * a caller's own memory is left alone. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define HIDE(a, at, n)                                                                             \
  do {                                                                                             \
    if ((a)->owned) ASAN_POISON_MEMORY_REGION(at, n);                                              \
  } while (0)
#define SHOW(at, n) ASAN_UNPOISON_MEMORY_REGION(at, n)
#else
#define HIDE(a, at, n) (void)0
#define SHOW(at, n) (void)0
#endif

enum pmp_err pmp_arena_init(struct pmp_arena *a, size_t capacity) {
  memset(a, 0, sizeof *a);
  if (capacity > SIZE_MAX - ALIGNMENT) return PMP_ENOMEM;
  size_t rounded = (capacity + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  a->base = aligned_alloc(ALIGNMENT, rounded > 0 ? rounded : ALIGNMENT);
  if (a->base == NULL) return PMP_ENOMEM;
  a->capacity = capacity;
  a->owned = true;
  HIDE(a, a->base, capacity);
  return PMP_OK;
}

void pmp_arena_fini(struct pmp_arena *a) {
  if (a->owned) {
    SHOW(a->base, a->capacity);
    free(a->base);
  }
  memset(a, 0, sizeof *a);
}

void *pmp_arena_alloc(struct pmp_arena *a, size_t n) {
  /* Padding is taken from the address, so that a caller's own, unaligned memory serves too. */
  uintptr_t at = (uintptr_t)a->base + a->used;
  size_t padding = (ALIGNMENT - at % ALIGNMENT) % ALIGNMENT;
  size_t left = a->capacity - a->used;
  if (padding > left || n > left - padding) return NULL;
  unsigned char *block = a->base + a->used + padding;
  SHOW(block, n);
  a->used += padding + n;
  if (a->used > a->peak) a->peak = a->used;
  return block;
}

void *pmp_arena_array(struct pmp_arena *a, size_t count, size_t size) {
  size_t n;
  if (__builtin_mul_overflow(count, size, &n)) return NULL;
  return pmp_arena_alloc(a, n);
}

void *pmp_arena_zeroed(struct pmp_arena *a, size_t count, size_t size) {
  void *block = pmp_arena_array(a, count, size);
  if (block != NULL) memset(block, 0, count * size);
  return block;
}

size_t pmp_arena_mark(const struct pmp_arena *a) {
  return a->used;
}

void pmp_arena_release(struct pmp_arena *a, size_t mark) {
  assert(mark <= a->used);
  HIDE(a, a->base + mark, a->used - mark);
  a->used = mark;
}
