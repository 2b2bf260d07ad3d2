/* The replay ring against a brute-force oracle, and refilled from its own log of entries. */
#include "learner/replay/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OBS = 3, ACT = 2, ROWS_MAX = 64, ENTRIES_MAX = 600 };

/* ---------------------------------------------------------------- a world of episodes */

/* Rewards, discounts and lengths are functions of where a row is: the oracle needs no memory. */
static uint32_t mix(uint32_t a, uint32_t b, uint32_t c) {
  uint64_t x =
      ((uint64_t)a * 2654435761u) ^ ((uint64_t)b * 40503u << 16) ^ ((uint64_t)c * 2246822519u);
  x ^= x >> 15;
  x *= 0x9E3779B97F4A7C15u;
  return (uint32_t)(x >> 33);
}
static uint32_t transitions(uint32_t env, uint32_t episode) {
  return 1 + mix(env, episode, 77) % 12;
}
static bool terminates(uint32_t env, uint32_t episode) {
  return mix(env, episode, 5) % 2 == 0;
}
static float reward_at(uint32_t env, uint32_t episode, uint32_t t) {
  return (float)(mix(env, episode, t) % 100) / 7.0F;
}
static float discount_at(uint32_t env, uint32_t episode, uint32_t t) {
  if (t + 1 == transitions(env, episode) && terminates(env, episode)) return 0.0F;
  return mix(env, t, episode) % 5 == 0 ? 0.5F : 1.0F;
}

struct columns {
  float obs[ROWS_MAX][OBS], act[ROWS_MAX][ACT], f[ROWS_MAX], weight[ROWS_MAX], reward[ROWS_MAX],
      discount[ROWS_MAX];
  int8_t verdict[ROWS_MAX];
  uint32_t group[ROWS_MAX], env[ROWS_MAX], episode[ROWS_MAX], t[ROWS_MAX];
  uint64_t version[ROWS_MAX];
  uint8_t flags[ROWS_MAX];
};

static void put_transition(struct columns *c, uint32_t i, uint32_t env, uint32_t episode,
                           uint32_t t, uint64_t version) {
  uint32_t length = transitions(env, episode);
  bool last = t == length;
  c->obs[i][0] = (float)env, c->obs[i][1] = (float)episode, c->obs[i][2] = (float)t;
  c->act[i][0] = (float)(env * 100 + t), c->act[i][1] = -(float)episode;
  c->reward[i] = last ? NAN : reward_at(env, episode, t);
  c->discount[i] = last ? NAN : discount_at(env, episode, t);
  c->env[i] = env, c->episode[i] = episode, c->t[i] = t;
  c->version[i] = version;
  c->flags[i] = (uint8_t)((t == 0 ? PMP_ROW_FIRST : 0) | (last ? PMP_ROW_LAST : 0));
  if (last && !terminates(env, episode)) c->flags[i] |= PMP_ROW_TRUNCATED;
}

static struct pmp_replay_rows rows_of(const struct columns *c, uint64_t chunk, uint64_t commit,
                                      uint32_t rows) {
  return (struct pmp_replay_rows){.chunk = chunk,
                                  .commit = commit,
                                  .stream = 9,
                                  .rows = rows,
                                  .obs = &c->obs[0][0],
                                  .act = &c->act[0][0],
                                  .group = c->group,
                                  .f = c->f,
                                  .verdict = c->verdict,
                                  .weight = c->weight,
                                  .ref_version = c->version,
                                  .env = c->env,
                                  .episode = c->episode,
                                  .t = c->t,
                                  .reward = c->reward,
                                  .discount = c->discount,
                                  .flags = c->flags};
}

