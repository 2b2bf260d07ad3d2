#include "clients/pmpoctl/command.h"

#include "base/nearest.h"

#include <string.h>

static const struct pmp_command *const commands[] = {
    &pmp_command_status,      &pmp_command_watch,      &pmp_command_history,
    &pmp_command_actors,      &pmp_command_events,     &pmp_command_wait,
    &pmp_command_label,       &pmp_command_verdict,    &pmp_command_verdicts,
    &pmp_command_items,       &pmp_command_labelers,   &pmp_command_agreement,
    &pmp_command_gold,        &pmp_command_pause,      &pmp_command_resume,
    &pmp_command_set,         &pmp_command_refresh,    &pmp_command_checkpoint,
    &pmp_command_export,      &pmp_command_weights,    &pmp_command_import,
    &pmp_command_stop,        &pmp_command_audit,      &pmp_command_token,
    &pmp_command_certificate, &pmp_command_experiment, &pmp_command_campaign};
#define COMMANDS (sizeof commands / sizeof commands[0])

const struct pmp_command *pmp_command_at(size_t i) {
  return i < COMMANDS ? commands[i] : NULL;
}

const struct pmp_command *pmp_command_find(const char *name) {
  for (size_t i = 0; i < COMMANDS; i++)
    if (strcmp(commands[i]->name, name) == 0) return commands[i];
  return NULL;
}

const struct pmp_command *pmp_command_nearest(const char *name) {
  enum { FAR = 3 };
  struct pmp_nearest n;
  pmp_nearest_init(&n, name, 1, FAR);
  for (size_t i = 0; i < COMMANDS; i++) {
    const char *full = commands[i]->name;
    /* All of a short name changed is another name. */
    if (pmp_nearest_distance(name, full) < strlen(full)) pmp_nearest_offer(&n, i, full);
  }
  return n.count > 0 ? commands[n.index[0]] : NULL;
}

void pmp_command_list(FILE *out) {
  fputs("usage: pmpoctl [--connect URL | --dir DIR] COMMAND ...\n"
        "Looks at and steers a run of pmpod.\n\n",
        out);
  for (size_t i = 0; i < COMMANDS; i++)
    fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->brief);
  fputs(
      "  help        pmpoctl help COMMAND says all of a command\n"
      "\n"
      "Global options, before or after the command:\n"
      "  -C, --connect URL  the daemon's desk (else $PMPO_URL, else tcp://127.0.0.1:7447)\n"
      "  -D, --dir DIR      the daemon that serves this run folder (reads DIR/endpoints.json)\n"
      "      --timeout S    how long to wait for an answer (5)\n"
      "      --as NAME      who is asking, for the audit (USER@HOST)\n"
      "      --token-file FILE  a token, or several with the role before each (else $PMPO_TOKEN)\n"
      "      --ca FILE      the CA of a daemon with TLS (else $PMPO_CA, else DIR/tls/ca.pem)\n"
      "  -h, --help         this, or the command's help\n"
      "      --version\n"
      "\n"
      "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no answer, 4 condition not met,\n"
      "130 interrupted.\n",
      out);
}

int pmp_command_run(struct pmp_ctl *ctl, const struct pmp_command *c, int argc, char **argv) {
  ctl->command = c->name;
  ctl->synopsis = c->synopsis;
  ctl->help = c->help;
  return c->run(ctl, argc, argv);
}

int pmp_command_help(struct pmp_ctl *ctl, int argc, char **argv) {
  if (argc < 2 || strcmp(argv[1], "help") == 0) {
    pmp_command_list(stdout);
    return PMP_EXIT_OK;
  }
  const struct pmp_command *c = pmp_command_find(argv[1]);
  if (!c) c = pmp_command_nearest(argv[1]);
  if (!c) return pmp_ctl_usage(ctl, "there is no command \"%.40s\"", argv[1]);
  printf("pmpoctl %s: %s\nusage: pmpoctl %s\n\n%s", c->name, c->brief, c->synopsis, c->help);
  return PMP_EXIT_OK;
}
