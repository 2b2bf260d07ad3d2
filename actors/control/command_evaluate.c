#include "actors/control/command.h"
#include "actors/control/evaluate.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

/* The daemon's names. */
#define STATUS_ENV_STEPS "env.steps"
#define STATUS_STATE "state"
#define STATE_FINISHED "finished"

enum { ENVS_MAX = 64, ASK_MS = 1000, FETCH_MS = 1000, NAP_NS = 50000000 };

/* Of one evaluation that was reported. */
struct outcome {
  struct pmp_evaluation of;
  uint64_t env_steps;
};

struct evaluator {
  struct pmp_control_command *c;
  struct pmp_env_batch b;
  struct pmp_actions actions;
  struct pmp_arena arena;
  struct pmpo *observer; /* NULL: nobody to ask how the run is */
  uint64_t env_steps;    /* of the whole run, 0 when the daemon does not say */
  bool finished;         /* the run has made its last step */
  uint64_t count;        /* of evaluations */
  struct outcome last, best;
};

uint32_t pmp_control_evaluation_envs(const struct pmp_control_command *c) {
  const uint32_t waves = (c->episodes + ENVS_MAX - 1) / ENVS_MAX;
  return (c->episodes + waves - 1) / waves;
}

static void ask_run(struct evaluator *v) {
  struct pmp_request request = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  v->env_steps = 0;
  pmp_arena_release(&v->arena, 0);
  if (v->observer == NULL ||
      pmpo_request(v->observer, &request, &v->arena, &reply, ASK_MS, NULL) != PMP_OK)
    return;
  const struct pmp_status_reply *s = &reply.u.status;
  for (uint32_t i = 0; i < s->numbers; i++)
    if (strcmp(s->number[i].name, STATUS_ENV_STEPS) == 0)
      v->env_steps = (uint64_t)s->number[i].value;
  for (uint32_t i = 0; i < s->texts; i++)
    if (strcmp(s->text[i].name, STATUS_STATE) == 0)
      v->finished = strcmp(s->text[i].value, STATE_FINISHED) == 0;
}

