/* Order, refusal, closing and many threads at base/ring. */
#include "base/ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int items[8];

static void test_first_in_first_out_around_the_end(void **state) {
  (void)state;
  struct pmp_ring r;
  void *got = NULL;
  assert_int_equal(pmp_ring_init(&r, 3), PMP_OK);
  for (int round = 0; round < 5; round++) {
    assert_int_equal(pmp_ring_push(&r, &items[0]), PMP_OK);
    assert_int_equal(pmp_ring_push(&r, &items[1]), PMP_OK);
    assert_int_equal(pmp_ring_count(&r), 2);
    assert_true(pmp_ring_try_pop(&r, &got));
    assert_ptr_equal(got, &items[0]);
    assert_int_equal(pmp_ring_pop(&r, &got, 0), PMP_OK);
    assert_ptr_equal(got, &items[1]);
  }
  assert_false(pmp_ring_try_pop(&r, &got));
  assert_int_equal(r.peak, 2);
  pmp_ring_fini(&r);
}

static void test_full_refuses_and_counts(void **state) {
  (void)state;
  struct pmp_ring r;
  void *got = NULL;
  assert_int_equal(pmp_ring_init(&r, 1), PMP_OK);
  assert_int_equal(pmp_ring_push(&r, &items[0]), PMP_OK);
  assert_int_equal(pmp_ring_push(&r, &items[1]), PMP_EBUSY);
  assert_int_equal(pmp_ring_push(&r, &items[1]), PMP_EBUSY);
  assert_int_equal(r.refused, 2);
  assert_true(pmp_ring_try_pop(&r, &got));
  assert_ptr_equal(got, &items[0]);
  assert_int_equal(pmp_ring_push(&r, &items[1]), PMP_OK);
  pmp_ring_fini(&r);
}

static void test_pop_gives_up_at_its_time(void **state) {
  (void)state;
  struct pmp_ring r;
  void *got = &items[7];
  assert_int_equal(pmp_ring_init(&r, 1), PMP_OK);
  assert_int_equal(pmp_ring_pop(&r, &got, 0), PMP_ETIMEOUT);
  assert_int_equal(pmp_ring_pop(&r, &got, 5), PMP_ETIMEOUT);
  assert_ptr_equal(got, &items[7]);
  pmp_ring_fini(&r);
}

static void test_close_drains_then_ends(void **state) {
  (void)state;
  struct pmp_ring r;
  void *got = NULL;
  assert_int_equal(pmp_ring_init(&r, 2), PMP_OK);
  assert_int_equal(pmp_ring_push(&r, &items[3]), PMP_OK);
  pmp_ring_close(&r);
  assert_int_equal(pmp_ring_push(&r, &items[4]), PMP_ECLOSED);
  assert_int_equal(pmp_ring_pop(&r, &got, -1), PMP_OK);
  assert_ptr_equal(got, &items[3]);
  assert_int_equal(pmp_ring_pop(&r, &got, -1), PMP_ECLOSED);
  pmp_ring_fini(&r);
}

static void *wait_for_close(void *arg) {
  struct pmp_ring *r = arg;
  void *got = NULL;
  return pmp_ring_pop(r, &got, -1) == PMP_ECLOSED ? r : NULL;
}

static void test_close_wakes_every_waiter(void **state) {
  (void)state;
  enum { WAITERS = 4 };
  struct pmp_ring r;
  pthread_t thread[WAITERS];
  assert_int_equal(pmp_ring_init(&r, 1), PMP_OK);
  for (int i = 0; i < WAITERS; i++)
    assert_int_equal(pthread_create(&thread[i], NULL, wait_for_close, &r), 0);
  pmp_ring_close(&r);
  for (int i = 0; i < WAITERS; i++) {
    void *result = NULL;
    assert_int_equal(pthread_join(thread[i], &result), 0);
    assert_ptr_equal(result, &r);
  }
  pmp_ring_fini(&r);
}

enum { PRODUCERS = 3, CONSUMERS = 3, EACH = 5000 };

struct crowd {
  struct pmp_ring ring;
  atomic_int seen[PRODUCERS * EACH]; /* times each item was popped */
  int numbers[PRODUCERS * EACH];
  atomic_int next_producer;
  atomic_int disorder;
};

static void *produce(void *arg) {
  struct crowd *c = arg;
  int first = atomic_fetch_add(&c->next_producer, 1) * EACH;
  for (int i = first; i < first + EACH; i++) {
    c->numbers[i] = i;
    while (pmp_ring_push(&c->ring, &c->numbers[i]) == PMP_EBUSY) sched_yield();
  }
  return NULL;
}

static void *consume(void *arg) {
  struct crowd *c = arg;
  int last[PRODUCERS] = {-1, -1, -1};
  void *got = NULL;
  while (pmp_ring_pop(&c->ring, &got, -1) == PMP_OK) {
    int number = *(int *)got;
    atomic_fetch_add(&c->seen[number], 1);
    /* One consumer sees each producer's items in the order they were pushed. */
    if (number <= last[number / EACH]) atomic_fetch_add(&c->disorder, 1);
    last[number / EACH] = number;
  }
  return NULL;
}

static void test_many_threads_lose_and_double_nothing(void **state) {
  (void)state;
  static struct crowd c;
  pthread_t producer[PRODUCERS], consumer[CONSUMERS];
  assert_int_equal(pmp_ring_init(&c.ring, 16), PMP_OK);
  for (int i = 0; i < CONSUMERS; i++)
    assert_int_equal(pthread_create(&consumer[i], NULL, consume, &c), 0);
  for (int i = 0; i < PRODUCERS; i++)
    assert_int_equal(pthread_create(&producer[i], NULL, produce, &c), 0);
  for (int i = 0; i < PRODUCERS; i++) assert_int_equal(pthread_join(producer[i], NULL), 0);
  pmp_ring_close(&c.ring);
  for (int i = 0; i < CONSUMERS; i++) assert_int_equal(pthread_join(consumer[i], NULL), 0);
  for (int i = 0; i < PRODUCERS * EACH; i++) assert_int_equal(atomic_load(&c.seen[i]), 1);
  assert_int_equal(atomic_load(&c.disorder), 0);
  assert_true(c.ring.peak <= 16);
  pmp_ring_fini(&c.ring);
}

static void test_init_refuses_no_capacity_and_fini_is_safe(void **state) {
  (void)state;
  struct pmp_ring r = {0};
  pmp_ring_fini(&r);
  assert_int_equal(pmp_ring_init(&r, 0), PMP_EINVALID);
  pmp_ring_fini(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_in_first_out_around_the_end),
      cmocka_unit_test(test_full_refuses_and_counts),
      cmocka_unit_test(test_pop_gives_up_at_its_time),
      cmocka_unit_test(test_close_drains_then_ends),
      cmocka_unit_test(test_close_wakes_every_waiter),
      cmocka_unit_test(test_many_threads_lose_and_double_nothing),
      cmocka_unit_test(test_init_refuses_no_capacity_and_fini_is_safe),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
