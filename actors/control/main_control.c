#include "actors/control/control.h"

#include "actors/control/evaluate.h"
#include "actors/control/rollout.h"

#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KIND "control"
#define SUITE_BELOW_PREFIX "share/pmpo/dm_control/suite"
#define STATUS_ENV_STEPS "env.steps" /* the daemon's name for it */

enum {
  CHUNK_ROWS = 256,
  EVALUATION_ENVS_MAX = 64,
  FETCH_MS = 1000,
  PURPOSE_EVALUATION = 3,
  PURPOSE_SAMPLE = 4
};

struct control {
  struct pmp_actor_options common;
  const char *task_name, *suite;
  uint32_t envs, threads, chunk_rows, episodes;
  uint64_t max_env_steps;
  bool list, evaluate, once, sample, policy;
  double period, noise_correlation;
  const struct pmp_task *task;
  struct pmp_env_model model;
  struct pmp_actor_session session;
};

/* ---- options ---- */

static enum pmp_err parse(struct control *c, int argc, char **argv, bool *done,
                          struct pmp_errmsg *msg) {
  const struct pmp_opt own[] = {
      {"task", PMP_OPT_TEXT, &c->task_name, 0, 0, "NAME", "what to do (the run's task)", NULL},
      {"envs", PMP_OPT_U32, &c->envs, 1, 4096, "N", "environments at once (8)", NULL},
      {"threads", PMP_OPT_U32, &c->threads, 1, 256, "N", "for stepping them (1)", NULL},
      {"chunk-rows", PMP_OPT_U32, &c->chunk_rows, 2, 1 << 20, "N", "most rows sent at once (256)",
       NULL},
      {"noise-correlation", PMP_OPT_REAL, &c->noise_correlation, 0, 0.999, "R",
       "of a Gaussian's noise from step to step (0)", NULL},
      {"max-env-steps", PMP_OPT_U64, &c->max_env_steps, 1, 9007199254740992.0, "N",
       "stop after so many", NULL},
      {"suite", PMP_OPT_TEXT, &c->suite, 0, 0, "DIR", "the task models (as installed)", NULL},
      {"evaluate", PMP_OPT_FLAG, &c->evaluate, 0, 0, NULL,
       "run episodes and report eval_return; append nothing", NULL},
      {"episodes", PMP_OPT_U32, &c->episodes, 1, 100000, "N", "of one evaluation (10)", NULL},
      {"once", PMP_OPT_FLAG, &c->once, 0, 0, NULL, "one evaluation", NULL},
      {"period", PMP_OPT_REAL, &c->period, 0, 1e6, "SECONDS",
       "from one evaluation's start to the next (0)", NULL},
      {"sample", PMP_OPT_FLAG, &c->sample, 0, 0, NULL, "evaluate drawn actions, not the mean",
       NULL},
      {"policy", PMP_OPT_FLAG, &c->policy, 0, 0, NULL, "evaluate the policy, not the reference",
       NULL},
      {"list", PMP_OPT_FLAG, &c->list, 0, 0, NULL, "name the tasks and exit", NULL},
  };
  c->envs = 8;
  c->threads = 1;
  c->episodes = 10;
  PMP_TRY(pmp_options_parse(argc, argv,
                            "environments of the control suite, acting with the run's reference",
                            own, sizeof own / sizeof own[0], &c->common, done, msg));
  if (c->common.name == NULL) c->common.name = c->evaluate ? "evaluator" : KIND;
  if (!c->evaluate && (c->once || c->sample || c->policy || c->period > 0))
    return pmp_fail(msg, PMP_EINVALID,
                    "--once, --sample, --policy and --period belong to --evaluate");
  if (c->threads > c->envs) c->threads = c->envs;
  return c->task_name != NULL ? pmp_task_find(c->task_name, &c->task, msg) : PMP_OK;
}

static void list_tasks(void) {
  for (size_t i = 0; i < pmp_task_count(); i++) printf("%s\n", pmp_task_at(i)->name);
}

/* ---- the model ---- */

