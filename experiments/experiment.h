/* The table of experiments and what they are told: one row, one file each. */
#ifndef PMP_EXPERIMENTS_EXPERIMENT_H
#define PMP_EXPERIMENTS_EXPERIMENT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes of pmpo-experiment, for scripts. */
enum pmp_experiment_exit {
  PMP_EXPERIMENT_OK = 0,
  PMP_EXPERIMENT_FAILED = 1, /* a claim does not hold, or something could not be done */
  PMP_EXPERIMENT_USAGE = 2,
  PMP_EXPERIMENT_STOPPED = 130 /* by a signal: the same command goes on from here */
};

struct pmp_experiment_options {
  bool quick;            /* few seeds, seconds */
  bool json;             /* one object a line on stdout instead of tables */
  bool quiet;            /* no progress */
  bool end_to_end;       /* bandits: through the daemon and an actor */
  uint32_t seeds, steps; /* 0: the experiment's own */
  uint32_t threads;
  const char *out;                        /* folder; NULL: experiments-NAME */
  const char *functions, *methods, *dims; /* lists with commas; NULL: all */
  const char *bin;                        /* folder of the programs beside this one */
  const volatile int *stop;
};

struct pmp_experiment {
  const char *name;
  const char *brief; /* one line */
  /* Results into the folder, tables onto stdout. *failed: claims that did not hold. */
  enum pmp_err (*run)(const struct pmp_experiment_options *o, uint32_t *failed,
                      struct pmp_errmsg *msg);
};

extern const struct pmp_experiment pmp_experiment_bandits;
extern const struct pmp_experiment pmp_experiment_beta_sweep;
extern const struct pmp_experiment pmp_experiment_ipo;

const struct pmp_experiment *pmp_experiment_at(size_t i); /* NULL past the end */
const struct pmp_experiment *pmp_experiment_find(const char *name);

#endif
