/* libpmpo against a daemon that loses replies, restarts and refuses: everything acknowledged
 * arrives once, in order. */
#include "clients/libpmpo/pmpo.h"
#include "tests/support/fake_daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROWS = 4, DIM = 2 };

static struct pmp_errmsg msg;

static struct pmp_spec bandit_spec(void) {
  struct pmp_spec s = {.task = "sphere", .shape = PMP_SHAPE_OUTCOMES};
  s.action.kind = PMP_ACTION_BOX;
  s.action.dim = DIM;
  s.action.low = -10;
  s.action.high = 10;
  return s;
}

static struct fake_daemon *start(void) {
  struct fake_options options = {.spec = bandit_spec(), .run_id = "run-1"};
  struct fake_daemon *d = fake_daemon_start(&options);
  assert_non_null(d);
  return d;
}

static struct pmpo *connect_as(struct fake_daemon *d, const char *name, uint32_t queue,
                               uint32_t request_ms) {
  struct pmp_spec spec = bandit_spec();
  struct pmpo_options o = {.url = fake_daemon_url(d),
                           .role = PMP_ROLE_ACTOR,
                           .name = name,
                           .client = "test",
                           .spec = &spec,
                           .queue_chunks = queue,
                           .connect_ms = 10000,
                           .request_ms = request_ms};
  struct pmpo *c = NULL;
  enum pmp_err err = pmpo_open(&c, &o, &msg);
  if (err != PMP_OK) fail_msg("%s", msg.text);
  return c;
}

/* Chunk number n: its values name it. */
static enum pmp_err append_n(struct pmpo *c, uint32_t n) {
  float y[ROWS * DIM], f[ROWS];
  for (uint32_t i = 0; i < ROWS * DIM; i++) y[i] = (float)n + (float)i / 16;
  for (uint32_t i = 0; i < ROWS; i++) f[i] = -(float)n;
  uint32_t group[ROWS] = {0};
  struct pmp_chunk chunk = {
      .source = PMP_SOURCE_ACTOR, .shape = PMP_SHAPE_OUTCOMES, .rows = ROWS, .groups = 1};
  chunk.group = group;
  chunk.f = f;
  chunk.action = (struct pmp_tensor){
      .dtype = PMP_F32, .rank = 2, .shape = {ROWS, DIM}, .data = y, .bytes = sizeof y};
  char state[32];
  int length = snprintf(state, sizeof state, "after %u", n);
  return pmpo_append(c, &chunk, (struct pmp_bytes){state, (size_t)length}, &msg);
}

/* Chunks 0..n-1 were committed, each once, in order, with their state. */
static void assert_committed(struct fake_daemon *d, uint32_t n) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  struct pmp_bytes bytes, state;
  for (uint32_t i = 0; i < n; i++) {
    struct pmp_chunk chunk;
    char expected[32];
    pmp_arena_release(&arena, 0);
    assert_true(fake_daemon_chunk(d, i, &bytes, &state));
    assert_int_equal(
        pmp_wire_decode_chunk(bytes.data, bytes.size, NULL, &limits, &arena, &chunk, &msg), PMP_OK);
    assert_true(chunk.f[0] == -(float)i);
    int length = snprintf(expected, sizeof expected, "after %u", i);
    assert_int_equal(state.size, length);
    assert_memory_equal(state.data, expected, state.size);
  }
  assert_false(fake_daemon_chunk(d, n, &bytes, &state));
  pmp_arena_fini(&arena);
}

static void test_open(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo *c = connect_as(d, "a1", 0, 0);
  const struct pmp_hello_reply *run = pmpo_run(c);
  assert_string_equal(run->run_id, "run-1");
  assert_int_equal(run->epoch, 1);
  assert_int_equal(run->last_seq, 0);
  assert_int_equal(run->actor_state.size, 0);
  assert_int_equal(pmpo_flush(c, 0, &msg), PMP_OK);
  pmpo_close(c);
  c = connect_as(d, "a1", 0, 0); /* another instance */
  assert_int_equal(pmpo_run(c)->epoch, 2);
  pmpo_close(c);
  pmpo_close(NULL);
  fake_daemon_stop(d);
}

