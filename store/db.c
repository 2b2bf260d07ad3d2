#include "store/db.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum pmp_err pmp_db_err(int rc) {
  switch (rc & 0xff) {
  case SQLITE_OK:
  case SQLITE_ROW:
  case SQLITE_DONE:
    return PMP_OK;
  case SQLITE_FULL:
    return PMP_ENOSPC;
  case SQLITE_IOERR:
    return rc == SQLITE_IOERR_NOMEM ? PMP_ENOMEM : PMP_EIO;
  case SQLITE_CANTOPEN:
  case SQLITE_READONLY:
  case SQLITE_PERM:
  case SQLITE_PROTOCOL:
    return PMP_EIO;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return PMP_ECORRUPT;
  case SQLITE_NOMEM:
    return PMP_ENOMEM;
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return PMP_EBUSY;
  case SQLITE_TOOBIG:
    return PMP_ETOOLARGE;
  default:
    return PMP_EINTERNAL;
  }
}

enum pmp_err pmp_db_fail(sqlite3 *db, int rc, const char *what, struct pmp_errmsg *msg) {
  const char *words = db != NULL ? sqlite3_errmsg(db) : "";
  return pmp_fail(msg, pmp_db_err(rc), "cannot %s: %s (%s, %d)", what, words, sqlite3_errstr(rc),
                  rc);
}

enum pmp_err pmp_db_open(sqlite3 **db, const char *path, const char *vfs, int flags, int busy_ms,
                         struct pmp_errmsg *msg) {
  *db = NULL;
  sqlite3 *opened = NULL;
  int rc = sqlite3_open_v2(path, &opened, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
  if (rc == SQLITE_OK) rc = sqlite3_busy_timeout(opened, busy_ms);
  /* A checkpoint on close would sync behind our back, and its failure could not be told. */
  if (rc == SQLITE_OK)
    rc = sqlite3_db_config(opened, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
  if (rc == SQLITE_OK) {
    *db = opened;
    return PMP_OK;
  }
  char what[256];
  snprintf(what, sizeof what, "open %s", path);
  enum pmp_err err = pmp_db_fail(opened, rc, what, msg);
  sqlite3_close(opened);
  return err;
}

enum pmp_err pmp_db_exec(sqlite3 *db, const char *sql, struct pmp_errmsg *msg) {
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  if (rc == SQLITE_OK) return PMP_OK;
  char what[128];
  snprintf(what, sizeof what, "run \"%.100s\"", sql);
  return pmp_db_fail(db, rc, what, msg);
}

enum pmp_err pmp_db_number(sqlite3 *db, const char *sql, int64_t none, int64_t *value,
                           struct pmp_errmsg *msg) {
  sqlite3_stmt *stmt = NULL;
  *value = none;
  PMP_TRY(pmp_db_prepare(db, sql, &stmt, msg));
  int rc = sqlite3_step(stmt);
  if (rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
    *value = sqlite3_column_int64(stmt, 0);
  enum pmp_err err = PMP_OK;
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) err = pmp_db_fail(db, rc, sql, msg);
  sqlite3_finalize(stmt);
  return err;
}

enum pmp_err pmp_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **stmt,
                            struct pmp_errmsg *msg) {
  int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
  if (rc == SQLITE_OK) return PMP_OK;
  char what[128];
  snprintf(what, sizeof what, "prepare \"%.100s\"", sql);
  return pmp_db_fail(db, rc, what, msg);
}

static int64_t clamp(uint64_t value) {
  return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static int bind_text(sqlite3_stmt *stmt, int at, const char *text) {
  return text == NULL ? sqlite3_bind_null(stmt, at)
                      : sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

static int bind_blob(sqlite3_stmt *stmt, int at, const void *data, size_t size) {
  /* A NULL pointer binds a null, whatever the size. */
  return sqlite3_bind_blob64(stmt, at, data, (sqlite3_uint64)size, SQLITE_STATIC);
}

static int64_t next_number(char type, va_list *args) {
  if (type == 'i') return va_arg(*args, int);
  if (type == 'u') return va_arg(*args, uint32_t);
  if (type == 'U') return clamp(va_arg(*args, uint64_t));
  return va_arg(*args, int64_t);
}

int pmp_db_bind(sqlite3_stmt *stmt, const char *types, ...) {
  va_list args;
  int rc = SQLITE_OK;
  sqlite3_reset(stmt);
  va_start(args, types);
  for (int at = 1; types[at - 1] != '\0' && rc == SQLITE_OK; at++) {
    const void *data;
    switch (types[at - 1]) {
    case 'i':
    case 'u':
    case 'U':
    case 'I':
      rc = sqlite3_bind_int64(stmt, at, next_number(types[at - 1], &args));
      break;
    case 'd':
      rc = sqlite3_bind_double(stmt, at, va_arg(args, double));
      break;
    case 't':
      rc = bind_text(stmt, at, va_arg(args, const char *));
      break;
    case 'b':
      data = va_arg(args, const void *);
      rc = bind_blob(stmt, at, data, va_arg(args, size_t));
      break;
    default:
      assert(0 && "unknown type letter");
    }
  }
  va_end(args);
  return rc;
}

void pmp_db_done(sqlite3_stmt *stmt) {
  sqlite3_reset(stmt);
  sqlite3_clear_bindings(stmt);
}

uint64_t pmp_db_u64(sqlite3_stmt *stmt, int column) {
  sqlite3_int64 value = sqlite3_column_int64(stmt, column);
  return value < 0 ? 0 : (uint64_t)value;
}

uint32_t pmp_db_u32(sqlite3_stmt *stmt, int column) {
  uint64_t value = pmp_db_u64(stmt, column);
  return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

void pmp_db_text(sqlite3_stmt *stmt, int column, char *out, size_t size) {
  const unsigned char *text = sqlite3_column_text(stmt, column);
  snprintf(out, size, "%s", text != NULL ? (const char *)text : "");
}
