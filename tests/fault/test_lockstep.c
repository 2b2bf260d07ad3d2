/* Lockstep: a run is its seed. Two runs agree bit for bit, and so does one whose daemon and actor
 * are killed with kill -9 again and again: the last checkpoint's state (parameters, reference,
 * optimiser, generators, counters) and the samples kept.
 *
 * The actor is this program again (--actor): a bandit whose whole state, a counter and a generator,
 * travels with every chunk as actor_state. */
#include "clients/libpmpo/pmpo.h"
#include "policy/policy.h"
#include "tests/fault/lockstep.h"

enum { ROWS = 16, CHUNKS = 240, KILLS = 14 };

/* ---- the actor: --actor URL ---- */

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
  }
  pmpo_close(c);
  if (err != PMP_OK) fprintf(stderr, "actor: %s: %s\n", pmp_err_name(err), msg.text);
  return err == PMP_OK ? 0 : 1;
}

/* ---- the runs ---- */

static pid_t start_actor(const char *url, const char *log) {
  const char *const argv[] = {"--actor", url, NULL};
  return test_spawn_self(argv, log);
}

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
                                  "store.capacity_rows=100000",
                                  NULL};
static const struct lockstep_plan plan = {
    .set = set, .start_actor = start_actor, .rows = (uint64_t)ROWS * CHUNKS, .kills = KILLS};

static int first_run(void **state) {
  return lockstep_setup(state, &plan);
}

static void two_runs_are_bit_identical(void **state) {
  const struct lockstep_outcome *first = *state;
  assert_true(first->step > 500); /* 240 chunks of 16 rows, 3.5 times each, 16 a step */
  assert_int_equal(first->chunks, CHUNKS);
  lockstep_again(first, &plan, 0);
}

static void a_run_that_is_killed_again_and_again_is_bit_identical(void **state) {
  for (uint64_t i = 0; i < 2; i++) lockstep_again(*state, &plan, (uint64_t)getpid() * 2 + i);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "--actor") == 0) return actor_main(argv + 2);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_runs_are_bit_identical),
      cmocka_unit_test(a_run_that_is_killed_again_and_again_is_bit_identical),
  };
  return cmocka_run_group_tests(tests, first_run, lockstep_teardown);
}
