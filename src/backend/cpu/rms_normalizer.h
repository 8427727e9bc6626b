// RMS norm of a row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/tensor.h"

namespace octavo {

class RmsNormalizer {
 public:
  // `type` is the type of the normalized tensor, to which x / rms is rounded before the weight
  // multiplies it.
  RmsNormalizer(const TensorView& weight, float epsilon, DType type);

  // Every group of weight's length within the row by itself; y may be x.
  void normalize(const float* x, float* y, int64_t columns) const;

 private:
  std::vector<float> weight_;
  float epsilon_;
  DType type_;
};

}  // namespace octavo
