/* From a request's bytes to its verb, and from a reply to bytes. Sessions, roles and limits are
 * checked here, once. */
#include "daemon/server.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REFUSAL_TEXT_MAX 600

static void count_refusal(struct pmp_server *s, enum pmp_err code) {
  struct pmp_counters *c = &s->count;
  switch (code) {
  case PMP_EINVALID:
    c->refused_invalid++;
    break;
  case PMP_EUNAUTHENTICATED:
    c->refused_unauthenticated++;
    break;
  case PMP_EFORBIDDEN:
    c->refused_forbidden++;
    break;
  case PMP_ENOTFOUND:
    c->refused_not_found++;
    break;
  case PMP_ECONFLICT:
    c->refused_conflict++;
    break;
  case PMP_EBUSY:
    c->refused_busy++;
    break;
  case PMP_ETOOLARGE:
    c->refused_too_large++;
    break;
  case PMP_EUNAVAILABLE:
    c->refused_unavailable++;
    break;
  default:
    c->refused_internal++;
    break;
  }
}

struct pmp_request *pmp_call_request(struct pmp_call *call) {
  return call->user;
}

static enum pmp_err encode(struct pmp_server *s, const struct pmp_reply *reply, const void **data,
                           size_t *size, struct pmp_errmsg *msg) {
  size_t want = s->scratch.capacity ? s->scratch.capacity : (size_t)1 << 18;
  for (;;) {
    enum pmp_err err = pmp_call_arena(&s->scratch, want);
    if (err == PMP_OK) err = pmp_wire_encode_reply(reply, &s->scratch, data, size, msg);
    if (err != PMP_ENOMEM || want > 8 * (s->limits.message_bytes + 65536)) return err;
    want *= 2;
  }
}

void pmp_answer(struct pmp_server *s, struct pmp_call *call, struct pmp_reply *reply) {
  const struct pmp_request *req = pmp_call_request(call);
  reply->request_id = req ? req->request_id : 0;
  if (!reply->message) reply->message = "";
  if (reply->code != PMP_OK) count_refusal(s, reply->code);
  if (call->answer) {
    call->answer(call, reply);
    return;
  }
  const void *data = NULL;
  size_t size = 0;
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = encode(s, reply, &data, &size, &msg);
  if (err != PMP_OK) {
    pmp_log_write(&s->log, PMP_LOG_ERROR, "PMP-RPC-ENCODE", "error=%s reason=\"%s\"",
                  pmp_err_name(err), msg.text);
    struct pmp_reply sorry = {.request_id = reply->request_id,
                              .code = PMP_EINTERNAL,
                              .message = "the reply could not be encoded"};
    err = encode(s, &sorry, &data, &size, &msg);
  }
  pmp_call_reply(call, data, err == PMP_OK ? size : 0);
}

