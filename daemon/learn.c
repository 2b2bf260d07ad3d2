/* The learner's thread: its loop and its doors. Entries are in learn_entry.c, checkpoints and start
 * in learn_save.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pthread_setaffinity_np */
#endif
#include "daemon/learn_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDLE_MS 100
#define STATUS_NS 5000000

void pmp_learn_send(struct pmp_learn *l, struct pmp_learn_out *out) {
  /* The loop drains quickly; a learner that waits here is the back-pressure. */
  while (pmp_ring_push(&l->out, out) == PMP_EBUSY) {
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    if (atomic_load(&l->abandon)) break;
  }
  l->config.wake(l->config.wake_ctx);
}

struct pmp_learn_out *pmp_learn_out_new(enum pmp_out_kind kind) {
  struct pmp_learn_out *o = calloc(1, sizeof *o);
  if (!o) abort(); /* a few hundred bytes: nothing sensible is left to do */
  o->kind = kind;
  return o;
}

void pmp_learn_done(struct pmp_learn *l, struct pmp_learn_in *in, enum pmp_err err,
                    const char *text) {
  struct pmp_learn_out *o = pmp_learn_out_new(PMP_OUT_DONE);
  o->in = in;
  o->err = err;
  snprintf(o->msg.text, sizeof o->msg.text, "%s", text ? text : "");
  o->version = pmp_trainer_version(l->trainer);
  o->step = pmp_trainer_steps(l->trainer);
  o->commit = l->commit;
  pmp_learn_send(l, o);
}

