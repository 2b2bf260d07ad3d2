/* What the programs beside this one say of a campaign before it begins: the tasks that there are,
 * with their sizes, and whether pmpod takes every configuration.
 *
 * Starts short-lived processes and blocks until they end. */
#ifndef PMP_PMPOCTL_CAMPAIGN_TASKS_H
#define PMP_PMPOCTL_CAMPAIGN_TASKS_H

#include "clients/pmpoctl/campaign.h"
#include "clients/pmpoctl/campaign_child.h"

/* Fills in the sizes of the campaign's tasks. bin: folder of the programs. PMP_EINVALID: a task
 * that there is not, with the nearest names. */
PMP_MUST_CHECK enum pmp_err pmp_campaign_tasks(struct pmp_campaign *c, const char *bin,
                                               struct pmp_errmsg *msg);
/* The same from the text of `pmpo-actor control --list --json`. */
PMP_MUST_CHECK enum pmp_err pmp_campaign_tasks_of(struct pmp_campaign *c, char *text,
                                                  struct pmp_errmsg *msg);
/* Asks pmpod about every task and variant. PMP_EINVALID, with its words. */
PMP_MUST_CHECK enum pmp_err pmp_campaign_check(const struct pmp_campaign *c, const char *bin,
                                               struct pmp_errmsg *msg);
/* "0.1.0", as pmpod says. */
PMP_MUST_CHECK enum pmp_err pmp_campaign_version(const char *bin, char *out, size_t size,
                                                 struct pmp_errmsg *msg);
/* The words `--set KEY=VALUE` of a run, after those of base. */
void pmp_campaign_sets(const struct pmp_campaign *c, struct pmp_campaign_run_id id,
                       struct pmp_words *w);

#endif
