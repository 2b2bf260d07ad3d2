/* One process a store: a lock on a file beside the database.
 *
 * Held by an open file, so a killed process lets go of it. Any thread; does not block. */
#ifndef PMP_STORE_LOCK_H
#define PMP_STORE_LOCK_H

#include "base/err.h"

/* Takes the lock of PATH.lock (made when missing); *fd holds it. PMP_EBUSY when another process, or
 * another store of this one, has it: the message names the process. */
PMP_MUST_CHECK enum pmp_err pmp_lock_take(const char *path, int *fd, struct pmp_errmsg *msg);
/* fd < 0 is fine. The file stays: removing it would let two processes lock two files of one name.
 */
void pmp_lock_release(int fd);

#endif
