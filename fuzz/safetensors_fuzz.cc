// Any bytes as a safetensors file, and any bytes as its header.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error.h"
#include "io/safetensors.h"
#include "memory_file.h"

namespace {

using octavo::TensorInfo;

// What the reader promises of a header that it accepted.
void check_promises(const octavo::SafetensorsHeader& header, uint64_t data_start,
                    uint64_t file_size) {
  uint64_t end = data_start;
  for (const TensorInfo& tensor : header.tensors) {
    OCTAVO_CHECK(tensor.offset == end && tensor.bytes <= file_size - tensor.offset);
    end += tensor.bytes;
    if (!tensor.dtype) continue;
    OCTAVO_CHECK(static_cast<uint64_t>(tensor.shape.elements() * octavo::size_of(*tensor.dtype)) ==
                 tensor.bytes);
  }
  OCTAVO_CHECK(end == file_size);
}

void read_whole_file(std::span<const std::byte> bytes) {
  const octavo::MemoryFile memory(bytes);
  const octavo::SafetensorsFile file = octavo::SafetensorsFile::open(memory.path());
  for (const TensorInfo& tensor : file.tensors()) {
    OCTAVO_CHECK(file.find(tensor.name) == &tensor);
    std::vector<std::byte> data(tensor.bytes);
    file.read(tensor, 0, data);
  }
}

}  // namespace

// The first byte chooses: even, a whole file follows; odd, a header follows, and the byte's upper
// bits say how many bytes of data the file is to have.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  try {
    if (data[0] % 2 == 0) {
      read_whole_file(bytes);
    } else {
      const uint64_t file_size = 8 + bytes.size() + data[0] / 2;
      check_promises(octavo::parse_safetensors_header(bytes, file_size, "fuzz"), 8 + bytes.size(),
                     file_size);
    }
  } catch (const octavo::Error& error) {
    if (error.category() != octavo::ErrorCategory::kBadFile) __builtin_trap();
    if (std::string_view(error.what()).size() > 1024) __builtin_trap();
  }
  return 0;
}
