/* What `watch` shows: a thread that asks the daemon once a second, keeps the answers and carries
 * out the operator's keys, so that the screen never waits for the network. Survives the daemon's
 * restart, at another address too (--dir).
 *
 * The thread owns the connections; pmp_feed_view and pmp_feed_do may be called from any other
 * thread. */
#ifndef PMP_PMPOCTL_FEED_H
#define PMP_PMPOCTL_FEED_H

#include "clients/pmpoctl/condition.h"
#include "clients/pmpoctl/ctl.h"

#define PMP_FEED_NUMBERS 256
#define PMP_FEED_ACTORS 64
#define PMP_FEED_EVENTS 32
#define PMP_FEED_POINTS 600
#define PMP_FEED_REPORTS 8
#define PMP_FEED_NAME 64

struct pmp_feed_number {
  char name[PMP_FEED_NAME];
  double value;
};
struct pmp_feed_actor {
  char name[PMP_FEED_NAME];
  double rows, env_steps, ref_version, idle_s;
  double episodes, return_last, return_mean, return_best; /* NAN: none */
  double evaluations, eval_last, eval_best, eval_age_s;   /* NAN: none */
  struct pmp_feed_number report[PMP_FEED_REPORTS];
  uint32_t reports;
};
struct pmp_feed_event {
  uint64_t id;
  int64_t wall_ns;
  char who[PMP_FEED_NAME], kind[PMP_FEED_NAME], detail[160];
};

struct pmp_feed_view {
  bool ever;         /* a status has come at least once */
  double answered_s; /* pmp_ctl_now() of the last one */
  char error[256];   /* why the last attempt failed; "": it did not */
  char url[PMP_CTL_URL_MAX];
  char task[PMP_FEED_NAME], run_name[PMP_FEED_NAME], run_id[PMP_FEED_NAME], state[PMP_FEED_NAME],
      reason[256];
  char warnings[1200]; /* lines */
  struct pmp_feed_number number[PMP_FEED_NUMBERS];
  uint32_t numbers;
  struct pmp_feed_actor actor[PMP_FEED_ACTORS];
  uint32_t actors, actors_total;
  struct pmp_feed_event event[PMP_FEED_EVENTS]; /* oldest first */
  uint32_t events;
  char curve[PMP_FEED_NAME]; /* name of the series; "": none has points yet */
  uint32_t points;
  double env[PMP_FEED_POINTS], step[PMP_FEED_POINTS], value[PMP_FEED_POINTS],
      wall_s[PMP_FEED_POINTS];
  char recent_name[PMP_FEED_NAME]; /* what the next is of: the condition's series, else evaluations,
                                      returns ... */
  double recent;                   /* mean of its last points; NAN: none */
  uint32_t recent_points;
  bool met;                       /* the condition holds */
  char doubt[2 * PMP_NAMES_TEXT]; /* lines: what of the names asked for may be mistyped */
  char said[200];                 /* answer to the last key */
  double said_s;
};

/* NAN when there is none. */
double pmp_feed_number(const struct pmp_feed_view *v, const char *name);

struct pmp_feed; /* opaque */

/* metric: series of the curve, NULL: the first that exists of evaluation return, return, loss.
 * condition: nullable, copied. ctl's options are borrowed. */
PMP_MUST_CHECK enum pmp_err pmp_feed_start(struct pmp_feed **f, const struct pmp_ctl *ctl,
                                           const char *metric,
                                           const struct pmp_condition *condition,
                                           struct pmp_errmsg *msg);
/* Ends the thread; blocks for a fraction of a second. NULL is fine. */
void pmp_feed_stop(struct pmp_feed *f);
/* Copies what is known. */
void pmp_feed_view(struct pmp_feed *f, struct pmp_feed_view *out);
/* Asks for an action; the answer comes as `said`. One waits at most; a later one replaces it. */
void pmp_feed_do(struct pmp_feed *f, enum pmp_control_action action);
/* The next series that has points becomes the curve. */
void pmp_feed_next_curve(struct pmp_feed *f);

#endif
