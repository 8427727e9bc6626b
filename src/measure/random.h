// Seeded random numbers that are the same on every platform: no distribution of the standard
// library, whose results differ between implementations.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>

namespace octavo {

class Random {
 public:
  explicit Random(uint64_t seed) : bits_(seed) {}

  uint64_t bits() { return bits_(); }
  // In [0, bound), exactly uniform; `bound` ≥ 1.
  uint64_t below(uint64_t bound);
  // In [0, 1), a multiple of 2^-53.
  double uniform();
  double normal(double mean, double stdev);
  double exponential(double mean);

 private:
  std::mt19937_64 bits_;  // its sequence is fixed by the C++ standard
};

// Natural logarithm from +, −, × and ÷ alone, for positive normal x: the last bit of std::log
// depends on the C library, and a dataset must not.
double portable_log(double x);

}  // namespace octavo
