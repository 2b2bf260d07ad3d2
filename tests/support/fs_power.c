#include "tests/support/fs_power.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATHS = 512, PATH_BYTES = 600, INODES = 4096 };

/* A file's bytes, or a folder (data unused). Names point to inodes, so that a rename moves a folder
 * with all in it. */
struct inode {
  bool used, folder, synced;
  unsigned char *data; /* owned: as written */
  size_t size;
};

struct entry { /* a name in a folder */
  bool used;
  int parent, inode;
  char name[PMP_FS_NAME_MAX];
};

struct fs_power {
  struct pmp_fs fs;
  struct pmp_rng rng;
  struct inode inode[INODES];
  struct entry now[PATHS],
      disk[PATHS]; /* names as the processes see them, and as they are safely on disk */
  uint64_t calls, cut_at;
  bool cut, no_file_sync, no_dir_sync;
};

static int new_inode(struct fs_power *p, bool folder) {
  for (int i = 1; i < INODES; i++) {
    if (p->inode[i].used) continue;
    p->inode[i] = (struct inode){.used = true, .folder = folder};
    return i;
  }
  abort(); /* a test that writes more than this is wrong */
}

static struct entry *find_in(struct entry *table, int parent, const char *name) {
  for (int i = 0; i < PATHS; i++) {
    if (table[i].used && table[i].parent == parent && strcmp(table[i].name, name) == 0)
      return &table[i];
  }
  return NULL;
}

static struct entry *add_to(struct entry *table, int parent, const char *name, int inode) {
  struct entry *e = find_in(table, parent, name);
  for (int i = 0; !e && i < PATHS; i++) {
    if (!table[i].used) e = &table[i];
  }
  if (!e) abort();
  e->used = true;
  e->parent = parent;
  e->inode = inode;
  snprintf(e->name, sizeof e->name, "%s", name);
  return e;
}

/* Inode of the folder that holds path's last name, which goes to name; -1 when it is not there. */
static int parent_of(struct fs_power *p, const char *path, char name[PMP_FS_NAME_MAX]) {
  char copy[PATH_BYTES], *save = NULL;
  snprintf(copy, sizeof copy, "%s", path);
  int folder = 0;
  name[0] = '\0';
  for (char *tok = strtok_r(copy, "/", &save); tok; tok = strtok_r(NULL, "/", &save)) {
    if (name[0] != '\0') {
      struct entry *e = find_in(p->now, folder, name);
      if (!e || !p->inode[e->inode].folder) return -1;
      folder = e->inode;
    }
    snprintf(name, PMP_FS_NAME_MAX, "%s", tok);
  }
  return folder;
}

static struct entry *find(struct fs_power *p, const char *path) {
  char name[PMP_FS_NAME_MAX];
  const int parent = parent_of(p, path, name);
  return parent < 0 ? NULL : find_in(p->now, parent, name);
}

/* Counts a call that changes something; PMP_EIO when the power goes with it or is gone. *half: it
 * goes in the middle of this one. */
static enum pmp_err step(struct fs_power *p, bool *half, struct pmp_errmsg *msg) {
  *half = false;
  if (p->cut) return pmp_fail(msg, PMP_EIO, "no power");
  *half = ++p->calls == p->cut_at;
  p->cut = *half;
  return PMP_OK;
}

static enum pmp_err gone(struct pmp_errmsg *msg) {
  return pmp_fail(msg, PMP_EIO, "the power went");
}

static enum pmp_err power_write_sync(void *self, const char *path, const void *const *parts,
                                     const size_t *sizes, size_t part_count,
                                     struct pmp_errmsg *msg) {
  struct fs_power *p = self;
  bool half;
  PMP_TRY(step(p, &half, msg));
  char name[PMP_FS_NAME_MAX];
  const int parent = parent_of(p, path, name);
  if (parent < 0) return pmp_fail(msg, PMP_ENOTFOUND, "%s: no such folder", path);
  size_t size = 0;
  for (size_t i = 0; i < part_count; i++) size += sizes[i];
  struct entry *e = find_in(p->now, parent, name);
  const int at = e ? e->inode : new_inode(p, false);
  struct inode *f = &p->inode[at];
  free(f->data);
  f->data = malloc(size ? size : 1);
  if (!f->data) abort();
  f->size = 0;
  for (size_t i = 0; i < part_count; i++) {
    memcpy(f->data + f->size, parts[i], sizes[i]);
    f->size += sizes[i];
  }
  f->synced = !half && !p->no_file_sync;
  if (!e) add_to(p->now, parent, name, at);
  return half ? gone(msg) : PMP_OK;
}

