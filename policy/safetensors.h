/* safetensors in memory: an 8-byte little-endian header length, a JSON header, raw tensors.
 *
 * Pure over byte buffers (no file I/O: see base/fs.h). F32, F64, U8, I64, U64 tensors. Any thread.
 */
#ifndef PMP_POLICY_SAFETENSORS_H
#define PMP_POLICY_SAFETENSORS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum pmp_st_dtype { PMP_ST_F32, PMP_ST_F64, PMP_ST_U8, PMP_ST_I64, PMP_ST_U64 };

#define PMP_ST_NAME_MAX 128
#define PMP_ST_RANK_MAX 4
#define PMP_ST_HEADER_MAX (4 << 20) /* bytes of JSON; more is refused both ways */

struct pmp_st_tensor {
  char name[PMP_ST_NAME_MAX];
  enum pmp_st_dtype dtype;
  uint32_t rank;
  uint64_t shape[PMP_ST_RANK_MAX];
  const void *data; /* borrowed */
  size_t bytes;
};

struct pmp_st_meta {
  const char *key, *value; /* borrowed, UTF-8 */
};

/* The header alone (length prefix included, padded with spaces so that data starts 8-aligned),
 * malloc'd: the file is this followed by the tensors' bytes in order (hand both to
 * pmp_fs.write_sync as parts). PMP_ENOMEM, PMP_EINVALID (a name twice, bytes that do not fit the
 * shape, a tensor that would not be aligned to its elements: put wider types before narrower ones).
 */
PMP_MUST_CHECK enum pmp_err pmp_st_header(const struct pmp_st_tensor *tensor, size_t tensors,
                                          const struct pmp_st_meta *meta, size_t metas,
                                          void **header, size_t *size, struct pmp_errmsg *msg);

/* An opened buffer. Tensors, in order of place, point into `data`, which the caller keeps alive;
 * they are aligned to their elements when `data` is to 8 bytes. Every offset, shape and overlap is
 * checked: hostile bytes give PMP_ECORRUPT, never a read outside. */
struct pmp_st_file {
  struct pmp_st_tensor *tensor; /* owned */
  size_t tensors;
  void *json; /* owned: the parsed header */
};
PMP_MUST_CHECK enum pmp_err pmp_st_parse(struct pmp_st_file *f, const void *data, size_t size,
                                         struct pmp_errmsg *msg);
void pmp_st_fini(struct pmp_st_file *f); /* safe on a zeroed struct */
const struct pmp_st_tensor *pmp_st_find(const struct pmp_st_file *f,
                                        const char *name);                 /* NULL when absent */
const char *pmp_st_meta_get(const struct pmp_st_file *f, const char *key); /* NULL when absent */

#endif
