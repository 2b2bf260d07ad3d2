#include "clients/pmpoctl/campaign_child.h"

#include "clients/pmpoctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define SELF "/proc/self/exe"
#define TAIL_BYTES 600

void pmp_words_add(struct pmp_words *w, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const int n = vsnprintf(w->text + w->used, sizeof w->text - w->used, fmt, args);
  va_end(args);
  if (n < 0 || w->used + (size_t)n + 1 >= sizeof w->text || w->words == PMP_CHILD_WORDS_MAX) {
    w->full = true;
    return;
  }
  w->word[w->words++] = w->text + w->used;
  w->used += (size_t)n + 1;
}

/* posix_spawn cannot ask the kernel for a signal at the parent's death: this program does, as the
 * child, and then becomes what was wanted. */
int pmp_child_become(int argc, char **argv) {
  if (argc < 5) return PMP_EXIT_USAGE;
  const long parent = strtol(argv[2], NULL, 10), signum = strtol(argv[3], NULL, 10);
  if (prctl(PR_SET_PDEATHSIG, (unsigned long)signum) != 0 || (long)getppid() != parent)
    return PMP_EXIT_FAILED; /* died meanwhile */
  execv(argv[4], argv + 4);
  fprintf(stderr, "pmpoctl campaign: %s cannot be started: %s\n", argv[4], strerror(errno));
  return PMP_EXIT_FAILED;
}

/* fds[0], fds[1]: its stdout and stderr. */
static enum pmp_err spawn(pid_t *pid, const struct pmp_words *w, const int fds[2], int death,
                          struct pmp_errmsg *msg) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attr;
  sigset_t none, all;
  char self[] = "pmpoctl", campaign[] = "campaign", verb[] = PMP_CHILD_VERB, parent[24], sign[24];
  char *argv[PMP_CHILD_WORDS_MAX + 6] = {self, campaign, verb, parent, sign};
  if (w->full || w->words == 0) return pmp_fail(msg, PMP_ETOOLARGE, "the command line is too long");
  snprintf(parent, sizeof parent, "%ld", (long)getpid());
  snprintf(sign, sizeof sign, "%d", death);
  memcpy(argv + 5, w->word, w->words * sizeof *argv);
  sigemptyset(&none);
  sigfillset(&all);
  if (posix_spawn_file_actions_init(&actions) != 0)
    return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  if (posix_spawnattr_init(&attr) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  }
  posix_spawnattr_setflags(&attr,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attr, 0);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setsigdefault(&attr, &all);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, fds[0], 1);
  posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
  const int rc = posix_spawn(pid, SELF, &actions, &attr, argv, environ);
  posix_spawnattr_destroy(&attr);
  posix_spawn_file_actions_destroy(&actions);
  if (rc == 0) return PMP_OK;
  *pid = 0;
  return pmp_fail(msg, PMP_EUNAVAILABLE, "%s cannot be started: %s", w->word[0], strerror(rc));
}

enum pmp_err pmp_child_start(struct pmp_child *c, const char *what, const struct pmp_words *w,
                             const char *log, const char *out, int death, struct pmp_errmsg *msg) {
  enum pmp_err err = PMP_OK;
  c->pid = 0;
  c->what = what;
  snprintf(c->log, sizeof c->log, "%s", log);
  const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const int other = out != NULL ? open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : fd;
  if (fd < 0 || other < 0)
    err = pmp_fail(msg, pmp_err_from_errno(errno), "%s: %s", fd < 0 ? log : out, strerror(errno));
  else
    err = spawn(&c->pid, w, (const int[2]){other, fd}, death, msg);
  if (other >= 0 && other != fd) close(other);
  if (fd >= 0) close(fd);
  return err;
}

bool pmp_child_ended(struct pmp_child *c, int *status) {
  if (c->pid == 0 || waitpid(c->pid, status, WNOHANG) != c->pid) return false;
  c->pid = 0;
  return true;
}

void pmp_child_signal(const struct pmp_child *c, int signum) {
  if (c->pid > 0) kill(c->pid, signum);
}

void pmp_child_end(struct pmp_child *c, double seconds) {
  const double until = pmp_ctl_now() + seconds;
  int status;
  if (c->pid == 0) return;
  pmp_child_signal(c, SIGTERM);
  while (!pmp_child_ended(c, &status)) {
    if (pmp_ctl_now() > until) pmp_child_signal(c, SIGKILL);
    usleep(10000);
  }
}

/* The last line that says anything. */
static void last_line(const char *path, char *out, size_t size) {
  char tail[TAIL_BYTES + 1];
  out[0] = '\0';
  FILE *in = fopen(path, "re");
  if (in == NULL) return;
  if (fseek(in, -TAIL_BYTES, SEEK_END) != 0) rewind(in);
  size_t n = fread(tail, 1, TAIL_BYTES, in);
  fclose(in);
  while (n > 0 && (unsigned char)tail[n - 1] <= ' ') n--;
  tail[n] = '\0';
  const char *line = strrchr(tail, '\n');
  snprintf(out, size, "%.*s", (int)size - 1, line != NULL ? line + 1 : tail);
}

void pmp_child_reason(const struct pmp_child *c, int status, char *out, size_t size) {
  char said[200];
  last_line(c->log, said, sizeof said);
  snprintf(out, size, "%s ended with %s %d%s%s", c->what, WIFEXITED(status) ? "status" : "signal",
           WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), said[0] ? ": " : "", said);
}

enum pmp_err pmp_child_capture(const char *what, const struct pmp_words *w, double seconds,
                               char *out, size_t size, int *code, struct pmp_errmsg *msg) {
  struct pmp_child c = {.what = what};
  const double until = pmp_ctl_now() + seconds;
  int status = 0;
  FILE *file = tmpfile();
  if (file == NULL)
    return pmp_fail(msg, pmp_err_from_errno(errno), "a temporary file: %s", strerror(errno));
  enum pmp_err err = spawn(&c.pid, w, (const int[2]){fileno(file), fileno(file)}, SIGKILL, msg);
  while (err == PMP_OK && !pmp_child_ended(&c, &status)) {
    if (pmp_ctl_now() > until)
      err = pmp_fail(msg, PMP_ETIMEOUT, "%s does not end within %.0f s", what, seconds);
    usleep(2000);
  }
  pmp_child_end(&c, 0);
  if (err == PMP_OK) {
    rewind(file);
    const size_t n = fread(out, 1, size, file);
    if (n == size)
      err = pmp_fail(msg, PMP_ETOOLARGE, "%s writes more than %zu bytes", what, size - 1);
    else
      out[n] = '\0';
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  fclose(file);
  return err;
}
