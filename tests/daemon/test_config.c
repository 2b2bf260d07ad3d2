/* The configuration: every key there and back, through text, file and listing; and what is said
 * when it is wrong. */
#include "daemon/config.h"

#include "tests/daemon/unit.h"
#include "tests/support/pmpod_process.h"

#include <unistd.h>

static char file[300];

static int make_file(void **state) {
  (void)state;
  const char *tmp = getenv("TMPDIR");
  snprintf(file, sizeof file, "%.200s/pmpod-config-XXXXXX", tmp ? tmp : "/tmp");
  const int fd = mkstemp(file);
  if (fd < 0) return -1;
  close(fd);
  return 0;
}

static int remove_file(void **state) {
  (void)state;
  return unlink(file);
}

static enum pmp_err load(struct pmp_config *c, const char *text, struct pmp_errmsg *msg) {
  test_file_write(file, text, strlen(text));
  pmp_config_defaults(c);
  memset(msg, 0, sizeof *msg);
  return pmp_config_load(c, file, msg);
}

static bool same(const struct pmp_config *a, const struct pmp_config *b) {
  size_t count = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  for (size_t i = 0; i < count; i++) {
    char x[PMP_CONFIG_TEXT_MAX], y[PMP_CONFIG_TEXT_MAX];
    pmp_config_get(a, &keys[i], x, sizeof x);
    pmp_config_get(b, &keys[i], y, sizeof y);
    if (strcmp(x, y) != 0) {
      print_error("%s.%s: %s and %s\n", keys[i].section, keys[i].key, x, y);
      return false;
    }
  }
  return true;
}

static void print_to_file(const struct pmp_config *c) {
  FILE *out = fopen(file, "w");
  assert_non_null(out);
  pmp_config_print(c, out);
  assert_int_equal(fclose(out), 0);
}

/* A value of a key that is neither the default nor an end of its range where that can be. */
static void other_value(const struct pmp_config_key *k, char out[PMP_CONFIG_TEXT_MAX]) {
  switch (k->type) {
  case PMP_CONFIG_BOOL:
    snprintf(out, PMP_CONFIG_TEXT_MAX, "%s", strcmp(k->fallback, "true") == 0 ? "false" : "true");
    return;
  case PMP_CONFIG_UINT:
    snprintf(out, PMP_CONFIG_TEXT_MAX, "%.0f", floor(k->min + fmin(7, k->max - k->min)));
    return;
  case PMP_CONFIG_FLOAT:
    snprintf(out, PMP_CONFIG_TEXT_MAX, "%.17g", k->min + 0.3 * fmin(1, k->max - k->min));
    return;
  case PMP_CONFIG_TEXT:
    snprintf(out, PMP_CONFIG_TEXT_MAX, "another text: # with 'signs'");
    return;
  case PMP_CONFIG_ENUM:
    snprintf(out, PMP_CONFIG_TEXT_MAX, "%s", strrchr(k->choices, '|') + 1);
    return;
  case PMP_CONFIG_LIST:
    snprintf(out, PMP_CONFIG_TEXT_MAX, "[3, 5, 8]");
    return;
  }
}

static void every_key_reads_back_equal(void **state) {
  (void)state;
  size_t count = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  assert_true(count > 60);
  for (size_t i = 0; i < count; i++) {
    const struct pmp_config_key *k = &keys[i];
    char path[96], value[PMP_CONFIG_TEXT_MAX], got[PMP_CONFIG_TEXT_MAX], again[PMP_CONFIG_TEXT_MAX];
    struct pmp_errmsg msg = {{0}};
    struct pmp_config c, d;
    snprintf(path, sizeof path, "%s.%s", k->section, k->key);
    assert_ptr_equal(pmp_config_find(path), k);
    assert_true(strlen(k->doc) > 5);
    pmp_config_defaults(&c);
    other_value(k, value);
    if (pmp_config_set(&c, path, value, &msg) != PMP_OK)
      fail_msg("%s = %s: %s", path, value, msg.text);
    pmp_config_get(&c, k, got, sizeof got);
    pmp_config_defaults(&d);
    assert_int_equal(pmp_config_set(&d, path, got, &msg), PMP_OK);
    pmp_config_get(&d, k, again, sizeof again);
    assert_string_equal(got, again);
    if (k->type != PMP_CONFIG_FLOAT) assert_string_equal(got, value);
    print_to_file(&c); /* and through a file */
    pmp_config_defaults(&d);
    if (pmp_config_load(&d, file, &msg) != PMP_OK) fail_msg("%s", msg.text);
    assert_true(same(&c, &d));
  }
}

