#include "learner/improve/matrix.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SWEEPS_MAX = 60 };

/* The sum of squares below the diagonal, and on it. */
static void squares(size_t n, const double *a, double *below, double *on) {
  *below = *on = 0;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < i; k++) *below += a[i * n + k] * a[i * n + k];
    *on += a[i * n + i] * a[i * n + i];
  }
}

static void rotate_rows(size_t n, double *x, double *y, double c, double s) {
  for (size_t k = 0; k < n; k++) {
    double xk = x[k], yk = y[k];
    x[k] = c * xk - s * yk;
    y[k] = s * xk + c * yk;
  }
}

/* Makes a[p][q] zero (p < q). Rows p and q carry the whole of the rotation; the columns follow by
 * symmetry. */
static void rotate(size_t n, double *a, double *v, size_t p, size_t q) {
  double apq = a[p * n + q], app = a[p * n + p], aqq = a[q * n + q];
  double theta = (aqq - app) / (2 * apq);
  double t = 1 / (fabs(theta) + sqrt(theta * theta + 1));
  if (theta < 0) t = -t;
  double c = 1 / sqrt(t * t + 1), s = t * c;
  rotate_rows(n, a + p * n, a + q * n, c, s);
  for (size_t k = 0; k < n; k++) {
    a[k * n + p] = a[p * n + k];
    a[k * n + q] = a[q * n + k];
  }
  a[p * n + p] = app - t * apq;
  a[q * n + q] = aqq + t * apq;
  a[p * n + q] = a[q * n + p] = 0;
  rotate_rows(n, v + p * n, v + q * n, c, s);
}

enum pmp_err pmp_matrix_eigen(size_t n, double *a, double *w, double *v) {
  memset(v, 0, n * n * sizeof *v);
  for (size_t i = 0; i < n; i++) v[i * n + i] = 1;
  for (int sweep = 0;; sweep++) {
    double below, on;
    squares(n, a, &below, &on);
    if (!isfinite(below) || !isfinite(on) || sweep == SWEEPS_MAX) return PMP_ENONFINITE;
    if (below <= on * (DBL_EPSILON * DBL_EPSILON)) break;
    for (size_t p = 0; p < n; p++)
      for (size_t q = p + 1; q < n; q++)
        if (fabs(a[p * n + q]) > DBL_MIN) rotate(n, a, v, p, q);
  }
  for (size_t i = 0; i < n; i++) w[i] = a[i * n + i];
  return PMP_OK;
}

enum pmp_err pmp_matrix_cholesky(size_t n, const double *a, double *l) {
  for (size_t i = 0; i < n; i++) {
    double *row = l + i * n;
    for (size_t k = 0; k <= i; k++) {
      double sum = a[i * n + k];
      for (size_t j = 0; j < k; j++) sum -= row[j] * l[k * n + j];
      if (k < i) {
        row[k] = sum / l[k * n + k];
      } else {
        if (!(sum > 0) || !isfinite(sum)) return PMP_ENONFINITE;
        row[i] = sqrt(sum);
      }
    }
  }
  for (size_t i = 0; i < n; i++)
    for (size_t k = i + 1; k < n; k++) l[i * n + k] = 0;
  return PMP_OK;
}

void pmp_matrix_solve_lower(size_t n, const double *l, double *x) {
  for (size_t i = 0; i < n; i++) {
    double sum = x[i];
    for (size_t k = 0; k < i; k++) sum -= l[i * n + k] * x[k];
    x[i] = sum / l[i * n + i];
  }
}

void pmp_matrix_lower_product(size_t n, const double *a, const double *b, double *out) {
  memset(out, 0, n * n * sizeof *out);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j <= i; j++)
      for (size_t k = 0; k <= j; k++) out[i * n + k] += a[i * n + j] * b[j * n + k];
}
