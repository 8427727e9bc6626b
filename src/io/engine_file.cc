// Reading engine files.
// SPDX-License-Identifier: Apache-2.0
#include "io/engine_file.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/error.h"
#include "io/download.h"
#include "io/little_endian.h"

namespace octavo {
namespace {

std::string read_header_text(const File& file) {
  if (file.size() < kEnginePrefixBytes) {
    throw bad_file(file.path(), "",
                   fmt::format("too small for an engine file: {} bytes", file.size()));
  }
  std::array<std::byte, kEnginePrefixBytes> prefix;
  file.pread_exact(0, prefix);
  if (const auto problem =
          download_problem({reinterpret_cast<const char*>(prefix.data()), prefix.size()})) {
    throw bad_file(file.path(), "", *problem);
  }
  std::string text(parse_engine_prefix(prefix, file.size(), file.path()), '\0');
  file.pread_exact(kEnginePrefixBytes, std::as_writable_bytes(std::span(text)));
  const uint64_t stored = load_little_endian(std::span<const std::byte>(prefix).subspan<24, 8>());
  if (stored != engine_header_checksum(prefix, text)) {
    throw bad_file(file.path(), "header", "checksum does not match: the file is damaged");
  }
  return text;
}

void check_padding(const File& file, uint64_t begin, uint64_t end) {
  std::array<std::byte, kEngineAlignment> padding{};
  const auto bytes = std::span(padding).first(end - begin);
  file.pread_exact(begin, bytes);
  if (std::any_of(bytes.begin(), bytes.end(),
                  [](std::byte byte) { return byte != std::byte{0}; })) {
    throw bad_file(file.path(), "padding", "expected zeros after the header: the file is damaged");
  }
}

std::vector<uint64_t> read_checksums(const File& file, const EngineLayout& layout) {
  std::vector<std::byte> bytes(layout.trailer_bytes());
  file.pread_exact(layout.trailer_start(), bytes);
  const auto body = std::span<const std::byte>(bytes).first(bytes.size() - 8);
  if (checksum(body) != load_little_endian(std::span<const std::byte>(bytes).last(8))) {
    throw bad_file(file.path(), "checksums", "checksum does not match: the file is damaged");
  }
  std::vector<uint64_t> checksums(layout.chunks);
  for (uint64_t i = 0; i < layout.chunks; ++i)
    checksums[i] = load_little_endian(body.subspan(8 * i, 8));
  return checksums;
}

}  // namespace

EngineFile EngineFile::open(const std::filesystem::path& path) {
  return open(File::open_read(path));
}

EngineFile EngineFile::open(File file) {
  const std::string text = read_header_text(file);
  EngineHeader header = parse_engine_header(text, file.size(), file.path());
  const EngineLayout layout = engine_layout(text.size(), header.payload_bytes);
  if (layout.file_bytes() != file.size()) {
    throw bad_file(
        file.path(), "",
        fmt::format(
            "expected {} bytes, got {}: the file is {}", layout.file_bytes(), file.size(),
            file.size() < layout.file_bytes() ? "truncated" : "longer than its header says"));
  }
  check_padding(file, kEnginePrefixBytes + text.size(), layout.payload_start);
  std::vector<uint64_t> checksums = read_checksums(file, layout);
  return EngineFile(std::move(file), std::move(header), layout, std::move(checksums));
}

EngineFile::EngineFile(File file, EngineHeader header, EngineLayout layout,
                       std::vector<uint64_t> checksums)
    : file_(std::move(file)),
      header_(std::move(header)),
      layout_(layout),
      checksums_(std::move(checksums)),
      by_name_(header_.tensors.size()),
      verified_(std::make_unique<std::atomic<bool>[]>(layout.chunks)) {
  std::iota(by_name_.begin(), by_name_.end(), uint32_t{0});
  std::sort(by_name_.begin(), by_name_.end(), [&](uint32_t a, uint32_t b) {
    return header_.tensors[a].name < header_.tensors[b].name;
  });
}

const EngineTensor* EngineFile::find(std::string_view name) const {
  const auto found = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                      [&](uint32_t index, std::string_view wanted) {
                                        return header_.tensors[index].name < wanted;
                                      });
  if (found == by_name_.end() || header_.tensors[*found].name != name) return nullptr;
  return &header_.tensors[*found];
}

const EngineTensor& EngineFile::require(std::string_view name) const {
  const EngineTensor* tensor = find(name);
  if (tensor == nullptr)
    throw bad_file(path(), fmt::format("tensor \"{}\"", printable(name)), "missing");
  return *tensor;
}

void EngineFile::read(const EngineTensor& tensor, uint64_t byte_offset,
                      std::span<std::byte> bytes) const {
  OCTAVO_CHECK(byte_offset <= tensor.bytes && bytes.size() <= tensor.bytes - byte_offset);
  read_range(tensor.offset + byte_offset, bytes);
}

void EngineFile::read_range(uint64_t begin, std::span<std::byte> bytes) const {
  std::vector<std::byte> scratch;
  while (!bytes.empty()) {
    const uint64_t chunk = begin / kEngineChunkBytes;
    const uint64_t within = begin % kEngineChunkBytes;
    const uint64_t chunk_bytes = layout_.chunk_bytes(chunk);
    const auto piece = bytes.first(std::min<uint64_t>(bytes.size(), chunk_bytes - within));
    if (piece.size() == chunk_bytes) {
      read_chunk(chunk, piece);
    } else if (verified_[chunk].load(std::memory_order_relaxed)) {
      file_.pread_exact(layout_.payload_start + begin, piece);
    } else {
      scratch.resize(chunk_bytes);
      read_chunk(chunk, scratch);
      std::memcpy(piece.data(), scratch.data() + within, piece.size());
    }
    begin += piece.size();
    bytes = bytes.subspan(piece.size());
  }
}

void EngineFile::read_chunk(uint64_t chunk, std::span<std::byte> bytes) const {
  const uint64_t offset = layout_.payload_start + chunk * kEngineChunkBytes;
  file_.pread_exact(offset, bytes);
  if (checksum(bytes) != checksums_[chunk]) {
    throw bad_file(path(), fmt::format("bytes {} to {}", offset, offset + bytes.size() - 1),
                   "checksum does not match: the file is damaged");
  }
  verified_[chunk].store(true, std::memory_order_relaxed);
}

void EngineFile::read_payload(std::span<std::byte> destination, ThreadPool& pool) const {
  OCTAVO_CHECK(destination.size() == layout_.payload_bytes);
  pool.parallel_for(
      static_cast<int64_t>(layout_.chunks), /*grain=*/1, [&](int64_t begin, int64_t end) {
        for (auto chunk = static_cast<uint64_t>(begin); chunk < static_cast<uint64_t>(end);
             ++chunk) {
          read_chunk(chunk,
                     destination.subspan(chunk * kEngineChunkBytes, layout_.chunk_bytes(chunk)));
        }
      });
}

void EngineFile::verify() const {
  std::vector<std::byte> scratch(std::min(layout_.payload_bytes, kEngineChunkBytes));
  for (uint64_t chunk = 0; chunk < layout_.chunks; ++chunk) {
    read_chunk(chunk, std::span(scratch).first(layout_.chunk_bytes(chunk)));
  }
}

}  // namespace octavo
