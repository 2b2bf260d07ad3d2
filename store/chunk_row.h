/* A chunk's bytes as sent, out of a row of a query.
 *
 * Whoever owns the connection and the codec; blocks when SQLite reads the disk. */
#ifndef PMP_STORE_CHUNK_ROW_H
#define PMP_STORE_CHUNK_ROW_H

#include "store/codec.h"
#include "store/db.h"

/* The four columns that pmp_chunk_row_unpack reads, of a chunk c with or without its chunk_data d.
 */
#define PMP_CHUNK_ROW_COLUMNS "c.bytes, c.encoding, c.hash, d.data"

/* Reads the columns from `column` on into *data, a buffer of *room bytes that grows by realloc
 * (owned by the caller, also after a failure). Checks size and hash. PMP_ECORRUPT names the chunk.
 */
PMP_MUST_CHECK enum pmp_err pmp_chunk_row_unpack(struct pmp_codec *codec, sqlite3_stmt *row,
                                                 int column, uint64_t chunk, void **data,
                                                 size_t *room, size_t *bytes,
                                                 struct pmp_errmsg *msg);

#endif
