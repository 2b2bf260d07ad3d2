/* libpmpo: a client of pmpod, for actors, tools and people's front ends.
 *
 * Needs nng and protobuf-c only. A `struct pmpo` owns its sockets and, for an actor, one thread
 * that sends queued chunks and resends them until they are answered; its functions may be called
 * from one thread at a time unless said otherwise. The library, not nng, resends: only it knows
 * what is safe. */
#ifndef PMPO_H
#define PMPO_H

#include "base/err.h"
#include "proto/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pmpo; /* opaque */

struct pmpo_options {
  const char *url; /* the desk; NULL: $PMPO_URL, else tcp://127.0.0.1:7447 */
  enum pmp_role role;
  const char *name;            /* actor or person; NULL: "USER@HOST" for tools */
  const char *token;           /* NULL: token_file, $PMPO_TOKEN, $PMPO_TOKEN_FILE, else none */
  const char *token_file;      /* nullable: a token, or several with the role before each */
  const char *ca;              /* of tls+tcp:// addresses: PEM file; NULL: $PMPO_CA */
  const char *client;          /* program and version */
  const struct pmp_spec *spec; /* actors: what they produce; NULL: take what the run has */
  uint32_t queue_chunks;       /* actors: unacknowledged chunks kept, 1..1024; 0: 8 */
  uint32_t connect_ms;         /* how long open waits for a daemon; 0: 10000 */
  uint32_t request_ms; /* how long a request waits for its reply before it is sent again; 0: 5000 */
  const volatile int
      *stop; /* nullable: every wait ends with PMP_ECLOSED soon after *stop became non-zero */
};

/* Connects, says hello (to both addresses for an actor), starts the sending thread. Blocks up to
 * connect_ms. PMP_ETIMEOUT (nobody there), PMP_EINVALID (also: TLS
 * where there is none, or the other way about, a certificate of another CA or name), PMP_ECONFLICT
 * (the spec does not fit, or the name's newer instance fenced this one), PMP_EUNAUTHENTICATED, ...
 */
PMP_MUST_CHECK enum pmp_err pmpo_open(struct pmpo **c, const struct pmpo_options *options,
                                      struct pmp_errmsg *msg);
/* Drops what is unsent (flush first). NULL is fine. */
void pmpo_close(struct pmpo *c);

/* What hello answered; the pointer is valid until close. After a daemon's restart a new call gives
 * the new answer, but for actor_state: that is only in the first, for an actor that lives on has
 * its own. Any thread. */
const struct pmp_hello_reply *pmpo_run(const struct pmpo *c);

/* Actors: queues one chunk (copied) with its actor_state (copied, may be empty). Blocks while the
 * queue is full: the actor stops acting. PMP_EINVALID when the daemon refused an earlier chunk as
 * malformed, PMP_ECONFLICT when fenced, PMP_EUNAVAILABLE when the run is complete (run.max_steps):
 * then the client is dead and says the same on every call. */
PMP_MUST_CHECK enum pmp_err pmpo_append(struct pmpo *c, const struct pmp_chunk *chunk,
                                        struct pmp_bytes actor_state, struct pmp_errmsg *msg);
/* Waits until everything queued is acknowledged. timeout_ms -1: for ever. PMP_ETIMEOUT. */
PMP_MUST_CHECK enum pmp_err pmpo_flush(struct pmpo *c, int timeout_ms, struct pmp_errmsg *msg);
/* Actors: the daemon takes no more rows, because the run is complete; append and flush say
 * PMP_EUNAVAILABLE. An actor is done then. Any thread. */
bool pmpo_complete(struct pmpo *c);
/* Newest reference version named by any reply, any thread. */
uint64_t pmpo_ref_version(const struct pmpo *c);

struct pmpo_append_stats {
  uint64_t queued, acked, resent, busy, rows_acked, last_chunk;
  uint32_t pending; /* chunks in the queue now */
};
/* Any thread. */
void pmpo_append_stats(struct pmpo *c, struct pmpo_append_stats *out);

/* One request, one reply; session, version and request id are filled in. Resends after request_ms
 * until timeout_ms (-1: for ever), hellos again when the session died with the daemon; busy is
 * waited out within the timeout. Not for append and hello. The reply's pointers lie in `arena`. A
 * reply's code other than OK is returned with its message. */
PMP_MUST_CHECK enum pmp_err pmpo_request(struct pmpo *c, const struct pmp_request *request,
                                         struct pmp_arena *arena, struct pmp_reply *reply,
                                         int timeout_ms, struct pmp_errmsg *msg);

/* Fetches the newest weights above `newer_than` (0: any), waiting up to wait_ms for them, by byte
 * ranges. The hash covers names and shapes too and is the caller's to check, who knows the policy
 * (libpmpo-policy does). *buffer is malloc'd and the caller's; *manifest's pointers lie in `arena`
 * (4 MiB is enough). Uses a socket of its own: may run in another thread beside everything else,
 * one at a time. Goes on asking while the daemon is away. PMP_ENOTFOUND when nothing newer came.
 * version: exactly this one (0: newest). */
PMP_MUST_CHECK enum pmp_err pmpo_weights(struct pmpo *c, enum pmp_which which, uint64_t version,
                                         uint64_t newer_than, uint32_t wait_ms,
                                         struct pmp_arena *arena,
                                         struct pmp_weights_reply *manifest, float **buffer,
                                         struct pmp_errmsg *msg);
/* Any thread: a pmpo_weights that waits, and every later one, ends with PMP_ECLOSED. */
void pmpo_weights_cancel(struct pmpo *c);
/* Named numbers into the run's history. Waits at most twice request_ms: PMP_ETIMEOUT. */
PMP_MUST_CHECK enum pmp_err pmpo_report(struct pmpo *c, const struct pmp_number *value,
                                        uint32_t count, uint64_t ref_version, uint64_t env_steps,
                                        struct pmp_errmsg *msg);

#ifdef __cplusplus
}
#endif
#endif
