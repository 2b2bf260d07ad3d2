/* A peer that stays: a Python script beside this file in a process of its own, which makes itself
 * ready and is then told again and again how much to do. So its turns and ours alternate within one
 * run. It rests, blocked on its input, while it is not asked.
 *
 * The script says `NAME VALUE` or `NAME - REASON` once it is ready; then each line `N` is answered
 * by a line of two numbers of seconds. Every call blocks until the peer has answered or is gone. */
#ifndef PMP_BENCH_PEER_PROCESS_H
#define PMP_BENCH_PEER_PROCESS_H

#include "bench/support/peers.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct peer_process {
  pid_t pid;              /* 0: not there */
  FILE *to, *from;        /* owned */
  struct bench_peer said; /* what it said when it was ready */
  char rest[160];         /* of that line, behind the value */
};

static inline void peer_process_exec(int in, int out, const char *script, const char *const *args) {
  char bin[1024], runner[1100];
  const char *argv[8] = {"bash", runner, script};
  const char *source = getenv("PMP_SOURCE");
  bench_bin(bin, sizeof bin);
  snprintf(runner, sizeof runner, "%s%s/bench/support/peers.sh", source != NULL ? source : bin,
           source != NULL ? "" : "/../../..");
  for (int i = 0; args[i] != NULL && i < 4; i++) argv[3 + i] = args[i];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  execvp("bash", (char *const *)(uintptr_t)argv);
  _exit(127);
}

static inline void peer_process_stop(struct peer_process *p) {
  int status;
  if (p->to != NULL) fclose(p->to);
  if (p->from != NULL) fclose(p->from);
  if (p->pid > 0) waitpid(p->pid, &status, 0);
  p->to = p->from = NULL, p->pid = 0;
}

/* A line with this peer's name; the runner speaks of others too when it has none of them. */
static inline void peer_process_ready(struct peer_process *p) {
  char line[512], name[32], value[64];
  snprintf(p->said.reason, sizeof p->said.reason, "its script ended without a word");
  while (fgets(line, sizeof line, p->from) != NULL) {
    int rest = 0;
    if (sscanf(line, "%31s %63s %n", name, value, &rest) < 2 || strcmp(name, p->said.name) != 0)
      continue;
    bench_peer_line(line, &p->said, 1);
    snprintf(p->rest, sizeof p->rest, "%.150s", line + rest);
    p->rest[strcspn(p->rest, "\n")] = 0;
    return;
  }
}

/* `name`: the script's second argument as well. args: all of them, NULL at the end. False: it is
 * not there, said.reason says why. */
static inline bool peer_process_start(struct peer_process *p, const char *name, const char *script,
                                      const char *const *args) {
  int to[2], from[2];
  *p = (struct peer_process){.said = {.name = name}};
  signal(SIGPIPE, SIG_IGN); /* a peer that died is seen when it does not answer */
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) abort();
  p->pid = fork();
  if (p->pid < 0) abort();
  if (p->pid == 0) peer_process_exec(to[0], from[1], script, args);
  close(to[0]);
  close(from[1]);
  p->to = fdopen(to[1], "w");
  p->from = fdopen(from[0], "r");
  if (p->to == NULL || p->from == NULL) abort();
  peer_process_ready(p);
  if (p->said.reason[0] != 0) {
    char line[256];
    while (fgets(line, sizeof line, p->from) != NULL) continue; /* let it finish speaking */
    peer_process_stop(p);
  }
  return p->pid > 0;
}

/* By the clock, and of all its threads on their cores. */
struct peer_seconds {
  double wall, busy;
};

/* Of `count` of its steps; NaN when it is gone. */
static inline struct peer_seconds peer_process_run(struct peer_process *p, int count) {
  struct peer_seconds took = {NAN, NAN};
  char line[128];
  if (p->pid == 0) return took;
  fprintf(p->to, "%d\n", count);
  if (fflush(p->to) == 0 && fgets(line, sizeof line, p->from) != NULL &&
      sscanf(line, "%lf %lf", &took.wall, &took.busy) == 2)
    return took;
  snprintf(p->said.reason, sizeof p->said.reason, "it ended in the middle of a turn");
  peer_process_stop(p);
  return (struct peer_seconds){NAN, NAN};
}

#endif
