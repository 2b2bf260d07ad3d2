/* Lockstep: a run is its seed. Two runs agree bit for bit, and so does one whose daemon and actor
 * are killed with kill -9 again and again: the last checkpoint's state (parameters, reference,
 * optimiser, generators, counters) and the samples kept.
 *
 * The actor is this program again (--actor): a bandit whose whole state, a counter and a generator,
 * travels with every chunk as actor_state. */
#include "base/rng.h"
#include "clients/libpmpo/pmpo.h"
#include "learner/checkpoint.h"
#include "policy/policy.h"
#include "store/store.h"
#include "tests/support/pmpod_process.h"
#include "tests/support/rpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

enum { ROWS = 16, CHUNKS = 240, KILLS = 14 };

/* ---- the actor: --actor URL FILE ---- */

struct actor_state {
  uint64_t done; /* chunks */
  struct pmp_rng rng;
};

/* The weights that this chunk is to be drawn with. */
static enum pmp_err weights_of(struct pmpo *c, uint64_t version, float params[4],
                               struct pmp_errmsg *msg) {
  for (;;) {
    struct pmp_arena arena;
    struct pmp_weights_reply manifest;
    float *buffer = NULL;
    PMP_TRY(pmp_arena_init(&arena, (size_t)4 << 20));
    const enum pmp_err err =
        pmpo_weights(c, PMP_WHICH_REFERENCE, version, 0, 0, &arena, &manifest, &buffer, msg);
    const bool good = err == PMP_OK && manifest.bytes == 4 * sizeof(float);
    if (good) memcpy(params, buffer, 4 * sizeof(float));
    free(buffer);
    pmp_arena_fini(&arena);
    if (good) return PMP_OK;
    if (err != PMP_ENOTFOUND) return err == PMP_OK ? PMP_EINTERNAL : err;
    test_sleep_ms(2); /* the daemon is just coming up */
  }
}

static enum pmp_err one_chunk(struct pmpo *c, const struct pmp_policy *policy,
                              struct actor_state *s, uint64_t *version, struct pmp_errmsg *msg) {
  float params[4], y[ROWS][2], f[ROWS];
  uint32_t group[ROWS];
  PMP_TRY(weights_of(c, *version, params, msg));
  PMP_TRY(pmp_dist_sample(&policy->spec.dist, 1, ROWS, params, &s->rng, &y[0][0]));
  for (uint32_t i = 0; i < ROWS; i++) {
    f[i] = -(y[i][0] * y[i][0] + 3 * y[i][1] * y[i][1]);
    group[i] = i / 4;
  }
  s->done++;
  const struct pmp_chunk chunk = {
      .source = PMP_SOURCE_ACTOR,
      .shape = PMP_SHAPE_OUTCOMES,
      .rows = ROWS,
      .groups = ROWS / 4,
      .group = group,
      .f = f,
      .version = version,
      .versions = 1,
      .action = {.dtype = PMP_F32, .rank = 2, .shape = {ROWS, 2}, .data = y, .bytes = sizeof y}};
  PMP_TRY(pmpo_append(c, &chunk, (struct pmp_bytes){s, sizeof *s}, msg));
  PMP_TRY(pmpo_flush(c, -1, msg));
  *version = pmpo_ref_version(c);
  return PMP_OK;
}

