/* Trajectories in the ring: rows wait with their environment's stream until their n-step return is
 * known.
 *
 * Only streams with rows that wait are followed, so that what the ring does is a function of the
 * rows it holds and waits for, and of nothing older. An observation is stored once: by the row that
 * it belongs to, and as what an earlier row bootstraps from. It is freed with its own row, which
 * leaves after the earlier one; an observation without a row in the deque (an episode's last, a
 * broken stream's) is freed by the row that bootstraps from it. */
#include "learner/replay/ring.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum pmp_err pmp_streams_check(const struct pmp_replay *r, const struct pmp_replay_rows *rows,
                               struct pmp_errmsg *msg) {
  (void)r;
  if (rows->env == NULL || rows->episode == NULL || rows->t == NULL || rows->reward == NULL ||
      rows->discount == NULL || rows->flags == NULL)
    return pmp_fail(msg, PMP_EINVALID, "a column of a trajectory is missing");
  for (uint32_t i = 0; i < rows->rows; i++) {
    if ((rows->flags[i] & PMP_ROW_LAST) != 0) continue;
    if (!isfinite(rows->reward[i]))
      return pmp_fail(msg, PMP_EINVALID, "row %u: the reward is not finite", i);
    if (!(rows->discount[i] >= 0.0F && rows->discount[i] <= 1.0F))
      return pmp_fail(msg, PMP_EINVALID, "row %u: the discount %g is not in [0,1]", i,
                      (double)rows->discount[i]);
  }
  return PMP_OK;
}

/* ---------------------------------------------------------------- observations */

static void obs_free(struct pmp_replay *r, uint32_t slot) {
  memcpy(r->obs + (size_t)slot * r->config.obs, &r->obs_free,
         sizeof r->obs_free); /* the free list runs through them */
  r->obs_free = slot;
}

static uint32_t obs_take(struct pmp_replay *r) {
  if (r->obs_free == PMP_NONE && r->obs_used == r->obs_slots) {
    pmp_streams_evict(r); /* episodes of a few rows need more observations than rows */
    if (pmp_ring_counting(r)) r->evicted++;
  }
  if (r->obs_free == PMP_NONE) return r->obs_used++;
  uint32_t slot = r->obs_free;
  memcpy(&r->obs_free, r->obs + (size_t)slot * r->config.obs, sizeof r->obs_free);
  return slot;
}

void pmp_streams_evict(struct pmp_replay *r) {
  assert(r->front < r->head);
  size_t slot = pmp_ring_slot(r, r->front++);
  uint32_t boot = r->boot_of[slot];
  obs_free(r, r->obs_of[slot]);
  if ((boot & PMP_BOOT_OWNED) != 0) obs_free(r, boot & ~PMP_BOOT_OWNED);
  pmp_ring_chunk_drop(r, r->chunk_of[slot]);
}

/* ---------------------------------------------------------------- table of streams */

static uint32_t *bucket_of(const struct pmp_replay *r, uint64_t stream, uint32_t env) {
  uint64_t mixed = (stream ^ (uint64_t)env << 32 ^ env) * 0x9E3779B97F4A7C15u;
  return &r->stream_bucket[(uint32_t)(mixed >> 32) & (r->stream_buckets - 1)];
}

static uint32_t stream_find(const struct pmp_replay *r, uint64_t stream, uint32_t env) {
  uint32_t at = *bucket_of(r, stream, env);
  at = at == 0 ? PMP_NONE : at - 1;
  while (at != PMP_NONE && (r->stream[at].stream != stream || r->stream[at].env != env))
    at = r->stream[at].hash_next;
  return at;
}

static void age_unlink(struct pmp_replay *r, const struct pmp_ring_stream *s) {
  if (s->newer == PMP_NONE)
    r->stream_newest = s->older;
  else
    r->stream[s->newer].older = s->older;
  if (s->older == PMP_NONE)
    r->stream_oldest = s->newer;
  else
    r->stream[s->older].newer = s->newer;
}

