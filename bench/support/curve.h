/* A benchmark's curves: its points as a CSV file in its work folder, and the figure that gnuplot
 * draws of them there. No gnuplot, no figure. */
#ifndef PMP_BENCH_CURVE_H
#define PMP_BENCH_CURVE_H

#include "bench/support/daemon.h"

enum { CURVES_MAX = 32 };

struct curve {
  char folder[512], name[64];
  FILE *csv;                  /* owned */
  char known[CURVES_MAX][96]; /* curves that have points */
  int count;
};

/* In the work folder NAME. */
static inline void curve_open(struct curve *c, const char *name) {
  char path[700];
  *c = (struct curve){.count = 0};
  snprintf(c->name, sizeof c->name, "%s", name);
  daemon_folder(c->folder, sizeof c->folder, name);
  snprintf(path, sizeof path, "%s/%s.csv", c->folder, name);
  c->csv = fopen(path, "w");
  if (c->csv == NULL) {
    fprintf(stderr, "bench: %s cannot be made\n", path);
    exit(1);
  }
  fprintf(c->csv, "curve,x,value,unit\n");
}

static inline bool curve_has(const struct curve *c, const char *curve) {
  for (int i = 0; i < c->count; i++)
    if (strcmp(c->known[i], curve) == 0) return true;
  return false;
}

static inline void curve_point(struct curve *c, const char *curve, double x, double value,
                               const char *unit) {
  fprintf(c->csv, "%s,%.10g,%.6g,%s\n", curve, x, value, unit);
  if (!curve_has(c, curve) && c->count < CURVES_MAX)
    snprintf(c->known[c->count++], sizeof c->known[0], "%s", curve);
}

struct curve_panel {
  const char *title, *x, *y;
  const char *curve[3]; /* NULL at the end */
};

static inline void curve_script(const struct curve *c, FILE *gp, const struct curve_panel *panel,
                                int panels) {
  fprintf(gp,
          "set terminal svg size %d,360 noenhanced background 'white'\nset output '%s.svg'\n"
          "set datafile separator ','\nset logscale x\nset yrange [0:*]\nset key bottom\n"
          "set multiplot layout 1,%d\n",
          420 * panels, c->name, panels);
  for (int i = 0; i < panels; i++) {
    const struct curve_panel *p = &panel[i];
    int drawn = 0;
    fprintf(gp, "set title '%s'\nset xlabel '%s'\nset ylabel '%s'\n", p->title, p->x, p->y);
    for (int k = 0; k < 3 && p->curve[k] != NULL; k++) {
      if (!curve_has(c, p->curve[k])) continue;
      fprintf(gp,
              "%s '%s.csv' using (strcol(1) eq '%s' ? $2 : NaN):3 with linespoints pointtype 7 "
              "title '%s'",
              drawn++ > 0 ? "," : "plot", c->name, p->curve[k], p->curve[k]);
    }
    fprintf(gp, "%s\n", drawn > 0 ? "" : "set multiplot next");
  }
  fprintf(gp, "unset multiplot\n");
}

/* Ends the CSV and draws. */
static inline void curve_close(struct curve *c, const struct curve_panel *panel, int panels) {
  char path[700];
  int status;
  fclose(c->csv);
  snprintf(path, sizeof path, "%s/%s.gp", c->folder, c->name);
  FILE *gp = fopen(path, "w");
  if (gp == NULL) return;
  curve_script(c, gp, panel, panels);
  fclose(gp);
  pid_t pid = fork();
  if (pid == 0) {
    if (chdir(c->folder) != 0) _exit(127);
    execlp("gnuplot", "gnuplot", path, (char *)NULL);
    _exit(127);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
    fprintf(stderr, "bench: no figure of %s/%s.csv: gnuplot is not there or failed\n", c->folder,
            c->name);
}

#endif
