/* The real file interface in a folder of its own, and the order of steps in pmp_fs_replace. */
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/pmp-test-fs-XXXXXX");
  return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

/* A path in the folder; two may be in use at once. */
static const char *in_folder(const char *name) {
  static char path[2][512];
  static int turn;
  turn = !turn;
  snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
  return path[turn];
}

static void put(const char *path, const char *text) {
  const struct pmp_fs *fs = pmp_fs_real();
  const void *parts[] = {text};
  size_t sizes[] = {strlen(text)};
  assert_int_equal(fs->write_sync(fs->self, path, parts, sizes, 1, NULL), PMP_OK);
}

static void assert_content(const char *path, const char *expected) {
  const struct pmp_fs *fs = pmp_fs_real();
  void *data = NULL;
  size_t size = 999;
  assert_int_equal(fs->read_all(fs->self, path, 1 << 20, &data, &size, NULL), PMP_OK);
  assert_int_equal(size, strlen(expected));
  assert_memory_equal(data, expected, size);
  free(data);
}

static void test_parts_are_gathered_and_replace_what_was(void **state) {
  (void)state;
  const struct pmp_fs *fs = pmp_fs_real();
  const void *parts[] = {"one ", "", "three"};
  size_t sizes[] = {4, 0, 5};
  put(in_folder("f"), "something much longer than what follows");
  assert_int_equal(fs->write_sync(fs->self, in_folder("f"), parts, sizes, 3, NULL), PMP_OK);
  assert_content(in_folder("f"), "one three");
  struct stat info;
  assert_int_equal(stat(in_folder("f"), &info), 0);
  assert_int_equal(info.st_mode & 0077, 0);
}

static void test_reading_has_a_limit(void **state) {
  (void)state;
  const struct pmp_fs *fs = pmp_fs_real();
  struct pmp_errmsg msg = {{0}};
  void *data = &msg;
  size_t size = 999;
  put(in_folder("f"), "12345");
  assert_int_equal(fs->read_all(fs->self, in_folder("f"), 4, &data, &size, &msg), PMP_ETOOLARGE);
  assert_null(data);
  assert_non_null(strstr(msg.text, "/f"));
  assert_int_equal(fs->read_all(fs->self, in_folder("f"), 5, &data, &size, &msg), PMP_OK);
  assert_int_equal(size, 5);
  free(data);
  put(in_folder("empty"), "");
  assert_content(in_folder("empty"), "");
}

static void test_what_is_missing_is_named(void **state) {
  (void)state;
  const struct pmp_fs *fs = pmp_fs_real();
  struct pmp_errmsg msg = {{0}};
  void *data = NULL;
  size_t size;
  assert_int_equal(fs->read_all(fs->self, in_folder("none"), 9, &data, &size, &msg), PMP_ENOTFOUND);
  assert_non_null(strstr(msg.text, "/none"));
  assert_int_equal(fs->read_all(fs->self, folder, 9, &data, &size, &msg), PMP_EINVALID);
  assert_int_equal(fs->rename(fs->self, in_folder("none"), in_folder("f"), &msg), PMP_ENOTFOUND);
  assert_int_equal(fs->remove(fs->self, in_folder("none"), &msg), PMP_ENOTFOUND);
  assert_int_equal(fs->sync_dir(fs->self, in_folder("none"), &msg), PMP_ENOTFOUND);
  char(*names)[PMP_FS_NAME_MAX] = NULL;
  size_t count = 999;
  assert_int_equal(fs->list(fs->self, in_folder("none"), &names, &count, &msg), PMP_ENOTFOUND);
  assert_null(names);
  assert_int_equal(count, 0);
}

static void test_folders_are_made_with_their_parents(void **state) {
  (void)state;
  const struct pmp_fs *fs = pmp_fs_real();
  struct stat info;
  assert_int_equal(fs->make_dir(fs->self, in_folder("a/b//c/"), NULL), PMP_OK);
  assert_int_equal(fs->make_dir(fs->self, in_folder("a/b/c"), NULL), PMP_OK);
  assert_int_equal(stat(in_folder("a/b/c"), &info), 0);
  assert_true(S_ISDIR(info.st_mode));
  assert_int_equal(info.st_mode & 0777, 0700);
  put(in_folder("file"), "x");
  assert_int_equal(fs->make_dir(fs->self, in_folder("file"), NULL), PMP_EIO);
  assert_int_equal(fs->make_dir(fs->self, in_folder("file/below"), NULL), PMP_EIO);
  assert_int_equal(fs->make_dir(fs->self, "", NULL), PMP_EINVALID);
  assert_int_equal(fs->remove(fs->self, in_folder("a/b"), NULL), PMP_EIO);
  assert_int_equal(fs->remove(fs->self, in_folder("a/b/c"), NULL), PMP_OK);
}

