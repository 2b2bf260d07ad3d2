/* Batches drawn from the ring: positions first, then one gather a column. */
#include "learner/replay/ring.h"

#include <string.h>

#define TAKE(arena, field, count)                                                                  \
  do {                                                                                             \
    (field) = pmp_arena_array((arena), (count), sizeof *(field));                                  \
    if ((field) == NULL) return PMP_ENOMEM;                                                        \
  } while (0)

static void gather(float *to, const float *from, const uint32_t *slot, size_t n, size_t width) {
  if (width == 0) return;
  if (width == 1) {
    for (size_t i = 0; i < n; i++) to[i] = from[slot[i]];
    return;
  }
  for (size_t i = 0; i < n; i++)
    memcpy(to + i * width, from + slot[i] * width, width * sizeof(float));
}

/* ---------------------------------------------------------------- trajectories */

static enum pmp_err draw_rows(struct pmp_replay *r, struct pmp_rng *rng, size_t rows,
                              uint64_t version, struct pmp_arena *arena, uint32_t **slot,
                              size_t *n) {
  uint64_t count = r->head - r->front;
  if (r->config.sampler == PMP_SAMPLER_VERSION) {
    TAKE(arena, *slot, (size_t)count);
    *n = 0;
    for (uint64_t i = 0; i < count; i++) {
      size_t at = pmp_ring_slot(r, r->front + i);
      if (r->version_of[at] == version) (*slot)[(*n)++] = (uint32_t)at;
    }
    return *n == 0 ? PMP_EBUSY : PMP_OK;
  }
  if (rows == 0 || count < rows) return PMP_EBUSY;
  TAKE(arena, *slot, rows);
  bool once = r->config.sampler == PMP_SAMPLER_ONCE;
  for (size_t i = 0; i < rows; i++)
    (*slot)[i] = (uint32_t)pmp_ring_slot(r, r->front + (once ? i : pmp_rng_below(rng, count)));
  *n = rows;
  return PMP_OK;
}

static enum pmp_err sample_rows(struct pmp_replay *r, struct pmp_rng *rng, size_t rows,
                                uint64_t version, struct pmp_arena *arena,
                                struct pmp_batch *batch) {
  uint32_t *slot, *obs, *boot;
  size_t n;
  PMP_TRY(draw_rows(r, rng, rows, version, arena, &slot, &n));
  batch->b = batch->n = n;
  TAKE(arena, obs, n);
  TAKE(arena, boot, n);
  TAKE(arena, batch->obs, n * r->config.obs);
  TAKE(arena, batch->boot_obs, n * r->config.obs);
  TAKE(arena, batch->act, n * r->config.act);
  TAKE(arena, batch->x_of_y, n);
  TAKE(arena, batch->version, n);
  TAKE(arena, batch->ret, n);
  TAKE(arena, batch->disc, n);
  for (size_t i = 0; i < n; i++) {
    obs[i] = r->obs_of[slot[i]];
    boot[i] = r->boot_of[slot[i]] & ~PMP_BOOT_OWNED;
    batch->x_of_y[i] = (uint32_t)i;
    batch->version[i] = r->version_of[slot[i]];
  }
  gather(batch->obs, r->obs, obs, n, r->config.obs);
  gather(batch->boot_obs, r->obs, boot, n, r->config.obs);
  gather(batch->act, r->act, slot, n, r->config.act);
  gather(batch->ret, r->ret, slot, n, 1);
  gather(batch->disc, r->disc, slot, n, 1);
  r->drawn_end = r->front + n;
  r->drawn = n;
  return PMP_OK;
}

/* ---------------------------------------------------------------- outcomes */

/* Which of the ring's rows a batch may show: those that can be drawn, of one version or of all. */
static bool is_shown(const struct pmp_replay *r, size_t slot, uint64_t version) {
  if (!pmp_ring_can_draw(r, r->verdict[slot], r->f[slot])) return false;
  return r->config.sampler != PMP_SAMPLER_VERSION || r->version_of[slot] == version;
}

static uint32_t shown_rows(const struct pmp_replay *r, const struct pmp_ring_group *g,
                           uint64_t version) {
  uint32_t shown = 0;
  for (uint32_t i = 0; i < g->rows; i++)
    shown += is_shown(r, pmp_ring_slot(r, g->first + i), version);
  return shown;
}

