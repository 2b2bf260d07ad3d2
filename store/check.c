/* Is the file what it should be? Every fault by name. */
#include "auth/chain.h"
#include "store/chunk_row.h"
#include "store/labels.h"
#include "store/schema.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 10000

struct check {
  sqlite3 *db;
  void (*report)(void *ctx, const char *fault);
  void *ctx;
  uint64_t faults;
};

static void fault(struct check *c, const char *fmt, ...) PMP_PRINTF(2, 3);

static void fault(struct check *c, const char *fmt, ...) {
  char text[512];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  c->faults++;
  if (c->report != NULL) c->report(c->ctx, text);
}

/* Faults that a query finds: each row is a sentence. */
struct question {
  const char *name, *sql;
};

static const struct question questions[] = {
    {"a sequence of an actor",
     "SELECT 'actor ' || a.name || ' epoch ' || c.epoch || ': seq ' || c.seq || ' is there ' ||"
     " count(*) || ' times' FROM chunk c JOIN actor a ON a.id = c.actor"
     " GROUP BY c.actor, c.epoch, c.seq HAVING count(*) > 1"},
    {"a sequence of an actor",
     "SELECT 'actor ' || a.name || ' epoch ' || m.epoch || ': ' || count(c.id) || ' chunks after "
     "the"
     " deleted ones, from seq ' || min(c.seq) || ' to ' || max(c.seq) || ', the mark says ' || "
     "m.seq"
     " FROM mark m JOIN actor a ON a.id = m.actor JOIN chunk c ON c.actor = m.actor AND c.epoch = "
     "m.epoch"
     " AND c.id > coalesce((SELECT value FROM counter WHERE key = 'deleted_to'), 0)"
     " GROUP BY m.actor, m.epoch"
     " HAVING count(DISTINCT c.seq) != max(c.seq) - min(c.seq) + 1 OR max(c.seq) != m.seq"},
    {"a mark",
     "SELECT 'mark of actor ' || a.name || ' epoch ' || m.epoch || ': chunk ' || m.chunk ||"
     " ' is missing' FROM mark m JOIN actor a ON a.id = m.actor LEFT JOIN chunk c ON c.id = m.chunk"
     " WHERE m.seq > 0 AND c.id IS NULL"
     " AND m.chunk > coalesce((SELECT value FROM counter WHERE key = 'deleted_to'), 0)"},
    {"a mark",
     "SELECT 'mark of actor ' || a.name || ' epoch ' || m.epoch || ': it is not that of chunk ' ||"
     " m.chunk FROM mark m JOIN actor a ON a.id = m.actor JOIN chunk c ON c.id = m.chunk"
     " WHERE c.actor != m.actor OR c.epoch != m.epoch OR c.seq != m.seq OR c.hash IS NOT m.hash"},
    {"the count of rows",
     "SELECT 'the marks count ' || said || ' rows, there are ' || kept || ' and ' || gone ||"
     " ' deleted ones' FROM (SELECT (SELECT coalesce(sum(rows), 0) FROM mark) said,"
     " (SELECT coalesce(sum(rows), 0) FROM chunk) kept,"
     " coalesce((SELECT value FROM counter WHERE key = 'rows_deleted'), 0) gone)"
     " WHERE said != kept + gone"},
    {"commit ids",
     "SELECT 'commit id ' || id || ' was given ' || count(*) || ' times' FROM (SELECT id FROM chunk"
     " UNION ALL SELECT id FROM verdict UNION ALL SELECT id FROM setting) GROUP BY id"
     " HAVING count(*) > 1"},
    {"a verdict",
     "SELECT 'verdict ' || v.id || ': item ' || v.chunk || ':' || v.row || '+' || v.rows ||"
     " ' is outside its chunk' FROM verdict v JOIN chunk c ON c.id = v.chunk"
     " WHERE v.rows < 1 OR v.row < 0 OR v.row + v.rows > c.rows"},
    {"a verdict",
     "SELECT 'verdicts of ' || principal || ' on ' || chunk || ':' || row || '+' || rows || ': ' ||"
     " count(*) || ' are active' FROM verdict WHERE state = 1 GROUP BY principal, chunk, row, rows"
     " HAVING count(*) > 1"},
    {"the count of verdicts",
     "SELECT 'chunk ' || c.id || ': counts ' || c.verdicts || ' verdicts, has ' || count(v.id)"
     " FROM chunk c LEFT JOIN verdict v ON v.chunk = c.id GROUP BY c.id"
     " HAVING c.verdicts != count(v.id)"},
    {"bytes", "SELECT 'chunk ' || d.id || ': bytes without an index row' FROM chunk_data d"
              " LEFT JOIN chunk c ON c.id = d.id WHERE c.id IS NULL"},
};

