// RMS norm, RoPE and SwiGLU in double: an element is rounded where its definition rounds, no more.
// SPDX-License-Identifier: Apache-2.0
//
// With the scalar linear and attention_reference.cc the kernels of the exact mode (numerics.md).
#include <cmath>
#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"

namespace octavo {
namespace {

constexpr KernelTraits kTraits = {.fallback = true};

// One group of a row; y may be x. `type` is that of the normalized row before the weight.
void normalize(const float* x, const std::vector<float>& weight, double epsilon, DType type,
               float* y) {
  const auto width = static_cast<int64_t>(weight.size());
  double squares = 0.0;
  for (int64_t i = 0; i < width; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double factor = 1.0 / std::sqrt(squares / static_cast<double>(width) + epsilon);
  for (int64_t i = 0; i < width; ++i) y[i] = static_cast<float>(x[i] * factor);
  round_values(type, y, width);
  for (int64_t i = 0; i < width; ++i) y[i] *= weight[static_cast<size_t>(i)];
}

void run_rms_norm(const Operands& operands, const LaunchContext& context) {
  const auto args = RmsNormArgs::bind(operands);
  const RowWriter writer(args.y.dtype, args.x.dtype, args.output_scale);
  std::vector<float> weight(static_cast<size_t>(args.weight.elements()));
  convert_to_float(args.weight.dtype, args.weight.data, weight.data(), args.weight.elements());
  const auto norm_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(args.x.columns()));
    for (int64_t row = begin; row < end; ++row) {
      const float* x = read_row(args.x, row, buffer.data());
      for (int64_t at = 0; at < args.x.columns(); at += args.weight.elements())
        normalize(x + at, weight, args.params->epsilon, args.x.dtype, buffer.data() + at);
      writer.write_row(buffer.data(), args.y, row);
    }
  };
  context.pool->parallel_for(args.x.rows(), rows_grain(args.x.columns()), norm_rows);
}

// One head; y may be x.
void rotate(const float* x, float position, const float* inverse_frequency, int64_t half,
            float* y) {
  for (int64_t i = 0; i < half; ++i) {
    const float angle = position * inverse_frequency[i];
    const double cosine = std::cos(static_cast<double>(angle));
    const double sine = std::sin(static_cast<double>(angle));
    const double first = x[i];
    const double second = x[half + i];
    y[i] = static_cast<float>(first * cosine - second * sine);
    y[half + i] = static_cast<float>(second * cosine + first * sine);
  }
}

void run_rope(const Operands& operands, const LaunchContext& context) {
  const auto args = RopeArgs::bind(operands);
  const RowWriter writer(args.y.dtype, args.x.dtype, {});
  const int64_t half = args.params->head_dim / 2;
  const auto rotate_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(args.x.columns()));
    for (int64_t t = begin; t < end; ++t) {
      const float* x = read_row(args.x, t, buffer.data());
      const auto position = static_cast<float>(args.positions.as<int32_t>()[t]);
      for (int64_t head = 0; head < args.x.columns(); head += 2 * half)
        rotate(x + head, position, args.inverse_frequency.as<float>(), half, buffer.data() + head);
      writer.write_row(buffer.data(), args.y, t);
    }
  };
  context.pool->parallel_for(args.x.rows(), rows_grain(args.x.columns()), rotate_rows);
}

void run_swiglu(const Operands& operands, const LaunchContext& context) {
  const auto args = SwigluArgs::bind(operands);
  const RowWriter writer(args.y.dtype, args.gate.dtype, args.output_scale);
  const int64_t columns = args.gate.columns();
  const auto activate_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> gates(static_cast<size_t>(columns));
    std::vector<float> ups(gates.size());
    for (int64_t row = begin; row < end; ++row) {
      const float* gate = read_row(args.gate, row, gates.data());
      const float* up = read_row(args.up, row, ups.data());
      for (int64_t i = 0; i < columns; ++i) {
        const double value = gate[i];
        gates[static_cast<size_t>(i)] =
            static_cast<float>(value / (1.0 + std::exp(-value)) * up[i]);
      }
      writer.write_row(gates.data(), args.y, row);
    }
  };
  context.pool->parallel_for(args.gate.rows(), rows_grain(columns), activate_rows);
}

}  // namespace

const Kernel kCpuRmsNormReference = {.name = "cpu_rms_norm_reference",
                                     .op = Op::kRmsNorm,
                                     .traits = kTraits,
                                     .supports = supports_activations,
                                     .workspace = nullptr,
                                     .run = run_rms_norm};
const Kernel kCpuRopeReference = {.name = "cpu_rope_reference",
                                  .op = Op::kRope,
                                  .traits = kTraits,
                                  .supports = supports_activations,
                                  .workspace = nullptr,
                                  .run = run_rope};
const Kernel kCpuSwigluReference = {.name = "cpu_swiglu_reference",
                                    .op = Op::kSwiglu,
                                    .traits = kTraits,
                                    .supports = supports_activations,
                                    .workspace = nullptr,
                                    .run = run_swiglu};

}  // namespace octavo
