/* What the files of proto/ share: the checks of single values. Generated types may appear here;
 * nobody outside proto/ includes this. */
#ifndef PMP_PROTO_WIRE_INTERNAL_H
#define PMP_PROTO_WIRE_INTERNAL_H

#include "pmpo.pb-c.h"
#include "proto/wire.h"

#define PB(name) Pmpo__V1__##name

/* Where a message is being decoded to, and what holds it back. */
struct wire_in {
  const struct pmp_wire_limits *limits;
  struct pmp_arena *arena;
  struct pmp_errmsg *msg; /* nullable */
};

/* Where a message is being encoded to. */
struct wire_out {
  struct pmp_arena *arena;
  struct pmp_errmsg *msg; /* nullable */
};

/* ---- single values (wire_value.c) ---- */

bool wire_utf8_valid(const char *text, size_t size);
/* No NaN and no infinity; by exponent bits, so that the loop vectorises. */
bool wire_f32_finite(const float *x, size_t n);
bool wire_f64_finite(const double *x, size_t n);
/* shape's product; false on overflow. rank 0: 1. */
bool wire_elements(uint32_t rank, const uint64_t *shape, uint64_t *out);

/* Text off the wire: checked for length and UTF-8, "" when absent. */
PMP_MUST_CHECK enum pmp_err wire_in_text(const struct wire_in *in, const char *what,
                                         const char *text, const char **out);
PMP_MUST_CHECK enum pmp_err wire_in_count(const struct wire_in *in, const char *what, size_t n);
PMP_MUST_CHECK enum pmp_err wire_in_finite(const struct wire_in *in, const char *what, double x);
/* Array of `count` elements in the arena. */
PMP_MUST_CHECK enum pmp_err wire_in_array(const struct wire_in *in, size_t count, size_t size,
                                          void **out);
PMP_MUST_CHECK enum pmp_err wire_in_numbers(const struct wire_in *in, const char *what,
                                            PB(Number) *const *from, size_t n,
                                            const struct pmp_number **out, uint32_t *count);
PMP_MUST_CHECK enum pmp_err wire_in_spec(const struct wire_in *in, const PB(Spec) * from,
                                         struct pmp_spec *out);

PMP_MUST_CHECK enum pmp_err wire_out_text(const struct wire_out *w, const char *what,
                                          const char *text, char **out);
PMP_MUST_CHECK enum pmp_err wire_out_bytes(const struct wire_out *w, const char *what,
                                           struct pmp_bytes from, ProtobufCBinaryData *out);
/* Zeroed memory of the arena. */
PMP_MUST_CHECK enum pmp_err wire_out_array(const struct wire_out *w, size_t count, size_t size,
                                           void **out);
/* A number without a value (a rate before the first step, say) is left out: a status must always be
 * answerable. */
PMP_MUST_CHECK enum pmp_err wire_out_numbers(const struct wire_out *w,
                                             const struct pmp_number *from, uint32_t count,
                                             PB(Number) * **out, size_t *n);
PMP_MUST_CHECK enum pmp_err wire_out_spec(const struct wire_out *w, const struct pmp_spec *from,
                                          PB(Spec) * *out);
/* A zeroed, then initialised message of the arena. */
#define WIRE_NEW(w, type, init, out)                                                               \
  do {                                                                                             \
    void *memory_;                                                                                 \
    PMP_TRY(wire_out_array(w, 1, sizeof(PB(type)), &memory_));                                     \
    (out) = memory_;                                                                               \
    pmpo__v1__##init##__init(out);                                                                 \
  } while (0)
/* `count` of them and the array of pointers that a repeated field takes. */
#define WIRE_NEW_MANY(w, type, init, count, list, out)                                             \
  do {                                                                                             \
    void *memory_, *list_;                                                                         \
    PMP_TRY(wire_out_array(w, count, sizeof(PB(type)), &memory_));                                 \
    PMP_TRY(wire_out_array(w, count, sizeof(PB(type) *), &list_));                                 \
    (out) = memory_;                                                                               \
    (list) = list_;                                                                                \
    for (size_t i_ = 0; i_ < (count); i_++) {                                                      \
      pmpo__v1__##init##__init(&(out)[i_]);                                                        \
      (list)[i_] = &(out)[i_];                                                                     \
    }                                                                                              \
  } while (0)
/* Packs a finished message into the arena. */
PMP_MUST_CHECK enum pmp_err wire_out_pack(const struct wire_out *w, const ProtobufCMessage *message,
                                          const void **data, size_t *size);

