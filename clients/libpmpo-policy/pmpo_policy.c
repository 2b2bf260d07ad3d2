#include "clients/libpmpo-policy/pmpo_policy.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 10000, RETRY_MS = 200, WAIT_SLICE_MS = 50, ALIGNMENT = 64 };
#define ARENA_BYTES ((size_t)4 << 20)

/* One version's weights, immutable. */
struct weights {
  uint64_t version, learner_step;
  float *data; /* owned, malloc'd */
};

struct pmpo_policy {
  struct pmpo *client; /* not owned */
  struct pmpo_policy_options options;
  struct pmp_policy model;
  struct pmp_compute compute;
  float *cache, *head;             /* owned: (cache floats), (rows_max x H) */
  struct weights *current;         /* owned; the evaluating thread's, NULL before the first */
  struct weights *_Atomic arrived; /* owned; newer than current, NULL: none */
  struct pmp_arena arena;          /* the fetching thread's */
  /* the following thread */
  pthread_t thread;
  bool running, ready;
  atomic_bool closing;
  atomic_int dead; /* enum pmp_err; the reason is under lock */
  pthread_mutex_t lock;
  pthread_cond_t changed; /* arrived, dead */
  struct pmp_errmsg reason;
  uint64_t fetched; /* the fetching thread's: newest version it has had */
};

static void free_weights(struct weights *w) {
  if (w == NULL) return;
  free(w->data);
  free(w);
}

/* ---- checking ---- */

static enum pmp_err check_views(const struct pmp_manifest *want, const struct pmp_weights_reply *m,
                                struct pmp_errmsg *msg) {
  if (m->views != want->views)
    return pmp_fail(msg, PMP_ECONFLICT, "version %llu has %u tensors; the policy has %u",
                    (unsigned long long)m->version, m->views, want->views);
  for (uint32_t i = 0; i < want->views; i++) {
    const struct pmp_view *w = &want->view[i];
    const struct pmp_wire_view *v = &m->view[i];
    bool same = strcmp(w->name, v->name) == 0 && w->rank == v->rank && w->offset == v->offset;
    for (uint32_t k = 0; same && k < w->rank; k++) same = w->shape[k] == v->shape[k];
    if (!same)
      return pmp_fail(msg, PMP_ECONFLICT, "version %llu: tensor %u is '%s', not the policy's '%s'",
                      (unsigned long long)m->version, i, v->name, w->name);
  }
  return PMP_OK;
}

static enum pmp_err check_weights(const struct pmpo_policy *p, const struct pmp_weights_reply *m,
                                  const float *data, struct pmp_errmsg *msg) {
  const struct pmp_manifest *want = &p->model.manifest;
  char hash[33];
  PMP_TRY(check_views(want, m, msg));
  if (m->bytes != want->floats * sizeof(float))
    return pmp_fail(msg, PMP_ECONFLICT, "version %llu has %llu bytes; the policy has %zu",
                    (unsigned long long)m->version, (unsigned long long)m->bytes,
                    want->floats * sizeof(float));
  pmp_params_hash(want, data, hash);
  if (strcmp(hash, m->hash) != 0)
    return pmp_fail(msg, PMP_ECORRUPT, "version %llu: the bytes do not have the hash %.40s",
                    (unsigned long long)m->version, m->hash);
  for (size_t i = 0; i < want->floats; i++)
    if (!isfinite(data[i]))
      return pmp_fail(msg, PMP_ECORRUPT, "version %llu: weight %zu is not finite",
                      (unsigned long long)m->version, i);
  return PMP_OK;
}

/* Fetches what is newer than the last and checks it. PMP_ENOTFOUND: nothing newer. */
static enum pmp_err fetch(struct pmpo_policy *p, uint32_t wait_ms, struct weights **out,
                          struct pmp_errmsg *msg) {
  struct pmp_weights_reply manifest;
  struct weights *w = calloc(1, sizeof *w);
  *out = NULL;
  if (w == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for weights");
  pmp_arena_release(&p->arena, 0);
  enum pmp_err err = pmpo_weights(p->client, p->options.which, 0, p->fetched, wait_ms, &p->arena,
                                  &manifest, &w->data, msg);
  if (err == PMP_OK) err = check_weights(p, &manifest, w->data, msg);
  if (err != PMP_OK) {
    free_weights(w);
    return err;
  }
  p->fetched = w->version = manifest.version;
  w->learner_step = manifest.learner_step;
  *out = w;
  return PMP_OK;
}

/* ---- following ---- */

static void publish(struct pmpo_policy *p, struct weights *w) {
  pthread_mutex_lock(&p->lock);
  free_weights(atomic_exchange(&p->arrived, w));
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->lock);
}

