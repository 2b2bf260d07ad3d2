#include "store/writer.h"

#include "store/chunk_row.h"
#include "store/log_rewrite.h"
#include "store/schema.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 10000 /* what a checkpoint waits for readers */

enum pmp_err pmp_writer_fail(struct pmp_writer *w, int rc, const char *what,
                             struct pmp_errmsg *msg) {
  if (w->rc == SQLITE_OK) w->rc = rc;
  return pmp_db_fail(w->db, rc, what, msg);
}

enum pmp_err pmp_writer_run(struct pmp_writer *w, enum pmp_sql sql, int bound, const char *what,
                            struct pmp_errmsg *msg) {
  sqlite3_stmt *stmt = w->stmt[sql];
  enum pmp_err err = PMP_OK;
  int rc = bound == SQLITE_OK ? sqlite3_step(stmt) : bound;
  if (rc != SQLITE_DONE) err = pmp_writer_fail(w, rc == SQLITE_ROW ? SQLITE_ERROR : rc, what, msg);
  pmp_db_done(stmt);
  return err;
}

enum pmp_err pmp_writer_row(struct pmp_writer *w, enum pmp_sql sql, int bound, bool *found,
                            const char *what, struct pmp_errmsg *msg) {
  sqlite3_stmt *stmt = w->stmt[sql];
  int rc = bound == SQLITE_OK ? sqlite3_step(stmt) : bound;
  *found = rc == SQLITE_ROW;
  if (rc == SQLITE_ROW || rc == SQLITE_DONE) return PMP_OK;
  enum pmp_err err = pmp_writer_fail(w, rc, what, msg);
  pmp_db_done(stmt);
  return err;
}

enum pmp_err pmp_writer_name(const char *name, const char *what, struct pmp_errmsg *msg) {
  size_t length = strnlen(name, PMP_STORE_NAME_MAX);
  if (length == 0 || length == PMP_STORE_NAME_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%s has 1 to %d bytes", what, PMP_STORE_NAME_MAX - 1);
  return PMP_OK;
}

enum pmp_err pmp_writer_chunk(struct pmp_writer *w, uint64_t chunk, void **data, size_t *bytes,
                              struct pmp_errmsg *msg) {
  sqlite3_stmt *get = w->stmt[PMP_SQL_DATA_GET];
  size_t room = 0;
  bool found;
  *data = NULL;
  *bytes = 0;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_DATA_GET, pmp_db_bind(get, "U", chunk), &found, "read a chunk",
                         msg));
  enum pmp_err err = PMP_OK;
  if (found)
    err = pmp_chunk_row_unpack(&w->codec, get, 0, chunk, data, &room, bytes, msg);
  else
    err = pmp_fail(msg, PMP_ENOTFOUND, "there is no chunk %" PRIu64 " (any more)", chunk);
  pmp_db_done(get);
  if (err != PMP_OK) {
    free(*data);
    *data = NULL;
  }
  return err;
}

/* ---- opening ------------------------------------------------------------------------- */

static int note_log(void *ctx, sqlite3 *db, const char *name, int pages) {
  struct pmp_writer *w = ctx;
  (void)db;
  (void)name;
  w->log_pages = pages > 0 ? (uint32_t)pages : 0;
  return SQLITE_OK;
}

enum pmp_err pmp_writer_checkpoint(struct pmp_writer *w, bool whole, struct pmp_errmsg *msg) {
  int in_log = -1, copied = -1;
  int rc = sqlite3_wal_checkpoint_v2(w->db, NULL,
                                     whole ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
                                     &in_log, &copied);
  bool all = copied == in_log && in_log >= 0;
  /* Everything is in the database and synced; only the log could not be emptied because of a
   * reader. */
  if ((rc & 0xff) == SQLITE_BUSY && (all || !whole)) rc = SQLITE_OK;
  if (rc != SQLITE_OK) return pmp_writer_fail(w, rc, "copy the log into the database", msg);
  if (all) w->log_pages = 0;
  return PMP_OK;
}

static enum pmp_err count_chunks(struct pmp_writer *w, struct pmp_errmsg *msg) {
  sqlite3_stmt *sum = NULL;
  struct pmp_totals *t = &w->totals;
  PMP_TRY(pmp_db_prepare(w->db,
                         "SELECT count(*), sum(rows), sum(labelled), sum(stored), sum(covered)"
                         " FROM chunk",
                         &sum, msg));
  enum pmp_err err = PMP_OK;
  int rc = sqlite3_step(sum);
  if (rc == SQLITE_ROW) {
    t->chunks = pmp_db_u64(sum, 0);
    t->rows = pmp_db_u64(sum, 1);
    t->labelled = pmp_db_u64(sum, 2);
    t->bytes = pmp_db_u64(sum, 3);
    t->covered = pmp_db_u64(sum, 4);
  } else {
    err = pmp_db_fail(w->db, rc, "count the chunks", msg);
  }
  sqlite3_finalize(sum);
  return err;
}