/* Compares one row of a batch with the world. */
static void expect_transition(const struct pmp_batch *b, size_t i, uint32_t n_step, float gamma) {
  uint32_t env = (uint32_t)b->obs[i * OBS], episode = (uint32_t)b->obs[i * OBS + 1],
           t = (uint32_t)b->obs[i * OBS + 2];
  uint32_t length = transitions(env, episode), boot = t + n_step < length ? t + n_step : length;
  double ret = 0.0, disc = 1.0;
  assert_true(t < length);
  for (uint32_t k = t; k < boot; k++) {
    ret += disc * (double)reward_at(env, episode, k);
    disc *= (double)(discount_at(env, episode, k) * gamma);
  }
  assert_true(b->ret[i] == (float)ret);
  assert_true(b->disc[i] == (float)disc);
  assert_true(b->act[i * ACT] == (float)(env * 100 + t) && b->act[i * ACT + 1] == -(float)episode);
  assert_true(b->boot_obs[i * OBS] == (float)env && b->boot_obs[i * OBS + 1] == (float)episode);
  assert_true(b->boot_obs[i * OBS + 2] == (float)boot);
  assert_int_equal(b->x_of_y[i], i);
}

static struct pmp_replay_config trajectories(size_t capacity, uint32_t n_step) {
  return (struct pmp_replay_config){.shape = PMP_REPLAY_TRAJECTORIES,
                                    .obs = OBS,
                                    .act = ACT,
                                    .capacity = capacity,
                                    .n_step = n_step,
                                    .discount = 0.9F,
                                    .streams_max = 8};
}

static struct pmp_replay *open_ring(const struct pmp_replay_config *config) {
  struct pmp_replay *r = NULL;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_replay_open(&r, config, &msg), PMP_OK);
  return r;
}

/* ---------------------------------------------------------------- trajectories */

/* One environment, a row a call: each row is trainable exactly when n more, or the end, have come.
 */
static void test_trainable_when_known(void **state) {
  (void)state;
  for (uint32_t n_step = 1; n_step <= 6; n_step++) {
    struct pmp_replay_config config = trajectories(1000, n_step);
    struct pmp_replay *r = open_ring(&config);
    struct columns c = {0};
    uint64_t chunk = 1, want = 0;
    for (uint32_t episode = 0; episode < 20; episode++) {
      uint32_t length = transitions(0, episode), done = 0;
      for (uint32_t t = 0; t <= length; t++, chunk++) {
        uint32_t trainable = 999, now = t == length ? length : (t > n_step ? t - n_step : 0);
        if (t < length && t >= n_step) now = t - n_step + 1;
        put_transition(&c, 0, 0, episode, t, 3);
        struct pmp_replay_rows rows = rows_of(&c, chunk, chunk, 1);
        assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
        assert_int_equal(trainable, now - done);
        want += now - done;
        done = now;
      }
    }
    struct pmp_replay_stats stats;
    pmp_replay_stats(r, &stats);
    assert_int_equal(stats.trainable, want);
    assert_int_equal(stats.became_trainable, want);
    assert_int_equal(stats.pending, 0);
    assert_int_equal(stats.broken, 0);
    assert_int_equal(stats.first_commit, 1);
    assert_int_equal(stats.last_commit, chunk - 1);
    assert_int_equal(stats.first.chunk, 1);
    pmp_replay_close(r);
  }
}

struct walker {
  uint32_t episode[32], t[32];
};

/* `rows` further rows of random environments; with a small chance one skips a row or gives up its
 * episode. */
static void walk(struct walker *w, struct pmp_rng *rng, uint32_t envs, uint32_t rows, bool faults,
                 struct columns *c) {
  for (uint32_t i = 0; i < rows; i++) {
    uint32_t env = (uint32_t)pmp_rng_below(rng, envs);
    if (faults && pmp_rng_below(rng, 25) == 0) {
      w->episode[env]++;
      w->t[env] = 0;
    } else if (faults && pmp_rng_below(rng, 25) == 0 &&
               w->t[env] + 1 < transitions(env, w->episode[env])) {
      w->t[env]++;
    }
    put_transition(c, i, env, w->episode[env], w->t[env], i % 3);
    if (w->t[env]++ == transitions(env, w->episode[env])) {
      w->episode[env]++;
      w->t[env] = 0;
    }
  }
}

