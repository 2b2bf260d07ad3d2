/* A full disk and failing writes and syncs under the store: nothing is acknowledged that is not on
 * disk, the store says what is wrong, and goes on by itself when it can. */
#include "tests/fault/store_power.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct disk {
  struct bench bench;
  struct vfs_power *vfs;
  char text[20000];
};

static int disk_setup(void **state) {
  struct disk *d = calloc(1, sizeof *d);
  if (d == NULL) return -1;
  d->vfs = vfs_power_open("disk", 3);
  bench_make(&d->bench);
  d->bench.config.vfs = "disk";
  d->bench.config.compress_level = 0;
  bench_open(&d->bench);
  assert_int_equal(hello(&d->bench, "a1", 1), 1);
  *state = d;
  return 0;
}

static int disk_teardown(void **state) {
  struct disk *d = *state;
  bench_remove(&d->bench);
  vfs_power_close(d->vfs);
  free(d);
  return 0;
}

static struct pmp_store_op op_of(struct disk *d, uint64_t seq) {
  memset(d->text, 'a' + (int)(seq % 26), sizeof d->text - 1);
  return op_append("a1", 1, seq, d->text, 1);
}

static void append_to(struct disk *d, uint64_t from, uint64_t to) {
  for (uint64_t seq = from; seq <= to; seq++) {
    struct pmp_store_op op = op_of(d, seq);
    run_ok(&d->bench, &op);
  }
}

struct sequence {
  uint64_t next;
};

static enum pmp_err expect_next(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct sequence *s = ctx;
  if (e->kind != PMP_ENTRY_CHUNK || e->seq != s->next)
    return pmp_fail(msg, PMP_EINVALID, "seq %d instead of %d", (int)e->seq, (int)s->next);
  const char *data = e->data;
  if (e->bytes != 19999 || data[0] != 'a' + (int)(e->seq % 26) || data[19998] != data[0])
    return pmp_fail(msg, PMP_EINVALID, "seq %d has other content", (int)e->seq);
  s->next++;
  return PMP_OK;
}

/* Chunks 1 to `last`, each once, and nothing else. */
static void assert_holds(struct disk *d, uint64_t last) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *r = NULL;
  struct sequence s = {.next = 1};
  assert_clean(d->bench.path, d->bench.config.vfs);
  assert_int_equal(pmp_reader_open(&r, d->bench.path, d->bench.config.vfs, &msg), PMP_OK);
  if (pmp_reader_entries(r, 0, UINT64_MAX, expect_next, &s, &msg) != PMP_OK)
    fail_msg("%s", msg.text);
  pmp_reader_close(r);
  assert_int_equal(s.next, last + 1);
}

static void cut_and_come_back(struct disk *d) {
  vfs_power_cut(d->vfs);
  bench_close(&d->bench);
  vfs_power_restore(d->vfs);
  bench_open(&d->bench);
}

static void wait_for(struct disk *d, enum pmp_store_health health) {
  while (stats(&d->bench).health != health) usleep(1000);
}

static void test_a_full_disk_and_space_again(void **state) {
  struct disk *d = *state;
  append_to(d, 1, 3);
  vfs_power_fail(d->vfs, VFS_POWER_WRITE_FULL, "-wal", 1, UINT64_MAX);
  for (int i = 0; i < 3; i++) {
    struct pmp_store_op op = op_of(d, 4);
    run_fails(&d->bench, &op, PMP_ENOSPC, "full");
    assert_int_equal(op.u.append.chunk, 0);
  }
  struct pmp_store_stats s = stats(&d->bench);
  assert_int_equal(s.health, PMP_STORE_FULL);
  assert_non_null(strstr(s.reason, "full"));
  assert_int_equal(s.rows, 3);
  assert_int_equal(s.last_commit, 3);
  /* What needs no room is answered. */
  assert_int_equal(hello(&d->bench, "a1", 1), 1);
  struct pmp_store_op again = op_of(d, 3);
  run_ok(&d->bench, &again);
  assert_true(again.u.append.duplicate);
  vfs_power_heal(d->vfs);
  append_to(d, 4, 5);
  assert_int_equal(stats(&d->bench).health, PMP_STORE_HEALTHY);
  assert_string_equal(stats(&d->bench).reason, "");
  assert_holds(d, 5);
  cut_and_come_back(d);
  assert_holds(d, 5);
}

