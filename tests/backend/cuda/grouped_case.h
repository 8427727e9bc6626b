// Cases of linears of experts for tests on the device: how rows fall to experts, and exact results.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <numeric>

#include "backend/cuda/device_call.h"

namespace octavo::testing {

struct Grouped {
  std::vector<int32_t> counts;  // rows of each expert
  int64_t nobodys;              // rows after them
  int64_t n, k;
  Tensor x, weight, input_scale, weight_scale, offsets;
  LinearParams params;

  int64_t rows() const { return std::accumulate(counts.begin(), counts.end(), nobodys); }
  int64_t experts() const { return std::ssize(counts); }
  int64_t segments() const { return std::max<int64_t>(1, std::ssize(params.segment_rows)); }
};

// How rows may fall to experts: all to one, none to some, one alone, sizes that fill no tile.
inline std::vector<std::vector<int32_t>> row_counts() {
  return {{1},          {0, 1, 0, 0}, {0, 0, 0, 0, 37, 0, 0, 0},
          {5, 0, 9, 1}, {8, 8, 8, 8}, {16, 17, 0, 15, 33},
          {0, 0}};
}

// Integers give products and sums that are exact in any order.
inline Grouped make_grouped(DType type, const std::vector<int32_t>& counts, int64_t nobodys,
                            int64_t n, int64_t k, int segments, bool integers) {
  Values values(static_cast<uint32_t>(n * 7 + k + std::ssize(counts)));
  Grouped grouped = {.counts = counts, .nobodys = nobodys, .n = n, .k = k};
  const bool codes = type == DType::kE4M3;
  const int64_t experts = grouped.experts();
  const auto filled = [&](Shape shape, float deviation) {
    return integers ? values.integers(type, shape, 2)
                    : values.normal(type, shape, codes ? deviation : 1.0f);
  };
  grouped.x = filled({grouped.rows(), k}, 20.0f);
  grouped.weight = filled({experts, n, k}, 30.0f);
  std::vector<int32_t> offsets = {0};
  for (const int32_t count : counts) offsets.push_back(offsets.back() + count);
  grouped.offsets = vector_of(DType::kI32, offsets);
  if (segments > 1) {
    const int64_t part = n / segments / 16 * 16;
    for (int i = 0; i + 1 < segments; ++i) grouped.params.segment_rows.push_back(part);
    grouped.params.segment_rows.push_back(n - part * (segments - 1));
  }
  if (!codes) return grouped;
  grouped.input_scale = Tensor(DType::kF32, {experts});
  grouped.weight_scale = Tensor(DType::kF32, {experts * segments});
  for (int64_t i = 0; i < experts; ++i)
    grouped.input_scale.as<float>()[i] =
        integers ? std::ldexp(1.0f, -static_cast<int>(i % 3)) : 0.013f * static_cast<float>(i + 1);
  for (int64_t i = 0; i < experts * segments; ++i)
    grouped.weight_scale.as<float>()[i] = integers ? std::ldexp(1.0f, 1 - static_cast<int>(i % 4))
                                                   : 0.002f * static_cast<float>(i + 1);
  return grouped;
}

struct GroupedExpected {
  std::vector<double> y, magnitude;  // and the sums of magnitudes that bounds are made of
};

inline double grouped_scale_of(const Grouped& grouped, int64_t expert, int64_t column) {
  if (!grouped.weight_scale.defined()) return 1.0;
  int64_t segment = 0;
  for (int64_t end = 0; segment + 1 < grouped.segments(); ++segment) {
    end += grouped.params.segment_rows[static_cast<size_t>(segment)];
    if (column < end) break;
  }
  return static_cast<double>(
      grouped.input_scale.as<float>()[expert] *
      grouped.weight_scale.as<float>()[expert * grouped.segments() + segment]);
}

inline GroupedExpected oracle(const Grouped& grouped) {
  GroupedExpected expected;
  expected.y.assign(static_cast<size_t>(grouped.rows() * grouped.n), 0.0);
  expected.magnitude = expected.y;
  const int64_t k = grouped.k;
  std::vector<float> x(static_cast<size_t>(grouped.rows() * k));
  std::vector<float> weight(static_cast<size_t>(grouped.weight.shape().elements()));
  for (size_t i = 0; i < x.size(); ++i) x[i] = element(grouped.x.view(), i);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = element(grouped.weight.view(), i);
  int64_t row = 0;
  for (int64_t expert = 0; expert < grouped.experts(); ++expert) {
    for (int32_t i = 0; i < grouped.counts[static_cast<size_t>(expert)]; ++i, ++row) {
      for (int64_t column = 0; column < grouped.n; ++column) {
        double sum = 0, magnitude = 0;
        for (int64_t at = 0; at < k; ++at) {
          const double product =
              static_cast<double>(x[row * k + at]) * weight[(expert * grouped.n + column) * k + at];
          sum += product;
          magnitude += std::abs(product);
        }
        const double scale = grouped_scale_of(grouped, expert, column);
        expected.y[static_cast<size_t>(row * grouped.n + column)] = sum * scale;
        expected.magnitude[static_cast<size_t>(row * grouped.n + column)] = magnitude * scale;
      }
    }
  }
  return expected;
}

inline Tensor run_grouped(const Grouped& grouped, std::string_view kernel, DType y_type,
                          int64_t pitch = 0) {
  Tensor y(y_type, {grouped.rows(), grouped.n});
  DeviceCall call;
  call.params(grouped.params).pitch(pitch).in(grouped.x).in(grouped.weight);
  if (grouped.input_scale.defined()) {
    call.in(grouped.input_scale).in(grouped.weight_scale);
  } else {
    call.none().none();
  }
  call.in(grouped.offsets).out(y).run(kernel);
  return y;
}

inline std::string describe(const Grouped& grouped, std::string_view kernel) {
  return fmt::format("{}: {} experts, {} rows, n {} k {}", kernel, grouped.experts(),
                     grouped.rows(), grouped.n, grouped.k);
}

inline void expect_exact(const Grouped& grouped, const GroupedExpected& expected, const Tensor& y,
                         std::string_view kernel) {
  std::vector<double> rounded(expected.y);
  if (y.dtype() == DType::kBF16) {
    for (double& value : rounded) value = to_float(to_bf16(static_cast<float>(value)));
  }
  expect_close(y, rounded, 0.0, 0.0, describe(grouped, kernel));
}

// `unit` is the relative error of one accumulation step of the kernel.
inline void expect_within(const Grouped& grouped, const GroupedExpected& expected, const Tensor& y,
                          double unit, std::string_view kernel) {
  double worst = 0;
  for (size_t i = 0; i < expected.y.size(); ++i) {
    const double error = std::abs(element(y.view(), i) - expected.y[i]);
    const double bound =
        epsilon_of(y.dtype()) * std::abs(expected.y[i]) + unit * expected.magnitude[i];
    if (error > 0 || std::isnan(error))
      worst = std::max(worst, std::isnan(error) || bound == 0 ? 1e30 : error / bound);
  }
  EXPECT_LE(worst, 1.0) << describe(grouped, kernel);
}

}  // namespace octavo::testing
