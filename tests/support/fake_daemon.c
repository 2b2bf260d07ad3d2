#include "tests/support/fake_daemon.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  THREADS = 6,
  ACTORS_MAX = 16,
  INSTANCES_MAX = 64,
  SESSIONS_MAX = 256,
  CHUNKS_MAX = 1 << 16,
  REPORTS_MAX = 64
};
enum { DESK, DATA, ADDRESSES };

struct committed {
  unsigned char *block; /* owned: chunk, then actor_state */
  size_t chunk_bytes, state_bytes;
};

struct fake_actor {
  char name[PMP_NAME_MAX];
  uint8_t instance[INSTANCES_MAX][PMP_INSTANCE_BYTES]; /* [i]: that of epoch i + 1 */
  uint32_t epoch;
  uint64_t last_seq, last_chunk, rows;
};

struct fake_session {
  uint8_t id[PMP_SESSION_BYTES];
  int actor; /* -1: not one */
  uint32_t epoch;
};

struct fake_report {
  char name[48];
  double value;
  uint64_t count;
};

struct server {
  struct fake_daemon *d;
  nng_ctx ctx;
  pthread_t thread;
};

struct fake_daemon {
  struct fake_options options;
  char policy[2048], run_id[64];
  pthread_mutex_t lock;
  pthread_cond_t published;
  nng_socket socket[ADDRESSES];
  char url[ADDRESSES][64];
  struct server server[ADDRESSES][THREADS];
  bool up, stopping;
  /* volatile: dies in a restart */
  struct fake_session session[SESSIONS_MAX];
  uint32_t sessions;
  /* "durable" */
  struct fake_actor actor[ACTORS_MAX];
  int actors;
  struct committed *chunk; /* owned */
  uint64_t chunks;
  uint64_t session_number;
  uint32_t fault[FAKE_FAULTS];
  struct fake_stats stats;
  struct fake_report report[REPORTS_MAX];
  uint32_t reports;
  double env_steps;
  /* weights */
  uint64_t version;
  float *weights; /* owned */
  size_t floats, range_max;
  struct pmp_wire_view view[64];
  char view_name[64][64];
  uint32_t views;
  char hash[64];
};

/* ---- verbs, with the lock held ---- */

static bool take_fault(struct fake_daemon *d, enum fake_fault f) {
  if (d->fault[f] == 0) return false;
  d->fault[f]--;
  return true;
}

static int find_actor(struct fake_daemon *d, const char *name) {
  for (int i = 0; i < d->actors; i++)
    if (strcmp(d->actor[i].name, name) == 0) return i;
  if (d->actors == ACTORS_MAX) return -1;
  snprintf(d->actor[d->actors].name, PMP_NAME_MAX, "%s", name);
  return d->actors++;
}

static void fail(struct pmp_reply *reply, enum pmp_err code, const char *message) {
  reply->code = code;
  reply->message = message;
  reply->verb = PMP_VERB_NONE;
}

/* Epoch of this instance, a new one when it is new; 0: fenced. */
static uint32_t epoch_of(struct fake_actor *a, struct pmp_bytes instance) {
  for (uint32_t e = 1; e <= a->epoch; e++)
    if (memcmp(a->instance[e - 1], instance.data, PMP_INSTANCE_BYTES) == 0)
      return e == a->epoch ? e : 0;
  if (a->epoch == INSTANCES_MAX) return 0;
  memcpy(a->instance[a->epoch], instance.data, PMP_INSTANCE_BYTES);
  a->last_seq = 0;
  return ++a->epoch;
}

