#include "daemon/rows.h"

#include <string.h>

enum pmp_err pmp_rows_check(const struct pmp_chunk *c, uint64_t capacity, struct pmp_errmsg *msg) {
  for (uint32_t i = 0; i < c->versions; i++) {
    if (c->version[i] > UINT32_MAX)
      return pmp_fail(msg, PMP_EINVALID, "ref_version: row %u has %llu, no reference's number", i,
                      (unsigned long long)c->version[i]);
  }
  if (c->shape != PMP_SHAPE_OUTCOMES || !c->group) return PMP_OK;
  const uint64_t limit = capacity < PMP_REPLAY_GROUP_MAX ? capacity : PMP_REPLAY_GROUP_MAX;
  for (uint32_t r = 0, first = 0; r < c->rows; r++) {
    if (c->group[r] != c->group[first]) first = r;
    if (r - first >= limit)
      return pmp_fail(msg, PMP_EINVALID, "group: %u has more rows than the %llu allowed",
                      c->group[r], (unsigned long long)limit);
  }
  return PMP_OK;
}

/* (rows x floats) from parts that are (units x part); unit_of NULL: one a row. */
static enum pmp_err expand_obs(const struct pmp_chunk *c, const uint32_t *unit_of, size_t size,
                               struct pmp_arena *arena, const float **out) {
  if (c->obs_parts == 1 && !unit_of) {
    *out = c->obs[0].data;
    return PMP_OK;
  }
  float *to = pmp_arena_array(arena, (size_t)c->rows * size, sizeof *to);
  if (!to) return PMP_ENOMEM;
  size_t offset = 0;
  const size_t units = c->shape == PMP_SHAPE_OUTCOMES && c->group ? c->groups : c->rows;
  for (uint32_t p = 0; p < c->obs_parts; p++) {
    const size_t part = units ? c->obs[p].bytes / sizeof(float) / units : 0;
    const float *from = c->obs[p].data;
    for (uint32_t r = 0; r < c->rows; r++) {
      const size_t u = unit_of ? unit_of[r] : r;
      memcpy(to + r * size + offset, from + u * part, part * sizeof(float));
    }
    offset += part;
  }
  *out = to;
  return PMP_OK;
}

static enum pmp_err expand_action(const struct pmp_spec *spec, const struct pmp_chunk *c,
                                  struct pmp_arena *arena, const float **out) {
  if (c->action.dtype == PMP_F32) {
    *out = c->action.data;
    return PMP_OK;
  }
  const size_t n = (size_t)c->rows * spec->action.dim;
  float *to = pmp_arena_array(arena, n, sizeof *to);
  if (!to) return PMP_ENOMEM;
  const int32_t *from = c->action.data;
  for (size_t i = 0; i < n; i++) to[i] = (float)from[i];
  *out = to;
  return PMP_OK;
}

static const uint32_t *spread_u32(const uint32_t *from, uint32_t count, uint32_t rows,
                                  struct pmp_arena *arena) {
  if (count == rows) return from;
  uint32_t *to = pmp_arena_array(arena, rows, sizeof *to);
  for (uint32_t i = 0; to && i < rows; i++) to[i] = from[0];
  return to;
}

static const uint64_t *spread_u64(const uint64_t *from, uint32_t count, uint32_t rows,
                                  struct pmp_arena *arena) {
  if (count == rows) return from;
  uint64_t *to = pmp_arena_array(arena, rows, sizeof *to);
  for (uint32_t i = 0; to && i < rows; i++) to[i] = from[0];
  return to;
}

size_t pmp_rows_scratch(const struct pmp_spec *spec, uint32_t rows) {
  const size_t row =
      (pmp_spec_obs_size(spec) + spec->action.dim + 2) * sizeof(float) + 2 * sizeof(uint64_t);
  return (size_t)rows * row + 16 * 64;
}

