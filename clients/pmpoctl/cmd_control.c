/* pause, resume, checkpoint, refresh, stop, set: the operator's verbs. */
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"

#include <string.h>

enum { OPT_JSON = 256 };

static int control(struct pmp_ctl *ctl, enum pmp_control_action action, int argc, char **argv,
                   int arguments) {
  static const struct option options[] = {{"json", no_argument, NULL, OPT_JSON}, {0}};
  bool json = false;
  int ch;
  while ((ch = pmp_ctl_option(ctl, argc, argv, options, false)) >= 0) json |= ch == OPT_JSON;
  if (ch == PMP_CTL_END) return ctl->exit_code;
  if (argc - optind != arguments)
    return pmp_ctl_usage(ctl, arguments ? "takes a key and a value" : "takes no arguments");
  struct pmp_errmsg msg = {{0}};
  struct pmp_request q = {.verb = PMP_VERB_CONTROL,
                          .u.control = {.action = action, .key = "", .value = ""}};
  if (arguments == 2) {
    q.u.control.key = argv[optind];
    q.u.control.value = argv[optind + 1];
  }
  struct pmp_reply reply;
  const enum pmp_err err = pmp_ctl_once(ctl, PMP_ROLE_OPERATOR, &q, &reply, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  char text[512];
  pmp_format_detail(reply.u.control.detail, text, sizeof text);
  if (json)
    puts(reply.u.control.detail);
  else
    printf("%s%s%s\n", ctl->command, text[0] ? ": " : ": done", text);
  return PMP_EXIT_OK;
}

static int run_pause(struct pmp_ctl *ctl, int argc, char **argv) {
  return control(ctl, PMP_CONTROL_PAUSE, argc, argv, 0);
}
static int run_resume(struct pmp_ctl *ctl, int argc, char **argv) {
  return control(ctl, PMP_CONTROL_RESUME, argc, argv, 0);
}
static int run_checkpoint(struct pmp_ctl *ctl, int argc, char **argv) {
  return control(ctl, PMP_CONTROL_CHECKPOINT, argc, argv, 0);
}
static int run_refresh(struct pmp_ctl *ctl, int argc, char **argv) {
  return control(ctl, PMP_CONTROL_REFRESH, argc, argv, 0);
}
static int run_stop(struct pmp_ctl *ctl, int argc, char **argv) {
  return control(ctl, PMP_CONTROL_STOP, argc, argv, 0);
}
static int run_set(struct pmp_ctl *ctl, int argc, char **argv) {
  return control(ctl, PMP_CONTROL_SET, argc, argv, 2);
}

#define JSON_HELP "  --json    the daemon's answer as a JSON object\n"

const struct pmp_command pmp_command_pause = {
    "pause", "pause [--json]", "stop learning; samples are still taken in",
    JSON_HELP "\nThe learner stops between two steps. Appends go on until the rate limiter holds "
              "them back.\n",
    run_pause};
const struct pmp_command pmp_command_resume = {
    "resume", "resume [--json]", "go on learning after a pause or a guard", JSON_HELP, run_resume};
const struct pmp_command pmp_command_checkpoint = {
    "checkpoint", "checkpoint [--json]", "write a checkpoint now, and return when it is on disk",
    JSON_HELP, run_checkpoint};
const struct pmp_command pmp_command_refresh = {
    "refresh", "refresh [--json]", "make the policy the new reference now", JSON_HELP, run_refresh};
const struct pmp_command pmp_command_stop = {"stop", "stop [--json]",
                                             "end the daemon in order: drain, checkpoint, exit",
                                             JSON_HELP, run_stop};
const struct pmp_command pmp_command_set = {
    "set", "set KEY VALUE [--json]", "change a setting of the running daemon",
    JSON_HELP "\nSettings that can change while the run goes on:\n"
              "  optim.lr  critic.lr  objective.alpha  objective.beta  objective.beta_mean  "
              "objective.beta_std\n"
              "  learner.samples_per_insert  learner.refresh_period\n"
              "The change is recorded with who, when, old and new (pmpoctl events).\n",
    run_set};