static void die(struct pmpo_policy *p, enum pmp_err err, const struct pmp_errmsg *reason) {
  pthread_mutex_lock(&p->lock);
  p->reason = *reason;
  atomic_store(&p->dead, (int)err);
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->lock);
}

/* What may be different the next time. */
static bool passing(enum pmp_err err) {
  return err == PMP_ENOTFOUND || err == PMP_EUNAVAILABLE || err == PMP_EINTERNAL ||
         err == PMP_EBUSY || err == PMP_ETIMEOUT || err == PMP_EIO || err == PMP_ENOMEM;
}

static void *follow(void *arg) {
  struct pmpo_policy *p = arg;
  while (!atomic_load(&p->closing)) {
    struct pmp_errmsg msg = {"stopped"};
    struct weights *w;
    enum pmp_err err = fetch(p, POLL_MS, &w, &msg);
    if (err == PMP_OK) {
      publish(p, w);
    } else if (!passing(err)) {
      die(p, err, &msg);
      break;
    } else {
      struct timespec t = {.tv_nsec = RETRY_MS * 1000000L};
      if (err != PMP_ENOTFOUND) nanosleep(&t, NULL);
    }
  }
  return NULL;
}

static enum pmp_err start_following(struct pmpo_policy *p, struct pmp_errmsg *msg) {
  sigset_t all, before;
  sigfillset(&all); /* signals are the caller's */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&p->thread, NULL, follow, p);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (rc != 0) return pmp_fail(msg, PMP_ENOMEM, "cannot start a thread: %s", strerror(rc));
  p->running = true;
  return PMP_OK;
}

/* ---- open and close ---- */

