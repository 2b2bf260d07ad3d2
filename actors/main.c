/* pmpo-actor KIND [OPTIONS]: one program for all kinds of actor. */
#include "actors/bandit/bandit.h"
#include "actors/control/control.h"
#include "actors/runtime/options.h"

#include <stdio.h>
#include <string.h>

struct kind {
  const char *name, *summary;
  int (*main)(int argc, char **argv);
};

static const struct kind kinds[] = {
    {"bandit", "a function to minimise, without condition", pmp_bandit_main},
    {"control", "environments of the control suite", pmp_control_main},
};

static void help(FILE *out) {
  fprintf(out, "usage: pmpo-actor KIND [OPTIONS]\n\n");
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    fprintf(out, "  %-10s %s\n", kinds[i].name, kinds[i].summary);
  fprintf(
      out,
      "\nAn actor draws outcomes from the run's reference and sends them to pmpod, whose address "
      "is --connect\n"
      "or PMPO_URL. `pmpo-actor KIND --help` lists a kind's options.\n\n"
      "Exit codes: 0 done, asked to stop or the run is complete (run.max_steps), 1 failed,\n"
      "2 the command line, 3 the run does not fit, 4 no daemon answers.\n");
}

int main(int argc, char **argv) {
  if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
    help(stdout);
    return PMP_EXIT_OK;
  }
  if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
    printf("pmpo-actor %s\n", PMP_VERSION);
    return PMP_EXIT_OK;
  }
  for (size_t i = 0; argc >= 2 && i < sizeof kinds / sizeof kinds[0]; i++)
    if (strcmp(argv[1], kinds[i].name) == 0) return kinds[i].main(argc - 1, argv + 1);
  if (argc >= 2) fprintf(stderr, "pmpo-actor: no kind of actor is called '%.64s'\n\n", argv[1]);
  help(stderr);
  return PMP_EXIT_USAGE;
}
