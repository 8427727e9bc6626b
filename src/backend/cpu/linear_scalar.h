// Linear in plain C++: the meaning of the op, and the kernel of CPUs without a vectorised one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/linear.h"

namespace octavo {

// What a linear does with the sums of its products: scales, bias and the output's type.
class LinearEpilogue {
 public:
  explicit LinearEpilogue(const LinearArgs& args);
  // y[row, column ...] = sums × (input_scale × weight_scale) + bias. Overwrites `sums`.
  void store(int64_t row, int64_t column, std::span<float> sums) const;
  // One element; the sum is rounded to float32 after all of it.
  void store(int64_t row, int64_t column, double sum) const;

 private:
  template <typename Sum>
  void scale(int64_t column, std::span<Sum> sums) const;
  template <typename Sum>
  void add_bias(int64_t column, std::span<Sum> sums) const;

  const LinearArgs& args_;
  std::span<const int64_t> segment_rows_;
  float input_scale_ = 1.0f;
};

void cpu_linear_scalar(const LinearArgs& args, ThreadPool* pool);

}  // namespace octavo
