#include "clients/pmpoctl/screen.h"

#include "clients/pmpoctl/chart.h"
#include "clients/pmpoctl/format.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEFT_COLUMNS 41  /* of the numbers */
#define CHART_COLUMNS 24 /* least width of the curve */
#define TICK_MS 200
#define REPAINT_FRAMES 25
#define SAID_S 8.0
#define CURVE_MEAN 10

enum { GOOD = 1, WARN, BAD, CURVE, QUIET };

struct screen {
  const struct pmp_watch *watch;
  const struct pmp_feed_view *v;
  bool utf8, color;
  int rows, columns;
};

/* ---- drawing helpers ---- */

static void paint(const struct screen *s, int pair, bool on) {
  const attr_t attr = s->color ? (attr_t)COLOR_PAIR(pair) : pair == QUIET ? A_DIM : A_BOLD;
  if (on)
    attron(attr);
  else
    attroff(attr);
}

/* Text cut at the right edge. Names may be UTF-8; what is cut is cut by columns of the screen. */
static void put(const struct screen *s, int y, int x, const char *text) {
  if (y < 0 || y >= s->rows || x >= s->columns) return;
  mvaddnstr(y, x, text, s->columns - x);
}

static void put_in(const struct screen *s, int y, int x, int pair, const char *text) {
  paint(s, pair, true);
  put(s, y, x, text);
  paint(s, pair, false);
}

static void put_right(const struct screen *s, int y, int end, const char *text) {
  const int x = end - (int)strlen(text);
  put(s, y, x > 0 ? x : 0, text);
}

static double number(const struct screen *s, const char *name) {
  return pmp_feed_number(s->v, name);
}

static int state_color(const char *state) {
  if (strcmp(state, "running") == 0 || strcmp(state, "finished") == 0) return GOOD;
  if (strcmp(state, "failed") == 0 || strcmp(state, "disk_full") == 0 ||
      strcmp(state, "store_reopening") == 0)
    return BAD;
  return WARN;
}

/* ---- head ---- */

static void draw_head(const struct screen *s) {
  const struct pmp_feed_view *v = s->v;
  char left[256], right[96], up[PMP_FORMAT_MAX], now[PMP_FORMAT_MAX];
  const double uptime = number(s, "process.uptime_s");
  const bool named = v->task[0] && v->run_name[0] && strcmp(v->task, v->run_name) != 0;
  snprintf(left, sizeof left, " pmpod  %s%s%s", v->task[0] ? v->task : v->run_name,
           named ? " / " : "", named ? v->run_name : "");
  pmp_format_time((int64_t)time(NULL) * 1000000000, false, now);
  snprintf(right, sizeof right, "%s%s   %s ", isnan(uptime) ? "" : "up ",
           isnan(uptime) ? "" : pmp_format_clock(uptime, up), now);
  attron(A_REVERSE);
  mvhline(0, 0, ' ', s->columns);
  put(s, 0, 0, left);
  put_right(s, 0, s->columns, right);
  attroff(A_REVERSE);
}

static void draw_state(const struct screen *s) {
  const struct pmp_feed_view *v = s->v;
  char line[600], when[PMP_FORMAT_MAX], ago[PMP_FORMAT_MAX];
  if (!v->ever) {
    snprintf(line, sizeof line, "%s", v->error[0] ? v->error : "connecting");
    put_in(s, 1, 1, v->error[0] ? BAD : WARN, line);
    return;
  }
  if (v->error[0]) {
    const double silent = pmp_ctl_now() - v->answered_s;
    pmp_format_time((int64_t)time(NULL) * 1000000000 - (int64_t)(silent * 1e9), false, when);
    snprintf(line, sizeof line, "no answer since %s (%s): %s", when, pmp_format_clock(silent, ago),
             v->error);
    put_in(s, 1, 1, BAD, line);
    return;
  }
  snprintf(line, sizeof line, "%s %s", s->utf8 ? "\xe2\x97\x8f" : "*", v->state);
  attron(A_BOLD);
  put_in(s, 1, 1, state_color(v->state), line);
  attroff(A_BOLD);
  if (v->reason[0]) put(s, 1, 4 + (int)strlen(v->state), v->reason);
  if (s->watch->conditional && s->columns > 100) {
    char goal[160];
    put_right(s, 1, s->columns - 1, pmp_watch_goal(s->watch, goal, sizeof goal));
  }
}

