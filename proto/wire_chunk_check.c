/* What must hold of a chunk's columns. */
#include "proto/wire_internal.h"

#include <string.h>

#define BAD(in, ...) pmp_fail((in)->msg, PMP_EINVALID, __VA_ARGS__)

static enum pmp_err check_f32(const struct wire_in *in, const char *what, const float *x,
                              size_t n) {
  if (x == NULL || wire_f32_finite(x, n)) return PMP_OK;
  for (size_t i = 0; i < n; i++)
    if (!wire_f32_finite(x + i, 1)) return BAD(in, "%s: element %zu is not finite", what, i);
  return PMP_OK;
}

/* Size agrees with shape; floats are finite. */
static enum pmp_err check_tensor(const struct wire_in *in, const char *what,
                                 const struct pmp_tensor *t) {
  size_t bytes = pmp_dtype_bytes(t->dtype);
  uint64_t elements;
  if (bytes == 0 || t->rank > PMP_TENSOR_RANK_MAX || !wire_elements(t->rank, t->shape, &elements))
    return BAD(in, "%s: unknown dtype or shape", what);
  if (elements > in->limits->tensor_elements || elements * bytes != t->bytes)
    return BAD(in, "%s: %zu bytes do not fill the shape", what, t->bytes);
  if (t->dtype == PMP_F32) return check_f32(in, what, t->data, (size_t)elements);
  if (t->dtype == PMP_F64 && !wire_f64_finite(t->data, (size_t)elements))
    return BAD(in, "%s: an element is not finite", what);
  return PMP_OK;
}

/* 0 = offset[0] <= offset[1] <= ... <= offset[n] = total. */
static enum pmp_err check_offsets(const struct wire_in *in, const char *what,
                                  const uint32_t *offset, uint32_t n, uint64_t total) {
  if (offset[0] != 0) return BAD(in, "%s: starts at %u", what, offset[0]);
  for (uint32_t i = 0; i < n; i++)
    if (offset[i + 1] < offset[i])
      return BAD(in, "%s: entry %u is less than the one before", what, i + 1);
  if (offset[n] != total)
    return BAD(in, "%s: ends at %u of %llu elements", what, offset[n], (unsigned long long)total);
  return PMP_OK;
}

/* ---- observations and actions ---- */

static enum pmp_err check_obs_part(const struct wire_in *in, const struct pmp_tensor_spec *spec,
                                   const struct pmp_tensor *t, uint32_t rows,
                                   const uint32_t *offset) {
  const char *what = spec != NULL && spec->name[0] != '\0' ? spec->name : "observation";
  PMP_TRY(check_tensor(in, what, t));
  if (t->rank == 0) return BAD(in, "%s: has no rows", what);
  if (offset != NULL)
    PMP_TRY(check_offsets(in, "condition_offsets", offset, rows, t->shape[0]));
  else if (t->shape[0] != rows)
    return BAD(in, "%s: %llu rows; they must be %u", what, (unsigned long long)t->shape[0], rows);
  if (spec == NULL) return PMP_OK;
  if (t->dtype != spec->dtype)
    return BAD(in, "%s: dtype %d; the run's is %d", what, (int)t->dtype, (int)spec->dtype);
  if (t->rank != spec->rank + 1)
    return BAD(in, "%s: rank %u; the run's is %u", what, t->rank, spec->rank + 1);
  for (uint32_t i = 0; i < spec->rank; i++)
    if (t->shape[i + 1] != spec->shape[i])
      return BAD(in, "%s: %llu in dimension %u; the run's is %llu", what,
                 (unsigned long long)t->shape[i + 1], i + 1, (unsigned long long)spec->shape[i]);
  return PMP_OK;
}

static enum pmp_err check_obs(const struct wire_in *in, const struct pmp_spec *spec,
                              const struct pmp_chunk *c, uint32_t rows) {
  if (c->obs_parts > PMP_PARTS_MAX) return BAD(in, "chunk: %u observations", c->obs_parts);
  if (spec != NULL && c->obs_parts != spec->obs_parts)
    return BAD(in, "chunk: %u observations; the run's are %u", c->obs_parts, spec->obs_parts);
  if (c->obs_offset != NULL && c->obs_parts != 1)
    return BAD(in, "condition_offsets: need exactly one condition");
  for (uint32_t i = 0; i < c->obs_parts; i++)
    PMP_TRY(
        check_obs_part(in, spec != NULL ? &spec->obs[i] : NULL, &c->obs[i], rows, c->obs_offset));
  return PMP_OK;
}

/* Every index in [0, bins). */
static enum pmp_err check_indices(const struct wire_in *in, const int32_t *index, uint64_t n,
                                  uint32_t bins) {
  uint32_t bad = 0;
  for (uint64_t i = 0; i < n; i++) bad |= (uint32_t)((uint32_t)index[i] >= bins);
  if (bad == 0) return PMP_OK;
  for (uint64_t i = 0; i < n; i++)
    if ((uint32_t)index[i] >= bins)
      return BAD(in, "action: element %llu is %d; it must be in [0, %u)", (unsigned long long)i,
                 (int)index[i], bins);
  return PMP_OK;
}

