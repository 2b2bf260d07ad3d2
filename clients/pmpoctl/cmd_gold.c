/* gold: items whose truth is known, by which labelers are measured. */
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/judgement.h"

#include <string.h>

static void gold_line(const struct pmp_verdict_record *v, bool json, struct pmp_table *t) {
  char item[PMP_ITEM_TEXT], when[PMP_FORMAT_MAX];
  pmp_item_text(v->item, item);
  if (json) {
    json_t *j = json_pack("{s:s, s:s, s:s, s:I}", "item", item, "judgement",
                          pmp_judgement_name(v->judgement), "who", v->who, "wall_ns",
                          (json_int_t)v->wall_ns);
    (void)pmp_answer_print(j, JSON_COMPACT, stdout); /* main reports a full disk */
    return;
  }
  if (!pmp_table_row(t)) return;
  pmp_table_set(t, 0, item);
  pmp_table_set(t, 1, pmp_judgement_name(v->judgement));
  pmp_table_set(t, 2, v->who);
  pmp_table_set(t, 3, pmp_format_time(v->wall_ns, true, when));
}

static int list(struct pmp_ctl *ctl, bool json) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_request q = {.verb = PMP_VERB_REVIEW,
                          .u.review = {.subject = PMP_SUBJECT_GOLD, .who = ""}};
  struct pmp_table table;
  pmp_table_init(&table, "item|truth|who|when");
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_OBSERVER, &msg);
  while (err == PMP_OK) {
    struct pmp_reply reply;
    err = pmp_ctl_ask(ctl, &q, &reply, &msg);
    if (err != PMP_OK || reply.u.review.verdicts == 0) break;
    for (uint32_t i = 0; i < reply.u.review.verdicts; i++) {
      gold_line(&reply.u.review.verdict[i], json, &table);
      q.u.review.after = reply.u.review.verdict[i].id;
    }
  }
  if (err == PMP_OK && !json) {
    if (table.rows > 1)
      pmp_table_print(&table, stdout);
    else
      puts("no item is gold");
  }
  pmp_table_fini(&table);
  return err == PMP_OK ? PMP_EXIT_OK : pmp_ctl_failed(ctl, err, &msg);
}

static int set(struct pmp_ctl *ctl, const char *item, const char *truth, bool json) {
  struct pmp_item_ref ref;
  if (!pmp_item_parse(item, &ref))
    return pmp_ctl_usage(ctl, "\"%.60s\" is no item: CHUNK:ROW or CHUNK:ROW+ROWS", item);
  if (strcmp(truth, "accept") != 0 && strcmp(truth, "reject") != 0 && strcmp(truth, "none") != 0)
    return pmp_ctl_usage(ctl, "\"%.60s\" is none of accept, reject, none", truth);
  struct pmp_errmsg msg = {{0}};
  const struct pmp_request q = {
      .verb = PMP_VERB_CONTROL,
      .u.control = {.action = PMP_CONTROL_GOLD, .key = item, .value = truth}};
  struct pmp_reply reply;
  const enum pmp_err err = pmp_ctl_once(ctl, PMP_ROLE_OPERATOR, &q, &reply, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  char text[512];
  pmp_format_detail(reply.u.control.detail, text, sizeof text);
  if (json)
    puts(reply.u.control.detail);
  else
    printf("gold: %s\n", text);
  return PMP_EXIT_OK;
}

static int run_gold(struct pmp_ctl *ctl, int argc, char **argv) {
  bool json = false, listed = false;
  const struct pmp_ctl_setting settings[] = {{.name = "json", .kind = PMP_CTL_FLAG, .to = &json},
                                             {.name = "list", .kind = PMP_CTL_FLAG, .to = &listed},
                                             {0}};
  if (pmp_ctl_settings(ctl, argc, argv, settings) == PMP_CTL_END) return ctl->exit_code;
  if (argc - optind != (listed ? 0 : 2))
    return pmp_ctl_usage(ctl, listed ? "--list takes no arguments"
                                     : "takes an item and its truth: accept, reject or none");
  return listed ? list(ctl, json) : set(ctl, argv[optind], argv[optind + 1], json);
}

const struct pmp_command pmp_command_gold = {
    "gold", "gold CHUNK:ROW[+ROWS] accept|reject|none [--json], or gold --list [--json]",
    "items whose truth is known, to measure who judges",
    "  CHUNK:ROW[+ROWS]  an item, as pmpoctl items and verdicts write it\n"
    "  none              its truth is not known any more\n"
    "  --list            all of them\n"
    "  --json            the daemon's answer as a JSON object, of a list one a line\n"
    "\n"
    "The share desk.gold_share of a person's leases is gold that it has not judged; nobody who\n"
    "labels can tell. Verdicts on it are surplus: they measure (pmpoctl labelers) and do not\n"
    "train, but for those that trained before it was gold.\n",
    run_gold};
