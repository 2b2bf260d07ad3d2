/* The replay ring's own parts: columns, the table of chunks, streams of environments. Private to
 * learner/replay/.
 *
 * Rows live in a deque: positions front..head-1, stored in slot `position % capacity`. All counts
 * are of rows unless they say otherwise. */
#ifndef PMP_LEARNER_REPLAY_RING_H
#define PMP_LEARNER_REPLAY_RING_H

#include "learner/replay/replay.h"

#define PMP_NONE UINT32_MAX /* no slot */
#define PMP_BOOT_OWNED                                                                             \
  0x80000000u /* in `boot`: the row frees the observation that it bootstraps from */

/* One call of add: what its rows share. Live ones form a list in commit order. */
struct pmp_ring_chunk {
  uint64_t chunk, commit;
  uint64_t first;      /* outcomes: position of its first row */
  uint32_t rows;       /* outcomes: rows from there on */
  uint32_t live;       /* rows in the deque or pending, plus one while add runs */
  uint32_t prev, next; /* live list; next: also the free list */
  uint32_t hash_next;  /* outcomes: same bucket */
};

/* Outcomes: the rows of one condition. */
struct pmp_ring_group {
  uint64_t first;      /* position */
  uint32_t rows, live; /* live: may be drawn */
};

/* Trajectories: an environment with rows that wait for their return. */
struct pmp_ring_stream {
  uint64_t stream;
  uint32_t env, episode, t_next;
  uint32_t start, count; /* its pending rows: a ring of n_step from `start` */
  uint32_t newer, older; /* by last use; newer: also the free list */
  uint32_t hash_next;
};

struct pmp_ring_pending {
  uint64_t
      boot_for; /* 1 + position of the row that bootstraps from this one's observation; 0: none */
  uint32_t obs, chunk, row, version;
  float reward, discount; /* discount: the environment's times gamma */
};

struct pmp_replay {
  struct pmp_replay_config config;
  uint64_t front, head;
  uint32_t *chunk_of, *row_of, *version_of; /* owned, [capacity], as all columns */
  float *act;                               /* (capacity x act) */
  float *obs; /* outcomes: (capacity x obs) by group; trajectories: (obs_slots x obs) */

  struct pmp_ring_chunk *chunk; /* owned, [chunk_slots] */
  uint32_t chunk_slots, chunk_used, chunk_free, chunk_oldest, chunk_newest;
  uint32_t *chunk_bucket; /* owned, [buckets], slot + 1 */
  uint32_t buckets;       /* a power of two */

  /* outcomes */
  int8_t *verdict;
  float *weight, *f;
  struct pmp_ring_group *group; /* owned, [capacity], deque of group_front..group_head-1 */
  uint64_t group_front, group_head;
  uint32_t *index; /* owned, [capacity]: slots of groups that can be drawn, in order, a ring */
  uint64_t index_front, index_count;
  uint64_t drawable, accepted, rejected;
  uint64_t version; /* the reference's */

  /* trajectories */
  float *ret, *disc;
  uint32_t *obs_of, *boot_of; /* observation slots */
  uint32_t obs_slots, obs_used, obs_free;
  struct pmp_ring_stream *stream;   /* owned, [streams_max] */
  struct pmp_ring_pending *pending; /* owned, (streams_max x n_step) */
  float *pending_act;               /* owned, (streams_max x n_step x act) */
  uint32_t *stream_bucket;          /* owned, [stream_buckets], slot + 1 */
  uint32_t stream_buckets, stream_used, stream_free, stream_newest, stream_oldest;
  uint64_t pending_count;

  uint64_t became_trainable, consumed, stale_dropped, evicted, broken, last_commit;
  uint64_t drawn_end, drawn; /* once: the batch that is not consumed yet ends before this position;
                                its rows that were shown, 0: there is none */
  struct pmp_replay_mark mark; /* of a resume */
  bool skipping;               /* until mark.from is reached */
};

static inline size_t pmp_ring_slot(const struct pmp_replay *r, uint64_t position) {
  return (size_t)(position % r->config.capacity);
}
/* true when what happens now is counted: not while a resume repeats what was counted before. */
static inline bool pmp_ring_counting(const struct pmp_replay *r) {
  return r->last_commit > r->mark.last_commit || r->mark.last_commit == 0;
}

/* Outcomes: whether a row with this verdict and evaluation is trainable. */
static inline bool pmp_ring_can_draw(const struct pmp_replay *r, int8_t verdict, float f) {
  if (verdict != 0 || r->config.unlabelled_trainable) return true;
  return r->config.evaluated_trainable && f - f == 0.0F; /* finite */
}

/* chunks.c */
uint32_t pmp_ring_chunk_open(struct pmp_replay *r, uint64_t chunk,
                             uint64_t commit); /* holds one itself; there is always room */
void pmp_ring_chunk_hold(struct pmp_replay *r, uint32_t slot);
void pmp_ring_chunk_drop(struct pmp_replay *r, uint32_t slot);
/* Where the row is in the deque (outcomes); false when it is not. */
bool pmp_ring_find(const struct pmp_replay *r, struct pmp_row_id id, uint64_t *position);

/* outcomes.c */
enum pmp_err pmp_outcomes_check(const struct pmp_replay *r, const struct pmp_replay_rows *rows,
                                struct pmp_errmsg *msg);
void pmp_outcomes_add(struct pmp_replay *r, const struct pmp_replay_rows *rows,
                      uint32_t *trainable);
void pmp_outcomes_evict(struct pmp_replay *r); /* the oldest group */

/* streams.c */
enum pmp_err pmp_streams_check(const struct pmp_replay *r, const struct pmp_replay_rows *rows,
                               struct pmp_errmsg *msg);
void pmp_streams_add(struct pmp_replay *r, const struct pmp_replay_rows *rows, uint32_t *trainable);
void pmp_streams_evict(struct pmp_replay *r); /* the oldest row */

#endif
