#include "experiments/end_to_end.h"

#include "base/fs.h"
#include "experiments/bandit_grid.h"
#include "experiments/grid.h"
#include "experiments/names.h"
#include "policy/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { ARGS_MAX = 96, TEXT_MAX = 8192, EXPORT_MAX = 1 << 24 };

/* A command line: the words lie one behind the other in `text`. */
struct command {
  char text[TEXT_MAX];
  size_t used;
  char *argv[ARGS_MAX];
  int argc;
  bool full;
};

struct world {
  const struct pmp_experiment_options *options;
  struct pmp_bandit_run_config config;
  uint32_t steps;
  char folder[PMP_REPORT_PATH_MAX]; /* of this try: the run's folder and the logs */
  pid_t daemon, actor;              /* 0: none */
  struct pmp_bandit_run here;       /* the same run in this process */
  double there;                     /* f(mean) of the daemon's policy */
  double apart;                     /* largest difference of a parameter */
  double seconds;
};

PMP_PRINTF(2, 3) static void word(struct command *c, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const int n = vsnprintf(c->text + c->used, sizeof c->text - c->used, fmt, args);
  va_end(args);
  if (n < 0 || (size_t)n >= sizeof c->text - c->used || c->argc + 1 >= ARGS_MAX) {
    c->full = true;
    return;
  }
  c->argv[c->argc++] = c->text + c->used;
  c->argv[c->argc] = NULL;
  c->used += (size_t)n + 1;
}

PMP_PRINTF(2, 3) static void set(struct command *c, const char *fmt, ...) {
  char text[256];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  word(c, "--set");
  word(c, "%s", text);
}

/* ---------------------------------------------------------------- processes */

