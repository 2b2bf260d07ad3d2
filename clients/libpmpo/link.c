#include "clients/libpmpo/link.h"

#include "base/clock.h"

#include <nng/protocol/reqrep0/req.h>
#include <string.h>
#include <time.h>

#define MS INT64_C(1000000)

enum {
  POLL_MS = 50,          /* how soon a stop is noticed */
  RECONNECT_MIN_MS = 20, /* nng's dialer */
  RECONNECT_MAX_MS = 500,
  RETRY_MAX_MS = 5000, /* a daemon's retry_after_ms is believed up to here */
  RESET_MS = 20,       /* after a failed attempt */
  FIRST_MS = 500       /* without a first answer it is asked what is wrong */
};

#define OUT_BYTES_MAX ((size_t)256 << 20)

/* ---- time ---- */

int64_t pmpo_now_ns(void) {
  struct pmp_clock clock = pmp_clock_real();
  return pmp_clock_mono(&clock);
}

int64_t pmpo_deadline(int64_t timeout_ms) {
  return timeout_ms < 0 ? INT64_MAX : pmpo_now_ns() + timeout_ms * MS;
}

bool pmpo_stopping(const struct pmpo_link *l) {
  if (atomic_load(&l->id->closing)) return true;
  if (l->cancelled != NULL && atomic_load(l->cancelled)) return true;
  return l->id->stop != NULL && __atomic_load_n(l->id->stop, __ATOMIC_RELAXED) != 0;
}

enum pmp_err pmpo_pause(const struct pmpo_link *l, int64_t ns, int64_t deadline_ns) {
  int64_t end = pmpo_now_ns() + ns;
  for (;;) {
    if (pmpo_stopping(l)) return PMP_ECLOSED;
    int64_t now = pmpo_now_ns();
    if (now >= deadline_ns) return PMP_ETIMEOUT;
    if (now >= end) return PMP_OK;
    int64_t slice = end - now;
    if (slice > deadline_ns - now) slice = deadline_ns - now;
    if (slice > POLL_MS * MS) slice = POLL_MS * MS;
    struct timespec t = {.tv_sec = 0, .tv_nsec = (long)slice};
    nanosleep(&t, NULL);
  }
}

/* ---- the socket ---- */

static void on_aio(void *arg) {
  struct pmpo_link *l = arg;
  pthread_mutex_lock(&l->lock);
  l->done = true;
  pthread_cond_signal(&l->changed);
  pthread_mutex_unlock(&l->lock);
}