/* Interleaved environments, chunks of any size, faults, evictions: whatever is drawn is right. */
static void test_random_walks(void **state) {
  (void)state;
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  for (uint32_t seed = 0; seed < 60; seed++) {
    struct pmp_rng rng;
    pmp_rng_init(&rng, seed, 1);
    struct pmp_replay_config config = trajectories(20 + seed, 1 + seed % 6);
    config.streams_max = seed % 3 == 0 ? 3 : 8;
    struct pmp_replay *r = open_ring(&config);
    struct walker w = {0};
    struct columns c = {0};
    uint64_t became = 0;
    for (uint64_t chunk = 1; chunk < 120; chunk++) {
      uint32_t rows = 1 + (uint32_t)pmp_rng_below(&rng, 20), trainable = 999;
      walk(&w, &rng, 6, rows, seed % 2 == 1, &c);
      struct pmp_replay_rows in = rows_of(&c, chunk, chunk, rows);
      assert_int_equal(pmp_replay_add(r, &in, &trainable, NULL), PMP_OK);
      became += trainable;
      struct pmp_batch batch;
      enum pmp_err err = pmp_replay_sample(r, &rng, 8, 0, &arena, &batch);
      for (size_t i = 0; err == PMP_OK && i < batch.b; i++)
        expect_transition(&batch, i, config.n_step, config.discount);
      pmp_arena_release(&arena, 0);
    }
    struct pmp_replay_stats stats;
    pmp_replay_stats(r, &stats);
    assert_int_equal(stats.became_trainable, became);
    assert_int_equal(stats.trainable + stats.evicted, became);
    assert_true(stats.trainable <= config.capacity && stats.trainable > 0);
    if (seed % 2 == 0 && config.streams_max == 8) assert_int_equal(stats.broken, 0);
    if (seed % 2 == 1) assert_true(stats.broken > 0);
    pmp_replay_close(r);
  }
  pmp_arena_fini(&arena);
}

static void test_once_in_order(void **state) {
  (void)state;
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  struct pmp_replay_config config = trajectories(100, 3);
  config.sampler = PMP_SAMPLER_ONCE;
  struct pmp_replay *r = open_ring(&config);
  struct columns c = {0};
  uint32_t i = 0, trainable = 0, next = 0;
  for (uint32_t episode = 0; i < 40; episode++) {
    for (uint32_t t = 0; t <= transitions(1, episode); t++)
      put_transition(&c, i++, 1, episode, t, 1);
  }
  struct pmp_replay_rows rows = rows_of(&c, 4, 4, i);
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  struct pmp_batch batch;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 1);
  uint32_t drawn = 0;
  for (; drawn + 5 <= trainable; drawn += 5) {
    assert_int_equal(pmp_replay_sample(r, &rng, 5, 0, &arena, &batch), PMP_OK);
    for (uint32_t k = 0; k < 5; k++, next++) {
      expect_transition(&batch, k, 3, 0.9F);
      while ((c.flags[next] & PMP_ROW_LAST) != 0) next++;
      assert_memory_equal(batch.obs + k * OBS, c.obs[next], sizeof c.obs[0]);
    }
  }
  assert_true(drawn > 20);
  assert_int_equal(pmp_replay_sample(r, &rng, 5, 0, &arena, &batch), PMP_EBUSY);
  assert_int_equal(pmp_replay_consumed(r), drawn);
  pmp_replay_close(r);
  pmp_arena_fini(&arena);
}

/* A stream that broke: rows before the gap stay usable, those that waited are lost, and are
 * counted. */
static void test_broken_stream(void **state) {
  (void)state;
  struct pmp_replay_config config = trajectories(100, 2);
  struct pmp_replay *r = open_ring(&config);
  struct columns c = {0};
  uint32_t episode = 0, trainable = 999;
  while (transitions(0, episode) < 8) episode++;
  const uint32_t t[] = {0, 1, 2, 3, 5, 6, 7};
  for (uint32_t i = 0; i < 7; i++) put_transition(&c, i, 0, episode, t[i], 0);
  struct pmp_replay_rows rows = rows_of(&c, 1, 1, 7);
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(trainable, 3); /* 0 and 1 by 2 and 3; 2 and 3 lost; 5 by 7 */
  struct pmp_replay_stats stats;
  pmp_replay_stats(r, &stats);
  assert_int_equal(stats.broken, 2);
  assert_int_equal(stats.pending, 2);
  rows.stream = 10; /* the next epoch of the actor: another stream, the old one is not touched */
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  pmp_replay_stats(r, &stats);
  assert_int_equal(stats.pending, 4);
  assert_int_equal(stats.trainable, 6);
  pmp_replay_close(r);
}

