/* events: the audit log. */
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"

#include <string.h>

enum { OPT_JSON = 256, OPT_AFTER, OPT_ALL, OPT_KIND };

#define KIND_WINDOW 1000 /* with --kind, the newest that are looked at */

struct want {
  bool json, follow, all;
  const char *kind;    /* NULL: any */
  double count, after; /* after < 0: the newest ones */
};

static void print_event(const struct pmp_event *e, bool json) {
  if (json) {
    (void)pmp_answer_print(pmp_answer_event_json(e), JSON_COMPACT,
                           stdout); /* main reports a full disk */
    return;
  }
  char when[PMP_FORMAT_MAX], detail[600];
  pmp_format_detail(e->detail, detail, sizeof detail);
  printf("%6llu  %s  %-18s %-16s %s\n", (unsigned long long)e->id,
         pmp_format_time(e->wall_ns, true, when), e->kind, e->who, detail);
}

static int parse(struct pmp_ctl *ctl, int argc, char **argv, struct want *w) {
  static const struct option options[] = {{"json", no_argument, NULL, OPT_JSON},
                                          {"number", required_argument, NULL, 'n'},
                                          {"follow", no_argument, NULL, 'f'},
                                          {"after", required_argument, NULL, OPT_AFTER},
                                          {"all", no_argument, NULL, OPT_ALL},
                                          {"kind", required_argument, NULL, OPT_KIND},
                                          {0}};
  struct pmp_errmsg msg;
  int ch;
  while ((ch = pmp_ctl_option(ctl, argc, argv, options, false)) >= 0) {
    enum pmp_err err = PMP_OK;
    if (ch == OPT_JSON) w->json = true;
    if (ch == 'f') w->follow = true;
    if (ch == OPT_ALL) w->all = true;
    if (ch == OPT_KIND) w->kind = optarg;
    if (ch == 'n') err = pmp_ctl_number(optarg, 1, 1000, &w->count, &msg);
    if (ch == OPT_AFTER) err = pmp_ctl_number(optarg, 0, 9e15, &w->after, &msg);
    if (err != PMP_OK) {
      ctl->exit_code = pmp_ctl_usage(ctl, "%s", msg.text);
      return PMP_CTL_END;
    }
  }
  return ch;
}

/* Of the kind that is wanted, no more than that many; the newest of them when no place to begin was
 * named. */
static void print_events(const struct want *w, const struct pmp_events_reply *r, bool first) {
  const struct pmp_event *e = r->event;
  uint32_t skip = 0, fitting = 0;
  for (uint32_t i = 0; w->kind && i < r->count; i++) fitting += strcmp(e[i].kind, w->kind) == 0;
  if (first && w->after < 0 && fitting > (uint32_t)w->count) skip = fitting - (uint32_t)w->count;
  for (uint32_t i = 0; i < r->count; i++) {
    if (w->kind && strcmp(e[i].kind, w->kind) != 0) continue;
    if (skip > 0)
      skip--;
    else
      print_event(&e[i], w->json);
  }
}

static int run_events(struct pmp_ctl *ctl, int argc, char **argv) {
  struct want w = {.count = 20, .after = -1};
  if (parse(ctl, argc, argv, &w) == PMP_CTL_END) return ctl->exit_code;
  if (optind < argc) return pmp_ctl_usage(ctl, "takes no arguments");
  struct pmp_errmsg msg = {{0}};
  struct pmp_request q = {.verb = PMP_VERB_EVENTS};
  q.u.events.after = w.after < 0 ? UINT64_MAX : (uint64_t)w.after;
  q.u.events.count = w.kind ? KIND_WINDOW : (uint32_t)w.count;
  q.u.events.all = w.all || (w.kind && strcmp(w.kind, "verdict") == 0);
  bool first = true;
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_OBSERVER, &msg);
  while (err == PMP_OK) {
    struct pmp_reply reply;
    err = pmp_ctl_ask(ctl, &q, &reply, &msg);
    if (err == PMP_ETIMEOUT && w.follow) { /* a restart: what follows is still wanted */
      err = pmp_ctl_stopped(ctl->stop) ? PMP_ECLOSED : PMP_OK;
      continue;
    }
    if (err != PMP_OK) break;
    const struct pmp_events_reply *got = &reply.u.events;
    print_events(&w, got, first);
    first = false;
    if (got->count > 0) q.u.events.after = got->event[got->count - 1].id;
    if (!w.follow || fflush(stdout) != 0) return PMP_EXIT_OK;
    if (q.u.events.after == UINT64_MAX) q.u.events.after = 0; /* there were none yet */
    q.u.events.count = 1000;
    pmp_ctl_sleep(ctl->stop, 0.5);
    if (pmp_ctl_stopped(ctl->stop)) err = PMP_ECLOSED;
  }
  return pmp_ctl_failed(ctl, err, &msg);
}

const struct pmp_command pmp_command_events = {
    "events", "events [-n N] [-f] [--all] [--kind KIND] [--after ID] [--json]",
    "who did what and when",
    "  -n, --number N  the newest N (20)\n"
    "  -f, --follow    go on with new ones as they come, until Ctrl-C\n"
    "  --after ID      those that came after this one, oldest first\n"
    "  --all           verdicts too: each is an event\n"
    "  --kind KIND     only this kind (verdict, setting, token_created, ...), of the newest 1000\n"
    "  --json          one JSON object a line\n"
    "\n"
    "pmpoctl audit shows all of them from the beginning, and whether the log is whole.\n",
    run_events};
