/* Power cuts under checkpoints. Included by test_checkpoint_power.c and
 * test_long_checkpoint_power.c, which differ in the number of cuts only.
 *
 * After each cut the newest good checkpoint must load, be at least as new as the last save that was
 * said to be done, and restore exactly what was saved then. */
#ifndef PMP_TESTS_CHECKPOINT_POWER_H
#define PMP_TESTS_CHECKPOINT_POWER_H

#include "learner/checkpoint.h"
#include "tests/learner/trainer_world.h"
#include "tests/support/fs_power.h"

#include <stdlib.h>

#define POWER_DIR "/run/checkpoints"

enum { POWER_STEPS_MAX = 20000 };

struct power_world {
  struct fs_power *fs;
  struct pmp_rng rng;
  char (*hash)[33]; /* of the trainer at each step: owned, [POWER_STEPS_MAX] */
  uint64_t done;    /* step of the last save that returned PMP_OK */
  bool any;
};

/* Entries 1 to 4, always the same: enough to step. */
static void power_fill(struct pmp_trainer *t) {
  for (uint64_t commit = 1; commit <= 4; commit++) {
    static const float act[4][WORLD_ACT] = {
        {0.5F, 0.25F}, {-1.0F, 2.0F}, {0.125F, -0.5F}, {1.5F, 1.0F}};
    static const float f[4] = {-0.3F, -5.0F, -0.3F, -3.2F};
    static const uint32_t group[4] = {0};
    const struct pmp_replay_rows rows = {
        .chunk = commit, .commit = commit, .rows = 4, .act = &act[0][0], .group = group, .f = f};
    uint32_t trainable = 0;
    assert_int_equal(pmp_replay_add(pmp_trainer_replay(t), &rows, &trainable, NULL), PMP_OK);
  }
}

/* Learns, saves and prunes until the power goes. */
static void power_work(struct power_world *w, struct pmp_trainer *t) {
  const struct pmp_fs *fs = fs_power_fs(w->fs);
  while (!fs_power_is_cut(w->fs)) {
    struct pmp_step_metrics m;
    world_step(t, &m);
    const uint64_t step = pmp_trainer_steps(t);
    assert_true(step < POWER_STEPS_MAX);
    world_hash(t, w->hash[step]);
    struct pmp_checkpoint_info info;
    if (pmp_checkpoint_save(fs, POWER_DIR, t, "{\"commit\": 4}", &info, NULL) != PMP_OK) return;
    w->done = step;
    w->any = true;
    if (pmp_checkpoint_prune(fs, POWER_DIR, 2, NULL) != PMP_OK) return;
  }
}

/* What a start finds. false: the promise is broken. */
static bool power_start(struct power_world *w, struct pmp_trainer *t) {
  char *context = NULL, hash[33];
  struct pmp_checkpoint_info info;
  const enum pmp_err err =
      pmp_checkpoint_load(fs_power_fs(w->fs), POWER_DIR, t, &context, &info, NULL, NULL, NULL);
  free(context);
  if (err != PMP_OK) return !w->any && err == PMP_ENOTFOUND;
  if (w->any && info.step < w->done) return false;
  world_hash(t, hash);
  return strcmp(hash, w->hash[info.step]) == 0;
}

/* A disk with an empty folder for checkpoints on it. */
static void power_new_disk(struct power_world *w, bool no_file_sync, bool no_dir_sync) {
  fs_power_free(w->fs);
  w->fs = fs_power_new(pmp_rng_u64(&w->rng));
  const struct pmp_fs *fs = fs_power_fs(w->fs);
  assert_int_equal(fs->make_dir(fs->self, POWER_DIR, NULL), PMP_OK);
  fs_power_sync_all(w->fs);
  fs_power_break(w->fs, no_file_sync, no_dir_sync);
  w->any = false;
  w->done = 0;
}

/* Returns how often the promise was broken. */
static int power_cuts(int cuts, bool no_file_sync, bool no_dir_sync) {
  const struct pmp_trainer_config config = world_bandit(9);
  struct power_world w = {.hash = calloc(POWER_STEPS_MAX, sizeof *w.hash)};
  int broken = 0;
  assert_non_null(w.hash);
  pmp_rng_init(&w.rng, 4711, 1);
  power_new_disk(&w, no_file_sync, no_dir_sync);
  for (int cut = 0; cut <= cuts; cut++) {
    struct pmp_trainer *t = world_open(&config);
    if (!power_start(&w, t)) {
      broken++;
      power_new_disk(&w, no_file_sync, no_dir_sync);
      pmp_trainer_close(t);
      t = world_open(&config);
    }
    power_fill(t);
    fs_power_cut_after(w.fs, 1 + pmp_rng_below(&w.rng, 60));
    power_work(&w, t);
    pmp_trainer_close(t);
    fs_power_restore(w.fs);
  }
  fs_power_free(w.fs);
  free(w.hash);
  return broken;
}

static int power_cuts_wanted;

static void a_cut_loses_no_checkpoint_that_was_done(void **state) {
  (void)state;
  assert_int_equal(power_cuts(power_cuts_wanted, false, false), 0);
}

static void without_syncs_of_files_it_is_caught(void **state) {
  (void)state;
  const int broken = power_cuts(power_cuts_wanted, true, false);
  print_message("%d of %d cuts noticed\n", broken, power_cuts_wanted);
  assert_true(broken > power_cuts_wanted / 20);
}

static void without_syncs_of_folders_it_is_caught(void **state) {
  (void)state;
  const int broken = power_cuts(power_cuts_wanted, false, true);
  print_message("%d of %d cuts noticed\n", broken, power_cuts_wanted);
  assert_true(broken > power_cuts_wanted / 20);
}

static int power_main(int cuts) {
  power_cuts_wanted = cuts;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_cut_loses_no_checkpoint_that_was_done),
      cmocka_unit_test(without_syncs_of_files_it_is_caught),
      cmocka_unit_test(without_syncs_of_folders_it_is_caught),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
