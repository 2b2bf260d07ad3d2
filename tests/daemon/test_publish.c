/* The publisher: numbers are reserved before they are out, old versions stay a while, waiters wait.
 * And snapshots: who holds one may read it. */
#include "daemon/publish.h"

#include "tests/daemon/unit.h"

#include <pthread.h>

#define SECOND INT64_C(1000000000)

static struct pmp_manifest manifest(uint32_t floats) {
  struct pmp_manifest m = {.views = 0};
  size_t offset;
  assert_int_equal(pmp_manifest_add(&m, "w", 1, &floats, &offset), PMP_OK);
  return m;
}

static struct pmp_snapshot *snapshot(uint64_t version) {
  const struct pmp_manifest m = manifest(4);
  const float w[4] = {(float)version, 1, 2, 3};
  struct pmp_snapshot *s = pmp_snapshot_new(&m, w, version, version * 10, false);
  assert_non_null(s);
  return s;
}

static void a_snapshot_is_a_copy_with_a_hash(void **state) {
  (void)state;
  const struct pmp_manifest m = manifest(4);
  float w[4] = {1, 2, 3, 4};
  char hash[33];
  struct pmp_snapshot *s = pmp_snapshot_new(&m, w, 5, 50, true);
  pmp_params_hash(&m, w, hash);
  w[0] = 999;
  assert_true(s->data[0] == 1);
  assert_string_equal(s->hash, hash);
  assert_int_equal(s->version, 5);
  assert_int_equal(s->step, 50);
  assert_true(s->policy);
  assert_ptr_equal(pmp_snapshot_hold(s), s);
  pmp_snapshot_release(s);
  assert_true(s->data[3] == 4); /* still held */
  pmp_snapshot_release(s);
  pmp_snapshot_release(NULL);
}

static void *hold_and_release(void *arg) {
  for (int i = 0; i < 20000; i++) pmp_snapshot_release(pmp_snapshot_hold(arg));
  return NULL;
}

static void references_are_counted_across_threads(void **state) {
  (void)state;
  struct pmp_snapshot *s = snapshot(1);
  pthread_t thread[4];
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&thread[i], NULL, hold_and_release, s), 0);
  for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
  assert_int_equal(s->refs, 1);
  pmp_snapshot_release(s);
}

static void a_number_is_reserved_before_it_is_out(void **state) {
  (void)state;
  struct pmp_publisher p;
  uint64_t want = 999;
  assert_int_equal(pmp_publisher_init(&p, 10 * SECOND, 1 << 20, 2), PMP_OK);
  assert_int_equal(pmp_publisher_version(&p), 0);
  assert_null(pmp_publisher_find(&p, 0));
  assert_false(pmp_publisher_offer(&p, snapshot(1), 0, &want));
  assert_int_equal(want, 1);
  assert_int_equal(pmp_publisher_version(&p), 0); /* nobody has seen it */
  assert_false(
      pmp_publisher_offer(&p, snapshot(2), 0, &want)); /* a newer one before the first was out */
  assert_false(pmp_publisher_reserved(&p, 1, 0));      /* not enough for it */
  assert_true(pmp_publisher_reserved(&p, 33, 0));
  assert_int_equal(pmp_publisher_version(&p), 2);
  assert_null(pmp_publisher_find(&p, 1));
  assert_true(pmp_publisher_offer(&p, snapshot(33), 0, &want));
  assert_false(pmp_publisher_offer(&p, snapshot(34), 0, &want));
  assert_int_equal(pmp_publisher_version(&p), 33);
  assert_false(pmp_publisher_reserved(&p, 10, 0)); /* never lowers */
  assert_int_equal(p.reserved, 33);
  pmp_publisher_fini(&p);
}

