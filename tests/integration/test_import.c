/* Training without an actor: a file is imported, each row once whatever dies meanwhile, the learner
 * trains on it with a reference that stays as it is, and arrives where the closed form says. */
#include "base/rng.h"
#include "clients/libpmpo/pmpo.h"
#include "tests/support/small_run.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

static void make_file(const struct small_run *s, const char *name, const char *text, size_t size) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", s->d.root, name);
  test_file_write(path, text, size);
}

/* ---- pmpoctl ---- */

static pid_t begin_import(const struct small_run *s, const char *file, const char *log) {
  char program[512], path[400], where[400];
  snprintf(path, sizeof path, "%s/%s", s->d.root, file);
  snprintf(where, sizeof where, "%s/%s", s->d.root, log);
  unlink(where);
  const char *argv[] = {test_bin("pmpoctl", program),
                        "--dir",
                        s->d.dir,
                        "--timeout",
                        "20",
                        "import",
                        "--json",
                        path,
                        NULL};
  return test_spawn(program, argv, where);
}

static int end_import(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct said {
  json_int_t rows, fresh, already, evaluated;
};

static struct said said_of(const struct small_run *s, const char *log) {
  char path[400];
  struct said said;
  snprintf(path, sizeof path, "%s/%s", s->d.root, log);
  json_t *j = json_load_file(path, 0, NULL);
  if (!j) {
    char *text = test_file_read(path, NULL);
    print_error("%s\n", text ? text : "nothing was said");
    free(text);
  }
  assert_non_null(j);
  assert_int_equal(json_unpack(j, "{s:I, s:I, s:I, s:I}", "rows", &said.rows, "new", &said.fresh,
                               "already", &said.already, "evaluated", &said.evaluated),
                   0);
  json_decref(j);
  return said;
}

static struct said import_file(const struct small_run *s, const char *file) {
  const int code = end_import(begin_import(s, file, "said"));
  const struct said said = said_of(s, "said");
  assert_int_equal(code, 0);
  assert_int_equal(said.rows, said.fresh + said.already);
  return said;
}

static uint64_t rows_there(struct small_run *s) {
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  return (uint64_t)test_rpc_number(&s->observer, "store.rows");
}

/* ---- training ---- */

static void offline_init(struct small_run *s) {
  memset(s, 0, sizeof *s);
  test_pmpod_init(&s->d);
  test_pmpod_set(&s->d, "spec.action_dim=1");
  test_pmpod_set(&s->d, "limits.chunk_rows=64");
  test_pmpod_set(&s->d, "learner.tolerance=unlimited");
  test_pmpod_set(&s->d, "learner.refresh_period=0");
  test_pmpod_set(&s->d, "learner.capacity=16384");
  test_pmpod_set(&s->d, "store.capacity_rows=100000");
}

/* Mean and spread of the policy that is trained: the head of a policy without a network. */
static void fetch_policy(const struct small_run *s, double *mean, double *std) {
  const struct pmpo_options o = {
      .url = s->d.desk, .role = PMP_ROLE_OBSERVER, .name = "reader", .client = "test"};
  struct pmp_errmsg msg;
  struct pmpo *c = NULL;
  struct pmp_arena arena;
  struct pmp_weights_reply w;
  float *head = NULL;
  if (pmpo_open(&c, &o, &msg) != PMP_OK) fail_msg("%s", msg.text);
  assert_int_equal(pmp_arena_init(&arena, 4 << 20), PMP_OK);
  if (pmpo_weights(c, PMP_WHICH_POLICY, 0, 0, 0, &arena, &w, &head, &msg) != PMP_OK)
    fail_msg("%s", msg.text);
  assert_int_equal(w.bytes, 2 * sizeof(float));
  *mean = (double)head[0];
  *std = log1p(exp((double)head[1])) + 1e-4;
  free(head);
  pmp_arena_fini(&arena);
  pmpo_close(c);
}

/* Outcomes of the reference N(0, 1), accepted near 1. The closed form of the split loss, reference
 * N(0, 1): m = d(E y) / beta_mean, var = 1 + d(E y^2) / beta_std, d = half the accepted's moment
 * less half the rejected's. */
struct bandit {
  char *text; /* owned */
  size_t size;
  uint32_t rows;
  double mean, var;
};

static struct bandit draw_bandit(uint32_t rows, double beta_mean, double beta_std) {
  struct bandit b = {.text = malloc(rows * 64), .rows = rows};
  double n[2] = {0}, first[2] = {0}, second[2] = {0};
  struct pmp_rng rng;
  assert_non_null(b.text);
  pmp_rng_init(&rng, 11, 0);
  for (uint32_t i = 0; i < rows; i++) {
    const float y = (float)pmp_rng_normal(&rng);
    const int accepted = fabsf(y - 1) < 0.4F;
    n[accepted]++;
    first[accepted] += (double)y;
    second[accepted] += (double)y * (double)y;
    b.size += (size_t)sprintf(b.text + b.size, "{\"y\": %.9g, \"verdict\": %s}\n", (double)y,
                              accepted ? "\"accept\"" : "-1");
  }
  b.mean = 0.5 * (first[1] / n[1] - first[0] / n[0]) / beta_mean;
  b.var = 1 + 0.5 * (second[1] / n[1] - second[0] / n[0]) / beta_std;
  return b;
}

static void the_policy_moves_to_the_accepted(void **state) {
  (void)state;
  struct small_run s;
  offline_init(&s);
  static const char *const set[] = {
      "policy.init_mean_range=0", "policy.init_std=1",      "policy.std_min=1e-4",
      "objective.alpha=0.5",      "objective.beta_mean=1",  "objective.beta_std=1",
      "learner.batch=512",        "learner.min_size=8000",  "optim.lr=0.01",
      "run.max_steps=1500",       "learner.sampler=uniform"};
  for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) test_pmpod_set(&s.d, set[i]);
  const struct bandit b = draw_bandit(8000, 1, 1);
  make_file(&s, "rows.jsonl", b.text, b.size);
  small_run_start(&s);
  struct said said = import_file(&s, "rows.jsonl");
  assert_int_equal(said.fresh, 8000);
  test_rpc_wait_number(&s.observer, "learner.steps", 1500, 30000);
  said = import_file(&s, "rows.jsonl"); /* the same rows again are no rows */
  assert_int_equal(said.fresh, 0);
  assert_int_equal(said.already, 8000);
  assert_int_equal(rows_there(&s), 8000);
  assert_int_equal((int)test_rpc_number(&s.observer, "replay.trainable"), 8000);
  assert_int_equal((int)test_rpc_number(&s.observer, "learner.version"), 1); /* never refreshed */
  double mean = 999, std = 999;
  fetch_policy(&s, &mean, &std);
  print_message("mean %.3f (closed form %.3f), std %.3f (%.3f)\n", mean, b.mean, std, sqrt(b.var));
  assert_true(b.mean > 0.5 && b.mean < 0.8); /* the data is as meant */
  assert_true(fabs(mean - b.mean) < 0.05);
  assert_true(fabs(std - sqrt(b.var)) < 0.05);
  small_run_fini(&s);
  free(b.text);
}