static void age_link(struct pmp_replay *r, uint32_t at) {
  struct pmp_ring_stream *s = &r->stream[at];
  s->newer = PMP_NONE;
  s->older = r->stream_newest;
  if (r->stream_newest == PMP_NONE)
    r->stream_oldest = at;
  else
    r->stream[r->stream_newest].newer = at;
  r->stream_newest = at;
}

static void stream_close(struct pmp_replay *r, uint32_t at) {
  struct pmp_ring_stream *s = &r->stream[at];
  uint32_t *bucket = bucket_of(r, s->stream, s->env);
  if (*bucket == at + 1) {
    *bucket = s->hash_next == PMP_NONE ? 0 : s->hash_next + 1;
  } else {
    uint32_t before = *bucket - 1;
    while (r->stream[before].hash_next != at) before = r->stream[before].hash_next;
    r->stream[before].hash_next = s->hash_next;
  }
  age_unlink(r, s);
  s->newer = r->stream_free;
  r->stream_free = at;
}

static size_t pending_slot(const struct pmp_replay *r, uint32_t at, uint32_t i) {
  uint32_t n = r->config.n_step;
  return (size_t)at * n + (r->stream[at].start + i) % n;
}

/* The rows that wait never become trainable. */
static void stream_break(struct pmp_replay *r, uint32_t at) {
  struct pmp_ring_stream *s = &r->stream[at];
  for (uint32_t i = 0; i < s->count; i++) {
    struct pmp_ring_pending *p = &r->pending[pending_slot(r, at, i)];
    if (p->boot_for > r->front)
      r->boot_of[pmp_ring_slot(r, p->boot_for - 1)] |= PMP_BOOT_OWNED;
    else
      obs_free(r, p->obs);
    pmp_ring_chunk_drop(r, p->chunk);
  }
  r->pending_count -= s->count;
  if (pmp_ring_counting(r)) r->broken += s->count;
  stream_close(r, at);
}

static uint32_t stream_open(struct pmp_replay *r, uint64_t stream, uint32_t env) {
  if (r->stream_free == PMP_NONE && r->stream_used == r->config.streams_max)
    stream_break(r, r->stream_oldest);
  uint32_t at = r->stream_free;
  if (at == PMP_NONE)
    at = r->stream_used++;
  else
    r->stream_free = r->stream[at].newer;
  uint32_t *bucket = bucket_of(r, stream, env);
  r->stream[at] = (struct pmp_ring_stream){
      .stream = stream, .env = env, .hash_next = *bucket == 0 ? PMP_NONE : *bucket - 1};
  *bucket = at + 1;
  age_link(r, at);
  return at;
}

/* ---------------------------------------------------------------- returns */

static bool is_skipped(struct pmp_replay *r, const struct pmp_ring_pending *p) {
  if (!r->skipping) return false;
  const struct pmp_replay_mark *m = &r->mark;
  bool same =
      m->from.chunk != 0 && r->chunk[p->chunk].chunk == m->from.chunk && p->row == m->from.row;
  if (same) r->skipping = false;
  return r->skipping;
}

/* R = sum_k (prod_{i<k} g_i) r_k and prod g over the stream's rows that wait, from the oldest on.
 */
static void n_step_return(const struct pmp_replay *r, uint32_t at, float *ret, float *disc) {
  double sum = 0.0, product = 1.0;
  for (uint32_t i = 0; i < r->stream[at].count; i++) {
    const struct pmp_ring_pending *p = &r->pending[pending_slot(r, at, i)];
    sum += product * (double)p->reward;
    product *= (double)p->discount;
  }
  *ret = (float)sum;
  *disc = (float)product;
}

/* The oldest row that waits becomes trainable, with the observation `boot` to bootstrap from. Its
 * position + 1, or 0 when a resume leaves it out. */
