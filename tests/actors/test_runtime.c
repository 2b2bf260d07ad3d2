/* What all actors share: options, chunks in the making, random streams. */
#include "actors/runtime/options.h"
#include "actors/runtime/rows.h"
#include "actors/runtime/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct pmp_errmsg msg;

struct values {
  bool flag;
  uint32_t small;
  uint64_t large;
  const char *text;
  double seconds;
};

static enum pmp_err parse(struct values *v, struct pmp_actor_options *common, bool *done,
                          const char *const *args) {
  const struct pmp_opt own[] = {
      {"flag", PMP_OPT_FLAG, &v->flag, 0, 0, NULL, "", NULL},
      {"small", PMP_OPT_U32, &v->small, 2, 4294967295.0, "N", "", NULL},
      {"large", PMP_OPT_U64, &v->large, 0, 1e15, "N", "", NULL},
      {"text", PMP_OPT_TEXT, &v->text, 0, 0, "T", "", NULL},
      {"period", PMP_OPT_REAL, &v->seconds, 0, 100, "S", "", NULL},
  };
  char *argv[16];
  int argc = 0;
  memset(v, 0, sizeof *v);
  memset(common, 0, sizeof *common);
  for (; args[argc] != NULL; argc++) argv[argc] = (char *)(uintptr_t)args[argc];
  argv[argc] = NULL;
  return pmp_options_parse(argc, argv, "a test", own, sizeof own / sizeof own[0], common, done,
                           &msg);
}

#define ARGS(...) ((const char *const[]){"kind", __VA_ARGS__, NULL})

static void test_options(void **state) {
  (void)state;
  struct values v;
  struct pmp_actor_options c;
  bool done;
  assert_int_equal(parse(&v, &c, &done,
                         ARGS("--flag", "--small=7", "--large", "1000000000000", "--text", "x y",
                              "--period", "1.5", "--name", "n", "--seed", "3", "--wait", "0.25")),
                   PMP_OK);
  assert_true(v.flag);
  assert_int_equal(v.small, 7);
  assert_true(v.large == 1000000000000u);
  assert_string_equal(v.text, "x y");
  assert_true(v.seconds == 1.5);
  assert_string_equal(c.name, "n");
  assert_true(c.has_seed);
  assert_int_equal(c.seed, 3);
  assert_int_equal(c.connect_ms, 250);
  assert_false(done);
  assert_int_equal(parse(&v, &c, &done, ARGS("--quiet")), PMP_OK);
  assert_true(c.quiet);
  assert_false(c.has_seed);
  assert_int_equal(c.connect_ms, 10000);
}

static void test_options_refused(void **state) {
  (void)state;
  struct values v;
  struct pmp_actor_options c;
  bool done;
  const char *const bad[][2] = {{"--small", "1"},   {"--small", "4294967296"}, {"--small", "-3"},
                                {"--small", "2x"},  {"--small", ""},           {"--large", "1.5"},
                                {"--period", "-1"}, {"--period", "nan"},       {"--period", "1s"},
                                {"--nothing", "1"}, {"--queue", "2000"},       {"word", "word"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(parse(&v, &c, &done, ARGS(bad[i][0], bad[i][1])), PMP_EINVALID);
    assert_non_null(strstr(msg.text, bad[i][0]));
  }
  assert_int_equal(parse(&v, &c, &done, ARGS("--small")), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "needs a value"));
}

static void test_streams(void **state) {
  (void)state;
  uint64_t seen[64];
  uint32_t n = 0;
  const char *const names[] = {"a", "b", "a-long-name-of-more-than-eight",
                               "a-long-name-of-more-than-nine!"};
  for (uint32_t name = 0; name < 4; name++)
    for (uint64_t salt = 0; salt < 2; salt++)
      for (uint32_t purpose = 1; purpose < 3; purpose++)
        for (uint32_t index = 0; index < 4; index++)
          seen[n++] = pmp_session_stream(names[name], salt, purpose, index);
  assert_int_equal(n, 64);
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < i; k++) assert_true(seen[i] != seen[k]);
  assert_true(pmp_session_stream("a", 0, 1, 0) == seen[0]);
}