void pmp_learn_event(struct pmp_learn *l, const char *kind, const char *key, const char *value,
                     const char *reason) {
  struct pmp_learn_out *o = pmp_learn_out_new(PMP_OUT_EVENT);
  char cut[256]; /* at most six bytes each as JSON */
  snprintf(cut, sizeof cut, "%.250s", reason);
  json_t *detail = json_pack("{s:s, s:s}", key, value, "reason", cut);
  char *text = detail ? json_dumps(detail, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
  snprintf(o->event, sizeof o->event, "%s", kind);
  snprintf(o->detail, sizeof o->detail, "%s",
           text && strlen(text) < sizeof o->detail ? text : "{}");
  free(text);
  json_decref(detail);
  pmp_learn_send(l, o);
}

void pmp_learn_publish(struct pmp_learn *l) {
  struct pmp_learn_out *o = pmp_learn_out_new(PMP_OUT_SNAPSHOT);
  o->version = pmp_trainer_version(l->trainer);
  o->step = pmp_trainer_steps(l->trainer);
  o->snapshot = pmp_snapshot_new(&l->policy->manifest, pmp_trainer_ref(l->trainer), o->version,
                                 o->step, false);
  if (!o->snapshot) {
    free(o);
    pmp_log_write(l->config.log, PMP_LOG_ERROR, "PMP-LEARN-NOMEM", "what=snapshot");
    return;
  }
  pmp_learn_send(l, o);
}

void pmp_learn_fail(struct pmp_learn *l, enum pmp_err err, const char *text) {
  pmp_learn_state_set(l, PMP_LEARN_FAILED, text);
  struct pmp_learn_out *o = pmp_learn_out_new(PMP_OUT_FAILED);
  o->err = err;
  snprintf(o->msg.text, sizeof o->msg.text, "%s", text);
  pmp_learn_send(l, o);
}

static int64_t thread_cpu_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The time since the last call, to what it went into. */
static void count_time(struct pmp_learn *l, int64_t now, bool waited) {
  const int64_t ns = now - l->ran_ns;
  l->ran_ns = now;
  if (l->paused || atomic_load(&l->complete)) return;
  l->run_ns += ns;
  if (waited) l->wait_ns += ns;
}

static void refresh_pace(struct pmp_learn *l, int64_t now, struct pmp_pace_rates *out) {
  const struct pmp_pace_sample sample = {.at_ns = now,
                                         .run_ns = l->run_ns,
                                         .wait_ns = l->wait_ns,
                                         .product_ns = pmp_trainer_compute(l->trainer)->busy_ns,
                                         .steps = pmp_trainer_steps(l->trainer),
                                         .env_steps = l->env_steps,
                                         .rows = l->rows};
  pmp_pace_rates(&l->pace, &sample, l->config.config->run.max_steps, out);
  pmp_pace_add(&l->pace, &sample);
}

/* Copies what others may read; rarely, so that a fast learner does not spend its time on it. */
void pmp_learn_refresh_status(struct pmp_learn *l, bool now) {
  const int64_t t = pmp_clock_mono(&l->config.clock);
  if (!now && t - l->status_ns < STATUS_NS) return;
  l->status_ns = t;
  struct pmp_learn_status *s = &l->shown;
  struct pmp_pace_rates pace;
  if (l->ran_ns != 0) {
    count_time(l, t, false);
    refresh_pace(l, t, &pace);
  } else { /* loading: what it counts is history */
    pmp_pace_rates(&l->pace, &(struct pmp_pace_sample){0}, 0, &pace);
  }
  pthread_mutex_lock(&l->lock);
  s->steps = pmp_trainer_steps(l->trainer);
  s->version = pmp_trainer_version(l->trainer);
  s->commit = l->commit;
  s->env_steps = l->env_steps;
  s->run_ns = l->run_ns;
  s->wait_ns = l->wait_ns;
  s->pace = pace;
  pmp_trainer_times(l->trainer, &s->times);
  pmp_replay_stats(pmp_trainer_replay(l->trainer), &s->replay);
  pmp_trainer_live_get(l->trainer, &s->live);
  s->verdicts_wanted = pmp_learn_reward_wanted(l);
  const struct pmp_compute *compute = pmp_trainer_compute(l->trainer);
  s->gemm_ns = compute->busy_ns;
  s->gemm_flops = compute->flops;
  s->cpu_ns = thread_cpu_ns();
  pthread_mutex_unlock(&l->lock);
}

void pmp_learn_state_set(struct pmp_learn *l, enum pmp_learn_state state, const char *reason) {
  pthread_mutex_lock(&l->lock);
  l->shown.state = state;
  snprintf(l->shown.reason, sizeof l->shown.reason, "%s", reason);
  pthread_mutex_unlock(&l->lock);
}

static void add_point(struct pmp_learn_out *o, const struct pmp_learn *l, const char *name,
                      double value) {
  if (!isfinite(value) || o->points == PMP_METRICS_MAX) return;
  struct pmp_store_point *p = &o->point[o->points++];
  snprintf(p->name, sizeof p->name, "learner.%s", name);
  p->step = pmp_trainer_steps(l->trainer);
  p->env_steps = l->env_steps;
  p->wall_ns = pmp_clock_wall(&l->config.clock);
  p->value = value;
}

/* The names of struct pmp_step_metrics' numbers, in order. */
static const struct {
  const char *name;
  size_t offset;
} metric[PMP_STEP_NUMBERS] = {
#define M(field, name)                                                                             \
  { name, offsetof(struct pmp_step_metrics, field) }
    M(loss, "loss"),
    M(loss_accepted, "loss_accepted"),
    M(loss_rejected, "loss_rejected"),
    M(loss_kl, "loss_kl"),
    M(loss_dual, "loss_dual"),
    M(kl[0], "kl"),
    M(kl[1], "kl_std"),
    M(kl_margin, "kl_margin"),
    M(entropy, "entropy"),
    M(std, "std"),
    M(accepted, "accepted"),
    M(rejected, "rejected"),
    M(unlabelled, "unlabelled"),
    M(accepted_share, "accepted_share"),
    M(ess_accepted, "ess_accepted"),
    M(ess_rejected, "ess_rejected"),
    M(empty_accepted, "empty_accepted"),
    M(empty_rejected, "empty_rejected"),
    M(temperature, "temperature"),
    M(informative, "informative"),
    M(grad_norm, "grad_norm"),
    M(critic_loss, "critic_loss"),
    M(critic_grad_norm, "critic_grad_norm"),
    M(q_mean, "q_mean"),
    M(q_std, "q_std"),
    M(q_min, "q_min"),
    M(q_max, "q_max"),
    M(staleness, "staleness"),
    M(return_n, "return_n"),
#undef M
};

static void gather(struct pmp_learn *l, const struct pmp_step_metrics *m) {
  for (int i = 0; i < PMP_STEP_NUMBERS; i++) {
    double v;
    memcpy(&v, (const char *)m + metric[i].offset, sizeof v);
    if (!isfinite(v)) continue;
    l->sum[i] += v;
    l->sum_n[i]++;
  }
  l->window_steps++;
  pthread_mutex_lock(&l->lock);
  if (isfinite(m->accepted)) l->shown.accepted += m->accepted;
  if (isfinite(m->rejected)) l->shown.rejected += m->rejected;
  if (isfinite(m->unlabelled)) l->shown.unlabelled += m->unlabelled;
  l->shown.skipped_rejected += m->skipped_rejected;
  l->shown.skipped_steps += m->skipped_step;
  pthread_mutex_unlock(&l->lock);
}

/* What the objective misses in rows that give it nothing. */
static const char *missing(const struct pmp_learn *l) {
  const struct pmp_objective *o = pmp_objective_find(l->config.config->objective.name);
  if (o->pairs)
    return "no pair in any batch: outcomes to compare belong in one group, with f or verdicts of "
           "both kinds";
  if (o->needs_f)
    return "no outcome in any batch has an evaluation (f), which this objective reads";
  return "no outcome in any batch has a verdict that objective.alpha gives weight to";
}

/* Says once, in log, events and the state's reason, that steps are made for nothing. */
static void watch_information(struct pmp_learn *l) {
  double share = NAN;
  for (int i = 0; i < PMP_STEP_NUMBERS; i++) {
    if (strcmp(metric[i].name, "informative") == 0 && l->sum_n[i] > 0)
      share = l->sum[i] / (double)l->sum_n[i];
  }
  if (isnan(share)) return;
  const bool before = l->uninformed;
  l->uninformed = share == 0;
  if (before || !l->uninformed) return;
  pmp_log_write(l->config.log, PMP_LOG_WARN, "PMP-LEARN-NOTHING", "step=%llu reason=\"%s\"",
                (unsigned long long)pmp_trainer_steps(l->trainer), missing(l));
  pmp_learn_event(l, "nothing", "objective", l->config.config->objective.name, missing(l));
}

static void emit_metrics(struct pmp_learn *l, bool force) {
  const int64_t now = pmp_clock_mono(&l->config.clock);
  const double seconds = (double)(now - l->window_ns) / 1e9;
  if (!force && seconds * 1e3 < (double)l->config.config->learner.metrics_ms) return;
  if (l->window_steps == 0) {
    l->window_ns = now;
    return;
  }
  watch_information(l);
  struct pmp_learn_out *o = pmp_learn_out_new(PMP_OUT_METRICS);
  for (int i = 0; i < PMP_STEP_NUMBERS; i++) {
    if (l->sum_n[i] > 0) add_point(o, l, metric[i].name, l->sum[i] / (double)l->sum_n[i]);
  }
  const double rate = seconds > 0 ? (double)l->window_steps / seconds : 0;
  add_point(o, l, "steps_per_s", rate);
  add_point(o, l, "wait_share", l->shown.pace.wait_share); /* written by this thread alone */
  add_point(o, l, "product_share", l->shown.pace.product_share);
  if (l->reward) {
    struct pmp_reward_stats r;
    pmp_reward_stats(l->reward, &r);
    add_point(o, l, "reward_loss", r.loss);
    add_point(o, l, "reward_accuracy", r.accuracy);
    add_point(o, l, "reward_accepted", (double)r.accepted);
    add_point(o, l, "reward_rejected", (double)r.rejected);
  }
  struct pmp_limiter_state lim;
  pmp_limiter_get(l->config.limiter, &lim);
  add_point(o, l, "debt", lim.d);
  add_point(o, l, "trainable", (double)lim.trainable);
  add_point(o, l, "version", (double)pmp_trainer_version(l->trainer));
  pthread_mutex_lock(&l->lock);
  memcpy(l->shown.last, o->point, sizeof o->point);
  l->shown.lasts = o->points;
  pthread_mutex_unlock(&l->lock);
  memset(l->sum, 0, sizeof l->sum);
  memset(l->sum_n, 0, sizeof l->sum_n);
  l->window_steps = 0;
  l->window_ns = now;
  pmp_learn_send(l, o);
}

void pmp_learn_mark_complete(struct pmp_learn *l) {
  const uint64_t end = l->config.config->run.max_steps;
  if (end > 0 && pmp_trainer_steps(l->trainer) >= end) atomic_store(&l->complete, true);
}

static bool may_step(struct pmp_learn *l) {
  if (l->paused || l->starved || atomic_load(&l->complete)) return false;
  if (l->reward && !pmp_learn_reward_ready(l, NULL, 0)) return false;
  return pmp_limiter_may_step(l->config.limiter);
}

/* The guard or a non-finite number stops the run until an operator resumes it; the last good
 * checkpoint stays. */
static void stop_on_fault(struct pmp_learn *l, const char *why) {
  l->paused = true;
  l->faulted = true;
  pmp_learn_state_set(l, PMP_LEARN_PAUSED, why);
  pmp_log_write(l->config.log, PMP_LOG_ERROR, "PMP-LEARN-GUARD", "step=%llu reason=\"%s\"",
                (unsigned long long)pmp_trainer_steps(l->trainer), why);
  char step[24];
  snprintf(step, sizeof step, "%llu", (unsigned long long)pmp_trainer_steps(l->trainer));
  pmp_learn_event(l, "guard", "step", step, why);
}

static void one_step(struct pmp_learn *l) {
  struct pmp_step_metrics m;
  struct pmp_errmsg msg = {{0}};
  bool refreshed = false;
  if (l->reward) pmp_learn_reward_fit(l);
  const enum pmp_err err = pmp_trainer_step(l->trainer, &m, &refreshed, &msg);
  if (err == PMP_EBUSY) { /* fewer rows than a batch: more must come */
    l->starved = true;
    return;
  }
  if (err != PMP_OK) {
    stop_on_fault(l, msg.text[0] ? msg.text : pmp_err_name(err));
    return;
  }
  pmp_learn_mark_complete(l);
  l->step_ns = pmp_clock_mono(&l->config.clock);
  pmp_limiter_stepped(l->config.limiter, m.rows);
  gather(l, &m);
  pmp_learn_count_trainable(l); /* a sampler that draws once leaves fewer */
  if (refreshed) pmp_learn_publish(l);
  if (m.guard_pause) stop_on_fault(l, "mean KL(ref||pi) passed objective.kl_max");
}

bool pmp_learn_ending(struct pmp_learn *l) {
  return atomic_load(&l->abandon) || atomic_load(&l->stop_asked);
}

enum pmp_err pmp_learn_catch_up(struct pmp_learn *l, struct pmp_errmsg *msg) {
  while (may_step(l) && !pmp_learn_ending(l)) {
    one_step(l);
    pmp_learn_refresh_status(l, false);
  }
  return pmp_learn_ending(l) ? pmp_fail(msg, PMP_ECLOSED, "stopped while loading") : PMP_OK;
}

static void command(struct pmp_learn *l, struct pmp_learn_in *in) {
  switch (in->kind) {
  case PMP_LEARN_PAUSE:
    count_time(l, pmp_clock_mono(&l->config.clock), false);
    l->paused = true;
    pmp_learn_state_set(l, PMP_LEARN_PAUSED, "paused by an operator");
    pmp_learn_done(l, in, PMP_OK, NULL);
    return;
  case PMP_LEARN_RESUME:
    count_time(l, pmp_clock_mono(&l->config.clock), false);
    l->paused = false;
    l->faulted = false;
    pmp_learn_done(l, in, PMP_OK, NULL);
    return;
  case PMP_LEARN_CHECKPOINT: {
    struct pmp_errmsg msg = {{0}};
    const enum pmp_err err = pmp_learn_save(l, &msg);
    pmp_learn_done(l, in, err, msg.text);
    return;
  }
  case PMP_LEARN_POLICY: {
    struct pmp_learn_out *o = pmp_learn_out_new(PMP_OUT_DONE);
    o->in = in;
    o->step = pmp_trainer_steps(l->trainer);
    /* Version 0 asks for a new one, so that step 0 must not be called 0. */
    o->snapshot = pmp_snapshot_new(&l->policy->manifest, pmp_trainer_pi(l->trainer), o->step + 1,
                                   o->step, true);
    o->err = o->snapshot ? PMP_OK : PMP_ENOMEM;
    pmp_learn_send(l, o);
    return;
  }
  case PMP_LEARN_SCORE:
    pmp_learn_reward_score(l, in->score);
    pmp_learn_done(l, in, PMP_OK, NULL);
    return;
  case PMP_LEARN_STOP:
    l->stopping = in;
    return;
  default:
    pmp_learn_done(l, in, PMP_EINTERNAL, "not a command");
    return;
  }
}

static void sort_in(struct pmp_learn *l, struct pmp_learn_in *in) {
  if (in->kind > PMP_LEARN_SETTING) {
    command(l, in);
    return;
  }
  in->next = NULL;
  if (l->tail) {
    l->tail->next = in;
  } else {
    l->head = in;
  }
  l->tail = in;
}

static void drain(struct pmp_learn *l) {
  void *item = NULL;
  while (!l->stopping && pmp_ring_try_pop(&l->in, &item)) sort_in(l, item);
}

/* Applies waiting entries: all of them, or in lockstep the next one once the steps of the last are
 * done. */
static void take_entries(struct pmp_learn *l) {
  const bool lockstep = l->config.config->run.lockstep;
  while (l->head) {
    /* A pause holds chunks back, but a setting may be what mends its reason. */
    if (lockstep && (may_step(l) || (l->paused && l->head->kind != PMP_LEARN_SETTING))) return;
    if (l->open_entry) { /* lockstep: its steps are done */
      struct pmp_learn_in *done = l->open_entry;
      l->open_entry = NULL;
      pmp_learn_done(l, done, PMP_OK, NULL);
    }
    struct pmp_learn_in *in = l->head;
    l->head = in->next;
    if (!l->head) l->tail = NULL;
    struct pmp_errmsg msg = {{0}};
    const enum pmp_err err = pmp_learn_entry(l, in, &msg);
    l->starved = false;
    if (err != PMP_OK) {
      pmp_log_write(l->config.log, PMP_LOG_ERROR, "PMP-LEARN-ENTRY", "commit=%llu reason=\"%s\"",
                    (unsigned long long)in->commit, msg.text);
    }
    if (lockstep && err == PMP_OK) {
      l->open_entry = in;
    } else {
      pmp_learn_done(l, in, err, msg.text);
    }
  }
}

static void settle_open_entry(struct pmp_learn *l) {
  if (!l->open_entry || l->paused || may_step(l)) return;
  struct pmp_learn_in *done = l->open_entry;
  l->open_entry = NULL;
  pmp_learn_done(l, done, PMP_OK, NULL);
}

#define FRESH_NS INT64_C(1000000000) /* a learner that stepped so lately is running */

static void show_state(struct pmp_learn *l, bool stepping) {
  if (l->paused) return; /* said when it began */
  if (stepping) {
    struct pmp_limiter_state lim;
    char text[160] = "";
    if (l->uninformed) snprintf(text, sizeof text, "%s", missing(l));
    pmp_limiter_get(l->config.limiter, &lim);
    if (!l->uninformed && lim.d > 2 * l->config.limiter->tolerance) {
      snprintf(text, sizeof text, "catching up: %.0f steps owed to rows that are there already",
               lim.d / (double)l->config.config->learner.batch);
    }
    pmp_learn_state_set(l, PMP_LEARN_RUNNING, text);
  } else if (atomic_load(&l->complete)) {
    char text[240];
    snprintf(text, sizeof text, "complete: run.max_steps (%" PRIu64 ") reached%s%s",
             l->config.config->run.max_steps, l->uninformed ? "; " : "",
             l->uninformed ? missing(l) : "");
    pmp_learn_state_set(l, PMP_LEARN_FINISHED, text);
  } else if (l->step_ns != 0 && pmp_clock_mono(&l->config.clock) - l->step_ns < FRESH_NS) {
    /* Between two steps as their rows come in. */
    pmp_learn_state_set(l, PMP_LEARN_RUNNING, l->uninformed ? missing(l) : "");
  } else {
    struct pmp_limiter_state lim;
    pmp_limiter_get(l->config.limiter, &lim);
    char text[160];
    const bool people = l->config.config->label.judge == PMP_JUDGE_PEOPLE;
    if (l->reward && !pmp_learn_reward_ready(l, text, sizeof text)) {
      /* text says it */
    } else if (people && lim.trainable < l->config.limiter->need) {
      snprintf(text, sizeof text, "waiting for people: %llu judged rows of %llu",
               (unsigned long long)lim.trainable, (unsigned long long)l->config.limiter->need);
    } else if (people) {
      snprintf(text, sizeof text,
               "waiting for people: trained on all that learner.samples_per_verdict allows");
    } else if (lim.trainable < l->config.limiter->need) {
      snprintf(text, sizeof text, "waiting for data: %llu trainable rows of %llu",
               (unsigned long long)lim.trainable, (unsigned long long)l->config.limiter->need);
    } else {
      snprintf(text, sizeof text,
               "waiting for data: trained on all that samples_per_insert allows");
    }
    pmp_learn_state_set(l, PMP_LEARN_WAITING, text);
  }
}

static void wait_entry(struct pmp_learn *l) {
  void *item = NULL;
  pmp_learn_refresh_status(l, true);
  const bool here = pmp_ring_pop(&l->in, &item, IDLE_MS) == PMP_OK;
  count_time(l, pmp_clock_mono(&l->config.clock), true);
  if (here) sort_in(l, item);
}

static void run(struct pmp_learn *l) {
  bool was_stepping = false, said = false;
  while (!l->stopping && !atomic_load(&l->abandon)) {
    drain(l);
    take_entries(l);
    const bool stepping = may_step(l);
    if (!said || stepping != was_stepping || !stepping) show_state(l, stepping);
    said = true;
    was_stepping = stepping;
    if (stepping) {
      one_step(l);
    } else {
      settle_open_entry(l);
      /* Without steps, too, what people said counts for what they are asked next. */
      if (l->reward && !l->paused && pmp_learn_reward_ready(l, NULL, 0)) pmp_learn_reward_fit(l);
      wait_entry(l);
    }
    const int64_t shown = l->status_ns;
    pmp_learn_refresh_status(l, false);
    if (stepping && l->status_ns != shown) show_state(l, true);
    emit_metrics(l, false);
    pmp_learn_save_if_due(l);
  }
}

static void pin(const struct pmp_learn *l) {
  const uint64_t core = l->config.config->learner.core;
  if (core == 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)core - 1, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
    pmp_log_write(l->config.log, PMP_LOG_WARN, "PMP-LEARN-PIN", "core=%llu",
                  (unsigned long long)core);
  }
}

