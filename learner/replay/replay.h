/* The replay ring: rows in memory, columnar, in the order in which they became trainable, and
 * batches drawn from it.
 *
 * Owned by the learner's thread. Knows nothing of chunks' bytes, of SQLite or of the wire: the
 * daemon hands arrays over. All memory is allocated at init. What is sampled is a function of the
 * rows that became trainable, their order and the generator alone, so that a ring refilled from the
 * store draws the same batches. Rows leave from the front only (capacity, or consumed by `once`),
 * but for those that max_staleness outdates.
 *
 * Two shapes (protocol.md, "Samples"):
 *  - outcomes: groups of outcomes of one condition. A labelled row is trainable at once; an
 * unlabelled one only when `unlabelled_trainable` says that a judge inside the learner, or nobody
 * (KL only), takes it;
 *  - trajectories: a row becomes trainable once its n-step return is known: n further rows of its
 * environment, or the episode's end. Its return, discount product and the row to bootstrap from are
 * computed then, once. Truncation bootstraps from the last observation; termination (discount 0)
 * does not. A row of an episode whose stream broke (a new epoch of its actor, an unexpected t)
 * before it was trainable never becomes so. */
#ifndef PMP_LEARNER_REPLAY_REPLAY_H
#define PMP_LEARNER_REPLAY_REPLAY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pmp_replay_shape { PMP_REPLAY_OUTCOMES = 1, PMP_REPLAY_TRAJECTORIES = 2 };
enum pmp_sampler { PMP_SAMPLER_UNIFORM = 0, PMP_SAMPLER_ONCE = 1, PMP_SAMPLER_VERSION = 2 };

struct pmp_replay_config {
  enum pmp_replay_shape shape;
  enum pmp_sampler sampler;
  uint32_t obs, act;      /* floats of a condition and of an outcome */
  size_t capacity;        /* trainable rows kept */
  uint32_t n_step;        /* trajectories: >= 1 */
  float discount;         /* trajectories: gamma; multiplies the rows' own discounts */
  uint32_t streams_max;   /* trajectories: environments followed at once; the least recently used is
                             dropped */
  uint32_t max_staleness; /* outcomes judged by actors: in refreshes; 0: no limit */
  bool unlabelled_trainable; /* outcomes: rows without a verdict are trainable (critic, a rule over
                                f, or KL only) */
  bool evaluated_trainable;  /* outcomes: rows with an evaluation and no verdict are trainable (a
                                rule will label them) */
};

#define PMP_REPLAY_GROUP_MAX 4096u /* outcomes of one condition */
#define PMP_REPLAY_N_STEP_MAX 256u
#define PMP_REPLAY_CAPACITY_MAX (1u << 30)

/* Where a row lives in the store. */
struct pmp_row_id {
  uint64_t chunk;
  uint32_t row;
};

/* Rows of one chunk, as plain arrays; borrowed for the call. */
struct pmp_replay_rows {
  uint64_t chunk;  /* id in the store */
  uint64_t commit; /* commit id of the entry that brought them */
  uint64_t stream; /* trajectories: identifies (actor, epoch); the environment is added to it */
  uint32_t rows;
  uint32_t first_row; /* index within the chunk of the arrays' first row: 0 for a whole chunk */
  const float *obs;   /* (rows x obs), a row's condition (outcomes: repeated within a group); NULL
                         when obs is 0 */
  const float *act;   /* (rows x act) */
  const uint32_t *group;             /* outcomes: (rows), non-decreasing; NULL: each row its own */
  const float *f;                    /* outcomes: (rows) evaluation, NULL when not known */
  const int8_t *verdict;             /* outcomes: (rows) 1, -1, 0; NULL: all 0 */
  const float *weight;               /* outcomes: (rows); NULL: ones */
  const uint64_t *ref_version;       /* (rows); NULL: 0 */
  const uint32_t *env, *episode, *t; /* trajectories (rows) */
  const float *reward, *discount;    /* trajectories (rows): r_{t+1}, discount_{t+1} */
  const uint8_t *flags; /* trajectories (rows): PMP_ROW_FIRST | PMP_ROW_LAST | PMP_ROW_TRUNCATED */
};
enum { PMP_ROW_FIRST = 1, PMP_ROW_LAST = 2, PMP_ROW_TRUNCATED = 4 };

struct pmp_replay; /* opaque */

PMP_MUST_CHECK enum pmp_err pmp_replay_open(struct pmp_replay **r,
                                            const struct pmp_replay_config *config,
                                            struct pmp_errmsg *msg);
void pmp_replay_close(struct pmp_replay *r); /* NULL is fine */
/* Bytes that open would allocate: for the memory bound in the status. */
size_t pmp_replay_bytes(const struct pmp_replay_config *config);

/* Takes rows in commit order. *trainable: how many rows became trainable by it. PMP_EINVALID when
 * the arrays contradict the shape (nothing is taken). */
