// A checkpoint directory: one model.safetensors, or shards named by an index.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/safetensors.h"

namespace octavo {

class Checkpoint {
 public:
  // Opens and checks every shard's header; no weight is read. model.safetensors is preferred to an
  // index, which is preferred to nothing; a warning names what was passed over. Shards must be
  // plain names in the directory itself.
  static Checkpoint open(const std::filesystem::path& directory);

  const std::filesystem::path& directory() const { return directory_; }
  const std::vector<SafetensorsFile>& files() const { return files_; }
  std::vector<std::string> names() const;  // sorted
  uint64_t total_bytes() const;            // of all tensors
  const std::vector<std::string>& warnings() const { return warnings_; }

  bool contains(std::string_view name) const { return find(name) != nullptr; }
  const TensorInfo* find(std::string_view name) const;  // nullptr: not there
  // Error(kBadFile) when it is missing.
  const TensorInfo& require(std::string_view name) const;
  // One Error(kBadFile) that lists the first ten missing names and how many are missing in all.
  void require_all(std::span<const std::string> names) const;
  // The element type; Error(kUnsupported) when Octavo does not compute with it.
  DType dtype(std::string_view name) const;
  const std::string& file_of(std::string_view name) const;  // path of the shard that holds it

  // Fills `bytes` from the tensor's `byte_offset`-th byte. Thread-safe.
  void read(std::string_view name, uint64_t byte_offset, std::span<std::byte> bytes) const;
  // The whole tensor, copied to aligned host memory.
  Tensor load(std::string_view name) const;
  void verify_unchanged() const;

 private:
  struct Place {
    size_t file;
    const TensorInfo* info;  // within files_[file], whose tensors never move
  };
  void open_single(const Directory& directory);
  void open_sharded(const Directory& directory);
  void place(size_t file, const TensorInfo& info);
  const Place& place_of(std::string_view name) const;

  std::filesystem::path directory_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, Place, std::less<>> places_;
  std::vector<std::string> warnings_;
};

}  // namespace octavo
