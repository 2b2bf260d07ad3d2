/* What a core can do at most: its rate of multiply-adds of 512-bit registers that touch nothing
 * else, in 24 sums, so that none waits for itself.
 *
 * Written as the instructions themselves: a compiler is free to keep an array of vectors in memory,
 * and that would be measured. Where a processor lacks the instruction there is no figure (NaN). */
#ifndef PMP_BENCH_PEAK_H
#define PMP_BENCH_PEAK_H

#include "bench/bench.h"

enum { PEAK_SUMS = 24, PEAK_TIMES = 200000 };

#if defined(__x86_64__)

/* `times` rounds of the instruction, on registers that hold 0. */
#define PEAK_ROUNDS(instruction, times)                                                            \
  __asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,30,31\n"  \
                   "vpxorq %%zmm\\n, %%zmm\\n, %%zmm\\n\n"                                         \
                   ".endr\n"                                                                       \
                   "1:\n"                                                                          \
                   ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n"        \
                   "" instruction " %%zmm30, %%zmm31, %%zmm\\n\n"                                  \
                   ".endr\n"                                                                       \
                   "dec %0\n"                                                                      \
                   "jnz 1b\n"                                                                      \
                   : "+r"(times)                                                                   \
                   :                                                                               \
                   : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                     "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",        \
                     "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm30",       \
                     "xmm31")

#define PEAK_WIDE __attribute__((target("avx512f"), unused))

PEAK_WIDE static void peak_rounds(bool half, int64_t times) {
  if (half)
    PEAK_ROUNDS("vdpbf16ps", times);
  else
    PEAK_ROUNDS("vfmadd231ps", times);
}

static inline bool peak_there(bool half) {
  return __builtin_cpu_supports("avx512f") && (!half || __builtin_cpu_supports("avx512bf16"));
}

#else

static inline void peak_rounds(bool half, int64_t times) {
  (void)half, (void)times;
}

static inline bool peak_there(bool half) {
  (void)half;
  return false;
}

#endif

/* FLOP/s of one core, in float32 or (half) of bfloat16 into float32: some milliseconds of it. */
static inline double peak_measure(bool half) {
  if (!peak_there(half)) return NAN;
  const double start = bench_cpu_seconds();
  peak_rounds(half, PEAK_TIMES);
  return 2.0 * (half ? 32 : 16) * PEAK_SUMS * PEAK_TIMES / (bench_cpu_seconds() - start);
}

#endif