static void defaults_load_back_equal_and_are_good(void **state) {
  (void)state;
  struct pmp_config c, d;
  struct pmp_errmsg msg = {{0}};
  pmp_config_defaults(&c);
  print_to_file(&c);
  pmp_config_defaults(&d);
  if (pmp_config_load(&d, file, &msg) != PMP_OK) fail_msg("%s", msg.text);
  assert_true(same(&c, &d));
  assert_memory_equal(&c.limits, &d.limits, sizeof c.limits);
  if (pmp_config_check(&d, &msg) != PMP_OK) fail_msg("%s", msg.text);
}

static void texts_with_quotes_survive_a_listing(void **state) {
  (void)state;
  static const char *const text[] = {"say \"so\"", "a\\b", "tab\there", "", "ünï",
                                     "'",          "#",    "yes",       "1"};
  for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
    struct pmp_config c, d;
    struct pmp_errmsg msg = {{0}};
    pmp_config_defaults(&c);
    assert_int_equal(pmp_config_set(&c, "run.name", text[i], &msg), PMP_OK);
    print_to_file(&c);
    pmp_config_defaults(&d);
    if (pmp_config_load(&d, file, &msg) != PMP_OK) fail_msg("%s: %s", text[i], msg.text);
    assert_string_equal(d.run.name, text[i]);
  }
}

static void expect_refused(const char *text, const char *const say[4]) {
  struct pmp_config c;
  struct pmp_errmsg msg;
  if (load(&c, text, &msg) != PMP_EINVALID) fail_msg("this was taken: %s", text);
  for (int i = 0; i < 4 && say[i]; i++) {
    if (!strstr(msg.text, say[i])) fail_msg("\"%s\" does not say \"%s\"", msg.text, say[i]);
  }
  if (!strstr(msg.text, file)) fail_msg("\"%s\" does not name the file", msg.text);
}

static void mistakes_name_file_line_and_what_is_allowed(void **state) {
  (void)state;
  expect_refused("run:\n  name: x\n  sead: 4\n", (const char *const[4]){"sead", "3", "seed"});
  expect_refused("learner:\n  batch: 32\nlerner:\n  batch: 3\n",
                 (const char *const[4]){"lerner", "3", "learner"});
  expect_refused("learner:\n  batch: many\n", (const char *const[4]){"batch", "2"});
  expect_refused("run:\n  lockstep: 3\n", (const char *const[4]){"lockstep", "2"});
  expect_refused("label:\n  judge: nobody\n", (const char *const[4]){"judge", "2", "critic"});
  expect_refused("learner:\n  - batch\n", (const char *const[4]){"2"});
  expect_refused("learner: 3\n", (const char *const[4]){"learner"});
  expect_refused("policy:\n  hidden: 256\n", (const char *const[4]){"hidden", "2"});
  expect_refused("policy:\n  hidden: [1, 2, 3, 4, 5, 6, 7, 8, 9]\n",
                 (const char *const[4]){"hidden"});
  expect_refused("learner:\n  batch: 32\n batch: 4\n", (const char *const[4]){"3"});
  expect_refused("learner:\n  batch: 0\n", (const char *const[4]){"learner.batch", "1", "1048576"});
  expect_refused("learner:\n  batch: 1.5\n", (const char *const[4]){"learner.batch", "whole"});
  expect_refused("learner:\n  batch: -3\n", (const char *const[4]){"learner.batch", "range"});
  expect_refused("objective:\n  alpha: 1.5\n", (const char *const[4]){"objective.alpha", "0 to 1"});
  expect_refused("objective:\n  beta: automatic\n",
                 (const char *const[4]){"objective.beta", "automatic"});
  expect_refused("optim:\n  lr: .nan\n", (const char *const[4]){"lr"});
  expect_refused("spec:\n  observation: [0]\n",
                 (const char *const[4]){"spec.observation", "range"});
}

