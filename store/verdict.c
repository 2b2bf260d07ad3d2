/* What people say of items: kept once, replaced, withdrawn, and the labels that follow. */
#include "store/labels.h"
#include "store/writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ACCEPT = 1, REJECT, SKIP, WITHDRAW };

struct judged {                  /* what the verdict meets */
  uint32_t rows, labelled, span; /* of the chunk */
  uint64_t mine;                 /* this principal's active verdict on the item, 0: none */
  int mine_judgement;
  double mine_confidence;
};

static enum pmp_err check_verdict(const struct pmp_store_verdict *v, struct pmp_errmsg *msg) {
  PMP_TRY(pmp_writer_name(v->principal, "a principal", msg));
  PMP_TRY(pmp_writer_name(v->request_id, "a verdict's request id", msg));
  if (v->judgement < ACCEPT || v->judgement > WITHDRAW)
    return pmp_fail(msg, PMP_EINVALID, "a verdict is accept, reject, skip or withdraw, not %d",
                    v->judgement);
  if (v->rows == 0) return pmp_fail(msg, PMP_EINVALID, "an item has at least one row");
  if (v->judgement <= REJECT && !(v->confidence > 0.0F && v->confidence <= 1.0F))
    return pmp_fail(msg, PMP_EINVALID, "confidence is above 0 and at most 1, not %g",
                    (double)v->confidence);
  return PMP_OK;
}

/* Skips and withdrawals have none: whatever was sent with them does not tell two apart. */
static double confidence_of(const struct pmp_store_verdict *v) {
  return v->judgement <= REJECT ? (double)v->confidence : 0.0;
}

static bool same_text(const char *a, const char *b) {
  return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* The verdict that this request brought before. */
static enum pmp_err check_repeated(struct pmp_writer *w, struct pmp_store_verdict *v,
                                   struct pmp_errmsg *msg) {
  sqlite3_stmt *known = w->stmt[PMP_SQL_VERDICT_OF_REQUEST];
  bool found, equal = false;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_VERDICT_OF_REQUEST,
                         pmp_db_bind(known, "tt", v->principal, v->request_id), &found,
                         "look up the verdict's request", msg));
  if (found) {
    equal = pmp_db_u64(known, 1) == v->chunk && pmp_db_u32(known, 2) == v->row &&
            pmp_db_u32(known, 3) == v->rows && sqlite3_column_int(known, 4) == v->judgement &&
            sqlite3_column_double(known, 5) == confidence_of(v) &&
            same_text((const char *)sqlite3_column_text(known, 6), v->note);
    v->duplicate = equal;
    v->commit = equal ? pmp_db_u64(known, 0) : 0;
    v->replaced = equal && v->judgement != WITHDRAW && sqlite3_column_int(known, 7) != 0;
    v->surplus = equal && sqlite3_column_int(known, 8) != 0;
    v->first = equal && sqlite3_column_int(known, 9) != 0;
  }
  pmp_db_done(known);
  if (found && !equal)
    return pmp_fail(msg, PMP_ECONFLICT, "request %s of %s was kept with another verdict",
                    v->request_id, v->principal);
  return PMP_OK;
}

static enum pmp_err meet_chunk(struct pmp_writer *w, const struct pmp_store_verdict *v,
                               struct judged *j, struct pmp_errmsg *msg) {
  sqlite3_stmt *get = w->stmt[PMP_SQL_CHUNK_GET];
  bool found;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_CHUNK_GET, pmp_db_bind(get, "U", v->chunk), &found,
                         "read the judged chunk", msg));
  if (found) {
    j->rows = pmp_db_u32(get, 0);
    j->labelled = pmp_db_u32(get, 1);
    j->span = pmp_db_u32(get, 2);
  }
  pmp_db_done(get);
  if (!found)
    return pmp_fail(msg, PMP_ENOTFOUND,
                    "there is no chunk %" PRIu64 "; pmpoctl status says how many rows wait",
                    v->chunk);
  if ((uint64_t)v->row + v->rows > j->rows)
    return pmp_fail(msg, PMP_EINVALID,
                    "item %" PRIu64 ":%u+%u is outside its chunk, which has %u rows", v->chunk,
                    v->row, v->rows, j->rows);
  if (j->labelled == j->rows)
    return pmp_fail(msg, PMP_ECONFLICT, "the rows of chunk %" PRIu64 " brought labels of their own",
                    v->chunk);
  return PMP_OK;
}

