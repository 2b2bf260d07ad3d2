/* Tokens: made, checked, revoked, expired; files that are broken or too open; many makers at once.
 */
#include "auth/tokens.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW 1700000000

struct folder {
  char dir[128], json[160], key[160];
};

static int make(void **state) {
  struct folder *f = calloc(1, sizeof *f);
  const char *base = getenv("TMPDIR");
  snprintf(f->dir, sizeof f->dir, "%.80s/pmp-auth-XXXXXX", base ? base : "/tmp");
  if (!mkdtemp(f->dir)) return -1;
  snprintf(f->json, sizeof f->json, "%s/tokens.json", f->dir);
  snprintf(f->key, sizeof f->key, "%s/tokens.key", f->dir);
  *state = f;
  return 0;
}

static int drop(void **state) {
  struct folder *f = *state;
  unlink(f->json);
  unlink(f->key);
  assert_int_equal(rmdir(f->dir), 0); /* nothing else was left behind */
  free(f);
  return 0;
}

static void create(const struct folder *f, const char *name, int role, int64_t expires_s,
                   char text[PMP_TOKEN_TEXT_MAX]) {
  struct pmp_errmsg msg = {{0}};
  if (pmp_tokens_create(f->dir, name, role, NOW, expires_s, text, &msg) != PMP_OK)
    fail_msg("%s", msg.text);
}

static void load(const struct folder *f, struct pmp_tokens *t) {
  struct pmp_errmsg msg = {{0}};
  if (pmp_tokens_load(t, f->dir, &msg) != PMP_OK) fail_msg("%s", msg.text);
}

static void write_file(const char *path, const char *text, mode_t mode) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  assert_int_equal(fchmod(fd, mode), 0);
  close(fd);
}

static void without_a_file_no_tokens_are_wanted(void **state) {
  const struct folder *f = *state;
  struct pmp_tokens t;
  memset(&t, 0x99, sizeof t);
  load(f, &t);
  assert_false(t.present);
  assert_int_equal(t.count, 0);
  assert_false(pmp_tokens_stale(&t, f->dir));
  char text[PMP_TOKEN_TEXT_MAX];
  create(f, "ada", 2, 0, text);
  assert_true(pmp_tokens_stale(&t, f->dir));
  pmp_tokens_fini(&t);
}

static void a_token_proves_its_holder_and_is_kept_nowhere(void **state) {
  const struct folder *f = *state;
  char ada[PMP_TOKEN_TEXT_MAX], bob[PMP_TOKEN_TEXT_MAX], line[512];
  create(f, "ada", 2, 0, ada);
  create(f, "bob@lab", 4, NOW + 60, bob);
  assert_int_equal(strlen(ada), 47);
  assert_memory_equal(ada, "pmp_", 4);
  assert_string_not_equal(ada, bob);
  struct pmp_tokens t;
  load(f, &t);
  assert_true(t.present);
  assert_int_equal(t.count, 2);
  const struct pmp_token *who = NULL;
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_tokens_check(&t, ada, NOW, &who, &msg), PMP_OK);
  assert_string_equal(who->name, "ada");
  assert_int_equal(who->role, 2);
  assert_int_equal(pmp_tokens_check(&t, bob, NOW + 59, &who, &msg), PMP_OK);
  assert_string_equal(who->name, "bob@lab");
  pmp_tokens_fini(&t);
  struct stat info;
  assert_int_equal(stat(f->key, &info), 0);
  assert_int_equal(info.st_mode & 07777, 0600);
  assert_int_equal(info.st_size, PMP_TOKEN_KEY_BYTES);
  assert_int_equal(stat(f->json, &info), 0);
  assert_int_equal(info.st_mode & 07777, 0600);
  FILE *in = fopen(f->json, "r");
  assert_non_null(in);
  while (fgets(line, sizeof line, in)) {
    assert_null(strstr(line, ada + 4));
    assert_null(strstr(line, bob + 4));
  }
  fclose(in);
}

