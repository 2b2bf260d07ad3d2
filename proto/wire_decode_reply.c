/* Replies off the wire: the client's side of a conversation. */
#include "proto/wire_internal.h"

#include <string.h>

static struct pmp_bytes bytes_of(ProtobufCBinaryData b) {
  return (struct pmp_bytes){.data = b.data, .size = b.len};
}

/* Codes of a later protocol are somebody's internal error to us. */
static enum pmp_err code_of(int code) {
  return code >= 0 && code <= (int)PMP_EINTERNAL ? (enum pmp_err)code : PMP_EINTERNAL;
}

static void in_limits(const struct wire_in *in, const PB(Limits) * from,
                      struct pmp_wire_limits *out) {
  *out = *in->limits;
  if (from == NULL) return;
  if (from->message_bytes != 0) out->message_bytes = (size_t)from->message_bytes;
  if (from->chunk_rows != 0) out->chunk_rows = from->chunk_rows;
  if (from->actor_state_bytes != 0) out->actor_state_bytes = from->actor_state_bytes;
  if (from->string_bytes != 0) out->string_bytes = from->string_bytes;
  if (from->tensor_rank != 0) out->tensor_rank = from->tensor_rank;
  if (from->tensor_elements != 0) out->tensor_elements = from->tensor_elements;
}

static enum pmp_err in_hello(const struct wire_in *in, const PB(HelloReply) * from,
                             struct pmp_hello_reply *out) {
  if (from->session.len != PMP_SESSION_BYTES)
    return pmp_fail(in->msg, PMP_EINVALID, "hello: a session is %d bytes, not %zu",
                    PMP_SESSION_BYTES, from->session.len);
  memcpy(out->session, from->session.data, PMP_SESSION_BYTES);
  PMP_TRY(wire_in_text(in, "run_id", from->run_id, &out->run_id));
  PMP_TRY(wire_in_text(in, "policy", from->policy, &out->policy));
  PMP_TRY(wire_in_text(in, "data_url", from->data_url, &out->data_url));
  if (from->spec != NULL) PMP_TRY(wire_in_spec(in, from->spec, &out->spec));
  if (from->actor_state.len > in->limits->actor_state_bytes)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "hello: %zu bytes of actor_state",
                    from->actor_state.len);
  in_limits(in, from->limits, &out->limits);
  out->ref_version = from->ref_version;
  out->epoch = from->epoch;
  out->last_seq = from->last_seq;
  out->actor_state = bytes_of(from->actor_state);
  out->lockstep = from->lockstep != 0;
  out->seed = from->seed;
  out->actor_rows = from->actor_rows;
  return PMP_OK;
}

static enum pmp_err in_view(const struct wire_in *in, const PB(View) * from,
                            struct pmp_wire_view *out) {
  PMP_TRY(wire_in_text(in, "view.name", from->name, &out->name));
  if (from->n_shape > PMP_TENSOR_RANK_MAX)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "view '%s': rank %zu", out->name, from->n_shape);
  out->rank = (uint32_t)from->n_shape;
  uint64_t elements;
  if (!wire_elements(out->rank, from->shape, &elements))
    return pmp_fail(in->msg, PMP_ETOOLARGE, "view '%s': too many elements", out->name);
  for (uint32_t i = 0; i < out->rank; i++) out->shape[i] = from->shape[i];
  out->offset = from->offset;
  return PMP_OK;
}

static enum pmp_err in_weights(const struct wire_in *in, const PB(WeightsReply) * from,
                               struct pmp_weights_reply *out) {
  PMP_TRY(wire_in_text(in, "hash", from->hash, &out->hash));
  PMP_TRY(wire_in_text(in, "base_hash", from->base_hash, &out->base_hash));
  PMP_TRY(wire_in_text(in, "policy", from->policy, &out->policy));
  PMP_TRY(wire_in_count(in, "views", from->n_views));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_views, sizeof(struct pmp_wire_view), &memory));
  struct pmp_wire_view *view = memory;
  for (size_t i = 0; i < from->n_views; i++) PMP_TRY(in_view(in, from->views[i], &view[i]));
  if (from->offset > from->bytes || from->data.len > from->bytes - from->offset)
    return pmp_fail(in->msg, PMP_EINVALID, "weights: bytes %llu+%zu of %llu",
                    (unsigned long long)from->offset, from->data.len,
                    (unsigned long long)from->bytes);
  out->view = view;
  out->views = (uint32_t)from->n_views;
  out->version = from->version;
  out->bytes = from->bytes;
  out->offset = from->offset;
  out->learner_step = from->learner_step;
  out->data = bytes_of(from->data);
  return PMP_OK;
}

