/* Makes what the write-ahead log seems to hold be on disk, before anybody believes it.
 *
 * After a sync failed, the pages of the log that it should have written may be clean in the page
 * cache and absent from the disk. A recovery would read them and call the transaction committed, a
 * checkpoint would copy a part of it over the database, and a power cut then leaves a database
 * whose log lacks the rest. Writing the log's own bytes once more makes them dirty again, so that
 * the sync after it is an honest one: a transaction that is recovered is on disk, one that is not
 * is gone for good.
 *
 * Called before the connection is opened, with the store's lock held. Through the VFS, so that
 * tests replace the disk. */
#ifndef PMP_STORE_LOG_REWRITE_H
#define PMP_STORE_LOG_REWRITE_H

#include "base/err.h"

#include <stdint.h>

/* PMP_OK without a log or with an empty one. *bytes: how many were written again. Blocks. */
PMP_MUST_CHECK enum pmp_err pmp_log_rewrite(const char *path, const char *vfs, uint64_t *bytes,
                                            struct pmp_errmsg *msg);

#endif
