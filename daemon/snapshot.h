/* An immutable, reference-counted copy of a policy's parameters: what the learner hands out and
 * actors fetch. Any thread may hold and release. */
#ifndef PMP_DAEMON_SNAPSHOT_H
#define PMP_DAEMON_SNAPSHOT_H

#include "policy/params.h"

#include <stdatomic.h>
#include <stdbool.h>

struct pmp_snapshot {
  _Atomic int refs;
  uint64_t version, step;
  bool policy; /* of pi, not of the reference; version is then the learner's step */
  size_t floats;
  float *data; /* owned */
  char hash[33];
  int64_t published_ns, superseded_ns; /* the publisher's */
};

/* Copies and hashes (on the learner's thread). NULL when there is no memory. One reference, the
 * caller's. */
struct pmp_snapshot *pmp_snapshot_new(const struct pmp_manifest *manifest, const float *params,
                                      uint64_t version, uint64_t step, bool policy);
struct pmp_snapshot *pmp_snapshot_hold(struct pmp_snapshot *s);
void pmp_snapshot_release(struct pmp_snapshot *s); /* NULL is fine */

#endif
