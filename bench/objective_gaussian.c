/* PMPO's loss and gradient by a diagonal Gaussian's head: a humanoid's actions, four outcomes a
 * row, two of them accepted. */
#include "bench/support/objective_run.h"

enum { ROWS = 1000000, QUICK_ROWS = 100000, DIM = 21, PER = 4, BLOCK = 512 };
enum { PI = 1, REF, Y };

static void fill(struct objective_run *r) {
  const size_t n = r->b * PER * DIM;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < r->b * r->h; i++) {
    r->head[i] = 2 * objective_uniform((uint32_t)i, PI) - 1;
    r->ref[i] = r->head[i] + (objective_uniform((uint32_t)i, REF) - 0.5F);
  }
  for (size_t i = 0; i < n; i++) r->y[i] = 2 * objective_uniform((uint32_t)i, Y) - 1;
  for (size_t j = 0; j < r->b * PER; j++) r->verdict[j] = j % PER < 2 ? 1 : -1;
}

int main(int argc, char **argv) {
  struct objective_figures f = {.seconds = {0}};
  struct objective_run r;
  const struct pmp_dist dist = {.kind = PMP_DIST_DIAG_GAUSSIAN,
                                .dim = DIM,
                                .squash_mean = true,
                                .std_scale = 0.75F,
                                .std_min = 0.0078125F,
                                .low = -1.0F,
                                .high = 1.0F};
  int code = bench_begin(&f.bench, argc, argv, "objective_gaussian",
                         "PMPO's loss and gradient, 1e6 rows of 21 dimensions with 4 samples, on 1 "
                         "and 2 cores.\nGoal: 3 times as fast as JAX (jit) and PyTorch in the same "
                         "run. --quick: 1e5 rows.");
  if (code >= 0) return code;
  objective_open(&r, &dist, f.bench.quick ? QUICK_ROWS : ROWS, PER, BLOCK);
  fill(&r);
  objective_measure(&r, &f);
  objective_report(&f, &r, "objective_peers.py gaussian");
  objective_close(&r);
  return 0;
}
