/* A campaign's file: what is understood, what is refused and at which line, and what follows from
 * it. */
#include "clients/pmpoctl/campaign.h"
#include "clients/pmpoctl/campaign_tasks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[128], file[192];

static void put(const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  assert_true(fputs(text, out) >= 0);
  assert_int_equal(fclose(out), 0);
}

#define RECIPE                                                                                     \
  "run:\n  seed: 9\nlearner:\n  batch: 64   # rows\n  threads: 2\npolicy: {hidden: [32, 16]}\n"
#define HEAD                                                                                       \
  "name: six\nbase: recipe.yaml\ntasks: [cartpole_balance, walker_walk]\nseeds: [1, 2, 7]\n"
#define WHOLE                                                                                      \
  HEAD "env_steps: 2.5e3\nevaluate_every: 1000\nset: [log.level=warn]\nvariants:\n"                \
       "  - name: ar\n  - name: a\n    set: [objective.alpha=1, learner.batch=32]\n"               \
       "    actor: [--envs, \"4\"]\n"                                                              \
       "actor: [--noise-correlation, \"0.9\"]\n"                                                   \
       "references: [{task: walker_walk, label: DMPO, env_steps: 1e5, value: 305}]\n"

static enum pmp_err load(struct pmp_campaign *c, const char *text, struct pmp_errmsg *msg) {
  put("campaign.yaml", text);
  return pmp_campaign_load(c, file, msg);
}

static int set_up(void **state) {
  (void)state;
  strcpy(folder, "/tmp/pmp-campaign-XXXXXX");
  assert_non_null(mkdtemp(folder));
  snprintf(file, sizeof file, "%s/campaign.yaml", folder);
  put("recipe.yaml", RECIPE);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  char path[256];
  snprintf(path, sizeof path, "%s/recipe.yaml", folder);
  unlink(path);
  unlink(file);
  return rmdir(folder);
}

static void everything_is_taken(void **state) {
  (void)state;
  static struct pmp_campaign c;
  struct pmp_errmsg msg = {{0}};
  if (load(&c, WHOLE, &msg) != PMP_OK) fail_msg("%s", msg.text);
  assert_string_equal(c.name, "six");
  assert_int_equal(c.tasks, 2);
  assert_int_equal(c.variants, 2);
  assert_int_equal(c.seeds, 3);
  assert_true(c.seed[2] == 7);
  assert_true(c.env_steps == 2500 && c.evaluate_every == 1000);
  assert_int_equal(c.evaluate_episodes, 10);
  assert_int_equal(c.final_episodes, 100);
  assert_false(c.keep);
  assert_int_equal(c.threads, 2);
  assert_string_equal(c.variant[0].actor[0], "--noise-correlation");
  assert_string_equal(c.variant[1].actor[0], "--envs");
  assert_int_equal(c.references, 1);
  assert_true(c.reference[0].value == 305);
  const json_t *pmpod = json_object_get(c.variant[1].settings, "pmpod");
  assert_string_equal(json_string_value(json_object_get(pmpod, "learner.batch")), "32");
  assert_string_equal(json_string_value(json_object_get(pmpod, "policy.hidden")), "[32, 16]");
  assert_null(json_object_get(pmpod, "run.seed")); /* the campaign's own */
  assert_int_equal(strlen(c.variant[0].hash), 16);
  assert_string_not_equal(c.variant[0].hash, c.variant[1].hash);
  pmp_campaign_free(&c);
}

static void runs_begin_with_the_first_seed_of_everything(void **state) {
  (void)state;
  static struct pmp_campaign c;
  char name[PMP_CAMPAIGN_RUN_NAME_MAX];
  assert_int_equal(load(&c, WHOLE, NULL), PMP_OK);
  assert_int_equal(pmp_campaign_runs(&c), 12);
  static const char *const want[] = {"cartpole_balance.ar.1", "walker_walk.ar.1",
                                     "cartpole_balance.a.1", "walker_walk.a.1",
                                     "cartpole_balance.ar.2"};
  for (uint32_t i = 0; i < 5; i++)
    assert_string_equal(pmp_campaign_run_name(&c, pmp_campaign_run(&c, i), name), want[i]);
  assert_string_equal(pmp_campaign_run_name(&c, pmp_campaign_run(&c, 11), name), "walker_walk.a.7");
  pmp_campaign_free(&c);
}

