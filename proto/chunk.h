/* The plain columns that everyone speaks of: what a chunk of samples is once it is off the wire.
 *
 * Plain data, no functions but small helpers. Pointers are borrowed from whoever filled the struct
 * (proto/wire.h: the message's arena). No protobuf types here. */
#ifndef PMP_PROTO_CHUNK_H
#define PMP_PROTO_CHUNK_H

#include <stddef.h>
#include <stdint.h>

enum pmp_dtype {
  PMP_DTYPE_NONE,
  PMP_F32,
  PMP_F64,
  PMP_I8,
  PMP_U8,
  PMP_I32,
  PMP_U32,
  PMP_I64,
  PMP_U64
};
enum pmp_shape { PMP_SHAPE_NONE, PMP_SHAPE_OUTCOMES, PMP_SHAPE_TRAJECTORIES };
enum pmp_source { PMP_SOURCE_NONE, PMP_SOURCE_ACTOR, PMP_SOURCE_IMPORT, PMP_SOURCE_PERSON };
enum pmp_action_kind { PMP_ACTION_NONE, PMP_ACTION_BOX, PMP_ACTION_BINS, PMP_ACTION_TOKENS };

#define PMP_TENSOR_RANK_MAX 8
#define PMP_PARTS_MAX 8
#define PMP_NAME_MAX 65

struct pmp_tensor {
  enum pmp_dtype dtype; /* PMP_DTYPE_NONE: absent */
  uint32_t rank;
  uint64_t shape[PMP_TENSOR_RANK_MAX];
  const void *data; /* little-endian, row major, aligned to 16 bytes */
  size_t bytes;
};

struct pmp_tensor_spec {
  char name[PMP_NAME_MAX];
  enum pmp_dtype dtype;
  uint32_t rank;
  uint64_t shape[PMP_TENSOR_RANK_MAX]; /* of one row */
};

/* What a run learns: what samples must look like. */
struct pmp_spec {
  char task[PMP_NAME_MAX]; /* "" : not named */
  enum pmp_shape shape;
  struct pmp_tensor_spec obs[PMP_PARTS_MAX];
  uint32_t obs_parts; /* 0: no condition */
  struct {
    enum pmp_action_kind kind;
    uint32_t dim;
    float low, high;
    uint32_t bins;
  } action;
  char tokenizer_hash[PMP_NAME_MAX];
};

enum { PMP_CHUNK_FIRST = 1, PMP_CHUNK_LAST = 2, PMP_CHUNK_TRUNCATED = 4 };

struct pmp_media { /* of an item: what a person is shown */
  const char *name, *type;
  const void *data;
  size_t bytes;
};
struct pmp_item { /* rows [row, row + rows), judged as one */
  uint32_t row, rows;
  float score; /* how uncertain its label is */
  const struct pmp_media *media;
  uint32_t medias;
};

struct pmp_chunk {
  enum pmp_source source;
  enum pmp_shape shape;
  uint32_t rows;
  /* Both shapes. Outcomes: conditions are (groups, ...); trajectories: observations are (rows,
   * ...). */
  struct pmp_tensor obs[PMP_PARTS_MAX];
  uint32_t obs_parts;
  struct pmp_tensor action;    /* F32 or I32 (rows, dim) */
  const float *log_prob;       /* (rows) or NULL */
  const uint64_t *version;     /* (versions) or NULL */
  uint32_t versions;           /* 0, 1 or rows */
  const struct pmp_item *item; /* in order of rows, without overlap */
  uint32_t items;              /* 0: every row without a label is one */
  /* outcomes */
  uint32_t groups;
  const uint32_t *group;                      /* (rows) or NULL: one row a group */
  const float *f;                             /* (rows) or NULL */
  const int8_t *verdict;                      /* (rows) or NULL */
  const float *weight;                        /* (rows) or NULL */
  const uint32_t *obs_offset, *action_offset; /* ragged, or NULL */
  /* trajectories */
  const uint32_t *env;            /* (envs) */
  uint32_t envs;                  /* 1 or rows */
  const uint32_t *episode;        /* (episodes) */
  uint32_t episodes;              /* 1 or rows */
  const uint32_t *t;              /* (rows) */
  const float *reward, *discount; /* (rows) */
  const uint8_t *flags;           /* (rows) PMP_CHUNK_* */
};

/* Bytes of one element; 0 for NONE. */
static inline size_t pmp_dtype_bytes(enum pmp_dtype d) {
  static const uint8_t bytes[] = {0, 4, 8, 1, 1, 4, 4, 8, 8};
  return (unsigned)d < sizeof bytes ? bytes[d] : 0;
}

/* Floats of one row's observation, all parts together. */
static inline size_t pmp_spec_obs_size(const struct pmp_spec *s) {
  size_t sum = 0;
  for (uint32_t i = 0; i < s->obs_parts; i++) {
    size_t n = 1;
    for (uint32_t k = 0; k < s->obs[i].rank; k++) n *= (size_t)s->obs[i].shape[k];
    sum += n;
  }
  return sum;
}

#endif
