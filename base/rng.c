#include "base/rng.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { ROUNDS = 10, WORDS = 4 };

static const double TWO_PI = 6.283185307179586476925286766559;

void pmp_rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  const uint32_t mul0 = 0xD2511F53U, mul1 = 0xCD9E8D57U;
  const uint32_t weyl0 = 0x9E3779B9U, weyl1 = 0xBB67AE85U;
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t p0 = (uint64_t)mul0 * c0;
    uint64_t p1 = (uint64_t)mul1 * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += weyl0;
    k1 += weyl1;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void pmp_rng_init(struct pmp_rng *r, uint64_t seed, uint64_t stream) {
  memset(r, 0, sizeof *r);
  r->key[0] = (uint32_t)seed;
  r->key[1] = (uint32_t)(seed >> 32);
  r->counter[2] = (uint32_t)stream;
  r->counter[3] = (uint32_t)(stream >> 32);
  r->used = WORDS;
}

uint32_t pmp_rng_u32(struct pmp_rng *r) {
  if (r->used >= WORDS) {
    pmp_rng_philox(r->counter, r->key, r->block);
    /* The high words name the stream: the carry stops below them. */
    if (++r->counter[0] == 0) r->counter[1]++;
    r->used = 0;
  }
  return r->block[r->used++];
}

uint64_t pmp_rng_u64(struct pmp_rng *r) {
  uint64_t low = pmp_rng_u32(r);
  return (uint64_t)pmp_rng_u32(r) << 32 | low;
}

double pmp_rng_double(struct pmp_rng *r) {
  return (double)(pmp_rng_u64(r) >> 11) * 0x1p-53;
}

float pmp_rng_float(struct pmp_rng *r) {
  return (float)(pmp_rng_u32(r) >> 8) * 0x1p-24F;
}

uint64_t pmp_rng_below(struct pmp_rng *r, uint64_t n) {
  assert(n > 0);
  /* Lemire 2019, algorithm 5: the high word of x * n, with the few x that would favour some results
   * redrawn. */
  unsigned __int128 product = (unsigned __int128)pmp_rng_u64(r) * n;
  if ((uint64_t)product < n) {
    uint64_t threshold = (0 - n) % n;
    while ((uint64_t)product < threshold) product = (unsigned __int128)pmp_rng_u64(r) * n;
  }
  return (uint64_t)(product >> 64);
}

double pmp_rng_normal(struct pmp_rng *r) {
  /* 1 - u lies in (0,1], so its logarithm is finite. */
  double radius = sqrt(-2.0 * log(1.0 - pmp_rng_double(r)));
  return radius * cos(TWO_PI * pmp_rng_double(r));
}

void pmp_rng_normal_fill(struct pmp_rng *r, float *out, size_t n) {
  for (size_t i = 0; i < n; i += 2) {
    /* (u + 1) / 2^32 lies in (0,1]: 32 bits, so the tail reaches 6.66 standard deviations. */
    float u = (float)(((double)pmp_rng_u32(r) + 1.0) * 0x1p-32);
    float v = (float)((double)pmp_rng_u32(r) * 0x1p-32);
    float radius = sqrtf(-2.0F * logf(u));
    float angle = (float)TWO_PI * v;
    out[i] = radius * cosf(angle);
    if (i + 1 < n) out[i + 1] = radius * sinf(angle);
  }
}
