// Randomness as a pure function of (seed, index): a request draws the same numbers in any batch.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo {

// SplitMix64's finalizer (Steele, Lea, Flood 2014): every input bit changes every output bit.
constexpr uint64_t mix_bits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// The seed is mixed before the index is added, so that neighbouring seeds do not share a stream.
constexpr uint64_t counter_random(uint64_t seed, uint64_t index) {
  constexpr uint64_t kGoldenGamma = 0x9E3779B97F4A7C15u;
  return mix_bits(mix_bits(seed + kGoldenGamma) + (index + 1) * kGoldenGamma);
}

// In [0, 1), 53 bits.
constexpr double counter_uniform(uint64_t seed, uint64_t index) {
  return static_cast<double>(counter_random(seed, index) >> 11) * 0x1p-53;
}

}  // namespace octavo
