// JSON lines: one object a line, with every broken line counted and named.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "io/json_object.h"
#include "text/line_reader.h"

namespace octavo {

struct BadLine {
  int64_t number = 0;
  std::string reason;  // names the file and the line
};

struct JsonLinesOptions {
  int64_t skip_bad_lines = 0;       // so many broken lines are left out; one more is an error
  std::string skip_hint;            // the option that raises it, for the error
  uint64_t max_values = 2'000'000;  // JSON values in one line
};

// Calls `handle(object)` for each line that is not blank, until it returns false or the file ends.
// A line that is no JSON object, or for which `handle` throws kBadFile, is broken; the broken lines
// are returned. Error(kBadFile) with their numbers when there are more than may be skipped.
std::vector<BadLine> read_json_lines(LineReader& lines, const JsonLinesOptions& options,
                                     const std::function<bool(const JsonObject&)>& handle);

}  // namespace octavo