static void *learn_main(void *arg) {
  struct pmp_learn *l = arg;
  pin(l);
  struct pmp_errmsg msg = {{0}};
  const enum pmp_err err = pmp_learn_load(l, &msg);
  enum pmp_err saved = PMP_OK;
  if (err != PMP_OK) {
    if (err != PMP_ECLOSED) pmp_learn_fail(l, err, msg.text); /* else: told to stop while loading */
    void *item = NULL; /* stay to answer until the daemon stops */
    while (!l->stopping && !atomic_load(&l->abandon)) {
      if (pmp_ring_pop(&l->in, &item, IDLE_MS) != PMP_OK) continue;
      struct pmp_learn_in *in = item;
      if (in->kind == PMP_LEARN_STOP) {
        l->stopping = in;
      } else {
        pmp_learn_done(l, in, err, msg.text);
      }
    }
  } else {
    l->window_ns = pmp_clock_mono(&l->config.clock);
    l->save_ns = l->ran_ns = l->window_ns;
    pmp_learn_publish(l);
    pmp_learn_refresh_status(l, true);
    struct pmp_learn_out *o = pmp_learn_out_new(PMP_OUT_READY);
    o->version = pmp_trainer_version(l->trainer);
    o->commit = l->commit;
    pmp_learn_send(l, o);
    run(l);
    emit_metrics(l, true);
    if (l->stopping) saved = pmp_learn_save(l, &msg);
    if (saved != PMP_OK) {
      pmp_log_write(l->config.log, PMP_LOG_ERROR, "PMP-LEARN-SAVE", "reason=\"%s\"", msg.text);
    }
  }
  pmp_learn_refresh_status(l, true);
  if (l->stopping) pmp_learn_done(l, l->stopping, saved, msg.text);
  return NULL;
}

