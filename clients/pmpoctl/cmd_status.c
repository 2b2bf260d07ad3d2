/* status and actors. */
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/names.h"
#include "clients/pmpoctl/summary.h"

#include <math.h>
#include <string.h>

enum { OPT_JSON = 256, OPT_ALL };

static double number(const struct pmp_status_reply *s, const char *name) {
  return pmp_answer_number(s->number, s->numbers, name);
}

static const char *text(const struct pmp_status_reply *s, const char *name) {
  const char *t = pmp_answer_text(s->text, s->texts, name);
  return t ? t : "";
}

/* ---- status for people ---- */

static double summary_number(const void *ctx, const char *name) {
  return number(ctx, name);
}

/* One a line, as the daemon says them. */
static void print_warnings(const char *lines) {
  while (*lines) {
    const int n = (int)strcspn(lines, "\n");
    printf("  %-12s %.*s\n", "warning", n, lines);
    lines += n + (lines[n] == '\n');
  }
}

static void print_returns(const struct pmp_actor_status *a) {
  char one[PMP_FORMAT_MAX], two[PMP_FORMAT_MAX], three[PMP_FORMAT_MAX];
  const double episodes = pmp_answer_number(a->number, a->numbers, "episodes"),
               evaluated = pmp_answer_number(a->number, a->numbers, "eval_last");
  if (!isnan(episodes))
    printf(", return %s, mean of %.0f: %s, %s episodes",
           pmp_format_real(pmp_answer_number(a->number, a->numbers, "return_last"), one),
           pmp_answer_number(a->number, a->numbers, "return_mean_of"),
           pmp_format_real(pmp_answer_number(a->number, a->numbers, "return_mean"), two),
           pmp_format_count(episodes, three));
  if (!isnan(evaluated))
    printf(", evaluation %s %s ago, best %s", pmp_format_real(evaluated, one),
           pmp_format_seconds(pmp_answer_number(a->number, a->numbers, "eval_age_s"), two),
           pmp_format_real(pmp_answer_number(a->number, a->numbers, "eval_best"), three));
}

static void print_actor(const struct pmp_actor_status *a) {
  char steps[PMP_FORMAT_MAX], idle[PMP_FORMAT_MAX], value[PMP_FORMAT_MAX];
  printf("  %-12s %s: %s steps, reference %llu", "actor", a->name,
         pmp_format_count((double)a->env_steps, steps), (unsigned long long)a->ref_version);
  print_returns(a);
  const bool counted = a->numbers > 0;
  for (uint32_t i = 0; !counted && i < a->values && i < 4; i++)
    printf(", %s %s", a->value[i].name,
           pmp_format_named(a->value[i].name, a->value[i].value, value));
  if (a->idle_ms > 5000)
    printf(", silent for %s", pmp_format_seconds((double)a->idle_ms / 1e3, idle));
  putchar('\n');
}

static void print_status(const struct pmp_status_reply *s) {
  const char *task = text(s, "task"), *name = text(s, "run_name");
  printf("%s  %s", task[0] ? task : name, text(s, "state"));
  if (text(s, "reason")[0]) printf(" (%s)", text(s, "reason"));
  printf("\n  %-12s %s, %s\n", "run", name, text(s, "run_id"));
  printf("  %-12s %s\n", "folder", text(s, "dir"));
  printf("  %-12s desk %s, data %s\n", "addresses", text(s, "desk_url"), text(s, "data_url"));
  print_warnings(text(s, "warnings"));
  pmp_summary_print(summary_number, s, stdout);
  for (uint32_t i = 0; i < s->actors; i++) print_actor(&s->actor[i]);
}

/* ---- other forms ---- */

static int print_json(const struct pmp_ctl *ctl, const struct pmp_status_reply *s) {
  json_t *j = json_object();
  for (uint32_t i = 0; j && i < s->texts; i++)
    json_object_set_new(j, s->text[i].name, json_string(s->text[i].value));
  json_object_set_new(j, "numbers", pmp_answer_numbers_json(s->number, s->numbers));
  json_object_set_new(j, "actors", pmp_answer_actors_json(s->actor, s->actors));
  if (pmp_answer_print(j, JSON_INDENT(2), stdout)) return PMP_EXIT_OK;
  return pmp_ctl_failed(ctl, PMP_EIO, &(struct pmp_errmsg){"the status could not be written"});
}

static int no_such(const struct pmp_ctl *ctl, const struct pmp_status_reply *s, const char *name) {
  struct pmp_errmsg msg;
  struct pmp_names near;
  char text_of[PMP_NAMES_TEXT];
  pmp_names_init(&near, name);
  for (uint32_t i = 0; i < s->texts; i++) pmp_names_offer(&near, s->text[i].name);
  for (uint32_t i = 0; i < s->numbers; i++) pmp_names_offer(&near, s->number[i].name);
  return pmp_ctl_failed(ctl,
                        pmp_fail(&msg, PMP_ENOTFOUND, "the status has no \"%.60s\"%s", name,
                                 pmp_names_text(&near, " (--all lists its names)", text_of)),
                        &msg);
}

/* One value a line, plain, for scripts. */
static int print_named(const struct pmp_ctl *ctl, const struct pmp_status_reply *s, char **name,
                       int count) {
  for (int i = 0; i < count; i++) {
    const char *t = pmp_answer_text(s->text, s->texts, name[i]);
    const double v = number(s, name[i]);
    if (t) {
      puts(t);
    } else if (!isnan(v)) {
      printf("%.15g\n", v);
    } else {
      return no_such(ctl, s, name[i]);
    }
  }
  return PMP_EXIT_OK;
}

