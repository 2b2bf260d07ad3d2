/* A peer that asks and never reads the answers: it holds every context of the desk, but not for
 * ever. */
#include "tests/support/raw_peer.h"
#include "tests/support/small_run.h"

#include <errno.h>
#include <unistd.h>

enum { REQUESTS_MAX = 200000 };

static void a_peer_that_never_reads_is_dropped(void **state) {
  (void)state;
  struct small_run s;
  struct test_rpc other;
  uint8_t request[RAW_PEER_FRAME_MAX];
  small_run_init(&s);
  test_pmpod_set(&s.d, "listen.desk_contexts=4");
  test_pmpod_set(&s.d, "limits.requests_per_second=1e9");
  small_run_start(&s);
  test_rpc_open(&other, s.d.desk);
  assert_int_equal(test_rpc_hello(&other, PMP_ROLE_OBSERVER, "other", 0), PMP_OK);
  const struct pmp_request ask = {.verb = PMP_VERB_STATUS};
  const size_t size = raw_peer_frame(&s.observer, &ask, request);
  const int fd = raw_peer_dial(s.d.desk, 4096); /* as little room for answers as there can be */
  assert_true(fd >= 0);
  assert_true(raw_peer_flood(fd, request, size, REQUESTS_MAX, 500));

  /* Nobody is served at this address now, or the test tests nothing; at the other all goes on. */
  s.observer.wait_ms = 200;
  assert_int_equal(test_rpc_status(&s.observer), PMP_ETIMEOUT);
  struct test_outcomes o;
  test_outcomes_draw(&o, 1, 16);
  const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  assert_int_equal(test_rpc_append_wait(&s.actor, 1, &c, NULL, 0, 5000), PMP_OK);

  /* The contexts come back without the peer's doing. */
  other.wait_ms = 30000;
  assert_int_equal(test_rpc_status(&other), PMP_OK);
  assert_true(test_rpc_number(&other, "rpc.replies_lost") >= 1);
  for (int i = 0; i < 8; i++) assert_int_equal(test_rpc_status(&other), PMP_OK);
  /* The peer was dropped, what it had sent with it. */
  for (int waited = 0;; waited += 20) {
    char rest[4096];
    const ssize_t n = read(fd, rest, sizeof rest);
    if (n == 0 || (n < 0 && errno != EAGAIN)) break;
    if (n < 0) test_sleep_ms(20);
    assert_true(waited < 60000);
  }
  close(fd);
  test_rpc_close(&other);
  small_run_disconnect(&s);
  test_pmpod_stop(&s.d);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_peer_that_never_reads_is_dropped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
