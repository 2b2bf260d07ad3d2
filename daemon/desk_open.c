/* The label desk's start: which items are open, and who has seen which, out of the store. */
#include "daemon/desk.h"
#include "daemon/rows.h"
#include "daemon/server.h"
#include "daemon/stored.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct filling {
  struct pmp_server *server;
  struct pmp_reader *reader;
  struct pmp_arena arena;
  uint64_t chunk;
  struct judged { /* a verdict that stands */
    char who[PMP_STORE_NAME_MAX];
    uint32_t row, rows;
    bool label; /* active, accept or reject */
  } * judged;   /* owned, [room] */
  uint32_t count, room;
};

static enum pmp_err on_verdict(void *ctx, const struct pmp_reader_verdict *v) {
  struct filling *f = ctx;
  if (f->count == f->room) {
    const uint32_t room = f->room == 0 ? 64 : 2 * f->room;
    struct judged *grown = realloc(f->judged, room * sizeof *grown);
    if (!grown) return PMP_ENOMEM;
    f->judged = grown;
    f->room = room;
  }
  struct judged *j = &f->judged[f->count++];
  snprintf(j->who, sizeof j->who, "%s", v->who);
  j->row = v->row;
  j->rows = v->rows;
  j->label = v->state == PMP_VERDICT_ACTIVE && v->judgement <= PMP_REJECT;
  return PMP_OK;
}

/* A verdict on more rows than the item's is one on the item, too. */
static bool covers(const struct judged *j, const struct pmp_item *item) {
  return j->row <= item->row && (uint64_t)j->row + j->rows >= (uint64_t)item->row + item->rows;
}

/* Does this verdict give the item a label that none before it gave? A person gives one. */
static bool counts(const struct filling *f, uint32_t n, const struct pmp_item *item) {
  if (!f->judged[n].label || !covers(&f->judged[n], item)) return false;
  for (uint32_t i = 0; i < n; i++) {
    if (f->judged[i].label && covers(&f->judged[i], item) &&
        strcmp(f->judged[i].who, f->judged[n].who) == 0)
      return false;
  }
  return true;
}

static enum pmp_err open_item(struct filling *f, const struct pmp_item *item) {
  struct pmp_items *items = f->server->people.items;
  const struct pmp_item_ref ref = {f->chunk, item->row, item->rows};
  uint32_t labels = 0;
  for (uint32_t i = 0; i < f->count; i++) labels += counts(f, i, item);
  PMP_TRY(pmp_items_add(items, ref, item->score, labels)); /* nothing happens to gold */
  for (uint32_t i = 0; i < f->count; i++)
    if (covers(&f->judged[i], item)) PMP_TRY(pmp_items_seen(items, ref, f->judged[i].who));
  return PMP_OK;
}

static enum pmp_err on_chunk(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct filling *f = ctx;
  struct pmp_chunk chunk;
  PMP_TRY(pmp_stored_decode(&f->server->spec, e->data, e->bytes, 65536, &f->arena, &chunk, msg));
  f->chunk = e->chunk;
  f->count = 0;
  PMP_TRY(pmp_reader_chunk_verdicts(f->reader, f->chunk, on_verdict, f, msg));
  struct pmp_item item;
  for (uint32_t next = 0; pmp_rows_item(&chunk, &next, &item);) PMP_TRY(open_item(f, &item));
  return PMP_OK;
}

static enum pmp_err on_gold(void *ctx, const struct pmp_reader_gold *g) {
  return pmp_items_gold(ctx, (struct pmp_item_ref){g->chunk, g->row, g->rows});
}

static enum pmp_err on_given(void *ctx, const char *who, uint64_t verdicts) {
  struct pmp_labeler *l = pmp_labelers_get(ctx, who);
  if (!l) return PMP_ENOMEM;
  l->given = verdicts;
  return PMP_OK;
}

enum pmp_err pmp_desk_open(struct pmp_server *s, const char *store_path, struct pmp_errmsg *msg) {
  if (!pmp_config_people(&s->config)) return PMP_OK;
  struct pmp_items_config c = {.wanted = (uint32_t)s->config.desk.labels_wanted,
                               .leases_per_person = (uint32_t)s->config.desk.leases,
                               /* limits.open_items is asked before a commit: what is committed
                                * has to have a place. */
                               .capacity = UINT32_MAX,
                               .gold_share = s->config.desk.gold_share};
  randombytes_buf(&c.seed, sizeof c.seed);
  PMP_TRY(pmp_items_init(&s->people.items, &c));
  struct filling f = {.server = s};
  PMP_TRY(pmp_reader_open(&f.reader, store_path, NULL, msg));
  /* Gold first: what is there already is not open. */
  enum pmp_err err = pmp_reader_gold(f.reader, 0, UINT32_MAX, on_gold, s->people.items, msg);
  if (err == PMP_OK) err = pmp_reader_open_chunks(f.reader, on_chunk, &f, msg);
  if (err == PMP_OK) err = pmp_reader_given(f.reader, on_given, &s->people.labelers, msg);
  pmp_reader_close(f.reader);
  pmp_arena_fini(&f.arena);
  free(f.judged);
  struct pmp_items_stats st;
  pmp_desk_trim(s);
  pmp_items_stats(s->people.items, &st);
  if (err == PMP_OK) {
    pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-DESK-OPEN", "items=%" PRIu64 " labelers=%u", st.open,
                  s->people.labelers.count);
  }
  return err;
}

void pmp_desk_close(struct pmp_server *s) {
  pmp_items_fini(s->people.items);
  s->people.items = NULL;
  pmp_labelers_fini(&s->people.labelers);
}

void pmp_lease_work_free(struct pmp_lease_work *work) {
  if (!work) return;
  free(work->view);
  free(work->fate);
  free(work->lost);
  free(work);
}

void pmp_score_work_free(struct pmp_score_work *work) {
  if (!work) return;
  free(work->clip);
  free(work->obs);
  free(work->act);
  free(work);
}
