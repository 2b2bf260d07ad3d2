/* What labelers ask for, lease and review, both ways. */
#include "proto/wire_internal.h"

enum pmp_err wire_in_ref(const struct wire_in *in, const char *what, const PB(ItemRef) * from,
                         struct pmp_item_ref *out) {
  if (from == NULL) return pmp_fail(in->msg, PMP_EINVALID, "%s: no item named", what);
  out->chunk = from->chunk;
  out->row = from->row;
  out->rows = from->rows == 0 ? 1 : from->rows;
  if (out->rows > UINT32_MAX - out->row)
    return pmp_fail(in->msg, PMP_EINVALID, "%s: rows %u+%u", what, out->row, out->rows);
  return PMP_OK;
}

enum pmp_err wire_in_refs(const struct wire_in *in, const char *what, PB(ItemRef) *const *from,
                          size_t n, const struct pmp_item_ref **out, uint32_t *count) {
  PMP_TRY(wire_in_count(in, what, n));
  void *memory;
  PMP_TRY(wire_in_array(in, n, sizeof(struct pmp_item_ref), &memory));
  struct pmp_item_ref *ref = memory;
  for (size_t i = 0; i < n; i++) PMP_TRY(wire_in_ref(in, what, from[i], &ref[i]));
  *out = ref;
  *count = (uint32_t)n;
  return PMP_OK;
}

enum pmp_err wire_out_refs(const struct wire_out *w, const struct pmp_item_ref *from,
                           uint32_t count, PB(ItemRef) * **out, size_t *n) {
  PB(ItemRef) * ref;
  WIRE_NEW_MANY(w, ItemRef, item_ref, count, *out, ref);
  *n = count;
  for (uint32_t i = 0; i < count; i++) {
    ref[i].chunk = from[i].chunk;
    ref[i].row = from[i].row;
    ref[i].rows = from[i].rows;
  }
  return PMP_OK;
}

enum pmp_err wire_out_ref(const struct wire_out *w, const struct pmp_item_ref *from,
                          PB(ItemRef) * *out) {
  PB(ItemRef) * *list;
  size_t n;
  PMP_TRY(wire_out_refs(w, from, 1, &list, &n));
  *out = list[0];
  return PMP_OK;
}

enum pmp_err wire_in_lease(const struct wire_in *in, const PB(Lease) * from,
                           struct pmp_lease *out) {
  out->count = from->count;
  out->seconds = from->seconds;
  PMP_TRY(wire_in_text(in, "lease.order", from->order, &out->order));
  PMP_TRY(wire_in_refs(in, "lease.held", from->held, from->n_held, &out->held, &out->helds));
  return wire_in_refs(in, "lease.release", from->release, from->n_release, &out->release,
                      &out->releases);
}

enum pmp_err wire_out_lease(const struct wire_out *w, const struct pmp_lease *from,
                            PB(Lease) * *out) {
  PB(Lease) * to;
  WIRE_NEW(w, Lease, lease, to);
  to->count = from->count;
  to->seconds = from->seconds;
  PMP_TRY(wire_out_text(w, "lease.order", from->order, &to->order));
  PMP_TRY(wire_out_refs(w, from->held, from->helds, &to->held, &to->n_held));
  PMP_TRY(wire_out_refs(w, from->release, from->releases, &to->release, &to->n_release));
  *out = to;
  return PMP_OK;
}

enum pmp_err wire_in_review(const struct wire_in *in, const PB(Review) * from,
                            struct pmp_review *out) {
  if (from->subject <= 0 || from->subject > (int)PMP_SUBJECT_GOLD)
    return pmp_fail(in->msg, PMP_EINVALID, "review: unknown subject %d", (int)from->subject);
  out->subject = (enum pmp_subject)from->subject;
  out->after = from->after;
  out->count = from->count;
  return wire_in_text(in, "review.who", from->who, &out->who);
}

enum pmp_err wire_out_review(const struct wire_out *w, const struct pmp_review *from,
                             PB(Review) * *out) {
  PB(Review) * to;
  WIRE_NEW(w, Review, review, to);
  to->subject = (PB(Subject))from->subject;
  to->after = from->after;
  to->count = from->count;
  PMP_TRY(wire_out_text(w, "review.who", from->who, &to->who));
  *out = to;
  return PMP_OK;
}
