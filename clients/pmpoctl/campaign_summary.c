#include "clients/pmpoctl/campaign_summary.h"

#include "base/fs.h"
#include "clients/pmpoctl/format.h"
#include "clients/pmpoctl/plot.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BOOTSTRAP_SEED 20240601 /* any, but always the same */
#define COLUMNS_MAX (PMP_TABLE_COLUMNS - 1)

/* ---- numbers ---- */

static size_t index_of(const struct pmp_results *s, uint32_t task, uint32_t variant,
                       uint32_t mark) {
  return ((size_t)variant * (s->campaign->tasks + 1) + task) * s->marks + mark - 1;
}

const struct pmp_results_cell *pmp_results_at(const struct pmp_results *s, uint32_t task,
                                              uint32_t variant, uint32_t mark) {
  return &s->cell[index_of(s, task, variant, mark)];
}

/* Returns of the seeds that are there, value[PMP_CAMPAIGN_SEEDS_MAX]. */
static uint32_t gather(const struct pmp_results *s, uint32_t task, uint32_t variant, uint32_t mark,
                       double *value) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < s->campaign->seeds; i++) {
    const struct pmp_campaign_run_id id = {.task = task, .variant = variant, .seed = i};
    const struct pmp_ledger_line *line = pmp_ledger_at(s->ledger, s->campaign, id, mark);
    if (line != NULL) value[n++] = line->eval_return;
  }
  return n;
}

/* values: (tasks x PMP_CAMPAIGN_SEEDS_MAX). */
static void fill(struct pmp_results *s, uint32_t variant, uint32_t mark, double *values,
                 double *scratch) {
  const struct pmp_campaign *c = s->campaign;
  struct pmp_stratum all[PMP_CAMPAIGN_TASKS_MAX];
  uint32_t least = UINT32_MAX;
  for (uint32_t t = 0; t < c->tasks; t++) {
    const size_t i = index_of(s, t, variant, mark);
    struct pmp_results_cell *cell = &s->cell[i];
    double *v = values + (size_t)t * PMP_CAMPAIGN_SEEDS_MAX;
    cell->n = gather(s, t, variant, mark, v);
    all[t] = (struct pmp_stratum){v, cell->n};
    if (cell->n < least) least = cell->n;
    if (cell->n == 0) continue;
    cell->interval = pmp_bootstrap(&all[t], 1, BOOTSTRAP_SEED, i, scratch);
    pmp_sort(v, cell->n);
    cell->median = pmp_quantile(v, cell->n, 0.5);
    cell->p10 = pmp_quantile(v, cell->n, 0.1);
    cell->p90 = pmp_quantile(v, cell->n, 0.9);
    cell->min = v[0];
    cell->max = v[cell->n - 1];
  }
  const size_t i = index_of(s, c->tasks, variant, mark);
  s->cell[i] = (struct pmp_results_cell){
      .n = least, .median = NAN, .p10 = NAN, .p90 = NAN, .min = NAN, .max = NAN};
  if (least > 0) s->cell[i].interval = pmp_bootstrap(all, c->tasks, BOOTSTRAP_SEED, i, scratch);
}

enum pmp_err pmp_results_init(struct pmp_results *s, const struct pmp_campaign *c,
                              const struct pmp_ledger *l, struct pmp_errmsg *msg) {
  *s = (struct pmp_results){.campaign = c, .ledger = l, .marks = pmp_campaign_marks(c)};
  const size_t cells = (size_t)c->variants * (c->tasks + 1) * s->marks;
  double *values = calloc((size_t)c->tasks * PMP_CAMPAIGN_SEEDS_MAX, sizeof *values);
  double *scratch = calloc(PMP_BOOTSTRAP_RESAMPLES, sizeof *scratch);
  s->cell = calloc(cells, sizeof *s->cell);
  enum pmp_err err = PMP_OK;
  if (values == NULL || scratch == NULL || s->cell == NULL)
    err = pmp_fail(msg, PMP_ENOMEM, "out of memory");
  for (uint32_t v = 0; err == PMP_OK && v < c->variants; v++)
    for (uint32_t k = 1; k <= s->marks; k++) fill(s, v, k, values, scratch);
  free(values);
  free(scratch);
  return err;
}

void pmp_results_fini(struct pmp_results *s) {
  free(s->cell);
  s->cell = NULL;
}

/* ---- text ---- */

static const char *task_name(const struct pmp_campaign *c, uint32_t task) {
  return task < c->tasks ? c->task[task].name : "all";
}

/* Tasks, and all of them when there are several. */
static uint32_t rows_of(const struct pmp_campaign *c) {
  return c->tasks > 1 ? c->tasks + 1 : c->tasks;
}

