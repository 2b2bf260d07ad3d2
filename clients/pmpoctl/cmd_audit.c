/* audit: the audit log whole, its hash chain computed again. */
#include "auth/chain.h"
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 1000
#define HEX_BYTES (2 * PMP_CHAIN_BYTES + 1)

struct audit {
  bool verify, json;
  const char *expect; /* ID:HASH that must be there; NULL: none */
  /* state */
  uint8_t hash[PMP_CHAIN_BYTES];
  uint64_t events, unchained, chained, last;
  uint64_t broken; /* id of the first that does not fit; 0: none */
  char why[128];
  bool expected_found;
};

static void hex_of(const uint8_t hash[PMP_CHAIN_BYTES], char out[HEX_BYTES]) {
  for (int i = 0; i < PMP_CHAIN_BYTES; i++) snprintf(out + (size_t)(2 * i), 3, "%02x", hash[i]);
}

static void breaks(struct audit *a, uint64_t id, const char *why) {
  if (a->broken != 0) return;
  a->broken = id;
  snprintf(a->why, sizeof a->why, "%s", why);
}

static void meet_expected(struct audit *a, const struct pmp_event *e) {
  char hex[HEX_BYTES];
  char *end = NULL;
  if (!a->expect || strtoull(a->expect, &end, 10) != e->id || *end != ':') return;
  hex_of(a->hash, hex);
  a->expected_found = strcmp(end + 1, hex) == 0;
  if (!a->expected_found) breaks(a, e->id, "its hash is not the expected one");
}

static void take(struct audit *a, const struct pmp_event *e) {
  a->events++;
  if (a->last != 0 && e->id != a->last + 1) breaks(a, e->id, "events before it are missing");
  if (a->last == 0 && e->id != 1) breaks(a, e->id, "events before it are missing");
  a->last = e->id;
  if (e->hash.size == 0 && a->chained == 0) { /* from before there was a chain */
    a->unchained++;
    return;
  }
  a->chained++;
  pmp_chain_next(a->hash, e->id, e->wall_ns, e->who, e->kind, e->detail);
  if (e->hash.size != PMP_CHAIN_BYTES) {
    breaks(a, e->id, "it has no hash");
  } else if (memcmp(e->hash.data, a->hash, PMP_CHAIN_BYTES) != 0) {
    breaks(a, e->id, "it, or its place, is not what was written");
    memcpy(a->hash, e->hash.data, PMP_CHAIN_BYTES); /* how far does the rest fit? */
  }
  meet_expected(a, e);
}

static int tell(const struct audit *a) {
  char head[HEX_BYTES];
  hex_of(a->hash, head);
  if (a->json) {
    json_t *j = json_pack("{s:b, s:I, s:I, s:I, s:s}", "whole", a->broken == 0, "events",
                          (json_int_t)a->events, "unchained", (json_int_t)a->unchained, "last",
                          (json_int_t)a->last, "hash", head);
    if (a->broken != 0) {
      json_object_set_new(j, "broken", json_integer((json_int_t)a->broken));
      json_object_set_new(j, "reason", json_string(a->why));
    }
    if (!pmp_answer_print(j, JSON_COMPACT, stdout)) return PMP_EXIT_FAILED;
  } else if (a->broken != 0) {
    printf("broken at event %llu: %s\n", (unsigned long long)a->broken, a->why);
  } else {
    printf("whole: %llu events", (unsigned long long)a->events);
    if (a->unchained != 0)
      printf(" (the first %llu from before there was a chain)", (unsigned long long)a->unchained);
    printf("\n%llu:%s\n", (unsigned long long)a->last, head);
  }
  return a->broken == 0 ? PMP_EXIT_OK : PMP_EXIT_FAILED;
}

static void print(const struct audit *a, const struct pmp_event *e) {
  char when[PMP_FORMAT_MAX], detail[600];
  if (a->json) {
    (void)pmp_answer_print(pmp_answer_event_json(e), JSON_COMPACT, stdout);
    return;
  }
  pmp_format_detail(e->detail, detail, sizeof detail);
  printf("%6llu  %s  %-18s %-16s %s\n", (unsigned long long)e->id,
         pmp_format_time(e->wall_ns, true, when), e->kind, e->who, detail);
}

static int run_audit(struct pmp_ctl *ctl, int argc, char **argv) {
  struct audit a = {0};
  const struct pmp_ctl_setting own[] = {{"verify", PMP_CTL_FLAG, &a.verify, 0, 0},
                                        {"json", PMP_CTL_FLAG, &a.json, 0, 0},
                                        {"expect", PMP_CTL_TEXT, &a.expect, 0, 0},
                                        {0}};
  if (pmp_ctl_settings(ctl, argc, argv, own) == PMP_CTL_END) return ctl->exit_code;
  if (optind < argc) return pmp_ctl_usage(ctl, "takes no arguments");
  if (a.expect && strspn(a.expect, "0123456789") == 0)
    return pmp_ctl_usage(ctl, "--expect takes ID:HASH, as --verify printed it");
  if (a.expect) a.verify = true;
  struct pmp_errmsg msg = {{0}};
  struct pmp_request q = {.verb = PMP_VERB_EVENTS, .u.events = {.count = PAGE, .all = true}};
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_OBSERVER, &msg);
  for (uint32_t got = 1; err == PMP_OK && got > 0;) {
    struct pmp_reply reply;
    err = pmp_ctl_ask(ctl, &q, &reply, &msg);
    got = err == PMP_OK ? reply.u.events.count : 0;
    for (uint32_t i = 0; i < got; i++) {
      const struct pmp_event *e = &reply.u.events.event[i];
      if (!a.verify) print(&a, e);
      take(&a, e);
      q.u.events.after = e->id;
    }
    if (pmp_ctl_stopped(ctl->stop)) err = PMP_ECLOSED;
  }
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  if (!a.verify) return PMP_EXIT_OK;
  if (a.expect && !a.expected_found) breaks(&a, a.last, "the expected event is not there");
  /* A daemon writes an event when it starts, so that one at least has a hash. */
  if (a.verify && a.events > 0 && a.chained == 0) breaks(&a, 1, "no event has a hash");
  return tell(&a);
}

const struct pmp_command pmp_command_audit = {
    "audit", "audit [--verify] [--expect ID:HASH] [--json]",
    "the audit log from its beginning, verdicts included; is it whole?",
    "  --verify          computes the chain of hashes again: says the first event that does not\n"
    "                    fit (exit 1), or the last one and its hash\n"
    "  --expect ID:HASH  and this event, noted from an earlier --verify, must be in it: so that\n"
    "                    a log cut short, or written anew from its beginning, is found out\n"
    "  --json            one JSON object a line\n"
    "\n"
    "Of a stopped run: pmpod --check DIR.\n",
    run_audit};
