/* Requests off the wire: the daemon's side of a conversation. */
#include "proto/wire_internal.h"

#include <string.h>

static struct pmp_bytes bytes_of(ProtobufCBinaryData b) {
  return (struct pmp_bytes){.data = b.data, .size = b.len};
}

static enum pmp_err in_hello(const struct wire_in *in, const PB(Hello) * from,
                             struct pmp_hello *out) {
  if (from->role <= 0 || from->role > (int)PMP_ROLE_OPERATOR)
    return pmp_fail(in->msg, PMP_EINVALID, "hello: unknown role %d", (int)from->role);
  out->role = (enum pmp_role)from->role;
  PMP_TRY(wire_in_text(in, "hello.name", from->name, &out->name));
  PMP_TRY(wire_in_text(in, "hello.token", from->token, &out->token));
  PMP_TRY(wire_in_text(in, "hello.client", from->client, &out->client));
  if (!pmp_name_valid(out->name))
    return pmp_fail(
        in->msg, PMP_EINVALID,
        "hello: a name is 1 to %d letters, digits, '-', '_', '.', '@' (given: %zu bytes)",
        PMP_NAME_MAX - 1, strlen(out->name));
  if (from->instance.len != 0 && from->instance.len != PMP_INSTANCE_BYTES)
    return pmp_fail(in->msg, PMP_EINVALID, "hello: an instance is %d bytes, not %zu",
                    PMP_INSTANCE_BYTES, from->instance.len);
  if (out->role == PMP_ROLE_ACTOR && from->instance.len == 0)
    return pmp_fail(in->msg, PMP_EINVALID, "hello: an actor names its instance");
  out->instance = bytes_of(from->instance);
  out->has_spec = from->spec != NULL;
  if (out->has_spec) PMP_TRY(wire_in_spec(in, from->spec, &out->spec));
  return PMP_OK;
}

static enum pmp_err in_append(const struct wire_in *in, const PB(Append) * from,
                              struct pmp_append *out) {
  if (from->seq == 0) return pmp_fail(in->msg, PMP_EINVALID, "append: seq starts at 1");
  if (from->actor_state.len > in->limits->actor_state_bytes)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "append: %zu bytes of actor_state; the limit is %u",
                    from->actor_state.len, in->limits->actor_state_bytes);
  if (from->chunk.len == 0) return pmp_fail(in->msg, PMP_EINVALID, "append: no chunk");
  out->seq = from->seq;
  out->chunk = bytes_of(from->chunk);
  out->actor_state = bytes_of(from->actor_state);
  return PMP_OK;
}

static enum pmp_err in_which(const struct wire_in *in, int from, enum pmp_which *out) {
  if (from != (int)PMP_WHICH_REFERENCE && from != (int)PMP_WHICH_POLICY)
    return pmp_fail(in->msg, PMP_EINVALID, "unknown kind of weights %d", from);
  *out = (enum pmp_which)from;
  return PMP_OK;
}

static enum pmp_err in_weights(const struct wire_in *in, const PB(Weights) * from,
                               struct pmp_weights *out) {
  PMP_TRY(in_which(in, (int)from->which, &out->which));
  out->version = from->version;
  out->newer_than = from->newer_than;
  out->wait_ms = from->wait_ms;
  out->offset = from->offset;
  out->length = from->length;
  return PMP_OK;
}

static enum pmp_err in_history(const struct wire_in *in, const PB(History) * from,
                               struct pmp_history *out) {
  PMP_TRY(wire_in_count(in, "history.name", from->n_name));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_name, sizeof(const char *), &memory));
  const char **name = memory;
  for (size_t i = 0; i < from->n_name; i++)
    PMP_TRY(wire_in_text(in, "history.name", from->name[i], &name[i]));
  out->name = name;
  out->names = (uint32_t)from->n_name;
  out->step_from = from->step_from;
  out->step_to = from->step_to;
  out->points_max = from->points_max;
  return PMP_OK;
}

static enum pmp_err in_control(const struct wire_in *in, const PB(Control) * from,
                               struct pmp_control *out) {
  if (from->action <= 0 || from->action > (int)PMP_CONTROL_GOLD)
    return pmp_fail(in->msg, PMP_EINVALID, "control: unknown action %d", (int)from->action);
  out->action = (enum pmp_control_action)from->action;
  PMP_TRY(wire_in_text(in, "control.key", from->key, &out->key));
  PMP_TRY(wire_in_text(in, "control.value", from->value, &out->value));
  if (out->action >= PMP_CONTROL_SET && out->key[0] == '\0')
    return pmp_fail(in->msg, PMP_EINVALID, "control: %s",
                    out->action == PMP_CONTROL_SET ? "set needs a key" : "gold needs an item");
  return PMP_OK;
}

