#include "clients/pmpoctl/answer.h"

#include <math.h>
#include <string.h>

double pmp_answer_number(const struct pmp_number *number, uint32_t count, const char *name) {
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(number[i].name, name) == 0) return number[i].value;
  return NAN;
}

const char *pmp_answer_text(const struct pmp_text *text, uint32_t count, const char *name) {
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(text[i].name, name) == 0) return text[i].value;
  return NULL;
}

json_t *pmp_answer_numbers_json(const struct pmp_number *number, uint32_t count) {
  json_t *j = json_object();
  for (uint32_t i = 0; j && i < count; i++) {
    const double v = number[i].value;
    const bool whole = v == floor(v) && fabs(v) < 9e15;
    json_object_set_new(j, number[i].name, whole ? json_integer((json_int_t)v) : json_real(v));
  }
  return j;
}

json_t *pmp_answer_actors_json(const struct pmp_actor_status *actor, uint32_t count) {
  json_t *list = json_array();
  for (uint32_t i = 0; list && i < count; i++) {
    const struct pmp_actor_status *a = &actor[i];
    json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "name", a->name, "epoch",
                          (json_int_t)a->epoch, "last_seq", (json_int_t)a->last_seq, "rows",
                          (json_int_t)a->rows, "ref_version", (json_int_t)a->ref_version,
                          "env_steps", (json_int_t)a->env_steps, "idle_ms", (json_int_t)a->idle_ms);
    if (!j) continue;
    json_object_set_new(j, "values", pmp_answer_numbers_json(a->value, a->values));
    json_object_set_new(j, "numbers", pmp_answer_numbers_json(a->number, a->numbers));
    json_array_append_new(list, j);
  }
  return list;
}

json_t *pmp_answer_event_json(const struct pmp_event *e) {
  json_t *detail = json_loads(e->detail, JSON_DECODE_ANY, NULL);
  if (!detail) detail = json_string(e->detail);
  return json_pack("{s:I, s:I, s:s, s:s, s:o}", "id", (json_int_t)e->id, "wall_ns",
                   (json_int_t)e->wall_ns, "who", e->who, "kind", e->kind, "detail", detail);
}

bool pmp_answer_print(json_t *j, size_t flags, FILE *out) {
  if (!j) return false;
  const bool good = json_dumpf(j, out, flags | JSON_ENCODE_ANY) == 0 && fputc('\n', out) != EOF;
  json_decref(j);
  return good;
}
