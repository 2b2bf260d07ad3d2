/* The form of a log line, its cuts and its level. */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
  int pipe[2];
  struct pmp_clock_fake hands;
  struct pmp_log log;
};

static int open_pipe(void **state) {
  static struct fixture f;
  memset(&f, 0, sizeof f);
  if (pipe2(f.pipe, O_NONBLOCK | O_CLOEXEC) != 0) return -1;
  f.hands.wall_ns = INT64_C(1767323045678) * 1000000; /* 2026-01-02 03:04:05.678 UTC */
  f.log =
      (struct pmp_log){.fd = f.pipe[1], .level = PMP_LOG_INFO, .clock = pmp_clock_fake(&f.hands)};
  *state = &f;
  return 0;
}

static int close_pipe(void **state) {
  struct fixture *f = *state;
  close(f->pipe[0]);
  close(f->pipe[1]);
  return 0;
}

/* What was written, "" when nothing was. */
static const char *written(struct fixture *f) {
  static char text[8192];
  ssize_t n = read(f->pipe[0], text, sizeof text - 1);
  text[n > 0 ? n : 0] = '\0';
  return text;
}

static void test_a_line(void **state) {
  struct fixture *f = *state;
  pmp_log_write(&f->log, PMP_LOG_WARN, "PMP-TEST-LINE", "actor=%s seq=%d", "a1", 4);
  assert_string_equal(written(f), "2026-01-02T03:04:05.678Z WARN PMP-TEST-LINE actor=a1 seq=4\n");
  pmp_log_write(&f->log, PMP_LOG_ERROR, "PMP-TEST-BARE", "%s", "");
  assert_string_equal(written(f), "2026-01-02T03:04:05.678Z ERROR PMP-TEST-BARE \n");
}

static void test_below_the_level_nothing(void **state) {
  struct fixture *f = *state;
  pmp_log_write(&f->log, PMP_LOG_DEBUG, "PMP-TEST-DEBUG", "a=%d", 1);
  assert_string_equal(written(f), "");
  f->log.level = PMP_LOG_DEBUG;
  pmp_log_write(&f->log, PMP_LOG_DEBUG, "PMP-TEST-DEBUG", "a=%d", 1);
  assert_string_equal(written(f), "2026-01-02T03:04:05.678Z DEBUG PMP-TEST-DEBUG a=1\n");
}

static void test_one_line_stays_one(void **state) {
  struct fixture *f = *state;
  pmp_log_write(&f->log, PMP_LOG_INFO, "PMP-TEST-BREAK", "text=\"%s\"", "a\nb\r\tc\x1b[31m");
  assert_string_equal(written(f),
                      "2026-01-02T03:04:05.678Z INFO PMP-TEST-BREAK text=\"a b  c [31m\"\n");
}

static void test_a_long_line_is_cut_and_ended(void **state) {
  struct fixture *f = *state;
  char text[5000];
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  pmp_log_write(&f->log, PMP_LOG_INFO, "PMP-TEST-LONG", "text=%s", text);
  const char *line = written(f);
  size_t length = strlen(line);
  assert_true(length > 1000 && length < 4096);
  assert_int_equal(line[length - 1], '\n');
  assert_ptr_equal(strchr(line, '\n'), line + length - 1);
}

static void test_times_before_1970_are_written_too(void **state) {
  struct fixture *f = *state;
  f->hands.wall_ns = -1000000;
  pmp_log_write(&f->log, PMP_LOG_INFO, "PMP-TEST-OLD", "a=%d", 1);
  assert_string_equal(written(f), "1969-12-31T23:59:59.999Z INFO PMP-TEST-OLD a=1\n");
}

static void test_no_log_no_harm(void **state) {
  struct fixture *f = *state;
  pmp_log_write(NULL, PMP_LOG_ERROR, "PMP-TEST-NULL", "a=%d", 1);
  f->log.fd = -1;
  pmp_log_write(&f->log, PMP_LOG_ERROR, "PMP-TEST-NULL", "a=%d", 1);
  assert_string_equal(written(f), "");
}

static void test_level_names(void **state) {
  (void)state;
  enum pmp_log_level level = PMP_LOG_ERROR;
  assert_int_equal(pmp_log_level_parse("debug", &level), PMP_OK);
  assert_int_equal(level, PMP_LOG_DEBUG);
  assert_int_equal(pmp_log_level_parse("info", &level), PMP_OK);
  assert_int_equal(level, PMP_LOG_INFO);
  assert_int_equal(pmp_log_level_parse("warn", &level), PMP_OK);
  assert_int_equal(level, PMP_LOG_WARN);
  assert_int_equal(pmp_log_level_parse("error", &level), PMP_OK);
  assert_int_equal(level, PMP_LOG_ERROR);
  level = PMP_LOG_WARN;
  assert_int_equal(pmp_log_level_parse("INFO", &level), PMP_EINVALID);
  assert_int_equal(pmp_log_level_parse("", &level), PMP_EINVALID);
  assert_int_equal(level, PMP_LOG_WARN);
}

#define WITH_PIPE(test) cmocka_unit_test_setup_teardown(test, open_pipe, close_pipe)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_PIPE(test_a_line),
      WITH_PIPE(test_below_the_level_nothing),
      WITH_PIPE(test_one_line_stays_one),
      WITH_PIPE(test_a_long_line_is_cut_and_ended),
      WITH_PIPE(test_times_before_1970_are_written_too),
      WITH_PIPE(test_no_log_no_harm),
      cmocka_unit_test(test_level_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
