/* bandits: PMPO Fig. 1. Six functions, every method, in 2 and 10 dimensions (experiments.md 1). */
#include "experiments/bandit_grid.h"
#include "experiments/end_to_end.h"
#include "experiments/names.h"

#include <math.h>
#include <string.h>

/* Values below this are not drawn: where they are, differences say nothing any more. */
#define DRAWN_MIN 1e-14

struct look {
  const char *method, *colour;
  int dash;
  double width;
};

static const struct look looks[] = {
    {"AR", "#2b6cb0", 1, 2.0},        {"A", "#2f855a", 1, 2.0},
    {"R", "#dd6b20", 1, 2.0},         {"DPO", "#805ad5", 1, 2.0},
    {"DPO-20", "#d53f8c", 1, 2.0},    {"BW", "#63b3ed", 2, 1.8},
    {"boltzmann", "#b7791f", 2, 1.8}, {"exact-AR", "#718096", 1, 2.2},
    {"exact-R", "#7cb518", 1, 2.2},   {"paths-AR", "#000000", 1, 2.4},
    {"paths-R", "#c53030", 1, 2.4},
};

static const struct look *look_of(const char *method) {
  for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
    if (strcmp(looks[i].method, method) == 0) return &looks[i];
  }
  return &looks[0];
}

/* ---------------------------------------------------------------- figure */

static void curve_data(const struct pmp_bandit_grid *g, struct pmp_bandit_cell cell, FILE *out) {
  const uint32_t steps = pmp_bandit_grid_steps(g, g->dim[cell.dim]);
  fprintf(out, "$f%zu_m%zu << EOD\n", cell.function, cell.method);
  for (size_t p = 0; p <= PMP_BANDIT_POINTS; p++) {
    const struct pmp_band b = pmp_bandit_grid_point(g, cell, p);
    /* On a logarithmic axis 0 has no place. */
    fprintf(out, "%llu %.6g %.6g %.6g\n", 4ULL * (p * steps / PMP_BANDIT_POINTS),
            fmax(b.p10, 1e-40), fmax(b.median, 1e-40), fmax(b.p90, 1e-40));
  }
  fputs("EOD\n", out);
}

static void panel(const struct pmp_bandit_grid *g, size_t function, FILE *out) {
  fprintf(out, "set title \"%s\" offset 0,-0.6\nplot ", g->function[function]->name);
  for (size_t m = 0; m < g->methods; m++)
    fprintf(out, "%s$f%zu_m%zu using 1:2:4 with filledcurves lc rgb \"%s\" notitle",
            m > 0 ? ", " : "", function, m, look_of(g->method[m].name)->colour);
  for (size_t m = 0; m < g->methods; m++) {
    const struct look *l = look_of(g->method[m].name);
    fprintf(out, ", $f%zu_m%zu using 1:3 with lines lc rgb \"%s\" lw %.1f dt %d notitle", function,
            m, l->colour, l->width, l->dash);
  }
  fputc('\n', out);
}

static enum pmp_err figure(const struct pmp_bandit_grid *g, const struct pmp_report *r, size_t dim,
                           struct pmp_errmsg *msg) {
  char suffix[24], title[160];
  FILE *out = NULL;
  const int columns = g->functions < 3 ? (int)g->functions : 3;
  const int rows = (int)((g->functions + (size_t)columns - 1) / (size_t)columns);
  snprintf(suffix, sizeof suffix, "-%ud", g->dim[dim]);
  snprintf(title, sizeof title,
           "f(mean) in %u dimensions: median and 10 to 90%% of %zu seeds, by evaluations",
           g->dim[dim], g->seeds);
  PMP_TRY(pmp_report_figure(r, suffix, columns, rows, 330, 235, title, &out, msg));
  for (size_t f = 0; f < g->functions; f++) {
    for (size_t m = 0; m < g->methods; m++) curve_data(g, (struct pmp_bandit_cell){f, dim, m}, out);
  }
  fprintf(out,
          "set logscale y\nset format y \"10^{%%T}\"\nset format x \"%%.0s%%c\"\n"
          "set yrange [%g:*]\nset xrange [0:%llu]\n",
          DRAWN_MIN, 4ULL * pmp_bandit_grid_steps(g, g->dim[dim]));
  for (size_t f = 0; f < g->functions; f++) {
    panel(g, f, out);
    if (f == 0) fputs("unset label 1\n", out);
  }
  pmp_report_key(out);
  for (size_t m = 0; m < g->methods; m++) {
    const struct look *l = look_of(g->method[m].name);
    fprintf(out, ", keyentry with lines lc rgb \"%s\" lw %.1f dt %d title \"%s\"", l->colour,
            l->width, l->dash, g->method[m].title);
  }
  fputc('\n', out);
  return pmp_report_draw(r, suffix, out, msg);
}