enum pmp_err pmp_control_fetch(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  if (c->acting != PMP_ACTIONS_SERVED) return PMP_OK;
  for (;;) {
    enum pmp_err err = pmpo_policy_fetch(c->session.policy, FETCH_MS, msg);
    if (err != PMP_ENOTFOUND) return err;
    if (pmp_stop_requested(&c->session.stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
  }
}

/* ---- what came out ---- */

static enum pmp_err print_json(const struct pmp_control_command *c, const struct pmp_evaluation *e,
                               uint64_t env_steps, struct pmp_errmsg *msg) {
  const bool drawn = c->sample || c->acting == PMP_ACTIONS_RANDOM;
  json_t *o = json_pack(
      "{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I}", "task", c->task->name,
      "policy", c->weights != NULL ? c->weights : c->policy, "action", drawn ? "sample" : "mean",
      "eval_return", e->mean, "eval_return_stderr", e->std_error, "eval_return_min", e->min,
      "eval_return_max", e->max, "eval_episodes", (json_int_t)e->episodes, "diverged",
      (json_int_t)e->diverged, "version", (json_int_t)e->version, "learner_step",
      (json_int_t)e->learner_step, "env_steps", (json_int_t)env_steps);
  if (o == NULL) return pmp_fail(msg, PMP_ENOMEM, "the evaluation cannot be written as JSON");
  int rc = json_dumpf(o, stdout, JSON_REAL_PRECISION(12));
  json_decref(o);
  if (rc != 0 || putchar('\n') == EOF)
    return pmp_fail(msg, PMP_EIO, "the evaluation cannot be written");
  return PMP_OK;
}

static void print_line(const struct pmp_control_command *c, const struct pmp_evaluation *e,
                       uint64_t env_steps) {
  printf("eval_return=%.1f stderr=%.1f min=%.1f max=%.1f episodes=%u", e->mean, e->std_error,
         e->min, e->max, e->episodes);
  if (e->diverged > 0) printf(" diverged=%u", e->diverged);
  if (c->acting == PMP_ACTIONS_SERVED || c->acting == PMP_ACTIONS_FILE)
    printf(" version=%" PRIu64 " learner_step=%" PRIu64, e->version, e->learner_step);
  if (c->acting == PMP_ACTIONS_SERVED) printf(" env_steps=%" PRIu64, env_steps);
  putchar('\n');
}

static enum pmp_err report(struct pmp_control_command *c, const struct pmp_evaluation *e,
                           uint64_t env_steps, struct pmp_errmsg *msg) {
  const struct pmp_number value[] = {
      {"eval_return", e->mean},       {"eval_return_stderr", e->std_error},
      {"eval_return_min", e->min},    {"eval_return_max", e->max},
      {"eval_episodes", e->episodes}, {"eval_diverged", e->diverged}};
  const uint32_t count = sizeof value / sizeof value[0] - (e->diverged == 0);
  if (c->session.client != NULL) pmp_session_report(&c->session, value, count, env_steps);
  if (e->diverged > 0)
    pmp_log_write(&c->session.log, PMP_LOG_WARN, "PMP-ACTOR-DIVERGED", "episodes=%u of=%u",
                  e->diverged, e->episodes);
  if (c->json)
    PMP_TRY(print_json(c, e, env_steps, msg));
  else
    print_line(c, e, env_steps);
  return fflush(stdout) == 0 ? PMP_OK : pmp_fail(msg, PMP_EIO, "the evaluation cannot be written");
}

/* The run is complete and its last weights have been evaluated. */
static enum pmp_err print_end(const struct evaluator *v, struct pmp_errmsg *msg) {
  const struct outcome *l = &v->last, *b = &v->best;
  if (!v->c->json) {
    printf("complete evaluations=%" PRIu64 " last=%.1f version=%" PRIu64 " learner_step=%" PRIu64
           " env_steps=%" PRIu64 " best=%.1f best_env_steps=%" PRIu64 "\n",
           v->count, l->of.mean, l->of.version, l->of.learner_step, l->env_steps, b->of.mean,
           b->env_steps);
  } else {
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:I, s:f, s:I, s:I, s:I, s:f, s:I}", "event", "complete", "task",
                  v->c->task->name, "policy", v->c->policy, "evaluations", (json_int_t)v->count,
                  "last", l->of.mean, "version", (json_int_t)l->of.version, "learner_step",
                  (json_int_t)l->of.learner_step, "env_steps", (json_int_t)l->env_steps, "best",
                  b->of.mean, "best_env_steps", (json_int_t)b->env_steps);
    if (o == NULL) return pmp_fail(msg, PMP_ENOMEM, "the end cannot be written as JSON");
    json_dumpf(o, stdout, JSON_REAL_PRECISION(12));
    json_decref(o);
    putchar('\n');
  }
  return fflush(stdout) == 0 ? PMP_OK : pmp_fail(msg, PMP_EIO, "the end cannot be written");
}

/* ---- again and again ---- */

