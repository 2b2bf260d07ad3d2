/* The table of pmpoctl's commands: one file a group of them, all listed here. */
#ifndef PMP_PMPOCTL_COMMAND_H
#define PMP_PMPOCTL_COMMAND_H

#include "clients/pmpoctl/ctl.h"

#include <stdio.h>

struct pmp_command {
  const char *name;
  const char *synopsis; /* without the program's name */
  const char *brief;    /* one line of the list */
  const char *help;     /* options and examples; ends with a line break */
  /* argv[0] is the command. Returns the exit code. */
  int (*run)(struct pmp_ctl *ctl, int argc, char **argv);
};

extern const struct pmp_command pmp_command_status;
extern const struct pmp_command pmp_command_watch;
extern const struct pmp_command pmp_command_history;
extern const struct pmp_command pmp_command_actors;
extern const struct pmp_command pmp_command_events;
extern const struct pmp_command pmp_command_verdict;
extern const struct pmp_command pmp_command_label;
extern const struct pmp_command pmp_command_items;
extern const struct pmp_command pmp_command_verdicts;
extern const struct pmp_command pmp_command_labelers;
extern const struct pmp_command pmp_command_agreement;
extern const struct pmp_command pmp_command_gold;
extern const struct pmp_command pmp_command_pause;
extern const struct pmp_command pmp_command_resume;
extern const struct pmp_command pmp_command_checkpoint;
extern const struct pmp_command pmp_command_refresh;
extern const struct pmp_command pmp_command_set;
extern const struct pmp_command pmp_command_stop;
extern const struct pmp_command pmp_command_export;
extern const struct pmp_command pmp_command_weights;
extern const struct pmp_command pmp_command_wait;
extern const struct pmp_command pmp_command_experiment;
extern const struct pmp_command pmp_command_import;
extern const struct pmp_command pmp_command_campaign;
extern const struct pmp_command pmp_command_audit;
extern const struct pmp_command pmp_command_token;
extern const struct pmp_command pmp_command_certificate;

/* NULL after the last. */
const struct pmp_command *pmp_command_at(size_t i);
const struct pmp_command *pmp_command_find(const char *name);
/* The command whose name is nearest to a mistyped one; NULL when none is near. */
const struct pmp_command *pmp_command_nearest(const char *name);
void pmp_command_list(FILE *out);
/* What a command does with its arguments; the exit code. */
int pmp_command_run(struct pmp_ctl *ctl, const struct pmp_command *c, int argc, char **argv);
/* "help [COMMAND]". */
int pmp_command_help(struct pmp_ctl *ctl, int argc, char **argv);

#endif
