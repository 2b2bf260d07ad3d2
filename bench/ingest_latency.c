/* How long one append takes until it is acknowledged, after the commit, against a bare fdatasync of
 * the same bytes: one actor, one chunk at a time, in turns. */
#include "bench/support/daemon.h"

enum { CHUNK = 256, OBS = 71, ACT = 4, RUNS_MAX = 5, EACH_MAX = 1000, BYTES = 80000 };

static const char *const settings[] = {
    "spec.shape=outcomes",     "spec.observation=[71]",   "spec.action_dim=4",
    "label.judge=actor",       "policy.hidden=[16]",      "learner.samples_per_insert=0",
    "learner.capacity=100000", "learner.min_size=100000", NULL};

struct world {
  struct daemon daemon;
  struct pmpo *actor;
  struct pmp_chunk chunk;
  float *x, *y;
  int8_t verdict[CHUNK];
  int fd;
  unsigned char bytes[BYTES];
  struct pmp_rng rng;
};

static enum pmp_err open_world(struct world *w, struct pmp_errmsg *msg) {
  char dir[512], path[600];
  daemon_fresh_folder(dir, sizeof dir, "ingest_latency");
  snprintf(w->daemon.dir, sizeof w->daemon.dir, "%s", dir);
  PMP_TRY(daemon_start(&w->daemon, dir, settings, -1, msg));
  PMP_TRY(daemon_client(&w->daemon, PMP_ROLE_ACTOR, "bench", NULL, &w->actor, msg));
  pmp_rng_init(&w->rng, 29, 0);
  w->x = bench_need((size_t)CHUNK * OBS, sizeof(float));
  w->y = bench_need((size_t)CHUNK * ACT, sizeof(float));
  memset(w->verdict, 1, sizeof w->verdict);
  w->chunk = (struct pmp_chunk){.source = PMP_SOURCE_ACTOR,
                                .shape = PMP_SHAPE_OUTCOMES,
                                .rows = CHUNK,
                                .obs_parts = 1,
                                .groups = CHUNK,
                                .verdict = w->verdict};
  w->chunk.obs[0] = daemon_tensor(w->x, CHUNK, OBS);
  w->chunk.action = daemon_tensor(w->y, CHUNK, ACT);
  snprintf(path, sizeof path, "%s/bare", dir);
  w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  return w->fd >= 0 ? PMP_OK : pmp_fail(msg, PMP_EIO, "%s cannot be written", path);
}

static void close_world(struct world *w) {
  pmpo_close(w->actor);
  daemon_stop(&w->daemon);
  if (w->fd > 0) close(w->fd);
  free(w->x);
  free(w->y);
  daemon_wipe(w->daemon.dir);
}

/* Milliseconds of one append, and of one write with fdatasync. */
static double append(struct world *w) {
  struct pmp_errmsg msg = {{0}};
  bench_random_bits(&w->rng, w->x, (size_t)CHUNK * OBS);
  bench_random_bits(&w->rng, w->y, (size_t)CHUNK * ACT);
  int64_t start = bench_now();
  enum pmp_err err = pmpo_append(w->actor, &w->chunk, (struct pmp_bytes){0}, &msg);
  if (err == PMP_OK) err = pmpo_flush(w->actor, 60000, &msg);
  bench_must(err, "append", &msg);
  return bench_seconds(start) * 1e3;
}

static double bare(struct world *w) {
  size_t size = (w->chunk.obs[0].bytes + w->chunk.action.bytes) + CHUNK;
  bench_random_bits(&w->rng, (float *)(void *)w->bytes, size / sizeof(float));
  int64_t start = bench_now();
  if (write(w->fd, w->bytes, size) != (ssize_t)size || fdatasync(w->fd) != 0) return NAN;
  return bench_seconds(start) * 1e3;
}

int main(int argc, char **argv) {
  struct bench b;
  int code = bench_begin(&b, argc, argv, "ingest_latency",
                         "Append of one chunk of 256 rows of 300 bytes until its acknowledgement, "
                         "99th percentile, against\na bare write and fdatasync of the same bytes. "
                         "Goal: at most 3 times.");
  if (code >= 0) return code;
  static struct world w;
  static double a[EACH_MAX], d[EACH_MAX];
  struct pmp_errmsg msg = {{0}};
  const int runs = b.quick ? 3 : RUNS_MAX;
  const size_t each = b.quick ? 300 : EACH_MAX;
  double ratio[RUNS_MAX], p99[RUNS_MAX], p50[RUNS_MAX], bare99[RUNS_MAX], bare50[RUNS_MAX];
  if (open_world(&w, &msg) != PMP_OK) {
    bench_missing(&b, "ingest_latency", "ratio", "<=3", msg.text);
    close_world(&w);
    return 0;
  }
  for (int i = 0; i < 20; i++) append(&w);
  for (int i = 0; i < runs; i++) {
    for (size_t k = 0; k < each; k++) {
      a[k] = append(&w);
      d[k] = bare(&w);
    }
    p99[i] = bench_percentile(a, each, 0.99);
    bare99[i] = bench_percentile(d, each, 0.99);
    p50[i] = bench_percentile(a, each, 0.5);
    bare50[i] = bench_percentile(d, each, 0.5);
    ratio[i] = p99[i] / bare99[i];
  }
  bench_at_most(&b, "ingest_latency", bench_median(ratio, (size_t)runs), "ratio", 3.0,
                "ingest_latency.p50 and .p99 against their bare_ lines");
  bench_note(&b, "ingest_latency.p99", bench_median(p99, (size_t)runs), "ms");
  bench_note(&b, "ingest_latency.bare_p99", bench_median(bare99, (size_t)runs), "ms");
  bench_note(&b, "ingest_latency.p50", bench_median(p50, (size_t)runs), "ms");
  bench_note(&b, "ingest_latency.bare_p50", bench_median(bare50, (size_t)runs), "ms");
  close_world(&w);
  return 0;
}
