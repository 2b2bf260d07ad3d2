/* Evaluation of a policy: whole episodes, nothing appended. */
#ifndef PMP_CONTROL_EVALUATE_H
#define PMP_CONTROL_EVALUATE_H

#include "actors/control/actions.h"
#include "actors/control/batch.h"
#include "actors/control/progress.h"
#include "actors/runtime/stop.h"

struct pmp_evaluation {
  double mean, min, max; /* of the returns */
  double std_error;      /* of the mean: sample deviation / sqrt(episodes); 0 with one episode */
  uint32_t episodes;
  uint32_t diverged; /* of them, ended by the physics; their returns count as they are */
  uint64_t version, learner_step;
};

/* Runs `episodes` episodes, as many at once as the batch has environments. `progress` is told how
 * far it is. PMP_ECLOSED when `stop` is asked for. */
PMP_MUST_CHECK enum pmp_err pmp_evaluate(struct pmp_env_batch *b, struct pmp_actions *actions,
                                         const struct pmp_stop *stop, uint32_t episodes,
                                         struct pmp_progress *progress, struct pmp_evaluation *out,
                                         struct pmp_errmsg *msg);

#endif
