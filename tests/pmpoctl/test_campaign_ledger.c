/* The ledger survives what may happen to its end, and what is made of it: means, intervals, tables.
 */
#include "clients/pmpoctl/campaign_run.h"
#include "clients/pmpoctl/campaign_stats.h"
#include "clients/pmpoctl/campaign_summary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HASH "0123456789abcdef"

static char path[64];

/* Two tasks, one variant, three seeds, marks at 100, 200 and 250. */
static void campaign(struct pmp_campaign *c) {
  memset(c, 0, sizeof *c);
  c->name = "t";
  c->tasks = 2;
  c->task[0].name = "one";
  c->task[1].name = "two";
  c->variants = 1;
  c->variant[0].name = "v";
  c->seeds = 3;
  for (uint32_t i = 0; i < 3; i++) c->seed[i] = i + 1;
  c->env_steps = 250;
  c->evaluate_every = 100;
  c->evaluate_episodes = 2;
  c->final_episodes = 5;
  c->references = 1;
  c->reference[0] = (struct pmp_campaign_reference){"two", "Published", 200, 42.5};
}

static struct pmp_ledger_line line_of(const char *task, uint64_t seed, uint64_t steps, double ret) {
  struct pmp_ledger_line l = {.campaign = "t",
                              .variant = "v",
                              .seed = seed,
                              .env_steps = steps,
                              .learner_steps = 7,
                              .wall_s = 1.5,
                              .episodes = 2,
                              .eval_return = ret,
                              .eval_min = ret - 1,
                              .eval_max = ret + 1,
                              .eval_sem = NAN,
                              .final = steps >= 250,
                              .status = PMP_LEDGER_OK,
                              .version = "0.1.0",
                              .hash = HASH};
  snprintf(l.task, sizeof l.task, "%s", task);
  return l;
}

static void add(struct pmp_ledger *l, const char *task, uint64_t seed, uint64_t steps, double ret) {
  const struct pmp_ledger_line line = line_of(task, seed, steps, ret);
  struct pmp_errmsg msg = {{0}};
  if (pmp_ledger_append(l, &line, &msg) != PMP_OK) fail_msg("%s", msg.text);
}

static void say(struct pmp_ledger *l, const char *task, uint64_t seed, const char *status) {
  struct pmp_ledger_line line = line_of(task, seed, 0, (double)NAN);
  line.eval_min = line.eval_max = NAN;
  snprintf(line.status, sizeof line.status, "%s", status);
  assert_int_equal(pmp_ledger_append(l, &line, NULL), PMP_OK);
}

static void reopen(struct pmp_ledger *l, bool writable) {
  struct pmp_errmsg msg = {{0}};
  if (pmp_ledger_open(l, path, writable, &msg) != PMP_OK) fail_msg("%s", msg.text);
}

static long size_of_file(void) {
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return (long)info.st_size;
}

static void append_raw(const char *bytes) {
  FILE *out = fopen(path, "a");
  assert_non_null(out);
  fputs(bytes, out);
  assert_int_equal(fclose(out), 0);
}

static int fresh(void **state) {
  (void)state;
  strcpy(path, "/tmp/pmp-ledger-XXXXXX");
  const int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  return unlink(path);
}

static int gone(void **state) {
  (void)state;
  unlink(path);
  return 0;
}

static void lines_come_back(void **state) {
  (void)state;
  struct pmp_ledger l;
  reopen(&l, true);
  add(&l, "one", 1, 104, 12.25);
  say(&l, "one", 2, "failed: \"this\", and\nthat");
  assert_int_equal(l.lines, 2);
  pmp_ledger_close(&l);
  reopen(&l, false);
  assert_int_equal(l.lines, 2);
  assert_true(l.cut == 0);
  assert_true(l.line[0].eval_return == 12.25 && isnan(l.line[0].eval_sem));
  assert_true(l.line[0].env_steps == 104 && l.line[0].wall_s == 1.5);
  assert_string_equal(l.line[0].hash, HASH);
  assert_string_equal(l.line[1].status, "failed: 'this'; and that");
  pmp_ledger_close(&l);
}

/* Cut at every byte of its last line, the ledger keeps the lines before it and takes new ones. */
static void a_torn_end_is_cut(void **state) {
  (void)state;
  struct pmp_ledger l;
  reopen(&l, true);
  add(&l, "one", 1, 100, 1);
  const long whole = size_of_file();
  add(&l, "one", 1, 200, 2);
  const long full = size_of_file();
  pmp_ledger_close(&l);
  for (long size = full - 1; size >= whole; size--) {
    assert_int_equal(truncate(path, size), 0);
    reopen(&l, false); /* who only looks changes nothing */
    assert_int_equal(l.lines, 1);
    assert_true(l.cut == (uint64_t)(size - whole));
    pmp_ledger_close(&l);
    assert_int_equal(size_of_file(), size);
    reopen(&l, true);
    assert_int_equal(l.lines, 1);
    assert_int_equal(size_of_file(), whole);
    add(&l, "one", 1, 200, 2);
    assert_int_equal(size_of_file(), full);
    pmp_ledger_close(&l);
  }
  append_raw("t,one,v,1,###\n"); /* a whole last line that says nothing */
  reopen(&l, true);
  assert_int_equal(l.lines, 2);
  assert_int_equal(size_of_file(), full);
  pmp_ledger_close(&l);
  assert_int_equal(truncate(path, 20), 0); /* the header itself */
  reopen(&l, true);
  assert_int_equal(l.lines, 0);
  add(&l, "one", 1, 100, 1);
  assert_int_equal(size_of_file(), whole);
  pmp_ledger_close(&l);
}

