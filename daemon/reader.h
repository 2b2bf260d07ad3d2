/* A reader thread: questions that need the disk, away from the loop. There are two of them, one for
 * leases, so that nobody who labels waits for a long history.
 *
 * The loop posts a call whose request is decoded; the thread reads, builds the reply in the call's
 * own arena and encodes it; the loop sends it. Bounded queue. */
#ifndef PMP_DAEMON_READER_H
#define PMP_DAEMON_READER_H

#include "daemon/desk.h"
#include "daemon/transport.h"
#include "proto/wire.h"
#include "store/store.h"

struct pmp_readers; /* opaque */

struct pmp_reader_config {
  const char *store_path;
  size_t capacity;
  uint32_t points_max;         /* of one series */
  const struct pmp_spec *spec; /* borrowed */
  size_t message_bytes;        /* the most in a reply */
  const struct pmp_log *log;
  void (*wake)(void *ctx);
  void *wake_ctx;
};

PMP_MUST_CHECK enum pmp_err pmp_readers_start(struct pmp_readers **r,
                                              const struct pmp_reader_config *config,
                                              struct pmp_errmsg *msg);
/* Loop; never blocks. PMP_EBUSY when full. The call's request is a history, events or review
 * request, a control of gold, or a lease with its work, which belongs to the thread until it comes
 * back. */
PMP_MUST_CHECK enum pmp_err pmp_readers_post(struct pmp_readers *r, struct pmp_call *call,
                                             const struct pmp_request *request,
                                             struct pmp_lease_work *work);
/* The same for the rows of clips, which belong to nobody's call. */
PMP_MUST_CHECK enum pmp_err pmp_readers_post_score(struct pmp_readers *r,
                                                   struct pmp_score_work *score);

struct pmp_reader_answer { /* what was posted, and the reply */
  struct pmp_call *call;   /* NULL: score */
  struct pmp_reply reply;  /* its pointers lie in the call's out arena */
  struct pmp_lease_work *lease;
  struct pmp_score_work *score;
};
/* Loop: the next finished one; false: none. */
bool pmp_readers_next(struct pmp_readers *r, struct pmp_reader_answer *answer);
/* Ends the thread and frees. Blocks until the current question is read. */
void pmp_readers_close(struct pmp_readers *r);

#endif
