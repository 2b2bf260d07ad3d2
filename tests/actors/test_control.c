/* `pmpo-actor control` as a process against a fake daemon: what it sends, and that death and
 * restart change nothing. */
#include "tests/actors/support.h"

#include <math.h>

enum { ENVS = 3, OBS = 5, ROWS_MAX = 4096 };

static void start(struct fixture *f, bool bins, bool lockstep, uint32_t publish_every) {
  struct pmp_policy_spec policy = bins ? categorical(OBS, 1, 11) : gaussian(OBS, 1);
  struct pmp_spec spec = control_spec("cartpole_swingup", OBS, &policy.dist);
  fixture_start(f, &policy, &spec, lockstep, publish_every);
}

/* All rows of all chunks, in order. */
struct rows {
  uint32_t n;
  uint32_t env[ROWS_MAX], episode[ROWS_MAX], t[ROWS_MAX];
  uint8_t flags[ROWS_MAX];
  float reward[ROWS_MAX], discount[ROWS_MAX], action[ROWS_MAX], obs[ROWS_MAX][OBS];
  uint64_t version[ROWS_MAX];
};

static struct rows *read_rows(struct fixture *f, const struct pmp_spec *spec) {
  struct rows *r = calloc(1, sizeof *r);
  struct pmp_arena arena;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_bytes bytes;
  struct pmp_errmsg msg;
  assert_non_null(r);
  assert_int_equal(pmp_arena_init(&arena, 4 << 20), PMP_OK);
  for (uint64_t k = 0; fake_daemon_chunk(f->daemon, k, &bytes, NULL); k++) {
    struct pmp_chunk c;
    pmp_arena_release(&arena, 0);
    if (pmp_wire_decode_chunk(bytes.data, bytes.size, spec, &limits, &arena, &c, &msg) != PMP_OK)
      fail_msg("%s", msg.text);
    for (uint32_t i = 0; i < c.rows && r->n < ROWS_MAX; i++, r->n++) {
      r->env[r->n] = c.env[c.envs == 1 ? 0 : i];
      r->episode[r->n] = c.episode[c.episodes == 1 ? 0 : i];
      r->t[r->n] = c.t[i];
      r->flags[r->n] = c.flags[i];
      r->reward[r->n] = c.reward[i];
      r->discount[r->n] = c.discount[i];
      r->action[r->n] = c.action.dtype == PMP_I32 ? (float)((const int32_t *)c.action.data)[i]
                                                  : ((const float *)c.action.data)[i];
      memcpy(r->obs[r->n], (const float *)c.obs[0].data + (size_t)i * OBS, sizeof r->obs[0]);
      r->version[r->n] = c.version[c.versions == 1 ? 0 : i];
    }
  }
  pmp_arena_fini(&arena);
  return r;
}

