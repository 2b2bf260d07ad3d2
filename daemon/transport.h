/* One nng address: a REP socket, its contexts, and the way of a request onto the loop and of its
 * reply back.
 *
 * nng's callbacks only push a call onto a ring that is as large as there are contexts, so it cannot
 * overflow. Everything else belongs to the loop thread. Does not know what a message means. */
#ifndef PMP_DAEMON_TRANSPORT_H
#define PMP_DAEMON_TRANSPORT_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/ring.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <stdatomic.h>

struct pmp_transport;
struct pmp_reply;

/* One request being worked on; one for each context, reused. The loop has it from
 * pmp_transport_next until pmp_call_reply; other threads may work on it in between, one at a time.
 */
struct pmp_call {
  struct pmp_transport *transport; /* NULL: it came by HTTP */
  /* HTTP: takes the reply, whose pointers are valid during the call alone; NULL: it is encoded and
   * sent by nng. Loop. */
  void (*answer)(struct pmp_call *call, struct pmp_reply *reply);
  nng_ctx ctx;
  nng_aio *aio;
  nng_msg *msg;  /* the request; owned until the reply */
  nng_pipe pipe; /* it came by */
  bool sending;
  const void *data; /* the request's bytes */
  size_t size;
  struct pmp_arena arena; /* the decoded request */
  struct pmp_arena out;   /* the encoded reply */
  int64_t arrived_ns;
  void *user;      /* the loop's: what this call belongs to */
  uint64_t number; /* the loop's */
};

struct pmp_transport_config {
  const char *url;                /* tcp://HOST:PORT, tls+tcp://HOST:PORT */
  const char *tls_cert, *tls_key; /* PEM; NULL but for tls+tcp */
  uint32_t contexts;
  size_t recv_max; /* bytes */
  uint32_t connections;
  int64_t silent_ns; /* a connection that never sent anything is closed after this */
  struct pmp_clock clock;
  void (*wake)(void *ctx); /* called on nng's threads when a call is ready; must not block */
  void *wake_ctx;
};

struct pmp_transport_stats {
  uint64_t requests, connections_refused, connections_silent, replies_lost;
  uint32_t connections;
};

struct pmp_transport {
  struct pmp_transport_config config;
  nng_socket socket;
  nng_listener listener;
  nng_tls_config *tls;   /* owned, nullable */
  struct pmp_call *call; /* owned, [contexts] */
  struct pmp_ring ready;
  char url[128]; /* with the port that was bound */
  pthread_mutex_t lock;
  struct silent_pipe {
    nng_pipe pipe;
    int64_t since_ns;
  } * silent; /* owned, [connections] */
  uint32_t silent_count;
  _Atomic uint32_t connections;
  _Atomic uint64_t requests, refused, silenced, lost;
  bool open;
};

/* Listens and starts receiving. PMP_EINVALID (url), PMP_EUNAVAILABLE (address in use, with the
 * reason). */
PMP_MUST_CHECK enum pmp_err pmp_transport_open(struct pmp_transport *t,
                                               const struct pmp_transport_config *config,
                                               struct pmp_errmsg *msg);
/* Stops taking requests; calls that the loop still holds may be dropped. Safe on a zeroed struct.
 * Blocks briefly. */
void pmp_transport_close(struct pmp_transport *t);
/* Loop: the next request; false when there is none. */
bool pmp_transport_next(struct pmp_transport *t, struct pmp_call **call);
/* Loop: closes connections that have been silent for too long. */
void pmp_transport_sweep(struct pmp_transport *t);
void pmp_transport_stats(struct pmp_transport *t, struct pmp_transport_stats *s);
/* Makes the call's arena at least `capacity` bytes and empty. PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_call_arena(struct pmp_arena *a, size_t capacity);
/* Loop: sends the bytes (copied) and gives the context back to receiving. */
void pmp_call_reply(struct pmp_call *call, const void *data, size_t size);

#endif
