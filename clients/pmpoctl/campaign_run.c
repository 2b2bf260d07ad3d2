#include "clients/pmpoctl/campaign_run.h"

#include "base/arena.h"
#include "base/fs.h"
#include "clients/pmpoctl/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t)4 << 20)
#define CONFIG_MAX ((size_t)1 << 20)
#define ATTEMPTS_MAX 3 /* new starts after children that were killed */
#define POLL_S 0.5     /* between two looks at a run that trains */
#define POLL_SETTLING_S 0.1
#define REQUEST_MS 2000
#define CONNECT_MS 2000
#define SILENT_S 300.0 /* a daemon that does not answer for so long has failed */
#define FOLDER_S 180.0 /* for another process to leave the folder */
#define STILL_S 1800.0 /* no step, neither of the environment nor of the learner */
#define EVALUATING_S 36000.0
#define STOPPING_S 120.0
#define OVERSHOOT 4096 /* steps past a mark at which an actor that lost its count is ended */

/* ---- beginning ---- */

static enum pmp_err copy_config(const struct pmp_active_run *r, struct pmp_errmsg *msg) {
  const struct pmp_fs *fs = pmp_fs_real();
  char path[PMP_CHILD_PATH_MAX + 16];
  void *data = NULL;
  size_t size = 0;
  PMP_TRY(fs->read_all(fs->self, r->world->campaign->base, CONFIG_MAX, &data, &size, msg));
  snprintf(path, sizeof path, "%s/config.yaml", r->dir);
  const void *part = data;
  const enum pmp_err err = pmp_fs_replace(fs, path, &part, &size, 1, msg);
  free(data);
  return err;
}

enum pmp_err pmp_campaign_run_begin(struct pmp_active_run *r, const struct pmp_campaign_world *w,
                                    struct pmp_campaign_run_id id, struct pmp_errmsg *msg) {
  const struct pmp_fs *fs = pmp_fs_real();
  struct pmp_ledger_run known;
  memset(r, 0, sizeof *r);
  r->world = w;
  r->id = id;
  pmp_campaign_run_name(w->campaign, id, r->name);
  pmp_campaign_run_folder(w, id, r->dir);
  PMP_TRY(fs->make_dir(fs->self, r->dir, msg));
  PMP_TRY(copy_config(r, msg));
  PMP_TRY(pmp_arena_init(&r->arena, ARENA_BYTES));
  pmp_ledger_run_of(w->ledger, w->campaign, id, &known);
  r->begin_s = r->phase_s = r->moved_s = pmp_ctl_now();
  if (known.mark > 0 && !pmp_campaign_run_has_store(r->dir)) {
    /* The run itself is gone: its evaluations were of another life. */
    struct pmp_ledger_line line = *known.last;
    line.env_steps = line.learner_steps = line.episodes = 0;
    line.wall_s = 0;
    line.eval_return = line.eval_min = line.eval_max = line.eval_sem = NAN;
    line.final = false;
    snprintf(line.status, sizeof line.status, PMP_LEDGER_RESTARTED);
    PMP_TRY(pmp_ledger_append(w->ledger, &line, msg));
    pmp_ledger_run_of(w->ledger, w->campaign, id, &known);
  }
  r->wall_base_s = known.wall_s;
  r->mark = known.mark + 1;
  return PMP_OK;
}

double pmp_campaign_run_wall(const struct pmp_active_run *r) {
  return r->wall_base_s + pmp_ctl_now() - r->begin_s;
}

double pmp_campaign_run_rate(const struct pmp_active_run *r) {
  const double seconds = pmp_ctl_now() - r->learn_begin_s;
  if (r->learn_begin_s <= 0 || r->env_steps <= r->learn_begin_steps || seconds < 1) return NAN;
  return (double)(r->env_steps - r->learn_begin_steps) / seconds;
}

static void enter(struct pmp_active_run *r, enum pmp_campaign_run_phase phase) {
  r->phase = phase;
  r->phase_s = r->moved_s = pmp_ctl_now();
}

/* ---- ending ---- */

