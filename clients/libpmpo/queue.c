/* An actor's unacknowledged chunks, and the thread that sends them: one at a time, again and again
 * until it is answered. */
#include "clients/libpmpo/client.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 50, INTERNAL_TRIES = 10 };
#define RETRY_NS INT64_C(500000000) /* after an answer that blames the daemon */
#define ENCODE_BYTES_MAX ((size_t)256 << 20)

/* ---- the sending thread ---- */

static void die(struct pmpo_queue *q, enum pmp_err err, const struct pmp_errmsg *reason) {
  pthread_mutex_lock(&q->lock);
  if (q->dead == PMP_OK) {
    q->dead = err;
    q->reason = *reason;
  }
  pthread_cond_broadcast(&q->changed);
  pthread_mutex_unlock(&q->lock);
}

/* Waits for a chunk to send; NULL when the client closes. */
static struct pmpo_slot *next_slot(struct pmpo *c) {
  struct pmpo_queue *q = &c->queue;
  pthread_mutex_lock(&q->lock);
  while (q->count == 0 && !atomic_load(&c->id.closing)) pthread_cond_wait(&q->changed, &q->lock);
  struct pmpo_slot *slot = q->count > 0 ? &q->slot[q->head] : NULL;
  pthread_mutex_unlock(&q->lock);
  return atomic_load(&c->id.closing) ? NULL : slot;
}

static void acknowledge(struct pmpo *c, const struct pmp_append_reply *reply) {
  struct pmpo_queue *q = &c->queue;
  pmpo_saw_version(c, reply->ref_version);
  pthread_mutex_lock(&q->lock);
  q->acked++;
  q->rows_acked += q->slot[q->head].rows;
  q->last_chunk = reply->chunk;
  q->head = (q->head + 1) % q->capacity;
  q->count--;
  pthread_cond_broadcast(&q->changed);
  pthread_mutex_unlock(&q->lock);
}

/* Sends one chunk until the daemon has it. Resending is safe: the same sequence number with the
 * same bytes is counted once. */
static enum pmp_err deliver(struct pmpo *c, const struct pmpo_slot *slot, struct pmp_arena *arena,
                            struct pmp_errmsg *msg) {
  struct pmp_request r = {.verb = PMP_VERB_APPEND};
  r.u.append.seq = slot->seq;
  r.u.append.chunk = (struct pmp_bytes){.data = slot->block, .size = slot->chunk_bytes};
  r.u.append.actor_state =
      (struct pmp_bytes){.data = slot->block + slot->chunk_bytes, .size = slot->state_bytes};
  for (int internal = 0;;) {
    struct pmp_reply reply = {0};
    pmp_arena_release(arena, 0);
    enum pmp_err err = pmpo_link_request(&c->data, &r, 0, INT64_MAX, arena, &reply, msg);
    if (err == PMP_OK) {
      if (reply.verb != PMP_VERB_APPEND)
        return pmp_fail(msg, PMP_EINTERNAL, "the daemon's answer is no ack");
      acknowledge(c, &reply.u.append);
      return PMP_OK;
    }
    /* To an append itself the daemon says so for good: the run is complete. */
    if (err == PMP_EUNAVAILABLE && reply.code == err) return err;
    bool again = err == PMP_EUNAVAILABLE || (err == PMP_EINTERNAL && ++internal < INTERNAL_TRIES);
    if (!again) return err;
    PMP_TRY(pmpo_pause(&c->data, RETRY_NS, INT64_MAX));
  }
}

static void *send_all(void *arg) {
  struct pmpo *c = arg;
  struct pmp_errmsg msg = {"stopped"};
  struct pmp_arena arena;
  enum pmp_err err = pmp_arena_init(&arena, 64 << 10);
  while (err == PMP_OK) {
    struct pmpo_slot *slot = next_slot(c);
    if (slot == NULL) break;
    err = deliver(c, slot, &arena, &msg);
  }
  if (err != PMP_OK) die(&c->queue, err, &msg);
  pmp_arena_fini(&arena);
  return NULL;
}