static void hello(struct fake_daemon *d, const struct pmp_hello *h, struct pmp_reply *reply) {
  d->stats.hellos++;
  struct pmp_errmsg msg;
  if (take_fault(d, FAKE_HELLO_BUSY)) {
    reply->retry_after_ms = 5;
    fail(reply, PMP_EBUSY, "busy");
    return;
  }
  if (h->has_spec && pmp_spec_match(&d->options.spec, &h->spec, &msg) != PMP_OK) {
    fail(reply, PMP_ECONFLICT, "the spec does not fit");
    return;
  }
  struct fake_session *s = &d->session[d->sessions % SESSIONS_MAX];
  memset(s, 0, sizeof *s);
  s->actor = -1;
  struct pmp_hello_reply *out = &reply->u.hello;
  if (h->role == PMP_ROLE_ACTOR) {
    s->actor = find_actor(d, h->name);
    struct fake_actor *a = &d->actor[s->actor];
    s->epoch = epoch_of(a, h->instance);
    if (s->epoch == 0) {
      fail(reply, PMP_ECONFLICT, "fenced: a newer instance took the name");
      return;
    }
    d->stats.epoch = out->epoch = s->epoch;
    out->last_seq = a->last_seq;
    out->actor_rows = a->rows;
    if (a->rows > 0) {
      const struct committed *last = &d->chunk[a->last_chunk];
      out->actor_state = (struct pmp_bytes){last->block + last->chunk_bytes, last->state_bytes};
    }
  }
  d->sessions++;
  d->session_number++;
  memcpy(s->id, &d->session_number, sizeof d->session_number);
  memcpy(out->session, s->id, PMP_SESSION_BYTES);
  out->run_id = d->run_id;
  out->policy = d->policy;
  out->data_url = d->url[DATA];
  out->spec = d->options.spec;
  out->ref_version = d->version;
  out->lockstep = d->options.lockstep;
  out->seed = d->options.seed;
  out->limits = pmp_wire_limits_default();
}

static const struct fake_session *find_session(struct fake_daemon *d, struct pmp_bytes id) {
  uint32_t n = d->sessions < SESSIONS_MAX ? d->sessions : SESSIONS_MAX;
  for (uint32_t i = 0; i < n && id.size == PMP_SESSION_BYTES; i++)
    if (memcmp(d->session[i].id, id.data, PMP_SESSION_BYTES) == 0) return &d->session[i];
  return NULL;
}

static bool same_bytes(const struct committed *c, struct pmp_bytes chunk) {
  return c->chunk_bytes == chunk.size && memcmp(c->block, chunk.data, chunk.size) == 0;
}

static void commit(struct fake_daemon *d, struct fake_actor *a, const struct pmp_append *r,
                   uint32_t rows) {
  struct committed *c = &d->chunk[d->chunks];
  c->block = malloc(r->chunk.size + r->actor_state.size + 1);
  if (c->block == NULL) abort();
  memcpy(c->block, r->chunk.data, r->chunk.size);
  if (r->actor_state.size > 0)
    memcpy(c->block + r->chunk.size, r->actor_state.data, r->actor_state.size);
  c->chunk_bytes = r->chunk.size;
  c->state_bytes = r->actor_state.size;
  a->last_chunk = d->chunks++;
  a->last_seq = r->seq;
  a->rows += rows;
  d->stats.chunks++;
  d->stats.rows += rows;
}

static void append_new(struct fake_daemon *d, struct fake_actor *a, const struct pmp_append *r,
                       struct pmp_reply *reply) {
  struct pmp_arena arena;
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_chunk columns;
  static struct pmp_errmsg msg; /* under the lock; lives until the reply is encoded */
  if (pmp_arena_init(&arena, 4 * r->chunk.size + (1 << 20)) != PMP_OK) abort();
  enum pmp_err err = pmp_wire_decode_chunk(r->chunk.data, r->chunk.size, &d->options.spec, &limits,
                                           &arena, &columns, &msg);
  if (err != PMP_OK) {
    fail(reply, err, msg.text);
  } else {
    commit(d, a, r, columns.rows);
    if (d->options.on_commit != NULL)
      d->options.on_commit(d->options.ctx, d, d->chunks - 1, &columns);
    reply->u.append = (struct pmp_append_reply){
        .chunk = a->last_chunk + 1, .rows = columns.rows, .ref_version = d->version};
  }
  pmp_arena_fini(&arena);
}

