/* One step of a bandit in 10 dimensions: four outcomes drawn from the reference, the sphere's
 * values, verdicts, PMPO's gradient on a diagonal Gaussian, Adam, the reference every 100 steps.
 * Through the modules that the daemon's learner uses; the same in JAX and PyTorch beside it. */
#include "bench/bench.h"
#include "bench/support/peers.h"
#include "experiments/bandit_run.h"

enum { DIM = 10, ROUNDS = 31, STEPS = 20000, WARM = 2000, PEERS = 2 };

/* ns a step, this thread's time on its core; median of rounds. */
static double measure(struct pmp_bandit_run *r, int rounds) {
  double ns[ROUNDS];
  struct pmp_errmsg msg = {{0}};
  for (int round = 0; round < rounds; round++) {
    const double start = bench_cpu_seconds();
    for (int i = 0; i < STEPS; i++) bench_must(pmp_bandit_run_step(r, &msg), "step", &msg);
    ns[round] = (bench_cpu_seconds() - start) * 1e9 / STEPS;
  }
  return bench_median(ns, (size_t)rounds);
}

static void open_run(struct pmp_bandit_run *r) {
  const struct pmp_function *sphere = NULL;
  struct pmp_bandit_run_config config;
  struct pmp_errmsg msg = {{0}};
  bench_must(pmp_function_find("sphere", &sphere, &msg), "function", &msg);
  pmp_bandit_run_defaults(&config, sphere, pmp_bandit_method_find("AR"), DIM, 1);
  bench_must(pmp_bandit_run_init(r, &config, &msg), "run", &msg);
  for (int i = 0; i < WARM; i++) bench_must(pmp_bandit_run_step(r, &msg), "step", &msg);
}

int main(int argc, char **argv) {
  struct bench b;
  struct bench_peer peer[PEERS] = {{.name = "jax"}, {.name = "torch"}};
  struct pmp_bandit_run r;
  int code = bench_begin(&b, argc, argv, "bandit_step",
                         "A step of the bandit (4 samples, labels, loss, gradient, Adam; sphere in "
                         "10-D, diagonal Gaussian).\nGoal: below 1000 ns. JAX (a scan of 1000 "
                         "steps) and PyTorch in the same run.");
  if (code >= 0) return code;
  const int rounds = b.quick ? 5 : ROUNDS;
  open_run(&r);
  double before = measure(&r, rounds);
  bench_peers("bandit_step_peers.py", b.quick, peer, PEERS);
  double after = measure(&r, rounds);
  pmp_bandit_run_fini(&r);
  const double ns = before < after ? before : after;
  bench_at_most(&b, "bandit_step", ns, "ns", 1000.0,
                "sampling, gradient and Adam of 10 dimensions took longer");
  for (size_t i = 0; i < PEERS; i++) {
    char name[48];
    snprintf(name, sizeof name, "bandit_step.%s", peer[i].name);
    if (peer[i].reason[0] != 0) {
      bench_missing(&b, name, "ns", "-", peer[i].reason);
      continue;
    }
    bench_note(&b, name, peer[i].value, "ns");
    snprintf(name, sizeof name, "bandit_step.of_%s", peer[i].name);
    bench_note(&b, name, peer[i].value / ns, "ratio");
  }
  return 0;
}
