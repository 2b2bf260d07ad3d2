/* A run that has reached run.max_steps: it says so, takes no more rows, and its actors end. What
 * people say still lasts, and a larger number makes it go on. */
#include "tests/support/small_run.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static enum pmp_err append(struct small_run *s, uint64_t seq) {
  struct test_outcomes o;
  test_outcomes_draw(&o, 700 + seq, 64);
  const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  return test_rpc_append_wait(&s->actor, seq, &c, NULL, 0, 10000);
}

static void expect_complete(const struct test_rpc *r, const char *max_steps) {
  assert_int_equal(r->reply.code, PMP_EUNAVAILABLE);
  assert_int_equal(r->reply.retry_after_ms, 0); /* not to come back */
  assert_non_null(strstr(r->reply.message, "complete"));
  assert_non_null(strstr(r->reply.message, max_steps));
}

static void expect_state(struct small_run *s, const char *state, const char *reason) {
  const char *now = "";
  for (int waited = 0; waited < 10000; waited += 10) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    now = test_rpc_text(&s->observer, "state");
    if (strcmp(now, state) == 0 && strstr(test_rpc_text(&s->observer, "reason"), reason)) return;
    test_sleep_ms(10);
  }
  fail_msg("%s (%s), not %s (%s)", now, test_rpc_text(&s->observer, "reason"), state, reason);
}

/* Appends until the run is complete; the number of chunks that were acknowledged. */
static uint64_t fill(struct small_run *s) {
  for (uint64_t seq = 1; seq < 100; seq++) {
    const enum pmp_err err = append(s, seq);
    if (err == PMP_EUNAVAILABLE) return seq - 1;
    if (err != PMP_OK) fail_msg("chunk %d: %s", (int)seq, s->actor.reply.message);
  }
  fail_msg("100 chunks and not complete");
  return 0;
}

static void complete_init(struct small_run *s, bool lockstep) {
  small_run_init(s);
  test_pmpod_set(&s->d, "limits.chunk_rows=64");
  test_pmpod_set(&s->d, lockstep ? "run.lockstep=true" : "run.lockstep=false");
  test_pmpod_set(&s->d, "run.max_steps=10"); /* last: it is changed */
}

static void appends_are_refused(bool lockstep) {
  struct small_run s;
  complete_init(&s, lockstep);
  small_run_start(&s);
  const uint64_t chunks = fill(&s);
  expect_complete(&s.actor, "10");
  assert_true(chunks >= 1);
  /* 32 rows are free; 192 - 32 rows are ten steps, which is known when the third chunk is
   * acknowledged. */
  if (lockstep) assert_int_equal((int)chunks, 3);
  expect_state(&s, "finished", "complete");
  assert_int_equal((int)test_rpc_number(&s.observer, "learner.steps"), 10);

  /* What was acknowledged is so again when it is sent again; the rest is refused as before. */
  assert_int_equal(append(&s, chunks), PMP_OK);
  assert_true(s.actor.reply.u.append.duplicate);
  assert_int_equal(append(&s, chunks + 1), PMP_EUNAVAILABLE);
  expect_complete(&s.actor, "10");
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "store.rows"), (int)chunks * 64);

  /* It stays complete over a restart, with or without warning. */
  for (int killed = 0; killed < 2; killed++) {
    small_run_disconnect(&s);
    if (killed) {
      test_pmpod_kill(&s.d);
    } else {
      test_pmpod_stop(&s.d);
    }
    test_pmpod_start(&s.d);
    small_run_connect(&s, 1);
    expect_state(&s, "finished", "complete");
    assert_int_equal(append(&s, chunks + 1), PMP_EUNAVAILABLE);
    expect_complete(&s.actor, "10");
    assert_int_equal((int)test_rpc_number(&s.observer, "learner.steps"), 10);
  }

  /* A larger number, and it goes on where it was. */
  small_run_disconnect(&s);
  test_pmpod_stop(&s.d);
  s.d.set[s.d.sets - 1] = "run.max_steps=16";
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  test_rpc_wait_number(&s.observer, "replay.trainable", (double)chunks * 64, 10000);
  enum pmp_err err = PMP_OK;
  for (uint64_t seq = chunks + 1; err == PMP_OK && seq < 100; seq++) err = append(&s, seq);
  expect_complete(&s.actor, "16");
  expect_state(&s, "finished", "complete");
  assert_int_equal((int)test_rpc_number(&s.observer, "learner.steps"), 16);
  small_run_fini(&s);
}

