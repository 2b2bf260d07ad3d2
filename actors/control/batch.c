#include "actors/control/batch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
  THREADS_MAX = 256,
  SPINS = 1000, /* looks at a flag before a thread goes to sleep: some tens of microseconds */
  CACHE_LINES = 128
};

/* Environments [first, end) that one thread steps, and the others when they have done theirs. */
struct share {
  _Atomic uint32_t next; /* the first that nobody has taken; may pass `end` */
  uint32_t first, end;
  char pad[CACHE_LINES - 3 * sizeof(uint32_t)]; /* a line of its own */
};

struct worker {
  struct pmp_env_batch *b;
  uint32_t index; /* of its own share */
  pthread_t thread;
  bool started;
};

struct pmp_env_batch_crew {
  uint32_t threads;      /* the caller's is worker 0 */
  struct worker *worker; /* owned, (threads) */
  struct share *share;   /* owned, (threads) */
  const float *action;   /* of the step that runs */
  _Atomic uint64_t step; /* counts up: work is there */
  _Atomic uint32_t left; /* environments of the step that are not done */
  _Atomic uint32_t sleepers;
  _Atomic bool closing, caller_sleeps;
  pthread_mutex_t lock; /* of going to sleep, and of err and msg */
  pthread_cond_t begin, end;
  enum pmp_err err; /* the first of the step that runs */
  struct pmp_errmsg msg;
};

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static enum pmp_err step_one(struct pmp_env_batch *b, uint32_t i, const float *action,
                             struct pmp_errmsg *msg) {
  struct pmp_env *env = b->env[i];
  if (env->done) return PMP_OK;
  enum pmp_err err = pmp_env_step(env, action + (size_t)i * b->act,
                                  b->observation + (size_t)i * b->obs, &b->result[i], msg);
  if (err == PMP_OK || !env->done) return err;
  /* An error inside MuJoCo has ended the episode like a divergence. */
  b->result[i] = (struct pmp_env_result){.done = true, .diverged = true};
  return PMP_OK;
}

static void take_note(struct pmp_env_batch_crew *crew, enum pmp_err err,
                      const struct pmp_errmsg *msg) {
  pthread_mutex_lock(&crew->lock);
  if (crew->err == PMP_OK) {
    crew->err = err;
    crew->msg = *msg;
  }
  pthread_mutex_unlock(&crew->lock);
}

/* Steps what is there to take: of the worker's own share first, where the data is near. Who comes
 * too late for a step finds nothing, or already the next one's; what it takes is not done before it
 * says so, hence `action` is that step's. */
static void step_shares(struct pmp_env_batch *b, uint32_t index) {
  struct pmp_env_batch_crew *crew = b->crew;
  struct pmp_errmsg msg = {{0}};
  uint32_t done = 0;
  for (uint32_t k = 0; k < crew->threads; k++) {
    struct share *s = &crew->share[(index + k) % crew->threads];
    for (;;) {
      if (atomic_load_explicit(&s->next, memory_order_relaxed) >= s->end) break;
      uint32_t i = atomic_fetch_add_explicit(&s->next, 1, memory_order_acquire);
      if (i >= s->end) break;
      enum pmp_err err = step_one(b, i, crew->action, &msg);
      if (err != PMP_OK) take_note(crew, err, &msg);
      done++;
    }
  }
  if (done == 0 || atomic_fetch_sub(&crew->left, done) != done) return;
  if (!atomic_load(&crew->caller_sleeps)) return;
  pthread_mutex_lock(&crew->lock);
  pthread_cond_signal(&crew->end);
  pthread_mutex_unlock(&crew->lock);
}

/* Returns when there is another step than `seen`, or the crew closes. */
static void await_step(struct pmp_env_batch_crew *crew, uint64_t seen) {
  for (int i = 0; i < SPINS; i++) {
    if (atomic_load_explicit(&crew->step, memory_order_acquire) != seen) return;
    relax();
  }
  pthread_mutex_lock(&crew->lock);
  atomic_fetch_add(&crew->sleepers, 1);
  while (atomic_load(&crew->step) == seen && !atomic_load(&crew->closing))
    pthread_cond_wait(&crew->begin, &crew->lock);
  atomic_fetch_sub(&crew->sleepers, 1);
  pthread_mutex_unlock(&crew->lock);
}