/* Slots of the groups of a batch, and how many rows of theirs it shows. */
static enum pmp_err draw_groups(struct pmp_replay *r, struct pmp_rng *rng, size_t rows,
                                uint64_t version, struct pmp_arena *arena, uint32_t **group,
                                size_t *b, size_t *n) {
  bool whole = r->config.sampler == PMP_SAMPLER_VERSION,
       once = r->config.sampler == PMP_SAMPLER_ONCE;
  if (!whole && (rows == 0 || r->drawable < rows)) return PMP_EBUSY;
  TAKE(arena, *group, whole ? (size_t)r->index_count : rows);
  *b = *n = 0;
  for (uint64_t i = 0; whole ? i < r->index_count : *n < rows; i++) {
    uint64_t at = whole || once ? i : pmp_rng_below(rng, r->index_count);
    uint32_t slot = r->index[pmp_ring_slot(r, r->index_front + at)];
    uint32_t shown = whole ? shown_rows(r, &r->group[slot], version) : r->group[slot].live;
    if (shown == 0) continue;
    (*group)[(*b)++] = slot;
    *n += shown;
  }
  return *n == 0 ? PMP_EBUSY : PMP_OK;
}

static enum pmp_err sample_groups(struct pmp_replay *r, struct pmp_rng *rng, size_t rows,
                                  uint64_t version, struct pmp_arena *arena,
                                  struct pmp_batch *batch) {
  uint32_t *group, *slot;
  size_t n = 0;
  PMP_TRY(draw_groups(r, rng, rows, version, arena, &group, &batch->b, &batch->n));
  TAKE(arena, slot, batch->n);
  TAKE(arena, batch->obs, batch->b * r->config.obs);
  TAKE(arena, batch->act, batch->n * r->config.act);
  TAKE(arena, batch->x_of_y, batch->n);
  TAKE(arena, batch->verdict, batch->n);
  TAKE(arena, batch->weight, batch->n);
  TAKE(arena, batch->f, batch->n);
  TAKE(arena, batch->version, batch->n);
  for (size_t i = 0; i < batch->b; i++) {
    const struct pmp_ring_group *g = &r->group[group[i]];
    for (uint32_t j = 0; j < g->rows; j++) {
      size_t at = pmp_ring_slot(r, g->first + j);
      if (!is_shown(r, at, version)) continue;
      slot[n] = (uint32_t)at;
      batch->x_of_y[n] = (uint32_t)i;
      batch->verdict[n] = r->verdict[at];
      batch->version[n++] = r->version_of[at];
    }
  }
  gather(batch->obs, r->obs, group, batch->b, r->config.obs);
  gather(batch->act, r->act, slot, n, r->config.act);
  gather(batch->weight, r->weight, slot, n, 1);
  gather(batch->f, r->f, slot, n, 1);
  r->drawn_end = r->group[group[batch->b - 1]].first + r->group[group[batch->b - 1]].rows;
  r->drawn = n;
  return PMP_OK;
}

size_t pmp_replay_scratch(const struct pmp_replay_config *config, size_t rows) {
  if (config->sampler == PMP_SAMPLER_VERSION) rows = config->capacity;
  size_t n = rows, padding = 12 * 64;
  if (config->shape == PMP_REPLAY_OUTCOMES && config->sampler != PMP_SAMPLER_VERSION)
    n += PMP_REPLAY_GROUP_MAX;
  size_t row = (size_t)config->act * sizeof(float) + 3 * sizeof(uint32_t) + sizeof(uint64_t) +
               4 * sizeof(float);
  return padding + n * row + rows * (2 * (size_t)config->obs * sizeof(float) + sizeof(uint32_t));
}

enum pmp_err pmp_replay_draw(struct pmp_replay *r, struct pmp_rng *rng, size_t rows,
                             uint64_t version, struct pmp_arena *arena, struct pmp_batch *batch) {
  memset(batch, 0, sizeof *batch);
  r->drawn = 0;
  if (r->config.shape == PMP_REPLAY_OUTCOMES)
    return sample_groups(r, rng, rows, version, arena, batch);
  return sample_rows(r, rng, rows, version, arena, batch);
}

void pmp_replay_consume(struct pmp_replay *r) {
  if (r->config.sampler != PMP_SAMPLER_ONCE || r->drawn == 0) return;
  while (r->front < r->drawn_end) {
    if (r->config.shape == PMP_REPLAY_OUTCOMES)
      pmp_outcomes_evict(r);
    else
      pmp_streams_evict(r);
  }
  r->consumed += r->drawn;
  r->drawn = 0;
}

enum pmp_err pmp_replay_sample(struct pmp_replay *r, struct pmp_rng *rng, size_t rows,
                               uint64_t version, struct pmp_arena *arena, struct pmp_batch *batch) {
  PMP_TRY(pmp_replay_draw(r, rng, rows, version, arena, batch));
  pmp_replay_consume(r);
  return PMP_OK;
}
