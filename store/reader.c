/* The reading side: a connection of its own that never writes and never holds a transaction while a
 * callback runs, so that the log can begin anew between any two rows. */
#include "store/labels.h"
#include "store/reader_internal.h"
#include "store/schema.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 10000
#define VERDICT                                                                                    \
  "id, principal, request_id, chunk, row, rows, judgement, confidence, note, state, wall_ns"       \
  " FROM verdict"
#define POINT "SELECT m.step, m.env_steps, m.wall_ns, m.value FROM metric m"
#define OF_NAME " WHERE m.name = (SELECT id FROM metric_name WHERE name = ?1)"

#define EVENT "SELECT id, wall_ns, who, kind, detail, hash FROM event"
#define OTHERS " INDEXED BY event_other WHERE kind <> 'verdict'"

static const char *const sql_text[SQL_COUNT] = {
    [SQL_ENTRIES] = "SELECT id, 1 FROM chunk WHERE id BETWEEN ?1 AND ?2"
                    " UNION ALL SELECT id, 2 FROM verdict WHERE id BETWEEN ?1 AND ?2"
                    " UNION ALL SELECT id, 3 FROM setting WHERE id BETWEEN ?1 AND ?2"
                    " ORDER BY 1 LIMIT ?3",
    [SQL_CHUNK] = "SELECT a.name, c.epoch, c.seq, c.rows, " PMP_CHUNK_ROW_COLUMNS
                  " FROM chunk c JOIN actor a ON a.id = c.actor"
                  " LEFT JOIN chunk_data d ON d.id = c.id WHERE c.id = ?1",
    [SQL_VERDICT] = "SELECT v.chunk, v.labels, v.first, c.rows, " PMP_CHUNK_ROW_COLUMNS
                    ", a.name, c.epoch, c.seq"
                    " FROM verdict v JOIN chunk c ON c.id = v.chunk JOIN actor a ON a.id = c.actor"
                    " LEFT JOIN chunk_data d ON d.id = c.id WHERE v.id = ?1",
    [SQL_SETTING] = "SELECT key, value FROM setting WHERE id = ?1",
    [SQL_NEWEST] = "SELECT id, rows FROM chunk ORDER BY id DESC",
    [SQL_POINTS] = POINT OF_NAME " AND m.step BETWEEN ?2 AND ?3 ORDER BY m.step, m.n",
    [SQL_POINT_FROM] = POINT OF_NAME " AND m.step BETWEEN ?2 AND ?3 ORDER BY m.step, m.n LIMIT 1",
    [SQL_POINT_LAST] =
        POINT OF_NAME " AND m.step BETWEEN ?2 AND ?3 ORDER BY m.step DESC, m.n DESC LIMIT 1",
    [SQL_POINT_COUNT] = "SELECT count(*) FROM (SELECT 1 FROM metric m" OF_NAME
                        " AND m.step BETWEEN ?2 AND ?3 LIMIT ?4)",
    [SQL_METRICS] = "SELECT name FROM metric_name ORDER BY name",
    [SQL_EVENTS] = EVENT " WHERE id > ?1 ORDER BY id LIMIT ?2",
    [SQL_EVENTS_BEFORE] = "SELECT coalesce(min(id), 1) - 1 FROM"
                          " (SELECT id FROM event ORDER BY id DESC LIMIT ?1)",
    [SQL_OTHERS] = EVENT OTHERS " AND id > ?1 ORDER BY id LIMIT ?2",
    [SQL_OTHERS_BEFORE] = "SELECT coalesce(min(id), 1) - 1 FROM"
                          " (SELECT id FROM event" OTHERS " ORDER BY id DESC LIMIT ?1)",
    [SQL_ACTORS] = "SELECT a.name, max(m.epoch), sum(m.rows),"
                   " (SELECT l.seq FROM mark l WHERE l.actor = a.id ORDER BY l.epoch DESC LIMIT 1)"
                   " FROM actor a JOIN mark m ON m.actor = a.id GROUP BY a.id ORDER BY a.name",
    [SQL_CHUNKS_OPEN] =
        "SELECT id FROM chunk WHERE id > ?1 AND labelled < rows ORDER BY id LIMIT ?2",
    [SQL_VERDICTS_LIVE] = "SELECT " VERDICT " WHERE chunk = ?1 AND state <= 2 ORDER BY id",
    [SQL_VERDICTS] = "SELECT " VERDICT " WHERE id > ?1 ORDER BY id LIMIT ?2",
    [SQL_VERDICTS_OF] = "SELECT " VERDICT " WHERE id > ?1 AND principal = ?3 ORDER BY id LIMIT ?2",
    [SQL_GIVEN] = "SELECT principal, count(*) FROM verdict WHERE judgement <= 3 GROUP BY principal"
                  " ORDER BY principal",
    [SQL_GOLD] = "SELECT rowid, chunk, row, rows, judgement, who, wall_ns FROM gold"
                 " WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
    [SQL_META] = "SELECT value FROM meta WHERE key = ?1",
};

