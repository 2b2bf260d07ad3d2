#include "policy/safetensors.h"

#include <jansson.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

#define PREFIX 8 /* bytes of the header's length */
#define METADATA "__metadata__"

static const struct {
  const char *name;
  size_t bytes;
} dtypes[] = {
    [PMP_ST_F32] = {"F32", 4}, [PMP_ST_F64] = {"F64", 8}, [PMP_ST_U8] = {"U8", 1},
    [PMP_ST_I64] = {"I64", 8}, [PMP_ST_U64] = {"U64", 8},
};
#define DTYPES (sizeof dtypes / sizeof dtypes[0])

/* Bytes of a tensor, false when they cannot be counted. */
static bool tensor_bytes(const struct pmp_st_tensor *t, uint64_t *bytes) {
  *bytes = dtypes[t->dtype].bytes;
  bool fits = true;
  bool empty = false;
  for (uint32_t i = 0; i < t->rank; i++) {
    if (t->shape[i] == 0) empty = true;
    if (!empty && __builtin_mul_overflow(*bytes, t->shape[i], bytes)) fits = false;
  }
  if (empty) *bytes = 0;
  return fits && *bytes <= INT64_MAX;
}

/* ---- writing ---- */

static enum pmp_err check_tensor(const struct pmp_st_tensor *t, uint64_t offset,
                                 struct pmp_errmsg *msg) {
  const size_t length = strnlen(t->name, PMP_ST_NAME_MAX);
  uint64_t bytes;
  if (length == 0 || length == PMP_ST_NAME_MAX || strcmp(t->name, METADATA) == 0)
    return pmp_fail(msg, PMP_EINVALID, "a tensor's name is empty, too long or reserved");
  if ((size_t)t->dtype >= DTYPES)
    return pmp_fail(msg, PMP_EINVALID, "tensor \"%s\": no such type", t->name);
  if (t->rank > PMP_ST_RANK_MAX)
    return pmp_fail(msg, PMP_EINVALID, "tensor \"%s\": rank %u is over %d", t->name, t->rank,
                    PMP_ST_RANK_MAX);
  if (!tensor_bytes(t, &bytes) || bytes != t->bytes)
    return pmp_fail(msg, PMP_EINVALID, "tensor \"%s\": %zu bytes do not fit its shape", t->name,
                    t->bytes);
  if (offset % dtypes[t->dtype].bytes != 0)
    return pmp_fail(msg, PMP_EINVALID,
                    "tensor \"%s\" would not be aligned: give wider types before narrower ones",
                    t->name);
  return PMP_OK;
}

static json_t *tensor_json(const struct pmp_st_tensor *t, uint64_t offset) {
  json_t *shape = json_array();
  if (!shape) return NULL;
  for (uint32_t i = 0; i < t->rank; i++) {
    if (json_array_append_new(shape, json_integer((json_int_t)t->shape[i])) != 0) {
      json_decref(shape);
      return NULL;
    }
  }
  return json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtypes[t->dtype].name, "shape", shape,
                   "data_offsets", (json_int_t)offset, (json_int_t)offset + (json_int_t)t->bytes);
}

static enum pmp_err add_tensors(json_t *root, const struct pmp_st_tensor *tensor, size_t tensors,
                                struct pmp_errmsg *msg) {
  uint64_t offset = 0;
  for (size_t i = 0; i < tensors; i++) {
    const struct pmp_st_tensor *t = &tensor[i];
    PMP_TRY(check_tensor(t, offset, msg));
    if (t->bytes > INT64_MAX - offset)
      return pmp_fail(msg, PMP_EINVALID, "the tensors are too large together");
    if (json_object_get(root, t->name))
      return pmp_fail(msg, PMP_EINVALID, "tensor \"%s\" is given twice", t->name);
    json_t *value = tensor_json(t, offset);
    if (!value) return pmp_fail(msg, PMP_ENOMEM, "no memory for a header of %zu tensors", tensors);
    if (json_object_set_new(root, t->name, value) != 0)
      return pmp_fail(msg, PMP_EINVALID, "tensor %zu: its name is not UTF-8", i);
    offset += t->bytes;
  }
  return PMP_OK;
}

static enum pmp_err add_metas(json_t *root, const struct pmp_st_meta *meta, size_t metas,
                              struct pmp_errmsg *msg) {
  if (metas == 0) return PMP_OK;
  json_t *object = json_object();
  if (!object || json_object_set_new(root, METADATA, object) != 0)
    return pmp_fail(msg, PMP_ENOMEM, "no memory for a header");
  for (size_t i = 0; i < metas; i++) {
    if (json_object_get(object, meta[i].key))
      return pmp_fail(msg, PMP_EINVALID, "metadata \"%s\" is given twice", meta[i].key);
    if (json_object_set_new(object, meta[i].key, json_string(meta[i].value)) != 0)
      return pmp_fail(msg, PMP_EINVALID, "metadata %zu is not UTF-8", i);
  }
  return PMP_OK;
}

