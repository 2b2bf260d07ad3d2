#include "actors/control/command.h"
#include "actors/control/progress.h"
#include "actors/control/render.h"
#include "actors/control/render_film.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  STRIP_FRAMES = 6, /* pictures of one episode in a PNG */
  GAP = 4,          /* white pixels between them */
  WHITE = 255
};

/* One showing: episodes of one environment, drawn into a film or into a strip for each episode. */
struct show {
  struct pmp_control_command *c;
  struct pmp_env *env;
  struct pmp_actions actions;
  struct pmp_renderer *renderer;
  struct pmp_film *film; /* NULL: a PNG */
  unsigned char *rgb;    /* owned: a frame, or all strips */
  uint32_t across, down; /* pixels of rgb */
  size_t stride;         /* bytes of a row of it */
  double control_s;      /* of one step */
  int steps;             /* shown of an episode */
  double at;             /* simulated seconds shown, over all episodes */
  uint64_t frames;       /* drawn */
  struct pmp_progress progress;
};

/* Pixels of n pictures of `size` and the gaps between them. */
static uint32_t with_gaps(uint32_t n, uint32_t size) {
  return n * size + (n - 1) * GAP;
}

static bool is_film(const char *path) {
  const char *dot = strrchr(path, '.');
  return dot != NULL && strcmp(dot, ".mp4") == 0;
}

/* ---- frames ---- */

/* Frames at a steady rate of simulated time. */
static enum pmp_err film_frames(struct show *s, struct pmp_errmsg *msg) {
  const double due = s->at * s->c->fps + 1e-9;
  if ((double)s->frames > due) return PMP_OK;
  PMP_TRY(pmp_renderer_frame(s->renderer, s->env, s->rgb, s->stride, msg));
  while ((double)s->frames <= due) {
    PMP_TRY(pmp_film_frame(s->film, s->rgb, msg));
    s->frames++;
  }
  return PMP_OK;
}

/* Pictures evenly from the first state of the episode to the last. */
static enum pmp_err strip_frame(struct show *s, uint32_t episode, struct pmp_errmsg *msg) {
  const size_t down = episode * (s->c->height + GAP) * s->stride;
  for (int i = 0; i < STRIP_FRAMES; i++) {
    if (s->env->step != i * s->steps / (STRIP_FRAMES - 1)) continue;
    unsigned char *cell = s->rgb + down + (size_t)i * (s->c->width + GAP) * 3;
    s->frames++;
    PMP_TRY(pmp_renderer_frame(s->renderer, s->env, cell, s->stride, msg));
  }
  return PMP_OK;
}

static enum pmp_err show_frame(struct show *s, uint32_t episode, struct pmp_errmsg *msg) {
  const double done = (double)s->env->step / s->steps;
  pmp_progress_show(&s->progress, (episode + done) / s->c->episodes);
  if (s->film == NULL) return strip_frame(s, episode, msg);
  return film_frames(s, msg);
}

/* ---- episodes ---- */

static enum pmp_err show_episode(struct show *s, uint32_t episode, struct pmp_errmsg *msg) {
  float obs[PMP_TASK_OBS_MAX], action[PMP_TASK_ACT_MAX];
  struct pmp_env_result result = {0};
  double ret = 0;
  PMP_TRY(pmp_env_reset(s->env, obs, msg));
  PMP_TRY(show_frame(s, episode, msg));
  while (s->env->step < s->steps && !s->env->done) {
    if (pmp_stop_requested(&s->c->session.stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
    PMP_TRY(pmp_actions_next(&s->actions, 1, obs, action, msg));
    PMP_TRY(pmp_env_step(s->env, action, obs, &result, msg));
    ret += result.reward;
    s->at += s->control_s;
    if (!result.diverged) PMP_TRY(show_frame(s, episode, msg));
  }
  pmp_progress_end(&s->progress);
  printf("episode %u: return %.1f in %d steps (%.1f s)%s\n", episode + 1, ret, s->env->step,
         s->env->step * s->control_s, result.diverged ? ", then the physics diverged" : "");
  return PMP_OK;
}

/* ---- the whole ---- */

static enum pmp_err open_output(struct show *s, struct pmp_errmsg *msg) {
  const struct pmp_control_command *c = s->c;
  const bool film = is_film(c->render);
  s->across = film ? c->width : with_gaps(STRIP_FRAMES, c->width);
  s->down = film ? c->height : with_gaps(c->episodes, c->height);
  s->stride = (size_t)s->across * 3;
  s->rgb = malloc(s->down * s->stride);
  if (s->rgb == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for the picture");
  memset(s->rgb, WHITE, s->down * s->stride); /* also where an episode ended early */
  if (!film) return PMP_OK;
  return pmp_film_open(&s->film, c->render, (int)c->width, (int)c->height, c->fps, msg);
}

static enum pmp_err open_show(struct show *s, struct pmp_errmsg *msg) {
  struct pmp_control_command *c = s->c;
  const uint64_t stream = pmp_session_stream(c->common.name, 0, PMP_CONTROL_STARTS_SHOWN, 0);
  const struct pmp_env_options env = {.seed = c->session.seed, .stream = stream};
  const struct pmp_renderer_config renderer = {
      .model = &c->model, .width = (int)c->width, .height = (int)c->height, .camera = c->camera};
  s->control_s = c->model.load.m->opt.timestep * c->task->substeps;
  s->steps = c->task->step_limit;
  if (c->seconds > 0 && c->seconds < s->steps * s->control_s)
    s->steps = (int)fmax(1, round(c->seconds / s->control_s));
  PMP_TRY(pmp_env_create(&s->env, &c->model, &env, msg));
  PMP_TRY(pmp_control_actions(c, 1, &s->actions, msg));
  PMP_TRY(pmp_renderer_open(&s->renderer, &renderer, msg));
  return open_output(s, msg);
}

static enum pmp_err close_output(struct show *s, enum pmp_err err, struct pmp_errmsg *msg) {
  const struct pmp_control_command *c = s->c;
  if (s->film != NULL) {
    struct pmp_errmsg why = {{0}};
    /* What a stop cuts short is a film too. */
    bool keep = err == PMP_OK || (err == PMP_ECLOSED && s->frames > 0);
    enum pmp_err closed = pmp_film_close(s->film, keep, &why);
    return err == PMP_OK && closed != PMP_OK ? pmp_fail(msg, closed, "%s", why.text) : err;
  }
  if (err != PMP_OK) return err;
  return pmp_png_write(c->render, (int)s->across, (int)s->down, s->rgb, msg);
}

enum pmp_err pmp_control_render(struct pmp_control_command *c, struct pmp_errmsg *msg) {
  struct show s = {.c = c};
  enum pmp_err err = pmp_control_fetch(c, msg);
  if (err == PMP_OK) err = open_show(&s, msg);
  if (err == PMP_OK) {
    pmp_progress_begin(&s.progress, stderr, "drawing", c->common.quiet);
    for (uint32_t i = 0; err == PMP_OK && i < c->episodes; i++) err = show_episode(&s, i, msg);
    pmp_progress_end(&s.progress);
  }
  err = close_output(&s, err, msg);
  if (err == PMP_OK)
    pmp_log_write(&c->session.log, PMP_LOG_INFO, "PMP-ACTOR-RENDERED", "file=%s frames=%llu by=%s",
                  c->render, (unsigned long long)s.frames, pmp_renderer_name(s.renderer));
  pmp_renderer_close(s.renderer);
  pmp_actions_fini(&s.actions);
  pmp_env_free(s.env);
  free(s.rgb);
  return err;
}