static enum pmp_err check_action_spec(const struct wire_in *in, const struct pmp_spec *spec,
                                      const struct pmp_chunk *c) {
  const struct pmp_tensor *a = &c->action;
  bool indices = spec->action.kind != PMP_ACTION_BOX;
  if (a->dtype != (indices ? PMP_I32 : PMP_F32))
    return BAD(in, "action: dtype %d does not fit the run's kind of action", (int)a->dtype);
  if (spec->action.kind == PMP_ACTION_TOKENS) {
    if (c->action_offset == NULL) return BAD(in, "action: tokens need outcome_offsets");
  } else {
    if (c->action_offset != NULL) return BAD(in, "action: only tokens are ragged");
    if (a->rank != 2 || a->shape[1] != spec->action.dim)
      return BAD(in, "action: must be (rows, %u)", spec->action.dim);
  }
  return indices ? check_indices(in, a->data, a->bytes / sizeof(int32_t), spec->action.bins)
                 : PMP_OK;
}

static enum pmp_err check_action(const struct wire_in *in, const struct pmp_spec *spec,
                                 const struct pmp_chunk *c) {
  const struct pmp_tensor *a = &c->action;
  PMP_TRY(check_tensor(in, "action", a));
  if (a->dtype != PMP_F32 && a->dtype != PMP_I32) return BAD(in, "action: dtype %d", (int)a->dtype);
  if (c->action_offset != NULL) {
    if (a->rank != 1) return BAD(in, "action: ragged ones have rank 1, not %u", a->rank);
    PMP_TRY(check_offsets(in, "outcome_offsets", c->action_offset, c->rows, a->shape[0]));
  } else if (a->rank != 2 || a->shape[0] != c->rows) {
    return BAD(in, "action: must have %u rows and rank 2", c->rows);
  }
  return spec != NULL ? check_action_spec(in, spec, c) : PMP_OK;
}

/* ---- outcomes ---- */

/* Groups are neighbours and complete: 0,..,0,1,..,1,2,.. */
static enum pmp_err check_groups(const struct wire_in *in, const struct pmp_chunk *c) {
  if (c->group == NULL) {
    if (c->groups != c->rows)
      return BAD(in, "group: missing, though %u groups of %u rows", c->groups, c->rows);
    return PMP_OK;
  }
  if (c->group[0] != 0) return BAD(in, "group: row 0 is in group %u", c->group[0]);
  for (uint32_t i = 1; i < c->rows; i++) {
    uint32_t step = c->group[i] - c->group[i - 1];
    if (step > 1)
      return BAD(in, "group: row %u goes from %u to %u", i, c->group[i - 1], c->group[i]);
  }
  if (c->group[c->rows - 1] != c->groups - 1)
    return BAD(in, "group: ends at %u of %u groups", c->group[c->rows - 1], c->groups);
  return PMP_OK;
}

static enum pmp_err check_outcomes(const struct wire_in *in, const struct pmp_spec *spec,
                                   const struct pmp_chunk *c) {
  if (c->groups == 0 || c->groups > c->rows)
    return BAD(in, "chunk: %u groups of %u rows", c->groups, c->rows);
  PMP_TRY(check_groups(in, c));
  PMP_TRY(check_obs(in, spec, c, c->groups));
  PMP_TRY(check_action(in, spec, c));
  PMP_TRY(check_f32(in, "evaluation", c->f, c->rows));
  PMP_TRY(check_f32(in, "weight", c->weight, c->rows));
  for (uint32_t i = 0; c->weight != NULL && i < c->rows; i++)
    if (c->weight[i] < 0.0f) return BAD(in, "weight: row %u has %g", i, (double)c->weight[i]);
  for (uint32_t i = 0; c->verdict != NULL && i < c->rows; i++)
    if (c->verdict[i] < -1 || c->verdict[i] > 1)
      return BAD(in, "verdict: row %u has %d", i, c->verdict[i]);
  return PMP_OK;
}

/* ---- trajectories ---- */

/* Where an environment stands while its rows are read. */
struct track {
  uint32_t env, episode, t;
  uint8_t used, last; /* a row was seen; it ended its episode */
};

/* The slot of `env` in an open-addressed table of mask + 1 tracks, never full. */
static struct track *track_of(struct track *table, uint32_t mask, uint32_t env) {
  uint32_t at = (env * 2654435761u) & mask;
  while (table[at].used && table[at].env != env) at = (at + 1) & mask;
  return &table[at];
}

