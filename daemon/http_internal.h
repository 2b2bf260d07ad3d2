/* What the files of HTTP share: the server's state, a connection with its request, and who calls
 * whom. daemon/http.h says what it is for. Loop thread only.
 *
 * A connection's slot holds its one request, its call and the call's arenas: they are there as long
 * as libmicrohttpd knows the connection, and it keeps a suspended one. So a call in flight never
 * loses its memory when the other end goes away. */
#ifndef PMP_DAEMON_HTTP_INTERNAL_H
#define PMP_DAEMON_HTTP_INTERNAL_H

#include "daemon/http.h"
#include "daemon/http_json.h"
#include "daemon/server.h"

#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>

#define PMP_HTTP_ADDRESS_MAX 160
#define PMP_HTTP_TOKEN_MAX 44 /* bytes with NUL: 32 random ones in base64url */
#define PMP_HTTP_SESSION_TEXT (2 * PMP_SESSION_BYTES + 1)
#define PMP_HTTP_NAMES_MAX 16
#define PMP_HTTP_BODY_MAX ((size_t)1 << 20)
#define PMP_HTTP_BODIES_MAX ((size_t)64 << 20) /* of all connections together */
#define PMP_HTTP_MEDIA_BYTES ((size_t)128 << 20)
#define PMP_HTTP_LISTENERS_MAX 64
#define PMP_HTTP_LEASE_MAX 64

struct pmp_http_request;

enum pmp_http_stage {
  PMP_HTTP_IDLE,     /* between requests */
  PMP_HTTP_BODY,     /* its body comes in */
  PMP_HTTP_WORKING,  /* the daemon has the call; suspended unless `entered` */
  PMP_HTTP_ANSWERED, /* a response is there */
  PMP_HTTP_SENDING   /* libmicrohttpd has the response */
};

struct pmp_http_route {
  const char *path; /* a trailing '*' stands for the rest */
  const char *method;
  bool session;      /* wants one */
  size_t body_max;   /* 0: takes none */
  const char *query; /* the keys that it takes, each within blanks; NULL: any */
  /* Makes the call (dispatch) or the answer (pmp_http_reply, pmp_http_fail). */
  void (*serve)(struct pmp_http_request *r);
};

/* One a connection, reused for its requests. */
struct pmp_http_request {
  struct pmp_call call; /* first: its answer finds the request */
  struct pmp_http *http;
  bool used; /* a connection has it */
  struct MHD_Connection *connection;
  int fd;
  int64_t due_ns; /* the connection is shut down after this; 0: not now */
  enum pmp_http_stage stage;
  bool entered; /* within libmicrohttpd's handler: no need to suspend */
  bool suspended;
  const struct pmp_http_route *route;
  const char *url; /* valid while a request is here */
  char *body;      /* owned, [body_size], one NUL more */
  size_t body_size;
  json_t *json; /* owned: what the request's strings point into */
  uint8_t session[PMP_SESSION_BYTES];
  struct pmp_request request;
  struct MHD_Response *response; /* owned until queued, unless shared */
  bool shared;
  unsigned status;
  struct pmp_http_listener *listener; /* nullable: of live numbers */
};

struct pmp_http_media { /* one that a session has leased */
  uint8_t session[PMP_SESSION_BYTES];
  struct pmp_item_ref item;
  uint32_t index;
  struct MHD_Response *response; /* owned */
  size_t bytes;
  uint64_t used; /* grows: the least is the oldest */
};

struct pmp_http_live; /* http_live.c */

struct pmp_http {
  struct pmp_server *server;
  struct MHD_Daemon *daemon;
  uv_poll_t poll;
  uv_timer_t timer;
  int open_handles; /* of libuv's; the last one's end frees this */
  bool closing, loopback, tls;
  char address[PMP_HTTP_ADDRESS_MAX]; /* http://127.0.0.1:1234 */
  char url[PMP_HTTP_ADDRESS_MAX + PMP_HTTP_TOKEN_MAX + 16];
  char token[PMP_HTTP_TOKEN_MAX]; /* of the start */
  char host[64];                  /* as bound, without the port */
  uint16_t port;
  char name[PMP_HTTP_NAMES_MAX][PMP_CONFIG_TEXT_MAX]; /* listen.http_hosts */
  uint32_t names;
  char *cert, *key;                 /* owned PEM */
  struct pmp_http_request *request; /* owned, [connections] */
  uint32_t connections;
  size_t body_bytes;            /* held now */
  struct pmp_http_media *media; /* owned, [media_capacity] */
  uint32_t media_count, media_capacity;
  size_t media_bytes;
  uint64_t media_clock;
  struct pmp_http_live *live;
  uint64_t requests, refused_host, refused_slow;
};