/* Steps a query of sentences; its own failure is a fault too. */
static void ask(struct check *c, const char *name, const char *sql) {
  sqlite3_stmt *row = NULL;
  int rc = sqlite3_prepare_v2(c->db, sql, -1, &row, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    fault(c, "%s", (const char *)sqlite3_column_text(row, 0));
    rc = SQLITE_OK;
  }
  if (rc != SQLITE_DONE) fault(c, "%s cannot be checked: %s", name, sqlite3_errmsg(c->db));
  sqlite3_finalize(row);
}

static void check_integrity(struct check *c) {
  sqlite3_stmt *row = NULL;
  int rc = sqlite3_prepare_v2(c->db, "PRAGMA integrity_check", -1, &row, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    const char *text = (const char *)sqlite3_column_text(row, 0);
    if (text != NULL && sqlite3_stricmp(text, "ok") != 0) fault(c, "integrity: %s", text);
    rc = SQLITE_OK;
  }
  if (rc != SQLITE_DONE) fault(c, "integrity cannot be checked: %s", sqlite3_errmsg(c->db));
  sqlite3_finalize(row);
}

static void on_difference(void *ctx, const char *name) {
  fault(ctx, "%s is not the table or index that a store has", name);
}

/* The text of the tables is stored, too, and no other question would miss a column by name. */
static void check_schema(struct check *c) {
  struct pmp_errmsg msg = {{0}};
  if (pmp_schema_compare(c->db, on_difference, c, &msg) != PMP_OK)
    fault(c, "the schema cannot be checked: %s", msg.text);
}

static void check_references(struct check *c) {
  sqlite3_stmt *row = NULL;
  int rc = sqlite3_prepare_v2(c->db, "PRAGMA foreign_key_check", -1, &row, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    fault(c, "%s %lld: what it names in %s is missing", (const char *)sqlite3_column_text(row, 0),
          (long long)sqlite3_column_int64(row, 1), (const char *)sqlite3_column_text(row, 2));
    rc = SQLITE_OK;
  }
  if (rc != SQLITE_DONE) fault(c, "references cannot be checked: %s", sqlite3_errmsg(c->db));
  sqlite3_finalize(row);
}

static void check_chunks(struct check *c) {
  sqlite3_stmt *row = NULL;
  struct pmp_codec codec;
  struct pmp_errmsg msg;
  void *data = NULL;
  size_t room = 0, bytes;
  pmp_codec_init(&codec, 0, 0);
  int rc = sqlite3_prepare_v2(c->db,
                              "SELECT c.id, " PMP_CHUNK_ROW_COLUMNS
                              " FROM chunk c LEFT JOIN chunk_data d ON d.id = c.id ORDER BY c.id",
                              -1, &row, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    if (pmp_chunk_row_unpack(&codec, row, 1, pmp_db_u64(row, 0), &data, &room, &bytes, &msg) !=
        PMP_OK)
      fault(c, "%s", msg.text);
    rc = SQLITE_OK;
  }
  if (rc != SQLITE_DONE) fault(c, "chunks cannot be checked to the end: %s", sqlite3_errmsg(c->db));
  sqlite3_finalize(row);
  pmp_codec_fini(&codec);
  free(data);
}

