#include "tests/support/pmpod_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 30000
#define END_MS 40000
#define POLL_MS 5

void test_sleep_ms(int ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

const char *test_bin(const char *program, char out[512]) {
  const char *bin = getenv("PMP_BIN");
  if (!bin) fail_msg("PMP_BIN is not set: run by ctest, or set it to the folder of the programs");
  snprintf(out, 512, "%s/%s", bin, program);
  return out;
}

char *test_file_read(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  char *data = NULL;
  size_t used = 0, room = 0;
  for (;;) {
    if (used + 4096 > room) {
      room = room ? room * 2 : 65536;
      data = realloc(data, room);
      assert_non_null(data);
    }
    const size_t n = fread(data + used, 1, room - used - 1, f);
    if (n == 0) break;
    used += n;
  }
  fclose(f);
  data[used] = '\0';
  if (size) *size = used;
  return data;
}

void test_file_write(const char *path, const void *data, size_t size) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, size, f), size);
  assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at) {
  (void)info;
  (void)kind;
  (void)at;
  return remove(path);
}

void test_tree_remove(const char *path) {
  nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void test_pmpod_init(struct test_pmpod *d) {
  memset(d, 0, sizeof *d);
  const char *tmp = getenv("TMPDIR");
  snprintf(d->root, sizeof d->root, "%.200s/pmpod-test-XXXXXX", tmp ? tmp : "/tmp");
  assert_non_null(mkdtemp(d->root));
  snprintf(d->dir, sizeof d->dir, "%s/run", d->root);
  snprintf(d->log, sizeof d->log, "%s/log", d->root);
}

void test_pmpod_set(struct test_pmpod *d, const char *key_value) {
  assert_true(d->sets < TEST_SETS_MAX);
  d->set[d->sets++] = key_value;
}

static void become_pmpod(const struct test_pmpod *d, const char *program) {
  const char *argv[16 + 2 * TEST_SETS_MAX];
  int n = 0;
  argv[n++] = program;
  argv[n++] = "--dir";
  argv[n++] = d->dir;
  if (d->config[0] != '\0') {
    argv[n++] = "--config";
    argv[n++] = d->config;
  }
  argv[n++] = "--set";
  argv[n++] = d->fixed[0][0] ? d->fixed[0] : "listen.desk=tcp://127.0.0.1:0";
  argv[n++] = "--set";
  argv[n++] = d->fixed[1][0] ? d->fixed[1] : "listen.data=tcp://127.0.0.1:0";
  for (int i = 0; i < d->sets; i++) {
    argv[n++] = "--set";
    argv[n++] = d->set[i];
  }
  argv[n] = NULL;
  const int fd = open(d->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd < 0 || dup2(fd, 2) < 0) _exit(126);
  if (d->preload) setenv("LD_PRELOAD", d->preload, 1);
  if (d->preload_value) setenv("FAKETIME", d->preload_value, 1);
  execv(program, (char *const *)(uintptr_t)argv);
  _exit(127);
}

/* Reads the addresses once they are this process's. */
static bool endpoints(struct test_pmpod *d) {
  char path[400];
  snprintf(path, sizeof path, "%s/endpoints.json", d->dir);
  json_t *root = json_load_file(path, 0, NULL);
  const char *desk = NULL, *data = NULL;
  json_int_t pid = 0;
  const bool good =
      root &&
      json_unpack(root, "{s:s, s:s, s:I}", "desk", &desk, "data", &data, "pid", &pid) == 0 &&
      pid == d->pid;
  if (good) {
    snprintf(d->desk, sizeof d->desk, "%s", desk);
    snprintf(d->data, sizeof d->data, "%s", data);
  }
  json_decref(root);
  return good;
}

bool test_pmpod_try(struct test_pmpod *d, int *status) {
  char program[512];
  assert_int_equal(d->pid, 0);
  test_bin("pmpod", program); /* before the fork: a child must not run the test's failures */
  const pid_t parent = getpid();
  d->pid = fork();
  assert_true(d->pid >= 0);
  if (d->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(125);
    become_pmpod(d, program);
  }
  for (int waited = 0; waited < START_MS; waited += POLL_MS) {
    if (endpoints(d)) return true;
    if (waitpid(d->pid, status, WNOHANG) == d->pid) {
      d->pid = 0;
      return false;
    }
    test_sleep_ms(POLL_MS);
  }
  test_pmpod_kill(d);
  fail_msg("pmpod did not serve within %d ms", START_MS);
  return false;
}

static int free_port(unsigned *seed) {
  for (int tries = 0; tries < 1000; tries++) {
    const int port =
        12000 + rand_r(seed) % 20000; /* below the range that outgoing connections are given */
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int rc = bind(fd, (struct sockaddr *)&at, sizeof at);
    close(fd);
    if (rc == 0) return port;
  }
  fail_msg("no free port");
  return 0;
}

void test_pmpod_fix_ports(struct test_pmpod *d) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  unsigned seed = (unsigned)getpid() * 7919u + (unsigned)now.tv_nsec;
  const int desk = free_port(&seed);
  int data = desk;
  while (data == desk) data = free_port(&seed);
  snprintf(d->fixed[0], sizeof d->fixed[0], "listen.desk=tcp://127.0.0.1:%d", desk);
  snprintf(d->fixed[1], sizeof d->fixed[1], "listen.data=tcp://127.0.0.1:%d", data);
}