void pmp_campaign_run_stop(struct pmp_active_run *r) {
  if (r->phase >= PMP_RUN_STOPPING) return;
  pmpo_close(r->client);
  r->client = NULL;
  pmp_child_signal(&r->evaluator, SIGTERM);
  pmp_child_signal(&r->actor, SIGTERM);
  /* The actors first, so that the daemon's last checkpoint has all that they sent. */
  if (r->actor.pid == 0 && r->evaluator.pid == 0) pmp_child_signal(&r->daemon, SIGTERM);
  enter(r, PMP_RUN_STOPPING);
}

static void fail(struct pmp_active_run *r, const char *fmt, ...) PMP_PRINTF(2, 3);
static void fail(struct pmp_active_run *r, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vsnprintf(r->reason, sizeof r->reason, fmt, args);
  va_end(args);
  r->failed = true;
  pmp_campaign_run_stop(r);
}

void pmp_campaign_run_fini(struct pmp_active_run *r) {
  pmpo_close(r->client);
  r->client = NULL;
  pmp_child_end(&r->evaluator, 0);
  pmp_child_end(&r->actor, 0);
  pmp_child_end(&r->daemon, 0);
  pmp_arena_fini(&r->arena);
}

/* What is said of all lines of this run. */
static void fill(const struct pmp_active_run *r, struct pmp_ledger_line *line) {
  const struct pmp_campaign *c = r->world->campaign;
  const struct pmp_campaign_variant *v = &c->variant[r->id.variant];
  snprintf(line->campaign, sizeof line->campaign, "%s", c->name);
  snprintf(line->task, sizeof line->task, "%s", c->task[r->id.task].name);
  snprintf(line->variant, sizeof line->variant, "%s", v->name);
  snprintf(line->version, sizeof line->version, "%s", r->world->version);
  snprintf(line->hash, sizeof line->hash, "%s", v->hash);
  line->seed = c->seed[r->id.seed];
  line->env_steps = r->env_steps;
  line->learner_steps = r->learner_steps;
  line->wall_s = pmp_campaign_run_wall(r);
}

static enum pmp_err record_failure(struct pmp_active_run *r, struct pmp_errmsg *msg) {
  struct pmp_ledger_line line = {
      .eval_return = NAN, .eval_min = NAN, .eval_max = NAN, .eval_sem = NAN};
  fill(r, &line);
  snprintf(line.status, sizeof line.status, PMP_LEDGER_FAILED "%.200s", r->reason);
  return pmp_ledger_append(r->world->ledger, &line, msg);
}

static enum pmp_err step_stopping(struct pmp_active_run *r, struct pmp_errmsg *msg) {
  int status;
  const bool late = pmp_ctl_now() - r->phase_s > STOPPING_S;
  const bool acting = r->actor.pid != 0 || r->evaluator.pid != 0;
  if (late) {
    pmp_child_signal(&r->evaluator, SIGKILL);
    pmp_child_signal(&r->actor, SIGKILL);
    pmp_child_signal(&r->daemon, SIGKILL);
  }
  (void)pmp_child_ended(&r->evaluator, &status);
  (void)pmp_child_ended(&r->actor, &status);
  (void)pmp_child_ended(&r->daemon, &status);
  if (r->actor.pid != 0 || r->evaluator.pid != 0) return PMP_OK;
  if (acting) pmp_child_signal(&r->daemon, SIGTERM);
  if (r->daemon.pid != 0) return PMP_OK;
  enter(r, PMP_RUN_ENDED);
  if (r->failed) return record_failure(r, msg);
  if (r->done && !r->world->campaign->keep) pmp_campaign_run_clean(r->dir);
  return PMP_OK;
}

/* A child was killed: that says nothing against the run, which goes on from its folder. An actor
 * whose daemon was killed may have ended with a status of its own. */
static void again(struct pmp_active_run *r, const struct pmp_child *child, int status) {
  char reason[PMP_LEDGER_STATUS_MAX];
  int other;
  if (child != &r->daemon && pmp_child_ended(&r->daemon, &other) && WIFSIGNALED(other)) {
    child = &r->daemon;
    status = other;
  }
  pmp_child_reason(child, status, reason, sizeof reason);
  if (WIFEXITED(status) || ++r->attempts > ATTEMPTS_MAX) {
    fail(r, "%s (runs/%s)", reason, r->name);
    return;
  }
  pmpo_close(r->client);
  r->client = NULL;
  pmp_child_end(&r->evaluator, 5);
  pmp_child_end(&r->actor, 5);
  pmp_child_end(&r->daemon, 30);
  enter(r, PMP_RUN_FOLDER);
}

