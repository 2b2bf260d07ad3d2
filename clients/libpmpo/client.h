/* What a `struct pmpo` is made of: three links, the run as hello told it, and an actor's queue.
 *
 * The desk link belongs to the caller's thread, the data link to the sending thread, the weights
 * link to whoever calls pmpo_weights. */
#ifndef PMPO_CLIENT_H
#define PMPO_CLIENT_H

#include "clients/libpmpo/link.h"

/* One answer to hello; kept until close, because callers hold pointers to it. */
struct pmpo_greeting {
  struct pmp_hello_reply reply; /* pointers into arena */
  struct pmp_arena arena;
  struct pmpo_greeting *older; /* owned */
};

/* A chunk on its way. */
struct pmpo_slot {
  unsigned char *block; /* owned: the chunk's bytes, then the actor_state's */
  size_t capacity, chunk_bytes, state_bytes;
  uint64_t seq;
  uint32_t rows;
};

struct pmpo_queue {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* anything below */
  struct pmpo_slot *slot; /* owned, [capacity] */
  uint32_t capacity, head, count;
  uint64_t next_seq;
  uint64_t queued, acked, rows_acked, last_chunk;
  enum pmp_err dead; /* why nothing can be appended any more; PMP_OK: alive */
  struct pmp_errmsg reason;
  pthread_t thread;
  bool ready, running;
  struct pmp_arena encode; /* the caller's scratch */
};

struct pmpo {
  struct pmpo_identity id;
  struct pmpo_link desk, data, weights;
  atomic_bool weights_cancelled;
  pthread_mutex_t lock; /* greetings */
  struct pmpo_greeting *_Atomic greeting;
  atomic_bool opened; /* pmpo_open is through; before it, each address's hello may differ */
  struct pmpo_queue queue;
};

/* ---- queue.c ---- */

/* Starts the sending thread; the data link is open and greeted. */
PMP_MUST_CHECK enum pmp_err pmpo_queue_start(struct pmpo *c, uint32_t chunks,
                                             struct pmp_errmsg *msg);
void pmpo_queue_stop(struct pmpo *c);

/* ---- client.c ---- */

/* Where append and weights are served now. */
void pmpo_data_url(struct pmpo *c, char out[PMPO_URL_MAX]);
/* Opens a link that follows the run's data address. */
PMP_MUST_CHECK enum pmp_err pmpo_data_link(struct pmpo *c, struct pmpo_link *l,
                                           struct pmp_errmsg *msg);
/* A version named by a reply. */
void pmpo_saw_version(struct pmpo *c, uint64_t version);

#endif
