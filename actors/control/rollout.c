#include "actors/control/rollout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_VERSION = 2, PURPOSE_STARTS = 1, PURPOSE_ACTIONS = 2 };

/* In front of the returns and the environments. */
struct state_header {
  uint32_t version, size; /* bytes, header included */
  char task[PMP_TASK_NAME_MAX];
  uint32_t envs, reserved;
  uint64_t seed, env_steps;
  struct pmp_rng rng;
};
_Static_assert(sizeof(struct state_header) == 8 + PMP_TASK_NAME_MAX + 8 + 16 + 48,
               "the header has no padding");

/* ---- init ---- */

static enum pmp_err init_batch(struct pmp_rollout *r, const struct pmp_rollout_config *c,
                               struct pmp_errmsg *msg) {
  uint64_t *stream = calloc(c->envs, sizeof *stream);
  if (stream == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for %u environments", c->envs);
  for (uint32_t i = 0; i < c->envs; i++)
    stream[i] = pmp_session_stream(c->name, c->salt, PURPOSE_STARTS, i);
  const struct pmp_env_batch_config config = {
      .model = c->model, .envs = c->envs, .threads = c->threads, .seed = c->seed, .stream = stream};
  enum pmp_err err = pmp_env_batch_init(&r->batch, &config, msg);
  free(stream);
  for (uint32_t i = 0; err == PMP_OK && i < c->envs; i++)
    err = pmp_env_batch_reset(&r->batch, i, msg);
  return err;
}

enum pmp_err pmp_rollout_init(struct pmp_rollout *r, const struct pmp_rollout_config *c,
                              struct pmp_errmsg *msg) {
  memset(r, 0, sizeof *r);
  if (c->chunk_rows < 2 * c->envs)
    return pmp_fail(msg, PMP_EINVALID, "chunks of %u rows; %u environments need at least %u",
                    c->chunk_rows, c->envs, 2 * c->envs);
  enum pmp_err err = init_batch(r, c, msg);
  if (err == PMP_OK)
    err = pmp_rows_init(&r->rows,
                        &(struct pmp_rows_config){.spec = c->spec, .capacity = c->chunk_rows}, msg);
  if (err == PMP_OK) {
    size_t cells = (size_t)c->envs * r->batch.act;
    r->ret = calloc(c->envs, sizeof *r->ret);
    r->y = calloc(cells, sizeof *r->y);
    r->action = calloc(cells, sizeof *r->action);
    r->finished = calloc(c->chunk_rows, sizeof *r->finished);
    r->noise = calloc(cells, sizeof *r->noise);
    r->mean = calloc(cells, sizeof *r->mean);
    r->std = calloc(cells, sizeof *r->std);
    r->noise_correlation = c->noise_correlation;
    r->seed = c->seed;
    r->before = c->before;
    r->ctx = c->ctx;
    pmp_session_rng(c->name, c->seed, c->salt, PURPOSE_ACTIONS, 0, &r->rng);
    if (r->ret == NULL || r->y == NULL || r->action == NULL || r->finished == NULL ||
        r->noise == NULL || r->mean == NULL || r->std == NULL)
      err = pmp_fail(msg, PMP_ENOMEM, "no memory for %u environments", c->envs);
  }
  if (err != PMP_OK) pmp_rollout_fini(r);
  return err;
}

void pmp_rollout_fini(struct pmp_rollout *r) {
  pmp_env_batch_fini(&r->batch);
  pmp_rows_fini(&r->rows);
  free(r->ret);
  free(r->y);
  free(r->action);
  free(r->noise);
  free(r->mean);
  free(r->std);
  free(r->finished);
  memset(r, 0, sizeof *r);
}

/* ---- collecting ---- */

/* What a row holds before its action has an effect. */
static void begin_row(struct pmp_rollout *r, uint32_t row, uint32_t env, uint64_t version) {
  struct pmp_rows *rows = &r->rows;
  const struct pmp_env_batch *b = &r->batch;
  const struct pmp_env *e = b->env[env];
  memcpy(rows->obs + (size_t)row * b->obs, b->observation + (size_t)env * b->obs,
         b->obs * sizeof(float));
  rows->env[row] = env;
  rows->episode[row] = (uint32_t)e->episode;
  rows->t[row] = (uint32_t)e->step;
  rows->version[row] = version;
  rows->reward[row] = 0;
  rows->discount[row] = 1;
  rows->flags[row] = e->step == 0 ? PMP_CHUNK_FIRST : 0;
}

static void finish(struct pmp_rollout *r, uint32_t env, uint32_t length, bool diverged) {
  r->finished[r->finished_count++] =
      (struct pmp_episode){.ret = r->ret[env], .length = length, .diverged = diverged};
  r->ret[env] = 0;
}

/* The row of one environment after the step, and the row behind it when the episode is over. An
 * episode ends by time or by a breakdown; both are truncations: the last observation is
 * bootstrapped from. */
static enum pmp_err end_row(struct pmp_rollout *r, uint32_t row, uint32_t env, uint64_t version,
                            struct pmp_errmsg *msg) {
  struct pmp_rows *rows = &r->rows;
  const struct pmp_env_batch *b = &r->batch;
  const struct pmp_env_result *result = &b->result[env];
  if (result->diverged) { /* the action had no outcome: the row is the episode's last observation */
    rows->flags[row] |= PMP_CHUNK_LAST | PMP_CHUNK_TRUNCATED;
    finish(r, env, rows->t[row], true);
    return pmp_env_batch_reset(&r->batch, env, msg);
  }
  r->env_steps++;
  rows->reward[row] = (float)result->reward;
  r->ret[env] += result->reward;
  if (!result->done) return PMP_OK;
  uint32_t last = rows->count++;
  begin_row(r, last, env, version);
  rows->flags[last] |= PMP_CHUNK_LAST | PMP_CHUNK_TRUNCATED;
  memset(rows->action + (size_t)last * b->act, 0, b->act * sizeof(float));
  finish(r, env, rows->t[last], false);
  return pmp_env_batch_reset(&r->batch, env, msg);
}

/* Outcomes of the reference, with noise that lasts: z' = rho z + sqrt(1 - rho^2) n, begun anew with
 * each episode, so that z is standard normal at every step. */
static enum pmp_err draw(struct pmp_rollout *r, struct pmp_actor_session *s,
                         struct pmp_errmsg *msg) {
  struct pmp_env_batch *b = &r->batch;
  if (r->noise_correlation == 0)
    return pmpo_policy_sample(s->policy, b->envs, 1, b->observation, &r->rng, r->y, msg);
  const float *head = NULL;
  const double rho = (double)r->noise_correlation, fresh = sqrt(1 - rho * rho);
  PMP_TRY(pmpo_policy_head(s->policy, b->envs, b->observation, &head, msg));
  const struct pmp_dist *dist = &pmpo_policy_model(s->policy)->spec.dist;
  enum pmp_err err = pmp_dist_moments(dist, b->envs, head, r->mean, r->std);
  if (err != PMP_OK) return pmp_fail(msg, err, "correlated noise needs a Gaussian policy");
  for (uint32_t i = 0; i < b->envs * b->act; i++) {
    const double n = pmp_rng_normal(&r->rng);
    const bool first = b->env[i / b->act]->step == 0;
    r->noise[i] = (float)(first ? n : rho * (double)r->noise[i] + fresh * n);
    r->y[i] = r->mean[i] + r->std[i] * r->noise[i];
  }
  return PMP_OK;
}

static enum pmp_err step(struct pmp_rollout *r, struct pmp_actor_session *s,
                         struct pmp_errmsg *msg) {
  struct pmp_env_batch *b = &r->batch;
  struct pmp_rows *rows = &r->rows;
  PMP_TRY(pmp_session_refresh(s, msg));
  PMP_TRY(draw(r, s, msg));
  pmpo_policy_action(s->policy, b->envs, r->y, r->action);
  uint64_t version = pmpo_policy_version(s->policy, NULL);
  uint32_t first = rows->count;
  if (r->before != NULL) PMP_TRY(r->before(r->ctx, b->env[0], first, r->env_steps, msg));
  for (uint32_t i = 0; i < b->envs; i++) begin_row(r, first + i, i, version);
  memcpy(rows->action + (size_t)first * b->act, r->y, (size_t)b->envs * b->act * sizeof(float));
  rows->count += b->envs;
  PMP_TRY(pmp_env_batch_step(b, r->action, msg));
  for (uint32_t i = 0; i < b->envs; i++) PMP_TRY(end_row(r, first + i, i, version, msg));
  return PMP_OK;
}

enum pmp_err pmp_rollout_collect(struct pmp_rollout *r, struct pmp_actor_session *session,
                                 struct pmp_errmsg *msg) {
  r->rows.count = 0;
  r->finished_count = 0;
  while (r->rows.count + 2 * r->batch.envs <= r->rows.capacity) {
    if (pmp_stop_requested(&session->stop)) return pmp_fail(msg, PMP_ECLOSED, "stopped");
    PMP_TRY(step(r, session, msg));
  }
  return PMP_OK;
}

/* ---- state ---- */

static size_t env_state_size(const struct pmp_rollout *r) {
  return pmp_env_state_size(r->batch.env[0]->model);
}

size_t pmp_rollout_state_size(const struct pmp_rollout *r) {
  return sizeof(struct state_header) +
         r->batch.envs * (sizeof(double) + r->batch.act * sizeof(float) + env_state_size(r));
}

void pmp_rollout_save(const struct pmp_rollout *r, void *state) {
  struct state_header h = {.version = STATE_VERSION,
                           .size = (uint32_t)pmp_rollout_state_size(r),
                           .envs = r->batch.envs,
                           .seed = r->seed,
                           .env_steps = r->env_steps,
                           .rng = r->rng};
  unsigned char *at = state;
  memcpy(h.task, r->batch.task->name, strlen(r->batch.task->name) + 1);
  memcpy(at, &h, sizeof h);
  at += sizeof h;
  memcpy(at, r->ret, r->batch.envs * sizeof(double));
  at += r->batch.envs * sizeof(double);
  memcpy(at, r->noise, (size_t)r->batch.envs * r->batch.act * sizeof(float));
  at += (size_t)r->batch.envs * r->batch.act * sizeof(float);
  for (uint32_t i = 0; i < r->batch.envs; i++, at += env_state_size(r))
    pmp_env_save(r->batch.env[i], at);
}

static enum pmp_err check_header(const struct pmp_rollout *r, const struct state_header *h,
                                 size_t size, struct pmp_errmsg *msg) {
  if (h->version != STATE_VERSION || h->size != size || h->rng.used > 4)
    return pmp_fail(msg, PMP_EINVALID, "the stored state is not one of this program");
  if (strncmp(h->task, r->batch.task->name, sizeof h->task) != 0)
    return pmp_fail(msg, PMP_EINVALID, "the stored state is of task %.31s", h->task);
  if (h->envs != r->batch.envs)
    return pmp_fail(msg, PMP_EINVALID, "the stored state is of %u environments, not %u", h->envs,
                    r->batch.envs);
  if (h->seed != r->seed)
    return pmp_fail(msg, PMP_EINVALID, "the stored state is of seed %llu, not %llu",
                    (unsigned long long)h->seed, (unsigned long long)r->seed);
  if (size != pmp_rollout_state_size(r))
    return pmp_fail(msg, PMP_EINVALID, "the stored state has %zu bytes", size);
  return PMP_OK;
}

enum pmp_err pmp_rollout_restore(struct pmp_rollout *r, const void *state, size_t size,
                                 bool *broken, struct pmp_errmsg *msg) {
  const unsigned char *at = state;
  struct state_header h;
  *broken = false;
  if (size < sizeof h) return pmp_fail(msg, PMP_EINVALID, "the stored state has %zu bytes", size);
  memcpy(&h, at, sizeof h);
  PMP_TRY(check_header(r, &h, size, msg));
  *broken = true;
  at += sizeof h;
  memcpy(r->ret, at, r->batch.envs * sizeof(double));
  at += r->batch.envs * sizeof(double);
  memcpy(r->noise, at, (size_t)r->batch.envs * r->batch.act * sizeof(float));
  at += (size_t)r->batch.envs * r->batch.act * sizeof(float);
  for (uint32_t i = 0; i < r->batch.envs; i++, at += env_state_size(r)) {
    PMP_TRY(pmp_env_restore(r->batch.env[i], at, env_state_size(r), msg));
    if (r->batch.env[i]->done)
      return pmp_fail(msg, PMP_EINVALID, "the stored state is between episodes");
    pmp_env_obs_f32(r->batch.env[i], r->batch.observation + (size_t)i * r->batch.obs);
  }
  r->rng = h.rng;
  r->env_steps = h.env_steps;
  *broken = false;
  return PMP_OK;
}
