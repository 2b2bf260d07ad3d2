/* The replay store: one SQLite file in WAL mode, `synchronous=FULL`, that keeps every acknowledged
 * sample, verdict, setting, metric and event.
 *
 * `struct pmp_store` owns one thread and, in it, the only connection that writes or checkpoints the
 * log. Callers put operations on its bounded ordered queue and get each back, in order, once the
 * transaction that holds it is on disk (group commit: everything that waits goes into one
 * transaction, up to a configured size) or has failed. `struct pmp_reader` is a read-only
 * connection for one other thread.
 *
 * Knows nothing of the wire's encoding, of the learner or of sessions: a chunk is bytes with index
 * columns.
 *
 * Commit ids: chunks, verdicts and settings ("entries") share one increasing sequence, the order in
 * which a learner takes them. */
#ifndef PMP_STORE_STORE_H
#define PMP_STORE_STORE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PMP_STORE_NAME_MAX 65 /* actor, principal, key: bytes with NUL */
#define PMP_STORE_INSTANCE_BYTES 16
#define PMP_STORE_APPLICATION_ID 0x706d706f /* "pmpo" */

struct pmp_store_config {
  const char *path;            /* of the database file; its folder exists */
  const char *vfs;             /* NULL: SQLite's default; tests name a faulty one */
  const char *synchronous;     /* NULL: "FULL"; mutation tests only */
  size_t queue_capacity;       /* operations; 1024 */
  size_t group_bytes_max;      /* payload of one transaction; 8 MiB */
  uint32_t group_ops_max;      /* 256 */
  uint32_t compress_min_bytes; /* smaller chunks are kept as they are; 512 */
  /* zstd level; 0: never. A chunk is kept compressed only when that saves at least an eighth; when
   * a stream of chunks does not pay, most are not tried. */
  int compress_level;
  uint64_t capacity_rows, capacity_bytes; /* retention; 0: no limit */
  uint32_t deleted_max; /* ids of deleted chunks that are kept for pmp_store_deleted; 0: none */
  size_t log_bytes_max; /* the log is copied into the database when it is this large; 0: 64 MiB */
  struct pmp_clock clock;
  const struct pmp_log *log; /* nullable, borrowed */
};

enum pmp_store_kind {
  PMP_OP_HELLO = 1, /* an actor's instance: epoch */
  PMP_OP_APPEND,
  PMP_OP_VERDICT,
  PMP_OP_SETTING, /* also writes an event "setting" {commit, key, old, new}, in the same transaction
                   */
  PMP_OP_METRICS,
  PMP_OP_EVENT,
  PMP_OP_VERSION,    /* reserve reference versions */
  PMP_OP_CHECKPOINT, /* a checkpoint was written or dropped; moves the retention floor */
  PMP_OP_GOLD,       /* an item's truth; also writes an event "gold" */
  PMP_OP_BARRIER     /* nothing but its turn: done when everything before it is on disk */
};

struct pmp_store_hello { /* in: name, instance; out: the rest */
  char name[PMP_STORE_NAME_MAX];
  uint8_t instance[PMP_STORE_INSTANCE_BYTES];
  uint32_t epoch;      /* same name and instance: same epoch; new instance: next epoch, committed */
  uint64_t last_seq;   /* of this epoch */
  uint64_t rows;       /* of this name, all epochs */
  uint64_t last_chunk; /* id of the name's last chunk, 0: none */
  uint64_t last_commit; /* commit id of it, 0: none */
  /* The last actor_state that came with a chunk, of any epoch; malloc'd, the caller frees; NULL:
   * none */
  void *state;
  size_t state_bytes;
};

struct pmp_store_append {        /* in */
  char name[PMP_STORE_NAME_MAX]; /* actor */
  uint32_t epoch;
  uint64_t seq;
  const void *data; /* the chunk as sent; borrowed until done */
  size_t bytes;
  const void *state; /* actor_state, borrowed; NULL: none */
  size_t state_bytes;
  uint32_t rows, labelled; /* index columns: rows, and how many brought a label */
  int shape, source;
  uint64_t version_min; /* smallest reference version of its rows, 0: unknown */
  /* Kept with the high-water mark: what a duplicate's ack names. After a duplicate: that of the
   * first time. */
  uint64_t ack_version;
  /* out */
  uint64_t chunk, commit;
  bool duplicate;        /* same seq, same hash: chunk and commit are those of the first time */
  uint64_t expected_seq; /* with PMP_ECONFLICT for a gap: what would be right; 0 otherwise */
};