static enum pmp_err in_verdict(const struct wire_in *in, const PB(Verdict) * from,
                               struct pmp_verdict *out) {
  PMP_TRY(wire_in_text(in, "verdict.request_id", from->request_id, &out->request_id));
  PMP_TRY(wire_in_text(in, "verdict.note", from->note, &out->note));
  if (from->judgement <= 0 || from->judgement > (int)PMP_WITHDRAW)
    return pmp_fail(in->msg, PMP_EINVALID, "verdict: unknown judgement %d", (int)from->judgement);
  PMP_TRY(wire_in_finite(in, "verdict.confidence", (double)from->confidence));
  float confidence = from->confidence == 0.0f ? 1.0f : from->confidence;
  if (!(confidence > 0.0f && confidence <= 1.0f))
    return pmp_fail(in->msg, PMP_EINVALID, "verdict: confidence %g is not in (0,1]",
                    (double)confidence);
  out->chunk = from->chunk;
  out->row = from->row;
  out->rows = from->rows == 0 ? 1 : from->rows;
  if (out->rows > UINT32_MAX - out->row)
    return pmp_fail(in->msg, PMP_EINVALID, "verdict: rows %u+%u", out->row, out->rows);
  out->judgement = (enum pmp_judgement)from->judgement;
  out->confidence = confidence;
  return PMP_OK;
}

static enum pmp_err in_verdicts(const struct wire_in *in, const PB(Verdicts) * from,
                                struct pmp_verdicts *out) {
  PMP_TRY(wire_in_count(in, "verdicts", from->n_verdict));
  void *memory;
  PMP_TRY(wire_in_array(in, from->n_verdict, sizeof(struct pmp_verdict), &memory));
  struct pmp_verdict *verdict = memory;
  for (size_t i = 0; i < from->n_verdict; i++)
    PMP_TRY(in_verdict(in, from->verdict[i], &verdict[i]));
  out->verdict = verdict;
  out->count = (uint32_t)from->n_verdict;
  return PMP_OK;
}

/* Verbs whose body is numbers and one text at most. */
static enum pmp_err in_small(const struct wire_in *in, const PB(Request) * r,
                             struct pmp_request *out) {
  switch (out->verb) {
  case PMP_VERB_REPORT:
    out->u.report.ref_version = r->report->ref_version;
    out->u.report.env_steps = r->report->env_steps;
    return wire_in_numbers(in, "report.value", r->report->value, r->report->n_value,
                           &out->u.report.value, &out->u.report.count);
  case PMP_VERB_STATUS:
    out->u.status.actors = r->status->actors != 0;
    return PMP_OK;
  case PMP_VERB_EVENTS:
    out->u.events.after = r->events->after;
    out->u.events.count = r->events->count;
    out->u.events.all = r->events->all;
    return PMP_OK;
  case PMP_VERB_EXPORT:
    out->u.export_.version = r->export->version;
    out->u.export_.offset = r->export->offset;
    out->u.export_.length = r->export->length;
    return in_which(in, (int)r->export->which, &out->u.export_.which);
  case PMP_VERB_LEASE:
    return wire_in_lease(in, r->lease, &out->u.lease);
  case PMP_VERB_REVIEW:
    return wire_in_review(in, r->review, &out->u.review);
  default:
    return pmp_fail(in->msg, PMP_EINVALID, "the request has no body");
  }
}

static enum pmp_err in_body(const struct wire_in *in, const PB(Request) * r,
                            struct pmp_request *out) {
  out->verb = (enum pmp_verb)r->body_case;
  switch (out->verb) {
  case PMP_VERB_HELLO:
    return in_hello(in, r->hello, &out->u.hello);
  case PMP_VERB_APPEND:
    return in_append(in, r->append, &out->u.append);
  case PMP_VERB_WEIGHTS:
    return in_weights(in, r->weights, &out->u.weights);
  case PMP_VERB_HISTORY:
    return in_history(in, r->history, &out->u.history);
  case PMP_VERB_CONTROL:
    return in_control(in, r->control, &out->u.control);
  case PMP_VERB_VERDICTS:
    return in_verdicts(in, r->verdicts, &out->u.verdicts);
  default:
    return in_small(in, r, out);
  }
}

static enum pmp_err in_request(const struct wire_in *in, const PB(Request) * r,
                               struct pmp_request *out) {
  out->version = r->version;
  out->request_id = r->request_id;
  if (r->version < PMP_WIRE_VERSION_MIN || r->version > PMP_WIRE_VERSION_MAX)
    return pmp_fail(in->msg, PMP_EINVALID, "protocol version %u; understood are %d to %d",
                    r->version, PMP_WIRE_VERSION_MIN, PMP_WIRE_VERSION_MAX);
  if (r->session.len != 0 && r->session.len != PMP_SESSION_BYTES)
    return pmp_fail(in->msg, PMP_EINVALID, "a session is %d bytes, not %zu", PMP_SESSION_BYTES,
                    r->session.len);
  out->session = bytes_of(r->session);
  return in_body(in, r, out);
}

enum pmp_err pmp_wire_decode_request(const void *data, size_t size,
                                     const struct pmp_wire_limits *limits, struct pmp_arena *arena,
                                     struct pmp_request *out, struct pmp_errmsg *msg) {
  memset(out, 0, sizeof *out);
  struct wire_in in = {.limits = limits, .arena = arena, .msg = msg};
  size_t mark = pmp_arena_mark(arena);
  void *unpacked;
  enum pmp_err err = wire_unpack(&in, &pmpo__v1__request__descriptor, data, size, &unpacked);
  if (err == PMP_OK) err = in_request(&in, unpacked, out);
  if (err != PMP_OK) {
    uint32_t version = out->version;
    uint64_t request_id = out->request_id;
    memset(out, 0, sizeof *out);
    out->version = version;
    out->request_id = request_id;
    pmp_arena_release(arena, mark);
  }
  return err;
}
