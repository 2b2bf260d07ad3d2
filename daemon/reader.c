#include "daemon/reader.h"

#include "daemon/reader_desk.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 1000
#define ARENA_BYTES ((size_t)8 << 20)

struct question {
  struct pmp_request request;
  struct pmp_reader_answer answer; /* with the work, owned */
};

struct pmp_readers {
  struct pmp_reader_config config;
  struct pmp_reader *db;
  struct pmp_desk_reader desk;
  struct pmp_ring in, out;
  pthread_t thread;
  bool started;
};

static enum pmp_err fill_series(struct pmp_readers *r, const char *name,
                                const struct pmp_history *q, struct pmp_arena *a,
                                struct pmp_series *s, struct pmp_errmsg *msg) {
  struct pmp_reader_point *points = NULL;
  uint32_t n = 0;
  uint32_t max = q->points_max ? q->points_max : r->config.points_max;
  if (max > r->config.points_max) max = r->config.points_max;
  PMP_TRY(pmp_reader_history(r->db, name, q->step_from, q->step_to, max, &points, &n, msg));
  uint64_t *step = pmp_arena_array(a, n, sizeof *step), *env = pmp_arena_array(a, n, sizeof *env);
  int64_t *wall = pmp_arena_array(a, n, sizeof *wall);
  double *value = pmp_arena_array(a, n, sizeof *value);
  enum pmp_err err = PMP_OK;
  if (!step || !env || !wall || !value) {
    err = pmp_fail(msg, PMP_ETOOLARGE,
                   "too many points for one reply: ask for fewer series or points");
    goto out;
  }
  for (uint32_t i = 0; i < n; i++) {
    step[i] = points[i].step;
    env[i] = points[i].env_steps;
    wall[i] = points[i].wall_ns;
    value[i] = points[i].value;
  }
  *s = (struct pmp_series){
      .name = name, .step = step, .env_steps = env, .wall_ns = wall, .value = value, .points = n};
out:
  free(points);
  return err;
}

static const char *keep(struct pmp_arena *a, const char *text) {
  const size_t n = strlen(text) + 1;
  char *copy = pmp_arena_alloc(a, n);
  if (copy) memcpy(copy, text, n);
  return copy;
}

static enum pmp_err list_names(struct pmp_readers *r, struct pmp_arena *a,
                               struct pmp_history_reply *reply, struct pmp_errmsg *msg) {
  char(*names)[PMP_STORE_NAME_MAX] = NULL;
  uint32_t n = 0;
  PMP_TRY(pmp_reader_metrics(r->db, &names, &n, msg));
  struct pmp_series *series = pmp_arena_zeroed(a, n, sizeof *series);
  enum pmp_err err = series ? PMP_OK : PMP_ENOMEM;
  for (uint32_t i = 0; err == PMP_OK && i < n; i++) {
    series[i].name = keep(a, names[i]);
    if (!series[i].name) err = PMP_ENOMEM;
  }
  free(names);
  reply->series = series;
  reply->count = n;
  return err;
}

static enum pmp_err read_history(struct pmp_readers *r, const struct pmp_history *q,
                                 struct pmp_arena *a, struct pmp_history_reply *reply,
                                 struct pmp_errmsg *msg) {
  if (q->names == 0) return list_names(r, a, reply, msg);
  struct pmp_series *series = pmp_arena_zeroed(a, q->names, sizeof *series);
  if (!series) return PMP_ENOMEM;
  for (uint32_t i = 0; i < q->names; i++)
    PMP_TRY(fill_series(r, q->name[i], q, a, &series[i], msg));
  reply->series = series;
  reply->count = q->names;
  return PMP_OK;
}

struct event_list {
  struct pmp_arena *arena;
  struct pmp_event *event;
  uint32_t count, max;
};

static enum pmp_err on_event(void *ctx, const struct pmp_reader_event *e) {
  struct event_list *list = ctx;
  if (list->count == list->max) return PMP_ETOOLARGE;
  struct pmp_event *out = &list->event[list->count];
  *out = (struct pmp_event){.id = e->id,
                            .wall_ns = e->wall_ns,
                            .who = keep(list->arena, e->who),
                            .kind = keep(list->arena, e->kind),
                            .detail = keep(list->arena, e->detail)};
  if (!out->who || !out->kind || !out->detail) return PMP_ENOMEM;
  if (e->hash) {
    void *hash = pmp_arena_alloc(list->arena, PMP_EVENT_HASH_BYTES);
    if (!hash) return PMP_ENOMEM;
    memcpy(hash, e->hash, PMP_EVENT_HASH_BYTES);
    out->hash = (struct pmp_bytes){hash, PMP_EVENT_HASH_BYTES};
  }
  list->count++;
  return PMP_OK;
}

static enum pmp_err read_events(struct pmp_readers *r, const struct pmp_events *q,
                                struct pmp_arena *a, struct pmp_events_reply *reply,
                                struct pmp_errmsg *msg) {
  struct event_list list = {.arena = a,
                            .max = q->count && q->count < EVENTS_MAX ? q->count : EVENTS_MAX};
  list.event = pmp_arena_zeroed(a, list.max, sizeof *list.event);
  if (!list.event) return PMP_ENOMEM;
  PMP_TRY(pmp_reader_events(r->db, q->after, list.max, q->all, on_event, &list, msg));
  reply->event = list.event;
  reply->count = list.count;
  return PMP_OK;
}

