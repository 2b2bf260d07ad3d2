/* A pmpod of its own for a measurement: started from the program's folder on free ports, asked for
 * its numbers, stopped; and the chunks that are sent to it.
 *
 * A daemon dies with the program that started it. Everything lives below build/.../bench-work, or
 * where PMP_BENCH_DIR says: it should be a disk, not a tmpfs. Where a daemon cannot be had, the
 * caller prints its figures as not measured. */
#ifndef PMP_BENCH_DAEMON_H
#define PMP_BENCH_DAEMON_H

#include "bench/bench.h"
#include "bench/support/recipes.h"
#include "clients/libpmpo/pmpo.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DAEMON_SETS_MAX = 48, DAEMON_START_MS = 120000, DAEMON_STOP_MS = 60000 };

struct daemon {
  pid_t pid; /* 0: not running */
  char dir[512], desk[128];
  int64_t forked_ns;
};

/* ---------------------------------------------------------------- folders */

/* A folder below the benchmarks' own; made if it is not there. */
static inline void daemon_folder(char *out, size_t size, const char *name) {
  const char *base = getenv("PMP_BENCH_DIR");
  char bin[400];
  bench_bin(bin, sizeof bin);
  if (base != NULL && base[0] != 0)
    snprintf(out, size, "%s", base);
  else
    snprintf(out, size, "%s/../bench-work", bin);
  mkdir(out, 0700);
  size_t used = strlen(out);
  snprintf(out + used, size - used, "/%s", name);
  mkdir(out, 0700);
}

/* Removes what a run leaves in its folder, and the folder. */
static inline void daemon_wipe(const char *dir) {
  pid_t pid = fork();
  if (pid == 0) {
    execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
    _exit(127);
  }
  int status;
  if (pid > 0) waitpid(pid, &status, 0);
}

/* The same, empty: an earlier run that was broken off may have left something. */
static inline void daemon_fresh_folder(char *out, size_t size, const char *name) {
  daemon_folder(out, size, name);
  daemon_wipe(out);
  daemon_folder(out, size, name);
}

/* Free bytes where a folder lies. */
static inline double daemon_space(const char *dir) {
  struct statvfs v;
  return statvfs(dir, &v) == 0 ? (double)v.f_bavail * (double)v.f_frsize : 0.0;
}

/* ---------------------------------------------------------------- start and stop */

/* What the daemon said last, for the reason of a figure that could not be measured. */
static inline const char *daemon_last_words(const struct daemon *d, char *line, int size) {
  char path[600], text[512];
  snprintf(path, sizeof path, "%s/pmpod.log", d->dir);
  snprintf(line, (size_t)size, "nothing");
  FILE *f = fopen(path, "r");
  while (f != NULL && fgets(text, sizeof text, f) != NULL) {
    text[strcspn(text, "\n")] = 0;
    snprintf(line, (size_t)size, "%s", text);
  }
  if (f != NULL) fclose(f);
  return line;
}

static inline void daemon_exec(const struct daemon *d, const char *const *settings, int core) {
  char path[600], log[600];
  const char *argv[2 * DAEMON_SETS_MAX + 8];
  int n = 0;
  bench_bin(path, sizeof path - 8);
  strcat(path, "/pmpod");
  snprintf(log, sizeof log, "%s/pmpod.log", d->dir);
  int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd >= 0) dup2(fd, 2);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (core >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  setenv("OMP_WAIT_POLICY", "passive", 0);
  const char *const always[] = {path,
                                "--dir",
                                d->dir,
                                "--set",
                                "listen.desk=tcp://127.0.0.1:0",
                                "--set",
                                "listen.data=tcp://127.0.0.1:0"};
  for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) argv[n++] = always[i];
  for (int i = 0; settings[i] != NULL && i < DAEMON_SETS_MAX; i++) {
    argv[n++] = "--set";
    argv[n++] = settings[i];
  }
  argv[n] = NULL;
  execv(path, (char *const *)(uintptr_t)argv);
  dprintf(2, "%s cannot be run\n", path);
  _exit(127);
}