static enum pmp_err power_read_all(void *self, const char *path, size_t max, void **data,
                                   size_t *size, struct pmp_errmsg *msg) {
  struct fs_power *p = self;
  if (p->cut) return gone(msg);
  const struct entry *e = find(p, path);
  if (!e || p->inode[e->inode].folder) return pmp_fail(msg, PMP_ENOTFOUND, "%s is not there", path);
  const struct inode *f = &p->inode[e->inode];
  if (f->size > max) return pmp_fail(msg, PMP_ETOOLARGE, "%s has %zu bytes", path, f->size);
  unsigned char *copy = malloc(f->size + 1);
  if (!copy) abort();
  memcpy(copy, f->data, f->size);
  copy[f->size] = '\0';
  *data = copy;
  *size = f->size;
  return PMP_OK;
}

static bool has_children(const struct entry *table, int folder) {
  for (int i = 0; i < PATHS; i++) {
    if (table[i].used && table[i].parent == folder) return true;
  }
  return false;
}

static enum pmp_err power_rename(void *self, const char *from, const char *to,
                                 struct pmp_errmsg *msg) {
  struct fs_power *p = self;
  bool half;
  PMP_TRY(step(p, &half, msg));
  struct entry *e = find(p, from);
  char name[PMP_FS_NAME_MAX];
  const int parent = parent_of(p, to, name);
  if (!e || parent < 0) return pmp_fail(msg, PMP_ENOTFOUND, "%s is not there", from);
  struct entry *old = find_in(p->now, parent, name);
  if (old && p->inode[old->inode].folder && has_children(p->now, old->inode)) {
    return pmp_fail(msg, PMP_EIO, "%s is not empty", to);
  }
  const int inode = e->inode;
  e->used = false;
  add_to(p->now, parent, name, inode);
  return half ? gone(msg) : PMP_OK;
}

/* Makes the folder's names safe: `disk` becomes what `now` is, for this folder. */
static void settle(struct fs_power *p, int folder) {
  for (int i = 0; i < PATHS; i++) {
    struct entry *d = &p->disk[i];
    if (d->used && d->parent == folder && !find_in(p->now, folder, d->name)) d->used = false;
  }
  for (int i = 0; i < PATHS; i++) {
    const struct entry *n = &p->now[i];
    if (n->used && n->parent == folder) add_to(p->disk, folder, n->name, n->inode);
  }
}

static enum pmp_err power_sync_dir(void *self, const char *path, struct pmp_errmsg *msg) {
  struct fs_power *p = self;
  bool half;
  PMP_TRY(step(p, &half, msg));
  const struct entry *e = find(p, path);
  if (!e || !p->inode[e->inode].folder)
    return pmp_fail(msg, PMP_ENOTFOUND, "%s is not there", path);
  if (half) return gone(msg);
  if (!p->no_dir_sync) settle(p, e->inode);
  return PMP_OK;
}

static enum pmp_err power_make_dir(void *self, const char *path, struct pmp_errmsg *msg) {
  struct fs_power *p = self;
  bool half;
  PMP_TRY(step(p, &half, msg));
  char prefix[PATH_BYTES];
  const size_t n = strlen(path);
  for (size_t i = 1; i <= n; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    snprintf(prefix, sizeof prefix, "%.*s", (int)i, path);
    char name[PMP_FS_NAME_MAX];
    const int parent = parent_of(p, prefix, name);
    if (parent < 0) return pmp_fail(msg, PMP_ENOTFOUND, "%s: no such folder", prefix);
    if (!find_in(p->now, parent, name)) add_to(p->now, parent, name, new_inode(p, true));
  }
  return half ? gone(msg) : PMP_OK;
}

static enum pmp_err power_remove(void *self, const char *path, struct pmp_errmsg *msg) {
  struct fs_power *p = self;
  bool half;
  PMP_TRY(step(p, &half, msg));
  struct entry *e = find(p, path);
  if (!e) return pmp_fail(msg, PMP_ENOTFOUND, "%s is not there", path);
  if (p->inode[e->inode].folder && has_children(p->now, e->inode)) {
    return pmp_fail(msg, PMP_EIO, "%s is not empty", path);
  }
  e->used = false;
  return half ? gone(msg) : PMP_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp(a, b);
}

static enum pmp_err power_list(void *self, const char *path, char (**names)[PMP_FS_NAME_MAX],
                               size_t *count, struct pmp_errmsg *msg) {
  struct fs_power *p = self;
  if (p->cut) return gone(msg);
  const struct entry *e = find(p, path);
  if (!e || !p->inode[e->inode].folder)
    return pmp_fail(msg, PMP_ENOTFOUND, "%s is not there", path);
  char(*out)[PMP_FS_NAME_MAX] = calloc(PATHS, sizeof *out);
  if (!out) abort();
  size_t n = 0;
  for (int i = 0; i < PATHS; i++) {
    if (p->now[i].used && p->now[i].parent == e->inode)
      memcpy(out[n++], p->now[i].name, sizeof *out);
  }
  qsort(out, n, sizeof *out, by_name);
  *names = out;
  *count = n;
  return PMP_OK;
}

