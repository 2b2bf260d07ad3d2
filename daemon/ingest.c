/* append: decode, check, admit, commit, acknowledge, hand to the learner. A chunk's decoded form is
 * a job; jobs are few and reused, and whoever finds none waits (at most append_hold_ms) or is
 * answered busy. */
#include "daemon/rows.h"
#include "daemon/server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_RETRY_MS 20
#define JOB_KEEP_BYTES ((size_t)4 << 20)

enum pmp_err pmp_ingest_init(struct pmp_server *s) {
  s->jobs = (uint32_t)s->config.listen.data_contexts;
  s->held_max = (uint32_t)s->config.listen.data_contexts / 2;
  s->job = calloc(s->jobs, sizeof *s->job);
  s->free_job = calloc(s->jobs, sizeof(struct pmp_job *));
  s->held = calloc(s->held_max, sizeof *s->held);
  if (!s->job || !s->free_job || !s->held) return PMP_ENOMEM;
  for (uint32_t i = 0; i < s->jobs; i++) s->free_job[s->free_jobs++] = &s->job[i];
  return PMP_OK;
}

void pmp_ingest_fini(struct pmp_server *s) {
  for (uint32_t i = 0; s->job && i < s->jobs; i++) pmp_arena_fini(&s->job[i].arena);
  free(s->job);
  free(s->free_job);
  free(s->held);
  s->job = NULL;
  s->free_job = NULL;
  s->held = NULL;
}

void pmp_ingest_job_free(struct pmp_server *s, struct pmp_job *job) {
  if (job->arena.capacity > JOB_KEEP_BYTES) pmp_arena_fini(&job->arena);
  s->free_job[s->free_jobs++] = job;
}

/* The append is over, whatever came of it. */
static void end_append(struct pmp_server *s, struct pmp_session *session) {
  session->appending = false;
  s->appends_now--;
}

static void acknowledge(struct pmp_server *s, struct pmp_call *call, uint64_t chunk, uint32_t rows,
                        bool duplicate) {
  struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_APPEND};
  reply.u.append = (struct pmp_append_reply){.chunk = chunk,
                                             .rows = rows,
                                             .duplicate = duplicate,
                                             .ref_version = pmp_publisher_version(&s->publisher)};
  pmp_answer(s, call, &reply);
}

static void refuse_stored(struct pmp_server *s, struct pmp_pending *p) {
  const enum pmp_err err = p->op.err;
  if (err == PMP_ENOSPC || err == PMP_EIO || err == PMP_ECLOSED || err == PMP_EUNAVAILABLE) {
    pmp_refuse(s, p->call, PMP_EUNAVAILABLE, 500, "%s", p->op.msg.text);
    return;
  }
  struct pmp_reply reply = {.code = err > PMP_EINTERNAL ? PMP_EINTERNAL : err,
                            .message = p->op.msg.text,
                            .expected_seq = p->op.u.append.expected_seq};
  pmp_answer(s, p->call, &reply);
}

/* A committed chunk goes to the learner; there is a place on its queue for every job. */
static void hand_over(struct pmp_server *s, struct pmp_job *job, struct pmp_call *call,
                      struct pmp_session *session) {
  struct pmp_learn_in *in = calloc(1, sizeof *in);
  if (!in) {
    pmp_server_fatal(s, "out of memory with a committed chunk in hand");
    return;
  }
  in->kind = PMP_LEARN_CHUNK;
  in->commit = job->commit;
  in->job = job;
  in->owner = call; /* lockstep: acknowledged once it is learned */
  job->owner = session;
  if (pmp_learn_post(s->learn, in) != PMP_OK) {
    free(in);
    pmp_server_fatal(s, "the learner's queue is full, which its size rules out");
  }
}

/* The items of an append that is over are in the index, or nowhere. */
static void settle_items(struct pmp_server *s, struct pmp_job *job, bool committed) {
  if (!s->people.items) return;
  s->people.pending -= job->items;
  if (committed) pmp_desk_appended(s, &job->chunk, job->id);
}

