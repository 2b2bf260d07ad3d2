/* Replies onto the wire: the daemon's side of a conversation. */
#include "proto/wire_internal.h"

#include <math.h>

static enum pmp_err out_hello(const struct wire_out *w, const struct pmp_hello_reply *from,
                              PB(Reply) * r) {
  PB(HelloReply) * to;
  WIRE_NEW(w, HelloReply, hello_reply, to);
  struct pmp_bytes session = {.data = from->session, .size = PMP_SESSION_BYTES};
  PMP_TRY(wire_out_bytes(w, "hello.session", session, &to->session));
  PMP_TRY(wire_out_text(w, "hello.run_id", from->run_id, &to->run_id));
  PMP_TRY(wire_out_text(w, "hello.policy", from->policy, &to->policy));
  PMP_TRY(wire_out_text(w, "hello.data_url", from->data_url, &to->data_url));
  PMP_TRY(wire_out_bytes(w, "hello.actor_state", from->actor_state, &to->actor_state));
  PMP_TRY(wire_out_spec(w, &from->spec, &to->spec));
  to->ref_version = from->ref_version;
  to->epoch = from->epoch;
  to->last_seq = from->last_seq;
  to->lockstep = from->lockstep;
  to->seed = from->seed;
  to->actor_rows = from->actor_rows;
  WIRE_NEW(w, Limits, limits, to->limits);
  to->limits->message_bytes = from->limits.message_bytes;
  to->limits->chunk_rows = from->limits.chunk_rows;
  to->limits->actor_state_bytes = from->limits.actor_state_bytes;
  to->limits->string_bytes = from->limits.string_bytes;
  to->limits->tensor_rank = from->limits.tensor_rank;
  to->limits->tensor_elements = from->limits.tensor_elements;
  r->hello = to;
  return PMP_OK;
}

static enum pmp_err out_views(const struct wire_out *w, const struct pmp_weights_reply *from,
                              PB(WeightsReply) * to) {
  void *memory;
  PMP_TRY(wire_out_array(w, from->views, sizeof(PB(View) *), &memory));
  to->views = memory;
  to->n_views = from->views;
  PMP_TRY(wire_out_array(w, from->views, sizeof(PB(View)), &memory));
  PB(View) *view = memory;
  for (uint32_t i = 0; i < from->views; i++) {
    const struct pmp_wire_view *v = &from->view[i];
    pmpo__v1__view__init(&view[i]);
    if (v->rank > PMP_TENSOR_RANK_MAX)
      return pmp_fail(w->msg, PMP_EINVALID, "view: rank %u", v->rank);
    PMP_TRY(wire_out_text(w, "view.name", v->name, &view[i].name));
    view[i].n_shape = v->rank;
    view[i].shape = (uint64_t *)(uintptr_t)v->shape;
    view[i].offset = v->offset;
    to->views[i] = &view[i];
  }
  return PMP_OK;
}

static enum pmp_err out_weights(const struct wire_out *w, const struct pmp_weights_reply *from,
                                PB(Reply) * r) {
  PB(WeightsReply) * to;
  WIRE_NEW(w, WeightsReply, weights_reply, to);
  to->version = from->version;
  to->bytes = from->bytes;
  to->offset = from->offset;
  to->learner_step = from->learner_step;
  PMP_TRY(wire_out_text(w, "weights.hash", from->hash, &to->hash));
  PMP_TRY(wire_out_text(w, "weights.base_hash", from->base_hash, &to->base_hash));
  PMP_TRY(wire_out_text(w, "weights.policy", from->policy, &to->policy));
  PMP_TRY(wire_out_bytes(w, "weights.data", from->data, &to->data));
  PMP_TRY(out_views(w, from, to));
  r->weights = to;
  return PMP_OK;
}

static enum pmp_err out_actors(const struct wire_out *w, const struct pmp_status_reply *from,
                               PB(StatusReply) * to) {
  void *memory;
  PMP_TRY(wire_out_array(w, from->actors, sizeof(PB(ActorStatus) *), &memory));
  to->actor = memory;
  to->n_actor = from->actors;
  PMP_TRY(wire_out_array(w, from->actors, sizeof(PB(ActorStatus)), &memory));
  PB(ActorStatus) *actor = memory;
  for (uint32_t i = 0; i < from->actors; i++) {
    const struct pmp_actor_status *a = &from->actor[i];
    pmpo__v1__actor_status__init(&actor[i]);
    PMP_TRY(wire_out_text(w, "actor.name", a->name, &actor[i].name));
    actor[i].epoch = a->epoch;
    actor[i].last_seq = a->last_seq;
    actor[i].rows = a->rows;
    actor[i].ref_version = a->ref_version;
    actor[i].env_steps = a->env_steps;
    actor[i].idle_ms = a->idle_ms;
    PMP_TRY(wire_out_numbers(w, a->value, a->values, &actor[i].value, &actor[i].n_value));
    PMP_TRY(wire_out_numbers(w, a->number, a->numbers, &actor[i].number, &actor[i].n_number));
    to->actor[i] = &actor[i];
  }
  return PMP_OK;
}

