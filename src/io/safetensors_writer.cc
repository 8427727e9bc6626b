// Writing safetensors, as a stream.
// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/error.h"
#include "io/little_endian.h"
#include "io/safetensors_header.h"

namespace octavo {
namespace {

void sort_for_file(std::vector<TensorSpec>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorSpec& a, const TensorSpec& b) {
    return std::make_tuple(-size_of(a.dtype), std::string_view(a.name)) <
           std::make_tuple(-size_of(b.dtype), std::string_view(b.name));
  });
}

// Cuts the list, in its order, into runs of at most `max_bytes`; a tensor larger than that has a
// file of its own.
std::vector<std::vector<TensorSpec>> cut_into_shards(std::vector<TensorSpec> tensors,
                                                     uint64_t max_bytes) {
  std::vector<std::vector<TensorSpec>> shards(1);
  uint64_t filled = 0;
  for (TensorSpec& tensor : tensors) {
    const uint64_t bytes = tensor.bytes();
    if (!shards.back().empty() && filled + bytes > max_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

}  // namespace

std::string safetensors_header(std::span<const TensorSpec> tensors,
                               const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  std::map<std::string, std::string> fields = metadata;
  fields["format"] = "pt";
  header["__metadata__"] = fields;
  std::string text = header.dump();
  text.pop_back();  // the tensors follow inside the same braces
  uint64_t offset = 0;
  for (const TensorSpec& tensor : tensors) {
    nlohmann::ordered_json entry;
    entry["dtype"] = safetensors_name(tensor.dtype);
    entry["shape"] = std::vector<int64_t>(tensor.shape.dims().begin(), tensor.shape.dims().end());
    entry["data_offsets"] = {offset, offset + tensor.bytes()};
    text += fmt::format(",{}:{}", nlohmann::json(tensor.name).dump(), entry.dump());
    offset += tensor.bytes();
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string prefix(8, '\0');
  store_little_endian(text.size(), std::as_writable_bytes(std::span(prefix)));
  return prefix + text;
}

SafetensorsWriter::SafetensorsWriter(AtomicDirectory& output, std::vector<TensorSpec> tensors,
                                     const Options& options)
    : output_(output) {
  auto shards = cut_into_shards(std::move(tensors), options.max_shard_bytes);
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name =
        shards.size() == 1 ? "model.safetensors"
                           : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    open_shard(std::move(shards[i]), name, options);
  }
}

void SafetensorsWriter::open_shard(std::vector<TensorSpec> tensors, const std::string& name,
                                   const Options& options) {
  sort_for_file(tensors);
  const std::string header = safetensors_header(tensors, options.metadata);
  uint64_t offset = header.size();
  for (const TensorSpec& tensor : tensors) {
    const Place place{.shard = shards_.size(), .offset = offset, .bytes = tensor.bytes()};
    OCTAVO_CHECK(places_.emplace(tensor.name, place).second);  // names are unique
    offset += place.bytes;
  }
  shards_.push_back(output_.create(name));
  shards_.back().write_all(header);
  shard_names_.push_back(name);
}

void SafetensorsWriter::append(std::string_view name, std::span<const std::byte> bytes) {
  const auto found = places_.find(name);
  OCTAVO_CHECK(found != places_.end());
  Place& place = found->second;
  OCTAVO_CHECK(bytes.size() <= place.bytes - place.written);
  shards_[place.shard].write_at(place.offset + place.written, bytes);
  place.written += bytes.size();
}

void SafetensorsWriter::finish() {
  for (const auto& [name, place] : places_) OCTAVO_CHECK(place.written == place.bytes);
  for (File& shard : shards_) shard.finish();
  if (shards_.size() > 1) write_index();
}

void SafetensorsWriter::write_index() {
  nlohmann::ordered_json index;
  uint64_t total = 0;
  for (const auto& [name, place] : places_) total += place.bytes;
  index["metadata"]["total_size"] = total;
  for (const auto& [name, place] : places_) index["weight_map"][name] = shard_names_[place.shard];
  output_.write("model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace octavo