enum pmp_err pmpo_queue_start(struct pmpo *c, uint32_t chunks, struct pmp_errmsg *msg) {
  struct pmpo_queue *q = &c->queue;
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&q->lock, NULL);
  pthread_cond_init(&q->changed, &attr);
  pthread_condattr_destroy(&attr);
  q->ready = true;
  q->capacity = chunks;
  /* What this epoch has committed stays committed: a process that opens twice has another instance,
   * so this is 1. */
  q->next_seq = pmpo_run(c)->last_seq + 1;
  q->slot = calloc(chunks, sizeof *q->slot);
  if (q->slot == NULL || pmp_arena_init(&q->encode, 256 << 10) != PMP_OK)
    return pmp_fail(msg, PMP_ENOMEM, "no memory for %u chunks", chunks);
  /* Signals are the caller's. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&q->thread, NULL, send_all, c);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (rc != 0) return pmp_fail(msg, PMP_ENOMEM, "cannot start a thread: %s", strerror(rc));
  q->running = true;
  return PMP_OK;
}

void pmpo_queue_stop(struct pmpo *c) {
  struct pmpo_queue *q = &c->queue;
  if (!q->ready) return;
  if (q->running) {
    pthread_mutex_lock(&q->lock);
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    pthread_join(q->thread, NULL);
  }
  for (uint32_t i = 0; q->slot != NULL && i < q->capacity; i++) free(q->slot[i].block);
  free(q->slot);
  pmp_arena_fini(&q->encode);
  pthread_cond_destroy(&q->changed);
  pthread_mutex_destroy(&q->lock);
  memset(q, 0, sizeof *q);
}

/* ---- the caller's side ---- */

/* Waits, with the lock held, until the condition may have changed. PMP_ECLOSED, PMP_ETIMEOUT or why
 * the client is dead. */
static enum pmp_err wait_change(struct pmpo *c, int64_t deadline_ns, struct pmp_errmsg *msg) {
  struct pmpo_queue *q = &c->queue;
  if (q->dead != PMP_OK) return pmp_fail(msg, q->dead, "%s", q->reason.text);
  if (pmpo_stopping(&c->data)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
  int64_t now = pmpo_now_ns();
  if (now >= deadline_ns)
    return pmp_fail(msg, PMP_ETIMEOUT, "%u chunks are not acknowledged yet", q->count);
  int64_t until = now + POLL_MS * INT64_C(1000000);
  if (until > deadline_ns) until = deadline_ns;
  struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = (long)(until % 1000000000)};
  pthread_cond_timedwait(&q->changed, &q->lock, &t);
  return PMP_OK;
}

static enum pmp_err encode(struct pmpo_queue *q, const struct pmp_chunk *chunk, const void **data,
                           size_t *size, struct pmp_errmsg *msg) {
  for (;;) {
    pmp_arena_release(&q->encode, 0);
    enum pmp_err err = pmp_wire_encode_chunk(chunk, &q->encode, data, size, msg);
    if (err != PMP_ENOMEM || q->encode.capacity >= ENCODE_BYTES_MAX) return err;
    size_t larger = q->encode.capacity * 4;
    pmp_arena_fini(&q->encode);
    PMP_TRY(pmp_arena_init(&q->encode, larger));
  }
}

static enum pmp_err fill(struct pmpo_slot *slot, const void *data, size_t size,
                         struct pmp_bytes state) {
  if (slot->capacity < size + state.size) {
    free(slot->block);
    slot->block = malloc(size + state.size);
    slot->capacity = slot->block != NULL ? size + state.size : 0;
    if (slot->block == NULL) return PMP_ENOMEM;
  }
  memcpy(slot->block, data, size);
  if (state.size > 0) memcpy(slot->block + size, state.data, state.size);
  slot->chunk_bytes = size;
  slot->state_bytes = state.size;
  return PMP_OK;
}

