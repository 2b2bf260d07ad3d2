/* Verdicts of people by item. Each is an operation of its own in the store; the reply goes out when
 * the last is on disk, and what became trainable goes to the learner in commit order. */
#include "daemon/server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct batch { /* one request */
  struct pmp_call *call;
  uint32_t left, count;
  struct pmp_verdict_result *result; /* [count] */
  struct pmp_errmsg *message;        /* [count] */
};

struct one {
  struct batch *batch;
  uint32_t index;
};

static void answer_batch(struct pmp_server *s, struct batch *b) {
  for (uint32_t i = 0; i < b->count; i++) b->result[i].message = b->message[i].text;
  struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_VERDICTS};
  reply.u.verdicts = (struct pmp_verdicts_reply){.result = b->result, .count = b->count};
  pmp_answer(s, b->call, &reply);
  free(b->result);
  free(b->message);
  free(b);
}

static void to_learner(struct pmp_server *s, struct pmp_store_verdict *v) {
  struct pmp_learn_in *in = calloc(1, sizeof *in);
  if (!in) {
    pmp_server_fatal(s, "out of memory with a committed verdict in hand");
    return;
  }
  in->kind = PMP_LEARN_VERDICT;
  in->commit = v->commit;
  in->chunk = v->chunk;
  in->first = v->first;
  in->label = v->label;
  in->labels = v->labels;
  v->label = NULL;
  s->learn_inflight++;
  if (pmp_learn_post(s->learn, in) != PMP_OK) {
    pmp_learn_in_free(in);
    pmp_server_fatal(s, "the learner's queue is full, which its size rules out");
  }
}

/* A verdict on more rows than the items that were named is one more label on each of these. The
 * store counts by the very item, so this is forgotten when it is withdrawn later; the next start
 * counts anew. */
static enum pmp_err judge_within(struct pmp_server *s, const struct pmp_store_verdict *v) {
  struct pmp_items_view item;
  uint64_t end = (uint64_t)v->row + v->rows;
  uint64_t chunk = v->row == 0 ? v->chunk - 1 : v->chunk;
  uint32_t row = v->row == 0 ? UINT32_MAX : v->row - 1;
  while (pmp_items_walk(s->people.items, chunk, row, 1, &item) == 1 && item.ref.chunk == v->chunk &&
         item.ref.row < end) {
    chunk = v->chunk;
    row = item.ref.row;
    if ((uint64_t)item.ref.row + item.ref.rows > end || item.ref.rows == v->rows) continue;
    if (pmp_items_has_seen(s->people.items, item.ref, v->principal)) continue; /* has said it */
    PMP_TRY(pmp_items_judged(s->people.items, item.ref, v->principal,
                             (enum pmp_judgement)v->judgement, item.labels + 1));
  }
  return PMP_OK;
}

/* A committed verdict, in the index of what is open. */
static void index_verdict(struct pmp_server *s, const struct pmp_store_verdict *v) {
  struct pmp_items *items = s->people.items;
  const struct pmp_item_ref ref = {v->chunk, v->row, v->rows};
  enum pmp_judgement judgement = (enum pmp_judgement)v->judgement;
  enum pmp_err err = PMP_OK;
  if (v->duplicate) return; /* the index has it, and what came after it */
  if (v->judges > 0 || v->judgement == PMP_WITHDRAW) {
    /* It may be open again: offered to whom has not judged it. */
    err = pmp_items_judged(items, ref, v->principal, PMP_WITHDRAW, v->labels_now);
    for (uint32_t i = 0; err == PMP_OK && i < v->judges; i++)
      err = pmp_items_seen(items, ref, v->judge[i]);
  }
  if (err == PMP_OK && v->judgement != PMP_WITHDRAW)
    err = pmp_items_judged(items, ref, v->principal, judgement, v->labels_now);
  const bool more = v->rows > 1 && judgement <= PMP_REJECT && !v->duplicate && !v->replaced;
  if (err == PMP_OK && more && !v->surplus) err = judge_within(s, v);
  if (err != PMP_OK) pmp_server_fatal(s, "out of memory with a committed verdict in hand");
}

static void count_verdict(struct pmp_server *s, const struct pmp_store_verdict *v,
                          enum pmp_err err) {
  struct pmp_labeler *who = pmp_labelers_get(&s->people.labelers, v->principal);
  const bool gives = v->judgement != PMP_WITHDRAW;
  if (who) {
    if (gives) who->pending--;
    if (err == PMP_OK && gives && !v->duplicate) who->given++;
  }
  if (err != PMP_OK) return;
  s->count.verdicts++;
  s->count.verdict_duplicates += v->duplicate;
  s->count.verdict_surplus += v->surplus && !v->duplicate;
}