static void whatever_is_no_good_token_is_refused(void **state) {
  const struct folder *f = *state;
  char ada[PMP_TOKEN_TEXT_MAX], old[PMP_TOKEN_TEXT_MAX], gone[PMP_TOKEN_TEXT_MAX], bad[256];
  create(f, "ada", 2, 0, ada);
  create(f, "old", 3, NOW + 10, old);
  create(f, "gone", 3, 0, gone);
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_tokens_revoke(f->dir, "gone", NOW, &msg), PMP_OK);
  struct pmp_tokens t;
  load(f, &t);
  const struct pmp_token *who = (const struct pmp_token *)&t;
  const struct {
    const char *text, *says;
  } cases[] = {{"", "wanted"},    {NULL, "wanted"}, {"pmp_", "wrong"}, {old, "expired"},
               {gone, "revoked"}, {bad, "wrong"},   {"x", "wrong"}};
  strcpy(bad, ada);
  bad[46] = bad[46] == 'A' ? 'B' : 'A';
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(pmp_tokens_check(&t, cases[i].text, NOW + 10, &who, &msg),
                     PMP_EUNAUTHENTICATED);
    assert_null(who);
    assert_non_null(strstr(msg.text, cases[i].says));
    if (cases[i].text && strlen(cases[i].text) > 5) assert_null(strstr(msg.text, cases[i].text));
  }
  memset(bad, 'a', sizeof bad - 1);
  bad[sizeof bad - 1] = '\0';
  assert_int_equal(pmp_tokens_check(&t, bad, NOW, &who, &msg), PMP_EUNAUTHENTICATED);
  for (int i = 0; i < 47; i++) { /* each of its letters counts */
    strcpy(bad, ada);
    bad[i] = bad[i] == 'x' ? 'y' : 'x';
    assert_int_equal(pmp_tokens_check(&t, bad, NOW, &who, &msg), PMP_EUNAUTHENTICATED);
  }
  assert_int_equal(pmp_tokens_check(&t, ada, NOW, &who, &msg), PMP_OK);
  pmp_tokens_fini(&t);
}

static void a_session_is_good_until_its_token_ends(void **state) {
  const struct folder *f = *state;
  char ada[PMP_TOKEN_TEXT_MAX], again[PMP_TOKEN_TEXT_MAX];
  struct pmp_errmsg msg = {{0}};
  create(f, "ada", 2, NOW + 100, ada);
  struct pmp_tokens t;
  load(f, &t);
  const struct pmp_token *who = NULL;
  assert_int_equal(pmp_tokens_check(&t, ada, NOW, &who, &msg), PMP_OK);
  const struct pmp_token kept = *who;
  assert_true(pmp_tokens_good(&t, &kept, NOW + 99));
  assert_false(pmp_tokens_good(&t, &kept, NOW + 100));
  assert_int_equal(pmp_tokens_revoke(f->dir, "ada", NOW, &msg), PMP_OK);
  assert_int_equal(pmp_tokens_revoke(f->dir, "ada", NOW, &msg), PMP_ENOTFOUND);
  create(f, "ada", 2, 0, again); /* the name is free again, the old token is not good again */
  assert_true(pmp_tokens_stale(&t, f->dir));
  pmp_tokens_fini(&t);
  load(f, &t);
  assert_int_equal(t.count, 2);
  assert_false(pmp_tokens_good(&t, &kept, NOW));
  assert_int_equal(pmp_tokens_check(&t, ada, NOW, &who, &msg), PMP_EUNAUTHENTICATED);
  assert_int_equal(pmp_tokens_check(&t, again, NOW, &who, &msg), PMP_OK);
  struct pmp_token other = *who;
  other.role = 4;
  assert_false(pmp_tokens_good(&t, &other, NOW));
  pmp_tokens_fini(&t);
}

