/* Items whose truth is known: which they are, and whether one could be. */
#include "daemon/http_json.h"
#include "daemon/reader_desk.h"
#include "daemon/rows.h"

#include <stdlib.h>
#include <string.h>

enum pmp_err pmp_desk_reader_gold(struct pmp_desk_reader *r, const struct pmp_control *c,
                                  struct pmp_errmsg *msg) {
  struct pmp_item_ref ref;
  struct pmp_item item;
  PMP_TRY(pmp_json_item(c->key, &ref, msg));
  PMP_TRY(pmp_desk_reader_chunk(r, ref.chunk, msg));
  for (uint32_t next = 0; pmp_rows_item(&r->decoded, &next, &item);)
    if (item.row == ref.row && item.rows == ref.rows) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "%.48s is none of its chunk's items", c->key);
}

/* ---- all of them, in order ---- */

static int compare(const void *x, const void *y) {
  const struct pmp_item_ref *a = &((const struct pmp_gold_truth *)x)->item,
                            *b = &((const struct pmp_gold_truth *)y)->item;
  if (a->chunk != b->chunk) return a->chunk < b->chunk ? -1 : 1;
  if (a->row != b->row) return a->row < b->row ? -1 : 1;
  return a->rows < b->rows ? -1 : a->rows > b->rows;
}

static enum pmp_err on_gold(void *ctx, const struct pmp_reader_gold *g) {
  struct pmp_gold_list *list = ctx;
  if (list->count == list->room) {
    const size_t room = list->room ? 2 * list->room : 64;
    struct pmp_gold_truth *grown = realloc(list->gold, room * sizeof *grown);
    if (!grown) return PMP_ENOMEM;
    list->gold = grown;
    list->room = room;
  }
  list->gold[list->count++] =
      (struct pmp_gold_truth){.item = {g->chunk, g->row, g->rows}, .judgement = g->judgement};
  return PMP_OK;
}

enum pmp_err pmp_gold_list_read(struct pmp_reader *db, struct pmp_gold_list *list,
                                struct pmp_errmsg *msg) {
  list->count = 0;
  PMP_TRY(pmp_reader_gold(db, 0, UINT32_MAX, on_gold, list, msg));
  if (list->count > 0) qsort(list->gold, list->count, sizeof *list->gold, compare);
  return PMP_OK;
}

int pmp_gold_list_truth(const struct pmp_gold_list *list, struct pmp_item_ref item) {
  const struct pmp_gold_truth key = {.item = item};
  const struct pmp_gold_truth *found =
      list->count > 0 ? bsearch(&key, list->gold, list->count, sizeof key, compare) : NULL;
  return found ? found->judgement : 0;
}

/* ---- a page of them ---- */

struct page {
  struct pmp_arena *out;
  struct pmp_verdict_record *record;
  uint32_t count;
};

static enum pmp_err on_record(void *ctx, const struct pmp_reader_gold *g) {
  struct page *p = ctx;
  const size_t bytes = strlen(g->who) + 1;
  char *who = pmp_arena_alloc(p->out, bytes);
  if (!who) return PMP_ENOMEM;
  memcpy(who, g->who, bytes);
  p->record[p->count++] = (struct pmp_verdict_record){.id = g->id,
                                                      .who = who,
                                                      .note = "",
                                                      .request_id = "",
                                                      .item = {g->chunk, g->row, g->rows},
                                                      .judgement = (enum pmp_judgement)g->judgement,
                                                      .confidence = 1,
                                                      .state = PMP_VERDICT_ACTIVE,
                                                      .wall_ns = g->wall_ns};
  return PMP_OK;
}

enum pmp_err pmp_desk_reader_list_gold(struct pmp_desk_reader *r, const struct pmp_review *q,
                                       struct pmp_arena *out, struct pmp_review_reply *reply,
                                       struct pmp_errmsg *msg) {
  const uint32_t max = q->count && q->count < PMP_REVIEW_MAX ? q->count : PMP_REVIEW_MAX;
  struct page p = {.out = out, .record = pmp_arena_array(out, max, sizeof *p.record)};
  if (!p.record) return PMP_ENOMEM;
  PMP_TRY(pmp_reader_gold(r->db, q->after, max, on_record, &p, msg));
  reply->verdict = p.record;
  reply->verdicts = p.count;
  return PMP_OK;
}
