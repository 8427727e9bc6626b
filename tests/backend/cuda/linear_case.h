// Cases of linear for tests on the device: operands, the exact result and its bounds.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device_call.h"

namespace octavo::testing {

struct Linear {
  Tensor x, weight, input_scale, weight_scale, bias;
  LinearParams params;
  int64_t m, n, k;
};

inline Linear make_linear(DType operand, int64_t m, int64_t n, int64_t k, int segments,
                          bool integers, DType bias) {
  Values values(static_cast<uint32_t>(m * 31 + n * 7 + k));
  Linear linear;
  linear.m = m, linear.n = n, linear.k = k;
  linear.x = integers ? values.integers(operand, {m, k}, 2) : values.normal(operand, {m, k}, 20.0f);
  linear.weight =
      integers ? values.integers(operand, {n, k}, 2) : values.normal(operand, {n, k}, 30.0f);
  if (operand == DType::kE4M3) {
    linear.input_scale = scalar(integers ? 0.5f : 0.013f);
    linear.weight_scale = Tensor(DType::kF32, {segments});
    for (int i = 0; i < segments; ++i)
      linear.weight_scale.as<float>()[i] =
          integers ? std::ldexp(1.0f, 1 - 2 * i) : 0.002f * (i + 1);
  }
  if (segments > 1) {
    const int64_t part = n / segments / 16 * 16;
    for (int i = 0; i + 1 < segments; ++i) linear.params.segment_rows.push_back(part);
    linear.params.segment_rows.push_back(n - part * (segments - 1));
  }
  if (bias != DType::kI32)
    linear.bias = integers ? values.integers(bias, {n}, 3) : values.normal(bias, {n});
  return linear;
}

inline double scale_of(const Linear& linear, int64_t row) {
  if (!linear.input_scale.defined()) return 1.0;
  size_t segment = 0;
  int64_t end = linear.params.segment_rows.empty() ? linear.n : linear.params.segment_rows[0];
  while (row >= end) end += linear.params.segment_rows[++segment];
  return static_cast<double>(linear.input_scale.as<float>()[0]) *
         linear.weight_scale.as<float>()[segment];
}

// Exact sums, and the sums of magnitudes that bounds are made of.
struct Expected {
  std::vector<double> y, magnitude;
};
inline Expected oracle(const Linear& linear) {
  Expected expected;
  std::vector<float> x(linear.m * linear.k), weight(linear.n * linear.k);
  for (size_t i = 0; i < x.size(); ++i) x[i] = element(linear.x.view(), i);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = element(linear.weight.view(), i);
  for (int64_t token = 0; token < linear.m; ++token) {
    for (int64_t row = 0; row < linear.n; ++row) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < linear.k; ++k) {
        const double product =
            static_cast<double>(x[token * linear.k + k]) * weight[row * linear.k + k];
        sum += product;
        magnitude += std::abs(product);
      }
      const double scale = scale_of(linear, row);
      const double bias = linear.bias.defined() ? element(linear.bias.view(), row) : 0.0;
      expected.y.push_back(sum * scale + bias);
      expected.magnitude.push_back(magnitude * scale + std::abs(bias));
    }
  }
  return expected;
}

inline void add_inputs(DeviceCall& call, const Linear& linear) {
  call.params(linear.params).in(linear.x).in(linear.weight);
  for (const Tensor* optional : {&linear.input_scale, &linear.weight_scale, &linear.bias}) {
    if (optional->defined()) {
      call.in(*optional);
    } else {
      call.none();
    }
  }
}

inline void expect_exact(const Linear& linear, const Expected& expected, const Tensor& y,
                         std::string_view what) {
  std::vector<double> rounded(expected.y);
  if (y.dtype() == DType::kBF16) {
    for (double& value : rounded) value = to_float(to_bf16(static_cast<float>(value)));
  }
  expect_close(y, rounded, 0.0, 0.0,
               fmt::format("{} m {} n {} k {}", what, linear.m, linear.n, linear.k));
}

// `unit` is the relative error of one accumulation step of the kernel.
inline void expect_within(const Linear& linear, const Expected& expected, const Tensor& y,
                          double unit, std::string_view what) {
  double worst = 0;
  for (size_t i = 0; i < expected.y.size(); ++i) {
    const double error = std::abs(element(y.view(), i) - expected.y[i]);
    const double bound =
        epsilon_of(y.dtype()) * std::abs(expected.y[i]) + unit * expected.magnitude[i] + 1e-30;
    worst = std::max(worst, std::isnan(error) ? 1e30 : error / bound);
  }
  EXPECT_LE(worst, 1.0) << what << " m " << linear.m << " n " << linear.n << " k " << linear.k;
}

}  // namespace octavo::testing
