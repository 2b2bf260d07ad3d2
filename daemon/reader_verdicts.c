/* What people said: verdicts one by one, by labeler, and how far they agree. */
#include "daemon/agreement.h"
#include "daemon/reader_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096       /* verdicts read at a time */
#define RATERS_MAX 1024 /* whose pairs are told apart */
#define PAIRS_MAX 2000  /* in one reply, those with most items */

static const char *keep_text(struct pmp_arena *a, const char *text) {
  const size_t n = strlen(text) + 1;
  char *copy = pmp_arena_alloc(a, n);
  if (copy) memcpy(copy, text, n);
  return copy;
}

/* ---- one by one ---- */

struct listing {
  struct pmp_arena *out;
  struct pmp_verdict_record *record;
  uint32_t count, max;
};

static enum pmp_err on_record(void *ctx, const struct pmp_reader_verdict *v) {
  struct listing *l = ctx;
  if (l->count == l->max) return PMP_ETOOLARGE;
  struct pmp_verdict_record *to = &l->record[l->count];
  *to = (struct pmp_verdict_record){.id = v->id,
                                    .who = keep_text(l->out, v->who),
                                    .note = keep_text(l->out, v->note),
                                    .request_id = keep_text(l->out, v->request_id),
                                    .item = {v->chunk, v->row, v->rows},
                                    .judgement = (enum pmp_judgement)v->judgement,
                                    .confidence = v->confidence,
                                    .state = v->state,
                                    .wall_ns = v->wall_ns};
  if (!to->who || !to->note || !to->request_id) return PMP_ENOMEM;
  l->count++;
  return PMP_OK;
}

/* The texts that were judged; how many records have theirs, as far as there is room. */
static enum pmp_err add_texts(struct pmp_desk_reader *r, struct listing *l,
                              struct pmp_errmsg *msg) {
  size_t left = r->message_bytes / 2;
  for (uint32_t i = 0; i < l->count; i++) {
    struct pmp_verdict_record *v = &l->record[i];
    size_t bytes = strlen(v->note) + 256;
    enum pmp_err err = pmp_desk_reader_chunk(r, v->item.chunk, msg);
    if (err == PMP_OK) {
      const struct pmp_item *item = pmp_desk_reader_item(&r->decoded, v->item);
      err = pmp_desk_reader_media(item, true, l->out, &v->media, &v->medias);
      if (err == PMP_ENOMEM && i == 0) return err;
    } else if (err == PMP_ENOTFOUND || err == PMP_ECORRUPT) {
      err = PMP_OK; /* the verdict is there all the same */
    }
    for (uint32_t k = 0; k < v->medias; k++) bytes += v->media[k].bytes + 64;
    if (err == PMP_ENOMEM || (i > 0 && bytes > left)) {
      l->count = i; /* the rest with the next request */
      return PMP_OK;
    }
    if (err != PMP_OK) return err;
    left -= bytes < left ? bytes : left;
  }
  return PMP_OK;
}

static enum pmp_err list(struct pmp_desk_reader *r, const struct pmp_review *q,
                         struct pmp_arena *out, struct pmp_review_reply *reply,
                         struct pmp_errmsg *msg) {
  struct listing l = {.out = out,
                      .max = q->count && q->count < PMP_REVIEW_MAX ? q->count : PMP_REVIEW_MAX};
  l.record = pmp_arena_array(out, l.max, sizeof *l.record);
  if (!l.record) return PMP_ENOMEM;
  PMP_TRY(
      pmp_reader_verdicts(r->db, q->after, l.max, q->who[0] ? q->who : NULL, on_record, &l, msg));
  PMP_TRY(add_texts(r, &l, msg));
  reply->verdict = l.record;
  reply->verdicts = l.count;
  return PMP_OK;
}

/* ---- all of them ---- */

struct said { /* an accept or reject that stands, or is surplus */
  struct pmp_item_ref item;
  uint64_t id;
  uint32_t who;
  bool accept;
};

