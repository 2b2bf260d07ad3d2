/* control's gold: an operator says what the truth of an item is, so that people can be measured by
 * it. The reader looks whether there is such an item, the store keeps it, the index has it. */
#include "daemon/http_json.h"
#include "daemon/server.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const judgements[] = {"none", "accept", "reject"};

struct gold { /* on its way to the disk */
  char who[PMP_STORE_NAME_MAX];
};

static enum pmp_err parse(const struct pmp_control *c, struct pmp_store_gold *g,
                          struct pmp_errmsg *msg) {
  struct pmp_item_ref ref;
  PMP_TRY(pmp_json_item(c->key, &ref, msg));
  g->chunk = ref.chunk;
  g->row = ref.row;
  g->rows = ref.rows;
  for (g->judgement = 0; g->judgement < 3; g->judgement++)
    if (strcmp(c->value, judgements[g->judgement]) == 0) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "gold: \"%.40s\" is none of accept, reject, none", c->value);
}

void pmp_desk_gold(struct pmp_server *s, struct pmp_call *call, const struct pmp_control *c) {
  struct pmp_store_gold g = {0};
  struct pmp_errmsg msg = {{0}};
  if (!s->people.items) {
    s->count.desk_refused_judge++;
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 0,
               "this run is not judged by people (label.judge: people)");
  } else if (parse(c, &g, &msg) != PMP_OK) {
    pmp_refuse(s, call, PMP_EINVALID, 0, "%s", msg.text);
  } else if (pmp_readers_post(s->reader, call, pmp_call_request(call), NULL) != PMP_OK) {
    pmp_refuse(s, call, PMP_EBUSY, 100, "too many questions wait for the disk");
  }
}

static enum pmp_err take_up(struct pmp_server *s, const struct pmp_store_gold *g) {
  const struct pmp_item_ref ref = {g->chunk, g->row, g->rows};
  if (g->judgement == 0) return pmp_items_ungold(s->people.items, ref, g->labels_now);
  PMP_TRY(pmp_items_gold(s->people.items, ref));
  for (uint32_t i = 0; i < g->judges; i++)
    PMP_TRY(pmp_items_seen(s->people.items, ref, g->judge[i]));
  return PMP_OK;
}

static void answer(struct pmp_server *s, struct pmp_call *call, const struct pmp_store_gold *g) {
  char item[PMP_ITEM_TEXT_MAX];
  pmp_json_item_text((struct pmp_item_ref){g->chunk, g->row, g->rows}, item);
  json_t *detail = json_pack("{s:s, s:s, s:s}", "item", item, "judgement", judgements[g->judgement],
                             "before", judgements[g->before]);
  char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;
  struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_CONTROL};
  reply.u.control.detail = text ? text : "{}";
  pmp_answer(s, call, &reply);
  free(text);
  json_decref(detail);
}

static void gold_done(struct pmp_server *s, struct pmp_pending *p) {
  struct pmp_store_gold *g = &p->op.u.gold;
  const enum pmp_err err = p->op.err;
  if (err == PMP_ENOSPC || err == PMP_EIO || err == PMP_ECLOSED) {
    pmp_refuse(s, p->call, PMP_EUNAVAILABLE, 1000, "%s", p->op.msg.text);
  } else if (err != PMP_OK) {
    pmp_refuse(s, p->call, err, 0, "%s", p->op.msg.text);
  } else {
    if (take_up(s, g) != PMP_OK) pmp_server_fatal(s, "out of memory with committed gold in hand");
    pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-DESK-GOLD", "who=%s chunk=%llu row=%u rows=%u %s",
                  g->who, (unsigned long long)g->chunk, g->row, g->rows, judgements[g->judgement]);
    answer(s, p->call, g);
  }
  free(g->judge);
  free(p->extra);
  free(p);
}

void pmp_desk_gold_checked(struct pmp_server *s, struct pmp_call *call, struct pmp_reply *reply) {
  const struct pmp_request *q = pmp_call_request(call);
  struct pmp_errmsg msg = {{0}};
  if (reply->code != PMP_OK) {
    pmp_answer(s, call, reply);
    return;
  }
  const struct pmp_session *session =
      pmp_sessions_find(&s->sessions, q->session, pmp_clock_mono(&s->clock));
  if (!session) { /* its token ended meanwhile */
    pmp_refuse(s, call, PMP_EUNAUTHENTICATED, 0, "no such session: hello again");
    return;
  }
  struct pmp_pending *p = pmp_pending_new(s, PMP_OP_GOLD);
  struct gold *gold = calloc(1, sizeof *gold);
  if (p && gold && parse(&q->u.control, &p->op.u.gold, &msg) == PMP_OK) {
    snprintf(gold->who, sizeof gold->who, "%s", session->principal);
    p->op.u.gold.who = gold->who;
    p->extra = gold;
    p->call = call;
    p->finish = gold_done;
    if (pmp_server_submit(s, p) == PMP_OK) return;
  }
  free(gold);
  free(p);
  pmp_refuse(s, call, PMP_EBUSY, 100, "the store's queue is full");
}
