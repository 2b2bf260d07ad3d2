/* The table of tasks and its look-up. */
#include "tests/control/support.h"

static void test_table_is_sound(void **state) {
  (void)state;
  assert_true(pmp_task_count() >= 5);
  assert_null(pmp_task_at(pmp_task_count()));
  for (size_t i = 0; i < pmp_task_count(); i++) {
    const struct pmp_task *task = pmp_task_at(i), *found = NULL;
    struct pmp_errmsg msg = {{0}};
    ASSERT_OK(pmp_task_find(task->name, &found, &msg));
    assert_ptr_equal(task, found); /* and so no name twice */
    assert_true(strlen(task->name) < PMP_TASK_NAME_MAX);
    assert_true(task->obs_dim > 0 && task->obs_dim <= PMP_TASK_OBS_MAX);
    assert_true(task->act_dim > 0 && task->act_dim <= PMP_TASK_ACT_MAX);
    assert_true(task->step_limit == 1000 && task->substeps >= 1);
    assert_true(task->init != NULL && task->observe != NULL && task->reward != NULL);
  }
}

static void expect_nearest(const char *typed, const char *nearest) {
  const struct pmp_task *found = NULL;
  struct pmp_errmsg msg = {{0}};
  char begin[128];
  assert_int_equal(pmp_task_find(typed, &found, &msg), PMP_ENOTFOUND);
  assert_null(found);
  snprintf(begin, sizeof(begin), "the nearest are: %s", nearest);
  if (strstr(msg.text, begin) == NULL) fail_msg("%s", msg.text);
}

static void test_typos_get_the_nearest_names(void **state) {
  (void)state;
  expect_nearest("cartpol_swingup", "cartpole_swingup, ");
  expect_nearest("cheetah-run", "cheetah_run, ");
  expect_nearest("cheetah", "cheetah_run, ");
  expect_nearest("CARTPOLE_BALANCE_SPARSE", "cartpole_balance_sparse, ");
  expect_nearest("", "");
  char longest[4096];
  memset(longest, 'x', sizeof(longest));
  longest[sizeof(longest) - 1] = '\0';
  expect_nearest(longest, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table_is_sound),
      cmocka_unit_test(test_typos_get_the_nearest_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
