/* What episodes and evaluations came to: a count, the last few, the best. One for the run's task
 * and one for each actor, filled by the actors' reports.
 *
 * Plain data of fixed size; the loop's thread. Knows no session and no wire. */
#ifndef PMP_DAEMON_TALLY_H
#define PMP_DAEMON_TALLY_H

#include "proto/wire.h"

#define PMP_TALLY_RECENT 10

struct pmp_tally {
  uint64_t episodes, diverged;     /* "return"; "diverged" of them */
  double recent[PMP_TALLY_RECENT]; /* returns; episode i at i % PMP_TALLY_RECENT */
  double best;
  /* "eval_return": the last one, as it was reported */
  uint64_t evaluations;
  double eval, eval_best;
  double eval_min, eval_max, eval_stderr, eval_episodes; /* NaN where not reported */
  uint64_t eval_env_steps, eval_version;                 /* of the weights that were evaluated */
  uint64_t eval_step;                                    /* learner's, when the report came */
  int64_t eval_ns;                                       /* monotonic */
};

/* Takes the numbers of a report that it knows; the others are nobody's business here. */
void pmp_tally_report(struct pmp_tally *t, const struct pmp_report *r, uint64_t step,
                      int64_t now_ns);
/* Mean of the last returns; *of: of how many, at most PMP_TALLY_RECENT. NaN: none. */
double pmp_tally_mean(const struct pmp_tally *t, uint32_t *of);
/* NaN: none. */
double pmp_tally_last(const struct pmp_tally *t);

#endif
