/* ipo-d1-d3: IPO Sec. 5.4. DPO, IPO and PMPO on three small sets of preferences, and the two
 * actions of Sec. 5.3.1, against their closed forms (objectives.md 6). */
#include "experiments/grid.h"
#include "experiments/report.h"
#include "experiments/stats.h"
#include "experiments/tabular_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DATA = 4, OBJECTIVES = 3, STRENGTHS = 4, POINTS = 120, STEPS = 18000, BATCH = 9 };

static const char *const objectives[OBJECTIVES] = {"dpo", "ipo", "pmpo"};
static const char *const titles[OBJECTIVES] = {"DPO", "IPO", "PMPO"};
static const char *const actions[] = {"a", "b", "c"};
static const char *const colours[] = {"#2b6cb0", "#2f855a", "#dd6b20"};
/* tau of DPO and IPO are the paper's; PMPO's beta spans what has a finite minimum and what has
 * none. */
static const double taus[STRENGTHS] = {0.1, 0.5, 1, 5}, betas[STRENGTHS] = {0.5, 1.5, 2, 5};

struct tabular_grid {
  size_t seeds;
  uint32_t steps;
  json_t **result; /* by job */
};

struct cell {
  size_t data, objective, strength;
};

static double strength_of(struct cell c) {
  return c.objective == 2 ? betas[c.strength] : taus[c.strength];
}

static size_t jobs(const struct tabular_grid *g) {
  return DATA * OBJECTIVES * STRENGTHS * g->seeds;
}

static struct cell cell_of(const struct tabular_grid *g, size_t job) {
  const size_t i = job / g->seeds;
  return (struct cell){i / STRENGTHS / OBJECTIVES, i / STRENGTHS % OBJECTIVES, i % STRENGTHS};
}

static const json_t *result_of(const struct tabular_grid *g, struct cell c, size_t seed) {
  return g
      ->result[((c.data * OBJECTIVES + c.objective) * STRENGTHS + c.strength) * g->seeds + seed];
}

/* ---------------------------------------------------------------- one job */

static json_t *settings(void *ctx, size_t job) {
  const struct tabular_grid *g = ctx;
  const struct cell c = cell_of(g, job);
  return json_pack("{s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:i, s:f}", "experiment", "ipo-d1-d3",
                   "version", PMP_VERSION, "data", pmp_tabular_data_at(c.data)->name, "objective",
                   objectives[c.objective], "strength", strength_of(c), "seed",
                   (json_int_t)(job % g->seeds + 1), "steps", (json_int_t)g->steps, "batch", BATCH,
                   "lr", 0.01);
}

static void note(json_t *curve[], const double *pi, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) json_array_append_new(curve[i], pmp_report_number(pi[i]));
}

/* Curves of pi, and its mean over the last tenth: the last steps alone still move with the batches
 * that were drawn. */
static enum pmp_err play(struct pmp_tabular_run *r, uint32_t steps, const volatile int *stop,
                         json_t *curve[], double *mean, struct pmp_errmsg *msg) {
  const uint32_t n = r->config.data->actions, tail = steps / 10 > 0 ? steps / 10 : 1;
  double pi[PMP_TABULAR_ACTIONS_MAX];
  pmp_tabular_run_probabilities(r, pi);
  note(curve, pi, n);
  for (uint64_t point = 1; point <= POINTS; point++) {
    if (pmp_grid_stopped(stop)) return PMP_ECLOSED;
    while (r->step < point * steps / POINTS) {
      PMP_TRY(pmp_tabular_run_step(r, msg));
      if (r->step + tail <= steps) continue;
      pmp_tabular_run_probabilities(r, pi);
      for (uint32_t i = 0; i < n; i++) mean[i] += pi[i] / tail;
    }
    pmp_tabular_run_probabilities(r, pi);
    note(curve, pi, n);
  }
  return PMP_OK;
}

