/* Many runs on several threads, each a job with settings of its own; results are appended to a file
 * as they come (one JSON object a line), so that a grid that was stopped goes on where it was.
 *
 * The caller's thread waits, shows progress on stderr and returns when all jobs are done or when it
 * was asked to stop. Knows nothing of what a job computes. */
#ifndef PMP_EXPERIMENTS_GRID_H
#define PMP_EXPERIMENTS_GRID_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmp_grid {
  const char *name; /* of the progress line */
  const char *path; /* of the results; created when it is not there. NULL: kept in memory only */
  size_t jobs;
  uint32_t threads;         /* >= 1 */
  bool quiet;               /* no progress */
  const volatile int *stop; /* nullable: non-zero ends it after what runs now */
  void *ctx;
  /* A job's settings: a flat JSON object that names the job among all. A result that the file holds
   * under equal settings is taken over. Called from the caller's thread. New reference; NULL: out
   * of memory. */
  json_t *(*settings)(void *ctx, size_t job);
  /* Computes a job: *result is a new JSON object. Called from any thread, several at once.
   * PMP_ECLOSED when *stop was set meanwhile. */
  enum pmp_err (*run)(void *ctx, size_t job, const volatile int *stop, json_t **result,
                      struct pmp_errmsg *msg);
};

/* result (jobs; all NULL at entry): new references, NULL where a job was not done. Blocks.
 * PMP_ECLOSED: stopped, the file holds what was done; PMP_EIO; a job's own error (the first one
 * ends the grid). */
PMP_MUST_CHECK enum pmp_err pmp_grid_run(const struct pmp_grid *grid, json_t **result,
                                         struct pmp_errmsg *msg);
/* How many cores this process may use. */
uint32_t pmp_grid_cores(void);
bool pmp_grid_stopped(const volatile int *stop);

#endif
