#include "experiments/bandit_grid.h"

#include "experiments/grid.h"
#include "experiments/names.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- what there is to run */

const char *pmp_bandit_function_name(size_t i) {
  return i < pmp_function_count() ? pmp_function_at((uint32_t)i)->name : NULL;
}

const char *pmp_bandit_method_name(size_t i) {
  const struct pmp_bandit_method *m = pmp_bandit_method_at(i);
  return m != NULL ? m->name : NULL;
}

static bool take_dim(struct pmp_bandit_grid *g, unsigned long value) {
  if (value < 1 || value > PMP_BANDIT_RUN_DIM_MAX) return false;
  for (size_t i = 0; i < g->dims; i++) {
    if (g->dim[i] == value) return true;
  }
  if (g->dims == PMP_BANDIT_DIMS_MAX) return false;
  g->dim[g->dims++] = (uint32_t)value;
  return true;
}

static enum pmp_err parse_dims(struct pmp_bandit_grid *g, const char *list,
                               struct pmp_errmsg *msg) {
  char bad[200] = "";
  for (const char *at = list;; at++) {
    char *end = NULL;
    const int word = (int)strcspn(at, ",");
    const unsigned long value = strtoul(at, &end, 10);
    if (at[0] < '0' || at[0] > '9' || end != at + word || !take_dim(g, value))
      snprintf(bad + strlen(bad), sizeof bad - strlen(bad), "%s\"%.*s\"",
               bad[0] != '\0' ? ", " : "", word < 40 ? word : 40, at);
    at += word;
    if (*at == '\0') break;
  }
  if (bad[0] == '\0') return PMP_OK;
  return pmp_fail(msg, PMP_EINVALID, "--dims: not %s: up to %d numbers from 1 to %d", bad,
                  PMP_BANDIT_DIMS_MAX, PMP_BANDIT_RUN_DIM_MAX);
}

enum pmp_err pmp_bandit_grid_init(struct pmp_bandit_grid *g, const char *experiment,
                                  const struct pmp_experiment_options *o, struct pmp_errmsg *msg) {
  *g = (struct pmp_bandit_grid){.experiment = experiment, .steps = o->steps};
  PMP_TRY(pmp_names_check("functions", o->functions, pmp_bandit_function_name, msg));
  PMP_TRY(pmp_names_check("methods", o->methods, pmp_bandit_method_name, msg));
  for (uint32_t i = 0; i < pmp_function_count(); i++) {
    if (pmp_names_listed(o->functions, pmp_function_at(i)->name))
      g->function[g->functions++] = pmp_function_at(i);
  }
  g->seeds = o->seeds > 0 ? o->seeds : o->quick ? 5 : 10;
  return parse_dims(g, o->dims != NULL ? o->dims : o->quick ? "2" : "2,10", msg);
}

static void say(char *out, size_t size, const char *before, const char *word) {
  const size_t used = strlen(out);
  snprintf(out + used, size - used, "%s%s", before, word);
}

void pmp_bandit_grid_say(const struct pmp_bandit_grid *g, bool methods, char *out, size_t size) {
  char number[16];
  snprintf(out, size, "--seeds %zu", g->seeds);
  if (g->steps > 0) {
    snprintf(number, sizeof number, "%u", g->steps);
    say(out, size, " --steps ", number);
  }
  for (size_t i = 0; i < g->dims; i++) {
    snprintf(number, sizeof number, "%u", g->dim[i]);
    say(out, size, i > 0 ? "," : " --dims ", number);
  }
  for (size_t i = 0; g->functions < pmp_function_count() && i < g->functions; i++)
    say(out, size, i > 0 ? "," : " --functions ", g->function[i]->name);
  /* Fewer than the table has. */
  methods = methods && pmp_bandit_method_at(g->methods) != NULL;
  for (size_t i = 0; methods && i < g->methods; i++)
    say(out, size, i > 0 ? "," : " --methods ", g->method[i].name);
}

static size_t jobs(const struct pmp_bandit_grid *g) {
  return g->functions * g->dims * g->methods * g->seeds;
}

void pmp_bandit_grid_fini(struct pmp_bandit_grid *g) {
  for (size_t i = 0; g->result != NULL && i < jobs(g); i++) json_decref(g->result[i]);
  free(g->result);
  g->result = NULL;
}

uint32_t pmp_bandit_grid_whole(uint32_t dim) {
  return dim <= 2 ? 5000 : 20000;
}

uint32_t pmp_bandit_grid_steps(const struct pmp_bandit_grid *g, uint32_t dim) {
  return g->steps > 0 ? g->steps : pmp_bandit_grid_whole(dim);
}