struct fs_power *fs_power_new(uint64_t seed) {
  struct fs_power *p = calloc(1, sizeof *p);
  if (!p) abort();
  pmp_rng_init(&p->rng, seed, 5);
  p->inode[0] = (struct inode){.used = true, .folder = true};
  p->fs = (struct pmp_fs){.self = p,
                          .write_sync = power_write_sync,
                          .read_all = power_read_all,
                          .rename = power_rename,
                          .sync_dir = power_sync_dir,
                          .make_dir = power_make_dir,
                          .remove = power_remove,
                          .list = power_list};
  return p;
}

void fs_power_free(struct fs_power *p) {
  for (int i = 0; p && i < INODES; i++) free(p->inode[i].data);
  free(p);
}

const struct pmp_fs *fs_power_fs(struct fs_power *p) {
  return &p->fs;
}
void fs_power_cut_after(struct fs_power *p, uint64_t calls) {
  p->cut_at = p->calls + calls;
}
bool fs_power_is_cut(const struct fs_power *p) {
  return p->cut;
}
uint64_t fs_power_calls(const struct fs_power *p) {
  return p->calls;
}

void fs_power_break(struct fs_power *p, bool no_file_sync, bool no_dir_sync) {
  p->no_file_sync = no_file_sync;
  p->no_dir_sync = no_dir_sync;
}

/* Unsynced bytes: there, cut short, with a hole of zeros, or gone. */
static void tear(struct fs_power *p, struct inode *f) {
  const uint64_t fate = pmp_rng_below(&p->rng, 4);
  if (fate == 1) f->size = 0;
  if (fate == 2 && f->size > 0) f->size = pmp_rng_below(&p->rng, f->size);
  if (fate == 3 && f->size > 0) {
    const size_t from = pmp_rng_below(&p->rng, f->size),
                 n = pmp_rng_below(&p->rng, f->size - from) + 1;
    memset(f->data + from, 0, n);
  }
  f->synced = true;
}

static bool same_name(const struct entry *a, const struct entry *b) {
  return a && b && a->inode == b->inode;
}

/* Each changed name survives or not by itself, but that a moved inode never ends under two names or
 * none. */
static void settle_by_chance(struct fs_power *p) {
  for (int i = 0; i < PATHS; i++) {
    const struct entry n = p->now[i];
    if (!n.used) continue;
    struct entry *d = find_in(p->disk, n.parent, n.name);
    if (same_name(&n, d) || pmp_rng_below(&p->rng, 2)) continue;
    for (int k = 0; k < PATHS; k++) { /* a rename: the old name goes with it */
      if (p->disk[k].used && p->disk[k].inode == n.inode) p->disk[k].used = false;
    }
    add_to(p->disk, n.parent, n.name, n.inode);
  }
  for (int i = 0; i < PATHS; i++) { /* removals */
    struct entry *d = &p->disk[i];
    if (!d->used || find_in(p->now, d->parent, d->name)) continue;
    bool moved = false;
    for (int k = 0; k < PATHS; k++) moved |= p->now[k].used && p->now[k].inode == d->inode;
    if (!moved && pmp_rng_below(&p->rng, 2)) d->used = false;
  }
}

void fs_power_sync_all(struct fs_power *p) {
  memcpy(p->disk, p->now, sizeof p->disk);
  for (int i = 1; i < INODES; i++) p->inode[i].synced = true;
}

void fs_power_restore(struct fs_power *p) {
  settle_by_chance(p);
  memcpy(p->now, p->disk, sizeof p->now);
  bool changed = true;
  while (changed) { /* what hangs below a folder that is gone is gone */
    changed = false;
    for (int i = 0; i < PATHS; i++) {
      if (!p->now[i].used || p->now[i].parent == 0) continue;
      bool there = false;
      for (int k = 0; k < PATHS; k++)
        there |= p->now[k].used && p->now[k].inode == p->now[i].parent;
      if (there) continue;
      p->now[i].used = false;
      changed = true;
    }
  }
  for (int i = 1; i < INODES; i++) {
    bool named = false;
    for (int k = 0; k < PATHS; k++) named |= p->now[k].used && p->now[k].inode == i;
    if (named) {
      if (!p->inode[i].folder && !p->inode[i].synced) tear(p, &p->inode[i]);
      continue;
    }
    free(p->inode[i].data);
    p->inode[i] = (struct inode){.used = false};
  }
  memcpy(p->disk, p->now, sizeof p->disk);
  p->cut = false;
  p->cut_at = 0;
}
