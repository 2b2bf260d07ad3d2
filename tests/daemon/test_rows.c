/* From a chunk's columns to the arrays of the replay ring. */
#include "daemon/rows.h"

#include "tests/daemon/unit.h"

static void fill(struct pmp_arena *a) {
  assert_int_equal(pmp_arena_init(a, 1 << 16), PMP_OK);
  float *all = pmp_arena_alloc(a, 1 << 16);
  for (size_t i = 0; i < (1 << 16) / sizeof(float); i++)
    all[i] = 999; /* what is not written shows */
  pmp_arena_release(a, 0);
}

static struct pmp_spec spec_of(uint32_t part0, uint32_t part1, enum pmp_action_kind kind,
                               uint32_t dim) {
  struct pmp_spec s = {.shape = PMP_SHAPE_OUTCOMES};
  const uint32_t size[2] = {part0, part1};
  for (int i = 0; i < 2 && size[i]; i++) {
    s.obs[i].dtype = PMP_F32;
    s.obs[i].rank = 1;
    s.obs[i].shape[0] = size[i];
    s.obs_parts++;
  }
  s.action.kind = kind;
  s.action.dim = dim;
  s.action.bins = kind == PMP_ACTION_BINS ? 5 : 0;
  return s;
}

static struct pmp_tensor f32(const float *data, uint64_t rows, uint64_t cols) {
  return (struct pmp_tensor){.dtype = PMP_F32,
                             .rank = 2,
                             .shape = {rows, cols},
                             .data = data,
                             .bytes = rows * cols * sizeof(float)};
}

static void conditions_of_groups_are_repeated(void **state) {
  (void)state;
  struct pmp_arena arena;
  fill(&arena);
  const struct pmp_spec spec = spec_of(2, 1, PMP_ACTION_BOX, 1);
  const float part0[2][2] = {{1, 2}, {3, 4}}, part1[2][1] = {{10}, {20}},
              y[5] = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f};
  const uint32_t group[5] = {0, 0, 1, 1, 1};
  const int8_t verdict[5] = {1, 0, -1, 1, 0};
  const float f[5] = {5, 4, 3, 2, 1}, weight[5] = {1, 2, 3, 4, 5};
  const uint64_t version = 7;
  struct pmp_chunk c = {
      .shape = PMP_SHAPE_OUTCOMES, .rows = 5, .groups = 2, .group = group, .obs_parts = 2};
  c.obs[0] = f32(&part0[0][0], 2, 2);
  c.obs[1] = f32(&part1[0][0], 2, 1);
  c.action = f32(y, 5, 1);
  c.verdict = verdict;
  c.f = f;
  c.weight = weight;
  c.version = &version;
  c.versions = 1;
  struct pmp_replay_rows r;
  assert_int_equal(pmp_rows_from_chunk(&spec, &c, &arena, &r), PMP_OK);
  static const float want[5][3] = {{1, 2, 10}, {1, 2, 10}, {3, 4, 20}, {3, 4, 20}, {3, 4, 20}};
  assert_memory_equal(r.obs, want, sizeof want);
  assert_memory_equal(r.act, y, sizeof y);
  assert_ptr_equal(r.group, group);
  assert_ptr_equal(r.verdict, verdict);
  assert_ptr_equal(r.f, f);
  assert_ptr_equal(r.weight, weight);
  for (int i = 0; i < 5; i++) assert_int_equal(r.ref_version[i], 7);
  assert_int_equal(r.rows, 5);

  struct pmp_replay_rows one;
  assert_int_equal(pmp_rows_one(&r, 3, 1, 3, -1, 0.25f, &arena, &one), PMP_OK);
  assert_int_equal(one.rows, 1);
  assert_int_equal(one.first_row, 3);
  assert_memory_equal(one.obs, want[3], sizeof want[3]);
  assert_true(one.act[0] == 3.5f && one.f[0] == 2);
  assert_int_equal(one.verdict[0], -1);
  assert_true(one.weight[0] == 0.25f);
  assert_null(one.group);
  pmp_arena_fini(&arena);
}

