#include "tests/support/vfs_power.h"

#include "base/rng.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512

struct change { /* since the file's last sync */
  struct change *next;
  bool truncates; /* to `at`; else a write of `size` bytes there */
  uint64_t at;
  size_t size;
  unsigned char data[];
};

struct content {
  unsigned char *data;
  size_t size, room;
};

struct image { /* of one file */
  struct image *next;
  char path[512];
  struct content durable;
  struct change *first, **last;
  bool exists; /* as far as a synced folder says */
  bool gone;   /* deleted, but the folder was not synced: it may be back after a cut */
};

struct vfs_power {
  sqlite3_vfs vfs;
  sqlite3_vfs *real;
  pthread_mutex_t lock;
  struct image *images;
  struct pmp_rng rng;
  char name[64];
  bool off;
  uint64_t cut_in; /* operations until the power goes; 0: it does not */
  enum vfs_power_fault fault;
  char suffix[16];
  uint64_t fault_in, fault_times; /* 0: none */
  uint64_t changes, syncs, faults, lost, survived;
};

struct file {
  sqlite3_file base;
  struct vfs_power *v;
  struct image *image; /* NULL: a temporary file, passed through */
  bool
      syncs_folder; /* with its next sync, as the real one does for a journal or log that it made */
  sqlite3_file *real;
};

/* ---- contents ------------------------------------------------------------------------------- */

static void content_resize(struct content *c, size_t size) {
  if (size > c->room) {
    c->room = size + size / 2 + 4096;
    c->data = realloc(c->data, c->room);
    assert(c->data != NULL);
  }
  if (size > c->size) memset(c->data + c->size, 0, size - c->size);
  c->size = size;
}

static void content_write(struct content *c, uint64_t at, const unsigned char *data, size_t size) {
  if (size == 0) return;
  if (at + size > c->size) content_resize(c, (size_t)at + size);
  memcpy(c->data + at, data, size);
}

static void forget_changes(struct image *i) {
  while (i->first != NULL) {
    struct change *c = i->first;
    i->first = c->next;
    free(c);
  }
  i->last = &i->first;
}

static void apply_all(struct image *i) {
  for (struct change *c = i->first; c != NULL; c = c->next) {
    if (c->truncates)
      content_resize(&i->durable, (size_t)c->at);
    else
      content_write(&i->durable, c->at, c->data, c->size);
  }
  forget_changes(i);
}

/* One write, sector by sector: each may have reached the disk, be missing, or be torn. */
static void apply_pieces(struct vfs_power *v, struct image *i, const struct change *c,
                         double keep) {
  for (size_t done = 0; done < c->size;) {
    size_t n = SECTOR - (size_t)((c->at + done) % SECTOR);
    if (n > c->size - done) n = c->size - done;
    size_t kept = pmp_rng_double(&v->rng) < keep ? n : 0;
    if (keep < 1.0 && pmp_rng_below(&v->rng, 32) == 0) kept = (size_t)pmp_rng_below(&v->rng, n + 1);
    content_write(&i->durable, c->at + done, c->data + done, kept);
    v->survived += kept;
    v->lost += n - kept;
    done += n;
  }
}

static void apply_some(struct vfs_power *v, struct image *i) {
  static const double chances[] = {0.0, 0.1, 0.5, 0.9, 0.99, 1.0};
  double keep = chances[pmp_rng_below(&v->rng, 6)];
  for (const struct change *c = i->first; c != NULL; c = c->next) {
    if (!c->truncates)
      apply_pieces(v, i, c, keep);
    else if (pmp_rng_double(&v->rng) < keep)
      content_resize(&i->durable, (size_t)c->at);
  }
  forget_changes(i);
}

static void record(struct image *i, bool truncates, uint64_t at, const void *data, size_t size) {
  struct change *c = malloc(sizeof *c + size);
  assert(c != NULL);
  *c = (struct change){.truncates = truncates, .at = at, .size = size};
  if (size > 0) memcpy(c->data, data, size);
  *i->last = c;
  i->last = &c->next;
}

static void load_real(struct image *i) {
  FILE *f = fopen(i->path, "rb");
  if (f == NULL) return;
  unsigned char buffer[65536];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
    content_write(&i->durable, i->durable.size, buffer, n);
  fclose(f);
}

