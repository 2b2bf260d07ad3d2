/* A run in lockstep, uninterrupted or killed with kill -9 again and again, and what is left of it:
 * shared by test_lockstep.c and test_lockstep_control.c. */
#ifndef PMP_TESTS_LOCKSTEP_H
#define PMP_TESTS_LOCKSTEP_H

#include "base/rng.h"
#include "learner/checkpoint.h"
#include "store/store.h"
#include "tests/support/pmpod_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

struct lockstep_outcome {
  char state_hash[33]; /* of state.safetensors of the last checkpoint */
  char *context;       /* malloc'd: commit, debt, ... of the last checkpoint */
  uint64_t step, chunks, rows;
  uint64_t samples_hash; /* of all chunks' bytes that are kept, in order */
};

struct lockstep {
  struct test_pmpod d;
  pid_t actor;
  char log[400];
};

struct lockstep_plan {
  const char *const *set; /* NULL at the end */
  pid_t (*start_actor)(const char *url, const char *log);
  uint64_t rows;  /* that the actor sends before it ends, about */
  uint64_t kills; /* of a run that is killed */
};

static inline void lockstep_start_actor(struct lockstep *l, const struct lockstep_plan *plan) {
  l->actor = plan->start_actor(l->d.fixed[0] + strlen("listen.desk="), l->log);
}

/* Rows committed so far. */
static inline uint64_t lockstep_rows(const struct lockstep *l) {
  char path[400];
  struct pmp_reader *reader = NULL;
  struct pmp_reader_actor *actor = NULL;
  uint32_t count = 0;
  uint64_t rows = 0;
  snprintf(path, sizeof path, "%s/store.db", l->d.dir);
  if (pmp_reader_open(&reader, path, NULL, NULL) != PMP_OK) return 0;
  if (pmp_reader_actors(reader, &actor, &count, NULL) == PMP_OK) {
    for (uint32_t i = 0; i < count; i++) rows += actor[i].rows;
  }
  free(actor);
  pmp_reader_close(reader);
  return rows;
}

static inline bool lockstep_actor_ended(struct lockstep *l) {
  int status = 0;
  if (waitpid(l->actor, &status, WNOHANG) != l->actor) return false;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    char *text = test_file_read(l->log, NULL);
    fail_msg("the actor ended with wait status %d: %s", status, text ? text : "");
  }
  return true;
}

/* Waits until that many rows are committed (or the actor has ended: true). */
static inline bool lockstep_wait(struct lockstep *l, uint64_t rows) {
  for (int waited = 0; waited < 120000; waited += 2) {
    if (lockstep_actor_ended(l)) return true;
    if (rows != UINT64_MAX && lockstep_rows(l) >= rows) return false;
    test_sleep_ms(2);
  }
  fail_msg("%d rows after two minutes", (int)lockstep_rows(l));
  return true;
}

static inline void lockstep_kill(struct lockstep *l, const struct lockstep_plan *plan,
                                 struct pmp_rng *rng) {
  const uint64_t what = pmp_rng_below(rng, 3); /* daemon, actor, both */
  test_sleep_ms((int)pmp_rng_below(rng, 6));
  if (what != 1) {
    test_pmpod_kill(&l->d);
    if (pmp_rng_below(rng, 2)) test_sleep_ms((int)pmp_rng_below(rng, 20));
    test_pmpod_start(&l->d);
  }
  if (what != 0) {
    test_reap(l->actor);
    lockstep_start_actor(l, plan);
  }
}

static inline enum pmp_err lockstep_see(void *ctx, const struct pmp_entry *e,
                                        struct pmp_errmsg *msg) {
  struct lockstep_outcome *o = ctx;
  (void)msg;
  if (e->kind != PMP_ENTRY_CHUNK) return PMP_OK;
  o->chunks = e->chunk;
  o->samples_hash = XXH3_64bits_withSeed(e->data, e->bytes, o->samples_hash);
  return PMP_OK;
}

