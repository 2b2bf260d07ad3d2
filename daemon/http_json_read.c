#include "daemon/http_json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define TOKEN_TEXT_MAX 256

/* Only these keys, NULL at the end. */
static enum pmp_err only(const json_t *j, const char *const *allowed, struct pmp_errmsg *msg) {
  if (!json_is_object(j)) return pmp_fail(msg, PMP_EINVALID, "the body must be a JSON object");
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)j, key, value) {
    const char *const *a = allowed;
    while (*a && strcmp(*a, key) != 0) a++;
    if (!*a) return pmp_fail(msg, PMP_EINVALID, "there is no field \"%.64s\" here", key);
  }
  return PMP_OK;
}

/* Absent: "" and PMP_OK. */
static enum pmp_err text(const json_t *j, const char *key, size_t max, const char **out,
                         struct pmp_errmsg *msg) {
  *out = "";
  const json_t *v = json_object_get(j, key);
  if (!v) return PMP_OK;
  if (!json_is_string(v)) return pmp_fail(msg, PMP_EINVALID, "%s must be a text", key);
  if (json_string_length(v) > max) {
    return pmp_fail(msg, PMP_EINVALID, "%s has more than %zu bytes", key, max);
  }
  *out = json_string_value(v);
  return PMP_OK;
}

static enum pmp_err whole(const json_t *j, const char *key, uint32_t max, uint32_t *out,
                          struct pmp_errmsg *msg) {
  *out = 0;
  const json_t *v = json_object_get(j, key);
  if (!v) return PMP_OK;
  if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > (json_int_t)max) {
    return pmp_fail(msg, PMP_EINVALID, "%s must be a whole number from 0 to %u", key, max);
  }
  *out = (uint32_t)json_integer_value(v);
  return PMP_OK;
}

/* Digits to a number, as far as they go; NULL: none, or too large. */
static const char *digits(const char *s, uint64_t max, uint64_t *out) {
  if (*s < '0' || *s > '9') return NULL;
  uint64_t v = 0;
  for (; *s >= '0' && *s <= '9'; s++) {
    const uint64_t d = (uint64_t)(*s - '0');
    if (v > (max - d) / 10) return NULL;
    v = v * 10 + d;
  }
  *out = v;
  return s;
}

enum pmp_err pmp_json_item(const char *s, struct pmp_item_ref *out, struct pmp_errmsg *msg) {
  uint64_t chunk = 0, row = 0, rows = 1;
  const char *at = digits(s, INT64_MAX, &chunk);
  if (at && *at == ':') {
    at = digits(at + 1, UINT32_MAX, &row);
    if (at && *at == '+') at = digits(at + 1, UINT32_MAX, &rows);
    if (at && *at == '\0' && rows > 0) {
      *out = (struct pmp_item_ref){chunk, (uint32_t)row, (uint32_t)rows};
      return PMP_OK;
    }
  }
  return pmp_fail(msg, PMP_EINVALID, "\"%.48s\" is no item: write CHUNK:ROW or CHUNK:ROW+ROWS", s);
}

void pmp_json_item_text(struct pmp_item_ref item, char out[PMP_ITEM_TEXT_MAX]) {
  if (item.rows > 1) {
    snprintf(out, PMP_ITEM_TEXT_MAX, "%" PRIu64 ":%u+%u", item.chunk, item.row, item.rows);
  } else {
    snprintf(out, PMP_ITEM_TEXT_MAX, "%" PRIu64 ":%u", item.chunk, item.row);
  }
}

static const char *const role_word[] = {
    [PMP_ROLE_NONE] = "none",         [PMP_ROLE_ACTOR] = "actor",
    [PMP_ROLE_LABELER] = "labeler",   [PMP_ROLE_OBSERVER] = "observer",
    [PMP_ROLE_OPERATOR] = "operator",
};

enum pmp_role pmp_json_role(const char *name) {
  for (int i = PMP_ROLE_ACTOR; i <= PMP_ROLE_OPERATOR; i++)
    if (strcmp(name, role_word[i]) == 0) return (enum pmp_role)i;
  return PMP_ROLE_NONE;
}

