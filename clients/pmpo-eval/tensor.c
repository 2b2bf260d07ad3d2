#include "clients/pmpo-eval/tensor.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
  const char *name, *shape;
  bool null_is_minus_infinity;
  struct pmp_errmsg *msg;
  size_t at[PMP_TENSOR_RANK_MAX]; /* where the reader is, outermost first */
};

/* "pi.mean[2][1]" for the first `depth` of at. */
struct place {
  char text[128];
};

static struct place place_of(const struct reader *r, unsigned depth) {
  struct place p;
  size_t used = (size_t)snprintf(p.text, sizeof p.text, "%.48s", r->name);
  for (unsigned i = 0; i < depth; i++)
    used += (size_t)snprintf(p.text + used, sizeof p.text - used, "[%zu]", r->at[i]);
  return p;
}

const char *pmp_tensor_kind(const json_t *value) {
  switch (json_typeof(value)) {
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
    return "true";
  case JSON_FALSE:
    return "false";
  default:
    return "null";
  }
}

static enum pmp_err no_list(const struct reader *r, unsigned depth, const json_t *value) {
  return pmp_fail(r->msg, PMP_EINVALID, "%s is %s where a list belongs: %s is %s",
                  place_of(r, depth).text, pmp_tensor_kind(value), r->name, r->shape);
}

/* The lengths of the first list of each level; the others are held against them. */
static enum pmp_err measure(struct reader *r, const json_t *value, struct pmp_tensor *t) {
  for (unsigned level = 0; level < t->rank; level++) {
    if (!json_is_array(value)) return no_list(r, level, value);
    t->dims[level] = json_array_size(value);
    if (t->dims[level] == 0) {
      if (level == 0) return PMP_OK;
      return pmp_fail(r->msg, PMP_EINVALID, "%s is an empty list: %s is %s",
                      place_of(r, level).text, r->name, r->shape);
    }
    value = json_array_get(value, 0);
  }
  return PMP_OK;
}

static enum pmp_err fill_lists(struct reader *r, const json_t *value, const struct pmp_tensor *t,
                               unsigned level) {
  if (!json_is_array(value)) return no_list(r, level, value);
  const size_t size = json_array_size(value);
  if (size != t->dims[level]) {
    const struct place p = place_of(r, level);
    memset(r->at, 0, sizeof r->at);
    return pmp_fail(r->msg, PMP_EINVALID,
                    "%s has %zu entries and %s has %zu: all must be equally long", p.text, size,
                    place_of(r, level).text, t->dims[level]);
  }
  if (level + 1 == t->rank) return PMP_OK;
  for (size_t i = 0; i < size; i++) {
    r->at[level] = i;
    PMP_TRY(fill_lists(r, json_array_get(value, i), t, level + 1));
  }
  return PMP_OK;
}

static enum pmp_err fill_numbers(struct reader *r, const json_t *value, const struct pmp_tensor *t,
                                 unsigned level, double **out) {
  const size_t size = json_array_size(value);
  assert(level < PMP_TENSOR_RANK_MAX);
  for (size_t i = 0; i < size; i++) {
    const json_t *entry = json_array_get(value, i);
    r->at[level] = i;
    if (level + 1 < t->rank) {
      PMP_TRY(fill_numbers(r, entry, t, level + 1, out));
    } else if (json_is_number(entry)) {
      *(*out)++ = json_number_value(entry);
    } else if (json_is_null(entry) && r->null_is_minus_infinity) {
      *(*out)++ = -INFINITY;
    } else {
      return pmp_fail(r->msg, PMP_EINVALID, "%s is %s where a number belongs: %s is %s",
                      place_of(r, t->rank).text, pmp_tensor_kind(entry), r->name, r->shape);
    }
  }
  return PMP_OK;
}

enum pmp_err pmp_tensor_read(struct pmp_tensor *t, const json_t *value, const char *name,
                             const char *shape, unsigned rank, bool null_is_minus_infinity,
                             struct pmp_errmsg *msg) {
  struct reader r = {
      .name = name, .shape = shape, .null_is_minus_infinity = null_is_minus_infinity, .msg = msg};
  memset(t, 0, sizeof *t);
  t->rank = rank;
  PMP_TRY(measure(&r, value, t));
  /* Shapes first: what is allocated then is no larger than the text was. */
  if (t->dims[0] > 0) PMP_TRY(fill_lists(&r, value, t, 0));
  size_t count = 1;
  for (unsigned i = 0; i < rank; i++) count *= t->dims[i];
  t->data = malloc((count + 1) * sizeof *t->data);
  if (t->data == NULL) return pmp_fail(msg, PMP_ENOMEM, "%s: no memory", name);
  double *out = t->data;
  const enum pmp_err err = fill_numbers(&r, value, t, 0, &out);
  if (err != PMP_OK) pmp_tensor_fini(t);
  return err;
}

void pmp_tensor_fini(struct pmp_tensor *t) {
  free(t->data);
  memset(t, 0, sizeof *t);
}

json_t *pmp_tensor_write(const double *data, unsigned rank, const size_t *dims) {
  json_t *list = json_array();
  size_t step = 1;
  for (unsigned i = 1; i < rank; i++) step *= dims[i];
  for (size_t i = 0; list != NULL && i < dims[0]; i++) {
    json_t *entry =
        rank == 1 ? json_real(data[i]) : pmp_tensor_write(data + i * step, rank - 1, dims + 1);
    if (json_array_append_new(list, entry) != 0) {
      json_decref(list);
      list = NULL;
    }
  }
  return list;
}
