/* What every command of pmpoctl works with: the global options, the connection, and how a failure
 * becomes an exit code.
 *
 * One thread; may block where said. Knows no command. */
#ifndef PMP_PMPOCTL_CTL_H
#define PMP_PMPOCTL_CTL_H

#include "clients/libpmpo/pmpo.h"

#include <getopt.h>
#include <stdbool.h>

/* Documented in pmpoctl(1): scripts rely on them. */
enum pmp_ctl_exit {
  PMP_EXIT_OK = 0,
  PMP_EXIT_FAILED = 1,    /* the daemon refused, or a file could not be written */
  PMP_EXIT_USAGE = 2,     /* wrong command line */
  PMP_EXIT_NO_DAEMON = 3, /* nobody answered in time */
  PMP_EXIT_NOT_MET = 4,   /* wait, watch --until: the condition did not hold in time */
  PMP_EXIT_INTERRUPTED = 130
};

#define PMP_CTL_URL_MAX 256
#define PMP_CTL_OPTIONS_MAX 24
#define PMP_CTL_PATH_MAX 1024

struct pmp_ctl {
  const char *command;  /* name of the one that runs; NULL before it is known */
  const char *synopsis; /* of that command, borrowed */
  const char *help;     /* of that command, borrowed */
  const char *url, *dir, *name, *token_file, *ca; /* NULL: not given */
  double timeout_s;
  bool timeout_given;
  const volatile int *stop; /* non-zero after SIGINT or SIGTERM */
  int exit_code;            /* with PMP_CTL_END */
  struct pmpo *client;      /* owned; NULL before pmp_ctl_open */
  struct pmp_arena arena;   /* replies */
};

void pmp_ctl_init(struct pmp_ctl *ctl, const volatile int *stop);
/* Closes the connection. Safe on a zeroed struct. */
void pmp_ctl_fini(struct pmp_ctl *ctl);

#define PMP_CTL_ARGS (-1) /* no more options: arguments start at argv[optind] */
#define PMP_CTL_END                                                                                \
  (-2) /* the program ends with ctl->exit_code: help was shown, or the usage was wrong */

/* Next option of a command, as getopt_long gives it; the global options are taken in between. `own`
 * (nullable, zero-terminated): long options; a `val` below 128 is a short option too. in_order:
 * stop at the first argument. */
int pmp_ctl_option(struct pmp_ctl *ctl, int argc, char **argv, const struct option *own,
                   bool in_order);
/* A long option that sets one thing and needs no more than that. */
enum pmp_ctl_kind { PMP_CTL_FLAG, PMP_CTL_TEXT, PMP_CTL_NUMBER };
struct pmp_ctl_setting {
  const char *name;
  enum pmp_ctl_kind kind;
  void *to;        /* bool (set to true), const char * (borrowed from argv), double */
  double min, max; /* of a number */
};
/* All options of a command that has no others, `own` ending with a name NULL (at most
 * PMP_CTL_OPTIONS_MAX). PMP_CTL_ARGS or PMP_CTL_END. */
int pmp_ctl_settings(struct pmp_ctl *ctl, int argc, char **argv, const struct pmp_ctl_setting *own);
/* One to stderr with the program's and command's names; returns PMP_EXIT_USAGE. */
int pmp_ctl_usage(const struct pmp_ctl *ctl, const char *fmt, ...) PMP_PRINTF(2, 3);
/* Says why on stderr and gives the exit code that fits the error. */
int pmp_ctl_failed(const struct pmp_ctl *ctl, enum pmp_err err, const struct pmp_errmsg *msg);
/* A number of an option: finite and within [min, max]. */
PMP_MUST_CHECK enum pmp_err pmp_ctl_number(const char *text, double min, double max, double *out,
                                           struct pmp_errmsg *msg);

/* Where the desk is: --connect, else DIR/endpoints.json of --dir, else PMPO_URL, else the default.
 * PMP_ENOTFOUND: no daemon has written that file yet. */
PMP_MUST_CHECK enum pmp_err pmp_ctl_url(const struct pmp_ctl *ctl, char out[PMP_CTL_URL_MAX],
                                        struct pmp_errmsg *msg);
/* The run's folder, for commands that work on it: --dir, else PMPO_DIR, else pmpod-run. */
const char *pmp_ctl_dir(const struct pmp_ctl *ctl);
/* Connects in this role, at `url` (NULL: as pmp_ctl_url says). Blocks up to timeout_s; `stop` may
 * be another flag than ctl's. */
PMP_MUST_CHECK enum pmp_err pmp_ctl_connect(const struct pmp_ctl *ctl, enum pmp_role role,
                                            const char *url, double timeout_s,
                                            const volatile int *stop, struct pmpo **out,
                                            struct pmp_errmsg *msg);
/* The same for ctl->client, waiting for --dir's endpoints.json too. Blocks up to ctl->timeout_s. */
PMP_MUST_CHECK enum pmp_err pmp_ctl_open(struct pmp_ctl *ctl, enum pmp_role role,
                                         struct pmp_errmsg *msg);
/* One request on ctl->client; the reply lies in ctl->arena, which is cleared first. Blocks up to
 * ctl->timeout_s. */
PMP_MUST_CHECK enum pmp_err pmp_ctl_ask(struct pmp_ctl *ctl, const struct pmp_request *request,
                                        struct pmp_reply *reply, struct pmp_errmsg *msg);
/* Opens in this role and asks: what most commands do. */
PMP_MUST_CHECK enum pmp_err pmp_ctl_once(struct pmp_ctl *ctl, enum pmp_role role,
                                         const struct pmp_request *request, struct pmp_reply *reply,
                                         struct pmp_errmsg *msg);
/* The flag is set by a signal's handler or another thread. */
static inline bool pmp_ctl_stopped(const volatile int *stop) {
  return __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
}
/* Sleeps; returns early once *stop is set. */
void pmp_ctl_sleep(const volatile int *stop, double seconds);
/* Monotonic clock, seconds. */
double pmp_ctl_now(void);

#endif
