#include "clients/pmpoctl/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool pmp_chart_init(struct pmp_chart *c, int columns, int rows) {
  memset(c, 0, sizeof *c);
  if (columns < 1 || rows < 1 || columns > 4096 || rows > 4096) return false;
  c->cell = calloc((size_t)columns * (size_t)rows, 1);
  if (!c->cell) return false;
  c->columns = columns;
  c->rows = rows;
  pmp_chart_range(c, 0, 1, 0, 1);
  return true;
}

void pmp_chart_fini(struct pmp_chart *c) {
  free(c->cell);
  memset(c, 0, sizeof *c);
}

void pmp_chart_range(struct pmp_chart *c, double x0, double x1, double y0, double y1) {
  c->x0 = x0;
  c->x1 = x1 > x0 ? x1 : x0 + 1;
  c->y0 = y0;
  c->y1 = y1 > y0 ? y1 : y0 + 1;
}

/* Dot coordinates: x to the right, y down. */
static double dot_x(const struct pmp_chart *c, double x) {
  return (x - c->x0) / (c->x1 - c->x0) * (2 * c->columns - 1);
}
static double dot_y(const struct pmp_chart *c, double y) {
  return (c->y1 - y) / (c->y1 - c->y0) * (4 * c->rows - 1);
}

/* Unicode numbers a braille cell's dots down the left column, down the right one, and then the
 * lowest two. */
static void set(struct pmp_chart *c, double x, double y) {
  static const uint8_t bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
  const double rx = round(x), ry = round(y);
  if (!(rx >= 0 && rx < 2 * c->columns && ry >= 0 && ry < 4 * c->rows)) return;
  const int ix = (int)rx, iy = (int)ry;
  c->cell[iy / 4 * c->columns + ix / 2] |= bit[iy % 4][ix % 2];
}

void pmp_chart_dot(struct pmp_chart *c, double x, double y) {
  set(c, dot_x(c, x), dot_y(c, y));
}

void pmp_chart_level(struct pmp_chart *c, double y) {
  for (int x = 0; x < 2 * c->columns; x += 4) set(c, x, dot_y(c, y));
}

/* Cuts [*t0, *t1] to where p + t d lies in [lo, hi]; false: nowhere. */
static bool clip(double p, double d, double lo, double hi, double *t0, double *t1) {
  if (d == 0) return p >= lo && p <= hi;
  const double a = (lo - p) / d, b = (hi - p) / d;
  *t0 = fmax(*t0, fmin(a, b));
  *t1 = fmin(*t1, fmax(a, b));
  return *t0 <= *t1;
}

static void segment(struct pmp_chart *c, double xa, double ya, double xb, double yb) {
  double t0 = 0, t1 = 1;
  const double dx = xb - xa, dy = yb - ya;
  if (!clip(xa, dx, 0, 2 * c->columns - 1, &t0, &t1) || !clip(ya, dy, 0, 4 * c->rows - 1, &t0, &t1))
    return;
  const int steps = (int)ceil(fmax(fabs(dx), fabs(dy)) * (t1 - t0));
  for (int i = 0; i <= steps; i++) {
    const double t = steps ? t0 + (t1 - t0) * i / steps : t0;
    set(c, xa + t * dx, ya + t * dy);
  }
}

void pmp_chart_line(struct pmp_chart *c, const double *x, const double *y, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!isfinite(x[i]) || !isfinite(y[i])) continue;
    const bool joined = i > 0 && isfinite(x[i - 1]) && isfinite(y[i - 1]);
    if (joined)
      segment(c, dot_x(c, x[i - 1]), dot_y(c, y[i - 1]), dot_x(c, x[i]), dot_y(c, y[i]));
    else
      pmp_chart_dot(c, x[i], y[i]);
  }
}

const char *pmp_chart_text(const struct pmp_chart *c, int row, int column, bool utf8,
                           char out[PMP_CHART_CELL]) {
  const unsigned bits = c->cell[row * c->columns + column];
  if (bits == 0) return strcpy(out, " ");
  if (!utf8) {
    const bool upper = bits & 0x1b, lower = bits & 0xe4;
    return strcpy(out, upper && lower ? ":" : upper ? "'" : ".");
  }
  out[0] = (char)0xe2; /* U+2800 + bits */
  out[1] = (char)(0xa0 | bits >> 6);
  out[2] = (char)(0x80 | (bits & 0x3f));
  out[3] = '\0';
  return out;
}

void pmp_chart_nice(double *lo, double *hi) {
  double span = *hi - *lo;
  if (!(span > 0)) span = fabs(*hi) > 0 ? fabs(*hi) * 0.2 : 1;
  const double raw = span / 4, power = pow(10, floor(log10(raw))), unit = raw / power;
  const double step = power * (unit <= 1     ? 1
                               : unit <= 2   ? 2
                               : unit <= 2.5 ? 2.5
                               : unit <= 5   ? 5
                                             : 10);
  *lo = floor(*lo / step) * step;
  *hi = ceil(*hi / step) * step;
  if (*hi <= *lo) *hi = *lo + step;
}

size_t pmp_chart_log(const double *y, size_t n, double *out, double *lo, double *hi) {
  size_t gaps = 0;
  *lo = INFINITY;
  *hi = -INFINITY;
  for (size_t i = 0; i < n; i++) {
    out[i] = y[i] > 0 && isfinite(y[i]) ? log10(y[i]) : NAN;
    if (isnan(out[i])) {
      gaps++;
      continue;
    }
    *lo = fmin(*lo, out[i]);
    *hi = fmax(*hi, out[i]);
  }
  if (gaps == n) {
    *lo = *hi = 0;
    return gaps;
  }
  *lo = floor(*lo);
  *hi = ceil(*hi);
  if (*hi <= *lo) *hi = *lo + 1;
  return gaps;
}