/* Evaluations only: the run's label rule accepts the best of each group. */
static void the_label_rule_judges_imported_groups(void **state) {
  (void)state;
  enum { GROUPS = 1000 };
  struct small_run s;
  offline_init(&s);
  static const char *const set[] = {"policy.init_mean_range=0",
                                    "policy.init_std=1",
                                    "policy.std_min=1e-4",
                                    "objective.alpha=0.5",
                                    "objective.beta_mean=2",
                                    "objective.beta_std=2",
                                    "label.rule=top_k",
                                    "label.k=2",
                                    "learner.batch=256",
                                    "learner.min_size=4000",
                                    "optim.lr=0.01",
                                    "run.max_steps=800"};
  for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) test_pmpod_set(&s.d, set[i]);
  char *text = malloc(GROUPS * 4 * 80);
  size_t size = 0;
  struct pmp_rng rng;
  assert_non_null(text);
  pmp_rng_init(&rng, 12, 0);
  for (int i = 0; i < GROUPS * 4; i++) {
    const double y = pmp_rng_normal(&rng);
    size += (size_t)sprintf(text + size, "{\"y\": %.9g, \"f\": %.9g, \"group\": %d}\n", y,
                            -fabs(y - 1), i / 4);
  }
  make_file(&s, "groups.jsonl", text, size);
  small_run_start(&s);
  const struct said said = import_file(&s, "groups.jsonl");
  assert_int_equal(said.fresh, 4 * GROUPS);
  assert_int_equal(said.evaluated, 4 * GROUPS);
  test_rpc_wait_number(&s.observer, "learner.steps", 800, 30000);
  const double accepted = test_rpc_wait_number(&s.observer, "learner.accepted_total", 1, 1000);
  assert_true(accepted == test_rpc_number(&s.observer, "learner.rejected_total"));
  double mean = 999, std = 999;
  fetch_policy(&s, &mean, &std);
  if (!(mean > 0.2 && mean < 1)) fail_msg("the mean is %g", mean);
  small_run_fini(&s);
  free(text);
}

