/* A pass over a file of outcomes: lines become rows, rows become groups, groups become chunks.
 *
 * Always the same chunks' rows in the same order for the same file, so that an import can go on
 * where another one was cut off. One thread; blocks on the disk and in the sink. Knows no daemon.
 *
 * Groups: consecutive lines with the same "group" (and the same x). Without it, lines that have f
 * and no verdict are a group with their neighbours of the same x; any other line is a group of its
 * own. All rows of a group have f or none has. */
#ifndef PMP_PMPOCTL_IMPORT_H
#define PMP_PMPOCTL_IMPORT_H

#include "clients/pmpoctl/lines.h"
#include "clients/pmpoctl/outcome.h"
#include "proto/wire.h"

#define PMP_IMPORT_GROUP_MAX 4096u        /* rows: what any daemon takes at most */
#define PMP_IMPORT_CHUNK_BYTES (1u << 20) /* a chunk is closed once it has so many */

/* Who gets what a pass finds; every function but `ctx` may be NULL. */
struct pmp_import_sink {
  void *ctx;
  /* A chunk; its pointers are valid during the call. rows: of the file, up to its end. An error
   * ends the pass. */
  enum pmp_err (*chunk)(void *ctx, const struct pmp_chunk *chunk, uint64_t rows,
                        struct pmp_errmsg *msg);
  /* A bad line, which is left out. NULL: it ends the pass, msg naming the line. */
  void (*refused)(void *ctx, uint64_t line, const struct pmp_errmsg *why);
  /* Now and then; false ends the pass with PMP_ECLOSED. */
  bool (*tick)(void *ctx, const struct pmp_lines *lines);
};

struct pmp_import_result {
  uint64_t rows, groups, refused, lines;
  uint64_t accepted, rejected;
  uint64_t evaluated;  /* f and no verdict */
  uint64_t alone;      /* of these, the only row of its group */
  uint64_t unlabelled; /* neither */
  char hash[33];       /* XXH3-128 of the rows and where their groups begin, 32 hex digits */
};

/* path names the file in messages. Rows up to `skip` are counted and hashed but not put into
 * chunks: skip is 0 or a number that a chunk() call was given. PMP_EINVALID: a bad line, or what
 * the file says of skip. */
PMP_MUST_CHECK enum pmp_err pmp_import_pass(struct pmp_lines *lines, const char *path,
                                            const struct pmp_outcome_form *form,
                                            const struct pmp_wire_limits *limits, uint64_t skip,
                                            const struct pmp_import_sink *sink,
                                            struct pmp_import_result *result,
                                            struct pmp_errmsg *msg);

#endif
