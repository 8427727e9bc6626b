// Any bytes as calibration data: documents, or a typed error.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error.h"
#include "memory_file.h"
#include "text/documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const octavo::MemoryFile file(std::as_bytes(std::span(data, size)));
  for (const int64_t skipped : {0, 3}) {
    try {
      const octavo::Documents documents =
          octavo::read_documents(file.path(), {.max_documents = 100, .skip_bad_lines = skipped});
      OCTAVO_CHECK(!documents.texts.empty() && documents.texts.size() <= 100);
      OCTAVO_CHECK(static_cast<int64_t>(documents.bad_lines.size()) <= skipped);
      for (const std::string& text : documents.texts) OCTAVO_CHECK(!text.empty());
    } catch (const octavo::Error& error) {
      OCTAVO_CHECK(error.category() == octavo::ErrorCategory::kBadFile ||
                   error.category() == octavo::ErrorCategory::kUnsupported);
    }
  }
  return 0;
}