static enum pmp_err meet_mine(struct pmp_writer *w, const struct pmp_store_verdict *v,
                              struct judged *j, struct pmp_errmsg *msg) {
  sqlite3_stmt *mine = w->stmt[PMP_SQL_VERDICT_MINE];
  bool found;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_VERDICT_MINE,
                         pmp_db_bind(mine, "Uuut", v->chunk, v->row, v->rows, v->principal), &found,
                         "look for an earlier verdict", msg));
  if (found) {
    j->mine = pmp_db_u64(mine, 0);
    j->mine_judgement = sqlite3_column_int(mine, 1);
    j->mine_confidence = sqlite3_column_double(mine, 2);
  }
  pmp_db_done(mine);
  if (v->judgement == WITHDRAW && !found)
    return pmp_fail(msg, PMP_ENOTFOUND, "%s has no active verdict on %" PRIu64 ":%u+%u",
                    v->principal, v->chunk, v->row, v->rows);
  return PMP_OK;
}

static enum pmp_err is_first(struct pmp_writer *w, struct pmp_store_verdict *v,
                             struct pmp_errmsg *msg) {
  sqlite3_stmt *any = w->stmt[PMP_SQL_VERDICT_ANY];
  bool found;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_VERDICT_ANY, pmp_db_bind(any, "Uuu", v->chunk, v->row, v->rows),
                         &found, "look for other verdicts", msg));
  pmp_db_done(any);
  v->first = !found;
  return PMP_OK;
}

/* Sums of the active verdicts over the item's rows. */
static enum pmp_err tally_item(struct pmp_writer *w, const struct pmp_store_verdict *v,
                               uint32_t span, struct pmp_tally *tally, struct pmp_errmsg *msg) {
  sqlite3_stmt *all = w->stmt[PMP_SQL_VERDICT_TALLY];
  uint32_t to = v->row + v->rows;
  memset(tally, 0, v->rows * sizeof *tally);
  int rc = pmp_db_bind(all, "Uuuu", v->chunk, v->row, to, span);
  while (rc == SQLITE_OK && (rc = sqlite3_step(all)) == SQLITE_ROW) {
    pmp_labels_add(tally, v->row, to, pmp_db_u32(all, 0), pmp_db_u32(all, 1),
                   sqlite3_column_int(all, 2), sqlite3_column_double(all, 3));
    rc = SQLITE_OK;
  }
  enum pmp_err err = PMP_OK;
  if (rc != SQLITE_DONE) err = pmp_writer_fail(w, rc, "add up the verdicts", msg);
  pmp_db_done(all);
  return err;
}

static enum pmp_err insert_verdict(struct pmp_writer *w, const struct pmp_store_verdict *v,
                                   const struct judged *j, struct pmp_errmsg *msg) {
  int state = v->judgement == WITHDRAW ? PMP_VERDICT_WITHDRAWN
              : v->surplus             ? PMP_VERDICT_SURPLUS
                                       : PMP_VERDICT_ACTIVE;
  if (j->mine != 0 && !v->surplus) {
    int old = v->judgement == WITHDRAW ? PMP_VERDICT_WITHDRAWN : PMP_VERDICT_REPLACED;
    PMP_TRY(pmp_writer_run(w, PMP_SQL_VERDICT_STATE,
                           pmp_db_bind(w->stmt[PMP_SQL_VERDICT_STATE], "Ui", j->mine, old),
                           "retire the earlier verdict", msg));
  }
  int bound = pmp_db_bind(w->stmt[PMP_SQL_VERDICT_ADD], "UttUuuidtiUiI", v->commit, v->principal,
                          v->request_id, v->chunk, v->row, v->rows, v->judgement, confidence_of(v),
                          v->note, state, v->surplus ? (uint64_t)0 : j->mine, (int)v->first,
                          pmp_clock_wall(&w->config->clock));
  return pmp_writer_run(w, PMP_SQL_VERDICT_ADD, bound, "add a verdict", msg);
}

