/* The fields of a JSON object, each by its name: a number in a range, one word of several, a known
 * key. What is null counts as not given.
 *
 * Pure functions; any thread. */
#ifndef PMP_CLIENTS_PMPO_EVAL_FIELD_H
#define PMP_CLIENTS_PMPO_EVAL_FIELD_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

/* The value, or NULL when it is missing or null. */
const json_t *pmp_field(const json_t *object, const char *name);
/* *out becomes the number when it is given. PMP_EINVALID when it is none or fails low <= number <=
 * high; `range` says that in words. */
PMP_MUST_CHECK enum pmp_err pmp_field_number(const json_t *object, const char *name, double low,
                                             double high, const char *range, double *out,
                                             struct pmp_errmsg *msg);
/* *out becomes the index in `words` (NULL-terminated) when the field is given. */
PMP_MUST_CHECK enum pmp_err pmp_field_word(const json_t *object, const char *name,
                                           const char *const *words, int *out,
                                           struct pmp_errmsg *msg);
/* PMP_EINVALID when `object` has a key that is not one of `names` (NULL-terminated), with the
 * nearest of them. `place` begins the sentence, such as "pi: " or "". */
PMP_MUST_CHECK enum pmp_err pmp_field_known(json_t *object, const char *place,
                                            const char *const *names, struct pmp_errmsg *msg);
/* The nearest of `names` by edit distance, case aside; NULL when none is near. */
const char *pmp_field_nearest(const char *name, const char *const *names);

#endif