static enum pmp_err check_limits(const struct pmpo *c, uint32_t rows, size_t size,
                                 size_t state_size, struct pmp_errmsg *msg) {
  const struct pmp_wire_limits *limits = &pmpo_run(c)->limits;
  if (rows > limits->chunk_rows)
    return pmp_fail(msg, PMP_ETOOLARGE, "a chunk of %u rows; the run's limit is %u", rows,
                    limits->chunk_rows);
  if (state_size > limits->actor_state_bytes)
    return pmp_fail(msg, PMP_ETOOLARGE, "%zu bytes of actor_state; the run's limit is %u",
                    state_size, limits->actor_state_bytes);
  if (size + state_size + 1024 > limits->message_bytes)
    return pmp_fail(msg, PMP_ETOOLARGE, "a chunk of %zu bytes; the run's limit for messages is %zu",
                    size, limits->message_bytes);
  return PMP_OK;
}

enum pmp_err pmpo_append(struct pmpo *c, const struct pmp_chunk *chunk,
                         struct pmp_bytes actor_state, struct pmp_errmsg *msg) {
  struct pmpo_queue *q = &c->queue;
  if (!q->running) return pmp_fail(msg, PMP_EINVALID, "only actors append");
  const void *data;
  size_t size;
  PMP_TRY(encode(q, chunk, &data, &size, msg));
  PMP_TRY(check_limits(c, chunk->rows, size, actor_state.size, msg));
  enum pmp_err err = PMP_OK;
  pthread_mutex_lock(&q->lock);
  if (q->dead != PMP_OK) err = pmp_fail(msg, q->dead, "%s", q->reason.text);
  while (err == PMP_OK && q->count == q->capacity) err = wait_change(c, INT64_MAX, msg);
  if (err == PMP_OK) {
    struct pmpo_slot *slot = &q->slot[(q->head + q->count) % q->capacity];
    err = fill(slot, data, size, actor_state);
    slot->seq = q->next_seq;
    slot->rows = chunk->rows;
  }
  if (err == PMP_OK) {
    q->next_seq++;
    q->count++;
    q->queued++;
    pthread_cond_broadcast(&q->changed);
  }
  pthread_mutex_unlock(&q->lock);
  return err;
}

enum pmp_err pmpo_flush(struct pmpo *c, int timeout_ms, struct pmp_errmsg *msg) {
  struct pmpo_queue *q = &c->queue;
  if (!q->running) return PMP_OK;
  int64_t deadline_ns = pmpo_deadline(timeout_ms);
  pthread_mutex_lock(&q->lock);
  enum pmp_err err = q->dead != PMP_OK ? pmp_fail(msg, q->dead, "%s", q->reason.text) : PMP_OK;
  while (err == PMP_OK && q->count > 0) err = wait_change(c, deadline_ns, msg);
  pthread_mutex_unlock(&q->lock);
  return err;
}

bool pmpo_complete(struct pmpo *c) {
  struct pmpo_queue *q = &c->queue;
  if (!q->ready) return false;
  pthread_mutex_lock(&q->lock);
  bool complete = q->dead == PMP_EUNAVAILABLE;
  pthread_mutex_unlock(&q->lock);
  return complete;
}

void pmpo_append_stats(struct pmpo *c, struct pmpo_append_stats *out) {
  struct pmpo_queue *q = &c->queue;
  memset(out, 0, sizeof *out);
  if (!q->running) return;
  pthread_mutex_lock(&q->lock);
  out->queued = q->queued;
  out->acked = q->acked;
  out->rows_acked = q->rows_acked;
  out->last_chunk = q->last_chunk;
  out->pending = q->count;
  pthread_mutex_unlock(&q->lock);
  out->resent = atomic_load(&c->data.resent);
  out->busy = atomic_load(&c->data.busy);
}
