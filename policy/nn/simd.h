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

/* Four lanes, for the reductions that a compiler does not see through: float32 widened to float64
 * in one instruction where there is one. Loads and stores need no alignment. */
typedef float pmp_simd_f4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef double pmp_simd_d4 __attribute__((vector_size(32), aligned(8), may_alias));
#define PMP_SIMD_LOAD(p) (*(const pmp_simd_f4 *)(const void *)(p))
#define PMP_SIMD_WIDEN(f4) __builtin_convertvector(f4, pmp_simd_d4)

#define PMP_INLINE static inline __attribute__((always_inline))

#endif
