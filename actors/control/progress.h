/* How far a long piece of work is, as one line that is rewritten on a terminal; nothing where
 * nobody watches.
 *
 * Owned by one thread. */
#ifndef PMP_CONTROL_PROGRESS_H
#define PMP_CONTROL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct pmp_progress {
  FILE *out; /* not owned; NULL: silent */
  const char *what;
  int64_t start_ns, next_ns;
  bool shown;
};

/* `what` ("evaluating") outlives it. Silent when `quiet` or when `out` is no terminal. */
void pmp_progress_begin(struct pmp_progress *p, FILE *out, const char *what, bool quiet);
/* Called as often as one likes; writes a few times a second, and not in the first one. */
void pmp_progress_show(struct pmp_progress *p, double fraction);
/* Takes the line away. */
void pmp_progress_end(struct pmp_progress *p);

#endif
