/* A text file line by line, as often as wanted: what cannot be read twice (standard input, a pipe)
 * is copied to a temporary file without a name first.
 *
 * One thread; blocks on the disk. Knows nothing of what the lines say. */
#ifndef PMP_PMPOCTL_LINES_H
#define PMP_PMPOCTL_LINES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct pmp_lines {
  FILE *file;       /* owned */
  char *buffer;     /* owned */
  size_t size, max; /* of the buffer now, and at most: the longest line and its break */
  size_t at, used;  /* unread bytes: [at, used) */
  bool end;
  uint64_t number;       /* of the line that next gave last, from 1 */
  uint64_t bytes, total; /* read so far, in the file */
};

/* path: a file, or "-" for standard input. line_max: bytes of the longest line. PMP_ENOTFOUND,
 * PMP_EINVALID (a folder, a compressed file), PMP_EIO, PMP_ENOSPC. Nothing to close on failure. */
PMP_MUST_CHECK enum pmp_err pmp_lines_open(struct pmp_lines *l, const char *path, size_t line_max,
                                           struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_lines_close(struct pmp_lines *l);
/* From the first line again. */
PMP_MUST_CHECK enum pmp_err pmp_lines_rewind(struct pmp_lines *l, struct pmp_errmsg *msg);
/* The next line without its break; *text (not NUL-terminated) is valid until the next call.
 * PMP_ECLOSED: there is none. PMP_ETOOLARGE: a line above line_max, which is passed over.
 * PMP_EIO. */
PMP_MUST_CHECK enum pmp_err pmp_lines_next(struct pmp_lines *l, const char **text, size_t *size,
                                           struct pmp_errmsg *msg);

#endif
