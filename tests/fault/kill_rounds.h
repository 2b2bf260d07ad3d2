/* kill -9 of the daemon and of actors at random moments, and an oracle: what was acknowledged is in
 * the store, once. Included by test_kill.c and test_long_kill.c, which differ in the number of
 * rounds only.
 *
 * An actor's life writes chunks 1, 2, 3, ... whose rows say which life, which chunk and which row
 * they are. It notes in a file of its own how many the library called acknowledged; the file
 * survives the process. */
#ifndef PMP_TESTS_KILL_ROUNDS_H
#define PMP_TESTS_KILL_ROUNDS_H

#include "base/rng.h"
#include "clients/libpmpo/pmpo.h"
#include "store/store.h"
#include "tests/support/pmpod_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILL_ROWS = 4, KILL_ACTORS = 2, KILL_LIVES_MAX = 1000, KILL_CHUNKS_MAX = 60000 };

/* ---- the child: kill_rounds --actor URL NAME LIFE FILE ---- */

static volatile int kill_stop;
static void kill_on_term(int signum) {
  (void)signum;
  kill_stop = 1;
}

static void kill_note(int fd, struct pmpo *c) {
  struct pmpo_append_stats stats;
  pmpo_append_stats(c, &stats);
  if (pwrite(fd, &stats.acked, sizeof stats.acked, 0) != sizeof stats.acked) exit(4);
}

static int kill_actor(char **argv) {
  static const uint32_t group[KILL_ROWS] = {0};
  static const uint64_t version = 1;
  struct pmpo *c = NULL;
  struct pmp_errmsg msg = {{0}};
  const float life = strtof(argv[2], NULL);
  const int fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) return 3;
  signal(SIGTERM, kill_on_term);
  const struct pmpo_options options = {.url = argv[0],
                                       .role = PMP_ROLE_ACTOR,
                                       .name = argv[1],
                                       .client = "kill",
                                       .queue_chunks = 4,
                                       .connect_ms = 60000,
                                       .request_ms = 200};
  enum pmp_err err = pmpo_open(&c, &options, &msg);
  for (uint32_t k = 1; err == PMP_OK && !kill_stop && k < KILL_CHUNKS_MAX; k++) {
    float y[KILL_ROWS][3], f[KILL_ROWS];
    for (int r = 0; r < KILL_ROWS; r++) {
      y[r][0] = life;
      y[r][1] = (float)k;
      y[r][2] = f[r] = (float)r;
    }
    const struct pmp_chunk chunk = {
        .source = PMP_SOURCE_ACTOR,
        .shape = PMP_SHAPE_OUTCOMES,
        .rows = KILL_ROWS,
        .groups = 1,
        .group = group,
        .f = f,
        .version = &version,
        .versions = 1,
        .action = {
            .dtype = PMP_F32, .rank = 2, .shape = {KILL_ROWS, 3}, .data = y, .bytes = sizeof y}};
    err = pmpo_append(c, &chunk, (struct pmp_bytes){0}, &msg);
    kill_note(fd, c);
  }
  if (err == PMP_OK) err = pmpo_flush(c, 30000, &msg);
  if (c) kill_note(fd, c);
  pmpo_close(c);
  close(fd);
  if (err != PMP_OK)
    fprintf(stderr, "actor %s life %s: %s: %s\n", argv[1], argv[2], pmp_err_name(err), msg.text);
  return err == PMP_OK ? 0 : 1;
}

/* ---- the parent ---- */

struct kill_world {
  struct test_pmpod d;
  struct pmp_rng rng;
  pid_t actor[KILL_ACTORS];
  int life_of[KILL_ACTORS];
  int lives;
  uint64_t stored[KILL_LIVES_MAX]; /* highest chunk of each life in the store */
  uint64_t rows;
};

static void kill_file(const struct kill_world *w, int life, char out[400]) {
  snprintf(out, 400, "%s/life-%d", w->d.root, life);
}

static void kill_start_actor(struct kill_world *w, int i) {
  char url[128], name[16], life[16], file[400], log[400];
  assert_true(w->lives + 1 < KILL_LIVES_MAX);
  w->life_of[i] = ++w->lives;
  snprintf(url, sizeof url, "%s", w->d.fixed[0] + strlen("listen.desk="));
  snprintf(name, sizeof name, "actor-%d", i);
  snprintf(life, sizeof life, "%d", w->life_of[i]);
  snprintf(log, sizeof log, "%s/actor-log", w->d.root);
  kill_file(w, w->life_of[i], file);
  const char *const argv[] = {"--actor", url, name, life, file, NULL};
  w->actor[i] = test_spawn_self(argv, log);
}

static void kill_daemon(struct kill_world *w) {
  test_pmpod_kill(&w->d);
  test_sleep_ms((int)pmp_rng_below(&w->rng, 10));
  test_pmpod_start(&w->d);
}

static void kill_one_round(struct kill_world *w) {
  test_sleep_ms(10 + (int)pmp_rng_below(&w->rng, 90));
  const uint64_t what = pmp_rng_below(&w->rng, 4);
  const int i = (int)pmp_rng_below(&w->rng, KILL_ACTORS);
  if (what <= 1) kill_daemon(w);
  if (what >= 1) { /* 1: both */
    test_reap(w->actor[i]);
    kill_start_actor(w, i);
  }
  if (what == 3) { /* and again before it has come up */
    test_pmpod_kill(&w->d);
    int status = 0;
    const bool served = test_pmpod_try(&w->d, &status);
    assert_true(served);
    kill_daemon(w);
  }
}

