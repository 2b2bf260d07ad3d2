/* The writing side's insides: the one connection that writes, its statements, and what it knows by
 * heart.
 *
 * The store's thread only (and the opening one before that thread runs). An operation checks
 * everything before its first write, so that a refused one leaves nothing behind and its neighbours
 * in the transaction are untouched; a failure of SQLite itself sets `rc`, after which the whole
 * transaction is rolled back. */
#ifndef PMP_STORE_WRITER_H
#define PMP_STORE_WRITER_H

#include "auth/chain.h"
#include "store/codec.h"
#include "store/db.h"
#include "store/statements.h"
#include "store/store.h"

/* Restored when a transaction is rolled back. */
struct pmp_totals {
  uint64_t rows, chunks, bytes, labelled,
      covered; /* kept now; bytes as stored; covered: rows under an active verdict */
  uint64_t rows_deleted, chunks_deleted;
  uint64_t deleted_to; /* largest chunk id that retention ever deleted */
  uint64_t last_commit;
  uint64_t reserved_version;
  uint64_t last_event;
  uint8_t event_hash[PMP_CHAIN_BYTES]; /* of it: what the next one's begins with */
  uint64_t floor; /* nothing from this commit id on may be deleted; 0 until the learner has said
                     what it needs */
  uint64_t floor_window, floor_checkpoint; /* its two parts */
  uint64_t cursor; /* kept chunks up to here carry verdicts: retention looks beyond */
  enum pmp_store_blocker blocker;
  uint32_t deleted; /* ids in the writer's list of deleted chunks */
};

struct pmp_writer {
  const struct pmp_store_config *config; /* borrowed */
  sqlite3 *db;
  sqlite3_stmt *stmt[PMP_SQL_COUNT];
  struct pmp_codec codec;
  struct pmp_totals totals;
  int rc;             /* SQLite's first failure in this transaction, 0: none */
  uint32_t log_pages; /* frames in the write-ahead log after the last commit */
  uint64_t rewritten; /* bytes of the log that the last open wrote again */
  uint64_t doubt;     /* last commit id of a group whose COMMIT met an I/O error: it may be in the
                         log all the same. 0: none. Its operations keep their results */
  struct pmp_tally *tally; /* [tally_rows], owned: sums of verdicts before and after */
  uint32_t tally_rows;
  uint64_t *deleted; /* [config.deleted_max], owned: chunks that were deleted and not told yet */
};

/* Internal operation: pmp_store_meta_default. */
#define PMP_OP_META 1000
struct pmp_store_meta_op {
  struct pmp_store_op op;
  const char *key;
  char *value;
  size_t size;
};

/* Opens the file, repairs the log (store/log_rewrite.h), migrates, checkpoints the log to its end
 * (must succeed), prepares, counts. Nothing stays open after a failure. */
PMP_MUST_CHECK enum pmp_err pmp_writer_open(struct pmp_writer *w,
                                            const struct pmp_store_config *config,
                                            struct pmp_errmsg *msg);
/* No checkpoint. Safe on a zeroed struct. */
void pmp_writer_close(struct pmp_writer *w);
/* Copies the log into the database as far as readers allow; `whole`: waits for them and empties it.
 */
PMP_MUST_CHECK enum pmp_err pmp_writer_checkpoint(struct pmp_writer *w, bool whole,
                                                  struct pmp_errmsg *msg);

/* Half a MiB written and committed, then deleted: is there space again? */
PMP_MUST_CHECK enum pmp_err pmp_writer_probe(struct pmp_writer *w, struct pmp_errmsg *msg);

/* One group in one transaction. Each op's err is set; refused ones wrote nothing. A failure means
 * that nothing of the group happened, refusals included (they were judged against neighbours that
 * are gone). */
PMP_MUST_CHECK enum pmp_err pmp_writer_group(struct pmp_writer *w, struct pmp_store_op *const *ops,
                                             size_t count, struct pmp_errmsg *msg);

/* The results of operations that did not happen after all are taken back. */
void pmp_writer_forget(struct pmp_store_op *const *ops, size_t count);

/* For the operations. Notes a failure of SQLite; returns its code. */
enum pmp_err pmp_writer_fail(struct pmp_writer *w, int rc, const char *what,
                             struct pmp_errmsg *msg);
/* Steps a bound statement that gives no rows, resets it. */
PMP_MUST_CHECK enum pmp_err pmp_writer_run(struct pmp_writer *w, enum pmp_sql sql, int bound,
                                           const char *what, struct pmp_errmsg *msg);