static struct image *image_of(struct vfs_power *v, const char *path) {
  for (struct image *i = v->images; i != NULL; i = i->next)
    if (strcmp(i->path, path) == 0) return i;
  struct image *i = calloc(1, sizeof *i);
  assert(i != NULL && strlen(path) < sizeof i->path);
  snprintf(i->path, sizeof i->path, "%s", path);
  i->last = &i->first;
  i->next = v->images;
  v->images = i;
  load_real(i);
  return i;
}

/* ---- power and faults, with the lock held --------------------------------------------------- */

static void cut(struct vfs_power *v) {
  if (v->off) return;
  v->off = true;
  for (struct image *i = v->images; i != NULL; i = i->next) {
    apply_some(v, i);
    if (i->gone) i->exists = pmp_rng_below(&v->rng, 2) == 0;
  }
}

/* Counts an operation. A write that the cut hits is among what may survive, so the caller records
 * it first. */
static bool power_holds(struct vfs_power *v) {
  if (v->off) return false;
  v->changes++;
  if (v->cut_in > 0 && --v->cut_in == 0) cut(v);
  return !v->off;
}

static bool fault_hits(struct vfs_power *v, const struct image *i, bool is_sync) {
  size_t length = strlen(i->path), end = strlen(v->suffix);
  if (v->off || v->fault_in == 0 || (v->fault == VFS_POWER_SYNC_EIO) != is_sync) return false;
  if (end > length || strcmp(i->path + length - end, v->suffix) != 0) return false;
  if (v->fault_in > 1) {
    v->fault_in--;
    return false;
  }
  if (--v->fault_times == 0) v->fault_in = 0;
  v->faults++;
  return true;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int file_close(sqlite3_file *file) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xClose(f->real);
}

static int file_read(sqlite3_file *file, void *data, int n, sqlite3_int64 at) {
  struct file *f = (struct file *)file;
  pthread_mutex_lock(&f->v->lock);
  int rc = f->v->off ? SQLITE_IOERR_READ : f->real->pMethods->xRead(f->real, data, n, at);
  pthread_mutex_unlock(&f->v->lock);
  return rc;
}

static int write_locked(struct file *f, const void *data, int n, sqlite3_int64 at) {
  struct vfs_power *v = f->v;
  if (v->off) return SQLITE_IOERR_WRITE;
  int result = SQLITE_OK;
  if (fault_hits(v, f->image, false)) {
    result = v->fault == VFS_POWER_WRITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    n = (int)pmp_rng_below(&v->rng, (uint64_t)n);
    if (n == 0) return result;
  }
  record(f->image, false, (uint64_t)at, data, (size_t)n);
  if (!power_holds(v)) return SQLITE_IOERR_WRITE;
  int rc = f->real->pMethods->xWrite(f->real, data, n, at);
  return rc != SQLITE_OK ? rc : result;
}

static int file_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at) {
  struct file *f = (struct file *)file;
  if (f->image == NULL) return f->real->pMethods->xWrite(f->real, data, n, at);
  pthread_mutex_lock(&f->v->lock);
  int rc = write_locked(f, data, n, at);
  pthread_mutex_unlock(&f->v->lock);
  return rc;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
  struct file *f = (struct file *)file;
  if (f->image == NULL) return f->real->pMethods->xTruncate(f->real, size);
  int rc = SQLITE_IOERR_TRUNCATE;
  pthread_mutex_lock(&f->v->lock);
  if (!f->v->off) {
    record(f->image, true, (uint64_t)size, NULL, 0);
    if (power_holds(f->v)) rc = f->real->pMethods->xTruncate(f->real, size);
  }
  pthread_mutex_unlock(&f->v->lock);
  return rc;
}

/* All files of a test are in one folder. */
static void sync_folder(struct vfs_power *v) {
  for (struct image *i = v->images; i != NULL; i = i->next) {
    if (!i->gone) continue;
    i->gone = i->exists = false;
    i->durable.size = 0;
  }
}

static int file_sync(sqlite3_file *file, int flags) {
  struct file *f = (struct file *)file;
  (void)flags;
  if (f->image == NULL) return SQLITE_OK;
  int rc = SQLITE_IOERR_FSYNC;
  pthread_mutex_lock(&f->v->lock);
  if (fault_hits(f->v, f->image, true)) {
    apply_some(f->v, f->image);
  } else if (power_holds(f->v)) {
    f->v->syncs++;
    apply_all(f->image);
    if (f->syncs_folder) sync_folder(f->v);
    f->syncs_folder = false;
    rc = SQLITE_OK;
  }
  pthread_mutex_unlock(&f->v->lock);
  return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
  struct file *f = (struct file *)file;
  pthread_mutex_lock(&f->v->lock);
  int rc = f->v->off ? SQLITE_IOERR_FSTAT : f->real->pMethods->xFileSize(f->real, size);
  pthread_mutex_unlock(&f->v->lock);
  return rc;
}

