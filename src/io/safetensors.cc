// Reading one safetensors file.
// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "core/error.h"
#include "io/download.h"

namespace octavo {
namespace {

void refuse_failed_download(const File& file) {
  std::string start(std::min<uint64_t>(file.size(), 64), '\0');
  file.pread_exact(0, std::as_writable_bytes(std::span(start)));
  if (const auto problem = download_problem(start)) throw bad_file(file.path(), "", *problem);
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  return open(File::open_read(path));
}

SafetensorsFile SafetensorsFile::open(File file) {
  refuse_failed_download(file);
  if (file.size() < 8) {
    throw bad_file(
        file.path(), "",
        fmt::format("file too small for a header: expected at least 8 bytes, got {}", file.size()));
  }
  std::array<std::byte, 8> prefix;
  file.pread_exact(0, prefix);
  std::vector<std::byte> text(safetensors_header_length(prefix, file.size(), file.path()));
  file.pread_exact(8, text);
  SafetensorsHeader header = parse_safetensors_header(text, file.size(), file.path());
  return SafetensorsFile(std::move(file), std::move(header));
}

SafetensorsFile::SafetensorsFile(File file, SafetensorsHeader header)
    : file_(std::move(file)), header_(std::move(header)), by_name_(header_.tensors.size()) {
  std::iota(by_name_.begin(), by_name_.end(), uint32_t{0});
  std::sort(by_name_.begin(), by_name_.end(), [&](uint32_t a, uint32_t b) {
    return header_.tensors[a].name < header_.tensors[b].name;
  });
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                      [&](uint32_t index, std::string_view wanted) {
                                        return header_.tensors[index].name < wanted;
                                      });
  if (found == by_name_.end() || header_.tensors[*found].name != name) return nullptr;
  return &header_.tensors[*found];
}

void SafetensorsFile::read(const TensorInfo& tensor, uint64_t byte_offset,
                           std::span<std::byte> bytes) const {
  OCTAVO_CHECK(byte_offset <= tensor.bytes && bytes.size() <= tensor.bytes - byte_offset);
  file_.pread_exact(tensor.offset + byte_offset, bytes);
}

}  // namespace octavo