/* ../share below the program's own folder, as in the build tree and after an install. */
static enum pmp_err suite_of_program(char out[PATH_MAX], struct pmp_errmsg *msg) {
  char self[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return pmp_fail(msg, PMP_EIO, "cannot find this program's own folder: use --suite");
  self[n] = '\0';
  if (snprintf(out, PATH_MAX, "%s/../%s", dirname(self), SUITE_BELOW_PREFIX) >= PATH_MAX)
    return pmp_fail(msg, PMP_EINVALID, "the path of this program is too long");
  return PMP_OK;
}

static enum pmp_err load_model(struct control *c, struct pmp_errmsg *msg) {
  char path[PATH_MAX];
  const char *suite = c->suite != NULL ? c->suite : path;
  if (c->suite == NULL) PMP_TRY(suite_of_program(path, msg));
  return pmp_env_model_load(&c->model, c->task, suite, msg);
}

/* The run must take what the task makes. Without --task, the run names it. */
static enum pmp_err fits(void *ctx, const struct pmp_spec *spec, struct pmp_errmsg *msg) {
  struct control *c = ctx;
  const char *name = c->task_name != NULL ? c->task_name : spec->task;
  if (name[0] == '\0') return pmp_fail(msg, PMP_EINVALID, "the run names no task: use --task");
  PMP_TRY(pmp_task_find(name, &c->task, msg));
  if (spec->task[0] != '\0' && strcmp(spec->task, name) != 0)
    return pmp_fail(msg, PMP_ECONFLICT, "the run learns task %s, not %s", spec->task, name);
  if (spec->shape != PMP_SHAPE_TRAJECTORIES)
    return pmp_fail(msg, PMP_ECONFLICT, "the run does not take trajectories, which task %s makes",
                    name);
  if (pmp_spec_obs_size(spec) != (size_t)c->task->obs_dim)
    return pmp_fail(msg, PMP_ECONFLICT,
                    "the run's observations have %zu numbers; those of task %s have %d",
                    pmp_spec_obs_size(spec), name, c->task->obs_dim);
  if (spec->action.kind != PMP_ACTION_BOX && spec->action.kind != PMP_ACTION_BINS)
    return pmp_fail(msg, PMP_ECONFLICT, "the run's actions are neither a box nor bins");
  if (spec->action.dim != (uint32_t)c->task->act_dim)
    return pmp_fail(msg, PMP_ECONFLICT,
                    "the run's actions have %u dimensions; those of task %s have %d",
                    spec->action.dim, name, c->task->act_dim);
  return PMP_OK;
}

/* The policy must take and give what the spec says. */
static enum pmp_err policy_fits(const struct control *c, struct pmp_errmsg *msg) {
  const struct pmp_policy *p = pmpo_policy_model(c->session.policy);
  if (p->spec.obs != (uint32_t)c->task->obs_dim || p->spec.dist.dim != (uint32_t)c->task->act_dim)
    return pmp_fail(
        msg, PMP_ECONFLICT, "the run's policy takes %u numbers and gives %u; task %s has %d and %d",
        p->spec.obs, p->spec.dist.dim, c->task->name, c->task->obs_dim, c->task->act_dim);
  return PMP_OK;
}

/* ---- acting ---- */

static void report_episodes(struct control *c, const struct pmp_rollout *r) {
  for (uint32_t i = 0; i < r->finished_count; i++) {
    const struct pmp_episode *e = &r->finished[i];
    const struct pmp_number value[] = {
        {"return", e->ret}, {"length", e->length}, {"diverged", e->diverged}};
    pmp_session_report(&c->session, value, e->diverged ? 3 : 2, r->env_steps);
    if (e->diverged)
      pmp_log_write(&c->session.log, PMP_LOG_WARN, "PMP-ACTOR-DIVERGED",
                    "length=%u env_steps=%" PRIu64, e->length, r->env_steps);
  }
}

static enum pmp_err act(struct control *c, struct pmp_rollout *r, struct pmp_errmsg *msg) {
  size_t size = pmp_rollout_state_size(r);
  unsigned char *state = malloc(size);
  enum pmp_err err = state != NULL ? PMP_OK : PMP_ENOMEM;
  bool keep = size <= pmpo_run(c->session.client)->limits.actor_state_bytes;
  if (!keep && c->session.lockstep)
    err = pmp_fail(msg, PMP_ETOOLARGE,
                   "the state of %u environments has %zu bytes; use fewer in lockstep",
                   r->batch.envs, size);
  if (!keep && err == PMP_OK)
    pmp_log_write(&c->session.log, PMP_LOG_WARN, "PMP-ACTOR-STATELESS", "state_bytes=%zu", size);
  while (err == PMP_OK && (c->max_env_steps == 0 || r->env_steps < c->max_env_steps)) {
    struct pmp_chunk chunk;
    err = pmp_session_begin(&c->session, msg);
    if (err == PMP_OK) err = pmp_rollout_collect(r, &c->session, msg);
    if (err != PMP_OK) break;
    pmp_rows_chunk(&r->rows, &chunk);
    if (keep) pmp_rollout_save(r, state);
    err = pmpo_append(c->session.client, &chunk, (struct pmp_bytes){state, keep ? size : 0}, msg);
    if (err == PMP_OK) report_episodes(c, r);
  }
  if (err == PMP_OK) err = pmpo_flush(c->session.client, -1, msg);
  free(state);
  return err;
}

/* Goes on from the stored state; a state that does not fit is an error only in lockstep. */
static enum pmp_err resume(struct control *c, struct pmp_rollout *r,
                           struct pmp_rollout_config *config, struct pmp_errmsg *msg) {
  const struct pmp_hello_reply *run = pmpo_run(c->session.client);
  struct pmp_bytes state = run->actor_state;
  bool broken = false;
  PMP_TRY(pmp_rollout_init(r, config, msg));
  if (run->actor_rows == 0) return PMP_OK;
  enum pmp_err err = state.size > 0 ? pmp_rollout_restore(r, state.data, state.size, &broken, msg)
                                    : pmp_fail(msg, PMP_EINVALID, "no state is stored");
  if (err == PMP_OK) {
    pmp_log_write(&c->session.log, PMP_LOG_INFO, "PMP-ACTOR-RESUMED", "env_steps=%" PRIu64,
                  r->env_steps);
    return PMP_OK;
  }
  if (c->session.lockstep)
    return pmp_fail(msg, PMP_ECONFLICT, "this actor cannot go on where it was: %s", msg->text);
  pmp_log_write(&c->session.log, PMP_LOG_WARN, "PMP-ACTOR-ANEW", "reason=\"%s\"", msg->text);
  /* Other random numbers than in the life that is lost. */
  pmp_rollout_fini(r);
  config->salt = run->actor_rows;
  return pmp_rollout_init(r, config, msg);
}

static enum pmp_err run_actor(struct control *c, struct pmp_errmsg *msg) {
  const struct pmp_hello_reply *run = pmpo_run(c->session.client);
  uint32_t most = run->limits.chunk_rows;
  uint32_t usual = CHUNK_ROWS > 2 * c->envs ? CHUNK_ROWS : 2 * c->envs;
  uint32_t rows = c->chunk_rows != 0 ? c->chunk_rows : usual < most ? usual : most;
  if (rows > most)
    return pmp_fail(msg, PMP_EINVALID, "--chunk-rows %u; the run takes at most %u", rows, most);
  struct pmp_rollout_config config = {.model = &c->model,
                                      .spec = &run->spec,
                                      .name = c->common.name,
                                      .envs = c->envs,
                                      .threads = c->threads,
                                      .chunk_rows = rows,
                                      .seed = c->session.seed,
                                      .noise_correlation = (float)c->noise_correlation};
  struct pmp_rollout r = {0};
  enum pmp_err err = resume(c, &r, &config, msg);
  if (err == PMP_OK) err = act(c, &r, msg);
  pmp_log_write(&c->session.log, PMP_LOG_INFO, "PMP-ACTOR-END", "env_steps=%" PRIu64, r.env_steps);
  pmp_rollout_fini(&r);
  return err;
}

/* ---- evaluating ---- */

/* Environment steps of the whole run, 0 when the daemon does not say. */
static uint64_t run_env_steps(struct control *c, struct pmpo *observer, struct pmp_arena *arena) {
  struct pmp_request request = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  pmp_arena_release(arena, 0);
  if (observer == NULL || pmpo_request(observer, &request, arena, &reply, FETCH_MS, NULL) != PMP_OK)
    return 0;
  (void)c;
  for (uint32_t i = 0; i < reply.u.status.numbers; i++)
    if (strcmp(reply.u.status.number[i].name, STATUS_ENV_STEPS) == 0)
      return (uint64_t)reply.u.status.number[i].value;
  return 0;
}

/* Newer weights than those in use. */
static enum pmp_err fetch_newer(struct control *c, struct pmp_errmsg *msg) {
  for (;;) {
    enum pmp_err err = pmpo_policy_fetch(c->session.policy, FETCH_MS, msg);
    if (err != PMP_ENOTFOUND) return err;
    if (pmp_stop_requested(&c->session.stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
  }
}

static void report_evaluation(struct control *c, const struct pmp_evaluation *e,
                              uint64_t env_steps) {
  const struct pmp_number value[] = {{"eval_return", e->mean},
                                     {"eval_return_min", e->min},
                                     {"eval_return_max", e->max},
                                     {"eval_episodes", e->episodes}};
  pmp_session_report(&c->session, value, sizeof value / sizeof value[0], env_steps);
  printf("eval_return=%.1f min=%.1f max=%.1f episodes=%u version=%" PRIu64 " learner_step=%" PRIu64
         " env_steps=%" PRIu64 "\n",
         e->mean, e->min, e->max, e->episodes, e->version, e->learner_step, env_steps);
  fflush(stdout);
}

/* Sleeps out the period. */
static enum pmp_err wait_period(struct control *c, int64_t start_ns, struct pmp_errmsg *msg) {
  struct pmp_clock clock = pmp_clock_real();
  int64_t end_ns = start_ns + (int64_t)(c->period * 1e9);
  while (pmp_clock_mono(&clock) < end_ns) {
    if (pmp_stop_requested(&c->session.stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
    struct timespec t = {.tv_nsec = 50000000};
    nanosleep(&t, NULL);
  }
  return PMP_OK;
}

static enum pmp_err evaluate_loop(struct control *c, struct pmp_env_batch *b, struct pmpo *observer,
                                  struct pmp_arena *arena, struct pmp_errmsg *msg) {
  struct pmp_clock clock = pmp_clock_real();
  struct pmp_rng rng;
  pmp_session_rng(c->common.name, c->session.seed, 0, PURPOSE_SAMPLE, 0, &rng);
  for (;;) {
    int64_t start_ns = pmp_clock_mono(&clock);
    struct pmp_evaluation e;
    PMP_TRY(fetch_newer(c, msg));
    uint64_t env_steps = run_env_steps(c, observer, arena); /* when the weights were as they are */
    PMP_TRY(pmp_evaluate(b, &c->session, c->episodes, c->sample ? &rng : NULL, &e, msg));
    report_evaluation(c, &e, env_steps);
    if (c->once) return PMP_OK;
    PMP_TRY(wait_period(c, start_ns, msg));
  }
}

static uint32_t evaluation_envs(const struct control *c) {
  return c->episodes < EVALUATION_ENVS_MAX ? c->episodes : EVALUATION_ENVS_MAX;
}

static enum pmp_err run_evaluator(struct control *c, struct pmp_errmsg *msg) {
  uint64_t stream[EVALUATION_ENVS_MAX];
  uint32_t envs = evaluation_envs(c);
  for (uint32_t i = 0; i < envs; i++)
    stream[i] = pmp_session_stream(c->common.name, 0, PURPOSE_EVALUATION, i);
  const struct pmp_env_batch_config config = {.model = &c->model,
                                              .envs = envs,
                                              .threads = c->threads < envs ? c->threads : envs,
                                              .seed = c->session.seed,
                                              .stream = stream};
  const struct pmpo_options options = {.url = c->common.url,
                                       .role = PMP_ROLE_OBSERVER,
                                       .name = c->common.name,
                                       .client = KIND,
                                       .connect_ms = c->common.connect_ms,
                                       .stop = &c->session.stop.requested};
  struct pmp_env_batch b = {0};
  struct pmp_arena arena = {0};
  struct pmpo *observer = NULL; /* actors may not ask for the status */
  enum pmp_err err = pmp_arena_init(&arena, 1 << 20);
  if (err == PMP_OK) err = pmp_env_batch_init(&b, &config, msg);
  if (err == PMP_OK && pmpo_open(&observer, &options, msg) != PMP_OK)
    pmp_log_write(&c->session.log, PMP_LOG_WARN, "PMP-ACTOR-STATUS", "reason=\"%s\"", msg->text);
  if (err == PMP_OK) err = evaluate_loop(c, &b, observer, &arena, msg);
  pmpo_close(observer);
  pmp_env_batch_fini(&b);
  pmp_arena_fini(&arena);
  return err;
}

/* ---- main ---- */

static enum pmp_err run(struct control *c, struct pmp_errmsg *msg) {
  const struct pmp_session_config config = {.options = &c->common,
                                            .kind = KIND,
                                            .rows_max = c->evaluate ? evaluation_envs(c) : c->envs,
                                            .follow = !c->evaluate,
                                            .which =
                                                c->policy ? PMP_WHICH_POLICY : PMP_WHICH_REFERENCE,
                                            .fits = fits,
                                            .ctx = c};
  enum pmp_err err = pmp_session_open(&c->session, &config, msg);
  if (err == PMP_OK) err = policy_fits(c, msg);
  if (err == PMP_OK) err = load_model(c, msg);
  if (err == PMP_OK) err = c->evaluate ? run_evaluator(c, msg) : run_actor(c, msg);
  err = pmp_session_outcome(&c->session, KIND, err, msg);
  pmp_session_close(&c->session);
  pmp_env_model_free(&c->model);
  return err;
}

int pmp_control_main(int argc, char **argv) {
  struct control c = {0};
  struct pmp_errmsg msg = {{0}};
  bool done;
  if (parse(&c, argc, argv, &done, &msg) != PMP_OK) {
    fprintf(stderr, "pmpo-actor " KIND ": %s\n", msg.text);
    return PMP_EXIT_USAGE;
  }
  if (done) return PMP_EXIT_OK;
  if (c.list) {
    list_tasks();
    return PMP_EXIT_OK;
  }
  enum pmp_err err = run(&c, &msg);
  return err == PMP_OK ? PMP_EXIT_OK : pmp_options_fail(KIND, err, &msg);
}
