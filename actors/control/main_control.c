#include "actors/control/control.h"

#include "actors/control/command.h"
#include "actors/control/list.h"
#include "actors/control/recording.h"
#include "actors/control/render.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KIND PMP_CONTROL_KIND
#define SUITE_BELOW_PREFIX "share/pmpo/dm_control/suite"

enum {
  EVALUATION_EPISODES = 100,
  STRIPS_MAX = 64, /* episodes in one PNG */
  FILM_WIDTH = 480,
  PICTURE_WIDTH = 320,
  CLIP_WIDTH = 480,
  SIDE_MIN = 16,
  FPS = 30
};

/* ---- options ---- */

/* What may stand at --policy. */
static const struct {
  const char *name;
  enum pmp_actions_kind acting;
  enum pmp_which which;
} policies[] = {{"reference", PMP_ACTIONS_SERVED, PMP_WHICH_REFERENCE},
                {"latest", PMP_ACTIONS_SERVED, PMP_WHICH_POLICY},
                {"random", PMP_ACTIONS_RANDOM, PMP_WHICH_REFERENCE},
                {"zero", PMP_ACTIONS_ZERO, PMP_WHICH_REFERENCE}};

static enum pmp_err choose_policy(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  if (c->policy != NULL && c->weights != NULL)
    return pmp_fail(msg, PMP_EINVALID, "--weights is a policy of its own: leave --policy away");
  c->acting = PMP_ACTIONS_FILE;
  if (c->weights != NULL) return PMP_OK;
  if (c->policy == NULL) c->policy = policies[0].name;
  for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
    if (strcmp(policies[i].name, c->policy) != 0) continue;
    c->acting = policies[i].acting;
    c->which = policies[i].which;
    return PMP_OK;
  }
  return pmp_fail(msg, PMP_EINVALID,
                  "--policy takes reference, latest, random or zero, not '%.64s'", c->policy);
}

/* "640x480". */
static enum pmp_err choose_size(struct pmp_control_command *c, bool film, struct pmp_errmsg *msg) {
  int end = 0;
  c->width = film ? FILM_WIDTH : PICTURE_WIDTH;
  c->height = c->width * 3 / 4;
  if (c->size == NULL) return PMP_OK;
  bool read = sscanf(c->size, "%5ux%5u%n", &c->width, &c->height, &end) == 2 &&
              c->size[end] == '\0' && c->size[0] >= '0' && c->size[0] <= '9';
  if (!read || c->width < SIDE_MIN || c->width > PMP_RENDER_SIDE_MAX || c->height < SIDE_MIN ||
      c->height > PMP_RENDER_SIDE_MAX)
    return pmp_fail(msg, PMP_EINVALID, "--size takes WxH, each %d to %d pixels, not '%.64s'",
                    SIDE_MIN, PMP_RENDER_SIDE_MAX, c->size);
  if (film && (c->width % 2 != 0 || c->height % 2 != 0))
    return pmp_fail(msg, PMP_EINVALID, "--size: a film's width and height are even, not %s",
                    c->size);
  return PMP_OK;
}

static enum pmp_err check_render(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  const char *dot = strrchr(c->render, '.');
  bool film = dot != NULL && strcmp(dot, ".mp4") == 0;
  if (!film && (dot == NULL || strcmp(dot, ".png") != 0))
    return pmp_fail(msg, PMP_EINVALID, "--render takes FILE.mp4 or FILE.png, not '%.256s'",
                    c->render);
  if (!film && c->episodes > STRIPS_MAX)
    return pmp_fail(msg, PMP_EINVALID, "a .png has room for %d episodes", STRIPS_MAX);
  if (c->fps == 0) c->fps = FPS;
  return choose_size(c, film, msg);
}