static uint64_t emit(struct pmp_replay *r, uint32_t at, uint32_t boot, uint32_t *trainable) {
  struct pmp_ring_stream *s = &r->stream[at];
  size_t act = r->config.act, from = pending_slot(r, at, 0);
  struct pmp_ring_pending *p = &r->pending[from];
  uint64_t position = 0;
  if (is_skipped(r, p)) {
    obs_free(r, p->obs);
    pmp_ring_chunk_drop(r, p->chunk);
  } else {
    if (r->head - r->front == r->config.capacity) {
      pmp_streams_evict(r);
      if (pmp_ring_counting(r)) r->evicted++;
    }
    size_t slot = pmp_ring_slot(r, r->head++);
    position = r->head;
    n_step_return(r, at, &r->ret[slot], &r->disc[slot]);
    r->obs_of[slot] = p->obs;
    r->boot_of[slot] = boot;
    r->chunk_of[slot] = p->chunk;
    r->row_of[slot] = p->row;
    r->version_of[slot] = p->version;
    memcpy(r->act + slot * act, r->pending_act + from * act, act * sizeof(float));
    (*trainable)++;
  }
  s->start = (s->start + 1) % r->config.n_step;
  s->count--;
  r->pending_count--;
  return position;
}

/* The episode is over: every row that waits bootstraps from its last observation, which the last of
 * them frees. */
static void finish(struct pmp_replay *r, uint32_t at, uint32_t boot, uint64_t position,
                   uint32_t *trainable) {
  while (r->stream[at].count > 0) position = emit(r, at, boot, trainable);
  if (position > r->front)
    r->boot_of[pmp_ring_slot(r, position - 1)] |= PMP_BOOT_OWNED;
  else
    obs_free(r, boot);
  stream_close(r, at);
}

static void hold(struct pmp_replay *r, const struct pmp_replay_rows *rows, uint32_t i, uint32_t at,
                 uint32_t chunk, uint32_t obs, uint64_t boot_for) {
  struct pmp_ring_stream *s = &r->stream[at];
  size_t act = r->config.act, to = pending_slot(r, at, s->count);
  pmp_ring_chunk_hold(r, chunk);
  r->pending[to] = (struct pmp_ring_pending){
      .boot_for = boot_for,
      .obs = obs,
      .chunk = chunk,
      .row = rows->first_row + i,
      .version = rows->ref_version == NULL ? 0 : (uint32_t)rows->ref_version[i],
      .reward = rows->reward[i],
      .discount = rows->discount[i] * r->config.discount};
  memcpy(r->pending_act + to * act, rows->act + i * act, act * sizeof(float));
  s->count++;
  s->t_next = rows->t[i] + 1;
  s->episode = rows->episode[i];
  r->pending_count++;
}

void pmp_streams_add(struct pmp_replay *r, const struct pmp_replay_rows *rows,
                     uint32_t *trainable) {
  size_t obs = r->config.obs;
  uint32_t chunk = pmp_ring_chunk_open(r, rows->chunk, rows->commit);
  for (uint32_t i = 0; i < rows->rows; i++) {
    uint32_t at = stream_find(r, rows->stream, rows->env[i]);
    bool first = (rows->flags[i] & PMP_ROW_FIRST) != 0;
    if (at != PMP_NONE) {
      const struct pmp_ring_stream *s = &r->stream[at];
      if (first || s->episode != rows->episode[i] || s->t_next != rows->t[i]) {
        stream_break(r, at);
        at = PMP_NONE;
      }
    }
    bool last = (rows->flags[i] & PMP_ROW_LAST) != 0;
    if (at == PMP_NONE && last) continue; /* nothing waits for it */
    if (at == PMP_NONE) {
      at = stream_open(r, rows->stream, rows->env[i]);
    } else if (r->stream_newest != at) {
      age_unlink(r, &r->stream[at]);
      age_link(r, at);
    }
    uint32_t slot = obs_take(r);
    memcpy(r->obs + slot * obs, rows->obs + i * obs, obs * sizeof(float));
    uint64_t position = r->stream[at].count == r->config.n_step ? emit(r, at, slot, trainable) : 0;
    if (last)
      finish(r, at, slot, position, trainable);
    else
      hold(r, rows, i, at, chunk, slot, position);
  }
  pmp_ring_chunk_drop(r, chunk);
}
