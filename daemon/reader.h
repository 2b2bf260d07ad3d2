/* The reader thread: questions about the history that need the disk, away from the loop.
 *
 * The loop posts a call whose request is decoded; the thread reads, builds the reply in the call's
 * own arena and encodes it; the loop sends it. Bounded queue. */
#ifndef PMP_DAEMON_READER_H
#define PMP_DAEMON_READER_H

#include "daemon/transport.h"
#include "proto/wire.h"
#include "store/store.h"

struct pmp_readers; /* opaque */

struct pmp_reader_config {
  const char *store_path;
  size_t capacity;
  uint32_t points_max; /* of one series */
  const struct pmp_log *log;
  void (*wake)(void *ctx);
  void *wake_ctx;
};

PMP_MUST_CHECK enum pmp_err pmp_readers_start(struct pmp_readers **r,
                                              const struct pmp_reader_config *config,
                                              struct pmp_errmsg *msg);
/* Loop; never blocks. PMP_EBUSY when full. The call's request is a history or events request. */
PMP_MUST_CHECK enum pmp_err pmp_readers_post(struct pmp_readers *r, struct pmp_call *call,
                                             const struct pmp_request *request);
/* Loop: the next finished one; reply's pointers lie in the call's out arena. false: none. */
bool pmp_readers_next(struct pmp_readers *r, struct pmp_call **call, struct pmp_reply *reply);
/* Ends the thread and frees. Blocks until the current question is read. */
void pmp_readers_close(struct pmp_readers *r);

#endif
