// Reading and writing rows of any element type.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/rows.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/cpu/vector_ops.h"
#include "numerics/scale.h"

namespace octavo {

void convert_to_float(DType dtype, const void* source, float* out, int64_t count) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, source, static_cast<size_t>(count) * sizeof(float));
      return;
    case DType::kBF16:
      return vector_ops().from_bf16(static_cast<const bf16*>(source), out, count);
    case DType::kE4M3:
      return vector_ops().from_e4m3(static_cast<const e4m3*>(source), out, count);
    default:
      check_failed("a float type", __FILE__, __LINE__);
  }
}

const float* read_row(const TensorView& x, int64_t row, float* buffer) {
  if (x.dtype == DType::kF32) return x.row<float>(row);
  convert_to_float(x.dtype, x.data + row * x.row_stride * size_of(x.dtype), buffer, x.columns());
  return buffer;
}

void add_row(const TensorView& a, const TensorView& b, int64_t row, float* sum, float* buffer) {
  vector_ops().add(read_row(a, row, sum), read_row(b, row, buffer), sum, a.columns());
}

void copy_row(const TensorView& from, int64_t from_row, const TensorView& to, int64_t to_row) {
  if (from.dtype == to.dtype) {
    const int64_t size = size_of(from.dtype);
    std::memcpy(to.data + to_row * to.row_stride * size,
                from.data + from_row * from.row_stride * size,
                static_cast<size_t>(from.columns() * size));
    return;
  }
  std::vector<float> buffer(static_cast<size_t>(from.columns()));
  RowWriter(to.dtype, from.dtype, {})
      .write_row(read_row(from, from_row, buffer.data()), to, to_row);
}

void round_values(DType dtype, float* values, int64_t count) {
  if (dtype == DType::kBF16) vector_ops().round_bf16(values, count);
}

RowWriter::RowWriter(DType output, DType intermediate, const TensorView& scale)
    : output_(output), intermediate_(intermediate) {
  if (output == DType::kE4M3) inverse_scale_ = inverse_scale(*scale.as<float>());
}

void RowWriter::write(const float* values, void* out, int64_t count) const {
  switch (output_) {
    case DType::kF32:
      if (values != out) std::memcpy(out, values, static_cast<size_t>(count) * sizeof(float));
      return;
    case DType::kBF16:
      return vector_ops().to_bf16(values, static_cast<bf16*>(out), count);
    case DType::kE4M3:
      return vector_ops().quantize(values, intermediate_ == DType::kBF16, inverse_scale_,
                                   static_cast<e4m3*>(out), count);
    default:
      check_failed("a float type", __FILE__, __LINE__);
  }
}

void RowWriter::write_row(const float* values, const TensorView& y, int64_t row) const {
  write(values, y.data + row * y.row_stride * size_of(y.dtype), y.columns());
}

void clear_rows(const TensorView& y, int64_t begin, int64_t end) {
  const int64_t size = size_of(y.dtype);
  for (int64_t row = begin; row < end; ++row) {
    std::memset(y.data + row * y.row_stride * size, 0, static_cast<size_t>(y.columns() * size));
  }
}

int64_t rows_grain(int64_t columns) {
  constexpr int64_t kElementsOfPiece = 16384;
  return std::max<int64_t>(1, kElementsOfPiece / std::max<int64_t>(1, columns));
}

int64_t checked_index(int64_t index, int64_t limit, std::string_view operand, int64_t position) {
  if (index >= 0 && index < limit) return index;
  throw Error(ErrorCategory::kInternal, fmt::format("{}[{}]: expected an index below {}, got {}",
                                                    operand, position, limit, index));
}

}  // namespace octavo
