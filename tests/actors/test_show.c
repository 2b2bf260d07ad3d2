/* What `pmpo-actor control` prints and draws: --list, --replay, --evaluate, --render, with a daemon
 * and without one. */
#include "tests/actors/support.h"

#include "policy/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <zstd.h>

enum { OBS = 5, FLOATS = 4096 };

struct box {
  char dir[32], log[64], weights[64], picture[64];
};

static struct box make_box(void) {
  struct box b = {.dir = "/tmp/pmp-show-XXXXXX"};
  assert_non_null(mkdtemp(b.dir));
  snprintf(b.log, sizeof b.log, "%s/log", b.dir);
  snprintf(b.weights, sizeof b.weights, "%s/policy.safetensors", b.dir);
  snprintf(b.picture, sizeof b.picture, "%s/strip.png", b.dir);
  return b;
}

static void remove_box(const struct box *b) {
  unlink(b->log);
  unlink(b->weights);
  unlink(b->picture);
  assert_int_equal(rmdir(b->dir), 0);
}

static void start(struct fixture *f) {
  struct pmp_policy_spec policy = gaussian(OBS, 1);
  struct pmp_spec spec = control_spec("cartpole_swingup", OBS, &policy.dist);
  fixture_start(f, &policy, &spec, false, 0);
}

/* What a run of the actor writes to stdout and stderr together; a static buffer. */
static const char *run(struct fixture *f, const struct box *b, int code, const char *const *args) {
  static char text[1 << 16];
  unlink(b->log);
  assert_int_equal(actor_run(f, b->log, args), code);
  FILE *in = fopen(b->log, "r");
  assert_non_null(in);
  size_t n = fread(text, 1, sizeof text - 1, in);
  text[n] = '\0';
  fclose(in);
  return text;
}

static void expect_said(const char *text, const char *what) {
  if (strstr(text, what) == NULL) fail_msg("\"%s\" does not say \"%s\"", text, what);
}

/* The first line that is a JSON object. */
static json_t *json_of(const char *text) {
  const char *line = strchr(text, '{');
  assert_non_null(line);
  json_t *o = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
  assert_non_null(o);
  return o;
}

static double number(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  assert_true(json_is_number(v));
  return json_number_value(v);
}

/* ---- without a daemon ---- */

static void test_list(void **state) {
  (void)state;
  struct fixture f;
  struct box b = make_box();
  start(&f);
  const char *const plain[] = {"control", "--list", NULL};
  expect_said(run(&f, &b, 0, plain), "\nhumanoid_walk                         67     21     0.025");
  const char *const json[] = {"control", "--list", "--json", NULL};
  const char *text = run(&f, &b, 0, json);
  int tasks = 0, known = 0;
  for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1, tasks++) {
    json_t *o = json_of(line);
    assert_int_equal(json_object_size(o), 6);
    assert_true(number(o, "observation") > 0 && number(o, "action") > 0);
    assert_true(number(o, "episode_steps") == 1000 && number(o, "substeps") >= 1);
    const double step = number(o, "control_timestep");
    assert_true(step >= 0.01 && step <= 0.04);
    if (strcmp(json_string_value(json_object_get(o, "task")), "swimmer_swimmer6") == 0) {
      assert_true(number(o, "observation") == 25 && number(o, "action") == 5);
      assert_true(number(o, "substeps") == 15 && step == 0.03);
      known++;
    }
    json_decref(o);
  }
  assert_int_equal(known, 1);
  assert_true(tasks > 25);
  fixture_stop(&f);
  remove_box(&b);
}

static void unpack_recording(const char *task, const char *to) {
  static char packed[1 << 22];
  char path[4096];
  snprintf(path, sizeof path, "%s/tests/parity/control/data/%s.bin.zst", getenv("PMP_SOURCE"),
           task);
  FILE *in = fopen(path, "rb");
  assert_non_null(in);
  size_t n = fread(packed, 1, sizeof packed, in);
  fclose(in);
  size_t size = (size_t)ZSTD_getFrameContentSize(packed, n);
  char *bytes = malloc(size);
  assert_non_null(bytes);
  assert_true(ZSTD_decompress(bytes, size, packed, n) == size);
  FILE *out = fopen(to, "wb");
  assert_non_null(out);
  assert_int_equal(fwrite(bytes, 1, size, out), size);
  assert_int_equal(fclose(out), 0);
  free(bytes);
}

