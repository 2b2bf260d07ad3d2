/* Single values, both ways. */
#include "proto/wire_internal.h"

#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors travel little-endian and are not swapped");

/* Bytes of the sequence that starts at s (RFC 3629), 0 when there is none. */
static size_t utf8_length(const unsigned char *s, size_t left) {
  unsigned char lead = s[0];
  if (lead < 0x80) return 1;
  size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || n > left) return 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  /* No overlong forms, no surrogates, nothing beyond U+10FFFF. */
  if (lead == 0xe0 && s[1] < 0xa0) return 0;
  if (lead == 0xed && s[1] > 0x9f) return 0;
  if (lead == 0xf0 && s[1] < 0x90) return 0;
  if (lead == 0xf4 && s[1] > 0x8f) return 0;
  return n;
}

bool wire_utf8_valid(const char *text, size_t size) {
  const unsigned char *s = (const unsigned char *)text;
  for (size_t i = 0; i < size;) {
    size_t n = utf8_length(s + i, size - i);
    if (n == 0) return false;
    i += n;
  }
  return true;
}

bool wire_f32_finite(const float *x, size_t n) {
  uint32_t bad = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bad |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

bool wire_f64_finite(const double *x, size_t n) {
  uint64_t bad = 0;
  for (size_t i = 0; i < n; i++) {
    uint64_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bad |= (uint64_t)((bits & 0x7ff0000000000000u) == 0x7ff0000000000000u);
  }
  return bad == 0;
}

bool wire_elements(uint32_t rank, const uint64_t *shape, uint64_t *out) {
  uint64_t product = 1;
  for (uint32_t i = 0; i < rank; i++)
    if (__builtin_mul_overflow(product, shape[i], &product)) return false;
  *out = product;
  return true;
}

/* ---- in ---- */

enum pmp_err wire_in_text(const struct wire_in *in, const char *what, const char *text,
                          const char **out) {
  *out = "";
  if (text == NULL) return PMP_OK;
  size_t size = strlen(text);
  if (size > in->limits->string_bytes)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "%s: %zu bytes of text; the limit is %u", what, size,
                    in->limits->string_bytes);
  if (!wire_utf8_valid(text, size)) return pmp_fail(in->msg, PMP_EINVALID, "%s: not UTF-8", what);
  *out = text;
  return PMP_OK;
}

enum pmp_err wire_in_count(const struct wire_in *in, const char *what, size_t n) {
  if (n <= in->limits->repeated) return PMP_OK;
  return pmp_fail(in->msg, PMP_ETOOLARGE, "%s: %zu entries; the limit is %u", what, n,
                  in->limits->repeated);
}

enum pmp_err wire_in_finite(const struct wire_in *in, const char *what, double x) {
  return isfinite(x) ? PMP_OK : pmp_fail(in->msg, PMP_EINVALID, "%s: not a finite number", what);
}

enum pmp_err wire_in_array(const struct wire_in *in, size_t count, size_t size, void **out) {
  *out = pmp_arena_zeroed(in->arena, count, size);
  if (*out != NULL) return PMP_OK;
  return pmp_fail(in->msg, PMP_ETOOLARGE, "the message needs more memory than a message may take");
}

enum pmp_err wire_in_numbers(const struct wire_in *in, const char *what, PB(Number) *const *from,
                             size_t n, const struct pmp_number **out, uint32_t *count) {
  PMP_TRY(wire_in_count(in, what, n));
  void *memory;
  PMP_TRY(wire_in_array(in, n, sizeof(struct pmp_number), &memory));
  struct pmp_number *number = memory;
  for (size_t i = 0; i < n; i++) {
    PMP_TRY(wire_in_text(in, "number.name", from[i]->name, &number[i].name));
    PMP_TRY(wire_in_finite(in, number[i].name, from[i]->value));
    number[i].value = from[i]->value;
  }
  *out = number;
  *count = (uint32_t)n;
  return PMP_OK;
}

/* ---- the specification of a run ---- */

static enum pmp_err in_name(const struct wire_in *in, const char *what, const char *text,
                            char out[PMP_NAME_MAX]) {
  const char *checked;
  PMP_TRY(wire_in_text(in, what, text, &checked));
  size_t size = strlen(checked);
  if (size >= PMP_NAME_MAX)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "%s: %zu bytes; the limit is %d", what, size,
                    PMP_NAME_MAX - 1);
  memcpy(out, checked, size + 1);
  return PMP_OK;
}