static void without_groups_parts_are_joined_row_by_row(void **state) {
  (void)state;
  struct pmp_arena arena;
  fill(&arena);
  const struct pmp_spec spec = spec_of(1, 2, PMP_ACTION_BOX, 2);
  const float part0[3] = {1, 2, 3}, part1[3][2] = {{10, 11}, {20, 21}, {30, 31}}, y[3][2] = {{0}};
  struct pmp_chunk c = {.shape = PMP_SHAPE_OUTCOMES, .rows = 3, .groups = 3, .obs_parts = 2};
  c.obs[0] = f32(part0, 3, 1);
  c.obs[1] = f32(&part1[0][0], 3, 2);
  c.action = f32(&y[0][0], 3, 2);
  struct pmp_replay_rows r;
  assert_int_equal(pmp_rows_from_chunk(&spec, &c, &arena, &r), PMP_OK);
  static const float want[3][3] = {{1, 10, 11}, {2, 20, 21}, {3, 30, 31}};
  assert_memory_equal(r.obs, want, sizeof want);
  assert_null(r.ref_version);
  assert_null(r.f);
  pmp_arena_fini(&arena);
}

static void one_part_without_groups_is_borrowed(void **state) {
  (void)state;
  struct pmp_arena arena;
  fill(&arena);
  const struct pmp_spec spec = spec_of(2, 0, PMP_ACTION_BOX, 1);
  const float obs[2][2] = {{1, 2}, {3, 4}}, y[2] = {5, 6};
  struct pmp_chunk c = {.shape = PMP_SHAPE_OUTCOMES, .rows = 2, .groups = 2, .obs_parts = 1};
  c.obs[0] = f32(&obs[0][0], 2, 2);
  c.action = f32(y, 2, 1);
  struct pmp_replay_rows r;
  assert_int_equal(pmp_rows_from_chunk(&spec, &c, &arena, &r), PMP_OK);
  assert_ptr_equal(r.obs, obs);
  assert_ptr_equal(r.act, y);
  assert_int_equal(arena.used, 0);
  pmp_arena_fini(&arena);
}

static void bins_become_floats(void **state) {
  (void)state;
  struct pmp_arena arena;
  fill(&arena);
  const struct pmp_spec spec = spec_of(0, 0, PMP_ACTION_BINS, 2);
  const int32_t y[3][2] = {{0, 4}, {1, 3}, {2, 2}};
  struct pmp_chunk c = {.shape = PMP_SHAPE_OUTCOMES, .rows = 3, .groups = 3};
  c.action = (struct pmp_tensor){
      .dtype = PMP_I32, .rank = 2, .shape = {3, 2}, .data = y, .bytes = sizeof y};
  struct pmp_replay_rows r;
  assert_int_equal(pmp_rows_from_chunk(&spec, &c, &arena, &r), PMP_OK);
  static const float want[6] = {0, 4, 1, 3, 2, 2};
  assert_memory_equal(r.act, want, sizeof want);
  assert_null(r.obs);
  pmp_arena_fini(&arena);
}

static struct pmp_chunk trajectory(const struct pmp_spec *spec) {
  static const float obs[4][2] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}, act[4] = {0.1f, 0.2f, 0.3f, 0};
  static const float reward[4] = {1, 2, 3, 0}, discount[4] = {1, 1, 0, 0};
  static const uint32_t env = 6, episode = 9, t[4] = {0, 1, 2, 3};
  static const uint8_t flags[4] = {PMP_CHUNK_FIRST, 0, 0, PMP_CHUNK_LAST};
  (void)spec;
  struct pmp_chunk c = {.shape = PMP_SHAPE_TRAJECTORIES, .rows = 4, .obs_parts = 1};
  c.obs[0] = f32(&obs[0][0], 4, 2);
  c.action = f32(act, 4, 1);
  c.env = &env;
  c.envs = 1;
  c.episode = &episode;
  c.episodes = 1;
  c.t = t;
  c.reward = reward;
  c.discount = discount;
  c.flags = flags;
  return c;
}