static void test_replay(void **state) {
  (void)state;
  static const char *const parts[] = {"qpos", "qvel", "observation", "reward"};
  struct fixture f;
  struct box b = make_box();
  start(&f);
  unpack_recording("cheetah_run", b.weights);
  const char *const good[] = {"control", "--replay", b.weights, "--task", "cheetah_run", NULL};
  json_t *o = json_of(run(&f, &b, 0, good));
  assert_int_equal(json_object_size(o), 4);
  for (int i = 0; i < 4; i++) {
    const json_t *part = json_object_get(o, parts[i]);
    assert_int_equal(json_object_size(part), 2);
    assert_true(number(part, "absolute") >= 0 && number(part, "relative") >= 0);
    assert_true(number(part, "absolute") <= (i < 2 ? 0 : 1e-12));
  }
  json_decref(o);
  const char *const other[] = {"control", "--replay", b.weights, "--task", "fish_swim", NULL};
  expect_said(run(&f, &b, 1, other), "nq is 9 there and 14 here");
  assert_int_equal(truncate(b.weights, 8000), 0);
  expect_said(run(&f, &b, 1, good), "ends inside episode 1");
  assert_int_equal(truncate(b.weights, 7999), 0);
  expect_said(run(&f, &b, 1, good), "not a trajectory file: 7999 bytes");
  const char *const missing[] = {"control", "--replay", "/no/such", "--task", "cheetah_run", NULL};
  expect_said(run(&f, &b, 1, missing), "/no/such");
  const char *const mistyped[] = {"control", "--replay", b.weights, "--task", "cheeta_run", NULL};
  expect_said(run(&f, &b, 2, mistyped), "the nearest are: cheetah_run,");
  const char *const taskless[] = {"control", "--replay", b.weights, NULL};
  expect_said(run(&f, &b, 2, taskless), "--task");
  fixture_stop(&f);
  remove_box(&b);
}

static void test_refused(void **state) {
  (void)state;
  static const struct {
    const char *args[8], *said;
  } row[] = {
      {{"control", "--render", "a.gif", "--policy", "zero", "--task", "fish_swim"}, ".mp4 or"},
      {{"control", "--render", "a.png", "--policy", "all"}, "random or zero, not 'all'"},
      {{"control", "--render", "a.png", "--policy", "zero"}, "--task says what to do"},
      {{"control", "--render", "a.png", "--size", "20"}, "--size takes WxH"},
      {{"control", "--render", "a.png", "--size", "20x9999"}, "--size takes WxH"},
      {{"control", "--render", "a.mp4", "--size", "21x20"}, "even"},
      {{"control", "--render", "a.png", "--evaluate"}, "choose one"},
      {{"control", "--policy", "latest"}, "belong to --evaluate or --render"},
      {{"control", "--evaluate", "--fps", "3"}, "belong to --render"},
      {{"control", "--json"}, "belongs to --list"},
      {{"control", "--evaluate", "--weights", "w", "--policy", "latest"}, "leave --policy away"},
  };
  struct fixture f;
  struct box b = make_box();
  start(&f);
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    const char *args[9] = {NULL};
    memcpy(args, row[i].args, sizeof row[i].args);
    expect_said(run(&f, &b, 2, args), row[i].said);
  }
  fixture_stop(&f);
  remove_box(&b);
}

/* ---- weights: of a daemon and of a file ---- */

/* As `pmpoctl export` writes version 1 of the fixture; `task` sizes other than the fixture's give a
 * policy that does not fit. */
static void write_weights(const struct box *b, const struct pmp_policy *p, float spoil) {
  static float params[FLOATS];
  struct pmp_st_tensor tensor[PMP_VIEWS_MAX];
  struct pmp_rng rng;
  struct pmp_errmsg msg;
  char *json = NULL;
  void *header = NULL;
  size_t size = 0;
  assert_true(p->manifest.floats <= FLOATS);
  pmp_rng_init(&rng, 1000 + 1, 7);
  pmp_policy_init_params(p, &rng, params);
  if (spoil != 0) params[3] = spoil;
  memset(tensor, 0, sizeof tensor);
  for (uint32_t i = 0; i < p->manifest.views; i++) {
    const struct pmp_view *v = &p->manifest.view[i];
    snprintf(tensor[i].name, sizeof tensor[i].name, "%s", v->name);
    tensor[i].rank = v->rank;
    for (uint32_t k = 0; k < v->rank; k++) tensor[i].shape[k] = v->shape[k];
    tensor[i].data = params + v->offset;
    tensor[i].bytes = v->count * sizeof(float);
  }
  assert_int_equal(pmp_policy_spec_to_json(&p->spec, &json), PMP_OK);
  const struct pmp_st_meta meta[] = {{"version", "9"}, {"learner_step", "77"}, {"policy", json}};
  assert_int_equal(pmp_st_header(tensor, p->manifest.views, meta, 3, &header, &size, &msg), PMP_OK);
  FILE *out = fopen(b->weights, "wb");
  assert_non_null(out);
  assert_int_equal(fwrite(header, 1, size, out), size);
  fwrite(params, sizeof(float), p->manifest.floats, out);
  assert_int_equal(fclose(out), 0);
  free(header);
  free(json);
}