static enum pmp_err kill_see(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct kill_world *w = ctx;
  if (e->kind != PMP_ENTRY_CHUNK) return PMP_OK;
  struct pmp_arena arena;
  PMP_TRY(pmp_arena_init(&arena, 1 << 20));
  struct pmp_spec spec = {.shape = PMP_SHAPE_OUTCOMES};
  spec.action.kind = PMP_ACTION_BOX;
  spec.action.dim = 3;
  spec.action.low = -1;
  spec.action.high = 1;
  const struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_chunk c;
  enum pmp_err err = pmp_wire_decode_chunk(e->data, e->bytes, &spec, &limits, &arena, &c, msg);
  if (err == PMP_OK) {
    const float *y = c.action.data;
    assert_int_equal(c.rows, KILL_ROWS);
    const int life = (int)y[0];
    assert_true(life >= 1 && life <= w->lives);
    for (int r = 0; r < KILL_ROWS; r++) {
      assert_true(y[3 * r] == y[0] && y[3 * r + 1] == y[1] && y[3 * r + 2] == (float)r);
    }
    /* Each once and in order: neither lost in between nor twice. */
    if ((uint64_t)y[1] != w->stored[life] + 1) {
      fail_msg("life %d: chunk %g comes after chunk %llu", life, (double)y[1],
               (unsigned long long)w->stored[life]);
    }
    assert_int_equal(e->seq, (uint64_t)y[1]);
    w->stored[life]++;
    w->rows += c.rows;
  }
  pmp_arena_fini(&arena);
  return err;
}

static void kill_compare(struct kill_world *w) {
  char path[400];
  snprintf(path, sizeof path, "%s/store.db", w->d.dir);
  struct pmp_reader *reader = NULL;
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_reader_open(&reader, path, NULL, &msg), PMP_OK);
  if (pmp_reader_entries(reader, 1, UINT64_MAX >> 1, kill_see, w, &msg) != PMP_OK)
    fail_msg("%s", msg.text);
  pmp_reader_close(reader);
  uint64_t acked = 0;
  for (int life = 1; life <= w->lives; life++) {
    uint64_t said = 0;
    kill_file(w, life, path);
    const int fd = open(path, O_RDONLY);
    if (fd >= 0) {
      if (read(fd, &said, sizeof said) != sizeof said) said = 0; /* killed before the first note */
      close(fd);
    }
    if (said > w->stored[life]) {
      fail_msg("life %d: %llu chunks were acknowledged, %llu are there", life,
               (unsigned long long)said, (unsigned long long)w->stored[life]);
    }
    acked += said;
  }
  print_message("seed %d: %d lives, %llu chunks acknowledged, %llu rows kept\n", (int)getpid(),
                w->lives, (unsigned long long)acked, (unsigned long long)w->rows);
  assert_true(acked > (uint64_t)w->lives); /* else nothing was tested */
}

static int kill_rounds;

static void nothing_acknowledged_is_lost_or_twice(void **state) {
  (void)state;
  struct kill_world *w = test_calloc(1, sizeof *w);
  pmp_rng_init(&w->rng, (uint64_t)getpid(), 300);
  test_pmpod_init(&w->d);
  test_pmpod_fix_ports(&w->d);
  static const char *const set[] = {
      "spec.action_dim=3",          "learner.batch=8",       "learner.min_size=16",
      "learner.capacity=2000",      "limits.chunk_rows=16",  "learner.samples_per_insert=0.5",
      "checkpoint.period_steps=10", "checkpoint.period_s=0", "learner.refresh_period=5"};
  for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) test_pmpod_set(&w->d, set[i]);
  test_pmpod_start(&w->d);
  for (int i = 0; i < KILL_ACTORS; i++) kill_start_actor(w, i);
  for (int round = 0; round < kill_rounds; round++) kill_one_round(w);
  test_sleep_ms(100);
  for (int i = 0; i < KILL_ACTORS; i++) kill(w->actor[i], SIGTERM);
  for (int i = 0; i < KILL_ACTORS; i++) {
    int status = 0;
    assert_int_equal(waitpid(w->actor[i], &status, 0), w->actor[i]);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      char log[400];
      snprintf(log, sizeof log, "%s/actor-log", w->d.root);
      char *text = test_file_read(log, NULL);
      fail_msg("an actor ended with wait status %d: %s", status, text ? text : "");
    }
  }
  test_pmpod_stop(&w->d);
  kill_compare(w);
  char out[4096];
  const char *const check[] = {"--check", w->d.dir, NULL};
  if (test_pmpod_run(out, sizeof out, check) != 0) fail_msg("%s", out);
  test_pmpod_fini(&w->d);
  test_free(w);
}

static int kill_rounds_main(int argc, char **argv, int rounds) {
  if (argc == 6 && strcmp(argv[1], "--actor") == 0) return kill_actor(argv + 2);
  kill_rounds = rounds;
  const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_acknowledged_is_lost_or_twice)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
