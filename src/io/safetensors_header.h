// The header of a safetensors file: which tensors it holds and where.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/tensor.h"

namespace octavo {

inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

struct TensorInfo {
  std::string name;
  std::string dtype_name;      // as the file spells it: "BF16", "F8_E4M3", …
  std::optional<DType> dtype;  // nothing for element types that Octavo does not compute with
  Shape shape;
  uint64_t offset = 0;  // of the first byte, from the start of the file
  uint64_t bytes = 0;

  // The element type; Error(kUnsupported) that lists the supported ones when Octavo has none.
  DType require_dtype(std::string_view file) const;
};

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // by offset
  std::map<std::string, std::string> metadata;
};

// `header` is the JSON text after the 8 bytes of length. Checks every rule of the format: unique
// names, known fields, byte length = shape × dtype, ranges that follow each other without hole or
// overlap up to the end of the file.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> header, uint64_t file_size,
                                           std::string_view file);

// The length field, checked against the format's limit and the size of the file.
uint64_t safetensors_header_length(std::span<const std::byte, 8> prefix, uint64_t file_size,
                                   std::string_view file);

// The format's name of an element type ("BF16").
std::string_view safetensors_name(DType dtype);

}  // namespace octavo
