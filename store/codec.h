/* How a chunk's bytes lie in the file: as they came, or compressed with zstd where that pays; and
 * their hash.
 *
 * One thread at a time. Knows nothing of what the bytes mean. */
#ifndef PMP_STORE_CODEC_H
#define PMP_STORE_CODEC_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define PMP_CODEC_HASH_BYTES 16

enum pmp_codec_encoding { PMP_CODEC_RAW = 0, PMP_CODEC_ZSTD = 1 };

struct pmp_codec {
  void *compressor, *decompressor; /* zstd contexts, owned; made when first needed */
  void *out;                       /* [room], owned: the last packed chunk */
  size_t room;
  int level;        /* 0: never compress */
  size_t bytes_min; /* smaller chunks are kept as they are */
  uint32_t misses;  /* chunks in a row that did not pay */
  uint32_t resting; /* chunks still to be kept without a try */
};

void pmp_codec_init(struct pmp_codec *c, int level, size_t bytes_min);
/* Safe on a zeroed struct. */
void pmp_codec_fini(struct pmp_codec *c);
/* XXH3-128, canonical (big-endian) bytes. */
void pmp_codec_hash(const void *data, size_t bytes, uint8_t hash[PMP_CODEC_HASH_BYTES]);
/* *stored points at data or into the codec (until the next call). Compressed only when that saves
 * at least an eighth; after some chunks in a row that did not pay, most are not tried. Never fails:
 * what cannot be compressed is kept. */
enum pmp_codec_encoding pmp_codec_pack(struct pmp_codec *c, const void *data, size_t bytes,
                                       const void **stored, size_t *stored_bytes);
/* Fills out[bytes] with the chunk as sent. PMP_ECORRUPT when it does not come out at exactly that
 * size. */
PMP_MUST_CHECK enum pmp_err pmp_codec_unpack(struct pmp_codec *c, int encoding, const void *stored,
                                             size_t stored_bytes, void *out, size_t bytes,
                                             struct pmp_errmsg *msg);

#endif
