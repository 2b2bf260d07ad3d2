/* Verdicts of people by item. Each is an operation of its own in the store; the reply goes out when
 * the last is on disk, and what became trainable goes to the learner in commit order. */
#include "daemon/server.h"

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
  in->data = v->data;
  in->bytes = v->bytes;
  v->label = NULL;
  v->data = NULL;
  s->learn_inflight++;
  if (pmp_learn_post(s->learn, in) != PMP_OK) {
    pmp_learn_in_free(in);
    pmp_server_fatal(s, "the learner's queue is full, which its size rules out");
  }
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
  r->surplus = v->surplus;
  r->duplicate = v->duplicate;
  r->replaced = v->replaced;
  if (err == PMP_OK) {
    s->count.verdicts++;
    s->count.verdict_duplicates += v->duplicate;
    if (v->labels > 0 && v->data) to_learner(s, v);
  }
  free(v->label);
  free(v->data);
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
  snprintf(op->principal, sizeof op->principal, "local:%.58s", session->name);
  strcpy(op->request_id, v->request_id);
  op->chunk = v->chunk;
  op->row = v->row;
  op->rows = v->rows;
  op->judgement = (int)v->judgement;
  op->confidence = v->confidence;
  op->note = v->note; /* in the call's arena, which stays until the reply */
  p->extra = one;
  p->finish = verdict_done;
  const enum pmp_err err = pmp_server_submit(s, p);
  if (err != PMP_OK) {
    free(one);
    free(p);
    return pmp_fail(&b->message[index], PMP_EBUSY, "the store's queue is full");
  }
  return PMP_OK;
}

void pmp_serve_verdicts(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                        const struct pmp_verdicts *v) {
  if (s->config.label.judge != PMP_JUDGE_PEOPLE) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 0,
               "this run is not judged by people (label.judge: people)");
    return;
  }
  if (v->count == 0) {
    pmp_refuse(s, call, PMP_EINVALID, 0, "no verdict in the request");
    return;
  }
  if (s->store_inflight + v->count > s->store_inflight_max ||
      s->learn_inflight + s->store_inflight + v->count > PMP_LEARN_INFLIGHT_MAX) {
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
