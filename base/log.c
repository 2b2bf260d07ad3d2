#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_marks[] = {"DEBUG", "INFO", "WARN", "ERROR"};

/* Time, level and id; the number of bytes written. */
static size_t write_head(char *line, size_t size, int64_t wall_ns, enum pmp_log_level level,
                         const char *id) {
  int64_t seconds = wall_ns / 1000000000;
  int64_t rest_ns = wall_ns % 1000000000;
  if (rest_ns < 0) {
    rest_ns += 1000000000;
    seconds--;
  }
  time_t when = (time_t)seconds;
  struct tm utc = {0};
  gmtime_r(&when, &utc);
  char stamp[32];
  size_t length = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
  stamp[length] = '\0';
  int n = snprintf(line, size, "%s.%03dZ %s %s", stamp, (int)(rest_ns / 1000000),
                   level_marks[level], id);
  if (n < 0) return 0;
  return (size_t)n < size ? (size_t)n : size - 1;
}

void pmp_log_write(const struct pmp_log *log, enum pmp_log_level level, const char *id,
                   const char *fmt, ...) {
  if (log == NULL || log->fd < 0 || level < log->level) return;
  char line[LINE_MAX_BYTES];
  size_t used = write_head(line, sizeof line, pmp_clock_wall(&log->clock), level, id);
  size_t head = used;
  if (used + 2 < sizeof line && fmt[0] != '\0') {
    line[used++] = ' ';
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line + used, sizeof line - used, fmt, args);
    va_end(args);
    if (n > 0) used += (size_t)n;
  }
  if (used > sizeof line - 1) used = sizeof line - 1;
  for (size_t i = head; i < used; i++) {
    unsigned char c = (unsigned char)line[i];
    if (c < 0x20 || c == 0x7F) line[i] = ' ';
  }
  line[used++] = '\n';
  /* A log that cannot be written must not stop the daemon: the line is lost, and nothing else. */
  ssize_t written;
  do {
    written = write(log->fd, line, used);
  } while (written < 0 && errno == EINTR);
}

enum pmp_err pmp_log_level_parse(const char *name, enum pmp_log_level *out) {
  for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
    if (strcmp(name, level_names[i]) == 0) {
      *out = (enum pmp_log_level)i;
      return PMP_OK;
    }
  }
  return PMP_EINVALID;
}