static void verdict_done(struct pmp_server *s, struct pmp_pending *p) {
  struct one *one = p->extra;
  struct batch *b = one->batch;
  struct pmp_store_verdict *v = &p->op.u.verdict;
  struct pmp_verdict_result *r = &b->result[one->index];
  enum pmp_err err = p->op.err;
  b->message[one->index] = p->op.msg;
  if (err == PMP_ENOSPC || err == PMP_EIO || err == PMP_ECLOSED) err = PMP_EUNAVAILABLE;
  r->code = err > PMP_EINTERNAL ? PMP_EINTERNAL : err;
  r->surplus = v->surplus && !v->gold; /* gold is not told from other items */
  r->duplicate = v->duplicate;
  r->replaced = v->replaced;
  count_verdict(s, v, err);
  if (err == PMP_OK) {
    index_verdict(s, v);
    if (v->labels > 0) to_learner(s, v);
  }
  free(v->label);
  free(v->judge);
  if (--b->left == 0) answer_batch(s, b);
  free(one);
  free(p);
}

static enum pmp_err submit_one(struct pmp_server *s, struct batch *b, uint32_t index,
                               const struct pmp_session *session, const struct pmp_verdict *v) {
  if (v->request_id[0] == '\0' || strlen(v->request_id) >= PMP_STORE_NAME_MAX) {
    return pmp_fail(&b->message[index], PMP_EINVALID, "verdict.request_id must have 1 to %d bytes",
                    PMP_STORE_NAME_MAX - 1);
  }
  const uint64_t quota = s->config.desk.quota;
  struct pmp_labeler *who = pmp_labelers_get(&s->people.labelers, session->principal);
  if (!who) return pmp_fail(&b->message[index], PMP_EUNAVAILABLE, "out of memory");
  const bool gives = v->judgement != PMP_WITHDRAW;
  struct pmp_pending *p = pmp_pending_new(s, PMP_OP_VERDICT);
  struct one *one = calloc(1, sizeof *one);
  if (!p || !one) {
    free(p);
    free(one);
    return pmp_fail(&b->message[index], PMP_EUNAVAILABLE, "out of memory");
  }
  one->batch = b;
  one->index = index;
  struct pmp_store_verdict *op = &p->op.u.verdict;
  strcpy(op->principal, session->principal);
  strcpy(op->request_id, v->request_id);
  op->chunk = v->chunk;
  op->row = v->row;
  op->rows = v->rows;
  op->judgement = (int)v->judgement;
  op->confidence = v->confidence;
  op->no_data = true; /* films and all: the learner reads what it needs */
  op->note = v->note; /* in the call's arena, which stays until the reply */
  op->only_known = quota > 0 && gives && who->given + who->pending >= quota;
  s->count.desk_refused_quota += op->only_known;
  op->wanted = (uint32_t)s->config.desk.labels_wanted;
  op->leased = pmp_items_holds(s->people.items, (struct pmp_item_ref){v->chunk, v->row, v->rows},
                               session->principal);
  p->extra = one;
  p->finish = verdict_done;
  const enum pmp_err err = pmp_server_submit(s, p);
  if (err != PMP_OK) {
    free(one);
    free(p);
    return pmp_fail(&b->message[index], PMP_EBUSY, "the store's queue is full");
  }
  who->heard_ns = pmp_clock_mono(&s->clock);
  who->pending += gives;
  return PMP_OK;
}

void pmp_serve_verdicts(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                        const struct pmp_verdicts *v) {
  if (!s->people.items) {
    s->count.desk_refused_judge++;
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 0,
               "this run is not judged by people (label.judge: people)");
    return;
  }
  if (v->count == 0) {
    pmp_refuse(s, call, PMP_EINVALID, 0, "no verdict in the request");
    return;
  }
  if (v->count > s->config.store.queue) {
    pmp_refuse(s, call, PMP_ETOOLARGE, 0, "%u verdicts; a request has at most %" PRIu64, v->count,
               s->config.store.queue);
    return;
  }
  /* All of a request or none of it: what is under way fits the store's queue. */
  if (s->store_inflight + v->count > s->config.store.queue ||
      s->learn_inflight + s->store_inflight + v->count > PMP_LEARN_INFLIGHT_MAX) {
    s->count.desk_refused_busy++;
    pmp_refuse(s, call, PMP_EBUSY, 50, "too many verdicts wait already");
    return;
  }
  struct batch *b = calloc(1, sizeof *b);
  if (b) {
    b->result = calloc(v->count, sizeof *b->result);
    b->message = calloc(v->count, sizeof *b->message);
  }
  if (!b || !b->result || !b->message) {
    if (b) {
      free(b->result);
      free(b->message);
    }
    free(b);
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "out of memory");
    return;
  }
  b->call = call;
  b->count = v->count;
  b->left = v->count + 1; /* one for this loop, so that the batch outlives it */
  for (uint32_t i = 0; i < v->count; i++) {
    const enum pmp_err err = submit_one(s, b, i, session, &v->verdict[i]);
    if (err == PMP_OK) continue;
    b->result[i].code = err;
    b->left--;
  }
  if (--b->left == 0) answer_batch(s, b);
}