static enum pmp_err dial(struct pmpo_link *l, const char *url, struct pmp_errmsg *msg) {
  if (strlen(url) >= sizeof l->url)
    return pmp_fail(msg, PMP_EINVALID, "address too long: %.80s...", url);
  nng_tls_config *tls = NULL;
  PMP_TRY(pmpo_tls_make(url, l->id->ca, &tls, msg));
  if (l->tls != NULL) nng_tls_config_free(l->tls);
  l->tls = tls;
  int rv = nng_req0_open(&l->socket);
  if (rv != 0) return pmp_fail(msg, PMP_ENOMEM, "nng: %s", nng_strerror(rv));
  memmove(l->url, url, strlen(url) + 1);
  l->open = true;
  l->greeted = false;
  l->dialled++;
  nng_dialer dialer;
  rv = nng_socket_set_ms(l->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
  if (rv == 0) rv = nng_socket_set_size(l->socket, NNG_OPT_RECVMAXSZ, l->id->limits.message_bytes);
  if (rv == 0) rv = nng_socket_set_ms(l->socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
  if (rv == 0) rv = nng_socket_set_ms(l->socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
  if (rv == 0) rv = nng_ctx_open(&l->ctx, l->socket);
  if (rv == 0) rv = nng_dialer_create(&dialer, l->socket, l->url);
  if (rv == 0 && tls != NULL) rv = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, tls);
  if (rv == 0) rv = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
  if (rv == 0) return PMP_OK;
  nng_close(l->socket);
  l->open = false;
  if (rv == NNG_EADDRINVAL || rv == NNG_EINVAL || rv == NNG_ENOTSUP)
    return pmp_fail(msg, PMP_EINVALID, "%s: not an address; write tcp://127.0.0.1:7447", url);
  return pmp_fail(msg, PMP_EUNAVAILABLE, "%s: %s", url, nng_strerror(rv));
}

enum pmp_err pmpo_link_open(struct pmpo_link *l, struct pmpo_identity *id, const char *url,
                            struct pmp_errmsg *msg) {
  memset(l, 0, sizeof *l);
  l->id = id;
  if (pmp_arena_init(&l->out, 64 << 10) != PMP_OK) return pmp_fail(msg, PMP_ENOMEM, "no memory");
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&l->lock, NULL);
  pthread_cond_init(&l->changed, &attr);
  pthread_condattr_destroy(&attr);
  enum pmp_err err = nng_aio_alloc(&l->aio, on_aio, l) == 0 ? PMP_OK : PMP_ENOMEM;
  if (err == PMP_OK) err = dial(l, url, msg);
  if (err != PMP_OK) pmpo_link_close(l);
  return err;
}

void pmpo_link_close(struct pmpo_link *l) {
  if (l->id == NULL) return;
  if (l->open) {
    nng_ctx_close(l->ctx);
    nng_close(l->socket);
  }
  if (l->aio != NULL) {
    nng_aio_stop(l->aio);
    nng_aio_free(l->aio);
  }
  if (l->tls != NULL) nng_tls_config_free(l->tls);
  pthread_cond_destroy(&l->changed);
  pthread_mutex_destroy(&l->lock);
  pmp_arena_fini(&l->out);
  memset(l, 0, sizeof *l);
}

enum pmp_err pmpo_link_move(struct pmpo_link *l, const char *url, struct pmp_errmsg *msg) {
  if (l->open) {
    nng_ctx_close(l->ctx);
    nng_close(l->socket);
  }
  l->open = false;
  return dial(l, url, msg);
}

/* Waits for the aio, which then has finished in any case. PMP_ETIMEOUT, PMP_ECLOSED when it was
 * called off. */
static enum pmp_err wait_aio(struct pmpo_link *l, int64_t deadline_ns) {
  enum pmp_err err = PMP_OK;
  pthread_mutex_lock(&l->lock);
  while (!l->done && err == PMP_OK) {
    int64_t now = pmpo_now_ns();
    if (pmpo_stopping(l)) {
      err = PMP_ECLOSED;
    } else if (now >= deadline_ns) {
      err = PMP_ETIMEOUT;
    } else {
      int64_t until = now + POLL_MS * MS;
      if (until > deadline_ns) until = deadline_ns;
      struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = (long)(until % 1000000000)};
      pthread_cond_timedwait(&l->changed, &l->lock, &t);
    }
  }
  pthread_mutex_unlock(&l->lock);
  if (err != PMP_OK) nng_aio_cancel(l->aio);
  nng_aio_wait(l->aio);
  return nng_aio_result(l->aio) == 0 ? PMP_OK : err;
}

/* One attempt: sends the bytes and waits for the next reply. PMP_EIO: the connection broke. */
static enum pmp_err exchange(struct pmpo_link *l, const void *data, size_t size,
                             int64_t deadline_ns, nng_msg **reply) {
  *reply = NULL;
  nng_msg *out;
  if (!l->open) return PMP_ETIMEOUT; /* dial again */
  if (nng_msg_alloc(&out, 0) != 0) return PMP_ENOMEM;
  if (nng_msg_append(out, data, size) != 0) {
    nng_msg_free(out);
    return PMP_ENOMEM;
  }
  l->done = false;
  nng_aio_set_msg(l->aio, out);
  nng_ctx_send(l->ctx, l->aio);
  enum pmp_err err = wait_aio(l, deadline_ns);
  if (err != PMP_OK || nng_aio_result(l->aio) != 0) {
    out = nng_aio_get_msg(l->aio);
    if (out != NULL) nng_msg_free(out);
    nng_aio_set_msg(l->aio, NULL);
    return err != PMP_OK ? err : PMP_EIO;
  }
  l->done = false;
  nng_aio_set_msg(l->aio, NULL);
  nng_ctx_recv(l->ctx, l->aio);
  err = wait_aio(l, deadline_ns);
  if (err != PMP_OK) return err;
  if (nng_aio_result(l->aio) != 0) return PMP_EIO;
  *reply = nng_aio_get_msg(l->aio);
  nng_aio_set_msg(l->aio, NULL);
  return PMP_OK;
}

/* ---- requests ---- */

