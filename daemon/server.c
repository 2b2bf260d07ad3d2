/* The loop: opens the parts in order, wakes for what other threads finished, keeps time, stops in
 * order. */
#include "daemon/server.h"

#include "daemon/listen.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define TICK_MS 100
#define DELETED_MAX                                                                                \
  65536 /* chunks that retention deletes within a second, at most, as far as told */
#define HOLD_MS 2
#define STOP_NS 30000000000
#define FULL_CHECKPOINT_NS 2000000000

static void on_wake_cb(void *ctx) {
  uv_async_send(&((struct pmp_server *)ctx)->wake);
}

/* ---- the store's operations
 * ------------------------------------------------------------------------------------ */

static void store_done(struct pmp_store_op *op) { /* the store's thread */
  struct pmp_pending *p = op->ctx;
  struct pmp_server *s = p->server;
  if (pmp_ring_push(&s->store_done, p) != PMP_OK)
    abort(); /* there is a slot for every operation in flight */
  uv_async_send(&s->wake);
}

struct pmp_pending *pmp_pending_new(struct pmp_server *s, enum pmp_store_kind kind) {
  struct pmp_pending *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->op.kind = kind;
  p->op.done = store_done;
  p->op.ctx = p;
  p->server = s;
  return p;
}

enum pmp_err pmp_server_submit(struct pmp_server *s, struct pmp_pending *p) {
  if (s->store_inflight >= s->store_inflight_max) return PMP_EBUSY;
  PMP_TRY(pmp_store_submit(s->store, &p->op));
  s->store_inflight++;
  return PMP_OK;
}

static void drain_store(struct pmp_server *s) {
  void *item = NULL;
  while (pmp_ring_try_pop(&s->store_done, &item)) {
    struct pmp_pending *p = item;
    s->store_inflight--;
    p->finish(s, p);
  }
}

struct texts { /* an event's words, kept until it is on disk */
  char who[PMP_STORE_NAME_MAX], kind[PMP_STORE_NAME_MAX];
  char detail[];
};

static void forget(struct pmp_server *s, struct pmp_pending *p) {
  if (p->op.err != PMP_OK) {
    pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-STORE-LOST", "kind=%d error=%s reason=\"%s\"",
                  (int)p->op.kind, pmp_err_name(p->op.err), p->op.msg.text);
  }
  free(p->extra);
  free(p);
}

void pmp_server_event(struct pmp_server *s, const char *who, const char *kind, const char *detail) {
  pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-EVENT", "who=%s kind=%s detail=%s", who, kind, detail);
  const size_t n = strlen(detail) + 1;
  struct pmp_pending *p = pmp_pending_new(s, PMP_OP_EVENT);
  struct texts *t = malloc(sizeof *t + n);
  if (p && t) {
    snprintf(t->who, sizeof t->who, "%.64s", who);
    snprintf(t->kind, sizeof t->kind, "%.64s", kind);
    memcpy(t->detail, detail, n);
    p->op.u.event.who = t->who;
    p->op.u.event.kind = t->kind;
    p->op.u.event.detail = t->detail;
    p->extra = t;
    p->finish = forget;
    if (pmp_server_submit(s, p) == PMP_OK) return;
  }
  free(t);
  free(p);
  pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-EVENT-LOST", "kind=%s", kind);
}

void pmp_server_metrics(struct pmp_server *s, const struct pmp_store_point *point, uint32_t count) {
  if (count == 0) return;
  struct pmp_pending *p = pmp_pending_new(s, PMP_OP_METRICS);
  struct pmp_store_point *copy = malloc(count * sizeof *copy);
  if (p && copy) {
    memcpy(copy, point, count * sizeof *copy);
    p->op.u.metrics.point = copy;
    p->op.u.metrics.count = count;
    p->extra = copy;
    p->finish = forget;
    if (pmp_server_submit(s, p) == PMP_OK) return;
  }
  free(copy);
  free(p);
  s->count.metrics_lost++;
  pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-METRICS-LOST", "points=%u", count);
}

/* ---- the learner's messages
 * ------------------------------------------------------------------------------------ */

