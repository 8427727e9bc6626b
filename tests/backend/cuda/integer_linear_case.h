// Cases of linear on integer codes: operands and their exact result.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/gemm/integer_gemm.h"
#include "backend/cuda/linear_case.h"
#include "numerics/integer_codes.h"

namespace octavo::testing {

struct IntegerCase {
  int64_t m, n, k;
  bool four_bits;

  std::string name() const {
    return fmt::format("{} x {} x {} of {} bits", m, n, k, four_bits ? 4 : 8);
  }
};

inline int code_at(const Tensor& weight, int64_t row, int64_t k) {
  const int64_t columns = weight.shape()[1];
  if (weight.dtype() == DType::kI8) return weight.as<int8_t>()[row * columns + k];
  return unpack_int4(weight.as<uint8_t>()[row / 2 * columns + k], static_cast<int>(row % 2));
}

// `exact`: of products and scales whose sums float32 holds.
inline Linear make_integer_linear(const IntegerCase& c, bool exact, DType bias) {
  Values values(static_cast<uint32_t>(c.m * 31 + c.n * 7 + c.k));
  Linear linear;
  linear.m = c.m, linear.n = c.n, linear.k = c.k;
  linear.x = exact ? values.integers(DType::kBF16, {c.m, c.k}, 2)
                   : values.normal(DType::kBF16, {c.m, c.k}, 1.5f);
  linear.params.block_rows = 1;
  linear.params.block_columns = c.four_bits ? cuda::kIntegerGroup : 0;
  linear.weight =
      c.four_bits ? Tensor(DType::kI4x2, {c.n / 2, c.k}) : Tensor(DType::kI8, {c.n, c.k});
  for (int64_t i = 0; i < linear.weight.bytes(); ++i)
    linear.weight.data()[i] = static_cast<std::byte>(values.below(256));
  linear.weight_scale = Tensor(DType::kF32, {c.n, linear.params.depth_blocks(c.k)});
  for (int64_t i = 0; i < linear.weight_scale.shape().elements(); ++i)
    linear.weight_scale.as<float>()[i] = exact ? std::ldexp(1.0f, values.below(4) - 2)
                                               : 0.001f * static_cast<float>(1 + values.below(50));
  if (bias != DType::kI32)
    linear.bias = exact ? values.integers(bias, {c.n}, 3) : values.normal(bias, {c.n});
  return linear;
}

inline Expected integer_oracle(const Linear& linear) {
  Expected expected;
  const int64_t width = linear.params.block_columns == 0 ? linear.k : linear.params.block_columns;
  const int64_t parts = linear.params.depth_blocks(linear.k);
  std::vector<float> x(linear.m * linear.k), row_of(linear.k);
  for (size_t i = 0; i < x.size(); ++i) x[i] = element(linear.x.view(), i);
  expected.y.resize(linear.m * linear.n);
  expected.magnitude.resize(linear.m * linear.n);
  for (int64_t row = 0; row < linear.n; ++row) {
    for (int64_t k = 0; k < linear.k; ++k)
      row_of[k] = static_cast<float>(code_at(linear.weight, row, k)) *
                  linear.weight_scale.as<float>()[row * parts + k / width];
    const double bias = linear.bias.defined() ? element(linear.bias.view(), row) : 0.0;
    for (int64_t token = 0; token < linear.m; ++token) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < linear.k; ++k) {
        const double product = static_cast<double>(x[token * linear.k + k]) * row_of[k];
        sum += product;
        magnitude += std::abs(product);
      }
      expected.y[token * linear.n + row] = sum + bias;
      expected.magnitude[token * linear.n + row] = magnitude + std::abs(bias);
    }
  }
  return expected;
}

// Device operands of one product, and its result; a launch gets the operands.
class IntegerProduct {
 public:
  explicit IntegerProduct(const Linear& linear)
      : linear_(linear),
        x_(linear.x.bytes()),
        weight_(linear.weight.bytes()),
        scale_(linear.weight_scale.bytes()),
        bias_(std::max<int64_t>(linear.bias.bytes(), 1)),
        y_(linear.m * linear.n * 2) {
    upload(x_, linear.x);
    upload(weight_, linear.weight);
    upload(scale_, linear.weight_scale);
    if (linear.bias.defined()) upload(bias_, linear.bias);
  }

  cuda::IntegerGemm gemm() const {
    return {.shape = {.m = static_cast<int>(linear_.m),
                      .n = static_cast<int>(linear_.n),
                      .k = static_cast<int>(linear_.k),
                      .four_bits = linear_.weight.dtype() == DType::kI4x2},
            .x = x_.data(),
            .weight = reinterpret_cast<const uint8_t*>(weight_.data()),
            .scale = reinterpret_cast<const float*>(scale_.data()),
            .bias = linear_.bias.defined() ? bias_.data() : nullptr,
            .y = y_.data(),
            .x_stride = linear_.k,
            .weight_stride = linear_.k,
            .scale_stride = linear_.weight_scale.shape()[1],
            .y_stride = linear_.n,
            .y_is_float = false};
  }

  template <typename Launch>
  Tensor run(const Launch& launch, std::string_view what) {
    Tensor y(DType::kBF16, {linear_.m, linear_.n});
    OCTAVO_CUDA_CHECK(cudaMemset(y_.data(), 0xFF, y.bytes()));
    launch(gemm());
    OCTAVO_CUDA_CHECK(cudaMemcpy(y.data(), y_.data(), y.bytes(), cudaMemcpyDeviceToHost));
    EXPECT_TRUE(y_.guards_intact()) << what;
    return y;
  }

 private:
  static void upload(const DeviceBuffer& to, const Tensor& from) {
    OCTAVO_CUDA_CHECK(cudaMemcpy(to.data(), from.data(), from.bytes(), cudaMemcpyHostToDevice));
  }

  const Linear& linear_;
  DeviceBuffer x_, weight_, scale_, bias_, y_;
};

}  // namespace octavo::testing