static void single_values_of_a_trajectory_are_spread(void **state) {
  (void)state;
  struct pmp_arena arena;
  fill(&arena);
  struct pmp_spec spec = spec_of(2, 0, PMP_ACTION_BOX, 1);
  spec.shape = PMP_SHAPE_TRAJECTORIES;
  const struct pmp_chunk c = trajectory(&spec);
  struct pmp_replay_rows r;
  assert_int_equal(pmp_rows_from_chunk(&spec, &c, &arena, &r), PMP_OK);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(r.env[i], 6);
    assert_int_equal(r.episode[i], 9);
  }
  assert_ptr_equal(r.t, c.t);
  assert_ptr_equal(r.reward, c.reward);
  assert_ptr_equal(r.flags, c.flags);
  assert_int_equal((int)PMP_CHUNK_FIRST, (int)PMP_ROW_FIRST); /* handed over as they are */
  assert_int_equal((int)PMP_CHUNK_LAST, (int)PMP_ROW_LAST);
  assert_int_equal((int)PMP_CHUNK_TRUNCATED, (int)PMP_ROW_TRUNCATED);
  pmp_arena_fini(&arena);
}

static void what_a_chunk_brings_is_counted(void **state) {
  (void)state;
  struct pmp_spec spec = spec_of(2, 0, PMP_ACTION_BOX, 1);
  const struct pmp_chunk t = trajectory(&spec);
  struct pmp_rows_count n = pmp_rows_count(&t, false);
  assert_int_equal(n.env_steps, 3); /* the last row has only an observation */
  assert_int_equal(n.trainable, 3);
  assert_int_equal(n.version_min, 0);

  const int8_t verdict[4] = {1, 0, -1, 0};
  const float f[4] = {0};
  const uint64_t version[4] = {9, 4, 6, 8};
  struct pmp_chunk c = {.shape = PMP_SHAPE_OUTCOMES,
                        .rows = 4,
                        .groups = 4,
                        .verdict = verdict,
                        .version = version,
                        .versions = 4};
  n = pmp_rows_count(&c, true);
  assert_int_equal(n.labelled, 2);
  assert_int_equal(n.trainable, 2); /* the others wait for people */
  assert_int_equal(n.version_min, 4);
  assert_int_equal(n.env_steps, 4);
  c.f = f;
  assert_int_equal(pmp_rows_count(&c, true).labelled, 2); /* an evaluation is no person's verdict */
  assert_int_equal(pmp_rows_count(&c, false).labelled, 4);
  c.verdict = NULL;
  assert_int_equal(pmp_rows_count(&c, true).labelled, 0);
}

static void what_the_ring_would_refuse_is_refused_first(void **state) {
  (void)state;
  enum { N = PMP_REPLAY_GROUP_MAX + 2 };
  static uint32_t group[N];
  static const uint64_t version[] = {1, UINT32_MAX, (uint64_t)UINT32_MAX + 1};
  struct pmp_errmsg msg = {{0}};
  struct pmp_chunk c = {.shape = PMP_SHAPE_OUTCOMES, .rows = 3, .groups = 1, .group = group};
  assert_int_equal(pmp_rows_check(&c, 3, &msg), PMP_OK);
  assert_int_equal(pmp_rows_check(&c, 2, &msg), PMP_EINVALID);
  assert_true(msg.text[0] != 0);
  group[2] = 1; /* two rows, one row */
  assert_int_equal(pmp_rows_check(&c, 2, &msg), PMP_OK);
  group[2] = 0;
  c.rows = N - 2;
  assert_int_equal(pmp_rows_check(&c, 1000000, &msg), PMP_OK);
  c.rows = N - 1;
  assert_int_equal(pmp_rows_check(&c, 1000000, &msg), PMP_EINVALID);
  for (uint32_t i = 1; i < N; i++) group[i] = 1;
  c.rows = N - 1;
  assert_int_equal(pmp_rows_check(&c, 1000000, &msg), PMP_OK);
  c.rows = N;
  assert_int_equal(pmp_rows_check(&c, 1000000, &msg), PMP_EINVALID);
  c = (struct pmp_chunk){.shape = PMP_SHAPE_TRAJECTORIES, .rows = 3, .version = version};
  c.versions = 2;
  assert_int_equal(pmp_rows_check(&c, 100, &msg), PMP_OK);
  c.versions = 3;
  assert_int_equal(pmp_rows_check(&c, 100, &msg), PMP_EINVALID);
}

