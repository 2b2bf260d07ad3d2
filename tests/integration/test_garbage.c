/* What nobody should send: oversized, truncated, deeply nested and random messages, and connections
 * that say nothing. The daemon answers or hangs up, and goes on serving everybody else. */
#include "tests/support/small_run.h"

#include "base/rng.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Everything still works. */
static void expect_alive(struct small_run *s) {
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  assert_int_equal((int)test_rpc_number(&s->observer, "rpc.refused_internal"), 0);
}

/* An encoded request to spoil: an append of 64 rows. */
static size_t good_append(const struct small_run *s, unsigned char *out, size_t room) {
  struct test_outcomes o;
  test_outcomes_draw(&o, 1, 64);
  const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  struct pmp_request q = {.version = 1, .verb = PMP_VERB_APPEND, .request_id = 9};
  q.session = (struct pmp_bytes){s->actor.session, sizeof s->actor.session};
  q.u.append.seq = 1;
  const void *data;
  size_t size;
  assert_int_equal(
      pmp_wire_encode_chunk(&c, &arena, &q.u.append.chunk.data, &q.u.append.chunk.size, NULL),
      PMP_OK);
  assert_int_equal(pmp_wire_encode_request(&q, &arena, &data, &size, NULL), PMP_OK);
  assert_true(size <= room);
  memcpy(out, data, size);
  pmp_arena_fini(&arena);
  return size;
}

static void truncated_messages_are_refused(void **state) {
  struct small_run *s = *state;
  unsigned char bytes[8192];
  const size_t size = good_append(s, bytes, sizeof bytes);
  assert_int_equal(test_rpc_status(&s->observer), PMP_OK);
  const double rows = test_rpc_number(&s->observer, "store.rows");
  for (size_t n = 0; n < size; n += n < 64 ? 1 : 37) {
    const enum pmp_err err = test_rpc_bytes(&s->actor, bytes, n);
    if (err == PMP_OK || err > PMP_EINTERNAL)
      fail_msg("%zu of %zu bytes: %s", n, size, pmp_err_name(err));
  }
  expect_alive(s);
  assert_true(test_rpc_number(&s->observer, "store.rows") == rows);
}

static void random_messages_are_answered(void **state) {
  struct small_run *s = *state;
  struct pmp_rng rng;
  pmp_rng_init(&rng, 2024, 7);
  unsigned char bytes[8192], good[8192];
  const size_t size = good_append(s, good, sizeof good);
  struct test_rpc *to[] = {&s->actor, &s->observer};
  for (int i = 0; i < 600; i++) {
    size_t n = pmp_rng_below(&rng, 300);
    if (i % 2 == 0) {
      for (size_t k = 0; k < n; k++) bytes[k] = (unsigned char)pmp_rng_u32(&rng);
    } else { /* a good one with some bytes turned; its sequence number is far off, so that it is
                never committed */
      n = size;
      memcpy(bytes, good, n);
      const uint64_t flips = 1 + pmp_rng_below(&rng, 8);
      for (uint64_t k = 0; k < flips; k++)
        bytes[pmp_rng_below(&rng, n)] = (unsigned char)pmp_rng_u32(&rng);
    }
    const enum pmp_err err = test_rpc_bytes(to[i / 2 % 2], bytes, n);
    if (err > PMP_EINTERNAL) fail_msg("message %d: %s", i, pmp_err_name(err));
    assert_int_not_equal(err, PMP_EINTERNAL);
  }
  expect_alive(s);
}

static void deeply_nested_messages_are_refused(void **state) {
  struct small_run *s = *state;
  enum { DEEP = 1 << 20 };
  unsigned char *bytes = test_malloc(DEEP);
  /* Groups (an old encoding that may nest without end), then tags that each announce a nested
   * message, then varints without end. */
  memset(bytes, 0x0b, DEEP);
  assert_int_equal(test_rpc_bytes(&s->observer, bytes, DEEP), PMP_EINVALID);
  for (size_t i = 0; i + 1 < DEEP; i += 2) {
    bytes[i] = 0x72;
    bytes[i + 1] = 0x7f;
  }
  const enum pmp_err err = test_rpc_bytes(&s->observer, bytes, DEEP);
  assert_true(err == PMP_EINVALID || err == PMP_ETOOLARGE);
  memset(bytes, 0xff, DEEP);
  assert_int_equal(test_rpc_bytes(&s->observer, bytes, DEEP), PMP_EINVALID);
  /* Many small repeated entries: memory in, far more memory out. */
  for (size_t i = 0; i + 1 < DEEP; i += 2) {
    bytes[i] = 0x0a; /* Verdicts.verdict, empty */
    bytes[i + 1] = 0x00;
  }
  unsigned char head[] = {0x08, 0x01, 0x9a, 0x01,
                          0x80, 0x80, 0x3c}; /* version 1, verdicts of 983040 bytes */
  unsigned char *all = test_malloc(sizeof head + 983040);
  memcpy(all, head, sizeof head);
  memcpy(all + sizeof head, bytes, 983040);
  assert_int_equal(test_rpc_bytes(&s->observer, all, sizeof head + 983040), PMP_ETOOLARGE);
  test_free(all);
  test_free(bytes);
  expect_alive(s);
}

static void oversized_messages_end_the_connection(void **state) {
  (void)state;
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.message_bytes=65536");
  small_run_start(&s);
  unsigned char *bytes = test_calloc(1, 400000);
  assert_int_equal(test_rpc_bytes(&s.actor, bytes, 65537), PMP_ETOOLARGE);
  struct test_rpc big;
  test_rpc_open(&big, s.d.desk);
  big.wait_ms = 700;
  const enum pmp_err err = test_rpc_bytes(&big, bytes, 400000);
  assert_true(err == PMP_ETIMEOUT || err == PMP_ECLOSED); /* never answered, never kept */
  test_rpc_close(&big);
  test_free(bytes);
  expect_alive(&s);
  small_run_fini(&s);
}

