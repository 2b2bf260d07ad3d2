#include "base/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum pmp_err pmp_ring_init(struct pmp_ring *r, size_t capacity) {
  memset(r, 0, sizeof *r);
  if (capacity == 0) return PMP_EINVALID;
  enum pmp_err err = PMP_ENOMEM;
  pthread_condattr_t attr;
  r->slot = calloc(capacity, sizeof *r->slot);
  if (r->slot == NULL) return PMP_ENOMEM;
  if (pthread_mutex_init(&r->lock, NULL) != 0) goto free_slots;
  if (pthread_condattr_init(&attr) != 0) goto destroy_lock;
  if (pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
      pthread_cond_init(&r->filled, &attr) == 0)
    err = PMP_OK;
  pthread_condattr_destroy(&attr);
  if (err == PMP_OK) {
    r->capacity = capacity;
    r->ready = true;
    return PMP_OK;
  }
destroy_lock:
  pthread_mutex_destroy(&r->lock);
free_slots:
  free(r->slot);
  r->slot = NULL;
  return err;
}

void pmp_ring_fini(struct pmp_ring *r) {
  if (!r->ready) return;
  pthread_cond_destroy(&r->filled);
  pthread_mutex_destroy(&r->lock);
  free(r->slot);
  memset(r, 0, sizeof *r);
}

enum pmp_err pmp_ring_push(struct pmp_ring *r, void *item) {
  enum pmp_err err = PMP_OK;
  pthread_mutex_lock(&r->lock);
  if (r->closed) {
    err = PMP_ECLOSED;
  } else if (r->count == r->capacity) {
    r->refused++;
    err = PMP_EBUSY;
  } else {
    r->slot[(r->head + r->count) % r->capacity] = item;
    r->count++;
    if (r->count > r->peak) r->peak = r->count;
    pthread_cond_signal(&r->filled);
  }
  pthread_mutex_unlock(&r->lock);
  return err;
}

/* With the lock held and count > 0. */
static void *take(struct pmp_ring *r) {
  void *item = r->slot[r->head];
  r->head = (r->head + 1) % r->capacity;
  r->count--;
  return item;
}

bool pmp_ring_try_pop(struct pmp_ring *r, void **item) {
  pthread_mutex_lock(&r->lock);
  bool found = r->count > 0;
  if (found) *item = take(r);
  pthread_mutex_unlock(&r->lock);
  return found;
}

static struct timespec deadline_after_ms(int timeout_ms) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_sec += timeout_ms / 1000;
  t.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
  if (t.tv_nsec >= 1000000000) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000;
  }
  return t;
}

enum pmp_err pmp_ring_pop(struct pmp_ring *r, void **item, int timeout_ms) {
  struct timespec deadline = deadline_after_ms(timeout_ms > 0 ? timeout_ms : 0);
  int rc = 0;
  pthread_mutex_lock(&r->lock);
  while (r->count == 0 && !r->closed && rc != ETIMEDOUT) {
    if (timeout_ms < 0)
      pthread_cond_wait(&r->filled, &r->lock);
    else
      rc = pthread_cond_timedwait(&r->filled, &r->lock, &deadline);
  }
  enum pmp_err err = PMP_OK;
  if (r->count > 0)
    *item = take(r);
  else
    err = r->closed ? PMP_ECLOSED : PMP_ETIMEOUT;
  pthread_mutex_unlock(&r->lock);
  return err;
}

void pmp_ring_close(struct pmp_ring *r) {
  pthread_mutex_lock(&r->lock);
  r->closed = true;
  pthread_cond_broadcast(&r->filled);
  pthread_mutex_unlock(&r->lock);
}

size_t pmp_ring_count(struct pmp_ring *r) {
  pthread_mutex_lock(&r->lock);
  size_t count = r->count;
  pthread_mutex_unlock(&r->lock);
  return count;
}
