/* The campaign's ledger: a CSV file to which one line is added for each evaluation, each failure
 * and each new beginning of a run. A line is on disk before it counts; a torn last line is cut off.
 *
 * One thread. Blocks on the disk. Knows no daemon. */
#ifndef PMP_PMPOCTL_CAMPAIGN_LEDGER_H
#define PMP_PMPOCTL_CAMPAIGN_LEDGER_H

#include "clients/pmpoctl/campaign.h"

#define PMP_LEDGER_HEADER                                                                          \
  "campaign,task,variant,seed,env_steps,learner_steps,wall_s,episodes,eval_return,eval_min,"       \
  "eval_max,eval_sem,final,status,pmpod_version,settings_hash"
#define PMP_LEDGER_STATUS_MAX 240
#define PMP_LEDGER_LINES_MAX 1000000

#define PMP_LEDGER_OK "ok"
#define PMP_LEDGER_FAILED "failed: "     /* and why; no evaluation */
#define PMP_LEDGER_RESTARTED "restarted" /* what stands above of this run is void */

struct pmp_ledger_line {
  char campaign[PMP_CAMPAIGN_NAME_MAX], task[PMP_CAMPAIGN_NAME_MAX], variant[PMP_CAMPAIGN_NAME_MAX];
  uint64_t seed, env_steps, learner_steps;
  double wall_s; /* seconds that the run has been worked on */
  uint32_t episodes;
  double eval_return, eval_min, eval_max, eval_sem; /* NAN: an empty field */
  bool final;
  char status[PMP_LEDGER_STATUS_MAX]; /* without commas, quotes and line breaks */
  char version[24], hash[PMP_CAMPAIGN_HASH_MAX];
};

struct pmp_ledger {
  char path[PMP_CAMPAIGN_PATH_MAX];
  int fd;                       /* -1: only read */
  struct pmp_ledger_line *line; /* owned, (lines) */
  uint32_t lines, capacity;
  uint64_t bytes; /* of the file's good lines */
  uint64_t cut;   /* bytes of a torn end that were cut off, or passed over when only read */
};

/* Reads what is there. writable: creates it, cuts a torn end, and keeps it open for append.
 * PMP_ECORRUPT (a bad line that is not the last, named), PMP_EINVALID (not a ledger), PMP_EIO,
 * PMP_ENOSPC, PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_ledger_open(struct pmp_ledger *l, const char *path, bool writable,
                                            struct pmp_errmsg *msg);
/* Safe on a zeroed struct and after a failed open. */
void pmp_ledger_close(struct pmp_ledger *l);
/* On disk when it returns PMP_OK; after an error the file is as it was. What the status may not
 * hold is replaced. */
PMP_MUST_CHECK enum pmp_err
pmp_ledger_append(struct pmp_ledger *l, const struct pmp_ledger_line *line, struct pmp_errmsg *msg);
/* One line of text, without its line break; PMP_EINVALID. For the file and for tests. */
PMP_MUST_CHECK enum pmp_err pmp_ledger_parse(const char *text, struct pmp_ledger_line *out,
                                             struct pmp_errmsg *msg);

/* What the ledger says of one run. */
struct pmp_ledger_run {
  uint32_t mark;                              /* the last one evaluated; 0: none */
  bool done;                                  /* its final evaluation is there */
  bool failed;                                /* and nothing came after */
  bool began;                                 /* there is any line */
  double wall_s;                              /* of the last line */
  uint64_t env_steps, learner_steps;          /* of the last line */
  const struct pmp_ledger_line *last;         /* last evaluation; NULL: none */
  const struct pmp_ledger_line *last_failure; /* NULL: not failed */
};
void pmp_ledger_run_of(const struct pmp_ledger *l, const struct pmp_campaign *c,
                       struct pmp_campaign_run_id id, struct pmp_ledger_run *out);
/* The run's evaluation at mark k; NULL when it is not there. */
const struct pmp_ledger_line *pmp_ledger_at(const struct pmp_ledger *l,
                                            const struct pmp_campaign *c,
                                            struct pmp_campaign_run_id id, uint32_t k);
bool pmp_ledger_is_evaluation(const struct pmp_ledger_line *line);

#endif
