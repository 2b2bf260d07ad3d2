/* items, labelers, agreement: what waits for people, who they are, and how far they agree. */
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/judgement.h"

#include <string.h>

enum { NUMBER_MAX = 1000000 };

static void cell_count(struct pmp_table *t, size_t column, uint64_t v) {
  char text[PMP_FORMAT_MAX];
  pmp_table_set(t, column, pmp_format_count((double)v, text));
}

static void cell_real(struct pmp_table *t, size_t column, bool known, double v) {
  char text[PMP_FORMAT_MAX];
  pmp_table_set(t, column, known ? pmp_format_real(v, text) : "-");
}

/* ---- items ---- */

static void item_line(const struct pmp_item_record *i, bool json, struct pmp_table *t) {
  char item[PMP_ITEM_TEXT];
  pmp_item_text(i->item, item);
  if (json) {
    json_t *j = json_pack("{s:s, s:i, s:i, s:f}", "item", item, "labels", (int)i->labels, "leases",
                          (int)i->leases, "score", (double)i->score);
    (void)pmp_answer_print(j, JSON_COMPACT, stdout); /* main reports a full disk */
    return;
  }
  if (!pmp_table_row(t)) return;
  pmp_table_set(t, 0, item);
  cell_count(t, 1, i->labels);
  cell_count(t, 2, i->leases);
  cell_real(t, 3, true, (double)i->score);
}

static int run_items(struct pmp_ctl *ctl, int argc, char **argv) {
  bool json = false;
  double count = 20;
  const struct pmp_ctl_setting settings[] = {
      {.name = "json", .kind = PMP_CTL_FLAG, .to = &json},
      {.name = "number", .kind = PMP_CTL_NUMBER, .to = &count, .min = 1, .max = NUMBER_MAX},
      {0}};
  if (pmp_ctl_settings(ctl, argc, argv, settings) == PMP_CTL_END) return ctl->exit_code;
  if (optind < argc) return pmp_ctl_usage(ctl, "takes no arguments");
  struct pmp_errmsg msg = {{0}};
  struct pmp_request q = {.verb = PMP_VERB_REVIEW,
                          .u.review = {.subject = PMP_SUBJECT_ITEMS, .who = ""}};
  struct pmp_table table;
  pmp_table_init(&table, "item|>labels|>leases|>score");
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_OBSERVER, &msg);
  for (uint32_t shown = 0; err == PMP_OK && shown < (uint32_t)count;) {
    struct pmp_reply reply;
    q.u.review.count = (uint32_t)count - shown;
    err = pmp_ctl_ask(ctl, &q, &reply, &msg);
    if (err != PMP_OK || reply.u.review.items == 0) break;
    for (uint32_t i = 0; i < reply.u.review.items && shown < (uint32_t)count; i++, shown++)
      item_line(&reply.u.review.item[i], json, &table);
    q.u.review.after = reply.u.review.item[reply.u.review.items - 1].item.chunk;
  }
  if (err == PMP_OK && !json) {
    if (table.rows > 1)
      pmp_table_print(&table, stdout);
    else
      puts("no item waits for people");
  }
  pmp_table_fini(&table);
  return err == PMP_OK ? PMP_EXIT_OK : pmp_ctl_failed(ctl, err, &msg);
}

const struct pmp_command pmp_command_items = {
    "items", "items [--number N] [--json]", "what waits for people, oldest first",
    "  --number N  at most so many (20)\n"
    "  --json      one JSON object a line\n"
    "\n"
    "labels: accepts and rejects that an item has; leases: people who look at it now; score: how\n"
    "uncertain its maker was.\n",
    run_items};

/* ---- labelers ---- */

static void labeler_line(const struct pmp_labeler_record *l, bool json, struct pmp_table *t) {
  if (json) {
    json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "who", l->who,
                          "accepts", (json_int_t)l->accepts, "rejects", (json_int_t)l->rejects,
                          "skips", (json_int_t)l->skips, "surplus", (json_int_t)l->surplus,
                          "withdrawn", (json_int_t)l->withdrawn, "gold", (json_int_t)l->gold,
                          "gold_right", (json_int_t)l->gold_right, "pairs", (json_int_t)l->pairs,
                          "first_ns", (json_int_t)l->first_ns, "last_ns", (json_int_t)l->last_ns);
    if (j && l->pairs > 0) json_object_set_new(j, "agreement", json_real(l->agreement));
    (void)pmp_answer_print(j, JSON_COMPACT, stdout);
    return;
  }
  if (!pmp_table_row(t)) return;
  char when[PMP_FORMAT_MAX];
  pmp_table_set(t, 0, l->who);
  cell_count(t, 1, l->accepts);
  cell_count(t, 2, l->rejects);
  cell_count(t, 3, l->skips);
  cell_count(t, 4, l->surplus);
  cell_count(t, 5, l->withdrawn);
  cell_real(t, 6, l->pairs > 0, l->agreement);
  cell_count(t, 7, l->gold);
  cell_real(t, 8, l->gold > 0, l->gold > 0 ? (double)l->gold_right / (double)l->gold : 0);
  pmp_table_set(t, 9, pmp_format_time(l->last_ns, true, when));
}

