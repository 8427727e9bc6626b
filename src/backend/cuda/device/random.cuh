// Randomness as a pure function of (seed, index): the numbers of runtime/counter_random.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

inline constexpr uint64_t kGoldenGamma = 0x9E3779B97F4A7C15u;

// SplitMix64's finalizer.
__device__ __forceinline__ uint64_t mix_bits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// In [0, 1), 53 bits.
__device__ __forceinline__ double counter_uniform(uint64_t seed, uint64_t index) {
  const uint64_t bits = mix_bits(mix_bits(seed + kGoldenGamma) + (index + 1) * kGoldenGamma);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace octavo::device
