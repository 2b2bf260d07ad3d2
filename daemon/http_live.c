/* Server-sent events: the status, once a second, to those who listen. All share one text; who is
 * slow misses some, and who takes nothing for long is cut off. */
#include "daemon/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PERIOD_NS INT64_C(1000000000)
#define PATIENCE_NS INT64_C(15000000000)

struct frame { /* one event; freed by its last holder */
  uint32_t holders;
  size_t size;
  char text[];
};

struct pmp_http_listener {
  struct pmp_http_request *request; /* NULL: free */
  struct frame *frame;              /* being sent */
  size_t sent;
  uint64_t number; /* of the frame */
  int64_t moved_ns;
  bool ended;
};

struct pmp_http_live {
  struct pmp_http *http;
  struct pmp_http_listener listener[PMP_HTTP_LISTENERS_MAX];
  uint32_t count;
  struct pmp_call call; /* asks for the status */
  struct pmp_request request;
  struct frame *newest;
  uint64_t number;
  int64_t due_ns;
};

static void release(struct frame *f) {
  if (f && --f->holders == 0) free(f);
}

static struct frame *frame_of(json_t *value) {
  static const char head[] = "event: status\ndata: ", tail[] = "\n\n";
  char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
  struct frame *f = NULL;
  if (text) {
    const size_t n = strlen(text), all = sizeof head - 1 + n + sizeof tail - 1;
    f = malloc(sizeof *f + all + 1);
    if (f) {
      f->holders = 1;
      f->size = all;
      snprintf(f->text, all + 1, "%s%s%s", head, text, tail);
    }
  }
  free(text);
  json_decref(value);
  return f;
}

/* The status of this moment, asked of ourselves. */
static void on_status(struct pmp_call *call, struct pmp_reply *reply) {
  struct pmp_http_live *l = call->user;
  if (reply->code != PMP_OK) return;
  struct frame *f = frame_of(pmp_json_status(&reply->u.status));
  if (!f) return;
  release(l->newest);
  l->newest = f;
  l->number++;
}

static void refresh(struct pmp_http_live *l) {
  const struct pmp_status q = {.actors = true};
  l->call.user = l;
  l->call.answer = on_status;
  pmp_serve_status(l->http->server, &l->call, &q);
}

/* libmicrohttpd wants more of the stream. */
static ssize_t more(void *cls, uint64_t pos, char *buf, size_t max) {
  (void)pos;
  struct pmp_http_listener *l = cls;
  struct pmp_http_request *r = l->request;
  if (!r || l->ended || r->http->closing) return MHD_CONTENT_READER_END_OF_STREAM;
  struct pmp_http_live *live = r->http->live;
  if ((!l->frame || l->sent == l->frame->size) && l->number != live->number) {
    release(l->frame);
    l->frame = live->newest;
    l->frame->holders++;
    l->number = live->number;
    l->sent = 0;
  }
  const size_t left = l->frame ? l->frame->size - l->sent : 0;
  l->moved_ns = pmp_clock_mono(&r->http->server->clock);
  if (left == 0) {
    r->suspended = true;
    MHD_suspend_connection(r->connection);
    return 0;
  }
  const size_t n = left < max ? left : max;
  memcpy(buf, l->frame->text + l->sent, n);
  l->sent += n;
  return (ssize_t)n;
}

enum pmp_err pmp_http_live_open(struct pmp_http *h) {
  h->live = calloc(1, sizeof *h->live);
  if (!h->live) return PMP_ENOMEM;
  h->live->http = h;
  return PMP_OK;
}

void pmp_http_live_serve(struct pmp_http_request *r) {
  struct pmp_http_live *live = r->http->live;
  struct pmp_http_listener *l = NULL;
  for (uint32_t i = 0; i < PMP_HTTP_LISTENERS_MAX && !l; i++)
    if (!live->listener[i].request) l = &live->listener[i];
  if (!l) {
    pmp_http_fail(r, PMP_EBUSY, 5000, "%d pages listen already", PMP_HTTP_LISTENERS_MAX);
    return;
  }
  struct MHD_Response *response =
      MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, more, l, NULL);
  if (!response) {
    pmp_http_reply(r, 0, NULL);
    return;
  }
  *l =
      (struct pmp_http_listener){.request = r, .moved_ns = pmp_clock_mono(&r->http->server->clock)};
  r->listener = l;
  live->count++;
  refresh(live);
  MHD_add_response_header(response, "Content-Type", "text/event-stream");
  MHD_add_response_header(response, "X-Accel-Buffering", "no");
  pmp_http_headers(response, true);
  pmp_http_reply(r, MHD_HTTP_OK, response);
}

static void wake(struct pmp_http_request *r) {
  if (!r->suspended) return;
  r->suspended = false;
  MHD_resume_connection(r->connection);
}

void pmp_http_live_tick(struct pmp_http *h, int64_t now) {
  struct pmp_http_live *live = h->live;
  if (live->count == 0 || now < live->due_ns) return;
  live->due_ns = now + PERIOD_NS;
  refresh(live);
  for (uint32_t i = 0; i < PMP_HTTP_LISTENERS_MAX; i++) {
    struct pmp_http_listener *l = &live->listener[i];
    if (!l->request || l->request->stage != PMP_HTTP_SENDING) continue;
    const struct pmp_bytes id = {l->request->session, PMP_SESSION_BYTES};
    if (!pmp_sessions_find(&h->server->sessions, id, now)) l->ended = true;
    if (!l->request->suspended && now - l->moved_ns > PATIENCE_NS) {
      shutdown(l->request->fd, SHUT_RDWR);
      h->refused_slow++;
    }
    wake(l->request);
  }
}

void pmp_http_live_leave(struct pmp_http_request *r) {
  struct pmp_http_listener *l = r->listener;
  release(l->frame);
  *l = (struct pmp_http_listener){0};
  r->listener = NULL;
  r->http->live->count--;
}

void pmp_http_live_end(struct pmp_http *h) {
  for (uint32_t i = 0; i < PMP_HTTP_LISTENERS_MAX; i++) {
    struct pmp_http_listener *l = &h->live->listener[i];
    if (!l->request) continue;
    l->ended = true;
    wake(l->request);
  }
}

void pmp_http_live_close(struct pmp_http *h) {
  if (!h->live) return;
  release(h->live->newest);
  pmp_arena_fini(&h->live->call.arena);
  pmp_arena_fini(&h->live->call.out);
  free(h->live);
  h->live = NULL;
}
