#include "daemon/publish.h"

#include <stdlib.h>
#include <string.h>

enum pmp_err pmp_publisher_init(struct pmp_publisher *p, int64_t keep_ns, size_t keep_bytes,
                                uint32_t waiters_max) {
  memset(p, 0, sizeof *p);
  p->waiter = calloc(waiters_max, sizeof *p->waiter);
  if (!p->waiter) return PMP_ENOMEM;
  p->waiters_max = waiters_max;
  p->keep_ns = keep_ns;
  p->keep_bytes = keep_bytes;
  return PMP_OK;
}

void pmp_publisher_fini(struct pmp_publisher *p) {
  for (uint32_t i = 0; i < p->count; i++) pmp_snapshot_release(p->kept[i]);
  pmp_snapshot_release(p->pending);
  pmp_snapshot_release(p->policy);
  free(p->waiter);
  memset(p, 0, sizeof *p);
}

static void drop_oldest(struct pmp_publisher *p) {
  pmp_snapshot_release(p->kept[0]);
  memmove(p->kept, p->kept + 1, (p->count - 1) * sizeof *p->kept);
  p->count--;
}

static void make_current(struct pmp_publisher *p, struct pmp_snapshot *s, int64_t now_ns) {
  if (p->count > 0) p->kept[p->count - 1]->superseded_ns = now_ns;
  if (p->count == PMP_PUBLISH_KEEP_MAX) drop_oldest(p);
  s->published_ns = now_ns;
  p->kept[p->count++] = s;
  p->published++;
  pmp_publisher_sweep(p, now_ns);
}

bool pmp_publisher_offer(struct pmp_publisher *p, struct pmp_snapshot *s, int64_t now_ns,
                         uint64_t *want) {
  if (p->at_once || s->version <= p->reserved) {
    make_current(p, s, now_ns);
    return true;
  }
  pmp_snapshot_release(p->pending); /* an older one that was never out: nobody misses it */
  p->pending = s;
  *want = s->version;
  return false;
}

bool pmp_publisher_reserved(struct pmp_publisher *p, uint64_t reserved, int64_t now_ns) {
  p->reserving = false;
  if (reserved > p->reserved) p->reserved = reserved;
  if (!p->pending || p->pending->version > p->reserved) return false;
  struct pmp_snapshot *s = p->pending;
  p->pending = NULL;
  make_current(p, s, now_ns);
  return true;
}

struct pmp_snapshot *pmp_publisher_find(const struct pmp_publisher *p, uint64_t version) {
  if (p->count == 0) return NULL;
  if (version == 0) return p->kept[p->count - 1];
  for (uint32_t i = p->count; i > 0; i--) {
    if (p->kept[i - 1]->version == version) return p->kept[i - 1];
  }
  return NULL;
}

uint64_t pmp_publisher_version(const struct pmp_publisher *p) {
  return p->count ? p->kept[p->count - 1]->version : 0;
}

bool pmp_publisher_wait(struct pmp_publisher *p, struct pmp_call *call, uint64_t newer_than,
                        int64_t until_ns) {
  if (p->waiters == p->waiters_max) return false;
  p->waiter[p->waiters++] =
      (struct pmp_waiter){.call = call, .newer_than = newer_than, .until_ns = until_ns};
  return true;
}

bool pmp_publisher_due(struct pmp_publisher *p, int64_t now_ns, struct pmp_call **call) {
  const uint64_t version = pmp_publisher_version(p);
  for (uint32_t i = 0; i < p->waiters; i++) {
    if (version <= p->waiter[i].newer_than && now_ns < p->waiter[i].until_ns) continue;
    *call = p->waiter[i].call;
    p->waiter[i] = p->waiter[--p->waiters];
    return true;
  }
  return false;
}

void pmp_publisher_hurry(struct pmp_publisher *p) {
  for (uint32_t i = 0; i < p->waiters; i++) p->waiter[i].until_ns = INT64_MIN;
}

void pmp_publisher_sweep(struct pmp_publisher *p, int64_t now_ns) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < p->count; i++) bytes += p->kept[i]->floats * sizeof(float);
  while (p->count > 1 &&
         (now_ns - p->kept[0]->superseded_ns > p->keep_ns || bytes > p->keep_bytes)) {
    bytes -= p->kept[0]->floats * sizeof(float);
    drop_oldest(p);
    p->expired++;
  }
}
