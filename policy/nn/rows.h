/* What a network does to rows between two products: biases, LayerNorm, tanh, ELU, and their
 * backward.
 *
 * Arrays are row major (rows x n). Work is divided into blocks of PMP_ROWS_BLOCK rows, which OpenMP
 * spreads over the backend's threads; sums over rows are taken within a block, then over blocks in
 * order, in float64, so that the number of threads changes no bit. Knows nothing of layers or
 * parameters.
 *
 * Outputs of a layer are float32 (y), or bfloat16 rounded to nearest even (y16), or both: one of
 * them may be NULL. */
#ifndef PMP_POLICY_NN_ROWS_H
#define PMP_POLICY_NN_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PMP_ROWS_BLOCK 64
#define PMP_ROWS_SUMS 3 /* column sums that one backward can ask for */

/* What is added to a row of a product: bias (n) and, when group is not NULL, group (rows / per x n)
 * by the row. */
struct pmp_rows_add {
  const float *bias, *group;
  size_t per;
};

/* LayerNorm (eps 1e-5) and what follows it: gain, shift (n); then ELU, or tanh. */
struct pmp_rows_norm {
  const float *gain, *shift;
  bool elu;
};

/* Floats of scratch for the column sums of one backward; 64-byte aligned as all scratch here. */
size_t pmp_rows_scratch_floats(size_t rows, size_t n);

/* z += what is added. */
void pmp_rows_bias(int threads, size_t rows, size_t n, const struct pmp_rows_add *add, float *z);
/* y = ELU(z + what is added); y may be z; without y, z is scratch. */
void pmp_rows_elu(int threads, size_t rows, size_t n, const struct pmp_rows_add *add, float *z,
                  float *y, uint16_t *y16);
/* y = act(x gain + shift), x the normalised row of (z + what is added). With rstd (rows), for a
 * backward: z = x, rstd = 1 / the row's standard deviation, y is there and is not z. Without
 * (NULL): z is scratch, and y may be z. */
void pmp_rows_norm(int threads, size_t rows, size_t n, const struct pmp_rows_add *add,
                   const struct pmp_rows_norm *norm, float *z, float *rstd, float *y,
                   uint16_t *y16);

/* sum += sums of g's columns. Like all `sum` and `d...` (n) below added to, and nullable (the last
 * three together). */
void pmp_rows_sum(int threads, size_t rows, size_t n, const float *g, float *scratch, float *sum);
/* g (gradient on y = ELU(z)) becomes that on z; g16 (nullable) too; dbias += its column sums. */
void pmp_rows_elu_back(int threads, size_t rows, size_t n, const float *y, float *g, uint16_t *g16,
                       float *scratch, float *dbias);
/* g (gradient on y = act(z gain + shift)) becomes that on the row before normalisation. z is the
 * normalised row. */
void pmp_rows_norm_back(int threads, size_t rows, size_t n, const struct pmp_rows_norm *norm,
                        const float *z, const float *rstd, const float *y, float *g, uint16_t *g16,
                        float *scratch, float *dbias, float *dgain, float *dshift);
/* out (groups x n) = sums of g (groups * per x n) over each group's rows. */
void pmp_rows_group(int threads, size_t groups, size_t per, size_t n, const float *g, float *out);
/* to = from, rounded. Denormal numbers may become 0. */
void pmp_rows_round(int threads, size_t count, const float *from, uint16_t *to);

#endif
