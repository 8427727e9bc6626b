// Reading one safetensors file.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/directory.h"
#include "io/safetensors_header.h"

namespace octavo {

// Reads go through pread, never mmap: a file that shrinks is an error, not a signal. Reading is
// thread-safe.
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::filesystem::path& path);
  static SafetensorsFile open(File file);

  const std::string& path() const { return file_.path(); }
  const std::vector<TensorInfo>& tensors() const { return header_.tensors; }  // by offset
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  const TensorInfo* find(std::string_view name) const;  // nullptr: not in this file

  // Fills `bytes` from the tensor's `byte_offset`-th byte; the range must lie within the tensor.
  void read(const TensorInfo& tensor, uint64_t byte_offset, std::span<std::byte> bytes) const;
  // Error(kEnvironment) when the file was changed or replaced since it was opened; call it after
  // the last read.
  void verify_unchanged() const { file_.verify_unchanged(); }

 private:
  SafetensorsFile(File file, SafetensorsHeader header);

  File file_;
  SafetensorsHeader header_;
  std::vector<uint32_t> by_name_;  // indices into header_.tensors
};

}  // namespace octavo
