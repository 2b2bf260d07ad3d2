/* What the store's tests share: a folder, a store in it, and operations in one line. */
#ifndef PMP_TESTS_STORE_SUPPORT_H
#define PMP_TESTS_STORE_SUPPORT_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct bench { /* a folder with a store */
  char folder[128], path[160];
  struct pmp_store_config config;
  struct pmp_clock_fake time;
  struct pmp_store *store;
};

static inline void bench_open(struct bench *b) {
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = pmp_store_open(&b->store, &b->config, &msg);
  if (err != PMP_OK) fail_msg("open: %s: %s", pmp_err_name(err), msg.text);
}

static inline void bench_close(struct bench *b) {
  pmp_store_close(b->store);
  b->store = NULL;
}

static inline void bench_reopen(struct bench *b) {
  bench_close(b);
  bench_open(b);
}

/* A folder without a store yet. */
static inline void bench_make(struct bench *b) {
  const char *base = getenv("TMPDIR");
  memset(b, 0, sizeof *b);
  char folder[sizeof b->folder], path[sizeof b->path];
  snprintf(folder, sizeof folder, "%.80s/pmp-store-XXXXXX", base != NULL ? base : "/tmp");
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/store.db", folder);
  memcpy(b->folder, folder, sizeof folder);
  memcpy(b->path, path, sizeof path);
  b->config = (struct pmp_store_config){.path = b->path,
                                        .compress_min_bytes = 512,
                                        .compress_level = 1,
                                        .clock = pmp_clock_fake(&b->time)};
  b->time.wall_ns = 1000;
}

static inline void bench_remove(struct bench *b) {
  static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock"};
  char name[200];
  bench_close(b);
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    snprintf(name, sizeof name, "%s%s", b->path, suffixes[i]);
    unlink(name);
  }
  rmdir(b->folder);
}

static inline int bench_setup(void **state) {
  struct bench *b = malloc(sizeof *b);
  if (b == NULL) return -1;
  bench_make(b);
  bench_open(b);
  *state = b;
  return 0;
}

static inline int bench_teardown(void **state) {
  bench_remove(*state);
  free(*state);
  return 0;
}

static inline struct pmp_store_op op_hello(const char *name, int instance) {
  struct pmp_store_op op = {.kind = PMP_OP_HELLO};
  snprintf(op.u.hello.name, sizeof op.u.hello.name, "%s", name);
  memset(op.u.hello.instance, instance, sizeof op.u.hello.instance);
  return op;
}

/* rows rows without labels; the bytes are the text, which must outlive the operation. */
static inline struct pmp_store_op op_append(const char *name, uint32_t epoch, uint64_t seq,
                                            const char *text, uint32_t rows) {
  struct pmp_store_op op = {.kind = PMP_OP_APPEND};
  struct pmp_store_append *a = &op.u.append;
  snprintf(a->name, sizeof a->name, "%s", name);
  a->epoch = epoch;
  a->seq = seq;
  a->data = text;
  a->bytes = strlen(text);
  a->rows = rows;
  a->shape = 1;
  a->source = 1;
  a->chunk = a->commit = a->expected_seq = 999;
  return op;
}

static inline struct pmp_store_op op_verdict(const char *who, const char *request, uint64_t chunk,
                                             uint32_t row, uint32_t rows, int judgement,
                                             float confidence) {
  struct pmp_store_op op = {.kind = PMP_OP_VERDICT};
  struct pmp_store_verdict *v = &op.u.verdict;
  snprintf(v->principal, sizeof v->principal, "%s", who);
  snprintf(v->request_id, sizeof v->request_id, "%s", request);
  v->chunk = chunk;
  v->row = row;
  v->rows = rows;
  v->judgement = judgement;
  v->confidence = confidence;
  v->commit = 999;
  v->labels = 999;
  return op;
}

static inline void free_verdict(struct pmp_store_op *op) {
  free(op->u.verdict.label);
  free(op->u.verdict.data);
  free(op->u.verdict.judge);
  op->u.verdict.judge = NULL;
  op->u.verdict.label = NULL;
  op->u.verdict.data = NULL;
}

/* The operation must succeed. */
static inline void run_ok(struct bench *b, struct pmp_store_op *op) {
  enum pmp_err err = pmp_store_run(b->store, op);
  if (err != PMP_OK) fail_msg("%s: %s", pmp_err_name(err), op->msg.text);
}

/* It must fail like this, with these words in its message. */
static inline void run_fails(struct bench *b, struct pmp_store_op *op, enum pmp_err err,
                             const char *words) {
  enum pmp_err got = pmp_store_run(b->store, op);
  if (got != err)
    fail_msg("%s instead of %s: %s", pmp_err_name(got), pmp_err_name(err), op->msg.text);
  if (strstr(op->msg.text, words) == NULL) fail_msg("no \"%s\" in: %s", words, op->msg.text);
}

static inline uint32_t hello(struct bench *b, const char *name, int instance) {
  struct pmp_store_op op = op_hello(name, instance);
  run_ok(b, &op);
  free(op.u.hello.state);
  return op.u.hello.epoch;
}

/* Appends and gives the chunk's id. */
static inline uint64_t append(struct bench *b, const char *name, uint32_t epoch, uint64_t seq,
                              const char *text, uint32_t rows) {
  struct pmp_store_op op = op_append(name, epoch, seq, text, rows);
  run_ok(b, &op);
  return op.u.append.chunk;
}

static inline struct pmp_store_stats stats(struct bench *b) {
  struct pmp_store_stats s;
  memset(&s, 0x99, sizeof s);
  pmp_store_stats(b->store, &s);
  return s;
}

struct faults {
  char text[8192];
};

static inline void collect_fault(void *ctx, const char *fault) {
  struct faults *f = ctx;
  size_t used = strlen(f->text);
  snprintf(f->text + used, sizeof f->text - used, "%s\n", fault);
}

/* What the check finds, and how much. */
static inline uint64_t check_store(const char *path, const char *vfs, struct faults *f) {
  struct pmp_errmsg msg = {{0}};
  uint64_t count = 999;
  f->text[0] = '\0';
  enum pmp_err err = pmp_store_check(path, vfs, collect_fault, f, &count, &msg);
  if (err != PMP_OK) fail_msg("check: %s: %s", pmp_err_name(err), msg.text);
  return count;
}

static inline void assert_clean(const char *path, const char *vfs) {
  struct faults f;
  if (check_store(path, vfs, &f) != 0) fail_msg("faults:\n%s", f.text);
}

#endif