/* ---------------------------------------------------------------- tables */

static void table(const struct pmp_bandit_grid *g, struct pmp_report *r, size_t dim) {
  pmp_report_text(
      r,
      "\n### %u dimensions, %u evaluations\n\nf(mean) at the end, median [10%%, 90%%] of "
      "%zu seeds\n\n| method |",
      g->dim[dim], 4 * pmp_bandit_grid_steps(g, g->dim[dim]), g->seeds);
  for (size_t f = 0; f < g->functions; f++) pmp_report_text(r, " %s |", g->function[f]->name);
  pmp_report_text(r, "\n| --- |");
  for (size_t f = 0; f < g->functions; f++) pmp_report_text(r, " --- |");
  for (size_t m = 0; m < g->methods; m++) {
    pmp_report_text(r, "\n| %s |", g->method[m].title);
    for (size_t f = 0; f < g->functions; f++) {
      const struct pmp_band b =
          pmp_bandit_grid_band(g, (struct pmp_bandit_cell){f, dim, m}, "final");
      pmp_report_text(r, " %.1e [%.0e, %.0e] |", b.median, b.p10, b.p90);
    }
  }
  pmp_report_text(r, "\n");
}

static size_t count_reached(const struct pmp_bandit_grid *g, size_t dim, size_t m) {
  size_t any = 0;
  for (size_t f = 0; f < g->functions; f++)
    any += pmp_bandit_grid_count(g, (struct pmp_bandit_cell){f, dim, m}, "reached");
  return any;
}

/* Who gets to the target, and when. */
static void reached(const struct pmp_bandit_grid *g, struct pmp_report *r, size_t dim) {
  size_t any = 0;
  for (size_t m = 0; m < g->methods; m++) any += count_reached(g, dim, m);
  if (any == 0) return;
  pmp_report_text(
      r,
      "\nEvaluations until f(mean) <= %g at a refresh: median of %zu seeds, in brackets "
      "how many got there (only methods that did)\n\n| method |",
      PMP_BANDIT_TARGET, g->seeds);
  for (size_t f = 0; f < g->functions; f++) pmp_report_text(r, " %s |", g->function[f]->name);
  pmp_report_text(r, "\n| --- |");
  for (size_t f = 0; f < g->functions; f++) pmp_report_text(r, " --- |");
  for (size_t m = 0; m < g->methods; m++) {
    if (count_reached(g, dim, m) == 0) continue;
    pmp_report_text(r, "\n| %s |", g->method[m].title);
    for (size_t f = 0; f < g->functions; f++) {
      const struct pmp_bandit_cell cell = {f, dim, m};
      const double median = pmp_bandit_grid_band(g, cell, "reached").median;
      const size_t count = pmp_bandit_grid_count(g, cell, "reached");
      if (isfinite(median))
        pmp_report_text(r, " %.0f [%zu] |", median, count);
      else
        pmp_report_text(r, " - [%zu] |", count);
    }
  }
  pmp_report_text(r, "\n");
}

