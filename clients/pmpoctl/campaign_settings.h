/* settings.json beside the ledger: what the runs of each variant were made with. A ledger is never
 * continued with other settings.
 *
 * One thread. Blocks on the disk. */
#ifndef PMP_PMPOCTL_CAMPAIGN_SETTINGS_H
#define PMP_PMPOCTL_CAMPAIGN_SETTINGS_H

#include "clients/pmpoctl/campaign_run.h"

/* Are the ledger and the runs' folders of the world's folder made with what the campaign says now?
 * PMP_ECONFLICT names what changed. write: keeps the settings of new variants. */
PMP_MUST_CHECK enum pmp_err pmp_campaign_settings(const struct pmp_campaign_world *w,
                                                  const struct pmp_ledger *ledger, bool write,
                                                  struct pmp_errmsg *msg);

#endif