/* Where the chain of events goes on. */
static enum pmp_err read_chain(struct pmp_writer *w, struct pmp_errmsg *msg) {
  sqlite3_stmt *last = NULL;
  struct pmp_totals *t = &w->totals;
  PMP_TRY(pmp_db_prepare(w->db, "SELECT id, hash FROM event ORDER BY id DESC LIMIT 1", &last, msg));
  enum pmp_err err = PMP_OK;
  const int rc = sqlite3_step(last);
  if (rc == SQLITE_ROW) {
    t->last_event = pmp_db_u64(last, 0);
    if (sqlite3_column_bytes(last, 1) == PMP_CHAIN_BYTES)
      memcpy(t->event_hash, sqlite3_column_blob(last, 1), PMP_CHAIN_BYTES);
  } else if (rc != SQLITE_DONE) {
    err = pmp_db_fail(w->db, rc, "read the last event", msg);
  }
  sqlite3_finalize(last);
  return err;
}

static enum pmp_err count_rest(struct pmp_writer *w, struct pmp_errmsg *msg) {
  struct pmp_totals *t = &w->totals;
  const struct {
    const char *sql;
    uint64_t *value;
  } numbers[] = {
      {"SELECT value FROM counter WHERE key = 'rows_deleted'", &t->rows_deleted},
      {"SELECT value FROM counter WHERE key = 'chunks_deleted'", &t->chunks_deleted},
      {"SELECT value FROM counter WHERE key = 'deleted_to'", &t->deleted_to},
      {"SELECT value FROM counter WHERE key = 'reserved_version'", &t->reserved_version},
      /* The marks remember a chunk also when retention has deleted it. */
      {"SELECT max(coalesce((SELECT max(id) FROM chunk), 0), coalesce((SELECT max(chunk) FROM "
       "mark), 0),"
       " coalesce((SELECT max(id) FROM verdict), 0), coalesce((SELECT max(id) FROM setting), 0))",
       &t->last_commit},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    int64_t value;
    PMP_TRY(pmp_db_number(w->db, numbers[i].sql, 0, &value, msg));
    *numbers[i].value = value > 0 ? (uint64_t)value : 0;
  }
  return PMP_OK;
}

enum pmp_err pmp_writer_probe(struct pmp_writer *w, struct pmp_errmsg *msg) {
  enum pmp_err err =
      pmp_db_exec(w->db,
                  "BEGIN IMMEDIATE;"
                  "INSERT OR REPLACE INTO meta VALUES('space-probe', hex(zeroblob(262144)));"
                  "COMMIT",
                  msg);
  if (err == PMP_OK) return pmp_db_exec(w->db, "DELETE FROM meta WHERE key = 'space-probe'", msg);
  if (!sqlite3_get_autocommit(w->db)) sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL);
  return err;
}

static enum pmp_err open_inside(struct pmp_writer *w, struct pmp_errmsg *msg) {
  const struct pmp_store_config *c = w->config;
  PMP_TRY(pmp_log_rewrite(c->path, c->vfs, &w->rewritten, msg));
  PMP_TRY(pmp_db_open(&w->db, c->path, c->vfs, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, BUSY_MS,
                      msg));
  PMP_TRY(
      pmp_schema_prepare(w->db, c->path, c->synchronous != NULL ? c->synchronous : "FULL", msg));
  /* After wal_autocheckpoint was set: that takes the hook away. */
  sqlite3_wal_hook(w->db, note_log, w);
  PMP_TRY(pmp_writer_checkpoint(w, true, msg));
  for (int i = 0; i < PMP_SQL_COUNT; i++)
    PMP_TRY(pmp_db_prepare(w->db, pmp_sql_text[i], &w->stmt[i], msg));
  PMP_TRY(count_chunks(w, msg));
  PMP_TRY(read_chain(w, msg));
  return count_rest(w, msg);
}

enum pmp_err pmp_writer_open(struct pmp_writer *w, const struct pmp_store_config *config,
                             struct pmp_errmsg *msg) {
  memset(w, 0, sizeof *w);
  w->config = config;
  pmp_codec_init(&w->codec, config->compress_level, config->compress_min_bytes);
  enum pmp_err err = PMP_OK;
  if (config->deleted_max > 0 &&
      (w->deleted = calloc(config->deleted_max, sizeof *w->deleted)) == NULL)
    err = pmp_fail(msg, PMP_ENOMEM, "out of memory");
  if (err == PMP_OK) err = open_inside(w, msg);
  if (err != PMP_OK) pmp_writer_close(w);
  return err;
}

