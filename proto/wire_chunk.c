/* Chunks: columns to bytes and back. What must hold of the columns is in wire_chunk_check.c. */
#include "proto/wire_internal.h"

#include <string.h>

/* ---- off the wire ---- */

enum pmp_err wire_in_tensor(const struct wire_in *in, const char *what, const PB(Tensor) * from,
                            struct pmp_tensor *out) {
  static const uint64_t nothing[2]; /* what an empty tensor points to */
  if (from->dtype <= 0 || from->dtype > (int)PMP_U64)
    return pmp_fail(in->msg, PMP_EINVALID, "%s: unknown dtype %d", what, (int)from->dtype);
  if (from->n_shape > in->limits->tensor_rank || from->n_shape > PMP_TENSOR_RANK_MAX)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "%s: rank %zu; the limit is %u", what, from->n_shape,
                    in->limits->tensor_rank);
  out->dtype = (enum pmp_dtype)from->dtype;
  out->rank = (uint32_t)from->n_shape;
  uint64_t elements;
  if (!wire_elements(out->rank, from->shape, &elements) || elements > in->limits->tensor_elements)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "%s: more elements than %llu", what,
                    (unsigned long long)in->limits->tensor_elements);
  uint64_t bytes;
  if (__builtin_mul_overflow(elements, pmp_dtype_bytes(out->dtype), &bytes) ||
      bytes != from->data.len)
    return pmp_fail(in->msg, PMP_EINVALID, "%s: %zu bytes do not fill the shape", what,
                    from->data.len);
  for (uint32_t i = 0; i < out->rank; i++) out->shape[i] = from->shape[i];
  out->data = from->data.len > 0 ? (const void *)from->data.data : nothing;
  out->bytes = from->data.len;
  return PMP_OK;
}

/* A column of one dtype and dimension; absent: NULL and length 0. */
static enum pmp_err in_column(const struct wire_in *in, const char *what, const PB(Tensor) * from,
                              enum pmp_dtype dtype, const void **out, uint64_t *length) {
  *out = NULL;
  *length = 0;
  if (from == NULL) return PMP_OK;
  struct pmp_tensor t = {0};
  PMP_TRY(wire_in_tensor(in, what, from, &t));
  if (t.dtype != dtype)
    return pmp_fail(in->msg, PMP_EINVALID, "%s: dtype %d; it must be %d", what, (int)t.dtype,
                    (int)dtype);
  if (t.rank != 1)
    return pmp_fail(in->msg, PMP_EINVALID, "%s: rank %u; it must be 1", what, t.rank);
  *out = t.data;
  *length = t.shape[0];
  return PMP_OK;
}

/* A column of exactly n elements, or absent. */
static enum pmp_err in_column_n(const struct wire_in *in, const char *what, const PB(Tensor) * from,
                                enum pmp_dtype dtype, uint64_t n, const void **out) {
  uint64_t length;
  PMP_TRY(in_column(in, what, from, dtype, out, &length));
  if (*out != NULL && length != n)
    return pmp_fail(in->msg, PMP_EINVALID, "%s: %llu elements; they must be %llu", what,
                    (unsigned long long)length, (unsigned long long)n);
  return PMP_OK;
}

/* A column of one value for all rows or one for each. */
static enum pmp_err in_column_1_or_n(const struct wire_in *in, const char *what,
                                     const PB(Tensor) * from, enum pmp_dtype dtype, uint32_t rows,
                                     const void **out, uint32_t *length) {
  uint64_t n;
  PMP_TRY(in_column(in, what, from, dtype, out, &n));
  if (*out != NULL && n != 1 && n != rows)
    return pmp_fail(in->msg, PMP_EINVALID, "%s: %llu elements; they must be 1 or %u", what,
                    (unsigned long long)n, rows);
  *length = (uint32_t)n;
  return PMP_OK;
}

