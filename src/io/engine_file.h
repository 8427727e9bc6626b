// Reading engine files: a checksum is verified before any byte is handed out.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/thread_pool.h"
#include "io/directory.h"
#include "io/engine_format.h"

namespace octavo {

class EngineFile {
 public:
  // Reads and verifies header and checksums; no payload. The layout is described in
  // engine_format.h.
  static EngineFile open(const std::filesystem::path& path);
  static EngineFile open(File file);

  const std::string& path() const { return file_.path(); }
  const nlohmann::json& meta() const { return header_.meta; }
  const std::vector<EngineTensor>& tensors() const { return header_.tensors; }
  const EngineTensor* find(std::string_view name) const;     // nullptr: not there
  const EngineTensor& require(std::string_view name) const;  // Error(kBadFile): not there
  uint64_t payload_bytes() const { return header_.payload_bytes; }

  // Fills `bytes` from the tensor's `byte_offset`-th byte; the range must lie within the tensor.
  // Thread-safe. A chunk is verified when it is first touched; Error(kBadFile) names the damaged
  // one.
  void read(const EngineTensor& tensor, uint64_t byte_offset, std::span<std::byte> bytes) const;
  // The whole payload at once, chunks in parallel; tensors then lie at their offsets in it.
  void read_payload(std::span<std::byte> destination, ThreadPool& pool) const;
  // Reads everything for the checksums alone.
  void verify() const;
  void verify_unchanged() const { file_.verify_unchanged(); }

 private:
  EngineFile(File file, EngineHeader header, EngineLayout layout, std::vector<uint64_t> checksums);
  void read_range(uint64_t begin, std::span<std::byte> bytes) const;
  void read_chunk(uint64_t chunk, std::span<std::byte> bytes) const;

  File file_;
  EngineHeader header_;
  EngineLayout layout_;
  std::vector<uint64_t> checksums_;
  std::vector<uint32_t> by_name_;                  // indices into header_.tensors
  std::unique_ptr<std::atomic<bool>[]> verified_;  // by chunk
};

}  // namespace octavo
