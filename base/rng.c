#include "base/rng.h"

#include "base/math.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { ROUNDS = 10, WORDS = 4 };
/* Words for normals are generated BLOCKS at once (FEW: one by one up to here), and used NEAR at
 * once. LINE: words of a cache line. */
enum { BLOCKS = 16, BATCH = BLOCKS * WORDS, FEW = 2, NEAR = BATCH / 2, LINE = 16 };

static const uint32_t MUL0 = 0xD2511F53U, MUL1 = 0xCD9E8D57U;
static const uint32_t WEYL0 = 0x9E3779B9U, WEYL1 = 0xBB67AE85U;
static const double TWO_PI = 6.283185307179586476925286766559;

void pmp_rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t p0 = (uint64_t)MUL0 * c0;
    uint64_t p1 = (uint64_t)MUL1 * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += WEYL0;
    k1 += WEYL1;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/* The high words of a counter name the stream: the carry stops below them. */
static void counter_add(uint32_t counter[4], uint64_t blocks) {
  const uint64_t low = ((uint64_t)counter[1] << 32 | counter[0]) + blocks;
  counter[0] = (uint32_t)low;
  counter[1] = (uint32_t)(low >> 32);
}

#ifdef __x86_64__
static const uint64_t UP[BLOCKS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* At least `blocks` blocks, each in a 64-bit lane of a vector. A lane's low half is the word, its
 * high half noise, which PRODUCT (32 by 32 bits to 64) ignores; compilers do not find that
 * instruction in plain loops. Two vectors side by side fill the time that a product takes. */
#define BLOCKS_KERNEL(NAME, ISA, BYTES, PRODUCT)                                                   \
  __attribute__((target(ISA))) static void NAME(const uint32_t counter[4], const uint32_t key[2],  \
                                                size_t blocks, uint32_t out[BATCH]) {              \
    typedef uint64_t lanes __attribute__((vector_size(BYTES)));                                    \
    enum { EACH = (BYTES) / 8, GROUPS = 2 };                                                       \
    const lanes zero = {0}, mul0 = zero + MUL0, mul1 = zero + MUL1;                                \
    for (size_t done = 0; done < blocks; done += GROUPS * EACH) {                                  \
      lanes k0 = zero + key[0], k1 = zero + key[1];                                                \
      lanes c0[GROUPS], c1[GROUPS], c2[GROUPS], c3[GROUPS];                                        \
      for (size_t g = 0; g < GROUPS; g++) {                                                        \
        memcpy(&c0[g], UP + EACH * g, sizeof c0[g]);                                               \
        c0[g] += ((uint64_t)counter[1] << 32 | counter[0]) + done;                                 \
        c1[g] = c0[g] >> 32;                                                                       \
        c2[g] = zero + counter[2];                                                                 \
        c3[g] = zero + counter[3];                                                                 \
      }                                                                                            \
      for (int round = 0; round < ROUNDS; round++, k0 += WEYL0, k1 += WEYL1) {                     \
        for (size_t g = 0; g < GROUPS; g++) {                                                      \
          const lanes p0 = (lanes)PRODUCT(c0[g], mul0), p1 = (lanes)PRODUCT(c2[g], mul1);          \
          c0[g] = p1 >> 32 ^ c1[g] ^ k0;                                                           \
          c1[g] = p1;                                                                              \
          c2[g] = p0 >> 32 ^ c3[g] ^ k1;                                                           \
          c3[g] = p0;                                                                              \
        }                                                                                          \
      }                                                                                            \
      for (size_t g = 0; g < GROUPS; g++) {                                                        \
        const lanes a = (c0[g] & UINT32_MAX) | c1[g] << 32,                                        \
                    b = (c2[g] & UINT32_MAX) | c3[g] << 32;                                        \
        for (size_t l = 0; l < EACH; l++) {                                                        \
          const uint64_t block[2] = {a[l], b[l]};                                                  \
          memcpy(out + WORDS * (done + EACH * g + l), block, sizeof block);                        \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }
#define PRODUCT256(A, B) _mm256_mul_epu32((__m256i)(A), (__m256i)(B))
#define PRODUCT512(A, B) _mm512_mul_epu32((__m512i)(A), (__m512i)(B))
BLOCKS_KERNEL(blocks_avx2, "avx2", 32, PRODUCT256)
BLOCKS_KERNEL(blocks_avx512, "avx512f", 64, PRODUCT512)
#endif

/* `blocks` blocks from `counter` on, at most BLOCKS; what follows them in `out` may be written too.
 */
static void blocks_at(const uint32_t counter[4], const uint32_t key[2], size_t blocks,
                      uint32_t out[BATCH]) {
  uint32_t at[4] = {counter[0], counter[1], counter[2], counter[3]};
#ifdef __x86_64__
  if (blocks > FEW && __builtin_cpu_supports("avx512f")) {
    blocks_avx512(counter, key, blocks, out);
    return;
  }
  if (blocks > FEW && __builtin_cpu_supports("avx2")) {
    blocks_avx2(counter, key, blocks, out);
    return;
  }
#endif
  for (size_t b = 0; b < blocks; b++, counter_add(at, 1)) pmp_rng_philox(at, key, out + WORDS * b);
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
    counter_add(r->counter, 1);
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

/* Draws `count` words, 1 to BATCH, and returns the first of them, in `words`; what follows them
 * there is noise. */
static const uint32_t *draw(struct pmp_rng *r, size_t count, uint32_t words[LINE + BATCH]) {
  const uint32_t used = r->used;
  const size_t blocks = (used + count - 1) / WORDS; /* beyond the current one */
  uint32_t *current = words + LINE - WORDS;
  memcpy(current, r->block, sizeof r->block);
  blocks_at(r->counter, r->key, blocks, words + LINE);
  memcpy(r->block, current + WORDS * blocks, sizeof r->block);
  counter_add(r->counter, blocks);
  r->used = (uint32_t)(used + count - WORDS * blocks);
  return current + used;
}

PMP_INLINE void box_muller(const uint32_t *words, float *out) {
  for (size_t i = 0; i < NEAR; i += 2) {
    /* (w + 1) / 2^32 lies in (0,1]; by halves, since w + 1 may not fit its word. */
    const float u = (float)(int32_t)(words[i] >> 16) * 0x1p-16F +
                    (float)(int32_t)((words[i] & 0xffff) + 1) * 0x1p-32F;
    const float radius = sqrtf(-2.0F * pmp_math_logf(u));
    float sine, cosine;
    pmp_math_sincos_turnf(words[i + 1], &sine, &cosine);
    out[i] = radius * cosine;
    out[i + 1] = radius * sine;
  }
}

PMP_INLINE void box_muller64(const uint32_t *words, double *out) {
  for (size_t i = 0; i < NEAR / 4; i++) {
    const uint32_t *w = words + 4 * i;
    /* 1 minus 53 bits lies in (0,1]; signed, since few instruction sets turn uint32_t to double. */
    const double u = (0.5 - (double)(int32_t)(w[1] ^ 0x80000000U) * 0x1p-32) -
                     (double)(int32_t)(w[0] >> 11) * 0x1p-53;
    const double radius = sqrt(-2.0 * pmp_math_log(u));
    double sine, cosine;
    pmp_math_sincos_turn(w[3], (double)(int32_t)(w[2] >> 11) * 0x1p-53, &sine, &cosine);
    out[2 * i] = radius * cosine;
    out[2 * i + 1] = radius * sine;
  }
}

PMP_CLONES void pmp_rng_normal_fill(struct pmp_rng *r, float *out, size_t n) {
  _Alignas(64) uint32_t words[LINE + BATCH] = {0};
  _Alignas(64) float z[BATCH];
  for (size_t count; n > 0; n -= count, out += count) {
    count = n < BATCH ? n : BATCH;
    const uint32_t *first = draw(r, (count + 1) / 2 * 2, words);
    for (size_t i = 0; i < count; i += NEAR) box_muller(first + i, z + i);
    memcpy(out, z, count * sizeof *out);
  }
}

PMP_CLONES void pmp_rng_normal_fill64(struct pmp_rng *r, double *out, size_t n) {
  _Alignas(64) uint32_t words[LINE + BATCH] = {0};
  _Alignas(64) double z[BATCH / 2];
  for (size_t count; n > 0; n -= count, out += count) {
    count = n < BATCH / 2 ? n : BATCH / 2;
    const uint32_t *first = draw(r, (count + 1) / 2 * 4, words);
    for (size_t i = 0; i < count; i += NEAR / 2) box_muller64(first + 2 * i, z + i);
    memcpy(out, z, count * sizeof *out);
  }
}