struct census {
  struct pmp_gold_list gold;
  struct pmp_labeler_record *labeler; /* owned, [labelers_room] */
  char (*name)[PMP_STORE_NAME_MAX];   /* owned, [labelers_room] */
  uint32_t labelers, labelers_room;
  struct said *said; /* owned, [room] */
  size_t count, room;
  uint64_t last;  /* id of the last verdict read */
  uint32_t paged; /* of this page */
};

static void census_fini(struct census *c) {
  free(c->gold.gold);
  free(c->labeler);
  free(c->name);
  free(c->said);
}

/* The labeler's place; labelers are few. UINT32_MAX: no memory. */
static uint32_t place_of(struct census *c, const char *who) {
  for (uint32_t i = 0; i < c->labelers; i++)
    if (strcmp(c->name[i], who) == 0) return i;
  if (c->labelers == c->labelers_room) {
    const uint32_t room = c->labelers_room ? 2 * c->labelers_room : 16;
    void *labeler = realloc(c->labeler, room * sizeof *c->labeler);
    if (labeler) c->labeler = labeler;
    void *name = realloc(c->name, room * sizeof *c->name);
    if (name) c->name = name;
    if (!labeler || !name) return UINT32_MAX;
    c->labelers_room = room;
  }
  const uint32_t at = c->labelers++;
  c->labeler[at] = (struct pmp_labeler_record){0};
  snprintf(c->name[at], sizeof c->name[at], "%s", who);
  return at;
}

static enum pmp_err on_census(void *ctx, const struct pmp_reader_verdict *v) {
  struct census *c = ctx;
  c->last = v->id;
  c->paged++;
  const uint32_t who = place_of(c, v->who);
  if (who == UINT32_MAX) return PMP_ENOMEM;
  struct pmp_labeler_record *l = &c->labeler[who];
  if (l->first_ns == 0) l->first_ns = v->wall_ns;
  l->last_ns = v->wall_ns;
  if (v->judgement == PMP_WITHDRAW) return PMP_OK;
  const bool stands = v->state == PMP_VERDICT_ACTIVE, surplus = v->state == PMP_VERDICT_SURPLUS;
  l->accepts += stands && v->judgement == PMP_ACCEPT;
  l->rejects += stands && v->judgement == PMP_REJECT;
  l->skips += stands && v->judgement == PMP_SKIP;
  l->surplus += surplus;
  l->withdrawn += !stands && !surplus;
  if ((!stands && !surplus) || v->judgement == PMP_SKIP) return PMP_OK;
  if (c->count == c->room) {
    const size_t room = c->room ? 2 * c->room : 1024;
    struct said *grown = realloc(c->said, room * sizeof *grown);
    if (!grown) return PMP_ENOMEM;
    c->said = grown;
    c->room = room;
  }
  c->said[c->count++] = (struct said){.item = {v->chunk, v->row, v->rows},
                                      .id = v->id,
                                      .who = who,
                                      .accept = v->judgement == PMP_ACCEPT};
  return PMP_OK;
}

static int compare_items(const struct said *a, const struct said *b) {
  if (a->item.chunk != b->item.chunk) return a->item.chunk < b->item.chunk ? -1 : 1;
  if (a->item.row != b->item.row) return a->item.row < b->item.row ? -1 : 1;
  if (a->item.rows != b->item.rows) return a->item.rows < b->item.rows ? -1 : 1;
  return 0;
}

static int compare_said(const void *x, const void *y) {
  const struct said *a = x, *b = y;
  const int c = compare_items(a, b);
  if (c != 0) return c;
  if (a->who != b->who) return a->who < b->who ? -1 : 1;
  return a->id < b->id ? -1 : a->id > b->id;
}