/* ---- tensors (wire_chunk.c) ---- */

PMP_MUST_CHECK enum pmp_err wire_in_tensor(const struct wire_in *in, const char *what,
                                           const PB(Tensor) * from, struct pmp_tensor *out);
/* NULL for an absent one. */
PMP_MUST_CHECK enum pmp_err wire_out_tensor(const struct wire_out *w, const struct pmp_tensor *from,
                                            PB(Tensor) * *out);

/* ---- items and what is shown of them (wire_item.c) ---- */

PMP_MUST_CHECK enum pmp_err wire_in_media(const struct wire_in *in, PB(Media) *const *from,
                                          size_t n, const struct pmp_media **out, uint32_t *count);
PMP_MUST_CHECK enum pmp_err wire_out_media(const struct wire_out *w, const struct pmp_media *from,
                                           uint32_t count, PB(Media) * **out, size_t *n);
/* Fills a chunk's items; wire_item_check says whether they may be. */
PMP_MUST_CHECK enum pmp_err wire_in_items(const struct wire_in *in, const PB(Chunk) * from,
                                          struct pmp_chunk *out);
PMP_MUST_CHECK enum pmp_err wire_out_items(const struct wire_out *w, const struct pmp_chunk *from,
                                           PB(Chunk) * to);
PMP_MUST_CHECK enum pmp_err wire_item_check(const struct wire_in *in, const struct pmp_chunk *c);

/* ---- lease and review (wire_desk_request.c, wire_desk_decode.c, wire_desk_encode.c) ---- */

PMP_MUST_CHECK enum pmp_err wire_in_refs(const struct wire_in *in, const char *what,
                                         PB(ItemRef) *const *from, size_t n,
                                         const struct pmp_item_ref **out, uint32_t *count);
PMP_MUST_CHECK enum pmp_err wire_in_ref(const struct wire_in *in, const char *what,
                                        const PB(ItemRef) * from, struct pmp_item_ref *out);
PMP_MUST_CHECK enum pmp_err wire_out_refs(const struct wire_out *w, const struct pmp_item_ref *from,
                                          uint32_t count, PB(ItemRef) * **out, size_t *n);
PMP_MUST_CHECK enum pmp_err wire_out_ref(const struct wire_out *w, const struct pmp_item_ref *from,
                                         PB(ItemRef) * *out);
PMP_MUST_CHECK enum pmp_err wire_in_lease(const struct wire_in *in, const PB(Lease) * from,
                                          struct pmp_lease *out);
PMP_MUST_CHECK enum pmp_err wire_out_lease(const struct wire_out *w, const struct pmp_lease *from,
                                           PB(Lease) * *out);
PMP_MUST_CHECK enum pmp_err wire_in_review(const struct wire_in *in, const PB(Review) * from,
                                           struct pmp_review *out);
PMP_MUST_CHECK enum pmp_err wire_out_review(const struct wire_out *w, const struct pmp_review *from,
                                            PB(Review) * *out);
PMP_MUST_CHECK enum pmp_err wire_in_lease_reply(const struct wire_in *in,
                                                const PB(LeaseReply) * from,
                                                struct pmp_lease_reply *out);
PMP_MUST_CHECK enum pmp_err wire_out_lease_reply(const struct wire_out *w,
                                                 const struct pmp_lease_reply *from,
                                                 PB(LeaseReply) * *out);
PMP_MUST_CHECK enum pmp_err wire_in_review_reply(const struct wire_in *in,
                                                 const PB(ReviewReply) * from,
                                                 struct pmp_review_reply *out);
PMP_MUST_CHECK enum pmp_err wire_out_review_reply(const struct wire_out *w,
                                                  const struct pmp_review_reply *from,
                                                  PB(ReviewReply) * *out);

/* ---- unpacking (wire_unpack.c) ---- */

/* Unpacks out of the arena, at most the limits' cap. PMP_EINVALID, PMP_ETOOLARGE. */
PMP_MUST_CHECK enum pmp_err wire_unpack(const struct wire_in *in,
                                        const ProtobufCMessageDescriptor *type, const void *data,
                                        size_t size, void **out);

/* ---- whole columns (wire_chunk_check.c) ---- */

/* Everything that must hold of a chunk, against `spec` too when that is not NULL. Uses the arena as
 * scratch. */
PMP_MUST_CHECK enum pmp_err wire_chunk_check(const struct wire_in *in, const struct pmp_spec *spec,
                                             const struct pmp_chunk *c);

#endif
