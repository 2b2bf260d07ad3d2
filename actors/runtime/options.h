/* What every kind of actor is told on its command line, and how it is read.
 *
 * Pure but for messages on stderr and help on stdout. */
#ifndef PMP_ACTORS_RUNTIME_OPTIONS_H
#define PMP_ACTORS_RUNTIME_OPTIONS_H

#include "base/err.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit codes of pmpo-actor, for scripts. */
enum pmp_exit {
  PMP_EXIT_OK = 0,       /* done, asked to stop, or the run is complete */
  PMP_EXIT_FAILED = 1,   /* anything else */
  PMP_EXIT_USAGE = 2,    /* the command line */
  PMP_EXIT_MISFIT = 3,   /* the run's spec does not fit, or another instance took the name */
  PMP_EXIT_NO_DAEMON = 4 /* nobody answers */
};

struct pmp_actor_options {
  const char *url;        /* --connect; NULL: PMPO_URL or the default */
  const char *name;       /* --name; never NULL after parsing */
  const char *token_file; /* --token-file; NULL: PMPO_TOKEN */
  const char *ca;         /* --ca; NULL: PMPO_CA */
  bool has_seed;
  uint64_t seed;       /* --seed; else the run's */
  uint32_t queue;      /* --queue; 0: the library's default */
  uint32_t connect_ms; /* --wait, in ms */
  bool quiet;
};

enum pmp_opt_type { PMP_OPT_FLAG, PMP_OPT_U64, PMP_OPT_U32, PMP_OPT_TEXT, PMP_OPT_REAL };

/* One option of one kind of actor. */
struct pmp_opt {
  const char *name; /* without dashes */
  enum pmp_opt_type type;
  void *value;          /* bool, uint64_t, uint32_t, const char *, double (seconds) */
  double min, max;      /* of numbers */
  const char *argument; /* in the help: "N" */
  const char *help;
  bool *given; /* nullable */
};

enum { PMP_OPTS_MAX = 48 };

/* Reads argv[1..] with `own` options (count) beside the common ones. `summary` heads the help.
 * PMP_EINVALID with the reason; *done is true when help was asked for and printed. */
PMP_MUST_CHECK enum pmp_err pmp_options_parse(int argc, char **argv, const char *summary,
                                              const struct pmp_opt *own, uint32_t count,
                                              struct pmp_actor_options *common, bool *done,
                                              struct pmp_errmsg *msg);
/* The exit code for an error, after saying it on stderr as "pmpo-actor KIND: ...". */
int pmp_options_fail(const char *kind, enum pmp_err err, const struct pmp_errmsg *msg);

#endif
