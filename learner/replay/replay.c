#include "learner/replay/replay.h"

#include "learner/replay/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- memory */

/* One column of the ring: where its pointer is kept, and its size. */
struct column {
  void *at; /* of a pointer */
  size_t count, size;
};
enum { COLUMNS_MAX = 24 };

static uint32_t power_of_two(size_t at_least) {
  uint32_t n = 1;
  while (n < at_least) n *= 2;
  return n;
}

/* Sizes of the tables that the configuration implies. */
static void set_sizes(struct pmp_replay *r) {
  const struct pmp_replay_config *c = &r->config;
  size_t waiting = 0;
  if (c->shape == PMP_REPLAY_TRAJECTORIES) {
    waiting = (size_t)c->streams_max * c->n_step;
    r->obs_slots = (uint32_t)(c->capacity + c->capacity / 8 + waiting + c->streams_max + 2);
    r->stream_buckets = power_of_two(c->streams_max);
  } else {
    r->buckets = power_of_two(c->capacity / 4 + 1);
  }
  r->chunk_slots = (uint32_t)(c->capacity + waiting + 2);
}

static size_t list_columns(struct pmp_replay *r, struct column out[COLUMNS_MAX]) {
  const struct pmp_replay_config *c = &r->config;
  size_t n = 0, rows = c->capacity, waiting = (size_t)c->streams_max * c->n_step;
  out[n++] = (struct column){&r->chunk_of, rows, sizeof *r->chunk_of};
  out[n++] = (struct column){&r->row_of, rows, sizeof *r->row_of};
  out[n++] = (struct column){&r->version_of, rows, sizeof *r->version_of};
  out[n++] = (struct column){&r->act, rows, c->act * sizeof *r->act};
  out[n++] = (struct column){&r->chunk, r->chunk_slots, sizeof *r->chunk};
  if (c->shape == PMP_REPLAY_OUTCOMES) {
    out[n++] = (struct column){&r->obs, rows, c->obs * sizeof *r->obs};
    out[n++] = (struct column){&r->chunk_bucket, r->buckets, sizeof *r->chunk_bucket};
    out[n++] = (struct column){&r->verdict, rows, sizeof *r->verdict};
    out[n++] = (struct column){&r->weight, rows, sizeof *r->weight};
    out[n++] = (struct column){&r->f, rows, sizeof *r->f};
    out[n++] = (struct column){&r->group, rows, sizeof *r->group};
    out[n++] = (struct column){&r->index, rows, sizeof *r->index};
  } else {
    out[n++] = (struct column){&r->obs, r->obs_slots, c->obs * sizeof *r->obs};
    out[n++] = (struct column){&r->ret, rows, sizeof *r->ret};
    out[n++] = (struct column){&r->disc, rows, sizeof *r->disc};
    out[n++] = (struct column){&r->obs_of, rows, sizeof *r->obs_of};
    out[n++] = (struct column){&r->boot_of, rows, sizeof *r->boot_of};
    out[n++] = (struct column){&r->stream, c->streams_max, sizeof *r->stream};
    out[n++] = (struct column){&r->stream_bucket, r->stream_buckets, sizeof *r->stream_bucket};
    out[n++] = (struct column){&r->pending, waiting, sizeof *r->pending};
    out[n++] = (struct column){&r->pending_act, waiting, c->act * sizeof *r->pending_act};
  }
  assert(n <= COLUMNS_MAX);
  return n;
}

static enum pmp_err check_config(const struct pmp_replay_config *c, struct pmp_errmsg *msg) {
  if (c->shape != PMP_REPLAY_OUTCOMES && c->shape != PMP_REPLAY_TRAJECTORIES)
    return pmp_fail(msg, PMP_EINVALID, "replay: the shape is neither outcomes nor trajectories");
  if (c->sampler > PMP_SAMPLER_VERSION)
    return pmp_fail(msg, PMP_EINVALID, "replay: no such sampler");
  if (c->capacity < 1 || c->capacity > PMP_REPLAY_CAPACITY_MAX)
    return pmp_fail(msg, PMP_EINVALID, "replay: the capacity %zu is not in 1..%u", c->capacity,
                    PMP_REPLAY_CAPACITY_MAX);
  if (c->act < 1 || c->act > 1u << 20 || c->obs > 1u << 20)
    return pmp_fail(msg, PMP_EINVALID,
                    "replay: an outcome needs 1..2^20 floats, a condition at most as many");
  if (c->shape == PMP_REPLAY_OUTCOMES) return PMP_OK;
  if (c->obs < 1) return pmp_fail(msg, PMP_EINVALID, "replay: trajectories need observations");
  if (c->n_step < 1 || c->n_step > PMP_REPLAY_N_STEP_MAX)
    return pmp_fail(msg, PMP_EINVALID, "replay: n_step %u is not in 1..%u", c->n_step,
                    PMP_REPLAY_N_STEP_MAX);
  if (!(c->discount >= 0.0F && c->discount <= 1.0F))
    return pmp_fail(msg, PMP_EINVALID, "replay: the discount %g is not in [0,1]",
                    (double)c->discount);
  if (c->streams_max < 1 || c->streams_max > 1u << 20)
    return pmp_fail(msg, PMP_EINVALID, "replay: streams_max %u is not in 1..2^20", c->streams_max);
  return PMP_OK;
}

size_t pmp_replay_bytes(const struct pmp_replay_config *config) {
  if (check_config(config, NULL) != PMP_OK) return 0;
  struct pmp_replay r = {.config = *config};
  struct column column[COLUMNS_MAX];
  set_sizes(&r);
  size_t count = list_columns(&r, column), bytes = sizeof r;
  for (size_t i = 0; i < count; i++) bytes += column[i].count * column[i].size;
  return bytes;
}

