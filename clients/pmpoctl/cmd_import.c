/* import: rows of a file into a run. */
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/import.h"
#include "clients/pmpoctl/sender.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { OPT_DRY = 256, OPT_SKIP, OPT_IGNORE, OPT_JSON, OPT_LOST };

#define BAD_SHOWN 10
#define SHOW_S 0.1
#define LEARNED_TRIES 40
#define LEARNED_S 0.05
#define SAY_S 10.0 /* without a terminal: what holds the import back, once it has for so long */

struct job {
  struct pmp_ctl *ctl;
  const char *path, *shown; /* as given, and as messages call it */
  bool dry, skip_bad, json, quiet, terminal;
  struct pmp_outcome_form form;
  struct pmp_wire_limits limits;
  struct pmp_lines lines;
  struct pmp_import_result found; /* by the first pass */
  struct pmp_sender sender;
  uint64_t already; /* rows that were there before */
  double started, drawn, said;
};

/* ---- progress, on stderr ---- */

static void clear_line(const struct job *j) {
  if (j->terminal) fputs("\r\033[K", stderr);
}

static bool on_tick(void *ctx, const struct pmp_lines *lines) {
  struct job *j = ctx;
  const double now = pmp_ctl_now();
  if (j->terminal && now - j->drawn >= SHOW_S) {
    j->drawn = now;
    fprintf(stderr, "\r\033[Kchecking %.60s: %.0f%%", j->shown,
            lines->total > 0 ? 100 * (double)lines->bytes / (double)lines->total : 0);
  }
  return !pmp_ctl_stopped(j->ctl->stop);
}

static void on_bad(void *ctx, uint64_t line, const struct pmp_errmsg *why) {
  struct job *j = ctx;
  if (j->found.refused > BAD_SHOWN) return;
  clear_line(j);
  fprintf(stderr, "%s:%" PRIu64 ": %s\n", j->shown, line, why->text);
  if (j->found.refused == BAD_SHOWN) fputs("further bad lines are only counted\n", stderr);
}

static void on_bad_again(void *ctx, uint64_t line, const struct pmp_errmsg *why) {
  (void)ctx, (void)line, (void)why; /* the first pass has said it */
}

static void show(void *ctx, const struct pmp_sender *s) {
  struct job *j = ctx;
  char there[PMP_FORMAT_MAX], all[PMP_FORMAT_MAX], rate[PMP_FORMAT_MAX], left[PMP_FORMAT_MAX];
  const double now = pmp_ctl_now(), seconds = now - j->started;
  if (!j->terminal) {
    if (j->quiet || s->waiting[0] == '\0' || now - s->moved_on < SAY_S || now - j->said < 6 * SAY_S)
      return;
    j->said = now;
    fprintf(stderr, "pmpoctl import: %s\n", s->waiting);
    return;
  }
  if (now - j->drawn < SHOW_S) return;
  j->drawn = now;
  const double done = (double)(s->there - j->already), per_s = seconds > 0 ? done / seconds : 0;
  fprintf(stderr, "\r\033[K%s of %s rows, %s", pmp_format_count((double)s->there, there),
          pmp_format_count((double)j->found.rows, all), pmp_format_rate(per_s, rate));
  if (s->waiting[0] != '\0')
    fprintf(stderr, "; %.120s", s->waiting);
  else if (per_s > 0)
    fprintf(stderr, ", %s left",
            pmp_format_seconds((double)(j->found.rows - s->there) / per_s, left));
}

/* ---- the two passes ---- */

static enum pmp_err check(struct job *j, struct pmp_errmsg *msg) {
  const struct pmp_import_sink sink = {
      .ctx = j, .refused = j->skip_bad ? on_bad : NULL, .tick = on_tick};
  PMP_TRY(pmp_import_pass(&j->lines, j->shown, &j->form, &j->limits, 0, &sink, &j->found, msg));
  if (j->found.rows > 0) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "%.200s has no row to import", j->shown);
}

static enum pmp_err on_chunk(void *ctx, const struct pmp_chunk *chunk, uint64_t rows,
                             struct pmp_errmsg *msg) {
  struct job *j = ctx;
  return pmp_sender_append(&j->sender, chunk, rows, msg);
}

static bool on_send_tick(void *ctx, const struct pmp_lines *lines) {
  const struct job *j = ctx;
  (void)lines;
  return !pmp_ctl_stopped(j->ctl->stop);
}

/* One connection: from what is there to the end of the file. */
static enum pmp_err send_rest(struct job *j, struct pmp_errmsg *msg) {
  const struct pmp_import_sink sink = {.ctx = j,
                                       .chunk = on_chunk,
                                       .refused = j->skip_bad ? on_bad_again : NULL,
                                       .tick = on_send_tick};
  struct pmp_import_result sent;
  struct pmp_sender *s = &j->sender;
  if (s->base == j->found.rows) return PMP_OK;
  PMP_TRY(pmp_import_pass(&j->lines, j->shown, &j->form, &j->limits, s->base, &sink, &sent, msg));
  PMP_TRY(pmp_sender_flush(s, msg));
  if (strcmp(sent.hash, j->found.hash) == 0) return PMP_OK;
  return pmp_fail(msg, PMP_ECONFLICT,
                  "%.200s changed while it was read: the rows that were sent are not those that "
                  "were checked",
                  j->shown);
}

