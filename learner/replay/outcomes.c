/* Outcomes in the ring: groups of one condition, relabelled in place, left out when their reference
 * is too old. */
#include "learner/replay/ring.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static struct pmp_ring_group *group_at(const struct pmp_replay *r, uint64_t g) {
  return &r->group[pmp_ring_slot(r, g)];
}

static uint32_t group_of(const struct pmp_replay_rows *rows, uint32_t row) {
  return rows->group == NULL ? row : rows->group[row];
}

/* One past the last row of row's group. */
static uint32_t group_end(const struct pmp_replay_rows *rows, uint32_t row) {
  uint32_t end = row + 1;
  while (end < rows->rows && group_of(rows, end) == group_of(rows, row)) end++;
  return end;
}

static bool is_stale(const struct pmp_replay *r, uint64_t version) {
  return r->config.max_staleness > 0 && version + r->config.max_staleness < r->version;
}

enum pmp_err pmp_outcomes_check(const struct pmp_replay *r, const struct pmp_replay_rows *rows,
                                struct pmp_errmsg *msg) {
  for (uint32_t i = 0; i < rows->rows; i++) {
    if (rows->verdict != NULL && (rows->verdict[i] < -1 || rows->verdict[i] > 1))
      return pmp_fail(msg, PMP_EINVALID, "row %u: the verdict is %d, not -1, 0 or 1", i,
                      rows->verdict[i]);
    if (rows->weight != NULL && !(rows->weight[i] >= 0.0F && isfinite(rows->weight[i])))
      return pmp_fail(msg, PMP_EINVALID, "row %u: the weight is %g, not finite and at least 0", i,
                      (double)rows->weight[i]);
    if (i > 0 && group_of(rows, i) < group_of(rows, i - 1))
      return pmp_fail(msg, PMP_EINVALID, "row %u: the group numbers decrease", i);
  }
  uint32_t limit = r->config.capacity < PMP_REPLAY_GROUP_MAX ? (uint32_t)r->config.capacity
                                                             : PMP_REPLAY_GROUP_MAX;
  for (uint32_t i = 0; i < rows->rows;) {
    uint32_t end = group_end(rows, i);
    if (end - i > limit)
      return pmp_fail(msg, PMP_EINVALID, "row %u: a group of %u rows; the limit is %u", i, end - i,
                      limit);
    i = end;
  }
  return PMP_OK;
}

static int8_t verdict_of(const struct pmp_replay_rows *rows, uint32_t row) {
  return (int8_t)(rows->verdict == NULL ? 0 : rows->verdict[row]);
}

/* Adds (sign 1) or takes back (-1) what the statistics say of one row. */
static void count_row(struct pmp_replay *r, int8_t verdict, float f, int sign) {
  uint64_t one = sign > 0 ? 1 : UINT64_MAX;
  if (pmp_ring_can_draw(r, verdict, f)) r->drawable += one;
  if (verdict > 0) r->accepted += one;
  if (verdict < 0) r->rejected += one;
}

/* Whether a resume leaves the row out because the ring had lost it before. */
static bool is_skipped(struct pmp_replay *r, const struct pmp_replay_rows *rows, uint32_t row) {
  if (!r->skipping) return false;
  const struct pmp_replay_mark *m = &r->mark;
  bool same = rows->commit == m->from_commit && rows->chunk == m->from.chunk;
  bool reached = rows->commit > m->from_commit || (same && rows->first_row + row >= m->from.row);
  if (m->from.chunk == 0) reached = false;
  if (reached) r->skipping = false;
  return !reached;
}

static bool takes(struct pmp_replay *r, const struct pmp_replay_rows *rows, uint32_t row) {
  float f = rows->f == NULL ? NAN : rows->f[row];
  if (!pmp_ring_can_draw(r, verdict_of(rows, row), f) || is_skipped(r, rows, row)) return false;
  if (rows->ref_version != NULL && !is_stale(r, rows->ref_version[row])) return true;
  if (rows->ref_version == NULL && !is_stale(r, 0)) return true;
  if (pmp_ring_counting(r)) r->stale_dropped++;
  return false;
}