static void test_open_refused(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmp_spec spec = bandit_spec();
  struct pmpo *c = (struct pmpo *)8;
  struct pmpo_options o = {
      .url = fake_daemon_url(d), .role = PMP_ROLE_ACTOR, .name = "a", .spec = &spec};
  spec.action.dim = 3;
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_ECONFLICT);
  assert_null(c);
  o.name = "two words";
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_EINVALID);
  o.name = "a";
  o.role = PMP_ROLE_NONE;
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_EINVALID);
  o.role = PMP_ROLE_ACTOR;
  o.queue_chunks = 1025;
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_EINVALID);
  o.queue_chunks = 0;
  o.url = "not an address";
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_EINVALID);
  o.url = fake_daemon_url(d);
  fake_daemon_down(d);
  o.connect_ms = 200;
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_ETIMEOUT);
  int stop = 1;
  o.connect_ms = 60000;
  o.stop = &stop;
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_ECLOSED);
  assert_null(c);
  fake_daemon_stop(d);
}

static void test_hello_waits(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  fake_daemon_fault(d, FAKE_HELLO_BUSY, 5);
  struct pmpo *c = connect_as(d, "a", 0, 0);
  assert_int_equal(fake_daemon_faults_left(d, FAKE_HELLO_BUSY), 0);
  pmpo_close(c);
  fake_daemon_stop(d);
}

static void test_append(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo *c = connect_as(d, "a", 4, 0);
  for (uint32_t i = 0; i < 50; i++) assert_int_equal(append_n(c, i), PMP_OK);
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_OK);
  assert_committed(d, 50);
  struct pmpo_append_stats s;
  pmpo_append_stats(c, &s);
  assert_int_equal(s.queued, 50);
  assert_int_equal(s.acked, 50);
  assert_int_equal(s.rows_acked, 50 * ROWS);
  assert_int_equal(s.pending, 0);
  assert_int_equal(s.resent, 0);
  assert_int_equal(s.last_chunk, 50);
  pmpo_close(c);
  /* The next process goes on from what was stored with the last chunk. */
  c = connect_as(d, "a", 4, 0);
  const struct pmp_hello_reply *run = pmpo_run(c);
  assert_int_equal(run->epoch, 2);
  assert_int_equal(run->last_seq, 0);
  assert_int_equal(run->actor_rows, 50 * ROWS);
  assert_int_equal(run->actor_state.size, 8);
  assert_memory_equal(run->actor_state.data, "after 49", 8);
  assert_int_equal(append_n(c, 50), PMP_OK);
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_OK);
  assert_committed(d, 51);
  pmpo_close(c);
  fake_daemon_stop(d);
}

static void test_lost_replies_and_requests(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo *c = connect_as(d, "a", 2, 60);
  for (uint32_t i = 0; i < 12; i++) {
    fake_daemon_fault(d, i % 2 ? FAKE_LOSE_REPLY : FAKE_LOSE_REQUEST, i % 3);
    assert_int_equal(append_n(c, i), PMP_OK);
    assert_int_equal(pmpo_flush(c, -1, &msg), PMP_OK);
  }
  assert_committed(d, 12);
  struct fake_stats f;
  struct pmpo_append_stats s;
  fake_daemon_stats(d, &f);
  pmpo_append_stats(c, &s);
  assert_int_equal(f.chunks, 12);
  assert_true(f.duplicates >= 3);
  assert_true(s.resent >= 8);
  assert_int_equal(f.conflicts, 0);
  pmpo_close(c);
  fake_daemon_stop(d);
}

static void test_busy_and_unavailable(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo *c = connect_as(d, "a", 2, 0);
  fake_daemon_fault(d, FAKE_BUSY, 10);
  fake_daemon_fault(d, FAKE_UNAVAILABLE, 1);
  fake_daemon_fault(d, FAKE_INTERNAL, 1);
  for (uint32_t i = 0; i < 3; i++) assert_int_equal(append_n(c, i), PMP_OK);
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_OK);
  assert_committed(d, 3);
  struct pmpo_append_stats s;
  pmpo_append_stats(c, &s);
  assert_int_equal(s.busy, 10);
  pmpo_close(c);
  fake_daemon_stop(d);
}

