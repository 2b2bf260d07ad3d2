#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *pmp_err_name(enum pmp_err err) {
  static const char *const names[PMP_ERR_COUNT] = {
      [PMP_OK] = "ok",
      [PMP_EINVALID] = "invalid",
      [PMP_EUNAUTHENTICATED] = "unauthenticated",
      [PMP_EFORBIDDEN] = "forbidden",
      [PMP_ENOTFOUND] = "not found",
      [PMP_ECONFLICT] = "conflict",
      [PMP_EBUSY] = "busy",
      [PMP_ETOOLARGE] = "too large",
      [PMP_EUNAVAILABLE] = "unavailable",
      [PMP_EINTERNAL] = "internal",
      [PMP_ENOMEM] = "out of memory",
      [PMP_EIO] = "input/output",
      [PMP_ENOSPC] = "disk full",
      [PMP_ECORRUPT] = "corrupt",
      [PMP_ETIMEOUT] = "timeout",
      [PMP_ECLOSED] = "closed",
      [PMP_ENONFINITE] = "not finite",
  };
  if ((int)err < 0 || (int)err >= PMP_ERR_COUNT) return "unknown";
  return names[err];
}

enum pmp_err pmp_fail(struct pmp_errmsg *msg, enum pmp_err err, const char *fmt, ...) {
  if (msg == NULL) return err;
  va_list args;
  va_start(args, fmt);
  if (vsnprintf(msg->text, sizeof msg->text, fmt, args) < 0) msg->text[0] = '\0';
  va_end(args);
  return err;
}

enum pmp_err pmp_err_from_errno(int err) {
  switch (err) {
  case ENOSPC:
  case EDQUOT:
    return PMP_ENOSPC;
  case ENOMEM:
    return PMP_ENOMEM;
  case ENOENT:
    return PMP_ENOTFOUND;
  default:
    return PMP_EIO;
  }
}
