#include "daemon/transport.h"

#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_KEEP_BYTES (4u << 20) /* larger scratch is given back after its call */
#define SEND_TIMEOUT_MS 10000       /* a peer that does not take its reply for so long is dropped */

static void receive(struct pmp_call *c) {
  c->sending = false;
  nng_aio_set_timeout(c->aio, NNG_DURATION_INFINITE);
  nng_ctx_recv(c->ctx, c->aio);
}

/* The pipe has spoken: it is no longer one of the silent. */
static void mark_heard(struct pmp_transport *t, nng_pipe pipe) {
  pthread_mutex_lock(&t->lock);
  for (uint32_t i = 0; i < t->silent_count; i++) {
    if (nng_pipe_id(t->silent[i].pipe) != nng_pipe_id(pipe)) continue;
    t->silent[i] = t->silent[--t->silent_count];
    break;
  }
  pthread_mutex_unlock(&t->lock);
}

static void on_aio(void *arg) {
  struct pmp_call *c = arg;
  struct pmp_transport *t = c->transport;
  const int rv = nng_aio_result(c->aio);
  if (c->sending) {
    if (rv != 0) {
      nng_msg *unsent = nng_aio_get_msg(c->aio);
      if (unsent) nng_msg_free(unsent);
      nng_aio_set_msg(c->aio, NULL);
      atomic_fetch_add(&t->lost, 1);
      if (rv == NNG_ECLOSED) return;
      if (rv == NNG_ETIMEDOUT) nng_pipe_close(c->pipe); /* it does not read its replies */
    }
    receive(c);
    return;
  }
  if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) return;
  if (rv != 0) {
    receive(c);
    return;
  }
  c->msg = nng_aio_get_msg(c->aio);
  nng_aio_set_msg(c->aio, NULL);
  c->data = nng_msg_body(c->msg);
  c->size = nng_msg_len(c->msg);
  c->arrived_ns = pmp_clock_mono(&t->config.clock);
  atomic_fetch_add(&t->requests, 1);
  c->pipe = nng_msg_get_pipe(c->msg);
  mark_heard(t, c->pipe);
  if (pmp_ring_push(&t->ready, c) != PMP_OK)
    return; /* closing: there is a slot for every context */
  t->config.wake(t->config.wake_ctx);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg) {
  struct pmp_transport *t = arg;
  /* A pipe that is turned away here is still told of when it goes: both ends of the count are those
   * of every pipe. */
  if (event == NNG_PIPE_EV_ADD_PRE) {
    if (atomic_fetch_add(&t->connections, 1) >= t->config.connections) {
      atomic_fetch_add(&t->refused, 1);
      nng_pipe_close(pipe);
      return;
    }
    /* Now, not once it is added: its first message may come before that is told. */
    pthread_mutex_lock(&t->lock);
    if (t->silent_count < t->config.connections) {
      t->silent[t->silent_count++] =
          (struct silent_pipe){.pipe = pipe, .since_ns = pmp_clock_mono(&t->config.clock)};
    }
    pthread_mutex_unlock(&t->lock);
    return;
  }
  atomic_fetch_sub(&t->connections, 1);
  mark_heard(t, pipe);
}

/* The address as bound: port 0 becomes the port that the system gave. */
static enum pmp_err bound_url(struct pmp_transport *t, struct pmp_errmsg *msg) {
  int port = 0;
  const char *colon = strrchr(t->config.url, ':');
  if (nng_listener_get_int(t->listener, NNG_OPT_TCP_BOUND_PORT, &port) != 0 || !colon) {
    snprintf(t->url, sizeof t->url, "%s", t->config.url);
    return PMP_OK;
  }
  const int n =
      snprintf(t->url, sizeof t->url, "%.*s:%d", (int)(colon - t->config.url), t->config.url, port);
  return n > 0 && (size_t)n < sizeof t->url
             ? PMP_OK
             : pmp_fail(msg, PMP_EINVALID, "%s: address too long", t->config.url);
}

