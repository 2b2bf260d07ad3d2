/* Who labels: how many verdicts each has given, and when it was last heard.
 *
 * A table that grows with people, sorted by name. Loop thread only; plain memory. */
#ifndef PMP_DAEMON_LABELERS_H
#define PMP_DAEMON_LABELERS_H

#include "base/err.h"
#include "store/store.h"

struct pmp_labeler {
  char name[PMP_STORE_NAME_MAX];
  uint64_t given;   /* verdicts kept, withdrawals not counted */
  uint64_t pending; /* on their way to the disk */
  int64_t heard_ns; /* 0: not in this process */
};

struct pmp_labelers {
  struct pmp_labeler *one; /* owned, [room], sorted by name */
  uint32_t count, room;
};

/* Safe on a zeroed struct, which is an empty table. */
void pmp_labelers_fini(struct pmp_labelers *l);
/* The labeler of this name, made when unknown; valid until the next call. NULL: no memory. */
struct pmp_labeler *pmp_labelers_get(struct pmp_labelers *l, const char *name);
/* How many were heard since then. */
uint32_t pmp_labelers_since(const struct pmp_labelers *l, int64_t ns);

#endif