/* false: no reply is sent. */
static bool append(struct fake_daemon *d, const struct fake_session *s, const struct pmp_append *r,
                   struct pmp_reply *reply) {
  static const struct {
    enum fake_fault fault;
    enum pmp_err code;
  } codes[] = {{FAKE_BUSY, PMP_EBUSY},
               {FAKE_UNAVAILABLE, PMP_EUNAVAILABLE},
               {FAKE_INTERNAL, PMP_EINTERNAL},
               {FAKE_INVALID, PMP_EINVALID},
               {FAKE_COMPLETE, PMP_EUNAVAILABLE}};
  d->stats.appends++;
  if (take_fault(d, FAKE_LOSE_REQUEST)) return false;
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    if (!take_fault(d, codes[i].fault)) continue;
    if (codes[i].fault == FAKE_BUSY || codes[i].fault == FAKE_UNAVAILABLE)
      reply->retry_after_ms = 5;
    fail(reply, codes[i].code, "as the test wishes");
    return true;
  }
  struct fake_actor *a = s->actor >= 0 ? &d->actor[s->actor] : NULL;
  if (a == NULL) {
    fail(reply, PMP_EFORBIDDEN, "not an actor");
  } else if (s->epoch != a->epoch) {
    d->stats.conflicts++;
    fail(reply, PMP_ECONFLICT, "fenced: a newer instance took the name");
  } else if (r->seq == a->last_seq && same_bytes(&d->chunk[a->last_chunk], r->chunk)) {
    d->stats.duplicates++;
    reply->u.append = (struct pmp_append_reply){
        .chunk = a->last_chunk + 1, .ref_version = d->version, .duplicate = true};
  } else if (r->seq != a->last_seq + 1) {
    d->stats.conflicts++;
    fail(reply, PMP_ECONFLICT, "gap, stale or altered");
  } else {
    append_new(d, a, r, reply);
  }
  return !take_fault(d, FAKE_LOSE_REPLY);
}