/* stdout and stderr to `log` in the folder, appended. */
static enum pmp_err spawn(const struct world *w, const struct command *c, const char *log,
                          pid_t *pid, struct pmp_errmsg *msg) {
  posix_spawn_file_actions_t actions;
  char path[PMP_REPORT_PATH_MAX + 32];
  if (c->full) return pmp_fail(msg, PMP_ETOOLARGE, "the command line is too long");
  snprintf(path, sizeof path, "%s/%s", w->folder, log);
  if (posix_spawn_file_actions_init(&actions) != 0)
    return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int rc = posix_spawn(pid, c->argv[0], &actions, NULL, c->argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (rc == 0) return PMP_OK;
  *pid = 0;
  return pmp_fail(msg, PMP_EUNAVAILABLE, "%s cannot be started: %s", c->argv[0], strerror(rc));
}

static void pause_ms(long ms) {
  const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

static enum pmp_err ended(const struct world *w, int status, const char *what, const char *log,
                          struct pmp_errmsg *msg) {
  return pmp_fail(msg, PMP_EINTERNAL, "%s ended with %s %d; %s/%s says why", what,
                  WIFEXITED(status) ? "status" : "signal",
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), w->folder, log);
}

/* Waits for its end; PMP_ECLOSED when asked to stop meanwhile (it still runs then), an error as
 * soon as the daemon that it talks to is gone. */
static enum pmp_err finish(struct world *w, pid_t *pid, const char *what, const char *log,
                           struct pmp_errmsg *msg) {
  int status = 0;
  for (;;) {
    if (waitpid(*pid, &status, WNOHANG) == *pid) break;
    if (pmp_grid_stopped(w->options->stop)) return PMP_ECLOSED;
    if (pid != &w->daemon && waitpid(w->daemon, &status, WNOHANG) == w->daemon) {
      w->daemon = 0;
      return ended(w, status, "pmpod", "pmpod.log", msg);
    }
    pause_ms(5);
  }
  *pid = 0;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? PMP_OK : ended(w, status, what, log, msg);
}

static void end(pid_t *pid) {
  if (*pid <= 0) return;
  kill(*pid, SIGKILL);
  waitpid(*pid, NULL, 0);
  *pid = 0;
}

/* pmpoctl with these words, stdout to `log`. */
static enum pmp_err ctl(struct world *w, const char *log, const char *const *words,
                        struct pmp_errmsg *msg) {
  struct command c = {.argc = 0};
  pid_t pid = 0;
  word(&c, "%s/pmpoctl", w->options->bin);
  word(&c, "--dir");
  word(&c, "%s/run", w->folder);
  word(&c, "--timeout");
  word(&c, "30");
  for (size_t i = 0; words[i] != NULL; i++) word(&c, "%s", words[i]);
  PMP_TRY(spawn(w, &c, log, &pid, msg));
  const enum pmp_err err = finish(w, &pid, "pmpoctl", log, msg);
  end(&pid);
  return err;
}

/* ---------------------------------------------------------------- the run there */

static void objective_settings(struct command *c, const struct pmp_bandit_method *m) {
  set(c, "objective.guard=off");
  set(c, "objective.alpha=%g", m->exact ? m->alpha : m->loss.alpha);
  if (m->exact) {
    set(c, "policy.covariance=full");
    set(c, "objective.improvement=exact");
    if (m->paths) {
      set(c, "objective.improvement_rule=paths");
      set(c, "objective.beta=auto");
      return;
    }
    set(c, "objective.improvement_rule=plain");
    set(c, "objective.beta_mean=%g", m->beta_mean);
    set(c, "objective.beta_std=%g", m->beta_cov);
    return;
  }
  set(c, "objective.name=%s", m->objective);
  set(c, "objective.beta=%g", m->loss.beta[0]);
  if (strcmp(m->objective, "dpo") == 0) set(c, "objective.tau=%g", m->loss.tau);
  if (strcmp(m->objective, "boltzmann") == 0) set(c, "objective.eta=%g", m->loss.eta);
}

/* The settings of the run in this process, in the daemon's words. */
static void daemon_command(const struct world *w, struct command *c) {
  const struct pmp_bandit_run_config *r = &w->config;
  const struct pmp_bandit_method *m = &r->method;
  word(c, "%s/pmpod", w->options->bin);
  word(c, "--dir");
  word(c, "%s/run", w->folder);
  set(c, "listen.desk=tcp://127.0.0.1:0");
  set(c, "listen.data=tcp://127.0.0.1:0");
  set(c, "run.lockstep=true");
  set(c, "run.seed=%llu", (unsigned long long)r->seed);
  set(c, "run.max_steps=%u", w->steps);
  set(c, "spec.task=%s", r->function->name);
  set(c, "spec.shape=outcomes");
  set(c, "spec.observation=[]");
  set(c, "spec.action=box");
  set(c, "spec.action_dim=%u", r->dim);
  set(c, "spec.action_low=%g", (double)-PMP_BANDIT_RUN_BOX);
  set(c, "spec.action_high=%g", (double)PMP_BANDIT_RUN_BOX);
  set(c, "policy.init_std=%g", (double)r->init_std);
  set(c, "policy.init_mean_range=%g", (double)r->init_mean_range);
  set(c, "policy.std_min=%.9g", (double)r->std_min);
  objective_settings(c, m);
  set(c, "label.judge=actor");
  set(c, "label.rule=top_k");
  set(c, "label.k=%u", r->accepted);
  set(c, "label.k_rejected=%u", r->rejected);
  set(c, "optim.lr=%.9g", (double)r->lr);
  set(c, "learner.batch=%u", r->samples);
  set(c, "learner.sampler=once");
  /* One row comes free, and a step takes a whole group: at 4/3 the first group pays its step, so
   * that every group is learned before the next is drawn. */
  set(c, "learner.samples_per_insert=%.9g", 1.001 * r->samples / (r->samples - 1.0));
  set(c, "learner.refresh_period=%u", r->refresh_period);
  set(c, "learner.min_size=1");
  set(c, "limits.chunk_rows=%u", r->samples);
}

static enum pmp_err start_actor(struct world *w, struct pmp_errmsg *msg) {
  struct command c = {.argc = 0};
  char path[PMP_REPORT_PATH_MAX + 32], url[256] = "";
  static const char *const ask[] = {"status", "desk_url", NULL};
  PMP_TRY(ctl(w, "desk", ask, msg));
  snprintf(path, sizeof path, "%s/desk", w->folder);
  FILE *in = fopen(path, "r");
  if (in == NULL || fgets(url, sizeof url, in) == NULL) url[0] = '\0';
  if (in != NULL) fclose(in);
  url[strcspn(url, "\n")] = '\0';
  word(&c, "%s/pmpo-actor", w->options->bin);
  word(&c, "bandit");
  word(&c, "--connect");
  word(&c, "%s", url);
  word(&c, "--samples");
  word(&c, "%u", w->config.samples);
  word(&c, "--max-evaluations");
  word(&c, "%llu", (unsigned long long)w->steps * w->config.samples);
  return spawn(w, &c, "actor.log", &w->actor, msg);
}

/* The exported policy against the one here. */
static enum pmp_err compare(struct world *w, struct pmp_errmsg *msg) {
  const struct pmp_fs *fs = pmp_fs_real();
  const struct pmp_policy *policy = &w->here.policy;
  char path[PMP_REPORT_PATH_MAX + 32];
  void *data = NULL;
  size_t size = 0;
  struct pmp_st_file file = {0};
  float *head = calloc(policy->head, sizeof *head);
  if (head == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  snprintf(path, sizeof path, "%s/policy.safetensors", w->folder);
  enum pmp_err err = fs->read_all(fs->self, path, EXPORT_MAX, &data, &size, msg);
  if (err == PMP_OK) err = pmp_st_parse(&file, data, size, msg);
  for (uint32_t i = 0; err == PMP_OK && i < policy->manifest.views; i++) {
    const struct pmp_view *view = &policy->manifest.view[i];
    const struct pmp_st_tensor *t = pmp_st_find(&file, view->name);
    if (t == NULL || t->dtype != PMP_ST_F32 || t->bytes != view->count * sizeof *head)
      err = pmp_fail(msg, PMP_ECORRUPT, "%s: no tensor %s of this policy", path, view->name);
    else
      memcpy(head + view->offset, t->data, t->bytes);
  }
  if (err == PMP_OK) {
    for (size_t i = 0; i < policy->head; i++)
      w->apart = fmax(w->apart, fabs((double)head[i] - (double)w->here.head[i]));
    struct pmp_bandit_run other = w->here; /* borrows its arrays; only the head is another */
    other.head = head;
    w->there = pmp_bandit_run_f_mean(&other);
  }
  pmp_st_fini(&file);
  free(data);
  free(head);
  return err;
}

static enum pmp_err play_there(struct world *w, struct pmp_errmsg *msg) {
  struct command c = {.argc = 0};
  char steps[32], path[PMP_REPORT_PATH_MAX + 32];
  const char *const up[] = {"wait", "state", "!=", "loading", "--timeout", "30", NULL};
  const char *const done[] = {"wait", "learner.steps", ">=", steps, "--timeout", "30", NULL};
  const char *const take[] = {"export", path, "--which", "policy", NULL};
  const char *const leave[] = {"stop", NULL};
  snprintf(steps, sizeof steps, "%u", w->steps);
  snprintf(path, sizeof path, "%s/policy.safetensors", w->folder);
  daemon_command(w, &c);
  PMP_TRY(spawn(w, &c, "pmpod.log", &w->daemon, msg));
  PMP_TRY(ctl(w, "ctl.log", up, msg));
  PMP_TRY(start_actor(w, msg));
  PMP_TRY(finish(w, &w->actor, "pmpo-actor", "actor.log", msg));
  PMP_TRY(ctl(w, "ctl.log", done, msg));
  PMP_TRY(ctl(w, "ctl.log", take, msg));
  PMP_TRY(ctl(w, "ctl.log", leave, msg));
  PMP_TRY(finish(w, &w->daemon, "pmpod", "pmpod.log", msg));
  return compare(w, msg);
}

/* ---------------------------------------------------------------- both */

static enum pmp_err configure(struct world *w, struct pmp_errmsg *msg) {
  struct pmp_experiment_options o = *w->options;
  struct pmp_bandit_grid g;
  const struct pmp_bandit_method *method = NULL;
  if (o.functions == NULL) o.functions = "sphere";
  if (o.dims == NULL) o.dims = "2";
  PMP_TRY(pmp_bandit_grid_init(&g, "bandits", &o, msg));
  for (size_t i = 0; method == NULL && pmp_bandit_method_at(i) != NULL; i++) {
    if (pmp_names_listed(o.methods, pmp_bandit_method_at(i)->name))
      method = pmp_bandit_method_at(i);
  }
  pmp_bandit_run_defaults(&w->config, g.function[0], method, g.dim[0], 1);
  /* As many evaluations, whatever the groups. */
  const uint32_t whole = o.quick ? 1000 : pmp_bandit_grid_whole(g.dim[0]);
  w->steps = o.steps > 0 ? o.steps : (4 * whole + w->config.samples - 1) / w->config.samples;
  w->config.std_min = 1e-7F;   /* daemons take no less than 1e-8 */
  w->config.resolution = 1e-6; /* theirs */
  /* Nor do they accept none of a group; with alpha 0 what is accepted weighs nothing. */
  if (w->config.accepted == 0) w->config.accepted = 1;
  return PMP_OK;
}

static enum pmp_err play_here(struct world *w, struct pmp_errmsg *msg) {
  PMP_TRY(pmp_bandit_run_init(&w->here, &w->config, msg));
  while (w->here.step < w->steps) PMP_TRY(pmp_bandit_run_step(&w->here, msg));
  return PMP_OK;
}

static void say(struct world *w, struct pmp_report *r) {
  const double here = pmp_bandit_run_f_mean(&w->here);
  /* What is not bit-equal is a little apart and stays so: verdicts are the same, and steps forget
   * what went before. */
  const bool same = w->apart <= 1e-3 && fabs(w->there - here) <= 1e-3 * (1.0 + here);
  pmp_report_text(
      r,
      "# end-to-end\n\n%s on %s in %u dimensions, seed %llu, %u steps through pmpod and "
      "pmpo-actor in lockstep: %.1f s (%.0f steps/s)\n\n| | f(mean) |\n| --- | --- |\n"
      "| in this process | %.9g |\n| daemon and actor | %.9g |\n\n",
      w->config.method.title, w->config.function->name, w->config.dim,
      (unsigned long long)w->config.seed, w->steps, w->seconds, w->steps / w->seconds, here,
      w->there);
  pmp_report_json(r, json_pack("{s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:f}", "experiment",
                               "end-to-end", "function", w->config.function->name, "method",
                               w->config.method.name, "dim", (int)w->config.dim, "steps",
                               (int)w->steps, "here", pmp_report_number(here), "there",
                               pmp_report_number(w->there), "apart", pmp_report_number(w->apart),
                               "seconds", w->seconds));
  pmp_report_claim(r, same,
                   "daemon and actor end where the run in this process does: parameters %s%.2g",
                   w->apart == 0.0 ? "bit-equal, apart by " : "apart by at most ", w->apart);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

enum pmp_err pmp_end_to_end_run(const struct pmp_experiment_options *o, uint32_t *failed,
                                struct pmp_errmsg *msg) {
  struct pmp_report r = {0};
  struct world *w = calloc(1, sizeof *w); /* more than a stack should hold */
  if (w == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  w->options = o;
  enum pmp_err err = configure(w, msg);
  if (err == PMP_OK) err = pmp_report_open(&r, o, "end-to-end", msg);
  if (err == PMP_OK) {
    snprintf(w->folder, sizeof w->folder, "%.900s/run-XXXXXX", r.folder);
    if (mkdtemp(w->folder) == NULL)
      err = pmp_fail(msg, pmp_err_from_errno(errno), "%s: %s", w->folder, strerror(errno));
  }
  if (err == PMP_OK) err = play_here(w, msg);
  const double start = seconds();
  if (err == PMP_OK) err = play_there(w, msg);
  w->seconds = seconds() - start;
  end(&w->actor);
  end(&w->daemon);
  if (err == PMP_OK) say(w, &r);
  const enum pmp_err closed = pmp_report_close(&r, err == PMP_OK ? msg : NULL);
  *failed = r.failed;
  pmp_bandit_run_fini(&w->here);
  free(w);
  return err == PMP_OK ? closed : err;
}
