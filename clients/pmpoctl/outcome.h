/* One line of a file of outcomes: {"x": .., "y": .., "verdict": .., "weight": .., "f": ..,
 * "group": ..} held against what a run takes.
 *
 * Pure but for jansson's memory; any thread. Knows neither files nor chunks. */
#ifndef PMP_PMPOCTL_OUTCOME_H
#define PMP_PMPOCTL_OUTCOME_H

#include "base/err.h"
#include "proto/chunk.h"

#include <stdbool.h>

#define PMP_OUTCOME_GROUP_MAX 256 /* bytes of a group's name */

/* What a line must look like, taken from a run. */
struct pmp_outcome_form {
  uint32_t rank;                       /* of x; 0: a run without conditions */
  uint64_t shape[PMP_TENSOR_RANK_MAX]; /* of x */
  size_t obs;                          /* numbers of x */
  uint32_t dim, bins;                  /* y: numbers, or with bins > 0 indices below it */
  bool ignore_unknown;                 /* keys that no row has are passed over */
};
/* PMP_EUNAVAILABLE: a run whose rows no file of outcomes can give (trajectories). */
PMP_MUST_CHECK enum pmp_err pmp_outcome_form(const struct pmp_spec *spec,
                                             struct pmp_outcome_form *form, struct pmp_errmsg *msg);
/* Bytes that the longest line may reasonably take. */
size_t pmp_outcome_line_max(const struct pmp_outcome_form *form);

struct pmp_outcome {
  float *x;       /* (form.obs) the caller's memory */
  float *y;       /* (form.dim) the caller's memory; bins: the indices, exact */
  int8_t verdict; /* 1, -1; 0: none */
  float weight;   /* >= 0 */
  float f;
  bool has_f;
  size_t group_size; /* 0: none was given */
  char group[PMP_OUTCOME_GROUP_MAX + 1];
};
/* Fills out from a line. PMP_EINVALID says what is wrong and what would be right. */
PMP_MUST_CHECK enum pmp_err pmp_outcome_parse(const struct pmp_outcome_form *form, const char *text,
                                              size_t size, struct pmp_outcome *out,
                                              struct pmp_errmsg *msg);

#endif
