// Makers of safetensors bytes, good and bad.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace octavo {

inline std::string little_endian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

// A file of this header and `data_bytes` bytes 0, 1, 2, …
inline std::string safetensors_bytes(std::string_view header, uint64_t data_bytes) {
  std::string file = little_endian(header.size()) + std::string(header);
  for (uint64_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i);
  return file;
}

inline std::string tensor_entry(std::string_view name, std::string_view dtype,
                                std::string_view shape, uint64_t begin, uint64_t end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype,
                     shape, begin, end);
}

inline std::string braces(std::string_view members) { return fmt::format("{{{}}}", members); }

}  // namespace octavo