enum pmp_err pmp_st_header(const struct pmp_st_tensor *tensor, size_t tensors,
                           const struct pmp_st_meta *meta, size_t metas, void **header,
                           size_t *size, struct pmp_errmsg *msg) {
  enum pmp_err err = PMP_ENOMEM;
  unsigned char *bytes = NULL;
  json_t *root = json_object();
  if (!root) {
    pmp_fail(msg, err, "no memory for a header");
    goto out;
  }
  if ((err = add_metas(root, meta, metas, msg)) != PMP_OK) goto out;
  if ((err = add_tensors(root, tensor, tensors, msg)) != PMP_OK) goto out;

  const size_t length = json_dumpb(root, NULL, 0, JSON_COMPACT);
  const size_t padded = (length + 7) / 8 * 8;
  if (length == 0 || padded > PMP_ST_HEADER_MAX) {
    err =
        pmp_fail(msg, length ? PMP_EINVALID : PMP_ENOMEM,
                 "a header of %zu bytes cannot be written (at most %d)", length, PMP_ST_HEADER_MAX);
    goto out;
  }
  bytes = malloc(PREFIX + padded);
  if (!bytes) {
    err = pmp_fail(msg, PMP_ENOMEM, "no memory for a header");
    goto out;
  }
  const uint64_t prefix = padded;
  memcpy(bytes, &prefix, PREFIX);
  memset(bytes + PREFIX, ' ', padded);
  if (json_dumpb(root, (char *)bytes + PREFIX, length, JSON_COMPACT) != length) {
    err = pmp_fail(msg, PMP_ENOMEM, "no memory for a header");
    goto out;
  }
  *header = bytes;
  *size = PREFIX + padded;
  bytes = NULL;
  err = PMP_OK;
out:
  free(bytes);
  json_decref(root);
  return err;
}

/* ---- reading ---- */

static bool read_u64(const json_t *value, uint64_t *out) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out = (uint64_t)json_integer_value(value);
  return true;
}

static bool read_dtype(const json_t *value, enum pmp_st_dtype *out) {
  const char *name = json_string_value(value);
  for (size_t i = 0; name && i < DTYPES; i++) {
    if (strcmp(name, dtypes[i].name) == 0) {
      *out = (enum pmp_st_dtype)i;
      return true;
    }
  }
  return false;
}

static enum pmp_err read_tensor(const char *name, const json_t *value, const unsigned char *data,
                                size_t size, struct pmp_st_tensor *t, struct pmp_errmsg *msg) {
  if (name[0] == '\0' || strlen(name) >= PMP_ST_NAME_MAX)
    return pmp_fail(msg, PMP_ECORRUPT, "safetensors: a name of %zu bytes", strlen(name));
  memcpy(t->name, name, strlen(name) + 1);
  if (!json_is_object(value) || json_object_size(value) != 3 ||
      !read_dtype(json_object_get(value, "dtype"), &t->dtype))
    return pmp_fail(msg, PMP_ECORRUPT, "safetensors: \"%s\" is no tensor of a known type", name);

  const json_t *shape = json_object_get(value, "shape");
  if (!json_is_array(shape) || json_array_size(shape) > PMP_ST_RANK_MAX)
    return pmp_fail(msg, PMP_ECORRUPT, "safetensors: \"%s\" has no shape of rank 0 to %d", name,
                    PMP_ST_RANK_MAX);
  t->rank = (uint32_t)json_array_size(shape);
  for (uint32_t i = 0; i < t->rank; i++)
    if (!read_u64(json_array_get(shape, i), &t->shape[i]))
      return pmp_fail(msg, PMP_ECORRUPT, "safetensors: \"%s\" has a wrong shape", name);

  const json_t *offsets = json_object_get(value, "data_offsets");
  uint64_t begin, end, bytes;
  if (json_array_size(offsets) != 2 || !read_u64(json_array_get(offsets, 0), &begin) ||
      !read_u64(json_array_get(offsets, 1), &end) || begin > end || end > size)
    return pmp_fail(msg, PMP_ECORRUPT, "safetensors: \"%s\" lies outside the file", name);
  if (!tensor_bytes(t, &bytes) || bytes != end - begin)
    return pmp_fail(msg, PMP_ECORRUPT, "safetensors: the bytes of \"%s\" do not fit its shape",
                    name);
  if (begin % dtypes[t->dtype].bytes != 0)
    return pmp_fail(msg, PMP_ECORRUPT, "safetensors: \"%s\" is not aligned", name);
  t->data = data + begin;
  t->bytes = (size_t)(end - begin);
  return PMP_OK;
}

static int by_place(const void *a, const void *b) {
  const struct pmp_st_tensor *s = a, *t = b;
  if (s->data != t->data) return (const char *)s->data < (const char *)t->data ? -1 : 1;
  return s->bytes < t->bytes ? -1 : s->bytes > t->bytes;
}