static enum pmp_err out_status(const struct wire_out *w, const struct pmp_status_reply *from,
                               PB(Reply) * r) {
  PB(StatusReply) * to;
  WIRE_NEW(w, StatusReply, status_reply, to);
  void *memory;
  PMP_TRY(wire_out_array(w, from->texts, sizeof(PB(Text) *), &memory));
  to->text = memory;
  to->n_text = from->texts;
  PMP_TRY(wire_out_array(w, from->texts, sizeof(PB(Text)), &memory));
  PB(Text) *text = memory;
  for (uint32_t i = 0; i < from->texts; i++) {
    pmpo__v1__text__init(&text[i]);
    PMP_TRY(wire_out_text(w, "text.name", from->text[i].name, &text[i].name));
    PMP_TRY(wire_out_text(w, "text.value", from->text[i].value, &text[i].value));
    to->text[i] = &text[i];
  }
  PMP_TRY(wire_out_numbers(w, from->number, from->numbers, &to->number, &to->n_number));
  PMP_TRY(out_actors(w, from, to));
  r->status = to;
  return PMP_OK;
}

static enum pmp_err out_history(const struct wire_out *w, const struct pmp_history_reply *from,
                                PB(Reply) * r) {
  PB(HistoryReply) * to;
  WIRE_NEW(w, HistoryReply, history_reply, to);
  void *memory;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(Series) *), &memory));
  to->series = memory;
  to->n_series = from->count;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(Series)), &memory));
  PB(Series) *series = memory;
  for (uint32_t i = 0; i < from->count; i++) {
    const struct pmp_series *s = &from->series[i];
    pmpo__v1__series__init(&series[i]);
    PMP_TRY(wire_out_text(w, "series.name", s->name, &series[i].name));
    if (!wire_f64_finite(s->value, s->points))
      return pmp_fail(w->msg, PMP_EINVALID, "series '%s': a value is not finite", s->name);
    series[i].n_step = series[i].n_env_steps = series[i].n_wall_ns = series[i].n_value = s->points;
    series[i].step = (uint64_t *)(uintptr_t)s->step;
    series[i].env_steps = (uint64_t *)(uintptr_t)s->env_steps;
    series[i].wall_ns = (int64_t *)(uintptr_t)s->wall_ns;
    series[i].value = (double *)(uintptr_t)s->value;
    to->series[i] = &series[i];
  }
  r->history = to;
  return PMP_OK;
}

static enum pmp_err out_events(const struct wire_out *w, const struct pmp_events_reply *from,
                               PB(Reply) * r) {
  PB(EventsReply) * to;
  WIRE_NEW(w, EventsReply, events_reply, to);
  void *memory;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(Event) *), &memory));
  to->event = memory;
  to->n_event = from->count;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(Event)), &memory));
  PB(Event) *event = memory;
  for (uint32_t i = 0; i < from->count; i++) {
    pmpo__v1__event__init(&event[i]);
    event[i].id = from->event[i].id;
    event[i].wall_ns = from->event[i].wall_ns;
    PMP_TRY(wire_out_text(w, "event.who", from->event[i].who, &event[i].who));
    PMP_TRY(wire_out_text(w, "event.kind", from->event[i].kind, &event[i].kind));
    PMP_TRY(wire_out_text(w, "event.detail", from->event[i].detail, &event[i].detail));
    PMP_TRY(wire_out_bytes(w, "event.hash", from->event[i].hash, &event[i].hash));
    if (event[i].hash.len != 0 && event[i].hash.len != PMP_EVENT_HASH_BYTES)
      return pmp_fail(w->msg, PMP_EINVALID, "event: a hash of %zu bytes", event[i].hash.len);
    to->event[i] = &event[i];
  }
  r->events = to;
  return PMP_OK;
}

