/* What a mistyped name of a series or a number may have meant.
 *
 * Pure; any thread. */
#ifndef PMP_PMPOCTL_NAMES_H
#define PMP_PMPOCTL_NAMES_H

#include "base/nearest.h"

#include <stdbool.h>

#define PMP_NAMES_TEXT 320

struct pmp_names {
  struct pmp_nearest nearest;
  bool known; /* one of the names offered was the name itself */
  char name[PMP_NEAREST_MOST + 1][PMP_NEAREST_NAME_MAX + 1]; /* copies of the nearest, and a place
                                                                for the next */
};

/* `name` is borrowed. */
void pmp_names_init(struct pmp_names *n, const char *name);
/* One name that there is. "eval_return" is near to "actor.eval_return". */
void pmp_names_offer(struct pmp_names *n, const char *candidate);
/* "; did you mean a, b or c?", or `otherwise` when nothing is near. */
const char *pmp_names_text(const struct pmp_names *n, const char *otherwise,
                           char out[PMP_NAMES_TEXT]);

#endif