static enum pmp_err read_one(struct pmp_readers *r, struct question *q, struct pmp_arena *a,
                             struct pmp_errmsg *msg) {
  switch (q->request.verb) {
  case PMP_VERB_HISTORY:
    return read_history(r, &q->request.u.history, a, &q->answer.reply.u.history, msg);
  case PMP_VERB_LEASE:
    return pmp_desk_reader_lease(&r->desk, q->answer.lease, a, &q->answer.reply.u.lease, msg);
  case PMP_VERB_CONTROL:
    return pmp_desk_reader_gold(&r->desk, &q->request.u.control, msg);
  case PMP_VERB_REVIEW:
    return pmp_desk_reader_review(&r->desk, &q->request.u.review, a, &q->answer.reply.u.review,
                                  msg);
  default:
    return read_events(r, &q->request.u.events, a, &q->answer.reply.u.events, msg);
  }
}

static void free_question(struct question *q) {
  pmp_lease_work_free(q->answer.lease);
  pmp_score_work_free(q->answer.score);
  free(q);
}

static void answer(struct pmp_readers *r, struct question *q) {
  struct pmp_errmsg msg = {{0}};
  if (q->answer.score) {
    pmp_desk_reader_rows(&r->desk, q->answer.score);
    return;
  }
  struct pmp_arena *a = &q->answer.call->out;
  q->answer.reply.verb = q->request.verb;
  enum pmp_err err = pmp_call_arena(a, ARENA_BYTES);
  if (err == PMP_OK) err = read_one(r, q, a, &msg);
  if (err == PMP_OK) return;
  memset(&q->answer.reply, 0, sizeof q->answer.reply);
  q->answer.reply.code = err <= PMP_EINTERNAL ? err : PMP_EINTERNAL;
  q->answer.reply.message = keep(a, msg.text[0] ? msg.text : pmp_err_name(err));
  if (!q->answer.reply.message) q->answer.reply.message = "out of memory";
  pmp_log_write(r->config.log, PMP_LOG_WARN, "PMP-READER", "error=%s reason=\"%s\"",
                pmp_err_name(err), msg.text);
}

static void *reader_main(void *arg) {
  struct pmp_readers *r = arg;
  void *item = NULL;
  while (pmp_ring_pop(&r->in, &item, -1) == PMP_OK) {
    answer(r, item);
    if (pmp_ring_push(&r->out, item) != PMP_OK)
      free_question(item); /* as large as `in` and one more: only when closing */
    r->config.wake(r->config.wake_ctx);
  }
  return NULL;
}

enum pmp_err pmp_readers_start(struct pmp_readers **out, const struct pmp_reader_config *config,
                               struct pmp_errmsg *msg) {
  struct pmp_readers *r = calloc(1, sizeof *r);
  if (!r) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  r->config = *config;
  enum pmp_err err = pmp_ring_init(&r->in, config->capacity);
  if (err == PMP_OK) err = pmp_ring_init(&r->out, 2 * config->capacity + 2);
  if (err == PMP_OK) err = pmp_reader_open(&r->db, config->store_path, NULL, msg);
  r->desk = (struct pmp_desk_reader){.db = r->db,
                                     .spec = config->spec,
                                     .message_bytes = config->message_bytes,
                                     .log = config->log};
  if (err == PMP_OK && pthread_create(&r->thread, NULL, reader_main, r) != 0) {
    err = pmp_fail(msg, PMP_ENOMEM, "cannot start the reader's thread");
  }
  if (err != PMP_OK) {
    pmp_readers_close(r);
    return err;
  }
  r->started = true;
  *out = r;
  return PMP_OK;
}

enum pmp_err pmp_readers_post(struct pmp_readers *r, struct pmp_call *call,
                              const struct pmp_request *request, struct pmp_lease_work *work) {
  struct question *q = calloc(1, sizeof *q);
  if (!q) return PMP_ENOMEM;
  q->answer.call = call;
  q->request = *request;
  q->answer.lease = work;
  const enum pmp_err err = pmp_ring_push(&r->in, q);
  if (err != PMP_OK) free(q);
  return err;
}

enum pmp_err pmp_readers_post_score(struct pmp_readers *r, struct pmp_score_work *score) {
  struct question *q = calloc(1, sizeof *q);
  if (!q) return PMP_ENOMEM;
  q->answer.score = score;
  const enum pmp_err err = pmp_ring_push(&r->in, q);
  if (err != PMP_OK) free(q);
  return err;
}

bool pmp_readers_next(struct pmp_readers *r, struct pmp_reader_answer *answer) {
  void *item = NULL;
  if (!pmp_ring_try_pop(&r->out, &item)) return false;
  struct question *q = item;
  *answer = q->answer;
  free(q);
  return true;
}

void pmp_readers_close(struct pmp_readers *r) {
  if (!r) return;
  pmp_ring_close(&r->in);
  if (r->started) pthread_join(r->thread, NULL);
  void *item = NULL;
  while (pmp_ring_try_pop(&r->in, &item)) free_question(item);
  while (pmp_ring_try_pop(&r->out, &item)) free_question(item);
  pmp_ring_fini(&r->in);
  pmp_ring_fini(&r->out);
  pmp_desk_reader_fini(&r->desk);
  pmp_reader_close(r->db);
  free(r);
}
