#include "daemon/reader_desk.h"

#include "daemon/rows.h"
#include "daemon/stored.h"

#include <inttypes.h>
#include <string.h>

#define ITEM_BYTES 192 /* of a leased item on the wire beside its contents, at most */

void pmp_desk_reader_fini(struct pmp_desk_reader *r) {
  pmp_arena_fini(&r->stored);
  pmp_arena_fini(&r->rows);
  r->chunk = 0;
}

enum pmp_err pmp_desk_reader_chunk(struct pmp_desk_reader *r, uint64_t chunk,
                                   struct pmp_errmsg *msg) {
  if (chunk != 0 && r->chunk == chunk) return PMP_OK;
  r->chunk = 0;
  PMP_TRY(pmp_reader_chunk(r->db, chunk, &r->entry, msg));
  PMP_TRY(pmp_stored_decode(r->spec, r->entry.data, r->entry.bytes, 65536, &r->stored, &r->decoded,
                            msg));
  r->chunk = chunk;
  return PMP_OK;
}

const struct pmp_item *pmp_desk_reader_item(const struct pmp_chunk *c, struct pmp_item_ref ref) {
  for (uint32_t i = 0; i < c->items; i++)
    if (c->item[i].row == ref.row && c->item[i].rows == ref.rows) return &c->item[i];
  return NULL;
}

static const void *keep(struct pmp_arena *a, const void *data, size_t bytes) {
  void *copy = pmp_arena_alloc(a, bytes);
  if (copy && bytes > 0) memcpy(copy, data, bytes);
  return copy;
}

static const char *keep_text(struct pmp_arena *a, const char *text) {
  return keep(a, text, strlen(text) + 1);
}

static bool is_text(const struct pmp_media *m) {
  return strcmp(m->type, "text/plain") == 0;
}

enum pmp_err pmp_desk_reader_media(const struct pmp_item *item, bool texts_only,
                                   struct pmp_arena *out, const struct pmp_media **media,
                                   uint32_t *count) {
  *media = NULL;
  *count = 0;
  if (!item || item->medias == 0) return PMP_OK;
  struct pmp_media *to = pmp_arena_array(out, item->medias, sizeof *to);
  if (!to) return PMP_ENOMEM;
  for (uint32_t i = 0; i < item->medias; i++) {
    const struct pmp_media *from = &item->media[i];
    if (texts_only && !is_text(from)) continue;
    struct pmp_media *m = &to[(*count)++];
    m->name = keep_text(out, from->name);
    m->type = keep_text(out, from->type);
    m->data = keep(out, from->data, from->bytes);
    m->bytes = from->bytes;
    if (!m->name || !m->type || !m->data) return PMP_ENOMEM;
  }
  *media = to;
  return PMP_OK;
}

/* Entries [from, from + n) of a tensor's first dimension; `one` drops that dimension. */
static enum pmp_err slice(const struct pmp_tensor *t, uint64_t from, uint64_t n, bool one,
                          struct pmp_arena *out, struct pmp_tensor *to) {
  *to = *t;
  if (t->rank == 0 || t->shape[0] == 0 || from + n > t->shape[0]) {
    *to = (struct pmp_tensor){.dtype = PMP_DTYPE_NONE};
    return PMP_OK;
  }
  const size_t each = t->bytes / (size_t)t->shape[0];
  to->bytes = each * (size_t)n;
  to->data = keep(out, (const char *)t->data + each * (size_t)from, to->bytes);
  if (!to->data) return PMP_ENOMEM;
  to->shape[0] = n;
  if (one) {
    to->rank--;
    memmove(to->shape, to->shape + 1, to->rank * sizeof *to->shape);
  }
  return PMP_OK;
}

