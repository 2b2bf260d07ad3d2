/* What a mistyped name may have meant. */
#include "clients/pmpoctl/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const all[] = {"learner.loss",        "learner.loss_kl",    "learner.kl",
                                  "actor.eval_return",   "actor.return",       "learner.q_mean",
                                  "learner.critic_loss", "learner.steps_per_s"};

static const char *meant(const char *name, char out[PMP_NAMES_TEXT]) {
  struct pmp_names n;
  char candidate[64]; /* a name is copied when it is offered */
  pmp_names_init(&n, name);
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    strcpy(candidate, all[i]);
    pmp_names_offer(&n, candidate);
  }
  strcpy(candidate, "overwritten");
  return pmp_names_text(&n, " (none)", out);
}

static void the_nearest_come_first(void **state) {
  (void)state;
  char out[PMP_NAMES_TEXT];
  assert_string_equal(meant("learner.critic_lss", out), "; did you mean learner.critic_loss?");
  assert_string_equal(meant("learner.los_kl", out),
                      "; did you mean learner.loss_kl or learner.loss?");
  assert_string_equal(meant("retrun", out),
                      "; did you mean actor.return?"); /* without its prefix */
  assert_string_equal(meant("actor.", out), "; did you mean actor.eval_return or actor.return?");
  assert_string_equal(meant("learner", out),
                      "; did you mean learner.loss, learner.loss_kl or learner.kl?");
}

static void what_is_like_nothing_is_said_otherwise(void **state) {
  (void)state;
  char out[PMP_NAMES_TEXT];
  assert_string_equal(meant("temperature", out), " (none)");
  assert_string_equal(meant("x", out), " (none)");
  assert_string_equal(meant("", out), " (none)");
}

static void a_name_that_there_is_is_known(void **state) {
  (void)state;
  struct pmp_names n;
  pmp_names_init(&n, "learner.kl");
  pmp_names_offer(&n, "learner.k");
  assert_false(n.known);
  pmp_names_offer(&n, "learner.kl");
  assert_true(n.known);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_nearest_come_first),
                                     cmocka_unit_test(what_is_like_nothing_is_said_otherwise),
                                     cmocka_unit_test(a_name_that_there_is_is_known)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