static void marks_end_with_the_budget(void **state) {
  (void)state;
  static struct pmp_campaign c;
  assert_int_equal(load(&c, WHOLE, NULL), PMP_OK);
  assert_int_equal(pmp_campaign_marks(&c), 3);
  assert_true(pmp_campaign_mark(&c, 1) == 1000);
  assert_true(pmp_campaign_mark(&c, 2) == 2000);
  assert_true(pmp_campaign_mark(&c, 3) == 2500);
  assert_int_equal(pmp_campaign_mark_reached(&c, 999), 0);
  assert_int_equal(pmp_campaign_mark_reached(&c, 1000), 1);
  assert_int_equal(pmp_campaign_mark_reached(&c, 2499), 2);
  assert_int_equal(pmp_campaign_mark_reached(&c, 2500), 3);
  assert_int_equal(pmp_campaign_mark_reached(&c, 9000), 3);
  pmp_campaign_free(&c);
}

static void only_what_a_result_depends_on_is_hashed(void **state) {
  (void)state;
  static struct pmp_campaign c;
  char hash[3][PMP_CAMPAIGN_HASH_MAX];
  static const char *const recipe[] = {
      RECIPE,
      "# the same\nlearner: {threads: 2, batch: 64}\npolicy:\n  hidden: [ 32,16 ]\nlog: {level: "
      "debug}\n",
      "learner: {threads: 2, batch: 65}\npolicy:\n  hidden: [32, 16]\n"};
  for (int i = 0; i < 3; i++) {
    put("recipe.yaml", recipe[i]);
    assert_int_equal(load(&c, WHOLE, NULL), PMP_OK);
    strcpy(hash[i], c.variant[0].hash);
    pmp_campaign_free(&c);
  }
  put("recipe.yaml", RECIPE);
  assert_string_equal(hash[0], hash[1]);
  assert_string_not_equal(hash[0], hash[2]);
}

static void differences_are_named(void **state) {
  (void)state;
  static struct pmp_campaign a, b;
  char text[512];
  assert_int_equal(load(&a, WHOLE, NULL), PMP_OK);
  put("recipe.yaml", "learner:\n  batch: 128\n  threads: 2\npolicy: {hidden: [32, 16]}\n");
  assert_int_equal(load(&b, WHOLE "final_episodes: 7\n", NULL), PMP_OK);
  put("recipe.yaml", RECIPE);
  pmp_campaign_difference(a.variant[0].settings, b.variant[0].settings, text, sizeof text);
  assert_non_null(strstr(text, "learner.batch \"64\" -> \"128\""));
  assert_non_null(strstr(text, "final_episodes 100 -> 7"));
  assert_null(strstr(text, "threads"));
  pmp_campaign_difference(a.variant[0].settings, a.variant[0].settings, text, sizeof text);
  assert_string_equal(text, "");
  pmp_campaign_free(&a);
  pmp_campaign_free(&b);
}