static void the_promised_scratch_is_enough(void **state) {
  (void)state;
  struct pmp_spec spec = spec_of(3, 2, PMP_ACTION_BINS, 3);
  spec.shape = PMP_SHAPE_TRAJECTORIES;
  enum { N = 33 };
  static float part0[N][3], part1[N][2], reward[N], discount[N];
  static int32_t act[N][3];
  static uint32_t t[N];
  static uint8_t flags[N];
  static const uint32_t env = 1, episode = 1;
  static const uint64_t version = 1;
  struct pmp_chunk c = {.shape = PMP_SHAPE_TRAJECTORIES,
                        .rows = N,
                        .obs_parts = 2,
                        .env = &env,
                        .envs = 1,
                        .episode = &episode,
                        .episodes = 1,
                        .t = t,
                        .reward = reward,
                        .discount = discount,
                        .flags = flags,
                        .version = &version,
                        .versions = 1};
  c.obs[0] = f32(&part0[0][0], N, 3);
  c.obs[1] = f32(&part1[0][0], N, 2);
  c.action = (struct pmp_tensor){
      .dtype = PMP_I32, .rank = 2, .shape = {N, 3}, .data = act, .bytes = sizeof act};
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, pmp_rows_scratch(&spec, N)), PMP_OK);
  struct pmp_replay_rows r;
  assert_int_equal(pmp_rows_from_chunk(&spec, &c, &arena, &r), PMP_OK);
  pmp_arena_fini(&arena);
  assert_int_equal(pmp_arena_init(&arena, 256), PMP_OK);
  assert_int_equal(pmp_rows_from_chunk(&spec, &c, &arena, &r), PMP_ENOMEM);
  pmp_arena_fini(&arena);
}

static void what_people_may_judge(void **state) {
  (void)state;
  const int8_t verdict[5] = {0, 1, 0, -1, 0};
  struct pmp_chunk c = {.shape = PMP_SHAPE_OUTCOMES, .rows = 5, .groups = 5, .verdict = verdict};
  struct pmp_item item;
  uint32_t next = 0;
  for (uint32_t row = 0; row < 5; row += 2) { /* every row without a label */
    assert_true(pmp_rows_item(&c, &next, &item));
    assert_int_equal(item.row, row);
    assert_int_equal(item.rows, 1);
    assert_true(item.score == 0);
  }
  assert_false(pmp_rows_item(&c, &next, &item));
  assert_int_equal(pmp_rows_items(&c), 3);
  const struct pmp_item named[] = {{0, 1, 0.5F, NULL, 0}, {4, 1, 2, NULL, 0}};
  c.item = named;
  c.items = 2;
  assert_int_equal(pmp_rows_items(&c), 2);
  next = 1;
  assert_true(pmp_rows_item(&c, &next, &item));
  assert_int_equal(item.row, 4);
  assert_true(item.score == 2);
  /* Of trajectories, only what is named; those rows are not labelled by themselves. */
  const uint8_t flags[5] = {0};
  c = (struct pmp_chunk){.shape = PMP_SHAPE_TRAJECTORIES, .rows = 5, .flags = flags};
  assert_int_equal(pmp_rows_items(&c), 0);
  assert_int_equal(pmp_rows_count(&c, true).labelled, 5);
  c.item = named;
  c.items = 2;
  assert_int_equal(pmp_rows_items(&c), 2);
  assert_int_equal(pmp_rows_count(&c, true).labelled, 3);
  assert_int_equal(pmp_rows_count(&c, false).labelled, 5);
  assert_int_equal(pmp_rows_count(&c, true).trainable, 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conditions_of_groups_are_repeated),
      cmocka_unit_test(without_groups_parts_are_joined_row_by_row),
      cmocka_unit_test(one_part_without_groups_is_borrowed),
      cmocka_unit_test(bins_become_floats),
      cmocka_unit_test(single_values_of_a_trajectory_are_spread),
      cmocka_unit_test(what_a_chunk_brings_is_counted),
      cmocka_unit_test(what_people_may_judge),
      cmocka_unit_test(what_the_ring_would_refuse_is_refused_first),
      cmocka_unit_test(the_promised_scratch_is_enough),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
