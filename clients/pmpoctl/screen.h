/* The full-screen view of a run, drawn with ncurses. One thread: the one that called
 * pmp_screen_run. */
#ifndef PMP_PMPOCTL_SCREEN_H
#define PMP_PMPOCTL_SCREEN_H

#include "clients/pmpoctl/feed.h"

struct pmp_watch { /* what the command line asked for */
  struct pmp_condition condition;
  bool conditional;
  double every_s; /* between lines, plain */
  double for_s;   /* end after so long; INFINITY: never */
  double lost_s;  /* give up after so long without an answer; INFINITY: never */
  double begun_s; /* pmp_ctl_now() at the start */
  bool log;       /* the curve begins with a logarithmic scale */
  bool full;      /* plain: all the numbers instead of a line */
};

/* Whether the view ends now, and with which exit code; -1: it goes on. */
int pmp_watch_ended(const struct pmp_watch *w, const struct pmp_feed_view *v,
                    const volatile int *stop);
/* "goal" of the condition for people: "actor.eval_return >= 800, mean of 10". */
const char *pmp_watch_goal(const struct pmp_watch *w, char *out, size_t size);

/* Draws until a key or a condition ends it. The exit code; -1: this terminal cannot show it. */
int pmp_screen_run(const struct pmp_watch *w, struct pmp_feed *feed, const volatile int *stop);

#endif
