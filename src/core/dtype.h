// Element types of tensors.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace octavo {

// kI4x2: a byte holds two signed 4-bit codes, those of rows 2i (low half) and 2i + 1 of a matrix.
enum class DType : uint8_t { kF32, kBF16, kF16, kE4M3, kI32, kI64, kU8, kI8, kI4x2 };

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
    case DType::kI8:
    case DType::kI4x2:
      return 1;
  }
  return 0;
}

// The names of JSON, CLI and logs: "float32", "bfloat16", "float16", "float8_e4m3", "int32",
// "int64", "uint8", "int8", "int4x2".
std::string_view to_string(DType dtype);
std::optional<DType> dtype_from_string(std::string_view name);

constexpr bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16 ||
         dtype == DType::kE4M3;
}

// Types whose elements mean nothing without a scale.
constexpr bool is_code(DType dtype) {
  return dtype == DType::kE4M3 || dtype == DType::kI8 || dtype == DType::kI4x2;
}
// Rows of a matrix that one stored row holds.
constexpr int64_t rows_in_row(DType dtype) { return dtype == DType::kI4x2 ? 2 : 1; }

}  // namespace octavo
