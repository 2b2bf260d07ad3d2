#include "actors/control/batch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 256 };

struct worker {
  struct pmp_env_batch *b;
  uint32_t first, end; /* environments [first, end) */
  pthread_t thread;
  bool started;
  enum pmp_err err;
  struct pmp_errmsg msg;
};

struct pmp_env_batch_crew {
  pthread_mutex_t lock;
  pthread_cond_t begin, end;
  uint32_t threads;      /* the caller's is worker 0 */
  struct worker *worker; /* owned, (threads) */
  const float *action;   /* of the step that runs */
  uint64_t step;         /* counts up: work is there */
  uint32_t working;      /* threads that have not finished it */
  bool closing;
};

static enum pmp_err step_range(struct pmp_env_batch *b, uint32_t first, uint32_t end,
                               const float *action, struct pmp_errmsg *msg) {
  for (uint32_t i = first; i < end; i++) {
    struct pmp_env *env = b->env[i];
    if (env->done) continue;
    enum pmp_err err = pmp_env_step(env, action + (size_t)i * b->act,
                                    b->observation + (size_t)i * b->obs, &b->result[i], msg);
    /* An error inside MuJoCo has ended the episode like a divergence. */
    if (err != PMP_OK && !env->done) return err;
    if (err != PMP_OK) b->result[i] = (struct pmp_env_result){.done = true, .diverged = true};
  }
  return PMP_OK;
}

static void *work(void *arg) {
  struct worker *w = arg;
  struct pmp_env_batch_crew *crew = w->b->crew;
  uint64_t done = 0;
  pthread_mutex_lock(&crew->lock);
  for (;;) {
    while (crew->step == done && !crew->closing) pthread_cond_wait(&crew->begin, &crew->lock);
    if (crew->closing) break;
    done = crew->step;
    pthread_mutex_unlock(&crew->lock);
    w->err = step_range(w->b, w->first, w->end, crew->action, &w->msg);
    pthread_mutex_lock(&crew->lock);
    if (--crew->working == 0) pthread_cond_signal(&crew->end);
  }
  pthread_mutex_unlock(&crew->lock);
  return NULL;
}

static enum pmp_err hire(struct pmp_env_batch *b, uint32_t threads) {
  struct pmp_env_batch_crew *crew = b->crew = calloc(1, sizeof *crew);
  if (crew == NULL) return PMP_ENOMEM;
  pthread_mutex_init(&crew->lock, NULL);
  pthread_cond_init(&crew->begin, NULL);
  pthread_cond_init(&crew->end, NULL);
  crew->worker = calloc(threads, sizeof *crew->worker);
  if (crew->worker == NULL) return PMP_ENOMEM;
  crew->threads = threads;
  for (uint32_t i = 0; i < threads; i++) {
    struct worker *w = &crew->worker[i];
    w->b = b;
    w->first = (uint32_t)((uint64_t)b->envs * i / threads);
    w->end = (uint32_t)((uint64_t)b->envs * (i + 1) / threads);
    if (i > 0 && pthread_create(&w->thread, NULL, work, w) != 0) return PMP_ENOMEM;
    w->started = i > 0;
  }
  return PMP_OK;
}

static void dismiss(struct pmp_env_batch_crew *crew) {
  if (crew == NULL) return;
  pthread_mutex_lock(&crew->lock);
  crew->closing = true;
  pthread_cond_broadcast(&crew->begin);
  pthread_mutex_unlock(&crew->lock);
  for (uint32_t i = 1; i < crew->threads; i++)
    if (crew->worker[i].started) pthread_join(crew->worker[i].thread, NULL);
  pthread_cond_destroy(&crew->begin);
  pthread_cond_destroy(&crew->end);
  pthread_mutex_destroy(&crew->lock);
  free(crew->worker);
  free(crew);
}

enum pmp_err pmp_env_batch_init(struct pmp_env_batch *b, const struct pmp_env_batch_config *config,
                                struct pmp_errmsg *msg) {
  const struct pmp_task *task = config->model->load.task;
  memset(b, 0, sizeof *b);
  if (config->envs == 0 || config->threads == 0 || config->threads > config->envs ||
      config->threads > THREADS_MAX)
    return pmp_fail(msg, PMP_EINVALID, "%u threads for %u environments", config->threads,
                    config->envs);
  b->task = task;
  b->obs = (uint32_t)task->obs_dim;
  b->act = (uint32_t)task->act_dim;
  b->env = calloc(config->envs, sizeof(struct pmp_env *));
  b->observation = calloc((size_t)config->envs * b->obs, sizeof *b->observation);
  b->result = calloc(config->envs, sizeof *b->result);
  enum pmp_err err = b->env != NULL && b->observation != NULL && b->result != NULL
                         ? PMP_OK
                         : pmp_fail(msg, PMP_ENOMEM, "no memory for %u environments", config->envs);
  if (err == PMP_OK) b->envs = config->envs;
  for (uint32_t i = 0; err == PMP_OK && i < b->envs; i++) {
    const struct pmp_env_options options = {.seed = config->seed, .stream = config->stream[i]};
    err = pmp_env_create(&b->env[i], config->model, &options, msg);
  }
  if (err == PMP_OK && config->threads > 1) {
    err = hire(b, config->threads);
    if (err != PMP_OK) err = pmp_fail(msg, err, "cannot start %u threads", config->threads);
  }
  if (err != PMP_OK) pmp_env_batch_fini(b);
  return err;
}

void pmp_env_batch_fini(struct pmp_env_batch *b) {
  dismiss(b->crew);
  for (uint32_t i = 0; i < b->envs; i++) pmp_env_free(b->env[i]);
  free(b->env);
  free(b->observation);
  free(b->result);
  memset(b, 0, sizeof *b);
}

enum pmp_err pmp_env_batch_reset(struct pmp_env_batch *b, uint32_t i, struct pmp_errmsg *msg) {
  return pmp_env_reset(b->env[i], b->observation + (size_t)i * b->obs, msg);
}

enum pmp_err pmp_env_batch_step(struct pmp_env_batch *b, const float *action,
                                struct pmp_errmsg *msg) {
  struct pmp_env_batch_crew *crew = b->crew;
  if (crew == NULL) return step_range(b, 0, b->envs, action, msg);
  pthread_mutex_lock(&crew->lock);
  crew->action = action;
  crew->step++;
  crew->working = crew->threads - 1;
  pthread_cond_broadcast(&crew->begin);
  pthread_mutex_unlock(&crew->lock);
  enum pmp_err err = step_range(b, 0, crew->worker[0].end, action, msg);
  pthread_mutex_lock(&crew->lock);
  while (crew->working > 0) pthread_cond_wait(&crew->end, &crew->lock);
  pthread_mutex_unlock(&crew->lock);
  for (uint32_t i = 1; err == PMP_OK && i < crew->threads; i++)
    if (crew->worker[i].err != PMP_OK)
      err = pmp_fail(msg, crew->worker[i].err, "%s", crew->worker[i].msg.text);
  return err;
}
