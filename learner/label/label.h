/* From evaluations to verdicts (objectives.md 4). Pure functions; any thread. */
#ifndef PMP_LEARNER_LABEL_LABEL_H
#define PMP_LEARNER_LABEL_LABEL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum pmp_label_rule {
  PMP_LABEL_TOP_K = 0, /* best k accepted, worst k_rejected rejected, the middle unlabelled; ties by
                          order of arrival */
  PMP_LABEL_MEAN,      /* f >= mean of the group accepted */
  PMP_LABEL_MEDIAN,    /* f >= median of the group accepted */
  PMP_LABEL_VALUE      /* f >= baseline[x] accepted */
};

#define PMP_LABEL_GROUP_MAX 4096

/* verdict (groups x m; 1, -1, 0) from f (groups x m), 1 <= m <= PMP_LABEL_GROUP_MAX. top_k: the
 * best k accepted, the worst k_rejected rejected, not both 0; a group that is smaller than their
 * sum gives floor of its share of each (of 2 and 2, a group of 3 gives 1 and 1), and a group of 1
 * stays unlabelled. Of equal values the earlier is the better. The median of an even group is the
 * middle of its two middle values. baseline (groups), for VALUE only, else NULL. PMP_ENONFINITE
 * when an f or a baseline is not finite: nothing is labelled (all 0); PMP_EINVALID. */
PMP_MUST_CHECK enum pmp_err pmp_label_groups(enum pmp_label_rule rule, size_t groups, size_t m,
                                             uint32_t k, uint32_t k_rejected, const float *f,
                                             const float *baseline, int8_t *verdict);

#endif