static enum pmp_err in_obs(const struct wire_in *in, PB(Tensor) *const *from, size_t n,
                           struct pmp_chunk *out) {
  if (n > PMP_PARTS_MAX)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "observations: %zu; the limit is %d", n, PMP_PARTS_MAX);
  for (size_t i = 0; i < n; i++) PMP_TRY(wire_in_tensor(in, "observation", from[i], &out->obs[i]));
  out->obs_parts = (uint32_t)n;
  return PMP_OK;
}

static enum pmp_err in_action(const struct wire_in *in, const char *what, const PB(Tensor) * from,
                              struct pmp_chunk *out) {
  if (from == NULL) return pmp_fail(in->msg, PMP_EINVALID, "%s: missing", what);
  return wire_in_tensor(in, what, from, &out->action);
}

static enum pmp_err in_outcomes(const struct wire_in *in, const PB(Outcomes) * o,
                                struct pmp_chunk *out) {
  uint32_t rows = out->rows;
  const void *column;
  out->shape = PMP_SHAPE_OUTCOMES;
  out->groups = o->group == NULL && o->groups == 0 ? rows : o->groups;
  PMP_TRY(in_column_n(in, "group", o->group, PMP_U32, rows, &column));
  out->group = column;
  PMP_TRY(in_obs(in, o->condition, o->n_condition, out));
  PMP_TRY(in_action(in, "outcome", o->outcome, out));
  PMP_TRY(in_column_n(in, "evaluation", o->evaluation, PMP_F32, rows, &column));
  out->f = column;
  PMP_TRY(in_column_n(in, "verdict", o->verdict, PMP_I8, rows, &column));
  out->verdict = column;
  PMP_TRY(in_column_n(in, "weight", o->weight, PMP_F32, rows, &column));
  out->weight = column;
  PMP_TRY(in_column_n(in, "log_prob", o->log_prob, PMP_F32, rows, &column));
  out->log_prob = column;
  PMP_TRY(
      in_column_1_or_n(in, "ref_version", o->ref_version, PMP_U64, rows, &column, &out->versions));
  out->version = column;
  PMP_TRY(in_column_n(in, "condition_offsets", o->condition_offsets, PMP_U32,
                      (uint64_t)out->groups + 1, &column));
  out->obs_offset = column;
  PMP_TRY(
      in_column_n(in, "outcome_offsets", o->outcome_offsets, PMP_U32, (uint64_t)rows + 1, &column));
  out->action_offset = column;
  return PMP_OK;
}

static enum pmp_err in_trajectories(const struct wire_in *in, const PB(Trajectories) * t,
                                    struct pmp_chunk *out) {
  uint32_t rows = out->rows;
  const void *column;
  out->shape = PMP_SHAPE_TRAJECTORIES;
  PMP_TRY(in_column_1_or_n(in, "environment", t->environment, PMP_U32, rows, &column, &out->envs));
  out->env = column;
  PMP_TRY(in_column_1_or_n(in, "episode", t->episode, PMP_U32, rows, &column, &out->episodes));
  out->episode = column;
  PMP_TRY(in_column_n(in, "t", t->t, PMP_U32, rows, &column));
  out->t = column;
  PMP_TRY(in_obs(in, t->observation, t->n_observation, out));
  PMP_TRY(in_action(in, "action", t->action, out));
  PMP_TRY(in_column_n(in, "reward", t->reward, PMP_F32, rows, &column));
  out->reward = column;
  PMP_TRY(in_column_n(in, "discount", t->discount, PMP_F32, rows, &column));
  out->discount = column;
  PMP_TRY(in_column_n(in, "flags", t->flags, PMP_U8, rows, &column));
  out->flags = column;
  PMP_TRY(in_column_n(in, "log_prob", t->log_prob, PMP_F32, rows, &column));
  out->log_prob = column;
  PMP_TRY(
      in_column_1_or_n(in, "ref_version", t->ref_version, PMP_U64, rows, &column, &out->versions));
  out->version = column;
  return PMP_OK;
}

