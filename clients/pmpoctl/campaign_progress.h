/* How a campaign says what it does: a block of lines that is drawn again and again on a terminal,
 * plain lines elsewhere, or one JSON object a line.
 *
 * One thread. Writes to stdout only. */
#ifndef PMP_PMPOCTL_CAMPAIGN_PROGRESS_H
#define PMP_PMPOCTL_CAMPAIGN_PROGRESS_H

#include "clients/pmpoctl/campaign_run.h"

#define PMP_CAMPAIGN_JOBS_MAX 256

enum pmp_campaign_form {
  PMP_CAMPAIGN_FORM_TERMINAL,
  PMP_CAMPAIGN_FORM_PLAIN,
  PMP_CAMPAIGN_FORM_JSON
};

struct pmp_campaign_progress {
  enum pmp_campaign_form form;
  uint32_t drawn; /* lines of the block on the terminal */
  double begin_s; /* of this process's work */
  double shown_s; /* when progress was shown last */
};

/* A moment of the campaign. */
struct pmp_campaign_moment {
  const struct pmp_campaign_world *world;
  struct pmp_active_run *const *running; /* (slots): NULL where none runs */
  uint32_t slots, total, done, failed;
  const struct pmp_campaign_run_id *waiting; /* (waits): those that are still to come */
  uint32_t waits;
};

void pmp_campaign_progress_begin(struct pmp_campaign_progress *p, enum pmp_campaign_form form);
/* Shows where it is, if it is time to. */
void pmp_campaign_show(struct pmp_campaign_progress *p, const struct pmp_campaign_moment *m);
/* What happened, at once: a run begins, goes on, was evaluated, is done, failed. */
void pmp_campaign_began(struct pmp_campaign_progress *p, const struct pmp_active_run *r);
void pmp_campaign_evaluated(struct pmp_campaign_progress *p, const struct pmp_active_run *r);
void pmp_campaign_ended(struct pmp_campaign_progress *p, const struct pmp_active_run *r);
/* A sentence, and with JSON {"event": "note", "text": ...}. */
void pmp_campaign_note(struct pmp_campaign_progress *p, const char *fmt, ...) PMP_PRINTF(2, 3);
/* Takes the block off the terminal. */
void pmp_campaign_progress_end(struct pmp_campaign_progress *p);

/* Seconds until the run, or the campaign, is done, at the speeds seen so far; NAN: nothing seen. */
double pmp_campaign_run_left(const struct pmp_active_run *r);
double pmp_campaign_left(const struct pmp_campaign_moment *m);

#endif
