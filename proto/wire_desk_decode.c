/* Replies to lease and review, off the wire. */
#include "proto/wire_internal.h"

static enum pmp_err in_leased(const struct wire_in *in, const PB(LeasedItem) * from,
                              struct pmp_leased_item *out) {
  PMP_TRY(wire_in_ref(in, "leased.item", from->item, &out->item));
  out->labels = from->labels;
  out->lease_ms = from->lease_ms;
  out->score = from->score;
  PMP_TRY(wire_in_finite(in, "leased.score", (double)from->score));
  PMP_TRY(wire_in_media(in, from->media, from->n_media, &out->media, &out->medias));
  if (from->n_condition > PMP_PARTS_MAX)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "leased.condition: %zu parts", from->n_condition);
  out->conditions = (uint32_t)from->n_condition;
  for (size_t i = 0; i < from->n_condition; i++)
    PMP_TRY(wire_in_tensor(in, "leased.condition", from->condition[i], &out->condition[i]));
  if (from->outcome != NULL)
    PMP_TRY(wire_in_tensor(in, "leased.outcome", from->outcome, &out->outcome));
  PMP_TRY(wire_in_text(in, "leased.actor", from->actor, &out->actor));
  out->ref_version = from->ref_version;
  return PMP_OK;
}

enum pmp_err wire_in_lease_reply(const struct wire_in *in, const PB(LeaseReply) * from,
                                 struct pmp_lease_reply *out) {
  PMP_TRY(wire_in_count(in, "lease.item", from->n_item));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_item, sizeof(struct pmp_leased_item), &memory));
  struct pmp_leased_item *item = memory;
  for (size_t i = 0; i < from->n_item; i++) PMP_TRY(in_leased(in, from->item[i], &item[i]));
  out->item = item;
  out->items = (uint32_t)from->n_item;
  out->waiting = from->waiting;
  out->judged = from->judged;
  out->quota = from->quota;
  PMP_TRY(wire_in_refs(in, "lease.lost", from->lost, from->n_lost, &out->lost, &out->losts));
  return wire_in_text(in, "lease.render", from->render, &out->render);
}

static enum pmp_err in_item_records(const struct wire_in *in, const PB(ReviewReply) * from,
                                    struct pmp_review_reply *out) {
  PMP_TRY(wire_in_count(in, "review.item", from->n_item));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_item, sizeof(struct pmp_item_record), &memory));
  struct pmp_item_record *item = memory;
  for (size_t i = 0; i < from->n_item; i++) {
    const PB(ItemRecord) *f = from->item[i];
    PMP_TRY(wire_in_ref(in, "review.item", f->item, &item[i].item));
    PMP_TRY(wire_in_finite(in, "review.item.score", (double)f->score));
    item[i].labels = f->labels;
    item[i].leases = f->leases;
    item[i].score = f->score;
  }
  out->item = item;
  out->items = (uint32_t)from->n_item;
  return PMP_OK;
}

static enum pmp_err in_verdict_record(const struct wire_in *in, const PB(VerdictRecord) * f,
                                      struct pmp_verdict_record *v) {
  if (f->judgement <= 0 || f->judgement > (int)PMP_WITHDRAW || f->state <= 0 || f->state > 4)
    return pmp_fail(in->msg, PMP_EINVALID, "review.verdict: judgement %d in state %d",
                    (int)f->judgement, (int)f->state);
  PMP_TRY(wire_in_ref(in, "review.verdict", f->item, &v->item));
  PMP_TRY(wire_in_text(in, "review.verdict.who", f->who, &v->who));
  PMP_TRY(wire_in_text(in, "review.verdict.note", f->note, &v->note));
  PMP_TRY(wire_in_text(in, "review.verdict.request_id", f->request_id, &v->request_id));
  PMP_TRY(wire_in_finite(in, "review.verdict.confidence", (double)f->confidence));
  v->id = f->id;
  v->judgement = (enum pmp_judgement)f->judgement;
  v->confidence = f->confidence;
  v->state = (int)f->state;
  v->wall_ns = f->wall_ns;
  return wire_in_media(in, f->media, f->n_media, &v->media, &v->medias);
}

static enum pmp_err in_verdict_records(const struct wire_in *in, const PB(ReviewReply) * from,
                                       struct pmp_review_reply *out) {
  PMP_TRY(wire_in_count(in, "review.verdict", from->n_verdict));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_verdict, sizeof(struct pmp_verdict_record), &memory));
  struct pmp_verdict_record *v = memory;
  for (size_t i = 0; i < from->n_verdict; i++)
    PMP_TRY(in_verdict_record(in, from->verdict[i], &v[i]));
  out->verdict = v;
  out->verdicts = (uint32_t)from->n_verdict;
  return PMP_OK;
}

static enum pmp_err in_labelers(const struct wire_in *in, const PB(ReviewReply) * from,
                                struct pmp_review_reply *out) {
  PMP_TRY(wire_in_count(in, "review.labeler", from->n_labeler));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_labeler, sizeof(struct pmp_labeler_record), &memory));
  struct pmp_labeler_record *l = memory;
  for (size_t i = 0; i < from->n_labeler; i++) {
    const PB(LabelerRecord) *f = from->labeler[i];
    PMP_TRY(wire_in_text(in, "review.labeler.who", f->who, &l[i].who));
    PMP_TRY(wire_in_finite(in, "review.labeler.agreement", f->agreement));
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
  out->labeler = l;
  out->labelers = (uint32_t)from->n_labeler;
  return PMP_OK;
}

static enum pmp_err in_pairs(const struct wire_in *in, const PB(ReviewReply) * from,
                             struct pmp_review_reply *out) {
  PMP_TRY(wire_in_count(in, "review.pair", from->n_pair));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_pair, sizeof(struct pmp_pair_record), &memory));
  struct pmp_pair_record *p = memory;
  for (size_t i = 0; i < from->n_pair; i++) {
    const PB(PairRecord) *f = from->pair[i];
    PMP_TRY(wire_in_text(in, "review.pair.a", f->a, &p[i].a));
    PMP_TRY(wire_in_text(in, "review.pair.b", f->b, &p[i].b));
    PMP_TRY(wire_in_finite(in, "review.pair.raw", f->raw));
    PMP_TRY(wire_in_finite(in, "review.pair.kappa", f->kappa));
    p[i].items = f->items;
    p[i].raw = f->raw;
    p[i].kappa = f->kappa;
    p[i].kappa_known = f->kappa_known != 0;
  }
  out->pair = p;
  out->pairs = (uint32_t)from->n_pair;
  return PMP_OK;
}

enum pmp_err wire_in_review_reply(const struct wire_in *in, const PB(ReviewReply) * from,
                                  struct pmp_review_reply *out) {
  PMP_TRY(in_item_records(in, from, out));
  PMP_TRY(in_verdict_records(in, from, out));
  PMP_TRY(in_labelers(in, from, out));
  PMP_TRY(in_pairs(in, from, out));
  return wire_in_numbers(in, "review.number", from->number, from->n_number, &out->number,
                         &out->numbers);
}