static void test_rows(void **state) {
  (void)state;
  struct fixture f;
  start(&f, false, false, 0);
  const char *const args[] = {"control",         "--envs", "3", "--chunk-rows", "64", "--seed", "1",
                              "--max-env-steps", "3300",   NULL};
  assert_int_equal(actor_run(&f, NULL, args), 0);
  struct pmp_policy_spec policy = gaussian(OBS, 1);
  struct pmp_spec spec = control_spec("cartpole_swingup", OBS, &policy.dist);
  struct rows *r = read_rows(&f, &spec);
  uint32_t next_t[ENVS] = {0}, episode[ENVS] = {1, 1, 1}, last = 0, beyond = 0;
  for (uint32_t i = 0; i < r->n; i++) {
    uint32_t e = r->env[i];
    assert_true(e < ENVS);
    assert_int_equal(r->t[i], next_t[e]);
    assert_int_equal(r->episode[i], episode[e]);
    assert_int_equal((r->flags[i] & PMP_CHUNK_FIRST) != 0, r->t[i] == 0);
    assert_true(r->discount[i] == 1.0f);
    assert_int_equal(r->version[i], 1);
    /* Cart position, cosine and sine of the pole, velocities: the observation belongs to this row.
     */
    assert_true(fabsf(r->obs[i][1] * r->obs[i][1] + r->obs[i][2] * r->obs[i][2] - 1) < 1e-5f);
    beyond += fabsf(r->action[i]) > 1.0f; /* raw samples, not what the environment got */
    next_t[e]++;
    if ((r->flags[i] & PMP_CHUNK_LAST) == 0) {
      assert_true(r->reward[i] >= 0 && r->reward[i] <= 1);
      continue;
    }
    assert_int_equal(r->flags[i], PMP_CHUNK_LAST | PMP_CHUNK_TRUNCATED);
    assert_int_equal(r->t[i], 1000);
    last++;
    next_t[e] = 0;
    episode[e]++;
  }
  assert_int_equal(last, ENVS);
  assert_true(beyond > 0);
  assert_int_equal(fake_daemon_report_count(f.daemon, "return"), ENVS);
  double length = 999;
  assert_true(fake_daemon_reported(f.daemon, "length", &length));
  assert_true(length == 1000);
  /* The return that was reported is the sum of the last episode's rewards. */
  double ret = 999, sum = 0;
  assert_true(fake_daemon_reported(f.daemon, "return", &ret));
  for (uint32_t i = 0; i < r->n; i++)
    if (r->env[i] == ENVS - 1 && r->episode[i] == 1) sum += (double)r->reward[i];
  assert_true(fabs(sum - ret) < 1e-2);
  free(r);
  fixture_stop(&f);
}

static void test_threads_change_nothing(void **state) {
  (void)state;
  struct fixture one, two;
  start(&one, true, true, 2);
  start(&two, true, true, 2);
  const char *const args[] = {"control", "--envs",          "4",   "--chunk-rows",
                              "40",      "--max-env-steps", "400", NULL};
  const char *const with_threads[] = {"control", "--envs",    "4", "--chunk-rows",
                                      "40",      "--threads", "3", "--max-env-steps",
                                      "400",     NULL};
  assert_int_equal(actor_run(&one, NULL, args), 0);
  assert_int_equal(actor_run(&two, NULL, with_threads), 0);
  assert_same_chunks(&one, &two, 11);
  struct fake_stats s;
  fake_daemon_stats(one.daemon, &s);
  assert_int_equal(s.chunks, 12); /* 36 steps of 4 environments fit a chunk of 40 for certain */
  fixture_stop(&one);
  fixture_stop(&two);
}

static void test_bins(void **state) {
  (void)state;
  struct fixture f;
  start(&f, true, false, 0);
  const char *const args[] = {"control", "--envs",          "2",   "--chunk-rows",
                              "32",      "--max-env-steps", "300", NULL};
  assert_int_equal(actor_run(&f, NULL, args), 0);
  struct pmp_policy_spec policy = categorical(OBS, 1, 11);
  struct pmp_spec spec = control_spec("cartpole_swingup", OBS, &policy.dist);
  struct rows *r = read_rows(&f, &spec);
  uint32_t seen = 0;
  for (uint32_t i = 0; i < r->n; i++) seen |= 1u << (uint32_t)r->action[i];
  assert_int_equal(seen, (1u << 11) - 1);
  free(r);
  fixture_stop(&f);
}

/* Until so many more are committed. */
static void wait_for_chunks(struct fixture *f, uint64_t more) {
  struct fake_stats s;
  fake_daemon_stats(f->daemon, &s);
  for (uint64_t target = s.chunks + more; s.chunks < target; fake_daemon_stats(f->daemon, &s))
    usleep(500);
}