/* Sends, and finds a daemon again that came back at another address. */
static enum pmp_err deliver(struct job *j, struct pmp_errmsg *msg) {
  struct pmp_sender *s = &j->sender;
  s->ctl = j->ctl;
  s->show = show;
  s->show_ctx = j;
  snprintf(s->name, sizeof s->name, "import-%s", j->found.hash);
  j->started = j->said = pmp_ctl_now();
  for (bool first = true;; first = false) {
    enum pmp_err err = pmp_sender_open(s, j->found.rows, msg);
    if (err == PMP_OK && first) j->already = s->base;
    if (err == PMP_OK) err = send_rest(j, msg);
    pmp_sender_close(s);
    if (err == PMP_OK || !s->elsewhere) return err;
    PMP_TRY(pmp_ctl_open(j->ctl, PMP_ROLE_OBSERVER, msg));
  }
}

/* ---- what came of it ---- */

/* What the run makes of the rows: once its learner has seen all of them, or after a short while. */
static void ask_state(struct job *j, char state[64], char reason[256]) {
  const struct pmp_request q = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  struct pmp_errmsg msg;
  state[0] = reason[0] = '\0';
  for (int tries = 0; tries < LEARNED_TRIES; tries++) {
    if (tries > 0) pmp_ctl_sleep(j->ctl->stop, LEARNED_S);
    if (pmp_ctl_ask(j->ctl, &q, &reply, &msg) != PMP_OK) return;
    const struct pmp_status_reply *r = &reply.u.status;
    const char *t = pmp_answer_text(r->text, r->texts, "state");
    snprintf(state, 64, "%s", t != NULL ? t : "");
    t = pmp_answer_text(r->text, r->texts, "reason");
    snprintf(reason, 256, "%s", t != NULL ? t : "");
    if (pmp_answer_number(r->number, r->numbers, "learner.commit") >=
        pmp_answer_number(r->number, r->numbers, "store.last_commit"))
      return;
  }
}

static int print_json(struct job *j) {
  const struct pmp_import_result *r = &j->found;
  char state[64], reason[256];
  ask_state(j, state, reason);
  json_t *o = json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s}", "file",
                        j->shown, "name", j->sender.name, "dry_run", (int)j->dry, "rows",
                        (json_int_t)r->rows, "groups", (json_int_t)r->groups, "accepted",
                        (json_int_t)r->accepted, "rejected", (json_int_t)r->rejected, "evaluated",
                        (json_int_t)r->evaluated, "alone", (json_int_t)r->alone, "unlabelled",
                        (json_int_t)r->unlabelled, "refused", (json_int_t)r->refused, "state",
                        state, "reason", reason);
  if (o != NULL && !j->dry) {
    json_object_set_new(o, "new", json_integer((json_int_t)(r->rows - j->already)));
    json_object_set_new(o, "already", json_integer((json_int_t)j->already));
    json_object_set_new(o, "seconds", json_real(pmp_ctl_now() - j->started));
  }
  return pmp_answer_print(o, JSON_INDENT(2), stdout) ? PMP_EXIT_OK : PMP_EXIT_FAILED;
}

static const char *count(uint64_t n, char out[PMP_FORMAT_MAX]) {
  return pmp_format_count((double)n, out);
}

static int print_text(struct job *j) {
  const struct pmp_import_result *r = &j->found;
  char a[PMP_FORMAT_MAX], b[PMP_FORMAT_MAX], state[64], reason[256];
  printf("%s: %s rows in %s groups, ", j->shown, count(r->rows, a), count(r->groups, b));
  if (j->dry)
    puts("not sent");
  else
    printf("%s new, %s were there already\n", count(r->rows - j->already, a), count(j->already, b));
  printf("  %s accepted, %s rejected", count(r->accepted, a), count(r->rejected, b));
  if (r->evaluated > 0) printf(", %s for the label rule", count(r->evaluated, a));
  if (r->alone > 0) printf(" (%s alone in their group)", count(r->alone, a));
  if (r->unlabelled > 0) printf(", %s unlabelled", count(r->unlabelled, a));
  if (r->refused > 0) printf("; %s lines refused", count(r->refused, a));
  ask_state(j, state, reason);
  printf("\n  the run is %s%s%s\n", state, reason[0] != '\0' ? ": " : "", reason);
  return PMP_EXIT_OK;
}

