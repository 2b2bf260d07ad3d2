#include "clients/pmpoctl/feed.h"

#include "clients/pmpoctl/answer.h"
#include "clients/pmpoctl/format.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PERIOD_S 1.0
#define ANSWER_MS 1500
#define ARENA_BYTES ((size_t)32 << 20)

/* What the curve may show, best first; 'm' goes on to the next. */
static const char *const curves[] = {"actor.eval_return",
                                     "actor.return",
                                     "actor.f_mean",
                                     "learner.loss",
                                     "learner.kl",
                                     "learner.entropy",
                                     "learner.std",
                                     "learner.q_mean",
                                     "learner.q_std",
                                     "learner.critic_loss",
                                     "learner.critic_grad_norm",
                                     "learner.staleness",
                                     "learner.steps_per_s",
                                     "learner.wait_share",
                                     "learner.debt"};
#define CURVES (sizeof curves / sizeof curves[0])

/* What a run is about, best first. An evaluation is a mean over episodes already. */
static const struct {
  const char *name;
  uint32_t mean;
} usual[] = {{"actor.eval_return", 1}, {"actor.return", 10}, {"actor.f_mean", 1}};
#define USUAL (sizeof usual / sizeof usual[0])

struct pmp_feed {
  const struct pmp_ctl *ctl; /* borrowed */
  pthread_t thread;
  pthread_mutex_t lock; /* guards the block below */
  pthread_cond_t wake;
  struct pmp_feed_view view;
  enum pmp_control_action action;
  bool next_curve;
  volatile int stop; /* read by libpmpo's waits too */

  /* the thread's own */
  struct pmpo *observer, *operator_; /* owned */
  struct pmp_arena arena;
  struct pmp_condition condition;    /* with --until */
  struct pmp_condition usual[USUAL]; /* without */
  bool conditional;
  char metric[PMP_FEED_NAME]; /* asked for on the command line; "": none */
  size_t first_curve;         /* index into curves to begin the search with */
  uint64_t last_event;
};

double pmp_feed_number(const struct pmp_feed_view *v, const char *name) {
  for (uint32_t i = 0; i < v->numbers; i++)
    if (strcmp(v->number[i].name, name) == 0) return v->number[i].value;
  return NAN;
}

static void copy(char *out, size_t size, const char *text) {
  const size_t n = strnlen(text ? text : "", size - 1); /* what does not fit is cut */
  if (n) memcpy(out, text, n);
  out[n] = '\0';
}

/* ---- connection ---- */

static void disconnect(struct pmp_feed *f) {
  pmpo_close(f->observer);
  pmpo_close(f->operator_);
  f->observer = NULL;
  f->operator_ = NULL;
}

static enum pmp_err connect(struct pmp_feed *f, enum pmp_role role, struct pmpo **client,
                            struct pmp_errmsg *msg) {
  char url[PMP_CTL_URL_MAX];
  if (*client) return PMP_OK;
  PMP_TRY(pmp_ctl_url(f->ctl, url, msg));
  pthread_mutex_lock(&f->lock);
  copy(f->view.url, sizeof f->view.url, url);
  pthread_mutex_unlock(&f->lock);
  return pmp_ctl_connect(f->ctl, role, url, 1.0, &f->stop, client, msg);
}

static enum pmp_err ask(struct pmp_feed *f, struct pmpo *client, const struct pmp_request *q,
                        struct pmp_reply *reply, struct pmp_errmsg *msg) {
  pmp_arena_release(&f->arena, 0);
  PMP_TRY(pmpo_request(client, q, &f->arena, reply, ANSWER_MS, msg));
  return reply->verb == q->verb
             ? PMP_OK
             : pmp_fail(msg, PMP_EINTERNAL, "the daemon answered something else");
}

/* ---- status ---- */