/* ---------------------------------------------------------------- outcomes */

static struct pmp_replay_config outcomes(size_t capacity) {
  return (struct pmp_replay_config){
      .shape = PMP_REPLAY_OUTCOMES, .obs = OBS, .act = ACT, .capacity = capacity};
}

/* Row i of chunk: its outcome names it, its condition names the group. */
static void put_outcome(struct columns *c, uint32_t i, uint64_t chunk, uint32_t group,
                        int8_t verdict, uint64_t version) {
  c->obs[i][0] = (float)chunk, c->obs[i][1] = (float)group, c->obs[i][2] = 1.5F;
  c->act[i][0] = (float)chunk, c->act[i][1] = (float)i;
  c->group[i] = group;
  c->verdict[i] = verdict;
  c->weight[i] = (float)(1 + i);
  c->f[i] = (float)i * 0.5F;
  c->version[i] = version;
}

static void test_outcomes_in_groups(void **state) {
  (void)state;
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  struct pmp_replay_config config = outcomes(100);
  struct pmp_replay *r = open_ring(&config);
  struct columns c = {0};
  for (uint32_t i = 0; i < 12; i++)
    put_outcome(&c, i, 7, i / 4, (int8_t)(i % 4 == 3 ? 0 : (i % 2 == 0 ? 1 : -1)), i / 4);
  struct pmp_replay_rows rows = rows_of(&c, 7, 70, 12);
  uint32_t trainable = 999;
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(trainable, 9);
  struct pmp_replay_stats stats;
  pmp_replay_stats(r, &stats);
  assert_int_equal(stats.accepted, 6);
  assert_int_equal(stats.rejected, 3);
  struct pmp_rng rng;
  pmp_rng_init(&rng, 4, 2);
  uint32_t seen[3] = {0};
  for (int k = 0; k < 200; k++) {
    struct pmp_batch b;
    assert_int_equal(pmp_replay_sample(r, &rng, 7, 0, &arena, &b), PMP_OK);
    assert_int_equal(b.b, 3);
    assert_int_equal(b.n, 9);
    for (size_t j = 0; j < b.n; j++) {
      uint32_t row = (uint32_t)b.act[j * ACT + 1];
      assert_int_equal(b.verdict[j], c.verdict[row]);
      assert_true(b.weight[j] == c.weight[row] && b.f[j] == c.f[row]);
      assert_true(b.obs[b.x_of_y[j] * OBS + 1] == (float)(row / 4));
      assert_int_equal(b.version[j], row / 4);
      seen[row / 4]++;
    }
    pmp_arena_release(&arena, 0);
  }
  for (int g = 0; g < 3; g++) assert_true(seen[g] > 400 && seen[g] < 800);
  struct pmp_batch b;
  assert_int_equal(pmp_replay_sample(r, &rng, 10, 0, &arena, &b), PMP_EBUSY);
  pmp_replay_close(r);
  config.evaluated_trainable = true;
  c.f[3] = NAN;
  r = open_ring(&config);
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(trainable, 11); /* but for the one without verdict and evaluation */
  pmp_replay_close(r);
  config.evaluated_trainable = false;
  config.sampler = PMP_SAMPLER_VERSION;
  r = open_ring(&config);
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(pmp_replay_sample(r, &rng, 1, 1, &arena, &b), PMP_OK);
  assert_int_equal(b.b, 1);
  assert_int_equal(b.n, 3);
  assert_true(b.act[1] == 4.0F);
  assert_int_equal(pmp_replay_sample(r, &rng, 1, 5, &arena, &b), PMP_EBUSY);
  pmp_replay_close(r);
  pmp_arena_fini(&arena);
}

