/* A curve in a terminal: a grid of dots, 2 by 4 in a cell of braille, or of plain characters where
 * there is no UTF-8.
 *
 * Pure but for the memory of the grid; one thread. */
#ifndef PMP_PMPOCTL_CHART_H
#define PMP_PMPOCTL_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PMP_CHART_CELL 4 /* bytes of a cell's text, NUL included */

struct pmp_chart {
  int columns, rows; /* cells */
  uint8_t *cell;     /* owned, rows x columns: bits of braille dots */
  double x0, x1, y0, y1;
};

/* false: no memory, or no cells. */
bool pmp_chart_init(struct pmp_chart *c, int columns, int rows);
void pmp_chart_fini(struct pmp_chart *c);
/* Ranges of the axes; an empty one is widened. */
void pmp_chart_range(struct pmp_chart *c, double x0, double x1, double y0, double y1);
/* Joins n points (not finite: a gap); parts outside of the range are cut off. */
void pmp_chart_line(struct pmp_chart *c, const double *x, const double *y, size_t n);
/* A dot. */
void pmp_chart_dot(struct pmp_chart *c, double x, double y);
/* A dotted level. */
void pmp_chart_level(struct pmp_chart *c, double y);
/* Text of the cell; row 0 is the top. */
const char *pmp_chart_text(const struct pmp_chart *c, int row, int column, bool utf8,
                           char out[PMP_CHART_CELL]);
/* Round numbers around [lo, hi]. */
void pmp_chart_nice(double *lo, double *hi);
/* For a logarithmic scale: the logarithms (base 10) of y[n], NAN (a gap) at or below 0, and powers
 * of ten around them. Returns how many are gaps; n of them: [lo, hi] is empty. out may be y. */
size_t pmp_chart_log(const double *y, size_t n, double *out, double *lo, double *hi);

#endif
