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
PMP_MUST_CHECK enum pmp_err wire_out_spec(const struct wire_out *w, const struct pmp_spec *from,
                                          PB(Spec) * *out);
/* Packs a finished message into the arena. */
PMP_MUST_CHECK enum pmp_err wire_out_pack(const struct wire_out *w, const ProtobufCMessage *message,
                                          const void **data, size_t *size);

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
