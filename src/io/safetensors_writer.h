// Writing safetensors as a stream: tensors are declared first, bytes follow.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/tensor.h"
#include "io/atomic_directory.h"

namespace octavo {

struct TensorSpec {
  std::string name;
  DType dtype;
  Shape shape;
  uint64_t bytes() const {
    return static_cast<uint64_t>(shape.elements()) * static_cast<uint64_t>(size_of(dtype));
  }
};

// The length field and the header text, padded to 8 bytes, of a file that holds `tensors` in this
// order.
// `__metadata__` gets format "pt", which other readers ask for.
std::string safetensors_header(std::span<const TensorSpec> tensors,
                               const std::map<std::string, std::string>& metadata = {});

class SafetensorsWriter {
 public:
  struct Options {
    uint64_t max_shard_bytes = 5'000'000'000;
    std::map<std::string, std::string> metadata;
  };

  // Creates model.safetensors, or as many shards as it takes, filled in the order of `tensors`;
  // within a file tensors stand by alignment, then by name. `output` must outlive the writer.
  SafetensorsWriter(AtomicDirectory& output, std::vector<TensorSpec> tensors,
                    const Options& options);
  SafetensorsWriter(AtomicDirectory& output, std::vector<TensorSpec> tensors)
      : SafetensorsWriter(output, std::move(tensors), Options{}) {}

  // Appends to one tensor. Tensors may be written in any order, even interleaved.
  void append(std::string_view name, std::span<const std::byte> bytes);
  // Every declared byte must be there. Syncs the files and writes the index where there are
  // several.
  void finish();

 private:
  struct Place {
    size_t shard;
    uint64_t offset, bytes, written = 0;
  };
  void open_shard(std::vector<TensorSpec> tensors, const std::string& name, const Options& options);
  void write_index();

  AtomicDirectory& output_;
  std::vector<File> shards_;
  std::vector<std::string> shard_names_;
  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace octavo