static enum pmp_err fill_numbers(const struct pmp_chunk *c, struct pmp_item_ref ref,
                                 struct pmp_arena *out, struct pmp_leased_item *to) {
  const bool groups = c->shape == PMP_SHAPE_OUTCOMES && c->group;
  const uint32_t unit = groups ? c->group[ref.row] : ref.row;
  const uint32_t units = groups ? c->group[ref.row + ref.rows - 1] - unit + 1 : ref.rows;
  for (uint32_t p = 0; p < c->obs_parts; p++) {
    if (c->obs_offset) {
      const uint32_t from = c->obs_offset[unit], n = c->obs_offset[unit + 1] - from;
      PMP_TRY(slice(&c->obs[p], from, n, false, out, &to->condition[p]));
    } else {
      PMP_TRY(slice(&c->obs[p], unit, units, false, out, &to->condition[p]));
    }
  }
  to->conditions = c->obs_parts;
  if (c->version) to->ref_version = c->version[c->versions == 1 ? 0 : ref.row];
  if (!c->action_offset) return slice(&c->action, ref.row, ref.rows, false, out, &to->outcome);
  const uint32_t from = c->action_offset[ref.row];
  return slice(&c->action, from, c->action_offset[ref.row + ref.rows] - from, false, out,
               &to->outcome);
}

static size_t bytes_of(const struct pmp_leased_item *i) {
  size_t sum = ITEM_BYTES + i->outcome.bytes + strlen(i->actor);
  for (uint32_t k = 0; k < i->conditions; k++) sum += i->condition[k].bytes + 96;
  for (uint32_t k = 0; k < i->medias; k++)
    sum += i->media[k].bytes + strlen(i->media[k].name) + strlen(i->media[k].type) + 32;
  return sum;
}

/* PMP_ENOMEM: no room in the reply. */
static enum pmp_err fill_item(struct pmp_desk_reader *r, const struct pmp_items_view *v,
                              int64_t now_ns, struct pmp_arena *out, struct pmp_leased_item *to,
                              struct pmp_errmsg *msg) {
  PMP_TRY(pmp_desk_reader_chunk(r, v->ref.chunk, msg));
  if ((uint64_t)v->ref.row + v->ref.rows > r->decoded.rows)
    return pmp_fail(msg, PMP_ECORRUPT, "chunk %" PRIu64 " has %u rows", v->ref.chunk,
                    r->decoded.rows);
  const int64_t left = (v->until_ns - now_ns) / 1000000;
  *to = (struct pmp_leased_item){.item = v->ref,
                                 .labels = v->labels,
                                 .score = v->score,
                                 .lease_ms = left < 0            ? 0
                                             : left > UINT32_MAX ? UINT32_MAX
                                                                 : (uint32_t)left};
  to->actor = keep_text(out, r->entry.actor);
  if (!to->actor) return PMP_ENOMEM;
  PMP_TRY(pmp_desk_reader_media(pmp_desk_reader_item(&r->decoded, v->ref), false, out, &to->media,
                                &to->medias));
  return fill_numbers(&r->decoded, v->ref, out, to);
}

enum pmp_err pmp_desk_reader_lease(struct pmp_desk_reader *r, struct pmp_lease_work *work,
                                   struct pmp_arena *out, struct pmp_lease_reply *reply,
                                   struct pmp_errmsg *msg) {
  size_t left = r->message_bytes - 4096;
  const size_t room =
      r->message_bytes + ((size_t)1 << 20) + work->views * (sizeof(struct pmp_leased_item) + 4096);
  memset(work->fate, PMP_LEASE_NO_ROOM, work->views);
  PMP_TRY(pmp_call_arena(out, room));
  struct pmp_leased_item *item = pmp_arena_array(out, work->views, sizeof *item);
  if (!item) return PMP_ENOMEM;
  uint32_t n = 0;
  for (uint32_t i = 0; i < work->views; i++) {
    const uint64_t chunk = work->view[i].ref.chunk;
    enum pmp_err err = fill_item(r, &work->view[i], work->now_ns, out, &item[n], msg);
    if (err == PMP_ENOTFOUND || err == PMP_ECORRUPT || err == PMP_EINVALID) {
      work->fate[i] = PMP_LEASE_GONE;
      if (err != PMP_ENOTFOUND)
        pmp_log_write(r->log, PMP_LOG_ERROR, "PMP-DESK-CHUNK", "chunk=%" PRIu64 " reason=\"%s\"",
                      chunk, msg->text);
      continue;
    }
    if (err != PMP_OK && err != PMP_ENOMEM) return err;
    const size_t bytes = err == PMP_OK ? bytes_of(&item[n]) : SIZE_MAX;
    if (n > 0 && bytes > left) break;
    if (err != PMP_OK) return err;
    left -= bytes < left ? bytes : left;
    work->fate[i] = PMP_LEASE_SENT;
    n++;
  }
  reply->item = item;
  reply->items = n;
  return PMP_OK;
}
