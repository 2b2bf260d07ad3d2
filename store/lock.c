#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static enum pmp_err in_use(int fd, const char *path, struct pmp_errmsg *msg) {
  char owner[32] = "";
  ssize_t n = pread(fd, owner, sizeof owner - 1, 0);
  owner[n > 0 ? (size_t)n : 0] = '\0';
  owner[strcspn(owner, "\n")] = '\0';
  return pmp_fail(msg, PMP_EBUSY, "%s is in use by another process%s%s", path,
                  owner[0] != '\0' ? ": " : "", owner);
}

enum pmp_err pmp_lock_take(const char *path, int *fd, struct pmp_errmsg *msg) {
  char name[PATH_MAX], pid[32], text[128];
  *fd = -1;
  if (snprintf(name, sizeof name, "%s.lock", path) >= (int)sizeof name)
    return pmp_fail(msg, PMP_EINVALID, "the path of the store is longer than %d bytes",
                    PATH_MAX - 6);
  int opened = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (opened < 0) {
    int code = errno;
    return pmp_fail(msg, pmp_err_from_errno(code), "cannot open %s: %s", name,
                    strerror_r(code, text, sizeof text));
  }
  enum pmp_err err = PMP_OK;
  if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
    int code = errno;
    err = code == EWOULDBLOCK ? in_use(opened, path, msg)
                              : pmp_fail(msg, pmp_err_from_errno(code), "cannot lock %s: %s", name,
                                         strerror_r(code, text, sizeof text));
  }
  if (err != PMP_OK) {
    close(opened);
    return err;
  }
  /* Only for the other one's message: a failure (a full disk) changes nothing. */
  int length = snprintf(pid, sizeof pid, "pid %ld\n", (long)getpid());
  if (ftruncate(opened, 0) != 0 || pwrite(opened, pid, (size_t)length, 0) != length) errno = 0;
  *fd = opened;
  return PMP_OK;
}

void pmp_lock_release(int fd) {
  if (fd >= 0) close(fd);
}
