/* Requests onto the wire: the client's side of a conversation. */
#include "proto/wire_internal.h"

#include <math.h>

static enum pmp_err out_hello(const struct wire_out *w, const struct pmp_hello *from,
                              PB(Request) * r) {
  PB(Hello) * to;
  WIRE_NEW(w, Hello, hello, to);
  to->role = (PB(Role))from->role;
  PMP_TRY(wire_out_text(w, "hello.name", from->name, &to->name));
  PMP_TRY(wire_out_text(w, "hello.token", from->token, &to->token));
  PMP_TRY(wire_out_text(w, "hello.client", from->client, &to->client));
  PMP_TRY(wire_out_bytes(w, "hello.instance", from->instance, &to->instance));
  if (from->has_spec) PMP_TRY(wire_out_spec(w, &from->spec, &to->spec));
  r->hello = to;
  return PMP_OK;
}

static enum pmp_err out_append(const struct wire_out *w, const struct pmp_append *from,
                               PB(Request) * r) {
  PB(Append) * to;
  WIRE_NEW(w, Append, append, to);
  to->seq = from->seq;
  PMP_TRY(wire_out_bytes(w, "append.chunk", from->chunk, &to->chunk));
  PMP_TRY(wire_out_bytes(w, "append.actor_state", from->actor_state, &to->actor_state));
  r->append = to;
  return PMP_OK;
}

static enum pmp_err out_report(const struct wire_out *w, const struct pmp_report *from,
                               PB(Request) * r) {
  PB(Report) * to;
  WIRE_NEW(w, Report, report, to);
  to->ref_version = from->ref_version;
  to->env_steps = from->env_steps;
  void *memory;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(Number) *), &memory));
  to->value = memory;
  to->n_value = from->count;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(Number)), &memory));
  PB(Number) *number = memory;
  for (uint32_t i = 0; i < from->count; i++) {
    pmpo__v1__number__init(&number[i]);
    PMP_TRY(wire_out_text(w, "report.value", from->value[i].name, &number[i].name));
    if (!isfinite(from->value[i].value))
      return pmp_fail(w->msg, PMP_EINVALID, "report: %s is not finite", from->value[i].name);
    number[i].value = from->value[i].value;
    to->value[i] = &number[i];
  }
  r->report = to;
  return PMP_OK;
}

static enum pmp_err out_history(const struct wire_out *w, const struct pmp_history *from,
                                PB(Request) * r) {
  PB(History) * to;
  WIRE_NEW(w, History, history, to);
  to->step_from = from->step_from;
  to->step_to = from->step_to;
  to->points_max = from->points_max;
  void *memory;
  PMP_TRY(wire_out_array(w, from->names, sizeof(char *), &memory));
  to->name = memory;
  to->n_name = from->names;
  for (uint32_t i = 0; i < from->names; i++)
    PMP_TRY(wire_out_text(w, "history.name", from->name[i], &to->name[i]));
  r->history = to;
  return PMP_OK;
}

static enum pmp_err out_control(const struct wire_out *w, const struct pmp_control *from,
                                PB(Request) * r) {
  PB(Control) * to;
  WIRE_NEW(w, Control, control, to);
  to->action = (PB(Action))from->action;
  PMP_TRY(wire_out_text(w, "control.key", from->key, &to->key));
  PMP_TRY(wire_out_text(w, "control.value", from->value, &to->value));
  r->control = to;
  return PMP_OK;
}

