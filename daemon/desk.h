/* What the label desk's files share: verdicts (desk.c), leases (desk_lease.c), the start
 * (desk_open.c), gold (desk_gold.c), scores (desk_score.c), and the questions that it has for a
 * reader thread (reader_desk.c). Loop thread, but for what is said. */
#ifndef PMP_DAEMON_DESK_H
#define PMP_DAEMON_DESK_H

#include "daemon/items.h"
#include "daemon/labelers.h"
#include "daemon/transport.h"
#include "proto/chunk.h"
#include "store/store.h"

struct pmp_server;
struct pmp_session;

struct pmp_desk {
  struct pmp_items *items; /* NULL: this run is not judged by people */
  struct pmp_labelers labelers;
  uint64_t pending; /* items of appends that are on their way to the disk */
  struct pmp_rescoring {
    bool under_way; /* a batch of items is at the reader or at the learner */
    bool settled;   /* the sweep is over */
    int64_t begun_ns;
    uint64_t chunk; /* where it is; 0: at its beginning */
    uint32_t row;
    uint64_t fits, appends; /* steps of the reward's fits, and chunks, when it began */
    uint64_t scored;        /* items, ever in this process */
  } rescoring;
};

/* What became of a leased item whose contents were looked up. */
enum pmp_lease_fate {
  PMP_LEASE_SENT,
  PMP_LEASE_NO_ROOM, /* the reply is full */
  PMP_LEASE_GONE     /* its chunk is not in the store any more, or damaged */
};

/* A lease's way through the reader thread: filled in by the loop, which has it back with fates. */
struct pmp_lease_work {
  char person[PMP_STORE_NAME_MAX];
  struct pmp_items_view *view; /* owned, [views] */
  uint8_t *fate;               /* owned, [views] */
  uint32_t views;
  struct pmp_item_ref *lost; /* owned, [losts] */
  uint32_t losts;
  int64_t now_ns;
};
void pmp_lease_work_free(struct pmp_lease_work *work); /* NULL is fine */

/* Open clips on their way to new scores: chosen by the loop, filled with rows by the reader, scored
 * by the learner. */
struct pmp_score_work {
  struct pmp_score_clip {
    struct pmp_item_ref ref;
    size_t first; /* its first row in the arrays */
    bool found;   /* its rows are there */
    bool scored;
    float score;
  } * clip; /* owned, [clips] */
  uint32_t clips;
  float *obs, *act; /* owned: (rows x obs), (rows x act) */
  size_t rows;
};
void pmp_score_work_free(struct pmp_score_work *work); /* NULL is fine */

/* desk_open.c: makes the index and fills it from the store; before anybody is listened to. Blocks.
 */
PMP_MUST_CHECK enum pmp_err pmp_desk_open(struct pmp_server *s, const char *store_path,
                                          struct pmp_errmsg *msg);
void pmp_desk_close(struct pmp_server *s);
/* desk_lease.c */
void pmp_desk_tick(struct pmp_server *s, int64_t now_ns); /* ends leases */
/* Every second or so: forgets items whose chunks retention deleted, and has open ones scored anew.
 */
void pmp_desk_upkeep(struct pmp_server *s, int64_t now_ns);
/* The items of a chunk that was committed. Out of memory is fatal. */
void pmp_desk_appended(struct pmp_server *s, const struct pmp_chunk *chunk, uint64_t id);
/* Is there room for so many items more? What was skipped and has no label makes room: one person
 * who skips must not stop a run that has no other. */
bool pmp_desk_room(struct pmp_server *s, uint32_t items);
/* Trajectories train without a verdict, and clips of the policy of now are worth more than older
 * ones: beyond limits.open_items the oldest that nobody has are forgotten. */
void pmp_desk_trim(struct pmp_server *s);
/* desk_score.c: the rows of a batch came back from the reader, its scores from the learner. Both
 * take the work. */
void pmp_desk_rescore(struct pmp_server *s, int64_t now_ns);
void pmp_desk_rows_found(struct pmp_server *s, struct pmp_score_work *work);
void pmp_desk_rescored(struct pmp_server *s, struct pmp_score_work *work);
/* desk_gold.c: control's gold, and what the reader says of its item. */
void pmp_desk_gold(struct pmp_server *s, struct pmp_call *call, const struct pmp_control *c);
void pmp_desk_gold_checked(struct pmp_server *s, struct pmp_call *call, struct pmp_reply *reply);
/* A lease's reply comes back from the reader: answers the call and frees the work. */
void pmp_desk_leased(struct pmp_server *s, struct pmp_call *call, struct pmp_reply *reply,
                     struct pmp_lease_work *work);

#endif
