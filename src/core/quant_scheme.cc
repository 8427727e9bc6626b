// Printing of quantization schemes.
// SPDX-License-Identifier: Apache-2.0
#include "core/quant_scheme.h"

#include <fmt/format.h>

#include "core/checked.h"

namespace octavo {

std::string to_string(const QuantScheme& scheme) {
  if (!scheme.quantized()) return std::string(to_string(scheme.element));
  const char* when = scheme.dynamic ? "dynamic" : "static";
  if (scheme.block_rows == 0 && scheme.block_columns == 0) {
    return fmt::format("{} per tensor, {}", to_string(scheme.element), when);
  }
  const auto extent = [](int64_t size) { return size == 0 ? "all" : std::to_string(size); };
  return fmt::format("{} block {}x{}, {}", to_string(scheme.element), extent(scheme.block_rows),
                     extent(scheme.block_columns), when);
}

std::string to_string(const LinearScheme& scheme) {
  return fmt::format("{}; inputs {}", to_string(scheme.weights),
                     scheme.inputs.quantized() ? to_string(scheme.inputs) : "16-bit");
}

Shape scale_shape(const QuantScheme& scheme, int64_t rows, int64_t columns) {
  if (scheme.block_rows == 0 && scheme.block_columns == 0) return {};
  const auto blocks = [](int64_t size, int64_t block) {
    return block == 0 ? int64_t{1} : ceil_div(size, block);
  };
  return {blocks(rows, scheme.block_rows), blocks(columns, scheme.block_columns)};
}

Shape stored_shape(Shape shape, DType element) {
  if (shape.rank() == 2) shape[0] = ceil_div(shape[0], rows_in_row(element));
  return shape;
}

}  // namespace octavo
