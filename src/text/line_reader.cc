// Reading of lines and recognition of what is not text.
// SPDX-License-Identifier: Apache-2.0
#include "text/line_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "core/error.h"
#include "io/download.h"

namespace octavo {
namespace {

constexpr uint64_t kChunkBytes = uint64_t{1} << 20;

struct Signature {
  std::string_view bytes;
  std::string_view name;
};

using namespace std::string_view_literals;

constexpr std::array<Signature, 6> kCompressed = {{{"\x1f\x8b"sv, "gzip"},
                                                   {"PK\x03\x04"sv, "zip"},
                                                   {"PK\x05\x06"sv, "zip"},
                                                   {"\x28\xb5\x2f\xfd"sv, "zstd"},
                                                   {"\xfd\x37zXZ\0"sv, "xz"},
                                                   {"BZh91AY&SY"sv, "bzip2"}}};

// Parquet and Arrow are where data sets usually come from.
constexpr std::array<Signature, 2> kColumnar = {
    {{"PAR1"sv, "a Parquet"}, {"ARROW1"sv, "an Arrow"}}};

// ASCII text in UTF-16 or UTF-32 without a mark has NUL bytes among its first four.
bool is_wide_text(std::string_view start) {
  if (start.starts_with("\xff\xfe"sv) || start.starts_with("\xfe\xff"sv)) return true;
  return start.substr(0, 4).find('\0') != std::string_view::npos;
}

}  // namespace

LineReader::LineReader(const std::filesystem::path& path, uint64_t max_line_bytes)
    : file_(File::open_read(path)), max_line_bytes_(max_line_bytes) {
  read_more();
  refuse_other_formats(buffer_);
  if (buffer_.starts_with("\xef\xbb\xbf")) begin_ = scanned_ = 3;
  const size_t first = buffer_.find_first_not_of(" \t\r\n", begin_);
  if (first != std::string::npos) first_character_ = buffer_[first];
}

void LineReader::refuse_other_formats(std::string_view start) const {
  for (const Signature& signature : kCompressed) {
    if (!start.starts_with(signature.bytes)) continue;
    throw unsupported(path(), "",
                      fmt::format("compressed with {}; expected plain text, so "
                                  "decompress it first",
                                  signature.name));
  }
  for (const Signature& signature : kColumnar) {
    if (!start.starts_with(signature.bytes)) continue;
    throw unsupported(path(), "",
                      fmt::format("{} file; expected JSON lines or plain text", signature.name));
  }
  if (is_wide_text(start)) {
    throw bad_file(path(), "", "expected UTF-8 text, got UTF-16, UTF-32 or binary data");
  }
  if (const auto problem = download_problem(start)) throw bad_file(path(), "", *problem);
}

bool LineReader::read_more() {
  const uint64_t count = std::min(kChunkBytes, file_.size() - offset_);
  if (count == 0) return false;
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  const size_t held = buffer_.size();
  buffer_.resize(held + count);
  file_.pread_exact(offset_, std::as_writable_bytes(std::span(buffer_)).subspan(held));
  offset_ += count;
  return true;
}

std::optional<TextLine> LineReader::next() {
  for (;;) {
    const size_t newline = buffer_.find('\n', scanned_);
    const bool found = newline != std::string::npos;
    const size_t end = found ? newline : buffer_.size();
    if (end - begin_ > max_line_bytes_) {
      throw bad_file(path(), fmt::format("line {}", number_ + 1),
                     fmt::format("expected at most {} bytes a line", max_line_bytes_));
    }
    scanned_ = end;
    if (!found && read_more()) continue;
    if (!found && begin_ == end) {
      file_.verify_unchanged();
      return std::nullopt;
    }
    TextLine line{.number = ++number_,
                  .text = std::string_view(buffer_).substr(begin_, end - begin_),
                  .has_end = found};
    if (line.text.ends_with('\r')) line.text.remove_suffix(1);
    begin_ = scanned_ = found ? end + 1 : end;
    return line;
  }
}

}  // namespace octavo
