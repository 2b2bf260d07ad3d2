/* Many actors at one daemon: threads that send made-up rows as fast as they are taken, or programs
 * that act in a real environment with the daemon's reference.
 *
 * The caller's thread owns the crowd. A crowd is started, watched and stopped as a whole. */
#ifndef PMP_BENCH_CROWD_H
#define PMP_BENCH_CROWD_H

#include "bench/support/daemon.h"

enum { CROWD_MAX = 16, CROWD_CHUNK = 256, CROWD_COME_MS = 60000 };
enum crowd_kind { CROWD_CLIENTS, CROWD_PROGRAMS };

struct crowd_member {
  pid_t pid;           /* programs */
  pthread_t thread;    /* clients */
  struct pmpo *client; /* clients */
  struct recipe_rows rows;
  const volatile int *stop;
  double before, from; /* rows taken from it: when it was added, when the watch began */
};

/* A daemon of the cartpole recipe and who watches it. */
struct crowd {
  struct daemon daemon;
  struct pmpo *desk, *operator_;
  struct daemon_status status;
  struct crowd_member member[CROWD_MAX];
  const char *chunk_rows; /* most rows that a program sends at once */
  int members;            /* there now */
  volatile int stop;
};

/* What happened in a while. */
struct crowd_rates {
  double rows, steps; /* a second: taken by the daemon; made by its learner */
  double by_core;     /* steps a second of the learner's thread on its core */
  double least_share; /* rows of the actor that had fewest, over the mean */
};

/* The status with its actors. */
PMP_MUST_CHECK static inline enum pmp_err crowd_ask(struct crowd *c, struct pmp_errmsg *msg) {
  struct pmp_request request = {.verb = PMP_VERB_STATUS};
  struct pmp_reply reply;
  request.u.status.actors = true;
  if (c->status.arena.base == NULL) PMP_TRY(pmp_arena_init(&c->status.arena, 1 << 20));
  pmp_arena_release(&c->status.arena, 0);
  PMP_TRY(pmpo_request(c->desk, &request, &c->status.arena, &reply, 20000, msg));
  c->status.reply = reply.u.status;
  return PMP_OK;
}

/* extra: further settings; chunk_rows is set by the caller beforehand. */
PMP_MUST_CHECK static inline enum pmp_err
crowd_open(struct crowd *c, const char *name, const char *const *extra, struct pmp_errmsg *msg) {
  char dir[512];
  const char *set[DAEMON_SETS_MAX] = {"spec.task=cartpole_swingup"};
  int n = 1;
  for (int i = 0; recipe_cartpole_settings[i] != NULL; i++) set[n++] = recipe_cartpole_settings[i];
  for (int i = 0; extra[i] != NULL && n < DAEMON_SETS_MAX - 1; i++) set[n++] = extra[i];
  set[n] = NULL;
  daemon_fresh_folder(dir, sizeof dir, name);
  PMP_TRY(daemon_start(&c->daemon, dir, set, -1, msg));
  PMP_TRY(daemon_client(&c->daemon, PMP_ROLE_OBSERVER, "bench", NULL, &c->desk, msg));
  return daemon_client(&c->daemon, PMP_ROLE_OPERATOR, "bench", NULL, &c->operator_, msg);
}

static inline void *crowd_send(void *arg) {
  struct crowd_member *a = arg;
  struct pmp_errmsg msg;
  enum pmp_err err = PMP_OK;
  while (*a->stop == 0 && err == PMP_OK) {
    recipe_rows_next(&a->rows, CROWD_CHUNK);
    struct pmp_chunk chunk = daemon_trajectories(&a->rows);
    err = pmpo_append(a->client, &chunk, (struct pmp_bytes){0}, &msg);
  }
  return NULL;
}

static inline void crowd_exec(const struct crowd *c, const char *name) {
  char path[600], log[600];
  bench_bin(path, sizeof path - 16);
  strcat(path, "/pmpo-actor");
  snprintf(log, sizeof log, "%s/actors.log", c->daemon.dir);
  int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd >= 0) dup2(fd, 2);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  execl(path, path, "control", "--task", "cartpole_swingup", "--connect", c->daemon.desk, "--name",
        name, "--chunk-rows", c->chunk_rows, "--quiet", (char *)NULL);
  _exit(127);
}

/* Rows that the daemon has of member i, as the last status says. */
static inline double crowd_rows_of(const struct crowd *c, int i) {
  char name[24];
  snprintf(name, sizeof name, "bench-%d", i);
  for (uint32_t k = 0; k < c->status.reply.actors; k++)
    if (strcmp(c->status.reply.actor[k].name, name) == 0)
      return (double)c->status.reply.actor[k].rows;
  return 0.0;
}