static void test_relabel_in_place(void **state) {
  (void)state;
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  struct pmp_replay_config config = outcomes(6);
  config.sampler = PMP_SAMPLER_ONCE;
  struct pmp_replay *r = open_ring(&config);
  struct columns c = {0};
  for (uint32_t i = 0; i < 5; i++) put_outcome(&c, i, 3, i, 1, 0);
  struct pmp_replay_rows rows = rows_of(&c, 3, 30, 5);
  uint32_t trainable = 999;
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  bool known = false;
  assert_int_equal(pmp_replay_relabel(r, (struct pmp_row_id){3, 0}, 0, 0.0F, &known), PMP_OK);
  assert_true(known);
  assert_int_equal(pmp_replay_relabel(r, (struct pmp_row_id){3, 2}, 0, 0.0F, &known), PMP_OK);
  assert_int_equal(pmp_replay_relabel(r, (struct pmp_row_id){3, 3}, -1, 0.25F, &known), PMP_OK);
  assert_int_equal(pmp_replay_relabel(r, (struct pmp_row_id){3, 9}, 1, 1.0F, &known), PMP_OK);
  assert_false(known);
  struct pmp_replay_stats stats;
  pmp_replay_stats(r, &stats);
  assert_int_equal(stats.trainable, 3);
  assert_int_equal(stats.accepted, 2);
  assert_int_equal(stats.rejected, 1);
  assert_int_equal(stats.first.row, 1);
  assert_int_equal(pmp_replay_relabel(r, (struct pmp_row_id){3, 2}, 1, 2.0F, &known), PMP_OK);
  assert_false(known); /* judged anew: it comes again, at the end */
  rows = rows_of(&c, 3, 31, 1);
  put_outcome(&c, 0, 3, 2, 1, 0);
  c.act[0][1] = 2.0F;
  rows.first_row = 2;
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(pmp_replay_relabel(r, (struct pmp_row_id){3, 2}, 1, 2.0F, &known), PMP_OK);
  assert_true(known);
  struct pmp_batch b;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 1);
  assert_int_equal(pmp_replay_sample(r, &rng, 4, 0, &arena, &b), PMP_OK);
  const float row[] = {1, 3, 4, 2}, weight[] = {2, 0.25F, 5, 2};
  const int8_t verdict[] = {1, -1, 1, 1};
  for (size_t i = 0; i < 4; i++) {
    assert_true(b.act[i * ACT + 1] == row[i]);
    assert_true(b.weight[i] == weight[i]);
    assert_int_equal(b.verdict[i], verdict[i]);
  }
  assert_int_equal(pmp_replay_relabel(r, (struct pmp_row_id){3, 2}, 1, 2.0F, &known), PMP_OK);
  assert_false(known); /* drawn once and gone */
  pmp_replay_close(r);
  pmp_arena_fini(&arena);
}

static void test_stale_rows_leave(void **state) {
  (void)state;
  struct pmp_replay_config config = outcomes(8);
  config.max_staleness = 2;
  struct pmp_replay *r = open_ring(&config);
  struct columns c = {0};
  const uint64_t version[] = {5, 3, 4, 3, 5, 4, 5, 3};
  for (uint32_t i = 0; i < 8; i++) put_outcome(&c, i, 1, i / 2, 1, version[i]);
  struct pmp_replay_rows rows = rows_of(&c, 1, 1, 8);
  uint32_t trainable = 999;
  uint64_t dropped = 999;
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(trainable, 8);
  pmp_replay_refresh(r, 5, &dropped);
  assert_int_equal(dropped, 0);
  pmp_replay_refresh(r, 6, &dropped);
  assert_int_equal(dropped, 3);
  bool known = false;
  assert_int_equal(pmp_replay_relabel(r, (struct pmp_row_id){1, 6}, -1, 0.5F, &known), PMP_OK);
  assert_true(known); /* found where it moved to */
  assert_int_equal(pmp_replay_relabel(r, (struct pmp_row_id){1, 7}, -1, 0.5F, &known), PMP_OK);
  assert_false(known);
  struct pmp_replay_stats stats;
  pmp_replay_stats(r, &stats);
  assert_int_equal(stats.trainable, 5);
  assert_int_equal(stats.rejected, 1);
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL),
                   PMP_OK); /* three come too late, two oldest are evicted */
  assert_int_equal(trainable, 5);
  pmp_replay_stats(r, &stats);
  assert_int_equal(stats.trainable, 8);
  assert_int_equal(stats.evicted, 2);
  assert_int_equal(stats.stale_dropped, 6);
  pmp_replay_close(r);
}

