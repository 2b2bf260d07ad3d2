/* What people said and what waits for them, out of the store. */
#include "store/reader_internal.h"

#include <stdlib.h>
#include <string.h>

typedef enum pmp_err (*verdict_fn)(void *ctx, const struct pmp_reader_verdict *v);

static const char *text_of(sqlite3_stmt *row, int column) {
  const char *text = (const char *)sqlite3_column_text(row, column);
  return text != NULL ? text : "";
}

/* Steps a bound query of verdicts. */
static enum pmp_err give(struct pmp_reader *r, sqlite3_stmt *row, int rc, verdict_fn fn, void *ctx,
                         struct pmp_errmsg *msg) {
  enum pmp_err err = PMP_OK;
  while (err == PMP_OK && rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    const struct pmp_reader_verdict v = {.id = pmp_db_u64(row, 0),
                                         .who = text_of(row, 1),
                                         .request_id = text_of(row, 2),
                                         .chunk = pmp_db_u64(row, 3),
                                         .row = pmp_db_u32(row, 4),
                                         .rows = pmp_db_u32(row, 5),
                                         .judgement = sqlite3_column_int(row, 6),
                                         .confidence = (float)sqlite3_column_double(row, 7),
                                         .note = text_of(row, 8),
                                         .state = sqlite3_column_int(row, 9),
                                         .wall_ns = sqlite3_column_int64(row, 10)};
    err = fn(ctx, &v);
    rc = SQLITE_OK;
  }
  pmp_db_done(row);
  if (err == PMP_OK && rc != SQLITE_DONE) err = pmp_reader_fail(r, rc, "read the verdicts", msg);
  return err;
}

enum pmp_err pmp_reader_verdicts(struct pmp_reader *r, uint64_t after, uint32_t max,
                                 const char *who, verdict_fn fn, void *ctx,
                                 struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[who != NULL ? SQL_VERDICTS_OF : SQL_VERDICTS];
  const int rc =
      who != NULL ? pmp_db_bind(row, "Uut", after, max, who) : pmp_db_bind(row, "Uu", after, max);
  return give(r, row, rc, fn, ctx, msg);
}

enum pmp_err pmp_reader_chunk_verdicts(struct pmp_reader *r, uint64_t chunk, verdict_fn fn,
                                       void *ctx, struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_VERDICTS_LIVE];
  return give(r, row, pmp_db_bind(row, "U", chunk), fn, ctx, msg);
}

enum pmp_err pmp_reader_given(struct pmp_reader *r,
                              enum pmp_err (*fn)(void *ctx, const char *who, uint64_t verdicts),
                              void *ctx, struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_GIVEN];
  enum pmp_err err = PMP_OK;
  int rc = pmp_db_bind(row, "");
  while (err == PMP_OK && rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    err = fn(ctx, text_of(row, 0), pmp_db_u64(row, 1));
    rc = SQLITE_OK;
  }
  pmp_db_done(row);
  if (err == PMP_OK && rc != SQLITE_DONE) err = pmp_reader_fail(r, rc, "count the verdicts", msg);
  return err;
}

enum pmp_err pmp_reader_gold(struct pmp_reader *r, uint64_t after, uint32_t max,
                             enum pmp_err (*fn)(void *ctx, const struct pmp_reader_gold *g),
                             void *ctx, struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_GOLD];
  enum pmp_err err = PMP_OK;
  int rc = pmp_db_bind(row, "Uu", after, max);
  while (err == PMP_OK && rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    const struct pmp_reader_gold g = {.id = pmp_db_u64(row, 0),
                                      .chunk = pmp_db_u64(row, 1),
                                      .row = pmp_db_u32(row, 2),
                                      .rows = pmp_db_u32(row, 3),
                                      .judgement = sqlite3_column_int(row, 4),
                                      .who = text_of(row, 5),
                                      .wall_ns = sqlite3_column_int64(row, 6)};
    err = fn(ctx, &g);
    rc = SQLITE_OK;
  }
  pmp_db_done(row);
  if (err == PMP_OK && rc != SQLITE_DONE) err = pmp_reader_fail(r, rc, "read the gold", msg);
  return err;
}

enum pmp_err pmp_reader_chunk(struct pmp_reader *r, uint64_t chunk, struct pmp_entry *e,
                              struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_CHUNK];
  memset(e, 0, sizeof *e);
  int rc = pmp_db_bind(row, "U", chunk);
  if (rc == SQLITE_OK) rc = sqlite3_step(row);
  enum pmp_err err = PMP_OK;
  if (rc == SQLITE_ROW) {
    e->kind = PMP_ENTRY_CHUNK;
    e->chunk = e->commit = chunk;
    pmp_db_text(row, 0, r->actor, sizeof r->actor);
    e->actor = r->actor;
    e->epoch = pmp_db_u32(row, 1);
    e->seq = pmp_db_u64(row, 2);
    e->rows = pmp_db_u32(row, 3);
    err = pmp_chunk_row_unpack(&r->codec, row, 4, chunk, &r->data, &r->room, &e->bytes, msg);
    e->data = r->data;
  } else if (rc == SQLITE_DONE) {
    err = pmp_fail(msg, PMP_ENOTFOUND, "the store has no chunk %llu", (unsigned long long)chunk);
  } else {
    err = pmp_reader_fail(r, rc, "read a chunk", msg);
  }
  pmp_db_done(row);
  return err;
}

enum pmp_err pmp_reader_open_chunks(struct pmp_reader *r,
                                    enum pmp_err (*fn)(void *ctx, const struct pmp_entry *e,
                                                       struct pmp_errmsg *msg),
                                    void *ctx, struct pmp_errmsg *msg) {
  sqlite3_stmt *list = r->stmt[SQL_CHUNKS_OPEN];
  uint64_t chunk[BATCH], after = 0;
  uint32_t count = BATCH;
  while (count == BATCH) {
    int rc = pmp_db_bind(list, "Uu", after, (uint32_t)BATCH);
    for (count = 0; rc == SQLITE_OK && (rc = sqlite3_step(list)) == SQLITE_ROW; count++) {
      chunk[count] = after = pmp_db_u64(list, 0);
      rc = SQLITE_OK;
    }
    pmp_db_done(list);
    if (rc != SQLITE_DONE) return pmp_reader_fail(r, rc, "list the open chunks", msg);
    for (uint32_t i = 0; i < count; i++) {
      struct pmp_entry e;
      const enum pmp_err err = pmp_reader_chunk(r, chunk[i], &e, msg);
      if (err == PMP_ENOTFOUND) continue; /* retention took it since */
      if (err != PMP_OK) return err;
      PMP_TRY(fn(ctx, &e, msg));
    }
  }
  return PMP_OK;
}