static void interval(double low, double high, char out[PMP_TABLE_CELL]) {
  if (isfinite(low) && isfinite(high))
    snprintf(out, PMP_TABLE_CELL, "%.1f to %.1f", low, high);
  else
    strcpy(out, "-");
}

static void add_cell(struct pmp_table *t, const struct pmp_campaign *c, uint32_t task,
                     uint32_t variant, const struct pmp_results_cell *cell) {
  char text[PMP_TABLE_CELL];
  if (!pmp_table_row(t)) return;
  pmp_table_set(t, 0, task_name(c, task));
  pmp_table_set(t, 1, c->variant[variant].name);
  snprintf(text, sizeof text, "%u/%u", cell->n, c->seeds);
  pmp_table_set(t, 2, text);
  if (cell->n == 0) return;
  snprintf(text, sizeof text, "%.1f", cell->interval.mean);
  pmp_table_set(t, 3, text);
  interval(cell->interval.low80, cell->interval.high80, text);
  pmp_table_set(t, 4, text);
  interval(cell->interval.low95, cell->interval.high95, text);
  pmp_table_set(t, 5, text);
  if (task == c->tasks) return;
  snprintf(text, sizeof text, "%.1f", cell->median);
  pmp_table_set(t, 6, text);
  snprintf(text, sizeof text, "%.1f to %.1f", cell->min, cell->max);
  pmp_table_set(t, 7, text);
}

static void add_reference(struct pmp_table *t, const struct pmp_campaign_reference *r) {
  char text[PMP_TABLE_CELL], steps[PMP_FORMAT_MAX];
  if (!pmp_table_row(t)) return;
  pmp_table_set(t, 0, r->task);
  snprintf(text, sizeof text, "%.20s at %.20s", r->label, pmp_format_count(r->env_steps, steps));
  pmp_table_set(t, 1, text);
  snprintf(text, sizeof text, "%.1f", r->value);
  pmp_table_set(t, 3, text);
}

static void final_table(const struct pmp_results *s, FILE *out) {
  const struct pmp_campaign *c = s->campaign;
  struct pmp_table t;
  pmp_table_init(&t, "task|variant|>seeds|>mean|80%|95%|>median|least to largest");
  for (uint32_t task = 0; task < rows_of(c); task++) {
    for (uint32_t v = 0; v < c->variants; v++)
      add_cell(&t, c, task, v, pmp_results_at(s, task, v, s->marks));
    for (uint32_t i = 0; task < c->tasks && i < c->references; i++)
      if (strcmp(c->reference[i].task, c->task[task].name) == 0)
        add_reference(&t, &c->reference[i]);
  }
  pmp_table_print(&t, out);
  pmp_table_fini(&t);
}

static void mark_table(const struct pmp_results *s, uint32_t task, FILE *out) {
  const struct pmp_campaign *c = s->campaign;
  struct pmp_table t;
  char heads[COLUMNS_MAX * (PMP_CAMPAIGN_NAME_MAX + 2) + 32] = ">env steps";
  for (uint32_t v = 0; v < c->variants; v++) {
    strcat(heads, "|");
    strcat(heads, c->variant[v].name);
  }
  pmp_table_init(&t, heads);
  for (uint32_t k = 1; k <= s->marks && pmp_table_row(&t); k++) {
    char text[PMP_TABLE_CELL], count[PMP_FORMAT_MAX];
    pmp_table_set(&t, 0, pmp_format_count((double)pmp_campaign_mark(c, k), count));
    for (uint32_t v = 0; v < c->variants; v++) {
      const struct pmp_results_cell *cell = pmp_results_at(s, task, v, k);
      if (cell->n == 0) continue;
      if (cell->n > 1)
        snprintf(text, sizeof text, "%.1f [%.1f, %.1f] (%u)", cell->interval.mean,
                 cell->interval.low95, cell->interval.high95, cell->n);
      else
        snprintf(text, sizeof text, "%.1f (%u)", cell->interval.mean, cell->n);
      pmp_table_set(&t, 1 + v, text);
    }
  }
  fprintf(out, "\n%s\n", task_name(c, task));
  pmp_table_print(&t, out);
  pmp_table_fini(&t);
}

static void failures(const struct pmp_results *s, FILE *out) {
  const struct pmp_campaign *c = s->campaign;
  bool said = false;
  for (uint32_t i = 0; i < pmp_campaign_runs(c); i++) {
    char name[PMP_CAMPAIGN_RUN_NAME_MAX];
    struct pmp_ledger_run run;
    const struct pmp_campaign_run_id id = pmp_campaign_run(c, i);
    pmp_ledger_run_of(s->ledger, c, id, &run);
    if (!run.failed || run.done) continue;
    if (!said) fputs("\nRuns that failed:\n", out);
    said = true;
    fprintf(out, "  %s: %s\n", pmp_campaign_run_name(c, id, name),
            run.last_failure->status + strlen(PMP_LEDGER_FAILED));
  }
}