static void test_names_come_sorted(void **state) {
  (void)state;
  const struct pmp_fs *fs = pmp_fs_real();
  char(*names)[PMP_FS_NAME_MAX] = NULL;
  size_t count = 999;
  char name[16];
  for (int i = 39; i >= 0; i--) {
    snprintf(name, sizeof name, "n%02d", i);
    put(in_folder(name), "");
  }
  assert_int_equal(fs->list(fs->self, folder, &names, &count, NULL), PMP_OK);
  assert_int_equal(count, 40);
  for (int i = 0; i < 40; i++) {
    snprintf(name, sizeof name, "n%02d", i);
    assert_string_equal(names[i], name);
  }
  free(names);
}

static void test_replace_leaves_the_new_content_and_no_other_file(void **state) {
  (void)state;
  const struct pmp_fs *fs = pmp_fs_real();
  const void *parts[] = {"new"};
  size_t sizes[] = {3}, count = 0;
  char(*names)[PMP_FS_NAME_MAX] = NULL;
  put(in_folder("f"), "old content");
  assert_int_equal(pmp_fs_replace(fs, in_folder("f"), parts, sizes, 1, NULL), PMP_OK);
  assert_content(in_folder("f"), "new");
  assert_int_equal(fs->list(fs->self, folder, &names, &count, NULL), PMP_OK);
  assert_int_equal(count, 1);
  free(names);
}

/* A file interface that writes down its calls and fails at the one that a test names. */
struct script {
  char calls[1024];
  const char *fail_at; /* a verb, or NULL */
};

static enum pmp_err note(struct script *s, const char *verb, const char *path) {
  size_t used = strlen(s->calls);
  snprintf(s->calls + used, sizeof s->calls - used, "%s %s;", verb, path);
  return s->fail_at != NULL && strcmp(s->fail_at, verb) == 0 ? PMP_EIO : PMP_OK;
}

static enum pmp_err script_write(void *self, const char *path, const void *const *parts,
                                 const size_t *sizes, size_t part_count, struct pmp_errmsg *msg) {
  (void)parts, (void)sizes, (void)part_count, (void)msg;
  return note(self, "write", path);
}

static enum pmp_err script_rename(void *self, const char *from, const char *to,
                                  struct pmp_errmsg *msg) {
  (void)to, (void)msg;
  return note(self, "rename", from);
}

static enum pmp_err script_sync(void *self, const char *path, struct pmp_errmsg *msg) {
  (void)msg;
  return note(self, "sync", path);
}

static enum pmp_err script_remove(void *self, const char *path, struct pmp_errmsg *msg) {
  (void)msg;
  return note(self, "remove", path);
}

static void assert_steps(const char *fail_at, const char *path, enum pmp_err expected,
                         const char *calls) {
  struct script s = {.fail_at = fail_at};
  const struct pmp_fs fs = {.self = &s,
                            .write_sync = script_write,
                            .rename = script_rename,
                            .sync_dir = script_sync,
                            .remove = script_remove};
  assert_int_equal(pmp_fs_replace(&fs, path, NULL, NULL, 0, NULL), expected);
  assert_string_equal(s.calls, calls);
}

static void test_replace_syncs_before_and_after_the_rename(void **state) {
  (void)state;
  assert_steps(NULL, "d/f", PMP_OK, "write d/f.tmp;rename d/f.tmp;sync d;");
  assert_steps(NULL, "f", PMP_OK, "write f.tmp;rename f.tmp;sync .;");
  assert_steps(NULL, "/f", PMP_OK, "write /f.tmp;rename /f.tmp;sync /;");
  assert_steps("write", "d/f", PMP_EIO, "write d/f.tmp;remove d/f.tmp;");
  assert_steps("rename", "d/f", PMP_EIO, "write d/f.tmp;rename d/f.tmp;remove d/f.tmp;");
  assert_steps("sync", "d/f", PMP_EIO, "write d/f.tmp;rename d/f.tmp;sync d;");
}

static void test_a_full_disk_says_so(void **state) {
  (void)state;
  const struct pmp_fs *fs = pmp_fs_real();
  struct pmp_errmsg msg = {{0}};
  const void *parts[] = {"x"};
  size_t sizes[] = {1};
  assert_int_equal(fs->write_sync(fs->self, "/dev/full", parts, sizes, 1, &msg), PMP_ENOSPC);
  assert_non_null(strstr(msg.text, "/dev/full"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_parts_are_gathered_and_replace_what_was),
      IN_FOLDER(test_reading_has_a_limit),
      IN_FOLDER(test_what_is_missing_is_named),
      IN_FOLDER(test_folders_are_made_with_their_parents),
      IN_FOLDER(test_names_come_sorted),
      IN_FOLDER(test_replace_leaves_the_new_content_and_no_other_file),
      cmocka_unit_test(test_replace_syncs_before_and_after_the_rename),
      cmocka_unit_test(test_a_full_disk_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