/* ---- whatever dies ---- */

/* Rows whose contents are their numbers. */
static void numbered_file(const struct small_run *s, uint32_t rows) {
  char *text = malloc(rows * 48);
  size_t size = 0;
  assert_non_null(text);
  for (uint32_t i = 0; i < rows; i++)
    size += (size_t)sprintf(text + size, "{\"y\": %u, \"verdict\": %d}\n", i, i % 2 ? 1 : -1);
  make_file(s, "rows.jsonl", text, size);
  free(text);
}

/* An import that was killed, or whose daemon was, and that then ran to its end, has put each row of
 * the file into the store once: as many as the file has, and the last is the last. */
static void check_store(struct small_run *s, uint32_t rows) {
  assert_int_equal(rows_there(s), rows);
  assert_int_equal((uint32_t)test_rpc_number(&s->observer, "store.rows_total"), rows);
  assert_int_equal((uint32_t)test_rpc_number(&s->observer, "replay.accepted"), rows / 2);
  assert_int_equal((uint32_t)test_rpc_number(&s->observer, "replay.rejected"), rows / 2);
  small_run_disconnect(s);
  test_pmpod_stop(&s->d);
  char out[4096];
  const char *argv[] = {"--check", s->d.dir, NULL};
  const int code = test_pmpod_run(out, sizeof out, argv);
  if (code != 0) fail_msg("%s", out);
}

static void a_killed_import_goes_on(void **state) {
  (void)state;
  enum { ROWS = 12000 };
  struct small_run s;
  offline_init(&s);
  test_pmpod_set(&s.d, "learner.min_size=12000");
  test_pmpod_set(&s.d, "run.max_steps=1");
  numbered_file(&s, ROWS);
  small_run_start(&s);
  int kills = 0;
  for (uint64_t before = 0; kills < 25; before = rows_there(&s)) {
    const pid_t pid = begin_import(&s, "rows.jsonl", "import-log");
    int status = 0;
    pid_t ended = 0;
    while (ended == 0 && rows_there(&s) == before) ended = waitpid(pid, &status, WNOHANG);
    if (ended == pid) break; /* nothing was left to send */
    test_reap(pid);
    kills++;
  }
  print_message("%d imports were killed\n", kills);
  const struct said said = import_file(&s, "rows.jsonl");
  assert_int_equal(said.rows, ROWS);
  if (kills > 2) assert_true(said.already > 0);
  test_rpc_wait_number(&s.observer, "replay.trainable", ROWS, 10000);
  check_store(&s, ROWS);
  test_pmpod_fini(&s.d);
}

static void a_killed_daemon_loses_nothing(void **state) {
  (void)state;
  enum { ROWS = 12000 };
  struct small_run s;
  offline_init(&s);
  test_pmpod_set(&s.d, "learner.min_size=12000");
  test_pmpod_set(&s.d, "run.max_steps=1");
  numbered_file(&s, ROWS);
  small_run_start(&s);
  const pid_t pid = begin_import(&s, "rows.jsonl", "import-log");
  for (int round = 0; round < 4; round++) {
    if (round == 2) test_pmpod_fix_ports(&s.d); /* before: at another address each time */
    const uint64_t before = rows_there(&s);
    while (rows_there(&s) == before && waitpid(pid, NULL, WNOHANG) == 0) continue;
    small_run_disconnect(&s);
    test_pmpod_kill(&s.d);
    test_pmpod_start(&s.d);
    small_run_connect(&s, 1);
  }
  int status = 0;
  const pid_t got = waitpid(pid, &status, 0);
  if (got == pid) assert_int_equal(status, 0);
  const struct said said = said_of(&s, "import-log");
  assert_int_equal(said.rows, ROWS);
  assert_int_equal(said.fresh, ROWS);
  test_rpc_wait_number(&s.observer, "replay.trainable", ROWS, 10000);
  check_store(&s, ROWS);
  test_pmpod_fini(&s.d);
}