/* The request as bytes of l->out, which grows as needed. */
static enum pmp_err encode(struct pmpo_link *l, const struct pmp_request *r, const void **data,
                           size_t *size, struct pmp_errmsg *msg) {
  for (;;) {
    pmp_arena_release(&l->out, 0);
    enum pmp_err err = pmp_wire_encode_request(r, &l->out, data, size, msg);
    if (err != PMP_ENOMEM || l->out.capacity >= OUT_BYTES_MAX) return err;
    size_t larger = l->out.capacity * 4;
    pmp_arena_fini(&l->out);
    PMP_TRY(pmp_arena_init(&l->out, larger));
  }
}

/* One attempt with a reply to this very request. */
static enum pmp_err attempt(struct pmpo_link *l, struct pmp_request *r, int64_t until_ns,
                            struct pmp_arena *arena, struct pmp_reply *reply,
                            struct pmp_errmsg *msg) {
  r->version = PMP_WIRE_VERSION_MAX;
  if (r->request_id == 0) r->request_id = ++l->request_id; /* resent under the same */
  r->session = (struct pmp_bytes){.data = l->session, .size = l->greeted ? sizeof l->session : 0};
  const void *data;
  size_t size;
  nng_msg *in;
  PMP_TRY(encode(l, r, &data, &size, msg));
  if (l->silent_since_ns == 0) l->silent_since_ns = pmpo_now_ns();
  enum pmp_err err = exchange(l, data, size, until_ns, &in);
  if (err != PMP_OK) return pmp_fail(msg, err, "%s: %s", l->url, pmp_err_name(err));
  err = pmp_wire_decode_reply(nng_msg_body(in), nng_msg_len(in), &l->id->limits, arena, reply, msg);
  nng_msg_free(in);
  l->silent_since_ns = 0;
  l->heard = true;
  if (err != PMP_OK) return err;
  /* An older request's reply cannot come (nng drops it); anything else is not our daemon. */
  if (reply->request_id != r->request_id)
    return pmp_fail(msg, PMP_EIO, "%s: answers another request", l->url);
  return PMP_OK;
}

/* How long to wait after a reply that asks for patience; false: it does not. */
static bool patience(struct pmpo_link *l, const struct pmp_reply *reply, int64_t *ns) {
  if (reply->code != PMP_EBUSY && reply->code != PMP_EUNAVAILABLE) return false;
  /* "Not offered by this daemon" comes without a time. */
  if (reply->code == PMP_EUNAVAILABLE && reply->retry_after_ms == 0) return false;
  if (reply->code == PMP_EBUSY) l->busy++;
  uint32_t ms = reply->retry_after_ms;
  if (ms == 0) ms = 1;
  *ns = (int64_t)(ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS) * MS;
  return true;
}

/* Nobody answered: the address may have moved, the connection may lead nowhere, and nng's dialer
 * gives up for good when a connection breaks in the moment it is made (EPIPE, which it takes for
 * its own closing). Several requests that each had less time than request_ms count together. A
 * session outlives this. */
static void dial_again(struct pmpo_link *l, bool late) {
  uint64_t dialled = l->dialled;
  if (pmpo_now_ns() - l->silent_since_ns < l->id->request_ms * MS) return;
  l->silent_since_ns = 0;
  if (l->on_silence != NULL && !late) l->on_silence(l->ctx_of_calls, l);
  if (l->dialled != dialled) return;
  bool greeted = l->greeted;
  /* When even this fails, the next silence tries again. */
  if (pmpo_link_move(l, l->url, NULL) == PMP_OK) l->greeted = greeted;
}

/* What is left to do after an attempt that brought no reply. PMP_OK: try again. */
static enum pmp_err after_failure(struct pmpo_link *l, enum pmp_err err, int64_t deadline_ns,
                                  struct pmp_errmsg *msg) {
  if (err == PMP_ECLOSED) return pmp_fail(msg, err, "stopped");
  if (err != PMP_ETIMEOUT && err != PMP_EIO) return err;
  if (!l->heard && !l->probed) {
    l->probed = true;
    PMP_TRY(pmpo_probe(l->url, l->id->ca, msg));
  }
  if (err == PMP_ETIMEOUT) dial_again(l, pmpo_now_ns() >= deadline_ns);
  err = pmpo_pause(l, RESET_MS * MS, deadline_ns);
  if (err == PMP_ETIMEOUT) return pmp_fail(msg, err, "no answer from %s", l->url);
  if (err == PMP_ECLOSED) return pmp_fail(msg, err, "stopped");
  l->resent++;
  return PMP_OK;
}

static int64_t attempt_end(const struct pmpo_link *l, uint32_t extra_ms, int64_t deadline_ns) {
  int64_t wait_ms = (int64_t)l->id->request_ms + extra_ms;
  if (!l->heard && !l->probed && wait_ms > FIRST_MS) wait_ms = FIRST_MS;
  int64_t end = pmpo_deadline(wait_ms);
  return end < deadline_ns ? end : deadline_ns;
}