static void take_actor(struct pmp_feed_actor *out, const struct pmp_actor_status *a) {
  copy(out->name, sizeof out->name, a->name);
  out->rows = (double)a->rows;
  out->env_steps = (double)a->env_steps;
  out->ref_version = (double)a->ref_version;
  out->idle_s = a->idle_ms < 0 ? NAN : (double)a->idle_ms / 1e3;
  out->episodes = pmp_answer_number(a->number, a->numbers, "episodes");
  out->return_last = pmp_answer_number(a->number, a->numbers, "return_last");
  out->return_mean = pmp_answer_number(a->number, a->numbers, "return_mean");
  out->return_best = pmp_answer_number(a->number, a->numbers, "return_best");
  out->evaluations = pmp_answer_number(a->number, a->numbers, "evaluations");
  out->eval_last = pmp_answer_number(a->number, a->numbers, "eval_last");
  out->eval_best = pmp_answer_number(a->number, a->numbers, "eval_best");
  out->eval_age_s = pmp_answer_number(a->number, a->numbers, "eval_age_s");
  out->reports = a->values < PMP_FEED_REPORTS ? a->values : PMP_FEED_REPORTS;
  for (uint32_t i = 0; i < out->reports; i++) {
    copy(out->report[i].name, sizeof out->report[i].name, a->value[i].name);
    out->report[i].value = a->value[i].value;
  }
}

/* "actor-2" before "actor-10". */
static int by_name(const void *a, const void *b) {
  return strverscmp(((const struct pmp_feed_actor *)a)->name,
                    ((const struct pmp_feed_actor *)b)->name);
}

static void take_status(struct pmp_feed *f, const struct pmp_status_reply *s) {
  struct pmp_feed_view *v = &f->view;
  pthread_mutex_lock(&f->lock);
  v->ever = true;
  v->answered_s = pmp_ctl_now();
  v->error[0] = '\0';
  copy(v->task, sizeof v->task, pmp_answer_text(s->text, s->texts, "task"));
  copy(v->run_name, sizeof v->run_name, pmp_answer_text(s->text, s->texts, "run_name"));
  const char *run = pmp_answer_text(s->text, s->texts, "run_id");
  if (run && strcmp(run, v->run_id) !=
                 0) { /* another run came to this address: nothing of the old one fits */
    copy(v->run_id, sizeof v->run_id, run);
    v->events = v->points = 0;
    v->curve[0] = '\0';
    f->last_event = f->condition.from = 0;
    for (size_t i = 0; i < USUAL; i++) f->usual[i].from = 0;
  }
  copy(v->state, sizeof v->state, pmp_answer_text(s->text, s->texts, "state"));
  copy(v->reason, sizeof v->reason, pmp_answer_text(s->text, s->texts, "reason"));
  copy(v->warnings, sizeof v->warnings, pmp_answer_text(s->text, s->texts, "warnings"));
  v->numbers = s->numbers < PMP_FEED_NUMBERS ? s->numbers : PMP_FEED_NUMBERS;
  for (uint32_t i = 0; i < v->numbers; i++) {
    copy(v->number[i].name, sizeof v->number[i].name, s->number[i].name);
    v->number[i].value = s->number[i].value;
  }
  v->actors_total = s->actors;
  v->actors = s->actors < PMP_FEED_ACTORS ? s->actors : PMP_FEED_ACTORS;
  for (uint32_t i = 0; i < v->actors; i++) take_actor(&v->actor[i], &s->actor[i]);
  qsort(v->actor, v->actors, sizeof v->actor[0], by_name);
  pthread_mutex_unlock(&f->lock);
}

/* ---- events and curve ---- */

static void take_events(struct pmp_feed *f, const struct pmp_events_reply *r) {
  struct pmp_feed_view *v = &f->view;
  pthread_mutex_lock(&f->lock);
  for (uint32_t i = 0; i < r->count; i++) {
    const struct pmp_event *e = &r->event[i];
    if (v->events == PMP_FEED_EVENTS)
      memmove(&v->event[0], &v->event[1], --v->events * sizeof v->event[0]);
    struct pmp_feed_event *out = &v->event[v->events++];
    out->id = e->id;
    out->wall_ns = e->wall_ns;
    copy(out->who, sizeof out->who, e->who);
    copy(out->kind, sizeof out->kind, e->kind);
    pmp_format_detail(e->detail, out->detail, sizeof out->detail);
    f->last_event = e->id;
  }
  pthread_mutex_unlock(&f->lock);
}

