/* Chunks: off the wire, held against several runs' specs, to rows, into a replay ring. */
#include "daemon/rows.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/specs.h"

#include <math.h>

enum { ARENA_BYTES = 8 << 20, MESSAGE_BYTES = 1 << 20, ROWS_MAX = 4096, RING_ROWS = 64, BATCH = 8 };

struct memory {
  struct pmp_arena wire, rows, batch;
};

static void walk_tensor(const struct pmp_tensor *t, const char *what) {
  uint64_t elements = 1;
  FUZZ_CHECK(t->rank >= 1 && t->rank <= PMP_TENSOR_RANK_MAX, "%s: rank %u", what, t->rank);
  for (uint32_t i = 0; i < t->rank; i++) elements *= t->shape[i];
  FUZZ_CHECK(elements * pmp_dtype_bytes(t->dtype) == t->bytes, "%s: %zu bytes", what, t->bytes);
  FUZZ_CHECK((uintptr_t)t->data % 16 == 0, "%s: not aligned", what);
  fuzz_touch(t->data, t->bytes);
  if (t->dtype != PMP_F32) return;
  for (size_t i = 0; i < t->bytes / sizeof(float); i++)
    FUZZ_CHECK(isfinite(((const float *)t->data)[i]), "%s[%zu]", what, i);
}

static void walk_outcomes(const struct pmp_chunk *c) {
  FUZZ_CHECK(c->groups >= 1 && c->groups <= c->rows, "%u groups", c->groups);
  for (uint32_t i = 0; i < c->rows; i++) {
    if (c->group != NULL) FUZZ_CHECK(c->group[i] < c->groups, "row %u: group", i);
    if (c->verdict != NULL) FUZZ_CHECK(c->verdict[i] >= -1 && c->verdict[i] <= 1, "row %u", i);
    if (c->weight != NULL) FUZZ_CHECK(c->weight[i] >= 0 && isfinite(c->weight[i]), "row %u", i);
    if (c->f != NULL) FUZZ_CHECK(isfinite(c->f[i]), "row %u: f", i);
  }
  if (c->obs_offset != NULL)
    FUZZ_CHECK(c->obs_offset[c->groups] == c->obs[0].shape[0], "condition offsets");
  if (c->action_offset != NULL)
    FUZZ_CHECK(c->action_offset[c->rows] == c->action.shape[0], "outcome offsets");
}

static void walk(const struct pmp_chunk *c) {
  FUZZ_CHECK(c->rows >= 1 && c->rows <= ROWS_MAX, "%u rows", c->rows);
  FUZZ_CHECK(c->versions <= 1 || c->versions == c->rows, "%u versions", c->versions);
  walk_tensor(&c->action, "action");
  for (uint32_t i = 0; i < c->obs_parts; i++) walk_tensor(&c->obs[i], "observation");
  if (c->version != NULL) fuzz_touch(c->version, c->versions * sizeof *c->version);
  for (uint32_t i = 0; c->log_prob != NULL && i < c->rows; i++)
    FUZZ_CHECK(isfinite(c->log_prob[i]), "row %u: log_prob", i);
  if (c->shape == PMP_SHAPE_OUTCOMES) {
    walk_outcomes(c);
    return;
  }
  for (uint32_t i = 0; i < c->rows; i++) {
    fuzz_touch(&c->env[c->envs == 1 ? 0 : i], sizeof *c->env);
    fuzz_touch(&c->episode[c->episodes == 1 ? 0 : i], sizeof *c->episode);
    FUZZ_CHECK(isfinite(c->reward[i]), "row %u: reward", i);
    FUZZ_CHECK(c->discount[i] >= 0 && c->discount[i] <= 1, "row %u: discount", i);
    FUZZ_CHECK(((c->flags[i] & PMP_CHUNK_FIRST) != 0) == (c->t[i] == 0), "row %u: flags", i);
  }
}

/* Both encodings must be the same bytes. */
static void there_and_back(const struct pmp_chunk *first, const struct pmp_spec *spec,
                           const struct pmp_wire_limits *limits, struct pmp_arena *arena) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_chunk second;
  const void *one, *two;
  size_t one_size, two_size;
  FUZZ_OK(pmp_wire_encode_chunk(first, arena, &one, &one_size, &msg), &msg);
  FUZZ_OK(pmp_wire_decode_chunk(one, one_size, spec, limits, arena, &second, &msg), &msg);
  FUZZ_OK(pmp_wire_encode_chunk(&second, arena, &two, &two_size, &msg), &msg);
  FUZZ_CHECK(one_size == two_size && memcmp(one, two, one_size) == 0, "shape %d",
             (int)first->shape);
}