const char *pmp_json_role_name(enum pmp_role role) {
  return role >= PMP_ROLE_NONE && role <= PMP_ROLE_OPERATOR ? role_word[role] : role_word[0];
}

enum pmp_err pmp_json_read_hello(const json_t *j, struct pmp_hello *out, struct pmp_errmsg *msg) {
  static const char *const keys[] = {"role", "name", "token", NULL};
  const char *role = "";
  memset(out, 0, sizeof *out);
  PMP_TRY(only(j, keys, msg));
  PMP_TRY(text(j, "role", 16, &role, msg));
  PMP_TRY(text(j, "name", PMP_NAME_MAX - 1, &out->name, msg));
  PMP_TRY(text(j, "token", TOKEN_TEXT_MAX, &out->token, msg));
  out->role = pmp_json_role(role);
  out->client = "web";
  if (role[0] == '\0' && out->token[0]) return PMP_OK; /* the token's */
  if (out->role == PMP_ROLE_NONE || out->role == PMP_ROLE_ACTOR) {
    return pmp_fail(msg, PMP_EINVALID, "role must be labeler, observer or operator");
  }
  return PMP_OK;
}

static enum pmp_err items(const json_t *j, const char *key, const struct pmp_wire_limits *limits,
                          struct pmp_arena *arena, const struct pmp_item_ref **out, uint32_t *count,
                          struct pmp_errmsg *msg) {
  *out = NULL;
  *count = 0;
  const json_t *list = json_object_get(j, key);
  if (!list) return PMP_OK;
  if (!json_is_array(list)) return pmp_fail(msg, PMP_EINVALID, "%s must be a list of items", key);
  const size_t n = json_array_size(list);
  if (n > limits->repeated) {
    return pmp_fail(msg, PMP_ETOOLARGE, "%s has %zu entries; at most %u are taken", key, n,
                    limits->repeated);
  }
  struct pmp_item_ref *ref = pmp_arena_array(arena, n, sizeof *ref);
  if (!ref) return pmp_fail(msg, PMP_EUNAVAILABLE, "out of memory");
  for (size_t i = 0; i < n; i++) {
    const char *s = json_string_value(json_array_get(list, i));
    PMP_TRY(pmp_json_item(s ? s : "", &ref[i], msg));
  }
  *out = ref;
  *count = (uint32_t)n;
  return PMP_OK;
}

enum pmp_err pmp_json_read_lease(const json_t *j, struct pmp_lease *out, uint32_t count_max,
                                 const struct pmp_wire_limits *limits, struct pmp_arena *arena,
                                 struct pmp_errmsg *msg) {
  static const char *const keys[] = {"count", "seconds", "order", "held", "release", NULL};
  memset(out, 0, sizeof *out);
  PMP_TRY(only(j, keys, msg));
  PMP_TRY(whole(j, "count", count_max, &out->count, msg));
  PMP_TRY(whole(j, "seconds", 86400, &out->seconds, msg));
  PMP_TRY(text(j, "order", 32, &out->order, msg));
  PMP_TRY(items(j, "held", limits, arena, &out->held, &out->helds, msg));
  return items(j, "release", limits, arena, &out->release, &out->releases, msg);
}

