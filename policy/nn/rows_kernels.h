/* What is done to one row, in versions for different processors; inside policy/nn only.
 *
 * The plain ones give the same bits on every instruction set. Others may round differently, by a
 * few units in the last place; which ones run depends on the processor alone. */
#ifndef PMP_POLICY_NN_ROWS_KERNELS_H
#define PMP_POLICY_NN_ROWS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is added to a row (n): bias, and group unless it is NULL. */
struct pmp_row_added {
  const float *bias, *group;
};

/* A row's sums of x and of x^2. */
struct pmp_row_moments {
  double sum, square;
};

/* What LayerNorm does to a place x of a row: (x - mean) rstd gain + shift. */
struct pmp_row_scaled {
  float mean, rstd;
  const float *gain, *shift; /* (n) */
};

struct pmp_row_kernels {
  /* y = ELU(z + added), in float32 and, unless it is NULL, rounded in y16. y may be z, or NULL
   * when y16 is there: then z is scratch. */
  void (*elu)(size_t n, struct pmp_row_added a, float *z, float *y, uint16_t *y16);
  /* z += added, and its sums in float64. */
  struct pmp_row_moments (*add)(size_t n, struct pmp_row_added a, float *z);
  /* y = tanh or ELU of what s makes of z, as above; with keep, z = (z - mean) rstd (y is not z
   * then). */
  void (*norm)(size_t n, const struct pmp_row_scaled *s, float *z, bool keep, bool elu, float *y,
               uint16_t *y16);
  /* bfloat16 to nearest even; a NaN stays one. */
  void (*round)(size_t n, const float *x, uint16_t *y16);
};

extern const struct pmp_row_kernels pmp_row_kernels_plain;
/* Those for AVX-512; NULL where they cannot run. */
const struct pmp_row_kernels *pmp_row_kernels_avx512(void);

#endif