/* The format allows neither overlaps nor holes. Sorts the tensors by place. */
static enum pmp_err check_cover(struct pmp_st_file *f, const unsigned char *data, size_t size,
                                struct pmp_errmsg *msg) {
  const unsigned char *end = data;
  if (f->tensors) qsort(f->tensor, f->tensors, sizeof *f->tensor, by_place);
  for (size_t i = 0; i < f->tensors; i++) {
    if ((const unsigned char *)f->tensor[i].data != end)
      return pmp_fail(msg, PMP_ECORRUPT, "safetensors: a hole or an overlap before \"%s\"",
                      f->tensor[i].name);
    end += f->tensor[i].bytes;
  }
  if (end != data + size)
    return pmp_fail(msg, PMP_ECORRUPT, "safetensors: %zu bytes belong to no tensor",
                    (size_t)(data + size - end));
  return PMP_OK;
}

/* The header's length moves them all: where they are in the file counts, too. */
static enum pmp_err check_aligned(const struct pmp_st_file *f, const unsigned char *file,
                                  struct pmp_errmsg *msg) {
  for (size_t i = 0; i < f->tensors; i++) {
    const size_t at = (size_t)((const unsigned char *)f->tensor[i].data - file);
    if (at % dtypes[f->tensor[i].dtype].bytes != 0)
      return pmp_fail(msg, PMP_ECORRUPT, "safetensors: \"%s\" is not aligned in the file",
                      f->tensor[i].name);
  }
  return PMP_OK;
}

static enum pmp_err check_metas(const json_t *metas, struct pmp_errmsg *msg) {
  const char *key;
  json_t *value;
  if (!json_is_object(metas))
    return pmp_fail(msg, PMP_ECORRUPT, "safetensors: the metadata is no object");
  json_object_foreach((json_t *)metas, key, value) {
    if (!json_is_string(value))
      return pmp_fail(msg, PMP_ECORRUPT, "safetensors: metadata \"%s\" is no string", key);
  }
  return PMP_OK;
}

static enum pmp_err read_tensors(struct pmp_st_file *f, const unsigned char *data, size_t size,
                                 struct pmp_errmsg *msg) {
  json_t *root = f->json, *value;
  const char *key;
  const size_t entries = json_object_size(root);
  f->tensor = calloc(entries ? entries : 1, sizeof *f->tensor);
  if (!f->tensor) return pmp_fail(msg, PMP_ENOMEM, "no memory for %zu tensors", entries);
  json_object_foreach(root, key, value) {
    if (strcmp(key, METADATA) == 0) {
      PMP_TRY(check_metas(value, msg));
    } else {
      PMP_TRY(read_tensor(key, value, data, size, &f->tensor[f->tensors], msg));
      f->tensors++;
    }
  }
  return check_cover(f, data, size, msg);
}

enum pmp_err pmp_st_parse(struct pmp_st_file *f, const void *data, size_t size,
                          struct pmp_errmsg *msg) {
  *f = (struct pmp_st_file){0};
  enum pmp_err err;
  uint64_t length;
  if (size < PREFIX) return pmp_fail(msg, PMP_ECORRUPT, "safetensors: %zu bytes", size);
  memcpy(&length, data, PREFIX);
  if (length > size - PREFIX || length > PMP_ST_HEADER_MAX)
    return pmp_fail(msg, PMP_ECORRUPT, "safetensors: a header of %llu bytes in a file of %zu",
                    (unsigned long long)length, size);

  const unsigned char *bytes = data;
  json_error_t error;
  f->json =
      json_loadb((const char *)bytes + PREFIX, (size_t)length, JSON_REJECT_DUPLICATES, &error);
  if (!json_is_object((json_t *)f->json)) {
    err = pmp_fail(msg, PMP_ECORRUPT, "safetensors: the header is no JSON object: %s",
                   f->json ? "another type" : error.text);
    goto out;
  }
  err = read_tensors(f, bytes + PREFIX + length, size - PREFIX - (size_t)length, msg);
  if (err == PMP_OK) err = check_aligned(f, bytes, msg);
out:
  if (err != PMP_OK) pmp_st_fini(f);
  return err;
}

void pmp_st_fini(struct pmp_st_file *f) {
  free(f->tensor);
  json_decref(f->json);
  *f = (struct pmp_st_file){0};
}

const struct pmp_st_tensor *pmp_st_find(const struct pmp_st_file *f, const char *name) {
  for (size_t i = 0; i < f->tensors; i++)
    if (strcmp(f->tensor[i].name, name) == 0) return &f->tensor[i];
  return NULL;
}

const char *pmp_st_meta_get(const struct pmp_st_file *f, const char *key) {
  return json_string_value(json_object_get(json_object_get(f->json, METADATA), key));
}
