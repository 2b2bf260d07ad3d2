/* Shared by screen*.c only: what is drawn where. One thread, and ncurses is its own. */
#ifndef PMP_PMPOCTL_SCREEN_PARTS_H
#define PMP_PMPOCTL_SCREEN_PARTS_H

#include "clients/pmpoctl/screen.h"

#define PMP_SCREEN_CURVE_ROWS 5     /* least height of the curve, title and labels included */
#define PMP_SCREEN_CURVE_COLUMNS 32 /* and least width */

enum pmp_paint {
  PMP_PAINT_GOOD = 1,
  PMP_PAINT_WARN,
  PMP_PAINT_BAD,
  PMP_PAINT_CURVE,
  PMP_PAINT_QUIET
};

struct pmp_screen {
  const struct pmp_watch *watch;
  const struct pmp_feed_view *v;
  bool utf8, color;
  int rows, columns;
  bool log;      /* scale of the curve */
  char said[80]; /* about the last key; "" */
  double said_s; /* pmp_ctl_now() of it */
};

/* How much the lines of numbers say: all; without what is aside; and that in a row a line. */
enum pmp_screen_detail { PMP_DETAIL_ALL, PMP_DETAIL_MAIN, PMP_DETAIL_CUT };

void pmp_screen_paint(const struct pmp_screen *s, enum pmp_paint paint, bool on);
/* Text cut at the right edge of the screen; names may be UTF-8. */
void pmp_screen_put(const struct pmp_screen *s, int y, int x, const char *text);
void pmp_screen_put_in(const struct pmp_screen *s, int y, int x, enum pmp_paint paint,
                       const char *text);
void pmp_screen_put_right(const struct pmp_screen *s, int y, int end, const char *text);

/* screen_parts.c. Each draws within its rows and returns how many it used. */
void pmp_screen_head(const struct pmp_screen *s);
void pmp_screen_state(const struct pmp_screen *s, int y);
int pmp_screen_warnings(const struct pmp_screen *s, int top, int rows);
/* Rows that the lines of numbers take in this width; with draw they are drawn, at most `rows`. */
int pmp_screen_lines(const struct pmp_screen *s, int top, int left, int width, int rows,
                     enum pmp_screen_detail detail, bool draw);
int pmp_screen_events(const struct pmp_screen *s, int top, int rows);
void pmp_screen_foot(const struct pmp_screen *s);

/* screen_actors.c */
int pmp_screen_actors(const struct pmp_screen *s, int top, int rows);

/* screen_curve.c: a title, the dots, a line of labels. */
void pmp_screen_curve(const struct pmp_screen *s, int top, int left, int rows, int columns);

#endif
