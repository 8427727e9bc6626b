// The layout of an engine file.
// SPDX-License-Identifier: Apache-2.0
#include "io/engine_format.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "core/checked.h"
#include "core/error.h"
#include "io/json.h"
#include "io/json_object.h"
#include "io/little_endian.h"

namespace octavo {
namespace {

constexpr JsonLimits kHeaderLimits{
    .bytes = kMaxEngineHeaderBytes, .values = 4'000'000, .allow_bom = false};
// Far above any machine's memory, far below where sums of offsets could overflow.
constexpr IntRange kByteRange{0, int64_t{1} << 56};

uint64_t aligned(uint64_t offset) {
  return (offset + kEngineAlignment - 1) / kEngineAlignment * kEngineAlignment;
}

Shape shape_of(const JsonField& field) {
  const std::vector<int64_t> dims = field.as_ints({.min = 0});
  if (dims.size() > Shape::kMaxRank)
    throw field.mismatch(fmt::format("at most {} dimensions", Shape::kMaxRank));
  return Shape(dims);
}

// Nothing on overflow; zeros count as one first, so that no partial product can overflow later.
std::optional<uint64_t> bytes_of(DType dtype, const Shape& shape) {
  std::optional<int64_t> bound = size_of(dtype);
  bool empty = false;
  for (const int64_t dim : shape.dims()) {
    if (bound) bound = checked_mul(*bound, std::max(dim, int64_t{1}));
    empty = empty || dim == 0;
  }
  if (!bound) return std::nullopt;
  return empty ? 0 : static_cast<uint64_t>(*bound);
}

EngineTensor parse_tensor(const JsonObject& entry, uint64_t previous_end) {
  const JsonField dtype = entry.required("dtype", "a string");
  const auto type = dtype_from_string(dtype.as_string());
  if (!type)
    throw dtype.not_supported("float32, bfloat16, float16, float8_e4m3, int32, int64, uint8");
  EngineTensor tensor{.name = entry.required_string("name"),
                      .dtype = *type,
                      .shape = shape_of(entry.required("shape", "an array of integers")),
                      .offset = static_cast<uint64_t>(entry.required_int("offset", kByteRange)),
                      .bytes = static_cast<uint64_t>(entry.required_int("bytes", kByteRange))};
  const auto bytes = bytes_of(tensor.dtype, tensor.shape);
  if (bytes != tensor.bytes) {
    throw entry.required("bytes").mismatch(bytes ? fmt::format("{}, as dtype and shape say", *bytes)
                                                 : "a shape that is not too large");
  }
  if (tensor.offset != aligned(previous_end)) {
    throw entry.required("offset").mismatch(
        fmt::format("{}, behind the tensor before", aligned(previous_end)));
  }
  return tensor;
}

}  // namespace

uint64_t EngineLayout::chunk_bytes(uint64_t chunk) const {
  return std::min(kEngineChunkBytes, payload_bytes - chunk * kEngineChunkBytes);
}

EngineLayout engine_layout(uint64_t header_bytes, uint64_t payload_bytes) {
  return {.payload_start = aligned(kEnginePrefixBytes + header_bytes),
          .payload_bytes = payload_bytes,
          .chunks = (payload_bytes + kEngineChunkBytes - 1) / kEngineChunkBytes};
}

uint64_t place_engine_tensors(std::vector<EngineTensor>& tensors) {
  uint64_t end = 0;
  for (EngineTensor& tensor : tensors) {
    const auto bytes = bytes_of(tensor.dtype, tensor.shape);
    OCTAVO_CHECK(bytes.has_value());
    tensor.offset = aligned(end);
    tensor.bytes = *bytes;
    end = tensor.offset + tensor.bytes;
  }
  return end;
}

std::string engine_header_text(const EngineHeader& header) {
  nlohmann::ordered_json text;
  text["meta"] = header.meta;
  text["payload_bytes"] = header.payload_bytes;
  text["tensors"] = nlohmann::ordered_json::array();
  for (const EngineTensor& tensor : header.tensors) {
    nlohmann::ordered_json& entry = text["tensors"].emplace_back();
    entry["name"] = tensor.name;
    entry["dtype"] = to_string(tensor.dtype);
    entry["shape"] = std::vector<int64_t>(tensor.shape.dims().begin(), tensor.shape.dims().end());
    entry["offset"] = tensor.offset;
    entry["bytes"] = tensor.bytes;
  }
  return text.dump();
}

EngineHeader parse_engine_header(std::string_view text, uint64_t max_payload_bytes,
                                 std::string_view file) {
  nlohmann::json document = parse_json(text, file, kHeaderLimits);
  const JsonObject root(document, std::string(file));
  EngineHeader header;
  header.payload_bytes = static_cast<uint64_t>(root.required_int("payload_bytes", kByteRange));
  if (header.payload_bytes > max_payload_bytes) {
    throw root.required("payload_bytes")
        .mismatch(fmt::format("at most {}, the bytes behind the header", max_payload_bytes));
  }
  uint64_t end = 0;
  std::set<std::string_view> names;
  for (const JsonField& field : root.required_array("tensors")) {
    const JsonObject entry(field);
    header.tensors.push_back(parse_tensor(entry, end));
    end = header.tensors.back().offset + header.tensors.back().bytes;
    if (!names.insert(entry.required("name").as_string()).second) {
      throw entry.required("name").mismatch("a name that no other tensor has");
    }
  }
  if (end != header.payload_bytes) {
    throw root.required("payload_bytes")
        .mismatch(fmt::format("{}, the end of the last tensor", end));
  }
  root.required_object("meta");
  header.meta = std::move(document["meta"]);
  return header;
}

std::array<std::byte, kEnginePrefixBytes> engine_prefix(std::string_view header_text) {
  std::array<std::byte, kEnginePrefixBytes> prefix{};
  std::memcpy(prefix.data(), kEngineMagic.data(), kEngineMagic.size());
  const std::span<std::byte> bytes(prefix);
  store_little_endian(kEngineFormatVersion, bytes.subspan(8, 4));
  store_little_endian(header_text.size(), bytes.subspan(16, 8));
  store_little_endian(engine_header_checksum(bytes.first(24), header_text), bytes.subspan(24, 8));
  return prefix;
}

uint64_t parse_engine_prefix(std::span<const std::byte, kEnginePrefixBytes> prefix,
                             uint64_t file_bytes, std::string_view file) {
  if (std::memcmp(prefix.data(), kEngineMagic.data(), kEngineMagic.size()) != 0) {
    throw bad_file(file, "magic", "not an Octavo engine file");
  }
  const uint64_t version = load_little_endian(prefix.subspan<8, 4>());
  if (version != kEngineFormatVersion) {
    throw unsupported(
        file, "format version",
        fmt::format("expected {}, got {}; build the engine again with this version of Octavo",
                    kEngineFormatVersion, version));
  }
  if (load_little_endian(prefix.subspan<12, 4>()) != 0)
    throw bad_file(file, "reserved", "expected 0");
  const uint64_t length = load_little_endian(prefix.subspan<16, 8>());
  if (length > kMaxEngineHeaderBytes || length > file_bytes - kEnginePrefixBytes) {
    throw bad_file(file, "header length",
                   fmt::format("expected at most {} in a file of {} bytes, got {}",
                               kMaxEngineHeaderBytes, file_bytes, length));
  }
  return length;
}

uint64_t engine_header_checksum(std::span<const std::byte> prefix, std::string_view header_text) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_64bits_reset(state.get());
  XXH3_64bits_update(state.get(), prefix.data(), 24);
  XXH3_64bits_update(state.get(), header_text.data(), header_text.size());
  return XXH3_64bits_digest(state.get());
}

uint64_t checksum(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace octavo
