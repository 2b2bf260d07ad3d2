/* PMPO's loss and gradient over many rows, the way a learner gets them: coefficients from the
 * objective, log-probabilities, KLs and gradient from the policy family in one pass, the loss from
 * the objective. Rows are shared out among threads. Beside it what JAX and PyTorch need for the
 * same numbers (objective_peers.py makes the same inputs), and what the memory gives.
 *
 * Knows nothing of networks. Belongs to the thread that calls. */
#ifndef PMP_BENCH_OBJECTIVE_RUN_H
#define PMP_BENCH_OBJECTIVE_RUN_H

#include "bench/bench.h"
#include "bench/support/peers.h"
#include "learner/objective/objective.h"
#include "policy/dist/dist.h"

#include <sched.h>

enum { OBJECTIVE_ROUNDS = 15, OBJECTIVE_THREADS = 2 };

struct objective_run {
  struct pmp_dist dist;
  size_t b, per, h, block; /* rows, outcomes a row, floats a head, rows at a time */
  float *head, *ref, *y, *dhead;
  int8_t *verdict;
  double *c, *w, *lp, *kl;
  double loss, norm; /* of the gradient */
};

/* Uniform in [0, 1) with 24 bits, by a hash that objective_peers.py has too. */
static inline float objective_uniform(uint32_t k, uint32_t stream) {
  uint32_t h = k * 2654435769U + stream * 374761393U;
  h = (h ^ h >> 15) * 2246822519U;
  h = h ^ h >> 13;
  return (float)(h >> 8) * 0x1p-24F;
}

static inline void *objective_memory(size_t count, size_t size) {
  void *memory = aligned_alloc(4096, (count * size + 4095) / 4096 * 4096);
  if (memory == NULL) abort();
  memset(memory, 0, count * size);
  return memory;
}

static inline void objective_open(struct objective_run *r, const struct pmp_dist *dist, size_t b,
                                  size_t per, size_t block) {
  const size_t n = b * per, h = pmp_dist_head(dist);
  *r = (struct objective_run){.dist = *dist, .b = b, .per = per, .h = h, .block = block};
  r->head = objective_memory(b * h, sizeof(float));
  r->ref = objective_memory(b * h, sizeof(float));
  r->dhead = objective_memory(b * h, sizeof(float));
  r->y = objective_memory(n * dist->dim, sizeof(float));
  r->verdict = objective_memory(n, 1);
  r->c = objective_memory(n, sizeof(double)), r->lp = objective_memory(n, sizeof(double));
  r->w = objective_memory(b, sizeof(double)), r->kl = objective_memory(b, sizeof(double));
}

static inline void objective_close(struct objective_run *r) {
  free(r->head), free(r->ref), free(r->dhead), free(r->y), free(r->verdict);
  free(r->c), free(r->lp), free(r->w), free(r->kl);
}

static inline enum pmp_err objective_rows(const struct objective_run *r, size_t first, size_t rows,
                                          float *dhead) {
  const size_t h = r->h, j = first * r->per;
  return pmp_dist_fused(&r->dist, rows, rows * r->per, r->head + first * h, r->ref + first * h,
                        r->y + j * r->dist.dim, NULL, r->c + j, r->w + first, r->lp + j, NULL,
                        r->kl + first, dhead + first * h);
}

/* Seconds of one loss and gradient. `in_place`: the gradient takes the heads' memory. */
static inline double objective_step(struct objective_run *r, int threads, bool in_place) {
  const struct pmp_objective *pmpo = pmp_objective_find("pmpo");
  const struct pmp_objective_config config = pmp_objective_config_default();
  struct pmp_objective_in in = {
      .n = r->b * r->per, .b = r->b, .parts = 1, .kl_parts = 1, .verdict = r->verdict};
  struct pmp_objective_out out = {.c = r->c, .w = r->w};
  const size_t blocks = (r->b + r->block - 1) / r->block;
  float *dhead = in_place ? r->head : r->dhead;
  int failed = 0;
  const int64_t start = bench_now();
  pmpo->sums(&config, &in);
  if (pmpo->eval(&config, &in, &out) != PMP_OK) abort();
#pragma omp parallel for num_threads(threads) schedule(static) reduction(| : failed)
  for (size_t k = 0; k < blocks; k++) {
    const size_t first = k * r->block;
    const size_t rows = r->b - first < r->block ? r->b - first : r->block;
    failed |= objective_rows(r, first, rows, dhead) != PMP_OK;
  }
  in.lp = r->lp, in.kl = r->kl;
  out.c = out.w = NULL;
  if (failed || pmpo->eval(&config, &in, &out) != PMP_OK) abort();
  r->loss = out.loss;
  return bench_seconds(start);
}

/* Seconds of dhead = head + ref: as many bytes as a loss and gradient reads and writes. */
static inline double objective_triad(struct objective_run *r, int threads) {
  const size_t n = r->b * r->h, part = 1 << 16;
  const int64_t start = bench_now();
#pragma omp parallel for num_threads(threads) schedule(static)
  for (size_t first = 0; first < n; first += part) {
    const size_t last = n - first < part ? n : first + part;
    const float *restrict a = r->head, *restrict b = r->ref;
    float *restrict out = r->dhead;
    for (size_t i = first; i < last; i++) out[i] = a[i] + b[i];
  }
  return bench_seconds(start);
}

