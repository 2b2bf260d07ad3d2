/* Child processes of a campaign: started without a shell, in a process group of their own, gone
 * when this process is gone, however it ends.
 *
 * One thread: a child dies with the thread that started it. */
#ifndef PMP_PMPOCTL_CAMPAIGN_CHILD_H
#define PMP_PMPOCTL_CAMPAIGN_CHILD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PMP_CHILD_WORDS_MAX 200
#define PMP_CHILD_BYTES_MAX 32768
#define PMP_CHILD_PATH_MAX 1200

/* A command line that is put together word by word. Zeroed: empty. */
struct pmp_words {
  char *word[PMP_CHILD_WORDS_MAX + 1]; /* NULL at the end */
  char text[PMP_CHILD_BYTES_MAX];
  size_t words, used;
  bool full; /* something did not fit */
};
void pmp_words_add(struct pmp_words *w, const char *fmt, ...) PMP_PRINTF(2, 3);

struct pmp_child {
  pid_t pid; /* 0: not running */
  const char *what;
  char log[PMP_CHILD_PATH_MAX];
};

/* Starts it: stderr appended to log, stdout too or into `out` (nullable, begun anew). death: the
 * signal that the kernel sends it when this process dies. PMP_EUNAVAILABLE. */
PMP_MUST_CHECK enum pmp_err pmp_child_start(struct pmp_child *c, const char *what,
                                            const struct pmp_words *w, const char *log,
                                            const char *out, int death, struct pmp_errmsg *msg);
/* Has it ended? Then *status is its wait status and pid is 0. A child that is not running has not
 * ended. */
bool pmp_child_ended(struct pmp_child *c, int *status);
void pmp_child_signal(const struct pmp_child *c, int signum);
/* Ends it and waits: asks, and after so many seconds makes it. Blocks. */
void pmp_child_end(struct pmp_child *c, double seconds);
/* Why a child that ended so did: "pmpod ended with status 1: LAST LINE OF ITS LOG". */
void pmp_child_reason(const struct pmp_child *c, int status, char *out, size_t size);

/* Runs it to its end and takes what it writes: stdout and stderr together. *code: its exit status,
 * or 128 + signal. PMP_ETIMEOUT, PMP_EUNAVAILABLE, PMP_ETOOLARGE. */
PMP_MUST_CHECK enum pmp_err pmp_child_capture(const char *what, const struct pmp_words *w,
                                              double seconds, char *out, size_t size, int *code,
                                              struct pmp_errmsg *msg);

/* The other end of the start: this program, called again as `campaign --exec PARENT SIGNAL PROGRAM
 * ARGUMENT...`, becomes the child. Returns the exit code when it cannot. */
#define PMP_CHILD_VERB "--exec"
int pmp_child_become(int argc, char **argv);

#endif
