#include "daemon/http_json.h"

#include <math.h>
#include <string.h>

#define ELEMENTS_MAX 4096     /* of a tensor that is shown */
#define TEXT_INLINE_MAX 65536 /* of a text among the media; longer ones are fetched */

/* JSON has no NaN. */
static json_t *number(double v) {
  return isfinite(v) ? json_real(v) : json_null();
}

static json_t *integer(uint64_t v) {
  return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

/* What an actor calls text need not be UTF-8. */
static json_t *string(const char *s) {
  json_t *j = json_string(s);
  return j ? j : json_string("(not UTF-8)");
}

static const char *const dtype_name[] = {"none", "f32", "f64", "i8", "u8",
                                         "i32",  "u32", "i64", "u64"};

static json_t *element(const struct pmp_tensor *t, size_t i) {
  union {
    float f32;
    double f64;
    int8_t i8;
    uint8_t u8;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
  } v = {0};
  const size_t size = pmp_dtype_bytes(t->dtype);
  memcpy(&v, (const char *)t->data + i * size, size);
  switch (t->dtype) {
  case PMP_F32:
    return number(v.f32);
  case PMP_F64:
    return number(v.f64);
  case PMP_I8:
    return json_integer(v.i8);
  case PMP_U8:
    return json_integer(v.u8);
  case PMP_I32:
    return json_integer(v.i32);
  case PMP_U32:
    return json_integer(v.u32);
  case PMP_I64:
    return json_integer(v.i64);
  default:
    return integer(v.u64);
  }
}

static json_t *tensor(const struct pmp_tensor *t) {
  json_t *shape = json_array(), *data = json_array();
  for (uint32_t k = 0; k < t->rank; k++) json_array_append_new(shape, integer(t->shape[k]));
  const size_t bytes = pmp_dtype_bytes(t->dtype), n = bytes && t->data ? t->bytes / bytes : 0;
  for (size_t i = 0; i < n && i < ELEMENTS_MAX; i++) json_array_append_new(data, element(t, i));
  return json_pack("{s:s, s:o, s:o, s:b}", "dtype", dtype_name[t->dtype], "shape", shape, "data",
                   data, "truncated", n > ELEMENTS_MAX);
}

static json_t *media(const struct pmp_media *m, uint32_t count, const char *item) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < count; i++) {
    json_t *one = json_pack("{s:o, s:o, s:o}", "name", string(m[i].name), "type", string(m[i].type),
                            "bytes", integer(m[i].bytes));
    json_t *text = NULL;
    if (strncmp(m[i].type, "text/", 5) == 0 && m[i].bytes <= TEXT_INLINE_MAX)
      text = json_stringn(m[i].data ? m[i].data : "", m[i].bytes);
    if (text) {
      json_object_set_new(one, "text", text);
    } else if (item) {
      json_object_set_new(one, "url", json_sprintf("/api/items/%s/media/%u", item, i));
    }
    json_array_append_new(list, one);
  }
  return list;
}

static json_t *leased(const struct pmp_leased_item *it) {
  char id[PMP_ITEM_TEXT_MAX];
  pmp_json_item_text(it->item, id);
  json_t *condition = json_array();
  for (uint32_t i = 0; i < it->conditions; i++)
    json_array_append_new(condition, tensor(&it->condition[i]));
  return json_pack(
      "{s:s, s:I, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "item", id, "labels", (json_int_t)it->labels,
      "score", number(it->score), "lease_ms", (json_int_t)it->lease_ms, "actor",
      string(it->actor ? it->actor : ""), "ref_version", integer(it->ref_version), "media",
      media(it->media, it->medias, id), "condition", condition, "outcome", tensor(&it->outcome));
}

static json_t *refs(const struct pmp_item_ref *ref, uint32_t count) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < count; i++) {
    char id[PMP_ITEM_TEXT_MAX];
    pmp_json_item_text(ref[i], id);
    json_array_append_new(list, json_string(id));
  }
  return list;
}