PMP_MUST_CHECK static inline enum pmp_err crowd_add(struct crowd *c, enum crowd_kind kind,
                                                    struct pmp_errmsg *msg) {
  struct crowd_member *a = &c->member[c->members];
  char name[24];
  snprintf(name, sizeof name, "bench-%d", c->members);
  *a = (struct crowd_member){.stop = &c->stop, .before = crowd_rows_of(c, c->members)};
  c->members++;
  if (kind == CROWD_PROGRAMS) {
    a->pid = fork();
    if (a->pid == 0) crowd_exec(c, name);
    return a->pid > 0 ? PMP_OK : pmp_fail(msg, PMP_ENOMEM, "cannot fork");
  }
  recipe_rows_init(&a->rows, 5, 1, 0);
  PMP_TRY(daemon_client(&c->daemon, PMP_ROLE_ACTOR, name, &c->stop, &a->client, msg));
  if (pthread_create(&a->thread, NULL, crowd_send, a) == 0) return PMP_OK;
  return pmp_fail(msg, PMP_ENOMEM, "cannot start a thread");
}

/* Programs end by themselves only when something is wrong. */
static inline bool crowd_is_whole(struct crowd *c) {
  bool whole = true;
  for (int i = 0; i < c->members; i++) {
    int status;
    struct crowd_member *a = &c->member[i];
    if (a->pid <= 0 || waitpid(a->pid, &status, WNOHANG) != a->pid) continue;
    a->pid = 0;
    whole = false;
  }
  return whole;
}

static inline void crowd_disperse(struct crowd *c) {
  int status;
  c->stop = 1;
  for (int i = 0; i < c->members; i++)
    if (c->member[i].pid > 0) kill(c->member[i].pid, SIGTERM);
  for (int i = 0; i < c->members; i++) {
    struct crowd_member *a = &c->member[i];
    if (a->pid > 0) waitpid(a->pid, &status, 0);
    if (a->thread != 0) pthread_join(a->thread, NULL);
    pmpo_close(a->client);
    recipe_rows_fini(&a->rows);
  }
  c->members = 0;
  c->stop = 0;
}

/* Waits until the daemon has rows of each member. */
PMP_MUST_CHECK static inline enum pmp_err crowd_await(struct crowd *c, struct pmp_errmsg *msg) {
  const int64_t start = bench_now();
  while (bench_seconds(start) * 1e3 < CROWD_COME_MS) {
    int there = 0;
    PMP_TRY(crowd_ask(c, msg));
    while (there < c->members && crowd_rows_of(c, there) > c->member[there].before) there++;
    if (there == c->members) return PMP_OK;
    if (!crowd_is_whole(c)) return pmp_fail(msg, PMP_ECLOSED, "an actor ended before its time");
    usleep(20000);
  }
  return pmp_fail(msg, PMP_ETIMEOUT, "not every actor had rows taken within %d s",
                  CROWD_COME_MS / 1000);
}

/* All members for about `seconds`. */
PMP_MUST_CHECK static inline enum pmp_err
crowd_watch(struct crowd *c, double seconds, struct crowd_rates *out, struct pmp_errmsg *msg) {
  PMP_TRY(crowd_ask(c, msg));
  const int64_t start = bench_now();
  const double rows = daemon_number(&c->status, "ingest.rows");
  const double steps = daemon_number(&c->status, "learner.steps");
  const double busy = daemon_number(&c->status, "learner.cpu_s");
  for (int i = 0; i < c->members; i++) c->member[i].from = crowd_rows_of(c, i);
  usleep((useconds_t)(seconds * 1e6));
  PMP_TRY(crowd_ask(c, msg));
  const double took = bench_seconds(start);
  out->rows = (daemon_number(&c->status, "ingest.rows") - rows) / took;
  out->steps = (daemon_number(&c->status, "learner.steps") - steps) / took;
  out->by_core = (daemon_number(&c->status, "learner.steps") - steps) /
                 (daemon_number(&c->status, "learner.cpu_s") - busy);
  double least = INFINITY, sum = 0.0;
  for (int i = 0; i < c->members; i++) {
    const double sent = crowd_rows_of(c, i) - c->member[i].from;
    least = fmin(least, sent);
    sum += sent;
  }
  out->least_share = sum > 0.0 ? least * c->members / sum : 0.0;
  return crowd_is_whole(c) ? PMP_OK : pmp_fail(msg, PMP_ECLOSED, "an actor ended before its time");
}

/* `count` actors come, are watched for about `seconds` and go. */
PMP_MUST_CHECK static inline enum pmp_err crowd_play(struct crowd *c, enum crowd_kind kind,
                                                     int count, double seconds,
                                                     struct crowd_rates *out,
                                                     struct pmp_errmsg *msg) {
  enum pmp_err err = crowd_ask(c, msg);
  *out = (struct crowd_rates){0};
  for (int i = 0; i < count && err == PMP_OK; i++) err = crowd_add(c, kind, msg);
  if (err == PMP_OK) err = crowd_await(c, msg);
  if (err == PMP_OK) err = crowd_watch(c, seconds, out, msg);
  crowd_disperse(c);
  return err;
}

/* Safe on a crowd that did not open. */
static inline void crowd_close(struct crowd *c) {
  crowd_disperse(c);
  daemon_stop(&c->daemon);
  pmpo_close(c->desk);
  pmpo_close(c->operator_);
  pmp_arena_fini(&c->status.arena);
  daemon_wipe(c->daemon.dir);
}

#endif