/* Sleeps until the clock says so, or the run is seen to be finished. */
static enum pmp_err wait_until(struct evaluator *v, int64_t end_ns, struct pmp_errmsg *msg) {
  const struct pmp_clock clock = pmp_clock_real();
  int64_t now_ns = pmp_clock_mono(&clock), ask_ns = now_ns + ASK_MS * INT64_C(1000000);
  for (; now_ns < end_ns && !v->finished; now_ns = pmp_clock_mono(&clock)) {
    if (pmp_stop_requested(&v->c->session.stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
    const struct timespec t = {.tv_nsec = NAP_NS};
    nanosleep(&t, NULL);
    if (now_ns < ask_ns) continue;
    ask_run(v);
    ask_ns = now_ns + ASK_MS * INT64_C(1000000);
  }
  return PMP_OK;
}

/* Weights that have not been evaluated yet. *over: there will be none. The run is known to have
 * finished before the fetch that finds nothing, so that its last weights are not missed. */
static enum pmp_err next_weights(struct evaluator *v, bool *over, struct pmp_errmsg *msg) {
  struct pmp_control_command *c = v->c;
  const struct pmp_clock clock = pmp_clock_real();
  *over = false;
  if (v->count == 0 || c->acting != PMP_ACTIONS_SERVED) return pmp_control_fetch(c, msg);
  for (;;) {
    const bool finished = v->finished;
    const enum pmp_err err = pmpo_policy_fetch(c->session.policy, FETCH_MS, msg);
    /* The policy itself is served whether it is newer or not. */
    const bool same =
        err == PMP_OK && pmpo_policy_version(c->session.policy, NULL) == v->last.of.version;
    if (err != PMP_ENOTFOUND && !same) return err;
    *over = finished;
    if (finished) return PMP_OK;
    if (pmp_stop_requested(&c->session.stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
    if (same) PMP_TRY(wait_until(v, pmp_clock_mono(&clock) + FETCH_MS * INT64_C(1000000), msg));
    ask_run(v);
  }
}

static void count(struct evaluator *v, const struct pmp_evaluation *e) {
  v->last = (struct outcome){.of = *e, .env_steps = v->env_steps};
  if (v->count++ == 0 || e->mean > v->best.of.mean) v->best = v->last;
}

static enum pmp_err evaluate_loop(struct evaluator *v, struct pmp_errmsg *msg) {
  const struct pmp_clock clock = pmp_clock_real();
  struct pmp_control_command *c = v->c;
  for (;;) {
    const int64_t start_ns = pmp_clock_mono(&clock);
    struct pmp_evaluation e;
    struct pmp_progress progress;
    bool over;
    PMP_TRY(next_weights(v, &over, msg));
    if (over) return print_end(v, msg);
    ask_run(v); /* when the weights were as they are */
    pmp_progress_begin(&progress, stderr, "evaluating", c->common.quiet);
    enum pmp_err err =
        pmp_evaluate(&v->b, &v->actions, &c->session.stop, c->episodes, &progress, &e, msg);
    pmp_progress_end(&progress);
    if (err == PMP_OK) err = report(c, &e, v->env_steps, msg);
    if (err != PMP_OK || c->once) return err;
    count(v, &e);
    PMP_TRY(wait_until(v, start_ns + (int64_t)(c->period * 1e9), msg));
  }
}

/* Actors may not ask for the status. */
static void open_observer(struct pmp_control_command *c, struct pmpo **observer,
                          struct pmp_errmsg *msg) {
  const struct pmpo_options options = {.url = c->common.url,
                                       .token_file = c->common.token_file,
                                       .ca = c->common.ca,
                                       .role = PMP_ROLE_OBSERVER,
                                       .name = c->common.name,
                                       .client = PMP_CONTROL_KIND,
                                       .connect_ms = c->common.connect_ms,
                                       .stop = &c->session.stop.requested};
  if (c->session.client != NULL && pmpo_open(observer, &options, msg) != PMP_OK)
    pmp_log_write(&c->session.log, PMP_LOG_WARN, "PMP-ACTOR-STATUS", "reason=\"%s\"", msg->text);
}

enum pmp_err pmp_control_evaluate(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  uint64_t stream[ENVS_MAX];
  uint32_t envs = pmp_control_evaluation_envs(c);
  for (uint32_t i = 0; i < envs; i++)
    stream[i] = pmp_session_stream(c->common.name, 0, PMP_CONTROL_STARTS_EVALUATED, i);
  const struct pmp_env_batch_config config = {.model = &c->model,
                                              .envs = envs,
                                              .threads = c->threads < envs ? c->threads : envs,
                                              .seed = c->session.seed,
                                              .stream = stream};
  struct evaluator v = {.c = c};
  enum pmp_err err = pmp_arena_init(&v.arena, 1 << 20);
  if (err == PMP_OK) err = pmp_env_batch_init(&v.b, &config, msg);
  if (err == PMP_OK) err = pmp_control_actions(c, envs, &v.actions, msg);
  if (err == PMP_OK) {
    open_observer(c, &v.observer, msg);
    err = evaluate_loop(&v, msg);
  }
  pmpo_close(v.observer);
  pmp_actions_fini(&v.actions);
  pmp_env_batch_fini(&v.b);
  pmp_arena_fini(&v.arena);
  return err;
}
