/* A bounded multi-producer, multi-consumer queue of pointers (mutex and condition variable).
 *
 * The only thing that carries work between threads. Full means "push back on the producer": push
 * never waits, it refuses and counts. */
#ifndef PMP_BASE_RING_H
#define PMP_BASE_RING_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmp_ring {
  pthread_mutex_t lock;
  pthread_cond_t filled; /* CLOCK_MONOTONIC */
  void **slot;           /* owned, [capacity] */
  size_t capacity;
  size_t head, count;
  uint64_t refused; /* pushes that found it full */
  size_t peak;      /* largest count seen */
  bool closed;
  bool ready; /* init succeeded */
};

PMP_MUST_CHECK enum pmp_err pmp_ring_init(struct pmp_ring *r, size_t capacity);
/* Safe on a zeroed struct. Items still inside are not touched. */
void pmp_ring_fini(struct pmp_ring *r);
/* Any thread, never blocks. PMP_EBUSY when full, PMP_ECLOSED after close. */
PMP_MUST_CHECK enum pmp_err pmp_ring_push(struct pmp_ring *r, void *item);
/* Any thread, never blocks. false when empty. */
bool pmp_ring_try_pop(struct pmp_ring *r, void **item);
/* Any thread, blocks up to timeout_ms (-1: for ever). PMP_ETIMEOUT; PMP_ECLOSED when closed and
 * empty. */
PMP_MUST_CHECK enum pmp_err pmp_ring_pop(struct pmp_ring *r, void **item, int timeout_ms);
/* Any thread: later pushes fail; pops drain what is left. Wakes all waiters. */
void pmp_ring_close(struct pmp_ring *r);
size_t pmp_ring_count(struct pmp_ring *r);

#endif
