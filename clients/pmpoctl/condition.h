/* A condition on a run, such as "mean of the last 10 actor.eval_return >= 800", and whether it
 * holds now.
 *
 * One thread; pmp_condition_check blocks for its requests. */
#ifndef PMP_PMPOCTL_CONDITION_H
#define PMP_PMPOCTL_CONDITION_H

#include "clients/libpmpo/pmpo.h"
#include "clients/pmpoctl/names.h"

#include <stdbool.h>

enum pmp_compare { PMP_LESS, PMP_AT_MOST, PMP_EQUAL, PMP_OTHER, PMP_AT_LEAST, PMP_MORE };

#define PMP_CONDITION_MEAN_MAX 1000

struct pmp_condition {
  char name[64]; /* of a series, or of a number or text of the status */
  enum pmp_compare compare;
  double value;
  char text[64];    /* compared instead when the status has a text of that name */
  uint32_t mean;    /* of the last points of the series; 1: also numbers and texts of the status */
  bool series_only; /* the status is not asked */
  uint64_t from;    /* step from which on points are asked for */
  double current;   /* NAN while there is none */
  uint32_t have;    /* points that current is the mean of */
  char current_text[64];
};

/* op: < <= = != >= > (also ==). value: a number, or a word for = and !=. PMP_EINVALID. */
PMP_MUST_CHECK enum pmp_err pmp_condition_parse(struct pmp_condition *c, const char *name,
                                                const char *op, const char *value, uint32_t mean,
                                                struct pmp_errmsg *msg);
/* The same from one text: "NAME OP VALUE". */
PMP_MUST_CHECK enum pmp_err pmp_condition_parse_text(struct pmp_condition *c, const char *text,
                                                     uint32_t mean, struct pmp_errmsg *msg);
/* Asks and compares. The arena is used from its mark on and released. What does not exist (yet)
 * does not hold. */
PMP_MUST_CHECK enum pmp_err pmp_condition_check(struct pmp_condition *c, struct pmpo *client,
                                                struct pmp_arena *arena, int timeout_ms,
                                                bool *holds, struct pmp_errmsg *msg);
/* Whether there is nothing of that name but something near to it: then the text says so, else it is
 * "". Asks like pmp_condition_check. */
PMP_MUST_CHECK enum pmp_err pmp_condition_doubt(const struct pmp_condition *c, struct pmpo *client,
                                                struct pmp_arena *arena, int timeout_ms,
                                                char out[PMP_NAMES_TEXT], struct pmp_errmsg *msg);
/* Mean of the last `mean` values; NAN with fewer. */
double pmp_condition_mean(const double *value, uint32_t points, uint32_t mean);
bool pmp_condition_holds(const struct pmp_condition *c, double v);

#endif
