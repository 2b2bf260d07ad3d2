/* Chunks out of the store, decoded again: what was accepted once, perhaps under other limits. Pure;
 * any thread. */
#ifndef PMP_DAEMON_STORED_H
#define PMP_DAEMON_STORED_H

#include "proto/wire.h"

/* Into arena, which is emptied and grown to hold it and `extra` bytes more. */
PMP_MUST_CHECK enum pmp_err pmp_stored_decode(const struct pmp_spec *spec, const void *data,
                                              size_t bytes, size_t extra, struct pmp_arena *arena,
                                              struct pmp_chunk *chunk, struct pmp_errmsg *msg);

#endif