/* false: no reply is sent. */
static bool weights(struct fake_daemon *d, const struct pmp_weights *w, struct pmp_reply *reply) {
  d->stats.weights++;
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += w->wait_ms / 1000;
  until.tv_nsec += (long)(w->wait_ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  while (d->version <= w->newer_than && !d->stopping && d->up)
    if (pthread_cond_timedwait(&d->published, &d->lock, &until) != 0) break;
  if (!d->up) return false;
  if (d->version <= w->newer_than || (w->version != 0 && w->version != d->version) ||
      d->version == 0) {
    fail(reply, PMP_ENOTFOUND, "no such version");
    return true;
  }
  uint64_t bytes = d->floats * sizeof(float), offset = w->offset < bytes ? w->offset : bytes;
  uint64_t length = w->length < bytes - offset ? w->length : bytes - offset;
  if (length > d->range_max) length = d->range_max;
  reply->u.weights =
      (struct pmp_weights_reply){.version = d->version,
                                 .bytes = bytes,
                                 .offset = offset,
                                 .hash = d->hash,
                                 .learner_step = 100 * d->version,
                                 .data = {(unsigned char *)d->weights + offset, length}};
  if (offset == 0) {
    reply->u.weights.policy = d->policy;
    reply->u.weights.view = d->view;
    reply->u.weights.views = d->views;
  }
  return true;
}

static void report(struct fake_daemon *d, const struct pmp_report *r) {
  d->stats.reports++;
  d->stats.report_env_steps = r->env_steps;
  for (uint32_t i = 0; i < r->count; i++) {
    uint32_t k = 0;
    while (k < d->reports && strcmp(d->report[k].name, r->value[i].name) != 0) k++;
    if (k == d->reports) {
      if (k == REPORTS_MAX) continue;
      d->reports++;
      snprintf(d->report[k].name, sizeof d->report[k].name, "%s", r->value[i].name);
    }
    d->report[k].value = r->value[i].value;
    d->report[k].count++;
  }
}

/* ---- serving ---- */

static bool answer(struct fake_daemon *d, const struct pmp_request *r, struct pmp_reply *reply) {
  static struct pmp_number number[1]; /* under the lock */
  reply->request_id = r->request_id;
  reply->verb = r->verb;
  if (r->verb == PMP_VERB_HELLO) {
    hello(d, &r->u.hello, reply);
    return true;
  }
  const struct fake_session *s = find_session(d, r->session);
  if (s == NULL) {
    fail(reply, PMP_EUNAUTHENTICATED, "hello first");
    return true;
  }
  switch (r->verb) {
  case PMP_VERB_APPEND:
    return append(d, s, &r->u.append, reply);
  case PMP_VERB_WEIGHTS:
    return weights(d, &r->u.weights, reply);
  case PMP_VERB_REPORT:
    report(d, &r->u.report);
    return true;
  case PMP_VERB_STATUS:
    d->stats.status++;
    number[0] = (struct pmp_number){"env.steps", d->env_steps};
    reply->u.status = (struct pmp_status_reply){.number = number, .numbers = 1};
    return true;
  default:
    fail(reply, PMP_EUNAVAILABLE, "not offered");
    return true;
  }
}

/* The reply as a message, NULL when there is none. */
static nng_msg *serve_one(struct fake_daemon *d, nng_msg *in, struct pmp_arena *arena) {
  struct pmp_wire_limits limits = pmp_wire_limits_default();
  struct pmp_request request;
  struct pmp_reply reply = {0};
  struct pmp_errmsg msg;
  const void *data;
  size_t size;
  bool send = true;
  pmp_arena_release(arena, 0);
  enum pmp_err err =
      pmp_wire_decode_request(nng_msg_body(in), nng_msg_len(in), &limits, arena, &request, &msg);
  pthread_mutex_lock(&d->lock);
  if (err != PMP_OK) {
    reply.request_id = request.request_id;
    fail(&reply, err, msg.text);
  } else {
    send = answer(d, &request, &reply);
  }
  if (pmp_wire_encode_reply(&reply, arena, &data, &size, &msg) != PMP_OK) {
    fprintf(stderr, "fake daemon: %s\n", msg.text);
    abort();
  }
  pthread_mutex_unlock(&d->lock);
  nng_msg *out = NULL;
  if (send && (nng_msg_alloc(&out, 0) != 0 || nng_msg_append(out, data, size) != 0)) abort();
  return out;
}

static void *serve(void *arg) {
  struct server *s = arg;
  struct pmp_arena arena;
  if (pmp_arena_init(&arena, 64 << 20) != PMP_OK) abort();
  nng_msg *in;
  while (nng_ctx_recvmsg(s->ctx, &in, 0) == 0) {
    nng_msg *out = serve_one(s->d, in, &arena);
    nng_msg_free(in);
    if (out != NULL && nng_ctx_sendmsg(s->ctx, out, 0) != 0) nng_msg_free(out);
  }
  pmp_arena_fini(&arena);
  return NULL;
}

/* On the port it had before, or on a free one. */
static void listen_on(struct fake_daemon *d, int address, bool move) {
  char url[64];
  nng_listener listener;
  int port;
  bool known = d->url[address][0] != '\0' && !move;
  snprintf(url, sizeof url, "%s", known ? d->url[address] : "tcp://127.0.0.1:0");
  if (nng_rep0_open(&d->socket[address]) != 0) abort();
  for (int i = 0; i < THREADS; i++) {
    d->server[address][i].d = d;
    if (nng_ctx_open(&d->server[address][i].ctx, d->socket[address]) != 0) abort();
  }
  int rv = -1;
  for (int tries = 0; rv != 0 && tries < 200;
       tries++) { /* the port may take a moment to become free */
    rv = nng_listener_create(&listener, d->socket[address], url);
    if (rv == 0) rv = nng_listener_start(listener, 0);
    if (rv != 0) {
      nng_listener_close(listener);
      nng_msleep(10);
    }
  }
  if (rv != 0 || nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port) != 0) abort();
  pthread_mutex_lock(&d->lock);
  snprintf(d->url[address], sizeof d->url[address], "tcp://127.0.0.1:%d", port);
  pthread_mutex_unlock(&d->lock);
}