static void large_numbers_and_powers_of_ten_are_exact(void **state) {
  (void)state;
  struct pmp_config c;
  struct pmp_errmsg msg;
  assert_int_equal(
      load(&c, "run:\n  seed: 8999999999999999\nlearner:\n  capacity: 1e6\n  min_size: 1000.0\n",
           &msg),
      PMP_OK);
  assert_int_equal(c.run.seed, 8999999999999999u);
  assert_int_equal(c.learner.capacity, 1000000);
  assert_int_equal(c.learner.min_size, 1000);
  assert_int_equal(pmp_config_set(&c, "run.seed", "8999999999999999", &msg), PMP_OK);
  assert_int_equal(c.run.seed, 8999999999999999u);
}

static void an_empty_file_changes_nothing_and_a_missing_one_is_said(void **state) {
  (void)state;
  struct pmp_config c, d;
  struct pmp_errmsg msg;
  pmp_config_defaults(&d);
  assert_int_equal(load(&c, "{}\n", &msg), PMP_OK);
  assert_true(same(&c, &d));
  assert_int_equal(pmp_config_load(&c, "/no/such/file.yaml", &msg), PMP_ENOTFOUND);
  assert_non_null(strstr(msg.text, "/no/such/file.yaml"));
}

/* An empty list is a value, and not the same as no list. */
static void an_empty_list_replaces_the_default(void **state) {
  (void)state;
  struct pmp_config c, defaults;
  struct pmp_errmsg msg;
  pmp_config_defaults(&defaults);
  assert_true(defaults.policy.hidden.count > 0);
  assert_int_equal(load(&c, "policy:\n  hidden: []\n", &msg), PMP_OK);
  assert_int_equal(c.policy.hidden.count, 0);
  assert_int_equal(c.critic.hidden.count, defaults.critic.hidden.count);
  assert_int_equal(load(&c, "policy:\n  layer_norm: false\n", &msg), PMP_OK);
  assert_int_equal(c.policy.hidden.count, defaults.policy.hidden.count);
}

static void a_mistyped_key_is_told_the_nearest(void **state) {
  (void)state;
  static const struct {
    const char *typed, *meant;
  } row[] = {{"learner.bacth", "learner.batch"},
             {"optim.lrr", "optim.lr"},
             {"lerner.batch", "learner.batch"},
             {"checkpoint.keeps", "checkpoint.keep"}};
  struct pmp_config c;
  pmp_config_defaults(&c);
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    struct pmp_errmsg msg;
    assert_int_equal(pmp_config_set(&c, row[i].typed, "1", &msg), PMP_EINVALID);
    if (!strstr(msg.text, row[i].meant)) fail_msg("%s: %s", row[i].typed, msg.text);
  }
  char path[2000];
  memset(path, 'x', sizeof path);
  path[1999] = '\0';
  struct pmp_errmsg msg;
  assert_int_equal(pmp_config_set(&c, path, "1", &msg), PMP_EINVALID);
  assert_int_equal(pmp_config_set(&c, "", "1", &msg), PMP_EINVALID);
  assert_int_equal(pmp_config_set(&c, ".", "1", &msg), PMP_EINVALID);
  assert_int_equal(pmp_config_assign(&c, "learner.batch", &msg), PMP_EINVALID);
  assert_int_equal(pmp_config_assign(&c, "=3", &msg), PMP_EINVALID);
  assert_int_equal(pmp_config_assign(&c, "learner.batch=33", &msg), PMP_OK);
  assert_int_equal(c.learner.batch, 33);
}

static void refused_values_change_nothing(void **state) {
  (void)state;
  static const char *const bad[] = {"",   " ",     "x",   "1x",  "0x",  "nan", "inf",
                                    "-1", "1e400", "1 2", "--1", "2e6", "3,5"};
  struct pmp_config c, d;
  pmp_config_defaults(&c);
  pmp_config_defaults(&d);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct pmp_errmsg msg;
    if (pmp_config_set(&c, "learner.batch", bad[i], &msg) != PMP_EINVALID)
      fail_msg("batch %s was taken", bad[i]);
    assert_int_equal(pmp_config_set(&c, "run.lockstep", bad[i], &msg), PMP_EINVALID);
    assert_int_equal(pmp_config_set(&c, "label.judge", bad[i], &msg), PMP_EINVALID);
  }
  assert_true(same(&c, &d));
}

