// Lines of a text file, in bounded memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "io/file.h"

namespace octavo {

struct TextLine {
  int64_t number = 0;     // from 1
  std::string_view text;  // without its end; valid until the next call
  bool has_end = true;    // false for a last line without a newline
};

// Splits at LF and CRLF, skips a UTF-8 byte-order mark, and takes a last line without an end.
// Refuses UTF-16 and UTF-32 (kBadFile), compressed files (kUnsupported, not expanded), lines above
// the cap and what a failed download leaves (kBadFile).
class LineReader {
 public:
  static constexpr uint64_t kMaxLineBytes = uint64_t{64} << 20;

  explicit LineReader(const std::filesystem::path& path, uint64_t max_line_bytes = kMaxLineBytes);

  // Nothing at the end of the file, which must then still be the file that was opened.
  std::optional<TextLine> next();

  const std::string& path() const { return file_.path(); }
  uint64_t file_bytes() const { return file_.size(); }
  // The first byte that is not white space, within what has been read so far; 0 where there is
  // none.
  char first_character() const { return first_character_; }

 private:
  void refuse_other_formats(std::string_view start) const;
  bool read_more();

  File file_;
  uint64_t max_line_bytes_;
  uint64_t offset_ = 0;  // of the next byte to read from the file
  std::string buffer_;
  size_t begin_ = 0;    // of the next line in the buffer
  size_t scanned_ = 0;  // up to here the buffer holds no end of that line
  int64_t number_ = 0;
  char first_character_ = 0;
};

}  // namespace octavo