static enum pmp_err in_chunk(const struct wire_in *in, const struct pmp_spec *spec,
                             const PB(Chunk) * from, struct pmp_chunk *out) {
  if (from->source <= 0 || from->source > (int)PMP_SOURCE_PERSON)
    return pmp_fail(in->msg, PMP_EINVALID, "chunk: unknown source %d", (int)from->source);
  if (from->rows == 0) return pmp_fail(in->msg, PMP_EINVALID, "chunk: no rows");
  if (from->rows > in->limits->chunk_rows)
    return pmp_fail(in->msg, PMP_ETOOLARGE, "chunk: %u rows; the limit is %u", from->rows,
                    in->limits->chunk_rows);
  out->source = (enum pmp_source)from->source;
  out->rows = from->rows;
  switch (from->shape_case) {
  case PMPO__V1__CHUNK__SHAPE_OUTCOMES:
    PMP_TRY(in_outcomes(in, from->outcomes, out));
    break;
  case PMPO__V1__CHUNK__SHAPE_TRAJECTORIES:
    PMP_TRY(in_trajectories(in, from->trajectories, out));
    break;
  default:
    return pmp_fail(in->msg, PMP_EINVALID, "chunk: neither outcomes nor trajectories");
  }
  PMP_TRY(wire_in_items(in, from, out));
  return wire_chunk_check(in, spec, out);
}

enum pmp_err pmp_wire_decode_chunk(const void *data, size_t size, const struct pmp_spec *spec,
                                   const struct pmp_wire_limits *limits, struct pmp_arena *arena,
                                   struct pmp_chunk *out, struct pmp_errmsg *msg) {
  memset(out, 0, sizeof *out);
  struct wire_in in = {.limits = limits, .arena = arena, .msg = msg};
  size_t mark = pmp_arena_mark(arena);
  void *unpacked;
  enum pmp_err err = wire_unpack(&in, &pmpo__v1__chunk__descriptor, data, size, &unpacked);
  if (err == PMP_OK) err = in_chunk(&in, spec, unpacked, out);
  if (err != PMP_OK) {
    memset(out, 0, sizeof *out);
    pmp_arena_release(arena, mark);
  }
  return err;
}

/* ---- onto the wire ---- */

enum pmp_err wire_out_tensor(const struct wire_out *w, const struct pmp_tensor *from,
                             PB(Tensor) * *out) {
  *out = NULL;
  if (from->dtype == PMP_DTYPE_NONE) return PMP_OK;
  void *memory;
  PMP_TRY(wire_out_array(w, 1, sizeof(PB(Tensor)), &memory));
  PB(Tensor) *to = memory;
  pmpo__v1__tensor__init(to);
  to->dtype = (PB(DType))from->dtype;
  to->n_shape = from->rank;
  to->shape = (uint64_t *)(uintptr_t)from->shape;
  PMP_TRY(wire_out_bytes(w, "tensor", (struct pmp_bytes){from->data, from->bytes}, &to->data));
  *out = to;
  return PMP_OK;
}

static enum pmp_err out_column(const struct wire_out *w, enum pmp_dtype dtype, const void *data,
                               uint64_t n, PB(Tensor) * *out) {
  *out = NULL;
  if (data == NULL) return PMP_OK;
  void *memory;
  PMP_TRY(wire_out_array(w, 1, sizeof(struct pmp_tensor), &memory));
  struct pmp_tensor *t = memory; /* of the arena: the message points at its shape */
  t->dtype = dtype;
  t->rank = 1;
  t->shape[0] = n;
  t->data = data;
  t->bytes = (size_t)n * pmp_dtype_bytes(dtype);
  return wire_out_tensor(w, t, out);
}

static enum pmp_err out_obs(const struct wire_out *w, const struct pmp_chunk *c, PB(Tensor) * **out,
                            size_t *n) {
  void *memory;
  PMP_TRY(wire_out_array(w, c->obs_parts, sizeof(PB(Tensor) *), &memory));
  *out = memory;
  *n = c->obs_parts;
  for (uint32_t i = 0; i < c->obs_parts; i++) PMP_TRY(wire_out_tensor(w, &c->obs[i], &(*out)[i]));
  return PMP_OK;
}

