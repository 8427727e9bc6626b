// Any bytes as an engine file, and any bytes as its header with every checksum made right.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "core/error.h"
#include "io/engine_file.h"
#include "io/little_endian.h"
#include "memory_file.h"

namespace {

using octavo::ErrorCategory;

void read_file(std::span<const std::byte> bytes) {
  const octavo::MemoryFile memory(bytes);
  const octavo::EngineFile file = octavo::EngineFile::open(memory.path());
  file.verify();
  for (const octavo::EngineTensor& tensor : file.tensors()) {
    OCTAVO_CHECK(file.find(tensor.name) == &tensor);
    std::vector<std::byte> data(tensor.bytes);
    file.read(tensor, 0, data);
  }
}

// A file around this header that only the header's own fields can make bad.
void read_header(std::string_view text) {
  const octavo::EngineHeader header =
      octavo::parse_engine_header(text, /*max_payload_bytes=*/1 << 20, "fuzz");
  const octavo::EngineLayout layout = octavo::engine_layout(text.size(), header.payload_bytes);
  std::vector<std::byte> bytes(layout.file_bytes());
  const auto prefix = octavo::engine_prefix(text);
  std::memcpy(bytes.data(), prefix.data(), prefix.size());
  std::memcpy(bytes.data() + prefix.size(), text.data(), text.size());
  const auto trailer = std::span(bytes).subspan(layout.trailer_start());
  for (uint64_t chunk = 0; chunk < layout.chunks; ++chunk) {
    const auto payload = std::span(bytes).subspan(
        layout.payload_start + chunk * octavo::kEngineChunkBytes, layout.chunk_bytes(chunk));
    octavo::store_little_endian(octavo::checksum(payload), trailer.subspan(8 * chunk, 8));
  }
  octavo::store_little_endian(octavo::checksum(trailer.first(trailer.size() - 8)), trailer.last(8));
  try {
    read_file(bytes);
  } catch (const octavo::Error&) {
    __builtin_trap();  // the header was accepted, so the file must be
  }
}

}  // namespace

// The first byte chooses: even, a whole file follows; odd, a header.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  try {
    if (data[0] % 2 == 0) {
      read_file({reinterpret_cast<const std::byte*>(data) + 1, size - 1});
    } else {
      read_header({reinterpret_cast<const char*>(data) + 1, size - 1});
    }
  } catch (const octavo::Error& error) {
    const bool expected = error.category() == ErrorCategory::kBadFile ||
                          error.category() == ErrorCategory::kUnsupported;
    if (!expected || std::string_view(error.what()).size() > 1024) __builtin_trap();
  }
  return 0;
}
