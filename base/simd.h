/* Building a hot loop for several instruction sets, the choice made when the program starts.
 *
 * Without fused multiply-adds and with reductions in fixed lanes every version gives the same bits.
 */
#ifndef PMP_BASE_SIMD_H
#define PMP_BASE_SIMD_H

/* A sanitizer is not ready when the choice is made. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&   \
    !defined(PMP_SANITIZED) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PMP_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define PMP_CLONES
#endif

#define PMP_INLINE static inline __attribute__((always_inline))

#endif
