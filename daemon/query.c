/* status, history, events, report. A status is put together from what the loop owns and from copies
 * that the other threads keep ready: it waits for nobody. */
#include "daemon/reader_desk.h"
#include "daemon/server.h"
#include "daemon/warn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define NUMBERS_MAX 256
#define TEXTS_MAX 16
#define ACTOR_NUMBERS 12
#define ACTIVE_NS INT64_C(60000000000)

struct list {
  struct pmp_number *number;
  uint32_t numbers;
  struct pmp_text *text;
  uint32_t texts;
};

static void num(struct list *l, const char *name, double value) {
  if (l->numbers < NUMBERS_MAX && isfinite(value))
    l->number[l->numbers++] = (struct pmp_number){name, value};
}

static void text(struct list *l, const char *name, const char *value) {
  if (l->texts < TEXTS_MAX) l->text[l->texts++] = (struct pmp_text){name, value};
}

static const char *state_name(const struct pmp_server *s, const struct pmp_learn_status *ls,
                              const struct pmp_store_stats *st) {
  static const char *const name[] = {"loading", "running",  "waiting",
                                     "paused",  "finished", "failed"};
  if (s->stopping) return "stopping";
  if (st->health == PMP_STORE_FULL) return "disk_full";
  if (st->health == PMP_STORE_REOPENING) return "store_reopening";
  return name[ls->state];
}

static int64_t loop_cpu_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Shares of the outcomes that the last steps saw. */
static void label_numbers(struct list *l, const struct pmp_learn_status *ls) {
  static const char *const from[] = {"learner.accepted", "learner.rejected", "learner.unlabelled"};
  static const char *const to[] = {"labels.accepted_share", "labels.rejected_share",
                                   "labels.unlabelled_share"};
  double v[3] = {NAN, NAN, NAN};
  for (uint32_t i = 0; i < ls->lasts; i++)
    for (int k = 0; k < 3; k++)
      if (strcmp(ls->last[i].name, from[k]) == 0) v[k] = ls->last[i].value;
  const double all = v[0] + v[1] + v[2];
  for (int k = 0; k < 3 && all > 0; k++) num(l, to[k], v[k] / all);
}

/* What the learner's time goes into: of the last seconds, and in all. */
static void time_numbers(struct list *l, const struct pmp_learn_status *ls) {
  const struct pmp_trainer_times *t = &ls->times;
  num(l, "learner.steps_per_s", ls->pace.steps_per_s);
  num(l, "learner.rows_per_s", ls->pace.rows_per_s);
  num(l, "env.steps_per_s", ls->pace.env_per_s);
  num(l, "learner.wait_share", ls->pace.wait_share);
  num(l, "learner.product_share", ls->pace.product_share);
  num(l, "learner.rest_share", ls->pace.rest_share);
  num(l, "learner.run_s", (double)ls->run_ns / 1e9);
  num(l, "learner.wait_s", (double)ls->wait_ns / 1e9);
  num(l, "learner.sample_s", (double)t->sample / 1e9);
  num(l, "learner.reference_s", (double)t->reference / 1e9);
  num(l, "learner.target_s", (double)t->target / 1e9);
  num(l, "learner.critic_s", (double)t->critic / 1e9);
  num(l, "learner.label_s", (double)t->label / 1e9);
  num(l, "learner.policy_s", (double)t->policy / 1e9);
  num(l, "learner.optimiser_s", (double)t->optimiser / 1e9);
}

static void run_numbers(struct list *l, const struct pmp_config *config,
                        const struct pmp_learn_status *ls) {
  const double end = (double)config->run.max_steps;
  if (end == 0) return;
  num(l, "run.max_steps", end);
  num(l, "run.progress", fmin((double)ls->steps / end, 1));
  if (ls->pace.left_s > 0) num(l, "run.left_s", ls->pace.left_s);
}

