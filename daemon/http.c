/* libmicrohttpd on the loop: connections, the way of a request, and what every answer carries. */
#include "daemon/http_internal.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARENA_KEEP_BYTES ((size_t)256 << 10)
#define IDLE_NS INT64_C(75000000000) /* a connection between requests */
#define BODY_NS INT64_C(30000000000) /* for a body to come in */
#define SEND_NS INT64_C(120000000000)
#define CONNECTION_MEMORY ((size_t)32 << 10)
#define CONNECTIONS_MAX 1024
#define RUNS_AT_ONCE 8

static int64_t now_ns(const struct pmp_http *h) {
  return pmp_clock_mono(&h->server->clock);
}

/* ---- answers ---- */

unsigned pmp_http_status_of(enum pmp_err code) {
  switch (code) {
  case PMP_OK:
    return MHD_HTTP_OK;
  case PMP_EINVALID:
    return MHD_HTTP_BAD_REQUEST;
  case PMP_EUNAUTHENTICATED:
    return MHD_HTTP_UNAUTHORIZED;
  case PMP_EFORBIDDEN:
    return MHD_HTTP_FORBIDDEN;
  case PMP_ENOTFOUND:
    return MHD_HTTP_NOT_FOUND;
  case PMP_ECONFLICT:
    return MHD_HTTP_CONFLICT;
  case PMP_EBUSY:
    return MHD_HTTP_TOO_MANY_REQUESTS;
  case PMP_ETOOLARGE:
    return MHD_HTTP_CONTENT_TOO_LARGE;
  case PMP_EUNAVAILABLE:
    return MHD_HTTP_SERVICE_UNAVAILABLE;
  default:
    return MHD_HTTP_INTERNAL_SERVER_ERROR;
  }
}

void pmp_http_headers(struct MHD_Response *response, bool api) {
  static const char *const both[][2] = {
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"X-Frame-Options", "DENY"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Permissions-Policy", "camera=(), microphone=(), geolocation=()"},
  };
  for (size_t i = 0; i < sizeof both / sizeof both[0]; i++)
    MHD_add_response_header(response, both[i][0], both[i][1]);
  MHD_add_response_header(response, "Content-Security-Policy",
                          api ? "default-src 'none'; frame-ancestors 'none'; sandbox"
                              : "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
                                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                                "object-src 'none'");
  if (api) MHD_add_response_header(response, "Cache-Control", "no-store");
}

static void run_soon(struct pmp_http *h) {
  if (!h->closing) uv_timer_start(&h->timer, h->timer.timer_cb, 0, 0);
}

void pmp_http_reply(struct pmp_http_request *r, unsigned status, struct MHD_Response *response) {
  r->response = response;
  r->status = status;
  r->stage = PMP_HTTP_ANSWERED;
  if (!r->suspended) return;
  r->suspended = false;
  MHD_resume_connection(r->connection);
  run_soon(r->http);
}

void pmp_http_reply_shared(struct pmp_http_request *r, unsigned status,
                           struct MHD_Response *response) {
  r->shared = true;
  pmp_http_reply(r, status, response);
}

void pmp_http_reply_json(struct pmp_http_request *r, unsigned status, json_t *value) {
  char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
  json_decref(value);
  struct MHD_Response *response =
      text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL;
  if (!response) free(text);
  if (response) {
    MHD_add_response_header(response, "Content-Type", "application/json");
    pmp_http_headers(response, true);
  }
  pmp_http_reply(r, status, response);
}

static void fail(struct pmp_http_request *r, unsigned status, enum pmp_err code, uint32_t retry_ms,
                 const char *message) {
  json_t *text = json_string(message);
  json_t *body =
      json_pack("{s:s, s:o, s:I}", "code", pmp_err_name(code), "message",
                text ? text : json_string("(not UTF-8)"), "retry_after_ms", (json_int_t)retry_ms);
  pmp_http_reply_json(r, status, body);
  if (!r->response) return;
  char seconds[16];
  snprintf(seconds, sizeof seconds, "%u", (retry_ms + 999) / 1000);
  if (retry_ms > 0) MHD_add_response_header(r->response, "Retry-After", seconds);
  if (status == MHD_HTTP_UNAUTHORIZED)
    MHD_add_response_header(r->response, "WWW-Authenticate", "Bearer");
}