enum pmp_err pmp_reader_fail(struct pmp_reader *r, int rc, const char *what,
                             struct pmp_errmsg *msg) {
  return pmp_db_fail(r->db, rc, what, msg);
}

enum pmp_err pmp_reader_open(struct pmp_reader **out, const char *path, const char *vfs,
                             struct pmp_errmsg *msg) {
  *out = NULL;
  struct pmp_reader *r = calloc(1, sizeof *r);
  if (r == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for a reader");
  pmp_codec_init(&r->codec, 0, 0);
  int64_t version = 0;
  enum pmp_err err = pmp_db_open(&r->db, path, vfs, SQLITE_OPEN_READONLY, BUSY_MS, msg);
  if (err == PMP_OK) err = pmp_schema_identify(r->db, path, &version, msg);
  if (err == PMP_OK && version != PMP_SCHEMA_VERSION)
    err =
        pmp_fail(msg, PMP_EUNAVAILABLE,
                 "%s has schema version %" PRId64 ", version %d is read: open it as a store first",
                 path, version, PMP_SCHEMA_VERSION);
  if (err == PMP_OK) err = pmp_db_exec(r->db, "PRAGMA cache_size=-4096", msg);
  for (int i = 0; i < SQL_COUNT && err == PMP_OK; i++)
    err = pmp_db_prepare(r->db, sql_text[i], &r->stmt[i], msg);
  if (err != PMP_OK) {
    pmp_reader_close(r);
    return err;
  }
  *out = r;
  return PMP_OK;
}

void pmp_reader_close(struct pmp_reader *r) {
  if (r == NULL) return;
  for (int i = 0; i < SQL_COUNT; i++) sqlite3_finalize(r->stmt[i]);
  sqlite3_close(r->db);
  pmp_codec_fini(&r->codec);
  free(r->data);
  free(r);
}

/* ---- entries ------------------------------------------------------------------------- */

typedef enum pmp_err (*entry_fn)(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg);

struct names { /* copies that outlive the statement */
  char actor[PMP_STORE_NAME_MAX], key[PMP_STORE_NAME_MAX];
  char *value; /* owned */
};

static enum pmp_err load_chunk(struct pmp_reader *r, struct pmp_entry *e, struct names *n,
                               struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_CHUNK];
  e->chunk = e->commit;
  pmp_db_text(row, 0, n->actor, sizeof n->actor);
  e->actor = n->actor;
  e->epoch = pmp_db_u32(row, 1);
  e->seq = pmp_db_u64(row, 2);
  e->rows = pmp_db_u32(row, 3);
  PMP_TRY(pmp_chunk_row_unpack(&r->codec, row, 4, e->chunk, &r->data, &r->room, &e->bytes, msg));
  e->data = r->data;
  return PMP_OK;
}

static enum pmp_err load_verdict(struct pmp_reader *r, struct pmp_entry *e, struct names *n,
                                 struct pmp_store_label **label, struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_VERDICT];
  struct pmp_errmsg why;
  e->chunk = pmp_db_u64(row, 0);
  e->first = sqlite3_column_int(row, 2) != 0;
  e->rows = pmp_db_u32(row, 3);
  pmp_db_text(row, 8, n->actor, sizeof n->actor);
  e->actor = n->actor;
  e->epoch = pmp_db_u32(row, 9);
  e->seq = pmp_db_u64(row, 10);
  const void *packed = sqlite3_column_blob(row, 1);
  enum pmp_err err = pmp_labels_unpack(packed, (size_t)sqlite3_column_bytes(row, 1), e->rows, label,
                                       &e->labels, &why);
  if (err != PMP_OK) return pmp_fail(msg, err, "verdict %" PRIu64 ": %s", e->commit, why.text);
  e->label = *label;
  PMP_TRY(pmp_chunk_row_unpack(&r->codec, row, 4, e->chunk, &r->data, &r->room, &e->bytes, msg));
  e->data = r->data;
  return PMP_OK;
}

