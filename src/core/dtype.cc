// Names of element types.
// SPDX-License-Identifier: Apache-2.0
#include "core/dtype.h"

#include <array>
#include <utility>

namespace octavo {
namespace {
constexpr std::array<std::pair<DType, std::string_view>, 9> kNames = {{
    {DType::kF32, "float32"},
    {DType::kBF16, "bfloat16"},
    {DType::kF16, "float16"},
    {DType::kE4M3, "float8_e4m3"},
    {DType::kI32, "int32"},
    {DType::kI64, "int64"},
    {DType::kU8, "uint8"},
    {DType::kI8, "int8"},
    {DType::kI4x2, "int4x2"},
}};
}  // namespace

std::string_view to_string(DType dtype) {
  for (const auto& [value, name] : kNames) {
    if (value == dtype) return name;
  }
  return "?";
}

std::optional<DType> dtype_from_string(std::string_view name) {
  for (const auto& [value, text] : kNames) {
    if (text == name) return value;
  }
  return std::nullopt;
}

}  // namespace octavo
