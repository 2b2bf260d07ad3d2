/* The file interface that checkpoints and exports write through, and that tests replace with one
 * that loses unsynced writes or fails on demand.
 *
 * Every function may block on the disk: never call one from the loop thread. Paths are absolute or
 * relative to the process's folder. `self` is the table's own context. */
#ifndef PMP_BASE_FS_H
#define PMP_BASE_FS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PMP_FS_NAME_MAX 256 /* bytes of a file name, NUL included */

struct pmp_fs {
  void *self;
  /* Creates or truncates, writes all n bytes in one file from `parts` (gathered), fsyncs the file,
   * closes. */
  enum pmp_err (*write_sync)(void *self, const char *path, const void *const *parts,
                             const size_t *sizes, size_t part_count, struct pmp_errmsg *msg);
  /* Whole file into malloc'd memory (caller frees), at most max bytes (else PMP_ETOOLARGE).
   * PMP_ENOTFOUND. */
  enum pmp_err (*read_all)(void *self, const char *path, size_t max, void **data, size_t *size,
                           struct pmp_errmsg *msg);
  enum pmp_err (*rename)(void *self, const char *from, const char *to, struct pmp_errmsg *msg);
  enum pmp_err (*sync_dir)(void *self, const char *path, struct pmp_errmsg *msg);
  /* mkdir -p, mode 0700. */
  enum pmp_err (*make_dir)(void *self, const char *path, struct pmp_errmsg *msg);
  enum pmp_err (*remove)(void *self, const char *path,
                         struct pmp_errmsg *msg); /* a file or an empty folder */
  /* Names in a folder (without . and ..), sorted by bytes, into malloc'd
   * names[count][PMP_FS_NAME_MAX] (caller frees). */
  enum pmp_err (*list)(void *self, const char *path, char (**names)[PMP_FS_NAME_MAX], size_t *count,
                       struct pmp_errmsg *msg);
};

/* The real one. Any thread. */
const struct pmp_fs *pmp_fs_real(void);

/* Writes path.tmp, fsyncs, renames over path, fsyncs the folder: after PMP_OK the new content is
 * there whatever happens; after an error or a power cut the old one or the new one, never a mix. */
PMP_MUST_CHECK enum pmp_err pmp_fs_replace(const struct pmp_fs *fs, const char *path,
                                           const void *const *parts, const size_t *sizes,
                                           size_t part_count, struct pmp_errmsg *msg);

#endif
