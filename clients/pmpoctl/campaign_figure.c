/* The summary's figure: a panel a task, median and 10 to 90% band over seeds of each variant,
 * published values beside them. */
#include "clients/pmpoctl/campaign_summary.h"
#include "clients/pmpoctl/plot.h"

#include <math.h>
#include <string.h>

#define COLUMNS_MAX 4
#define PANEL_W 330
#define PANEL_W_ALONE 560
#define PANEL_H 230
#define SCALE 1000 /* environment steps are shown in thousands */

static const char *const colour[] = {"#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b7791f",
                                     "#c53030", "#2c7a7b", "#97266d", "#4a5568", "#6b8e23"};
#define COLOURS (sizeof colour / sizeof colour[0])

/* Is this the first reference of its label (and task, when one is given)? */
static bool is_first(const struct pmp_campaign *c, uint32_t i, const char *task) {
  for (uint32_t k = 0; k < i; k++)
    if (strcmp(c->reference[k].label, c->reference[i].label) == 0 &&
        (task == NULL || strcmp(c->reference[k].task, task) == 0))
      return false;
  return true;
}

/* Labels in order of appearance: point types and greys follow from the number. */
static uint32_t label_of(const struct pmp_campaign *c, const char *label) {
  uint32_t number = 0;
  for (uint32_t i = 0; i < c->references; i++) {
    if (strcmp(c->reference[i].label, label) == 0) return number;
    number += is_first(c, i, NULL);
  }
  return number;
}

static uint32_t curve_block(const struct pmp_results *s, uint32_t task, uint32_t variant,
                            FILE *out) {
  uint32_t points = 0;
  for (uint32_t k = 1; k <= s->marks; k++) points += pmp_results_at(s, task, variant, k)->n > 0;
  if (points == 0) return 0;
  fprintf(out, "$d%u_%u << EOD\n", task, variant);
  for (uint32_t k = 1; k <= s->marks; k++) {
    const struct pmp_results_cell *cell = pmp_results_at(s, task, variant, k);
    if (cell->n == 0) continue;
    fprintf(out, "%.9g %.9g %.9g %.9g\n", (double)pmp_campaign_mark(s->campaign, k) / SCALE,
            cell->median, cell->p10, cell->p90);
  }
  fputs("EOD\n", out);
  return points;
}

static void reference_block(const struct pmp_campaign *c, uint32_t i, FILE *out) {
  fprintf(out, "$r%u << EOD\n", i);
  for (uint32_t k = i; k < c->references; k++)
    if (strcmp(c->reference[k].label, c->reference[i].label) == 0 &&
        strcmp(c->reference[k].task, c->reference[i].task) == 0)
      fprintf(out, "%.9g %.9g\n", c->reference[k].env_steps / SCALE, c->reference[k].value);
  fputs("EOD\n", out);
}

/* From 0, or below what is below, to above what is above. */
static void y_range(const struct pmp_results *s, uint32_t task, FILE *out) {
  const struct pmp_campaign *c = s->campaign;
  double low = 0, high = 0.1;
  for (uint32_t v = 0; v < c->variants; v++)
    for (uint32_t k = 1; k <= s->marks; k++) {
      const struct pmp_results_cell *cell = pmp_results_at(s, task, v, k);
      if (cell->n == 0) continue;
      low = fmin(low, cell->p10);
      high = fmax(high, cell->p90);
    }
  for (uint32_t i = 0; i < c->references; i++) {
    if (strcmp(c->reference[i].task, c->task[task].name) != 0) continue;
    low = fmin(low, c->reference[i].value);
    high = fmax(high, c->reference[i].value);
  }
  fprintf(out, "\nset yrange [%.9g:%.9g]\n", low - 0.05 * (low < 0) * (high - low),
          high + 0.05 * (high - low));
}

/* A panel without anything still has its place; gnuplot takes no curve without points. */
static void panel(const struct pmp_results *s, uint32_t task, FILE *out) {
  const struct pmp_campaign *c = s->campaign;
  const char *name = c->task[task].name;
  uint32_t points[PMP_CAMPAIGN_VARIANTS_MAX], any = 0;
  for (uint32_t v = 0; v < c->variants; v++) any += points[v] = curve_block(s, task, v, out);
  for (uint32_t i = 0; i < c->references; i++) {
    if (strcmp(c->reference[i].task, name) != 0 || !is_first(c, i, name)) continue;
    reference_block(c, i, out);
    any++;
  }
  fputs("set title ", out);
  pmp_plot_quoted(name, out);
  y_range(s, task, out);
  fputs(any > 0 ? "plot " : "plot NaN notitle", out);
  const char *comma = "";
  for (uint32_t v = 0; v < c->variants; v++) {
    if (points[v] == 0) continue;
    fprintf(out, "%s$d%u_%u using 1:3:4 with filledcurves lc rgb \"%s\" notitle", comma, task, v,
            colour[v % COLOURS]);
    comma = ", ";
  }
  for (uint32_t v = 0; v < c->variants; v++)
    if (points[v] > 0)
      fprintf(out,
              ", $d%u_%u using 1:2 with linespoints lw 2 pt 7 ps 0.4 dt %zu lc rgb \"%s\" notitle",
              task, v, v / COLOURS + 1, colour[v % COLOURS]);
  for (uint32_t i = 0; i < c->references; i++) {
    if (strcmp(c->reference[i].task, name) != 0 || !is_first(c, i, name)) continue;
    fprintf(out, "%s$r%u with linespoints dt 3 lw 1.2 pt %u ps 1.3 lc rgb \"#222222\" notitle",
            comma, i, 4 + label_of(c, c->reference[i].label));
    comma = ", ";
  }
  fputc('\n', out);
}