static enum pmp_err load_setting(struct pmp_reader *r, struct pmp_entry *e, struct names *n,
                                 struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_SETTING];
  pmp_db_text(row, 0, n->key, sizeof n->key);
  const unsigned char *value = sqlite3_column_text(row, 1);
  n->value = strdup(value != NULL ? (const char *)value : "");
  if (n->value == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for a setting");
  e->key = n->key;
  e->value = n->value;
  return PMP_OK;
}

static enum pmp_err give_entry(struct pmp_reader *r, uint64_t commit, enum pmp_entry_kind kind,
                               entry_fn fn, void *ctx, struct pmp_errmsg *msg) {
  static const enum reader_sql of_kind[] = {[PMP_ENTRY_CHUNK] = SQL_CHUNK,
                                            [PMP_ENTRY_VERDICT] = SQL_VERDICT,
                                            [PMP_ENTRY_SETTING] = SQL_SETTING};
  sqlite3_stmt *row = r->stmt[of_kind[kind]];
  struct pmp_entry e = {.kind = kind, .commit = commit};
  struct names n = {.value = NULL};
  struct pmp_store_label *label = NULL;
  enum pmp_err err = PMP_OK;
  int rc = pmp_db_bind(row, "U", commit);
  if (rc == SQLITE_OK) rc = sqlite3_step(row);
  if (rc == SQLITE_ROW) {
    err = kind == PMP_ENTRY_CHUNK     ? load_chunk(r, &e, &n, msg)
          : kind == PMP_ENTRY_VERDICT ? load_verdict(r, &e, &n, &label, msg)
                                      : load_setting(r, &e, &n, msg);
  } else if (rc != SQLITE_DONE) {
    err = pmp_reader_fail(r, rc, "read an entry", msg);
  }
  pmp_db_done(row);
  /* No row: retention deleted the chunk since its number was read. */
  if (err == PMP_OK && rc == SQLITE_ROW) err = fn(ctx, &e, msg);
  free(label);
  free(n.value);
  return err;
}

enum pmp_err pmp_reader_entries(struct pmp_reader *r, uint64_t from, uint64_t to, entry_fn fn,
                                void *ctx, struct pmp_errmsg *msg) {
  sqlite3_stmt *list = r->stmt[SQL_ENTRIES];
  uint64_t commit[BATCH];
  int kind[BATCH];
  uint32_t count = BATCH;
  while (count == BATCH && from <= to) {
    int rc = pmp_db_bind(list, "UUu", from, to, (uint32_t)BATCH);
    for (count = 0; rc == SQLITE_OK && (rc = sqlite3_step(list)) == SQLITE_ROW; count++) {
      commit[count] = pmp_db_u64(list, 0);
      kind[count] = sqlite3_column_int(list, 1);
      rc = SQLITE_OK;
    }
    pmp_db_done(list);
    if (rc != SQLITE_DONE) return pmp_reader_fail(r, rc, "list the entries", msg);
    for (uint32_t i = 0; i < count; i++)
      PMP_TRY(give_entry(r, commit[i], (enum pmp_entry_kind)kind[i], fn, ctx, msg));
    if (count > 0) from = commit[count - 1] + 1;
  }
  return PMP_OK;
}

enum pmp_err pmp_reader_window(struct pmp_reader *r, uint64_t rows, uint64_t *commit,
                               struct pmp_errmsg *msg) {
  sqlite3_stmt *newest = r->stmt[SQL_NEWEST];
  uint64_t sum = 0;
  *commit = 0;
  int rc = pmp_db_bind(newest, "");
  while (rc == SQLITE_OK && (rc = sqlite3_step(newest)) == SQLITE_ROW) {
    *commit = pmp_db_u64(newest, 0);
    sum += pmp_db_u64(newest, 1);
    rc = sum < rows ? SQLITE_OK : SQLITE_DONE;
  }
  pmp_db_done(newest);
  return rc == SQLITE_DONE ? PMP_OK : pmp_reader_fail(r, rc, "find the newest rows", msg);
}

/* ---- history ------------------------------------------------------------------------- */

static void read_point(sqlite3_stmt *row, struct pmp_reader_point *p) {
  p->step = pmp_db_u64(row, 0);
  p->env_steps = pmp_db_u64(row, 1);
  p->wall_ns = sqlite3_column_int64(row, 2);
  p->value = sqlite3_column_double(row, 3);
}

/* The one row of a query over (name, from, to); *found false without. */
static enum pmp_err one_point(struct pmp_reader *r, enum reader_sql sql, const char *name,
                              uint64_t from, uint64_t to, struct pmp_reader_point *p, bool *found,
                              struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[sql];
  int rc = pmp_db_bind(row, "tUU", name, from, to);
  if (rc == SQLITE_OK) rc = sqlite3_step(row);
  *found = rc == SQLITE_ROW;
  if (*found) read_point(row, p);
  pmp_db_done(row);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? PMP_OK
                                               : pmp_reader_fail(r, rc, "read the history", msg);
}