/* ---------------------------------------------------------------- refilled from the log */

/* One entry: rows, a verdict, or a refresh of the reference. */
struct entry {
  enum { ENTRY_ROWS, ENTRY_VERDICT, ENTRY_REFRESH } kind;
  uint32_t rows;
  struct pmp_row_id id;
  int8_t label, label_before;
  uint64_t version;
  struct columns *columns; /* owned */
};

/* Applies entry j + 1; verdicts on rows that are not in memory bring the row again, as the daemon
 * does. */
static void apply(struct pmp_replay *r, const struct entry *log, uint64_t commit, bool unlabelled) {
  const struct entry *e = &log[commit - 1];
  uint32_t trainable;
  uint64_t dropped;
  if (e->kind == ENTRY_REFRESH) {
    pmp_replay_refresh(r, e->version, &dropped);
  } else if (e->kind == ENTRY_ROWS) {
    struct pmp_replay_rows rows = rows_of(e->columns, commit, commit, e->rows);
    assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  } else {
    bool known;
    assert_int_equal(pmp_replay_relabel(r, e->id, e->label, 1.0F, &known), PMP_OK);
    if (known || e->label == 0 || e->label_before != 0 || unlabelled) return;
    struct columns one = {0};
    const struct columns *from = log[e->id.chunk - 1].columns;
    put_outcome(&one, 0, e->id.chunk, from->group[e->id.row], e->label, from->version[e->id.row]);
    one.act[0][1] = (float)e->id.row;
    struct pmp_replay_rows rows = rows_of(&one, e->id.chunk, commit, 1);
    rows.first_row = e->id.row;
    assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  }
}

/* The label of a row after the first j entries. */
static int8_t label_of(const struct entry *log, uint64_t j, struct pmp_row_id id) {
  for (; j > id.chunk; j--) {
    const struct entry *e = &log[j - 1];
    if (e->kind == ENTRY_VERDICT && e->id.chunk == id.chunk && e->id.row == id.row) return e->label;
  }
  return log[id.chunk - 1].columns->verdict[id.row];
}

static void make_log(struct entry *log, uint64_t entries, bool is_outcomes, bool stale,
                     struct pmp_rng *rng) {
  struct walker w = {0};
  uint64_t version = 3;
  for (uint64_t j = 0; j < entries; j++) {
    struct entry *e = &log[j];
    *e = (struct entry){.kind = ENTRY_ROWS, .rows = 1 + (uint32_t)pmp_rng_below(rng, 16)};
    if (is_outcomes && j > 0 && pmp_rng_below(rng, 2) == 0) {
      e->kind = ENTRY_VERDICT;
      e->id.chunk = 1 + pmp_rng_below(rng, j);
      if (log[e->id.chunk - 1].kind == ENTRY_ROWS) {
        e->id.row = (uint32_t)pmp_rng_below(rng, log[e->id.chunk - 1].rows);
        e->label = (int8_t)((int)pmp_rng_below(rng, 3) - 1);
        e->label_before = label_of(log, j, e->id);
        continue;
      }
      e->kind = ENTRY_ROWS;
    }
    if (stale && pmp_rng_below(rng, 6) == 0) {
      e->kind = ENTRY_REFRESH;
      e->version = ++version;
      continue;
    }
    e->columns = calloc(1, sizeof *e->columns);
    assert_non_null(e->columns);
    if (!is_outcomes) {
      walk(&w, rng, 6, e->rows, true, e->columns);
      continue;
    }
    uint32_t group = 0;
    for (uint32_t i = 0; i < e->rows; i++) {
      group += pmp_rng_below(rng, 3) == 0;
      put_outcome(e->columns, i, j + 1, group, (int8_t)((int)pmp_rng_below(rng, 3) - 1),
                  version - pmp_rng_below(rng, 3));
    }
  }
}

