/* Weights laid out as oneDNN's products on AVX-512 read them: blocks of `width` columns, in them
 * blocks of 16 rows (of bfloat16: 32, two rows side by side), rests filled up with 0. Inside
 * policy/nn only.
 *
 * oneDNN packs by itself too, in four times as long, and the weights of a critic that learns are
 * packed at every step. Uses the calling thread's OpenMP team. */
#ifndef PMP_POLICY_NN_PACK_H
#define PMP_POLICY_NN_PACK_H

#include <stdint.h>

#define PMP_PACK_WIDTH_MAX 64

/* b has k rows and n columns, dense. Strides between blocks in elements of what is packed. */
struct pmp_pack {
  int64_t n, k, width;
  int64_t stride_n, stride_k;
};

void pmp_pack_floats(const struct pmp_pack *p, const float *b, float *packed);
/* Rounded to nearest even; a NaN stays one. packed: 4-byte aligned. */
void pmp_pack_halves(const struct pmp_pack *p, const float *b, uint16_t *packed);

#endif