static void learner_done(struct pmp_server *s, struct pmp_learn_out *o) {
  struct pmp_learn_in *in = o->in;
  o->in = NULL;
  switch (in->kind) {
  case PMP_LEARN_CHUNK:
    s->learner_commit = in->commit;
    pmp_ingest_learned(s, in, o->version);
    break;
  case PMP_LEARN_VERDICT:
  case PMP_LEARN_SETTING:
    s->learner_commit = in->commit;
    s->learn_inflight--;
    break;
  case PMP_LEARN_POLICY:
    pmp_weights_policy(s, in, o);
    break;
  case PMP_LEARN_SCORE:
    pmp_desk_rescored(s, in->score);
    in->score = NULL;
    break;
  case PMP_LEARN_STOP:
    s->learner_stopped = true;
    if (o->err != PMP_OK)
      pmp_server_fatal(s, o->msg.text); /* whoever asked counts on a checkpoint */
    break;
  default:
    pmp_control_learned(s, in, o);
    break;
  }
  pmp_learn_in_free(in);
}

static void checkpointed(struct pmp_server *s, struct pmp_learn_out *o) {
  struct pmp_pending *p = pmp_pending_new(s, PMP_OP_CHECKPOINT);
  if (!p) return;
  p->op.u.checkpoint.row = o->row;
  p->op.u.checkpoint.count = o->rows;
  p->op.u.checkpoint.window_commit = o->window_commit;
  p->extra = o->row;
  o->row = NULL;
  p->finish = forget;
  if (pmp_server_submit(s, p) == PMP_OK) return;
  forget(s, p); /* the folder is the truth: the next one brings the table up to date */
}

static void drain_learner(struct pmp_server *s) {
  struct pmp_learn_out *o = NULL;
  while (pmp_learn_next(s->learn, &o)) {
    switch (o->kind) {
    case PMP_OUT_READY:
      s->learner_ready = true;
      if (o->commit > s->learner_commit) s->learner_commit = o->commit;
      pmp_control_adopt(s);
      pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-LEARN-READY", "version=%" PRIu64 " commit=%" PRIu64,
                    o->version, o->commit);
      break;
    case PMP_OUT_DONE:
      learner_done(s, o);
      break;
    case PMP_OUT_SNAPSHOT:
      pmp_weights_snapshot(s, o->snapshot);
      o->snapshot = NULL;
      break;
    case PMP_OUT_METRICS:
      pmp_server_metrics(s, o->point, o->points);
      break;
    case PMP_OUT_CHECKPOINT:
      checkpointed(s, o);
      break;
    case PMP_OUT_EVENT:
      pmp_server_event(s, "learner", o->event, o->detail);
      break;
    case PMP_OUT_FAILED:
      pmp_server_fatal(s, o->msg.text);
      break;
    }
    pmp_learn_out_free(o);
  }
}

/* ---- the loop
 * ------------------------------------------------------------------------------------------------
 */

static void drain_calls(struct pmp_server *s, struct pmp_transport *t) {
  struct pmp_call *call = NULL;
  while (pmp_transport_next(t, &call)) pmp_dispatch(s, call);
}

static void stop_further(struct pmp_server *s);

static void on_wake(uv_async_t *handle) {
  struct pmp_server *s = handle->data;
  drain_learner(s);
  drain_store(s);
  drain_calls(s, &s->desk);
  drain_calls(s, &s->data);
  pmp_query_answered(s);
  if (s->stopping) stop_further(s);
}

static void on_hold(uv_timer_t *timer) {
  struct pmp_server *s = timer->data;
  pmp_ingest_retry_held(s);
  if (s->held_count > 0) return;
  uv_timer_stop(timer);
  s->hold_running = false;
}

static void watch_store(struct pmp_server *s, int64_t now) {
  struct pmp_store_stats st;
  pmp_store_stats(s->store, &st);
  if (st.health == PMP_STORE_FAILED) {
    pmp_server_fatal(s, st.reason);
  } else if (st.health == PMP_STORE_FULL && now - s->full_checkpoint_ns > FULL_CHECKPOINT_NS) {
    /* Retention may be held by an old checkpoint: a new one lets it move on. */
    s->full_checkpoint_ns = now;
    pmp_control_command(s, PMP_LEARN_CHECKPOINT);
  }
}