static void what_holds_between_keys_is_checked(void **state) {
  (void)state;
  static const struct {
    const char *set[4], *say;
  } row[] = {{{"label.judge=critic"}, "trajectories"},
             {{"spec.shape=trajectories"}, "critic"},
             {{"spec.shape=trajectories", "label.judge=critic"}, "observation"},
             {{"spec.action_low=1", "spec.action_high=1"}, "action_low"},
             {{"objective.beta_mean=1"}, "beta_std"},
             {{"run.lockstep=true", "label.judge=people"}, "lockstep"},
             {{"learner.tolerance=10"}, "learner.tolerance"},
             {{"store.capacity_rows=1000"}, "store.capacity_rows"},
             {{"learner.capacity=100"}, "learner.capacity"},
             {{"objective.name=magic"}, "magic"},
             {{"spec.observation=[65536, 65536]"}, "spec.observation"},
             {{"spec.observation=[16777216, 16777216, 16777216]"}, "spec.observation"}};
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    struct pmp_config c;
    struct pmp_errmsg msg = {{0}};
    pmp_config_defaults(&c);
    for (int k = 0; k < 4 && row[i].set[k]; k++)
      assert_int_equal(pmp_config_assign(&c, row[i].set[k], &msg), PMP_OK);
    const enum pmp_err err = pmp_config_check(&c, &msg);
    if (err == PMP_OK) fail_msg("%s was taken", row[i].set[0]);
    if (!strstr(msg.text, row[i].say))
      fail_msg("%s: \"%s\" does not say %s", row[i].set[0], msg.text, row[i].say);
  }
}

static void the_tolerance_that_0_stands_for_follows_the_ratio(void **state) {
  (void)state;
  struct pmp_config c;
  struct pmp_errmsg msg;
  pmp_config_defaults(&c);
  assert_int_equal(pmp_config_check(&c, &msg), PMP_OK);
  assert_true(pmp_config_tolerance(&c, 32) == 2.0 * 32 * 1024);
  assert_true(pmp_config_tolerance(&c, 64) == 2.0 * 64 * 1024);
  assert_true(pmp_config_tolerance(&c, 0.001) == 2.0 * 256); /* never below two batches */
  assert_int_equal(pmp_config_set(&c, "learner.samples_per_insert", "100", &msg), PMP_OK);
  assert_int_equal(pmp_config_check(&c, &msg), PMP_OK);
  assert_int_equal(pmp_config_set(&c, "learner.tolerance", "1e6", &msg), PMP_OK);
  assert_int_equal(pmp_config_check(&c, &msg), PMP_OK);
  assert_true(pmp_config_tolerance(&c, 1) == 1e6);
  assert_int_equal(pmp_config_set(&c, "learner.tolerance", "unlimited", &msg), PMP_OK);
  assert_int_equal(pmp_config_check(&c, &msg), PMP_OK);
  assert_true(pmp_config_tolerance(&c, 100) == INFINITY);
}

static void live_keys_are_those_of_the_protocol(void **state) {
  (void)state;
  static const char *const live[] = {"critic.lr",
                                     "objective.alpha",
                                     "objective.beta",
                                     "objective.beta_mean",
                                     "objective.beta_std",
                                     "optim.lr",
                                     "learner.samples_per_insert",
                                     "learner.refresh_period"};
  size_t count = 0, found = 0;
  const struct pmp_config_key *keys = pmp_config_keys(&count);
  for (size_t i = 0; i < count; i++) found += keys[i].live;
  assert_int_equal(found, sizeof live / sizeof live[0]);
  for (size_t i = 0; i < sizeof live / sizeof live[0]; i++) {
    const struct pmp_config_key *k = pmp_config_find(live[i]);
    assert_non_null(k);
    assert_true(k->live);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_key_reads_back_equal),
      cmocka_unit_test(defaults_load_back_equal_and_are_good),
      cmocka_unit_test(texts_with_quotes_survive_a_listing),
      cmocka_unit_test(mistakes_name_file_line_and_what_is_allowed),
      cmocka_unit_test(large_numbers_and_powers_of_ten_are_exact),
      cmocka_unit_test(an_empty_file_changes_nothing_and_a_missing_one_is_said),
      cmocka_unit_test(an_empty_list_replaces_the_default),
      cmocka_unit_test(a_mistyped_key_is_told_the_nearest),
      cmocka_unit_test(refused_values_change_nothing),
      cmocka_unit_test(what_holds_between_keys_is_checked),
      cmocka_unit_test(the_tolerance_that_0_stands_for_follows_the_ratio),
      cmocka_unit_test(live_keys_are_those_of_the_protocol),
  };
  return cmocka_run_group_tests(tests, make_file, remove_file);
}