/* ---- the daemon ---- */

/* Another process may still be writing its last checkpoint there. */
static bool folder_is_free(const struct pmp_active_run *r) {
  char path[PMP_CHILD_PATH_MAX + 16];
  snprintf(path, sizeof path, "%s/store.db.lock", r->dir);
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return true;
  const bool is_free = flock(fd, LOCK_EX | LOCK_NB) == 0;
  close(fd);
  return is_free;
}

static void step_folder(struct pmp_active_run *r) {
  struct pmp_words w = {.words = 0};
  struct pmp_errmsg msg = {{0}};
  char path[PMP_CHILD_PATH_MAX + 16];
  if (!folder_is_free(r)) {
    if (pmp_ctl_now() - r->phase_s > FOLDER_S) fail(r, "runs/%s is in use", r->name);
    return;
  }
  snprintf(path, sizeof path, "%s/endpoints.json", r->dir);
  unlink(path);
  snprintf(path, sizeof path, "%s/pmpod.log", r->dir);
  pmp_campaign_run_daemon_words(r->world, r->id, &w);
  if (pmp_child_start(&r->daemon, "pmpod", &w, path, NULL, SIGTERM, &msg) != PMP_OK) {
    fail(r, "%s", msg.text);
    return;
  }
  r->answered_s = pmp_ctl_now();
  enter(r, PMP_RUN_STARTING);
}

static bool read_endpoints(struct pmp_active_run *r) {
  char path[PMP_CHILD_PATH_MAX + 16];
  const char *desk = NULL;
  json_int_t pid = 0;
  snprintf(path, sizeof path, "%s/endpoints.json", r->dir);
  json_t *j = json_load_file(path, 0, NULL);
  const bool good = j != NULL && json_unpack(j, "{s:s, s:I}", "desk", &desk, "pid", &pid) == 0 &&
                    pid == (json_int_t)r->daemon.pid && strlen(desk) < sizeof r->url;
  if (good) strcpy(r->url, desk);
  json_decref(j);
  return good;
}

static bool connect_to(struct pmp_active_run *r) {
  const struct pmpo_options options = {.url = r->url,
                                       .role = PMP_ROLE_OBSERVER,
                                       .client = "pmpoctl campaign",
                                       .connect_ms = CONNECT_MS,
                                       .stop = r->world->stop};
  return pmpo_open(&r->client, &options, NULL) == PMP_OK;
}

/* Asks for the status once every `period`; true: there is a new answer. */
static bool look(struct pmp_active_run *r, double period) {
  const struct pmp_request q = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  const double now = pmp_ctl_now();
  if (r->client == NULL || now - r->asked_s < period) return false;
  r->asked_s = now;
  pmp_arena_release(&r->arena, 0);
  if (pmpo_request(r->client, &q, &r->arena, &reply, REQUEST_MS, NULL) != PMP_OK) return false;
  const struct pmp_status_reply *s = &reply.u.status;
  const double env = pmp_answer_number(s->number, s->numbers, "env.steps");
  const double steps = pmp_answer_number(s->number, s->numbers, "learner.steps");
  const char *state = pmp_answer_text(s->text, s->texts, "state");
  const char *reason = pmp_answer_text(s->text, s->texts, "reason");
  const uint64_t env_before = r->env_steps, steps_before = r->learner_steps;
  if (env >= 0) r->env_steps = (uint64_t)env;
  if (steps >= 0) r->learner_steps = (uint64_t)steps;
  snprintf(r->state, sizeof r->state, "%.31s", state != NULL ? state : "");
  snprintf(r->state_reason, sizeof r->state_reason, "%.159s", reason != NULL ? reason : "");
  r->answered_s = pmp_ctl_now();
  if (r->env_steps != env_before || r->learner_steps != steps_before) r->moved_s = r->answered_s;
  return true;
}