static void on_tick(uv_timer_t *timer) {
  struct pmp_server *s = timer->data;
  const int64_t now = pmp_clock_mono(&s->clock);
  pmp_weights_due(s);
  pmp_desk_tick(s, now);
  if (s->publisher.pending) pmp_weights_reserve(s, s->publisher.pending->version);
  pmp_http_tick(s->http);
  if (now - s->swept_ns >= 1000000000) {
    pmp_login_sweep(s, (double)(now - s->swept_ns) / 1e9);
    pmp_sessions_sweep(&s->sessions, now, (double)(now - s->swept_ns) / 1e9);
    pmp_transport_sweep(&s->desk);
    pmp_transport_sweep(&s->data);
    pmp_publisher_sweep(&s->publisher, now);
    watch_store(s, now);
    pmp_desk_upkeep(s, now);
    sd_notify(0, "WATCHDOG=1");
    s->swept_ns = now;
  }
  if (s->stopping) stop_further(s);
}

void pmp_server_stop(struct pmp_server *s, const char *why) {
  if (s->stopping) return;
  s->stopping = true;
  s->stop_deadline_ns = pmp_clock_mono(&s->clock) + STOP_NS;
  pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-STOP", "reason=\"%s\"", why);
  sd_notify(0, "STOPPING=1");
  pmp_ingest_retry_held(s);
  uv_async_send(&s->wake);
}

void pmp_server_fatal(struct pmp_server *s, const char *why) {
  if (s->exit_code == 0) {
    s->exit_code = 1;
    snprintf(s->fatal, sizeof s->fatal, "%.511s", why);
    pmp_log_write(&s->log, PMP_LOG_ERROR, "PMP-FATAL", "reason=\"%s\"", why);
  }
  pmp_server_stop(s, "fatal");
}

/* What is committed goes to the learner, then a checkpoint, then its row in the store, then the
 * end. */
static void stop_further(struct pmp_server *s) {
  const bool late = pmp_clock_mono(&s->clock) > s->stop_deadline_ns;
  if (late && s->exit_code == 0) {
    s->exit_code = 1;
    snprintf(s->fatal, sizeof s->fatal, "the learner or the disk did not finish within %d s",
             (int)(STOP_NS / 1000000000));
  }
  if (!late) {
    if (!s->learner_stopped) {
      if (s->store_inflight == 0 && !s->learner_asked) {
        s->learner_asked = true;
        pmp_control_command(s, PMP_LEARN_STOP);
      }
      return;
    }
    if (s->store_inflight > 0) return;
  }
  uv_stop(&s->loop);
}

static void on_signal(uv_signal_t *handle, int signum) {
  struct pmp_server *s = handle->data;
  if (signum == SIGHUP) {
    pmp_control_reload(s);
  } else if (s->stopping && signum == SIGINT) {
    uv_stop(&s->loop); /* a second Ctrl-C does not wait */
  } else {
    pmp_server_stop(s, signum == SIGTERM ? "SIGTERM" : "SIGINT");
  }
}

/* ---- start and end
 * ------------------------------------------------------------------------------------------ */

static enum pmp_err open_loop(struct pmp_server *s, struct pmp_errmsg *msg) {
  if (uv_loop_init(&s->loop) != 0) return pmp_fail(msg, PMP_ENOMEM, "libuv: no loop");
  s->loop_ready = true;
  uv_async_init(&s->loop, &s->wake, on_wake);
  uv_timer_init(&s->loop, &s->tick);
  uv_timer_init(&s->loop, &s->hold);
  uv_signal_init(&s->loop, &s->sigterm);
  uv_signal_init(&s->loop, &s->sigint);
  uv_signal_init(&s->loop, &s->sighup);
  s->wake.data = s->tick.data = s->hold.data = s;
  s->sigterm.data = s->sigint.data = s->sighup.data = s;
  uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
  uv_timer_start(&s->hold, on_hold, HOLD_MS, HOLD_MS);
  uv_timer_stop(&s->hold);
  uv_signal_start(&s->sigterm, on_signal, SIGTERM);
  uv_signal_start(&s->sigint, on_signal, SIGINT);
  uv_signal_start(&s->sighup, on_signal, SIGHUP);
  return PMP_OK;
}

