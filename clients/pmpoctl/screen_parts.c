#include "clients/pmpoctl/screen_parts.h"

#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/summary.h"

#include <curses.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define HEAD_COLUMNS 13 /* of a line's head */
#define BAR_COLUMNS 8   /* least width of the progress bar */
#define BAR_COLUMNS_MAX 40
#define SAID_S 8.0

/* ---- helpers ---- */

void pmp_screen_paint(const struct pmp_screen *s, enum pmp_paint paint, bool on) {
  const attr_t attr = s->color                   ? (attr_t)COLOR_PAIR((int)paint)
                      : paint == PMP_PAINT_QUIET ? A_DIM
                                                 : A_BOLD;
  if (on)
    attron(attr);
  else
    attroff(attr);
}

void pmp_screen_put(const struct pmp_screen *s, int y, int x, const char *text) {
  if (y < 0 || y >= s->rows || x < 0 || x >= s->columns) return;
  mvaddnstr(y, x, text, s->columns - x);
}

void pmp_screen_put_in(const struct pmp_screen *s, int y, int x, enum pmp_paint paint,
                       const char *text) {
  pmp_screen_paint(s, paint, true);
  pmp_screen_put(s, y, x, text);
  pmp_screen_paint(s, paint, false);
}

void pmp_screen_put_right(const struct pmp_screen *s, int y, int end, const char *text) {
  const int x = end - (int)strlen(text);
  pmp_screen_put(s, y, x > 0 ? x : 0, text);
}

static double number(const void *ctx, const char *name) {
  return pmp_feed_number(ctx, name);
}

/* ---- head and state ---- */

void pmp_screen_head(const struct pmp_screen *s) {
  const struct pmp_feed_view *v = s->v;
  char left[256], right[96], up[PMP_FORMAT_MAX], now[PMP_FORMAT_MAX];
  const double uptime = pmp_feed_number(v, "process.uptime_s");
  const bool named = v->task[0] && v->run_name[0] && strcmp(v->task, v->run_name) != 0;
  snprintf(left, sizeof left, " pmpod  %s%s%s", v->task[0] ? v->task : v->run_name,
           named ? " / " : "", named ? v->run_name : "");
  pmp_format_time((int64_t)time(NULL) * 1000000000, false, now);
  snprintf(right, sizeof right, "%s%s   %s ", isnan(uptime) ? "" : "up ",
           isnan(uptime) ? "" : pmp_format_clock(uptime, up), now);
  attron(A_REVERSE);
  mvhline(0, 0, ' ', s->columns);
  pmp_screen_put(s, 0, 0, left);
  pmp_screen_put_right(s, 0, s->columns, right);
  attroff(A_REVERSE);
}

static enum pmp_paint state_paint(const char *state) {
  if (strcmp(state, "running") == 0 || strcmp(state, "finished") == 0) return PMP_PAINT_GOOD;
  if (strcmp(state, "failed") == 0 || strcmp(state, "disk_full") == 0 ||
      strcmp(state, "store_reopening") == 0)
    return PMP_PAINT_BAD;
  return PMP_PAINT_WARN;
}

void pmp_screen_state(const struct pmp_screen *s, int y) {
  const struct pmp_feed_view *v = s->v;
  char line[600], when[PMP_FORMAT_MAX], ago[PMP_FORMAT_MAX];
  if (!v->ever) {
    snprintf(line, sizeof line, "%s", v->error[0] ? v->error : "connecting");
    pmp_screen_put_in(s, y, 1, v->error[0] ? PMP_PAINT_BAD : PMP_PAINT_WARN, line);
    return;
  }
  if (v->error[0]) {
    const double silent = pmp_ctl_now() - v->answered_s;
    pmp_format_time((int64_t)time(NULL) * 1000000000 - (int64_t)(silent * 1e9), false, when);
    snprintf(line, sizeof line, "no answer since %s (%s): %s", when, pmp_format_clock(silent, ago),
             v->error);
    pmp_screen_put_in(s, y, 1, PMP_PAINT_BAD, line);
    return;
  }
  snprintf(line, sizeof line, "%s %s", s->utf8 ? "\xe2\x97\x8f" : "*", v->state);
  attron(A_BOLD);
  pmp_screen_put_in(s, y, 1, state_paint(v->state), line);
  attroff(A_BOLD);
  if (v->reason[0]) pmp_screen_put(s, y, 4 + (int)strlen(v->state), v->reason);
  if (s->watch->conditional && s->columns > 100) {
    char goal[160];
    pmp_screen_put_right(s, y, s->columns - 1, pmp_watch_goal(s->watch, goal, sizeof goal));
  }
}

static int draw_warnings(const struct pmp_screen *s, int top, int rows, const char *lines) {
  char line[PMP_NAMES_TEXT + 8];
  int used = 0;
  while (*lines && used < rows) {
    const int n = (int)strcspn(lines, "\n");
    snprintf(line, sizeof line, "%s%.*s", s->utf8 ? "\xe2\x96\xb2 " : "! ", n, lines);
    pmp_screen_put_in(s, top + used++, 1, PMP_PAINT_WARN, line);
    lines += n + (lines[n] == '\n');
  }
  return used;
}

int pmp_screen_warnings(const struct pmp_screen *s, int top, int rows) {
  const int used = draw_warnings(s, top, rows, s->v->doubt);
  return used + draw_warnings(s, top + used, rows - used, s->v->warnings);
}

/* ---- lines of numbers ---- */

static int columns_of(const struct pmp_summary_piece *p) {
  return (int)(strlen(p->before) + strlen(p->value) + strlen(p->after));
}

