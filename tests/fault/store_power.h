/* Power cuts under a working store, shared by the quick and the long tests.
 *
 * Three actors append, one person judges, an operator sets; at a random moment (while opening,
 * working, copying the log or closing) the power goes: unsynced writes are lost in random pieces.
 * After it the store must open, check clean, and hold everything that was acknowledged exactly once
 * and nothing that was never sent; what was not acknowledged is sent again. With `synchronous` OFF
 * or NORMAL the same eyes must see losses. */
#ifndef PMP_TESTS_FAULT_STORE_POWER_H
#define PMP_TESTS_FAULT_STORE_POWER_H

#include "base/rng.h"
#include "tests/store/support.h"
#include "tests/support/vfs_power.h"

#include <pthread.h>

#define ACTORS 3
#define SEQ_MAX 4096
#define VERDICTS_MAX 512 /* on one file */
#define FRESH_EVERY 8    /* cuts on one file */

struct actor {
  char name[16];
  uint64_t acked, sent; /* seq */
  uint64_t chunk[SEQ_MAX];
};

struct power {
  struct bench bench;
  struct vfs_power *vfs;
  struct pmp_rng rng;
  struct actor actor[ACTORS];
  struct {
    uint64_t acked, sent; /* how many */
    uint64_t number;      /* of the last one sent: never used twice */
  } setting, verdict;
  uint64_t setting_acked; /* number */
  char loss[1200];        /* the first loss that was seen; "" : none */
  bool faults;            /* also let single writes and syncs fail */
  uint64_t faults_hit;
  uint64_t acked, cuts, cuts_while_opening, resent;
};

#define LOST(p, ...)                                                                               \
  do {                                                                                             \
    if ((p)->loss[0] == '\0') snprintf((p)->loss, sizeof(p)->loss, __VA_ARGS__);                   \
  } while (0)

/* The chunk that an actor sends as its nth: anyone can tell what it must hold. */
static size_t make_chunk(const struct actor *a, uint64_t seq, char *out, size_t room) {
  struct pmp_rng r;
  pmp_rng_init(&r, seq, (uint64_t)(unsigned char)a->name[1]);
  size_t bytes = 40 + (size_t)pmp_rng_below(&r, pmp_rng_below(&r, 8) == 0 ? 30000 : 1500);
  assert_true(bytes <= room);
  int n = snprintf(out, room, "%s %d ", a->name, (int)seq);
  bool even = pmp_rng_below(&r, 2) == 0; /* some compress, some do not */
  for (size_t i = (size_t)n; i < bytes; i++)
    out[i] = even ? (char)('a' + i % 5) : (char)pmp_rng_below(&r, 256);
  return bytes;
}

/* ---- at work -------------------------------------------------------------------------------- */

struct job {
  struct power *p;
  struct actor *a;
};

/* A client's way: what failed is sent again, until the power goes or nothing helps. */
static enum pmp_err insist(struct power *p, struct pmp_store_op *op) {
  enum pmp_err err = PMP_EIO;
  for (int i = 0; i < 20 && err != PMP_OK && !vfs_power_is_off(p->vfs); i++) {
    err = pmp_store_run(p->bench.store, op);
    if (err != PMP_EIO && err != PMP_ENOSPC) break;
    usleep(200);
  }
  return err;
}

/* Sends one after the other until the power goes. */
static void *act(void *arg) {
  struct job *j = arg;
  struct actor *a = j->a;
  char *data = malloc(32000), state[32];
  struct pmp_store_op op = op_hello(a->name, 1);
  if (insist(j->p, &op) != PMP_OK) goto out;
  free(op.u.hello.state);
  uint32_t epoch = op.u.hello.epoch;
  for (uint64_t seq = a->acked + 1; seq < SEQ_MAX; seq++) {
    op = op_append(a->name, epoch, seq, "", 4);
    op.u.append.bytes = make_chunk(a, seq, data, 32000);
    op.u.append.data = data;
    op.u.append.state = state;
    op.u.append.state_bytes = (size_t)snprintf(state, sizeof state, "state %d", (int)seq);
    if (seq > a->sent) a->sent = seq;
    if (insist(j->p, &op) != PMP_OK) break;
    a->chunk[seq] = op.u.append.chunk;
    a->acked = seq;
  }
out:
  free(data);
  return NULL;
}

