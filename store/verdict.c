/* What people say of items: kept once, replaced, withdrawn, and the labels that follow. */
#include "store/labels.h"
#include "store/writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCEPT = 1, REJECT, SKIP, WITHDRAW };

struct judged {                  /* what the verdict meets */
  uint32_t rows, labelled, span; /* of the chunk */
  uint64_t mine;                 /* this principal's verdict on the item that stands, 0: none */
  int mine_judgement, mine_state;
  double mine_confidence;
  uint32_t others;   /* accepts and rejects of other people that count */
  bool kept, retire; /* what is said is not new; what was said before counts no longer */
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
    j->mine_state = sqlite3_column_int(mine, 3);
  }
  pmp_db_done(mine);
  if (v->judgement == WITHDRAW && !found)
    return pmp_fail(msg, PMP_ENOTFOUND, "%s has no active verdict on %" PRIu64 ":%u+%u",
                    v->principal, v->chunk, v->row, v->rows);
  return PMP_OK;
}

static enum pmp_err meet_others(struct pmp_writer *w, const struct pmp_store_verdict *v,
                                struct judged *j, struct pmp_errmsg *msg) {
  sqlite3_stmt *others = w->stmt[PMP_SQL_VERDICT_OTHERS];
  bool found;
  PMP_TRY(pmp_writer_row(w, PMP_SQL_VERDICT_OTHERS,
                         pmp_db_bind(others, "Uuut", v->chunk, v->row, v->rows, v->principal),
                         &found, "count the other verdicts", msg));
  if (found) j->others = pmp_db_u32(others, 0);
  pmp_db_done(others);
  return PMP_OK;
}

static bool is_label(int judgement) {
  return judgement == ACCEPT || judgement == REJECT;
}

/* Does it count, and what becomes of what this person said before? An item that others have
 * labelled enough takes no more, except from who held a lease on it or is among the labels already;
 * one whose truth is known takes none, except from the latter. */
static void settle_state(struct pmp_store_verdict *v, struct judged *j) {
  const bool active = j->mine != 0 && j->mine_state == PMP_VERDICT_ACTIVE;
  const bool enough = v->wanted > 0 && j->others >= v->wanted && !v->leased;
  const bool closed =
      is_label(v->judgement) && (enough || v->gold) && !(active && is_label(j->mine_judgement));
  j->kept = j->mine != 0 && v->judgement == j->mine_judgement &&
            confidence_of(v) == j->mine_confidence && (active || closed);
  v->surplus = closed || j->kept;
  j->retire = j->mine != 0 && !j->kept;
  v->replaced = j->retire && v->judgement != WITHDRAW;
  const bool mine_now =
      j->kept ? active && is_label(j->mine_judgement) : !closed && is_label(v->judgement);
  v->labels_now = j->others + mine_now;
}