/* ---- numbers ---- */

static void row(const struct screen *s, int y, const char *head, const char *value,
                const char *more) {
  put_in(s, y, 1, QUIET, head);
  put_right(s, y, 23, value);
  if (more) put(s, y, 25, more);
}

static void count_row(const struct screen *s, int y, const char *head, const char *name,
                      double rate) {
  char value[PMP_FORMAT_MAX], per[PMP_FORMAT_MAX];
  const double v = number(s, name);
  row(s, y, head, isnan(v) ? "-" : pmp_format_count(v, value),
      isnan(rate) ? NULL : pmp_format_rate(rate, per));
}

static void real_row(const struct screen *s, int y, const char *head, const char *name) {
  char value[PMP_FORMAT_MAX];
  const double v = number(s, name);
  row(s, y, head, isnan(v) ? "-" : pmp_format_real(v, value), NULL);
}

/* "eval_return" of "actor.eval_return", as far as it fits. */
static const char *short_name(const char *name) {
  const char *dot = strchr(name, '.');
  return strcmp(name, "actor.eval_return") == 0 ? "return" : dot ? dot + 1 : name;
}

static double episodes_of(const struct pmp_feed_view *v) {
  for (uint32_t i = 0; i < v->actors; i++)
    for (uint32_t k = 0; k < v->actor[i].reports; k++)
      if (strcmp(v->actor[i].report[k].name, "eval_episodes") == 0)
        return v->actor[i].report[k].value;
  return NAN;
}

static void return_row(const struct screen *s, int y) {
  const struct pmp_feed_view *v = s->v;
  char head[16], value[PMP_FORMAT_MAX], more[48] = "";
  const double episodes = strcmp(v->recent_name, "actor.eval_return") == 0 ? episodes_of(v) : NAN;
  snprintf(head, sizeof head, "%.13s", isnan(v->recent) ? "return" : short_name(v->recent_name));
  if (v->recent_points > 1)
    snprintf(more, sizeof more, "mean of %u", v->recent_points);
  else if (!isnan(episodes))
    snprintf(more, sizeof more, "%.0f episodes", episodes);
  attron(A_BOLD);
  row(s, y, head, isnan(v->recent) ? "-" : pmp_format_real(v->recent, value), more);
  attroff(A_BOLD);
}

static void kl_row(const struct screen *s, int y) {
  char value[PMP_FORMAT_MAX], std[PMP_FORMAT_MAX], more[64];
  const double kl = number(s, "learner.kl"), kl_std = number(s, "learner.kl_std");
  snprintf(more, sizeof more, "std %s", isnan(kl_std) ? "" : pmp_format_real(kl_std, std));
  row(s, y, "KL", isnan(kl) ? "-" : pmp_format_real(kl, value), isnan(kl_std) ? NULL : more);
}

static void reference_row(const struct screen *s, int y) {
  char value[PMP_FORMAT_MAX], more[PMP_FORMAT_MAX + 16], step[PMP_FORMAT_MAX];
  const double v = number(s, "weights.version"), saved = number(s, "learner.checkpoint_step");
  if (isnan(v)) {
    row(s, y, "reference", "-", NULL);
    return;
  }
  snprintf(more, sizeof more, "saved %s", pmp_format_count(saved, step));
  row(s, y, "reference", pmp_format_count(v, value), isnan(saved) || saved == 0 ? NULL : more);
}

static void store_row(const struct screen *s, int y) {
  char value[PMP_FORMAT_MAX], bytes[PMP_FORMAT_MAX];
  const double rows = number(s, "store.rows"), size = number(s, "store.bytes");
  row(s, y, "store rows", isnan(rows) ? "-" : pmp_format_count(rows, value),
      isnan(size) ? NULL : pmp_format_bytes(size, bytes));
}

#define NUMBER_ROWS 15

