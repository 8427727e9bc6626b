// Statistics of calibration: what algorithms choose scales from.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "core/tensor.h"

namespace octavo {

// Of one observed tensor over the whole calibration set. Order-free: the same for any batching or
// thread count.
struct TensorStatistics {
  float amax = 0.0f;
  uint64_t count = 0;
  // Values by their float exponent: bin e holds 2^(e-127) <= |x| < 2^(e-126); bin 0 zeros and
  // subnormals.
  std::array<uint64_t, 256> exponents{};

  void merge(const TensorStatistics& other);
  // An upper bound of the share of values that exceed `limit` (whole bins are counted).
  double share_above(float limit) const;
  // The smallest power of two that at least half of the values stay below.
  float median_bound() const;
};

// Accumulates a [rows, columns] float32 or bfloat16 tensor. `nonfinite` counts NaN and infinities,
// which the statistics leave out.
struct ObservedTensor {
  TensorStatistics statistics;
  uint64_t nonfinite = 0;
};
ObservedTensor observe(const TensorView& tensor);

// By module: "model.layers.0.self_attn.q_proj" for linears, "model.layers.0.self_attn" for keys and
// values.
struct CalibrationStatistics {
  std::map<std::string, TensorStatistics> inputs;
  std::map<std::string, TensorStatistics> keys;
  std::map<std::string, TensorStatistics> values;
  std::map<std::string, int64_t> routed_tokens;  // by linear of an expert
  int64_t samples = 0;
  int64_t tokens = 0;
  int64_t peak_device_bytes = 0;  // that calibration took of the device
  int64_t spilled_bytes = 0;      // of hidden states, on the host
};

}  // namespace octavo