static inline int objective_cores(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* ---------------------------------------------------------------- figures, best of several rounds
 */

static inline double objective_best(const double *seconds, int rounds) {
  double best = seconds[0];
  for (int i = 1; i < rounds; i++) best = fmin(best, seconds[i]);
  return best;
}

struct objective_figures {
  struct bench bench;
  double seconds[OBJECTIVE_THREADS], triad[OBJECTIVE_THREADS], in_place[OBJECTIVE_THREADS];
};

static inline void objective_measure(struct objective_run *r, struct objective_figures *f) {
  const int rounds = f->bench.quick ? 5 : OBJECTIVE_ROUNDS;
  for (int t = 0; t < OBJECTIVE_THREADS && t < objective_cores(); t++) {
    double step[OBJECTIVE_ROUNDS], triad[OBJECTIVE_ROUNDS];
    objective_step(r, t + 1, false);
    objective_triad(r, t + 1);
    for (int i = 0; i < rounds; i++) {
      triad[i] = objective_triad(r, t + 1);
      step[i] = objective_step(r, t + 1, false);
    }
    f->seconds[t] = objective_best(step, rounds);
    f->triad[t] = objective_best(triad, rounds);
  }
  double squares = 0;
  for (size_t i = 0; i < r->b * r->h; i++) squares += (double)r->dhead[i] * (double)r->dhead[i];
  r->norm = sqrt(squares);
}

/* Heads become gradients, then gradients of those: what it costs does not depend on that. */
static inline void objective_measure_in_place(struct objective_run *r,
                                              struct objective_figures *f) {
  const int rounds = f->bench.quick ? 3 : OBJECTIVE_ROUNDS;
  const double loss = r->loss;
  for (int t = 0; t < OBJECTIVE_THREADS && t < objective_cores(); t++) {
    double step[OBJECTIVE_ROUNDS];
    for (int i = 0; i < rounds; i++) step[i] = objective_step(r, t + 1, true);
    f->in_place[t] = objective_best(step, rounds);
  }
  r->loss = loss;
}

static inline void objective_note(const struct objective_figures *f, const char *part, int threads,
                                  double value, const char *unit) {
  char name[80];
  snprintf(name, sizeof name, "%s.%s_%d", f->bench.name, part, threads);
  bench_note(&f->bench, name, value, unit);
}

enum { PEER_LOSS, PEER_NORM, PEER_FIRST, PEER_NUMBERS = PEER_FIRST + OBJECTIVE_THREADS };

/* One peer's lines: loss, norm, seconds by threads. The least ratio, NAN when one is missing. */
static inline double objective_peer(const struct objective_figures *f,
                                    const struct objective_run *r, const struct bench_peer *p) {
  double least = INFINITY;
  char name[80], reason[200];
  for (int t = 0; t < OBJECTIVE_THREADS; t++) {
    const struct bench_peer *seconds = &p[PEER_FIRST + t];
    snprintf(name, sizeof name, "%s.%s", f->bench.name, seconds->name);
    const double loss = fabs(p[PEER_LOSS].value - r->loss) / fmax(1, fabs(r->loss));
    const double norm = fabs(p[PEER_NORM].value / r->norm - 1);
    reason[0] = 0;
    if (p[PEER_LOSS].reason[0] != 0)
      snprintf(reason, sizeof reason, "%s", p[PEER_LOSS].reason);
    else if (seconds->reason[0] != 0)
      snprintf(reason, sizeof reason, "%s", seconds->reason);
    else if (!(f->seconds[t] > 0))
      snprintf(reason, sizeof reason, "this machine has fewer cores");
    else if (!(loss <= 1e-4) || !(norm <= 1e-4))
      snprintf(reason, sizeof reason,
               "its loss is %.9g and ours %.9g, its gradient's norm %.9g and ours %.9g",
               p[PEER_LOSS].value, r->loss, p[PEER_NORM].value, r->norm);
    if (reason[0] != 0) {
      bench_missing(&f->bench, name, "ratio", ">=3", reason);
      least = NAN;
      continue;
    }
    const double ratio = seconds->value / f->seconds[t];
    bench_at_least(&f->bench, name, ratio, "ratio", 3.0, "this peer was faster than a third of us");
    least = isnan(least) ? least : fmin(least, ratio);
    objective_note(f, strncmp(seconds->name, "jax", 3) == 0 ? "jax_time" : "torch_time", t + 1,
                   seconds->value * 1e3, "ms");
  }
  return least;
}

static inline void objective_report(const struct objective_figures *f,
                                    const struct objective_run *r, const char *script) {
  struct bench_peer peer[2][PEER_NUMBERS] = {
      {{.name = "jax"}, {.name = "jax_norm"}, {.name = "jax_1"}, {.name = "jax_2"}},
      {{.name = "torch"}, {.name = "torch_norm"}, {.name = "torch_1"}, {.name = "torch_2"}}};
  bench_peers(script, f->bench.quick, &peer[0][0], (size_t)2 * PEER_NUMBERS);
  const double jax = objective_peer(f, r, peer[0]), torch = objective_peer(f, r, peer[1]);
  if (isfinite(jax) && isfinite(torch))
    bench_at_least(&f->bench, f->bench.name, fmin(jax, torch), "ratio", 3.0,
                   "the nearest peer, of those above");
  else
    bench_missing(&f->bench, f->bench.name, "ratio", ">=3", "a peer is missing, see above");
  const double bytes = 3.0 * (double)(r->b * r->h) * sizeof(float);
  for (int t = 0; t < OBJECTIVE_THREADS; t++) {
    if (!(f->seconds[t] > 0)) continue;
    objective_note(f, "time", t + 1, f->seconds[t] * 1e3, "ms");
    objective_note(f, "traffic", t + 1, bytes / f->seconds[t] / 1e9, "GB/s");
    objective_note(f, "memory", t + 1, bytes / f->triad[t] / 1e9, "GB/s");
    objective_note(f, "share_of_memory", t + 1, f->triad[t] / f->seconds[t], "ratio");
    if (f->in_place[t] > 0) objective_note(f, "in_place", t + 1, f->in_place[t] * 1e3, "ms");
  }
}

#endif