static enum pmp_err in_tensor_spec(const struct wire_in *in, const PB(TensorSpec) * from,
                                   struct pmp_tensor_spec *out) {
  PMP_TRY(in_name(in, "spec.observation.name", from->name, out->name));
  if (from->dtype <= 0 || from->dtype > (int)PMP_U64)
    return pmp_fail(in->msg, PMP_EINVALID, "spec.observation '%s': unknown dtype %d", out->name,
                    (int)from->dtype);
  out->dtype = (enum pmp_dtype)from->dtype;
  if (from->n_shape > PMP_TENSOR_RANK_MAX || from->n_shape > in->limits->tensor_rank)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "spec.observation '%s': rank %zu", out->name,
                    from->n_shape);
  out->rank = (uint32_t)from->n_shape;
  uint64_t elements;
  if (!wire_elements(out->rank, from->shape, &elements) || elements > in->limits->tensor_elements)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "spec.observation '%s': more elements than %llu",
                    out->name, (unsigned long long)in->limits->tensor_elements);
  if (elements == 0)
    return pmp_fail(in->msg, PMP_EINVALID, "spec.observation '%s': empty", out->name);
  for (uint32_t i = 0; i < out->rank; i++) out->shape[i] = from->shape[i];
  return PMP_OK;
}

static enum pmp_err in_action(const struct wire_in *in, const PB(ActionSpec) * a,
                              struct pmp_spec *out) {
  if (a->kind < 0 || a->kind > (int)PMP_ACTION_TOKENS)
    return pmp_fail(in->msg, PMP_EINVALID, "spec.action: unknown kind %d", (int)a->kind);
  PMP_TRY(wire_in_finite(in, "spec.action.low", (double)a->low));
  PMP_TRY(wire_in_finite(in, "spec.action.high", (double)a->high));
  if (a->dim > in->limits->tensor_elements)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "spec.action: dim %u", a->dim);
  enum pmp_action_kind kind = (enum pmp_action_kind)a->kind;
  if ((kind == PMP_ACTION_BOX || kind == PMP_ACTION_BINS) && a->dim == 0)
    return pmp_fail(in->msg, PMP_EINVALID, "spec.action: dim 0");
  if (kind == PMP_ACTION_BOX && !(a->low <= a->high))
    return pmp_fail(in->msg, PMP_EINVALID, "spec.action: low %g is above high %g", (double)a->low,
                    (double)a->high);
  if ((kind == PMP_ACTION_BINS || kind == PMP_ACTION_TOKENS) &&
      (a->bins == 0 || a->bins > INT32_MAX))
    return pmp_fail(in->msg, PMP_EINVALID, "spec.action: bins %u", a->bins);
  out->action.kind = kind;
  out->action.dim = a->dim;
  out->action.low = a->low;
  out->action.high = a->high;
  out->action.bins = a->bins;
  return PMP_OK;
}

enum pmp_err wire_in_spec(const struct wire_in *in, const PB(Spec) * from, struct pmp_spec *out) {
  memset(out, 0, sizeof *out);
  PMP_TRY(in_name(in, "spec.task", from->task, out->task));
  PMP_TRY(in_name(in, "spec.tokenizer_hash", from->tokenizer_hash, out->tokenizer_hash));
  if (from->shape < 0 || from->shape > (int)PMP_SHAPE_TRAJECTORIES)
    return pmp_fail(in->msg, PMP_EINVALID, "spec: unknown shape %d", (int)from->shape);
  out->shape = (enum pmp_shape)from->shape;
  if (from->n_observation > PMP_PARTS_MAX)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "spec: %zu observations; the limit is %d",
                    from->n_observation, PMP_PARTS_MAX);
  out->obs_parts = (uint32_t)from->n_observation;
  for (uint32_t i = 0; i < out->obs_parts; i++)
    PMP_TRY(in_tensor_spec(in, from->observation[i], &out->obs[i]));
  if (from->action != NULL) PMP_TRY(in_action(in, from->action, out));
  return PMP_OK;
}

/* ---- out ---- */

enum pmp_err wire_out_text(const struct wire_out *w, const char *what, const char *text,
                           char **out) {
  *out = (char *)protobuf_c_empty_string;
  if (text == NULL || text[0] == '\0') return PMP_OK;
  if (!wire_utf8_valid(text, strlen(text)))
    return pmp_fail(w->msg, PMP_EINVALID, "%s: not UTF-8", what);
  *out = (char *)(uintptr_t)text; /* protobuf-c's structs know no const; packing only reads */
  return PMP_OK;
}

