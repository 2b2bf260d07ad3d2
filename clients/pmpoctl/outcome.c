#include "clients/pmpoctl/outcome.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define BINS_MAX (1u << 24) /* indices are exact in a float */

enum pmp_err pmp_outcome_form(const struct pmp_spec *spec, struct pmp_outcome_form *form,
                              struct pmp_errmsg *msg) {
  memset(form, 0, sizeof *form);
  if (spec->shape != PMP_SHAPE_OUTCOMES)
    return pmp_fail(msg, PMP_EUNAVAILABLE,
                    "this run learns from trajectories, which come from actors; rows can be "
                    "imported where spec.shape is outcomes");
  if (spec->obs_parts > 1 || (spec->obs_parts == 1 && spec->obs[0].dtype != PMP_F32))
    return pmp_fail(msg, PMP_EUNAVAILABLE, "this run's condition is more than one float32 tensor");
  if (spec->action.kind != PMP_ACTION_BOX && spec->action.kind != PMP_ACTION_BINS)
    return pmp_fail(msg, PMP_EUNAVAILABLE, "this run's outcomes are neither numbers nor bins");
  if (spec->action.kind == PMP_ACTION_BINS && spec->action.bins > BINS_MAX)
    return pmp_fail(msg, PMP_EUNAVAILABLE, "this run has more than %u bins", BINS_MAX);
  form->obs = pmp_spec_obs_size(spec);
  form->rank = spec->obs_parts == 1 ? spec->obs[0].rank : 0;
  if (form->rank > 0) memcpy(form->shape, spec->obs[0].shape, sizeof form->shape);
  form->dim = spec->action.dim;
  form->bins = spec->action.kind == PMP_ACTION_BINS ? spec->action.bins : 0;
  return PMP_OK;
}

size_t pmp_outcome_line_max(const struct pmp_outcome_form *form) {
  return ((size_t)1 << 20) + 64 * (form->obs + form->dim);
}

static const char *type_name(const json_t *j) {
  switch (json_typeof(j)) {
  case JSON_OBJECT:
    return "an object";
  case JSON_ARRAY:
    return "a list";
  case JSON_STRING:
    return "text";
  case JSON_INTEGER:
  case JSON_REAL:
    return "a number";
  case JSON_TRUE:
  case JSON_FALSE:
    return "true or false";
  case JSON_NULL:
    return "null";
  }
  return "something else";
}

/* A key that may be missing; null says the same. */
static const json_t *member(const json_t *object, const char *key) {
  const json_t *j = json_object_get(object, key);
  return json_is_null(j) ? NULL : j;
}

static enum pmp_err take_number(const json_t *j, const char *key, float *out,
                                struct pmp_errmsg *msg) {
  if (!json_is_number(j))
    return pmp_fail(msg, PMP_EINVALID, "\"%s\" holds %s; only numbers may be in it", key,
                    type_name(j));
  const double v = json_number_value(j);
  const float narrow = (float)v;
  if (!isfinite(narrow))
    return pmp_fail(msg, PMP_EINVALID, "\"%s\": %g is beyond float32, whose end is 3.4e38", key, v);
  *out = narrow;
  return PMP_OK;
}

/* ---- x ---- */

/* A list nested as the shape says, row major. */
static enum pmp_err take_nested(const json_t *j, const struct pmp_outcome_form *form,
                                uint32_t depth, float **to, struct pmp_errmsg *msg) {
  if (depth == form->rank) return take_number(j, "x", (*to)++, msg);
  if (!json_is_array(j))
    return pmp_fail(msg, PMP_EINVALID, "\"x\" holds %s where a list of %" PRIu64 " must be",
                    type_name(j), form->shape[depth]);
  if (json_array_size(j) != form->shape[depth])
    return pmp_fail(msg, PMP_EINVALID, "\"x\" has a list of %zu; the run takes %" PRIu64,
                    json_array_size(j), form->shape[depth]);
  for (size_t i = 0; i < json_array_size(j); i++)
    PMP_TRY(take_nested(json_array_get(j, i), form, depth + 1, to, msg));
  return PMP_OK;
}

static enum pmp_err take_flat(const json_t *j, const char *key, size_t count, float *to,
                              struct pmp_errmsg *msg) {
  if (json_is_number(j) && count == 1) return take_number(j, key, to, msg);
  if (!json_is_array(j))
    return pmp_fail(msg, PMP_EINVALID, "\"%s\" is %s; it must be a list of %zu numbers", key,
                    type_name(j), count);
  if (json_array_size(j) != count)
    return pmp_fail(msg, PMP_EINVALID, "\"%s\" has %zu numbers; the run takes %zu", key,
                    json_array_size(j), count);
  for (size_t i = 0; i < count; i++) PMP_TRY(take_number(json_array_get(j, i), key, to + i, msg));
  return PMP_OK;
}

static enum pmp_err take_x(const json_t *j, const struct pmp_outcome_form *form, float *x,
                           struct pmp_errmsg *msg) {
  if (form->rank == 0) {
    if (j == NULL || (json_is_array(j) && json_array_size(j) == 0)) return PMP_OK;
    return pmp_fail(msg, PMP_EINVALID,
                    "has an \"x\", but the run has no condition (spec.observation is [])");
  }
  if (j == NULL)
    return pmp_fail(msg, PMP_EINVALID, "has no \"x\"; the run's condition is %zu numbers",
                    form->obs);
  const bool flat = !json_is_array(json_array_get(j, 0));
  if (flat || form->rank == 1) return take_flat(j, "x", form->obs, x, msg);
  return take_nested(j, form, 0, &x, msg);
}

