/* Exact improvement with the recommended settings (docs/exact-improvement.md) on the six functions
 * of the bandit, in 10 dimensions with full covariance, from verdicts alone: the outcomes drawn
 * until one is 1e-9 or better. Every number follows from the seed. With --runs one line a run, with
 * --starts the initial means, both as CSV: what bench/exact_cmaes.py compares with another method.
 */
#include "actors/bandit/function.h"
#include "bench/bench.h"
#include "learner/improve/improve.h"

enum { DIM = 10, SEEDS = 20, SEEDS_QUICK = 5, GROUP_MAX = 64, OUTCOMES_MAX = 200000 };

static const double TARGET = 1e-9;

static const struct feedback {
  const char *name;
  double alpha;
} FEEDBACK[] = {{"ar", 0.5}, {"r", 0}, {"a", 1}};

enum { FEEDBACKS = sizeof FEEDBACK / sizeof FEEDBACK[0] };

struct result {
  uint32_t outcomes;    /* drawn until the first of them reached the target; 0: never */
  double best, at_mean; /* of the outcomes drawn; f at the last mean */
};

static void start_of(uint64_t seed, double *mean) {
  struct pmp_rng rng;
  pmp_rng_init(&rng, seed, 0);
  for (int i = 0; i < DIM; i++) mean[i] = 6 * pmp_rng_double(&rng) - 3;
}

/* Draws one group from the reference; f (size). */
static void draw(struct pmp_rng *rng, const struct pmp_function *function, const double *natural,
                 uint32_t size, double (*y)[DIM], double *f) {
  for (uint32_t j = 0; j < size; j++) {
    double z[DIM];
    for (int i = 0; i < DIM; i++) {
      z[i] = pmp_rng_normal(rng);
      y[j][i] = natural[i];
      for (int k = 0; k <= i; k++) y[j][i] += natural[DIM + i * DIM + k] * z[k];
    }
    f[j] = function->value(y[j], DIM);
  }
}

/* The one place where f is read: the best and the worst of a group. Of equals the earlier is
 * better.
 */
static void judge(const struct pmp_improve_groups *groups, const double *f, int8_t *verdict) {
  for (uint32_t j = 0; j < groups->size; j++) {
    uint32_t better = 0;
    for (uint32_t k = 0; k < groups->size; k++) better += f[k] < f[j] || (f[k] == f[j] && k < j);
    verdict[j] = 0;
    if (better < groups->accepted) verdict[j] = 1;
    if (better >= groups->size - groups->rejected) verdict[j] = -1;
  }
}

static struct result run(const struct pmp_function *function, double alpha, uint64_t seed) {
  struct pmp_improve_config config;
  struct pmp_improve_groups groups;
  struct pmp_rng rng;
  struct pmp_errmsg msg;
  struct result result = {0, INFINITY, NAN};
  double natural[DIM + DIM * DIM] = {0}, y[GROUP_MAX][DIM], f[GROUP_MAX];
  int8_t verdict[GROUP_MAX];
  pmp_improve_recommend(PMP_IMPROVE_GAUSSIAN, DIM, alpha, &config, &groups);
  bench_must(pmp_improve_check(&config, &msg), "settings", &msg);
  double *state = bench_need(pmp_improve_doubles(&config), sizeof *state);
  pmp_improve_init(&config, state);
  start_of(seed, natural);
  for (int i = 0; i < DIM; i++) natural[DIM + i * DIM + i] = 1;
  pmp_rng_init(&rng, seed, 1);
  for (uint32_t drawn = 0; drawn < OUTCOMES_MAX && result.outcomes == 0;) {
    draw(&rng, function, natural, groups.size, y, f);
    judge(&groups, f, verdict);
    drawn += groups.size;
    for (uint32_t j = 0; j < groups.size; j++) result.best = fmin(result.best, f[j]);
    if (result.best <= TARGET) result.outcomes = drawn;
    msg.text[0] = 0;
    bench_must(pmp_improve_add(&config, state, natural, groups.size, y[0], verdict, NULL),
               "outcomes", &msg);
    bench_must(pmp_improve_step(&config, state, natural, &msg), "step", &msg);
  }
  result.at_mean = function->value(natural, DIM);
  free(state);
  return result;
}

static int print_starts(void) {
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    double mean[DIM];
    start_of(seed, mean);
    for (int i = 0; i < DIM; i++) printf("%.17g%c", mean[i], i + 1 < DIM ? ',' : '\n');
  }
  return 0;
}

static int print_runs(void) {
  puts("feedback,function,seed,outcomes,best,at_mean");
  for (int b = 0; b < FEEDBACKS; b++)
    for (uint32_t k = 0; k < pmp_function_count(); k++)
      for (uint64_t seed = 0; seed < SEEDS; seed++) {
        const struct pmp_function *function = pmp_function_at(k);
        struct result r = run(function, FEEDBACK[b].alpha, seed);
        printf("%s,%s,%u,%u,%.6g,%.6g\n", FEEDBACK[b].name, function->name, (unsigned)seed,
               (unsigned)r.outcomes, r.best, r.at_mean);
      }
  return 0;
}

int main(int argc, char **argv) {
  struct bench b;
  if (argc == 2 && strcmp(argv[1], "--runs") == 0) return print_runs();
  if (argc == 2 && strcmp(argv[1], "--starts") == 0) return print_starts();
  int code = bench_begin(&b, argc, argv, "exact_runs",
                         "Outcomes that exact improvement draws until one is 1e-9 or better: the "
                         "median of seeds. Also --runs, --starts: CSV.");
  if (code >= 0) return code;
  const uint64_t seeds = b.quick ? SEEDS_QUICK : SEEDS;
  for (int fb = 0; fb < FEEDBACKS; fb++)
    for (uint32_t k = 0; k < pmp_function_count(); k++) {
      double outcomes[SEEDS], reached = 0;
      for (uint64_t seed = 0; seed < seeds; seed++) {
        struct result r = run(pmp_function_at(k), FEEDBACK[fb].alpha, seed);
        outcomes[seed] = r.outcomes > 0 ? (double)r.outcomes : INFINITY;
        reached += r.outcomes > 0 ? 1 : 0;
      }
      char name[64];
      snprintf(name, sizeof name, "exact_runs.%s.%s", FEEDBACK[fb].name, pmp_function_at(k)->name);
      bench_note(&b, name, bench_median(outcomes, seeds), "outcomes");
      snprintf(name, sizeof name, "exact_runs.%s.%s.share", FEEDBACK[fb].name,
               pmp_function_at(k)->name);
      bench_note(&b, name, reached / (double)seeds, "of seeds");
    }
  return 0;
}
