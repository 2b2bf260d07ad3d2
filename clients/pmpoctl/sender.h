/* Chunks of a file on their way into a run, each row once, whatever dies.
 *
 * The rows go in under an actor's name that follows from the rows themselves; with each chunk, in
 * its transaction, the daemon keeps how many rows of the file are there by then (actor_state). So
 * whoever opens a sender of the same name learns where to go on. One thread; append and flush wait
 * for the daemon. */
#ifndef PMP_PMPOCTL_SENDER_H
#define PMP_PMPOCTL_SENDER_H

#include "clients/pmpoctl/ctl.h"

struct pmp_sender {
  struct pmp_ctl *ctl;     /* with an observer's connection, which is asked why nothing moves */
  char name[PMP_NAME_MAX]; /* the actor's */
  double lost_s;           /* a daemon silent for so long is given up */
  void (*show)(void *ctx, const struct pmp_sender *s); /* called some ten times a second */
  void *show_ctx;
  /* state */
  struct pmpo *actor; /* owned */
  char url[PMP_CTL_URL_MAX];
  uint64_t base;  /* rows that were there when this connection was made */
  uint64_t there; /* rows that are there */
  uint64_t busy;  /* busy answers so far */
  uint64_t open_items_busy;
  double moved_on, asked, heard; /* when rows were last taken, a status last asked for, answered */
  char waiting[256];             /* why nothing moves; "": it does */
  bool elsewhere; /* with an error: the daemon came back at another address; open again */
};

/* The caller has set ctl to unused state above. Connects and learns `base`. PMP_ECONFLICT: what is
 * kept under that name is not what a sender wrote, or is more than `total` rows. */
PMP_MUST_CHECK enum pmp_err pmp_sender_open(struct pmp_sender *s, uint64_t total,
                                            struct pmp_errmsg *msg);
/* Queues a chunk; rows: of the file, up to its end. PMP_EBUSY: the run is over and takes no more;
 * PMP_ETIMEOUT: the daemon is lost; PMP_ECLOSED: told to stop; what the daemon refused with. */
PMP_MUST_CHECK enum pmp_err pmp_sender_append(struct pmp_sender *s, const struct pmp_chunk *chunk,
                                              uint64_t rows, struct pmp_errmsg *msg);
/* Waits until all of it is on the daemon's disk. */
PMP_MUST_CHECK enum pmp_err pmp_sender_flush(struct pmp_sender *s, struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_sender_close(struct pmp_sender *s);

#endif
