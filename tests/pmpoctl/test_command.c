/* The table of commands: every one is complete, and a typo finds its neighbour. */
#include "clients/pmpoctl/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_every_command_is_complete(void **state) {
  (void)state;
  size_t n = 0;
  for (const struct pmp_command *c; (c = pmp_command_at(n)) != NULL; n++) {
    assert_non_null(c->run);
    assert_memory_equal(c->synopsis, c->name, strlen(c->name));
    assert_true(strlen(c->brief) > 10 && strlen(c->brief) < 70);
    assert_true(c->help[0] != '\0' && c->help[strlen(c->help) - 1] == '\n');
    assert_ptr_equal(pmp_command_find(c->name), c);
  }
  assert_int_equal(n, 27);
  assert_null(pmp_command_find("nothing"));
}

static void test_nearest(void **state) {
  (void)state;
  static const char *const typo[][2] = {{"staus", "status"}, {"wacth", "watch"},
                                        {"hist", "history"}, {"checkpint", "checkpoint"},
                                        {"actor", "actors"}, {"puase", "pause"}};
  for (size_t i = 0; i < sizeof typo / sizeof typo[0]; i++) {
    const struct pmp_command *c = pmp_command_nearest(typo[i][0]);
    assert_non_null(c);
    assert_string_equal(c->name, typo[i][1]);
  }
  assert_null(pmp_command_nearest("xyzzy"));
  assert_null(pmp_command_nearest(""));
  assert_null(pmp_command_nearest("a name that is far longer than any command could ever be"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_command_is_complete),
                                     cmocka_unit_test(test_nearest)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
