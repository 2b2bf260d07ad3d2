/* What may leave: the oldest chunks when rows or bytes are over capacity, but none that the
 * learner's window or a kept checkpoint needs, and none that a person judged. */
#include "store/writer.h"

#include <inttypes.h>
#include <stdio.h>

/* Pages given back at a time, and from how many free ones on. */
#define SHRINK_PAGES "256"
#define SHRINK_FREE_MIN 512

static bool over(uint64_t value, uint64_t capacity, uint64_t slack) {
  return capacity != 0 && value > capacity + slack;
}

bool pmp_retain_wanted(const struct pmp_writer *w) {
  const struct pmp_store_config *c = w->config;
  return over(w->totals.rows, c->capacity_rows, 0) || over(w->totals.bytes, c->capacity_bytes, 0);
}

void pmp_retain_floor(struct pmp_totals *t, uint64_t window, uint64_t checkpoint) {
  t->floor_window = window;
  t->floor_checkpoint = checkpoint;
  t->floor = window < checkpoint ? window : checkpoint;
  t->blocker = PMP_STORE_BLOCKER_NONE;
}

static enum pmp_err drop(struct pmp_writer *w, uint64_t chunk, uint32_t rows, uint32_t labelled,
                         uint64_t stored, struct pmp_errmsg *msg) {
  PMP_TRY(pmp_writer_run(w, PMP_SQL_DATA_DROP, pmp_db_bind(w->stmt[PMP_SQL_DATA_DROP], "U", chunk),
                         "delete a chunk's bytes", msg));
  PMP_TRY(pmp_writer_run(w, PMP_SQL_CHUNK_DROP,
                         pmp_db_bind(w->stmt[PMP_SQL_CHUNK_DROP], "U", chunk), "delete a chunk",
                         msg));
  w->totals.rows -= rows;
  w->totals.labelled -= labelled;
  w->totals.bytes -= stored;
  w->totals.chunks--;
  w->totals.rows_deleted += rows;
  w->totals.chunks_deleted++;
  w->totals.deleted_to = chunk;
  if (w->totals.deleted < w->config->deleted_max) w->deleted[w->totals.deleted++] = chunk;
  return PMP_OK;
}

/* The next deletable chunk after the cursor, or none. */
static enum pmp_err drop_oldest(struct pmp_writer *w, bool *dropped, struct pmp_errmsg *msg) {
  sqlite3_stmt *oldest = w->stmt[PMP_SQL_CHUNK_OLDEST];
  *dropped = false;
  for (;;) {
    bool found;
    PMP_TRY(pmp_writer_row(w, PMP_SQL_CHUNK_OLDEST,
                           pmp_db_bind(oldest, "UU", w->totals.cursor, w->totals.floor), &found,
                           "find the oldest chunk", msg));
    if (!found) {
      pmp_db_done(oldest);
      return PMP_OK;
    }
    uint64_t chunk = pmp_db_u64(oldest, 0), stored = pmp_db_u64(oldest, 3);
    uint32_t rows = pmp_db_u32(oldest, 1), labelled = pmp_db_u32(oldest, 2);
    bool judged = pmp_db_u64(oldest, 4) > 0;
    pmp_db_done(oldest);
    w->totals.cursor = chunk;
    if (judged) continue;
    *dropped = true;
    return drop(w, chunk, rows, labelled, stored, msg);
  }
}

static enum pmp_err keep_counters(struct pmp_writer *w, struct pmp_errmsg *msg) {
  const struct {
    const char *key;
    uint64_t value;
  } counters[] = {{"rows_deleted", w->totals.rows_deleted},
                  {"chunks_deleted", w->totals.chunks_deleted},
                  {"deleted_to", w->totals.deleted_to}};
  for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
    int bound = pmp_db_bind(w->stmt[PMP_SQL_COUNTER_SET], "tU", counters[i].key, counters[i].value);
    PMP_TRY(pmp_writer_run(w, PMP_SQL_COUNTER_SET, bound, "count what was deleted", msg));
  }
  return PMP_OK;
}

/* Which of the three holds the oldest chunk that is left. */
static enum pmp_store_blocker find_blocker(const struct pmp_totals *t) {
  if (t->floor > t->last_commit) return PMP_STORE_BLOCKER_VERDICTS;
  return t->floor_checkpoint < t->floor_window ? PMP_STORE_BLOCKER_CHECKPOINT
                                               : PMP_STORE_BLOCKER_WINDOW;
}

enum pmp_err pmp_retain_some(struct pmp_writer *w, uint32_t chunks_max, struct pmp_errmsg *msg) {
  uint32_t count = 0;
  bool dropped = true;
  w->totals.blocker = PMP_STORE_BLOCKER_NONE;
  while (dropped && count < chunks_max && pmp_retain_wanted(w)) {
    PMP_TRY(drop_oldest(w, &dropped, msg));
    if (dropped) count++;
  }
  if (!dropped) w->totals.blocker = find_blocker(&w->totals);
  return count > 0 ? keep_counters(w, msg) : PMP_OK;
}

void pmp_retain_reason(const struct pmp_writer *w, char *out, size_t size) {
  static const char *const why[] = {
      [PMP_STORE_BLOCKER_NONE] = "it will be made smaller in small portions",
      [PMP_STORE_BLOCKER_WINDOW] = "the learner still needs what is left",
      [PMP_STORE_BLOCKER_CHECKPOINT] = "a kept checkpoint still needs what is left",
      [PMP_STORE_BLOCKER_VERDICTS] =
          "what is left carries people's verdicts or is gold, which is never deleted"};
  const struct pmp_store_config *c = w->config;
  snprintf(out, size,
           "the store is over its capacity (%" PRIu64 " rows of %" PRIu64 ", %" PRIu64
           " bytes of %" PRIu64 "; 0: no limit) and nothing may be deleted: %s",
           w->totals.rows, c->capacity_rows, w->totals.bytes, c->capacity_bytes,
           why[w->totals.blocker]);
}

enum pmp_err pmp_retain_admit(const struct pmp_writer *w, struct pmp_errmsg *msg) {
  const struct pmp_store_config *c = w->config;
  if (w->totals.blocker == PMP_STORE_BLOCKER_NONE) return PMP_OK;
  if (!over(w->totals.rows, c->capacity_rows, c->capacity_rows / 4) &&
      !over(w->totals.bytes, c->capacity_bytes, c->capacity_bytes / 4))
    return PMP_OK;
  char reason[sizeof msg->text];
  pmp_retain_reason(w, reason, sizeof reason);
  return pmp_fail(msg, PMP_ENOSPC, "%s", reason);
}

enum pmp_err pmp_retain_shrink(struct pmp_writer *w, bool *more, struct pmp_errmsg *msg) {
  int64_t unused, pages;
  *more = false;
  PMP_TRY(pmp_db_number(w->db, "PRAGMA freelist_count", 0, &unused, msg));
  PMP_TRY(pmp_db_number(w->db, "PRAGMA page_count", 0, &pages, msg));
  /* In a store at its capacity the next chunks use what the last ones left: only a good part is
   * given back. */
  if (unused < SHRINK_FREE_MIN || unused < pages / 4) return PMP_OK;
  *more = true;
  return pmp_db_exec(w->db, "PRAGMA incremental_vacuum(" SHRINK_PAGES ")", msg);
}
