#include "store/store.h"

#include "base/fs.h"
#include "base/ring.h"
#include "store/lock.h"
#include "store/writer.h"

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The log is copied into the database when it has grown to this: large, so that far fewer than one
 * acknowledgement in a hundred waits for it; what it costs is the time to read it back after a
 * crash (a quarter of a second). */
#define LOG_BYTES_MAX ((size_t)64 << 20)
/* When nothing happens, a log from this size on is copied at once. */
#define LOG_BYTES_IDLE (1ULL << 20)
#define IDLE_MS 200
#define IDLE_WORK_MS                                                                               \
  2 /* between two portions of deleting or shrinking while nothing else is to do */

struct pmp_store {
  struct pmp_store_config config;
  char path[PATH_MAX];
  char vfs[64], synchronous[16];
  int lock;
  struct pmp_ring ring;
  pthread_t thread;
  struct pmp_writer writer;    /* the store's thread; open unless `closed_by_error` */
  bool closed_by_error;        /* the disk was full when the file had to be opened again */
  struct pmp_store_op **group; /* [group_ops_max], owned */
  struct pmp_store_op *next;   /* taken from the queue, too large for the last group */
  uint64_t log_copied;         /* bytes of log at the last copy */
  uint64_t log_retry;          /* bytes of log at which the next copy is tried */
  bool shrank;                 /* free pages were given back since the log was copied */
  bool log_full;               /* the last copy found the disk full */
  pthread_mutex_t guard;       /* of `shown` */
  struct pmp_store_stats shown;
  uint64_t *deleted; /* [config.deleted_max], owned; with `deleteds`, guarded like `shown` */
  uint32_t deleteds;
  struct pmp_store_stats now; /* the store's thread */
};

/* ---- what others see ----------------------------------------------------------------- */

static void show(struct pmp_store *s) {
  const struct pmp_totals *t = &s->writer.totals;
  struct pmp_store_stats *n = &s->now;
  n->blocker = t->blocker;
  n->rows = t->rows;
  n->chunks = t->chunks;
  n->bytes = t->bytes;
  n->rows_total = t->rows + t->rows_deleted;
  n->chunks_total = t->chunks + t->chunks_deleted;
  n->labelled_rows = t->labelled;
  uint64_t settled = t->labelled + t->covered;
  n->open_items_rows = settled < t->rows ? t->rows - settled : 0;
  n->last_commit = t->last_commit;
  n->reserved_version = t->reserved_version;
  n->deleted_rows = t->rows_deleted;
  pthread_mutex_lock(&s->guard);
  s->shown = *n;
  for (uint32_t i = 0; i < t->deleted && s->deleteds < s->config.deleted_max; i++)
    s->deleted[s->deleteds++] = s->writer.deleted[i];
  pthread_mutex_unlock(&s->guard);
  s->writer.totals.deleted = 0;
}

uint32_t pmp_store_deleted(struct pmp_store *s, uint64_t *out, uint32_t max) {
  pthread_mutex_lock(&s->guard);
  const uint32_t count = s->deleteds < max ? s->deleteds : max;
  if (count > 0) {
    memcpy(out, s->deleted, count * sizeof *out);
    s->deleteds -= count;
    memmove(s->deleted, s->deleted + count, s->deleteds * sizeof *out);
  }
  pthread_mutex_unlock(&s->guard);
  return count;
}

void pmp_store_stats(struct pmp_store *s, struct pmp_store_stats *out) {
  pthread_mutex_lock(&s->guard);
  *out = s->shown;
  pthread_mutex_unlock(&s->guard);
  pthread_mutex_lock(&s->ring.lock);
  out->queue = s->ring.count;
  out->queue_peak = s->ring.peak;
  out->refused += s->ring.refused;
  pthread_mutex_unlock(&s->ring.lock);
}

