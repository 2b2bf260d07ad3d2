/* Lists of lists of numbers: from JSON with every fault named by its place, and back.
 *
 * Functions over memory of their own: no I/O; any thread. Knows nothing of what the numbers mean.
 */
#ifndef PMP_CLIENTS_PMPO_EVAL_TENSOR_H
#define PMP_CLIENTS_PMPO_EVAL_TENSOR_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define PMP_TENSOR_RANK_MAX 3

struct pmp_tensor {
  unsigned rank;                    /* 1..PMP_TENSOR_RANK_MAX */
  size_t dims[PMP_TENSOR_RANK_MAX]; /* outermost first; those after an empty one are 0 */
  double *data;                     /* owned; row-major; never NULL after a read */
};

/* "a number", "a list", ... for a sentence about what was found. */
const char *pmp_tensor_kind(const json_t *value);
/* Reads `rank` levels of lists, all of a level equally long. `name` ("pi.mean") and `shape` ("one
 * list of numbers a condition") are for the messages. With null_is_minus_infinity, null is
 * -INFINITY. PMP_EINVALID with the place; PMP_ENOMEM. t needs no init. */
PMP_MUST_CHECK enum pmp_err pmp_tensor_read(struct pmp_tensor *t, const json_t *value,
                                            const char *name, const char *shape, unsigned rank,
                                            bool null_is_minus_infinity, struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_tensor_fini(struct pmp_tensor *t);
/* `rank` nested lists of `data` (row-major; every number finite). A new reference; NULL when memory
 * ends. */
json_t *pmp_tensor_write(const double *data, unsigned rank, const size_t *dims);

#endif