/* A plot of its own over the whole picture: a panel's key would have to fit that panel. */
static void key(const struct pmp_campaign *c, FILE *out) {
  const char *comma = "";
  fputs("unset title\nunset border\nunset tics\nunset grid\nunset xlabel\nunset ylabel\n"
        "set lmargin at screen 0.02\nset rmargin at screen 0.98\nset bmargin at screen 0\n"
        "set tmargin at screen 0.1\nset xrange [0:1]\nset yrange [0:1]\n"
        "set key at screen 0.5,0.01 center bottom horizontal Left reverse samplen 2 width 0.5 "
        "maxrows 4\nplot ",
        out);
  for (uint32_t v = 0; v < c->variants; v++, comma = ", ") {
    fprintf(out, "%sNaN with linespoints lw 2 pt 7 ps 0.4 dt %zu lc rgb \"%s\" title ", comma,
            v / COLOURS + 1, colour[v % COLOURS]);
    pmp_plot_quoted(c->variant[v].name, out);
  }
  for (uint32_t i = 0; i < c->references; i++) {
    if (!is_first(c, i, NULL)) continue;
    fprintf(out, ", NaN with linespoints dt 3 lw 1.2 pt %u ps 1.3 lc rgb \"#222222\" title ",
            4 + label_of(c, c->reference[i].label));
    pmp_plot_quoted(c->reference[i].label, out);
  }
  fputc('\n', out);
}

void pmp_results_figure(const struct pmp_results *s, FILE *out) {
  const struct pmp_campaign *c = s->campaign;
  const int most = c->tasks > 9 ? COLUMNS_MAX : 3;
  const int columns = (int)c->tasks < most ? (int)c->tasks : most;
  const int rows = ((int)c->tasks + columns - 1) / columns;
  /* Pixels: left, right, between panels, below (axis and key), above (title). */
  const int left = 64, right = 20, gap_x = 56, gap_y = 86, below = 104, above = 66;
  const int width = columns > 1 ? PANEL_W : PANEL_W_ALONE;
  const int w = left + columns * width + (columns - 1) * gap_x + right;
  const int h = below + rows * PANEL_H + (rows - 1) * gap_y + above;
  fprintf(out,
          "# gnuplot draws this on stdout\n"
          "if (strstrt(GPVAL_TERMINALS, \" pngcairo \")) {\n"
          "  set terminal pngcairo size %d,%d font \"DejaVu Sans,10\"\n} else {\n"
          "  set terminal png size %d,%d truecolor\n}\n",
          w, h, w, h);
  fprintf(out,
          "set termoption noenhanced\nset encoding utf8\n"
          "set grid xtics ytics lt 1 lc rgb \"#e6e6e6\" lw 0.8\nset border 3 lc rgb \"#555555\"\n"
          "set tics nomirror scale 0.6\nset style fill transparent solid 0.15 noborder\n"
          "unset key\nset xrange [0:%.9g]\n",
          (double)c->env_steps / SCALE);
  fprintf(out,
          "set multiplot layout %d,%d rowsfirst downwards margins screen %.4f,%.4f,%.4f,%.4f "
          "spacing screen %.4f,%.4f\nset label 1 ",
          rows, columns, (double)left / w, 1.0 - (double)right / w, (double)below / h,
          1.0 - (double)above / h, (double)gap_x / w, (double)gap_y / h);
  char title[PMP_CAMPAIGN_NAME_MAX + 80];
  snprintf(title, sizeof title, "%s: return of %u seed%s, median and 10 to 90%%", c->name, c->seeds,
           c->seeds == 1 ? "" : "s");
  pmp_plot_quoted(title, out);
  fprintf(out,
          " at screen 0.5,%.4f center font \"DejaVu Sans,13\"\nset xlabel \"thousand environment "
          "steps\"\n",
          1.0 - 20.0 / h);
  for (uint32_t t = 0; t < c->tasks; t++) {
    panel(s, t, out);
    if (t == 0) fputs("unset label 1\n", out);
  }
  key(c, out);
  fputs("unset multiplot\n", out);
}
