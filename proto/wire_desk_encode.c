/* Replies to lease and review, onto the wire. */
#include "proto/wire_internal.h"

#include <math.h>

#define NOT_FINITE(w, what) pmp_fail((w)->msg, PMP_EINVALID, "%s: not a finite number", what)

static enum pmp_err out_leased(const struct wire_out *w, const struct pmp_leased_item *from,
                               PB(LeasedItem) * to) {
  PMP_TRY(wire_out_ref(w, &from->item, &to->item));
  if (!isfinite(from->score)) return NOT_FINITE(w, "leased.score");
  if (from->medias > PMP_ITEM_MEDIA_MAX || from->conditions > PMP_PARTS_MAX)
    return pmp_fail(w->msg, PMP_EINVALID, "leased: %u media, %u conditions", from->medias,
                    from->conditions);
  to->labels = from->labels;
  to->lease_ms = from->lease_ms;
  to->score = from->score;
  PMP_TRY(wire_out_media(w, from->media, from->medias, &to->media, &to->n_media));
  void *memory;
  PMP_TRY(wire_out_array(w, from->conditions, sizeof(PB(Tensor) *), &memory));
  to->condition = memory;
  to->n_condition = from->conditions;
  for (uint32_t i = 0; i < from->conditions; i++)
    PMP_TRY(wire_out_tensor(w, &from->condition[i], &to->condition[i]));
  PMP_TRY(wire_out_tensor(w, &from->outcome, &to->outcome));
  PMP_TRY(wire_out_text(w, "leased.actor", from->actor, &to->actor));
  to->ref_version = from->ref_version;
  return PMP_OK;
}

enum pmp_err wire_out_lease_reply(const struct wire_out *w, const struct pmp_lease_reply *from,
                                  PB(LeaseReply) * *out) {
  PB(LeaseReply) * to;
  WIRE_NEW(w, LeaseReply, lease_reply, to);
  PB(LeasedItem) * item;
  WIRE_NEW_MANY(w, LeasedItem, leased_item, from->items, to->item, item);
  to->n_item = from->items;
  for (uint32_t i = 0; i < from->items; i++) PMP_TRY(out_leased(w, &from->item[i], &item[i]));
  to->waiting = from->waiting;
  to->judged = from->judged;
  to->quota = from->quota;
  PMP_TRY(wire_out_refs(w, from->lost, from->losts, &to->lost, &to->n_lost));
  PMP_TRY(wire_out_text(w, "lease.render", from->render, &to->render));
  *out = to;
  return PMP_OK;
}

static enum pmp_err out_item_records(const struct wire_out *w, const struct pmp_review_reply *from,
                                     PB(ReviewReply) * to) {
  PB(ItemRecord) * item;
  WIRE_NEW_MANY(w, ItemRecord, item_record, from->items, to->item, item);
  to->n_item = from->items;
  for (uint32_t i = 0; i < from->items; i++) {
    const struct pmp_item_record *f = &from->item[i];
    if (!isfinite(f->score)) return NOT_FINITE(w, "review.item.score");
    PMP_TRY(wire_out_ref(w, &f->item, &item[i].item));
    item[i].labels = f->labels;
    item[i].leases = f->leases;
    item[i].score = f->score;
  }
  return PMP_OK;
}

static enum pmp_err out_verdict_records(const struct wire_out *w,
                                        const struct pmp_review_reply *from, PB(ReviewReply) * to) {
  PB(VerdictRecord) * v;
  WIRE_NEW_MANY(w, VerdictRecord, verdict_record, from->verdicts, to->verdict, v);
  to->n_verdict = from->verdicts;
  for (uint32_t i = 0; i < from->verdicts; i++) {
    const struct pmp_verdict_record *f = &from->verdict[i];
    if (!isfinite(f->confidence)) return NOT_FINITE(w, "review.verdict.confidence");
    if (f->state < 1 || f->state > 4 || f->medias > PMP_ITEM_MEDIA_MAX)
      return pmp_fail(w->msg, PMP_EINVALID, "review.verdict: state %d, %u media", f->state,
                      f->medias);
    v[i].id = f->id;
    PMP_TRY(wire_out_text(w, "review.verdict.who", f->who, &v[i].who));
    PMP_TRY(wire_out_text(w, "review.verdict.note", f->note, &v[i].note));
    PMP_TRY(wire_out_text(w, "review.verdict.request_id", f->request_id, &v[i].request_id));
    PMP_TRY(wire_out_ref(w, &f->item, &v[i].item));
    v[i].judgement = (PB(Judgement))f->judgement;
    v[i].confidence = f->confidence;
    v[i].state = (PB(VerdictState))f->state;
    v[i].wall_ns = f->wall_ns;
    PMP_TRY(wire_out_media(w, f->media, f->medias, &v[i].media, &v[i].n_media));
  }
  return PMP_OK;
}

static enum pmp_err out_labelers(const struct wire_out *w, const struct pmp_review_reply *from,
                                 PB(ReviewReply) * to) {
  PB(LabelerRecord) * l;
  WIRE_NEW_MANY(w, LabelerRecord, labeler_record, from->labelers, to->labeler, l);
  to->n_labeler = from->labelers;
  for (uint32_t i = 0; i < from->labelers; i++) {
    const struct pmp_labeler_record *f = &from->labeler[i];
    if (!isfinite(f->agreement)) return NOT_FINITE(w, "review.labeler.agreement");
    PMP_TRY(wire_out_text(w, "review.labeler.who", f->who, &l[i].who));
    l[i].accepts = f->accepts;
    l[i].rejects = f->rejects;
    l[i].skips = f->skips;
    l[i].surplus = f->surplus;
    l[i].withdrawn = f->withdrawn;
    l[i].gold = f->gold;
    l[i].gold_right = f->gold_right;
    l[i].first_ns = f->first_ns;
    l[i].last_ns = f->last_ns;
    l[i].agreement = f->agreement;
    l[i].pairs = f->pairs;
  }
  return PMP_OK;
}

static enum pmp_err out_pairs(const struct wire_out *w, const struct pmp_review_reply *from,
                              PB(ReviewReply) * to) {
  PB(PairRecord) * p;
  WIRE_NEW_MANY(w, PairRecord, pair_record, from->pairs, to->pair, p);
  to->n_pair = from->pairs;
  for (uint32_t i = 0; i < from->pairs; i++) {
    const struct pmp_pair_record *f = &from->pair[i];
    if (!isfinite(f->raw) || !isfinite(f->kappa)) return NOT_FINITE(w, "review.pair");
    PMP_TRY(wire_out_text(w, "review.pair.a", f->a, &p[i].a));
    PMP_TRY(wire_out_text(w, "review.pair.b", f->b, &p[i].b));
    p[i].items = f->items;
    p[i].raw = f->raw;
    p[i].kappa = f->kappa;
    p[i].kappa_known = f->kappa_known;
  }
  return PMP_OK;
}

enum pmp_err wire_out_review_reply(const struct wire_out *w, const struct pmp_review_reply *from,
                                   PB(ReviewReply) * *out) {
  PB(ReviewReply) * to;
  WIRE_NEW(w, ReviewReply, review_reply, to);
  PMP_TRY(out_item_records(w, from, to));
  PMP_TRY(out_verdict_records(w, from, to));
  PMP_TRY(out_labelers(w, from, to));
  PMP_TRY(out_pairs(w, from, to));
  PMP_TRY(wire_out_numbers(w, from->number, from->numbers, &to->number, &to->n_number));
  *out = to;
  return PMP_OK;
}