static void a_version_stays_until_a_newer_one_was_out_long_enough(void **state) {
  (void)state;
  struct pmp_publisher p;
  uint64_t want;
  assert_int_equal(pmp_publisher_init(&p, 10 * SECOND, 1 << 20, 2), PMP_OK);
  p.reserved = UINT64_MAX;
  pmp_publisher_offer(&p, snapshot(1), 0, &want);
  pmp_publisher_sweep(&p, 1000 * SECOND);
  assert_non_null(pmp_publisher_find(&p, 1)); /* the newest, however old */
  pmp_publisher_offer(&p, snapshot(2), 1000 * SECOND, &want);
  pmp_publisher_sweep(&p, 1010 * SECOND);
  assert_non_null(pmp_publisher_find(&p, 1));
  pmp_publisher_sweep(&p, 1010 * SECOND + 1);
  assert_null(pmp_publisher_find(&p, 1));
  assert_int_equal(p.expired, 1);
  assert_true(pmp_publisher_find(&p, 2)->data[0] == 2);
  pmp_publisher_fini(&p);
}

static void kept_bytes_are_bounded(void **state) {
  (void)state;
  struct pmp_publisher p;
  uint64_t want;
  assert_int_equal(pmp_publisher_init(&p, 1000 * SECOND, 40, 2),
                   PMP_OK); /* two of 16 bytes, not three */
  p.reserved = UINT64_MAX;
  for (uint64_t v = 1; v <= 5; v++) pmp_publisher_offer(&p, snapshot(v), 0, &want);
  assert_int_equal(p.count, 2);
  assert_non_null(pmp_publisher_find(&p, 4));
  assert_non_null(pmp_publisher_find(&p, 5));
  pmp_publisher_fini(&p);
  assert_int_equal(pmp_publisher_init(&p, 1000 * SECOND, 1, 2),
                   PMP_OK); /* the newest is kept all the same */
  p.reserved = UINT64_MAX;
  for (uint64_t v = 1; v <= 5; v++) pmp_publisher_offer(&p, snapshot(v), 0, &want);
  assert_int_equal(p.count, 1);
  assert_int_equal(pmp_publisher_version(&p), 5);
  pmp_publisher_fini(&p);
  assert_int_equal(pmp_publisher_init(&p, 1000 * SECOND, 1 << 20, 2), PMP_OK);
  p.reserved = UINT64_MAX;
  for (uint64_t v = 1; v <= PMP_PUBLISH_KEEP_MAX + 10; v++)
    pmp_publisher_offer(&p, snapshot(v), 0, &want);
  assert_int_equal(p.count, PMP_PUBLISH_KEEP_MAX);
  assert_null(pmp_publisher_find(&p, 10));
  assert_non_null(pmp_publisher_find(&p, 11));
  pmp_publisher_fini(&p);
}

static void waiters_end_with_news_or_with_their_time(void **state) {
  (void)state;
  struct pmp_publisher p;
  struct pmp_call a, b, c, *due = NULL;
  uint64_t want;
  assert_int_equal(pmp_publisher_init(&p, SECOND, 1 << 20, 2), PMP_OK);
  p.reserved = UINT64_MAX;
  pmp_publisher_offer(&p, snapshot(3), 0, &want);
  assert_true(pmp_publisher_wait(&p, &a, 3, 5 * SECOND));
  assert_true(pmp_publisher_wait(&p, &b, 4, 9 * SECOND));
  assert_false(pmp_publisher_wait(&p, &c, 3, 5 * SECOND)); /* two at most */
  assert_false(pmp_publisher_due(&p, SECOND, &due));
  pmp_publisher_offer(&p, snapshot(4), SECOND, &want);
  assert_true(pmp_publisher_due(&p, SECOND, &due));
  assert_ptr_equal(due, &a);
  assert_false(pmp_publisher_due(&p, SECOND, &due)); /* 4 is not newer than 4 */
  assert_true(pmp_publisher_wait(&p, &c, 100, 2 * SECOND));
  assert_true(pmp_publisher_due(&p, 2 * SECOND, &due));
  assert_ptr_equal(due, &c);
  assert_true(pmp_publisher_due(&p, 9 * SECOND, &due));
  assert_ptr_equal(due, &b);
  assert_false(pmp_publisher_due(&p, 100 * SECOND, &due));
  pmp_publisher_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_snapshot_is_a_copy_with_a_hash),
      cmocka_unit_test(references_are_counted_across_threads),
      cmocka_unit_test(a_number_is_reserved_before_it_is_out),
      cmocka_unit_test(a_version_stays_until_a_newer_one_was_out_long_enough),
      cmocka_unit_test(kept_bytes_are_bounded),
      cmocka_unit_test(waiters_end_with_news_or_with_their_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
