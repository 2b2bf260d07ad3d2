#include "actors/bandit/bandit.h"

#include "actors/bandit/function.h"
#include "actors/runtime/rows.h"
#include "actors/runtime/session.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIND "bandit"
/* f travels as float32; what is larger is as bad as this. */
#define VALUE_MAX 1e30

enum { REPORTED_MAX = 8, DIM_MAX = 4096, STATE_VERSION = 1, PURPOSE_ACTIONS = 2 };

/* What a killed actor goes on from. */
struct state {
  uint32_t version, samples, groups, dim;
  char function[16];
  uint64_t seed, evaluations;
  double best; /* least value seen */
  struct pmp_rng rng;
};
_Static_assert(sizeof(struct state) == 16 + 16 + 24 + 48, "the state has no padding");

struct bandit {
  struct pmp_actor_options common;
  const char *function_name;
  uint32_t dim, samples, groups;
  uint64_t max_evaluations, report_every;
  bool unjudged; /* no function: people say what is good */
  const struct pmp_function *function;
  struct pmp_actor_session session;
  struct pmp_rows rows;
  struct state state;
  uint64_t reported; /* evaluations at the last report */
  double x[DIM_MAX];
};

static enum pmp_err parse(struct bandit *b, int argc, char **argv, bool *done,
                          struct pmp_errmsg *msg) {
  const struct pmp_opt own[] = {
      {"function", PMP_OPT_TEXT, &b->function_name, 0, 0, "NAME",
       "sphere, rosenbrock, schwefel, cigar, diffpow, elli (the run's task)", NULL},
      {"dim", PMP_OPT_U32, &b->dim, 1, DIM_MAX, "N", "dimensions (the run's)", NULL},
      {"samples", PMP_OPT_U32, &b->samples, 1, 4096, "N", "outcomes of a group (4)", NULL},
      {"chunk-groups", PMP_OPT_U32, &b->groups, 1, 65536, "N", "groups sent at once (1)", NULL},
      {"max-evaluations", PMP_OPT_U64, &b->max_evaluations, 1, 9007199254740992.0, "N",
       "stop after so many", NULL},
      {"report-every", PMP_OPT_U64, &b->report_every, 0, 9007199254740992.0, "N",
       "evaluations between reports of f_mean and f_best (400; 0: none)", NULL},
      {"unjudged", PMP_OPT_FLAG, &b->unjudged, 0, 0, NULL,
       "no function: send bare outcomes for people to judge; reports y_mean_0, ...", NULL},
  };
  b->samples = 4;
  b->groups = 1;
  b->report_every = 400;
  PMP_TRY(pmp_options_parse(argc, argv, "a function to minimise, drawing from the run's reference",
                            own, sizeof own / sizeof own[0], &b->common, done, msg));
  if (b->common.name == NULL) b->common.name = KIND;
  if (b->unjudged && b->function_name != NULL)
    return pmp_fail(msg, PMP_EINVALID, "--unjudged is without a --function");
  return b->function_name != NULL ? pmp_function_find(b->function_name, &b->function, msg) : PMP_OK;
}

static enum pmp_err fits(void *ctx, const struct pmp_spec *spec, struct pmp_errmsg *msg) {
  struct bandit *b = ctx;
  const char *name = b->function_name != NULL ? b->function_name : spec->task;
  if (!b->unjudged) {
    if (name[0] == '\0')
      return pmp_fail(msg, PMP_EINVALID,
                      "the run names no function: use --function, or --unjudged for people");
    PMP_TRY(pmp_function_find(name, &b->function, msg));
  }
  if (b->dim == 0) b->dim = spec->action.dim;
  if (spec->task[0] != '\0' && strcmp(spec->task, name) != 0)
    return pmp_fail(msg, PMP_ECONFLICT, "the run learns %s, not %s", spec->task, name);
  if (spec->shape != PMP_SHAPE_OUTCOMES || spec->obs_parts != 0)
    return pmp_fail(msg, PMP_ECONFLICT, "the run does not take outcomes without a condition");
  if (spec->action.kind != PMP_ACTION_BOX)
    return pmp_fail(msg, PMP_ECONFLICT, "the run's outcomes are no vectors");
  if (spec->action.dim != b->dim || b->dim > DIM_MAX)
    return pmp_fail(msg, PMP_ECONFLICT, "the run's outcomes have %u dimensions, not %u",
                    spec->action.dim, b->dim);
  return PMP_OK;
}