static void tally_numbers(struct list *l, const struct pmp_tally *t, int64_t now) {
  uint32_t of = 0;
  const double mean = pmp_tally_mean(t, &of);
  if (t->episodes > 0) {
    num(l, "return.last", pmp_tally_last(t));
    num(l, "return.mean", mean);
    num(l, "return.mean_of", of);
    num(l, "return.best", t->best);
    num(l, "return.episodes", (double)t->episodes);
    num(l, "return.diverged", (double)t->diverged);
  }
  if (t->evaluations > 0) {
    num(l, "eval.return", t->eval);
    num(l, "eval.stderr", t->eval_stderr);
    num(l, "eval.min", t->eval_min);
    num(l, "eval.max", t->eval_max);
    num(l, "eval.episodes", t->eval_episodes);
    num(l, "eval.best", t->eval_best);
    num(l, "eval.count", (double)t->evaluations);
    num(l, "eval.env_steps", (double)t->eval_env_steps);
    num(l, "eval.learner_steps", (double)t->eval_step);
    num(l, "eval.version", (double)t->eval_version);
    num(l, "eval.age_s", (double)(now - t->eval_ns) / 1e9);
  }
}

/* A metric that the status also knows of this very moment. */
static bool is_fresher(const char *name) {
  static const char *const fresher[] = {"learner.version", "learner.steps_per_s",
                                        "learner.wait_share", "learner.product_share"};
  for (size_t i = 0; i < sizeof fresher / sizeof fresher[0]; i++)
    if (strcmp(name, fresher[i]) == 0) return true;
  return false;
}

static void learner_numbers(struct list *l, const struct pmp_learn_status *ls,
                            const struct pmp_limiter_state *lim) {
  num(l, "learner.steps", (double)ls->steps);
  num(l, "learner.version", (double)ls->version);
  num(l, "learner.commit", (double)ls->commit);
  num(l, "learner.checkpoint_step", (double)ls->checkpoint_step);
  num(l, "learner.checkpoints", (double)ls->checkpoints);
  num(l, "learner.checkpoint_failures", (double)ls->checkpoint_failures);
  num(l, "learner.accepted_total", ls->accepted);
  num(l, "learner.rejected_total", ls->rejected);
  num(l, "learner.unlabelled_total", ls->unlabelled);
  num(l, "learner.guard_skipped_rejected", (double)ls->skipped_rejected);
  num(l, "learner.guard_skipped_steps", (double)ls->skipped_steps);
  num(l, "learner.cpu_s", (double)ls->cpu_ns / 1e9);
  num(l, "learner.gemm_s", (double)ls->gemm_ns / 1e9);
  num(l, "learner.gemm_gflop", (double)ls->gemm_flops / 1e9);
  num(l, "learner.entry_s", ls->entry_s);
  num(l, "learner.lr", ls->live.lr);
  num(l, "learner.alpha", ls->live.alpha);
  num(l, "learner.beta_0", ls->live.beta[0]);
  num(l, "learner.beta_1", ls->live.beta[1]);
  num(l, "learner.refresh_period", (double)ls->live.refresh_period);
  num(l, "env.steps", (double)ls->env_steps);
  num(l, "replay.trainable", (double)ls->replay.trainable);
  num(l, "replay.pending", (double)ls->replay.pending);
  num(l, "replay.evicted", (double)ls->replay.evicted);
  num(l, "replay.broken", (double)ls->replay.broken);
  num(l, "replay.stale", (double)ls->replay.stale_dropped);
  num(l, "replay.accepted", (double)ls->replay.accepted);
  num(l, "replay.rejected", (double)ls->replay.rejected);
  num(l, "limiter.debt", lim->d);
  num(l, "limiter.reserved", lim->reserved);
  num(l, "limiter.samples_per_insert", lim->spi);
  num(l, "limiter.achieved", lim->achieved);
  for (uint32_t i = 0; i < ls->lasts; i++) {
    if (!is_fresher(ls->last[i].name)) num(l, ls->last[i].name, ls->last[i].value);
  }
  label_numbers(l, ls);
  time_numbers(l, ls);
}

static void store_numbers(struct list *l, const struct pmp_store_stats *st, int64_t cpu_ns) {
  num(l, "store.rows", (double)st->rows);
  num(l, "store.chunks", (double)st->chunks);
  num(l, "store.bytes", (double)st->bytes);
  num(l, "store.rows_total", (double)st->rows_total);
  num(l, "store.labelled_rows", (double)st->labelled_rows);
  num(l, "store.open_items", (double)st->open_items_rows);
  num(l, "store.commits", (double)st->commits);
  num(l, "store.operations", (double)st->ops);
  num(l, "store.refused", (double)st->refused);
  num(l, "store.sync_errors", (double)st->sync_errors);
  num(l, "store.last_commit", (double)st->last_commit);
  num(l, "store.deleted_rows", (double)st->deleted_rows);
  num(l, "store.queue", (double)st->queue);
  num(l, "store.queue_peak", (double)st->queue_peak);
  num(l, "store.cpu_s", (double)cpu_ns / 1e9);
}

