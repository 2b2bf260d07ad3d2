/* Items whose truth is known, by which labelers are measured. */
#include "store/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum pmp_err pmp_writer_gold(struct pmp_writer *w, uint64_t chunk, uint32_t row, uint32_t rows,
                             bool *gold, struct pmp_errmsg *msg) {
  sqlite3_stmt *over = w->stmt[PMP_SQL_GOLD_OVER];
  PMP_TRY(pmp_writer_row(w, PMP_SQL_GOLD_OVER, pmp_db_bind(over, "Uuu", chunk, row, rows), gold,
                         "look for gold", msg));
  pmp_db_done(over);
  return PMP_OK;
}

static enum pmp_err check(struct pmp_writer *w, const struct pmp_store_gold *g,
                          struct pmp_errmsg *msg) {
  if (g->judgement < 0 || g->judgement > 2 || g->rows == 0 || g->who == NULL)
    return pmp_fail(msg, PMP_EINVALID, "gold is accept, reject or none, of at least one row");
  sqlite3_stmt *get = w->stmt[PMP_SQL_CHUNK_GET];
  bool found;
  uint32_t rows = 0, labelled = 0;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_CHUNK_GET, pmp_db_bind(get, "U", g->chunk), &found,
                         "read the chunk", msg));
  if (found) {
    rows = pmp_db_u32(get, 0);
    labelled = pmp_db_u32(get, 1);
  }
  pmp_db_done(get);
  if (!found) return pmp_fail(msg, PMP_ENOTFOUND, "there is no chunk %" PRIu64, g->chunk);
  if ((uint64_t)g->row + g->rows > rows)
    return pmp_fail(msg, PMP_EINVALID,
                    "item %" PRIu64 ":%u+%u is outside its chunk, which has %u rows", g->chunk,
                    g->row, g->rows, rows);
  if (labelled == rows)
    return pmp_fail(msg, PMP_ECONFLICT, "the rows of chunk %" PRIu64 " brought labels of their own",
                    g->chunk);
  return PMP_OK;
}

static enum pmp_err meet(struct pmp_writer *w, struct pmp_store_gold *g, struct pmp_errmsg *msg) {
  sqlite3_stmt *get = w->stmt[PMP_SQL_GOLD_GET], *count = w->stmt[PMP_SQL_VERDICT_OTHERS];
  bool found, over;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_GOLD_GET, pmp_db_bind(get, "Uuu", g->chunk, g->row, g->rows),
                         &found, "look for gold", msg));
  if (found) g->before = sqlite3_column_int(get, 0);
  pmp_db_done(get);
  PMP_TRY(pmp_writer_gold(w, g->chunk, g->row, g->rows, &over, msg));
  if (over && !found)
    return pmp_fail(msg, PMP_ECONFLICT, "rows of %" PRIu64 ":%u+%u are gold in another item",
                    g->chunk, g->row, g->rows);
  if (!found && g->judgement == 0)
    return pmp_fail(msg, PMP_ENOTFOUND, "item %" PRIu64 ":%u+%u is not gold", g->chunk, g->row,
                    g->rows);
  /* Nobody has the empty name: the others are all. */
  PMP_TRY(pmp_writer_row(w, PMP_SQL_VERDICT_OTHERS,
                         pmp_db_bind(count, "Uuut", g->chunk, g->row, g->rows, ""), &found,
                         "count the verdicts", msg));
  if (found) g->labels_now = pmp_db_u32(count, 0);
  pmp_db_done(count);
  return PMP_OK;
}

static enum pmp_err keep(struct pmp_writer *w, const struct pmp_store_gold *g,
                         struct pmp_errmsg *msg) {
  if (g->judgement == 0)
    return pmp_writer_run(w, PMP_SQL_GOLD_DROP,
                          pmp_db_bind(w->stmt[PMP_SQL_GOLD_DROP], "Uuu", g->chunk, g->row, g->rows),
                          "drop gold", msg);
  return pmp_writer_run(w, PMP_SQL_GOLD_SET,
                        pmp_db_bind(w->stmt[PMP_SQL_GOLD_SET], "UuuitI", g->chunk, g->row, g->rows,
                                    g->judgement, g->who, pmp_clock_wall(&w->config->clock)),
                        "keep gold", msg);
}

enum pmp_err pmp_op_gold(struct pmp_writer *w, struct pmp_store_gold *g, struct pmp_errmsg *msg) {
  static const char *const judgements[] = {"none", "accept", "reject"};
  g->before = 0;
  g->labels_now = g->judges = 0;
  g->judge = NULL;
  PMP_TRY(check(w, g, msg));
  PMP_TRY(meet(w, g, msg));
  char item[48];
  snprintf(item, sizeof item, "%" PRIu64 ":%u+%u", g->chunk, g->row, g->rows);
  enum pmp_err err = keep(w, g, msg);
  if (err == PMP_OK)
    err = pmp_writer_judges(w, g->chunk, g->row, g->rows, &g->judge, &g->judges, msg);
  if (err == PMP_OK)
    err = pmp_writer_event_of(w, g->who, "gold", PMP_SQL_GOLD_DETAIL,
                              pmp_db_bind(w->stmt[PMP_SQL_GOLD_DETAIL], "ttt", item,
                                          judgements[g->judgement], judgements[g->before]),
                              msg);
  if (err != PMP_OK) {
    free(g->judge);
    g->judge = NULL;
    g->judges = 0;
  }
  return err;
}