enum pmp_err pmp_learn_start(struct pmp_learn **out, const struct pmp_learn_config *config,
                             struct pmp_errmsg *msg) {
  struct pmp_learn *l = calloc(1, sizeof *l);
  if (!l) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  l->config = *config;
  snprintf(l->store_path, sizeof l->store_path, "%s", config->store_path);
  snprintf(l->checkpoint_dir, sizeof l->checkpoint_dir, "%s", config->checkpoint_dir);
  l->config.store_path = l->store_path;
  l->config.checkpoint_dir = l->checkpoint_dir;
  pthread_mutex_init(&l->lock, NULL);
  enum pmp_err err = pmp_ring_init(&l->in, config->in_capacity);
  if (err == PMP_OK) err = pmp_ring_init(&l->out, config->out_capacity);
  if (err != PMP_OK) {
    pmp_fail(msg, err, "out of memory");
    goto fail;
  }
  struct pmp_trainer_config t;
  pmp_config_trainer(config->config, &t);
  err = pmp_trainer_open(&l->trainer, &t, config->clock, msg);
  if (err != PMP_OK) goto fail;
  l->policy = pmp_trainer_policy(l->trainer);
  pmp_trainer_compute(l->trainer)->timed = true;
  if (config->config->reward.source == PMP_REWARD_PEOPLE) {
    err = pmp_learn_reward_open(l, msg);
    if (err != PMP_OK) goto fail;
  }
  if (pthread_create(&l->thread, NULL, learn_main, l) != 0) {
    err = pmp_fail(msg, PMP_ENOMEM, "cannot start the learner's thread");
    goto fail;
  }
  l->started = true;
  *out = l;
  return PMP_OK;
fail:
  pmp_learn_close(l);
  return err;
}