static enum pmp_err open_store(struct pmp_server *s, struct pmp_errmsg *msg) {
  char path[600];
  snprintf(path, sizeof path, "%s/store.db", s->dir);
  const struct pmp_store_config c = {
      .path = path,
      .queue_capacity = (size_t)s->config.store.queue,
      .group_bytes_max = (size_t)s->config.store.group_bytes,
      .group_ops_max = (uint32_t)s->config.store.group_ops,
      .compress_min_bytes = 512,
      .compress_level = (int)s->config.store.compress_level,
      .capacity_rows = s->config.store.capacity_rows,
      .capacity_bytes = s->config.store.capacity_bytes,
      .deleted_max = pmp_config_people(&s->config) ? DELETED_MAX : 0,
      .clock = s->clock,
      .log = &s->log,
  };
  PMP_TRY(pmp_store_open(&s->store, &c, msg));
  /* Every operation in flight has a slot on the ring of finished ones. */
  s->store_inflight_max = (size_t)(s->config.store.queue + s->config.store.group_ops);
  return pmp_ring_init(&s->store_done, s->store_inflight_max + 8);
}

/* The store belongs to one run: its id, and the spec and policy that its rows and checkpoints are
 * of. */
static enum pmp_err claim(struct pmp_server *s, struct pmp_errmsg *msg) {
  uint8_t raw[16];
  char id[33], have[4096], want[4096];
  randombytes_buf(raw, sizeof raw);
  sodium_bin2hex(id, sizeof id, raw, sizeof raw);
  snprintf(s->run_id, sizeof s->run_id, "%s", id);
  PMP_TRY(pmp_store_meta_default(s->store, "run_id", s->run_id, sizeof s->run_id, msg));
  struct pmp_trainer_config t;
  pmp_config_trainer(&s->config, &t);
  PMP_TRY(pmp_policy_spec_to_json(&t.policy, &s->policy_json));
  const size_t obs = pmp_spec_obs_size(&s->spec);
  snprintf(want, sizeof want, "shape=%d observation=%zu action=%d dim=%u bins=%u",
           (int)s->spec.shape, obs, (int)s->spec.action.kind, s->spec.action.dim,
           s->spec.action.bins);
  snprintf(have, sizeof have, "%s", want);
  PMP_TRY(pmp_store_meta_default(s->store, "spec", have, sizeof have, msg));
  if (strcmp(have, want) != 0) {
    return pmp_fail(
        msg, PMP_ECONFLICT,
        "the store in %s holds another kind of samples (%s) than the configuration says (%s)",
        s->dir, have, want);
  }
  return PMP_OK;
}

static enum pmp_err open_learner(struct pmp_server *s, struct pmp_errmsg *msg) {
  char store_path[600], checkpoints[600];
  snprintf(store_path, sizeof store_path, "%s/store.db", s->dir);
  snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", s->dir);
  struct pmp_store_stats st;
  pmp_store_stats(s->store, &st);
  s->publisher.reserved = st.reserved_version;
  s->publisher.at_once = s->config.run.lockstep;
  const struct pmp_learn_config c = {
      .config = &s->config,
      .spec = &s->spec,
      .store_path = store_path,
      .checkpoint_dir = checkpoints,
      .last_commit = st.last_commit,
      .reserved_version = st.reserved_version,
      .fs = pmp_fs_real(),
      .clock = s->clock,
      .log = &s->log,
      .limiter = &s->limiter,
      .in_capacity = (size_t)s->jobs + 2 * PMP_LEARN_INFLIGHT_MAX + 64,
      .out_capacity = 256,
      .wake = on_wake_cb,
      .wake_ctx = s,
  };
  PMP_TRY(pmp_learn_start(&s->learn, &c, msg));
  const struct pmp_reader_config r = {.store_path = store_path,
                                      .capacity = (size_t)s->config.limits.reader_queue,
                                      .points_max = 2000,
                                      .spec = &s->spec,
                                      .message_bytes = s->limits.message_bytes,
                                      .log = &s->log,
                                      .wake = on_wake_cb,
                                      .wake_ctx = s};
  PMP_TRY(pmp_readers_start(&s->reader, &r, msg));
  PMP_TRY(pmp_readers_start(&s->lease_reader, &r, msg));
  return pmp_desk_open(s, store_path, msg);
}