static enum pmp_err run_job(void *ctx, size_t job, const volatile int *stop, json_t **result,
                            struct pmp_errmsg *msg) {
  const struct tabular_grid *g = ctx;
  const struct cell c = cell_of(g, job);
  const struct pmp_tabular_config config = {.data = pmp_tabular_data_at(c.data),
                                            .objective = objectives[c.objective],
                                            .strength = strength_of(c),
                                            .batch = BATCH,
                                            .lr = 0.01F,
                                            .seed = job % g->seeds + 1};
  struct pmp_tabular_run r;
  double mean[PMP_TABULAR_ACTIONS_MAX] = {0};
  const uint32_t n = config.data->actions;
  json_t *curve[3] = {json_array(), json_array(), json_array()};
  json_t *out = json_object(), *means = json_array(), *logits = json_array();
  enum pmp_err err = pmp_tabular_run_init(&r, &config, msg);
  if (err == PMP_OK) err = play(&r, g->steps, stop, curve, mean, msg);
  for (uint32_t i = 0; err == PMP_OK && i < n; i++) {
    json_object_set(out, actions[i], curve[i]);
    json_array_append_new(means, pmp_report_number(mean[i]));
    json_array_append_new(logits, pmp_report_number((double)r.head[i]));
  }
  json_object_set_new(out, "mean", means);
  json_object_set_new(out, "logits", logits);
  for (int i = 0; i < 3; i++) json_decref(curve[i]);
  if (err == PMP_OK) {
    *result = out;
  } else {
    json_decref(out);
  }
  return err;
}

/* ---------------------------------------------------------------- results */

static double number(const json_t *value) {
  return json_is_number(value) ? json_number_value(value) : NAN;
}

/* pi(action) over the seeds: at a point of the curve, or (point < 0) its mean over the last tenth
 * of the run. */
static struct pmp_band band(const struct tabular_grid *g, struct cell c, uint32_t action,
                            long point) {
  struct pmp_band out = {NAN, NAN, NAN, NAN, NAN, 0};
  double *v = calloc(g->seeds, sizeof *v);
  if (v == NULL) return out;
  for (size_t seed = 0; seed < g->seeds; seed++) {
    const json_t *r = result_of(g, c, seed);
    const json_t *row = json_object_get(r, point < 0 ? "mean" : actions[action]);
    v[seed] = number(json_array_get(row, point < 0 ? action : (size_t)point));
  }
  out = pmp_band_of(v, g->seeds);
  free(v);
  return out;
}

static bool closed(struct cell c, double *pi, struct pmp_errmsg *msg) {
  return pmp_tabular_closed_form(pmp_tabular_data_at(c.data), objectives[c.objective],
                                 strength_of(c), pi, msg) == PMP_OK;
}

/* ---------------------------------------------------------------- figures */

static void curve_panel(const struct tabular_grid *g, struct cell c, bool both, FILE *out) {
  const struct pmp_tabular_data *data = pmp_tabular_data_at(c.data);
  const size_t first = c.objective, last = both ? c.objective + 1 : c.objective;
  for (size_t o = first; o <= last; o++) {
    fprintf(out, "$o%zu << EOD\n", o);
    for (size_t p = 0; p <= POINTS; p++) {
      fprintf(out, "%llu", (unsigned long long)(p * g->steps / POINTS));
      for (uint32_t i = 0; i < data->actions; i++) {
        const struct pmp_band b = band(g, (struct cell){c.data, o, c.strength}, i, (long)p);
        fprintf(out, " %.5g %.5g %.5g", b.p10, b.median, b.p90);
      }
      fputc('\n', out);
    }
    fputs("EOD\n", out);
  }
  fprintf(out, "set title \"%s, %s = %g\" offset 0,-0.6\nplot ", data->name,
          c.objective == 2 ? "β" : "τ", strength_of(c));
  for (size_t o = first; o <= last; o++) {
    for (uint32_t i = 0; i < data->actions; i++) {
      const uint32_t at = 2 + 3 * i;
      fprintf(out, "%s$o%zu using 1:%u:%u with filledcurves lc rgb \"%s\" notitle",
              o == first && i == 0 ? "" : ", ", o, at, at + 2, colours[i]);
      fprintf(out, ", $o%zu using 1:%u with lines lw 2 dt %d lc rgb \"%s\" notitle", o, at + 1,
              o == 0 ? 2 : 1, colours[i]);
    }
  }
  double pi[PMP_TABULAR_ACTIONS_MAX];
  struct pmp_errmsg msg;
  const struct cell exact = {c.data, last, c.strength};
  if (closed(exact, pi, &msg)) {
    for (uint32_t i = 0; i < data->actions; i++)
      fprintf(out, ", %.6f with points pt 6 ps 0.8 lw 1.2 lc rgb \"#000000\" notitle", pi[i]);
  }
  fputc('\n', out);
}