enum pmp_store_verdict_state {
  PMP_VERDICT_ACTIVE = 1,
  PMP_VERDICT_SURPLUS,
  PMP_VERDICT_REPLACED,
  PMP_VERDICT_WITHDRAWN
};

struct pmp_store_label { /* of one row after a verdict */
  uint32_t row;
  int8_t label;  /* 1, -1, 0: not trainable */
  int8_t before; /* the label before this verdict, 0: none: whether the row enters the ring now */
  float weight;  /* |sum of signed confidences| / number of verdicts */
};

struct pmp_store_verdict { /* in */
  char principal[PMP_STORE_NAME_MAX];
  char request_id[PMP_STORE_NAME_MAX];
  uint64_t chunk;
  uint32_t row, rows;
  int judgement; /* 1 accept, 2 reject, 3 skip, 4 withdraw this principal's active verdict on
                    exactly this item */
  float confidence;
  const char *note; /* borrowed */
  uint32_t wanted;  /* accepts and rejects that an item takes, of different people; 0: any number */
  bool no_data;     /* the caller reads the chunk itself where labels changed: data stays NULL */
  bool leased;     /* the principal held a lease: it counts even if the item got enough meanwhile */
  bool only_known; /* a request that was not kept before is PMP_EFORBIDDEN: its quota is used up */
  /* out */
  uint64_t commit;
  uint32_t labels_now; /* active accepts and rejects on exactly this item */
  bool duplicate; /* this request with this content was kept before: commit, replaced, surplus and
                     first are those of then */
  bool gold;      /* the item's truth is known, so that the verdict measures and does not train */
  bool
      replaced; /* this person's earlier, different verdict on exactly this item counts no longer */
  bool surplus; /* kept, does not count: this person had said exactly this of this item, the item
                   has what it wants, and no lease, or its truth is known */
  /* [labels], malloc'd, caller frees: rows whose label or weight changed */
  struct pmp_store_label *label;
  uint32_t labels;
  void *data; /* the chunk's bytes as sent, malloc'd, caller frees; NULL when nothing changed */
  size_t bytes;
  bool first; /* the item's first verdict */
  /* [judges], malloc'd, caller frees: who has a verdict, skips included, on exactly this item; only
   * when labels_now fell, so that the item can be offered again without asking anybody twice. */
  char (*judge)[PMP_STORE_NAME_MAX];
  uint32_t judges;
};

/* The truth of an item: verdicts on its rows are surplus from now on, but for a change of one that
 * counts already. Its chunk is never deleted. */
struct pmp_store_gold { /* in */
  uint64_t chunk;
  uint32_t row, rows;
  int judgement;   /* 1 accept, 2 reject, 0: not known any more */
  const char *who; /* borrowed */
  /* out */
  int before;          /* the judgement that it had, 0: none */
  uint32_t labels_now; /* active accepts and rejects on exactly this item */
  /* [judges], malloc'd, caller frees: who has a verdict on exactly this item */
  char (*judge)[PMP_STORE_NAME_MAX];
  uint32_t judges;
};

struct pmp_store_setting { /* in */
  char key[PMP_STORE_NAME_MAX];
  const char *value, *old_value, *who; /* borrowed */
  uint64_t commit;                     /* out */
};

struct pmp_store_point {
  char name[PMP_STORE_NAME_MAX];
  uint64_t step, env_steps;
  int64_t wall_ns;
  double value; /* finite */
};
struct pmp_store_metrics {             /* in */
  const struct pmp_store_point *point; /* borrowed */
  uint32_t count;
};

struct pmp_store_event {           /* in */
  const char *who, *kind, *detail; /* borrowed; detail is a JSON object */
  uint64_t id;                     /* out */
};