static bool set_next(struct power *p) {
  char value[32];
  struct pmp_store_op op = {.kind = PMP_OP_SETTING};
  snprintf(op.u.setting.key, sizeof op.u.setting.key, "lr");
  snprintf(value, sizeof value, "%d", (int)++p->setting.number);
  op.u.setting.value = value;
  op.u.setting.who = "operator";
  p->setting.sent++;
  if (pmp_store_run(p->bench.store, &op) != PMP_OK) return false;
  p->setting.acked++;
  p->setting_acked = p->setting.number;
  return true;
}

/* Judges a chunk that is known to be there. */
static bool judge_next(struct power *p, uint64_t chunk) {
  char request[32];
  if (p->verdict.number == VERDICTS_MAX) return true;
  uint64_t n = ++p->verdict.number;
  snprintf(request, sizeof request, "r%d", (int)n);
  struct pmp_store_op op =
      op_verdict("person", request, chunk, (uint32_t)(n % 4), 1, 1 + (int)(n / 4 % 3), 1.0F);
  p->verdict.sent++;
  if (pmp_store_run(p->bench.store, &op) != PMP_OK) return false;
  free_verdict(&op);
  p->verdict.acked++;
  return true;
}

/* One fault, soon. */
static void plan_fault(struct power *p) {
  static const char *const files[] = {"-wal", "-wal", ".db", ""};
  static const enum vfs_power_fault kinds[] = {VFS_POWER_SYNC_EIO, VFS_POWER_SYNC_EIO,
                                               VFS_POWER_WRITE_EIO, VFS_POWER_WRITE_FULL};
  enum vfs_power_fault kind = kinds[pmp_rng_below(&p->rng, 4)];
  uint64_t within = kind == VFS_POWER_SYNC_EIO ? 20 : 300;
  vfs_power_fail(p->vfs, kind, files[pmp_rng_below(&p->rng, 4)], 1 + pmp_rng_below(&p->rng, within),
                 1);
}

/* Until the power goes, or `ops` are done. */
static void work(struct power *p, int ops) {
  pthread_t thread[ACTORS];
  struct job job[ACTORS];
  uint64_t first = p->actor[0].acked > 0 ? p->actor[0].chunk[1] : 0;
  for (int i = 0; i < ACTORS; i++) {
    job[i] = (struct job){p, &p->actor[i]};
    assert_int_equal(pthread_create(&thread[i], NULL, act, &job[i]), 0);
  }
  for (int i = 0; i < ops && !vfs_power_is_off(p->vfs); i++) {
    bool fine = set_next(p) && (first == 0 || i % 2 != 0 || judge_next(p, first));
    if (!fine && !p->faults) break;
  }
  if (!vfs_power_is_off(p->vfs) && ops >= 0 && pmp_rng_below(&p->rng, 2) == 0)
    vfs_power_cut(p->vfs);
  for (int i = 0; i < ACTORS; i++) pthread_join(thread[i], NULL);
}

/* ---- what is there afterwards --------------------------------------------------------------- */

struct found {
  struct power *p;
  uint64_t last[ACTORS]; /* seq */
  uint64_t commit, settings, verdicts;
  uint64_t last_setting; /* number */
  char *data;
};

static void found_chunk(struct found *f, const struct pmp_entry *e) {
  struct power *p = f->p;
  int i = e->actor[1] - '0';
  if (i < 0 || i >= ACTORS) {
    LOST(p, "a chunk of nobody: %s", e->actor);
    return;
  }
  struct actor *a = &p->actor[i];
  size_t bytes = make_chunk(a, e->seq, f->data, 32000);
  if (e->seq != f->last[i] + 1)
    LOST(p, "%s: seq %d after %d", a->name, (int)e->seq, (int)f->last[i]);
  if (e->seq > a->sent) LOST(p, "%s: seq %d was never sent", a->name, (int)e->seq);
  if (e->bytes != bytes || memcmp(e->data, f->data, bytes) != 0)
    LOST(p, "%s: seq %d has other content", a->name, (int)e->seq);
  if (e->seq <= a->acked && e->chunk != a->chunk[e->seq])
    LOST(p, "%s: seq %d is chunk %d, was %d", a->name, (int)e->seq, (int)e->chunk,
         (int)a->chunk[e->seq]);
  if (e->seq < SEQ_MAX) a->chunk[e->seq] = e->chunk;
  f->last[i] = e->seq;
}

