/* Rows a second that are acknowledged, each of 300 bytes that do not compress, in chunks of 256
 * from four actors, synced before each acknowledgement; against a bare append + fdatasync of the
 * same bytes in the same commit sizes, in turns. */
#include "bench/support/daemon.h"

#include <stdatomic.h>

enum { ACTORS = 4, CHUNK = 256, OBS = 71, ACT = 4, CHUNKS_EACH = 16, ROUNDS_MAX = 7 };
static const double SPACE_BYTES = 6e9;

static const char *const settings[] = {"spec.shape=outcomes",      "spec.observation=[71]",
                                       "spec.action_dim=4",        "label.judge=actor",
                                       "policy.hidden=[16]",       "learner.samples_per_insert=0",
                                       "learner.capacity=100000",  "learner.min_size=100000",
                                       "learner.metrics_ms=60000", NULL};

/* What an actor sends again and again: other rows in every chunk of the set. */
struct actor {
  struct pmpo *client;
  pthread_t thread;
  struct pmp_chunk chunk[CHUNKS_EACH];
  float *x, *y;
  int8_t *verdict;
  const atomic_bool *go, *end; /* send; be done */
  atomic_bool idle;
  enum pmp_err err; /* read after the rounds */
  struct pmp_errmsg msg;
};

static void make_chunks(struct actor *a, uint64_t stream) {
  struct pmp_rng rng;
  const size_t rows = (size_t)CHUNK * CHUNKS_EACH;
  pmp_rng_init(&rng, 17, stream);
  a->x = bench_need(rows * OBS, sizeof *a->x);
  a->y = bench_need(rows * ACT, sizeof *a->y);
  a->verdict = bench_need(rows, 1);
  bench_random_bits(&rng, a->x, rows * OBS);
  bench_random_bits(&rng, a->y, rows * ACT);
  for (size_t i = 0; i < rows; i++) a->verdict[i] = pmp_rng_u32(&rng) % 2 == 0 ? 1 : -1;
  for (size_t i = 0; i < CHUNKS_EACH; i++) {
    struct pmp_chunk *c = &a->chunk[i];
    *c = (struct pmp_chunk){.source = PMP_SOURCE_ACTOR,
                            .shape = PMP_SHAPE_OUTCOMES,
                            .rows = CHUNK,
                            .obs_parts = 1,
                            .groups = CHUNK,
                            .verdict = a->verdict + i * CHUNK};
    c->obs[0] = daemon_tensor(a->x + i * CHUNK * OBS, CHUNK, OBS);
    c->action = daemon_tensor(a->y + i * CHUNK * ACT, CHUNK, ACT);
  }
}

static void *act(void *arg) {
  struct actor *a = arg;
  size_t next = 0;
  enum pmp_err err = PMP_OK;
  while (!atomic_load(a->end) && err == PMP_OK) {
    if (!atomic_load(a->go)) {
      err = pmpo_flush(a->client, 60000, &a->msg);
      atomic_store(&a->idle, true);
      usleep(200);
      continue;
    }
    atomic_store(&a->idle, false);
    err = pmpo_append(a->client, &a->chunk[next++ % CHUNKS_EACH], (struct pmp_bytes){0}, &a->msg);
  }
  a->err = err;
  atomic_store(&a->idle, true);
  return NULL;
}

/* ---------------------------------------------------------------- the bare disk */

struct bare {
  char path[600];
  int fd;
  unsigned char *bytes;
};

/* Bytes a second of writes of `size` bytes, each synced, for about `seconds`. */
static double bare_rate(struct bare *b, size_t size, double seconds) {
  if (ftruncate(b->fd, 0) != 0 || lseek(b->fd, 0, SEEK_SET) != 0) return NAN;
  int64_t start = bench_now();
  double written = 0.0;
  while (bench_seconds(start) < seconds) {
    if (write(b->fd, b->bytes, size) != (ssize_t)size || fdatasync(b->fd) != 0) return NAN;
    written += (double)size;
  }
  return written / bench_seconds(start);
}