/* The function at an outcome that has been clipped to the run's box. */
static double evaluate(struct bandit *b, const float *y) {
  float action[DIM_MAX];
  pmpo_policy_action(b->session.policy, 1, y, action);
  for (uint32_t i = 0; i < b->dim; i++) b->x[i] = (double)action[i];
  if (b->unjudged) return 0;
  double value = b->function->value(b->x, b->dim);
  return value < VALUE_MAX ? value : VALUE_MAX;
}

/* ---- state ---- */

static void fresh_state(struct bandit *b, uint64_t salt) {
  struct state *s = &b->state;
  memset(s, 0, sizeof *s);
  s->version = STATE_VERSION;
  s->samples = b->samples;
  s->groups = b->groups;
  s->dim = b->dim;
  const char *name = b->unjudged ? "(unjudged)" : b->function->name;
  memcpy(s->function, name, strlen(name) + 1);
  s->seed = b->session.seed;
  s->best = VALUE_MAX;
  pmp_session_rng(b->common.name, s->seed, salt, PURPOSE_ACTIONS, 0, &s->rng);
}

static enum pmp_err resume(struct bandit *b, struct pmp_errmsg *msg) {
  const struct pmp_hello_reply *run = pmpo_run(b->session.client);
  struct state stored;
  fresh_state(b, 0);
  if (run->actor_rows == 0) return PMP_OK;
  bool fit = run->actor_state.size == sizeof stored;
  if (fit) {
    memcpy(&stored, run->actor_state.data, sizeof stored);
    const struct state *s = &b->state;
    fit = stored.version == s->version && stored.samples == s->samples &&
          stored.groups == s->groups && stored.dim == s->dim &&
          memcmp(stored.function, s->function, sizeof s->function) == 0 && stored.seed == s->seed &&
          stored.rng.used <= 4;
  }
  if (fit) {
    b->state = stored;
    pmp_log_write(&b->session.log, PMP_LOG_INFO, "PMP-ACTOR-RESUMED", "evaluations=%" PRIu64,
                  stored.evaluations);
    return PMP_OK;
  }
  if (b->session.lockstep)
    return pmp_fail(msg, PMP_ECONFLICT,
                    "this actor cannot go on where it was: the stored state is of other settings");
  pmp_log_write(&b->session.log, PMP_LOG_WARN, "PMP-ACTOR-ANEW",
                "reason=\"the stored state is of other settings\"");
  fresh_state(b, run->actor_rows);
  return PMP_OK;
}

/* ---- acting ---- */

static enum pmp_err collect(struct bandit *b, struct pmp_errmsg *msg) {
  struct pmp_rows *r = &b->rows;
  uint32_t rows = b->groups * b->samples;
  PMP_TRY(pmp_session_refresh(&b->session, msg));
  PMP_TRY(pmpo_policy_sample(b->session.policy, 1, rows, NULL, &b->state.rng, r->action, msg));
  uint64_t version = pmpo_policy_version(b->session.policy, NULL);
  for (uint32_t i = 0; i < rows; i++) {
    double value = evaluate(b, r->action + (size_t)i * b->dim);
    if (value < b->state.best) b->state.best = value;
    r->f[i] = (float)-value;
    r->group[i] = i / b->samples;
    r->version[i] = version;
  }
  r->count = rows;
  b->state.evaluations += rows;
  return PMP_OK;
}