static enum pmp_err in_actor(const struct wire_in *in, const PB(ActorStatus) * from,
                             struct pmp_actor_status *out) {
  PMP_TRY(wire_in_text(in, "actor.name", from->name, &out->name));
  out->epoch = from->epoch;
  out->last_seq = from->last_seq;
  out->rows = from->rows;
  out->ref_version = from->ref_version;
  out->env_steps = from->env_steps;
  out->idle_ms = from->idle_ms;
  PMP_TRY(
      wire_in_numbers(in, "actor.value", from->value, from->n_value, &out->value, &out->values));
  return wire_in_numbers(in, "actor.number", from->number, from->n_number, &out->number,
                         &out->numbers);
}

static enum pmp_err in_status(const struct wire_in *in, const PB(StatusReply) * from,
                              struct pmp_status_reply *out) {
  PMP_TRY(wire_in_count(in, "status.text", from->n_text));
  PMP_TRY(wire_in_count(in, "status.actor", from->n_actor));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_text, sizeof(struct pmp_text), &memory));
  struct pmp_text *text = memory;
  for (size_t i = 0; i < from->n_text; i++) {
    PMP_TRY(wire_in_text(in, "status.text", from->text[i]->name, &text[i].name));
    PMP_TRY(wire_in_text(in, "status.text", from->text[i]->value, &text[i].value));
  }
  out->text = text;
  out->texts = (uint32_t)from->n_text;
  PMP_TRY(wire_in_array(in, from->n_actor, sizeof(struct pmp_actor_status), &memory));
  struct pmp_actor_status *actor = memory;
  for (size_t i = 0; i < from->n_actor; i++) PMP_TRY(in_actor(in, from->actor[i], &actor[i]));
  out->actor = actor;
  out->actors = (uint32_t)from->n_actor;
  return wire_in_numbers(in, "status.number", from->number, from->n_number, &out->number,
                         &out->numbers);
}

static enum pmp_err in_series(const struct wire_in *in, const PB(Series) * from,
                              struct pmp_series *out) {
  PMP_TRY(wire_in_text(in, "series.name", from->name, &out->name));
  size_t n = from->n_value;
  if (from->n_step != n || from->n_env_steps != n || from->n_wall_ns != n || n > UINT32_MAX)
    return pmp_fail(in->msg, PMP_EINVALID, "series '%s': columns of unequal length", out->name);
  if (!wire_f64_finite(from->value, n))
    return pmp_fail(in->msg, PMP_EINVALID, "series '%s': a value is not finite", out->name);
  out->step = from->step;
  out->env_steps = from->env_steps;
  out->wall_ns = from->wall_ns;
  out->value = from->value;
  out->points = (uint32_t)n;
  return PMP_OK;
}

static enum pmp_err in_history(const struct wire_in *in, const PB(HistoryReply) * from,
                               struct pmp_history_reply *out) {
  PMP_TRY(wire_in_count(in, "history.series", from->n_series));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_series, sizeof(struct pmp_series), &memory));
  struct pmp_series *series = memory;
  for (size_t i = 0; i < from->n_series; i++) PMP_TRY(in_series(in, from->series[i], &series[i]));
  out->series = series;
  out->count = (uint32_t)from->n_series;
  return PMP_OK;
}

static enum pmp_err in_events(const struct wire_in *in, const PB(EventsReply) * from,
                              struct pmp_events_reply *out) {
  PMP_TRY(wire_in_count(in, "events", from->n_event));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_event, sizeof(struct pmp_event), &memory));
  struct pmp_event *event = memory;
  for (size_t i = 0; i < from->n_event; i++) {
    event[i].id = from->event[i]->id;
    event[i].wall_ns = from->event[i]->wall_ns;
    PMP_TRY(wire_in_text(in, "event.who", from->event[i]->who, &event[i].who));
    PMP_TRY(wire_in_text(in, "event.kind", from->event[i]->kind, &event[i].kind));
    PMP_TRY(wire_in_text(in, "event.detail", from->event[i]->detail, &event[i].detail));
    event[i].hash = bytes_of(from->event[i]->hash);
    if (event[i].hash.size != 0 && event[i].hash.size != PMP_EVENT_HASH_BYTES)
      return pmp_fail(in->msg, PMP_EINVALID, "event: a hash is %d bytes, not %zu",
                      PMP_EVENT_HASH_BYTES, event[i].hash.size);
  }
  out->event = event;
  out->count = (uint32_t)from->n_event;
  return PMP_OK;
}

