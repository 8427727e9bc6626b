// One call of linear on random data, its double-precision oracle and the bound of its error.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "numerics/bf16.h"
#include "numerics/e4m3.h"
#include "ops/linear.h"

namespace octavo {

struct LinearShape {
  int64_t rows = 1;
  int64_t out = 1;
  int64_t in = 1;
  DType x = DType::kF32;
  DType weight = DType::kF32;
  DType y = DType::kF32;
  bool bias = false;
  std::vector<int64_t> segments;  // empty: one
  int64_t x_gap = 0;              // elements between rows of x
  int64_t y_gap = 0;
};

inline float load_element(const TensorView& view, int64_t row, int64_t column) {
  switch (view.dtype) {
    case DType::kBF16:
      return to_float(view.row<bf16>(row)[column]);
    case DType::kE4M3:
      return to_float(view.row<e4m3>(row)[column]);
    default:
      return view.row<float>(row)[column];
  }
}

inline void store_element(const TensorView& view, int64_t row, int64_t column, float value) {
  switch (view.dtype) {
    case DType::kBF16:
      view.row<bf16>(row)[column] = to_bf16(value);
      return;
    case DType::kE4M3:
      view.row<e4m3>(row)[column] = to_e4m3(value);
      return;
    default:
      view.row<float>(row)[column] = value;
  }
}

class LinearCase {
 public:
  enum class Values { kNormal, kSmallIntegers };

  explicit LinearCase(const LinearShape& shape, Values values = Values::kNormal)
      : shape_(shape),
        random_(static_cast<uint32_t>(shape.rows * 7919 + shape.out * 31 + shape.in)) {
    x_ = matrix(shape.x, shape.rows, shape.in, shape.x_gap);
    weight_ = matrix(shape.weight, shape.out, shape.in, 0);
    y_ = matrix(shape.y, shape.rows, shape.out, shape.y_gap);
    fill(x_, values);
    fill(weight_, values);
    if (shape.x == DType::kE4M3) input_scale_ = floats({values == Values::kNormal ? 0.037f : 1.0f});
    if (shape.weight == DType::kE4M3) weight_scale_ = floats(segment_scales(values));
    if (shape.bias) {
      bias_ = vector(DType::kBF16, shape.out);
      for (int64_t n = 0; n < shape.out; ++n) store_element(bias_, 0, n, value(values));
    }
    params_ = LinearParams{shape.segments};
    poison();
  }

  const LinearShape& shape() const { return shape_; }
  const TensorView& x() const { return x_; }
  const TensorView& weight() const { return weight_; }
  const TensorView& y() const { return y_; }

  // NaN everywhere in y, in the gaps between its rows too.
  void poison() { std::memset(y_.data, 0xFF, storage_bytes(y_)); }

  Problem problem() const {
    Problem problem{.op = Op::kLinear, .params = params_};
    for (const TensorView& view : inputs()) {
      problem.inputs.push_back({view.shape, view.dtype, view.defined()});
    }
    problem.outputs.push_back({y_.shape, y_.dtype, true});
    return problem;
  }

  void run(const Kernel& kernel, ThreadPool* pool) const { run(kernel, pool, x_, y_); }

  // The same weights on other rows.
  void run(const Kernel& kernel, ThreadPool* pool, const TensorView& x, const TensorView& y) const {
    Problem asked = problem();
    asked.inputs[0].shape = x.shape;
    const int64_t bytes = kernel.workspace == nullptr ? 0 : kernel.workspace(asked);
    std::vector<std::byte> workspace(bytes, std::byte{0xFF});
    std::vector<TensorView> in = inputs();
    in[0] = x;
    kernel.run({.inputs = in, .outputs = {&y, 1}, .params = &params_},
               {.pool = pool, .workspace = workspace});
  }

  struct Expected {
    double value = 0.0;
    double bound = 0.0;  // of |y − value| for sums in fp32 in any order
  };

