// The rotation of one position: cosines and sines, applied to every head of a row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace octavo {

class Rotation {
 public:
  // `inverse_frequency` is [head_dim / 2] float32.
  explicit Rotation(const TensorView& inverse_frequency);

  void set_position(int32_t position);

  // Rotates the pairs (i, i + head_dim / 2) of every head of a row; y may be x.
  void rotate(const float* x, float* y, int64_t columns) const;

 private:
  TensorView inverse_frequency_;
  std::vector<float> cosines_;
  std::vector<float> sines_;
};

}  // namespace octavo