static void lines(const struct pmp_bandit_grid *g, const struct pmp_report *r, size_t dim) {
  for (size_t f = 0; f < g->functions; f++) {
    for (size_t m = 0; m < g->methods; m++) {
      const struct pmp_bandit_cell cell = {f, dim, m};
      const struct pmp_band b = pmp_bandit_grid_band(g, cell, "final");
      pmp_report_json(
          r, json_pack("{s:s, s:s, s:i, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "experiment",
                       "bandits", "function", g->function[f]->name, "dim", (int)g->dim[dim],
                       "method", g->method[m].name, "seeds", (int)g->seeds, "median",
                       pmp_report_number(b.median), "p10", pmp_report_number(b.p10), "p90",
                       pmp_report_number(b.p90), "best", pmp_report_number(b.best), "worst",
                       pmp_report_number(b.worst), "skipped",
                       pmp_report_number(pmp_bandit_grid_band(g, cell, "skipped").worst)));
    }
  }
}

/* ---------------------------------------------------------------- claims */

/* Where a method must end after the whole run in these dimensions. */
struct claim {
  const char *method, *functions; /* a list with commas between */
  uint32_t dim;
  bool worst; /* of the seeds (of more than ten their 90% quantile); else the median */
  double bound;
};

#define SIX "sphere,rosenbrock,schwefel,cigar,diffpow,elli"

/* Some five to ten times above what was measured (docs/experiments.md). */
static const struct claim claims[] = {
    {"AR", "sphere,diffpow", 2, true, 2e-3},
    {"A", "sphere,diffpow", 2, true, 2e-3},
    {"R", "sphere,diffpow", 2, true, 5e-3},
    {"AR", "schwefel,rosenbrock", 2, false, 1.0},
    {"A", "schwefel,rosenbrock", 2, false, 1.0},
    {"R", "schwefel,rosenbrock", 2, false, 1.0},
    {"AR", "cigar,elli", 2, false, 100.0},
    {"A", "cigar,elli", 2, false, 100.0},
    {"R", "cigar,elli", 2, false, 100.0},
    {"exact-AR", SIX, 2, true, 1e-9},
    {"exact-R", SIX, 2, true, 1e-9},
    {"paths-AR", SIX, 2, true, 1e-9},
    {"paths-R", SIX, 2, false, 1e-9},
    {"paths-AR", "sphere,schwefel,cigar,diffpow,elli", 10, true, 1e-9},
    {"paths-R", "sphere,schwefel,cigar,diffpow,elli", 10, true, 1e-9},
    {"paths-AR", "rosenbrock", 10, false, 1e-9},
    {"paths-R", "rosenbrock", 10, false, 1e-9},
};

/* Seeds from which medians say what was measured with ten; what every seed must do is judged with
 * any number. */
enum { SEEDS_MEDIAN = 5, SEEDS_RATIO = 10 };

/* "" when these runs can judge a claim in these dimensions. */
static const char *needs(const struct pmp_bandit_grid *g, uint32_t dim, size_t seeds, char *text,
                         size_t size) {
  text[0] = '\0';
  if (g->steps > 0 && g->steps != pmp_bandit_grid_whole(dim))
    snprintf(text, size, "%u steps", pmp_bandit_grid_whole(dim));
  else if (g->seeds < seeds)
    snprintf(text, size, "%zu seeds", seeds);
  return text;
}

static const char *plural(size_t n) {
  return n == 1 ? "" : "s";
}

static size_t find_method(const struct pmp_bandit_grid *g, const char *name) {
  size_t m = 0;
  while (m < g->methods && strcmp(g->method[m].name, name) != 0) m++;
  return m;
}

static bool find_cell(const struct pmp_bandit_grid *g, size_t function, const char *method,
                      uint32_t dim, struct pmp_bandit_cell *cell) {
  *cell = (struct pmp_bandit_cell){.function = function, .method = find_method(g, method)};
  while (cell->dim < g->dims && g->dim[cell->dim] != dim) cell->dim++;
  return cell->dim < g->dims && cell->method < g->methods;
}

