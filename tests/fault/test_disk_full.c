/* A full disk, for real: the run's folder lies on a small tmpfs. Appends are answered unavailable,
 * status says so, nothing acknowledged is lost, and it goes on by itself when there is space again.
 * Needs the right to mount; is skipped without. */
#include "store/store.h"
#include "tests/support/small_run.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SKIPPED 77

static char mount_point[256];

/* A tmpfs that only this process and its children see; gone with them. */
static bool mount_small(void) {
  const char *tmp = getenv("TMPDIR");
  snprintf(mount_point, sizeof mount_point, "%.200s/pmpod-full-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(mount_point)) return false;
  if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
      mount("pmpod-full", mount_point, "tmpfs", 0, "size=12m") == 0) {
    return true;
  }
  printf("skipped: a tmpfs cannot be mounted here (%s)\n", strerror(errno));
  rmdir(mount_point);
  return false;
}

static struct pmp_chunk fat_chunk(struct test_outcomes *o, uint64_t seq) {
  test_outcomes_draw(o, 1000 + seq, 256);
  return test_outcomes_chunk(o, true, false);
}

/* Fills what is left of the disk, but for `leave` bytes. */
static void fill_disk(const char *path, size_t leave) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  static char zeros[4096];
  size_t written = 0;
  while (fwrite(zeros, 1, sizeof zeros, f) == sizeof zeros && fflush(f) == 0)
    written += sizeof zeros;
  fclose(f);
  assert_true(written >= leave);
  assert_int_equal(truncate(path, (off_t)(written - leave)), 0);
}

struct seen {
  uint64_t chunks, rows;
};

static enum pmp_err see(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct seen *seen = ctx;
  (void)msg;
  if (e->kind != PMP_ENTRY_CHUNK) return PMP_OK;
  if (e->seq != ++seen->chunks) fail_msg("chunk %d has seq %d", (int)seen->chunks, (int)e->seq);
  struct test_outcomes o;
  const struct pmp_chunk want = fat_chunk(&o, e->seq);
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  const void *data;
  size_t size;
  assert_int_equal(pmp_wire_encode_chunk(&want, &arena, &data, &size, NULL), PMP_OK);
  assert_int_equal(size, e->bytes);
  assert_memory_equal(data, e->data, size);
  pmp_arena_fini(&arena);
  seen->rows += e->rows;
  return PMP_OK;
}

/* Appends until it does not work any more; returns the last acknowledged seq. */
static uint64_t append_until_full(struct small_run *s, uint64_t seq, enum pmp_err *code) {
  *code = PMP_OK;
  while (*code == PMP_OK && seq < 20000) {
    struct test_outcomes o;
    const struct pmp_chunk c = fat_chunk(&o, seq + 1);
    *code = test_rpc_append_wait(&s->actor, seq + 1, &c, "state", 5, 10000);
    if (*code == PMP_OK) seq++;
  }
  return seq;
}

static void wait_state_other_than(struct small_run *s, const char *unwanted) {
  for (int waited = 0;; waited += 20) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    const char *state = test_rpc_text(&s->observer, "state");
    if (strcmp(state, unwanted) != 0) return;
    if (waited > 90000) fail_msg("state is %s after 90 s", state);
    test_sleep_ms(20);
  }
}

/* Fills what is left until the daemon stays full: a checkpoint that goes makes it whole again for a
 * moment. */
static uint64_t fill_by_appends(struct small_run *s, uint64_t acked) {
  for (int tries = 0; tries < 200; tries++) {
    enum pmp_err code;
    acked = append_until_full(s, acked, &code);
    assert_int_equal(code, PMP_EUNAVAILABLE);
    assert_true(s->actor.reply.retry_after_ms > 0);
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    if (strcmp(test_rpc_text(&s->observer, "state"), "disk_full") == 0) return acked;
  }
  fail_msg("appends are refused, but the state is never disk_full");
  return acked;
}

static void a_full_disk_loses_nothing_and_heals(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  snprintf(s.d.dir, sizeof s.d.dir, "%s/run", mount_point);
  char ballast[300], path[400];
  snprintf(ballast, sizeof ballast, "%s/ballast", mount_point);
  test_pmpod_set(&s.d, "checkpoint.period_s=1");
  small_run_start(&s);
  uint64_t acked = 0;
  enum pmp_err code;
  for (int round = 0; round < 3; round++) {
    const uint64_t before = acked;
    fill_disk(ballast, 1500000);
    acked = fill_by_appends(&s, acked);
    assert_true(acked > before);
    assert_true(strlen(test_rpc_text(&s.observer, "reason")) > 5);
    /* Others are told the same, the daemon lives. */
    struct test_rpc other;
    test_rpc_open(&other, s.d.desk);
    const enum pmp_err hello =
        test_rpc_hello(&other, PMP_ROLE_ACTOR, "newcomer", (uint8_t)(round + 1));
    assert_true(hello == PMP_EUNAVAILABLE || hello == PMP_OK);
    test_rpc_close(&other);
    if (round == 1) { /* killed while it was full: it may not come up before there is space, but
                         loses nothing */
      small_run_disconnect(&s);
      test_pmpod_kill(&s.d);
      assert_int_equal(unlink(ballast), 0);
      test_pmpod_start(&s.d);
      small_run_connect(&s, 1);
    } else {
      assert_int_equal(unlink(ballast), 0);
    }
    struct test_outcomes o;
    const struct pmp_chunk c = fat_chunk(&o, acked + 1);
    for (int waited = 0;; waited += 50) { /* by itself */
      code = test_rpc_append_wait(&s.actor, acked + 1, &c, "state", 5, 10000);
      if (code == PMP_OK) break;
      assert_int_equal(code, PMP_EUNAVAILABLE);
      if (waited > 90000)
        fail_msg("still unavailable 90 s after there was space: %s", s.actor.reply.message);
      test_sleep_ms(50);
    }
    acked++;
    wait_state_other_than(&s, "disk_full");
  }
  /* Told to stop while it is full: no checkpoint can be written, and the exit code says so. */
  fill_disk(ballast, 0);
  small_run_disconnect(&s);
  test_pmpod_signal(&s.d, SIGTERM);
  assert_int_equal(test_pmpod_wait(&s.d), 1);
  assert_int_equal(unlink(ballast), 0);
  test_pmpod_start(&s.d);
  test_pmpod_stop(&s.d);

  struct pmp_reader *reader = NULL;
  struct seen seen = {0};
  struct pmp_errmsg msg = {{0}};
  snprintf(path, sizeof path, "%s/store.db", s.d.dir);
  assert_int_equal(pmp_reader_open(&reader, path, NULL, &msg), PMP_OK);
  if (pmp_reader_entries(reader, 1, UINT64_MAX >> 1, see, &seen, &msg) != PMP_OK)
    fail_msg("%s", msg.text);
  pmp_reader_close(reader);
  assert_int_equal(seen.chunks, acked);
  char out[4096];
  const char *const check[] = {"--check", s.d.dir, NULL};
  if (test_pmpod_run(out, sizeof out, check) != 0) fail_msg("%s", out);
  size_t size;
  char *log = test_file_read(s.d.log, &size);
  assert_non_null(strstr(log, "PMP-STORE-HEALTH from=0 to=1"));
  free(log);
  small_run_fini(&s);
}

int main(void) {
  if (!mount_small()) return SKIPPED;
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_full_disk_loses_nothing_and_heals)};
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  umount2(mount_point, MNT_DETACH);
  rmdir(mount_point);
  return failed;
}