static enum pmp_err check_clips(struct pmp_control_command *c, bool shows, struct pmp_errmsg *msg) {
  if (c->clip_steps == 0) {
    if (c->clip_every > 0 || c->clip_blind)
      return pmp_fail(msg, PMP_EINVALID, "--clip-every and --clip-blind belong to --clips");
    return PMP_OK;
  }
  if (shows || c->list || c->replay != NULL)
    return pmp_fail(msg, PMP_EINVALID, "--clips is for an actor that acts");
  c->envs = 1; /* a clip's rows are neighbours */
  if (c->clip_blind) return PMP_OK;
  if (c->fps == 0) c->fps = FPS;
  PMP_TRY(choose_size(c, true, msg));
  if (c->size == NULL) {
    c->width = CLIP_WIDTH;
    c->height = CLIP_WIDTH * 3 / 4;
  }
  return PMP_OK;
}

/* What belongs together. */
static enum pmp_err check(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  const bool shows = c->evaluate || c->render != NULL;
  if (c->list + c->evaluate + (c->replay != NULL) + (c->render != NULL) > 1)
    return pmp_fail(msg, PMP_EINVALID,
                    "--list, --replay, --evaluate and --render are four things: choose one");
  if (!c->evaluate && (c->once || c->period > 0))
    return pmp_fail(msg, PMP_EINVALID, "--once and --period belong to --evaluate");
  if (c->json && !c->list && !c->evaluate)
    return pmp_fail(msg, PMP_EINVALID, "--json belongs to --list and --evaluate");
  if (!shows && (c->sample || c->policy != NULL || c->weights != NULL || c->episodes != 0))
    return pmp_fail(msg, PMP_EINVALID,
                    "--sample, --policy, --weights and --episodes belong to --evaluate or "
                    "--render");
  const bool draws = c->render != NULL || (c->clip_steps > 0 && !c->clip_blind);
  if (!draws && (c->size != NULL || c->camera != NULL || c->fps > 0))
    return pmp_fail(msg, PMP_EINVALID,
                    "--size, --camera and --fps belong to --render and to clips with films");
  if (c->render == NULL && c->seconds > 0)
    return pmp_fail(msg, PMP_EINVALID, "--seconds belongs to --render");
  PMP_TRY(check_clips(c, shows, msg));
  if (c->episodes == 0) c->episodes = c->evaluate ? EVALUATION_EPISODES : 1;
  if (shows) PMP_TRY(choose_policy(c, msg));
  const bool alone = shows && c->acting != PMP_ACTIONS_SERVED;
  if (alone && c->evaluate) c->once = true; /* nothing changes from one to the next */
  if ((alone || c->replay != NULL) && c->task_name == NULL)
    return pmp_fail(msg, PMP_EINVALID, "without a daemon, --task says what to do");
  return c->render != NULL ? check_render(c, msg) : PMP_OK;
}