/* http.c */
/* The request's answer; takes the response over. Loop. */
void pmp_http_reply(struct pmp_http_request *r, unsigned status, struct MHD_Response *response);
/* The same of one that its owner keeps; within `serve` alone. */
void pmp_http_reply_shared(struct pmp_http_request *r, unsigned status,
                           struct MHD_Response *response);
/* The same of a JSON value, which is taken over (NULL: out of memory). */
void pmp_http_reply_json(struct pmp_http_request *r, unsigned status, json_t *value);
void pmp_http_fail(struct pmp_http_request *r, enum pmp_err code, uint32_t retry_ms,
                   const char *fmt, ...) PMP_PRINTF(4, 5);
unsigned pmp_http_status_of(enum pmp_err code);
/* Headers that every answer carries; api: it must not be kept. */
void pmp_http_headers(struct MHD_Response *response, bool api);
/* Hands r->request to dispatch.c. */
void pmp_http_dispatch(struct pmp_http_request *r);

/* http_address.c: where to listen, which names are ours, the start's token */
PMP_MUST_CHECK enum pmp_err pmp_http_listen(struct pmp_http *h, int *fd, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_http_start_token(struct pmp_http *h, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_http_read_tls(struct pmp_http *h, struct pmp_errmsg *msg);
/* Is this Host header ours? */
bool pmp_http_host_ours(const struct pmp_http *h, const char *host);
/* Is this Origin the page's own? */
bool pmp_http_origin_ours(const struct pmp_http *h, const char *origin);

/* http_routes.c */
/* NULL: none; *allow not NULL: the path is there, with these methods. */
const struct pmp_http_route *pmp_http_route_find(const char *method, const char *url,
                                                 const char **allow);
/* The answer of r's call as JSON. */
void pmp_http_answer_verb(struct pmp_http_request *r, const struct pmp_reply *reply);
/* The id in `Authorization: Bearer`; false: missing or malformed. */
bool pmp_http_bearer(struct pmp_http_request *r, uint8_t id[PMP_SESSION_BYTES]);

/* http_media.c */
void pmp_http_media_keep(struct pmp_http *h, const uint8_t session[PMP_SESSION_BYTES],
                         const struct pmp_leased_item *item);
/* Borrowed; NULL: not leased to this session, or no longer here. */
struct MHD_Response *pmp_http_media_find(struct pmp_http *h,
                                         const uint8_t session[PMP_SESSION_BYTES],
                                         struct pmp_item_ref item, uint32_t index);
/* Of one item, or of all (NULL), of the session. */
void pmp_http_media_forget(struct pmp_http *h, const uint8_t session[PMP_SESSION_BYTES],
                           const struct pmp_item_ref *item);
void pmp_http_media_fini(struct pmp_http *h);

/* http_live.c */
PMP_MUST_CHECK enum pmp_err pmp_http_live_open(struct pmp_http *h);
void pmp_http_live_serve(struct pmp_http_request *r);
void pmp_http_live_tick(struct pmp_http *h, int64_t now_ns);
/* Its connection ends. */
void pmp_http_live_leave(struct pmp_http_request *r);
/* Wakes all, so that their connections can be closed. */
void pmp_http_live_end(struct pmp_http *h);
void pmp_http_live_close(struct pmp_http *h);

/* http_metrics.c */
/* NULL: out of memory. */
struct MHD_Response *pmp_http_metrics_text(const struct pmp_status_reply *s);

/* http_static.c */
/* Answers with the page's file; false: there is none of that path. */
bool pmp_http_static_serve(struct pmp_http_request *r);

#endif
