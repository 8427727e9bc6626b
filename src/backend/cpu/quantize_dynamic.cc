// Quantize with scales made from the data, on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/quantize_dynamic.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/vector_ops.h"
#include "numerics/scale.h"

namespace octavo {
namespace {

// NaN stays NaN; infinities become the ends of the range, which are finite.
void clamp_row(const QuantizeParams& params, const float* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float low = from[i] < params.clamp_low ? params.clamp_low : from[i];
    to[i] = low > params.clamp_high ? params.clamp_high : low;
  }
}

// NaN is left out: it becomes a NaN code, and does not spoil the scale of its neighbours.
float amax_of(const float* values, int64_t count) {
  float amax = 0.0f;
  for (int64_t i = 0; i < count; ++i) {
    const float magnitude = std::fabs(values[i]);
    amax = magnitude > amax ? magnitude : amax;
  }
  return amax;
}

void quantize_row(const QuantizeDynamicArgs& args, int64_t row, std::vector<float>& values) {
  const int64_t columns = args.x.columns();
  clamp_row(*args.params, read_row(args.x, row, values.data()), values.data(), columns);
  const int64_t group = args.params->group == 0 ? columns : args.params->group;
  float* scales = args.scale.row<float>(row);
  for (int64_t begin = 0; begin < columns; begin += group) {
    const int64_t count = std::min(group, columns - begin);
    const float scale = safe_scale(amax_of(values.data() + begin, count));
    *scales++ = scale;
    vector_ops().quantize(values.data() + begin, /*round_bf16=*/false, inverse_scale(scale),
                          args.y.row<e4m3>(row) + begin, count);
  }
}

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = QuantizeDynamicArgs::bind(operands);
  context.pool->parallel_for(args.x.rows(), rows_grain(args.x.columns()),
                             [&](int64_t begin, int64_t end) {
                               std::vector<float> values(static_cast<size_t>(args.x.columns()));
                               for (int64_t row = begin; row < end; ++row)
                                 quantize_row(args, row, values);
                             });
}

Verdict supports(const Problem& problem) {
  const DType x = problem.inputs[0].dtype;
  if (x == DType::kF32 || x == DType::kBF16) return Verdict::yes();
  return Verdict::no(fmt::format("x: expected float32 or bfloat16, got {}", to_string(x)));
}

}  // namespace

const Kernel kCpuQuantizeDynamic = {.name = "cpu_quantize_dynamic",
                                    .op = Op::kQuantizeDynamic,
                                    .traits = {},
                                    .supports = supports,
                                    .workspace = nullptr,
                                    .run = run};

}  // namespace octavo