void pmp_http_fail(struct pmp_http_request *r, enum pmp_err code, uint32_t retry_ms,
                   const char *fmt, ...) {
  char text[600];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  fail(r, pmp_http_status_of(code), code, retry_ms, text);
}

/* ---- the call ---- */

/* The daemon's answer to r's call; within the handler or later. */
static void answered(struct pmp_call *call, struct pmp_reply *reply) {
  struct pmp_http_request *r = (struct pmp_http_request *)call;
  call->user = NULL;
  if (reply->code != PMP_OK) {
    fail(r, pmp_http_status_of(reply->code), reply->code, reply->retry_after_ms, reply->message);
    return;
  }
  pmp_http_answer_verb(r, reply);
}

void pmp_http_dispatch(struct pmp_http_request *r) {
  struct pmp_server *s = r->http->server;
  r->call.arrived_ns = now_ns(r->http);
  r->call.user = &r->request;
  r->request.version = PMP_WIRE_VERSION_MAX;
  r->request.session = (struct pmp_bytes){r->session, sizeof r->session};
  s->count.requests++;
  if (s->stopping) {
    pmp_refuse(s, &r->call, PMP_EUNAVAILABLE, 1000, "the daemon is stopping");
    return;
  }
  pmp_dispatch_request(s, &r->call, &r->request);
}

static void trim(struct pmp_arena *a) {
  if (a->capacity > ARENA_KEEP_BYTES) pmp_arena_fini(a);
}

static void drop_response(struct pmp_http_request *r) {
  if (r->response && !r->shared) MHD_destroy_response(r->response);
  r->response = NULL;
  r->shared = false;
}

static void clear(struct pmp_http_request *r) {
  if (r->listener) pmp_http_live_leave(r);
  drop_response(r);
  if (r->body) r->http->body_bytes -= r->body_size;
  free(r->body);
  r->body = NULL;
  r->body_size = 0;
  json_decref(r->json);
  r->json = NULL;
  r->route = NULL;
  r->url = NULL;
  trim(&r->call.arena);
  trim(&r->call.out);
  sodium_memzero(r->session, sizeof r->session);
  memset(&r->request, 0, sizeof r->request);
  r->stage = PMP_HTTP_IDLE;
}

/* ---- a request comes in ---- */

static const char *header(struct pmp_http_request *r, const char *name) {
  return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

/* Against pages of others: names that an attacker may point at us (DNS rebinding), and requests
 * that their pages make. */
static bool refuse_foreign(struct pmp_http_request *r) {
  struct pmp_http *h = r->http;
  const char *host = header(r, "Host"), *origin = header(r, "Origin");
  const char *site = header(r, "Sec-Fetch-Site");
  if (!host || !pmp_http_host_ours(h, host)) {
    h->refused_host++;
    fail(r, MHD_HTTP_FORBIDDEN, PMP_EFORBIDDEN, 0,
         "this name is not one of the page's: open its address as pmpod printed it, or name it in "
         "listen.http_hosts");
    return true;
  }
  const bool cross = site && strcmp(site, "cross-site") == 0 && strncmp(r->url, "/api/", 5) == 0;
  if (cross || (origin && !pmp_http_origin_ours(h, origin))) {
    h->refused_host++;
    fail(r, MHD_HTTP_FORBIDDEN, PMP_EFORBIDDEN, 0, "requests of other sites' pages are not taken");
    return true;
  }
  return false;
}

/* Who is not known is told before a body is read. */
static bool refuse_stranger(struct pmp_http_request *r) {
  if (!r->route->session) return false;
  struct pmp_server *s = r->http->server;
  const struct pmp_bytes id = {r->session, sizeof r->session};
  if (!pmp_http_bearer(r, r->session)) {
    pmp_http_fail(r, PMP_EUNAUTHENTICATED, 0,
                  "this needs a session: POST /api/session, then Authorization: Bearer");
    return true;
  }
  if (!pmp_sessions_find(&s->sessions, id, now_ns(r->http))) {
    pmp_http_fail(r, PMP_EUNAUTHENTICATED, 0,
                  "no such session: make one anew (sessions end with the daemon)");
    return true;
  }
  return false;
}

static bool refuse_size(struct pmp_http_request *r, const char *method) {
  const char *length = header(r, "Content-Length");
  const unsigned long long bytes = length ? strtoull(length, NULL, 10) : 0;
  if (bytes > r->route->body_max) {
    if (r->route->body_max == 0) {
      pmp_http_fail(r, PMP_EINVALID, 0, "%s takes no body here", method);
    } else {
      pmp_http_fail(r, PMP_ETOOLARGE, 0, "a body of %llu bytes; at most %zu are taken", bytes,
                    r->route->body_max);
    }
    return true;
  }
  if (r->http->body_bytes + bytes > PMP_HTTP_BODIES_MAX) {
    pmp_http_fail(r, PMP_EUNAVAILABLE, 1000, "too many requests come in at once");
    return true;
  }
  return false;
}

static enum MHD_Result on_key(void *cls, enum MHD_ValueKind kind, const char *key,
                              const char *value) {
  (void)kind;
  (void)value;
  struct pmp_http_request *r = cls;
  char word[64];
  const int n = snprintf(word, sizeof word, " %s ", key);
  if (n < (int)sizeof word && !strchr(key, ' ') && strstr(r->route->query, word)) return MHD_YES;
  pmp_http_fail(r, PMP_EINVALID, 0, "there is no \"%.64s\" to ask for here", key);
  return MHD_NO;
}

/* A key that is not known is a mistake, which silence would hide. */
static bool refuse_query(struct pmp_http_request *r) {
  if (r->route->query) MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, on_key, r);
  return r->stage == PMP_HTTP_ANSWERED;
}

