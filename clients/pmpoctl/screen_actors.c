/* The table of actors. */
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/screen_parts.h"

#include <math.h>
#include <string.h>

#define WIDE 112    /* columns from which on rows and best returns are shown */
#define SILENT_S 60 /* an actor that was quiet for so long stands out */

/* "28 s", "2 min", "3 h": short enough for a column. */
static const char *short_age(double s, char out[PMP_FORMAT_MAX]) {
  if (isnan(s))
    snprintf(out, PMP_FORMAT_MAX, "-");
  else if (s < 100)
    snprintf(out, PMP_FORMAT_MAX, "%.0f s", s);
  else if (s < 6000)
    snprintf(out, PMP_FORMAT_MAX, "%.0f min", s / 60);
  else
    snprintf(out, PMP_FORMAT_MAX, "%.0f h", s / 3600);
  return out;
}

static const char *real_or_dash(double v, char out[PMP_FORMAT_MAX]) {
  return isnan(v) ? "-" : pmp_format_real(v, out);
}

static const char *count_or_dash(double v, char out[PMP_FORMAT_MAX]) {
  return isnan(v) ? "-" : pmp_format_count(v, out);
}

struct cells {
  const char *name, *does, *last, *mean, *best, *episodes, *steps, *rows, *version, *heard;
};

/* Narrow screens leave columns out. */
static void compose(const struct pmp_screen *s, const struct cells *c, char *line, size_t size) {
  if (s->columns >= WIDE)
    snprintf(line, size, "%-20.20s %-9s %9s %9s %9s %9s %10s %10s %7s %7s", c->name, c->does,
             c->last, c->mean, c->best, c->episodes, c->steps, c->rows, c->version, c->heard);
  else
    snprintf(line, size, "%-13.13s %-9s %8s %8s %8s %10s %6s %7s", c->name, c->does, c->last,
             c->mean, c->episodes, c->steps, c->version, c->heard);
}

static void actor_line(const struct pmp_screen *s, const struct pmp_feed_actor *p, char *line,
                       size_t size) {
  char last[PMP_FORMAT_MAX], mean[PMP_FORMAT_MAX], best[PMP_FORMAT_MAX], episodes[PMP_FORMAT_MAX],
      steps[PMP_FORMAT_MAX], rows[PMP_FORMAT_MAX], version[PMP_FORMAT_MAX], heard[PMP_FORMAT_MAX];
  const bool evaluates = isnan(p->episodes) && !isnan(p->evaluations);
  const struct cells c = {.name = p->name,
                          .does = evaluates ? "evaluates" : "acts",
                          .last = real_or_dash(evaluates ? p->eval_last : p->return_last, last),
                          .mean = real_or_dash(evaluates ? NAN : p->return_mean, mean),
                          .best = real_or_dash(evaluates ? p->eval_best : p->return_best, best),
                          .episodes =
                              count_or_dash(evaluates ? p->evaluations : p->episodes, episodes),
                          .steps = pmp_format_count(p->env_steps, steps),
                          .rows = pmp_format_count(p->rows, rows),
                          .version = pmp_format_count(p->ref_version, version),
                          .heard = short_age(p->idle_s, heard)};
  compose(s, &c, line, size);
}

/* What actors without episodes say: their last report as it came. */
static void report_line(const struct pmp_screen *s, const struct pmp_feed_actor *p, char *line,
                        size_t size) {
  char a[PMP_FORMAT_MAX], b[PMP_FORMAT_MAX], c[PMP_FORMAT_MAX];
  int n = snprintf(line, size, "%-*.*s %10s %6s %7s  ", s->columns >= WIDE ? 20 : 13,
                   s->columns >= WIDE ? 20 : 13, p->name, pmp_format_count(p->env_steps, a),
                   pmp_format_count(p->ref_version, b), short_age(p->idle_s, c));
  for (uint32_t k = 0; k < p->reports && n > 0 && (size_t)n + 100 < size; k++)
    n += snprintf(line + n, size - (size_t)n, "%s%s %s", k ? ", " : "", p->report[k].name,
                  pmp_format_named(p->report[k].name, p->report[k].value, a));
}

static bool any_episodes(const struct pmp_feed_view *v) {
  bool any = v->actors == 0;
  for (uint32_t i = 0; i < v->actors; i++)
    any |= !isnan(v->actor[i].episodes) || !isnan(v->actor[i].evaluations);
  return any;
}

static void draw_heads(const struct pmp_screen *s, int y, bool episodes) {
  static const struct cells heads = {"actor",    "",          "return", "mean 10", "best",
                                     "episodes", "env steps", "rows",   "ref.",    "heard"};
  char line[400];
  if (episodes)
    compose(s, &heads, line, sizeof line);
  else
    snprintf(line, sizeof line, "%-*s %10s %6s %7s  last report", s->columns >= WIDE ? 20 : 13,
             "actor", "env steps", "ref.", "heard");
  pmp_screen_put_in(s, y, 1, PMP_PAINT_QUIET, line);
}

int pmp_screen_actors(const struct pmp_screen *s, int top, int rows) {
  const struct pmp_feed_view *v = s->v;
  const bool episodes = any_episodes(v);
  char line[512];
  int used = 1;
  if (rows < 2) return 0;
  draw_heads(s, top, episodes);
  for (uint32_t i = 0; i < v->actors && used < rows; i++, used++) {
    const struct pmp_feed_actor *p = &v->actor[i];
    if (used + 1 == rows && v->actors_total > i + 1) {
      snprintf(line, sizeof line, "and %u more: pmpoctl actors", v->actors_total - i);
      pmp_screen_put(s, top + used++, 1, line);
      return used;
    }
    if (episodes)
      actor_line(s, p, line, sizeof line);
    else
      report_line(s, p, line, sizeof line);
    if (p->idle_s > SILENT_S)
      pmp_screen_put_in(s, top + used, 1, PMP_PAINT_WARN, line);
    else
      pmp_screen_put(s, top + used, 1, line);
  }
  if (v->actors == 0)
    pmp_screen_put_in(s, top + used++, 1, PMP_PAINT_QUIET, "no actor has a session");
  return used;
}
