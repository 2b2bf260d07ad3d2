/* verdict: what a person says of an item. */
#include "clients/pmpoctl/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { OPT_CONFIDENCE = 256, OPT_NOTE };

/* C:R or C:R+N, all of it digits. */
static bool parse_item(const char *text, struct pmp_verdict *v) {
  char *end = NULL;
  if (text[0] < '0' || text[0] > '9') return false;
  errno = 0;
  v->chunk = strtoull(text, &end, 10);
  if (*end != ':' || end[1] < '0' || end[1] > '9') return false;
  const unsigned long row = strtoul(end + 1, &end, 10);
  unsigned long rows = 1;
  if (*end == '+') {
    if (end[1] < '0' || end[1] > '9') return false;
    rows = strtoul(end + 1, &end, 10);
  }
  if (*end != '\0' || errno != 0 || row > UINT32_MAX || rows == 0 || rows > UINT32_MAX)
    return false;
  v->row = (uint32_t)row;
  v->rows = (uint32_t)rows;
  return true;
}

static enum pmp_judgement parse_judgement(const char *text) {
  static const char *const name[] = {[PMP_ACCEPT] = "accept",
                                     [PMP_REJECT] = "reject",
                                     [PMP_SKIP] = "skip",
                                     [PMP_WITHDRAW] = "withdraw"};
  for (int i = PMP_ACCEPT; i <= PMP_WITHDRAW; i++)
    if (strcmp(text, name[i]) == 0) return (enum pmp_judgement)i;
  return PMP_JUDGEMENT_NONE;
}

static int parse_options(struct pmp_ctl *ctl, int argc, char **argv, struct pmp_verdict *v) {
  static const struct option options[] = {{"confidence", required_argument, NULL, OPT_CONFIDENCE},
                                          {"note", required_argument, NULL, OPT_NOTE},
                                          {0}};
  struct pmp_errmsg msg;
  double confidence = 1;
  int ch;
  while ((ch = pmp_ctl_option(ctl, argc, argv, options, false)) >= 0) {
    if (ch == OPT_NOTE) v->note = optarg;
    if (ch == OPT_CONFIDENCE && pmp_ctl_number(optarg, 1e-6, 1, &confidence, &msg) != PMP_OK) {
      ctl->exit_code = pmp_ctl_usage(ctl, "--confidence: %s", msg.text);
      return PMP_CTL_END;
    }
  }
  v->confidence = (float)confidence;
  return ch;
}

static int report(const struct pmp_ctl *ctl, const char *item, bool withdrawn,
                  const struct pmp_verdicts_reply *r) {
  struct pmp_errmsg msg = {{0}};
  if (r->count != 1)
    return pmp_ctl_failed(ctl, pmp_fail(&msg, PMP_EINTERNAL, "%u answers to one verdict", r->count),
                          &msg);
  const struct pmp_verdict_result *one = &r->result[0];
  if (one->code != PMP_OK)
    return pmp_ctl_failed(ctl,
                          pmp_fail(&msg, one->code, "%s: %s", item,
                                   one->message[0] ? one->message : pmp_err_name(one->code)),
                          &msg);
  printf("%s: %s%s%s%s\n", item, withdrawn ? "withdrawn" : "kept",
         one->replaced ? ", replaces an earlier verdict" : "",
         one->duplicate ? ", was known already" : "",
         one->surplus ? ", as surplus: it counts for agreement only" : "");
  return PMP_EXIT_OK;
}

static int run_verdict(struct pmp_ctl *ctl, int argc, char **argv) {
  struct pmp_verdict v = {.note = ""};
  const int ch = parse_options(ctl, argc, argv, &v);
  if (ch == PMP_CTL_END) return ctl->exit_code;
  if (argc - optind != 2) return pmp_ctl_usage(ctl, "takes an item and a judgement");
  const char *item = argv[optind];
  if (!parse_item(item, &v))
    return pmp_ctl_usage(ctl, "\"%.60s\" is no item: CHUNK:ROW or CHUNK:ROW+ROWS", item);
  v.judgement = parse_judgement(argv[optind + 1]);
  if (v.judgement == PMP_JUDGEMENT_NONE)
    return pmp_ctl_usage(ctl, "\"%.60s\" is none of accept, reject, skip, withdraw",
                         argv[optind + 1]);
  struct pmp_errmsg msg = {{0}};
  uint64_t drawn[2];
  char id[40];
  if (getrandom(drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
    return pmp_ctl_failed(ctl, PMP_EIO,
                          &(struct pmp_errmsg){"no random numbers for the request's id"});
  snprintf(id, sizeof id, "%016llx%016llx", (unsigned long long)drawn[0],
           (unsigned long long)drawn[1]);
  v.request_id = id;
  const struct pmp_request q = {.verb = PMP_VERB_VERDICTS,
                                .u.verdicts = {.verdict = &v, .count = 1}};
  struct pmp_reply reply;
  const enum pmp_err err = pmp_ctl_once(ctl, PMP_ROLE_LABELER, &q, &reply, &msg);
  return err == PMP_OK ? report(ctl, item, v.judgement == PMP_WITHDRAW, &reply.u.verdicts)
                       : pmp_ctl_failed(ctl, err, &msg);
}

const struct pmp_command pmp_command_verdict = {
    "verdict",
    "verdict CHUNK:ROW[+ROWS] accept|reject|skip|withdraw [--confidence X] [--note TEXT] [--as "
    "NAME]",
    "accept or reject rows that wait for people",
    "  CHUNK:ROW[+ROWS]  the item: ids as the append's answer gave them; a verdict covers all its "
    "rows\n"
    "  --confidence X    in (0, 1] (1)\n"
    "  --note TEXT       kept with the verdict\n"
    "  --as NAME         whose verdict it is; one a person and item counts, a later one replaces "
    "it\n"
    "\n"
    "  pmpoctl verdict 12:0 accept\n"
    "  pmpoctl verdict 12:4+3 reject --confidence 0.5 --as ada\n",
    run_verdict};
