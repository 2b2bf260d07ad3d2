/* verdicts: what people said, for other programs and from them. */
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/judgement.h"
#include "clients/pmpoctl/lines.h"

#include <inttypes.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)16 << 20)
#define IMPORT_BATCH 64

struct want {
  bool json, csv, trl, studio, active;
  const char *who, *import;
  double number; /* 0: all */
  json_t *tasks; /* of Label Studio: an object by item */
};

/* ---- out ---- */

/* RFC 4180: in quotes when it has to be. */
static void csv_cell(const char *text) {
  if (strpbrk(text, ",\"\r\n") == NULL) {
    fputs(text, stdout);
    return;
  }
  putchar('"');
  for (; *text; text++) {
    if (*text == '"') putchar('"');
    putchar(*text);
  }
  putchar('"');
}

static void csv_line(const struct pmp_verdict_record *v) {
  char item[PMP_ITEM_TEXT], confidence[PMP_FORMAT_MAX] = "";
  if (v->judgement <= PMP_REJECT)
    snprintf(confidence, sizeof confidence, "%.9g", (double)v->confidence);
  printf("%" PRIu64 ",%" PRId64 ",", v->id, v->wall_ns);
  csv_cell(v->who);
  printf(",%s,%s,%s,%s,", pmp_item_text(v->item, item), pmp_judgement_name(v->judgement),
         confidence, pmp_verdict_state_name(v->state));
  csv_cell(v->note);
  putchar(',');
  csv_cell(v->request_id);
  putchar('\n');
}

/* TRL's unpaired preferences: only of texts. */
static void trl_line(const struct pmp_verdict_record *v) {
  const struct pmp_media *prompt = pmp_media_text(v->media, v->medias, "prompt");
  const struct pmp_media *completion = pmp_media_text(v->media, v->medias, "completion");
  if (v->judgement > PMP_REJECT || v->state != 1 || !prompt || !completion) return;
  json_t *j = json_pack("{s:s%, s:s%, s:b}", "prompt", prompt->data, prompt->bytes, "completion",
                        completion->data, completion->bytes, "label", v->judgement == PMP_ACCEPT);
  (void)pmp_answer_print(j, JSON_COMPACT | JSON_PRESERVE_ORDER, stdout);
}

static void studio_task(struct want *w, const struct pmp_verdict_record *v) {
  if (v->judgement > PMP_SKIP || v->state > 2) return;
  char item[PMP_ITEM_TEXT];
  pmp_item_text(v->item, item);
  json_t *task = json_object_get(w->tasks, item);
  if (!task) {
    json_t *data = json_pack("{s:s}", "item", item);
    for (uint32_t i = 0; i < v->medias; i++)
      json_object_set_new(data, v->media[i].name,
                          json_stringn(v->media[i].data, v->media[i].bytes));
    task = json_pack("{s:o, s:[]}", "data", data, "annotations");
    json_object_set_new(w->tasks, item, task);
  }
  json_t *result = json_array();
  if (v->judgement != PMP_SKIP)
    json_array_append_new(result, json_pack("{s:s, s:s, s:s, s:{s:[s]}}", "from_name", "judgement",
                                            "to_name", "item", "type", "choices", "value",
                                            "choices", pmp_judgement_name(v->judgement)));
  json_array_append_new(json_object_get(task, "annotations"),
                        json_pack("{s:s, s:b, s:o, s:f}", "created_username", v->who,
                                  "was_cancelled", v->judgement == PMP_SKIP, "result", result,
                                  "confidence", (double)v->confidence));
}

static void table_line(const struct pmp_verdict_record *v) {
  char item[PMP_ITEM_TEXT], when[PMP_FORMAT_MAX], confidence[PMP_FORMAT_MAX] = "";
  if (v->judgement <= PMP_REJECT) pmp_format_real((double)v->confidence, confidence);
  printf("%7" PRIu64 "  %s  %-16s %-12s %-8s %-5s %-9s ", v->id,
         pmp_format_time(v->wall_ns, true, when), v->who, pmp_item_text(v->item, item),
         pmp_judgement_name(v->judgement), confidence, pmp_verdict_state_name(v->state));
  pmp_text_print(v->note, strlen(v->note), stdout);
  putchar('\n');
}

