// Writing engine files as a stream: tensors are declared first, their bytes follow in that order.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "io/engine_format.h"
#include "io/file.h"

namespace octavo {

class EngineFileWriter {
 public:
  // Offsets and byte lengths of `tensors` are filled in here. `file` is a new file, as
  // AtomicDirectory::create gives it.
  EngineFileWriter(File file, nlohmann::json meta, std::vector<EngineTensor> tensors);
  ~EngineFileWriter();
  EngineFileWriter(EngineFileWriter&&) noexcept;

  const std::vector<EngineTensor>& tensors() const { return header_.tensors; }
  uint64_t payload_bytes() const { return header_.payload_bytes; }
  // Appends to the tensor `name`, which must be the first one that is not complete yet.
  void append(std::string_view name, std::span<const std::byte> bytes);
  // Every declared byte must be there. Writes the checksums and syncs.
  void finish();

 private:
  void append_payload(std::span<const std::byte> bytes);
  void close_chunk();
  void skip_complete_tensors();

  struct Hasher;
  File file_;
  EngineHeader header_;
  std::unique_ptr<Hasher> hasher_;
  std::vector<uint64_t> checksums_;
  uint64_t written_ = 0;  // bytes of payload
  size_t current_ = 0;    // the tensor being written
};

}  // namespace octavo
