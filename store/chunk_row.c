#include "store/chunk_row.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX 500000000 /* appends are refused from here on: more is damage */

static enum pmp_err grow(void **data, size_t *room, size_t bytes, struct pmp_errmsg *msg) {
  if (*data != NULL && *room >= bytes) return PMP_OK;
  void *grown = realloc(*data, bytes + 1);
  if (grown == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for %zu bytes", bytes);
  *data = grown;
  *room = bytes;
  return PMP_OK;
}

static enum pmp_err unpack(struct pmp_codec *codec, sqlite3_stmt *row, int column, void **data,
                           size_t *room, size_t *bytes, struct pmp_errmsg *msg) {
  uint8_t hash[PMP_CODEC_HASH_BYTES];
  uint64_t length = pmp_db_u64(row, column);
  int encoding = sqlite3_column_int(row, column + 1);
  if (sqlite3_column_type(row, column + 3) != SQLITE_BLOB)
    return pmp_fail(msg, PMP_ECORRUPT, "its bytes are missing");
  if (length > BYTES_MAX || sqlite3_column_bytes(row, column + 2) != PMP_CODEC_HASH_BYTES)
    return pmp_fail(msg, PMP_ECORRUPT, "its index columns are damaged");
  PMP_TRY(grow(data, room, (size_t)length, msg));
  const void *stored = sqlite3_column_blob(row, column + 3);
  if (stored == NULL && sqlite3_column_bytes(row, column + 3) > 0)
    return pmp_fail(msg, PMP_ENOMEM, "no memory to read its bytes");
  PMP_TRY(pmp_codec_unpack(codec, encoding, stored, (size_t)sqlite3_column_bytes(row, column + 3),
                           *data, (size_t)length, msg));
  pmp_codec_hash(*data, (size_t)length, hash);
  if (memcmp(hash, sqlite3_column_blob(row, column + 2), sizeof hash) != 0)
    return pmp_fail(msg, PMP_ECORRUPT, "its hash does not fit");
  *bytes = (size_t)length;
  return PMP_OK;
}

enum pmp_err pmp_chunk_row_unpack(struct pmp_codec *codec, sqlite3_stmt *row, int column,
                                  uint64_t chunk, void **data, size_t *room, size_t *bytes,
                                  struct pmp_errmsg *msg) {
  struct pmp_errmsg why;
  *bytes = 0;
  enum pmp_err err = unpack(codec, row, column, data, room, bytes, &why);
  if (err == PMP_OK) return PMP_OK;
  return pmp_fail(msg, err, "chunk %" PRIu64 ": %s", chunk, why.text);
}