static enum pmp_err all_points(struct pmp_reader *r, const char *name, uint64_t from, uint64_t to,
                               uint32_t max, struct pmp_reader_point *points, uint32_t *count,
                               struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_POINTS];
  int rc = pmp_db_bind(row, "tUU", name, from, to);
  while (rc == SQLITE_OK && *count < max && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    read_point(row, &points[(*count)++]);
    rc = SQLITE_OK;
  }
  pmp_db_done(row);
  return rc == SQLITE_OK || rc == SQLITE_DONE ? PMP_OK
                                              : pmp_reader_fail(r, rc, "read the history", msg);
}

/* The first point at or after each of max - 1 evenly spaced steps, and the last: seeks, not a walk
 * over millions. */
static enum pmp_err thinned_points(struct pmp_reader *r, const char *name, uint64_t from,
                                   uint64_t to, uint32_t max, struct pmp_reader_point *points,
                                   uint32_t *count, struct pmp_errmsg *msg) {
  struct pmp_reader_point first = {0}, last = {0};
  bool found;
  PMP_TRY(one_point(r, SQL_POINT_FROM, name, from, to, &first, &found, msg));
  if (!found) return PMP_OK;
  PMP_TRY(one_point(r, SQL_POINT_LAST, name, from, to, &last, &found, msg));
  double stride = max > 1 ? (double)(last.step - first.step) / (max - 1) : 0.0;
  uint64_t next = first.step;
  for (uint32_t i = 0; i + 1 < max; i++) {
    uint64_t wanted = first.step + (uint64_t)(stride * i);
    if (wanted < next) continue;
    if (wanted >= last.step && i > 0) break;
    PMP_TRY(one_point(r, SQL_POINT_FROM, name, wanted, to, &points[*count], &found, msg));
    if (!found || points[*count].step >= last.step) break;
    next = points[(*count)++].step + 1;
  }
  points[(*count)++] = last;
  return PMP_OK;
}

