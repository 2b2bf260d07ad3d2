/* A pmpod with the smallest useful run: two-dimensional outcomes without a condition, judged by
 * their own evaluations, and its two addresses. */
#ifndef PMP_TESTS_SMALL_RUN_H
#define PMP_TESTS_SMALL_RUN_H

#include "tests/support/pmpod_process.h"
#include "tests/support/rpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct small_run {
  struct test_pmpod d;
  struct test_rpc actor_desk, actor, observer, operator_,
      watcher; /* watcher: an observer at the data address */
};

/* Settings only; the daemon is started by small_run_start. */
static inline void small_run_init(struct small_run *s) {
  memset(s, 0, sizeof *s);
  test_pmpod_init(&s->d);
  test_pmpod_set(&s->d, "learner.batch=16");
  test_pmpod_set(&s->d, "learner.min_size=32");
  test_pmpod_set(&s->d, "learner.capacity=4096");
  test_pmpod_set(&s->d, "limits.chunk_rows=256");
  test_pmpod_set(&s->d, "learner.samples_per_insert=1");
  test_pmpod_set(&s->d, "learner.refresh_period=10");
  test_pmpod_set(&s->d, "learner.metrics_ms=20");
  test_pmpod_set(&s->d, "optim.lr=0.01");
}

/* Connects the clients to the daemon that runs. */
static inline void small_run_connect(struct small_run *s, uint8_t instance) {
  test_rpc_open(&s->actor, s->d.data);
  enum pmp_err err = PMP_EBUSY; /* in lockstep, while the learner loads */
  for (int waited = 0; err == PMP_EBUSY && waited < 20000; waited += 10) {
    err = test_rpc_hello(&s->actor, PMP_ROLE_ACTOR, "a1", instance);
    if (err == PMP_EBUSY) test_sleep_ms(10);
  }
  assert_int_equal(err, PMP_OK);
  test_rpc_open(&s->actor_desk, s->d.desk);
  test_rpc_share(&s->actor_desk, &s->actor);
  test_rpc_open(&s->observer, s->d.desk);
  assert_int_equal(test_rpc_hello(&s->observer, PMP_ROLE_OBSERVER, "eye", 0), PMP_OK);
  test_rpc_open(&s->watcher, s->d.data);
  test_rpc_share(&s->watcher, &s->observer);
  test_rpc_open(&s->operator_, s->d.desk);
  assert_int_equal(test_rpc_hello(&s->operator_, PMP_ROLE_OPERATOR, "boss", 0), PMP_OK);
}

static inline void small_run_disconnect(struct small_run *s) {
  test_rpc_close(&s->actor);
  test_rpc_close(&s->actor_desk);
  test_rpc_close(&s->observer);
  test_rpc_close(&s->watcher);
  test_rpc_close(&s->operator_);
}

static inline void small_run_start(struct small_run *s) {
  test_pmpod_start(&s->d);
  small_run_connect(s, 1);
}

static inline void small_run_fini(struct small_run *s) {
  small_run_disconnect(s);
  test_pmpod_fini(&s->d);
}

/* For cmocka's set-up and tear-down: one daemon for a group of tests. */
static inline int small_run_group_setup(void **state) {
  struct small_run *s = test_malloc(sizeof *s);
  *state = s;
  small_run_init(s);
  small_run_start(s);
  return 0;
}
static inline int small_run_group_teardown(void **state) {
  struct small_run *s = *state;
  small_run_disconnect(s);
  if (s->d.pid > 0) test_pmpod_stop(&s->d);
  test_pmpod_fini(&s->d);
  test_free(s);
  return 0;
}

#endif