/* Whatever a daemon may come to while it should serve; true: the run is over or begins again. */
static bool daemon_trouble(struct pmp_active_run *r) {
  int status;
  const double now = pmp_ctl_now();
  if (pmp_child_ended(&r->daemon, &status)) {
    again(r, &r->daemon, status);
    return true;
  }
  if (now - r->answered_s > SILENT_S) {
    fail(r, "pmpod does not answer (runs/%s/pmpod.log)", r->name);
    return true;
  }
  if (strcmp(r->state, "paused") == 0 || strcmp(r->state, "failed") == 0) {
    fail(r, "the learner is %s: %s (runs/%s/pmpod.log)", r->state, r->state_reason, r->name);
    return true;
  }
  const bool steps = r->phase == PMP_RUN_TRAINING || r->phase == PMP_RUN_SETTLING;
  if (steps && now - r->moved_s > STILL_S) {
    fail(r, "no step for %.0f min: %s (runs/%s)", STILL_S / 60, r->state_reason, r->name);
    return true;
  }
  return false;
}

/* ---- towards a mark ---- */

static void train(struct pmp_active_run *r) {
  struct pmp_words w = {.words = 0};
  struct pmp_errmsg msg = {{0}};
  char path[PMP_CHILD_PATH_MAX + 16];
  const uint64_t target = pmp_campaign_mark(r->world->campaign, r->mark) + r->extra;
  snprintf(path, sizeof path, "%s/actor.log", r->dir);
  pmp_campaign_run_actor_words(r->world, r->id, r->url, target, &w);
  if (pmp_child_start(&r->actor, "the actor", &w, path, NULL, SIGKILL, &msg) != PMP_OK) {
    fail(r, "%s", msg.text);
    return;
  }
  if (r->learn_begin_s <= 0) {
    r->learn_begin_s = pmp_ctl_now();
    r->learn_begin_steps = r->env_steps;
  }
  enter(r, PMP_RUN_TRAINING);
}

static void step_starting(struct pmp_active_run *r) {
  if (daemon_trouble(r)) return;
  if (r->client == NULL && (!read_endpoints(r) || !connect_to(r))) return;
  if (!look(r, POLL_SETTLING_S) || strcmp(r->state, "loading") == 0) return;
  r->lockstep = pmpo_run(r->client)->lockstep;
  train(r);
}

static void step_training(struct pmp_active_run *r) {
  int status;
  const uint64_t mark = pmp_campaign_mark(r->world->campaign, r->mark);
  if (daemon_trouble(r)) return;
  const bool fresh = look(r, POLL_S);
  if (pmp_child_ended(&r->actor, &status)) {
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      again(r, &r->actor, status);
    else
      enter(r, PMP_RUN_SETTLING);
  } else if (fresh && r->env_steps >= mark + OVERSHOOT) {
    pmp_child_signal(&r->actor, SIGTERM); /* its own count began anew; the daemon's did not */
  }
}

static void evaluate(struct pmp_active_run *r) {
  struct pmp_words w = {.words = 0};
  struct pmp_errmsg msg = {{0}};
  char log[PMP_CHILD_PATH_MAX + 16], out[PMP_CHILD_PATH_MAX + 16];
  snprintf(log, sizeof log, "%s/evaluator.log", r->dir);
  snprintf(out, sizeof out, "%s/evaluation.txt", r->dir);
  pmp_campaign_run_evaluator_words(r->world, r->id, r->url, r->mark, &w);
  if (pmp_child_start(&r->evaluator, "the evaluator", &w, log, out, SIGKILL, &msg) != PMP_OK) {
    fail(r, "%s", msg.text);
    return;
  }
  enter(r, PMP_RUN_EVALUATING);
}

/* The actor is done; the learner must be too. In lockstep it is, as the last rows are acknowledged;
 * else it says that it waits. */
static void step_settling(struct pmp_active_run *r) {
  const uint64_t mark = pmp_campaign_mark(r->world->campaign, r->mark);
  if (daemon_trouble(r) || !look(r, POLL_SETTLING_S)) return;
  const bool waits = strcmp(r->state, "waiting") == 0 || strcmp(r->state, "finished") == 0;
  if (r->env_steps >= mark && (r->lockstep || waits)) {
    evaluate(r);
  } else if (r->env_steps < mark && waits) {
    /* Steps that never reached the store, of episodes that diverged: they are made up for. */
    if (strcmp(r->state, "finished") == 0 || ++r->makeups > 100) {
      fail(r, "the run ends before the mark: %s (runs/%s)", r->state_reason, r->name);
      return;
    }
    r->extra += mark - r->env_steps;
    train(r);
  }
}