json_t *pmp_json_lease(const struct pmp_lease_reply *r) {
  json_t *items = json_array();
  for (uint32_t i = 0; i < r->items; i++) json_array_append_new(items, leased(&r->item[i]));
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "items", items, "waiting", integer(r->waiting),
                   "judged", integer(r->judged), "quota", integer(r->quota), "lost",
                   refs(r->lost, r->losts), "render", string(r->render ? r->render : ""));
}

json_t *pmp_json_verdicts(const struct pmp_verdicts_reply *r) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < r->count; i++) {
    const struct pmp_verdict_result *v = &r->result[i];
    json_array_append_new(
        list, json_pack("{s:s, s:o, s:b, s:b, s:b}", "code", pmp_err_name(v->code), "message",
                        string(v->message ? v->message : ""), "surplus", v->surplus, "duplicate",
                        v->duplicate, "replaced", v->replaced));
  }
  return json_pack("{s:o}", "results", list);
}

static json_t *numbers(const struct pmp_number *n, uint32_t count) {
  json_t *o = json_object();
  for (uint32_t i = 0; i < count; i++) json_object_set_new(o, n[i].name, number(n[i].value));
  return o;
}

json_t *pmp_json_status(const struct pmp_status_reply *r) {
  json_t *texts = json_object(), *actors = json_array();
  for (uint32_t i = 0; i < r->texts; i++)
    json_object_set_new(texts, r->text[i].name, string(r->text[i].value));
  for (uint32_t i = 0; i < r->actors; i++) {
    const struct pmp_actor_status *a = &r->actor[i];
    json_array_append_new(
        actors, json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "name", string(a->name),
                          "epoch", (json_int_t)a->epoch, "last_seq", integer(a->last_seq), "rows",
                          integer(a->rows), "ref_version", integer(a->ref_version), "env_steps",
                          integer(a->env_steps), "idle_ms", (json_int_t)a->idle_ms, "reported",
                          numbers(a->value, a->values), "numbers", numbers(a->number, a->numbers)));
  }
  return json_pack("{s:o, s:o, s:o}", "texts", texts, "numbers", numbers(r->number, r->numbers),
                   "actors", actors);
}

json_t *pmp_json_history(const struct pmp_history_reply *r) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < r->count; i++) {
    const struct pmp_series *s = &r->series[i];
    json_t *step = json_array(), *env = json_array(), *wall = json_array(), *value = json_array();
    for (uint32_t k = 0; k < s->points; k++) {
      json_array_append_new(step, integer(s->step[k]));
      json_array_append_new(env, integer(s->env_steps[k]));
      json_array_append_new(wall, json_integer(s->wall_ns[k] / 1000000));
      json_array_append_new(value, number(s->value[k]));
    }
    json_array_append_new(list,
                          json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", string(s->name), "step",
                                    step, "env_steps", env, "wall_ms", wall, "value", value));
  }
  return json_pack("{s:o}", "series", list);
}

static json_t *hex(struct pmp_bytes b) {
  static const char digit[] = "0123456789abcdef";
  char text[65];
  const size_t n = b.size < 32 ? b.size : 32;
  for (size_t i = 0; i < n; i++) {
    const uint8_t v = ((const uint8_t *)b.data)[i];
    text[2 * i] = digit[v >> 4];
    text[2 * i + 1] = digit[v & 15];
  }
  text[2 * n] = '\0';
  return json_string(text);
}

json_t *pmp_json_events(const struct pmp_events_reply *r) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < r->count; i++) {
    const struct pmp_event *e = &r->event[i];
    json_array_append_new(list, json_pack("{s:o, s:I, s:o, s:o, s:o, s:o}", "id", integer(e->id),
                                          "wall_ms", (json_int_t)(e->wall_ns / 1000000), "who",
                                          string(e->who), "kind", string(e->kind), "detail",
                                          string(e->detail), "hash", hex(e->hash)));
  }
  return json_pack("{s:o}", "events", list);
}

static json_t *item_records(const struct pmp_review_reply *r) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < r->items; i++) {
    char id[PMP_ITEM_TEXT_MAX];
    pmp_json_item_text(r->item[i].item, id);
    json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:o}", "item", id, "labels",
                                          (json_int_t)r->item[i].labels, "leases",
                                          (json_int_t)r->item[i].leases, "score",
                                          number(r->item[i].score)));
  }
  return json_pack("{s:o}", "items", list);
}