enum pmp_err pmp_learn_post(struct pmp_learn *l, struct pmp_learn_in *in) {
  if (in->kind == PMP_LEARN_STOP) atomic_store(&l->stop_asked, true);
  return pmp_ring_push(&l->in, in);
}

bool pmp_learn_next(struct pmp_learn *l, struct pmp_learn_out **out) {
  void *item = NULL;
  if (!pmp_ring_try_pop(&l->out, &item)) return false;
  *out = item;
  return true;
}

void pmp_learn_out_free(struct pmp_learn_out *out) {
  if (!out) return;
  pmp_snapshot_release(out->snapshot);
  free(out->row);
  free(out);
}

void pmp_learn_in_free(struct pmp_learn_in *in) {
  if (!in) return;
  free(in->label);
  pmp_score_work_free(in->score);
  free(in);
}

void pmp_learn_status(struct pmp_learn *l, struct pmp_learn_status *s) {
  pthread_mutex_lock(&l->lock);
  *s = l->shown;
  pthread_mutex_unlock(&l->lock);
}

bool pmp_learn_complete(const struct pmp_learn *l) {
  return atomic_load(&l->complete);
}

bool pmp_learn_wants_verdicts(const struct pmp_learn *l) {
  return atomic_load(&l->wants_verdicts);
}

const struct pmp_policy *pmp_learn_policy(const struct pmp_learn *l) {
  return l->policy;
}

void pmp_learn_close(struct pmp_learn *l) {
  if (!l) return;
  atomic_store(&l->abandon, true);
  if (l->started) pthread_join(l->thread, NULL);
  void *item = NULL;
  while (pmp_ring_try_pop(&l->out, &item)) {
    struct pmp_learn_out *o = item;
    pmp_learn_in_free(o->in);
    pmp_learn_out_free(o);
  }
  while (pmp_ring_try_pop(&l->in, &item)) pmp_learn_in_free(item);
  while (l->head) {
    struct pmp_learn_in *in = l->head;
    l->head = in->next;
    pmp_learn_in_free(in);
  }
  pmp_learn_in_free(l->open_entry);
  pmp_ring_fini(&l->in);
  pmp_ring_fini(&l->out);
  pmp_trainer_close(l->trainer);
  pmp_reward_close(l->reward);
  pmp_reader_close(l->judged);
  free(l->kept);
  pmp_arena_fini(&l->arena);
  pthread_mutex_destroy(&l->lock);
  free(l);
}