static void names_roles_and_times_are_checked(void **state) {
  const struct folder *f = *state;
  char text[PMP_TOKEN_TEXT_MAX], longest[PMP_TOKEN_NAME_MAX + 1];
  struct pmp_errmsg msg = {{0}};
  memset(longest, 'n', sizeof longest);
  longest[PMP_TOKEN_NAME_MAX] = '\0';
  const char *const bad[] = {"", "a b", "../x", "\"", "a\n", longest};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    memset(text, 9, sizeof text);
    assert_int_equal(pmp_tokens_create(f->dir, bad[i], 2, NOW, 0, text, &msg), PMP_EINVALID);
    assert_int_equal(text[0], 0);
  }
  assert_int_equal(pmp_tokens_create(f->dir, "a", 0, NOW, 0, text, &msg), PMP_EINVALID);
  assert_int_equal(pmp_tokens_create(f->dir, "a", 5, NOW, 0, text, &msg), PMP_EINVALID);
  assert_int_equal(pmp_tokens_create(f->dir, "a", 1, NOW, NOW, text, &msg), PMP_EINVALID);
  assert_int_not_equal(access(f->json, F_OK), 0);
  longest[PMP_TOKEN_NAME_MAX - 1] = '\0';
  create(f, longest, 1, NOW + 1, text);
  assert_int_equal(pmp_tokens_create(f->dir, longest, 1, NOW, 0, text, &msg), PMP_ECONFLICT);
  assert_int_equal(pmp_tokens_create(f->dir, longest, 1, NOW + 1, 0, text, &msg), PMP_OK);
  assert_int_equal(pmp_token_role_of("labeler"), 2);
  assert_int_equal(pmp_token_role_of("none"), 0);
  assert_string_equal(pmp_token_role_name(4), "operator");
  assert_string_equal(pmp_token_role_name(-1), "none");
}

static void a_broken_file_lets_nobody_in(void **state) {
  const struct folder *f = *state;
  static const char *const broken[] = {
      "",
      "{",
      "[]",
      "null",
      "{\"format\": 1}",
      "{\"format\": 2, \"tokens\": []}",
      "{\"format\": 1, \"tokens\": {}}",
      "{\"format\": 1, \"tokens\": [], \"more\": 1}",
      "{\"format\": 1, \"tokens\": [{\"name\": \"ada\"}]}",
      "{\"format\": 1, \"tokens\": [7]}",
      "{\"format\": 1, \"tokens\": [{\"name\": \"a\", \"role\": \"king\", \"hash\": \"00\", "
      "\"created\": 0, \"expires\": 0, \"revoked\": 0}]}",
      "{\"format\": 1, \"tokens\": [{\"name\": \"a\", \"role\": \"actor\", \"hash\": \"00\", "
      "\"created\": 0, \"expires\": 0, \"revoked\": 0}]}"};
  char ada[PMP_TOKEN_TEXT_MAX];
  create(f, "ada", 2, 0, ada);
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
    write_file(f->json, broken[i], 0600);
    struct pmp_tokens t;
    struct pmp_errmsg msg = {{0}};
    const struct pmp_token *who = NULL;
    assert_int_equal(pmp_tokens_load(&t, f->dir, &msg), PMP_ECORRUPT);
    assert_non_null(strstr(msg.text, "tokens.json"));
    assert_true(t.present);
    assert_int_equal(t.count, 0);
    assert_int_equal(pmp_tokens_check(&t, ada, NOW, &who, NULL), PMP_EUNAUTHENTICATED);
    assert_false(pmp_tokens_stale(&t, f->dir));
    /* Nothing is written over what is not understood. */
    char text[PMP_TOKEN_TEXT_MAX];
    assert_int_equal(pmp_tokens_create(f->dir, "eve", 4, NOW, 0, text, &msg), PMP_ECORRUPT);
    assert_int_equal(text[0], 0);
    pmp_tokens_fini(&t);
  }
}