/* Labels that the verdict changed, into v and into its row; the chunk's counts. */
static enum pmp_err settle(struct pmp_writer *w, struct pmp_store_verdict *v, uint32_t span,
                           const struct pmp_tally *before, struct pmp_tally *after,
                           struct pmp_errmsg *msg) {
  PMP_TRY(tally_item(w, v, span, after, msg));
  v->labels = pmp_labels_changed(before, after, v->row, v->row + v->rows, v->label);
  if (v->labels > 0) {
    unsigned char *packed = malloc((size_t)v->labels * 16);
    if (packed == NULL) return pmp_writer_fail(w, SQLITE_NOMEM, "keep the labels", msg);
    size_t bytes = pmp_labels_pack(v->label, v->labels, packed);
    int bound = pmp_db_bind(w->stmt[PMP_SQL_VERDICT_LABELS], "Ub", v->commit, packed, bytes);
    enum pmp_err err = pmp_writer_run(w, PMP_SQL_VERDICT_LABELS, bound, "keep the labels", msg);
    free(packed);
    PMP_TRY(err);
  }
  int64_t gained = 0;
  for (uint32_t i = 0; i < v->rows; i++)
    gained += (int64_t)(after[i].cover > 0) - (int64_t)(before[i].cover > 0);
  w->totals.covered += (uint64_t)gained;
  int bound = pmp_db_bind(w->stmt[PMP_SQL_CHUNK_JUDGED], "UIu", v->chunk, gained, v->rows);
  return pmp_writer_run(w, PMP_SQL_CHUNK_JUDGED, bound, "count the verdict", msg);
}

/* Two tallies of n rows, before and after. */
static enum pmp_err tally_room(struct pmp_writer *w, uint32_t rows, struct pmp_errmsg *msg) {
  if (w->tally_rows >= 2 * rows) return PMP_OK;
  struct pmp_tally *grown = realloc(w->tally, 2 * (size_t)rows * sizeof *grown);
  if (grown == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory to judge %u rows", rows);
  w->tally = grown;
  w->tally_rows = 2 * rows;
  return PMP_OK;
}

static void forget_results(struct pmp_store_verdict *v) {
  free(v->label);
  free(v->data);
  v->label = NULL;
  v->data = NULL;
  v->labels = 0;
  v->bytes = 0;
}

enum pmp_err pmp_op_verdict(struct pmp_writer *w, struct pmp_store_verdict *v,
                            struct pmp_errmsg *msg) {
  struct judged j = {0};
  v->commit = 0;
  v->duplicate = v->replaced = v->surplus = v->first = false;
  v->label = NULL;
  v->data = NULL;
  v->labels = 0;
  v->bytes = 0;
  PMP_TRY(check_verdict(v, msg));
  PMP_TRY(check_repeated(w, v, msg));
  if (v->duplicate) return PMP_OK;
  PMP_TRY(meet_chunk(w, v, &j, msg));
  PMP_TRY(meet_mine(w, v, &j, msg));
  PMP_TRY(is_first(w, v, msg));
  bool repeats = v->judgement == j.mine_judgement && confidence_of(v) == j.mine_confidence;
  v->surplus = j.mine != 0 && repeats;
  v->replaced = j.mine != 0 && !repeats && v->judgement != WITHDRAW;

  /* The last that may be refused: memory and the chunk's own bytes, before the first write. */
  uint32_t span = v->rows > j.span ? v->rows : j.span;
  PMP_TRY(tally_room(w, v->rows, msg));
  struct pmp_tally *before = w->tally, *after = w->tally + v->rows;
  enum pmp_err err = tally_item(w, v, span, before, msg);
  if (err == PMP_OK) err = pmp_writer_chunk(w, v->chunk, &v->data, &v->bytes, msg);
  if (err == PMP_OK && (v->label = calloc(v->rows, sizeof *v->label)) == NULL)
    err = pmp_fail(msg, PMP_ENOMEM, "no memory for %u labels", v->rows);
  if (err != PMP_OK) goto out;

  v->commit = w->totals.last_commit + 1;
  err = insert_verdict(w, v, &j, msg);
  if (err == PMP_OK) err = settle(w, v, span, before, after, msg);
  if (err == PMP_OK) w->totals.last_commit = v->commit;
out:
  if (err != PMP_OK || v->labels == 0) forget_results(v);
  return err;
}