static void desk_numbers(struct list *l, struct pmp_server *s) {
  const struct pmp_counters *c = &s->count;
  num(l, "desk.surplus", (double)c->verdict_surplus);
  num(l, "desk.refused_judge", (double)c->desk_refused_judge);
  if (!s->people.items) return;
  struct pmp_items_stats it;
  pmp_items_stats(s->people.items, &it);
  const int64_t since = pmp_clock_mono(&s->clock) - ACTIVE_NS;
  num(l, "desk.open", (double)it.open);
  num(l, "desk.offered", (double)it.offered);
  num(l, "desk.leased", (double)it.leased);
  num(l, "desk.lease_requests", (double)c->lease_requests);
  num(l, "desk.leases", (double)it.leases_total);
  num(l, "desk.expired", (double)it.expired);
  num(l, "desk.released", (double)it.released);
  num(l, "desk.dropped", (double)it.dropped);
  num(l, "desk.gold", (double)it.gold);
  num(l, "desk.gold_leases", (double)it.gold_leases);
  num(l, "desk.rescored", (double)s->people.rescoring.scored);
  num(l, "desk.labelers", s->people.labelers.count);
  num(l, "desk.labelers_active",
      since > 0 ? pmp_labelers_since(&s->people.labelers, since) : s->people.labelers.count);
  num(l, "desk.labels_wanted", (double)s->config.desk.labels_wanted);
  num(l, "desk.refused_quota", (double)c->desk_refused_quota);
  num(l, "desk.refused_busy", (double)c->desk_refused_busy);
}

static void transport_numbers(struct list *l, struct pmp_server *s) {
  struct pmp_transport_stats desk, data;
  pmp_transport_stats(&s->desk, &desk);
  pmp_transport_stats(&s->data, &data);
  const struct pmp_counters *c = &s->count;
  num(l, "rpc.requests", (double)c->requests);
  num(l, "rpc.connections", (double)(desk.connections + data.connections));
  num(l, "rpc.connections_refused", (double)(desk.connections_refused + data.connections_refused));
  num(l, "rpc.connections_silent", (double)(desk.connections_silent + data.connections_silent));
  num(l, "rpc.replies_lost", (double)(desk.replies_lost + data.replies_lost));
  num(l, "rpc.sessions", (double)s->sessions.used);
  num(l, "rpc.throttled", (double)s->sessions.throttled);
  num(l, "rpc.hellos_failed", (double)c->hellos_failed);
  num(l, "rpc.hellos_throttled", (double)c->hellos_throttled);
  num(l, "rpc.refused_invalid", (double)c->refused_invalid);
  num(l, "rpc.refused_too_large", (double)c->refused_too_large);
  num(l, "rpc.refused_unauthenticated", (double)c->refused_unauthenticated);
  num(l, "rpc.refused_forbidden", (double)c->refused_forbidden);
  num(l, "rpc.refused_not_found", (double)c->refused_not_found);
  num(l, "rpc.refused_conflict", (double)c->refused_conflict);
  num(l, "rpc.refused_busy", (double)c->refused_busy);
  num(l, "rpc.refused_unavailable", (double)c->refused_unavailable);
  num(l, "rpc.refused_internal", (double)c->refused_internal);
  num(l, "rpc.metrics_lost", (double)c->metrics_lost);
  num(l, "ingest.appends", (double)c->appends);
  num(l, "ingest.rows", (double)c->append_rows);
  num(l, "ingest.bytes", (double)c->append_bytes);
  num(l, "ingest.duplicates", (double)c->duplicates);
  num(l, "ingest.held", (double)s->held_count);
  num(l, "ingest.holds", (double)c->holds);
  num(l, "ingest.hold_busy", (double)c->hold_busy);
  num(l, "ingest.open_items_busy", (double)c->open_items_busy);
  num(l, "ingest.no_job_busy", (double)c->no_job_busy);
  num(l, "desk.verdicts", (double)c->verdicts);
  num(l, "desk.verdict_duplicates", (double)c->verdict_duplicates);
  desk_numbers(l, s);
  num(l, "desk.reports", (double)c->reports);
  num(l, "desk.report_duplicates", (double)c->report_duplicates);
  num(l, "weights.version", (double)pmp_publisher_version(&s->publisher));
  num(l, "weights.published", (double)s->publisher.published);
  num(l, "weights.kept", (double)s->publisher.count);
  num(l, "weights.waiting", (double)s->publisher.waiters);
}