/* Rows: data sets; columns: strengths. `both`: IPO over DPO, else PMPO. */
static enum pmp_err curves(const struct tabular_grid *g, const struct pmp_report *r, bool both,
                           struct pmp_errmsg *msg) {
  const char *suffix = both ? "-curves" : "-curves-pmpo";
  char title[160];
  FILE *out = NULL;
  snprintf(title, sizeof title,
           "%s: action probabilities by step, median and 10 to 90%% of %zu seeds",
           both ? "IPO (solid) and DPO (dashed)" : "PMPO", g->seeds);
  PMP_TRY(pmp_report_figure(r, suffix, STRENGTHS, 3, 245, 165, title, &out, msg));
  fprintf(out,
          "set yrange [-0.03:1.03]\nset xrange [0:%u]\nset format x \"%%.0s%%c\"\nset xtics %u\n"
          "set samples 10\n", /* of the closed forms: circles on the lines that they explain */
          g->steps, g->steps / 3 > 0 ? g->steps / 3 : 1);
  for (size_t d = 0; d < 3; d++) {
    for (size_t s = 0; s < STRENGTHS; s++) {
      curve_panel(g, (struct cell){d, both ? 0 : 2, s}, both, out);
      if (d == 0 && s == 0) fputs("unset label 1\n", out);
    }
  }
  pmp_report_key(out);
  for (size_t o = both ? 0 : 2; o < (both ? 2 : 3); o++) {
    for (int i = 0; i < 3; i++)
      fprintf(out, ", keyentry with lines lw 2 dt %d lc rgb \"%s\" title \"%s π(%s)\"",
              o == 0 ? 2 : 1, colours[i], titles[o], actions[i]);
  }
  fputs(", keyentry with points pt 6 ps 0.8 lw 1.2 lc rgb \"#000000\" title \"closed form\"\n",
        out);
  return pmp_report_draw(r, suffix, out, msg);
}

/* Closed forms as lines over a fine grid of strengths. */
static void final_lines(size_t data, size_t objective, uint32_t n, FILE *out) {
  fprintf(out, "$c%zu_%zu << EOD\n", data, objective);
  for (int i = 0; i <= 100; i++) {
    double pi[PMP_TABULAR_ACTIONS_MAX];
    const double strength = 0.08 * pow(6.5 / 0.08, i / 100.0);
    struct pmp_errmsg msg;
    if (pmp_tabular_closed_form(pmp_tabular_data_at(data), objectives[objective], strength, pi,
                                &msg) != PMP_OK)
      continue;
    fprintf(out, "%.5g", strength);
    for (uint32_t a = 0; a < n; a++) fprintf(out, " %.5g", pi[a]);
    fputc('\n', out);
  }
  fputs("EOD\n", out);
}

static void final_panel(const struct tabular_grid *g, size_t data, size_t objective, FILE *out) {
  const struct pmp_tabular_data *d = pmp_tabular_data_at(data);
  double pi[PMP_TABULAR_ACTIONS_MAX];
  struct pmp_errmsg msg;
  const bool exact = closed((struct cell){data, objective, STRENGTHS - 1}, pi, &msg);
  final_lines(data, objective, d->actions, out);
  fprintf(out, "$p%zu_%zu << EOD\n", data, objective);
  for (size_t s = 0; s < STRENGTHS; s++) {
    const struct cell c = {data, objective, s};
    fprintf(out, "%g", strength_of(c));
    for (uint32_t a = 0; a < d->actions; a++) {
      const struct pmp_band b = band(g, c, a, -1);
      fprintf(out, " %.5g %.5g %.5g", b.median, b.p10, b.p90);
    }
    fputc('\n', out);
  }
  fprintf(out, "EOD\nset title \"%s on %s\" offset 0,-0.6\nset xlabel \"%s\" offset 0,0.7\nplot ",
          titles[objective], d->name, objective == 2 ? "β" : "τ");
  for (uint32_t a = 0; a < d->actions; a++) {
    if (exact)
      fprintf(out, "%s$c%zu_%zu using 1:%u with lines lw 1.6 lc rgb \"%s\" notitle",
              a > 0 ? ", " : "", data, objective, a + 2, colours[a]);
    fprintf(out,
            "%s$p%zu_%zu using 1:%u:%u:%u with yerrorbars pt 7 ps 1.1 lw 1.6 lc rgb \"%s\" "
            "notitle",
            exact || a > 0 ? ", " : "", data, objective, 3 * a + 2, 3 * a + 3, 3 * a + 4,
            colours[a]);
  }
  fputc('\n', out);
}

