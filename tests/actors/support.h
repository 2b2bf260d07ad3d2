/* For the tests of actors: a fake daemon with a policy to act with, and actors as child processes.
 */
#ifndef PMP_TESTS_ACTORS_SUPPORT_H
#define PMP_TESTS_ACTORS_SUPPORT_H

#include "policy/policy.h"
#include "tests/support/fake_daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FLOATS_MAX = 1 << 16 };

/* A policy and a daemon that serves it; version v has its own weights. */
struct fixture {
  struct pmp_policy policy;
  char *json;
  struct fake_daemon *daemon;
  uint32_t publish_every; /* commits; 0: only version 1 */
};

static inline struct pmp_policy_spec gaussian(uint32_t obs, uint32_t dim) {
  struct pmp_policy_spec s = {.obs = obs, .network = obs > 0, .init_std = obs > 0 ? 0.3f : 1.0f};
  s.dist = (struct pmp_dist){.kind = PMP_DIST_DIAG_GAUSSIAN,
                             .dim = dim,
                             .squash_mean = obs > 0,
                             .std_scale = 1,
                             .std_min = 1e-3f,
                             .low = obs > 0 ? -1.0f : -100.0f,
                             .high = obs > 0 ? 1.0f : 100.0f};
  if (obs > 0) {
    s.hidden[0] = s.hidden[1] = 16;
    s.hidden_count = 2;
    s.first_layer_norm = true;
  }
  return s;
}

static inline struct pmp_policy_spec categorical(uint32_t obs, uint32_t dim, uint32_t bins) {
  struct pmp_policy_spec s = gaussian(obs, dim);
  s.dist = (struct pmp_dist){
      .kind = PMP_DIST_CATEGORICAL, .dim = dim, .bins = bins, .low = -1, .high = 1};
  s.init_std = 0;
  return s;
}

static inline struct pmp_spec control_spec(const char *task, uint32_t obs,
                                           const struct pmp_dist *dist) {
  struct pmp_spec s = {.shape = PMP_SHAPE_TRAJECTORIES, .obs_parts = 1};
  snprintf(s.task, sizeof s.task, "%s", task);
  s.obs[0] =
      (struct pmp_tensor_spec){.name = "observation", .dtype = PMP_F32, .rank = 1, .shape = {obs}};
  s.action.kind = dist->kind == PMP_DIST_CATEGORICAL ? PMP_ACTION_BINS : PMP_ACTION_BOX;
  s.action.dim = dist->dim;
  s.action.low = dist->low;
  s.action.high = dist->high;
  s.action.bins = dist->bins;
  return s;
}

static inline struct pmp_spec bandit_spec(const char *task, const struct pmp_dist *dist) {
  struct pmp_spec s = control_spec(task, 1, dist);
  s.shape = PMP_SHAPE_OUTCOMES;
  s.obs_parts = 0;
  return s;
}

/* `locked`: called by the daemon itself. */
static inline void publish(struct fixture *f, struct fake_daemon *d, uint64_t version,
                           bool locked) {
  float *params = malloc(FLOATS_MAX * sizeof *params);
  struct pmp_wire_view view[PMP_VIEWS_MAX] = {0};
  const struct pmp_manifest *m = &f->policy.manifest;
  struct pmp_rng rng;
  char hash[33];
  if (params == NULL || m->floats > FLOATS_MAX) abort();
  pmp_rng_init(&rng, 1000 + version, 7);
  pmp_policy_init_params(&f->policy, &rng, params);
  for (uint32_t i = 0; i < m->views; i++) {
    view[i].name = m->view[i].name;
    view[i].rank = m->view[i].rank;
    view[i].offset = m->view[i].offset;
    for (uint32_t k = 0; k < m->view[i].rank; k++) view[i].shape[k] = m->view[i].shape[k];
  }
  pmp_params_hash(m, params, hash);
  if (locked)
    fake_daemon_publish_locked(d, version, view, m->views, params, m->floats, hash);
  else
    fake_daemon_publish(d, version, view, m->views, params, m->floats, hash);
  free(params);
}

static inline void on_commit(void *ctx, struct fake_daemon *d, uint64_t chunk,
                             const struct pmp_chunk *columns) {
  struct fixture *f = ctx;
  (void)columns;
  if (f->publish_every != 0 && (chunk + 1) % f->publish_every == 0)
    publish(f, d, 1 + (chunk + 1) / f->publish_every, true);
}

/* The fixture must stay where it is. */
static inline void fixture_start(struct fixture *f, const struct pmp_policy_spec *policy,
                                 const struct pmp_spec *spec, bool lockstep,
                                 uint32_t publish_every) {
  struct pmp_errmsg msg;
  memset(f, 0, sizeof *f);
  if (pmp_policy_init(&f->policy, policy, &msg) != PMP_OK) fail_msg("%s", msg.text);
  assert_int_equal(pmp_policy_spec_to_json(policy, &f->json), PMP_OK);
  f->publish_every = publish_every;
  struct fake_options options = {.spec = *spec,
                                 .policy = f->json,
                                 .lockstep = lockstep,
                                 .seed = 5,
                                 .on_commit = on_commit,
                                 .ctx = f};
  f->daemon = fake_daemon_start(&options);
  assert_non_null(f->daemon);
  publish(f, f->daemon, 1, false);
}

static inline void fixture_stop(struct fixture *f) {
  fake_daemon_stop(f->daemon);
  free(f->json);
}

/* Starts `pmpo-actor ARGS...` (at most 24) against the daemon, its stdout and stderr to `log`
 * (NULL: nowhere). */
static inline pid_t actor_start(struct fixture *f, const char *log, const char *const *args) {
  char program[4096];
  char *argv[32];
  int n = 0;
  const char *bin = getenv("PMP_BIN");
  assert_non_null(bin);
  snprintf(program, sizeof program, "%s/pmpo-actor", bin);
  argv[n++] = program;
  for (int i = 0; args[i] != NULL && n < 26; i++) argv[n++] = (char *)(uintptr_t)args[i];
  argv[n++] = (char *)(uintptr_t) "--connect";
  argv[n++] = (char *)(uintptr_t)fake_daemon_url(f->daemon);
  argv[n] = NULL;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid > 0) return pid;
  int out = open(log != NULL ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (out >= 0) {
    dup2(out, 1);
    dup2(out, 2);
  }
  execv(program, argv);
  _exit(127);
}

/* Its exit code; 128 + the signal that ended it. */
static inline int actor_wait(pid_t pid) {
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline int actor_run(struct fixture *f, const char *log, const char *const *args) {
  return actor_wait(actor_start(f, log, args));
}

/* The same chunks, byte for byte, with the same states behind them. */
static inline void assert_same_chunks(struct fixture *a, struct fixture *b, uint64_t chunks) {
  for (uint64_t i = 0; i < chunks; i++) {
    struct pmp_bytes ca, cb, sa, sb;
    assert_true(fake_daemon_chunk(a->daemon, i, &ca, &sa));
    assert_true(fake_daemon_chunk(b->daemon, i, &cb, &sb));
    assert_int_equal(ca.size, cb.size);
    assert_memory_equal(ca.data, cb.data, ca.size);
    assert_int_equal(sa.size, sb.size);
    assert_memory_equal(sa.data, sb.data, sa.size);
  }
}

#endif
