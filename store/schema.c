#include "store/schema.h"

#include "store/store.h"

#include <stdio.h>
#include <string.h>

#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)

/* Chunks and what recognises their repetition. A chunk's id is its commit id. `mark` is the
 * high-water mark, a row for every instance that ever said hello: its last seq, the hash of that
 * chunk's bytes as sent, the chunk. `chunk` holds the index columns alone, densely, so that walking
 * them does not touch the samples in `chunk_data`. */
static const char step_samples[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE counter(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE actor(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE actor_state("
    "  actor INTEGER PRIMARY KEY REFERENCES actor(id), chunk INTEGER NOT NULL, state BLOB NOT "
    "NULL) STRICT;"
    "CREATE TABLE mark("
    "  actor INTEGER NOT NULL REFERENCES actor(id), epoch INTEGER NOT NULL,"
    "  instance BLOB NOT NULL CHECK(length(instance) = " TEXT_OF(
        PMP_STORE_INSTANCE_BYTES) "),"
                                  "  seq INTEGER NOT NULL DEFAULT 0, hash BLOB, chunk INTEGER NOT "
                                  "NULL DEFAULT 0,"
                                  "  ack_version INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL "
                                  "DEFAULT 0,"
                                  "  chunks INTEGER NOT NULL DEFAULT 0, wall_ns INTEGER NOT NULL,"
                                  "  PRIMARY KEY(actor, epoch), UNIQUE(actor, instance)) STRICT, "
                                  "WITHOUT ROWID;"
                                  "CREATE TABLE chunk("
                                  "  id INTEGER PRIMARY KEY, actor INTEGER NOT NULL, epoch INTEGER "
                                  "NOT NULL, seq INTEGER NOT NULL,"
                                  "  rows INTEGER NOT NULL CHECK(rows > 0),"
                                  "  labelled INTEGER NOT NULL CHECK(labelled BETWEEN 0 AND rows),"
                                  "  shape INTEGER NOT NULL, source INTEGER NOT NULL, version_min "
                                  "INTEGER NOT NULL,"
                                  "  bytes INTEGER NOT NULL, stored INTEGER NOT NULL, encoding "
                                  "INTEGER NOT NULL,"
                                  "  hash BLOB NOT NULL, wall_ns INTEGER NOT NULL,"
                                  "  FOREIGN KEY(actor, epoch) REFERENCES mark(actor, epoch)) "
                                  "STRICT;"
                                  "CREATE TABLE chunk_data(id INTEGER PRIMARY KEY REFERENCES "
                                  "chunk(id), data BLOB NOT NULL) STRICT;";

/* What people and operators say. `verdicts` counts a chunk's verdict rows, `covered` its rows under
 * an active one, `span` is the longest item among them (bounds the search for overlaps). `labels`
 * holds runs of what the verdict made of its rows, so that a replay gives what was given then. */
static const char step_verdicts[] =
    "ALTER TABLE chunk ADD COLUMN verdicts INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE chunk ADD COLUMN covered INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE chunk ADD COLUMN span INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE verdict("
    "  id INTEGER PRIMARY KEY, principal TEXT NOT NULL, request_id TEXT NOT NULL,"
    "  chunk INTEGER NOT NULL REFERENCES chunk(id), row INTEGER NOT NULL, rows INTEGER NOT NULL,"
    "  judgement INTEGER NOT NULL CHECK(judgement BETWEEN 1 AND 4), confidence REAL NOT NULL, note "
    "TEXT,"
    "  state INTEGER NOT NULL CHECK(state BETWEEN 1 AND 4), replaces INTEGER, first INTEGER NOT "
    "NULL,"
    "  labels BLOB, wall_ns INTEGER NOT NULL, UNIQUE(principal, request_id)) STRICT;"
    "CREATE INDEX verdict_item ON verdict(chunk, row, rows);"
    "CREATE TABLE setting("
    "  id INTEGER PRIMARY KEY, key TEXT NOT NULL, value TEXT NOT NULL, old_value TEXT, who TEXT,"
    "  wall_ns INTEGER NOT NULL) STRICT;";

/* The run's history and the list of checkpoints. Several points of a metric may share a step: `n`
 * tells them apart. */
static const char step_history[] =
    "CREATE TABLE metric_name(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE metric("
    "  name INTEGER NOT NULL REFERENCES metric_name(id), step INTEGER NOT NULL, n INTEGER NOT NULL,"
    "  env_steps INTEGER NOT NULL, wall_ns INTEGER NOT NULL, value REAL NOT NULL,"
    "  PRIMARY KEY(name, step, n)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE event("
    "  id INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, who TEXT NOT NULL, kind TEXT NOT NULL,"
    "  detail TEXT NOT NULL) STRICT;"
    "CREATE TABLE checkpoint("
    "  n INTEGER PRIMARY KEY, step INTEGER NOT NULL, commit_id INTEGER NOT NULL,"
    "  first_commit INTEGER NOT NULL, path TEXT NOT NULL, hash TEXT NOT NULL) STRICT;";

/* The audit log is a chain of hashes (auth/chain.h) and is only ever added to; events from before
 * have no hash. Verdicts are events too, many of them: the others are found without them. */
static const char step_chain[] =
    "ALTER TABLE event ADD COLUMN hash BLOB CHECK(hash IS NULL OR length(hash) = 32);"
    "INSERT OR REPLACE INTO meta(key, value) SELECT 'chain_from', CAST(coalesce(max(id), 0) + 1 AS "
    "TEXT) FROM event;"
    "CREATE INDEX event_other ON event(id) WHERE kind <> 'verdict';"
    "CREATE TRIGGER event_stays BEFORE UPDATE ON event"
    " BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END;"
    "CREATE TRIGGER event_is_kept BEFORE DELETE ON event"
    " BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;";

/* Items whose truth is known. Their chunks stay, so that they can be shown; `judgement` is that of
 * a verdict. */
static const char step_gold[] =
    "CREATE TABLE gold("
    "  chunk INTEGER NOT NULL REFERENCES chunk(id), row INTEGER NOT NULL, rows INTEGER NOT NULL,"
    "  judgement INTEGER NOT NULL CHECK(judgement BETWEEN 1 AND 2), who TEXT NOT NULL,"
    "  wall_ns INTEGER NOT NULL, PRIMARY KEY(chunk, row, rows)) STRICT;";

static const char *const steps[PMP_SCHEMA_VERSION] = {step_samples, step_verdicts, step_history,
                                                      step_chain, step_gold};

enum pmp_err pmp_schema_identify(sqlite3 *db, const char *path, int64_t *version,
                                 struct pmp_errmsg *msg) {
  int64_t id, objects;
  PMP_TRY(pmp_db_number(db, "PRAGMA application_id", 0, &id, msg));
  PMP_TRY(pmp_db_number(db, "PRAGMA user_version", 0, version, msg));
  PMP_TRY(pmp_db_number(db, "SELECT count(*) FROM sqlite_schema", 0, &objects, msg));
  if (id == 0 && *version == 0 && objects == 0) return PMP_OK;
  if (id != PMP_STORE_APPLICATION_ID)
    return pmp_fail(msg, PMP_ECORRUPT,
                    "%s is a database of another program (application id 0x%llx, a store has 0x%x)",
                    path, (unsigned long long)id, PMP_STORE_APPLICATION_ID);
  if (*version < 0 || *version > PMP_SCHEMA_VERSION)
    return pmp_fail(msg, PMP_EUNAVAILABLE,
                    "%s has schema version %lld; this build knows versions up to %d", path,
                    (long long)*version, PMP_SCHEMA_VERSION);
  return PMP_OK;
}

static enum pmp_err migrate(sqlite3 *db, int64_t version, struct pmp_errmsg *msg) {
  char identity[128];
  for (int64_t v = version; v < PMP_SCHEMA_VERSION; v++) {
    PMP_TRY(pmp_db_exec(db, "BEGIN IMMEDIATE", msg));
    snprintf(identity, sizeof identity, "PRAGMA application_id=%d; PRAGMA user_version=%lld;",
             PMP_STORE_APPLICATION_ID, (long long)v + 1);
    enum pmp_err err = pmp_db_exec(db, steps[v], msg);
    if (err == PMP_OK) err = pmp_db_exec(db, identity, msg);
    if (err == PMP_OK) err = pmp_db_exec(db, "COMMIT", msg);
    if (err != PMP_OK) {
      sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
      return err;
    }
  }
  return PMP_OK;
}

static enum pmp_err use_wal(sqlite3 *db, struct pmp_errmsg *msg) {
  sqlite3_stmt *stmt = NULL;
  char mode[16] = "";
  PMP_TRY(pmp_db_prepare(db, "PRAGMA journal_mode=WAL", &stmt, msg));
  int rc = sqlite3_step(stmt);
  if (rc == SQLITE_ROW) pmp_db_text(stmt, 0, mode, sizeof mode);
  enum pmp_err err = PMP_OK;
  if (rc != SQLITE_ROW)
    err = pmp_db_fail(db, rc, "switch to a write-ahead log", msg);
  else if (strcmp(mode, "wal") != 0)
    err =
        pmp_fail(msg, PMP_EIO, "this file system does not take a write-ahead log (mode %s)", mode);
  sqlite3_finalize(stmt);
  return err;
}

enum pmp_err pmp_schema_prepare(sqlite3 *db, const char *path, const char *synchronous,
                                struct pmp_errmsg *msg) {
  int64_t version;
  char sql[512];
  PMP_TRY(pmp_schema_identify(db, path, &version, msg));
  if (version == 0) {
    /* EXTRA: the folder is synced too when the journal of the file's first page is deleted. Else
     * that could come back after a power cut and undo the page from under the log. */
    snprintf(sql, sizeof sql,
             "PRAGMA page_size=%d; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA synchronous=EXTRA;",
             PMP_SCHEMA_PAGE_BYTES);
    PMP_TRY(pmp_db_exec(db, sql, msg));
  }
  PMP_TRY(use_wal(db, msg));
  /* The log is checkpointed by hand, at a good size and between acknowledgements. Nothing is
   * spilled in the middle of a transaction: a group's pages fit. */
  snprintf(sql, sizeof sql,
           "PRAGMA synchronous=%s; PRAGMA secure_delete=OFF; PRAGMA foreign_keys=ON;"
           "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-16384; PRAGMA cache_spill=OFF;"
           "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;",
           synchronous);
  PMP_TRY(pmp_db_exec(db, sql, msg));
  return migrate(db, version, msg);
}

static enum pmp_err look_up(sqlite3 *fresh, sqlite3_stmt *want, sqlite3_stmt *have,
                            void (*differs)(void *ctx, const char *name), void *ctx,
                            struct pmp_errmsg *msg) {
  int rc;
  while ((rc = sqlite3_step(want)) == SQLITE_ROW) {
    const char *text[4];
    for (int i = 0; i < 4; i++) text[i] = (const char *)sqlite3_column_text(want, i);
    rc = pmp_db_bind(have, "tttt", text[0], text[1], text[2], text[3]);
    if (rc == SQLITE_OK && sqlite3_step(have) != SQLITE_ROW) differs(ctx, text[1]);
    if (rc != SQLITE_OK) break;
  }
  return rc == SQLITE_DONE ? PMP_OK : pmp_db_fail(fresh, rc, "read the schema", msg);
}

enum pmp_err pmp_schema_compare(sqlite3 *db, void (*differs)(void *ctx, const char *name),
                                void *ctx, struct pmp_errmsg *msg) {
  sqlite3 *fresh = NULL;
  sqlite3_stmt *want = NULL, *have = NULL;
  PMP_TRY(pmp_db_open(&fresh, ":memory:", NULL, SQLITE_OPEN_READWRITE, 0, msg));
  enum pmp_err err = migrate(fresh, 0, msg);
  if (err == PMP_OK)
    err = pmp_db_prepare(fresh, "SELECT type, name, tbl_name, sql FROM sqlite_schema", &want, msg);
  if (err == PMP_OK)
    err = pmp_db_prepare(db,
                         "SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2"
                         " AND tbl_name = ?3 AND replace(sql, ' ', '') IS replace(?4, ' ', '')",
                         &have, msg);
  if (err == PMP_OK) err = look_up(fresh, want, have, differs, ctx, msg);
  sqlite3_finalize(want);
  sqlite3_finalize(have);
  sqlite3_close(fresh);
  return err;
}
