/* How the flat state of learner/improve/ is laid out, for its own files only. Sums are of z = L^-1
 * (y - m), the outcome as the reference drew it from standard normal numbers. Belongs to no thread.
 */
#ifndef PMP_LEARNER_IMPROVE_STATE_H
#define PMP_LEARNER_IMPROVE_STATE_H

#include "learner/improve/improve.h"

enum { PMP_IMPROVE_ACCEPTED = 0, PMP_IMPROVE_REJECTED = 1 };

/* The state's first doubles. Index: accepted, rejected. */
enum {
  PMP_IMPROVE_COUNT = 0,   /* outcomes added */
  PMP_IMPROVE_REJECTS = 1, /* rejected outcomes added */
  PMP_IMPROVE_WEIGHT = 2,  /* sums of weights (2) */
  PMP_IMPROVE_WEIGHT2 = 4, /* sums of squared weights (2) */
  PMP_IMPROVE_START = 6,   /* share of its start, 0, in the scale path's variance; 1 at first */
  PMP_IMPROVE_HEADER = 7
};

/* Where a state's parts begin. M = D x D (its lower triangle is filled) or D for a diagonal. */
struct pmp_improve_view {
  double *header;
  double *first[2];  /* sums of w z (D); categorical: of w by action */
  double *second[2]; /* sums of w z z' (M); categorical: empty */
  double *path[2];   /* scale, shape (D each), in the units of z; empty without memory */
  double *scratch;   /* 3 M, full Gaussian only; zero between calls */
};

struct pmp_improve_view pmp_improve_view(const struct pmp_improve_config *config, double *state);

/* The two sets as a step sees them. */
struct pmp_improve_sets {
  double share[2];  /* alpha, 1 - alpha; 0 when that set is empty */
  double weight[2]; /* 1 / sum of weights; 0 when that set is empty */
  double d;         /* share[accepted] - share[rejected] */
  double effective; /* n_e: outcomes of equal weight whose mean scatters as the signed mean does */
};

/* Steps of Gaussians (gaussian.c); one of the sets is not empty. `natural` and the paths change on
 * success only; the caller forgets the sums. */
PMP_MUST_CHECK enum pmp_err pmp_improve_step_full(const struct pmp_improve_config *config,
                                                  const struct pmp_improve_sets *sets,
                                                  const struct pmp_improve_view *state,
                                                  double *natural, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_improve_step_diag(const struct pmp_improve_config *config,
                                                  const struct pmp_improve_sets *sets,
                                                  const struct pmp_improve_view *state,
                                                  double *natural, struct pmp_errmsg *msg);

#endif
