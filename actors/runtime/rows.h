/* A chunk in the making: columns with room for a fixed number of rows, filled row by row and handed
 * to libpmpo as they are.
 *
 * Cut by row count, never by time, so that the same samples give the same chunks. Allocated once;
 * one thread at a time, but different rows may be filled by different threads. */
#ifndef PMP_ACTORS_RUNTIME_ROWS_H
#define PMP_ACTORS_RUNTIME_ROWS_H

#include "base/err.h"
#include "proto/chunk.h"

#include <stdbool.h>

struct pmp_rows_config {
  const struct pmp_spec *spec; /* of the run; copied */
  uint32_t capacity;           /* rows */
};

struct pmp_rows {
  struct pmp_spec spec;
  uint32_t capacity, count; /* rows */
  uint32_t obs_size; /* floats of a row's observation, all parts together; parts are one behind the
                        other */
  float *obs;        /* (capacity x obs_size), row major over all parts */
  float *action;     /* (capacity x dim): raw outcomes; bin indices as floats */
  float *f;          /* (capacity): outcomes */
  uint32_t *group;   /* (capacity): outcomes */
  uint64_t *version; /* (capacity) */
  uint32_t *env, *episode, *t; /* (capacity): trajectories */
  float *reward, *discount;    /* (capacity): trajectories */
  uint8_t *flags;              /* (capacity): trajectories */
  /* scratch of pmp_rows_chunk */
  int32_t *indices; /* (capacity x dim) */
  float *parts;     /* (capacity x obs_size): part after part */
  void *memory;     /* owned: all of the above */
};

/* PMP_EINVALID (a spec that actors here do not make: observations that are not F32, tokens),
 * PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_rows_init(struct pmp_rows *r, const struct pmp_rows_config *config,
                                          struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_rows_fini(struct pmp_rows *r);
/* The first `count` rows as a chunk whose pointers lead into r. */
void pmp_rows_chunk(struct pmp_rows *r, struct pmp_chunk *out);

#endif