static void test_queue_full(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo *c = connect_as(d, "a", 2, 0);
  fake_daemon_fault(d, FAKE_BUSY, 1000000);
  assert_int_equal(append_n(c, 0), PMP_OK);
  assert_int_equal(append_n(c, 1), PMP_OK);
  assert_int_equal(pmpo_flush(c, 50, &msg), PMP_ETIMEOUT);
  struct pmpo_append_stats s;
  pmpo_append_stats(c, &s);
  assert_int_equal(s.pending, 2);
  fake_daemon_fault(d, FAKE_BUSY, 5);
  assert_int_equal(append_n(c, 2), PMP_OK); /* waits for room */
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_OK);
  assert_committed(d, 3);
  pmpo_close(c);
  fake_daemon_stop(d);
}

static void test_restart(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo *c = connect_as(d, "a", 8, 200);
  uint32_t n = 0;
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < 5; i++) assert_int_equal(append_n(c, n++), PMP_OK);
    fake_daemon_restart(d, round == 2); /* once, its data address moves */
    for (int i = 0; i < 5; i++) assert_int_equal(append_n(c, n++), PMP_OK);
    assert_int_equal(pmpo_report(c, (struct pmp_number[]){{"round", round}}, 1, 0, n, &msg),
                     PMP_OK);
  }
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_OK);
  assert_committed(d, n);
  assert_int_equal(pmpo_run(c)->epoch, 1);
  double value = 999;
  assert_true(fake_daemon_reported(d, "round", &value));
  assert_true(value == 3);
  pmpo_close(c);
  fake_daemon_stop(d);
}

static void test_fenced(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo *old = connect_as(d, "a", 2, 0);
  assert_int_equal(append_n(old, 0), PMP_OK);
  assert_int_equal(pmpo_flush(old, -1, &msg), PMP_OK);
  struct pmpo *young = connect_as(d, "a", 2, 0);
  assert_int_equal(append_n(old, 99), PMP_OK); /* only queued */
  assert_int_equal(pmpo_flush(old, -1, &msg), PMP_ECONFLICT);
  assert_non_null(strstr(msg.text, "fenced"));
  assert_int_equal(append_n(old, 99), PMP_ECONFLICT); /* and says so ever after */
  assert_int_equal(append_n(young, 1), PMP_OK);
  assert_int_equal(pmpo_flush(young, -1, &msg), PMP_OK);
  /* Also after a restart, when only hello can tell. */
  fake_daemon_restart(d, false);
  assert_int_equal(append_n(young, 2), PMP_OK);
  assert_int_equal(pmpo_flush(young, -1, &msg), PMP_OK);
  pmpo_close(old);
  pmpo_close(young);
  assert_committed(d, 3);
  fake_daemon_stop(d);
}

static void test_refused(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo *c = connect_as(d, "a", 2, 0);
  fake_daemon_fault(d, FAKE_INVALID, 1);
  assert_int_equal(append_n(c, 0), PMP_OK);
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_EINVALID);
  assert_string_equal(msg.text, "as the test wishes");
  assert_int_equal(append_n(c, 0), PMP_EINVALID);
  assert_int_equal(pmpo_flush(c, 0, &msg), PMP_EINVALID);
  assert_committed(d, 0);
  pmpo_close(c);
  fake_daemon_stop(d);
}

static void test_another_run(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo *c = connect_as(d, "a", 2, 100);
  assert_int_equal(append_n(c, 0), PMP_OK);
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_OK);
  fake_daemon_set_run(d, "run-2");
  fake_daemon_restart(d, false);
  assert_int_equal(append_n(c, 1), PMP_OK);
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_ECONFLICT);
  assert_non_null(strstr(msg.text, "run-2"));
  pmpo_close(c);
  fake_daemon_stop(d);
}

