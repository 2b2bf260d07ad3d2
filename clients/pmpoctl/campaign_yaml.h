/* A YAML file as it was written: where each value stands, and a file of sections as one flat object
 * of texts. What libcyaml's schema has no words for.
 *
 * One thread; blocks on the disk when it opens. */
#ifndef PMP_PMPOCTL_CAMPAIGN_YAML_H
#define PMP_PMPOCTL_CAMPAIGN_YAML_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

struct pmp_yaml; /* opaque */

/* PMP_ENOTFOUND, PMP_EINVALID (the fault with its line), PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_yaml_open(struct pmp_yaml **y, const char *path,
                                          struct pmp_errmsg *msg);
/* NULL is fine. */
void pmp_yaml_close(struct pmp_yaml *y);
/* Line, counted from 1, of the value at key, at key[index] (index >= 0) or at key[index].below
 * (below not NULL); the nearest one above it that is there, when it is not. */
unsigned pmp_yaml_line(const struct pmp_yaml *y, const char *key, int index, const char *below);
/* Is there a value at that place, if an empty one? */
bool pmp_yaml_has(const struct pmp_yaml *y, const char *key, int index, const char *below);
/* The line of the second of two equal keys of one mapping; 0: there are none. */
unsigned pmp_yaml_repeated_key(const struct pmp_yaml *y);
/* A new object {"section.key": "text", ...}; lists as "[a, b]". NULL when there is no memory. */
json_t *pmp_yaml_flat(const struct pmp_yaml *y);

#endif