/* Two at once: the later one takes over, and both together send each row once. */
static void two_imports_of_one_file_are_one(void **state) {
  (void)state;
  enum { ROWS = 12000 };
  struct small_run s;
  offline_init(&s);
  test_pmpod_set(&s.d, "learner.min_size=12000");
  test_pmpod_set(&s.d, "run.max_steps=1");
  numbered_file(&s, ROWS);
  small_run_start(&s);
  const pid_t first = begin_import(&s, "rows.jsonl", "first");
  while (rows_there(&s) == 0) continue;
  const pid_t second = begin_import(&s, "rows.jsonl", "second");
  const int first_code = end_import(first), second_code = end_import(second);
  assert_true(first_code == 0 || first_code == 1); /* 1: it was fenced, and said so */
  assert_int_equal(second_code, 0);
  const struct said said = said_of(&s, "second");
  assert_true(said.already > 0);
  test_rpc_wait_number(&s.observer, "replay.trainable", ROWS, 10000);
  check_store(&s, ROWS);
  test_pmpod_fini(&s.d);
}

/* Rows of another sort under the name that the file's rows would have. */
static void a_name_with_other_rows_is_refused(void **state) {
  (void)state;
  struct small_run s;
  offline_init(&s);
  numbered_file(&s, 4);
  small_run_start(&s);
  char path[400], program[512], where[400];
  snprintf(path, sizeof path, "%s/rows.jsonl", s.d.root);
  assert_int_equal(import_file(&s, "rows.jsonl").fresh, 4);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  struct pmp_request q = {.verb = PMP_VERB_STATUS, .u.status.actors = true};
  assert_int_equal(test_rpc_call(&s.observer, &q), PMP_OK);
  char name[PMP_NAME_MAX] = "";
  for (uint32_t i = 0; i < s.observer.reply.u.status.actors; i++) {
    const struct pmp_actor_status *a = &s.observer.reply.u.status.actor[i];
    if (strncmp(a->name, "import-", 7) == 0) snprintf(name, sizeof name, "%s", a->name);
  }
  assert_int_equal(strlen(name), 7 + 32);
  static const struct {
    char bytes[16];
    size_t size;
  } kept[] = {{"abc", 3}, {"pmpimp01\4", 16}}; /* the second says 4 rows, and there are more */
  const float y = 3;
  const struct pmp_chunk c = {.source = PMP_SOURCE_ACTOR,
                              .shape = PMP_SHAPE_OUTCOMES,
                              .rows = 1,
                              .groups = 1,
                              .action = {PMP_F32, 2, {1, 1}, &y, sizeof y}};
  snprintf(where, sizeof where, "%s/import-log", s.d.root);
  for (int i = 0; i < 2; i++) {
    struct test_rpc other;
    test_rpc_open(&other, s.d.data);
    assert_int_equal(test_rpc_hello(&other, PMP_ROLE_ACTOR, name, (uint8_t)(7 + i)), PMP_OK);
    assert_int_equal(test_rpc_append(&other, 1, &c, kept[i].bytes, kept[i].size), PMP_OK);
    test_rpc_close(&other);
    unlink(where);
    const char *argv[] = {test_bin("pmpoctl", program), "--dir", s.d.dir, "import", path, NULL};
    assert_int_equal(end_import(test_spawn(program, argv, where)), 1);
    char *text = test_file_read(where, NULL);
    assert_non_null(text);
    if (!strstr(text, "that no import of this file sent")) fail_msg("%s", text);
    free(text);
    assert_int_equal(rows_there(&s), 5 + i);
  }
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_policy_moves_to_the_accepted),
      cmocka_unit_test(the_label_rule_judges_imported_groups),
      cmocka_unit_test(a_killed_import_goes_on),
      cmocka_unit_test(a_killed_daemon_loses_nothing),
      cmocka_unit_test(two_imports_of_one_file_are_one),
      cmocka_unit_test(a_name_with_other_rows_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