static int actor_main(char **argv) {
  struct pmpo *c = NULL;
  struct pmp_errmsg msg = {{0}};
  const int fd = open(argv[1], O_WRONLY | O_CREAT, 0600);
  if (fd < 0) return 3;
  const struct pmpo_options options = {.url = argv[0],
                                       .role = PMP_ROLE_ACTOR,
                                       .name = "bandit",
                                       .client = "lockstep",
                                       .queue_chunks = 1,
                                       .connect_ms = 60000,
                                       .request_ms = 500};
  enum pmp_err err = pmpo_open(&c, &options, &msg);
  struct actor_state s = {.done = 0};
  struct pmp_policy policy;
  uint64_t version = 0;
  if (err == PMP_OK) {
    const struct pmp_hello_reply *run = pmpo_run(c);
    struct pmp_policy_spec spec;
    pmp_rng_init(&s.rng, run->seed, 99);
    if (run->actor_state.size == sizeof s) memcpy(&s, run->actor_state.data, sizeof s);
    version = run->ref_version;
    err = pmp_policy_spec_from_json(&spec, run->policy, strlen(run->policy), &msg);
    if (err == PMP_OK) err = pmp_policy_init(&policy, &spec, &msg);
  }
  while (err == PMP_OK && s.done < CHUNKS) {
    err = one_chunk(c, &policy, &s, &version, &msg);
    if (pwrite(fd, &s.done, sizeof s.done, 0) != sizeof s.done) err = PMP_EIO;
  }
  pmpo_close(c);
  close(fd);
  if (err != PMP_OK) fprintf(stderr, "actor: %s: %s\n", pmp_err_name(err), msg.text);
  return err == PMP_OK ? 0 : 1;
}

/* ---- the runs ---- */

struct outcome {
  char state_hash[33]; /* of state.safetensors of the last checkpoint */
  char *context;       /* malloc'd: commit, debt, ... of the last checkpoint */
  uint64_t step, chunks;
  uint64_t samples_hash; /* of all chunks' bytes, in order */
};

struct lockstep {
  struct test_pmpod d;
  pid_t actor;
  char progress[400], log[400];
};

static void start_actor(struct lockstep *l) {
  const char *const argv[] = {"--actor", l->d.fixed[0] + strlen("listen.desk="), l->progress, NULL};
  l->actor = test_spawn_self(argv, l->log);
}

static uint64_t progress(const struct lockstep *l) {
  uint64_t done = 0;
  const int fd = open(l->progress, O_RDONLY);
  if (fd < 0) return 0;
  if (read(fd, &done, sizeof done) != sizeof done) done = 0;
  close(fd);
  return done;
}

static bool actor_ended(struct lockstep *l) {
  int status = 0;
  if (waitpid(l->actor, &status, WNOHANG) != l->actor) return false;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    char *text = test_file_read(l->log, NULL);
    fail_msg("the actor ended with wait status %d: %s", status, text ? text : "");
  }
  return true;
}

/* Waits until that many chunks are acknowledged (or the actor has ended: true). */
static bool wait_progress(struct lockstep *l, uint64_t chunks) {
  for (int waited = 0; waited < 60000; waited++) {
    if (actor_ended(l)) return true;
    if (progress(l) >= chunks) return false;
    test_sleep_ms(1);
  }
  fail_msg("%d chunks after a minute", (int)progress(l));
  return true;
}

static void kill_around(struct lockstep *l, struct pmp_rng *rng) {
  const uint64_t what = pmp_rng_below(rng, 3);
  test_sleep_ms((int)pmp_rng_below(rng, 6));
  if (what != 1) {
    test_pmpod_kill(&l->d);
    if (pmp_rng_below(rng, 2)) test_sleep_ms((int)pmp_rng_below(rng, 20));
    test_pmpod_start(&l->d);
  }
  if (what != 0) {
    test_reap(l->actor);
    start_actor(l);
  }
}

static enum pmp_err see(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct outcome *o = ctx;
  (void)msg;
  if (e->kind != PMP_ENTRY_CHUNK) return PMP_OK;
  o->chunks++;
  o->samples_hash = XXH3_64bits_withSeed(e->data, e->bytes, o->samples_hash);
  return PMP_OK;
}

