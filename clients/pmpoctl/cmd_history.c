/* history: series by name, as a table, CSV, JSON or a picture. */
#include "base/nearest.h"
#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/command.h"
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/names.h"
#include "clients/pmpoctl/plot.h"

#include <math.h>
#include <string.h>

#define NAMES_MAX 64

struct want {
  bool csv, json;
  const char *png, *title;
  double from, to, points, mean, line;
  struct pmp_plot plot;
};

static bool parse_axes(const char *text, struct pmp_plot *p) {
  static const char *const name[] = {
      [PMP_PLOT_STEP] = "step", [PMP_PLOT_ENV] = "env", [PMP_PLOT_WALL] = "wall"};
  for (p->panels = 0; *text && p->panels < PMP_PLOT_AXES;) {
    const size_t n = strcspn(text, ",");
    int a = 0;
    while (a < PMP_PLOT_AXES && (strlen(name[a]) != n || strncmp(name[a], text, n) != 0)) a++;
    if (a == PMP_PLOT_AXES) return false;
    p->panel[p->panels++] = (enum pmp_plot_axis)a;
    text += n + (text[n] == ',');
  }
  return p->panels > 0 && *text == '\0';
}

static int parse(struct pmp_ctl *ctl, int argc, char **argv, struct want *w) {
  const char *axes = NULL;
  const struct pmp_ctl_setting own[] = {{"csv", PMP_CTL_FLAG, &w->csv, 0, 0},
                                        {"json", PMP_CTL_FLAG, &w->json, 0, 0},
                                        {"log", PMP_CTL_FLAG, &w->plot.log, 0, 0},
                                        {"png", PMP_CTL_TEXT, &w->png, 0, 0},
                                        {"title", PMP_CTL_TEXT, &w->title, 0, 0},
                                        {"x", PMP_CTL_TEXT, &axes, 0, 0},
                                        {"from", PMP_CTL_NUMBER, &w->from, 0, 9e15},
                                        {"to", PMP_CTL_NUMBER, &w->to, 0, 9e15},
                                        {"points", PMP_CTL_NUMBER, &w->points, 1, 1e6},
                                        {"mean", PMP_CTL_NUMBER, &w->mean, 1, 1e4},
                                        {"line", PMP_CTL_NUMBER, &w->line, -1e300, 1e300},
                                        {0}};
  const int ch = pmp_ctl_settings(ctl, argc, argv, own);
  if (ch == PMP_CTL_ARGS && axes && !parse_axes(axes, &w->plot)) {
    ctl->exit_code = pmp_ctl_usage(ctl, "--x: a list of step, env, wall");
    return PMP_CTL_END;
  }
  return ch;
}

/* ---- forms ---- */

static void print_csv(const struct pmp_history_reply *h) {
  puts("name,step,env_steps,wall_ns,value");
  for (uint32_t i = 0; i < h->count; i++) {
    const struct pmp_series *s = &h->series[i];
    for (uint32_t k = 0; k < s->points; k++)
      printf("%s,%llu,%llu,%lld,%.17g\n", s->name, (unsigned long long)s->step[k],
             (unsigned long long)s->env_steps[k], (long long)s->wall_ns[k], s->value[k]);
  }
}

static json_t *series_json(const struct pmp_series *s) {
  json_t *step = json_array(), *env = json_array(), *wall = json_array(), *value = json_array();
  for (uint32_t i = 0; i < s->points; i++) {
    json_array_append_new(step, json_integer((json_int_t)s->step[i]));
    json_array_append_new(env, json_integer((json_int_t)s->env_steps[i]));
    json_array_append_new(wall, json_integer((json_int_t)s->wall_ns[i]));
    json_array_append_new(value, json_real(s->value[i]));
  }
  return json_pack("{s:s, s:o, s:o, s:o, s:o}", "name", s->name, "step", step, "env_steps", env,
                   "wall_ns", wall, "value", value);
}

static bool print_json(const struct pmp_history_reply *h) {
  json_t *list = json_array();
  for (uint32_t i = 0; list && i < h->count; i++)
    json_array_append_new(list, series_json(&h->series[i]));
  return pmp_answer_print(list, JSON_COMPACT, stdout);
}

static void print_table(const struct pmp_history_reply *h) {
  for (uint32_t i = 0; i < h->count; i++) {
    const struct pmp_series *s = &h->series[i];
    struct pmp_table t;
    char out[PMP_FORMAT_MAX];
    printf("%s%s%s\n", i ? "\n" : "", s->name, s->points ? "" : ": no points");
    if (s->points == 0) continue;
    pmp_table_init(&t, "time|>step|>env steps|>value");
    for (uint32_t k = 0; k < s->points && pmp_table_row(&t); k++) {
      pmp_table_set(&t, 0, pmp_format_time(s->wall_ns[k], true, out));
      pmp_table_set(&t, 1, pmp_format_count((double)s->step[k], out));
      pmp_table_set(&t, 2, pmp_format_count((double)s->env_steps[k], out));
      pmp_table_set(&t, 3, pmp_format_named(s->name, s->value[k], out));
    }
    pmp_table_print(&t, stdout);
    pmp_table_fini(&t);
  }
}

