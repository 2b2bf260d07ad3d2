/* PMPO's loss and gradient by logits: a language model's shape, one labelled outcome a row. Each
 * row of pi and ref is read from memory once and the gradient written once. */
#include "bench/support/objective_run.h"

enum { ROWS = 4096, QUICK_ROWS = 512, BINS = 32000, BLOCK = 16 };
enum { PI = 1, REF, Y };

static void fill(struct objective_run *r) {
#pragma omp parallel for schedule(static)
  for (size_t x = 0; x < r->b; x++) {
    for (size_t v = x * BINS; v < (x + 1) * BINS; v++) {
      r->head[v] = 8 * objective_uniform((uint32_t)v, PI) - 4;
      r->ref[v] = r->head[v] + (2 * objective_uniform((uint32_t)v, REF) - 1);
    }
    r->y[x] = floorf(objective_uniform((uint32_t)x, Y) * BINS);
    r->verdict[x] = x % 2 == 0 ? 1 : -1;
  }
}

int main(int argc, char **argv) {
  struct objective_figures f = {.seconds = {0}};
  struct objective_run r;
  const struct pmp_dist dist = {
      .kind = PMP_DIST_CATEGORICAL, .dim = 1, .bins = BINS, .low = 0.0F, .high = 1.0F};
  int code = bench_begin(&f.bench, argc, argv, "objective_categorical",
                         "PMPO's loss and gradient, 4096 rows of 32,000 logits of pi and ref, on 1 "
                         "and 2 cores.\nGoal: 3 times as fast as JAX (jit) and PyTorch in the same "
                         "run. --quick: 512 rows.");
  if (code >= 0) return code;
  objective_open(&r, &dist, f.bench.quick ? QUICK_ROWS : ROWS, 1, BLOCK);
  fill(&r);
  objective_measure(&r, &f);
  objective_measure_in_place(&r, &f);
  objective_report(&f, &r, "objective_peers.py categorical");
  objective_close(&r);
  return 0;
}