static enum pmp_err out_verdicts(const struct wire_out *w, const struct pmp_verdicts *from,
                                 PB(Request) * r) {
  PB(Verdicts) * to;
  WIRE_NEW(w, Verdicts, verdicts, to);
  void *memory;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(Verdict) *), &memory));
  to->verdict = memory;
  to->n_verdict = from->count;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(Verdict)), &memory));
  PB(Verdict) *verdict = memory;
  for (uint32_t i = 0; i < from->count; i++) {
    const struct pmp_verdict *v = &from->verdict[i];
    pmpo__v1__verdict__init(&verdict[i]);
    PMP_TRY(wire_out_text(w, "verdict.request_id", v->request_id, &verdict[i].request_id));
    PMP_TRY(wire_out_text(w, "verdict.note", v->note, &verdict[i].note));
    if (!(v->confidence >= 0.0f && v->confidence <= 1.0f))
      return pmp_fail(w->msg, PMP_EINVALID, "verdict: confidence %g is not in (0,1]",
                      (double)v->confidence);
    verdict[i].chunk = v->chunk;
    verdict[i].row = v->row;
    verdict[i].rows = v->rows;
    verdict[i].judgement = (PB(Judgement))v->judgement;
    verdict[i].confidence = v->confidence;
    to->verdict[i] = &verdict[i];
  }
  r->verdicts = to;
  return PMP_OK;
}

static enum pmp_err out_weights(const struct wire_out *w, const struct pmp_weights *from,
                                PB(Request) * r) {
  PB(Weights) * to;
  WIRE_NEW(w, Weights, weights, to);
  to->which = (PB(Which))from->which;
  to->version = from->version;
  to->newer_than = from->newer_than;
  to->wait_ms = from->wait_ms;
  to->offset = from->offset;
  to->length = from->length;
  r->weights = to;
  return PMP_OK;
}

static enum pmp_err out_small(const struct wire_out *w, const struct pmp_request *from,
                              PB(Request) * r) {
  switch (from->verb) {
  case PMP_VERB_STATUS:
    WIRE_NEW(w, Status, status, r->status);
    r->status->actors = from->u.status.actors;
    return PMP_OK;
  case PMP_VERB_EVENTS:
    WIRE_NEW(w, Events, events, r->events);
    r->events->after = from->u.events.after;
    r->events->count = from->u.events.count;
    r->events->all = from->u.events.all;
    return PMP_OK;
  case PMP_VERB_EXPORT:
    WIRE_NEW(w, Export, export, r->export);
    r->export->which = (PB(Which))from->u.export_.which;
    r->export->version = from->u.export_.version;
    r->export->offset = from->u.export_.offset;
    r->export->length = from->u.export_.length;
    return PMP_OK;
  case PMP_VERB_LEASE:
    return wire_out_lease(w, &from->u.lease, &r->lease);
  case PMP_VERB_REVIEW:
    return wire_out_review(w, &from->u.review, &r->review);
  default:
    return pmp_fail(w->msg, PMP_EINVALID, "a request needs a verb");
  }
}

static enum pmp_err out_body(const struct wire_out *w, const struct pmp_request *from,
                             PB(Request) * r) {
  r->body_case = (PB(Request__BodyCase))from->verb;
  switch (from->verb) {
  case PMP_VERB_HELLO:
    return out_hello(w, &from->u.hello, r);
  case PMP_VERB_APPEND:
    return out_append(w, &from->u.append, r);
  case PMP_VERB_WEIGHTS:
    return out_weights(w, &from->u.weights, r);
  case PMP_VERB_REPORT:
    return out_report(w, &from->u.report, r);
  case PMP_VERB_HISTORY:
    return out_history(w, &from->u.history, r);
  case PMP_VERB_CONTROL:
    return out_control(w, &from->u.control, r);
  case PMP_VERB_VERDICTS:
    return out_verdicts(w, &from->u.verdicts, r);
  default:
    return out_small(w, from, r);
  }
}

enum pmp_err pmp_wire_encode_request(const struct pmp_request *r, struct pmp_arena *arena,
                                     const void **data, size_t *size, struct pmp_errmsg *msg) {
  struct wire_out w = {.arena = arena, .msg = msg};
  PB(Request) request;
  pmpo__v1__request__init(&request);
  request.version = r->version;
  request.request_id = r->request_id;
  PMP_TRY(wire_out_bytes(&w, "session", r->session, &request.session));
  PMP_TRY(out_body(&w, r, &request));
  return wire_out_pack(&w, &request.base, data, size);
}