PMP_MUST_CHECK enum pmp_err pmp_replay_add(struct pmp_replay *r, const struct pmp_replay_rows *rows,
                                           uint32_t *trainable, struct pmp_errmsg *msg);
/* A person's verdict changed the label of a row: label 1, -1 or 0 (not trainable any more) and its
 * weight. A trainable row in memory is changed in place; one whose label becomes 0 keeps its place
 * but is not drawn. Else *known is false, and the caller adds the row by pmp_replay_add as judged
 * now if its label was 0 before this verdict. (A row that had a label and has left memory stays
 * out: what the ring holds must follow from the entries alone, not from its capacity.) */
PMP_MUST_CHECK enum pmp_err pmp_replay_relabel(struct pmp_replay *r, struct pmp_row_id id,
                                               int8_t label, float weight, bool *known);
/* The reference was refreshed to `version`: rows outdated by max_staleness leave the index.
 * *dropped: how many. */
void pmp_replay_refresh(struct pmp_replay *r, uint64_t version, uint64_t *dropped);

struct pmp_replay_stats {
  uint64_t trainable;        /* rows that can be drawn now */
  uint64_t became_trainable; /* since the first row ever (restored on resume) */
  uint64_t pending;          /* rows waiting for their n-step return */
  uint64_t stale_dropped, evicted,
      broken;                  /* broken: rows whose stream broke before they were trainable */
  uint64_t accepted, rejected; /* labelled rows in the index */
  uint64_t first_commit;       /* smallest commit id that the ring would need to be refilled; 0 when
                                * empty. While a resume       waits for its first row: the checkpoint's */
  uint64_t last_commit;        /* of the newest rows taken */
  struct pmp_row_id first;     /* oldest row that can be drawn; {0, 0}: none */
};
void pmp_replay_stats(const struct pmp_replay *r, struct pmp_replay_stats *out);

/* What a checkpoint keeps of the ring, all integers. To refill a fresh ring: pmp_replay_refresh
 * with the checkpoint's version, pmp_replay_resume, then the same calls of add and relabel in the
 * same order from the entry `first_commit` on. When entry `last_commit` has been taken the ring
 * draws what the old one would have drawn. */
struct pmp_replay_mark {
  uint64_t became_trainable, consumed;
  uint64_t stale_dropped, evicted, broken;
  uint64_t first_commit, last_commit; /* as in the stats */
  uint64_t from_commit;   /* outcomes: entry that made the ring's oldest row trainable */
  struct pmp_row_id from; /* the ring's oldest row, drawable or not; chunk 0: the ring was empty */
};
#define PMP_REPLAY_MARK_WORDS 10 /* as uint64_t, in the order of its fields */
void pmp_replay_mark(const struct pmp_replay *r, struct pmp_replay_mark *out);
/* Call before filling. Rows that become trainable before `from` is reached are not indexed, and
 * nothing is counted up to `last_commit`. */
void pmp_replay_resume(struct pmp_replay *r, const struct pmp_replay_mark *mark);
uint64_t pmp_replay_consumed(const struct pmp_replay *r); /* SAMPLER_ONCE: rows already used */

/* A batch: copies, in the arena's memory. Outcomes are grouped by condition. */
struct pmp_batch {
  size_t b, n;       /* conditions, outcomes (trajectories: n == b) */
  float *obs;        /* (b x obs) */
  float *act;        /* (n x act) */
  uint32_t *x_of_y;  /* (n) */
  int8_t *verdict;   /* (n) outcomes; trajectories: NULL, as the next two */
  float *weight;     /* (n) */
  float *f;          /* (n) NaN where not known */
  uint64_t *version; /* (n) */
  float *boot_obs;   /* (b x obs) trajectories: observation to bootstrap from */
  float *ret,
      *disc; /* (b) trajectories: n-step return, product of discounts (0 after termination) */
};
/* Arena bytes that a sample of `rows` needs at most (version: of all rows of the ring). */
size_t pmp_replay_scratch(const struct pmp_replay_config *config, size_t rows);
/* Draws groups until at least `rows` outcomes are there (uniform with replacement; once: in order;
 * version: all rows of `version`, `rows` ignored). PMP_EBUSY when fewer than `rows` can be drawn
 * (version: none); PMP_ENOMEM when the arena is too small. The ring stays as it was: with `once`
 * the same rows are drawn again until they are consumed. */
PMP_MUST_CHECK enum pmp_err pmp_replay_draw(struct pmp_replay *r, struct pmp_rng *rng, size_t rows,
                                            uint64_t version, struct pmp_arena *arena,
                                            struct pmp_batch *batch);
/* The step on the last draw was made: with `once` its rows leave. Before anything else touches the
 * ring, pmp_replay_refresh above all; a draw that was not consumed by then stays. */
void pmp_replay_consume(struct pmp_replay *r);
/* Both. */
PMP_MUST_CHECK enum pmp_err pmp_replay_sample(struct pmp_replay *r, struct pmp_rng *rng,
                                              size_t rows, uint64_t version,
                                              struct pmp_arena *arena, struct pmp_batch *batch);

#endif
