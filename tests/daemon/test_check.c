/* `--check` on folders that are not what they should be (damage to real runs is in
 * integration/test_lifecycle.c). */
#include "daemon/check.h"

#include "base/log.h"
#include "store/store.h"
#include "tests/daemon/unit.h"
#include "tests/support/pmpod_process.h"

#include <sys/stat.h>

struct place {
  char dir[256], path[400];
};

static int make(void **state) {
  struct place *p = test_calloc(1, sizeof *p);
  const char *tmp = getenv("TMPDIR");
  snprintf(p->dir, sizeof p->dir, "%.200s/pmpod-check-XXXXXX", tmp ? tmp : "/tmp");
  assert_non_null(mkdtemp(p->dir));
  *state = p;
  return 0;
}

static int unmake(void **state) {
  struct place *p = *state;
  test_tree_remove(p->dir);
  test_free(p);
  return 0;
}

static int check(const struct place *p, bool json, char out[4096]) {
  memset(out, 0, 4096);
  FILE *f = fmemopen(out, 4095, "w");
  assert_non_null(f);
  const int code = pmp_check_dir(p->dir, json, f);
  fclose(f);
  return code;
}

static void make_store(struct place *p) {
  struct pmp_store *s = NULL;
  struct pmp_errmsg msg = {{0}};
  snprintf(p->path, sizeof p->path, "%s/store.db", p->dir);
  const struct pmp_store_config c = {.path = p->path,
                                     .queue_capacity = 16,
                                     .group_bytes_max = 1 << 20,
                                     .group_ops_max = 16,
                                     .compress_min_bytes = 512,
                                     .clock = pmp_clock_real()};
  if (pmp_store_open(&s, &c, &msg) != PMP_OK) fail_msg("%s", msg.text);
  pmp_store_close(s);
}

static void nothing_there(void **state) {
  struct place *p = *state;
  char out[4096];
  assert_int_equal(check(p, false, out), 2);
  snprintf(p->dir + strlen(p->dir), 4, "/no");
  assert_int_equal(check(p, false, out), 2);
  p->dir[strlen(p->dir) - 3] = '\0';
}

static void an_empty_store_is_clean(void **state) {
  struct place *p = *state;
  char out[4096], path[400];
  make_store(p);
  snprintf(path, sizeof path, "%s/checkpoints", p->dir);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_int_equal(check(p, false, out), 0);
  assert_non_null(strstr(out, "0 faults, 0 good checkpoints"));
  assert_int_equal(check(p, true, out), 0);
  assert_non_null(strstr(out, "\"faults\":0"));
  snprintf(path, sizeof path, "%s/checkpoints/.tmp-step-000000000003", p->dir);
  assert_int_equal(mkdir(path, 0700), 0); /* an interrupted save */
  assert_int_equal(check(p, false, out), 0);
  snprintf(path, sizeof path, "%s/checkpoints/step-000000000003", p->dir);
  assert_int_equal(mkdir(path, 0700), 0); /* one without content */
  assert_int_equal(check(p, true, out), 1);
  assert_non_null(strstr(out, "step-000000000003"));
}

static void a_file_that_is_no_store(void **state) {
  struct place *p = *state;
  char out[4096];
  snprintf(p->path, sizeof p->path, "%s/store.db", p->dir);
  static const char text[] = "this is a letter to a friend, not a database; it is long enough to "
                             "be looked at all the same";
  test_file_write(p->path, text, sizeof text);
  assert_int_equal(check(p, false, out), 1);
  assert_non_null(strstr(out, "fault:"));
  test_file_write(p->path, "", 0);
  assert_int_equal(check(p, false, out), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(nothing_there, make, unmake),
      cmocka_unit_test_setup_teardown(an_empty_store_is_clean, make, unmake),
      cmocka_unit_test_setup_teardown(a_file_that_is_no_store, make, unmake),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