static enum pmp_err finals(const struct tabular_grid *g, const struct pmp_report *r,
                           struct pmp_errmsg *msg) {
  char title[160];
  FILE *out = NULL;
  snprintf(title, sizeof title,
           "Where %u steps end: mean of the last tenth, median and 10 to 90%% of %zu seeds",
           g->steps, g->seeds);
  PMP_TRY(pmp_report_figure(r, "-final", OBJECTIVES, 3, 300, 170, title, &out, msg));
  fputs("set logscale x\nset xrange [0.08:6.5]\nset yrange [-0.03:1.03]\n"
        "set xtics (0.1, 0.5, 1, 2, 5)\n",
        out);
  for (size_t d = 0; d < 3; d++) {
    for (size_t o = 0; o < OBJECTIVES; o++) {
      final_panel(g, d, o, out);
      if (d == 0 && o == 0) fputs("unset label 1\n", out);
    }
  }
  pmp_report_key(out);
  for (int i = 0; i < 3; i++)
    fprintf(out, ", keyentry with points pt 7 ps 1.1 lc rgb \"%s\" title \"π(%s)\"", colours[i],
            actions[i]);
  fputs(", keyentry with lines lw 1.6 lc rgb \"#333333\" title \"closed form\"\n", out);
  return pmp_report_draw(r, "-final", out, msg);
}

/* ---------------------------------------------------------------- tables */

static void table(const struct tabular_grid *g, struct pmp_report *r, size_t data) {
  const struct pmp_tabular_data *d = pmp_tabular_data_at(data);
  pmp_report_text(r,
                  "\n### %s\n\nMean over the last tenth of %u steps, median [least, most] of %zu "
                  "seeds; in the last column the closed form\n\n| objective | strength |",
                  d->title, g->steps, g->seeds);
  for (uint32_t a = 0; a < d->actions; a++) pmp_report_text(r, " π(%s) |", actions[a]);
  pmp_report_text(r, " closed form |\n| --- | --- |");
  for (uint32_t a = 0; a <= d->actions; a++) pmp_report_text(r, " --- |");
  pmp_report_text(r, "\n");
  for (size_t i = 0; i < OBJECTIVES * STRENGTHS; i++) {
    const struct cell c = {data, i / STRENGTHS, i % STRENGTHS};
    double pi[PMP_TABULAR_ACTIONS_MAX];
    struct pmp_errmsg why = {{0}};
    json_t *line = json_pack("{s:s, s:s, s:s, s:f, s:i}", "experiment", "ipo-d1-d3", "data",
                             d->name, "objective", objectives[c.objective], "strength",
                             strength_of(c), "seeds", (int)g->seeds);
    pmp_report_text(r, "| %s | %s %g |", titles[c.objective], c.objective == 2 ? "β" : "τ",
                    strength_of(c));
    for (uint32_t a = 0; a < d->actions; a++) {
      const struct pmp_band b = band(g, c, a, -1);
      pmp_report_text(r, " %.3f [%.3f, %.3f] |", b.median, b.best, b.worst);
      json_object_set_new(line, actions[a], pmp_report_number(b.median));
    }
    const bool exact = closed(c, pi, &why);
    if (!exact) pmp_report_text(r, " %s", why.text);
    for (uint32_t a = 0; exact && a < d->actions; a++)
      pmp_report_text(r, "%s%.3f", a > 0 ? ", " : " ", pi[a]);
    pmp_report_text(r, " |\n");
    pmp_report_json(r, line);
  }
}