void pmp_results_text(const struct pmp_results *s, FILE *out) {
  const struct pmp_campaign *c = s->campaign;
  char steps[PMP_FORMAT_MAX];
  fprintf(out,
          "Campaign %s: %u task%s, %u variant%s, %u seed%s, %s environment steps a run.\n"
          "Return of the final evaluation (%u episodes), mean over seeds; stratified bootstrap "
          "intervals of %d resamples.\n\n",
          c->name, c->tasks, c->tasks == 1 ? "" : "s", c->variants, c->variants == 1 ? "" : "s",
          c->seeds, c->seeds == 1 ? "" : "s", pmp_format_count((double)c->env_steps, steps),
          c->final_episodes, PMP_BOOTSTRAP_RESAMPLES);
  final_table(s, out);
  failures(s, out);
  if (s->marks == 1) return;
  if (c->variants >= COLUMNS_MAX) {
    fputs("\nEvery mark: summary.csv\n", out);
    return;
  }
  fprintf(out,
          "\nAt each mark (%u episodes): mean over seeds, 95%% interval, in brackets the seeds.\n",
          c->evaluate_episodes);
  for (uint32_t task = 0; task < rows_of(c); task++) mark_table(s, task, out);
}

static void field(double v, FILE *out) {
  if (isfinite(v))
    fprintf(out, ",%.9g", v);
  else
    fputc(',', out);
}

void pmp_results_csv(const struct pmp_results *s, FILE *out) {
  const struct pmp_campaign *c = s->campaign;
  fputs(
      "task,variant,env_steps,final,seeds,mean,low80,high80,low95,high95,median,p10,p90,min,max\n",
      out);
  for (uint32_t task = 0; task < rows_of(c); task++)
    for (uint32_t v = 0; v < c->variants; v++)
      for (uint32_t k = 1; k <= s->marks; k++) {
        const struct pmp_results_cell *cell = pmp_results_at(s, task, v, k);
        const struct pmp_interval *i = &cell->interval;
        if (cell->n == 0) continue;
        fprintf(out, "%s,%s,%" PRIu64 ",%d,%u", task_name(c, task), c->variant[v].name,
                pmp_campaign_mark(c, k), k == s->marks, cell->n);
        const double value[] = {i->mean,      i->low80,  i->high80, i->low95,  i->high95,
                                cell->median, cell->p10, cell->p90, cell->min, cell->max};
        for (size_t n = 0; n < sizeof value / sizeof value[0]; n++) field(value[n], out);
        fputc('\n', out);
      }
}

/* ---- files ---- */

/* Written beside and renamed; script (nullable): the open file is handed back. */
static enum pmp_err write_one(const struct pmp_results *s, const char *dir, const char *name,
                              void (*what)(const struct pmp_results *, FILE *),
                              struct pmp_errmsg *msg) {
  char path[PMP_CAMPAIGN_PATH_MAX + 32], *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (out == NULL) return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  what(s, out);
  if (fclose(out) != 0) {
    free(text);
    return pmp_fail(msg, PMP_ENOMEM, "out of memory");
  }
  snprintf(path, sizeof path, "%s/%s", dir, name);
  const void *part = text;
  const enum pmp_err err = pmp_fs_replace(pmp_fs_real(), path, &part, &size, 1, msg);
  free(text);
  return err;
}

enum pmp_err pmp_results_write(const struct pmp_results *s, const char *dir,
                               struct pmp_errmsg *msg) {
  char path[PMP_CAMPAIGN_PATH_MAX + 32];
  bool any = false;
  PMP_TRY(write_one(s, dir, "summary.txt", pmp_results_text, msg));
  PMP_TRY(write_one(s, dir, "summary.csv", pmp_results_csv, msg));
  for (uint32_t i = 0; i < s->ledger->lines; i++)
    any |= pmp_ledger_is_evaluation(&s->ledger->line[i]);
  if (!any) return PMP_OK; /* nothing to draw yet */
  PMP_TRY(write_one(s, dir, "summary.gp", pmp_results_figure, msg));
  snprintf(path, sizeof path, "%s/summary.gp", dir);
  FILE *script = fopen(path, "re");
  if (script == NULL)
    return pmp_fail(msg, pmp_err_from_errno(errno), "%s: %s", path, strerror(errno));
  snprintf(path, sizeof path, "%s/summary.png", dir);
  const enum pmp_err err = pmp_plot_draw(script, path, msg);
  fclose(script);
  return err;
}