static size_t job_of(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell, size_t seed) {
  return ((cell.function * g->dims + cell.dim) * g->methods + cell.method) * g->seeds + seed;
}

static void config_of(const struct pmp_bandit_grid *g, size_t job,
                      struct pmp_bandit_run_config *config, uint32_t *steps) {
  const size_t seed = job % g->seeds, method = job / g->seeds % g->methods;
  const size_t dim = job / g->seeds / g->methods % g->dims;
  const size_t function = job / g->seeds / g->methods / g->dims;
  pmp_bandit_run_defaults(config, g->function[function], &g->method[method], g->dim[dim],
                          (uint64_t)seed + 1);
  *steps = pmp_bandit_grid_steps(g, g->dim[dim]);
}

/* ---------------------------------------------------------------- one job */

static json_t *settings(void *ctx, size_t job) {
  const struct pmp_bandit_grid *g = ctx;
  struct pmp_bandit_run_config c;
  uint32_t steps;
  config_of(g, job, &c, &steps);
  const struct pmp_bandit_method *m = &c.method;
  return json_pack(
      "{s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
      "experiment", g->experiment, "version", PMP_VERSION, "function", c.function->name, "dim",
      (json_int_t)c.dim, "method", m->name, "seed", (json_int_t)c.seed, "steps", (json_int_t)steps,
      "samples", (json_int_t)c.samples, "refresh_period", (json_int_t)c.refresh_period, "lr",
      (double)c.lr, "init_std", (double)c.init_std, "init_mean_range", (double)c.init_mean_range,
      "alpha", m->exact ? m->alpha : m->loss.alpha, "beta",
      m->exact ? m->beta_mean : m->loss.beta[0], "beta_cov", m->exact ? m->beta_cov : 0.0, "tau",
      m->exact ? 0.0 : m->loss.tau);
}

/* Evaluations of the budget at a point of the curve. */
static uint64_t evaluations_at(uint32_t steps, size_t point) {
  return 4ULL * steps * point / PMP_BANDIT_POINTS;
}

/* *reached: evaluations at the first refresh with f(mean) on target; INFINITY. */
static enum pmp_err play(struct pmp_bandit_run *r, uint32_t steps, const volatile int *stop,
                         json_t *curve, double *reached, struct pmp_errmsg *msg) {
  bool rests = false;
  *reached = INFINITY;
  json_array_append_new(curve, pmp_report_number(pmp_bandit_run_f_mean(r)));
  for (size_t point = 1; point <= PMP_BANDIT_POINTS; point++) {
    if (pmp_grid_stopped(stop)) return PMP_ECLOSED;
    while (!rests && r->evaluations < evaluations_at(steps, point)) {
      PMP_TRY(pmp_bandit_run_step(r, msg));
      if (r->step % r->config.refresh_period != 0) continue;
      const double f = pmp_bandit_run_f_mean(r);
      if (isinf(*reached) && f <= PMP_BANDIT_TARGET) *reached = (double)r->evaluations;
      rests = r->rests || f <= PMP_BANDIT_FLOOR;
    }
    json_array_append_new(curve, pmp_report_number(pmp_bandit_run_f_mean(r)));
  }
  return PMP_OK;
}

static enum pmp_err run(void *ctx, size_t job, const volatile int *stop, json_t **result,
                        struct pmp_errmsg *msg) {
  struct pmp_bandit_run r;
  struct pmp_bandit_run_config config;
  uint32_t steps;
  double distance, std, reached;
  json_t *curve = json_array();
  config_of(ctx, job, &config, &steps);
  enum pmp_err err = pmp_bandit_run_init(&r, &config, msg);
  if (err == PMP_OK) err = play(&r, steps, stop, curve, &reached, msg);
  if (err == PMP_OK) {
    pmp_bandit_run_shape(&r, &distance, &std);
    *result = json_pack("{s:O, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "f_mean", curve, "final",
                        pmp_report_number(pmp_bandit_run_f_mean(&r)), "best",
                        pmp_report_number(r.best), "distance", pmp_report_number(distance), "std",
                        pmp_report_number(std), "reached", pmp_report_number(reached),
                        "evaluations", (json_int_t)r.evaluations, "skipped", (json_int_t)r.skipped);
    if (*result == NULL) err = pmp_fail(msg, PMP_ENOMEM, "out of memory");
  }
  json_decref(curve);
  pmp_bandit_run_fini(&r);
  return err;
}

