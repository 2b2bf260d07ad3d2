/* What a network does to rows between two products: biases, LayerNorm, tanh, ELU, and their
 * backward.
 *
 * Arrays are row major (rows x n). Work is divided into blocks of PMP_ROWS_BLOCK rows, which OpenMP
 * spreads over the backend's threads; sums over rows are taken within a block, then over blocks in
 * order, in float64, so that the number of threads changes no bit. Knows nothing of layers or
 * parameters. */
#ifndef PMP_POLICY_NN_ROWS_H
#define PMP_POLICY_NN_ROWS_H

#include <stddef.h>

#define PMP_ROWS_BLOCK 64
#define PMP_ROWS_SUMS 3 /* column sums that one backward can ask for */

/* What is added to a row of a product: bias (n) and, when group is not NULL, group (rows / per x n)
 * by the row. */
struct pmp_rows_add {
  const float *bias, *group;
  size_t per;
};

/* Floats of scratch for the column sums of one backward; 64-byte aligned as all scratch here. */
size_t pmp_rows_scratch_floats(size_t rows, size_t n);

/* z += what is added. */
void pmp_rows_bias(int threads, size_t rows, size_t n, const struct pmp_rows_add *add, float *z);
/* z = ELU(z + what is added). */
void pmp_rows_elu(int threads, size_t rows, size_t n, const struct pmp_rows_add *add, float *z);
/* z = the normalised row of (z + what is added), rstd (rows) = 1 / its standard deviation (eps
 * 1e-5), y = tanh(z * gain + shift). */
void pmp_rows_norm_tanh(int threads, size_t rows, size_t n, const struct pmp_rows_add *add,
                        const float *gain, const float *shift, float *z, float *rstd, float *y);

/* sum += sums of g's columns. Like all `sum` and `d...` (n) below added to, and nullable (the last
 * three together). */
void pmp_rows_sum(int threads, size_t rows, size_t n, const float *g, float *scratch, float *sum);
/* g (gradient on y = ELU(z)) becomes that on z; dbias += its column sums. */
void pmp_rows_elu_back(int threads, size_t rows, size_t n, const float *y, float *g, float *scratch,
                       float *dbias);
/* g (gradient on y = tanh(z gain + shift)) becomes that on the row before normalisation. z is the
 * normalised row. */
void pmp_rows_norm_tanh_back(int threads, size_t rows, size_t n, const float *z, const float *rstd,
                             const float *y, const float *gain, float *g, float *scratch,
                             float *dbias, float *dgain, float *dshift);
/* out (groups x n) = sums of g (groups * per x n) over each group's rows. */
void pmp_rows_group(int threads, size_t groups, size_t per, size_t n, const float *g, float *out);

#endif