/* A number that the first column of the first row holds; fallback: there is none. */
static uint64_t number_of(struct check *c, const char *sql, uint64_t fallback) {
  sqlite3_stmt *row = NULL;
  uint64_t value = fallback;
  if (sqlite3_prepare_v2(c->db, sql, -1, &row, NULL) == SQLITE_OK &&
      sqlite3_step(row) == SQLITE_ROW && sqlite3_column_type(row, 0) != SQLITE_NULL)
    value = pmp_db_u64(row, 0);
  sqlite3_finalize(row);
  return value;
}

/* Texts end where their bytes do: the chain and everybody who reads them see nothing behind a NUL.
 */
static bool whole_texts(sqlite3_stmt *row, int from, int to) {
  for (int i = from; i <= to; i++) {
    const char *text = (const char *)sqlite3_column_text(row, i);
    if (!text || strlen(text) != (size_t)sqlite3_column_bytes(row, i)) return false;
  }
  return true;
}

/* Every verdict is in the audit log as it was given, and every one of the log is kept. */
static void check_verdict_events(struct check *c, uint64_t chain_from) {
  static const char gather[] =
      "CREATE TEMP TABLE said AS SELECT who, json_extract(detail, '$.commit') AS id,"
      " json_extract(detail, '$.item') AS item, json_extract(detail, '$.judgement') AS judgement,"
      " json_extract(detail, '$.request') AS request,"
      " json_extract(detail, '$.confidence') AS confidence FROM event WHERE kind = 'verdict';"
      "CREATE INDEX temp.said_id ON said(id);";
  static const char compare[] =
      "SELECT v.id, s.id IS NULL FROM verdict v LEFT JOIN said s ON s.id = v.id WHERE v.id >= ?1"
      " AND (s.id IS NULL OR s.who <> v.principal OR s.request <> v.request_id"
      " OR s.item <> printf('%d:%d+%d', v.chunk, v.row, v.rows)"
      " OR s.judgement <> CASE v.judgement WHEN 1 THEN 'accept' WHEN 2 THEN 'reject' WHEN 3 THEN"
      " 'skip' ELSE 'withdraw' END OR abs(s.confidence - v.confidence) > 1e-6) ORDER BY v.id";
  sqlite3_stmt *row = NULL;
  if (sqlite3_exec(c->db, gather, NULL, NULL, NULL) != SQLITE_OK) {
    fault(c, "verdicts cannot be held against the events: %s", sqlite3_errmsg(c->db));
    return;
  }
  const uint64_t from =
      chain_from == 1 ? 0 : number_of(c, "SELECT min(id) FROM said", (uint64_t)INT64_MAX);
  int rc = sqlite3_prepare_v2(c->db, compare, -1, &row, NULL);
  if (rc == SQLITE_OK) rc = pmp_db_bind(row, "U", from);
  while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    fault(c, "verdict %" PRIu64 ": %s", pmp_db_u64(row, 0),
          sqlite3_column_int(row, 1) ? "no event tells of it" : "it is not what its event tells");
    rc = SQLITE_OK;
  }
  if (rc != SQLITE_DONE) fault(c, "verdicts cannot be compared: %s", sqlite3_errmsg(c->db));
  sqlite3_finalize(row);
  const uint64_t gone = number_of(
      c, "SELECT count(*) FROM said s LEFT JOIN verdict v ON v.id = s.id WHERE v.id IS NULL", 0);
  if (gone > 0) fault(c, "%" PRIu64 " verdicts that events tell of are not there", gone);
}

