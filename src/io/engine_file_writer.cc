// Writing engine files as a stream.
// SPDX-License-Identifier: Apache-2.0
#include "io/engine_file_writer.h"

#include <xxhash.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "io/little_endian.h"

namespace octavo {

// XXH3-64 of the chunk being written.
struct EngineFileWriter::Hasher {
  XXH3_state_t* state = XXH3_createState();
  uint64_t filled = 0;
  Hasher() { XXH3_64bits_reset(state); }
  ~Hasher() { XXH3_freeState(state); }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
};

EngineFileWriter::EngineFileWriter(File file, nlohmann::json meta,
                                   std::vector<EngineTensor> tensors)
    : file_(std::move(file)), hasher_(std::make_unique<Hasher>()) {
  header_.meta = std::move(meta);
  header_.tensors = std::move(tensors);
  header_.payload_bytes = place_engine_tensors(header_.tensors);
  const std::string text = engine_header_text(header_);
  OCTAVO_CHECK(text.size() <= kMaxEngineHeaderBytes);
  file_.write_all(engine_prefix(text));
  file_.write_all(text);
  const EngineLayout layout = engine_layout(text.size(), header_.payload_bytes);
  file_.write_all(std::string(layout.payload_start - kEnginePrefixBytes - text.size(), '\0'));
  skip_complete_tensors();
}

EngineFileWriter::~EngineFileWriter() = default;
EngineFileWriter::EngineFileWriter(EngineFileWriter&&) noexcept = default;

void EngineFileWriter::append(std::string_view name, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  OCTAVO_CHECK(current_ < header_.tensors.size() && header_.tensors[current_].name == name);
  const EngineTensor& tensor = header_.tensors[current_];
  if (written_ < tensor.offset) {
    const std::array<std::byte, kEngineAlignment> zeros{};
    append_payload(std::span(zeros).first(tensor.offset - written_));
  }
  OCTAVO_CHECK(bytes.size() <= tensor.offset + tensor.bytes - written_);
  append_payload(bytes);
  skip_complete_tensors();
}

// Leaves `current_` at a tensor that still lacks bytes; empty tensors lack none.
void EngineFileWriter::skip_complete_tensors() {
  while (current_ < header_.tensors.size()) {
    const EngineTensor& tensor = header_.tensors[current_];
    if (tensor.bytes > 0 && written_ < tensor.offset + tensor.bytes) return;
    ++current_;
  }
}

void EngineFileWriter::append_payload(std::span<const std::byte> bytes) {
  file_.write_all(bytes);
  written_ += bytes.size();
  while (!bytes.empty()) {
    const auto piece =
        bytes.first(std::min<uint64_t>(bytes.size(), kEngineChunkBytes - hasher_->filled));
    XXH3_64bits_update(hasher_->state, piece.data(), piece.size());
    hasher_->filled += piece.size();
    if (hasher_->filled == kEngineChunkBytes) close_chunk();
    bytes = bytes.subspan(piece.size());
  }
}

void EngineFileWriter::close_chunk() {
  checksums_.push_back(XXH3_64bits_digest(hasher_->state));
  XXH3_64bits_reset(hasher_->state);
  hasher_->filled = 0;
}

void EngineFileWriter::finish() {
  OCTAVO_CHECK(current_ == header_.tensors.size());
  // An empty tensor at the end may stand behind padding that no byte of its own has caused.
  if (written_ < header_.payload_bytes) {
    append_payload(std::vector<std::byte>(header_.payload_bytes - written_));
  }
  if (hasher_->filled > 0) close_chunk();
  std::vector<std::byte> trailer(8 * (checksums_.size() + 1));
  const std::span<std::byte> bytes(trailer);
  for (size_t i = 0; i < checksums_.size(); ++i)
    store_little_endian(checksums_[i], bytes.subspan(8 * i, 8));
  store_little_endian(checksum(bytes.first(bytes.size() - 8)), bytes.last(8));
  file_.write_all(trailer);
  file_.finish();
}

}  // namespace octavo