static void begin(struct pmp_http_request *r, const char *url, const char *method) {
  struct pmp_http *h = r->http;
  const char *allow = NULL;
  h->requests++;
  r->url = url;
  r->due_ns = now_ns(h) + BODY_NS;
  r->stage = PMP_HTTP_BODY;
  if (refuse_foreign(r)) return;
  r->route = pmp_http_route_find(method, url, &allow);
  if (!r->route && allow) {
    fail(r, MHD_HTTP_METHOD_NOT_ALLOWED, PMP_EINVALID, 0, "another method is wanted here");
    if (r->response) MHD_add_response_header(r->response, "Allow", allow);
    return;
  }
  if (!r->route) {
    pmp_http_fail(r, PMP_ENOTFOUND, 0, "there is nothing of this name here");
    return;
  }
  if (refuse_stranger(r) || refuse_query(r)) return;
  (void)refuse_size(r, method);
}

/* More of the body. What is too much is dropped, and said at its end. */
static bool take(struct pmp_http_request *r, const char *data, size_t size) {
  struct pmp_http *h = r->http;
  if (!r->route || r->body_size > r->route->body_max) return true;
  if (h->body_bytes + size > PMP_HTTP_BODIES_MAX) return false;
  if (r->body_size + size > r->route->body_max) {
    h->body_bytes -= r->body_size;
    free(r->body);
    r->body = NULL;
    r->body_size = r->route->body_max + 1;
    return true;
  }
  char *more = realloc(r->body, r->body_size + size + 1);
  if (!more) return false;
  memcpy(more + r->body_size, data, size);
  r->body = more;
  r->body_size += size;
  r->body[r->body_size] = '\0';
  h->body_bytes += size;
  return true;
}

static void serve(struct pmp_http_request *r) {
  r->due_ns = 0;
  r->stage = PMP_HTTP_WORKING;
  if (r->body_size > r->route->body_max) {
    r->body_size = 0;
    pmp_http_fail(r, PMP_ETOOLARGE, 0, "the body has more than the %zu bytes that are taken",
                  r->route->body_max);
    return;
  }
  r->entered = true;
  r->route->serve(r);
  r->entered = false;
}

static enum MHD_Result send_response(struct pmp_http_request *r) {
  if (!r->response) return MHD_NO; /* out of memory */
  const enum MHD_Result ok = MHD_queue_response(r->connection, r->status, r->response);
  drop_response(r);
  r->stage = PMP_HTTP_SENDING;
  r->due_ns = r->listener ? 0 : now_ns(r->http) + SEND_NS;
  return ok;
}