static void test_rows_trajectories(void **state) {
  (void)state;
  struct pmp_spec spec = {.shape = PMP_SHAPE_TRAJECTORIES, .obs_parts = 2};
  spec.obs[0] = (struct pmp_tensor_spec){.name = "p", .dtype = PMP_F32, .rank = 1, .shape = {2}};
  spec.obs[1] = (struct pmp_tensor_spec){.name = "v", .dtype = PMP_F32, .rank = 2, .shape = {1, 3}};
  spec.action.kind = PMP_ACTION_BINS;
  spec.action.dim = 2;
  spec.action.bins = 5;
  struct pmp_rows r;
  assert_int_equal(pmp_rows_init(&r, &(struct pmp_rows_config){.spec = &spec, .capacity = 4}, &msg),
                   PMP_OK);
  assert_int_equal(r.obs_size, 5);
  for (uint32_t i = 0; i < 3; i++) {
    for (uint32_t k = 0; k < 5; k++) r.obs[i * 5 + k] = (float)(10 * i + k);
    r.action[2 * i] = (float)i;
    r.action[2 * i + 1] = 4;
    r.env[i] = 0;
    r.episode[i] = 1;
    r.t[i] = i;
    r.flags[i] = i == 0 ? PMP_CHUNK_FIRST : 0;
    r.reward[i] = 0.5f;
    r.discount[i] = 1;
    r.version[i] = 8;
  }
  r.count = 3;
  struct pmp_chunk c;
  pmp_rows_chunk(&r, &c);
  const float p[] = {0, 1, 10, 11, 20, 21}, v[] = {2, 3, 4, 12, 13, 14, 22, 23, 24};
  const int32_t action[] = {0, 4, 1, 4, 2, 4};
  assert_int_equal(c.obs_parts, 2);
  assert_int_equal(c.obs[0].bytes, sizeof p);
  assert_memory_equal(c.obs[0].data, p, sizeof p);
  assert_int_equal(c.obs[1].rank, 3);
  assert_int_equal(c.obs[1].bytes, sizeof v);
  assert_memory_equal(c.obs[1].data, v, sizeof v);
  assert_int_equal(c.action.dtype, PMP_I32);
  assert_memory_equal(c.action.data, action, sizeof action);
  assert_int_equal(c.versions, 1);
  r.version[2] = 9;
  pmp_rows_chunk(&r, &c);
  assert_int_equal(c.versions, 3);
  /* What it makes is what the wire takes. */
  struct pmp_arena arena;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  const void *data;
  size_t size;
  struct pmp_chunk back;
  assert_int_equal(pmp_arena_init(&arena, 1 << 16), PMP_OK);
  assert_int_equal(pmp_wire_encode_chunk(&c, &arena, &data, &size, &msg), PMP_OK);
  assert_int_equal(pmp_wire_decode_chunk(data, size, &spec, &limits, &arena, &back, &msg), PMP_OK);
  pmp_arena_fini(&arena);
  pmp_rows_fini(&r);
  pmp_rows_fini(&r);
  spec.obs[0].dtype = PMP_F64;
  assert_int_equal(pmp_rows_init(&r, &(struct pmp_rows_config){.spec = &spec, .capacity = 4}, &msg),
                   PMP_EINVALID);
}

static void test_stop(void **state) {
  (void)state;
  struct pmp_stop s = {0};
  pmp_stop_end(&s);
  assert_int_equal(pmp_stop_start(&s), PMP_OK);
  assert_false(pmp_stop_requested(&s));
  kill(getpid(), SIGINT);
  for (int i = 0; i < 5000 && !pmp_stop_requested(&s); i++) usleep(1000);
  assert_true(pmp_stop_requested(&s));
  pmp_stop_end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_options), cmocka_unit_test(test_options_refused),
      cmocka_unit_test(test_streams), cmocka_unit_test(test_rows_trajectories),
      cmocka_unit_test(test_stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