static void draw_numbers(const struct screen *s, int top, int rows) {
  const struct pmp_feed_view *v = s->v;
  for (int i = 0; i < rows && i < NUMBER_ROWS; i++) {
    const int y = top + i;
    switch (i) {
    case 0:
      count_row(s, y, "env steps", "env.steps", v->env_rate);
      break;
    case 1:
      count_row(s, y, "learner steps", "learner.steps", v->step_rate);
      break;
    case 2:
      return_row(s, y);
      break;
    case 3:
      reference_row(s, y);
      break;
    case 4:
      count_row(s, y, "accepted", "learner.accepted_total", NAN);
      break;
    case 5:
      count_row(s, y, "rejected", "learner.rejected_total", NAN);
      break;
    case 6:
      kl_row(s, y);
      break;
    case 7:
      real_row(s, y, "entropy", "learner.entropy");
      break;
    case 8:
      real_row(s, y, "std", "learner.std");
      break;
    case 9:
      real_row(s, y, "loss", "learner.loss");
      break;
    case 10:
      real_row(s, y, "critic loss", "learner.critic_loss");
      break;
    case 11:
      real_row(s, y, "mean value", "learner.q_mean");
      break;
    case 12:
      count_row(s, y, "limiter debt", "limiter.debt", NAN);
      break;
    case 13:
      count_row(s, y, "trainable", "replay.trainable", NAN);
      break;
    case 14:
      store_row(s, y);
      break;
    default:
      break;
    }
  }
}

/* ---- curve ---- */

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

static void fill_chart(const struct screen *s, struct pmp_chart *c, const double *x, double *lo,
                       double *hi) {
  const struct pmp_feed_view *v = s->v;
  double mean[PMP_FEED_POINTS];
  const bool goal = s->watch->conditional && strcmp(s->watch->condition.name, v->curve) == 0;
  *lo = *hi = v->points ? v->value[0] : 0;
  for (uint32_t i = 0; i < v->points; i++) {
    *lo = fmin(*lo, v->value[i]);
    *hi = fmax(*hi, v->value[i]);
  }
  if (goal) *hi = fmax(*hi, s->watch->condition.value);
  pmp_chart_nice(lo, hi);
  pmp_chart_range(c, x[0], x[v->points - 1], *lo, *hi);
  if (goal) pmp_chart_level(c, s->watch->condition.value);
  trailing_mean(v->value, v->points, is_noisy(v->curve) ? CURVE_MEAN : 1, mean);
  if (is_noisy(v->curve))
    for (uint32_t i = 0; i < v->points; i++) pmp_chart_dot(c, x[i], v->value[i]);
  pmp_chart_line(c, x, mean, v->points);
}

static void draw_axes(const struct screen *s, int top, int left, int rows, int columns,
                      const double *x, const char *unit, double lo, double hi) {
  char text[PMP_FORMAT_MAX + 32], out[PMP_FORMAT_MAX];
  for (int i = 0; i <= 2; i++) {
    const int y = top + (rows - 1) * i / 2;
    const double at = hi + (lo - hi) * i / 2;
    paint(s, QUIET, true);
    put_right(s, y, left - 1, pmp_format_real(fabs(at) < 1e-12 ? 0 : at, out));
    paint(s, QUIET, false);
  }
  put_in(s, top + rows, left, QUIET, pmp_format_count(x[0], out));
  snprintf(text, sizeof text, "%s %s", pmp_format_count(x[s->v->points - 1], out), unit);
  paint(s, QUIET, true);
  put_right(s, top + rows, left + columns, text);
  paint(s, QUIET, false);
}

/* The curve in rows x columns of the screen: a title, the dots, a line of labels. */
static void draw_curve(const struct screen *s, int top, int left, int rows, int columns) {
  const struct pmp_feed_view *v = s->v;
  struct pmp_chart c;
  char title[160], last[PMP_FORMAT_MAX], cell[PMP_CHART_CELL];
  const int label = 8;
  if (rows < 5 || columns < CHART_COLUMNS) return;
  if (v->points < 2) {
    put_in(s, top, left + label, QUIET, "the curve begins with the second point");
    return;
  }
  snprintf(title, sizeof title, "%s  %s%s", v->curve,
           pmp_format_real(v->value[v->points - 1], last),
           is_noisy(v->curve) ? "  (line: mean of 10)" : "");
  attron(A_BOLD);
  put(s, top, left + label, title);
  attroff(A_BOLD);
  const bool env = v->env[v->points - 1] > v->env[0];
  const double *x = env ? v->env : v->step;
  double lo = 0, hi = 1;
  if (!pmp_chart_init(&c, columns - label, rows - 2)) return;
  fill_chart(s, &c, x, &lo, &hi);
  paint(s, CURVE, true);
  for (int r = 0; r < c.rows; r++)
    for (int k = 0; k < c.columns; k++)
      mvaddstr(top + 1 + r, left + label + k, pmp_chart_text(&c, r, k, s->utf8, cell));
  paint(s, CURVE, false);
  draw_axes(s, top + 1, left + label, c.rows, c.columns, x, env ? "env steps" : "learner steps", lo,
            hi);
  pmp_chart_fini(&c);
}

