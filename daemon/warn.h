/* What a person should look at in a run that goes on: the alarms of docs/operations.md in words.
 *
 * Pure; any thread. */
#ifndef PMP_DAEMON_WARN_H
#define PMP_DAEMON_WARN_H

#include "daemon/learn.h"
#include "daemon/tally.h"

#define PMP_WARN_BYTES 1024

struct pmp_warn_facts {
  const struct pmp_learn_status *learn;
  const struct pmp_store_stats *store;
  const struct pmp_tally *tally;          /* of the task */
  const struct pmp_objective *objective;  /* of the run */
  uint32_t actors, active;                /* sessions of actors; heard of within the last minute */
  bool people;                            /* judged by people: a run waits for them for hours */
  uint64_t refused_invalid, metrics_lost; /* requests; batches of metrics */
};

/* A line for each, the gravest first, without a line break at the end; "" when all is well. Those
 * that do not fit are left out. Returns how many there are. */
uint32_t pmp_warnings(const struct pmp_warn_facts *f, char out[PMP_WARN_BYTES]);

#endif
