// A checkpoint directory.
// SPDX-License-Identifier: Apache-2.0
#include "io/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/checked.h"
#include "core/error.h"
#include "io/json.h"
#include "io/json_object.h"

namespace octavo {
namespace {

constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";
constexpr JsonLimits kIndexLimits{.bytes = uint64_t{64} << 20};

// What the index promises: tensor → shard.
struct Index {
  std::map<std::string, std::string> weight_map;
  std::optional<int64_t> total_size;
};

Index read_index(const Directory& directory) {
  const File file = directory.open_file(kIndex);
  if (file.size() > kIndexLimits.bytes) {
    throw bad_file(
        file.path(), "",
        fmt::format("expected at most {} bytes of JSON, got {}", kIndexLimits.bytes, file.size()));
  }
  const nlohmann::json document = parse_json(file.read_text(), file.path(), kIndexLimits);
  const JsonObject root(document, file.path());
  Index index;
  if (const auto metadata = root.optional_object("metadata")) {
    index.total_size = metadata->optional_int("total_size", {.min = 0});
  }
  const JsonObject weight_map = root.required_object("weight_map");
  for (const auto& [name, shard] : weight_map.json().items()) {
    const JsonField field(shard, file.path(), weight_map.path_of(name));
    if (!is_plain_basename(field.as_string()))
      throw field.mismatch("the plain name of a file in the same directory");
    index.weight_map.emplace(name, field.as_string());
  }
  if (index.weight_map.empty())
    throw bad_file(file.path(), "weight_map", "expected at least one tensor, got none");
  return index;
}

void check_total_size(const Index& index, uint64_t mapped_bytes, uint64_t all_bytes,
                      std::string_view file) {
  if (!index.total_size) return;
  const auto total = static_cast<uint64_t>(*index.total_size);
  // Writers differ in whether tensors that the index leaves out count.
  if (total != mapped_bytes && total != all_bytes) {
    throw bad_file(
        file, "metadata.total_size",
        fmt::format("expected {} (the bytes of the tensors), got {}", mapped_bytes, total));
  }
}

// No safetensors here: say what is.
[[noreturn]] void fail_without_weights(const Directory& directory) {
  for (const std::string& name : directory.list()) {
    for (const std::string_view extension :
         {".bin", ".pt", ".pth", ".gguf", ".ckpt", ".h5", ".msgpack"}) {
      if (name.ends_with(extension)) {
        throw unsupported(
            directory.path().native(), "",
            fmt::format("only safetensors checkpoints are supported, got \"{}\"", printable(name)));
      }
    }
  }
  throw bad_file(directory.path().native(), "",
                 fmt::format("holds no {} and no {}", kSingle, kIndex));
}

}  // namespace

Checkpoint Checkpoint::open(const std::filesystem::path& path) {
  const Directory directory = Directory::open(path);
  Checkpoint checkpoint;
  checkpoint.directory_ = path;
  const bool single = directory.contains(kSingle);
  const bool sharded = directory.contains(kIndex);
  if (!single && !sharded) fail_without_weights(directory);
  if (single && sharded) {
    checkpoint.warnings_.push_back(fmt::format("{}: holds {} and {}; the former is read",
                                               printable(path.native()), kSingle, kIndex));
  }
  for (const std::string& name : directory.list()) {
    if (name.starts_with("consolidated") && name.ends_with(".safetensors")) {
      checkpoint.warnings_.push_back(fmt::format("{}: \"{}\" is ignored; {} is read",
                                                 printable(path.native()), printable(name),
                                                 single ? kSingle : kIndex));
    }
  }
  if (single) {
    checkpoint.open_single(directory);
  } else {
    checkpoint.open_sharded(directory);
  }
  return checkpoint;
}

void Checkpoint::open_single(const Directory& directory) {
  files_.push_back(SafetensorsFile::open(directory.open_file(kSingle)));
  for (const TensorInfo& info : files_[0].tensors()) place(0, info);
}

void Checkpoint::open_sharded(const Directory& directory) {
  const Index index = read_index(directory);
  const std::string index_path = directory.path_of(kIndex).native();
  std::map<std::string, size_t> shards;  // name → position in files_
  for (const auto& [tensor, shard] : index.weight_map) shards.emplace(shard, 0);
  for (auto& [shard, position] : shards) {
    position = files_.size();
    files_.push_back(SafetensorsFile::open(directory.open_file(shard)));
  }
  for (const auto& [tensor, shard] : index.weight_map) {
    if (files_[shards.at(shard)].find(tensor) == nullptr) {
      throw bad_file(index_path, "weight_map." + tensor,
                     fmt::format("expected in \"{}\", which does not hold it", printable(shard)));
    }
  }
  uint64_t mapped_bytes = 0;
  uint64_t all_bytes = 0;
  for (const auto& [shard, position] : shards) {
    for (const TensorInfo& info : files_[position].tensors()) {
      all_bytes += info.bytes;
      const auto mapped = index.weight_map.find(info.name);
      if (mapped == index.weight_map.end()) {
        warnings_.push_back(fmt::format("{}: tensor \"{}\" is not in the index and is ignored",
                                        printable(files_[position].path()), printable(info.name)));
        continue;
      }
      if (mapped->second != shard) {
        throw bad_file(
            files_[position].path(), fmt::format("tensor \"{}\"", printable(info.name)),
            fmt::format("stands in two shards; the index names \"{}\"", printable(mapped->second)));
      }
      mapped_bytes += info.bytes;
      place(position, info);
    }
  }
  check_total_size(index, mapped_bytes, all_bytes, index_path);
}

void Checkpoint::place(size_t file, const TensorInfo& info) {
  places_.emplace(info.name, Place{file, &info});
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

uint64_t Checkpoint::total_bytes() const {
  uint64_t total = 0;
  for (const auto& [name, place] : places_) total += place.info->bytes;
  return total;
}

const TensorInfo* Checkpoint::find(std::string_view name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : found->second.info;
}

const Checkpoint::Place& Checkpoint::place_of(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) {
    throw bad_file(directory_.native(), fmt::format("tensor \"{}\"", printable(name)), "missing");
  }
  return found->second;
}

const TensorInfo& Checkpoint::require(std::string_view name) const { return *place_of(name).info; }

void Checkpoint::require_all(std::span<const std::string> names) const {
  constexpr size_t kListed = 10;
  size_t missing = 0;
  std::string listed;
  for (const std::string& name : names) {
    if (contains(name)) continue;
    if (missing++ < kListed)
      listed += fmt::format("{}\"{}\"", listed.empty() ? "" : ", ", printable(name, 60));
  }
  if (missing == 0) return;
  throw bad_file(directory_.native(), "",
                 fmt::format("{} of {} required tensors are missing: {}{}", missing, names.size(),
                             listed, missing > kListed ? ", …" : ""));
}

DType Checkpoint::dtype(std::string_view name) const {
  const Place& place = place_of(name);
  return place.info->require_dtype(files_[place.file].path());
}

const std::string& Checkpoint::file_of(std::string_view name) const {
  return files_[place_of(name).file].path();
}

void Checkpoint::read(std::string_view name, uint64_t byte_offset,
                      std::span<std::byte> bytes) const {
  const Place& place = place_of(name);
  files_[place.file].read(*place.info, byte_offset, bytes);
}

Tensor Checkpoint::load(std::string_view name) const {
  const Place& place = place_of(name);
  const Tensor tensor(dtype(name), place.info->shape);
  read(name, 0, {tensor.data(), static_cast<size_t>(tensor.bytes())});
  return tensor;
}

void Checkpoint::verify_unchanged() const {
  for (const SafetensorsFile& file : files_) file.verify_unchanged();
}

}  // namespace octavo
