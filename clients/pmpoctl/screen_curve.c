/* The curve: a series of the history in dots. */
#include "clients/pmpoctl/chart.h"
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/screen_parts.h"

#include <curses.h>
#include <math.h>
#include <string.h>

#define LABEL 8 /* columns left of it */
#define CURVE_MEAN 10

static void trailing_mean(const double *value, uint32_t n, uint32_t window, double *out) {
  double sum = 0;
  for (uint32_t i = 0; i < n; i++) {
    sum += value[i];
    if (i >= window) sum -= value[i - window];
    out[i] = sum / (i + 1 < window ? i + 1 : window);
  }
}

static bool is_noisy(const char *name) {
  return strcmp(name, "actor.return") == 0;
}

struct curve {
  double value[PMP_FEED_POINTS], mean[PMP_FEED_POINTS]; /* in the chart's scale */
  const double *x;
  double lo, hi;
  double goal; /* NAN: none */
  size_t gaps; /* points that the scale has no place for */
  bool log;
};

static void prepare(const struct pmp_screen *s, struct curve *c) {
  const struct pmp_feed_view *v = s->v;
  const bool goal = s->watch->conditional && strcmp(s->watch->condition.name, v->curve) == 0;
  const uint32_t n = v->points;
  c->x = v->env[n - 1] > v->env[0] ? v->env : v->step;
  c->goal = goal ? s->watch->condition.value : NAN;
  c->log = s->log;
  c->gaps = 0;
  memcpy(c->value, v->value, n * sizeof c->value[0]);
  trailing_mean(c->value, n, is_noisy(v->curve) ? CURVE_MEAN : 1, c->mean);
  if (c->log) {
    double lo, hi;
    c->goal = c->goal > 0 ? log10(c->goal) : NAN;
    pmp_chart_log(c->mean, n, c->mean, &lo, &hi);
    c->gaps = pmp_chart_log(c->value, n, c->value, &c->lo, &c->hi);
    if (!isnan(c->goal)) c->hi = fmax(c->hi, ceil(c->goal));
    return;
  }
  c->lo = c->hi = c->value[0];
  for (uint32_t i = 0; i < n; i++) {
    c->lo = fmin(c->lo, c->value[i]);
    c->hi = fmax(c->hi, c->value[i]);
  }
  if (!isnan(c->goal)) c->hi = fmax(c->hi, c->goal);
  pmp_chart_nice(&c->lo, &c->hi);
}

static void fill(const struct pmp_screen *s, const struct curve *c, struct pmp_chart *chart) {
  const struct pmp_feed_view *v = s->v;
  pmp_chart_range(chart, c->x[0], c->x[v->points - 1], c->lo, c->hi);
  if (!isnan(c->goal)) pmp_chart_level(chart, c->goal);
  if (is_noisy(v->curve))
    for (uint32_t i = 0; i < v->points; i++) pmp_chart_dot(chart, c->x[i], c->value[i]);
  pmp_chart_line(chart, c->x, c->mean, v->points);
}

static void draw_axes(const struct pmp_screen *s, const struct curve *c, int top, int left,
                      int rows, int columns) {
  char text[PMP_FORMAT_MAX + 32], out[PMP_FORMAT_MAX];
  const int labels = rows < 3 ? 1 : 2;
  pmp_screen_paint(s, PMP_PAINT_QUIET, true);
  for (int i = 0; i <= labels; i++) {
    const int y = top + (rows - 1) * i / labels;
    const double at = c->hi + (c->lo - c->hi) * i / labels;
    const double value = c->log ? pow(10, at) : fabs(at) < 1e-12 ? 0 : at;
    pmp_screen_put_right(s, y, left - 1, pmp_format_real(value, out));
  }
  pmp_screen_put(s, top + rows, left, pmp_format_count(c->x[0], out));
  snprintf(text, sizeof text, "%s %s", pmp_format_count(c->x[s->v->points - 1], out),
           c->x == s->v->env ? "env steps" : "learner steps");
  pmp_screen_put_right(s, top + rows, left + columns, text);
  pmp_screen_paint(s, PMP_PAINT_QUIET, false);
}

static void draw_title(const struct pmp_screen *s, const struct curve *c, int top, int left) {
  const struct pmp_feed_view *v = s->v;
  char title[200], last[PMP_FORMAT_MAX], hidden[64] = "";
  if (c->gaps > 0) snprintf(hidden, sizeof hidden, ", without %zu points at or below 0", c->gaps);
  snprintf(title, sizeof title, "%s  %s%s%s%s", v->curve,
           pmp_format_real(v->value[v->points - 1], last),
           is_noisy(v->curve) ? "  (line: mean of 10)" : "", c->log ? "  log scale" : "", hidden);
  attron(A_BOLD);
  pmp_screen_put(s, top, left, title);
  attroff(A_BOLD);
}

void pmp_screen_curve(const struct pmp_screen *s, int top, int left, int rows, int columns) {
  struct pmp_chart chart;
  struct curve c;
  char cell[PMP_CHART_CELL];
  if (rows < PMP_SCREEN_CURVE_ROWS || columns < PMP_SCREEN_CURVE_COLUMNS) return;
  if (s->v->points < 2) {
    pmp_screen_put_in(s, top, left + LABEL, PMP_PAINT_QUIET,
                      "the curve begins with the second point");
    return;
  }
  prepare(s, &c);
  draw_title(s, &c, top, left + LABEL);
  if (c.gaps == s->v->points) {
    pmp_screen_put_in(s, top + 1, left + LABEL, PMP_PAINT_QUIET,
                      "no point is above 0: l goes back to the linear scale");
    return;
  }
  if (!pmp_chart_init(&chart, columns - LABEL, rows - 2)) return;
  fill(s, &c, &chart);
  pmp_screen_paint(s, PMP_PAINT_CURVE, true);
  for (int r = 0; r < chart.rows; r++)
    for (int k = 0; k < chart.columns; k++)
      pmp_screen_put(s, top + 1 + r, left + LABEL + k, pmp_chart_text(&chart, r, k, s->utf8, cell));
  pmp_screen_paint(s, PMP_PAINT_CURVE, false);
  draw_axes(s, &c, top + 1, left + LABEL, chart.rows, chart.columns);
  pmp_chart_fini(&chart);
}