/* All of a group share its fate. */
static void count_full(struct pmp_store_op *op) {
  int *count = op->ctx;
  *count += op->err == PMP_ENOSPC;
}

static void test_a_group_fails_as_one(void **state) {
  enum { N = 40 };
  struct disk *d = *state;
  static struct pmp_store_op op[N];
  int full = 0;
  vfs_power_fail(d->vfs, VFS_POWER_WRITE_FULL, "-wal", 1, UINT64_MAX);
  for (int i = 0; i < N; i++) {
    op[i] = op_append("a1", 1, (uint64_t)i + 1, "text", 1);
    op[i].done = count_full;
    op[i].ctx = &full;
    assert_int_equal(pmp_store_submit(d->bench.store, &op[i]), PMP_OK);
  }
  bench_close(&d->bench);
  /* The first transaction fails as a whole; what the later ones hold leaves a gap or fails as well.
   */
  assert_true(full > 0);
  for (int i = 0; i < N; i++) assert_true(op[i].err == PMP_ENOSPC || op[i].err == PMP_ECONFLICT);
  vfs_power_heal(d->vfs);
  bench_open(&d->bench);
  assert_int_equal(stats(&d->bench).rows, 0);
  assert_holds(d, 0);
}

static void test_space_is_noticed_without_writers(void **state) {
  struct disk *d = *state;
  append_to(d, 1, 1);
  vfs_power_fail(d->vfs, VFS_POWER_WRITE_FULL, "", 1, UINT64_MAX);
  struct pmp_store_op op = op_of(d, 2);
  run_fails(&d->bench, &op, PMP_ENOSPC, "full");
  assert_int_equal(stats(&d->bench).health, PMP_STORE_FULL);
  vfs_power_heal(d->vfs);
  wait_for(d, PMP_STORE_HEALTHY);
  append_to(d, 2, 2);
  assert_holds(d, 2);
}

/* The database cannot grow, the log can: acknowledgements go on, the log is copied when there is
 * room. */
static void test_no_space_to_copy_the_log(void **state) {
  struct disk *d = *state;
  bench_close(&d->bench);
  d->bench.config.log_bytes_max = 100000;
  bench_open(&d->bench);
  vfs_power_fail(d->vfs, VFS_POWER_WRITE_FULL, ".db", 1, UINT64_MAX);
  append_to(d, 1, 20);
  wait_for(d, PMP_STORE_FULL);
  append_to(d, 21, 25);
  assert_int_equal(stats(&d->bench).health, PMP_STORE_FULL);
  vfs_power_heal(d->vfs);
  wait_for(d, PMP_STORE_HEALTHY);
  append_to(d, 26, 30);
  assert_holds(d, 30);
  cut_and_come_back(d);
  assert_holds(d, 30);
}

/* Whether it was kept is found out before anybody is told: what is acknowledged is on disk. */
static void test_a_failed_sync_is_settled_first(void **state) {
  struct disk *d = *state;
  append_to(d, 1, 3);
  vfs_power_fail(d->vfs, VFS_POWER_SYNC_EIO, "-wal", 1, 1);
  struct pmp_store_op op = op_of(d, 4);
  enum pmp_err err = pmp_store_run(d->bench.store, &op);
  vfs_power_cut(d->vfs);         /* the power goes at once */
  assert_int_equal(err, PMP_OK); /* the page cache still had it, so it could be written again */
  assert_int_equal(op.u.append.chunk, 4);
  assert_int_equal(stats(&d->bench).sync_errors, 1);
  assert_int_equal(stats(&d->bench).health, PMP_STORE_HEALTHY);
  cut_and_come_back(d);
  assert_holds(d, 4);
  append_to(d, 5, 6);
  assert_holds(d, 6);
}