static void collect(const struct lockstep *l, struct outcome *o) {
  char path[400];
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *reader = NULL;
  snprintf(path, sizeof path, "%s/store.db", l->d.dir);
  assert_int_equal(pmp_reader_open(&reader, path, NULL, &msg), PMP_OK);
  if (pmp_reader_entries(reader, 1, UINT64_MAX >> 1, see, o, &msg) != PMP_OK)
    fail_msg("%s", msg.text);
  pmp_reader_close(reader);
  struct pmp_checkpoint_info *list = NULL;
  size_t count = 0;
  snprintf(path, sizeof path, "%s/checkpoints", l->d.dir);
  assert_int_equal(pmp_checkpoint_list(pmp_fs_real(), path, &list, &count, &msg), PMP_OK);
  assert_true(count > 0);
  struct pmp_checkpoint_info last;
  if (pmp_checkpoint_verify(pmp_fs_real(), list[count - 1].path, &last, &o->context, &msg) !=
      PMP_OK) {
    fail_msg("%s", msg.text);
  }
  free(list);
  memcpy(o->state_hash, last.hash, sizeof o->state_hash);
  o->step = last.step;
}

static void run(uint64_t kill_seed, struct outcome *o) {
  static const char *const set[] = {"run.lockstep=true",
                                    "run.seed=11",
                                    "learner.batch=16",
                                    "learner.min_size=32",
                                    "learner.capacity=600",
                                    "limits.chunk_rows=16",
                                    "learner.samples_per_insert=3.5",
                                    "learner.refresh_period=9",
                                    "learner.max_staleness=12",
                                    "checkpoint.period_steps=37",
                                    "checkpoint.period_s=0",
                                    "checkpoint.keep=2",
                                    "optim.lr=0.01",
                                    "store.capacity_rows=1200"};
  struct lockstep l;
  memset(&l, 0, sizeof l);
  memset(o, 0, sizeof *o);
  test_pmpod_init(&l.d);
  test_pmpod_fix_ports(&l.d);
  for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) test_pmpod_set(&l.d, set[i]);
  snprintf(l.progress, sizeof l.progress, "%s/progress", l.d.root);
  snprintf(l.log, sizeof l.log, "%s/actor-log", l.d.root);
  test_pmpod_start(&l.d);
  start_actor(&l);
  struct pmp_rng rng;
  pmp_rng_init(&rng, kill_seed, 1);
  bool ended = false;
  for (uint64_t i = 1; kill_seed && i <= KILLS; i++) {
    ended =
        wait_progress(&l, i * CHUNKS / (KILLS + 1) + pmp_rng_below(&rng, CHUNKS / (KILLS + 1) / 2));
    assert_false(ended);
    kill_around(&l, &rng);
  }
  while (!ended) ended = wait_progress(&l, CHUNKS + 1);
  test_pmpod_stop(&l.d);
  collect(&l, o);
  test_pmpod_fini(&l.d);
}

static void expect_same(const struct outcome *a, const struct outcome *b) {
  assert_int_equal(a->chunks, b->chunks);
  assert_int_equal(a->samples_hash, b->samples_hash);
  assert_int_equal(a->step, b->step);
  assert_string_equal(a->context, b->context);
  assert_string_equal(a->state_hash, b->state_hash);
}

static int once(void **state) {
  struct outcome *o = test_calloc(1, sizeof *o);
  run(0, o);
  *state = o;
  return 0;
}

static int end(void **state) {
  struct outcome *o = *state;
  free(o->context);
  test_free(o);
  return 0;
}

static void two_runs_are_bit_identical(void **state) {
  const struct outcome *first = *state;
  struct outcome second;
  assert_true(first->step > 500); /* 240 chunks of 16 rows, 3.5 times each, 16 a step */
  run(0, &second);
  expect_same(first, &second);
  free(second.context);
}

static void a_run_that_is_killed_again_and_again_is_bit_identical(void **state) {
  const struct outcome *first = *state;
  for (uint64_t i = 0; i < 2; i++) {
    struct outcome killed;
    const uint64_t seed = (uint64_t)getpid() * 2 + i;
    print_message("kills of seed %llu\n", (unsigned long long)seed);
    run(seed, &killed);
    expect_same(first, &killed);
    free(killed.context);
  }
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "--actor") == 0) return actor_main(argv + 2);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_runs_are_bit_identical),
      cmocka_unit_test(a_run_that_is_killed_again_and_again_is_bit_identical),
  };
  return cmocka_run_group_tests(tests, once, end);
}