static enum pmp_err print_png(const struct want *w, const struct pmp_history_reply *h,
                              struct pmp_errmsg *msg) {
  struct pmp_plot p = w->plot;
  bool env = false;
  for (uint32_t i = 0; i < h->count; i++)
    env |= h->series[i].points > 0 && h->series[i].env_steps[h->series[i].points - 1] > 0;
  if (p.panels == 0) p.panel[p.panels++] = env ? PMP_PLOT_ENV : PMP_PLOT_STEP;
  p.title = w->title ? w->title : "";
  p.mean = (uint32_t)w->mean;
  p.line = w->line;
  p.width = p.panels > 1 ? 560 : 800;
  p.height = p.panels > 1 ? 400 : 480;
  PMP_TRY(pmp_plot_png(&p, h->series, h->count, w->png, msg));
  const uint64_t hidden = p.log ? pmp_plot_hidden(h->series, h->count) : 0;
  if (hidden > 0)
    fprintf(stderr,
            "pmpoctl history: left out what is at or below 0, for which --log has no place: "
            "%llu point%s\n",
            (unsigned long long)hidden, hidden == 1 ? "" : "s");
  return PMP_OK;
}

/* A name that is not there gives an empty series: say so, with the nearest ones that are. */
static enum pmp_err check_names(struct pmp_ctl *ctl, char **name, int count,
                                struct pmp_errmsg *msg) {
  const struct pmp_request q = {.verb = PMP_VERB_HISTORY};
  struct pmp_reply reply;
  PMP_TRY(pmp_ctl_ask(ctl, &q, &reply, msg));
  const struct pmp_history_reply *h = &reply.u.history;
  for (int i = 0; i < count; i++) {
    struct pmp_names near;
    char text[PMP_NAMES_TEXT];
    pmp_names_init(&near, name[i]);
    for (uint32_t k = 0; k < h->count; k++) pmp_names_offer(&near, h->series[k].name);
    if (near.known) continue;
    return pmp_fail(msg, PMP_ENOTFOUND, "there is no series \"%.60s\"%s", name[i],
                    pmp_names_text(&near, " (pmpoctl history lists them)", text));
  }
  return PMP_OK;
}

static int list_names(struct pmp_ctl *ctl, bool json, struct pmp_errmsg *msg) {
  const struct pmp_request q = {.verb = PMP_VERB_HISTORY};
  struct pmp_reply reply;
  const enum pmp_err err = pmp_ctl_ask(ctl, &q, &reply, msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, msg);
  const struct pmp_history_reply *h = &reply.u.history;
  json_t *list = json ? json_array() : NULL;
  for (uint32_t i = 0; i < h->count; i++) {
    if (json)
      json_array_append_new(list, json_string(h->series[i].name));
    else
      puts(h->series[i].name);
  }
  if (json && !pmp_answer_print(list, JSON_COMPACT, stdout)) return PMP_EXIT_FAILED;
  return PMP_EXIT_OK;
}

static int run_history(struct pmp_ctl *ctl, int argc, char **argv) {
  struct want w = {.mean = 1, .line = NAN};
  if (parse(ctl, argc, argv, &w) == PMP_CTL_END) return ctl->exit_code;
  const int names = argc - optind;
  if (names > NAMES_MAX) return pmp_ctl_usage(ctl, "at most %d series at once", NAMES_MAX);
  if (w.csv + w.json + (w.png != NULL) > 1)
    return pmp_ctl_usage(ctl, "one of --csv, --json and --png");
  if (w.plot.log && !w.png) return pmp_ctl_usage(ctl, "--log is for pictures: add --png FILE");
  if (w.plot.log && w.line <= 0)
    return pmp_ctl_usage(ctl, "--log has no place for a line at %g: it begins above 0", w.line);
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmp_ctl_open(ctl, PMP_ROLE_OBSERVER, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  if (names == 0)
    return w.png ? pmp_ctl_usage(ctl, "--png needs a series") : list_names(ctl, w.json, &msg);
  struct pmp_request q = {.verb = PMP_VERB_HISTORY};
  struct pmp_reply reply;
  q.u.history = (struct pmp_history){.name = (const char *const *)(argv + optind),
                                     .names = (uint32_t)names,
                                     .step_from = (uint64_t)w.from,
                                     .step_to = (uint64_t)w.to,
                                     .points_max = w.points > 0      ? (uint32_t)w.points
                                                   : w.csv || w.json ? 0
                                                   : w.png           ? 1000
                                                                     : 20};
  err = check_names(ctl, argv + optind, names, &msg);
  if (err == PMP_OK) err = pmp_ctl_ask(ctl, &q, &reply, &msg);
  if (err == PMP_OK && w.png) err = print_png(&w, &reply.u.history, &msg);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  if (w.csv) print_csv(&reply.u.history);
  if (w.json && !print_json(&reply.u.history)) return PMP_EXIT_FAILED;
  if (!w.csv && !w.json && !w.png) print_table(&reply.u.history);
  return PMP_EXIT_OK;
}

const struct pmp_command pmp_command_history = {
    "history",
    "history [NAME...] [--csv | --json | --png FILE] [--from STEP] [--to STEP] [--points N]",
    "series of numbers over the run; without a name, which there are",
    "  --csv           name,step,env_steps,wall_ns,value\n"
    "  --json          an array of {name, step, env_steps, wall_ns, value}\n"
    "  --png FILE      a picture, drawn by gnuplot, with\n"
    "    --x AXES      panels against step, env, wall: a list (env)\n"
    "    --mean N      and a line through the mean of N points\n"
    "    --line VALUE  and a dashed line at this height\n"
    "    --log         with a logarithmic scale of the values: points at or below 0 are left out,\n"
    "                  which is said; without any above 0 there is no picture (exit code 1)\n"
    "    --title TEXT\n"
    "  --from, --to    range of learner steps\n"
    "  --points N      thinned evenly to at most N (table 20, picture 1000, else the daemon's "
    "limit)\n"
    "\n"
    "  pmpoctl history actor.eval_return --png curve.png --x env,wall --mean 10\n",
    run_history};