enum pmp_err pmp_reader_history(struct pmp_reader *r, const char *name, uint64_t from, uint64_t to,
                                uint32_t max, struct pmp_reader_point **points, uint32_t *count,
                                struct pmp_errmsg *msg) {
  *points = NULL;
  *count = 0;
  if (max == 0) return pmp_fail(msg, PMP_EINVALID, "at least one point must be asked for");
  if (to == 0) to = UINT64_MAX;
  sqlite3_stmt *row = r->stmt[SQL_POINT_COUNT];
  uint64_t there = 0;
  int rc = pmp_db_bind(row, "tUUU", name, from, to, (uint64_t)max + 1);
  if (rc == SQLITE_OK) rc = sqlite3_step(row);
  if (rc == SQLITE_ROW) there = pmp_db_u64(row, 0);
  pmp_db_done(row);
  if (rc != SQLITE_ROW) return pmp_reader_fail(r, rc, "count the history", msg);
  uint32_t room = there < max ? (uint32_t)there : max;
  *points = calloc((size_t)room + 1, sizeof **points);
  if (*points == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for %u points", room);
  enum pmp_err err = there <= max ? all_points(r, name, from, to, room, *points, count, msg)
                                  : thinned_points(r, name, from, to, max, *points, count, msg);
  if (err != PMP_OK) {
    free(*points);
    *points = NULL;
    *count = 0;
  }
  return err;
}

/* Room for one more of `size` bytes. */
static enum pmp_err grow(void **array, uint32_t count, uint32_t *room, size_t size,
                         struct pmp_errmsg *msg) {
  if (count < *room) return PMP_OK;
  uint32_t wanted = *room == 0 ? 16 : 2 * *room;
  void *grown = realloc(*array, wanted * size);
  if (grown == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for %u entries", wanted);
  *array = grown;
  *room = wanted;
  return PMP_OK;
}

enum pmp_err pmp_reader_metrics(struct pmp_reader *r, char (**names)[PMP_STORE_NAME_MAX],
                                uint32_t *count, struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_METRICS];
  void *list = NULL;
  uint32_t room = 0, n = 0;
  *names = NULL;
  *count = 0;
  enum pmp_err err = grow(&list, n, &room, sizeof **names, msg);
  int rc = pmp_db_bind(row, "");
  while (err == PMP_OK && rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    err = grow(&list, n, &room, sizeof **names, msg);
    if (err == PMP_OK)
      pmp_db_text(row, 0, ((char(*)[PMP_STORE_NAME_MAX])list)[n++], sizeof **names);
    rc = SQLITE_OK;
  }
  pmp_db_done(row);
  if (err == PMP_OK && rc != SQLITE_DONE) err = pmp_reader_fail(r, rc, "list the metrics", msg);
  if (err != PMP_OK) {
    free(list);
    return err;
  }
  *names = list;
  *count = n;
  return PMP_OK;
}

/* ---- the rest ------------------------------------------------------------------------ */

static enum pmp_err newest_events(struct pmp_reader *r, enum reader_sql sql, uint32_t max,
                                  uint64_t *after, struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[sql];
  int rc = pmp_db_bind(row, "u", max);
  if (rc == SQLITE_OK) rc = sqlite3_step(row);
  *after = rc == SQLITE_ROW ? pmp_db_u64(row, 0) : 0;
  pmp_db_done(row);
  return rc == SQLITE_ROW ? PMP_OK : pmp_reader_fail(r, rc, "find the newest events", msg);
}

enum pmp_err pmp_reader_events(struct pmp_reader *r, uint64_t after, uint32_t max, bool all,
                               enum pmp_err (*fn)(void *ctx, const struct pmp_reader_event *e),
                               void *ctx, struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[all ? SQL_EVENTS : SQL_OTHERS];
  if (after == UINT64_MAX)
    PMP_TRY(newest_events(r, all ? SQL_EVENTS_BEFORE : SQL_OTHERS_BEFORE, max, &after, msg));
  enum pmp_err err = PMP_OK;
  int rc = pmp_db_bind(row, "Uu", after, max);
  while (err == PMP_OK && rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    struct pmp_reader_event e = {.id = pmp_db_u64(row, 0),
                                 .wall_ns = sqlite3_column_int64(row, 1),
                                 .who = (const char *)sqlite3_column_text(row, 2),
                                 .kind = (const char *)sqlite3_column_text(row, 3),
                                 .detail = (const char *)sqlite3_column_text(row, 4),
                                 .hash = sqlite3_column_blob(row, 5)};
    err = fn(ctx, &e);
    rc = SQLITE_OK;
  }
  pmp_db_done(row);
  if (err == PMP_OK && rc != SQLITE_DONE) err = pmp_reader_fail(r, rc, "read the events", msg);
  return err;
}

enum pmp_err pmp_reader_actors(struct pmp_reader *r, struct pmp_reader_actor **actors,
                               uint32_t *count, struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_ACTORS];
  void *list = NULL;
  uint32_t room = 0, n = 0;
  *actors = NULL;
  *count = 0;
  enum pmp_err err = grow(&list, n, &room, sizeof **actors, msg);
  int rc = pmp_db_bind(row, "");
  while (err == PMP_OK && rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    err = grow(&list, n, &room, sizeof **actors, msg);
    if (err == PMP_OK && list != NULL) {
      struct pmp_reader_actor *a = &((struct pmp_reader_actor *)list)[n++];
      pmp_db_text(row, 0, a->name, sizeof a->name);
      a->epoch = pmp_db_u32(row, 1);
      a->rows = pmp_db_u64(row, 2);
      a->last_seq = pmp_db_u64(row, 3);
    }
    rc = SQLITE_OK;
  }
  pmp_db_done(row);
  if (err == PMP_OK && rc != SQLITE_DONE) err = pmp_reader_fail(r, rc, "list the actors", msg);
  if (err != PMP_OK) {
    free(list);
    return err;
  }
  *actors = list;
  *count = n;
  return PMP_OK;
}

enum pmp_err pmp_reader_meta(struct pmp_reader *r, const char *key, char *value, size_t size,
                             struct pmp_errmsg *msg) {
  sqlite3_stmt *row = r->stmt[SQL_META];
  enum pmp_err err = PMP_OK;
  int rc = pmp_db_bind(row, "t", key);
  if (rc == SQLITE_OK) rc = sqlite3_step(row);
  if (rc == SQLITE_DONE)
    err = pmp_fail(msg, PMP_ENOTFOUND, "the store has no key %s", key);
  else if (rc != SQLITE_ROW)
    err = pmp_reader_fail(r, rc, "read a key", msg);
  else if ((size_t)sqlite3_column_bytes(row, 0) >= size)
    err = pmp_fail(msg, PMP_ETOOLARGE, "the value of key %s has %d bytes", key,
                   sqlite3_column_bytes(row, 0));
  else
    pmp_db_text(row, 0, value, size);
  pmp_db_done(row);
  return err;
}