/* Ends a run in pieces: by finishing, by SIGTERM and by kill -9, each time with a new process. */
static void test_goes_on_where_it_was(void **state) {
  (void)state;
  enum { CHUNKS = 57, LIVES = 12 };
  struct fixture whole, pieces;
  struct fake_stats s = {0};
  start(&whole, false, true, 3);
  start(&pieces, false, true, 3);
  const char *const args[] = {"control", "--envs",          "3",    "--chunk-rows",
                              "64",      "--max-env-steps", "3420", NULL};
  assert_int_equal(actor_run(&whole, NULL, args), 0);
  fake_daemon_stats(whole.daemon, &s);
  assert_true(s.chunks >= CHUNKS); /* 3420 steps, 60 a chunk, fewer where episodes end */
  uint64_t total = s.chunks;
  const char *const first[] = {"control", "--envs",          "3",   "--chunk-rows",
                               "64",      "--max-env-steps", "400", NULL};
  assert_int_equal(actor_run(&pieces, NULL, first), 0);
  for (uint32_t life = 0; life < LIVES; life++) {
    /* Every other life ends with a chunk that is committed but not acknowledged. */
    fake_daemon_fault(pieces.daemon, FAKE_LOSE_REPLY, life % 2);
    pid_t pid = actor_start(&pieces, NULL, args);
    wait_for_chunks(&pieces, 1 + (life % 2 == 0 ? life % 5 : 0));
    kill(pid, life % 3 == 0 ? SIGTERM : SIGKILL);
    actor_wait(pid);
    if (life == LIVES / 2) fake_daemon_restart(pieces.daemon, true);
  }
  fake_daemon_fault(pieces.daemon, FAKE_LOSE_REPLY, 0);
  assert_int_equal(actor_run(&pieces, NULL, args), 0);
  fake_daemon_stats(pieces.daemon, &s);
  assert_int_equal(s.chunks, total);
  assert_int_equal(s.conflicts, 0);
  assert_same_chunks(&whole, &pieces, total);
  fixture_stop(&whole);
  fixture_stop(&pieces);
}

static void test_other_settings(void **state) {
  (void)state;
  struct fixture f;
  struct fake_stats before, after;
  start(&f, false, false, 0);
  const char *const three[] = {"control", "--envs",          "3",  "--chunk-rows",
                               "32",      "--max-env-steps", "90", NULL};
  const char *const two[] = {"control", "--envs",          "2",  "--chunk-rows",
                             "32",      "--max-env-steps", "90", NULL};
  assert_int_equal(actor_run(&f, NULL, three), 0);
  fake_daemon_stats(f.daemon, &before);
  assert_int_equal(actor_run(&f, NULL, two), 0); /* starts anew */
  fake_daemon_stats(f.daemon, &after);
  assert_true(after.chunks > before.chunks);
  fixture_stop(&f);
  /* In lockstep that would be another run. */
  start(&f, false, true, 0);
  assert_int_equal(actor_run(&f, NULL, three), 0);
  assert_int_equal(actor_run(&f, NULL, two), 3);
  fixture_stop(&f);
}

static void test_survives(void **state) {
  (void)state;
  struct fixture f;
  start(&f, false, false, 5);
  const char *const args[] = {"control", "--envs",          "3",     "--chunk-rows",
                              "32",      "--max-env-steps", "20000", NULL};
  pid_t pid = actor_start(&f, NULL, args);
  for (int i = 0; i < 4; i++) {
    usleep(60000);
    fake_daemon_down(f.daemon);
    usleep(30000);
    fake_daemon_up(f.daemon, i == 1);
  }
  assert_int_equal(actor_wait(pid), 0);
  struct fake_stats s;
  fake_daemon_stats(f.daemon, &s);
  assert_int_equal(s.epoch, 1);
  assert_int_equal(s.conflicts, 0);
  assert_true(s.rows >= 20000);
  fixture_stop(&f);
}