static enum pmp_err report(struct bandit *b, struct pmp_errmsg *msg) {
  float mean[DIM_MAX];
  PMP_TRY(pmpo_policy_mode(b->session.policy, 1, NULL, mean, msg));
  b->reported = b->state.evaluations;
  if (b->unjudged) {
    struct pmp_number y[REPORTED_MAX];
    char name[REPORTED_MAX][16];
    const uint32_t n = b->dim < REPORTED_MAX ? b->dim : REPORTED_MAX;
    for (uint32_t i = 0; i < n; i++) {
      snprintf(name[i], sizeof name[i], "y_mean_%u", i);
      y[i] = (struct pmp_number){name[i], (double)mean[i]};
    }
    pmp_session_report(&b->session, y, n, b->state.evaluations);
    return PMP_OK;
  }
  const struct pmp_number value[] = {{"f_mean", evaluate(b, mean)}, {"f_best", b->state.best}};
  pmp_session_report(&b->session, value, 2, b->state.evaluations);
  return PMP_OK;
}

static enum pmp_err act(struct bandit *b, struct pmp_errmsg *msg) {
  b->reported = b->state.evaluations;
  while (b->max_evaluations == 0 || b->state.evaluations < b->max_evaluations) {
    struct pmp_chunk chunk;
    if (pmp_stop_requested(&b->session.stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
    PMP_TRY(pmp_session_begin(&b->session, msg));
    PMP_TRY(collect(b, msg));
    pmp_rows_chunk(&b->rows, &chunk);
    if (b->unjudged) chunk.f = NULL;
    PMP_TRY(pmpo_append(b->session.client, &chunk, (struct pmp_bytes){&b->state, sizeof b->state},
                        msg));
    if (b->report_every != 0 && b->state.evaluations - b->reported >= b->report_every)
      PMP_TRY(report(b, msg));
  }
  return pmpo_flush(b->session.client, -1, msg);
}

static enum pmp_err run_session(struct bandit *b, struct pmp_errmsg *msg) {
  const struct pmp_hello_reply *hello = pmpo_run(b->session.client);
  uint64_t rows = (uint64_t)b->groups * b->samples;
  if (rows > hello->limits.chunk_rows)
    return pmp_fail(msg, PMP_EINVALID,
                    "a chunk would have %" PRIu64 " rows; the run takes at most %u", rows,
                    hello->limits.chunk_rows);
  if (pmpo_policy_model(b->session.policy)->spec.dist.dim != b->dim)
    return pmp_fail(msg, PMP_ECONFLICT,
                    "the run's policy has another number of dimensions than its outcomes");
  const struct pmp_rows_config config = {.spec = &hello->spec, .capacity = (uint32_t)rows};
  PMP_TRY(pmp_rows_init(&b->rows, &config, msg));
  PMP_TRY(resume(b, msg));
  return act(b, msg);
}

static enum pmp_err run(struct bandit *b, struct pmp_errmsg *msg) {
  const struct pmp_session_config config = {
      .options = &b->common, .kind = KIND, .rows_max = 1, .follow = true, .fits = fits, .ctx = b};
  enum pmp_err err = pmp_session_open(&b->session, &config, msg);
  if (err == PMP_OK) err = run_session(b, msg);
  err = pmp_session_outcome(&b->session, KIND, err, msg);
  if (b->state.evaluations > 0)
    pmp_log_write(&b->session.log, PMP_LOG_INFO, "PMP-ACTOR-END", "evaluations=%" PRIu64 " best=%g",
                  b->state.evaluations, b->state.best);
  pmp_session_close(&b->session);
  pmp_rows_fini(&b->rows);
  return err;
}

int pmp_bandit_main(int argc, char **argv) {
  struct pmp_errmsg msg = {{0}};
  bool done;
  int code;
  struct bandit *b = calloc(1, sizeof *b); /* more than a stack should hold */
  if (b == NULL) return PMP_EXIT_FAILED;
  if (parse(b, argc, argv, &done, &msg) != PMP_OK) {
    fprintf(stderr, "pmpo-actor " KIND ": %s\n", msg.text);
    code = PMP_EXIT_USAGE;
  } else if (done) {
    code = PMP_EXIT_OK;
  } else {
    enum pmp_err err = run(b, &msg);
    code = err == PMP_OK ? PMP_EXIT_OK : pmp_options_fail(KIND, err, &msg);
  }
  free(b);
  return code;
}