struct pmp_store_version { /* in */
  uint64_t up_to;          /* versions <= up_to are reserved when done; never lowers */
  uint64_t reserved;       /* out: what is reserved now */
};

struct pmp_store_checkpoint { /* in: the whole list of kept ones, oldest first */
  const struct pmp_store_checkpoint_row {
    uint64_t step, commit; /* commit id the learner had applied */
    uint64_t first_commit; /* smallest commit id that its ring needs */
    char path[512], hash[33];
  } * row; /* borrowed */
  uint32_t count;
  uint64_t window_commit; /* smallest commit id that the running learner's ring needs; nothing from
                             it on is deleted */
};

struct pmp_store_op {
  enum pmp_store_kind kind;
  void (*done)(struct pmp_store_op *op); /* called on the store's thread, never while a caller holds
                                            the queue; must not block */
  void *ctx;                             /* the caller's */
  enum pmp_err err;                      /* out */
  struct pmp_errmsg msg;                 /* out */
  union {
    struct pmp_store_hello hello;
    struct pmp_store_append append;
    struct pmp_store_verdict verdict;
    struct pmp_store_gold gold;
    struct pmp_store_setting setting;
    struct pmp_store_metrics metrics;
    struct pmp_store_event event;
    struct pmp_store_version version;
    struct pmp_store_checkpoint checkpoint;
  } u;
};

/* What keeps retention from deleting anything while the store is over its capacity. */
enum pmp_store_blocker {
  PMP_STORE_BLOCKER_NONE = 0,
  PMP_STORE_BLOCKER_WINDOW, /* the running learner's ring; also before the first PMP_OP_CHECKPOINT
                             */
  PMP_STORE_BLOCKER_CHECKPOINT, /* a kept checkpoint: write a new one and drop the oldest */
  PMP_STORE_BLOCKER_VERDICTS    /* everything left was judged by people, or is gold */
};

enum pmp_store_health {
  PMP_STORE_HEALTHY = 0,
  PMP_STORE_FULL, /* ENOSPC, or retention can delete nothing: writes are answered PMP_ENOSPC and
                     tried again by themselves */
  PMP_STORE_REOPENING, /* after an I/O error from a sync: operations fail with PMP_EIO until the
                          file was closed, opened and its log checkpointed again */
  PMP_STORE_FAILED     /* reopening failed: the daemon must exit non-zero */
};

struct pmp_store_stats {
  enum pmp_store_health health;
  char reason[256];
  enum pmp_store_blocker blocker;
  uint64_t rows, chunks, bytes;      /* kept now; bytes of chunk data as stored */
  uint64_t rows_total, chunks_total; /* ever */
  uint64_t labelled_rows;
  uint64_t commits, ops, refused, sync_errors, busy_ns;
  uint64_t open_items_rows; /* rows without a label and without a verdict */
  uint64_t last_commit, reserved_version;
  uint64_t deleted_rows;
  size_t queue, queue_peak;
};

struct pmp_store;

/* Creates or opens the file: lock (PMP_EBUSY "in use by another process" when a second daemon has
 * it), application_id and schema version checked and migrated forward (a newer one is
 * PMP_EUNAVAILABLE; PMP_ECORRUPT by name), then `wal_checkpoint(TRUNCATE)` must succeed before
 * anything is acknowledged. Starts the thread. Blocks. */
PMP_MUST_CHECK enum pmp_err
pmp_store_open(struct pmp_store **s, const struct pmp_store_config *config, struct pmp_errmsg *msg);
/* Any thread; never blocks. Takes op until done is called. PMP_EBUSY when the queue is full
 * (counted), PMP_ECLOSED. */
PMP_MUST_CHECK enum pmp_err pmp_store_submit(struct pmp_store *s, struct pmp_store_op *op);
/* The same and waits for it (done and ctx are not used): start-up, tools, tests. Not from the loop.
 * Returns op->err. */
PMP_MUST_CHECK enum pmp_err pmp_store_run(struct pmp_store *s, struct pmp_store_op *op);
/* Any thread; a consistent copy, never waits for the disk. */
void pmp_store_stats(struct pmp_store *s, struct pmp_store_stats *out);
/* Chunks that retention has deleted since the last call, in order, at most max into out; returns
 * how many. Those beyond config.deleted_max that nobody took are not told. Any thread; never waits
 * for the disk. */