/* Steps a bound statement once; *found: a row is there to be read until the statement is reset. */
PMP_MUST_CHECK enum pmp_err pmp_writer_row(struct pmp_writer *w, enum pmp_sql sql, int bound,
                                           bool *found, const char *what, struct pmp_errmsg *msg);
/* 1 to PMP_STORE_NAME_MAX - 1 bytes. */
PMP_MUST_CHECK enum pmp_err pmp_writer_name(const char *name, const char *what,
                                            struct pmp_errmsg *msg);
/* A chunk's bytes as sent, malloc'd, hash checked. PMP_ECORRUPT names the chunk (and is no failure
 * of SQLite). */
PMP_MUST_CHECK enum pmp_err pmp_writer_chunk(struct pmp_writer *w, uint64_t chunk, void **data,
                                             size_t *bytes, struct pmp_errmsg *msg);

/* Adds to the audit log; detail is a JSON object. A failure is one of SQLite. */
PMP_MUST_CHECK enum pmp_err pmp_writer_event(struct pmp_writer *w, const char *who,
                                             const char *kind, const char *detail,
                                             struct pmp_errmsg *msg);
/* The same with the text that a bound statement gives. */
PMP_MUST_CHECK enum pmp_err pmp_writer_event_of(struct pmp_writer *w, const char *who,
                                                const char *kind, enum pmp_sql sql, int bound,
                                                struct pmp_errmsg *msg);

PMP_MUST_CHECK enum pmp_err pmp_op_hello(struct pmp_writer *w, struct pmp_store_hello *h,
                                         struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_op_append(struct pmp_writer *w, struct pmp_store_append *a,
                                          struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_op_verdict(struct pmp_writer *w, struct pmp_store_verdict *v,
                                           struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_op_gold(struct pmp_writer *w, struct pmp_store_gold *g,
                                        struct pmp_errmsg *msg);
/* Who has a verdict on exactly this item; *judge is malloc'd. A failure is one of SQLite. */
PMP_MUST_CHECK enum pmp_err pmp_writer_judges(struct pmp_writer *w, uint64_t chunk, uint32_t row,
                                              uint32_t rows, char (**judge)[PMP_STORE_NAME_MAX],
                                              uint32_t *judges, struct pmp_errmsg *msg);
/* Has the truth of any of these rows been told? */
PMP_MUST_CHECK enum pmp_err pmp_writer_gold(struct pmp_writer *w, uint64_t chunk, uint32_t row,
                                            uint32_t rows, bool *gold, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_op_setting(struct pmp_writer *w, struct pmp_store_setting *s,
                                           struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_op_metrics(struct pmp_writer *w, const struct pmp_store_metrics *m,
                                           struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_op_event(struct pmp_writer *w, struct pmp_store_event *e,
                                         struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_op_version(struct pmp_writer *w, struct pmp_store_version *v,
                                           struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_op_checkpoint(struct pmp_writer *w,
                                              const struct pmp_store_checkpoint *c,
                                              struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_op_meta(struct pmp_writer *w, struct pmp_store_meta_op *m,
                                        struct pmp_errmsg *msg);

/* Retention (store/retain.c). Over capacity: deletes up to `chunks_max` of the oldest chunks that
 * may go. Sets totals.blocker when it is still over and none may. */
PMP_MUST_CHECK enum pmp_err pmp_retain_some(struct pmp_writer *w, uint32_t chunks_max,
                                            struct pmp_errmsg *msg);
bool pmp_retain_wanted(const struct pmp_writer *w);
/* PMP_ENOSPC with the reason when the store is more than a quarter over its capacity and nothing
 * may be deleted. */
PMP_MUST_CHECK enum pmp_err pmp_retain_admit(const struct pmp_writer *w, struct pmp_errmsg *msg);
/* Says why, for a person. */
void pmp_retain_reason(const struct pmp_writer *w, char *out, size_t size);
/* After a checkpoint operation. */
void pmp_retain_floor(struct pmp_totals *t, uint64_t window, uint64_t checkpoint);
/* Gives some pages back to the file system when a good part of the file is free. */
PMP_MUST_CHECK enum pmp_err pmp_retain_shrink(struct pmp_writer *w, bool *more,
                                              struct pmp_errmsg *msg);

#endif