enum pmp_err pmp_replay_open(struct pmp_replay **out, const struct pmp_replay_config *config,
                             struct pmp_errmsg *msg) {
  *out = NULL;
  PMP_TRY(check_config(config, msg));
  struct pmp_replay *r = calloc(1, sizeof *r);
  if (r == NULL) return pmp_fail(msg, PMP_ENOMEM, "replay: out of memory");
  r->config = *config;
  set_sizes(r);
  r->chunk_free = r->chunk_oldest = r->chunk_newest = PMP_NONE;
  r->obs_free = r->stream_free = r->stream_newest = r->stream_oldest = PMP_NONE;
  struct column column[COLUMNS_MAX];
  size_t count = list_columns(r, column);
  for (size_t i = 0; i < count; i++) {
    if (column[i].count * column[i].size == 0) continue;
    void *memory = calloc(column[i].count, column[i].size);
    memcpy(column[i].at, &memory, sizeof memory);
    if (memory == NULL) {
      pmp_replay_close(r);
      return pmp_fail(msg, PMP_ENOMEM, "replay: no memory for %zu rows (%zu bytes)",
                      config->capacity, pmp_replay_bytes(config));
    }
  }
  *out = r;
  return PMP_OK;
}

void pmp_replay_close(struct pmp_replay *r) {
  if (r == NULL) return;
  struct column column[COLUMNS_MAX];
  size_t count = list_columns(r, column);
  for (size_t i = 0; i < count; i++) {
    void *memory;
    memcpy(&memory, column[i].at, sizeof memory);
    free(memory);
  }
  free(r);
}

/* ---------------------------------------------------------------- rows */

enum pmp_err pmp_replay_add(struct pmp_replay *r, const struct pmp_replay_rows *rows,
                            uint32_t *trainable, struct pmp_errmsg *msg) {
  *trainable = 0;
  if (rows->rows == 0) return PMP_OK;
  if (rows->act == NULL || (rows->obs == NULL && r->config.obs > 0))
    return pmp_fail(msg, PMP_EINVALID, "a column of the rows is missing");
  for (uint32_t i = 0; rows->ref_version != NULL && i < rows->rows; i++) {
    if (rows->ref_version[i] > UINT32_MAX)
      return pmp_fail(msg, PMP_EINVALID, "row %u: the version is too large", i);
  }
  bool outcomes = r->config.shape == PMP_REPLAY_OUTCOMES;
  PMP_TRY(outcomes ? pmp_outcomes_check(r, rows, msg) : pmp_streams_check(r, rows, msg));
  if (rows->commit > r->last_commit) r->last_commit = rows->commit;
  if (r->last_commit > r->mark.last_commit) r->skipping = false;
  if (outcomes)
    pmp_outcomes_add(r, rows, trainable);
  else
    pmp_streams_add(r, rows, trainable);
  if (pmp_ring_counting(r)) r->became_trainable += *trainable;
  return PMP_OK;
}

static uint64_t first_commit(const struct pmp_replay *r) {
  if (r->skipping) return r->mark.first_commit;
  return r->chunk_oldest == PMP_NONE ? 0 : r->chunk[r->chunk_oldest].commit;
}

static struct pmp_row_id row_at(const struct pmp_replay *r, uint64_t position) {
  size_t slot = pmp_ring_slot(r, position);
  return (struct pmp_row_id){.chunk = r->chunk[r->chunk_of[slot]].chunk, .row = r->row_of[slot]};
}

/* Position of the oldest row that can be drawn; the head when there is none. */
static uint64_t first_drawable(const struct pmp_replay *r) {
  if (r->config.shape == PMP_REPLAY_TRAJECTORIES) return r->front;
  if (r->index_count == 0) return r->head;
  uint64_t position = r->group[r->index[pmp_ring_slot(r, r->index_front)]].first;
  for (;; position++) {
    size_t slot = pmp_ring_slot(r, position);
    if (pmp_ring_can_draw(r, r->verdict[slot], r->f[slot])) break;
  }
  return position;
}

void pmp_replay_stats(const struct pmp_replay *r, struct pmp_replay_stats *out) {
  *out = (struct pmp_replay_stats){
      .trainable = r->config.shape == PMP_REPLAY_OUTCOMES ? r->drawable : r->head - r->front,
      .became_trainable = r->became_trainable,
      .pending = r->pending_count,
      .stale_dropped = r->stale_dropped,
      .evicted = r->evicted,
      .broken = r->broken,
      .accepted = r->accepted,
      .rejected = r->rejected,
      .first_commit = first_commit(r),
      .last_commit = r->last_commit};
  uint64_t first = first_drawable(r);
  if (first < r->head) out->first = row_at(r, first);
}

void pmp_replay_mark(const struct pmp_replay *r, struct pmp_replay_mark *out) {
  *out = (struct pmp_replay_mark){.became_trainable = r->became_trainable,
                                  .consumed = r->consumed,
                                  .stale_dropped = r->stale_dropped,
                                  .evicted = r->evicted,
                                  .broken = r->broken,
                                  .first_commit = first_commit(r),
                                  .last_commit = r->last_commit};
  if (r->front == r->head) return;
  out->from = row_at(r, r->front);
  out->from_commit = r->chunk[r->chunk_of[pmp_ring_slot(r, r->front)]].commit;
}

void pmp_replay_resume(struct pmp_replay *r, const struct pmp_replay_mark *mark) {
  r->mark = *mark;
  r->skipping = true;
  r->became_trainable = mark->became_trainable;
  r->consumed = mark->consumed;
  r->stale_dropped = mark->stale_dropped;
  r->evicted = mark->evicted;
  r->broken = mark->broken;
}

uint64_t pmp_replay_consumed(const struct pmp_replay *r) {
  return r->consumed;
}
