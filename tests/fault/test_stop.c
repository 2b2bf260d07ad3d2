/* SIGTERM in the middle of everything: actors that append, long polls, questions, connections that
 * come and go. The daemon ends in order every time, and what it acknowledged is in the store. */
#include "clients/libpmpo/pmpo.h"
#include "store/store.h"
#include "tests/support/pmpod_process.h"
#include "tests/support/raw_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 5, ACTORS = 3, POLLERS = 4, VISITORS = 2, FLOODS = 2, ROWS = 8 };

struct load {
  const char *url;
  volatile int stop;
  atomic_uint appended, polled, visits;
  int round;
  uint8_t frame[RAW_PEER_FRAME_MAX]; /* a question, for those who flood */
  size_t frame_size;
};

struct client { /* one thread; asserts are the main thread's */
  struct load *load;
  int number; /* of a poller: what it asks for */
  char name[40];
  struct pmpo_append_stats stats;
  pthread_t thread;
};

static bool open_as(struct client *c, enum pmp_role role, struct pmpo **p) {
  const struct pmpo_options options = {.url = c->load->url,
                                       .role = role,
                                       .name = c->name,
                                       .client = "stop",
                                       .queue_chunks = 4,
                                       .connect_ms = 20000,
                                       .request_ms = 300,
                                       .stop = &c->load->stop};
  return pmpo_open(p, &options, NULL) == PMP_OK;
}

static void *append_on(void *arg) {
  static const uint32_t group[ROWS] = {0, 0, 0, 0, 1, 1, 1, 1};
  static const uint64_t version = 1;
  struct client *c = arg;
  struct pmpo *p = NULL;
  enum pmp_err err = open_as(c, PMP_ROLE_ACTOR, &p) ? PMP_OK : PMP_ECLOSED;
  for (uint64_t k = 0; err == PMP_OK; k++) {
    float y[ROWS][2], f[ROWS];
    for (int i = 0; i < ROWS; i++) {
      y[i][0] = (float)k;
      y[i][1] = f[i] = (float)i;
    }
    const struct pmp_chunk chunk = {
        .source = PMP_SOURCE_ACTOR,
        .shape = PMP_SHAPE_OUTCOMES,
        .rows = ROWS,
        .groups = 2,
        .group = group,
        .f = f,
        .version = &version,
        .versions = 1,
        .action = {.dtype = PMP_F32, .rank = 2, .shape = {ROWS, 2}, .data = y, .bytes = sizeof y}};
    err = pmpo_append(p, &chunk, (struct pmp_bytes){&k, sizeof k}, NULL);
    atomic_fetch_add(&c->load->appended, 1);
  }
  if (p) pmpo_append_stats(p, &c->stats);
  pmpo_close(p);
  return NULL;
}

/* Long polls for weights, or questions of all kinds. */
static void *poll_on(void *arg) {
  struct client *c = arg;
  struct pmpo *p = NULL;
  struct pmp_arena arena = {0};
  bool good = pmp_arena_init(&arena, (size_t)8 << 20) == PMP_OK;
  if (good) good = open_as(c, PMP_ROLE_OBSERVER, &p);
  uint64_t version = 0;
  for (uint32_t k = 0; good && !__atomic_load_n(&c->load->stop, __ATOMIC_RELAXED); k++) {
    struct pmp_reply reply;
    pmp_arena_release(&arena, 0);
    if (c->number == 0) {
      struct pmp_weights_reply w;
      float *buffer = NULL;
      if (pmpo_weights(p, PMP_WHICH_REFERENCE, 0, version, 1000, &arena, &w, &buffer, NULL) ==
          PMP_OK)
        version = w.version;
      free(buffer);
    } else {
      struct pmp_request q = {.verb = k % 3 == 0   ? PMP_VERB_STATUS
                                      : k % 3 == 1 ? PMP_VERB_EVENTS
                                                   : PMP_VERB_HISTORY};
      if (q.verb == PMP_VERB_STATUS) q.u.status.actors = true;
      if (q.verb == PMP_VERB_EVENTS) q.u.events.count = 50;
      const enum pmp_err err = pmpo_request(p, &q, &arena, &reply, 1000, NULL);
      if (err == PMP_OK) atomic_fetch_add(&c->load->polled, 1);
    }
  }
  pmpo_close(p);
  pmp_arena_fini(&arena);
  return NULL;
}

/* Connections that come and go. */
static void *visit_on(void *arg) {
  struct client *c = arg;
  while (!__atomic_load_n(&c->load->stop, __ATOMIC_RELAXED)) {
    struct pmpo *p = NULL;
    if (open_as(c, PMP_ROLE_OBSERVER, &p)) atomic_fetch_add(&c->load->visits, 1);
    pmpo_close(p);
  }
  return NULL;
}

/* Asks on without waiting for the answers, and reads them: in every moment requests and replies are
 * on their way, also when the daemon closes. */
static void *flood_on(void *arg) {
  struct client *c = arg;
  const struct load *l = c->load;
  static const size_t rest_max = 65536;
  char *rest = malloc(rest_max);
  const int fd = rest ? raw_peer_dial(l->url, 0) : -1;
  bool good = fd >= 0;
  for (size_t sent = 0; good && !__atomic_load_n(&l->stop, __ATOMIC_RELAXED);) {
    const size_t at = sent % l->frame_size;
    const ssize_t n = send(fd, l->frame + at, l->frame_size - at, MSG_NOSIGNAL);
    if (n > 0) sent += (size_t)n;
    const ssize_t got = recv(fd, rest, rest_max, 0);
    good = (n > 0 || errno == EAGAIN) && got != 0;
    if (n < 0 && got < 0) test_sleep_ms(1);
  }
  if (fd >= 0) close(fd);
  free(rest);
  return NULL;
}