static void put_row(struct pmp_replay *r, const struct pmp_replay_rows *rows, uint32_t row,
                    uint32_t chunk) {
  if (r->head - r->front == r->config.capacity) {
    pmp_outcomes_evict(r);
    if (pmp_ring_counting(r)) r->evicted++;
  }
  size_t slot = pmp_ring_slot(r, r->head), act = r->config.act;
  pmp_ring_chunk_hold(r, chunk);
  r->chunk[chunk].rows++;
  r->chunk_of[slot] = chunk;
  r->row_of[slot] = rows->first_row + row;
  r->version_of[slot] = rows->ref_version == NULL ? 0 : (uint32_t)rows->ref_version[row];
  r->verdict[slot] = verdict_of(rows, row);
  r->weight[slot] = rows->weight == NULL ? 1.0F : rows->weight[row];
  r->f[slot] = rows->f == NULL ? NAN : rows->f[row];
  memcpy(r->act + slot * act, rows->act + row * act, act * sizeof(float));
  r->head++;
  count_row(r, r->verdict[slot], r->f[slot], 1);
}

void pmp_outcomes_add(struct pmp_replay *r, const struct pmp_replay_rows *rows,
                      uint32_t *trainable) {
  size_t obs = r->config.obs;
  uint32_t chunk = pmp_ring_chunk_open(r, rows->chunk, rows->commit);
  r->chunk[chunk].first = r->head;
  for (uint32_t i = 0, end; i < rows->rows; i = end) {
    end = group_end(rows, i);
    uint64_t first = r->head;
    for (uint32_t row = i; row < end; row++) {
      if (takes(r, rows, row)) put_row(r, rows, row, chunk);
    }
    uint32_t taken = (uint32_t)(r->head - first);
    if (taken == 0) continue;
    size_t slot = pmp_ring_slot(r, r->group_head++);
    r->group[slot] = (struct pmp_ring_group){.first = first, .rows = taken, .live = taken};
    if (obs > 0) memcpy(r->obs + slot * obs, rows->obs + i * obs, obs * sizeof(float));
    r->index[pmp_ring_slot(r, r->index_front + r->index_count++)] = (uint32_t)slot;
    *trainable += taken;
  }
  pmp_ring_chunk_drop(r, chunk);
}

void pmp_outcomes_evict(struct pmp_replay *r) {
  assert(r->group_front < r->group_head);
  size_t slot = pmp_ring_slot(r, r->group_front);
  const struct pmp_ring_group *g = &r->group[slot];
  for (uint32_t i = 0; i < g->rows; i++) {
    size_t at = pmp_ring_slot(r, r->front++);
    count_row(r, r->verdict[at], r->f[at], -1);
    pmp_ring_chunk_drop(r, r->chunk_of[at]);
  }
  if (g->live > 0) {
    assert(r->index[pmp_ring_slot(r, r->index_front)] == slot);
    r->index_front++;
    r->index_count--;
  }
  r->group_front++;
}

/* ---------------------------------------------------------------- labels */

