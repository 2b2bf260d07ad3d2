/* Warnings: silence when all is well, a line for what is not, never more than there is room for. */
#include "daemon/warn.h"

#include "tests/daemon/unit.h"

struct world {
  struct pmp_learn_status learn;
  struct pmp_store_stats store;
  struct pmp_tally tally;
  struct pmp_warn_facts facts;
  char text[PMP_WARN_BYTES];
};

static void metric(struct world *w, const char *name, double value) {
  struct pmp_store_point *p = &w->learn.last[w->learn.lasts++];
  snprintf(p->name, sizeof p->name, "learner.%s", name);
  p->value = value;
}

/* A healthy run of PMPO. */
static void healthy(struct world *w) {
  memset(w, 0, sizeof *w);
  memset(w->text, '?', sizeof w->text);
  w->learn.state = PMP_LEARN_RUNNING;
  w->learn.live.alpha = 0.5;
  w->store.health = PMP_STORE_HEALTHY;
  w->facts = (struct pmp_warn_facts){.learn = &w->learn,
                                     .store = &w->store,
                                     .tally = &w->tally,
                                     .objective = pmp_objective_find("pmpo"),
                                     .actors = 2,
                                     .active = 2};
  metric(w, "informative", 1);
  metric(w, "kl_margin", 0.4);
  metric(w, "accepted", 64);
  metric(w, "rejected", 64);
  metric(w, "ess_accepted", 60);
  metric(w, "ess_rejected", 64);
  metric(w, "empty_accepted", 0);
  metric(w, "empty_rejected", 0.1);
}

static void change(struct world *w, const char *name, double value) {
  char full[64];
  snprintf(full, sizeof full, "learner.%s", name);
  for (uint32_t i = 0; i < w->learn.lasts; i++)
    if (strcmp(w->learn.last[i].name, full) == 0) w->learn.last[i].value = value;
}

static void expect(struct world *w, uint32_t count, const char *words) {
  assert_int_equal(pmp_warnings(&w->facts, w->text), count);
  if (!strstr(w->text, words)) fail_msg("no \"%s\" in \"%s\"", words, w->text);
}

static void a_healthy_run_has_none(void **state) {
  (void)state;
  struct world w;
  healthy(&w);
  expect(&w, 0, "");
  assert_string_equal(w.text, "");
  w.learn.lasts = 0; /* before the first metrics */
  expect(&w, 0, "");
}

static void feedback_that_is_missing(void **state) {
  (void)state;
  struct world w;
  healthy(&w);
  change(&w, "empty_rejected", 0.75);
  expect(&w, 1, "75 % of the steps have nothing rejected");
  w.learn.live.alpha = 1; /* accepted ones are all that it wants */
  expect(&w, 0, "");
  w.learn.live.alpha = 0.5;
  w.facts.objective = pmp_objective_find("dpo"); /* pairs are judged by `informative` */
  expect(&w, 0, "");
  change(&w, "informative", 0);
  expect(&w, 1, "learns from");
  healthy(&w);
  change(&w, "kl_margin", -0.01);
  change(&w, "ess_accepted", 2);
  expect(&w, 2, "raise objective.beta");
  expect(&w, 2, "2.0 of 64 accepted");
}

static void nobody_who_brings_data(void **state) {
  (void)state;
  struct world w;
  healthy(&w);
  w.facts.active = 0;
  expect(&w, 0, ""); /* rows are there still */
  w.learn.state = PMP_LEARN_WAITING;
  expect(&w, 1, "none of 2 actors");
  w.facts.actors = 0;
  expect(&w, 1, "no actor is here");
  w.facts.people = true;
  expect(&w, 0, "");
}

static void counters_that_should_be_zero(void **state) {
  (void)state;
  struct world w;
  healthy(&w);
  w.learn.skipped_steps = 3;
  w.learn.replay.broken = 4;
  w.learn.checkpoint_failures = 5;
  w.facts.refused_invalid = 6;
  w.facts.metrics_lost = 7;
  w.tally.episodes = 9;
  w.tally.diverged = 8;
  w.store.health = PMP_STORE_FULL;
  snprintf(w.store.reason, sizeof w.store.reason, "no space");
  expect(&w, 7, "store: no space\n5 checkpoints");
  const char *const words[] = {"out 3 steps", "4 rows", "6 requests", "7 batches", "8 of 9"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) expect(&w, 7, words[i]);
  assert_true(w.text[strlen(w.text) - 1] != '\n');
}

static void long_reasons_are_cut(void **state) {
  (void)state;
  struct world w;
  healthy(&w);
  w.store.health = PMP_STORE_FULL;
  memset(w.store.reason, 'x', sizeof w.store.reason - 1);
  assert_int_equal(pmp_warnings(&w.facts, w.text), 1);
  assert_true(strlen(w.text) < 200);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_healthy_run_has_none), cmocka_unit_test(feedback_that_is_missing),
      cmocka_unit_test(nobody_who_brings_data), cmocka_unit_test(counters_that_should_be_zero),
      cmocka_unit_test(long_reasons_are_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
