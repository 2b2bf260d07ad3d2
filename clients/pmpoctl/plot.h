/* Series as a PNG, drawn by gnuplot. Blocks while gnuplot runs. */
#ifndef PMP_PMPOCTL_PLOT_H
#define PMP_PMPOCTL_PLOT_H

#include "proto/wire.h"

#include <stdbool.h>
#include <stdio.h>

enum pmp_plot_axis { PMP_PLOT_STEP, PMP_PLOT_ENV, PMP_PLOT_WALL, PMP_PLOT_AXES };

struct pmp_plot {
  const char *title;                       /* "" for none */
  enum pmp_plot_axis panel[PMP_PLOT_AXES]; /* one panel for each, side by side */
  uint32_t panels;
  uint32_t mean;     /* a line through the mean of so many points; 1: none */
  double line;       /* a dashed line at this height; NAN: none */
  bool log;          /* logarithmic scale of the values: those at or below 0 are gaps */
  int width, height; /* pixels of a panel */
};

/* Points that a logarithmic scale has no place for. */
uint64_t pmp_plot_hidden(const struct pmp_series *series, uint32_t count);
/* Writes beside path and renames. PMP_EINVALID (no points to draw), PMP_ENOTFOUND (no gnuplot),
 * PMP_EIO. */
PMP_MUST_CHECK enum pmp_err pmp_plot_png(const struct pmp_plot *p, const struct pmp_series *series,
                                         uint32_t count, const char *path, struct pmp_errmsg *msg);
/* Any script of gnuplot's, from its beginning to a PNG at path, likewise beside and renamed. */
PMP_MUST_CHECK enum pmp_err pmp_plot_draw(FILE *script, const char *path, struct pmp_errmsg *msg);
/* A text between gnuplot's double quotes: what would end or escape it is replaced. */
void pmp_plot_quoted(const char *text, FILE *out);
/* The script alone, for tests. false when it could not be written. */
bool pmp_plot_script(const struct pmp_plot *p, const struct pmp_series *series, uint32_t count,
                     FILE *out);

#endif
