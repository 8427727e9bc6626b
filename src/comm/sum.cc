// Summation in a fixed order.
// SPDX-License-Identifier: Apache-2.0
#include "comm/sum.h"

#include <cstring>
#include <vector>

#include "numerics/bf16.h"

namespace octavo {
namespace {

template <typename T>
void add_to(std::vector<float>& sum, const T* term, bool is_first) {
  for (size_t i = 0; i < sum.size(); ++i) {
    float value;
    if constexpr (std::is_same_v<T, float>) {
      value = term[i];
    } else {
      value = to_float(term[i]);
    }
    sum[i] = is_first ? value : sum[i] + value;
  }
}

void write(const std::vector<float>& sum, const TensorView& to, int64_t row) {
  if (to.dtype == DType::kF32) {
    std::memcpy(to.row<float>(row), sum.data(), sum.size() * sizeof(float));
    return;
  }
  OCTAVO_CHECK(to.dtype == DType::kBF16);
  for (size_t i = 0; i < sum.size(); ++i) to.row<bf16>(row)[i] = to_bf16(sum[i]);
}

}  // namespace

TensorView columns_of(const TensorView& matrix, int64_t begin, int64_t end) {
  OCTAVO_CHECK(begin >= 0 && end <= matrix.columns());
  TensorView columns = matrix;
  columns.data += begin * size_of(matrix.dtype);
  columns.shape[1] = end - begin;  // row_stride stays the matrix's
  return columns;
}

void sum_row(std::span<const TensorView> terms, int64_t row, int64_t first,
             std::span<const TensorView> sums, int64_t to_row) {
  std::vector<float> sum(static_cast<size_t>(sums.front().columns()));
  for (size_t i = 0; i < terms.size(); ++i) {
    if (terms[i].dtype == DType::kF32) {
      add_to(sum, terms[i].row<float>(row) + first, i == 0);
    } else {
      OCTAVO_CHECK(terms[i].dtype == DType::kBF16);
      add_to(sum, terms[i].row<bf16>(row) + first, i == 0);
    }
  }
  for (const TensorView& to : sums) write(sum, to, to_row);
}

void copy_row_bytes(const TensorView& from, int64_t from_row, const TensorView& to,
                    int64_t to_row) {
  const int64_t element = size_of(from.dtype);
  std::memcpy(to.data + to_row * to.row_stride * element,
              from.data + from_row * from.row_stride * element,
              static_cast<size_t>(from.columns() * element));
}

void zero_row(const TensorView& to, int64_t row) {
  const int64_t element = size_of(to.dtype);
  std::memset(to.data + row * to.row_stride * element, 0,
              static_cast<size_t>(to.columns() * element));
}

}  // namespace octavo