/* In pages, so that the store's log can begin anew in between. */
static enum pmp_err take_census(struct pmp_desk_reader *r, struct census *c,
                                struct pmp_errmsg *msg) {
  do {
    c->paged = 0;
    PMP_TRY(pmp_reader_verdicts(r->db, c->last, PAGE, NULL, on_census, c, msg));
  } while (c->paged == PAGE);
  if (c->count > 0) qsort(c->said, c->count, sizeof *c->said, compare_said);
  return PMP_OK;
}

/* What each person said last of each item whose truth is known. */
static void measure(struct census *c) {
  for (size_t i = 0; i < c->count; i++) {
    const struct said *s = &c->said[i];
    const bool last = i + 1 == c->count || s[1].who != s->who || compare_items(s, s + 1) != 0;
    const int truth = last ? pmp_gold_list_truth(&c->gold, s->item) : 0;
    if (truth == 0) continue;
    c->labeler[s->who].gold++;
    c->labeler[s->who].gold_right += s->accept == (truth == PMP_ACCEPT);
  }
}

/* One rating a person and item, the latest; *out is malloc'd. */
static enum pmp_err ratings_of(const struct census *c, struct pmp_rating **out, size_t *count) {
  struct pmp_rating *r = calloc(c->count + 1, sizeof *r);
  *out = r;
  *count = 0;
  if (!r) return PMP_ENOMEM;
  uint32_t item = 0;
  for (size_t i = 0; i < c->count; i++) {
    const bool other = i > 0 && compare_items(&c->said[i - 1], &c->said[i]) != 0;
    if (other) item++;
    if (i > 0 && !other && c->said[i - 1].who == c->said[i].who) (*count)--;
    r[(*count)++] = (struct pmp_rating){item, c->said[i].who, c->said[i].accept};
  }
  return PMP_OK;
}

static int compare_pairs(const void *x, const void *y) {
  const struct pmp_pair_record *a = x, *b = y;
  if (a->items != b->items) return a->items > b->items ? -1 : 1;
  const int c = strcmp(a->a, b->a);
  return c != 0 ? c : strcmp(a->b, b->b);
}

/* Pairs with most items in common first; and what each labeler shares with all others. */
static enum pmp_err add_pairs(struct census *c, const struct pmp_pair_table *table, uint32_t raters,
                              struct pmp_arena *out, struct pmp_review_reply *reply) {
  struct pmp_pair_record *all = calloc((size_t)raters * raters + 1, sizeof *all);
  if (!all) return PMP_ENOMEM;
  uint32_t n = 0;
  for (uint32_t a = 0; a < raters; a++) {
    for (uint32_t b = a + 1; b < raters; b++) {
      const struct pmp_pair_table *t = &table[(size_t)a * raters + b];
      const struct pmp_pair_agreement p = pmp_agreement_pair(t);
      if (p.items == 0) continue;
      const bool ordered = strcmp(c->name[a], c->name[b]) < 0;
      all[n++] = (struct pmp_pair_record){.a = c->name[ordered ? a : b],
                                          .b = c->name[ordered ? b : a],
                                          .items = p.items,
                                          .raw = p.raw,
                                          .kappa = p.kappa,
                                          .kappa_known = p.kappa_known};
      const double same = t->said[0][0] + (double)t->said[1][1];
      for (int k = 0; k < 2; k++) {
        struct pmp_labeler_record *l = &c->labeler[k ? b : a];
        l->pairs += p.items;
        l->agreement += same; /* a sum until the end */
      }
    }
  }
  qsort(all, n, sizeof *all, compare_pairs);
  if (n > PAIRS_MAX) n = PAIRS_MAX;
  struct pmp_pair_record *kept = pmp_arena_array(out, n, sizeof *kept);
  enum pmp_err err = kept ? PMP_OK : PMP_ENOMEM;
  for (uint32_t i = 0; err == PMP_OK && i < n; i++) {
    kept[i] = all[i];
    kept[i].a = keep_text(out, all[i].a);
    kept[i].b = keep_text(out, all[i].b);
    if (!kept[i].a || !kept[i].b) err = PMP_ENOMEM;
  }
  free(all);
  reply->pair = kept;
  reply->pairs = n;
  return err;
}

