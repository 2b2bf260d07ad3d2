/* Parameters: one flat float32 buffer and a manifest that names its parts.
 *
 * The optimiser, the average over several learners, checkpoints, hashes and the wire all see the
 * flat buffer; only a network knows what a view means. Immutable after it is built; any thread may
 * read. */
#ifndef PMP_POLICY_PARAMS_H
#define PMP_POLICY_PARAMS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define PMP_VIEW_NAME_MAX 64
#define PMP_VIEW_RANK_MAX 4
#define PMP_VIEWS_MAX 64

struct pmp_view {
  char name[PMP_VIEW_NAME_MAX]; /* "policy/linear_0/weight" */
  uint32_t rank;
  uint32_t shape[PMP_VIEW_RANK_MAX]; /* row major */
  size_t offset, count;              /* in floats */
};

struct pmp_manifest {
  struct pmp_view view[PMP_VIEWS_MAX];
  uint32_t views;
  size_t floats; /* total */
};

/* Appends a view behind the last one. PMP_ETOOLARGE beyond PMP_VIEWS_MAX, PMP_EINVALID for a name
 * too long or twice. */
PMP_MUST_CHECK enum pmp_err pmp_manifest_add(struct pmp_manifest *m, const char *name,
                                             uint32_t rank, const uint32_t *shape, size_t *offset);
const struct pmp_view *pmp_manifest_find(const struct pmp_manifest *m,
                                         const char *name); /* NULL when absent */
/* PMP_OK when names, shapes and order agree, else PMP_ECONFLICT with the first difference in msg.
 */
PMP_MUST_CHECK enum pmp_err pmp_manifest_match(const struct pmp_manifest *want,
                                               const struct pmp_manifest *have,
                                               struct pmp_errmsg *msg);

/* XXH3-128 of the floats (little-endian) and of names and shapes, as 32 lower-case hex digits and
 * NUL. */
void pmp_params_hash(const struct pmp_manifest *m, const float *params, char out[33]);

#endif
