// The scalar linear; its fp32 sums run over k in order.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/linear_scalar.h"

#include <algorithm>

#include "backend/cpu/vector_ops.h"
#include "core/checked.h"
#include "numerics/bf16.h"
#include "numerics/e4m3.h"

namespace octavo {
namespace {

float to_float(float value) { return value; }

// Calls body(const T*) with the elements' C++ type.
template <typename Body>
void with_elements(const TensorView& view, int64_t row, const Body& body) {
  switch (view.dtype) {
    case DType::kF32:
      return body(static_cast<const float*>(view.row<float>(row)));
    case DType::kBF16:
      return body(static_cast<const bf16*>(view.row<bf16>(row)));
    case DType::kE4M3:
      return body(static_cast<const e4m3*>(view.row<e4m3>(row)));
    default:
      OCTAVO_CHECK(false);
  }
}

float dot(const TensorView& x, int64_t row, const TensorView& weight, int64_t column) {
  float sum = 0.0f;
  with_elements(x, row, [&](const auto* a) {
    with_elements(weight, column, [&](const auto* b) {
      const int64_t depth = x.columns();
      for (int64_t k = 0; k < depth; ++k) sum += to_float(a[k]) * to_float(b[k]);
    });
  });
  return sum;
}

}  // namespace

LinearEpilogue::LinearEpilogue(const LinearArgs& args) : args_(args) {
  if (args.params != nullptr) segment_rows_ = args.params->segment_rows;
  if (args.input_scale.defined()) input_scale_ = *args.input_scale.as<float>();
}

void LinearEpilogue::scale(int64_t column, std::span<float> sums) const {
  if (!args_.weight_scale.defined()) {
    if (!args_.input_scale.defined()) return;
    for (float& sum : sums) sum *= input_scale_;
    return;
  }
  const float* scales = args_.weight_scale.as<float>();
  const int64_t whole = args_.weight.rows();
  const auto segments = segment_rows_.empty() ? std::span(&whole, 1) : segment_rows_;
  const int64_t end = column + static_cast<int64_t>(sums.size());
  int64_t segment_begin = 0;
  for (size_t segment = 0; segment < segments.size(); ++segment) {
    const int64_t segment_end = segment_begin + segments[segment];
    const float scale = input_scale_ * scales[segment];
    for (int64_t n = std::max(column, segment_begin); n < std::min(end, segment_end); ++n) {
      sums[n - column] *= scale;
    }
    segment_begin = segment_end;
  }
}

void LinearEpilogue::add_bias(int64_t column, std::span<float> sums) const {
  with_elements(args_.bias, 0, [&](const auto* bias) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += to_float(bias[column + i]);
  });
}

void LinearEpilogue::store(int64_t row, int64_t column, std::span<float> sums) const {
  scale(column, sums);
  if (args_.bias.defined()) add_bias(column, sums);
  if (args_.y.dtype == DType::kF32) {
    std::copy(sums.begin(), sums.end(), args_.y.row<float>(row) + column);
  } else {
    vector_ops().to_bf16(sums.data(), args_.y.row<bf16>(row) + column,
                         static_cast<int64_t>(sums.size()));
  }
}

void cpu_linear_scalar(const LinearArgs& args, ThreadPool* pool) {
  const LinearEpilogue epilogue(args);
  const auto columns = [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < args.x.rows(); ++row) {
      for (int64_t column = begin; column < end; ++column) {
        float sum = dot(args.x, row, args.weight, column);
        epilogue.store(row, column, {&sum, 1});
      }
    }
  };
  if (pool == nullptr) return columns(0, args.weight.rows());
  pool->parallel_for(args.weight.rows(), /*grain=*/16, columns);
}

}  // namespace octavo