static int finish(struct job *j, enum pmp_err err, const struct pmp_errmsg *msg) {
  clear_line(j);
  if (err == PMP_OK) return j->json ? print_json(j) : print_text(j);
  if (err == PMP_ECLOSED && pmp_ctl_stopped(j->ctl->stop) && j->sender.name[0] != '\0')
    fprintf(stderr,
            "pmpoctl import: stopped with %" PRIu64 " of %" PRIu64
            " rows there; the same command goes on\n",
            j->sender.there, j->found.rows);
  return pmp_ctl_failed(j->ctl, err, msg);
}

/* ---- the command ---- */

static int parse(struct pmp_ctl *ctl, int argc, char **argv, struct job *j) {
  static const struct option options[] = {{"dry-run", no_argument, NULL, 'n'},
                                          {"skip-bad", no_argument, NULL, OPT_SKIP},
                                          {"ignore-unknown", no_argument, NULL, OPT_IGNORE},
                                          {"lost", required_argument, NULL, OPT_LOST},
                                          {"json", no_argument, NULL, OPT_JSON},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {0}};
  struct pmp_errmsg msg;
  int ch;
  while ((ch = pmp_ctl_option(ctl, argc, argv, options, false)) >= 0) {
    if (ch == 'n') j->dry = true;
    if (ch == 'q') j->quiet = true;
    if (ch == OPT_SKIP) j->skip_bad = true;
    if (ch == OPT_IGNORE) j->form.ignore_unknown = true;
    if (ch == OPT_JSON) j->json = true;
    if (ch == OPT_LOST && pmp_ctl_number(optarg, 1, 1e7, &j->sender.lost_s, &msg) != PMP_OK) {
      ctl->exit_code = pmp_ctl_usage(ctl, "--lost: %s", msg.text);
      return PMP_CTL_END;
    }
  }
  return ch;
}

static int run_import(struct pmp_ctl *ctl, int argc, char **argv) {
  struct job j = {.ctl = ctl, .sender = {.lost_s = 60}};
  if (parse(ctl, argc, argv, &j) == PMP_CTL_END) return ctl->exit_code;
  if (argc - optind != 1) return pmp_ctl_usage(ctl, "takes one file, or - for standard input");
  if (ctl->name != NULL)
    return pmp_ctl_usage(ctl, "--as: an import is named after its rows, so that it is known again");
  j.path = argv[optind];
  j.shown = strcmp(j.path, "-") == 0 ? "standard input" : j.path;
  j.terminal = !j.quiet && isatty(STDERR_FILENO);
  struct pmp_errmsg msg = {{0}}, why = {{0}};
  const bool ignore = j.form.ignore_unknown;
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_OBSERVER, &msg);
  if (err == PMP_OK) {
    j.limits = pmpo_run(ctl->client)->limits;
    err = pmp_outcome_form(&pmpo_run(ctl->client)->spec, &j.form, &msg);
    j.form.ignore_unknown = ignore;
  }
  if (err == PMP_OK) {
    err = pmp_lines_open(&j.lines, j.path, pmp_outcome_line_max(&j.form), &why);
    if (err != PMP_OK) (void)pmp_fail(&msg, err, "%.200s: %s", j.shown, why.text);
  }
  if (err == PMP_OK) err = check(&j, &msg);
  if (err == PMP_OK && !j.dry) err = deliver(&j, &msg);
  const int code = finish(&j, err, &msg);
  pmp_lines_close(&j.lines);
  return code;
}

const struct pmp_command pmp_command_import = {
    "import", "import FILE|- [--dry-run] [--skip-bad] [--json]",
    "rows of a JSON Lines file into the run, each once",
    "  FILE               one row a line; - reads standard input\n"
    "  -n, --dry-run      only check the file against the run\n"
    "  --skip-bad         leave bad lines out and count them (else one stops all, before anything\n"
    "                     is sent)\n"
    "  --ignore-unknown   pass over keys that no row has\n"
    "  --lost S           give up once the daemon has been silent for S seconds (60)\n"
    "  --json             one JSON object at the end\n"
    "  -q, --quiet        no progress\n"
    "\n"
    "A row: {\"x\": [0.1, 2], \"y\": [3], \"verdict\": 1, \"weight\": 1, \"f\": 0.7, \"group\": "
    "12}\n"
    "  x        the condition; absent where the run has none\n"
    "  y        the outcome: numbers, or bins counted from 0; one may stand without brackets\n"
    "  verdict  1, \"accept\" or true; -1, \"reject\" or false; 0 or absent: none\n"
    "  weight   at least 0 (1)\n"
    "  f        an evaluation: the run's label rule accepts and rejects within a group\n"
    "  group    text or a whole number: consecutive lines with the same one are outcomes of one "
    "x.\n"
    "           Without it, lines with f and no verdict are a group while x stays the same\n"
    "\n"
    "An import that was cut off goes on where it was, and one that was done before adds nothing: "
    "the\n"
    "run knows the rows again by their content.\n"
    "\n"
    "  pmpoctl import data.jsonl\n"
    "  zcat data.jsonl.gz | pmpoctl import -\n",
    run_import};
