/* What the fuzzers share: a check that stops the fuzzer, and a file in memory.
 *
 * Each fuzzer is one file with libFuzzer's entry point. Its input is what the code under test takes
 * off the wire or the disk, unless its first comment says otherwise. Beyond crashes they look for
 * broken promises: what decodes must encode, and decode to the same again. */
#ifndef PMP_TESTS_FUZZ_H
#define PMP_TESTS_FUZZ_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert, but it says what a library's message said, too. */
#define FUZZ_CHECK(truth, ...)                                                                     \
  do {                                                                                             \
    if (!(truth)) {                                                                                \
      fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #truth);                          \
      fprintf(stderr, __VA_ARGS__);                                                                \
      fputc('\n', stderr);                                                                         \
      abort();                                                                                     \
    }                                                                                              \
  } while (0)

/* Must be PMP_OK. */
#define FUZZ_OK(expr, msg)                                                                         \
  do {                                                                                             \
    enum pmp_err fuzz_err_ = (expr);                                                               \
    FUZZ_CHECK(fuzz_err_ == PMP_OK, "%s: %s", pmp_err_name(fuzz_err_), (msg)->text);               \
  } while (0)

/* A refusal says why. */
#define FUZZ_REFUSED(err, msg)                                                                     \
  FUZZ_CHECK((msg)->text[0] != '\0', "%s without a reason", pmp_err_name(err))

/* A file in memory, and a path by which this process opens it. */
struct fuzz_file {
  int fd;
  char path[48];
};

static inline void fuzz_file_open(struct fuzz_file *f) {
  f->fd = memfd_create("fuzz", MFD_CLOEXEC);
  FUZZ_CHECK(f->fd >= 0, "no file in memory");
  snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
}

static inline void fuzz_file_set(const struct fuzz_file *f, const void *data, size_t size) {
  FUZZ_CHECK(ftruncate(f->fd, 0) == 0 && pwrite(f->fd, data, size, 0) == (ssize_t)size,
             "the file in memory cannot be written");
}

/* Reads every byte, so that the sanitizer sees what is not there. */
static inline void fuzz_touch(const void *data, size_t size) {
  const volatile unsigned char *at = data;
  for (size_t i = 0; i < size; i++) (void)at[i];
}

#endif