static uint64_t group_find(const struct pmp_replay *r, uint64_t position) {
  uint64_t low = r->group_front, high = r->group_head;
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    if (group_at(r, middle)->first <= position)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static uint32_t *index_at(const struct pmp_replay *r, uint64_t i) {
  return &r->index[pmp_ring_slot(r, r->index_front + i)];
}

/* Number of indexed groups that come before the one that starts at `first`. */
static uint64_t index_rank(const struct pmp_replay *r, uint64_t first) {
  uint64_t low = 0, high = r->index_count;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    if (r->group[*index_at(r, middle)].first < first)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The index stays dense and in order, so that what is drawn does not depend on what has left it:
 * rare, O(groups). */
static void index_remove(struct pmp_replay *r, uint64_t first) {
  for (uint64_t i = index_rank(r, first); i + 1 < r->index_count; i++)
    *index_at(r, i) = *index_at(r, i + 1);
  r->index_count--;
}

enum pmp_err pmp_replay_relabel(struct pmp_replay *r, struct pmp_row_id id, int8_t label,
                                float weight, bool *known) {
  *known = false;
  if (label < -1 || label > 1 || !(weight >= 0.0F && isfinite(weight))) return PMP_EINVALID;
  uint64_t position = 0;
  if (r->config.shape != PMP_REPLAY_OUTCOMES || !pmp_ring_find(r, id, &position)) return PMP_OK;
  size_t at = pmp_ring_slot(r, position);
  if (!pmp_ring_can_draw(r, r->verdict[at], r->f[at]) && label != 0)
    return PMP_OK; /* it becomes trainable anew, behind all others */
  *known = true;
  uint64_t number = group_find(r, position);
  struct pmp_ring_group *g = group_at(r, number);
  bool before = pmp_ring_can_draw(r, r->verdict[at], r->f[at]),
       after = pmp_ring_can_draw(r, label, r->f[at]);
  count_row(r, r->verdict[at], r->f[at], -1);
  count_row(r, label, r->f[at], 1);
  r->verdict[at] = label;
  r->weight[at] = weight;
  if (before && !after && --g->live == 0) index_remove(r, g->first);
  return PMP_OK;
}

/* ---------------------------------------------------------------- staleness */

static void move_row(struct pmp_replay *r, size_t to, size_t from) {
  size_t act = r->config.act;
  if (to == from) return;
  r->chunk_of[to] = r->chunk_of[from];
  r->row_of[to] = r->row_of[from];
  r->version_of[to] = r->version_of[from];
  r->verdict[to] = r->verdict[from];
  r->weight[to] = r->weight[from];
  r->f[to] = r->f[from];
  memcpy(r->act + to * act, r->act + from * act, act * sizeof(float));
}

/* Moves the rows of one group that stay down to `head`; how many. */
static uint32_t move_group(struct pmp_replay *r, const struct pmp_ring_group *g, uint64_t head,
                           uint32_t *chunk, uint32_t *live) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < g->rows; i++) {
    size_t from = pmp_ring_slot(r, g->first + i);
    if (is_stale(r, r->version_of[from])) {
      count_row(r, r->verdict[from], r->f[from], -1);
      pmp_ring_chunk_drop(r, r->chunk_of[from]);
      r->stale_dropped++;
      continue;
    }
    if (*chunk != r->chunk_of[from]) {
      *chunk = r->chunk_of[from];
      r->chunk[*chunk].first = head + kept;
      r->chunk[*chunk].rows = 0;
    }
    r->chunk[*chunk].rows++;
    *live += pmp_ring_can_draw(r, r->verdict[from], r->f[from]);
    move_row(r, pmp_ring_slot(r, head + kept), from);
    kept++;
  }
  return kept;
}

static void drop_stale(struct pmp_replay *r) {
  size_t obs = r->config.obs;
  uint64_t head = r->front, groups = r->group_front;
  uint32_t chunk = PMP_NONE;
  r->index_count = 0;
  for (uint64_t g = r->group_front; g < r->group_head; g++) {
    struct pmp_ring_group old = *group_at(r, g);
    uint32_t live = 0, kept = move_group(r, &old, head, &chunk, &live);
    if (kept == 0) continue;
    size_t to = pmp_ring_slot(r, groups), from = pmp_ring_slot(r, g);
    r->group[to] = (struct pmp_ring_group){.first = head, .rows = kept, .live = live};
    if (obs > 0 && to != from) memcpy(r->obs + to * obs, r->obs + from * obs, obs * sizeof(float));
    if (live > 0) *index_at(r, r->index_count++) = (uint32_t)to;
    head += kept;
    groups++;
  }
  r->head = head;
  r->group_head = groups;
}

void pmp_replay_refresh(struct pmp_replay *r, uint64_t version, uint64_t *dropped) {
  uint64_t before = r->stale_dropped;
  r->version = version;
  r->drawn = 0; /* positions may move */
  bool any = false;
  if (r->config.shape == PMP_REPLAY_OUTCOMES && r->config.max_staleness > 0) {
    for (uint64_t p = r->front; p < r->head && !any; p++)
      any = is_stale(r, r->version_of[pmp_ring_slot(r, p)]);
  }
  if (any) drop_stale(r);
  *dropped = r->stale_dropped - before;
}