/* A reader keeps the log's index alive, so that the store opens again without a recovery. */
static void test_a_failed_sync_beside_a_reader(void **state) {
  struct disk *d = *state;
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *r = NULL;
  uint64_t commit = 999;
  append_to(d, 1, 3);
  assert_int_equal(pmp_reader_open(&r, d->bench.path, "disk", &msg), PMP_OK);
  assert_int_equal(pmp_reader_window(r, 1, &commit, &msg), PMP_OK);
  assert_int_equal(commit, 3);
  vfs_power_fail(d->vfs, VFS_POWER_SYNC_EIO, "-wal", 1, 1);
  struct pmp_store_op op = op_of(d, 4);
  enum pmp_err err = pmp_store_run(d->bench.store, &op);
  assert_true(err == PMP_OK || err == PMP_EIO);
  append_to(d, 4, 5); /* sent again, perhaps a repetition */
  assert_int_equal(pmp_reader_window(r, 1, &commit, &msg), PMP_OK);
  assert_int_equal(commit, 5);
  pmp_reader_close(r);
  cut_and_come_back(d);
  assert_holds(d, 5);
}

static void test_a_failed_write(void **state) {
  struct disk *d = *state;
  append_to(d, 1, 3);
  vfs_power_fail(d->vfs, VFS_POWER_WRITE_EIO, "-wal", 4, 1);
  struct pmp_store_op op = op_of(d, 4);
  run_fails(&d->bench, &op, PMP_EIO, "I/O");
  append_to(d, 4, 6);
  assert_holds(d, 6);
  cut_and_come_back(d);
  assert_holds(d, 6);
}

/* What the learner said it needs is still known after the file was closed and opened. */
static void test_the_floor_survives_reopening(void **state) {
  struct disk *d = *state;
  bench_close(&d->bench);
  d->bench.config.capacity_rows = 4;
  bench_open(&d->bench);
  struct pmp_store_op op = {.kind = PMP_OP_CHECKPOINT};
  op.u.checkpoint.window_commit = UINT64_MAX;
  run_ok(&d->bench, &op);
  append_to(d, 1, 3);
  vfs_power_fail(d->vfs, VFS_POWER_SYNC_EIO, "-wal", 1, 1);
  append_to(d, 4, 20);
  assert_int_equal(stats(&d->bench).sync_errors, 1);
  assert_true(stats(&d->bench).rows <= 5);
  assert_clean(d->bench.path, "disk");
}

static void test_a_disk_that_stays_broken(void **state) {
  struct disk *d = *state;
  append_to(d, 1, 3);
  vfs_power_fail(d->vfs, VFS_POWER_SYNC_EIO, "", 1, UINT64_MAX);
  struct pmp_store_op op = op_of(d, 4);
  run_fails(&d->bench, &op, PMP_EIO, "I/O");
  op = op_of(d, 4);
  run_fails(&d->bench, &op, PMP_EIO, "the store does not work");
  assert_int_equal(stats(&d->bench).health, PMP_STORE_FAILED);
  op = op_of(d, 3); /* not even what was acknowledged before */
  run_fails(&d->bench, &op, PMP_EIO, "does not work");
  bench_close(&d->bench);
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_store_open(&d->bench.store, &d->bench.config, &msg), PMP_EIO);
  vfs_power_heal(d->vfs);
  bench_open(&d->bench);
  append_to(d, 4, 5);
  assert_holds(d, 5);
}

static void test_a_failed_sync_while_copying_the_log(void **state) {
  struct disk *d = *state;
  bench_close(&d->bench);
  d->bench.config.log_bytes_max = 100000;
  bench_open(&d->bench);
  vfs_power_fail(d->vfs, VFS_POWER_SYNC_EIO, ".db", 1, 1);
  append_to(d, 1, 40);
  assert_int_equal(stats(&d->bench).sync_errors, 1);
  assert_int_equal(stats(&d->bench).health, PMP_STORE_HEALTHY);
  assert_holds(d, 40);
  cut_and_come_back(d);
  assert_holds(d, 40);
}

