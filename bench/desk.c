/* The label desk under a crowd: a lease while a million items wait, and verdicts of fifty labelers,
 * durable before each answer, in batches and one at a time. */
#include "bench/support/daemon.h"

enum { CHUNK_ROWS = 256, DIM = 3, LABELERS = 50, BATCH = 64, LEASES = 2000 };

struct crowd_plan {
  uint32_t batch;
  double seconds;
  uint64_t first; /* row among all, of the first labeler's */
  uint64_t each;  /* rows a labeler has to itself */
};

struct labeler {
  const struct daemon *d;
  const struct crowd_plan *plan;
  uint32_t number;
  uint64_t kept, refused;
  pthread_t thread;
  enum pmp_err err;
  struct pmp_errmsg msg;
};

static const char *const settings[] = {"label.judge=people",
                                       "spec.action_dim=3",
                                       "learner.min_size=1000000",
                                       "learner.capacity=2000000",
                                       "store.capacity_rows=10000000",
                                       "limits.open_items=2000000",
                                       "limits.requests_per_second=1000000",
                                       "limits.connections=256",
                                       "listen.desk_contexts=128",
                                       "limits.sessions=256",
                                       NULL};

/* Items without a label, every row one. */
static enum pmp_err fill(struct pmpo *actor, uint64_t rows, struct pmp_errmsg *msg) {
  static float y[CHUNK_ROWS * DIM];
  struct pmp_rng rng;
  pmp_rng_init(&rng, 3, 1);
  for (uint64_t sent = 0; sent < rows; sent += CHUNK_ROWS) {
    pmp_rng_normal_fill(&rng, y, CHUNK_ROWS * DIM);
    struct pmp_chunk c = {.source = PMP_SOURCE_ACTOR,
                          .shape = PMP_SHAPE_OUTCOMES,
                          .rows = CHUNK_ROWS,
                          .groups = CHUNK_ROWS,
                          .action = daemon_tensor(y, CHUNK_ROWS, DIM)};
    PMP_TRY(pmpo_append(actor, &c, (struct pmp_bytes){0}, msg));
  }
  return pmpo_flush(actor, 120000, msg);
}

/* One lease of one item after another in all four orders; milliseconds. */
static enum pmp_err lease_times(struct pmpo *c, double *ms, uint32_t n, struct pmp_errmsg *msg) {
  static const char *const order[] = {"oldest", "random", "least_labelled", "most_uncertain"};
  struct pmp_arena arena;
  struct pmp_item_ref had = {0};
  PMP_TRY(pmp_arena_init(&arena, 1 << 20));
  enum pmp_err err = PMP_OK;
  for (uint32_t i = 0; i < n && err == PMP_OK; i++) {
    struct pmp_request q = {
        .verb = PMP_VERB_LEASE,
        .u.lease = {.count = 1, .order = order[i % 4], .release = &had, .releases = i > 0}};
    struct pmp_reply reply;
    pmp_arena_release(&arena, 0);
    const int64_t start = bench_now();
    err = pmpo_request(c, &q, &arena, &reply, 10000, msg);
    ms[i] = bench_seconds(start) * 1e3;
    if (err == PMP_OK && reply.u.lease.items != 1) err = pmp_fail(msg, PMP_ENOTFOUND, "no item");
    if (err == PMP_OK) had = reply.u.lease.item[0].item;
  }
  pmp_arena_fini(&arena);
  return err;
}

static enum pmp_err judge(struct labeler *l, struct pmpo *c, uint64_t first, uint32_t n,
                          struct pmp_arena *arena) {
  struct pmp_verdict v[BATCH];
  char id[BATCH][48];
  for (uint32_t i = 0; i < n; i++) {
    const uint64_t row = first + i;
    snprintf(id[i], sizeof id[i], "r%llu", (unsigned long long)row);
    v[i] = (struct pmp_verdict){.request_id = id[i],
                                .note = "",
                                .chunk = 1 + row / CHUNK_ROWS,
                                .row = (uint32_t)(row % CHUNK_ROWS),
                                .rows = 1,
                                .judgement = row % 3 ? PMP_ACCEPT : PMP_REJECT,
                                .confidence = 1};
  }
  const struct pmp_request q = {.verb = PMP_VERB_VERDICTS, .u.verdicts = {v, n}};
  struct pmp_reply reply;
  pmp_arena_release(arena, 0);
  PMP_TRY(pmpo_request(c, &q, arena, &reply, 20000, &l->msg));
  for (uint32_t i = 0; i < n; i++) {
    const struct pmp_verdict_result *r = &reply.u.verdicts.result[i];
    l->kept += r->code == PMP_OK && !r->duplicate && !r->surplus;
    l->refused += r->code != PMP_OK;
  }
  return PMP_OK;
}