static void damage_in_the_middle_is_refused(void **state) {
  (void)state;
  struct pmp_ledger l;
  struct pmp_errmsg msg = {{0}};
  reopen(&l, true);
  add(&l, "one", 1, 100, 1);
  pmp_ledger_close(&l);
  append_raw("t,one,v,1,x,7,1,2,1,1,1,,0,ok,0.1.0," HASH "\n");
  append_raw("t,one,v,1,200,7,1,2,1,1,1,,0,ok,0.1.0," HASH "\n");
  assert_int_equal(pmp_ledger_open(&l, path, true, &msg), PMP_ECORRUPT);
  assert_non_null(strstr(msg.text, "line 3"));
  FILE *out = fopen(path, "w");
  fputs("some,other,table\n1,2,3\n", out);
  fclose(out);
  assert_int_equal(pmp_ledger_open(&l, path, true, &msg), PMP_EINVALID);
}

static void what_a_run_has_come_to(void **state) {
  (void)state;
  static struct pmp_campaign c;
  struct pmp_ledger l;
  struct pmp_ledger_run r;
  const struct pmp_campaign_run_id id = {.task = 0, .seed = 1};
  campaign(&c);
  reopen(&l, true);
  pmp_ledger_run_of(&l, &c, id, &r);
  assert_true(!r.began && !r.done && !r.failed && r.mark == 0);
  add(&l, "one", 2, 108, 1);
  add(&l, "two", 2, 204, 9);
  pmp_ledger_run_of(&l, &c, id, &r);
  assert_true(r.began && !r.done && r.mark == 1 && r.env_steps == 108);
  say(&l, "one", 2, PMP_LEDGER_FAILED "the disk is full");
  pmp_ledger_run_of(&l, &c, id, &r);
  assert_true(r.failed && r.mark == 1 && r.last_failure != NULL);
  add(&l, "one", 2, 203, 2);
  pmp_ledger_run_of(&l, &c, id, &r);
  assert_true(!r.failed && r.mark == 2);
  say(&l, "one", 2, PMP_LEDGER_RESTARTED);
  pmp_ledger_run_of(&l, &c, id, &r);
  assert_true(r.began && r.mark == 0 && r.last == NULL);
  assert_null(pmp_ledger_at(&l, &c, id, 1));
  add(&l, "one", 2, 101, 3);
  add(&l, "one", 2, 253, 4);
  pmp_ledger_run_of(&l, &c, id, &r);
  assert_true(r.done && r.mark == 3);
  assert_true(pmp_ledger_at(&l, &c, id, 1)->eval_return == 3);
  assert_null(pmp_ledger_at(&l, &c, id, 2));
  assert_true(pmp_ledger_at(&l, &c, id, 3)->eval_return == 4);
  pmp_ledger_close(&l);
}