static void test_stop_ends_waits(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmp_spec spec = bandit_spec();
  volatile int stop = 0;
  struct pmpo_options o = {.url = fake_daemon_url(d),
                           .role = PMP_ROLE_ACTOR,
                           .name = "a",
                           .spec = &spec,
                           .queue_chunks = 1,
                           .stop = &stop};
  struct pmpo *c;
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_OK);
  fake_daemon_fault(d, FAKE_BUSY, 1000000);
  assert_int_equal(append_n(c, 0), PMP_OK);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  assert_int_equal(append_n(c, 1), PMP_ECLOSED);
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_ECLOSED);
  pmpo_close(c);
  fake_daemon_stop(d);
}

struct opening {
  struct pmpo_options options;
  struct pmpo *client;
  enum pmp_err err;
};

static void *open_client(void *arg) {
  struct opening *o = arg;
  struct pmp_errmsg why;
  o->err = pmpo_open(&o->client, &o->options, &why);
  return NULL;
}

/* A connection that leads nowhere: accepted, greeted as nng greets, and never answered. */
struct hole {
  int listener, connection;
  char url[64];
};

static void *fall_in(void *arg) {
  static const unsigned char rep[8] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
  struct hole *h = arg;
  h->connection = accept(h->listener, NULL, NULL);
  if (write(h->connection, rep, sizeof rep) != (ssize_t)sizeof rep) return NULL;
  close(h->listener);
  return NULL;
}

