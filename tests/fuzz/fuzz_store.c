/* A store's file with bytes changed. The input is what is done to a small good file: 4 bytes each,
 * 24 bits of position (modulo the file's size) and the byte to put there; an odd rest cuts the file
 * short by 512 bytes times its first byte. The check must come to an end, name what it finds, and
 * what it calls good must be readable. */
#include "store/store.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>

enum { CHUNK_BYTES = 3000, PATH_BYTES = 160, CUT_BYTES = 512 };

static struct {
  char folder[128], path[PATH_BYTES];
  unsigned char *good, *bad; /* [bytes]: never freed */
  size_t bytes;
} store;

static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock"};

static void forget_files(size_t from) {
  char name[PATH_BYTES + 16];
  for (size_t i = from; i < sizeof suffixes / sizeof *suffixes; i++) {
    snprintf(name, sizeof name, "%s%s", store.path, suffixes[i]);
    unlink(name);
  }
}

static void forget_folder(void) {
  forget_files(0);
  rmdir(store.folder);
}

static void run(struct pmp_store *s, struct pmp_store_op *op) {
  FUZZ_OK(pmp_store_run(s, op), &op->msg);
}

/* Chunks that compress, that do not and small ones; verdicts, a setting, metrics, an event. */
static void fill(struct pmp_store *s) {
  static unsigned char bytes[CHUNK_BYTES];
  struct pmp_store_op op = {.kind = PMP_OP_HELLO};
  snprintf(op.u.hello.name, sizeof op.u.hello.name, "actor");
  run(s, &op);
  free(op.u.hello.state);
  const uint32_t epoch = op.u.hello.epoch;
  uint32_t noise = 1;
  for (uint64_t seq = 1; seq <= 4; seq++) {
    for (size_t i = 0; i < sizeof bytes; i++) {
      noise = noise * 1664525u + 1013904223u;
      bytes[i] = seq % 2 == 1 ? (unsigned char)(noise >> 24) : (unsigned char)seq;
    }
    op = (struct pmp_store_op){.kind = PMP_OP_APPEND};
    struct pmp_store_append *a = &op.u.append;
    snprintf(a->name, sizeof a->name, "actor");
    a->epoch = epoch;
    a->seq = seq;
    a->data = bytes;
    a->bytes = seq == 4 ? 100 : sizeof bytes;
    a->rows = 10;
    a->shape = a->source = 1;
    run(s, &op);
  }
  op = (struct pmp_store_op){.kind = PMP_OP_VERDICT};
  struct pmp_store_verdict *v = &op.u.verdict;
  snprintf(v->principal, sizeof v->principal, "person");
  snprintf(v->request_id, sizeof v->request_id, "one");
  v->chunk = 1;
  v->row = 2;
  v->rows = 3;
  v->judgement = 1;
  v->confidence = 1;
  run(s, &op);
  free(v->label);
  free(v->judge);
  free(v->data);
  op = (struct pmp_store_op){.kind = PMP_OP_EVENT};
  op.u.event = (struct pmp_store_event){.who = "person", .kind = "started", .detail = "{}"};
  run(s, &op);
}

static void make(void) {
  const char *base = getenv("TMPDIR");
  struct pmp_errmsg msg = {{0}};
  struct pmp_store *s = NULL;
  struct pmp_clock_fake time = {.wall_ns = 1000};
  snprintf(store.folder, sizeof store.folder, "%.80s/pmp-fuzz-XXXXXX",
           base != NULL ? base : "/tmp");
  FUZZ_CHECK(mkdtemp(store.folder) != NULL, "%s", store.folder);
  snprintf(store.path, sizeof store.path, "%s/store.db", store.folder);
  const struct pmp_store_config config = {.path = store.path,
                                          .compress_min_bytes = 512,
                                          .compress_level = 1,
                                          .clock = pmp_clock_fake(&time)};
  FUZZ_OK(pmp_store_open(&s, &config, &msg), &msg);
  fill(s);
  pmp_store_close(s);
  FILE *file = fopen(store.path, "rb");
  FUZZ_CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0, "%s", store.path);
  store.bytes = (size_t)ftell(file);
  store.good = malloc(store.bytes);
  store.bad = malloc(store.bytes);
  rewind(file);
  FUZZ_CHECK(store.good != NULL && store.bad != NULL &&
                 fread(store.good, 1, store.bytes, file) == store.bytes,
             "%s", store.path);
  fclose(file);
  atexit(forget_folder);
}

static void write_file(size_t bytes) {
  const int fd = open(store.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FUZZ_CHECK(fd >= 0 && write(fd, store.bad, bytes) == (ssize_t)bytes && close(fd) == 0, "%s",
             store.path);
}

static void on_fault(void *ctx, const char *fault) {
  uint64_t *count = ctx;
  ++*count;
  FUZZ_CHECK(fault[0] != '\0', "a fault without words");
}

static enum pmp_err on_entry(void *ctx, const struct pmp_entry *e, struct pmp_errmsg *msg) {
  uint64_t *entries = ctx;
  (void)msg;
  ++*entries;
  if (e->kind != PMP_ENTRY_SETTING) fuzz_touch(e->data, e->bytes);
  if (e->kind == PMP_ENTRY_VERDICT) fuzz_touch(e->label, e->labels * sizeof *e->label);
  return PMP_OK;
}

static void read_all(bool good) {
  struct pmp_errmsg msg = {{0}};
  struct pmp_reader *reader = NULL;
  uint64_t entries = 0;
  enum pmp_err err = pmp_reader_open(&reader, store.path, NULL, &msg);
  if (err == PMP_OK) {
    err = pmp_reader_entries(reader, 1, UINT64_MAX, on_entry, &entries, &msg);
    pmp_reader_close(reader);
  }
  if (err != PMP_OK) FUZZ_REFUSED(err, &msg);
  FUZZ_CHECK(!good || err == PMP_OK, "checked as good, but %s: %s", pmp_err_name(err), msg.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct pmp_errmsg msg = {{0}};
  uint64_t faults = 999, seen = 0;
  if (store.bytes == 0) make();
  memcpy(store.bad, store.good, store.bytes);
  for (size_t i = 0; i + 4 <= size; i += 4) {
    const size_t at = (size_t)data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16;
    store.bad[at % store.bytes] = data[i + 3];
  }
  size_t bytes = store.bytes;
  if (size % 4 != 0) bytes -= CUT_BYTES * (size_t)data[size / 4 * 4] % bytes;
  forget_files(1);
  write_file(bytes);
  enum pmp_err err = pmp_store_check(store.path, NULL, on_fault, &seen, &faults, &msg);
  FUZZ_CHECK(faults == seen, "%llu faults, not all are named", (unsigned long long)faults);
  if (err != PMP_OK) FUZZ_REFUSED(err, &msg);
  if (memcmp(store.bad, store.good, store.bytes) == 0 && bytes == store.bytes)
    FUZZ_CHECK(err == PMP_OK && faults == 0, "the good file: %s", msg.text);
  read_all(err == PMP_OK && faults == 0);
  return 0;
}