enum { STEADY = ACTORS + POLLERS + VISITORS, CLIENTS = STEADY + FLOODS };

static void start_clients(struct load *load, struct client *client, int from, int to) {
  for (int i = from; i < to; i++) {
    struct client *c = &client[i];
    void *(*work)(void *) = flood_on;
    *c = (struct client){.load = load, .number = i - ACTORS};
    snprintf(c->name, sizeof c->name, "r%d-c%d", load->round, i);
    if (i < STEADY) work = visit_on;
    if (i < ACTORS + POLLERS) work = poll_on;
    if (i < ACTORS) work = append_on;
    assert_int_equal(pthread_create(&c->thread, NULL, work, c), 0);
  }
}

static void expect_in_store(const struct test_pmpod *d, const struct client *c) {
  char path[400];
  struct pmp_reader *reader = NULL;
  struct pmp_reader_actor *actor = NULL;
  uint32_t count = 0;
  uint64_t rows = 0;
  struct pmp_errmsg msg = {{0}};
  snprintf(path, sizeof path, "%s/store.db", d->dir);
  if (pmp_reader_open(&reader, path, NULL, &msg) != PMP_OK) fail_msg("%s", msg.text);
  assert_int_equal(pmp_reader_actors(reader, &actor, &count, &msg), PMP_OK);
  for (uint32_t i = 0; i < count; i++) {
    if (strcmp(actor[i].name, c->name) == 0) rows += actor[i].rows;
  }
  free(actor);
  pmp_reader_close(reader);
  const uint64_t acked = c->stats.rows_acked, queued = c->stats.queued * ROWS;
  if (rows < acked || rows > queued)
    fail_msg("%s: %d rows are in the store; %d were acknowledged, %d sent", c->name, (int)rows,
             (int)acked, (int)queued);
  assert_true(acked > 0);
}

static void expect_quiet_log(const struct test_pmpod *d) {
  char *log = test_file_read(d->log, NULL);
  assert_non_null(log);
  const char *bad = strstr(log, "ERROR");
  if (!bad) bad = strstr(log, "PMP-STORE-LOST");
  if (bad) fail_msg("%.400s", bad);
  free(log);
}

/* What keeps the reader busy for longer than a stop takes when many ask for it. */
static size_t question(struct test_rpc *r, uint8_t out[RAW_PEER_FRAME_MAX]) {
  static const char *const names[] = {"learner.loss",    "learner.kl",       "learner.entropy",
                                      "learner.std",     "learner.accepted", "learner.rejected",
                                      "learner.version", "learner.grad_norm"};
  const struct pmp_request q = {
      .verb = PMP_VERB_HISTORY,
      .u.history = {.name = names, .names = sizeof names / sizeof names[0]}};
  return raw_peer_frame(r, &q, out);
}

/* A peer at the data address that does not read: when the daemon closes, all contexts there have a
 * reply on its way. */
static int deaf_peer(const struct test_pmpod *d, struct test_rpc *r) {
  static uint8_t frame[RAW_PEER_FRAME_MAX];
  const struct pmp_request q = {.verb = PMP_VERB_WEIGHTS, .u.weights = {.length = 1024}};
  const size_t size = raw_peer_frame(r, &q, frame);
  const int fd = raw_peer_dial(d->data, 4096);
  assert_true(fd >= 0);
  assert_true(raw_peer_flood(fd, frame, size, 1000000, 100));
  return fd;
}

static void it_stops_in_order_under_load(void **state) {
  (void)state;
  struct test_pmpod d;
  static struct client client[CLIENTS];
  test_pmpod_init(&d);
  setenv("MALLOC_PERTURB_", "165", 1); /* the daemon's: what is used after it was freed shows */
  static const char *const set[] = {"learner.batch=16",
                                    "learner.min_size=32",
                                    "learner.capacity=4096",
                                    "limits.chunk_rows=64",
                                    "learner.metrics_ms=20",
                                    "learner.refresh_period=5",
                                    "learner.samples_per_insert=1",
                                    "listen.desk_contexts=64",
                                    "listen.data_contexts=16"};
  for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) test_pmpod_set(&d, set[i]);
  for (int round = 0; round < ROUNDS; round++) {
    test_pmpod_start(&d);
    struct load load = {.url = d.desk, .round = round};
    struct test_rpc asker;
    test_rpc_open(&asker, d.desk);
    assert_int_equal(test_rpc_hello(&asker, PMP_ROLE_OBSERVER, "asker", 0), PMP_OK);
    load.frame_size = question(&asker, load.frame);
    start_clients(&load, client, 0, STEADY);
    for (int waited = 0; atomic_load(&load.appended) < 100 || atomic_load(&load.polled) < 20 ||
                         atomic_load(&load.visits) < 5;
         waited += 5) {
      assert_true(waited < 60000);
      test_sleep_ms(5);
    }
    const int deaf = round % 2 ? deaf_peer(&d, &asker) : -1;
    start_clients(&load, client, STEADY, CLIENTS); /* from now on nobody is served quickly */
    test_sleep_ms(60);
    test_pmpod_stop(&d); /* exit code 0 */
    if (deaf >= 0) close(deaf);
    __atomic_store_n(&load.stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < CLIENTS; i++) pthread_join(client[i].thread, NULL);
    test_rpc_close(&asker);
    for (int i = 0; i < ACTORS; i++) expect_in_store(&d, &client[i]);
    expect_quiet_log(&d);
  }
  char out[4096];
  const char *const argv[] = {"--check", d.dir, NULL};
  if (test_pmpod_run(out, sizeof out, argv) != 0) fail_msg("%s", out);
  test_pmpod_fini(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_stops_in_order_under_load),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