static void appends_to_a_complete_run_are_refused(void **state) {
  (void)state;
  appends_are_refused(false);
}

static void appends_to_a_complete_run_in_lockstep_are_refused(void **state) {
  (void)state;
  appends_are_refused(true);
}

/* An import ends by itself and may well be for the run that goes on from here. */
static void imported_rows_still_come_in(void **state) {
  (void)state;
  struct small_run s;
  complete_init(&s, true);
  small_run_start(&s);
  const uint64_t chunks = fill(&s);
  struct test_outcomes o;
  test_outcomes_draw(&o, 5, 64);
  struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  c.source = PMP_SOURCE_IMPORT;
  assert_int_equal(test_rpc_append_wait(&s.actor, chunks + 1, &c, NULL, 0, 10000), PMP_OK);
  test_rpc_wait_number(&s.observer, "replay.trainable", (double)(chunks + 1) * 64, 10000);
  assert_int_equal((int)test_rpc_number(&s.observer, "learner.steps"), 10);
  expect_state(&s, "finished", "complete");
  assert_int_equal(append(&s, chunks + 2), PMP_EUNAVAILABLE);
  small_run_fini(&s);
}

/* Held for the rate limiter in the moment when the run becomes complete: answered then. */
static void a_held_append_is_let_go(void **state) {
  (void)state;
  struct small_run s;
  complete_init(&s, false);
  test_pmpod_set(&s.d, "limits.append_hold_ms=10000");
  small_run_start(&s);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_PAUSE, "", ""), PMP_OK);
  s.actor.wait_ms = 300;
  enum pmp_err err = PMP_OK;
  uint64_t seq = 0;
  while (err == PMP_OK && seq < 50) err = append(&s, ++seq);
  assert_int_equal(err, PMP_ETIMEOUT);
  assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s.observer, "ingest.held"), 1);
  assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_RESUME, "", ""), PMP_OK);
  expect_state(&s, "finished", "complete");
  for (int waited = 0;; waited += 10) { /* not after the ten seconds */
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    if (test_rpc_number(&s.observer, "ingest.held") == 0) break;
    assert_true(waited < 5000);
    test_sleep_ms(10);
  }
  assert_int_equal((int)test_rpc_number(&s.observer, "ingest.hold_busy"), 0);
  s.actor.wait_ms = 10000;
  err = append(&s, seq);
  if (err == PMP_OK) err = append(&s, seq + 1); /* the held one had come in before the last step */
  assert_int_equal(err, PMP_EUNAVAILABLE);
  expect_complete(&s.actor, "10");
  small_run_fini(&s);
}

static void judge(struct test_rpc *r, const char *request, uint32_t row) {
  const struct pmp_verdict v = {.request_id = request,
                                .note = "",
                                .chunk = 1,
                                .row = row,
                                .rows = 8,
                                .judgement = PMP_ACCEPT,
                                .confidence = 1};
  struct pmp_request q = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {&v, 1}};
  assert_int_equal(test_rpc_call(r, &q), PMP_OK);
  assert_int_equal(r->reply.u.verdicts.result[0].code, PMP_OK);
}