static enum pmp_err add_labelers(struct census *c, struct pmp_arena *out,
                                 struct pmp_review_reply *reply) {
  const uint32_t n = c->labelers < 4 * PMP_REVIEW_MAX ? c->labelers : 4 * PMP_REVIEW_MAX;
  struct pmp_labeler_record *l = pmp_arena_array(out, n, sizeof *l);
  if (!l) return PMP_ENOMEM;
  for (uint32_t i = 0; i < n; i++) {
    l[i] = c->labeler[i];
    l[i].who = keep_text(out, c->name[i]);
    if (!l[i].who) return PMP_ENOMEM;
    if (l[i].pairs > 0) l[i].agreement /= (double)l[i].pairs;
  }
  reply->labeler = l;
  reply->labelers = n;
  return PMP_OK;
}

static enum pmp_err add_numbers(const struct pmp_rating *rating, size_t n, uint32_t raters,
                                struct pmp_arena *out, struct pmp_review_reply *reply) {
  struct pmp_agreement a;
  pmp_agreement_all(rating, n, &a);
  struct pmp_number *number = pmp_arena_array(out, 8, sizeof *number);
  if (!number) return PMP_ENOMEM;
  uint32_t k = 0;
  number[k++] = (struct pmp_number){"items", (double)a.items};
  number[k++] = (struct pmp_number){"ratings", (double)a.ratings};
  number[k++] = (struct pmp_number){"raters", raters};
  number[k++] = (struct pmp_number){"pairs", (double)a.pairs};
  if (a.pairs > 0) number[k++] = (struct pmp_number){"raw", a.raw};
  if (a.fleiss_known) number[k++] = (struct pmp_number){"fleiss_kappa", a.fleiss};
  if (a.alpha_known) number[k++] = (struct pmp_number){"krippendorff_alpha", a.alpha};
  reply->number = number;
  reply->numbers = k;
  return PMP_OK;
}

static enum pmp_err count(struct pmp_desk_reader *r, const struct pmp_review *q,
                          struct pmp_arena *out, struct pmp_review_reply *reply,
                          struct pmp_errmsg *msg) {
  struct census c = {0};
  struct pmp_rating *rating = NULL;
  struct pmp_pair_table *table = NULL;
  size_t n = 0;
  enum pmp_err err = take_census(r, &c, msg);
  if (err == PMP_OK) err = pmp_gold_list_read(r->db, &c.gold, msg);
  if (err == PMP_OK) measure(&c);
  if (err == PMP_OK) err = ratings_of(&c, &rating, &n);
  const uint32_t raters = c.labelers < RATERS_MAX ? c.labelers : RATERS_MAX;
  if (err == PMP_OK && !(table = calloc((size_t)raters * raters + 1, sizeof *table)))
    err = PMP_ENOMEM;
  if (err == PMP_OK) {
    pmp_agreement_tables(rating, n, raters, table);
    err = add_pairs(&c, table, raters, out, reply);
  }
  if (err == PMP_OK && q->subject == PMP_SUBJECT_LABELERS) {
    reply->pairs = 0;
    err = add_labelers(&c, out, reply);
  } else if (err == PMP_OK) {
    err = add_numbers(rating, n, c.labelers, out, reply);
  }
  free(table);
  free(rating);
  census_fini(&c);
  return err;
}

enum pmp_err pmp_desk_reader_review(struct pmp_desk_reader *r, const struct pmp_review *q,
                                    struct pmp_arena *out, struct pmp_review_reply *reply,
                                    struct pmp_errmsg *msg) {
  PMP_TRY(pmp_call_arena(out, r->message_bytes + ((size_t)8 << 20)));
  if (q->subject == PMP_SUBJECT_GOLD) return pmp_desk_reader_list_gold(r, q, out, reply, msg);
  if (q->subject == PMP_SUBJECT_VERDICTS) return list(r, q, out, reply, msg);
  return count(r, q, out, reply, msg);
}