enum pmp_err wire_out_bytes(const struct wire_out *w, const char *what, struct pmp_bytes from,
                            ProtobufCBinaryData *out) {
  if (from.size > 0 && from.data == NULL)
    return pmp_fail(w->msg, PMP_EINVALID, "%s: no bytes given", what);
  out->len = from.size;
  out->data = (uint8_t *)(uintptr_t)from.data;
  return PMP_OK;
}

enum pmp_err wire_out_array(const struct wire_out *w, size_t count, size_t size, void **out) {
  *out = pmp_arena_zeroed(w->arena, count, size);
  return *out != NULL ? PMP_OK
                      : pmp_fail(w->msg, PMP_ENOMEM, "the arena is too small for the message");
}

enum pmp_err wire_out_numbers(const struct wire_out *w, const struct pmp_number *from,
                              uint32_t count, PB(Number) * **out, size_t *n) {
  void *memory;
  PMP_TRY(wire_out_array(w, count, sizeof(PB(Number) *), &memory));
  *out = memory;
  *n = 0;
  PMP_TRY(wire_out_array(w, count, sizeof(PB(Number)), &memory));
  PB(Number) *number = memory;
  for (uint32_t i = 0; i < count; i++) {
    if (!isfinite(from[i].value)) continue;
    pmpo__v1__number__init(&number[i]);
    PMP_TRY(wire_out_text(w, "number.name", from[i].name, &number[i].name));
    number[i].value = from[i].value;
    (*out)[(*n)++] = &number[i];
  }
  return PMP_OK;
}

static enum pmp_err out_tensor_spec(const struct wire_out *w, const struct pmp_tensor_spec *from,
                                    PB(TensorSpec) * to) {
  pmpo__v1__tensor_spec__init(to);
  if (from->rank > PMP_TENSOR_RANK_MAX)
    return pmp_fail(w->msg, PMP_EINVALID, "spec: rank %u", from->rank);
  PMP_TRY(wire_out_text(w, "spec.observation.name", from->name, &to->name));
  to->dtype = (PB(DType))from->dtype;
  to->n_shape = from->rank;
  to->shape = (uint64_t *)(uintptr_t)from->shape;
  return PMP_OK;
}

enum pmp_err wire_out_spec(const struct wire_out *w, const struct pmp_spec *from, PB(Spec) * *out) {
  if (from->obs_parts > PMP_PARTS_MAX)
    return pmp_fail(w->msg, PMP_EINVALID, "spec: %u observations", from->obs_parts);
  void *memory;
  PMP_TRY(wire_out_array(w, 1, sizeof(PB(Spec)), &memory));
  PB(Spec) *to = memory;
  pmpo__v1__spec__init(to);
  PMP_TRY(wire_out_text(w, "spec.task", from->task, &to->task));
  PMP_TRY(wire_out_text(w, "spec.tokenizer_hash", from->tokenizer_hash, &to->tokenizer_hash));
  to->shape = (PB(Shape))from->shape;
  PMP_TRY(wire_out_array(w, from->obs_parts, sizeof(PB(TensorSpec) *), &memory));
  to->observation = memory;
  to->n_observation = from->obs_parts;
  PMP_TRY(wire_out_array(w, from->obs_parts, sizeof(PB(TensorSpec)), &memory));
  PB(TensorSpec) *part = memory;
  for (uint32_t i = 0; i < from->obs_parts; i++) {
    to->observation[i] = &part[i];
    PMP_TRY(out_tensor_spec(w, &from->obs[i], &part[i]));
  }
  PMP_TRY(wire_out_array(w, 1, sizeof(PB(ActionSpec)), &memory));
  PB(ActionSpec) *action = memory;
  pmpo__v1__action_spec__init(action);
  if (!isfinite(from->action.low) || !isfinite(from->action.high))
    return pmp_fail(w->msg, PMP_EINVALID, "spec.action: box not finite");
  action->kind = (PB(ActionKind))from->action.kind;
  action->dim = from->action.dim;
  action->low = from->action.low;
  action->high = from->action.high;
  action->bins = from->action.bins;
  to->action = action;
  *out = to;
  return PMP_OK;
}

enum pmp_err wire_out_pack(const struct wire_out *w, const ProtobufCMessage *message,
                           const void **data, size_t *size) {
  size_t n = protobuf_c_message_get_packed_size(message);
  uint8_t *bytes = pmp_arena_alloc(w->arena, n);
  if (bytes == NULL)
    return pmp_fail(w->msg, PMP_ENOMEM, "the arena is too small for a message of %zu bytes", n);
  *size = protobuf_c_message_pack(message, bytes);
  *data = bytes;
  return PMP_OK;
}
