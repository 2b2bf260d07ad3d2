/* What the file looks like: identity, settings of a connection, tables, and the steps from older
 * versions.
 *
 * The writer's connection only. A step once released is never changed; a new version is a new step.
 */
#ifndef PMP_STORE_SCHEMA_H
#define PMP_STORE_SCHEMA_H

#include "store/db.h"

#define PMP_SCHEMA_VERSION 5
#define PMP_SCHEMA_PAGE_BYTES 16384

/* PMP_OK for an empty file and for ours of a version that this build knows; PMP_ECORRUPT for
 * another program's file, PMP_EUNAVAILABLE for one of a newer version. Writes nothing. *version: 0
 * for an empty file. */
PMP_MUST_CHECK enum pmp_err pmp_schema_identify(sqlite3 *db, const char *path, int64_t *version,
                                                struct pmp_errmsg *msg);
/* Settings of the writing connection (page size, WAL, synchronous, ...), then every missing step,
 * each in a transaction. */
PMP_MUST_CHECK enum pmp_err pmp_schema_prepare(sqlite3 *db, const char *path,
                                               const char *synchronous, struct pmp_errmsg *msg);
/* Calls differs for every table and index that is not, word by word (spaces aside), as this build
 * makes it. Writes nothing. */
PMP_MUST_CHECK enum pmp_err pmp_schema_compare(sqlite3 *db,
                                               void (*differs)(void *ctx, const char *name),
                                               void *ctx, struct pmp_errmsg *msg);

#endif