static void verdict_line(struct want *w, const struct pmp_verdict_record *v) {
  if (w->active && v->state != 1) return;
  if (w->csv)
    csv_line(v);
  else if (w->trl)
    trl_line(v);
  else if (w->studio)
    studio_task(w, v);
  else if (w->json)
    (void)pmp_answer_print(pmp_verdict_json(v), JSON_COMPACT, stdout);
  else
    table_line(v);
}

static enum pmp_err list(struct pmp_ctl *ctl, struct want *w, struct pmp_errmsg *msg) {
  struct pmp_request q = {.verb = PMP_VERB_REVIEW};
  q.u.review = (struct pmp_review){.subject = PMP_SUBJECT_VERDICTS, .who = w->who ? w->who : ""};
  uint64_t left = w->number > 0 ? (uint64_t)w->number : UINT64_MAX;
  if (w->csv) puts("id,wall_ns,who,item,judgement,confidence,state,note,request_id");
  while (left > 0) {
    struct pmp_reply reply;
    q.u.review.count = left < 1000 ? (uint32_t)left : 1000;
    PMP_TRY(pmp_ctl_ask(ctl, &q, &reply, msg));
    const struct pmp_review_reply *r = &reply.u.review;
    if (r->verdicts == 0) break;
    for (uint32_t i = 0; i < r->verdicts; i++) verdict_line(w, &r->verdict[i]);
    left -= r->verdicts < left ? r->verdicts : left;
    q.u.review.after = r->verdict[r->verdicts - 1].id;
  }
  if (!w->studio) return PMP_OK;
  json_t *all = json_array(), *task;
  const char *item;
  json_object_foreach(w->tasks, item, task) json_array_append(all, task);
  return pmp_answer_print(all, JSON_INDENT(2), stdout) ? PMP_OK
                                                       : pmp_fail(msg, PMP_EIO, "cannot write");
}

/* ---- in ---- */

struct importing {
  struct pmp_ctl *ctl;
  struct pmp_verdict verdict[IMPORT_BATCH];
  json_t *line[IMPORT_BATCH]; /* owned: its texts are the verdicts' */
  uint32_t count;
  uint64_t kept, known, surplus, left_out;
};

static enum pmp_err send_batch(struct importing *m, struct pmp_errmsg *msg) {
  if (m->count == 0) return PMP_OK;
  const struct pmp_request q = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {m->verdict, m->count}};
  struct pmp_reply reply;
  enum pmp_err err = pmp_ctl_ask(m->ctl, &q, &reply, msg);
  for (uint32_t i = 0; err == PMP_OK && i < reply.u.verdicts.count; i++) {
    const struct pmp_verdict_result *r = &reply.u.verdicts.result[i];
    if (r->code != PMP_OK && i < m->count)
      err = pmp_fail(msg, r->code, "request %s: %s", m->verdict[i].request_id, r->message);
    m->kept += r->code == PMP_OK && !r->duplicate;
    m->known += r->duplicate;
    m->surplus += r->surplus;
  }
  for (uint32_t i = 0; i < m->count; i++) json_decref(m->line[i]);
  m->count = 0;
  return err;
}

/* A line of what `verdicts --json` writes. Those that do not stand are left out. */
static enum pmp_err take_line(struct importing *m, const char *text, size_t size, uint64_t number,
                              struct pmp_errmsg *msg) {
  json_error_t why;
  json_t *j = json_loadb(text, size, 0, &why);
  if (!j) return pmp_fail(msg, PMP_EINVALID, "line %" PRIu64 ": %s", number, why.text);
  const char *item = json_string_value(json_object_get(j, "item"));
  const char *judgement = json_string_value(json_object_get(j, "judgement"));
  const char *id = json_string_value(json_object_get(j, "request_id"));
  const char *note = json_string_value(json_object_get(j, "note"));
  const char *state = json_string_value(json_object_get(j, "state"));
  const json_t *confidence = json_object_get(j, "confidence");
  struct pmp_item_ref ref;
  struct pmp_verdict *v = &m->verdict[m->count];
  const enum pmp_judgement said = judgement ? pmp_judgement_parse(judgement) : PMP_JUDGEMENT_NONE;
  if ((state && strcmp(state, "active") != 0 && strcmp(state, "surplus") != 0) ||
      said == PMP_WITHDRAW) {
    m->left_out++;
    json_decref(j);
    return PMP_OK;
  }
  if (!item || !pmp_item_parse(item, &ref) || said == PMP_JUDGEMENT_NONE || !id || !id[0]) {
    json_decref(j);
    return pmp_fail(msg, PMP_EINVALID,
                    "line %" PRIu64 ": wants item (CHUNK:ROW[+ROWS]), judgement and request_id",
                    number);
  }
  *v = (struct pmp_verdict){
      .request_id = id,
      .note = note ? note : "",
      .chunk = ref.chunk,
      .row = ref.row,
      .rows = ref.rows,
      .judgement = said,
      .confidence = json_is_number(confidence) ? (float)json_number_value(confidence) : 1.0F};
  m->line[m->count++] = j;
  return m->count == IMPORT_BATCH ? send_batch(m, msg) : PMP_OK;
}