int64_t pmp_store_cpu_ns(struct pmp_store *s) {
  clockid_t clock;
  struct timespec t;
  if (pthread_getcpuclockid(s->thread, &clock) != 0 || clock_gettime(clock, &t) != 0) return 0;
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void set_health(struct pmp_store *s, enum pmp_store_health health, const char *reason) {
  if (s->now.health != health)
    pmp_log_write(s->config.log, health == PMP_STORE_HEALTHY ? PMP_LOG_INFO : PMP_LOG_ERROR,
                  "PMP-STORE-HEALTH", "from=%d to=%d reason=\"%s\"", (int)s->now.health,
                  (int)health, reason);
  s->now.health = health;
  snprintf(s->now.reason, sizeof s->now.reason, "%.*s", (int)sizeof s->now.reason - 1, reason);
}

/* ---- the thread ---------------------------------------------------------------------- */

/* After an I/O error nothing that the page cache shows is believed: the file is closed, the log
 * written and synced again, and copied into the database, before anything is acknowledged. */
static void reopen(struct pmp_store *s) {
  struct pmp_errmsg msg;
  struct pmp_totals kept = s->writer.totals;
  if (!s->closed_by_error) pmp_writer_close(&s->writer);
  enum pmp_err err = pmp_writer_open(&s->writer, &s->config, &msg);
  s->closed_by_error = err != PMP_OK;
  if (err == PMP_OK) {
    pmp_retain_floor(&s->writer.totals, kept.floor_window, kept.floor_checkpoint);
    s->log_retry = 0;
    set_health(s, PMP_STORE_HEALTHY, "");
    return;
  }
  s->writer.totals = kept;
  s->writer.totals.deleted = 0; /* their list went with the writer */
  set_health(s, err == PMP_ENOSPC ? PMP_STORE_FULL : PMP_STORE_FAILED, msg.text);
}

/* What a failure of SQLite means for the operations to come. */
static void take_failure(struct pmp_store *s, enum pmp_err err, const struct pmp_errmsg *msg) {
  switch (err) {
  case PMP_ENOSPC:
    set_health(s, PMP_STORE_FULL, msg->text);
    break;
  case PMP_EIO:
    s->now.sync_errors++;
    set_health(s, PMP_STORE_REOPENING, msg->text);
    break;
  case PMP_ECORRUPT:
    set_health(s, PMP_STORE_FAILED, msg->text);
    break;
  default:
    pmp_log_write(s->config.log, PMP_LOG_ERROR, "PMP-STORE-GROUP", "error=\"%s\" reason=\"%s\"",
                  pmp_err_name(err), msg->text);
  }
}

static void fail_all(struct pmp_store_op *const *ops, size_t count, enum pmp_err err,
                     const struct pmp_errmsg *msg) {
  for (size_t i = 0; i < count; i++) {
    ops[i]->err = err;
    ops[i]->msg = *msg;
  }
}

static bool is_the_disks(enum pmp_err err) {
  return err == PMP_ENOSPC || err == PMP_EIO || err == PMP_ECORRUPT;
}

/* The group's sync failed, so nobody knows whether it is on disk. Opening again settles that,
 * before anybody is told: either all of it is there and synced now, or nothing. Else a resent chunk
 * would be found stored that was never handed on. */
static enum pmp_err settle_doubt(struct pmp_store *s, struct pmp_store_op *const *ops, size_t count,
                                 struct pmp_errmsg *msg) {
  const uint64_t doubt = s->writer.doubt;
  s->writer.doubt = 0;
  take_failure(s, PMP_EIO, msg);
  reopen(s);
  if (!s->closed_by_error && s->writer.totals.last_commit >= doubt) {
    pmp_log_write(s->config.log, PMP_LOG_WARN, "PMP-STORE-DOUBT", "commit=%" PRIu64 " found=true",
                  doubt);
    s->now.commits++;
    return PMP_OK;
  }
  pmp_writer_forget(ops, count);
  fail_all(ops, count, PMP_EIO, msg);
  return PMP_EIO;
}

static enum pmp_err commit_once(struct pmp_store *s, struct pmp_store_op *const *ops,
                                size_t count) {
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmp_writer_group(&s->writer, ops, count, &msg);
  if (err == PMP_OK) {
    s->now.commits++;
    return PMP_OK;
  }
  if (s->writer.doubt != 0) return settle_doubt(s, ops, count, &msg);
  fail_all(ops, count, err, &msg);
  take_failure(s, err, &msg);
  return err;
}

/* All in one transaction; when an operation makes it fail by itself, each in its own. */
static enum pmp_err commit_group(struct pmp_store *s, struct pmp_store_op *const *ops,
                                 size_t count) {
  struct pmp_errmsg msg;
  if (s->closed_by_error && s->now.health == PMP_STORE_FULL) reopen(s);
  if (s->closed_by_error || s->now.health == PMP_STORE_FAILED) {
    snprintf(msg.text, sizeof msg.text, "the store does not work: %s", s->now.reason);
    fail_all(ops, count, s->now.health == PMP_STORE_FULL ? PMP_ENOSPC : PMP_EIO, &msg);
    return PMP_EIO;
  }
  enum pmp_err err = commit_once(s, ops, count);
  if (err != PMP_OK && !is_the_disks(err) && count > 1) {
    for (size_t i = 0; i < count; i++) {
      err = commit_once(s, ops + i, 1);
      if (is_the_disks(err)) {
        fail_all(ops + i, count - i, err, &ops[i]->msg);
        break;
      }
    }
  }
  if (err != PMP_OK || s->now.health != PMP_STORE_FULL || s->log_full) return err;
  if (pmp_retain_admit(&s->writer, &msg) == PMP_OK) set_health(s, PMP_STORE_HEALTHY, "");
  return PMP_OK;
}

/* Appends refused by retention are a state of the store, not only of the operation. */
static void note_capacity(struct pmp_store *s) {
  struct pmp_errmsg msg;
  bool blocked = !s->closed_by_error && s->writer.db != NULL &&
                 pmp_retain_admit(&s->writer, &msg) == PMP_ENOSPC;
  if (blocked && s->now.health == PMP_STORE_HEALTHY) set_health(s, PMP_STORE_FULL, msg.text);
}

/* Returns PMP_ENOSPC when the disk was full. */
static enum pmp_err run_group(struct pmp_store *s, size_t count) {
  int64_t begin = pmp_clock_mono(&s->config.clock);
  enum pmp_err err = commit_group(s, s->group, count);
  note_capacity(s);
  s->now.ops += count;
  for (size_t i = 0; i < count; i++) s->now.refused += s->group[i]->err != PMP_OK;
  s->now.busy_ns += (uint64_t)(pmp_clock_mono(&s->config.clock) - begin);
  show(s);
  for (size_t i = 0; i < count; i++) s->group[i]->done(s->group[i]);
  if (s->now.health == PMP_STORE_REOPENING) {
    reopen(s);
    show(s);
  }
  return err;
}

/* Copies the log when it is large enough (`least` bytes). Acknowledgements were given before; those
 * to come wait. */
static void copy_log(struct pmp_store *s, uint64_t least) {
  struct pmp_errmsg msg = {{0}};
  uint64_t bytes = 0;
  int64_t page_bytes = 0;
  if (s->closed_by_error || s->now.health == PMP_STORE_FAILED || s->writer.log_pages == 0) return;
  if (pmp_db_number(s->writer.db, "PRAGMA page_size", 0, &page_bytes, &msg) == PMP_OK)
    bytes = s->writer.log_pages * (uint64_t)page_bytes;
  /* Readers or a full disk may keep a copy from finishing: the next try when the log has grown by a
   * quarter of its limit, or has begun anew. */
  if (bytes <= s->log_copied) s->log_retry = 0;
  if (bytes < least || bytes < s->log_retry) return;
  int64_t begin = pmp_clock_mono(&s->config.clock);
  s->writer.rc = SQLITE_OK;
  enum pmp_err err = pmp_writer_checkpoint(&s->writer, false, &msg);
  s->log_full = err == PMP_ENOSPC;
  s->log_copied = bytes;
  s->log_retry = bytes + s->config.log_bytes_max / 4;
  if (err != PMP_OK) take_failure(s, err, &msg);
  if (s->now.health == PMP_STORE_REOPENING) reopen(s);
  s->now.busy_ns += (uint64_t)(pmp_clock_mono(&s->config.clock) - begin);
  show(s);
}

/* The disk was full: is there space again, also when nobody writes? */
static void try_space(struct pmp_store *s) {
  struct pmp_errmsg msg = {{0}};
  if (s->closed_by_error) {
    reopen(s);
    return;
  }
  s->log_retry = 0;
  copy_log(s, 1);
  if (s->now.health != PMP_STORE_FULL || s->log_full ||
      pmp_retain_admit(&s->writer, &msg) != PMP_OK)
    return;
  s->writer.rc = SQLITE_OK;
  enum pmp_err err = pmp_writer_probe(&s->writer, &msg);
  if (err == PMP_OK)
    set_health(s, PMP_STORE_HEALTHY, "");
  else
    take_failure(s, err, &msg);
}

/* A portion of what can wait: deleting, giving pages back, copying the log. *more: there is more of
 * it. */
static void idle(struct pmp_store *s, bool *more) {
  struct pmp_errmsg msg = {{0}};
  bool shrinks = false;
  *more = false;
  if (s->now.health == PMP_STORE_FULL) try_space(s);
  if (s->closed_by_error || s->now.health != PMP_STORE_HEALTHY) goto out;
  if (pmp_retain_wanted(&s->writer) && s->writer.totals.blocker == PMP_STORE_BLOCKER_NONE) {
    *more = commit_once(s, NULL, 0) == PMP_OK;
  } else {
    s->writer.rc = SQLITE_OK;
    enum pmp_err err = pmp_retain_shrink(&s->writer, more, &msg);
    shrinks = *more;
    if (err != PMP_OK) take_failure(s, err, &msg);
  }
  s->shrank |= shrinks;
  if (!*more) {
    /* The file gets shorter when the log is copied, however little that is. */
    copy_log(s, s->shrank ? 1 : LOG_BYTES_IDLE);
    s->shrank = false;
  }
out:
  if (s->now.health == PMP_STORE_REOPENING) reopen(s);
  show(s);
}

static size_t payload(const struct pmp_store_op *op) {
  return op->kind == PMP_OP_APPEND ? op->u.append.bytes + op->u.append.state_bytes : 0;
}

/* Everything that waits, up to the limits; at least one. PMP_ETIMEOUT, PMP_ECLOSED. */
static enum pmp_err gather(struct pmp_store *s, int timeout_ms, size_t *count) {
  size_t bytes = 0;
  void *item = s->next;
  *count = 0;
  s->next = NULL;
  if (item == NULL) PMP_TRY(pmp_ring_pop(&s->ring, &item, timeout_ms));
  do {
    bytes += payload(item);
    s->group[(*count)++] = item;
    if (*count == s->config.group_ops_max || !pmp_ring_try_pop(&s->ring, &item)) return PMP_OK;
  } while (bytes + payload(item) <= s->config.group_bytes_max);
  s->next = item;
  return PMP_OK;
}

static void *store_main(void *arg) {
  struct pmp_store *s = arg;
  bool more = false;
  size_t count;
  for (;;) {
    enum pmp_err err = gather(s, more ? IDLE_WORK_MS : IDLE_MS, &count);
    if (err == PMP_ECLOSED) break;
    if (err == PMP_OK) {
      /* On a full disk a copied log can begin anew where it is, if the database has free pages. */
      bool full = run_group(s, count) == PMP_ENOSPC && !s->log_full;
      if (full) s->log_retry = 0;
      copy_log(s, full ? 1 : s->config.log_bytes_max);
    } else {
      idle(s, &more);
    }
  }
  return NULL;
}

/* ---- opening and closing ------------------------------------------------------------- */

/* The store outlives its caller's strings. */
static enum pmp_err keep_config(struct pmp_store *s, const struct pmp_store_config *config,
                                struct pmp_errmsg *msg) {
  s->config = *config;
  const char *vfs = config->vfs != NULL ? config->vfs : "";
  const char *synchronous = config->synchronous != NULL ? config->synchronous : "FULL";
  if (strlen(config->path) >= sizeof s->path || strlen(vfs) >= sizeof s->vfs ||
      strlen(synchronous) >= sizeof s->synchronous)
    return pmp_fail(msg, PMP_EINVALID, "a name in the store's configuration is too long");
  snprintf(s->path, sizeof s->path, "%s", config->path);
  snprintf(s->vfs, sizeof s->vfs, "%s", vfs);
  snprintf(s->synchronous, sizeof s->synchronous, "%s", synchronous);
  s->config.path = s->path;
  s->config.vfs = config->vfs != NULL ? s->vfs : NULL;
  s->config.synchronous = s->synchronous;
  if (s->config.queue_capacity == 0) s->config.queue_capacity = 1024;
  if (s->config.group_bytes_max == 0) s->config.group_bytes_max = (size_t)8 << 20;
  if (s->config.log_bytes_max == 0) s->config.log_bytes_max = LOG_BYTES_MAX;
  if (s->config.group_ops_max == 0) s->config.group_ops_max = 256;
  return PMP_OK;
}

/* The names of a new file, its log and its lock are entries of a folder, which has its own sync. */
static enum pmp_err sync_folder(const char *path, struct pmp_errmsg *msg) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  if (slash == NULL)
    snprintf(folder, sizeof folder, ".");
  else
    snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
  const struct pmp_fs *fs = pmp_fs_real();
  return fs->sync_dir(fs->self, folder, msg);
}

