/* hello: who is there, and for an actor its epoch, where it was, and what the run learns. */
#include "daemon/server.h"

#include <stdlib.h>
#include <string.h>

#define LABELER_NAME_MAX 58 /* "local:" is put before it */

static void fill_run(struct pmp_server *s, struct pmp_hello_reply *h) {
  h->run_id = s->run_id;
  h->policy = s->policy_json;
  h->data_url = s->data.url;
  h->spec = s->spec;
  h->limits = s->limits;
  h->lockstep = s->config.run.lockstep;
  h->seed = s->config.run.seed;
  h->ref_version = pmp_publisher_version(&s->publisher);
}

static void welcome(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                    const struct pmp_store_hello *actor) {
  struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_HELLO};
  struct pmp_hello_reply *h = &reply.u.hello;
  fill_run(s, h);
  memcpy(h->session, session->id, sizeof h->session);
  if (actor) {
    h->epoch = actor->epoch;
    h->last_seq = actor->last_seq;
    h->actor_rows = actor->rows;
    h->actor_state = (struct pmp_bytes){.data = actor->state, .size = actor->state_bytes};
  }
  pmp_answer(s, call, &reply);
}

/* An actor's name is its own choice; while one of that name is here, it stays its token's. */
static bool name_is_free(struct pmp_server *s, struct pmp_call *call, const char *name,
                         const struct pmp_token *token) {
  if (!token || !pmp_sessions_of_other(&s->sessions, name, token->name)) return true;
  pmp_refuse(s, call, PMP_EFORBIDDEN, 0, "an actor %s of another token is here: take another name",
             name);
  return false;
}

/* Whose actor it is, where a token says so. */
static void prove_actor(struct pmp_server *s, struct pmp_session *session,
                        const struct pmp_token *token) {
  if (!token || session->proven) return;
  pmp_session_prove(session, token);
  char detail[160];
  /* Names hold no character that JSON would escape. */
  snprintf(detail, sizeof detail, "{\"actor\":\"%s\",\"epoch\":%u}", session->name, session->epoch);
  pmp_server_event(s, session->principal, "actor", detail);
}

static void hello_done(struct pmp_server *s, struct pmp_pending *p) {
  struct pmp_store_hello *h = &p->op.u.hello;
  const struct pmp_token *token = p->extra;
  struct pmp_session *session = NULL;
  const int64_t now = pmp_clock_mono(&s->clock);
  const struct pmp_bytes instance = {.data = h->instance, .size = sizeof h->instance};
  if (p->op.err != PMP_OK) {
    const bool later = p->op.err == PMP_ENOSPC || p->op.err == PMP_EIO;
    pmp_refuse(s, p->call, later ? PMP_EUNAVAILABLE : p->op.err, later ? 1000 : 0, "%s",
               p->op.msg.text);
  } else if (s->config.run.lockstep && (!s->learner_ready || h->last_commit > s->learner_commit)) {
    pmp_refuse(s, p->call, PMP_EBUSY, 50,
               "lockstep: the steps of this actor's last chunk are not done yet");
  } else if (!name_is_free(s, p->call, h->name, token)) {
    /* answered */
  } else if (pmp_sessions_open(&s->sessions, PMP_ROLE_ACTOR, h->name, instance, now, &session) !=
             PMP_OK) {
    pmp_refuse(s, p->call, PMP_EBUSY, 1000, "all sessions are in use");
  } else {
    session->epoch = h->epoch;
    session->last_seq = h->last_seq;
    session->rows = h->rows;
    prove_actor(s, session, token);
    pmp_sessions_fence(&s->sessions, h->name, h->epoch);
    pmp_sessions_inherit(&s->sessions, session);
    pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-ACTOR-HELLO", "actor=%s epoch=%u last_seq=%llu",
                  h->name, h->epoch, (unsigned long long)h->last_seq);
    welcome(s, p->call, session, h);
  }
  free(h->state);
  free(p->extra);
  free(p);
}

/* A copy for when the store is done. */
static bool keep_token(struct pmp_pending *p, const struct pmp_token *token) {
  if (!token) return true;
  struct pmp_token *copy = malloc(sizeof *copy);
  if (!copy) return false;
  *copy = *token;
  p->extra = copy;
  return true;
}

static void actor_hello(struct pmp_server *s, struct pmp_call *call, const struct pmp_hello *hello,
                        const struct pmp_token *token) {
  if (hello->instance.size != PMP_INSTANCE_BYTES) {
    pmp_refuse(s, call, PMP_EINVALID, 0,
               "hello.instance has %zu bytes; an actor draws %d random ones", hello->instance.size,
               PMP_INSTANCE_BYTES);
    return;
  }
  struct pmp_errmsg msg = {{0}};
  if (hello->has_spec) {
    const enum pmp_err err = pmp_spec_match(&s->spec, &hello->spec, &msg);
    if (err != PMP_OK) {
      pmp_refuse(s, call, err, 0, "%s", msg.text);
      return;
    }
  }
  if (!name_is_free(s, call, hello->name, token)) return;
  struct pmp_pending *p = pmp_pending_new(s, PMP_OP_HELLO);
  if (p && keep_token(p, token)) {
    p->finish = hello_done;
    p->call = call;
    strcpy(p->op.u.hello.name, hello->name); /* at most 64, checked by pmp_name_valid */
    memcpy(p->op.u.hello.instance, hello->instance.data, PMP_INSTANCE_BYTES);
    if (pmp_server_submit(s, p) == PMP_OK) return;
    free(p->extra);
  }
  free(p);
  pmp_refuse(s, call, PMP_EBUSY, 100, "the store's queue is full");
}

void pmp_serve_hello(struct pmp_server *s, struct pmp_call *call, const struct pmp_hello *hello) {
  if (hello->role == PMP_ROLE_NONE || hello->role > PMP_ROLE_OPERATOR) {
    pmp_refuse(s, call, PMP_EINVALID, 0,
               "hello.role is missing: actor, labeler, observer or operator");
    return;
  }
  if (!pmp_name_valid(hello->name) ||
      (hello->role == PMP_ROLE_LABELER && strlen(hello->name) > LABELER_NAME_MAX)) {
    pmp_refuse(s, call, PMP_EINVALID, 0,
               "hello.name must be 1 to 64 (a labeler's 58) letters, digits, '-', '_', '.' or '@'");
    return;
  }
  const struct pmp_token *token = NULL;
  if (pmp_login_check(s, call, hello, &token) != PMP_OK) return;
  if (hello->role == PMP_ROLE_ACTOR) {
    actor_hello(s, call, hello, token);
    return;
  }
  struct pmp_session *session = NULL;
  if (pmp_sessions_open(&s->sessions, hello->role, hello->name, (struct pmp_bytes){0},
                        pmp_clock_mono(&s->clock), &session) != PMP_OK) {
    pmp_refuse(s, call, PMP_EBUSY, 1000, "all sessions are in use");
    return;
  }
  if (token) pmp_session_prove(session, token);
  welcome(s, call, session, NULL);
}