static void files_that_are_too_open_let_nobody_in(void **state) {
  const struct folder *f = *state;
  char ada[PMP_TOKEN_TEXT_MAX];
  create(f, "ada", 2, 0, ada);
  static const struct {
    bool key;
    mode_t mode;
    bool good;
  } cases[] = {{true, 0640, false},  {true, 0604, false}, {true, 0660, false},
               {true, 0400, true},   {true, 0600, true},  {false, 0620, false},
               {false, 0602, false}, {false, 0644, true}};
  struct pmp_tokens t;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct pmp_errmsg msg = {{0}};
    load(f, &t);
    assert_int_equal(chmod(cases[i].key ? f->key : f->json, cases[i].mode), 0);
    assert_true(pmp_tokens_stale(&t, f->dir)); /* mended or spoilt, the daemon notices */
    pmp_tokens_fini(&t);
    assert_int_equal(pmp_tokens_load(&t, f->dir, &msg), cases[i].good ? PMP_OK : PMP_ECORRUPT);
    assert_int_equal(t.count, cases[i].good ? 1 : 0);
    assert_true(t.present);
    if (!cases[i].good) assert_non_null(strstr(msg.text, "chmod 600"));
    pmp_tokens_fini(&t);
    chmod(f->key, 0600);
    chmod(f->json, 0600);
  }
  struct pmp_errmsg msg = {{0}};
  write_file(f->key, "short", 0600);
  assert_int_equal(pmp_tokens_load(&t, f->dir, &msg), PMP_ECORRUPT);
  assert_non_null(strstr(msg.text, "5 bytes"));
  pmp_tokens_fini(&t);
  unlink(f->key);
  assert_int_equal(pmp_tokens_load(&t, f->dir, &msg), PMP_ECORRUPT);
  assert_true(t.present);
  pmp_tokens_fini(&t);
}

static void many_makers_at_once_lose_nothing(void **state) {
  enum { MAKERS = 6, EACH = 5 };
  const struct folder *f = *state;
  int pipes[2];
  assert_int_equal(pipe(pipes), 0);
  for (int m = 0; m < MAKERS; m++) {
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) continue;
    int bad = 0;
    for (int i = 0; i < EACH; i++) {
      char name[32], text[PMP_TOKEN_TEXT_MAX] = "";
      snprintf(name, sizeof name, "maker-%d-%d", m, i);
      bad += pmp_tokens_create(f->dir, name, 1 + m % 4, NOW, 0, text, NULL) != PMP_OK;
      bad += write(pipes[1], text, sizeof text) != (ssize_t)sizeof text;
      (void)!pmp_tokens_create(f->dir, "wanted-by-all", 1, NOW, 0, text, NULL); /* one may */
    }
    _exit(bad);
  }
  for (int m = 0; m < MAKERS; m++) {
    int status = 0;
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
  }
  struct pmp_tokens t;
  load(f, &t);
  assert_int_equal(t.count, MAKERS * EACH + 1);
  for (int i = 0; i < MAKERS * EACH; i++) {
    char text[PMP_TOKEN_TEXT_MAX];
    const struct pmp_token *who = NULL;
    assert_int_equal(read(pipes[0], text, sizeof text), (ssize_t)sizeof text);
    assert_int_equal(pmp_tokens_check(&t, text, NOW, &who, NULL), PMP_OK);
    assert_memory_equal(who->name, "maker-", 6);
  }
  pmp_tokens_fini(&t);
  close(pipes[0]);
  close(pipes[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(without_a_file_no_tokens_are_wanted, make, drop),
      cmocka_unit_test_setup_teardown(a_token_proves_its_holder_and_is_kept_nowhere, make, drop),
      cmocka_unit_test_setup_teardown(whatever_is_no_good_token_is_refused, make, drop),
      cmocka_unit_test_setup_teardown(a_session_is_good_until_its_token_ends, make, drop),
      cmocka_unit_test_setup_teardown(names_roles_and_times_are_checked, make, drop),
      cmocka_unit_test_setup_teardown(a_broken_file_lets_nobody_in, make, drop),
      cmocka_unit_test_setup_teardown(files_that_are_too_open_let_nobody_in, make, drop),
      cmocka_unit_test_setup_teardown(many_makers_at_once_lose_nothing, make, drop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