/* ---- at a mark ---- */

static enum pmp_err finish_mark(struct pmp_active_run *r, struct pmp_errmsg *msg) {
  PMP_TRY(pmp_ledger_append(r->world->ledger, &r->line, msg));
  r->evaluated = true;
  r->attempts = 0;
  r->makeups = 0;
  r->mark++;
  if (r->line.final) {
    r->done = true;
    pmp_campaign_run_stop(r);
  } else {
    train(r);
  }
  return PMP_OK;
}

static void export_weights(struct pmp_active_run *r) {
  struct pmp_words w = {.words = 0};
  struct pmp_errmsg msg = {{0}};
  char log[PMP_CHILD_PATH_MAX + 16];
  snprintf(log, sizeof log, "%s/export.log", r->dir);
  pmp_words_add(&w, "%s/pmpoctl", r->world->bin);
  pmp_words_add(&w, "--connect");
  pmp_words_add(&w, "%s", r->url);
  pmp_words_add(&w, "--timeout");
  pmp_words_add(&w, "60");
  pmp_words_add(&w, "export");
  pmp_words_add(&w, "%s/final.safetensors", r->dir);
  if (pmp_child_start(&r->evaluator, "the export", &w, log, NULL, SIGKILL, &msg) != PMP_OK) {
    fail(r, "%s", msg.text);
    return;
  }
  enter(r, PMP_RUN_EXPORTING);
}

static bool read_evaluation(struct pmp_active_run *r) {
  char path[PMP_CHILD_PATH_MAX + 32], text[1024];
  struct pmp_errmsg msg = {{0}};
  snprintf(path, sizeof path, "%s/evaluation.txt", r->dir);
  FILE *in = fopen(path, "re");
  const size_t n = in != NULL ? fread(text, 1, sizeof text - 1, in) : 0;
  text[n] = '\0';
  if (in != NULL) fclose(in);
  r->line = (struct pmp_ledger_line){.final = r->mark == pmp_campaign_marks(r->world->campaign)};
  fill(r, &r->line);
  snprintf(r->line.status, sizeof r->line.status, PMP_LEDGER_OK);
  if (pmp_campaign_run_read_evaluation(text, &r->line, &msg) == PMP_OK) return true;
  fail(r, "%s (runs/%s/evaluator.log)", msg.text, r->name);
  return false;
}

static enum pmp_err step_evaluating(struct pmp_active_run *r, struct pmp_errmsg *msg) {
  int status;
  if (daemon_trouble(r)) return PMP_OK;
  (void)look(r, 1.0);
  if (pmp_ctl_now() - r->phase_s > EVALUATING_S) {
    fail(r, "the evaluation takes longer than %.0f h (runs/%s)", EVALUATING_S / 3600, r->name);
    return PMP_OK;
  }
  if (!pmp_child_ended(&r->evaluator, &status)) return PMP_OK;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    again(r, &r->evaluator, status);
    return PMP_OK;
  }
  if (r->phase == PMP_RUN_EXPORTING) return finish_mark(r, msg);
  if (!read_evaluation(r)) return PMP_OK;
  if (!r->line.final) return finish_mark(r, msg);
  export_weights(r);
  return PMP_OK;
}

enum pmp_err pmp_campaign_run_step(struct pmp_active_run *r, struct pmp_errmsg *msg) {
  switch (r->phase) {
  case PMP_RUN_FOLDER:
    step_folder(r);
    return PMP_OK;
  case PMP_RUN_STARTING:
    step_starting(r);
    return PMP_OK;
  case PMP_RUN_TRAINING:
    step_training(r);
    return PMP_OK;
  case PMP_RUN_SETTLING:
    step_settling(r);
    return PMP_OK;
  case PMP_RUN_EVALUATING:
  case PMP_RUN_EXPORTING:
    return step_evaluating(r, msg);
  case PMP_RUN_STOPPING:
    return step_stopping(r, msg);
  case PMP_RUN_ENDED:
    return PMP_OK;
  }
  return PMP_EINTERNAL;
}