static void append_done(struct pmp_server *s, struct pmp_pending *p) {
  struct pmp_store_append *a = &p->op.u.append;
  const bool lockstep = s->config.run.lockstep;
  struct pmp_session *session = p->session;
  struct pmp_job *job = p->job;
  job->id = a->chunk;
  job->commit = a->commit;
  settle_items(s, job, p->op.err == PMP_OK && !a->duplicate);
  if (p->op.err != PMP_OK || a->duplicate) {
    pmp_limiter_release(&s->limiter, job->reserved);
    if (p->op.err != PMP_OK) {
      refuse_stored(s, p);
    } else if (lockstep && a->commit > s->learner_commit) {
      pmp_refuse(s, p->call, PMP_EBUSY, BUSY_RETRY_MS,
                 "lockstep: this chunk's steps are not done yet");
    } else {
      s->count.duplicates++;
      pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-INGEST-DUP", "actor=%s seq=%" PRIu64, session->name,
                    a->seq);
      acknowledge(s, p->call, a->chunk, a->rows, true);
    }
    pmp_ingest_job_free(s, job);
    end_append(s, session);
    free(p);
    return;
  }
  s->count.appends++;
  s->count.append_rows += a->rows;
  s->count.append_bytes += a->bytes;
  session->last_seq = a->seq;
  session->rows += a->rows;
  struct pmp_call *call = p->call;
  if (!lockstep) {
    acknowledge(s, call, a->chunk, a->rows, false);
    end_append(s, session);
    call = NULL;
  }
  hand_over(s, job, call, session);
  free(p);
}

void pmp_ingest_learned(struct pmp_server *s, struct pmp_learn_in *in, uint64_t version) {
  (void)version;
  struct pmp_job *job = in->job;
  if (in->owner) {
    acknowledge(s, in->owner, job->id, job->chunk.rows, false);
    end_append(s, job->owner);
  }
  pmp_ingest_job_free(s, job);
}

/* The run has made its steps: an actor's further rows would never be trained on. Those of an import
 * are whoever imports them's own to know. */
static bool is_over(const struct pmp_server *s, const struct pmp_job *job) {
  return job->chunk.source == PMP_SOURCE_ACTOR && pmp_learn_complete(s->learn);
}

/* For good: there is no time to come back after. */
static void refuse_complete(struct pmp_server *s, struct pmp_call *call) {
  pmp_refuse(s, call, PMP_EUNAVAILABLE, 0,
             "the run is complete: run.max_steps (%" PRIu64
             ") is reached; to go on, resume it with a larger one",
             s->config.run.max_steps);
}

static void forget(struct pmp_server *s, struct pmp_held *h) {
  s->people.pending -= h->job->items;
  pmp_ingest_job_free(s, h->job);
  end_append(s, h->session);
}

static void drop(struct pmp_server *s, struct pmp_held *h, enum pmp_err code, uint32_t retry_ms,
                 const char *why) {
  pmp_refuse(s, h->call, code, retry_ms, "%s", why);
  forget(s, h);
}

/* Admitted: into the store's queue. */
static void submit(struct pmp_server *s, struct pmp_held *h) {
  const struct pmp_append *a = &pmp_call_request(h->call)->u.append;
  struct pmp_pending *p = pmp_pending_new(s, PMP_OP_APPEND);
  if (p) {
    struct pmp_store_append *op = &p->op.u.append;
    const struct pmp_rows_count n = pmp_rows_count(&h->job->chunk, pmp_config_people(&s->config));
    strcpy(op->name, h->session->name);
    op->epoch = h->session->epoch;
    op->seq = a->seq;
    op->data = a->chunk.data;
    op->bytes = a->chunk.size;
    op->state = a->actor_state.size ? a->actor_state.data : NULL;
    op->state_bytes = a->actor_state.size;
    op->rows = h->job->chunk.rows;
    op->labelled = n.labelled;
    op->shape = (int)h->job->chunk.shape;
    op->source = (int)h->job->chunk.source;
    op->version_min = n.version_min;
    op->ack_version = pmp_publisher_version(&s->publisher);
    strcpy(h->job->actor, h->session->name);
    h->job->reserved = h->trainable;
    h->job->env_steps = n.env_steps;
    p->finish = append_done;
    p->call = h->call;
    p->job = h->job;
    p->session = h->session;
    if (pmp_server_submit(s, p) == PMP_OK) return;
    free(p);
  }
  pmp_limiter_release(&s->limiter, h->trainable);
  drop(s, h, PMP_EBUSY, BUSY_RETRY_MS, "the store's queue is full");
}

void pmp_ingest_retry_held(struct pmp_server *s) {
  const int64_t now = pmp_clock_mono(&s->clock);
  for (uint32_t i = 0; i < s->held_count;) {
    struct pmp_held h = s->held[i];
    const bool over = s->stopping || is_over(s, h.job);
    const bool admitted = !over && pmp_limiter_admit(&s->limiter, h.trainable);
    if (!admitted && !over && now < h.until_ns) {
      i++;
      continue;
    }
    memmove(&s->held[i], &s->held[i + 1],
            (s->held_count - i - 1) * sizeof h); /* first come, first served */
    s->held_count--;
    if (admitted) {
      submit(s, &h);
    } else if (s->stopping) {
      drop(s, &h, PMP_EUNAVAILABLE, 1000, "the daemon is stopping");
    } else if (over) {
      refuse_complete(s, h.call);
      forget(s, &h);
    } else {
      s->count.hold_busy++;
      drop(s, &h, PMP_EBUSY, BUSY_RETRY_MS,
           "the learner is behind: samples_per_insert holds appends back");
    }
  }
}

