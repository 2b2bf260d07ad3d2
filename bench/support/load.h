/* A daemon at full training load: it learns the cartpole recipe from actors that always have more
 * rows than it takes, and that fetch every new reference.
 *
 * The caller's thread owns the load; each actor has a thread of its own. */
#ifndef PMP_BENCH_LOAD_H
#define PMP_BENCH_LOAD_H

#include "bench/support/daemon.h"

#include <stdatomic.h>

enum { LOAD_ACTORS = 4, LOAD_CHUNK = 64, LOAD_SETS_MAX = 24 };

struct load_actor {
  struct pmpo *client;
  pthread_t sender, mirror;
  struct recipe_rows rows;
  const volatile int *stop;
  atomic_bool failed; /* before it was told to stop; msg says why */
  struct pmp_errmsg msg;
};

struct load {
  struct daemon daemon;
  struct pmpo *desk, *operator_; /* one asks, one steers */
  struct daemon_status status;
  struct load_actor actor[LOAD_ACTORS];
  volatile int stop;
};

static inline void *load_send(void *arg) {
  struct load_actor *a = arg;
  enum pmp_err err = PMP_OK;
  while (*a->stop == 0 && err == PMP_OK) {
    recipe_rows_next(&a->rows, LOAD_CHUNK);
    struct pmp_chunk c = daemon_trajectories(&a->rows);
    err = pmpo_append(a->client, &c, (struct pmp_bytes){0}, &a->msg);
  }
  if (*a->stop == 0) atomic_store(&a->failed, true);
  return NULL;
}

/* Fetches every reference, as an actor does that acts with it. */
static inline void *load_mirror(void *arg) {
  struct load_actor *a = arg;
  struct pmp_arena arena = {.base = NULL};
  uint64_t have = 0;
  if (pmp_arena_init(&arena, (size_t)4 << 20) != PMP_OK) return NULL;
  while (*a->stop == 0) {
    struct pmp_weights_reply manifest;
    float *buffer = NULL;
    pmp_arena_release(&arena, 0);
    enum pmp_err err = pmpo_weights(a->client, PMP_WHICH_REFERENCE, 0, have, 1000, &arena,
                                    &manifest, &buffer, NULL);
    if (err == PMP_OK)
      have = manifest.version;
    else if (err != PMP_ENOTFOUND)
      usleep(10000);
    free(buffer);
  }
  pmp_arena_fini(&arena);
  return NULL;
}

/* Starts the daemon in bench-work/NAME, fills its ring with `rows` rows, then lets the actors
 * loose. core: as daemon_start. extra: further settings. */
PMP_MUST_CHECK static inline enum pmp_err load_open(struct load *l, const char *name, uint32_t rows,
                                                    int core, const char *const *extra,
                                                    struct pmp_errmsg *msg) {
  char dir[512], least[64];
  const char *set[LOAD_SETS_MAX];
  int n = 0;
  snprintf(least, sizeof least, "learner.min_size=%u", rows - rows / 100);
  for (int i = 0; recipe_cartpole_settings[i] != NULL; i++) set[n++] = recipe_cartpole_settings[i];
  set[n++] = least;
  for (int i = 0; extra[i] != NULL && n < LOAD_SETS_MAX - 1; i++) set[n++] = extra[i];
  set[n] = NULL;
  daemon_fresh_folder(dir, sizeof dir, name);
  PMP_TRY(daemon_start(&l->daemon, dir, set, core, msg));
  PMP_TRY(daemon_client(&l->daemon, PMP_ROLE_OBSERVER, "bench", NULL, &l->desk, msg));
  PMP_TRY(daemon_client(&l->daemon, PMP_ROLE_OPERATOR, "bench", NULL, &l->operator_, msg));
  for (int i = 0; i < LOAD_ACTORS; i++) {
    struct load_actor *a = &l->actor[i];
    char actor[24];
    snprintf(actor, sizeof actor, "bench-%d", i);
    a->stop = &l->stop;
    recipe_rows_init(&a->rows, 5, 1, (uint32_t)i);
    PMP_TRY(daemon_client(&l->daemon, PMP_ROLE_ACTOR, actor, &l->stop, &a->client, msg));
  }
  for (int i = 0; i < LOAD_ACTORS; i++)
    PMP_TRY(daemon_send_rows(l->actor[i].client, &l->actor[i].rows, rows / LOAD_ACTORS, 500, msg));
  for (int i = 0; i < LOAD_ACTORS; i++) {
    struct load_actor *a = &l->actor[i];
    if (pthread_create(&a->sender, NULL, load_send, a) != 0 ||
        pthread_create(&a->mirror, NULL, load_mirror, a) != 0)
      return pmp_fail(msg, PMP_ENOMEM, "cannot start a thread");
  }
  for (int64_t start = bench_now(); bench_seconds(start) < 30.0;) {
    PMP_TRY(daemon_ask(l->desk, &l->status, msg));
    if (daemon_number(&l->status, "learner.steps") > 100.0) return PMP_OK;
    usleep(10000);
  }
  return pmp_fail(msg, PMP_ETIMEOUT, "the learner does not step: it is %s (%s)",
                  daemon_text(&l->status, "state"), daemon_text(&l->status, "reason"));
}

/* Do all actors still append? PMP_ECLOSED with the reason. */
PMP_MUST_CHECK static inline enum pmp_err load_alive(struct load *l, struct pmp_errmsg *msg) {
  for (int i = 0; i < LOAD_ACTORS; i++)
    if (atomic_load(&l->actor[i].failed))
      return pmp_fail(msg, PMP_ECLOSED, "an actor gave up: %.300s", l->actor[i].msg.text);
  return PMP_OK;
}

/* Safe on a load that did not open. */
static inline void load_close(struct load *l) {
  l->stop = 1;
  daemon_stop(&l->daemon);
  for (int i = 0; i < LOAD_ACTORS; i++) {
    struct load_actor *a = &l->actor[i];
    if (a->client != NULL) pmpo_weights_cancel(a->client);
  }
  for (int i = 0; i < LOAD_ACTORS; i++) {
    struct load_actor *a = &l->actor[i];
    if (a->sender != 0) pthread_join(a->sender, NULL);
    if (a->mirror != 0) pthread_join(a->mirror, NULL);
    pmpo_close(a->client);
    recipe_rows_fini(&a->rows);
  }
  pmpo_close(l->desk);
  pmpo_close(l->operator_);
  pmp_arena_fini(&l->status.arena);
  daemon_wipe(l->daemon.dir);
}

#endif