static enum pmp_err open_calls(struct pmp_transport *t, struct pmp_errmsg *msg) {
  for (uint32_t i = 0; i < t->config.contexts; i++) {
    struct pmp_call *c = &t->call[i];
    c->transport = t;
    int rv = nng_ctx_open(&c->ctx, t->socket);
    if (rv == 0) rv = nng_aio_alloc(&c->aio, on_aio, c);
    if (rv != 0)
      return pmp_fail(msg, PMP_ENOMEM, "%s: context %u: %s", t->config.url, i, nng_strerror(rv));
  }
  return PMP_OK;
}

static int use_tls(struct pmp_transport *t) {
  if (!t->config.tls_cert) return 0;
  int rv = nng_tls_config_alloc(&t->tls, NNG_TLS_MODE_SERVER);
  if (rv == 0) rv = nng_tls_config_version(t->tls, NNG_TLS_1_2, NNG_TLS_1_3);
  if (rv == 0) rv = nng_tls_config_own_cert(t->tls, t->config.tls_cert, t->config.tls_key, NULL);
  if (rv == 0) rv = nng_listener_set_ptr(t->listener, NNG_OPT_TLS_CONFIG, t->tls);
  return rv;
}

static enum pmp_err listen_on(struct pmp_transport *t, struct pmp_errmsg *msg) {
  const char *url = t->config.url;
  int rv = nng_socket_set_size(t->socket, NNG_OPT_RECVMAXSZ, t->config.recv_max);
  if (rv == 0) rv = nng_pipe_notify(t->socket, NNG_PIPE_EV_ADD_PRE, on_pipe, t);
  if (rv == 0) rv = nng_pipe_notify(t->socket, NNG_PIPE_EV_REM_POST, on_pipe, t);
  if (rv == 0) rv = nng_listener_create(&t->listener, t->socket, url);
  if (rv == NNG_EADDRINVAL || rv == NNG_EINVAL || rv == NNG_ENOTSUP) {
    return pmp_fail(msg, PMP_EINVALID, "%s: not an address; write tcp://127.0.0.1:7447", url);
  }
  if (rv == 0 && (rv = use_tls(t)) != 0)
    return pmp_fail(msg, PMP_EINVALID, "%s: the certificate cannot be used: %s", url,
                    nng_strerror(rv));
  if (rv == 0) rv = nng_listener_start(t->listener, 0);
  if (rv != 0)
    return pmp_fail(msg, PMP_EUNAVAILABLE, "cannot listen on %s: %s", url, nng_strerror(rv));
  return bound_url(t, msg);
}

enum pmp_err pmp_transport_open(struct pmp_transport *t, const struct pmp_transport_config *config,
                                struct pmp_errmsg *msg) {
  memset(t, 0, sizeof *t);
  t->config = *config;
  pthread_mutex_init(&t->lock, NULL);
  t->call = calloc(config->contexts, sizeof *t->call);
  t->silent = calloc(config->connections, sizeof *t->silent);
  enum pmp_err err = PMP_ENOMEM;
  if (!t->call || !t->silent) goto fail;
  err = pmp_ring_init(&t->ready, config->contexts);
  if (err != PMP_OK) goto fail;
  const int rv = nng_rep0_open(&t->socket);
  if (rv != 0) {
    err = pmp_fail(msg, PMP_ENOMEM, "nng: %s", nng_strerror(rv));
    goto fail;
  }
  t->open = true;
  err = open_calls(t, msg);
  if (err == PMP_OK) err = listen_on(t, msg);
  if (err != PMP_OK) goto fail;
  t->config.url = t->url; /* what the caller lent is the caller's again */
  t->config.tls_cert = t->config.tls_key = NULL;
  for (uint32_t i = 0; i < config->contexts; i++) receive(&t->call[i]);
  return PMP_OK;
fail:
  pmp_transport_close(t);
  return err;
}

