#include "actors/control/clips.h"
#include "actors/control/command.h"
#include "actors/control/rollout.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_ROWS = 256 };

static void report_episodes(struct pmp_control_command *c, const struct pmp_rollout *r) {
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

/* One row of r->rows over another. */
static void move_row(struct pmp_rows *rows, uint32_t to, uint32_t from) {
  const size_t obs = rows->obs_size, dim = rows->spec.action.dim;
  memmove(rows->obs + to * obs, rows->obs + from * obs, obs * sizeof(float));
  memmove(rows->action + to * dim, rows->action + from * dim, dim * sizeof(float));
  rows->version[to] = rows->version[from];
}

/* A run of outcomes takes the clips' rows alone, each an outcome of its own condition. */
static void clips_alone(struct pmp_rows *rows, struct pmp_item *item, uint32_t items,
                        struct pmp_chunk *chunk) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < items; i++) {
    const uint32_t first = item[i].row;
    item[i].row = count;
    for (uint32_t k = 0; k < item[i].rows; k++) move_row(rows, count++, first + k);
  }
  rows->count = count;
  pmp_rows_chunk(rows, chunk);
  chunk->shape = PMP_SHAPE_OUTCOMES;
  chunk->groups = count;
  chunk->env = chunk->episode = chunk->t = NULL;
  chunk->envs = chunk->episodes = 0;
  chunk->reward = chunk->discount = NULL;
  chunk->flags = NULL;
}

/* The next chunk, with its clips; no rows: there is nothing to send. */
static enum pmp_err collect(struct pmp_control_command *c, struct pmp_rollout *r,
                            struct pmp_clips *clips, struct pmp_chunk *chunk,
                            struct pmp_errmsg *msg) {
  pmp_clips_begin(clips);
  PMP_TRY(pmp_rollout_collect(r, &c->session, msg));
  pmp_rows_chunk(&r->rows, chunk);
  if (c->clip_steps == 0) return PMP_OK;
  PMP_TRY(pmp_clips_end(clips, r->batch.env[0], chunk, msg));
  if (pmpo_run(c->session.client)->spec.shape == PMP_SHAPE_TRAJECTORIES) return PMP_OK;
  clips_alone(&r->rows, clips->item, clips->items, chunk);
  chunk->item = clips->item;
  chunk->items = clips->items;
  return PMP_OK;
}

static enum pmp_err act(struct pmp_control_command *c, struct pmp_rollout *r,
                        struct pmp_clips *clips, struct pmp_errmsg *msg) {
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
    if (err == PMP_OK) err = collect(c, r, clips, &chunk, msg);
    if (err != PMP_OK) break;
    if (keep) pmp_rollout_save(r, state);
    if (chunk.rows > 0)
      err = pmpo_append(c->session.client, &chunk, (struct pmp_bytes){state, keep ? size : 0}, msg);
    if (err == PMP_OK) report_episodes(c, r);
  }
  if (err == PMP_OK) err = pmpo_flush(c->session.client, -1, msg);
  free(state);
  return err;
}

/* Goes on from the stored state; a state that does not fit is an error only in lockstep. */
static enum pmp_err resume(struct pmp_control_command *c, struct pmp_rollout *r,
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

struct recorder {
  struct pmp_clips *clips;
  uint32_t capacity;
};

static enum pmp_err record(void *ctx, struct pmp_env *env, uint32_t row, uint64_t env_steps,
                           struct pmp_errmsg *msg) {
  const struct recorder *r = ctx;
  return pmp_clips_step(r->clips, env, row, r->capacity - 1, env_steps, msg);
}

static enum pmp_err open_clips(struct pmp_control_command *c, struct pmp_clips *clips,
                               struct pmp_errmsg *msg) {
  const struct pmp_clips_config config = {
      .model = &c->model,
      .task = c->task,
      .steps = c->clip_steps,
      .every = c->clip_every > c->clip_steps ? c->clip_every : c->clip_steps,
      .film = !c->clip_blind,
      .width = (int)c->width,
      .height = (int)c->height,
      .camera = c->camera,
      .fps = c->fps,
      .media_max = pmpo_run(c->session.client)->limits.message_bytes / 2};
  return pmp_clips_init(clips, &config, msg);
}

enum pmp_err pmp_control_act(struct pmp_control_command *c, struct pmp_errmsg *msg) {
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
  struct pmp_clips clips = {0};
  struct recorder recorder = {.clips = &clips, .capacity = rows};
  struct pmp_spec steps = run->spec; /* what environments make; a run may take clips alone */
  steps.shape = PMP_SHAPE_TRAJECTORIES;
  config.spec = &steps;
  enum pmp_err err = PMP_OK;
  if (c->clip_steps > 0) {
    config.before = record;
    config.ctx = &recorder;
    err = open_clips(c, &clips, msg);
  }
  if (err == PMP_OK) err = resume(c, &r, &config, msg);
  if (err == PMP_OK) err = act(c, &r, &clips, msg);
  pmp_log_write(&c->session.log, PMP_LOG_INFO, "PMP-ACTOR-END", "env_steps=%" PRIu64, r.env_steps);
  pmp_clips_fini(&clips);
  pmp_rollout_fini(&r);
  return err;
}