static void test_misfit(void **state) {
  (void)state;
  struct fixture f;
  struct pmp_policy_spec policy = gaussian(OBS, 1), other = gaussian(17, 6);
  struct pmp_spec spec = control_spec("cartpole_swingup", OBS, &policy.dist);
  const char *const cheetah[] = {"control", "--task", "cheetah_run", NULL};
  const char *const none[] = {"control", "--task", "no_such_task", NULL};
  const char *const plain[] = {"control", NULL};
  const char *const bandit[] = {"bandit", "--function", "sphere", NULL};
  fixture_start(&f, &policy, &spec, false, 0);
  assert_int_equal(actor_run(&f, NULL, cheetah), 3);
  assert_int_equal(actor_run(&f, NULL, bandit), 3);
  assert_int_equal(actor_run(&f, NULL, none), 2);
  fixture_stop(&f);
  /* A run whose policy does not fit its own spec. */
  fixture_start(&f, &other, &spec, false, 0);
  assert_int_equal(actor_run(&f, NULL, plain), 3);
  fixture_stop(&f);
  /* A run that names no task, with sizes of another one. */
  spec = control_spec("", 17, &other.dist);
  fixture_start(&f, &other, &spec, false, 0);
  const char *const cartpole[] = {"control", "--task", "cartpole_swingup", NULL};
  assert_int_equal(actor_run(&f, NULL, cartpole), 3);
  assert_int_equal(actor_run(&f, NULL, plain), 1);
  struct fake_stats s;
  fake_daemon_stats(f.daemon, &s);
  assert_int_equal(s.appends, 0);
  fixture_stop(&f);
}

static void test_evaluate(void **state) {
  (void)state;
  struct fixture f;
  start(&f, false, false, 0);
  fake_daemon_env_steps(f.daemon, 777);
  const char *const args[] = {"control", "--evaluate", "--once", "--episodes", "3", NULL};
  assert_int_equal(actor_run(&f, NULL, args), 0);
  double mean = 999, least = 999, most = 999, episodes = 999;
  assert_true(fake_daemon_reported(f.daemon, "eval_return", &mean));
  assert_true(fake_daemon_reported(f.daemon, "eval_return_min", &least));
  assert_true(fake_daemon_reported(f.daemon, "eval_return_max", &most));
  assert_true(fake_daemon_reported(f.daemon, "eval_episodes", &episodes));
  assert_true(episodes == 3);
  assert_true(least <= mean && mean <= most && least >= 0 && most <= 1000);
  struct fake_stats s;
  fake_daemon_stats(f.daemon, &s);
  assert_int_equal(s.appends, 0);
  assert_int_equal(s.status, 1);
  assert_int_equal(s.report_env_steps, 777);
  fixture_stop(&f);
}

static void test_command_line(void **state) {
  (void)state;
  struct fixture f;
  start(&f, false, false, 0);
  const char *const unknown[] = {"control", "--nothing", NULL};
  const char *const no_value[] = {"control", "--envs", "0", NULL};
  const char *const apart[] = {"control", "--once", NULL};
  const char *const kind[] = {"juggler", NULL};
  const char *const help[] = {"control", "--help", NULL};
  const char *const too_few[] = {"control", "--envs", "8", "--chunk-rows", "15", NULL};
  assert_int_equal(actor_run(&f, NULL, unknown), 2);
  assert_int_equal(actor_run(&f, NULL, no_value), 2);
  assert_int_equal(actor_run(&f, NULL, apart), 2);
  assert_int_equal(actor_run(&f, NULL, kind), 2);
  assert_int_equal(actor_run(&f, NULL, help), 0);
  assert_int_equal(actor_run(&f, NULL, too_few), 1);
  fixture_stop(&f);
}

static void test_no_daemon(void **state) {
  (void)state;
  struct fixture f;
  start(&f, false, false, 0);
  fake_daemon_down(f.daemon);
  const char *const args[] = {"control", "--wait", "0.2", NULL};
  assert_int_equal(actor_run(&f, NULL, args), 4);
  /* Asked to stop while it waits: that is no failure. */
  const char *const patient[] = {"control", "--wait", "600", NULL};
  pid_t pid = actor_start(&f, NULL, patient);
  usleep(200000);
  kill(pid, SIGTERM);
  assert_int_equal(actor_wait(pid), 0);
  fixture_stop(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows),           cmocka_unit_test(test_threads_change_nothing),
      cmocka_unit_test(test_bins),           cmocka_unit_test(test_goes_on_where_it_was),
      cmocka_unit_test(test_other_settings), cmocka_unit_test(test_survives),
      cmocka_unit_test(test_misfit),         cmocka_unit_test(test_evaluate),
      cmocka_unit_test(test_command_line),   cmocka_unit_test(test_no_daemon),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
