/* A SQLite file system over the default one that can lose its power, for tests.
 *
 * Writes go through to the real files at once (what the page cache would show) and are kept beside
 * as long as no sync has made them durable. When the power goes, each file becomes its last synced
 * content plus a random subset of what was written since: single sectors, torn ones too, from
 * anywhere in the file, not only tails. A sync that is made to fail loses the rest for good: a
 * later sync that succeeds does not bring it back, as with a real page cache. Locks and shared
 * memory are passed through. Nothing is synced for real: it is fast.
 *
 * Any thread, as SQLite calls it; the functions below from the test's thread. */
#ifndef PMP_TESTS_SUPPORT_VFS_POWER_H
#define PMP_TESTS_SUPPORT_VFS_POWER_H

#include <stdbool.h>
#include <stdint.h>

struct vfs_power;

enum vfs_power_fault {
  VFS_POWER_WRITE_FULL, /* the nth write finds the disk full */
  VFS_POWER_WRITE_EIO,  /* the nth write fails, a part of it may have happened */
  VFS_POWER_SYNC_EIO    /* the nth sync fails, and what it should have synced is partly lost */
};

/* Registers a file system of that name. NULL without memory. */
struct vfs_power *vfs_power_open(const char *name, uint64_t seed);
/* Every file must be closed. */
void vfs_power_close(struct vfs_power *v);

/* The power goes in the middle of the nth operation that changes a file, counted from now (1: the
 * next one). From then on every operation fails. */
void vfs_power_cut_at(struct vfs_power *v, uint64_t n);
/* Now. */
void vfs_power_cut(struct vfs_power *v);
bool vfs_power_is_off(struct vfs_power *v);
/* After a cut, with every file closed: gives the files the content that survived and forgets
 * everything; shared memory is gone. The next open sees what a machine sees after its power came
 * back. */
void vfs_power_restore(struct vfs_power *v);

/* With every file closed: forgets them, the test removes them. */
void vfs_power_forget(struct vfs_power *v);

/* The nth write or sync of files whose name ends with `suffix` ("" : all) fails, and the `times` -
 * 1 after it. */
void vfs_power_fail(struct vfs_power *v, enum vfs_power_fault fault, const char *suffix, uint64_t n,
                    uint64_t times);
/* No more faults. */
void vfs_power_heal(struct vfs_power *v);

/* How often it happened so far. */
uint64_t vfs_power_changes(struct vfs_power *v); /* writes, truncations, deletions, syncs */
uint64_t vfs_power_syncs(struct vfs_power *v);
uint64_t vfs_power_faults(struct vfs_power *v);
/* Bytes that cuts threw away, and bytes that survived unsynced: a cut that loses nothing tests
 * nothing. */
uint64_t vfs_power_lost(struct vfs_power *v);
uint64_t vfs_power_survived(struct vfs_power *v);

#endif
