/* The terminal, the layout and the keys; the parts are in screen_parts.c, screen_actors.c and
 * screen_curve.c. */
#include "clients/pmpoctl/screen.h"

#include "clients/pmpoctl/screen_parts.h"

#include <ctype.h>
#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 200
#define REPAINT_FRAMES 25
#define BESIDE_COLUMNS 130 /* from here on the curve stands beside the numbers */
#define LEFT_COLUMNS_MIN 64
#define LOW_ROWS 30 /* below, no row is left free, and there are no events */
#define LEFT_COLUMNS_MAX 96

/* ---- layout ---- */

static int least(int a, int b) {
  return a < b ? a : b;
}
static int most(int a, int b) {
  return a > b ? a : b;
}

/* The most that the numbers may say in these rows. */
static enum pmp_screen_detail choose_detail(const struct pmp_screen *s, int width, int rows,
                                            int *used) {
  enum pmp_screen_detail d = PMP_DETAIL_ALL;
  for (; d < PMP_DETAIL_CUT; d++) {
    *used = pmp_screen_lines(s, 0, 0, width, 0, d, false);
    if (*used <= rows) return d;
  }
  *used = least(pmp_screen_lines(s, 0, 0, width, 0, d, false), rows);
  return d;
}

/* Numbers above, the curve below them with whatever is left. */
static int draw_stacked(const struct pmp_screen *s, int top, int rows) {
  const bool curve = s->columns >= PMP_SCREEN_CURVE_COLUMNS + 2;
  const int gap = s->rows < LOW_ROWS ? 0 : 1;
  const int want = curve ? gap + most(PMP_SCREEN_CURVE_ROWS, rows / 3) : 0;
  int used = 0;
  const enum pmp_screen_detail d = choose_detail(s, s->columns - 2, most(rows - want, 1), &used);
  pmp_screen_lines(s, top, 1, s->columns - 2, used, d, true);
  if (curve) pmp_screen_curve(s, top + used + gap, 0, rows - used - gap, s->columns - 2);
  return rows;
}

static int draw_beside(const struct pmp_screen *s, int top, int rows) {
  const int left = least(most(s->columns * 45 / 100, LEFT_COLUMNS_MIN), LEFT_COLUMNS_MAX);
  int used = 0;
  const enum pmp_screen_detail d = choose_detail(s, left, rows, &used);
  pmp_screen_lines(s, top, 1, left, used, d, true);
  pmp_screen_curve(s, top, left + 3, rows, s->columns - left - 5);
  return rows;
}

/* Head, state and warnings, foot; between them numbers and curve, actors, events. What a tall
 * screen has more goes to the curve; a low one does without events. */
static void draw(const struct pmp_screen *s) {
  erase();
  pmp_screen_head(s);
  pmp_screen_state(s, 1);
  int y = 2 + pmp_screen_warnings(s, 2, s->rows < LOW_ROWS ? 2 : 4);
  if (s->v->ever) {
    const int end = s->rows - 1, body = end - y;
    const bool low = s->rows < LOW_ROWS;
    const int actors = least(most(2, (int)s->v->actors + 1), most(3, s->rows / 5));
    const int events = low ? 0 : least(most(2, (int)s->v->events + 1), s->rows / 6) + 1;
    const int block = most(body - actors - events - (low ? 0 : 2), 1);
    if (!low) y++;
    y += s->columns >= BESIDE_COLUMNS ? draw_beside(s, y, block) : draw_stacked(s, y, block);
    y += low ? 0 : 1;
    y += pmp_screen_actors(s, y, least(actors, end - y));
    if (!low) pmp_screen_events(s, y + 1, end - y - 1);
  }
  pmp_screen_foot(s);
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
  init_pair(PMP_PAINT_GOOD, COLOR_GREEN, -1);
  init_pair(PMP_PAINT_WARN, COLOR_YELLOW, -1);
  init_pair(PMP_PAINT_BAD, COLOR_RED, -1);
  init_pair(PMP_PAINT_CURVE, COLOR_CYAN, -1);
  init_pair(PMP_PAINT_QUIET, COLORS >= 16 ? 8 : -1, -1);
  return true;
}

static void say_no_key(struct pmp_screen *s, int ch) {
  char name[24] = "this key";
  if (ch < 128 && isgraph(ch)) snprintf(name, sizeof name, "%c", ch);
  const int near = ch < 128 ? tolower(ch) : ch;
  if (near != ch && near != 'q' && strchr("pcrml", near))
    snprintf(s->said, sizeof s->said, "%s does nothing: did you mean %c?", name, near);
  else
    snprintf(s->said, sizeof s->said, "%s does nothing: q, p, c, r, m and l do", name);
  s->said_s = pmp_ctl_now();
}

/* false: quit. */
static bool key(struct pmp_screen *s, int ch, struct pmp_feed *feed) {
  s->said[0] = '\0';
  switch (ch) {
  case 'q':
  case 'Q':
  case 27:
    return false;
  case 'p':
    pmp_feed_do(feed, strcmp(s->v->state, "paused") == 0 ? PMP_CONTROL_RESUME : PMP_CONTROL_PAUSE);
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
  case 'l':
    s->log = !s->log;
    break;
  case KEY_RESIZE:
    break;
  case 'L' - '@':
    clearok(stdscr, TRUE);
    break;
  default:
    say_no_key(s, ch);
    break;
  }
  return true;
}

int pmp_screen_run(const struct pmp_watch *w, struct pmp_feed *feed, const volatile int *stop) {
  struct pmp_feed_view *v = malloc(sizeof *v);
  struct pmp_screen s = {.watch = w, .v = v, .log = w->log};
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
    if (ch != ERR && !key(&s, ch, feed) && code < 0)
      code = w->conditional ? PMP_EXIT_INTERRUPTED : PMP_EXIT_OK;
  }
  endwin();
  delscreen(terminal);
  free(v);
  return code;
}