static enum pmp_err csv(const struct tabular_grid *g, const struct pmp_report *r,
                        struct pmp_errmsg *msg) {
  FILE *runs = NULL, *points = NULL;
  PMP_TRY(pmp_report_file(r, "-runs.csv", &runs, msg));
  fputs("data,objective,strength,seed,steps,a,b,c,logit_a,logit_b,logit_c\n", runs);
  for (size_t job = 0; job < jobs(g); job++) {
    const struct cell c = cell_of(g, job);
    const json_t *result = g->result[job];
    fprintf(runs, "%s,%s,%g,%zu,%u", pmp_tabular_data_at(c.data)->name, objectives[c.objective],
            strength_of(c), job % g->seeds + 1, g->steps);
    static const char *const key[] = {"mean", "logits"};
    for (size_t i = 0; i < 6; i++)
      fprintf(runs, ",%.8g", number(json_array_get(json_object_get(result, key[i / 3]), i % 3)));
    fputc('\n', runs);
  }
  PMP_TRY(pmp_report_file_close(runs, msg));
  PMP_TRY(pmp_report_file(r, "-curves.csv", &points, msg));
  fputs("data,objective,strength,action,step,p10,median,p90\n", points);
  for (size_t i = 0; i < DATA * OBJECTIVES * STRENGTHS; i++) {
    const struct cell c = cell_of(g, i * g->seeds);
    for (uint32_t a = 0; a < pmp_tabular_data_at(c.data)->actions; a++) {
      for (size_t p = 0; p <= POINTS; p++) {
        const struct pmp_band b = band(g, c, a, (long)p);
        fprintf(points, "%s,%s,%g,%s,%llu,%.5g,%.5g,%.5g\n", pmp_tabular_data_at(c.data)->name,
                objectives[c.objective], strength_of(c), actions[a],
                (unsigned long long)(p * g->steps / POINTS), b.p10, b.median, b.p90);
      }
    }
  }
  return pmp_report_file_close(points, msg);
}

/* ---------------------------------------------------------------- claims */

/* Of more seeds than were measured the furthest ones are further off: then 10 to 90% are meant. */
enum { SEEDS_MEASURED = 10 };

/* The largest distance from the closed form over actions, and of its seeds. */
static double off(const struct tabular_grid *g, struct cell c) {
  double pi[PMP_TABULAR_ACTIONS_MAX], most = 0.0;
  struct pmp_errmsg msg;
  if (!closed(c, pi, &msg)) return INFINITY;
  for (uint32_t a = 0; a < pmp_tabular_data_at(c.data)->actions; a++) {
    const struct pmp_band b = band(g, c, a, -1);
    const bool all = g->seeds <= SEEDS_MEASURED;
    const double low = all ? b.best : b.p10, high = all ? b.worst : b.p90;
    most = fmax(most, fmax(fabs(low - pi[a]), fabs(high - pi[a])));
  }
  return most;
}

static void claim_closed(const struct tabular_grid *g, struct pmp_report *r, size_t objective,
                         double bound) {
  for (size_t d = 0; d < DATA; d++) {
    double most = 0.0;
    size_t count = 0;
    for (size_t s = 0; s < STRENGTHS; s++) {
      const double one = off(g, (struct cell){d, objective, s});
      if (isinf(one)) continue;
      most = fmax(most, one);
      count++;
    }
    if (count > 0)
      pmp_report_claim(r, most <= bound,
                       "%s on %s is within %.2g of its closed form (%zu strengths, %s): %.3f",
                       titles[objective], pmp_tabular_data_at(d)->name, bound, count,
                       g->seeds <= SEEDS_MEASURED ? "every seed" : "10 to 90% of seeds", most);
  }
}