static enum pmp_err import_file(struct pmp_ctl *ctl, const char *path, struct pmp_errmsg *msg) {
  struct pmp_lines lines;
  struct importing m = {.ctl = ctl};
  PMP_TRY(pmp_lines_open(&lines, path, LINE_MAX_BYTES, msg));
  enum pmp_err err = PMP_OK;
  while (err == PMP_OK) {
    const char *text;
    size_t size;
    err = pmp_lines_next(&lines, &text, &size, msg);
    if (err == PMP_OK && size > 0) err = take_line(&m, text, size, lines.number, msg);
  }
  if (err == PMP_ECLOSED) err = send_batch(&m, msg);
  for (uint32_t i = 0; i < m.count; i++) json_decref(m.line[i]);
  pmp_lines_close(&lines);
  printf("%" PRIu64 " kept, %" PRIu64 " known already, %" PRIu64 " surplus, %" PRIu64
         " that did not stand left out\n",
         m.kept, m.known, m.surplus, m.left_out);
  return err;
}

/* ---- the command ---- */

static int run_verdicts(struct pmp_ctl *ctl, int argc, char **argv) {
  struct want w = {.number = 0};
  const struct pmp_ctl_setting settings[] = {
      {.name = "json", .kind = PMP_CTL_FLAG, .to = &w.json},
      {.name = "csv", .kind = PMP_CTL_FLAG, .to = &w.csv},
      {.name = "trl", .kind = PMP_CTL_FLAG, .to = &w.trl},
      {.name = "label-studio", .kind = PMP_CTL_FLAG, .to = &w.studio},
      {.name = "active", .kind = PMP_CTL_FLAG, .to = &w.active},
      {.name = "who", .kind = PMP_CTL_TEXT, .to = &w.who},
      {.name = "import", .kind = PMP_CTL_TEXT, .to = &w.import},
      {.name = "number", .kind = PMP_CTL_NUMBER, .to = &w.number, .min = 1, .max = 1e15},
      {0}};
  if (pmp_ctl_settings(ctl, argc, argv, settings) == PMP_CTL_END) return ctl->exit_code;
  if (optind < argc) return pmp_ctl_usage(ctl, "takes no arguments");
  if (w.json + w.csv + w.trl + w.studio > 1)
    return pmp_ctl_usage(ctl, "--json, --csv, --trl and --label-studio: one of them");
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmp_ctl_open(ctl, w.import ? PMP_ROLE_LABELER : PMP_ROLE_OBSERVER, &msg);
  if (err == PMP_OK && w.import) {
    err = import_file(ctl, w.import, &msg);
  } else if (err == PMP_OK) {
    w.tasks = json_object();
    err = w.tasks ? list(ctl, &w, &msg) : PMP_ENOMEM;
    json_decref(w.tasks);
  }
  return err == PMP_OK ? PMP_EXIT_OK : pmp_ctl_failed(ctl, err, &msg);
}

const struct pmp_command pmp_command_verdicts = {
    "verdicts",
    "verdicts [--who NAME] [--active] [--number N] [--json | --csv | --trl | --label-studio]\n"
    "       pmpoctl verdicts --import FILE [--as NAME]",
    "what people said of items; export and import",
    "  --who NAME      of this person only (local:NAME without tokens)\n"
    "  --active        only those that count now\n"
    "  --number N      the first N\n"
    "  --json          one JSON object a line\n"
    "  --csv           RFC 4180, with a line of heads\n"
    "  --trl           unpaired preferences for TRL, one JSON object a line: prompt, completion,\n"
    "                  label; of verdicts that count, on items with those two texts\n"
    "  --label-studio  a JSON list of tasks with their annotations\n"
    "  --import FILE   gives the verdicts of a --json file (-: standard input) as --as NAME. A "
    "request\n"
    "                  id is kept once: importing twice changes nothing\n",
    run_verdicts};