/* Of the piece and those joined to it. */
static int columns_joined(const struct pmp_summary_piece *piece, size_t i, size_t n) {
  int columns = columns_of(&piece[i]);
  for (i++; i < n && piece[i].joined; i++) columns += columns_of(&piece[i]);
  return columns;
}

static void draw_piece(const struct pmp_screen *s, int y, int x,
                       const struct pmp_summary_piece *p) {
  pmp_screen_put_in(s, y, x, PMP_PAINT_QUIET, p->before);
  x += (int)strlen(p->before);
  pmp_screen_put(s, y, x, p->value);
  pmp_screen_put_in(s, y, x + (int)strlen(p->value), PMP_PAINT_QUIET, p->after);
}

static void draw_bar(const struct pmp_screen *s, int y, int from, int end) {
  const double share = pmp_feed_number(s->v, "run.progress");
  const int columns = end - from < BAR_COLUMNS_MAX ? end - from : BAR_COLUMNS_MAX;
  if (!isfinite(share) || columns < BAR_COLUMNS) return;
  const int full = (int)lround(share * columns);
  pmp_screen_paint(s, PMP_PAINT_CURVE, true);
  for (int i = 0; i < columns; i++) {
    const char *cell = i < full ? (s->utf8 ? "\xe2\x96\x88" : "#") : s->utf8 ? "\xe2\x96\x91" : ".";
    pmp_screen_put(s, y, from + i, cell);
  }
  pmp_screen_paint(s, PMP_PAINT_CURVE, false);
}

/* One line at y within [left, end), broken between pieces, or cut; returns its rows, 0: no number.
 * *x: where it ends. */
static int lay_line(const struct pmp_screen *s, const struct pmp_summary_line *line, int y,
                    int left, int end, int rows, bool cut, bool draw, int *x) {
  struct pmp_summary_piece piece[PMP_SUMMARY_PARTS];
  const size_t n = pmp_summary_pieces(line, number, s->v, piece);
  const int begin = left + HEAD_COLUMNS;
  int used = 1;
  if (n == 0) return 0;
  if (draw) pmp_screen_put_in(s, y, left, PMP_PAINT_QUIET, line->head);
  *x = begin;
  for (size_t i = 0; i < n; i++) {
    const bool first = *x == begin;
    const int gap = first || piece[i].joined ? 0 : 2;
    if (!piece[i].joined && !first && *x + gap + columns_joined(piece, i, n) > end) {
      if (cut || (draw && used == rows)) break;
      used++;
      *x = begin;
    } else if (gap > 0) {
      *x += gap;
    }
    if (draw) draw_piece(s, y + used - 1, *x, &piece[i]);
    *x += columns_of(&piece[i]);
  }
  return used;
}

int pmp_screen_lines(const struct pmp_screen *s, int top, int left, int width, int rows,
                     enum pmp_screen_detail detail, bool draw) {
  size_t count = 0;
  const struct pmp_summary_line *line = pmp_summary_lines(&count);
  int used = 0;
  for (size_t i = 0; i < count && (!draw || used < rows); i++) {
    int x = 0;
    if (line[i].aside && detail != PMP_DETAIL_ALL) continue;
    const int mine = lay_line(s, &line[i], top + used, left, left + width, rows - used,
                              detail == PMP_DETAIL_CUT, draw, &x);
    if (draw && mine == 1 && strcmp(line[i].head, "progress") == 0)
      draw_bar(s, top + used, x + 2, left + width);
    used += mine;
  }
  return used;
}

/* ---- events and foot ---- */

int pmp_screen_events(const struct pmp_screen *s, int top, int rows) {
  const struct pmp_feed_view *v = s->v;
  char line[400], when[PMP_FORMAT_MAX];
  if (rows < 2) return 0;
  pmp_screen_put_in(s, top, 1, PMP_PAINT_QUIET, "events");
  const uint32_t show = v->events < (uint32_t)rows - 1 ? v->events : (uint32_t)rows - 1;
  for (uint32_t i = 0; i < show; i++) {
    const struct pmp_feed_event *e = &v->event[v->events - show + i];
    snprintf(line, sizeof line, "%s  %-16s %s  %s", pmp_format_time(e->wall_ns, false, when),
             e->kind, e->who, e->detail);
    pmp_screen_put(s, top + 1 + (int)i, 1, line);
  }
  return 1 + (int)show;
}

void pmp_screen_foot(const struct pmp_screen *s) {
  const struct pmp_feed_view *v = s->v;
  const int y = s->rows - 1;
  const double now = pmp_ctl_now();
  const bool paused = strcmp(v->state, "paused") == 0;
  const bool own = s->said[0] && now - s->said_s < SAID_S,
             daemon = v->said[0] && now - v->said_s < SAID_S;
  const char *said = own && (!daemon || s->said_s > v->said_s) ? s->said : daemon ? v->said : NULL;
  char keys[160];
  snprintf(keys, sizeof keys,
           " q quit   p %s   c checkpoint   r refresh   m next curve   l %s scale ",
           paused ? "resume" : "pause ", s->log ? "linear" : "log");
  attron(A_REVERSE);
  mvhline(y, 0, ' ', s->columns);
  const int x = (int)strlen(keys) + 1;
  const bool beside = said && x + (int)strlen(said) < s->columns;
  if (!said || beside) pmp_screen_put(s, y, 0, keys);
  attron(A_BOLD);
  if (said) pmp_screen_put(s, y, beside ? x : 1, said);
  attroff(A_REVERSE | A_BOLD);
}