/* A sync fails, and while the store repairs itself the power goes too, at every moment in turn.
 * Whatever of the failed transaction the page cache still showed, the database must not hold a part
 * of it. */
static void test_a_failed_sync_then_a_cut_at_every_moment(void **state) {
  static struct power p;
  int repaired = 0;
  (void)state;
  for (uint64_t seed = 1; seed <= 3; seed++) {
    memset(&p, 0, sizeof p);
    pmp_rng_init(&p.rng, seed, 5);
    p.vfs = vfs_power_open("moment", seed);
    p.bench.config.vfs = "moment";
    for (uint64_t n = 1; n <= 90 && p.loss[0] == '\0'; n += 1) {
      start_fresh(&p);
      bench_open(&p.bench);
      for (int i = 0; i < 25; i++) assert_true(set_next(&p));
      vfs_power_fail(p.vfs, VFS_POWER_SYNC_EIO, "-wal", 1, 1);
      vfs_power_cut_at(p.vfs, n);
      (void)!set_next(&p);
      if (set_next(&p)) repaired++;
      bench_close(&p.bench);
      vfs_power_cut(p.vfs);
      vfs_power_restore(p.vfs);
      compare(&p);
      if (p.loss[0] != '\0') fail_msg("seed %d, operation %d: %s", (int)seed, (int)n, p.loss);
    }
    bench_remove(&p.bench);
    vfs_power_close(p.vfs);
  }
  assert_true(repaired > 0);
}

/* A file system of 3 MB of its own. Needs the right to mount one. */
static void test_a_file_system_that_is_full(void **state) {
  struct disk *d = *state;
  char filler[200];
  bench_close(&d->bench);
  if ((geteuid() == 0 ? unshare(CLONE_NEWNS) : unshare(CLONE_NEWUSER | CLONE_NEWNS)) != 0 ||
      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("tmpfs", d->bench.folder, "tmpfs", 0, "size=3m") != 0) {
    bench_open(&d->bench);
    skip();
  }
  d->bench.config.vfs = NULL;
  d->bench.config.log_bytes_max = 300000; /* what opening needs at most to copy it */
  bench_open(&d->bench);
  assert_int_equal(hello(&d->bench, "a1", 1), 1);
  snprintf(filler, sizeof filler, "%s/filler", d->bench.folder);
  FILE *f = fopen(filler, "wb");
  for (int i = 0; i < 1024; i++) fwrite(d->text, 1, 1024, f);
  fclose(f);
  uint64_t seq = 1;
  struct pmp_store_op op;
  for (;; seq++) {
    op = op_of(d, seq);
    if (pmp_store_run(d->bench.store, &op) != PMP_OK) break;
    assert_true(seq < 200);
  }
  assert_int_equal(op.err, PMP_ENOSPC);
  assert_int_equal(stats(&d->bench).health, PMP_STORE_FULL);
  assert_int_equal(unlink(filler), 0);
  append_to(d, seq, seq + 10);
  wait_for(d, PMP_STORE_HEALTHY);
  assert_holds(d, seq + 10);
  bench_reopen(&d->bench);
  assert_holds(d, seq + 10);
  bench_remove(&d->bench);
  umount2(d->bench.folder, MNT_DETACH);
}

#define WITH_DISK(test) cmocka_unit_test_setup_teardown(test, disk_setup, disk_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_DISK(test_a_full_disk_and_space_again),
      WITH_DISK(test_a_group_fails_as_one),
      WITH_DISK(test_space_is_noticed_without_writers),
      WITH_DISK(test_no_space_to_copy_the_log),
      WITH_DISK(test_a_failed_sync_is_settled_first),
      WITH_DISK(test_a_failed_sync_beside_a_reader),
      WITH_DISK(test_a_failed_write),
      WITH_DISK(test_the_floor_survives_reopening),
      WITH_DISK(test_a_disk_that_stays_broken),
      WITH_DISK(test_a_failed_sync_while_copying_the_log),
      cmocka_unit_test(test_a_failed_sync_then_a_cut_at_every_moment),
      WITH_DISK(test_a_file_system_that_is_full),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
