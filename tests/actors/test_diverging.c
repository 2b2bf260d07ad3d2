/* A simulation that breaks down again and again: every episode ends, every end is counted, and no
 * number that is not finite reaches the daemon. */
#include "tests/actors/support.h"

#include <math.h>

enum { ENVS = 3, OBS = 5, STEPS = 900 };

/* A suite whose cart is pushed 100000 times as hard, so that its pole is thrown out of all bounds.
 */
static void make_suite(char *dir) {
  char path[4200], text[16384];
  const char *deps = getenv("PMP_DEPS");
  assert_non_null(deps);
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/share/dm_control/suite/cartpole.xml", deps);
  FILE *in = fopen(path, "r");
  assert_non_null(in);
  size_t n = fread(text, 1, sizeof text - 1, in);
  text[n] = '\0';
  fclose(in);
  char *gear = strstr(text, "gear=\"10\"");
  assert_non_null(gear);
  snprintf(path, sizeof path, "%s/cartpole.xml", dir);
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  fprintf(out, "%.*sgear=\"1e6\"%s", (int)(gear - text), text, gear + strlen("gear=\"10\""));
  assert_int_equal(fclose(out), 0);
  char common[4200];
  snprintf(common, sizeof common, "%s/share/dm_control/suite/common", deps);
  snprintf(path, sizeof path, "%s/common", dir);
  assert_int_equal(symlink(common, path), 0);
}

static void remove_suite(const char *dir) {
  char path[4200];
  snprintf(path, sizeof path, "%s/cartpole.xml", dir);
  unlink(path);
  snprintf(path, sizeof path, "%s/common", dir);
  unlink(path);
  assert_int_equal(rmdir(dir), 0);
}

struct seen {
  uint32_t rows, ends, longest;
  uint32_t next_t[ENVS], episode[ENVS];
};

static void check_row(struct seen *s, const struct pmp_chunk *c, uint32_t i) {
  const float *obs = (const float *)c->obs[0].data + (size_t)i * OBS;
  const uint32_t e = c->env[c->envs == 1 ? 0 : i];
  assert_true(e < ENVS);
  for (uint32_t k = 0; k < OBS; k++) assert_true(isfinite(obs[k]));
  assert_true(isfinite(c->reward[i]) && isfinite(((const float *)c->action.data)[i]));
  assert_true(c->discount[i] == 1.0f); /* bootstrapped from: the pole did not choose to go */
  assert_int_equal(c->t[i], s->next_t[e]);
  assert_int_equal(c->episode[c->episodes == 1 ? 0 : i], s->episode[e]);
  assert_int_equal((c->flags[i] & PMP_CHUNK_FIRST) != 0, c->t[i] == 0);
  s->rows++;
  s->next_t[e]++;
  if ((c->flags[i] & PMP_CHUNK_LAST) == 0) return;
  assert_true((c->flags[i] & PMP_CHUNK_TRUNCATED) != 0);
  assert_true(c->reward[i] == 0.0f); /* the last action had no outcome */
  if (c->t[i] > s->longest) s->longest = c->t[i];
  s->ends++;
  s->episode[e]++;
  s->next_t[e] = 0;
}

static void test_through_the_rollout(void **state) {
  (void)state;
  struct fixture f;
  struct pmp_policy_spec policy = gaussian(OBS, 1);
  struct pmp_spec spec = control_spec("cartpole_swingup", OBS, &policy.dist);
  char suite[] = "/tmp/pmp-suite-XXXXXX", log[] = "/tmp/pmp-log-XXXXXX", text[65536];
  make_suite(suite);
  int fd = mkstemp(log);
  assert_true(fd >= 0);
  fixture_start(&f, &policy, &spec, false, 0);
  const char *const args[] = {"control", "--envs",  "3",   "--chunk-rows",
                              "64",      "--suite", suite, "--max-env-steps",
                              "900",     NULL};
  assert_int_equal(actor_run(&f, log, args), 0);
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct seen seen = {.episode = {1, 1, 1}};
  struct pmp_arena arena;
  struct pmp_bytes bytes;
  struct pmp_errmsg msg;
  assert_int_equal(pmp_arena_init(&arena, 4 << 20), PMP_OK);
  for (uint64_t k = 0; fake_daemon_chunk(f.daemon, k, &bytes, NULL); k++) {
    struct pmp_chunk c;
    pmp_arena_release(&arena, 0);
    if (pmp_wire_decode_chunk(bytes.data, bytes.size, &spec, &limits, &arena, &c, &msg) != PMP_OK)
      fail_msg("%s", msg.text);
    for (uint32_t i = 0; i < c.rows; i++) check_row(&seen, &c, i);
  }
  pmp_arena_fini(&arena);
  assert_true(seen.rows >= STEPS && seen.ends > 10 && seen.longest > 1 && seen.longest < 1000);
  /* Each is reported as an episode of its own and as a divergence. */
  assert_int_equal(fake_daemon_report_count(f.daemon, "return"), seen.ends);
  assert_int_equal(fake_daemon_report_count(f.daemon, "diverged"), seen.ends);
  double diverged = 999;
  assert_true(fake_daemon_reported(f.daemon, "diverged", &diverged));
  assert_true(diverged == 1);
  ssize_t n = read(fd, text, sizeof text - 1);
  assert_true(n > 0);
  text[n] = '\0';
  assert_non_null(strstr(text, "PMP-ACTOR-DIVERGED"));
  close(fd);
  unlink(log);
  fixture_stop(&f);
  remove_suite(suite);
}

static void test_through_an_evaluation(void **state) {
  (void)state;
  struct fixture f;
  struct pmp_policy_spec policy = gaussian(OBS, 1);
  struct pmp_spec spec = control_spec("cartpole_swingup", OBS, &policy.dist);
  char suite[] = "/tmp/pmp-suite-XXXXXX";
  double value = 999;
  make_suite(suite);
  fixture_start(&f, &policy, &spec, false, 0);
  const char *const args[] = {"control", "--evaluate", "--once", "--sample", "--episodes",
                              "7",       "--suite",    suite,    NULL};
  assert_int_equal(actor_run(&f, NULL, args), 0);
  assert_true(fake_daemon_reported(f.daemon, "eval_diverged", &value));
  assert_true(value == 7);
  assert_true(fake_daemon_reported(f.daemon, "eval_return", &value));
  assert_true(isfinite(value) && value >= 0 && value < 100);
  fixture_stop(&f);
  remove_suite(suite);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_through_the_rollout),
                                     cmocka_unit_test(test_through_an_evaluation)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