static void an_evaluators_words(void **state) {
  (void)state;
  struct pmp_ledger_line line = {.episodes = 999, .eval_return = 999, .eval_min = 999};
  struct pmp_errmsg msg;
  assert_int_equal(
      pmp_campaign_run_read_evaluation(
          "{\"task\": \"t\", \"eval_return\": 812.5, \"eval_return_stderr\": 1.25, "
          "\"eval_return_min\": -3, \"eval_return_max\": 900, \"eval_episodes\": 10}\n",
          &line, &msg),
      PMP_OK);
  assert_true(line.eval_return == 812.5 && line.eval_min == -3 && line.eval_max == 900);
  assert_true(line.eval_sem == 1.25 && line.episodes == 10);
  static const char *const bad[] = {"", "eval_return=3", "{\"eval_return\": 3}",
                                    "{\"eval_return\": \"3\", \"eval_episodes\": 10}",
                                    "{\"eval_return\": 3, \"eval_episodes\": 0}"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(pmp_campaign_run_read_evaluation(bad[i], &line, &msg), PMP_EINVALID);
}

/* ---- intervals ---- */

static void quantiles_interpolate(void **state) {
  (void)state;
  const double v[] = {1, 2, 4, 8};
  assert_true(pmp_quantile(v, 4, 0) == 1 && pmp_quantile(v, 4, 1) == 8);
  assert_true(pmp_quantile(v, 4, 0.5) == 3);
  assert_true(fabs(pmp_quantile(v, 4, 0.1) - 1.3) < 1e-12);
  assert_true(pmp_quantile(v, 1, 0.3) == 1);
}

/* Of two values 0 and 1 drawn twice, the mean is 0, 1/2, 1 with 1/4, 1/2, 1/4. Of 0, 3, 6 drawn
 * three times it is 0 and 6 with 1/27 each, 1 and 5 with 3/27, 2 and 4 with 6/27, 3 with 7/27; so
 * the 2.5% quantile is 0, the 10% quantile 1, and likewise above. With a second stratum that has
 * but one value, 10, half of each. */
static void intervals_are_those_worked_out_by_hand(void **state) {
  (void)state;
  static double scratch[PMP_BOOTSTRAP_RESAMPLES];
  const double two[] = {0, 1}, three[] = {0, 3, 6}, lone[] = {10};
  const struct pmp_stratum a = {two, 2}, b[] = {{three, 3}, {lone, 1}}, c = {lone, 1};
  struct pmp_interval i = pmp_bootstrap(&a, 1, 1, 0, scratch);
  assert_true(i.mean == 0.5 && i.low80 == 0 && i.high80 == 1 && i.low95 == 0 && i.high95 == 1);
  size_t zero = 0, half = 0;
  for (size_t k = 0; k < PMP_BOOTSTRAP_RESAMPLES; k++) {
    zero += scratch[k] == 0;
    half += scratch[k] == 0.5;
  }
  /* Six standard deviations of a binomial count. */
  assert_true(fabs((double)zero - 2500) < 6 * 43.4 && fabs((double)half - 5000) < 6 * 50);
  i = pmp_bootstrap(b, 1, 1, 3, scratch);
  assert_true(i.mean == 3 && i.low95 == 0 && i.low80 == 1 && i.high80 == 5 && i.high95 == 6);
  i = pmp_bootstrap(b, 2, 1, 4, scratch);
  assert_true(i.mean == 6.5 && i.low95 == 5 && i.low80 == 5.5 && i.high80 == 7.5 && i.high95 == 8);
  const struct pmp_interval again = pmp_bootstrap(b, 2, 1, 4, scratch);
  assert_memory_equal(&i, &again, sizeof i);
  i = pmp_bootstrap(&c, 1, 1, 5, scratch);
  assert_true(i.mean == 10 && isnan(i.low80) && isnan(i.high95));
}

static void a_summary_has_every_mark(void **state) {
  (void)state;
  static struct pmp_campaign c;
  struct pmp_ledger l;
  struct pmp_results s;
  char *text = NULL;
  size_t size = 0;
  campaign(&c);
  reopen(&l, true);
  for (uint64_t seed = 1; seed <= 3; seed++) {
    add(&l, "one", seed, 100, 10.0 * (double)seed);
    add(&l, "one", seed, 256, 100.0 * (double)seed);
  }
  add(&l, "two", 1, 100, 5);
  assert_int_equal(pmp_results_init(&s, &c, &l, NULL), PMP_OK);
  const struct pmp_results_cell *cell = pmp_results_at(&s, 0, 0, 3);
  assert_int_equal(cell->n, 3);
  assert_true(cell->interval.mean == 200 && cell->median == 200 && cell->max == 300);
  assert_true(cell->interval.low95 >= 100 && cell->interval.low95 < cell->interval.low80);
  assert_int_equal(pmp_results_at(&s, 1, 0, 3)->n, 0);
  assert_int_equal(pmp_results_at(&s, 2, 0, 3)->n, 0); /* all: only where every task has one */
  assert_int_equal(pmp_results_at(&s, 2, 0, 1)->n, 1);
  assert_true(pmp_results_at(&s, 2, 0, 1)->interval.mean == 12.5);
  FILE *out = open_memstream(&text, &size);
  pmp_results_text(&s, out);
  pmp_results_csv(&s, out);
  pmp_results_figure(&s, out);
  fclose(out);
  static const char *const want[] = {"3/3",
                                     "200.0",
                                     "Published at 200",
                                     "42.5",
                                     "one,v,250,1,3,200,",
                                     "all,v,100,0,1,12.5,",
                                     "$d1_0 << EOD",
                                     "$r0 << EOD"};
  for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
    if (strstr(text, want[i]) == NULL) fail_msg("no '%s' in:\n%s", want[i], text);
  free(text);
  pmp_results_fini(&s);
  pmp_ledger_close(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(lines_come_back, fresh, gone),
      cmocka_unit_test_setup_teardown(a_torn_end_is_cut, fresh, gone),
      cmocka_unit_test_setup_teardown(damage_in_the_middle_is_refused, fresh, gone),
      cmocka_unit_test_setup_teardown(what_a_run_has_come_to, fresh, gone),
      cmocka_unit_test(an_evaluators_words),
      cmocka_unit_test(quantiles_interpolate),
      cmocka_unit_test(intervals_are_those_worked_out_by_hand),
      cmocka_unit_test_setup_teardown(a_summary_has_every_mark, fresh, gone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