static void claim_bound(const struct pmp_bandit_grid *g, struct pmp_report *r,
                        const struct claim *c) {
  char lacks[40];
  for (size_t f = 0; f < g->functions; f++) {
    struct pmp_bandit_cell cell;
    if (!pmp_names_listed(c->functions, g->function[f]->name) ||
        !find_cell(g, f, c->method, c->dim, &cell))
      continue;
    const char *title = g->method[cell.method].title, *function = g->function[f]->name;
    /* More seeds than were measured have a worse worst one. */
    const bool most = c->worst && g->seeds > SEEDS_RATIO;
    const char *what = most ? "90% quantile" : c->worst ? "worst" : "median";
    if (needs(g, c->dim, c->worst ? 1 : SEEDS_MEDIAN, lacks, sizeof lacks)[0] != '\0') {
      pmp_report_unjudged(r, lacks, "%s, %s, %u-D: %s <= %.0e", title, function, c->dim, what,
                          c->bound);
      continue;
    }
    const struct pmp_band b = pmp_bandit_grid_band(g, cell, "final");
    const double value = most ? b.p90 : c->worst ? b.worst : b.median;
    pmp_report_claim(r, value <= c->bound, "%s, %s, %u-D: %s of %zu seed%s %.2g <= %.0e", title,
                     function, c->dim, what, b.n, plural(b.n), value, c->bound);
  }
}

/* "All variants optimise the functions" (PMPO Sec. 5.1): every seed ends at a tenth of where the
 * median seed began, or below. */
static void claim_learns(const struct pmp_bandit_grid *g, struct pmp_report *r, const char *method,
                         uint32_t dim) {
  char lacks[40];
  size_t count = 0;
  double most = 0.0;
  for (size_t f = 0; f < g->functions; f++) {
    struct pmp_bandit_cell cell;
    if (!find_cell(g, f, method, dim, &cell)) continue;
    most = fmax(most, pmp_bandit_grid_band(g, cell, "final").worst /
                          pmp_bandit_grid_point(g, cell, 0).median);
    count++;
  }
  if (count == 0) return;
  if (needs(g, dim, SEEDS_MEDIAN, lacks, sizeof lacks)[0] != '\0')
    pmp_report_unjudged(r, lacks, "%s learns on %zu function%s in %u-D", method, count,
                        plural(count), dim);
  else
    pmp_report_claim(r, most <= 0.1,
                     "%s learns on %zu function%s in %u-D: every seed ends at %.1e of the first "
                     "median or below (0.1 is asked for)",
                     method, count, plural(count), dim, most);
}

/* "DPO performs similarly to PMPO-AR" (PMPO Sec. 5.1), with the tau that Gaussians need. A ratio of
 * two medians, each of which scatters: fewer seeds say less than in claim_learns. */
static void claim_dpo(const struct pmp_bandit_grid *g, struct pmp_report *r, uint32_t dim) {
  char lacks[40];
  double most = 0.0;
  struct pmp_bandit_cell ar, dpo;
  const bool has_ar = find_cell(g, 0, "AR", dim, &ar),
             has_dpo = find_cell(g, 0, "DPO-20", dim, &dpo);
  if (!has_ar && !has_dpo) return;
  needs(g, dim, dim > 2 ? SEEDS_RATIO : SEEDS_MEDIAN, lacks, sizeof lacks);
  if (!has_ar || !has_dpo) snprintf(lacks, sizeof lacks, "the methods AR and DPO-20");
  if (lacks[0] != '\0') {
    pmp_report_unjudged(r, lacks, "DPO with tau 20 in %u-D ends within a factor of 500 of PMPO-AR",
                        dim);
    return;
  }
  for (size_t f = 0; f < g->functions; f++) {
    ar.function = dpo.function = f;
    most = fmax(most, pmp_bandit_grid_band(g, dpo, "final").median /
                          pmp_bandit_grid_band(g, ar, "final").median);
  }
  pmp_report_claim(r, most <= 500.0,
                   "DPO with tau 20 in %u-D ends within a factor of 500 of PMPO-AR: medians up to "
                   "%.0f times as large on %zu function%s",
                   dim, most, g->functions, plural(g->functions));
}

