/* Chunks for the tests of proto/: one of each shape, filled with numbers that tell cells apart. */
#ifndef PMP_TESTS_PROTO_CHUNKS_H
#define PMP_TESTS_PROTO_CHUNKS_H

#include "proto/wire.h"

#include <string.h>

enum {
  CHUNK_ENVS = 2,
  CHUNK_STEPS = 5,
  CHUNK_ROWS = 12,
  CHUNK_GROUPS = 4,
  CHUNK_OBS = 3,
  CHUNK_DIM = 2
};

/* The columns behind a chunk. */
struct chunk_columns {
  float obs[CHUNK_ROWS * CHUNK_OBS], action[CHUNK_ROWS * CHUNK_DIM], reward[CHUNK_ROWS],
      discount[CHUNK_ROWS];
  float f[CHUNK_ROWS], weight[CHUNK_ROWS], log_prob[CHUNK_ROWS];
  int32_t bins[CHUNK_ROWS * CHUNK_DIM];
  uint32_t env[CHUNK_ROWS], episode[CHUNK_ROWS], t[CHUNK_ROWS], group[CHUNK_ROWS];
  uint64_t version[CHUNK_ROWS];
  int8_t verdict[CHUNK_ROWS];
  uint8_t flags[CHUNK_ROWS];
};

static inline void chunk_tensor(struct pmp_tensor *t, enum pmp_dtype dtype, uint64_t rows,
                                uint64_t size, const void *data) {
  memset(t, 0, sizeof *t);
  t->dtype = dtype;
  t->rank = 2;
  t->shape[0] = rows;
  t->shape[1] = size;
  t->data = data;
  t->bytes = (size_t)(rows * size) * pmp_dtype_bytes(dtype);
}

static inline struct pmp_spec chunk_spec(enum pmp_shape shape, bool bins) {
  struct pmp_spec s = {.shape = shape, .obs_parts = 1};
  s.obs[0] =
      (struct pmp_tensor_spec){.name = "o", .dtype = PMP_F32, .rank = 1, .shape = {CHUNK_OBS}};
  s.action.kind = bins ? PMP_ACTION_BINS : PMP_ACTION_BOX;
  s.action.dim = CHUNK_DIM;
  s.action.low = -1;
  s.action.high = 1;
  s.action.bins = bins ? 11 : 0;
  return s;
}

/* Two environments, interleaved; the first's episode ends after its third row, the second's goes on
 * from t = 7. */
static inline void chunk_trajectories(struct chunk_columns *m, struct pmp_chunk *c, bool bins) {
  uint32_t t[CHUNK_ENVS] = {0, 7}, episode[CHUNK_ENVS] = {4, 9};
  memset(c, 0, sizeof *c);
  for (uint32_t i = 0; i < CHUNK_ROWS; i++) {
    uint32_t e = i % CHUNK_ENVS;
    for (uint32_t k = 0; k < CHUNK_OBS; k++) m->obs[i * CHUNK_OBS + k] = (float)(i * 10 + k) / 8;
    for (uint32_t k = 0; k < CHUNK_DIM; k++) {
      m->action[i * CHUNK_DIM + k] = (float)i - 100 * (float)k;
      m->bins[i * CHUNK_DIM + k] = (int32_t)((i + k) % 11);
    }
    m->env[i] = e == 0 ? 3 : 4000000000u;
    m->episode[i] = episode[e];
    m->t[i] = t[e];
    m->reward[i] = (float)i / 4;
    m->discount[i] = 1;
    m->log_prob[i] = -(float)i;
    m->version[i] = 17 + i / 6;
    m->flags[i] = t[e] == 0 ? PMP_CHUNK_FIRST : 0;
    t[e]++;
    if (i != 4) continue;
    m->flags[i] |= PMP_CHUNK_LAST | PMP_CHUNK_TRUNCATED;
    t[e] = 0;
    episode[e]++;
  }
  c->source = PMP_SOURCE_ACTOR;
  c->shape = PMP_SHAPE_TRAJECTORIES;
  c->rows = c->envs = c->episodes = c->versions = CHUNK_ROWS;
  c->obs_parts = 1;
  chunk_tensor(&c->obs[0], PMP_F32, CHUNK_ROWS, CHUNK_OBS, m->obs);
  chunk_tensor(&c->action, bins ? PMP_I32 : PMP_F32, CHUNK_ROWS, CHUNK_DIM,
               bins ? (const void *)m->bins : (const void *)m->action);
  c->env = m->env;
  c->episode = m->episode;
  c->t = m->t;
  c->reward = m->reward;
  c->discount = m->discount;
  c->flags = m->flags;
  c->log_prob = m->log_prob;
  c->version = m->version;
}

/* Four groups of three. */
static inline void chunk_outcomes(struct chunk_columns *m, struct pmp_chunk *c) {
  memset(c, 0, sizeof *c);
  for (uint32_t i = 0; i < CHUNK_ROWS; i++) {
    m->group[i] = i / 3;
    m->f[i] = (float)i * 1e20f;
    m->verdict[i] = (int8_t)((int)(i % 3) - 1);
    m->weight[i] = (float)i / 2;
    m->log_prob[i] = -(float)i;
    m->version[i] = 3;
    for (uint32_t k = 0; k < CHUNK_DIM; k++)
      m->action[i * CHUNK_DIM + k] = (float)i - 100 * (float)k;
    for (uint32_t k = 0; k < CHUNK_OBS; k++) m->obs[i * CHUNK_OBS + k] = (float)(i + k);
  }
  c->source = PMP_SOURCE_IMPORT;
  c->shape = PMP_SHAPE_OUTCOMES;
  c->rows = CHUNK_ROWS;
  c->groups = CHUNK_GROUPS;
  c->versions = 1;
  c->obs_parts = 1;
  chunk_tensor(&c->obs[0], PMP_F32, CHUNK_GROUPS, CHUNK_OBS, m->obs);
  chunk_tensor(&c->action, PMP_F32, CHUNK_ROWS, CHUNK_DIM, m->action);
  c->group = m->group;
  c->f = m->f;
  c->verdict = m->verdict;
  c->weight = m->weight;
  c->log_prob = m->log_prob;
  c->version = m->version;
}

#endif