/* The desk's address once the daemon has written it; false: not yet. */
static inline bool daemon_address(struct daemon *d) {
  char path[600];
  snprintf(path, sizeof path, "%s/endpoints.json", d->dir);
  json_t *all = json_load_file(path, 0, NULL);
  const char *desk = json_string_value(json_object_get(all, "desk"));
  bool ours = json_integer_value(json_object_get(all, "pid")) == (json_int_t)d->pid;
  if (desk != NULL && ours) snprintf(d->desk, sizeof d->desk, "%s", desk);
  json_decref(all);
  return desk != NULL && ours;
}

static inline bool daemon_gone(struct daemon *d) {
  int status;
  if (d->pid == 0 || waitpid(d->pid, &status, WNOHANG) != d->pid) return d->pid == 0;
  d->pid = 0;
  return true;
}

static inline void daemon_stop(struct daemon *d) {
  if (daemon_gone(d)) return;
  kill(d->pid, SIGTERM);
  for (int ms = 0; ms < DAEMON_STOP_MS && !daemon_gone(d); ms += 5) usleep(5000);
  if (daemon_gone(d)) return;
  int status;
  kill(d->pid, SIGKILL);
  waitpid(d->pid, &status, 0);
  d->pid = 0;
}

/* Starts it in dir (made by the caller) with further KEY=VALUE settings; core >= 0: all its threads
 * on that core (learner.core takes one away again). Returns when its addresses are known. */
PMP_MUST_CHECK static inline enum pmp_err daemon_start(struct daemon *d, const char *dir,
                                                       const char *const *settings, int core,
                                                       struct pmp_errmsg *msg) {
  char words[512];
  *d = (struct daemon){.pid = 0};
  snprintf(d->dir, sizeof d->dir, "%s", dir);
  d->forked_ns = bench_now();
  d->pid = fork();
  if (d->pid < 0) return pmp_fail(msg, PMP_ENOMEM, "cannot fork");
  if (d->pid == 0) daemon_exec(d, settings, core);
  while (bench_seconds(d->forked_ns) < DAEMON_START_MS / 1e3) {
    if (daemon_address(d)) return PMP_OK;
    if (daemon_gone(d))
      return pmp_fail(msg, PMP_ECLOSED, "pmpod ended at once; it said: %s",
                      daemon_last_words(d, words, sizeof words));
    usleep(500);
  }
  daemon_stop(d);
  return pmp_fail(msg, PMP_ETIMEOUT, "pmpod did not start within %d s", DAEMON_START_MS / 1000);
}

/* stop (nullable): ends every wait of the client when it becomes non-zero. */
PMP_MUST_CHECK static inline enum pmp_err daemon_client(const struct daemon *d, enum pmp_role role,
                                                        const char *name, const volatile int *stop,
                                                        struct pmpo **out, struct pmp_errmsg *msg) {
  const struct pmpo_options options = {
      .url = d->desk, .role = role, .name = name, .client = "bench", .stop = stop};
  return pmpo_open(out, &options, msg);
}

/* ---------------------------------------------------------------- its numbers */

struct daemon_status {
  struct pmp_arena arena;
  struct pmp_status_reply reply; /* pointers into arena */
};

PMP_MUST_CHECK static inline enum pmp_err daemon_ask(struct pmpo *c, struct daemon_status *s,
                                                     struct pmp_errmsg *msg) {
  struct pmp_request request = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  if (s->arena.base == NULL) PMP_TRY(pmp_arena_init(&s->arena, 1 << 20));
  pmp_arena_release(&s->arena, 0);
  PMP_TRY(pmpo_request(c, &request, &s->arena, &reply, 20000, msg));
  s->reply = reply.u.status;
  return PMP_OK;
}

/* NaN when it is not there. */
static inline double daemon_number(const struct daemon_status *s, const char *name) {
  for (uint32_t i = 0; i < s->reply.numbers; i++)
    if (strcmp(s->reply.number[i].name, name) == 0) return s->reply.number[i].value;
  return NAN;
}