static int port_of(const char *url) {
  return atoi(strrchr(url, ':') + 1);
}

static int dial_raw(const char *url) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(url))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  return fd;
}

/* Reads away what the daemon says; true once it has hung up. */
static bool hung_up(int fd) {
  char bytes[64];
  for (;;) {
    const ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return true;
    if (n < 0) return false;
  }
}

/* Waits until each has been hung up on. */
static void expect_hung_up(int *fd, int count, int ms) {
  int left = count;
  for (int waited = 0; left > 0; waited += 20) {
    left = 0;
    for (int i = 0; i < count; i++) {
      if (fd[i] < 0) continue;
      if (hung_up(fd[i])) {
        close(fd[i]);
        fd[i] = -1;
      } else {
        left++;
      }
    }
    if (left == 0) return;
    if (waited > ms)
      fail_msg("%d of %d silent connections are still open after %d ms", left, count, ms);
    test_sleep_ms(20);
  }
}

static void silent_connections_are_closed_and_disturb_nobody(void **state) {
  (void)state;
  enum { RAW = 100, HALF = 100, NNG = 100 };
  const struct rlimit files = {4096, 4096};
  (void)setrlimit(RLIMIT_NOFILE, &files);
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.hello_timeout_ms=1000");
  small_run_start(&s);
  static int raw[RAW], half[HALF];
  nng_socket socket[NNG];
  for (int i = 0; i < RAW; i++) raw[i] = dial_raw(i % 2 ? s.d.desk : s.d.data);
  /* The greeting of nng's own transport (SP, version 0, REQ), then nothing. */
  static const unsigned char greeting[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
  for (int i = 0; i < HALF; i++) {
    half[i] = dial_raw(i % 2 ? s.d.desk : s.d.data);
    assert_int_equal(send(half[i], greeting, sizeof greeting, MSG_NOSIGNAL), sizeof greeting);
  }
  for (int i = 0; i < NNG; i++) {
    struct test_rpc r;
    test_rpc_open(&r, i % 2 ? s.d.desk : s.d.data);
    socket[i] = r.socket;
    pmp_arena_fini(&r.in);
    pmp_arena_fini(&r.out);
  }
  struct test_rpc late;
  for (int i = 0; i < 50; i++) { /* in the middle of it */
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    struct test_outcomes o;
    test_outcomes_draw(&o, (uint64_t)i, 4);
    const struct pmp_chunk c = test_outcomes_chunk(&o, true, false);
    assert_int_equal(test_rpc_append_wait(&s.actor, (uint64_t)i + 1, &c, NULL, 0, 5000), PMP_OK);
  }
  test_rpc_open(&late, s.d.desk);
  assert_int_equal(test_rpc_hello(&late, PMP_ROLE_OBSERVER, "late", 0), PMP_OK);
  test_rpc_close(&late);
  test_rpc_wait_number(&s.observer, "rpc.connections_silent", HALF + NNG, 10000);
  expect_hung_up(half, HALF, 10000);
  expect_hung_up(raw, RAW, 15000);
  for (int i = 0; i < NNG; i++) nng_close(socket[i]);
  expect_alive(&s); /* who has spoken stays */
  small_run_fini(&s);
}

/* More connections than are allowed are turned away, and once there is room again others come in.
 */
static void connections_are_bounded(void **state) {
  (void)state;
  enum { LIMIT = 12, MORE = 40 };
  static const unsigned char greeting[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
  struct small_run s;
  small_run_init(&s);
  test_pmpod_set(&s.d, "limits.connections=12");
  small_run_start(&s); /* 3 at the desk, 2 at data */
  for (int round = 0; round < 3; round++) {
    int fd[MORE];
    for (int i = 0; i < MORE; i++) {
      fd[i] = dial_raw(s.d.desk);
      assert_int_equal(send(fd[i], greeting, sizeof greeting, MSG_NOSIGNAL), sizeof greeting);
    }
    int refused = 0;
    for (int waited = 0; waited < 10000 && refused < MORE - LIMIT + 3; waited += 10) {
      test_sleep_ms(10);
      refused = 0;
      for (int i = 0; i < MORE; i++) refused += hung_up(fd[i]);
    }
    assert_int_equal(refused, MORE - LIMIT + 3);
    assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
    assert_true(test_rpc_number(&s.observer, "rpc.connections") <= 2 * LIMIT);
    for (int i = 0; i < MORE; i++) close(fd[i]);
    for (int waited = 0;; waited += 10) {
      assert_int_equal(test_rpc_status(&s.observer), PMP_OK);
      if (test_rpc_number(&s.observer, "rpc.connections") == 5) break;
      if (waited > 5000)
        fail_msg("%g connections are counted, 5 are there",
                 test_rpc_number(&s.observer, "rpc.connections"));
      test_sleep_ms(10);
    }
  }
  struct test_rpc late;
  test_rpc_open(&late, s.d.desk);
  assert_int_equal(test_rpc_hello(&late, PMP_ROLE_OBSERVER, "late", 0), PMP_OK);
  test_rpc_close(&late);
  small_run_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(truncated_messages_are_refused),
      cmocka_unit_test(random_messages_are_answered),
      cmocka_unit_test(deeply_nested_messages_are_refused),
      cmocka_unit_test(oversized_messages_end_the_connection),
      cmocka_unit_test(silent_connections_are_closed_and_disturb_nobody),
      cmocka_unit_test(connections_are_bounded),
  };
  return cmocka_run_group_tests(tests, small_run_group_setup, small_run_group_teardown);
}
