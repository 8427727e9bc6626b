// One call of an op with data and the intervals that its results must lie in.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "numerics/bf16.h"
#include "numerics/scale.h"
#include "ops/kernel.h"

namespace octavo::testing_ops {

inline constexpr double kUnit = 0x1p-24;  // largest relative error of one float32 rounding

// A tensor whose rows are `padding` elements apart, every byte 0xFF (NaN in each float type) until
// it is set. Elements are addressed as if it were dense.
class HostTensor {
 public:
  HostTensor() = default;
  HostTensor(DType dtype, Shape shape, int64_t padding = 0) {
    view_ = TensorView(nullptr, dtype, shape);
    if (shape.rank() > 1) view_.row_stride += padding;
    storage_.assign(static_cast<size_t>(view_.rows() * view_.row_stride * size_of(dtype) + 64),
                    std::byte{0xFF});
  }

  TensorView view() const {
    TensorView out = view_;
    if (shape().rank() > 0) out.data = const_cast<std::byte*>(storage_.data());
    return out;
  }
  const Shape& shape() const { return view_.shape; }
  DType dtype() const { return view_.dtype; }
  bool present() const { return shape().rank() > 0; }
  int64_t elements() const { return view_.elements(); }
  const std::vector<std::byte>& storage() const { return storage_; }
  std::vector<std::byte>& storage() { return storage_; }

  int64_t byte_of(int64_t element) const {
    const int64_t columns = view_.columns();
    return (element / columns * view_.row_stride + element % columns) * size_of(dtype());
  }
  void set(int64_t element, double value) {
    std::byte* at = storage_.data() + byte_of(element);
    const auto put = [&](auto typed) { std::memcpy(at, &typed, sizeof(typed)); };
    switch (dtype()) {
      case DType::kF32:
        return put(static_cast<float>(value));
      case DType::kBF16:
        return put(to_bf16(static_cast<float>(value)));
      case DType::kE4M3:
        return put(to_e4m3(static_cast<float>(value)));
      case DType::kI8:
      case DType::kI4x2:  // the byte of a pair
        return put(static_cast<int8_t>(value));
      case DType::kI32:
        return put(static_cast<int32_t>(value));
      default:
        return put(static_cast<int64_t>(value));
    }
  }
  // E4M3 gives the value of the code, without a scale.
  double get(int64_t element) const {
    const std::byte* at = storage_.data() + byte_of(element);
    const auto take = [&](auto typed) {
      std::memcpy(&typed, at, sizeof(typed));
      return typed;
    };
    switch (dtype()) {
      case DType::kF32:
        return take(0.0f);
      case DType::kBF16:
        return to_float(take(bf16{}));
      case DType::kE4M3:
        return to_float(take(e4m3{}));
      case DType::kI8:
      case DType::kI4x2:
        return take(int8_t{});
      case DType::kI32:
        return take(int32_t{});
      default:
        return static_cast<double>(take(int64_t{}));
    }
  }

 private:
  TensorView view_;
  std::vector<std::byte> storage_;
};

struct Interval {
  double low = 0;
  double high = 0;

  static Interval exactly(double value) { return {value, value}; }
  static Interval around(double value, double bound) { return {value - bound, value + bound}; }
  Interval operator*(double factor) const {
    return {std::min(low * factor, high * factor), std::max(low * factor, high * factor)};
  }
};

// What one output must be: the results before their last roundings. Roundings are monotone, so the
// element must lie between the rounded ends; an interval of one point means bit-exact.
struct Expected {
  DType intermediate = DType::kF32;  // an E4M3 output is rounded to it before it is quantized
  float inverse_scale = 1.0f;
  std::vector<Interval> values;   // empty: not checked
  std::vector<bool> keeps_bytes;  // elements that the call must not write; empty: none

  double rounded(DType dtype, double value) const {
    const auto single = static_cast<float>(value);
    if (dtype == DType::kF32) return single;
    if (dtype == DType::kI32) return value;
    if (dtype == DType::kBF16) return to_float(to_bf16(single));
    const float first = intermediate == DType::kBF16 ? to_float(to_bf16(single)) : single;
    return to_float(quantize(first, inverse_scale));
  }
};

inline double round_to(DType dtype, double value) { return Expected{}.rounded(dtype, value); }

struct OpCase {
  std::string name;
  Op op = Op::kAdd;
  OpParams params;
  std::vector<HostTensor> inputs;
  std::vector<HostTensor> outputs;
  std::vector<Expected> expected;

  Problem problem() const {
    Problem out{.op = op, .params = params};
    const auto add = [](const auto& tensors, auto& operands) {
      for (const HostTensor& tensor : tensors)
        operands.push_back({tensor.shape(), tensor.dtype(), tensor.present()});
    };
    add(inputs, out.inputs);
    add(outputs, out.outputs);
    return out;
  }

  // Shapes and types as the shape rules see them; every size is a constant.
  void check_shape_rules() const {
    const auto specs = [](const std::vector<HostTensor>& tensors) {
      std::vector<OperandSpec> out;
      for (const HostTensor& tensor : tensors) {
        SymbolicShape shape;
        for (const int64_t dim : tensor.shape().dims()) shape.push_back(Dim::constant(dim));
        out.push_back({shape, tensor.dtype(), tensor.present()});
      }
      return out;
    };
    check_call(op, specs(inputs), specs(outputs), params);
  }
};

inline void fill_normal(HostTensor& tensor, std::mt19937& random, double spread = 1.0) {
  std::normal_distribution<double> normal(0.0, spread);
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.set(i, normal(random));
}

inline HostTensor normal_tensor(DType dtype, Shape shape, int64_t padding, std::mt19937& random,
                                double spread = 1.0) {
  HostTensor out(dtype, shape, padding);
  fill_normal(out, random, spread);
  return out;
}

inline HostTensor scale_tensor(double scale) {
  HostTensor out(DType::kF32, {1});
  out.set(0, scale);
  return out;
}

// Checks one output against its intervals and that nothing beside its elements was written.
inline void check_output(const HostTensor& before, const HostTensor& after,
                         const Expected& expected) {
  std::vector<bool> may_change(before.storage().size());
  int64_t wrong = 0;
  for (int64_t i = 0; i < after.elements(); ++i) {
    if (!expected.keeps_bytes.empty() && expected.keeps_bytes[i]) continue;
    for (int64_t b = 0; b < size_of(after.dtype()); ++b) may_change[after.byte_of(i) + b] = true;
    const double low = expected.rounded(after.dtype(), expected.values[i].low);
    const double high = expected.rounded(after.dtype(), expected.values[i].high);
    const double actual = after.get(i);
    const bool fits = std::isnan(low) ? std::isnan(actual) : actual >= low && actual <= high;
    if (!fits && wrong++ == 0) {
      ADD_FAILURE() << "element " << i << ": expected [" << low << ", " << high << "], got "
                    << actual;
    }
  }
  EXPECT_EQ(wrong, 0) << "of " << after.elements() << " elements";
  for (size_t b = 0; b < may_change.size(); ++b) {
    ASSERT_TRUE(may_change[b] || before.storage()[b] == after.storage()[b])
        << "byte " << b << " lies outside the output and was written";
  }
}

}  // namespace octavo::testing_ops
