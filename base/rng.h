/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011).
 *
 * The whole state is a key, a counter and a position in the current block: it is copied into
 * checkpoints and actor states, and two generators of different stream ids never overlap. No thread
 * owns it; pass it. */
#ifndef PMP_BASE_RNG_H
#define PMP_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct pmp_rng {
  uint32_t key[2];
  uint32_t counter[4]; /* of the next block */
  uint32_t block[4];   /* current block */
  uint32_t used;       /* words of the block used, 0..4; 4: none left */
  uint32_t reserved;   /* zero */
};

/* Generator `stream` of `seed`: key from the seed, high counter words from the stream. */
void pmp_rng_init(struct pmp_rng *r, uint64_t seed, uint64_t stream);
uint32_t pmp_rng_u32(struct pmp_rng *r);
uint64_t pmp_rng_u64(struct pmp_rng *r);
/* Uniform in [0,1), 53 bits / 24 bits. */
double pmp_rng_double(struct pmp_rng *r);
float pmp_rng_float(struct pmp_rng *r);
/* Uniform in [0,n), unbiased (Lemire's rejection); n > 0. */
uint64_t pmp_rng_below(struct pmp_rng *r, uint64_t n);
/* Standard normal (Box-Muller, one draw a call, two uniforms used, nothing kept). */
double pmp_rng_normal(struct pmp_rng *r);
/* out[n] standard normals, as vector code: Box-Muller in pairs (r cos a, r sin a), an odd n throws
 * the last away. Each pair takes two words u, v in the order of pmp_rng_u32:
 * r = sqrt(-2 ln((u + 1) / 2^32)), the argument rounded to float32, and a = 2 pi v / 2^32, within 4
 * units in the last place. The tail reaches 6.66 standard deviations. The same bits on every
 * instruction set. */
void pmp_rng_normal_fill(struct pmp_rng *r, float *out, size_t n);
/* The same in float64, from two pmp_rng_double a pair: r = sqrt(-2 ln(1 - u)), a = 2 pi v, as
 * near. The tail reaches 8.57 standard deviations. */
void pmp_rng_normal_fill64(struct pmp_rng *r, double *out, size_t n);
/* One Philox4x32-10 block, for tests against published vectors. */
void pmp_rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