static enum pmp_err fetch_events(struct pmp_feed *f, struct pmp_errmsg *msg) {
  struct pmp_reply reply;
  const struct pmp_request q = {
      .verb = PMP_VERB_EVENTS,
      .u.events = {.after = f->last_event ? f->last_event : UINT64_MAX, .count = PMP_FEED_EVENTS}};
  PMP_TRY(ask(f, f->observer, &q, &reply, msg));
  take_events(f, &reply.u.events);
  return PMP_OK;
}

static void take_curve(struct pmp_feed *f, const struct pmp_series *s) {
  struct pmp_feed_view *v = &f->view;
  pthread_mutex_lock(&f->lock);
  copy(v->curve, sizeof v->curve, s->name);
  const uint32_t skip = s->points > PMP_FEED_POINTS ? s->points - PMP_FEED_POINTS : 0;
  v->points = s->points - skip;
  for (uint32_t i = 0; i < v->points; i++) {
    v->env[i] = (double)s->env_steps[skip + i];
    v->step[i] = (double)s->step[skip + i];
    v->wall_s[i] = (double)s->wall_ns[skip + i] / 1e9;
    v->value[i] = s->value[skip + i];
  }
  pthread_mutex_unlock(&f->lock);
}

static enum pmp_err fetch_series(struct pmp_feed *f, const char *name, struct pmp_reply *reply,
                                 struct pmp_errmsg *msg) {
  const char *const names[] = {name};
  const struct pmp_request q = {
      .verb = PMP_VERB_HISTORY,
      .u.history = {.name = names, .names = 1, .points_max = PMP_FEED_POINTS}};
  return ask(f, f->observer, &q, reply, msg);
}

static enum pmp_err fetch_curve(struct pmp_feed *f, struct pmp_errmsg *msg) {
  struct pmp_reply reply;
  pthread_mutex_lock(&f->lock);
  const bool next = f->next_curve;
  f->next_curve = false;
  pthread_mutex_unlock(&f->lock);
  if (next) {
    f->first_curve = 0;
    for (size_t i = 0; i < CURVES; i++)
      if (strcmp(curves[i], f->view.curve) == 0) f->first_curve = (i + 1) % CURVES;
    f->metric[0] = '\0';
  }
  if (f->metric[0]) {
    PMP_TRY(fetch_series(f, f->metric, &reply, msg));
    if (reply.u.history.count == 1 && reply.u.history.series[0].points > 0)
      take_curve(f, &reply.u.history.series[0]);
    return PMP_OK;
  }
  for (size_t i = 0; i < CURVES; i++) {
    PMP_TRY(fetch_series(f, curves[(f->first_curve + i) % CURVES], &reply, msg));
    if (reply.u.history.count != 1 || reply.u.history.series[0].points == 0) continue;
    take_curve(f, &reply.u.history.series[0]);
    return PMP_OK;
  }
  return PMP_OK;
}

static enum pmp_err check_one(struct pmp_feed *f, struct pmp_condition *c, bool *known,
                              struct pmp_errmsg *msg) {
  bool holds = false;
  pmp_arena_release(&f->arena, 0);
  PMP_TRY(pmp_condition_check(c, f->observer, &f->arena, ANSWER_MS, &holds, msg));
  *known = f->conditional || !isnan(c->current);
  if (!*known) return PMP_OK;
  pthread_mutex_lock(&f->lock);
  f->view.met = f->conditional && holds;
  f->view.recent = c->current;
  f->view.recent_points = c->have;
  copy(f->view.recent_name, sizeof f->view.recent_name, c->name);
  pthread_mutex_unlock(&f->lock);
  return PMP_OK;
}

