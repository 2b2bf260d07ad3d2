/* Bandit runs over functions, dimensions, methods and seeds: the grid of jobs and its results.
 *
 * One thread but for the jobs themselves (grid.h). */
#ifndef PMP_EXPERIMENTS_BANDIT_GRID_H
#define PMP_EXPERIMENTS_BANDIT_GRID_H

#include "experiments/bandit_run.h"
#include "experiments/experiment.h"
#include "experiments/report.h"
#include "experiments/stats.h"

#include <jansson.h>

enum { PMP_BANDIT_FUNCTIONS_MAX = 8, PMP_BANDIT_DIMS_MAX = 8, PMP_BANDIT_METHODS_MAX = 64 };
#define PMP_BANDIT_POINTS 50 /* of a curve, beside its start: with 5000 steps one a refresh */

#define PMP_BANDIT_TARGET 1e-9
/* A run rests once f(mean) is below: further down values of a group vanish in float32, and verdicts
 * say nothing any more. */
#define PMP_BANDIT_FLOOR 1e-30

struct pmp_bandit_grid {
  const char *experiment;
  const struct pmp_function *function[PMP_BANDIT_FUNCTIONS_MAX];
  uint32_t dim[PMP_BANDIT_DIMS_MAX];
  struct pmp_bandit_method method[PMP_BANDIT_METHODS_MAX];
  size_t functions, dims, methods, seeds;
  uint32_t steps;  /* 0: pmp_bandit_grid_whole's own */
  json_t **result; /* by job; owned */
};

/* A cell of the grid: all its seeds. */
struct pmp_bandit_cell {
  size_t function, dim, method;
};

/* Functions and dimensions of the options, seeds and steps; methods are the caller's to add (their
 * names are checked). PMP_EINVALID with the reason. */
PMP_MUST_CHECK enum pmp_err pmp_bandit_grid_init(struct pmp_bandit_grid *g, const char *experiment,
                                                 const struct pmp_experiment_options *o,
                                                 struct pmp_errmsg *msg);
void pmp_bandit_grid_fini(struct pmp_bandit_grid *g); /* safe on a zeroed struct */
/* Names for lists on the command line; NULL past the end. */
const char *pmp_bandit_function_name(size_t i);
const char *pmp_bandit_method_name(size_t i);
/* Runs what the folder's NAME.jsonl does not hold yet. */
PMP_MUST_CHECK enum pmp_err pmp_bandit_grid_run(struct pmp_bandit_grid *g,
                                                const struct pmp_report *report,
                                                struct pmp_errmsg *msg);
/* Of four outcomes each: 5000 in up to 2 dimensions, 20000 in more (the spec's 80,000
 * evaluations). Methods with other groups get as many evaluations. */
uint32_t pmp_bandit_grid_whole(uint32_t dim);
/* That, or what the options said. */
uint32_t pmp_bandit_grid_steps(const struct pmp_bandit_grid *g, uint32_t dim);
/* "--seeds 10 --steps ..." of what the grid holds; functions and methods when not all. */
void pmp_bandit_grid_say(const struct pmp_bandit_grid *g, bool methods, char *out, size_t size);

/* Of the seeds' results: "final", "best", "distance", "std", "skipped", "reached" (evaluations at
 * the first refresh with f(mean) <= PMP_BANDIT_TARGET; infinite: none). */
struct pmp_band pmp_bandit_grid_band(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell,
                                     const char *key);
/* How many seeds have a number there. */
size_t pmp_bandit_grid_count(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell,
                             const char *key);
/* f(mean) at a point of the curve, 0..PMP_BANDIT_POINTS. */
struct pmp_band pmp_bandit_grid_point(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell,
                                      size_t point);
/* The seed's f(mean) at the end; NaN: there is none. */
double pmp_bandit_grid_final(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell,
                             size_t seed);
/* NAME-runs.csv (a line a run) and NAME-curves.csv (median and band by evaluations). */
PMP_MUST_CHECK enum pmp_err pmp_bandit_grid_csv(const struct pmp_bandit_grid *g,
                                                const struct pmp_report *report,
                                                struct pmp_errmsg *msg);

#endif
