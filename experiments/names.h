/* Lists of names on the command line, with commas between.
 *
 * Pure functions; any thread. */
#ifndef PMP_EXPERIMENTS_NAMES_H
#define PMP_EXPERIMENTS_NAMES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Names that there are: the i-th, NULL past the end. */
typedef const char *(*pmp_names_at)(size_t i);

/* Is `name` in the list (NULL: everything is)? */
bool pmp_names_listed(const char *list, const char *name);
/* PMP_EINVALID, naming each word of the list that is none of `at`'s, and those that there are.
 * NULL: nothing to check. */
PMP_MUST_CHECK enum pmp_err pmp_names_check(const char *option, const char *list, pmp_names_at at,
                                            struct pmp_errmsg *msg);
/* All names with ", " between. */
void pmp_names_join(pmp_names_at at, char *out, size_t size);

#endif