/* ---- actors and events ---- */

/* Columns of an actor's line; narrow screens leave two out, for the report's sake. */
static size_t actor_columns(const struct screen *s, const char *name, const char *steps,
                            const char *rows, const char *reference, const char *idle, char *line,
                            size_t size) {
  const int n =
      s->columns >= 100
          ? snprintf(line, size, "%-22.22s %10s %10s %9s %9s  ", name, steps, rows, reference, idle)
          : snprintf(line, size, "%-16.16s %10s %9s  ", name, steps, reference);
  return n < 0 || (size_t)n >= size ? size - 1 : (size_t)n;
}

static int draw_actors(const struct screen *s, int top, int rows) {
  const struct pmp_feed_view *v = s->v;
  char line[400], a[PMP_FORMAT_MAX], b[PMP_FORMAT_MAX], c[PMP_FORMAT_MAX], d[PMP_FORMAT_MAX];
  if (rows < 2) return 0;
  size_t n = actor_columns(s, "actor", "env steps", "rows", "reference", "idle", line, sizeof line);
  snprintf(line + n, sizeof line - n, "last report");
  put_in(s, top, 1, QUIET, line);
  int used = 1;
  for (uint32_t i = 0; i < v->actors && used < rows; i++, used++) {
    const struct pmp_feed_actor *p = &v->actor[i];
    n = actor_columns(s, p->name, pmp_format_count(p->env_steps, a), pmp_format_count(p->rows, b),
                      pmp_format_count(p->ref_version, c),
                      isnan(p->idle_s) ? "-" : pmp_format_seconds(p->idle_s, d), line, sizeof line);
    for (uint32_t k = 0; k < p->reports && n < sizeof line - 80; k++)
      n += (size_t)snprintf(line + n, sizeof line - n, "%s%s %s", k ? ", " : "", p->report[k].name,
                            pmp_format_named(p->report[k].name, p->report[k].value, a));
    const bool more = used + 1 == rows && v->actors_total > i + 1;
    if (more) snprintf(line, sizeof line, "and %u more", v->actors_total - i);
    put(s, top + used, 1, line);
  }
  if (v->actors == 0) put_in(s, top + used++, 1, QUIET, "no actor has a session");
  return used;
}

static void draw_events(const struct screen *s, int top, int rows) {
  const struct pmp_feed_view *v = s->v;
  char line[400], when[PMP_FORMAT_MAX];
  if (rows < 2) return;
  put_in(s, top, 1, QUIET, "events");
  const uint32_t show = v->events < (uint32_t)rows - 1 ? v->events : (uint32_t)rows - 1;
  for (uint32_t i = 0; i < show; i++) {
    const struct pmp_feed_event *e = &v->event[v->events - show + i];
    snprintf(line, sizeof line, "%s  %-16s %s  %s", pmp_format_time(e->wall_ns, false, when),
             e->kind, e->who, e->detail);
    put(s, top + 1 + (int)i, 1, line);
  }
}

static void draw_foot(const struct screen *s) {
  const struct pmp_feed_view *v = s->v;
  const int y = s->rows - 1;
  const bool paused = strcmp(v->state, "paused") == 0;
  char keys[160];
  snprintf(keys, sizeof keys, " q quit   p %s   c checkpoint   r refresh   m next curve ",
           paused ? "resume" : "pause ");
  attron(A_REVERSE);
  mvhline(y, 0, ' ', s->columns);
  put(s, y, 0, keys);
  attroff(A_REVERSE);
  if (v->said[0] && pmp_ctl_now() - v->said_s < SAID_S) {
    const int x = (int)strlen(keys) + 1;
    attron(A_REVERSE | A_BOLD);
    put(s, y, x, v->said);
    attroff(A_REVERSE | A_BOLD);
  }
}

/* ---- layout ---- */

