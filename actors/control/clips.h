/* Clips for people: stretches of an episode that are sent as items to judge, with a film of each.
 *
 * Of one environment, so that a clip's rows are neighbours in their chunk. A clip lies within one
 * episode and one chunk. Belongs to the actor's main thread, which waits for ffmpeg at a clip's
 * end. */
#ifndef PMP_CONTROL_CLIPS_H
#define PMP_CONTROL_CLIPS_H

#include "actors/control/render.h"
#include "proto/chunk.h"

#define PMP_CLIPS_OF_CHUNK 16

struct pmp_clips_config {
  const struct pmp_env_model *model; /* outlives the clips */
  const struct pmp_task *task;
  uint32_t steps;     /* control steps of one */
  uint64_t every;     /* from one's start to the next's at the least, >= steps */
  bool film;          /* else items have no media: their numbers are shown */
  int width, height;  /* pixels, even */
  const char *camera; /* as the renderer's */
  double fps;         /* pictures a second of simulated time */
  size_t media_max;   /* bytes of a chunk's films */
};

struct pmp_clips {
  struct pmp_clips_config config;
  struct pmp_renderer *renderer;
  struct pmp_film *film;     /* of the running clip */
  unsigned char *rgb;        /* owned: a frame */
  char folder[32], path[64]; /* of the film while it is made; "": none yet */
  uint32_t running, first;   /* rows so far and first row of the running clip; 0: none runs */
  uint64_t frames;           /* of it */
  uint64_t diverged;         /* the environment's count when it began */
  uint64_t next_at, made, broken;
  size_t media_bytes; /* of this chunk */
  struct pmp_item item[PMP_CLIPS_OF_CHUNK];
  struct pmp_media media[PMP_CLIPS_OF_CHUNK]; /* data owned */
  uint32_t items;
};

/* PMP_EUNAVAILABLE: no OpenGL; PMP_EINVALID, PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err
pmp_clips_init(struct pmp_clips *c, const struct pmp_clips_config *config, struct pmp_errmsg *msg);
/* Safe on a zeroed struct. */
void pmp_clips_fini(struct pmp_clips *c);
/* A chunk begins: what was made for the last one is forgotten. */
void pmp_clips_begin(struct pmp_clips *c);
/* The environment stands before the step whose row will be `row` of a chunk with room for
 * `capacity` rows; `env_steps` were made before. Draws; begins and ends clips. */
PMP_MUST_CHECK enum pmp_err pmp_clips_step(struct pmp_clips *c, struct pmp_env *env, uint32_t row,
                                           uint32_t capacity, uint64_t env_steps,
                                           struct pmp_errmsg *msg);
/* The chunk is full: its clips as items (pointers lead into c). A clip that did not end is broken
 * off. */
PMP_MUST_CHECK enum pmp_err pmp_clips_end(struct pmp_clips *c, const struct pmp_env *env,
                                          struct pmp_chunk *chunk, struct pmp_errmsg *msg);

#endif