pid_t test_spawn(const char *program, const char *const *argv, const char *log) {
  const pid_t parent = getpid(), pid = fork();
  assert_true(pid >= 0);
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (getppid() != parent || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) _exit(126);
  execv(program, (char *const *)(uintptr_t)argv);
  _exit(127);
}

pid_t test_spawn_self(const char *const *argv, const char *log) {
  const char *all[32] = {"/proc/self/exe"};
  int n = 1;
  for (int i = 0; argv[i]; i++) {
    assert_true(n < 31);
    all[n++] = argv[i];
  }
  return test_spawn(all[0], all, log);
}

void test_reap(pid_t pid) {
  int status;
  kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
}

static void show_log(const struct test_pmpod *d) {
  size_t size = 0;
  char *text = test_file_read(d->log, &size);
  if (text) print_error("pmpod's log:\n%s\n", size > 4000 ? text + size - 4000 : text);
  free(text);
}

void test_pmpod_start(struct test_pmpod *d) {
  int status = 0;
  if (test_pmpod_try(d, &status)) return;
  show_log(d);
  fail_msg("pmpod ended with wait status %d instead of serving", status);
}

void test_pmpod_signal(const struct test_pmpod *d, int signum) {
  assert_true(d->pid > 0);
  assert_int_equal(kill(d->pid, signum), 0);
}

int test_pmpod_wait(struct test_pmpod *d) {
  assert_true(d->pid > 0);
  for (int waited = 0; waited < END_MS; waited += POLL_MS) {
    int status = 0;
    const pid_t got = waitpid(d->pid, &status, WNOHANG);
    assert_true(got >= 0 || errno == EINTR);
    if (got == d->pid) {
      d->pid = 0;
      return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    test_sleep_ms(POLL_MS);
  }
  test_pmpod_kill(d);
  fail_msg("pmpod did not end within %d ms", END_MS);
  return 0;
}

void test_pmpod_kill(struct test_pmpod *d) {
  if (d->pid <= 0) return;
  kill(d->pid, SIGKILL);
  int status;
  while (waitpid(d->pid, &status, 0) < 0 && errno == EINTR) continue;
  d->pid = 0;
}

void test_pmpod_stop(struct test_pmpod *d) {
  test_pmpod_signal(d, SIGTERM);
  const int code = test_pmpod_wait(d);
  if (code != 0) show_log(d);
  assert_int_equal(code, 0);
}

void test_pmpod_fini(struct test_pmpod *d) {
  test_pmpod_kill(d);
  if (d->root[0] != '\0') test_tree_remove(d->root);
  d->root[0] = '\0';
}

int test_pmpod_run(char *out, size_t size, const char *const *argv) {
  char program[512];
  const char *all[32];
  int n = 0, pipe_fd[2];
  all[n++] = test_bin("pmpod", program);
  for (int i = 0; argv[i]; i++) {
    assert_true(n < 31);
    all[n++] = argv[i];
  }
  all[n] = NULL;
  assert_int_equal(pipe(pipe_fd), 0);
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(pipe_fd[1], 1) < 0 || dup2(pipe_fd[1], 2) < 0) _exit(126);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    execv(program, (char *const *)(uintptr_t)all);
    _exit(127);
  }
  close(pipe_fd[1]);
  size_t used = 0;
  char rest[512];
  for (;;) {
    const bool room = used + 1 < size;
    const ssize_t got =
        room ? read(pipe_fd[0], out + used, size - used - 1) : read(pipe_fd[0], rest, sizeof rest);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (room) used += (size_t)got;
  }
  out[used] = '\0';
  close(pipe_fd[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
