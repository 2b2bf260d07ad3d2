/* The tasks there are, with their sizes, for people and for programs. */
#ifndef PMP_CONTROL_LIST_H
#define PMP_CONTROL_LIST_H

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>

/* Writes every task to `out`: a table, or with `json` one object a line with task, observation and
 * action (numbers of each), control_timestep (seconds), substeps (physics steps in it) and
 * episode_steps. Reads the model files below suite_dir for their physics steps. PMP_ENOTFOUND,
 * PMP_EIO, PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_tasks_list(FILE *out, bool json, const char *suite_dir,
                                           struct pmp_errmsg *msg);

#endif