static enum pmp_err open_transport(struct pmp_server *s, struct pmp_errmsg *msg) {
  char desk[PMP_LISTEN_URL_MAX], data[PMP_LISTEN_URL_MAX];
  struct pmp_tls tls;
  PMP_TRY(pmp_listen_url(&s->config, s->config.listen.desk, desk, msg));
  PMP_TRY(pmp_listen_url(&s->config, s->config.listen.data, data, msg));
  PMP_TRY(pmp_tls_load(&tls, &s->config, msg));
  struct pmp_transport_config c = {.url = desk,
                                   .tls_cert = tls.cert,
                                   .tls_key = tls.key,
                                   .contexts = (uint32_t)s->config.listen.desk_contexts,
                                   .recv_max = s->limits.message_bytes + 4096,
                                   .connections = (uint32_t)s->config.limits.connections,
                                   .silent_ns =
                                       (int64_t)s->config.limits.hello_timeout_ms * 1000000,
                                   .clock = s->clock,
                                   .wake = on_wake_cb,
                                   .wake_ctx = s};
  enum pmp_err err = pmp_transport_open(&s->desk, &c, msg);
  c.url = data;
  c.contexts = (uint32_t)s->config.listen.data_contexts;
  if (err == PMP_OK) err = pmp_transport_open(&s->data, &c, msg);
  pmp_tls_fini(&tls);
  return err;
}

/* Who may come in, and from where: before anything else is touched. */
static enum pmp_err check_doors(struct pmp_server *s, struct pmp_errmsg *msg) {
  if (sodium_init() < 0) return pmp_fail(msg, PMP_EINTERNAL, "libsodium does not start");
  PMP_TRY(pmp_login_open(s, msg));
  PMP_TRY(pmp_listen_check(&s->config, s->tokens.count > 0, s->dir, &s->tokens_needed, msg));
  return PMP_OK;
}

static enum pmp_err write_endpoints(struct pmp_server *s, struct pmp_errmsg *msg) {
  char path[600], text[700], desk[PMP_LISTEN_URL_MAX], data[PMP_LISTEN_URL_MAX];
  snprintf(path, sizeof path, "%s/endpoints.json", s->dir);
  pmp_listen_local_url(s->desk.url, desk);
  pmp_listen_local_url(s->data.url, data);
  const int n = snprintf(text, sizeof text,
                         "{\"desk\": \"%s\", \"data\": \"%s\", \"http\": \"%s\", \"pid\": %ld}\n",
                         desk, data, pmp_http_address(s->http), (long)getpid());
  const void *part = text;
  const size_t size = (size_t)n;
  return pmp_fs_replace(pmp_fs_real(), path, &part, &size, 1, msg);
}

static void prepare(struct pmp_server *s) {
  s->clock = pmp_clock_real();
  s->log.clock = s->clock;
  s->log.level = (enum pmp_log_level)s->config.log.level;
  pmp_config_spec(&s->config, &s->spec);
  s->limits = pmp_wire_limits_default();
  s->limits.message_bytes = (size_t)s->config.limits.message_bytes;
  s->limits.tensor_rank = (uint32_t)s->config.limits.tensor_rank;
  s->limits.tensor_elements = s->config.limits.tensor_elements;
  s->limits.string_bytes = (uint32_t)s->config.limits.string_bytes;
  s->limits.repeated = (uint32_t)s->config.limits.repeated;
  s->limits.chunk_rows = (uint32_t)s->config.limits.chunk_rows;
  s->limits.actor_state_bytes = (uint32_t)s->config.limits.actor_state_bytes;
  pmp_limiter_init(&s->limiter, s->config.learner.samples_per_insert,
                   pmp_config_tolerance(&s->config, s->config.learner.samples_per_insert),
                   s->config.learner.min_size, s->config.learner.batch, s->config.run.lockstep,
                   s->config.label.judge == PMP_JUDGE_PEOPLE);
  s->started_ns = s->swept_ns = pmp_clock_mono(&s->clock);
}

/* The run's folder, and its name safe in the folder above. */
static enum pmp_err make_run_dir(const char *dir, struct pmp_errmsg *msg) {
  const struct pmp_fs *fs = pmp_fs_real();
  char above[600];
  snprintf(above, sizeof above, "%s/..", dir);
  PMP_TRY(fs->make_dir(fs->self, dir, msg));
  return fs->sync_dir(fs->self, above, msg);
}