void fake_daemon_up(struct fake_daemon *d, bool move_data) {
  pthread_mutex_lock(&d->lock);
  d->up = true;
  d->sessions = 0;
  pthread_mutex_unlock(&d->lock);
  for (int a = 0; a < ADDRESSES; a++) {
    listen_on(d, a, a == DATA && move_data);
    for (int i = 0; i < THREADS; i++)
      if (pthread_create(&d->server[a][i].thread, NULL, serve, &d->server[a][i]) != 0) abort();
  }
}

void fake_daemon_down(struct fake_daemon *d) {
  pthread_mutex_lock(&d->lock);
  d->up = false;
  pthread_cond_broadcast(&d->published);
  pthread_mutex_unlock(&d->lock);
  for (int a = 0; a < ADDRESSES; a++) {
    /* Contexts first: a socket that closes while others enter its contexts is a race inside nng. */
    for (int i = 0; i < THREADS; i++) nng_ctx_close(d->server[a][i].ctx);
    for (int i = 0; i < THREADS; i++) pthread_join(d->server[a][i].thread, NULL);
    nng_close(d->socket[a]);
  }
}

void fake_daemon_restart(struct fake_daemon *d, bool move_data) {
  fake_daemon_down(d);
  fake_daemon_up(d, move_data);
}

struct fake_daemon *fake_daemon_start(const struct fake_options *options) {
  struct fake_daemon *d = calloc(1, sizeof *d);
  if (d == NULL) return NULL;
  d->options = *options;
  snprintf(d->policy, sizeof d->policy, "%s", options->policy != NULL ? options->policy : "{}");
  /* Of its own, so that a client that strays to another test's daemon notices. */
  if (options->run_id != NULL)
    snprintf(d->run_id, sizeof d->run_id, "%s", options->run_id);
  else
    snprintf(d->run_id, sizeof d->run_id, "run-of-%d-%p", (int)getpid(), (void *)d);
  d->chunk = calloc(CHUNKS_MAX, sizeof *d->chunk);
  if (d->chunk == NULL) abort();
  d->range_max = SIZE_MAX;
  if (options->url != NULL) snprintf(d->url[DESK], sizeof d->url[DESK], "%s", options->url);
  pthread_mutex_init(&d->lock, NULL);
  pthread_cond_init(&d->published, NULL);
  fake_daemon_up(d, false);
  return d;
}

void fake_daemon_stop(struct fake_daemon *d) {
  pthread_mutex_lock(&d->lock);
  d->stopping = true;
  bool up = d->up;
  pthread_mutex_unlock(&d->lock);
  if (up) fake_daemon_down(d);
  for (uint64_t i = 0; i < d->chunks; i++) free(d->chunk[i].block);
  free(d->chunk);
  free(d->weights);
  pthread_mutex_destroy(&d->lock);
  pthread_cond_destroy(&d->published);
  free(d);
}

/* ---- knobs ---- */

const char *fake_daemon_url(const struct fake_daemon *d) {
  return d->url[DESK];
}

void fake_daemon_set_run(struct fake_daemon *d, const char *run_id) {
  pthread_mutex_lock(&d->lock);
  snprintf(d->run_id, sizeof d->run_id, "%s", run_id);
  pthread_mutex_unlock(&d->lock);
}

