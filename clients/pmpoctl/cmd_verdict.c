/* verdict: what a person says of an item. */
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/judgement.h"

enum { OPT_CONFIDENCE = 256, OPT_NOTE };

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
  struct pmp_item_ref ref;
  if (!pmp_item_parse(item, &ref))
    return pmp_ctl_usage(ctl, "\"%.60s\" is no item: CHUNK:ROW or CHUNK:ROW+ROWS", item);
  v.chunk = ref.chunk;
  v.row = ref.row;
  v.rows = ref.rows;
  v.judgement = pmp_judgement_parse(argv[optind + 1]);
  if (v.judgement == PMP_JUDGEMENT_NONE)
    return pmp_ctl_usage(ctl, "\"%.60s\" is none of accept, reject, skip, withdraw",
                         argv[optind + 1]);
  struct pmp_errmsg msg = {{0}};
  char id[PMP_REQUEST_ID];
  if (pmp_request_id_draw(id, &msg) != PMP_OK) return pmp_ctl_failed(ctl, PMP_EIO, &msg);
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
