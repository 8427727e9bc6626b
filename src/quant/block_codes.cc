// Blocks of weights.
// SPDX-License-Identifier: Apache-2.0
#include "quant/block_codes.h"

#include <algorithm>
#include <cmath>

#include "model/weight_source.h"
#include "numerics/e4m3.h"
#include "numerics/integer_codes.h"

namespace octavo {
namespace {

// Walks the columns of one block after another: body(block, begin, end).
template <typename Body>
void for_blocks(int64_t columns, int64_t block_columns, const Body& body) {
  const int64_t width = block_columns == 0 ? std::max<int64_t>(columns, 1) : block_columns;
  for (int64_t begin = 0; begin < columns; begin += width)
    body(begin / width, begin, std::min(columns, begin + width));
}

int64_t block_row(const QuantScheme& scheme, int64_t row) {
  return scheme.block_rows == 0 ? 0 : row / scheme.block_rows;
}

// A row as float32, which every source type converts to exactly.
void load_row(const TensorView& rows, int64_t row, std::vector<float>& to) {
  to.resize(static_cast<size_t>(rows.columns()));
  convert(rows.data + row * rows.row_stride * size_of(rows.dtype), rows.dtype,
          reinterpret_cast<std::byte*>(to.data()), DType::kF32, rows.columns());
}

void encode_row(const std::vector<float>& values, const float* scales, const QuantScheme& scheme,
                std::byte* to) {
  for_blocks(std::ssize(values), scheme.block_columns,
             [&](int64_t block, int64_t begin, int64_t end) {
               const float scale = scales[block];
               for (int64_t k = begin; k < end; ++k) {
                 const float scaled = values[static_cast<size_t>(k)] / scale;
                 if (scheme.element == DType::kE4M3) {
                   to[k] = std::byte{to_e4m3(scaled).bits};
                 } else if (scheme.element == DType::kI8) {
                   to[k] = static_cast<std::byte>(to_int8_code(scaled));
                 } else {
                   to[k] = static_cast<std::byte>(to_int4_code(scaled));
                 }
               }
             });
}

}  // namespace

float largest_code(DType element) {
  if (element == DType::kI8) return kInt8Max;
  return element == DType::kI4x2 ? kInt4Max : kE4M3Max;
}

std::vector<float> block_amax(const TensorView& weight, const QuantScheme& scheme) {
  const Shape shape = scale_shape(scheme, weight.rows(), weight.columns());
  const int64_t blocks = shape.rank() == 0 ? 1 : shape[1];
  std::vector<float> amax(static_cast<size_t>(shape.elements()), 0.0f);
  std::vector<float> values;
  for (int64_t row = 0; row < weight.rows(); ++row) {
    load_row(weight, row, values);
    float* of_row = amax.data() + block_row(scheme, row) * blocks;
    for_blocks(weight.columns(), scheme.block_columns,
               [&](int64_t block, int64_t begin, int64_t end) {
                 for (int64_t k = begin; k < end; ++k) {
                   const float magnitude = std::fabs(values[static_cast<size_t>(k)]);
                   if (std::isfinite(magnitude)) of_row[block] = std::max(of_row[block], magnitude);
                 }
               });
  }
  return amax;
}

void encode_rows(const TensorView& rows, int64_t first_row, const QuantScheme& scheme,
                 const ScaleTensor& scales, std::byte* to) {
  const int64_t blocks = scales.shape.rank() == 0 ? 1 : scales.shape[1];
  const int64_t columns = rows.columns();
  const int64_t pair = rows_in_row(scheme.element);
  std::vector<float> values;
  std::vector<std::byte> codes(static_cast<size_t>(columns * pair));
  for (int64_t row = 0; row < rows.rows(); ++row) {
    load_row(rows, row, values);
    const float* of_row = scales.values.data() + block_row(scheme, first_row + row) * blocks;
    std::byte* target = pair == 1 ? to + row * columns : codes.data() + row % 2 * columns;
    encode_row(values, of_row, scheme, target);
    if (pair == 1 || row % 2 == 0) continue;
    for (int64_t k = 0; k < columns; ++k)
      to[row / 2 * columns + k] = std::byte{
          pack_int4(static_cast<int8_t>(codes[k]), static_cast<int8_t>(codes[columns + k]))};
  }
}

}  // namespace octavo