/* ---------------------------------------------------------------- rounds */

struct totals {
  double rows, bytes, commits, store_cpu, loop_cpu, learner_cpu, cpu;
};

struct world {
  struct daemon daemon;
  struct pmpo *desk;
  struct daemon_status status;
  struct actor actor[ACTORS];
  atomic_bool go, end;
  struct bare bare;
};

static void totals(struct world *w, struct totals *t) {
  struct pmp_errmsg msg = {{0}};
  bench_must(daemon_ask(w->desk, &w->status, &msg), "status", &msg);
  *t = (struct totals){
      daemon_number(&w->status, "ingest.rows"),        daemon_number(&w->status, "ingest.bytes"),
      daemon_number(&w->status, "store.commits"),      daemon_number(&w->status, "store.cpu_s"),
      daemon_number(&w->status, "process.loop_cpu_s"), daemon_number(&w->status, "learner.cpu_s"),
      daemon_number(&w->status, "process.cpu_s")};
}

static void actors_send(struct world *w, bool yes) {
  atomic_store(&w->go, yes);
  for (int i = 0; i < ACTORS && !yes;) {
    if (atomic_load(&w->actor[i].idle))
      i++;
    else
      usleep(100);
  }
}

/* What the rounds came to. */
struct outcome {
  double rate[ROUNDS_MAX], ratio[ROUNDS_MAX], bare[ROUNDS_MAX], commit[ROUNDS_MAX];
  struct totals sum; /* of all rounds */
  double seconds, row_bytes;
};

static void round_one(struct world *w, struct outcome *o, int i, double seconds) {
  struct totals from, to;
  totals(w, &from);
  int64_t start = bench_now();
  actors_send(w, true);
  usleep((useconds_t)(seconds * 1e6));
  actors_send(w, false);
  double took = bench_seconds(start);
  totals(w, &to);
  double rows = to.rows - from.rows, bytes = to.bytes - from.bytes;
  o->commit[i] = bytes / (to.commits - from.commits);
  o->bare[i] = bare_rate(&w->bare, (size_t)o->commit[i], seconds / 2);
  o->rate[i] = rows / took;
  o->ratio[i] = bytes / took / o->bare[i];
  o->row_bytes = bytes / rows;
  o->seconds += took;
  o->sum.cpu += to.cpu - from.cpu;
  o->sum.store_cpu += to.store_cpu - from.store_cpu;
  o->sum.loop_cpu += to.loop_cpu - from.loop_cpu;
  o->sum.learner_cpu += to.learner_cpu - from.learner_cpu;
}

static void report(const struct bench *b, struct outcome *o, size_t rounds) {
  const struct totals *s = &o->sum;
  char why[160];
  snprintf(why, sizeof why, "in the same run the bare disk took %.0f rows/s in such commits",
           bench_median(o->bare, rounds) / o->row_bytes);
  bench_at_least(b, "ingest_durable.rows", bench_median(o->rate, rounds), "rows/s", 300000, why);
  bench_at_least(b, "ingest_durable.of_bare", bench_median(o->ratio, rounds), "ratio", 0.3,
                 "against a bare append and fdatasync of the same bytes");
  bench_note(b, "ingest_durable.bare", bench_median(o->bare, rounds) / 1e6, "MB/s");
  bench_note(b, "ingest_durable.commit", bench_median(o->commit, rounds), "bytes");
  bench_note(b, "ingest_durable.row", o->row_bytes, "bytes");
  bench_note(b, "ingest_durable.cores_store", s->store_cpu / o->seconds, "cores");
  bench_note(b, "ingest_durable.cores_loop", s->loop_cpu / o->seconds, "cores");
  bench_note(b, "ingest_durable.cores_learner", s->learner_cpu / o->seconds, "cores");
  bench_note(b, "ingest_durable.cores_sockets",
             (s->cpu - s->store_cpu - s->loop_cpu - s->learner_cpu) / o->seconds, "cores");
}

/* ---------------------------------------------------------------- set-up */