static json_t *verdict_records(const struct pmp_review_reply *r) {
  static const char *const said[] = {"none", "accept", "reject", "skip", "withdraw"};
  static const char *const state[] = {"none", "active", "surplus", "replaced", "withdrawn"};
  json_t *list = json_array();
  for (uint32_t i = 0; i < r->verdicts; i++) {
    const struct pmp_verdict_record *v = &r->verdict[i];
    char id[PMP_ITEM_TEXT_MAX];
    pmp_json_item_text(v->item, id);
    json_array_append_new(
        list, json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:s, s:I, s:o, s:o}", "id", integer(v->id),
                        "who", string(v->who), "item", id, "judgement",
                        said[v->judgement <= PMP_WITHDRAW ? v->judgement : 0], "confidence",
                        number(v->confidence), "note", string(v->note ? v->note : ""), "state",
                        state[v->state >= 0 && v->state <= 4 ? v->state : 0], "wall_ms",
                        (json_int_t)(v->wall_ns / 1000000), "request_id",
                        string(v->request_id ? v->request_id : ""), "media",
                        media(v->media, v->medias, NULL)));
  }
  return json_pack("{s:o}", "verdicts", list);
}

static json_t *labeler_records(const struct pmp_review_reply *r) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < r->labelers; i++) {
    const struct pmp_labeler_record *l = &r->labeler[i];
    json_array_append_new(
        list,
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "who",
                  string(l->who), "accepts", integer(l->accepts), "rejects", integer(l->rejects),
                  "skips", integer(l->skips), "surplus", integer(l->surplus), "withdrawn",
                  integer(l->withdrawn), "gold", integer(l->gold), "gold_right",
                  integer(l->gold_right), "first_ms", (json_int_t)(l->first_ns / 1000000),
                  "last_ms", (json_int_t)(l->last_ns / 1000000), "agreement",
                  l->pairs ? number(l->agreement) : json_null(), "pairs", integer(l->pairs)));
  }
  return json_pack("{s:o}", "labelers", list);
}

static json_t *agreement(const struct pmp_review_reply *r) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < r->pairs; i++) {
    const struct pmp_pair_record *p = &r->pair[i];
    json_array_append_new(list,
                          json_pack("{s:o, s:o, s:o, s:o, s:o}", "a", string(p->a), "b",
                                    string(p->b), "items", integer(p->items), "raw", number(p->raw),
                                    "kappa", p->kappa_known ? number(p->kappa) : json_null()));
  }
  return json_pack("{s:o, s:o}", "pairs", list, "numbers", numbers(r->number, r->numbers));
}

json_t *pmp_json_review(const struct pmp_review_reply *r, enum pmp_subject subject) {
  switch (subject) {
  case PMP_SUBJECT_ITEMS:
    return item_records(r);
  case PMP_SUBJECT_VERDICTS:
    return verdict_records(r);
  case PMP_SUBJECT_LABELERS:
    return labeler_records(r);
  default:
    return agreement(r);
  }
}

static json_t *tensor_spec(const struct pmp_tensor_spec *t) {
  json_t *shape = json_array();
  for (uint32_t k = 0; k < t->rank; k++) json_array_append_new(shape, integer(t->shape[k]));
  return json_pack("{s:o, s:s, s:o}", "name", string(t->name), "dtype", dtype_name[t->dtype],
                   "shape", shape);
}

json_t *pmp_json_spec(const struct pmp_spec *s) {
  static const char *const shape[] = {"none", "outcomes", "trajectories"};
  static const char *const kind[] = {"none", "box", "bins", "tokens"};
  json_t *obs = json_array();
  for (uint32_t i = 0; i < s->obs_parts; i++) json_array_append_new(obs, tensor_spec(&s->obs[i]));
  return json_pack("{s:s, s:s, s:o, s:{s:s, s:I, s:f, s:f, s:I}}", "task", s->task, "shape",
                   shape[s->shape], "observation", obs, "action", "kind", kind[s->action.kind],
                   "dim", (json_int_t)s->action.dim, "low", (double)s->action.low, "high",
                   (double)s->action.high, "bins", (json_int_t)s->action.bins);
}