static struct pmp_http_request *slot_of(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context) {
  (void)version;
  const struct pmp_http *h = cls;
  struct pmp_http_request *r = slot_of(connection);
  if (!r) return MHD_NO;
  if (!*context) {
    *context = r;
    begin(r, url, method);
    return r->stage == PMP_HTTP_ANSWERED ? send_response(r) : MHD_YES;
  }
  if (r->stage == PMP_HTTP_BODY && *size > 0) {
    const bool ok = take(r, data, *size);
    *size = 0;
    return ok ? MHD_YES : MHD_NO;
  }
  if (r->stage == PMP_HTTP_BODY) serve(r);
  if (r->stage == PMP_HTTP_ANSWERED) return send_response(r);
  if (r->stage != PMP_HTTP_WORKING || h->closing) return MHD_NO;
  r->suspended = true;
  MHD_suspend_connection(connection);
  return MHD_YES;
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection) {
  (void)uri;
  const struct pmp_http *h = cls;
  struct pmp_http_request *r = slot_of(connection);
  if (r) r->due_ns = now_ns(h) + (int64_t)h->server->config.limits.hello_timeout_ms * 1000000;
  return NULL;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode why) {
  (void)connection;
  (void)why;
  struct pmp_http_request *r = *context;
  if (!r) return;
  *context = NULL;
  clear(r);
  r->due_ns = now_ns(cls) + IDLE_NS;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what) {
  struct pmp_http *h = cls;
  struct pmp_http_request *r = *context;
  if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
    if (!r) return;
    clear(r);
    r->used = false;
    r->connection = NULL;
    *context = NULL;
    return;
  }
  for (uint32_t i = 0; i < h->connections; i++) {
    r = &h->request[i];
    if (r->used) continue;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    r->used = true;
    r->http = h;
    r->call.answer = answered;
    r->connection = connection;
    r->fd = info ? info->connect_fd : -1;
    r->due_ns = now_ns(h) + (int64_t)h->server->config.limits.hello_timeout_ms * 1000000;
    *context = r;
    return;
  }
}

/* ---- the loop ---- */

static void run(struct pmp_http *h);

static void on_timer(uv_timer_t *timer) {
  run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  run(poll->data);
}

/* Where there is more to do at once it is done at once, but not for ever: half a TLS handshake is
 * always ready. And a timer of 0 ms started by its own callback would never leave libuv's timers.
 */
static void run(struct pmp_http *h) {
  MHD_UNSIGNED_LONG_LONG ms = 0;
  enum MHD_Result more = MHD_YES;
  for (int i = 0; i < RUNS_AT_ONCE && more == MHD_YES && ms == 0; i++) {
    MHD_run(h->daemon);
    more = MHD_get_timeout(h->daemon, &ms);
  }
  if (more == MHD_YES) {
    uv_timer_start(&h->timer, on_timer, ms > 0 ? (uint64_t)ms : 1, 0);
  } else {
    uv_timer_stop(&h->timer);
  }
}