static void test_silent_connection(void **state) {
  (void)state;
  struct hole h = {.listener = socket(AF_INET, SOCK_STREAM, 0)};
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int yes = 1;
  pthread_t thread;
  assert_int_equal(setsockopt(h.listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
  assert_int_equal(bind(h.listener, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(h.listener, 4), 0);
  assert_int_equal(getsockname(h.listener, (struct sockaddr *)&at, &size), 0);
  snprintf(h.url, sizeof h.url, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
  assert_int_equal(pthread_create(&thread, NULL, fall_in, &h), 0);
  struct pmpo_options o = {
      .url = h.url, .role = PMP_ROLE_OBSERVER, .connect_ms = 300, .request_ms = 50};
  struct pmpo *c = NULL;
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_ETIMEOUT);
  assert_int_equal(pthread_join(thread, NULL), 0);
  close(h.connection);
  /* Now with a daemon behind the hole, on the same address: the client must let go of the
   * connection. */
  h.listener = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(setsockopt(h.listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
  assert_int_equal(bind(h.listener, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(h.listener, 4), 0);
  assert_int_equal(pthread_create(&thread, NULL, fall_in, &h), 0);
  struct opening opening = {
      .options = {.url = h.url, .role = PMP_ROLE_OBSERVER, .connect_ms = 20000, .request_ms = 100}};
  pthread_t opener;
  assert_int_equal(pthread_create(&opener, NULL, open_client, &opening), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  struct fake_options options = {.spec = bandit_spec(), .url = h.url};
  struct fake_daemon *d = fake_daemon_start(&options);
  assert_int_equal(pthread_join(opener, NULL), 0);
  assert_int_equal(opening.err, PMP_OK);
  pmpo_close(opening.client);
  close(h.connection);
  fake_daemon_stop(d);
}

static void test_observer(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct pmpo_options o = {.url = fake_daemon_url(d), .role = PMP_ROLE_OBSERVER};
  struct pmpo *c;
  assert_int_equal(pmpo_open(&c, &o, &msg), PMP_OK);
  assert_int_equal(append_n(c, 0), PMP_EINVALID);
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 1 << 20), PMP_OK);
  struct pmp_request r = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  fake_daemon_env_steps(d, 1234);
  assert_int_equal(pmpo_request(c, &r, &arena, &reply, 5000, &msg), PMP_OK);
  assert_string_equal(reply.u.status.number[0].name, "env.steps");
  assert_true(reply.u.status.number[0].value == 1234);
  fake_daemon_restart(d, false);
  assert_int_equal(pmpo_request(c, &r, &arena, &reply, 5000, &msg), PMP_OK);
  r.verb = PMP_VERB_EVENTS;
  assert_int_equal(pmpo_request(c, &r, &arena, &reply, 5000, &msg), PMP_EUNAVAILABLE);
  r.verb = PMP_VERB_HELLO;
  assert_int_equal(pmpo_request(c, &r, &arena, &reply, 5000, &msg), PMP_EINVALID);
  fake_daemon_down(d);
  r.verb = PMP_VERB_STATUS;
  assert_int_equal(pmpo_request(c, &r, &arena, &reply, 100, &msg), PMP_ETIMEOUT);
  pmp_arena_fini(&arena);
  pmpo_close(c);
  fake_daemon_stop(d);
}

/* ---- weights ---- */

static void publish(struct fake_daemon *d, uint64_t version, size_t floats) {
  float *w = malloc(floats * sizeof *w);
  assert_non_null(w);
  for (size_t i = 0; i < floats; i++) w[i] = (float)(i % 1000) + (float)version;
  struct pmp_wire_view view = {.name = "w", .rank = 1, .shape = {floats}};
  char hash[32];
  snprintf(hash, sizeof hash, "hash-%llu", (unsigned long long)version);
  fake_daemon_publish(d, version, &view, 1, w, floats, hash);
  free(w);
}

static void assert_weights(const float *w, uint64_t version, size_t floats) {
  for (size_t i = 0; i < floats; i++)
    if (w[i] != (float)(i % 1000) + (float)version) fail_msg("float %zu", i);
}

static void test_weights(void **state) {
  (void)state;
  enum { FLOATS = 700001 };
  struct fake_daemon *d = start();
  struct pmpo *c = connect_as(d, "a", 0, 0);
  struct pmp_arena arena;
  assert_int_equal(pmp_arena_init(&arena, 8 << 20), PMP_OK);
  struct pmp_weights_reply manifest;
  float *w;
  assert_int_equal(pmpo_weights(c, PMP_WHICH_REFERENCE, 0, 0, 0, &arena, &manifest, &w, &msg),
                   PMP_ENOTFOUND);
  assert_null(w);
  publish(d, 7, FLOATS);
  fake_daemon_range_max(d, 300000); /* not a multiple of anything */
  assert_int_equal(pmpo_weights(c, PMP_WHICH_REFERENCE, 0, 0, 0, &arena, &manifest, &w, &msg),
                   PMP_OK);
  assert_int_equal(manifest.version, 7);
  assert_int_equal(manifest.bytes, FLOATS * 4);
  assert_string_equal(manifest.hash, "hash-7");
  assert_int_equal(manifest.views, 1);
  assert_string_equal(manifest.view[0].name, "w");
  assert_int_equal(manifest.learner_step, 700);
  assert_weights(w, 7, FLOATS);
  free(w);
  assert_int_equal(pmpo_ref_version(c), 7);
  pmp_arena_release(&arena, 0);
  assert_int_equal(pmpo_weights(c, PMP_WHICH_REFERENCE, 6, 0, 0, &arena, &manifest, &w, &msg),
                   PMP_ENOTFOUND);
  assert_int_equal(pmpo_weights(c, PMP_WHICH_REFERENCE, 0, 7, 20, &arena, &manifest, &w, &msg),
                   PMP_ENOTFOUND);
  pmp_arena_fini(&arena);
  pmpo_close(c);
  fake_daemon_stop(d);
}

struct publisher {
  struct fake_daemon *d;
  atomic_bool stop;
};

static void *publish_on(void *arg) {
  struct publisher *p = arg;
  for (uint64_t v = 1; !atomic_load(&p->stop); v++) publish(p->d, v, 1);
  return NULL;
}

/* The two addresses' hellos may differ, when a reference comes out between them. */
static void test_open_while_versions_come_out(void **state) {
  (void)state;
  struct publisher p = {.d = start()};
  struct pmpo *c = connect_as(p.d, "a", 4, 0);
  assert_int_equal(append_n(c, 0), PMP_OK);
  assert_int_equal(pmpo_flush(c, -1, &msg), PMP_OK);
  pmpo_close(c);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, publish_on, &p), 0);
  for (int i = 0; i < 20; i++) {
    c = connect_as(p.d, "a", 4, 0);
    const struct pmp_bytes kept = pmpo_run(c)->actor_state;
    assert_int_equal(kept.size, 7);
    assert_memory_equal(kept.data, "after 0", 7);
    assert_int_equal(pmpo_run(c)->actor_rows, ROWS);
    pmpo_close(c);
  }
  atomic_store(&p.stop, true);
  pthread_join(thread, NULL);
  fake_daemon_stop(p.d);
}

struct later {
  struct fake_daemon *d;
  struct pmpo *c;
  atomic_bool fetched;
  uint64_t version;
};

static void *wait_for_newer(void *arg) {
  struct later *l = arg;
  struct pmp_arena arena;
  struct pmp_weights_reply manifest;
  struct pmp_errmsg why;
  float *w = NULL;
  if (pmp_arena_init(&arena, 8 << 20) != PMP_OK) return NULL;
  if (pmpo_weights(l->c, PMP_WHICH_REFERENCE, 0, 1, 60000, &arena, &manifest, &w, &why) == PMP_OK) {
    l->version = manifest.version;
    atomic_store(&l->fetched, true);
  }
  free(w);
  pmp_arena_fini(&arena);
  return NULL;
}

static void test_weights_long_poll(void **state) {
  (void)state;
  struct fake_daemon *d = start();
  struct later l = {.d = d, .c = connect_as(d, "a", 4, 0)};
  pthread_t thread;
  publish(d, 1, 10);
  assert_int_equal(pthread_create(&thread, NULL, wait_for_newer, &l), 0);
  /* Appends go on beside the poll, and a restart in the middle changes nothing. */
  for (uint32_t i = 0; i < 20; i++) assert_int_equal(append_n(l.c, i), PMP_OK);
  assert_int_equal(pmpo_flush(l.c, -1, &msg), PMP_OK);
  fake_daemon_restart(d, false);
  assert_false(atomic_load(&l.fetched));
  publish(d, 2, 10);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_true(atomic_load(&l.fetched));
  assert_int_equal(l.version, 2);
  pmpo_close(l.c);
  assert_committed(d, 20);
  fake_daemon_stop(d);
}

/* Everything at once: losses and restarts from another thread while the actor appends. It ends: the
 * last word is the actor's. */
static void *trouble(void *arg) {
  struct later *l = arg;
  for (int i = 0; !atomic_load(&l->fetched) && i < 60; i++) {
    if (i % 12 == 5) fake_daemon_restart(l->d, i % 24 == 5);
    fake_daemon_fault(l->d, FAKE_LOSE_REPLY, 1);
    usleep(30000);
    fake_daemon_fault(l->d, i % 3 ? FAKE_LOSE_REQUEST : FAKE_BUSY, 1);
    usleep(15000);
  }
  return NULL;
}

static void test_storm(void **state) {
  (void)state;
  enum { CHUNKS = 60 };
  struct fake_daemon *d = start();
  struct later l = {.d = d, .c = connect_as(d, "a", 4, 40)};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, trouble, &l), 0);
  enum pmp_err err = PMP_OK;
  for (uint32_t i = 0; err == PMP_OK && i < CHUNKS; i++) err = append_n(l.c, i);
  if (err == PMP_OK) err = pmpo_flush(l.c, -1, &msg);
  atomic_store(&l.fetched, true);
  assert_int_equal(pthread_join(thread, NULL), 0);
  if (err != PMP_OK) fail_msg("%s", msg.text);
  pmpo_close(l.c);
  assert_committed(d, CHUNKS);
  fake_daemon_stop(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_open),
      cmocka_unit_test(test_open_refused),
      cmocka_unit_test(test_hello_waits),
      cmocka_unit_test(test_append),
      cmocka_unit_test(test_lost_replies_and_requests),
      cmocka_unit_test(test_busy_and_unavailable),
      cmocka_unit_test(test_queue_full),
      cmocka_unit_test(test_restart),
      cmocka_unit_test(test_fenced),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_another_run),
      cmocka_unit_test(test_stop_ends_waits),
      cmocka_unit_test(test_silent_connection),
      cmocka_unit_test(test_observer),
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_open_while_versions_come_out),
      cmocka_unit_test(test_weights_long_poll),
      cmocka_unit_test(test_storm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
