/* One address of the daemon as a client sees it: a REQ socket with one context, a session, and the
 * loop that asks until it is answered.
 *
 * A link is used by one thread at a time. Knows the envelope and hello, not what other verbs mean.
 */
#ifndef PMPO_LINK_H
#define PMPO_LINK_H

#include "base/arena.h"
#include "clients/libpmpo/secure.h"

#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>

#define PMPO_URL_MAX 256

/* What links of one client share. Immutable after open, but for `closing` and `ref_version`. */
struct pmpo_identity {
  enum pmp_role role;
  char name[PMP_NAME_MAX];
  char *token, *client, *ca; /* owned; ca nullable */
  uint8_t instance[PMP_INSTANCE_BYTES];
  bool has_spec;
  struct pmp_spec spec;
  struct pmp_wire_limits limits;
  uint32_t connect_ms, request_ms;
  const volatile int *stop; /* nullable */
  atomic_bool closing;
  _Atomic uint64_t ref_version;
};

struct pmpo_link {
  struct pmpo_identity *id; /* not owned */
  char url[PMPO_URL_MAX];
  nng_socket socket;
  nng_tls_config *tls; /* owned, nullable */
  nng_ctx ctx;
  nng_aio *aio; /* owned */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool done; /* the aio has finished; under lock */
  bool open, greeted;
  bool heard, probed;           /* somebody has answered; why nobody does was asked */
  const atomic_bool *cancelled; /* nullable: once true, whoever waits gets PMP_ECLOSED */
  uint8_t session[PMP_SESSION_BYTES];
  uint64_t request_id, dialled; /* sockets opened */
  int64_t silent_since_ns;      /* first request without an answer since the last one; 0: none */
  struct pmp_arena out;         /* the encoded request */
  _Atomic uint64_t resent, busy, hellos; /* any thread may read */
  /* Called with every reply to hello, before `greeted` is set. An error ends the request. */
  enum pmp_err (*on_hello)(void *ctx, const struct pmp_hello_reply *reply, struct pmp_errmsg *msg);
  /* Called when nobody answered for request_ms: the address may have moved. May reopen the link. */
  void (*on_silence)(void *ctx, struct pmpo_link *link);
  void *ctx_of_calls;
};

/* Dials in the background. PMP_EINVALID (url), PMP_ENOMEM. The callbacks are set by the caller
 * afterwards. */
PMP_MUST_CHECK enum pmp_err pmpo_link_open(struct pmpo_link *l, struct pmpo_identity *id,
                                           const char *url, struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmpo_link_close(struct pmpo_link *l);
/* Dials another address instead; the session is gone. */
PMP_MUST_CHECK enum pmp_err pmpo_link_move(struct pmpo_link *l, const char *url,
                                           struct pmp_errmsg *msg);

/* Says hello until it is answered. deadline_ns on the monotonic clock, INT64_MAX: never. */
PMP_MUST_CHECK enum pmp_err pmpo_link_hello(struct pmpo_link *l, int64_t deadline_ns,
                                            struct pmp_errmsg *msg);
/* Asks until there is an answer that is none of: busy, unavailable, no session. Each attempt waits
 * request_ms + extra_ms. The reply lies in `arena`; its code is returned. PMP_ETIMEOUT after the
 * deadline, PMP_ECLOSED. */
PMP_MUST_CHECK enum pmp_err pmpo_link_request(struct pmpo_link *l,
                                              const struct pmp_request *request, uint32_t extra_ms,
                                              int64_t deadline_ns, struct pmp_arena *arena,
                                              struct pmp_reply *reply, struct pmp_errmsg *msg);

/* The client closes, its owner wants to stop, or the link was cancelled. */
bool pmpo_stopping(const struct pmpo_link *l);
/* Sleeps, but not past the deadline or a stop. PMP_ETIMEOUT, PMP_ECLOSED. */
PMP_MUST_CHECK enum pmp_err pmpo_pause(const struct pmpo_link *l, int64_t ns, int64_t deadline_ns);
int64_t pmpo_now_ns(void);
/* now + timeout_ms; INT64_MAX for a negative one. */
int64_t pmpo_deadline(int64_t timeout_ms);

#endif
