/* A real pmpod in a child process, for tests: started on free ports in a folder of its own, killed
 * with the test at the latest. */
#ifndef PMP_TESTS_PMPOD_PROCESS_H
#define PMP_TESTS_PMPOD_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TEST_SETS_MAX 48

struct test_pmpod {
  char root[256];                 /* the test's own folder: configuration, log */
  char dir[300];                  /* the run's folder */
  char log[320];                  /* stderr, appended over restarts */
  char config[320];               /* "" : no --config */
  const char *set[TEST_SETS_MAX]; /* borrowed: KEY=VALUE */
  char fixed[2][64];              /* "" or listen.desk=..., listen.data=... */
  int sets;
  const char *preload;       /* nullable: LD_PRELOAD of the daemon */
  const char *preload_value; /* nullable: FAKETIME of the daemon */
  pid_t pid;                 /* 0: not running */
  char desk[128], data[128];
};

/* A fresh folder below TMPDIR. */
void test_pmpod_init(struct test_pmpod *d);
void test_pmpod_set(struct test_pmpod *d, const char *key_value);
/* Starts it and waits until it serves; fails the test when it does not. */
void test_pmpod_start(struct test_pmpod *d);
/* Starts it; false when it ended instead of serving: *status is then its wait status. */
bool test_pmpod_try(struct test_pmpod *d, int *status);
void test_pmpod_signal(const struct test_pmpod *d, int signum);
/* Waits for its end; returns the exit code, or -signal. Fails the test after 40 s. */
int test_pmpod_wait(struct test_pmpod *d);
/* kill -9 and wait. */
void test_pmpod_kill(struct test_pmpod *d);
/* SIGTERM, wait, exit code 0 expected. */
void test_pmpod_stop(struct test_pmpod *d);
/* Ends what still runs and removes the folder. */
void test_pmpod_fini(struct test_pmpod *d);

/* Runs pmpod with these arguments (NULL at the end), stdout and stderr into out. Returns the exit
 * code. */
int test_pmpod_run(char *out, size_t size, const char *const *argv);
/* The log so far, NUL-terminated; malloc'd. */
char *test_file_read(const char *path, size_t *size);
void test_file_write(const char *path, const void *data, size_t size);
void test_tree_remove(const char *path);
const char *test_bin(const char *program, char out[512]);
void test_sleep_ms(int ms);
/* Two ports that nobody listens on and that no outgoing connection is given, so that a daemon that
 * is killed finds them free again: from now on d is started on them. */
void test_pmpod_fix_ports(struct test_pmpod *d);
/* Runs this very program again with these arguments (NULL at the end; argv[0] is put before),
 * killed with the test at the latest. */
pid_t test_spawn_self(const char *const *argv, const char *log);
/* The same of another program; argv is whole. */
pid_t test_spawn(const char *program, const char *const *argv, const char *log);
/* kill -9 and wait. */
void test_reap(pid_t pid);

#endif
