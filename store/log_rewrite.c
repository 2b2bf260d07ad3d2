#include "store/log_rewrite.h"

#include "store/db.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SQLite's own VFS writes nothing at all when asked for a multiple of 128 KiB. */
#define PIECE_BYTES (1 << 16)

static int rewrite_pieces(sqlite3_file *file, sqlite3_int64 size, unsigned char *piece) {
  const sqlite3_io_methods *io = file->pMethods;
  for (sqlite3_int64 at = 0; at < size; at += PIECE_BYTES) {
    int n = size - at < PIECE_BYTES ? (int)(size - at) : PIECE_BYTES;
    int rc = io->xRead(file, piece, n, at);
    if (rc == SQLITE_OK) rc = io->xWrite(file, piece, n, at);
    if (rc != SQLITE_OK) return rc;
  }
  return io->xSync(file, SQLITE_SYNC_NORMAL);
}

enum pmp_err pmp_log_rewrite(const char *path, const char *vfs, uint64_t *bytes,
                             struct pmp_errmsg *msg) {
  char full[PATH_MAX];
  *bytes = 0;
  sqlite3_vfs *v = sqlite3_vfs_find(vfs);
  if (v == NULL) return pmp_fail(msg, PMP_EINVALID, "there is no SQLite file system %s", vfs);
  /* SQLite names the log after the resolved path, 4 bytes longer. */
  memset(full, 0, sizeof full);
  if (v->mxPathname + 6 > (int)sizeof full ||
      (v->xFullPathname(v, path, v->mxPathname, full) & 0xff) != SQLITE_OK)
    return pmp_fail(msg, PMP_EIO, "cannot resolve the path %s", path);
  size_t length = strlen(full);
  /* The VFS may look for URI parameters behind the name's NUL. */
  memcpy(full + length, "-wal\0\0", 6);
  int exists = 0;
  int rc = v->xAccess(v, full, SQLITE_ACCESS_EXISTS, &exists);
  if (rc != SQLITE_OK) return pmp_db_fail(NULL, rc, "look for the log", msg);
  if (!exists) return PMP_OK;

  sqlite3_file *file = calloc(1, (size_t)v->szOsFile);
  unsigned char *piece = malloc(PIECE_BYTES);
  sqlite3_int64 size = 0;
  enum pmp_err err = PMP_OK;
  if (file == NULL || piece == NULL) {
    err = pmp_fail(msg, PMP_ENOMEM, "no memory to read the log");
    goto out;
  }
  int flags = 0;
  rc = v->xOpen(v, full, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, &flags);
  if (rc == SQLITE_OK) rc = file->pMethods->xFileSize(file, &size);
  if (rc == SQLITE_OK && size > 0) rc = rewrite_pieces(file, size, piece);
  if (file->pMethods != NULL) file->pMethods->xClose(file);
  if (rc != SQLITE_OK) err = pmp_db_fail(NULL, rc, "write the log again", msg);
  if (err == PMP_OK) *bytes = (uint64_t)size;
out:
  free(file);
  free(piece);
  return err;
}