static enum pmp_err open_world(struct world *w, struct pmp_errmsg *msg) {
  char dir[512];
  daemon_fresh_folder(dir, sizeof dir, "ingest_durable");
  snprintf(w->daemon.dir, sizeof w->daemon.dir, "%s", dir);
  if (daemon_space(dir) < SPACE_BYTES)
    return pmp_fail(msg, PMP_ENOSPC, "this wants %.0f GB of space in %.300s", SPACE_BYTES / 1e9,
                    dir);
  PMP_TRY(daemon_start(&w->daemon, dir, settings, -1, msg));
  PMP_TRY(daemon_client(&w->daemon, PMP_ROLE_OBSERVER, "bench", NULL, &w->desk, msg));
  for (int i = 0; i < ACTORS; i++) {
    struct actor *a = &w->actor[i];
    char name[24];
    snprintf(name, sizeof name, "bench-%d", i);
    a->go = &w->go;
    a->end = &w->end;
    make_chunks(a, (uint64_t)i);
    PMP_TRY(daemon_client(&w->daemon, PMP_ROLE_ACTOR, name, NULL, &a->client, msg));
    if (pthread_create(&a->thread, NULL, act, a) != 0)
      return pmp_fail(msg, PMP_ENOMEM, "cannot start a thread");
  }
  struct bare *b = &w->bare;
  struct pmp_rng rng;
  const size_t most = (size_t)64 << 20;
  snprintf(b->path, sizeof b->path, "%s/bare", dir);
  b->fd = open(b->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  b->bytes = bench_need(most, 1);
  pmp_rng_init(&rng, 23, 0);
  for (size_t i = 0; i < most; i += 4) {
    uint32_t word = pmp_rng_u32(&rng);
    memcpy(b->bytes + i, &word, sizeof word);
  }
  return b->fd >= 0 ? PMP_OK : pmp_fail(msg, PMP_EIO, "%s cannot be written", b->path);
}

static void close_world(struct world *w) {
  atomic_store(&w->end, true);
  for (int i = 0; i < ACTORS; i++) {
    struct actor *a = &w->actor[i];
    if (a->thread != 0) pthread_join(a->thread, NULL);
    pmpo_close(a->client);
    free(a->x);
    free(a->y);
    free(a->verdict);
  }
  pmpo_close(w->desk);
  daemon_stop(&w->daemon);
  if (w->bare.fd > 0) close(w->bare.fd);
  free(w->bare.bytes);
  pmp_arena_fini(&w->status.arena);
  daemon_wipe(w->daemon.dir);
}

int main(int argc, char **argv) {
  struct bench b;
  int code = bench_begin(&b, argc, argv, "ingest_durable",
                         "Acknowledged rows a second: 300 bytes that do not compress, chunks of "
                         "256, four actors, synced before\neach acknowledgement; against a bare "
                         "append + fdatasync of the same bytes in the same commit sizes.");
  if (code >= 0) return code;
  static struct world w;
  static struct outcome o;
  struct pmp_errmsg msg = {{0}};
  const int rounds = b.quick ? 3 : ROUNDS_MAX;
  const double seconds = b.quick ? 1.0 : 1.5;
  enum pmp_err err = open_world(&w, &msg);
  if (err == PMP_OK) {
    round_one(&w, &o, 0, seconds / 2); /* warm */
    o = (struct outcome){.seconds = 0.0};
    for (int i = 0; i < rounds; i++) round_one(&w, &o, i, seconds);
  }
  for (int i = 0; i < ACTORS && err == PMP_OK; i++) {
    err = w.actor[i].err;
    msg = w.actor[i].msg;
  }
  if (err == PMP_OK) {
    report(&b, &o, (size_t)rounds);
  } else {
    bench_missing(&b, "ingest_durable.rows", "rows/s", ">=300000", msg.text);
    bench_missing(&b, "ingest_durable.of_bare", "ratio", ">=0.3", msg.text);
  }
  close_world(&w);
  return 0;
}
