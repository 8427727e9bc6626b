// Documents for calibration and evaluation, from JSON lines or plain text.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_lines.h"

namespace octavo {

enum class DocumentFormat {
  kJsonLines,  // objects with a string `text`; other keys are ignored
  kPlainText   // the whole file is one document
};
std::string_view to_string(DocumentFormat format);

struct DocumentOptions {
  int64_t max_documents = std::numeric_limits<int64_t>::max();  // reading stops there
  int64_t skip_bad_lines = 0;
};

struct Documents {
  std::vector<std::string> texts;  // in the file's order, none empty
  DocumentFormat format = DocumentFormat::kJsonLines;
  int64_t empty_documents = 0;     // left out
  std::vector<BadLine> bad_lines;  // skipped ones
};

// A name that ends in .jsonl, .ndjson or .json means JSON lines, one that ends in .txt plain text;
// otherwise a file that starts with { is JSON lines. Error(kBadFile) when no document is left.
Documents read_documents(const std::filesystem::path& path, const DocumentOptions& options = {});

}  // namespace octavo
