/* Which of many names somebody may have meant who mistyped one: those with the fewest insertions,
 * deletions, replacements and swaps of neighbours between them, case aside.
 *
 * Pure; any thread. Names are compared by their first PMP_NEAREST_NAME_MAX bytes. */
#ifndef PMP_BASE_NEAREST_H
#define PMP_BASE_NEAREST_H

#include <stddef.h>

enum { PMP_NEAREST_MOST = 4, PMP_NEAREST_NAME_MAX = 95 };

struct pmp_nearest {
  const char *name; /* as mistyped; not owned */
  size_t most;      /* candidates kept, <= PMP_NEAREST_MOST */
  size_t far;       /* a candidate at this distance or more is none */
  size_t count;     /* kept so far */
  size_t index[PMP_NEAREST_MOST], distance[PMP_NEAREST_MOST]; /* (count), the nearest first */
};

/* The distance of two names. */
size_t pmp_nearest_distance(const char *a, const char *b);
/* Nothing is kept yet. */
void pmp_nearest_init(struct pmp_nearest *n, const char *name, size_t most, size_t far);
/* Looks at one candidate; of equally near ones those offered first are kept. One that begins with
 * the name (of three bytes or more) is at distance 0. */
void pmp_nearest_offer(struct pmp_nearest *n, size_t index, const char *candidate);

#endif
