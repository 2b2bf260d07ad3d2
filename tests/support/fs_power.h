/* A file system in memory whose power can be cut: what was not synced may be gone, torn or there,
 * each by chance.
 *
 * The strict reading of POSIX: a file's bytes are safe once the file was synced, a name in a folder
 * (created, renamed or removed) once the folder was synced. Names that were changed since are kept
 * or lost one by one; unsynced bytes are kept, lost or torn. One thread. */
#ifndef PMP_TESTS_FS_POWER_H
#define PMP_TESTS_FS_POWER_H

#include "base/fs.h"
#include "base/rng.h"

struct fs_power; /* opaque */

struct fs_power *fs_power_new(uint64_t seed);
void fs_power_free(struct fs_power *p);
/* Borrowed, valid until free. */
const struct pmp_fs *fs_power_fs(struct fs_power *p);
/* The power goes after `calls` more calls (in the middle of that one): it and all later ones fail
 * with PMP_EIO. */
void fs_power_cut_after(struct fs_power *p, uint64_t calls);
bool fs_power_is_cut(const struct fs_power *p);
/* Power is back: only what survived is there. */
void fs_power_restore(struct fs_power *p);
/* Everything that is there now is safe: a test's beginning. */
void fs_power_sync_all(struct fs_power *p);
/* Calls so far that change something. */
uint64_t fs_power_calls(const struct fs_power *p);
/* Mutations: syncs that do nothing. */
void fs_power_break(struct fs_power *p, bool no_file_sync, bool no_dir_sync);

#endif
