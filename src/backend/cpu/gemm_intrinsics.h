// The compiler's x86 intrinsics, for the files of matrix multiplication alone.
// SPDX-License-Identifier: Apache-2.0
#pragma once

// GCC 12 warns of registers that its own header leaves undefined on purpose.
#pragma GCC diagnostic push
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

// Before a static member function of an `Isa` (gemm_loops.h).
#define OCTAVO_INLINE OCTAVO_GEMM_TARGET __attribute__((always_inline)) static inline
