/* Loops built for several instruction sets: as base/ has it. */
#ifndef PMP_POLICY_NN_SIMD_H
#define PMP_POLICY_NN_SIMD_H

#include "base/simd.h"

#endif