static void process_numbers(struct list *l, struct pmp_server *s) {
  struct rusage ru;
  getrusage(RUSAGE_SELF, &ru);
  num(l, "process.uptime_s", (double)(pmp_clock_mono(&s->clock) - s->started_ns) / 1e9);
  num(l, "process.cpu_s",
      (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
          (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
  num(l, "process.loop_cpu_s", (double)loop_cpu_ns() / 1e9);
  num(l, "process.rss_peak_bytes", (double)ru.ru_maxrss * 1024);
  struct pmp_trainer_config t;
  pmp_config_trainer(&s->config, &t);
  num(l, "replay.bytes", (double)pmp_replay_bytes(&t.replay));
}

static uint32_t actor_numbers(const struct pmp_tally *t, int64_t now,
                              struct pmp_number out[ACTOR_NUMBERS]) {
  uint32_t n = 0, of = 0;
  const double mean = pmp_tally_mean(t, &of);
  if (t->episodes > 0) {
    out[n++] = (struct pmp_number){"episodes", (double)t->episodes};
    out[n++] = (struct pmp_number){"return_last", pmp_tally_last(t)};
    out[n++] = (struct pmp_number){"return_mean", mean};
    out[n++] = (struct pmp_number){"return_mean_of", of};
    out[n++] = (struct pmp_number){"return_best", t->best};
    out[n++] = (struct pmp_number){"diverged", (double)t->diverged};
  }
  if (t->evaluations > 0) {
    out[n++] = (struct pmp_number){"evaluations", (double)t->evaluations};
    out[n++] = (struct pmp_number){"eval_last", t->eval};
    out[n++] = (struct pmp_number){"eval_best", t->eval_best};
    out[n++] = (struct pmp_number){"eval_env_steps", (double)t->eval_env_steps};
    out[n++] = (struct pmp_number){"eval_age_s", (double)(now - t->eval_ns) / 1e9};
  }
  return n;
}

static uint32_t actor_rows(struct pmp_server *s, struct pmp_arena *a,
                           struct pmp_actor_status **out) {
  uint32_t n = 0;
  struct pmp_actor_status *list = pmp_arena_zeroed(a, s->sessions.used, sizeof *list);
  const int64_t now = pmp_clock_mono(&s->clock);
  for (uint32_t i = 0; list && i < s->sessions.capacity && n < s->sessions.used; i++) {
    const struct pmp_session *p = &s->sessions.slot[i];
    if (!p->used || p->role != PMP_ROLE_ACTOR || p->fenced) continue;
    struct pmp_number *value = pmp_arena_zeroed(a, p->reported_count, sizeof *value);
    for (uint32_t k = 0; value && k < p->reported_count; k++) {
      value[k] = (struct pmp_number){p->reported[k].name, p->reported[k].value};
    }
    struct pmp_number *number = pmp_arena_zeroed(a, ACTOR_NUMBERS, sizeof *number);
    list[n++] =
        (struct pmp_actor_status){.name = p->name,
                                  .epoch = p->epoch,
                                  .last_seq = p->last_seq,
                                  .rows = p->rows,
                                  .ref_version = p->ref_version,
                                  .env_steps = p->env_steps,
                                  .idle_ms = (now - p->last_ns) / 1000000,
                                  .value = value,
                                  .values = value ? p->reported_count : 0,
                                  .number = number,
                                  .numbers = number ? actor_numbers(&p->tally, now, number) : 0};
  }
  *out = list;
  return n;
}

static uint32_t warn(struct pmp_server *s, struct list *l, const struct pmp_learn_status *ls,
                     const struct pmp_store_stats *st, char out[PMP_WARN_BYTES]) {
  struct pmp_warn_facts f = {.learn = ls,
                             .store = st,
                             .tally = &s->tally,
                             .objective = pmp_objective_find(s->config.objective.name),
                             .people = s->config.label.judge == PMP_JUDGE_PEOPLE,
                             .refused_invalid = s->count.refused_invalid,
                             .metrics_lost = s->count.metrics_lost};
  pmp_sessions_actors(&s->sessions, pmp_clock_mono(&s->clock), ACTIVE_NS, &f.actors, &f.active);
  num(l, "actors.sessions", f.actors);
  num(l, "actors.active", f.active);
  return pmp_warnings(&f, out);
}

void pmp_serve_status(struct pmp_server *s, struct pmp_call *call, const struct pmp_status *q) {
  struct pmp_arena *a = &call->out;
  struct list l = {0};
  if (pmp_call_arena(a, 65536 + (size_t)s->sessions.used * 1536) != PMP_OK ||
      !(l.number = pmp_arena_array(a, NUMBERS_MAX, sizeof *l.number)) ||
      !(l.text = pmp_arena_array(a, TEXTS_MAX, sizeof *l.text))) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "out of memory");
    return;
  }
  struct pmp_learn_status *ls = pmp_arena_alloc(a, sizeof *ls);
  struct pmp_store_stats *st = pmp_arena_alloc(a, sizeof *st);
  char *warnings = pmp_arena_alloc(a, PMP_WARN_BYTES);
  if (!ls || !st || !warnings) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "out of memory");
    return;
  }
  struct pmp_limiter_state lim;
  pmp_learn_status(s->learn, ls);
  pmp_store_stats(s->store, st);
  pmp_limiter_get(&s->limiter, &lim);
  text(&l, "run_id", s->run_id);
  text(&l, "run_name", s->config.run.name);
  text(&l, "task", s->spec.task);
  text(&l, "state", state_name(s, ls, st));
  text(&l, "reason", st->health != PMP_STORE_HEALTHY ? st->reason : ls->reason);
  text(&l, "desk_url", s->desk.url);
  text(&l, "data_url", s->data.url);
  text(&l, "dir", s->dir);
  num(&l, "run.warnings", warn(s, &l, ls, st, warnings));
  text(&l, "warnings", warnings);
  run_numbers(&l, &s->config, ls);
  tally_numbers(&l, &s->tally, pmp_clock_mono(&s->clock));
  learner_numbers(&l, ls, &lim);
  store_numbers(&l, st, pmp_store_cpu_ns(s->store));
  transport_numbers(&l, s);
  process_numbers(&l, s);
  struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_STATUS};
  struct pmp_actor_status *actors = NULL;
  if (q->actors) reply.u.status.actors = actor_rows(s, a, &actors);
  reply.u.status.actor = actors;
  reply.u.status.number = l.number;
  reply.u.status.numbers = l.numbers;
  reply.u.status.text = l.text;
  reply.u.status.texts = l.texts;
  pmp_answer(s, call, &reply);
}