static void unmake(struct pmp_store *s) {
  pmp_ring_fini(&s->ring);
  pthread_mutex_destroy(&s->guard);
  pmp_lock_release(s->lock);
  free(s->group);
  free(s->deleted);
  free(s);
}

enum pmp_err pmp_store_open(struct pmp_store **out, const struct pmp_store_config *config,
                            struct pmp_errmsg *msg) {
  *out = NULL;
  struct pmp_store *s = calloc(1, sizeof *s);
  if (s == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for the store");
  s->lock = -1;
  pthread_mutex_init(&s->guard, NULL);
  enum pmp_err err = keep_config(s, config, msg);
  if (err == PMP_OK) {
    s->group = calloc(s->config.group_ops_max, sizeof(struct pmp_store_op *));
    if (s->config.deleted_max > 0) s->deleted = calloc(s->config.deleted_max, sizeof *s->deleted);
    if (s->group == NULL || (s->config.deleted_max > 0 && s->deleted == NULL) ||
        pmp_ring_init(&s->ring, s->config.queue_capacity) != PMP_OK)
      err = pmp_fail(msg, PMP_ENOMEM, "no memory for the store's queue");
  }
  if (err == PMP_OK) err = pmp_lock_take(s->path, &s->lock, msg);
  if (err == PMP_OK) err = pmp_writer_open(&s->writer, &s->config, msg);
  if (err == PMP_OK) {
    err = sync_folder(s->path, msg);
    show(s);
    if (err == PMP_OK && pthread_create(&s->thread, NULL, store_main, s) != 0)
      err = pmp_fail(msg, PMP_EINTERNAL, "cannot start the store's thread");
    if (err != PMP_OK) pmp_writer_close(&s->writer);
  }
  if (err != PMP_OK) {
    unmake(s);
    return err;
  }
  pmp_log_write(s->config.log, PMP_LOG_INFO, "PMP-STORE-OPEN",
                "path=\"%s\" rows=%" PRIu64 " chunks=%" PRIu64 " last_commit=%" PRIu64
                " log_bytes_rewritten=%" PRIu64,
                s->path, s->shown.rows, s->shown.chunks, s->shown.last_commit, s->writer.rewritten);
  *out = s;
  return PMP_OK;
}

enum pmp_err pmp_store_submit(struct pmp_store *s, struct pmp_store_op *op) {
  return pmp_ring_push(&s->ring, op);
}

struct waiter {
  pthread_mutex_t lock;
  pthread_cond_t finished;
  bool done;
};

static void wake(struct pmp_store_op *op) {
  struct waiter *w = op->ctx;
  pthread_mutex_lock(&w->lock);
  w->done = true;
  pthread_cond_signal(&w->finished);
  pthread_mutex_unlock(&w->lock);
}

enum pmp_err pmp_store_run(struct pmp_store *s, struct pmp_store_op *op) {
  struct waiter w = {.done = false};
  pthread_mutex_init(&w.lock, NULL);
  pthread_cond_init(&w.finished, NULL);
  op->done = wake;
  op->ctx = &w;
  enum pmp_err err = pmp_store_submit(s, op);
  if (err == PMP_OK) {
    pthread_mutex_lock(&w.lock);
    while (!w.done) pthread_cond_wait(&w.finished, &w.lock);
    pthread_mutex_unlock(&w.lock);
    err = op->err;
  } else {
    op->err =
        pmp_fail(&op->msg, err, "the store's queue is %s", err == PMP_EBUSY ? "full" : "closed");
  }
  pthread_cond_destroy(&w.finished);
  pthread_mutex_destroy(&w.lock);
  return err;
}

enum pmp_err pmp_store_meta_default(struct pmp_store *s, const char *key, char *value, size_t size,
                                    struct pmp_errmsg *msg) {
  struct pmp_store_meta_op m = {.key = key, .value = value, .size = size};
  m.op.kind = (enum pmp_store_kind)PMP_OP_META;
  enum pmp_err err = pmp_store_run(s, &m.op);
  if (err != PMP_OK && msg != NULL) *msg = m.op.msg;
  return err;
}

void pmp_store_close(struct pmp_store *s) {
  if (s == NULL) return;
  struct pmp_errmsg msg = {{0}};
  pmp_ring_close(&s->ring);
  pthread_join(s->thread, NULL);
  if (!s->closed_by_error) {
    /* Only to open faster next time: what was acknowledged is on disk. */
    if (s->now.health != PMP_STORE_FAILED &&
        pmp_writer_checkpoint(&s->writer, true, &msg) != PMP_OK)
      pmp_log_write(s->config.log, PMP_LOG_WARN, "PMP-STORE-CLOSE", "reason=\"%s\"", msg.text);
    pmp_writer_close(&s->writer);
  }
  unmake(s);
}
