/* The publisher: versions of the reference that actors may fetch, who waits for a newer one, and
 * the durable reservation of version numbers. Loop thread only. */
#ifndef PMP_DAEMON_PUBLISH_H
#define PMP_DAEMON_PUBLISH_H

#include "base/clock.h"
#include "daemon/snapshot.h"
#include "daemon/transport.h"

#define PMP_PUBLISH_KEEP_MAX 256

struct pmp_waiter { /* a long poll */
  struct pmp_call *call;
  uint64_t newer_than;
  int64_t until_ns;
};

struct pmp_publisher {
  struct pmp_snapshot
      *kept[PMP_PUBLISH_KEEP_MAX]; /* references, oldest first; the last is current */
  uint32_t count;
  struct pmp_snapshot *pending; /* newest, waits until its number is reserved */
  struct pmp_snapshot *policy;  /* newest snapshot of pi that somebody asked for */
  uint64_t reserved;            /* version numbers up to here are on disk as used */
  bool reserving;
  bool at_once; /* lockstep: a number is out without waiting for its reservation, which is made all
                   the same, for a resume without lockstep */
  int64_t keep_ns;
  size_t keep_bytes;
  struct pmp_waiter *waiter; /* owned, [waiters_max] */
  uint32_t waiters, waiters_max;
  uint64_t published, expired;
};

PMP_MUST_CHECK enum pmp_err pmp_publisher_init(struct pmp_publisher *p, int64_t keep_ns,
                                               size_t keep_bytes, uint32_t waiters_max);
void pmp_publisher_fini(struct pmp_publisher *p);
/* Takes over the caller's reference. true: it is current now; false: it waits for its number's
 * reservation (up to `want`). */
bool pmp_publisher_offer(struct pmp_publisher *p, struct pmp_snapshot *s, int64_t now_ns,
                         uint64_t *want);
/* Numbers up to `reserved` are on disk; true when a pending snapshot became current. */
bool pmp_publisher_reserved(struct pmp_publisher *p, uint64_t reserved, int64_t now_ns);
/* Newest (version 0) or that one; NULL. Borrowed until the next sweep or offer. */
struct pmp_snapshot *pmp_publisher_find(const struct pmp_publisher *p, uint64_t version);
/* Version that actors are told of; 0: none yet. */
uint64_t pmp_publisher_version(const struct pmp_publisher *p);
/* false: too many wait already. */
bool pmp_publisher_wait(struct pmp_publisher *p, struct pmp_call *call, uint64_t newer_than,
                        int64_t until_ns);
/* A waiter that can be answered (something newer is out) or whose time is up; false when there is
 * none. */
bool pmp_publisher_due(struct pmp_publisher *p, int64_t now_ns, struct pmp_call **call);
/* The time of all that wait is up. */
void pmp_publisher_hurry(struct pmp_publisher *p);
/* Drops versions that were superseded long enough ago or are too many. */
void pmp_publisher_sweep(struct pmp_publisher *p, int64_t now_ns);

#endif
