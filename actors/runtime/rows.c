#include "actors/runtime/rows.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

/* A column's place in one block of memory. */
struct column {
  void **at;
  size_t bytes;
};

static enum pmp_err allocate(struct pmp_rows *r, const struct column *column, size_t columns) {
  size_t total = 0;
  for (size_t i = 0; i < columns; i++)
    total += (column[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  r->memory = aligned_alloc(ALIGNMENT, total > 0 ? total : ALIGNMENT);
  if (r->memory == NULL) return PMP_ENOMEM;
  memset(r->memory, 0, total);
  unsigned char *at = r->memory;
  for (size_t i = 0; i < columns; i++) {
    *column[i].at = column[i].bytes > 0 ? at : NULL;
    at += (column[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
  return PMP_OK;
}

static enum pmp_err check(const struct pmp_spec *spec, struct pmp_errmsg *msg) {
  for (uint32_t i = 0; i < spec->obs_parts; i++)
    if (spec->obs[i].dtype != PMP_F32)
      return pmp_fail(msg, PMP_EINVALID, "the run's observation '%s' is not of float32",
                      spec->obs[i].name);
  if (spec->action.kind != PMP_ACTION_BOX && spec->action.kind != PMP_ACTION_BINS)
    return pmp_fail(msg, PMP_EINVALID, "the run's actions are neither a box nor bins");
  return PMP_OK;
}

enum pmp_err pmp_rows_init(struct pmp_rows *r, const struct pmp_rows_config *config,
                           struct pmp_errmsg *msg) {
  memset(r, 0, sizeof *r);
  PMP_TRY(check(config->spec, msg));
  r->spec = *config->spec;
  r->capacity = config->capacity;
  r->obs_size = (uint32_t)pmp_spec_obs_size(&r->spec);
  bool trajectories = r->spec.shape == PMP_SHAPE_TRAJECTORIES;
  size_t n = r->capacity, dim = r->spec.action.dim;
  size_t of_trajectories = trajectories ? n : 0, of_outcomes = trajectories ? 0 : n;
  const struct column column[] = {
      {(void **)&r->obs, n * r->obs_size * sizeof(float)},
      {(void **)&r->action, n * dim * sizeof(float)},
      {(void **)&r->version, n * sizeof(uint64_t)},
      {(void **)&r->f, of_outcomes * sizeof(float)},
      {(void **)&r->group, of_outcomes * sizeof(uint32_t)},
      {(void **)&r->env, of_trajectories * sizeof(uint32_t)},
      {(void **)&r->episode, of_trajectories * sizeof(uint32_t)},
      {(void **)&r->t, of_trajectories * sizeof(uint32_t)},
      {(void **)&r->reward, of_trajectories * sizeof(float)},
      {(void **)&r->discount, of_trajectories * sizeof(float)},
      {(void **)&r->flags, of_trajectories},
      {(void **)&r->indices,
       r->spec.action.kind == PMP_ACTION_BINS ? n * dim * sizeof(int32_t) : 0},
      {(void **)&r->parts, r->spec.obs_parts > 1 ? n * r->obs_size * sizeof(float) : 0},
  };
  enum pmp_err err = allocate(r, column, sizeof column / sizeof column[0]);
  return err == PMP_OK ? PMP_OK
                       : pmp_fail(msg, err, "no memory for a chunk of %u rows", r->capacity);
}

void pmp_rows_fini(struct pmp_rows *r) {
  free(r->memory);
  memset(r, 0, sizeof *r);
}

/* The run's observation as the tensors of its parts. */
static void fill_obs(struct pmp_rows *r, uint32_t rows, struct pmp_chunk *out) {
  const float *from = r->obs;
  float *to = r->parts;
  size_t start = 0;
  out->obs_parts = r->spec.obs_parts;
  for (uint32_t i = 0; i < r->spec.obs_parts; i++) {
    const struct pmp_tensor_spec *spec = &r->spec.obs[i];
    struct pmp_tensor *t = &out->obs[i];
    size_t size = 1;
    t->dtype = PMP_F32;
    t->rank = spec->rank + 1;
    t->shape[0] = rows;
    for (uint32_t k = 0; k < spec->rank; k++) {
      t->shape[k + 1] = spec->shape[k];
      size *= (size_t)spec->shape[k];
    }
    t->data = r->obs;
    t->bytes = rows * size * sizeof(float);
    if (r->parts == NULL) continue; /* a single part is there already */
    t->data = to;
    for (uint32_t row = 0; row < rows; row++, to += size)
      memcpy(to, from + (size_t)row * r->obs_size + start, size * sizeof(float));
    start += size;
  }
}

static void fill_action(struct pmp_rows *r, uint32_t rows, struct pmp_chunk *out) {
  size_t n = (size_t)rows * r->spec.action.dim;
  struct pmp_tensor *t = &out->action;
  t->rank = 2;
  t->shape[0] = rows;
  t->shape[1] = r->spec.action.dim;
  t->bytes = n * sizeof(float);
  if (r->indices == NULL) {
    t->dtype = PMP_F32;
    t->data = r->action;
    return;
  }
  for (size_t i = 0; i < n; i++) r->indices[i] = (int32_t)r->action[i];
  t->dtype = PMP_I32;
  t->data = r->indices;
}

void pmp_rows_chunk(struct pmp_rows *r, struct pmp_chunk *out) {
  uint32_t rows = r->count;
  memset(out, 0, sizeof *out);
  out->source = PMP_SOURCE_ACTOR;
  out->shape = r->spec.shape;
  out->rows = rows;
  bool outcomes = r->spec.shape == PMP_SHAPE_OUTCOMES;
  out->groups = outcomes && rows > 0 ? r->group[rows - 1] + 1 : 0;
  fill_obs(r, outcomes ? out->groups : rows, out);
  fill_action(r, rows, out);
  out->version = r->version;
  out->versions = 1;
  for (uint32_t i = 1; i < rows && out->versions == 1; i++)
    if (r->version[i] != r->version[0]) out->versions = rows;
  if (outcomes) {
    out->f = r->f;
    out->group = r->group;
    return;
  }
  out->env = r->env;
  out->episode = r->episode;
  out->envs = out->episodes = rows;
  out->t = r->t;
  out->reward = r->reward;
  out->discount = r->discount;
  out->flags = r->flags;
}
