/* A grid of jobs: each is done once, on any number of threads; what a file holds is taken over;
 * a job's error and a stop end it, and what was done stays. */
#include "experiments/grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JOBS = 50 };

struct world {
  char path[64];
  struct pmp_grid grid;
  json_t *result[JOBS];
  pthread_mutex_t lock;
  int runs[JOBS];
  size_t fails, stops; /* the job that does; JOBS: none */
  volatile int stop;
};

static json_t *settings(void *ctx, size_t job) {
  (void)ctx;
  return json_pack("{s:i, s:f}", "job", (int)job, "share", (double)job / 7);
}

static enum pmp_err run(void *ctx, size_t job, const volatile int *stop, json_t **result,
                        struct pmp_errmsg *msg) {
  struct world *w = ctx;
  pthread_mutex_lock(&w->lock);
  w->runs[job]++;
  pthread_mutex_unlock(&w->lock);
  if (job == w->fails) return pmp_fail(msg, PMP_EINTERNAL, "job %zu has had enough", job);
  if (job == w->stops) __atomic_store_n(&w->stop, 1, __ATOMIC_RELAXED);
  if (pmp_grid_stopped(stop)) return PMP_ECLOSED;
  *result = json_pack("{s:f}", "square", (double)job * (double)job / 3);
  return PMP_OK;
}

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  snprintf(w->path, sizeof w->path, "/tmp/pmp-grid-%d.jsonl", (int)getpid());
  remove(w->path);
  pthread_mutex_init(&w->lock, NULL);
  w->fails = w->stops = JOBS;
  w->grid = (struct pmp_grid){.name = "test",
                              .path = w->path,
                              .jobs = JOBS,
                              .threads = 3,
                              .quiet = true,
                              .stop = &w->stop,
                              .ctx = w,
                              .settings = settings,
                              .run = run};
  *state = w;
  return 0;
}

static void forget(struct world *w) {
  for (size_t i = 0; i < JOBS; i++) {
    json_decref(w->result[i]);
    w->result[i] = NULL;
    w->runs[i] = 0;
  }
}

static int teardown(void **state) {
  struct world *w = *state;
  forget(w);
  remove(w->path);
  pthread_mutex_destroy(&w->lock);
  test_free(w);
  return 0;
}

static void expect_results(const struct world *w) {
  for (size_t i = 0; i < JOBS; i++) {
    const double got = json_number_value(json_object_get(w->result[i], "square"));
    assert_true(got == (double)i * (double)i / 3); /* to the bit, also from the file */
  }
}

static int count(const struct world *w) {
  int n = 0;
  for (size_t i = 0; i < JOBS; i++) n += w->runs[i];
  return n;
}

static void each_job_is_done_once(void **state) {
  struct world *w = *state;
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_OK);
  expect_results(w);
  for (size_t i = 0; i < JOBS; i++) assert_int_equal(w->runs[i], 1);
}

static void a_second_time_nothing_is_left(void **state) {
  struct world *w = *state;
  struct pmp_errmsg msg = {{0}};
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_OK);
  forget(w);
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_OK);
  expect_results(w);
  assert_int_equal(count(w), 0);
}

static void a_line_that_was_cut_off_is_done_again(void **state) {
  struct world *w = *state;
  struct pmp_errmsg msg = {{0}};
  w->grid.threads = 1;
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_OK);
  FILE *f = fopen(w->path, "r+");
  assert_non_null(f);
  fseek(f, 0, SEEK_END);
  assert_int_equal(ftruncate(fileno(f), ftell(f) - 10), 0);
  fclose(f);
  forget(w);
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_OK);
  expect_results(w);
  assert_int_equal(count(w), 1);
  assert_int_equal(w->runs[JOBS - 1], 1);
  forget(w); /* and the line after the cut one is a line of its own */
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_OK);
  assert_int_equal(count(w), 0);
}

static void an_error_ends_it_and_the_rest_stays(void **state) {
  struct world *w = *state;
  struct pmp_errmsg msg = {{0}};
  w->fails = 20;
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_EINTERNAL);
  assert_string_equal(msg.text, "job 20 has had enough");
  forget(w);
  w->fails = JOBS;
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_OK);
  expect_results(w);
  assert_int_equal(w->runs[0], 0);
  assert_int_equal(w->runs[20], 1);
}

static void a_stop_ends_it_and_it_goes_on(void **state) {
  struct world *w = *state;
  struct pmp_errmsg msg = {{0}};
  w->stops = 30;
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_ECLOSED);
  assert_null(w->result[30]);
  assert_null(w->result[JOBS - 1]);
  forget(w);
  w->stops = JOBS;
  w->stop = 0;
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_OK);
  expect_results(w);
  assert_in_range(count(w), 1, JOBS - 20);
}

static void a_file_that_cannot_be_is_an_error(void **state) {
  struct world *w = *state;
  struct pmp_errmsg msg = {{0}};
  w->grid.path = "/nowhere/at/all.jsonl";
  assert_int_equal(pmp_grid_run(&w->grid, w->result, &msg), PMP_ENOTFOUND);
  assert_non_null(strstr(msg.text, "/nowhere/at/all.jsonl"));
}

int main(void) {
#define GRID(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {GRID(each_job_is_done_once),
                                     GRID(a_second_time_nothing_is_left),
                                     GRID(a_line_that_was_cut_off_is_done_again),
                                     GRID(an_error_ends_it_and_the_rest_stays),
                                     GRID(a_stop_ends_it_and_it_goes_on),
                                     GRID(a_file_that_cannot_be_is_an_error)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