static void print_all(const struct pmp_status_reply *s) {
  for (uint32_t i = 0; i < s->texts; i++) {
    printf("%-32s ", s->text[i].name);
    for (const char *c = s->text[i].value; *c; c++) /* a line a name */
      fputs(*c == '\n' ? "; " : (const char[]){*c, 0}, stdout);
    putchar('\n');
  }
  for (uint32_t i = 0; i < s->numbers; i++)
    printf("%-32s %.10g\n", s->number[i].name, s->number[i].value);
}

static int run_status(struct pmp_ctl *ctl, int argc, char **argv) {
  static const struct option options[] = {
      {"json", no_argument, NULL, OPT_JSON}, {"all", no_argument, NULL, OPT_ALL}, {0}};
  bool json = false, all = false;
  int ch;
  while ((ch = pmp_ctl_option(ctl, argc, argv, options, false)) >= 0) {
    json |= ch == OPT_JSON;
    all |= ch == OPT_ALL;
  }
  if (ch == PMP_CTL_END) return ctl->exit_code;
  struct pmp_errmsg msg = {{0}};
  const struct pmp_request q = {.verb = PMP_VERB_STATUS, .u.status = {.actors = true}};
  struct pmp_reply reply;
  const enum pmp_err err = pmp_ctl_once(ctl, PMP_ROLE_OBSERVER, &q, &reply, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  const struct pmp_status_reply *s = &reply.u.status;
  if (json) return print_json(ctl, s);
  if (optind < argc) return print_named(ctl, s, argv + optind, argc - optind);
  if (all)
    print_all(s);
  else
    print_status(s);
  return PMP_EXIT_OK;
}

const struct pmp_command pmp_command_status = {
    "status", "status [NAME...] [--all] [--json]", "the run's state at a glance",
    "  NAME...   only these values, one a line (state, learner.steps, ...)\n"
    "  --all     every number by its name\n"
    "  --json    one JSON object: texts, numbers, actors\n",
    run_status};

/* ---- actors ---- */

static void set_count(struct pmp_table *t, size_t column, double v) {
  char out[PMP_FORMAT_MAX];
  pmp_table_set(t, column, pmp_format_count(v, out));
}

static void set_real(struct pmp_table *t, size_t column, double v) {
  char out[PMP_FORMAT_MAX];
  pmp_table_set(t, column, isnan(v) ? "-" : pmp_format_real(v, out));
}

static int print_actors(const struct pmp_status_reply *s) {
  struct pmp_table t;
  pmp_table_init(
      &t,
      "actor|>epoch|>rows|>env steps|>reference|>idle|>episodes|>return|>mean of 10|last report");
  for (uint32_t i = 0; i < s->actors; i++) {
    const struct pmp_actor_status *a = &s->actor[i];
    char report[PMP_TABLE_CELL] = "", out[PMP_FORMAT_MAX];
    if (!pmp_table_row(&t)) break;
    pmp_table_set(&t, 0, a->name);
    set_count(&t, 1, a->epoch);
    set_count(&t, 2, (double)a->rows);
    set_count(&t, 3, (double)a->env_steps);
    set_count(&t, 4, (double)a->ref_version);
    pmp_table_set(&t, 5, a->idle_ms < 0 ? "-" : pmp_format_seconds((double)a->idle_ms / 1e3, out));
    set_count(&t, 6, pmp_answer_number(a->number, a->numbers, "episodes"));
    set_real(&t, 7, pmp_answer_number(a->number, a->numbers, "return_last"));
    set_real(&t, 8, pmp_answer_number(a->number, a->numbers, "return_mean"));
    for (uint32_t k = 0; k < a->values; k++) {
      const size_t used = strlen(report);
      snprintf(report + used, sizeof report - used, "%s%s %s", used ? ", " : "", a->value[k].name,
               pmp_format_named(a->value[k].name, a->value[k].value, out));
    }
    pmp_table_set(&t, 9, report);
  }
  if (s->actors == 0)
    puts("no actor has a session");
  else
    pmp_table_print(&t, stdout);
  pmp_table_fini(&t);
  return PMP_EXIT_OK;
}

static int run_actors(struct pmp_ctl *ctl, int argc, char **argv) {
  static const struct option options[] = {{"json", no_argument, NULL, OPT_JSON}, {0}};
  bool json = false;
  int ch;
  while ((ch = pmp_ctl_option(ctl, argc, argv, options, false)) >= 0) json |= ch == OPT_JSON;
  if (ch == PMP_CTL_END) return ctl->exit_code;
  if (optind < argc) return pmp_ctl_usage(ctl, "takes no arguments");
  struct pmp_errmsg msg = {{0}};
  const struct pmp_request q = {.verb = PMP_VERB_STATUS, .u.status = {.actors = true}};
  struct pmp_reply reply;
  const enum pmp_err err = pmp_ctl_once(ctl, PMP_ROLE_OBSERVER, &q, &reply, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  if (!json) return print_actors(&reply.u.status);
  json_t *j = pmp_answer_actors_json(reply.u.status.actor, reply.u.status.actors);
  if (pmp_answer_print(j, JSON_INDENT(2), stdout)) return PMP_EXIT_OK;
  return pmp_ctl_failed(ctl, PMP_EIO, &(struct pmp_errmsg){"the list could not be written"});
}

const struct pmp_command pmp_command_actors = {
    "actors", "actors [--json]", "the actors that have a session, and what they reported last",
    "  --json    a JSON array\n"
    "\n"
    "Idle is the time since an actor's last message; reference is the version that it acts with.\n",
    run_actors};
