/* Chunks there and back, and every way in which one may be wrong. */
#include "tests/proto/chunks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

static struct pmp_arena arena;
static struct pmp_errmsg msg;
static struct chunk_columns columns;
static struct pmp_chunk chunk;

static int setup(void **state) {
  (void)state;
  memset(&columns, 0, sizeof columns);
  return pmp_arena_init(&arena, 4 << 20) == PMP_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  pmp_arena_fini(&arena);
  return 0;
}

static enum pmp_err there_and_back(const struct pmp_spec *spec, struct pmp_chunk *out) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  const void *data;
  size_t size;
  pmp_arena_release(&arena, 0);
  if (pmp_wire_encode_chunk(&chunk, &arena, &data, &size, &msg) != PMP_OK) fail_msg("%s", msg.text);
  memset(out, 0x99, sizeof *out);
  return pmp_wire_decode_chunk(data, size, spec, &limits, &arena, out, &msg);
}

static void assert_tensor(const struct pmp_tensor *a, const struct pmp_tensor *b) {
  assert_int_equal(a->dtype, b->dtype);
  assert_int_equal(a->rank, b->rank);
  assert_memory_equal(a->shape, b->shape, a->rank * sizeof a->shape[0]);
  assert_int_equal(a->bytes, b->bytes);
  assert_memory_equal(a->data, b->data, a->bytes);
  assert_int_equal((uintptr_t)b->data % 16, 0);
}

static void test_trajectories(void **state) {
  (void)state;
  for (int bins = 0; bins < 2; bins++) {
    struct pmp_spec spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, bins != 0);
    struct pmp_chunk out;
    chunk_trajectories(&columns, &chunk, bins != 0);
    if (there_and_back(&spec, &out) != PMP_OK) fail_msg("%s", msg.text);
    assert_int_equal(out.source, PMP_SOURCE_ACTOR);
    assert_int_equal(out.shape, PMP_SHAPE_TRAJECTORIES);
    assert_int_equal(out.rows, CHUNK_ROWS);
    assert_int_equal(out.obs_parts, 1);
    assert_tensor(&chunk.obs[0], &out.obs[0]);
    assert_tensor(&chunk.action, &out.action);
    assert_int_equal(out.envs, CHUNK_ROWS);
    assert_int_equal(out.episodes, CHUNK_ROWS);
    assert_int_equal(out.versions, CHUNK_ROWS);
    assert_memory_equal(out.env, columns.env, sizeof columns.env);
    assert_memory_equal(out.episode, columns.episode, sizeof columns.episode);
    assert_memory_equal(out.t, columns.t, sizeof columns.t);
    assert_memory_equal(out.reward, columns.reward, sizeof columns.reward);
    assert_memory_equal(out.discount, columns.discount, sizeof columns.discount);
    assert_memory_equal(out.flags, columns.flags, sizeof columns.flags);
    assert_memory_equal(out.log_prob, columns.log_prob, sizeof columns.log_prob);
    assert_memory_equal(out.version, columns.version, sizeof columns.version);
    assert_null(out.group);
    assert_null(out.f);
    /* Without a spec it is only held against itself. */
    assert_int_equal(there_and_back(NULL, &out), PMP_OK);
  }
}

static void test_outcomes(void **state) {
  (void)state;
  struct pmp_spec spec = chunk_spec(PMP_SHAPE_OUTCOMES, false);
  struct pmp_chunk out;
  chunk_outcomes(&columns, &chunk);
  if (there_and_back(&spec, &out) != PMP_OK) fail_msg("%s", msg.text);
  assert_int_equal(out.source, PMP_SOURCE_IMPORT);
  assert_int_equal(out.groups, CHUNK_GROUPS);
  assert_int_equal(out.versions, 1);
  assert_tensor(&chunk.obs[0], &out.obs[0]);
  assert_tensor(&chunk.action, &out.action);
  assert_memory_equal(out.group, columns.group, sizeof columns.group);
  assert_memory_equal(out.f, columns.f, sizeof columns.f);
  assert_memory_equal(out.verdict, columns.verdict, sizeof columns.verdict);
  assert_memory_equal(out.weight, columns.weight, sizeof columns.weight);
  assert_memory_equal(out.log_prob, columns.log_prob, sizeof columns.log_prob);
  assert_true(out.version[0] == 3);
  assert_null(out.env);
  assert_null(out.reward);
  /* What is absent stays absent. */
  chunk.f = chunk.weight = chunk.log_prob = NULL;
  chunk.verdict = NULL;
  chunk.version = NULL;
  chunk.versions = 0;
  chunk.group = NULL;
  chunk.groups = CHUNK_ROWS;
  chunk.obs_parts = 0;
  spec.obs_parts = 0;
  assert_int_equal(there_and_back(&spec, &out), PMP_OK);
  assert_null(out.f);
  assert_null(out.weight);
  assert_null(out.verdict);
  assert_null(out.log_prob);
  assert_null(out.version);
  assert_null(out.group);
  assert_int_equal(out.versions, 0);
  assert_int_equal(out.groups, CHUNK_ROWS);
}