void pmp_writer_close(struct pmp_writer *w) {
  for (int i = 0; i < PMP_SQL_COUNT; i++) {
    sqlite3_finalize(w->stmt[i]);
    w->stmt[i] = NULL;
  }
  sqlite3_close(w->db);
  w->db = NULL;
  pmp_codec_fini(&w->codec);
  free(w->tally);
  w->tally = NULL;
  w->tally_rows = 0;
  free(w->deleted);
  w->deleted = NULL;
}

/* ---- groups -------------------------------------------------------------------------- */

static enum pmp_err run_op(struct pmp_writer *w, struct pmp_store_op *op) {
  switch ((int)op->kind) {
  case PMP_OP_HELLO:
    return pmp_op_hello(w, &op->u.hello, &op->msg);
  case PMP_OP_APPEND:
    return pmp_op_append(w, &op->u.append, &op->msg);
  case PMP_OP_VERDICT:
    return pmp_op_verdict(w, &op->u.verdict, &op->msg);
  case PMP_OP_GOLD:
    return pmp_op_gold(w, &op->u.gold, &op->msg);
  case PMP_OP_SETTING:
    return pmp_op_setting(w, &op->u.setting, &op->msg);
  case PMP_OP_METRICS:
    return pmp_op_metrics(w, &op->u.metrics, &op->msg);
  case PMP_OP_EVENT:
    return pmp_op_event(w, &op->u.event, &op->msg);
  case PMP_OP_VERSION:
    return pmp_op_version(w, &op->u.version, &op->msg);
  case PMP_OP_CHECKPOINT:
    return pmp_op_checkpoint(w, &op->u.checkpoint, &op->msg);
  case PMP_OP_BARRIER:
    return PMP_OK;
  case PMP_OP_META:
    return pmp_op_meta(w, (struct pmp_store_meta_op *)op, &op->msg);
  default:
    return pmp_fail(&op->msg, PMP_EINVALID, "there is no operation %d", (int)op->kind);
  }
}

/* What an operation that did not happen must not give. */
static void forget_results(struct pmp_store_op *op) {
  if (op->kind == PMP_OP_HELLO) {
    free(op->u.hello.state);
    op->u.hello.state = NULL;
    op->u.hello.state_bytes = 0;
  } else if (op->kind == PMP_OP_VERDICT) {
    struct pmp_store_verdict *v = &op->u.verdict;
    free(v->label);
    free(v->data);
    v->label = NULL;
    free(v->judge);
    v->judge = NULL;
    v->judges = 0;
    v->data = NULL;
    v->labels = 0;
    v->bytes = 0;
    v->commit = 0;
  } else if (op->kind == PMP_OP_GOLD) {
    free(op->u.gold.judge);
    op->u.gold.judge = NULL;
    op->u.gold.judges = 0;
  } else if (op->kind == PMP_OP_APPEND) {
    op->u.append.chunk = op->u.append.commit = 0;
    op->u.append.duplicate = false;
  } else if (op->kind == PMP_OP_SETTING) {
    op->u.setting.commit = 0;
  }
}

enum pmp_err pmp_writer_group(struct pmp_writer *w, struct pmp_store_op *const *ops, size_t count,
                              struct pmp_errmsg *msg) {
  struct pmp_totals kept = w->totals;
  size_t ran = 0;
  w->rc = SQLITE_OK;
  enum pmp_err err = pmp_writer_run(w, PMP_SQL_BEGIN, SQLITE_OK, "begin a transaction", msg);
  /* Room first, so that what is deleted is written over at once. */
  if (err == PMP_OK) err = pmp_retain_some(w, (uint32_t)count + 4, msg);
  for (; ran < count && w->rc == SQLITE_OK && err == PMP_OK; ran++) {
    ops[ran]->msg.text[0] = '\0';
    ops[ran]->err = run_op(w, ops[ran]);
    if (w->rc != SQLITE_OK) {
      err = ops[ran]->err;
      if (msg != NULL) *msg = ops[ran]->msg;
    }
  }
  const bool whole = err == PMP_OK;
  if (whole) err = pmp_writer_run(w, PMP_SQL_COMMIT, SQLITE_OK, "commit", msg);
  if (err == PMP_OK) return PMP_OK;
  if (!sqlite3_get_autocommit(w->db)) sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL);
  /* A commit whose sync failed may be found in the log when the file is opened again. */
  w->doubt = whole && err == PMP_EIO && w->totals.last_commit > kept.last_commit
                 ? w->totals.last_commit
                 : 0;
  w->totals = kept;
  if (w->doubt == 0) pmp_writer_forget(ops, ran);
  return err;
}

void pmp_writer_forget(struct pmp_store_op *const *ops, size_t count) {
  for (size_t i = 0; i < count; i++) forget_results(ops[i]);
}