static struct pmp_replay_config ring_config(const struct pmp_spec *spec) {
  struct pmp_replay_config c = {.shape = spec->shape == PMP_SHAPE_TRAJECTORIES
                                             ? PMP_REPLAY_TRAJECTORIES
                                             : PMP_REPLAY_OUTCOMES,
                                .obs = (uint32_t)pmp_spec_obs_size(spec),
                                .act = spec->action.dim,
                                .capacity = RING_ROWS,
                                .n_step = 3,
                                .discount = 0.9f,
                                .streams_max = 4,
                                .unlabelled_trainable = true,
                                .evaluated_trainable = true};
  return c;
}

/* What the daemon's check lets through, the ring takes: twice, as a second chunk would follow. */
static void learn(const struct pmp_chunk *c, const struct pmp_spec *spec, struct memory *m) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_replay_rows rows;
  struct pmp_batch batch;
  struct pmp_rng rng;
  struct pmp_replay *ring = NULL;
  const struct pmp_replay_config config = ring_config(spec);
  const size_t scratch = pmp_rows_scratch(spec, c->rows);
  uint32_t trainable = 999;
  enum pmp_err err = pmp_rows_check(c, RING_ROWS, &msg);
  if (err != PMP_OK) {
    FUZZ_REFUSED(err, &msg);
    return;
  }
  m->rows.capacity = scratch < m->rows.capacity ? scratch : m->rows.capacity;
  FUZZ_OK(pmp_rows_from_chunk(spec, c, &m->rows, &rows), &msg);
  pmp_rng_init(&rng, 1, 1);
  FUZZ_OK(pmp_replay_open(&ring, &config, &msg), &msg);
  for (uint64_t k = 1; k <= 2; k++) {
    rows.chunk = rows.commit = k;
    rows.stream = 7;
    FUZZ_OK(pmp_replay_add(ring, &rows, &trainable, &msg), &msg);
  }
  err = pmp_replay_sample(ring, &rng, BATCH, 0, &m->batch, &batch);
  FUZZ_CHECK(err == PMP_OK || err == PMP_EBUSY, "sample: %s", pmp_err_name(err));
  for (size_t i = 0; err == PMP_OK && i < batch.b * config.obs; i++)
    FUZZ_CHECK(isfinite(batch.obs[i]), "obs[%zu] of the batch", i);
  for (size_t i = 0; err == PMP_OK && i < batch.n * config.act; i++)
    FUZZ_CHECK(isfinite(batch.act[i]), "act[%zu] of the batch", i);
  pmp_replay_close(ring);
}

static bool feed(const void *data, size_t size, const struct pmp_spec *spec, struct memory *m) {
  const size_t capacity = m->rows.capacity;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_errmsg msg = {{0}};
  struct pmp_chunk chunk;
  limits.message_bytes = MESSAGE_BYTES;
  limits.chunk_rows = ROWS_MAX;
  pmp_arena_release(&m->wire, 0);
  pmp_arena_release(&m->rows, 0);
  pmp_arena_release(&m->batch, 0);
  memset(&chunk, 0x99, sizeof chunk);
  enum pmp_err err = pmp_wire_decode_chunk(data, size, spec, &limits, &m->wire, &chunk, &msg);
  if (err != PMP_OK) {
    FUZZ_REFUSED(err, &msg);
    FUZZ_CHECK(m->wire.used == 0, "%zu bytes stay behind", m->wire.used);
    return false;
  }
  walk(&chunk);
  there_and_back(&chunk, spec, &limits, &m->wire);
  if (spec != NULL && fuzz_spec_learns(spec)) learn(&chunk, spec, m);
  m->rows.capacity = capacity;
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct memory memory;
  struct memory *m = &memory;
  if (m->wire.base == NULL && (pmp_arena_init(&m->wire, ARENA_BYTES) != PMP_OK ||
                               pmp_arena_init(&m->rows, ARENA_BYTES) != PMP_OK ||
                               pmp_arena_init(&m->batch, ARENA_BYTES) != PMP_OK))
    abort();
  bool plain = feed(data, size, NULL, m);
  for (int i = 0; i < FUZZ_SPECS; i++) {
    struct pmp_spec spec;
    fuzz_spec(i, &spec);
    bool fits = feed(data, size, &spec, m);
    FUZZ_CHECK(plain || !fits, "spec %d takes what no run takes", i);
  }
  return 0;
}