static void *label(void *arg) {
  struct labeler *l = arg;
  const struct crowd_plan *p = l->plan;
  struct pmp_arena arena = {0};
  struct pmpo *c = NULL;
  char name[32];
  snprintf(name, sizeof name, "labeler%u", l->number);
  l->err = pmp_arena_init(&arena, 1 << 20);
  if (l->err == PMP_OK) l->err = daemon_client(l->d, PMP_ROLE_LABELER, name, NULL, &c, &l->msg);
  const int64_t start = bench_now();
  for (uint64_t i = 0; l->err == PMP_OK && bench_seconds(start) < p->seconds && i < p->each;
       i += p->batch)
    l->err = judge(l, c, p->first + l->number * p->each + i, p->batch, &arena);
  pmpo_close(c);
  pmp_arena_fini(&arena);
  return NULL;
}

/* Verdicts a second of all labelers together. */
static enum pmp_err rate(const struct daemon *d, const struct crowd_plan *plan, double *out,
                         struct pmp_errmsg *msg) {
  static struct labeler l[LABELERS];
  const int64_t start = bench_now();
  uint64_t kept = 0, refused = 0;
  uint32_t started = 0;
  enum pmp_err err = PMP_OK;
  for (; started < LABELERS && err == PMP_OK; started++) {
    l[started] = (struct labeler){.d = d, .plan = plan, .number = started};
    if (pthread_create(&l[started].thread, NULL, label, &l[started]) != 0)
      err = pmp_fail(msg, PMP_ENOMEM, "cannot start a labeler");
  }
  for (uint32_t i = 0; i < started; i++) {
    pthread_join(l[i].thread, NULL);
    kept += l[i].kept;
    refused += l[i].refused;
    if (err == PMP_OK && l[i].err != PMP_OK) err = pmp_fail(msg, l[i].err, "%s", l[i].msg.text);
  }
  *out = (double)kept / bench_seconds(start);
  if (err == PMP_OK && refused > 0)
    err =
        pmp_fail(msg, PMP_EUNAVAILABLE, "%llu verdicts were refused", (unsigned long long)refused);
  return err;
}

static enum pmp_err measure(struct bench *b, struct daemon *d, struct pmp_errmsg *msg) {
  static double ms[LEASES];
  const uint64_t rows = b->quick ? 200 * 1024 : 4000 * CHUNK_ROWS;
  struct pmpo *actor = NULL, *person = NULL;
  struct crowd_plan plan = {.batch = BATCH, .seconds = b->quick ? 2 : 5, .each = rows / 128};
  double v = NAN;
  enum pmp_err err = daemon_client(d, PMP_ROLE_ACTOR, "maker", NULL, &actor, msg);
  if (err == PMP_OK) err = fill(actor, rows, msg);
  pmpo_close(actor);
  if (err == PMP_OK) err = daemon_client(d, PMP_ROLE_LABELER, "one", NULL, &person, msg);
  if (err == PMP_OK) err = lease_times(person, ms, LEASES, msg);
  pmpo_close(person);
  if (err != PMP_OK) return err;
  bench_note(b, "desk.items", (double)rows, "items");
  bench_at_most(b, "desk.lease_p99", bench_percentile(ms, LEASES, 0.99), "ms", 5,
                "the loop or the reader waited for a core");
  bench_note(b, "desk.lease_p50", bench_percentile(ms, LEASES, 0.5), "ms");
  PMP_TRY(rate(d, &plan, &v, msg));
  bench_at_least(b, "desk.verdicts_batched", v, "verdicts/s", 20000,
                 "the store's thread is the limit, or the disk's sync");
  plan.first = LABELERS * plan.each;
  plan.batch = 1;
  PMP_TRY(rate(d, &plan, &v, msg));
  bench_at_least(b, "desk.verdicts_single", v, "verdicts/s", 2000,
                 "a verdict waits for the disk's sync with its neighbours");
  return PMP_OK;
}

int main(int argc, char **argv) {
  struct bench b;
  const int code = bench_begin(&b, argc, argv, "desk",
                               "Lease with a million items waiting, 99th percentile (goal: at most "
                               "5 ms); durable verdicts a second of 50 labelers, 64 a request "
                               "(goal: at least 20,000) and one a request (at least 2,000).");
  if (code >= 0) return code;
  struct pmp_errmsg msg = {{0}};
  struct daemon d;
  char dir[512];
  daemon_fresh_folder(dir, sizeof dir, "desk");
  enum pmp_err err = daemon_start(&d, dir, settings, -1, &msg);
  if (err == PMP_OK) err = measure(&b, &d, &msg);
  if (err != PMP_OK) bench_missing(&b, "desk.lease_p99", "ms", "<=5", msg.text);
  daemon_stop(&d);
  daemon_wipe(dir);
  return 0;
}