static enum pmp_err verdict(const json_t *j, const struct pmp_wire_limits *limits,
                            struct pmp_verdict *out, struct pmp_errmsg *msg) {
  static const char *const keys[] = {"request_id", "item", "judgement", "confidence", "note", NULL};
  static const char *const word[] = {[PMP_JUDGEMENT_NONE] = "",
                                     [PMP_ACCEPT] = "accept",
                                     [PMP_REJECT] = "reject",
                                     [PMP_SKIP] = "skip",
                                     [PMP_WITHDRAW] = "withdraw"};
  const char *item = "", *said = "";
  struct pmp_item_ref ref = {0};
  PMP_TRY(only(j, keys, msg));
  PMP_TRY(text(j, "request_id", 64, &out->request_id, msg));
  PMP_TRY(text(j, "item", PMP_ITEM_TEXT_MAX, &item, msg));
  PMP_TRY(text(j, "judgement", 16, &said, msg));
  PMP_TRY(text(j, "note", limits->string_bytes, &out->note, msg));
  PMP_TRY(pmp_json_item(item, &ref, msg));
  if (out->request_id[0] == '\0')
    return pmp_fail(msg, PMP_EINVALID, "request_id must have 1 to 64 bytes");
  out->chunk = ref.chunk;
  out->row = ref.row;
  out->rows = ref.rows;
  for (int i = PMP_ACCEPT; i <= PMP_WITHDRAW; i++)
    if (strcmp(said, word[i]) == 0) out->judgement = (enum pmp_judgement)i;
  if (out->judgement == PMP_JUDGEMENT_NONE)
    return pmp_fail(msg, PMP_EINVALID, "judgement must be accept, reject, skip or withdraw");
  out->confidence = 1;
  const json_t *c = json_object_get(j, "confidence");
  if (!c) return PMP_OK;
  const double v = json_number_value(c);
  out->confidence = (float)v;
  if (!json_is_number(c) || !(v > 0 && v <= 1) || !(out->confidence > 0))
    return pmp_fail(msg, PMP_EINVALID, "confidence must be above 0 and at most 1");
  return PMP_OK;
}

enum pmp_err pmp_json_read_verdicts(const json_t *j, struct pmp_verdicts *out,
                                    const struct pmp_wire_limits *limits, struct pmp_arena *arena,
                                    struct pmp_errmsg *msg) {
  static const char *const keys[] = {"verdicts", NULL};
  PMP_TRY(only(j, keys, msg));
  const json_t *list = json_object_get(j, "verdicts");
  if (!json_is_array(list) || json_array_size(list) == 0)
    return pmp_fail(msg, PMP_EINVALID, "verdicts must be a list with at least one entry");
  const size_t n = json_array_size(list);
  if (n > limits->repeated)
    return pmp_fail(msg, PMP_ETOOLARGE, "%zu verdicts; at most %u are taken at once", n,
                    limits->repeated);
  struct pmp_verdict *v = pmp_arena_zeroed(arena, n, sizeof *v);
  if (!v) return pmp_fail(msg, PMP_EUNAVAILABLE, "out of memory");
  for (size_t i = 0; i < n; i++) PMP_TRY(verdict(json_array_get(list, i), limits, &v[i], msg));
  *out = (struct pmp_verdicts){.verdict = v, .count = (uint32_t)n};
  return PMP_OK;
}

enum pmp_err pmp_json_read_control(const json_t *j, struct pmp_control *out,
                                   const struct pmp_wire_limits *limits, struct pmp_errmsg *msg) {
  static const char *const keys[] = {"action", "key", "value", NULL};
  static const char *const word[] = {
      [PMP_CONTROL_NONE] = "",           [PMP_CONTROL_PAUSE] = "pause",
      [PMP_CONTROL_RESUME] = "resume",   [PMP_CONTROL_CHECKPOINT] = "checkpoint",
      [PMP_CONTROL_REFRESH] = "refresh", [PMP_CONTROL_STOP] = "stop",
      [PMP_CONTROL_SET] = "set",         [PMP_CONTROL_GOLD] = "gold"};
  const char *action = "";
  memset(out, 0, sizeof *out);
  PMP_TRY(only(j, keys, msg));
  PMP_TRY(text(j, "action", 16, &action, msg));
  PMP_TRY(text(j, "key", 64, &out->key, msg));
  PMP_TRY(text(j, "value", limits->string_bytes, &out->value, msg));
  for (int i = PMP_CONTROL_PAUSE; i <= PMP_CONTROL_GOLD; i++)
    if (strcmp(action, word[i]) == 0) out->action = (enum pmp_control_action)i;
  if (out->action == PMP_CONTROL_NONE)
    return pmp_fail(msg, PMP_EINVALID,
                    "action must be pause, resume, checkpoint, refresh, stop, set or gold");
  if ((out->action >= PMP_CONTROL_SET) != (out->key[0] != '\0'))
    return pmp_fail(msg, PMP_EINVALID, "key belongs to set and gold, which want one");
  return PMP_OK;
}