void fake_daemon_fault(struct fake_daemon *d, enum fake_fault fault, uint32_t n) {
  pthread_mutex_lock(&d->lock);
  d->fault[fault] = n;
  pthread_mutex_unlock(&d->lock);
}

uint32_t fake_daemon_faults_left(struct fake_daemon *d, enum fake_fault fault) {
  pthread_mutex_lock(&d->lock);
  uint32_t n = d->fault[fault];
  pthread_mutex_unlock(&d->lock);
  return n;
}

void fake_daemon_publish_locked(struct fake_daemon *d, uint64_t version,
                                const struct pmp_wire_view *view, uint32_t views, const float *w,
                                size_t floats, const char *hash) {
  if (views > 64) abort();
  float *copy = malloc(floats * sizeof *copy + 1);
  if (copy == NULL) abort();
  memcpy(copy, w, floats * sizeof *copy);
  free(d->weights);
  d->weights = copy;
  d->floats = floats;
  d->views = views;
  for (uint32_t i = 0; i < views; i++) {
    d->view[i] = view[i];
    snprintf(d->view_name[i], sizeof d->view_name[i], "%s", view[i].name);
    d->view[i].name = d->view_name[i];
  }
  snprintf(d->hash, sizeof d->hash, "%s", hash);
  d->version = version;
  pthread_cond_broadcast(&d->published);
}

void fake_daemon_publish(struct fake_daemon *d, uint64_t version, const struct pmp_wire_view *view,
                         uint32_t views, const float *w, size_t floats, const char *hash) {
  pthread_mutex_lock(&d->lock);
  fake_daemon_publish_locked(d, version, view, views, w, floats, hash);
  pthread_mutex_unlock(&d->lock);
}

void fake_daemon_range_max(struct fake_daemon *d, size_t bytes) {
  pthread_mutex_lock(&d->lock);
  d->range_max = bytes;
  pthread_mutex_unlock(&d->lock);
}

void fake_daemon_stats(struct fake_daemon *d, struct fake_stats *out) {
  pthread_mutex_lock(&d->lock);
  *out = d->stats;
  pthread_mutex_unlock(&d->lock);
}

bool fake_daemon_chunk(struct fake_daemon *d, uint64_t i, struct pmp_bytes *chunk,
                       struct pmp_bytes *actor_state) {
  pthread_mutex_lock(&d->lock);
  bool have = i < d->chunks;
  if (have && chunk != NULL)
    *chunk = (struct pmp_bytes){d->chunk[i].block, d->chunk[i].chunk_bytes};
  if (have && actor_state != NULL)
    *actor_state =
        (struct pmp_bytes){d->chunk[i].block + d->chunk[i].chunk_bytes, d->chunk[i].state_bytes};
  pthread_mutex_unlock(&d->lock);
  return have;
}

static const struct fake_report *find_report(const struct fake_daemon *d, const char *name) {
  for (uint32_t i = 0; i < d->reports; i++)
    if (strcmp(d->report[i].name, name) == 0) return &d->report[i];
  return NULL;
}

bool fake_daemon_reported(struct fake_daemon *d, const char *name, double *value) {
  pthread_mutex_lock(&d->lock);
  const struct fake_report *r = find_report(d, name);
  if (r != NULL) *value = r->value;
  pthread_mutex_unlock(&d->lock);
  return r != NULL;
}

uint64_t fake_daemon_report_count(struct fake_daemon *d, const char *name) {
  pthread_mutex_lock(&d->lock);
  const struct fake_report *r = find_report(d, name);
  uint64_t n = r != NULL ? r->count : 0;
  pthread_mutex_unlock(&d->lock);
  return n;
}

void fake_daemon_env_steps(struct fake_daemon *d, double env_steps) {
  pthread_mutex_lock(&d->lock);
  d->env_steps = env_steps;
  pthread_mutex_unlock(&d->lock);
}