static void ask_reader(struct pmp_server *s, struct pmp_call *call) {
  const enum pmp_err err = pmp_readers_post(s->reader, call, pmp_call_request(call), NULL);
  if (err != PMP_OK) pmp_refuse(s, call, PMP_EBUSY, 100, "too many questions wait for the disk");
}

void pmp_serve_history(struct pmp_server *s, struct pmp_call *call, const struct pmp_history *q) {
  (void)q;
  ask_reader(s, call);
}

void pmp_serve_events(struct pmp_server *s, struct pmp_call *call, const struct pmp_events *q) {
  (void)q;
  ask_reader(s, call);
}

/* Open items are the loop's own; the rest is read. */
void pmp_serve_review(struct pmp_server *s, struct pmp_call *call, const struct pmp_review *q) {
  if (q->subject != PMP_SUBJECT_ITEMS) {
    ask_reader(s, call);
    return;
  }
  const uint32_t max = q->count && q->count < PMP_REVIEW_MAX ? q->count : PMP_REVIEW_MAX;
  const uint32_t all = 4 * PMP_REVIEW_MAX;
  struct pmp_arena *a = &call->out;
  struct pmp_items_view *view = NULL;
  struct pmp_item_record *record = NULL;
  if (pmp_call_arena(a, 65536 + all * (sizeof *view + sizeof *record)) == PMP_OK) {
    view = pmp_arena_array(a, all, sizeof *view);
    record = pmp_arena_array(a, all, sizeof *record);
  }
  if (!view || !record) {
    pmp_refuse(s, call, PMP_EUNAVAILABLE, 1000, "out of memory");
    return;
  }
  uint32_t n = 0;
  if (s->people.items) n = pmp_items_walk(s->people.items, q->after, UINT32_MAX, all, view);
  /* Whole chunks, so that the next request goes on behind the last. */
  for (uint32_t i = max; i < n; i++)
    if (view[i].ref.chunk != view[i - 1].ref.chunk) n = i;
  for (uint32_t i = 0; i < n; i++)
    record[i] =
        (struct pmp_item_record){view[i].ref, view[i].labels, view[i].leases, view[i].score};
  struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_REVIEW};
  reply.u.review.item = record;
  reply.u.review.items = n;
  pmp_answer(s, call, &reply);
}