static const char *const learning[] = {"AR", "A", "R", "BW", "DPO-20"};
enum { LEARNING = sizeof learning / sizeof learning[0] };

static bool is_claimed(const char *method) {
  bool found = false;
  for (size_t i = 0; i < LEARNING; i++) found = found || strcmp(learning[i], method) == 0;
  for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++)
    found = found || strcmp(claims[i].method, method) == 0;
  return found;
}

/* Methods that claims speak of and that did not run. */
static void absent(const struct pmp_bandit_grid *g, struct pmp_report *r) {
  char text[200] = "";
  for (size_t i = 0; pmp_bandit_method_at(i) != NULL; i++) {
    const struct pmp_bandit_method *m = pmp_bandit_method_at(i);
    const size_t used = strlen(text);
    if (is_claimed(m->name) && find_method(g, m->name) == g->methods)
      snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? ", " : "", m->name);
  }
  if (text[0] != '\0')
    pmp_report_unjudged(r, "these methods, which were left out", "claims on %s", text);
}

static void check_claims(const struct pmp_bandit_grid *g, struct pmp_report *r) {
  pmp_report_text(r, "\n### Claims\n\n");
  for (size_t d = 0; d < g->dims; d++) {
    if (g->dim[d] != 2 && g->dim[d] != 10) {
      pmp_report_unjudged(r, "2 or 10 dimensions", "%u-D", g->dim[d]);
      continue;
    }
    for (size_t i = 0; i < LEARNING; i++) claim_learns(g, r, learning[i], g->dim[d]);
    claim_dpo(g, r, g->dim[d]);
  }
  for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) claim_bound(g, r, &claims[i]);
  absent(g, r);
}

/* ---------------------------------------------------------------- the experiment */

static enum pmp_err report(const struct pmp_bandit_grid *g, struct pmp_report *r,
                           struct pmp_errmsg *msg) {
  for (size_t d = 0; d < g->dims; d++) {
    table(g, r, d);
    reached(g, r, d);
    lines(g, r, d);
    PMP_TRY(figure(g, r, d, msg));
  }
  PMP_TRY(pmp_bandit_grid_csv(g, r, msg));
  check_claims(g, r);
  return PMP_OK;
}

static enum pmp_err run(const struct pmp_experiment_options *o, uint32_t *failed,
                        struct pmp_errmsg *msg) {
  struct pmp_bandit_grid g;
  struct pmp_report r = {0};
  char settings[512];
  if (o->end_to_end) return pmp_end_to_end_run(o, failed, msg);
  PMP_TRY(pmp_bandit_grid_init(&g, "bandits", o, msg));
  for (size_t i = 0; pmp_bandit_method_at(i) != NULL; i++) {
    if (pmp_names_listed(o->methods, pmp_bandit_method_at(i)->name))
      g.method[g.methods++] = *pmp_bandit_method_at(i);
  }
  enum pmp_err err = pmp_report_open(&r, o, "bandits", msg);
  if (err == PMP_OK) {
    pmp_bandit_grid_say(&g, true, settings, sizeof settings);
    pmp_report_begin(&r, settings);
    err = pmp_bandit_grid_run(&g, &r, msg);
  }
  if (err == PMP_OK) err = report(&g, &r, msg);
  pmp_bandit_grid_fini(&g);
  const enum pmp_err closed = pmp_report_close(&r, err == PMP_OK ? msg : NULL);
  *failed = r.failed;
  return err == PMP_OK ? closed : err;
}

const struct pmp_experiment pmp_experiment_bandits = {
    "bandits", "six functions, every method, 2 and 10 dimensions (PMPO Fig. 1)", run};