static enum pmp_err parse(struct pmp_control_command *c, int argc, char **argv, bool *done,
                          struct pmp_errmsg *msg) {
  const struct pmp_opt own[] = {
      {"task", PMP_OPT_TEXT, &c->task_name, 0, 0, "NAME", "what to do (the run's task)", NULL},
      {"envs", PMP_OPT_U32, &c->envs, 1, 4096, "N", "environments at once (8)", NULL},
      {"threads", PMP_OPT_U32, &c->threads, 1, 256, "N", "for stepping them (1)", NULL},
      {"chunk-rows", PMP_OPT_U32, &c->chunk_rows, 2, 1 << 20, "N", "most rows sent at once (256)",
       NULL},
      {"noise-correlation", PMP_OPT_REAL, &c->noise_correlation, 0, 0.999, "R",
       "of a Gaussian's noise from step to step (0)", NULL},
      {"clips", PMP_OPT_U32, &c->clip_steps, 1, 10000, "STEPS",
       "send stretches of so many steps, filmed, for people to judge; one environment", NULL},
      {"clip-every", PMP_OPT_U32, &c->clip_every, 1, 100000000, "N",
       "steps from a clip's start to the next's (as long as a clip)", NULL},
      {"clip-blind", PMP_OPT_FLAG, &c->clip_blind, 0, 0, NULL, "clips without a film", NULL},
      {"max-env-steps", PMP_OPT_U64, &c->max_env_steps, 1, 9007199254740992.0, "N",
       "stop after so many", NULL},
      {"suite", PMP_OPT_TEXT, &c->suite, 0, 0, "DIR", "the task models (as installed)", NULL},
      {"evaluate", PMP_OPT_FLAG, &c->evaluate, 0, 0, NULL,
       "run episodes and report eval_return; append nothing", NULL},
      {"once", PMP_OPT_FLAG, &c->once, 0, 0, NULL, "one evaluation", NULL},
      {"period", PMP_OPT_REAL, &c->period, 0, 1e6, "SECONDS",
       "from one evaluation's start to the next (0)", NULL},
      {"render", PMP_OPT_TEXT, &c->render, 0, 0, "FILE",
       "draw episodes into a film (.mp4) or a strip of pictures (.png)", NULL},
      {"camera", PMP_OPT_TEXT, &c->camera, 0, 0, "NAME", "or its number, -1 sees all (0)", NULL},
      {"size", PMP_OPT_TEXT, &c->size, 0, 0, "WxH", "of a picture (film 480x360, strip 320x240)",
       NULL},
      {"fps", PMP_OPT_REAL, &c->fps, 1, 240, "N", "pictures a second of a film (30)", NULL},
      {"seconds", PMP_OPT_REAL, &c->seconds, 0.001, 1e6, "S", "most that is drawn of an episode",
       NULL},
      {"episodes", PMP_OPT_U32, &c->episodes, 1, 100000, "N", "to evaluate (100) or to draw (1)",
       NULL},
      {"policy", PMP_OPT_TEXT, &c->policy, 0, 0, "WHICH",
       "to evaluate or draw: reference, latest, random or zero (reference)", NULL},
      {"weights", PMP_OPT_TEXT, &c->weights, 0, 0, "FILE",
       "evaluate or draw an exported policy, without a daemon", NULL},
      {"sample", PMP_OPT_FLAG, &c->sample, 0, 0, NULL,
       "evaluate or draw sampled actions, not the mean", NULL},
      {"replay", PMP_OPT_TEXT, &c->replay, 0, 0, "FILE",
       "repeat recorded trajectories of --task and print the largest deviations", NULL},
      {"list", PMP_OPT_FLAG, &c->list, 0, 0, NULL, "print the tasks with their sizes", NULL},
      {"json", PMP_OPT_FLAG, &c->json, 0, 0, NULL, "--list, --evaluate: one JSON object a line",
       NULL},
  };
  c->envs = 8;
  c->threads = 1;
  PMP_TRY(pmp_options_parse(argc, argv,
                            "environments of the control suite, acting with the run's reference",
                            own, sizeof own / sizeof own[0], &c->common, done, msg));
  if (*done) return PMP_OK;
  PMP_TRY(check(c, msg));
  if (c->common.name == NULL)
    c->common.name = c->evaluate ? "evaluator" : c->render != NULL ? "viewer" : KIND;
  if (c->threads > c->envs) c->threads = c->envs;
  return c->task_name != NULL ? pmp_task_find(c->task_name, &c->task, msg) : PMP_OK;
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

static enum pmp_err load_model(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  char path[PATH_MAX];
  const char *suite = c->suite != NULL ? c->suite : path;
  if (c->suite == NULL) PMP_TRY(suite_of_program(path, msg));
  return pmp_env_model_load(&c->model, c->task, suite, msg);
}

static enum pmp_err list_tasks(const struct pmp_control_command *c, struct pmp_errmsg *msg) {
  char path[PATH_MAX];
  const char *suite = c->suite != NULL ? c->suite : path;
  if (c->suite == NULL) PMP_TRY(suite_of_program(path, msg));
  return pmp_tasks_list(stdout, c->json, suite, msg);
}

/* The run must take what the task makes. Without --task, the run names it. */
static enum pmp_err fits(void *ctx, const struct pmp_spec *spec, struct pmp_errmsg *msg) {
  struct pmp_control_command *c = ctx;
  const char *name = c->task_name != NULL ? c->task_name : spec->task;
  if (name[0] == '\0') return pmp_fail(msg, PMP_EINVALID, "the run names no task: use --task");
  PMP_TRY(pmp_task_find(name, &c->task, msg));
  if (spec->task[0] != '\0' && strcmp(spec->task, name) != 0)
    return pmp_fail(msg, PMP_ECONFLICT, "the run learns task %s, not %s", spec->task, name);
  if (spec->shape != PMP_SHAPE_TRAJECTORIES && c->clip_steps == 0)
    return pmp_fail(
        msg, PMP_ECONFLICT,
        "the run does not take trajectories, which task %s makes (one of outcomes takes "
        "its --clips)",
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

/* ---- main ---- */

enum pmp_err pmp_control_actions(struct pmp_control_command *c, uint32_t rows,
                                 struct pmp_actions *a, struct pmp_errmsg *msg) {
  struct pmp_actions_config config = {.kind = c->acting,
                                      .served = c->session.policy,
                                      .path = c->weights,
                                      .task = c->task,
                                      .rows_max = rows,
                                      .sample = c->sample};
  pmp_session_rng(c->common.name, c->session.seed, 0, PMP_CONTROL_SAMPLES, 0, &config.rng);
  return pmp_actions_init(a, &config, msg);
}

static enum pmp_err replay(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  struct pmp_recording r;
  struct pmp_deviations deviations;
  PMP_TRY(load_model(c, msg));
  PMP_TRY(pmp_recording_read(&r, pmp_fs_real(), c->replay, msg));
  enum pmp_err err = pmp_recording_run(&r, &c->model, &deviations, msg);
  pmp_recording_free(&r);
  return err == PMP_OK ? pmp_deviations_print(&deviations, stdout, msg) : err;
}

/* Of a session, what there is without a daemon. */
static enum pmp_err stand_alone(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  c->session.log = (struct pmp_log){.fd = STDERR_FILENO,
                                    .level = c->common.quiet ? PMP_LOG_WARN : PMP_LOG_INFO,
                                    .clock = pmp_clock_real()};
  c->session.seed = c->common.seed;
  enum pmp_err err = pmp_stop_start(&c->session.stop);
  return err == PMP_OK ? PMP_OK : pmp_fail(msg, err, "signals cannot be waited for");
}

static enum pmp_err connect_session(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  const bool acts = !c->evaluate && c->render == NULL;
  const struct pmp_session_config config = {.options = &c->common,
                                            .kind = KIND,
                                            .rows_max = c->evaluate ? pmp_control_evaluation_envs(c)
                                                        : c->render != NULL ? 1
                                                                            : c->envs,
                                            .follow = acts,
                                            .which = c->which,
                                            .fits = fits,
                                            .ctx = c};
  PMP_TRY(pmp_session_open(&c->session, &config, msg));
  return pmp_actions_fit(pmpo_policy_model(c->session.policy), c->task, "the run's", msg);
}

static enum pmp_err run(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  enum pmp_err err =
      c->acting == PMP_ACTIONS_SERVED ? connect_session(c, msg) : stand_alone(c, msg);
  if (err == PMP_OK) err = load_model(c, msg);
  if (err == PMP_OK)
    err = c->evaluate         ? pmp_control_evaluate(c, msg)
          : c->render != NULL ? pmp_control_render(c, msg)
                              : pmp_control_act(c, msg);
  err = pmp_session_outcome(&c->session, KIND, err, msg);
  pmp_session_close(&c->session);
  return err;
}

int pmp_control_main(int argc, char **argv) {
  struct pmp_control_command c = {0};
  struct pmp_errmsg msg = {{0}};
  bool done;
  if (parse(&c, argc, argv, &done, &msg) != PMP_OK) {
    fprintf(stderr, "pmpo-actor " KIND ": %s\n", msg.text);
    return PMP_EXIT_USAGE;
  }
  if (done) return PMP_EXIT_OK;
  enum pmp_err err = c.list             ? list_tasks(&c, &msg)
                     : c.replay != NULL ? replay(&c, &msg)
                                        : run(&c, &msg);
  pmp_env_model_free(&c.model);
  return err == PMP_OK ? PMP_EXIT_OK : pmp_options_fail(KIND, err, &msg);
}
