/* What a ledger comes to: summary.txt, summary.csv and summary.png. Each value is a mean over seeds
 * with a stratified bootstrap interval (tasks are the strata); "all" is the mean over the tasks.
 *
 * One thread. Blocks on the disk and while gnuplot runs. */
#ifndef PMP_PMPOCTL_CAMPAIGN_SUMMARY_H
#define PMP_PMPOCTL_CAMPAIGN_SUMMARY_H

#include "clients/pmpoctl/campaign_ledger.h"
#include "clients/pmpoctl/campaign_stats.h"

#include <stdio.h>

/* One cell: a variant on a task, or on all tasks, at one mark. */
struct pmp_results_cell {
  uint32_t n; /* seeds that are there; 0: the rest says nothing. Of all tasks: the least */
  struct pmp_interval interval;
  double median, p10, p90, min, max; /* over seeds; of all tasks: NAN */
};

struct pmp_results {
  const struct pmp_campaign *campaign; /* borrowed */
  const struct pmp_ledger *ledger;     /* borrowed */
  uint32_t marks;
  struct pmp_results_cell *cell; /* owned, (variants x (tasks + 1) x marks) */
};

PMP_MUST_CHECK enum pmp_err pmp_results_init(struct pmp_results *s, const struct pmp_campaign *c,
                                             const struct pmp_ledger *l, struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_results_fini(struct pmp_results *s);
/* task == c->tasks: all of them. mark from 1. */
const struct pmp_results_cell *pmp_results_at(const struct pmp_results *s, uint32_t task,
                                              uint32_t variant, uint32_t mark);

void pmp_results_text(const struct pmp_results *s, FILE *out);
void pmp_results_csv(const struct pmp_results *s, FILE *out);
/* A script for gnuplot. */
void pmp_results_figure(const struct pmp_results *s, FILE *out);
/* All three into the folder. PMP_ENOTFOUND: there is no gnuplot (the others are written). */
PMP_MUST_CHECK enum pmp_err pmp_results_write(const struct pmp_results *s, const char *dir,
                                              struct pmp_errmsg *msg);

#endif
