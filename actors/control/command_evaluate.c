#include "actors/control/command.h"
#include "actors/control/evaluate.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#define STATUS_ENV_STEPS "env.steps" /* the daemon's name for it */
enum { ENVS_MAX = 64, ASK_MS = 1000, FETCH_MS = 1000, NAP_NS = 50000000 };

uint32_t pmp_control_evaluation_envs(const struct pmp_control_command *c) {
  const uint32_t waves = (c->episodes + ENVS_MAX - 1) / ENVS_MAX;
  return (c->episodes + waves - 1) / waves;
}

/* Environment steps of the whole run, 0 when the daemon does not say. */
static uint64_t run_env_steps(struct pmpo *observer, struct pmp_arena *arena) {
  struct pmp_request request = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  pmp_arena_release(arena, 0);
  if (observer == NULL || pmpo_request(observer, &request, arena, &reply, ASK_MS, NULL) != PMP_OK)
    return 0;
  for (uint32_t i = 0; i < reply.u.status.numbers; i++)
    if (strcmp(reply.u.status.number[i].name, STATUS_ENV_STEPS) == 0)
      return (uint64_t)reply.u.status.number[i].value;
  return 0;
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

/* ---- again and again ---- */

/* Sleeps out the period. */
static enum pmp_err wait_period(struct pmp_control_command *c, int64_t start_ns,
                                struct pmp_errmsg *msg) {
  struct pmp_clock clock = pmp_clock_real();
  int64_t end_ns = start_ns + (int64_t)(c->period * 1e9);
  while (pmp_clock_mono(&clock) < end_ns) {
    if (pmp_stop_requested(&c->session.stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
    struct timespec t = {.tv_nsec = NAP_NS};
    nanosleep(&t, NULL);
  }
  return PMP_OK;
}

static enum pmp_err evaluate_loop(struct pmp_control_command *c, struct pmp_env_batch *b,
                                  struct pmp_actions *actions, struct pmpo *observer,
                                  struct pmp_arena *arena, struct pmp_errmsg *msg) {
  struct pmp_clock clock = pmp_clock_real();
  for (;;) {
    int64_t start_ns = pmp_clock_mono(&clock);
    struct pmp_evaluation e;
    struct pmp_progress progress;
    PMP_TRY(pmp_control_fetch(c, msg));
    uint64_t env_steps = run_env_steps(observer, arena); /* when the weights were as they are */
    pmp_progress_begin(&progress, stderr, "evaluating", c->common.quiet);
    enum pmp_err err = pmp_evaluate(b, actions, &c->session.stop, c->episodes, &progress, &e, msg);
    pmp_progress_end(&progress);
    if (err == PMP_OK) err = report(c, &e, env_steps, msg);
    if (err != PMP_OK || c->once) return err;
    PMP_TRY(wait_period(c, start_ns, msg));
  }
}

/* Actors may not ask for the status. */
static void open_observer(struct pmp_control_command *c, struct pmpo **observer,
                          struct pmp_errmsg *msg) {
  const struct pmpo_options options = {.url = c->common.url,
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
  struct pmp_env_batch b = {0};
  struct pmp_actions actions = {0};
  struct pmp_arena arena = {0};
  struct pmpo *observer = NULL;
  enum pmp_err err = pmp_arena_init(&arena, 1 << 20);
  if (err == PMP_OK) err = pmp_env_batch_init(&b, &config, msg);
  if (err == PMP_OK) err = pmp_control_actions(c, envs, &actions, msg);
  if (err == PMP_OK) {
    open_observer(c, &observer, msg);
    err = evaluate_loop(c, &b, &actions, observer, &arena, msg);
  }
  pmpo_close(observer);
  pmp_actions_fini(&actions);
  pmp_env_batch_fini(&b);
  pmp_arena_fini(&arena);
  return err;
}
