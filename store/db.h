/* A SQLite connection's small change: settings, binding, error codes.
 *
 * No thread of its own: whoever owns the connection. Knows nothing of what is stored. SQLite's
 * codes become `enum pmp_err` here. */
#ifndef PMP_STORE_DB_H
#define PMP_STORE_DB_H

#include "base/err.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code for an extended SQLite result: SQLITE_FULL -> PMP_ENOSPC, I/O errors -> PMP_EIO, damage
 * -> PMP_ECORRUPT. PMP_OK for OK, ROW and DONE. */
enum pmp_err pmp_db_err(int rc);
/* pmp_fail with that code and "cannot WHAT: SQLite's own words". db may be NULL. */
enum pmp_err pmp_db_fail(sqlite3 *db, int rc, const char *what, struct pmp_errmsg *msg);
/* Opens; extended result codes on, `busy_ms` of patience, no checkpoint on close. *db is NULL after
 * a failure. */
PMP_MUST_CHECK enum pmp_err pmp_db_open(sqlite3 **db, const char *path, const char *vfs, int flags,
                                        int busy_ms, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_db_exec(sqlite3 *db, const char *sql, struct pmp_errmsg *msg);
/* The first column of the first row of a query as a number; `none` when there is no row or it is
 * NULL. */
PMP_MUST_CHECK enum pmp_err pmp_db_number(sqlite3 *db, const char *sql, int64_t none,
                                          int64_t *value, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **stmt,
                                           struct pmp_errmsg *msg);
/* Resets and binds parameters 1, 2, ... by type: i int, u uint32_t, U uint64_t (at most INT64_MAX
 * is kept), I int64_t, d double, t const char * (NULL: null), b const void * and size_t (NULL:
 * null). Texts and blobs are borrowed until the next reset. Returns SQLite's code. */
int pmp_db_bind(sqlite3_stmt *stmt, const char *types, ...);
/* Resets and forgets what was bound. */
void pmp_db_done(sqlite3_stmt *stmt);
/* Non-negative columns. */
uint64_t pmp_db_u64(sqlite3_stmt *stmt, int column);
uint32_t pmp_db_u32(sqlite3_stmt *stmt, int column);
/* A text column cut to size; "" when null. */
void pmp_db_text(sqlite3_stmt *stmt, int column, char *out, size_t size);

#endif