/* ---- y ---- */

static enum pmp_err check_bin(const struct pmp_outcome_form *form, float v,
                              struct pmp_errmsg *msg) {
  if (v >= 0 && v < (float)form->bins && v == floorf(v)) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "\"y\": %g is no bin; the run's are 0 to %u", (double)v,
                  form->bins - 1);
}

static enum pmp_err take_y(const json_t *j, const struct pmp_outcome_form *form, float *y,
                           struct pmp_errmsg *msg) {
  const char *what = form->bins > 0 ? "bin" : "number";
  if (j == NULL)
    return pmp_fail(msg, PMP_EINVALID, "has no \"y\"; the run's outcome is %u %s%s", form->dim,
                    what, form->dim == 1 ? "" : "s");
  PMP_TRY(take_flat(j, "y", form->dim, y, msg));
  for (uint32_t i = 0; form->bins > 0 && i < form->dim; i++) PMP_TRY(check_bin(form, y[i], msg));
  return PMP_OK;
}

/* ---- the rest ---- */

static enum pmp_err take_verdict(const json_t *j, int8_t *verdict, struct pmp_errmsg *msg) {
  *verdict = 0;
  if (j == NULL) return PMP_OK;
  const char *text = json_string_value(j);
  const double v = json_number_value(j);
  if (json_is_true(j) || (text != NULL && strcmp(text, "accept") == 0) || v == 1) {
    *verdict = 1;
  } else if (json_is_false(j) || (text != NULL && strcmp(text, "reject") == 0) || v == -1) {
    *verdict = -1;
  } else if (!json_is_number(j) || v != 0) {
    char *said = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);
    (void)pmp_fail(msg, PMP_EINVALID,
                   "\"verdict\" is %.40s; it must be 1, -1, 0, \"accept\", \"reject\", true or "
                   "false",
                   said != NULL ? said : type_name(j));
    free(said);
    return PMP_EINVALID;
  }
  return PMP_OK;
}

static enum pmp_err take_weight(const json_t *j, float *weight, struct pmp_errmsg *msg) {
  *weight = 1;
  if (j == NULL) return PMP_OK;
  PMP_TRY(take_number(j, "weight", weight, msg));
  if (*weight >= 0) return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "\"weight\" is %g; it must be at least 0", (double)*weight);
}

/* Text and whole numbers are told apart: "7" is another group than 7. */
static enum pmp_err take_group(const json_t *j, struct pmp_outcome *out, struct pmp_errmsg *msg) {
  out->group_size = 0;
  if (j == NULL) return PMP_OK;
  if (json_is_integer(j)) {
    out->group_size = (size_t)snprintf(out->group, sizeof out->group, "i%" PRId64,
                                       (int64_t)json_integer_value(j));
    return PMP_OK;
  }
  if (!json_is_string(j))
    return pmp_fail(msg, PMP_EINVALID, "\"group\" is %s; it must be text or a whole number",
                    type_name(j));
  const size_t length = json_string_length(j);
  if (length + 1 > PMP_OUTCOME_GROUP_MAX)
    return pmp_fail(msg, PMP_EINVALID, "\"group\" has %zu bytes; at most %d", length,
                    PMP_OUTCOME_GROUP_MAX - 1);
  out->group[0] = 's';
  memcpy(out->group + 1, json_string_value(j), length);
  out->group_size = length + 1;
  return PMP_OK;
}

/* A mistyped key would be a verdict or weight that silently is not there. */
static enum pmp_err check_keys(const json_t *object, struct pmp_errmsg *msg) {
  static const char *const known[] = {"x", "y", "verdict", "weight", "f", "group"};
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)object, key, value) {
    bool found = false;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
      found = found || strcmp(key, known[i]) == 0;
    if (!found)
      return pmp_fail(msg, PMP_EINVALID,
                      "has a key \"%.60s\"; a row has x, y, verdict, weight, f, group "
                      "(--ignore-unknown passes over others)",
                      key);
  }
  return PMP_OK;
}

static enum pmp_err take_object(const struct pmp_outcome_form *form, const json_t *j,
                                struct pmp_outcome *out, struct pmp_errmsg *msg) {
  if (!json_is_object(j))
    return pmp_fail(msg, PMP_EINVALID,
                    "is %s; each line must be an object such as {\"y\": [..], "
                    "\"verdict\": 1}",
                    type_name(j));
  if (!form->ignore_unknown) PMP_TRY(check_keys(j, msg));
  PMP_TRY(take_x(member(j, "x"), form, out->x, msg));
  PMP_TRY(take_y(member(j, "y"), form, out->y, msg));
  PMP_TRY(take_verdict(member(j, "verdict"), &out->verdict, msg));
  PMP_TRY(take_weight(member(j, "weight"), &out->weight, msg));
  const json_t *f = member(j, "f");
  out->has_f = f != NULL;
  out->f = 0;
  if (f != NULL) PMP_TRY(take_number(f, "f", &out->f, msg));
  return take_group(member(j, "group"), out, msg);
}

enum pmp_err pmp_outcome_parse(const struct pmp_outcome_form *form, const char *text, size_t size,
                               struct pmp_outcome *out, struct pmp_errmsg *msg) {
  json_error_t why;
  json_t *j =
      json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
  if (j == NULL)
    return pmp_fail(msg, PMP_EINVALID, "is no JSON at column %d: %s", why.column, why.text);
  const enum pmp_err err = take_object(form, j, out, msg);
  json_decref(j);
  return err;
}