void pmp_transport_close(struct pmp_transport *t) {
  if (!t->call && !t->silent) return;
  /* Contexts first: nng does not bear a socket that is closed while others enter its contexts. */
  for (uint32_t i = 0; t->open && t->call && i < t->config.contexts; i++) {
    if (!t->call[i].aio) continue;
    nng_ctx_close(t->call[i].ctx);
    nng_aio_stop(t->call[i].aio);
  }
  if (t->open) nng_close(t->socket);
  t->open = false;
  if (t->tls) nng_tls_config_free(t->tls);
  t->tls = NULL;
  for (uint32_t i = 0; t->call && i < t->config.contexts; i++) {
    struct pmp_call *c = &t->call[i];
    if (c->aio) {
      nng_aio_stop(c->aio);
      nng_aio_free(c->aio);
    }
    if (c->msg) nng_msg_free(c->msg);
    pmp_arena_fini(&c->arena);
    pmp_arena_fini(&c->out);
  }
  pmp_ring_fini(&t->ready);
  free(t->call);
  free(t->silent);
  t->call = NULL;
  t->silent = NULL;
  pthread_mutex_destroy(&t->lock);
}

bool pmp_transport_next(struct pmp_transport *t, struct pmp_call **call) {
  void *item = NULL;
  if (!pmp_ring_try_pop(&t->ready, &item)) return false;
  *call = item;
  return true;
}

void pmp_transport_sweep(struct pmp_transport *t) {
  const int64_t now = pmp_clock_mono(&t->config.clock);
  nng_pipe old[32];
  uint32_t n = 0;
  pthread_mutex_lock(&t->lock);
  for (uint32_t i = 0; i < t->silent_count && n < 32;) {
    if (now - t->silent[i].since_ns < t->config.silent_ns) {
      i++;
      continue;
    }
    old[n++] = t->silent[i].pipe;
    t->silent[i] = t->silent[--t->silent_count];
  }
  pthread_mutex_unlock(&t->lock);
  for (uint32_t i = 0; i < n; i++) { /* outside the lock: closing calls back */
    nng_pipe_close(old[i]);
    atomic_fetch_add(&t->silenced, 1);
  }
}

void pmp_transport_stats(struct pmp_transport *t, struct pmp_transport_stats *s) {
  *s = (struct pmp_transport_stats){.requests = atomic_load(&t->requests),
                                    .connections_refused = atomic_load(&t->refused),
                                    .connections_silent = atomic_load(&t->silenced),
                                    .replies_lost = atomic_load(&t->lost),
                                    .connections = atomic_load(&t->connections)};
}

enum pmp_err pmp_call_arena(struct pmp_arena *a, size_t capacity) {
  if (a->capacity >= capacity) {
    pmp_arena_release(a, 0);
    return PMP_OK;
  }
  pmp_arena_fini(a);
  return pmp_arena_init(a, capacity);
}

void pmp_call_reply(struct pmp_call *c, const void *data, size_t size) {
  nng_msg_free(c->msg);
  c->msg = NULL;
  c->data = NULL;
  c->user = NULL;
  nng_msg *reply = NULL;
  const bool ok = nng_msg_alloc(&reply, 0) == 0 && nng_msg_append(reply, data, size) == 0;
  if (c->arena.capacity > ARENA_KEEP_BYTES) pmp_arena_fini(&c->arena);
  if (c->out.capacity > ARENA_KEEP_BYTES) pmp_arena_fini(&c->out);
  if (!ok) { /* no memory: the client asks again */
    if (reply) nng_msg_free(reply);
    atomic_fetch_add(&c->transport->lost, 1);
    receive(c);
    return;
  }
  nng_aio_set_msg(c->aio, reply);
  c->sending = true;
  nng_aio_set_timeout(c->aio, SEND_TIMEOUT_MS);
  nng_ctx_send(c->ctx, c->aio);
}
