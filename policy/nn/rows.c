#include "policy/nn/rows.h"

#include "base/simd.h"
#include "policy/nn/rows_kernels.h"

#include <math.h>
#include <string.h>

/* Partial sums along a row, and columns summed at once over a few rows. More than 16, so that gcc
 * vectorises the loops over them before it unrolls them. */
#define LANES 32
#define FEW 8 /* rows that several passes over them find in the nearest cache */
#define NORM_EPS 1e-5
static size_t blocks_of(size_t rows) {
  return (rows + PMP_ROWS_BLOCK - 1) / PMP_ROWS_BLOCK;
}

size_t pmp_rows_scratch_floats(size_t rows, size_t n) {
  return blocks_of(rows) * PMP_ROWS_SUMS * n * (sizeof(double) / sizeof(float));
}

/* ---- within a row ---- */

PMP_INLINE double fold(const double acc[LANES]) {
  double part[8];
  for (size_t i = 0; i < 8; i++) part[i] = (acc[i] + acc[16 + i]) + (acc[8 + i] + acc[24 + i]);
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

/* ---- one block: rows [first, last) ---- */

/* The arguments of a public function, for its blocks. */
struct job {
  const struct pmp_row_kernels *kernels;
  size_t n, per;
  const struct pmp_rows_add *add;
  const struct pmp_rows_norm *norm;
  const float *saved, *rstd_in, *y_in;
  float *z, *rstd, *y;
  uint16_t *half; /* bfloat16 of the result, or NULL */
  double *left;   /* column sums that each block leaves (blocks x PMP_ROWS_SUMS x n), or NULL */
};
typedef void block_fn(const struct job *w, size_t block, size_t first, size_t last);

PMP_INLINE struct pmp_row_added added_to(const struct pmp_rows_add *add, size_t r, size_t n) {
  return (struct pmp_row_added){add->bias, add->group ? add->group + r / add->per * n : NULL};
}

PMP_CLONES static void bias_block(const struct job *w, size_t block, size_t first, size_t last) {
  const size_t n = w->n;
  (void)block;
  for (size_t r = first; r < last; r++) {
    const struct pmp_row_added a = added_to(w->add, r, n);
    const float *restrict bias = a.bias, *restrict group = a.group;
    float *restrict row = w->z + r * n;
    if (group)
      for (size_t j = 0; j < n; j++) row[j] += group[j] + bias[j];
    else
      for (size_t j = 0; j < n; j++) row[j] += bias[j];
  }
}

static void elu_block(const struct job *w, size_t block, size_t first, size_t last) {
  const size_t n = w->n;
  (void)block;
  for (size_t r = first; r < last; r++)
    w->kernels->elu(n, added_to(w->add, r, n), w->z + r * n, w->y ? w->y + r * n : NULL,
                    w->half ? w->half + r * n : NULL);
}

/* A few rows at a time: no row waits for the root of its own variance. */
static void norm_block(const struct job *w, size_t block, size_t first, size_t last) {
  const size_t n = w->n;
  const double share = 1 / (double)n;
  (void)block;
  for (size_t r = first; r < last; r += FEW) {
    const size_t count = last - r < FEW ? last - r : FEW;
    struct pmp_row_scaled s[FEW];
    for (size_t i = 0; i < count; i++) {
      const struct pmp_row_moments m =
          w->kernels->add(n, added_to(w->add, r + i, n), w->z + (r + i) * n);
      const double mean = m.sum * share, variance = m.square * share - mean * mean;
      /* But for rounding it never is below 0; a NaN stays one. */
      s[i] = (struct pmp_row_scaled){(float)mean,
                                     (float)(1 / sqrt((variance < 0 ? 0 : variance) + NORM_EPS)),
                                     w->norm->gain, w->norm->shift};
    }
    for (size_t i = 0; i < count; i++) {
      const size_t at = (r + i) * n;
      if (w->rstd) w->rstd[r + i] = s[i].rstd;
      w->kernels->norm(n, &s[i], w->z + at, w->rstd != NULL, w->norm->elu, w->y ? w->y + at : NULL,
                       w->half ? w->half + at : NULL);
    }
  }
}

PMP_INLINE double *sums_of(const struct job *w, size_t block, size_t which) {
  return w->left + (block * PMP_ROWS_SUMS + which) * w->n;
}

/* sum[j] += the sum over rows [first, last) of g, or of g z when z is given. */
PMP_INLINE void column_sums(size_t first, size_t last, size_t n, const float *restrict g,
                            const float *restrict z, double *restrict sum) {
  size_t j = 0;
  for (; j + LANES <= n; j += LANES) {
    double acc[LANES];
    for (size_t l = 0; l < LANES; l++) acc[l] = sum[j + l];
    for (size_t r = first; r < last; r++) {
      const float *restrict p = g + r * n + j;
      if (z) {
        const float *restrict q = z + r * n + j;
        for (size_t l = 0; l < LANES; l++) acc[l] += (double)p[l] * (double)q[l];
      } else {
        for (size_t l = 0; l < LANES; l++) acc[l] += (double)p[l];
      }
    }
    for (size_t l = 0; l < LANES; l++) sum[j + l] = acc[l];
  }
  for (size_t r = first; r < last; r++)
    for (size_t k = j; k < n; k++)
      sum[k] += z ? (double)g[r * n + k] * (double)z[r * n + k] : (double)g[r * n + k];
}

static void clear_sums(const struct job *w, size_t block) {
  if (w->left) memset(sums_of(w, block, 0), 0, PMP_ROWS_SUMS * w->n * sizeof *w->left);
}

PMP_CLONES static void sum_block(const struct job *w, size_t block, size_t first, size_t last) {
  clear_sums(w, block);
  column_sums(first, last, w->n, w->saved, NULL, sums_of(w, block, 0));
}

PMP_CLONES static void elu_back_block(const struct job *w, size_t block, size_t first,
                                      size_t last) {
  const float *restrict y = w->y_in;
  float *restrict g = w->z;
  clear_sums(w, block);
  for (size_t r = first; r < last; r += FEW) {
    const size_t end = r + FEW < last ? r + FEW : last;
    for (size_t i = r * w->n; i < end * w->n; i++)
      g[i] *= y[i] > 0.0f ? 1.0f : y[i] + 1.0f; /* exp(z) = ELU(z) + 1 */
    if (w->half) w->kernels->round((end - r) * w->n, g + r * w->n, w->half + r * w->n);
    if (w->left) column_sums(r, end, w->n, g, NULL, sums_of(w, block, 0));
  }
}

/* The means along a row of d and of d z, where d = g gain is the gradient on the normalised row z.
 */
struct means {
  float plain, along;
};

PMP_INLINE struct means row_means(size_t n, const float *restrict g, const float *restrict gain,
                                  const float *restrict z) {
  double sum[LANES] = {0}, dot[LANES] = {0};
  size_t j = 0;
  for (; j + LANES <= n; j += LANES) {
    for (size_t l = 0; l < LANES; l++) sum[l] += (double)(g[j + l] * gain[j + l]);
    for (size_t l = 0; l < LANES; l++)
      dot[l] += (double)(g[j + l] * gain[j + l]) * (double)z[j + l];
  }
  for (size_t l = 0; j < n; j++, l++) {
    sum[l] += (double)(g[j] * gain[j]);
    dot[l] += (double)(g[j] * gain[j]) * (double)z[j];
  }
  return (struct means){(float)(fold(sum) / (double)n), (float)(fold(dot) / (double)n)};
}

/* dx = rstd (d - mean(d) - z mean(d z)). A few rows at a time: each pass finds in cache what the
 * one before brought. */
PMP_CLONES static void norm_back_block(const struct job *w, size_t block, size_t first,
                                       size_t last) {
  const size_t n = w->n;
  const bool elu = w->norm->elu;
  const float *restrict y = w->y_in, *restrict z = w->saved, *restrict gain = w->norm->gain;
  float *restrict g = w->z;
  struct means mean[FEW];
  clear_sums(w, block);
  for (size_t r = first; r < last; r += FEW) {
    const size_t end = r + FEW < last ? r + FEW : last;
    for (size_t i = r; i < end; i++) {
      if (elu)
        for (size_t j = i * n; j < (i + 1) * n; j++) g[j] *= y[j] > 0.0f ? 1.0f : y[j] + 1.0f;
      else
        for (size_t j = i * n; j < (i + 1) * n; j++) g[j] *= 1.0f - y[j] * y[j];
      mean[i - r] = row_means(n, g + i * n, gain, z + i * n);
    }
    if (w->left) column_sums(r, end, n, g, NULL, sums_of(w, block, 1));
    if (w->left) column_sums(r, end, n, g, z, sums_of(w, block, 2));
    for (size_t i = r; i < end; i++) {
      const float plain = mean[i - r].plain, along = mean[i - r].along, s = w->rstd_in[i];
      const float *restrict zi = z + i * n;
      float *restrict gi = g + i * n;
      for (size_t j = 0; j < n; j++) gi[j] = s * (gi[j] * gain[j] - plain - zi[j] * along);
    }
    if (w->half) w->kernels->round((end - r) * n, g + r * n, w->half + r * n);
    if (w->left) column_sums(r, end, n, g, NULL, sums_of(w, block, 0));
  }
}

PMP_CLONES static void group_block(const struct job *w, size_t block, size_t first, size_t last) {
  const size_t n = w->n, per = w->per;
  (void)block;
  for (size_t s = first; s < last; s++)
    for (size_t j = 0; j < n; j += LANES) {
      const size_t width = n - j < LANES ? n - j : LANES;
      double acc[LANES] = {0};
      for (size_t r = s * per; r < (s + 1) * per; r++)
        for (size_t l = 0; l < width; l++) acc[l] += (double)w->saved[r * n + j + l];
      for (size_t l = 0; l < width; l++) w->z[s * n + j + l] = (float)acc[l];
    }
}

/* ---- all blocks ---- */

static const struct pmp_row_kernels *best(void) {
  const struct pmp_row_kernels *wide = pmp_row_kernels_avx512();
  return wide ? wide : &pmp_row_kernels_plain;
}

/* One thread needs no team, nor does work that is done before a team has woken. */
#define TEAM_FLOATS 32768

static void each_block(int threads, size_t rows, size_t floats, block_fn *body,
                       const struct job *w) {
  const size_t blocks = blocks_of(rows);
  const int team = blocks > 1 && floats >= TEAM_FLOATS ? threads : 1;
#pragma omp parallel for schedule(static) num_threads(team) if (team > 1)
  for (size_t b = 0; b < blocks; b++) {
    const size_t last = (b + 1) * PMP_ROWS_BLOCK;
    body(w, b, b * PMP_ROWS_BLOCK, last < rows ? last : rows);
  }
}

/* sum += over blocks, in order, of the `which`-th sums that they left. */
static void add_blocks(size_t rows, const struct job *w, size_t which, float *sum) {
  if (sum == NULL) return;
  for (size_t j = 0; j < w->n; j++) {
    double total = 0;
    for (size_t b = 0; b < blocks_of(rows); b++) total += sums_of(w, b, which)[j];
    sum[j] = (float)((double)sum[j] + total);
  }
}

void pmp_rows_bias(int threads, size_t rows, size_t n, const struct pmp_rows_add *add, float *z) {
  const struct job w = {.n = n, .add = add, .z = z};
  each_block(threads, rows, rows * n, bias_block, &w);
}

void pmp_rows_elu(int threads, size_t rows, size_t n, const struct pmp_rows_add *add, float *z,
                  float *y, uint16_t *y16) {
  const struct job w = {.kernels = best(), .n = n, .add = add, .z = z, .y = y, .half = y16};
  each_block(threads, rows, rows * n, elu_block, &w);
}

void pmp_rows_norm(int threads, size_t rows, size_t n, const struct pmp_rows_add *add,
                   const struct pmp_rows_norm *norm, float *z, float *rstd, float *y,
                   uint16_t *y16) {
  const struct job w = {.kernels = best(),
                        .n = n,
                        .add = add,
                        .norm = norm,
                        .z = z,
                        .rstd = rstd,
                        .y = y,
                        .half = y16};
  each_block(threads, rows, rows * n, norm_block, &w);
}

static double *sums_in(float *scratch) {
  return (double *)(void *)scratch;
}

void pmp_rows_sum(int threads, size_t rows, size_t n, const float *g, float *scratch, float *sum) {
  const struct job w = {.n = n, .saved = g, .left = sums_in(scratch)};
  if (sum == NULL) return;
  each_block(threads, rows, rows * n, sum_block, &w);
  add_blocks(rows, &w, 0, sum);
}

void pmp_rows_elu_back(int threads, size_t rows, size_t n, const float *y, float *g, uint16_t *g16,
                       float *scratch, float *dbias) {
  const struct job w = {.kernels = best(),
                        .n = n,
                        .y_in = y,
                        .z = g,
                        .half = g16,
                        .left = dbias ? sums_in(scratch) : NULL};
  each_block(threads, rows, rows * n, elu_back_block, &w);
  add_blocks(rows, &w, 0, dbias);
}

void pmp_rows_norm_back(int threads, size_t rows, size_t n, const struct pmp_rows_norm *norm,
                        const float *z, const float *rstd, const float *y, float *g, uint16_t *g16,
                        float *scratch, float *dbias, float *dgain, float *dshift) {
  const struct job w = {.kernels = best(),
                        .n = n,
                        .norm = norm,
                        .saved = z,
                        .rstd_in = rstd,
                        .y_in = y,
                        .z = g,
                        .half = g16,
                        .left = dbias ? sums_in(scratch) : NULL};
  each_block(threads, rows, rows * n, norm_back_block, &w);
  add_blocks(rows, &w, 0, dbias);
  add_blocks(rows, &w, 1, dshift);
  add_blocks(rows, &w, 2, dgain);
}

void pmp_rows_group(int threads, size_t groups, size_t per, size_t n, const float *g, float *out) {
  const struct job w = {.n = n, .per = per, .saved = g, .z = out};
  each_block(threads, groups, groups * per * n, group_block, &w);
}

#define ROUND_BLOCK 8192

void pmp_rows_round(int threads, size_t count, const float *from, uint16_t *to) {
  const struct pmp_row_kernels *kernels = best();
  const int team = count >= 4 * TEAM_FLOATS ? threads : 1;
#pragma omp parallel for schedule(static) num_threads(team) if (team > 1)
  for (size_t i = 0; i < count; i += ROUND_BLOCK)
    kernels->round(count - i < ROUND_BLOCK ? count - i : ROUND_BLOCK, from + i, to + i);
}