static inline const char *daemon_text(const struct daemon_status *s, const char *name) {
  for (uint32_t i = 0; i < s->reply.texts; i++)
    if (strcmp(s->reply.text[i].name, name) == 0) return s->reply.text[i].value;
  return "";
}

PMP_MUST_CHECK static inline enum pmp_err
daemon_control(struct pmpo *c, enum pmp_control_action action, struct pmp_errmsg *msg) {
  struct pmp_request request = {.verb = PMP_VERB_CONTROL};
  struct pmp_reply reply;
  unsigned char memory[8192];
  struct pmp_arena arena = {.base = memory, .capacity = sizeof memory};
  request.u.control = (struct pmp_control){.action = action, .key = "", .value = ""};
  return pmpo_request(c, &request, &arena, &reply, 60000, msg);
}

/* From /proc/PID/status, in bytes; NaN when it is not there. field: "VmRSS:". */
static inline double daemon_memory(pid_t pid, const char *field) {
  char path[64], line[256];
  double kib = NAN;
  snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
  FILE *f = fopen(path, "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL)
    if (strncmp(line, field, strlen(field)) == 0) kib = strtod(line + strlen(field), NULL);
  if (f != NULL) fclose(f);
  return kib * 1024.0;
}

/* ---------------------------------------------------------------- chunks */

static inline struct pmp_tensor daemon_tensor(const void *data, uint64_t rows, uint64_t width) {
  return (struct pmp_tensor){.dtype = PMP_F32,
                             .rank = 2,
                             .shape = {rows, width},
                             .data = data,
                             .bytes = (size_t)(rows * width) * sizeof(float)};
}

/* A recipe's rows as a chunk that borrows them. */
static inline struct pmp_chunk daemon_trajectories(const struct recipe_rows *r) {
  struct pmp_chunk c = {.source = PMP_SOURCE_ACTOR,
                        .shape = PMP_SHAPE_TRAJECTORIES,
                        .rows = r->rows,
                        .obs_parts = 1,
                        .env = r->envs,
                        .envs = r->rows,
                        .episode = r->episodes,
                        .episodes = r->rows,
                        .t = r->t,
                        .reward = r->reward,
                        .discount = r->discount,
                        .flags = r->flags};
  c.obs[0] = daemon_tensor(r->x, r->rows, r->obs);
  c.action = daemon_tensor(r->y, r->rows, r->act);
  return c;
}

/* Sends `rows` rows in chunks of `chunk`, waits for the last acknowledgement. */
PMP_MUST_CHECK static inline enum pmp_err daemon_send_rows(struct pmpo *actor,
                                                           struct recipe_rows *r, uint64_t rows,
                                                           uint32_t chunk, struct pmp_errmsg *msg) {
  for (uint64_t sent = 0; sent < rows; sent += chunk) {
    recipe_rows_next(r, chunk);
    struct pmp_chunk c = daemon_trajectories(r);
    PMP_TRY(pmpo_append(actor, &c, (struct pmp_bytes){0}, msg));
  }
  return pmpo_flush(actor, 120000, msg);
}

/* Waits until the learner has taken `commit`. */
PMP_MUST_CHECK static inline enum pmp_err daemon_wait_learner(struct pmpo *c,
                                                              struct daemon_status *s,
                                                              double seconds,
                                                              struct pmp_errmsg *msg) {
  int64_t start = bench_now();
  while (bench_seconds(start) < seconds) {
    PMP_TRY(daemon_ask(c, s, msg));
    if (strcmp(daemon_text(s, "state"), "loading") != 0 &&
        daemon_number(s, "learner.commit") >= daemon_number(s, "store.last_commit"))
      return PMP_OK;
    usleep(2000);
  }
  return pmp_fail(msg, PMP_ETIMEOUT, "the learner has not taken what is stored within %.0f s",
                  seconds);
}

/* This thread, and those that it starts, on one core. false: not allowed. */
static inline bool daemon_pin_self(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)core, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

#endif