static void expect_same_draw(struct pmp_replay *a, struct pmp_replay *b, struct pmp_rng *rng_a,
                             struct pmp_rng *rng_b, struct pmp_arena *arena) {
  struct pmp_batch x, y;
  enum pmp_err err = pmp_replay_sample(a, rng_a, 5, 4, arena, &x);
  assert_int_equal(pmp_replay_sample(b, rng_b, 5, 4, arena, &y), err);
  assert_memory_equal(rng_a, rng_b, sizeof *rng_a);
  if (err == PMP_OK) {
    assert_int_equal(x.b, y.b);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.obs, y.obs, x.b * OBS * sizeof(float));
    assert_memory_equal(x.act, y.act, x.n * ACT * sizeof(float));
    assert_memory_equal(x.version, y.version, x.n * sizeof *x.version);
    if (x.verdict != NULL) assert_memory_equal(x.verdict, y.verdict, x.n);
    if (x.ret != NULL) {
      assert_memory_equal(x.ret, y.ret, x.b * sizeof(float));
      assert_memory_equal(x.boot_obs, y.boot_obs, x.b * OBS * sizeof(float));
    }
  }
  pmp_arena_release(arena, 0);
}

/* A ring killed at entry `cut` and refilled from its mark draws what the one that lived on draws.
 */
static void refill_once(const struct pmp_replay_config *config, uint32_t seed, uint64_t cut,
                        uint64_t entries, struct pmp_arena *arena) {
  struct pmp_rng rng, draw_a, draw_b;
  const bool unlabelled = config->unlabelled_trainable;
  struct entry *log = calloc(entries, sizeof *log);
  pmp_rng_init(&rng, seed, 8);
  pmp_rng_init(&draw_a, seed, 9);
  make_log(log, entries, config->shape == PMP_REPLAY_OUTCOMES, config->max_staleness > 0, &rng);
  struct pmp_replay *a = open_ring(config), *b = open_ring(config);
  struct pmp_batch batch;
  uint64_t version = 0, dropped;
  for (uint64_t commit = 1; commit <= cut; commit++) {
    apply(a, log, commit, unlabelled);
    if (log[commit - 1].kind == ENTRY_REFRESH) version = log[commit - 1].version;
    enum pmp_err err = pmp_replay_sample(a, &draw_a, 3, 4, arena, &batch);
    assert_true(err == PMP_OK || err == PMP_EBUSY);
    pmp_arena_release(arena, 0);
  }
  struct pmp_replay_mark mark;
  struct pmp_replay_stats x, y;
  pmp_replay_mark(a, &mark);
  draw_b = draw_a;
  pmp_replay_refresh(b, version, &dropped);
  pmp_replay_resume(b, &mark);
  pmp_replay_stats(b, &y);
  assert_int_equal(y.first_commit, mark.first_commit);
  for (uint64_t commit = mark.first_commit; commit > 0 && commit <= cut; commit++) {
    if (log[commit - 1].kind != ENTRY_REFRESH) apply(b, log, commit, unlabelled);
  }
  for (uint64_t commit = cut; commit <= entries; commit++) {
    if (commit > cut) apply(a, log, commit, unlabelled);
    if (commit > cut) apply(b, log, commit, unlabelled);
    expect_same_draw(a, b, &draw_a, &draw_b, arena);
    pmp_replay_stats(a, &x);
    pmp_replay_stats(b, &y);
    if (commit == cut) x.first_commit = y.first_commit = 0; /* may still be the mark's */
    x.last_commit = y.last_commit = 0; /* the newest rows may all have been left out */
    assert_memory_equal(&x, &y, sizeof x);
  }
  assert_true(x.became_trainable > 0);
  for (uint64_t j = 0; j < entries; j++) free(log[j].columns);
  free(log);
  pmp_replay_close(a);
  pmp_replay_close(b);
}