uint32_t pmp_store_deleted(struct pmp_store *s, uint64_t *out, uint32_t max);
/* CPU nanoseconds that the store's thread has used. */
int64_t pmp_store_cpu_ns(struct pmp_store *s);
/* Runs what is queued, checkpoints the log, joins, frees. NULL is fine. Blocks. */
void pmp_store_close(struct pmp_store *s);

/* ---- reading ------------------------------------------------------------------------- */

struct pmp_reader;
/* Read-only; makes no checkpoint on close. One thread at a time. Blocks on the disk in every call.
 */
PMP_MUST_CHECK enum pmp_err pmp_reader_open(struct pmp_reader **r, const char *path,
                                            const char *vfs, struct pmp_errmsg *msg);
void pmp_reader_close(struct pmp_reader *r);

enum pmp_entry_kind { PMP_ENTRY_CHUNK = 1, PMP_ENTRY_VERDICT, PMP_ENTRY_SETTING };
struct pmp_entry { /* valid during the callback */
  enum pmp_entry_kind kind;
  uint64_t commit;
  /* chunk */
  uint64_t chunk;
  const char *actor;
  uint32_t epoch, rows;
  uint64_t seq;
  const void *data; /* as sent (decompressed); of the judged chunk for a verdict */
  size_t bytes;
  /* verdict: labels as they became by this verdict */
  const struct pmp_store_label *label;
  uint32_t labels;
  bool first;
  /* setting */
  const char *key, *value;
};
/* Calls fn for every entry with from <= commit <= to in commit order, until it does not return
 * PMP_OK. PMP_ECORRUPT names a chunk whose hash does not fit. */
PMP_MUST_CHECK enum pmp_err
pmp_reader_entries(struct pmp_reader *r, uint64_t from, uint64_t to,
                   enum pmp_err (*fn)(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg),
                   void *ctx, struct pmp_errmsg *msg);
/* Commit id from which the last `rows` rows of chunks begin (0: the store is empty): to fill a ring
 * without a checkpoint. */
PMP_MUST_CHECK enum pmp_err pmp_reader_window(struct pmp_reader *r, uint64_t rows, uint64_t *commit,
                                              struct pmp_errmsg *msg);

/* One verdict as kept; texts are valid during the callback. */
struct pmp_reader_verdict {
  uint64_t id, chunk;
  uint32_t row, rows;
  int judgement;
  float confidence; /* 0: of a skip or withdrawal */
  int state;        /* enum pmp_store_verdict_state */
  int64_t wall_ns;
  const char *who, *request_id, *note; /* note "" when there is none */
};
/* Verdicts with id > after in order, at most max, of one principal (NULL: of all). */
PMP_MUST_CHECK enum pmp_err
pmp_reader_verdicts(struct pmp_reader *r, uint64_t after, uint32_t max, const char *who,
                    enum pmp_err (*fn)(void *ctx, const struct pmp_reader_verdict *v), void *ctx,
                    struct pmp_errmsg *msg);
/* The active and surplus verdicts on a chunk, in order. */
PMP_MUST_CHECK enum pmp_err
pmp_reader_chunk_verdicts(struct pmp_reader *r, uint64_t chunk,
                          enum pmp_err (*fn)(void *ctx, const struct pmp_reader_verdict *v),
                          void *ctx, struct pmp_errmsg *msg);
struct pmp_reader_gold {
  uint64_t id, chunk; /* id: in order of their first naming */
  uint32_t row, rows;
  int judgement; /* 1 accept, 2 reject */
  int64_t wall_ns;
  const char *who; /* valid during the callback */
};
/* Items whose truth is known, with id > after in order, at most max. */
PMP_MUST_CHECK enum pmp_err pmp_reader_gold(struct pmp_reader *r, uint64_t after, uint32_t max,
                                            enum pmp_err (*fn)(void *ctx,
                                                               const struct pmp_reader_gold *g),
                                            void *ctx, struct pmp_errmsg *msg);