static void verdicts_on_a_complete_run_last(void **state) {
  (void)state;
  struct small_run s;
  struct test_rpc ann;
  small_run_init(&s);
  test_pmpod_set(&s.d, "label.judge=people");
  test_pmpod_set(&s.d, "learner.min_size=16");
  test_pmpod_set(&s.d, "run.max_steps=2");
  small_run_start(&s);
  struct test_outcomes o;
  test_outcomes_draw(&o, 9, 64);
  const struct pmp_chunk c = test_outcomes_chunk(&o, false, false);
  assert_int_equal(test_rpc_append_wait(&s.actor, 1, &c, NULL, 0, 5000), PMP_OK);
  test_rpc_open(&ann, s.d.desk);
  assert_int_equal(test_rpc_hello(&ann, PMP_ROLE_LABELER, "ann", 0), PMP_OK);
  judge(&ann, "r0", 0);
  judge(&ann, "r1", 8); /* 16 rows and 64 to train on: two steps */
  expect_state(&s, "finished", "complete");
  judge(&ann, "r2", 16);
  test_rpc_wait_number(&s.observer, "replay.trainable", 24, 10000);
  assert_int_equal(test_rpc_append(&s.actor, 2, &c, NULL, 0), PMP_EUNAVAILABLE);
  expect_complete(&s.actor, "2");
  test_rpc_close(&ann);
  small_run_disconnect(&s);
  test_pmpod_kill(&s.d);
  test_pmpod_start(&s.d);
  small_run_connect(&s, 1);
  test_rpc_wait_number(&s.observer, "replay.trainable", 24, 10000);
  expect_state(&s, "finished", "complete");
  assert_int_equal((int)test_rpc_number(&s.observer, "learner.steps"), 2);
  small_run_fini(&s);
}

/* Runs a program to its end; its exit code, its words in the file. */
static int run_program(const char *program, const char *const *argv, const char *log) {
  const pid_t pid = test_spawn(program, argv, log);
  for (int waited = 0; waited < 30000; waited += 10) {
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid)
      return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    test_sleep_ms(10);
  }
  test_reap(pid);
  char *text = test_file_read(log, NULL);
  fail_msg("%s waits and waits: %s", program, text ? text : "");
  return -1;
}

static void expect_words(const char *log, const char *words) {
  char *text = test_file_read(log, NULL);
  assert_non_null(text);
  if (!strstr(text, words)) fail_msg("not a word of \"%s\": %s", words, text);
  free(text);
}

static void actors_end(bool lockstep) {
  struct small_run s;
  char actor[512], ctl[512], log[400];
  complete_init(&s, lockstep);
  test_pmpod_set(&s.d, "spec.task=sphere");
  small_run_start(&s);
  test_bin("pmpo-actor", actor);
  test_bin("pmpoctl", ctl);
  snprintf(log, sizeof log, "%s/actor-log", s.d.root);
  const char *const argv[] = {actor,    "bandit", "--connect", s.d.desk,
                              "--name", "b",      "--quiet",   NULL};
  for (int life = 0; life < 2; life++) { /* the second finds the run complete */
    unlink(log);
    assert_int_equal(run_program(actor, argv, log), 0);
    expect_words(log, "the run is complete");
    expect_words(log, "max_steps");
  }
  snprintf(log, sizeof log, "%s/status", s.d.root);
  const char *const status[] = {ctl, "--connect", s.d.desk, "status", NULL};
  assert_int_equal(run_program(ctl, status, log), 0);
  expect_words(log, "finished (complete: run.max_steps (10) reached)");
  small_run_fini(&s);
}

static void actors_of_a_complete_run_end(void **state) {
  (void)state;
  actors_end(false);
}

static void actors_of_a_complete_run_in_lockstep_end(void **state) {
  (void)state;
  actors_end(true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(appends_to_a_complete_run_are_refused),
      cmocka_unit_test(appends_to_a_complete_run_in_lockstep_are_refused),
      cmocka_unit_test(imported_rows_still_come_in),
      cmocka_unit_test(a_held_append_is_let_go),
      cmocka_unit_test(verdicts_on_a_complete_run_last),
      cmocka_unit_test(actors_of_a_complete_run_end),
      cmocka_unit_test(actors_of_a_complete_run_in_lockstep_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