enum pmp_err pmp_rows_from_chunk(const struct pmp_spec *spec, const struct pmp_chunk *c,
                                 struct pmp_arena *arena, struct pmp_replay_rows *rows) {
  memset(rows, 0, sizeof *rows);
  rows->rows = c->rows;
  const size_t size = pmp_spec_obs_size(spec);
  if (size > 0 && c->obs_parts > 0) {
    PMP_TRY(
        expand_obs(c, c->shape == PMP_SHAPE_OUTCOMES ? c->group : NULL, size, arena, &rows->obs));
  }
  PMP_TRY(expand_action(spec, c, arena, &rows->act));
  if (c->versions > 0) {
    rows->ref_version = spread_u64(c->version, c->versions, c->rows, arena);
    if (!rows->ref_version) return PMP_ENOMEM;
  }
  if (c->shape == PMP_SHAPE_OUTCOMES) {
    rows->group = c->group;
    rows->f = c->f;
    rows->verdict = c->verdict;
    rows->weight = c->weight;
    return PMP_OK;
  }
  rows->env = spread_u32(c->env, c->envs, c->rows, arena);
  rows->episode = spread_u32(c->episode, c->episodes, c->rows, arena);
  if (!rows->env || !rows->episode) return PMP_ENOMEM;
  rows->t = c->t;
  rows->reward = c->reward;
  rows->discount = c->discount;
  rows->flags = c->flags;
  return PMP_OK;
}

enum pmp_err pmp_rows_one(const struct pmp_replay_rows *all, uint32_t obs, uint32_t act,
                          uint32_t row, int8_t label, float weight, struct pmp_arena *arena,
                          struct pmp_replay_rows *one) {
  int8_t *verdict = pmp_arena_array(arena, 1, sizeof *verdict);
  float *w = pmp_arena_array(arena, 1, sizeof *w);
  if (!verdict || !w) return PMP_ENOMEM;
  *verdict = label;
  *w = weight;
  *one = *all;
  one->rows = 1;
  one->first_row = row;
  one->obs = all->obs ? all->obs + (size_t)row * obs : NULL;
  one->act = all->act + (size_t)row * act;
  one->group = NULL;
  one->f = all->f ? all->f + row : NULL;
  one->verdict = verdict;
  one->weight = w;
  one->ref_version = all->ref_version ? all->ref_version + row : NULL;
  return PMP_OK;
}

struct pmp_rows_count pmp_rows_count(const struct pmp_chunk *c, bool people) {
  struct pmp_rows_count n = {0};
  for (uint32_t i = 0; i < c->versions; i++) {
    if (n.version_min == 0 || c->version[i] < n.version_min) n.version_min = c->version[i];
  }
  if (c->shape == PMP_SHAPE_TRAJECTORIES) {
    for (uint32_t r = 0; r < c->rows; r++) n.env_steps += !(c->flags[r] & PMP_CHUNK_LAST);
    n.trainable = n.env_steps;
    n.labelled = c->rows;
    for (uint32_t i = 0; people && i < c->items; i++) n.labelled -= c->item[i].rows;
    return n;
  }
  n.env_steps = c->rows;
  for (uint32_t r = 0; r < c->rows; r++)
    n.labelled += (c->verdict && c->verdict[r] != 0) || (c->f && !people);
  n.trainable = people ? n.labelled : c->rows;
  return n;
}

bool pmp_rows_item(const struct pmp_chunk *c, uint32_t *next, struct pmp_item *item) {
  if (c->items > 0) {
    if (*next >= c->items) return false;
    *item = c->item[(*next)++];
    return true;
  }
  if (c->shape != PMP_SHAPE_OUTCOMES) return false;
  while (*next < c->rows && c->verdict && c->verdict[*next] != 0) (*next)++;
  if (*next >= c->rows) return false;
  *item = (struct pmp_item){.row = (*next)++, .rows = 1};
  return true;
}

uint32_t pmp_rows_items(const struct pmp_chunk *c) {
  struct pmp_item item;
  uint32_t next = 0, count = 0;
  while (pmp_rows_item(c, &next, &item)) count++;
  return count;
}
