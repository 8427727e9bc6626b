// Reading of documents.
// SPDX-License-Identifier: Apache-2.0
#include "text/documents.h"

#include <fmt/format.h>

#include "core/error.h"

namespace octavo {
namespace {

// A document is tokenized as a whole.
constexpr uint64_t kMaxPlainTextBytes = uint64_t{1} << 30;

DocumentFormat format_of(const std::filesystem::path& path, char first_character) {
  const std::filesystem::path extension = path.extension();
  if (extension == ".jsonl" || extension == ".ndjson" || extension == ".json") {
    return DocumentFormat::kJsonLines;
  }
  if (extension == ".txt") return DocumentFormat::kPlainText;
  return first_character == '{' ? DocumentFormat::kJsonLines : DocumentFormat::kPlainText;
}

void read_json(LineReader& lines, const DocumentOptions& options, Documents& documents) {
  const JsonLinesOptions line_options{.skip_bad_lines = options.skip_bad_lines,
                                      .skip_hint = "--skip-bad-lines"};
  documents.bad_lines = read_json_lines(lines, line_options, [&](const JsonObject& line) {
    std::string text = line.required_string("text");
    if (text.empty()) {
      ++documents.empty_documents;
    } else {
      documents.texts.push_back(std::move(text));
    }
    return static_cast<int64_t>(documents.texts.size()) < options.max_documents;
  });
}

// Kept as it is, but for CRLF.
void read_plain(LineReader& lines, Documents& documents) {
  if (lines.file_bytes() > kMaxPlainTextBytes) {
    throw unsupported(lines.path(), "",
                      fmt::format("a plain-text document of {} bytes; expected at most {} (JSON "
                                  "lines hold many documents)",
                                  lines.file_bytes(), kMaxPlainTextBytes));
  }
  std::string text;
  bool blank = true;
  while (const auto line = lines.next()) {
    if (line->text.find('\0') != std::string_view::npos) {
      throw bad_file(lines.path(), fmt::format("line {}", line->number),
                     "expected text, got a NUL byte");
    }
    text += line->text;
    if (line->has_end) text += '\n';
    blank = blank && line->text.find_first_not_of(" \t\r") == std::string_view::npos;
  }
  if (!blank) documents.texts.push_back(std::move(text));
}

}  // namespace

std::string_view to_string(DocumentFormat format) {
  return format == DocumentFormat::kJsonLines ? "jsonl" : "text";
}

Documents read_documents(const std::filesystem::path& path, const DocumentOptions& options) {
  OCTAVO_CHECK(options.max_documents > 0);
  LineReader lines(path);
  Documents documents{.format = format_of(path, lines.first_character())};
  if (documents.format == DocumentFormat::kJsonLines) {
    read_json(lines, options, documents);
  } else {
    read_plain(lines, documents);
  }
  if (documents.texts.empty()) {
    throw bad_file(lines.path(), "",
                   "no samples: expected at least one document that is not empty");
  }
  return documents;
}

}  // namespace octavo