/* Each with what its message says, the line among it where there is one. */
static void mistakes_are_named_with_their_line(void **state) {
  (void)state;
  static const struct {
    const char *text, *says[2];
  } bad[] = {
      {HEAD, {"env_steps", "issing"}},
      {HEAD "env_steps: 100\nevalute_every: 10\n", {"evalute_every", "evaluate_every"}},
      {HEAD "env_steps: many\n", {"line: 5", "env_steps"}},
      {HEAD "env_steps: 10.5\n", {"line 5", "whole"}},
      {HEAD "env_steps: 0\n", {"line 5", "whole"}},
      {HEAD "env_steps: 100000\nevaluate_every: 1\n", {"line 6", "evaluations"}},
      {HEAD "env_steps: 100\nvariants:\n  - name: x\n  - name: x\n", {"line 8", "twice"}},
      {HEAD "env_steps: 100\nvariants:\n  - name: x/y\n", {"line 7", "no name"}},
      {HEAD "env_steps: 100\nvariants:\n  - name: x\n    sett: [a.b=1]\n", {"sett", "actor"}},
      {HEAD "env_steps: 100\nvariants:\n  - name: x\n    actor: []\n", {"line: 8", "few"}},
      {HEAD "env_steps: 100\nset: [alpha=1]\n", {"line 6", "SECTION.KEY=VALUE"}},
      {HEAD "env_steps: 100\nset: [run.seed=1]\n", {"line 6", "run.seed is set by"}},
      {HEAD "env_steps: 100\nactor: [--name, me]\n", {"line 6", "--name is given"}},
      {HEAD "env_steps: 100\nkeep: maybe\n", {"line: 6", "keep"}},
      {HEAD "env_steps: 100\nseeds: [4]\n", {"line 6", "there twice"}},
      {"name: a\nbase: recipe.yaml\ntasks: [x, y, x]\nseeds: [1]\nenv_steps: 9\n",
       {"line 3", "twice"}},
      {"name: a\nbase: recipe.yaml\ntasks: [x]\nseeds: [1, 2,\n 1]\nenv_steps: 9\n",
       {"line 5", "twice"}},
      {"name: a\nbase: recipe.yaml\ntasks: [x]\nseeds: [-1]\nenv_steps: 9\n", {"line 4", "whole"}},
      {"name: a\nbase: nowhere.yaml\ntasks: [x]\nseeds: [1]\nenv_steps: 9\n",
       {"line 2", "nowhere"}},
      {HEAD "env_steps: 9\nreferences:\n  - {task: no, label: D, env_steps: 1, value: 2}\n",
       {"line 7", "not in this campaign"}},
      {"name: [\n", {"line", "campaign.yaml"}},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    static struct pmp_campaign c;
    struct pmp_errmsg msg = {{0}};
    if (load(&c, bad[i].text, &msg) == PMP_OK) fail_msg("taken: %s", bad[i].text);
    for (int k = 0; k < 2; k++)
      if (strstr(msg.text, bad[i].says[k]) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].text, msg.text, bad[i].says[k]);
  }
  struct pmp_errmsg msg = {{0}};
  static struct pmp_campaign c;
  assert_int_equal(pmp_campaign_load(&c, "/nowhere/at/all.yaml", &msg), PMP_ENOTFOUND);
}

#define TASKS                                                                                      \
  "{\"task\": \"cartpole_balance\", \"observation\": 5, \"action\": 1, \"episode_steps\": 1000}\n" \
  "{\"task\": \"walker_walk\", \"observation\": 24, \"action\": 6, \"episode_steps\": 1000}\n"     \
  "{\"task\": \"walker_run\", \"observation\": 24, \"action\": 6, \"more\": [1]}\n"

static void tasks_have_their_sizes_or_near_names(void **state) {
  (void)state;
  static struct pmp_campaign c;
  struct pmp_errmsg msg = {{0}};
  char text[] = TASKS, again[] = TASKS, broken[] = "cartpole\n";
  assert_int_equal(load(&c, WHOLE, NULL), PMP_OK);
  assert_int_equal(pmp_campaign_tasks_of(&c, text, &msg), PMP_OK);
  assert_int_equal(c.task[1].observation, 24);
  assert_int_equal(c.task[1].action, 6);
  assert_int_equal(pmp_campaign_tasks_of(&c, broken, &msg), PMP_EUNAVAILABLE);
  struct pmp_words w = {.words = 0};
  pmp_campaign_sets(&c, pmp_campaign_run(&c, 3), &w);
  bool found[3] = {false};
  for (size_t i = 0; i < w.words; i++) {
    found[0] |= strcmp(w.word[i], "spec.observation=[24]") == 0;
    found[1] |= strcmp(w.word[i], "run.name=six.walker_walk.a.1") == 0;
    found[2] |= strcmp(w.word[i], "learner.batch=32") == 0;
  }
  assert_true(found[0] && found[1] && found[2]);
  pmp_campaign_free(&c);
  assert_int_equal(
      load(&c, "name: a\nbase: recipe.yaml\ntasks: [walker_wakl]\nseeds: [1]\nenv_steps: 9\n",
           NULL),
      PMP_OK);
  assert_int_equal(pmp_campaign_tasks_of(&c, again, &msg), PMP_EINVALID);
  assert_non_null(strstr(msg.text, "walker_wakl"));
  assert_non_null(strstr(msg.text, "walker_walk"));
  pmp_campaign_free(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everything_is_taken),
      cmocka_unit_test(runs_begin_with_the_first_seed_of_everything),
      cmocka_unit_test(marks_end_with_the_budget),
      cmocka_unit_test(only_what_a_result_depends_on_is_hashed),
      cmocka_unit_test(differences_are_named),
      cmocka_unit_test(mistakes_are_named_with_their_line),
      cmocka_unit_test(tasks_have_their_sizes_or_near_names),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
