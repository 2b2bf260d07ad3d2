/* pmpoctl: the command line of a run. See command.h for the commands and ctl.h for the exit codes.
 */
#include "clients/pmpoctl/command.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A signal's handler has nothing but globals. */
static volatile sig_atomic_t stop;

static void on_signal(int number) {
  (void)number;
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
}

static void catch_signals(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
}

static int unknown(struct pmp_ctl *ctl, const char *name) {
  const struct pmp_command *near = pmp_command_nearest(name);
  if (near)
    return pmp_ctl_usage(ctl, "there is no command \"%.40s\"; did you mean %s?", name, near->name);
  return pmp_ctl_usage(ctl, "there is no command \"%.40s\"", name);
}

static int dispatch(struct pmp_ctl *ctl, int argc, char **argv) {
  const int ch = pmp_ctl_option(ctl, argc, argv, NULL, true);
  if (ch == 'h') {
    pmp_command_list(stdout);
    return PMP_EXIT_OK;
  }
  if (ch == PMP_CTL_END) return ctl->exit_code;
  if (optind >= argc) {
    pmp_command_list(stderr);
    return PMP_EXIT_USAGE;
  }
  argc -= optind;
  argv += optind;
  optind = 0; /* glibc: begin again */
  if (strcmp(argv[0], "help") == 0) return pmp_command_help(ctl, argc, argv);
  const struct pmp_command *c = pmp_command_find(argv[0]);
  return c ? pmp_command_run(ctl, c, argc, argv) : unknown(ctl, argv[0]);
}

int main(int argc, char **argv) {
  struct pmp_ctl ctl;
  catch_signals();
  pmp_ctl_init(&ctl, &stop);
  int code = dispatch(&ctl, argc, argv);
  pmp_ctl_fini(&ctl);
  if (fflush(stdout) != 0 && code == PMP_EXIT_OK) {
    perror("pmpoctl: cannot write");
    code = PMP_EXIT_FAILED;
  }
  return code;
}