static void check_claims(const struct tabular_grid *g, struct pmp_report *r) {
  enum { DPO = 0, IPO = 1, PMPO = 2, D1 = 0, D3 = 1, D3_PRIME = 2, TWO = 3, A = 0, C = 2 };
  double least = 1.0, most = 0.0, apart = 0.0, two = 1.0;
  pmp_report_text(r, "\n### Claims\n\n");
  for (size_t s = 0; s < STRENGTHS; s++) {
    least = fmin(least, band(g, (struct cell){D1, DPO, s}, A, -1).best);
    two = fmin(two, band(g, (struct cell){TWO, DPO, s}, A, -1).best);
    most = fmax(most, band(g, (struct cell){D3_PRIME, DPO, s}, C, -1).worst);
    for (size_t o = 0; o < OBJECTIVES; o++) {
      const struct pmp_band b = band(g, (struct cell){D3, o, s}, C, -1);
      apart = fmax(apart, fmax(fabs(b.best - 1.0 / 3), fabs(b.worst - 1.0 / 3)));
    }
  }
  pmp_report_claim(r, least >= 0.95,
                   "DPO on D1 is greedy for every tau: least pi(a) of all seeds %.3f >= 0.95",
                   least);
  pmp_report_claim(r, two >= 0.95,
                   "DPO on two actions is greedy for every tau: least pi(a) %.3f >= 0.95", two);
  pmp_report_claim(r, most <= 0.03,
                   "DPO on D3' excludes the action that never wins: most pi(c) %.3f <= 0.03", most);
  pmp_report_claim(r, apart <= 0.03,
                   "D3 as printed says nothing of c: |pi(c) - 1/3| <= 0.03 for every objective and "
                   "strength: %.4f",
                   apart);
  claim_closed(g, r, IPO, 0.03);
  claim_closed(g, r, PMPO, 0.03);
  const struct pmp_band gone = band(g, (struct cell){D1, PMPO, 0}, C, -1);
  pmp_report_claim(r, gone.worst <= 0.01,
                   "PMPO on D1 below its least beta (0.5 < 1) gives c up: most pi(c) %.4f <= 0.01",
                   gone.worst);
}

/* ---------------------------------------------------------------- the experiment */

static enum pmp_err report(const struct tabular_grid *g, struct pmp_report *r,
                           struct pmp_errmsg *msg) {
  for (size_t d = 0; d < DATA; d++) table(g, r, d);
  PMP_TRY(curves(g, r, true, msg));
  PMP_TRY(curves(g, r, false, msg));
  PMP_TRY(finals(g, r, msg));
  PMP_TRY(csv(g, r, msg));
  if (g->steps == STEPS) {
    check_claims(g, r);
  } else {
    pmp_report_text(r, "\n### Claims\n\n");
    pmp_report_unjudged(r, "18000 steps", "where DPO, IPO and PMPO end");
  }
  return PMP_OK;
}

static enum pmp_err play_grid(struct tabular_grid *g, const struct pmp_report *r,
                              struct pmp_errmsg *msg) {
  char path[PMP_REPORT_PATH_MAX];
  pmp_report_path(r, ".jsonl", path);
  g->result = calloc(jobs(g), sizeof(json_t *));
  if (g->result == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  const struct pmp_grid grid = {.name = "ipo-d1-d3",
                                .path = path,
                                .jobs = jobs(g),
                                .threads = r->options->threads,
                                .quiet = r->options->quiet,
                                .stop = r->options->stop,
                                .ctx = g,
                                .settings = settings,
                                .run = run_job};
  return pmp_grid_run(&grid, g->result, msg);
}

static enum pmp_err run(const struct pmp_experiment_options *o, uint32_t *failed,
                        struct pmp_errmsg *msg) {
  struct tabular_grid g = {.seeds = o->seeds > 0 ? o->seeds
                                    : o->quick   ? 2
                                                 : 10,
                           .steps = o->steps > 0 ? o->steps : STEPS};
  struct pmp_report r = {0};
  if (o->end_to_end || o->methods != NULL || o->functions != NULL || o->dims != NULL)
    return pmp_fail(msg, PMP_EINVALID,
                    "--end-to-end, --functions, --methods and --dims are options of bandits");
  enum pmp_err err = pmp_report_open(&r, o, "ipo-d1-d3", msg);
  if (err == PMP_OK) {
    char settings[64];
    snprintf(settings, sizeof settings, "--seeds %zu --steps %u", g.seeds, g.steps);
    pmp_report_begin(&r, settings);
    err = play_grid(&g, &r, msg);
  }
  if (err == PMP_OK) err = report(&g, &r, msg);
  for (size_t i = 0; g.result != NULL && i < jobs(&g); i++) json_decref(g.result[i]);
  free(g.result);
  const enum pmp_err closed_page = pmp_report_close(&r, err == PMP_OK ? msg : NULL);
  *failed = r.failed;
  return err == PMP_OK ? closed_page : err;
}

const struct pmp_experiment pmp_experiment_ipo = {
    "ipo-d1-d3", "DPO, IPO and PMPO on D1, D3 and D3' (IPO Sec. 5.4)", run};