static float *floats(size_t n) {
  size_t bytes = (n * sizeof(float) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return aligned_alloc(ALIGNMENT, bytes > 0 ? bytes : ALIGNMENT);
}

static enum pmp_err build(struct pmpo_policy *p, struct pmp_errmsg *msg) {
  const char *json = pmpo_run(p->client)->policy;
  struct pmp_policy_spec spec;
  PMP_TRY(pmp_policy_spec_from_json(&spec, json, strlen(json), msg));
  PMP_TRY(pmp_policy_init(&p->model, &spec, msg));
  PMP_TRY(pmp_compute_cpu(&p->compute, 1));
  PMP_TRY(pmp_arena_init(&p->arena, ARENA_BYTES));
  p->cache = floats(pmp_policy_cache_floats(&p->model, p->options.rows_max));
  p->head = floats(p->options.rows_max * p->model.head);
  if (p->cache == NULL || p->head == NULL)
    return pmp_fail(msg, PMP_ENOMEM, "no memory for the policy");
  return PMP_OK;
}

enum pmp_err pmpo_policy_open(struct pmpo_policy **out, struct pmpo *client,
                              const struct pmpo_policy_options *options, struct pmp_errmsg *msg) {
  *out = NULL;
  if (options->rows_max == 0) return pmp_fail(msg, PMP_EINVALID, "rows_max is 0");
  struct pmpo_policy *p = calloc(1, sizeof *p);
  if (p == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for the policy");
  p->client = client;
  p->options = *options;
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->changed, &attr);
  pthread_condattr_destroy(&attr);
  enum pmp_err err = build(p, msg);
  if (err == PMP_OK && options->follow) err = start_following(p, msg);
  if (err != PMP_OK) {
    pmpo_policy_close(p);
    return err;
  }
  *out = p;
  return PMP_OK;
}

void pmpo_policy_close(struct pmpo_policy *p) {
  if (p == NULL) return;
  atomic_store(&p->closing, true);
  if (p->running) {
    pmpo_weights_cancel(p->client);
    pthread_join(p->thread, NULL);
  }
  free_weights(p->current);
  free_weights(atomic_load(&p->arrived));
  free(p->cache);
  free(p->head);
  pmp_arena_fini(&p->arena);
  pthread_cond_destroy(&p->changed);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

/* ---- versions ---- */

const struct pmp_policy *pmpo_policy_model(const struct pmpo_policy *p) {
  return &p->model;
}

uint64_t pmpo_policy_version(const struct pmpo_policy *p, uint64_t *learner_step) {
  if (learner_step != NULL) *learner_step = p->current != NULL ? p->current->learner_step : 0;
  return p->current != NULL ? p->current->version : 0;
}

static enum pmp_err why_dead(struct pmpo_policy *p, struct pmp_errmsg *msg) {
  pthread_mutex_lock(&p->lock);
  enum pmp_err err = pmp_fail(msg, (enum pmp_err)atomic_load(&p->dead), "%s", p->reason.text);
  pthread_mutex_unlock(&p->lock);
  return err;
}

static void take(struct pmpo_policy *p) {
  if (atomic_load_explicit(&p->arrived, memory_order_relaxed) == NULL) return;
  struct weights *w = atomic_exchange(&p->arrived, NULL);
  if (w == NULL) return;
  free_weights(p->current);
  p->current = w;
}

enum pmp_err pmpo_policy_update(struct pmpo_policy *p, struct pmp_errmsg *msg) {
  if (atomic_load_explicit(&p->dead, memory_order_relaxed) != PMP_OK) return why_dead(p, msg);
  take(p);
  return PMP_OK;
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Sleeps until something has arrived, at most a slice. */
static void wait_slice(struct pmpo_policy *p, int64_t deadline_ns) {
  int64_t until = now_ns() + WAIT_SLICE_MS * INT64_C(1000000);
  if (until > deadline_ns) until = deadline_ns;
  struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = (long)(until % 1000000000)};
  pthread_mutex_lock(&p->lock);
  while (atomic_load(&p->arrived) == NULL && atomic_load(&p->dead) == PMP_OK)
    if (pthread_cond_timedwait(&p->changed, &p->lock, &t) == ETIMEDOUT) break;
  pthread_mutex_unlock(&p->lock);
}

enum pmp_err pmpo_policy_wait(struct pmpo_policy *p, uint64_t version, bool exactly, int timeout_ms,
                              struct pmp_errmsg *msg) {
  if (!p->running) return pmp_fail(msg, PMP_EINVALID, "the mirror does not follow");
  int64_t deadline_ns = timeout_ms < 0 ? INT64_MAX : now_ns() + timeout_ms * INT64_C(1000000);
  for (;;) {
    PMP_TRY(pmpo_policy_update(
        p, msg)); /* a stop ends the follower, which then is dead with PMP_ECLOSED */
    uint64_t have = pmpo_policy_version(p, NULL);
    if (have != 0 && have >= version) {
      if (!exactly || have == version) return PMP_OK;
      return pmp_fail(msg, PMP_ECONFLICT, "version %llu is needed, but %llu is out already",
                      (unsigned long long)version, (unsigned long long)have);
    }
    if (now_ns() >= deadline_ns)
      return pmp_fail(msg, PMP_ETIMEOUT, "version %llu has not come", (unsigned long long)version);
    wait_slice(p, deadline_ns);
  }
}

enum pmp_err pmpo_policy_fetch(struct pmpo_policy *p, uint32_t wait_ms, struct pmp_errmsg *msg) {
  if (p->running) return pmp_fail(msg, PMP_EINVALID, "the mirror follows by itself");
  struct weights *w;
  PMP_TRY(fetch(p, wait_ms, &w, msg));
  free_weights(p->current);
  p->current = w;
  return PMP_OK;
}

/* ---- evaluation ---- */

enum pmp_err pmpo_policy_head(struct pmpo_policy *p, uint32_t rows, const float *x,
                              const float **head, struct pmp_errmsg *msg) {
  if (p->current == NULL) return pmp_fail(msg, PMP_EINVALID, "no weights have arrived yet");
  if (rows > p->options.rows_max)
    return pmp_fail(msg, PMP_EINVALID, "%u conditions; the mirror was opened for %u", rows,
                    p->options.rows_max);
  enum pmp_err err =
      pmp_policy_forward(&p->model, &p->compute, p->current->data, rows, x, p->cache, p->head);
  *head = p->head;
  return err == PMP_OK
             ? PMP_OK
             : pmp_fail(msg, err, "the policy cannot be evaluated: %s", pmp_err_name(err));
}

enum pmp_err pmpo_policy_sample(struct pmpo_policy *p, uint32_t rows, uint32_t draws,
                                const float *x, struct pmp_rng *rng, float *y,
                                struct pmp_errmsg *msg) {
  const float *head;
  PMP_TRY(pmpo_policy_head(p, rows, x, &head, msg));
  enum pmp_err err = pmp_dist_sample(&p->model.spec.dist, rows, draws, head, rng, y);
  return err == PMP_OK ? PMP_OK
                       : pmp_fail(msg, err, "the policy cannot be sampled: %s", pmp_err_name(err));
}

enum pmp_err pmpo_policy_mode(struct pmpo_policy *p, uint32_t rows, const float *x, float *y,
                              struct pmp_errmsg *msg) {
  const float *head;
  PMP_TRY(pmpo_policy_head(p, rows, x, &head, msg));
  enum pmp_err err = pmp_dist_mode(&p->model.spec.dist, rows, head, y);
  return err == PMP_OK ? PMP_OK
                       : pmp_fail(msg, err, "the policy has no mode: %s", pmp_err_name(err));
}

void pmpo_policy_action(const struct pmpo_policy *p, uint32_t n, const float *y, float *action) {
  pmp_dist_action(&p->model.spec.dist, n, y, action);
}