static enum pmp_err out_outcomes(const struct wire_out *w, const struct pmp_chunk *c,
                                 PB(Outcomes) * to) {
  pmpo__v1__outcomes__init(to);
  to->groups = c->groups;
  PMP_TRY(out_column(w, PMP_U32, c->group, c->rows, &to->group));
  PMP_TRY(out_obs(w, c, &to->condition, &to->n_condition));
  PMP_TRY(wire_out_tensor(w, &c->action, &to->outcome));
  PMP_TRY(out_column(w, PMP_F32, c->f, c->rows, &to->evaluation));
  PMP_TRY(out_column(w, PMP_I8, c->verdict, c->rows, &to->verdict));
  PMP_TRY(out_column(w, PMP_F32, c->weight, c->rows, &to->weight));
  PMP_TRY(out_column(w, PMP_F32, c->log_prob, c->rows, &to->log_prob));
  PMP_TRY(out_column(w, PMP_U64, c->version, c->versions, &to->ref_version));
  PMP_TRY(out_column(w, PMP_U32, c->obs_offset, (uint64_t)c->groups + 1, &to->condition_offsets));
  return out_column(w, PMP_U32, c->action_offset, (uint64_t)c->rows + 1, &to->outcome_offsets);
}

static enum pmp_err out_trajectories(const struct wire_out *w, const struct pmp_chunk *c,
                                     PB(Trajectories) * to) {
  pmpo__v1__trajectories__init(to);
  PMP_TRY(out_column(w, PMP_U32, c->env, c->envs, &to->environment));
  PMP_TRY(out_column(w, PMP_U32, c->episode, c->episodes, &to->episode));
  PMP_TRY(out_column(w, PMP_U32, c->t, c->rows, &to->t));
  PMP_TRY(out_obs(w, c, &to->observation, &to->n_observation));
  PMP_TRY(wire_out_tensor(w, &c->action, &to->action));
  PMP_TRY(out_column(w, PMP_F32, c->reward, c->rows, &to->reward));
  PMP_TRY(out_column(w, PMP_F32, c->discount, c->rows, &to->discount));
  PMP_TRY(out_column(w, PMP_U8, c->flags, c->rows, &to->flags));
  PMP_TRY(out_column(w, PMP_F32, c->log_prob, c->rows, &to->log_prob));
  return out_column(w, PMP_U64, c->version, c->versions, &to->ref_version);
}

enum pmp_err pmp_wire_encode_chunk(const struct pmp_chunk *c, struct pmp_arena *arena,
                                   const void **data, size_t *size, struct pmp_errmsg *msg) {
  struct wire_out w = {.arena = arena, .msg = msg};
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  limits.chunk_rows = UINT32_MAX; /* the run's own limits are checked where the chunk arrives */
  limits.repeated = UINT32_MAX;
  struct wire_in in = {.limits = &limits, .arena = arena, .msg = msg};
  enum pmp_err err = wire_chunk_check(&in, NULL, c);
  if (err != PMP_OK)
    return err == PMP_ETOOLARGE ? PMP_ENOMEM : err; /* only its scratch can be too large */
  PB(Chunk) chunk;
  PB(Outcomes) outcomes;
  PB(Trajectories) trajectories;
  pmpo__v1__chunk__init(&chunk);
  chunk.source = (PB(Source))c->source;
  chunk.rows = c->rows;
  if (c->shape == PMP_SHAPE_OUTCOMES) {
    PMP_TRY(out_outcomes(&w, c, &outcomes));
    chunk.shape_case = PMPO__V1__CHUNK__SHAPE_OUTCOMES;
    chunk.outcomes = &outcomes;
  } else {
    PMP_TRY(out_trajectories(&w, c, &trajectories));
    chunk.shape_case = PMPO__V1__CHUNK__SHAPE_TRAJECTORIES;
    chunk.trajectories = &trajectories;
  }
  PMP_TRY(wire_out_items(&w, c, &chunk));
  return wire_out_pack(&w, &chunk.base, data, size);
}
