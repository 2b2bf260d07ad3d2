/* Log lines of the form `2026-01-02T03:04:05.678Z INFO PMP-INGEST-DUP actor=a1 seq=4`: a stable id,
 * then key=value.
 *
 * Any thread; one line is one write(2). The log is passed, never global. */
#ifndef PMP_BASE_LOG_H
#define PMP_BASE_LOG_H

#include "base/clock.h"
#include "base/err.h"

#include <stdarg.h>

enum pmp_log_level { PMP_LOG_DEBUG, PMP_LOG_INFO, PMP_LOG_WARN, PMP_LOG_ERROR };

struct pmp_log {
  int fd;                   /* not owned; -1: nothing is written */
  enum pmp_log_level level; /* lines below it are dropped */
  struct pmp_clock clock;
};

/* id is a literal such as "PMP-STORE-OPEN"; fmt writes `key=value` pairs (quote a value with
 * spaces: key="a b"; line breaks are replaced by spaces). log may be NULL. */
void pmp_log_write(const struct pmp_log *log, enum pmp_log_level level, const char *id,
                   const char *fmt, ...) PMP_PRINTF(4, 5);
/* "debug", "info", "warn", "error" -> level. PMP_EINVALID. */
PMP_MUST_CHECK enum pmp_err pmp_log_level_parse(const char *name, enum pmp_log_level *out);

#endif
