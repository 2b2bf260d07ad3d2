/* The sampler that uses each row once, and a guard that refuses a step: its rows stay for the step
 * that is made in its place. */
#include "learner/replay/replay.h"
#include "tests/support/small_run.h"

static void expect_number(struct small_run *s, const char *name, double value) {
  double seen = 0;
  for (int waited = 0; waited < 10000; waited += 10) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    seen = test_rpc_number(&s->observer, name);
    if (seen == value) return;
    test_sleep_ms(10);
  }
  fail_msg("%s is %g, not %g", name, seen, value);
}

static void expect_paused_at(struct small_run *s, int steps) {
  expect_number(s, "learner.steps", steps);
  for (int waited = 0; waited < 10000; waited += 10) {
    assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
    if (strcmp(test_rpc_text(&s->observer, "state"), "paused") == 0) break;
    test_sleep_ms(10);
  }
  assert_string_equal(test_rpc_text(&s->observer, "state"), "paused");
  expect_number(s, "replay.trainable", 64 - 16 * steps);
}

/* The policy as it was when the reference took it over is within kl_max, one step later it is not:
 * every refresh allows one step. Four batches of rows are four steps, also over a restart. */
static void a_refused_step_keeps_its_rows(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "learner.sampler=once");
  test_pmpod_set(&s.d, "learner.min_size=16");
  test_pmpod_set(&s.d, "learner.samples_per_insert=2"); /* more than enough for all rows */
  test_pmpod_set(&s.d, "learner.refresh_period=0");
  test_pmpod_set(&s.d, "objective.guard=pause");
  test_pmpod_set(&s.d, "objective.kl_max=1e-6");
  small_run_start(&s);
  struct test_outcomes o;
  test_outcomes_draw(&o, 3, 64);
  const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  assert_int_equal(test_rpc_append_wait(&s.actor, 1, &c, NULL, 0, 5000), PMP_OK);
  for (int step = 1; step <= 3; step++) {
    expect_paused_at(&s, step);
    /* Refused once more: still there. */
    assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_RESUME, "", ""), PMP_OK);
    expect_paused_at(&s, step);
    if (step == 2) {
      small_run_disconnect(&s);
      test_pmpod_stop(&s.d);
      test_pmpod_start(&s.d);
      small_run_connect(&s, 2);
      expect_paused_at(&s, step);
    }
    assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_REFRESH, "", ""), PMP_OK);
    assert_int_equal(test_rpc_control(&s.operator_, PMP_CONTROL_RESUME, "", ""), PMP_OK);
  }
  expect_number(&s, "learner.steps", 4);
  expect_number(&s, "replay.trainable", 0);
  small_run_fini(&s);
}

enum { ROWS = 12 };

static struct pmp_replay *ring_of(enum pmp_sampler sampler, uint32_t max_staleness) {
  const struct pmp_replay_config config = {.shape = PMP_REPLAY_OUTCOMES,
                                           .sampler = sampler,
                                           .act = 1,
                                           .capacity = 32,
                                           .max_staleness = max_staleness};
  static const int8_t verdict[ROWS] = {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1};
  static const uint32_t group[ROWS] = {0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3};
  static const uint64_t version[ROWS] = {1, 1, 1, 1, 1, 1, 5, 5, 5, 5, 5, 5};
  float y[ROWS];
  for (int i = 0; i < ROWS; i++) y[i] = (float)i;
  struct pmp_replay *r = NULL;
  uint32_t trainable = 999;
  assert_int_equal(pmp_replay_open(&r, &config, NULL), PMP_OK);
  const struct pmp_replay_rows rows = {.chunk = 1,
                                       .commit = 1,
                                       .rows = ROWS,
                                       .act = y,
                                       .group = group,
                                       .verdict = verdict,
                                       .ref_version = version};
  assert_int_equal(pmp_replay_add(r, &rows, &trainable, NULL), PMP_OK);
  assert_int_equal(trainable, ROWS);
  return r;
}

static void expect_draw(struct pmp_replay *r, float first, uint64_t trainable, uint64_t consumed) {
  struct pmp_arena arena;
  struct pmp_batch batch;
  struct pmp_replay_stats stats;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 1);
  assert_int_equal(pmp_arena_init(&arena, 1 << 16), PMP_OK);
  assert_int_equal(pmp_replay_draw(r, &rng, 3, 1, &arena, &batch), PMP_OK);
  assert_int_equal(batch.n, 3);
  assert_true(batch.act[0] == first);
  pmp_replay_stats(r, &stats);
  assert_int_equal(stats.trainable, trainable);
  assert_int_equal(pmp_replay_consumed(r), consumed);
  pmp_arena_fini(&arena);
}

static void rows_leave_when_they_are_consumed(void **state) {
  (void)state;
  struct pmp_replay *r = ring_of(PMP_SAMPLER_ONCE, 0);
  pmp_replay_consume(r); /* nothing was drawn */
  expect_draw(r, 0, ROWS, 0);
  expect_draw(r, 0, ROWS, 0);
  pmp_replay_consume(r);
  pmp_replay_consume(r); /* once only */
  expect_draw(r, 3, ROWS - 3, 3);
  pmp_replay_consume(r);
  expect_draw(r, 6, ROWS - 6, 6);
  pmp_replay_close(r);
}

/* A refresh between a refused step and the next draw may outdate rows and move the others. */
static void a_refresh_forgets_the_draw(void **state) {
  (void)state;
  struct pmp_replay *r = ring_of(PMP_SAMPLER_ONCE, 2);
  uint64_t dropped = 999;
  expect_draw(r, 0, ROWS, 0);
  pmp_replay_refresh(r, 6, &dropped);
  assert_int_equal(dropped, 6);
  pmp_replay_consume(r);
  expect_draw(r, 6, ROWS - 6, 0);
  pmp_replay_consume(r);
  expect_draw(r, 9, ROWS - 9, 3);
  pmp_replay_close(r);
}

static void other_samplers_consume_nothing(void **state) {
  (void)state;
  struct pmp_replay *r = ring_of(PMP_SAMPLER_UNIFORM, 0);
  struct pmp_arena arena;
  struct pmp_batch batch;
  struct pmp_replay_stats stats;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 1, 1);
  assert_int_equal(pmp_arena_init(&arena, 1 << 16), PMP_OK);
  for (int i = 0; i < 20; i++) {
    pmp_arena_release(&arena, 0);
    assert_int_equal(pmp_replay_draw(r, &rng, 3, 1, &arena, &batch), PMP_OK);
    pmp_replay_consume(r);
  }
  pmp_replay_stats(r, &stats);
  assert_int_equal(stats.trainable, ROWS);
  assert_int_equal(pmp_replay_consumed(r), 0);
  pmp_arena_fini(&arena);
  pmp_replay_close(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_leave_when_they_are_consumed),
      cmocka_unit_test(a_refresh_forgets_the_draw),
      cmocka_unit_test(other_samplers_consume_nothing),
      cmocka_unit_test(a_refused_step_keeps_its_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
