/* The queue: runs that are not done, so many at once, until all are done, have failed or somebody
 * stops it.
 *
 * One thread. Blocks until then. */
#ifndef PMP_PMPOCTL_CAMPAIGN_QUEUE_H
#define PMP_PMPOCTL_CAMPAIGN_QUEUE_H

#include "clients/pmpoctl/campaign_progress.h"

struct pmp_queue_options {
  uint32_t jobs;    /* runs at once, 1..PMP_CAMPAIGN_JOBS_MAX */
  const char *only; /* nullable: a glob on TASK.VARIANT.SEED */
  bool retry;       /* runs that failed too */
  enum pmp_campaign_form form;
};

struct pmp_queue_outcome {
  uint32_t total, done, failed; /* of the runs that `only` names */
  bool stopped;                 /* by world->stop */
};

/* Does `only` (nullable) name the run? */
bool pmp_queue_takes(const struct pmp_campaign *c, struct pmp_campaign_run_id id, const char *only);
/* PMP_EIO, PMP_ENOSPC, ...: the ledger or a folder cannot be written; the children are gone then
 * too. */
PMP_MUST_CHECK enum pmp_err pmp_queue_run(const struct pmp_campaign_world *w,
                                          const struct pmp_queue_options *o,
                                          struct pmp_queue_outcome *out, struct pmp_errmsg *msg);

#endif