static void test_evaluations_agree(void **state) {
  (void)state;
  static const char *const keys[] = {"eval_return", "eval_return_stderr", "eval_return_min",
                                     "eval_return_max"};
  struct fixture f;
  struct box b = make_box();
  start(&f);
  fake_daemon_env_steps(f.daemon, 777);
  write_weights(&b, &f.policy, 0);
  const char *const served[] = {"control", "--evaluate", "--once", "--episodes", "5",
                                "--json",  "--policy",   "latest", NULL};
  const char *const file[] = {"control", "--evaluate", "--episodes",       "5",
                              "--json",  "--weights",  b.weights,          "--seed",
                              "5",       "--task",     "cartpole_swingup", NULL};
  json_t *a = json_of(run(&f, &b, 0, served)), *c = json_of(run(&f, &b, 0, file));
  for (int i = 0; i < 4; i++) assert_true(number(a, keys[i]) == number(c, keys[i]));
  assert_true(number(a, "eval_return_stderr") > 0);
  assert_true(number(a, "eval_episodes") == 5 && number(a, "diverged") == 0);
  assert_true(number(a, "version") == 1 && number(a, "env_steps") == 777);
  assert_true(number(c, "version") == 9 && number(c, "learner_step") == 77);
  assert_string_equal(json_string_value(json_object_get(a, "policy")), "latest");
  assert_string_equal(json_string_value(json_object_get(a, "task")), "cartpole_swingup");
  double value = 999;
  assert_true(fake_daemon_reported(f.daemon, "eval_return", &value));
  assert_true(fabs(value - number(a, "eval_return")) < 1e-6);
  assert_true(fake_daemon_reported(f.daemon, "eval_return_stderr", &value));
  assert_true(fabs(value - number(a, "eval_return_stderr")) < 1e-6);
  assert_int_equal(fake_daemon_report_count(f.daemon, "eval_diverged"), 0);
  json_decref(a);
  json_decref(c);
  fixture_stop(&f);
  remove_box(&b);
}

static void test_bad_weights(void **state) {
  (void)state;
  struct fixture f;
  struct box b = make_box();
  struct pmp_policy_spec other = gaussian(17, 6);
  struct pmp_policy wide;
  struct pmp_errmsg msg;
  start(&f);
  const char *const args[] = {"control", "--evaluate",       "--weights", b.weights,
                              "--task",  "cartpole_swingup", NULL};
  expect_said(run(&f, &b, 1, args), "policy.safetensors");
  write_weights(&b, &f.policy, NAN);
  expect_said(run(&f, &b, 1, args), "not finite");
  assert_int_equal(pmp_policy_init(&wide, &other, &msg), PMP_OK);
  write_weights(&b, &wide, 0);
  expect_said(run(&f, &b, 3, args), "takes 17 numbers and gives 6");
  assert_int_equal(truncate(b.weights, 100), 0);
  expect_said(run(&f, &b, 1, args), "safetensors");
  fixture_stop(&f);
  remove_box(&b);
}

/* ---- drawing ---- */

static void expect_png(const struct box *b) {
  unsigned char head[8] = {0};
  FILE *in = fopen(b->picture, "rb");
  assert_non_null(in);
  assert_int_equal(fread(head, 1, sizeof head, in), sizeof head);
  fclose(in);
  assert_memory_equal(head, "\x89PNG\r\n\x1a\n", sizeof head);
  unlink(b->picture);
}

static void test_render(void **state) {
  (void)state;
  struct fixture f;
  struct box b = make_box();
  struct fake_stats stats;
  start(&f);
  write_weights(&b, &f.policy, 0);
  const char *const served[] = {"control", "--render", b.picture,   "--policy", "latest",
                                "--size",  "64x48",    "--seconds", "0.5",      NULL};
  const char *text = run(&f, &b, 0, served);
  expect_said(text, "episode 1: return ");
  expect_said(text, " in 50 steps (0.5 s)");
  expect_said(text, "frames=6 by=EGL");
  expect_png(&b);
  fake_daemon_stats(f.daemon, &stats);
  assert_int_equal(stats.appends, 0);
  const char *const file[] = {"control", "--render",         b.picture, "--weights", b.weights,
                              "--task",  "cartpole_swingup", "--size",  "64x48",     "--seconds",
                              "0.1",     "--episodes",       "2",       NULL};
  expect_said(run(&f, &b, 0, file), "frames=12 by=EGL");
  expect_png(&b);
  setenv("MUJOCO_GL", "osmesa", 1);
  const char *const alone[] = {"control",   "--render", b.picture, "--policy",  "random", "--task",
                               "fish_swim", "--size",   "64x48",   "--seconds", "0.5",    NULL};
  expect_said(run(&f, &b, 0, alone), "by=OSMesa");
  unsetenv("MUJOCO_GL");
  expect_png(&b);
  fixture_stop(&f);
  remove_box(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_list),        cmocka_unit_test(test_replay),
      cmocka_unit_test(test_refused),     cmocka_unit_test(test_evaluations_agree),
      cmocka_unit_test(test_bad_weights), cmocka_unit_test(test_render),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