  Expected expected(int64_t row, int64_t column) const {
    double sum = 0.0;
    double magnitude = 0.0;
    for (int64_t k = 0; k < shape_.in; ++k) {
      const double product = static_cast<double>(load_element(x_, row, k)) *
                             static_cast<double>(load_element(weight_, column, k));
      sum += product;
      magnitude += std::abs(product);
    }
    const double scale = scale_of(column);
    const double bias = bias_.defined() ? load_element(bias_, 0, column) : 0.0;
    const double value = sum * scale + bias;
    // One rounding a product and one an addition at most, then: the product of the scales, its
    // application, the bias, and the store.
    const double unit = 0x1p-24;
    double bound = 2.0 * static_cast<double>(shape_.in) * unit * magnitude * scale;
    bound += 3.0 * unit * (magnitude * scale + std::abs(bias));
    bound += (shape_.y == DType::kBF16 ? 0x1p-8 : unit) * (std::abs(value) + bound);
    return {value, bound};
  }

  // Rows [begin, begin + count) of a view.
  static TensorView rows_of(const TensorView& view, int64_t begin, int64_t count) {
    TensorView part(view.data + begin * view.row_stride * size_of(view.dtype), view.dtype,
                    {count, view.shape[1]});
    part.row_stride = view.row_stride;
    return part;
  }

 private:
  std::vector<TensorView> inputs() const {
    return {x_, weight_, input_scale_, weight_scale_, bias_};
  }

  static int64_t storage_bytes(const TensorView& view) {
    return view.rows() * view.row_stride * size_of(view.dtype);
  }

  std::byte* allocate(int64_t bytes) {
    // Odd addresses: operands are cut from larger tensors.
    buffers_.emplace_back(bytes + 64);
    return buffers_.back().data() + 4;
  }

  TensorView matrix(DType dtype, int64_t rows, int64_t columns, int64_t gap) {
    TensorView view(allocate(rows * (columns + gap) * size_of(dtype)), dtype, {rows, columns});
    view.row_stride = columns + gap;
    return view;
  }

  TensorView vector(DType dtype, int64_t length) {
    return TensorView(allocate(length * size_of(dtype)), dtype, {length});
  }

  TensorView floats(std::vector<float> values) {
    const TensorView view = vector(DType::kF32, static_cast<int64_t>(values.size()));
    std::copy(values.begin(), values.end(), view.as<float>());
    return view;
  }

  // Neighbouring segments differ by a factor of 10000.
  std::vector<float> segment_scales(Values values) const {
    std::vector<float> scales(std::max<size_t>(1, shape_.segments.size()));
    for (size_t i = 0; i < scales.size(); ++i) {
      scales[i] = values == Values::kSmallIntegers ? 1.0f : (i % 2 == 0 ? 0.0021f : 21.0f);
    }
    return scales;
  }

  double scale_of(int64_t column) const {
    double scale = input_scale_.defined() ? *input_scale_.as<float>() : 1.0;
    if (!weight_scale_.defined()) return scale;
    size_t segment = 0;
    for (int64_t end = 0; segment < shape_.segments.size(); ++segment) {
      end += shape_.segments[segment];
      if (column < end) break;
    }
    return scale * weight_scale_.as<float>()[segment];
  }

  float value(Values values) {
    if (values == Values::kSmallIntegers) return static_cast<float>(random_() % 9) - 4.0f;
    return normal_(random_);
  }

  void fill(const TensorView& view, Values values) {
    std::memset(view.data, 0xFF, storage_bytes(view));
    for (int64_t row = 0; row < view.rows(); ++row) {
      for (int64_t column = 0; column < view.columns(); ++column) {
        store_element(view, row, column, value(values));
      }
    }
  }

  LinearShape shape_;
  std::mt19937 random_;
  std::normal_distribution<float> normal_;
  std::vector<std::vector<std::byte>> buffers_;
  TensorView x_, weight_, input_scale_, weight_scale_, bias_, y_;
  OpParams params_;
};

}  // namespace octavo
