// Synthetic requests: random token ids with lengths from a stated distribution.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "measure/dataset.h"

namespace octavo {

// Rounded to whole tokens, at least 1.
struct NormalLengths {
  double mean = 0;
  double stdev = 0;
};

// Both ends included.
struct UniformLengths {
  int64_t min = 1;
  int64_t max = 1;
};

using LengthDistribution = std::variant<NormalLengths, UniformLengths>;

struct SyntheticOptions {
  int64_t num_requests = 0;
  LengthDistribution input;
  LengthDistribution output;
  int32_t vocab_size = 0;
  std::vector<int32_t> excluded_ids;  // never drawn: special tokens
  uint64_t seed = 0;
};

// The same options give the same requests on every platform. Error(kUsage) for impossible options.
std::vector<BenchRequest> synthetic_requests(const SyntheticOptions& options);

// `count` requests of the lengths of `like` (repeated where it is shorter) and ids of their own, so
// that a warm-up leaves nothing behind that the measured requests could reuse.
std::vector<BenchRequest> fresh_requests(std::span<const BenchRequest> like, int64_t count,
                                         int32_t vocab_size, uint64_t seed);

}  // namespace octavo