static enum pmp_err found_entry(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  struct found *f = ctx;
  struct power *p = f->p;
  (void)msg;
  if (e->commit != f->commit + 1) LOST(p, "commit %d after %d", (int)e->commit, (int)f->commit);
  f->commit = e->commit;
  if (e->kind == PMP_ENTRY_CHUNK) {
    found_chunk(f, e);
  } else if (e->kind == PMP_ENTRY_SETTING) {
    uint64_t number = (uint64_t)atoll(e->value);
    if (number <= f->last_setting || number > p->setting.number)
      LOST(p, "setting %s after %d", e->value, (int)f->last_setting);
    f->last_setting = number;
    f->settings++;
  } else {
    f->verdicts++;
  }
  return PMP_OK;
}

/* Settings and verdicts that were never acknowledged may be there or not. */
static void compare_rest(struct power *p, const struct found *f) {
  if (f->last_setting < p->setting_acked)
    LOST(p, "setting %d was acknowledged, the last is %d", (int)p->setting_acked,
         (int)f->last_setting);
  if (f->settings < p->setting.acked || f->settings > p->setting.sent)
    LOST(p, "%d settings, %d were acknowledged, %d sent", (int)f->settings, (int)p->setting.acked,
         (int)p->setting.sent);
  if (f->verdicts < p->verdict.acked || f->verdicts > p->verdict.sent)
    LOST(p, "%d verdicts, %d were acknowledged, %d sent", (int)f->verdicts, (int)p->verdict.acked,
         (int)p->verdict.sent);
  p->setting.sent = p->setting.acked = f->settings;
  p->setting_acked = f->last_setting;
  p->verdict.sent = p->verdict.acked = f->verdicts;
}

static void compare_actors(struct power *p, const struct found *f) {
  char state[32];
  for (int i = 0; i < ACTORS; i++) {
    struct actor *a = &p->actor[i];
    if (f->last[i] < a->acked)
      LOST(p, "%s: seq %d was acknowledged, the last is %d", a->name, (int)a->acked,
           (int)f->last[i]);
    struct pmp_store_op op = op_hello(a->name, 1);
    if (pmp_store_run(p->bench.store, &op) != PMP_OK || op.u.hello.epoch != 1 ||
        op.u.hello.last_seq != f->last[i]) {
      LOST(p, "%s: hello says %s, epoch %d, seq %d of %d", a->name, op.msg.text,
           (int)op.u.hello.epoch, (int)op.u.hello.last_seq, (int)f->last[i]);
    } else if (f->last[i] > 0) {
      size_t n = (size_t)snprintf(state, sizeof state, "state %d", (int)f->last[i]);
      if (op.u.hello.state_bytes != n || memcmp(op.u.hello.state, state, n) != 0)
        LOST(p, "%s: its state is not that of seq %d", a->name, (int)f->last[i]);
    }
    free(op.u.hello.state);
    p->resent += f->last[i] > a->acked;
    a->acked = f->last[i]; /* the rest is sent again */
  }
}

/* Opens what the cut left and compares it with what was promised. Leaves the store open when
 * nothing was lost. */
static void compare(struct power *p) {
  struct pmp_errmsg msg = {{0}};
  struct faults faults = {{0}};
  struct found f = {.p = p, .data = malloc(32000)};
  struct pmp_reader *r = NULL;
  uint64_t count = 0;
  if (pmp_store_open(&p->bench.store, &p->bench.config, &msg) != PMP_OK) {
    LOST(p, "the store does not open: %s", msg.text);
    goto out;
  }
  if (pmp_store_check(p->bench.path, p->bench.config.vfs, collect_fault, &faults, &count, &msg) !=
      PMP_OK)
    LOST(p, "the store cannot be checked: %s", msg.text);
  if (count > 0) LOST(p, "the store has faults: %.400s", faults.text);
  if (pmp_reader_open(&r, p->bench.path, p->bench.config.vfs, &msg) != PMP_OK ||
      pmp_reader_entries(r, 0, UINT64_MAX, found_entry, &f, &msg) != PMP_OK)
    LOST(p, "the store cannot be read: %s", msg.text);
  pmp_reader_close(r);
  compare_rest(p, &f);
  compare_actors(p, &f);
out:
  free(f.data);
}

/* ---- one cut after the other ---------------------------------------------------------------- */