/* libmicrohttpd, told of edges alone, does not see an end that came along with the last bytes. */
static bool has_left(const struct pmp_http_request *r) {
  char byte;
  return r->stage == PMP_HTTP_BODY && recv(r->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void pmp_http_tick(struct pmp_http *h) {
  if (!h) return;
  const int64_t now = now_ns(h);
  for (uint32_t i = 0; i < h->connections; i++) {
    struct pmp_http_request *r = &h->request[i];
    if (!r->used || r->due_ns == 0 || (now < r->due_ns && !has_left(r))) continue;
    if (r->stage != PMP_HTTP_IDLE) h->refused_slow++;
    shutdown(r->fd, SHUT_RDWR); /* libmicrohttpd sees its end and closes it */
    r->due_ns = 0;
  }
  pmp_http_live_tick(h, now);
  /* At its limit of connections libmicrohttpd stops listening, and goes on in the run after the one
   * that ended some: no event of its descriptor tells. */
  run(h);
}

/* ---- start and end ---- */

static enum pmp_err start(struct pmp_http *h, int fd, struct pmp_errmsg *msg) {
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (h->tls ? MHD_USE_TLS : 0u);
  struct MHD_OptionItem option[] = {
      {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
      {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)h->connections, NULL},
      {MHD_OPTION_PER_IP_CONNECTION_LIMIT,
       (intptr_t)(h->loopback ? h->connections : h->connections / 4 + 1), NULL},
      {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)CONNECTION_MEMORY, NULL},
      {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
      {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
      {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, h},
      {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, h},
      {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_uri, h},
      {h->tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, h->cert},
      {MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
      {MHD_OPTION_END, 0, NULL},
  };
  h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_ARRAY, option,
                               MHD_OPTION_END);
  if (!h->daemon) {
    close(fd);
    return pmp_fail(msg, PMP_EUNAVAILABLE, "listen.http: libmicrohttpd does not start%s",
                    h->tls ? " (are listen.tls_cert and listen.tls_key a pair?)" : "");
  }
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  if (!info) return pmp_fail(msg, PMP_EINTERNAL, "libmicrohttpd has no epoll");
  uv_timer_init(&h->server->loop, &h->timer);
  h->timer.data = h;
  h->open_handles = 1;
  if (uv_poll_init(&h->server->loop, &h->poll, info->epoll_fd) != 0)
    return pmp_fail(msg, PMP_EINTERNAL, "libuv cannot watch libmicrohttpd");
  h->poll.data = h;
  h->open_handles = 2;
  uv_timer_start(&h->timer, on_timer, 0, 0);
  uv_poll_start(&h->poll, UV_READABLE, on_poll);
  return PMP_OK;
}

enum pmp_err pmp_http_open(struct pmp_http **out, struct pmp_server *s, struct pmp_errmsg *msg) {
  *out = NULL;
  if (strcmp(s->config.listen.http, "off") == 0 || s->config.listen.http[0] == '\0') return PMP_OK;
  struct pmp_http *h = calloc(1, sizeof *h);
  if (!h) return PMP_ENOMEM;
  h->server = s;
  const uint64_t most = s->config.limits.connections;
  h->connections = (uint32_t)(most < CONNECTIONS_MAX ? most : CONNECTIONS_MAX);
  h->request = calloc(h->connections, sizeof *h->request);
  int fd = -1;
  enum pmp_err err = h->request ? PMP_OK : PMP_ENOMEM;
  if (err == PMP_OK) err = pmp_http_read_tls(h, msg);
  if (err == PMP_OK) err = pmp_http_listen(h, &fd, msg);
  if (err == PMP_OK) err = pmp_http_live_open(h);
  if (err != PMP_OK && fd >= 0) close(fd);
  if (err == PMP_OK) err = start(h, fd, msg);
  if (err == PMP_OK) err = pmp_http_start_token(h, msg);
  if (err != PMP_OK) {
    pmp_http_close(h);
    return err;
  }
  *out = h;
  return PMP_OK;
}

static void on_handle_closed(uv_handle_t *handle) {
  struct pmp_http *h = handle->data;
  if (--h->open_handles == 0) free(h);
}

void pmp_http_close(struct pmp_http *h) {
  if (!h) return;
  h->closing = true;
  if (h->open_handles > 1) uv_close((uv_handle_t *)&h->poll, on_handle_closed);
  if (h->open_handles > 0) uv_close((uv_handle_t *)&h->timer, on_handle_closed);
  if (h->live) pmp_http_live_end(h);
  /* A daemon must not be stopped with suspended connections: what they waited for does not come. */
  for (uint32_t i = 0; h->request && i < h->connections; i++) {
    struct pmp_http_request *r = &h->request[i];
    if (!r->suspended) continue;
    r->suspended = false;
    MHD_resume_connection(r->connection);
  }
  if (h->daemon) {
    MHD_run(h->daemon);
    MHD_stop_daemon(h->daemon);
  }
  pmp_http_live_close(h);
  pmp_http_media_fini(h);
  for (uint32_t i = 0; h->request && i < h->connections; i++) {
    pmp_arena_fini(&h->request[i].call.arena);
    pmp_arena_fini(&h->request[i].call.out);
  }
  free(h->request);
  free(h->cert);
  if (h->key) sodium_memzero(h->key, strlen(h->key));
  free(h->key);
  h->request = NULL;
  h->connections = 0;
  if (h->open_handles == 0) free(h); /* else with the loop's handles */
}

const char *pmp_http_url(const struct pmp_http *h) {
  return h ? h->url : "";
}

const char *pmp_http_address(const struct pmp_http *h) {
  return h ? h->address : "";
}