static enum pmp_err open_parts(struct pmp_server *s, struct pmp_errmsg *msg) {
  PMP_TRY(check_doors(s, msg));
  PMP_TRY(make_run_dir(s->dir, msg));
  PMP_TRY(open_loop(s, msg));
  PMP_TRY(open_store(s, msg));
  PMP_TRY(claim(s, msg));
  PMP_TRY(pmp_sessions_init(&s->sessions, (uint32_t)s->config.limits.sessions,
                            (int64_t)s->config.limits.session_idle_s * 1000000000,
                            (double)s->config.limits.requests_per_second));
  PMP_TRY(pmp_publisher_init(&s->publisher, (int64_t)s->config.limits.weights_keep_s * 1000000000,
                             (size_t)s->config.limits.weights_keep_bytes,
                             (uint32_t)s->config.listen.data_contexts / 4));
  PMP_TRY(pmp_ingest_init(s));
  PMP_TRY(open_learner(s, msg));
  PMP_TRY(open_transport(s, msg));
  PMP_TRY(pmp_http_open(&s->http, s, msg));
  return write_endpoints(s, msg);
}

static void close_handle(uv_handle_t *handle, void *arg) {
  (void)arg;
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void remark(void *ctx, const char *key, const char *text) {
  struct pmp_server *s = ctx;
  pmp_log_write(&s->log, PMP_LOG_WARN, "PMP-CONFIG-REMARK", "key=%s note=\"%s\"", key, text);
}

static void close_parts(struct pmp_server *s) {
  pmp_readers_close(s->reader);
  pmp_readers_close(s->lease_reader);
  pmp_learn_close(s->learn);
  pmp_store_close(s->store);
  /* Last: the threads above still read what calls hold. */
  pmp_transport_close(&s->desk);
  pmp_transport_close(&s->data);
  pmp_http_close(s->http);
  void *item = NULL;
  while (s->store_done.ready && pmp_ring_try_pop(&s->store_done, &item)) {
    struct pmp_pending *p = item;
    free(p->extra);
    free(p);
  }
  pmp_ring_fini(&s->store_done);
  pmp_ingest_fini(s);
  pmp_desk_close(s);
  pmp_publisher_fini(&s->publisher);
  pmp_sessions_fini(&s->sessions);
  pmp_login_close(s);
  pmp_limiter_fini(&s->limiter);
  pmp_arena_fini(&s->scratch);
  free(s->policy_json);
  if (s->loop_ready) {
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
  }
}

int pmp_server_run(const struct pmp_server_options *options) {
  struct pmp_server *s = calloc(1, sizeof *s);
  if (!s) return 1;
  s->config = *options->config;
  s->config_path = options->config_path;
  s->set = options->set;
  s->sets = options->sets;
  snprintf(s->dir, sizeof s->dir, "%s", options->dir);
  s->log.fd = options->log_fd;
  prepare(s);
  struct pmp_errmsg msg = {{0}};
  const enum pmp_err err = open_parts(s, &msg);
  if (err != PMP_OK) {
    fprintf(stderr, "pmpod: %s\n", msg.text[0] ? msg.text : pmp_err_name(err));
    s->exit_code = err == PMP_EINVALID ? 2 : 1;
  } else {
    pmp_config_remarks(&s->config, remark, s);
    pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-START", "run=%s id=%s dir=%s desk=%s data=%s http=%s",
                  s->config.run.name, s->run_id, s->dir, s->desk.url, s->data.url,
                  s->http ? pmp_http_address(s->http) : "off");
    /* The whole address lets its reader in: for a terminal, never for what keeps the log. */
    if (s->http && isatty(STDERR_FILENO))
      fprintf(stderr, "pmpod: open %s\n", pmp_http_url(s->http));
    pmp_server_event(s, "daemon", "start", "{}");
    pmp_login_started(s);
    sd_notifyf(0, "READY=1\nSTATUS=serving %s", s->desk.url);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    if (s->exit_code != 0) fprintf(stderr, "pmpod: %s\n", s->fatal);
  }
  close_parts(s);
  const int code = s->exit_code;
  pmp_log_write(&s->log, PMP_LOG_INFO, "PMP-END", "exit=%d", code);
  free(s);
  return code;
}