static void test_ragged(void **state) {
  (void)state;
  struct pmp_spec spec = {.shape = PMP_SHAPE_OUTCOMES, .obs_parts = 1};
  const int32_t prompt[7] = {1, 2, 3, 4, 5, 6, 7}, answer[5] = {9, 8, 7, 6, 49};
  const uint32_t prompt_at[3] = {0, 3, 7}, answer_at[4] = {0, 2, 2, 5}, group[3] = {0, 1, 1};
  spec.obs[0] = (struct pmp_tensor_spec){.name = "prompt", .dtype = PMP_I32};
  spec.action.kind = PMP_ACTION_TOKENS;
  spec.action.bins = 50;
  chunk = (struct pmp_chunk){
      .source = PMP_SOURCE_PERSON, .shape = PMP_SHAPE_OUTCOMES, .rows = 3, .groups = 2};
  chunk.group = group;
  chunk.obs_parts = 1;
  chunk.obs[0] = (struct pmp_tensor){
      .dtype = PMP_I32, .rank = 1, .shape = {7}, .data = prompt, .bytes = sizeof prompt};
  chunk.action = (struct pmp_tensor){
      .dtype = PMP_I32, .rank = 1, .shape = {5}, .data = answer, .bytes = sizeof answer};
  chunk.obs_offset = prompt_at;
  chunk.action_offset = answer_at;
  struct pmp_chunk out;
  if (there_and_back(&spec, &out) != PMP_OK) fail_msg("%s", msg.text);
  assert_memory_equal(out.obs_offset, prompt_at, sizeof prompt_at);
  assert_memory_equal(out.action_offset, answer_at, sizeof answer_at);
  assert_tensor(&chunk.action, &out.action);
  spec.action.bins = 49;
  assert_int_equal(there_and_back(&spec, &out), PMP_EINVALID);
  const void *data;
  size_t size;
  const uint32_t falling[4] = {0, 3, 2, 5}, late[4] = {1, 2, 2, 5}, short_of[4] = {0, 2, 2, 4};
  const uint32_t *const bad[] = {falling, late, short_of};
  for (int i = 0; i < 3; i++) {
    chunk.action_offset = bad[i];
    assert_int_equal(pmp_wire_encode_chunk(&chunk, &arena, &data, &size, &msg), PMP_EINVALID);
  }
  /* No answer at all. */
  const uint32_t nothing[4] = {0, 0, 0, 0};
  chunk.action_offset = nothing;
  chunk.action.shape[0] = chunk.action.bytes = 0;
  assert_int_equal(there_and_back(&spec, &out), PMP_OK);
  assert_int_equal(out.action.bytes, 0);
  assert_non_null(out.action.data);
}

/* The chunk as it is now is not encoded, and the reason names `what`. */
static void assert_refused(const char *what) {
  const void *data;
  size_t size;
  pmp_arena_release(&arena, 0);
  msg.text[0] = '\0';
  assert_int_equal(pmp_wire_encode_chunk(&chunk, &arena, &data, &size, &msg), PMP_EINVALID);
  if (strstr(msg.text, what) == NULL) fail_msg("'%s' does not name '%s'", msg.text, what);
}

/* Runs `change` on a fresh chunk and wants it refused. */
#define REFUSED(fill, what, change)                                                                \
  do {                                                                                             \
    fill;                                                                                          \
    change;                                                                                        \
    assert_refused(what);                                                                          \
  } while (0)