/* What can be said before the chunk is looked at; true: refused. */
static bool refused_early(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                          const struct pmp_append *a) {
  if (session->fenced) {
    pmp_refuse(s, call, PMP_ECONFLICT, 0, "a newer instance of %s has taken over", session->name);
  } else if (session->appending) {
    pmp_refuse(s, call, PMP_EBUSY, BUSY_RETRY_MS, "%s has an append under way; one at a time",
               session->name);
  } else if (s->config.run.lockstep && !s->learner_ready) {
    pmp_refuse(s, call, PMP_EBUSY, 50, "the learner is loading");
  } else if (s->appends_now >= s->held_max) {
    pmp_refuse(s, call, PMP_EBUSY, BUSY_RETRY_MS, "half of the data contexts hold appends already");
  } else if (s->free_jobs == 0) {
    s->count.no_job_busy++;
    pmp_refuse(s, call, PMP_EBUSY, BUSY_RETRY_MS, "the learner has not taken the chunks before");
  } else if (a->seq == 0) {
    pmp_refuse(s, call, PMP_EINVALID, 0, "append.seq is 0; it counts from 1 in each epoch");
  } else {
    return false;
  }
  return true;
}

void pmp_serve_append(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                      const struct pmp_append *a) {
  if (refused_early(s, call, session, a)) return;
  struct pmp_job *job = s->free_job[--s->free_jobs];
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmp_call_arena(&job->arena, pmp_wire_chunk_arena(a->chunk.size, &s->limits));
  if (err == PMP_OK) {
    err = pmp_wire_decode_chunk(a->chunk.data, a->chunk.size, &s->spec, &s->limits, &job->arena,
                                &job->chunk, &msg);
  }
  if (err == PMP_OK) err = pmp_rows_check(&job->chunk, s->config.learner.capacity, &msg);
  if (err == PMP_OK && a->actor_state.size > s->limits.actor_state_bytes) {
    err = pmp_fail(&msg, PMP_ETOOLARGE, "actor_state has %zu bytes; at most %u are kept",
                   a->actor_state.size, s->limits.actor_state_bytes);
  }
  if (err != PMP_OK) {
    pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-INGEST-REFUSED",
                  "actor=%s seq=%" PRIu64 " code=%s reason=\"%s\"", session->name, a->seq,
                  pmp_err_name(err), msg.text);
    pmp_ingest_job_free(s, job);
    pmp_refuse(s, call, err == PMP_ENOMEM ? PMP_ETOOLARGE : err, 0, "%s", msg.text);
    return;
  }
  const bool again = a->seq <= session->last_seq; /* committed before: brings no rows */
  if (!again && is_over(s, job)) {
    pmp_ingest_job_free(s, job);
    refuse_complete(s, call);
    return;
  }
  const struct pmp_rows_count n = pmp_rows_count(&job->chunk, pmp_config_people(&s->config));
  job->items = s->people.items && !again ? pmp_rows_items(&job->chunk) : 0;
  /* Clips of a run that learns already make room for themselves (pmp_desk_trim). */
  const bool trimmed =
      s->spec.shape == PMP_SHAPE_TRAJECTORIES && !pmp_learn_wants_verdicts(s->learn);
  if (job->items > 0 && !trimmed && !pmp_desk_room(s, job->items)) {
    s->count.open_items_busy++;
    pmp_ingest_job_free(s, job);
    pmp_refuse(s, call, PMP_EBUSY, 250, "%" PRIu64 " items wait for people (limits.open_items)",
               s->config.limits.open_items);
    return;
  }
  s->people.pending += job->items;
  session->appending = true;
  s->appends_now++;
  struct pmp_held h = {
      .call = call, .job = job, .session = session, .trainable = again ? 0 : n.trainable};
  if (again || (s->held_count == 0 && pmp_limiter_admit(&s->limiter, n.trainable))) {
    submit(s, &h);
    return;
  }
  s->count.holds++;
  h.until_ns = pmp_clock_mono(&s->clock) + (int64_t)s->config.limits.append_hold_ms * 1000000;
  s->held[s->held_count++] = h; /* held_max bounds appends_now, so there is room */
  if (!s->hold_running) {
    s->hold_running = true;
    uv_timer_again(&s->hold);
  }
}