static void await_all(struct pmp_env_batch_crew *crew) {
  for (int i = 0; i < SPINS; i++) {
    if (atomic_load_explicit(&crew->left, memory_order_acquire) == 0) return;
    relax();
  }
  pthread_mutex_lock(&crew->lock);
  atomic_store(&crew->caller_sleeps, true);
  while (atomic_load(&crew->left) > 0) pthread_cond_wait(&crew->end, &crew->lock);
  atomic_store(&crew->caller_sleeps, false);
  pthread_mutex_unlock(&crew->lock);
}

static void *work(void *arg) {
  struct worker *w = arg;
  struct pmp_env_batch_crew *crew = w->b->crew;
  for (uint64_t seen = 0;;) {
    await_step(crew, seen);
    if (atomic_load(&crew->closing)) return NULL;
    seen = atomic_load(&crew->step);
    step_shares(w->b, w->index);
  }
}

static enum pmp_err hire(struct pmp_env_batch *b, uint32_t threads) {
  struct pmp_env_batch_crew *crew = b->crew = calloc(1, sizeof *crew);
  if (crew == NULL) return PMP_ENOMEM;
  pthread_mutex_init(&crew->lock, NULL);
  pthread_cond_init(&crew->begin, NULL);
  pthread_cond_init(&crew->end, NULL);
  crew->worker = calloc(threads, sizeof *crew->worker);
  crew->share = calloc(threads, sizeof *crew->share);
  if (crew->worker == NULL || crew->share == NULL) return PMP_ENOMEM;
  crew->threads = threads;
  for (uint32_t i = 0; i < threads; i++) {
    struct share *s = &crew->share[i];
    s->first = (uint32_t)((uint64_t)b->envs * i / threads);
    s->end = (uint32_t)((uint64_t)b->envs * (i + 1) / threads);
    atomic_store(&s->next, s->end);
  }
  for (uint32_t i = 1; i < threads; i++) {
    struct worker *w = &crew->worker[i];
    *w = (struct worker){.b = b, .index = i};
    if (pthread_create(&w->thread, NULL, work, w) != 0) return PMP_ENOMEM;
    w->started = true;
  }
  return PMP_OK;
}

static void dismiss(struct pmp_env_batch_crew *crew) {
  if (crew == NULL) return;
  pthread_mutex_lock(&crew->lock);
  atomic_store(&crew->closing, true);
  atomic_fetch_add(&crew->step, 1); /* for those that have not gone to sleep */
  pthread_cond_broadcast(&crew->begin);
  pthread_mutex_unlock(&crew->lock);
  for (uint32_t i = 1; i < crew->threads; i++)
    if (crew->worker[i].started) pthread_join(crew->worker[i].thread, NULL);
  pthread_cond_destroy(&crew->begin);
  pthread_cond_destroy(&crew->end);
  pthread_mutex_destroy(&crew->lock);
  free(crew->worker);
  free(crew->share);
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
  if (crew == NULL) {
    for (uint32_t i = 0; i < b->envs; i++) PMP_TRY(step_one(b, i, action, msg));
    return PMP_OK;
  }
  crew->action = action;
  crew->err = PMP_OK;
  atomic_store_explicit(&crew->left, b->envs, memory_order_relaxed);
  for (uint32_t i = 0; i < crew->threads; i++)
    atomic_store_explicit(&crew->share[i].next, crew->share[i].first, memory_order_release);
  atomic_fetch_add(&crew->step, 1);
  if (atomic_load(&crew->sleepers) > 0) {
    pthread_mutex_lock(&crew->lock);
    pthread_cond_broadcast(&crew->begin);
    pthread_mutex_unlock(&crew->lock);
  }
  step_shares(b, 0);
  await_all(crew);
  return crew->err == PMP_OK ? PMP_OK : pmp_fail(msg, crew->err, "%s", crew->msg.text);
}
