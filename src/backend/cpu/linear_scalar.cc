// The scalar linear: sums in double, so that their order leaves no trace but in the rarest case.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/linear_scalar.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/rows.h"
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

// Eight chains, which a compiler may keep in vector registers.
double dot(const float* a, const float* b, int64_t depth) {
  constexpr int64_t kChains = 8;
  double sums[kChains] = {};
  for (int64_t k = 0; k < depth; k += kChains) {
    for (int64_t i = 0; i < std::min(kChains, depth - k); ++i)
      sums[i] += static_cast<double>(a[k + i]) * static_cast<double>(b[k + i]);
  }
  double sum = 0.0;
  for (const double chain : sums) sum += chain;
  return sum;
}

}  // namespace

LinearEpilogue::LinearEpilogue(const LinearArgs& args) : args_(args) {
  if (args.params != nullptr) segment_rows_ = args.params->segment_rows;
  if (args.input_scale.defined()) input_scale_ = *args.input_scale.as<float>();
}

template <typename Sum>
void LinearEpilogue::scale(int64_t column, std::span<Sum> sums) const {
  if (!args_.weight_scale.defined()) {
    if (!args_.input_scale.defined()) return;
    for (Sum& sum : sums) sum *= input_scale_;
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

template <typename Sum>
void LinearEpilogue::add_bias(int64_t column, std::span<Sum> sums) const {
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

void LinearEpilogue::store(int64_t row, int64_t column, double sum) const {
  scale(column, std::span(&sum, 1));
  if (args_.bias.defined()) add_bias(column, std::span(&sum, 1));
  const auto value = static_cast<float>(sum);
  if (args_.y.dtype == DType::kF32) {
    args_.y.row<float>(row)[column] = value;
  } else {
    args_.y.row<bf16>(row)[column] = to_bf16(value);
  }
}

void cpu_linear_scalar(const LinearArgs& args, ThreadPool* pool) {
  constexpr int64_t kColumns = 16;  // that share the conversion of a row of x
  const LinearEpilogue epilogue(args);
  const int64_t depth = args.x.columns();
  const auto columns = [&](int64_t begin, int64_t end) {
    std::vector<float> weights(static_cast<size_t>(kColumns * depth));
    std::vector<float> buffer(static_cast<size_t>(depth));
    for (int64_t first = begin; first < end; first += kColumns) {
      const int64_t count = std::min(kColumns, end - first);
      for (int64_t i = 0; i < count; ++i) {
        const TensorView& weight = args.weight;
        convert_to_float(weight.dtype,
                         weight.data + (first + i) * weight.row_stride * size_of(weight.dtype),
                         weights.data() + i * depth, depth);
      }
      for (int64_t row = 0; row < args.x.rows(); ++row) {
        const float* x = read_row(args.x, row, buffer.data());
        for (int64_t i = 0; i < count; ++i)
          epilogue.store(row, first + i, dot(x, weights.data() + i * depth, depth));
      }
    }
  };
  if (pool == nullptr) return columns(0, args.weight.rows());
  pool->parallel_for(args.weight.rows(), kColumns, columns);
}

}  // namespace octavo
