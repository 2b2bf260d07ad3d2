#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum pmp_err fail_errno(struct pmp_errmsg *msg, const char *what, const char *path) {
  int code = errno;
  char text[128];
  return pmp_fail(msg, pmp_err_from_errno(code), "cannot %s %s: %s", what, path,
                  strerror_r(code, text, sizeof text));
}

static bool write_whole(int fd, const void *data, size_t size) {
  const unsigned char *at = data;
  while (size > 0) {
    ssize_t n = write(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    at += n;
    size -= (size_t)n;
  }
  return true;
}

static enum pmp_err real_write_sync(void *self, const char *path, const void *const *parts,
                                    const size_t *sizes, size_t part_count,
                                    struct pmp_errmsg *msg) {
  (void)self;
  enum pmp_err err = PMP_OK;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno(msg, "create", path);
  for (size_t i = 0; i < part_count && err == PMP_OK; i++) {
    if (!write_whole(fd, parts[i], sizes[i])) err = fail_errno(msg, "write", path);
  }
  if (err == PMP_OK && fsync(fd) != 0) err = fail_errno(msg, "sync", path);
  if (close(fd) != 0 && err == PMP_OK) err = fail_errno(msg, "close", path);
  return err;
}

/* Reads until the end of the file or until `data` is full. */
static enum pmp_err read_up_to(int fd, const char *path, unsigned char *data, size_t room,
                               size_t *got, struct pmp_errmsg *msg) {
  *got = 0;
  while (*got < room) {
    ssize_t n = read(fd, data + *got, room - *got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(msg, "read", path);
    if (n == 0) break;
    *got += (size_t)n;
  }
  return PMP_OK;
}

static enum pmp_err real_read_all(void *self, const char *path, size_t max, void **data,
                                  size_t *size, struct pmp_errmsg *msg) {
  (void)self;
  unsigned char *bytes = NULL;
  *data = NULL;
  *size = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno(msg, "open", path);
  struct stat info;
  enum pmp_err err = PMP_OK;
  if (fstat(fd, &info) != 0) {
    err = fail_errno(msg, "look at", path);
    goto out;
  }
  if (!S_ISREG(info.st_mode)) {
    err = pmp_fail(msg, PMP_EINVALID, "%s is not a plain file", path);
    goto out;
  }
  if ((uintmax_t)info.st_size > max) {
    err = pmp_fail(msg, PMP_ETOOLARGE, "%s has %jd bytes, more than the %zu allowed", path,
                   (intmax_t)info.st_size, max);
    goto out;
  }
  bytes = malloc((size_t)info.st_size + 1);
  if (bytes == NULL) {
    err = pmp_fail(msg, PMP_ENOMEM, "no memory for the %jd bytes of %s", (intmax_t)info.st_size,
                   path);
    goto out;
  }
  size_t got;
  err = read_up_to(fd, path, bytes, (size_t)info.st_size, &got, msg);
  if (err != PMP_OK) goto out;
  bytes[got] = '\0'; /* one byte beyond the end, so that a text can be used as a string */
  *data = bytes;
  *size = got;
  bytes = NULL;
out:
  free(bytes);
  close(fd);
  return err;
}

static enum pmp_err real_rename(void *self, const char *from, const char *to,
                                struct pmp_errmsg *msg) {
  (void)self;
  if (rename(from, to) != 0) {
    int code = errno;
    char text[128];
    return pmp_fail(msg, pmp_err_from_errno(code), "cannot rename %s to %s: %s", from, to,
                    strerror_r(code, text, sizeof text));
  }
  return PMP_OK;
}

static enum pmp_err real_sync_dir(void *self, const char *path, struct pmp_errmsg *msg) {
  (void)self;
  enum pmp_err err = PMP_OK;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno(msg, "open folder", path);
  if (fsync(fd) != 0) err = fail_errno(msg, "sync folder", path);
  close(fd);
  return err;
}

static enum pmp_err real_make_dir(void *self, const char *path, struct pmp_errmsg *msg) {
  (void)self;
  char prefix[PATH_MAX];
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof prefix)
    return pmp_fail(msg, PMP_EINVALID, "a folder's path has 1 to %d bytes, not %zu", PATH_MAX - 1,
                    length);
  memcpy(prefix, path, length + 1);
  for (size_t i = 1; i <= length; i++) {
    if (prefix[i] != '/' && prefix[i] != '\0') continue;
    char kept = prefix[i];
    prefix[i] = '\0';
    if (mkdir(prefix, 0700) != 0 && errno != EEXIST) return fail_errno(msg, "make folder", prefix);
    prefix[i] = kept;
  }
  struct stat info;
  if (stat(path, &info) != 0) return fail_errno(msg, "look at", path);
  if (!S_ISDIR(info.st_mode)) return pmp_fail(msg, PMP_EIO, "%s is there and is no folder", path);
  return PMP_OK;
}

static enum pmp_err real_remove(void *self, const char *path, struct pmp_errmsg *msg) {
  (void)self;
  if (remove(path) != 0) return fail_errno(msg, "remove", path);
  return PMP_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(a, b);
}

/* Adds a name to a growing array. */
static enum pmp_err add_name(char (**names)[PMP_FS_NAME_MAX], size_t *count, size_t *room,
                             const char *name, struct pmp_errmsg *msg) {
  if (*count == *room) {
    size_t wanted = *room == 0 ? 16 : *room * 2;
    char(*grown)[PMP_FS_NAME_MAX] = realloc(*names, wanted * sizeof **names);
    if (grown == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for %zu file names", wanted);
    *names = grown;
    *room = wanted;
  }
  /* d_name holds at most NAME_MAX = 255 bytes and its NUL. */
  snprintf((*names)[*count], sizeof **names, "%s", name);
  (*count)++;
  return PMP_OK;
}

static enum pmp_err real_list(void *self, const char *path, char (**names)[PMP_FS_NAME_MAX],
                              size_t *count, struct pmp_errmsg *msg) {
  (void)self;
  char(*found)[PMP_FS_NAME_MAX] = NULL;
  size_t found_count = 0, room = 0;
  enum pmp_err err = PMP_OK;
  *names = NULL;
  *count = 0;
  DIR *dir = opendir(path);
  if (dir == NULL) return fail_errno(msg, "open folder", path);
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (entry == NULL) {
      if (errno != 0) err = fail_errno(msg, "list", path);
      break;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    err = add_name(&found, &found_count, &room, entry->d_name, msg);
    if (err != PMP_OK) break;
  }
  closedir(dir);
  if (err != PMP_OK) {
    free(found);
    return err;
  }
  if (found_count > 0) qsort(found, found_count, sizeof *found, compare_names);
  *names = found;
  *count = found_count;
  return PMP_OK;
}

const struct pmp_fs *pmp_fs_real(void) {
  static const struct pmp_fs real = {
      .self = NULL,
      .write_sync = real_write_sync,
      .read_all = real_read_all,
      .rename = real_rename,
      .sync_dir = real_sync_dir,
      .make_dir = real_make_dir,
      .remove = real_remove,
      .list = real_list,
  };
  return &real;
}

/* The folder part of a path: "." when it has none, "/" for the root's own files. */
static void folder_of(const char *path, char *out, size_t size) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL)
    snprintf(out, size, ".");
  else if (slash == path)
    snprintf(out, size, "/");
  else
    snprintf(out, size, "%.*s", (int)(slash - path), path);
}

enum pmp_err pmp_fs_replace(const struct pmp_fs *fs, const char *path, const void *const *parts,
                            const size_t *sizes, size_t part_count, struct pmp_errmsg *msg) {
  char beside[PATH_MAX], folder[PATH_MAX];
  if (strlen(path) + sizeof ".tmp" > sizeof beside)
    return pmp_fail(msg, PMP_EINVALID, "a path has less than %d bytes, not %zu", PATH_MAX - 4,
                    strlen(path));
  snprintf(beside, sizeof beside, "%s.tmp", path);
  folder_of(path, folder, sizeof folder);
  enum pmp_err err = fs->write_sync(fs->self, beside, parts, sizes, part_count, msg);
  if (err == PMP_OK) err = fs->rename(fs->self, beside, path, msg);
  if (err != PMP_OK) {
    /* The first failure is the one to report; a leftover is overwritten by the next attempt. */
    struct pmp_errmsg ignored;
    (void)fs->remove(fs->self, beside, &ignored);
    return err;
  }
  return fs->sync_dir(fs->self, folder, msg);
}
