// Element types of tensors.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace octavo {

enum class DType : uint8_t { kF32, kBF16, kF16, kE4M3, kI32, kI64, kU8 };

// Bytes of one element.
constexpr int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
    case DType::kF16:
      return 2;
    case DType::kI64:
      return 8;
    case DType::kE4M3:
    case DType::kU8:
      return 1;
  }
  return 0;
}

// The names of JSON, CLI and logs: "float32", "bfloat16", "float16", "float8_e4m3", "int32",
// "int64", "uint8".
std::string_view to_string(DType dtype);
std::optional<DType> dtype_from_string(std::string_view name);

constexpr bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16 ||
         dtype == DType::kE4M3;
}

}  // namespace octavo