void pmp_refuse(struct pmp_server *s, struct pmp_call *call, enum pmp_err code, uint32_t retry_ms,
                const char *fmt, ...) {
  char text[REFUSAL_TEXT_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  /* Codes that never go on the wire are our own trouble. */
  const enum pmp_err wire = code > PMP_EINTERNAL ? PMP_EINTERNAL : code;
  struct pmp_reply reply = {.code = wire, .message = text, .retry_after_ms = retry_ms};
  pmp_answer(s, call, &reply);
}

/* Which roles a verb is for (protocol.md, "Verbs"). */
static bool role_allows(enum pmp_role role, enum pmp_verb verb) {
  switch (verb) {
  case PMP_VERB_APPEND:
  case PMP_VERB_REPORT:
    return role == PMP_ROLE_ACTOR;
  case PMP_VERB_WEIGHTS:
    return role == PMP_ROLE_ACTOR || role == PMP_ROLE_OBSERVER;
  case PMP_VERB_LEASE:
  case PMP_VERB_VERDICTS:
    return role == PMP_ROLE_LABELER;
  case PMP_VERB_STATUS:
  case PMP_VERB_HISTORY:
  case PMP_VERB_EVENTS:
  case PMP_VERB_REVIEW:
    return role == PMP_ROLE_OBSERVER;
  case PMP_VERB_CONTROL:
  case PMP_VERB_EXPORT:
    return role == PMP_ROLE_OPERATOR;
  default:
    return false;
  }
}

static const char *verb_name(enum pmp_verb verb) {
  static const char *const name[] = {"hello",  "append",   "weights", "report",
                                     "status", "history",  "events",  "control",
                                     "export", "verdicts", "lease",   "review"};
  return verb >= PMP_VERB_HELLO && verb <= PMP_VERB_REVIEW ? name[verb - PMP_VERB_HELLO]
                                                           : "nothing";
}

static bool on_right_address(const struct pmp_server *s, const struct pmp_call *call,
                             enum pmp_verb verb) {
  const bool data = call->transport == &s->data;
  const bool wants_data = verb == PMP_VERB_APPEND || verb == PMP_VERB_WEIGHTS;
  return verb == PMP_VERB_HELLO || data == wants_data;
}

static void serve(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                  struct pmp_request *r) {
  switch (r->verb) {
  case PMP_VERB_APPEND:
    pmp_serve_append(s, call, session, &r->u.append);
    return;
  case PMP_VERB_WEIGHTS:
    pmp_serve_weights(s, call, &r->u.weights);
    return;
  case PMP_VERB_REPORT:
    pmp_serve_report(s, call, session, &r->u.report);
    return;
  case PMP_VERB_STATUS:
    pmp_serve_status(s, call, &r->u.status);
    return;
  case PMP_VERB_HISTORY:
    pmp_serve_history(s, call, &r->u.history);
    return;
  case PMP_VERB_EVENTS:
    pmp_serve_events(s, call, &r->u.events);
    return;
  case PMP_VERB_CONTROL:
    pmp_serve_control(s, call, session, &r->u.control);
    return;
  case PMP_VERB_EXPORT:
    pmp_serve_export(s, call, &r->u.export_);
    return;
  case PMP_VERB_VERDICTS:
    pmp_serve_verdicts(s, call, session, &r->u.verdicts);
    return;
  case PMP_VERB_LEASE:
    pmp_serve_lease(s, call, session, &r->u.lease);
    return;
  case PMP_VERB_REVIEW:
    pmp_serve_review(s, call, &r->u.review);
    return;
  default:
    pmp_refuse(s, call, PMP_EINVALID, 0, "the request has no body that this daemon knows");
    return;
  }
}

void pmp_dispatch_request(struct pmp_server *s, struct pmp_call *call, struct pmp_request *r) {
  if (r->verb == PMP_VERB_HELLO) {
    pmp_serve_hello(s, call, &r->u.hello);
    return;
  }
  struct pmp_session *session =
      pmp_sessions_find(&s->sessions, r->session, pmp_clock_mono(&s->clock));
  if (!session) {
    pmp_refuse(
        s, call, PMP_EUNAUTHENTICATED, 0,
        "no such session: say hello first (sessions end with the daemon, and with their token)");
    return;
  }
  if (!pmp_sessions_allow(&s->sessions, session)) {
    pmp_refuse(s, call, PMP_EBUSY, 1000, "more than %" PRIu64 " requests a second",
               s->config.limits.requests_per_second);
    return;
  }
  if (!role_allows(session->role, r->verb)) {
    pmp_refuse(s, call, PMP_EFORBIDDEN, 0, "%s is not for this session's role", verb_name(r->verb));
    return;
  }
  serve(s, call, session, r);
}

void pmp_dispatch(struct pmp_server *s, struct pmp_call *call) {
  s->count.requests++;
  call->user = NULL;
  if (s->stopping) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "the daemon is stopping");
    return;
  }
  if (call->size > s->limits.message_bytes) {
    pmp_refuse(s, call, PMP_ETOOLARGE, 0, "message of %zu bytes; at most %zu are taken", call->size,
               s->limits.message_bytes);
    return;
  }
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmp_call_arena(&call->arena, 3 * call->size + 131072);
  struct pmp_request *r = err == PMP_OK ? pmp_arena_zeroed(&call->arena, 1, sizeof *r) : NULL;
  if (!r) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "out of memory");
    return;
  }
  err = pmp_wire_decode_request(call->data, call->size, &s->limits, &call->arena, r, &msg);
  call->user = r;
  if (err == PMP_ENOMEM) err = PMP_ETOOLARGE;
  if (err != PMP_OK) {
    pmp_log_write(&s->log, PMP_LOG_DEBUG, "PMP-RPC-REFUSED", "code=%s reason=\"%s\"",
                  pmp_err_name(err), msg.text);
    pmp_refuse(s, call, err, 0, "%s", msg.text);
    return;
  }
  if (!on_right_address(s, call, r->verb)) {
    pmp_refuse(s, call, PMP_EINVALID, 0, "%s is served at %s", verb_name(r->verb),
               call->transport == &s->data ? s->desk.url : s->data.url);
    return;
  }
  pmp_dispatch_request(s, call, r);
}
