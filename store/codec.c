#include "store/codec.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#define MISSES_MAX 8 /* then: rest */
#define REST 31      /* one of 32 is tried */

void pmp_codec_init(struct pmp_codec *c, int level, size_t bytes_min) {
  *c = (struct pmp_codec){.level = level, .bytes_min = bytes_min};
}

void pmp_codec_fini(struct pmp_codec *c) {
  ZSTD_freeCCtx(c->compressor);
  ZSTD_freeDCtx(c->decompressor);
  free(c->out);
  *c = (struct pmp_codec){0};
}

void pmp_codec_hash(const void *data, size_t bytes, uint8_t hash[PMP_CODEC_HASH_BYTES]) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, bytes));
  memcpy(hash, canonical.digest, PMP_CODEC_HASH_BYTES);
}

/* Compressed size, or 0 when it would not save an eighth. */
static size_t squeeze(struct pmp_codec *c, const void *data, size_t bytes) {
  size_t limit = bytes - bytes / 8;
  if (c->compressor == NULL) c->compressor = ZSTD_createCCtx();
  if (c->compressor == NULL) return 0;
  if (c->room < limit) {
    free(c->out);
    c->out = malloc(limit);
    c->room = c->out != NULL ? limit : 0;
  }
  if (c->room < limit) return 0;
  size_t n = ZSTD_compressCCtx(c->compressor, c->out, limit, data, bytes, c->level);
  return ZSTD_isError(n) ? 0 : n;
}

enum pmp_codec_encoding pmp_codec_pack(struct pmp_codec *c, const void *data, size_t bytes,
                                       const void **stored, size_t *stored_bytes) {
  *stored = data;
  *stored_bytes = bytes;
  if (c->level == 0 || bytes < c->bytes_min || bytes < 8) return PMP_CODEC_RAW;
  if (c->resting > 0) {
    c->resting--;
    return PMP_CODEC_RAW;
  }
  size_t n = squeeze(c, data, bytes);
  if (n == 0) {
    if (c->misses < MISSES_MAX) c->misses++;
    if (c->misses == MISSES_MAX) c->resting = REST;
    return PMP_CODEC_RAW;
  }
  c->misses = 0;
  *stored = c->out;
  *stored_bytes = n;
  return PMP_CODEC_ZSTD;
}

enum pmp_err pmp_codec_unpack(struct pmp_codec *c, int encoding, const void *stored,
                              size_t stored_bytes, void *out, size_t bytes,
                              struct pmp_errmsg *msg) {
  if (encoding == PMP_CODEC_RAW) {
    if (stored_bytes != bytes)
      return pmp_fail(msg, PMP_ECORRUPT, "%zu bytes are stored, there should be %zu", stored_bytes,
                      bytes);
    if (bytes > 0) memcpy(out, stored, bytes);
    return PMP_OK;
  }
  if (encoding != PMP_CODEC_ZSTD)
    return pmp_fail(msg, PMP_ECORRUPT, "its encoding %d is unknown", encoding);
  if (c->decompressor == NULL) c->decompressor = ZSTD_createDCtx();
  if (c->decompressor == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory to decompress");
  size_t n = ZSTD_decompressDCtx(c->decompressor, out, bytes, stored, stored_bytes);
  if (ZSTD_isError(n))
    return pmp_fail(msg, PMP_ECORRUPT, "it does not decompress: %s", ZSTD_getErrorName(n));
  if (n != bytes)
    return pmp_fail(msg, PMP_ECORRUPT, "it decompresses to %zu bytes, there should be %zu", n,
                    bytes);
  return PMP_OK;
}