static int file_lock(sqlite3_file *file, int level) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xLock(f->real, level);
}

static int file_unlock(sqlite3_file *file, int level) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xUnlock(f->real, level);
}

static int file_check_lock(sqlite3_file *file, int *out) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xCheckReservedLock(f->real, out);
}

static int file_control(sqlite3_file *file, int op, void *arg) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xFileControl(f->real, op, arg);
}

static int file_sector_size(sqlite3_file *file) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xSectorSize(f->real);
}

static int file_characteristics(sqlite3_file *file) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xDeviceCharacteristics(f->real);
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xShmMap(f->real, page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xShmLock(f->real, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file) {
  struct file *f = (struct file *)file;
  f->real->pMethods->xShmBarrier(f->real);
}

static int file_shm_unmap(sqlite3_file *file, int delete_it) {
  struct file *f = (struct file *)file;
  return f->real->pMethods->xShmUnmap(f->real, delete_it);
}

/* ---- the file system ------------------------------------------------------------------------ */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
  static const sqlite3_io_methods methods = {.iVersion = 2,
                                             .xClose = file_close,
                                             .xRead = file_read,
                                             .xWrite = file_write,
                                             .xTruncate = file_truncate,
                                             .xSync = file_sync,
                                             .xFileSize = file_size,
                                             .xLock = file_lock,
                                             .xUnlock = file_unlock,
                                             .xCheckReservedLock = file_check_lock,
                                             .xFileControl = file_control,
                                             .xSectorSize = file_sector_size,
                                             .xDeviceCharacteristics = file_characteristics,
                                             .xShmMap = file_shm_map,
                                             .xShmLock = file_shm_lock,
                                             .xShmBarrier = file_shm_barrier,
                                             .xShmUnmap = file_shm_unmap};
  struct vfs_power *v = vfs->pAppData;
  struct file *f = (struct file *)file;
  memset(f, 0, sizeof *f);
  f->v = v;
  f->real = (sqlite3_file *)(f + 1);
  int rc = SQLITE_CANTOPEN;
  pthread_mutex_lock(&v->lock);
  if (!v->off) {
    if (name != NULL && (flags & SQLITE_OPEN_DELETEONCLOSE) == 0) {
      f->image = image_of(v, name);
    }
    rc = v->real->xOpen(v->real, name, f->real, flags, out);
    if (rc == SQLITE_OK && f->image != NULL) {
      if (f->image->gone) f->image->durable.size = 0; /* another file of the same name */
      f->image->gone = false;
      f->image->exists = true;
      f->syncs_folder = (flags & SQLITE_OPEN_CREATE) != 0 &&
                        (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
    }
  }
  pthread_mutex_unlock(&v->lock);
  if (rc == SQLITE_OK) f->base.pMethods = &methods;
  return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int synced) {
  struct vfs_power *v = vfs->pAppData;
  int rc = SQLITE_IOERR_DELETE;
  pthread_mutex_lock(&v->lock);
  if (!v->off && power_holds(v)) {
    struct image *i = image_of(v, name);
    rc = v->real->xDelete(v->real, name, 0);
    if (rc == SQLITE_OK) {
      forget_changes(i);
      i->gone = i->exists = true;
      if (synced) sync_folder(v);
    }
  }
  pthread_mutex_unlock(&v->lock);
  return rc;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
  struct vfs_power *v = vfs->pAppData;
  return v->real->xAccess(v->real, name, flags, out);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int n, char *out) {
  struct vfs_power *v = vfs->pAppData;
  return v->real->xFullPathname(v->real, name, n, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *out) {
  struct vfs_power *v = vfs->pAppData;
  return v->real->xRandomness(v->real, n, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us) {
  struct vfs_power *v = vfs->pAppData;
  return v->real->xSleep(v->real, us);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *out) {
  struct vfs_power *v = vfs->pAppData;
  return v->real->xCurrentTime(v->real, out);
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *out) {
  struct vfs_power *v = vfs->pAppData;
  return v->real->xGetLastError(v->real, n, out);
}

static int vfs_current_time64(sqlite3_vfs *vfs, sqlite3_int64 *out) {
  struct vfs_power *v = vfs->pAppData;
  return v->real->xCurrentTimeInt64(v->real, out);
}

struct vfs_power *vfs_power_open(const char *name, uint64_t seed) {
  struct vfs_power *v = calloc(1, sizeof *v);
  sqlite3_initialize();
  if (v == NULL) return NULL;
  v->real = sqlite3_vfs_find(NULL);
  snprintf(v->name, sizeof v->name, "%s", name);
  pthread_mutex_init(&v->lock, NULL);
  pmp_rng_init(&v->rng, seed, 77);
  v->vfs = (sqlite3_vfs){.iVersion = 2,
                         .szOsFile = (int)sizeof(struct file) + v->real->szOsFile,
                         .mxPathname = v->real->mxPathname,
                         .zName = v->name,
                         .pAppData = v,
                         .xOpen = vfs_open,
                         .xDelete = vfs_delete,
                         .xAccess = vfs_access,
                         .xFullPathname = vfs_full_pathname,
                         .xRandomness = vfs_randomness,
                         .xSleep = vfs_sleep,
                         .xCurrentTime = vfs_current_time,
                         .xGetLastError = vfs_last_error,
                         .xCurrentTimeInt64 = vfs_current_time64};
  sqlite3_vfs_register(&v->vfs, 0);
  return v;
}

static void forget_images(struct vfs_power *v) {
  while (v->images != NULL) {
    struct image *i = v->images;
    v->images = i->next;
    forget_changes(i);
    free(i->durable.data);
    free(i);
  }
}

void vfs_power_close(struct vfs_power *v) {
  if (v == NULL) return;
  sqlite3_vfs_unregister(&v->vfs);
  forget_images(v);
  pthread_mutex_destroy(&v->lock);
  free(v);
}

void vfs_power_cut_at(struct vfs_power *v, uint64_t n) {
  pthread_mutex_lock(&v->lock);
  v->cut_in = n;
  pthread_mutex_unlock(&v->lock);
}

void vfs_power_cut(struct vfs_power *v) {
  pthread_mutex_lock(&v->lock);
  cut(v);
  pthread_mutex_unlock(&v->lock);
}

bool vfs_power_is_off(struct vfs_power *v) {
  pthread_mutex_lock(&v->lock);
  bool off = v->off;
  pthread_mutex_unlock(&v->lock);
  return off;
}

static void put_back(const struct image *i) {
  unlink(i->path);
  if (!i->exists) return;
  FILE *f = fopen(i->path, "wb");
  assert(f != NULL);
  size_t n = i->durable.size > 0 ? fwrite(i->durable.data, 1, i->durable.size, f) : 0;
  assert(n == i->durable.size);
  fclose(f);
}

void vfs_power_restore(struct vfs_power *v) {
  char shm[600];
  pthread_mutex_lock(&v->lock);
  assert(v->off);
  for (struct image *i = v->images; i != NULL; i = i->next) {
    put_back(i);
    snprintf(shm, sizeof shm, "%s-shm", i->path);
    unlink(shm);
  }
  forget_images(v);
  v->off = false;
  v->cut_in = v->fault_in = 0;
  pthread_mutex_unlock(&v->lock);
}

void vfs_power_fail(struct vfs_power *v, enum vfs_power_fault fault, const char *suffix, uint64_t n,
                    uint64_t times) {
  pthread_mutex_lock(&v->lock);
  v->fault = fault;
  snprintf(v->suffix, sizeof v->suffix, "%s", suffix);
  v->fault_in = n;
  v->fault_times = times;
  pthread_mutex_unlock(&v->lock);
}

void vfs_power_heal(struct vfs_power *v) {
  vfs_power_fail(v, VFS_POWER_WRITE_FULL, "", 0, 0);
}

void vfs_power_forget(struct vfs_power *v) {
  pthread_mutex_lock(&v->lock);
  forget_images(v);
  pthread_mutex_unlock(&v->lock);
}

static uint64_t get(struct vfs_power *v, const uint64_t *counter) {
  pthread_mutex_lock(&v->lock);
  uint64_t value = *counter;
  pthread_mutex_unlock(&v->lock);
  return value;
}

uint64_t vfs_power_changes(struct vfs_power *v) {
  return get(v, &v->changes);
}
uint64_t vfs_power_syncs(struct vfs_power *v) {
  return get(v, &v->syncs);
}
uint64_t vfs_power_faults(struct vfs_power *v) {
  return get(v, &v->faults);
}
uint64_t vfs_power_lost(struct vfs_power *v) {
  return get(v, &v->lost);
}
uint64_t vfs_power_survived(struct vfs_power *v) {
  return get(v, &v->survived);
}