static void answered(struct pmp_server *s, struct pmp_reader_answer *a) {
  if (a->score)
    pmp_desk_rows_found(s, a->score);
  else if (a->lease)
    pmp_desk_leased(s, a->call, &a->reply, a->lease);
  else if (a->reply.verb == PMP_VERB_CONTROL)
    pmp_desk_gold_checked(s, a->call, &a->reply);
  else
    pmp_answer(s, a->call, &a->reply);
}

void pmp_query_answered(struct pmp_server *s) {
  struct pmp_reader_answer a;
  while (pmp_readers_next(s->reader, &a)) answered(s, &a);
  while (pmp_readers_next(s->lease_reader, &a)) answered(s, &a);
}

static void remember(struct pmp_session *session, const struct pmp_number *v) {
  uint32_t i = 0;
  while (i < session->reported_count && strcmp(session->reported[i].name, v->name) != 0) i++;
  if (i == PMP_REPORTED_MAX) return;
  if (i == session->reported_count) session->reported_count++;
  snprintf(session->reported[i].name, sizeof session->reported[i].name, "%s", v->name);
  session->reported[i].value = v->value;
}

void pmp_serve_report(struct pmp_server *s, struct pmp_call *call, struct pmp_session *session,
                      const struct pmp_report *r) {
  struct pmp_reply reply = {.code = PMP_OK, .verb = PMP_VERB_REPORT};
  const uint64_t id = pmp_call_request(call)->request_id;
  for (uint32_t i = 0; i < PMP_REPORT_IDS; i++) {
    if (id == 0 || session->report_id[i] != id) continue;
    s->count.report_duplicates++; /* the reply was lost, the report was not */
    pmp_answer(s, call, &reply);
    return;
  }
  if (r->count > PMP_REPORTED_MAX) {
    pmp_refuse(s, call, PMP_ETOOLARGE, 0, "a report has at most %d numbers", PMP_REPORTED_MAX);
    return;
  }
  struct pmp_learn_status ls;
  pmp_learn_status(s->learn, &ls);
  struct pmp_store_point point[PMP_REPORTED_MAX];
  for (uint32_t i = 0; i < r->count; i++) {
    const char *name = r->value[i].name;
    if (name[0] == '\0' || strlen(name) > 40 || !isfinite(r->value[i].value)) {
      pmp_refuse(s, call, PMP_EINVALID, 0,
                 "report: a name has 1 to 40 bytes and its value is finite");
      return;
    }
    snprintf(point[i].name, sizeof point[i].name, "actor.%s", name);
    point[i].step = ls.steps;
    point[i].env_steps = ls.env_steps;
    point[i].wall_ns = pmp_clock_wall(&s->clock);
    point[i].value = r->value[i].value;
    remember(session, &r->value[i]);
  }
  session->ref_version = r->ref_version;
  session->env_steps = r->env_steps;
  session->report_id[session->report_next++ % PMP_REPORT_IDS] = id;
  const int64_t now = pmp_clock_mono(&s->clock);
  pmp_tally_report(&session->tally, r, ls.steps, now);
  pmp_tally_report(&s->tally, r, ls.steps, now);
  s->count.reports++;
  pmp_server_metrics(s, point, r->count);
  pmp_answer(s, call, &reply);
}