static enum pmp_err check_row(const struct wire_in *in, const struct pmp_chunk *c, uint32_t i,
                              struct track *track) {
  uint32_t episode = c->episode[c->episodes == 1 ? 0 : i], t = c->t[i];
  uint8_t flags = c->flags[i];
  bool last = (flags & PMP_CHUNK_LAST) != 0;
  if (flags > (PMP_CHUNK_FIRST | PMP_CHUNK_LAST | PMP_CHUNK_TRUNCATED))
    return BAD(in, "flags: row %u has %u", i, flags);
  if (((flags & PMP_CHUNK_FIRST) != 0) != (t == 0))
    return BAD(in, "flags: row %u has t %u and FIRST %s", i, t,
               (flags & PMP_CHUNK_FIRST) != 0 ? "set" : "not set");
  if ((flags & PMP_CHUNK_TRUNCATED) != 0 && !last)
    return BAD(in, "flags: row %u is TRUNCATED, but not LAST", i);
  if (track->used && track->last) {
    if (t != 0) return BAD(in, "t: row %u has %u after its environment's episode ended", i, t);
    if (episode == track->episode)
      return BAD(in, "episode: row %u starts episode %u again", i, episode);
  } else if (track->used) {
    if (episode != track->episode)
      return BAD(in, "episode: row %u is of %u, but %u has not ended", i, episode, track->episode);
    if (t != track->t + 1) return BAD(in, "t: row %u has %u after %u", i, t, track->t);
  }
  track->used = 1;
  track->env = c->env[c->envs == 1 ? 0 : i];
  track->episode = episode;
  track->t = t;
  track->last = last;
  return PMP_OK;
}

/* Rows of one environment are in order of time; environments may be interleaved. */
static enum pmp_err check_order(const struct wire_in *in, const struct pmp_chunk *c) {
  uint32_t slots = 2;
  while (c->envs > 1 && slots < 2u * c->rows) slots *= 2;
  size_t mark = pmp_arena_mark(in->arena);
  void *table;
  PMP_TRY(wire_in_array(in, slots, sizeof(struct track), &table));
  enum pmp_err err = PMP_OK;
  for (uint32_t i = 0; err == PMP_OK && i < c->rows; i++) {
    uint32_t env = c->env[c->envs == 1 ? 0 : i];
    err = check_row(in, c, i, track_of(table, slots - 1, env));
  }
  pmp_arena_release(in->arena, mark);
  return err;
}

static enum pmp_err check_discount(const struct wire_in *in, const struct pmp_chunk *c) {
  uint32_t bad = 0;
  for (uint32_t i = 0; i < c->rows; i++)
    bad |= (uint32_t) !(c->discount[i] >= 0.0f && c->discount[i] <= 1.0f);
  if (bad == 0) return PMP_OK;
  for (uint32_t i = 0; i < c->rows; i++)
    if (!(c->discount[i] >= 0.0f && c->discount[i] <= 1.0f))
      return BAD(in, "discount: row %u has %g", i, (double)c->discount[i]);
  return PMP_OK;
}

static enum pmp_err check_trajectories(const struct wire_in *in, const struct pmp_spec *spec,
                                       const struct pmp_chunk *c) {
  const struct {
    const char *name;
    const void *column;
  } needed[] = {{"environment", c->env}, {"episode", c->episode},   {"t", c->t},
                {"reward", c->reward},   {"discount", c->discount}, {"flags", c->flags}};
  for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
    if (needed[i].column == NULL) return BAD(in, "%s: missing", needed[i].name);
  if ((c->envs != 1 && c->envs != c->rows) || (c->episodes != 1 && c->episodes != c->rows))
    return BAD(in, "chunk: %u environments and %u episodes for %u rows", c->envs, c->episodes,
               c->rows);
  if (c->obs_offset != NULL || c->action_offset != NULL)
    return BAD(in, "chunk: trajectories are not ragged");
  PMP_TRY(check_obs(in, spec, c, c->rows));
  PMP_TRY(check_action(in, spec, c));
  PMP_TRY(check_f32(in, "reward", c->reward, c->rows));
  PMP_TRY(check_discount(in, c));
  return check_order(in, c);
}

enum pmp_err wire_chunk_check(const struct wire_in *in, const struct pmp_spec *spec,
                              const struct pmp_chunk *c) {
  if ((int)c->source <= 0 || c->source > PMP_SOURCE_PERSON)
    return BAD(in, "chunk: unknown source %d", (int)c->source);
  if (c->rows == 0 || c->rows > in->limits->chunk_rows) return BAD(in, "chunk: %u rows", c->rows);
  if (spec != NULL && spec->shape != c->shape)
    return BAD(in, "chunk: not of the shape that the run takes");
  if ((c->version == NULL) != (c->versions == 0) || (c->versions > 1 && c->versions != c->rows))
    return BAD(in, "ref_version: %u for %u rows", c->versions, c->rows);
  PMP_TRY(check_f32(in, "log_prob", c->log_prob, c->rows));
  PMP_TRY(wire_item_check(in, c));
  if (c->shape == PMP_SHAPE_OUTCOMES) return check_outcomes(in, spec, c);
  if (c->shape == PMP_SHAPE_TRAJECTORIES) return check_trajectories(in, spec, c);
  return BAD(in, "chunk: neither outcomes nor trajectories");
}
