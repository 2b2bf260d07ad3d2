/* The label desk's questions to the store: what a leased item looks like, and what people said.
 *
 * The reader's thread; blocks on the disk. What replies point to lies in `out`. */
#ifndef PMP_DAEMON_READER_DESK_H
#define PMP_DAEMON_READER_DESK_H

#include "daemon/desk.h"
#include "proto/wire.h"

struct pmp_desk_reader {
  struct pmp_reader *db;
  const struct pmp_spec *spec;
  size_t message_bytes;    /* a reply's limit */
  struct pmp_arena stored; /* the last chunk, decoded */
  struct pmp_arena rows;   /* its rows as arrays, where they had to be made */
  uint64_t chunk;          /* its id, 0: none */
  struct pmp_entry entry;
  struct pmp_chunk decoded;
  const struct pmp_log *log;
};
void pmp_desk_reader_fini(struct pmp_desk_reader *r);

/* Fills the reply's items and the work's fates. */
PMP_MUST_CHECK enum pmp_err
pmp_desk_reader_lease(struct pmp_desk_reader *r, struct pmp_lease_work *work, struct pmp_arena *out,
                      struct pmp_lease_reply *reply, struct pmp_errmsg *msg);
/* VERDICTS, LABELERS and AGREEMENT. */
PMP_MUST_CHECK enum pmp_err
pmp_desk_reader_review(struct pmp_desk_reader *r, const struct pmp_review *q, struct pmp_arena *out,
                       struct pmp_review_reply *reply, struct pmp_errmsg *msg);

/* Is what control names as gold an item of its chunk? PMP_EINVALID: it is not. */
PMP_MUST_CHECK enum pmp_err pmp_desk_reader_gold(struct pmp_desk_reader *r,
                                                 const struct pmp_control *c,
                                                 struct pmp_errmsg *msg);
/* Fills in the rows of the clips that are there, as far as memory allows. */
void pmp_desk_reader_rows(struct pmp_desk_reader *r, struct pmp_score_work *work);

#define PMP_REVIEW_MAX 1000 /* verdicts or items in one reply */

/* reader_gold.c */
struct pmp_gold_list {
  struct pmp_gold_truth {
    struct pmp_item_ref item;
    int judgement;
  } * gold; /* owned, [room], in order of items */
  size_t count, room;
};
PMP_MUST_CHECK enum pmp_err pmp_gold_list_read(struct pmp_reader *db, struct pmp_gold_list *list,
                                               struct pmp_errmsg *msg);
/* PMP_ACCEPT or PMP_REJECT; 0: not known. */
int pmp_gold_list_truth(const struct pmp_gold_list *list, struct pmp_item_ref item);
/* The reply to a review of gold. */
PMP_MUST_CHECK enum pmp_err pmp_desk_reader_list_gold(struct pmp_desk_reader *r,
                                                      const struct pmp_review *q,
                                                      struct pmp_arena *out,
                                                      struct pmp_review_reply *reply,
                                                      struct pmp_errmsg *msg);

/* reader_verdicts.c, of the above: everything but leases. */
/* The chunk, decoded, into r->decoded. PMP_ENOTFOUND, PMP_ECORRUPT. */
PMP_MUST_CHECK enum pmp_err pmp_desk_reader_chunk(struct pmp_desk_reader *r, uint64_t chunk,
                                                  struct pmp_errmsg *msg);
/* Copies media into out; texts_only leaves the rest away. PMP_ENOMEM: no room. */
PMP_MUST_CHECK enum pmp_err pmp_desk_reader_media(const struct pmp_item *item, bool texts_only,
                                                  struct pmp_arena *out,
                                                  const struct pmp_media **media, uint32_t *count);
/* What the chunk says of these rows: the item that it names, or NULL. */
const struct pmp_item *pmp_desk_reader_item(const struct pmp_chunk *chunk, struct pmp_item_ref ref);

#endif
