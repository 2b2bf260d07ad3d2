/* One bandit run through the real daemon and the real actor in lockstep, held against the same run
 * in this process.
 *
 * Starts pmpod, pmpo-actor and pmpoctl from the folder of this program, in a folder of its own, and
 * ends what it started. Blocks. */
#ifndef PMP_EXPERIMENTS_END_TO_END_H
#define PMP_EXPERIMENTS_END_TO_END_H

#include "experiments/experiment.h"

/* Functions, methods and dims of the options: the first of each (sphere, AR, 2). *failed: 1 when
 * the two runs do not agree. */
PMP_MUST_CHECK enum pmp_err pmp_end_to_end_run(const struct pmp_experiment_options *o,
                                               uint32_t *failed, struct pmp_errmsg *msg);

#endif
