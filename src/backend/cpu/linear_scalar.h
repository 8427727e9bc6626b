// Linear in plain C++: the meaning of the op, and the kernel of CPUs without a vectorised one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/linear.h"

namespace octavo {

// What a linear does with the sums of its products: scales, bias and the output's type.
class LinearEpilogue {
 public:
  explicit LinearEpilogue(const LinearArgs& args);
  // sums × (input_scale × weight_scale), of one part of K.
  template <typename Sum>
  void scale(int64_t row, int64_t column, int64_t depth_block, std::span<Sum> sums) const;
  // y[row, column ...] = sums + bias. Overwrites `sums`.
  void finish(int64_t row, int64_t column, std::span<float> sums) const;
  // One element; the sum is rounded to float32 after its bias.
  void finish(int64_t row, int64_t column, double sum) const;
  // Both, where K has one part.
  void store(int64_t row, int64_t column, std::span<float> sums) const {
    scale(row, column, 0, sums);
    finish(row, column, sums);
  }

 private:
  float input_scale(int64_t row, int64_t depth_block) const;
  template <typename Sum>
  void scale_segments(int64_t column, float input_scale, std::span<Sum> sums) const;
  template <typename Sum>
  void add_bias(int64_t column, std::span<Sum> sums) const;

  const LinearArgs& args_;
  std::span<const int64_t> segment_rows_;
  int64_t block_rows_ = 0;
};

void cpu_linear_scalar(const LinearArgs& args, ThreadPool* pool);

}  // namespace octavo