/* Asks until there is a reply that does not ask for patience. */
static enum pmp_err ask(struct pmpo_link *l, struct pmp_request *r, uint32_t extra_ms,
                        int64_t deadline_ns, struct pmp_arena *arena, struct pmp_reply *reply,
                        struct pmp_errmsg *msg) {
  size_t mark = pmp_arena_mark(arena);
  for (;;) {
    pmp_arena_release(arena, mark);
    enum pmp_err err = attempt(l, r, attempt_end(l, extra_ms, deadline_ns), arena, reply, msg);
    if (err != PMP_OK) {
      PMP_TRY(after_failure(l, err, deadline_ns, msg));
      continue;
    }
    int64_t wait_ns;
    if (!patience(l, reply, &wait_ns)) return PMP_OK;
    /* Somebody is there, only not ready (in lockstep, learner steps are due first): hello's
     * deadline moves. */
    if (r->verb == PMP_VERB_HELLO && deadline_ns != INT64_MAX)
      deadline_ns = pmpo_deadline(l->id->connect_ms);
    err = pmpo_pause(l, wait_ns, deadline_ns);
    if (err == PMP_ETIMEOUT)
      return pmp_fail(msg, reply->code, "%s: %s", l->url,
                      reply->message[0] != '\0' ? reply->message : "busy");
    if (err != PMP_OK) return pmp_fail(msg, err, "stopped");
  }
}

/* The daemon's words for a code that is an error. */
static enum pmp_err answer(const struct pmp_reply *reply, struct pmp_errmsg *msg) {
  if (reply->code == PMP_OK) return PMP_OK;
  return pmp_fail(msg, reply->code, "%s",
                  reply->message[0] != '\0' ? reply->message : pmp_err_name(reply->code));
}

enum pmp_err pmpo_link_hello(struct pmpo_link *l, int64_t deadline_ns, struct pmp_errmsg *msg) {
  const struct pmpo_identity *id = l->id;
  struct pmp_request r = {.verb = PMP_VERB_HELLO};
  r.u.hello = (struct pmp_hello){.role = id->role,
                                 .name = id->name,
                                 .token = id->token,
                                 .client = id->client,
                                 .has_spec = id->has_spec};
  if (id->role == PMP_ROLE_ACTOR)
    r.u.hello.instance = (struct pmp_bytes){.data = id->instance, .size = sizeof id->instance};
  if (id->has_spec) r.u.hello.spec = id->spec;
  struct pmp_arena arena;
  struct pmp_reply reply;
  PMP_TRY(pmp_arena_init(&arena, 512 << 10));
  l->greeted = false;
  l->hellos++;
  enum pmp_err err = ask(l, &r, 0, deadline_ns, &arena, &reply, msg);
  if (err == PMP_OK) err = answer(&reply, msg);
  if (err == PMP_OK && reply.verb != PMP_VERB_HELLO)
    err = pmp_fail(msg, PMP_EINVALID, "%s: does not answer hello", l->url);
  if (err == PMP_OK && l->on_hello != NULL) err = l->on_hello(l->ctx_of_calls, &reply.u.hello, msg);
  if (err == PMP_OK) {
    memcpy(l->session, reply.u.hello.session, sizeof l->session);
    l->greeted = true;
  }
  pmp_arena_fini(&arena);
  return err;
}

enum pmp_err pmpo_link_request(struct pmpo_link *l, const struct pmp_request *request,
                               uint32_t extra_ms, int64_t deadline_ns, struct pmp_arena *arena,
                               struct pmp_reply *reply, struct pmp_errmsg *msg) {
  struct pmp_request r = *request;
  size_t mark = pmp_arena_mark(arena);
  for (;;) {
    pmp_arena_release(arena, mark);
    if (!l->greeted) PMP_TRY(pmpo_link_hello(l, deadline_ns, msg));
    PMP_TRY(ask(l, &r, extra_ms, deadline_ns, arena, reply, msg));
    if (reply->code != PMP_EUNAUTHENTICATED) return answer(reply, msg);
    l->greeted = false; /* the session died with the daemon */
    enum pmp_err err = pmpo_pause(l, RESET_MS * MS, deadline_ns);
    if (err != PMP_OK) return pmp_fail(msg, err, "%s: session lost", l->url);
  }
}