static void check_chain(struct check *c) {
  sqlite3_stmt *row = NULL;
  uint8_t hash[PMP_CHAIN_BYTES] = {0};
  bool begun = false;
  uint64_t last = 0;
  const uint64_t chain_from =
      number_of(c, "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'chain_from'", UINT64_MAX);
  int rc = sqlite3_prepare_v2(
      c->db, "SELECT id, wall_ns, who, kind, detail, hash FROM event ORDER BY id", -1, &row, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    const uint64_t id = pmp_db_u64(row, 0);
    const bool has = sqlite3_column_bytes(row, 5) == PMP_CHAIN_BYTES;
    if (id != last + 1) fault(c, "event %" PRIu64 ": events before it are missing", id);
    last = id;
    begun = begun || has || id >= chain_from;
    rc = SQLITE_OK;
    if (!whole_texts(row, 2, 4)) fault(c, "event %" PRIu64 ": a text with a NUL in it", id);
    if (!begun) continue; /* from before there was a chain */
    pmp_chain_next(
        hash, id, sqlite3_column_int64(row, 1), (const char *)sqlite3_column_text(row, 2),
        (const char *)sqlite3_column_text(row, 3), (const char *)sqlite3_column_text(row, 4));
    if (!has) {
      fault(c, "event %" PRIu64 ": it has no hash", id);
    } else if (memcmp(hash, sqlite3_column_blob(row, 5), sizeof hash) != 0) {
      fault(c, "event %" PRIu64 ": it, or its place, is not what was written", id);
      memcpy(hash, sqlite3_column_blob(row, 5), sizeof hash); /* how far does the rest fit? */
    }
  }
  if (rc != SQLITE_DONE) fault(c, "events cannot be checked to the end: %s", sqlite3_errmsg(c->db));
  sqlite3_finalize(row);
  check_verdict_events(c, chain_from);
}

static void check_labels(struct check *c) {
  sqlite3_stmt *row = NULL;
  struct pmp_errmsg msg;
  int rc = sqlite3_prepare_v2(c->db,
                              "SELECT v.id, v.labels, c.rows FROM verdict v"
                              " JOIN chunk c ON c.id = v.chunk WHERE v.labels IS NOT NULL",
                              -1, &row, NULL);
  while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    struct pmp_store_label *label = NULL;
    uint32_t count;
    const void *packed = sqlite3_column_blob(row, 1);
    if (pmp_labels_unpack(packed, (size_t)sqlite3_column_bytes(row, 1), pmp_db_u32(row, 2), &label,
                          &count, &msg) != PMP_OK)
      fault(c, "verdict %" PRIu64 ": %s", pmp_db_u64(row, 0), msg.text);
    free(label);
    rc = SQLITE_OK;
  }
  if (rc != SQLITE_DONE) fault(c, "labels cannot be checked: %s", sqlite3_errmsg(c->db));
  sqlite3_finalize(row);
}

enum pmp_err pmp_store_check(const char *path, const char *vfs,
                             void (*report)(void *ctx, const char *fault), void *ctx,
                             uint64_t *faults, struct pmp_errmsg *msg) {
  struct check c = {.report = report, .ctx = ctx};
  struct pmp_errmsg why;
  int64_t version = 0;
  *faults = 0;
  PMP_TRY(pmp_db_open(&c.db, path, vfs, SQLITE_OPEN_READONLY, BUSY_MS, msg));
  enum pmp_err err = pmp_schema_identify(c.db, path, &version, &why);
  if (err == PMP_ECORRUPT) {
    fault(&c, "%s", why.text);
    err = PMP_OK;
    goto out;
  }
  if (err == PMP_OK && version != PMP_SCHEMA_VERSION)
    err = pmp_fail(&why, PMP_EUNAVAILABLE,
                   "%s has schema version %" PRId64
                   ", version %d is checked: open it as a store first",
                   path, version, PMP_SCHEMA_VERSION);
  /* One snapshot for all questions, so that a running store does not look wrong. */
  if (err == PMP_OK) err = pmp_db_exec(c.db, "BEGIN", &why);
  if (err != PMP_OK) {
    if (msg != NULL) *msg = why;
    goto out;
  }
  check_integrity(&c);
  check_schema(&c);
  check_references(&c);
  for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
    ask(&c, questions[i].name, questions[i].sql);
  check_chunks(&c);
  check_labels(&c);
  check_chain(&c);
out:
  sqlite3_close(c.db);
  *faults = c.faults;
  return err;
}