static void start_fresh(struct power *p) {
  if (p->bench.folder[0] != '\0') bench_remove(&p->bench);
  vfs_power_forget(p->vfs);
  const char *vfs = p->bench.config.vfs, *synchronous = p->bench.config.synchronous;
  bench_make(&p->bench);
  p->bench.config.vfs = vfs;
  p->bench.config.synchronous = synchronous;
  p->bench.config.log_bytes_max = 150000; /* so that the log is copied again and again */
  memset(p->actor, 0, sizeof p->actor);
  for (int i = 0; i < ACTORS; i++) snprintf(p->actor[i].name, sizeof p->actor[i].name, "a%d", i);
  memset(&p->setting, 0, sizeof p->setting);
  memset(&p->verdict, 0, sizeof p->verdict);
  p->setting_acked = 0;
}

static uint64_t acknowledged(const struct power *p) {
  uint64_t sum = 0;
  for (int i = 0; i < ACTORS; i++) sum += p->actor[i].acked;
  return sum;
}

/* One life of the store: opens, works, loses its power somewhere. */
static inline void live(struct power *p) {
  struct pmp_errmsg msg = {{0}};
  uint64_t before = acknowledged(p);
  bool early = pmp_rng_below(&p->rng, 5) == 0;
  bool closing = pmp_rng_below(&p->rng, 5) == 0;
  if (early) { /* an open takes a few dozen writes: migration, copying the log */
    bench_close(&p->bench);
    vfs_power_cut_at(p->vfs, 1 + pmp_rng_below(&p->rng, 60));
  }
  if (p->bench.store == NULL && pmp_store_open(&p->bench.store, &p->bench.config, &msg) != PMP_OK) {
    if (!vfs_power_is_off(p->vfs)) fail_msg("it does not open: %s", msg.text);
    p->cuts_while_opening++;
    return;
  }
  if (!early && !closing) vfs_power_cut_at(p->vfs, 1 + pmp_rng_below(&p->rng, 1200));
  if (p->faults) plan_fault(p);
  if (closing) {
    set_next(p);
    if (p->actor[0].acked > 0) judge_next(p, p->actor[0].chunk[1]);
    vfs_power_cut_at(p->vfs, 1 + pmp_rng_below(&p->rng, 30));
  } else {
    work(p, (int)pmp_rng_below(&p->rng, 60));
  }
  bench_close(&p->bench);
  vfs_power_cut(p->vfs); /* at the latest now */
  p->acked += acknowledged(p) - before;
}

/* `cuts` cuts with that setting of synchronous, with or without faults, or until a loss is seen. */
static inline void run_cuts(struct power *p, const char *synchronous, bool faults, uint64_t cuts,
                            uint64_t seed) {
  memset(p, 0, sizeof *p);
  p->faults = faults;
  pmp_rng_init(&p->rng, seed, 5);
  p->vfs = vfs_power_open("power", seed);
  assert_non_null(p->vfs);
  p->bench.config.vfs = "power";
  p->bench.config.synchronous = synchronous;
  for (; p->cuts < cuts && p->loss[0] == '\0'; p->cuts++) {
    if (p->cuts % FRESH_EVERY == 0) start_fresh(p);
    live(p);
    vfs_power_restore(p->vfs);
    compare(p);
  }
  bench_remove(&p->bench);
  p->faults_hit = vfs_power_faults(p->vfs);
  printf("synchronous=%s: %d faults, %d cuts (%d while opening), %d chunks acknowledged, %d found "
         "unacknowledged, %llu"
         " bytes lost, %llu survived unsynced: %s\n",
         synchronous, (int)p->faults_hit, (int)p->cuts, (int)p->cuts_while_opening, (int)p->acked,
         (int)p->resent, (unsigned long long)vfs_power_lost(p->vfs),
         (unsigned long long)vfs_power_survived(p->vfs),
         p->loss[0] != '\0' ? p->loss : "nothing lost");
  if (strcmp(synchronous, "FULL") == 0 && p->loss[0] == '\0') {
    assert_true(vfs_power_lost(p->vfs) > 0); /* a cut that throws nothing away tests nothing */
    assert_true(vfs_power_survived(p->vfs) > 0);
    assert_true(p->acked > 0);
  }
  vfs_power_close(p->vfs);
}

static inline uint64_t cuts_wanted(uint64_t otherwise) {
  const char *text = getenv("PMP_CUTS");
  return text != NULL && atoi(text) > 0 ? (uint64_t)atoi(text) : otherwise;
}

static inline uint64_t seed_wanted(void) {
  const char *text = getenv("PMP_SEED");
  return text != NULL ? (uint64_t)atoll(text) : 1;
}

#endif
