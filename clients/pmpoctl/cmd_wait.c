/* wait: until a condition holds. */
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/condition.h"
#include "clients/pmpoctl/format.h"

#include <math.h>
#include <stdio.h>

enum { OPT_MEAN = 256, OPT_QUIET, OPT_EVERY };

struct want {
  double mean, every;
  bool quiet;
};

static int parse(struct pmp_ctl *ctl, int argc, char **argv, struct want *w) {
  static const struct option options[] = {{"mean", required_argument, NULL, OPT_MEAN},
                                          {"every", required_argument, NULL, OPT_EVERY},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {0}};
  struct pmp_errmsg msg;
  int ch;
  while ((ch = pmp_ctl_option(ctl, argc, argv, options, false)) >= 0) {
    enum pmp_err err = PMP_OK;
    if (ch == 'q') w->quiet = true;
    if (ch == OPT_MEAN) err = pmp_ctl_number(optarg, 1, PMP_CONDITION_MEAN_MAX, &w->mean, &msg);
    if (ch == OPT_EVERY) err = pmp_ctl_number(optarg, 0.01, 3600, &w->every, &msg);
    if (err != PMP_OK) {
      ctl->exit_code = pmp_ctl_usage(ctl, "%s", msg.text);
      return PMP_CTL_END;
    }
  }
  return ch;
}

static void say(const struct pmp_condition *c, FILE *out) {
  char value[PMP_FORMAT_MAX];
  if (c->current_text[0])
    fprintf(out, "%s is %s\n", c->name, c->current_text);
  else if (isnan(c->current))
    fprintf(out, "%s has no value yet\n", c->name);
  else if (c->mean > 1)
    fprintf(out, "mean of the last %u %s is %s\n", c->have, c->name,
            pmp_format_real(c->current, value));
  else
    fprintf(out, "%s is %s\n", c->name, pmp_format_real(c->current, value));
}

static int run_wait(struct pmp_ctl *ctl, int argc, char **argv) {
  struct want w = {.mean = 1, .every = 0.5};
  if (parse(ctl, argc, argv, &w) == PMP_CTL_END) return ctl->exit_code;
  if (argc - optind != 3) return pmp_ctl_usage(ctl, "takes a name, an operator and a value");
  struct pmp_errmsg msg = {{0}};
  struct pmp_condition c;
  if (pmp_condition_parse(&c, argv[optind], argv[optind + 1], argv[optind + 2], (uint32_t)w.mean,
                          &msg) != PMP_OK)
    return pmp_ctl_usage(ctl, "%s", msg.text);
  const double until = ctl->timeout_given ? pmp_ctl_now() + ctl->timeout_s : INFINITY;
  bool answered = false, holds = false, looked = w.quiet;
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_OBSERVER, &msg);
  while (err == PMP_OK && !holds) {
    /* One check outlasts a restart, but not the whole wait. */
    const double left = until - pmp_ctl_now();
    if (left <= 0) break;
    const int ms = left < 2 ? (int)(left * 1e3) + 1 : 2000;
    err = pmp_condition_check(&c, ctl->client, &ctl->arena, ms, &holds, &msg);
    if (err == PMP_OK) answered = true;
    if (answered && !looked && !holds) {
      char doubt[PMP_NAMES_TEXT];
      looked = true; /* once: it may come yet */
      if (pmp_condition_doubt(&c, ctl->client, &ctl->arena, 2000, doubt, NULL) == PMP_OK &&
          doubt[0])
        fprintf(stderr, "pmpoctl wait: %s Waiting for it.\n", doubt);
    }
    if (err == PMP_ETIMEOUT || err == PMP_EBUSY || err == PMP_EUNAVAILABLE) {
      if (ctl->dir && !pmp_ctl_stopped(ctl->stop)) { /* it may come back at another port */
        pmpo_close(ctl->client);
        ctl->client = NULL;
        ctl->timeout_s = until - pmp_ctl_now() > 0 ? fmin(until - pmp_ctl_now(), 1e7) : 0.01;
        err = pmp_ctl_open(ctl, PMP_ROLE_OBSERVER, &msg);
      } else {
        err = PMP_OK;
      }
    }
    if (err == PMP_OK && !holds)
      pmp_ctl_sleep(ctl->stop, fmin(w.every, fmax(until - pmp_ctl_now(), 0)));
    if (pmp_ctl_stopped(ctl->stop)) err = PMP_ECLOSED;
  }
  if (err == PMP_ETIMEOUT && answered) err = PMP_OK;
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  if (!answered) return PMP_EXIT_NO_DAEMON;
  if (!w.quiet) say(&c, holds ? stdout : stderr);
  return holds ? PMP_EXIT_OK : PMP_EXIT_NOT_MET;
}

const struct pmp_command pmp_command_wait = {
    "wait", "wait NAME OP VALUE [--mean N] [--timeout S] [-q]", "return when a condition holds",
    "  NAME         a series of the history (pmpoctl history), or a number or text of the status\n"
    "  OP           < <= = != >= > (quote < and > for the shell)\n"
    "  --mean N     compare the mean of the last N points of the series\n"
    "  --timeout S  give up after S seconds with exit code 4 (never)\n"
    "  --every S    time between looks (0.5)\n"
    "  -q, --quiet  print nothing\n"
    "\n"
    "A negative value needs -- before NAME. A daemon that restarts meanwhile is waited for.\n"
    "\n"
    "  pmpoctl wait actor.eval_return '>=' 800 --mean 10 --timeout 600\n"
    "  pmpoctl wait state = paused\n",
    run_wait};
