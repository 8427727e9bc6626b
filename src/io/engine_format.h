// The layout of an engine file, shared by its reader and its writer.
// SPDX-License-Identifier: Apache-2.0
//
// All integers are little-endian.
//
//   offset  bytes
//   0       8      magic "OCTAVO\0\1"
//   8       4      format version
//   12      4      zero
//   16      8      N, length of the header
//   24      8      XXH3-64 of bytes [0, 24) and the header
//   32      N      header: JSON {"meta": …, "payload_bytes": …, "tensors":
//   [{"name","dtype","shape","offset","bytes"}, …]}
//           …      zeros up to a multiple of 256
//                  payload: tensors in order, each at a multiple of 256, zeros between
//                  for each 16 MiB of payload (the last piece may be shorter): XXH3-64
//           8      XXH3-64 of these checksums
//
// Nothing in it is code or names anything to load: it is data alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/tensor.h"

namespace octavo {

inline constexpr std::string_view kEngineMagic("OCTAVO\0\1", 8);
inline constexpr uint32_t kEngineFormatVersion = 1;
inline constexpr uint64_t kEnginePrefixBytes = 32;
inline constexpr uint64_t kEngineAlignment = 256;
inline constexpr uint64_t kEngineChunkBytes = uint64_t{16} << 20;
inline constexpr uint64_t kMaxEngineHeaderBytes = uint64_t{64} << 20;

struct EngineTensor {
  std::string name;
  DType dtype;
  Shape shape;
  uint64_t offset = 0;  // of the first byte, from the start of the payload; a multiple of 256
  uint64_t bytes = 0;
};

struct EngineHeader {
  nlohmann::json meta;
  std::vector<EngineTensor> tensors;  // by offset
  uint64_t payload_bytes = 0;
};

// Where the parts of a file lie.
struct EngineLayout {
  uint64_t payload_start, payload_bytes, chunks;
  uint64_t trailer_start() const { return payload_start + payload_bytes; }
  uint64_t trailer_bytes() const { return 8 * (chunks + 1); }
  uint64_t file_bytes() const { return trailer_start() + trailer_bytes(); }
  uint64_t chunk_bytes(uint64_t chunk) const;  // the last one may be shorter
};
EngineLayout engine_layout(uint64_t header_bytes, uint64_t payload_bytes);

// Gives every tensor its offset and byte length, in order; the payload's length is returned.
uint64_t place_engine_tensors(std::vector<EngineTensor>& tensors);

std::string engine_header_text(const EngineHeader& header);
// Checks every field; `text` is hostile. The payload must not be longer than `max_payload_bytes`.
EngineHeader parse_engine_header(std::string_view text, uint64_t max_payload_bytes,
                                 std::string_view file);

// The first 32 bytes. Error(kUnsupported) with both versions when the format is another one.
std::array<std::byte, kEnginePrefixBytes> engine_prefix(std::string_view header_text);
uint64_t parse_engine_prefix(std::span<const std::byte, kEnginePrefixBytes> prefix,
                             uint64_t file_bytes,
                             std::string_view file);  // the header's length
uint64_t engine_header_checksum(std::span<const std::byte> prefix, std::string_view header_text);

uint64_t checksum(std::span<const std::byte> bytes);  // XXH3-64

}  // namespace octavo