/* How many verdicts each principal ever gave, withdrawals not counted. */
PMP_MUST_CHECK enum pmp_err pmp_reader_given(struct pmp_reader *r,
                                             enum pmp_err (*fn)(void *ctx, const char *who,
                                                                uint64_t verdicts),
                                             void *ctx, struct pmp_errmsg *msg);
/* A chunk by its id: actor, epoch, seq, rows and data, which live until the reader's next call.
 * PMP_ENOTFOUND: retention took it. */
PMP_MUST_CHECK enum pmp_err pmp_reader_chunk(struct pmp_reader *r, uint64_t chunk,
                                             struct pmp_entry *e, struct pmp_errmsg *msg);
/* Calls fn for every chunk with rows that brought no label of their own, in order, until it does
 * not return PMP_OK. fn may call the two functions above. */
PMP_MUST_CHECK enum pmp_err pmp_reader_open_chunks(struct pmp_reader *r,
                                                   enum pmp_err (*fn)(void *ctx,
                                                                      const struct pmp_entry *e,
                                                                      struct pmp_errmsg *msg),
                                                   void *ctx, struct pmp_errmsg *msg);

struct pmp_reader_point {
  uint64_t step, env_steps;
  int64_t wall_ns;
  double value;
};
/* Points of one metric with step in [from, to] (to 0: no end), at most max (thinned evenly in step;
 * first and last kept), malloc'd, caller frees. */
PMP_MUST_CHECK enum pmp_err pmp_reader_history(struct pmp_reader *r, const char *name,
                                               uint64_t from, uint64_t to, uint32_t max,
                                               struct pmp_reader_point **points, uint32_t *count,
                                               struct pmp_errmsg *msg);
/* Names of all metrics, sorted, malloc'd. */
PMP_MUST_CHECK enum pmp_err pmp_reader_metrics(struct pmp_reader *r,
                                               char (**names)[PMP_STORE_NAME_MAX], uint32_t *count,
                                               struct pmp_errmsg *msg);
struct pmp_reader_event {
  uint64_t id;
  int64_t wall_ns;
  const char *who, *kind, *detail;
  const uint8_t *hash; /* [32] (auth/chain.h); NULL: from before there was a chain */
};
/* Events with id > after in order (after UINT64_MAX: the newest `max`). all: verdicts too. */
PMP_MUST_CHECK enum pmp_err
pmp_reader_events(struct pmp_reader *r, uint64_t after, uint32_t max, bool all,
                  enum pmp_err (*fn)(void *ctx, const struct pmp_reader_event *e), void *ctx,
                  struct pmp_errmsg *msg);
struct pmp_reader_actor {
  char name[PMP_STORE_NAME_MAX];
  uint32_t epoch;
  uint64_t last_seq, rows;
};
PMP_MUST_CHECK enum pmp_err pmp_reader_actors(struct pmp_reader *r,
                                              struct pmp_reader_actor **actors, uint32_t *count,
                                              struct pmp_errmsg *msg);
/* A value of the store's own key-value table ("run_id", ...) into value[size]; PMP_ENOTFOUND. Keys
 * are set by pmp_store_meta_default before anything else. */
PMP_MUST_CHECK enum pmp_err pmp_reader_meta(struct pmp_reader *r, const char *key, char *value,
                                            size_t size, struct pmp_errmsg *msg);
/* Sets a key if absent; value[size] receives what is there afterwards. Blocks; start-up only. */
PMP_MUST_CHECK enum pmp_err pmp_store_meta_default(struct pmp_store *s, const char *key,
                                                   char *value, size_t size,
                                                   struct pmp_errmsg *msg);

/* Verifies a closed or running store: integrity_check, foreign_key_check, every chunk's hash and
 * decompression, marks against chunks, commit ids. Calls report for every fault, by name. *faults:
 * how many. */
PMP_MUST_CHECK enum pmp_err pmp_store_check(const char *path, const char *vfs,
                                            void (*report)(void *ctx, const char *fault), void *ctx,
                                            uint64_t *faults, struct pmp_errmsg *msg);

#endif
