/* Building a hot loop for several instruction sets, the choice made when the program starts.
 *
 * Without fused multiply-adds and with reductions in fixed lanes every version gives the same bits.
 */
#ifndef PMP_POLICY_NN_SIMD_H
#define PMP_POLICY_NN_SIMD_H

/* A sanitizer is not ready when the choice is made. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&   \
    !defined(PMP_SANITIZED) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PMP_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define PMP_CLONES
#endif

/* Eight lanes, for the reductions that a compiler does not see: x86 has 8 doubles in a register,
 * others take more than one. Loads and stores need no alignment. */
typedef float pmp_simd_f8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef double pmp_simd_d8 __attribute__((vector_size(64), aligned(8), may_alias));
#define PMP_SIMD_LANES 8
/* The 8 floats at p as doubles. */
#define PMP_SIMD_WIDEN(p)                                                                          \
  __builtin_convertvector(*(const pmp_simd_f8 *)(const void *)(p), pmp_simd_d8)

#define PMP_INLINE static inline __attribute__((always_inline))

#endif