/* Samples from `first` on: retention goes its own way in a run that is killed. */
static inline void lockstep_samples(const struct lockstep *l, struct lockstep_outcome *o) {
  char path[400];
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *reader = NULL;
  snprintf(path, sizeof path, "%s/store.db", l->d.dir);
  assert_int_equal(pmp_reader_open(&reader, path, NULL, &msg), PMP_OK);
  if (pmp_reader_entries(reader, 1, UINT64_MAX >> 1, lockstep_see, o, &msg) != PMP_OK)
    fail_msg("%s", msg.text);
  pmp_reader_close(reader);
}

static inline void lockstep_collect(const struct lockstep *l, struct lockstep_outcome *o) {
  char path[400];
  struct pmp_errmsg msg = {{0}};
  struct pmp_checkpoint_info *list = NULL, last;
  size_t count = 0;
  lockstep_samples(l, o);
  snprintf(path, sizeof path, "%s/checkpoints", l->d.dir);
  assert_int_equal(pmp_checkpoint_list(pmp_fs_real(), path, &list, &count, &msg), PMP_OK);
  assert_true(count > 0);
  if (pmp_checkpoint_verify(pmp_fs_real(), list[count - 1].path, &last, &o->context, &msg) !=
      PMP_OK) {
    fail_msg("%s", msg.text);
  }
  free(list);
  memcpy(o->state_hash, last.hash, sizeof o->state_hash);
  o->step = last.step;
}

/* kill_seed 0: uninterrupted. */
static inline void lockstep_run(const struct lockstep_plan *plan, uint64_t kill_seed,
                                struct lockstep_outcome *o) {
  struct lockstep l;
  memset(&l, 0, sizeof l);
  memset(o, 0, sizeof *o);
  test_pmpod_init(&l.d);
  test_pmpod_fix_ports(&l.d);
  for (size_t i = 0; plan->set[i]; i++) test_pmpod_set(&l.d, plan->set[i]);
  snprintf(l.log, sizeof l.log, "%s/actor-log", l.d.root);
  test_pmpod_start(&l.d);
  lockstep_start_actor(&l, plan);
  struct pmp_rng rng;
  pmp_rng_init(&rng, kill_seed, 1);
  bool ended = false;
  const uint64_t part = plan->rows / (plan->kills + 1);
  for (uint64_t i = 1; kill_seed && i <= plan->kills; i++) {
    ended = lockstep_wait(&l, i * part - pmp_rng_below(&rng, part / 2));
    assert_false(ended);
    lockstep_kill(&l, plan, &rng);
  }
  while (!ended) ended = lockstep_wait(&l, UINT64_MAX);
  test_pmpod_stop(&l.d);
  o->rows = lockstep_rows(&l);
  lockstep_collect(&l, o);
  test_pmpod_fini(&l.d);
}

static inline void lockstep_expect_same(const struct lockstep_outcome *a,
                                        const struct lockstep_outcome *b) {
  assert_int_equal(a->chunks, b->chunks);
  assert_int_equal(a->rows, b->rows);
  assert_int_equal(a->samples_hash, b->samples_hash);
  assert_int_equal(a->step, b->step);
  assert_string_equal(a->context, b->context);
  assert_string_equal(a->state_hash, b->state_hash);
}

/* The tests themselves; the group's set-up makes the first run, *state is its outcome. */
static inline int lockstep_setup(void **state, const struct lockstep_plan *plan) {
  struct lockstep_outcome *o = test_calloc(1, sizeof *o);
  *state = o;
  lockstep_run(plan, 0, o);
  return 0;
}

static inline int lockstep_teardown(void **state) {
  struct lockstep_outcome *o = *state;
  free(o->context);
  test_free(o);
  return 0;
}

static inline void lockstep_again(const struct lockstep_outcome *first,
                                  const struct lockstep_plan *plan, uint64_t kill_seed) {
  struct lockstep_outcome o;
  if (kill_seed) print_message("kills of seed %llu\n", (unsigned long long)kill_seed);
  lockstep_run(plan, kill_seed, &o);
  lockstep_expect_same(first, &o);
  free(o.context);
}

#endif