static void test_trajectories_refused(void **state) {
  (void)state;
#define T chunk_trajectories(&columns, &chunk, false)
  REFUSED(T, "source", chunk.source = PMP_SOURCE_NONE);
  REFUSED(T, "rows", chunk.rows = 0);
  REFUSED(T, "neither", chunk.shape = PMP_SHAPE_NONE);
  REFUSED(T, "environment", chunk.env = NULL);
  REFUSED(T, "episode", chunk.episode = NULL);
  REFUSED(T, "t: missing", chunk.t = NULL);
  REFUSED(T, "reward", chunk.reward = NULL);
  REFUSED(T, "discount", chunk.discount = NULL);
  REFUSED(T, "flags", chunk.flags = NULL);
  REFUSED(T, "action", chunk.action.dtype = PMP_DTYPE_NONE);
  REFUSED(T, "action", chunk.action.dtype = PMP_I64);
  REFUSED(T, "action", chunk.action.bytes--);
  REFUSED(T, "observation", chunk.obs[0].shape[0]--; chunk.obs[0].bytes -= CHUNK_OBS * 4);
  REFUSED(T, "observation", chunk.obs[0].rank = 9);
  REFUSED(T, "observation", chunk.obs[0].shape[0] = UINT64_MAX);
  REFUSED(T, "environments", chunk.envs = 2);
  REFUSED(T, "ref_version", chunk.versions = 2);
  REFUSED(T, "ref_version", chunk.version = NULL);
  REFUSED(T, "element 7", columns.obs[7] = NAN);
  REFUSED(T, "action", columns.action[23] = -INFINITY);
  REFUSED(T, "reward: element 11", columns.reward[11] = INFINITY);
  REFUSED(T, "log_prob", columns.log_prob[0] = NAN);
  REFUSED(T, "discount: row 3", columns.discount[3] = NAN);
  REFUSED(T, "discount: row 3", columns.discount[3] = 1.5f);
  REFUSED(T, "discount: row 3", columns.discount[3] = -0.5f);
  REFUSED(T, "flags: row 5", columns.flags[5] = 8);
  REFUSED(T, "flags: row 0", columns.flags[0] = 0);
  REFUSED(T, "flags: row 2", columns.flags[2] = PMP_CHUNK_FIRST);
  REFUSED(T, "TRUNCATED", columns.flags[5] = PMP_CHUNK_TRUNCATED);
  REFUSED(T, "t: row 2", columns.t[2] = 2);
  REFUSED(T, "t: row 3", columns.t[3] = 7);
  REFUSED(T, "t: row 6", columns.t[6] = 3; columns.flags[6] = 0);
  REFUSED(T, "episode: row 2", columns.episode[2] = 5);
  REFUSED(T, "episode: row 6", columns.episode[6] = 4);
  /* An episode that begins without the end of the one before. */
  REFUSED(T, "row 6", columns.flags[4] = 0);
}

static void test_outcomes_refused(void **state) {
  (void)state;
#define O chunk_outcomes(&columns, &chunk)
  REFUSED(O, "group", columns.group[0] = 1);
  REFUSED(O, "group", columns.group[5] = 0);
  REFUSED(O, "group", columns.group[5] = 3);
  REFUSED(O, "group", chunk.groups = 5; chunk.obs[0].shape[0] = 5;
          chunk.obs[0].bytes = 5 * CHUNK_OBS * 4);
  REFUSED(O, "group", chunk.group = NULL);
  REFUSED(O, "groups", chunk.groups = 0);
  REFUSED(O, "groups", chunk.groups = 13);
  REFUSED(O, "verdict: row 4", columns.verdict[4] = 2);
  REFUSED(O, "verdict: row 4", columns.verdict[4] = -128);
  REFUSED(O, "weight: row 4", columns.weight[4] = -1e-30f);
  REFUSED(O, "weight", columns.weight[4] = NAN);
  REFUSED(O, "evaluation", columns.f[4] = INFINITY);
  REFUSED(O, "observation", chunk.obs[0].shape[0] = CHUNK_ROWS;
          chunk.obs[0].bytes = CHUNK_ROWS * CHUNK_OBS * 4);
}