static enum pmp_err check_condition(struct pmp_feed *f, struct pmp_errmsg *msg) {
  bool known = false;
  if (f->conditional) return check_one(f, &f->condition, &known, msg);
  for (size_t i = 0; i < USUAL && !known; i++) PMP_TRY(check_one(f, &f->usual[i], &known, msg));
  return PMP_OK;
}

/* A name that nothing has, though something has one like it: until it comes, that is said. */
static enum pmp_err check_names(struct pmp_feed *f, struct pmp_errmsg *msg) {
  char goal[PMP_NAMES_TEXT] = "", curve[PMP_NAMES_TEXT] = "";
  pmp_arena_release(&f->arena, 0);
  if (f->conditional && isnan(f->condition.current) && f->condition.current_text[0] == '\0')
    PMP_TRY(pmp_condition_doubt(&f->condition, f->observer, &f->arena, ANSWER_MS, goal, msg));
  if (f->metric[0] && strcmp(f->view.curve, f->metric) != 0) {
    struct pmp_condition metric = {.mean = 1, .series_only = true};
    copy(metric.name, sizeof metric.name, f->metric);
    PMP_TRY(pmp_condition_doubt(&metric, f->observer, &f->arena, ANSWER_MS, curve, msg));
  }
  pthread_mutex_lock(&f->lock);
  snprintf(f->view.doubt, sizeof f->view.doubt, "%s%s%s", goal, goal[0] && curve[0] ? "\n" : "",
           curve);
  pthread_mutex_unlock(&f->lock);
  return PMP_OK;
}

/* ---- keys ---- */

static void say(struct pmp_feed *f, const char *what, const char *text) {
  pthread_mutex_lock(&f->lock);
  snprintf(f->view.said, sizeof f->view.said, "%s: %.160s", what, text);
  f->view.said_s = pmp_ctl_now();
  pthread_mutex_unlock(&f->lock);
}

static void carry_out(struct pmp_feed *f) {
  static const char *const name[] = {[PMP_CONTROL_PAUSE] = "pause",
                                     [PMP_CONTROL_RESUME] = "resume",
                                     [PMP_CONTROL_CHECKPOINT] = "checkpoint",
                                     [PMP_CONTROL_REFRESH] = "refresh"};
  pthread_mutex_lock(&f->lock);
  const enum pmp_control_action action = f->action;
  f->action = PMP_CONTROL_NONE;
  pthread_mutex_unlock(&f->lock);
  if (action == PMP_CONTROL_NONE) return;
  struct pmp_errmsg msg = {{0}};
  struct pmp_reply reply;
  const struct pmp_request q = {.verb = PMP_VERB_CONTROL,
                                .u.control = {.action = action, .key = "", .value = ""}};
  enum pmp_err err = connect(f, PMP_ROLE_OPERATOR, &f->operator_, &msg);
  if (err == PMP_OK) err = ask(f, f->operator_, &q, &reply, &msg);
  if (err != PMP_OK) {
    pmpo_close(f->operator_);
    f->operator_ = NULL;
    say(f, name[action], msg.text[0] ? msg.text : pmp_err_name(err));
    return;
  }
  char detail[160];
  pmp_format_detail(reply.u.control.detail, detail, sizeof detail);
  say(f, name[action], detail[0] ? detail : "done");
}

/* ---- the thread ---- */

static enum pmp_err look(struct pmp_feed *f, struct pmp_errmsg *msg) {
  struct pmp_reply reply;
  const struct pmp_request q = {.verb = PMP_VERB_STATUS, .u.status = {.actors = true}};
  PMP_TRY(connect(f, PMP_ROLE_OBSERVER, &f->observer, msg));
  PMP_TRY(ask(f, f->observer, &q, &reply, msg));
  take_status(f, &reply.u.status);
  PMP_TRY(check_condition(f, msg));
  PMP_TRY(fetch_events(f, msg));
  PMP_TRY(fetch_curve(f, msg));
  return check_names(f, msg);
}