static int least(int a, int b) {
  return a < b ? a : b;
}
static int most(int a, int b) {
  return a > b ? a : b;
}

/* Head 2 lines, foot 1; between them numbers beside the curve, actors, events. A tall screen gives
 * its height to the curve first. */
static void draw(const struct screen *s) {
  const int body = s->rows - 4;
  const int actors = least(most(2, (int)s->v->actors + 1), most(3, s->rows / 6));
  const int events = s->rows < 26 ? 3 : most(4, least((int)s->v->events + 1, s->rows / 5));
  int block = body - actors - events - 2;
  if (block < NUMBER_ROWS) block = least(NUMBER_ROWS, body);
  erase();
  draw_head(s);
  draw_state(s);
  if (s->v->ever) {
    draw_numbers(s, 3, block);
    if (s->columns >= LEFT_COLUMNS + CHART_COLUMNS)
      draw_curve(s, 3, LEFT_COLUMNS, block, s->columns - LEFT_COLUMNS - 2);
    int y = 3 + block + 1;
    y += draw_actors(s, y, least(actors, s->rows - 1 - y)) + (s->rows < 26 ? 0 : 1);
    draw_events(s, y, s->rows - 1 - y);
  }
  draw_foot(s);
  refresh();
}

/* ---- terminal ---- */

/* Without any locale (a bare container) the terminal is still, almost surely, one for UTF-8. */
static bool choose_locale(void) {
  const char *const name[] = {"LC_ALL", "LC_CTYPE", "LANG"};
  bool any = false;
  for (int i = 0; i < 3; i++) any |= getenv(name[i]) && getenv(name[i])[0];
  setlocale(LC_CTYPE, any ? "" : "C.UTF-8");
  return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static bool begin_colors(void) {
  if (!has_colors() || start_color() == ERR) return false;
  use_default_colors();
  init_pair(GOOD, COLOR_GREEN, -1);
  init_pair(WARN, COLOR_YELLOW, -1);
  init_pair(BAD, COLOR_RED, -1);
  init_pair(CURVE, COLOR_CYAN, -1);
  init_pair(QUIET, COLORS >= 16 ? 8 : -1, -1);
  return true;
}

/* false: quit. */
static bool key(int ch, struct pmp_feed *feed, const struct pmp_feed_view *v) {
  switch (ch) {
  case 'q':
  case 'Q':
  case 27:
    return false;
  case 'p':
    pmp_feed_do(feed, strcmp(v->state, "paused") == 0 ? PMP_CONTROL_RESUME : PMP_CONTROL_PAUSE);
    break;
  case 'c':
    pmp_feed_do(feed, PMP_CONTROL_CHECKPOINT);
    break;
  case 'r':
    pmp_feed_do(feed, PMP_CONTROL_REFRESH);
    break;
  case 'm':
    pmp_feed_next_curve(feed);
    break;
  case 12:
    clearok(stdscr, TRUE);
    break; /* Ctrl-L */
  default:
    break;
  }
  return true;
}

int pmp_screen_run(const struct pmp_watch *w, struct pmp_feed *feed, const volatile int *stop) {
  struct pmp_feed_view *v = malloc(sizeof *v);
  struct screen s = {.watch = w, .v = v};
  s.utf8 = choose_locale();
  SCREEN *terminal = v ? newterm(NULL, stdout, stdin) : NULL;
  if (!terminal) {
    free(v);
    return -1;
  }
  cbreak();
  noecho();
  keypad(stdscr, TRUE);
  set_escdelay(50);
  curs_set(0);
  timeout(TICK_MS);
  s.color = begin_colors();
  int code = -1;
  unsigned frame = 0;
  while (code < 0) {
    pmp_feed_view(feed, v);
    getmaxyx(stdscr, s.rows, s.columns);
    draw(&s);
    code = pmp_watch_ended(w, v, stop);
    const int ch = getch();
    /* What others write to this terminal goes away again; Ctrl-L at once. */
    if (ch == 'L' - '@' || ++frame % REPAINT_FRAMES == 0) redrawwin(stdscr);
    if (ch != ERR && !key(ch, feed, v) && code < 0)
      code = w->conditional ? PMP_EXIT_INTERRUPTED : PMP_EXIT_OK;
  }
  endwin();
  delscreen(terminal);
  free(v);
  return code;
}
