#include "clients/pmpoctl/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK ((size_t)256 << 10)

static enum pmp_err io_error(const char *what, struct pmp_errmsg *msg) {
  const int why = errno;
  return pmp_fail(msg, pmp_err_from_errno(why), "%s: %s", what, strerror(why));
}

/* What cannot be rewound becomes a file that can. */
static enum pmp_err spool(struct pmp_lines *l, struct pmp_errmsg *msg) {
  enum pmp_err err = PMP_OK;
  FILE *copy = tmpfile();
  if (copy == NULL) return io_error("no temporary file", msg);
  for (;;) {
    const size_t n = fread(l->buffer, 1, l->size, l->file);
    if (n == 0) break;
    l->total += n;
    if (fwrite(l->buffer, 1, n, copy) != n) {
      err = io_error("the temporary file", msg);
      break;
    }
  }
  if (err == PMP_OK && ferror(l->file)) err = io_error("reading", msg);
  if (err == PMP_OK && fflush(copy) != 0) err = io_error("the temporary file", msg);
  if (l->file != stdin) fclose(l->file);
  l->file = copy;
  return err;
}

/* People hand over compressed files: better said at once than as a malformed line 1. */
static enum pmp_err check_magic(struct pmp_lines *l, struct pmp_errmsg *msg) {
  static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
  unsigned char head[4] = {0};
  PMP_TRY(pmp_lines_rewind(l, msg));
  const size_t n = fread(head, 1, sizeof head, l->file);
  if (n == 0 && ferror(l->file)) return io_error("reading", msg);
  const bool is_gzip = n >= sizeof gzip && memcmp(head, gzip, sizeof gzip) == 0;
  if (is_gzip || (n >= sizeof zstd && memcmp(head, zstd, sizeof zstd) == 0))
    return pmp_fail(msg, PMP_EINVALID, "a compressed file; unpack it: %s FILE | pmpoctl import -",
                    is_gzip ? "zcat" : "zstdcat");
  return pmp_lines_rewind(l, msg);
}

static enum pmp_err open_file(struct pmp_lines *l, const char *path, struct pmp_errmsg *msg) {
  struct stat info;
  l->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (l->file == NULL) return io_error("cannot be opened", msg);
  if (fstat(fileno(l->file), &info) != 0) return io_error("cannot be looked at", msg);
  if (S_ISDIR(info.st_mode)) return pmp_fail(msg, PMP_EINVALID, "is a folder");
  l->total = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
  if (S_ISREG(info.st_mode) && l->file != stdin) return PMP_OK;
  l->total = 0;
  return spool(l, msg);
}

enum pmp_err pmp_lines_open(struct pmp_lines *l, const char *path, size_t line_max,
                            struct pmp_errmsg *msg) {
  memset(l, 0, sizeof *l);
  l->max = line_max + 2; /* a break may be two characters */
  l->size = l->max < BLOCK ? l->max : BLOCK;
  l->buffer = malloc(l->size);
  enum pmp_err err = l->buffer != NULL ? PMP_OK : pmp_fail(msg, PMP_ENOMEM, "out of memory");
  if (err == PMP_OK) err = open_file(l, path, msg);
  if (err == PMP_OK) err = check_magic(l, msg);
  if (err != PMP_OK) pmp_lines_close(l);
  return err;
}

void pmp_lines_close(struct pmp_lines *l) {
  if (l->file != NULL && l->file != stdin) fclose(l->file);
  free(l->buffer);
  memset(l, 0, sizeof *l);
}

enum pmp_err pmp_lines_rewind(struct pmp_lines *l, struct pmp_errmsg *msg) {
  if (fseeko(l->file, 0, SEEK_SET) != 0) return io_error("cannot be read again", msg);
  l->at = l->used = 0;
  l->end = false;
  l->number = l->bytes = 0;
  return PMP_OK;
}

/* Room behind the unread bytes: they move to the front, and the buffer grows up to max. */
static enum pmp_err make_room(struct pmp_lines *l, struct pmp_errmsg *msg) {
  if (l->at > 0) {
    memmove(l->buffer, l->buffer + l->at, l->used - l->at);
    l->used -= l->at;
    l->at = 0;
  }
  if (l->used < l->size) return PMP_OK;
  const size_t size = l->size > l->max / 2 ? l->max : 2 * l->size;
  char *larger = realloc(l->buffer, size);
  if (larger == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for a line of %zu bytes", size);
  l->buffer = larger;
  l->size = size;
  return PMP_OK;
}

enum pmp_err pmp_lines_next(struct pmp_lines *l, const char **text, size_t *size,
                            struct pmp_errmsg *msg) {
  bool too_long = false;
  size_t seen = l->at; /* no line break before it */
  for (;;) {
    const char *from = l->buffer + l->at;
    const char *stop = memchr(l->buffer + seen, '\n', l->used - seen);
    if (stop == NULL && !l->end) {
      if (l->used - l->at == l->max) { /* the rest of it is read and dropped */
        too_long = true;
        l->at = l->used;
      }
      PMP_TRY(make_room(l, msg));
      seen = l->used;
      const size_t n = fread(l->buffer + l->used, 1, l->size - l->used, l->file);
      if (n == 0 && ferror(l->file)) return io_error("reading", msg);
      l->end = n == 0;
      l->used += n;
      l->bytes += n;
      continue;
    }
    if (stop == NULL && l->at == l->used && !too_long) return PMP_ECLOSED;
    const size_t length = stop != NULL ? (size_t)(stop - from) : l->used - l->at;
    l->at += length + (stop != NULL);
    l->number++;
    if (too_long || length > l->max - 2)
      return pmp_fail(msg, PMP_ETOOLARGE, "is longer than the %zu bytes that a row may take",
                      l->max - 2);
    *text = from;
    *size = length;
    return PMP_OK;
  }
}
