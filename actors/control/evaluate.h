/* Evaluation of a policy: whole episodes, nothing appended. */
#ifndef PMP_CONTROL_EVALUATE_H
#define PMP_CONTROL_EVALUATE_H

#include "actors/control/batch.h"
#include "actors/runtime/session.h"

struct pmp_evaluation {
  double mean, min, max; /* of the returns */
  uint32_t episodes;
  uint64_t version, learner_step;
};

/* Runs `episodes` episodes with the weights in use, as many at once as the batch has environments;
 * with the mean action, or with drawn ones when rng is not NULL. PMP_ECLOSED when the session
 * stops. */
PMP_MUST_CHECK enum pmp_err pmp_evaluate(struct pmp_env_batch *b, struct pmp_actor_session *s,
                                         uint32_t episodes, struct pmp_rng *rng,
                                         struct pmp_evaluation *out, struct pmp_errmsg *msg);

#endif
