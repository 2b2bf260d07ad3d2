/* How the flat state of learner/improve/ is laid out, for its own files only. `sums` of accepted and
 * rejected are of z = L^-1 (y - m), the outcome as the reference drew it. Belongs to no thread. */
#ifndef PMP_LEARNER_IMPROVE_STATE_H
#define PMP_LEARNER_IMPROVE_STATE_H

#include "learner/improve/improve.h"

struct improve_header {
  double count;    /* outcomes added */
  double w[2];     /* sums of weights: accepted, rejected */
  double w2[2];    /* sums of squared weights */
  double unsettled; /* how much of the step-size path's beginning, 0, is still in it; 1 at first */
};

enum { IMPROVE_HEADER = 6, IMPROVE_ACCEPTED = 0, IMPROVE_REJECTED = 1 };

/* Pointers into a state. Gaussian: M = D x D (lower triangle filled) or D. */
struct improve_view {
  struct improve_header *header;
  double *first[2];  /* sums of w z (D); categorical: of w by action */
  double *second[2]; /* sums of w z z' (M); categorical: NULL */
  double *paths[2];  /* of the scale and of the shape (D each), in units of z; NULL without */
  double *scratch;   /* 3 M; zero between calls */
};

void pmp_improve_view(const struct pmp_improve_config *config, double *state,
                      struct improve_view *out);

/* The two sets as the step sees them. */
struct improve_sets {
  double share[2]; /* alpha and 1 - alpha; 0 when the set is empty */
  double signed_sum; /* d: accepted less rejected */
  double effective; /* number of equally weighted outcomes that would scatter alike */
};

/* Gaussian steps (gaussian.c); sets are not both empty. */
PMP_MUST_CHECK enum pmp_err pmp_improve_step_full(const struct pmp_improve_config *config,
                                                  const struct improve_sets *sets,
                                                  struct improve_view *state, double *natural,
                                                  struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_improve_step_diag(const struct pmp_improve_config *config,
                                                  const struct improve_sets *sets,
                                                  struct improve_view *state, double *natural,
                                                  struct pmp_errmsg *msg);

#endif
