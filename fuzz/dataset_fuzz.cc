// Any bytes as a request set: requests that can run, or a typed error.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error.h"
#include "measure/dataset.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const octavo::MemoryFile file(std::as_bytes(std::span(data, size)));
  // One id a byte.
  const auto tokenize = [](std::string_view text) {
    return std::vector<int32_t>(text.begin(), text.end());
  };
  try {
    const octavo::Dataset dataset = octavo::read_dataset(
        file.path(), {.num_requests = 50, .vocab_size = 1000, .tokenize = tokenize});
    OCTAVO_CHECK(dataset.requests.size() == 50);
    for (const octavo::BenchRequest& request : dataset.requests) {
      OCTAVO_CHECK(!request.input_ids.empty() && request.output_tokens > 0);
      OCTAVO_CHECK(!octavo::to_json_line(request).empty());
    }
  } catch (const octavo::Error& error) {
    OCTAVO_CHECK(error.category() == octavo::ErrorCategory::kBadFile ||
                 error.category() == octavo::ErrorCategory::kUnsupported);
  }
  return 0;
}