static int parse_json(struct pmp_ctl *ctl, int argc, char **argv, bool *json) {
  const struct pmp_ctl_setting settings[] = {{.name = "json", .kind = PMP_CTL_FLAG, .to = json},
                                             {0}};
  if (pmp_ctl_settings(ctl, argc, argv, settings) == PMP_CTL_END) return PMP_CTL_END;
  if (optind == argc) return PMP_CTL_ARGS;
  ctl->exit_code = pmp_ctl_usage(ctl, "takes no arguments");
  return PMP_CTL_END;
}

static int run_labelers(struct pmp_ctl *ctl, int argc, char **argv) {
  bool json = false;
  if (parse_json(ctl, argc, argv, &json) == PMP_CTL_END) return ctl->exit_code;
  struct pmp_errmsg msg = {{0}};
  const struct pmp_request q = {.verb = PMP_VERB_REVIEW,
                                .u.review = {.subject = PMP_SUBJECT_LABELERS, .who = ""}};
  struct pmp_reply reply;
  const enum pmp_err err = pmp_ctl_once(ctl, PMP_ROLE_OBSERVER, &q, &reply, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  struct pmp_table table;
  pmp_table_init(&table,
                 "who|>accepts|>rejects|>skips|>surplus|>taken back|>agreement|>gold|>right|last");
  for (uint32_t i = 0; i < reply.u.review.labelers; i++)
    labeler_line(&reply.u.review.labeler[i], json, &table);
  if (!json) {
    if (table.rows > 1)
      pmp_table_print(&table, stdout);
    else
      puts("nobody has judged anything yet");
  }
  pmp_table_fini(&table);
  return PMP_EXIT_OK;
}

const struct pmp_command pmp_command_labelers = {
    "labelers", "labelers [--json]", "who judged how much",
    "  --json  one JSON object a line\n"
    "\n"
    "surplus: verdicts on items that had what they want, or are gold; taken back: replaced or\n"
    "withdrawn; agreement: share of verdicts that agree with others' on the same item; gold:\n"
    "judged items whose truth is known (pmpoctl gold); right: share of these that were right.\n",
    run_labelers};

/* ---- agreement ---- */

static int agreement_json(const struct pmp_review_reply *r) {
  json_t *j = pmp_answer_numbers_json(r->number, r->numbers), *pairs = json_array();
  for (uint32_t i = 0; i < r->pairs; i++) {
    const struct pmp_pair_record *p = &r->pair[i];
    json_t *one = json_pack("{s:s, s:s, s:I, s:f}", "a", p->a, "b", p->b, "items",
                            (json_int_t)p->items, "raw", p->raw);
    if (one && p->kappa_known) json_object_set_new(one, "kappa", json_real(p->kappa));
    json_array_append_new(pairs, one);
  }
  if (j) json_object_set(j, "pairs_of_people", pairs);
  json_decref(pairs);
  return pmp_answer_print(j, JSON_INDENT(2), stdout) ? PMP_EXIT_OK : PMP_EXIT_FAILED;
}

static void number_line(const struct pmp_review_reply *r, const char *name, const char *text) {
  char out[PMP_FORMAT_MAX];
  const double v = pmp_answer_number(r->number, r->numbers, name);
  printf("%-34s %s\n", text, v == v ? pmp_format_real(v, out) : "not defined yet");
}

static int run_agreement(struct pmp_ctl *ctl, int argc, char **argv) {
  bool json = false;
  if (parse_json(ctl, argc, argv, &json) == PMP_CTL_END) return ctl->exit_code;
  struct pmp_errmsg msg = {{0}};
  const struct pmp_request q = {.verb = PMP_VERB_REVIEW,
                                .u.review = {.subject = PMP_SUBJECT_AGREEMENT, .who = ""}};
  struct pmp_reply reply;
  const enum pmp_err err = pmp_ctl_once(ctl, PMP_ROLE_OBSERVER, &q, &reply, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  const struct pmp_review_reply *r = &reply.u.review;
  if (json) return agreement_json(r);
  number_line(r, "items", "items with two verdicts or more");
  number_line(r, "raters", "people");
  number_line(r, "raw", "share of pairs that agree");
  number_line(r, "fleiss_kappa", "Fleiss' kappa");
  number_line(r, "krippendorff_alpha", "Krippendorff's alpha");
  struct pmp_table table;
  pmp_table_init(&table, "a|b|>items|>agree|>Cohen's kappa");
  for (uint32_t i = 0; i < r->pairs && pmp_table_row(&table); i++) {
    const struct pmp_pair_record *p = &r->pair[i];
    pmp_table_set(&table, 0, p->a);
    pmp_table_set(&table, 1, p->b);
    cell_count(&table, 2, p->items);
    cell_real(&table, 3, true, p->raw);
    cell_real(&table, 4, p->kappa_known, p->kappa);
  }
  if (r->pairs > 0) {
    puts("");
    pmp_table_print(&table, stdout);
  }
  pmp_table_fini(&table);
  return PMP_EXIT_OK;
}

const struct pmp_command pmp_command_agreement = {
    "agreement", "agreement [--json]", "how far the people who judge agree",
    "  --json  one JSON object\n"
    "\n"
    "Accepts and rejects that stand, surplus ones too, the latest of a person on an item; skips "
    "are\n"
    "no ratings. Raw, Cohen's kappa by pairs, Fleiss' kappa, Krippendorff's alpha.\n",
    run_agreement};
