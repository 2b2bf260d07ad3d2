#include "actors/control/clips.h"

#include "actors/control/render_film.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum pmp_err pmp_clips_init(struct pmp_clips *c, const struct pmp_clips_config *config,
                            struct pmp_errmsg *msg) {
  memset(c, 0, sizeof *c);
  c->config = *config;
  if (config->steps == 0 || config->every < config->steps)
    return pmp_fail(msg, PMP_EINVALID, "a clip has at least one step, and they do not overlap");
  const int limit = config->task->step_limit;
  if (config->steps > (uint32_t)limit)
    return pmp_fail(msg, PMP_EINVALID, "a clip of %u steps; an episode has %d", config->steps,
                    limit);
  if (!config->film) return PMP_OK;
  c->rgb = malloc((size_t)config->width * (size_t)config->height * 3);
  if (c->rgb == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for a picture");
  const struct pmp_renderer_config r = {.model = config->model,
                                        .width = config->width,
                                        .height = config->height,
                                        .camera = config->camera};
  const enum pmp_err err = pmp_renderer_open(&c->renderer, &r, msg);
  if (err != PMP_OK) pmp_clips_fini(c);
  return err;
}

static void forget_items(struct pmp_clips *c) {
  for (uint32_t i = 0; i < c->items; i++) free((void *)c->media[i].data);
  memset(c->media, 0, sizeof c->media);
  c->items = 0;
  c->media_bytes = 0;
}

static void break_off(struct pmp_clips *c) {
  struct pmp_errmsg nothing;
  if (c->running > 0) c->broken++;
  c->running = 0;
  if (c->film != NULL && pmp_film_close(c->film, false, &nothing) != PMP_OK) c->broken++;
  c->film = NULL;
}

void pmp_clips_fini(struct pmp_clips *c) {
  break_off(c);
  forget_items(c);
  pmp_renderer_close(c->renderer);
  if (c->folder[0] != '\0') rmdir(c->folder);
  free(c->rgb);
  memset(c, 0, sizeof *c);
}

void pmp_clips_begin(struct pmp_clips *c) {
  break_off(c);
  forget_items(c);
}

/* ---- films ---- */

/* In a folder of this process alone. */
static enum pmp_err open_film(struct pmp_clips *c, struct pmp_errmsg *msg) {
  if (c->folder[0] == '\0') {
    char folder[] = "/tmp/pmpo-clips-XXXXXX";
    if (mkdtemp(folder) == NULL)
      return pmp_fail(msg, PMP_EIO, "no folder for films below /tmp: %s", strerror(errno));
    strcpy(c->folder, folder);
    snprintf(c->path, sizeof c->path, "%s/clip.mp4", folder);
  }
  return pmp_film_open(&c->film, c->path, c->config.width, c->config.height, c->config.fps, msg);
}

static enum pmp_err read_film(const char *path, struct pmp_media *media, struct pmp_errmsg *msg) {
  FILE *f = fopen(path, "rb");
  struct stat st;
  enum pmp_err err = PMP_EIO;
  void *data = NULL;
  if (f != NULL && fstat(fileno(f), &st) == 0 && st.st_size > 0) {
    data = malloc((size_t)st.st_size);
    if (data != NULL && fread(data, 1, (size_t)st.st_size, f) == (size_t)st.st_size) err = PMP_OK;
  }
  if (f != NULL) fclose(f);
  if (err != PMP_OK) {
    free(data);
    return pmp_fail(msg, err, "a clip's film %s cannot be read: %s", path, strerror(errno));
  }
  *media = (struct pmp_media){
      .name = "clip", .type = "video/mp4", .data = data, .bytes = (size_t)st.st_size};
  return PMP_OK;
}

/* Frames at a steady rate of simulated time. */
static enum pmp_err draw_frame(struct pmp_clips *c, struct pmp_env *env, struct pmp_errmsg *msg) {
  const double control_s = c->config.task->substeps * c->config.model->load.m->opt.timestep;
  const double at = c->running * control_s;
  if (c->film == NULL || (double)c->frames > at * c->config.fps + 1e-9) return PMP_OK;
  PMP_TRY(pmp_renderer_frame(c->renderer, env, c->rgb, (size_t)c->config.width * 3, msg));
  c->frames++;
  return pmp_film_frame(c->film, c->rgb, msg);
}

/* ---- clips ---- */

static enum pmp_err finish(struct pmp_clips *c, struct pmp_errmsg *msg) {
  struct pmp_media *media = &c->media[c->items];
  if (c->film != NULL) {
    struct pmp_film *film = c->film;
    c->film = NULL;
    PMP_TRY(pmp_film_close(film, true, msg));
    const enum pmp_err err = read_film(c->path, media, msg);
    unlink(c->path);
    if (err != PMP_OK) return err;
  }
  c->media_bytes += media->bytes;
  c->item[c->items++] = (struct pmp_item){.row = c->first,
                                          .rows = c->running,
                                          .media = media->data != NULL ? media : NULL,
                                          .medias = media->data != NULL};
  c->made++;
  c->running = 0;
  return PMP_OK;
}

static bool may_begin(const struct pmp_clips *c, const struct pmp_env *env, uint32_t row,
                      uint32_t capacity, uint64_t env_steps) {
  const int limit = c->config.task->step_limit;
  return env_steps >= c->next_at && env->step + (int)c->config.steps <= limit &&
         row + c->config.steps < capacity && c->items < PMP_CLIPS_OF_CHUNK &&
         c->media_bytes < c->config.media_max / 2;
}

enum pmp_err pmp_clips_step(struct pmp_clips *c, struct pmp_env *env, uint32_t row,
                            uint32_t capacity, uint64_t env_steps, struct pmp_errmsg *msg) {
  if (c->running > 0 && env->diverged != c->diverged) break_off(c);
  if (c->running == c->config.steps) PMP_TRY(finish(c, msg));
  if (c->running == 0) {
    if (!may_begin(c, env, row, capacity, env_steps)) return PMP_OK;
    c->first = row;
    c->frames = 0;
    c->diverged = env->diverged;
    c->next_at = env_steps + c->config.every;
    if (c->config.film) PMP_TRY(open_film(c, msg));
  }
  PMP_TRY(draw_frame(c, env, msg));
  c->running++;
  return PMP_OK;
}

enum pmp_err pmp_clips_end(struct pmp_clips *c, const struct pmp_env *env, struct pmp_chunk *chunk,
                           struct pmp_errmsg *msg) {
  if (c->running == c->config.steps && env->diverged == c->diverged) PMP_TRY(finish(c, msg));
  break_off(c);
  chunk->item = c->item;
  chunk->items = c->items;
  return PMP_OK;
}
