// RMS norm with and without residual, against doubles; the fused codes against the separate ones.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/norm/rms_norm.h"

#include <algorithm>

#include "backend/cuda/device_call.h"

namespace octavo::testing {
namespace {

struct Case {
  DType dtype;
  int64_t rows, groups, width, pitch;
};

class RmsNorm : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr float kEpsilon = 1e-5f;
};

// As the definition rounds it (docs/numerics.md), with 1 / rms larger by `error`.
Tensor oracle(const Tensor& x, const Tensor& weight, double epsilon, double error = 0) {
  const int64_t width = weight.shape()[0];
  Tensor normed(x.dtype(), x.shape());
  Tensor y(x.dtype(), x.shape());
  for (int64_t first = 0; first < x.shape().elements(); first += width) {
    double squares = 0;
    for (int64_t i = 0; i < width; ++i)
      squares += std::pow(static_cast<double>(element(x.view(), first + i)), 2);
    const double factor = (1 + error) / std::sqrt(squares / static_cast<double>(width) + epsilon);
    for (int64_t i = 0; i < width; ++i) {
      const int64_t at = first + i;
      set_element(normed.view(), at, static_cast<float>(element(x.view(), at) * factor));
      set_element(y.view(), at, element(normed.view(), at) * element(weight.view(), i));
    }
  }
  return y;
}

// Roundings are monotone: an element lies between the rounded ends of its interval. A sum of
// squares has no cancellation: its error is at most the number of additions along one path (32 in a
// thread, 10 in the tree), half of which reaches the root; four more roundings follow.
void expect_norm(const Tensor& y, const Tensor& x, const Tensor& weight, double epsilon) {
  const Tensor low = oracle(x, weight, epsilon, -40 * 0x1p-24);
  const Tensor high = oracle(x, weight, epsilon, 40 * 0x1p-24);
  int64_t wrong = 0;
  for (int64_t i = 0; i < y.shape().elements(); ++i) {
    const auto [least, most] = std::minmax({element(low.view(), i), element(high.view(), i)});
    if (!(element(y.view(), i) >= least && element(y.view(), i) <= most)) ++wrong;
  }
  EXPECT_EQ(wrong, 0);
}

TEST_P(RmsNorm, AloneAndQuantized) {
  OCTAVO_REQUIRE_DEVICE();
  const auto& [dtype, rows, groups, width, pitch] = GetParam();
  Values values(3);
  const Tensor x = values.normal(dtype, {rows, groups * width}, 4.0f);
  const Tensor weight = values.normal(dtype, {width});
  Tensor y(dtype, x.shape());
  DeviceCall call;
  call.pitch(pitch).params(RmsNormParams{kEpsilon}).in(x).in(weight).none().out(y);
  call.run("cuda_rms_norm");
  expect_norm(y, x, weight, kEpsilon);
  const Tensor scale = scalar(0.0117f);
  Tensor codes(DType::kE4M3, x.shape());
  Tensor after(DType::kE4M3, x.shape());
  DeviceCall fused;
  fused.pitch(pitch).params(RmsNormParams{kEpsilon}).in(x).in(weight).in(scale).out(codes);
  fused.run("cuda_rms_norm");
  DeviceCall quantized;
  quantized.in(y).in(scale).out(after).run("cuda_quantize");
  expect_same_bytes(codes, after, "fused and separate codes");
}

TEST_P(RmsNorm, ReferenceIsTheDefinition) {
  OCTAVO_REQUIRE_DEVICE();
  const auto& [dtype, rows, groups, width, pitch] = GetParam();
  Values values(3);
  const Tensor x = values.normal(dtype, {rows, groups * width}, 4.0f);
  const Tensor weight = values.normal(dtype, {width});
  Tensor y(dtype, x.shape());
  DeviceCall call;
  call.pitch(pitch).params(RmsNormParams{kEpsilon}).in(x).in(weight).none().out(y);
  call.run("cuda_rms_norm_reference");
  expect_same_bytes(y, oracle(x, weight, kEpsilon), "reference");
}

TEST_P(RmsNorm, WithResidual) {
  OCTAVO_REQUIRE_DEVICE();
  const auto& [dtype, rows, groups, width, pitch] = GetParam();
  Values values(4);
  const Tensor x = values.normal(dtype, {rows, groups * width});
  const Tensor residual = values.normal(dtype, {rows, groups * width}, 8.0f);
  const Tensor weight = values.normal(dtype, {width});
  Tensor sum(dtype, x.shape());
  Tensor y(dtype, x.shape());
  DeviceCall call;
  call.pitch(pitch).params(RmsNormParams{kEpsilon}).in(x).in(residual).in(weight).none();
  call.out(sum).out(y).run("cuda_add_rms_norm");
  Tensor expected_sum(dtype, x.shape());
  for (int64_t i = 0; i < x.shape().elements(); ++i)
    set_element(expected_sum.view(), i, element(x.view(), i) + element(residual.view(), i));
  expect_same_bytes(sum, expected_sum, "sum");
  expect_norm(y, expected_sum, weight, kEpsilon);
  Tensor alone(dtype, x.shape());
  DeviceCall unfused;
  unfused.params(RmsNormParams{kEpsilon}).in(sum).in(weight).none().out(alone);
  unfused.run("cuda_rms_norm");
  expect_same_bytes(y, alone, "fused and separate norm");
}

INSTANTIATE_TEST_SUITE_P(
    Grid, RmsNorm,
    ::testing::Values(Case{DType::kBF16, 1, 1, 1, 0}, Case{DType::kBF16, 3, 1, 31, 0},
                      Case{DType::kBF16, 2, 1, 33, 3}, Case{DType::kBF16, 5, 8, 128, 0},
                      Case{DType::kBF16, 33, 1, 576, 8}, Case{DType::kBF16, 1, 1, 4096, 0},
                      Case{DType::kBF16, 7, 1, 8192, 0}, Case{DType::kBF16, 2, 1, 16384, 0},
                      Case{DType::kF32, 3, 1, 1000, 0}, Case{DType::kF32, 2, 2, 37, 1}));

}  // namespace
}  // namespace octavo::testing
