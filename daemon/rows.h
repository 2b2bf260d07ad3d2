/* From a decoded chunk's columns to the arrays that the replay ring takes: the one place where the
 * wire's shapes and the learner's meet. Pure; any thread. */
#ifndef PMP_DAEMON_ROWS_H
#define PMP_DAEMON_ROWS_H

#include "base/arena.h"
#include "learner/replay/replay.h"
#include "proto/chunk.h"

/* Would the ring, of `capacity` rows, take this chunk? Asked before anything is acknowledged.
 * PMP_EINVALID: a group or a reference version too large. */
PMP_MUST_CHECK enum pmp_err pmp_rows_check(const struct pmp_chunk *chunk, uint64_t capacity,
                                           struct pmp_errmsg *msg);
/* Fills rows from chunk; what must be expanded (conditions of groups, bin indices, single versions)
 * lies in arena. chunk, commit and stream are the caller's to set. PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_rows_from_chunk(const struct pmp_spec *spec,
                                                const struct pmp_chunk *chunk,
                                                struct pmp_arena *arena,
                                                struct pmp_replay_rows *rows);
/* Narrows rows of outcomes to the single row `row` with the label that a person gave it; label and
 * weight live in arena. */
PMP_MUST_CHECK enum pmp_err pmp_rows_one(const struct pmp_replay_rows *all, uint32_t obs,
                                         uint32_t act, uint32_t row, int8_t label, float weight,
                                         struct pmp_arena *arena, struct pmp_replay_rows *one);
/* Bytes of arena that pmp_rows_from_chunk takes at most for a chunk of this spec. */
size_t pmp_rows_scratch(const struct pmp_spec *spec, uint32_t rows);
/* What a chunk brings: rows that will be trainable (as far as the chunk alone tells), rows with a
 * label of their own, environment steps, smallest reference version (0: none said). */
struct pmp_rows_count {
  uint32_t trainable, labelled, env_steps;
  uint64_t version_min;
};
struct pmp_rows_count pmp_rows_count(const struct pmp_chunk *chunk, bool people);
/* The next item that people may judge: those that the chunk names, else every row of outcomes
 * without a label of its own. *next is 0 at first. false: no more. */
bool pmp_rows_item(const struct pmp_chunk *chunk, uint32_t *next, struct pmp_item *item);
/* How many there are. */
uint32_t pmp_rows_items(const struct pmp_chunk *chunk);

#endif
