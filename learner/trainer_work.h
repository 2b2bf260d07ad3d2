/* One learner step, as its parts see it. Private to learner/trainer*.c.
 *
 * trainer_step.c draws and joins, trainer_judge.c gives verdicts, trainer_policy.c makes the
 * policy's gradient, trainer_exact.c the closed form. Nothing that outlives the step is changed
 * before every gradient of it is known to be finite. */
#ifndef PMP_LEARNER_TRAINER_WORK_H
#define PMP_LEARNER_TRAINER_WORK_H

#include "learner/trainer_state.h"

/* What a step works on; arrays in the arena. Conditions: those of the batch, then further ones for
 * the KL only. */
struct pmp_trainer_work {
  struct pmp_batch batch;
  size_t b, n;    /* all conditions; outcomes that the objective sees */
  const float *x; /* (b x obs), with a critic followed by the batch's bootstrap observations; NULL:
                     no condition */
  const float *seen;      /* x as the reference and the critic see it: normalised, else x itself */
  float *ref_head;        /* as many rows as x */
  float *y;               /* (n x D) */
  const uint32_t *x_of_y; /* (n); NULL: n / b each */
  int8_t *verdict;        /* (n) */
  const double *weight;   /* (n); NULL: ones */
  const double *f;        /* (n) NaN where not known; NULL: not known */
  const double *cost;     /* (n) squared distance to the box; NULL: not wanted */
  int64_t time;           /* of the last lap */
};

/* Adds the time since the last lap. */
void pmp_trainer_lap(const struct pmp_trainer *t, struct pmp_trainer_work *w, int64_t *into);
/* Floats of the step's arena; NULL when it is full. */
float *pmp_trainer_floats(struct pmp_trainer *t, size_t count);
double *pmp_trainer_doubles(struct pmp_trainer *t, size_t count);
bool pmp_trainer_all_finite(const float *x, size_t n);

/* Gradient of the values' loss into critic_grad (judge critic; label rule value). */
PMP_MUST_CHECK enum pmp_err pmp_trainer_learn_values(struct pmp_trainer *t,
                                                     struct pmp_trainer_work *w,
                                                     struct pmp_step_metrics *m);
/* Outcomes and their verdicts, weights, evaluations; counts them. */
PMP_MUST_CHECK enum pmp_err pmp_trainer_judge(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                              struct pmp_step_metrics *m);
/* The policy's gradient into pi_grad, that of the dual variables into dual_grad. PMP_ENONFINITE:
 * see pmp_trainer_step; `without`: leave the rejected out from the start. */
PMP_MUST_CHECK enum pmp_err pmp_trainer_learn_policy(struct pmp_trainer *t,
                                                     struct pmp_trainer_work *w, bool without,
                                                     struct pmp_step_metrics *m,
                                                     struct pmp_errmsg *msg);
/* The objective has a set of rejected that a step can leave out (pmpo, boltzmann). */
bool pmp_trainer_has_sets(const struct pmp_trainer *t);
/* Is there anything in the batch that the objective learns from? Reads the denominators. */
bool pmp_trainer_informs(const struct pmp_trainer *t, const struct pmp_objective_in *in);
/* Mean entropy and std of b heads. */
void pmp_trainer_describe(struct pmp_trainer *t, size_t b, const float *head,
                          struct pmp_step_metrics *m);
/* Improvement exact: the batch's outcomes of the current reference are added to what the closed
 * form has seen. */
PMP_MUST_CHECK enum pmp_err pmp_trainer_collect(struct pmp_trainer *t, struct pmp_trainer_work *w,
                                                struct pmp_step_metrics *m);

#endif
