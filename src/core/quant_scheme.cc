// Printing of quantization schemes.
// SPDX-License-Identifier: Apache-2.0
#include "core/quant_scheme.h"

#include <fmt/format.h>

namespace octavo {

std::string to_string(const QuantScheme& scheme) {
  if (!scheme.quantized()) return std::string(to_string(scheme.element));
  const char* when = scheme.dynamic ? "dynamic" : "static";
  if (scheme.block_rows == 0 && scheme.block_columns == 0) {
    return fmt::format("{} per tensor, {}", to_string(scheme.element), when);
  }
  return fmt::format("{} block {}x{}, {}", to_string(scheme.element), scheme.block_rows,
                     scheme.block_columns, when);
}

}  // namespace octavo