static void refill(struct pmp_replay_config config) {
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  for (uint32_t seed = 0; seed < 40; seed++) {
    config.capacity = 20 + seed * 3;
    for (int sampler = 0; sampler <= 2; sampler++) {
      config.sampler = (enum pmp_sampler)sampler;
      refill_once(&config, seed, 20 + seed * 3, 200, &arena);
    }
  }
  pmp_arena_fini(&arena);
}

static void test_refill_trajectories(void **state) {
  (void)state;
  struct pmp_replay_config config = trajectories(0, 4);
  refill(config);
  config.streams_max = 3;
  refill(config);
  config.n_step = 1;
  refill(config);
}

static void test_refill_outcomes(void **state) {
  (void)state;
  struct pmp_replay_config config = outcomes(0);
  refill(config);
  config.unlabelled_trainable = true;
  refill(config);
  config.unlabelled_trainable = false;
  config.max_staleness = 2;
  refill(config);
}

/* ---------------------------------------------------------------- limits */

static void test_refused(void **state) {
  (void)state;
  struct pmp_replay_config config = outcomes(8);
  struct pmp_replay *r = open_ring(&config), *none = NULL;
  struct columns c = {0};
  struct pmp_errmsg msg;
  uint32_t trainable;
  for (uint32_t i = 0; i < 9; i++) put_outcome(&c, i, 1, 4, 1, 0);
  struct pmp_replay_rows rows = rows_of(&c, 1, 1, 9);
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, &msg),
                   PMP_EINVALID); /* a group over the capacity */
  rows.rows = 4;
  c.group[2] = 3;
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, &msg), PMP_EINVALID);
  c.group[2] = 4;
  c.verdict[3] = 2;
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, &msg), PMP_EINVALID);
  c.verdict[3] = 1;
  c.weight[0] = -1.0F;
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, &msg), PMP_EINVALID);
  c.weight[0] = 1.0F;
  rows.act = NULL;
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, &msg), PMP_EINVALID);
  struct pmp_replay_stats stats;
  pmp_replay_stats(r, &stats);
  assert_int_equal(stats.trainable, 0);
  assert_int_equal(stats.last_commit, 0);
  pmp_replay_close(r);
  config = trajectories(8, 0);
  assert_int_equal(pmp_replay_open(&none, &config, &msg), PMP_EINVALID);
  config = trajectories(0, 1);
  assert_int_equal(pmp_replay_open(&none, &config, &msg), PMP_EINVALID);
  assert_null(none);
  config = trajectories(8, 2);
  r = open_ring(&config);
  put_transition(&c, 0, 0, 0, 0, 0);
  c.discount[0] = 1.5F;
  rows = rows_of(&c, 1, 1, 1);
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, &msg), PMP_EINVALID);
  pmp_replay_close(r);
  pmp_replay_close(NULL);
}

/* A row of cartpole_swingup is 5 + 1 + 2 floats; what the ring adds stays within 24 bytes a row,
 * the table of chunks aside, of which only what the chunks in use need is ever touched. */
static void test_memory(void **state) {
  (void)state;
  struct pmp_replay_config config = {.shape = PMP_REPLAY_TRAJECTORIES,
                                     .obs = 5,
                                     .act = 1,
                                     .capacity = 1000000,
                                     .n_step = 5,
                                     .discount = 0.99F,
                                     .streams_max = 1024};
  size_t chunks = 48 * config.capacity; /* one row a chunk at worst */
  size_t spare = config.capacity / 8 * 20;
  assert_true(pmp_replay_bytes(&config) <=
              config.capacity * (8 * 4 + 24) + chunks + spare + (1u << 20));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_trainable_when_known),
                                     cmocka_unit_test(test_random_walks),
                                     cmocka_unit_test(test_once_in_order),
                                     cmocka_unit_test(test_broken_stream),
                                     cmocka_unit_test(test_outcomes_in_groups),
                                     cmocka_unit_test(test_relabel_in_place),
                                     cmocka_unit_test(test_stale_rows_leave),
                                     cmocka_unit_test(test_refill_trajectories),
                                     cmocka_unit_test(test_refill_outcomes),
                                     cmocka_unit_test(test_refused),
                                     cmocka_unit_test(test_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