enum pmp_err pmp_writer_judges(struct pmp_writer *w, uint64_t chunk, uint32_t row, uint32_t rows,
                               char (**judge)[PMP_STORE_NAME_MAX], uint32_t *judges,
                               struct pmp_errmsg *msg) {
  sqlite3_stmt *all = w->stmt[PMP_SQL_VERDICT_JUDGES];
  uint32_t room = 0;
  int rc = pmp_db_bind(all, "Uuu", chunk, row, rows);
  enum pmp_err err = PMP_OK;
  while (rc == SQLITE_OK && (rc = sqlite3_step(all)) == SQLITE_ROW) {
    if (*judges == room) {
      room = room == 0 ? 8 : 2 * room;
      void *grown = realloc(*judge, room * sizeof **judge);
      if (grown == NULL) {
        err = pmp_writer_fail(w, SQLITE_NOMEM, "list who judged", msg);
        break;
      }
      *judge = grown;
    }
    pmp_db_text(all, 0, (*judge)[(*judges)++], sizeof **judge);
    rc = SQLITE_OK;
  }
  if (err == PMP_OK && rc != SQLITE_DONE) err = pmp_writer_fail(w, rc, "list who judged", msg);
  pmp_db_done(all);
  return err;
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
  if (j->retire) {
    int old = v->judgement == WITHDRAW ? PMP_VERDICT_WITHDRAWN : PMP_VERDICT_REPLACED;
    int bound = pmp_db_bind(w->stmt[PMP_SQL_VERDICT_RETIRE], "Uuuti", v->chunk, v->row, v->rows,
                            v->principal, old);
    PMP_TRY(pmp_writer_run(w, PMP_SQL_VERDICT_RETIRE, bound, "retire the earlier verdict", msg));
  }
  int bound = pmp_db_bind(w->stmt[PMP_SQL_VERDICT_ADD], "UttUuuidtiUiI", v->commit, v->principal,
                          v->request_id, v->chunk, v->row, v->rows, v->judgement, confidence_of(v),
                          v->note, state, j->retire ? j->mine : (uint64_t)0, (int)v->first,
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

static void forget_labels(struct pmp_store_verdict *v) {
  free(v->label);
  free(v->data);
  v->label = NULL;
  v->data = NULL;
  v->labels = 0;
  v->bytes = 0;
}

/* Of a repeated request: what the item has by now. */
static enum pmp_err count_labels(struct pmp_writer *w, struct pmp_store_verdict *v,
                                 struct pmp_errmsg *msg) {
  struct judged j = {0};
  PMP_TRY(meet_others(w, v, &j, msg));
  struct pmp_errmsg none;
  struct pmp_store_verdict mine = *v;
  mine.judgement = ACCEPT; /* a withdrawal that finds nothing would fail */
  PMP_TRY(meet_mine(w, &mine, &j, &none));
  v->labels_now =
      j.others + (j.mine != 0 && j.mine_state == PMP_VERDICT_ACTIVE && is_label(j.mine_judgement));
  return PMP_OK;
}

/* Each verdict is in the audit log, whatever became of it. */
static enum pmp_err note_verdict(struct pmp_writer *w, const struct pmp_store_verdict *v,
                                 const struct judged *j, struct pmp_errmsg *msg) {
  static const char *const judgements[] = {"", "accept", "reject", "skip", "withdraw"};
  char item[48];
  snprintf(item, sizeof item, "%" PRIu64 ":%u+%u", v->chunk, v->row, v->rows);
  const int bound = pmp_db_bind(w->stmt[PMP_SQL_VERDICT_DETAIL], "UttdttU", v->commit, item,
                                judgements[v->judgement], confidence_of(v), v->request_id,
                                v->surplus                 ? "surplus"
                                : v->judgement == WITHDRAW ? "withdrawn"
                                                           : "active",
                                j->retire ? j->mine : (uint64_t)0);
  return pmp_writer_event_of(w, v->principal, "verdict", PMP_SQL_VERDICT_DETAIL, bound, msg);
}

enum pmp_err pmp_op_verdict(struct pmp_writer *w, struct pmp_store_verdict *v,
                            struct pmp_errmsg *msg) {
  struct judged j = {0};
  v->commit = 0;
  v->duplicate = v->replaced = v->surplus = v->first = v->gold = false;
  v->label = NULL;
  v->data = NULL;
  v->judge = NULL;
  v->labels = v->judges = v->labels_now = 0;
  v->bytes = 0;
  PMP_TRY(check_verdict(v, msg));
  PMP_TRY(check_repeated(w, v, msg));
  PMP_TRY(pmp_writer_gold(w, v->chunk, v->row, v->rows, &v->gold, msg));
  if (v->duplicate) return count_labels(w, v, msg);
  if (v->only_known)
    return pmp_fail(msg, PMP_EFORBIDDEN, "%s has given as many verdicts as desk.quota allows",
                    v->principal);
  PMP_TRY(meet_chunk(w, v, &j, msg));
  PMP_TRY(meet_mine(w, v, &j, msg));
  PMP_TRY(meet_others(w, v, &j, msg));
  PMP_TRY(is_first(w, v, msg));
  settle_state(v, &j);
  const bool fell = j.mine != 0 && j.mine_state == PMP_VERDICT_ACTIVE &&
                    is_label(j.mine_judgement) && v->labels_now == j.others;

  /* The last that may be refused: memory and the chunk's own bytes, before the first write. */
  uint32_t span = v->rows > j.span ? v->rows : j.span;
  PMP_TRY(tally_room(w, v->rows, msg));
  struct pmp_tally *before = w->tally, *after = w->tally + v->rows;
  enum pmp_err err = tally_item(w, v, span, before, msg);
  if (err == PMP_OK && !v->no_data) err = pmp_writer_chunk(w, v->chunk, &v->data, &v->bytes, msg);
  if (err == PMP_OK && (v->label = calloc(v->rows, sizeof *v->label)) == NULL)
    err = pmp_fail(msg, PMP_ENOMEM, "no memory for %u labels", v->rows);
  if (err != PMP_OK) goto out;

  v->commit = w->totals.last_commit + 1;
  err = insert_verdict(w, v, &j, msg);
  if (err == PMP_OK) err = settle(w, v, span, before, after, msg);
  if (err == PMP_OK && fell)
    err = pmp_writer_judges(w, v->chunk, v->row, v->rows, &v->judge, &v->judges, msg);
  if (err == PMP_OK) err = note_verdict(w, v, &j, msg);
  if (err == PMP_OK) w->totals.last_commit = v->commit;
out:
  if (err != PMP_OK || v->labels == 0) forget_labels(v);
  if (err != PMP_OK) {
    free(v->judge);
    v->judge = NULL;
    v->judges = 0;
  }
  return err;
}
