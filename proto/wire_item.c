/* Items of a chunk and what a person is shown of them. */
#include "proto/wire_internal.h"

#include <math.h>
#include <string.h>

static const char text_type[] = "text/plain";

static bool type_known(const char *type) {
  static const char *const known[] = {text_type,    "image/png", "image/jpeg", "image/gif",
                                      "image/webp", "video/mp4", "video/webm"};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp(type, known[i]) == 0) return true;
  return false;
}

static enum pmp_err check_media(const struct wire_in *in, const struct pmp_media *m) {
  if (!type_known(m->type))
    return pmp_fail(in->msg, PMP_EINVALID,
                    "media.type: \"%.40s\" is neither text/plain nor an image or video that is "
                    "shown",
                    m->type);
  if (m->bytes > 0 && m->data == NULL) return pmp_fail(in->msg, PMP_EINVALID, "media: no bytes");
  if (strcmp(m->type, text_type) != 0 || m->bytes == 0) return PMP_OK;
  if (memchr(m->data, 0, m->bytes) || !wire_utf8_valid(m->data, m->bytes))
    return pmp_fail(in->msg, PMP_EINVALID, "media: a text that is not UTF-8, or has a NUL");
  return PMP_OK;
}

enum pmp_err wire_in_media(const struct wire_in *in, PB(Media) *const *from, size_t n,
                           const struct pmp_media **out, uint32_t *count) {
  if (n > PMP_ITEM_MEDIA_MAX)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "media: %zu of one item; the limit is %d", n,
                    PMP_ITEM_MEDIA_MAX);
  void *memory;
  PMP_TRY(wire_in_array(in, n, sizeof(struct pmp_media), &memory));
  struct pmp_media *media = memory;
  for (size_t i = 0; i < n; i++) {
    PMP_TRY(wire_in_text(in, "media.name", from[i]->name, &media[i].name));
    PMP_TRY(wire_in_text(in, "media.type", from[i]->type, &media[i].type));
    media[i].data = from[i]->data.data;
    media[i].bytes = from[i]->data.len;
    PMP_TRY(check_media(in, &media[i]));
  }
  *out = media;
  *count = (uint32_t)n;
  return PMP_OK;
}

enum pmp_err wire_in_items(const struct wire_in *in, const PB(Chunk) * from,
                           struct pmp_chunk *out) {
  PMP_TRY(wire_in_count(in, "chunk.item", from->n_item));
  if (from->n_item == 0) return PMP_OK;
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_item, sizeof(struct pmp_item), &memory));
  struct pmp_item *item = memory;
  for (size_t i = 0; i < from->n_item; i++) {
    const PB(Item) *f = from->item[i];
    item[i].row = f->row;
    item[i].rows = f->rows;
    item[i].score = f->score;
    PMP_TRY(wire_in_media(in, f->media, f->n_media, &item[i].media, &item[i].medias));
  }
  out->item = item;
  out->items = (uint32_t)from->n_item;
  return PMP_OK;
}

enum pmp_err wire_item_check(const struct wire_in *in, const struct pmp_chunk *c) {
  uint64_t end = 0;
  if (c->items > 0 && c->item == NULL)
    return pmp_fail(in->msg, PMP_EINVALID, "chunk: %u items without a list", c->items);
  for (uint32_t i = 0; i < c->items; i++) {
    const struct pmp_item *item = &c->item[i];
    if (item->rows == 0) return pmp_fail(in->msg, PMP_EINVALID, "item %u: no rows", i);
    if (item->row < end)
      return pmp_fail(
          in->msg, PMP_EINVALID,
          "item %u: row %u comes after row %llu (items are in order and do not overlap)", i,
          item->row, (unsigned long long)end);
    end = (uint64_t)item->row + item->rows;
    if (end > c->rows)
      return pmp_fail(in->msg, PMP_EINVALID, "item %u: rows %u+%u of a chunk with %u", i, item->row,
                      item->rows, c->rows);
    if (!isfinite(item->score))
      return pmp_fail(in->msg, PMP_EINVALID, "item %u: its score is not finite", i);
    for (uint64_t row = item->row; c->verdict && row < end; row++)
      if (c->verdict[row] != 0)
        return pmp_fail(in->msg, PMP_EINVALID, "item %u: row %llu brought a label of its own", i,
                        (unsigned long long)row);
    for (uint32_t k = 0; k < item->medias; k++) PMP_TRY(check_media(in, &item->media[k]));
  }
  return PMP_OK;
}

enum pmp_err wire_out_media(const struct wire_out *w, const struct pmp_media *from, uint32_t count,
                            PB(Media) * **out, size_t *n) {
  PB(Media) * media;
  WIRE_NEW_MANY(w, Media, media, count, *out, media);
  *n = count;
  const struct wire_in in = {.msg = w->msg};
  for (uint32_t i = 0; i < count; i++) {
    PMP_TRY(check_media(&in, &from[i]));
    PMP_TRY(wire_out_text(w, "media.name", from[i].name, &media[i].name));
    PMP_TRY(wire_out_text(w, "media.type", from[i].type, &media[i].type));
    const struct pmp_bytes bytes = {from[i].data, from[i].bytes};
    PMP_TRY(wire_out_bytes(w, "media.data", bytes, &media[i].data));
  }
  return PMP_OK;
}

enum pmp_err wire_out_items(const struct wire_out *w, const struct pmp_chunk *from,
                            PB(Chunk) * to) {
  PB(Item) * item;
  WIRE_NEW_MANY(w, Item, item, from->items, to->item, item);
  to->n_item = from->items;
  for (uint32_t i = 0; i < from->items; i++) {
    const struct pmp_item *f = &from->item[i];
    if (f->medias > PMP_ITEM_MEDIA_MAX)
      return pmp_fail(w->msg, PMP_EINVALID, "item %u: %u media", i, f->medias);
    item[i].row = f->row;
    item[i].rows = f->rows;
    item[i].score = f->score;
    PMP_TRY(wire_out_media(w, f->media, f->medias, &item[i].media, &item[i].n_media));
  }
  return PMP_OK;
}

size_t pmp_wire_chunk_arena(size_t bytes, const struct pmp_wire_limits *limits) {
  /* Columns unpack to little more than themselves; an item of four bytes or a medium of fourteen
   * becomes a message, a pointer to it and a struct. */
  size_t small = bytes / 4;
  if (small > limits->repeated) small = limits->repeated;
  return 3 * bytes + 65536 + small * 320;
}
