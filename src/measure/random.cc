// Portable distributions over std::mt19937_64.
// SPDX-License-Identifier: Apache-2.0
#include "measure/random.h"

#include <cmath>

#include "core/error.h"

namespace octavo {

uint64_t Random::below(uint64_t bound) {
  OCTAVO_CHECK(bound > 0);
  // 2^64 mod bound values at the bottom would favour small results; draw again instead.
  const uint64_t reject_below = (0 - bound) % bound;
  for (;;) {
    const uint64_t value = bits();
    if (value >= reject_below) return value % bound;
  }
}

double Random::uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

double Random::normal(double mean, double stdev) {
  // Marsaglia's polar method: only a logarithm and a square root, which IEEE 754 rounds exactly.
  for (;;) {
    const double x = 2 * uniform() - 1;
    const double y = 2 * uniform() - 1;
    const double square = x * x + y * y;
    if (square >= 1 || square == 0) continue;
    return mean + stdev * (x * std::sqrt(-2 * portable_log(square) / square));
  }
}

double Random::exponential(double mean) { return -mean * portable_log(1 - uniform()); }

double portable_log(double x) {
  OCTAVO_CHECK(std::isnormal(x) && x > 0);
  int exponent;
  double mantissa = std::frexp(x, &exponent);  // in [0.5, 1)
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2;
    --exponent;
  }
  // ln m = 2 atanh s with s = (m − 1) / (m + 1), |s| ≤ 0.172: 12 terms leave less than 2^-60.
  const double s = (mantissa - 1) / (mantissa + 1);
  const double s2 = s * s;
  double sum = 0;
  for (int term = 23; term >= 1; term -= 2) sum = sum * s2 + 1.0 / term;
  constexpr double kLn2 = 0.69314718055994531;
  return 2 * s * sum + exponent * kLn2;
}

}  // namespace octavo
