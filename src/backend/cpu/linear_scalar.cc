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
#include "numerics/integer_codes.h"

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

// A row of the weight, whose codes any type may hold.
void read_codes(const TensorView& weight, int64_t row, float* to, int64_t depth) {
  if (weight.dtype == DType::kI8) {
    std::copy_n(weight.row<int8_t>(row), depth, to);
  } else if (weight.dtype == DType::kI4x2) {
    const auto* pairs = weight.row<uint8_t>(row / 2);
    for (int64_t k = 0; k < depth; ++k) to[k] = unpack_int4(pairs[k], static_cast<int>(row % 2));
  } else {
    convert_to_float(weight.dtype, weight.data + row * weight.row_stride * size_of(weight.dtype),
                     to, depth);
  }
}

struct Element {
  int64_t row = 0;
  int64_t column = 0;
  const float* x = nullptr;
  const float* weight = nullptr;
};

// The scaled sums of the parts of K, added in their order.
double scaled_dot(const LinearArgs& args, const LinearEpilogue& epilogue, const Element& at) {
  const int64_t depth = args.x.columns();
  const int64_t block = args.params == nullptr || args.params->block_columns == 0
                            ? std::max<int64_t>(depth, 1)
                            : args.params->block_columns;
  double total = 0.0;
  for (int64_t begin = 0; begin < depth; begin += block) {
    double sum = dot(at.x + begin, at.weight + begin, std::min(block, depth - begin));
    epilogue.scale(at.row, at.column, begin / block, std::span(&sum, 1));
    total += sum;
  }
  return total;
}

}  // namespace

LinearEpilogue::LinearEpilogue(const LinearArgs& args) : args_(args) {
  if (args.params == nullptr) return;
  segment_rows_ = args.params->segment_rows;
  block_rows_ = args.params->block_rows;
}

float LinearEpilogue::input_scale(int64_t row, int64_t depth_block) const {
  const TensorView& scale = args_.input_scale;
  if (!scale.defined()) return 1.0f;
  if (scale.shape.rank() == 1) return *scale.as<float>();
  return scale.row<float>(row)[scale.columns() == 1 ? 0 : depth_block];
}

template <typename Sum>
void LinearEpilogue::scale(int64_t row, int64_t column, int64_t depth_block,
                           std::span<Sum> sums) const {
  if (!args_.weight_scale.defined() && !args_.input_scale.defined()) return;
  const float input = input_scale(row, depth_block);
  if (!args_.weight_scale.defined()) {
    for (Sum& sum : sums) sum *= input;
  } else if (block_rows_ == 0) {
    scale_segments(column, input, sums);
  } else {
    for (Sum& sum : sums) {
      const int64_t block = column++ / block_rows_;
      sum *= input * args_.weight_scale.row<float>(block)[depth_block];
    }
  }
}

template void LinearEpilogue::scale(int64_t, int64_t, int64_t, std::span<float>) const;

template <typename Sum>
void LinearEpilogue::scale_segments(int64_t column, float input_scale, std::span<Sum> sums) const {
  const float* scales = args_.weight_scale.as<float>();
  const int64_t whole = args_.weight.rows() * rows_in_row(args_.weight.dtype);
  const auto segments = segment_rows_.empty() ? std::span(&whole, 1) : segment_rows_;
  const int64_t end = column + static_cast<int64_t>(sums.size());
  int64_t segment_begin = 0;
  for (size_t segment = 0; segment < segments.size(); ++segment) {
    const int64_t segment_end = segment_begin + segments[segment];
    const float scale = input_scale * scales[segment];
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

void LinearEpilogue::finish(int64_t row, int64_t column, std::span<float> sums) const {
  if (args_.bias.defined()) add_bias(column, sums);
  if (args_.y.dtype == DType::kF32) {
    std::copy(sums.begin(), sums.end(), args_.y.row<float>(row) + column);
  } else {
    vector_ops().to_bf16(sums.data(), args_.y.row<bf16>(row) + column,
                         static_cast<int64_t>(sums.size()));
  }
}

void LinearEpilogue::finish(int64_t row, int64_t column, double sum) const {
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
      for (int64_t i = 0; i < count; ++i)
        read_codes(args.weight, first + i, weights.data() + i * depth, depth);
      for (int64_t row = 0; row < args.x.rows(); ++row) {
        const float* x = read_row(args.x, row, buffer.data());
        for (int64_t i = 0; i < count; ++i)
          epilogue.finish(
              row, first + i,
              scaled_dot(args, epilogue, {row, first + i, x, weights.data() + i * depth}));
      }
    }
  };
  const int64_t out = args.weight.rows() * rows_in_row(args.weight.dtype);
  if (pool == nullptr) return columns(0, out);
  pool->parallel_for(out, kColumns, columns);
}

}  // namespace octavo