static void sleep_until(struct pmp_feed *f, double until) {
  const struct timespec t = {.tv_sec = (time_t)until,
                             .tv_nsec = (long)((until - floor(until)) * 1e9)};
  pthread_mutex_lock(&f->lock);
  while (!pmp_ctl_stopped(&f->stop) && f->action == PMP_CONTROL_NONE && !f->next_curve &&
         pmp_ctl_now() < until)
    pthread_cond_timedwait(&f->wake, &f->lock, &t);
  pthread_mutex_unlock(&f->lock);
}

static void *feed_main(void *arg) {
  struct pmp_feed *f = arg;
  while (!pmp_ctl_stopped(&f->stop)) {
    const double begun = pmp_ctl_now();
    struct pmp_errmsg msg = {{0}};
    carry_out(f);
    const enum pmp_err err = look(f, &msg);
    if (err != PMP_OK && !pmp_ctl_stopped(&f->stop)) {
      pthread_mutex_lock(&f->lock);
      copy(f->view.error, sizeof f->view.error, msg.text[0] ? msg.text : pmp_err_name(err));
      pthread_mutex_unlock(&f->lock);
      disconnect(f); /* it may come back elsewhere, or as another run */
    }
    sleep_until(f, begun + PERIOD_S);
  }
  return NULL;
}

enum pmp_err pmp_feed_start(struct pmp_feed **out, const struct pmp_ctl *ctl, const char *metric,
                            const struct pmp_condition *condition, struct pmp_errmsg *msg) {
  struct pmp_feed *f = calloc(1, sizeof *f);
  if (!f || pmp_arena_init(&f->arena, ARENA_BYTES) != PMP_OK) {
    free(f);
    return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  }
  f->ctl = ctl;
  f->view.recent = NAN;
  copy(f->metric, sizeof f->metric, metric);
  f->conditional = condition != NULL;
  if (condition) f->condition = *condition;
  for (size_t i = 0; i < USUAL; i++) {
    f->usual[i] =
        (struct pmp_condition){.mean = usual[i].mean, .series_only = true, .current = NAN};
    copy(f->usual[i].name, sizeof f->usual[i].name, usual[i].name);
  }
  pthread_mutex_init(&f->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&f->wake, &attr);
  pthread_condattr_destroy(&attr);
  if (pthread_create(&f->thread, NULL, feed_main, f) != 0) {
    pmp_arena_fini(&f->arena);
    free(f);
    return pmp_fail(msg, PMP_ENOMEM, "cannot start a thread");
  }
  *out = f;
  return PMP_OK;
}

void pmp_feed_stop(struct pmp_feed *f) {
  if (!f) return;
  pthread_mutex_lock(&f->lock);
  __atomic_store_n(&f->stop, 1, __ATOMIC_RELAXED);
  pthread_cond_signal(&f->wake);
  pthread_mutex_unlock(&f->lock);
  pthread_join(f->thread, NULL);
  disconnect(f);
  pmp_arena_fini(&f->arena);
  pthread_cond_destroy(&f->wake);
  pthread_mutex_destroy(&f->lock);
  free(f);
}

void pmp_feed_view(struct pmp_feed *f, struct pmp_feed_view *out) {
  pthread_mutex_lock(&f->lock);
  *out = f->view;
  pthread_mutex_unlock(&f->lock);
}

void pmp_feed_do(struct pmp_feed *f, enum pmp_control_action action) {
  pthread_mutex_lock(&f->lock);
  f->action = action;
  pthread_cond_signal(&f->wake);
  pthread_mutex_unlock(&f->lock);
}

void pmp_feed_next_curve(struct pmp_feed *f) {
  pthread_mutex_lock(&f->lock);
  f->next_curve = true;
  pthread_cond_signal(&f->wake);
  pthread_mutex_unlock(&f->lock);
}