static enum pmp_err out_verdicts(const struct wire_out *w, const struct pmp_verdicts_reply *from,
                                 PB(Reply) * r) {
  PB(VerdictsReply) * to;
  WIRE_NEW(w, VerdictsReply, verdicts_reply, to);
  void *memory;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(VerdictResult) *), &memory));
  to->result = memory;
  to->n_result = from->count;
  PMP_TRY(wire_out_array(w, from->count, sizeof(PB(VerdictResult)), &memory));
  PB(VerdictResult) *result = memory;
  for (uint32_t i = 0; i < from->count; i++) {
    const struct pmp_verdict_result *v = &from->result[i];
    pmpo__v1__verdict_result__init(&result[i]);
    PMP_TRY(wire_out_text(w, "verdict.message", v->message, &result[i].message));
    result[i].code = (PB(Code))(v->code <= PMP_EINTERNAL ? v->code : PMP_EINTERNAL);
    result[i].surplus = v->surplus;
    result[i].duplicate = v->duplicate;
    result[i].replaced = v->replaced;
    to->result[i] = &result[i];
  }
  r->verdicts = to;
  return PMP_OK;
}

static enum pmp_err out_small(const struct wire_out *w, const struct pmp_reply *from,
                              PB(Reply) * r) {
  switch (from->verb) {
  case PMP_VERB_APPEND:
    WIRE_NEW(w, AppendReply, append_reply, r->append);
    r->append->chunk = from->u.append.chunk;
    r->append->rows = from->u.append.rows;
    r->append->ref_version = from->u.append.ref_version;
    r->append->duplicate = from->u.append.duplicate;
    return PMP_OK;
  case PMP_VERB_REPORT:
    WIRE_NEW(w, ReportReply, report_reply, r->report);
    return PMP_OK;
  case PMP_VERB_LEASE:
    return wire_out_lease_reply(w, &from->u.lease, &r->lease);
  case PMP_VERB_REVIEW:
    return wire_out_review_reply(w, &from->u.review, &r->review);
  case PMP_VERB_CONTROL:
    WIRE_NEW(w, ControlReply, control_reply, r->control);
    return wire_out_text(w, "control.detail", from->u.control.detail, &r->control->detail);
  case PMP_VERB_EXPORT:
    WIRE_NEW(w, ExportReply, export_reply, r->export);
    r->export->version = from->u.export_.version;
    r->export->bytes = from->u.export_.bytes;
    r->export->offset = from->u.export_.offset;
    return wire_out_bytes(w, "export.data", from->u.export_.data, &r->export->data);
  case PMP_VERB_NONE:
    return PMP_OK;
  default:
    return pmp_fail(w->msg, PMP_EINVALID, "unknown verb %d", (int)from->verb);
  }
}

static enum pmp_err out_body(const struct wire_out *w, const struct pmp_reply *from,
                             PB(Reply) * r) {
  r->body_case = (PB(Reply__BodyCase))from->verb;
  switch (from->verb) {
  case PMP_VERB_HELLO:
    return out_hello(w, &from->u.hello, r);
  case PMP_VERB_WEIGHTS:
    return out_weights(w, &from->u.weights, r);
  case PMP_VERB_STATUS:
    return out_status(w, &from->u.status, r);
  case PMP_VERB_HISTORY:
    return out_history(w, &from->u.history, r);
  case PMP_VERB_EVENTS:
    return out_events(w, &from->u.events, r);
  case PMP_VERB_VERDICTS:
    return out_verdicts(w, &from->u.verdicts, r);
  default:
    return out_small(w, from, r);
  }
}

enum pmp_err pmp_wire_encode_reply(const struct pmp_reply *r, struct pmp_arena *arena,
                                   const void **data, size_t *size, struct pmp_errmsg *msg) {
  struct wire_out w = {.arena = arena, .msg = msg};
  PB(Reply) reply;
  pmpo__v1__reply__init(&reply);
  reply.version = PMP_WIRE_VERSION_MAX;
  reply.request_id = r->request_id;
  /* Codes that never travel (a full disk, no memory) are the daemon's own trouble. */
  reply.code = (PB(Code))(r->code <= PMP_EINTERNAL ? r->code : PMP_EINTERNAL);
  PMP_TRY(wire_out_text(&w, "message", r->message, &reply.message));
  reply.retry_after_ms = r->retry_after_ms;
  reply.version_min = r->version_min;
  reply.version_max = r->version_max;
  reply.expected_seq = r->expected_seq;
  if (r->code == PMP_EINVALID && r->version_max == 0) {
    reply.version_min = PMP_WIRE_VERSION_MIN;
    reply.version_max = PMP_WIRE_VERSION_MAX;
  }
  PMP_TRY(out_body(&w, r, &reply));
  return wire_out_pack(&w, &reply.base, data, size);
}
