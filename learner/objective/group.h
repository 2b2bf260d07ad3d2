/* Conditions one by one, and the softmax weights over a condition's outcomes that boltzmann and mpo
 * share. */
#ifndef PMP_LEARNER_OBJECTIVE_GROUP_H
#define PMP_LEARNER_OBJECTIVE_GROUP_H

#include "learner/objective/objective.h"

/* The outcomes of one condition: [first, last). */
struct pmp_objective_group {
  size_t x, first, last;
};

/* PMP_EINVALID when x_of_y falls or names a condition that is none; PMP_ENONFINITE when an f is
 * infinite (NaN says: not evaluated). Walking is only defined after this. */
PMP_MUST_CHECK enum pmp_err pmp_objective_groups_check(const struct pmp_objective_in *in);
/* The next condition that has outcomes; false at the end. Starts from a zeroed group. */
bool pmp_objective_next_group(const struct pmp_objective_in *in, struct pmp_objective_group *g);

static inline double pmp_objective_weight(const struct pmp_objective_in *in, size_t j) {
  return in->weight != NULL ? in->weight[j] : 1.0;
}

/* Has an evaluation and a weight. */
static inline bool pmp_objective_is_judged(const struct pmp_objective_in *in, size_t j) {
  return in->f != NULL && in->f[j] == in->f[j] && pmp_objective_weight(in, j) > 0.0;
}

/* q_j = w_j exp(slope v_j) / sum over the judged outcomes of a group, v = f or cost. */
struct pmp_objective_tilt {
  const double *value;
  double slope;
  double top;    /* the v of the largest slope v: exponents are slope (v - top) <= 0 */
  double sum;    /* of w exp(slope (v - top)) */
  double weight; /* of w */
  double mean;   /* of slope (v - top) under q */
  double square; /* of its square */
};

/* False when the group has no judged outcome. slope must be finite. */
bool pmp_objective_tilt(const struct pmp_objective_in *in, const struct pmp_objective_group *g,
                        const double *value, double slope, struct pmp_objective_tilt *t);
/* q_j; 0 for an outcome that is not judged. */
double pmp_objective_tilt_share(const struct pmp_objective_in *in,
                                const struct pmp_objective_tilt *t, size_t j);
/* Number of groups with a judged outcome. */
double pmp_objective_count_judged(const struct pmp_objective_in *in);

#endif