static void test_spec(void **state) {
  (void)state;
  struct pmp_chunk out;
  struct pmp_spec spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, false);
  chunk_trajectories(&columns, &chunk, false);
  spec.shape = PMP_SHAPE_OUTCOMES;
  assert_int_equal(there_and_back(&spec, &out), PMP_EINVALID);
  spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, true);
  assert_int_equal(there_and_back(&spec, &out), PMP_EINVALID);
  spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, false);
  spec.action.dim = 3;
  assert_int_equal(there_and_back(&spec, &out), PMP_EINVALID);
  spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, false);
  spec.obs[0].shape[0] = 4;
  assert_int_equal(there_and_back(&spec, &out), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "o:"));
  spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, false);
  spec.obs[0].dtype = PMP_U32;
  assert_int_equal(there_and_back(&spec, &out), PMP_EINVALID);
  spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, false);
  spec.obs_parts = 0;
  assert_int_equal(there_and_back(&spec, &out), PMP_EINVALID);
  /* Bins out of range. */
  spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, true);
  chunk_trajectories(&columns, &chunk, true);
  assert_int_equal(there_and_back(&spec, &out), PMP_OK);
  columns.bins[3] = 11;
  assert_int_equal(there_and_back(&spec, &out), PMP_EINVALID);
  columns.bins[3] = -1;
  assert_int_equal(there_and_back(&spec, &out), PMP_EINVALID);
  assert_int_equal(out.rows, 0);
}

static void test_limits(void **state) {
  (void)state;
  struct pmp_chunk out;
  struct pmp_spec spec = chunk_spec(PMP_SHAPE_TRAJECTORIES, false);
  const void *data;
  size_t size;
  chunk_trajectories(&columns, &chunk, false);
  assert_int_equal(pmp_wire_encode_chunk(&chunk, &arena, &data, &size, &msg), PMP_OK);
  size_t used = arena.used;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  limits.message_bytes = size - 1;
  assert_int_equal(pmp_wire_decode_chunk(data, size, &spec, &limits, &arena, &out, &msg),
                   PMP_ETOOLARGE);
  limits.message_bytes = size;
  limits.chunk_rows = CHUNK_ROWS - 1;
  assert_int_equal(pmp_wire_decode_chunk(data, size, &spec, &limits, &arena, &out, &msg),
                   PMP_ETOOLARGE);
  limits.chunk_rows = CHUNK_ROWS;
  limits.tensor_elements = CHUNK_ROWS * CHUNK_OBS - 1;
  assert_int_equal(pmp_wire_decode_chunk(data, size, &spec, &limits, &arena, &out, &msg),
                   PMP_ETOOLARGE);
  limits.tensor_elements++;
  limits.tensor_rank = 1;
  assert_int_equal(pmp_wire_decode_chunk(data, size, &spec, &limits, &arena, &out, &msg),
                   PMP_ETOOLARGE);
  limits.tensor_rank = 2;
  assert_int_equal(arena.used, used);
  assert_int_equal(pmp_wire_decode_chunk(data, size, &spec, &limits, &arena, &out, &msg), PMP_OK);
}

/* Many rows of many environments: the table of environments is searched, not trusted. */
static void test_many_environments(void **state) {
  (void)state;
  enum { ENVS = 1000, STEPS = 8, N = ENVS * STEPS };
  uint32_t *env = malloc(N * sizeof *env), *t = malloc(N * sizeof *t);
  float *number = calloc(N, sizeof *number);
  uint8_t *flags = calloc(N, 1);
  uint32_t episode = 1;
  for (uint32_t i = 0; i < N; i++) {
    env[i] = (i % ENVS) * 4096u * 7u; /* the low bits are all alike */
    t[i] = i / ENVS;
    flags[i] = t[i] == 0 ? PMP_CHUNK_FIRST : 0;
  }
  chunk =
      (struct pmp_chunk){.source = PMP_SOURCE_ACTOR, .shape = PMP_SHAPE_TRAJECTORIES, .rows = N};
  chunk.obs_parts = 1;
  chunk_tensor(&chunk.obs[0], PMP_F32, N, 1, number);
  chunk_tensor(&chunk.action, PMP_F32, N, 1, number);
  chunk.env = env;
  chunk.envs = N;
  chunk.episode = &episode;
  chunk.episodes = 1;
  chunk.t = t;
  chunk.reward = chunk.discount = number;
  chunk.flags = flags;
  struct pmp_chunk out;
  assert_int_equal(there_and_back(NULL, &out), PMP_OK);
  t[N - 1]++;
  assert_refused("t: row 7999");
  t[N - 1]--;
  env[N - 1] = env[0];
  assert_refused("t: row 7999");
  free(env);
  free(t);
  free(number);
  free(flags);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(trajectories),     TEST(outcomes), TEST(ragged), TEST(trajectories_refused),
      TEST(outcomes_refused), TEST(spec),     TEST(limits), TEST(many_environments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