static enum pmp_err in_verdicts(const struct wire_in *in, const PB(VerdictsReply) * from,
                                struct pmp_verdicts_reply *out) {
  PMP_TRY(wire_in_count(in, "verdicts", from->n_result));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_result, sizeof(struct pmp_verdict_result), &memory));
  struct pmp_verdict_result *result = memory;
  for (size_t i = 0; i < from->n_result; i++) {
    const PB(VerdictResult) *r = from->result[i];
    PMP_TRY(wire_in_text(in, "verdict.message", r->message, &result[i].message));
    result[i].code = code_of((int)r->code);
    result[i].surplus = r->surplus != 0;
    result[i].duplicate = r->duplicate != 0;
    result[i].replaced = r->replaced != 0;
  }
  out->result = result;
  out->count = (uint32_t)from->n_result;
  return PMP_OK;
}

static enum pmp_err in_export(const struct wire_in *in, const PB(ExportReply) * from,
                              struct pmp_export_reply *out) {
  if (from->offset > from->bytes || from->data.len > from->bytes - from->offset)
    return pmp_fail(in->msg, PMP_EINVALID, "export: bytes %llu+%zu of %llu",
                    (unsigned long long)from->offset, from->data.len,
                    (unsigned long long)from->bytes);
  out->version = from->version;
  out->bytes = from->bytes;
  out->offset = from->offset;
  out->data = bytes_of(from->data);
  return PMP_OK;
}

static enum pmp_err in_body(const struct wire_in *in, const PB(Reply) * r, struct pmp_reply *out) {
  out->verb = (enum pmp_verb)r->body_case;
  switch (out->verb) {
  case PMP_VERB_HELLO:
    return in_hello(in, r->hello, &out->u.hello);
  case PMP_VERB_APPEND:
    out->u.append = (struct pmp_append_reply){.chunk = r->append->chunk,
                                              .ref_version = r->append->ref_version,
                                              .rows = r->append->rows,
                                              .duplicate = r->append->duplicate != 0};
    return PMP_OK;
  case PMP_VERB_WEIGHTS:
    return in_weights(in, r->weights, &out->u.weights);
  case PMP_VERB_STATUS:
    return in_status(in, r->status, &out->u.status);
  case PMP_VERB_HISTORY:
    return in_history(in, r->history, &out->u.history);
  case PMP_VERB_EVENTS:
    return in_events(in, r->events, &out->u.events);
  case PMP_VERB_CONTROL:
    return wire_in_text(in, "control.detail", r->control->detail, &out->u.control.detail);
  case PMP_VERB_EXPORT:
    return in_export(in, r->export, &out->u.export_);
  case PMP_VERB_VERDICTS:
    return in_verdicts(in, r->verdicts, &out->u.verdicts);
  case PMP_VERB_LEASE:
    return wire_in_lease_reply(in, r->lease, &out->u.lease);
  case PMP_VERB_REVIEW:
    return wire_in_review_reply(in, r->review, &out->u.review);
  case PMP_VERB_NONE:
  case PMP_VERB_REPORT:
    return PMP_OK;
  }
  return pmp_fail(in->msg, PMP_EINVALID, "the reply has an unknown body");
}

static enum pmp_err in_reply(const struct wire_in *in, const PB(Reply) * r, struct pmp_reply *out) {
  out->request_id = r->request_id;
  out->code = code_of((int)r->code);
  out->retry_after_ms = r->retry_after_ms;
  out->version_min = r->version_min;
  out->version_max = r->version_max;
  out->expected_seq = r->expected_seq;
  PMP_TRY(wire_in_text(in, "message", r->message, &out->message));
  return in_body(in, r, out);
}

enum pmp_err pmp_wire_decode_reply(const void *data, size_t size,
                                   const struct pmp_wire_limits *limits, struct pmp_arena *arena,
                                   struct pmp_reply *out, struct pmp_errmsg *msg) {
  memset(out, 0, sizeof *out);
  out->message = "";
  struct wire_in in = {.limits = limits, .arena = arena, .msg = msg};
  size_t mark = pmp_arena_mark(arena);
  void *unpacked;
  enum pmp_err err = wire_unpack(&in, &pmpo__v1__reply__descriptor, data, size, &unpacked);
  if (err == PMP_OK) err = in_reply(&in, unpacked, out);
  if (err != PMP_OK) {
    uint64_t request_id = out->request_id;
    memset(out, 0, sizeof *out);
    out->request_id = request_id;
    out->message = "";
    pmp_arena_release(arena, mark);
  }
  return err;
}
