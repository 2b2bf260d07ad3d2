/* What a session has leased and may look at, as responses that are ready to send. Bounded: the
 * oldest go first, and a page that misses one leases its item again. */
#include "daemon/http_internal.h"

#include <stdlib.h>
#include <string.h>

/* What a browser may be shown as what it is. Anything else is bytes to it. */
static const char *safe_type(const char *type) {
  static const char *const known[] = {"image/png", "image/jpeg", "image/gif",  "image/webp",
                                      "video/mp4", "video/webm", "audio/mpeg", "audio/ogg",
                                      "audio/wav", "text/plain"};
  const size_t n = strcspn(type, "; ");
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strlen(known[i]) == n && strncmp(known[i], type, n) == 0) return known[i];
  return strncmp(type, "text/", 5) == 0 ? "text/plain" : "application/octet-stream";
}

static bool same_item(struct pmp_item_ref a, struct pmp_item_ref b) {
  return a.chunk == b.chunk && a.row == b.row && a.rows == b.rows;
}

static void drop(struct pmp_http *h, uint32_t i) {
  MHD_destroy_response(h->media[i].response); /* one that is being sent lives on */
  h->media_bytes -= h->media[i].bytes;
  h->media[i] = h->media[--h->media_count];
}

static void drop_oldest(struct pmp_http *h) {
  uint32_t oldest = 0;
  for (uint32_t i = 1; i < h->media_count; i++)
    if (h->media[i].used < h->media[oldest].used) oldest = i;
  drop(h, oldest);
}

static struct pmp_http_media *find(struct pmp_http *h, const uint8_t session[PMP_SESSION_BYTES],
                                   struct pmp_item_ref item, uint32_t index) {
  for (uint32_t i = 0; i < h->media_count; i++) {
    struct pmp_http_media *m = &h->media[i];
    if (m->index == index && same_item(m->item, item) &&
        memcmp(m->session, session, PMP_SESSION_BYTES) == 0)
      return m;
  }
  return NULL;
}

static bool make_room(struct pmp_http *h, size_t bytes) {
  if (bytes > PMP_HTTP_MEDIA_BYTES) return false;
  while (h->media_count > 0 && h->media_bytes + bytes > PMP_HTTP_MEDIA_BYTES) drop_oldest(h);
  if (h->media_count < h->media_capacity) return true;
  if (h->media_capacity >= 65536) {
    drop_oldest(h);
    return true;
  }
  const uint32_t more = h->media_capacity ? 2 * h->media_capacity : 64;
  struct pmp_http_media *grown = realloc(h->media, more * sizeof *grown);
  if (!grown) return false;
  h->media = grown;
  h->media_capacity = more;
  return true;
}

static void keep_one(struct pmp_http *h, const uint8_t session[PMP_SESSION_BYTES],
                     struct pmp_item_ref item, uint32_t index, const struct pmp_media *m) {
  struct pmp_http_media *have = find(h, session, item, index);
  if (have) {
    have->used = ++h->media_clock;
    return;
  }
  if (!make_room(h, m->bytes)) return;
  /* libmicrohttpd takes a pointer that it could write to, and copies. */
  struct MHD_Response *response = MHD_create_response_from_buffer(
      m->bytes, m->bytes ? (void *)(uintptr_t)m->data : (void *)"", MHD_RESPMEM_MUST_COPY);
  if (!response) return;
  MHD_add_response_header(response, "Content-Type", safe_type(m->type));
  MHD_add_response_header(response, "Content-Disposition", "attachment");
  pmp_http_headers(response, true);
  struct pmp_http_media *slot = &h->media[h->media_count++];
  *slot = (struct pmp_http_media){.item = item,
                                  .index = index,
                                  .response = response,
                                  .bytes = m->bytes,
                                  .used = ++h->media_clock};
  memcpy(slot->session, session, PMP_SESSION_BYTES);
  h->media_bytes += m->bytes;
}

void pmp_http_media_keep(struct pmp_http *h, const uint8_t session[PMP_SESSION_BYTES],
                         const struct pmp_leased_item *item) {
  for (uint32_t i = 0; i < item->medias; i++) keep_one(h, session, item->item, i, &item->media[i]);
}

struct MHD_Response *pmp_http_media_find(struct pmp_http *h,
                                         const uint8_t session[PMP_SESSION_BYTES],
                                         struct pmp_item_ref item, uint32_t index) {
  struct pmp_http_media *m = find(h, session, item, index);
  if (!m) return NULL;
  m->used = ++h->media_clock;
  return m->response;
}

void pmp_http_media_forget(struct pmp_http *h, const uint8_t session[PMP_SESSION_BYTES],
                           const struct pmp_item_ref *item) {
  for (uint32_t i = 0; i < h->media_count;) {
    const struct pmp_http_media *m = &h->media[i];
    if (memcmp(m->session, session, PMP_SESSION_BYTES) == 0 &&
        (!item || same_item(m->item, *item))) {
      drop(h, i);
    } else {
      i++;
    }
  }
}

void pmp_http_media_fini(struct pmp_http *h) {
  while (h->media_count > 0) drop(h, h->media_count - 1);
  free(h->media);
  h->media = NULL;
  h->media_capacity = 0;
}