enum pmp_err pmp_bandit_grid_run(struct pmp_bandit_grid *g, const struct pmp_report *report,
                                 struct pmp_errmsg *msg) {
  char path[PMP_REPORT_PATH_MAX];
  pmp_report_path(report, ".jsonl", path);
  g->result = calloc(jobs(g), sizeof(json_t *));
  if (g->result == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  const struct pmp_grid grid = {.name = g->experiment,
                                .path = path,
                                .jobs = jobs(g),
                                .threads = report->options->threads,
                                .quiet = report->options->quiet,
                                .stop = report->options->stop,
                                .ctx = g,
                                .settings = settings,
                                .run = run};
  return pmp_grid_run(&grid, g->result, msg);
}

/* ---------------------------------------------------------------- results */

static double number(const json_t *value) {
  return json_is_number(value) ? json_number_value(value) : NAN;
}

double pmp_bandit_grid_final(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell,
                             size_t seed) {
  return number(json_object_get(g->result[job_of(g, cell, seed)], "final"));
}

/* point < 0: of the key itself, else of the array under it. */
static struct pmp_band band(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell,
                            const char *key, long point) {
  struct pmp_band out = {NAN, NAN, NAN, NAN, NAN, 0};
  double *v = calloc(g->seeds, sizeof *v);
  if (v == NULL) return out;
  for (size_t seed = 0; seed < g->seeds; seed++) {
    const json_t *value = json_object_get(g->result[job_of(g, cell, seed)], key);
    v[seed] = number(point < 0 ? value : json_array_get(value, (size_t)point));
  }
  out = pmp_band_of(v, g->seeds);
  free(v);
  return out;
}

struct pmp_band pmp_bandit_grid_band(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell,
                                     const char *key) {
  return band(g, cell, key, -1);
}

size_t pmp_bandit_grid_count(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell,
                             const char *key) {
  size_t n = 0;
  for (size_t seed = 0; seed < g->seeds; seed++)
    n += json_is_number(json_object_get(g->result[job_of(g, cell, seed)], key));
  return n;
}

struct pmp_band pmp_bandit_grid_point(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell,
                                      size_t point) {
  return band(g, cell, "f_mean", (long)point);
}

static void csv_runs(const struct pmp_bandit_grid *g, FILE *out) {
  fputs("function,dim,method,beta,seed,evaluations,final,best,reached,distance,std,skipped\n", out);
  for (size_t job = 0; job < jobs(g); job++) {
    struct pmp_bandit_run_config c;
    uint32_t steps;
    const json_t *r = g->result[job];
    config_of(g, job, &c, &steps);
    fprintf(out, "%s,%u,%s,%.6g,%llu", c.function->name, c.dim, c.method.name,
            c.method.exact ? c.method.beta_mean : c.method.loss.beta[0],
            (unsigned long long)c.seed);
    static const char *const key[] = {"evaluations", "final", "best",   "reached",
                                      "distance",    "std",   "skipped"};
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
      fprintf(out, ",%.8g", number(json_object_get(r, key[i])));
    fputc('\n', out);
  }
}

static void csv_curves(const struct pmp_bandit_grid *g, FILE *out) {
  fputs("function,dim,method,beta,evaluations,p10,median,p90\n", out);
  for (size_t i = 0; i < g->functions * g->dims * g->methods; i++) {
    const struct pmp_bandit_cell cell = {i / g->methods / g->dims, i / g->methods % g->dims,
                                         i % g->methods};
    const struct pmp_bandit_method *m = &g->method[cell.method];
    const uint32_t dim = g->dim[cell.dim], steps = pmp_bandit_grid_steps(g, dim);
    for (size_t p = 0; p <= PMP_BANDIT_POINTS; p++) {
      const struct pmp_band b = pmp_bandit_grid_point(g, cell, p);
      fprintf(out, "%s,%u,%s,%.6g,%llu,%.5g,%.5g,%.5g\n", g->function[cell.function]->name, dim,
              m->name, m->exact ? m->beta_mean : m->loss.beta[0],
              (unsigned long long)evaluations_at(steps, p), b.p10, b.median, b.p90);
    }
  }
}

enum pmp_err pmp_bandit_grid_csv(const struct pmp_bandit_grid *g, const struct pmp_report *report,
                                 struct pmp_errmsg *msg) {
  FILE *out = NULL;
  PMP_TRY(pmp_report_file(report, "-runs.csv", &out, msg));
  csv_runs(g, out);
  PMP_TRY(pmp_report_file_close(out, msg));
  PMP_TRY(pmp_report_file(report, "-curves.csv", &out, msg));
  csv_curves(g, out);
  return pmp_report_file_close(out, msg);
}
